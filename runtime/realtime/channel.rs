//! `Channel`: what a client named, resolved against a schema, and what one person sees through it. Sockets and polls ask here.
//!
//! Knows no phase of a subscription and reads nothing: facts come in.

use std::sync::Arc;
use std::time::Duration;

use super::activity_channel::{ActivityChannel, ActivityRefusal, DEFAULT_ENTRIES};
use super::read::{CheckedRead, RightsCheck};
use crate::channels::{Sight, Watch};
use crate::ids::{RecordId, Seq};
use crate::protocol::{ChannelName, ChannelTarget, Code, FirstRows, View};
use crate::repository::{Nameable, filter, sort};
use crate::rules::{BindError, Condition, Person, Principal, is_closed};
use crate::schema::{Column, Entity, Generation, IdKind, Schema};
use crate::store::{Scope, SortBy, StoreError};

/// A well-formed channel of something that there is. Whether a person may know of it is judged by `open`.
#[derive(Debug, Clone)]
pub struct Channel {
    /// The exact text that the client sent.
    pub text: Arc<str>,
    subject: ChannelSubject,
    schema: Arc<Schema>,
    generation: Generation,
}

/// What a channel is about.
#[derive(Debug, Clone)]
enum ChannelSubject {
    Records(RecordsChannel),
    Activity(ActivityChannel),
}

/// The records of an entity, or some of them.
#[derive(Debug, Clone)]
struct RecordsChannel {
    scope: Scope,
    entity: Arc<Entity>,
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
    pub sight: Sight,
    pub view: View,
    pub person: Arc<Person>,
    /// No change of the person's rights up to here is unknown to the sight.
    pub at: Seq,
}

/// What a read found out about the rights of its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkup {
    Same,
    /// They changed at this seq, unknown to the sight: nothing of what was read may be shown.
    Changed(Seq),
    /// The read was not made for this sight.
    NotAsked,
}

impl Binding {
    /// Whether the sight knew of all rights when this was read; then it is known to be right up to there.
    pub fn check<T>(&mut self, checked: &CheckedRead<T>) -> Checkup {
        match checked.rights.changed(self.sight.uses()) {
            None => Checkup::NotAsked,
            Some(changed) if changed > self.at => Checkup::Changed(changed),
            Some(_) => {
                self.at = self.at.max(checked.read.seq);
                Checkup::Same
            }
        }
    }

