//! `Hosts`: which names this server answers to, and from which pages it takes commands (SEMANTICS O3).
//!
//! A page of a stranger reaches a server on loopback in two ways: by a name of its own that it lets point here (DNS
//! rebinding, seen in `Host`), and by requests across origins (seen in `Origin` and `Sec-Fetch-Site`). Pure: knows
//! headers, no connection and no route beyond `/ws`, `/api` and the health checks.

use std::net::{IpAddr, SocketAddr};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};

use super::cors::AllowedOrigins;
use super::problem::Problem;
use crate::ids::shown;
use crate::protocol::{Code, Params};

/// The names that `Host` and `Origin` may have.
#[derive(Debug, Clone)]
pub struct Hosts {
    listen: SocketAddr,
    /// Lower case, each with or without a port.
    allowed: Vec<String>,
    origins: AllowedOrigins,
}

/// Answered also to a request without `Host`.
const HEALTH_CHECKS: [&str; 3] = ["/health", "/healthz", "/readyz"];

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl Hosts {
    /// `listen` is the listener's own address, with its real port.
    pub fn new(listen: SocketAddr, allowed: &[String]) -> Hosts {
        let allowed = allowed.iter().map(|host| host.to_lowercase()).collect();
        Hosts { listen, allowed, origins: AllowedOrigins::new(&[]) }
    }

    /// Also takes commands from pages of these origins.
    #[must_use]
    pub fn with_origins(self, origins: &[String]) -> Hosts {
        Hosts { origins: AllowedOrigins::new(origins), ..self }
    }

    pub(super) fn origins(&self) -> &AllowedOrigins {
        &self.origins
    }

    /// Refuses requests under a foreign name, and requests from foreign pages that would change something.
    pub fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(host) = host_of(uri, headers)? else {
            return if needs_no_host(method, uri) { Ok(()) } else { Err(no_host()) };
        };
        if !self.knows(&host) {
            let detail = format!("this server does not answer to the host `{}`", shown(host.as_str()));
            return Err(Problem::new(Code::ForbiddenHost, detail));
        }
        if acts(method, uri) { self.admit_page(&host, headers) } else { Ok(()) }
    }

    fn knows(&self, host: &Authority) -> bool {
        let own_port = host.port_u16().is_none_or(|port| port == self.listen.port());
        self.is_allowed(host) || (own_port && self.is_own_name(host.host()))
    }

    fn is_own_name(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address == self.listen.ip())
    }

    fn is_allowed(&self, host: &Authority) -> bool {
        let (full, name) = (host.as_str().to_lowercase(), host.host().to_lowercase());
        self.allowed.iter().any(|allowed| *allowed == full || *allowed == name)
    }

    /// Browsers name the page's origin on every request that acts; other clients name none.
    fn admit_page(&self, host: &Authority, headers: &HeaderMap) -> Result<(), Problem> {
        let foreign = |origin: &str| {
            let detail = format!("pages from `{}` may not change anything on this server", shown(origin));
            Problem::new(Code::ForbiddenOrigin, detail)
        };
        if let Some(origin) = single(headers, &header::ORIGIN)? {
            if self.origins.has(origin) {
                return Ok(());
            }
            let page: Option<Uri> = origin.parse().ok();
            let own = page.as_ref().is_some_and(|page| {
                same_origin(page, host) || page.authority().is_some_and(|page| self.is_allowed(page))
            });
            return if own { Ok(()) } else { Err(foreign(origin)) };
        }
        match single(headers, &SEC_FETCH_SITE)? {
            None | Some("same-origin" | "none") => Ok(()),
            Some(_) => Err(foreign("another site")),
        }
    }
}

/// Whether the request may change something: by its method, by opening a socket, or by `?as=`, which makes a user.
fn acts(method: &Method, uri: &Uri) -> bool {
    let safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    // Decoded, because later code reads `%61s` as `as`. What cannot be decoded is refused.
    let names_user = Params::parse(uri.query()).map_or(true, |params| params.has("as"));
    !safe || matches!(uri.path(), "/ws" | "/sse") || (names_user && uri.path().starts_with("/api"))
}

/// Load balancers check health with HTTP/1.0, which has no `Host`. Every browser sends one, so no page gets in this way.
fn needs_no_host(method: &Method, uri: &Uri) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && HEALTH_CHECKS.contains(&uri.path())
}

fn no_host() -> Problem {
    let routes = HEALTH_CHECKS.map(|route| format!("`{route}`")).join(", ");
    let detail = format!("the request names no Host: send the header; only {routes} are answered without it");
    Problem::new(Code::ForbiddenHost, detail)
}

