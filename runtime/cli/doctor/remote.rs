//! A running server, reached as a browser reaches it: through the reverse proxy, if one comes before it.
//!
//! Knows the API only as any client does.

use std::time::Duration;

use reqwest::header::{
    CONNECTION, DATE, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SERVER, UPGRADE,
};
use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::{Instant, timeout};

use super::finding::Finding;
use super::socket::{self, AT_ONCE, Heard};
use super::stream::{Flow, NextBeat, first_events};
use crate::env::Env;
use crate::protocol::Code;
use crate::schema::message::quoted;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// The Date header counts whole seconds, and the answer was on its way.
const CLOCKS_AGREE_SECONDS: i64 = 5;

/// Channels of one poll, as the server takes them.
const MOST_CHANNELS: usize = 50;

const PASS_UPGRADE: &str = "let the proxy pass the upgrade; nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
     proxy_set_header Connection $connection_upgrade; Caddy and HAProxy pass it unless they are told not to";
const BUFFERING: &str = "turn off buffering in the proxy; nginx: proxy_buffering off; and no proxy_ignore_headers X-Accel-Buffering; \
     and the two headers of an upgrade (Upgrade, Connection)";
const TIMEOUT: &str = "let the proxy wait longer than realtime.poll_wait and realtime.ping_interval; nginx: proxy_read_timeout 75s; \
     HAProxy: timeout server 75s; Caddy: no response_header_timeout below it";

/// The address of a server.
pub(super) struct ServerAddress(Url);

impl ServerAddress {
    /// Takes `http://` and `https://` addresses without a path.
    pub(super) fn parse(text: &str) -> Result<ServerAddress, String> {
        let wrong = |why: &str| format!("--url {} {why}: write it like https://tide.example", quoted(text));
        let url = Url::parse(text).map_err(|error| wrong(&format!("is not an address ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(wrong("begins with neither http:// nor https://"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("has a path, but Tidewire is always served at the root of a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("has a user name"));
        }
        Ok(ServerAddress(url))
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }

    fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }
}

/// Everything about the server. Takes some seconds.
pub(super) fn check(target: &ServerAddress, wait: u64, env: &Env) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    // The path to the server itself is looked at, not a proxy of this machine for going out.
    let client =
        Client::builder().no_proxy().http1_only().redirect(reqwest::redirect::Policy::none()).build();
    match (runtime, client) {
        (Ok(runtime), Ok(client)) => {
            runtime.block_on(Visit { target, client, env, findings: Vec::new() }.whole(wait))
        }
        (Err(error), _) => vec![Finding::error(
            "url",
            format!("the check cannot run: {error}"),
            "check the limits of this process",
        )],
        (_, Err(error)) => {
            let advice = "check this machine's certificates (the package ca-certificates)";
            vec![Finding::error("url", format!("the check cannot run: {}", deepest(&error)), advice)]
        }
    }
}

/// Where a caller without a name can follow what happens.
struct OpenChannel {
    channel: String,
    /// The address of a poll from the position now.
    poll: String,
}

struct Visit<'a> {
    target: &'a ServerAddress,
    client: Client,
    env: &'a Env,
    findings: Vec<Finding>,
}

