//! Polling: the second shell of the session's rules. Every poll is a fresh resume at its `since`, of many channels in
//! one reading of the log; a long poll waits for the next event by an outbox that holds nothing.
//!
//! A poll is bound to what its person may see when it comes. When their rights change while it is being answered, it is asked
//! once more from the start: then the channels concerned are no resume any longer.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::channel::{Binding, Channel, ChannelRefusal, Checkup};
use super::lifecycle::Lifecycle;
use super::long_poll::{LongPoll, RefusedAttachment, Woken};
use super::places::ConnectionPlaces;
use super::read::RightsCheck;
use super::reader::LiveReader;
use super::resume::{Claim, Resume, decide};
use crate::channels::encode::{ChannelPlace, Encoder};
use crate::channels::{Channels, UnitEvent, Watch, judge_first};
use crate::ids::{Epoch, Position, Seq};
use crate::metrics::{CatchUp, Metrics, Via};
use crate::protocol::{Code, View, WireForm};
use crate::refusals::{NotedRefusal, RefusedPart, note_refusal};
use crate::rules::{Person, Principal};
use crate::store::{At, Change, ChangeOp, LogPage, StoreError};

/// How often a poll is asked again because the rights of its person changed meanwhile.
const MOST_ROUNDS: usize = 8;

/// What a client asks.
#[derive(Debug, Clone)]
pub struct PollQuestion {
    pub person: Arc<Person>,
    pub channels: Vec<AskedChannel>,
    /// `None`: tell me where you are.
    pub since: Option<Position>,
    /// How long to wait for the first event.
    pub wait: Duration,
}

/// A channel that a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedChannel {
    pub text: String,
    /// The view that the client has.
    pub view: Option<String>,
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
    #[serde(serialize_with = "as_word")]
    pub code: Code,
    pub message: String,
}

fn as_word<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(code.as_str())
}

/// Why a poll is not answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PollFault {
    #[error("this account is disabled")]
    Disabled,
    #[error(transparent)]
    Store(StoreError),
}

impl std::convert::From<StoreError> for PollFault {
    fn from(error: StoreError) -> PollFault {
        PollFault::Store(error)
    }
}

/// A channel that is being polled, with the seq of its last event.
struct Polled {
    channel: Channel,
    bound: Binding,
    prev: Seq,
}

/// One round of reading: everything from `at` on that fits into a page.
struct PollPage {
    events: Vec<Box<RawValue>>,
    to: Seq,
    has_more: bool,
    /// The log cannot be followed from here; every channel must be read again.
    broken: bool,
}

/// The result of a step of a poll.
enum PollStep<T> {
    Done(T),
    /// The person's rights changed: nothing that was read may be shown.
    RightsChanged,
}

/// Answers polls. Cheap to clone.
#[derive(Clone)]
pub struct Polls {
    lifecycle: Arc<Lifecycle>,
    places: Arc<ConnectionPlaces>,
    channels: Channels,
    reader: LiveReader,
    metrics: Arc<Metrics>,
}

impl Polls {
    pub fn new(
        lifecycle: Arc<Lifecycle>,
        places: Arc<ConnectionPlaces>,
        channels: Channels,
        reader: LiveReader,
    ) -> Polls {
        let metrics = lifecycle.around().metrics;
        Polls { lifecycle, places, channels, reader, metrics }
    }

    pub async fn answer(&self, question: PollQuestion) -> Result<PollAnswer, PollFault> {
        let _counted = self.metrics.live.poll();
        let mut deadline = Instant::now() + question.wait.min(self.lifecycle.around().config.poll_wait);
        // A channel whose rights changed is no longer recovered, so this ends unless they change all the time.
        for _ in 0..MOST_ROUNDS {
            if let PollStep::Done(answer) = self.ask(&question, deadline).await? {
                answer.errors.iter().for_each(|error| self.told(error));
                return Ok(answer);
            }
            // The client learns of it now.
            deadline = Instant::now();
        }
        Err(PollFault::Store(StoreError::Overloaded))
    }

    /// Counts what an answer refuses, and notes it for administrators who ask why.
    fn told(&self, error: &PollError) {
        let PollError { channel, code, message } = error.clone();
        self.metrics.errors.told(Via::Poll, code);
        note_refusal(NotedRefusal { part: RefusedPart::Channel(channel), code, message });
    }

