//! Requests to a running server, repeated while it is busy or away for a moment.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Url};
use serde_json::Value as Json;

use super::super::loading::Refused;

/// What stays as it is in a query string.
pub(in crate::cli) const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How often one request is sent at most.
const TRIES: u32 = 6;

/// Longest wait for one answer, and between two tries.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(in crate::cli) struct Sender {
    url: Url,
    /// `as=ada`, if a name was given.
    caller: Option<String>,
    token: Option<String>,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// One request. `path` is relative to the address of the server.
pub(in crate::cli) struct Request {
    pub(in crate::cli) method: Method,
    pub(in crate::cli) path: String,
    pub(in crate::cli) body: Option<String>,
    /// The mutation id.
    pub(in crate::cli) key: Option<String>,
}

/// What the server made of a request.
pub(in crate::cli) enum BatchAnswer {
    /// The whole answer, whatever it is.
    Done(Json),
    /// The problem.
    Refused(Json),
}

/// Why a request may be sent again.
struct Again {
    why: String,
    after: Option<Duration>,
}

impl Sender {
    /// `url` is the server's address, as it prints it at its start. `name` asks, as in `?as=`.
    pub(in crate::cli) fn new(url: &str, name: Option<&str>) -> Result<Sender, Refused> {
        let wrong = || {
            let like = "write it as the server prints it, such as http://127.0.0.1:8080";
            Refused::usage(format!("--url {url} is not the address of a server: {like}"))
        };
        let base: Url = url.parse().map_err(|_| wrong())?;
        if base.scheme() != "http" || !base.has_host() {
            return Err(wrong());
        }
        // A name in the address would be lost, and the requests sent as those of an anonymous caller.
        if base.query().is_some() || base.fragment().is_some() || !base.username().is_empty() {
            let said = "--url names the server alone; who asks is said by --as NAME";
            return Err(Refused::usage(format!("--url {url} says more than an address: {said}")));
        }
        let url = base.join("/").map_err(|_| wrong())?;
        let caller = name.map(|name| format!("as={}", utf8_percent_encode(name, QUERY)));
        let failed = |error: String| Refused::failed(format!("requests cannot be sent: {error}"));
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let client = client.build().map_err(|error| failed(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Sender {
            url,
            caller,
            token: None,
            client,
            runtime: runtime.map_err(|error| failed(error.to_string()))?,
        })
    }

    /// The caller is the one of this token.
    #[must_use]
    pub(in crate::cli) fn with_token(self, token: Option<String>) -> Sender {
        Sender { token, ..self }
    }

    /// Sends a batch; every operation in it must be known again by its mutation id, for it may be sent twice.
    pub(in crate::cli) fn send(&self, batch: &Json, key: Option<&str>) -> Result<BatchAnswer, Refused> {
        let (body, key) = (Some(batch.to_string()), key.map(str::to_owned));
        self.ask(&Request { method: Method::POST, path: "api/batch".to_owned(), body, key })
    }

    /// Sends a request that must be known again by its key, for it may be sent twice.
    pub(in crate::cli) fn ask(&self, request: &Request) -> Result<BatchAnswer, Refused> {
        let wrong = |error| Refused::failed(format!("{}: {error}", request.path));
        let mut url = self.url.join(&request.path).map_err(wrong)?;
        if let Some(caller) = &self.caller {
            let query = url.query().map_or_else(|| caller.clone(), |query| format!("{query}&{caller}"));
            url.set_query(Some(&query));
        }
        self.runtime.block_on(async {
            let mut pause = Duration::from_millis(250);
            for left in (0..TRIES).rev() {
                match self.attempt(&url, request).await {
                    Ok(answer) => return Ok(answer),
                    Err(again) if left == 0 => {
                        let advice =
                            "start the server, or correct --url; then run the same command again to continue";
                        return Err(Refused::failed(format!(
                            "{url} does not answer: {}; {advice}",
                            again.why
                        )));
                    }
                    Err(again) => tokio::time::sleep(again.after.unwrap_or(pause).min(LONGEST_PAUSE)).await,
                }
                pause *= 2;
            }
            Err(Refused::failed("the request was not sent"))
        })
    }

    async fn attempt(&self, url: &Url, asked: &Request) -> Result<BatchAnswer, Again> {
        let mut request = self.client.request(asked.method.clone(), url.clone());
        if let Some(key) = &asked.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &asked.body {
            request = request.header("Content-Type", "application/json").body(body.clone());
        }
        let lost = |error: reqwest::Error| Again { why: root(&error), after: None };
        let response = request.send().await.map_err(lost)?;
        let (status, after) = (response.status().as_u16(), response.headers().get(RETRY_AFTER).cloned());
        let text = response.text().await.map_err(lost)?;
        let mut json: Json = serde_json::from_str(&text).unwrap_or_default();
        if status == 200 {
            return Ok(BatchAnswer::Done(json));
        }
        if status == 503 || status == 429 {
            let seconds = after.and_then(|value| value.to_str().ok()?.parse().ok());
            let why = json["detail"].as_str().unwrap_or("it is busy").to_owned();
            return Err(Again { why, after: seconds.map(Duration::from_secs) });
        }
        if json["code"].is_null() {
            json = serde_json::json!({"code": "INTERNAL", "detail": format!("the server answered {status}")});
        }
        Ok(BatchAnswer::Refused(json))
    }
}

/// The innermost reason: "connection refused" rather than "error sending request".
fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
