//! ChannelManager: the one task that owns every group. It fans out batches from the EventBus and obeys commands of the
//! connections, one thing at a time, so that a subscription is attached between two batches and never inside one.
//!
//! Never waits for a socket: it appends to outboxes.

use std::collections::VecDeque;
use std::future::{pending, ready};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, consume_budget};
use tokio::time::{Instant, sleep_until};

use super::attach::{Attach, AttachFrom, Watch};
use super::coalesce::{joined, take_coalesced};
use super::encode::{ChannelPlace, Encoder};
use super::group::{ConnectionKey, Member};
use super::groups::{FannedOut, Groups};
use super::looked_at::LookedAtGroups;
use super::note::{AttachmentId, Events, InvalidationCause, Note, Outbox};
use super::rights::LastRights;
use super::ring::Ring;
use super::units::{UnitEvent, judge_first};
use super::waiters::Waiters;
use crate::env::Env;
use crate::event_bus::{CommitFeed, OutOfOrder};
use crate::ids::Seq;
use crate::metrics::Metrics;
use crate::outbox::{Lag, OnLag};
use crate::protocol::Code;
use crate::protocol::server_frame::{ControlFrame, PongPayload, PositionPayload, RightsChangedPayload};
use crate::store::{Change, CommitBatch};

/// Commands that may wait; a connection that sends one more waits, and only that connection.
const COMMANDS: usize = 1024;

#[derive(Debug)]
enum Command {
    Attach(Box<Attach>),
    Detach { connection: ConnectionKey, attachment: AttachmentId },
    Forget { connection: ConnectionKey },
    Pong(Box<PongCommand>),
    AwaitRights(Box<AwaitRights>),
    Look { most: usize, answer: oneshot::Sender<LookedAtGroups> },
}

#[derive(Debug)]
struct PongCommand {
    connection: ConnectionKey,
    outbox: Arc<Outbox>,
    lag: Lag,
    request_id: Option<String>,
}

#[derive(Debug)]
struct AwaitRights {
    connection: ConnectionKey,
    outbox: Arc<Outbox>,
    person: Arc<str>,
    known: Option<Seq>,
}

/// The handle that connections use to reach ChannelManager.
#[derive(Debug, Clone)]
pub struct Channels {
    commands: mpsc::Sender<Command>,
    ring: Arc<Ring>,
    metrics: Arc<Metrics>,
}

impl Channels {
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// The last seq that was sent to subscriptions.
    pub fn position(&self) -> Seq {
        Seq(u64::try_from(self.metrics.live.position.get()).unwrap_or_default())
    }

    /// Commands that wait for ChannelManager.
    pub fn waiting(&self) -> usize {
        self.commands.max_capacity() - self.commands.capacity()
    }

    pub async fn attach(&self, attach: Attach) {
        self.send(Command::Attach(Box::new(attach))).await;
    }

    pub async fn detach(&self, connection: ConnectionKey, attachment: AttachmentId) {
        self.send(Command::Detach { connection, attachment }).await;
    }

    /// A `pong` with the fanned-out position, in the order of the outbox. `lag` as the session knows it.
    pub async fn pong(
        &self,
        connection: ConnectionKey,
        outbox: Arc<Outbox>,
        lag: Lag,
        request_id: Option<String>,
    ) {
        self.send(Command::Pong(Box::new(PongCommand { connection, outbox, lag, request_id }))).await;
    }

    /// Tells the connection once, by `Note::RightsChanged`, that rights of the person changed after `known`, or after this moment.
    pub async fn await_rights(
        &self,
        connection: ConnectionKey,
        outbox: Arc<Outbox>,
        person: Arc<str>,
        known: Option<Seq>,
    ) {
        self.send(Command::AwaitRights(Box::new(AwaitRights { connection, outbox, person, known }))).await;
    }

    /// The groups with the most subscribers, for administrators. `None` while the server stops.
    pub async fn look(&self, most: usize) -> Option<LookedAtGroups> {
        let (answer, looked) = oneshot::channel();
        self.send(Command::Look { most, answer }).await;
        looked.await.ok()
    }

