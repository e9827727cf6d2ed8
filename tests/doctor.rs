//! `tidewire doctor` with the real binary: a healthy folder, and one thing wrong at a time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::app::Client;
use crate::support::process::{Ended, Process, ended, tidewire};

/// A project as `tidewire new` makes it.
async fn project(folder: &Path) -> PathBuf {
    let made = ended(tidewire(folder).args(["new", "p"])).await;
    assert_eq!(made.code, 0, "{}", made.stderr);
    folder.join("p")
}

async fn doctor(folder: &Path, flags: &[&str]) -> Ended {
    ended(tidewire(folder).arg("doctor").args(flags)).await
}

/// The line about a topic with this verdict, and the line of its advice.
fn line<'a>(told: &'a Ended, verdict: &str, topic: &str) -> &'a str {
    let start = format!("{verdict:<8} {topic:<11} ");
    let at =
        told.stdout.find(&start).unwrap_or_else(|| panic!("no {start:?} in\n{}{}", told.stdout, told.stderr));
    let rest = &told.stdout[at..];
    let lines: usize = rest.split_inclusive('\n').take(2).map(str::len).sum();
    let one = rest.find('\n').unwrap();
    if rest[..lines].contains("\n                     -> ") { &rest[..lines] } else { &rest[..one] }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Serves the project once, so that there is a database.
async fn served(project: &Path) {
    Process::of(tidewire(project).args(["dev", "--listen", "127.0.0.1:0", "--demo"])).await.kill().await;
}

fn alter(project: &Path, sql: &str) {
    let database = rusqlite::Connection::open(project.join("data/tidewire.db")).unwrap();
    database.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn a_healthy_project_has_no_findings_and_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    let before = names(&project);
    let told = doctor(&project, &["--listen", "127.0.0.1:0"]).await;
    assert_eq!(told.code, 0, "{}", told.stdout);
    for (topic, words) in [
        ("settings", "tidewire.toml was read"),
        ("schemas", "2 entities from 1 file in schemas"),
        ("data", "data can be created and written"),
        ("sqlite", "journal_mode=wal, synchronous=full"),
        ("database", "there is none yet"),
        ("port", "any free port will be used"),
        ("clock", "it says 20"),
    ] {
        assert!(line(&told, "ok", topic).contains(words), "{topic}: {}", told.stdout);
    }
    assert!(told.stdout.contains("\n0 errors, "), "{}", told.stdout);
    assert_eq!(names(&project), before, "the doctor leaves nothing behind");

    served(&project).await;
    let files = names(&project.join("data"));
    let told = doctor(&project, &["--listen", "127.0.0.1:0"]).await;
    assert_eq!(told.code, 0, "{}", told.stdout);
    assert!(line(&told, "ok", "data").contains("data can be written"), "{}", told.stdout);
    assert!(line(&told, "ok", "database").contains("sound: "), "{}", told.stdout);
    assert_eq!(names(&project.join("data")), files, "nor beside the database");
}

#[tokio::test]
async fn an_idle_database_keeps_its_journal_mode() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    served(&project).await;
    for mode in ["wal", "delete"] {
        // The last connection tidies up, so that no log is left beside the file.
        alter(&project, &format!("PRAGMA journal_mode = {mode}; PRAGMA user_version = 1"));
        assert!(!project.join("data/tidewire.db-wal").exists());
        let told = doctor(&project, &["--listen", "127.0.0.1:0"]).await;
        let words = format!("journal_mode={mode}");
        assert!(line(&told, "ok", "database").contains(&words), "{}", told.stdout);
    }
}

#[tokio::test]
async fn a_running_server_is_reported_and_reached() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    let process = Process::of(tidewire(&project).args(["dev", "--listen", "127.0.0.1:0"])).await;
    let address = process.address.to_string();
    let told = doctor(&project, &["--listen", &address, "--url", &format!("http://{address}")]).await;
    assert_eq!(told.code, 0, "{}", told.stdout);
    assert!(line(&told, "ok", "data").contains("is in use by process"), "{}", told.stdout);
    assert!(line(&told, "ok", "port").contains("this project's server"), "{}", told.stdout);
    assert!(line(&told, "ok", "database").contains("journal_mode=wal"), "{}", told.stdout);
    for topic in ["url", "url clock", "websocket", "stream", "long poll"] {
        line(&told, "ok", topic);
    }
}

/// A project whose entities no anonymous caller can read.
async fn closed(folder: &Path) -> PathBuf {
    let project = project(folder).await;
    let schemas = project.join("schemas");
    std::fs::remove_dir_all(&schemas).unwrap();
    std::fs::create_dir(&schemas).unwrap();
    let text = "entity = \"Note\"\n[fields]\ntext = { type = \"text\" }\n[access]\nread = \"user != null\"\n";
    std::fs::write(schemas.join("note.toml"), text).unwrap();
    project
}

