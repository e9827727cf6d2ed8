//! Access rules: what they mean, what is refused with which words at which place, and that no text harms the checker.
//!
//! Trees are written by hand, in the order of the fields of `TASK`, `MEMBERSHIP` and the built-in `User`.

mod bad;
mod good;
mod hostile;
mod keys;

use serde_json::Value as Json;
use tidewire::schema::{Expr, Schema, SourceFile, check};

use super::source;

/// Fields of `Task` by number.
const TITLE: usize = 0;
const OWNER: usize = 1;
const PROJECT: usize = 2;
const STATUS: usize = 3;
const PRIORITY: usize = 4;
const SHARE: usize = 5;
const PUBLIC: usize = 6;
const TAGS: usize = 7;
const DUE: usize = 8;
const AT: usize = 9;
const KEY: usize = 10;
const USER: usize = 11;

const TASK: &str = r#"entity = "Task"
[fields]
title = { type = "text" }
owner = { type = "ref", entity = "User", identity = true }
project = { type = "ref", entity = "Project" }
status = { type = "enum", values = ["open", "done"] }
priority = { type = "int" }
share = { type = "float" }
public = { type = "bool" }
tags = { type = "json" }
due = { type = "date" }
at = { type = "datetime" }
key = { type = "uuid" }
user = { type = "ref", entity = "User" }
"#;

/// `user` is its field 0, `project` 1, `role` 2, `notes` 3.
const MEMBERSHIP: &str = r#"entity = "Membership"
[fields]
user = { type = "ref", entity = "User" }
project = { type = "ref", entity = "Project" }
role = { type = "enum", values = ["owner", "editor"] }
notes = { type = "json" }
"#;

const PROJECT_FILE: &str = "entity = \"Project\"\n[fields]\nname = { type = \"text\" }\n";

/// Two refs to `User`, none of them marked.
const REVIEW: &str = r#"entity = "Review"
[fields]
author = { type = "ref", entity = "User" }
reader = { type = "ref", entity = "User" }
"#;

/// `team` is field 3 of `User`, after `name`, `role` and `disabled`.
const USER_FILE: &str = "entity = \"User\"\n[fields]\nteam = { type = \"text\" }\n";

/// The files with a rule on `Task`, written as a TOML string that needs no escapes.
fn files(operation: &str, rule: &str) -> Vec<SourceFile> {
    let quoted = if rule.contains('\'') { format!("\"{rule}\"") } else { format!("'{rule}'") };
    with_task(&format!("{TASK}[access]\n{operation} = {quoted}\n"))
}

fn with_task(task: &str) -> Vec<SourceFile> {
    vec![
        source("membership.toml", MEMBERSHIP),
        source("project.toml", PROJECT_FILE),
        source("review.toml", REVIEW),
        source("task.toml", task),
        source("user.toml", USER_FILE),
    ]
}

fn schema(operation: &str, rule: &str) -> Schema {
    check(&files(operation, rule)).unwrap_or_else(|errors| panic!("{rule}\n{errors}"))
}

/// What a rule of `Task` means.
fn meaning(operation: &str, rule: &str) -> Expr {
    let schema = schema(operation, rule);
    let access = &schema.entity("Task").unwrap().access;
    let rule = match operation {
        "read" => &access.read,
        "create" => &access.create,
        "update" => &access.update,
        _ => &access.delete,
    };
    rule.as_ref().unwrap().meaning.clone()
}

/// The errors of sources that must not pass, as JSON.
fn told(sources: &[SourceFile]) -> Vec<Json> {
    let errors = check(sources).expect_err("these sources are wrong");
    errors.to_json().as_array().unwrap().clone()
}
