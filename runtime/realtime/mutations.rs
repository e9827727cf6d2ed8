//! `Mutations`: what a connection has asked to be written, until it is answered. They are queued in the order in which they came,
//! without waiting for one another's commits, and answered in the same order.
//!
//! Knows no frame and no transport. What may be written, the repository judges, as for a request over HTTP.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesOrdered;
use serde_json::value::RawValue;

use crate::identity::{Admitted, Identities, IdentityError};
use crate::protocol::server_frame::ErrorPayload;
use crate::protocol::{Code, Retry};
use crate::refusals::{Observed, observe};
use crate::repository::{
    AnswerFor, Batch, MutateRequest, Repository, RepositoryError, json_of_all, json_of_each, json_of_one,
};
use crate::schema::value::write_json_of;
use crate::store::Evidence;

/// Mutations of one connection that may wait for their answers. While there are so many, nothing more is read from its peer.
const MOST: usize = 64;

/// What became of a mutation.
#[derive(Debug)]
pub enum Mutated {
    /// The payload of the `ack`.
    Done(Box<RawValue>),
    Refused(Box<MutationRefusal>),
}

/// Why a mutation was refused; all of it is for its author.
#[derive(Debug)]
pub struct MutationRefusal {
    pub code: Code,
    pub message: String,
    errors: Option<Box<RawValue>>,
    op: Option<usize>,
    current: Option<Box<RawValue>>,
    /// For those who may ask why.
    pub evidence: Option<Box<Evidence>>,
}

/// A mutation with its answer.
#[derive(Debug)]
pub(super) struct AnsweredMutation {
    pub(super) request_id: Option<String>,
    pub(super) mutated: Mutated,
}

/// Who asks for mutations, by what they were admitted.
#[derive(Clone)]
pub(super) struct MutationCaller {
    pub(super) admitted: Admitted,
    /// Looks whether the account may still write; without it there is no login.
    pub(super) door: Option<Arc<Identities>>,
}

/// See the module's text. Most connections never write, so one that does not holds a pointer.
pub(super) struct Mutations {
    repository: Arc<Repository>,
    pending: Option<Box<Pending>>,
}

#[derive(Default)]
struct Pending {
    waiting: VecDeque<AskedMutation>,
    /// The account of the next one is being looked at. One at a time, so that none overtakes another on its way to the queue.
    admitting: Option<BoxFuture<'static, AskedMutation>>,
    /// Queued in the store when first polled, and first polled in this order.
    under_way: FuturesOrdered<BoxFuture<'static, AnsweredMutation>>,
}

struct AskedMutation {
    request_id: Option<String>,
    caller: MutationCaller,
    request: Result<MutateRequest, MutationRefusal>,
}

impl Mutations {
    pub(super) fn new(repository: Arc<Repository>) -> Mutations {
        Mutations { repository, pending: None }
    }

    /// Whether one more may be asked.
    pub(super) fn has_room(&self) -> bool {
        self.pending.as_ref().is_none_or(|pending| pending.count() < MOST)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_none()
    }

    pub(super) fn ask(&mut self, request_id: Option<String>, payload: &str, caller: MutationCaller) {
        let request = MutateRequest::parse(payload)
            .map_err(|error| MutationRefusal::new(Code::BadJson, error.to_string()));
        self.pending.get_or_insert_default().waiting.push_back(AskedMutation { request_id, caller, request });
    }

    /// The next answer. Never completes when there is nothing to answer; may be dropped while it waits.
    pub(super) async fn next(&mut self) -> AnsweredMutation {
        let Some(pending) = &mut self.pending else { return std::future::pending().await };
        let answered = pending.next(&self.repository).await;
        if pending.count() == 0 {
            self.pending = None;
        }
        answered
    }
}

impl Pending {
    fn count(&self) -> usize {
        self.waiting.len() + usize::from(self.admitting.is_some()) + self.under_way.len()
    }

    async fn next(&mut self, repository: &Arc<Repository>) -> AnsweredMutation {
        loop {
            if self.admitting.is_none()
                && let Some(asked) = self.waiting.pop_front()
            {
                self.admitting = Some(Box::pin(admit(asked, repository.clone())));
            }
            let mut admitting: OptionFuture<_> = self.admitting.as_mut().into();
            tokio::select! {
                Some(admitted) = &mut admitting => {
                    self.admitting = None;
                    self.under_way.push_back(Box::pin(settle(admitted, repository.clone())));
                }
                Some(answered) = self.under_way.next() => return answered,
                else => std::future::pending().await,
            }
        }
    }
}

