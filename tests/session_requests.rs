//! Bad requests to `/sse` and to the endpoints of sessions: each is answered by a status, a code and the words that name the fault,
//! and none of them does anything.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::peer::{Peer, Way};

/// One request and what must be said about it. `{poll}` and `{stream}` are sessions of Ada, `{bens}` is one of Ben.
struct Row {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    status: u16,
    code: &'static str,
    words: &'static str,
}

const fn row(
    (method, path): (&'static str, &'static str),
    body: &'static str,
    (status, code): (u16, &'static str),
    words: &'static str,
) -> Row {
    Row { method, path, body, status, code, words }
}

const BAD_QUERY: (u16, &str) = (400, "BAD_QUERY");
const BAD_FRAME: (u16, &str) = (400, "BAD_FRAME");
const BAD_CHANNEL: (u16, &str) = (400, "BAD_CHANNEL");
const NOT_FOUND: (u16, &str) = (404, "NOT_FOUND");
const NOT_ALLOWED: (u16, &str) = (405, "METHOD_NOT_ALLOWED");

const SUBSCRIBE: (&str, &str) = ("POST", "/api/realtime/session/{poll}/subscribe");
const UNSUBSCRIBE: (&str, &str) = ("POST", "/api/realtime/session/{poll}/unsubscribe");
const PRESENCE: (&str, &str) = ("POST", "/api/realtime/session/{poll}/presence");
const MESSAGE: (&str, &str) = ("POST", "/api/realtime/session/{poll}/message");
const MUTATE: (&str, &str) = ("POST", "/api/realtime/session/{poll}/mutate");
const LEASE: (&str, &str) = ("POST", "/api/realtime/session/{poll}/lease");
const PING: (&str, &str) = ("POST", "/api/realtime/session/{poll}/ping");

const fn get(path: &'static str) -> (&'static str, &'static str) {
    ("GET", path)
}

const fn post(path: &'static str) -> (&'static str, &'static str) {
    ("POST", path)
}

const TABLE: [Row; 58] = [
    // The address of a stream.
    row(
        get("/sse?channel=entity:Task&channels=x"),
        "",
        BAD_QUERY,
        "`channels` is not a parameter here: use channel,",
    ),
    row(get("/sse?channel=entity:Task&since="), "", (400, "BAD_POSITION"), "`since`"),
    row(get("/sse?channel=entity:Task&since=a:b"), "", (400, "BAD_POSITION"), "`since`"),
    row(
        get("/sse?channel=entity:Task&view=a&view=b"),
        "",
        BAD_QUERY,
        "give one view for each channel, or none",
    ),
    row(
        get("/sse?channel=entity:Task&channel=activity&sort=title"),
        "",
        BAD_QUERY,
        "`sort` is given 1 times",
    ),
    row(get("/sse?channel=entity:Task&sort=title"), "", BAD_QUERY, "`sort` needs a `limit`"),
    row(get("/sse?channel=entity:Task&limit=-1"), "", BAD_QUERY, "`limit` is a whole number from 1 to 1000"),
    row(get("/sse?channel=entity:Task&snapshot=1"), "", BAD_QUERY, "`snapshot` is true or false"),
    row(get("/sse?channel=%FF"), "", BAD_QUERY, "UTF-8"),
    row(post("/sse?channel=entity:Task"), "", NOT_ALLOWED, "GET"),
    row(("DELETE", "/sse"), "", NOT_ALLOWED, "GET"),
    // The opening of a session of polls takes the same address.
    row(
        post("/api/realtime/session?channel=entity:Task&wait=3"),
        "",
        BAD_QUERY,
        "`wait` is not a parameter here",
    ),
    row(post("/api/realtime/session?since=7"), "", (400, "BAD_POSITION"), "`since`"),
    row(post("/api/realtime/session?snapshot=yes"), "", BAD_QUERY, "`snapshot`"),
    row(post("/api/realtime/session?channel=entity:Task&limit=1001"), "", BAD_QUERY, "`limit`"),
    row(post("/api/realtime/session?view=a"), "", BAD_QUERY, "`view` is given 1 times and `channel` 0 times"),
    row(get("/api/realtime/session"), "", NOT_ALLOWED, "POST"),
    row(post("/api/realtime/session"), r#"{"channels": ["entity:Task"]}"#, BAD_QUERY, "without a body"),
    row(
        post("/api/realtime/session?channel=entity:Task"),
        " ",
        BAD_QUERY,
        "name its channels in the address",
    ),
    // A poll.
    row(get("/api/realtime/session/{poll}?after=-1"), "", BAD_QUERY, "`after` is a whole number from 0"),
    row(get("/api/realtime/session/{poll}?after=one"), "", BAD_QUERY, "not `one`"),
    row(get("/api/realtime/session/{poll}?after=99"), "", BAD_QUERY, "`after` names frame 99"),
    row(get("/api/realtime/session/{poll}?after=1&after=1"), "", BAD_QUERY, "after"),
    row(get("/api/realtime/session/{poll}?wait=26"), "", BAD_QUERY, "`wait` is a whole number from 0 to 25"),
    row(
        get("/api/realtime/session/{poll}?since=7"),
        "",
        BAD_QUERY,
        "`since` is not a parameter here: use after and wait",
    ),
    row(get("/api/realtime/session/{stream}"), "", NOT_ALLOWED, "belongs to a stream"),
    row(("PUT", "/api/realtime/session/{poll}"), "{}", NOT_ALLOWED, "GET"),
    // Sessions that are not the caller's.
    row(
        get("/api/realtime/session/{bens}"),
        "",
        NOT_FOUND,
        "there is no such session, or another caller opened it",
    ),
    row(("DELETE", "/api/realtime/session/{bens}"), "", NOT_FOUND, "open a new one"),
    row(
        post("/api/realtime/session/{bens}/subscribe"),
        r#"{"channel": "entity:Task"}"#,
        NOT_FOUND,
        "no such session",
    ),
    row(
        post("/api/realtime/session/{bens}/mutate"),
        r#"{"payload": {"op": "create", "entity": "Project", "data": {"name": "x"}}}"#,
        NOT_FOUND,
        "no such session",
    ),
    row(post("/api/realtime/session/none/ping"), "{}", NOT_FOUND, "no such session"),
    row(post("/api/realtime/session/%20/ping"), "{}", NOT_FOUND, "no such session"),
    row(post("/api/realtime/session/{bens}/nonsense"), "{}", NOT_FOUND, "no such session"),
    // What is said to a session.
    row(
        post("/api/realtime/session/{poll}/join"),
        "{}",
        NOT_FOUND,
        "`join` is nothing that a session can be asked: use",
    ),
    row(
        post("/api/realtime/session/{poll}/Subscribe"),
        "{}",
        NOT_FOUND,
        "use subscribe, unsubscribe, presence,",
    ),
    row(get("/api/realtime/session/{poll}/ping"), "", NOT_ALLOWED, "POST"),
    row(PING, "", BAD_FRAME, "not JSON"),
    row(PING, "{", BAD_FRAME, "not JSON"),
    row(PING, "[]", BAD_FRAME, "not a JSON object"),
    row(PING, "7", BAD_FRAME, "not a JSON object"),
    row(PING, r#"{"type": "pong"}"#, BAD_FRAME, "`type` is ping here"),
    row(PING, r#"{"type": 7}"#, BAD_FRAME, "`type` is ping here"),
    row(PING, r#"{"requestId": 7}"#, BAD_FRAME, "`requestId` is a number, not a string"),
    row(SUBSCRIBE, "{}", BAD_CHANNEL, "the frame has no `channel`"),
    row(SUBSCRIBE, r#"{"channel": 7}"#, BAD_CHANNEL, "`channel` is a number, not a string"),
    row(SUBSCRIBE, r#"{"channel": "entity:Task", "payload": []}"#, BAD_FRAME, "`payload` is a"),
    row(
        SUBSCRIBE,
        r#"{"channel": "entity:Task", "payload": {"snapshot": 1}}"#,
        BAD_FRAME,
        "`payload.snapshot`",
    ),
    row(SUBSCRIBE, r#"{"type": "mutate", "channel": "entity:Task"}"#, BAD_FRAME, "`type` is subscribe here"),
    row(UNSUBSCRIBE, "{}", BAD_CHANNEL, "the frame has no `channel`"),
    row(
        PRESENCE,
        r#"{"channel": "presence:Board"}"#,
        BAD_FRAME,
        "`type` is presence:join or presence:update or",
    ),
    row(PRESENCE, r#"{"type": "presence:join"}"#, BAD_CHANNEL, "the frame names no resource"),
    row(MESSAGE, r#"{"channel": "room:x"}"#, BAD_FRAME, "`payload` must be an object"),
    row(MESSAGE, r#"{"channel": "room:x", "payload": {"data": 1}}"#, BAD_FRAME, "`payload.event` is missing"),
    row(MUTATE, "{}", BAD_FRAME, "the frame has no `payload`"),
    row(MUTATE, r#"{"payload": 7}"#, BAD_FRAME, "`payload` is a number, not an object"),
    row(LEASE, r#"{"type": "lease:acquire"}"#, BAD_FRAME, "`payload` must be an object with `resource`"),
    row(
        LEASE,
        r#"{"type": "lease:renew", "payload": {"resource": "Task/7"}}"#,
        BAD_FRAME,
        "`payload.fence` is missing",
    ),
];

#[tokio::test]
async fn bad_requests_to_streams_and_sessions_name_the_fault_and_do_nothing() {
    let app = TestApp::start().await;
    app.client_as("ada").get("/api/projects").await;
    let mut polling = Peer::open(Way::LongPoll, &app, Some("ada")).await;
    let mut streaming = Peer::open(Way::Sse, &app, Some("ada")).await;
    let mut bens = Peer::open(Way::LongPoll, &app, Some("ben")).await;
    let head = app.head();
    let mut wrong = Vec::new();
    for row in &TABLE {
        let path = row.path.replace("{poll}", &polling.session).replace("{stream}", &streaming.session);
        let path = path.replace("{bens}", &bens.session);
        let mut request = app.client_as("ada").request(row.method, &path);
        if row.method != "GET" {
            request = request.header("content-type", "application/json").body(row.body);
        }
        let answer = app.client().send(request).await;
        let detail = answer.json["detail"].as_str().unwrap_or_default();
        let told = (answer.status, answer.json["code"].as_str().unwrap_or_default());
        let allow = answer.header("allow");
        if told != (row.status, row.code) || !(detail.contains(row.words) || allow.contains(row.words)) {
            wrong.push(format!("{} {} {}: {}", row.method, row.path, row.body, answer.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((app.head(), app.connections()), (head, 3), "nothing was written, and no session was opened");
    for peer in [&mut polling, &mut streaming, &mut bens] {
        peer.nothing_else().await;
    }
}

#[tokio::test]
async fn the_type_and_the_size_of_a_frame_are_limited_as_of_any_body() {
    let app = TestApp::start().await;
    let peer = Peer::open(Way::LongPoll, &app, Some("ada")).await;
    let path = format!("/api/realtime/session/{}/ping", peer.session);
    let ada = app.client_as("ada");
    let large = |bytes: usize| format!("{{\"x\": \"{}\"}}", "x".repeat(bytes));
    let table = [
        ("text/plain", "{}".to_owned(), 415, "UNSUPPORTED_MEDIA_TYPE"),
        ("application/json", large(64 << 10), 413, "FRAME_TOO_LARGE"),
        ("application/json", large(1 << 20), 413, "BODY_TOO_LARGE"),
    ];
    for (kind, body, status, code) in table {
        let answer = ada.send(ada.request("POST", &path).header("content-type", kind).body(body)).await;
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{}", answer.text);
    }
    let no_utf8 =
        ada.request("POST", &path).header("content-type", "application/json").body(vec![b'{', 0xff]);
    let answer = ada.send(no_utf8).await;
    assert_eq!((answer.status, &answer.json["code"]), (400, &json!("BAD_FRAME")), "{}", answer.text);
    assert_eq!(ada.any("POST", &path, json!({})).await, (202, json!({"accepted": true})));
    assert_eq!(ada.call("DELETE", &path.replace("/ping", ""), Value::Null).await.status, 204);
}
