//! Whose rights a change concerns, and what rules may ask of a person, as the model says it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewire::rules::{Person, Principal, RelatedRecords};
use tidewire::schema::{
    Column, EntityName, Expr, FieldIndex, Operation, Record, Schema, Term, UserTerm, Value,
};
use tidewire::store::Change;

use super::log::Entry;
use super::sight::asker;
use super::{Records, State};

/// Places in `User`, which is built in.
const ROLE: Column = Column::Field(FieldIndex(1));
const DISABLED: Column = Column::Field(FieldIndex(2));

/// The columns that read rules ask of records that belong to a person, by entity.
type Asked = BTreeMap<EntityName, BTreeSet<Column>>;

pub(super) fn principal(schema: &Schema, records: &Records, person: &Arc<Person>) -> Principal {
    let asker = asker(schema, records, person);
    if asker.id.is_none() {
        return Principal::unread(person.clone());
    }
    let has_owner = |name: &EntityName| schema.entity(name).is_some_and(|entity| entity.identity.is_some());
    let related = of_read_rules(schema).into_keys().filter(has_owner).map(|name| {
        let records = || asker.belonging(&name).cloned().collect();
        let related = if asker.too_many.contains(&name) {
            RelatedRecords::TooMany
        } else {
            RelatedRecords::Records(records())
        };
        (name.clone(), related)
    });
    let related = related.collect();
    Principal::new(person.clone(), asker.user.as_deref().cloned(), related)
}

/// Whether changes of its records may change what a user sees.
pub(super) fn gives(schema: &Schema, entity: &str) -> bool {
    of_read_rules(schema).contains_key(entity)
}

/// The change as it is announced: with the persons whose rights it concerns.
pub(super) fn told(schema: &Schema, entry: &Entry) -> Arc<Change> {
    Arc::new(Change { rights: concerned(schema, entry), ..(*entry.change).clone() })
}

impl State {
    pub(super) fn note_rights(&mut self, schema: &Schema, entries: &[Entry]) {
        for entry in entries {
            for person in concerned(schema, entry) {
                self.rights.insert((person, entry.change.entity.clone()), entry.change.seq.0);
            }
        }
    }
}

/// Whose record it was and whose it is, unless all that is asked of it stayed.
fn concerned(schema: &Schema, entry: &Entry) -> Vec<Arc<str>> {
    let Some(columns) = of_read_rules(schema).remove(&entry.change.entity) else { return Vec::new() };
    let identity = schema.entity(&entry.change.entity).unwrap().identity;
    let owner = |record: &Arc<Record>| match identity {
        None => Some(record.id.as_str().into()),
        Some(field) => match &record.values[field.0] {
            Value::Text(id) => Some(id.as_str().into()),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => None,
        },
    };
    let asked = |record: &Arc<Record>| -> (Option<Arc<str>>, Vec<Value>) {
        let fields = columns.iter().filter(|column| matches!(column, Column::Field(_)));
        (owner(record), fields.map(|column| record.value(*column)).collect())
    };
    let (old, new) = (entry.old.as_ref().map(asked), entry.new.as_ref().map(asked));
    if old == new {
        return Vec::new();
    }
    let mut persons: Vec<Arc<str>> = old.into_iter().chain(new).filter_map(|(owner, _)| owner).collect();
    persons.dedup();
    persons
}

fn of_read_rules(schema: &Schema) -> Asked {
    let mut asked = Asked::new();
    asked.entry("User".into()).or_default().insert(DISABLED);
    for entity in schema.entities() {
        rule(entity.access.rule(Operation::Read), None, &mut asked);
        rule(entity.access.rule(Operation::List), None, &mut asked);
        let fields = entity.fields.iter().filter_map(|field| field.read.as_ref());
        fields.for_each(|read| rule(&read.meaning, None, &mut asked));
    }
    asked.retain(|name, _| schema.entity(name).is_some());
    asked
}

/// `element`: the entity whose records an `exists` looks at.
fn rule(expr: &Expr, element: Option<&EntityName>, asked: &mut Asked) {
    match expr {
        Expr::Constant(_) | Expr::Named(_) | Expr::Search(_) => {}
        Expr::Not(inner) => rule(inner, element, asked),
        Expr::All(terms) | Expr::Any(terms) => terms.iter().for_each(|term| rule(term, element, asked)),
        Expr::Holds(one) | Expr::IsNull(one) => term(one, element, asked),
        Expr::Compare(left, _, right)
        | Expr::Member(left, right)
        | Expr::Starts(left, right)
        | Expr::Ends(left, right)
        | Expr::Contains(left, right) => [left, right].into_iter().for_each(|one| term(one, element, asked)),
        Expr::OneOf(item, list) => list.iter().chain([item]).for_each(|one| term(one, element, asked)),
        Expr::Related(item, set) => {
            term(item, element, asked);
            asked.entry(set.entity.clone()).or_default().insert(set.column);
        }
        Expr::Exists(entity, _, condition) => {
            asked.entry(entity.clone()).or_default();
            rule(condition, Some(entity), asked);
        }
    }
}

fn term(one: &Term, element: Option<&EntityName>, asked: &mut Asked) {
    let mut add = |entity: &str, column| {
        asked.entry(entity.into()).or_default().insert(column);
    };
    match (one, element) {
        (Term::Element(column), Some(entity)) => add(entity, *column),
        (Term::User(UserTerm::Role), _) => add("User", ROLE),
        (Term::User(UserTerm::Field(field)), _) => add("User", Column::Field(*field)),
        (Term::Size(inner), _) => term(inner, element, asked),
        (Term::Behind(path), _) => term(&path.via, element, asked),
        (Term::Element(_) | Term::Record(_) | Term::Change(_) | Term::Value(_) | Term::Now(_), _)
        | (Term::User(UserTerm::Itself | UserTerm::Id | UserTerm::Claim(_)), _) => {}
    }
}
