//! What a delete takes with it, found before anything is written: which records go, which lose a reference, and
//! which of those that stay forbid it.
//!
//! Reads only; `apply.rs` carries it out.

use std::collections::HashSet;

use indexmap::IndexSet;
use rusqlite::params;

use super::Fault;
use super::apply::Ground;
use super::end_checks::Blocked;
use super::propagation::{Drafts, Key};
use super::rows::signed;
use super::tables::{Referrer, Table};
use crate::ids::RecordId;
use crate::schema::{EntityName, OnDelete, Value};
use crate::store::CommitError;

/// Every consequence of deleting one record.
pub(super) struct Cascade<'a> {
    /// Records whose references with `on_delete = "set_null"` lead to records that go, each with these emptied. They come
    /// first in the log.
    pub(super) cleared: Drafts,
    /// The record itself, last, and what refers to it with `on_delete = "cascade"`. Records that refer go before those
    /// that they refer to.
    pub(super) going: IndexSet<Key>,
    /// The records among them to which one that stays refers with `on_delete = "restrict"`.
    pub(super) blocked: Vec<(Key, Blocked<'a>)>,
}

/// A record that goes by one path does not forbid the delete by another.
pub(super) fn plan<'a>(
    ground: Ground<'a>,
    op: usize,
    entity: &EntityName,
    id: &RecordId,
) -> Result<Cascade<'a>, Fault> {
    let plan = Plan { ground, op, limit: ground.config.cascade_records };
    let going = plan.going((entity.clone(), id.clone()))?;
    let (cleared, blocked) = plan.consequences(&going)?;
    Ok(Cascade { cleared, going, blocked })
}

struct Plan<'a> {
    ground: Ground<'a>,
    op: usize,
    limit: usize,
}

impl<'a> Plan<'a> {
    /// The root and all that cascades from it, each after the records that refer to it. Walks with a stack of its
    /// own: a chain of records may be longer than a thread's stack is deep.
    fn going(&self, root: Key) -> Result<IndexSet<Key>, Fault> {
        let mut found = HashSet::from([root.clone()]);
        let mut entered = HashSet::from([root.clone()]);
        let mut going = IndexSet::new();
        let mut path = vec![(self.children(&root, &mut found)?, root)];
        while let Some((children, _)) = path.last_mut() {
            match children.next() {
                Some(child) if entered.insert(child.clone()) => {
                    path.push((self.children(&child, &mut found)?, child));
                }
                Some(_) => {}
                None => {
                    going.extend(path.pop().map(|(_, done)| done));
                }
            }
        }
        Ok(going)
    }

    fn children(&self, key: &Key, found: &mut HashSet<Key>) -> Result<std::vec::IntoIter<Key>, Fault> {
        let mut children = Vec::new();
        for referrer in self.referrers(key).filter(|referrer| referrer.on_delete == OnDelete::Cascade) {
            for child in self.ids(referrer, key, self.limit + 2)? {
                found.insert(child.clone());
                children.push(child);
            }
            self.check_limit(found.len() - 1)?;
        }
        Ok(children.into_iter())
    }

    /// For the records that stay.
    fn consequences(&self, going: &IndexSet<Key>) -> Result<(Drafts, Vec<(Key, Blocked<'a>)>), Fault> {
        let (mut cleared, mut blocked) = (Drafts::new(), Vec::new());
        for key in going {
            for referrer in self.referrers(key) {
                match referrer.on_delete {
                    OnDelete::Cascade => {}
                    OnDelete::Restrict => {
                        if self.is_blocked(referrer, key, going)? {
                            blocked.push((key.clone(), Blocked { op: self.op, referrer }));
                        }
                    }
                    OnDelete::SetNull => {
                        let most = going.len() + self.limit + 1;
                        for child in self.ids(referrer, key, most)? {
                            if !going.contains(&child) {
                                cleared.entry(child).or_default().insert(referrer.field, Value::Null);
                            }
                        }
                        self.check_limit(going.len() - 1 + cleared.len())?;
                    }
                }
            }
        }
        Ok((cleared, blocked))
    }

    /// At most all the records that go can be in the way of finding one that stays.
    fn is_blocked(&self, referrer: &Referrer, key: &Key, going: &IndexSet<Key>) -> rusqlite::Result<bool> {
        Ok(!self.ids(referrer, key, going.len() + 1)?.iter().all(|child| going.contains(child)))
    }

    fn check_limit(&self, records: usize) -> Result<(), Fault> {
        if records > self.limit {
            return Err(CommitError::CascadeTooLarge { op: self.op, limit: self.limit }.into());
        }
        Ok(())
    }

    fn referrers(&self, key: &Key) -> impl Iterator<Item = &'a Referrer> {
        self.ground.catalog.table(&key.0).into_iter().flat_map(|table: &'a Table| &table.referrers)
    }

    fn ids(&self, referrer: &Referrer, key: &Key, most: usize) -> rusqlite::Result<Vec<Key>> {
        let mut statement = self.ground.conn.prepare_cached(&referrer.ids)?;
        let mut rows = statement.query(params![key.1.as_str(), signed(most as u64)])?;
        let mut ids = Vec::new();
        while let Some(row) = rows.next()? {
            ids.push((referrer.entity.clone(), RecordId::stored(row.get_ref(0)?.as_str()?)));
        }
        Ok(ids)
    }
}