const OF_A_SERVER: [&str; 3] = ["websocket", "stream", "long poll"];

#[tokio::test]
async fn nothing_needs_to_be_readable_for_the_checks_of_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let project = closed(folder.path()).await;
    let mut command = tidewire(&project);
    command.args(["dev", "--listen", "127.0.0.1:0", "--set", "realtime.stream_heartbeat=1s"]);
    let process = Process::of(&mut command).await;
    let told = doctor(folder.path(), &["--url", &format!("http://{}", process.address), "--wait", "2"]).await;
    assert_eq!(told.code, 0, "{}", told.stdout);
    for (topic, words) in OF_A_SERVER.into_iter().zip([
        "a ping was answered; it stayed open for 2 s",
        "and the next in time",
        "it waited: answered after 2",
    ]) {
        assert!(line(&told, "ok", topic).contains(words), "{topic}: {}", told.stdout);
    }
}

/// `tidewire serve` with settings, and its first user if it should have one.
async fn serving(project: &Path, settings: &[&str], user: Option<&str>) -> (Process, String) {
    let mut command = tidewire(project);
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    for setting in settings {
        command.args(["--set", setting]);
    }
    let mut process = Process::of(&mut command).await;
    let mut token = String::new();
    if let Some(name) = user {
        let told = process.printed("Stop with").await;
        let link = told.split("/_/register#").nth(1).expect(&told).split_whitespace().next();
        let account = json!({"name": name, "password": "a correct horse", "link": link});
        let api = Client::new(process.address);
        let made = api.call("POST", "/api/auth/register", account).await;
        assert_eq!(made.status, 201, "{}", made.text);
        token = made.json["token"].as_str().unwrap().to_owned();
    }
    (process, token)
}

#[tokio::test]
async fn a_server_without_anonymous_callers_is_well_and_a_token_opens_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let project = closed(folder.path()).await;
    let settings = ["auth.anonymous=false", "auth.token_wait=1s"];
    let (process, token) = serving(&project, &settings, Some("ada")).await;
    let url = format!("http://{}", process.address);
    let told = doctor(folder.path(), &["--url", &url, "--wait", "2"]).await;
    assert_eq!(told.code, 0, "{}", told.stdout);
    assert!(told.stdout.contains("\n0 errors, 0 warnings"), "{}", told.stdout);
    for (topic, words) in OF_A_SERVER.into_iter().zip([
        "the server wants a token first, and ends a socket without one, after 1.",
        "not checked: the server opens it only after a login (`UNAUTHENTICATED`); TIDEWIRE_TOKEN",
        "not checked: the server opens it only after a login (`UNAUTHENTICATED`); TIDEWIRE_TOKEN",
    ]) {
        assert!(line(&told, "ok", topic).contains(words), "{topic}: {}", told.stdout);
    }
    for (token, code, verdict, words) in [
        (&*token, 0, "ok", ["stayed open for 2 s", "its first event came", "it waited: answered"]),
        ("nonsense", 1, "error", ["refuses the token in TIDEWIRE_TOKEN"; 3]),
    ] {
        let mut command = tidewire(folder.path());
        command.args(["doctor", "--url", &url, "--wait", "2"]).env("TIDEWIRE_TOKEN", token);
        let told = ended(&mut command).await;
        assert_eq!(told.code, code, "{}", told.stdout);
        for (topic, words) in OF_A_SERVER.into_iter().zip(words) {
            assert!(line(&told, verdict, topic).contains(words), "{topic}: {}", told.stdout);
        }
    }
}

/// Behind a proxy without a fault, so that what is reported is of the server.
#[tokio::test]
async fn refusals_of_the_server_are_reported_with_their_codes_and_no_proxy_is_blamed() {
    type Case = (&'static [&'static str], Option<&'static str>, usize, &'static str);
    let cases: [Case; 4] = [
        (&[], None, 3, "SETUP_REQUIRED"),
        (&["http.stream_openings=1", "trusted_proxies=127.0.0.1/32"], Some("ada"), 2, "RATE_LIMITED"),
        (&["auth.token_wait=0ms", "auth.anonymous=false"], Some("ada"), 0, "UNAUTHENTICATED"),
        (&["realtime.connections=1"], Some("ada"), 2, "CONNECTION_LIMIT"),
    ];
    for (settings, user, count, code) in cases {
        let folder = tempfile::tempdir().unwrap();
        let project = closed(folder.path()).await;
        let (process, _) = serving(&project, &[settings, &["allowed_hosts=127.0.0.1"]].concat(), user).await;
        let url = format!("http://{}", Proxy::Faithful.start(process.address).await);
        let told = doctor(folder.path(), &["--url", &url, "--wait", "2"]).await;
        assert_eq!(told.code, 0, "{}", told.stdout);
        assert!(!told.stdout.contains("proxy"), "{}", told.stdout);
        let refused = told.stdout.lines().filter(|line| line.starts_with("warning ")).collect::<Vec<_>>();
        assert_eq!(refused.len(), count, "{}", told.stdout);
        for line in refused {
            assert!(line.contains(&format!("the server itself refuses it: `{code}`")), "{}", told.stdout);
        }
        assert!(told.stdout.contains(code), "{}", told.stdout);
        process.kill().await;
    }
}

