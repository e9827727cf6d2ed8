//! Units: which events of one subscriber belong together. Here, and nowhere else, is decided whether another event of its unit
//! follows an event.

use std::sync::Arc;

use super::event::Event;
use super::sight::Sight;
use crate::store::Change;

/// An event, and whether the subscriber has another one in its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitEvent {
    pub event: Event,
    pub more: bool,
}

/// What the first of these changes is for a subscriber, if it is anything; the others follow it in the log.
pub fn judge_first(changes: &[Arc<Change>], sight: &Sight) -> Option<UnitEvent> {
    let event = sight.judge(changes.first()?)?;
    let end = changes.iter().position(|change| change.unit_last).map_or(changes.len(), |last| last + 1);
    let more = changes[1..end].iter().any(|other| sight.judge(other).is_some());
    Some(UnitEvent { event, more })
}

/// The same for events that were judged: whether the change at `next`, which is the subscriber's next event, is of the unit of
/// the one at `at`.
pub(super) fn is_followed(changes: &[Arc<Change>], at: usize, next: Option<usize>) -> bool {
    next.is_some_and(|next| !changes[at..next].iter().any(|change| change.unit_last))
}
