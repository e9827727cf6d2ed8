//! Whether a position can be resumed, by SEMANTICS P5 and P6. Pure, and the same for every transport.

use std::sync::Arc;

use crate::channels::judge;
use crate::ids::Seq;
use crate::protocol::View;
use crate::protocol::reason::{BACKLOG, BELOW_FLOOR, SCHEMA_CHANGED, UNKNOWN_POSITION, VIEW_CHANGED};
use crate::rules::Sight;
use crate::store::{At, Change, Scope, Survey};

/// The answer to a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Replay what follows the position.
    Recovered,
    /// Start again from a snapshot; the word of `protocol/reason.rs` tells the client why.
    Restart(&'static str),
}

/// `theirs`: the view under which the client stood at `since`; without one the resume is allowed only because no
/// predicate or projection uses anything of the user.
pub fn decide(
    since: Seq,
    theirs: Option<&str>,
    view: &View,
    survey: &At<Survey>,
    replay_limit: u64,
) -> Resume {
    let facts = &survey.value;
    if !facts.known || since > survey.seq {
        return Resume::Restart(UNKNOWN_POSITION);
    }
    if since < survey.floor {
        return Resume::Restart(BELOW_FLOOR);
    }
    if theirs.is_some_and(|theirs| theirs != view.as_str()) {
        return Resume::Restart(VIEW_CHANGED);
    }
    if facts.schema_changed {
        return Resume::Restart(SCHEMA_CHANGED);
    }
    if facts.backlog > replay_limit.max(facts.rows) {
        return Resume::Restart(BACKLOG);
    }
    Resume::Recovered
}

/// Whether the subscriber has another event in the unit of `change`, which `rest` follows in the log.
pub fn more_of_unit(change: &Change, rest: &[Arc<Change>], scope: &Scope, sight: &Sight) -> bool {
    if change.unit_last {
        return false;
    }
    let end = rest.iter().position(|other| other.unit_last).map_or(rest.len(), |last| last + 1);
    rest[..end].iter().any(|other| judge(other, scope, sight).is_some())
}
