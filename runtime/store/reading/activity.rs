//! What happened, as a user may know of it (SEMANTICS X6): over all entities, by the rights that they have now, on each record as
//! it was then.
//!
//! Knows neither how the log is kept nor how it is walked.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::SnapshotReads;
use super::asker::KnownAsker;
use super::history_view::entry;
use super::snapshot::{Snapshot, Stroll};
use crate::rules::{Needs, ReadScope};
use crate::schema::EntityName;
use crate::store::activity::MOST_LOOKED_AT;
use crate::store::relations::Relation;
use crate::store::{ActivityPage, ActivityQuery, Change, StoreError};

type Scopes = HashMap<EntityName, Arc<ReadScope>>;

impl<S: Snapshot> SnapshotReads<'_, S> {
    /// An entity that is named and has no activity for this user is as if it did not exist.
    pub async fn activity(&self, query: &ActivityQuery) -> Result<ActivityPage, StoreError> {
        let scopes = self.scopes_of_activity(query).await?;
        let mut page = ActivityPage::default();
        let mut take = |change: Change| {
            let shown = scopes.get(&change.entity).and_then(|read_scope| entry(&change, read_scope));
            let Some(shown) = shown else { return ControlFlow::Continue(()) };
            if page.entries.len() >= query.limit {
                page.next = page.entries.last().map(|last| last.seq);
                return ControlFlow::Break(());
            }
            page.entries.push(shown);
            ControlFlow::Continue(())
        };
        let wanted = |entity: &str| scopes.contains_key(entity);
        let stroll =
            Stroll { before: query.before, floor: self.at.floor, most: MOST_LOOKED_AT, wanted: &wanted };
        let stopped = self.snapshot.newest(&stroll, &mut take).await.map_err(Into::into)?;
        page.next = page.next.or(stopped);
        Ok(page)
    }

    /// What the user may list of each entity that is asked for.
    async fn scopes_of_activity(&self, query: &ActivityQuery) -> Result<Scopes, StoreError> {
        let of: Vec<&Relation> = match &query.entities {
            Some(named) => named.iter().map(|name| self.active(name)).collect::<Result<_, _>>()?,
            None => self.relations.all().iter().filter(|of| of.entity.activity).collect(),
        };
        let mut needs = Needs::default();
        of.iter().for_each(|of| needs.add(&of.read_needs));
        let known = KnownAsker::read(self.snapshot, self.relations, &query.who, &needs);
        let known = known.await.map_err(Into::into)?;
        let mut scopes = Scopes::new();
        for of in of {
            let read_scope = match known.list_scope(of, self.at.generation) {
                Err(StoreError::Closed(_)) if query.entities.is_none() => continue,
                bound => bound?,
            };
            if !read_scope.predicate().is_false() {
                scopes.insert(of.entity.name.clone(), read_scope);
            }
        }
        Ok(scopes)
    }

    fn active(&self, entity: &str) -> Result<&Relation, StoreError> {
        let of = self.relations.get(entity).filter(|of| of.entity.activity);
        of.ok_or_else(|| StoreError::UnknownEntity(entity.to_owned()))
    }
}
