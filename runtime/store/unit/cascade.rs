//! What a delete takes with it, found before anything is written: which records go, which lose a reference, and
//! which of those that stay forbid it.
//!
//! Reads only; `delete.rs` carries it out.

use std::collections::{HashMap, HashSet};

use indexmap::IndexSet;

use super::context::UnitContext;
use super::end_checks::Blocked;
use super::fault::{Fault, refuse};
use super::keys::{RecordKey, TOGETHER, alike};
use super::propagation::Drafts;
use crate::ids::RecordId;
use crate::schema::{FieldIndex, OnDelete, Value};
use crate::store::CommitError;
use crate::store::relations::ReferringField;
use crate::store::source::Source;

/// Every consequence of deleting one record.
pub(super) struct Cascade<'a> {
    /// Records whose references with `on_delete = "set_null"` lead to records that go, each with these emptied. They come
    /// first in the log.
    pub(super) cleared: Drafts,
    /// The record itself, last, and what refers to it with `on_delete = "cascade"`. Records that refer go before those
    /// that they refer to.
    pub(super) going: IndexSet<RecordKey>,
    /// The records among them to which one that stays refers with `on_delete = "restrict"`.
    pub(super) blocked: Vec<Blocked<'a>>,
}

/// A record that goes by one path does not forbid the delete by another.
pub(super) async fn plan<'a, S: Source>(
    source: &S,
    context: UnitContext<'a>,
    op: usize,
    root: RecordKey,
) -> Result<Cascade<'a>, Fault<S::Error>> {
    let search = CascadeSearch { source, context, op, limit: context.config.cascade_records };
    let children = search.children(&root).await?;
    search.consequences(in_order(root, children)).await
}

/// By record the records that refer to it and go with it.
type Children = HashMap<RecordKey, Vec<RecordKey>>;

/// The root and all that cascades from it, each after the records that refer to it. Walks with a stack of its
/// own: a chain of records may be longer than a thread's stack is deep.
fn in_order(root: RecordKey, mut children: Children) -> IndexSet<RecordKey> {
    let mut entered = HashSet::from([root.clone()]);
    let mut going = IndexSet::new();
    let mut children_of = |key: &RecordKey| children.remove(key).unwrap_or_default().into_iter();
    let mut path = vec![(children_of(&root), root)];
    while let Some((children, _)) = path.last_mut() {
        match children.next() {
            Some(child) if entered.insert(child.clone()) => path.push((children_of(&child), child)),
            Some(_) => {}
            None => going.extend(path.pop().map(|(_, done)| done)),
        }
    }
    going
}

struct CascadeSearch<'a, 's, S> {
    source: &'s S,
    context: UnitContext<'a>,
    op: usize,
    limit: usize,
}

/// The records that refer to one record by one field.
struct Referring<'a> {
    by: &'a ReferringField,
    ids: Vec<RecordId>,
}

impl Referring<'_> {
    fn keys(self) -> impl Iterator<Item = RecordKey> {
        let entity = self.by.entity.clone();
        self.ids.into_iter().map(move |id| RecordKey { entity: entity.clone(), id })
    }
}

impl<'a, S: Source> CascadeSearch<'a, '_, S> {
    /// Found level by level, so that the records of one level are asked for together.
    async fn children(&self, root: &RecordKey) -> Result<Children, Fault<S::Error>> {
        let mut children = Children::new();
        let mut found = HashSet::from([root.clone()]);
        let mut level = vec![root.clone()];
        let most = |on_delete| (on_delete == OnDelete::Cascade).then_some(self.limit + 2);
        while !level.is_empty() {
            let mut next = Vec::new();
            for keys in level.chunks(TOGETHER) {
                for (key, referring) in keys.iter().zip(self.referring(keys, most).await?) {
                    let own: Vec<RecordKey> = referring.into_iter().flat_map(Referring::keys).collect();
                    next.extend(own.iter().filter(|child| found.insert((*child).clone())).cloned());
                    self.check_limit(found.len() - 1)?;
                    if !own.is_empty() {
                        children.insert(key.clone(), own);
                    }
                }
            }
            level = next;
        }
        Ok(children)
    }

    /// For the records that stay.
    async fn consequences(&self, going: IndexSet<RecordKey>) -> Result<Cascade<'a>, Fault<S::Error>> {
        let (mut cleared, mut blocked) = (Drafts::new(), Vec::new());
        let most = |on_delete| match on_delete {
            OnDelete::Cascade => None,
            // At most all the records that go can be in the way of finding one that stays.
            OnDelete::Restrict => Some(going.len() + 1),
            OnDelete::SetNull => Some(going.len() + self.limit + 1),
        };
        let keys: Vec<RecordKey> = going.iter().cloned().collect();
        for keys in keys.chunks(TOGETHER) {
            for (key, referring) in keys.iter().zip(self.referring(keys, most).await?) {
                for referring in referring {
                    let by = referring.by;
                    let mut staying = referring.keys().filter(|child| !going.contains(child));
                    if by.on_delete == OnDelete::Restrict {
                        let one = staying.next().map(|_| Blocked { op: self.op, key: key.clone(), by });
                        blocked.extend(one);
                        continue;
                    }
                    // Without its parent a record has no number.
                    let sequences = &self.context.relation(&by.entity)?.sequences;
                    let numbers = sequences.iter().filter(|one| one.parent() == Some(by.field));
                    let emptied: Vec<FieldIndex> = numbers.map(|one| one.field).chain([by.field]).collect();
                    for child in staying {
                        let emptied = emptied.iter().map(|field| (*field, Value::Null));
                        cleared.entry(child).or_default().extend(emptied);
                    }
                    self.check_limit(going.len() - 1 + cleared.len())?;
                }
            }
        }
        Ok(Cascade { cleared, going, blocked })
    }

    /// For each of the records what refers to it, in the order of the schema: by the fields for which there is a `most`, and
    /// at most so many by each.
    async fn referring(
        &self,
        keys: &[RecordKey],
        most: impl Fn(OnDelete) -> Option<usize>,
    ) -> Result<Vec<Vec<Referring<'a>>>, Fault<S::Error>> {
        let mut found: Vec<Vec<Referring<'a>>> = keys.iter().map(|_| Vec::new()).collect();
        for group in alike(keys.iter().map(|key| &key.entity)) {
            let Some(relation) = self.context.relations.get(group.by) else { continue };
            let ids: Vec<&str> = group.places.iter().map(|place| keys[*place].id.as_str()).collect();
            for by in &relation.referrers {
                let Some(most) = most(by.on_delete) else { continue };
                let child = self.context.relation(&by.entity)?;
                let referring = self.source.ids_referring(child, by.field, &ids, most).await?;
                for (place, ids) in group.places.iter().zip(referring) {
                    found[*place].push(Referring { by, ids });
                }
            }
        }
        Ok(found)
    }

    fn check_limit(&self, records: usize) -> Result<(), Fault<S::Error>> {
        if records > self.limit {
            return refuse(CommitError::CascadeTooLarge { op: self.op, limit: self.limit });
        }
        Ok(())
    }
}
