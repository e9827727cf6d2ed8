//! Sockets and streams that subscribe to one channel and check every event that comes. Knows the frames of `/ws` and `/sse` as a
//! client sees them; allocates nothing for an event, because at saturation millions of them arrive in a second.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::error::{BenchError, Outcome};
use crate::http::connect;
use crate::stats::Latencies;
use crate::stream::{Chunks, block};
use crate::tasks_api::{CHANNEL, follow, upgrade};
use crate::wire::{self, CLOSE, Head, Hints, PING, PONG, client_frame, frame, printable};

/// Bytes that one read may take, and so the largest frame that the driver understands.
const SCRATCH_BYTES: usize = 512 << 10;

/// A fleet that neither subscribes nor receives anything for this long has got all that it will get.
const PATIENCE: Duration = Duration::from_secs(20);

thread_local! {
    /// All sockets read into one buffer, one after the other: a fleet of thousands stays in the processor's cache.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
    /// The same for what the chunks of a stream hold.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The position of a subscriber, as it is sent in `since`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Position {
    epoch: String,
    pub(crate) seq: u64,
    #[serde(default)]
    view: Value,
}

/// How a subscriber is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Socket,
    /// A stream of server-sent events. It begins at the end of the log, as an anonymous caller.
    Stream,
}

/// Who a socket is, what it listens to, and from where on it goes.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) over: Over,
    pub(crate) channel: &'static str,
    pub(crate) person: Option<String>,
    /// Of a session.
    pub(crate) token: Option<Rc<str>>,
    pub(crate) since: Option<Position>,
}

impl Default for Part {
    fn default() -> Part {
        Part { over: Over::Socket, channel: CHANNEL, person: None, token: None, since: None }
    }
}

/// What all sockets of a fleet have seen together.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) subscribed: Cell<usize>,
    pub(crate) subscribed_at: Cell<Instant>,
    /// Sockets that got the closing `pong` of their channel: they came through what they had missed.
    pub(crate) live: Cell<usize>,
    pub(crate) live_at: Cell<Instant>,
    /// Events that came, each the successor of the one before on its socket.
    pub(crate) events: Cell<u64>,
    /// Bytes of those events, frame headers included.
    pub(crate) bytes: Cell<u64>,
    /// Seqs that were skipped, came twice or came out of order.
    pub(crate) faults: Cell<u64>,
    /// The position in the newest `subscribed`.
    pub(crate) position: RefCell<Option<Position>>,
    pub(crate) clock: RefCell<Clock>,
    failure: RefCell<Option<BenchError>>,
}

/// When creates were sent, to know how long their events took.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// The seq of the first create.
    pub(crate) first: u64,
    /// The moments of sending it and its successors.
    pub(crate) sent: Vec<Instant>,
    pub(crate) latencies: Latencies,
}

impl Clock {
    fn arrived(&mut self, seqs: std::ops::Range<u64>) {
        let now = Instant::now();
        for seq in seqs {
            let index = seq.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
            if let Some(sent) = index.and_then(|index| self.sent.get(index)) {
                self.latencies.add(now - *sent);
            }
        }
    }
}

/// Subscribers of one server.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) crowd: Rc<Crowd>,
    pub(crate) opened_at: Instant,
    sockets: JoinSet<()>,
}

impl Fleet {
    /// Begins to open `size` sockets, `at_once` of them at a time, each with its own `subscribe`.
    pub(crate) fn open(addr: SocketAddr, size: usize, at_once: usize, since: Option<&Position>) -> Fleet {
        Fleet::of(addr, vec![Part { since: since.cloned(), ..Part::default() }; size], at_once)
    }

    /// The same of certain persons.
    pub(crate) fn of(addr: SocketAddr, parts: Vec<Part>, at_once: usize) -> Fleet {
        let now = Instant::now();
        let crowd = Rc::new(Crowd {
            subscribed: Cell::new(0),
            subscribed_at: Cell::new(now),
            live: Cell::new(0),
            live_at: Cell::new(now),
            events: Cell::new(0),
            bytes: Cell::new(0),
            faults: Cell::new(0),
            position: RefCell::default(),
            clock: RefCell::default(),
            failure: RefCell::default(),
        });
        let gate = Rc::new(Semaphore::new(at_once));
        let mut sockets = JoinSet::new();
        for part in parts {
            let (crowd, gate) = (Rc::clone(&crowd), Rc::clone(&gate));
            sockets.spawn_local(async move {
                if let Err(error) = attend(addr, part, &gate, &crowd).await {
                    crowd.failure.borrow_mut().get_or_insert(error);
                }
            });
        }
        Fleet { crowd, opened_at: now, sockets }
    }

