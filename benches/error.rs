//! What can go wrong in a run. Does not know the sections; every message says what to do or what was read.

use std::io;

use thiserror::Error;

/// Why a run or a section ended.
#[derive(Debug, Error)]
pub(crate) enum BenchError {
    /// Something that the person at the keyboard can put right.
    #[error("{0}")]
    Setup(String),
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    Io { what: String, source: io::Error },
    /// A server answered something that the driver does not expect.
    #[error("{0}")]
    Wire(String),
}

impl BenchError {
    /// `what` completes the sentence "cannot ...".
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> BenchError {
        BenchError::Io { what: what.into(), source }
    }
}

/// The result of everything in this program that can fail.
pub(crate) type Outcome<T> = Result<T, BenchError>;
