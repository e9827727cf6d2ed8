//! The one table of settings: name, kind and bounds, a sentence, and the field of `Config` that it sets.
//!
//! File, variables, flags, `tidewire config` and docs/configuration.md all come from it. Defaults are not repeated here:
//! they are `Config::default()`.

use super::held::ConfigField;
use super::kind::{SettingKind, SettingValue};
use super::numbers::{DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND};
use crate::config::Config;
use crate::schema::message::nearest;
use crate::schema::{PRESENCE_WORDS, ROOM_WORDS};
use crate::store::choice::DatabaseAddress;

/// Something that a user may set.
#[derive(Debug)]
pub struct Setting {
    /// As in the file: `realtime.outbox_bytes` is the key `outbox_bytes` of the table `[realtime]`.
    pub name: &'static str,
    pub kind: SettingKind,
    /// One sentence.
    pub about: &'static str,
    /// A flag of its own beside `--set`, and the word for its value.
    pub flag: Option<(&'static str, &'static str)>,
    /// A variable that is not the name in capitals.
    other_variable: Option<&'static str>,
    read: fn(&Config, &SettingKind) -> SettingValue,
    write: fn(&mut Config, SettingValue) -> bool,
}

impl Setting {
    /// `TIDEWIRE_REALTIME_OUTBOX_BYTES`
    pub fn variable(&self) -> String {
        let made = || format!("TIDEWIRE_{}", self.name.replace('.', "_").to_uppercase());
        self.other_variable.map_or_else(made, str::to_owned)
    }

    pub fn read(&self, config: &Config) -> SettingValue {
        (self.read)(config, &self.kind)
    }

    /// A value of another kind changes nothing.
    pub(super) fn write(&self, config: &mut Config, value: SettingValue) {
        let written = (self.write)(config, value);
        debug_assert!(written, "{} has the kind of its field", self.name);
    }
}

