//! The JSON Schema of schema files, by which editors judge while one types: never stricter than the checker, and as
//! strict as one file alone allows.

use jsonschema::Validator;
use serde_json::{Value, json};
use tidewire::schema::json_schema;

use super::bad_files::cases::{FIELD, FILE};
use super::good_files::{EVERYTHING_JSON, EVERYTHING_TOML};
use super::{good, shipped};

/// The codes of errors that only a compiler of patterns, a comparison of values or a look at other files and fields finds.
const CHECKER_ALONE: [&str; 18] = [
    "E0131", "E0133", "E0141", "E0150", "E0153", "E0154", "E0155", "E0160", "E0161", "E0163", "E0123",
    "E0171", "E0172", "E0173", "E0174", "E0176", "E0179", "E0210",
];

/// What a tree of JSON does not show, and days that are not in the calendar, by words of the file.
const NOT_SEEN: [&str; 17] = [
    // The same fields in another order.
    "fields = [\"r\", \"f\"]",
    // Which fields are texts.
    "fields = [\"f\", \"r\"]\nignore_case = true",
    "plural = \"role\"",
    "36526d",
    // What the steps make of a text.
    "default = \"New\"",
    "default = \" x\"",
    "normalize = [\"lower\"], default = \"random\"",
    "entity = \"User\", default = \"random\"",
    // An editor has the parsed number, which is kept.
    "9007199254740993",
    "0.1234567890123456789",
    "1e-400",
    "type = \"int\", default = 3.0",
    "\"2026-02-30\"",
    "type = \"json\", default = [2026-02-03]",
    "entity = \"Change\"",
    // Which field is meant.
    "type = \"int\", sequence = \"",
    "\"entity\": \"A\",\n\"entity\": \"A\"",
];

fn editor() -> Validator {
    let schema = json_schema();
    jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{error}"));
    jsonschema::validator_for(&schema).unwrap()
}

/// The tree of a file as an editor sees it; `None` when it cannot be read at all.
fn tree(name: &str, text: &str) -> Option<Value> {
    match name.ends_with(".json") {
        true => serde_json::from_str(text).ok(),
        false => toml::from_str(text).ok().map(of_toml),
    }
}

/// Bare dates of TOML are strings to JSON Schema.
fn of_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(moment) => json!(moment.to_string()),
        toml::Value::Array(items) => items.into_iter().map(of_toml).collect(),
        toml::Value::Table(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, of_toml(value))).collect())
        }
        toml::Value::String(text) => json!(text),
        toml::Value::Integer(number) => json!(number),
        toml::Value::Float(number) => json!(number),
        toml::Value::Boolean(flag) => json!(flag),
    }
}

#[test]
fn every_good_file_is_good_to_an_editor() {
    let editor = editor();
    let mut files: Vec<(String, String)> =
        shipped().into_iter().map(|source| (source.name, source.text)).collect();
    assert!(files.len() >= 3);
    for (name, text) in [
        ("a.toml", EVERYTHING_TOML),
        ("a.json", EVERYTHING_JSON),
        (
            "b.toml",
            "entity = \"User\"\n[fields]\nteam = { type = \"text\" }\n[[index]]\nfields = [\"role\", \"team\"]",
        ),
        ("c.toml", "entity = \"User\""),
        (
            "d.toml",
            "entity = \"A\"\n[fields]\nd = { type = \"date\", default = 2026-11-21 }\ne = { type = \"datetime\", default = 2026-11-21 08:00:00Z }",
        ),
    ] {
        files.push((name.to_owned(), text.to_owned()));
    }
    for (name, text) in files {
        let tree = tree(&name, &text).unwrap_or_else(|| panic!("{name} cannot be read"));
        let errors: Vec<String> = editor.iter_errors(&tree).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn an_editor_underlines_what_one_file_alone_tells() {
    let editor = editor();
    let fields =
        FIELD.iter().map(|(line, code, _)| ("a.toml", format!("entity = \"A\"\n[fields]\n{line}\n"), *code));
    let files = FILE.iter().map(|(name, text, code, ..)| (*name, (*text).to_owned(), *code));
    let (mut refused, mut passed) = (0, Vec::new());
    for (name, text, code) in fields.chain(files) {
        let Some(tree) = tree(name, &text) else { continue };
        match editor.is_valid(&tree) {
            true => passed.push((code, text)),
            false => refused += 1,
        }
    }
    assert!(refused > 60, "only {refused} bad files are refused");
    passed.retain(|(code, text)| {
        !CHECKER_ALONE.contains(code) && !NOT_SEEN.iter().any(|words| text.contains(words))
    });
    assert!(passed.is_empty(), "{passed:#?}");
}

#[test]
fn a_file_may_say_where_its_schema_is() {
    let plain = "entity = \"A\"\n[fields]\nf = { type = \"int\" }";
    let told = format!("\"$schema\" = \"../tidewire.schema.json\"\n{plain}");
    assert_eq!(good(plain), good(&told));
    let json = "{\"$schema\": \"./x.json\", \"entity\": \"A\", \"fields\": {\"f\": {\"type\": \"int\"}}}";
    let read =
        tidewire::schema::check(&[super::source("a.json", json)]).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(good(plain), read);
}
