//! What a user sees, as the model says it: which entities, which records, which of their fields.
//!
//! Knows who asks and the records of one moment. A bound read scope is taken for what it says: its tree is read as a rule that
//! asks of nobody, and the oracle answers it.

use std::sync::Arc;

use tidewire::rules::{BindError, MOST_RELATED, Operand, Person, Predicate, ReadScope};
use tidewire::schema::{
    Column, Entity, EntityName, Expr, FieldIndex, Operation, Record, RelatedSet, Schema, Term, Value,
};
use tidewire::store::{Condition, Hidden, StoreError, Stored, Who};

use super::{GENERATION, Records};
use crate::support::oracle::{Asker, Oracle, Sets, asked, foregone};

#[derive(Clone)]
pub(super) enum Sight {
    Everything,
    Person(Asker),
    Bound(Arc<ReadScope>),
}

impl Sight {
    pub(super) fn of(schema: &Schema, records: &Records, who: &Who) -> Sight {
        match who {
            Who::System => Sight::Everything,
            Who::Person(person) => Sight::Person(asker(schema, records, person)),
            Who::ReadScope(read_scope) => Sight::Bound(read_scope.clone()),
        }
    }

    /// Whether there is anything to see of the entity.
    pub(super) fn open(&self, entity: &Entity) -> Result<(), StoreError> {
        self.open_by(entity, &[Operation::Read])
    }

    /// The same, for lists.
    pub(super) fn open_list(&self, entity: &Entity) -> Result<(), StoreError> {
        self.open_by(entity, &[Operation::Read, Operation::List])
    }

    fn open_by(&self, entity: &Entity, rules: &[Operation]) -> Result<(), StoreError> {
        match self {
            Sight::Everything => Ok(()),
            Sight::Person(asker) if is_closed(entity, asker) => Err(StoreError::Closed(entity.name.clone())),
            Sight::Person(asker) => failing(entity, asker, rules).map_err(StoreError::Rule),
            Sight::Bound(scope) if scope.generation != GENERATION => Err(StoreError::StaleGeneration),
            Sight::Bound(scope) if scope.entity.name != entity.name => {
                Err(StoreError::Storage(format!("{} was asked for with another read scope", entity.name)))
            }
            Sight::Bound(_) => Ok(()),
        }
    }

    pub(super) fn sees(&self, entity: &Entity, record: &Record) -> bool {
        match self {
            Sight::Everything => true,
            Sight::Person(asker) => Oracle::of(asker, record).grants(entity.access.rule(Operation::Read)),
            Sight::Bound(scope) => holds(scope.predicate(), record),
        }
    }

    /// Whether the record is in lists.
    pub(super) fn lists(&self, entity: &Entity, record: &Record) -> bool {
        let listed = match self {
            Sight::Person(asker) => Oracle::of(asker, record).grants(entity.access.rule(Operation::List)),
            Sight::Everything | Sight::Bound(_) => true,
        };
        listed && self.sees(entity, record)
    }

    /// The fields of a record that are not shown.
    pub(super) fn hidden(&self, entity: &Entity, record: &Record) -> Vec<FieldIndex> {
        let all = (0..entity.fields.len()).map(FieldIndex);
        all.filter(|field| match self {
            Sight::Everything => false,
            Sight::Person(asker) => {
                let read = &entity.at(*field).read;
                read.as_ref().is_some_and(|read| !Oracle::of(asker, record).grants(&read.meaning))
            }
            Sight::Bound(scope) => {
                scope.shown(Column::Field(*field)).is_some_and(|shown| !holds(shown, record))
            }
        })
        .collect()
    }

    pub(super) fn shown(&self, entity: &Entity, record: &Record) -> Stored {
        let json = record.to_json_without(entity, &self.hidden(entity, record));
        Stored { version: record.version, json }
    }

    /// Whether the record is in lists and meets a filter. A condition on a field that is not shown with the record is not met.
    pub(super) fn passes(&self, entity: &Entity, record: &Record, filter: &[Condition]) -> bool {
        self.lists(entity, record) && self.meets(entity, record, filter)
    }

    pub(super) fn meets(&self, entity: &Entity, record: &Record, filter: &[Condition]) -> bool {
        let nobody = Asker::default();
        let hidden = self.hidden(entity, record);
        let is_shown = |column| !matches!(column, Column::Field(field) if hidden.contains(&field));
        let meets = |condition: &Condition| {
            is_shown(condition.column) && Oracle::of(&nobody, record).meets(condition)
        };
        filter.iter().all(meets)
    }

    /// Nobody may filter by a field that no record shows.
    pub(super) fn may_filter(&self, entity: &Entity, column: Column) -> Result<(), StoreError> {
        match self.how_hidden(entity, column) {
            Some(Hidden::Always) => Err(StoreError::HiddenColumn(column, Hidden::Always)),
            Some(Hidden::Sometimes) | None => Ok(()),
        }
    }

    /// Nor sort or group by one that some records do not show.
    pub(super) fn may_sort(&self, entity: &Entity, column: Column) -> Result<(), StoreError> {
        self.how_hidden(entity, column).map_or(Ok(()), |how| Err(StoreError::HiddenColumn(column, how)))
    }