#[tokio::test]
async fn a_wait_beyond_the_servers_is_its_own_refusal_and_no_proxys() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    let mut command = tidewire(&project);
    command.args(["dev", "--listen", "127.0.0.1:0", "--set", "realtime.poll_wait=2s"]);
    let process = Process::of(&mut command).await;
    let told = doctor(folder.path(), &["--url", &format!("http://{}", process.address), "--wait", "3"]).await;
    let line = line(&told, "warning", "long poll");
    assert!(line.contains("the server refuses to wait so long") && line.contains("--wait"), "{line}");
    assert!(!line.contains("proxy"), "{line}");
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_names_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = doctor(&project, &["--listen", &address]).await;
    assert_eq!(told.code, 1, "{}", told.stdout);
    let line = line(&told, "error", "port");
    assert!(line.contains(&format!("{address} is taken by ")) && line.contains("-> stop it"), "{line}");
    if Path::new("/proc/net/tcp").exists() {
        assert!(line.contains(&format!("process {} (", std::process::id())), "{line}");
    }
}

const LETTER: &str = "this is a letter, and a long one at that";

#[tokio::test]
async fn faults_in_the_folder_are_reported_with_advice() {
    // What is done to the project, the flags, then topic, words and advice of the error.
    type Case = (fn(&Path), &'static [&'static str], &'static str, &'static str, &'static str);
    let cases: [Case; 10] = [
        (
            |_| {},
            &["--data", "tidewire.toml"],
            "data",
            "tidewire.toml exists and is not a folder",
            "--data DIR",
        ),
        (|_| {}, &["--data", "tidewire.toml/data"], "data", "not a folder", "--data DIR"),
        (|_| {}, &["--data", "/proc/tidewire"], "data", "/proc", "choose another folder"),
        (
            |_| {},
            &["--schemas", "nowhere"],
            "schemas",
            "there is no schema folder `nowhere`",
            "tidewire check",
        ),
        (
            |project| std::fs::write(project.join("schemas/task.toml"), "entity = 5").unwrap(),
            &[],
            "schemas",
            "1 error; the first: `entity` must be a string",
            "tidewire check",
        ),
        (|_| {}, &["--listen", "192.0.2.1:8080"], "port", "does not listen on 192.0.2.1:8080", "loopback"),
        (
            |project| alter(project, r#"UPDATE "_meta" SET "format" = 99"#),
            &[],
            "database",
            "in format 99; this is Tidewire ",
            "nothing was changed",
        ),
        (
            |project| std::fs::write(project.join("data/tidewire.db"), LETTER).unwrap(),
            &[],
            "database",
            "is damaged",
            "put a backup in its place",
        ),
        (
            |project| {
                std::fs::remove_file(project.join("data/tidewire.db-wal")).unwrap();
                std::fs::write(project.join("data/tidewire.db"), LETTER).unwrap();
            },
            &[],
            "database",
            "is damaged or not a Tidewire database",
            "nothing was changed",
        ),
        (
            |project| alter(project, r#"UPDATE "_changes" SET "at" = "at" + 1000000000000"#),
            &[],
            "clock",
            "the newest change in the database was made at 20",
            "NTP",
        ),
    ];
    for (harm, flags, topic, words, advice) in cases {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path()).await;
        served(&project).await;
        harm(&project);
        let port: &[&str] = if flags.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let told = doctor(&project, &[flags, port].concat()).await;
        assert_eq!(told.code, 1, "{words}: {}", told.stdout);
        let line = line(&told, "error", topic);
        assert!(line.contains(words) && line.contains(advice), "{words} -> {advice}: {line}");
    }
}

#[tokio::test]
async fn a_limit_below_the_configured_connections_is_a_warning_with_the_number() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    let flags =
        ["--listen", "127.0.0.1:0", "--max-connections", "1000000", "--set", "http.connections=1000000"];
    let mut command = tokio::process::Command::new("sh");
    let script = format!("ulimit -n 512; exec {} doctor {}", env!("CARGO_BIN_EXE_tidewire"), flags.join(" "));
    let told = ended(command.args(["-c", &script]).current_dir(&project)).await;
    assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
    let line = line(&told, "warning", "descriptors");
    assert!(
        line.contains("512 file descriptors") && line.contains("raise the hard limit to 30001"),
        "{line}"
    );
}

