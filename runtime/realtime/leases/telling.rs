//! What users hear of leases: their own, and those that others were refused because of.
//!
//! Decides nothing. What must not be lost goes into the outbox as control frames.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{LeaseTerm, Leases};
use crate::ids::Timestamp;
use crate::outbox::OnLag;
use crate::protocol::server_frame::{ControlFrame, LeasePayload};
use crate::protocol::{Resource, WireForm};
use crate::realtime::lease_book::HeldLease;

impl Leases {
    /// A user, on all of their connections. It must not be lost, so it is no message.
    fn tell(&self, user: &str, frame: impl Fn(WireForm) -> Bytes) {
        let state = self.state.lock();
        for connected in state.connections.get(user).into_iter().flat_map(HashMap::values) {
            connected.outbox.append_control(frame(connected.outbox.form()), None, OnLag::Keep);
        }
    }

    /// A user to whom a lease was passed.
    pub(super) fn tell_held(&self, user: &str, resource: &Resource, term: LeaseTerm) {
        let now = self.env.now();
        self.tell(user, |form| held_frame(form, now, resource, term));
    }

    pub(super) fn tell_loss(&self, lease: &HeldLease) {
        let now = self.env.now();
        let resource = lease.resource.to_string();
        let payload =
            LeasePayload { resource: &resource, fence: Some(lease.fence), until: None, holder: None };
        self.tell(&lease.holder, |form| lease_frame("lease:lost", form, now, payload.clone()));
    }

    /// Those who were refused because of the lease, once.
    pub(super) fn tell_waiting(
        &self,
        resource: &Resource,
        holder: Option<&Arc<str>>,
        until: Option<Timestamp>,
    ) {
        let waiting = self.state.lock().waiting.remove(resource).unwrap_or_default();
        let name = resource.to_string();
        let holder = Some(holder.map(|holder| &**holder));
        let payload =
            LeasePayload { resource: &name, fence: None, until: until.map(Timestamp::rfc3339), holder };
        let now = self.env.now();
        for outbox in waiting.values() {
            let frame = lease_frame("lease:changed", outbox.form(), now, payload.clone());
            outbox.append_control(frame, None, OnLag::Keep);
        }
    }
}

fn held_frame(form: WireForm, now: Timestamp, resource: &Resource, term: LeaseTerm) -> Bytes {
    let resource = resource.to_string();
    let (fence, until) = (Some(term.fence), Some(term.until.rfc3339()));
    lease_frame("lease:held", form, now, LeasePayload { resource: &resource, fence, until, holder: None })
}

fn lease_frame(kind: &'static str, form: WireForm, timestamp: Timestamp, payload: LeasePayload<'_>) -> Bytes {
    let (channel, request_id, seq) = (None, None, None);
    ControlFrame { kind, channel, request_id, seq, more: false, payload, timestamp }.to_bytes(form)
}
