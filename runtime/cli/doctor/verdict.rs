//! What the answers of a server show about the proxies in between: pure.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::finding::Finding;
use super::refusal::{ServerRefusal, TOKEN};
use super::socket::{AT_ONCE, Heard, SocketFate};
use super::stream::{Flow, NextBeat};
use crate::protocol::Code;
use crate::schema::message::quoted;

pub(super) const BUFFERING: &str = "turn off buffering in the proxy; nginx: proxy_buffering off; and no proxy_ignore_headers X-Accel-Buffering; \
     and the two headers of an upgrade (Upgrade, Connection)";
pub(super) const TIMEOUT: &str = "let the proxy wait longer than realtime.poll_wait and realtime.ping_interval; nginx: proxy_read_timeout 75s; \
     HAProxy: timeout server 75s and timeout tunnel 75s; Caddy: no response_header_timeout below it";

pub(super) fn of_socket(heard: Heard, wait: Duration, has_token: bool) -> Finding {
    let (said, kept) = match heard {
        Heard::Everything(after, kept) => {
            (format!("`connected` came after {} ms, and a ping was answered", after.as_millis()), kept)
        }
        Heard::OnlyPong(after, kept) => (
            format!("a ping was answered after {} ms; the server wants a token first", after.as_millis()),
            kept,
        ),
        Heard::Nothing => {
            let seconds = AT_ONCE.as_secs();
            let text = format!(
                "the upgrade passed, but `connected` did not come within {seconds} s: a proxy in between buffers"
            );
            return Finding::error("websocket", text, BUFFERING);
        }
        Heard::NoAnswer => {
            return Finding::error("websocket", "`connected` came, but a ping was not answered", BUFFERING);
        }
        Heard::Refused(refusal) => return refusal.finding("websocket", has_token),
        Heard::Ended(after) => return cut("websocket", after),
    };
    match kept {
        SocketFate::Open => {
            Finding::ok("websocket", format!("{said}; it stayed open for {} s", wait.as_secs()))
        }
        SocketFate::Cut(after) => cut("websocket", after),
        SocketFate::Refused(after, ServerRefusal { code: Code::Unauthenticated, .. }) => {
            let text = format!(
                "{said}, and ends a socket without one, after {:.1} s; {TOKEN} can give a token",
                after.as_secs_f32()
            );
            Finding::ok("websocket", text)
        }
        SocketFate::Refused(_, refusal) => refusal.finding("websocket", has_token),
        SocketFate::Closed(code) => {
            let advice = format!("`tidewire explain {code}` says more");
            Finding::warning("websocket", format!("{said}; then the server closed it with {code}"), advice)
        }
    }
}

pub(super) fn of_stream(flow: Flow, has_token: bool) -> Finding {
    match flow {
        Flow::Began { after, next: NextBeat::Came } => {
            let text = format!("its first event came after {} ms, and the next in time", after.as_millis());
            Finding::ok("stream", text)
        }
        Flow::Began { after, next: NextBeat::Later(silence) } => {
            let (after, seconds) = (after.as_millis(), silence.as_secs_f32().ceil());
            let text =
                format!("its first event came after {after} ms; --wait {seconds} waits for the next, too");
            Finding::ok("stream", text)
        }
        Flow::HeldBack => held_back(),
        Flow::FellSilent(silence) => {
            let text = format!(
                "after its first event nothing came for {} s: a proxy in between buffers",
                (silence + AT_ONCE).as_secs()
            );
            Finding::error("stream", text, BUFFERING)
        }
        Flow::Ended(after) => cut("stream", after),
        Flow::Refused(refusal) => refusal.finding("stream", has_token),
        Flow::Other(kind) => Finding::error(
            "stream",
            format!("/sse answers {} and no stream of events", quoted(&kind)),
            "let the proxy pass every path, and change no answer",
        ),
    }
}

pub(super) fn held_back() -> Finding {
    let text = format!(
        "the first event of /sse did not come within {} s: a proxy in between buffers",
        AT_ONCE.as_secs()
    );
    Finding::error("stream", text, BUFFERING)
}

/// The server ends nothing without a word.
fn cut(topic: &'static str, after: Duration) -> Finding {
    let text =
        format!("it was ended after {:.1} s: a proxy in between gives up too early", after.as_secs_f32());
    Finding::error(topic, text, TIMEOUT)
}

pub(super) fn of_poll(
    status: StatusCode,
    json: &Value,
    elapsed: Duration,
    wait: Duration,
    has_token: bool,
) -> Finding {
    let after = elapsed.as_millis();
    if status != StatusCode::OK {
        return match ServerRefusal::of_problem(json) {
            Some(ServerRefusal { code: Code::BadQuery, detail }) => {
                let text = format!("not checked: the server refuses to wait so long: {}", quoted(&detail));
                Finding::warning("long poll", text, "use a --wait that is not above realtime.poll_wait")
            }
            Some(refusal) => refusal.finding("long poll", has_token),
            None => {
                Finding::error("long poll", format!("it was answered {status} after {after} ms"), TIMEOUT)
            }
        };
    }
    let held = elapsed + Duration::from_millis(200) >= wait;
    let quiet = json["frames"].as_array().is_some_and(Vec::is_empty) && json["ended"] != true;
    if quiet && !held {
        let text = format!("it was answered without frames after {after} ms instead of {} s", wait.as_secs());
        return Finding::warning("long poll", text, TIMEOUT);
    }
    let answered = if held { "it waited:" } else { "there were frames:" };
    Finding::ok("long poll", format!("{answered} answered after {after} ms"))
}
