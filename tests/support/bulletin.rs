//! The club of the stories about the activity: tasks by project, letters with a label for their owner, and noise that is left out.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::Schema;

use super::app::TestApp;
use super::ruled;

/// Read by the members of its project, and listed unless it is a draft.
pub(crate) const TASK: &str = r#"
entity = "Task"
label = "title"
history = "forever"
[fields]
title = { type = "text" }
project = { type = "text" }
status = { type = "text" }
owner = { type = "text" }
wage = { type = "int", read = "owner == user.id" }
pin = { type = "text", hidden = true }
[access]
read = "project in user.memberships.project"
list = "status != 'draft'"
create = "true"
update = "true"
delete = "true"
"#;

/// Its label is shown to its owner alone.
pub(crate) const LETTER: &str = r#"
entity = "Letter"
label = "subject"
[fields]
subject = { type = "text", read = "owner == user.id" }
owner = { type = "text" }
[access]
read = "true"
create = "true"
update = "true"
delete = "true"
"#;

pub(crate) const NOISE: &str = r#"
entity = "Noise"
plural = "noise"
activity = false
[fields]
level = { type = "int" }
[access]
read = "true"
create = "true"
"#;

pub(crate) fn schema() -> Arc<Schema> {
    ruled::schema_with(&[("task.toml", TASK), ("letter.toml", LETTER), ("noise.toml", NOISE)])
}

/// The app, with ada in the projects p and q, ben in p, and eva in none.
pub(crate) async fn club() -> TestApp {
    let app = TestApp::over(schema(), |_| {}).await;
    settle(&app).await;
    app
}

pub(crate) async fn settle(app: &TestApp) {
    for name in ["ada", "ben", "eva"] {
        // The record of a user is made with their first write.
        app.client_as(name).create("boards", json!({"title": name})).await;
    }
    for (person, project) in [("ada", "p"), ("ada", "q"), ("ben", "p")] {
        app.client().create("memberships", json!({"person": person, "project": project})).await;
    }
}

/// The address of a task.
pub(crate) fn path(record: &Value) -> String {
    format!("/api/tasks/{}", record["id"].as_str().unwrap())
}
