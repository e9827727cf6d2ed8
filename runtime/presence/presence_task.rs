//! The task of presence, and `Presence`, the handle to it: hands the tracker what happens, and performs what it says.
//!
//! Decides nothing. Never waits for a receiver: what one cannot take is dropped, and said again as a whole later.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::attendee::{AttendeeKey, Departure, Visitor};
use super::frames::FrameForm;
use super::input::{Ask, PlaceKey, PresenceClock, PresenceInput, PresenceVerdict, TouchedPresence};
use super::judge::PresenceJudge;
use super::limits::{PAGE, PresenceLimits};
use super::output::{PresenceOutput, PresenceRefusal, ReceiverName, SyncReceiver};
use super::seen::{PresenceCounts, SeenUser};
use super::tracker::{PlaceSize, PresenceTracker, TrackerSize};
use crate::env::Env;
use crate::event_bus::{Announcement, Batches};
use crate::metrics::Metrics;
use crate::outbox::{StatePut, StateQueue};
use crate::protocol::WireForm;
use crate::refusals::{RefusedFrame, RefusedPeer};
use crate::rules::Person;

/// Frames about presence that may wait for the task; one more is refused.
const COMMANDS: usize = 4096;
/// Rights that are looked up at once.
const JUDGEMENTS: usize = 32;

/// Where a connection takes frames of presence.
#[derive(Debug, Clone)]
pub struct PresenceReceiver {
    pub queue: Arc<dyn StateQueue>,
    /// Who it is, for what is counted and kept of a refusal.
    pub peer: RefusedPeer,
}

/// A question that is answered at once. Whether the asker may know is theirs to have judged.
#[derive(Debug)]
pub enum Look {
    Users {
        parts: PlaceKey,
        after: Option<String>,
        limit: usize,
    },
    Tree {
        under: PlaceKey,
        limit: usize,
    },
    /// Whether a user is at a record, by a connection that is not gone.
    IsAt {
        record: PlaceKey,
        user: Arc<str>,
    },
}

#[derive(Debug, Default)]
pub struct LookedUp {
    pub counts: PresenceCounts,
    pub users: Vec<SeenUser>,
    pub places: Vec<PlaceSize>,
    /// Who holds the lease of the record.
    pub lease: Option<Arc<str>>,
    pub is_at: bool,
}

/// The queue to the task is full, or the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many frames about presence wait; send this one again later")]
pub struct PresenceBusy;

/// The handle to the task. Cheap to clone.
#[derive(Clone)]
pub struct Presence {
    commands: mpsc::Sender<PresenceCommand>,
    judge: Arc<PresenceJudge>,
}

enum PresenceCommand {
    Ask { attendee: AttendeeKey, receiver: PresenceReceiver, visitor: Visitor, ask: Ask },
    Heard(AttendeeKey),
    Ended(AttendeeKey, Departure),
    Leased(PlaceKey, Option<Arc<str>>),
    Look(Look, oneshot::Sender<LookedUp>),
}

impl Presence {
    /// Starts the task, which lives as long as a handle. `batches` tells of rights and records that change.
    pub fn start(
        judge: PresenceJudge,
        limits: PresenceLimits,
        batches: Batches,
        env: Env,
        metrics: Arc<Metrics>,
    ) -> Presence {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let judge = Arc::new(judge);
        let task = PresenceTask {
            tracker: PresenceTracker::new(limits),
            receivers: HashMap::new(),
            judge: judge.clone(),
            to_judge: VecDeque::new(),
            judging: FuturesUnordered::new(),
            env,
            metrics,
        };
        tokio::spawn(task.run(queue, batches));
        Presence { commands, judge }
    }

    /// A frame of a connection. Its answer comes through the receiver.
    pub fn ask(
        &self,
        attendee: AttendeeKey,
        receiver: PresenceReceiver,
        visitor: Visitor,
        mut ask: Ask,
    ) -> Result<(), PresenceBusy> {
        ask.resource.parts = self.judge.place(&ask.resource.parts);
        self.commands
            .try_send(PresenceCommand::Ask { attendee, receiver, visitor, ask })
            .map_err(|_| PresenceBusy)
    }

