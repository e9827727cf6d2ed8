//! `Wrong`: why something is no value of a kind.
//!
//! Knows no kind.

use std::ops::Range;

/// Why something is no value of a kind: what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) found: String,
    pub(super) help: String,
    /// The words at the caret, where they are not the kind.
    pub(super) label: Option<&'static str>,
    /// The part of the value at fault, where it is not the whole: bytes of the file.
    pub(super) at: Option<Range<usize>>,
}

impl Wrong {
    pub(super) fn new(found: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong { found: found.into(), help: help.into(), label: None, at: None }
    }

    pub(super) fn at(self, at: Range<usize>) -> Wrong {
        Wrong { at: Some(at), ..self }
    }

    pub(super) fn label(self, label: &'static str) -> Wrong {
        Wrong { label: Some(label), ..self }
    }
}
