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
use super::greeting::{Greeting, NotAdmitted};
use super::lifecycle::{Lifecycle, News};
use super::mutations::Mutations;
use super::offenders::Offenders;
use super::places::{ConnectionPlace, ConnectionPlaces};
use super::polls::Polls;
use super::reader::LiveReader;
use super::session::{LoginStart, Now, Session, SessionStart, Surroundings};
use super::transport::{Ended, Transport};
use crate::auth::Identity;
use crate::channels::{Channels, Outbox};
use crate::env::Env;
use crate::ids::ConnectionId;
use crate::metrics::{Metrics, Moment, Refusal};
use crate::outbox::OutboxLimits;
use crate::presence::{AttendeeKey, Presence};
use crate::protocol::{CloseCode, Code};
use crate::repository::Repository;
use crate::rules::Principal;
use crate::store::At;

/// See the module's text.
pub struct Sessions {
    lifecycle: Arc<Lifecycle>,
    places: Arc<ConnectionPlaces>,
    offenders: Arc<Offenders>,
    polls: Polls,
    channels: Channels,
    reader: LiveReader,
    repository: Arc<Repository>,
    metrics: Arc<Metrics>,
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
    pub opened: u64,
    pub refused: u64,
    pub groups: u64,
    pub events: u64,
    pub deliveries: u64,
    /// Outboxes that were emptied because their connection fell behind.
    pub lags: u64,
    /// The last seq that was sent to subscriptions.
    pub position: u64,
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
        let (lifecycle, places) = (Arc::new(Lifecycle::new(around)), Arc::new(ConnectionPlaces::default()));
        let polls = Polls::new(lifecycle.clone(), places.clone(), channels.clone(), reader.clone());
        Arc::new(Sessions {
            lifecycle,
            places,
            offenders: Arc::default(),
            polls,
            channels,
            reader,
            repository,
            metrics,
            env,
            presence: OnceLock::new(),
        })
    }

    pub fn lifecycle(&self) -> &Lifecycle {
        &self.lifecycle
    }

    pub fn polls(&self) -> &Polls {
        &self.polls
    }

    pub fn reader(&self) -> &LiveReader {
        &self.reader
    }

    /// From here on connections may say where they are. Once.
    pub fn open_presence(&self, presence: Presence) {
        let _ = self.presence.set(presence);
    }

    /// `None` in a process without it.
    pub fn presence(&self) -> Option<&Presence> {
        self.presence.get()
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub fn stats(&self) -> Stats {
        let (live, http) = (&self.metrics.live, &self.metrics.http);
        let here = self.places.attendance();
        Stats {
            connections: here.connections,
            users: here.users,
            opened: live.opened.get(),
            refused: http.refusals(Refusal::Sockets) + http.refusals(Refusal::User),
            groups: u64::try_from(live.groups.get()).unwrap_or_default(),
            events: live.events.get(),
            deliveries: live.deliveries.get(),
            lags: live.lags.get(),
            position: self.channels.position().0,
        }
    }

    /// What `/metrics` reads when it is asked; the log's ends are the caller's to add.
    pub fn moment(&self) -> Moment {
        let mut now = Moment::default();
        let here = self.places.attendance();
        (now.sockets, now.users) = (here.connections, here.users);
        self.places.each_depth(|depth| {
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
        self.metrics.live.opened.inc();
        let known = match Box::pin(self.look_up(identity)).await {
            Ok(known) => known,
            Err(refused) => return Box::pin(self.refuse(transport, &refused)).await,
        };
        // Boxed, so that the task of an idle connection does not keep room for the greeting.
        let ended = match Box::pin(self.greet(transport, arrived, known, place)).await {
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
            NotAdmitted {
                code: Code::StorageError,
                message,
                close: CloseCode::Internal,
                why: Refusal::Failure,
            }
        })?;
        if known.value.is_disabled() {
            let (code, close) = (Code::AccountDisabled, CloseCode::Refused);
            return Err(NotAdmitted {
                code,
                message: "this account is disabled".to_owned(),
                close,
                why: Refusal::Identity,
            });
        }
        Ok(known)
    }

    async fn greet<T: Transport>(
        &self,
        mut transport: Box<T>,
        arrived: Box<Arrived>,
        known: At<Principal>,
        place: ConnectionPlace,
    ) -> Result<Begun<T>, Ended> {
        // What is reported from here on comes after what the connection starts with.
        let (around, news) = self.lifecycle.follow();
        let greeting = Greeting {
            connection: ConnectionId(self.env.uuid_v7()),
            user: arrived.identity.user.as_deref(),
            expires: arrived.state().map(|state| state.expires),
            position: self.channels.position(),
            around: &around,
        };
        let frame = greeting.to_bytes(transport.form(), self.env.now());
        tell(&mut *transport, frame, around.config.write_timeout).await?;
        Ok((self.connection(transport, arrived, known, around, place), news))
    }

    fn connection<T: Transport>(
        &self,
        transport: Box<T>,
        arrived: Box<Arrived>,
        known: At<Principal>,
        around: Surroundings,
        place: ConnectionPlace,
    ) -> Box<Connection<T>> {
        let owner = arrived.identity.idempotency_owner();
        let now = Now { instant: Instant::now(), wall: self.env.now() };
        let login = arrived.state().map(|state| LoginStart {
            now,
            expires: state.expires,
            warning: arrived.warning(),
        });
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
        let attendance = PresenceAttendance::new(self.presence.get().cloned(), attendee, transport.via());
        Box::new(Connection {
            transport,
            session: Session::new(around, known, start),
            outbox,
            key: place.key(),
            place,
            connections_per_user: config.connections_per_user,
            mutations: Mutations::new(self.repository.clone()),
            credential: arrived.credential(),
            channels: self.channels.clone(),
            attendance,
            reader: self.reader.clone(),
            env: self.env.clone(),
            offenders: self.offenders.clone(),
            owner,
            write_timeout: config.write_timeout,
            drain_spread: config.drain_spread,
        })
    }
}
