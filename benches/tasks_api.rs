//! The few requests that the bench sends, as finished bytes. Knows the shipped Task schema and nothing of sockets.

use std::net::SocketAddr;

/// What every measured create sends.
pub(crate) const TASK: &str = r#"{"title":"Measure the spine of the house","status":"open","priority":3}"#;

/// The channel that every subscriber listens to.
pub(crate) const CHANNEL: &str = "entity:Task";

/// `POST path` with a task as JSON.
pub(crate) fn create(addr: SocketAddr, path: &str) -> Vec<u8> {
    post(addr, path, TASK)
}

/// `POST path` with a body of JSON.
pub(crate) fn post(addr: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    with_body("POST", addr, path, body)
}

/// `PATCH path` with a body of JSON.
pub(crate) fn patch(addr: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    with_body("PATCH", addr, path, body)
}

/// `GET path`.
pub(crate) fn get(addr: SocketAddr, path: &str) -> Vec<u8> {
    get_with(addr, path, None)
}

/// `GET path`, with the token of a session.
pub(crate) fn get_with(addr: SocketAddr, path: &str, token: Option<&str>) -> Vec<u8> {
    let bearer = bearer(token);
    format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: application/json\r\n{bearer}\r\n").into_bytes()
}

/// `GET /sse` for a channel.
pub(crate) fn follow(addr: SocketAddr, channel: &str) -> Vec<u8> {
    format!("GET /sse?channel={channel} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\r\n")
        .into_bytes()
}

/// `POST path` with a body of JSON, as a proxy hands on what it got from this address.
pub(crate) fn post_for(addr: SocketAddr, path: &str, client: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {addr}\r\nX-Forwarded-For: {client}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn bearer(token: Option<&str>) -> String {
    token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default()
}

fn with_body(method: &str, addr: SocketAddr, path: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The upgrade of `/ws`, of a name, of a session or anonymous. The key is constant: it proves nothing to a server that is being measured.
pub(crate) fn upgrade(addr: SocketAddr, person: Option<&str>, token: Option<&str>) -> Vec<u8> {
    let who = person.map(|name| format!("?as={name}")).unwrap_or_default();
    let bearer = bearer(token);
    format!(
        "GET /ws{who} HTTP/1.1\r\nHost: {addr}\r\n{bearer}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c3BpbmUgb2YgYSBob3VzZQ==\r\n\r\n"
    )
    .into_bytes()
}
