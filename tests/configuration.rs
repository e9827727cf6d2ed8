//! Settings through the real binary: what wins over what, how mistakes are reported, and that the page tells the truth.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::process::{Ended, Process, ended, plain_schemas, tidewire};

/// `tidewire config` in a folder with this file, these flags and variables.
async fn config(file: &str, flags: &[&str], variables: &[(&str, &str)]) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    if !file.is_empty() {
        std::fs::write(folder.path().join("tidewire.toml"), file).unwrap();
    }
    let mut command = tidewire(folder.path());
    ended(command.arg("config").args(flags).envs(variables.iter().copied())).await
}

/// Value and origin by name.
fn rows(ended: &Ended) -> BTreeMap<String, (Value, String)> {
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let rows: Vec<Value> = serde_json::from_str(&ended.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(&row["name"]), (row["value"].clone(), text(&row["origin"])))).collect()
}

#[tokio::test]
async fn flags_win_over_variables_over_the_file_over_defaults() {
    let file =
        "[http]\nlist_max = 900\nbody_bytes = \"2MiB\"\n\n[realtime]\nsubscriptions = 9\nconnections = 90\n";
    let variables = [
        ("TIDEWIRE_HTTP_BODY_BYTES", "3MiB"),
        ("TIDEWIRE_REALTIME_SUBSCRIPTIONS", "10"),
        ("TIDEWIRE_MAX_CONNECTIONS", "91"),
    ];
    let flags = ["--json", "--set", "realtime.subscriptions=11", "--max-connections", "92"];
    let rows = rows(&config(file, &flags, &variables).await);
    let expected = [
        ("http.list_default", json!(50), "default"),
        ("http.list_max", json!(900), "tidewire.toml:2"),
        ("http.body_bytes", json!("3MiB"), "TIDEWIRE_HTTP_BODY_BYTES"),
        ("realtime.subscriptions", json!(11), "--set realtime.subscriptions"),
        ("realtime.connections", json!(92), "--max-connections"),
    ];
    for (name, value, origin) in expected {
        assert_eq!(rows[name], (value, origin.to_owned()), "{name}");
    }
}

#[tokio::test]
async fn the_file_can_be_elsewhere_and_its_paths_belong_to_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    std::fs::write(folder.path().join("etc/a.toml"), "data = \"rows\"\nschemas = \"/srv/schemas\"\n")
        .unwrap();
    std::fs::write(folder.path().join("b.toml"), "data = \"other\"\n").unwrap();
    std::fs::write(folder.path().join("tidewire.toml"), "data = \"neither\"\n").unwrap();
    let mut by_flag = tidewire(folder.path());
    by_flag.args(["config", "--json", "--config", "etc/a.toml"]).env("TIDEWIRE_CONFIG", "b.toml");
    let found = rows(&ended(&mut by_flag).await);
    assert_eq!(found["data"], (json!("etc/rows"), "etc/a.toml:1".to_owned()));
    assert_eq!(found["schemas"].0, "/srv/schemas");
    let mut by_variable = tidewire(folder.path());
    by_variable.args(["config", "--json"]).env("TIDEWIRE_CONFIG", "b.toml");
    assert_eq!(rows(&ended(&mut by_variable).await)["data"], (json!("other"), "b.toml:1".to_owned()));
}

#[tokio::test]
async fn what_is_printed_can_be_read_back() {
    let first = config("", &[], &[("TIDEWIRE_ALLOWED_HOSTS", "tide.example,[::1]:8443")]).await;
    let flat: String = first.stdout.lines().map(|line| format!("{line}\n")).collect();
    let second = config(&flat, &["--json"], &[]).await;
    let rows = rows(&second);
    assert_eq!(rows["allowed_hosts"].0, json!(["tide.example", "[::1]:8443"]));
    assert!(rows.values().all(|(_, origin)| origin.starts_with("tidewire.toml:")), "{rows:?}");
}

