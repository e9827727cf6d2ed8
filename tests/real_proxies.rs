//! nginx, Caddy and HAProxy in front of the real server, set up as docs/operations.md says: what passes, and what
//! `tidewire doctor --url` reports of the proxies of the page and of the usual mistakes.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::app::Client;
use crate::support::encrypted::{ask, connect, tls_file};
use crate::support::process::{Ended, Process, ended, plain_schemas, tidewire};
use crate::support::socket::{PATIENCE, Socket};
use crate::support::stream::EventSource;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Nginx,
    Caddy,
    HaProxy,
}
use Kind::{Caddy, HaProxy, Nginx};

const KINDS: [Kind; 3] = [Nginx, Caddy, HaProxy];

/// What browsers speak with a proxy.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Front {
    Plain,
    Encrypted,
}

/// A change of a snippet: what is in it, and what stands there instead.
type Change = (&'static str, &'static str);

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Nginx => "nginx",
            Caddy => "caddy",
            HaProxy => "haproxy",
        }
    }

    /// What the page tells to put into the settings of this proxy.
    fn snippet(self) -> String {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
        let page = std::fs::read_to_string(page).unwrap();
        let fence = match self {
            Nginx => "```nginx\n",
            Caddy => "```caddyfile\n",
            HaProxy => "```haproxy\n",
        };
        let parts: Vec<&str> = page.split(fence).collect();
        let [_, rest] = parts[..] else { panic!("the page has one {fence:?}, not {}", parts.len() - 1) };
        rest.split_once("```").unwrap().0.to_owned()
    }

    /// The snippet at an address of the test, with a certificate of the test or without TLS, and what a file of its own needs
    /// around it.
    fn file(
        self,
        front: Front,
        changes: &[Change],
        listen: SocketAddr,
        server: SocketAddr,
        folder: &Path,
    ) -> String {
        let certificate = folder.join("tide.pem").display().to_string();
        let mut text = self.snippet();
        let mut replace = |from: &str, to: &str| {
            assert!(text.contains(from), "{from:?} is not in the snippet of {self:?}:\n{text}");
            text = text.replace(from, to);
        };
        changes.iter().for_each(|(from, to)| replace(from, to));
        replace("127.0.0.1:8080", &server.to_string());
        match self {
            Nginx => {
                match front {
                    Front::Plain => {
                        replace("listen 443 ssl;", &format!("listen {listen};"));
                        replace("ssl_certificate     /etc/ssl/tide.example.pem;", "");
                        replace("ssl_certificate_key /etc/ssl/tide.example.key;", "");
                    }
                    Front::Encrypted => {
                        replace("listen 443 ssl;", &format!("listen {listen} ssl;"));
                        replace("/etc/ssl/tide.example.pem", &certificate);
                        replace("/etc/ssl/tide.example.key", &certificate);
                    }
                }
                let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
                    .concat();
                let pid = folder.join("pid");
                format!(
                    "daemon off;\nmaster_process off;\npid {};\nerror_log stderr notice;\nevents {{}}\n\
                     http {{\naccess_log off;\n{temporary}{text}}}\n",
                    pid.display()
                )
            }
            Caddy => {
                let port = listen.port();
                match front {
                    Front::Plain => replace("tide.example", &format!("http://{listen}")),
                    Front::Encrypted => replace(
                        "tide.example {",
                        &format!("https://localhost:{port} {{\n\ttls {certificate} {certificate}"),
                    ),
                }
                format!("{{\n\tadmin off\n\tauto_https off\n}}\n{text}")
            }
            HaProxy => {
                let bind = match front {
                    Front::Plain => format!("bind {listen}"),
                    Front::Encrypted => format!("bind {listen} ssl crt {certificate}"),
                };
                replace("bind :443 ssl crt /etc/ssl/tide.example.pem", &bind);
                text
            }
        }
    }

    fn command(self, file: &Path) -> Command {
        // Debian has two of them where only root looks.
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("env");
        command.arg(format!("PATH={path}")).arg(self.program());
        match self {
            Nginx => command.args(["-e", "stderr", "-c"]).arg(file),
            Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file),
            HaProxy => command.args(["-W", "-db", "-f"]).arg(file),
        };
        command
    }

    /// What it prints when it listens.
    fn is_ready(self, line: &str) -> bool {
        line.contains(match self {
            Nginx => "nginx/",
            Caddy => "serving initial configuration",
            HaProxy => "Loading success",
        })
    }
}