    /// Waits until `done`; false when nothing more comes before that. A socket that failed is an error.
    pub(crate) async fn until(&self, done: impl Fn(&Crowd) -> bool) -> Outcome<bool> {
        let progress = || (self.crowd.subscribed.get(), self.crowd.live.get(), self.crowd.events.get());
        let (mut last, mut deadline) = (progress(), Instant::now() + PATIENCE);
        while !done(&self.crowd) {
            if let Some(error) = self.crowd.failure.take() {
                return Err(error);
            }
            if last != progress() {
                (last, deadline) = (progress(), Instant::now() + PATIENCE);
            } else if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(true)
    }

    /// Waits until all sockets have their `subscribed`; the position in the last one.
    pub(crate) async fn subscribed(&self) -> Outcome<Position> {
        let size = self.sockets.len();
        if !self.until(|crowd| crowd.subscribed.get() == size).await? {
            let count = self.crowd.subscribed.get();
            return Err(BenchError::Wire(format!("only {count} of {size} sockets got `subscribed`")));
        }
        let position = self.crowd.position.borrow().clone();
        position.ok_or_else(|| BenchError::Wire("`subscribed` came without a position".into()))
    }

    /// Waits until each socket has got `expected` events since it subscribed; how many are missing in all.
    pub(crate) async fn drained(&self, expected: u64) -> Outcome<u64> {
        let all = expected * self.sockets.len() as u64;
        self.until(|crowd| crowd.events.get() >= all).await?;
        Ok(all.saturating_sub(self.crowd.events.get()) + self.crowd.faults.get())
    }

    /// Cuts all connections, without a goodbye.
    pub(crate) async fn cut(mut self) {
        self.sockets.shutdown().await;
    }
}

struct Socket {
    stream: TcpStream,
    /// The beginning of a frame whose rest has not come.
    carry: Vec<u8>,
    /// Of a stream: where it is in its chunks, and the beginning of an event whose rest has not come.
    chunks: Option<Chunks>,
    event: Vec<u8>,
    hints: Hints,
    /// The seq that `since` named, when this socket resumes.
    resumed: Option<u64>,
    channel: &'static str,
    last: u64,
    crowd: Rc<Crowd>,
}

/// One socket's life: subscribe, then read until cut.
async fn attend(addr: SocketAddr, part: Part, gate: &Semaphore, crowd: &Rc<Crowd>) -> Outcome<()> {
    let permit = gate.acquire().await.ok();
    let mut socket = Socket::open(addr, &part, crowd).await?;
    socket.digest_carry()?;
    let mut waiting = permit;
    loop {
        // A gate narrower than the fleet keeps the number of handshakes under way small, so it opens at `subscribed`.
        if socket.last != u64::MAX {
            waiting.take();
        }
        poll_fn(|context| socket.poll(context)).await?;
    }
}

impl Socket {
    async fn open(addr: SocketAddr, part: &Part, crowd: &Rc<Crowd>) -> Outcome<Socket> {
        let mut stream = connect(addr).await?;
        let send = |source| BenchError::io("send to a socket", source);
        let (request, status) = match part.over {
            Over::Socket => (upgrade(addr, part.person.as_deref(), part.token.as_deref()), 101),
            Over::Stream => (follow(addr, part.channel), 200),
        };
        stream.write_all(&request).await.map_err(send)?;
        let mut carry = Vec::with_capacity(1024);
        let head = loop {
            let read = stream.read_buf(&mut carry).await;
            if read.map_err(|source| BenchError::io("read the answer to a subscriber", source))? == 0 {
                return Err(BenchError::Wire("the server closed a socket before it answered".into()));
            }
            match Head::parse(&carry)? {
                Some(head) if head.status == status => break head.size,
                Some(head) if carry.len() >= head.size + head.body_length()? => {
                    return Err(BenchError::Wire(format!("a subscriber was answered {}", printable(&carry))));
                }
                _ => {}
            }
        };
        carry.drain(..head);
        let since = part.since.as_ref();
        if part.over == Over::Socket {
            let frame = client_frame(wire::TEXT, subscribe(part.channel, since).to_string().as_bytes());
            stream.write_all(&frame).await.map_err(send)?;
        }
        let resumed = since.map(|position| position.seq);
        Ok(Socket {
            stream,
            carry,
            chunks: (part.over == Over::Stream).then(Chunks::default),
            event: Vec::new(),
            hints: Hints::default(),
            resumed,
            channel: part.channel,
            last: u64::MAX,
            crowd: Rc::clone(crowd),
        })
    }

