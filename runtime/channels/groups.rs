//! Groups: all subscriptions with the same channel text and the same view share one `prev`, and one encoding in each wire form
//! that one of them uses. Pure: from a batch to the buffers of the groups that it concerns.
//!
//! The order of `fan_out` is load-bearing: a person whose rights change within the batch is invalidated before anything of it
//! is appended, since what follows is judged by rights that may be gone.
//!
//! Events of a group with a rate are judged with their batch, and leave with the next batch of their pace (`paces.rs`).

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use slab::Slab;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::appending::{Extent, append, tell_waiting};
use super::attach::{Admission, Attach, Watch};
use super::few::Few;
use super::group::{About, ConnectionKey, Group, Member, MemberKey};
use super::index::{GroupNumber, Index, Stand};
use super::looked_at::{GroupRow, LookedAtGroups, largest};
use super::note::{AttachmentId, InvalidationCause, Outbox};
use super::paces::{AT_ONCE, PaceNumber, Paces, WaitingChanges};
use super::runs::Before;
use super::sight::{Sight, SightPart};
use super::watched::Watched;
use super::writer::{Encoded, RunWriter};
use crate::ids::Seq;
use crate::protocol::View;
use crate::rules::{Anchor, Sides};
use crate::schema::EntityName;
use crate::store::{Change, ChangeOp, CommitBatch};

pub use super::appending::FannedOut;

/// Every change of the entity would have to be compared with one group more, and there are as many of these as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{limit} groups of the entity compare no field for equality, which is the limit")]
pub struct TooManyScanned {
    pub limit: usize,
}

#[derive(Debug)]
struct ChannelText {
    number: u64,
    groups: usize,
}

/// Every group, and the position up to which batches were fanned out.
#[derive(Debug)]
pub struct Groups {
    position: Seq,
    /// The furthest position after which a member was to receive batches.
    furthest: Seq,
    /// The limit of groups of one entity that every change is compared with.
    scan_limit: usize,
    groups: Slab<Group>,
    by_key: HashMap<(Arc<str>, View), GroupNumber, RandomState>,
    texts: HashMap<Arc<str>, ChannelText, RandomState>,
    next_text: u64,
    places: HashMap<ConnectionKey, Few<AttachmentId, MemberPlace>, RandomState>,
    watched: Watched,
    index: Index,
    paces: Paces,
    work: FanOutWork,
}

/// Where a member is, and whose rights it depends on.
#[derive(Debug)]
struct MemberPlace {
    group: GroupNumber,
    outbox: Arc<Outbox>,
    watch: Option<Watch>,
    /// Not those of the group's read scope: an anonymous caller may see the same as a user, but uses nothing.
    uses: Arc<[EntityName]>,
}

/// What one fan-out needs, kept so that the next one need not ask for memory.
#[derive(Debug, Default)]
struct FanOutWork {
    look_ups: u64,
    found: Vec<(GroupNumber, Sides)>,
    candidates: Vec<GroupNumber>,
    writer: RunWriter,
    /// Members whose outbox takes nothing from them any longer.
    swept: Vec<MemberKey>,
}

impl Groups {
    pub fn new(position: Seq, scan_limit: usize) -> Groups {
        Groups {
            position,
            furthest: position,
            scan_limit,
            groups: Slab::new(),
            by_key: HashMap::default(),
            texts: HashMap::default(),
            next_text: 0,
            places: HashMap::default(),
            watched: Watched::default(),
            index: Index::default(),
            paces: Paces::new(),
            work: FanOutWork::default(),
        }
    }

    /// The last seq that was sent to subscriptions.
    pub fn position(&self) -> Seq {
        self.position
    }

    /// The position up to which every subscription of the connection was sent everything: what waits for one of them comes after it.
    pub fn position_of(&self, connection: ConnectionKey) -> Seq {
        let places = self.places.get(&connection).into_iter().flat_map(|places| places.iter());
        let groups = places.map(|(_, place)| &self.groups[place.group]).filter(|group| group.run.is_some());
        let complete = groups.filter_map(|group| self.paces.complete_up_to(Some(group.pace)));
        complete.min().map_or(self.position, |complete| complete.min(self.position))
    }

