//! Live channels over real sockets: order, record channels, the cap, resuming, and what a broken client gets.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::app::TestApp;
use crate::support::follower::Follower;
use crate::support::socket::{Came, Socket};

/// The events of a socket until `count` came.
async fn events(socket: &mut Socket, count: usize) -> Vec<Value> {
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        let frame = socket.frame().await;
        if frame["type"].as_str().is_some_and(|kind| kind.starts_with("entity:")) {
            events.push(frame);
        }
    }
    events
}

fn number(frame: &Value, key: &str) -> u64 {
    frame[key].as_u64().unwrap_or_else(|| panic!("no {key} in {frame}"))
}

#[tokio::test]
async fn every_subscriber_sees_every_change_once_in_one_order() {
    let app = TestApp::start().await;
    let mut sockets = Vec::new();
    for _ in 0..6 {
        let mut socket = Socket::open(app.address).await;
        socket.subscribe("entity:Task", json!({})).await;
        sockets.push(socket);
    }
    let writers = (0..8).map(|writer| {
        let app = app.client();
        async move {
            for n in 0..25 {
                app.create("tasks", json!({"title": format!("{writer}/{n}")})).await;
            }
        }
    });
    futures_util::future::join_all(writers).await;
    let mut orders = Vec::new();
    for socket in &mut sockets {
        let events = events(socket, 200).await;
        let seqs: Vec<u64> = events.iter().map(|event| number(event, "seq")).collect();
        assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "in log order");
        let chained = events.windows(2).all(|pair| number(&pair[1], "prev") == number(&pair[0], "seq"));
        assert!(chained, "each event names the one before");
        socket.nothing_else().await;
        orders.push(events.iter().map(|event| event["payload"]["title"].clone()).collect::<Vec<_>>());
    }
    assert!(orders.iter().all(|order| *order == orders[0]), "all agree");
}

#[tokio::test]
async fn an_event_says_what_changed_who_did_it_and_by_which_mutation() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    let ada = app.client_as("ada");
    let created = ada.create("tasks", json!({"title": "Write"})).await;
    let id = created["id"].as_str().unwrap();
    ada.patch_with_mid(&format!("/api/tasks/{id}"), json!({"title": "Read", "priority": 5}), "m-1").await;
    ada.delete(&format!("/api/tasks/{id}")).await;
    let events = events(&mut socket, 3).await;
    assert_eq!(events[0]["type"], "entity:created");
    assert_eq!(events[0]["payload"], created, "the payload is the record as REST answers it");
    assert_eq!(events[0]["by"], "ada");
    assert_eq!(events[1]["type"], "entity:updated");
    assert_eq!(events[1]["changed"], json!(["title", "priority"]));
    assert_eq!(events[1]["mid"], "m-1");
    assert_eq!(events[1]["payload"]["version"], 2);
    assert_eq!(events[2]["type"], "entity:deleted");
    assert_eq!(events[2]["payload"], json!({"id": id}), "a delete carries the id and nothing else");
    socket.nothing_else().await;
}

#[tokio::test]
async fn a_record_channel_gets_only_its_record_even_before_it_exists() {
    let app = TestApp::start().await;
    let id = "01890000-0000-7000-8000-00000000000a";
    let mut socket = Socket::open(app.address).await;
    socket.subscribe(&format!("entity:Task:{id}"), json!({})).await;
    let api = app.client();
    api.create("tasks", json!({"title": "another"})).await;
    api.create("tasks", json!({"id": id, "title": "mine"})).await;
    api.patch(&format!("/api/tasks/{id}"), json!({"title": "still mine"})).await;
    api.delete(&format!("/api/tasks/{id}")).await;
    let kinds: Vec<_> = events(&mut socket, 3).await.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["entity:created", "entity:updated", "entity:deleted"]);
    socket.nothing_else().await;
}

