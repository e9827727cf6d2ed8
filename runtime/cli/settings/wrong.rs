//! `Wrong`: why something is no value of a kind.
//!
//! Knows no kind.

/// Why something is no value of a kind: what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) found: String,
    pub(super) help: String,
    /// The words at the caret, where they are not the kind.
    pub(super) label: Option<&'static str>,
}

impl Wrong {
    pub(super) fn new(found: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong { found: found.into(), help: help.into(), label: None }
    }

    pub(super) fn label(self, label: &'static str) -> Wrong {
        Wrong { label: Some(label), ..self }
    }
}
