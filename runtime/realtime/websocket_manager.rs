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
use crate::channels::Channels;
use crate::channels::groups::ConnectionKey;
use crate::channels::outbox::{Outbox, OutboxLimits};
use crate::env::Env;
use crate::ids::ConnectionId;
use crate::protocol::server_frame::{ConnectedPayload, ControlFrame, ErrorPayload, LimitsPayload};
use crate::protocol::wire::text_frame;
use crate::protocol::{CloseCode, Code};
use crate::schema::{Generation, Schema};

/// See the module's text.
pub struct WebSocketManager {
    /// What is true for every connection; each hears of what is new.
    news: watch::Sender<News>,
    channels: Channels,
    reader: Reader,
    env: Env,
    next_key: AtomicU64,
    /// Who is here. Held for a count, never across an await.
    present: Mutex<Present>,
    offenders: Arc<Offenders>,
    drain: CancellationToken,
}

#[derive(Debug, Default)]
struct Present {
    connections: usize,
    by_user: HashMap<Arc<str>, usize>,
    opened: u64,
    refused: u64,
}

/// Why a socket was not admitted: the error that it is sent, and the code that closes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    pub code: Code,
    pub message: String,
    pub close: CloseCode,
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
}

impl WebSocketManager {
    pub fn new(around: Surroundings, channels: Channels, reader: Reader, env: Env) -> Arc<WebSocketManager> {
        Arc::new(WebSocketManager {
            news: watch::Sender::new(News { around, draining: false }),
            channels,
            reader,
            env,
            next_key: AtomicU64::new(1),
            present: Mutex::default(),
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
        let counters = self.channels.counters();
        let present = self.present.lock();
        Stats {
            connections: present.connections,
            users: present.by_user.len(),
            opened: present.opened,
            refused: present.refused,
            groups: counters.groups.load(Ordering::Relaxed),
            events: counters.events.load(Ordering::Relaxed),
            deliveries: counters.deliveries.load(Ordering::Relaxed),
            lags: counters.lags.load(Ordering::Relaxed),
            position: counters.position.load(Ordering::Relaxed),
        }
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
        // Boxed, so that the task of an idle connection does not keep room for the greeting.
        let ended = match Box::pin(self.greet(io, read_ahead, &identity)).await {
            Ok((connection, news)) => Box::pin(connection.run(news)).await,
            Err(ended) => ended,
        };
        drop(place);
        tracing::debug!(?ended, "connection ended");
        ended
    }

    /// Sends an upgraded socket away: `error`, then the close code, since a browser cannot read a refused upgrade.
    pub async fn refuse<S>(&self, io: S, refused: &Refused) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
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
        let message = if present.connections >= config.connections {
            Some(format!("this server already has {} connections, the most it may have", config.connections))
        } else if of_user >= config.connections_per_user {
            Some(format!("this user already has {of_user} connections, the most one user may have"))
        } else {
            None
        };
        if let Some(message) = message {
            present.refused += 1;
            return Err(Refused {
                code: Code::ConnectionLimit,
                message,
                close: CloseCode::TooManyConnections,
            });
        }
        present.connections += 1;
        present.opened += 1;
        if let Some(user) = &identity.user {
            *present.by_user.entry(user.clone()).or_default() += 1;
        }
        drop(present);
        Ok(Place { manager: self.clone(), user: identity.user.clone() })
    }

    async fn greet<S>(
        &self,
        io: S,
        read_ahead: Bytes,
        identity: &Identity,
    ) -> Result<(Connection<S>, watch::Receiver<News>), Ended>
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
        let head = self.channels.counters().position.load(Ordering::Relaxed);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let payload = ConnectedPayload {
            connection_id: ConnectionId(self.env.uuid_v7()).to_string(),
            user_id: identity.user.as_deref(),
            protocol: 1,
            epoch: &around.epoch,
            seq: crate::ids::Seq(head),
            heartbeat: millis(config.ping_interval),
            reconnect_interval: millis(config.reconnect_interval),
            max_reconnect_interval: millis(config.max_reconnect_interval),
            heartbeat_interval: millis(config.ping_interval),
            limits: LimitsPayload {
                subscriptions: config.subscriptions,
                frame_bytes: config.frame_bytes,
                messages_per_second: config.messages_per_second,
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
            Ok(Ok(())) => Ok((self.connection(socket, identity, around.clone()), news)),
            Ok(Err(_)) => Err(Ended::ByPeer),
            Err(_) => Err(Ended::ByServer(CloseCode::TooSlow)),
        }
    }

    fn connection<S>(
        &self,
        socket: WebSocketStream<S>,
        identity: &Identity,
        around: Surroundings,
    ) -> Connection<S> {
        let owner = identity.idempotency_owner();
        let config = around.config.clone();
        let limits = OutboxLimits {
            batches: config.outbox_batches,
            bytes: config.outbox_bytes,
            controls: config.outbox_controls,
        };
        Connection {
            socket,
            session: Session::new(around, Instant::now(), self.offenders.has_offended(&owner)),
            outbox: Arc::new(Outbox::new(limits)),
            key: self.new_key(),
            channels: self.channels.clone(),
            reader: self.reader.clone(),
            env: self.env.clone(),
            offenders: self.offenders.clone(),
            owner,
            pong_owed: false,
            write_timeout: config.write_timeout,
            drain_spread: config.drain_spread,
        }
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
