//! `Refusals`: the last 10,000 refusals of an hour, and the last 10,000 lists. When there are more, the caller with the most loses
//! the oldest (`fair.rs`).
//!
//! While nothing is refused nothing is done. Asking walks through all of them, since it is rare.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::fair::FairMemory;
use crate::ids::{Seq, Timestamp};
use crate::metrics::Via;
use crate::protocol::Code;
use crate::rules::Claims;
use crate::store::{Evidence, Query, Who};

/// How many refusals are kept, and how many lists.
const MOST: usize = 10_000;

/// For how long they are kept.
pub const REFUSAL_LIFE: Duration = Duration::from_secs(60 * 60);

/// Bytes of each text that is kept of a refusal. A frame may name a channel as long as the frame.
const MOST_TEXT: usize = 400;

/// Answers to one id. A caller may give the same id to many requests.
const MOST_OF_AN_ID: usize = 20;

/// See the module's text.
#[derive(Debug)]
pub struct Refusals {
    /// Held for one push or one walk, never across an await.
    refused: Mutex<FairMemory<KeptRefusal>>,
    /// The same.
    lists: Mutex<FairMemory<ListQuestion>>,
}

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals { refused: FairMemory::new(MOST).into(), lists: FairMemory::new(MOST).into() }
    }
}

/// What was refused.
#[derive(Debug)]
pub struct KeptRefusal {
    /// That the caller saw: of the request, or `REQUEST@CONNECTION`. Empty where none was told.
    pub id: String,
    pub at: Timestamp,
    pub via: Via,
    pub caller: Option<RefusedCaller>,
    pub operation: RefusedOperation,
    pub code: Code,
    /// As the caller read it. `None` where it may repeat what was sent.
    pub message: Option<String>,
    /// For operators only.
    pub cause: Option<String>,
    pub evidence: Option<Box<Evidence>>,
}

/// Who was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedCaller {
    /// `None` is an anonymous caller.
    pub user: Option<Arc<str>>,
    /// Of the credentials; that of the `User` record is not known here.
    pub role: Option<Arc<str>>,
    /// Of the credentials. What is kept of a refusal has those that the rules for reading ask, if a read is to be explained later.
    pub claims: KeptClaims,
}

/// What is kept of the claims of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptClaims {
    /// All that the rules can ask.
    Known(Claims),
    /// They were too long, or no explanation needs them.
    Unknown,
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedOperation {
    /// Method and path, without the query string.
    Request(String),
    /// An operation of a batch.
    OfBatch { request: String, op: usize },
    /// A channel of a poll.
    OfPoll { request: String, channel: String },
    /// A frame of a connection, with the channel that it names.
    Frame { channel: Option<String> },
}

/// A list that was answered.
#[derive(Debug)]
pub struct ListQuestion {
    /// Of the request.
    pub id: String,
    pub at: Timestamp,
    pub query: Query,
    pub position: Seq,
}

impl Refusals {
    pub fn keep(&self, mut refusal: KeptRefusal) {
        refusal.shorten();
        let caller = refusal.caller.as_ref().and_then(|caller| caller.user.clone());
        self.refused.lock().push(refusal.at, since(refusal.at), caller, refusal);
    }

    pub fn keep_list(&self, list: ListQuestion) {
        let caller = match &list.query.who {
            Who::Person(person) => person.id.clone(),
            Who::System | Who::ReadScope(_) => None,
        };
        self.lists.lock().push(list.at, since(list.at), caller, list);
    }

    /// What was refused under this id, newest first.
    pub fn find(&self, id: &str, now: Timestamp) -> Vec<Arc<KeptRefusal>> {
        self.latest(MOST_OF_AN_ID, now, |refusal| !id.is_empty() && refusal.id == id)
    }

    /// The newest that `wanted` wants, newest first.
    pub fn latest(
        &self,
        most: usize,
        now: Timestamp,
        wanted: impl Fn(&KeptRefusal) -> bool,
    ) -> Vec<Arc<KeptRefusal>> {
        let refused = self.refused.lock();
        refused.newest_first(since(now)).filter(|refusal| wanted(refusal)).take(most).cloned().collect()
    }

    /// The newest list of this id.
    pub fn list(&self, id: &str, now: Timestamp) -> Option<Arc<ListQuestion>> {
        let lists = self.lists.lock();
        lists.newest_first(since(now)).find(|list| list.id == id).cloned()
    }

