//! Groups: all subscriptions with the same channel text and the same view share one encoding and one `prev`. Pure: from a
//! batch to the buffers of the groups that it concerns.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

use super::channel_manager::Attach;
use super::encode::{Encoder, Place};
use super::event::{Event, judge};
use super::outbox::{Appended, Item, Lag, Outbox};
use crate::ids::{RecordId, Seq};
use crate::protocol::View;
use crate::rules::Sight;
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

type MemberKey = (ConnectionKey, AttachmentId);

/// Channel text and view.
type GroupKey = (Arc<str>, View);

#[derive(Debug)]
struct Group {
    key: GroupKey,
    scope: Scope,
    sight: Arc<Sight>,
    /// Seq of the group's previous event, or the position at which the group began.
    prev: Seq,
    members: IndexMap<MemberKey, Member>,
    /// Places in the current batch of the changes that concern this group, and what they are for it; empty between
    /// batches.
    hits: Vec<(usize, Event)>,
}

#[derive(Debug, Default)]
struct OfEntity {
    whole: Vec<GroupKey>,
    records: HashMap<RecordId, Vec<GroupKey>>,
}

/// Every group, and the position up to which batches were fanned out.
#[derive(Debug)]
pub struct Groups {
    position: Seq,
    groups: HashMap<GroupKey, Group>,
    /// Where each member is.
    places: HashMap<ConnectionKey, HashMap<AttachmentId, GroupKey>>,
    by_entity: HashMap<EntityName, OfEntity>,
    encoder: Encoder,
}

/// Counts of one fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FannedOut {
    pub events: usize,
    /// Buffers appended to an outbox, each with all events of its group in the batch.
    pub deliveries: usize,
    /// Outboxes that were emptied.
    pub lags: usize,
}

impl Groups {
    pub fn new(position: Seq) -> Groups {
        Groups {
            position,
            groups: HashMap::new(),
            places: HashMap::new(),
            by_entity: HashMap::new(),
            encoder: Encoder::default(),
        }
    }

