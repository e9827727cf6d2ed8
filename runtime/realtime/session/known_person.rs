//! `KnownPerson`: who is at the other end, and what the session knows of their rights.

use std::sync::Arc;

use crate::ids::Seq;
use crate::rules::{Person, Principal};
use crate::schema::Generation;
use crate::store::At;

/// See the module's text. Each subscription may have been bound to what is known now, or to an earlier state of it.
#[derive(Debug)]
pub(super) struct KnownPerson {
    pub(super) person: Arc<Person>,
    known: At<Principal>,
    /// It may be out of date where it matters: to be read before any subscription is bound.
    wanted: bool,
    /// ChannelManager tells once when rights of the person change.
    watching_rights: bool,
    /// A channel was refused, and the peer waits for a change of its person's rights.
    awaiting_rights: bool,
}

impl KnownPerson {
    pub(super) fn new(known: At<Principal>) -> KnownPerson {
        KnownPerson {
            person: known.value.person.clone(),
            known,
            wanted: false,
            watching_rights: false,
            awaiting_rights: false,
        }
    }

    /// The rights of an anonymous caller never change, and are never read again.
    pub(super) fn is_nobody(&self) -> bool {
        self.known.value.is_nobody()
    }

    /// Whether other credentials of the same user say the same of them.
    pub(super) fn says_the_same(&self, other: &Person) -> bool {
        *self.person == *other
    }

    /// Every change of rights up to here is known.
    pub(super) fn seq(&self) -> Seq {
        self.known.seq
    }

    /// What is known, if it is of this schema: a field's place in another one is another field.
    pub(super) fn principal(&self, generation: Generation) -> Option<At<&Principal>> {
        let At { epoch, seq, floor, generation: read_under, value } = &self.known;
        let fits = self.is_nobody() || *read_under == generation;
        fits.then(|| At { epoch: epoch.clone(), seq: *seq, floor: *floor, generation: *read_under, value })
    }

    /// Has the principal read before anything else.
    pub(super) fn want(&mut self) {
        self.wanted = !self.is_nobody();
    }

    /// A change of rights at `seq` was found. Newer facts include it already.
    pub(super) fn want_of(&mut self, seq: Seq) {
        if self.known.seq < seq {
            self.want();
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    pub(super) fn take_wanted(&mut self) -> bool {
        std::mem::take(&mut self.wanted)
    }

    /// Whether what is known is of this schema now.
    pub(super) fn learn(&mut self, principal: At<Principal>, generation: Generation) -> bool {
        if principal.seq >= self.known.seq || self.principal(generation).is_none() {
            self.known = principal;
        }
        self.principal(generation).is_some()
    }

    /// The person whose rights are to be watched, if this session does not watch them yet.
    pub(super) fn await_rights(&mut self) -> Option<Arc<str>> {
        self.awaiting_rights = true;
        self.watch_rights()
    }

    /// The same for the session itself, without a word to the peer.
    pub(super) fn watch_rights(&mut self) -> Option<Arc<str>> {
        let person = self.person.id.clone().filter(|_| !self.watching_rights)?;
        self.watching_rights = true;
        Some(person)
    }

    pub(super) fn awaits_rights(&self) -> bool {
        self.watching_rights
    }

    /// ChannelManager told of a change. Whether the peer waits to hear of it too.
    pub(super) fn rights_were_told(&mut self) -> bool {
        self.watching_rights = false;
        std::mem::take(&mut self.awaiting_rights)
    }
}
