//! What answers about records share: the position in the log, the version, the JSON.
//!
//! Knows no route and no entity.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::auth::Identity;
use crate::ids::{Epoch, Seq};
use crate::repository::{AnswerFor, number_of};
use crate::store::{OpStatus, Stored};

const TIDEWIRE_SEQ: HeaderName = HeaderName::from_static("tidewire-seq");
pub(super) const TIDEWIRE_REPLAYED: HeaderName = HeaderName::from_static("tidewire-replayed");

pub(super) fn status_of(status: OpStatus) -> StatusCode {
    StatusCode::from_u16(number_of(status)).unwrap_or(StatusCode::OK)
}

pub(super) fn answer_for(caller: &Identity) -> AnswerFor {
    if caller.user.is_some() { AnswerFor::User } else { AnswerFor::Anonymous }
}

/// The headers of an answer about a record: those of this file, and what `edge.rs` and the connection add. A map that must grow is
/// hashed anew.
const HEADERS: usize = 10;

pub(super) fn with_position(status: StatusCode, epoch: &Epoch, seq: Seq) -> Response {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS);
    *response.status_mut() = status;
    response.headers_mut().insert(TIDEWIRE_SEQ, ascii(format!("{epoch}:{seq}")));
    response
}

pub(super) fn with_record(mut response: Response, record: &Stored) -> Response {
    response.headers_mut().insert(header::ETAG, ascii(format!("\"{}\"", record.version)));
    with_json(response, record.json.clone())
}

pub(super) fn with_json(mut response: Response, json: impl Into<Body>) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = json.into();
    response
}

pub(super) fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, hex digits and percent-encoded text are header characters")
}
