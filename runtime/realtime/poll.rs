//! Polling: the second shell of the session's rules. Every poll is a fresh resume at its `since`, of many channels in
//! one reading of the log; a long poll waits for the next event by an outbox that holds nothing.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::resume::{Resume, decide};
use super::session::{scope_of, sight_of};
use super::websocket_manager::WebSocketManager;
use crate::channels::encode::{Encoder, Place};
use crate::channels::groups::ConnectionKey;
use crate::channels::outbox::{Outbox, OutboxLimits};
use crate::channels::{Attach, AttachmentId, Channels, From, judge};
use crate::ids::{Epoch, Position, Seq};
use crate::metrics::{CatchUp, Transport};
use crate::protocol::{Code, View};
use crate::rules::Sight;
use crate::store::{ChangeOp, LogPage, Scope, StoreError};

/// What a client asks.
#[derive(Debug, Clone)]
pub struct PollQuestion {
    /// Channel texts, each with the view under which the client stands.
    pub channels: Vec<(String, Option<String>)>,
    /// `None`: tell me where you are.
    pub since: Option<Position>,
    /// How long to wait for the first event.
    pub wait: Duration,
}

/// `{epoch, seq, channels, events, errors, hasMore}`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PollAnswer {
    pub epoch: Epoch,
    /// Every recovered channel is complete up to here.
    pub seq: Seq,
    pub channels: Vec<PolledChannel>,
    pub events: Vec<Box<RawValue>>,
    pub errors: Vec<PollError>,
    /// Ask again at once with this `seq`.
    pub has_more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolledChannel {
    pub channel: String,
    pub view: View,
    /// False: no event of this channel is in the answer; read the list.
    pub recovered: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PollError {
    pub channel: String,
    pub code: &'static str,
    pub message: String,
}

/// A channel that is being polled, with the seq of its last event.
struct Polled {
    channel: Arc<str>,
    scope: Scope,
    sight: Arc<Sight>,
    prev: Seq,
}

/// One round of reading: everything from `at` on that fits into a page.
struct Page {
    events: Vec<Box<RawValue>>,
    to: Seq,
    has_more: bool,
    /// The log cannot be followed from here; every channel must be read anew.
    broken: bool,
}

impl WebSocketManager {
    /// Answers one poll.
    pub async fn poll(&self, question: PollQuestion) -> Result<PollAnswer, StoreError> {
        let _counted = self.metrics().live.poll();
        let view = View::everything(self.around().generation);
        let head = self.reader().head()?;
        let mut answer = PollAnswer {
            epoch: head.epoch,
            seq: head.seq,
            channels: Vec::new(),
            events: Vec::new(),
            errors: Vec::new(),
            has_more: false,
        };
        let polled = self.judge(&question, &view, &mut answer).await?;
        let Some(since) = question.since.filter(|_| !polled.is_empty()) else { return Ok(answer) };
        self.collect(polled, since.seq, question.wait, &mut answer).await?;
        Ok(answer)
    }

    /// Which channels exist, and which of them can be resumed.
    async fn judge(
        &self,
        question: &PollQuestion,
        view: &View,
        answer: &mut PollAnswer,
    ) -> Result<Vec<Polled>, StoreError> {
        let mut polled = Vec::new();
        for (nth, (text, theirs)) in question.channels.iter().enumerate() {
            let twice = question.channels[..nth].iter().any(|(earlier, _)| earlier == text);
            let judged = if twice {
                Err((Code::BadChannel, "the channel is named twice".to_owned()))
            } else if nth < self.around().config.subscriptions {
                scope_of(&self.around().schema, text)
            } else {
                Err((
                    Code::SubscriptionLimit,
                    format!("one poll names at most {} channels", self.around().config.subscriptions),
                ))
            };
            let (channel, scope) = match judged {
                Ok(found) => found,
                Err((code, message)) => {
                    self.metrics().errors.told(Transport::Poll, code);
                    answer.errors.push(PollError { channel: text.clone(), code: code.as_str(), message });
                    continue;
                }
            };
            let recovered = match &question.since {
                None => false,
                Some(since) => {
                    let survey = self.reader().survey(scope.clone(), since.clone()).await?;
                    let limit = self.around().config.replay_limit;
                    decide(since.seq, theirs.as_deref(), view, &survey, limit) == Resume::Recovered
                }
            };
            answer.channels.push(PolledChannel { channel: text.clone(), view: view.clone(), recovered });
            if let Some(since) = question.since.as_ref().filter(|_| recovered) {
                self.metrics().live.caught_up(CatchUp::Poll);
                let around = self.around();
                let sight = sight_of(&around.schema, &scope, around.generation);
                polled.push(Polled { channel, scope, sight, prev: since.seq });
            }
        }
        Ok(polled)
    }

    async fn collect(
        &self,
        mut polled: Vec<Polled>,
        since: Seq,
        wait: Duration,
        answer: &mut PollAnswer,
    ) -> Result<(), StoreError> {
        let head = answer.seq;
        let deadline = tokio::time::Instant::now() + wait.min(self.around().config.poll_wait);
        let mut at = since;
        loop {
            let page = self.page(&mut polled, at, head).await?;
            at = page.to;
            let waited = tokio::time::Instant::now() >= deadline;
            if page.broken {
                answer.channels.iter_mut().for_each(|channel| channel.recovered = false);
                answer.seq = self.reader().head()?.seq;
                return Ok(());
            }
            answer.seq = at;
            answer.has_more = page.has_more;
            answer.events = page.events;
            if !answer.events.is_empty() || waited {
                return Ok(());
            }
            if !page.has_more && !self.wait_for_event(&polled, at, deadline).await {
                // The server stops: answer with what is true now.
                return Ok(());
            }
        }
    }

    /// `head`: where the log stood when the question came. What was acknowledged by then is in the answer, fanned out
    /// or not.
    async fn page(&self, polled: &mut [Polled], at: Seq, head: Seq) -> Result<Page, StoreError> {
        let read = self.reader().log(at, head).await?;
        let LogPage::Changes { changes, to } = read.value else {
            return Ok(Page { events: Vec::new(), to: at, has_more: false, broken: true });
        };
        let mut page = Page { events: Vec::new(), to, has_more: to < read.seq, broken: false };
        let mut encoder = Encoder::default();
        for (nth, change) in changes.iter().enumerate() {
            page.broken |= change.op == ChangeOp::Schema;
            for one in polled.iter_mut() {
                let Some(event) = judge(change, &one.scope, &one.sight) else { continue };
                let more = super::resume::more_of_unit(change, &changes[nth + 1..], &one.scope, &one.sight);
                let place = Place { channel: &one.channel, prev: one.prev, more };
                let mut json = Vec::with_capacity(512);
                encoder.write_json(change, &event, &one.sight, place, &mut json);
                one.prev = change.seq;
                let json = String::from_utf8(json).map_err(|error| StoreError::Storage(error.to_string()))?;
                page.events.push(
                    RawValue::from_string(json).map_err(|error| StoreError::Storage(error.to_string()))?,
                );
            }
        }
        Ok(page)
    }

    /// Waits until one of the channels has an event after `at`, or the deadline; false when the server stops.
    async fn wait_for_event(&self, polled: &[Polled], at: Seq, deadline: tokio::time::Instant) -> bool {
        let watch = Watching {
            channels: self.channels().clone(),
            connection: self.new_key(),
            outbox: Arc::new(Outbox::new(OutboxLimits { batches: 0, bytes: 0, controls: usize::MAX })),
        };
        let view = View::everything(self.around().generation);
        for (slot, one) in polled.iter().enumerate() {
            let attachment = AttachmentId { slot: u16::try_from(slot).unwrap_or(u16::MAX), serial: 0 };
            let (connection, outbox) = (watch.connection, watch.outbox.clone());
            let from = From::After { seq: at, prev: at, lag: outbox.lag(), unbroken: false };
            let attach = Attach {
                connection,
                attachment,
                outbox,
                channel: one.channel.clone(),
                scope: one.scope.clone(),
                sight: one.sight.clone(),
                view: view.clone(),
                watch: None,
                from,
            };
            self.channels().attach(attach).await;
        }
        tokio::select! {
            () = watch.woken() => true,
            () = tokio::time::sleep_until(deadline) => true,
            () = self.drained() => false,
        }
    }
}

/// The attachments of a long poll. A client that goes away takes the whole future with it, so they are given back
/// by being dropped.
struct Watching {
    channels: Channels,
    connection: ConnectionKey,
    /// Holds nothing: the first event empties it, and that is the news.
    outbox: Arc<Outbox>,
}

impl Watching {
    async fn woken(&self) {
        loop {
            self.outbox.ready().await;
            let drained = self.outbox.drain(usize::MAX);
            if drained.lagged.is_some() || drained.items.iter().any(super::session::is_behind) {
                return;
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.outbox.close();
        self.channels.forget(self.connection);
    }
}
