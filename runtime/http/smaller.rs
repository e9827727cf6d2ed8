//! The files of the program, compressed by gzip for browsers that take it. Each is compressed once.
//!
//! Only what is the same for every caller comes here: what a record says beside a secret would show in the length of the answer.

use std::collections::HashMap;
use std::io::Write;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

/// By path, with the hash of the source: in debug builds a file can change. As many entries as the program has files.
static MADE: Mutex<Option<HashMap<String, (String, Bytes)>>> = Mutex::new(None);

/// Whether the caller takes gzip: named, and not with the weight 0.
pub(super) fn accepts(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            let weight = parts.next().and_then(|part| part.strip_prefix("q="));
            is_gzip && weight.is_none_or(|weight| weight.trim().parse() != Ok(0.0_f32))
        })
    })
}

/// `make` is called when this file has not been compressed yet.
pub(super) fn of(path: &str, hash: &str, make: impl FnOnce() -> Bytes) -> Bytes {
    if let Some((known, bytes)) = MADE.lock().as_ref().and_then(|made| made.get(path))
        && known == hash
    {
        return bytes.clone();
    }
    let bytes = compressed(&make());
    let mut made = MADE.lock();
    made.get_or_insert_default().insert(path.to_owned(), (hash.to_owned(), bytes.clone()));
    bytes
}

fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(plain)
        .and_then(|()| encoder.finish())
        .expect("writing into memory does not fail")
        .into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::http::HeaderValue;
    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn gzip_is_taken_where_it_is_named_and_not_refused() {
        let said = |text: &'static str| {
            accepts(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(text))]))
        };
        for text in ["gzip", "br, gzip", "GZIP;q=0.5", "deflate;q=0, gzip ; q=1"] {
            assert!(said(text), "{text}");
        }
        for text in ["", "br", "gzip;q=0", "br, gzip; q=0.0", "xgzip", "*"] {
            assert!(!said(text), "{text}");
        }
        assert!(!accepts(&HeaderMap::new()));
    }

    #[test]
    fn a_file_is_compressed_once_and_again_when_it_has_changed() {
        let read = |bytes: &Bytes| {
            let mut text = String::new();
            GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            text
        };
        let first = of("test/a.js", "1", || Bytes::from_static(b"one"));
        assert_eq!(read(&first), "one");
        assert_eq!(of("test/a.js", "1", || unreachable!("it is known")), first);
        assert_eq!(read(&of("test/a.js", "2", || Bytes::from_static(b"two"))), "two");
    }
}