async fn admit(mut asked: AskedMutation, repository: Arc<Repository>) -> AskedMutation {
    if asked.request.is_ok() {
        let MutationCaller { admitted, door } = &asked.caller;
        let looked = match door {
            Some(door) => door.require_writer(admitted).await,
            None => repository.ensure_user(&admitted.identity).await.map_err(IdentityError::Repository),
        };
        if let Err(refused) = looked {
            asked.request = Err(MutationRefusal::of_caller(refused));
        }
    }
    asked
}

async fn settle(admitted: AskedMutation, repository: Arc<Repository>) -> AnsweredMutation {
    let AskedMutation { request_id, caller, request } = admitted;
    let mutated = match request {
        Ok(request) => {
            let Observed { output, mut noted } = observe(perform(&repository, &caller, request)).await;
            output.map_err(|refusal| MutationRefusal { evidence: noted.evidence_of(refusal.op), ..refusal })
        }
        Err(refusal) => Err(refusal),
    };
    let mutated = mutated.unwrap_or_else(|refusal| Mutated::Refused(Box::new(refusal)));
    AnsweredMutation { request_id, mutated }
}

async fn perform(
    repository: &Repository,
    caller: &MutationCaller,
    request: MutateRequest,
) -> Result<Mutated, MutationRefusal> {
    let caller = &caller.admitted.identity;
    let to = if caller.user.is_some() { AnswerFor::User } else { AnswerFor::Anonymous };
    let json = match request {
        MutateRequest::One(mutation, mid) => {
            json_of_one(&repository.write(caller, *mutation, mid).await?, to)
        }
        MutateRequest::Batch(Batch::Atomic(mutations), mid) => {
            json_of_all(&repository.batch(caller, &mutations, mid).await?, to)
        }
        MutateRequest::Batch(Batch::Each(mutations), _) => {
            let results = repository.each(caller, &mutations).await;
            let end = repository.end_of(&results).await?;
            json_of_each(results, &end, to, |error, _, json| write_error(error, json))
        }
    };
    let json = String::from_utf8(json).map_err(|error| error.to_string());
    let json = json.and_then(|json| RawValue::from_string(json).map_err(|error| error.to_string()));
    json.map(Mutated::Done).map_err(|cause| RepositoryError::Storage(cause).into())
}

/// `{"error":{…}}`, the payload of the `error` that it would be for itself.
fn write_error(error: RepositoryError, json: &mut Vec<u8>) {
    json.extend_from_slice(b"{\"error\":");
    write_json_of(&MutationRefusal::from(error).payload(), json);
    json.push(b'}');
}

impl MutationRefusal {
    fn new(code: Code, message: String) -> MutationRefusal {
        MutationRefusal { code, message, errors: None, op: None, current: None, evidence: None }
    }

    fn of_caller(error: IdentityError) -> MutationRefusal {
        if let IdentityError::Repository(error) = error {
            return error.into();
        }
        MutationRefusal::new(error.code(), error.to_string())
    }

    pub fn payload(&self) -> ErrorPayload<'_> {
        ErrorPayload {
            errors: self.errors.as_deref(),
            op: self.op,
            current: self.current.as_deref(),
            ..ErrorPayload::new(self.code, &self.message)
        }
    }
}

impl From<RepositoryError> for MutationRefusal {
    fn from(error: RepositoryError) -> MutationRefusal {
        let code = error.code();
        if code.retry() == Retry::Later && code != Code::StorageDamaged {
            // Damage was told by the store when it was found.
            let cause = error.cause().unwrap_or_else(|| error.to_string());
            tracing::error!(code = code.as_str(), cause, "a mutation failed");
        }
        let errors = error.field_errors();
        let raw = |json: &[u8]| serde_json::from_slice(json).ok();
        MutationRefusal {
            code,
            message: error.to_string(),
            errors: if errors.is_empty() { None } else { serde_json::value::to_raw_value(&errors).ok() },
            op: error.op(),
            current: error.current().and_then(|record| raw(&record.json)),
            evidence: None,
        }
    }
}
