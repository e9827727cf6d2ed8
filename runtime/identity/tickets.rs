//! `Tickets`: what a browser puts into the address of a socket instead of its token. A ticket works once, within 30 seconds.
//!
//! Kept in memory alone: after a restart its client asks for another.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::live_session::LiveSession;

/// How long a ticket is good.
pub(super) const LIFE: Duration = Duration::from_secs(30);

/// Tickets at once. One more is refused.
const MOST: usize = 10_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// By digest: what it stands for, and until when. Held for one look.
    open: Mutex<HashMap<String, Ticket>>,
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

    /// What it stands for, once.
    pub(super) fn take(&self, digest: &str, now: Duration) -> Option<TicketFor> {
        let ticket = self.open.lock().remove(digest)?;
        (ticket.until > now).then_some(ticket.stands_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_works_once_and_for_its_time() {
        let tickets = Tickets::default();
        let at = Duration::from_secs;
        let add = || tickets.add("a".to_owned(), TicketFor::Session("token".to_owned()), at(10));
        assert!(add());
        assert!(tickets.take("b", at(10)).is_none());
        assert!(matches!(tickets.take("a", at(39)), Some(TicketFor::Session(token)) if token == "token"));
        assert!(tickets.take("a", at(39)).is_none(), "it was used");
        assert!(add());
        assert!(tickets.take("a", at(40)).is_none(), "it is too old");
    }

    #[test]
    fn tickets_are_bounded_and_room_comes_back() {
        let tickets = Tickets::default();
        let add = |ticket: usize, at: u64| {
            let stands_for = TicketFor::Session(String::new());
            tickets.add(ticket.to_string(), stands_for, Duration::from_secs(at))
        };
        assert!((0..MOST).all(|ticket| add(ticket, 1)));
        assert!(!add(MOST, 2));
        assert!(add(MOST, 31));
    }
}
