//! `TimedStream`: a stream whose writes fail when the peer takes too little for too long, and that lingers when it is closed
//! (`lingering.rs`).
//!
//! hyper waits forever for a peer that sends a request and does not read the answer, and the connection keeps its place meanwhile. Knows no HTTP.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::lingering::{Lingering, Unread};
use super::patient_timer::PatientSleep;

/// A peer that takes less than this within the limit counts as one that takes nothing: a byte now and then must not
/// hold a place.
const ENOUGH: usize = 16 << 10;

/// See the module's text.
#[derive(Debug)]
pub struct TimedStream<S> {
    stream: S,
    limit: Duration,
    /// While bytes wait that the kernel did not take.
    stalled: Option<Stalled>,
    unread: Unread,
    /// Once the stream was closed in our direction.
    lingering: Option<Lingering>,
}

#[derive(Debug)]
struct Stalled {
    deadline: PatientSleep,
    taken: usize,
}

impl<S> TimedStream<S> {
    /// `unread` says at the end whether the peer still sends.
    pub fn new(stream: S, limit: Duration, unread: Unread) -> TimedStream<S> {
        TimedStream { stream, limit, stalled: None, unread, lingering: None }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }

    fn judge(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                let limit = self.limit;
                let stalled = self.stalled.get_or_insert_with(|| Stalled {
                    deadline: PatientSleep::until(Instant::now() + limit),
                    taken: 0,
                });
                ready!(Pin::new(&mut stalled.deadline).poll(context));
                Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the peer does not take its answer")))
            }
            Poll::Ready(Ok(count)) => {
                if let Some(stalled) = &mut self.stalled {
                    stalled.taken += count;
                    if stalled.taken >= ENOUGH {
                        self.stalled = None;
                    }
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for once everything was handed over: nothing waits any longer.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stalled = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let TimedStream { stream, unread, lingering, .. } = &mut *self;
        if lingering.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(context))?;
        }
        let lingering = lingering.get_or_insert_with(|| Lingering::start(unread));
        lingering.poll(stream, context).map(Ok)
    }
}