fn hold<T: ConfigField>(place: &mut T, value: SettingValue) -> bool {
    let held = T::held(value);
    let fits = held.is_some();
    if let Some(held) = held {
        *place = held;
    }
    fits
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

/// The database as an address, wherever the settings say it.
fn database(config: &Config, _: &SettingKind) -> SettingValue {
    let within = || DatabaseAddress::within(&config.data).to_string();
    SettingValue::Database(config.database.clone().unwrap_or_else(within))
}

macro_rules! reading {
    (($config:ident, $kind:ident) => $field:expr) => {
        |$config, $kind| ConfigField::value(&$field, $kind)
    };
    (($config:ident, $kind:ident) => $field:expr, $read:ident) => {
        $read
    };
}

macro_rules! settings {
    ($($first:ident $(. $rest:ident)? : $kind:expr, $about:literal
        $(, flag $flag:literal $word:literal)? $(, variable $variable:literal)? $(, read $read:ident)? ;)*) => {
        /// Every setting, in the order in which they are shown.
        pub static SETTINGS: &[Setting] = &[$(Setting {
            name: concat!(stringify!($first) $(, ".", stringify!($rest))?),
            kind: $kind,
            about: $about,
            flag: optional!($(($flag, $word))?),
            other_variable: optional!($($variable)?),
            read: reading!((config, kind) => config.$first $(.$rest)? $(, $read)?),
            write: |config, value| hold(&mut config.$first $(.$rest)?, value),
        }),*];
    };
}

settings! {
    schemas: SettingKind::Path, "Folder of the schema files.", flag "schemas" "DIR";
    data: SettingKind::Path, "Folder of the database `tidewire.db`; created if it is missing.", flag "data" "DIR";
    database: SettingKind::Database, "Where the database is, if it is not in `data`: `sqlite:PATH`.", flag "database" "ADDRESS", read database;
    public: SettingKind::Path, "Folder of your own pages, served at `/` when it exists.", flag "public" "DIR";
    listen: SettingKind::Address, "Address to listen on. Port 0 takes any free port. Addresses that other machines reach need `tidewire serve`, and TLS or `listen_beyond`.", flag "listen" "ADDR";
    listen_beyond: SettingKind::OneOf(&["no", "proxy", "private-network"]), "Why `tidewire serve` may listen beyond loopback without TLS: a proxy on another machine has it, or the network is private.";
    allowed_hosts: SettingKind::Hosts, "More host names that the server answers to (`Host`, `Origin`), such as that of a reverse proxy.";
    allowed_origins: SettingKind::Origins, "Pages of these other origins may use the server (CORS), with a token. Cookies never count for them.";
    trusted_proxies: SettingKind::Networks, "Addresses of your proxies, whose `X-Forwarded-For`, `-Proto` and `-Host` are believed.";
    presence: SettingKind::NameRules(PRESENCE_WORDS), "The table `[presence]`: who may watch and join resources that are no records, by patterns of their names (docs/permissions.md).";
    rooms: SettingKind::NameRules(ROOM_WORDS), "The table `[rooms]`: who may subscribe and publish to rooms, by patterns of their names.";

    metrics: SettingKind::Switch, "Whether `/metrics` answers with numbers. Without, it answers 503.";

    tls.certificate: SettingKind::File, "PEM file of the certificate and its issuers. With it the server speaks TLS. Read again when it changes.";
    tls.key: SettingKind::File, "PEM file of the certificate's private key.";

    auth.register: SettingKind::OneOf(&["off", "invitation", "open"]), "Who may register: no one, users with an invitation, or everyone.";
    auth.anonymous: SettingKind::Switch, "Whether `tidewire serve` lets callers in without a token. Access rules still apply.";
    auth.session_idle: SettingKind::Time(MINUTE..=3_650 * DAY), "A session that is not used for this long ends.";
    auth.session_lifetime: SettingKind::Time(MINUTE..=3_650 * DAY), "A session ends this long after the login, however much it is used.";
    auth.password_length: SettingKind::Count(8..=128), "Fewest characters of a new password.";
    auth.tokens: SettingKind::File, "TOML file of other issuers whose tokens count, of shared tokens and of tokens of machines (docs/users.md).";
    auth.expiry_warning: SettingKind::Time(0..=HOUR), "A socket is warned this long before its session ends.";
    auth.mail: SettingKind::File, "File of the mail server that sends links to users: server, user, password, from and url.";
    auth.token_wait: SettingKind::Time(0..=MINUTE), "Where anonymous callers are refused: how long a socket may take to send its token in an `auth` frame. 0: it must bring the token when it connects.";

    log.form: SettingKind::OneOf(&["text", "json"]), "Form of the log on stderr: `text` or `json`.", flag "log" "FORM";
    log.filter: SettingKind::LogFilter, "Which log lines are written, as in `warn,tidewire=debug`.", variable "TIDEWIRE_LOG";

    http.body_bytes: SettingKind::Size(KIB..=64 * MIB), "Largest request body; a larger one is `BODY_TOO_LARGE`.";
    http.header_bytes: SettingKind::Size(8 * KIB..=MIB), "Largest request head; a larger one is answered 431.";
    http.header_timeout: SettingKind::Time(100..=10 * MINUTE), "A connection that has not sent a whole request head by then is closed.";
    http.body_timeout: SettingKind::Time(100..=HOUR), "A body that has not arrived by then is refused.";
    http.write_timeout: SettingKind::Time(100..=HOUR), "A client that takes less than 16 KiB of its answer in this time loses its connection.";
    http.connections: SettingKind::Count(1..=1_000_000), "Connections for requests, beside those of `realtime.connections`. Also the public files that are sent at once.";
    http.pages: SettingKind::Switch, "Whether the generated pages of records, of the schema and of the API are served. Those of logins always are.";
    http.content_security_policy: SettingKind::Header, "`Content-Security-Policy` of your own pages in `public`. The default allows no inline script and no other origin.";
    http.permissions_policy: SettingKind::Header, "`Permissions-Policy` of your own pages in `public`.";
    http.anonymous_requests: SettingKind::Count(0..=10_000_000), "Requests a minute of one address without a user; more are `RATE_LIMITED`. 0 is no limit.";
    http.user_requests: SettingKind::Count(0..=10_000_000), "Requests a minute of one user; more are `RATE_LIMITED`. 0 is no limit.";
    http.stream_openings: SettingKind::Count(0..=10_000_000), "Sockets, event streams and sessions of polls that one address may open in a minute; more are `RATE_LIMITED`. 0 is no limit.";
    http.limit_loopback: SettingKind::Switch, "Whether these limits hold for callers on this machine too, as in `tidewire dev`.";
    http.list_default: SettingKind::Count(1..=10_000), "Records in a list that names no `limit`.";
    http.list_max: SettingKind::Count(1..=10_000), "Largest `limit` of a list.";
    http.shutdown_grace: SettingKind::Time(0..=10 * MINUTE), "Requests in flight get this long when the server stops.";

    realtime.connections: SettingKind::Count(1..=1_000_000), "Largest number of sockets at once.", flag "max-connections" "N", variable "TIDEWIRE_MAX_CONNECTIONS";
    realtime.connections_per_user: SettingKind::Count(1..=1_000_000), "Largest number of sockets of one user. Anonymous sockets do not count.",
        flag "max-connections-per-user" "N", variable "TIDEWIRE_MAX_CONNECTIONS_PER_USER";
    realtime.subscriptions: SettingKind::Count(1..=10_000), "Subscriptions of one connection; one more is `SUBSCRIPTION_LIMIT`. At most `realtime.message_burst`.";
    realtime.frame_bytes: SettingKind::Size(KIB..=16 * MIB), "Largest frame that a client may send; a larger one is `FRAME_TOO_LARGE`.";
    realtime.messages_per_second: SettingKind::Count(1..=100_000), "Frames a second that one connection may send on average.";
    realtime.message_burst: SettingKind::Count(1..=100_000), "Frames that one connection may send at once; more are `RATE_LIMITED`.";
    realtime.room_sender_messages: SettingKind::Count(1..=100_000), "Messages a second that one connection may publish into rooms, and twice as many at once; more are `RATE_LIMITED`.";
    realtime.room_messages: SettingKind::Count(1..=1_000_000), "Messages a second that one room takes from all senders together; more are `RATE_LIMITED`.";
    realtime.message_bytes: SettingKind::Size(KIB..=MIB), "Largest `data` of a message of a room, as JSON; a larger one is `MESSAGE_TOO_LARGE`.";
    realtime.leases: SettingKind::Count(1..=10_000), "Leases of one connection; one more is `LEASE_LIMIT`.";
    realtime.lease_time: SettingKind::Time(SECOND..=DAY), "A lease that is not renewed ends after this time.";
    realtime.lease_hold: SettingKind::Time(0..=HOUR), "A lease ends this long after the last connection of its holder ended.";
    realtime.presence_entries: SettingKind::Count(1..=10_000), "Resources that one connection may watch or join; one more is `PRESENCE_LIMIT`.";
    realtime.presence_members: SettingKind::Count(1..=1_000_000), "Users of one resource; one more is `PRESENCE_LIMIT`.";
    realtime.presence_metadata_bytes: SettingKind::Size(2..=64 * KIB), "Metadata of one connection at one resource, as JSON; more is `PRESENCE_LIMIT`.";
    realtime.presence_hold: SettingKind::Time(0..=HOUR), "A user whose connection broke stays present for this long, so that a reconnect shows nothing.";
    realtime.presence_idle_after: SettingKind::Time(SECOND..=DAY), "A user whose pages say nothing of a resource for this long is `idle` there.";
    realtime.presence_away_after: SettingKind::Time(SECOND..=DAY), "After this long the user is `away`.";
    realtime.ping_interval: SettingKind::Time(100..=HOUR), "The server pings each socket this often.";
    realtime.stream_heartbeat: SettingKind::Time(100..=HOUR), "An event stream (`/sse`) gets a comment and a `pong` this often, so that proxies keep it open.";
    realtime.pong_timeout: SettingKind::Time(100..=HOUR), "A socket that sends nothing for this long after a ping is closed with 4008.";
    realtime.write_timeout: SettingKind::Time(100..=HOUR), "A socket that accepts no byte for this long is closed with 4013.";
    realtime.send_buffer_bytes: SettingKind::Size(32 * KIB..=8 * MIB), "Bytes that the kernel may hold for one socket. More bytes are faster over a long distance, but a slow connection then looks dead sooner.";
    realtime.outbox_batches: SettingKind::Count(1..=100_000), "Batches that may wait for one socket; with one more it reads the log instead.";
    realtime.outbox_bytes: SettingKind::Size(KIB..=GIB), "Bytes that may wait for one socket; with more it reads the log instead.";
    realtime.outbox_controls: SettingKind::Count(16..=100_000), "Control frames that may wait for one socket; one more closes it with 4013.";
    realtime.ring_changes: SettingKind::Count(1..=10_000_000), "Recent changes kept in memory, so that resumes need not read the database.";
    realtime.ring_bytes: SettingKind::Size(KIB..=64 * GIB), "Bytes of recent changes kept in memory.";
    realtime.scan_groups: SettingKind::Count(0..=1_000_000), "Live queries and rules of one entity, each counted once, that compare no field for equality; one more is `QUERY_LIMIT`.";
    realtime.page_rows: SettingKind::Count(1..=10_000), "Records in one `snapshot` frame, and changes in one page of replay.";
    realtime.page_bytes: SettingKind::Size(KIB..=64 * MIB), "Bytes in one page of a snapshot or replay.";
    realtime.replay_limit: SettingKind::Count(0..=10_000_000), "A resume with more changes than this, and than there are records, gets a snapshot.";
    realtime.reconnect_interval: SettingKind::Time(10..=HOUR), "Clients wait this long before their first attempt to reconnect.";
    realtime.max_reconnect_interval: SettingKind::Time(10..=DAY), "Clients wait at most this long between two attempts.";
    realtime.poll_wait: SettingKind::Time(SECOND..=HOUR), "Longest `wait` of a long poll.";
    realtime.drain_spread: SettingKind::Time(0..=HOUR), "When the server stops, each client reconnects at a random moment within this time.";

    store.group_ops: SettingKind::Count(1..=100_000), "Writes in one group commit at most.";
    store.group_bytes: SettingKind::Size(64 * KIB..=GIB), "Bytes of records that one request may change. A group commit ends at the request that reaches this.";
    store.queue: SettingKind::Count(1..=1_000_000), "Writes that may wait to be committed; one more is `OVERLOADED`.";
    store.unit_entries: SettingKind::Count(1..=10_000_000), "Changes that one request may make; more is `UNIT_TOO_LARGE`.";
    store.scan_rows: SettingKind::Count(1..=1_000_000_000), "Records that a list or count may read without an index; more are `QUERY_TOO_BROAD`.";
    store.cascade_records: SettingKind::Count(0..=10_000_000), "Records that one delete may take with it; more is `CASCADE_TOO_LARGE`.";
    store.retention_age: SettingKind::Time(MINUTE..=3_650 * DAY), "Changes older than this leave the log.";
    store.retention_changes: SettingKind::Count(1..=1_000_000_000_000), "Changes beyond this number leave the log, the oldest first.";
    store.trim_chunk: SettingKind::Count(1..=1_000_000), "Changes that leave the log in one commit at most.";
    store.idempotency_age: SettingKind::Time(SECOND..=3_650 * DAY), "How long the answer to an `Idempotency-Key` is kept.";
    store.idempotency_per_user: SettingKind::Count(1..=100_000_000), "Answers kept for one user, or for one anonymous address.";
    store.readers: SettingKind::Count(1..=256), "Reads of the database at once, each on a connection of its own: requests, sockets and polls together. Lists and other reads that can take long leave one free.";
    store.read_wait: SettingKind::Time(1..=10 * MINUTE), "A read that waits longer for its turn is `OVERLOADED`.";
}

/// The known name that is nearest: by a slip of the pen, or by its last part when only the section is wrong or missing.
pub(super) fn nearest_of<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let ends_alike =
        |candidate: &&'a str| candidate.strip_suffix(word).is_some_and(|before| before.ends_with('.'));
    nearest(word, known.clone()).or_else(|| known.clone().find(ends_alike)).or_else(|| {
        let (_, last) = word.rsplit_once('.')?;
        known.clone().find(|candidate| candidate.rsplit_once('.').is_some_and(|(_, other)| other == last))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::{Given, load};
    use super::*;

    /// Every field of `Config` with its value, from the derived `Debug`, which does not know the table.
    fn fields(config: &Config) -> BTreeMap<String, String> {
        let text = format!("{config:#?}");
        let (mut section, mut field, mut fields) = (String::new(), String::new(), BTreeMap::new());
        for line in text.lines() {
            let (indent, words) = (line.len() - line.trim_start().len(), line.trim());
            match (indent, words.split_once(": ")) {
                (4, Some((name, rest))) if rest.ends_with("Config {") => section = format!("{name}."),
                (4, None) if words == "}," => section.clear(),
                (4, Some((name, rest))) => field = insert(&mut fields, name.to_owned(), rest),
                (8, Some((name, rest))) if !section.is_empty() => {
                    field = insert(&mut fields, format!("{section}{name}"), rest);
                }
                // The items of a list stand on lines of their own.
                _ => {
                    if let Some(value) = fields.get_mut(&field) {
                        value.push_str(words);
                    }
                }
            }
        }
        fields
    }

    fn insert(fields: &mut BTreeMap<String, String>, name: String, value: &str) -> String {
        fields.insert(name.clone(), value.to_owned());
        name
    }

    #[test]
    fn every_field_of_the_configuration_has_a_setting_and_every_setting_a_field() {
        let fields: BTreeSet<String> = fields(&Config::default()).into_keys().collect();
        let settings: BTreeSet<String> = SETTINGS.iter().map(|setting| setting.name.to_owned()).collect();
        assert_eq!(settings.len(), SETTINGS.len(), "two settings have one name");
        assert!(fields.len() > 40, "the account of the fields is broken: {fields:?}");
        assert_eq!(fields, settings, "a field without a line in table.rs, or the other way round");
    }

    /// Another value than the default, within the bounds, in its text form.
    fn another(setting: &Setting) -> String {
        let default = setting.read(&Config::default());
        let other = |range: &std::ops::RangeInclusive<u64>| {
            let end = *range.end();
            if default.measure() == Some(end) { *range.start() } else { end }
        };
        match &setting.kind {
            SettingKind::Count(range) | SettingKind::Size(range) => other(range).to_string(),
            SettingKind::Time(range) => format!("{}ms", other(range)),
            SettingKind::Switch => (default != SettingValue::Switch(true)).to_string(),
            SettingKind::Path => "elsewhere".to_owned(),
            SettingKind::Database => "sqlite:elsewhere.db".to_owned(),
            SettingKind::Address => "127.0.0.1:1".to_owned(),
            SettingKind::Hosts => "tide.example".to_owned(),
            SettingKind::Origins => "https://app.example".to_owned(),
            SettingKind::Networks => "10.0.0.0/8".to_owned(),
            SettingKind::File => "some.pem".to_owned(),
            SettingKind::Header => "something-else".to_owned(),
            SettingKind::OneOf(words) => {
                words.iter().find(|word| default.text() != **word).unwrap().to_string()
            }
            SettingKind::LogFilter => "error".to_owned(),
            SettingKind::NameRules(words) => {
                format!("{{ \"lobby/{{x}}\" = {{ {} = \"x == user.id\" }} }}", words[0])
            }
        }
    }

    #[test]
    fn every_setting_sets_its_own_field_and_no_other_by_file_variable_and_flag() {
        let before = fields(&Config::default());
        for setting in SETTINGS {
            let (variable, text) = (setting.variable(), another(setting));
            let by_variable = [(variable.clone().into(), text.clone().into())];
            let flag = super::super::Flag {
                written: format!("--set {}", setting.name),
                setting: setting.name.into(),
                value: text,
            };
            let by_flag = Given { flags: vec![flag], ..Given::default() };
            for (given, variables) in [(Given::default(), &by_variable[..]), (by_flag, &[])] {
                let config = match load(&given, variables.iter().cloned()) {
                    Ok(settings) => settings.config,
                    // A bound that conflicts with another setting: the field is written all the same.
                    Err(faults) => {
                        let told = faults.errors(crate::schema::Color::Never);
                        assert!(told.contains("is greater than") || told.contains("needs"), "{told}");
                        let mut config = Config::default();
                        setting.write(&mut config, setting.kind.parse(&another(setting)).unwrap());
                        config
                    }
                };
                let after = fields(&config);
                let changed: Vec<&String> = after
                    .iter()
                    .filter(|(name, value)| before[*name] != **value)
                    .map(|(name, _)| name)
                    .collect();
                assert_eq!(changed, [setting.name]);
            }
        }
    }

    #[test]
    fn every_default_lies_within_its_bounds_and_every_bound_within_its_field() {
        for setting in SETTINGS {
            let default = setting.read(&Config::default());
            assert_eq!(setting.kind.parse(&default.text()), Ok(default), "{}", setting.name);
            if let SettingKind::Count(range) | SettingKind::Size(range) | SettingKind::Time(range) =
                &setting.kind
            {
                for bound in [*range.start(), *range.end()] {
                    let text = if matches!(setting.kind, SettingKind::Time(_)) {
                        format!("{bound}ms")
                    } else {
                        bound.to_string()
                    };
                    let value = setting.kind.parse(&text).unwrap();
                    assert!(
                        (setting.write)(&mut Config::default(), value),
                        "{} cannot hold {bound}",
                        setting.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_setting_is_told_in_one_sentence_and_has_a_variable_of_its_own() {
        let variables: BTreeSet<String> = SETTINGS.iter().map(Setting::variable).collect();
        assert_eq!(variables.len(), SETTINGS.len());
        for setting in SETTINGS {
            assert!(setting.about.ends_with('.') && !setting.about.contains('|'), "{}", setting.name);
            assert!(setting.variable().starts_with("TIDEWIRE_"), "{}", setting.name);
        }
    }
}
