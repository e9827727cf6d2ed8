//! `Problem`: an error as RFC 9457 problem+json, and the one place where HTTP statuses are named.
//!
//! A handler returns a `Problem`; `edge` gives it the request's id, logs it and writes the body, so that no handler
//! can forget any of the three. Knows no entity.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::headers::PAGE_POLICY;
use super::refusal_page::RefusalPage;
use crate::identity::IdentityError;
use crate::protocol::{Code, QueryStringError};
use crate::repository::{FieldError, FilterError, RepositoryError};

/// Why a request failed. Boxed, since it travels in every `Result` of every handler.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    /// For the client: what was wrong and where.
    detail: String,
    errors: Vec<FieldError>,
    /// Index of the operation of a batch.
    op: Option<usize>,
    /// The record as it is now, on a version conflict.
    current: Option<Bytes>,
    /// For the log only.
    cause: Option<String>,
    /// Seconds until the same request may succeed, where that is known.
    wait: Option<u64>,
    /// Whether it depends on the caller alone, and not on what they asked for.
    of_caller: bool,
    /// Where a browser is shown a page instead of JSON.
    page: Option<ProblemPage>,
}

/// A page about a login that did not work.
#[derive(Debug, Clone)]
struct ProblemPage {
    /// The address of the login.
    again: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    code: &'static str,
    title: String,
    status: u16,
    detail: &'a str,
    hint: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    op: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<&'a RawValue>,
    /// None within the answer to a batch, which has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Problem {
        let detail = detail.into();
        Problem(Box::new(Parts {
            code,
            detail,
            errors: Vec::new(),
            op: None,
            current: None,
            cause: None,
            wait: None,
            of_caller: matches!(code, Code::Unauthenticated | Code::AccountDisabled),
            page: None,
        }))
    }

    /// Our own fault; the client learns nothing but the request's id.
    pub fn internal(cause: impl Into<String>) -> Problem {
        Problem::new(Code::Internal, "the server failed on this request").because(cause)
    }

    /// Too many of something. `rest` is the time until there may be one more.
    pub(super) fn rate_limited(detail: String, rest: Duration) -> Problem {
        let wait = rest.as_secs() + u64::from(rest.subsec_nanos() > 0);
        let mut problem = Problem::new(Code::RateLimited, format!("{detail}: wait {wait} s"));
        problem.0.wait = Some(wait);
        problem
    }

    /// Says that it depends on the caller alone.
    #[must_use]
    pub(super) fn of_caller(mut self) -> Problem {
        self.0.of_caller = true;
        self
    }

    /// The body is a page for a browser in which a login did not work.
    #[must_use]
    pub(super) fn on_a_page(mut self, again: Option<String>) -> Problem {
        self.0.page = Some(ProblemPage { again });
        self
    }

    /// Whether it depends on the caller alone, so that it tells nothing of the address that was asked for.
    pub(super) fn is_of_caller(&self) -> bool {
        self.0.of_caller
    }

    /// Adds what the log must know and the client must not.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Problem {
        self.0.cause = Some(cause.into());
        self
    }

    /// Says otherwise what was wrong.
    #[must_use]
    pub(super) fn with_detail(mut self, detail: impl Into<String>) -> Problem {
        self.0.detail = detail.into();
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The operation of a batch that is at fault.
    pub(super) fn op(&self) -> Option<usize> {
        self.0.op
    }

    pub(super) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(super) fn status(&self) -> StatusCode {
        status(self.0.code)
    }

    /// Replaces the body by the problem's JSON.
    pub(super) fn write(&self, request_id: &str, response: &mut Response) {
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        let Some(page) = &self.0.page else {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            *response.body_mut() = Body::from(self.json(Some(request_id)));
            return;
        };
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        let (detail, advice, again) = (&*self.0.detail, advice(self.0.code), page.again.as_deref());
        *response.body_mut() = Body::from(RefusalPage { detail, advice, again, request_id }.html());
    }

    /// The problem as JSON, with the id of the request where it is the whole answer to one.
    pub(super) fn json(&self, request_id: Option<&str>) -> Vec<u8> {
        let json = serde_json::to_vec(&Json {
            code: self.0.code.as_str(),
            title: title(self.0.code),
            status: status(self.0.code).as_u16(),
            detail: &self.0.detail,
            hint: self.0.code.hint(),
            errors: &self.0.errors,
            op: self.0.op,
            current: self.0.current.as_deref().and_then(|json| serde_json::from_slice(json).ok()),
            request_id,
        });
        json.unwrap_or_default()
    }
}

