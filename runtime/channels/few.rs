//! `Few`: a map that mostly has one entry, which then needs no memory of its own.

use std::hash::Hash;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) enum Few<K, V> {
    #[default]
    None,
    One(K, V),
    Many(Box<IndexMap<K, V, RandomState>>),
}

impl<K: Hash + Eq, V> Few<K, V> {
    pub(super) fn insert(&mut self, key: K, value: V) {
        match std::mem::replace(self, Few::None) {
            Few::One(known, held) if known != key => {
                *self = Few::Many(Box::new(IndexMap::from_iter([(known, held), (key, value)])));
            }
            Few::None | Few::One(..) => *self = Few::One(key, value),
            Few::Many(mut many) => {
                many.insert(key, value);
                *self = Few::Many(many);
            }
        }
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        match std::mem::replace(self, Few::None) {
            Few::None => None,
            Few::One(known, held) if known == *key => Some(held),
            Few::One(known, held) => {
                *self = Few::One(known, held);
                None
            }
            Few::Many(mut many) => {
                let held = many.swap_remove(key);
                *self = Few::Many(many);
                held
            }
        }
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        match self {
            Few::None => false,
            Few::One(known, _) => known == key,
            Few::Many(many) => many.contains_key(key),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Few::None => 0,
            Few::One(..) => 1,
            Few::Many(many) => many.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (one, many) = match self {
            Few::None => (None, None),
            Few::One(key, value) => (Some((key, value)), None),
            Few::Many(many) => (None, Some(many.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn it_holds_none_one_and_many() {
        let mut few = Few::default();
        let entries = |few: &Few<u8, char>| few.iter().map(|(key, value)| (*key, *value)).collect::<Vec<_>>();
        assert_eq!((few.len(), few.contains(&1), entries(&few)), (0, false, vec![]));
        few.insert(1, 'a');
        few.insert(1, 'b');
        assert_eq!((few.len(), few.contains(&1), entries(&few)), (1, true, vec![(1, 'b')]));
        assert_eq!(few.remove(&2), None);
        few.insert(2, 'c');
        few.insert(3, 'd');
        few.insert(2, 'e');
        assert_eq!(
            (few.len(), few.contains(&4), entries(&few)),
            (3, false, vec![(1, 'b'), (2, 'e'), (3, 'd')])
        );
        assert_eq!((few.remove(&1), few.remove(&1)), (Some('b'), None));
        assert_eq!(entries(&few), [(3, 'd'), (2, 'e')]);
        few.remove(&2);
        few.remove(&3);
        assert!(few.is_empty());
        few.insert(1, 'a');
        assert_eq!(entries(&few), [(1, 'a')]);
        let mut one = Few::One(1, 'a');
        assert_eq!(one.remove(&1), Some('a'));
        assert!(one.is_empty());
    }
}
