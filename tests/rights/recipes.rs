//! The world of the oracle run: schema files with rules, and for each rule the same right twice more, written by hand: as a
//! function over a state of the world, and as SQL. Neither knows the server's rules. Tasks and projects have a rule for lists:
//! the channels of an entity follow it, and those of a record do not.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile};

const USER: &str = r#"
entity = "User"
[access]
read = "user.role == 'admin'"
create = "user.role == 'admin'"
update = "user.role == 'admin'"
delete = "user.role == 'admin'"
"#;

const PROJECT: &str = r#"
entity = "Project"
[fields]
name = { type = "text", required = true }
public = { type = "bool", default = false }
[access]
read = "public || id in user.memberships.project || user.role == 'admin'"
list = "id in user.memberships.project || user.role == 'admin'"
create = "user.role == 'admin'"
update = "user.role == 'admin'"
delete = "user.role == 'admin'"
"#;

const MEMBERSHIP: &str = r#"
entity = "Membership"
[fields]
project = { type = "ref", entity = "Project", on_delete = "cascade" }
member = { type = "ref", entity = "User", on_delete = "cascade" }
role = { type = "enum", values = ["viewer", "editor", "owner"], default = "viewer" }
note = { type = "text" }
[access]
read = "user.role == 'admin'"
create = "user.role == 'admin'"
update = "user.role == 'admin'"
delete = "user.role == 'admin'"
"#;

const TASK: &str = r#"
entity = "Task"
[fields]
title = { type = "text", required = true }
status = { type = "enum", values = ["open", "doing", "done"], default = "open" }
priority = { type = "int", default = 3 }
owner = { type = "ref", entity = "User", on_delete = "set_null" }
project = { type = "ref", entity = "Project", on_delete = "cascade" }
secret = { type = "text", read = "owner == user.id || user.role == 'admin'" }
[access]
read = "RULE"
list = "status != 'done' || owner == user.id"
create = "user.role == 'admin'"
update = "user.role == 'admin'"
delete = "user.role == 'admin'"
"#;

const COMMENT: &str = r#"
entity = "Comment"
[fields]
body = { type = "text", required = true }
task = { type = "ref", entity = "Task", required = true, on_delete = "cascade" }
project = { type = "ref", entity = "Project", from = "task.project" }
[access]
read = "user.memberships.exists(m, m.project == project && m.role in ['editor', 'owner'])"
create = "user.role == 'admin'"
update = "user.role == 'admin'"
delete = "user.role == 'admin'"
"#;

/// Which of two rules for tasks is in force: of odd generations the first, of even ones the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Owner, or member of the project, or admin.
    Team,
    /// Owner, or no mere viewer of the project as long as the task is not done.
    Editors,
}

impl Variant {
    pub fn of_generation(generation: u64) -> Variant {
        if generation % 2 == 1 { Variant::Team } else { Variant::Editors }
    }

    pub fn other(self) -> Variant {
        match self {
            Variant::Team => Variant::Editors,
            Variant::Editors => Variant::Team,
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Variant::Team => {
                "owner == user.id || project in user.memberships.project || user.role == 'admin'"
            }
            Variant::Editors => {
                "owner == user.id || (status != 'done' && user.memberships.exists(m, m.project == project && !(m.role == 'viewer')))"
            }
        }
    }

    /// Ids of the tasks that the person `?1` may read.
    fn tasks_sql(self) -> &'static str {
        match self {
            Variant::Team => {
                "SELECT id FROM tasks WHERE owner = ?1
                 UNION SELECT tasks.id FROM tasks JOIN memberships ON memberships.project = tasks.project WHERE member = ?1
                 UNION SELECT tasks.id FROM tasks, users WHERE users.id = ?1 AND users.role = 'admin'"
            }
            Variant::Editors => {
                "SELECT id FROM tasks WHERE owner = ?1
                 UNION SELECT tasks.id FROM tasks JOIN memberships ON memberships.project = tasks.project
                 WHERE member = ?1 AND memberships.role <> 'viewer' AND tasks.status <> 'done'"
            }
        }
    }
}

