//! What the person may see: binding subscriptions to it, and what becomes of them when it changes (SEMANTICS R3).
//!
//! The rule that holds everything together: what is shown to the peer was read, and then checked; a subscription is bound anew
//! only from facts that are as new as the change that was found.

use bytes::Bytes;

use super::reading::RETRY;
use super::subscription::{Cause, Following, Part, Phase, Start};
use super::{Effect, Moment, Read, Reading, Session};
use crate::channels::encode::StepPlace;
use crate::channels::{AttachmentId, From};
use crate::ids::Seq;
use crate::metrics::CatchUp;
use crate::protocol::reason::RIGHTS;
use crate::protocol::{CloseCode, Code, ENDS_SUBSCRIPTION};
use crate::realtime::channel::Refusal;
use crate::rules::Principal;
use crate::store::{At, Differ, Difference, LogLimit, Step, Steps, StoreError};

/// A difference may hold as many bytes as so many pages of a snapshot.
const PAGES_OF_A_DIFFERENCE: usize = 16;

impl Session {
    /// The facts, if they are of the schema that the session knows: a field's place in another one is another field.
    fn principal(&self) -> Option<&Principal> {
        let fit = self.known.value.is_nobody() || self.known.generation == self.around.generation;
        fit.then_some(&self.known.value)
    }

    pub(super) fn principal_fits(&self) -> bool {
        self.principal().is_some()
    }

    /// Has the facts read before anything else; those of nobody never change.
    pub(super) fn want_principal(&mut self) {
        self.principal_wanted = !self.known.value.is_nobody();
    }

    /// A change of rights at `seq` was found. Principal that are newer tell of it already.
    pub(super) fn want_principal_of(&mut self, seq: Seq) {
        if self.known.seq < seq {
            self.want_principal();
        }
    }

