//! How long the peer may stay: the end of its login, the warning before, and another token while it is connected.
//!
//! Judges no token: it gets the verdict.

use super::known_person::KnownPerson;
use super::login_end::LoginEnd;
use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::identity::{IdentityError, LoginState};
use crate::ids::Timestamp;
use crate::protocol::server_frame::LoginPayload;
use crate::protocol::{CloseCode, Code};
use crate::realtime::credential::Renewed;
use crate::realtime::roster::Expulsion;

const EXPIRED: &str = "the session has expired: log in again";

impl Session {
    /// The peer's login stands otherwise than before.
    pub(super) fn on_login_state(&mut self, turn: &mut Turn, state: LoginState) {
        if state.ended {
            return self.log_out(turn, "the session was ended: log in again");
        }
        // Told again of the same end, the peer is not warned again.
        if self.login.as_ref().map(|login| login.expires) != state.expires {
            self.lasts_until(turn, state);
        }
        if state.expires.is_some_and(|expires| expires <= turn.now.wall) {
            self.log_out(turn, EXPIRED);
        }
    }

    /// A token without an end needs no warning.
    fn lasts_until(&mut self, turn: &Turn, state: LoginState) {
        self.login = state.expires.map(|expires| LoginEnd::new(turn.now, expires, self.expiry_warning));
    }

    /// The time of the login, if the peer has one.
    pub(super) fn on_login_tick(&mut self, turn: &mut Turn) {
        let Some(login) = &mut self.login else { return };
        let (now, expires) = (turn.now, login.expires);
        // The wall clock counts too: a machine that slept has moved it alone.
        if login.end_at <= now.instant || expires <= now.wall {
            return self.log_out(turn, EXPIRED);
        }
        if !login.warned && login.warn_at <= now.instant {
            login.warned = true;
            let payload = LoginPayload { user_id: None, guest: None, expires_at: Some(expires.rfc3339()) };
            turn.send("auth:expiring", Envelope::default(), payload);
        }
    }

    /// What became of a token that the peer sent.
    pub(super) fn on_renewed(
        &mut self,
        turn: &mut Turn,
        request_id: Option<&str>,
        renewed: Result<Renewed, IdentityError>,
    ) {
        let envelope = Envelope::to(request_id);
        let Renewed { identity, principal, standing } = match renewed {
            Ok(renewed) => renewed,
            Err(error) => {
                self.refuse(turn, error.code(), &error.to_string(), envelope);
                if error.code() == Code::Unauthenticated {
                    self.close(turn, CloseCode::Unauthenticated);
                } else if error.code() == Code::AccountDisabled {
                    self.close(turn, CloseCode::Refused);
                }
                // After trouble of the server's own the connection stays what it was.
                return;
            }
        };
        if principal.value.is_disabled() {
            return self.on_expelled(turn, Expulsion::Disabled);
        }
        if self.person.is_nobody() {
            if self.subscriptions() > 0 || self.asked_presence {
                let text = "send `auth` before the first `subscribe`, or connect again with the token";
                self.refuse(turn, Code::Unauthenticated, text, envelope);
                return self.close(turn, CloseCode::Unauthenticated);
            }
            self.person = KnownPerson::new(principal);
        } else if self.person.person.id != identity.user {
            let text = "the token is of another user: connect again with it";
            self.refuse(turn, Code::Unauthenticated, text, envelope);
            return self.close(turn, CloseCode::Unauthenticated);
        } else if !self.person.says_the_same(&principal.value.person) {
            // What the channels show was found under the former role and claims. A new connection resumes under the new ones.
            if self.subscriptions() > 0 {
                let text = "the token has another role or other claims: connect again with it";
                self.refuse(turn, Code::Unauthenticated, text, envelope);
                return self.close(turn, CloseCode::Unauthenticated);
            }
            self.person = KnownPerson::new(principal);
        }
        self.lasts_until(turn, standing);
        let expires_at = standing.expires.map(Timestamp::rfc3339);
        let (user_id, guest) = (identity.user.as_deref(), identity.guest().map(|guest| &*guest.id));
        turn.send("auth:ok", envelope, LoginPayload { user_id, guest, expires_at });
    }

    /// What the peer is told when its connection is ended from outside.
    pub(super) fn on_expelled(&mut self, turn: &mut Turn, why: Expulsion) {
        let (code, text) = match why {
            Expulsion::Kicked => (Code::Forbidden, "an administrator closed this connection"),
            Expulsion::Disabled => (Code::AccountDisabled, "this account is disabled"),
            Expulsion::Unknown => return self.close(turn, CloseCode::Internal),
        };
        self.refuse(turn, code, text, Envelope::default());
        self.close(turn, CloseCode::Refused);
    }

    pub(super) fn log_out(&mut self, turn: &mut Turn, why: &str) {
        self.refuse(turn, Code::Unauthenticated, why, Envelope::default());
        self.close(turn, CloseCode::Unauthenticated);
    }
}
