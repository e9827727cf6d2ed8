//! Who may see a resource: the rules of its entity, or the pattern that its name fits (SEMANTICS Y5).
//!
//! Looks up what is true now. The asker registers first and hears of commits, so it learns of a change behind these reads.

use std::sync::Arc;

use super::input::{Grant, Ground, PlaceKey, PresenceVerdict};
use crate::ids::RecordId;
use crate::rules::{Person, Principal, ReadScope, is_closed, may_use_name};
use crate::schema::{Entity, Generation, IdKind, Schema, Value};
use crate::store::{Store, StoreError, Who};

/// The schema in force.
pub(super) type CurrentSchema = Box<dyn Fn() -> (Arc<Schema>, Generation) + Send + Sync>;

/// Place of `name` in `User`, which is built in.
const NAME: usize = 0;

/// See the module's text.
pub struct PresenceJudge {
    store: Arc<dyn Store>,
    schema: CurrentSchema,
}

impl PresenceJudge {
    pub fn new(store: Arc<dyn Store>, schema: CurrentSchema) -> PresenceJudge {
        PresenceJudge { store, schema }
    }

    /// The name under which a resource is kept. A UUID has several spellings, and each names the same record.
    pub(super) fn place(&self, parts: &PlaceKey) -> PlaceKey {
        let [entity, id, below @ ..] = &**parts else { return parts.clone() };
        let (schema, _) = (self.schema)();
        let of_uuid = schema.entity(entity).filter(|entity| entity.id_kind == IdKind::Uuid);
        match of_uuid.and_then(|entity| id_of(entity, id)) {
            Some(known) if known.as_str() != id => {
                let first = [entity.clone(), known.as_str().to_owned()];
                first.into_iter().chain(below.iter().cloned()).collect()
            }
            Some(_) | None => parts.clone(),
        }
    }

    pub async fn judge(&self, person: &Arc<Person>, parts: &[String]) -> PresenceVerdict {
        match self.look_up(person, parts).await {
            Ok(Some(grant)) => PresenceVerdict::Granted(grant),
            Ok(None) => PresenceVerdict::Refused,
            // The rule cannot be used for this person: nothing is granted.
            Err(StoreError::Rule(error)) => {
                tracing::info!(cause = error.cause(), "presence was refused by a rule");
                PresenceVerdict::Refused
            }
            Err(StoreError::Closed(_) | StoreError::UnknownEntity(_)) => PresenceVerdict::Refused,
            Err(
                error @ (StoreError::Overloaded
                | StoreError::StaleGeneration
                | StoreError::HiddenColumn(..)
                | StoreError::TooBroad { .. }
                | StoreError::TooManyGroups { .. }
                | StoreError::Damaged(_)
                | StoreError::Storage(_)),
            ) => {
                tracing::debug!(%error, "the right to see a resource of presence could not be looked up");
                PresenceVerdict::Failed
            }
        }
    }

    async fn look_up(&self, person: &Arc<Person>, parts: &[String]) -> Result<Option<Grant>, StoreError> {
        let (schema, generation) = (self.schema)();
        let principal = match person.id {
            None => Principal::unread(person.clone()),
            Some(_) => {
                let read = self.store.principal(person).await?;
                if read.generation != generation {
                    return Err(StoreError::StaleGeneration);
                }
                read.value
            }
        };
        if principal.is_disabled() {
            return Ok(None);
        }
        let Some(entity) = parts.first().and_then(|first| schema.entity(first)) else {
            return Ok(by_name(&schema, &principal, parts));
        };
        if is_closed(entity, &principal) {
            return Ok(None);
        }
        let Some(id) = parts.get(1) else {
            let list = ReadScope::bind_list(entity, generation, &principal).map_err(StoreError::Rule)?;
            return Ok((!list.rule.is_false()).then(|| grant(&principal, Ground::Person, true)));
        };
        let Some(id) = id_of(entity, id) else { return Ok(None) };
        let scope = ReadScope::bind(entity, generation, &principal).map_err(StoreError::Rule)?;
        let scope = Arc::new(scope);
        let found = self.store.find(&entity.name, &id, &Who::ReadScope(scope.clone())).await?;
        Ok(found.value.map(|_| grant(&principal, Ground::Record(scope), true)))
    }
}

fn by_name(schema: &Schema, principal: &Principal, parts: &[String]) -> Option<Grant> {
    let (names, parts) = (schema.names(), parts.iter().map(String::as_str).collect::<Vec<_>>());
    let may = |words: &[&str]| may_use_name(&names.presence, names.open, &parts, words, principal);
    // Each of the two stands for the other where a pattern has only one.
    may(&["watch", "join"]).then(|| grant(principal, Ground::Person, may(&["join", "watch"])))
}

fn grant(principal: &Principal, ground: Ground, may_join: bool) -> Grant {
    let name = principal.record().and_then(|record| match record.values.get(NAME) {
        Some(Value::Text(name)) => Some(Arc::from(name.as_str())),
        Some(Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_)) | None => None,
    });
    Grant { may_join, name, ground }
}

fn id_of(entity: &Entity, text: &str) -> Option<RecordId> {
    let id = match entity.id_kind {
        IdKind::Uuid => RecordId::parse_uuid(text),
        IdKind::Text => RecordId::parse_text(text),
    };
    id.ok()
}
