//! Reading: surveys, pages of rows, pages of the log; one read at a time, and what each answer makes of its subscriptions.
//!
//! All subscriptions that follow the log share one reading of it, from the one that is furthest behind.

use std::time::Duration;

use bytes::Bytes;

use super::subscription::{Cause, Following, Phase, Start, Subscription, slot_number};
use super::{Effect, Moment, Read, ReadAnswer, Reading, Session};
use crate::channels::encode::Place;
use crate::channels::{AttachmentId, From, judge};
use crate::ids::Seq;
use crate::metrics::CatchUp;
use crate::protocol::reason::{BELOW_FLOOR, SCHEMA_CHANGED};
use crate::protocol::server_frame::{ControlFrame, PositionPayload, snapshot_json};
use crate::protocol::{CloseCode, Code};
use crate::realtime::resume::{Resume, decide, more_of_unit};
use crate::store::{At, ChangeOp, ListPage, LogPage, StoreError, Survey};

/// A read that found the store busy is tried again after this long.
const RETRY: Duration = Duration::from_millis(250);

impl Session {
    /// Starts the next read, if none is under way: rows and surveys take turns with the log.
    pub(super) fn start_reading(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.reading.is_some() || self.retry_at.is_some_and(|retry| retry > now.instant) {
            return;
        }
        let after = self.next_log_read();
        if let Some(after) = after.filter(|_| !self.read_log_last || self.waiting.is_empty()) {
            self.begin(Reading::Log(after), Read::Log { after }, effects);
            return;
        }
        while let Some((slot, serial)) = self.waiting.pop_front() {
            if let Some(read) = self.next_read_of(slot, serial) {
                self.begin(Reading::Slot(slot, serial), read, effects);
                return;
            }
        }
        if let Some(after) = self.next_log_read() {
            self.begin(Reading::Log(after), Read::Log { after }, effects);
        }
    }

    fn begin(&mut self, reading: Reading, read: Read, effects: &mut Vec<Effect>) {
        self.read_log_last = matches!(reading, Reading::Log(_));
        self.reading = Some(reading);
        effects.push(Effect::Read(read));
    }

    /// Where the one that is furthest behind stands.
    fn next_log_read(&self) -> Option<Seq> {
        let following = self.slots.iter().flatten().filter_map(Subscription::following);
        following.map(|following| following.at).min()
    }

    fn next_read_of(&mut self, slot: u16, serial: u32) -> Option<Read> {
        let (page, generation) = (self.around.config.page_rows, self.around.generation);
        let subscription = self.of(slot, serial)?;
        if let Phase::Queued(start) = &subscription.phase {
            subscription.phase = match start.clone() {
                Start::Survey { cause, since, view } => Phase::Surveying { cause, since, view },
                Start::Rows { cause, reason } => {
                    Phase::Rows { cause, reason, first: None, after: None, written: 0 }
                }
            };
        }
        let scope = subscription.scope.clone();
        match &subscription.phase {
            Phase::Surveying { since, .. } => Some(Read::Survey { scope, since: since.clone() }),
            Phase::Rows { after, written, .. } => {
                let left = subscription.limit.map_or(page, |limit| limit.saturating_sub(*written));
                Some(Read::Rows { scope, after: after.clone(), limit: left.min(page), generation })
            }
            Phase::Queued(_)
            | Phase::Following(_)
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => None,
        }
    }

    pub(super) fn on_read(&mut self, now: Moment, answer: ReadAnswer, effects: &mut Vec<Effect>) {
        let Some(reading) = self.reading.take() else { return };
        if let (Reading::Slot(slot, serial), true) = (reading, self.is_of_another_schema(&answer)) {
            self.read_again(now, slot, serial);
            return;
        }
        match (reading, answer) {
            (Reading::Slot(slot, serial), ReadAnswer::Survey(Ok(survey))) => {
                self.on_survey(now, slot, serial, &survey, effects);
            }
            (Reading::Slot(slot, serial), ReadAnswer::Rows(Ok(rows))) => {
                self.on_rows(now, slot, serial, &rows, effects);
            }
            (Reading::Log(after), ReadAnswer::Log(Ok(page))) => self.on_log(after, &page, effects),
            (Reading::Slot(slot, serial), ReadAnswer::Survey(Err(error)) | ReadAnswer::Rows(Err(error))) => {
                self.on_failed_start(now, slot, serial, &error, effects);
            }
            (Reading::Log(_), ReadAnswer::Log(Err(error))) => self.on_failed_log(now, &error, effects),
            // A transport that answers another question than was asked is broken.
            (Reading::Slot(..), ReadAnswer::Log(_))
            | (Reading::Log(_), ReadAnswer::Survey(_) | ReadAnswer::Rows(_)) => {
                self.close(CloseCode::Internal, effects);
            }
        }
    }

