//! Explains by which rule a user may do something with a record, as of now. For administrators: it asks the rules and shows nothing
//! of what they see to the user, and it neither reads nor writes as them.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::Repository;
use super::error::{self, RepositoryError};
use crate::ids::{RecordId, Seq};
use crate::rules::{Condition, Person, Test, deciding};
use crate::schema::{Column, Entity, EntityName, FieldIndex, Generation, Operation, Record, Schema, Value};
use crate::store::{Change, LogLimit, LogPage, Query, RuleEvidence, Store, Stored, record_of};
use crate::verdict::{JudgedRule, Question, Reason, World, judge, principal};

/// Changes in a row, up to and including `to`.
#[derive(Debug, Clone)]
pub struct ChangesPage {
    pub changes: Vec<Arc<Change>>,
    pub to: Seq,
}

/// What is to be explained.
#[derive(Debug, Clone)]
pub struct RuleQuestion {
    pub person: Arc<Person>,
    pub entity: Arc<Entity>,
    pub operation: Operation,
    /// As it is now. Of an operation that names no record it is asked whether the rule could ever hold.
    pub record: Record,
}

/// The answer, with every rule that was asked, in order.
#[derive(Debug, Clone)]
pub struct RuleAnswer {
    pub reason: RuleReason,
    pub rules: Vec<RuleEvidence>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleReason {
    /// With the names of fields that are not shown.
    Granted(Vec<Arc<str>>),
    Denied,
    /// The record may not be read, so nothing may be done with it.
    Hidden,
    Disabled,
    Unruled,
    /// The rule cannot be used for this person.
    Failed(String),
}

/// The records of a running server, asked from a thread that may wait.
struct LiveWorld {
    store: Arc<dyn Store>,
    schema: Arc<Schema>,
    generation: Generation,
    handle: Handle,
}

impl World for LiveWorld {
    fn record(&self, entity: &str, id: &str) -> Result<Option<Record>, String> {
        let Some(of) = self.schema.entity(entity) else { return Ok(None) };
        let id = RecordId::stored(id);
        let found = self.handle.block_on(self.store.get(entity, &id)).map_err(|error| error.to_string())?;
        Ok(found.value.map(|stored| record_of(of, &id, &stored.json)))
    }

    fn belonging(
        &self,
        entity: &Entity,
        of: FieldIndex,
        user: &str,
        most: usize,
    ) -> Result<Vec<Record>, String> {
        let this = Condition::new(Column::Field(of), Test::Eq(Value::Text(user.to_owned())));
        let query = Query { filter: vec![this], ..Query::all(entity.name.clone(), self.generation, most) };
        let page = self.handle.block_on(self.store.list(&query)).map_err(|error| error.to_string())?;
        let rows = page.value.rows.iter();
        Ok(rows.map(|row| record_of(entity, &row.id, &row.stored.json)).collect())
    }
}

impl Repository {
    /// By which rule a person may do this, or may not, with the rights that they have now.
    pub async fn explain(&self, asked: RuleQuestion) -> Result<RuleAnswer, RepositoryError> {
        let current = self.current();
        let world = LiveWorld {
            store: self.store.clone(),
            schema: current.schema.clone(),
            generation: current.generation,
            handle: Handle::current(),
        };
        let now = self.env.now();
        let judged = spawn_blocking(move || {
            let RuleQuestion { person, entity, operation, record } = asked;
            let principal = principal(&world, &current.schema, &person)?;
            let question = Question {
                schema: &current.schema,
                entity: &entity,
                principal: &principal,
                operation,
                record: &record,
                proposal: None,
                now,
            };
            let verdict = judge(&question, &world)?;
            let rules = verdict.asked.iter().map(|rule| evidence(&entity, rule)).collect();
            let reason = match verdict.reason {
                Reason::Granted(mask) => {
                    let hidden = mask.hidden().iter().map(|field| entity.at(*field).name.clone());
                    RuleReason::Granted(hidden.collect())
                }
                Reason::Denied | Reason::UnknownReference(_) => RuleReason::Denied,
                Reason::Hidden => RuleReason::Hidden,
                Reason::Disabled => RuleReason::Disabled,
                Reason::Unruled => RuleReason::Unruled,
                Reason::Failed(error) => RuleReason::Failed(error.cause()),
            };
            Ok::<_, String>(RuleAnswer { reason, rules })
        });
        let failed = |error: String| RepositoryError::Read(error);
        judged.await.map_err(|error| failed(error.to_string()))?.map_err(failed)
    }

    /// A record as it is, whatever the rules say.
    pub async fn record_now(
        &self,
        entity: &Entity,
        id: &RecordId,
    ) -> Result<Option<Record>, RepositoryError> {
        let found = self.store.get(&entity.name, id).await.map_err(error::of_read)?;
        Ok(found.value.map(|Stored { json, .. }| record_of(entity, id, &json)))
    }

