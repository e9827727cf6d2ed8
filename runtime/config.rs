//! Settings as plain data, every default named once. Knows no module: a module that needs a setting takes its struct.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// Every setting of a process.
#[derive(Debug, Clone)]
pub struct Config {
    pub schemas: PathBuf,
    /// The folder of the database, unless `database` says another place.
    pub data: PathBuf,
    /// Where the database is, in the form that `store::choice` reads.
    pub database: Option<String>,
    /// Served at `/` when it exists.
    pub public: PathBuf,
    pub listen: SocketAddr,
    /// Why the server may listen beyond loopback.
    pub listen_beyond: Beyond,
    /// More hosts that may appear in `Host` and `Origin`, beside loopback names and the listen address.
    pub allowed_hosts: Vec<String>,
    /// Origins of foreign pages that may use the server, as browsers write them.
    pub allowed_origins: Vec<String>,
    /// Networks of proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    pub tls: TlsConfig,
    /// Whether `/metrics` answers with numbers.
    pub metrics: bool,
    pub auth: AuthConfig,
    pub store: StoreConfig,
    pub realtime: RealtimeConfig,
    pub http: HttpConfig,
    pub log: LogConfig,
    /// Who may watch and join resources that are no records.
    pub presence: NameRuleTexts,
    /// Who may subscribe and publish to rooms.
    pub rooms: NameRuleTexts,
}

/// Rules for names by patterns, in the order of the file. The first pattern that fits a name counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameRuleTexts(pub Vec<NameRuleText>);

/// One pattern, as in `project/{project:Project}`, and its rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRuleText {
    pub pattern: String,
    pub rules: Vec<WordRuleText>,
}

/// What may be done with a name, and the rule that says who may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordRuleText {
    /// `watch`, `publish`.
    pub word: String,
    pub source: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            schemas: PathBuf::from("schemas"),
            data: PathBuf::from("data"),
            database: None,
            public: PathBuf::from("public"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            listen_beyond: Beyond::No,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls: TlsConfig::default(),
            metrics: true,
            auth: AuthConfig::default(),
            store: StoreConfig::default(),
            realtime: RealtimeConfig::default(),
            http: HttpConfig::default(),
            log: LogConfig::default(),
            presence: NameRuleTexts::default(),
            rooms: NameRuleTexts::default(),
        }
    }
}

/// Why a server without TLS may listen on an address that other machines reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beyond {
    No,
    /// A proxy on another machine ends TLS.
    Proxy,
    /// Nobody else can read the network.
    PrivateNetwork,
}

/// Users, their passwords and sessions.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    pub register: Registration,
    /// Whether a caller without a token is let in at all. `dev` always lets them in.
    pub anonymous: bool,
    /// A session that is not used for so long ends ...
    pub session_idle: Duration,
    /// ... and so does one that began so long ago.
    pub session_lifetime: Duration,
    /// Characters of a new password at least.
    pub password_length: usize,
    /// A socket is warned so long before its session ends.
    pub expiry_warning: Duration,
    /// File of issuers, shared tokens and tokens of machines.
    pub tokens: Option<PathBuf>,
    /// Without `anonymous`, a socket that came without a token is closed unless it sends one within this time.
    pub token_wait: Duration,
    /// The file of the mail server by which links are sent.
    pub mail: Option<PathBuf>,
}

/// Who may make an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    Off,
    Invitation,
    Open,
}

impl Default for AuthConfig {
    fn default() -> AuthConfig {
        AuthConfig {
            register: Registration::Off,
            anonymous: true,
            session_idle: Duration::from_secs(14 * 24 * 3600),
            session_lifetime: Duration::from_secs(90 * 24 * 3600),
            password_length: 8,
            expiry_warning: Duration::from_secs(60),
            tokens: None,
            token_wait: Duration::from_secs(10),
            mail: None,
        }
    }
}

/// The certificate of the server; with none it speaks plain HTTP.
#[derive(Debug, Clone, Default)]
pub struct TlsConfig {
    pub certificate: Option<PathBuf>,
    pub key: Option<PathBuf>,
}