    /// The store has, or had, another schema than this session; of entities that are gone it knows nothing.
    fn is_of_another_schema(&self, answer: &ReadAnswer) -> bool {
        let other = |generation| generation != self.around.generation;
        match answer {
            ReadAnswer::Survey(Ok(survey)) => other(survey.generation),
            ReadAnswer::Rows(Ok(rows)) => other(rows.generation),
            ReadAnswer::Survey(Err(error)) | ReadAnswer::Rows(Err(error)) => {
                matches!(error, StoreError::StaleGeneration | StoreError::UnknownEntity(_))
            }
            ReadAnswer::Log(_) => false,
        }
    }

    /// Soon, or as soon as the session has learnt of the schema that the store has.
    fn read_again(&mut self, now: Moment, slot: u16, serial: u32) {
        if self.of(slot, serial).is_some() {
            self.waiting.push_front((slot, serial));
            self.retry_at = Some(now.instant + RETRY);
        }
    }

    fn on_survey(
        &mut self,
        now: Moment,
        slot: u16,
        serial: u32,
        survey: &At<Survey>,
        effects: &mut Vec<Effect>,
    ) {
        let (view, limit) = (self.view.clone(), self.around.config.replay_limit);
        let Some(subscription) = self.of(slot, serial) else { return };
        let Phase::Surveying { cause, since, view: theirs } = subscription.phase.clone() else { return };
        match decide(since.seq, theirs.as_deref(), &view, survey, limit) {
            Resume::Recovered => {
                // A lagging peer knows of no event between its last one and `since`, so `prev` is what it was sent.
                let prev = if cause == Cause::Lagged { subscription.sent } else { since.seq };
                subscription.sent = prev;
                subscription.phase = Phase::Following(Following { at: since.seq, prev, unbroken: false });
                let channel = subscription.channel.clone();
                self.around.metrics.live.caught_up(match &cause {
                    Cause::Asked { .. } => CatchUp::Resume,
                    Cause::Lagged => CatchUp::Lag,
                });
                if let Cause::Asked { request_id } = cause {
                    let frame = self.position_frame(
                        now,
                        "subscribed",
                        &channel,
                        request_id.as_deref(),
                        survey.seq,
                        Some(true),
                        None,
                    );
                    effects.push(Effect::Send(frame));
                    self.resume_postponed(now, slot, effects);
                }
            }
            Resume::Restart(reason) => {
                subscription.phase = Phase::Queued(Start::Rows { cause, reason });
                self.waiting.push_front((slot, serial));
            }
        }
    }

