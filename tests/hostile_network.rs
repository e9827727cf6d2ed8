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

/// The classes of attacks that can exist here, each with tests that show what happens: a file of tests/ and a name in it.
const CLASSES: [(&str, &[(&str, &str)]); 24] = [
    (
        "V1 a foreign page opens a socket",
        &[
            ("guard.rs", "an_origin_that_begins_or_ends_like_an_allowed_one_is_refused"),
            ("origins.rs", "a_page_of_another_origin_gets_nothing"),
        ],
    ),
    ("V2 a token in a log", &[("logs.rs", "no_token_no_body_no_query_and_no_address_is_logged")]),
    (
        "V3 rights that are taken away under a live connection",
        &[
            ("live_rights.rs", "a_granted_and_revoked_membership_changes_only_its_users_view"),
            ("live_rights.rs", "a_disabled_account_is_closed_and_does_not_come_back"),
        ],
    ),
    ("V4 a row that leaves sight", &[("live_rights.rs", "a_record_that_moves_enters_leaves_and_is_lost")]),
    (
        "V5 a delete that everyone is told",
        &[("live_rights.rs", "the_channel_of_a_hidden_record_is_silent_until_it_comes_into_sight")],
    ),
    (
        "V6 a hidden field in an event",
        &[("live_rights.rs", "a_role_in_the_user_record_opens_an_entity_and_fields_and_closes_them_again")],
    ),
    (
        "V7 a filter as an oracle",
        &[("http_rights.rs", "a_field_that_is_never_shown_is_unknown_in_every_query_parameter")],
    ),
    (
        "V8 an id as an oracle",
        &[("http_rights.rs", "a_hidden_record_is_answered_like_a_missing_one_on_every_way")],
    ),
    ("V10 prototype pollution", &[("js/query.test.js", "an operator named __proto__")]),
    (
        "V11 a script in a record",
        &[
            ("e2e/two_windows.test.js", "<script>alert(1)</script>"),
            ("origins.rs", "every_answer_protects_the_browser_that_shows_it"),
        ],
    ),
    ("V12 SQL in a name", &[("bad_requests.rs", "every_bad_request_gets_an_error_and_changes_nothing")]),
    ("V13 fields of the system in a body", &[("rest.rs", "all_errors_of_a_body_are_reported_at_once")]),
    (
        "V15 huge frames and fragments without end",
        &[
            ("hostile_network.rs", "messages_in_endless_fragments_end_at_the_limit_of_a_frame"),
            ("hostile_network.rs", "empty_fragments_without_end_are_no_sign_of_life"),
            (
                "hostile_network.rs",
                "a_frame_that_announces_an_impossible_length_is_refused_before_a_byte_of_it",
            ),
        ],
    ),
    (
        "V16 a bomb of compression",
        &[
            ("hostile_network.rs", "compression_of_a_socket_is_not_negotiated"),
            ("rest.rs", "a_body_is_decoded_by_its_encoding_or_refused"),
        ],
    ),
    (
        "V17 heads that do not come",
        &[
            ("hostile_network.rs", "five_thousand_silent_connections_leave_others_served_and_memory_flat"),
            ("hostile_network.rs", "heads_that_come_byte_by_byte_are_cut_off"),
            ("tls.rs", "who_does_not_finish_the_handshake_is_given_up"),
        ],
    ),
    (
        "V18 a queue for a client that does not read",
        &[
            ("slow_reader.rs", "a_stalled_reader_catches_up_from_the_log_while_others_are_undisturbed"),
            ("slow_reader.rs", "a_socket_that_accepts_nothing_is_closed_and_its_place_is_free_again"),
        ],
    ),
    (
        "V19 a flood of messages",
        &[("realtime.rs", "too_many_messages_close_with_4029_and_the_second_time_for_good")],
    ),
    ("V22 CORS", &[("origins.rs", "a_page_of_an_allowed_origin_reads_and_writes_and_brings_no_cookie")]),
    (
        "V23 a path out of the folder",
        &[("health.rs", "/..%2foutside.txt"), ("handbook.rs", "%2e%2e/README.md")],
    ),
    ("V24 a command of another site", &[("guard.rs", "pages_of_foreign_origins_change_nothing")]),
    (
        "V26 the idempotency key of someone else",
        &[
            ("mutation_keys.rs", "two_anonymous_addresses_do_not_share_their_keys"),
            ("rest.rs", "an_anonymous_retry_learns_the_id_alone"),
        ],
    ),
    (
        "V27 churn while events go out",
        &[("stress.rs", "every_subscriber_ends_with_the_state_of_a_fresh_read")],
    ),
    (
        "V28 an event before its commit",
        &[("crash.rs", "no_acknowledged_write_is_lost_and_subscribers_resume_over_a_kill")],
    ),
    (
        "V29 a position of someone else",
        &[("live_rights.rs", "a_resume_over_a_change_of_rights_is_not_recovered")],
    ),
];

#[test]
fn every_class_of_attacks_names_tests_that_exist() {
    for (class, tests) in CLASSES {
        for (file, name) in tests {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|_| panic!("{class}: no {file}"));
            assert!(text.contains(name), "{class}: {file} has no {name}");
        }
    }
}
