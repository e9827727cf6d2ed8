//! The samples: schema files and settings are given to the program, bodies are sent, and answers have the members of real ones.
//!
//! In a sample `…` stands for what is left out. Ids differ in their first digits: `0190…`, `0191…`.

use std::path::Path;

use regex::Regex;
use serde_json::{Value, json};

use super::page::{blocks, root};
use crate::support::app::{Client, TestApp};
use crate::support::process::{ended, tidewire};
use crate::support::socket::Socket;

/// Checks a file in the place of the shipped one. Comments are left out: they copy fields of a whole task.
async fn check(about: &str, name: &str, text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let schemas = folder.path().join("schemas");
    std::fs::create_dir(&schemas).unwrap();
    for entry in std::fs::read_dir(root().join("schemas")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap();
        if path.is_file() && stem != "comment" && stem != Path::new(name).file_stem().unwrap() {
            std::fs::copy(&path, schemas.join(path.file_name().unwrap())).unwrap();
        }
    }
    std::fs::write(schemas.join(name), text).unwrap();
    let told = ended(tidewire(folder.path()).arg("check")).await;
    assert_eq!(told.code, 0, "{about}\n{text}\n{}", told.stderr);
}

/// The sample of a whole file of `Task`, and every sample that is a part of one put below it.
async fn schema_samples(page: &str) -> usize {
    let samples = blocks(page, &["toml", "json"]);
    let whole =
        samples.iter().find(|block| block.text.contains("entity = \"Task\"\n")).expect("a whole file");
    let (head, _) = whole.text.split_once("\n[access]").unwrap_or((&whole.text, ""));
    for block in &samples {
        let json = block.language == "json";
        let text = match block.text.as_str() {
            text if json || text.contains("[fields]") => text.to_owned(),
            beginning if beginning.contains("entity =") => head.replacen("entity = \"Task\"\n", beginning, 1),
            text if text.starts_with("[access]") => format!("{head}\n{text}"),
            fields => format!("{}\n{fields}", head.trim_end().split("\n[[").next().unwrap().trim_end()),
        };
        check(page, if json { "task.json" } else { "task.toml" }, &text).await;
    }
    samples.len()
}

#[tokio::test]
async fn every_sample_of_a_schema_file_has_no_error() {
    assert_eq!(schema_samples("README.md").await, 2);
    assert_eq!(schema_samples("docs/schema.md").await, 12);
    // Its recipes are served by `permissions`; this is the block before them.
    let sample = &blocks("docs/permissions.md", &["toml"])[0];
    let fields = std::fs::read_to_string(root().join("schemas/task.toml")).unwrap();
    let (fields, _) = fields.split_once("[access]").unwrap();
    check("docs/permissions.md", "task.toml", &format!("{fields}\n{}", sample.text)).await;
}

#[tokio::test]
async fn every_sample_of_settings_is_taken() {
    let samples = blocks("docs/configuration.md", &["toml"]);
    assert_eq!(samples.len(), 1);
    for sample in samples {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tidewire.toml"), &sample.text).unwrap();
        let told = ended(tidewire(folder.path()).args(["config", "--json"])).await;
        assert_eq!(told.code, 0, "{}\n{}", sample.text, told.stderr);
        let set = told.stdout.matches("tidewire.toml:").count();
        let values = sample.text.lines().filter(|line| line.contains(" = ")).count();
        assert_eq!(set, values, "not every line of the sample is a setting:\n{}", told.stdout);
    }
}

