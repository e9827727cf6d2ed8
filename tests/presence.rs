//! Presence over real sockets: who sees whom, tabs, killed clients, strangers, and rights that are lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::config::{Config, NameRuleText, NameRuleTexts, WordRuleText};
use tidewire::schema::Schema;

use crate::support::app::{Client, TestApp};
use crate::support::ruled;
use crate::support::socket::Socket;

const BOARD: &str = "presence:Board";

async fn start() -> TestApp {
    start_with(|_| {}).await
}

async fn start_with(change: impl FnOnce(&mut Config)) -> TestApp {
    start_over(ruled::schema(), change).await
}

async fn start_over(schema: Arc<Schema>, change: impl FnOnce(&mut Config)) -> TestApp {
    let data = tempfile::tempdir().unwrap();
    let app = TestApp::governed(data, schema, |config| {
        config.realtime.presence_hold = Duration::from_millis(200);
        change(config);
    })
    .await;
    // A first request makes the `User` record.
    for person in ["root", "ada", "ben"] {
        app.client_as(person).get("/api/boards").await;
    }
    app
}

async fn open(app: &TestApp, person: &str) -> Socket {
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={person}")).await;
    socket.expect("connected").await;
    socket
}

async fn anonymous(app: &TestApp) -> Socket {
    Socket::open(app.address).await
}

/// Joins, and answers with who is there.
async fn join(socket: &mut Socket, channel: &str, metadata: Value) -> Vec<String> {
    socket
        .send(&json!({"type": "presence:join", "channel": channel, "requestId": "j", "payload": {"metadata": metadata}}))
        .await;
    let sync = socket.expect("presence:sync").await;
    assert_eq!((&sync["channel"], &sync["requestId"]), (&json!(channel), &json!("j")), "{sync}");
    assert_eq!(sync.get("seq"), None, "presence has no seq: {sync}");
    ids(&sync)
}

fn ids(frame: &Value) -> Vec<String> {
    let users = frame["payload"]["users"].as_array().unwrap_or_else(|| panic!("no users: {frame}"));
    users.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
}

/// The next frame, which says this of these users.
async fn told(socket: &mut Socket, kind: &str, users: &[&str]) -> Value {
    let frame = socket.expect(kind).await;
    assert_eq!(ids(&frame), users, "{frame}");
    frame
}

async fn refused(socket: &mut Socket, code: &str) -> Value {
    let error = socket.expect("error").await;
    assert_eq!(error["payload"]["code"], code, "{error}");
    error
}

async fn member(root: &Client, person: &str, project: &str) -> Value {
    root.create("memberships", json!({"person": person, "project": project})).await
}

