//! A record's history as a person sees it.
//!
//! Knows neither how changes are kept nor what is seen of one (`history_view.rs`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::SnapshotReads;
use super::history_view::{last_may_be_read, view};
use super::snapshot::Snapshot;
use crate::ids::{RecordId, Seq};
use crate::rules::ReadScope;
use crate::store::images::image_bytes;
use crate::store::relations::Relation;
use crate::store::{Change, ChangeOp, LogLimit, Past, StoreError, Who};

impl<S: Snapshot> SnapshotReads<'_, S> {
    /// Changes of one record, newest first; `None` for an entity that keeps no history. Of a record that may not be read there
    /// are none, as of one that never was; of a deleted one its last image decides.
    pub async fn history(
        &self,
        entity: &str,
        id: &RecordId,
        who: &Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> Result<Option<Past>, StoreError> {
        let of = self.relation(entity)?;
        let read_scope = self.read_scope(of, who).await?;
        let judged = (*who != Who::System).then_some(&*read_scope);
        if of.entity.history.is_none() {
            return Ok(None);
        }
        if let Some(read_scope) = judged
            && !self.may_be_read(of, id, read_scope).await?
        {
            return Ok(Some(Past::default()));
        }
        let (mut past, mut bytes) = (Past::default(), 0);
        let mut take = |change: Change| {
            let seen = match judged {
                Some(read_scope) => view(change, read_scope),
                None => Some(change),
            };
            let Some(change) = seen else { return ControlFlow::Continue(()) };
            if past.changes.len() >= limit.changes || bytes >= limit.bytes {
                past.more = true;
                return ControlFlow::Break(());
            }
            bytes += image_bytes(&change);
            past.changes.push(Arc::new(change));
            ControlFlow::Continue(())
        };
        self.snapshot.past(of, id, before, &mut take).await.map_err(Into::into)?;
        Ok(Some(past))
    }

    async fn may_be_read(
        &self,
        of: &Relation,
        id: &RecordId,
        read_scope: &ReadScope,
    ) -> Result<bool, StoreError> {
        if let Some(record) = self.snapshot.record(of, id.as_str()).await.map_err(Into::into)? {
            return Ok(read_scope.sees(&record));
        }
        let mut last = None;
        let mut take = |change: Change| {
            last = Some(change);
            ControlFlow::Break(())
        };
        self.snapshot.past(of, id, None, &mut take).await.map_err(Into::into)?;
        let last = last.filter(|change| change.op == ChangeOp::Delete);
        Ok(last.is_some_and(|change| last_may_be_read(&change, read_scope)))
    }
}