/// The sample as JSON, without what is left out.
fn shape(text: &str) -> Value {
    let text = text.replace("{…}", "{}").replace("[…]", "[]");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

/// Where the sample shows a member or a type that the answer does not have.
fn differs(found: &Value, shown: &Value, at: &str) -> Option<String> {
    match (found, shown) {
        (Value::Object(found), Value::Object(shown)) => shown.iter().find_map(|(name, shown)| {
            let at = format!("{at}.{name}");
            found.get(name).map_or(Some(format!("{at} is missing")), |found| differs(found, shown, &at))
        }),
        (Value::Array(found), Value::Array(shown)) => shown.iter().enumerate().find_map(|(index, shown)| {
            let at = format!("{at}[{index}]");
            found.get(index).map_or(Some(format!("{at} is missing")), |found| differs(found, shown, &at))
        }),
        // A null in an answer is a value that is not there now.
        (Value::Null, _) | (_, Value::Null) => None,
        _ => (std::mem::discriminant(found) != std::mem::discriminant(shown))
            .then(|| format!("{at} is {found}, not like {shown}")),
    }
}

fn assert_shape(found: &Value, sample: &str) {
    let difference = differs(found, &shape(sample), "answer");
    assert!(difference.is_none(), "{}\n{found:#}\n{sample}", difference.unwrap());
}

/// The one sample of a page that holds this text.
fn sample(page: &str, holds: &str) -> String {
    let mut all = blocks(page, &["json"]);
    all.retain(|block| block.text.contains(holds));
    assert_eq!(all.len(), 1, "{page}: samples with {holds}");
    all.remove(0).text
}

fn uuid(digits: &str) -> String {
    format!("{digits}0000-0000-7000-8000-000000000000")
}

/// A server whose tasks have a history, with the records that the samples name.
async fn stage() -> (TestApp, Client) {
    let folder = tempfile::tempdir().unwrap();
    for file in ["comment", "project", "task"] {
        let text = std::fs::read_to_string(root().join(format!("tests/fixtures/plain/{file}.toml"))).unwrap();
        let text = text.replace("label ", "history = \"90d\"\nlabel ");
        std::fs::write(folder.path().join(format!("{file}.toml")), text).unwrap();
    }
    let schema = tidewire::schema::load(folder.path()).expect("the schema is good").schema;
    let app = TestApp::over(schema.into(), |_| {}).await;
    let ada = app.client_as("ada");
    for digits in ["0191", "0192"] {
        ada.create("tasks", json!({"id": uuid(digits), "title": "There"})).await;
    }
    ada.create("comments", json!({"id": uuid("0193"), "body": "Gone soon", "task": uuid("0191")})).await;
    let path = format!("/api/tasks/{}", uuid("0191"));
    ada.patch(&path, json!({"priority": 4})).await;
    ada.patch_with_mid(&path, json!({"status": "doing"}), "m-7").await;
    (app, ada)
}

#[tokio::test]
async fn the_answers_that_the_page_of_the_api_shows_are_like_real_ones() {
    let page = "docs/http.md";
    let (app, ada) = stage().await;

    let answer = ada.get("/api/tasks?limit=1").await;
    assert_shape(&answer, &sample(page, "\"items\": [{\"id\""));
    assert!(answer["next"].is_string(), "{answer}");
    let history = ada.get(&format!("/api/tasks/{}/history?limit=20", uuid("0191"))).await;
    assert_shape(&history, &sample(page, "\"op\": \"update\", \"version\""));
    assert_eq!(history["items"][0]["mid"], "m-7");

    let activity = ada.get("/api/activity?entity=Task&limit=1").await;
    assert_shape(&activity, &sample(page, "\"label\": \"Write the page\""));
    assert_eq!(activity["items"][0]["changed"], json!(["status"]));

    let with_ids = |sample: &str| -> Value {
        let ids = Regex::new(r"(019\d)…").unwrap();
        let text = ids.replace_all(sample, |found: &regex::Captures<'_>| uuid(&found[1]));
        serde_json::from_str(&text).unwrap()
    };
    let question = with_ids(&sample(page, "{\"status\": \"open\", \"due\": null"));
    let answer = ada.call("POST", "/api/tasks/query", question).await;
    assert_eq!(answer.status, 200, "{}", answer.text);

    let body = with_ids(&sample(page, "{\"atomic\": true"));
    let answer = ada.call("POST", "/api/batch", body.clone()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sent = body["ops"].as_array().unwrap().len();
    assert_eq!(answer.json["results"].as_array().unwrap().len(), sent, "{}", answer.text);
    // The sample shows the first and the last result.
    let results = &answer.json["results"];
    let ends = json!({"epoch": answer.json["epoch"], "seq": answer.json["seq"],
        "results": [results[0], results[sent - 1]], "replayed": answer.json["replayed"]});
    assert_shape(&ends, &sample(page, "\"results\": [{\"status\": 201, \"id\": \"0190…\", \"record\""));

    let create = json!({"op": "create", "entity": "Task", "data": {"title": "Once"}, "mid": "m-8"});
    let wrong = json!({"op": "create", "entity": "Task", "data": {"title": "Once", "priority": 9}});
    let body = json!({"atomic": false, "ops": [create, wrong]});
    ada.call("POST", "/api/batch", body.clone()).await;
    let again = ada.call("POST", "/api/batch", body).await;
    assert_shape(&again.json, &sample(page, "\"status\": 422, \"error\""));

    let refused = ada.call("POST", "/api/tasks", json!({"title": "x", "priority": 9})).await;
    let shown = sample(page, "\"title\": \"Validation failed\"");
    assert_shape(&refused.json, &shown);
    for member in ["code", "title", "status"] {
        assert_eq!(refused.json[member], shape(&shown)[member], "{}", refused.text);
    }
    assert_eq!(refused.json["errors"], shape(&shown)["errors"], "{}", refused.text);
    let many = ada.call("PATCH", "/api/tasks?title=Once", json!({"priority": 1})).await;
    let shown = sample(page, "\"refused\": 0");
    assert_shape(&many.json, &shown);
    assert_eq!((&many.json["changed"], &many.json["refused"]), (&json!(1), &json!(0)), "{}", many.text);
    let message: Value = serde_json::from_str(&sample(page, "\"event\": \"deployed\"")).unwrap();
    let root = app.client_as("root:admin");
    let told = root.call("POST", "/api/realtime/rooms/project%2F7", message).await;
    assert_eq!((told.status, told.text.as_str()), (200, "{\"receivers\":0}"));
    let mut socket = Socket::open_at(app.address, "/ws?as=ada").await;
    socket.expect("connected").await;
    let join =
        r#"{"type":"presence:join","channel":"presence:Task","payload":{"metadata":{"field":"title"}}}"#;
    socket.send_text(join).await;
    socket.expect("presence:sync").await;
    let here = ada.get("/api/realtime/presence/Task").await;
    assert_shape(&here, &sample(page, "\"joinedAt\""));
    assert_eq!(blocks(page, &["json"]).len(), 11, "a new sample is a new line of this test");
}

/// Questions that the page writes in its text: all of them are answered.
#[tokio::test]
async fn the_questions_that_the_page_of_the_api_shows_are_answered() {
    let (_app, ada) = stage().await;
    let text = super::page::text("docs/http.md");
    let question = Regex::new(r"`GET (/[^`{}]+)`").unwrap();
    let mut count = 0;
    for found in question.captures_iter(&text) {
        count += 1;
        if found[1].starts_with("/sse") {
            // An answer without an end: `sse` reads it.
            continue;
        }
        let path = found[1].replace("0190…", &uuid("0191"));
        // Numbers about sockets are for admins; a poll asks for a channel.
        let path = path
            .replace("/stats", "/stats?as=root:admin")
            .replace("/admin/presence", "/admin/presence?as=root:admin")
            .replace("root:admin?under", "root:admin&under")
            .replace("/admin/connections", "/admin/connections?as=root:admin")
            .replace("/admin/sessions", "/admin/sessions?as=root:admin")
            .replace(
                "/admin/explain",
                &format!("/admin/explain?as=root:admin&entity=Task&record={}", uuid("0191")),
            )
            .replace("Task/<id>", "Task")
            .replace("/changes", "/changes?channel=entity:Task");
        let is_inspection = path.starts_with("/api/admin/inspect");
        let path = if is_inspection { format!("{path}?as=root:admin") } else { path };
        let client = if path.contains("?as=") { Client::new(_app.address) } else { ada.clone() };
        let answer = client.call("GET", &path, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    assert!(count >= 8, "{count} questions");
}
