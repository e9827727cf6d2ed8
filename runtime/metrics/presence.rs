//! Presence, rooms and leases: how much there is, and what was said about it. Counted once for each change, never for each receiver.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register::{counter, gauge};

/// See the module's text.
#[derive(Debug)]
pub struct PresenceMetrics {
    pub resources: Gauge,
    pub connections: Gauge,
    pub changes: Counter,
    pub deliveries: Counter,
    pub syncs: Counter,
    /// Connections that had no room for a frame, so that everything was said again later.
    pub dropped: Counter,
    pub rooms: Gauge,
    pub leases: Gauge,
    pub lease_grants: Counter,
    pub lease_refusals: Counter,
    /// Leases that the server ended: the holder was gone, or did not renew.
    pub lease_ends: Counter,
}

impl PresenceMetrics {
    pub(super) fn new(r: &mut Registry) -> PresenceMetrics {
        PresenceMetrics {
            resources: gauge(r, "tidewire_presence_resources", "Resources that a user is at or watches"),
            connections: gauge(
                r,
                "tidewire_presence_connections",
                "Connections that joined or watch a resource",
            ),
            changes: counter(r, "tidewire_presence_changes", "Changes of a resource sent to its connections"),
            deliveries: counter(r, "tidewire_presence_deliveries", "Changes of presence handed to outboxes"),
            syncs: counter(r, "tidewire_presence_syncs", "Whole lists of users sent"),
            dropped: counter(
                r,
                "tidewire_presence_dropped",
                "Frames of presence dropped because their connection was too slow",
            ),
            rooms: gauge(r, "tidewire_rooms", "Rooms and private channels with a member"),
            leases: gauge(r, "tidewire_leases", "Leases that are held"),
            lease_grants: counter(r, "tidewire_lease_grants", "Leases given to a user or passed on"),
            lease_refusals: counter(
                r,
                "tidewire_lease_refusals",
                "Leases refused because another user holds them",
            ),
            lease_ends: counter(
                r,
                "tidewire_lease_ends",
                "Leases ended because their holder was gone or did not renew them, or their record was deleted",
            ),
        }
    }
}
