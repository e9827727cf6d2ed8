//! `Proxies`: what a proxy before this server says about the client, and which proxies are believed.
//!
//! Everyone can send `X-Forwarded-For`. So the headers count only on connections from the networks in `trusted_proxies`, and of a
//! chain of addresses only the part that trusted proxies wrote. Knows no route.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;

use super::problem::Problem;
use super::server::Peer;
use crate::ids::shown;
use crate::protocol::Code;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// See the module's text.
#[derive(Debug)]
pub struct Proxies {
    trusted: Vec<IpNet>,
    /// A proxy that is not believed is logged once.
    is_told: AtomicBool,
}

impl Proxies {
    pub fn new(trusted: &[IpNet]) -> Proxies {
        Proxies { trusted: trusted.to_vec(), is_told: AtomicBool::new(false) }
    }

    /// Gives the request the client's address, scheme and host where a trusted proxy names them. From anyone else the headers
    /// are taken away, so that no later code can believe them.
    pub(super) fn settle(&self, request: &mut Request) -> Result<(), Problem> {
        let Some(peer) = request.extensions().get::<Peer>() else { return Ok(()) };
        let mut peer = peer.clone();
        if !self.trusts(peer.address) {
            let headers = request.headers_mut();
            if headers.remove(X_FORWARDED_FOR).is_some() && peer.address.is_loopback() {
                self.tell();
            }
            headers.remove(X_FORWARDED_PROTO);
            headers.remove(X_FORWARDED_HOST);
            return Ok(());
        }
        peer.address = self.client(peer.address, request.headers())?;
        if let Some(scheme) = last(request.headers(), &X_FORWARDED_PROTO)? {
            peer.is_secure = scheme.eq_ignore_ascii_case("https");
        }
        if let Some(host) = last(request.headers(), &X_FORWARDED_HOST)? {
            let host = HeaderValue::try_from(host).map_err(|_| bad(&X_FORWARDED_HOST, host))?;
            request.headers_mut().insert(header::HOST, host);
        }
        request.extensions_mut().insert(peer);
        Ok(())
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// From the right, where the nearest proxy wrote, to the first address that is no trusted proxy. What stands left of it the
    /// client may have invented.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<IpAddr, Problem> {
        let mut nearest = peer;
        for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            let text = value.to_str().map_err(|_| bad(&X_FORWARDED_FOR, "bytes that are not ASCII"))?;
            for hop in text.rsplit(',').map(str::trim) {
                nearest = address(hop).ok_or_else(|| bad(&X_FORWARDED_FOR, hop))?;
                if !self.trusts(nearest) {
                    return Ok(nearest);
                }
            }
        }
        Ok(nearest)
    }

    fn tell(&self) {
        if !self.is_told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a proxy on this machine sends X-Forwarded-For, but `trusted_proxies` does not name it: its clients count \
                 as this machine, which has no limits; name its address in `trusted_proxies` if the proxy is yours"
            );
        }
    }
}

/// The last value of a header: the nearest proxy wrote it.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let Some(value) = headers.get_all(name).iter().next_back() else { return Ok(None) };
    let text = value.to_str().map_err(|_| bad(name, "bytes that are not ASCII"))?;
    Ok(text.rsplit(',').next().map(str::trim).filter(|text| !text.is_empty()))
}

/// `10.0.0.1`, `10.0.0.1:5000`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:5000`.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

fn bad(name: &HeaderName, value: &str) -> Problem {
    let detail = format!("the proxy's header `{name}` cannot be read: `{}`", shown(value));
    Problem::new(Code::BadHeader, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lines: &[&str]) -> Option<String> {
        let proxies = Proxies::new(&["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        proxies.client(peer.parse().unwrap(), &headers).ok().map(|address| address.to_string())
    }

    #[test]
    fn the_client_is_the_last_address_that_no_trusted_proxy_has() {
        for (lines, expected) in [
            (&[][..], Some("10.0.0.1")),
            (&["203.0.113.7"], Some("203.0.113.7")),
            (&["203.0.113.7:4711"], Some("203.0.113.7")),
            (&["[2001:dead::7]:4711"], Some("2001:dead::7")),
            (&["2001:dead::7"], Some("2001:dead::7")),
            (&["::ffff:203.0.113.7"], Some("203.0.113.7")),
            (&["203.0.113.7, 10.0.0.2"], Some("203.0.113.7")),
            (&["203.0.113.7", "10.0.0.2, 2001:db8::9"], Some("203.0.113.7")),
            // What the client wrote itself.
            (&["127.0.0.1, 203.0.113.7"], Some("203.0.113.7")),
            (&["10.0.0.9, 203.0.113.7, 10.0.0.2"], Some("203.0.113.7")),
            (&["not an address, 203.0.113.7"], Some("203.0.113.7")),
            (&["127.0.0.1", "203.0.113.7"], Some("203.0.113.7")),
            (&["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            (&["unknown"], None),
            (&[""], None),
            (&["203.0.113.7,"], None),
            (&["203.0.113.7, 10.0.0.300"], None),
            (&["example.com"], None),
        ] {
            assert_eq!(client("10.0.0.1", lines).as_deref(), expected, "{lines:?}");
        }
    }
}
