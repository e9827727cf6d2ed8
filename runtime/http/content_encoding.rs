//! A request's body as it was before its `Content-Encoding`: plain, or compressed by gzip.
//!
//! The limit of a body holds for what comes out, so that a few bytes cannot become many.

use std::io::Read;

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use flate2::read::MultiGzDecoder;

use super::problem::Problem;
use crate::ids::shown;
use crate::protocol::Code;

/// How a body was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Plain,
    Gzip,
}

/// Why a body could not be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    TooLarge,
    NotGzip,
}

impl ContentEncoding {
    /// Refuses with 415 what cannot be decoded, before the body is read. Several encodings on one body are refused too.
    pub(super) fn of(headers: &HeaderMap) -> Result<ContentEncoding, Problem> {
        let mut found = ContentEncoding::Plain;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in value.to_str().unwrap_or("not ASCII").split(',').map(str::trim) {
                let encoding = match name.to_ascii_lowercase().as_str() {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" if found == ContentEncoding::Plain => ContentEncoding::Gzip,
                    _ => return Err(unknown(name)),
                };
                found = encoding;
            }
        }
        Ok(found)
    }

    pub(super) fn decode(self, bytes: Bytes, most: usize) -> Result<Bytes, DecodeError> {
        if self == ContentEncoding::Plain {
            return Ok(bytes);
        }
        let mut decoded = Vec::new();
        let one_too_many = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let read = MultiGzDecoder::new(&bytes[..]).take(one_too_many).read_to_end(&mut decoded);
        if decoded.len() > most {
            return Err(DecodeError::TooLarge);
        }
        read.map(|_| Bytes::from(decoded)).map_err(|_| DecodeError::NotGzip)
    }
}

fn unknown(name: &str) -> Problem {
    let detail = format!(
        "the Content-Encoding `{}` is not understood here; send the body plain, or compressed once by gzip",
        shown(name)
    );
    Problem::new(Code::UnsupportedMediaType, detail)
}
