//! Changes of many records (SEMANTICS X9): found by a list as the caller sees it, then changed or deleted in one unit, each
//! judged for itself inside the commit. And how a delete that is too large for one unit is done in steps.
//!
//! Knows no query string and no rule.

use std::sync::Arc;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::body::Body;
use super::error::RepositoryError;
use super::mutation::{Mutation, Verb};
use super::nameable::Nameable;
use super::unit_refusal::UnitRefusal;
use super::validate::{Readonly, Validator};
use super::{MutationAuthor, Repository, canonical};
use crate::auth::Identity;
use crate::ids::{Epoch, MutationId, RecordId, Seq};
use crate::rules::{Asker, BindError, is_closed};
use crate::schema::{Entity, FieldKind, OnDelete, Schema};
use crate::store::{
    CommitError, Condition, Idempotency, ListCursor, Many, ManyEdit, Op, OpStatus, Outcome, Query, Tally,
    Unit, Who,
};

/// Most records that one request looks at, and most bytes of them: no unit has room for more.
const MOST_RECORDS: usize = 10_000;
const MOST_BYTES: usize = 8 << 20;

/// What to do with which records.
#[derive(Debug)]
pub struct ManyRequest {
    pub entity: Arc<Entity>,
    pub generation: crate::schema::Generation,
    pub filter: Vec<Condition>,
    /// Start after this record.
    pub after: Option<RecordId>,
    /// Filter and start as the client said them: with the same mutation id they must be the same.
    pub question: String,
    /// The fields to set in each; `None` deletes them.
    pub data: Option<Body>,
}

/// What became of the request.
#[derive(Debug, Clone, PartialEq)]
pub struct ManyWritten {
    pub tally: Tally,
    /// The last record that was looked at, where further ones may follow it.
    pub next: Option<RecordId>,
    pub epoch: Epoch,
    pub seq: Seq,
    pub replayed: bool,
}

impl Repository {
    /// Changes or deletes the records that the caller sees in a list with this filter, in the order of their ids, as one unit.
    pub async fn write_many(
        &self,
        caller: &Identity,
        request: &ManyRequest,
        mid: Option<MutationId>,
    ) -> Result<ManyWritten, RepositoryError> {
        let current = self.current();
        if current.generation != request.generation {
            return Err(RepositoryError::SchemaChanged);
        }
        let mut many = self.found(caller, request).await?;
        let at = self.env.now();
        if let Some(data) = &request.data {
            let (schema, entity, names) = (&*current.schema, &request.entity, &Nameable::usual());
            let readonly = Readonly::Refused;
            let validator = Validator { schema, entity, caller, names, at, env: &self.env, readonly };
            many.edit = ManyEdit::Update(validator.changes(data)?);
        }
        let idempotency = mid.map(|mid| Idempotency {
            owner: caller.idempotency_owner(),
            mid,
            hash: canonical::hash_of_many(&request.entity.name, &request.question, request.data.as_ref()),
        });
        let writer = MutationAuthor::of(caller);
        loop {
            let unit = Unit {
                ops: vec![Op::Many(Box::new(many.clone()))],
                actor: caller.user.clone(),
                asker: writer.asker.clone(),
                idempotency: idempotency.clone(),
                leases: Vec::new(),
                generation: request.generation,
                at,
                witness: None,
            };
            match self.store.commit(unit).await {
                Ok(outcome) => return answer(outcome),
                // What goes with one record was larger than the room that was left, or asked for too much: fewer are taken at once.
                Err(
                    CommitError::UnitTooLarge { .. }
                    | CommitError::Rule { error: BindError::UnitTooBroad, .. },
                ) if many.ids.len() > 1 => {
                    many.ids.truncate(many.ids.len() / 2);
                    many.more = true;
                }
                Err(refusal) => {
                    return Err(self.refused_many(&current.schema, &writer, &many, refusal).await);
                }
            }
        }
    }

