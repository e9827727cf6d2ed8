//! `AllowedOrigins`: pages of which other origins may use this server, and what their browsers are told (CORS).
//!
//! Such a page brings a token. Cookies never count for it, so no answer allows credentials. Knows no route.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::ids::shown;
use crate::protocol::Code;

/// How long a browser may remember a preflight's answer. Chromium takes two hours at most.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Content-Encoding, If-Lease, If-Match, If-None-Match, Idempotency-Key, \
     Last-Event-ID, X-Request-Id",
);
const ANSWER_HEADERS: HeaderValue =
    HeaderValue::from_static("ETag, Location, Retry-After, Tidewire-Replayed, Tidewire-Seq, X-Request-Id");
const PREFLIGHT_VARY: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// Exact origins, as browsers write them: `https://app.example`, `http://localhost:3000`.
#[derive(Debug, Clone)]
pub struct AllowedOrigins(Vec<String>);

impl AllowedOrigins {
    pub fn new(origins: &[String]) -> AllowedOrigins {
        AllowedOrigins(origins.to_vec())
    }

    pub(super) fn has(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed == origin)
    }

    /// The answer to a browser that asks whether it may send a page's request; `None` for any other request.
    pub(super) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response> {
        let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let (&Method::OPTIONS, Some(_), Some(origin)) = (method, asked, headers.get(header::ORIGIN)) else {
            return None;
        };
        if self.of(headers).is_none() {
            let origin = shown(origin.to_str().unwrap_or_default()).to_string();
            let detail =
                format!("pages from `{origin}` may not use this server: `allowed_origins` does not name it");
            let mut refused = Problem::new(Code::ForbiddenOrigin, detail).into_response();
            refused.headers_mut().insert(header::VARY, PREFLIGHT_VARY);
            return Some(refused);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        answer.insert(header::VARY, PREFLIGHT_VARY);
        Some(response)
    }

    /// The origin of the request, if it is one of these.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let (origin, None) = (values.next()?, values.next()) else { return None };
        origin.to_str().is_ok_and(|origin| self.has(origin)).then(|| origin.clone())
    }

    /// Lets the page of an allowed origin read the answer.
    pub(super) fn reveal(&self, origin: Option<HeaderValue>, answer: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        // A cache must not give one page the answer of another, nor an answer without the headers to an allowed page.
        if !answer.contains_key(header::VARY) {
            answer.insert(header::VARY, ORIGIN);
        } else if !varies_by_origin(answer) {
            answer.append(header::VARY, ORIGIN);
        }
        if let Some(origin) = origin {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
    }
}

fn varies_by_origin(answer: &HeaderMap) -> bool {
    let values = answer.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("origin"))
}
