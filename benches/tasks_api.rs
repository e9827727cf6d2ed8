//! The few requests that the bench sends, as finished bytes. Knows the shipped Task schema and nothing of sockets.

use std::net::SocketAddr;

/// What every measured create sends.
pub(crate) const TASK: &str = r#"{"title":"Measure the spine of the house","status":"open","priority":3}"#;

/// The channel that every subscriber listens to.
pub(crate) const CHANNEL: &str = "entity:Task";

/// `POST path` with a task as JSON.
pub(crate) fn create(addr: SocketAddr, path: &str) -> Vec<u8> {
    let length = TASK.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{TASK}"
    )
    .into_bytes()
}

/// `GET path`.
pub(crate) fn get(addr: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: application/json\r\n\r\n").into_bytes()
}

/// The upgrade of `/ws`. The key is constant: it proves nothing to a server that is being measured.
pub(crate) fn upgrade(addr: SocketAddr) -> Vec<u8> {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3BpbmUgb2YgYSBob3VzZQ==\r\n\r\n"
    )
    .into_bytes()
}