#[tokio::test]
async fn all_mistakes_in_file_variables_and_flags_are_reported_at_once() {
    let file = "listn = 1\n[http]\nlist_max = 0\n";
    let told = config(file, &["--set", "nothing=1"], &[("TIDEWIRE_LISTEN", "here")]).await;
    assert_eq!((told.code, told.stdout.as_str()), (2, ""));
    for words in ["`listn`", "`http.list_max`", "`nothing`", "`TIDEWIRE_LISTEN`", "4 errors in the settings"]
    {
        assert!(told.stderr.contains(words), "{words} is missing in\n{}", told.stderr);
    }
}

#[tokio::test]
async fn a_mistake_in_the_file_is_shown_with_line_and_caret() {
    let told = config("data = \"d\"\n\n[realtime]\nping_interval = 25\n", &[], &[]).await;
    let expected = r#"error: `realtime.ping_interval` must be a duration from 100ms to 1h, found `25` without a unit
 --> tidewire.toml:4:17
  |
4 | ping_interval = 25
  |                 ^^ expected a duration
  |
  = help: write "25s" for seconds; the units are ms, s, m, h, d

1 error in the settings
"#;
    assert_eq!(told.stderr, expected);
}

#[tokio::test]
async fn an_unknown_variable_is_a_warning_with_what_was_meant() {
    let told = config("", &["--json"], &[("TIDEWIRE_LISTN", "127.0.0.1:1"), ("TIDEWIRE_BIN", "x")]).await;
    assert_eq!(rows(&told)["listen"], (json!("127.0.0.1:8080"), "default".to_owned()));
    assert!(told.stderr.starts_with("warning: `TIDEWIRE_LISTN` is not a setting"), "{}", told.stderr);
    assert!(told.stderr.contains("did you mean `TIDEWIRE_LISTEN`?"), "{}", told.stderr);
    assert!(!told.stderr.contains("TIDEWIRE_BIN"), "{}", told.stderr);
}

/// The source of a bad input.
enum Bad {
    File(&'static str),
    Variable(&'static str, &'static str),
    Flags(&'static [&'static str]),
}

