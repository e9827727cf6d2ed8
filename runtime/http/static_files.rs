//! The files of `static/`: pages, browser modules, style sheet. They hold no data and are the same for every caller.
//!
//! Compiled into release builds; debug builds read the folder at each request. Knows no route and no schema.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use parking_lot::Mutex;
use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

use super::headers::{PAGE_POLICY, Subresource, is_text};
use super::pack::pack;
use super::scripts::without_comments;
use super::smaller;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// A file as it is sent, before it is compressed.
#[derive(Debug, Clone)]
pub(super) struct StaticFile {
    pub(super) bytes: Bytes,
    media: String,
    hash: String,
}

/// By path. As many entries as the program has files. In debug builds a file can have changed.
static READY: Mutex<Option<HashMap<String, StaticFile>>> = Mutex::new(None);

/// The client of a page, which is sent together with all that it imports.
const CLIENT: &str = "client.js";

/// `pack/pages/home.js` is the module `pages/home.js` together with all that it imports.
pub(super) fn find(path: &str) -> Option<StaticFile> {
    if !cfg!(debug_assertions)
        && let Some(ready) = READY.lock().as_ref().and_then(|known| known.get(path))
    {
        return Some(ready.clone());
    }
    let entry = path.strip_prefix("pack/").filter(|entry| entry.starts_with("pages/"));
    let (bytes, media) = match entry.or((path == CLIENT).then_some(CLIENT)) {
        Some(entry) => (packed(entry)?, "text/javascript; charset=utf-8".to_owned()),
        None => read(path)?,
    };
    let hash = Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let file = StaticFile { bytes, media, hash };
    READY.lock().get_or_insert_default().insert(path.to_owned(), file.clone());
    Some(file)
}

fn read(path: &str) -> Option<(Bytes, String)> {
    let file = Static::get(path).filter(|_| !is_hidden(path))?;
    let media = media_type(path, file.metadata.mimetype());
    let bytes = module(path).map_or_else(|| Bytes::from(file.data.into_owned()), Bytes::from);
    Some((bytes, media))
}

fn packed(entry: &str) -> Option<Bytes> {
    module(entry)?;
    match pack(entry, module) {
        Ok(packed) => Some(packed.into()),
        Err(error) => {
            tracing::error!(module.path = entry, ?error, "the modules of a page cannot be sent as one");
            None
        }
    }
}

/// A browser module without its comments.
fn module(path: &str) -> Option<String> {
    let file = Static::get(path).filter(|_| path.ends_with(".js") && !is_hidden(path))?;
    std::str::from_utf8(&file.data).ok().map(without_comments)
}

impl StaticFile {
    /// The file with its hash as ETag; a browser that holds it gets 304.
    pub(super) fn answer(self, path: &str, headers: &HeaderMap) -> Response {
        let StaticFile { bytes, media, hash } = self;
        let is_small = smaller::accepts(headers);
        // Two texts of one file are two representations.
        let etag = format!("\"{hash}{}\"", if is_small { "-gzip" } else { "" });
        let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let fresh = known
            .is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
        let is_subresource = media.starts_with("text/javascript") || media.starts_with("text/css");
        let mut response = if fresh {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let content = [(header::CONTENT_TYPE, media)];
            if is_small {
                let bytes = smaller::of(path, &hash, || bytes);
                ([(header::CONTENT_ENCODING, "gzip")], content, bytes).into_response()
            } else {
                (content, bytes).into_response()
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(etag) = HeaderValue::try_from(etag) {
            headers.insert(header::ETAG, etag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if is_subresource {
            response.extensions_mut().insert(Subresource);
        } else {
            headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
        }
        response
    }
}

/// Type declarations end in `.ts`, which the registry of types knows as video.
fn media_type(path: &str, guessed: &str) -> String {
    if path.ends_with(".ts") {
        "text/plain; charset=utf-8".to_owned()
    } else if is_text(guessed) {
        format!("{guessed}; charset=utf-8")
    } else {
        guessed.to_owned()
    }
}

/// `.git` or `.env` among files that are served is an accident.
pub(super) fn is_hidden(path: &str) -> bool {
    path.split('/').any(|segment| segment.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_of_every_page_can_be_one() {
        let mut packed = 0;
        for path in Static::iter().filter(|path| path.ends_with(".html")) {
            let page = find(&path).unwrap();
            let page = std::str::from_utf8(&page.bytes).unwrap();
            for script in page.split("<script").skip(1) {
                let source = script.split('"').find_map(|part| part.strip_prefix("/static/pack/"));
                let entry = source.unwrap_or_else(|| panic!("{path} loads a script that is not packed"));
                pack(entry, module).unwrap_or_else(|error| panic!("{entry}: {error:?}"));
                packed += 1;
            }
        }
        assert!(packed >= 5, "{packed}");
    }

    #[test]
    fn only_pages_are_packed() {
        assert!(find("pack/pages/home.js").is_some());
        for path in [
            "pack/client.js",
            "pack/pages/home.html",
            "pack/pages/nope.js",
            "pack/",
            "pack/pages/../client.js",
        ] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
