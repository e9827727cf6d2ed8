//! Tasks that their owners read, with fields that are hidden always or at times, and short words for what is asked of them.
//! Knows no story.

use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::rules::Person;
use tidewire::schema::{
    Column, Comparison, Entity, Expr, Field, FieldIndex, FieldKind, Generation, History, OnDelete, Schema,
    Term, UserTerm, Value,
};
use tidewire::store::{Condition, Count, Op, Query, StoreError, Test, Who};

use super::at_once::Now;
use super::club::rule;
use super::fixture::Fixture;
use super::studio::{Studio, create, entity, field, id, link, refers, text, words};

pub(crate) const TITLE: FieldIndex = FieldIndex(0);
pub(crate) const OWNER: FieldIndex = FieldIndex(1);
pub(crate) const SALARY: FieldIndex = FieldIndex(2);
pub(crate) const NOTE: FieldIndex = FieldIndex(3);
pub(crate) const PARENT: FieldIndex = FieldIndex(4);
pub(crate) const STATE: FieldIndex = FieldIndex(5);
pub(crate) const ADA: u128 = 1;
pub(crate) const BO: u128 = 2;

pub(crate) fn owned() -> Expr {
    is(OWNER, Term::User(UserTerm::Id))
}

pub(crate) fn is(field: FieldIndex, other: Term) -> Expr {
    Expr::Compare(Term::Record(Column::Field(field)), Comparison::Eq, other)
}

pub(crate) fn has_state(state: &str) -> Expr {
    is(STATE, Term::Value(words(state)))
}

/// `Task`, read by its owner; no one sees `salary`, the owner sees `note` while the task is open.
pub(crate) fn schema(read: Expr) -> Schema {
    let mut task = Entity {
        history: Some(History::Forever),
        ..entity(
            "Task",
            "tasks",
            vec![
                field("title", text()),
                field("owner", refers("User", OnDelete::SetNull)),
                Field {
                    read: rule(Expr::Constant(false)),
                    ..field("salary", FieldKind::Int { min: None, max: None })
                },
                Field { read: rule(has_state("open")), ..field("note", text()) },
                field("parent", refers("Task", OnDelete::SetNull)),
                field("state", text()),
            ],
        )
    };
    task.access.read = rule(read);
    let closed = entity("Secret", "secrets", vec![field("title", text())]);
    let user = vec![field("name", text()), field("role", text()), field("disabled", FieldKind::Bool)];
    let mut user = entity("User", "users", user);
    user.access.read = rule(Expr::Constant(true));
    Schema::new([user, task, closed])
}

pub(crate) async fn studio<F: Fixture>(read: Expr) -> Studio {
    furnished(F::open(schema(read), &StoreConfig { scan_rows: 50, ..StoreConfig::default() })).await
}

/// Everybody is there: Ada, Bo, and one whose account is disabled.
pub(crate) async fn furnished(studio: Studio) -> Studio {
    let user = |n, disabled| create("User", n, vec![Value::Null, Value::Null, Value::Bool(disabled)]);
    studio.commit([user(ADA, false), user(BO, false), user(3, true)]).await.unwrap();
    studio
}

pub(crate) fn task(n: u128, owner: u128, parent: Option<u128>, state: &str) -> Op {
    let parent = parent.map_or(Value::Null, link);
    create("Task", n, vec![words("t"), link(owner), Value::Int(100), words("n"), parent, words(state)])
}

pub(crate) fn person(n: u128) -> Who {
    Who::Person(Arc::new(Person { id: Some(id(n).as_str().into()), ..Person::default() }))
}

pub(crate) fn anybody() -> Who {
    Who::Person(Arc::default())
}

pub(crate) fn all(who: Who) -> Query {
    Query { who, ..Query::all("Task", Generation(1), 100) }
}

pub(crate) fn condition(field: FieldIndex, test: Test) -> Vec<Condition> {
    vec![Condition::new(Column::Field(field), test)]
}

pub(crate) fn listed(studio: &Studio, query: &Query) -> Result<Vec<u128>, StoreError> {
    let page = studio.store.list(query).now()?.value;
    Ok(page.rows.iter().map(|row| uuid::Uuid::parse_str(row.id.as_str()).unwrap().as_u128()).collect())
}

pub(crate) fn count(who: Who) -> Count {
    let (filter, search) = (vec![], vec![]);
    Count { entity: "Task".into(), generation: Generation(1), who, filter, search, group: None }
}