/// Each with the words that must name the fault; the exit code is 2 for all.
const BAD: &[(Bad, &[&str])] = &[
    (Bad::File("listn = \"127.0.0.1:1\""), &["`listn`", "did you mean `listen`?", "tidewire.toml:1:1"]),
    (Bad::File("data = 5"), &["`data` must be a path, found a number"]),
    (Bad::File("outbox_bytes = 1"), &["did you mean `realtime.outbox_bytes`?"]),
    (Bad::File("[http]\noutbox_bytes = 1"), &["did you mean `realtime.outbox_bytes`?", ":2:1"]),
    (Bad::File("[htpp]\nlist_max = 1"), &["did you mean the section [http]?"]),
    (Bad::File("http = 3"), &["`http` must be a table, found a number", "write [http]"]),
    (Bad::File("[listen]\nport = 1"), &["`listen` must be an address and a port, found a table"]),
    (Bad::File("[http]\nlist_max = 0"), &["from 1 to 10,000, found `0`", "the smallest is 1"]),
    (Bad::File("[http]\nlist_max = -5"), &["found `-5`", "write a whole number"]),
    (Bad::File("[http]\nlist_max = 10001"), &["the largest is 10,000"]),
    (Bad::File("[http]\nlist_max = 1.5"), &["found a number with a fraction"]),
    (Bad::File("[http]\nlist_max = \"50\""), &["must be a whole number", "found a string"]),
    (Bad::File("[http]\nlist_max = 99999999999999999999"), &["the largest is 10,000"]),
    (Bad::File("[http]\nbody_bytes = \"1MB\""), &["the units are B, KiB, MiB and GiB, not `MB`"]),
    (Bad::File("[http]\nbody_bytes = \"65MiB\""), &["from 1KiB to 64MiB", "the largest is 64MiB"]),
    (Bad::File("[http]\nheader_timeout = true"), &["must be a duration", "found a boolean"]),
    (Bad::File("[http]\nheader_timeout = 10"), &["`10` without a unit", "write \"10s\""]),
    (Bad::File("[http]\nheader_timeout = \"10 min\""), &["not `min`"]),
    (Bad::File("[http]\nheader_timeout = 10:00:00"), &["found a date or time"]),
    (Bad::File("[log]\nform = \"jsno\""), &["one of `text` and `json`", "did you mean `json`?"]),
    (Bad::File("[log]\nfilter = \"tidewire=loud\""), &["`log.filter` must be a log filter"]),
    (Bad::File("allowed_hosts = \"tide.example\""), &["must be a list of host names, found a string"]),
    (Bad::File("allowed_hosts = [\"https://tide.example\"]"), &["`https://tide.example`", "the name alone"]),
    (Bad::File("allowed_hosts = [\"tide.example:99999\"]"), &["`tide.example:99999`"]),
    (Bad::File("allowed_hosts = [5]"), &["found a list of something else"]),
    (Bad::File("allowed_origins = \"https://app.example\""), &["must be a list of origins, found a string"]),
    (Bad::File("allowed_origins = [\"*\"]"), &["`*`", "name each origin"]),
    (Bad::File("allowed_origins = [\"https://*.app.example\"]"), &["name each origin"]),
    (Bad::File("allowed_origins = [\"null\"]"), &["`null`", "sandboxed"]),
    (Bad::File("allowed_origins = [\"app.example\"]"), &["`app.example`", "begins with its scheme"]),
    (Bad::File("allowed_origins = [\"ftp://app.example\"]"), &["https:// or http://"]),
    (Bad::File("allowed_origins = [\"https://app.example/\"]"), &["nothing behind them"]),
    (Bad::File("allowed_origins = [\"https://ada@app.example\"]"), &["nothing behind them"]),
    (Bad::File("allowed_origins = [\"https://app.example:0\"]"), &["perhaps a port"]),
    (Bad::File("trusted_proxies = [\"10.0.0.0/33\"]"), &["`10.0.0.0/33`", "10.0.0.0/8"]),
    (Bad::File("trusted_proxies = [\"proxy.example\"]"), &["`proxy.example`", "an address or a network"]),
    (Bad::File("trusted_proxies = [1]"), &["found a list of something else"]),
    (Bad::File("[tls]\ncertificate = \"tide.pem\""), &["`tls.certificate` needs `tls.key`", "plain HTTP"]),
    (Bad::File("[tls]\nkey = \"tide.key\""), &["`tls.key` needs `tls.certificate`"]),
    (Bad::File("[tls]\ncertificate = 5"), &["must be a path, found a number"]),
    (Bad::File("[http]\ncontent_security_policy = \"default-src 'self'\\nX: 1\""), &["visible ASCII"]),
    (Bad::File("[http]\nanonymous_requests = -1"), &["`http.anonymous_requests`"]),
    (Bad::File("[http]\nlimit_loopback = \"yes\""), &["true or false"]),
    (Bad::File("data = \"a\"\ndata = \"b\""), &["this key was given before", "second time"]),
    (Bad::File("data = "), &["this is not TOML"]),
    (Bad::File("[http\nlist_max = 1"), &["this is not TOML"]),
    (
        Bad::File("[http]\nlist_default = 2000"),
        &["`http.list_default` (2000, tidewire.toml:2) is greater than `http.list_max` (1000, default)"],
    ),
    (
        Bad::Variable("TIDEWIRE_LISTEN", "8080"),
        &["`TIDEWIRE_LISTEN` must be an address and a port, found `8080`"],
    ),
    (Bad::Variable("TIDEWIRE_LISTEN", ""), &["found nothing", "leave it out"]),
    (Bad::Variable("TIDEWIRE_LISTEN", "127.0.0.1:80800"), &["found `127.0.0.1:80800`"]),
    (Bad::Variable("TIDEWIRE_LISTEN", "10.0.0.300:80"), &["found `10.0.0.300:80`"]),
    (Bad::Variable("TIDEWIRE_MAX_CONNECTIONS", "many"), &["`TIDEWIRE_MAX_CONNECTIONS`", "found `many`"]),
    (Bad::Variable("TIDEWIRE_MAX_CONNECTIONS_PER_USER", "0"), &["the smallest is 1"]),
    (Bad::Variable("TIDEWIRE_REALTIME_PING_INTERVAL", "25"), &["write 25s for seconds"]),
    (Bad::Variable("TIDEWIRE_REALTIME_PING_INTERVAL", "\u{1b}[31m25"), &["found `\\u{1b}[31m25`"]),
    (Bad::Variable("TIDEWIRE_STORE_RETENTION_AGE", "10s"), &["the smallest is 1m"]),
    (Bad::Variable("TIDEWIRE_LOG", "tidewire=loud"), &["`TIDEWIRE_LOG` must be a log filter"]),
    (
        Bad::Variable("TIDEWIRE_CONFIG", "nowhere.toml"),
        &["there is no settings file `nowhere.toml`", "TIDEWIRE_CONFIG"],
    ),
    (Bad::Flags(&["--config", "."]), &["the settings file `.` cannot be read", "--config"]),
    (
        Bad::Flags(&["--listen", "localhost"]),
        &["`--listen` must be an address and a port, found `localhost`"],
    ),
    (Bad::Flags(&["--max-connections", "-1"]), &["`--max-connections` must be a whole number", "found `-1`"]),
    (Bad::Flags(&["--max-connections", "1e3"]), &["found `1e3`"]),
    (Bad::Flags(&["--set", "list_max"]), &["write NAME=VALUE"]),
    (
        Bad::Flags(&["--set", "list_max=1"]),
        &["there is no setting `list_max`", "did you mean `http.list_max`?"],
    ),
    (Bad::Flags(&["--set", "http.list_max="]), &["found nothing"]),
    (
        Bad::Flags(&["--set", "http.list_max=5", "--set", "http.list_max=6"]),
        &["`--set http.list_max` is given twice"],
    ),
    (Bad::Flags(&["--data", "a", "--set", "data=b"]), &["`--data` and `--set data` set the same"]),
    (
        Bad::Flags(&["--set", "realtime.reconnect_interval=40s"]),
        &["(\"40s\", --set realtime.reconnect_interval) is greater than"],
    ),
    (
        Bad::Flags(&["--set", "realtime.subscriptions=300"]),
        &[
            "`realtime.subscriptions` (300",
            "is greater than `realtime.message_burst` (200, default)",
            "comes back",
        ],
    ),
    (Bad::Flags(&["--lisen", "127.0.0.1:1"]), &["--lisen", "--listen"]),
];

