//! Files that cannot be imported: the line, the code and the words that name the fault.

use super::{Place, id, many};

/// What is wrong with a file: its text, and what is said of it.
type Case = (&'static [u8], &'static str);

const JSON_LINES: [Case; 32] = [
    (b"{", "a.jsonl:1: the line is not a JSON object: EOF while parsing an object, at column 1 [bad_json]"),
    (b"\n\n[1]", "a.jsonl:3: the line is an array; one JSON object a line is expected [bad_json]"),
    (b"\"text\"", "a.jsonl:1: the line is a text"),
    (b"{\"name\": \"a\"} {\"name\": \"b\"}", "a.jsonl:1: the line is not a JSON object: trailing characters"),
    (b"{\"name\": \"a\", \"name\": \"b\"}", "the key `name` appears twice in one object"),
    (b"{\"name\": \"a\", \"extra\": {\"x\": 1, \"x\": 2}}", "the key `x` appears twice"),
    (b"{\"name\": \"\xFF\"}", "a.jsonl:1: the line is not a JSON object: invalid unicode code point"),
    (b"{'name': 'a'}", "a.jsonl:1: the line is not a JSON object: key must be a string"),
    (b"name\na", "a.jsonl:1: the line is not a JSON object: expected ident"),
    (b"{}", "a.jsonl:1: `name` is required [required]"),
    (b"{\"name\": null}", "a.jsonl:1: `name` is required and cannot be null [required]"),
    (b"{\"name\": 5}", "`name` must be a text, not a number [wrong_type]"),
    (b"{\"name\": \"a\", \"nmae\": 1}", "`nmae` is not a field of Sample; did you mean `name`? [unknown_field]"),
    (b"{\"name\": \"a\", \"id\": \"7\"}", "`id` must be an id: `7` is not a UUID [bad_id]"),
    (b"{\"name\": \"a\", \"id\": 7}", "`id` must be a text, not a number [bad_id]"),
    (b"{\"name\": \"a\", \"count\": 1.5}", "`count` must be an int, not 1.5 [wrong_type]"),
    (b"{\"name\": \"a\", \"count\": 1000001}", "`count` is 1000001; the largest allowed is 1000000 [too_large]"),
    (b"{\"name\": \"a\", \"ratio\": 1e999}", "`ratio` is a number beyond the range of a float: `1e999` [out_of_range]"),
    (b"{\"name\": \"a\", \"ratio\": 9007199254740993}", "`ratio` is a whole number that a float would change"),
    (b"{\"name\": \"a\", \"count\": 12345678901234567890123}", "`count` must lie within ±9007199254740991, not be `12345678901234567890123` [out_of_range]"),
    (b"{\"name\": \"a\", \"count\": 3.0000000000000000001}", "`count` must be an int, not `3.0000000000000000001` [wrong_type]"),
    (b"{\"name\": \"a\", \"extra\": {\"x\": [1, 12345678901234567890]}}", "`extra` holds the number `12345678901234567890` at `x[1]`, which would be changed to 12345678901234567000"),
    (b"{\"name\": \"a\", \"extra\": 1e-400}", "`extra` holds the number `1e-400`, which is beyond the range of a float"),
    (b"{\"name\": \"a\", \"active\": \"yes\"}", "`active` must be true or false, not a text [wrong_type]"),
    (b"{\"name\": \"a\", \"kind\": \"gren\"}", "`kind` must be one of red, green, =blue, not `gren`; did you mean `green`? [not_one_of]"),
    (b"{\"name\": \"a\", \"day\": \"2023-02-29\"}", "`day` must be a date such as 2026-11-21, not `2023-02-29` [bad_date]"),
    (b"{\"name\": \"a\", \"moment\": \"2026-11-21T08:00:00\"}", "`moment` must be a datetime with an offset"),
    (b"{\"name\": \"a\\u0000b\"}", "`name` holds the character U+0000, which cannot be stored [bad_character]"),
    (b"{\"name\": \"a\", \"code\": \"xy\"}\n{\"name\": \"b\", \"code\": \"xy\"}", "a.jsonl:2: another Sample has this value of `code`, which is unique [not_unique]; another record has it, or an earlier line of this file"),
    (b"{\"name\": \"a\", \"maker\": \"count\"}", "`maker` must be an id: `count` is no id: behind"),
    (b"{\"name\": \"a\", \"maker\": \"nobody\"}", "`maker` of the Sample refers to a record that does not exist [unknown_reference]; import the record that it refers to first"),
    (b"{\"name\": \"a\", \"id\": \"0190a000-0000-7000-8000-000000000001\"}\n\n{\"name\": \"b\", \"id\": \"0190A000000070008000000000000001\"}", "a.jsonl:3: there is already a Sample with this id [taken]"),
];

