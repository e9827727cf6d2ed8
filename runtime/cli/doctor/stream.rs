//! The events of a stream of server-sent events, how long they take, and how long it stays open.
//!
//! Knows no URL and no proxy.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::refusal::ServerRefusal;
use super::socket::AT_ONCE;

/// An event is shorter than this.
const MOST: usize = 64 * 1024;

/// What came of a stream.
pub(super) enum Flow {
    /// The first event, after this time, and the stream stayed open. When the server speaks again in time, that came, too.
    Began { after: Duration, next: NextBeat },
    /// The head of the answer, and no event.
    HeldBack,
    /// The first event, and not what the server says after so much silence.
    FellSilent(Duration),
    /// The end, after this time.
    Ended(Duration),
    /// The server ended it, and said why.
    Refused(ServerRefusal),
    /// An answer that is no stream.
    Other(String),
}

/// What the server says after a silence.
pub(super) enum NextBeat {
    Came,
    /// It is due only after this time.
    Later(Duration),
}

/// Waits for the event `welcome`, which the server sends before all others. Then it keeps the stream open for the rest of `wait`,
/// and waits for the server's next word, if that is due by then.
pub(super) async fn follow(response: Response, wait: Duration) -> Flow {
    let started = Instant::now();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Flow::Other(kind.to_owned());
    }
    let mut events = EventReader { response, heard: Vec::new() };
    let silence = match timeout(AT_ONCE, events.welcome()).await {
        Err(_) => return Flow::HeldBack,
        Ok(Welcome::End) => return Flow::Ended(started.elapsed()),
        Ok(Welcome::Refused(refusal)) => return Flow::Refused(refusal),
        Ok(Welcome::Came(silence)) => silence,
    };
    let (after, due, is_due) = (started.elapsed(), started + silence, silence <= wait);
    let mut came = false;
    loop {
        let late = if is_due && !came { due + AT_ONCE } else { started };
        match timeout_at(late.max(started + wait), events.next()).await {
            Err(_) if is_due && !came => return Flow::FellSilent(silence),
            Err(_) if is_due => return Flow::Began { after, next: NextBeat::Came },
            Err(_) => return Flow::Began { after, next: NextBeat::Later(silence) },
            Ok(None) => return Flow::Ended(started.elapsed()),
            Ok(Some(frame)) => {
                if let Some(refusal) = ServerRefusal::of_frame(&frame) {
                    return Flow::Refused(refusal);
                }
                // What follows `welcome` at once came with it. Only what comes later is the server's next word.
                came |= Instant::now() + AT_ONCE / 4 >= due;
            }
        }
    }
}

struct EventReader {
    response: Response,
    heard: Vec<u8>,
}

enum Welcome {
    /// After how much silence the server speaks again.
    Came(Duration),
    Refused(ServerRefusal),
    End,
}

impl EventReader {
    async fn welcome(&mut self) -> Welcome {
        while let Some(frame) = self.next().await {
            if let Some(refusal) = ServerRefusal::of_frame(&frame) {
                return Welcome::Refused(refusal);
            }
            if let (true, Some(silence)) =
                (frame["type"] == "welcome", frame["payload"]["heartbeat"].as_u64())
            {
                return Welcome::Came(Duration::from_millis(silence));
            }
        }
        Welcome::End
    }

    /// The frame of the next event, which is null for a comment; `None` when the stream ended.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.heard.drain(..end + 2).collect();
                let text = String::from_utf8_lossy(&event);
                let data = text.lines().find_map(|line| line.strip_prefix("data: "));
                return Some(data.and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default());
            }
            if self.heard.len() > MOST {
                self.heard.clear();
            }
            let bytes = self.response.chunk().await.ok().flatten()?;
            self.heard.extend_from_slice(&bytes);
        }
    }
}
