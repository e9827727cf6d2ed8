//! Names that the server writes and names that schema files choose do not meet in one object.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::repository::Body;
use tidewire::schema::{Entity, Field, FieldKind, Format, OnDelete, Schema, SourceFile, check};

use crate::support::app::TestApp;
use crate::support::entities;
use crate::support::socket::Socket;

/// A schema of one entity `Thing` with a ref and a field of this name.
fn with_field(name: &str) -> Result<Schema, String> {
    let text = format!(
        "entity = \"Thing\"\nhistory = \"forever\"\n[fields]\nother = {{ type = \"ref\", entity = \"Thing\" }}\n{name} = {{ type = \"text\" }}\n"
    );
    let file = SourceFile { name: "schemas/thing.toml".to_owned(), format: Format::Toml, text };
    check(&[file]).map_err(|errors| errors.to_string())
}

fn names(json: &Value) -> BTreeSet<String> {
    json.as_object().unwrap_or_else(|| panic!("an object, not {json}")).keys().cloned().collect()
}

#[tokio::test]
async fn what_the_server_adds_to_a_record_is_no_field_name() {
    let app = TestApp::over(with_field("title").unwrap().into(), |_| {}).await;
    let (api, mut socket) = (app.client(), Socket::open(app.address).await);
    socket.subscribe("entity:Thing", Value::Null).await;
    let first = api.create("things", json!({"title": "a"})).await;
    let second = api.create("things", json!({"title": "b", "other": first["id"]})).await;
    let at = format!("/api/things/{}", second["id"].as_str().unwrap());
    let list = api.get("/api/things?expand=other.other&sort=-title").await;
    let one = api.get(&format!("{at}?expand=other")).await;
    let history = api.get(&format!("{at}/history")).await;
    let stale = api.call_with("PATCH", &at, json!({}), &[("If-Match", "\"7\"")]).await;
    let batch =
        json!({"ops": [{"op": "update", "entity": "Thing", "id": second["id"], "data": {"title": "c"}}]});
    let written = api.call("POST", "/api/batch", batch).await;
    let mut records = vec![
        second,
        list["items"][0].clone(),
        list["items"][0]["expanded"]["other"].clone(),
        one,
        history["items"][0]["after"].clone(),
        stale.json["current"].clone(),
        written.json["results"][0]["record"].clone(),
    ];
    for _ in 0..3 {
        let event = socket.frame().await;
        records.push(event["payload"].clone());
    }
    let found: BTreeSet<String> = records.iter().flat_map(names).collect();
    let own: BTreeSet<String> = ["other", "title"].map(str::to_owned).into();
    let added: Vec<&String> = found.difference(&own).collect();
    assert_eq!(added, ["created_at", "expanded", "id", "updated_at", "version"], "what the story has seen");
    for name in added {
        let refused = with_field(name).expect_err("the name is the server's");
        assert!(refused.contains("E0126"), "{name}: {refused}");
    }
}

#[tokio::test]
async fn a_field_may_be_called_like_a_parameter_of_a_request() {
    let app = TestApp::over(with_field("title").unwrap().into(), |_| {}).await;
    let document = app.client().get("/api/openapi.json").await;
    let mut parameters = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/api/things") {
            continue;
        }
        for parameter in
            methods.as_object().unwrap().values().flat_map(|method| method["parameters"].as_array()).flatten()
        {
            let parameter = match parameter["$ref"].as_str() {
                Some(at) => document.pointer(at.trim_start_matches('#')).unwrap(),
                None => parameter,
            };
            if parameter["in"] == "query" {
                parameters.insert(parameter["name"].as_str().unwrap().to_owned());
            }
        }
    }
    let words: Vec<&String> = parameters
        .iter()
        .filter(|name| {
            !name.contains('[')
                && !["title", "other", "id", "version", "created_at", "updated_at"].contains(&name.as_str())
        })
        .collect();
    assert!(words.len() > 6, "{words:?}");
    // Tokens are refused and so not described.
    for name in words.into_iter().map(String::as_str).chain(["token", "ticket", "access_token", "api_key"]) {
        with_field(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn a_field_that_was_called_expanded_is_renamed_and_keeps_its_values() {
    let schema = |field: Field| -> Arc<Schema> {
        let user = entities::schema().entity("User").map(|user| Entity::clone(user)).unwrap();
        let parent =
            Field::new("parent", FieldKind::Ref { entity: "Old".into(), on_delete: OnDelete::Restrict });
        Schema::new(vec![user, Entity::new("Old", "olds", vec![parent, field])]).into()
    };
    // As from a version that took the name.
    let app = TestApp::over(schema(Field::new("expanded", FieldKind::Json)), |_| {}).await;
    let api = app.client();
    let parent = api.create("olds", json!({"expanded": 1})).await;
    let child = api.create("olds", json!({"parent": parent["id"], "expanded": 2})).await;
    let renamed = Field { was: Some("expanded".into()), ..Field::new("details", FieldKind::Json) };
    app.reshape(schema(renamed)).await.expect("it is a rename");
    let answer = api
        .call("GET", &format!("/api/olds/{}?expand=parent", child["id"].as_str().unwrap()), Value::Null)
        .await;
    assert_eq!(
        (&answer.json["details"], &answer.json["expanded"]["parent"]["details"]),
        (&json!(2), &json!(1))
    );
    // A body may not name a key twice, so this reads the answer strictly.
    Body::parse(answer.text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {}", answer.text));
    let text = "entity = \"Old\"\n[fields]\ndetails = { type = \"json\", was = \"expanded\" }\n".to_owned();
    let file = SourceFile { name: "schemas/old.toml".to_owned(), format: Format::Toml, text };
    check(&[file]).unwrap_or_else(|errors| panic!("a file may say so: {errors}"));
}