#[tokio::test]
async fn bad_flags_variables_and_lines_are_refused_with_the_mistake_named() {
    for (bad, expected) in BAD {
        let (shown, told) = match bad {
            Bad::File(text) => (text.to_string(), config(text, &[], &[]).await),
            Bad::Variable(name, value) => {
                (format!("{name}={value}"), config("", &[], &[(name, value)]).await)
            }
            Bad::Flags(flags) => (flags.join(" "), config("", flags, &[]).await),
        };
        let stderr = &told.stderr;
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{shown}: {stderr}");
        for words in *expected {
            assert!(stderr.contains(words), "{shown}: {words} is missing in\n{stderr}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_text_is_refused_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tidewire.toml"), b"data = \"d\"\n# \xff\n").unwrap();
    let told = ended(tidewire(folder.path()).arg("config")).await;
    assert_eq!(told.code, 2);
    assert!(
        told.stderr.contains("line 2 of the settings file `tidewire.toml` is not UTF-8"),
        "{}",
        told.stderr
    );
}

#[tokio::test]
async fn every_subcommand_that_reads_settings_refuses_bad_ones() {
    for subcommand in [&["dev"][..], &["check"], &["config"], &["doctor"], &["migrate", "status"], &[]] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tidewire.toml"), "listn = 1").unwrap();
        let told = ended(tidewire(folder.path()).args(subcommand)).await;
        assert_eq!(told.code, 2, "{subcommand:?}: {}", told.stderr);
        assert!(told.stderr.contains("did you mean `listen`?"), "{subcommand:?}: {}", told.stderr);
    }
}

#[tokio::test]
async fn the_server_uses_the_file_and_listens_on_localhost() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("schemas = {:?}\n[http]\nlist_max = 7\nlist_default = 7\n", plain_schemas());
    std::fs::write(folder.path().join("tidewire.toml"), file).unwrap();
    let process = Process::of(tidewire(folder.path()).args(["dev", "--listen", "localhost:0"])).await;
    assert!(process.address.ip().is_loopback());
    let client = crate::support::app::Client::new(process.address);
    let (status, problem) = client.get_any("/api/tasks?limit=8").await;
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("from 1 to 7"), "{problem}");
    assert!(
        folder.path().join("data/tidewire.db").exists(),
        "the data folder is that of the working directory"
    );
}

