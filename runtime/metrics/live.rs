//! Sessions, subscriptions and fan-out. Fan-out is counted once for each batch, never for each delivery.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::delays::Delays;
use super::gauge_guard::GaugeGuard;
use super::register::{Labels, counter, counters, gauge, of_words};
use crate::protocol::reason;

/// Why a connection was sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The server has as many TCP connections as it takes.
    Places,
    /// It has as many sockets as it takes.
    Sockets,
    /// One user has as many sockets as one may have.
    User,
    /// What the caller brought along is not accepted.
    Identity,
    /// The server could not look.
    Failure,
}

/// What made a reader catch up from the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// `subscribe` with `since`.
    Resume,
    /// Its outbox was emptied.
    Lag,
    /// A poll, for each of its channels.
    Poll,
    /// A change of rights, sent as a difference.
    Rights,
}

/// What is read when a user asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    pub log_head: u64,
    pub log_floor: u64,
    pub sockets: usize,
    pub users: usize,
    pub outbox_batches: usize,
    pub outbox_bytes: usize,
    pub lagging: usize,
    pub commands: usize,
    pub reads: usize,
    pub ring_changes: usize,
    pub ring_bytes: usize,
    pub offenders: usize,
}

/// See the module's text.
#[derive(Debug)]
pub struct LiveMetrics {
    /// The last seq that was sent to subscriptions.
    pub position: Gauge,
    pub groups: Gauge,
    /// Groups whose predicate has no equality, so that every change of their entity is compared with them.
    pub scan_groups: Gauge,
    /// Subscriptions that were refused because there were too many of these.
    pub scan_refusals: Counter,
    /// Batches that wait for the slowest listener of the event bus.
    pub backlog: Gauge,
    pub events: Counter,
    pub deliveries: Counter,
    /// Events encoded for their groups, each shared by all that are shown the same.
    pub encodings: Counter,
    /// Connections that were voided because rights of their person changed.
    pub rights_voided: Counter,
    /// Outboxes that were emptied because their connection fell behind.
    pub lags: Counter,
    pub voided: Counter,
    pub opened: Counter,
    /// Subscriptions that were ended because a rule or a query of them cannot be served any longer.
    pub suspended: Counter,
    /// Messages that were passed on in rooms and private channels.
    pub messages: Counter,
    pub message_deliveries: Counter,
    /// Messages that a connection did not get, because it was too slow.
    pub messages_dropped: Counter,
    pub delays: Delays,
    catching_up: Gauge,
    subscriptions: Gauge,
    polls: Gauge,
    polled: Counter,
    catch_ups: [Counter; 4],
    resyncs: Family<Labels, Counter>,
    snapshots: Family<Labels, Counter>,
    read: Gauges,
}

/// Set when they are read.
#[derive(Debug)]
struct Gauges {
    log_head: Gauge,
    log_floor: Gauge,
    sockets: Gauge,
    users: Gauge,
    outbox_batches: Gauge,
    outbox_bytes: Gauge,
    lagging: Gauge,
    commands: Gauge,
    reads: Gauge,
    ring_changes: Gauge,
    ring_bytes: Gauge,
    offenders: Gauge,
}

impl LiveMetrics {
    pub(super) fn new(registry: &mut Registry) -> LiveMetrics {
        let sessions: Family<Labels, Gauge> = Family::default();
        registry.register(
            "tidewire_sessions",
            "Sockets, and polls that are being answered",
            sessions.clone(),
        );
        let of =
            |transport: &'static str| sessions.get_or_create_owned(&vec![("transport", transport.into())]);
        let (sockets, polls) = (of("ws"), of("poll"));
        let opened = counters(registry, "tidewire_sessions_opened", "Sockets admitted, and polls asked");
        let [opened, polled] = of_words(&opened, "transport", ["ws", "poll"]);
        let catch_ups = counters(registry, "tidewire_catch_ups", "Channels that caught up from the log");
        let r = registry;
        let resyncs = counters(r, "tidewire_resyncs", "Subscribed channels that got a new snapshot");
        let snapshots = counters(r, "tidewire_snapshots", "`subscribe` frames answered with a snapshot");
        for reason in reason::ALL {
            let labels = vec![("reason", (*reason).into())];
            // A snapshot that was asked for is no resync.
            if *reason != reason::ASKED {
                resyncs.get_or_create_owned(&labels);
            }
            snapshots.get_or_create_owned(&labels);
        }
        LiveMetrics {
            position: gauge(r, "tidewire_fan_out_position", "The last seq that was sent to subscriptions"),
            backlog: gauge(
                r,
                "tidewire_event_bus_backlog_batches",
                "Batches that wait for the slowest listener of the event bus",
            ),
            groups: gauge(
                r,
                "tidewire_groups",
                "Channels with subscriptions, counted once for each read_scope",
            ),
            scan_groups: gauge(
                r,
                "tidewire_scan_groups",
                "Groups that compare no field for equality, so every change of their entity is checked for them",
            ),
            scan_refusals: counter(
                r,
                "tidewire_scan_refusals",
                "Subscriptions refused because too many groups compare no field for equality",
            ),
            events: counter(r, "tidewire_events", "Changes sent to groups, counted once for each group"),
            deliveries: counter(r, "tidewire_deliveries", "Buffers of events appended to outboxes"),
            encodings: counter(r, "tidewire_encodings", "Events encoded; groups that see the same share one"),
            rights_voided: counter(
                r,
                "tidewire_rights_voided",
                "Connections whose subscriptions began again because their user's rights changed",
            ),
            lags: counter(r, "tidewire_outbox_lags", "Outboxes emptied because their connection fell behind"),
            voided: counter(
                r,
                "tidewire_attachments_voided",
                "Subscriptions that read the log because their connection fell behind",
            ),
            opened,
            suspended: counter(
                r,
                "tidewire_subscriptions_suspended",
                "Subscriptions ended because their rule or query can no longer be served",
            ),
            messages: counter(r, "tidewire_messages", "Messages passed on in rooms and private channels"),
            message_deliveries: counter(r, "tidewire_message_deliveries", "Messages appended to outboxes"),
            messages_dropped: counter(
                r,
                "tidewire_messages_dropped",
                "Messages dropped because their connection was too slow",
            ),
            delays: Delays::default(),
            catching_up: gauge(
                r,
                "tidewire_catching_up_connections",
                "Connections that fell behind and read the log",
            ),
            subscriptions: gauge(r, "tidewire_subscriptions", "Subscriptions of all sockets"),
            polls,
            polled,
            catch_ups: of_words(&catch_ups, "cause", ["resume", "lag", "poll", "rights"]),
            resyncs,
            snapshots,
            read: Gauges::new(sockets, r),
        }
    }

