//! What the server says of itself, held against the official schemas and against what it really does.

mod bodies;
mod commands;
mod document;
mod filters;
mod judge;
mod walk;

use tidewire::config::HttpConfig;
use tidewire::http::openapi::{OpenApi, openapi};

use crate::support::process::plain_schemas;

/// The document of the plain schemas.
fn plain() -> OpenApi {
    let loaded = tidewire::schema::load(&plain_schemas()).unwrap_or_else(|errors| panic!("{errors}"));
    openapi(&loaded.schema, &HttpConfig::default())
}

/// The plain schemas, of which Task also keeps its history, is searched and found by its code, and Comment looks its project up.
fn grown() -> tidewire::schema::Schema {
    let mut files =
        tidewire::schema::load(&plain_schemas()).unwrap_or_else(|errors| panic!("{errors}")).files;
    let task = files.iter_mut().find(|file| file.name.ends_with("task.toml")).unwrap();
    task.text = task.text.replacen("max = 200", "max = 200, search = true", 1);
    let due = "due      = {";
    task.text = task.text.replacen(
        due,
        &format!("slug = {{ type = \"text\", unique = true, find = true }}\n{due}"),
        1,
    );
    task.text = format!("history = \"90d\"\n{}", task.text);
    let comment = files.iter_mut().find(|file| file.name.ends_with("comment.toml")).unwrap();
    comment.text += "project = { type = \"ref\", entity = \"Project\", from = \"task.project\" }\n";
    tidewire::schema::check(&files).unwrap_or_else(|errors| panic!("{errors}"))
}

fn json(document: &OpenApi) -> serde_json::Value {
    serde_json::to_value(document).unwrap()
}

/// `/api/tasks/{id}` → `/api/{plural}/{id}`, and `/api/tasks/by/code/{value}` → `/api/{plural}/by/{field}/{value}`, as
/// docs/http.md writes it.
fn generic(path: &str, plurals: &[&str]) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    if let ["", "api", plural, ..] = &mut segments[..]
        && plurals.contains(plural)
    {
        *plural = "{plural}";
    }
    if let ["", "api", _, "by", field, _] = &mut segments[..] {
        *field = "{field}";
    }
    segments.join("/")
}

const PLURALS: [&str; 4] = ["comments", "projects", "tasks", "users"];
