//! Answers that come before the end of their request: they reach a client that sends everything before it reads.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::Duration;

use tidewire::http::lingering::{Lingering, Unread};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::rest_of;
use crate::support::app::TestApp;

/// More than any buffer of the kernel takes in one go.
const LARGE: usize = 6 << 20;
const ROUNDS: usize = 5;

/// How a client frames its body.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Length,
    Chunks,
}

/// Sends the whole request, then reads.
async fn answer_after_sending(address: SocketAddr, head: &str, framing: Framing) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{head}\r\nHost: {address}\r\n").into_bytes();
    match framing {
        Framing::Length => request.extend(format!("Content-Length: {LARGE}\r\n\r\n").bytes()),
        Framing::Chunks => request.extend(format!("Transfer-Encoding: chunked\r\n\r\n{LARGE:x}\r\n").bytes()),
    }
    request.resize(request.len() + LARGE, b' ');
    if let Framing::Chunks = framing {
        request.extend(b"\r\n0\r\n\r\n");
    }
    stream.write_all(&request).await.expect("the server takes what is sent");
    rest_of(&mut stream).await
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_its_whole_body_first() {
    let app = TestApp::start().await;
    let json = "Content-Type: application/json";
    for (head, status) in [
        (format!("POST /api/tasks HTTP/1.1\r\n{json}"), "413"),
        (format!("PATCH /api/tasks/0190a000-0000-7000-8000-00000000000a HTTP/1.1\r\n{json}"), "413"),
        (format!("POST /api/batch HTTP/1.1\r\n{json}"), "413"),
        (format!("POST /api/tasks HTTP/1.1\r\n{json}\r\nAuthorization: Bearer x"), "401"),
        (format!("POST /api/tasks HTTP/1.1\r\n{json}\r\nOrigin: http://evil.example"), "403"),
        (format!("POST /api/nothing HTTP/1.1\r\n{json}"), "404"),
        (format!("POST /nothing HTTP/1.1\r\n{json}"), "405"),
        (format!("POST /api/schema HTTP/1.1\r\n{json}"), "405"),
        ("POST /api/tasks HTTP/1.1\r\nContent-Type: text/plain".to_owned(), "415"),
        ("GET /api/tasks HTTP/1.1".to_owned(), "200"),
    ] {
        for framing in [Framing::Length, Framing::Chunks] {
            for round in 0..ROUNDS {
                let answer = answer_after_sending(app.address, &head, framing).await;
                let expected = format!("HTTP/1.1 {status}");
                assert!(answer.starts_with(&expected), "{head} {framing:?} round {round}: {answer:?}");
                assert!(answer.contains("connection: close"), "{head}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_refusal_of_a_head_reaches_a_client_that_sends_more_than_fits() {
    let app = TestApp::start().await;
    for round in 0..ROUNDS {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let head = format!("GET /{} HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(LARGE), app.address);
        stream.write_all(head.as_bytes()).await.expect("the server takes what is sent");
        let answer = rest_of(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "round {round}: {answer:?}");
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_gets_an_error_after_its_whole_body() {
    // As many turns for refusals as rounds: each may still be under way when the next begins.
    let connections = 8 * 2 * ROUNDS;
    let app = TestApp::with(|config| {
        config.realtime.connections = 0;
        config.http.connections = connections;
    })
    .await;
    let mut places = Vec::new();
    for _ in 0..connections {
        places.push(TcpStream::connect(app.address).await.unwrap());
    }
    for framing in [Framing::Length, Framing::Chunks] {
        for round in 0..ROUNDS {
            let head = "POST /api/tasks HTTP/1.1\r\nContent-Type: application/json";
            let answer = answer_after_sending(app.address, head, framing).await;
            assert!(answer.starts_with("HTTP/1.1 503"), "{framing:?} round {round}: {answer:?}");
            assert!(answer.contains("CONNECTION_LIMIT"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_client_that_asks_before_it_sends_its_body_is_refused_without_it() {
    let app = TestApp::start().await;
    let json = "Content-Type: application/json";
    for (head, status) in [
        (format!("POST /api/tasks HTTP/1.1\r\n{json}"), "413"),
        (format!("POST /api/tasks HTTP/1.1\r\n{json}\r\nAuthorization: Bearer x"), "401"),
        (format!("POST /api/tasks HTTP/1.1\r\n{json}\r\nOrigin: http://evil.example"), "403"),
        (format!("POST /api/nothing HTTP/1.1\r\n{json}"), "404"),
        ("POST /api/tasks HTTP/1.1\r\nContent-Type: text/plain".to_owned(), "415"),
    ] {
        let head = format!("{head}\r\nExpect: 100-continue");
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let request = format!("{head}\r\nHost: {}\r\nContent-Length: {LARGE}\r\n\r\n", app.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest_of(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer:?}");
        // It may send its body all the same.
        let answer = answer_after_sending(app.address, &head, Framing::Length).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head}: {answer:?}");
    }
}

#[tokio::test]
async fn a_connection_whose_requests_are_read_stays_open() {
    let app = TestApp::start().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let body = r#"{"title":"x"}"#;
    let request = |last: &str| {
        format!(
            "POST /api/tasks HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{last}\r\n{body}",
            app.address,
            body.len()
        )
    };
    let both = request("") + &request("Connection: close\r\n");
    stream.write_all(both.as_bytes()).await.unwrap();
    let answers = rest_of(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 201").count(), 2, "{answers}");
}

/// How long the server reads on from a peer, after it closed its own direction.
async fn lingered(mut stream: impl AsyncRead + Unpin) -> Duration {
    let started = Instant::now();
    let mut lingering = Lingering::start(&Unread::default());
    poll_fn(|context| lingering.poll(&mut stream, context)).await;
    started.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_server_does_not_drain_a_body_forever() {
    // A peer that has sent nothing is released at once.
    let (ours, _theirs) = tokio::io::duplex(64);
    assert_eq!(lingered(ours).await, Duration::ZERO);

    // One that stops is waited for a little.
    let (ours, mut theirs) = tokio::io::duplex(64);
    theirs.write_all(b"x").await.unwrap();
    assert_eq!(lingered(ours).await.as_secs(), 2);

    // One that sends a byte each second, and one that sends as fast as it can, are released in the end.
    for pause in [Duration::from_secs(1), Duration::ZERO] {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(b"x").await.unwrap();
        let peer = tokio::spawn(async move {
            let bytes = vec![b'x'; if pause.is_zero() { 1 << 16 } else { 1 }];
            while theirs.write_all(&bytes).await.is_ok() {
                // On the paused clock: this is the peer's pace, and takes no real time.
                tokio::time::sleep(pause).await;
            }
        });
        let took = lingered(ours).await;
        peer.await.unwrap();
        assert!(took <= Duration::from_secs(30), "{took:?}");
    }
}
