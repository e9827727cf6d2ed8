//! Whether a position can be resumed, by SEMANTICS P5 and P6. Pure, and the same for every transport.

use super::channel::Binding;
use super::read::CheckedRead;
use crate::ids::Seq;
use crate::protocol::reason::{BACKLOG, BELOW_FLOOR, RIGHTS, SCHEMA_CHANGED, UNKNOWN_POSITION, VIEW_CHANGED};
use crate::store::Survey;

/// The answer to a resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// Replay what follows the position.
    Recovered,
    /// Start again from a snapshot; the word of `protocol/reason.rs` tells the client why.
    Restart(&'static str),
}

/// What a client claims to know.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    pub since: Seq,
    /// The view that it had there. Without one, the position is accepted only where every user sees the same.
    pub view: Option<&'a str>,
    /// It holds the first records in an order: a snapshot of them is small (SEMANTICS X8).
    pub limited: bool,
}

/// A limited subscription that missed more than this starts again.
const LIMITED_REPLAY: u64 = 1_000;

/// Whether a user who is bound now may continue from their position. `survey` was checked: nothing is unknown to the sight.
pub fn decide(claim: Claim<'_>, bound: &Binding, survey: &CheckedRead<Survey>, replay_limit: u64) -> Resume {
    let (facts, at, sight) = (&survey.read.value, &survey.read, &bound.sight);
    if !facts.known || claim.since > at.seq {
        return Resume::Restart(UNKNOWN_POSITION);
    }
    if claim.since < at.floor {
        return Resume::Restart(BELOW_FLOOR);
    }
    let same = match claim.view {
        Some(theirs) => theirs == bound.view.as_str(),
        None => !sight.depends_on_person(),
    };
    if !same {
        return Resume::Restart(VIEW_CHANGED);
    }
    if facts.schema_changed {
        return Resume::Restart(SCHEMA_CHANGED);
    }
    if survey.rights.changed(sight.uses()).is_none_or(|changed| changed > claim.since) {
        return Resume::Restart(RIGHTS);
    }
    // A snapshot of a part may be far smaller than the whole entity, so only that of everything is weighed against it.
    let rows = if sight.is_everything() { facts.rows } else { 0 };
    let most = if claim.limited { replay_limit.min(LIMITED_REPLAY) } else { replay_limit.max(rows) };
    if facts.backlog > most {
        return Resume::Restart(BACKLOG);
    }
    Resume::Recovered
}
