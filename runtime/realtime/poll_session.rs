//! `PollSession`: the transport of a session whose peer fetches its frames by polls and speaks by requests. It ends when the peer
//! has given no sign of life for 75 seconds.
//!
//! Knows no HTTP: frames go into a `PollLine`, and what the peer says comes from its `RemoteSeat`.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::poll_line::PollLine;
use super::remote_sessions::{RemoteSeat, SESSION_LIFE};
use super::transport::{Arrival, Ended, StreamStart, Transport, WriteProgress};
use crate::metrics::Via;
use crate::protocol::WireForm;

/// See the module's text.
pub struct PollSession {
    line: Arc<PollLine>,
    seat: RemoteSeat,
    start: Option<StreamStart>,
}

impl PollSession {
    /// `line`: the one that the seat was opened with.
    pub fn new(line: Arc<PollLine>, seat: RemoteSeat, start: StreamStart) -> PollSession {
        PollSession { line, seat, start: Some(start) }
    }
}

impl Drop for PollSession {
    fn drop(&mut self) {
        self.line.end();
    }
}

impl Transport for PollSession {
    fn via(&self) -> Via {
        Via::Poll
    }

    fn form(&self) -> WireForm {
        WireForm::Json
    }

    fn session(&self) -> Option<&Arc<str>> {
        Some(self.seat.id())
    }

    async fn next(&mut self) -> Arrival {
        if let Some(start) = self.start.take() {
            return Arrival::Follows(start);
        }
        tokio::select! {
            said = self.seat.next() => said,
            () = self.line.heard() => Arrival::Life,
            () = self.line.silent_for(SESSION_LIFE) => Arrival::Gone,
        }
    }

    async fn write(&mut self, frames: &mut VecDeque<Bytes>) -> io::Result<WriteProgress> {
        let waited = tokio::select! {
            biased;
            waited = self.line.has_room() => waited,
            () = self.line.silent_for(SESSION_LIFE) => return Err(io::ErrorKind::TimedOut.into()),
            () = self.seat.ended() => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        let Some(buffer) = frames.pop_front() else { return Ok(WriteProgress { bytes: 0, waited }) };
        let bytes = buffer.len();
        self.line.append(frames_in(&buffer)?);
        Ok(WriteProgress { bytes, waited })
    }

    /// The peer speaks when it polls; the line counts the time since.
    async fn ping(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn close(&mut self, ended: Ended) {
        if let Ended::ByServer(_) = ended {
            self.seat.keep_last_words();
        }
        self.line.end();
    }
}

/// The frames of one buffer, which stand in it one after the other.
fn frames_in(buffer: &Bytes) -> io::Result<Vec<Bytes>> {
    let mut frames = Vec::new();
    for frame in Deserializer::from_slice(buffer).into_iter::<&RawValue>() {
        frames.push(buffer.slice_ref(frame?.get().as_bytes()));
    }
    Ok(frames)
}
