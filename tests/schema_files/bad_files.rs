//! One table of wrong schema files, each with the code, the line and words that its error must have; and that all
//! errors of all files are reported at once.

pub(super) mod cases;

use std::collections::HashSet;

use serde_json::Value;
use tidewire::schema::{Color, DiagnosticCode};

use super::{errors, source};
use cases::{FIELD, FILE, ON};

#[test]
fn every_wrong_field_is_reported_with_code_line_and_text() {
    for (line, code, words) in FIELD {
        let text = format!("entity = \"A\"\n[fields]\n{line}\n");
        assert_only_error("a.toml", &text, code, 3, words);
    }
}

#[test]
fn every_wrong_file_is_reported_with_code_line_and_text() {
    for (name, text, code, line, words) in FILE.iter().chain(ON) {
        assert_only_error(name, text, code, *line, words);
    }
}

fn assert_only_error(name: &str, text: &str, code: &str, line: u64, words: &str) {
    let errors = errors(&[source(name, text)]);
    let json = errors.to_json();
    let [error] = json.as_array().expect("diagnostics are an array").as_slice() else {
        panic!("expected one error, {code}, of\n{text}\n{errors}");
    };
    assert_eq!((&error["code"], &error["line"]), (&code.into(), &line.into()), "{text}\n{errors}");
    assert_ne!(error["help"], "", "an error says what to do: {text}");
    let shown = errors.to_string();
    assert!(shown.contains(words), "`{words}` is not in the error of\n{text}\n{shown}");
    assert!(shown.contains(&format!("error[{code}]")), "{shown}");
}

#[test]
fn errors_about_limits_name_the_number() {
    let many = |count: usize, line: fn(usize) -> String| (0..count).map(line).collect::<String>();
    let head = "entity = \"A\"\n[fields]\n";
    let fields = format!("{head}{}", many(201, |at| format!("f{at} = {{ type = \"int\" }}\n")));
    assert_only_error("a.toml", &fields, "E0107", 203, "201 fields, and an entity has at most 200");
    let two = format!("{head}f = {{ type = \"int\" }}\n");
    let indexes = format!("{two}{}", many(65, |_| "[[index]]\nfields = [\"f\"]\n".to_owned()));
    assert!(errors(&[source("a.toml", &indexes)]).codes().any(|code| code == DiagnosticCode::TooMany));
    let values =
        format!("{head}f = {{ type = \"enum\", values = [{}] }}", many(1001, |at| format!("\"v{at}\",")));
    assert_only_error("a.toml", &values, "E0107", 3, "1 to 1000 values, not 1001");
    let rule = format!("{two}[access]\nread = \"{}\"", "x".repeat(4097));
    assert_only_error("a.toml", &rule, "E0170", 5, "longer than 4096 bytes");
    let deep = format!("{head}f = {{ type = \"json\", default = {}1{} }}", "[".repeat(40), "]".repeat(40));
    assert_only_error("a.toml", &deep, "E0107", 3, "nested deeper than 32 levels");
    let long = format!("entity = \"{}\"\n[fields]\nf = {{ type = \"int\" }}", "A".repeat(65));
    assert!(errors(&[source("a.toml", &long)]).codes().any(|code| code == DiagnosticCode::EntityName));
    let entities: Vec<_> = (0..201)
        .map(|at| {
            source(
                &format!("e{at:03}.toml"),
                &format!("entity = \"E{at}\"\n[fields]\nf = {{ type = \"int\" }}"),
            )
        })
        .collect();
    let errors = errors(&entities).to_string();
    assert!(
        errors.contains("201 entities, and a schema has at most 200") && errors.contains("e200.toml"),
        "{errors}"
    );
}

