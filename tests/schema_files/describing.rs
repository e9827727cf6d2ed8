//! The JSON of `GET /api/schema`, and the canonical form, which is equal when two schemas mean the same.

use serde_json::json;
use tidewire::schema::{Generation, canonical, check, describe};

use super::{good, shipped, source};

#[test]
fn a_schema_is_described_like_this() {
    let text = r#"
entity = "Task"
label = "title"
[fields]
title = { type = "text", required = true, max = 200, pattern = "x" }
status = { type = "enum", values = ["open", "done"], default = "open" }
effort = { type = "float", min = 0.5 }
at = { type = "datetime", default = "now", readonly = true }
owner = { type = "ref", entity = "User", default = "user.id" }
key = { type = "uuid", unique = true }
extra = { type = "json", default = [1] }
[access]
read = "true"
[[index]]
fields = ["status", "owner"]
"#;
    let plain = |name: &str, kind: &str| json!({"name": name, "type": kind, "required": false, "unique": false, "readonly": false});
    let with = |mut field: serde_json::Value, more: serde_json::Value| {
        field.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        field
    };
    let expected = json!({
        "generation": 7,
        "entities": [
            {
                "name": "Task", "plural": "tasks", "label": "title", "id": "uuid",
                "fields": [
                    with(plain("title", "text"), json!({"required": true, "max": 200, "pattern": "x"})),
                    with(plain("status", "enum"), json!({"values": ["open", "done"], "default": "open"})),
                    with(plain("effort", "float"), json!({"min": 0.5})),
                    with(plain("at", "datetime"), json!({"readonly": true, "default": {"from": "now"}})),
                    with(plain("owner", "ref"), json!({"entity": "User", "on_delete": "restrict", "default": {"from": "user.id"}})),
                    with(plain("key", "uuid"), json!({"unique": true})),
                    with(plain("extra", "json"), json!({"default": [1]})),
                ],
                "indexes": [["status", "owner"]],
            },
            {
                "name": "User", "plural": "users", "label": "name", "id": "text",
                "fields": [
                    with(plain("name", "text"), json!({"max": 128})),
                    with(plain("role", "text"), json!({"max": 64})),
                    with(plain("disabled", "bool"), json!({"default": false})),
                ],
                "indexes": [],
            },
        ],
    });
    assert_eq!(describe(&good(text), Generation(7)), expected);
}

#[test]
fn the_canonical_form_ignores_the_order_of_files_and_nothing_else() {
    let files = shipped();
    let reversed: Vec<_> = files.iter().rev().cloned().collect();
    let base = canonical(&check(&files).unwrap());
    assert_eq!(base, canonical(&check(&reversed).unwrap()));
    let changes = [
        ("max = 200", "max = 201"),
        ("min = 1, max = 200", "max = 200"),
        ("\"open\", \"doing\"", "\"doing\", \"open\""),
        ("default = 3", "default = 4"),
        ("on_delete = \"cascade\"", "on_delete = \"restrict\""),
        ("default = \"user.id\" }", "default = \"user.id\", readonly = true }"),
        ("{ type = \"date\" }", "{ type = \"datetime\" }"),
        ("{ type = \"date\" }", "{ type = \"date\", unique = true }"),
        ("{ type = \"date\" }", "{ type = \"date\", default = \"now\" }"),
        ("[\"status\", \"due\"]", "[\"due\", \"status\"]"),
        ("label  = \"title\"", "label = \"status\""),
        ("history = \"30d\"", "history = \"90d\""),
        ("project == null && user != null", "project == null"),
        ("tags     =", "labels ="),
        ("entity = \"Task\"", "entity = \"Task\"\nplural = \"todo\""),
    ];
    for (from, to) in changes {
        let changed: Vec<_> = files
            .iter()
            .map(|file| {
                let text = if file.name.ends_with("task.toml") {
                    file.text.replacen(from, to, 1)
                } else {
                    file.text.clone()
                };
                source(file.name.rsplit('/').next().unwrap(), &text)
            })
            .collect();
        let changed = canonical(&check(&changed).unwrap_or_else(|errors| panic!("{errors}")));
        assert_ne!(base, changed, "{from} → {to}");
    }
}

#[test]
fn the_canonical_form_stays_as_it_is_from_release_to_release() {
    let schema = good("entity = \"A\"\n[fields]\nf = { type = \"int\", min = 1 }\n[access]\nread = \"true\"");
    let expected = concat!(
        r#"{"entities":[{"access":{"create":null,"delete":null,"read":"true","update":null},"#,
        r#""fields":[{"min":1,"name":"f","readonly":false,"required":false,"type":"int","unique":false}],"#,
        r#""id":"uuid","indexes":[],"label":null,"name":"A","plural":"as"},"#,
        r#"{"access":{"create":null,"delete":null,"read":null,"update":null},"fields":["#,
        r#"{"max":128,"name":"name","readonly":false,"required":false,"type":"text","unique":false},"#,
        r#"{"max":64,"name":"role","readonly":false,"required":false,"type":"text","unique":false},"#,
        r#"{"default":false,"name":"disabled","readonly":false,"required":false,"type":"bool","unique":false}],"#,
        r#""id":"text","indexes":[],"label":"name","name":"User","plural":"users"}],"format":1}"#,
    );
    assert_eq!(canonical(&schema), expected);
}
