//! Clients on slow lines: they read and answer, but far slower than the server writes. They get what they asked for.
//!
//! The clock is paused and the line is made of pipes, so that the deadlines are those of a server as it is set by default.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tidewire::auth::Identity;
use tidewire::channels::{ChannelManager, Ring};
use tidewire::config::RealtimeConfig;
use tidewire::env::Env;
use tidewire::event_bus::EventBus;
use tidewire::http::socket_options::bound_send_buffer;
use tidewire::ids::{Seq, Timestamp};
use tidewire::metrics::Metrics;
use tidewire::realtime::transport::Ended;
use tidewire::realtime::{LiveReader, Sessions, Surroundings, WebSocketManager};
use tidewire::schema::Generation;
use tidewire::store::{CommitBatch, Listed, LogLimit, Stored};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::support::app::TestApp;
use crate::support::fixtures::{self, epoch};
use crate::support::puppet::Puppet;
use crate::support::socket::{PATIENCE, Socket};

/// What the kernel holds for the server: twice the default, so that a ping behind it is later than its own time limit.
const KERNEL: usize = 256 << 10;

/// Between the server and a client that reads as fast as its line brings something.
#[derive(Clone, Copy)]
struct Line {
    /// What is in queues behind it: of routers, of the client's kernel, of the client itself.
    queues: usize,
    bytes_per_second: usize,
}

/// Eight megabytes in records of 8 KB.
fn eight_megabytes() -> Vec<Listed> {
    records(1_000, 8_000)
}

fn records(count: u128, size: usize) -> Vec<Listed> {
    let record = |n| {
        let id = fixtures::id(n);
        let json = json!({"id": id.as_str(), "version": 1, "title": "x".repeat(size)}).to_string();
        let stored = Stored { version: 1, json: Bytes::from(json) };
        Listed { id, sort_values: Vec::new(), stored, expanded: Vec::new() }
    };
    (1..=count).map(record).collect()
}

struct Server {
    websockets: WebSocketManager,
    _batches: mpsc::Sender<Arc<CommitBatch>>,
}

impl Server {
    /// All on the runtime of the test, whose clock is paused.
    fn of(rows: Vec<Listed>) -> Server {
        let config = RealtimeConfig { send_buffer_bytes: KERNEL, ..RealtimeConfig::default() };
        let puppet = Arc::new(Puppet::default());
        *puppet.rows.lock() = rows;
        let kept = LogLimit { changes: config.ring_changes, bytes: config.ring_bytes };
        let ring = Arc::new(Ring::new(epoch(), Seq(1), Generation(1), kept));
        let metrics = Arc::new(Metrics::new(&[], Timestamp(0)));
        let (batches, tail) = mpsc::channel(1);
        let (_, feed) = EventBus::new(tail, Seq(1), metrics.clone());
        let (channels, _) = ChannelManager::start(ring.clone(), feed, 1, Env::system(), metrics.clone());
        let repository = Arc::new(puppet.repository_over(fixtures::schema()));
        let reader = LiveReader::new(puppet, ring, &config);
        let around = Surroundings {
            schema: fixtures::schema(),
            generation: Generation(1),
            epoch: epoch(),
            config: Arc::new(config),
            metrics,
        };
        let sessions = Sessions::new(around, channels, reader, repository, Env::system());
        let websockets = WebSocketManager::new(sessions);
        Server { websockets, _batches: batches }
    }

    async fn connect(&self, line: Line) -> Client {
        let mut client = self.connect_unread(line).await;
        assert_eq!(client.frame().await["type"], "connected");
        client
    }

    async fn connect_unread(&self, line: Line) -> Client {
        let (server_end, far) = duplex(KERNEL);
        let served = tokio::spawn(self.websockets.clone().serve(server_end, Bytes::new(), nobody()));
        let socket = WebSocketStream::from_raw_socket(slowed(far, line), Role::Client, None).await;
        Client { socket, served }
    }
}

fn nobody() -> Identity {
    Identity::nobody([127, 0, 0, 1].into())
}

