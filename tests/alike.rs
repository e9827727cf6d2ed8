//! Names of which one is the beginning or the end of another are kept apart: of persons, roles, entities, records, values and
//! mutation ids. A comparison that looks at one side only passes every test whose names differ altogether.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::TestApp;
use crate::support::socket::Socket;

/// Each with something before, behind or cut off from `ann`.
const PERSONS: [&str; 5] = ["ann", "anna", "an", "joann", "nn"];

fn schema() -> Arc<Schema> {
    let entity = |name: &str, file: &str| SourceFile {
        name: format!("schemas/{file}.toml"),
        format: Format::Toml,
        text: format!(
            "entity = \"{name}\"\nhistory = \"forever\"\n[fields]\ntitle = {{ type = \"text\" }}\nowner = {{ type = \"ref\", entity = \"User\", default = \"user.id\" }}\n[access]\nread = \"owner == user.id || user.role == 'admin'\"\ncreate = \"user != null\"\nupdate = \"user.role == 'admin'\"\ndelete = \"owner == user.id\"\n"
        ),
    };
    let user = SourceFile {
        name: "schemas/user.toml".to_owned(),
        format: Format::Toml,
        text: "entity = \"User\"\nhistory = \"forever\"\n[access]\nread = \"user != null\"\nupdate = \"id == user.id\"\n"
            .to_owned(),
    };
    let files = [entity("Task", "task"), entity("TaskItem", "task_item"), entity("Ask", "ask"), user];
    check(&files).unwrap_or_else(|errors| panic!("{errors}")).into()
}

async fn app() -> TestApp {
    TestApp::governed(tempfile::tempdir().unwrap(), schema(), |_| {}).await
}

#[tokio::test]
async fn a_user_sees_nothing_of_a_user_with_a_similar_name() {
    let app = app().await;
    for person in PERSONS {
        app.client_as(person).create("tasks", json!({"title": person})).await;
    }
    for person in PERSONS {
        let rows = app.rows_of(person, "tasks").await;
        assert_eq!(rows, [person], "{person}");
        let own = app.client_as(person).get(&format!("/api/tasks/count?owner={person}")).await;
        assert_eq!(own["count"], 1, "{person}");
    }
    for role in ["administrator", "superadmin", "admi", "dmin", "Admin", "admin.", "x-admin"] {
        let rows = app.rows_of(&format!("ann:{role}"), "tasks").await;
        assert_eq!(rows, ["ann"], "{role} is no admin");
    }
    assert_eq!(app.rows_of("ann:admin", "tasks").await.len(), PERSONS.len());
}

#[tokio::test]
async fn a_channel_gets_no_changes_of_records_with_similar_ids() {
    let app = app().await;
    for person in PERSONS {
        app.client_as(person).create("tasks", json!({"title": person})).await;
    }
    let mut socket = Socket::open_at(app.address, "/ws?as=ann:admin").await;
    socket.expect("connected").await;
    for channel in ["entity:User:ann", "entity:Task?title=ann", "entity:TaskItem", "entity:Ask"] {
        socket.subscribe(channel, Value::Null).await;
    }
    let admin = app.client_as("root:admin");
    for title in ["anna", "an", "joann", "nn", "Ann", "ann "] {
        admin.create("tasks", json!({"title": title})).await;
    }
    for person in &PERSONS[1..] {
        app.client_as(person).patch(&format!("/api/users/{person}"), json!({"name": "x"})).await;
    }
    socket.nothing_else().await;
    app.client_as("ann").patch("/api/users/ann", json!({"name": "x"})).await;
    assert_eq!(socket.expect("entity:updated").await["channel"], "entity:User:ann");
    admin.create("tasks", json!({"title": "ann"})).await;
    assert_eq!(socket.expect("entity:created").await["channel"], "entity:Task?title=ann");
    for (plural, channel) in [("task_items", "entity:TaskItem"), ("asks", "entity:Ask")] {
        admin.create(plural, json!({"title": "ann"})).await;
        assert_eq!(socket.expect("entity:created").await["channel"], channel);
    }
    socket.nothing_else().await;
}

#[tokio::test]
async fn a_history_has_no_changes_of_records_with_similar_ids() {
    let app = app().await;
    for person in PERSONS {
        app.client_as(person)
            .patch(&format!("/api/users/{person}"), json!({"name": format!("{person} changed")}))
            .await;
    }
    for person in PERSONS {
        let history = app.client_as(person).get(&format!("/api/users/{person}/history")).await;
        let names: Vec<&Value> =
            history["items"].as_array().unwrap().iter().map(|item| &item["after"]["id"]).collect();
        assert_eq!(names, [person, person], "{person}");
    }
}

#[tokio::test]
async fn a_mutation_id_belongs_to_no_user_with_a_similar_name() {
    let app = app().await;
    // `an` with `nk` and `ann` with `k` are the same when they are put together.
    for mid in ["k", "k1", "nk", "1", "ak"] {
        for person in PERSONS {
            let title = format!("{person} {mid}");
            let key = [("Idempotency-Key", mid)];
            let made =
                app.client_as(person).call_with("POST", "/api/tasks", json!({"title": title}), &key).await;
            assert_eq!((made.status, made.header("tidewire-replayed")), (201, ""), "{title}: {}", made.text);
            let again =
                app.client_as(person).call_with("POST", "/api/tasks", json!({"title": title}), &key).await;
            assert_eq!((again.id(), again.header("tidewire-replayed")), (made.id(), "true"), "{title}");
        }
    }
}

impl TestApp {
    /// The titles that a user sees.
    async fn rows_of(&self, person: &str, plural: &str) -> Vec<String> {
        let rows = self.client_as(person).rows(plural).await;
        rows.into_values().map(|row| row["title"].as_str().unwrap().to_owned()).collect()
    }
}
