//! `Lingering`: what the server does with a request's bytes that it no longer needs, so that the answer still arrives.
//!
//! A server that closes a connection while the client still sends makes the client's kernel throw the answer away (a connection reset). So
//! after an answer that came before the end of its request, the server closes its own direction only, and reads on for a while.
//! Knows no HTTP beyond "the body has ended".

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::patient_timer::PatientSleep;

/// Most bytes that are read for nothing.
const MOST_BYTES: usize = 64 << 20;
/// The whole of it takes no longer.
const LONGEST: Duration = Duration::from_secs(30);
/// A client that sends nothing for so long has stopped.
const QUIET: Duration = Duration::from_secs(2);

/// Whether the last request of a connection was read to its end. Shared by the request's body and the stream below it.
#[derive(Debug, Clone, Default)]
pub struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Of a connection that is refused before anything is read.
    pub fn everything() -> Unread {
        Unread(Arc::new(AtomicBool::new(true)))
    }

    pub fn is_left(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The body of a request, which reports its end.
    pub fn watch(&self, body: Incoming) -> WatchedBody {
        self.0.store(!body.is_end_stream(), Ordering::Relaxed);
        WatchedBody { body, unread: self.clone() }
    }
}

/// See `Unread`.
#[derive(Debug)]
pub struct WatchedBody {
    body: Incoming,
    unread: Unread,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.unread.0.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The reading for nothing, after the server closed its direction.
#[derive(Debug)]
pub struct Lingering {
    quiet: PatientSleep,
    end: Instant,
    bytes: usize,
    wanted: bool,
}

impl Lingering {
    /// `unread`: the client is known to send more. Otherwise only bytes that are there already make the server linger.
    pub fn start(unread: &Unread) -> Lingering {
        let now = Instant::now();
        Lingering {
            quiet: PatientSleep::until(now + QUIET),
            end: now + LONGEST,
            bytes: 0,
            wanted: unread.is_left(),
        }
    }

    /// Ready when the client has closed too, has stopped sending, or has used up what it may.
    pub fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, context: &mut Context<'_>) -> Poll<()> {
        let mut space = [0; 8 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(read) => {
                    if !self.goes_on(&read, buffer.filled().len()) {
                        return Poll::Ready(());
                    }
                }
                Poll::Pending if self.wanted => {
                    ready!(Pin::new(&mut self.quiet).poll(context));
                    return Poll::Ready(());
                }
                Poll::Pending => return Poll::Ready(()),
            }
        }
    }

    fn goes_on(&mut self, read: &io::Result<()>, count: usize) -> bool {
        self.wanted = true;
        self.bytes += count;
        let now = Instant::now();
        self.quiet.reset((now + QUIET).min(self.end));
        read.is_ok() && count > 0 && self.bytes < MOST_BYTES && now < self.end
    }
}
