//! `Roster`: every live connection, whose it is, and the way to end it from outside. Administrators read it and end connections by
//! it; a user who is disabled loses theirs by it, whether they are subscribed to anything or not.
//!
//! Knows no session: what a connection that is ended is told, `session/` decides.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::subscription_row::SubscriptionRow;
use crate::channels::Outbox;
use crate::channels::group::ConnectionKey;
use crate::ids::{ConnectionId, Timestamp};
use crate::metrics::Via;
use crate::outbox::Depth;
use crate::rules::Person;

/// Why a connection is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expulsion {
    /// An administrator ended it.
    Kicked,
    /// Its user was disabled.
    Disabled,
    /// Whether its user is disabled could not be read: it has to come in again.
    Unknown,
}

/// Who connects.
#[derive(Debug, Clone)]
pub struct Newcomer {
    pub id: ConnectionId,
    pub user: Option<Arc<str>>,
    pub address: IpAddr,
    pub opened: Timestamp,
    pub via: Via,
}

/// A connection as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterRow {
    pub id: ConnectionId,
    pub user: Option<Arc<str>>,
    pub address: IpAddr,
    pub opened: Timestamp,
    pub via: Via,
    /// From a ping of the server to the answer; 0 before the first answer, and of a transport without pings.
    pub round_trip_micros: u32,
    pub subscriptions: usize,
    /// What waits for its peer.
    pub depth: Option<Depth>,
}

/// A connection, looked at from close by.
#[derive(Debug)]
pub struct LookedAt {
    pub row: RosterRow,
    /// Whose it is at this moment, with the role and the claims of the newest token.
    pub person: Arc<Person>,
    pub rows: Vec<SubscriptionRow>,
}

/// What a connection shows of itself.
#[derive(Debug)]
struct ShownConnection {
    person: Arc<Person>,
    rows: Vec<SubscriptionRow>,
}

/// How long a connection may take to show its subscriptions.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// See the module's text.
#[derive(Debug, Default)]
pub struct Roster {
    /// Held for one look at each, never across an await.
    entries: Mutex<HashMap<ConnectionKey, RosterEntry>>,
}

#[derive(Debug)]
struct RosterEntry {
    who: Newcomer,
    subscriptions: Arc<AtomicUsize>,
    round_trip: Arc<AtomicU32>,
    outbox: Option<Arc<Outbox>>,
    orders: watch::Sender<SeatOrders>,
    lookers: Arc<Mutex<Vec<Looker>>>,
}

/// Who wants to see the subscriptions of a connection.
type Looker = oneshot::Sender<ShownConnection>;

/// What a connection was asked from outside so far.
#[derive(Debug, Clone, Copy, Default)]
struct SeatOrders {
    expulsion: Option<Expulsion>,
    /// How often it was looked at.
    looks: u64,
}

/// What a connection is asked from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatOrder {
    End(Expulsion),
    /// Show the subscriptions.
    Show,
}

/// What the loop of a connection knows of its place in the roster.
#[derive(Debug, Clone)]
pub struct RosterSeat {
    subscriptions: Arc<AtomicUsize>,
    round_trip: Arc<AtomicU32>,
    orders: watch::Receiver<SeatOrders>,
    /// Looks that were answered, or are answered with the next `show`.
    looks: u64,
    /// Held for one push or one take.
    lookers: Arc<Mutex<Vec<Looker>>>,
}

impl RosterSeat {
    pub fn has_subscriptions(&self, count: usize) {
        self.subscriptions.store(count, Ordering::Relaxed);
    }

