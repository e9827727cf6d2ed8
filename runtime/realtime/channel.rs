//! `Channel`: what a client named, resolved against a schema, and what one person sees through it. Sockets and polls ask here.
//!
//! Knows no phase of a subscription and reads nothing: facts come in.

use std::sync::Arc;

use super::read::{CheckedRead, RightsCheck};
use crate::channels::Watch;
use crate::ids::{RecordId, Seq};
use crate::protocol::{ChannelName, ChannelTarget, Code, View};
use crate::repository::{Nameable, filter, sort};
use crate::rules::{BindError, Condition, Person, Principal, ReadScope, is_closed};
use crate::schema::{Column, Entity, Generation, IdKind, Schema};
use crate::store::{Scope, SortBy, StoreError};

/// A well-formed channel of an entity that there is. Whether a person may know of the entity is judged by `open`.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The exact text that the client sent.
    pub text: Arc<str>,
    pub scope: Scope,
    entity: Arc<Entity>,
    schema: Arc<Schema>,
    generation: Generation,
    /// The conditions of a live query as the client wrote them.
    asked: Vec<(String, String)>,
    /// The same, typed. Whether there is a fault is said when it is known what the person may name.
    filter: Vec<Condition>,
    /// What is wrong with the id of a record channel, which has the scope of its entity then and is opened for no one.
    bad_id: Option<ChannelRefusal>,
}

/// What a person sees through a channel.
#[derive(Debug, Clone)]
pub struct Binding {
    pub read_scope: Arc<ReadScope>,
    pub view: View,
    pub person: Arc<Person>,
    /// No change of the person's rights up to here is unknown to the read scope.
    pub at: Seq,
}

/// What a read found out about the rights of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkup {
    Same,
    /// They changed at this seq, unknown to the read scope: nothing of what was read may be shown.
    Changed(Seq),
    /// The read was not made for this read scope.
    NotAsked,
}

impl Binding {
    /// Whether the read scope knew of all rights when this was read; then it is known to be right up to there.
    pub fn check<T>(&mut self, checked: &CheckedRead<T>) -> Checkup {
        match checked.rights.changed(&self.read_scope.uses) {
            None => Checkup::NotAsked,
            Some(changed) if changed > self.at => Checkup::Changed(changed),
            Some(_) => {
                self.at = self.at.max(checked.read.seq);
                Checkup::Same
            }
        }
    }

    /// What a read is checked for before anything of it is shown. A client that resumes at `since` must not have had other rights at any
    /// time between there and where the read scope was bound.
    pub fn rights_check(&self, since: Option<Seq>) -> RightsCheck {
        let after = since.map_or(self.at, |since| since.min(self.at));
        let until = if since.is_some() { self.at } else { Seq::ZERO };
        RightsCheck { until, ..RightsCheck::of(&self.person, &self.read_scope.uses, after) }
    }

    /// Anonymous: no rights can change.
    pub fn watch(&self) -> Option<Watch> {
        self.person.id.clone().map(|person| Watch { person, bound_at: self.at })
    }
}

/// Why a channel is not served: the code and the text for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ChannelRefusal {
    pub code: Code,
    pub message: String,
}

impl ChannelRefusal {
    pub fn new(code: Code, message: impl Into<String>) -> ChannelRefusal {
        ChannelRefusal { code, message: message.into() }
    }

    /// Whether the same question may be answered otherwise when the caller has other rights. It says so of a channel that does
    /// not exist as well: nothing may tell the two apart.
    pub fn depends_on_rights(&self) -> bool {
        matches!(self.code, Code::UnknownEntity | Code::BadChannel | Code::RuleLimit)
    }

    /// Of a subscription that ChannelManager does not take.
    pub fn of_attachment(code: Code) -> ChannelRefusal {
        ChannelRefusal::new(code, "too many live queries of this entity compare no field for equality")
    }

    /// Of a read that failed before anything was shown.
    pub fn of_start(error: &StoreError) -> ChannelRefusal {
        match error {
            StoreError::Overloaded => {
                ChannelRefusal::new(Code::Overloaded, "too many reads are waiting; subscribe again later")
            }
            StoreError::Rule(error) => ChannelRefusal::from(error.clone()),
            StoreError::Closed(entity) => unknown(entity),
            StoreError::Damaged(_) => ChannelRefusal::new(
                Code::StorageDamaged,
                "the records could not be read, because the database is damaged",
            ),
            StoreError::TooBroad { entity, rows, .. } => ChannelRefusal::new(
                Code::QueryTooBroad,
                format!(
                    "the snapshot would read more than {rows} records of {entity}: subscribe without one, or narrow the filter"
                ),
            ),
            StoreError::UnknownEntity(_)
            | StoreError::HiddenColumn(..)
            | StoreError::StaleGeneration
            | StoreError::TooManyGroups { .. }
            | StoreError::Storage(_) => ChannelRefusal::new(
                Code::StorageError,
                "the records could not be read; subscribe again later",
            ),
        }
    }
}

