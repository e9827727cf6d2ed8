//! The records of a change, before it and after it: for judging a change by predicates.
//!
//! The committer has them at hand; of a change that was read from the log, `decode.rs` makes them.

use std::sync::{Arc, OnceLock};

use crate::schema::Record;

/// A record before and after a change; nothing before a create, nothing after a delete.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rows {
    pub old: Option<Record>,
    pub new: Option<Record>,
}

/// What was decoded of a change. It says nothing that the change does not, so it takes no part in comparisons.
#[derive(Debug, Clone, Default)]
pub struct Decoded(OnceLock<Arc<Rows>>);

impl PartialEq for Decoded {
    fn eq(&self, _: &Decoded) -> bool {
        true
    }
}

impl Decoded {
    pub fn known(rows: Rows) -> Decoded {
        Decoded(OnceLock::from(Arc::new(rows)))
    }
}

impl Decoded {
    pub(super) fn or_decode(&self, decode: impl FnOnce() -> Rows) -> &Rows {
        self.0.get_or_init(|| Arc::new(decode()))
    }

    /// What is known already.
    pub(super) fn rows(&self) -> Option<&Rows> {
        self.0.get().map(|rows| &**rows)
    }
}
