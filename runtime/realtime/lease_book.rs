//! `LeaseBook`: which leases are held, whose connections are here, and when a lease must end because its holder is gone or did not
//! renew it. Pure: what happened comes in, and what is due goes out.
//!
//! Knows no store: what is written here was committed, and what is due is still to be ended there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::channels::group::ConnectionKey;
use crate::protocol::Resource;

/// See the module's text.
#[derive(Debug)]
pub struct LeaseBook {
    /// How long a lease outlives the last connection of its holder.
    hold: Duration,
    /// By number.
    held: BTreeMap<u64, HeldLease>,
    by_resource: HashMap<Resource, u64>,
    by_holder: HashMap<Arc<str>, BTreeSet<u64>>,
    /// Connections of each user.
    here: HashMap<Arc<str>, usize>,
    due: BTreeSet<(Instant, u64)>,
    /// The time in `due` of each lease that is in it.
    due_of: HashMap<u64, Instant>,
}

/// A lease as it was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLease {
    pub resource: Resource,
    pub holder: Arc<str>,
    pub fence: u64,
    /// It ends here unless it is renewed.
    pub ends: Instant,
    /// The connection that acquired or renewed it, among whose leases it counts.
    pub by: Option<ConnectionKey>,
}

impl LeaseBook {
    pub fn new(hold: Duration) -> LeaseBook {
        LeaseBook {
            hold,
            held: BTreeMap::new(),
            by_resource: HashMap::new(),
            by_holder: HashMap::new(),
            here: HashMap::new(),
            due: BTreeSet::new(),
            due_of: HashMap::new(),
        }
    }

    /// A connection of the user begins: what they hold waits no longer for them.
    pub fn arrive(&mut self, user: &Arc<str>) {
        *self.here.entry(user.clone()).or_default() += 1;
        for fence in self.fences_of(user) {
            self.set_due(fence, None);
        }
    }

    /// A connection of the user ended. With the last one the hold time begins.
    pub fn leave(&mut self, user: &Arc<str>, now: Instant) {
        let left = self.here.get(user).copied().unwrap_or(0).saturating_sub(1);
        if left > 0 {
            self.here.insert(user.clone(), left);
            return;
        }
        self.here.remove(user);
        for fence in self.fences_of(user) {
            self.set_due(fence, Some(now + self.hold));
        }
    }

    pub fn is_here(&self, user: &str) -> bool {
        self.here.contains_key(user)
    }

    /// A lease was granted, passed or renewed. News of an earlier number changes nothing.
    pub fn hold(&mut self, lease: HeldLease, now: Instant) {
        match self.by_resource.get(&lease.resource).copied() {
            Some(known) if known > lease.fence => return,
            Some(known) => drop(self.forget(known)),
            None => {}
        }
        let gone = (!self.is_here(&lease.holder)).then_some(now + self.hold);
        let fence = lease.fence;
        self.by_resource.insert(lease.resource.clone(), fence);
        self.by_holder.entry(lease.holder.clone()).or_default().insert(fence);
        self.held.insert(fence, lease);
        self.set_due(fence, gone);
    }

    /// A lease ended.
    pub fn forget(&mut self, fence: u64) -> Option<HeldLease> {
        let lease = self.held.remove(&fence)?;
        self.schedule(fence, None);
        if self.by_resource.get(&lease.resource) == Some(&fence) {
            self.by_resource.remove(&lease.resource);
        }
        if let Some(fences) = self.by_holder.get_mut(&lease.holder) {
            fences.remove(&fence);
            if fences.is_empty() {
                self.by_holder.remove(&lease.holder);
            }
        }
        Some(lease)
    }

