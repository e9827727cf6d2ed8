//! What a subscription that is being brought up to date asks of the store.

use std::sync::Arc;

use super::phase::{Phase, ResumeFrom};
use super::subscription::Subscription;
use crate::config::RealtimeConfig;
use crate::realtime::read::ReadRequest;
use crate::rules::Person;
use crate::store::{Differ, LogLimit};

/// A difference may hold as many bytes as so many pages of a snapshot.
const PAGES_OF_A_DIFFERENCE: usize = 16;

impl Subscription {
    /// `None` where its phase needs no read of its own.
    pub(super) fn request(&self, person: &Arc<Person>, config: &RealtimeConfig) -> Option<ReadRequest> {
        let (scope, bound) = (self.channel.scope.clone(), self.bound.as_ref()?);
        match &self.phase {
            Phase::Surveying(ResumeFrom { since, .. }) => {
                let rights = bound.rights_check(Some(since.seq));
                Some(ReadRequest::Survey { scope, since: since.clone(), rights })
            }
            Phase::Rows { after, written, .. } => {
                let page = config.page_rows;
                let left = self.limit.map_or(page, |limit| limit.saturating_sub(*written));
                let (read_scope, after) = (bound.read_scope.clone(), after.clone());
                let rights = bound.rights_check(None);
                Some(ReadRequest::Rows { scope, read_scope, after, limit: left.min(page), rights })
            }
            Phase::Differing { since } => Some(ReadRequest::Differ(Differ {
                person: person.clone(),
                scope,
                old: bound.read_scope.clone(),
                filter: self.channel.filter().to_vec(),
                since: *since,
                limit: LogLimit {
                    changes: usize::try_from(config.replay_limit).unwrap_or(usize::MAX),
                    bytes: config.page_bytes.saturating_mul(PAGES_OF_A_DIFFERENCE),
                },
            })),
            Phase::Queued(_)
            | Phase::Following(_)
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => None,
        }
    }
}
