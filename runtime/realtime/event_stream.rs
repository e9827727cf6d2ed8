//! `EventStream`: the transport of one answer that does not end, as server-sent events. What the peer wants to follow is in its
//! address; what it says later comes in requests of their own, through its `RemoteSeat`.
//!
//! Knows no HTTP: pieces go to the body of the answer (`pieces.rs`), which puts them on the line. A piece waits there until the
//! line takes it, so the loop feels a slow reader as it does with a socket.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::pieces::PieceSender;
use super::remote_sessions::RemoteSeat;
use super::transport::{Arrival, Ended, StreamStart, Transport, WriteProgress};
use crate::metrics::Via;
use crate::protocol::trailer::marked;
use crate::protocol::{Trailer, WireForm};

/// Bytes handed over at once. Small, so that a slow reader is seen to take something within the time that it has.
const PIECE: usize = 16 << 10;

/// A comment: nothing happens, and a proxy sees that the connection lives.
const HEARTBEAT: &[u8] = b": heartbeat\n\n";

/// See the module's text.
pub struct EventStream {
    line: PieceSender,
    seat: RemoteSeat,
    start: Option<StreamStart>,
    /// A heartbeat was taken, which is the only sign of life that such a peer gives.
    beat: bool,
}

impl EventStream {
    /// `line`: where the pieces go. Dropped at its other end: the peer is gone.
    /// `seat`: where the peer speaks, in requests of their own.
    pub fn new(line: PieceSender, seat: RemoteSeat, start: StreamStart) -> EventStream {
        EventStream { line, seat, start: Some(start), beat: false }
    }
}

/// What is handed over next. Buffers that fit go together: on the way of a piece there is more to do than a copy.
fn next_piece(frames: &mut VecDeque<Bytes>) -> Bytes {
    let fitting = frames.iter().scan(0, |length, frame| {
        *length += frame.len();
        (*length <= PIECE).then_some(())
    });
    let count = fitting.count();
    if count > 1 {
        let mut piece = Vec::with_capacity(frames.iter().take(count).map(Bytes::len).sum());
        frames.drain(..count).for_each(|frame| piece.extend_from_slice(&frame));
        return Bytes::from(piece);
    }
    let Some(front) = frames.front_mut() else { return Bytes::new() };
    let piece = front.split_to(front.len().min(PIECE));
    if front.is_empty() {
        frames.pop_front();
    }
    piece
}

fn gone<E>(_: E) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Transport for EventStream {
    fn via(&self) -> Via {
        Via::Sse
    }

    fn form(&self) -> WireForm {
        WireForm::EventStream
    }

    fn session(&self) -> Option<&Arc<str>> {
        Some(self.seat.id())
    }

    /// The position that is resumed, so that a browser which breaks off behind `welcome` has it still. A new stream names its session,
    /// which is no position.
    fn first_id(&self) -> Option<String> {
        let start = self.start.as_ref()?;
        let id = start.resume.as_ref().map_or_else(|| self.seat.id().to_string(), Trailer::to_string);
        Some(marked(id, start.mark.as_deref()))
    }

    async fn next(&mut self) -> Arrival {
        if let Some(start) = self.start.take() {
            return Arrival::Follows(start);
        }
        if std::mem::take(&mut self.beat) {
            return Arrival::Life;
        }
        tokio::select! {
            () = self.line.closed() => Arrival::Gone,
            said = self.seat.next() => said,
        }
    }

    async fn write(&mut self, frames: &mut VecDeque<Bytes>) -> io::Result<WriteProgress> {
        let mut bytes = 0;
        let piece = || {
            let piece = next_piece(frames);
            bytes = piece.len();
            piece
        };
        let waited = tokio::select! {
            biased;
            put = self.line.put(piece) => put.map_err(gone)?,
            () = self.seat.ended() => return Err(gone(())),
        };
        Ok(WriteProgress { bytes, waited })
    }

    async fn ping(&mut self) -> io::Result<()> {
        self.line.put(|| Bytes::from_static(HEARTBEAT)).await.map_err(gone)?;
        self.beat = true;
        Ok(())
    }

    /// A stream has no close frame: the error before its end says why.
    async fn close(&mut self, _: Ended) {}
}
