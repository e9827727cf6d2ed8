//! A client that does not read costs other clients nothing, and loses nothing itself.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::follower::Follower;
use crate::support::socket::{Came, PATIENCE, Socket};

/// Larger than what the kernel holds back for a stalled socket, by `RECORDS` of them.
const LARGE: usize = 60_000;
const RECORDS: usize = 300;

#[tokio::test]
async fn a_stalled_reader_catches_up_from_the_log_while_others_are_undisturbed() {
    let app = TestApp::with(|config| {
        config.realtime.outbox_batches = 8;
        config.realtime.write_timeout = std::time::Duration::from_secs(60);
    })
    .await;
    let api = app.client();
    let mut stalled = Socket::try_open(app.address, "/ws", &[], Some(4096)).await.unwrap();
    let mut quick = Socket::open(app.address).await;
    let (mut slow_view, mut quick_view) = (Follower::new("entity:Task"), Follower::new("entity:Task"));
    stalled.send(&slow_view.subscribe()).await;
    take_until_live(&mut stalled, &mut slow_view).await;
    quick.send(&quick_view.subscribe()).await;
    take_until_live(&mut quick, &mut quick_view).await;
    let large = "x".repeat(LARGE);
    for n in 0..RECORDS {
        let written = api.create("tasks", json!({"title": format!("{n}"), "tags": [large]})).await;
        // The quick reader has it although the stalled one has taken nothing: no event waits for another socket.
        while !quick_view.rows.contains_key(written["id"].as_str().unwrap()) {
            take(&mut quick, &mut quick_view).await;
        }
    }
    let head = app.head();
    while slow_view.position < head || !slow_view.live {
        take(&mut stalled, &mut slow_view).await;
    }
    assert_eq!(slow_view.broken, Vec::<String>::new());
    assert_eq!(slow_view.counts.resyncs, 0, "what was missed came from the log");
    assert_eq!(slow_view.counts.events, RECORDS as u64, "each once");
    assert_eq!(slow_view.rows, app.rows("tasks").await);
    assert_eq!(quick_view.counts.events, RECORDS as u64);
    assert!(app.lags() > 0, "the story is about a connection that fell behind");
}

#[tokio::test]
async fn a_reader_that_fell_below_the_floor_is_resynced() {
    let app = TestApp::with(|config| {
        config.realtime.outbox_batches = 4;
        config.realtime.ring_changes = 1;
        config.realtime.write_timeout = std::time::Duration::from_secs(60);
        config.store.retention_changes = 20;
    })
    .await;
    let api = app.client();
    let mut stalled = Socket::try_open(app.address, "/ws", &[], Some(4096)).await.unwrap();
    let connected = stalled.frame().await;
    let mut view = Follower::new("entity:Task");
    stalled.send(&view.subscribe()).await;
    take_until_live(&mut stalled, &mut view).await;
    let large = "x".repeat(LARGE);
    for n in 0..RECORDS {
        api.create("tasks", json!({"title": format!("{n}"), "tags": [large]})).await;
    }
    let head = app.head();
    while view.position < head || !view.live {
        take(&mut stalled, &mut view).await;
    }
    assert_eq!(view.broken, Vec::<String>::new());
    assert!(view.counts.resyncs >= 1, "{:?}", view.counts);
    assert_eq!(view.rows, app.rows("tasks").await);

    // An administrator who asks is not told that these came as events.
    api.create("tasks", json!({"title": "after"})).await;
    while view.position < app.head() {
        take(&mut stalled, &mut view).await;
    }
    let (root, connection) = (app.client_as("root:admin"), &connected["payload"]["connectionId"]);
    for (seq, finding) in [(head, "snapshot"), (app.head(), "delivered")] {
        let why = root.get(&format!("/api/admin/why/{}:{seq}", connection.as_str().unwrap())).await;
        assert_eq!((&why["finding"], &why["judged"]), (&json!(finding), &json!("then")), "{why}");
    }
}

