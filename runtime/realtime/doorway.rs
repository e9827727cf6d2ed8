//! `Doorway`: where a peer without a token waits, on a server that needs one from every caller. It has a few seconds to send an
//! `auth` frame; that and `ping` are all that is answered. Browsers need this: they cannot set a header on a socket.
//!
//! Judges no token: `identity/` does. Has no subscription and sees no record.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::connection::{close, tell};
use super::credential::Arrived;
use super::greeting::NotAdmitted;
use super::lifecycle::Lifecycle;
use super::rate::RateCap;
use super::transport::{Arrival, Ended, Transport};
use crate::env::Env;
use crate::identity::{Brought, Identities};
use crate::protocol::server_frame::{ControlFrame, PongPayload};
use crate::protocol::{ClientFrame, ClientMessage, CloseCode};

/// See the module's text.
pub(super) struct Doorway<'a> {
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) env: &'a Env,
    pub(super) door: Arc<Identities>,
    pub(super) address: std::net::IpAddr,
}

/// A peer that has shown who it is, by this frame.
pub(super) struct Proven {
    pub(super) arrived: Box<Arrived>,
    pub(super) request_id: Option<String>,
}

/// Why a peer does not come in.
pub(super) enum NotProven {
    /// It is to be told.
    Refused(NotAdmitted),
    /// The connection has ended.
    Gone(Ended),
}

impl From<NotAdmitted> for NotProven {
    fn from(refused: NotAdmitted) -> NotProven {
        NotProven::Refused(refused)
    }
}

impl Doorway<'_> {
    /// Waits for the token, for as long as the settings say.
    pub(super) async fn wait<T: Transport>(&self, transport: &mut T) -> Result<Proven, NotProven> {
        let config = self.lifecycle.around().config;
        let wait = self.door.config().token_wait;
        let deadline = Instant::now() + wait;
        let mut rate = RateCap::new(config.messages_per_second, config.message_burst);
        loop {
            let arrival = tokio::select! {
                () = self.lifecycle.drained() => {
                    return Err(NotProven::Gone(close(transport, Ended::ByServer(CloseCode::Restart)).await));
                }
                () = sleep_until(deadline) => return Err(late(wait).into()),
                arrival = transport.next() => arrival,
            };
            if !rate.admit(Instant::now()) {
                return Err(NotProven::Gone(
                    close(transport, Ended::ByServer(CloseCode::TooManyMessages)).await,
                ));
            }
            match arrival {
                Arrival::Text(text) => {
                    if let Some(proven) = self.answer(transport, &text, config.write_timeout).await? {
                        return Ok(proven);
                    }
                }
                Arrival::Life => {}
                Arrival::Binary | Arrival::Follows(_) => return Err(not_first(None).into()),
                Arrival::Oversized => {
                    let ended = Ended::ByServer(CloseCode::FrameTooLarge);
                    return Err(NotProven::Gone(close(transport, ended).await));
                }
                Arrival::Closed => return Err(NotProven::Gone(close(transport, Ended::ByPeer).await)),
                Arrival::Gone => return Err(NotProven::Gone(Ended::ByPeer)),
                Arrival::Broken(code) => {
                    return Err(NotProven::Gone(close(transport, Ended::ByServer(code)).await));
                }
            }
        }
    }

    /// `None`: the peer may go on.
    async fn answer<T: Transport>(
        &self,
        transport: &mut T,
        text: &str,
        limit: Duration,
    ) -> Result<Option<Proven>, NotProven> {
        let ClientFrame { request_id, message } = match ClientFrame::parse(text) {
            Ok(frame) => frame,
            Err(error) => return Err(not_first(error.request_id).into()),
        };
        match message {
            ClientMessage::Auth { token } => {
                let admitted = self.door.admit_reader(Brought::Token(&token), self.address).await;
                let admitted =
                    admitted.map_err(|error| NotAdmitted::from(error).answering(request_id.clone()))?;
                let arrived = Box::new(Arrived::through(self.door.clone(), admitted));
                Ok(Some(Proven { arrived, request_id }))
            }
            ClientMessage::Ping => {
                let frame = self.pong(transport, request_id.as_deref());
                tell(transport, frame, limit).await.map_err(NotProven::Gone)?;
                Ok(None)
            }
            ClientMessage::Subscribe { .. }
            | ClientMessage::Unsubscribe { .. }
            | ClientMessage::Mutate { .. }
            | ClientMessage::Lease { .. }
            | ClientMessage::Presence(_)
            | ClientMessage::Message { .. } => Err(not_first(request_id).into()),
        }
    }

    /// It names no position: that would tell a stranger how much is written.
    fn pong<T: Transport>(&self, transport: &T, request_id: Option<&str>) -> Bytes {
        let (payload, timestamp) = (PongPayload { epoch: None, seq: None }, self.env.now());
        let (kind, channel, seq) = ("pong", None, None);
        ControlFrame { kind, channel, request_id, seq, more: false, payload, timestamp }
            .to_bytes(transport.form())
    }
}

fn late(wait: Duration) -> NotAdmitted {
    NotAdmitted::unauthenticated(format!(
        "this server needs a token from every caller: send it when you connect, or in an `auth` frame within {} ms",
        wait.as_millis()
    ))
}

fn not_first(request_id: Option<String>) -> NotAdmitted {
    NotAdmitted::unauthenticated(
        "this server needs a token from every caller: the first frame must be `auth`, with the token",
    )
    .answering(request_id)
}