    /// A pong of a connection. One that is lost is followed by another.
    pub fn heard(&self, attendee: AttendeeKey) {
        let _ = self.commands.try_send(PresenceCommand::Heard(attendee));
    }

    /// A connection that has asked something is gone.
    pub async fn ended(&self, attendee: AttendeeKey, departure: Departure) {
        let _ = self.commands.send(PresenceCommand::Ended(attendee, departure)).await;
    }

    /// The lease of a record has another holder, or none. Calls for one record must come in their order.
    pub async fn leased(&self, place: PlaceKey, holder: Option<Arc<str>>) {
        let _ = self.commands.send(PresenceCommand::Leased(place, holder)).await;
    }

    /// Whether the person may see the resource, by the rights of this moment.
    pub async fn judge(&self, person: &Arc<Person>, parts: &[String]) -> PresenceVerdict {
        self.judge.judge(person, parts).await
    }

    pub async fn look(&self, mut look: Look) -> Result<LookedUp, PresenceBusy> {
        match &mut look {
            Look::Users { parts: place, .. }
            | Look::IsAt { record: place, .. }
            | Look::Tree { under: place, .. } => {
                *place = self.judge.place(place);
            }
        }
        let (answer, answered) = oneshot::channel();
        self.commands.send(PresenceCommand::Look(look, answer)).await.map_err(|_| PresenceBusy)?;
        answered.await.map_err(|_| PresenceBusy)
    }
}

/// A connection whose right is to be looked up.
struct RightsQuestion {
    attendee: AttendeeKey,
    place: PlaceKey,
    person: Arc<Person>,
    serial: u64,
}

struct PresenceTask {
    tracker: PresenceTracker,
    receivers: HashMap<AttendeeKey, PresenceReceiver>,
    judge: Arc<PresenceJudge>,
    /// Bounded by what the connections watch: each asks once at a time.
    to_judge: VecDeque<RightsQuestion>,
    judging: FuturesUnordered<BoxFuture<'static, PresenceInput>>,
    env: Env,
    metrics: Arc<Metrics>,
}

/// Everything that can wake the task.
enum PresenceWake {
    Command(Option<PresenceCommand>),
    Committed(Option<Announcement>),
    Judged(PresenceInput),
    Due,
}

impl PresenceTask {
    async fn run(mut self, mut queue: mpsc::Receiver<PresenceCommand>, mut batches: Batches) {
        let mut committing = true;
        loop {
            let deadline = self.tracker.next_deadline();
            let wake = tokio::select! {
                // Rights that were taken away count before anything is sent.
                biased;
                heard = batches.next(), if committing => PresenceWake::Committed(heard),
                Some(judged) = self.judging.next(), if !self.judging.is_empty() => PresenceWake::Judged(judged),
                () = until(deadline), if deadline.is_some() => PresenceWake::Due,
                command = queue.recv() => PresenceWake::Command(command),
            };
            match wake {
                PresenceWake::Command(None) => return,
                PresenceWake::Command(Some(command)) => self.obey(command),
                PresenceWake::Committed(None) => committing = false,
                PresenceWake::Committed(Some(heard)) => {
                    let touched = match heard {
                        _ if self.tracker.is_empty() => continue,
                        Announcement::Batch(batch) => TouchedPresence::of(&batch),
                        Announcement::Missed(_) => TouchedPresence::everything(),
                    };
                    self.on(PresenceInput::Touched(touched));
                }
                PresenceWake::Judged(judged) => self.on(judged),
                PresenceWake::Due => self.on(PresenceInput::Tick),
            }
            self.judge_next();
            let TrackerSize { places, attendees } = self.tracker.size();
            self.metrics.presence.resources.set(gauged(places));
            self.metrics.presence.connections.set(gauged(attendees));
        }
    }