    /// Leases that are held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn all(&self) -> impl Iterator<Item = &HeldLease> {
        self.held.values()
    }

    pub fn of(&self, resource: &Resource) -> Option<&HeldLease> {
        self.held.get(self.by_resource.get(resource)?)
    }

    /// How many leases count as those of one connection.
    pub fn count_of(&self, user: &str, connection: ConnectionKey) -> usize {
        let fences = self.by_holder.get(user).into_iter().flatten();
        fences.filter(|fence| self.held.get(fence).is_some_and(|lease| lease.by == Some(connection))).count()
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The leases that are to be ended now. Each is said once, unless it is put off.
    pub fn take_due(&mut self, now: Instant) -> Vec<HeldLease> {
        let mut due = Vec::new();
        while let Some((at, fence)) = self.due.first().copied()
            && at <= now
        {
            self.schedule(fence, None);
            due.extend(self.held.get(&fence).cloned());
        }
        due
    }

    /// Whether it has a later end than the one that was said: its holder came back, or renewed it.
    pub fn is_scheduled(&self, fence: u64) -> bool {
        self.due_of.contains_key(&fence)
    }

    /// It could not be ended now.
    pub fn put_off(&mut self, fence: u64, until: Instant) {
        if self.held.contains_key(&fence) {
            self.schedule(fence, Some(until));
        }
    }

    fn fences_of(&self, user: &str) -> Vec<u64> {
        self.by_holder.get(user).map(|fences| fences.iter().copied().collect()).unwrap_or_default()
    }

    /// `gone`: when the hold time of the holder ends, where they are not here.
    fn set_due(&mut self, fence: u64, gone: Option<Instant>) {
        let Some(lease) = self.held.get(&fence) else { return };
        let at = gone.map_or(lease.ends, |gone| gone.min(lease.ends));
        self.schedule(fence, Some(at));
    }

    /// It is due at this time and no other.
    fn schedule(&mut self, fence: u64, at: Option<Instant>) {
        if let Some(before) = self.due_of.remove(&fence) {
            self.due.remove(&(before, fence));
        }
        if let Some(at) = at {
            self.due_of.insert(fence, at);
            self.due.insert((at, fence));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLD: Duration = Duration::from_secs(5);
    const LONG: Duration = Duration::from_secs(300);

    fn lease(fence: u64, holder: &str, ends: Instant) -> HeldLease {
        let resource = Resource { entity: "Task".into(), id: "1".into() };
        HeldLease { resource, holder: holder.into(), fence, ends, by: Some(ConnectionKey(1)) }
    }

    /// Where the lease of Ada may be, against all that may happen, and when it is due then.
    #[test]
    fn every_state_has_an_answer_to_every_event() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let ada: Arc<str> = "ada".into();
        #[derive(Debug, Clone, Copy)]
        enum Begin {
            Free,
            Here,
            Gone,
        }
        type Event = fn(&mut LeaseBook, Instant, &Arc<str>);
        let events: [(&str, Event); 7] = [
            ("arrive", |book, _, ada| book.arrive(ada)),
            ("leave", |book, now, ada| book.leave(ada, now)),
            ("grant", |book, now, _| book.hold(lease(7, "ada", now + LONG), now)),
            ("pass", |book, now, _| book.hold(lease(8, "ben", now + LONG), now)),
            ("late news", |book, now, _| book.hold(lease(3, "eve", now + LONG), now)),
            ("forget", |book, _, _| drop(book.forget(7))),
            ("forget another", |book, _, _| drop(book.forget(6))),
        ];
        let none = None;
        // At second 1; the lease ends at 300, and its hold time at 5 where Ada is gone since 0.
        let table: [(Begin, [Option<Instant>; 7]); 3] = [
            (Begin::Free, [none, none, Some(at(6)), Some(at(6)), Some(at(6)), none, none]),
            (
                Begin::Here,
                [Some(at(300)), Some(at(6)), Some(at(301)), Some(at(6)), Some(at(300)), none, Some(at(300))],
            ),
            (
                Begin::Gone,
                [Some(at(300)), Some(at(6)), Some(at(6)), Some(at(6)), Some(at(5)), none, Some(at(5))],
            ),
        ];
        for (begin, row) in table {
            for ((word, event), due) in events.iter().zip(row) {
                let mut book = LeaseBook::new(HOLD);
                if !matches!(begin, Begin::Free) {
                    book.arrive(&ada);
                    book.hold(lease(7, "ada", at(300)), start);
                }
                if matches!(begin, Begin::Gone) {
                    book.leave(&ada, start);
                }
                event(&mut book, at(1), &ada);
                assert_eq!(book.next_due(), due, "{begin:?} {word}");
            }
        }
    }

    #[test]
    fn a_lease_stays_while_one_of_two_connections_is_here() {
        let (start, ada) = (Instant::now(), Arc::from("ada"));
        let mut book = LeaseBook::new(HOLD);
        book.arrive(&ada);
        book.arrive(&ada);
        book.hold(lease(1, "ada", start + LONG), start);
        book.leave(&ada, start);
        assert_eq!(book.take_due(start + HOLD), []);
        book.leave(&ada, start);
        assert_eq!(book.take_due(start + HOLD - Duration::from_millis(1)), []);
        assert_eq!(book.take_due(start + HOLD).len(), 1);
        assert_eq!(book.take_due(start + HOLD), [], "said once");
        book.put_off(1, start + LONG);
        assert_eq!(book.take_due(start + LONG).len(), 1);
    }

    #[test]
    fn leases_count_for_the_connection_that_took_them() {
        let start = Instant::now();
        let mut book = LeaseBook::new(HOLD);
        book.hold(lease(1, "ada", start + LONG), start);
        assert_eq!(book.count_of("ada", ConnectionKey(1)), 1);
        assert_eq!(book.count_of("ada", ConnectionKey(2)), 0);
        assert_eq!(book.count_of("ben", ConnectionKey(1)), 0);
        book.hold(HeldLease { by: Some(ConnectionKey(2)), ..lease(1, "ada", start + LONG) }, start);
        assert_eq!(book.count_of("ada", ConnectionKey(1)), 0);
    }
}
