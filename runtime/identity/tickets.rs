//! `Tickets`: what a browser puts into the address of a socket or a stream instead of its token. A ticket works once, within 30
//! seconds.
//!
//! An `EventSource` comes back by itself to the address that it has, ticket included. So a ticket that opened a stream works again,
//! but only together with a mark that was sent on that stream as part of its `id` (SEMANTICS O2). An address that was read in a log
//! opens nothing.
//!
//! Kept in memory alone: after a restart its client asks for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::live_session::LiveSession;
use super::secret::digest;

/// How long a ticket is good.
pub(super) const LIFE: Duration = Duration::from_secs(30);

/// Tickets at once. One more is refused.
const MOST: usize = 10_000;

/// Tickets of streams that may come back. One more takes the place of the one that was used longest ago.
const MOST_OF_STREAMS: usize = 10_000;

/// See the module's text.
pub(super) struct Tickets {
    /// Known to this process alone. The marks are made of it.
    secret: String,
    /// By digest: what it stands for, and until when. Held for one look.
    open: Mutex<HashMap<String, Ticket>>,
    /// The same of those that opened a stream, with the time of their last use. Held for one look.
    of_streams: Mutex<HashMap<String, StreamTicket>>,
}

#[derive(Debug)]
struct StreamTicket {
    stands_for: TicketFor,
    used: Duration,
}

/// For what a ticket is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketUse<'a> {
    /// A socket or one request.
    Once,
    /// A stream, which comes back with the mark of an earlier one, if it had one.
    Stream { mark: Option<&'a str> },
}

#[derive(Debug)]
struct Ticket {
    stands_for: TicketFor,
    until: Duration,
}

/// For what a ticket stands.
#[derive(Debug, Clone)]
pub(super) enum TicketFor {
    /// The session under the token of this digest.
    Session(String),
    /// Another token, which was judged when the ticket was made.
    Token(Arc<LiveSession>),
}

impl Tickets {
    /// `secret`: random, and new in each process.
    pub(super) fn new(secret: String) -> Tickets {
        Tickets { secret, open: Mutex::default(), of_streams: Mutex::default() }
    }

    /// What the ids of a stream carry that this ticket opened.
    pub(super) fn mark(&self, ticket: &str) -> String {
        digest(&format!("{}{ticket}", self.secret))
    }

    /// False when there are too many.
    pub(super) fn add(&self, digest: String, stands_for: TicketFor, now: Duration) -> bool {
        let mut open = self.open.lock();
        if open.len() >= MOST {
            open.retain(|_, ticket| ticket.until > now);
        }
        let room = open.len() < MOST;
        if room {
            open.insert(digest, Ticket { stands_for, until: now + LIFE });
        }
        room
    }

    /// A session goes on under another token: its tickets stand for that one.
    pub(super) fn follow(&self, former: &str, next: &str) {
        let renew = |stands_for: &mut TicketFor| match stands_for {
            TicketFor::Session(token) if token == former => next.clone_into(token),
            TicketFor::Session(_) | TicketFor::Token(_) => {}
        };
        self.open.lock().values_mut().for_each(|ticket| renew(&mut ticket.stands_for));
        self.of_streams.lock().values_mut().for_each(|ticket| renew(&mut ticket.stands_for));
    }