    async fn ask(
        &self,
        question: &PollQuestion,
        deadline: Instant,
    ) -> Result<PollStep<PollAnswer>, PollFault> {
        let principal = self.reader.principal(question.person.clone()).await?;
        if principal.value.is_disabled() {
            return Err(PollFault::Disabled);
        }
        let head = self.reader.head().await?;
        let mut answer = PollAnswer {
            epoch: head.epoch,
            seq: head.seq,
            channels: Vec::new(),
            events: Vec::new(),
            errors: Vec::new(),
            has_more: false,
        };
        let PollStep::Done(polled) = self.judge(question, &principal, &mut answer).await? else {
            return Ok(PollStep::RightsChanged);
        };
        let Some(since) = question.since.as_ref().filter(|_| !polled.is_empty()) else {
            return Ok(PollStep::Done(answer));
        };
        let wait = Wait { deadline, refused: self.refused(question, &principal, &answer) };
        Ok(match self.collect(polled, since.seq, &wait, &mut answer).await? {
            PollStep::Done(()) => PollStep::Done(answer),
            PollStep::RightsChanged => PollStep::RightsChanged,
        })
    }

    /// Which channels exist for the person, and which of them can be resumed.
    async fn judge(
        &self,
        question: &PollQuestion,
        principal: &At<Principal>,
        answer: &mut PollAnswer,
    ) -> Result<PollStep<Vec<Polled>>, StoreError> {
        let mut polled = Vec::new();
        for (nth, AskedChannel { text, view }) in question.channels.iter().enumerate() {
            let (channel, mut bound) = match self.open(question, nth, principal)? {
                Ok(found) => found,
                Err(ChannelRefusal { code, message }) => {
                    answer.errors.push(PollError { channel: text.clone(), code, message });
                    continue;
                }
            };
            let recovered = match &question.since {
                None => false,
                Some(since) => {
                    let rights = bound.rights_check(Some(since.seq));
                    let survey = self.reader.survey(channel.scope(), since.clone(), rights).await?;
                    if bound.check(&survey) != Checkup::Same {
                        return Ok(PollStep::RightsChanged);
                    }
                    let claim = Claim { since: since.seq, view: view.as_deref(), limited: false };
                    decide(claim, &bound, &survey, self.lifecycle.around().config.replay_limit)
                        == Resume::Recovered
                }
            };
            answer.channels.push(PolledChannel {
                channel: text.clone(),
                view: bound.view.clone(),
                recovered,
            });
            if let Some(since) = question.since.as_ref().filter(|_| recovered) {
                self.metrics.live.caught_up(CatchUp::Poll);
                polled.push(Polled { channel, bound, prev: since.seq });
            }
        }
        Ok(PollStep::Done(polled))
    }

    /// The nth channel and what the person sees of it.
    fn open(
        &self,
        question: &PollQuestion,
        nth: usize,
        principal: &At<Principal>,
    ) -> Result<Result<(Channel, Binding), ChannelRefusal>, StoreError> {
        let around = self.lifecycle.around();
        let text = &question.channels[nth].text;
        if question.channels[..nth].iter().any(|earlier| earlier.text == *text) {
            return Ok(Err(ChannelRefusal::new(Code::BadChannel, "the channel is named twice")));
        }
        if nth >= around.config.subscriptions {
            let text = format!("one poll names at most {} channels", around.config.subscriptions);
            return Ok(Err(ChannelRefusal::new(Code::SubscriptionLimit, text)));
        }
        if !principal.value.is_nobody() && principal.generation != around.generation {
            return Err(StoreError::StaleGeneration);
        }
        Ok(Channel::resolve(&around.schema, around.generation, text).and_then(|channel| {
            let bound = channel.open(&principal.value, principal.seq)?;
            Ok((channel, bound))
        }))
    }

    /// The user whose change of rights ends the wait, because it may open a channel that is refused now.
    fn refused(
        &self,
        question: &PollQuestion,
        principal: &At<Principal>,
        answer: &PollAnswer,
    ) -> Option<Watch> {
        let person = question.person.id.clone().filter(|_| !answer.errors.is_empty())?;
        Some(Watch { person, bound_at: principal.seq })
    }

