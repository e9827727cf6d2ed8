//! A running server, reached as a browser reaches it: through the reverse proxy, if one comes before it.
//!
//! Knows the API only as any client does.

use std::time::Duration;

use reqwest::header::{
    CONNECTION, DATE, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SERVER, UPGRADE,
};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::{Instant, timeout};

use super::finding::Finding;
use super::refusal::{ServerRefusal, TOKEN};
use super::socket::{self, AT_ONCE};
use super::stream;
use super::verdict::{self, BUFFERING, TIMEOUT};
use crate::env::Env;
use crate::protocol::Code;
use crate::schema::message::quoted;

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// The Date header counts whole seconds, and the answer was on its way.
const CLOCKS_AGREE_SECONDS: i64 = 5;

/// Where sessions of polls are opened.
const SESSIONS: &str = "/api/realtime/session";

const PASS_UPGRADE: &str = "let the proxy pass the upgrade; nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; \
     proxy_set_header Connection $connection_upgrade; Caddy and HAProxy pass it unless they are told not to";
const PASS_ALL: &str = "let the proxy pass every path and method";

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
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
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
            let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
            let visit = Visit { target, client, env, token, findings: Vec::new() };
            runtime.block_on(visit.whole(Duration::from_secs(wait)))
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

struct Visit<'a> {
    target: &'a ServerAddress,
    client: Client,
    env: &'a Env,
    /// Lets in where a login is needed.
    token: Option<String>,
    findings: Vec<Finding>,
}

impl Visit<'_> {
    /// Continues only as long as the next question makes sense.
    async fn whole(mut self, wait: Duration) -> Vec<Finding> {
        if self.reached().await {
            // Each waits for itself.
            let (socket, stream, poll) =
                tokio::join!(self.web_socket(wait), self.stream(wait), self.long_poll(wait));
            self.findings.extend([socket, stream, poll]);
        }
        self.findings
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.target.at(path));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn reached(&mut self) -> bool {
        let shown = self.target.origin();
        let response = match self.client.get(self.target.at("/healthz")).timeout(PATIENCE).send().await {
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
        if let Some(refusal) = ServerRefusal::of_problem(json) {
            let (code, detail) = (refusal.code.as_str(), quoted(&refusal.detail));
            let text = format!("the server itself refuses /healthz: `{code}`, {detail}");
            return Finding::error("url", text, format!("`tidewire explain {code}` says more"));
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

    async fn web_socket(&self, wait: Duration) -> Finding {
        let key = socket::key(self.env);
        let request =
            self.request(Method::GET, "/ws").header(CONNECTION, "Upgrade").header(UPGRADE, "websocket");
        let request = request.header(SEC_WEBSOCKET_VERSION, "13").header(SEC_WEBSOCKET_KEY, &key);
        let sent = request.header(ORIGIN, self.target.origin()).send();
        let response = match timeout(PATIENCE, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let text = format!("the upgrade of /ws broke off: {}", deepest(&error));
                return Finding::error("websocket", text, PASS_UPGRADE);
            }
            Err(_) => {
                let text = "the upgrade of /ws is not answered";
                return Finding::error("websocket", text, PASS_UPGRADE);
            }
        };
        let accepted = response
            .headers()
            .get(SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|accept| *accept == *socket::accept(&key));
        if response.status() != StatusCode::SWITCHING_PROTOCOLS || !accepted {
            return self.not_upgraded(response).await;
        }
        verdict::of_socket(socket::talk(response, wait).await, wait, self.token.is_some())
    }

    async fn not_upgraded(&self, response: Response) -> Finding {
        let status = response.status();
        let json: Value = response.json().await.unwrap_or_default();
        match ServerRefusal::of_problem(&json) {
            Some(ServerRefusal { code: Code::ForbiddenOrigin, .. }) => {
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
            // The request had every header that a handshake needs.
            Some(ServerRefusal { code: Code::BadHeader, .. }) => {}
            Some(refusal) => return refusal.finding("websocket", self.token.is_some()),
            None if status.is_server_error() => {
                let text = format!("/ws answers {status}: the proxy does not reach the server there");
                return Finding::error("websocket", text, format!("let it pass every path; {PASS_UPGRADE}"));
            }
            None => {}
        }
        let text = format!(
            "/ws answers {status} instead of upgrading: a proxy in between does not pass the upgrade"
        );
        Finding::error("websocket", text, PASS_UPGRADE)
    }

    /// Names no channel: the server speaks first, and after every silence, without one.
    async fn stream(&self, wait: Duration) -> Finding {
        let sent = self.request(Method::GET, "/sse").timeout(PATIENCE + wait).send();
        // The head of a stream comes at once, too: what takes longer is kept somewhere.
        let answer = match timeout(AT_ONCE, sent).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                let text = format!("it broke off: {}", deepest(&error));
                return Finding::error("stream", text, TIMEOUT);
            }
            Err(_) => return verdict::held_back(),
        };
        if answer.status() != StatusCode::OK {
            return self.refused("stream", "/sse", answer).await;
        }
        verdict::of_stream(stream::follow(answer, wait).await, self.token.is_some())
    }

    /// By a session of polls, which waits without a channel.
    async fn long_poll(&self, wait: Duration) -> Finding {
        let opened: Value = match self.request(Method::POST, SESSIONS).timeout(PATIENCE).send().await {
            Ok(answer) if answer.status() == StatusCode::CREATED => answer.json().await.unwrap_or_default(),
            Ok(answer) => return self.refused("long poll", SESSIONS, answer).await,
            Err(error) => {
                let text = format!("{SESSIONS} is not answered: {}", deepest(&error));
                return Finding::error("long poll", text, PASS_ALL);
            }
        };
        let (Some(session), Some(cursor)) = (opened["session"].as_str(), opened["cursor"].as_u64()) else {
            let text = format!("{SESSIONS} answers 201, but not as Tidewire does");
            return Finding::error("long poll", text, PASS_ALL);
        };
        let path = format!("{SESSIONS}/{session}");
        let (started, slack) = (Instant::now(), wait + AT_ONCE);
        let waiting = format!("{path}?after={cursor}&wait={}", wait.as_secs());
        let answer = self.request(Method::GET, &waiting).timeout(slack).send().await;
        let elapsed = started.elapsed();
        let finding = match answer {
            Err(error) if error.is_timeout() => {
                let text = format!(
                    "a long poll of {} s was not answered after {} s",
                    wait.as_secs(),
                    slack.as_secs()
                );
                Finding::error("long poll", text, BUFFERING)
            }
            Err(error) => Finding::error("long poll", format!("it broke off: {}", deepest(&error)), TIMEOUT),
            Ok(answer) => {
                let (status, json) = (answer.status(), answer.json().await.unwrap_or_default());
                verdict::of_poll(status, &json, elapsed, wait, self.token.is_some())
            }
        };
        // The server ends it by itself, too.
        let _ = self.request(Method::DELETE, &path).timeout(AT_ONCE).send().await;
        finding
    }

    async fn refused(&self, topic: &'static str, path: &str, answer: Response) -> Finding {
        let status = answer.status();
        let json: Value = answer.json().await.unwrap_or_default();
        match ServerRefusal::of_problem(&json) {
            Some(refusal) => refusal.finding(topic, self.token.is_some()),
            None => Finding::error(topic, format!("{path} answers {status}"), PASS_ALL),
        }
    }
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