    fn obey(&mut self, command: PresenceCommand) {
        match command {
            PresenceCommand::Ask { attendee, receiver, visitor, ask } => {
                // The same queue; its user may have logged in meanwhile.
                self.receivers.insert(attendee, receiver);
                self.on(PresenceInput::Asked { attendee, visitor, ask });
            }
            PresenceCommand::Heard(attendee) => self.on(PresenceInput::Heard { attendee }),
            PresenceCommand::Ended(attendee, departure) => {
                self.receivers.remove(&attendee);
                self.on(PresenceInput::Ended { attendee, departure });
            }
            PresenceCommand::Leased(place, holder) => self.on(PresenceInput::Leased { place, holder }),
            PresenceCommand::Look(look, answer) => {
                let _ = answer.send(self.look(&look));
            }
        }
    }

    fn look(&self, look: &Look) -> LookedUp {
        match look {
            Look::Users { parts, after, limit } => LookedUp {
                counts: self.tracker.counts(parts),
                users: self.tracker.users(self.clock(), parts, after.as_deref(), *limit),
                lease: self.tracker.lease(parts),
                ..LookedUp::default()
            },
            Look::IsAt { record, user } => {
                LookedUp { is_at: self.tracker.is_at(record, user), ..LookedUp::default() }
            }
            Look::Tree { under, limit } => {
                LookedUp { places: self.tracker.tree(under, *limit), ..LookedUp::default() }
            }
        }
    }

