//! The model's answers to mutation ids: stored with the effect, replayed with the records of today.

use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::ids::{MutationId, RecordId, Timestamp};
use tidewire::schema::EntityName;
use tidewire::store::{CommitError, Idempotency, OpStatus};

use super::State;

#[derive(Clone)]
pub(super) struct Answer {
    owner: Arc<str>,
    mid: MutationId,
    hash: [u8; 32],
    at: Timestamp,
    pub(super) results: Vec<(EntityName, RecordId, OpStatus)>,
}

impl State {
    /// What was answered to this request, if it was made before.
    pub(super) fn recall(&self, key: &Idempotency) -> Result<Option<Answer>, CommitError> {
        let known = self.answers.iter().find(|known| known.owner == key.owner && known.mid == key.mid);
        match known {
            Some(known) if known.hash != key.hash => Err(CommitError::MutationReused),
            known => Ok(known.cloned()),
        }
    }

    /// The owner's oldest answer leaves when there are too many, and old ones of every owner by age.
    pub(super) fn remember(
        &mut self,
        config: &StoreConfig,
        (key, at): (&Idempotency, Timestamp),
        results: Vec<(EntityName, RecordId, OpStatus)>,
    ) {
        let (owner, mid, hash) = (key.owner.clone(), key.mid.clone(), key.hash);
        self.answers.push(Answer { owner: owner.clone(), mid, hash, at, results });
        let of_owner = self.answers.iter().filter(|known| known.owner == owner).count() as u64;
        if of_owner > config.idempotency_per_user {
            let oldest = self.answers.iter().position(|known| known.owner == owner).unwrap();
            self.answers.remove(oldest);
        }
        let oldest = at.0 - config.idempotency_age.as_millis() as i64;
        self.answers.retain(|known| known.at.0 >= oldest);
    }
}
