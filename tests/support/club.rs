//! A schema with rules of every kind, written as the tree that the parser makes, and the people who try them. Knows no story.
//!
//! Ada is editor of project 1, Bo may only look at it, Cy belongs to nothing, Dan is editor of project 2, the root user is
//! an admin of everything and member of nothing.

use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::ids::RecordId;
use tidewire::rules::{Asker, Person};
use tidewire::schema::{
    Access, Column, Comparison, Entity, Expr, Field, FieldIndex, FieldKind, Lookup, NowForm, OnDelete,
    RecordSearch, ReferencePath, RelatedSet, Rule, Schema, SearchKey, Sequence, Term, UserTerm, Value,
};
use tidewire::store::{CommitError, Op, Outcome, Unit};

use super::fixture::Fixture;
use super::studio::{Studio, create, entity, field, link, refers, text, unit, update, words};

pub(crate) const TITLE: FieldIndex = FieldIndex(0);
pub(crate) const PROJECT: FieldIndex = FieldIndex(1);
pub(crate) const OWNER: FieldIndex = FieldIndex(2);
pub(crate) const SECRET: FieldIndex = FieldIndex(3);
pub(crate) const STATUS: FieldIndex = FieldIndex(4);

/// Fields of `Membership`.
pub(crate) const OF_USER: FieldIndex = FieldIndex(0);
pub(crate) const OF_PROJECT: FieldIndex = FieldIndex(1);
pub(crate) const OF_ROLE: FieldIndex = FieldIndex(2);
pub(crate) const OF_NOTE: FieldIndex = FieldIndex(3);

/// The same schema, whose tasks are numbered by their projects and over all.
pub(crate) fn numbered(entity: &mut Entity) {
    for (name, counts) in [("number", Sequence::Within(PROJECT)), ("serial", Sequence::Whole)] {
        let kind = FieldKind::Int { min: None, max: None };
        entity.fields.push(Field { sequence: Some(counts), readonly: true, ..field(name, kind) });
    }
}

/// A create of a task with places for its numbers.
pub(crate) fn unnumbered(op: Op) -> Op {
    let mut op = op;
    if let Op::Create { entity, values, .. } = &mut op
        && &**entity == "Task"
    {
        values.extend([Value::Null, Value::Null]);
    }
    op
}

pub(crate) fn rule(meaning: Expr) -> Option<Rule> {
    Some(Rule { source: format!("{meaning:?}").into(), meaning })
}

pub(crate) fn own(field: FieldIndex) -> Term {
    Term::Record(Column::Field(field))
}

pub(crate) fn equal(left: Term, right: Term) -> Expr {
    Expr::Compare(left, Comparison::Eq, right)
}

/// `field == user.id`
pub(crate) fn mine(field: FieldIndex) -> Expr {
    equal(own(field), Term::User(UserTerm::Id))
}

pub(crate) fn says(text: &str) -> Term {
    Term::Value(words(text))
}

/// `user.role == 'admin'`
pub(crate) fn admin() -> Expr {
    equal(Term::User(UserTerm::Role), says("admin"))
}

/// `term in user.memberships.project`
pub(crate) fn of_my_projects(term: Term) -> Expr {
    let column = Column::Field(OF_PROJECT);
    Expr::Related(term, RelatedSet { entity: "Membership".into(), column })
}

/// `user.memberships.exists(m, m.project == project && m.role == 'editor')`
pub(crate) fn editor() -> Expr {
    let element = |field| Term::Element(Column::Field(field));
    let same = equal(element(OF_PROJECT), own(PROJECT));
    Expr::Exists(
        "Membership".into(),
        "m".into(),
        Box::new(Expr::All(vec![same, equal(element(OF_ROLE), says("editor"))])),
    )
}

fn user() -> Expr {
    Expr::Not(Box::new(Expr::IsNull(Term::User(UserTerm::Itself))))
}

fn access(read: Expr, create: Expr, update: Expr, delete: Expr) -> Access {
    Access {
        read: rule(read),
        create: rule(create),
        update: rule(update),
        delete: rule(delete),
        ..Access::default()
    }
}

/// An update may name the status only of an own task, or to say something else than "done".
fn task_update() -> Expr {
    let done = equal(Term::Change(STATUS), says("done"));
    let status =
        Expr::Any(vec![Expr::Not(Box::new(Expr::Named(STATUS))), Expr::Not(Box::new(done)), mine(OWNER)]);
    Expr::All(vec![Expr::Any(vec![mine(OWNER), editor()]), status])
}