    /// Detaches everything of a connection that is gone, without waiting: for a connection that is dropped.
    pub fn forget(&self, connection: ConnectionKey) {
        let command = Command::Forget { connection };
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(command) {
            let commands = self.commands.clone();
            tokio::spawn(async move { commands.send(command).await });
        }
    }

    async fn send(&self, command: Command) {
        // The task ends only at shutdown, when the connection that asks is being closed as well.
        let _ = self.commands.send(command).await;
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct ChannelManager {
    groups: Groups,
    rights: LastRights,
    waiters: Waiters,
    ring: Arc<Ring>,
    env: Env,
    metrics: Arc<Metrics>,
}

enum Wake {
    Batches,
    /// Events that waited for their rate may leave.
    Due,
    Command(Command),
    Done,
}

impl ChannelManager {
    /// Starts the task. `ring` begins at the position of `feed`. `scan_groups`: the most groups of one entity without an
    /// equality. The task ends when the EventBus and every handle are gone, or with a log that has a gap.
    pub fn start(
        ring: Arc<Ring>,
        mut feed: CommitFeed,
        scan_groups: usize,
        env: Env,
        metrics: Arc<Metrics>,
    ) -> (Channels, JoinHandle<Result<(), OutOfOrder>>) {
        let (commands, mut command_queue) = mpsc::channel(COMMANDS);
        let head = feed.position();
        let channels = Channels { commands, ring: ring.clone(), metrics: metrics.clone() };
        let mut manager = ChannelManager {
            groups: Groups::new(head, scan_groups),
            rights: LastRights::new(head),
            waiters: Waiters::default(),
            ring,
            env,
            metrics,
        };
        manager.tell_position();
        let task = tokio::spawn(async move {
            let (mut committing, mut waiting) = (true, VecDeque::new());
            loop {
                let wake = tokio::select! {
                    () = due(manager.groups.next_due()) => Wake::Due,
                    () = ready(()), if !waiting.is_empty() => Wake::Batches,
                    more = feed.take(&mut waiting), if committing && waiting.is_empty() => {
                        committing = more?;
                        continue;
                    }
                    command = command_queue.recv() => command.map_or(Wake::Done, Wake::Command),
                };
                match wake {
                    Wake::Batches => {
                        manager.fan_out(&take_coalesced(&mut waiting, manager.groups.is_settled()))
                    }
                    Wake::Due => manager.deliver_due(),
                    Wake::Command(command) => manager.obey(command),
                    Wake::Done => return Ok(()),
                }
                // The sockets of this thread have their turn, however much waits here.
                consume_budget().await;
            }
        });
        (channels, task)
    }

    fn fan_out(&mut self, batches: &[Arc<CommitBatch>]) {
        for batch in batches {
            self.ring.push(batch.clone());
            self.rights.learn(batch, self.ring.floor());
        }
        let Some(batch) = joined(batches) else { return };
        let counts = self.groups.fan_out(&batch);
        self.tell_counts(counts);
        self.deliver_due();
        if let Some(last) = batch.changes.last() {
            self.metrics.live.delays.note(self.env.now().0 - last.at.0);
        }
        for outbox in self.waiters.take_concerned(&batch) {
            self.tell_rights(&outbox);
        }
        self.tell_position();
        self.tell_groups();
    }

    /// Sends what has waited long enough for the rate of its entity.
    fn deliver_due(&mut self) {
        let counts = self.groups.deliver_due(Instant::now());
        self.tell_counts(counts);
    }

    fn tell_counts(&self, counts: FannedOut) {
        let live = &self.metrics.live;
        live.events.inc_by(counts.events as u64);
        live.deliveries.inc_by(counts.deliveries as u64);
        live.encodings.inc_by(counts.encodings as u64);
        live.lags.inc_by(counts.lags as u64);
        live.rights_voided.inc_by(counts.invalidated as u64);
    }

    fn tell_position(&self) {
        self.metrics.live.position.set(i64::try_from(self.groups.position().0).unwrap_or(i64::MAX));
    }

    fn tell_groups(&self) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.live.groups.set(number(self.groups.group_count()));
        self.metrics.live.scan_groups.set(number(self.groups.scanned_count()));
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Attach(attach) => self.attach(*attach),
            Command::Detach { connection, attachment } => self.groups.leave((connection, attachment)),
            Command::Forget { connection } => {
                self.groups.forget(connection);
                self.waiters.remove(connection);
            }
            Command::Pong(pong) => self.pong(&pong),
            Command::AwaitRights(wait) => self.await_rights(*wait),
            Command::Look { most, answer } => {
                // An administrator who went away misses nothing.
                let _ = answer.send(self.groups.look(most));
            }
        }
        self.tell_groups();
    }