#[test]
fn all_errors_of_all_files_come_at_once_in_the_order_of_the_files() {
    let errors = errors(&[
        source(
            "a.toml",
            "entity = \"A\"\n[fields]\nf = { type = \"txt\" }\ng = { type = \"ref\", entity = \"C\" }\n",
        ),
        source(
            "b.json",
            "{\"entity\": \"B\", \"fields\": {\"x\": {\"type\": \"int\", \"min\": 2, \"max\": 1}}, \"lable\": \"x\"}",
        ),
        source("c.toml", "entity = \"C\"\n[fields]\nf = \n"),
        source("d.toml", "entity = \"A\"\nplural = \"bs\"\n[fields]\nf = { type = \"int\" }\n"),
    ]);
    let json = errors.to_json();
    let told: Vec<_> = json
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["file"].as_str().unwrap(), e["code"].as_str().unwrap()))
        .collect();
    // `g` refers to C, whose file is broken but says its name: no error about it.
    let expected = [
        ("schemas/a.toml", "E0130"),
        ("schemas/b.json", "E0131"),
        ("schemas/b.json", "E0110"),
        ("schemas/c.toml", "E0105"),
        ("schemas/d.toml", "E0121"),
        ("schemas/d.toml", "E0123"),
    ];
    assert_eq!(told, expected, "{errors}");
}