    /// When events that wait are due.
    pub fn next_due(&self) -> Option<Instant> {
        self.paces.next_due()
    }

    /// Whether every member receives all that comes next, from its beginning.
    pub fn is_settled(&self) -> bool {
        self.furthest <= self.position
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// For administrators. It looks at each group and makes rows of those alone that are shown.
    pub fn look(&self, most: usize) -> LookedAtGroups {
        let row = |number: GroupNumber| {
            let group = &self.groups[number];
            GroupRow {
                channel: group.about.channel.clone(),
                view: group.about.view.clone(),
                subscribers: group.members.len(),
                events: group.events,
                position: group.prev,
            }
        };
        let sizes = self.groups.iter().map(|(number, group)| (group.members.len(), number));
        let mut groups: Vec<GroupRow> = largest(sizes, most).into_iter().map(row).collect();
        groups.sort_by(|a, b| b.subscribers.cmp(&a.subscribers).then_with(|| a.channel.cmp(&b.channel)));
        LookedAtGroups { groups, count: self.groups.len(), position: self.position }
    }

    /// Groups that every change of their entity is compared with.
    pub fn scanned_count(&self) -> usize {
        self.index.scanned_count()
    }

    /// Whether nothing is kept at all.
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
        let is_one_too_many = |part: SightPart<'_>| {
            self.index.scanned(part.scope.entity()) >= limit
                && matches!(Index::anchor_of(&part.scope, part.read_scope), Anchor::Anywhere)
        };
        if !known && attach.sight.parts().any(is_one_too_many) {
            return Err(TooManyScanned { limit });
        }
        Ok(())
    }

    /// Takes a member into its group. Whether there is room was asked before.
    pub fn join(&mut self, attach: &Attach, member: Member) {
        let key = (attach.connection, attach.attachment);
        self.leave(key);
        self.furthest = self.furthest.max(member.from);
        let number = match self.by_key.get(&(attach.channel.clone(), attach.view.clone())) {
            Some(number) => *number,
            None => self.found(attach),
        };
        let (outbox, watch) = (member.outbox.clone(), attach.watch.clone());
        let place = MemberPlace { group: number, outbox, watch, uses: attach.sight.uses().clone() };
        if let Some(watch) = &place.watch {
            self.watched.add(&watch.person, attach.connection);
        }
        self.places.entry(attach.connection).or_default().insert(attach.attachment, place);
        let group = &mut self.groups[number];
        group.members.insert(key, member);
        // What comes next may wait, and this member was not told.
        group.is_told = false;
    }

    pub fn leave(&mut self, member: MemberKey) {
        let Some(place) = self.unplace(member) else { return };
        self.groups[place.group].members.remove(&member);
        if self.groups[place.group].members.is_empty() {
            self.dissolve(place.group);
        }
    }

    /// Everything of a connection leaves.
    pub fn forget(&mut self, connection: ConnectionKey) {
        let attachments: Vec<AttachmentId> = self
            .places
            .get(&connection)
            .into_iter()
            .flat_map(|places| places.iter().map(|(attachment, _)| *attachment))
            .collect();
        for attachment in attachments {
            self.leave((connection, attachment));
        }
    }

    /// Appends one buffer per group to the outboxes of its members, and advances the position.
    pub fn fan_out(&mut self, batch: &CommitBatch) -> FannedOut {
        let mut counts = FannedOut { invalidated: self.invalidate_concerned(batch), ..FannedOut::default() };
        self.find(batch, &mut counts);
        self.deliver(AT_ONCE, &batch.changes, &mut counts);
        self.position = batch.last();
        if let Some(schema) = batch.changes.iter().rfind(|change| change.op == ChangeOp::Schema) {
            self.invalidate_before(schema.seq);
        }
        counts
    }

    /// Appends the events whose time has come. A stream is notified of those that go on waiting, so that its trailer names no
    /// position behind them.
    pub fn deliver_due(&mut self, now: Instant) -> FannedOut {
        let mut counts = FannedOut::default();
        for number in self.paces.numbers() {
            match self.paces.of(number).take_due(now) {
                Some(held) => self.deliver(number, &held.changes, &mut counts),
                None => self.tell_waiting(number),
            }
        }
        counts
    }

    /// What the batch would cause, events and deliveries, without sending any. Of groups without a rate.
    pub fn count(&mut self, batch: &CommitBatch) -> FannedOut {
        let mut counts = FannedOut::default();
        self.find(batch, &mut counts);
        let Groups { groups, paces, .. } = self;
        let pace = paces.of(AT_ONCE);
        for number in pace.touched.drain(..) {
            counts.deliveries += groups[number].members.len();
            groups[number].run = None;
        }
        pace.runs.clear();
        counts
    }

    /// Invalidates the connections of everybody whose rights change within the batch, if they see anything by these rights.
    fn invalidate_concerned(&mut self, batch: &CommitBatch) -> usize {
        let mut concerned: HashMap<ConnectionKey, (Arc<Outbox>, Seq)> = HashMap::new();
        for change in batch.changes.iter().filter(|change| !change.rights.is_empty()) {
            for connection in change.rights.iter().flat_map(|person| self.watched.connections_of(person)) {
                let Some(places) = self.places.get(&connection) else { continue };
                if let Some((_, place)) = places.iter().find(|(_, place)| place.is_concerned(change)) {
                    concerned.insert(connection, (place.outbox.clone(), change.seq));
                }
            }
        }
        for (connection, (outbox, at)) in &concerned {
            outbox.invalidate(InvalidationCause::Rights { at: *at });
            self.forget(*connection);
        }
        concerned.len()
    }

    /// The records have another shape from `seq` on: members that were attached before it start again.
    fn invalidate_before(&mut self, seq: Seq) {
        let mut invalidated = Vec::new();
        for (_, group) in &self.groups {
            for (key, member) in group.members.iter().filter(|(_, member)| member.from < seq) {
                member.outbox.invalidate(InvalidationCause::Schema);
                invalidated.push(*key);
            }
        }
        invalidated.into_iter().for_each(|member| self.leave(member));
    }

    /// Marks in each group what the batch is for it; its pace names the groups.
    fn find(&mut self, batch: &CommitBatch, counts: &mut FannedOut) {
        let Groups { groups, index, paces, work, .. } = self;
        for (nth, change) in batch.changes.iter().enumerate() {
            index.look_up(change, &mut work.found);
            work.look_ups += 1;
            for (number, sides) in work.found.drain(..) {
                let group = &mut groups[number];
                if std::mem::replace(&mut group.looked_at, work.look_ups) != work.look_ups {
                    group.sides = Sides::default();
                    work.candidates.push(number);
                }
                group.sides.old |= sides.old;
                group.sides.new |= sides.new;
            }
            counts.judged += work.candidates.len();
            for number in work.candidates.drain(..) {
                let group = &mut groups[number];
                let Some(event) = group.judge(change) else { continue };
                let before = group.run.map_or(Before::Start(group.text, group.prev), Before::Run);
                let pace = paces.of(group.pace);
                if group.run.is_none() {
                    pace.touched.push(number);
                }
                if group.pace != AT_ONCE && !std::mem::replace(&mut group.is_told, true) {
                    pace.untold.push(number);
                }
                let at = pace.place(batch, nth);
                group.run = Some(pace.runs.extend(before, at, event));
                group.events += 1;
                counts.events += 1;
            }
        }
    }

    /// `changes`: those in which the runs of this pace are.
    fn deliver(&mut self, number: PaceNumber, changes: &[Arc<Change>], counts: &mut FannedOut) {
        let (Some(first), Some(last)) = (changes.first(), changes.last()) else { return };
        let pace = self.paces.of(number);
        pace.untold.clear();
        if pace.touched.is_empty() {
            return;
        }
        let (mut touched, mut runs) = (std::mem::take(&mut pace.touched), std::mem::take(&mut pace.runs));
        let start = Seq(first.seq.0.saturating_sub(1));
        // A connection may have channels of several paces, and must not count what waits for another one as sent.
        let base = self.paces.complete_up_to(None).map_or(start, |complete| complete.min(start));
        let mut work = std::mem::take(&mut self.work);
        let FanOutWork { writer, swept, .. } = &mut work;
        for group in touched.drain(..) {
            // Its place may be that of another group by now.
            let Some(group) = self.groups.get_mut(group).filter(|group| group.pace == number) else {
                continue;
            };
            let Some(run) = group.run.take() else { continue };
            group.is_told = false;
            let extent = Extent { last: changes[runs.last(run)].seq, base, start, end: last.seq };
            let audience = group.audience();
            let mut frames = |form, after| match after {
                None => runs.made(run, form, |events| writer.write(form, changes, audience, events)),
                Some(after) => {
                    let mut behind = runs.events(run);
                    writer.write_after(after, form, changes, audience, &mut behind)
                }
            };
            append(group, extent, &mut frames, swept, counts);
            group.prev = extent.last;
        }
        runs.clear();
        let Encoded { tails, buffers } = writer.end();
        (counts.encodings, counts.buffers) = (counts.encodings + tails, counts.buffers + buffers);
        work.swept.drain(..).for_each(|member| self.leave(member));
        let pace = self.paces.of(number);
        (pace.touched, pace.runs) = (touched, runs);
        self.work = work;
    }

    /// Notifies the streams that something waits for them.
    fn tell_waiting(&mut self, number: PaceNumber) {
        let pace = self.paces.of(number);
        let WaitingChanges { base, end, .. } = pace.held;
        for group in pace.untold.drain(..) {
            let Some(group) = self.groups.get_mut(group).filter(|group| group.pace == number) else {
                continue;
            };
            group.is_told = tell_waiting(group, base, end);
        }
    }

    fn found(&mut self, attach: &Attach) -> GroupNumber {
        let (channel, view) = (attach.channel.clone(), attach.view.clone());
        let text = self.texts.entry(channel.clone()).or_insert_with(|| {
            self.next_text += 1;
            ChannelText { number: self.next_text, groups: 0 }
        });
        text.groups += 1;
        let entry = self.groups.vacant_entry();
        let number = entry.key();
        let parts = attach.sight.parts();
        let stands: SmallVec<[Stand; 1]> =
            parts.map(|part| self.index.insert(number, &part.scope, part.read_scope)).collect();
        let (is_exact, hides) = match &attach.sight {
            Sight::Records { read_scope, .. } => {
                let is_exact = matches!(stands[..], [Stand::Keyed { exact: true, .. }]);
                (is_exact, !read_scope.fields.is_empty())
            }
            Sight::Activity(_) => (false, false),
        };
        entry.insert(Group {
            text: text.number,
            prev: self.position,
            looked_at: 0,
            sides: Sides::default(),
            is_exact,
            hides,
            events: 0,
            run: None,
            pace: self.paces.with(attach.interval),
            is_told: false,
            members: Few::None,
            about: Box::new(About {
                channel: channel.clone(),
                view: view.clone(),
                sight: attach.sight.clone(),
                stands,
            }),
        });
        self.by_key.insert((channel, view), number);
        number
    }

    fn dissolve(&mut self, number: GroupNumber) {
        let About { channel, view, sight, stands } = *self.groups.remove(number).about;
        for (part, stand) in sight.parts().zip(&stands) {
            self.index.remove(number, part.read_scope, stand);
        }
        if let Some(text) = self.texts.get_mut(&channel) {
            text.groups -= 1;
            if text.groups == 0 {
                self.texts.remove(&channel);
            }
        }
        self.by_key.remove(&(channel, view));
    }

    fn unplace(&mut self, (connection, attachment): MemberKey) -> Option<MemberPlace> {
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

impl MemberPlace {
    /// A read scope that was bound at the change or later knows of it.
    fn is_concerned(&self, change: &Change) -> bool {
        let Some(watch) = &self.watch else { return false };
        watch.bound_at < change.seq
            && change.rights.contains(&watch.person)
            && self.uses.contains(&change.entity)
    }
}
