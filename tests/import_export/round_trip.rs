//! What is exported comes in again with the same fields, whatever the texts hold.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::{Place, id, lines, plain};
use crate::support::app::Client;
use crate::support::properties::stories;

/// Texts that programs trip over.
const HOSTILE: [&str; 24] = [
    "",
    " ",
    "\"",
    "\"\"",
    "\"\"\"",
    ",",
    "a,b",
    "a\nb",
    "a\r\nb",
    "\r",
    "\n",
    "\u{feff}mark",
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-1",
    "@SUM(A1)",
    "null",
    "NULL",
    "true",
    "ünïcödé 🙂👩‍👩‍👧",
    "\u{202e}right to left",
    "tab\there",
    "\\N",
    " spaces at both ends ",
];

fn sample(n: u64, name: &str) -> Value {
    json!({
        "id": id(n), "name": name, "code": null, "count": -12, "ratio": 0.1, "active": true, "kind": "=blue",
        "extra": {"a": [1, null, "x,\"y\"\n"], "b": ""}, "day": "2024-02-29", "moment": "1969-12-31T23:59:59.999Z",
        "badge": id(7), "parent": id(1), "maker": "ann"
    })
}

#[tokio::test]
async fn every_type_and_hostile_text_survives_both_formats() {
    let place = Place::new();
    let records: Vec<Value> = (1..).zip(HOSTILE).map(|(n, text)| sample(n, text)).collect();
    place.write("users.csv", "id,name\nann,Ann\n");
    place.write("a.jsonl", lines(records.clone()));
    let wanted = plain(records);
    for data in ["first", "jsonl", "csv"] {
        place.run("import", data, &["User", "users.csv"]).ok();
    }
    place.import("first", &["a.jsonl"]).ok();
    for format in ["jsonl", "csv"] {
        let file = format!("out.{format}");
        place.run("export", "first", &["Sample", "-o", &file]).ok();
        let said = place.import(format, &[&file]).ok();
        assert!(said.stderr.contains("note:"), "{}", said.stderr);
        for column in ["version", "created_at", "updated_at"] {
            assert!(said.stderr.contains(column), "{}", said.stderr);
        }
        let server = place.serve(format).await;
        let rows = Client::new(server.address).rows("samples").await;
        assert_eq!(plain(rows.into_values()), wanted, "{format}");
    }
}

#[test]
fn an_empty_cell_is_null_and_a_quoted_one_the_empty_text() {
    let place = Place::new();
    let csv = "\u{feff}count,name,code,extra,active,id\r\n,\"\",,,,\r\n\r\n3,\"a\"\"b\r\nc\",==,\"\"\"\"\"\",false,\r\n\"7\",x,\"\"\"\"\"\",null,,\r\n";
    place.write("a.csv", csv);
    place.import("data", &["a.csv"]).ok();
    let mut rows: Vec<Value> = place.records("data").into_values().collect();
    rows.sort_by_key(|row| row["name"].as_str().unwrap().to_owned());
    let seen: Vec<_> = rows
        .iter()
        .map(|row| json!([row["name"], row["count"], row["code"], row["extra"], row["active"]]))
        .collect();
    assert_eq!(
        seen,
        [
            json!(["", null, null, null, null]),
            json!(["a\"b\r\nc", 3, "==", "", false]),
            json!(["x", 7, "\"\"", null, null]),
        ]
    );
}

#[test]
fn bools_are_read_as_programs_write_them() {
    let place = Place::new();
    let words = [("true", true), ("TRUE", true), ("True", true), ("t", true), ("T", true), ("1", true)];
    let others = [
        ("false", false),
        ("FALSE", false),
        ("False", false),
        ("f", false),
        ("0", false),
        ("\"TRUE\"", true),
    ];
    let all: Vec<(&str, bool)> = words.into_iter().chain(others).collect();
    let rows: String = all.iter().zip(1..).map(|((word, _), n)| format!("{},x,{word}\n", id(n))).collect();
    place.write("a.csv", format!("id,name,active\n{rows}"));
    place.import("data", &["a.csv"]).ok();
    let records = place.records("data");
    for ((word, expected), n) in all.into_iter().zip(1..) {
        assert_eq!(records[&id(n)]["active"], expected, "{word}");
    }
}

#[test]
fn every_line_may_begin_with_a_byte_order_mark() {
    let place = Place::new();
    // As two files that were put together.
    place.write("a.jsonl", "\u{feff}{\"name\": \"a\"}\n{\"name\": \"b\"}\n\u{feff}{\"name\": \"c\"}\n");
    place.import("data", &["a.jsonl"]).ok();
    assert_eq!(place.records("data").len(), 3);
}

fn text() -> impl Strategy<Value = String> {
    let any = vec(any::<char>().prop_filter("U+0000 cannot be stored", |c| *c != '\0'), 0..12);
    prop_oneof![
        any.prop_map(String::from_iter),
        vec(prop::sample::select(HOSTILE.as_slice()), 0..4).prop_map(|parts| parts.concat()),
    ]
}

fn value_of_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON knows no others", |float| float.is_finite()).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn maybe(strategy: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Value> {
    prop_oneof![Just(Value::Null), strategy].boxed()
}

/// The values of one record, in the order of the names below.
fn values() -> impl Strategy<Value = Vec<Value>> {
    let float = any::<f64>().prop_filter("JSON knows no others", |float| float.is_finite());
    // Zero has no sign in the database.
    let float = float.prop_map(|float| Value::from(float + 0.0));
    vec![
        text().prop_map(Value::from).boxed(),
        maybe((-1_000_000..=1_000_000_i64).prop_map(Value::from)),
        maybe(float),
        maybe(any::<bool>().prop_map(Value::from)),
        maybe(prop::sample::select(vec!["red", "green", "=blue"]).prop_map(Value::from)),
        maybe(value_of_json()),
        maybe(
            (1..=9999_u32, 1..=12_u32, 1..=28_u32)
                .prop_map(|(y, m, d)| Value::from(format!("{y:04}-{m:02}-{d:02}"))),
        ),
        maybe(any::<u128>().prop_map(|number| Value::from(uuid::Uuid::from_u128(number).to_string()))),
        maybe((1..=8_u64).prop_map(|n| Value::from(id(n)))),
    ]
}

const NAMES: [&str; 9] = ["name", "count", "ratio", "active", "kind", "extra", "day", "badge", "parent"];

#[test]
fn any_records_go_out_and_come_in_unchanged() {
    let mut runner = TestRunner::new(stories(10));
    let records = vec(values(), 8..20).prop_map(|records| {
        let named = |(n, values): (u64, Vec<Value>)| {
            let mut record: Value = NAMES
                .iter()
                .map(|name| (*name).to_owned())
                .zip(values)
                .collect::<serde_json::Map<_, _>>()
                .into();
            record["id"] = json!(id(n));
            (record["code"], record["moment"], record["maker"]) = (Value::Null, Value::Null, Value::Null);
            record
        };
        (1..).zip(records).map(named).collect::<Vec<Value>>()
    });
    let outcome = runner.run(&records, |records| {
        let place = Place::new();
        place.write("a.jsonl", lines(records.clone()));
        place.import("one", &["a.jsonl"]).ok();
        place.run("export", "one", &["Sample", "-o", "a.csv"]).ok();
        place.import("two", &["a.csv", "--batch", "3"]).ok();
        prop_assert_eq!(place.records("two"), plain(records));
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
