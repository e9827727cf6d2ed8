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

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::agenda::{Agenda, Due};
use super::attendee::{AttendeeKey, Departure, Proof, Visitor};
use super::entry::{PresenceEntry, merge, metadata_bytes};
use super::input::{Ask, PlaceKey, PresenceClock, PresenceInput, PresenceVerdict, TouchedPresence};
use super::limits::PresenceLimits;
use super::output::{PresenceOutput, PresenceRefusal, ReceiverName};
use super::place::{Entered, HeldEntry, PresencePlace};
use super::record_facts::{RecordName, RefusedAttendees, ShownLeases};
use super::seen::{PresenceCounts, SeenUser};
use super::watcher::{Watcher, WatcherStanding};
use crate::protocol::{Code, PresenceAction, PresenceNews};
use crate::store::Change;

/// How soon a judgement that failed, or a receiver that had no room, is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Resources are looked through for idle users at most this often.
const FADE_STEP: Duration = Duration::from_secs(1);
/// Frames of one connection that may wait while it is judged at one resource.
const WAITING: usize = 8;

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

    fn on_asked(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        visitor: Visitor,
        ask: Ask,
        out: &mut Vec<PresenceOutput>,
    ) {
        let parts = ask.resource.parts.clone();
        self.show_life(now, key);
        let knows = self.places.get(&parts).is_some_and(|place| place.watchers.contains_key(&key));
        if !knows {
            if let Some(refusal) = self.cannot_begin(key, &visitor, &ask) {
                return out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            return self.begin(now, key, visitor, ask, out);
        }
        let Some(watcher) = self.watcher(key, &parts) else { return };
        if let WatcherStanding::Judging { .. } = watcher.standing {
            if watcher.waiting.len() < WAITING {
                watcher.waiting.push(ask);
            } else {
                let text = "wait for the answer to what this connection last asked of this resource";
                let refusal = PresenceRefusal::of(&ask, Code::RateLimited, text);
                out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            return;
        }
        self.act(now, key, ask, out);
    }

    /// Why a connection cannot ask this of a resource that it has nothing to do with yet.
    fn cannot_begin(&self, key: AttendeeKey, visitor: &Visitor, ask: &Ask) -> Option<PresenceRefusal> {
        match &ask.action {
            PresenceAction::Join(_) if visitor.person.id.is_none() => {
                let text = "log in to join; without a user `subscribe` shows who is here";
                return Some(PresenceRefusal::of(ask, Code::Unauthenticated, text));
            }
            PresenceAction::Join(_) | PresenceAction::Watch(_) => {}
            PresenceAction::Update(_) | PresenceAction::Heartbeat(_) | PresenceAction::Leave => {
                let text = "this connection has not joined this resource: send `presence:join` first";
                return Some(PresenceRefusal::of(ask, Code::NotSubscribed, text));
            }
            PresenceAction::Unwatch => {
                let text = "there is no subscription to this channel";
                return Some(PresenceRefusal::of(ask, Code::NotSubscribed, text));
            }
        }
        let most = self.limits.entries;
        let has = self.attendees.get(&key).map_or(0, |attendee| attendee.places.len());
        (has >= most).then(|| {
            let text = format!("this connection already watches {most} resources, which is its limit");
            PresenceRefusal::of(ask, Code::PresenceLimit, text)
        })
    }

    fn begin(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        visitor: Visitor,
        ask: Ask,
        out: &mut Vec<PresenceOutput>,
    ) {
        let parts = ask.resource.parts.clone();
        if !self.attendees.contains_key(&key) {
            if let Some(user) = &visitor.person.id {
                self.people.entry(user.clone()).or_default().insert(key);
            }
            let attendee = Attendee {
                visitor: visitor.clone(),
                places: BTreeSet::new(),
                alive_until: None,
                look_at: None,
            };
            self.attendees.insert(key, attendee);
            self.show_life(now, key);
        }
        if let Some(attendee) = self.attendees.get_mut(&key) {
            attendee.places.insert(parts.clone());
        }
        if let Some(named) = RecordName::of(&parts) {
            self.records.entry(named).or_default().insert(parts.clone());
        }
        let watcher = Watcher::new(ask.resource.clone(), ask);
        self.places.entry(parts.clone()).or_default().watchers.insert(key, watcher);
        self.judge(key, &parts, out);
    }

    /// Has it looked up whether the connection may see the resource. Whatever was under way counts no longer.
    fn judge(&mut self, key: AttendeeKey, parts: &PlaceKey, out: &mut Vec<PresenceOutput>) {
        self.serial += 1;
        let serial = self.serial;
        let Some(attendee) = self.attendees.get(&key) else { return };
        let person = attendee.visitor.person.clone();
        let Some(watcher) = self.places.get_mut(parts).and_then(|place| place.watchers.get_mut(&key)) else {
            return;
        };
        watcher.standing = WatcherStanding::Judging { serial };
        out.push(PresenceOutput::Judge { attendee: key, place: parts.clone(), person, serial });
    }

    fn on_judged(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        serial: u64,
        judgement: PresenceVerdict,
        out: &mut Vec<PresenceOutput>,
    ) {
        let Some(visitor) = self.attendees.get(&key).map(|attendee| attendee.visitor.clone()) else { return };
        let Some(watcher) = self.watcher(key, parts) else { return };
        // Rights may have changed since this was looked up: then it is looked up once more.
        if watcher.standing != (WatcherStanding::Judging { serial }) {
            return;
        }
        match judgement {
            PresenceVerdict::Granted(grant) => {
                watcher.standing = WatcherStanding::Settled;
                let may_join = grant.may_join;
                watcher.grant = Some(grant);
                let waiting = std::mem::take(&mut watcher.waiting);
                if watcher.missed {
                    watcher.stale = true;
                    self.wake(now, parts);
                }
                if !may_join {
                    self.remove_entry(now, key, parts);
                    if let Some(watcher) = self.watcher(key, parts) {
                        watcher.joined = false;
                    }
                }
                for ask in waiting {
                    if self.watcher(key, parts).is_some() {
                        self.act(now, key, ask, out);
                    } else {
                        // It left meanwhile, by a frame in front of this one.
                        self.on_asked(now, key, visitor.clone(), ask, out);
                    }
                }
                self.tidy(key, parts);
            }
            PresenceVerdict::Refused => self.refuse(now, key, parts, out),
            PresenceVerdict::Failed if watcher.grant.is_some() => {
                self.agenda.add(now.instant + AGAIN, Due::Judge(key, parts.clone()));
            }
            PresenceVerdict::Failed => {
                let waiting = std::mem::take(&mut watcher.waiting);
                for ask in waiting {
                    let text = "whether you may see this resource could not be looked up; try again";
                    let refusal = PresenceRefusal::of(&ask, Code::Overloaded, text);
                    out.push(PresenceOutput::Refused { attendee: key, refusal });
                }
                self.forget(now, key, parts);
            }
        }
    }

    /// The person may not see the resource. What they saw of it ends.
    fn refuse(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        out: &mut Vec<PresenceOutput>,
    ) {
        if let Some(user) = self.user_of(key) {
            self.refused.add(key, user);
        }
        let Some(watcher) = self.watcher(key, parts) else { return };
        const TEXT: &str = "you may not see who is at this resource, or it does not exist";
        for ask in std::mem::take(&mut watcher.waiting) {
            let refusal = PresenceRefusal::of(&ask, Code::ForbiddenChannel, TEXT);
            out.push(PresenceOutput::Refused { attendee: key, refusal });
        }
        if watcher.grant.is_some() {
            let name = watcher.name.clone();
            let channel = name.channel.clone();
            out.push(PresenceOutput::Withdrawn { attendee: key, place: parts.clone(), name });
            let refusal = PresenceRefusal {
                channel,
                request_id: None,
                code: Code::ForbiddenChannel,
                message: TEXT.to_owned(),
            };
            out.push(PresenceOutput::Refused { attendee: key, refusal });
        }
        self.forget(now, key, parts);
    }

    /// What a connection asks that may see the resource.
    fn act(&mut self, now: PresenceClock, key: AttendeeKey, ask: Ask, out: &mut Vec<PresenceOutput>) {
        let parts = ask.resource.parts.clone();
        let Some(watcher) = self.watcher(key, &parts) else { return };
        watcher.name = ask.resource.clone();
        let Ask { action, request_id, resource } = ask.clone();
        match action {
            PresenceAction::Watch(kind) => {
                watcher.watch = Some(kind);
                out.push(PresenceOutput::Subscribed { attendee: key, name: resource, request_id });
                self.show(now, key, &parts, None, out);
            }
            PresenceAction::Unwatch if watcher.watch.is_none() => {
                let refusal = PresenceRefusal::of(
                    &ask,
                    Code::NotSubscribed,
                    "there is no subscription to this channel",
                );
                out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            PresenceAction::Unwatch => {
                watcher.watch = None;
                if !watcher.joined {
                    out.push(PresenceOutput::Silence { attendee: key, place: parts.clone() });
                }
                out.push(PresenceOutput::Unsubscribed { attendee: key, name: resource, request_id });
                self.tidy(key, &parts);
            }
            PresenceAction::Join(news) => match self.join(now, key, &parts, news) {
                Ok(()) => self.show(now, key, &parts, request_id, out),
                Err(NotDone { code, message }) => {
                    if code == Code::ForbiddenChannel
                        && let Some(user) = self.user_of(key)
                    {
                        self.refused.add(key, user);
                    }
                    out.push(PresenceOutput::Refused {
                        attendee: key,
                        refusal: PresenceRefusal::of(&ask, code, message),
                    });
                    self.tidy(key, &parts);
                }
            },
            PresenceAction::Update(news) | PresenceAction::Heartbeat(news) => {
                match self.update(now, key, &parts, news) {
                    Ok(()) => acknowledge(key, &ask, out),
                    Err(NotDone { code, message }) => {
                        let refusal = PresenceRefusal::of(&ask, code, message);
                        out.push(PresenceOutput::Refused { attendee: key, refusal });
                    }
                }
            }
            PresenceAction::Leave if !watcher.joined => {
                let text = "this connection has not joined this resource";
                let refusal = PresenceRefusal::of(&ask, Code::NotSubscribed, text);
                out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            PresenceAction::Leave => {
                watcher.joined = false;
                if watcher.watch.is_none() {
                    out.push(PresenceOutput::Silence { attendee: key, place: parts.clone() });
                }
                acknowledge(key, &ask, out);
                self.remove_entry(now, key, &parts);
                self.tidy(key, &parts);
            }
        }
    }

    fn join(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        news: PresenceNews,
    ) -> Result<(), NotDone> {
        let Some(attendee) = self.attendees.get(&key) else { return Ok(()) };
        let user = attendee.visitor.person.id.clone();
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return Ok(()) };
        let Some(watcher) = place.watchers.get_mut(&key) else { return Ok(()) };
        let Some(user) = user else {
            let text = "log in to join; without a user `subscribe` shows who is here";
            return Err(NotDone::new(Code::Unauthenticated, text));
        };
        let Some(grant) = watcher.grant.clone() else { return Ok(()) };
        if !grant.may_join {
            return Err(NotDone::new(Code::ForbiddenChannel, "you may see who is here, and not join"));
        }
        let metadata = merge(&serde_json::Map::new(), news.metadata);
        if metadata_bytes(&metadata) > limits.metadata_bytes {
            return Err(too_large(limits.metadata_bytes));
        }
        if !place.users.contains_key(&user) && place.users.len() >= limits.members {
            let text = format!("{} users are here already, which is the limit", limits.members);
            return Err(NotDone::new(Code::PresenceLimit, text));
        }
        watcher.joined = true;
        self.serial += 1;
        let entry = PresenceEntry {
            metadata: Arc::new(metadata),
            order: self.serial,
            said: news.state,
            active_at: now.instant,
            seen_at: now.wall,
            joined_at: now.wall,
            held: false,
            ground: grant.ground.clone(),
        };
        let entered = place.enter(&user, grant.name.clone(), key, entry);
        if let Entered::InsteadOf(before) = entered {
            self.unhold(&user, parts, before);
        }
        self.fade_later(now, parts);
        self.mark(now, parts, &user);
        Ok(())
    }

    fn update(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        news: PresenceNews,
    ) -> Result<(), NotDone> {
        let most = self.limits.metadata_bytes;
        self.serial += 1;
        let order = self.serial;
        let Some(user) = self.user_of(key) else { return Err(not_joined()) };
        let Some(entry) = self.places.get_mut(parts).and_then(|place| place.entry_mut(&user, key)) else {
            return Err(not_joined());
        };
        if !news.metadata.is_empty() {
            let metadata = merge(&entry.metadata, news.metadata);
            if metadata_bytes(&metadata) > most {
                return Err(too_large(most));
            }
            (entry.metadata, entry.order) = (Arc::new(metadata), order);
        }
        // Word of the client is a sign of activity, unless it says otherwise.
        entry.said = news.state;
        (entry.active_at, entry.seen_at) = (now.instant, now.wall);
        self.fade_later(now, parts);
        self.mark(now, parts, &user);
        Ok(())
    }

    /// Who is there, to one connection. The changes that were made before it are in it.
    fn show(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        request_id: Option<String>,
        out: &mut Vec<PresenceOutput>,
    ) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return };
        let (version, counts) = (place.version, place.counts());
        let Some(watcher) = place.watchers.get_mut(&key) else { return };
        (watcher.stale, watcher.missed, watcher.synced) = (false, false, version);
        let (name, counted, listed) = (watcher.name.clone(), watcher.wants_count(), watcher.wants_list());
        if listed {
            let users = place.users_after(now, &limits, None).collect();
            out.push(PresenceOutput::Sync {
                attendee: key,
                place: parts.clone(),
                name: name.clone(),
                request_id,
                users,
                lease: self.leases.holder(parts),
            });
        }
        if counted {
            let to = vec![ReceiverName { attendee: key, channel: name.channel }];
            out.push(PresenceOutput::Count { place: parts.clone(), to, counts });
        }
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

    fn on_ended(&mut self, now: PresenceClock, key: AttendeeKey, departure: Departure) {
        self.refused.remove(key);
        let Some(attendee) = self.remove_attendee(key) else { return };
        let user = attendee.visitor.person.id.clone();
        for parts in attendee.places {
            let Some(place) = self.places.get_mut(&parts) else { continue };
            place.watchers.remove(&key);
            if let Some(user) = &user {
                let held = departure == Departure::Broken && place.hold(user, key);
                if held {
                    let until = now.instant + self.limits.hold;
                    self.held.entry(user.clone()).or_default().insert((parts.clone(), key), until);
                    self.agenda.add(until, Due::Hold(key, parts.clone(), user.clone()));
                } else if place.leave(user, key) {
                    self.mark(now, &parts, user);
                }
            }
            self.drop_place_if_empty(&parts);
        }
    }

    fn on_touched(&mut self, now: PresenceClock, touched: &TouchedPresence, out: &mut Vec<PresenceOutput>) {
        if touched.everything {
            let refused = self.refused.take_all().into_iter();
            out.extend(refused.map(|attendee| PresenceOutput::RightsChanged { attendee }));
            let all: Vec<_> = self.attendees.iter().map(|(key, of)| (*key, of.places.clone())).collect();
            for (key, places) in all {
                places.iter().for_each(|parts| self.judge(key, parts, out));
            }
            let held: Vec<Arc<str>> = self.held.keys().cloned().collect();
            held.iter().for_each(|user| self.drop_held(now, user));
            return;
        }
        for user in &touched.people {
            let refused = self.refused.take(user).into_iter();
            out.extend(refused.map(|attendee| PresenceOutput::RightsChanged { attendee }));
            let theirs: Vec<AttendeeKey> = self.people.get(user).into_iter().flatten().copied().collect();
            for key in theirs {
                let places = self.attendees.get(&key).map(|of| of.places.clone()).unwrap_or_default();
                places.iter().for_each(|parts| self.judge(key, parts, out));
            }
            self.drop_held(now, user);
        }
        for change in &touched.records {
            let named = RecordName::new(&change.entity, change.id.as_str());
            for parts in self.records.get(&named).cloned().unwrap_or_default() {
                self.on_record(now, &parts, change, out);
            }
        }
    }

    /// The record of a resource changed: who sees it no longer leaves.
    fn on_record(
        &mut self,
        now: PresenceClock,
        parts: &PlaceKey,
        change: &Change,
        out: &mut Vec<PresenceOutput>,
    ) {
        let Some(place) = self.places.get_mut(parts) else { return };
        let (mut again, mut lost) = (Vec::new(), Vec::new());
        for (key, watcher) in &place.watchers {
            let ground = watcher.grant.as_ref().map(|grant| &grant.ground);
            match (watcher.standing, ground.map(|ground| ground.holds_after(change))) {
                // What is being looked up may have been read before the change.
                (WatcherStanding::Judging { .. }, _) | (WatcherStanding::Settled, Some(None)) => {
                    again.push(*key)
                }
                (WatcherStanding::Settled, Some(Some(false))) => lost.push(*key),
                (WatcherStanding::Settled, Some(Some(true)) | None) => {}
            }
        }
        let unheld = place.held_without_sight(change);
        again.sort_unstable();
        lost.sort_unstable();
        again.into_iter().for_each(|key| self.judge(key, parts, out));
        lost.into_iter().for_each(|key| self.refuse(now, key, parts, out));
        for HeldEntry { user, key } in unheld {
            self.drop_one_held(now, &user, parts, key);
        }
    }

    /// It is said of the record itself, not of what lies below it.
    fn on_leased(&mut self, now: PresenceClock, record: &PlaceKey, holder: Option<Arc<str>>) {
        let Some(named) = RecordName::of(record) else { return };
        let at = self.records.get(&named).cloned().unwrap_or_default();
        if !self.leases.set(named, holder) {
            return;
        }
        for parts in at.iter().filter(|parts| parts.len() == 2) {
            if let Some(place) = self.places.get_mut(parts) {
                place.version += 1;
                place.lease_moved = true;
            }
            self.wake(now, parts);
        }
    }

    fn on_no_room(&mut self, now: PresenceClock, key: AttendeeKey, parts: &PlaceKey) {
        if let Some(watcher) = self.watcher(key, parts) {
            watcher.stale = true;
            if let Some(place) = self.places.get_mut(parts)
                && place.flush_at.is_none()
            {
                let again = now.instant + AGAIN;
                place.flush_at = Some(again);
                self.agenda.add(again, Due::Flush(parts.clone()));
            }
        }
    }

    fn on_due(&mut self, now: PresenceClock, due: Due, out: &mut Vec<PresenceOutput>) {
        match due {
            Due::Flush(parts) => self.flush(now, &parts, out),
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

    /// Looks at the resource again when a user there may be idle or away. At most once a second, however many there are.
    fn fade_later(&mut self, now: PresenceClock, parts: &PlaceKey) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts).filter(|place| place.fade_at.is_none()) else { return };
        if let Some(next) = place.next_fade(now.instant, &limits) {
            let at = next.max(now.instant + FADE_STEP);
            place.fade_at = Some(at);
            self.agenda.add(at, Due::Fade(parts.clone()));
        }
    }

    /// Says what changed since the last time, to everyone who may know of it.
    fn flush(&mut self, now: PresenceClock, parts: &PlaceKey, out: &mut Vec<PresenceOutput>) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return };
        place.flush_at = None;
        let change = place.take_change(now, &limits);
        let counts = place.counts();
        let lease_moved = std::mem::take(&mut place.lease_moved);
        // A watcher that began in between may have been shown other numbers.
        let counted = place.told != Some(counts) || !change.is_empty();
        if !change.is_empty() || counted || lease_moved {
            place.flushed_at = Some(now.instant);
        }
        place.told = Some(counts);
        let version = place.version;
        let (mut listeners, mut editors, mut counters, mut stale) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut keys: Vec<AttendeeKey> = place.watchers.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let Some(watcher) = place.watchers.get_mut(&key) else { continue };
            if watcher.standing != WatcherStanding::Settled {
                watcher.missed = true;
                continue;
            }
            if watcher.stale {
                stale.push(key);
                continue;
            }
            let receiver = ReceiverName { attendee: key, channel: watcher.name.channel.clone() };
            if watcher.synced < version && watcher.wants_list() && !change.is_empty() {
                listeners.push(receiver.clone());
            }
            if watcher.synced < version && watcher.wants_list() && lease_moved {
                editors.push(receiver.clone());
            }
            if watcher.synced < version && watcher.wants_count() && counted {
                counters.push(receiver);
            }
            watcher.synced = version;
        }
        if !listeners.is_empty() {
            out.push(PresenceOutput::Changed { place: parts.clone(), to: listeners, change });
        }
        if !editors.is_empty() {
            let holder = self.leases.holder(parts);
            out.push(PresenceOutput::Lease { place: parts.clone(), to: editors, holder });
        }
        if !counters.is_empty() {
            out.push(PresenceOutput::Count { place: parts.clone(), to: counters, counts });
        }
        for key in stale {
            self.show(now, key, parts, None, out);
        }
        self.drop_place_if_empty(parts);
    }

    /// A user of the resource may look otherwise than before.
    fn mark(&mut self, now: PresenceClock, parts: &PlaceKey, user: &Arc<str>) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return };
        // What does not show is not told: a heartbeat costs its receivers nothing.
        if place.looks_as_told(now, &limits, user) && !place.marked.contains(user) {
            return;
        }
        place.version += 1;
        place.marked.insert(user.clone());
        self.wake(now, parts);
    }

    fn wake(&mut self, now: PresenceClock, parts: &PlaceKey) {
        let interval = self.limits.interval;
        let Some(place) = self.places.get_mut(parts) else { return };
        if place.flush_at.is_none() {
            let at = place.flushed_at.map_or(now.instant, |last| (last + interval).max(now.instant));
            place.flush_at = Some(at);
            self.agenda.add(at, Due::Flush(parts.clone()));
        }
    }

    fn remove_entry(&mut self, now: PresenceClock, key: AttendeeKey, parts: &PlaceKey) {
        let Some(user) = self.user_of(key) else { return };
        if self.places.get_mut(parts).is_some_and(|place| place.leave(&user, key)) {
            self.mark(now, parts, &user);
        }
    }

    /// A connection has nothing to do with the resource any longer.
    fn forget(&mut self, now: PresenceClock, key: AttendeeKey, parts: &PlaceKey) {
        self.remove_entry(now, key, parts);
        if let Some(watcher) = self.watcher(key, parts) {
            (watcher.joined, watcher.watch) = (false, None);
        }
        self.tidy(key, parts);
    }

    /// Keeps nothing of a connection that neither watches nor joined, and nothing of a resource without both.
    fn tidy(&mut self, key: AttendeeKey, parts: &PlaceKey) {
        let Some(watcher) = self.watcher(key, parts) else { return };
        if watcher.joined || watcher.watch.is_some() || !watcher.waiting.is_empty() {
            return;
        }
        if let Some(place) = self.places.get_mut(parts) {
            place.watchers.remove(&key);
        }
        if let Some(attendee) = self.attendees.get_mut(&key) {
            attendee.places.remove(parts);
            if attendee.places.is_empty() {
                self.remove_attendee(key);
            }
        }
        self.drop_place_if_empty(parts);
    }

    fn remove_attendee(&mut self, key: AttendeeKey) -> Option<Attendee> {
        let attendee = self.attendees.remove(&key)?;
        attendee.look_at.into_iter().for_each(|at| self.agenda.remove(at, Due::Lease(key)));
        if let Some(user) = &attendee.visitor.person.id
            && let Some(theirs) = self.people.get_mut(user)
        {
            theirs.remove(&key);
            if theirs.is_empty() {
                self.people.remove(user);
            }
        }
        Some(attendee)
    }

    fn drop_place_if_empty(&mut self, parts: &PlaceKey) {
        let is_empty =
            self.places.get(parts).is_some_and(|place| place.watchers.is_empty() && place.users.is_empty());
        if !is_empty {
            return;
        }
        if let Some(place) = self.places.remove(parts) {
            place.flush_at.into_iter().for_each(|at| self.agenda.remove(at, Due::Flush(parts.clone())));
            place.fade_at.into_iter().for_each(|at| self.agenda.remove(at, Due::Fade(parts.clone())));
        }
        if let Some(named) = RecordName::of(parts)
            && let Some(of_record) = self.records.get_mut(&named)
        {
            of_record.remove(parts);
            if of_record.is_empty() {
                self.records.remove(&named);
            }
        }
    }

    /// The entries of a user whose connections are gone: their rights cannot be looked up again.
    fn drop_held(&mut self, now: PresenceClock, user: &Arc<str>) {
        for (parts, key) in self.held.get(user).cloned().unwrap_or_default().into_keys() {
            self.drop_one_held(now, user, &parts, key);
        }
    }

    fn drop_one_held(&mut self, now: PresenceClock, user: &Arc<str>, parts: &PlaceKey, key: AttendeeKey) {
        self.unhold(user, parts, key);
        let Some(place) = self.places.get_mut(parts) else { return };
        if place.is_held(user, key) && place.leave(user, key) {
            self.mark(now, parts, user);
        }
        self.drop_place_if_empty(parts);
    }

    fn unhold(&mut self, user: &Arc<str>, parts: &PlaceKey, key: AttendeeKey) {
        if let Some(theirs) = self.held.get_mut(user) {
            if let Some(until) = theirs.remove(&(parts.clone(), key)) {
                self.agenda.remove(until, Due::Hold(key, parts.clone(), user.clone()));
            }
            if theirs.is_empty() {
                self.held.remove(user);
            }
        }
    }

    fn watcher(&mut self, key: AttendeeKey, parts: &PlaceKey) -> Option<&mut Watcher> {
        self.places.get_mut(parts)?.watchers.get_mut(&key)
    }

    fn user_of(&self, key: AttendeeKey) -> Option<Arc<str>> {
        self.attendees.get(&key)?.visitor.person.id.clone()
    }
}

/// Who asks for an answer gets one.
fn acknowledge(attendee: AttendeeKey, ask: &Ask, out: &mut Vec<PresenceOutput>) {
    if let Some(request_id) = ask.request_id.clone() {
        out.push(PresenceOutput::Done { attendee, name: ask.resource.clone(), request_id });
    }
}

fn not_joined() -> NotDone {
    NotDone::new(
        Code::NotSubscribed,
        "this connection has not joined this resource: send `presence:join` first",
    )
}

fn too_large(most: usize) -> NotDone {
    NotDone::new(Code::PresenceLimit, format!("the metadata of one entry has at most {most} bytes as JSON"))
}

/// Why something was not done.
struct NotDone {
    code: Code,
    message: String,
}

impl NotDone {
    fn new(code: Code, message: impl Into<String>) -> NotDone {
        NotDone { code, message: message.into() }
    }
}
