//! Requests to a server's `/api/batch`, repeated while it is busy or away for a moment.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::RETRY_AFTER;
use serde_json::Value as Json;

use super::super::super::loading::Refused;

/// How often one request is sent at most.
const TRIES: u32 = 6;

/// Longest wait for one answer, and between two tries.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) struct Sender {
    url: Url,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// What the server made of a request.
pub(super) enum BatchAnswer {
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
    /// `url` is the server's address, as it prints it at its start.
    pub(super) fn new(url: &str) -> Result<Sender, Refused> {
        let wrong = || {
            let like = "write it as the server prints it, such as http://127.0.0.1:8080";
            Refused::usage(format!("--url {url} is not the address of a server: {like}"))
        };
        let base: Url = url.parse().map_err(|_| wrong())?;
        if base.scheme() != "http" || !base.has_host() {
            return Err(wrong());
        }
        let url = base.join("/api/batch").map_err(|_| wrong())?;
        let failed = |error: String| Refused::failed(format!("requests cannot be sent: {error}"));
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let client = client.build().map_err(|error| failed(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Sender { url, client, runtime: runtime.map_err(|error| failed(error.to_string()))? })
    }

    /// Sends a batch; every operation in it must be known again by its mutation id, for it may be sent twice.
    pub(super) fn send(&self, batch: &Json, key: Option<&str>) -> Result<BatchAnswer, Refused> {
        let body = batch.to_string();
        self.runtime.block_on(async {
            let mut pause = Duration::from_millis(250);
            for left in (0..TRIES).rev() {
                match self.attempt(&body, key).await {
                    Ok(answer) => return Ok(answer),
                    Err(again) if left == 0 => {
                        let url = &self.url;
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
            Err(Refused::failed("the batch was not sent"))
        })
    }

    async fn attempt(&self, body: &str, key: Option<&str>) -> Result<BatchAnswer, Again> {
        let mut request = self.client.post(self.url.clone()).header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        let lost = |error: reqwest::Error| Again { why: root(&error), after: None };
        let response = request.body(body.to_owned()).send().await.map_err(lost)?;
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
