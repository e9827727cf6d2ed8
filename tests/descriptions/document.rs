//! The OpenAPI document itself: valid by the official schema, whole, and as it was accepted last.

use std::collections::BTreeSet;

use serde_json::Value;
use tidewire::schema::Schema;

use super::{PLURALS, generic, grown, json, plain};
use crate::descriptions::judge::Judge;
use crate::support::entities;

const OFFICIAL: &str = include_str!("../openapi/openapi-3.1.schema.json");
const ACCEPTED: &str = include_str!("../openapi/plain.json");

#[test]
fn the_document_is_valid_by_the_official_schema_of_openapi() {
    let official: Value = serde_json::from_str(OFFICIAL).unwrap();
    let validator = jsonschema::validator_for(&official).unwrap();
    let config = tidewire::config::HttpConfig::default();
    for schema in [entities::schema().as_ref().clone(), Schema::default(), clashing(), grown()] {
        let document = json(&tidewire::http::openapi::openapi(&schema, &config));
        let errors: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
    let document = json(&plain());
    assert!(validator.is_valid(&document));
    let mut without_info = document.clone();
    without_info.as_object_mut().unwrap().remove("info");
    let mut odd_parameter = document;
    odd_parameter["paths"]["/api/tasks"]["get"]["parameters"][0]["in"] = "nowhere".into();
    for wrong in [without_info, odd_parameter] {
        assert!(!validator.is_valid(&wrong), "the official schema judges nothing");
    }
}

/// Entities that take the names that the description would give to its own parts.
fn clashing() -> Schema {
    let names =
        ["Task", "TaskCreate", "TaskView", "Problem", "Count", "Batch", "About", "Entities", "Record"];
    let sources: Vec<_> = names
        .iter()
        .map(|name| tidewire::schema::SourceFile {
            name: format!("{name}.toml"),
            format: tidewire::schema::Format::Toml,
            text: format!(
                "entity = \"{name}\"\nplural = \"{}_rows\"\n[fields]\nf = {{ type = \"int\" }}",
                name.to_lowercase()
            ),
        })
        .collect();
    tidewire::schema::check(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn an_entity_keeps_its_name_where_the_description_has_one_too() {
    let document = json(&tidewire::http::openapi::openapi(&clashing(), &Default::default()));
    let schemas = &document["components"]["schemas"];
    for (name, property) in
        [("TaskCreate", "version"), ("TaskCreate_", "f"), ("Problem", "f"), ("Problem_", "code")]
    {
        assert!(
            schemas[name]["properties"].get(property).is_some(),
            "{name} has no {property}: {}",
            schemas[name]
        );
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_part_is_used() {
    for document in [plain(), tidewire::http::openapi::openapi(&grown(), &Default::default())] {
        whole(&document.to_text());
    }
}

fn whole(text: &str) {
    let document: Value = serde_json::from_str(text).unwrap();
    let mut led_to = BTreeSet::new();
    for piece in text.split("\"$ref\":\"#").skip(1) {
        let pointer = piece.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
        led_to.insert(pointer.to_owned());
    }
    for (kind, parts) in document["components"].as_object().unwrap() {
        for (name, _) in parts.as_object().unwrap() {
            assert!(
                led_to.contains(&format!("/components/{kind}/{name}")),
                "nothing refers to {kind}/{name}"
            );
        }
    }
}

#[test]
fn the_document_is_as_it_was_accepted() {
    let now = plain().to_pretty_text();
    if now == ACCEPTED {
        return;
    }
    let line = now.lines().zip(ACCEPTED.lines()).position(|(now, accepted)| now != accepted).unwrap_or(0);
    let shown = |text: &str| text.lines().skip(line.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n");
    panic!(
        "the OpenAPI document of tests/fixtures/plain differs from line {} on.\nAccepted:\n{}\nNow:\n{}\n\
         If that is meant: cargo run -- schema openapi --schemas tests/fixtures/plain > tests/openapi/plain.json",
        line + 1,
        shown(ACCEPTED),
        shown(&now)
    );
}

/// The document is made once for each generation.
#[tokio::test]
async fn the_document_follows_a_schema_that_changes_under_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config =
        tidewire::config::Config { data: folder.path().join("data"), listen: address, ..Default::default() };
    let app = tidewire::app::App::open(config, entities::schema(), tidewire::env::Env::system()).unwrap();
    let reshaper = app.reshaper();
    let server = tokio::spawn(app.run(listener, std::future::pending()));
    let client = crate::support::app::Client::new(address);
    let described = async |schema: &Schema| {
        let expected = json(&tidewire::http::openapi::openapi(schema, &Default::default()));
        client.get("/api/openapi.json").await == expected
    };
    assert!(described(&entities::schema()).await);
    let larger = Schema::new(entities::schema().entities().map(|entity| (**entity).clone()).chain([
        tidewire::schema::Entity::new(
            "Note",
            "notes",
            vec![tidewire::schema::Field::new("text", tidewire::schema::FieldKind::Bool)],
        ),
    ]));
    reshaper.reshape(std::sync::Arc::new(larger.clone())).await.unwrap();
    assert!(described(&larger).await && !described(&entities::schema()).await);
    server.abort();
}

#[test]
fn history_search_and_lookups_are_described_where_the_schema_has_them() {
    let document = json(&tidewire::http::openapi::openapi(&grown(), &Default::default()));
    let searched = |path: &str| {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        parameters.iter().any(|parameter| parameter["name"] == "search")
    };
    assert_eq!(["/api/tasks", "/api/tasks/count", "/api/projects"].map(searched), [true, true, false]);
    let paths = document["paths"].as_object().unwrap();
    let histories: Vec<&String> = paths.keys().filter(|path| path.ends_with("/history")).collect();
    assert_eq!(histories, ["/api/tasks/{id}/history"]);
    let schemas = &document["components"]["schemas"];
    let lookup = &schemas["Comment"]["properties"]["project"];
    assert_eq!(
        (&lookup["readOnly"], lookup["description"].as_str()),
        (&true.into(), Some("Id of a Project. Copied from task.project."))
    );
    assert!(schemas["CommentCreate"]["properties"].get("project").is_none(), "no client sets a lookup");
}

/// docs/http.md has the list for people; the two say the same.
#[test]
fn the_routes_of_the_handbook_are_the_operations_of_the_document() {
    let handbook = include_str!("../../docs/http.md");
    let mut told = BTreeSet::new();
    for row in handbook.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cell = row.split(" | ").next().unwrap_or_default();
        let mut method = "";
        for route in cell.split('`').filter(|piece| piece.contains('/')) {
            let path = route.split_once(' ').map_or(route, |(named, path)| {
                method = named;
                path
            });
            told.insert((method.to_lowercase(), path.to_owned()));
        }
    }
    let document = json(&tidewire::http::openapi::openapi(&grown(), &Default::default()));
    let mut described = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            described.insert((method.clone(), generic(path, &PLURALS)));
        }
    }
    assert_eq!(described, told, "left: described; right: docs/http.md");
}

/// The walk would be worth nothing if the judge let everything through.
#[test]
fn an_answer_that_is_not_as_described_is_noticed() {
    let judge = Judge::new(json(&plain()));
    let task = serde_json::json!({
        "id": "0190a000-0000-7000-8000-00000000000a", "version": 1, "title": "Write", "status": "open", "priority": 3,
        "due": null, "project": null, "owner": "ada", "tags": [1], "created_at": "2026-11-21T08:00:00.000Z",
        "updated_at": "2026-11-21T08:00:00.000Z",
    });
    let schema = serde_json::json!({"$ref": "#/components/schemas/Task"});
    assert_eq!(judge.matches(&schema, &task), Ok(()));
    for (member, wrong) in [
        ("id", "7".into()),
        ("version", 0.into()),
        ("title", Value::Null),
        ("status", "opened".into()),
        ("priority", "3".into()),
        ("due", "tomorrow".into()),
        ("owner", "a\u{7}".into()),
        ("created_at", "now".into()),
        ("colour", "red".into()),
    ] {
        let mut other = task.clone();
        other[member] = wrong;
        assert!(judge.matches(&schema, &other).is_err(), "{member}: {other}");
        other.as_object_mut().unwrap().remove(member);
        let still_whole = member == "colour";
        assert_eq!(judge.matches(&schema, &other).is_ok(), still_whole, "without {member}: {other}");
    }
}
