//! `Leases`: commits what connections want of leases, keeps the book of what is held, ends what is due, and tells holders and
//! those who wait.
//!
//! Judges nothing: rights and numbers are judged in the transaction (`store/unit/leases.rs`), which also ends a lease with its record.
//! Deadlines are judged in the book.

mod gone;
mod seat;
mod telling;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use futures_util::future::OptionFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

pub use self::seat::LeaseSeat;
use super::lease_book::{HeldLease, LeaseBook};
use crate::auth::Identity;
use crate::channels::Outbox;
use crate::channels::group::ConnectionKey;
use crate::config::RealtimeConfig;
use crate::env::Env;
use crate::event_bus::Batches;
use crate::ids::Timestamp;
use crate::metrics::Metrics;
use crate::presence::{Look, Presence};
use crate::protocol::{Code, LeaseWanted, Resource};
use crate::repository::{LeaseRequest, Repository, RepositoryError};
use crate::rules::Person;
use crate::store::{LeaseAct, LeaseState};

/// What could not be ended is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module's text.
pub struct Leases {
    repository: Arc<Repository>,
    env: Env,
    metrics: Arc<Metrics>,
    /// Shows leases to those who are at the record, and knows who is. `None` where the process has no presence.
    presence: OnceLock<Presence>,
    /// For so long without renewal.
    lasts: Duration,
    /// Of one connection.
    most: usize,
    /// One commit at a time, so that the book hears of them in their order.
    turn: tokio::sync::Mutex<()>,
    /// Held for one look, never across an await.
    state: Mutex<LeasesHeld>,
    /// Something may be due earlier than before.
    changed: Notify,
}

struct LeasesHeld {
    book: LeaseBook,
    /// Who is connected.
    connections: HashMap<Arc<str>, HashMap<ConnectionKey, Connected, RandomState>, RandomState>,
    /// Connections that were refused because another user holds a lease. Each gets one notice when it changes. Of one connection as many as it may
    /// have leases.
    waiting: HashMap<Resource, HashMap<ConnectionKey, Arc<Outbox>, RandomState>, RandomState>,
}

impl LeasesHeld {
    fn wait(&mut self, resource: &Resource, user: &str, connection: ConnectionKey, most: usize) {
        let waits = self.waiting.values().filter(|waiting| waiting.contains_key(&connection)).count();
        let connected = self.connections.get(user).and_then(|connections| connections.get(&connection));
        if let Some(connected) = connected.filter(|_| waits < most) {
            let outbox = connected.outbox.clone();
            self.waiting.entry(resource.clone()).or_default().insert(connection, outbox);
        }
    }

    fn stop_waiting(&mut self, connection: ConnectionKey) {
        self.waiting.retain(|_, waiting| {
            waiting.remove(&connection);
            !waiting.is_empty()
        });
    }
}

/// One connection of a user.
struct Connected {
    outbox: Arc<Outbox>,
    person: Arc<Person>,
}

/// Why a lease was not given, or not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LeaseRefusal {
    pub code: Code,
    pub message: String,
}

/// What became of what a client wanted.
pub type LeaseAnswer = Result<LeaseState, LeaseRefusal>;

impl From<RepositoryError> for LeaseRefusal {
    fn from(error: RepositoryError) -> LeaseRefusal {
        LeaseRefusal { code: error.code(), message: error.to_string() }
    }
}

impl Leases {
    pub fn new(
        repository: Arc<Repository>,
        config: &RealtimeConfig,
        env: Env,
        metrics: Arc<Metrics>,
    ) -> Arc<Leases> {
        Arc::new(Leases {
            repository,
            env,
            metrics,
            presence: OnceLock::new(),
            lasts: config.lease_time,
            most: config.leases,
            turn: tokio::sync::Mutex::default(),
            state: Mutex::new(LeasesHeld {
                book: LeaseBook::new(config.lease_hold),
                connections: HashMap::default(),
                waiting: HashMap::default(),
            }),
            changed: Notify::new(),
        })
    }

    /// From here on leases are shown where their records are. Once.
    pub fn open_presence(&self, presence: Presence) {
        let _ = self.presence.set(presence);
    }

    /// Who holds the lease of a record.
    pub fn holder(&self, resource: &Resource) -> Option<Arc<str>> {
        self.state.lock().book.of(resource).map(|lease| lease.holder.clone())
    }

