//! Groups: all subscriptions with the same channel text share one encoding and one `prev`. Pure: from a batch to the
//! buffers of the groups that it concerns.
//!
//! Until rules are interpreted every predicate is the constant true, so the channel text alone is a group's key.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;

use super::encode::Encoder;
use super::outbox::{Appended, Item, Lag, Outbox};
use crate::ids::{RecordId, Seq};
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

#[derive(Debug)]
struct Group {
    channel: Arc<str>,
    scope: Scope,
    /// Seq of the group's previous event, or the position at which the group began.
    prev: Seq,
    members: IndexMap<MemberKey, Member>,
    /// Places in the current batch of the changes that concern this group; empty between batches.
    hits: Vec<usize>,
}

#[derive(Debug, Default)]
struct OfEntity {
    whole: Vec<Arc<str>>,
    records: HashMap<RecordId, Vec<Arc<str>>>,
}

/// Every group, and the position up to which batches were fanned out.
#[derive(Debug)]
pub struct Groups {
    position: Seq,
    groups: HashMap<Arc<str>, Group>,
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
        Groups { position, groups: HashMap::new(), by_entity: HashMap::new(), encoder: Encoder::default() }
    }

    /// The last seq that was fanned out.
    pub fn position(&self) -> Seq {
        self.position
    }

    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    pub fn join(&mut self, channel: &Arc<str>, scope: &Scope, key: MemberKey, member: Member) {
        if !self.groups.contains_key(channel) {
            self.index(channel, scope);
            let group = Group {
                channel: channel.clone(),
                scope: scope.clone(),
                prev: self.position,
                members: IndexMap::new(),
                hits: Vec::new(),
            };
            self.groups.insert(channel.clone(), group);
        }
        if let Some(group) = self.groups.get_mut(channel) {
            group.members.insert(key, member);
        }
    }

    pub fn leave(&mut self, channel: &Arc<str>, key: MemberKey) {
        if let Some(group) = self.groups.get_mut(channel) {
            group.members.swap_remove(&key);
            if group.members.is_empty() {
                self.remove_group(&channel.clone());
            }
        }
    }

    /// Appends one buffer per group to the outboxes of its members, and advances the position.
    pub fn fan_out(&mut self, batch: &CommitBatch) -> FannedOut {
        let mut counts = FannedOut::default();
        let touched = self.find_hits(batch);
        let units = unit_numbers(batch);
        let base = Seq(batch.first().0.saturating_sub(1));
        let mut emptied = Vec::new();
        for channel in touched {
            let Some(group) = self.groups.get_mut(&channel) else { continue };
            counts.events += group.hits.len();
            let (frames, last) = encode_hits(group, batch, &units, &mut self.encoder);
            deliver(group, batch.last(), &frames, last, base, &mut counts);
            group.prev = last;
            if group.members.is_empty() {
                emptied.push(channel);
            }
        }
        for channel in emptied {
            self.remove_group(&channel);
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
                emptied.push(group.channel.clone());
            }
        }
        emptied.iter().for_each(|channel| self.remove_group(channel));
    }

    fn find_hits(&mut self, batch: &CommitBatch) -> Vec<Arc<str>> {
        let mut touched = Vec::new();
        for (at, change) in batch.changes.iter().enumerate() {
            for channel in channels_of(&self.by_entity, change) {
                if let Some(group) = self.groups.get_mut(channel) {
                    if group.hits.is_empty() {
                        touched.push(channel.clone());
                    }
                    group.hits.push(at);
                }
            }
        }
        touched
    }

    fn index(&mut self, channel: &Arc<str>, scope: &Scope) {
        let of_entity = self.by_entity.entry(scope.entity().clone()).or_default();
        match scope {
            Scope::Entity(_) => of_entity.whole.push(channel.clone()),
            Scope::Record(_, id) => of_entity.records.entry(id.clone()).or_default().push(channel.clone()),
        }
    }

    fn remove_group(&mut self, channel: &Arc<str>) {
        let Some(group) = self.groups.remove(channel) else { return };
        let entity = group.scope.entity();
        let Some(of_entity) = self.by_entity.get_mut(entity) else { return };
        match &group.scope {
            Scope::Entity(_) => of_entity.whole.retain(|other| other != channel),
            Scope::Record(_, id) => {
                if let Some(channels) = of_entity.records.get_mut(id) {
                    channels.retain(|other| other != channel);
                    if channels.is_empty() {
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

fn channels_of<'a>(
    by_entity: &'a HashMap<EntityName, OfEntity>,
    change: &Change,
) -> impl Iterator<Item = &'a Arc<str>> {
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
    for (nth, &at) in group.hits.iter().enumerate() {
        let change = &batch.changes[at];
        let more = group.hits.get(nth + 1).is_some_and(|&next| units[next] == units[at]);
        encoder.write_frame(change, &group.channel, prev, more, &mut frames);
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
