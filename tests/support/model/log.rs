//! The model's log: pages of it, surveys, and what leaves it.

use std::sync::Arc;

use bytes::Bytes;
use tidewire::config::StoreConfig;
use tidewire::ids::{Epoch, Position, Seq, Timestamp};
use tidewire::schema::{FieldIndex, History, Record, Schema};
use tidewire::store::{Change, LogLimit, LogPage, Scope, Survey};

use super::{Key, State};

/// A change, and the record before it and after it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) change: Arc<Change>,
    pub(super) old: Option<Arc<Record>>,
    pub(super) new: Option<Arc<Record>>,
    /// By an update.
    pub(super) changed: Vec<FieldIndex>,
}

impl Entry {
    pub(super) fn is_of(&self, key: &Key) -> bool {
        self.change.entity == key.0 && self.change.id == key.1
    }

    fn history(&self, schema: &Schema) -> Option<History> {
        schema.entity(&self.change.entity).and_then(|entity| entity.history)
    }
}

impl State {
    pub(super) fn append(&mut self, schema: &Schema, entries: &[Entry]) {
        self.log.extend(entries.iter().cloned());
        self.past.extend(entries.iter().filter(|entry| entry.history(schema).is_some()).cloned());
    }

    pub(super) fn page(&self, after: Seq, limit: LogLimit) -> LogPage {
        if after.0 < self.floor {
            return LogPage::BelowFloor;
        }
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for Entry { change, .. } in self.log.iter().filter(|entry| entry.change.seq > after) {
            changes.push(change.clone());
            bytes += size(change);
            if change.unit_last && (changes.len() >= limit.changes || bytes >= limit.bytes) {
                break;
            }
        }
        let to = changes.last().map_or(after, |change| change.seq);
        LogPage::Changes { changes, to }
    }

    pub(super) fn survey(&self, scope: Option<&Scope>, since: &Position, epoch: &Epoch) -> Survey {
        if since.epoch != *epoch || since.seq.0 > self.seq {
            return Survey::default();
        }
        let later = self.log.iter().map(|entry| &entry.change).filter(|change| change.seq > since.seq);
        let Some(scope) = scope else {
            return Survey { known: true, backlog: later.count() as u64, ..Survey::default() };
        };
        let backlog = later.filter(|change| scope.contains(change)).count();
        let in_scope = |(entity, id): &&Key| match scope {
            Scope::Entity(wanted) => wanted == entity,
            Scope::Record(wanted, record) => wanted == entity && record == id,
        };
        let rows = self.records.keys().filter(in_scope).count();
        Survey { known: true, schema_changed: false, backlog: backlog as u64, rows: rows as u64 }
    }

    pub(super) fn trim(&mut self, config: &StoreConfig, schema: &Schema, now: Timestamp) {
        let oldest = now.0 - config.retention_age.as_millis() as i64;
        let outdated = self.log.iter().take_while(|entry| entry.change.at.0 < oldest).count() as u64;
        let surplus = self.seq.saturating_sub(config.retention_changes).saturating_sub(self.floor);
        let trimmed = outdated.max(surplus).min(config.trim_chunk);
        self.log.drain(..trimmed as usize);
        self.floor += trimmed;
        let floor = self.floor;
        self.past.retain(|entry| match entry.history(schema) {
            Some(History::For(age)) => {
                entry.change.seq.0 > floor || entry.change.at.0 >= now.0 - age.as_millis() as i64
            }
            Some(History::Forever) | None => true,
        });
        let past = &self.past;
        self.tombstones
            .retain(|_, (_, seq)| *seq > floor || past.iter().any(|entry| entry.change.seq.0 == *seq));
    }
}

/// Bytes of the images.
pub(super) fn size(change: &Change) -> usize {
    change.before.as_ref().map_or(0, Bytes::len) + change.after.as_ref().map_or(0, Bytes::len)
}
