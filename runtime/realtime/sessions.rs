//! `Sessions`: every live connection of this process, on whatever transport. Gives each its place, greets it, runs its
//! session, and counts.
//!
//! Knows no transport but the trait, and no HTTP.

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::attendance::PresenceAttendance;
use super::connection::{Connection, close, tell};
use super::credential::Arrived;
use super::doorway::{Doorway, NotProven};
use super::greeting::{Greeting, NotAdmitted};
use super::leases::{LeaseSeat, Leases};
use super::lifecycle::{Lifecycle, News};
use super::mutations::Mutations;
use super::offenders::Offenders;
use super::places::{ConnectionPlace, ConnectionPlaces};
use super::polls::Polls;
use super::reader::LiveReader;
use super::remote_sessions::{RemoteSessions, SESSION_LIFE};
use super::rooms::{RoomSeats, Rooms};
use super::roster::{Expulsion, Newcomer, Roster, RosterSeat};
use super::session::{LoginStart, Now, Session, SessionStart, Surroundings};
use super::transport::{Ended, Transport};
use crate::auth::Identity;
use crate::channels::{Channels, Outbox};
use crate::env::Env;
use crate::event_bus::{Announcement, Batches};
use crate::ids::ConnectionId;
use crate::metrics::{Metrics, Moment, Refusal, Via, resident_bytes};
use crate::outbox::OutboxLimits;
use crate::presence::{AttendeeKey, Presence};
use crate::protocol::{CloseCode, Code};
use crate::refusals::Refusals;
use crate::repository::Repository;
use crate::rules::{Person, Principal};
use crate::store::principal::USER;
use crate::store::{At, ChangeOp};

/// See the module's text.
pub struct Sessions {
    lifecycle: Arc<Lifecycle>,
    places: Arc<ConnectionPlaces>,
    offenders: Arc<Offenders>,
    polls: Polls,
    remote: Arc<RemoteSessions>,
    channels: Channels,
    rooms: Arc<Rooms>,
    leases: Arc<Leases>,
    reader: LiveReader,
    repository: Arc<Repository>,
    metrics: Arc<Metrics>,
    refusals: Arc<Refusals>,
    env: Env,
    /// Given once, before the first connection.
    presence: OnceLock<Presence>,
}

/// Numbers for operators: `GET /api/admin/websocket/stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    pub connections: usize,
    pub users: usize,
    /// Polls that are being answered.
    pub polls: u64,
    pub subscriptions: u64,
    /// Connections that fell behind and are not live again yet.
    pub catching_up: u64,
    pub opened: u64,
    pub refused: u64,
    pub groups: u64,
    pub events: u64,
    pub deliveries: u64,
    /// Outboxes that were emptied because their connection fell behind.
    pub lags: u64,
    /// What waits in all outboxes together.
    pub waiting_batches: usize,
    pub waiting_bytes: usize,
    pub lagging: usize,
    /// Errors that connections and polls were sent.
    pub errors: u64,
    /// Connections that the server closed.
    pub closed: u64,
    /// Resident memory of the process, and its share for each connection.
    pub memory_bytes: u64,
    pub memory_per_connection: u64,
    /// The last seq that was sent to subscriptions.
    pub position: u64,
}

/// A connection on its way in.
struct Entrant {
    id: ConnectionId,
    place: ConnectionPlace,
    seat: RosterSeat,
    /// Of a peer that had to send a token first.
    proven_by: Option<AuthRequest>,
}

/// The `auth` frame that let a peer in.
struct AuthRequest {
    request_id: Option<String>,
}

/// A connection that may begin, and what it receives from then on.
type Begun<T> = (Box<Connection<T>>, watch::Receiver<News>);

impl Sessions {
    /// `repository`: over the store that `reader` reads.
    pub fn new(
        around: Surroundings,
        channels: Channels,
        reader: LiveReader,
        repository: Arc<Repository>,
        env: Env,
    ) -> Arc<Sessions> {
        let metrics = around.metrics.clone();
        let rooms = Rooms::new(&around.config, metrics.clone(), env.clone());
        let leases = Leases::new(repository.clone(), &around.config, env.clone(), around.metrics.clone());
        let (lifecycle, places) = (Arc::new(Lifecycle::new(around)), Arc::new(ConnectionPlaces::default()));
        let polls = Polls::new(lifecycle.clone(), places.clone(), channels.clone(), reader.clone());
        Arc::new(Sessions {
            lifecycle,
            places,
            offenders: Arc::default(),
            polls,
            remote: RemoteSessions::new(env.clone()),
            channels,
            rooms,
            leases,
            reader,
            repository,
            metrics,
            refusals: Arc::default(),
            env,
            presence: OnceLock::new(),
        })
    }

    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    pub fn roster(&self) -> &Roster {
        self.places.roster()
    }