#[tokio::test]
async fn a_delete_with_its_cascade_is_one_unit() {
    let app = TestApp::start().await;
    let api = app.client();
    let project = api.create("projects", json!({"name": "p"})).await;
    for n in 0..3 {
        api.create("tasks", json!({"title": format!("t{n}"), "project": project["id"]})).await;
    }
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    socket.subscribe("entity:Project", json!({})).await;
    api.delete(&format!("/api/projects/{}", project["id"].as_str().unwrap())).await;
    let events = events(&mut socket, 4).await;
    let of = |channel: &str| events.iter().filter(|event| event["channel"] == channel).collect::<Vec<_>>();
    let more: Vec<bool> = of("entity:Task").iter().map(|event| event["more"] == true).collect();
    assert_eq!(more, [true, true, false], "all but the last event of the unit in this channel");
    let parent = of("entity:Project");
    assert_eq!(parent.len(), 1);
    assert!(parent[0]["more"].is_null());
    assert!(
        of("entity:Task").iter().all(|child| number(child, "seq") < number(parent[0], "seq")),
        "children first"
    );
}

#[tokio::test]
async fn the_fifty_first_subscription_is_an_error_and_the_connection_lives() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    for n in 0..50 {
        socket.subscribe(&format!("entity:Task:01890000-0000-7000-8000-0000000000{n:02}"), json!({})).await;
    }
    socket.send(&json!({"type": "subscribe", "channel": "entity:Task", "requestId": "51"})).await;
    let error = socket.expect("error").await;
    assert_eq!(error["requestId"], "51");
    assert_eq!(error["payload"]["code"], "SUBSCRIPTION_LIMIT");
    socket
        .send(&json!({"type": "unsubscribe", "channel": "entity:Task:01890000-0000-7000-8000-000000000000"}))
        .await;
    socket.expect("unsubscribed").await;
    socket.subscribe("entity:Task", json!({})).await;
    app.client().create("tasks", json!({"title": "x"})).await;
    assert_eq!(events(&mut socket, 1).await[0]["payload"]["title"], "x");
}

#[tokio::test]
async fn after_unsubscribe_nothing_of_the_channel_follows() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    socket.send(&json!({"type": "unsubscribe", "channel": "entity:Task", "requestId": "u"})).await;
    assert_eq!(socket.expect("unsubscribed").await["requestId"], "u");
    app.client().create("tasks", json!({"title": "x"})).await;
    socket.nothing_else().await;
}

#[tokio::test]
async fn a_cut_connection_resumes_without_a_gap_or_a_duplicate() {
    let app = TestApp::start().await;
    let api = app.client();
    let mut follower = Follower::new("entity:Task");
    let mut socket = Socket::open(app.address).await;
    socket.send(&follower.subscribe()).await;
    for round in 0..5 {
        for n in 0..7 {
            api.create("tasks", json!({"title": format!("{round}/{n}")})).await;
        }
        follow_until(&mut socket, &mut follower, app.head()).await;
        socket.cut();
        for n in 0..20 {
            api.create("tasks", json!({"title": format!("missed {round}/{n}")})).await;
        }
        socket = Socket::open(app.address).await;
        socket.send(&follower.subscribe()).await;
    }
    follow_until(&mut socket, &mut follower, app.head()).await;
    assert_eq!(follower.broken, Vec::<String>::new());
    assert_eq!(follower.counts.recovered, 5, "every resume was one");
    assert_eq!(follower.rows, app.rows("tasks").await);
}

#[tokio::test]
async fn below_the_floor_a_resume_is_a_snapshot_and_says_so() {
    let app = TestApp::with(|config| {
        config.store.retention_changes = 5;
        config.realtime.ring_changes = 1;
    })
    .await;
    let api = app.client();
    let mut socket = Socket::open(app.address).await;
    let first = socket.subscribe("entity:Task", json!({})).await;
    for n in 0..40 {
        api.create("tasks", json!({"title": format!("{n}")})).await;
    }
    let mut socket = Socket::open(app.address).await;
    let since = json!({"since": {"epoch": first["payload"]["epoch"], "seq": first["payload"]["seq"]}});
    let answer = socket.subscribe("entity:Task", since).await;
    assert_eq!(answer["payload"]["recovered"], false);
    assert_eq!(answer["more"], true);
    assert_eq!(socket.expect("snapshot").await["payload"]["rows"].as_array().unwrap().len(), 40);
    let closing = socket.expect("pong").await;
    assert_eq!(closing["channel"], "entity:Task");
    assert_eq!(closing["payload"]["seq"], answer["payload"]["seq"]);
}

