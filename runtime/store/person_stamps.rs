//! `PersonStamps`: a number for each person that changes whenever their `User` record may have changed, so that what was read of it
//! need not be read again at each request.
//!
//! Knows no record and no database. A backend's writer holds a `StampChange` around each commit.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Change;

/// The built-in entity of people.
const USER: &str = "User";

/// Persons share this many numbers. Two of one number cost each other a read, nothing else.
const STRIPES: usize = 1024;

/// See the module's text. A number is odd while a commit that may change the record is under way.
#[derive(Debug, Clone)]
pub(super) struct PersonStamps(Arc<[AtomicU64]>);

/// From just before a commit until just after it.
#[derive(Debug)]
pub(super) struct StampChange<'a> {
    stamps: &'a PersonStamps,
    stripes: Vec<usize>,
}

impl Default for PersonStamps {
    fn default() -> PersonStamps {
        PersonStamps((0..STRIPES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl PersonStamps {
    /// As long as the answer stays the same, a read that began after the first answer is still true. `None`: a commit is under way
    /// that may change the record.
    pub(super) fn of(&self, person: &str) -> Option<u64> {
        let stamp = self.0[stripe(person)].load(Ordering::SeqCst);
        stamp.is_multiple_of(2).then_some(stamp)
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
            self.stamps.0[stripe].fetch_add(1, Ordering::SeqCst);
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
        // The same person twice in one commit: two steps for one commit would look like none under way.
        let during = stamps.change(&[change("User", "ada"), change("User", "ada")]);
        assert_eq!(stamps.of("ada"), None);
        drop(during);
        let after = stamps.of("ada");
        assert!(after.is_some() && after != before);
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
