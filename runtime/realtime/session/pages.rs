//! What the answer of a read makes of its subscriptions: a survey, a page of rows, a page of the log.

use std::sync::Arc;

use bytes::Bytes;

use super::reading::RETRY;
use super::subscription::{Cause, Following, Part, Phase, Start, Subscription, slot_number};
use super::{Effect, Moment, ReadAnswer, Reading, Session};
use crate::channels::encode::{Encoder, Place};
use crate::channels::{AttachmentId, From, judge};
use crate::ids::Seq;
use crate::metrics::CatchUp;
use crate::protocol::CloseCode;
use crate::protocol::reason::{BELOW_FLOOR, SCHEMA_CHANGED};
use crate::protocol::server_frame::{ControlFrame, PositionPayload, snapshot_json};
use crate::realtime::channel::{Checkup, Refusal};
use crate::realtime::read::Checked;
use crate::realtime::resume::{Claim, Resume, decide, more_of_unit};
use crate::store::{At, Change, ChangeOp, ListPage, LogPage, StoreError, Survey};

impl Session {
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
            (Reading::Slot(..), ReadAnswer::Differ(Ok(difference))) => {
                self.on_difference(now, reading, difference, effects);
            }
            (Reading::Log(after), ReadAnswer::Log(Ok(page))) => self.on_log(after, &page, effects),
            (Reading::Principal, ReadAnswer::Principal(principal)) => {
                self.on_principal(now, principal, effects)
            }
            (
                Reading::Slot(slot, serial),
                ReadAnswer::Survey(Err(error))
                | ReadAnswer::Rows(Err(error))
                | ReadAnswer::Differ(Err(error)),
            ) => self.on_failed_start(now, slot, serial, &error, effects),
            (Reading::Log(_), ReadAnswer::Log(Err(error))) => self.on_failed_log(now, &error, effects),
            // A transport that answers another question than was asked is broken.
            (Reading::Slot(..), ReadAnswer::Log(_) | ReadAnswer::Principal(_))
            | (
                Reading::Log(_),
                ReadAnswer::Survey(_)
                | ReadAnswer::Rows(_)
                | ReadAnswer::Principal(_)
                | ReadAnswer::Differ(_),
            )
            | (
                Reading::Principal,
                ReadAnswer::Survey(_) | ReadAnswer::Rows(_) | ReadAnswer::Log(_) | ReadAnswer::Differ(_),
            ) => self.close(CloseCode::Internal, effects),
        }
    }

    /// The store has, or had, another schema than this session; of entities that are gone it knows nothing.
    fn is_of_another_schema(&self, answer: &ReadAnswer) -> bool {
        let other = |generation| generation != self.around.generation;
        match answer {
            ReadAnswer::Survey(Ok(survey)) => other(survey.read.generation),
            ReadAnswer::Rows(Ok(rows)) => other(rows.read.generation),
            ReadAnswer::Differ(Ok(difference)) => other(difference.generation),
            ReadAnswer::Survey(Err(error))
            | ReadAnswer::Rows(Err(error))
            | ReadAnswer::Differ(Err(error)) => {
                matches!(error, StoreError::StaleGeneration | StoreError::UnknownEntity(_))
            }
            ReadAnswer::Log(_) | ReadAnswer::Principal(_) => false,
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
        survey: &Checked<Survey>,
        effects: &mut Vec<Effect>,
    ) {
        let limit = self.around.config.replay_limit;
        let Some(subscription) = self.of(slot, serial) else { return };
        let Phase::Surveying { cause, since, view: theirs } = subscription.phase.clone() else { return };
        match subscription.check(survey) {
            Checkup::Same => {}
            Checkup::Changed(seq) => return self.on_rights_changed(slot, seq),
            Checkup::NotAsked => return self.close(CloseCode::Internal, effects),
        }
        let Some(bound) = &subscription.bound else { return };
        // Whoever fell behind was shown what they have by this very server, under this very read scope.
        let view = if cause == Cause::Lagged { Some(bound.view.as_str()) } else { theirs.as_deref() };
        match decide(Claim { since: since.seq, view }, bound, survey, limit) {
            Resume::Recovered => {
                // A lagging peer knows of no event between its last one and `since`, so `prev` is what it was sent.
                let prev = if cause == Cause::Lagged { subscription.sent } else { since.seq };
                subscription.sent = prev;
                subscription.phase = Phase::Following(Following { at: since.seq, prev, part: Part::Log });
                self.around.metrics.live.caught_up(match &cause {
                    Cause::Asked { .. } => CatchUp::Resume,
                    Cause::Lagged => CatchUp::Lag,
                });
                if let Cause::Asked { request_id } = cause {
                    let answer = Told { recovered: Some(true), reason: None, more: false };
                    let kind = "subscribed";
                    self.tell_position(
                        now,
                        slot,
                        kind,
                        request_id.as_deref(),
                        survey.read.seq,
                        answer,
                        effects,
                    );
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
        page: &Checked<ListPage>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(subscription) = self.of(slot, serial) else { return };
        let Phase::Rows { cause, reason, first, written, .. } = subscription.phase.clone() else { return };
        let rows = &page.read;
        match subscription.check(page) {
            Checkup::Same => {}
            Checkup::Changed(seq) => return self.on_rights_changed(slot, seq),
            Checkup::NotAsked => return self.close(CloseCode::Internal, effects),
        }
        let count = rows.value.rows.len();
        let written = written + count;
        let limited = subscription.limit.is_some_and(|limit| written >= limit);
        let complete = !rows.value.more || limited;
        let started = first.unwrap_or(rows.seq);
        let last = rows.value.rows.last().map(|row| row.id.clone());
        subscription.sent = started;
        subscription.phase = if complete {
            Phase::Following(Following { at: started, prev: started, part: Part::Snapshot })
        } else {
            Phase::Rows { cause: cause.clone(), reason, first: Some(started), after: last, written }
        };
        let channel = subscription.channel.text.clone();
        if !complete {
            self.waiting.push_back((slot, serial));
        }
        if first.is_none() {
            self.announce_rows(now, slot, &cause, reason, rows, effects);
        }
        self.write_rows(now, &channel, rows, limited, effects);
        if complete && started == rows.seq {
            self.attach(slot, effects);
        }
        if first.is_none() {
            self.resume_postponed(now, slot, effects);
        }
    }

    fn announce_rows(
        &mut self,
        now: Moment,
        slot: u16,
        cause: &Cause,
        reason: &'static str,
        rows: &At<ListPage>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) {
            subscription.snapshots = subscription.snapshots.saturating_add(1);
        }
        let live = &self.around.metrics.live;
        match cause {
            Cause::Asked { request_id } => {
                live.snapshot(reason);
                let answer = Told { recovered: Some(false), reason: None, more: !rows.value.rows.is_empty() };
                self.tell_position(now, slot, "subscribed", request_id.as_deref(), rows.seq, answer, effects);
            }
            Cause::Lagged => {
                live.resynced(reason);
                let answer = Told { recovered: None, reason: Some(reason), more: true };
                self.tell_position(now, slot, "resync", None, rows.seq, answer, effects);
            }
        }
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

    /// A page of the log after `after`. Who fell behind `after` while it was read has no part in it, nor has anybody whose rights
    /// changed unknown to their read scope.
    fn on_log(&mut self, after: Seq, page: &Checked<LogPage>, effects: &mut Vec<Effect>) {
        let read = &page.read;
        let (changes, to) = match &read.value {
            LogPage::Changes { changes, to } => (changes, *to),
            LogPage::BelowFloor => return self.on_below_floor(read.floor, effects),
        };
        let readers = self.readers(after, page);
        let mut frames = Vec::new();
        for (at, change) in changes.iter().enumerate() {
            if change.op == ChangeOp::Schema {
                self.restart_followers(change.seq, SCHEMA_CHANGED);
                continue;
            }
            for slot in &readers {
                let Some(subscription) = &mut self.slots[*slot] else { continue };
                write_event(subscription, &changes[at..], &mut self.encoder, &mut frames);
            }
        }
        if !frames.is_empty() {
            effects.push(Effect::Write(Bytes::from(frames)));
        }
        for slot in readers {
            let Some(Phase::Following(following)) = self.slots[slot].as_mut().map(|sub| &mut sub.phase)
            else {
                continue;
            };
            following.at = following.at.max(to);
            // Only the head of a reading is sure to be the end of a batch. A subscription that is ahead of this
            // reading may stand inside one, and would be handed its beginning again.
            if following.at == read.seq {
                self.attach(slot_number(slot), effects);
            }
        }
    }

    /// Who is shown this page.
    fn readers(&mut self, after: Seq, page: &Checked<LogPage>) -> Vec<usize> {
        let mut readers = Vec::new();
        for slot in 0..self.slots.len() {
            let Some(subscription) = &mut self.slots[slot] else { continue };
            if subscription.following().is_none_or(|following| following.at < after) {
                continue;
            }
            match subscription.check(page) {
                Checkup::Same => readers.push(slot),
                Checkup::Changed(seq) => self.on_rights_changed(slot_number(slot), seq),
                Checkup::NotAsked => {}
            }
        }
        readers
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
    pub(super) fn attach(&mut self, slot: u16, effects: &mut Vec<Effect>) {
        let (lag, serial) = (self.lag, self.serial + 1);
        let attachment = AttachmentId { slot, serial };
        let Some(Some(subscription)) = self.slots.get_mut(usize::from(slot)) else { return };
        let Phase::Following(following) = subscription.phase else { return };
        self.serial = serial;
        subscription.phase = Phase::Attaching { attachment, lag, following };
        let unbroken = following.unbroken();
        let from = From::After { seq: following.at, prev: following.prev, lag, unbroken };
        self.attach_from(attachment, from, effects);
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
        if subscription.unanswered() {
            return self.end(now, slot, &Refusal::of_start(error), effects);
        }
        match error {
            StoreError::Rule(_) | StoreError::Closed(_) | StoreError::TooBroad { .. } => {
                self.suspend(now, slot, &Refusal::of_start(error), effects);
            }
            StoreError::Overloaded
            | StoreError::StaleGeneration
            | StoreError::UnknownEntity(_)
            | StoreError::HiddenColumn(..)
            | StoreError::TooManyGroups { .. }
            | StoreError::Damaged(_)
            | StoreError::Storage(_) => {
                self.waiting.push_back((slot, serial));
                self.on_failed_log(now, error, effects);
            }
        }
    }

    pub(super) fn on_failed_log(&mut self, now: Moment, error: &StoreError, effects: &mut Vec<Effect>) {
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
            | StoreError::Damaged(_)
            | StoreError::Storage(_) => self.close(CloseCode::Internal, effects),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the principal of one frame")]
    fn tell_position(
        &self,
        now: Moment,
        slot: u16,
        kind: &'static str,
        request_id: Option<&str>,
        seq: Seq,
        told: Told,
        effects: &mut Vec<Effect>,
    ) {
        let Some(Some(subscription)) = self.slots.get(usize::from(slot)) else { return };
        let Some(bound) = &subscription.bound else { return };
        let Told { recovered, reason, more } = told;
        let payload =
            PositionPayload { epoch: &self.around.epoch, seq, view: &bound.view, recovered, reason };
        let (channel, timestamp) = (Some(&*subscription.channel.text), now.wall);
        let frame = ControlFrame { kind, channel, request_id, seq: None, more, payload, timestamp };
        effects.push(Effect::Send(frame.to_json()));
    }

    pub(super) fn of(&mut self, slot: u16, serial: u32) -> Option<&mut Subscription> {
        let subscription = self.slots.get_mut(usize::from(slot))?.as_mut()?;
        (subscription.serial == serial).then_some(subscription)
    }
}

/// What a frame says beside its position.
#[derive(Debug, Clone, Copy)]
struct Told {
    recovered: Option<bool>,
    reason: Option<&'static str>,
    more: bool,
}

/// What the first of these changes is for a subscription that has not come so far; the rest follows it in the log.
fn write_event(
    subscription: &mut Subscription,
    changes: &[Arc<Change>],
    encoder: &mut Encoder,
    frames: &mut Vec<u8>,
) {
    let Some((change, rest)) = changes.split_first() else { return };
    let (Phase::Following(following), Some(bound)) = (&mut subscription.phase, &subscription.bound) else {
        return;
    };
    if following.at >= change.seq {
        return;
    }
    let Some(event) = judge(change, &subscription.channel.scope, &bound.read_scope) else { return };
    let more =
        following.unbroken() || more_of_unit(change, rest, &subscription.channel.scope, &bound.read_scope);
    let place = Place { channel: &subscription.channel.text, prev: following.prev, more };
    encoder.write_frame(change, &event, &bound.read_scope, place, frames);
    following.prev = change.seq;
    subscription.sent = change.seq;
}