    /// What it stands for: once, and for a stream that comes back again.
    pub(super) fn take(&self, ticket: &str, used_for: TicketUse<'_>, now: Duration) -> Option<TicketFor> {
        let key = digest(ticket);
        let first = self.open.lock().remove(&key).filter(|open| open.until > now);
        let TicketUse::Stream { mark } = used_for else { return first.map(|first| first.stands_for) };
        let mut of_streams = self.of_streams.lock();
        if let Some(Ticket { stands_for, .. }) = first {
            if of_streams.len() >= MOST_OF_STREAMS {
                let oldest = of_streams.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| key.clone());
                oldest.and_then(|oldest| of_streams.remove(&oldest));
            }
            of_streams.insert(key, StreamTicket { stands_for: stands_for.clone(), used: now });
            return Some(stands_for);
        }
        // Digests are compared, so that the time of a comparison tells nothing.
        let is_marked = mark.is_some_and(|mark| digest(mark) == digest(&self.mark(ticket)));
        let kept = of_streams.get_mut(&key).filter(|_| is_marked)?;
        kept.used = now;
        Some(kept.stands_for.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_works_once_and_for_its_time() {
        let tickets = Tickets::new("secret".to_owned());
        let at = Duration::from_secs;
        let add = || tickets.add(digest("a"), TicketFor::Session("token".to_owned()), at(10));
        let take = |ticket, now| tickets.take(ticket, TicketUse::Once, at(now));
        assert!(add());
        assert!(take("b", 10).is_none());
        assert!(matches!(take("a", 39), Some(TicketFor::Session(token)) if token == "token"));
        assert!(take("a", 39).is_none(), "it was used");
        assert!(add());
        assert!(take("a", 40).is_none(), "it is too old");
    }

    #[test]
    fn a_ticket_of_a_stream_works_again_with_its_mark_alone() {
        let (tickets, other) = (Tickets::new("secret".to_owned()), Tickets::new("other".to_owned()));
        let at = Duration::from_secs;
        for ticket in ["a", "b"] {
            assert!(tickets.add(digest(ticket), TicketFor::Session(ticket.to_owned()), at(10)));
        }
        let stream = |mark| tickets.take("a", TicketUse::Stream { mark }, at(1000)).is_some();
        let mark = tickets.mark("a");
        assert!(!stream(Some(&mark)), "it is too old, and opened no stream");
        assert!(tickets.add(digest("a"), TicketFor::Session("a".to_owned()), at(1000)));
        assert!(stream(None));
        assert!(stream(Some(&mark)) && stream(Some(&mark)), "as often as its stream breaks");
        for wrong in [None, Some(""), Some("a"), Some(&*tickets.mark("b")), Some(&*other.mark("a"))] {
            assert!(!stream(wrong), "{wrong:?}");
        }
        assert!(tickets.take("a", TicketUse::Once, at(1000)).is_none(), "it opens no socket");
        assert!(tickets.take("b", TicketUse::Once, at(11)).is_some());
        let mark = tickets.mark("b");
        assert!(
            tickets.take("b", TicketUse::Stream { mark: Some(&mark) }, at(11)).is_none(),
            "that was a socket"
        );
    }

    #[test]
    fn tickets_of_a_session_follow_it_to_its_next_token() {
        let tickets = Tickets::new("secret".to_owned());
        let at = Duration::from_secs(10);
        for (ticket, token) in [("a", "old"), ("b", "old"), ("c", "other")] {
            assert!(tickets.add(digest(ticket), TicketFor::Session(token.to_owned()), at));
        }
        let stream = |mark| tickets.take("a", TicketUse::Stream { mark }, at);
        let token = |stands_for| match stands_for {
            Some(TicketFor::Session(token)) => token,
            other => panic!("{other:?}"),
        };
        assert_eq!(token(stream(None)), "old");
        tickets.follow("old", "new");
        assert_eq!(token(stream(Some(&tickets.mark("a")))), "new");
        assert_eq!(token(tickets.take("b", TicketUse::Once, at)), "new");
        assert_eq!(token(tickets.take("c", TicketUse::Once, at)), "other");
    }

    #[test]
    fn a_stream_more_takes_the_place_of_the_one_that_was_quiet_longest() {
        let tickets = Tickets::new("secret".to_owned());
        let at = |n: usize| Duration::from_millis(n as u64);
        let take = |n: usize, mark: Option<&str>, now: usize| {
            tickets.take(&n.to_string(), TicketUse::Stream { mark }, at(now)).is_some()
        };
        for n in 0..MOST_OF_STREAMS {
            assert!(tickets.add(digest(&n.to_string()), TicketFor::Session(String::new()), at(n)));
            assert!(take(n, None, n));
        }
        let mark = |n: usize| tickets.mark(&n.to_string());
        assert!(take(0, Some(&mark(0)), MOST_OF_STREAMS));
        assert!(tickets.add(digest("new"), TicketFor::Session(String::new()), at(MOST_OF_STREAMS)));
        assert!(tickets.take("new", TicketUse::Stream { mark: None }, at(MOST_OF_STREAMS)).is_some());
        assert!(take(0, Some(&mark(0)), MOST_OF_STREAMS) && !take(1, Some(&mark(1)), MOST_OF_STREAMS));
    }

    #[test]
    fn tickets_are_bounded_and_room_comes_back() {
        let tickets = Tickets::new("secret".to_owned());
        let add = |ticket: usize, at: u64| {
            let stands_for = TicketFor::Session(String::new());
            tickets.add(ticket.to_string(), stands_for, Duration::from_secs(at))
        };
        assert!((0..MOST).all(|ticket| add(ticket, 1)));
        assert!(!add(MOST, 2));
        assert!(add(MOST, 31));
    }
}
