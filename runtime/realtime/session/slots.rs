//! `Slots`: what a session is subscribed to, each in its place, with a number that is never used twice.

use super::subscription::{SlotKey, Subscription};
use crate::channels::AttachmentId;
use crate::outbox::Lag;
use crate::protocol::ClientFrame;

/// See the module's text. A session has far fewer than 65,536 slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Option<Slot>>,
    serial: u32,
}

/// One thing that a peer is subscribed to.
#[derive(Debug)]
enum Slot {
    /// Records: they have positions, and count when a pong names one for the whole connection.
    Records(Subscription),
}

impl Slots {
    pub(super) fn count(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// Every number that a slot has or had.
    pub(super) fn numbers(&self) -> std::ops::Range<u16> {
        0..number(self.slots.len())
    }

    /// The next number for a subscription or an attachment.
    pub(super) fn next_serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// By the exact text of its channel.
    pub(super) fn find(&self, channel: &str) -> Option<u16> {
        self.records().find(|(_, records)| *records.channel.text == *channel).map(|(slot, _)| slot)
    }

    /// Takes the first free slot.
    pub(super) fn open(&mut self, subscription: Subscription) -> u16 {
        let slot = self.slots.iter().position(Option::is_none).unwrap_or_else(|| {
            // Most have one, and a vector that grows by itself begins with four.
            self.slots.reserve_exact(1);
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(Slot::Records(subscription));
        number(slot)
    }

    pub(super) fn close(&mut self, slot: u16) -> Option<Subscription> {
        let Slot::Records(subscription) = self.slots.get_mut(usize::from(slot))?.take()?;
        Some(subscription)
    }

    /// The subscriptions to records, by slot.
    pub(super) fn records(&self) -> impl Iterator<Item = (u16, &Subscription)> + Clone {
        let all = self.slots.iter().enumerate();
        all.filter_map(|(slot, held)| held.as_ref().map(|Slot::Records(records)| (number(slot), records)))
    }

    pub(super) fn records_mut(&mut self) -> impl Iterator<Item = (u16, &mut Subscription)> {
        let all = self.slots.iter_mut().enumerate();
        all.filter_map(|(slot, held)| held.as_mut().map(|Slot::Records(records)| (number(slot), records)))
    }

    pub(super) fn at(&self, slot: u16) -> Option<&Subscription> {
        match self.slots.get(usize::from(slot))? {
            Some(Slot::Records(subscription)) => Some(subscription),
            None => None,
        }
    }

    pub(super) fn at_mut(&mut self, slot: u16) -> Option<&mut Subscription> {
        match self.slots.get_mut(usize::from(slot))? {
            Some(Slot::Records(subscription)) => Some(subscription),
            None => None,
        }
    }

    /// Whether what the peer asks of it now must wait for an answer.
    pub(super) fn must_postpone(&self, slot: u16) -> bool {
        self.at(slot).is_some_and(Subscription::must_postpone)
    }

    /// What the peer asked of it before it was answered; it was answered now.
    pub(super) fn take_postponed(&mut self, slot: u16) -> Vec<ClientFrame> {
        self.at_mut(slot).map(|subscription| std::mem::take(&mut subscription.postponed)).unwrap_or_default()
    }

    /// `None` when another subscription has the slot by now.
    pub(super) fn of(&mut self, key: SlotKey) -> Option<&mut Subscription> {
        self.at_mut(key.slot).filter(|subscription| subscription.serial == key.serial)
    }

    /// The subscription that has the attachment now.
    pub(super) fn attached(&mut self, attachment: AttachmentId) -> Option<&mut Subscription> {
        self.at_mut(attachment.slot)
            .filter(|subscription| subscription.phase.attachment() == Some(attachment))
    }

    /// Whether the peer is complete up to any position that ChannelManager names.
    pub(super) fn all_live(&self, lag: Lag) -> bool {
        self.records().all(|(_, subscription)| subscription.phase.is_live(lag))
    }
}

fn number(slot: usize) -> u16 {
    u16::try_from(slot).unwrap_or(u16::MAX)
}