const CSV: [Case; 33] = [
    (b"", "a.csv:1: the file is empty; its first line names the fields"),
    (
        b"name,cuont\nx,1\n",
        "a.csv:1: the header names `cuont`, which is not a field of Sample; did you mean `count`?",
    ),
    (b"name,wholly_strange\n", "`wholly_strange`, which is not a field of Sample; remove the column"),
    (b"name,name\n", "a.csv:1: the header names `name` twice"),
    (b"name;count\nx;1\n", "which is not a field of Sample; columns are separated by commas here"),
    (b"n\xE4me\n", "a.csv:1: the header is not UTF-8"),
    (b"\n\nname,count\nx,1\ny\n", "a.csv:5: the row has 1 cells, but the header names 2 columns [cells]"),
    (b"name,count\nx,1,2\n", "a.csv:2: the row has 3 cells, but the header names 2 columns"),
    (b"name,count\n\"a\nb\",1\nx,one\n", "a.csv:4: `count` must be a number, not `one` [wrong_type]"),
    (b"name,count\nx, 1\n", "a.csv:2: `count` must be a number, not ` 1`"),
    (b"name,count\nx,1.5\n", "`count` must be an int, not 1.5"),
    (b"name,count\nx,\"1,000\"\n", "`count` must be a number, not `1,000`"),
    (
        b"name,count\nx,123456789012345678901\n",
        "`count` must lie within ±9007199254740991, not be `123456789012345678901`",
    ),
    (b"name,ratio\nx,1e400\n", "`ratio` is a number beyond the range of a float: `1e400` [out_of_range]"),
    (
        b"name,extra\nx,0.1234567890123456789\n",
        "`extra` holds the number `0.1234567890123456789`, which would be changed to 0.12345678901234568",
    ),
    (b"name,ratio\nx,NaN\n", "`ratio` must be a number, not `NaN`"),
    (
        b"name,active\nx,yes\n",
        "`active` must be true or false (or TRUE, True, t, 1 and the like), not `yes` [wrong_type]",
    ),
    (
        b"name,active\nx,WAHR\n",
        "`active` must be true or false (or TRUE, True, t, 1 and the like), not `WAHR`",
    ),
    (b"name,active\nx,2\n", "`active` must be true or false"),
    (b"name,active\nx, true\n", "`active` must be true or false"),
    (b"name,active\nx,\"\"\n", "`active` must be true or false (or TRUE, True, t, 1 and the like), not ``"),
    (
        b"name,count\n\"\"hello\"\",1\n",
        "a.csv:2: `name` continues after its closing quote; write a cell with quotes in it as \"say \"\"hello\"\" twice\" [bad_quotes]",
    ),
    (b"name,count\nx,1\n\"a\"b,1\n", "a.csv:3: `name` continues after its closing quote"),
    (b"name,count\n\"a\" ,1\n", "a.csv:2: `name` continues after its closing quote"),
    (b"name,\"count\"s\nx,1\n", "a.csv:1: a name in the header continues after its closing quote"),
    (b"name\n\"a\"\xFFb\n", "a.csv:2: `name` continues after its closing quote"),
    (b"name,extra\nx,{a:1}\n", "`extra` is a json field, and `{a:1}` is not valid JSON"),
    (b"name,extra\nx,\"{\"\"a\"\":1,\"\"a\"\":2}\"\n", "the key `a` appears twice"),
    (b"name\n\nna\xEFve\n", "a.csv:3: `name` is not UTF-8; save the file as UTF-8 [not_utf8]"),
    (b"name\n\"\xFF\"\n", "a.csv:2: `name` is not UTF-8"),
    (b"name,count\n,1\n", "a.csv:2: `name` is required and cannot be null [required]"),
    (b"name\nx\n\"never closed\ny\nz\n", "a.csv:3: a quote is opened here and never closed"),
    (b"count\n1\n", "a.csv:2: `name` is required [required]"),
];