    /// Follows the commits until the bus ends: a user who is disabled loses every connection, also one without a subscription, of
    /// which no change of rights would reach the session.
    pub async fn follow_users(&self, mut batches: Batches) {
        while let Some(announced) = batches.next().await {
            let suspects: Vec<Arc<str>> = match announced {
                Announcement::Batch(batch) => {
                    let updated = batch
                        .changes
                        .iter()
                        .filter(|change| change.op == ChangeOp::Update && &*change.entity == USER);
                    updated.map(|change| change.id.shared()).collect()
                }
                // Any of them may have been disabled meanwhile.
                Announcement::Missed(_) => self.places.users(),
            };
            for user in suspects.iter().filter(|user| self.places.has_user(user)) {
                let person = Person { id: Some(user.clone()), ..Person::default() };
                match self.reader.principal(Arc::new(person)).await {
                    Ok(known) if known.value.is_disabled() => {
                        self.roster().expel_user(user, Expulsion::Disabled);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "whether a user was disabled could not be read; their connections are ended");
                        self.roster().expel_user(user, Expulsion::Unknown);
                    }
                }
            }
        }
    }

    pub fn polls(&self) -> &Polls {
        &self.polls
    }

    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The sessions whose peers speak by requests.
    pub fn remote(&self) -> &Arc<RemoteSessions> {
        &self.remote
    }

    /// The rooms and private channels, for messages of the server.
    pub fn rooms(&self) -> &Arc<Rooms> {
        &self.rooms
    }

    pub fn leases(&self) -> &Arc<Leases> {
        &self.leases
    }

    pub fn reader(&self) -> &LiveReader {
        &self.reader
    }

    /// From here on connections may say where they are. Once.
    pub fn open_presence(&self, presence: Presence) {
        self.leases.open_presence(presence.clone());
        let _ = self.presence.set(presence);
    }

    /// `None` in a process without it.
    pub fn presence(&self) -> Option<&Presence> {
        self.presence.get()
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What connections, polls and requests were refused lately.
    pub fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub fn stats(&self) -> Stats {
        let (live, http) = (&self.metrics.live, &self.metrics.http);
        let now = self.moment();
        let (errors, memory_bytes) = (&self.metrics.errors, resident_bytes());
        let whole = |gauge: i64| u64::try_from(gauge).unwrap_or_default();
        Stats {
            connections: now.sockets,
            users: now.users,
            polls: whole(live.polls()),
            subscriptions: whole(live.subscriptions()),
            catching_up: whole(live.lagging()),
            opened: live.opened.get(),
            refused: http.refusals(Refusal::Sockets) + http.refusals(Refusal::User),
            groups: u64::try_from(live.groups.get()).unwrap_or_default(),
            events: live.events.get(),
            deliveries: live.deliveries.get(),
            lags: live.lags.get(),
            waiting_batches: now.outbox_batches,
            waiting_bytes: now.outbox_bytes,
            lagging: now.lagging,
            errors: errors.told_in_all(Via::Ws) + errors.told_in_all(Via::Poll),
            closed: errors.closed_in_all(),
            memory_bytes,
            memory_per_connection: memory_bytes / u64::try_from(now.sockets.max(1)).unwrap_or(1),
            position: self.channels.position().0,
        }
    }

    /// What `/metrics` reads when it is asked; the log's ends are the caller's to add.
    pub fn moment(&self) -> Moment {
        let mut now = Moment::default();
        let here = self.places.attendance();
        (now.sockets, now.users) = (here.connections, here.users);
        self.places.roster().each_depth(|depth| {
            now.outbox_batches += depth.batches;
            now.outbox_bytes += depth.bytes;
            now.lagging += usize::from(depth.lagging);
        });
        let ring = self.channels.ring().size();
        (now.ring_changes, now.ring_bytes) = (ring.changes, ring.bytes);
        now.commands = self.channels.waiting();
        now.reads = self.reader.under_way();
        now.offenders = self.offenders.count();
        now
    }

    /// Runs one connection to its end. The transport is in a box, since a future keeps what it is given twice.
    pub async fn serve<T: Transport>(&self, transport: Box<T>, arrived: impl Into<Box<Arrived>>) -> Ended {
        let arrived: Box<Arrived> = arrived.into();
        let identity = &arrived.identity;
        let config = self.lifecycle.around().config;
        let place = match self.places.admit(identity.user.as_ref(), &config) {
            Ok(place) => place,
            Err(full) => return Box::pin(self.refuse(transport, &full.into())).await,
        };
        let id = ConnectionId(self.env.uuid_v7());
        let (user, address, opened) = (identity.user.clone(), identity.address, self.env.now());
        let seat = place.enter(Newcomer { id, user, address, opened, via: transport.via() });
        let entrant = Entrant { id, place, seat, proven_by: None };
        if arrived.owes_token {
            return Box::pin(self.serve_owing(transport, &arrived, entrant)).await;
        }
        self.serve_known(transport, arrived, entrant).await
    }

    /// Waits for the token of a peer that came without one.
    async fn serve_owing<T: Transport>(
        &self,
        mut transport: Box<T>,
        arrived: &Arrived,
        mut entrant: Entrant,
    ) -> Ended {
        let Some(door) = arrived.door.clone() else {
            let refused = NotAdmitted::unauthenticated("this connection takes no token");
            return self.refuse(transport, &refused).await;
        };
        let (lifecycle, env, address) = (&*self.lifecycle, &self.env, arrived.identity.address);
        let doorway = Doorway { lifecycle, env, door, address };
        // Boxed, so that a peer that is in does not keep room for the wait.
        let proven = match Box::pin(doorway.wait(&mut *transport)).await {
            Ok(proven) => proven,
            Err(NotProven::Refused(refused)) => return self.refuse(transport, &refused).await,
            Err(NotProven::Gone(ended)) => {
                self.metrics.errors.closed(ended.code());
                return ended;
            }
        };
        let most = self.lifecycle.around().config.connections_per_user;
        let taken = entrant.place.take_over(proven.arrived.identity.user.as_ref(), most);
        if let Err(full) = taken {
            return self.refuse(transport, &NotAdmitted::from(full).answering(proven.request_id)).await;
        }
        entrant.proven_by = Some(AuthRequest { request_id: proven.request_id });
        Box::pin(self.serve_known(transport, proven.arrived, entrant)).await
    }

    /// Runs the connection of a peer that may come in.
    async fn serve_known<T: Transport>(
        &self,
        transport: Box<T>,
        arrived: Box<Arrived>,
        entrant: Entrant,
    ) -> Ended {
        self.metrics.live.opened.inc();
        let known = match Box::pin(self.look_up(&arrived.identity)).await {
            Ok(known) => known,
            Err(refused) => return Box::pin(self.refuse(transport, &refused)).await,
        };
        // Boxed, so that the task of an idle connection does not keep room for the greeting.
        let ended = match Box::pin(self.greet(transport, arrived, known, entrant)).await {
            Ok((mut connection, news)) => {
                let ended = Box::pin(connection.run(news)).await;
                // Its place is free before anybody learns that it ended.
                drop(connection);
                ended
            }
            Err(ended) => ended,
        };
        self.metrics.errors.closed(ended.code());
        tracing::debug!(?ended, "connection ended");
        ended
    }

    /// Sends a peer away: `error`, then the close code, since a browser cannot read a refused upgrade.
    pub async fn refuse<T: Transport>(&self, mut transport: Box<T>, refused: &NotAdmitted) -> Ended {
        let metrics = &self.metrics;
        metrics.http.refused(refused.why);
        metrics.errors.told(transport.via(), refused.code);
        metrics.errors.closed(Some(refused.close));
        if refused.why != Refusal::Failure {
            tracing::info!(code = refused.code.as_str(), close = refused.close.number(), "socket refused");
        }
        let ended = Ended::ByServer(refused.close);
        let wait = self.lifecycle.around().config.write_timeout;
        let frame = refused.to_bytes(transport.form(), self.env.now());
        if tell(&mut *transport, frame, wait).await.is_ok() {
            close(&mut *transport, ended).await;
        }
        ended
    }

    /// What rules may ask of the caller, or why the caller is refused.
    async fn look_up(&self, identity: &Identity) -> Result<At<Principal>, NotAdmitted> {
        let known = self.reader.principal(identity.person()).await.map_err(|error| {
            tracing::error!(%error, "socket refused");
            let message = "your User record could not be read; connect again later".to_owned();
            let (code, close, why) = (Code::StorageError, CloseCode::Internal, Refusal::Failure);
            NotAdmitted { code, message, close, why, request_id: None }
        })?;
        if known.value.is_disabled() { Err(NotAdmitted::disabled()) } else { Ok(known) }
    }

    async fn greet<T: Transport>(
        &self,
        transport: Box<T>,
        arrived: Box<Arrived>,
        known: At<Principal>,
        entrant: Entrant,
    ) -> Result<Begun<T>, Ended> {
        // What is reported from here on comes after what the connection starts with.
        let (around, news) = self.lifecycle.follow();
        let greeting = Greeting {
            connection: entrant.id,
            session: transport.session().cloned(),
            first_id: transport.first_id(),
            user: arrived.identity.user.as_deref(),
            guest: arrived.identity.guest().map(|guest| &*guest.id),
            expires: arrived.state().and_then(|state| state.expires),
            position: self.channels.position(),
            around: &around,
        };
        let (form, now) = (transport.form(), self.env.now());
        let frame = greeting.to_bytes(form, now);
        let proven = entrant.proven_by.as_ref();
        let answer = proven.map(|asked| greeting.after_auth(asked.request_id.as_deref(), form, now));
        let wait = around.config.write_timeout;
        // A user who was greeted is here: a lease can be passed to them.
        let mut connection = self.connection(transport, *arrived, known, around, entrant);
        tell(&mut *connection.transport, frame, wait).await?;
        if let Some(answer) = answer {
            tell(&mut *connection.transport, answer, wait).await?;
        }
        Ok((connection, news))
    }

    fn connection<T: Transport>(
        &self,
        transport: Box<T>,
        arrived: Arrived,
        known: At<Principal>,
        around: Surroundings,
        entrant: Entrant,
    ) -> Box<Connection<T>> {
        let Entrant { id, place, seat, .. } = entrant;
        let owner = arrived.identity.idempotency_owner();
        let now = Now { instant: Instant::now(), wall: self.env.now() };
        let expires = arrived.state().and_then(|state| state.expires);
        let login = expires.map(|expires| LoginStart { now, expires, warning: arrived.warning() });
        let config = around.config.clone();
        let limits = OutboxLimits {
            batches: config.outbox_batches,
            bytes: config.outbox_bytes,
            controls: config.outbox_controls,
        };
        let outbox = Arc::new(Outbox::new(limits, transport.form()));
        place.measure(outbox.clone());
        let start = SessionStart {
            at: now.instant,
            via: transport.via(),
            form: transport.form(),
            offended: self.offenders.has_offended(&owner),
            login,
        };
        let attendee = AttendeeKey(place.key().0);
        let attendance = PresenceAttendance::new(self.presence.get().cloned(), attendee);
        // What waits for a poll waits as long as the session may live without one.
        let write_timeout =
            if transport.via() == Via::Poll { SESSION_LIFE * 2 } else { config.write_timeout };
        Box::new(Connection {
            transport,
            session: Session::new(around, known, start),
            rooms: RoomSeats::new(self.rooms.clone(), place.key(), outbox.clone()),
            leases: LeaseSeat::new(self.leases.clone(), place.key(), outbox.clone(), &arrived.identity),
            outbox,
            key: place.key(),
            place,
            seat,
            connections_per_user: config.connections_per_user,
            mutations: Mutations::new(self.repository.clone()),
            credential: arrived.credential(),
            channels: self.channels.clone(),
            attendance,
            reader: self.reader.clone(),
            env: self.env.clone(),
            offenders: self.offenders.clone(),
            owner,
            write_timeout,
            drain_spread: config.drain_spread,
            id,
            refusals: self.refusals.clone(),
            evidence: None,
            pinged: None,
        })
    }
}