pub fn schema(variant: Variant) -> Arc<Schema> {
    let task = TASK.replace("RULE", variant.rule());
    let file = |name: &str, text: &str| SourceFile {
        name: format!("schemas/{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    let files = [
        file("user", USER),
        file("project", PROJECT),
        file("membership", MEMBERSHIP),
        file("task", &task),
        file("comment", COMMENT),
    ];
    Arc::new(tidewire::schema::check(&files).unwrap_or_else(|errors| panic!("{errors}")))
}

/// The channels that every user follows.
pub const CHANNELS: [&str; 6] = [
    "entity:Task",
    "entity:Comment",
    "entity:Project",
    "entity:Task?status=open&priority[gte]=3",
    "entity:Task:01890000-0000-7000-8000-b00000000001",
    "entity:Project:01890000-0000-7000-8000-a00000000000",
];

/// Ids of what the person `?1` may read of a channel, from the database's own tables.
pub fn sql(channel: &str, variant: Variant) -> String {
    let alive = "EXISTS (SELECT 1 FROM users WHERE users.id = ?1 AND users.disabled = 0)";
    let ids = match channel {
        "entity:Task" => format!(
            "SELECT id FROM tasks WHERE (status <> 'done' OR owner = ?1) AND id IN ({})",
            variant.tasks_sql()
        ),
        "entity:Comment" => "SELECT comments.id FROM comments JOIN tasks ON tasks.id = comments.task
             JOIN memberships ON memberships.project = tasks.project
             WHERE member = ?1 AND memberships.role IN ('editor', 'owner')"
            .to_owned(),
        "entity:Project" => "SELECT project FROM memberships WHERE member = ?1 AND project IS NOT NULL
             UNION SELECT projects.id FROM projects, users WHERE users.id = ?1 AND users.role = 'admin'"
            .to_owned(),
        record if record_of(record).is_some() => {
            let readable = match entity_of(record) {
                "Task" => variant.tasks_sql().to_owned(),
                _ => "SELECT id FROM projects WHERE public = 1
                     UNION SELECT project AS id FROM memberships WHERE member = ?1 AND project IS NOT NULL
                     UNION SELECT projects.id FROM projects, users WHERE users.id = ?1 AND users.role = 'admin'"
                    .to_owned(),
            };
            format!("SELECT id FROM ({readable}) WHERE id = '{}'", record_of(record).unwrap())
        }
        _ => format!(
            "SELECT id FROM tasks WHERE status = 'open' AND priority >= 3 AND id IN ({})",
            variant.tasks_sql()
        ),
    };
    format!("SELECT DISTINCT id FROM ({ids}) WHERE {alive}")
        .replace("SELECT project FROM", "SELECT project AS id FROM")
}

/// The records of the world at one position.
#[derive(Debug, Default)]
pub struct State {
    pub records: BTreeMap<String, BTreeMap<String, Value>>,
    pub variant: Option<Variant>,
}

impl State {
    pub fn record(&self, entity: &str, id: &str) -> Option<&Value> {
        self.records.get(entity)?.get(id)
    }

    /// The record as the person sees it by a channel; `None` where it is hidden or missing. The channel of an entity shows what
    /// is listed.
    pub fn seen(&self, person: &str, channel: &str, id: &str) -> Option<Value> {
        let entity = entity_of(channel);
        let record = self.record(entity, id)?;
        let is_listed = record_of(channel).is_some() || self.may_list(person, entity, record);
        if !is_listed || !self.may_read(person, entity, record) {
            return None;
        }
        let mut seen = record.clone();
        if entity == "Task" && !(record["owner"] == person || self.is_admin(person)) {
            seen.as_object_mut().unwrap().remove("secret");
        }
        Some(seen)
    }

    fn may_read(&self, person: &str, entity: &str, record: &Value) -> bool {
        let user = self.record("User", person);
        if user.is_none_or(|user| user["disabled"] == true) {
            return false;
        }
        match entity {
            "Project" => {
                record["public"] == true
                    || self.is_admin(person)
                    || self.membership(person, &record["id"], |_| true)
            }
            "Comment" => {
                let task = self.record("Task", record["task"].as_str().unwrap_or_default());
                let project = task.map_or(json!(null), |task| task["project"].clone());
                self.membership(person, &project, |role| role != "viewer")
            }
            "Task" => {
                let project = &record["project"];
                record["owner"] == person
                    || match self.variant.expect("a generation is in force") {
                        Variant::Team => self.is_admin(person) || self.membership(person, project, |_| true),
                        Variant::Editors => {
                            record["status"] != "done"
                                && self.membership(person, project, |role| role != "viewer")
                        }
                    }
            }
            _ => panic!("nobody follows {entity}"),
        }
    }

    /// Beside `may_read`.
    fn may_list(&self, person: &str, entity: &str, record: &Value) -> bool {
        match entity {
            "Project" => self.is_admin(person) || self.membership(person, &record["id"], |_| true),
            "Task" => {
                record["owner"] == person || (!record["status"].is_null() && record["status"] != "done")
            }
            _ => true,
        }
    }

    fn is_admin(&self, person: &str) -> bool {
        self.record("User", person).is_some_and(|user| user["role"] == "admin")
    }

    fn membership(&self, person: &str, project: &Value, role: impl Fn(&str) -> bool) -> bool {
        !project.is_null()
            && self.records.get("Membership").into_iter().flat_map(BTreeMap::values).any(|membership| {
                membership["member"] == person
                    && membership["project"] == *project
                    && membership["role"].as_str().is_some_and(&role)
            })
    }
}

/// Whether a change is one of the person's rights to see something of the entity.
pub fn changes_rights(entity: &str, old: Option<&Value>, new: Option<&Value>, person: &str) -> bool {
    let differs = |field: &str| match (old, new) {
        (Some(old), Some(new)) => old[field] != new[field],
        _ => true,
    };
    let of = |record: Option<&Value>, field: &str| record.is_some_and(|record| record[field] == person);
    match entity {
        "User" => (of(old, "id") || of(new, "id")) && (differs("role") || differs("disabled")),
        "Membership" => {
            (of(old, "member") || of(new, "member"))
                && (differs("member") || differs("project") || differs("role"))
        }
        _ => false,
    }
}

/// The entity of a channel, and whether its filter takes the record.
pub fn entity_of(channel: &str) -> &str {
    channel.trim_start_matches("entity:").split(['?', ':']).next().unwrap()
}

/// The id in the channel of a record.
fn record_of(channel: &str) -> Option<&str> {
    channel.split(':').nth(2)
}

pub fn takes(channel: &str, record: &Value) -> bool {
    !channel.contains('?')
        || (record["status"] == "open" && record["priority"].as_i64().is_some_and(|p| p >= 3))
}
