//! `Repository`: the CRUD wrapper and the only way to a write. It checks what a client sent against the schema, names
//! every fault at once, builds a `Unit`, and hands it to the store.
//!
//! Knows no HTTP, no channel and no rule about references or uniqueness: those are judged inside the commit.

mod adoption;
mod answer;
mod batch;
mod body;
mod canonical;
mod error;
mod explaining;
mod filter;
mod intake;
mod lease;
mod many;
mod mutate;
mod mutation;
mod nameable;
mod numbers;
mod people;
mod question;
mod sort;
mod suggest;
mod unit_refusal;
mod validate;
mod value_fault;
mod values;

use std::sync::Arc;

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use parking_lot::RwLock;

use crate::auth::Identity;
use crate::env::Env;
use crate::ids::{Epoch, MutationId, Position, RecordId, Seq, Timestamp};
use crate::refusals::note_evidence;
use crate::rules::Asker;
use crate::schema::{Entity, FieldIndex, Generation, Schema, Value};
use crate::store::{
    ActivityPage, ActivityQuery, At, Column, CommitError, Condition, Count, Counted, Evidence, Expand,
    Idempotency, LeaseProof, ListPage, Listed, LogLimit, Op, OpStatus, Outcome, Past, Query, Store,
    StoreError, Stored, Test, Unit, Who, Witness,
};

pub use answer::{AnswerFor, json_of_all, json_of_each, json_of_one, number_of};
pub use batch::{Batch, BatchError, MAX_OPS};
pub use body::{Body, BodyError, NumberFault, strict_json};
pub use error::{FieldError, ListRemedy, RepositoryError};
pub use explaining::{ChangesPage, RuleAnswer, RuleQuestion, RuleReason};
pub use filter::{FilterClass, FilterError, column, filter, search_words};
pub use intake::Intake;
pub use lease::LeaseRequest;
pub use many::{ManyRequest, ManyWritten};
pub use mutate::MutateRequest;
pub use mutation::{Mutation, Verb};
pub use nameable::{Nameable, depends_on_principal};
pub use people::{PersonRecord, is_absent};
pub use question::parameters;
pub use sort::{comparable, sort};
pub use suggest::suggestion;
pub use value_fault::ValueFault;
pub use values::{number_of_text, value_of_json, value_of_text};

pub(crate) use crate::schema::defaults::value_of as default_value;

use error::Ordered;
use unit_refusal::{RefusedOp, UnitRefusal};
use validate::{Readonly, Validator};

/// Validates, commits and reads records. Shared behind an `Arc`.
pub struct Repository {
    store: Arc<dyn Store>,
    /// Read at the start of every request and replaced as a whole; the lock is held for one clone.
    current: RwLock<Current>,
    env: Env,
}

/// The schema that requests are validated against, and its place in the log.
#[derive(Debug, Clone)]
pub struct Current {
    pub schema: Arc<Schema>,
    pub generation: Generation,
}

/// A record that is asked for by a value.
pub struct FindBy<'a> {
    pub current: &'a Current,
    pub entity: &'a Entity,
    /// One with `find`.
    pub field: FieldIndex,
    /// As it is in an address.
    pub value: &'a str,
    pub expand: Vec<Expand>,
}

/// The answer to one committed mutation.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub id: RecordId,
    pub status: OpStatus,
    /// The record after the mutation; `None` after a delete, or when a replayed record is gone.
    pub record: Option<Stored>,
    pub epoch: Epoch,
    pub seq: Seq,
    /// The mutation id was known: nothing was done now.
    pub replayed: bool,
}

impl Repository {
    pub fn new(store: Arc<dyn Store>, current: Current, env: Env) -> Repository {
        Repository { store, current: RwLock::new(current), env }
    }

    pub fn current(&self) -> Current {
        self.current.read().clone()
    }

    /// From here on requests are validated against another schema; ops on their way come back as stale and are
    /// validated again.
    pub fn adopt(&self, current: Current) {
        *self.current.write() = current;
    }

    /// Commits one mutation. With a mutation id a repeated call gets the first answer (SEMANTICS M1).
    pub async fn write(
        &self,
        caller: &Identity,
        mutation: Mutation,
        mid: Option<MutationId>,
    ) -> Result<Written, RepositoryError> {
        let settled = self.unit(MutationAuthor::of(caller), std::slice::from_ref(&mutation), mid).await;
        settled.map_err(UnitRefusal::alone).and_then(only)
    }