#[test]
fn a_field_of_user_does_not_hide_the_records_of_a_person() {
    let user = |field: &str| {
        source("user.toml", &format!("entity = \"User\"\n[fields]\n{field} = {{ type = \"json\" }}\n"))
    };
    let of_person = "entity = \"Membership\"\n[fields]\nwho = { type = \"ref\", entity = \"User\" }\n";
    let of_nobody = "entity = \"Membership\"\n[fields]\nwho = { type = \"text\" }\n";
    let errors = errors(&[source("membership.toml", of_person), user("memberships")]);
    let shown = errors.to_string();
    assert_eq!(errors.codes().collect::<Vec<_>>(), [DiagnosticCode::ReservedField], "{shown}");
    for words in ["schemas/user.toml:3:1", "schemas/membership.toml:1:10", "`user.memberships`"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    for (membership, field) in
        [(of_person, "membership"), (of_person, "membershipss"), (of_nobody, "memberships")]
    {
        let files = [source("membership.toml", membership), user(field)];
        tidewire::schema::check(&files).unwrap_or_else(|errors| panic!("{field}: {errors}"));
    }
}

#[test]
fn an_unreadable_name_elsewhere_makes_no_reference_unknown() {
    let errors = errors(&[
        source("a.toml", "entity = \"A\"\n[fields]\ng = { type = \"ref\", entity = \"B\" }\n"),
        source("b.json", "{\"entity\": \"B\","),
    ]);
    assert_eq!(errors.codes().collect::<Vec<_>>(), [DiagnosticCode::Syntax], "{errors}");
}

#[test]
fn duplicates_name_both_places() {
    let text = "entity = \"A\"\n[fields]\nf = { type = \"int\" }\n";
    let errors = errors(&[source("a.toml", text), source("b.toml", text)]).to_string();
    assert!(errors.contains("schemas/a.toml:1:10") && errors.contains("schemas/b.toml:1:10"), "{errors}");
}

#[test]
fn an_error_looks_like_this() {
    let errors = errors(&[source(
        "task.toml",
        "entity = \"Task\"\n\n[fields]\ntitle = { type = \"txt\", max = 20 }\n",
    )]);
    let expected = r#"error[E0130]: unknown type `txt`
 --> schemas/task.toml:4:18
  |
4 | title = { type = "txt", max = 20 }
  |                  ^^^^^ no such type
  |
  = help: did you mean `text`?

"#;
    assert_eq!(errors.to_string(), expected);
    assert_eq!(
        errors.to_json(),
        serde_json::json!([{
            "code": "E0130", "severity": "error", "message": "unknown type `txt`", "file": "schemas/task.toml",
            "line": 4, "column": 18, "endLine": 4, "endColumn": 23, "help": "did you mean `text`?",
        }])
    );
    assert!(!errors.render(Color::Never).contains('\u{1b}'));
    assert!(errors.render(Color::Always).contains('\u{1b}'));
}

#[test]
fn columns_count_characters() {
    let text = "{\"entity\": \"A\", \"fields\": {\"ä\": {\"type\": \"txt\"}}}";
    let json = errors(&[source("a.json", text)]).to_json();
    let kinds: Vec<(&Value, &Value)> =
        json.as_array().unwrap().iter().map(|e| (&e["code"], &e["column"])).collect();
    assert_eq!(kinds, [(&"E0125".into(), &28.into()), (&"E0130".into(), &42.into())]);
}

#[test]
fn a_key_that_is_given_twice_does_not_hide_the_other_faults_of_its_file() {
    let json = "{\"entity\": \"A\", \"plural\": \"batch\", \"foo\": 1, \"fields\": {\"f\": {\"type\": \"txt\", \"type\": \"int\"}}}";
    let found = errors(&[source("a.json", json)]);
    let codes: HashSet<&str> = found.codes().map(DiagnosticCode::as_str).collect();
    assert!(codes.contains("E0106") && codes.contains("E0130") && codes.len() >= 4, "{codes:?}");
}

#[test]
fn every_code_is_documented_and_every_error_of_a_text_is_shown_by_a_case() {
    let manual = include_str!("../../docs/schema.md");
    let mut texts = HashSet::new();
    for code in DiagnosticCode::ALL {
        assert!(texts.insert(code.as_str()), "{} stands for two things", code.as_str());
        assert!(
            manual.contains(&format!("| {} | {} |", code.as_str(), code.meaning())),
            "{} in docs/schema.md",
            code.as_str()
        );
    }
    let shown: HashSet<&str> =
        FIELD.iter().map(|case| case.1).chain(FILE.iter().chain(ON).map(|case| case.2)).collect();
    // Files themselves, limits and two-file cases have tests of their own.
    let elsewhere = [
        "E0101", "E0102", "E0103", "E0104", "E0107", "E0121", "E0170", "E0177", "E0200", "E0201", "E0202",
        "E0350", "W0101", "W0102", "W0103", "W0124", "W0125",
    ];
    for code in DiagnosticCode::ALL.iter().map(|code| code.as_str()).filter(|code| !elsewhere.contains(code))
    {
        assert!(shown.contains(code), "no case shows {code}");
    }
}

#[test]
fn a_former_name_that_is_still_in_use_names_both_places() {
    let text = |name: &str, was: &str| {
        format!("entity = \"{name}\"\nwas = \"{was}\"\n[fields]\nf = {{ type = \"int\" }}\n")
    };
    let plain = "entity = \"A\"\n[fields]\nf = { type = \"int\" }\n";
    let taken = errors(&[source("a.toml", plain), source("b.toml", &text("B", "A"))]).to_string();
    assert!(taken.contains("E0155") && taken.contains("the entity `A` is still there"), "{taken}");
    let twice = errors(&[source("b.toml", &text("B", "X")), source("c.toml", &text("C", "X"))]).to_string();
    assert!(twice.contains("two entities were `X`") && twice.contains("schemas/b.toml:2:7"), "{twice}");
}

#[test]
fn a_cycle_of_lookups_is_reported_at_each_of_them() {
    let text = |name: &str, other: &str| {
        format!(
            "entity = \"{name}\"\n[fields]\nr = {{ type = \"ref\", entity = \"{other}\" }}\nx = {{ type = \"int\", from = \"r.x\" }}\n"
        )
    };
    let errors = errors(&[source("a.toml", &text("A", "B")), source("b.toml", &text("B", "A"))]);
    assert_eq!(
        errors.codes().collect::<Vec<_>>(),
        [DiagnosticCode::LookupCycle, DiagnosticCode::LookupCycle],
        "{errors}"
    );
}