    /// What a connection wants. `caller` is a user.
    pub async fn ask(
        &self,
        caller: &Identity,
        connection: ConnectionKey,
        resource: &Resource,
        wanted: &LeaseWanted,
    ) -> LeaseAnswer {
        let Some(user) = &caller.user else {
            let message = "only a user holds a lease: log in".to_owned();
            return Err(LeaseRefusal { code: Code::Unauthenticated, message });
        };
        let id = self.repository.lease_id(&resource.entity, &resource.id);
        let resource = &Resource { entity: resource.entity.clone(), id };
        let _turn = self.turn.lock().await;
        let until = Timestamp(self.env.now().0.saturating_add(millis(self.lasts)));
        let (mut holder, mut by, mut ended) = (user.clone(), Some(connection), None);
        let mut person = Some(caller.person());
        let act = match wanted {
            LeaseWanted::Acquire => {
                self.must_have_room(user, connection, resource)?;
                LeaseAct::Acquire { until }
            }
            LeaseWanted::Renew { fence } => LeaseAct::Renew { fence: *fence, until },
            LeaseWanted::Pass { fence, to } => {
                let Some(to) = self.person_at(resource, to).await else {
                    return Err(self.not_present(caller, connection, resource, *fence, to).await);
                };
                if let Some(id) = &to.id {
                    holder = id.clone();
                }
                (by, ended) = (None, Some(*fence));
                LeaseAct::Pass { fence: *fence, to, until }
            }
            LeaseWanted::Release { fence: Some(fence) } => LeaseAct::Release { fence: *fence },
            LeaseWanted::Release { fence: None } => {
                if !self.repository.is_admin(caller).await? {
                    let message =
                        "name the `fence` of your lease: only the role `admin` ends those of others"
                            .to_owned();
                    return Err(LeaseRefusal { code: Code::Forbidden, message });
                }
                person = None;
                LeaseAct::End { fence: None }
            }
        };
        let request = LeaseRequest { entity: resource.entity.clone(), id: resource.id.clone(), act };
        let state = match self.repository.lease(person.as_ref(), &request).await {
            Err(held @ RepositoryError::LeaseHeld { .. }) => {
                self.metrics.presence.lease_refusals.inc();
                self.state.lock().wait(resource, user, connection, self.most);
                return Err(held.into());
            }
            answer => answer?,
        };
        match state {
            LeaseState::Held { fence, until } => {
                self.on_held(resource, &holder, LeaseTerm { fence, until }, by);
                self.show(resource).await;
                if ended.is_some() {
                    self.tell_held(&holder, resource, LeaseTerm { fence, until });
                }
            }
            LeaseState::Free => {
                let former = self.forget(resource);
                self.show(resource).await;
                if let Some(former) = former.filter(|former| former.holder != *user) {
                    self.tell_loss(&former);
                }
            }
        }
        Ok(state)
    }

    /// Ends leases that are due, and those whose records `batches` delete, until the server stops.
    pub async fn keep(&self, mut batches: Batches) {
        let (mut committing, mut look_again) = (true, None);
        loop {
            let due = self.state.lock().book.take_due(Instant::now());
            for lease in due {
                self.end(&lease).await;
            }
            let next = self.state.lock().book.next_due();
            let next = next.into_iter().chain(look_again).min();
            let sleeping = OptionFuture::from(next.map(sleep_until));
            let looked = tokio::select! {
                heard = batches.next(), if committing => match heard {
                    Some(heard) => self.hear(&heard).await,
                    None => {
                        committing = false;
                        Ok(())
                    }
                },
                Some(()) = sleeping => match look_again {
                    Some(at) if at <= Instant::now() => {
                        look_again = None;
                        self.forget_gone().await
                    }
                    Some(_) | None => continue,
                },
                () = self.changed.notified() => continue,
            };
            if looked.is_err() {
                look_again = Some(Instant::now() + AGAIN);
            }
        }
    }

    /// Takes over what the run before left: its holders have the hold time to come back. Before the first caller is served.
    pub async fn load(&self) {
        let _turn = self.turn.lock().await;
        let held = match self.repository.leases().await {
            Ok(held) => held.value,
            Err(error) => {
                tracing::error!(%error, "the leases of the run before could not be read; each ends when its time is over");
                return;
            }
        };
        let (now, wall) = (Instant::now(), self.env.now());
        for row in held {
            let left = u64::try_from(row.lease.until.0.saturating_sub(wall.0)).unwrap_or(0);
            let resource = Resource { entity: row.entity.clone(), id: row.id.shared() };
            let ends = now + Duration::from_millis(left).min(self.lasts);
            let lease =
                HeldLease { resource, holder: row.lease.holder, fence: row.lease.fence, ends, by: None };
            let resource = lease.resource.clone();
            self.state.lock().book.hold(lease, now);
            self.show(&resource).await;
        }
    }

    /// Those who are at the record see who holds its lease. Called in `turn`, so that they see it in the order of the commits.
    async fn show(&self, resource: &Resource) {
        let (holder, held) = {
            let state = self.state.lock();
            (state.book.of(resource).map(|lease| lease.holder.clone()), state.book.len())
        };
        self.metrics.presence.leases.set(i64::try_from(held).unwrap_or(i64::MAX));
        if let Some(presence) = self.presence.get() {
            presence.leased(place_of(resource), holder).await;
        }
    }