    /// Commits one mutation that no access rule judges: of the server itself, or of the owner of the data folder. `caller`
    /// is in the log as its author.
    pub async fn write_unjudged(
        &self,
        caller: &Identity,
        mutation: Mutation,
    ) -> Result<Written, RepositoryError> {
        let writer = MutationAuthor { caller, asker: Asker::System };
        let settled = self.unit(writer, std::slice::from_ref(&mutation), None).await;
        settled.map_err(UnitRefusal::alone).and_then(only)
    }

    /// Commits all mutations or none, as one unit with one mutation id. Results are in the order of the mutations; an
    /// error names the one at fault.
    pub async fn batch(
        &self,
        caller: &Identity,
        mutations: &[Mutation],
        mid: Option<MutationId>,
    ) -> Result<Outcome, RepositoryError> {
        self.unit(MutationAuthor::of(caller), mutations, mid).await.map_err(UnitRefusal::in_batch)
    }

    /// Commits each mutation for itself, in order; one that fails does not stop the next. One result for each.
    pub async fn each(
        &self,
        caller: &Identity,
        mutations: &[(Mutation, Option<MutationId>)],
    ) -> Vec<Result<Written, RepositoryError>> {
        let all: Vec<usize> = (0..mutations.len()).collect();
        let writer = MutationAuthor::of(caller);
        let mut results: Vec<_> = self.in_order(&writer, mutations, &all).await;
        // A schema changes once and for all units behind the change, so those that are repeated keep their order.
        let stale = |result: &Result<Written, _>| *result == Err(RepositoryError::SchemaChanged);
        let again: Vec<usize> = all.into_iter().filter(|at| stale(&results[*at])).collect();
        let repeated = self.in_order(&writer, mutations, &again).await;
        for (at, result) in again.into_iter().zip(repeated) {
            results[at] = result;
        }
        results
    }

    /// Where the results of `each` end: at the last that succeeded; with none, where the log ends now.
    pub async fn end_of(
        &self,
        results: &[Result<Written, RepositoryError>],
    ) -> Result<Position, RepositoryError> {
        // All of one batch are of one epoch.
        match results.iter().flatten().max_by_key(|written| written.seq) {
            Some(last) => Ok(Position { epoch: last.epoch.clone(), seq: last.seq }),
            None => self.head().await.map(|at| Position { epoch: at.epoch, seq: at.seq }),
        }
    }

    /// Queues one unit after the other and waits for all of them: they share group commits, and the committer takes
    /// them in the order in which they were queued.
    async fn in_order(
        &self,
        writer: &MutationAuthor<'_>,
        mutations: &[(Mutation, Option<MutationId>)],
        which: &[usize],
    ) -> Vec<Result<Written, RepositoryError>> {
        let one = |at: &usize| {
            let (mutation, mid) = &mutations[*at];
            let attempt = self.attempt(writer, std::slice::from_ref(mutation), mid.clone(), *at);
            attempt.map(|settled| settled.map_err(UnitRefusal::alone).and_then(only))
        };
        // A unit is queued when its future is first polled, and these are polled in the order of the list.
        which.iter().map(one).collect::<FuturesOrdered<_>>().collect().await
    }

    async fn unit(
        &self,
        writer: MutationAuthor<'_>,
        mutations: &[Mutation],
        mid: Option<MutationId>,
    ) -> Result<Outcome, UnitRefusal> {
        match self.attempt(&writer, mutations, mid.clone(), 0).await {
            Err(refusal) if refusal.is_stale() => self.attempt(&writer, mutations, mid, 0).await,
            settled => settled,
        }
    }