pub(crate) fn schema() -> Schema {
    let users = entity(
        "User",
        "users",
        vec![field("name", text()), field("role", text()), field("disabled", FieldKind::Bool)],
    );
    let projects = entity("Project", "projects", vec![field("name", text())]);
    let memberships = entity(
        "Membership",
        "memberships",
        vec![
            field("user", refers("User", OnDelete::Cascade)),
            field("project", refers("Project", OnDelete::Cascade)),
            field("role", text()),
            field("note", text()),
        ],
    );
    let secret = Field { read: rule(mine(OWNER)), ..field("secret", text()) };
    let tasks = entity(
        "Task",
        "tasks",
        vec![
            field("title", text()),
            field("project", refers("Project", OnDelete::Cascade)),
            field("owner", refers("User", OnDelete::SetNull)),
            secret,
            field("status", text()),
        ],
    );
    let via = Lookup { via: FieldIndex(0), field: PROJECT };
    let project = Field { lookup: Some(via), ..field("project", refers("Project", OnDelete::Cascade)) };
    let comments = entity(
        "Comment",
        "comments",
        vec![field("task", refers("Task", OnDelete::Cascade)), project, field("body", text())],
    );
    let on_task =
        |name, plural| entity(name, plural, vec![field("task", refers("Task", OnDelete::Restrict))]);
    let of_comment = of_my_projects(own(FieldIndex(1)));
    let anybody = || Expr::Constant(true);
    let nobody = || Expr::Constant(false);
    let read_task = Expr::Any(vec![of_my_projects(own(PROJECT)), mine(OWNER)]);
    let read_project = Expr::Any(vec![of_my_projects(Term::Record(Column::Id)), admin()]);
    Schema::new([
        Entity { access: access(user(), admin(), mine_as_user(), admin()), ..users },
        Entity { access: access(read_project, admin(), admin(), admin()), ..projects },
        Entity {
            access: access(Expr::Any(vec![mine(OF_USER), admin()]), admin(), admin(), admin()),
            identity: Some(OF_USER),
            ..memberships
        },
        Entity {
            access: access(read_task, of_my_projects(own(PROJECT)), task_update(), mine(OWNER)),
            ..tasks
        },
        Entity {
            access: access(
                of_comment.clone(),
                of_comment,
                of_my_projects(Term::Change(FieldIndex(1))),
                nobody(),
            ),
            ..comments
        },
        on_task("Ledger", "ledgers"),
        Entity { access: access(anybody(), anybody(), anybody(), anybody()), ..on_task("Bill", "bills") },
    ])
}

/// The club with write rules that look further: they follow references, look through other records and through those of their
/// own entity, and ask for the time.
pub(crate) fn further(schema: &Schema) -> Schema {
    let behind = |via, entity: &str, column| {
        Term::Behind(Box::new(ReferencePath { via, entity: entity.into(), column }))
    };
    let me = || Term::User(UserTerm::Id);
    let now = || Term::Now(NowForm::Millis);
    let element = |field| Term::Element(Column::Field(field));
    let of_task = |field| behind(own(FieldIndex(0)), "Task", Column::Field(field));
    // exists(Membership, m, m.project == PROJECT && m.user == user.id && m.role == 'editor')
    let edits = |project: Term| {
        let keys = vec![
            SearchKey { column: Column::Field(OF_PROJECT), value: project.clone() },
            SearchKey { column: Column::Field(OF_USER), value: me() },
        ];
        let condition = Expr::All(vec![
            equal(element(OF_PROJECT), project),
            equal(element(OF_USER), me()),
            equal(element(OF_ROLE), says("editor")),
        ]);
        Expr::Search(Box::new(RecordSearch {
            entity: "Membership".into(),
            name: "m".into(),
            keys,
            condition,
        }))
    };
    // exists(Membership, m, m.project == project && m.role == 'editor' && m.id != id)
    let another_editor = {
        let keys = vec![SearchKey { column: Column::Field(OF_PROJECT), value: own(OF_PROJECT) }];
        let other = Expr::Compare(Term::Element(Column::Id), Comparison::Ne, Term::Record(Column::Id));
        let condition = Expr::All(vec![
            equal(element(OF_PROJECT), own(OF_PROJECT)),
            equal(element(OF_ROLE), says("editor")),
            other,
        ]);
        Expr::Search(Box::new(RecordSearch {
            entity: "Membership".into(),
            name: "m".into(),
            keys,
            condition,
        }))
    };
    // exists(Bill, b, b.task == id)
    let billed = {
        let keys = vec![SearchKey { column: Column::Field(FieldIndex(0)), value: Term::Record(Column::Id) }];
        let condition = equal(element(FieldIndex(0)), Term::Record(Column::Id));
        Expr::Search(Box::new(RecordSearch { entity: "Bill".into(), name: "m".into(), keys, condition }))
    };
    let with = |entity: &Arc<Entity>| {
        let mut entity = (**entity).clone();
        let access = &mut entity.access;
        match &*entity.name {
            "Membership" => {
                access.create = rule(Expr::Any(vec![admin(), edits(own(OF_PROJECT))]));
                let moves = Expr::All(vec![edits(own(OF_PROJECT)), edits(Term::Change(OF_PROJECT))]);
                access.update = rule(Expr::Any(vec![admin(), moves]));
                let leaves = Expr::All(vec![mine(OF_USER), another_editor.clone()]);
                access.delete = rule(Expr::Any(vec![admin(), leaves]));
            }
            "Task" => {
                let unbilled = Expr::Not(Box::new(billed.clone()));
                access.delete = rule(Expr::All(vec![mine(OWNER), unbilled]));
            }
            "Comment" => {
                // task.project.name == 'a', or it is one's own task and the comment is not of this moment.
                let project = of_task(PROJECT);
                let name = behind(project, "Project", Column::Field(FieldIndex(0)));
                let created = Term::Record(Column::CreatedAt);
                let settled = Expr::Compare(created, Comparison::Lt, now());
                let of_mine = Expr::All(vec![equal(of_task(OWNER), me()), settled]);
                access.delete = rule(Expr::Any(vec![equal(name, says("a")), of_mine]));
                let after = behind(Term::Change(FieldIndex(0)), "Task", Column::Field(OWNER));
                access.update = rule(Expr::Any(vec![equal(after, me()), of_my_projects(of_task(PROJECT))]));
            }
            "Bill" => {
                let owner = behind(of_task(OWNER), "User", Column::Field(FieldIndex(1)));
                let by_role = equal(owner, says("admin"));
                access.create =
                    rule(Expr::Any(vec![equal(of_task(OWNER), me()), edits(of_task(PROJECT)), by_role]));
                access.delete = rule(Expr::Compare(now(), Comparison::Gt, Term::Record(Column::CreatedAt)));
            }
            _ => {}
        }
        entity
    };
    Schema::new(schema.entities().map(with))
}

