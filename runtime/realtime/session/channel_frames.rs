//! `subscribe` and `unsubscribe`: from a frame to a subscription's first phase.

use super::subscription::{Cause, POSTPONED, Phase, Start, Subscription, slot_number};
use super::{Effect, Moment, Session};
use crate::channels::Admission;
use crate::ids::Seq;
use crate::protocol::reason::{ASKED, UNKNOWN_POSITION};
use crate::protocol::server_frame::{ControlFrame, PositionPayload};
use crate::protocol::{ClientFrame, ClientMessage, Code, Since, SubscribeOptions};
use crate::realtime::channel::{Channel, Refusal};

impl Session {
    pub(super) fn on_subscribe(
        &mut self,
        now: Moment,
        channel: &str,
        options: SubscribeOptions,
        request_id: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let known = self.find(channel);
        if let Some(slot) = known.filter(|slot| self.must_postpone(*slot)) {
            let frame = ClientMessage::Subscribe { channel: channel.to_owned(), options };
            self.postpone(now, slot, ClientFrame { request_id, message: frame }, effects);
            return;
        }
        let restart = options.since.is_some() || options.snapshot;
        match known {
            Some(slot) if !restart => self.acknowledge(now, slot, request_id.as_deref(), effects),
            Some(slot) => {
                self.detach(slot, effects);
                self.start(now, slot, options, request_id, effects);
            }
            None => match self.open(channel, options.limit) {
                Ok(slot) => self.start(now, slot, options, request_id, effects),
                Err(refusal) => {
                    let Refusal { code, message } = &refusal;
                    self.refuse(now, *code, message, request_id.as_deref(), Some(channel), effects);
                    if refusal.depends_on_rights() {
                        self.await_rights(None, effects);
                    }
                }
            },
        }
    }

    pub(super) fn on_unsubscribe(
        &mut self,
        now: Moment,
        channel: &str,
        request_id: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(slot) = self.find(channel) else {
            let text = "there is no subscription to this channel";
            self.refuse(now, Code::NotSubscribed, text, request_id.as_deref(), Some(channel), effects);
            return;
        };
        if self.must_postpone(slot) {
            let message = ClientMessage::Unsubscribe { channel: channel.to_owned() };
            self.postpone(now, slot, ClientFrame { request_id, message }, effects);
            return;
        }
        self.detach(slot, effects);
        self.slots[slot] = None;
        let frame = ControlFrame {
            kind: "unsubscribed",
            channel: Some(channel),
            request_id: request_id.as_deref(),
            seq: None,
            more: false,
            payload: serde_json::json!({}),
            timestamp: now.wall,
        };
        // Items of the subscription that are still in the outbox carry an attachment that is known no more, so
        // nothing of this channel follows.
        effects.push(Effect::Send(frame.to_json()));
    }

    /// The subscription was answered: what the peer asked meanwhile is done now.
    pub(super) fn resume_postponed(&mut self, now: Moment, slot: u16, effects: &mut Vec<Effect>) {
        let postponed = match self.slots.get_mut(usize::from(slot)) {
            Some(Some(subscription)) => std::mem::take(&mut subscription.postponed),
            Some(None) | None => return,
        };
        for frame in postponed {
            self.on_frame(now, frame, effects);
        }
    }

    fn find(&self, channel: &str) -> Option<usize> {
        self.slots
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|subscription| *subscription.channel.text == *channel))
    }

    fn must_postpone(&self, slot: usize) -> bool {
        let unanswered =
            |subscription: &Subscription| subscription.unanswered() || subscription.bound.is_none();
        self.slots[slot].as_ref().is_some_and(unanswered)
    }

    fn postpone(&mut self, now: Moment, slot: usize, frame: ClientFrame, effects: &mut Vec<Effect>) {
        let Some(subscription) = self.slots[slot].as_mut() else { return };
        if subscription.postponed.len() < POSTPONED {
            subscription.postponed.push(frame);
            return;
        }
        let channel = subscription.channel.text.clone();
        let text = "wait for the answer to the last `subscribe` of this channel";
        self.refuse(now, Code::RateLimited, text, frame.request_id.as_deref(), Some(&channel), effects);
    }

    /// A free slot with a subscription in it, or the refusal.
    fn open(&mut self, channel: &str, limit: Option<usize>) -> Result<usize, Refusal> {
        let most = self.around.config.subscriptions;
        if self.subscriptions() >= most {
            let text = format!("this connection already has {most} subscriptions, the most it may have");
            return Err(Refusal::new(Code::SubscriptionLimit, text));
        }
        let channel = Channel::resolve(&self.around.schema, self.around.generation, channel)?;
        let slot = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            // Most have one, and a vector that grows by itself begins with four.
            self.slots.reserve_exact(1);
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(Subscription {
            channel,
            bound: None,
            serial: 0,
            phase: Phase::Queued(Start::Rows { cause: Cause::Lagged, reason: ASKED }),
            sent: Seq::ZERO,
            limit,
            admission: Admission::Sought,
            snapshots: 0,
            postponed: Vec::new(),
            _counted: self.around.metrics.live.subscription(),
        });
        Ok(slot)
    }

    fn start(
        &mut self,
        now: Moment,
        slot: usize,
        options: SubscribeOptions,
        request_id: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(subscription) = self.slots[slot].as_mut() else { return };
        subscription.snapshots = 0;
        if options.limit.is_some() {
            subscription.limit = options.limit;
        }
        let start = match options.since {
            Some(Since { position: Some(since), view }) => {
                Start::Survey { cause: Cause::Asked { request_id }, since, view }
            }
            Some(Since { position: None, .. }) => {
                Start::Rows { cause: Cause::Asked { request_id }, reason: UNKNOWN_POSITION }
            }
            None if options.snapshot => Start::Rows { cause: Cause::Asked { request_id }, reason: ASKED },
            None => Start::Join { request_id },
        };
        self.begin_asked(now, slot_number(slot), start, effects);
    }

    /// `subscribed` again, for a subscription that goes on: its position is what the peer was sent.
    fn acknowledge(&mut self, now: Moment, slot: usize, request_id: Option<&str>, effects: &mut Vec<Effect>) {
        let Some(subscription) = &self.slots[slot] else { return };
        let Some(bound) = &subscription.bound else { return };
        let payload = PositionPayload {
            epoch: &self.around.epoch,
            seq: subscription.sent,
            view: &bound.view,
            recovered: Some(!subscription.in_snapshot()),
            reason: None,
        };
        let frame = ControlFrame {
            kind: "subscribed",
            channel: Some(&subscription.channel.text),
            request_id,
            seq: None,
            more: subscription.in_snapshot(),
            payload,
            timestamp: now.wall,
        };
        effects.push(Effect::Send(frame.to_json()));
    }

    pub(super) fn detach(&mut self, slot: usize, effects: &mut Vec<Effect>) {
        let Some(subscription) = &self.slots[slot] else { return };
        if let Some(attachment) = subscription.attachment() {
            effects.push(Effect::Detach { attachment });
        }
    }
}