    /// How many refusals are kept.
    pub fn count(&self) -> usize {
        self.refused.lock().len()
    }
}

impl KeptRefusal {
    fn shorten(&mut self) {
        let (request, channel) = match &mut self.operation {
            RefusedOperation::Request(request) | RefusedOperation::OfBatch { request, .. } => {
                (Some(request), None)
            }
            RefusedOperation::OfPoll { request, channel } => (Some(request), Some(channel)),
            RefusedOperation::Frame { channel } => (None, channel.as_mut()),
        };
        let texts = [request, channel, self.message.as_mut(), self.cause.as_mut()];
        for text in texts.into_iter().flatten() {
            text.truncate(text.floor_char_boundary(MOST_TEXT));
            text.shrink_to_fit();
        }
    }
}

fn since(now: Timestamp) -> Timestamp {
    Timestamp(now.0 - i64::try_from(REFUSAL_LIFE.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(id: &str, at: i64) -> KeptRefusal {
        KeptRefusal {
            id: id.to_owned(),
            at: Timestamp(at),
            via: Via::Http,
            caller: None,
            operation: RefusedOperation::Request(String::new()),
            code: Code::Forbidden,
            message: None,
            cause: None,
            evidence: None,
        }
    }

    #[test]
    fn ten_thousand_refusals_are_kept_and_no_more() {
        let refusals = Refusals::default();
        (0..10_001).for_each(|nth| refusals.keep(refusal(&nth.to_string(), 1_000)));
        assert_eq!(refusals.count(), 10_000);
        let now = Timestamp(1_000);
        assert!(refusals.find("0", now).is_empty(), "the oldest made room");
        assert_eq!((refusals.find("1", now).len(), refusals.find("10000", now).len()), (1, 1));
    }

    #[test]
    fn a_flood_of_an_anonymous_caller_leaves_the_refusals_of_others() {
        let refusals = Refusals::default();
        let of = |id: &str, user: &str| {
            let caller = RefusedCaller { user: Some(user.into()), role: None, claims: KeptClaims::Unknown };
            refusals.keep(KeptRefusal { caller: Some(caller), ..refusal(id, 1_000) });
        };
        of("first", "ada");
        (0..20_000).for_each(|nth| refusals.keep(refusal(&nth.to_string(), 1_000)));
        of("last", "ben");
        let now = Timestamp(1_000);
        assert_eq!((refusals.count(), refusals.find("first", now).len()), (10_000, 1));
        assert_eq!((refusals.find("last", now).len(), refusals.find("19999", now).len()), (1, 1));
    }

    #[test]
    fn long_texts_are_cut() {
        let refusals = Refusals::default();
        let long = || "ü".repeat(30_000);
        for operation in [
            RefusedOperation::Request(long()),
            RefusedOperation::OfBatch { request: long(), op: 0 },
            RefusedOperation::Frame { channel: Some(long()) },
        ] {
            refusals.keep(KeptRefusal {
                operation,
                message: Some(long()),
                cause: Some(long()),
                ..refusal("a", 0)
            });
        }
        for kept in refusals.find("a", Timestamp(0)) {
            let told = format!("{kept:?}");
            assert!(told.len() < 3 * 400 + 300, "{} bytes", told.len());
        }
    }

    #[test]
    fn what_is_older_than_an_hour_is_not_told_and_makes_room() {
        let refusals = Refusals::default();
        let hour = 3_600_000;
        refusals.keep(refusal("a", 1_000));
        assert_eq!(refusals.find("a", Timestamp(1_000 + hour)).len(), 1);
        assert!(refusals.find("a", Timestamp(1_001 + hour)).is_empty());
        refusals.keep(refusal("b", 1_001 + hour));
        assert_eq!(refusals.count(), 1);
    }

    #[test]
    fn an_id_that_was_used_several_times_is_told_newest_first_and_an_empty_one_never() {
        let refusals = Refusals::default();
        (0..30).for_each(|at| refusals.keep(refusal("same", at)));
        refusals.keep(refusal("", 40));
        let found = refusals.find("same", Timestamp(40));
        assert_eq!(
            found.iter().map(|refusal| refusal.at.0).collect::<Vec<_>>(),
            (10..30).rev().collect::<Vec<_>>()
        );
        assert!(refusals.find("", Timestamp(40)).is_empty());
    }
}
