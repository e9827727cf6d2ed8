//! What `[[on]]` tables cause: in the operation's unit, directly after it, unjudged; and what a failure of it does.

use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::ids::Seq;
use tidewire::rules::{Asker, Condition, Test};
use tidewire::schema::{Column, FieldIndex, Format, Schema, SourceFile, Value, check};
use tidewire::store::{ChangeOp, CommitError, Many, ManyEdit, Op, OpStatus, Tally, Unit};

use crate::support::club::{asked, person, shown};
use crate::support::fixture::Fixture;
use crate::support::studio::{Studio, create, delete, id, link, named, unit, update, words};

const TITLE: FieldIndex = FieldIndex(0);
const ASSIGNEE: FieldIndex = FieldIndex(1);
const COUNT: FieldIndex = FieldIndex(3);

fn schema() -> Schema {
    let everybody = "[access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n";
    let task = format!(
        r#"
entity = "Task"
[fields]
title = {{ type = "text", max = 100 }}
assignee = {{ type = "ref", entity = "User", on_delete = "set_null" }}
project = {{ type = "ref", entity = "Project", on_delete = "cascade" }}
count = {{ type = "int" }}
project_name = {{ type = "text", from = "project.name" }}
{everybody}
[[on]]
event = "create"
when = "assignee != user.id"
create = "Notification"
set = {{ person = "assignee", task = "id", text = "'You now own ' + title" }}
[[on]]
event = "update"
when = "changed(assignee) && assignee != user.id"
create = "Notification"
set = {{ person = "assignee", before = "old.assignee", task = "id", text = "'You now own ' + title" }}
[[on]]
event = "update"
when = "changed(count)"
update = "Project"
where = "target.id == project"
set = {{ total = "count", touched = "now" }}
[[on]]
event = "update"
when = "changed(project_name)"
create = "Trace"
set = {{ of = "id", title = "project_name" }}
[[on]]
event = "delete"
create = "Trace"
set = {{ of = "id", by = "user.id", title = "title" }}
[[on]]
event = "delete"
delete = "Notification"
where = "target.task == id"
"#
    );
    let project = format!(
        r#"
entity = "Project"
[fields]
name = {{ type = "text", unique = true }}
total = {{ type = "int", max = 10 }}
touched = {{ type = "datetime" }}
{everybody}
[[on]]
event = "update"
create = "Trace"
set = {{ of = "id", title = "name" }}
"#
    );
    let notification = r#"
entity = "Notification"
[fields]
person = { type = "ref", entity = "User", on_delete = "cascade", required = true }
before = { type = "ref", entity = "User", on_delete = "set_null" }
task = { type = "uuid" }
text = { type = "text", max = 200 }
seen = { type = "bool", default = false }
[access]
read = "person == user.id"
[[index]]
fields = ["task"]
"#;
    let trace = r#"
entity = "Trace"
[fields]
of = { type = "uuid" }
by = { type = "text" }
title = { type = "text" }
"#;
    let join = format!(
        r#"
entity = "Join"
[fields]
project = {{ type = "ref", entity = "Project", on_delete = "cascade", required = true }}
{everybody}
[[on]]
event = "create"
create = "Membership"
exists = "skip"
set = {{ person = "user.id", project = "project", key = "user.id" }}
"#
    );
    let label = format!(
        r#"
entity = "Label"
[fields]
project = {{ type = "ref", entity = "Project", on_delete = "cascade" }}
text = {{ type = "text" }}
project_name = {{ type = "text", from = "project.name" }}
{everybody}
[[on]]
event = "update"
create = "Trace"
set = {{ of = "id", title = "project_name" }}
"#
    );
    let membership = r#"
entity = "Membership"
[fields]
person = { type = "ref", entity = "User", on_delete = "cascade" }
project = { type = "ref", entity = "Project", on_delete = "cascade" }
key = { type = "text", unique = true, max = 200 }
[access]
read = "person == user.id"
"#;
    let secret = r#"
entity = "Secret"
[fields]
project = { type = "ref", entity = "Project", on_delete = "cascade" }
[access]
read = "project in user.memberships.project"
create = "project in user.memberships.project"
"#;
    let files = [
        ("join", join.as_str()),
        ("label", label.as_str()),
        ("membership", membership),
        ("notification", notification),
        ("project", &project),
        ("secret", secret),
        ("task", &task),
        ("trace", trace),
        ("user", "entity = \"User\"\n[access]\nread = \"true\"\n"),
    ];
    let sources = files.map(|(name, text)| SourceFile {
        name: format!("{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    });
    check(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

async fn office<F: Fixture>() -> Studio {
    let studio = F::open(schema(), &StoreConfig::default());
    let people = ["ada", "bo"].map(|name| Op::Create {
        entity: "User".into(),
        id: tidewire::ids::RecordId::stored(name),
        values: vec![words(name), Value::Null, Value::Bool(false)],
        fresh_id: false,
    });
    let projects =
        [1, 2].map(|n| create("Project", n, vec![words(&format!("p{n}")), Value::Null, Value::Null]));
    studio.commit(people.into_iter().chain(projects)).await.unwrap();
    studio
}

fn task(n: u128, assignee: Option<&str>) -> Op {
    let assignee = assignee.map_or(Value::Null, words);
    create("Task", n, vec![words("Write"), assignee, link(1), Value::Null, Value::Null])
}

fn assign(n: u128, to: Option<&str>) -> Op {
    update("Task", n, [(ASSIGNEE, to.map_or(Value::Null, words))])
}

/// What was done since, as `create Notification`, and each record after it or before its delete.
fn told(studio: &Studio, since: u64) -> Vec<(String, Json)> {
    let one = |change: &std::sync::Arc<tidewire::store::Change>| {
        let verb = match change.op {
            ChangeOp::Create => "create",
            ChangeOp::Update => "update",
            ChangeOp::Delete => "delete",
            ChangeOp::Schema => "schema",
        };
        let image = change.after.as_ref().or(change.before.as_ref()).unwrap();
        (format!("{verb} {}", change.entity), serde_json::from_slice(image).unwrap())
    };
    studio.log(since).iter().map(one).collect()
}

fn verbs(studio: &Studio, since: u64) -> Vec<String> {
    told(studio, since).into_iter().map(|(verb, _)| verb).collect()
}

pub(super) async fn a_write_makes_a_record_in_its_own_unit<F: Fixture>() {
    let studio = office::<F>().await;
    let head = studio.head();
    let unit = Unit { asker: Asker::Person(person("ada")), ..named("m", 1, [task(9, Some("bo"))]) };
    let outcome = studio.store.commit(unit.clone()).await.unwrap();
    assert_eq!(
        (outcome.results.len(), outcome.results[0].status, outcome.seq),
        (1, OpStatus::Created, Seq(head + 2))
    );
    assert_eq!(shown(&outcome).unwrap()["title"], "Write");
    let log = studio.log(head);
    assert_eq!(log.iter().map(|change| change.unit_last).collect::<Vec<_>>(), [false, true]);
    assert!(log.iter().all(|change| change.actor.as_deref() == Some("ada") && change.mid.is_some()));
    let told = told(&studio, head);
    assert_eq!((&*told[0].0, &*told[1].0), ("create Task", "create Notification"));
    let made = &told[1].1;
    assert_eq!((&made["person"], &made["task"]), (&json!("bo"), &json!(id(9))));
    assert_eq!(
        (&made["text"], &made["seen"], &made["before"]),
        (&json!("You now own Write"), &json!(false), &Json::Null)
    );
    // A repetition does nothing of it again.
    let again = studio.store.commit(unit).await.unwrap();
    assert_eq!((again.replayed, again.results.len(), studio.head()), (true, 1, head + 2));
    // No client may create such a record.
    let forged =
        create("Notification", 50, vec![words("bo"), Value::Null, Value::Null, words("x"), Value::Null]);
    let refused = studio.store.commit(asked("ada", [forged])).await;
    assert!(matches!(refused, Err(CommitError::Forbidden { op: 0, .. })), "{refused:?}");
}

pub(super) async fn a_condition_asks_for_the_values_before_and_after<F: Fixture>() {
    let studio = office::<F>().await;
    let made = async |op: Op, by: &str| {
        let head = studio.head();
        studio.store.commit(asked(by, [op])).await.unwrap();
        let told = told(&studio, head);
        told.into_iter().find(|(verb, _)| verb == "create Notification").map(|(_, record)| record)
    };
    assert_eq!(made(task(9, Some("ada")), "ada").await, None, "one's own");
    assert_eq!(made(task(8, None), "ada").await, None, "what is unknown does not run");
    let moved = made(assign(9, Some("bo")), "ada").await.unwrap();
    assert_eq!((&moved["person"], &moved["before"]), (&json!("bo"), &json!("ada")));
    assert_eq!(made(assign(9, Some("bo")), "ada").await, None, "nothing changed");
    assert_eq!(made(update("Task", 9, [(TITLE, words("x"))]), "ada").await, None, "another field");
    assert_eq!(made(assign(9, None), "ada").await, None);
    // From null to a value is a change.
    assert!(made(assign(9, Some("bo")), "ada").await.is_some());
    assert!(made(assign(8, Some("bo")), "ada").await.is_some());
}

pub(super) async fn records_are_found_by_a_value_and_changed_or_deleted<F: Fixture>() {
    let studio = office::<F>().await;
    studio.store.commit(asked("ada", [task(9, Some("bo")), task(8, Some("bo"))])).await.unwrap();
    studio.store.commit(asked("ada", [assign(9, Some("ada"))])).await.unwrap();
    studio.store.commit(asked("ada", [assign(9, Some("bo"))])).await.unwrap();
    let head = studio.head();
    studio.store.commit(asked("ada", [update("Task", 9, [(COUNT, Value::Int(3))])])).await.unwrap();
    let log = told(&studio, head);
    let names: Vec<&str> = log.iter().map(|(verb, _)| verb.as_str()).collect();
    assert_eq!(names, ["update Task", "update Project", "create Trace"], "each directly after its cause");
    assert_eq!((&log[1].1["total"], log[1].1["touched"].is_string()), (&json!(3), true));
    assert_eq!((&log[2].1["title"], &log[2].1["by"]), (&json!("p1"), &Json::Null));
    // Of three notifications two are about this task.
    let head = studio.head();
    studio.store.commit(asked("bo", [delete("Task", 9)])).await.unwrap();
    let log = told(&studio, head);
    let names: Vec<&str> = log.iter().map(|(verb, _)| verb.as_str()).collect();
    assert_eq!(names, ["delete Task", "create Trace", "delete Notification", "delete Notification"]);
    assert_eq!(
        (&log[1].1["of"], &log[1].1["by"], &log[1].1["title"]),
        (&json!(id(9)), &json!("bo"), &json!("Write"))
    );
    assert!(log[2..].iter().all(|(_, record)| record["task"] == json!(id(9))));
}

pub(super) async fn what_fails_fails_the_unit_and_tells_nothing<F: Fixture>() {
    let studio = office::<F>().await;
    studio.store.commit(asked("ada", [task(9, None)])).await.unwrap();
    let head = studio.head();
    let failed = |answer: Result<tidewire::store::Outcome, CommitError>, op: usize, of: &str| {
        let Err(CommitError::TriggerFailed { op: told, entity, .. }) = &answer else { panic!("{answer:?}") };
        assert_eq!((*told, &**entity), (op, of));
    };
    let eleven = |n| update("Task", n, [(COUNT, Value::Int(11))]);
    failed(studio.store.commit(asked("ada", [eleven(9)])).await, 0, "Task");
    failed(studio.store.commit(asked("ada", [task(7, None), eleven(9)])).await, 1, "Task");
    let many = Many {
        entity: "Task".into(),
        ids: vec![id(9)],
        more: false,
        filter: vec![Condition::new(Column::Field(TITLE), Test::Eq(words("Write")))],
        edit: ManyEdit::Update(vec![(COUNT, Value::Int(11))]),
    };
    failed(studio.store.commit(asked("ada", [Op::Many(Box::new(many))])).await, 0, "Task");
    // A required value that is missing: an anonymous caller cannot join.
    let join = |n| create("Join", n, vec![link(1)]);
    let nobody = Unit { asker: Asker::Person(std::sync::Arc::default()), actor: None, ..unit([join(3)]) };
    assert!(studio.store.commit(nobody).await.is_ok(), "the field is not required");
    assert_eq!(verbs(&studio, head), ["create Join", "create Membership"]);
}

pub(super) async fn a_record_that_is_there_is_left_as_it_is<F: Fixture>() {
    let studio = office::<F>().await;
    let join = |n, to| create("Join", n, vec![link(to)]);
    let secret = |n, of| create("Secret", n, vec![link(of)]);
    let head = studio.head();
    // What is made gives the next operation of the batch its right.
    studio.store.commit(asked("ada", [join(3, 1), secret(5, 1)])).await.unwrap();
    let refused = studio.store.commit(asked("ada", [secret(6, 1), secret(7, 2)])).await;
    assert!(matches!(refused, Err(CommitError::Forbidden { op: 1, .. })), "{refused:?}");
    studio.store.commit(asked("ada", [join(4, 2)])).await.unwrap();
    assert_eq!(verbs(&studio, head), ["create Join", "create Membership", "create Secret", "create Join"]);
    let membership = &told(&studio, head)[1].1;
    assert_eq!((&membership["person"], &membership["project"]), (&json!("ada"), &json!(id(1))));
}

pub(super) async fn cascades_and_changes_of_many_cause_what_single_writes_do<F: Fixture>() {
    let studio = office::<F>().await;
    studio.store.commit(asked("ada", [task(8, Some("bo")), task(9, None)])).await.unwrap();
    let head = studio.head();
    let all = Many {
        entity: "Task".into(),
        ids: vec![id(8), id(9)],
        more: false,
        filter: Vec::new(),
        edit: ManyEdit::Update(vec![(ASSIGNEE, words("bo"))]),
    };
    let outcome = studio.store.commit(asked("ada", [Op::Many(Box::new(all))])).await.unwrap();
    assert_eq!(outcome.results[0].status, OpStatus::Many(Tally { changed: 1, refused: 0, more: false }));
    assert_eq!(verbs(&studio, head), ["update Task", "create Notification"]);
    // A reference that is emptied is a change; a lookup that follows is none.
    let head = studio.head();
    studio.commit([update("Project", 1, [(FieldIndex(0), words("renamed"))])]).await.unwrap();
    assert_eq!(verbs(&studio, head), ["update Project", "update Task", "update Task", "create Trace"]);
    let label = create("Label", 20, vec![link(2), Value::Null, Value::Null]);
    studio.commit([label]).await.unwrap();
    let head = studio.head();
    studio.commit([update("Project", 2, [(FieldIndex(0), words("also renamed"))])]).await.unwrap();
    studio.commit([update("Label", 20, [(FieldIndex(1), words("own"))])]).await.unwrap();
    let told = verbs(&studio, head);
    assert_eq!(told, ["update Project", "update Label", "create Trace", "update Label", "create Trace"]);
    let head = studio.head();
    studio.commit([delete("Project", 1)]).await.unwrap();
    assert_eq!(
        verbs(&studio, head),
        [
            "delete Task",
            "delete Task",
            "delete Project",
            "create Trace",
            "delete Notification",
            "create Trace",
            "delete Notification"
        ],
        "after the whole operation, in the order of its entries"
    );
}

/// Leaves of a tree of nodes.
fn tree() -> Schema {
    let open = "[access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n";
    let node = "entity = \"Node\"\n[fields]\nname = { type = \"text\" }\nowner = { type = \"ref\", entity = \"User\" }\n\
                parent = { type = \"ref\", entity = \"Node\" }\n";
    let leaf = format!(
        r#"
entity = "Leaf"
[fields]
node = {{ type = "ref", entity = "Node", on_delete = "cascade" }}
{open}
[[on]]
event = "create"
create = "Trace"
set = {{ by = "node.owner", title = "'in ' + node.parent.name", far = "node.parent.parent.owner", since = "node.created_at", depth = "node.version" }}
[[on]]
event = "update"
when = "changed(node)"
create = "Trace"
set = {{ by = "old.node.owner", title = "node.name" }}
[[on]]
event = "delete"
update = "Node"
where = "target.id == node.parent"
set = {{ name = "node.name" }}
"#
    );
    let trace = "entity = \"Trace\"\n[fields]\nby = { type = \"ref\", entity = \"User\" }\ntitle = { type = \"text\" }\n\
                 far = { type = \"text\" }\nsince = { type = \"datetime\" }\ndepth = { type = \"int\" }\n";
    let sources = [
        ("leaf.toml", leaf.as_str()),
        ("node.toml", node),
        ("trace.toml", trace),
        ("user.toml", "entity = \"User\"\n[access]\nread = \"true\"\n"),
    ];
    let source = |(name, text): (&str, &str)| SourceFile {
        name: name.to_owned(),
        format: Format::Toml,
        text: text.to_owned(),
    };
    check(&sources.map(source)).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(super) async fn values_come_from_behind_references<F: Fixture>() {
    let studio = F::open(tree(), &StoreConfig::default());
    let user = |name: &str| Op::Create {
        entity: "User".into(),
        id: tidewire::ids::RecordId::stored(name),
        values: vec![words(name), Value::Null, Value::Bool(false)],
        fresh_id: false,
    };
    let node = |n: u128, owner: &str, parent: Option<u128>| {
        create("Node", n, vec![words(&format!("n{n}")), words(owner), parent.map_or(Value::Null, link)])
    };
    let people = ["ada", "bo", "cy"].map(user);
    let nodes = [node(1, "ada", None), node(2, "bo", Some(1)), node(3, "cy", Some(2))];
    studio.commit(people.into_iter().chain(nodes)).await.unwrap();
    let write = async |ops: Vec<Op>| {
        let head = studio.head();
        let unit = Unit { asker: Asker::Person(person("ada")), ..unit(ops) };
        studio.store.commit(unit).await.unwrap();
        told(&studio, head)
    };
    let leaf = |n: u128, node: Option<u128>| create("Leaf", n, vec![node.map_or(Value::Null, link)]);
    let of_system = async |ops: Vec<Op>| {
        let head = studio.head();
        studio.commit(ops).await.unwrap();
        told(&studio, head)
    };
    let since = studio.store.get("Node", &id(3)).await.unwrap().value.unwrap();
    let since: Json = serde_json::from_slice(&since.json).unwrap();
    let made = of_system(vec![leaf(11, Some(3))]).await;
    assert_eq!(made[1].0, "create Trace");
    let shown = |trace: &Json| [&trace["by"], &trace["title"], &trace["far"]].map(Clone::clone);
    assert_eq!(shown(&made[1].1), [json!("cy"), json!("in n2"), json!("ada")]);
    assert_eq!((&made[1].1["since"], &made[1].1["depth"]), (&since["created_at"], &json!(1)));
    // A reference on the way is empty.
    let made = of_system(vec![leaf(12, Some(1))]).await;
    assert_eq!(shown(&made[1].1), [json!("ada"), Json::Null, Json::Null]);
    let made = write(vec![leaf(13, None)]).await;
    assert_eq!(shown(&made[1].1), [Json::Null, Json::Null, Json::Null]);
    // What an earlier operation of the unit wrote counts.
    let owner = update("Node", 3, [(FieldIndex(1), words("bo"))]);
    let made = of_system(vec![leaf(14, Some(3)), owner, leaf(15, Some(3))]).await;
    let by = |place: usize| made[place].1["by"].clone();
    assert_eq!((by(1), by(4)), (json!("cy"), json!("bo")), "{made:?}");
    // Before an update the reference led elsewhere.
    let made = of_system(vec![update("Leaf", 12, [(FieldIndex(0), link(2))])]).await;
    assert_eq!((&made[1].1["by"], &made[1].1["title"]), (&json!("ada"), &json!("n2")));
    // The records to be changed are found behind one, too.
    let made = of_system(vec![delete("Leaf", 12)]).await;
    assert_eq!(
        (&*made[1].0, &made[1].1["id"], &made[1].1["name"]),
        ("update Node", &json!(id(1).as_str()), &json!("n2"))
    );
    assert_eq!(of_system(vec![delete("Leaf", 13)]).await.len(), 1);
}

/// Guests, and the list of members that the server fills.
fn register() -> Schema {
    let guest = r#"
entity = "Guest"
[fields]
email = { type = "text" }
[access]
read = "true"
create = "true"
update = "true"
[[on]]
event = "create"
create = "Member"
exists = "skip"
set = { email = "email", raw = "'<' + email + '>'", guest = "id" }
[[on]]
event = "update"
update = "Member"
where = "target.guest == id"
set = { email = "email" }
"#;
    let member = r#"
entity = "Member"
[fields]
email = { type = "text", unique = true, normalize = ["trim", "lower", "nfc"] }
raw = { type = "text" }
guest = { type = "ref", entity = "Guest" }
"#;
    let source = |(name, text): (&str, &str)| SourceFile {
        name: name.to_owned(),
        format: Format::Toml,
        text: text.to_owned(),
    };
    let user = "entity = \"User\"\n[access]\nread = \"true\"\n";
    let sources = [("guest.toml", guest), ("member.toml", member), ("user.toml", user)];
    check(&sources.map(source)).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(super) async fn what_a_trigger_writes_has_the_fields_normal_form<F: Fixture>() {
    let studio = F::open(register(), &StoreConfig::default());
    let guest = |n: u128, email: &str| create("Guest", n, vec![words(email)]);
    let emails = |since: u64| -> Vec<(String, Json)> {
        let told = told(&studio, since).into_iter().filter(|(verb, _)| verb.ends_with(" Member"));
        told.map(|(verb, record)| (verb, record["email"].clone())).collect()
    };
    studio.commit([guest(1, "  \u{c9}va@Sea.example\n")]).await.unwrap();
    assert_eq!(emails(0), [("create Member".to_owned(), json!("\u{e9}va@sea.example"))]);
    assert_eq!(told(&studio, 0)[1].1["raw"], "<  \u{c9}va@Sea.example\n>", "only the field that asks for it");
    // The same value in another form is there already, and is skipped.
    let head = studio.head();
    studio.commit([guest(2, "\u{c9}VA@SEA.EXAMPLE ")]).await.unwrap();
    assert_eq!(emails(head), []);
    // A change that is the same in the normal form is none, and another one is written in it.
    let head = studio.head();
    studio.commit([update("Guest", 1, [(TITLE, words("\u{c9}VA@Sea.example"))])]).await.unwrap();
    assert_eq!(emails(head), []);
    studio.commit([update("Guest", 1, [(TITLE, words(" Ben"))])]).await.unwrap();
    assert_eq!(emails(head), [("update Member".to_owned(), json!("ben"))]);
    studio.commit([guest(3, "CY")]).await.unwrap();
    let taken = studio.commit([update("Guest", 3, [(TITLE, words("BEN "))])]).await;
    assert!(matches!(taken, Err(CommitError::TriggerFailed { .. })), "{taken:?}");
}
