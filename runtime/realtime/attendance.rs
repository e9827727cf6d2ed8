//! `PresenceAttendance`: one connection, as the tracker of presence knows it. Hands on what the peer asks, its signs of life and
//! its end.
//!
//! Knows no resource. A connection that never asks costs the tracker nothing.

use std::sync::Arc;

use super::transport::Ended;
use crate::auth::Identity;
use crate::metrics::Via;
use crate::presence::{Ask, AttendeeKey, Departure, Presence, PresenceReceiver, Proof, Visitor};
use crate::protocol::CloseCode;
use crate::rules::Person;

/// See the module's text.
pub(super) struct PresenceAttendance {
    /// `None` where the process has no presence.
    presence: Option<Presence>,
    key: AttendeeKey,
    has_asked: bool,
}

impl PresenceAttendance {
    pub(super) fn new(presence: Option<Presence>, key: AttendeeKey) -> PresenceAttendance {
        PresenceAttendance { presence, key, has_asked: false }
    }

    /// Gives the question back if too many wait. A guest has an id for presence alone: rules see no user.
    pub(super) fn ask(
        &mut self,
        receiver: PresenceReceiver,
        ask: Ask,
        person: Arc<Person>,
        identity: &Identity,
    ) -> Result<(), Ask> {
        let Some(presence) = &self.presence else { return Err(ask) };
        self.has_asked = true;
        // Only a socket answers pings; all else must speak now and then.
        let proof = if receiver.peer.via == Via::Ws { Proof::Pings } else { Proof::Lease };
        let guest = identity.guest().map(|guest| guest.id.clone());
        let visitor = Visitor { id: person.id.clone().or(guest), person, proof };
        presence.ask(self.key, receiver, visitor, ask.clone()).map_err(|_| ask)
    }

    pub(super) fn heard(&self) {
        if let Some(presence) = self.presence.as_ref().filter(|_| self.has_asked) {
            presence.heard(self.key);
        }
    }

    /// A peer that was sent away is gone at once; any other may come back in a moment.
    pub(super) async fn end(&self, ended: Ended) {
        let departure = match ended {
            Ended::ByServer(
                CloseCode::Unauthenticated
                | CloseCode::Refused
                | CloseCode::ProtocolAbuse
                | CloseCode::TooManyMessagesAgain,
            ) => Departure::Clean,
            Ended::ByPeer | Ended::ByServer(_) => Departure::Broken,
        };
        if let Some(presence) = self.presence.as_ref().filter(|_| self.has_asked) {
            presence.ended(self.key, departure).await;
        }
    }
}