    /// What a read is checked for before anything of it is shown. A client that resumes at `since` must not have had other rights at any
    /// time between there and where the sight was bound.
    pub fn rights_check(&self, since: Option<Seq>) -> RightsCheck {
        let after = since.map_or(self.at, |since| since.min(self.at));
        let until = if since.is_some() { self.at } else { Seq::ZERO };
        RightsCheck { until, ..RightsCheck::of(&self.person, self.sight.uses(), after) }
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

impl From<ActivityRefusal> for ChannelRefusal {
    fn from(refusal: ActivityRefusal) -> ChannelRefusal {
        match refusal {
            ActivityRefusal::Unknown(entity) => unknown(&entity),
            ActivityRefusal::Rule(error) => ChannelRefusal::from(error),
        }
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
        let subject = match name.target {
            ChannelTarget::Entity(entity) => RecordsChannel::of(schema, &entity, NamedRecords::All)?,
            ChannelTarget::Record(entity, id) => {
                RecordsChannel::of(schema, &entity, NamedRecords::Record(id))?
            }
            ChannelTarget::Query(entity, asked) => {
                RecordsChannel::of(schema, &entity, NamedRecords::Query(asked))?
            }
            ChannelTarget::Room(_) | ChannelTarget::User(_) => {
                let text = "messages are not kept, so a poll without a session has none of them: use a WebSocket, an event stream or a \
                            session of polls";
                return Err(ChannelRefusal::new(Code::ForbiddenChannel, text));
            }
            ChannelTarget::Activity(named) => {
                ChannelSubject::Activity(ActivityChannel::resolve(schema, named.as_deref())?)
            }
        };
        Ok(Channel { text: name.text, subject, schema: schema.clone(), generation })
    }

    /// The time between two batches of its events, where the schema says so. The activity waits like the slowest of its entities.
    pub fn interval(&self) -> Option<Duration> {
        let rate = match &self.subject {
            ChannelSubject::Records(records) => records.entity.rate,
            ChannelSubject::Activity(activity) => activity.rate(),
        };
        rate.map(|rate| Duration::from_secs(1) / rate)
    }

    /// The records that it is about; the activity has those of many entities.
    pub fn scope(&self) -> Option<Scope> {
        match &self.subject {
            ChannelSubject::Records(records) => Some(records.scope.clone()),
            ChannelSubject::Activity(_) => None,
        }
    }

    /// The first records or entries that its snapshots show where the client asks for no number of them.
    pub fn first_rows(&self) -> Option<FirstRows> {
        match &self.subject {
            ChannelSubject::Records(_) => None,
            ChannelSubject::Activity(_) => Some(FirstRows { sort: String::new(), limit: DEFAULT_ENTRIES }),
        }
    }

    /// The conditions of a live query, bound to no user.
    pub fn filter(&self) -> &[Condition] {
        match &self.subject {
            ChannelSubject::Records(records) => &records.filter,
            ChannelSubject::Activity(_) => &[],
        }
    }

    /// What the person sees who asks for this channel now. An entity that is closed to them is unknown, and a field that they
    /// never see is none, in the same words as those that do not exist.
    pub fn open(&self, principal: &Principal, at: Seq) -> Result<Binding, ChannelRefusal> {
        match &self.subject {
            ChannelSubject::Records(records) => records.admit(&self.schema, principal)?,
            ChannelSubject::Activity(activity) => {
                let scope = activity.open(principal, self.generation)?;
                return Ok(bound(Sight::Activity(Arc::new(scope)), principal, at));
            }
        }
        Ok(self.rebind(principal, at)?)
    }

    /// The order of a limited subscription. Who may not see a field with every record cannot sort by it: the order would tell of it.
    pub fn order(
        &self,
        principal: &Principal,
        sight: &Sight,
        text: &str,
    ) -> Result<Arc<[SortBy]>, ChannelRefusal> {
        if text.is_empty() {
            return Ok(Arc::default());
        }
        let refused = |message: String| ChannelRefusal::new(Code::BadChannel, message);
        let (ChannelSubject::Records(records), Sight::Records { read_scope, .. }) = (&self.subject, sight)
        else {
            return Err(refused(
                "the activity begins with the newest entry: leave out `payload.sort`".to_owned(),
            ));
        };
        let order = sort(&records.entity, &Nameable::of(principal.clone()), text);
        let order = order.map_err(|fault| refused(fault.to_string()))?;
        match order.iter().find(|by| read_scope.shown(by.column).is_some()) {
            None => Ok(order.into()),
            Some(by) => {
                let name = records.entity.name_of(by.column);
                Err(refused(format!("`{name}` is hidden in some records, so it cannot be sorted by")))
            }
        }
    }

    /// The same as `open` for a user who is subscribed already: what is closed now has no records.
    pub fn rebind(&self, principal: &Principal, at: Seq) -> Result<Binding, BindError> {
        let sight = match &self.subject {
            ChannelSubject::Records(records) => {
                let whole = records.scope.bind(&records.entity, self.generation, principal)?;
                let filter = self.filter();
                let read_scope = if filter.is_empty() { whole } else { whole.through(filter.to_vec()) };
                Sight::Records { scope: records.scope.clone(), read_scope: Arc::new(read_scope) }
            }
            ChannelSubject::Activity(activity) => {
                Sight::Activity(Arc::new(activity.rebind(principal, self.generation)?))
            }
        };
        Ok(bound(sight, principal, at))
    }
}

/// The records of an entity that a channel names.
enum NamedRecords {
    All,
    Record(String),
    Query(Vec<(String, String)>),
}

impl RecordsChannel {
    fn of(schema: &Schema, entity: &str, named: NamedRecords) -> Result<ChannelSubject, ChannelRefusal> {
        let entity = schema.entity(entity).ok_or_else(|| unknown(entity))?.clone();
        let (mut scope, mut asked, mut bad_id) = (Scope::Entity(entity.name.clone()), Vec::new(), None);
        match named {
            NamedRecords::All => {}
            NamedRecords::Query(conditions) => asked = conditions,
            NamedRecords::Record(id) => {
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
        let filter = filter(schema, &entity, &Nameable::everything(), pairs(&asked)).unwrap_or_default();
        Ok(ChannelSubject::Records(RecordsChannel { scope, entity, asked, filter, bad_id }))
    }

    /// Whether the person may ask for it.
    fn admit(&self, schema: &Schema, principal: &Principal) -> Result<(), ChannelRefusal> {
        if is_closed(&self.entity, principal) {
            return Err(unknown(&self.entity.name));
        }
        if let Some(refusal) = &self.bad_id {
            return Err(refusal.clone());
        }
        let names = Nameable::of(principal.clone());
        let filter = filter(schema, &self.entity, &names, pairs(&self.asked))
            .map_err(|fault| ChannelRefusal::new(Code::BadChannel, fault.to_string()))?;
        // The log does not keep when the record was written that a change replaced, so it is unknown which records left.
        if filter.iter().any(|condition| condition.column == Column::UpdatedAt) {
            return Err(ChannelRefusal::new(
                Code::BadChannel,
                "`updated_at` changes with every write, so no live query filters by it: list with it, or keep the time that counts in a field",
            ));
        }
        Ok(())
    }
}

fn bound(sight: Sight, principal: &Principal, at: Seq) -> Binding {
    Binding { view: sight.view(), sight, person: principal.person.clone(), at }
}

fn unknown(entity: &str) -> ChannelRefusal {
    ChannelRefusal::new(Code::UnknownEntity, format!("there is no entity `{entity}`"))
}

fn pairs(asked: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    asked.iter().map(|(name, value)| (&**name, &**value))
}
