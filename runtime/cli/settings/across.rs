//! Which settings depend on each other.
//!
//! Looked at only when every single value is good.

use super::loading::{Loading, Origin};
use super::table::{SETTINGS, Setting};
use crate::cli::faults::{FaultSite, LocatedFault};
use crate::schema::message::quoted;

/// The first must not be greater than the second, because ...
const ORDER: [(&str, &str, &str); 7] = [
    ("http.list_default", "http.list_max", "a list without `limit` would be longer than a list may be"),
    (
        "realtime.reconnect_interval",
        "realtime.max_reconnect_interval",
        "clients wait longer after each failure, up to the second",
    ),
    (
        "realtime.subscriptions",
        "realtime.message_burst",
        "a client that comes back subscribes to everything at once, and would be closed for too many messages",
    ),
    ("http.body_bytes", "store.group_bytes", "a body that is let in must fit into one unit"),
    (
        "store.unit_entries",
        "store.retention_changes",
        "one request could push its own changes out of the log",
    ),
    (
        "realtime.poll_wait",
        "store.retention_age",
        "what a poll waits for could have left the log before it answers",
    ),
    (
        "auth.session_idle",
        "auth.session_lifetime",
        "a session would end before it had been unused for so long",
    ),
];

pub(super) fn check(loading: &mut Loading) {
    certificate_with_key(loading);
    for (small, large, why) in ORDER {
        let (Some(small), Some(large)) = (named(small), named(large)) else { continue };
        let (least, most) = (small.read(&loading.config), large.read(&loading.config));
        if least.measure() <= most.measure() {
            continue;
        }
        let place_of = |setting: &Setting| loading.origins.get(setting.name).map(|(_, place)| place.clone());
        let origin_of = |setting: &Setting| {
            loading.origins.get(setting.name).map_or(Origin::Default, |(origin, _)| origin.clone())
        };
        let message = format!(
            "{} ({least}, {}) is greater than {} ({most}, {})",
            quoted(small.name),
            origin_of(small),
            quoted(large.name),
            origin_of(large)
        );
        let places = [place_of(small), place_of(large)].into_iter().flatten();
        let place =
            places.into_iter().find(|place| *place != FaultSite::Outside).unwrap_or(FaultSite::Outside);
        let help = format!("{why}: lower the first or raise the second");
        loading.faults.add(LocatedFault::new(place, message, help).label("too large for the other"));
    }
}

/// TLS needs both files.
fn certificate_with_key(loading: &mut Loading) {
    let tls = &loading.config.tls;
    let (given, missing) = match (&tls.certificate, &tls.key) {
        (Some(_), None) => ("tls.certificate", "tls.key"),
        (None, Some(_)) => ("tls.key", "tls.certificate"),
        (Some(_), Some(_)) | (None, None) => return,
    };
    let place = loading.origins.get(given).map_or(FaultSite::Outside, |(_, place)| place.clone());
    let message = format!("{} needs {}, which is not set", quoted(given), quoted(missing));
    let help = format!("name the file of {} too, or take both out to speak plain HTTP", quoted(missing));
    loading.faults.add(LocatedFault::new(place, message, help).label("one of two"));
}

fn named(name: &str) -> Option<&'static Setting> {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    debug_assert!(found.is_some(), "{name} is in the table");
    found
}
