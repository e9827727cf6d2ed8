//! `ConnectionPlaces`: who is connected, within the caps. A place is given back when it is dropped.
//!
//! Knows no transport and no session.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::roster::{Newcomer, Roster, RosterSeat};
use crate::channels::Outbox;
use crate::channels::group::ConnectionKey;
use crate::config::RealtimeConfig;

/// See the module's text.
#[derive(Debug, Default)]
pub struct ConnectionPlaces {
    keys: AtomicU64,
    /// Who is here. Held for a count, never across an await.
    present: Mutex<Present>,
    roster: Roster,
}

#[derive(Debug, Default)]
struct Present {
    connections: usize,
    by_user: HashMap<Arc<str>, usize>,
}

/// A place among the connections.
#[derive(Debug)]
pub struct ConnectionPlace {
    places: Arc<ConnectionPlaces>,
    user: Option<Arc<str>>,
    key: ConnectionKey,
}

/// There is no place left, in all or for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    #[error("this server already has {0} connections, which is its limit")]
    Server(usize),
    #[error("this user already has {0} connections, which is the limit for one user")]
    User(usize),
}

/// How many are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attendance {
    pub connections: usize,
    pub users: usize,
}

impl ConnectionPlaces {
    pub fn admit(
        self: &Arc<Self>,
        user: Option<&Arc<str>>,
        config: &RealtimeConfig,
    ) -> Result<ConnectionPlace, NoPlace> {
        let mut present = self.present.lock();
        let of_user = user.and_then(|user| present.by_user.get(user)).copied().unwrap_or(0);
        if present.connections >= config.connections {
            return Err(NoPlace::Server(config.connections));
        }
        if of_user >= config.connections_per_user {
            return Err(NoPlace::User(of_user));
        }
        present.connections += 1;
        if let Some(user) = user {
            present.by_user.insert(user.clone(), of_user + 1);
        }
        drop(present);
        Ok(ConnectionPlace { places: self.clone(), user: user.cloned(), key: self.new_key() })
    }

