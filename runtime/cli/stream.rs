//! What a running server prints on stderr and stdout, without ever waiting for a reader.
//!
//! A line goes into a bounded queue, and a thread of its own writes it. When the queue is full, because a pipe is not read or a
//! disk is slow, the line is dropped and counted. A line that cannot be written is counted too, and nothing else happens.
//! Knows neither the log's form nor what the lines say.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::metrics::LOG_LINES_DROPPED;

/// Lines that wait for one stream.
const MOST_LINES: usize = 4096;
/// Bytes of them.
const MOST_BYTES: usize = 4 << 20;
/// How long the end of the process waits for what is still queued.
const FAREWELL: Duration = Duration::from_secs(1);

/// The process's stderr.
pub(super) fn stderr() -> &'static Stream {
    static STREAM: OnceLock<Stream> = OnceLock::new();
    STREAM.get_or_init(|| Stream::start("stderr", io::stderr()))
}

/// The process's stdout.
pub(super) fn stdout() -> &'static Stream {
    static STREAM: OnceLock<Stream> = OnceLock::new();
    STREAM.get_or_init(|| Stream::start("stdout", io::stdout()))
}

/// Writes what is queued, as far as the readers take it within a second.
pub(super) fn finish() {
    for stream in [stderr(), stdout()] {
        stream.flush();
    }
}

/// The queue in front of one stream of the process.
pub(super) struct Stream {
    /// `None` if the thread could not be started; then everything is dropped.
    queue: Option<SyncSender<StreamItem>>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Of lines in the queue.
    bytes: AtomicUsize,
    /// Lines were dropped since the last one that was written.
    has_gap: AtomicBool,
}

enum StreamItem {
    Line(Vec<u8>),
    /// Answered when everything before it was written.
    Flush(SyncSender<()>),
}

impl Stream {
    fn start(name: &str, target: impl Write + Send + 'static) -> Stream {
        let (queue, items) = sync_channel(MOST_LINES);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let started = thread.spawn(move || write_all(&items, target, &shared));
        Stream { queue: started.is_ok().then_some(queue), state }
    }

    /// Queues a text of whole lines. Never waits.
    pub(super) fn say(&self, text: &[u8]) {
        let bytes = self.state.bytes.fetch_add(text.len(), Ordering::Relaxed);
        let fits = bytes + text.len() <= MOST_BYTES;
        let taken = |queue: &SyncSender<StreamItem>| queue.try_send(StreamItem::Line(text.to_vec())).is_ok();
        if !(fits && self.queue.as_ref().is_some_and(taken)) {
            self.state.bytes.fetch_sub(text.len(), Ordering::Relaxed);
            self.state.drop_one();
        }
    }

    fn flush(&self) {
        let (done, all_written) = sync_channel(1);
        let asked = self.queue.as_ref().is_some_and(|queue| queue.try_send(StreamItem::Flush(done)).is_ok());
        if asked {
            let _ = all_written.recv_timeout(FAREWELL);
        }
    }
}

impl State {
    fn drop_one(&self) {
        LOG_LINES_DROPPED.fetch_add(1, Ordering::Relaxed);
        self.has_gap.store(true, Ordering::Relaxed);
    }
}

/// The thread of a stream.
fn write_all(items: &Receiver<StreamItem>, mut target: impl Write, state: &State) {
    for item in items {
        match item {
            StreamItem::Line(line) => {
                let written = target.write_all(&line).and_then(|()| target.flush());
                state.bytes.fetch_sub(line.len(), Ordering::Relaxed);
                match written {
                    Err(_) => state.drop_one(),
                    Ok(()) if state.has_gap.swap(false, Ordering::Relaxed) => {
                        tracing::warn!("log lines were dropped: they could not be written in time");
                    }
                    Ok(()) => {}
                }
            }
            StreamItem::Flush(done) => {
                let _ = done.try_send(());
            }
        }
    }
}

/// One line of the log: tracing-subscriber writes each with one call.
impl Write for &Stream {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.say(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
