//! Groups: all subscriptions with the same channel text and the same view share one encoding and one `prev`. Pure: from a
//! batch to the buffers of the groups that it concerns.
//!
//! The order of `fan_out` is load-bearing: a person whose rights change within the batch is voided before anything of it
//! is appended, since what follows is judged by rights that may be gone.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use foldhash::fast::RandomState;
use indexmap::IndexMap;
use slab::Slab;

use super::channel_manager::{Admission, Attach, Watch};
use super::encode::write_head;
use super::event::{Event, judge};
use super::index::{GroupNumber, Index};
use super::outbox::{Appended, Item, Lag, Outbox};
use super::tails::Tails;
use super::watched::Watched;
use crate::ids::Seq;
use crate::protocol::View;
use crate::protocol::wire::write_text_frame;
use crate::rules::{Anchor, Sight};
use crate::schema::EntityName;
use crate::store::{Change, ChangeOp, CommitBatch, Scope};

/// One attempt of one connection to be in a group. Never used twice within a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AttachmentId {
    /// Place of the subscription in its session.
    pub slot: u16,
    pub serial: u32,
}

/// A connection of this process, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionKey(pub u64);

/// A subscription that hears of every batch that ends after `from`.
#[derive(Debug, Clone)]
pub struct Member {
    pub outbox: Arc<Outbox>,
    pub lag: Lag,
    pub from: Seq,
}

/// One subscription among all.
pub(super) type MemberKey = (ConnectionKey, AttachmentId);

/// Every change of the entity would have to be held against one group more, and there are as many of these as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} groups of the entity have a condition without an equality, the most there may be")]
pub struct TooManyScanned {
    pub limit: usize,
}

#[derive(Debug)]
struct Group {
    channel: Arc<str>,
    /// Number of the channel's text: groups with the same share their tails.
    text: u64,
    view: View,
    scope: Scope,
    sight: Arc<Sight>,
    /// Seq of the group's previous event, or the position at which the group began.
    prev: Seq,
    members: IndexMap<MemberKey, Member, RandomState>,
    /// Places in the current batch of the changes that concern this group, and what they are for it; empty between
    /// batches.
    hits: Vec<(usize, Event)>,
    /// The look-up in which the group was last a candidate.
    looked_at: u64,
}

#[derive(Debug)]
struct Text {
    number: u64,
    groups: usize,
}

/// Every group, and the position up to which batches were fanned out.
#[derive(Debug)]
pub struct Groups {
    position: Seq,
    /// Most groups of one entity that every change is held against.
    scan_limit: usize,
    groups: Slab<Group>,
    by_key: HashMap<(Arc<str>, View), GroupNumber, RandomState>,
    texts: HashMap<Arc<str>, Text, RandomState>,
    next_text: u64,
    places: HashMap<ConnectionKey, HashMap<AttachmentId, Place, RandomState>, RandomState>,
    watched: Watched,
    index: Index,
    work: Work,
}

/// Where a member is, and whose rights it depends on.
#[derive(Debug)]
struct Place {
    group: GroupNumber,
    outbox: Arc<Outbox>,
    watch: Option<Watch>,
    /// Not those of the group's sight: nobody may see the same as somebody, and uses nothing.
    uses: Arc<[EntityName]>,
}

/// What one fan-out needs, kept so that the next one need not ask for memory.
#[derive(Debug, Default)]
struct Work {
    look_ups: u64,
    candidates: Vec<GroupNumber>,
    touched: Vec<GroupNumber>,
    units: Vec<u32>,
    head: Vec<u8>,
    tails: Tails,
    /// Members whose outbox takes nothing from them any more.
    swept: Vec<MemberKey>,
}

/// Counts of one fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FannedOut {
    /// An event of one group counts once, however many members it has.
    pub events: usize,
    /// Tails that were made for these events.
    pub encodings: usize,
    /// Buffers appended to an outbox, each with all events of its group in the batch.
    pub deliveries: usize,
    /// Outboxes that were emptied.
    pub lags: usize,
    /// Connections that were voided because rights of their person changed.
    pub voided: usize,
}

impl Groups {
    pub fn new(position: Seq, scan_limit: usize) -> Groups {
        Groups {
            position,
            scan_limit,
            groups: Slab::new(),
            by_key: HashMap::default(),
            texts: HashMap::default(),
            next_text: 0,
            places: HashMap::default(),
            watched: Watched::default(),
            index: Index::default(),
            work: Work::default(),
        }
    }

    /// The last seq that was fanned out.
    pub fn position(&self) -> Seq {
        self.position
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Groups that every change of their entity is held against.
    pub fn scanned_count(&self) -> usize {
        self.index.scanned_count()
    }

    /// Whether nothing is kept for anybody.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.by_key.is_empty()
            && self.texts.is_empty()
            && self.places.is_empty()
            && self.watched.is_empty()
            && self.index.is_empty()
    }

