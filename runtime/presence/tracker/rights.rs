//! Who may see a resource: judgements, and what a change of rights or of a record does to them.
//!
//! Looks nothing up: it says what is to be judged, and takes the answer.

use std::sync::Arc;

use super::{AGAIN, PresenceTracker};
use crate::presence::agenda::Due;
use crate::presence::attendee::AttendeeKey;
use crate::presence::input::{PlaceKey, PresenceClock, PresenceVerdict, TouchedPresence};
use crate::presence::output::{PresenceOutput, PresenceRefusal};
use crate::presence::place::HeldEntry;
use crate::presence::record_facts::RecordName;
use crate::presence::watcher::WatcherStanding;
use crate::protocol::Code;
use crate::store::Change;

impl PresenceTracker {
    /// Has it looked up whether the connection may see the resource. Whatever was under way counts no longer.
    pub(super) fn judge(&mut self, key: AttendeeKey, parts: &PlaceKey, out: &mut Vec<PresenceOutput>) {
        self.serial += 1;
        let serial = self.serial;
        let Some(attendee) = self.attendees.get(&key) else { return };
        let person = attendee.visitor.person.clone();
        let Some(watcher) = self.places.get_mut(parts).and_then(|place| place.watchers.get_mut(&key)) else {
            return;
        };
        watcher.standing = WatcherStanding::Judging { serial };
        out.push(PresenceOutput::Judge { attendee: key, place: parts.clone(), person, serial });
    }

    pub(super) fn on_judged(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        serial: u64,
        judgement: PresenceVerdict,
        out: &mut Vec<PresenceOutput>,
    ) {
        let Some(visitor) = self.attendees.get(&key).map(|attendee| attendee.visitor.clone()) else { return };
        let Some(watcher) = self.watcher(key, parts) else { return };
        // Rights may have changed since this was looked up: then it is looked up once more.
        if watcher.standing != (WatcherStanding::Judging { serial }) {
            return;
        }
        match judgement {
            PresenceVerdict::Granted(grant) => {
                watcher.standing = WatcherStanding::Settled;
                let may_join = grant.may_join;
                watcher.grant = Some(grant);
                let waiting = std::mem::take(&mut watcher.waiting);
                if watcher.joined && !may_join {
                    self.end_joining(now, key, parts, out);
                }
                for ask in waiting {
                    if self.watcher(key, parts).is_some() {
                        self.act(now, key, ask, out);
                    } else {
                        // It left meanwhile, by a frame in front of this one.
                        self.on_asked(now, key, visitor.clone(), ask, out);
                    }
                }
                self.tidy(key, parts);
                if self.watcher(key, parts).is_some_and(|watcher| watcher.missed) {
                    self.show(now, key, parts, None, out);
                }
            }
            PresenceVerdict::Refused => self.refuse(now, key, parts, out),
            PresenceVerdict::Failed if watcher.grant.is_some() => {
                self.agenda.add(now.instant + AGAIN, Due::Judge(key, parts.clone()));
            }
            PresenceVerdict::Failed => {
                let waiting = std::mem::take(&mut watcher.waiting);
                for ask in waiting {
                    let text = "whether you may see this resource could not be looked up; try again";
                    let refusal = PresenceRefusal::of(&ask, Code::Overloaded, text);
                    out.push(PresenceOutput::Refused { attendee: key, refusal });
                }
                self.forget(now, key, parts);
            }
        }
    }

    /// The person may not see the resource. What they saw of it ends.
    pub(super) fn refuse(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        out: &mut Vec<PresenceOutput>,
    ) {
        if let Some(user) = self.user_of(key) {
            self.refused.add(key, user);
        }
        let Some(watcher) = self.watcher(key, parts) else { return };
        const TEXT: &str = "you may not see who is at this resource, or it does not exist";
        for ask in std::mem::take(&mut watcher.waiting) {
            let refusal = PresenceRefusal::of(&ask, Code::ForbiddenChannel, TEXT);
            out.push(PresenceOutput::Refused { attendee: key, refusal });
        }
        if watcher.grant.is_some() {
            let (name, answers) = (watcher.name.clone(), std::mem::take(&mut watcher.answers));
            out.push(PresenceOutput::Withdrawn { attendee: key, place: parts.clone(), name: name.clone() });
            refuse_all(key, &name.channel, answers, TEXT, out);
        }
        self.forget(now, key, parts);
    }