/// `id == user.id || user.role == 'admin'`
fn mine_as_user() -> Expr {
    Expr::Any(vec![equal(Term::Record(Column::Id), Term::User(UserTerm::Id)), admin()])
}

pub(crate) fn person(name: &str) -> Arc<Person> {
    Arc::new(Person { id: Some(name.into()), ..Person::default() })
}

/// The studio with all its people.
pub(crate) async fn club<F: Fixture>() -> Studio {
    club_over::<F>(schema()).await
}

pub(crate) async fn club_over<F: Fixture>(schema: Schema) -> Studio {
    let studio = F::open(schema, &StoreConfig::default());
    let people = ["ada", "bo", "cy", "dan", "root"].map(|name| {
        let role = if name == "root" { words("admin") } else { Value::Null };
        user_record(name, role)
    });
    let projects = [1, 2].map(|n| create("Project", n, vec![words("a project")]));
    let members =
        [member(11, "ada", 1, "editor"), member(12, "bo", 1, "viewer"), member(13, "dan", 2, "editor")];
    studio.commit(people.into_iter().chain(projects).chain(members)).await.unwrap();
    studio
}

pub(crate) fn user_record(name: &str, role: Value) -> Op {
    let values = vec![words(name), role, Value::Bool(false)];
    Op::Create { entity: "User".into(), id: RecordId::stored(name), values, fresh_id: false }
}

pub(crate) fn member(n: u128, user: &str, project: u128, role: &str) -> Op {
    create("Membership", n, vec![words(user), link(project), words(role), Value::Null])
}

pub(crate) fn task(n: u128, project: u128, owner: Option<&str>) -> Op {
    let owner = owner.map_or(Value::Null, words);
    create("Task", n, vec![words("a task"), link(project), owner, words("hush"), words("open")])
}

pub(crate) fn titled(n: u128, title: &str) -> Op {
    update("Task", n, [(TITLE, words(title))])
}

pub(crate) fn comment(n: u128, task: u128) -> Op {
    create("Comment", n, vec![link(task), Value::Null, words("a comment")])
}

/// What a person asks for.
pub(crate) fn asked(name: &str, ops: impl IntoIterator<Item = Op>) -> Unit {
    Unit { asker: Asker::Person(person(name)), actor: Some(name.into()), ..unit(ops) }
}

pub(crate) async fn ask(
    studio: &Studio,
    name: &str,
    ops: impl IntoIterator<Item = Op>,
) -> Result<Outcome, CommitError> {
    studio.store.commit(asked(name, ops)).await
}

/// The record of the first answer, as JSON.
pub(crate) fn shown(outcome: &Outcome) -> Option<serde_json::Value> {
    let record = outcome.results[0].record.as_ref()?;
    Some(serde_json::from_slice(&record.json).unwrap())
}

/// The number of no record.
pub(crate) const MISSING: u128 = 0xdead;