    fn await_rights(&mut self, wait: AwaitRights) {
        let AwaitRights { connection, outbox, person, known } = wait;
        let bound_at = known.unwrap_or(self.groups.position());
        if known.is_some() && self.rights.any_changed_after(bound_at, &person) != Some(false) {
            return self.tell_rights(&outbox);
        }
        self.waiters.add(connection, Watch { person, bound_at }, outbox);
    }

    fn tell_rights(&self, outbox: &Outbox) {
        let frame =
            self.control("rights:changed", None, None, RightsChangedPayload {}).to_bytes(outbox.form());
        // It names no position, so it stays true when batches are dropped.
        outbox.append_control(frame, Some(Note::RightsChanged), OnLag::Keep);
    }

    fn attach(&mut self, attach: Attach) {
        if attach.sight.generation() < self.ring.generation() {
            // The connection is about to learn of the new schema, and starts again.
            attach.outbox.invalidate(InvalidationCause::Schema);
            return;
        }
        if let Some(note) = self.objection(&attach) {
            let on_lag = match &attach.from {
                // Nothing else would tell the session.
                AttachFrom::Now { .. } => OnLag::Keep,
                AttachFrom::After { .. } => OnLag::Drop,
            };
            attach.outbox.append_control(Bytes::new(), Some(note), on_lag);
            return;
        }
        match attach.from.clone() {
            AttachFrom::Now { request_id } => {
                // Batches up to where the rights were read are not to be judged by them.
                let bound_at = attach.watch.as_ref().map_or(Seq::ZERO, |watch| watch.bound_at);
                let (at, lag) = (self.groups.position().max(bound_at), attach.outbox.lag());
                let note = Note::Attached { attachment: attach.attachment, at, lag };
                let frame = self.subscribed(&attach, at, request_id.as_deref());
                // No event before this frame belongs to the subscription, so it stays true when batches are dropped.
                attach.outbox.append_control(frame, Some(note), OnLag::Keep);
                self.join(&attach, lag, at);
            }
            AttachFrom::After { seq, prev, lag, unbroken } => {
                self.attach_after(&attach, seq, prev, lag, unbroken)
            }
        }
    }

    /// Why the attachment cannot be taken: the rights behind its read scope may have changed since it was bound, or there is
    /// no room for its group.
    fn objection(&mut self, attach: &Attach) -> Option<Note> {
        let attachment = attach.attachment;
        if let AttachFrom::After { lag, .. } = attach.from
            && attach.outbox.lag() != lag
        {
            // The connection is about to learn that it lags; `attach_after` leaves it at that.
            return None;
        }
        if let Some(watch) = &attach.watch
            && self.rights.changed_after(watch.bound_at, &watch.person, attach.sight.uses()) != Some(false)
        {
            return Some(Note::Behind { attachment });
        }
        self.groups.admit(attach).err().map(|_| {
            self.metrics.live.scan_refusals.inc();
            Note::Refused { attachment, code: Code::QueryLimit }
        })
    }