    /// Performing may itself be something that happened: a receiver without room.
    fn on(&mut self, input: PresenceInput) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.tracker.on(self.clock(), input) {
                self.perform(output, &mut inputs);
            }
        }
    }

    fn perform(&mut self, output: PresenceOutput, inputs: &mut VecDeque<PresenceInput>) {
        match output {
            PresenceOutput::Judge { attendee, place, person, serial } => {
                self.to_judge.push_back(RightsQuestion { attendee, place, person, serial });
            }
            PresenceOutput::Subscribed { attendee, name, request_id } => {
                self.answer(attendee, |form| form.answer("subscribed", &name, request_id.as_deref()));
            }
            PresenceOutput::Unsubscribed { attendee, name, request_id } => {
                self.answer(attendee, |form| form.answer("unsubscribed", &name, request_id.as_deref()));
            }
            PresenceOutput::Done { attendee, name, request_id } => {
                self.answer(attendee, |form| form.answer("ack", &name, Some(&request_id)));
            }
            PresenceOutput::Refused { attendee, refusal } => {
                self.keep_refused(attendee, &refusal);
                self.answer(attendee, |form| form.refusal(&refusal));
            }
            PresenceOutput::Sync { place, to, users, lease } => {
                self.send_list(&place, to, &users, lease.as_deref(), inputs);
            }
            PresenceOutput::Changed { place, to, change } => {
                self.send(&place, to, |form, channel| form.change(channel, &change), inputs);
            }
            PresenceOutput::Lease { place, to, holder } => {
                self.send(&place, to, |form, channel| form.lease(channel, holder.as_deref()), inputs);
            }
            PresenceOutput::RightsChanged { attendee } => self.answer(attendee, FrameForm::rights_changed),
            PresenceOutput::Count { place, to, counts } => {
                self.send(&place, to, |form, channel| form.count(channel, counts), inputs);
            }
            PresenceOutput::Silence { attendee, place } => {
                if let Some(receiver) = self.receivers.get(&attendee) {
                    receiver.queue.drop_state(&place);
                }
            }
            PresenceOutput::Withdrawn { attendee, place, name } => {
                if let Some(receiver) = self.receivers.get(&attendee) {
                    receiver.queue.drop_state(&place);
                }
                self.answer(attendee, |form| form.sync(&name.channel, None, &[], None));
            }
            PresenceOutput::Lapsed { attendee } => {
                tracing::debug!(
                    session.id = attendee.0,
                    "presence ended: the connection said nothing for too long"
                );
            }
        }
    }

    /// For administrators who ask why, before the peer is told.
    fn keep_refused(&self, attendee: AttendeeKey, refusal: &PresenceRefusal) {
        let Some(receiver) = self.receivers.get(&attendee) else { return };
        let PresenceRefusal { channel, request_id, code, message } = refusal.clone();
        self.metrics.errors.told(receiver.peer.via, code);
        let channel = Some(channel.to_string());
        let refused = RefusedFrame { request_id, channel, code, message, evidence: None };
        receiver.peer.clone().keep(self.env.now(), refused);
    }

    /// One buffer for all who call the channel alike and take the same form.
    fn send(
        &self,
        place: &PlaceKey,
        to: Vec<ReceiverName>,
        frames: impl Fn(FrameForm, &str) -> Bytes,
        inputs: &mut VecDeque<PresenceInput>,
    ) {
        self.metrics.presence.changes.inc();
        self.metrics.presence.deliveries.inc_by(to.len() as u64);
        let mut made: HashMap<(WireForm, Arc<str>), Bytes> = HashMap::new();
        for ReceiverName { attendee, channel } in to {
            let Some(receiver) = self.receivers.get(&attendee) else { continue };
            let form = receiver.queue.form();
            let bytes = made
                .entry((form, channel))
                .or_insert_with_key(|(form, channel)| frames(self.form(*form), channel))
                .clone();
            if receiver.queue.put_state(place, bytes) == StatePut::NoRoom {
                self.metrics.presence.dropped.inc();
                inputs.push_back(PresenceInput::NoRoom { attendee, place: place.clone() });
            }
        }
    }

    /// The whole list. A short one carries the id of the join that it answers; a long one is made once for all, and the answer to each
    /// join goes in front.
    fn send_list(
        &self,
        place: &PlaceKey,
        to: Vec<SyncReceiver>,
        users: &[SeenUser],
        lease: Option<&str>,
        inputs: &mut VecDeque<PresenceInput>,
    ) {
        let mut made: HashMap<(WireForm, Arc<str>), Bytes> = HashMap::new();
        for SyncReceiver { to: ReceiverName { attendee, channel }, answers } in to {
            let Some(receiver) = self.receivers.get(&attendee) else { continue };
            let form = self.form(receiver.queue.form());
            receiver.queue.drop_state(place);
            let own = answers.last().filter(|_| users.len() <= PAGE);
            for id in &answers[..answers.len() - usize::from(own.is_some())] {
                receiver.queue.put_answer(form.list_follows(&channel, id));
            }
            let frames = match own {
                Some(id) => form.sync(&channel, Some(id), users, lease),
                None => made
                    .entry((form.form, channel))
                    .or_insert_with_key(|(_, channel)| form.sync(channel, None, users, lease))
                    .clone(),
            };
            self.metrics.presence.syncs.inc();
            if receiver.queue.put_state(place, frames) == StatePut::NoRoom {
                self.metrics.presence.dropped.inc();
                inputs.push_back(PresenceInput::NoRoom { attendee, place: place.clone() });
            }
        }
    }

    fn answer(&self, attendee: AttendeeKey, frame: impl FnOnce(FrameForm) -> Bytes) {
        if let Some(receiver) = self.receivers.get(&attendee) {
            receiver.queue.put_answer(frame(self.form(receiver.queue.form())));
        }
    }

    fn judge_next(&mut self) {
        while self.judging.len() < JUDGEMENTS
            && let Some(RightsQuestion { attendee, place, person, serial }) = self.to_judge.pop_front()
        {
            let judge = self.judge.clone();
            self.judging.push(Box::pin(async move {
                let judgement = judge.judge(&person, &place).await;
                PresenceInput::Judged { attendee, place, serial, judgement }
            }));
        }
    }

    fn form(&self, form: WireForm) -> FrameForm {
        FrameForm { form, at: self.env.now() }
    }

    fn clock(&self) -> PresenceClock {
        PresenceClock { instant: Instant::now(), wall: self.env.now() }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn gauged(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
