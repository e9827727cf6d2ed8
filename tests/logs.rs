//! The log of the real binary: one JSON object a line, one line a failure, every request by its id, and no secret.

mod unwritable;

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::app::Client;
use crate::support::process::Process;
use crate::support::socket::Socket;

/// The binary with `--log json`, its stderr in a file.
struct Logged {
    process: Process,
    folder: tempfile::TempDir,
}

impl Logged {
    async fn start(filter: &str) -> Logged {
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let process = Process::with(&folder.path().join("data"), 0, |command| {
            command.args(["--log", "json"]).env("TIDEWIRE_LOG", filter).stderr(Stdio::from(log));
        })
        .await;
        Logged { process, folder }
    }

    fn client(&self) -> Client {
        Client::new(self.process.address)
    }

    /// Ends the binary in order, which writes what is still queued; its log as text and as lines.
    async fn end(self) -> (String, Vec<Value>) {
        self.process.stop().await;
        let text = std::fs::read_to_string(Path::new(self.folder.path()).join("log")).unwrap();
        let object = |line: &str| -> Value {
            let object: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            assert!(object["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
            assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&object["level"].as_str().unwrap()));
            assert!(object["fields"]["message"].is_string() && object["target"].is_string(), "{line}");
            object
        };
        let lines = text.lines().map(object).collect();
        (text, lines)
    }
}

fn of_request<'a>(lines: &'a [Value], id: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["span"]["request_id"] == id).collect()
}

#[tokio::test]
async fn a_failure_has_one_line_and_a_success_none_unless_asked_for() {
    let logged = Logged::start("warn,tidewire=info").await;
    let api = logged.client();
    let good = api.call("POST", "/api/tasks", json!({"title": "x"})).await;
    let bad = api.call("POST", "/api/tasks", json!({})).await;
    let (_, lines) = logged.end().await;
    assert_eq!(of_request(&lines, good.header("x-request-id")), Vec::<&Value>::new());
    let told = of_request(&lines, bad.json["requestId"].as_str().unwrap());
    let [line] = told[..] else { panic!("{} lines: {told:?}", told.len()) };
    assert_eq!(line["level"], "INFO");
    let fields = &line["fields"];
    assert_eq!(fields["message"], "request refused");
    assert_eq!((&fields["method"], &fields["route"]), (&json!("POST"), &json!("/api/{plural}")));
    assert_eq!((&fields["status"], &fields["code"]), (&json!(422), &json!("VALIDATION_FAILED")));
    assert!(fields["duration_ms"].is_u64(), "{line}");
}

#[tokio::test]
async fn every_request_has_a_line_when_the_operator_asks_for_debug() {
    let logged = Logged::start("tidewire=debug").await;
    let api = logged.client();
    let mut ids = Vec::new();
    for (method, path, body) in [
        ("POST", "/api/tasks", json!({"title": "x"})),
        ("GET", "/api/tasks", Value::Null),
        ("GET", "/health", Value::Null),
        ("GET", "/nope", Value::Null),
        ("GET", "/api/nope", Value::Null),
    ] {
        let answer = api.call(method, path, body).await;
        ids.push((answer.header("x-request-id").to_owned(), answer.status));
    }
    let (_, lines) = logged.end().await;
    for (id, status) in ids {
        let told = of_request(&lines, &id);
        let [line] = told[..] else { panic!("{} lines for {status}: {told:?}", told.len()) };
        assert_eq!(line["fields"]["status"], status);
    }
}

#[tokio::test]
async fn an_id_that_the_caller_brings_is_taken_over_where_it_is_sane() {
    let logged = Logged::start("warn,tidewire=info").await;
    let api = logged.client();
    let long = "x".repeat(64);
    for id in ["a", "A-1.b_2", long.as_str()] {
        let bad = api.call_with("GET", "/api/nope", Value::Null, &[("X-Request-Id", id)]).await;
        assert_eq!((bad.header("x-request-id"), &bad.json["requestId"]), (id, &json!(id)));
        let good = api.call_with("GET", "/health", Value::Null, &[("X-Request-Id", id)]).await;
        assert_eq!(good.header("x-request-id"), id, "on every answer");
    }
    let too_long = "x".repeat(65);
    for id in ["", "a b", "a\"b", "ä", "{}", "a/b", too_long.as_str()] {
        let bad = api.call_with("GET", "/api/nope", Value::Null, &[("X-Request-Id", id)]).await;
        let made = bad.header("x-request-id");
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}: {made}");
        assert_eq!(bad.json["requestId"], made);
    }
    let twice = [("X-Request-Id", "one"), ("X-Request-Id", "two")];
    let made = api.call_with("GET", "/health", Value::Null, &twice).await;
    assert_eq!(made.header("x-request-id").len(), 32);
    let foreign = [("X-Request-Id", "mine"), ("Host", "evil.example")];
    let refused = api.call_with("GET", "/health", Value::Null, &foreign).await;
    assert_eq!((refused.status, refused.header("x-request-id")), (403, "mine"));
    let (_, lines) = logged.end().await;
    for id in ["a", "A-1.b_2", long.as_str(), "mine"] {
        assert_eq!(of_request(&lines, id).len(), 1, "{id}");
    }
}

/// What no line may hold.
const SECRET: &str = "s3cr3tzz";