#[tokio::test]
async fn dev_stays_on_loopback_wherever_the_address_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tidewire.toml"), "listen = \"0.0.0.0:0\"").unwrap();
    let told = ended(tidewire(folder.path()).arg("dev")).await;
    assert_eq!(told.code, 2);
    assert!(told.stderr.contains("does not listen on 0.0.0.0:0"), "{}", told.stderr);
}

const PAGE: &str = include_str!("../docs/configuration.md");

#[tokio::test]
async fn the_page_about_configuration_is_the_one_that_the_program_prints() {
    let printed = ended(tidewire(Path::new(".")).args(["config", "--docs"])).await;
    assert_eq!(printed.code, 0);
    assert!(
        printed.stdout == PAGE,
        "docs/configuration.md is not what the settings say; write it anew with\n\
         cargo run -- config --docs > docs/configuration.md"
    );
}

/// Every variable and option of the systems that Tidewire replaces.
const FOREIGN: &str = "ADVANCED_APP_HOST ADVANCED_APP_PORT ADVANCED_REALTIME_TOKEN ADVANCED_ALLOWED_ORIGINS ADVANCED_BOARD_CHANNEL
    ADVANCED_ACTIVITY_CHANNEL ADVANCED_REDIS_URL ADVANCED_SSE_HEARTBEAT_SECONDS ADVANCED_WEBSOCKET_MAX_CONNECTIONS
    ADVANCED_RECONNECT_INITIAL_DELAY_SECONDS ADVANCED_RECONNECT_MAX_DELAY_SECONDS ADVANCED_EVENT_TRANSPORT
    ADVANCED_REDIS_IDEMPOTENCY_TTL_SECONDS ADVANCED_RABBITMQ_URL ADVANCED_RABBITMQ_EXCHANGE ADVANCED_RABBITMQ_QUEUE
    ADVANCED_RABBITMQ_RETRY_QUEUE ADVANCED_RABBITMQ_DLQ_QUEUE ADVANCED_RABBITMQ_MAX_RETRIES ADVANCED_RABBITMQ_RETRY_DELAY_MS
    ADVANCED_RATE_LIMIT_DEFAULT ADVANCED_ACTIVITY_STREAM_RATE_LIMIT ADVANCED_TELEMETRY_ENABLED ADVANCED_METRICS_PATH
    ADVANCED_OTEL_EXPORTER_OTLP_ENDPOINT ADVANCED_OTEL_EXPORTER_OTLP_HEADERS ADVANCED_CONTENT_SECURITY_POLICY
    ADVANCED_STRICT_TRANSPORT_SECURITY NEXT_PUBLIC_WEBSOCKET_URL DATABASE_URL REDIS_URL REDIS_DB WEBSOCKET_HEARTBEAT_INTERVAL
    WEBSOCKET_TIMEOUT CONNECTION_TIMEOUT MAX_CONNECTIONS_PER_USER MESSAGE_RATE_LIMIT reconnectionAttempts reconnectionDelay timeout
    autoConnect NEXT_PUBLIC_WS_URL NEXT_PUBLIC_ENABLE_REALTIME reconnectInterval maxReconnectAttempts heartbeatInterval
    timeout_seconds";

#[test]
fn the_page_explains_every_variable_of_other_systems() {
    let (_, table) = PAGE.split_once("## Coming from elsewhere").unwrap();
    for name in FOREIGN.split_whitespace() {
        assert!(table.contains(&format!("`{name}`")), "{name} is missing");
    }
}

#[test]
fn the_page_names_only_settings_that_exist() {
    let (_, after) = PAGE.split_once("## Settings that depend").unwrap();
    for (at, section) in ["`http.", "`realtime.", "`store.", "`log."].iter().enumerate() {
        for part in after.split(section).skip(1) {
            let name = format!("{}{}", &section[1..], part.split(['`', ' ']).next().unwrap());
            let known = tidewire::cli::settings::SETTINGS.iter().any(|setting| setting.name == name);
            assert!(known, "{name} ({at}) is no setting");
        }
    }
}
