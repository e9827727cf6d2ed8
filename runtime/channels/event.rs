//! What a change is for a sight: the one function by which groups, attachments that catch up, replays and polls decide.
//!
//! Knows no channel text and no bytes; `encode` makes frames of what is decided here.

use crate::rules::{Mask, Sight, Verdict};
use crate::store::{Change, ChangeOp, Scope};

/// One event, as a subscriber with one sight has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    /// Never `Verdict::Nothing`.
    pub verdict: Verdict,
    /// Fields of the record that are not shown with it.
    pub mask: Mask,
}

/// What `change` is for a subscriber of `scope` under `sight`, if it is anything.
///
/// A change of another schema generation is nothing: its records have another shape than the sight, and nobody goes on
/// across the change of the schema between them.
pub fn judge(change: &Change, scope: &Scope, sight: &Sight) -> Option<Event> {
    if !scope.contains(change) || change.generation != sight.generation {
        return None;
    }
    let verdict = verdict(change, sight)?;
    let mask = match verdict {
        Verdict::Created | Verdict::Entered | Verdict::Updated => mask(change, sight),
        Verdict::Nothing | Verdict::Left | Verdict::Lost | Verdict::Deleted => Mask::default(),
    };
    Some(Event { verdict, mask })
}

fn verdict(change: &Change, sight: &Sight) -> Option<Verdict> {
    if sight.predicate().is_true() {
        // Whatever the records hold; so they need not be decoded.
        return match change.op {
            ChangeOp::Create => Some(Verdict::Created),
            ChangeOp::Update => Some(Verdict::Updated),
            ChangeOp::Delete => Some(Verdict::Deleted),
            ChangeOp::Schema => None,
        };
    }
    let rows = change.rows(&sight.entity);
    match sight.judge(rows.old.as_ref(), rows.new.as_ref()) {
        Verdict::Nothing => None,
        verdict @ (Verdict::Created
        | Verdict::Entered
        | Verdict::Updated
        | Verdict::Left
        | Verdict::Lost
        | Verdict::Deleted) => Some(verdict),
    }
}

fn mask(change: &Change, sight: &Sight) -> Mask {
    if sight.fields.is_empty() {
        return Mask::default();
    }
    let new = change.rows(&sight.entity).new.as_ref();
    new.map(|record| sight.mask(record)).unwrap_or_default()
}