impl Visit<'_> {
    /// Continues only as long as the next question makes sense.
    async fn whole(mut self, wait: u64) -> Vec<Finding> {
        if self.reached().await {
            self.web_socket().await;
            if let Some(place) = self.place().await {
                // Each waits for itself.
                let (stream, poll) = tokio::join!(self.stream(&place, wait), self.long_poll(&place, wait));
                self.findings.extend([stream, poll]);
            }
        }
        self.findings
    }

    async fn get(&self, path: &str, patience: Duration) -> reqwest::Result<Response> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut url = self.target.at(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        self.client.get(url).timeout(patience).send().await
    }

    async fn reached(&mut self) -> bool {
        let shown = self.target.origin();
        let response = match self.get("/healthz", PATIENCE).await {
            Ok(response) => response,
            Err(error) => {
                self.findings.push(unreachable(&shown, &error));
                return false;
            }
        };
        let by = response.headers().get(SERVER).and_then(|name| name.to_str().ok());
        let by = by.map_or(String::new(), |name| format!(", through {}", quoted(name)));
        let (status, clock) = (response.status(), self.clock(&response));
        let text = response.text().await.unwrap_or_default();
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        if status != StatusCode::OK || json["status"] != "healthy" {
            self.findings.push(self.not_served(status, &json));
            return false;
        }
        self.findings.push(Finding::ok("url", format!("{shown} answers{by}")));
        self.findings.push(clock);
        true
    }

    fn not_served(&self, status: StatusCode, json: &Value) -> Finding {
        let host = self.target.0.host_str().unwrap_or_default();
        if json["code"] == Code::ForbiddenHost.as_str() {
            let advice = format!(
                "add it where the server runs: allowed_hosts = [\"{host}\"] in tidewire.toml, or TIDEWIRE_ALLOWED_HOSTS={host}"
            );
            return Finding::error(
                "url",
                format!("the server does not answer to the name {}", quoted(host)),
                advice,
            );
        }
        if matches!(
            status,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
        ) {
            let advice =
                "start the server, and let the proxy pass requests to the address that it prints (`listen`)";
            return Finding::error(
                "url",
                format!("a proxy answers {status}: it does not reach the server"),
                advice,
            );
        }
        let advice = "check the address, and let the proxy pass every path";
        Finding::error("url", format!("/healthz answers {status}, but not as Tidewire does"), advice)
    }

    fn clock(&self, response: &Response) -> Finding {
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()) else {
            return Finding::warning(
                "url clock",
                "the answer has no Date",
                "let the proxy pass the header Date",
            );
        };
        let difference = theirs.unix_timestamp() - self.env.now().0 / 1_000;
        if difference.abs() > CLOCKS_AGREE_SECONDS {
            let text = format!(
                "its clock is {} s {} this machine's",
                difference.abs(),
                if difference > 0 { "ahead of" } else { "behind" }
            );
            return Finding::warning("url clock", text, "keep both clocks right with NTP");
        }
        Finding::ok("url clock", "it agrees with this machine's")
    }

    async fn web_socket(&mut self) {
        let key = socket::key(self.env);
        let request =
            self.client.get(self.target.at("/ws")).header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
        let request = request.header(SEC_WEBSOCKET_VERSION, "13").header(SEC_WEBSOCKET_KEY, &key);
        let sent = request.header(ORIGIN, self.target.origin()).send();
        let response = match timeout(PATIENCE, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let text = format!("the upgrade of /ws broke off: {}", deepest(&error));
                return self.findings.push(Finding::error("websocket", text, PASS_UPGRADE));
            }
            Err(_) => {
                let text = "the upgrade of /ws is not answered";
                return self.findings.push(Finding::error("websocket", text, PASS_UPGRADE));
            }
        };
        let accepted = response
            .headers()
            .get(SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|accept| *accept == *socket::accept(&key));
        if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepted {
            let finding = self.not_upgraded(response).await;
            return self.findings.push(finding);
        }
        self.findings.push(match socket::talk(response).await {
            Heard::Everything(elapsed) => {
                Finding::ok("websocket", format!("`connected` came after {} ms, and a ping was answered", elapsed.as_millis()))
            }
            Heard::Nothing => Finding::error(
                "websocket",
                format!("the upgrade passed, but `connected` did not come within {} s: a proxy in between buffers", AT_ONCE.as_secs()),
                BUFFERING,
            ),
            Heard::NoAnswer => {
                Finding::error("websocket", "`connected` came, but a ping was not answered", BUFFERING)
            }
            Heard::Refused(why) => {
                Finding::error("websocket", format!("the server refused the socket: {}", quoted(&why)), "`tidewire explain CODE` says more")
            }
        });
    }

    async fn not_upgraded(&self, response: Response) -> Finding {
        let status = response.status();
        let json: Value = response.json().await.unwrap_or_default();
        if json["code"] == Code::ForbiddenOrigin.as_str() {
            let host = self.target.0.host_str().unwrap_or_default();
            let advice = format!(
                "let the proxy pass the name (nginx: proxy_set_header Host $http_host;) and allow it: allowed_hosts = [\"{host}\"]"
            );
            let text = format!(
                "pages of {} cannot open a socket, because the server sees another host",
                self.target.origin()
            );
            return Finding::error("websocket", text, advice);
        }
        let text = format!(
            "/ws answers {status} instead of upgrading: a proxy in between does not pass the upgrade"
        );
        Finding::error("websocket", text, PASS_UPGRADE)
    }

    async fn stream(&self, place: &OpenChannel, wait: u64) -> Finding {
        let url = format!("/sse?channel={}", place.channel);
        let patience = PATIENCE + Duration::from_secs(wait);
        // The head of a stream comes at once, too: what takes longer is kept somewhere.
        let answer = match timeout(AT_ONCE, self.get(&url, patience)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Finding::error("stream", format!("it broke off: {}", deepest(&error)), BUFFERING);
            }
            Err(_) => return held_back(),
        };
        let status = answer.status();
        if status != StatusCode::OK {
            let json: Value = answer.json().await.unwrap_or_default();
            return match json["code"].as_str() {
                Some(code) => {
                    let text = format!("the server refuses /sse: {}", quoted(code));
                    Finding::error("stream", text, "`tidewire explain CODE` says more")
                }
                None => Finding::error(
                    "stream",
                    format!("/sse answers {status}"),
                    "let the proxy pass every path",
                ),
            };
        }
        streamed(first_events(answer, Duration::from_secs(wait)).await)
    }

    async fn long_poll(&self, place: &OpenChannel, wait: u64) -> Finding {
        let (started, slack) = (Instant::now(), Duration::from_secs(wait) + AT_ONCE);
        let answer = self.get(&format!("{}&wait={wait}", place.poll), slack).await;
        let elapsed = started.elapsed();
        match answer {
            Err(error) if error.is_timeout() => {
                let text = format!("a long poll of {wait} s was not answered after {} s", slack.as_secs());
                Finding::error("long poll", text, BUFFERING)
            }
            Err(error) => Finding::error("long poll", format!("it broke off: {}", deepest(&error)), TIMEOUT),
            Ok(answer) => {
                let (status, json) = (answer.status(), answer.json().await.unwrap_or_default());
                polled(status, &json, elapsed, Duration::from_secs(wait))
            }
        }
    }

    /// The poll of a channel of this server from its position now. Like any client it sends the view that it got:
    /// without one the server may answer at once.
    async fn place(&mut self) -> Option<OpenChannel> {
        let schema = self.json("/api/schema").await?;
        let names = schema["entities"].as_array()?.iter().filter_map(|entity| entity["name"].as_str());
        let channels: Vec<String> =
            names.take(MOST_CHANNELS).map(|name| format!("channel=entity:{name}")).collect();
        let now = self.json(&format!("/api/changes?{}", channels.join("&"))).await?;
        let Some(open) = now["channels"].get(0) else {
            let text = "not checked: an anonymous caller may not read any entity";
            self.findings.extend(["stream", "long poll"].map(|topic| Finding::ok(topic, text)));
            return None;
        };
        let (channel, view) = (open["channel"].as_str()?, open["view"].as_str()?);
        let (epoch, seq) = (now["epoch"].as_str()?, now["seq"].as_u64()?);
        let poll = format!("/api/changes?channel={channel}&view={view}&since={epoch}:{seq}");
        Some(OpenChannel { channel: channel.to_owned(), poll })
    }

    async fn json(&mut self, path: &str) -> Option<Value> {
        let why = match self.get(path, PATIENCE).await {
            Ok(answer) if answer.status() == StatusCode::OK => return answer.json().await.ok(),
            Ok(answer) => format!("{path} answers {}", answer.status()),
            Err(error) => format!("{path} is not answered: {}", deepest(&error)),
        };
        self.findings.push(Finding::error("long poll", why, "let the proxy pass every path"));
        None
    }
}