/// What a proxy does to what passes it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Proxy {
    Faithful,
    /// Keeps what comes after an upgrade, as one that buffers does.
    Buffers,
    DropsUpgrade,
    /// Answers 504 instead of waiting.
    GivesUp,
    /// Ends a connection that is silent for half a second, also one that was upgraded.
    Hasty,
    /// Passes what comes at once, and keeps what comes later.
    KeepsTheRest,
    NoServer,
    OldClock,
    /// Puts the server's own address into `Host`, as many do by default.
    RewritesHost,
    /// Something else entirely.
    Stranger,
}

const GATEWAY_TIMEOUT: &[u8] =
    b"HTTP/1.1 504 Gateway Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

impl Proxy {
    async fn start(self, server: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(self.pass(client, server));
            }
        });
        address
    }

    /// One request and its answer; the connection then belongs to whatever was upgraded.
    async fn pass(self, mut client: TcpStream, server: SocketAddr) {
        let request = head(&mut client).await;
        let refused = match self {
            Proxy::GivesUp if request.contains("&wait=") => Some(GATEWAY_TIMEOUT),
            Proxy::NoServer => Some(BAD_GATEWAY),
            Proxy::Stranger => Some(HELLO),
            Proxy::GivesUp
            | Proxy::Faithful
            | Proxy::Buffers
            | Proxy::DropsUpgrade
            | Proxy::Hasty
            | Proxy::KeepsTheRest
            | Proxy::OldClock
            | Proxy::RewritesHost => None,
        };
        if let Some(answer) = refused {
            client.write_all(answer).await.unwrap();
            return;
        }
        let upgrades = request.to_lowercase().contains("upgrade: websocket");
        let drops = |line: &&str| {
            let name = line.split(':').next().unwrap().to_lowercase();
            let dropped = match name.as_str() {
                "connection" => true,
                "upgrade" => self == Proxy::DropsUpgrade,
                "host" => self == Proxy::RewritesHost,
                _ => false,
            };
            !dropped
        };
        let mut lines: Vec<&str> = request.trim_end().lines().filter(drops).collect();
        let keeps = upgrades && self != Proxy::DropsUpgrade;
        lines.push(if keeps { "Connection: Upgrade" } else { "Connection: close" });
        // Another machine, for a server that trusts this proxy.
        lines.push("X-Forwarded-For: 203.0.113.7");
        let host = format!("Host: {server}");
        if self == Proxy::RewritesHost {
            lines.push(&host);
        }
        let mut upstream = TcpStream::connect(server).await.unwrap();
        upstream.write_all(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).await.unwrap();
        let mut answer = head(&mut upstream).await;
        if self == Proxy::OldClock {
            let lines = answer.lines().map(|line| {
                if line.to_lowercase().starts_with("date:") {
                    "date: Sun, 06 Nov 1994 08:49:37 GMT"
                } else {
                    line
                }
            });
            answer = lines.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n";
            answer = answer.replace("\r\n\r\n\r\n", "\r\n\r\n");
        }
        client.write_all(answer.as_bytes()).await.unwrap();
        if keeps && self == Proxy::Buffers {
            let mut kept = Vec::new();
            let _ = upstream.read_to_end(&mut kept).await;
        } else if matches!(self, Proxy::Hasty | Proxy::KeepsTheRest) {
            let passing = tokio::io::copy_bidirectional(&mut client, &mut upstream);
            let _ = tokio::time::timeout(Duration::from_millis(500), passing).await;
            if self == Proxy::KeepsTheRest {
                let _ = upstream.read_to_end(&mut Vec::new()).await;
            }
        } else {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
        }
    }
}

