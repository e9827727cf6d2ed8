//! The few words that the doctor says over an upgraded connection, how long the answers take, and how long it stays open.
//!
//! Knows no URL and no proxy.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Response, Upgraded};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::refusal::ServerRefusal;
use crate::env::Env;

/// What is there is sent at once; whatever takes longer was held back.
pub(super) const AT_ONCE: Duration = Duration::from_secs(3);

/// What came back.
pub(super) enum Heard {
    /// `connected` after this time, and a pong.
    Everything(Duration, SocketFate),
    /// A pong after this time, and no `connected`: the server wants a token first.
    OnlyPong(Duration, SocketFate),
    Nothing,
    /// `connected`, but no pong.
    NoAnswer,
    /// An `error` instead.
    Refused(ServerRefusal),
    /// The end, after this time.
    Ended(Duration),
}

/// What became of a socket on which the doctor said nothing more.
pub(super) enum SocketFate {
    /// It was open as long as it should be.
    Open,
    /// The server ended it after this time, and said why.
    Refused(Duration, ServerRefusal),
    /// The server closed it with a code.
    Closed(u16),
    /// It was cut off after this time.
    Cut(Duration),
}

/// Sixteen random bytes, as a handshake wants them.
pub(super) fn key(env: &Env) -> String {
    STANDARD.encode([env.random_u64().to_le_bytes(), env.random_u64().to_le_bytes()].concat())
}

/// What only a server that understood the handshake answers.
pub(super) fn accept(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}

/// Sends a ping, waits for `connected` and the pong, and then keeps the socket open for the rest of `wait`.
pub(super) async fn talk(response: Response, wait: Duration) -> Heard {
    let started = Instant::now();
    let Ok(upgraded) = response.upgrade().await else { return Heard::Nothing };
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    // A server that wants a token answers a ping before `connected`. Where this fails, reading says why.
    let _ = socket.send(Message::text(r#"{"type":"ping","requestId":"doctor"}"#)).await;
    let mut connected = None;
    loop {
        match timeout(AT_ONCE, next(&mut socket)).await {
            Err(_) if connected.is_some() => return Heard::NoAnswer,
            Err(_) => return Heard::Nothing,
            Ok(SocketWord::Close(_) | SocketWord::End) => return Heard::Ended(started.elapsed()),
            Ok(SocketWord::Frame(frame)) if frame["type"] == "connected" => {
                connected = Some(started.elapsed())
            }
            Ok(SocketWord::Frame(frame)) if frame["type"] == "pong" && frame["requestId"] == "doctor" => {
                break;
            }
            Ok(SocketWord::Frame(frame)) => {
                if let Some(refusal) = ServerRefusal::of_frame(&frame) {
                    return Heard::Refused(refusal);
                }
            }
        }
    }
    let answered = started.elapsed();
    let kept = kept(&mut socket, started, wait).await;
    // A server that is gone needs no close frame.
    let _ = timeout(AT_ONCE, socket.close(None)).await;
    match connected {
        Some(after) => Heard::Everything(after, kept),
        None => Heard::OnlyPong(answered, kept),
    }
}

async fn kept(socket: &mut WebSocketStream<Upgraded>, started: Instant, wait: Duration) -> SocketFate {
    let ended = async {
        loop {
            match next(socket).await {
                SocketWord::Frame(frame) => {
                    if let Some(refusal) = ServerRefusal::of_frame(&frame) {
                        return SocketFate::Refused(started.elapsed(), refusal);
                    }
                }
                SocketWord::Close(code) => return SocketFate::Closed(code),
                SocketWord::End => return SocketFate::Cut(started.elapsed()),
            }
        }
    };
    timeout_at(started + wait, ended).await.unwrap_or(SocketFate::Open)
}

enum SocketWord {
    Frame(Value),
    /// 1005, where it names no code.
    Close(u16),
    End,
}

async fn next(socket: &mut WebSocketStream<Upgraded>) -> SocketWord {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return SocketWord::Frame(serde_json::from_str(&text).unwrap_or_default());
            }
            Some(Ok(Message::Close(frame))) => {
                return SocketWord::Close(frame.map_or(1005, |frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return SocketWord::End,
        }
    }
}
