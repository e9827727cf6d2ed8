//! What a connection asks of a resource: to watch, to join, to tell, to leave.
//!
//! Knows no rule. What waits for a judgement is asked again when that has come.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Attendee, PresenceTracker};
use crate::presence::attendee::{AttendeeKey, Visitor};
use crate::presence::entry::{PresenceEntry, merge, metadata_bytes};
use crate::presence::input::{Ask, PlaceKey, PresenceClock};
use crate::presence::output::{PresenceOutput, PresenceRefusal};
use crate::presence::place::Entered;
use crate::presence::record_facts::RecordName;
use crate::presence::watcher::{Watcher, WatcherStanding};
use crate::protocol::{Code, PresenceAction, PresenceNews};

/// Frames of one connection that may wait while it is judged at one resource.
const WAITING: usize = 8;

impl PresenceTracker {
    pub(super) fn on_asked(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        visitor: Visitor,
        ask: Ask,
        out: &mut Vec<PresenceOutput>,
    ) {
        let parts = ask.resource.parts.clone();
        self.show_life(now, key);
        let knows = self.places.get(&parts).is_some_and(|place| place.watchers.contains_key(&key));
        if !knows {
            if let Some(refusal) = self.cannot_begin(key, &visitor, &ask) {
                return out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            return self.begin(now, key, visitor, ask, out);
        }
        let Some(watcher) = self.watcher(key, &parts) else { return };
        if let WatcherStanding::Judging { .. } = watcher.standing {
            if watcher.waiting.len() < WAITING {
                watcher.waiting.push(ask);
            } else {
                let text = "wait for the answer to what this connection last asked of this resource";
                let refusal = PresenceRefusal::of(&ask, Code::RateLimited, text);
                out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            return;
        }
        self.act(now, key, ask, out);
    }

    /// Why a connection cannot ask this of a resource that it has nothing to do with yet.
    fn cannot_begin(&self, key: AttendeeKey, visitor: &Visitor, ask: &Ask) -> Option<PresenceRefusal> {
        match &ask.action {
            PresenceAction::Join(_) if visitor.id.is_none() => {
                let text = "log in to join; without a user `subscribe` shows who is here";
                return Some(PresenceRefusal::of(ask, Code::Unauthenticated, text));
            }
            PresenceAction::Join(_) | PresenceAction::Watch(_) => {}
            PresenceAction::Update(_) | PresenceAction::Heartbeat(_) | PresenceAction::Leave => {
                let text = "this connection has not joined this resource: send `presence:join` first";
                return Some(PresenceRefusal::of(ask, Code::NotSubscribed, text));
            }
            PresenceAction::Unwatch => {
                let text = "there is no subscription to this channel";
                return Some(PresenceRefusal::of(ask, Code::NotSubscribed, text));
            }
        }
        let most = self.limits.entries;
        let has = self.attendees.get(&key).map_or(0, |attendee| attendee.places.len());
        (has >= most).then(|| {
            let text = format!("this connection already watches {most} resources, which is its limit");
            PresenceRefusal::of(ask, Code::PresenceLimit, text)
        })
    }

    fn begin(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        visitor: Visitor,
        ask: Ask,
        out: &mut Vec<PresenceOutput>,
    ) {
        let parts = ask.resource.parts.clone();
        if !self.attendees.contains_key(&key) {
            if let Some(user) = &visitor.id {
                self.people.entry(user.clone()).or_default().insert(key);
            }
            let attendee = Attendee {
                visitor: visitor.clone(),
                places: BTreeSet::new(),
                alive_until: None,
                look_at: None,
            };
            self.attendees.insert(key, attendee);
            self.show_life(now, key);
        }
        if let Some(attendee) = self.attendees.get_mut(&key) {
            attendee.places.insert(parts.clone());
        }
        if let Some(named) = RecordName::of(&parts) {
            self.records.entry(named).or_default().insert(parts.clone());
        }
        let watcher = Watcher::new(ask.resource.clone(), ask);
        self.places.entry(parts.clone()).or_default().watchers.insert(key, watcher);
        self.judge(key, &parts, out);
    }

    /// What a connection asks that may see the resource.
    pub(super) fn act(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        ask: Ask,
        out: &mut Vec<PresenceOutput>,
    ) {
        let parts = ask.resource.parts.clone();
        let Some(watcher) = self.watcher(key, &parts) else { return };
        watcher.name = ask.resource.clone();
        let Ask { action, request_id, resource } = ask.clone();
        match action {
            PresenceAction::Watch(kind) => {
                watcher.watch = Some(kind);
                out.push(PresenceOutput::Subscribed { attendee: key, name: resource, request_id });
                self.show(now, key, &parts, None, out);
            }
            PresenceAction::Unwatch if watcher.watch.is_none() => {
                let refusal = PresenceRefusal::of(
                    &ask,
                    Code::NotSubscribed,
                    "there is no subscription to this channel",
                );
                out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            PresenceAction::Unwatch => {
                watcher.watch = None;
                if !watcher.joined {
                    out.push(PresenceOutput::Silence { attendee: key, place: parts.clone() });
                }
                out.push(PresenceOutput::Unsubscribed { attendee: key, name: resource, request_id });
                self.tidy(key, &parts);
            }
            PresenceAction::Join(news) => match self.join(now, key, &parts, news) {
                Ok(()) => self.show(now, key, &parts, request_id, out),
                Err(NotDone { code, message }) => {
                    if code == Code::ForbiddenChannel
                        && let Some(user) = self.user_of(key)
                    {
                        self.refused.add(key, user);
                    }
                    out.push(PresenceOutput::Refused {
                        attendee: key,
                        refusal: PresenceRefusal::of(&ask, code, message),
                    });
                    self.tidy(key, &parts);
                }
            },
            PresenceAction::Update(news) | PresenceAction::Heartbeat(news) => {
                match self.update(now, key, &parts, news) {
                    Ok(()) => acknowledge(key, &ask, out),
                    Err(NotDone { code, message }) => {
                        let refusal = PresenceRefusal::of(&ask, code, message);
                        out.push(PresenceOutput::Refused { attendee: key, refusal });
                    }
                }
            }
            PresenceAction::Leave if !watcher.joined => {
                let text = "this connection has not joined this resource";
                let refusal = PresenceRefusal::of(&ask, Code::NotSubscribed, text);
                out.push(PresenceOutput::Refused { attendee: key, refusal });
            }
            PresenceAction::Leave => {
                watcher.joined = false;
                if watcher.watch.is_none() {
                    out.push(PresenceOutput::Silence { attendee: key, place: parts.clone() });
                    // A join that waits for its list is answered all the same.
                    self.answer_with_nobody(key, &parts, out);
                }
                acknowledge(key, &ask, out);
                self.remove_entry(now, key, &parts);
                self.tidy(key, &parts);
            }
        }
    }

    fn join(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        news: PresenceNews,
    ) -> Result<(), NotDone> {
        let Some(attendee) = self.attendees.get(&key) else { return Ok(()) };
        let user = attendee.visitor.id.clone();
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return Ok(()) };
        let Some(watcher) = place.watchers.get_mut(&key) else { return Ok(()) };
        let Some(user) = user else {
            let text = "log in to join; without a user `subscribe` shows who is here";
            return Err(NotDone::new(Code::Unauthenticated, text));
        };
        let Some(grant) = watcher.grant.clone() else { return Ok(()) };
        if !grant.may_join {
            return Err(NotDone::new(Code::ForbiddenChannel, "you may see who is here, and not join"));
        }
        let metadata = merge(&serde_json::Map::new(), news.metadata);
        if metadata_bytes(&metadata) > limits.metadata_bytes {
            return Err(too_large(limits.metadata_bytes));
        }
        if !place.users.contains_key(&user) && place.users.len() >= limits.members {
            let text = format!("{} users are here already, which is the limit", limits.members);
            return Err(NotDone::new(Code::PresenceLimit, text));
        }
        watcher.joined = true;
        self.serial += 1;
        let entry = PresenceEntry {
            metadata: Arc::new(metadata),
            order: self.serial,
            said: news.state,
            active_at: now.instant,
            seen_at: now.wall,
            joined_at: now.wall,
            held: false,
            ground: grant.ground.clone(),
        };
        let entered = place.enter(&user, grant.name.clone(), key, entry);
        if let Entered::InsteadOf(before) = entered {
            self.unhold(&user, parts, before);
        }
        self.fade_later(now, parts);
        self.mark(now, parts, &user);
        Ok(())
    }

    fn update(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        news: PresenceNews,
    ) -> Result<(), NotDone> {
        let most = self.limits.metadata_bytes;
        self.serial += 1;
        let order = self.serial;
        let Some(user) = self.user_of(key) else { return Err(not_joined()) };
        let Some(entry) = self.places.get_mut(parts).and_then(|place| place.entry_mut(&user, key)) else {
            return Err(not_joined());
        };
        if !news.metadata.is_empty() {
            let metadata = merge(&entry.metadata, news.metadata);
            if metadata_bytes(&metadata) > most {
                return Err(too_large(most));
            }
            (entry.metadata, entry.order) = (Arc::new(metadata), order);
        }
        // Word of the client is a sign of activity, unless it says otherwise.
        entry.said = news.state;
        (entry.active_at, entry.seen_at) = (now.instant, now.wall);
        self.fade_later(now, parts);
        self.mark(now, parts, &user);
        Ok(())
    }
}

/// Who asks for an answer gets one.
fn acknowledge(attendee: AttendeeKey, ask: &Ask, out: &mut Vec<PresenceOutput>) {
    if let Some(request_id) = ask.request_id.clone() {
        out.push(PresenceOutput::Done { attendee, name: ask.resource.clone(), request_id });
    }
}

fn not_joined() -> NotDone {
    NotDone::new(
        Code::NotSubscribed,
        "this connection has not joined this resource: send `presence:join` first",
    )
}

fn too_large(most: usize) -> NotDone {
    NotDone::new(Code::PresenceLimit, format!("the metadata of one entry has at most {most} bytes as JSON"))
}

/// Why something was not done.
struct NotDone {
    code: Code,
    message: String,
}

impl NotDone {
    fn new(code: Code, message: impl Into<String>) -> NotDone {
        NotDone { code, message: message.into() }
    }
}