/// What the user of a login at an issuer can do.
fn advice(code: Code) -> &'static str {
    if code == Code::LoginFailed {
        "Nothing was changed. Try again, and agree when the issuer asks you."
    } else if code == Code::Unauthenticated {
        "Begin the login again. It works once, in the browser in which it began, within ten minutes. If it fails again, tell \
         your administrator."
    } else if code == Code::AccountDisabled {
        "Ask your administrator to enable your account."
    } else if code == Code::NotFound || code == Code::BadQuery || code == Code::ForbiddenHost {
        "The link that led here is wrong. Begin at the login page of this server."
    } else {
        "Wait a minute and try again. If it fails again, tell your administrator."
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status(self.0.code);
        let mut response = status.into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.0.wait {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        } else if let Some(seconds) = retry_after(self.0.code) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.0.code == Code::UnsupportedMediaType {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<RepositoryError> for Problem {
    fn from(error: RepositoryError) -> Problem {
        let mut problem = Problem::new(error.code(), error.to_string());
        problem.0.errors = error.field_errors();
        problem.0.op = error.op();
        problem.0.cause = error.cause();
        problem.0.current = error.current().map(|record| record.json.clone());
        problem
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Problem {
        let mut problem = Problem::new(error.code(), error.to_string());
        problem.0.errors = error.field_errors();
        problem.0.cause = error.cause();
        if let IdentityError::Throttled { wait } = error {
            problem.0.wait = Some(wait.as_secs() + 1);
        }
        problem
    }
}

impl From<QueryStringError> for Problem {
    fn from(error: QueryStringError) -> Problem {
        bad_query(error.to_string())
    }
}

impl From<FilterError> for Problem {
    fn from(error: FilterError) -> Problem {
        bad_query(error.to_string())
    }
}

/// Of a query string, or of a question in a body.
pub(super) fn bad_query(detail: String) -> Problem {
    Problem::new(Code::BadQuery, detail)
}

/// `VALIDATION_FAILED` is titled "Validation failed".
fn title(code: Code) -> String {
    let mut title = code.as_str().to_lowercase().replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// The status of every code.
pub(super) fn status(code: Code) -> StatusCode {
    match code {
        Code::BadFrame
        | Code::UnknownMessageType
        | Code::BadChannel
        | Code::SubscriptionLimit
        | Code::LeaseLimit
        | Code::NotSubscribed
        | Code::PresenceLimit
        | Code::BadPosition
        | Code::BadJson
        | Code::BadQuery
        | Code::BadCursor
        | Code::QueryTooBroad
        | Code::BadHeader => StatusCode::BAD_REQUEST,
        Code::Unauthenticated | Code::LoginFailed => StatusCode::UNAUTHORIZED,
        Code::BadLink => StatusCode::GONE,
        Code::ForbiddenChannel
        | Code::ForbiddenHost
        | Code::ForbiddenOrigin
        | Code::AccountDisabled
        | Code::RegistrationClosed
        | Code::Forbidden
        | Code::RuleLimit => StatusCode::FORBIDDEN,
        Code::UnknownEntity | Code::NotFound | Code::NoHistory => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::IdTaken | Code::NotUnique | Code::Restricted | Code::LeaseHeld | Code::NotPresent => {
            StatusCode::CONFLICT
        }
        Code::LeaseRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::VersionConflict | Code::LeaseLost => StatusCode::PRECONDITION_FAILED,
        Code::BodyTooLarge | Code::FrameTooLarge | Code::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::ValidationFailed
        | Code::UnknownReference
        | Code::CascadeTooLarge
        | Code::TriggerFailed
        | Code::UnitTooLarge
        | Code::IdempotencyMismatch => StatusCode::UNPROCESSABLE_ENTITY,
        Code::RateLimited | Code::TooManyLogins => StatusCode::TOO_MANY_REQUESTS,
        Code::Internal | Code::StorageError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::ConnectionLimit
        | Code::QueryLimit
        | Code::SchemaChanged
        | Code::Overloaded
        | Code::ShuttingDown
        | Code::ReadOnly
        | Code::SetupRequired
        | Code::TelemetryDisabled
        | Code::StorageDamaged => StatusCode::SERVICE_UNAVAILABLE,
        Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// Seconds until the same request may succeed.
pub(super) fn retry_after(code: Code) -> Option<&'static str> {
    if matches!(code, Code::StorageFull | Code::ReadOnly | Code::StorageDamaged) {
        return Some("30");
    }
    if code == Code::RateLimited {
        return Some("60");
    }
    let status = status(code);
    (status == StatusCode::SERVICE_UNAVAILABLE).then_some(if code == Code::ShuttingDown { "2" } else { "1" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Retry;

    #[test]
    fn every_code_has_an_error_status_and_a_code_that_says_never_is_the_clients() {
        for code in Code::ALL {
            let status = status(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code:?}");
            // Switched off by the operator: 503 is what scrapers and their askers expect of it.
            if code.retry() == Retry::Never && *code != Code::TelemetryDisabled {
                assert!(status.is_client_error(), "{code:?} says never, yet {status} invites a retry");
            }
        }
    }

    #[test]
    fn a_title_is_the_code_in_words() {
        assert_eq!(title(Code::ValidationFailed), "Validation failed");
    }
}
