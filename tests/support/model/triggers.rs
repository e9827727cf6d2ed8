//! The model's `[[on]]` tables: after each entry that is more than a copy, every table that fits, and what follows from it at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire::ids::RecordId;
use tidewire::rules::Asker as Whose;
use tidewire::schema::{
    Column, Entity, EntityName, FieldDefault, FieldIndex, FieldKind, OnExisting, Operation, Record,
    ReferencePath, SetField, SetValue, Term, TextStep, Trigger, TriggerAct, Value,
};
use tidewire::store::{ChangeOp, CommitError};

use super::sight::asker;
use super::unit::Draft;
use super::unit_end::unique_members;
use crate::support::oracle::{Asker, Oracle, Proposed};

const FIRST: usize = 1 << 40;

#[derive(Default)]
pub(super) struct Caused {
    /// Entries that were not looked at.
    pub(super) due: Vec<usize>,
    /// The server writes, and is judged by no rule.
    pub(super) is_at_work: bool,
    /// For each thing it did the operation of the request, and the entity of the table.
    done: Vec<(usize, EntityName)>,
}

impl Caused {
    pub(super) fn places(&self) -> std::ops::Range<usize> {
        FIRST..FIRST + self.done.len()
    }

    pub(super) fn told(&self, refusal: CommitError) -> CommitError {
        match refusal.op().filter(|op| *op >= FIRST) {
            Some(op) => {
                let (op, entity) = self.done[op - FIRST].clone();
                CommitError::TriggerFailed { op, entity, why: refusal.at(0).to_string().into() }
            }
            None => refusal,
        }
    }
}

