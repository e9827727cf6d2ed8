//! `PresenceTracker`: who is where. Pure: `on` takes what happened and returns what to do; nothing here reads a clock, a store
//! or a socket.
//!
//! An entry belongs to one connection; a user is present while any of their entries is. The life of one connection at one
//! resource:
//!
//! ```text
//! first frame ─► Judging ─ granted ─► Settled ─ rights may have changed ─► Judging ─ granted ─► Settled
//!                   └──── refused: the frames are answered, nothing is kept ────┘ refused: ended, and told so
//! ```
//!
//! While a connection is judged it is sent nothing about the resource, and its frames wait. So what it sees is what it may see.

mod asking;
mod leaving;
mod rights;
mod telling;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::agenda::{Agenda, Due};
use super::attendee::{AttendeeKey, Departure, Proof, Visitor};
use super::input::{PlaceKey, PresenceClock, PresenceInput};
use super::limits::PresenceLimits;
use super::output::PresenceOutput;
use super::place::PresencePlace;
use super::record_facts::{RecordName, RefusedAttendees, ShownLeases};
use super::seen::{PresenceCounts, SeenUser};
use super::watcher::Watcher;

/// How soon a judgement that failed is tried again, and what a receiver had no room for.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Debug)]
pub struct PresenceTracker {
    limits: PresenceLimits,
    attendees: HashMap<AttendeeKey, Attendee>,
    places: HashMap<PlaceKey, PresencePlace>,
    /// The connections of each user.
    people: HashMap<Arc<str>, HashSet<AttendeeKey>>,
    /// The resources whose first two parts are these: those that may be of a record.
    records: HashMap<RecordName, BTreeSet<PlaceKey>>,
    /// Entries without a connection, by their user.
    held: HashMap<Arc<str>, BTreeMap<(PlaceKey, AttendeeKey), Instant>>,
    leases: ShownLeases,
    refused: RefusedAttendees,
    agenda: Agenda,
    serial: u64,
}

/// A resource and how many are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSize {
    pub place: PlaceKey,
    pub counts: PresenceCounts,
    /// Connections that get its changes.
    pub watchers: usize,
}

/// How much the tracker keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackerSize {
    pub places: usize,
    pub attendees: usize,
}

/// A connection that watches or joined something.
#[derive(Debug)]
struct Attendee {
    visitor: Visitor,
    places: BTreeSet<PlaceKey>,
    /// When it must have shown life again, where it has no socket.
    alive_until: Option<Instant>,
    /// When that is looked at.
    look_at: Option<Instant>,
}

impl PresenceTracker {
    pub fn new(limits: PresenceLimits) -> PresenceTracker {
        PresenceTracker {
            limits,
            attendees: HashMap::new(),
            places: HashMap::new(),
            people: HashMap::new(),
            records: HashMap::new(),
            held: HashMap::new(),
            leases: ShownLeases::default(),
            refused: RefusedAttendees::default(),
            agenda: Agenda::default(),
            serial: 0,
        }
    }

