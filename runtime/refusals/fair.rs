//! `FairMemory`: what happened to callers lately, up to a number. When it is full, the caller who holds the most gives up their oldest,
//! so that one caller in a hurry pushes out only what is their own.
//!
//! Knows no clock: times come in. It counts all anonymous callers as one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::ids::Timestamp;

/// A user, or `None` for every anonymous caller.
type Holder = Option<Arc<str>>;

/// See the module's text.
#[derive(Debug)]
pub(super) struct FairMemory<T> {
    most: usize,
    /// The number of the next one.
    next: u64,
    /// All, oldest first.
    kept: BTreeMap<u64, Remembered<T>>,
    /// The numbers of each holder, oldest first. None is empty.
    of: HashMap<Holder, VecDeque<u64>>,
    /// How many each holder has, with the number of their oldest: the last one gives way.
    shares: BTreeSet<(usize, Reverse<u64>)>,
}

#[derive(Debug)]
struct Remembered<T> {
    at: Timestamp,
    holder: Holder,
    value: Arc<T>,
}

impl<T> FairMemory<T> {
    pub(super) fn new(most: usize) -> FairMemory<T> {
        let (kept, of, shares) = (BTreeMap::new(), HashMap::new(), BTreeSet::new());
        FairMemory { most, next: 0, kept, of, shares }
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Makes room, and forgets what is older than `oldest`.
    pub(super) fn push(&mut self, at: Timestamp, oldest: Timestamp, holder: Holder, value: T) {
        while let Some((number, held)) = self.kept.first_key_value()
            && held.at < oldest
        {
            self.forget(*number);
        }
        let number = self.next;
        self.next += 1;
        self.kept.insert(number, Remembered { at, holder: holder.clone(), value: Arc::new(value) });
        self.change(holder, |numbers| numbers.push_back(number));
        if self.kept.len() > self.most
            && let Some((_, Reverse(oldest))) = self.shares.last()
        {
            self.forget(*oldest);
        }
    }

    /// Those that are not older than `oldest`, newest first.
    pub(super) fn newest_first(&self, oldest: Timestamp) -> impl Iterator<Item = &Arc<T>> {
        let living = self.kept.values().rev().take_while(move |held| held.at >= oldest);
        living.map(|held| &held.value)
    }

    /// `number` is the oldest of its holder.
    fn forget(&mut self, number: u64) {
        let Some(held) = self.kept.remove(&number) else { return };
        self.change(held.holder, |numbers| {
            numbers.pop_front();
        });
    }

    fn change(&mut self, holder: Holder, change: impl FnOnce(&mut VecDeque<u64>)) {
        let mut numbers = self.of.remove(&holder).unwrap_or_default();
        if let Some(share) = share(&numbers) {
            self.shares.remove(&share);
        }
        change(&mut numbers);
        if let Some(share) = share(&numbers) {
            self.shares.insert(share);
            self.of.insert(holder, numbers);
        }
    }
}

fn share(numbers: &VecDeque<u64>) -> Option<(usize, Reverse<u64>)> {
    numbers.front().map(|oldest| (numbers.len(), Reverse(*oldest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str) -> Holder {
        (!name.is_empty()).then(|| name.into())
    }

    fn filled(most: usize, holders: &[&str]) -> FairMemory<usize> {
        let mut memory = FairMemory::new(most);
        for (nth, name) in holders.iter().enumerate() {
            memory.push(Timestamp(0), Timestamp(0), holder(name), nth);
        }
        memory
    }

    fn kept(memory: &FairMemory<usize>) -> Vec<usize> {
        let mut kept: Vec<usize> = memory.newest_first(Timestamp(0)).map(|value| **value).collect();
        kept.reverse();
        kept
    }

    #[test]
    fn the_one_who_holds_the_most_gives_up_the_oldest() {
        for (holders, left) in [
            (vec!["", "", "", "ada", ""], vec![1, 2, 3, 4]),
            (vec!["ada", "", "", "", "", ""], vec![0, 3, 4, 5]),
            (vec!["", "", "", "", "ada"], vec![1, 2, 3, 4]),
            // Of two with as many, the one with the older one.
            (vec!["ada", "", "", "ada", "ben"], vec![1, 2, 3, 4]),
            (vec!["a", "b", "c", "d", "e", "f"], vec![2, 3, 4, 5]),
            (vec!["a", "b"], vec![0, 1]),
        ] {
            assert_eq!(kept(&filled(4, &holders)), left, "{holders:?}");
        }
    }

    #[test]
    fn nothing_is_left_of_a_holder_whose_last_one_is_too_old() {
        let mut memory = filled(4, &["ada", "", "ben"]);
        memory.push(Timestamp(9), Timestamp(5), holder("cy"), 7);
        assert_eq!((memory.len(), kept(&memory)), (1, vec![7]));
        assert_eq!((memory.of.len(), memory.shares.len()), (1, 1), "{memory:?}");
        assert_eq!(memory.newest_first(Timestamp(10)).count(), 0);
    }
}