    /// Whether a list of `query` holds the record, wherever it stands in it.
    pub async fn would_list(&self, query: &Query, id: &RecordId) -> Result<bool, RepositoryError> {
        let this = Condition::new(Column::Id, Test::Eq(Value::Text(id.to_string())));
        let mut one = Query { after: None, limit: 1, sort: Vec::new(), expand: Vec::new(), ..query.clone() };
        one.filter.push(this);
        Ok(!self.list(one).await?.value.rows.is_empty())
    }

    /// The entry of the log with this number. `None` where it is not kept any longer, or is not written yet.
    pub async fn change(&self, seq: Seq) -> Result<Option<Arc<Change>>, RepositoryError> {
        let Some(before) = seq.0.checked_sub(1) else { return Ok(None) };
        let limit = LogLimit { changes: 1, bytes: 1 };
        match self.store.log(Seq(before), limit).await.map_err(error::of_read)?.value {
            LogPage::Changes { changes, .. } => Ok(changes.into_iter().find(|change| change.seq == seq)),
            LogPage::BelowFloor => Ok(None),
        }
    }

    /// About `most` changes after this position, as far as they are kept.
    pub async fn changes(&self, after: Seq, most: usize) -> Result<ChangesPage, RepositoryError> {
        let limit = LogLimit { changes: most, bytes: 4 << 20 };
        match self.store.log(after, limit).await.map_err(error::of_read)?.value {
            LogPage::Changes { changes, to } => Ok(ChangesPage { changes, to }),
            LogPage::BelowFloor => Ok(ChangesPage { changes: Vec::new(), to: after }),
        }
    }

    /// About how many bytes the log between `floor` and `head` has: what a few pieces of it have, for all of it. Exact while it is short.
    pub async fn log_bytes(&self, floor: Seq, head: Seq) -> Result<u64, RepositoryError> {
        let count = head.0.saturating_sub(floor.0);
        let pieces = if count <= LOOKED_AT_FOR_BYTES { 1 } else { LOG_PIECES };
        let limit = LogLimit { changes: (LOOKED_AT_FOR_BYTES / pieces) as usize, bytes: 1 << 20 };
        let (mut changes, mut bytes) = (0, 0);
        for piece in 0..pieces {
            let after = Seq(floor.0 + count * piece / pieces);
            let LogPage::Changes { changes: found, .. } =
                self.store.log(after, limit).await.map_err(error::of_read)?.value
            else {
                continue;
            };
            changes += found.len() as u64;
            bytes += found.iter().map(|change| entry_bytes(change)).sum::<u64>();
        }
        Ok(bytes.saturating_mul(count) / changes.max(1))
    }

    /// The position of the last change of a person's rights through these entities.
    pub async fn rights_changed(&self, person: &str, uses: &[EntityName]) -> Result<Seq, RepositoryError> {
        self.store.rights_changed(person, uses).await.map_err(error::of_read)
    }

    /// The position of the last change of a record after `after`, if there is one.
    pub async fn last_change_after(
        &self,
        entity: &str,
        id: &RecordId,
        after: Seq,
    ) -> Result<Option<Seq>, RepositoryError> {
        let (mut from, mut last) = (after, None);
        loop {
            let limit = LogLimit { changes: 1_000, bytes: 4 << 20 };
            let page = self.store.log(from, limit).await.map_err(error::of_read)?;
            let LogPage::Changes { changes, to } = page.value else { return Ok(last) };
            let own = changes.iter().rev().find(|change| &*change.entity == entity && change.id == *id);
            last = own.map(|change| change.seq).or(last);
            if to >= page.seq || to.0 - after.0 > MOST_LOOKED_BACK {
                return Ok(last);
            }
            from = to;
        }
    }
}

/// Entries of the log that are looked at for one question.
const MOST_LOOKED_BACK: u64 = 50_000;

/// Entries that are looked at to say how large the log is, and in how many pieces.
const LOOKED_AT_FOR_BYTES: u64 = 200;
const LOG_PIECES: u64 = 4;

/// Numbers of an entry: seq, time, generation and the like.
const NUMBERS_OF_ENTRY: usize = 32;

/// Texts of an entry, and about as much as its numbers.
fn entry_bytes(change: &Change) -> u64 {
    let Change { entity, id, actor, mid, changed, before, after, .. } = change;
    let names = entity.len() + id.as_str().len() + actor.as_ref().map_or(0, |actor| actor.len());
    let images = [changed, before, after].into_iter().flatten().map(Bytes::len).sum::<usize>();
    (NUMBERS_OF_ENTRY + names + mid.as_ref().map_or(0, |mid| mid.as_str().len()) + images) as u64
}

fn evidence(entity: &Entity, rule: &JudgedRule) -> RuleEvidence {
    RuleEvidence {
        entity: entity.name.clone(),
        operation: rule.operation,
        source: rule.rule.as_ref().map(|rule| rule.source.to_string()),
        truth: rule.part.truth,
        clauses: deciding(entity.access.rule(rule.operation), &rule.part),
    }
}