    async fn end(&self, lease: &HeldLease) {
        let _turn = self.turn.lock().await;
        // It may have been renewed, or its holder may be back, since it was due.
        let is_due = {
            let state = self.state.lock();
            state.book.of(&lease.resource) == Some(lease) && !state.book.is_scheduled(lease.fence)
        };
        if !is_due {
            return;
        }
        let act = LeaseAct::End { fence: Some(lease.fence) };
        let resource = &lease.resource;
        let request = LeaseRequest { entity: resource.entity.clone(), id: resource.id.clone(), act };
        match self.repository.lease(None, &request).await {
            Ok(_) | Err(RepositoryError::NotFound { .. }) => self.has_ended(lease).await,
            Err(error) => {
                tracing::warn!(%error, "a lease could not be ended; it is tried again");
                self.state.lock().book.put_off(lease.fence, Instant::now() + AGAIN);
            }
        }
    }

    fn must_have_room(
        &self,
        user: &str,
        connection: ConnectionKey,
        resource: &Resource,
    ) -> Result<(), LeaseRefusal> {
        let state = self.state.lock();
        let is_own = state.book.of(resource).is_some_and(|lease| *lease.holder == *user);
        if !is_own && state.book.count_of(user, connection) >= self.most {
            let message = format!("this connection already has {} leases, which is its limit", self.most);
            return Err(LeaseRefusal { code: Code::LeaseLimit, message });
        }
        Ok(())
    }

    /// The user, if they are connected and at the record now.
    async fn person_at(&self, resource: &Resource, user: &str) -> Option<Arc<Person>> {
        let (user, person) = {
            let state = self.state.lock();
            let (user, connections) = state.connections.get_key_value(user)?;
            (user.clone(), connections.values().next()?.person.clone())
        };
        let Some(presence) = self.presence.get() else { return Some(person) };
        let look = Look::IsAt { record: place_of(resource), user };
        presence.look(look).await.is_ok_and(|looked| looked.is_at).then_some(person)
    }

    /// Why a lease was not passed to a user who is not at the record. A caller who does not hold it, or does not see the record,
    /// must not learn where the other user is: for that they renew it, which says what is true of them first.
    async fn not_present(
        &self,
        caller: &Identity,
        connection: ConnectionKey,
        resource: &Resource,
        fence: u64,
        to: &str,
    ) -> LeaseRefusal {
        let until = Timestamp(self.env.now().0.saturating_add(millis(self.lasts)));
        let act = LeaseAct::Renew { fence, until };
        let request = LeaseRequest { entity: resource.entity.clone(), id: resource.id.clone(), act };
        match (self.repository.lease(Some(&caller.person()), &request).await, &caller.user) {
            (Ok(LeaseState::Held { fence, until }), Some(user)) => {
                self.on_held(resource, user, LeaseTerm { fence, until }, Some(connection));
            }
            (Ok(_), _) => {}
            (Err(refusal), _) => return refusal.into(),
        }
        let user = crate::ids::shown(to);
        let message = format!(
            "the user `{user}` is not present at {resource}: a lease is passed to a user who joined it"
        );
        LeaseRefusal { code: Code::NotPresent, message }
    }

    fn on_held(&self, resource: &Resource, holder: &Arc<str>, term: LeaseTerm, by: Option<ConnectionKey>) {
        let now = Instant::now();
        let LeaseTerm { fence, until } = term;
        let lease = HeldLease {
            resource: resource.clone(),
            holder: holder.clone(),
            fence,
            ends: now + self.lasts,
            by,
        };
        let (is_new, former) = {
            let mut state = self.state.lock();
            let former = state.book.of(resource).filter(|known| known.fence != fence).cloned();
            let is_new = former.is_some() || state.book.of(resource).is_none();
            state.book.hold(lease, now);
            (is_new, former)
        };
        self.changed.notify_one();
        // Its record was deleted and made again, or its time was over, and this is heard before it was ended. What is passed has no
        // connection.
        if let Some(former) = former.filter(|_| by.is_some()) {
            self.metrics.presence.lease_ends.inc();
            self.tell_loss(&former);
        }
        if is_new {
            self.metrics.presence.lease_grants.inc();
            self.tell_waiting(resource, Some(holder), Some(until));
        }
    }

    fn forget(&self, resource: &Resource) -> Option<HeldLease> {
        let former = {
            let mut state = self.state.lock();
            let fence = state.book.of(resource).map(|lease| lease.fence);
            fence.and_then(|fence| state.book.forget(fence))
        };
        if former.is_some() {
            self.tell_waiting(resource, None, None);
        }
        former
    }
}

/// Where presence shows it.
fn place_of(resource: &Resource) -> Arc<[String]> {
    Arc::new([resource.entity.to_string(), resource.id.to_string()])
}

/// Under which number a lease is held, and until when.
#[derive(Debug, Clone, Copy)]
struct LeaseTerm {
    fence: u64,
    until: Timestamp,
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
