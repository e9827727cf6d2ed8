//! What every read has in common: whose eyes it has, the record that it finds, and the position at which that is true.
//!
//! Knows no question and no answer as a whole (`query.rs`, `log.rs`).

use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{Epoch, Seq};
use crate::rules::{Person, ReadScope};
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

/// A record as bytes: what `Record::to_json` makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub version: u64,
    pub json: Bytes,
}

/// On whose behalf records are read.
#[derive(Debug, Clone, PartialEq)]
pub enum Who {
    /// The server itself, or whoever owns the data folder: no rule applies.
    System,
    /// Bound inside the read's own transaction.
    Person(Arc<Person>),
    /// Bound before, filter and all: the caller asks `rights_changed` after the read, and only then shows what was read.
    ReadScope(Arc<ReadScope>),
}