#[tokio::test]
async fn a_position_of_another_log_is_never_resumed() {
    let app = TestApp::start().await;
    app.client().create("tasks", json!({"title": "x"})).await;
    let mut socket = Socket::open(app.address).await;
    let mine = socket.subscribe("entity:Task", json!({})).await["payload"]["epoch"].clone();
    let other = "0123456789abcdef0123456789abcdef";
    for (since, what) in [
        (json!({"epoch": other, "seq": 0}), "an unknown epoch"),
        (json!({"epoch": "", "seq": 0}), "an empty epoch"),
        (json!({"seq": 0}), "no epoch"),
        (json!({"epoch": mine, "seq": 1_000_000}), "a seq beyond the head"),
    ] {
        let answer = socket.subscribe("entity:Task", json!({"since": since})).await;
        assert_eq!(answer["payload"]["recovered"], false, "{what}");
        socket.expect("snapshot").await;
        assert_eq!(socket.expect("pong").await["channel"], "entity:Task", "{what}");
    }
    let answer = socket.subscribe("entity:Task", json!({"since": {"epoch": mine, "seq": 0}})).await;
    assert_eq!(answer["payload"]["recovered"], true, "the true position is one");
}

#[tokio::test]
async fn two_matching_channels_get_one_event_each() {
    let app = TestApp::start().await;
    let id = "01890000-0000-7000-8000-00000000000a";
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    socket.subscribe(&format!("entity:Task:{id}"), json!({})).await;
    app.client().create("tasks", json!({"id": id, "title": "x"})).await;
    let events = events(&mut socket, 2).await;
    let mut channels: Vec<_> =
        events.iter().map(|event| event["channel"].as_str().unwrap().to_owned()).collect();
    channels.sort();
    assert_eq!(channels, ["entity:Task".to_owned(), format!("entity:Task:{id}")]);
    assert_eq!(events[0]["seq"], events[1]["seq"]);
    socket.nothing_else().await;
}

#[tokio::test]
async fn a_ping_is_answered_behind_the_events_that_were_there_before_it() {
    let app = TestApp::start().await;
    let api = app.client();
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    for n in 0..50 {
        api.create("tasks", json!({"title": format!("{n}")})).await;
        socket.send(&json!({"type": "ping"})).await;
    }
    let (mut last_event, mut pongs) = (0, 0);
    while pongs < 50 {
        let frame = socket.frame().await;
        if frame["type"] == "pong" {
            pongs += 1;
            let reached = number(&frame["payload"], "seq");
            assert!(reached <= last_event, "a pong names {reached}, and the last event was {last_event}");
        } else {
            last_event = number(&frame, "seq");
        }
    }
}

#[tokio::test]
async fn a_client_may_send_as_much_as_the_server_announced() {
    let app = TestApp::with(|config| {
        config.realtime.messages_per_second = 1;
        config.realtime.message_burst = 30;
    })
    .await;
    let mut socket = Socket::open_at(app.address, "/ws").await;
    let connected = socket.expect("connected").await;
    let limits = &connected["payload"]["limits"];
    assert_eq!((&limits["messagesPerSecond"], &limits["messageBurst"]), (&json!(1), &json!(30)), "{limits}");
    for _ in 0..30 {
        socket.send(&json!({"type": "ping"})).await;
        socket.expect("pong").await;
    }
}

#[tokio::test]
async fn a_planned_stop_tells_every_client_when_to_come_back() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    let stopping = app.stop();
    let drain = socket.expect("drain").await;
    assert!(drain["payload"]["reconnectInMs"].as_u64().is_some(), "{drain}");
    assert_eq!(socket.closed().await, Some(1012));
    stopping.await;
}

#[tokio::test]
async fn a_planned_stop_spreads_the_return_of_its_clients_over_the_time_that_is_set() {
    for spread in [60_000, 400] {
        let app =
            TestApp::with(|config| config.realtime.drain_spread = std::time::Duration::from_millis(spread))
                .await;
        let mut sockets = Vec::new();
        for _ in 0..40 {
            sockets.push(Socket::open(app.address).await);
        }
        let stopping = app.stop();
        let mut waits = Vec::new();
        for socket in &mut sockets {
            waits.push(number(&socket.expect("drain").await["payload"], "reconnectInMs"));
            assert_eq!(socket.closed().await, Some(1012));
        }
        stopping.await;
        waits.sort_unstable();
        assert!(waits.iter().all(|wait| *wait < spread), "{waits:?} of {spread}");
        // By chance alone that happens once in a hundred thousand years of such tests.
        assert!(waits[39] - waits[0] > spread / 3, "they come back together: {waits:?} of {spread}");
        let quarter = waits.iter().filter(|wait| **wait < spread / 4).count();
        assert!(quarter < 30, "most come back at once: {waits:?} of {spread}");
    }
}