/// The one host that the request names, if it names any. A request line with a whole URI outranks the header (RFC 9112), so
/// both must agree.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Problem> {
    let refused = |detail: String| Problem::new(Code::ForbiddenHost, detail);
    let header = single(headers, &header::HOST)?.filter(|named| !named.is_empty());
    let Some(named) = header.or(uri.authority().map(Authority::as_str)) else { return Ok(None) };
    let wrong = || refused(format!("`{}` is not a host name", shown(named)));
    let host: Authority = named.parse().map_err(|_| wrong())?;
    // `user@name` would pass for `name`, and a port that is not a number for none.
    let odd_port = host.port().is_none() && host.as_str().len() != host.host().len();
    if named.contains('@') || odd_port {
        return Err(wrong());
    }
    match uri.authority() {
        Some(target) if target != &host => Err(refused("the request names two different hosts".to_owned())),
        _ => Ok(Some(host)),
    }
}

/// `http://name:port` of the page against `name:port` of the request; a missing port is the scheme's own.
fn same_origin(page: &Uri, host: &Authority) -> bool {
    let (Some(page_host), Some(scheme)) = (page.authority(), page.scheme_str()) else { return false };
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    page_host.host().eq_ignore_ascii_case(host.host()) && port(page_host) == port(host)
}

/// Whether a browser sends this for a page of this very origin, or for an address that its user typed. Programs that are no
/// browsers say nothing of pages. `is_secure`: the client reached us over TLS. Then a page over plain HTTP is another origin: who
/// stands between may have written it. Without TLS a proxy may have had it, so both schemes count.
pub(super) fn is_same_origin(uri: &Uri, headers: &HeaderMap, is_secure: bool) -> bool {
    let Ok(Some(host)) = host_of(uri, headers) else { return false };
    let site = match single(headers, &SEC_FETCH_SITE) {
        Ok(None | Some("same-origin" | "none")) => true,
        Ok(Some(_)) | Err(_) => false,
    };
    let is_own = |page: Uri| same_origin(&page, &host) && (!is_secure || page.scheme_str() == Some("https"));
    let origin = match single(headers, &header::ORIGIN) {
        Ok(None) => true,
        Ok(Some(origin)) => origin.parse().is_ok_and(is_own),
        Err(_) => false,
    };
    site && origin
}

/// Whether the request names this machine by a name of loopback.
pub(super) fn is_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let Ok(Some(host)) = host_of(uri, headers) else { return false };
    let name = host.host();
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The origin under which the request reached this server: its Host was admitted before.
pub(super) fn own_origin(uri: &Uri, headers: &HeaderMap, is_secure: bool) -> Option<String> {
    let host = host_of(uri, headers).ok().flatten()?;
    Some(format!("{}://{host}", if is_secure { "https" } else { "http" }))
}

