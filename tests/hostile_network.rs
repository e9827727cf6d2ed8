//! A hostile network: clients that hold connections and send nothing, or without end. Others are served, memory stays flat, and the
//! places come back. At the end, the list of the classes of attacks V1 to V29 with the tests that show each.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::socket::{PATIENCE, Socket};

/// Bytes of this process that are in memory: server and attackers are both in it.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Waits until so many connections were closed because no head came, or more.
async fn wait_for_late_heads(app: &TestApp, most: f64) {
    let counted = async {
        while app.counted().value("tidewire_http_connections_ended_total{reason=\"head_late\"}") < most {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, counted).await.expect("all are counted");
}

/// V17. Both ends are in this process, so the limit of descriptors bounds the attack.
#[tokio::test]
async fn five_thousand_silent_connections_leave_others_served_and_memory_flat() {
    const SILENT: usize = 5_000;
    rlimit::increase_nofile_limit(2 * SILENT as u64 + 2_000).unwrap();
    let app = TestApp::with(|config| {
        config.http.connections = SILENT + 100;
        config.http.header_timeout = Duration::from_secs(3);
    })
    .await;
    app.client().create("tasks", json!({"title": "before"})).await;
    let before = resident();
    let mut silent = Vec::with_capacity(SILENT);
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(app.address).await.unwrap());
    }
    let api = app.client();
    for _ in 0..20 {
        let asked = tokio::time::timeout(Duration::from_secs(2), api.get_any("/api/tasks")).await;
        assert_eq!(asked.expect("a request is answered at once").0, 200);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < SILENT * (20 << 10), "{} KiB for a silent connection", grown / SILENT / 1024);
    for stream in &mut silent {
        let ended = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("in time");
        assert!(matches!(ended, Ok(0) | Err(_)), "closed without a word");
    }
    // The connection of `api`, which rests as well, may be among them.
    wait_for_late_heads(&app, SILENT as f64).await;
}

/// V17. A byte now and then does not renew the time for a head.
#[tokio::test]
async fn heads_that_come_byte_by_byte_are_cut_off() {
    let app = TestApp::with(|config| config.http.header_timeout = Duration::from_millis(400)).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(TcpStream::connect(app.address).await.unwrap());
    }
    let sending = async {
        let mut head = b"GET /api/tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
            .iter()
            .copied()
            .chain(std::iter::repeat(b'x'));
        while !slow.is_empty() {
            let byte = [head.next().unwrap()];
            let mut left = Vec::new();
            for mut stream in slow.drain(..) {
                if stream.write_all(&byte).await.is_ok() {
                    left.push(stream);
                }
            }
            slow = left;
            assert_eq!(app.client().get_any("/health").await.0, 200);
            // The pace of the attack, not a wait for the server.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("all are cut off");
    wait_for_late_heads(&app, 100.0).await;
}

/// The head of a masked frame with a payload of up to 65,535 bytes and the mask 0.
fn frame(first: u8, payload: usize) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | 126];
    bytes.extend(u16::try_from(payload).unwrap().to_be_bytes());
    bytes.extend([0; 4]);
    bytes.resize(bytes.len() + payload, b'x');
    bytes
}

/// V15. A message in fragments is bounded as one frame is.
#[tokio::test]
async fn messages_in_endless_fragments_end_at_the_limit_of_a_frame() {
    let app = TestApp::with(|config| config.realtime.connections_per_user = 1_000).await;
    app.client().create("tasks", json!({"title": "before"})).await;
    let before = resident();
    let mut attackers = Vec::new();
    for _ in 0..50 {
        let mut attacker = Socket::open(app.address).await;
        attacker.send_bytes(&frame(0x01, 1 << 10)).await;
        attackers.push(attacker);
    }
    for _ in 0..62 {
        for attacker in &mut attackers {
            attacker.send_bytes(&frame(0x00, 1 << 10)).await;
        }
    }
    let mut other = Socket::open(app.address).await;
    other.subscribe("entity:Task", Value::Null).await;
    let grown = resident().saturating_sub(before);
    assert!(grown < 50 * (1 << 20), "{} KiB for an attacker", grown / 50 / 1024);
    for attacker in &mut attackers {
        attacker.send_bytes(&frame(0x00, 4 << 10)).await;
    }
    for attacker in &mut attackers {
        assert_eq!(attacker.closed().await, Some(1009));
    }
    assert_eq!(app.client().get_any("/api/tasks").await.0, 200);
}

/// V15. Fragments without a byte never reach the limit; they are no sign of life either.
#[tokio::test]
async fn empty_fragments_without_end_are_no_sign_of_life() {
    let app = TestApp::with(|config| {
        config.realtime.ping_interval = Duration::from_millis(200);
        config.realtime.pong_timeout = Duration::from_millis(200);
    })
    .await;
    let mut attacker = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        app.address
    );
    attacker.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = attacker.into_split();
    let sending = async {
        let mut first = 0x01;
        while writer.write_all(&frame(first, 0)).await.is_ok() {
            first = 0x00;
            tokio::task::yield_now().await;
        }
    };
    let reading = async {
        let mut all = Vec::new();
        let _ = reader.read_to_end(&mut all).await;
        all
    };
    let ended = async {
        tokio::select! {
            () = sending => {}
            _ = reading => {}
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the attacker is closed");
    app.wait_for_metric("tidewire_sessions{transport=\"ws\"}", 0.0).await;
}

/// V15. A length that no memory holds is refused by its announcement.
#[tokio::test]
async fn a_frame_that_announces_an_impossible_length_is_refused_before_a_byte_of_it() {
    let app = TestApp::start().await;
    for length in [1_u64 << 17, 1 << 40, (1 << 63) - 1] {
        let mut attacker = Socket::open(app.address).await;
        let mut head = vec![0x81, 0x80 | 127];
        head.extend(length.to_be_bytes());
        head.extend([0; 4]);
        attacker.send_bytes(&head).await;
        assert_eq!(attacker.closed().await, Some(1009), "{length}");
    }
}

/// V16. Without compression on the socket there is no bomb.
#[tokio::test]
async fn compression_of_a_socket_is_not_negotiated() {
    let app = TestApp::start().await;
    let mut client = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        app.address
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let count = client.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]).to_lowercase();
    assert!(answer.starts_with("http/1.1 101") && !answer.contains("sec-websocket-extensions"), "{answer}");
}
