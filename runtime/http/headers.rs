//! Headers that answers carry, so that a browser does not do more with them than it must.
//!
//! A handler that has set a policy keeps its own. Knows no route.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Of our own pages: no inline script or style, no foreign source, no frame around them.
pub(super) const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
);

/// Of everything that is no page: a browser that shows it runs and loads nothing.
const DATA_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// No page needs any of them. A page that does has its own server.
const PERMISSIONS: HeaderValue = HeaderValue::from_static(
    "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
);

/// Browsers stay with TLS for a year. Names below this one are not ours to decide about.
const TLS_FOR_A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

pub(super) const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

/// Marks a script or a style sheet of ours. A page that loads it applies its own policies, and a browser that opens it shows a
/// text. So policies for documents would only make it larger. A worker does have the policy of its script, but no module of ours
/// is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subresource;

/// `is_secure`: the client reached us over TLS. Over plain HTTP browsers ignore the header, and it would be a lie.
pub(super) fn protect(response: &mut Response, is_secure: bool) {
    let is_document = response.extensions().get::<Subresource>().is_none();
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, TLS_FOR_A_YEAR);
    }
    if is_document {
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
        headers.entry(PERMISSIONS_POLICY).or_insert(PERMISSIONS);
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(DATA_POLICY);
        // Browsers that do not know `frame-ancestors`.
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
}

/// Whether a media type needs `charset=utf-8`. XML and SVG name their encoding themselves, and JSON has only one.
pub(super) fn is_text(media: &str) -> bool {
    let is_script = media == "application/javascript";
    is_script || (media.starts_with("text/") && media != "text/xml" && !media.contains("charset"))
}
