//! Four entities that look each other up (Comment → Task → Project → Org), and the oracle over them: joins written by hand,
//! and the log read again from its beginning. Knows no story.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::Value as Json;
use tidewire::ids::RecordId;
use tidewire::schema::{Entity, Field, FieldIndex, History, Lookup, OnDelete, Schema, Value};
use tidewire::store::{ChangeOp, Op};

use super::studio::{Studio, create, entity, field, refers, text};

/// Of `Org`.
pub(crate) const NAME: FieldIndex = FieldIndex(0);
pub(crate) const MOTTO: FieldIndex = FieldIndex(1);
/// Of `Project`, beside `NAME`.
pub(crate) const ORG: FieldIndex = FieldIndex(1);
/// Of `Task`.
pub(crate) const TITLE: FieldIndex = FieldIndex(0);
pub(crate) const PROJECT: FieldIndex = FieldIndex(1);
pub(crate) const PARENT: FieldIndex = FieldIndex(2);
/// Of `Comment`.
pub(crate) const BODY: FieldIndex = FieldIndex(0);
pub(crate) const TASK: FieldIndex = FieldIndex(1);
pub(crate) const REPLY: FieldIndex = FieldIndex(2);

/// Every entity, its plural and how many fields it has.
pub(crate) const ENTITIES: [(&str, &str, usize); 5] = [
    ("Org", "orgs", 2),
    ("Project", "projects", 3),
    ("Task", "tasks", 6),
    ("Comment", "comments", 9),
    ("Invoice", "invoices", 3),
];

fn from(via: usize, source: usize, field: Field) -> Field {
    let lookup = Some(Lookup { via: FieldIndex(via), field: FieldIndex(source) });
    Field { lookup, readonly: true, ..field }
}

/// A chain over four entities, by texts and by refs; lookups through lookups; a diamond (`Comment.org` and
/// `Comment.task_org` come from the same place by two ways); records that refer to their own kind. `Task` keeps its history
/// forever, `Comment` for an hour.
pub(crate) fn schema() -> Schema {
    use OnDelete::{Cascade, Restrict, SetNull};
    let project = vec![
        field("name", text()),
        field("org", refers("Org", SetNull)),
        from(1, 0, field("org_name", text())),
    ];
    // The fields of an entity need not be in the order in which they depend on each other.
    let task = vec![
        field("title", text()),
        field("project", refers("Project", Cascade)),
        field("parent", refers("Task", SetNull)),
        from(1, 1, field("org", refers("Org", Restrict))),
        from(1, 2, field("org_name", text())),
        from(2, 0, field("parent_title", text())),
    ];
    let comment = vec![
        field("body", text()),
        field("task", refers("Task", Cascade)),
        field("reply_to", refers("Comment", SetNull)),
        from(6, 2, field("org_name", text())),
        from(6, 1, field("org", refers("Org", Restrict))),
        from(1, 3, field("task_org", refers("Org", Restrict))),
        from(1, 1, field("project", refers("Project", Restrict))),
        from(1, 5, field("parent_title", text())),
        from(2, 0, field("reply_body", text())),
    ];
    let invoice = vec![
        field("task", refers("Task", Restrict)),
        field("org", refers("Org", SetNull)),
        from(0, 4, field("org_name", text())),
    ];
    Schema::new([
        entity("User", "users", vec![field("name", text())]),
        entity("Org", "orgs", vec![field("name", text()), field("motto", text())]),
        entity("Project", "projects", project),
        Entity { history: Some(History::Forever), ..entity("Task", "tasks", task) },
        Entity {
            history: Some(History::For(Duration::from_secs(3600))),
            ..entity("Comment", "comments", comment)
        },
        entity("Invoice", "invoices", invoice),
    ])
}

/// The same as schema files.
pub(crate) fn write_files(folder: &Path) {
    let files = [
        ("org", "entity = 'Org'\n[fields]\nname = { type = 'text' }\nmotto = { type = 'text' }"),
        (
            "project",
            "entity = 'Project'\n[fields]\nname = { type = 'text' }
            org = { type = 'ref', entity = 'Org', on_delete = 'set_null' }
            org_name = { type = 'text', from = 'org.name' }",
        ),
        (
            "task",
            "entity = 'Task'\nhistory = 'forever'\n[fields]\ntitle = { type = 'text' }
            project = { type = 'ref', entity = 'Project', on_delete = 'cascade' }
            parent = { type = 'ref', entity = 'Task', on_delete = 'set_null' }
            org = { type = 'ref', entity = 'Org', from = 'project.org' }
            org_name = { type = 'text', from = 'project.org_name' }
            parent_title = { type = 'text', from = 'parent.title' }",
        ),
        (
            "comment",
            "entity = 'Comment'\nhistory = '1h'\n[fields]\nbody = { type = 'text' }
            task = { type = 'ref', entity = 'Task', on_delete = 'cascade' }
            reply_to = { type = 'ref', entity = 'Comment', on_delete = 'set_null' }
            org_name = { type = 'text', from = 'project.org_name' }
            org = { type = 'ref', entity = 'Org', from = 'project.org' }
            task_org = { type = 'ref', entity = 'Org', from = 'task.org' }
            project = { type = 'ref', entity = 'Project', from = 'task.project' }
            parent_title = { type = 'text', from = 'task.parent_title' }
            reply_body = { type = 'text', from = 'reply_to.body' }",
        ),
        (
            "invoice",
            "entity = 'Invoice'\n[fields]
            task = { type = 'ref', entity = 'Task' }
            org = { type = 'ref', entity = 'Org', on_delete = 'set_null' }
            org_name = { type = 'text', from = 'task.org_name' }",
        ),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }
}

