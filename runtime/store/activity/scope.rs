//! `ActivityScope`: what one person may know of what happens, over many entities. Each has the read scope of its lists. A change has
//! an entry if the person may list the record before it and after it, as far as it existed; so what comes into sight or goes out of
//! sight has none.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::entry::ActivityEntry;
use crate::rules::{BindError, Needs, Principal, ReadScope, depends_on_person, is_closed};
use crate::schema::{Entity, EntityName, Generation, Value};
use crate::store::past_rows::{PastRow, PastRows, fields_of_today};
use crate::store::{Change, ChangeOp};

/// See the module's text. Two of one question are equal when they show the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivityScope {
    pub generation: Generation,
    /// By entity. One of which the person may list nothing is missing.
    scopes: BTreeMap<EntityName, Arc<ReadScope>>,
    /// As `ReadScope::uses`, of every entity that was asked for: rights may open one that is missing now.
    pub uses: Arc<[EntityName]>,
    /// Whether it may be another one for another person.
    pub depends_on_person: bool,
}

impl ActivityScope {
    /// Of these entities what the person may list. An entity that is closed to them has nothing to tell.
    pub fn bind<'a>(
        entities: impl IntoIterator<Item = &'a Arc<Entity>>,
        generation: Generation,
        principal: &Principal,
    ) -> Result<ActivityScope, BindError> {
        let (mut needs, mut scopes, mut depends) = (Needs::default(), BTreeMap::new(), false);
        for entity in entities {
            needs.add(&Needs::of_read(entity));
            depends |= depends_on_person(entity);
            if is_closed(entity, principal) {
                continue;
            }
            let read_scope = ReadScope::bind_list(entity, generation, principal)?;
            if !read_scope.predicate().is_false() {
                scopes.insert(entity.name.clone(), Arc::new(read_scope));
            }
        }
        let uses = if principal.is_nobody() { Arc::default() } else { needs.entities() };
        Ok(ActivityScope { generation, scopes, uses, depends_on_person: depends })
    }

    /// Of these entities everything, for the owner of the data.
    pub fn everything<'a>(
        entities: impl IntoIterator<Item = &'a Arc<Entity>>,
        generation: Generation,
    ) -> ActivityScope {
        let scope = |entity| Arc::new(ReadScope::everything(entity, generation));
        let scopes = entities.into_iter().map(|entity| (entity.name.clone(), scope(entity))).collect();
        ActivityScope { generation, scopes, uses: Arc::default(), depends_on_person: false }
    }

    /// What may be listed of each entity, by their names.
    pub fn read_scopes(&self) -> impl Iterator<Item = &Arc<ReadScope>> {
        self.scopes.values()
    }

    /// `None` where the entity has no entries.
    pub fn read_scope(&self, entity: &str) -> Option<&Arc<ReadScope>> {
        self.scopes.get(entity)
    }

    /// The change as the person may know of it, if they may.
    pub fn entry(&self, change: &Change) -> Option<ActivityEntry> {
        if change.op == ChangeOp::Schema {
            return None;
        }
        let read_scope = self.scopes.get(&change.entity)?;
        let entity = &read_scope.entity;
        let past = PastRows::of(change, read_scope);
        let sides: Vec<&PastRow<'_>> = [&past.old, &past.new].into_iter().flatten().collect();
        if sides.is_empty() || !sides.iter().all(|side| side.may_be_read(read_scope)) {
            return None;
        }
        let last = past.new.as_ref().or(past.old.as_ref())?;
        let label = entity.label.filter(|at| last.shown(read_scope).contains(at));
        let changed = change.changed.as_ref().filter(|_| change.op == ChangeOp::Update).map(|names| {
            let mut names = fields_of_today(names, entity);
            for side in &sides {
                let shown = side.shown(read_scope);
                names.retain(|field| shown.contains(field));
            }
            names.iter().map(|field| entity.at(*field).name.clone()).collect()
        });
        Some(ActivityEntry {
            seq: change.seq,
            at: change.at,
            by: change.actor.clone(),
            op: change.op,
            cause: change.cause,
            entity: change.entity.clone(),
            id: change.id.clone(),
            label: label.and_then(|at| label_text(&last.record.values[at.0])),
            changed,
        })
    }
}

/// The text of a label.
fn label_text(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::Null => None,
        Value::Text(text) | Value::Json(text) => Some(text.as_str().into()),
        Value::Bool(flag) => Some(flag.to_string().into()),
        Value::Int(number) => Some(number.to_string().into()),
        Value::Float(number) => Some(number.to_string().into()),
    }
}