#[test]
fn every_bad_file_is_refused_with_line_code_and_text() {
    let place = Place::new();
    for (name, cases) in [("a.jsonl", &JSON_LINES[..]), ("a.csv", &CSV[..])] {
        for (text, words) in cases {
            place.write(name, text);
            let said = place.import("data", &[name]).refused(1, words);
            assert!(said.stderr.contains("nothing was imported"), "{}", said.stderr);
        }
    }
    assert!(place.records("data").is_empty());
}

#[test]
fn a_line_of_many_megabytes_is_refused_before_it_is_held() {
    let place = Place::new();
    place.write("a.jsonl", format!("{{\"name\": \"good\"}}\n{{\"name\": \"{}\"}}\n", "x".repeat(9 << 20)));
    place.import("data", &["a.jsonl"]).refused(1, "a.jsonl:2: the line is longer than 8388608 bytes");
    place.write("a.csv", format!("name\nx\n\"{}\n", "y\n".repeat(5 << 20)));
    place.import("data", &["a.csv"]).refused(
        1,
        "the record that begins in line 3 is longer than 8388608 bytes; is a closing quote missing?",
    );
}

#[test]
fn the_first_hundred_errors_are_reported_in_line_order() {
    let place = Place::new();
    let text: String = (1..=250).map(|n| if n % 2 == 0 { "{}\n" } else { "{\"name\": 1}\n" }).collect();
    place.write("a.jsonl", text);
    let said = place
        .import("data", &["a.jsonl"])
        .refused(1, "nothing was imported: 100 errors in a.jsonl; the rest of the file was not checked");
    let told: Vec<_> = said.stderr.lines().filter(|line| line.starts_with("a.jsonl:")).collect();
    assert_eq!(told.len(), 100);
    assert!(told[99].starts_with("a.jsonl:100: "), "{}", told[99]);
    let partial = place.import("data", &["a.jsonl", "--partial"]).refused(1, "and 150 more");
    assert!(partial.stderr.contains("250 errors in a.jsonl"), "{}", partial.stderr);

    place.write(
        "b.jsonl",
        format!("{{\"name\": \"a\", \"parent\": \"{}\"}}\n{{\"name\": 1}}\n{}", id(9000), many(2)),
    );
    let mixed = place.import("data", &["b.jsonl"]).refused(1, "2 errors");
    let (first, second) = (mixed.stderr.find("b.jsonl:1: "), mixed.stderr.find("b.jsonl:2: "));
    assert!(first.is_some() && first < second, "{}", mixed.stderr);
}

#[test]
fn no_record_is_imported_whose_address_would_be_that_of_the_count() {
    let place = Place::new();
    place.write("users.csv", "id,name\nada,Ada\ncount,Count Orlok\n");
    place.run("import", "data", &["User", "users.csv"]).refused(
        1,
        "users.csv:3: `id` must be an id: `count` is no id: behind the name of a list this word of an address is no record [bad_id]",
    );
}