    /// The peer answered a ping after so long.
    pub fn answered_after(&self, time: Duration) {
        self.round_trip.store(u32::try_from(time.as_micros()).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Completes with the next order.
    pub async fn ordered(mut self) -> SeatOrder {
        let known = self.looks;
        let news = |orders: &SeatOrders| orders.expulsion.is_some() || orders.looks > known;
        match self.orders.wait_for(news).await.map(|orders| orders.expulsion) {
            Ok(Some(why)) => SeatOrder::End(why),
            Ok(None) => SeatOrder::Show,
            // Its place was given back, so its loop has ended.
            Err(_) => std::future::pending().await,
        }
    }

    /// Answers those who look.
    pub fn show(&mut self, person: Arc<Person>, rows: impl Fn() -> Vec<SubscriptionRow>) {
        self.looks = self.orders.borrow().looks;
        for looker in std::mem::take(&mut *self.lookers.lock()) {
            // An administrator who went away misses nothing.
            let _ = looker.send(ShownConnection { person: person.clone(), rows: rows() });
        }
    }
}

impl Roster {
    pub(super) fn enter(&self, key: ConnectionKey, who: Newcomer) -> RosterSeat {
        let orders = watch::Sender::new(SeatOrders::default());
        let seat = RosterSeat {
            subscriptions: Arc::default(),
            round_trip: Arc::default(),
            orders: orders.subscribe(),
            looks: 0,
            lookers: Arc::default(),
        };
        let (subscriptions, lookers) = (seat.subscriptions.clone(), seat.lookers.clone());
        let round_trip = seat.round_trip.clone();
        self.entries
            .lock()
            .insert(key, RosterEntry { who, subscriptions, round_trip, outbox: None, orders, lookers });
        seat
    }

    pub(super) fn leave(&self, key: ConnectionKey) {
        self.entries.lock().remove(&key);
    }

    pub(super) fn measure(&self, key: ConnectionKey, outbox: Arc<Outbox>) {
        if let Some(entry) = self.entries.lock().get_mut(&key) {
            entry.outbox = Some(outbox);
        }
    }

    /// The connection is that of this user from here on.
    pub(super) fn rename(&self, key: ConnectionKey, user: Option<&Arc<str>>) {
        if let Some(entry) = self.entries.lock().get_mut(&key) {
            entry.who.user = user.cloned();
        }
    }

    pub fn each_depth(&self, mut look: impl FnMut(Depth)) {
        let entries = self.entries.lock();
        entries.values().filter_map(|entry| entry.outbox.as_ref()).for_each(|outbox| look(outbox.depth()));
    }

    /// Oldest first, up to `most`, behind this connection, of this user.
    pub fn list(&self, most: usize, after: Option<ConnectionId>, user: Option<&str>) -> Vec<RosterRow> {
        let entries = self.entries.lock();
        let wanted = entries.values().filter(|entry| {
            user.is_none_or(|user| entry.who.user.as_deref() == Some(user))
                && after.is_none_or(|after| entry.who.id > after)
        });
        let mut rows: Vec<RosterRow> = wanted.map(RosterEntry::row).collect();
        drop(entries);
        rows.sort_unstable_by_key(|row| row.id);
        rows.truncate(most);
        rows
    }

    /// Ends one connection. False where there is none of this id.
    pub fn expel(&self, id: ConnectionId, why: Expulsion) -> bool {
        let entries = self.entries.lock();
        let found = entries.values().find(|entry| entry.who.id == id);
        found.is_some_and(|entry| entry.end(why).is_none())
    }

    /// The connection and its subscriptions. `None` where there is none of this id, or it ends.
    pub async fn look(&self, id: ConnectionId) -> Option<LookedAt> {
        let (row, answer) = {
            let entries = self.entries.lock();
            let entry = entries.values().find(|entry| entry.who.id == id)?;
            let (looker, answer) = oneshot::channel();
            entry.lookers.lock().push(looker);
            entry.orders.send_modify(|orders| orders.looks += 1);
            (entry.row(), answer)
        };
        // The loop of a connection may wait for its peer, which takes as long as a write may take.
        let ShownConnection { person, rows } = tokio::time::timeout(LOOK_TIME, answer).await.ok()?.ok()?;
        Some(LookedAt { row, person, rows })
    }

    /// Ends every connection of a user.
    pub fn expel_user(&self, user: &str, why: Expulsion) {
        for entry in self.entries.lock().values() {
            if entry.who.user.as_deref() == Some(user) {
                entry.end(why);
            }
        }
    }
}

impl RosterEntry {
    /// Orders the end; answers the reason for which it was ordered before.
    fn end(&self, why: Expulsion) -> Option<Expulsion> {
        let mut before = None;
        self.orders.send_modify(|orders| before = orders.expulsion.replace(why));
        before
    }

    fn row(&self) -> RosterRow {
        let Newcomer { id, user, address, opened, via } = self.who.clone();
        let subscriptions = self.subscriptions.load(Ordering::Relaxed);
        let round_trip_micros = self.round_trip.load(Ordering::Relaxed);
        let depth = self.outbox.as_ref().map(|outbox| outbox.depth());
        RosterRow { id, user, address, opened, via, round_trip_micros, subscriptions, depth }
    }
}
