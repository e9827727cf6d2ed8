//! `tidewire schema`: the same texts as the routes answer, and errors of schema files as `tidewire check` prints them.

use std::fs;
use std::process::{Command, Output};

use crate::support::app::TestApp;
use crate::support::process::plain_schemas;

fn tidewire(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command.env_remove("TIDEWIRE_SCHEMAS").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_command_prints_what_the_route_answers() {
    let app = TestApp::start().await;
    let schemas = plain_schemas();
    let schemas = schemas.to_str().unwrap();
    let types = tidewire(&["schema", "types", "--schemas", schemas]);
    assert_eq!(types.status.code(), Some(0));
    let answer = app.client().call("GET", "/api/types.d.ts", serde_json::Value::Null).await;
    assert_eq!(text(&types.stdout), answer.text);
    assert!(answer.text.contains("export interface TaskCreate {"), "{}", answer.text);

    let openapi = tidewire(&["schema", "openapi", "--schemas", schemas]);
    assert_eq!(openapi.status.code(), Some(0));
    let printed: serde_json::Value = serde_json::from_slice(&openapi.stdout).unwrap();
    assert_eq!(printed, app.client().get("/api/openapi.json").await);
}

#[test]
fn the_schema_of_schema_files_needs_no_schema_files() {
    let answer = tidewire(&["schema", "json-schema"]);
    assert_eq!(answer.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert!(jsonschema::meta::is_valid(&schema), "{schema}");
}

#[test]
fn schema_files_with_errors_are_reported_and_nothing_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "entity = \"A\"\n[fields]\nf = { type = \"txt\" }\n").unwrap();
    let folder = folder.path().to_str().unwrap();
    for form in ["types", "openapi"] {
        let answer = tidewire(&["schema", form, "--schemas", folder]);
        assert_eq!((answer.status.code(), text(&answer.stdout)), (Some(1), ""));
        assert!(
            text(&answer.stderr).contains("error[E0130]: unknown type `txt`"),
            "{}",
            text(&answer.stderr)
        );
    }
}

#[test]
fn a_wrong_call_gets_an_error_that_lists_the_forms() {
    for (arguments, words) in [
        (&["schema"][..], "openapi"),
        (&["schema", "opanapi"], "openapi"),
        (&["schema", "types", "--schema", "x"], "--schemas"),
        (&["schema", "json-schema", "--schemas", "x"], "unexpected argument"),
    ] {
        let answer = tidewire(arguments);
        assert_eq!(answer.status.code(), Some(2), "{arguments:?}");
        assert!(text(&answer.stderr).contains(words), "{arguments:?}: {}", text(&answer.stderr));
    }
}
