//! What the operations of a unit cause by `[[on]]`, and the error that the writer gets when that fails.
//!
//! Knows not how it is done; `triggers.rs` does it.

use crate::rules::Principal;
use crate::schema::EntityName;
use crate::store::CommitError;

/// The operations of the server itself have numbers from here on, so that what fails in them is not taken for the request's own.
pub(super) const FIRST_CAUSED: usize = 1 << 32;

/// What the operations of a unit cause.
#[derive(Default)]
pub(super) struct Caused {
    /// Log entries after which something is to be done, in order.
    pub(super) entries: Vec<usize>,
    /// Each operation of the server: which of the request's it followed, and the entity whose file says so.
    pub(super) operations: Vec<(usize, EntityName)>,
    /// What a `when` asks of the writer.
    pub(super) principal: Option<Principal>,
}

impl Caused {
    /// The rights of the writer are read again.
    pub(super) fn forget_principal(&mut self) {
        self.principal = None;
    }

    /// A refusal as the writer gets it. Of another record it names only the entity whose table caused it.
    pub(super) fn told(&self, refusal: CommitError) -> CommitError {
        let caused = refusal.op().and_then(|op| op.checked_sub(FIRST_CAUSED));
        match caused.and_then(|place| self.operations.get(place)) {
            Some((op, entity)) => {
                let why = refusal.at(0).to_string();
                CommitError::TriggerFailed { op: *op, entity: entity.clone(), why: why.into() }
            }
            None => refusal,
        }
    }
}