    /// One validation and one commit, under the schema that is current now. `first`: the place of the first mutation in what the
    /// caller sent.
    async fn attempt(
        &self,
        writer: &MutationAuthor<'_>,
        mutations: &[Mutation],
        mid: Option<MutationId>,
        first: usize,
    ) -> Result<Outcome, UnitRefusal> {
        let current = self.current();
        let at = self.env.now();
        let names =
            self.names_of_writer(&current.schema, writer, mutations).await.map_err(UnitRefusal::of_unit)?;
        let (mut ops, mut refused) = (Vec::with_capacity(mutations.len()), Vec::new());
        for (at_op, mutation) in mutations.iter().enumerate() {
            match self.checked(&current.schema, writer.caller, &names, mutation, at) {
                Ok(op) => ops.push(op),
                Err(error) => refused.push(RefusedOp { op: at_op, error }),
            }
        }
        if !refused.is_empty() {
            let absent =
                self.absent_to(&current.schema, writer, mutations).await.map_err(UnitRefusal::of_unit)?;
            refused.retain(|wrong| absent.iter().all(|absent| absent.op != wrong.op));
            refused.extend(absent);
            refused.sort_by_key(|refused| refused.op);
            return Err(UnitRefusal::of_ops(refused));
        }
        let idempotency = mid.map(|mid| Idempotency {
            owner: writer.caller.idempotency_owner(),
            mid,
            hash: canonical::request_hash(mutations, &ops),
        });
        let (actor, asker) = (writer.caller.user.clone(), writer.asker.clone());
        let proof = |(op, mutation): (usize, &Mutation)| Some(LeaseProof { op, fence: mutation.if_lease? });
        let leases = mutations.iter().enumerate().filter_map(proof).collect();
        let (generation, witness) = (current.generation, Arc::<Witness>::default());
        let told = Some(witness.clone());
        let unit = Unit { ops, actor, asker, idempotency, leases, generation, at, witness: told };
        match self.store.commit(unit).await {
            Ok(outcome) => Ok(outcome),
            Err(refusal) => {
                pass_on(&witness, first);
                Err(self.refused(&current.schema, writer, mutations, refusal).await)
            }
        }
    }

    /// The store's refusal, unless it would not have come so far: operations on entities that do not exist are refused before.
    async fn refused(
        &self,
        schema: &Schema,
        writer: &MutationAuthor<'_>,
        mutations: &[Mutation],
        refusal: CommitError,
    ) -> UnitRefusal {
        let too_large = matches!(refusal, CommitError::CascadeTooLarge { .. });
        let refusal = UnitRefusal::of_commit(refusal, mutations);
        if refusal.is_of_the_server() {
            return refusal;
        }
        match self.absent_to(schema, writer, mutations).await {
            Ok(absent) if absent.is_empty() && too_large => {
                match self.steps_of(schema, writer, mutations).await {
                    Ok(steps) => refusal.with_steps(|op| steps.of(op)),
                    Err(error) => UnitRefusal::of_unit(error),
                }
            }
            Ok(absent) if absent.is_empty() => refusal,
            Ok(absent) => UnitRefusal::of_ops(absent),
            Err(error) => UnitRefusal::of_unit(error),
        }
    }

    fn checked(
        &self,
        schema: &Schema,
        caller: &Identity,
        names: &Nameable,
        mutation: &Mutation,
        at: Timestamp,
    ) -> Result<Op, RepositoryError> {
        let entity = entity_of(schema, &mutation.entity)?;
        let (env, readonly) = (&self.env, Readonly::Refused);
        let validator = Validator { schema, entity, caller, names, at, env, readonly };
        validator.op(mutation, || RecordId::from_uuid(self.env.uuid_v7()))
    }

    /// One record as a user sees it.
    pub async fn get(
        &self,
        entity: &Arc<Entity>,
        id: &str,
        who: &Who,
    ) -> Result<At<Stored>, RepositoryError> {
        let id = validate::address(entity, id)?;
        let at = self.store.find(&entity.name, &id, who).await.map_err(error::of_read)?;
        present(entity, &id, at)
    }

    /// One record with what its references lead to.
    pub async fn find(
        &self,
        entity: &Entity,
        generation: Generation,
        id: &str,
        expand: Vec<Expand>,
        who: Who,
    ) -> Result<At<Listed>, RepositoryError> {
        let id = validate::address(entity, id)?;
        let this = Condition::new(Column::Id, Test::Eq(Value::Text(id.to_string())));
        let all = Query::all(entity.name.clone(), generation, 1);
        let at = self.list(Query { named: Some(this), expand, who, ..all }).await?;
        present(entity, &id, at.map(|mut page| page.rows.pop()))
    }

    /// The record that has this value in a field with `find`. A text that is no value of the field names no record.
    pub async fn find_by(&self, by: FindBy<'_>, who: Who) -> Result<At<Listed>, RepositoryError> {
        let FindBy { current, entity, field, value, expand } = by;
        let missing = || RepositoryError::NotFoundBy {
            entity: entity.name.clone(),
            field: entity.at(field).name.clone(),
        };
        let of = entity.at(field);
        let value = values::value_from_text(&current.schema, &of.kind, value).map_err(|_| missing())?;
        let value = of.normalized(value);
        let test = if let (Value::Text(text), true) = (&value, of.ignore_case) {
            Test::Alike(text.clone())
        } else {
            Test::Eq(value)
        };
        let this = Condition::new(Column::Field(field), test);
        let all = Query::all(entity.name.clone(), current.generation, 1);
        let at = self.list(Query { named: Some(this), expand, who, ..all }).await?;
        at.map(|mut page| page.rows.pop()).transpose().ok_or_else(missing)
    }

