//! `Stored`: a record as it is kept and sent.

use bytes::Bytes;

/// A record as bytes: what `Record::to_json` makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub version: u64,
    pub json: Bytes,
}
