//! `Fetcher`: asks an issuer for a document. Bounded in time and size, follows no redirect, and speaks TLS to every other machine.
//!
//! Knows no key and no login.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};

/// For a whole answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const LARGEST: usize = 256 << 10;

/// See the module's text.
#[derive(Debug, Clone)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    pub(super) fn new() -> Result<Fetcher, String> {
        let client = Client::builder().redirect(Policy::none()).timeout(PATIENCE).connect_timeout(PATIENCE);
        client.build().map(Fetcher).map_err(|error| format!("no client for issuers: {error}"))
    }

    pub(super) async fn get(&self, url: &str) -> Result<String, String> {
        self.answer(self.0.get(secure(url)?)).await
    }

    pub(super) fn post(&self, url: &str) -> Result<RequestBuilder, String> {
        Ok(self.0.post(secure(url)?))
    }

    /// The text of an answer 200. The error is for the log, and has nothing of a body.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<String, String> {
        let mut response = request.send().await.map_err(|error| told(&error))?;
        if response.status() != 200 {
            return Err(format!("the answer was {}", response.status().as_u16()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| told(&error))? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("the answer has more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| "the answer is not UTF-8".to_owned())
    }
}

/// Without the address, which may have a query.
fn told(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if error.is_timeout() { "there was no answer in time".to_owned() } else { cause.to_string() }
}

/// Without TLS an attacker on the network could send keys of their own. Addresses of this machine need none.
pub(super) fn secure(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is no address: {error}"))?;
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        _ => Err(format!("`{text}` must begin with https://; http:// is for this machine only")),
    }
}