    fn how_hidden(&self, entity: &Entity, column: Column) -> Option<Hidden> {
        let Column::Field(field) = column else { return None };
        let settled = match self {
            Sight::Everything => Some(true),
            Sight::Person(asker) => match &entity.at(field).read {
                Some(read) => foregone(&read.meaning, true, entity, asker, Sets::Known),
                None => Some(true),
            },
            Sight::Bound(scope) => match scope.shown(column) {
                Some(Predicate::Constant(shown)) => Some(*shown),
                Some(_) => None,
                None => Some(true),
            },
        };
        match settled {
            Some(true) => None,
            Some(false) => Some(Hidden::Always),
            None => Some(Hidden::Sometimes),
        }
    }
}

/// What the records of a moment say of a person. For an anonymous caller there is nothing to read.
pub(super) fn asker(schema: &Schema, records: &Records, person: &Person) -> Asker {
    let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
    let mut asker = Asker {
        id: text(&person.id),
        role: text(&person.role),
        claims: (*person.claims).clone(),
        ..Asker::default()
    };
    let Some(id) = &asker.id else { return asker };
    let is_theirs = |name: &EntityName, record: &Record| {
        let identity = schema.entity(name).unwrap().identity;
        identity.is_some_and(|field| record.values[field.0] == Value::Text(id.clone()))
    };
    for ((name, record_id), record) in records {
        if &**name == "User" && record_id.as_str() == id {
            asker.user = Some(record.clone());
        }
        if is_theirs(name, record) {
            asker.related.push((name.clone(), record.clone()));
        }
    }
    for entity in schema.entities() {
        if asker.belonging(&entity.name).count() > MOST_RELATED {
            asker.too_many.insert(entity.name.clone());
        }
    }
    asker
}

/// Whether the entity is as if absent, whatever records there are and whatever belongs to the person.
pub(super) fn is_closed(entity: &Entity, asker: &Asker) -> bool {
    let rule = entity.access.rule(Operation::Read);
    asker.is_disabled() || foregone(rule, true, entity, asker, Sets::Open) == Some(false)
}

/// Whether what the person may read can be said at all.
pub(super) fn failing(entity: &Entity, asker: &Asker, rules: &[Operation]) -> Result<(), BindError> {
    if asker.is_disabled() || asker.id.is_none() {
        return Ok(());
    }
    match sets(entity, rules).into_iter().find(|set| asker.too_many.contains(set)) {
        Some(entity) => Err(BindError::SetTooLarge { entity }),
        None => Ok(()),
    }
}

/// The entities whose records these rules and those of the fields ask for, in the order in which they are met.
pub(super) fn sets(entity: &Entity, rules: &[Operation]) -> Vec<EntityName> {
    let mut found = Vec::new();
    rules.iter().for_each(|operation| collect(entity.access.rule(*operation), &mut found));
    let fields = entity.fields.iter().filter_map(|field| field.read.as_ref());
    fields.for_each(|read| collect(&read.meaning, &mut found));
    found
}

fn collect(rule: &Expr, found: &mut Vec<EntityName>) {
    match rule {
        Expr::Not(inner) => collect(inner, found),
        Expr::All(terms) | Expr::Any(terms) => terms.iter().for_each(|term| collect(term, found)),
        Expr::Related(_, RelatedSet { entity, .. }) => found.push(entity.clone()),
        Expr::Exists(entity, _, condition) => {
            found.push(entity.clone());
            collect(condition, found);
        }
        Expr::Constant(_)
        | Expr::Holds(_)
        | Expr::Compare(..)
        | Expr::IsNull(_)
        | Expr::OneOf(..)
        | Expr::Member(..)
        | Expr::Starts(..)
        | Expr::Ends(..)
        | Expr::Contains(..)
        | Expr::Search(_)
        | Expr::Named(_) => {}
    }
}

fn holds(predicate: &Predicate, record: &Record) -> bool {
    Oracle::of(&Asker::default(), record).grants(&as_rule(predicate))
}

/// The tree of a bound rule as a rule.
fn as_rule(predicate: &Predicate) -> Expr {
    let all = |terms: &[Predicate]| terms.iter().map(as_rule).collect();
    match predicate {
        Predicate::Constant(holds) => Expr::Constant(*holds),
        Predicate::Test(condition) => asked(condition),
        Predicate::Compare(left, comparison, right) => Expr::Compare(term(left), *comparison, term(right)),
        Predicate::Starts(text, prefix) => Expr::Starts(term(text), term(prefix)),
        Predicate::Ends(text, suffix) => Expr::Ends(term(text), term(suffix)),
        Predicate::Contains(text, part) => Expr::Contains(term(text), term(part)),
        Predicate::Member(item, list) => Expr::Member(term(item), Term::Record(*list)),
        Predicate::Not(inner) => Expr::Not(Box::new(as_rule(inner))),
        Predicate::All(terms) => Expr::All(all(terms)),
        Predicate::Any(terms) => Expr::Any(all(terms)),
    }
}

fn term(operand: &Operand) -> Term {
    match operand {
        Operand::Column(column) => Term::Record(*column),
        Operand::Value(value) => Term::Value(value.clone()),
        Operand::Size(column) => Term::Size(Box::new(Term::Record(*column))),
    }
}