/// The client's end of a line. What the client sends arrives at once.
fn slowed(mut far: DuplexStream, line: Line) -> DuplexStream {
    let (mut into_queue, mut queue) = duplex(line.queues);
    let (near, client_end) = duplex(1 << 10);
    let (mut from_client, mut to_client) = split(near);
    tokio::spawn(async move {
        let mut up = vec![0; 1 << 10];
        let mut down = vec![0; 16 << 10];
        loop {
            tokio::select! {
                Ok(count) = from_client.read(&mut up) => match count {
                    0 => return,
                    _ => far.write_all(&up[..count]).await.unwrap_or_default(),
                },
                Ok(count) = far.read(&mut down) => match count {
                    0 => return,
                    _ => into_queue.write_all(&down[..count]).await.unwrap_or_default(),
                },
                else => return,
            }
        }
    });
    tokio::spawn(async move {
        let mut bytes = vec![0; (line.bytes_per_second / 100).max(1)];
        while let Ok(1..) = queue.read(&mut bytes[..1]).await {
            // A whole step of what is there, then its time.
            let rest = timeout(Duration::ZERO, queue.read(&mut bytes[1..])).await;
            let count = 1 + rest.map_or(0, Result::unwrap_or_default);
            if to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
            // On the paused clock of these stories: this is the pace of the line, and no story waits for it.
            sleep(Duration::from_secs_f64(count as f64 / line.bytes_per_second as f64)).await;
        }
    });
    client_end
}

struct Client {
    /// Answers pings by itself, when it is read.
    socket: WebSocketStream<DuplexStream>,
    served: JoinHandle<Ended>,
}

