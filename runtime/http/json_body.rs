//! `JsonBody`: the request's body as one JSON object, within its limits of type, size and time, decoded if it was compressed.
//!
//! Knows no entity. Asking for `application/json` also keeps plain HTML forms of strangers out.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::LengthLimitError;

use super::content_encoding::{ContentEncoding, DecodeError};
use super::patient_timer::within;
use super::problem::Problem;
use super::state::AppState;
use crate::config::HttpConfig;
use crate::ids::shown;
use crate::protocol::Code;
use crate::repository::Body;

/// Extractor; refuses with 415, 413 or 400.
#[derive(Debug)]
pub(super) struct JsonBody(pub(super) Body);

/// The same before it is read as JSON.
#[derive(Debug)]
pub(super) struct JsonBytes(pub(super) Bytes);

impl FromRequest<AppState> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<JsonBody, Problem> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, state).await?;
        Body::parse(&bytes).map(JsonBody).map_err(|error| Problem::new(Code::BadJson, error.to_string()))
    }
}

impl FromRequest<AppState> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<JsonBytes, Problem> {
        let limits = &state.config.http;
        must_be_json(request.headers())?;
        let encoding = ContentEncoding::of(request.headers())?;
        must_fit(request.headers(), limits)?;
        let reading = to_bytes(request.into_body(), limits.body_bytes);
        let bytes = within(limits.body_timeout, reading)
            .await
            .ok_or_else(|| late(limits))?
            .map_err(|error| unreadable(&error, limits))?;
        encoding.decode(bytes, limits.body_bytes).map(JsonBytes).map_err(|error| match error {
            DecodeError::TooLarge => too_large(limits),
            DecodeError::NotGzip => {
                Problem::new(Code::BadJson, "the body is not gzip, as Content-Encoding says")
            }
        })
    }
}

/// `application/json` or `application/<something>+json`, with or without parameters.
fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let media = given.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media == "application/json" || (media.starts_with("application/") && media.ends_with("+json")) {
        return Ok(());
    }
    let detail = match given {
        None => "the request has no Content-Type; a JSON body is expected".to_owned(),
        Some(given) => format!("the Content-Type is `{}`; a JSON body is expected", shown(given)),
    };
    Err(Problem::new(Code::UnsupportedMediaType, detail))
}

/// An announced length is refused before a byte is read.
fn must_fit(headers: &HeaderMap, limits: &HttpConfig) -> Result<(), Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    match announced {
        Some(length) if limits.body_bytes < length => Err(too_large(limits)),
        _ => Ok(()),
    }
}

fn unreadable(error: &axum::Error, limits: &HttpConfig) -> Problem {
    let source = std::error::Error::source(error);
    if source.is_some_and(|source| source.is::<LengthLimitError>()) {
        return too_large(limits);
    }
    Problem::new(Code::BadJson, "the body broke off before its end")
}

fn too_large(limits: &HttpConfig) -> Problem {
    let detail = format!("the body has more than {} bytes", limits.body_bytes);
    Problem::new(Code::BodyTooLarge, detail)
}

fn late(limits: &HttpConfig) -> Problem {
    let seconds = limits.body_timeout.as_secs();
    Problem::new(Code::BadJson, format!("the body did not arrive within {seconds} seconds"))
}