impl Draft<'_> {
    /// Whether anything was done.
    pub(super) fn react(&mut self, at: usize) -> Result<bool, CommitError> {
        let mut any = false;
        for place in std::mem::take(&mut self.caused.due) {
            let entry = self.entry(place);
            let (old, new) = (entry.old.clone(), entry.new.clone());
            let event = match entry.change.op {
                ChangeOp::Create => Operation::Create,
                ChangeOp::Update => Operation::Update,
                ChangeOp::Delete => Operation::Delete,
                ChangeOp::Schema => continue,
            };
            let entity = self.store.schema.entity(&entry.change.entity).unwrap().clone();
            for trigger in entity.triggers.iter().filter(|trigger| trigger.event == event) {
                let record = new.clone().or(old.clone()).unwrap();
                let before = new.as_ref().and(old.clone());
                if !self.is_wanted(trigger, &record, before.as_deref()) {
                    continue;
                }
                any = true;
                let op = FIRST + self.caused.done.len();
                self.caused.done.push((at, entity.name.clone()));
                self.caused.is_at_work = true;
                self.perform(op, &trigger.act, &record, before.as_deref())?;
                self.caused.is_at_work = false;
                self.react(at)?;
            }
        }
        Ok(any)
    }

    fn is_wanted(&self, trigger: &Trigger, record: &Record, before: Option<&Record>) -> bool {
        let Some(when) = &trigger.when else { return true };
        let asker = match &self.unit.asker {
            Whose::System => Asker::default(),
            Whose::Person(person) => asker(&self.store.schema, &self.state.records, person),
        };
        let named: Vec<FieldIndex> = match before {
            Some(before) => {
                let differs = |at: &usize| before.values[*at] != record.values[*at];
                (0..record.values.len()).filter(differs).map(FieldIndex).collect()
            }
            None => Vec::new(),
        };
        let proposed = before.map(|before| Proposed { values: &before.values, named: &named });
        Oracle { proposed, ..Oracle::of(&asker, record) }.grants(&when.meaning)
    }

    fn perform(
        &mut self,
        op: usize,
        act: &TriggerAct,
        record: &Record,
        before: Option<&Record>,
    ) -> Result<(), CommitError> {
        let of = |draft: &Self, value: &SetValue| draft.value(value, record, before);
        let entity = self.store.schema.entity(act.entity()).unwrap().clone();
        match act {
            TriggerAct::Create { set, exists, .. } => {
                let values: Vec<Value> = (0..entity.fields.len())
                    .map(|at| match set.iter().find(|set| set.field.0 == at) {
                        Some(set) => stored(&entity, at, of(self, &set.value)),
                        None => self.default(&entity, at),
                    })
                    .collect();
                self.check(op, &entity, values.iter().enumerate())?;
                let same = |other: &Record| {
                    unique_members(&entity)
                        .iter()
                        .any(|members| members.are_shared(&entity, &values, &other.values))
                };
                let of_entity = self.state.records.iter().filter(|(key, _)| key.0 == entity.name);
                if *exists == OnExisting::Skip && of_entity.map(|(_, other)| other).any(|other| same(other)) {
                    return Ok(());
                }
                let id = new_id();
                self.create(op, &entity, &id, &values)?;
            }
            TriggerAct::Update { of: target, set } => {
                let values: Vec<(FieldIndex, Value)> = set
                    .iter()
                    .map(|SetField { field, value }| (*field, stored(&entity, field.0, of(self, value))))
                    .collect();
                self.check(op, &entity, values.iter().map(|(field, value)| (field.0, value)))?;
                for id in self.found(&entity, target.column, &of(self, &target.value)) {
                    self.update(op, &entity, (&id, None), &values, &[])?;
                }
            }
            TriggerAct::Delete { of: target } => {
                for id in self.found(&entity, target.column, &of(self, &target.value)) {
                    if self.state.records.contains_key(&(entity.name.clone(), id.clone())) {
                        self.delete(op, &entity, &id)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn found(&self, entity: &Arc<Entity>, column: Column, value: &Value) -> Vec<RecordId> {
        let of_entity = self.state.records.iter().filter(|(key, _)| key.0 == entity.name);
        let meant = of_entity.filter(|(_, record)| !value.is_null() && record.value(column) == *value);
        meant.map(|(key, _)| key.1.clone()).collect()
    }

    fn default(&self, entity: &Entity, at: usize) -> Value {
        match &entity.fields[at].default {
            Some(FieldDefault::Value(value)) => value.clone(),
            Some(FieldDefault::UserId) => self.user_id(),
            Some(_) | None => Value::Null,
        }
    }

    fn user_id(&self) -> Value {
        match &self.unit.asker {
            Whose::Person(person) => person.id.as_ref().map_or(Value::Null, |id| Value::Text(id.to_string())),
            Whose::System => Value::Null,
        }
    }

    /// Enough of the limits for the stories.
    fn check<'v>(
        &self,
        op: usize,
        entity: &Entity,
        values: impl Iterator<Item = (usize, &'v Value)>,
    ) -> Result<(), CommitError> {
        for (at, value) in values {
            let field = &entity.fields[at];
            let is_out = match (&field.kind, value) {
                (FieldKind::Int { max: Some(max), .. }, Value::Int(number)) => number > max,
                _ => false,
            };
            if is_out || (field.required && field.lookup.is_none() && value.is_null()) {
                return Err(CommitError::Unfit { op });
            }
        }
        Ok(())
    }

    /// The value at the end of references, as the records are before anything is done.
    fn behind(&self, path: &ReferencePath, record: &Record, before: Option<&Record>) -> Value {
        let reference = match &path.via {
            Term::Behind(nearer) => self.behind(nearer, record, before),
            Term::Record(column) => record.value(*column),
            Term::Change(field) => before.map_or(Value::Null, |before| before.values[field.0].clone()),
            other @ (Term::Element(_) | Term::User(_) | Term::Value(_) | Term::Size(_) | Term::Now(_)) => {
                panic!("no reference begins with {other:?}")
            }
        };
        let Value::Text(id) = reference else { return Value::Null };
        let Some(found) = self.state.records.get(&(path.entity.clone(), RecordId::stored(&id))) else {
            return Value::Null;
        };
        match path.column {
            Column::CreatedAt => Value::Text(found.created_at.rfc3339()),
            Column::UpdatedAt => Value::Text(found.updated_at.rfc3339()),
            Column::Id | Column::Version | Column::Field(_) => found.value(path.column),
        }
    }

    fn value(&self, value: &SetValue, record: &Record, before: Option<&Record>) -> Value {
        match value {
            SetValue::Constant(value) => value.clone(),
            SetValue::Column(column) => record.value(*column),
            SetValue::Behind(path) => self.behind(path, record, before),
            SetValue::Old(field) => before.map_or(Value::Null, |before| before.values[field.0].clone()),
            SetValue::UserId => self.user_id(),
            SetValue::Now => Value::Text(self.unit.at.rfc3339()),
            SetValue::Today => Value::Text(self.unit.at.rfc3339()[..10].to_owned()),
            SetValue::Joined(parts) => {
                let parts: Vec<Value> = parts.iter().map(|part| self.value(part, record, before)).collect();
                let texts = parts.iter().map(|part| match part {
                    Value::Text(text) => Some(text.as_str()),
                    Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => None,
                });
                texts.collect::<Option<String>>().map_or(Value::Null, Value::Text)
            }
        }
    }
}

/// An id that no record had before.
fn new_id() -> RecordId {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    RecordId::from_uuid(uuid::Uuid::from_u128((0xfeed << 64) | u128::from(number)))
}

/// A value as its field holds it. The texts of the stories are composed, and have no letter with two small forms.
fn stored(entity: &Entity, at: usize, value: Value) -> Value {
    let takes = |step| entity.fields[at].normalize.contains(&step);
    let Value::Text(mut text) = value else { return value };
    if takes(TextStep::Trim) {
        let letters: Vec<char> = text.chars().collect();
        let inner = |letter: &char| !letter.is_whitespace();
        text = match (letters.iter().position(inner), letters.iter().rposition(inner)) {
            (Some(first), Some(last)) => letters[first..=last].iter().collect(),
            _ => String::new(),
        };
    }
    if takes(TextStep::Lower) {
        text = text.chars().flat_map(char::to_lowercase).collect();
    }
    Value::Text(text)
}
