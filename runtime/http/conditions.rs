//! The headers that decide whether and how often a write happens: conditions (RFC 9110) and `Idempotency-Key`.
//!
//! A condition that is not understood refuses the request: ignored, it would let the write through that it forbids.

use axum::http::{HeaderMap, HeaderName, header};

use super::problem::Problem;
use crate::ids::{MutationId, shown};
use crate::protocol::Code;
use crate::repository::RepositoryError;

const IF_LEASE: HeaderName = HeaderName::from_static("if-lease");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a proxy that compresses answers appends to a strong ETag, behind one dash or two.
const ENCODINGS: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

/// What a PATCH, PUT or DELETE asks of the record before it may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Precondition {
    /// None, or only that the record exists, which these methods ask anyway.
    Exists,
    /// The record is at this version.
    Version(u64),
    /// There is no record.
    Absent,
}

impl Precondition {
    pub(super) fn of_change(headers: &HeaderMap) -> Result<Precondition, Problem> {
        for name in conditions(headers) {
            if name != header::IF_MATCH && name != header::IF_NONE_MATCH && name != IF_LEASE {
                let detail = format!(
                    "`{name}` is not supported on writes: records have versions; send the ETag in If-Match"
                );
                return Err(bad(detail));
            }
        }
        let version = single(headers, &header::IF_MATCH)?.map(version).transpose()?.flatten();
        match single(headers, &header::IF_NONE_MATCH)? {
            Some("*") => Ok(Precondition::Absent),
            Some(text) => Err(bad(format!(
                "If-None-Match on a write must be *, not `{}`: send the version that you have seen in If-Match",
                shown(text)
            ))),
            None => Ok(version.map_or(Precondition::Exists, Precondition::Version)),
        }
    }

    /// The version that the record must have. No record is ever at version 0.
    pub(super) fn version(self) -> Option<u64> {
        match self {
            Precondition::Exists => None,
            Precondition::Version(version) => Some(version),
            Precondition::Absent => Some(0),
        }
    }

    /// The problem of a write under this condition.
    pub(super) fn refused(self, error: RepositoryError) -> Problem {
        match (self, &error) {
            (Precondition::Absent, RepositoryError::VersionConflict { entity, current }) => {
                let detail = format!(
                    "the {entity} already exists, at version {}, and `If-None-Match: *` allows only a new one",
                    current.version
                );
                Problem::from(error).with_detail(detail)
            }
            _ => error.into(),
        }
    }
}

/// The version in `If-Match: "3"`; `*` names none.
fn version(text: &str) -> Result<Option<u64>, Problem> {
    if text == "*" {
        return Ok(None);
    }
    match version_of_tag(text) {
        Some(version) => Ok(Some(version)),
        None => Err(bad(format!("If-Match must be one ETag such as \"3\", or *, not `{}`", shown(text)))),
    }
}

/// The version that our ETag names, also when a proxy that compresses made it weak (nginx, HAProxy) or appended the
/// encoding (Apache, Caddy). A version names one state of a record, however its JSON was packed.
fn version_of_tag(text: &str) -> Option<u64> {
    let tag = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?.strip_suffix('"')?;
    let digits = match tag.split_once('-') {
        Some((digits, encoding)) => {
            let encoding = encoding.strip_prefix('-').unwrap_or(encoding);
            ENCODINGS.contains(&encoding).then_some(digits)?
        }
        None => tag,
    };
    let plain = digits == "0" || (digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0'));
    if plain { digits.parse().ok() } else { None }
}

/// A create never replaces a record, and there is no version yet.
pub(super) fn none_on_create(headers: &HeaderMap) -> Result<(), Problem> {
    match conditions(headers).next() {
        Some(name) => Err(bad(format!(
            "`{name}` is not possible on a create: a new record has no version, and an id that is taken is refused"
        ))),
        None => Ok(()),
    }
}

/// A version is one record's.
pub(super) fn none_on_many(headers: &HeaderMap) -> Result<(), Problem> {
    match conditions(headers).next() {
        Some(name) => Err(bad(format!(
            "`{name}` is not possible on a change of many records: each has its own version; filter by `version` instead"
        ))),
        None => Ok(()),
    }
}

/// Each operation of a batch names its own version.
pub(super) fn none_on_batch(headers: &HeaderMap) -> Result<(), Problem> {
    match conditions(headers).next() {
        Some(name) => Err(bad(format!(
            "`{name}` is not possible on a batch: give each operation its `version` and `lease`"
        ))),
        None => Ok(()),
    }
}

/// A read answers in full and may ignore a condition that would spare it the answer, such as `If-None-Match`. One that
/// forbids the answer is refused.
pub(super) fn none_on_read(headers: &HeaderMap) -> Result<(), Problem> {
    match [header::IF_MATCH, header::IF_UNMODIFIED_SINCE].iter().find(|name| headers.contains_key(*name)) {
        Some(name) => Err(bad(format!("`{name}` is not possible on a read: compare the ETag of the answer"))),
        None => Ok(()),
    }
}

/// Every header that is a condition, known or not: all of their names begin with `If-`, but for WebDAV's `If`.
fn conditions(headers: &HeaderMap) -> impl Iterator<Item = &HeaderName> {
    headers.keys().filter(|name| name.as_str() == "if" || name.as_str().starts_with("if-"))
}

/// The number of the lease under which a change is made.
pub(super) fn lease(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(text) = single(headers, &IF_LEASE)? else { return Ok(None) };
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse().ok().filter(|_| plain) {
        Some(fence) => Ok(Some(fence)),
        None => Err(bad(format!(
            "If-Lease must be the number that `lease:held` named as `fence`, such as 7, not `{}`",
            shown(text)
        ))),
    }
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
