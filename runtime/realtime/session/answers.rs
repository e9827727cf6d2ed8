//! The answer of a read: whose it is, and what a failure means for them.

use super::read_queue::ReadFor;
use super::state::Session;
use super::subscription::SlotKey;
use super::turn::Turn;
use crate::protocol::CloseCode;
use crate::realtime::channel::ChannelRefusal;
use crate::realtime::read::ReadAnswer;
use crate::store::StoreError;

impl Session {
    pub(super) fn on_read(&mut self, turn: &mut Turn, answer: ReadAnswer) {
        let Some(read) = self.reads.finish() else { return };
        if let ReadFor::Slot(key) = read
            && answer.is_of_another_schema(self.around.generation)
        {
            return self.read_again(turn, key);
        }
        match (read, answer) {
            (ReadFor::Slot(key), ReadAnswer::Survey(Ok(survey))) => self.on_survey(turn, key, &survey),
            (ReadFor::Slot(key), ReadAnswer::Rows(Ok(rows))) => self.on_rows(turn, key, &rows),
            (ReadFor::Slot(key), ReadAnswer::Differ(Ok(difference))) => {
                self.on_difference(turn, key, difference);
            }
            (ReadFor::Log(after), ReadAnswer::Log(Ok(page))) => self.on_log(turn, after, &page),
            (ReadFor::Principal, ReadAnswer::Principal(Ok(principal))) => self.learn(turn, principal),
            (
                ReadFor::Slot(key),
                ReadAnswer::Survey(Err(error))
                | ReadAnswer::Rows(Err(error))
                | ReadAnswer::Differ(Err(error)),
            ) => self.on_failed_start(turn, key, &error),
            (ReadFor::Log(_), ReadAnswer::Log(Err(error))) => self.on_failed_log(turn, &error),
            (ReadFor::Principal, ReadAnswer::Principal(Err(error))) => {
                self.person.want();
                self.on_failed_log(turn, &error);
            }
            // A loop that answers another question than was asked is broken.
            (ReadFor::Slot(_), ReadAnswer::Log(_) | ReadAnswer::Principal(_))
            | (
                ReadFor::Log(_),
                ReadAnswer::Survey(_)
                | ReadAnswer::Rows(_)
                | ReadAnswer::Principal(_)
                | ReadAnswer::Differ(_),
            )
            | (
                ReadFor::Principal,
                ReadAnswer::Survey(_) | ReadAnswer::Rows(_) | ReadAnswer::Log(_) | ReadAnswer::Differ(_),
            ) => self.close(turn, CloseCode::Internal),
        }
    }

    /// Soon, or as soon as the session has learnt of the schema that the store has.
    fn read_again(&mut self, turn: &Turn, key: SlotKey) {
        if self.slots.of(key).is_some() {
            self.reads.wait_first(key);
            self.reads.pause(turn.now.instant);
        }
    }

    fn on_failed_start(&mut self, turn: &mut Turn, key: SlotKey, error: &StoreError) {
        let Some(subscription) = self.slots.of(key) else { return };
        if subscription.phase.unanswered() {
            return self.end(turn, key.slot, &ChannelRefusal::of_start(error));
        }
        match error {
            StoreError::Rule(_) | StoreError::Closed(_) | StoreError::TooBroad { .. } => {
                self.suspend(turn, key.slot, &ChannelRefusal::of_start(error));
            }
            StoreError::Overloaded
            | StoreError::StaleGeneration
            | StoreError::UnknownEntity(_)
            | StoreError::HiddenColumn(..)
            | StoreError::TooManyGroups { .. }
            | StoreError::Damaged(_)
            | StoreError::Storage(_) => {
                self.reads.wait(key);
                self.on_failed_log(turn, error);
            }
        }
    }

    fn on_failed_log(&mut self, turn: &mut Turn, error: &StoreError) {
        match error {
            StoreError::Overloaded | StoreError::StaleGeneration => self.reads.pause(turn.now.instant),
            StoreError::UnknownEntity(_)
            | StoreError::Closed(_)
            | StoreError::HiddenColumn(..)
            | StoreError::Rule(_)
            | StoreError::TooBroad { .. }
            | StoreError::TooManyGroups { .. }
            | StoreError::Damaged(_)
            | StoreError::Storage(_) => self.close(turn, CloseCode::Internal),
        }
    }
}