/// The value of a header that may appear once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let bad = || Problem::new(Code::BadHeader, format!("the header `{name}` appears twice or is not ASCII"));
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad());
    }
    value.to_str().map(Some).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn verdict(method: Method, uri: &str, headers: &[(HeaderName, &str)]) -> Result<(), Code> {
        let hosts = Hosts::new(([127, 0, 0, 1], 8080).into(), &["tide.example:443".to_owned()]);
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        hosts.admit(&method, &uri.parse().unwrap(), &map).map_err(|problem| problem.code())
    }

    #[test]
    fn only_own_names_pass_as_host() {
        for (host, expected) in [
            ("localhost:8080", Ok(())),
            ("LOCALHOST:8080", Ok(())),
            ("localhost", Ok(())),
            ("127.0.0.1:8080", Ok(())),
            ("127.9.9.9:8080", Ok(())),
            ("[::1]:8080", Ok(())),
            ("tide.example:443", Ok(())),
            ("tide.example", Err(Code::ForbiddenHost)),
            ("localhost:80", Err(Code::ForbiddenHost)),
            ("localhost:", Err(Code::ForbiddenHost)),
            ("localhost.evil.example:8080", Err(Code::ForbiddenHost)),
            ("evil-localhost:8080", Err(Code::ForbiddenHost)),
            ("evil.localhost:8080", Err(Code::ForbiddenHost)),
            ("evillocalhost", Err(Code::ForbiddenHost)),
            ("localhostevil:8080", Err(Code::ForbiddenHost)),
            ("localhost:18080", Err(Code::ForbiddenHost)),
            ("localhost:80800", Err(Code::ForbiddenHost)),
            ("evil-tide.example:443", Err(Code::ForbiddenHost)),
            ("sub.tide.example:443", Err(Code::ForbiddenHost)),
            ("tide.example.evil:443", Err(Code::ForbiddenHost)),
            ("tide.example:4433", Err(Code::ForbiddenHost)),
            ("ide.example:443", Err(Code::ForbiddenHost)),
            ("evil-127.0.0.1:8080", Err(Code::ForbiddenHost)),
            ("1127.0.0.1:8080", Err(Code::ForbiddenHost)),
            ("evil.example:8080", Err(Code::ForbiddenHost)),
            ("127.0.0.1.nip.example:8080", Err(Code::ForbiddenHost)),
            ("10.0.0.1:8080", Err(Code::ForbiddenHost)),
            ("evil@localhost:8080", Err(Code::ForbiddenHost)),
            ("0.0.0.0:8080", Err(Code::ForbiddenHost)),
            ("[::ffff:10.0.0.1]:8080", Err(Code::ForbiddenHost)),
            ("", Err(Code::ForbiddenHost)),
        ] {
            assert_eq!(verdict(Method::GET, "/", &[(header::HOST, host)]), expected, "{host}");
        }
        assert_eq!(verdict(Method::GET, "/", &[]), Err(Code::ForbiddenHost));
        let twice = [(header::HOST, "localhost:8080"), (header::HOST, "localhost:8080")];
        assert_eq!(verdict(Method::GET, "/", &twice), Err(Code::BadHeader));
        let absolute = verdict(Method::GET, "http://evil.example/", &[(header::HOST, "localhost:8080")]);
        assert_eq!(absolute, Err(Code::ForbiddenHost));
        let alone = |uri| verdict(Method::GET, uri, &[]);
        assert_eq!(alone("http://localhost:8080/api/tasks"), Ok(()));
        assert_eq!(alone("http://evil.example/healthz"), Err(Code::ForbiddenHost));
        assert_eq!(alone("http://me@localhost:8080/"), Err(Code::ForbiddenHost));
    }

    #[test]
    fn only_own_pages_act() {
        let own = (header::HOST, "localhost:8080");
        for (origin, expected) in [
            ("http://localhost:8080", Ok(())),
            ("https://tide.example:443", Ok(())),
            ("http://127.0.0.1:8080", Err(Code::ForbiddenOrigin)),
            ("http://localhost:3000", Err(Code::ForbiddenOrigin)),
            ("http://localhost", Err(Code::ForbiddenOrigin)),
            ("http://evil.example", Err(Code::ForbiddenOrigin)),
            ("http://localhost:8080.evil.example", Err(Code::ForbiddenOrigin)),
            ("http://evil-localhost:8080", Err(Code::ForbiddenOrigin)),
            ("http://evil.localhost:8080", Err(Code::ForbiddenOrigin)),
            ("http://localhostevil:8080", Err(Code::ForbiddenOrigin)),
            ("http://localhost:18080", Err(Code::ForbiddenOrigin)),
            ("http://localhost:80", Err(Code::ForbiddenOrigin)),
            ("https://evil-tide.example:443", Err(Code::ForbiddenOrigin)),
            ("https://sub.tide.example:443", Err(Code::ForbiddenOrigin)),
            ("https://tide.example.evil:443", Err(Code::ForbiddenOrigin)),
            ("https://tide.example:4433", Err(Code::ForbiddenOrigin)),
            ("file://", Err(Code::ForbiddenOrigin)),
            ("null", Err(Code::ForbiddenOrigin)),
            ("", Err(Code::ForbiddenOrigin)),
        ] {
            let headers = [own.clone(), (header::ORIGIN, origin)];
            assert_eq!(verdict(Method::POST, "/api/tasks", &headers), expected, "POST from {origin}");
            assert_eq!(verdict(Method::GET, "/ws", &headers), expected, "socket from {origin}");
            for name in ["as", "%61s", "a%73", "%61%73"] {
                let address = format!("/api/tasks?{name}=ann");
                assert_eq!(verdict(Method::GET, &address, &headers), expected, "?{name}= from {origin}");
            }
            assert_eq!(verdict(Method::GET, "/api/tasks", &headers), Ok(()), "a read changes nothing");
        }
    }

    #[test]
    fn over_tls_a_page_without_it_is_of_another_origin() {
        for (origin, is_secure, expected) in [
            ("https://tide.example", true, true),
            ("http://tide.example:443", true, false),
            ("http://tide.example", true, false),
            ("https://tide.example", false, true),
            ("http://tide.example:443", false, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("tide.example:443"));
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let uri = Uri::from_static("/api/tasks");
            assert_eq!(
                is_same_origin(&uri, &headers, is_secure),
                expected,
                "{origin}, over TLS: {is_secure}"
            );
        }
    }

    #[test]
    fn what_a_browser_says_about_the_site_counts_where_it_names_no_origin() {
        for (site, expected) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", Err(Code::ForbiddenOrigin)),
            ("cross-site", Err(Code::ForbiddenOrigin)),
        ] {
            let headers = [(header::HOST, "localhost:8080"), (SEC_FETCH_SITE, site)];
            assert_eq!(verdict(Method::DELETE, "/api/tasks/1", &headers), expected, "{site}");
            assert_eq!(verdict(Method::GET, "/_/", &headers), Ok(()), "links to pages work");
        }
    }
}