/// Limits of the store and its log.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Most operations in one group commit.
    pub group_ops: usize,
    /// Most bytes of images, before and after, in one unit; a group commit ends with the unit that reaches it.
    pub group_bytes: usize,
    /// Operations that may wait for the committer; one more is refused with `OVERLOADED`.
    pub queue: usize,
    /// Most log entries of one unit (`UNIT_TOO_LARGE`).
    pub unit_entries: usize,
    /// Most other records that one operation deletes or changes: by `on_delete` or by lookups (`CASCADE_TOO_LARGE`).
    pub cascade_records: usize,
    /// Changes older than this leave the log.
    pub retention_age: Duration,
    /// Changes beyond this number leave the log, the oldest first.
    pub retention_changes: u64,
    /// Log entries trimmed in one commit at most.
    pub trim_chunk: u64,
    /// How long the answer to a mutation id is kept.
    pub idempotency_age: Duration,
    /// Answers kept for one user (anonymous: one address); the oldest leave first.
    pub idempotency_per_user: u64,
    /// Reads at once, each on a connection of its own; reads that may last leave one to the short ones. A read that waits
    /// longer than `read_wait` for its turn is refused with `OVERLOADED`.
    pub readers: u32,
    pub read_wait: Duration,
    /// A list or count that would step over more rows is refused with `QUERY_TOO_BROAD`.
    pub scan_rows: u64,
}

impl Default for StoreConfig {
    fn default() -> StoreConfig {
        StoreConfig {
            group_ops: 512,
            group_bytes: 8 << 20,
            queue: 1024,
            unit_entries: 10_000,
            cascade_records: 10_000,
            retention_age: Duration::from_secs(24 * 3600),
            retention_changes: 1_000_000,
            trim_chunk: 1_000,
            idempotency_age: Duration::from_secs(24 * 3600),
            idempotency_per_user: 10_000,
            readers: 8,
            read_wait: Duration::from_secs(1),
            scan_rows: 100_000,
        }
    }
}

/// Limits of sockets, subscriptions and fan-out.
#[derive(Debug, Clone)]
pub struct RealtimeConfig {
    pub connections: usize,
    /// Connections of one user; anonymous sockets are outside this cap.
    pub connections_per_user: usize,
    pub subscriptions: usize,
    /// Largest frame a client may send, in bytes.
    pub frame_bytes: usize,
    pub messages_per_second: u32,
    pub message_burst: u32,
    /// Messages a second that one connection may publish into rooms; twice as many at once.
    pub room_sender_messages: u32,
    /// Messages a second that one room takes from all senders together.
    pub room_messages: u32,
    /// Largest data of a message of a room, in bytes of JSON.
    pub message_bytes: usize,
    /// Leases of one connection.
    pub leases: usize,
    /// A lease ends so long after it was last renewed ...
    pub lease_time: Duration,
    /// ... and so long after the last connection of its holder ended.
    pub lease_hold: Duration,
    /// Resources that one connection may watch or join.
    pub presence_entries: usize,
    /// Users of one resource.
    pub presence_members: usize,
    /// Metadata of one connection at one resource, in bytes of JSON.
    pub presence_metadata_bytes: usize,
    /// A user whose connection broke is present for this long.
    pub presence_hold: Duration,
    /// A user who says nothing at a resource for this long is idle ...
    pub presence_idle_after: Duration,
    /// ... and then away.
    pub presence_away_after: Duration,
    /// An event stream gets a sign of life this often.
    pub stream_heartbeat: Duration,
    /// The server pings a socket this often ...
    pub ping_interval: Duration,
    /// ... and closes with 4008 when nothing at all arrived for this long after a ping.
    pub pong_timeout: Duration,
    /// A socket that accepts no byte for this long is closed with 4013.
    pub write_timeout: Duration,
    /// Bytes that the kernel holds for one socket. A ping waits behind them; on a long line they bound the throughput.
    pub send_buffer_bytes: usize,
    pub outbox_batches: usize,
    pub outbox_bytes: usize,
    /// Control frames (`subscribed`, `error`, ...) that may wait; one more closes with 4013.
    pub outbox_controls: usize,
    /// Decoded recent changes kept in memory for resumes.
    pub ring_changes: usize,
    pub ring_bytes: usize,
    /// Most groups of one entity whose predicate has no equality; each costs every change of the entity.
    pub scan_groups: usize,
    /// Rows in one `snapshot` frame, and changes in one page of replay.
    pub page_rows: usize,
    pub page_bytes: usize,
    /// A resume whose matching backlog exceeds max(this, rows of the snapshot) gets a snapshot.
    pub replay_limit: u64,
    /// Sent to clients in `connected`.
    pub reconnect_interval: Duration,
    pub max_reconnect_interval: Duration,
    /// Longest `wait` of a long poll.
    pub poll_wait: Duration,
    /// When the server stops, each client reconnects at a random moment within this time.
    pub drain_spread: Duration,
}