impl From<BindError> for ChannelRefusal {
    fn from(error: BindError) -> ChannelRefusal {
        tracing::info!(cause = error.cause(), "a channel was refused by a rule");
        ChannelRefusal::new(Code::RuleLimit, error.to_string())
    }
}

impl Channel {
    pub fn resolve(
        schema: &Arc<Schema>,
        generation: Generation,
        text: &str,
    ) -> Result<Channel, ChannelRefusal> {
        let name =
            ChannelName::parse(text).map_err(|error| ChannelRefusal::new(error.code, error.message))?;
        let named = match &name.target {
            ChannelTarget::Entity(named)
            | ChannelTarget::Record(named, _)
            | ChannelTarget::Query(named, _) => named,
            ChannelTarget::Room(_) | ChannelTarget::User(_) => {
                let text = "messages are not kept, so a poll has none of them: use a WebSocket";
                return Err(ChannelRefusal::new(Code::ForbiddenChannel, text));
            }
        };
        let entity = schema.entity(named).ok_or_else(|| unknown(named))?.clone();
        let (mut scope, mut asked, mut bad_id) = (Scope::Entity(entity.name.clone()), Vec::new(), None);
        match name.target {
            ChannelTarget::Entity(_) | ChannelTarget::Room(_) | ChannelTarget::User(_) => {}
            ChannelTarget::Query(_, conditions) => asked = conditions,
            ChannelTarget::Record(_, id) => {
                let id = match entity.id_kind {
                    IdKind::Uuid => RecordId::parse_uuid(&id),
                    IdKind::Text => RecordId::parse_text(&id),
                };
                match id {
                    Ok(id) => scope = Scope::Record(entity.name.clone(), id),
                    Err(error) => bad_id = Some(ChannelRefusal::new(Code::BadChannel, error.to_string())),
                }
            }
        }
        let names = Nameable::everything();
        let filter = filter(schema, &entity, &names, pairs(&asked)).unwrap_or_default();
        let (text, schema) = (name.text, schema.clone());
        Ok(Channel { text, scope, entity, schema, generation, asked, filter, bad_id })
    }

    /// The conditions of a live query, bound to no user.
    pub fn filter(&self) -> &[Condition] {
        &self.filter
    }

    /// What the person sees who asks for this channel now. An entity that is closed to them is unknown, and a field that they
    /// never see is none, in the same words as those that do not exist.
    pub fn open(&self, principal: &Principal, at: Seq) -> Result<Binding, ChannelRefusal> {
        if is_closed(&self.entity, principal) {
            return Err(unknown(&self.entity.name));
        }
        if let Some(refusal) = &self.bad_id {
            return Err(refusal.clone());
        }
        let whole = self.scope.bind(&self.entity, self.generation, principal)?;
        let names = Nameable::of(principal.clone());
        match filter(&self.schema, &self.entity, &names, pairs(&self.asked)) {
            Err(fault) => Err(ChannelRefusal::new(Code::BadChannel, fault.to_string())),
            // The log does not keep when the record was written that a change replaced, so it is unknown which records left.
            Ok(filter) if filter.iter().any(|condition| condition.column == Column::UpdatedAt) => {
                Err(ChannelRefusal::new(
                    Code::BadChannel,
                    "`updated_at` changes with every write, so no live query filters by it: list with it, or keep the time that counts in a field",
                ))
            }
            Ok(_) => Ok(self.through(whole, principal, at)),
        }
    }

    /// The order of a limited subscription. Who may not see a field with every record cannot sort by it: the order would tell of it.
    pub fn order(
        &self,
        principal: &Principal,
        read_scope: &ReadScope,
        text: &str,
    ) -> Result<Arc<[SortBy]>, ChannelRefusal> {
        if text.is_empty() {
            return Ok(Arc::default());
        }
        let refused = |message: String| ChannelRefusal::new(Code::BadChannel, message);
        let order = sort(&self.entity, &Nameable::of(principal.clone()), text);
        let order = order.map_err(|fault| refused(fault.to_string()))?;
        match order.iter().find(|by| read_scope.shown(by.column).is_some()) {
            None => Ok(order.into()),
            Some(by) => {
                let name = self.entity.name_of(by.column);
                Err(refused(format!("`{name}` is hidden in some records, so it cannot be sorted by")))
            }
        }
    }

    /// The same for a user who is subscribed already: what is closed now has no records.
    pub fn rebind(&self, principal: &Principal, at: Seq) -> Result<Binding, BindError> {
        Ok(self.through(self.scope.bind(&self.entity, self.generation, principal)?, principal, at))
    }

    fn through(&self, whole: ReadScope, principal: &Principal, at: Seq) -> Binding {
        let filter = self.filter();
        let read_scope = if filter.is_empty() { whole } else { whole.through(filter.to_vec()) };
        Binding {
            view: View::of(&read_scope),
            read_scope: Arc::new(read_scope),
            person: principal.person.clone(),
            at,
        }
    }
}

fn unknown(entity: &str) -> ChannelRefusal {
    ChannelRefusal::new(Code::UnknownEntity, format!("there is no entity `{entity}`"))
}

fn pairs(asked: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    asked.iter().map(|(name, value)| (&**name, &**value))
}
