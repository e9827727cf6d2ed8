//! Whose rights changed last, and when, as far as the ring reaches back. It decides whether an attachment is taken or sent back to
//! have its read scope bound again. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::ids::Seq;
use crate::schema::EntityName;
use crate::store::CommitBatch;

/// See the module's text. Holds at most as many entries as the ring holds rights entries.
#[derive(Debug)]
pub struct LastRights {
    /// Nothing is known of what happened up to here.
    floor: Seq,
    by_person: HashMap<Arc<str>, HashMap<EntityName, Seq>>,
    /// What is to be forgotten, oldest first.
    entries: VecDeque<(Seq, Arc<str>, EntityName)>,
}

impl LastRights {
    /// Knows of what comes after `floor`.
    pub fn new(floor: Seq) -> LastRights {
        LastRights { floor, by_person: HashMap::new(), entries: VecDeque::new() }
    }

    /// Learns of a batch, and forgets what happened up to `floor`.
    pub fn learn(&mut self, batch: &CommitBatch, floor: Seq) {
        for change in &batch.changes {
            for person in &change.rights {
                let of_person = self.by_person.entry(person.clone()).or_default();
                of_person.insert(change.entity.clone(), change.seq);
                self.entries.push_back((change.seq, person.clone(), change.entity.clone()));
            }
        }
        self.floor = self.floor.max(floor);
        while self.entries.front().is_some_and(|(seq, _, _)| *seq <= self.floor) {
            let Some((seq, person, entity)) = self.entries.pop_front() else { break };
            self.forget(seq, &person, &entity);
        }
    }

    /// Whether rights of the person changed after `seq` through one of the entities; `None` where that is not known.
    pub fn changed_after(&self, seq: Seq, person: &str, entities: &[EntityName]) -> Option<bool> {
        if seq < self.floor {
            return None;
        }
        let Some(of_person) = self.by_person.get(person) else { return Some(false) };
        Some(entities.iter().any(|entity| of_person.get(entity).is_some_and(|last| *last > seq)))
    }

    /// Whether any rights of the person changed after `seq`; `None` where that is not known.
    pub fn any_changed_after(&self, seq: Seq, person: &str) -> Option<bool> {
        if seq < self.floor {
            return None;
        }
        let of_person = self.by_person.get(person);
        Some(of_person.is_some_and(|of_person| of_person.values().any(|last| *last > seq)))
    }

    /// How many entries are held.
    pub fn size(&self) -> usize {
        self.entries.len()
    }

    fn forget(&mut self, seq: Seq, person: &str, entity: &str) {
        let Some(of_person) = self.by_person.get_mut(person) else { return };
        if of_person.get(entity) == Some(&seq) {
            of_person.remove(entity);
        }
        if of_person.is_empty() {
            self.by_person.remove(person);
        }
    }
}
