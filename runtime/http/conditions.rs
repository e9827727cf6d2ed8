//! The headers that decide whether and how often a write happens: `If-Match` and `Idempotency-Key`.

use axum::http::{HeaderMap, HeaderName, header};

use super::problem::Problem;
use crate::ids::{MutationId, shown};
use crate::protocol::Code;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The version in `If-Match: "3"`. `*` asks only that the record exists, which every update does anyway.
pub(super) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(text) = single(headers, &header::IF_MATCH)? else { return Ok(None) };
    if text == "*" {
        return Ok(None);
    }
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let digits = quoted.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match digits.and_then(|text| text.parse().ok()) {
        Some(version) => Ok(Some(version)),
        None => Err(bad(format!("If-Match must be one ETag such as \"3\", or *, not `{}`", shown(text)))),
    }
}

/// A create has no version to match.
pub(super) fn no_if_match(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::IF_MATCH) {
        return Err(bad("If-Match means nothing on a create: there is no version yet".to_owned()));
    }
    Ok(())
}

/// Each operation of a batch names its own version.
pub(super) fn no_if_match_in_batch(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::IF_MATCH) {
        return Err(bad("If-Match means nothing on a batch: give the operations their `version`".to_owned()));
    }
    Ok(())
}

/// The client's name for this mutation.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<MutationId>, Problem> {
    let Some(text) = single(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    text.parse().map(Some).map_err(|error| bad(format!("Idempotency-Key: {error}")))
}

/// Where each operation has a mutation id of its own, one for all of them would be taken for what it is not.
pub(super) fn no_idempotency_key(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail =
            "Idempotency-Key belongs to an atomic batch; without `atomic`, give each operation its `mid`";
        return Err(bad(detail.to_owned()));
    }
    Ok(())
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad(format!("the header `{name}` is given twice")));
    }
    value.to_str().map(Some).map_err(|_| bad(format!("the header `{name}` must be visible ASCII")))
}

fn bad(detail: String) -> Problem {
    Problem::new(Code::BadHeader, detail)
}
