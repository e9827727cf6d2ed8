//! The task of one WebSocket connection: takes frames, the outbox, answers of reads and the clock, hands each to the
//! session, and performs what the session says. Decides nothing itself.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::offenders::Offenders;
use super::reader::Reader;
use super::session::{Effect, Input, Moment, Read, ReadAnswer, Session, Surroundings};
use crate::channels::group::ConnectionKey;
use crate::channels::{Attach, Channels, Drained, Outbox};
use crate::env::Env;
use crate::protocol::CloseCode;
use crate::protocol::wire::text_frame;

/// Bytes taken from the outbox for one write. What is taken is written, so this much comes on top of its bound.
const WRITE_BYTES: usize = 256 << 10;

/// What a connection's task works with.
pub(super) struct Connection<S> {
    pub(super) socket: WebSocketStream<S>,
    pub(super) session: Session,
    pub(super) outbox: Arc<Outbox>,
    pub(super) key: ConnectionKey,
    pub(super) channels: Channels,
    pub(super) reader: Reader,
    pub(super) env: Env,
    pub(super) offenders: Arc<Offenders>,
    /// Who is at the other end, as `offenders` knows them.
    pub(super) owner: Arc<str>,
    /// The library has queued a pong that may not have been written yet.
    pub(super) pong_owed: bool,
    pub(super) write_timeout: Duration,
    /// Clients come back at a random moment within this time after a planned stop.
    pub(super) drain_spread: Duration,
}

/// How a connection ended, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    ByPeer,
    ByServer(CloseCode),
}

impl Ended {
    /// The code that the server closed it with; `None` when the peer did.
    pub fn code(self) -> Option<CloseCode> {
        match self {
            Ended::ByPeer => None,
            Ended::ByServer(code) => Some(code),
        }
    }
}

/// What every connection is told.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) around: Surroundings,
    /// The server stops.
    pub(super) draining: bool,
}

/// Completes with the next news. Without anybody to tell any, never.
async fn next(mut news: watch::Receiver<News>) -> watch::Receiver<News> {
    if news.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    news
}

/// Everything that can wake the task.
enum Wake {
    Frame(Option<Result<Message, Error>>),
    Outbox,
    Read(ReadAnswer),
    Tick,
    Told(News),
}