    /// A key for a new outbox of this process.
    pub fn new_key(&self) -> ConnectionKey {
        ConnectionKey(self.keys.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub fn attendance(&self) -> Attendance {
        let present = self.present.lock();
        Attendance { connections: present.connections, users: present.by_user.len() }
    }

    /// Whether a user is connected.
    pub fn has_user(&self, user: &str) -> bool {
        self.present.lock().by_user.contains_key(user)
    }

    /// Every user who is connected.
    pub fn users(&self) -> Vec<Arc<str>> {
        self.present.lock().by_user.keys().cloned().collect()
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }
}

impl ConnectionPlace {
    pub fn key(&self) -> ConnectionKey {
        self.key
    }

    /// The connection is that of this user from here on, unless they have as many as they may have.
    pub fn take_over(&mut self, user: Option<&Arc<str>>, most: usize) -> Result<(), NoPlace> {
        if self.user.as_ref() == user {
            return Ok(());
        }
        let mut present = self.places.present.lock();
        if let Some(user) = user {
            let of_user = present.by_user.get(user).copied().unwrap_or(0);
            if of_user >= most {
                return Err(NoPlace::User(of_user));
            }
            present.by_user.insert(user.clone(), of_user + 1);
        }
        if let Some(former) = self.user.take() {
            present.leave(&former);
        }
        drop(present);
        self.user = user.cloned();
        self.places.roster.rename(self.key, user);
        Ok(())
    }

    /// From here on administrators see the connection that has this place.
    pub fn enter(&self, who: Newcomer) -> RosterSeat {
        self.places.roster.enter(self.key, who)
    }

    /// The outbox in front of it.
    pub fn measure(&self, outbox: Arc<Outbox>) {
        self.places.roster.measure(self.key, outbox);
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.places.roster.leave(self.key);
        let mut present = self.places.present.lock();
        present.connections -= 1;
        if let Some(user) = &self.user {
            present.leave(user);
        }
    }
}

impl Present {
    /// One connection of a user is gone.
    fn leave(&mut self, user: &Arc<str>) {
        let left = self.by_user.get(user).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            self.by_user.remove(user);
        } else {
            self.by_user.insert(user.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that a connection does. Each is one hold of the lock, so the orders below are all those in which threads can do them.
    #[derive(Debug, Clone, Copy)]
    enum Step {
        Admit(Option<&'static str>),
        TakeOver(Option<&'static str>),
        Go,
    }

    const ADA: Option<&str> = Some("ada");
    const BEN: Option<&str> = Some("ben");
    /// Two connections in all and one of each user: every limit is met in some order.
    const LIVES: [&[Step]; 3] = [
        &[Step::Admit(ADA), Step::Go],
        &[Step::Admit(None), Step::TakeOver(ADA), Step::TakeOver(BEN), Step::Go],
        &[Step::Admit(ADA), Step::TakeOver(None), Step::Go],
    ];

    /// Every order of the steps that keeps the order within each life: each entry is the life whose next step it is.
    fn orders(left: [usize; 3]) -> Vec<Vec<usize>> {
        let mut all = Vec::new();
        for life in 0..3 {
            if left[life] > 0 {
                let mut rest = left;
                rest[life] -= 1;
                all.extend(orders(rest).into_iter().map(|order| [vec![life], order].concat()));
            }
        }
        if all.is_empty() { vec![Vec::new()] } else { all }
    }

    #[test]
    fn places_are_counted_right_in_every_order() {
        let config = RealtimeConfig { connections: 2, connections_per_user: 1, ..RealtimeConfig::default() };
        let every = orders(LIVES.map(<[Step]>::len));
        assert_eq!(every.len(), 1_260);
        let mut refusals = [0, 0];
        for order in every {
            let places = Arc::new(ConnectionPlaces::default());
            let (mut held, mut done) = ([None, None, None], [0; 3]);
            // Who each connection is, as a list that is counted anew each time.
            let mut model: [Option<Option<&str>>; 3] = [None; 3];
            for life in &order {
                let step = LIVES[*life][done[*life]];
                done[*life] += 1;
                let is_here = |user: Option<&str>| user.is_some() && model.contains(&Some(user));
                let is_full = model.iter().flatten().count() == 2;
                match step {
                    Step::Admit(user) => {
                        let expected = match is_full {
                            true => Err(NoPlace::Server(2)),
                            false if is_here(user) => Err(NoPlace::User(1)),
                            false => Ok(()),
                        };
                        let place = places.admit(user.map(Arc::from).as_ref(), &config);
                        assert_eq!(place.as_ref().map(|_| ()).map_err(|no| *no), expected, "{order:?}");
                        refusals[0] += usize::from(place.is_err());
                        model[*life] = place.is_ok().then_some(user);
                        held[*life] = place.ok();
                    }
                    Step::TakeOver(user) => {
                        let Some(place) = &mut held[*life] else { continue };
                        let own = model[*life] == Some(user);
                        let expected = if is_here(user) && !own { Err(NoPlace::User(1)) } else { Ok(()) };
                        let taken = place.take_over(user.map(Arc::from).as_ref(), 1);
                        assert_eq!(taken, expected, "{order:?}");
                        refusals[1] += usize::from(taken.is_err());
                        if taken.is_ok() {
                            model[*life] = Some(user);
                        }
                    }
                    Step::Go => (held[*life], model[*life]) = (None, None),
                }
                let here: Vec<&str> = model.iter().flatten().flatten().copied().collect();
                let attendance =
                    Attendance { connections: model.iter().flatten().count(), users: here.len() };
                assert_eq!(places.attendance(), attendance, "{order:?} after {done:?}");
                for user in ["ada", "ben"] {
                    assert_eq!(places.has_user(user), here.contains(&user), "{order:?} after {done:?}");
                }
            }
            assert_eq!(places.attendance(), Attendance { connections: 0, users: 0 }, "{order:?}");
        }
        assert!(refusals.iter().all(|count| *count > 0), "both limits were met: {refusals:?}");
    }
}