    /// The last seq that was fanned out.
    pub fn position(&self) -> Seq {
        self.position
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub fn join(&mut self, attach: &Attach, member: Member) {
        let key = (attach.channel.clone(), attach.view.clone());
        if !self.groups.contains_key(&key) {
            self.index(&key, &attach.scope);
            let group = Group {
                key: key.clone(),
                scope: attach.scope.clone(),
                sight: attach.sight.clone(),
                prev: self.position,
                members: IndexMap::new(),
                hits: Vec::new(),
            };
            self.groups.insert(key.clone(), group);
        }
        if let Some(group) = self.groups.get_mut(&key) {
            group.members.insert((attach.connection, attach.attachment), member);
        }
        self.places.entry(attach.connection).or_default().insert(attach.attachment, key);
    }

    pub fn leave(&mut self, member: MemberKey) {
        let Some(places) = self.places.get_mut(&member.0) else { return };
        let place = places.remove(&member.1);
        if places.is_empty() {
            self.places.remove(&member.0);
        }
        let Some(key) = place else { return };
        if let Some(group) = self.groups.get_mut(&key) {
            group.members.swap_remove(&member);
            if group.members.is_empty() {
                self.remove_group(&key);
            }
        }
    }

    /// Everything of a connection leaves.
    pub fn forget(&mut self, connection: ConnectionKey) {
        let attachments =
            self.places.get(&connection).map(|places| places.keys().copied().collect::<Vec<_>>());
        for attachment in attachments.into_iter().flatten() {
            self.leave((connection, attachment));
        }
    }

    /// Appends one buffer per group to the outboxes of its members, and advances the position.
    pub fn fan_out(&mut self, batch: &CommitBatch) -> FannedOut {
        let mut counts = FannedOut::default();
        let touched = self.find_hits(batch);
        let units = unit_numbers(batch);
        let base = Seq(batch.first().0.saturating_sub(1));
        let mut emptied = Vec::new();
        for key in touched {
            let Some(group) = self.groups.get_mut(&key) else { continue };
            counts.events += group.hits.len();
            let (frames, last) = encode_hits(group, batch, &units, &mut self.encoder);
            deliver(group, batch.last(), &frames, last, base, &mut counts);
            group.prev = last;
            if group.members.is_empty() {
                emptied.push(key);
            }
        }
        for key in emptied {
            self.remove_group(&key);
        }
        self.position = batch.last();
        if batch.changes.iter().any(|change| change.op == ChangeOp::Schema) {
            self.void_before(batch.last());
        }
        counts
    }

    /// The records have another shape from `seq` on: whoever was attached before it starts anew.
    fn void_before(&mut self, seq: Seq) {
        let mut emptied = Vec::new();
        for group in self.groups.values_mut() {
            group.members.retain(|_, member| {
                let stays = member.from >= seq;
                if !stays {
                    member.outbox.void();
                }
                stays
            });
            if group.members.is_empty() {
                emptied.push(group.key.clone());
            }
        }
        emptied.iter().for_each(|key| self.remove_group(key));
    }

    fn find_hits(&mut self, batch: &CommitBatch) -> Vec<GroupKey> {
        let mut touched = Vec::new();
        for (at, change) in batch.changes.iter().enumerate() {
            for key in groups_of(&self.by_entity, change) {
                let Some(group) = self.groups.get_mut(key) else { continue };
                let Some(event) = judge(change, &group.scope, &group.sight) else { continue };
                if group.hits.is_empty() {
                    touched.push(key.clone());
                }
                group.hits.push((at, event));
            }
        }
        touched
    }

    fn index(&mut self, key: &GroupKey, scope: &Scope) {
        let of_entity = self.by_entity.entry(scope.entity().clone()).or_default();
        match scope {
            Scope::Entity(_) => of_entity.whole.push(key.clone()),
            Scope::Record(_, id) => of_entity.records.entry(id.clone()).or_default().push(key.clone()),
        }
    }

    fn remove_group(&mut self, key: &GroupKey) {
        let Some(group) = self.groups.remove(key) else { return };
        let entity = group.scope.entity();
        let Some(of_entity) = self.by_entity.get_mut(entity) else { return };
        match &group.scope {
            Scope::Entity(_) => of_entity.whole.retain(|other| other != key),
            Scope::Record(_, id) => {
                if let Some(keys) = of_entity.records.get_mut(id) {
                    keys.retain(|other| other != key);
                    if keys.is_empty() {
                        of_entity.records.remove(id);
                    }
                }
            }
        }
        if of_entity.whole.is_empty() && of_entity.records.is_empty() {
            self.by_entity.remove(entity);
        }
    }
}

fn groups_of<'a>(
    by_entity: &'a HashMap<EntityName, OfEntity>,
    change: &Change,
) -> impl Iterator<Item = &'a GroupKey> {
    let of_entity = by_entity.get(&change.entity).filter(|_| change.op != ChangeOp::Schema);
    let records = of_entity.and_then(|of| of.records.get(&change.id));
    of_entity.into_iter().flat_map(|of| &of.whole).chain(records.into_iter().flatten())
}

/// The number of the unit, within its batch, that each change belongs to.
fn unit_numbers(batch: &CommitBatch) -> Vec<u32> {
    let mut unit = 0;
    let number = |change: &Arc<Change>| {
        let mine = unit;
        unit += u32::from(change.unit_last);
        mine
    };
    batch.changes.iter().map(number).collect()
}

fn encode_hits(group: &mut Group, batch: &CommitBatch, units: &[u32], encoder: &mut Encoder) -> (Bytes, Seq) {
    let mut frames = Vec::with_capacity(512 * group.hits.len());
    let mut prev = group.prev;
    for (nth, (at, event)) in group.hits.iter().enumerate() {
        let change = &batch.changes[*at];
        let more = group.hits.get(nth + 1).is_some_and(|(next, _)| units[*next] == units[*at]);
        let place = Place { channel: &group.key.0, prev, more };
        encoder.write_frame(change, event, &group.sight, place, &mut frames);
        prev = change.seq;
    }
    group.hits.clear();
    (Bytes::from(frames), prev)
}

fn deliver(group: &mut Group, batch_last: Seq, frames: &Bytes, last: Seq, base: Seq, counts: &mut FannedOut) {
    group.members.retain(|(_, attachment), member| {
        if batch_last <= member.from {
            return true;
        }
        let item = Item::Log { frames: frames.clone(), attachment: *attachment, last, base };
        let appended = member.outbox.append_log(member.lag, item);
        counts.deliveries += usize::from(appended == Appended::Queued);
        // A poll that waits for its first event is no reader that fell behind.
        counts.lags += usize::from(appended == Appended::FellBehind && member.outbox.holds_batches());
        appended == Appended::Queued
    });
}
