//! A schema with rules, as a folder of files: tasks of projects, which their members see; a vault for admins; a board for all.
//! And facts about a person, made by hand. Knows no story.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use tidewire::ids::{RecordId, Timestamp};
use tidewire::rules::{Person, Principal, RelatedRecords};
use tidewire::schema::{Record, Schema, Value};

use super::fixtures::id;

/// The files by name.
pub const FILES: [(&str, &str); 5] = [
    (
        "user.toml",
        "entity = \"User\"\n[access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n",
    ),
    (
        "membership.toml",
        "entity = \"Membership\"\n[fields]\n\
         person = { type = \"ref\", entity = \"User\", on_delete = \"cascade\" }\n\
         project = { type = \"text\" }\n\
         [access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n",
    ),
    (
        "task.toml",
        "entity = \"Task\"\n[fields]\n\
         title = { type = \"text\" }\nproject = { type = \"text\" }\nstatus = { type = \"text\" }\n\
         wage = { type = \"int\", read = \"user.role == 'admin'\" }\n\
         [access]\nread = \"project in user.memberships.project\"\n\
         create = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n",
    ),
    (
        "vault.toml",
        "entity = \"Vault\"\n[fields]\ntitle = { type = \"text\" }\n\
         [access]\nread = \"user.role == 'admin'\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n",
    ),
    (
        "board.toml",
        "entity = \"Board\"\n[fields]\ntitle = { type = \"text\" }\n\
         [access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n",
    ),
];

/// The schema, with some files in other words.
pub fn schema_with(others: &[(&str, &str)]) -> Arc<Schema> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in FILES.iter().chain(others) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let loaded = tidewire::schema::load(folder.path());
    loaded.unwrap_or_else(|errors| panic!("{errors}")).schema.into()
}

pub fn schema() -> Arc<Schema> {
    static READ: OnceLock<Arc<Schema>> = OnceLock::new();
    READ.get_or_init(|| schema_with(&[])).clone()
}

pub fn ada() -> Arc<Person> {
    Arc::new(Person { id: Some("ada".into()), ..Person::default() })
}

fn record(id: RecordId, values: Vec<Value>) -> Record {
    Record { id, version: 1, created_at: Timestamp(1), updated_at: Timestamp(1), values }
}

/// Ada's `User` record.
pub fn user(role: &str, disabled: bool) -> Record {
    let id = RecordId::parse_text("ada").unwrap();
    record(id, vec![Value::Text("Ada".into()), Value::Text(role.into()), Value::Bool(disabled)])
}

/// What is known of Ada: her role and her projects.
pub fn principal(role: &str, projects: &[&str]) -> Principal {
    let text = |text: &str| Value::Text(text.to_owned());
    let membership =
        |(n, project): (usize, &&str)| record(id(900 + n as u128), vec![text("ada"), text(project)]);
    let memberships = projects.iter().enumerate().map(membership).collect();
    let related = BTreeMap::from([("Membership".into(), RelatedRecords::Records(memberships))]);
    Principal::new(ada(), Some(user(role, false)), related)
}

/// More belongs to Ada than a rule may ask for.
pub fn too_many() -> Principal {
    let related = BTreeMap::from([("Membership".into(), RelatedRecords::TooMany)]);
    Principal::new(ada(), Some(user("member", false)), related)
}

pub fn disabled() -> Principal {
    Principal::new(ada(), Some(user("member", true)), BTreeMap::new())
}