    /// Frames that came in one piece with the answer to the upgrade.
    fn digest_carry(&mut self) -> Outcome<()> {
        let bytes = std::mem::take(&mut self.carry);
        let used = self.digest(&bytes)?;
        self.carry.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    /// Reads once and digests what came.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome<()>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let held = self.carry.len();
            if held == scratch.len() {
                return Poll::Ready(Err(BenchError::Wire(format!("a frame of more than {held} bytes"))));
            }
            scratch[..held].copy_from_slice(&self.carry);
            let mut buffer = ReadBuf::new(&mut scratch[held..]);
            let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
            let end = held + buffer.filled().len();
            Poll::Ready(match read {
                Err(source) => Err(BenchError::io("read from a socket", source)),
                Ok(()) if end == held => Err(BenchError::Wire("the server closed a socket".into())),
                Ok(()) => self.digest(&scratch[..end]).map(|used| {
                    self.carry.clear();
                    self.carry.extend_from_slice(&scratch[used..end]);
                }),
            })
        })
    }

    /// Takes all whole frames of `bytes`; the number of bytes that they took.
    fn digest(&mut self, bytes: &[u8]) -> Outcome<usize> {
        if let Some(mut chunks) = self.chunks {
            let taken = TEXT.with_borrow_mut(|text| {
                text.clear();
                text.extend_from_slice(&self.event);
                chunks.take(bytes, text)?;
                self.digest_blocks(text)
            });
            self.chunks = Some(chunks);
            return taken.map(|()| bytes.len());
        }
        let (mut used, mut events, mut event_bytes) = (0, 0u64, 0);
        while let Some(frame) = frame(&bytes[used..])? {
            used += frame.size;
            match frame.opcode {
                wire::TEXT if self.heard(frame.payload)? => {
                    events += 1;
                    event_bytes += frame.size as u64;
                }
                PING => self.answer(frame.payload)?,
                CLOSE => return Err(closed(frame.payload)),
                _ => {}
            }
        }
        self.count(events, event_bytes);
        Ok(used)
    }

    /// Takes all whole events of a stream, and keeps the beginning of the next.
    fn digest_blocks(&mut self, text: &[u8]) -> Outcome<()> {
        let (mut used, mut events, mut event_bytes) = (0, 0u64, 0);
        while let Some(block) = block(&text[used..]) {
            used += block.size;
            if let Some(frame) = block.frame
                && self.heard(frame)?
            {
                events += 1;
                event_bytes += block.size as u64;
            }
        }
        self.event.clear();
        self.event.extend_from_slice(&text[used..]);
        self.count(events, event_bytes);
        Ok(())
    }

    /// Takes one frame. True if it is an event.
    fn heard(&mut self, frame: &[u8]) -> Outcome<bool> {
        match self.hints.event_seq(frame) {
            Some(seq) => {
                self.follow(seq);
                Ok(true)
            }
            None => self.control(frame).map(|()| false),
        }
    }

    /// Events that came together.
    fn count(&self, events: u64, bytes: u64) {
        if events == 0 {
            return;
        }
        self.crowd.events.set(self.crowd.events.get() + events);
        self.crowd.bytes.set(self.crowd.bytes.get() + bytes);
        let mut clock = self.crowd.clock.borrow_mut();
        if !clock.sent.is_empty() {
            clock.arrived(self.last.saturating_sub(events - 1)..self.last + 1);
        }
    }

    /// Only tasks are created during the bench and the log is dense, so each event has the next seq.
    fn follow(&mut self, seq: u64) {
        if seq != self.last.wrapping_add(1) {
            let off = seq.abs_diff(self.last).max(1);
            self.crowd.faults.set(self.crowd.faults.get().saturating_add(off));
        }
        self.last = seq;
    }

    /// Everything that is not an event: rare, so it is parsed properly.
    fn control(&mut self, text: &[u8]) -> Outcome<()> {
        let unexpected = || BenchError::Wire(format!("an unexpected frame: {}", printable(text)));
        let control: Control = serde_json::from_slice(text).map_err(|_| unexpected())?;
        let crowd = &self.crowd;
        match control.kind.as_str() {
            "subscribed" => {
                let position: Position =
                    Position::deserialize(control.payload.clone()).map_err(|_| unexpected())?;
                if self.resumed.is_some() && control.payload["recovered"] != json!(true) {
                    return Err(BenchError::Wire(format!("a resume was not granted: {}", printable(text))));
                }
                self.last = self.resumed.unwrap_or(position.seq);
                crowd.position.replace(Some(position));
                crowd.subscribed.set(crowd.subscribed.get() + 1);
                crowd.subscribed_at.set(Instant::now());
            }
            "pong" if control.channel.as_deref() == Some(self.channel) => {
                crowd.live.set(crowd.live.get() + 1);
                crowd.live_at.set(Instant::now());
            }
            "connected" | "welcome" | "pong" => {}
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    fn answer(&self, ping: &[u8]) -> Outcome<()> {
        let pong = client_frame(PONG, ping);
        match self.stream.try_write(&pong) {
            Ok(written) if written == pong.len() => Ok(()),
            _ => Err(BenchError::Wire("a socket took no pong: the server does not read".into())),
        }
    }
}

#[derive(Deserialize)]
struct Control {
    #[serde(rename = "type")]
    kind: String,
    channel: Option<String>,
    #[serde(default)]
    payload: Value,
}

fn subscribe(channel: &str, since: Option<&Position>) -> Value {
    let mut frame = json!({ "type": "subscribe", "channel": channel, "requestId": "1" });
    if let Some(Position { epoch, seq, view }) = since {
        frame["payload"] = json!({ "since": { "epoch": epoch, "seq": seq, "view": view } });
    }
    frame
}

fn closed(payload: &[u8]) -> BenchError {
    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
    BenchError::Wire(format!(
        "the server closed a socket: {code} {}",
        printable(payload.get(2..).unwrap_or(&[]))
    ))
}