#[tokio::test]
async fn no_token_no_body_no_query_and_no_address_is_logged() {
    let logged = Logged::start("tidewire=trace").await;
    let (api, address) = (logged.client(), logged.process.address);
    let record = api.create("tasks", json!({"title": SECRET})).await;
    let one = format!("/api/tasks/{}", record["id"].as_str().unwrap());
    let bearer = format!("Bearer {SECRET}");
    let cookie = format!("session={SECRET}");
    let referer = format!("http://{address}/?token={SECRET}");
    let long = format!("/{}{SECRET}", "x/".repeat(500));
    let mut count = 0;
    for path in [
        "/api/tasks".to_owned(),
        one.clone(),
        format!("/api/tasks?token={SECRET}"),
        format!("/api/tasks?ticket={SECRET}"),
        format!("/api/tasks?access_token={SECRET}"),
        format!("/api/tasks?title={SECRET}&limit=0"),
        format!("/api/tasks?as={SECRET}"),
        format!("/api/tasks/{SECRET}"),
        format!("/api/{SECRET}"),
        format!("/api/{SECRET}/x"),
        format!("/{SECRET}"),
        format!("/{SECRET}%0a%7B%22level%22%3A%22ERROR%22%7D"),
        format!("/%1b%5b31m{SECRET}"),
        format!("/..%2f..%2f{SECRET}"),
        format!("/static/{SECRET}"),
        format!("/_/e/{SECRET}"),
        format!("/api/changes?channel=entity:Task:{SECRET}"),
        format!("/api/changes?channel={SECRET}&since={SECRET}"),
        long,
    ] {
        for headers in [
            &[][..],
            &[("Authorization", bearer.as_str())][..],
            &[("X-API-Key", SECRET)][..],
            &[("Cookie", cookie.as_str())][..],
            &[("Referer", referer.as_str()), ("User-Agent", SECRET)][..],
            &[("Origin", "http://s3cr3tzz.example")][..],
            &[("X-Forwarded-For", "10.1.2.3"), ("Idempotency-Key", SECRET)][..],
            &[("X-Request-Id", "s3cr3tzz not sane")][..],
            &[("Host", "s3cr3tzz.example")][..],
        ] {
            for method in ["GET", "POST", "PATCH", "DELETE", SECRET] {
                api.call_with(method, &path, json!({"title": SECRET, SECRET: SECRET}), headers).await;
                count += 1;
            }
        }
    }
    for path in [format!("/ws?token={SECRET}"), format!("/ws?as={SECRET}"), format!("/ws?as={SECRET}&as=x")] {
        if let Ok(mut socket) = Socket::try_open(address, &path, &[], None).await {
            socket.frame().await;
        }
    }
    let mut socket = Socket::open(address).await;
    for text in [SECRET.to_owned(), json!({"type": SECRET, "channel": SECRET}).to_string()] {
        socket.send_text(&text).await;
        socket.expect("error").await;
    }
    socket.send(&json!({"type": "auth", "payload": {"token": SECRET}})).await;
    assert_eq!(socket.closed().await, Some(4401));
    let (text, lines) = logged.end().await;
    assert!(lines.len() >= count, "{} lines for {count} requests", lines.len());
    for word in [SECRET, "127.0.0.1", "10.1.2.3", "\\u001b", &one] {
        let found = text.lines().find(|line| line.contains(word));
        assert_eq!(found, None, "{word}");
    }
    assert!(lines.iter().all(|line| line["level"] != "ERROR"), "none of this is the server's fault");
}

#[tokio::test]
async fn an_administrator_who_asks_as_a_user_leaves_a_line_with_both_names() {
    let logged = Logged::start("warn,tidewire=info").await;
    let root = Client::named(logged.process.address, "root:admin");
    let task = root.create("tasks", json!({"title": "x"})).await;
    let of_task = format!("entity=Task&record={}", task["id"].as_str().unwrap());
    root.get(&format!("/api/admin/explain?user=ada&{of_task}&operation=update")).await;
    let seq = root.get("/api/admin/inspect/events?entity=Task").await["items"][0]["seq"].clone();
    let gone = "0190a000-0000-7000-8000-00000000000a";
    root.get(&format!("/api/admin/why/{gone}:{seq}?user=ben&channel=entity:Task")).await;
    let mut socket = Socket::open_at(logged.process.address, "/ws?as=cy").await;
    let live = socket.expect("connected").await["payload"]["connectionId"].as_str().unwrap().to_owned();
    root.get(&format!("/api/admin/why/{live}:{seq}")).await;
    let (_, lines) = logged.end().await;
    let asked =
        lines.iter().filter(|line| line["fields"]["message"].as_str().unwrap().contains("asked what"));
    let told: Vec<Value> = asked
        .map(|line| {
            let of = |name: &str| line["fields"][name].clone();
            json!([line["level"], of("by"), of("user"), of("entity"), of("operation")])
        })
        .collect();
    let line = |user: &str, operation: &str| json!(["INFO", "root", user, "Task", operation]);
    assert_eq!(told, [line("ada", "update"), line("ben", "subscribe"), line("cy", "subscribe")]);
}

#[tokio::test]
async fn a_start_that_fails_says_so_in_the_form_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data");
    std::fs::write(&file, "not a folder").unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["dev", "--log", "json", "--listen", "127.0.0.1:0", "--data"])
        .arg(&file)
        .arg("--schemas")
        .arg(crate::support::process::plain_schemas())
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["fields"]["message"].as_str().unwrap().contains("data"), "{text}");
}