    fn on_rows(
        &mut self,
        now: Moment,
        slot: u16,
        serial: u32,
        rows: &At<ListPage>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(subscription) = self.of(slot, serial) else { return };
        let Phase::Rows { cause, reason, first, written, .. } = subscription.phase.clone() else { return };
        let channel = subscription.channel.clone();
        let count = rows.value.rows.len();
        let written = written + count;
        let limited = subscription.limit.is_some_and(|limit| written >= limit);
        let complete = !rows.value.more || limited;
        let started = first.unwrap_or(rows.seq);
        let last = rows.value.rows.last().map(|row| row.id.clone());
        subscription.sent = started;
        subscription.phase = if complete {
            Phase::Following(Following { at: started, prev: started, unbroken: true })
        } else {
            Phase::Rows { cause: cause.clone(), reason, first: Some(started), after: last, written }
        };
        if !complete {
            self.waiting.push_back((slot, serial));
        }
        if first.is_none() {
            self.announce_rows(now, slot, &channel, &cause, reason, rows.seq, count > 0, effects);
        }
        self.write_rows(now, &channel, rows, limited, effects);
        if complete && started == rows.seq {
            self.attach(slot, effects);
        }
        if first.is_none() {
            self.resume_postponed(now, slot, effects);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one frame")]
    fn announce_rows(
        &mut self,
        now: Moment,
        slot: u16,
        channel: &str,
        cause: &Cause,
        reason: &'static str,
        seq: Seq,
        follow: bool,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) {
            subscription.snapshots = subscription.snapshots.saturating_add(1);
        }
        let frame = match cause {
            Cause::Asked { request_id } => {
                self.around.metrics.live.snapshot(reason);
                let payload = PositionPayload {
                    epoch: &self.around.epoch,
                    seq,
                    view: &self.view,
                    recovered: Some(false),
                    reason: None,
                };
                let frame = ControlFrame {
                    kind: "subscribed",
                    channel: Some(channel),
                    request_id: request_id.as_deref(),
                    seq: None,
                    more: follow,
                    payload,
                    timestamp: now.wall,
                };
                frame.to_json()
            }
            Cause::Lagged => {
                self.around.metrics.live.resynced(reason);
                self.position_frame(now, "resync", channel, None, seq, None, Some(reason))
            }
        };
        effects.push(Effect::Send(frame));
    }

    /// The rows of one page, in frames of about `page_bytes`.
    fn write_rows(
        &self,
        now: Moment,
        channel: &str,
        rows: &At<ListPage>,
        limited: bool,
        effects: &mut Vec<Effect>,
    ) {
        let mut frame: Vec<&Bytes> = Vec::new();
        let mut size = 0;
        for row in &rows.value.rows {
            frame.push(&row.stored.json);
            size += row.stored.json.len();
            if size >= self.around.config.page_bytes {
                effects.push(Effect::Send(snapshot_json(
                    channel,
                    rows.seq,
                    now.wall,
                    frame.drain(..),
                    false,
                )));
                size = 0;
            }
        }
        if !frame.is_empty() || limited {
            let rows_left = frame.into_iter();
            effects.push(Effect::Send(snapshot_json(channel, rows.seq, now.wall, rows_left, limited)));
        }
    }

    /// A page of the log after `after`. Who fell behind `after` while it was read has no part in it.
    fn on_log(&mut self, after: Seq, page: &At<LogPage>, effects: &mut Vec<Effect>) {
        let (changes, to) = match &page.value {
            LogPage::Changes { changes, to } => (changes, *to),
            LogPage::BelowFloor => return self.on_below_floor(page.floor, effects),
        };
        let mut frames = Vec::new();
        for (at, change) in changes.iter().enumerate() {
            if change.op == ChangeOp::Schema {
                self.restart_followers(change.seq, SCHEMA_CHANGED);
                continue;
            }
            for subscription in self.slots.iter_mut().flatten() {
                let channel = subscription.channel.clone();
                let Phase::Following(following) = &mut subscription.phase else { continue };
                if following.at < after || following.at >= change.seq {
                    continue;
                }
                let sight = &subscription.sight;
                let Some(event) = judge(change, &subscription.scope, sight) else { continue };
                let more = following.unbroken
                    || more_of_unit(change, &changes[at + 1..], &subscription.scope, sight);
                let place = Place { channel: &channel, prev: following.prev, more };
                self.encoder.write_frame(change, &event, sight, place, &mut frames);
                following.prev = change.seq;
                subscription.sent = change.seq;
            }
        }
        if !frames.is_empty() {
            effects.push(Effect::Write(Bytes::from(frames)));
        }
        for slot in 0..self.slots.len() {
            let Some(Phase::Following(following)) = self.slots[slot].as_mut().map(|sub| &mut sub.phase)
            else {
                continue;
            };
            if following.at < after {
                continue;
            }
            following.at = following.at.max(to);
            // Only the head of a reading is sure to be the end of a batch. A subscription that is ahead of this
            // reading may stand inside one, and would be handed its beginning again.
            if following.at == page.seq {
                self.attach(slot_number(slot), effects);
            }
        }
    }

    /// The schema changed at `seq`: who has not come past it starts again from a snapshot.
    fn restart_followers(&mut self, seq: Seq, reason: &'static str) {
        for (slot, subscription) in self.slots.iter_mut().enumerate() {
            let Some(subscription) = subscription else { continue };
            if subscription.following().is_some_and(|following| following.at < seq) {
                subscription.phase = Phase::Queued(Start::Rows { cause: Cause::Lagged, reason });
                self.waiting.push_back((slot_number(slot), subscription.serial));
            }
        }
    }

    fn on_below_floor(&mut self, floor: Seq, effects: &mut Vec<Effect>) {
        // A snapshot that ends below the floor is taken once more; a second one in a row would only go on for ever.
        let hopeless = self.slots.iter().flatten().any(|subscription| {
            subscription.snapshots >= 2
                && subscription.following().is_some_and(|following| following.at < floor)
        });
        if hopeless {
            self.close(CloseCode::TooSlow, effects);
        } else {
            self.restart_followers(floor, BELOW_FLOOR);
        }
    }

    /// What a following subscription has been sent is complete up to `at`: from here on it hears of batches.
    fn attach(&mut self, slot: u16, effects: &mut Vec<Effect>) {
        self.serial += 1;
        let attachment = AttachmentId { slot, serial: self.serial };
        let (lag, view) = (self.lag, self.view.clone());
        let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) else { return };
        let Phase::Following(following) = subscription.phase else { return };
        subscription.phase = Phase::Attaching { attachment, lag, following };
        effects.push(Effect::Attach {
            attachment,
            channel: subscription.channel.clone(),
            scope: subscription.scope.clone(),
            sight: subscription.sight.clone(),
            view,
            watch: None,
            from: From::After { seq: following.at, prev: following.prev, lag, unbroken: following.unbroken },
        });
    }

