//! WebSocketManager: takes sockets whose upgrade is done, and makes each a transport of a session.
//!
//! Knows no HTTP: it is handed a stream. What is the same for every transport is in `sessions.rs`.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::credential::Arrived;
use super::greeting::NotAdmitted;
use super::sessions::Sessions;
use super::transport::Ended;
use super::websocket::WebSocket;

/// See the module's text. Cheap to clone.
#[derive(Clone)]
pub struct WebSocketManager {
    sessions: Arc<Sessions>,
}

impl WebSocketManager {
    pub fn new(sessions: Arc<Sessions>) -> WebSocketManager {
        WebSocketManager { sessions }
    }

    /// Bytes that the kernel may hold for one socket.
    pub fn send_buffer_bytes(&self) -> usize {
        self.sessions.lifecycle().around().config.send_buffer_bytes
    }

    /// Runs one upgraded connection to its end. `read_ahead`: bytes that came right behind the handshake.
    pub async fn serve<S>(self, io: S, read_ahead: Bytes, arrived: impl Into<Box<Arrived>>) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let socket = Box::pin(self.upgraded(io, &read_ahead)).await;
        drop(read_ahead);
        self.sessions.serve(socket, arrived).await
    }

    /// Sends an upgraded socket away.
    pub async fn refuse<S>(&self, io: S, read_ahead: Bytes, refused: &NotAdmitted) -> Ended
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.sessions.refuse(self.upgraded(io, &read_ahead).await, refused).await
    }

    async fn upgraded<S>(&self, io: S, read_ahead: &[u8]) -> Box<WebSocket<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let frame_bytes = self.sessions.lifecycle().around().config.frame_bytes;
        Box::new(WebSocket::upgraded(io, read_ahead, frame_bytes).await)
    }
}
