//! The session cookie: how it is read and written. Scripts cannot read it, and other sites' requests do not carry it.
//!
//! Whether it counts, `identity.rs` decides.

use axum::http::{HeaderMap, HeaderValue, Uri, header};

use super::guard;

/// Browsers take it over TLS alone, and from this very host alone.
const SECURE: &str = "__Host-tidewire";
/// On loopback there is no TLS, and some browsers drop secure cookies there.
const PLAIN: &str = "tidewire";

/// The token in the cookie of this host.
pub(super) fn token(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    read(headers, name(uri, headers))
}

/// `Set-Cookie` with a token for so many seconds; with none, it is removed.
pub(super) fn set(uri: &Uri, headers: &HeaderMap, token: &str, seconds: i64) -> HeaderValue {
    written(name(uri, headers), uri, headers, token, seconds)
}

/// Binds a login at another issuer to the browser in which it began.
const LOGIN: &str = "-login";

/// What the browser got when its login at another issuer began.
pub(super) fn login(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    read(headers, &format!("{}{LOGIN}", name(uri, headers)))
}

/// `Set-Cookie` for a login that begins; with no text, it is removed.
pub(super) fn set_login(uri: &Uri, headers: &HeaderMap, text: &str) -> HeaderValue {
    written(
        &format!("{}{LOGIN}", name(uri, headers)),
        uri,
        headers,
        text,
        if text.is_empty() { 0 } else { 600 },
    )
}

fn read(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
}

fn written(cookie: &str, uri: &Uri, headers: &HeaderMap, text: &str, seconds: i64) -> HeaderValue {
    let secure = if name(uri, headers) == SECURE { "; Secure" } else { "" };
    let text = format!("{cookie}={text}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{secure}", seconds.max(0));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn name(uri: &Uri, headers: &HeaderMap) -> &'static str {
    if guard::is_loopback(uri, headers) { PLAIN } else { SECURE }
}
