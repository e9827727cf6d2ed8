//! Addresses to listen on, and names by which a server is called.
//!
//! Looks names up only to find that they are loopback's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use ipnet::IpNet;

use super::wrong::Wrong;
use crate::schema::message::quoted;

pub(super) fn address(text: &str) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let help = "write an address and a port, such as 127.0.0.1:8080 or [::1]:8080; port 0 takes any";
    let wrong = || Wrong::new(quoted(text), help);
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    if name.is_empty()
        || !is_host_name(name)
        || name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(wrong());
    }
    // A name elsewhere could point somewhere else tomorrow; an address says what it opens.
    let found: Vec<SocketAddr> = (name, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    match found.first() {
        None => Err(Wrong::new(format!("{}, a name without an address", quoted(text)), help)),
        Some(_) if found.iter().any(|address| !address.ip().is_loopback()) => Err(Wrong::new(
            format!("{}, a name of another machine or network", quoted(text)),
            "only names of this machine's loopback are looked up; write the address itself",
        )),
        Some(first) => Ok(*found.iter().find(|address| address.is_ipv4()).unwrap_or(first)),
    }
}

pub(super) fn hosts<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, Wrong> {
    let mut hosts = Vec::new();
    for name in names {
        if !is_host(name) {
            let help = "write the name alone, with or without a port: tide.example, tide.example:8443";
            return Err(Wrong::new(quoted(name), help));
        }
        hosts.push(name.to_owned());
    }
    Ok(hosts)
}

/// As browsers write them in `Origin`, so that they can be compared as they are.
pub(super) fn origins<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, Wrong> {
    items.into_iter().map(|item| origin(item).map_err(|help| Wrong::new(quoted(item), help))).collect()
}

fn origin(text: &str) -> Result<String, &'static str> {
    if text.contains('*') {
        return Err("name each origin: a star would let every page of the internet in");
    }
    if text.eq_ignore_ascii_case("null") {
        return Err("`null` is the origin of every sandboxed page; name the page's own origin");
    }
    let lower = text.to_ascii_lowercase();
    let Some((scheme, host)) = lower.split_once("://") else {
        return Err("an origin begins with its scheme: https://app.example");
    };
    let default = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return Err("an origin begins with https:// or http://"),
    };
    if !is_host(host) {
        return Err(
            "write scheme, name and perhaps a port, and nothing behind them: https://app.example:8443",
        );
    }
    Ok(format!("{scheme}://{}", host.strip_suffix(default).unwrap_or(host)))
}

/// Each as a network; a single address is a network of one.
pub(super) fn networks<'a>(items: impl IntoIterator<Item = &'a str>) -> Result<Vec<String>, Wrong> {
    let network = |item: &str| {
        let single = || item.parse::<IpAddr>().ok().map(IpNet::from);
        item.parse::<IpNet>().ok().or_else(single).map(|network| network.trunc().to_string())
    };
    let help = "write an address or a network: 127.0.0.1, 10.0.0.0/8, fd00::/8";
    items.into_iter().map(|item| network(item).ok_or_else(|| Wrong::new(quoted(item), help))).collect()
}

/// A name or an address, then perhaps a port.
fn is_host(text: &str) -> bool {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return port && address.parse::<Ipv6Addr>().is_ok();
    }
    match text.split_once(':') {
        Some((name, port)) => is_host_name(name) && is_port(port),
        None => is_host_name(text),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() <= 253 && text.split('.').all(|part| !part.is_empty() && part.bytes().all(letter))
}