#[tokio::test]
async fn thirty_kinds_of_bad_frames_cost_an_error_and_not_the_connection() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    let long = "x".repeat(5000);
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "BAD_FRAME"),
        ("{".into(), "BAD_FRAME"),
        ("null".into(), "BAD_FRAME"),
        ("42".into(), "BAD_FRAME"),
        ("\"ping\"".into(), "BAD_FRAME"),
        ("[]".into(), "BAD_FRAME"),
        ("{}".into(), "BAD_FRAME"),
        (deep, "BAD_FRAME"),
        (r#"{"type":null}"#.into(), "BAD_FRAME"),
        (r#"{"type":7}"#.into(), "BAD_FRAME"),
        (r#"{"type":"Ping"}"#.into(), "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":""}"#.into(), "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":"presence:join","channel":"presence:x"}"#.into(), "UNAUTHENTICATED"),
        (r#"{"type":"presence:leave"}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"presence:sync"}"#.into(), "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":"presence:heartbeat"}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"entity:created","payload":{}}"#.into(), "UNKNOWN_MESSAGE_TYPE"),
        (r#"{"type":"mutate"}"#.into(), "BAD_FRAME"),
        (r#"{"type":"ping","requestId":7}"#.into(), "BAD_FRAME"),
        (format!(r#"{{"type":"ping","requestId":"{long}"}}"#), "BAD_FRAME"),
        (r#"{"type":"subscribe"}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"subscribe","channel":7}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"subscribe","channel":""}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"subscribe","channel":"entity:"}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"subscribe","channel":"entity:Task:"}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"subscribe","channel":"entity:Task:not-a-uuid"}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"subscribe","channel":"entity:Task?colour=red"}"#.into(), "BAD_CHANNEL"),
        (format!(r#"{{"type":"subscribe","channel":"entity:{long}"}}"#), "BAD_CHANNEL"),
        (r#"{"type":"subscribe","channel":"entity:Tsak"}"#.into(), "UNKNOWN_ENTITY"),
        (r#"{"type":"subscribe","channel":"entity:task"}"#.into(), "UNKNOWN_ENTITY"),
        (r#"{"type":"subscribe","channel":"user:ada"}"#.into(), "FORBIDDEN_CHANNEL"),
        (r#"{"type":"subscribe","channel":"entity:Task","payload":[]}"#.into(), "BAD_FRAME"),
        (r#"{"type":"subscribe","channel":"entity:Task","payload":{"snapshot":1}}"#.into(), "BAD_FRAME"),
        (r#"{"type":"subscribe","channel":"entity:Task","payload":{"limit":-1}}"#.into(), "BAD_FRAME"),
        (r#"{"type":"subscribe","channel":"entity:Task","payload":{"since":5}}"#.into(), "BAD_POSITION"),
        (
            r#"{"type":"subscribe","channel":"entity:Task","payload":{"since":{"epoch":"x"}}}"#.into(),
            "BAD_POSITION",
        ),
        (
            r#"{"type":"subscribe","channel":"entity:Task","payload":{"since":{"epoch":1,"seq":1}}}"#.into(),
            "BAD_POSITION",
        ),
        (r#"{"type":"unsubscribe"}"#.into(), "BAD_CHANNEL"),
        (r#"{"type":"unsubscribe","channel":"entity:Task"}"#.into(), "NOT_SUBSCRIBED"),
    ];
    assert!(cases.len() >= 30);
    for (frame, code) in cases {
        socket.send_text(&frame).await;
        let error = socket.expect("error").await;
        assert_eq!(error["payload"]["code"], code, "{frame}: {error}");
        assert!(!error["payload"]["message"].as_str().unwrap().is_empty());
        assert!(!error["payload"]["hint"].as_str().unwrap().is_empty());
    }
    socket.send_message(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(socket.expect("error").await["payload"]["code"], "BAD_FRAME");
    socket.subscribe("entity:Task", json!({})).await;
}

#[tokio::test]
async fn a_frame_over_the_limit_is_named_before_the_connection_ends() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    socket.send_text(&format!(r#"{{"type":"ping","x":"{}"}}"#, "x".repeat(65 << 10))).await;
    assert_eq!(socket.expect("error").await["payload"]["code"], "FRAME_TOO_LARGE");
    assert_eq!(socket.closed().await, Some(1009));
    let mut socket = Socket::open(app.address).await;
    socket.send_text(&"x".repeat(4 << 20)).await;
    socket.expect("error").await;
    assert_eq!(socket.closed().await, Some(1009), "the close is not lost to a reset over what was not read");
}

#[tokio::test]
async fn broken_frames_of_the_transport_end_one_connection_only() {
    let app = TestApp::start().await;
    let mut witness = Socket::open(app.address).await;
    witness.subscribe("entity:Task", json!({})).await;
    // Header and masked payload as bytes: a library would refuse to write them.
    let broken: [(&str, &[u8]); 5] = [
        ("reserved opcode", &[0x8b, 0x80, 0, 0, 0, 0]),
        ("fragmented ping", &[0x09, 0x80, 0, 0, 0, 0]),
        ("frame without mask", &[0x81, 0x02, b'{', b'}']),
        ("text that is not UTF-8", &[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]),
        ("reserved bit", &[0xf1, 0x80, 0, 0, 0, 0]),
    ];
    for (what, message) in broken {
        let mut socket = Socket::open(app.address).await;
        socket.send_bytes(message).await;
        let code = socket.closed().await;
        assert!(matches!(code, Some(1002 | 1007)), "{what}: {code:?}");
    }
    app.client().create("tasks", json!({"title": "x"})).await;
    assert_eq!(events(&mut witness, 1).await[0]["payload"]["title"], "x");
}

#[tokio::test]
async fn too_many_messages_close_with_4029_and_the_second_time_for_good() {
    let app = TestApp::start().await;
    for expected in [4029, 4429] {
        let mut socket = Socket::open(app.address).await;
        for _ in 0..250 {
            socket.send(&json!({"type": "ping"})).await;
        }
        assert_eq!(socket.closed().await, Some(expected));
    }
}

#[tokio::test]
async fn a_token_is_refused_wherever_it_comes_from_and_never_taken_as_anonymous() {
    let app = TestApp::start().await;
    for path in ["/ws?token=abc", "/ws?ticket=abc", "/ws?as=ada&token=abc"] {
        let mut socket = Socket::open_at(app.address, path).await;
        assert_eq!(socket.expect("error").await["payload"]["code"], "UNAUTHENTICATED", "{path}");
        assert_eq!(socket.closed().await, Some(4401), "{path}");
    }
    let headers: [(&'static str, &str); 1] = [("authorization", "Bearer abc")];
    let mut socket = Socket::try_open(app.address, "/ws", &headers, None).await.unwrap();
    socket.expect("error").await;
    assert_eq!(socket.closed().await, Some(4401));
    let mut socket = Socket::open(app.address).await;
    socket.send(&json!({"type": "auth", "payload": {"token": "abc"}})).await;
    assert_eq!(socket.expect("error").await["payload"]["code"], "UNAUTHENTICATED");
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn one_user_has_twenty_connections_and_the_refusal_says_so() {
    let app = TestApp::start().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::open_at(app.address, "/ws?as=ada").await;
        assert_eq!(socket.expect("connected").await["payload"]["userId"], "ada");
        open.push(socket);
    }
    let mut refused = Socket::open_at(app.address, "/ws?as=ada").await;
    let error = refused.expect("error").await;
    assert_eq!(error["payload"]["code"], "CONNECTION_LIMIT");
    assert!(error["payload"]["message"].as_str().unwrap().contains("20"), "{error}");
    assert_eq!(refused.closed().await, Some(4020));
    let mut other = Socket::open_at(app.address, "/ws?as=bob").await;
    other.expect("connected").await;
}

/// Feeds the follower until it is live and has come to `head`, by pings.
async fn follow_until(socket: &mut Socket, follower: &mut Follower, head: u64) {
    socket.send(&json!({"type": "ping"})).await;
    while !(follower.live && follower.position >= head) {
        match socket.came().await {
            Came::Frame(frame) => {
                let bare = frame["type"] == "pong" && frame["channel"].is_null();
                follower.take(&frame);
                if bare && !(follower.live && follower.position >= head) {
                    socket.send(&json!({"type": "ping"})).await;
                }
            }
            Came::Closed(code) => panic!("closed with {code:?}"),
        }
    }
}