    /// Whether there is room for the group that the attachment would be in. What was admitted once is not turned away when
    /// its group becomes another one.
    pub fn admit(&self, attach: &Attach) -> Result<(), TooManyScanned> {
        if attach.admission == Admission::Granted {
            return Ok(());
        }
        let limit = self.scan_limit;
        let known = self.by_key.contains_key(&(attach.channel.clone(), attach.view.clone()));
        let scans = || matches!(Index::anchor_of(&attach.scope, &attach.sight), Anchor::Anywhere);
        if !known && self.index.scanned(attach.scope.entity()) >= limit && scans() {
            return Err(TooManyScanned { limit });
        }
        Ok(())
    }

    /// Takes a member into its group. Whether there is room was asked before.
    pub fn join(&mut self, attach: &Attach, member: Member) {
        let key = (attach.connection, attach.attachment);
        self.leave(key);
        let number = match self.by_key.get(&(attach.channel.clone(), attach.view.clone())) {
            Some(number) => *number,
            None => self.found(attach),
        };
        let (outbox, watch) = (member.outbox.clone(), attach.watch.clone());
        let place = Place { group: number, outbox, watch, uses: attach.sight.uses.clone() };
        if let Some(watch) = &place.watch {
            self.watched.add(&watch.person, attach.connection);
        }
        self.places.entry(attach.connection).or_default().insert(attach.attachment, place);
        self.groups[number].members.insert(key, member);
    }

    pub fn leave(&mut self, member: MemberKey) {
        let Some(place) = self.unplace(member) else { return };
        self.groups[place.group].members.swap_remove(&member);
        if self.groups[place.group].members.is_empty() {
            self.dissolve(place.group);
        }
    }

    /// Everything of a connection leaves.
    pub fn forget(&mut self, connection: ConnectionKey) {
        let attachments: Vec<AttachmentId> =
            self.places.get(&connection).into_iter().flat_map(|places| places.keys().copied()).collect();
        for attachment in attachments {
            self.leave((connection, attachment));
        }
    }

    /// Appends one buffer per group to the outboxes of its members, and advances the position.
    pub fn fan_out(&mut self, batch: &CommitBatch) -> FannedOut {
        let mut counts = FannedOut { voided: self.void_concerned(batch), ..FannedOut::default() };
        counts.events = self.find(batch);
        self.deliver(batch, &mut counts);
        self.position = batch.last();
        if batch.changes.iter().any(|change| change.op == ChangeOp::Schema) {
            self.void_before(batch.last());
        }
        counts
    }

    /// What the batch comes to, events and deliveries, without telling anybody.
    pub fn count(&mut self, batch: &CommitBatch) -> FannedOut {
        let mut counts = FannedOut { events: self.find(batch), ..FannedOut::default() };
        let Groups { groups, work, .. } = self;
        for number in work.touched.drain(..) {
            counts.deliveries += groups[number].members.len();
            groups[number].hits.clear();
        }
        counts
    }

    /// Voids the connections of everybody whose rights change within the batch, if they see anything by these rights.
    fn void_concerned(&mut self, batch: &CommitBatch) -> usize {
        let mut voided = Vec::new();
        for change in batch.changes.iter().filter(|change| !change.rights.is_empty()) {
            for connection in change.rights.iter().flat_map(|person| self.watched.connections_of(person)) {
                let Some(places) = self.places.get(&connection) else { continue };
                if voided.contains(&connection) {
                    continue;
                }
                if let Some(place) = places.values().find(|place| place.is_concerned(change)) {
                    place.outbox.void();
                    voided.push(connection);
                }
            }
        }
        voided.iter().for_each(|connection| self.forget(*connection));
        voided.len()
    }

    /// The records have another shape from `seq` on: whoever was attached before it starts anew.
    fn void_before(&mut self, seq: Seq) {
        let mut voided = Vec::new();
        for (_, group) in &self.groups {
            for (key, member) in group.members.iter().filter(|(_, member)| member.from < seq) {
                member.outbox.void();
                voided.push(*key);
            }
        }
        voided.into_iter().for_each(|member| self.leave(member));
    }

    /// Marks in each group what the batch is for it; `work.touched` names the groups.
    fn find(&mut self, batch: &CommitBatch) -> usize {
        let Groups { groups, index, work, .. } = self;
        let mut events = 0;
        for (at, change) in batch.changes.iter().enumerate() {
            index.look_up(change, &mut work.candidates);
            work.look_ups += 1;
            for &number in &work.candidates {
                let group = &mut groups[number];
                if std::mem::replace(&mut group.looked_at, work.look_ups) == work.look_ups {
                    continue;
                }
                let Some(event) = judge(change, &group.scope, &group.sight) else { continue };
                if group.hits.is_empty() {
                    work.touched.push(number);
                }
                group.hits.push((at, event));
                events += 1;
            }
        }
        events
    }

