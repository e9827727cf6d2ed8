//! What a subscription that is being brought up to date asks of the store.

use std::sync::Arc;

use super::phase::{Phase, ResumeFrom};
use super::subscription::Subscription;
use crate::channels::Sight;
use crate::config::RealtimeConfig;
use crate::realtime::read::{ReadRequest, RowsAsked};
use crate::rules::Person;
use crate::store::{Differ, LogLimit};

/// A difference may hold as many bytes as so many pages of a snapshot.
const PAGES_OF_A_DIFFERENCE: usize = 16;

impl Subscription {
    /// `None` where its phase needs no read of its own.
    pub(super) fn request(&self, person: &Arc<Person>, config: &RealtimeConfig) -> Option<ReadRequest> {
        let bound = self.bound.as_ref()?;
        match &self.phase {
            Phase::Surveying(ResumeFrom { since, .. }) => {
                let rights = bound.rights_check(Some(since.seq));
                Some(ReadRequest::Survey { of: self.channel.scope(), since: since.clone(), rights })
            }
            Phase::Rows { after, written, .. } => {
                let page = config.page_rows;
                let left =
                    self.first_rows.as_ref().map_or(page, |first| first.limit.saturating_sub(*written));
                let rows = RowsAsked {
                    sight: bound.sight.clone(),
                    order: self.order.clone(),
                    after: after.clone(),
                    limit: left.min(page),
                };
                Some(ReadRequest::Rows { rows, rights: bound.rights_check(None) })
            }
            Phase::Differing { since } => {
                // The activity is limited, so it is sent its page instead.
                let Sight::Records { scope, read_scope } = &bound.sight else { return None };
                Some(ReadRequest::Differ(Differ {
                    person: person.clone(),
                    scope: scope.clone(),
                    old: read_scope.clone(),
                    filter: self.channel.filter().to_vec(),
                    since: *since,
                    limit: LogLimit {
                        changes: usize::try_from(config.replay_limit).unwrap_or(usize::MAX),
                        bytes: config.page_bytes.saturating_mul(PAGES_OF_A_DIFFERENCE),
                    },
                }))
            }
            Phase::Queued(_)
            | Phase::Following(_)
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => None,
        }
    }
}