#[tokio::test]
async fn a_socket_that_accepts_nothing_is_closed_and_its_place_is_free_again() {
    let app = TestApp::with(|config| {
        config.realtime.outbox_batches = 4;
        config.realtime.write_timeout = std::time::Duration::from_millis(200);
    })
    .await;
    let api = app.client();
    let mut stalled = Socket::try_open(app.address, "/ws", &[], Some(4096)).await.unwrap();
    let mut view = Follower::new("entity:Task");
    stalled.send(&view.subscribe()).await;
    take_until_live(&mut stalled, &mut view).await;
    // A quiet channel, whose group receives no event that would sweep it.
    stalled.subscribe("entity:Task:01890000-0000-7000-8000-00000000000a", json!({})).await;
    let large = "x".repeat(LARGE);
    while app.connections() > 0 {
        api.create("tasks", json!({"title": "x", "tags": [large]})).await;
    }
    app.wait_for_groups(0).await;
}

#[tokio::test]
async fn every_question_of_a_reader_that_falls_behind_is_answered_once() {
    let app = TestApp::with(|config| {
        config.realtime.outbox_batches = 1;
        config.realtime.message_burst = 100_000;
        config.realtime.write_timeout = std::time::Duration::from_secs(60);
    })
    .await;
    let api = app.client();
    let mut socket = Socket::try_open(app.address, "/ws", &[], Some(4096)).await.unwrap();
    let mut view = Follower::new("entity:Task");
    socket.send(&view.subscribe()).await;
    take_until_live(&mut socket, &mut view).await;
    let large = "x".repeat(LARGE);
    let mut asked = 0;
    for round in 0..60 {
        // The questions come while the connection begins to stall: some answers wait behind batches that are dropped.
        let writing = async {
            for _ in 0..5 {
                api.create("tasks", json!({"title": format!("{round}"), "tags": [large]})).await;
            }
        };
        let asking = async {
            for _ in 0..100 {
                asked += 1;
                socket.send(&json!({"type": "ping", "requestId": format!("p{asked}")})).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(writing, asking);
        // A bare sign of life may overtake one with a position; every question has one answer all the same.
        let mut open: BTreeSet<String> = (asked - 99..=asked).map(|n| format!("p{n}")).collect();
        while !open.is_empty() {
            match tokio::time::timeout(PATIENCE, socket.came_ever()).await {
                Ok(Came::Frame(frame)) => {
                    match frame["requestId"].as_str().filter(|id| id.starts_with('p')) {
                        Some(id) => assert!(open.remove(id), "{id} is answered twice"),
                        None => view.take(&frame),
                    }
                }
                Ok(Came::Closed(code)) => panic!("closed with {code:?}"),
                Err(_) => panic!("never answered: {open:?}"),
            }
        }
    }
    assert!(app.lags() > 0, "the story is about a connection that fell behind");
    assert_eq!(view.broken, Vec::<String>::new());
}

#[tokio::test]
async fn a_reader_whose_answers_do_not_fit_is_closed_and_never_left_without_one() {
    let app = TestApp::with(|config| config.realtime.outbox_controls = 2).await;
    let mut closed = 0;
    // How many answers wait at once is left to chance, so it is tried until it happened.
    while closed < 3 {
        let mut socket = Socket::open(app.address).await;
        for n in 0..150 {
            socket.send(&json!({"type": "ping", "requestId": format!("{n}")})).await;
        }
        let mut answered = 0;
        while answered < 150 {
            match socket.came().await {
                Came::Frame(frame) => {
                    assert_eq!(
                        frame["requestId"],
                        format!("{answered}"),
                        "an answer is missing before {frame}"
                    );
                    answered += 1;
                }
                Came::Closed(code) => {
                    assert_eq!(code, Some(4013));
                    closed += 1;
                    break;
                }
            }
        }
    }
}

async fn take(socket: &mut Socket, follower: &mut Follower) {
    match socket.came().await {
        Came::Frame(frame) => follower.take(&frame),
        Came::Closed(code) => panic!("closed with {code:?}"),
    }
}

async fn take_until_live(socket: &mut Socket, follower: &mut Follower) {
    while !follower.live {
        take(socket, follower).await;
    }
}