    /// ChannelManager does not take the attachment: the subscription ends, and nothing else does.
    pub(super) fn end_refused(&mut self, now: Moment, slot: u16, code: Code, effects: &mut Vec<Effect>) {
        let Some(subscription) = self.slots.get_mut(usize::from(slot)).and_then(Option::take) else { return };
        let request_id = subscription.request_id();
        let text = "too many live queries of this entity compare no field for equality";
        self.refuse(now, code, text, request_id.as_deref(), Some(&subscription.channel), effects);
    }

    fn on_failed_start(
        &mut self,
        now: Moment,
        slot: u16,
        serial: u32,
        error: &StoreError,
        effects: &mut Vec<Effect>,
    ) {
        let Some(subscription) = self.of(slot, serial) else { return };
        if !subscription.unanswered() {
            self.waiting.push_back((slot, serial));
            self.on_failed_log(now, error, effects);
            return;
        }
        let Some(subscription) = self.slots[usize::from(slot)].take() else { return };
        let (code, text) = match error {
            StoreError::Overloaded => (Code::Overloaded, "too many reads are waiting; subscribe again later"),
            StoreError::UnknownEntity(_)
            | StoreError::Closed(_)
            | StoreError::HiddenColumn(..)
            | StoreError::Rule(_)
            | StoreError::StaleGeneration
            | StoreError::TooBroad { .. }
            | StoreError::TooManyGroups { .. }
            | StoreError::Storage(_) => {
                (Code::StorageError, "the records could not be read; subscribe again later")
            }
        };
        let request_id = subscription.request_id();
        self.refuse(now, code, text, request_id.as_deref(), Some(&subscription.channel), effects);
        for frame in subscription.postponed {
            self.on_frame(now, frame, effects);
        }
    }

    fn on_failed_log(&mut self, now: Moment, error: &StoreError, effects: &mut Vec<Effect>) {
        match error {
            StoreError::Overloaded | StoreError::StaleGeneration => {
                self.retry_at = Some(now.instant + RETRY);
            }
            StoreError::UnknownEntity(_)
            | StoreError::Closed(_)
            | StoreError::HiddenColumn(..)
            | StoreError::Rule(_)
            | StoreError::TooBroad { .. }
            | StoreError::TooManyGroups { .. }
            | StoreError::Storage(_) => self.close(CloseCode::Internal, effects),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one frame")]
    fn position_frame(
        &self,
        now: Moment,
        kind: &'static str,
        channel: &str,
        request_id: Option<&str>,
        seq: Seq,
        recovered: Option<bool>,
        reason: Option<&'static str>,
    ) -> Bytes {
        let payload = PositionPayload { epoch: &self.around.epoch, seq, view: &self.view, recovered, reason };
        let (channel, timestamp) = (Some(channel), now.wall);
        ControlFrame { kind, channel, request_id, seq: None, more: reason.is_some(), payload, timestamp }
            .to_json()
    }

    fn of(&mut self, slot: u16, serial: u32) -> Option<&mut Subscription> {
        let subscription = self.slots.get_mut(usize::from(slot))?.as_mut()?;
        (subscription.serial == serial).then_some(subscription)
    }
}