type Reading = futures_util::future::OptionFuture<futures_util::future::BoxFuture<'static, ReadAnswer>>;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Runs until the peer or the session ends it. `news` tells of another schema, and of the end. By reference, since a future keeps
    /// what it is given twice.
    pub(super) async fn run(&mut self, news: watch::Receiver<News>) -> Ended {
        let mut reading: Reading = None.into();
        // One future for the whole life: each new one would cost a place in the list of those who wait.
        let mut told = pin!(next(news));
        let mut tick = pin!(sleep_until(self.session.next_deadline()));
        let ended = loop {
            let deadline = self.session.next_deadline();
            if tick.deadline() > deadline {
                tick.as_mut().reset(deadline);
            }
            let wake = tokio::select! {
                news = &mut told => {
                    let latest = news.borrow().clone();
                    told.set(next(news));
                    Wake::Told(latest)
                }
                () = self.outbox.ready() => Wake::Outbox,
                Some(answer) = &mut reading => Wake::Read(answer),
                frame = self.socket.next() => Wake::Frame(frame),
                () = &mut tick => Wake::Tick,
            };
            match &wake {
                Wake::Read(_) => reading = None.into(),
                // The deadline moves with every sign of life; the timer is set again only when it fired.
                Wake::Tick => tick.as_mut().reset(self.session.next_deadline()),
                Wake::Told(_) | Wake::Outbox | Wake::Frame(_) => {}
            }
            match self.handle(wake, &mut reading).await {
                Ok(()) => {}
                Err(ended) => break ended,
            }
        };
        self.outbox.close();
        for attachment in self.session.attachments() {
            self.channels.detach(self.key, attachment).await;
        }
        if self.session.awaits_rights() {
            self.channels.forget(self.key);
        }
        ended
    }

    async fn handle(&mut self, wake: Wake, reading: &mut Reading) -> Result<(), Ended> {
        let now = self.now();
        let effects = match wake {
            Wake::Outbox => return self.drain_outbox(reading).await,
            Wake::Frame(None) => return Err(self.finish().await),
            Wake::Frame(Some(frame)) => match frame {
                Ok(Message::Text(text)) => self.session.on(now, Input::Text(text.as_str())),
                Ok(Message::Binary(_)) => self.session.on(now, Input::Binary),
                Ok(Message::Ping(_)) => {
                    self.pong_owed = true;
                    self.session.on(now, Input::Heard)
                }
                Ok(Message::Pong(_) | Message::Frame(_)) => self.session.on(now, Input::Heard),
                Ok(Message::Close(_)) => return Err(self.finish().await),
                Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                    self.session.on(now, Input::Oversized)
                }
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Err(Ended::ByPeer);
                }
                Err(Error::Protocol(_)) => {
                    return Err(close(&mut self.socket, CloseCode::ProtocolError).await);
                }
                Err(Error::Utf8(_)) => return Err(close(&mut self.socket, CloseCode::NotUtf8).await),
                Err(_) => return Err(Ended::ByPeer),
            },
            Wake::Read(answer) => self.session.on(now, Input::Read(answer)),
            Wake::Tick => self.session.on(now, Input::Tick),
            Wake::Told(News { draining: false, around }) => self.session.on(now, Input::Reshaped(around)),
            Wake::Told(News { draining: true, .. }) => {
                let spread = u64::try_from(self.drain_spread.as_millis()).unwrap_or(u64::MAX).max(1);
                let reconnect_in_ms = self.env.random_u64() % spread;
                self.session.on(now, Input::Drain { reconnect_in_ms })
            }
        };
        Box::pin(self.perform(effects, reading)).await
    }

    async fn drain_outbox(&mut self, reading: &mut Reading) -> Result<(), Ended> {
        let Drained { items, invalidated, overflowed } = self.outbox.drain(WRITE_BYTES);
        let now = self.now();
        let mut frames = Vec::with_capacity(items.len());
        for item in items {
            let (frame, effects) = self.session.on_item(now, item);
            frames.extend(frame);
            if !effects.is_empty() {
                self.write(std::mem::take(&mut frames)).await?;
                Box::pin(self.perform(effects, reading)).await?;
            }
        }
        self.write(frames).await?;
        if let Some(invalidated) = invalidated {
            let effects = self.session.on(now, Input::Lagged(invalidated.lag));
            Box::pin(self.perform(effects, reading)).await?;
        }
        if overflowed {
            let effects = self.session.on(now, Input::Overflowed);
            Box::pin(self.perform(effects, reading)).await?;
        }
        Ok(())
    }

    async fn perform(&mut self, effects: Vec<Effect>, reading: &mut Reading) -> Result<(), Ended> {
        for effect in effects {
            match effect {
                Effect::Send(json) => self.write(vec![text_frame(&json)]).await?,
                Effect::Write(frames) => self.write(vec![frames]).await?,
                Effect::Attach { attachment, channel, scope, read_scope, view, watch, admission, from } => {
                    let (connection, outbox) = (self.key, self.outbox.clone());
                    let attach = Attach {
                        connection,
                        attachment,
                        outbox,
                        channel,
                        scope,
                        read_scope,
                        view,
                        watch,
                        admission,
                        from,
                    };
                    self.channels.attach(attach).await;
                }
                Effect::Detach { attachment } => self.channels.detach(self.key, attachment).await,
                Effect::Pong { request_id, lag } => {
                    self.channels.pong(self.outbox.clone(), lag, request_id).await
                }
                Effect::AwaitRights { person, known } => {
                    self.channels.await_rights(self.key, self.outbox.clone(), person, known).await;
                }
                Effect::Read(read) => *reading = Some(read_later(self.reader.clone(), read)).into(),
                Effect::Ping => {
                    let ping = self.socket.send(Message::Ping(Bytes::new()));
                    in_time(self.write_timeout, ping).await?;
                    self.session.ping_left(Instant::now());
                }
                Effect::Close(code) => {
                    if code == CloseCode::TooManyMessages {
                        // Before the peer can see the close, and so before it can come back.
                        self.offenders.remember(self.owner.clone());
                    }
                    return Err(close(&mut self.socket, code).await);
                }
            }
        }
        Ok(())
    }

    /// Writes whole WebSocket frames. What the library has buffered (its own pongs) goes first, so that no frame lands
    /// inside another.
    async fn write(&mut self, frames: Vec<Bytes>) -> Result<(), Ended> {
        if frames.is_empty() {
            return Ok(());
        }
        if std::mem::take(&mut self.pong_owed) {
            in_time(self.write_timeout, self.socket.flush()).await?;
        }
        // A peer that takes a byte now and then may not hold its place for ever.
        let patience = self.write_timeout * PATIENCE;
        let (mut deadline, mut taken) = (Instant::now() + patience, 0);
        let mut queue: VecDeque<Bytes> = frames.into();
        while !queue.is_empty() {
            let mut waited = false;
            let writing = poll_fn(|context| {
                let polled = poll_write_front(self.socket.get_mut(), context, &queue);
                waited |= polled.is_pending();
                polled
            });
            let limit = deadline.min(Instant::now() + self.write_timeout);
            let written = match timeout_at(limit, writing).await {
                Ok(Ok(0) | Err(_)) => return Err(Ended::ByPeer),
                Ok(Ok(written)) => written,
                Err(_) => return Err(Ended::ByServer(CloseCode::TooSlow)),
            };
            let now = Instant::now();
            if waited {
                self.session.peer_took(now);
            }
            self.session.wrote(now, written);
            taken += written;
            if taken >= WRITE_BYTES {
                (deadline, taken) = (now + patience, 0);
            }
            advance(&mut queue, written);
        }
        Ok(())
    }

    /// The peer closed, or its stream broke: answer its close frame if there is one.
    async fn finish(&mut self) -> Ended {
        let _ = timeout(CLOSE_TIMEOUT, self.socket.flush()).await;
        Ended::ByPeer
    }

    fn now(&self) -> Moment {
        Moment { instant: Instant::now(), wall: self.env.now() }
    }
}

