//! `PersonStamps`: a number for each person that changes whenever their `User` record may have changed, so that what was read of it
//! need not be read again at each request.
//!
//! Knows no record and no database. A backend's writer holds a `StampChange` around each commit.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::Change;

/// The built-in entity of people.
const USER: &str = "User";

/// Persons share this many numbers. Two of one number cost each other a read, nothing else.
const STRIPES: usize = 1024;

/// Persons of whom is remembered that they are not disabled. When they are more, all are read again.
const REMEMBERED: usize = 10_000;

/// See the module's text. A number is odd while a commit that may change the record is under way.
#[derive(Debug, Clone)]
pub(super) struct PersonStamps {
    stamps: Arc<[AtomicU64]>,
    /// The stamp at which a person was not disabled. Held for a look or one entry.
    enabled: Arc<Mutex<HashMap<Arc<str>, u64>>>,
}

/// From just before a commit until just after it.
#[derive(Debug)]
pub(super) struct StampChange<'a> {
    stamps: &'a PersonStamps,
    stripes: Vec<usize>,
}

impl Default for PersonStamps {
    fn default() -> PersonStamps {
        PersonStamps { stamps: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(), enabled: Arc::default() }
    }
}

impl PersonStamps {
    /// As long as the answer stays the same, a read that began after the first answer is still true. `None`: a commit is under way
    /// that may change the record.
    pub(super) fn of(&self, person: &str) -> Option<u64> {
        let stamp = self.stamps[stripe(person)].load(Ordering::SeqCst);
        stamp.is_multiple_of(2).then_some(stamp)
    }

    /// Whether the person was found not to be disabled, and that is still true.
    pub(super) fn is_enabled(&self, person: &str) -> bool {
        self.of(person).is_some_and(|stamp| self.enabled.lock().get(person) == Some(&stamp))
    }

    /// The person is not disabled, by a read that began after this stamp was asked for.
    pub(super) fn found_enabled(&self, person: &Arc<str>, stamp: Option<u64>) {
        let Some(stamp) = stamp else { return };
        let mut enabled = self.enabled.lock();
        if enabled.len() >= REMEMBERED {
            enabled.clear();
        }
        enabled.insert(person.clone(), stamp);
    }

    /// To be held across the commit of these changes.
    pub(super) fn change(&self, changes: &[Arc<Change>]) -> StampChange<'_> {
        let people = changes.iter().filter(|change| &*change.entity == USER);
        let mut stripes: Vec<usize> = people.map(|change| stripe(change.id.as_str())).collect();
        stripes.sort_unstable();
        stripes.dedup();
        self.begin(stripes)
    }

    /// To be held across a commit that may change every record.
    pub(super) fn change_all(&self) -> StampChange<'_> {
        self.begin((0..STRIPES).collect())
    }

    fn begin(&self, stripes: Vec<usize>) -> StampChange<'_> {
        let change = StampChange { stamps: self, stripes };
        change.step();
        change
    }
}

impl StampChange<'_> {
    fn step(&self) {
        for &stripe in &self.stripes {
            self.stamps.stamps[stripe].fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for StampChange<'_> {
    /// Also after a commit that failed or panicked: whether the record changed is then unknown.
    fn drop(&mut self) {
        self.step();
    }
}

fn stripe(person: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    person.hash(&mut hasher);
    // Fits, being less than `STRIPES`.
    (hasher.finish() % STRIPES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RecordId, Seq, Timestamp};
    use crate::schema::Generation;
    use crate::store::{ChangeOp, Decoded};

    fn change(entity: &str, id: &str) -> Arc<Change> {
        Arc::new(Change {
            seq: Seq(1),
            entity: entity.into(),
            id: RecordId::stored(id),
            op: ChangeOp::Update,
            before: None,
            after: None,
            changed: None,
            actor: None,
            mid: None,
            at: Timestamp(0),
            unit_last: true,
            generation: Generation(1),
            cause: None,
            rights: Vec::new(),
            decoded: Decoded::default(),
        })
    }

    #[test]
    fn a_stamp_is_unknown_during_a_commit_and_another_after_it() {
        let stamps = PersonStamps::default();
        let before = stamps.of("ada");
        assert!(before.is_some() && before == stamps.of("ada"));
        assert!(!stamps.is_enabled("ada"));
        stamps.found_enabled(&"ada".into(), before);
        assert!(stamps.is_enabled("ada") && !stamps.is_enabled("ben"));
        // The same person twice in one commit: two steps for one commit would look like none under way.
        let during = stamps.change(&[change("User", "ada"), change("User", "ada")]);
        assert_eq!(stamps.of("ada"), None);
        drop(during);
        let after = stamps.of("ada");
        assert!(after.is_some() && after != before && !stamps.is_enabled("ada"));
        stamps.found_enabled(&"ada".into(), before);
        assert!(!stamps.is_enabled("ada"), "a read from before the commit says nothing");
    }

    #[test]
    fn records_of_other_entities_change_no_stamp_and_a_new_schema_changes_all() {
        let stamps = PersonStamps::default();
        let before = stamps.of("ada");
        drop(stamps.change(&[change("Task", "ada")]));
        assert_eq!(stamps.of("ada"), before);
        let during = stamps.change_all();
        assert_eq!(stamps.of("ada"), None);
        drop(during);
        assert_ne!(stamps.of("ada"), before);
    }
}
