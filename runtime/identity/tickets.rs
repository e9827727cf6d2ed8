//! `Tickets`: what a browser puts into the address of a socket instead of its token. A ticket works once, within 30 seconds.
//!
//! Kept in memory alone: after a restart its client asks for another.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

/// How long a ticket is good.
pub(super) const LIFE: Duration = Duration::from_secs(30);

/// Tickets at once. One more is refused.
const MOST: usize = 10_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// By digest: the digest of the token that it stands for, and until when. Held for one look.
    open: Mutex<HashMap<String, Ticket>>,
}

#[derive(Debug)]
struct Ticket {
    token: String,
    until: Duration,
}

impl Tickets {
    /// False when there are too many.
    pub(super) fn add(&self, digest: String, token: String, now: Duration) -> bool {
        let mut open = self.open.lock();
        if open.len() >= MOST {
            open.retain(|_, ticket| ticket.until > now);
        }
        let room = open.len() < MOST;
        if room {
            open.insert(digest, Ticket { token, until: now + LIFE });
        }
        room
    }

    /// The digest of the token, once.
    pub(super) fn take(&self, digest: &str, now: Duration) -> Option<String> {
        let ticket = self.open.lock().remove(digest)?;
        (ticket.until > now).then_some(ticket.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_works_once_and_for_its_time() {
        let tickets = Tickets::default();
        let at = Duration::from_secs;
        assert!(tickets.add("a".to_owned(), "token".to_owned(), at(10)));
        assert_eq!(tickets.take("b", at(10)), None);
        assert_eq!(tickets.take("a", at(39)).as_deref(), Some("token"));
        assert_eq!(tickets.take("a", at(39)), None, "it was used");
        assert!(tickets.add("a".to_owned(), "token".to_owned(), at(10)));
        assert_eq!(tickets.take("a", at(40)), None, "it is too old");
    }

    #[test]
    fn tickets_are_bounded_and_room_comes_back() {
        let tickets = Tickets::default();
        let add =
            |ticket: usize, at: u64| tickets.add(ticket.to_string(), String::new(), Duration::from_secs(at));
        assert!((0..MOST).all(|ticket| add(ticket, 1)));
        assert!(!add(MOST, 2));
        assert!(add(MOST, 31));
    }
}
