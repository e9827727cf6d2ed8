//! `Hits`: what a batch is for each group that it concerns. One list a group, all of them in one place, so that a group that waits
//! for its next event needs no memory for it.

use super::event::Event;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Hits(Vec<Hit>);

/// The list of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    first: usize,
    last: usize,
}

#[derive(Debug)]
struct Hit {
    /// Place of the change in its batch.
    at: usize,
    event: Event,
    next: Option<usize>,
}

impl Hits {
    /// Appends to the list of a group, whose first hit makes it.
    pub(super) fn push(&mut self, list: &mut Option<Ends>, at: usize, event: Event) {
        let place = self.0.len();
        self.0.push(Hit { at, event, next: None });
        match list {
            None => *list = Some(Ends { first: place, last: place }),
            Some(ends) => {
                self.0[ends.last].next = Some(place);
                ends.last = place;
            }
        }
    }

    /// Places of changes in the batch, and what they are for the group.
    pub(super) fn of(&self, list: Option<Ends>) -> impl Iterator<Item = (usize, &Event)> {
        let first = list.map(|ends| &self.0[ends.first]);
        std::iter::successors(first, |hit| hit.next.map(|next| &self.0[next])).map(|hit| (hit.at, &hit.event))
    }

    /// Ends the batch. What a single large one needed is given back.
    pub(super) fn clear(&mut self) {
        self.0.clear();
        self.0.shrink_to(1 << 12);
    }
}