async fn task(root: &Client, project: &str) -> String {
    let task = root.create("tasks", json!({"project": project, "title": "t", "status": "open"})).await;
    task["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_users_see_each_other_join_update_and_leave() {
    let app = start().await;
    let (mut ada, mut ben) = (open(&app, "ada").await, open(&app, "ben").await);
    assert_eq!(join(&mut ada, BOARD, json!({"cursor": 1, "typing": true})).await, ["ada"]);
    assert_eq!(join(&mut ben, BOARD, json!({})).await, ["ada", "ben"]);
    let joined = told(&mut ada, "presence:join", &["ben"]).await;
    let user = &joined["payload"]["users"][0];
    assert_eq!((&user["state"], &user["connections"]), (&json!("active"), &json!(1)), "{joined}");
    assert!(user["joinedAt"].as_i64() > Some(0) && user["lastSeen"].as_i64() > Some(0), "{joined}");
    let update = json!({"type": "presence:update", "channel": BOARD, "payload": {"metadata": {"cursor": 2, "typing": null}}});
    ada.send(&update).await;
    let update = told(&mut ben, "presence:update", &["ada"]).await;
    assert_eq!(
        update["payload"]["users"][0]["metadata"],
        json!({"cursor": 2}),
        "shallow, and null takes away"
    );
    // The author of a change hears of it as the others do, so all have the same.
    told(&mut ada, "presence:update", &["ada"]).await;
    ben.send(&json!({"type": "presence:heartbeat", "channel": BOARD, "requestId": "h"})).await;
    assert_eq!(ben.expect("ack").await["requestId"], "h");
    ben.send(&json!({"type": "presence:leave", "channel": BOARD})).await;
    told(&mut ada, "presence:leave", &["ben"]).await;
    ben.nothing_else().await;
    ada.nothing_else().await;
    app.stop().await;
}

#[tokio::test]
async fn each_spelling_of_an_id_is_the_same_resource() {
    let app = start().await;
    let root = app.client_as("root");
    for user in ["root", "ada", "ben"] {
        member(&root, user, "p1").await;
    }
    let id = task(&root, "p1").await;
    let spelled = [id.to_lowercase(), id.to_uppercase()].map(|id| format!("presence:Task/{id}"));
    let (mut ada, mut ben) = (open(&app, "ada").await, open(&app, "ben").await);
    assert_eq!(join(&mut ada, &spelled[0], json!({})).await, ["ada"]);
    assert_eq!(join(&mut ben, &spelled[1], json!({})).await, ["ada", "ben"]);
    let joined = told(&mut ada, "presence:join", &["ben"]).await;
    assert_eq!(joined["channel"], json!(spelled[0]), "each is answered under the name that it wrote");
    for spelling in &spelled {
        let resource = spelling.strip_prefix("presence:").unwrap();
        let (_, seen) = app.client_as("ada").get_any(&format!("/api/realtime/presence/{resource}")).await;
        assert_eq!(seen["counts"]["users"], 2, "{seen}");
    }
    ben.send(&json!({"type": "presence:leave", "channel": spelled[0]})).await;
    told(&mut ada, "presence:leave", &["ben"]).await;
    app.stop().await;
}

#[tokio::test]
async fn two_tabs_are_one_user_and_closing_one_changes_nothing_but_their_number() {
    let app = start_with(|config| config.realtime.presence_hold = Duration::ZERO).await;
    let (mut ada, mut first) = (open(&app, "ada").await, open(&app, "ben").await);
    join(&mut ada, BOARD, json!({})).await;
    join(&mut first, BOARD, json!({"at": 1})).await;
    told(&mut ada, "presence:join", &["ben"]).await;
    let mut second = open(&app, "ben").await;
    assert_eq!(join(&mut second, BOARD, json!({"at": 2, "more": 1})).await, ["ada", "ben"]);
    let both = told(&mut ada, "presence:update", &["ben"]).await;
    let ben = &both["payload"]["users"][0];
    assert_eq!((&ben["connections"], &ben["metadata"]), (&json!(2), &json!({"at": 2, "more": 1})));
    second.cut();
    let one = told(&mut ada, "presence:update", &["ben"]).await;
    let ben = &one["payload"]["users"][0];
    assert_eq!((&ben["connections"], &ben["metadata"]), (&json!(1), &json!({"at": 1})));
    first.cut();
    told(&mut ada, "presence:leave", &["ben"]).await;
    app.stop().await;
}

#[tokio::test]
async fn a_killed_client_is_gone_after_the_hold_and_one_that_comes_back_in_it_was_never_gone() {
    let app = start_with(|config| config.realtime.presence_hold = Duration::from_secs(3)).await;
    let (mut ada, mut ben) = (open(&app, "ada").await, open(&app, "ben").await);
    join(&mut ada, BOARD, json!({})).await;
    join(&mut ben, BOARD, json!({"x": 1})).await;
    told(&mut ada, "presence:join", &["ben"]).await;
    ben.cut();
    let mut again = open(&app, "ben").await;
    join(&mut again, BOARD, json!({"x": 1})).await;
    ada.nothing_else().await;
    again.cut();
    let gone = tokio::time::Instant::now();
    told(&mut ada, "presence:leave", &["ben"]).await;
    assert!(gone.elapsed() >= Duration::from_secs(2), "held: {:?}", gone.elapsed());
    app.stop().await;
}

#[tokio::test]
async fn a_hidden_tab_that_only_answers_pings_stays_and_looks_idle_and_one_that_does_not_leaves() {
    let app = start_with(|config| {
        config.realtime.ping_interval = Duration::from_millis(100);
        config.realtime.pong_timeout = Duration::from_millis(900);
        config.realtime.presence_idle_after = Duration::from_millis(400);
        config.realtime.presence_away_after = Duration::from_millis(1_500);
    })
    .await;
    let (mut ada, mut hidden) = (open(&app, "ada").await, open(&app, "ben").await);
    ada.subscribe(BOARD, json!({})).await;
    told(&mut ada, "presence:sync", &[]).await;
    join(&mut hidden, BOARD, json!({})).await;
    told(&mut ada, "presence:join", &["ben"]).await;
    // The hidden tab reads, and so answers pings; it has no timers.
    let reading = tokio::spawn(async move {
        loop {
            hidden.came_ever().await;
        }
    });
    for state in ["idle", "away"] {
        let frame = loop {
            let frame = ada.frame().await;
            if frame["type"] == "presence:update" {
                break frame;
            }
        };
        assert_eq!(frame["payload"]["users"][0]["state"], state, "{frame}");
    }
    let (_, here) = app.client_as("ada").get_any("/api/realtime/presence/Board").await;
    assert_eq!((&here["users"][0]["id"], &here["users"][0]["state"]), (&json!("ben"), &json!("away")));
    assert!(
        here["users"][0]["lastSeen"].as_i64() > here["users"][0]["joinedAt"].as_i64(),
        "pongs count: {here}"
    );
    // From here on it answers nothing.
    reading.abort();
    let frame = loop {
        let frame = ada.frame().await;
        if frame["type"] != "pong" {
            break frame;
        }
    };
    assert_eq!((&frame["type"], ids(&frame)), (&json!("presence:leave"), vec!["ben".to_owned()]), "{frame}");
    app.stop().await;
}

#[tokio::test]
async fn a_stranger_neither_sees_nor_is_seen_and_cannot_tell_a_hidden_record_from_none() {
    let app = start().await;
    let root = app.client_as("root");
    member(&root, "root", "p1").await;
    member(&root, "ada", "p1").await;
    let hidden = task(&root, "p1").await;
    let (mut ada, mut ben) = (open(&app, "ada").await, open(&app, "ben").await);
    let none = "00000000-0000-7000-8000-000000000001";
    join(&mut ada, &format!("presence:Task/{hidden}"), json!({})).await;
    let mut words = Vec::new();
    for id in [hidden.as_str(), none, "no-id"] {
        let channel = format!("presence:Task/{id}");
        for kind in ["presence:join", "subscribe"] {
            ben.send(&json!({"type": kind, "channel": channel, "requestId": "r"})).await;
            let error = refused(&mut ben, "FORBIDDEN_CHANNEL").await;
            assert_eq!((&error["channel"], &error["requestId"]), (&json!(channel), &json!("r")));
            words.push(error["payload"]["message"].clone());
        }
        let (status, problem) =
            app.client_as("ben").get_any(&format!("/api/realtime/presence/Task/{id}")).await;
        assert_eq!((status, &problem["code"]), (404, &json!("NOT_FOUND")));
    }
    words.dedup();
    assert_eq!(words.len(), 1, "one text for all: {words:?}");
    ada.nothing_else().await;
    let below = format!("/api/realtime/presence/Task/{hidden}/title");
    assert_eq!(app.client_as("ben").get_any(&below).await.0, 404, "below a record it is the record's rule");
    assert_eq!(app.client_as("ada").get_any(&below).await.0, 200);
    // `Vault` is closed to all but admins, and so is its list.
    ben.send(&json!({"type": "subscribe", "channel": "presence:Vault"})).await;
    refused(&mut ben, "FORBIDDEN_CHANNEL").await;
    app.stop().await;
}

#[tokio::test]
async fn a_lost_right_removes_the_entry_and_says_so_and_the_others_see_a_leave() {
    let app = start().await;
    let root = app.client_as("root");
    member(&root, "root", "p1").await;
    member(&root, "ada", "p1").await;
    let of_ben = member(&root, "ben", "p1").await;
    let id = task(&root, "p1").await;
    let channel = format!("presence:Task/{id}");
    let (mut ada, mut ben) = (open(&app, "ada").await, open(&app, "ben").await);
    join(&mut ada, &channel, json!({})).await;
    join(&mut ben, &channel, json!({})).await;
    told(&mut ada, "presence:join", &["ben"]).await;
    root.delete(&format!("/api/memberships/{}", of_ben["id"].as_str().unwrap())).await;
    told(&mut ben, "presence:sync", &[]).await;
    let error = refused(&mut ben, "FORBIDDEN_CHANNEL").await;
    assert_eq!(error["channel"], json!(channel));
    told(&mut ada, "presence:leave", &["ben"]).await;
    // What happens from here on is not his to know.
    ada.send(&json!({"type": "presence:update", "channel": channel, "payload": {"metadata": {"a": 1}}}))
        .await;
    told(&mut ada, "presence:update", &["ada"]).await;
    ben.nothing_else().await;
    // The record leaves the sight of everyone when it moves.
    root.patch(&format!("/api/tasks/{id}"), json!({"title": "still here"})).await;
    ada.nothing_else().await;
    member(&root, "root", "p2").await;
    root.patch(&format!("/api/tasks/{id}"), json!({"project": "p2"})).await;
    told(&mut ada, "presence:sync", &[]).await;
    refused(&mut ada, "FORBIDDEN_CHANNEL").await;
    // One who may read it again may join again.
    member(&root, "ada", "p2").await;
    ada.expect("rights:changed").await;
    assert_eq!(join(&mut ada, &channel, json!({})).await, ["ada"]);
    root.delete(&format!("/api/tasks/{id}")).await;
    told(&mut ada, "presence:sync", &[]).await;
    refused(&mut ada, "FORBIDDEN_CHANNEL").await;
    app.stop().await;
}

#[tokio::test]
async fn a_lost_right_to_join_removes_the_entry_and_says_so_while_watching_goes_on() {
    let patterns = NameRuleTexts(vec![NameRuleText {
        pattern: "hall/{project}".into(),
        rules: vec![
            WordRuleText { word: "watch".into(), source: "true".into() },
            WordRuleText { word: "join".into(), source: "project in user.memberships.project".into() },
        ],
    }]);
    let app = start_with(|config| config.presence = patterns).await;
    let (root, hall) = (app.client_as("root"), "presence:hall/p1");
    member(&root, "ada", "p1").await;
    let (mut ada, mut tab, mut phone) =
        (open(&app, "ada").await, open(&app, "ben").await, open(&app, "ben").await);
    let of_ben = member(&root, "ben", "p1").await;
    join(&mut ada, hall, json!({})).await;
    join(&mut tab, hall, json!({})).await;
    told(&mut ada, "presence:join", &["ben"]).await;
    phone.subscribe(hall, json!({})).await;
    told(&mut phone, "presence:sync", &["ada", "ben"]).await;
    join(&mut phone, hall, json!({})).await;
    told(&mut tab, "presence:update", &["ben"]).await;
    told(&mut ada, "presence:update", &["ben"]).await;
    root.delete(&format!("/api/memberships/{}", of_ben["id"].as_str().unwrap())).await;
    // The tab had joined and did not watch, so it sees nothing any longer. The phone watches on.
    told(&mut tab, "presence:sync", &[]).await;
    assert!(
        refused(&mut tab, "FORBIDDEN_CHANNEL").await["payload"]["message"]
            .as_str()
            .unwrap()
            .contains("not join")
    );
    refused(&mut phone, "FORBIDDEN_CHANNEL").await;
    told(&mut ada, "presence:leave", &["ben"]).await;
    told(&mut phone, "presence:leave", &["ben"]).await;
    tab.nothing_else().await;
    member(&root, "ben", "p1").await;
    tab.expect("rights:changed").await;
    assert_eq!(join(&mut tab, hall, json!({})).await, ["ada", "ben"]);
    app.stop().await;
}

#[tokio::test]
async fn names_follow_their_patterns_and_are_closed_without_one() {
    let rule = |word: &str, source: &str| WordRuleText { word: word.into(), source: source.into() };
    let patterns = NameRuleTexts(vec![
        NameRuleText {
            pattern: "project/{project}".into(),
            rules: vec![rule("watch", "project in user.memberships.project")],
        },
        NameRuleText {
            pattern: "lobby".into(),
            rules: vec![rule("watch", "true"), rule("join", "user.role == 'admin'")],
        },
    ]);
    // Everybody reads the tasks, so that only the rule of a name asks for memberships.
    let task = "entity = \"Task\"\n[fields]\ntitle = { type = \"text\" }\n[access]\nread = \"true\"\n";
    let schema = ruled::schema_with(&[("task.toml", task)]);
    let app = start_over(schema, |config| config.presence = patterns).await;
    let root = app.client_as("root");
    let of_ada = member(&root, "ada", "p1").await;
    let (mut ada, mut ben, mut guest) =
        (open(&app, "ada").await, open(&app, "ben").await, anonymous(&app).await);
    join(&mut ada, "presence:project/p1", json!({})).await;
    ben.send(&json!({"type": "presence:join", "channel": "presence:project/p1"})).await;
    refused(&mut ben, "FORBIDDEN_CHANNEL").await;
    ben.send(&json!({"type": "presence:join", "channel": "presence:nowhere"})).await;
    refused(&mut ben, "FORBIDDEN_CHANNEL").await;
    // Their change is a change of rights all the same.
    root.delete(&format!("/api/memberships/{}", of_ada["id"].as_str().unwrap())).await;
    told(&mut ada, "presence:sync", &[]).await;
    refused(&mut ada, "FORBIDDEN_CHANNEL").await;
    // Everybody watches the lobby; only admins are in it.
    ben.subscribe("presence:lobby", json!({})).await;
    told(&mut ben, "presence:sync", &[]).await;
    ben.send(&json!({"type": "presence:join", "channel": "presence:lobby"})).await;
    refused(&mut ben, "FORBIDDEN_CHANNEL").await;
    guest.send(&json!({"type": "presence:join", "channel": "presence:lobby"})).await;
    refused(&mut guest, "UNAUTHENTICATED").await;
    guest.subscribe("presence:lobby", json!({"count": true})).await;
    let count = guest.expect("presence:count").await;
    assert_eq!(count["payload"], json!({"users": 0, "connections": 0}));
    let mut admin = open(&app, "root:admin").await;
    join(&mut admin, "presence:lobby", json!({})).await;
    told(&mut ben, "presence:join", &["root"]).await;
    let count = guest.expect("presence:count").await;
    assert_eq!(count["payload"], json!({"users": 1, "connections": 1}), "and no names");
    let (status, here) = app.client().get_any("/api/realtime/presence/lobby?count").await;
    assert_eq!((status, &here["counts"]["users"], here.get("users")), (200, &json!(1), None));
    let (status, tree) = app.client_as("root:admin").get_any("/api/admin/presence?under=lobby").await;
    let row = json!({"resource": "lobby", "users": 1, "connections": 1, "watchers": 3});
    assert_eq!((status, &tree["resources"]), (200, &json!([row])));
    assert_eq!(app.client_as("ben").get_any("/api/admin/presence").await.0, 403);
    app.stop().await;
}

#[tokio::test]
async fn subscribing_shows_who_is_there_without_being_there_and_ends_with_unsubscribe() {
    let app = start().await;
    let (mut ada, mut ben) = (open(&app, "ada").await, open(&app, "ben").await);
    join(&mut ada, BOARD, json!({})).await;
    ben.subscribe(BOARD, json!({})).await;
    told(&mut ben, "presence:sync", &["ada"]).await;
    ada.nothing_else().await;
    ben.send(&json!({"type": "presence:update", "channel": BOARD})).await;
    refused(&mut ben, "NOT_SUBSCRIBED").await;
    ben.send(&json!({"type": "unsubscribe", "channel": BOARD, "requestId": "u"})).await;
    assert_eq!(ben.expect("unsubscribed").await["requestId"], "u");
    ben.send(&json!({"type": "unsubscribe", "channel": BOARD})).await;
    refused(&mut ben, "NOT_SUBSCRIBED").await;
    ada.send(&json!({"type": "presence:leave", "payload": {"resource": "Board"}})).await;
    ben.nothing_else().await;
    app.stop().await;
}

#[tokio::test]
async fn bad_frames_and_limits_are_answered_and_the_connection_lives() {
    let app = start_with(|config| {
        config.realtime.presence_entries = 2;
        config.realtime.presence_members = 1;
        config.realtime.presence_metadata_bytes = 16;
    })
    .await;
    let mut ada = open(&app, "ada").await;
    for (frame, code) in [
        (json!({"type": "presence:join"}), "BAD_CHANNEL"),
        (json!({"type": "presence:join", "channel": "presence:"}), "BAD_CHANNEL"),
        (json!({"type": "presence:join", "channel": "entity:Board"}), "BAD_CHANNEL"),
        (json!({"type": "subscribe", "channel": "presence:a//b"}), "BAD_CHANNEL"),
        (json!({"type": "presence:join", "channel": BOARD, "payload": 7}), "BAD_FRAME"),
        (json!({"type": "presence:join", "channel": BOARD, "payload": {"metadata": [1]}}), "BAD_FRAME"),
        (json!({"type": "presence:join", "channel": BOARD, "payload": {"state": "asleep"}}), "BAD_FRAME"),
        (json!({"type": "subscribe", "channel": BOARD, "payload": {"count": 1}}), "BAD_FRAME"),
        (json!({"type": "presence:update", "channel": BOARD}), "NOT_SUBSCRIBED"),
        (json!({"type": "presence:heartbeat", "channel": BOARD}), "NOT_SUBSCRIBED"),
        (json!({"type": "presence:leave", "channel": BOARD}), "NOT_SUBSCRIBED"),
        (json!({"type": "unsubscribe", "channel": BOARD}), "NOT_SUBSCRIBED"),
        (json!({"type": "presence:enter", "channel": BOARD}), "UNKNOWN_MESSAGE_TYPE"),
        (
            json!({"type": "presence:join", "channel": BOARD, "payload": {"metadata": {"long": "aaaaaaaaaaaa"}}}),
            "PRESENCE_LIMIT",
        ),
    ] {
        ada.send(&frame).await;
        let error = ada.expect("error").await;
        assert_eq!(error["payload"]["code"], code, "{frame}\n{error}");
    }
    join(&mut ada, BOARD, json!({"a": "aaaaa"})).await;
    let update =
        json!({"type": "presence:update", "channel": BOARD, "payload": {"metadata": {"b": "bbbbb"}}});
    ada.send(&update).await;
    refused(&mut ada, "PRESENCE_LIMIT").await;
    let mut ben = open(&app, "ben").await;
    ben.send(&json!({"type": "presence:join", "channel": BOARD})).await;
    refused(&mut ben, "PRESENCE_LIMIT").await;
    join(&mut ada, "presence:Membership", json!({})).await;
    ada.send(&json!({"type": "subscribe", "channel": "presence:User"})).await;
    refused(&mut ada, "PRESENCE_LIMIT").await;
    for (path, status) in [
        ("/api/realtime/presence/Board?limit=0", 400),
        ("/api/realtime/presence/Board?count=maybe", 400),
        ("/api/realtime/presence/Board?fields=id", 400),
        ("/api/realtime/presence/a%2F%2Fb", 404),
        ("/api/realtime/presence/a//b", 400),
        ("/api/realtime/presence/Board", 200),
    ] {
        assert_eq!(app.client_as("ada").get_any(path).await.0, status, "{path}");
    }
    app.stop().await;
}