    /// A page of records.
    pub async fn list(&self, query: Query) -> Result<At<ListPage>, RepositoryError> {
        let columns = query.sort.iter().map(|by| by.column).collect();
        let ordered = Ordered { parameter: "sort", done: "sorted", columns };
        self.store.list(&query).await.map_err(|failure| self.of_list(failure, &query.entity, &ordered))
    }

    /// How many records there are.
    pub async fn count(&self, count: Count) -> Result<At<Counted>, RepositoryError> {
        let columns = count.group.into_iter().collect();
        let ordered = Ordered { parameter: "group", done: "grouped", columns };
        self.store.count(&count).await.map_err(|failure| self.of_list(failure, &count.entity, &ordered))
    }

    fn of_list(&self, failure: StoreError, entity: &str, ordered: &Ordered) -> RepositoryError {
        error::of_list(failure, self.current().schema.entity(entity), ordered)
    }

    /// Changes of one record before `before`, newest first, as a user may see them. A record that
    /// is gone keeps its history; one that never was, that is hidden, or whose history ran out, is not found.
    pub async fn history(
        &self,
        entity: &Entity,
        who: &Who,
        id: &str,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> Result<At<Past>, RepositoryError> {
        let id = validate::address(entity, id)?;
        let found =
            self.store.history(&entity.name, &id, who, before, limit).await.map_err(error::of_read)?;
        let told = found.value.as_ref().is_none_or(|past| !past.changes.is_empty()) || before.is_some();
        let known = told || {
            let there = self.store.find(&entity.name, &id, who).await.map_err(error::of_read)?;
            there.value.is_some()
        };
        let At { epoch, seq, floor, generation, value } = found;
        let value = value.ok_or_else(|| RepositoryError::NoHistory(entity.name.clone()))?;
        match known {
            true => Ok(At { epoch, seq, floor, generation, value }),
            false => Err(RepositoryError::NotFound { entity: entity.name.clone(), id: id.to_string() }),
        }
    }

    /// What happened, newest first, as the caller may know of it.
    pub async fn activity(&self, query: &ActivityQuery) -> Result<At<ActivityPage>, RepositoryError> {
        self.store.activity(query).await.map_err(error::of_read)
    }

    /// Whether the store answers a read, and takes writes as far as is known.
    pub async fn probe(&self) -> Result<(), RepositoryError> {
        self.head().await?;
        self.store.sound().map_err(|_| RepositoryError::Damaged)
    }

    /// Where the log ends.
    pub async fn head(&self) -> Result<At<()>, RepositoryError> {
        self.store.head().await.map_err(error::of_read)
    }
}

/// Who writes, and by whose rights.
#[derive(Debug, Clone)]
struct MutationAuthor<'a> {
    caller: &'a Identity,
    asker: Asker,
}

impl MutationAuthor<'_> {
    fn of(caller: &Identity) -> MutationAuthor<'_> {
        MutationAuthor { caller, asker: Asker::Person(caller.person()) }
    }
}

/// What a refused unit told of its reasons, for those who may ask later. `first` as in `Repository::attempt`.
fn pass_on(witness: &Witness, first: usize) {
    if let Some(evidence) = witness.take() {
        note_evidence(Evidence { op: first + evidence.op, ..*evidence });
    }
}

/// The answer of a unit with one operation.
fn only(mut outcome: Outcome) -> Result<Written, RepositoryError> {
    let result = outcome
        .results
        .pop()
        .ok_or_else(|| RepositoryError::Storage("a unit came back without a result".to_owned()))?;
    Ok(Written {
        id: result.id,
        status: result.status,
        record: result.record,
        epoch: outcome.epoch,
        seq: outcome.seq,
        replayed: outcome.replayed,
    })
}

fn present<T>(entity: &Entity, id: &RecordId, at: At<Option<T>>) -> Result<At<T>, RepositoryError> {
    at.transpose()
        .ok_or_else(|| RepositoryError::NotFound { entity: entity.name.clone(), id: id.to_string() })
}

fn entity_of<'a>(schema: &'a Schema, name: &str) -> Result<&'a Arc<Entity>, RepositoryError> {
    schema.entity(name).ok_or_else(|| RepositoryError::UnknownEntity(crate::ids::shown(name)))
}
