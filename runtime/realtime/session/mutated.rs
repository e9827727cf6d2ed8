//! What the peer gets when a mutation is settled: `ack`, or the error that a request over HTTP would get. A mutation belongs to no
//! channel, so its answer waits for none.

use super::state::Session;
use super::turn::{Envelope, Turn};
use crate::realtime::mutations::Mutated;

impl Session {
    pub(super) fn on_mutated(&mut self, turn: &mut Turn, request_id: Option<&str>, mutated: Mutated) {
        let envelope = Envelope::to(request_id);
        match mutated {
            Mutated::Done(json) => turn.send("ack", envelope, json),
            Mutated::Refused(mut refusal) => {
                self.around.metrics.errors.told(self.via, refusal.code);
                tracing::debug!(code = refusal.code.as_str(), "mutation refused");
                turn.refused(refusal.code, &refusal.message, envelope).evidence = refusal.evidence.take();
                turn.send("error", envelope, refusal.payload());
            }
        }
    }
}
