//! `ValueFault`: why one value does not fit its field.
//!
//! Knows no field: the sentence begins with the field's name, which the caller knows.

/// Why a value does not fit its field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueFault {
    pub code: &'static str,
    /// Continues a sentence that begins with the field's name.
    pub message: String,
}

impl ValueFault {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> ValueFault {
        ValueFault { code, message: message.into() }
    }
}
