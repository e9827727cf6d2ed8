//! The first events of a stream of server-sent events, and how long they take.
//!
//! Knows no URL and no proxy.

use std::time::Duration;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::socket::AT_ONCE;

/// The first event is shorter than this.
const MOST: usize = 64 * 1024;

/// What came of a stream.
pub(super) enum Flow {
    /// The first event, after this time. When the server speaks again in time, that came, too.
    Began { after: Duration, next: NextBeat },
    /// The head of the answer, and no event.
    HeldBack,
    /// The first event, and not what the server says after so much silence.
    FellSilent(Duration),
    /// An answer that is no stream.
    Other(String),
}

/// What the server says after a silence.
pub(super) enum NextBeat {
    Came,
    /// It is due only after this time.
    Later(Duration),
}

/// Waits for the event `welcome`, which the server sends before all others, and then for its next word, if that is due within
/// `wait`.
pub(super) async fn first_events(mut response: Response, wait: Duration) -> Flow {
    let started = Instant::now();
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Flow::Other(kind.to_owned());
    }
    let Ok(Some(silence)) = timeout(AT_ONCE, welcome(&mut response)).await else { return Flow::HeldBack };
    let after = started.elapsed();
    if silence > wait {
        return Flow::Began { after, next: NextBeat::Later(silence) };
    }
    // What follows `welcome` at once came with it or comes now. Only what comes later than that is the server's next word.
    let due = started + silence;
    let spoke = async {
        loop {
            match response.chunk().await {
                Ok(Some(_)) if Instant::now() + AT_ONCE / 4 >= due => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
    };
    match timeout(silence + AT_ONCE, spoke).await {
        Ok(true) => Flow::Began { after, next: NextBeat::Came },
        Ok(false) | Err(_) => Flow::FellSilent(silence),
    }
}

/// After how much silence the server speaks again, as the first event says.
async fn welcome(response: &mut Response) -> Option<Duration> {
    let mut heard = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        heard.extend_from_slice(&bytes);
        let text = String::from_utf8_lossy(&heard);
        let event = text.split_once("event: welcome\n").and_then(|(_, rest)| rest.split_once("\n\n"));
        if let Some((lines, _)) = event {
            let data = lines.lines().find_map(|line| line.strip_prefix("data: "))?;
            let frame: Value = serde_json::from_str(data).ok()?;
            return frame["payload"]["heartbeat"].as_u64().map(Duration::from_millis);
        }
        if heard.len() > MOST {
            return None;
        }
    }
    None
}
