//! What a mutation id says of a unit (SEMANTICS M1), asked before anything else. Knows not how an answer is given again.

use super::fault::{Fault, refuse};
use super::transaction::{AnsweredOp, Transaction};
use crate::store::{CommitError, Idempotency};

/// The operations of the request, if it was answered before. One id stands for one request of its owner.
pub(super) async fn recall<T: Transaction>(
    transaction: &T,
    key: &Idempotency,
) -> Result<Option<Vec<AnsweredOp>>, Fault<T::Error>> {
    match transaction.recall(key).await? {
        Some(answered) if answered.hash != key.hash => refuse(CommitError::MutationReused),
        answered => Ok(answered.map(|answered| answered.done)),
    }
}
