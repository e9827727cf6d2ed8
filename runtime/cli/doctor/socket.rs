//! The few words that the doctor says over an upgraded connection, and how long the answers take.
//!
//! Knows no URL and no proxy.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use reqwest::{Response, Upgraded};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::env::Env;

/// What is there is sent at once; whatever takes longer was held back.
pub(super) const AT_ONCE: Duration = Duration::from_secs(3);

/// What came back.
pub(super) enum Heard {
    /// `connected` after this time, and a pong.
    Everything(Duration),
    Nothing,
    /// `connected`, but no pong.
    NoAnswer,
    /// An `error` instead, with this code.
    Refused(String),
}

/// Sixteen random bytes, as a handshake wants them.
pub(super) fn key(env: &Env) -> String {
    STANDARD.encode([env.random_u64().to_le_bytes(), env.random_u64().to_le_bytes()].concat())
}

/// What only a server that understood the handshake answers.
pub(super) fn accept(key: &str) -> String {
    derive_accept_key(key.as_bytes())
}

/// Waits for `connected`, sends a ping and waits for its pong.
pub(super) async fn talk(response: Response) -> Heard {
    let started = Instant::now();
    let Ok(upgraded) = response.upgrade().await else { return Heard::Nothing };
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    let elapsed = match next(&mut socket).await {
        Some(frame) if frame["type"] == "connected" => started.elapsed(),
        Some(frame) => {
            return Heard::Refused(frame["payload"]["code"].as_str().unwrap_or_default().to_owned());
        }
        None => return Heard::Nothing,
    };
    let sent = socket.send(Message::text(r#"{"type":"ping","requestId":"doctor"}"#)).await;
    let answered = async {
        while let Some(frame) = next(&mut socket).await {
            if frame["type"] == "pong" && frame["requestId"] == "doctor" {
                return true;
            }
        }
        false
    };
    if sent.is_err() || !answered.await {
        return Heard::NoAnswer;
    }
    // A server that is gone needs no close frame.
    let _ = timeout(AT_ONCE, socket.close(None)).await;
    Heard::Everything(elapsed)
}

/// The next text frame, if one comes at once.
async fn next(socket: &mut WebSocketStream<Upgraded>) -> Option<Value> {
    let text = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).ok(),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    timeout(AT_ONCE, text).await.ok().flatten()
}
