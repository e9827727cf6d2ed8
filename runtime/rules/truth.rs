//! `Truth`: three-valued logic, as SQL has it.

use std::ops::Not;

/// Whether a condition holds. `Unknown` grants nothing, and neither does its negation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    False,
    Unknown,
    True,
}

impl Truth {
    #[must_use]
    pub fn and(self, other: Truth) -> Truth {
        self.min(other)
    }

    #[must_use]
    pub fn or(self, other: Truth) -> Truth {
        self.max(other)
    }

    /// Whether any of them holds; asks no further than the first that does.
    pub fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
        let mut any = Truth::False;
        for truth in truths {
            any = any.or(truth);
            if any == Truth::True {
                break;
            }
        }
        any
    }

    /// The end of every question: any doubt denies.
    pub fn grants(self) -> bool {
        self == Truth::True
    }
}

impl Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(known: bool) -> Truth {
        if known { Truth::True } else { Truth::False }
    }
}
