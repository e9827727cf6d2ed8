//! What is noted while one request or one mutation is answered. The code that refuses does not know the id of the request, and the
//! code that knows the id does not see the rules; both are in one task.
//!
//! Noting outside `observe` is without effect.

use std::cell::RefCell;

use super::memory::RefusedCaller;
use crate::ids::Seq;
use crate::protocol::Code;
use crate::store::{Evidence, Query};

tokio::task_local! {
    static NOTED: RefCell<Noted>;
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Noted {
    pub caller: Option<RefusedCaller>,
    /// One for each operation that was refused, of a batch in the order of their refusals.
    pub evidence: Vec<Evidence>,
    /// Parts that were refused within an answer that was given.
    pub refused: Vec<NotedRefusal>,
    pub list: Option<Box<NotedList>>,
}

/// A part of a request that was refused for itself.
#[derive(Debug)]
pub struct NotedRefusal {
    pub part: RefusedPart,
    pub code: Code,
    pub message: String,
}

#[derive(Debug)]
pub enum RefusedPart {
    /// An operation of a batch, by its place.
    Operation(usize),
    /// A channel of a poll.
    Channel(String),
}

/// A list that was answered.
#[derive(Debug)]
pub struct NotedList {
    pub query: Query,
    pub position: Seq,
}

/// What came of a future, and what was noted on its way.
#[derive(Debug)]
pub struct Observed<T> {
    pub output: T,
    pub noted: Noted,
}

impl Noted {
    /// The evidence about one operation.
    pub fn evidence_of(&mut self, op: Option<usize>) -> Option<Box<Evidence>> {
        let op = op.unwrap_or(0);
        let at = self.evidence.iter().rposition(|evidence| evidence.op == op)?;
        Some(Box::new(self.evidence.swap_remove(at)))
    }
}

/// Runs a future and hands out what was noted.
pub async fn observe<F: Future>(future: F) -> Observed<F::Output> {
    let observed = async {
        let output = future.await;
        let noted = NOTED.with(RefCell::take);
        Observed { output, noted }
    };
    NOTED.scope(RefCell::default(), observed).await
}

/// Who asks.
pub fn note_caller(caller: RefusedCaller) {
    note(|noted| noted.caller = Some(caller));
}

/// Why an operation is refused.
pub fn note_evidence(evidence: Evidence) {
    note(|noted| noted.evidence.push(evidence));
}

/// A part that was refused for itself.
pub fn note_refusal(refusal: NotedRefusal) {
    note(|noted| noted.refused.push(refusal));
}

/// Which list is answered.
pub fn note_list(list: impl FnOnce() -> NotedList) {
    note(|noted| noted.list = Some(Box::new(list())));
}

fn note(change: impl FnOnce(&mut Noted)) {
    // Outside of a request there is no one to tell.
    let _ = NOTED.try_with(|noted| change(&mut noted.borrow_mut()));
}