    /// A subscription, for as long as its session has it.
    pub fn subscription(&self) -> GaugeGuard {
        GaugeGuard::new(&self.subscriptions, 1)
    }

    /// A connection that fell behind, until it is live again or gone.
    pub fn catching_up(&self) -> GaugeGuard {
        GaugeGuard::new(&self.catching_up, 1)
    }

    /// A poll, for as long as it is being answered.
    pub fn poll(&self) -> GaugeGuard {
        self.polled.inc();
        GaugeGuard::new(&self.polls, 1)
    }

    /// How many are being answered.
    pub fn polls(&self) -> i64 {
        self.polls.get()
    }

    pub fn subscriptions(&self) -> i64 {
        self.subscriptions.get()
    }

    /// Connections that are behind.
    pub fn lagging(&self) -> i64 {
        self.catching_up.get()
    }

    pub fn caught_up(&self, cause: CatchUp) {
        self.catch_ups[cause as usize].inc();
    }

    pub fn resynced(&self, reason: &'static str) {
        self.resyncs.get_or_create(&vec![("reason", reason.into())]).inc();
    }

    pub fn snapshot(&self, reason: &'static str) {
        self.snapshots.get_or_create(&vec![("reason", reason.into())]).inc();
    }

    pub(super) fn read(&self, now: &Moment) {
        let set = |gauge: &Gauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let read = &self.read;
        set(&read.log_head, now.log_head);
        set(&read.log_floor, now.log_floor);
        set(&read.sockets, now.sockets as u64);
        set(&read.users, now.users as u64);
        set(&read.outbox_batches, now.outbox_batches as u64);
        set(&read.outbox_bytes, now.outbox_bytes as u64);
        set(&read.lagging, now.lagging as u64);
        set(&read.commands, now.commands as u64);
        set(&read.reads, now.reads as u64);
        set(&read.ring_changes, now.ring_changes as u64);
        set(&read.ring_bytes, now.ring_bytes as u64);
        set(&read.offenders, now.offenders as u64);
    }
}

impl Gauges {
    fn new(sockets: Gauge, r: &mut Registry) -> Gauges {
        Gauges {
            log_head: gauge(r, "tidewire_log_head", "Seq of the last change in the log"),
            log_floor: gauge(r, "tidewire_log_floor", "The log has every change after this seq"),
            sockets,
            users: gauge(r, "tidewire_users", "Users with at least one socket"),
            outbox_batches: gauge(r, "tidewire_outbox_batches", "Buffers that wait in all outboxes together"),
            outbox_bytes: gauge(r, "tidewire_outbox_bytes", "Bytes that wait in all outboxes together"),
            lagging: gauge(
                r,
                "tidewire_lagging_connections",
                "Connections that have not yet seen that their outbox was emptied",
            ),
            commands: gauge(r, "tidewire_channel_commands", "Commands that wait for ChannelManager"),
            reads: gauge(r, "tidewire_live_reads", "Reads of the database for sockets and polls under way"),
            ring_changes: gauge(r, "tidewire_ring_changes", "Recent changes held in memory"),
            ring_bytes: gauge(r, "tidewire_ring_bytes", "Bytes of the recent changes held in memory"),
            offenders: gauge(
                r,
                "tidewire_offenders",
                "Callers remembered because they sent too many messages",
            ),
        }
    }
}
