//! WebSocketManager: who is connected. Admits sockets within the caps, greets them, runs their tasks, and sends them
//! away when the server stops.
//!
//! Knows no HTTP: it is handed a stream whose upgrade is done.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, Ended, News};
use super::offenders::Offenders;
use super::reader::Reader;
use super::session::{Session, Surroundings};
use crate::auth::Identity;
use crate::channels::group::ConnectionKey;
use crate::channels::{Channels, Outbox};
use crate::env::Env;
use crate::ids::ConnectionId;
use crate::metrics::{Metrics, Moment, Refusal, Transport};
use crate::outbox::OutboxLimits;
use crate::protocol::server_frame::{ConnectedPayload, ControlFrame, ErrorPayload, LimitsPayload};
use crate::protocol::wire::text_frame;
use crate::protocol::{CloseCode, Code};
use crate::rules::Principal;
use crate::schema::{Generation, Schema};
use crate::store::At;

/// See the module's text.
pub struct WebSocketManager {
    /// What is true for every connection; each hears of what is new.
    news: watch::Sender<News>,
    metrics: Arc<Metrics>,
    channels: Channels,
    reader: Reader,
    env: Env,
    next_key: AtomicU64,
    /// Who is here. Held for a count, never across an await.
    present: Mutex<Present>,
    /// The outbox of every socket, to be measured. Held for one look at each, never across an await.
    outboxes: Mutex<HashMap<ConnectionKey, Arc<Outbox>>>,
    offenders: Arc<Offenders>,
    drain: CancellationToken,
}

#[derive(Debug, Default)]
struct Present {
    connections: usize,
    by_user: HashMap<Arc<str>, usize>,
}

/// Why a socket was not admitted: the error that it is sent, and the code that closes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: Code,
    pub message: String,
    pub close: CloseCode,
    pub why: Refusal,
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
    /// The last seq that was fanned out.
    pub position: u64,
}

/// A place among the connections, given back when dropped.
struct Place {
    manager: Arc<WebSocketManager>,
    user: Option<Arc<str>>,
    key: ConnectionKey,
}

/// Whoever was admitted and is about to be greeted.
struct Newcomer {
    identity: Identity,
    known: At<Principal>,
    key: ConnectionKey,
}

impl WebSocketManager {
    pub fn new(around: Surroundings, channels: Channels, reader: Reader, env: Env) -> Arc<WebSocketManager> {
        Arc::new(WebSocketManager {
            metrics: around.metrics.clone(),
            news: watch::Sender::new(News { around, draining: false }),
            channels,
            reader,
            env,
            next_key: AtomicU64::new(1),
            present: Mutex::default(),
            outboxes: Mutex::default(),
            offenders: Arc::default(),
            drain: CancellationToken::new(),
        })
    }

    pub fn around(&self) -> Surroundings {
        self.news.borrow().around.clone()
    }

