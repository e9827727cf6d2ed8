//! `WebSocket`: the transport of one upgraded socket.
//!
//! Frames are made before they come here, once for many sockets, and are written past the library, which buffers and
//! copies. What the library itself has to say (its pongs) goes first, so that no frame lands inside another.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::transport::{Arrival, Ended, Transport, WriteProgress};
use crate::metrics::Via;
use crate::protocol::{CloseCode, WireForm};

/// See the module's text.
#[derive(Debug)]
pub struct WebSocket<S> {
    socket: WebSocketStream<S>,
    /// The library has queued a pong that may not have been written yet.
    pong_owed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// A socket after its handshake. `read_ahead`: bytes that came right behind it. `frame_bytes`: the longest frame of a
    /// client.
    pub async fn upgraded(io: S, read_ahead: &[u8], frame_bytes: usize) -> WebSocket<S> {
        let wire = Some(wire_config(frame_bytes));
        // A copy: `Vec::from` would keep the whole buffer of the HTTP connection alive for the sake of no byte.
        let read_ahead = read_ahead.to_vec();
        let socket = WebSocketStream::from_partially_read(io, read_ahead, Role::Server, wire).await;
        WebSocket { socket, pong_owed: false }
    }
}

fn wire_config(frame_bytes: usize) -> WebSocketConfig {
    // The read buffer is held by every idle connection and filled with zeros at every read. Clients send little.
    WebSocketConfig::default()
        .read_buffer_size(1 << 10)
        .write_buffer_size(0)
        .max_write_buffer_size(64 << 10)
        .max_message_size(Some(frame_bytes))
        .max_frame_size(Some(frame_bytes))
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for WebSocket<S> {
    fn via(&self) -> Via {
        Via::Ws
    }

    fn form(&self) -> WireForm {
        WireForm::WebSocket
    }

    async fn next(&mut self) -> Arrival {
        let received = self.socket.next().await;
        self.pong_owed |= matches!(received, Some(Ok(Message::Ping(_))));
        match received {
            Some(Ok(Message::Text(text))) => Arrival::Text(text.as_str().to_owned()),
            Some(Ok(Message::Binary(_))) => Arrival::Binary,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Arrival::Life,
            None | Some(Ok(Message::Close(_))) => Arrival::Closed,
            Some(Err(error)) => broken_off(&error),
        }
    }

    async fn write(&mut self, frames: &mut VecDeque<Bytes>) -> io::Result<WriteProgress> {
        if self.pong_owed {
            self.socket.flush().await.map_err(io::Error::other)?;
            self.pong_owed = false;
        }
        let mut waited = false;
        let bytes = poll_fn(|context| {
            let polled = poll_write_front(self.socket.get_mut(), context, frames);
            waited |= polled.is_pending();
            polled
        })
        .await?;
        advance(frames, bytes);
        // TLS keeps what it has encrypted and the kernel did not take; TCP has nothing to flush.
        poll_fn(|context| {
            let polled = Pin::new(self.socket.get_mut()).poll_flush(context);
            waited |= polled.is_pending();
            polled
        })
        .await?;
        Ok(WriteProgress { bytes, waited })
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.socket.send(Message::Ping(Bytes::new())).await.map_err(io::Error::other)
    }

    async fn close(&mut self, ended: Ended) {
        let Ended::ByServer(code) = ended else {
            // The library has an answer to the peer's close frame, if there was one.
            let _ = self.socket.flush().await;
            return;
        };
        let reason = Utf8Bytes::from_static(code.reason());
        let frame = CloseFrame { code: WireCloseCode::from(code.number()), reason };
        if self.socket.send(Message::Close(Some(frame))).await.is_ok() {
            // What the peer still had under way is read and dropped, past the library, which reads no more after an
            // error: closing over unread bytes is a reset, and a reset loses the close frame.
            let io = self.socket.get_mut();
            let _ = io.shutdown().await;
            let mut dropped = [0; 512];
            while matches!(io.read(&mut dropped).await, Ok(count) if count > 0) {}
        }
    }
}

fn broken_off(error: &Error) -> Arrival {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Arrival::Oversized,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Arrival::Gone,
        Error::Protocol(_) => Arrival::Broken(CloseCode::ProtocolError),
        Error::Utf8(_) => Arrival::Broken(CloseCode::NotUtf8),
        Error::Capacity(CapacityError::TooManyHeaders)
        | Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::AttackAttempt
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Arrival::Gone,
    }
}

/// One write of as many frames as fit into a call. The slices live for one poll only, not in the task.
fn poll_write_front<S: AsyncWrite + Unpin>(
    io: &mut S,
    context: &mut Context<'_>,
    queue: &VecDeque<Bytes>,
) -> Poll<io::Result<usize>> {
    if let (1, Some(only)) = (queue.len(), queue.front()) {
        // The kernel's way for a single buffer is shorter.
        return Pin::new(io).poll_write(context, only);
    }
    let mut slices = [IoSlice::new(&[]); 64];
    let mut used = 0;
    for (slice, frame) in slices.iter_mut().zip(queue) {
        *slice = IoSlice::new(frame);
        used += 1;
    }
    Pin::new(io).poll_write_vectored(context, &slices[..used])
}

fn advance(queue: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = queue.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        queue.pop_front();
    }
}