impl Client {
    async fn frame(&mut self) -> Value {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} where a frame was due"),
            }
        }
    }

    async fn subscribe(&mut self) {
        let frame = json!({"type": "subscribe", "channel": "entity:Task", "payload": {"snapshot": true}});
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// The records of the snapshot that is under way.
    async fn snapshot(&mut self) -> usize {
        let mut count = 0;
        loop {
            let frame = self.frame().await;
            match frame["type"].as_str().unwrap() {
                "snapshot" => count += frame["payload"]["rows"].as_array().unwrap().len(),
                "pong" if frame["channel"] == "entity:Task" => return count,
                "subscribed" | "pong" => {}
                _ => panic!("{frame}"),
            }
        }
    }

    /// Reads for so long; panics if the connection ends.
    async fn stays_for(&mut self, time: Duration) {
        let reading = async {
            loop {
                self.frame().await;
            }
        };
        assert!(timeout(time, reading).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_on_a_slow_line_gets_eight_megabytes_and_stays() {
    for bytes_per_second in [20_000, 50_000, 150_000] {
        let server = Server::of(eight_megabytes());
        // The second has so much before it that its pong takes longer than the kernel accounts for.
        for queues in [1 << 10, 400 << 10] {
            let line = Line { queues, bytes_per_second };
            let mut client = server.connect(line).await;
            let started = Instant::now();
            client.subscribe().await;
            assert_eq!(client.snapshot().await, 1_000);
            let took = started.elapsed().as_secs_f64();
            let least = 8e6 / bytes_per_second as f64;
            assert!((least..least * 1.2).contains(&took), "{took} s at {bytes_per_second} bytes a second");
            client.stays_for(Duration::from_secs(200)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_behind_what_the_kernel_holds_is_waited_for() {
    let server = Server::of(records(1, 240_000));
    let line = Line { queues: 1 << 10, bytes_per_second: 20_000 };
    let mut client = server.connect(line).await;
    // The kernel takes the whole record at once, just before the ping. The clock is paused: this moves it to that moment.
    sleep(Duration::from_millis(24_900)).await;
    client.subscribe().await;
    assert_eq!(client.snapshot().await, 1);
    client.stays_for(Duration::from_secs(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_megabyte_reaches_a_slow_client() {
    let server = Server::of(records(2, 1_500_000));
    let line = Line { queues: 1 << 10, bytes_per_second: 20_000 };
    let mut client = server.connect(line).await;
    client.subscribe().await;
    assert_eq!(client.snapshot().await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_a_byte_now_and_then_does_not_stay() {
    let server = Server::of(eight_megabytes());
    for bytes_per_second in [1, 100, 2_000] {
        let line = Line { queues: 1 << 10, bytes_per_second };
        let mut client = server.connect_unread(line).await;
        client.subscribe().await;
        let started = Instant::now();
        let Client { mut socket, served } = client;
        let reading = tokio::spawn(async move { while socket.next().await.is_some() {} });
        let ended = served.await.unwrap();
        reading.abort();
        assert_eq!(ended.code().map(|code| code.number()), Some(4013), "{bytes_per_second} bytes a second");
        assert!(started.elapsed() < Duration::from_secs(80), "{:?}", started.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_closed_even_if_nothing_is_sent() {
    for (rows, code, within) in [(eight_megabytes(), 4013, 12), (records(1, 1_000), 4008, 40)] {
        let server = Server::of(rows);
        let (server_end, far) = duplex(KERNEL);
        let served = tokio::spawn(server.websockets.clone().serve(server_end, Bytes::new(), nobody()));
        let mut deaf = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let frame = json!({"type": "subscribe", "channel": "entity:Task", "payload": {"snapshot": true}});
        deaf.send(Message::text(frame.to_string())).await.unwrap();
        let started = Instant::now();
        assert_eq!(served.await.unwrap().code().map(|code| code.number()), Some(code));
        assert!(started.elapsed() < Duration::from_secs(within), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_send_buffer_holds_what_the_setting_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let bytes = RealtimeConfig::default().send_buffer_bytes;
    let buffer = || socket2::SockRef::from(&stream).send_buffer_size().unwrap();
    assert_ne!(buffer(), bytes);
    bound_send_buffer(&stream, bytes);
    assert_eq!(buffer(), bytes);
}

#[tokio::test]
async fn the_kernel_takes_little_for_a_socket_that_is_not_read() {
    let app = TestApp::with(|config| config.realtime.write_timeout = Duration::from_millis(500)).await;
    let api = app.client();
    let large = "x".repeat(60_000);
    for n in 0..100 {
        api.create("tasks", json!({"title": format!("{n}"), "tags": [large]})).await;
    }
    let mut deaf = Socket::try_open(app.address, "/ws", &[], Some(4096)).await.unwrap();
    deaf.send(&json!({"type": "subscribe", "channel": "entity:Task", "payload": {"snapshot": true}})).await;
    app.wait_for_metric("tidewire_closes_total{code=\"4013\"}", 1.0).await;
    // What was in the kernels of both ends can still be read.
    let held = deaf.rest().await;
    assert!(held > 4 << 10, "{held} bytes: nothing was sent");
    assert!(held < 512 << 10, "{held} bytes, of six million, were in the kernel");
}

#[tokio::test]
async fn the_kernel_takes_little_of_an_answer_that_its_client_does_not_read() {
    let app = TestApp::with(|config| config.http.write_timeout = Duration::from_millis(500)).await;
    let api = app.client();
    let large = "x".repeat(60_000);
    for n in 0..60 {
        api.create("tasks", json!({"title": format!("{n}"), "tags": [large]})).await;
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut deaf = socket.connect(app.address).await.unwrap();
    let ask = format!("GET /api/tasks?limit=60 HTTP/1.1\r\nHost: {}\r\n\r\n", app.address);
    deaf.write_all(ask.as_bytes()).await.unwrap();
    app.wait_for_metric("tidewire_http_connections_ended_total{reason=\"write_late\"}", 1.0).await;
    let mut held = Vec::new();
    timeout(PATIENCE, deaf.read_to_end(&mut held)).await.expect("the connection ends").unwrap();
    assert!(held.starts_with(b"HTTP/1.1 200"));
    assert!(held.len() < 512 << 10, "{} bytes, of four million, were in the kernel", held.len());
}