    /// The person still sees the resource, and is no longer seen there.
    fn end_joining(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        out: &mut Vec<PresenceOutput>,
    ) {
        if let Some(user) = self.user_of(key) {
            self.refused.add(key, user);
        }
        self.remove_entry(now, key, parts);
        let Some(watcher) = self.watcher(key, parts) else { return };
        watcher.joined = false;
        let (name, answers) = (watcher.name.clone(), std::mem::take(&mut watcher.answers));
        if watcher.watch.is_none() {
            out.push(PresenceOutput::Withdrawn { attendee: key, place: parts.clone(), name: name.clone() });
        }
        refuse_all(key, &name.channel, answers, "you may see who is here, and not join", out);
    }

    pub(super) fn on_touched(
        &mut self,
        now: PresenceClock,
        touched: &TouchedPresence,
        out: &mut Vec<PresenceOutput>,
    ) {
        if touched.everything {
            let refused = self.refused.take_all().into_iter();
            out.extend(refused.map(|attendee| PresenceOutput::RightsChanged { attendee }));
            let all: Vec<_> = self.attendees.iter().map(|(key, of)| (*key, of.places.clone())).collect();
            for (key, places) in all {
                places.iter().for_each(|parts| self.judge(key, parts, out));
            }
            let held: Vec<Arc<str>> = self.held.keys().cloned().collect();
            held.iter().for_each(|user| self.drop_held(now, user));
            return;
        }
        for user in &touched.people {
            let refused = self.refused.take(user).into_iter();
            out.extend(refused.map(|attendee| PresenceOutput::RightsChanged { attendee }));
            let theirs: Vec<AttendeeKey> = self.people.get(user).into_iter().flatten().copied().collect();
            for key in theirs {
                let places = self.attendees.get(&key).map(|of| of.places.clone()).unwrap_or_default();
                places.iter().for_each(|parts| self.judge(key, parts, out));
            }
            self.drop_held(now, user);
        }
        for change in &touched.records {
            let named = RecordName::new(&change.entity, change.id.as_str());
            for parts in self.records.get(&named).cloned().unwrap_or_default() {
                self.on_record(now, &parts, change, out);
            }
        }
    }

    /// The record of a resource changed: who sees it no longer leaves.
    fn on_record(
        &mut self,
        now: PresenceClock,
        parts: &PlaceKey,
        change: &Change,
        out: &mut Vec<PresenceOutput>,
    ) {
        let Some(place) = self.places.get_mut(parts) else { return };
        let (mut again, mut lost) = (Vec::new(), Vec::new());
        for (key, watcher) in &place.watchers {
            let ground = watcher.grant.as_ref().map(|grant| &grant.ground);
            match (watcher.standing, ground.map(|ground| ground.holds_after(change))) {
                // What is being looked up may have been read before the change.
                (WatcherStanding::Judging { .. }, _) | (WatcherStanding::Settled, Some(None)) => {
                    again.push(*key)
                }
                (WatcherStanding::Settled, Some(Some(false))) => lost.push(*key),
                (WatcherStanding::Settled, Some(Some(true)) | None) => {}
            }
        }
        let unheld = place.held_without_sight(change);
        again.sort_unstable();
        lost.sort_unstable();
        again.into_iter().for_each(|key| self.judge(key, parts, out));
        lost.into_iter().for_each(|key| self.refuse(now, key, parts, out));
        for HeldEntry { user, key } in unheld {
            self.drop_one_held(now, &user, parts, key);
        }
    }
}

/// What was granted is so no longer: the joins that wait for their list, and the resource itself.
fn refuse_all(
    attendee: AttendeeKey,
    channel: &Arc<str>,
    answers: Vec<String>,
    text: &str,
    out: &mut Vec<PresenceOutput>,
) {
    let ids = answers.into_iter().map(Some).chain([None]);
    out.extend(ids.map(|request_id| {
        let (channel, code, message) = (channel.clone(), Code::ForbiddenChannel, text.to_owned());
        PresenceOutput::Refused { attendee, refusal: PresenceRefusal { channel, request_id, code, message } }
    }));
}