/// A proxy that runs as long as the story does.
struct Proxy {
    address: SocketAddr,
    _folder: TempDir,
    _child: Child,
    /// Kept open, so that it can go on printing.
    _output: Lines<BufReader<ChildStderr>>,
}

impl Proxy {
    async fn start(kind: Kind, changes: &[Change], server: SocketAddr) -> Proxy {
        Proxy::behind(Front::Plain, kind, changes, server).await
    }

    async fn behind(front: Front, kind: Kind, changes: &[Change], server: SocketAddr) -> Proxy {
        let folder = tempfile::tempdir().unwrap();
        let pem = ["first.pem", "first.key"].map(|name| std::fs::read_to_string(tls_file(name)).unwrap());
        std::fs::write(folder.path().join("tide.pem"), pem.concat()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let file = folder.path().join("settings");
        std::fs::write(&file, kind.file(front, changes, address, server, folder.path())).unwrap();
        let mut command = kind.command(&file);
        command.current_dir(&folder).env("HOME", folder.path()).env_remove("XDG_DATA_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        // None of the three takes over a socket that listens already.
        drop(listener);
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let ready = async {
            while let Some(line) = output.next_line().await.unwrap() {
                if kind.is_ready(&line) {
                    return;
                }
                said += &(line + "\n");
            }
            let program = kind.program();
            panic!("{program} does not start (`.ci/install` installs it where it is missing):\n{said}");
        };
        tokio::time::timeout(PATIENCE, ready).await.expect("the proxy starts within twenty seconds");
        Proxy { address, _folder: folder, _child: child, _output: output }
    }
}

/// The server behind the proxies, which knows its name.
async fn server(settings: &[&str]) -> (TempDir, Process) {
    nameless(&[&["allowed_hosts=127.0.0.1"], settings].concat()).await
}

/// One that does not.
async fn nameless(settings: &[&str]) -> (TempDir, Process) {
    let folder = tempfile::tempdir().unwrap();
    let known = ["trusted_proxies=127.0.0.1/32"];
    let process = Process::with(&folder.path().join("data"), 0, |command| {
        for setting in known.iter().chain(settings) {
            command.args(["--set", setting]);
        }
    })
    .await;
    (folder, process)
}

async fn doctor(proxy: &Proxy, wait: &str) -> Ended {
    let nowhere = tempfile::tempdir().unwrap();
    let url = format!("http://{}", proxy.address);
    ended(tidewire(nowhere.path()).args(["doctor", "--url", &url, "--wait", wait])).await
}

/// The topics of what is wrong.
fn complaints(told: &Ended) -> Vec<(&str, &str)> {
    let wrong = |line: &&str| line.starts_with("error ") || line.starts_with("warning ");
    told.stdout.lines().filter(wrong).map(|line| (line[9..20].trim(), &line[21..])).collect()
}

#[tokio::test]
async fn the_proxies_of_the_page_pass_sockets_streams_and_polls_at_once() {
    let (_folder, process) = server(&[]).await;
    for kind in KINDS {
        let proxy = Proxy::start(kind, &[], process.address).await;
        let client = Client::new(proxy.address);
        let mut socket = Socket::open(proxy.address).await;
        socket.subscribe("entity:Task", json!({})).await;
        let mut stream = EventSource::open(client.request("GET", "/sse?channel=entity:Task")).await;
        stream.expect("welcome").await;
        let subscribed = stream.expect("subscribed").await;
        let position = client.get("/api/changes?channel=entity:Task").await;
        let (epoch, seq) = (position["epoch"].as_str().unwrap(), &position["seq"]);
        let view = position["channels"][0]["view"].as_str().unwrap();
        let poll = format!("/api/changes?channel=entity:Task&view={view}&since={epoch}:{seq}&wait=20");
        let poll = client.get(&poll);
        let write = async {
            // When the stream is live, what is written reaches it.
            let made = client.create("tasks", json!({"title": format!("through {kind:?}")})).await;
            let frame = socket.expect("entity:created").await;
            assert_eq!(frame["payload"]["id"], made["id"], "{kind:?}");
            loop {
                let event = stream.came().await.expect("the stream goes on");
                if event["type"] == "entity:created" {
                    assert_eq!(event["payload"]["id"], made["id"], "{kind:?}");
                    return made["id"].clone();
                }
            }
        };
        let (polled, id) = tokio::join!(poll, write);
        assert_eq!(polled["events"][0]["payload"]["id"], id, "{kind:?}: {polled}");
        assert_eq!(subscribed["channel"], "entity:Task");
    }
}

#[tokio::test]
async fn the_size_of_a_body_is_for_the_server_to_judge() {
    let (_folder, process) = server(&["http.body_bytes=2MiB"]).await;
    for kind in KINDS {
        let proxy = Proxy::start(kind, &[], process.address).await;
        let client = Client::new(proxy.address);
        // More than the megabyte that nginx takes by itself.
        let long = json!({"title": "x".repeat(1_500_000)});
        let (status, answer) = client.any("POST", "/api/tasks", long).await;
        assert_eq!((status, &answer["code"]), (422, &json!("VALIDATION_FAILED")), "{kind:?}: {answer}");
        let longer = json!({"title": "x".repeat(2_200_000)});
        let (status, answer) = client.any("POST", "/api/tasks", longer).await;
        assert_eq!((status, &answer["code"]), (413, &json!("BODY_TOO_LARGE")), "{kind:?}: {answer}");
    }
}

#[tokio::test]
async fn what_a_client_writes_into_the_headers_of_a_proxy_does_not_count() {
    let (_folder, process) = server(&[]).await;
    for kind in KINDS {
        let proxy = Proxy::start(kind, &[], process.address).await;
        let invented = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")];
        let answer = Client::new(proxy.address).call_with("GET", "/health", Value::Null, &invented).await;
        assert_eq!((answer.status, answer.header("strict-transport-security")), (200, ""), "{kind:?}");
    }
}

/// The proxies as the page has them, with TLS: the server believes what they say of it.
#[tokio::test]
async fn over_tls_pages_write_open_sockets_and_stay_with_tls() {
    let (_folder, process) = nameless(&["allowed_hosts=localhost"]).await;
    for kind in KINDS {
        let proxy = Proxy::behind(Front::Encrypted, kind, &[], process.address).await;
        let own = format!("https://localhost:{}", proxy.address.port());
        let health = ask(proxy.address, "GET /health", "", "").await.to_lowercase();
        assert!(health.starts_with("http/1.1 200"), "{kind:?}: {health}");
        assert!(health.contains("strict-transport-security: max-age="), "{kind:?}: {health}");

        let mut request =
            format!("wss://localhost:{}/ws", proxy.address.port()).into_client_request().unwrap();
        request.headers_mut().insert("origin", own.parse().unwrap());
        let stream = connect(proxy.address).await;
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let connected =
            tokio::time::timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap();
        assert!(connected.to_text().unwrap().contains("connected"), "{kind:?}: {connected}");

        for (origin, status) in [(&*own, "201"), ("https://evil.example", "403")] {
            let headers = format!("Origin: {origin}\r\nContent-Type: application/json\r\n");
            let written = ask(proxy.address, "POST /api/tasks", &headers, r#"{"title": "of a page"}"#).await;
            assert!(written.starts_with(&format!("HTTP/1.1 {status}")), "{kind:?} {origin}: {written}");
        }

        let nowhere = tempfile::tempdir().unwrap();
        let mut doctor = tidewire(nowhere.path());
        doctor.env("SSL_CERT_FILE", tls_file("authority.pem"));
        let told = ended(doctor.args(["doctor", "--url", &own, "--wait", "2"])).await;
        assert_eq!(
            (told.code, complaints(&told)),
            (0, Vec::new()),
            "{kind:?}: {}{}",
            told.stdout,
            told.stderr
        );
    }
}

/// The server speaks before a proxy loses patience: with every wait of the page's a twenty-fifth of what it is.
#[tokio::test]
async fn a_quiet_connection_outlives_the_patience_of_the_proxy() {
    let (_folder, process) = server(&["realtime.ping_interval=1s", "realtime.stream_heartbeat=1s"]).await;
    for kind in KINDS {
        let changes: &[Change] = if kind == Caddy { &[] } else { &[("75s", "3s")] };
        let proxy = Proxy::start(kind, changes, process.address).await;
        let client = Client::new(proxy.address);
        let mut socket = Socket::open(proxy.address).await;
        let mut stream = EventSource::open(client.request("GET", "/sse?channel=entity:Task")).await;
        let pongs = async {
            for _ in 0..5 {
                socket.expect("pong").await;
            }
        };
        let beats = async {
            for _ in 0..5 {
                stream.beat().await;
            }
        };
        tokio::join!(pongs, beats);
    }
}

#[tokio::test]
async fn the_doctor_finds_nothing_wrong_with_the_proxies_of_the_page() {
    let (_folder, process) = server(&[]).await;
    for kind in KINDS {
        let proxy = Proxy::start(kind, &[], process.address).await;
        let told = doctor(&proxy, "2").await;
        assert_eq!((told.code, complaints(&told)), (0, Vec::new()), "{kind:?}: {}", told.stdout);
        for topic in ["url", "websocket", "stream", "long poll"] {
            assert!(told.stdout.contains(&format!("ok       {topic} ")), "{kind:?}: {}", told.stdout);
        }
    }
}

const UPGRADE_OF_NGINX: Change = ("proxy_set_header Upgrade $http_upgrade;", "");
const HOST_OF_NGINX: [Change; 2] =
    [("proxy_set_header Host $http_host;", ""), ("proxy_set_header X-Forwarded-Host $http_host;", "")];
/// Streams as nginx passes them by itself: by HTTP 1.0, which has no chunks, so that it waits for a buffer.
const STREAMS_OF_NGINX: Change = (
    "location = /sse {",
    "location = /sse {\n        proxy_http_version 1.0;\n        proxy_set_header Host $http_host;\n        \
     proxy_buffering on;\n        proxy_ignore_headers X-Accel-Buffering;",
);
/// Streams are ended before the server speaks again.
const HASTE_OF_NGINX: Change = ("location = /sse {", "location = /sse {\n        proxy_read_timeout 500ms;");
const EARLY: &str = "s: a proxy in between gives up too early";
const CADDY: &str = "reverse_proxy 127.0.0.1:8080\n";

#[tokio::test]
async fn each_usual_mistake_is_told_from_the_others() {
    // A stream speaks again within the wait of the doctor.
    let (_folder, process) = server(&["realtime.stream_heartbeat=1s"]).await;
    let (_other, unnamed) = nameless(&["realtime.stream_heartbeat=1s"]).await;
    let cases: [(Kind, &[Change], &str, &str); 11] = [
        (Nginx, &[UPGRADE_OF_NGINX], "websocket", "/ws answers 400"),
        (
            Caddy,
            &[(CADDY, "reverse_proxy 127.0.0.1:8080 {\n\t\theader_up -Upgrade\n\t}\n")],
            "websocket",
            "/ws answers",
        ),
        (
            HaProxy,
            &[("option forwardfor", "option forwardfor\n    http-request del-header Upgrade")],
            "websocket",
            "/ws answers",
        ),
        (Nginx, &[STREAMS_OF_NGINX], "stream", "a proxy in between buffers"),
        (Nginx, &[HASTE_OF_NGINX], "stream", EARLY),
        (HaProxy, &[("timeout tunnel 75s", "timeout tunnel 2s")], "websocket", EARLY),
        (HaProxy, &[("timeout server 75s", "timeout server 2s")], "long poll", "answered 504"),
        (
            Caddy,
            &[(
                CADDY,
                "reverse_proxy 127.0.0.1:8080 {\n\t\ttransport http {\n\t\t\tresponse_header_timeout 2s\n\t\t}\n\t}\n",
            )],
            "long poll",
            "answered 50",
        ),
        (Nginx, &HOST_OF_NGINX, "websocket", "sees another host"),
        (
            Caddy,
            &[(
                CADDY,
                "reverse_proxy 127.0.0.1:8080 {\n\t\theader_up Host {upstream_hostport}\n\t\theader_up -X-Forwarded-Host\n\t}\n",
            )],
            "websocket",
            "sees another host",
        ),
        (
            HaProxy,
            &[(
                "http-request set-header X-Forwarded-Host %[req.hdr(Host)]",
                "http-request set-header Host 127.0.0.1:8080",
            )],
            "websocket",
            "sees another host",
        ),
    ];
    for (kind, changes, topic, words) in cases {
        // Where the server knows the name, it does not matter what a proxy makes of it.
        let server = if words == "sees another host" { &unnamed } else { &process };
        let proxy = Proxy::start(kind, changes, server.address).await;
        let told = doctor(&proxy, "3").await;
        let found = complaints(&told);
        assert!(
            matches!(found[..], [(about, said)] if about == topic && said.contains(words)),
            "{kind:?} with {changes:?} is wrong about {topic} ({words}):\n{}",
            told.stdout
        );
        assert_eq!(told.code, 1, "{}", told.stdout);
    }
}

/// The server is silent for longer than the proxy waits.
#[tokio::test]
async fn impatience_is_found_on_every_way_at_once() {
    let (_folder, process) = server(&["realtime.stream_heartbeat=10s"]).await;
    for (kind, changes, all) in [
        (Nginx, &[("75s", "2s")][..], true),
        (
            HaProxy,
            &[("timeout server 75s", "timeout server 2s"), ("timeout tunnel 75s", "timeout tunnel 2s")],
            true,
        ),
        // Of HAProxy, this one holds for streams and polls.
        (HaProxy, &[("timeout server 75s", "timeout server 2s")], false),
    ] {
        let proxy = Proxy::start(kind, changes, process.address).await;
        let told = doctor(&proxy, "4").await;
        let found = complaints(&told);
        let mut expected = vec![("stream", EARLY), ("long poll", "answered 504")];
        if all {
            expected.insert(0, ("websocket", EARLY));
        }
        assert_eq!(found.len(), expected.len(), "{kind:?}:\n{}", told.stdout);
        for ((about, said), (topic, words)) in found.iter().zip(expected) {
            assert!(*about == topic && said.contains(words), "{kind:?}, {topic}:\n{}", told.stdout);
        }
        assert_eq!(
            told.stdout.matches("let the proxy wait longer than").count(),
            found.len(),
            "{}",
            told.stdout
        );
    }
}

/// A browser gives up an `EventSource` after any other status.
#[tokio::test]
async fn a_stream_that_comes_back_while_the_server_restarts_gets_no_error() {
    let (folder, process) = server(&[]).await;
    let port = process.address.port();
    let mut proxies = Vec::new();
    for kind in KINDS {
        proxies.push((kind, Proxy::start(kind, &[], process.address).await));
    }
    process.kill().await;
    for (kind, proxy) in &proxies {
        let client = Client::new(proxy.address);
        let away = client.call("GET", "/sse?channel=entity:Task", Value::Null).await;
        assert_eq!((away.status, away.header("content-type")), (200, "text/event-stream"), "{kind:?}");
        assert_eq!(away.text, "retry: 2000\n\n", "{kind:?}");
        let other = client.call("GET", "/api/tasks", Value::Null).await;
        assert!(matches!(other.status, 502 | 503), "{kind:?}: other requests learn of it: {}", other.status);
    }
    let _process = Process::with(&folder.path().join("data"), port, |command| {
        command.args(["--set", "allowed_hosts=127.0.0.1", "--set", "trusted_proxies=127.0.0.1/32"]);
    })
    .await;
    for (_, proxy) in &proxies {
        let client = Client::new(proxy.address);
        let mut stream = EventSource::open(client.request("GET", "/sse?channel=entity:Task")).await;
        stream.expect("welcome").await;
    }
}

#[tokio::test]
async fn what_the_server_refuses_passes_the_proxies_of_the_page_unchanged() {
    let (_folder, process) = server(&[]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = tidewire(folder.path());
    command.args(["serve", "--listen", "127.0.0.1:0", "--set", "allowed_hosts=127.0.0.1", "--schemas"]);
    let waiting = Process::of(command.arg(plain_schemas())).await;
    for kind in KINDS {
        for (server, path, status, code) in [
            (&process, "/sse?channels=x", 400, "BAD_QUERY"),
            (&process, "/sse?token=nonsense", 401, "UNAUTHENTICATED"),
            (&waiting, "/sse?channel=entity:Task", 503, "SETUP_REQUIRED"),
        ] {
            let proxy = Proxy::start(kind, &[], server.address).await;
            let answer = Client::new(proxy.address).call("GET", path, Value::Null).await;
            let said = (answer.status, answer.json["code"].as_str());
            assert_eq!(said, (status, Some(code)), "{kind:?} {path}: {}", answer.text);
        }
    }
}
