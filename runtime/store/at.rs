//! `At`: a value that was read, and the position at which it is true.

use crate::ids::{Epoch, Seq};
use crate::schema::Generation;

/// A value and the position of the read transaction that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    pub epoch: Epoch,
    /// Head of the log.
    pub seq: Seq,
    /// Seq of the last trimmed entry; 0 while nothing was trimmed. Changes after it can be replayed.
    pub floor: Seq,
    pub generation: Generation,
    pub value: T,
}

impl<T> At<T> {
    /// Another value, true at the same position.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        let At { epoch, seq, floor, generation, value } = self;
        At { epoch, seq, floor, generation, value: change(value) }
    }
}

impl<T> At<Option<T>> {
    pub fn transpose(self) -> Option<At<T>> {
        let At { epoch, seq, floor, generation, value } = self;
        value.map(|value| At { epoch, seq, floor, generation, value })
    }
}
