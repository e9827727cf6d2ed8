//! Pages of the activity (SEMANTICS X6): over all entities, by the rights that a user has now, on each record as it was then.
//!
//! Does not know what an entry tells (`store/activity/scope.rs`), nor how the log is walked.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::SnapshotReads;
use super::asker::KnownAsker;
use super::snapshot::{Snapshot, Stroll};
use crate::rules::{Needs, is_closed};
use crate::schema::EntityName;
use crate::store::activity::{ActivityPage, ActivityQuery, ActivityScope, ActivitySight, MOST_LOOKED_AT};
use crate::store::relations::Relation;
use crate::store::{Change, StoreError, Who};

impl<S: Snapshot> SnapshotReads<'_, S> {
    /// An entity that is named and has no activity for this user is as if it did not exist.
    pub async fn activity(&self, query: &ActivityQuery) -> Result<ActivityPage, StoreError> {
        let scope = match &query.sight {
            ActivitySight::Of { who, entities } => {
                Arc::new(self.activity_scope(who, entities.as_deref()).await?)
            }
            ActivitySight::Bound(scope) if scope.generation != self.at.generation => {
                return Err(StoreError::StaleGeneration);
            }
            ActivitySight::Bound(scope) => scope.clone(),
        };
        let mut page = ActivityPage::default();
        let mut take = |change: Change| {
            let Some(shown) = scope.entry(&change) else { return ControlFlow::Continue(()) };
            if page.entries.len() >= query.limit {
                page.next = page.entries.last().map(|last| last.seq);
                return ControlFlow::Break(());
            }
            page.entries.push(shown);
            ControlFlow::Continue(())
        };
        let wanted = |entity: &str| scope.read_scope(entity).is_some();
        let stroll =
            Stroll { before: query.before, floor: self.at.floor, most: MOST_LOOKED_AT, wanted: &wanted };
        let stopped = self.snapshot.newest(&stroll, &mut take).await.map_err(Into::into)?;
        page.next = page.next.or(stopped);
        page.scope = Some(scope);
        Ok(page)
    }

    /// What the user may list of each entity that is asked for.
    async fn activity_scope(
        &self,
        who: &Who,
        named: Option<&[EntityName]>,
    ) -> Result<ActivityScope, StoreError> {
        let of: Vec<&Relation> = match named {
            Some(named) => named.iter().map(|name| self.active(name)).collect::<Result<_, _>>()?,
            None => self.relations.all().iter().filter(|of| of.entity.activity).collect(),
        };
        let mut needs = Needs::default();
        of.iter().for_each(|of| needs.add(&of.read_needs));
        let (entities, generation) = (of.iter().map(|of| &of.entity), self.at.generation);
        let known = KnownAsker::read(self.snapshot, self.relations, who, &needs);
        match known.await.map_err(Into::into)? {
            KnownAsker::System => Ok(ActivityScope::everything(entities, generation)),
            KnownAsker::Person(principal) => {
                let closed = |of: &&Relation| named.is_some() && is_closed(&of.entity, &principal);
                if let Some(of) = of.iter().copied().find(closed) {
                    return Err(StoreError::Closed(of.entity.name.clone()));
                }
                ActivityScope::bind(entities, generation, &principal).map_err(StoreError::Rule)
            }
            KnownAsker::ReadScope(read_scope) => Err(StoreError::Storage(format!(
                "the activity was asked for with a read scope of {}",
                read_scope.entity.name
            ))),
        }
    }

    fn active(&self, entity: &str) -> Result<&Relation, StoreError> {
        let of = self.relations.get(entity).filter(|of| of.entity.activity);
        of.ok_or_else(|| StoreError::UnknownEntity(entity.to_owned()))
    }
}
