//! How many records a person sees.

use super::SnapshotReads;
use super::advice;
use super::asked::Asked;
use super::asker;
use super::columns::{are_searched, exist, may_be_asked, through};
use super::snapshot::{CountAsked, Snapshot};
use crate::store::{Count, Counted, MOST_GROUPS, StoreError};

impl<S: Snapshot> SnapshotReads<'_, S> {
    pub async fn count(&self, count: &Count) -> Result<Counted, StoreError> {
        let of = self.relation_at(count.generation, &count.entity)?;
        let read_scope =
            asker::list_scope(self.snapshot, self.relations, of, self.at.generation, &count.who).await?;
        may_be_asked(&read_scope, &count.filter, count.group.into_iter())?;
        exist(&of.entity, count.filter.iter().map(|condition| condition.column).chain(count.group))?;
        are_searched(&of.entity, &count.search)?;
        let read_scope = through(read_scope, &count.filter);
        if read_scope.predicate().is_false() {
            return Ok(Counted { count: 0, groups: Vec::new() });
        }
        if read_scope.predicate().is_true() && count.search.is_empty() && count.group.is_none() {
            let count = self.snapshot.count_all(of, self.at).await.map_err(Into::into)?;
            return Ok(Counted { count, groups: Vec::new() });
        }
        let asked = Asked::of(&read_scope, &count.filter);
        let scan_rows = advice::bound(&of.entity, count, &asked, self.scan_rows);
        let counting = CountAsked { count, asked: &asked, scan_rows };
        match self.snapshot.count(of, &counting).await.map_err(Into::into)? {
            Some(counted) if counted.groups.len() > MOST_GROUPS => {
                Err(StoreError::TooManyGroups { entity: count.entity.clone() })
            }
            Some(counted) => Ok(counted),
            None => Err(StoreError::TooBroad {
                entity: of.entity.name.clone(),
                rows: scan_rows,
                advice: advice::advice_on_count(&of.entity, count, &asked),
            }),
        }
    }
}