/// Up to the empty line.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => bytes.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn faults_of_a_proxy_are_reported_with_the_setting_to_change() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    let mut command = tidewire(&project);
    command.args(["dev", "--listen", "127.0.0.1:0", "--set", "allowed_hosts=127.0.0.1"]);
    command.args(["--set", "realtime.stream_heartbeat=1s"]);
    let process = Process::of(&mut command).await;
    let elsewhere = tempfile::tempdir().unwrap();
    for (proxy, code, verdict, topic, words, advice) in [
        (Proxy::Faithful, 0, "ok", "websocket", "`connected` came after", ""),
        (Proxy::Buffers, 1, "error", "websocket", "a proxy in between buffers", "proxy_buffering off"),
        (
            Proxy::DropsUpgrade,
            1,
            "error",
            "websocket",
            "/ws answers 400",
            "proxy_set_header Upgrade $http_upgrade",
        ),
        (Proxy::GivesUp, 1, "error", "long poll", "answered 504", "proxy_read_timeout"),
        (Proxy::Hasty, 1, "error", "websocket", "it was ended after 0.", "timeout tunnel"),
        (Proxy::Hasty, 1, "error", "stream", "it was ended after 0.", "proxy_read_timeout"),
        (
            Proxy::KeepsTheRest,
            1,
            "error",
            "stream",
            "after its first event nothing came for 4 s: a proxy in between buffers",
            "proxy_buffering off",
        ),
        (Proxy::NoServer, 1, "error", "url", "it does not reach the server", "`listen`"),
        (Proxy::OldClock, 0, "warning", "url clock", "behind this machine's", "NTP"),
        (Proxy::Stranger, 1, "error", "url", "not as Tidewire does", "check the address"),
    ] {
        let url = format!("http://{}", proxy.start(process.address).await);
        let told = doctor(elsewhere.path(), &["--url", &url, "--wait", "1"]).await;
        assert_eq!(told.code, code, "{proxy:?}: {}", told.stdout);
        let line = line(&told, verdict, topic);
        assert!(line.contains(words) && line.contains(advice), "{proxy:?}: {line}");
        assert!(told.stdout.contains("only the URL is checked"), "{proxy:?}: {}", told.stdout);
    }
}

#[tokio::test]
async fn an_unknown_host_name_is_reported_with_the_setting_to_add() {
    let folder = tempfile::tempdir().unwrap();
    let project = project(folder.path()).await;
    let process = Process::of(tidewire(&project).args(["dev", "--listen", "127.0.0.1:0"])).await;
    let url = format!("http://{}", Proxy::Faithful.start(process.address).await);
    let told = doctor(folder.path(), &["--url", &url]).await;
    assert_eq!(told.code, 1, "{}", told.stdout);
    let line = line(&told, "error", "url");
    assert!(line.contains("does not answer to the name `127.0.0.1`"), "{line}");
    assert!(line.contains("allowed_hosts = [\"127.0.0.1\"]"), "{line}");

    let url = format!("http://{}", Proxy::RewritesHost.start(process.address).await);
    let told = doctor(folder.path(), &["--url", &url]).await;
    assert_eq!(told.code, 1, "{}", told.stdout);
    let refused = self::line(&told, "error", "websocket");
    assert!(
        refused.contains("cannot open a socket") && refused.contains("proxy_set_header Host $http_host"),
        "{refused}"
    );
}

#[tokio::test]
async fn an_unreachable_address_is_an_error_and_an_invalid_one_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let told = doctor(folder.path(), &["--url", &format!("http://{unused}")]).await;
    assert_eq!(told.code, 1, "{}", told.stdout);
    assert!(line(&told, "error", "url").contains("Connection refused"), "{}", told.stdout);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.write_all(HELLO).await;
        }
    });
    let told = doctor(folder.path(), &["--url", &format!("https://{plain}")]).await;
    assert_eq!(told.code, 1, "{}", told.stdout);
    assert!(line(&told, "error", "url").contains("certificate"), "{}", told.stdout);
    for (url, words) in [
        ("tide.example", "is not an address"),
        ("ftp://tide.example", "begins with neither http:// nor https://"),
        ("http://tide.example/app", "has a path"),
        ("http://tide.example/?a=b", "has a path"),
        ("http://ann:secret@tide.example", "has a user name"),
        ("http://", "is not an address"),
        ("", "is not an address"),
    ] {
        let told = doctor(folder.path(), &["--url", url]).await;
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{url}: {}", told.stderr);
        assert!(told.stderr.contains(words), "{url}: {}", told.stderr);
    }
    for wait in ["0", "61", "x"] {
        assert_eq!(doctor(folder.path(), &["--wait", wait]).await.code, 2, "{wait}");
    }
}

#[tokio::test]
async fn the_wait_for_a_silent_server_ends() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let told = tokio::time::timeout(Duration::from_secs(19), doctor(folder.path(), &["--url", &url])).await;
    let told = told.expect("the doctor gives up by itself");
    assert_eq!(told.code, 1, "{}", told.stdout);
    assert!(line(&told, "error", "url").contains("firewall"), "{}", told.stdout);
}