    /// From here on entities have the shape of another schema. Every connection is told, and its channels start anew.
    pub fn adopt(&self, schema: Arc<Schema>, generation: Generation) {
        self.news.send_modify(|news| {
            news.around.schema = schema;
            news.around.generation = generation;
        });
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The server stops: every connection is told when to come back and closed with 1012.
    pub fn drain(&self) {
        self.drain.cancel();
        self.news.send_modify(|news| news.draining = true);
    }

    /// Completes when `drain` was called.
    pub async fn drained(&self) {
        self.drain.cancelled().await;
    }

    /// A key for a new outbox of this process.
    pub fn new_key(&self) -> ConnectionKey {
        ConnectionKey(self.next_key.fetch_add(1, Ordering::Relaxed))
    }

    pub fn stats(&self) -> Stats {
        let (live, http) = (&self.metrics.live, &self.metrics.http);
        let present = self.present.lock();
        Stats {
            connections: present.connections,
            users: present.by_user.len(),
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
        {
            let present = self.present.lock();
            (now.sockets, now.users) = (present.connections, present.by_user.len());
        }
        for outbox in self.outboxes.lock().values() {
            let depth = outbox.depth();
            now.outbox_batches += depth.batches;
            now.outbox_bytes += depth.bytes;
            now.lagging += usize::from(depth.lagging);
        }
        (now.ring_changes, now.ring_bytes) = self.channels.ring().size();
        now.commands = self.channels.waiting();
        now.reads = self.reader.under_way();
        now.offenders = self.offenders.count();
        now
    }

    /// Runs one upgraded connection to its end. `read_ahead`: bytes that came right behind the handshake.
    pub async fn serve<S>(self: Arc<Self>, io: S, read_ahead: Bytes, identity: Identity) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let place = match self.admit(&identity) {
            Ok(place) => place,
            Err(refused) => return Box::pin(self.refuse(io, &refused)).await,
        };
        let known = match Box::pin(self.look_up(&identity)).await {
            Ok(known) => known,
            Err(refused) => return Box::pin(self.refuse(io, &refused)).await,
        };
        let newcomer = Newcomer { identity, known, key: place.key };
        // Boxed, so that the task of an idle connection does not keep room for the greeting.
        let ended = match Box::pin(self.greet(io, read_ahead, newcomer)).await {
            Ok((mut connection, news)) => Box::pin(connection.run(news)).await,
            Err(ended) => ended,
        };
        drop(place);
        self.metrics.errors.closed(ended.code());
        tracing::debug!(?ended, "connection ended");
        ended
    }

    /// Sends an upgraded socket away: `error`, then the close code, since a browser cannot read a refused upgrade.
    pub async fn refuse<S>(&self, io: S, refused: &Refused) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let metrics = &self.metrics;
        metrics.http.refused(refused.why);
        metrics.errors.told(Transport::Ws, refused.code);
        metrics.errors.closed(Some(refused.close));
        if refused.why != Refusal::Failure {
            tracing::info!(code = refused.code.as_str(), close = refused.close.number(), "socket refused");
        }
        let payload = ErrorPayload::new(refused.code, &refused.message);
        let timestamp = self.env.now();
        let error = ControlFrame {
            kind: "error",
            channel: None,
            request_id: None,
            seq: None,
            more: false,
            payload,
            timestamp,
        };
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(self.wire_config())).await;
        let wait = self.around().config.write_timeout;
        let sent =
            tokio::time::timeout(wait, socket.get_mut().write_all(&text_frame(&error.to_json()))).await;
        if matches!(sent, Ok(Ok(()))) {
            super::connection::close(&mut socket, refused.close).await;
        }
        Ended::ByServer(refused.close)
    }

    fn admit(self: &Arc<Self>, identity: &Identity) -> Result<Place, Refused> {
        let config = self.around().config;
        let mut present = self.present.lock();
        let of_user = identity.user.as_ref().and_then(|user| present.by_user.get(user)).copied().unwrap_or(0);
        let refused = if present.connections >= config.connections {
            let message =
                format!("this server already has {} connections, the most it may have", config.connections);
            Some((message, Refusal::Sockets))
        } else if of_user >= config.connections_per_user {
            let message = format!("this user already has {of_user} connections, the most one user may have");
            Some((message, Refusal::User))
        } else {
            None
        };
        if let Some((message, why)) = refused {
            let close = CloseCode::TooManyConnections;
            return Err(Refused { code: Code::ConnectionLimit, message, close, why });
        }
        present.connections += 1;
        self.metrics.live.opened.inc();
        if let Some(user) = &identity.user {
            *present.by_user.entry(user.clone()).or_default() += 1;
        }
        drop(present);
        Ok(Place { manager: self.clone(), user: identity.user.clone(), key: self.new_key() })
    }

    /// What rules may ask of whoever comes, or why they may not come.
    async fn look_up(&self, identity: &Identity) -> Result<At<Principal>, Refused> {
        let known = self.reader.principal(identity.person()).await.map_err(|error| {
            tracing::error!(%error, "socket refused");
            let message = "who you are could not be looked up; connect again later".to_owned();
            Refused { code: Code::StorageError, message, close: CloseCode::Internal, why: Refusal::Failure }
        })?;
        if known.value.is_disabled() {
            let (code, close) = (Code::AccountDisabled, CloseCode::Refused);
            return Err(Refused {
                code,
                message: "this account is disabled".to_owned(),
                close,
                why: Refusal::Identity,
            });
        }
        Ok(known)
    }

    async fn greet<S>(
        &self,
        io: S,
        read_ahead: Bytes,
        newcomer: Newcomer,
    ) -> Result<(Box<Connection<S>>, watch::Receiver<News>), Ended>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let wire = Some(self.wire_config());
        // A copy: `Vec::from` would keep the whole buffer of the HTTP connection alive for the sake of no byte.
        let mut socket =
            WebSocketStream::from_partially_read(io, read_ahead.to_vec(), Role::Server, wire).await;
        // What is told from here on comes after what the connection starts with.
        let mut news = self.news.subscribe();
        let around = news.borrow_and_update().around.clone();
        let config = around.config.clone();
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let payload = ConnectedPayload {
            connection_id: ConnectionId(self.env.uuid_v7()).to_string(),
            user_id: newcomer.identity.user.as_deref(),
            protocol: 1,
            epoch: &around.epoch,
            seq: self.channels.position(),
            generation: around.generation,
            heartbeat: millis(config.ping_interval),
            reconnect_interval: millis(config.reconnect_interval),
            max_reconnect_interval: millis(config.max_reconnect_interval),
            heartbeat_interval: millis(config.ping_interval),
            limits: LimitsPayload {
                subscriptions: config.subscriptions,
                frame_bytes: config.frame_bytes,
                messages_per_second: config.messages_per_second,
                message_burst: config.message_burst,
            },
        };
        let timestamp = self.env.now();
        let frame = ControlFrame {
            kind: "connected",
            channel: None,
            request_id: None,
            seq: None,
            more: false,
            payload,
            timestamp,
        };
        let frame = text_frame(&frame.to_json());
        let sent = socket.get_mut().write_all(&frame);
        match tokio::time::timeout(config.write_timeout, sent).await {
            Ok(Ok(())) => Ok((self.connection(socket, newcomer, around.clone()), news)),
            Ok(Err(_)) => Err(Ended::ByPeer),
            Err(_) => Err(Ended::ByServer(CloseCode::TooSlow)),
        }
    }

    fn connection<S>(
        &self,
        socket: WebSocketStream<S>,
        newcomer: Newcomer,
        around: Surroundings,
    ) -> Box<Connection<S>> {
        let Newcomer { identity, known, key } = newcomer;
        let owner = identity.idempotency_owner();
        let config = around.config.clone();
        let limits = OutboxLimits {
            batches: config.outbox_batches,
            bytes: config.outbox_bytes,
            controls: config.outbox_controls,
        };
        let outbox = Arc::new(Outbox::new(limits));
        self.outboxes.lock().insert(key, outbox.clone());
        Box::new(Connection {
            socket,
            session: Session::new(around, known, Instant::now(), self.offenders.has_offended(&owner)),
            outbox,
            key,
            channels: self.channels.clone(),
            reader: self.reader.clone(),
            env: self.env.clone(),
            offenders: self.offenders.clone(),
            owner,
            pong_owed: false,
            write_timeout: config.write_timeout,
            drain_spread: config.drain_spread,
        })
    }

    fn wire_config(&self) -> WebSocketConfig {
        let frame = self.around().config.frame_bytes;
        // The read buffer is held by every idle connection and filled with zeros at every read. Clients send little.
        WebSocketConfig::default()
            .read_buffer_size(1 << 10)
            .write_buffer_size(0)
            .max_write_buffer_size(64 << 10)
            .max_message_size(Some(frame))
            .max_frame_size(Some(frame))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.manager.outboxes.lock().remove(&self.key);
        let mut present = self.manager.present.lock();
        present.connections -= 1;
        let Some(user) = &self.user else { return };
        let left = present.by_user.get(user).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            present.by_user.remove(user);
        } else {
            present.by_user.insert(user.clone(), left);
        }
    }
}
