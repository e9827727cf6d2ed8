//! Why something inside a unit did not happen. Knows neither the rules nor the backend.

use crate::store::CommitError;

/// `E` is the backend's error.
#[derive(Debug)]
pub enum Fault<E> {
    /// The unit is refused; the answer says why.
    Refused(CommitError),
    /// The backend could not do it. The transaction may be lost with it.
    Broken(E),
}

impl<E> From<E> for Fault<E> {
    fn from(error: E) -> Fault<E> {
        Fault::Broken(error)
    }
}

pub(super) fn refuse<T, E>(error: CommitError) -> Result<T, Fault<E>> {
    Err(Fault::Refused(error))
}