    fn attach_after(&mut self, attach: &Attach, seq: Seq, mut prev: Seq, lag: Lag, unbroken: bool) {
        if attach.outbox.lag() != lag {
            // The connection is about to learn that it lags, and attaches again from what it has written.
            return;
        }
        let position = self.groups.position();
        if seq < position {
            let Some(batches) = self.ring.batches_after(seq) else {
                let note = Note::Behind { attachment: attach.attachment };
                attach.outbox.append_control(Bytes::new(), Some(note), OnLag::Drop);
                return;
            };
            let mut encoder = Encoder::new(attach.outbox.form());
            for batch in &batches {
                let changes = &batch.changes[batch.changes.partition_point(|change| change.seq <= seq)..];
                let missed = MissedEvents { changes, prev, lag, unbroken };
                prev = append_missed(attach, &missed, &mut encoder);
            }
            if attach.outbox.lag() != lag {
                // What was missed did not fit: the closing pong would name a position that the client never reaches.
                return;
            }
        }
        let at = position.max(seq);
        let payload = PositionPayload {
            epoch: self.ring.epoch(),
            seq: at,
            view: &attach.view,
            recovered: None,
            limited: false,
            reason: None,
        };
        let pong = self.control("pong", Some(&attach.channel), None, payload).to_bytes(attach.outbox.form());
        let note = Note::Attached { attachment: attach.attachment, at, lag };
        attach.outbox.append_control(pong, Some(note), OnLag::Drop);
        self.join(attach, lag, at);
    }

    fn join(&mut self, attach: &Attach, lag: Lag, from: Seq) {
        self.groups.join(attach, Member { outbox: attach.outbox.clone(), lag, from });
    }

    fn pong(&mut self, pong: &PongCommand) {
        let request_id = pong.request_id.as_deref();
        let bare = PongPayload { epoch: None, seq: None };
        let bare = self.control("pong", None, request_id, bare).to_bytes(pong.outbox.form());
        if pong.outbox.lag() != pong.lag {
            pong.outbox.append_control(bare, None, OnLag::Keep);
            return;
        }
        let at = self.groups.position_of(pong.connection);
        let payload = PongPayload { epoch: Some(self.ring.epoch()), seq: Some(at) };
        let frame = self.control("pong", None, request_id, payload).to_bytes(pong.outbox.form());
        pong.outbox.append_control(frame, Some(Note::Reached { at, lag: pong.lag }), OnLag::Replace(bare));
    }

    fn subscribed(&self, attach: &Attach, seq: Seq, request_id: Option<&str>) -> Bytes {
        let payload = PositionPayload {
            epoch: self.ring.epoch(),
            seq,
            view: &attach.view,
            recovered: Some(false),
            limited: false,
            reason: None,
        };
        self.control("subscribed", Some(&attach.channel), request_id, payload).to_bytes(attach.outbox.form())
    }

    fn control<'a, P: Serialize>(
        &self,
        kind: &'static str,
        channel: Option<&'a str>,
        request_id: Option<&'a str>,
        payload: P,
    ) -> ControlFrame<'a, P> {
        let timestamp = self.env.now();
        ControlFrame { kind, channel, request_id, seq: None, more: false, payload, timestamp }
    }
}

/// Completes then; never where nothing is due.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// What a subscription missed of one batch.
struct MissedEvents<'a> {
    /// Those of the batch after its position.
    changes: &'a [Arc<Change>],
    /// Seq of its last event.
    prev: Seq,
    lag: Lag,
    unbroken: bool,
}

/// Appends it; returns the seq of its last event from then on.
fn append_missed(attach: &Attach, missed: &MissedEvents<'_>, encoder: &mut Encoder) -> Seq {
    let MissedEvents { changes, mut prev, lag, unbroken } = *missed;
    let mut frames = Vec::new();
    for (at, change) in changes.iter().enumerate() {
        let judged = judge_first(&changes[at..], &attach.sight);
        let Some(UnitEvent { event, more }) = judged else { continue };
        let place = ChannelPlace { channel: &attach.channel, prev, more: unbroken || more };
        encoder.write_event(change, &event, &attach.sight, place, &mut frames);
        prev = change.seq;
    }
    if !frames.is_empty() {
        let events = Events { attachment: attach.attachment, last: prev, base: Seq::ZERO };
        attach.outbox.append_batch(lag, Bytes::from(frames), events);
    }
    prev
}