    /// The records that the caller sees in a list, to be deleted.
    async fn found(&self, caller: &Identity, request: &ManyRequest) -> Result<Many, RepositoryError> {
        let entity = request.entity.name.clone();
        let query = Query {
            who: Who::Person(caller.person()),
            filter: request.filter.clone(),
            after: request.after.clone().map(|id| ListCursor { values: Vec::new(), id }),
            bytes: MOST_BYTES,
            ..Query::all(entity.clone(), request.generation, MOST_RECORDS)
        };
        let page = self.list(query).await?.value;
        let ids = page.rows.into_iter().map(|row| row.id).collect();
        let filter = request.filter.clone();
        Ok(Many { entity, ids, more: page.more, filter, edit: ManyEdit::Delete })
    }

    async fn refused_many(
        &self,
        schema: &Schema,
        writer: &MutationAuthor<'_>,
        many: &Many,
        refusal: CommitError,
    ) -> RepositoryError {
        let verb = match many.edit {
            ManyEdit::Update(_) => Verb::Update,
            ManyEdit::Delete | ManyEdit::Expire => Verb::Delete,
        };
        let entity = many.entity.to_string();
        let mutation = Mutation { verb, entity, id: None, data: None, if_version: None, if_lease: None };
        let mut error = UnitRefusal::of_many(refusal, &mutation, &many.ids);
        if let RepositoryError::OfRecord { id, error, .. } = &mut error
            && let RepositoryError::CascadeTooLarge { first, .. } = &mut **error
        {
            let mutation = Mutation { id: Some(id.to_string()), ..mutation };
            match self.steps_of(schema, writer, &[mutation]).await {
                Ok(steps) => *first = steps.of(0),
                Err(error) => return error,
            }
        }
        error
    }

    /// How the deletes among these are done in steps. Names nothing that is closed to the writer.
    pub(super) async fn steps_of(
        &self,
        schema: &Schema,
        writer: &MutationAuthor<'_>,
        mutations: &[Mutation],
    ) -> Result<DeleteSteps, RepositoryError> {
        let principal = match &writer.asker {
            Asker::System => None,
            Asker::Person(person) => Some(self.principal(person).await?),
        };
        let open = |entity: &Entity| principal.as_ref().is_none_or(|known| !is_closed(entity, known));
        let steps = |mutation: &Mutation| match (mutation.verb, &mutation.id) {
            (Verb::Delete, Some(id)) => steps(schema, &mutation.entity, id, open),
            _ => Vec::new(),
        };
        Ok(DeleteSteps(mutations.iter().map(steps).collect()))
    }
}

/// For each operation the requests that delete what would go with it.
pub(super) struct DeleteSteps(Vec<Vec<String>>);

impl DeleteSteps {
    pub(super) fn of(&self, op: usize) -> Vec<String> {
        self.0.get(op).cloned().unwrap_or_default()
    }
}

fn steps(schema: &Schema, entity: &str, id: &str, open: impl Fn(&Entity) -> bool) -> Vec<String> {
    let id = utf8_percent_encode(id, NON_UNRESERVED);
    let mut steps = Vec::new();
    for child in schema.entities().filter(|child| open(child)) {
        for field in child.fields.iter().filter(|field| field.lookup.is_none() && field.read.is_none()) {
            if matches!(&field.kind, FieldKind::Ref { entity: to, on_delete: OnDelete::Cascade } if &**to == entity)
            {
                steps.push(format!("`DELETE /api/{}?{}={id}`", child.plural, field.name));
            }
        }
    }
    steps
}

/// What stays as it is in a query string; UUIDs do.
const NON_UNRESERVED: &percent_encoding::AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn answer(mut outcome: Outcome) -> Result<ManyWritten, RepositoryError> {
    let Outcome { seq, epoch, replayed, .. } = outcome;
    let Some(result) = outcome.results.pop() else {
        return Err(RepositoryError::Storage("a unit came back without a result".to_owned()));
    };
    let OpStatus::Many(tally) = result.status else {
        return Err(RepositoryError::Storage("a change of many came back as one of one".to_owned()));
    };
    let next = tally.more.then_some(result.id).filter(|id| !id.as_str().is_empty());
    Ok(ManyWritten { tally, next, epoch, seq, replayed })
}