/// A create with these fields set and all others null.
pub(crate) fn make(entity: &str, n: u128, set: impl IntoIterator<Item = (FieldIndex, Value)>) -> Op {
    let (_, _, fields) = ENTITIES.iter().find(|(name, _, _)| *name == entity).unwrap();
    let mut values = vec![Value::Null; *fields];
    set.into_iter().for_each(|(field, value)| values[field.0] = value);
    create(entity, n, values)
}

/// Each selects the records whose lookups are not what the joins give.
const OUT_OF_STEP: [&str; 4] = [
    "SELECT p.id FROM projects p LEFT JOIN orgs o ON o.id = p.org WHERE p.org_name IS NOT o.name",
    "SELECT t.id FROM tasks t LEFT JOIN projects p ON p.id = t.project LEFT JOIN orgs o ON o.id = p.org
        LEFT JOIN tasks u ON u.id = t.parent
        WHERE t.org IS NOT p.org OR t.org_name IS NOT o.name OR t.parent_title IS NOT u.title",
    "SELECT c.id FROM comments c LEFT JOIN tasks t ON t.id = c.task LEFT JOIN projects p ON p.id = t.project
        LEFT JOIN orgs o ON o.id = p.org LEFT JOIN tasks u ON u.id = t.parent LEFT JOIN comments r ON r.id = c.reply_to
        WHERE c.org_name IS NOT o.name OR c.org IS NOT p.org OR c.task_org IS NOT p.org OR c.project IS NOT t.project
            OR c.parent_title IS NOT u.title OR c.reply_body IS NOT r.body",
    "SELECT i.id FROM invoices i LEFT JOIN tasks t ON t.id = i.task LEFT JOIN projects p ON p.id = t.project
        LEFT JOIN orgs o ON o.id = p.org WHERE i.org_name IS NOT o.name",
];

/// Every lookup in the database of this folder is what the joins give.
pub(crate) fn in_step(folder: &Path) {
    let conn = Connection::open(folder.join("tidewire.db")).unwrap();
    for sql in OUT_OF_STEP {
        let mut statement = conn.prepare(sql).unwrap();
        let wrong: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(wrong, Vec::<String>::new(), "{sql}");
    }
}

/// Who reads the whole log has every record as the store has it, saw no version left out, and was told by `changed` and
/// `before` what an update changed.
pub(crate) fn the_log_tells_all(studio: &Studio) {
    let mut told: BTreeMap<(String, RecordId), Json> = BTreeMap::new();
    let mut versions: BTreeMap<(String, RecordId), u64> = BTreeMap::new();
    for change in studio.log(0) {
        let key = (change.entity.to_string(), change.id.clone());
        if change.op == ChangeOp::Delete {
            assert!(told.remove(&key).is_some(), "{change:?}");
            continue;
        }
        let after: Json = serde_json::from_slice(change.after.as_ref().unwrap()).unwrap();
        let version = versions.entry(key.clone()).or_default();
        *version += 1;
        assert_eq!(after["version"], *version, "{change:?}");
        let old = told.insert(key, after.clone());
        if let Some(old) = old.filter(|_| change.op == ChangeOp::Update) {
            let same = |name: &&String| {
                ["version", "updated_at"].contains(&name.as_str())
                    || old[name.as_str()] == after[name.as_str()]
            };
            let differing: Vec<&String> =
                after.as_object().unwrap().keys().filter(|name| !same(name)).collect();
            assert!(!differing.is_empty(), "an entry without a change: {change:?}");
            let changed: Vec<String> = serde_json::from_slice(change.changed.as_ref().unwrap()).unwrap();
            let before: BTreeMap<String, Json> =
                serde_json::from_slice(change.before.as_ref().unwrap()).unwrap();
            let mut sorted: Vec<&String> = changed.iter().collect();
            sorted.sort();
            let mut expected = differing.clone();
            expected.sort();
            assert_eq!(sorted, expected, "{change:?}");
            assert!(before.iter().all(|(name, value)| old[name.as_str()] == *value), "{change:?}");
            assert_eq!(before.len(), changed.len());
        }
    }
    for ((entity, id), record) in &told {
        let stored: Json = serde_json::from_str(&studio.json(entity, id).unwrap()).unwrap();
        assert_eq!(stored, *record);
    }
}
