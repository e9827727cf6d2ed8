//! What an administrator sees of the groups. Nothing follows from looking.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::index::GroupNumber;

use crate::ids::Seq;
use crate::protocol::View;

/// All groups at one moment.
#[derive(Debug, Clone)]
pub struct LookedAtGroups {
    /// Those with the most subscribers, largest first.
    pub groups: Vec<GroupRow>,
    /// Of all groups.
    pub count: usize,
    /// The last seq that was sent to subscriptions.
    pub position: Seq,
}

/// Subscriptions with the same channel text and the same view.
#[derive(Debug, Clone)]
pub struct GroupRow {
    pub channel: Arc<str>,
    pub view: View,
    pub subscribers: usize,
    /// Since the group began.
    pub events: u64,
    /// Of the last event, or where the group began.
    pub position: Seq,
}

/// The `most` largest, in no order; of several with one size those with the lowest numbers. It never holds more than these, since the
/// task that delivers events waits meanwhile.
pub(super) fn largest(sizes: impl Iterator<Item = (usize, GroupNumber)>, most: usize) -> Vec<GroupNumber> {
    let mut found: BinaryHeap<(Reverse<usize>, GroupNumber)> = BinaryHeap::with_capacity(most);
    for (size, number) in sizes {
        let next = (Reverse(size), number);
        if found.len() < most {
            found.push(next);
        } else if let Some(mut smallest) = found.peek_mut()
            && next < *smallest
        {
            *smallest = next;
        }
    }
    found.into_iter().map(|(_, number)| number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_those_at_the_front_of_all_in_order() {
        for count in [0, 1, 7, 100, 5_000] {
            let sizes: Vec<(usize, GroupNumber)> =
                (0..count).map(|number| (number * 7_919 % 31, number)).collect();
            let mut sorted = sizes.clone();
            sorted.sort_by_key(|(size, number)| (Reverse(*size), *number));
            for most in [1, 6, 7, 200] {
                let mut expected: Vec<GroupNumber> =
                    sorted.iter().take(most).map(|(_, number)| *number).collect();
                let mut found = largest(sizes.iter().copied(), most);
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, expected, "{most} of {count}");
            }
        }
    }
}