    /// Starts what the peer asked for, or what it must be sent anew. What was judged by facts that may be out of date is
    /// judged once more by those of now, before the peer is told no.
    pub(super) fn begin_asked(&mut self, now: Moment, slot: u16, start: Start, effects: &mut Vec<Effect>) {
        self.serial += 1;
        let serial = self.serial;
        let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) else { return };
        subscription.serial = serial;
        let joins = matches!(start, Start::Join { .. });
        subscription.phase = Phase::Queued(start);
        match self.bind(slot) {
            Ok(true) if joins => self.join(slot, effects),
            Ok(true) => self.waiting.push_back((slot, serial)),
            Err(refusal) if self.known.value.is_nobody() => self.end(now, slot, &refusal, effects),
            Ok(false) | Err(_) => {
                self.want_principal();
                self.waiting.push_back((slot, serial));
            }
        }
    }

    /// Binds what was shown nothing yet under its read scope, or must be shown everything anew. False where the principal is of another
    /// schema.
    pub(super) fn bind(&mut self, slot: u16) -> Result<bool, Refusal> {
        let Some(principal) = self.principal().cloned() else { return Ok(false) };
        let at = self.known.seq;
        let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) else { return Ok(false) };
        let known = subscription.bound.as_ref().map(|bound| bound.at);
        if known.is_some_and(|known| known >= at) && !subscription.unanswered() {
            return Ok(true);
        }
        let bound = if subscription.unanswered() || known.is_none() {
            subscription.channel.open(&principal, at)?
        } else {
            subscription.channel.rebind(&principal, at)?
        };
        if known.is_none_or(|known| known < at) {
            subscription.bound = Some(bound);
        }
        Ok(true)
    }

    /// Binds a subscription whose turn it is, by the newest facts; what they forbid ends it.
    pub(super) fn bind_in_turn(&mut self, now: Moment, slot: u16, effects: &mut Vec<Effect>) -> bool {
        match self.bind(slot) {
            Ok(bound) => bound,
            Err(refusal) => {
                let subscription = self.slots.get(usize::from(slot)).and_then(Option::as_ref);
                let shown = subscription.is_some_and(|subscription| !subscription.unanswered());
                if shown && refusal.code == Code::RuleLimit {
                    self.suspend(now, slot, &refusal, effects);
                } else {
                    self.end(now, slot, &refusal, effects);
                }
                false
            }
        }
    }

    /// Attaches wherever ChannelManager is.
    pub(super) fn join(&mut self, slot: u16, effects: &mut Vec<Effect>) {
        let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) else { return };
        let Phase::Queued(Start::Join { request_id }) = &subscription.phase else { return };
        let request_id = request_id.clone();
        self.serial += 1;
        let attachment = AttachmentId { slot, serial: self.serial };
        subscription.phase = Phase::Joining { attachment, request_id: request_id.clone() };
        self.attach_from(attachment, From::Now { request_id }, effects);
    }

    pub(super) fn attach_from(&self, attachment: AttachmentId, from: From, effects: &mut Vec<Effect>) {
        let Some(Some(subscription)) = self.slots.get(usize::from(attachment.slot)) else { return };
        let Some(bound) = &subscription.bound else { return };
        effects.push(Effect::Attach {
            attachment,
            channel: subscription.channel.text.clone(),
            scope: subscription.channel.scope.clone(),
            read_scope: bound.read_scope.clone(),
            view: bound.view.clone(),
            watch: bound.watch(),
            admission: subscription.admission,
            from,
        });
    }

    /// ChannelManager cannot tell what happened since: neither what changed nor whether rights did. Who has read on asks the log,
    /// and with it the rights; who joins is bound anew.
    pub(super) fn on_behind(&mut self, attachment: AttachmentId) {
        let Some(subscription) = self.attached(attachment) else { return };
        match &subscription.phase {
            Phase::Attaching { following, .. } => subscription.phase = Phase::Following(*following),
            Phase::Joining { request_id, .. } => {
                let request_id = request_id.clone();
                subscription.phase = Phase::Queued(Start::Join { request_id });
                let serial = subscription.serial;
                self.waiting.push_back((attachment.slot, serial));
                self.want_principal();
            }
            Phase::Queued(_)
            | Phase::Surveying { .. }
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_)
            | Phase::Live { .. } => {}
        }
    }

    pub(super) fn on_principal(
        &mut self,
        now: Moment,
        principal: Result<At<Principal>, StoreError>,
        effects: &mut Vec<Effect>,
    ) {
        match principal {
            Ok(principal) => self.learn(now, principal, effects),
            Err(error) => {
                self.want_principal();
                self.on_failed_log(now, &error, effects);
            }
        }
    }

    /// Whether the connection lives on.
    fn learn(&mut self, now: Moment, principal: At<Principal>, effects: &mut Vec<Effect>) {
        if principal.value.is_disabled() {
            let text = "this account is disabled";
            self.refuse(now, Code::AccountDisabled, text, None, None, effects);
            self.close(CloseCode::Refused, effects);
            return;
        }
        if principal.seq >= self.known.seq || !self.principal_fits() {
            self.known = principal;
        }
        if !self.principal_fits() {
            // The session is about to learn of the schema that the store has.
            self.retry_at = Some(now.instant + RETRY);
        }
    }

    /// Rights changed at `seq` while the subscription, which is no part of any read now, was being brought up to date.
    pub(super) fn on_rights_changed(&mut self, slot: u16, seq: Seq) {
        let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) else { return };
        let serial = subscription.serial;
        let start = match &subscription.phase {
            Phase::Surveying { cause: Cause::Lagged, since, .. } => Start::Differ { since: since.seq },
            Phase::Following(Following { at, part: Part::Log | Part::Difference, .. }) => {
                Start::Differ { since: *at }
            }
            Phase::Surveying { cause, since, view } => {
                Start::Survey { cause: cause.clone(), since: since.clone(), view: view.clone() }
            }
            Phase::Rows { cause, reason, first: None, .. } => Start::Rows { cause: cause.clone(), reason },
            Phase::Rows { first: Some(_), .. } | Phase::Following(Following { part: Part::Snapshot, .. }) => {
                Start::Rows { cause: Cause::Lagged, reason: RIGHTS }
            }
            Phase::Queued(_)
            | Phase::Differing { .. }
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => return,
        };
        let anew = !matches!(start, Start::Differ { .. });
        subscription.phase = Phase::Queued(start);
        self.waiting.push_front((slot, serial));
        if anew {
            self.want_principal_of(seq);
        }
    }

    pub(super) fn differ(&self, slot: u16, since: Seq) -> Option<Read> {
        let subscription = self.slots.get(usize::from(slot))?.as_ref()?;
        let config = &self.around.config;
        Some(Read::Differ(Differ {
            person: self.person.clone(),
            scope: subscription.channel.scope.clone(),
            old: subscription.bound.as_ref()?.read_scope.clone(),
            filter: subscription.channel.filter().to_vec(),
            since,
            limit: LogLimit {
                changes: usize::try_from(config.replay_limit).unwrap_or(usize::MAX),
                bytes: config.page_bytes.saturating_mul(PAGES_OF_A_DIFFERENCE),
            },
        }))
    }

    /// The difference between what the peer has and what its person may see now.
    pub(super) fn on_difference(
        &mut self,
        now: Moment,
        reading: Reading,
        difference: At<Difference>,
        effects: &mut Vec<Effect>,
    ) {
        let (at, Difference { principal, steps }) = (difference.seq, difference.value.clone());
        self.learn(now, difference.map(|_| principal.clone()), effects);
        let Reading::Slot(slot, serial) = reading else { return };
        if self.closing {
            return;
        }
        let Some(subscription) = self.of(slot, serial) else { return };
        let Phase::Differing { .. } = subscription.phase else { return };
        let steps = match steps {
            Steps::Failed(error) => return self.suspend(now, slot, &Refusal::from(error), effects),
            Steps::Few(steps) => Some(steps),
            Steps::Many => None,
        };
        match subscription.channel.rebind(&principal, at) {
            Ok(bound) => subscription.bound = Some(bound),
            Err(error) => return self.suspend(now, slot, &Refusal::from(error), effects),
        }
        let Some(steps) = steps else {
            subscription.phase = Phase::Queued(Start::Rows { cause: Cause::Lagged, reason: RIGHTS });
            self.waiting.push_front((slot, serial));
            return;
        };
        // The difference has no place among the events, so the next one's `prev` is the last that the peer was sent.
        let prev = subscription.sent;
        subscription.phase = Phase::Following(Following { at, prev, part: Part::Difference });
        self.around.metrics.live.caught_up(CatchUp::Rights);
        self.write_steps(now, slot, &steps, at, effects);
        self.attach(slot, effects);
    }

    /// In buffers of about `page_bytes`.
    fn write_steps(&mut self, now: Moment, slot: u16, steps: &[Step], at: Seq, effects: &mut Vec<Effect>) {
        let Some(Some(subscription)) = self.slots.get(usize::from(slot)) else { return };
        let channel = subscription.channel.text.clone();
        let place = StepPlace { channel: &channel, at, timestamp: now.wall };
        let mut frames = Vec::new();
        for step in steps {
            self.encoder.write_step(step, place, &mut frames);
            if frames.len() >= self.around.config.page_bytes {
                effects.push(Effect::Write(Bytes::from(std::mem::take(&mut frames))));
            }
        }
        if !frames.is_empty() {
            effects.push(Effect::Write(Bytes::from(frames)));
        }
    }

    /// The subscription cannot be served: it ends, and nothing else does.
    pub(super) fn suspend(&mut self, now: Moment, slot: u16, why: &Refusal, effects: &mut Vec<Effect>) {
        self.around.metrics.live.suspended.inc();
        self.end(now, slot, why, effects);
    }

    /// The peer is told why; what it asked of the channel meanwhile is done now.
    pub(super) fn end(&mut self, now: Moment, slot: u16, why: &Refusal, effects: &mut Vec<Effect>) {
        self.detach(usize::from(slot), effects);
        let Some(subscription) = self.slots.get_mut(usize::from(slot)).and_then(Option::take) else { return };
        debug_assert!(
            subscription.unanswered() || ENDS_SUBSCRIPTION.contains(&why.code),
            "docs/protocol.md does not say that {} ends a subscription",
            why.code.as_str()
        );
        let (request_id, channel) = (subscription.request_id(), &subscription.channel.text);
        self.refuse(now, why.code, &why.message, request_id.as_deref(), Some(channel), effects);
        if why.depends_on_rights() {
            self.await_rights(Some(self.known.seq), effects);
        }
        for frame in subscription.postponed {
            self.on_frame(now, frame, effects);
        }
    }

    /// A channel was refused: other rights may open it, so the peer is told of them. `known`: the refusal knows of every change
    /// up to here; without it, it was judged by no rights.
    pub(super) fn await_rights(&mut self, known: Option<Seq>, effects: &mut Vec<Effect>) {
        let Some(person) = self.person.id.clone().filter(|_| !self.awaiting_rights) else { return };
        self.awaiting_rights = true;
        effects.push(Effect::AwaitRights { person, known });
    }
}