impl Default for RealtimeConfig {
    fn default() -> RealtimeConfig {
        RealtimeConfig {
            connections: 10_000,
            connections_per_user: 20,
            subscriptions: 50,
            frame_bytes: 64 << 10,
            messages_per_second: 100,
            message_burst: 200,
            room_sender_messages: 50,
            room_messages: 500,
            message_bytes: 16 << 10,
            leases: 20,
            lease_time: Duration::from_secs(300),
            lease_hold: Duration::from_secs(5),
            presence_entries: 50,
            presence_members: 10_000,
            presence_metadata_bytes: 2 << 10,
            presence_hold: Duration::from_secs(5),
            presence_idle_after: Duration::from_secs(90),
            presence_away_after: Duration::from_secs(600),
            ping_interval: Duration::from_secs(25),
            stream_heartbeat: Duration::from_secs(15),
            pong_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            send_buffer_bytes: 128 << 10,
            outbox_batches: 256,
            outbox_bytes: 1 << 20,
            outbox_controls: 1024,
            ring_changes: 10_000,
            ring_bytes: 16 << 20,
            scan_groups: 1_000,
            page_rows: 500,
            page_bytes: 256 << 10,
            replay_limit: 10_000,
            reconnect_interval: Duration::from_secs(1),
            max_reconnect_interval: Duration::from_secs(30),
            poll_wait: Duration::from_secs(25),
            drain_spread: Duration::from_secs(5),
        }
    }
}

/// Limits of HTTP.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    pub body_bytes: usize,
    pub header_bytes: usize,
    /// A connection that has not sent a whole request head by then is closed.
    pub header_timeout: Duration,
    /// A body that has not arrived by then is refused.
    pub body_timeout: Duration,
    /// A connection whose peer takes next to nothing of its answer for this long is closed.
    pub write_timeout: Duration,
    /// TCP connections beside those of `RealtimeConfig::connections`, so that requests come through when all sockets
    /// are taken.
    pub connections: usize,
    /// Whether the generated pages of records, of the schema and of the API are served. Those of logins always are.
    pub pages: bool,
    /// Headers of pages in the public folder.
    pub content_security_policy: String,
    pub permissions_policy: String,
    /// Requests a minute of one address without a user, and of one user; 0 is no limit.
    pub anonymous_requests: u32,
    pub user_requests: u32,
    /// Live connections that one address may open in a minute; 0 is no limit.
    pub stream_openings: u32,
    /// Whether the three limits above hold for callers on this machine too.
    pub limit_loopback: bool,
    pub list_default: usize,
    pub list_max: usize,
    /// After the signal to stop, requests in flight get this long.
    pub shutdown_grace: Duration,
}

impl HttpConfig {
    /// Files of the public folder that are sent at once.
    pub fn files(&self) -> usize {
        self.connections.max(1)
    }

    /// Connections beyond the cap that are waited for at once until they have their answer.
    pub fn refusals(&self) -> usize {
        self.connections.div_ceil(8).min(64)
    }
}

impl Default for HttpConfig {
    fn default() -> HttpConfig {
        HttpConfig {
            body_bytes: 1 << 20,
            header_bytes: 16 << 10,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            connections: 1_024,
            pages: true,
            content_security_policy: "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
                .to_owned(),
            permissions_policy: "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"
                .to_owned(),
            anonymous_requests: 120,
            user_requests: 1_200,
            stream_openings: 30,
            limit_loopback: false,
            list_default: 50,
            list_max: 1_000,
            shutdown_grace: Duration::from_secs(8),
        }
    }
}

/// What the process says on stderr.
#[derive(Debug, Clone)]
pub struct LogConfig {
    pub form: LogForm,
    /// Which lines are written, as `tracing` filters are: `warn,tidewire=debug`.
    pub filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    Text,
    Json,
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig { form: LogForm::Text, filter: "warn,tidewire=info".to_owned() }
    }
}