fn streamed(flow: Flow) -> Finding {
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
                "after its first event nothing came for {} s: a proxy in between buffers, or ends it",
                (silence + AT_ONCE).as_secs()
            );
            Finding::error("stream", text, BUFFERING)
        }
        Flow::Other(kind) => Finding::error(
            "stream",
            format!("/sse answers {} and no stream of events", quoted(&kind)),
            "let the proxy pass every path, and change no answer",
        ),
    }
}

fn held_back() -> Finding {
    let text = format!(
        "the first event of /sse did not come within {} s: a proxy in between buffers",
        AT_ONCE.as_secs()
    );
    Finding::error("stream", text, BUFFERING)
}

/// What the answer to a long poll shows about a proxy in between.
fn polled(status: StatusCode, json: &Value, elapsed: Duration, wait: Duration) -> Finding {
    let after = elapsed.as_millis();
    if let (false, Some(code)) = (status == StatusCode::OK, json["code"].as_str()) {
        let (code, detail) = (quoted(code), quoted(json["detail"].as_str().unwrap_or_default()));
        let advice = "`tidewire explain CODE` says more; a shorter --wait may help";
        return Finding::error("long poll", format!("the server refuses it: {code}, {detail}"), advice);
    }
    if status != StatusCode::OK {
        return Finding::error("long poll", format!("it was answered {status} after {after} ms"), TIMEOUT);
    }
    let held = elapsed + Duration::from_millis(200) >= wait;
    let quiet = json["events"].as_array().is_some_and(Vec::is_empty);
    // The server itself answers at once where it cannot continue from the position, or has more to say.
    let waits = json["channels"][0]["recovered"] == true && json["hasMore"] != true;
    if quiet && waits && !held {
        let text = format!("it was answered without events after {after} ms instead of {} s", wait.as_secs());
        return Finding::warning("long poll", text, TIMEOUT);
    }
    let answered = if held { "it waited:" } else { "there were events:" };
    Finding::ok("long poll", format!("{answered} answered after {after} ms"))
}

fn unreachable(shown: &str, error: &reqwest::Error) -> Finding {
    let advice = if error.is_timeout() {
        "check whether a firewall blocks it"
    } else if shown.starts_with("https") {
        "check that the server runs, that this machine knows the name, and that it trusts the certificate"
    } else {
        "check that the server runs, and that this machine knows the name"
    };
    Finding::error("url", format!("{shown} cannot be reached: {}", deepest(error)), advice)
}

/// The innermost cause, which says more than "error sending request".
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
