//! What a peer wants of leases, and what became of it. Pure: the wish goes out as an effect and comes back as an input.

use super::input::Effect;
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::protocol::server_frame::LeasePayload;
use crate::protocol::{Code, LeaseWanted, Resource};
use crate::realtime::leases::LeaseAnswer;
use crate::store::LeaseState;

impl Session {
    pub(super) fn on_lease_frame(
        &mut self,
        turn: &mut Turn,
        resource: Resource,
        wanted: LeaseWanted,
        request_id: Option<String>,
    ) {
        if self.person.is_nobody() {
            let text = "only a user holds a lease: log in, or in dev add ?as=NAME to the address";
            return self.refuse(turn, Code::Unauthenticated, text, Envelope::to(request_id.as_deref()));
        }
        turn.then(Effect::Lease { resource, wanted, request_id });
    }

    pub(super) fn on_leased(
        &mut self,
        turn: &mut Turn,
        resource: &Resource,
        request_id: Option<&str>,
        answer: LeaseAnswer,
    ) {
        let envelope = Envelope::to(request_id);
        let resource = resource.to_string();
        let payload = LeasePayload { resource: &resource, fence: None, until: None, holder: None };
        match answer {
            Ok(LeaseState::Held { fence, until }) => {
                let until = Some(until.rfc3339());
                turn.send("lease:held", envelope, LeasePayload { fence: Some(fence), until, ..payload });
            }
            Ok(LeaseState::Free) => turn.send("lease:released", envelope, payload),
            Err(refusal) => self.refuse(turn, refusal.code, &refusal.message, envelope),
        }
    }
}