/// How many write timeouts `WRITE_BYTES` of a buffer may take, however little each write moved.
const PATIENCE: u32 = 6;

/// How long a peer may take over the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The closing handshake, as far as the peer takes part in it in time.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    code: CloseCode,
) -> Ended {
    let reason = Utf8Bytes::from_static(code.reason());
    let frame = CloseFrame { code: WireCloseCode::from(code.number()), reason };
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            // What the peer still had under way is read and dropped, past the library, which reads no more after an
            // error: closing over unread bytes is a reset, and a reset loses the close frame.
            let io = socket.get_mut();
            let _ = io.shutdown().await;
            let mut dropped = [0; 512];
            while matches!(io.read(&mut dropped).await, Ok(count) if count > 0) {}
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, closing).await;
    Ended::ByServer(code)
}

fn read_later(reader: Reader, read: Read) -> futures_util::future::BoxFuture<'static, ReadAnswer> {
    Box::pin(async move { reader.read(read).await })
}

async fn in_time(limit: Duration, sending: impl Future<Output = Result<(), Error>>) -> Result<(), Ended> {
    match timeout(limit, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ended::ByPeer),
        Err(_) => Err(Ended::ByServer(CloseCode::TooSlow)),
    }
}

/// One write of as many frames as fit into a call. The slices live for one poll only, not in the task.
fn poll_write_front<S: AsyncWrite + Unpin>(
    io: &mut S,
    context: &mut Context<'_>,
    queue: &VecDeque<Bytes>,
) -> Poll<std::io::Result<usize>> {
    if let (1, Some(only)) = (queue.len(), queue.front()) {
        // The kernel's way for a single buffer is shorter.
        return Pin::new(io).poll_write(context, only);
    }
    let mut slices = [IoSlice::new(&[]); 64];
    let mut used = 0;
    for (slice, frame) in slices.iter_mut().zip(queue) {
        *slice = IoSlice::new(frame);
        used += 1;
    }
    Pin::new(io).poll_write_vectored(context, &slices[..used])
}

fn advance(queue: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = queue.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        queue.pop_front();
    }
}