    async fn collect(
        &self,
        mut polled: Vec<Polled>,
        since: Seq,
        wait: &Wait,
        answer: &mut PollAnswer,
    ) -> Result<PollStep<()>, StoreError> {
        let head = answer.seq;
        let mut at = since;
        loop {
            let PollStep::Done(page) = self.page(&mut polled, at, head).await? else {
                return Ok(PollStep::RightsChanged);
            };
            at = page.to;
            let waited = Instant::now() >= wait.deadline;
            if page.broken {
                answer.channels.iter_mut().for_each(|channel| channel.recovered = false);
                answer.seq = self.reader.head().await?.seq;
                return Ok(PollStep::Done(()));
            }
            answer.seq = at;
            answer.has_more = page.has_more;
            answer.events = page.events;
            if !answer.events.is_empty() || waited {
                return Ok(PollStep::Done(()));
            }
            if page.has_more {
                continue;
            }
            match self.wait_for_event(&polled, at, wait).await {
                Woken::News => {}
                Woken::RightsChanged => return Ok(PollStep::RightsChanged),
                // Answer with what is true now.
                Woken::Stopped => return Ok(PollStep::Done(())),
                Woken::Refused(refused) => {
                    for RefusedAttachment { nth, code } in refused {
                        Self::refuse_waiting(&polled[nth].channel.text, code, answer);
                    }
                    return Ok(PollStep::Done(()));
                }
            }
        }
    }

    /// `head`: the head of the log when the request came. What was acknowledged by then is in the answer, fanned out
    /// or not.
    async fn page(
        &self,
        polled: &mut [Polled],
        at: Seq,
        head: Seq,
    ) -> Result<PollStep<PollPage>, StoreError> {
        let mut rights = RightsCheck::default();
        for Polled { bound, .. } in polled.iter() {
            rights.person.clone_from(&bound.person.id);
            rights.add(bound.sight.uses(), bound.at);
        }
        let checked = self.reader.log(at, head, rights).await?;
        if !polled.iter_mut().all(|one| one.bound.check(&checked) == Checkup::Same) {
            return Ok(PollStep::RightsChanged);
        }
        let read = checked.read;
        let LogPage::Changes { changes, to } = read.value else {
            let page = PollPage { events: Vec::new(), to: at, has_more: false, broken: true };
            return Ok(PollStep::Done(page));
        };
        let mut page = PollPage { events: Vec::new(), to, has_more: to < read.seq, broken: false };
        let mut encoder = Encoder::new(WireForm::Json);
        for (nth, change) in changes.iter().enumerate() {
            page.broken |= change.op == ChangeOp::Schema;
            for one in polled.iter_mut() {
                page.events.extend(event(one, &changes[nth..], &mut encoder)?);
            }
        }
        Ok(PollStep::Done(page))
    }

    /// A channel without a subscription takes no part in the answer: its client would wait and miss what happens.
    fn refuse_waiting(text: &str, code: Code, answer: &mut PollAnswer) {
        let ChannelRefusal { code, message } = ChannelRefusal::of_attachment(code);
        answer.channels.retain(|channel| channel.channel != text);
        answer.errors.push(PollError { channel: text.to_owned(), code, message });
    }

    /// Waits until one of the channels has an event after `at`, its person's rights change, a channel is refused, or the deadline.
    async fn wait_for_event(&self, polled: &[Polled], at: Seq, wait: &Wait) -> Woken {
        let long_poll = LongPoll::new(self.channels.clone(), self.places.new_key());
        for (nth, Polled { channel, bound, .. }) in polled.iter().enumerate() {
            long_poll.watch(nth, channel, bound, at).await;
        }
        if let Some(watch) = wait.refused.clone() {
            long_poll.watch_rights(watch).await;
        }
        tokio::select! {
            woken = long_poll.woken() => woken,
            () = tokio::time::sleep_until(wait.deadline) => Woken::News,
            () = self.lifecycle.drained() => Woken::Stopped,
        }
    }
}

/// What the first of these changes is for a channel; the others follow it in the log.
fn event(
    one: &mut Polled,
    changes: &[Arc<Change>],
    encoder: &mut Encoder,
) -> Result<Option<Box<RawValue>>, StoreError> {
    let sight = &one.bound.sight;
    let (Some(change), Some(UnitEvent { event, more })) = (changes.first(), judge_first(changes, sight))
    else {
        return Ok(None);
    };
    let place = ChannelPlace { channel: &one.channel.text, prev: one.prev, more };
    let mut json = Vec::with_capacity(512);
    encoder.write_event(change, &event, sight, place, &mut json);
    one.prev = change.seq;
    let json = String::from_utf8(json).map_err(|error| StoreError::Storage(error.to_string()))?;
    RawValue::from_string(json).map(Some).map_err(|error| StoreError::Storage(error.to_string()))
}

/// How long a poll waits, and for what beside events.
struct Wait {
    deadline: Instant,
    /// Some channel is refused: a change of these rights ends the wait, since it may open it.
    refused: Option<Watch>,
}