    fn deliver(&mut self, batch: &CommitBatch, counts: &mut FannedOut) {
        if self.work.touched.is_empty() {
            return;
        }
        let mut work = std::mem::take(&mut self.work);
        number_units(batch, &mut work.units);
        for number in work.touched.drain(..) {
            let group = &mut self.groups[number];
            let buffer = encode_hits(group, batch, &work.units, &mut work.head, &mut work.tails);
            append(group, &buffer, &mut work.swept, counts);
            group.prev = buffer.last;
        }
        counts.encodings = work.tails.made();
        work.tails.clear();
        work.swept.drain(..).for_each(|member| self.leave(member));
        self.work = work;
    }

    fn found(&mut self, attach: &Attach) -> GroupNumber {
        let (channel, view) = (attach.channel.clone(), attach.view.clone());
        let text = self.texts.entry(channel.clone()).or_insert_with(|| {
            self.next_text += 1;
            Text { number: self.next_text, groups: 0 }
        });
        text.groups += 1;
        let number = self.groups.insert(Group {
            channel: channel.clone(),
            text: text.number,
            view: view.clone(),
            scope: attach.scope.clone(),
            sight: attach.sight.clone(),
            prev: self.position,
            members: IndexMap::default(),
            hits: Vec::new(),
            looked_at: 0,
        });
        self.index.insert(number, &attach.scope, &attach.sight);
        self.by_key.insert((channel, view), number);
        number
    }

    fn dissolve(&mut self, number: GroupNumber) {
        let group = self.groups.remove(number);
        self.index.remove(number, &group.scope, &group.sight);
        if let Some(text) = self.texts.get_mut(&group.channel) {
            text.groups -= 1;
            if text.groups == 0 {
                self.texts.remove(&group.channel);
            }
        }
        self.by_key.remove(&(group.channel, group.view));
    }

    fn unplace(&mut self, (connection, attachment): MemberKey) -> Option<Place> {
        let places = self.places.get_mut(&connection)?;
        let place = places.remove(&attachment)?;
        if places.is_empty() {
            self.places.remove(&connection);
        }
        if let Some(watch) = &place.watch {
            self.watched.remove(&watch.person, connection);
        }
        Some(place)
    }
}

impl Place {
    /// A sight that was bound at the change or later knows of it.
    fn is_concerned(&self, change: &Change) -> bool {
        let Some(watch) = &self.watch else { return false };
        watch.bound_at < change.seq
            && change.rights.contains(&watch.person)
            && self.uses.contains(&change.entity)
    }
}

/// The number of the unit, within its batch, that each change belongs to.
fn number_units(batch: &CommitBatch, units: &mut Vec<u32>) {
    units.clear();
    let mut unit = 0;
    for change in &batch.changes {
        units.push(unit);
        unit += u32::from(change.unit_last);
    }
}

/// The events of one group in one batch.
struct Buffer {
    frames: Bytes,
    /// Seq of the last of them.
    last: Seq,
    /// The position before the batch, and the one after it.
    base: Seq,
    end: Seq,
}

fn encode_hits(
    group: &mut Group,
    batch: &CommitBatch,
    units: &[u32],
    head: &mut Vec<u8>,
    tails: &mut Tails,
) -> Buffer {
    let mut frames = Vec::with_capacity(512 * group.hits.len());
    let mut prev = group.prev;
    for (nth, (at, event)) in group.hits.iter().enumerate() {
        let change = &batch.changes[*at];
        let more = group.hits.get(nth + 1).is_some_and(|(next, _)| units[*next] == units[*at]);
        head.clear();
        write_head(event.verdict, prev, more, head);
        let tail = tails.tail(change, event, &group.sight, (group.text, &group.channel));
        write_text_frame(&[head, tail], &mut frames);
        prev = change.seq;
    }
    group.hits.clear();
    let base = Seq(batch.first().0.saturating_sub(1));
    Buffer { frames: Bytes::from(frames), last: prev, base, end: batch.last() }
}

fn append(group: &Group, buffer: &Buffer, swept: &mut Vec<MemberKey>, counts: &mut FannedOut) {
    let &Buffer { ref frames, last, base, end } = buffer;
    for (key, member) in group.members.iter().filter(|(_, member)| end > member.from) {
        let item = Item::Log { frames: frames.clone(), attachment: key.1, last, base };
        match member.outbox.append_log(member.lag, item) {
            Appended::Queued => counts.deliveries += 1,
            Appended::FellBehind => {
                // A poll that waits for its first event is no reader that fell behind.
                counts.lags += usize::from(member.outbox.holds_batches());
                swept.push(*key);
            }
            Appended::Void => swept.push(*key),
        }
    }
}
