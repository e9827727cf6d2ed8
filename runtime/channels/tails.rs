//! Tails: what the groups of one channel text share of their events within one batch. A thousand groups with a thousand
//! read scopes that show the same of a record share one tail.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use super::encode::write_tail;
use super::event::Event;
use super::sight::Sight;
use crate::ids::Seq;
use crate::rules::Verdict;
use crate::store::Change;

/// See the module's text. Holds the tails of one batch, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Tails {
    bytes: Vec<u8>,
    /// By change, number of the channel's text and kind of tail; one for each mask or entry among them.
    made: HashMap<(Seq, u64, Kind), Vec<Tail>, RandomState>,
    count: usize,
}

/// A tail among the bytes.
#[derive(Debug)]
struct Tail {
    /// For which it was made.
    event: Event,
    range: Range<usize>,
}

/// A channel's text, and the number that stands for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberedText<'a> {
    pub(super) number: u64,
    pub(super) text: &'a str,
}

/// Events of one kind that show the same have the same tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// The record.
    Shown,
    /// The record and what changed of it.
    Changed,
    /// The id, and who did it.
    Gone,
    /// The id and nothing more.
    Lost,
    /// An entry of the activity.
    Entry,
}

impl Tails {
    /// The tail of an event, made if no group has asked for it yet.
    pub(super) fn tail(
        &mut self,
        change: &Change,
        event: &Event,
        sight: &Sight,
        channel: NumberedText<'_>,
    ) -> &[u8] {
        let made = self.made.entry((change.seq, channel.number, kind_of(event))).or_default();
        let known = made.iter().find(|tail| shows_the_same(&tail.event, event));
        let range = match known {
            Some(tail) => tail.range.clone(),
            None => {
                let start = self.bytes.len();
                write_tail(change, event, sight, channel.text, &mut self.bytes);
                let range = start..self.bytes.len();
                made.push(Tail { event: event.clone(), range: range.clone() });
                self.count += 1;
                range
            }
        };
        &self.bytes[range]
    }

    /// How many were made since the last `clear`.
    pub(super) fn made(&self) -> usize {
        self.count
    }

    /// Ends the batch. What a single large one needed is given back.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(1 << 16);
        self.made.clear();
        self.made.shrink_to(1 << 10);
        self.count = 0;
    }
}

/// Of two events of one kind.
fn shows_the_same(one: &Event, other: &Event) -> bool {
    match (one, other) {
        (Event::Record { mask: one, .. }, Event::Record { mask: other, .. }) => one == other,
        (Event::Entry(one), Event::Entry(other)) => one == other,
        (Event::Record { .. }, Event::Entry(_)) | (Event::Entry(_), Event::Record { .. }) => false,
    }
}

fn kind_of(event: &Event) -> Kind {
    let verdict = match event {
        Event::Record { verdict, .. } => verdict,
        Event::Entry(_) => return Kind::Entry,
    };
    match verdict {
        Verdict::Created | Verdict::Entered => Kind::Shown,
        Verdict::Updated => Kind::Changed,
        Verdict::Left | Verdict::Deleted => Kind::Gone,
        Verdict::Lost | Verdict::Nothing => Kind::Lost,
    }
}