    /// When `Tick` is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.agenda.next()
    }

    /// What happened, and what to do about it, in this order.
    pub fn on(&mut self, now: PresenceClock, input: PresenceInput) -> Vec<PresenceOutput> {
        let mut out = Vec::new();
        match input {
            PresenceInput::Asked { attendee, visitor, ask } => {
                self.on_asked(now, attendee, visitor, ask, &mut out)
            }
            PresenceInput::Judged { attendee, place, serial, judgement } => {
                self.on_judged(now, attendee, &place, serial, judgement, &mut out);
            }
            PresenceInput::Heard { attendee } => self.on_heard(now, attendee),
            PresenceInput::Ended { attendee, departure } => self.on_ended(now, attendee, departure),
            PresenceInput::Touched(touched) => self.on_touched(now, &touched, &mut out),
            PresenceInput::NoRoom { attendee, place } => self.on_no_room(now, attendee, &place),
            PresenceInput::Leased { place, holder } => self.on_leased(now, &place, holder),
            PresenceInput::Tick => {}
        }
        while let Some(due) = self.agenda.take(now.instant) {
            self.on_due(now, due, &mut out);
        }
        out
    }

    /// The users of a resource in the order of their ids, those behind `after`; at most `limit`.
    pub fn users(
        &self,
        now: PresenceClock,
        parts: &[String],
        after: Option<&str>,
        limit: usize,
    ) -> Vec<SeenUser> {
        let Some(place) = self.places.get(parts) else { return Vec::new() };
        place.users_after(now, &self.limits, after).take(limit).collect()
    }

    pub fn counts(&self, parts: &[String]) -> PresenceCounts {
        self.places.get(parts).map(PresencePlace::counts).unwrap_or_default()
    }

    /// The resources that begin with these parts, in the order of their names; at most `limit`.
    pub fn tree(&self, under: &[String], limit: usize) -> Vec<PlaceSize> {
        let mut found: Vec<_> = self.places.iter().filter(|(key, _)| key.starts_with(under)).collect();
        found.sort_by(|left, right| left.0.cmp(right.0));
        let sized = |(key, place): (&PlaceKey, &PresencePlace)| PlaceSize {
            place: key.clone(),
            counts: place.counts(),
            watchers: place.watchers.len(),
        };
        found.into_iter().take(limit).map(sized).collect()
    }

    /// Whether the user is at this record by a connection that is not gone. The id may be written in other ways.
    pub fn is_at(&self, record: &[String], user: &str) -> bool {
        let Some(named) = RecordName::of(record) else { return false };
        let places = self.records.get(&named).into_iter().flatten().filter(|parts| parts.len() == 2);
        places.filter_map(|parts| self.places.get(parts)).any(|place| place.has_connected(user))
    }

    /// Who holds the lease of the resource, where that is a record.
    pub fn lease(&self, parts: &[String]) -> Option<Arc<str>> {
        self.leases.holder(parts)
    }

    /// Resources that anything is kept of, and connections that watch or joined one.
    pub fn size(&self) -> TrackerSize {
        TrackerSize { places: self.places.len(), attendees: self.attendees.len() }
    }

    /// Whether nothing is kept of connections: a commit concerns none. Leases have their own life.
    pub fn is_empty(&self) -> bool {
        self.attendees.is_empty()
            && self.places.is_empty()
            && self.people.is_empty()
            && self.records.is_empty()
            && self.held.is_empty()
            && self.refused.is_empty()
    }

    fn on_heard(&mut self, now: PresenceClock, key: AttendeeKey) {
        self.show_life(now, key);
        let Some(user) = self.user_of(key) else { return };
        let Some(attendee) = self.attendees.get(&key) else { return };
        for parts in &attendee.places {
            if let Some(entry) = self.places.get_mut(parts).and_then(|place| place.entry_mut(&user, key)) {
                entry.seen_at = now.wall;
            }
        }
    }

    /// A connection without a socket lives as long as it speaks.
    fn show_life(&mut self, now: PresenceClock, key: AttendeeKey) {
        let until = now.instant + self.limits.lease;
        let Some(attendee) = self.attendees.get_mut(&key) else { return };
        if attendee.visitor.proof == Proof::Lease {
            attendee.alive_until = Some(until);
            if attendee.look_at.is_none() {
                attendee.look_at = Some(until);
                self.agenda.add(until, Due::Lease(key));
            }
        }
    }

    fn on_due(&mut self, now: PresenceClock, due: Due, out: &mut Vec<PresenceOutput>) {
        match due {
            Due::Flush(parts) => self.flush(now, &parts, out),
            Due::Show(key, parts) => self.show_again(now, key, &parts, out),
            Due::Judge(key, parts) => self.judge(key, &parts, out),
            Due::Hold(key, parts, user) => self.drop_one_held(now, &user, &parts, key),
            Due::Lease(key) => {
                let Some(attendee) = self.attendees.get_mut(&key) else { return };
                attendee.look_at = attendee.alive_until;
                match attendee.alive_until {
                    Some(until) if until > now.instant => self.agenda.add(until, Due::Lease(key)),
                    Some(_) => {
                        out.push(PresenceOutput::Lapsed { attendee: key });
                        self.on_ended(now, key, Departure::Clean);
                    }
                    None => {}
                }
            }
            Due::Fade(parts) => {
                let Some(place) = self.places.get_mut(&parts) else { return };
                place.fade_at = None;
                let users: Vec<Arc<str>> = place.users.keys().cloned().collect();
                users.iter().for_each(|user| self.mark(now, &parts, user));
                self.fade_later(now, &parts);
            }
        }
    }

    fn watcher(&mut self, key: AttendeeKey, parts: &PlaceKey) -> Option<&mut Watcher> {
        self.places.get_mut(parts)?.watchers.get_mut(&key)
    }

    fn user_of(&self, key: AttendeeKey) -> Option<Arc<str>> {
        self.attendees.get(&key)?.visitor.id.clone()
    }
}
