//! Schemas that change in the middle of writes, reads, snapshots and resumes: no record of the one shape is ever sent under
//! the other, and every client ends with the state of a fresh read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::schema;
use crate::support::app::{Client, TestApp};
use crate::support::follower::Follower;
use crate::support::random::Random;
use crate::support::socket::{Came, Socket};

const CHANGES: u64 = 14;
const WRITERS: u64 = 3;
const WINDOWS: u64 = 6;
const WRITES_BETWEEN: u64 = 40;

/// The field is `a` in odd generations and `b` in even ones.
fn of_generation(generation: u64) -> Arc<tidewire::schema::Schema> {
    let (is, was) = if generation % 2 == 1 { ("a", "b") } else { ("b", "a") };
    schema(&[&format!(
        "entity = 'Task'\n[fields]\ntitle = {{ type = 'text' }}\n{is} = {{ type = 'int', default = 7, was = '{was}' }}\n"
    )])
}

fn fits(generation: u64, row: &Value) -> bool {
    let (is, was) = if generation % 2 == 1 { ("a", "b") } else { ("b", "a") };
    row[is] == 7 && row.get(was).is_none()
}

struct World {
    app: TestApp,
    writes: AtomicU64,
    written: Notify,
    /// The writers are to end.
    done: CancellationToken,
    /// They have ended: what is there now stays.
    quiet: CancellationToken,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_ends_with_a_fresh_read_after_many_schema_changes() {
    let app = TestApp::over(of_generation(1), |config| {
        config.realtime.outbox_batches = 3;
        config.realtime.ring_changes = 30;
        config.realtime.page_rows = 9;
        config.realtime.messages_per_second = 1_000_000;
        config.realtime.message_burst = 1_000_000;
    })
    .await;
    let (writes, written) = (AtomicU64::new(0), Notify::new());
    let (done, quiet) = (CancellationToken::new(), CancellationToken::new());
    let world = Arc::new(World { app, writes, written, done, quiet });
    let windows: Vec<_> =
        (0..WINDOWS).map(|n| tokio::spawn(window(world.clone(), Random::new(900 + n)))).collect();
    let writers: Vec<_> = (0..WRITERS).map(|n| tokio::spawn(writer(world.clone(), Random::new(n)))).collect();
    for generation in 2..=CHANGES + 1 {
        let enough = world.writes.load(Ordering::SeqCst) + WRITES_BETWEEN;
        while world.writes.load(Ordering::SeqCst) < enough {
            world.written.notified().await;
        }
        let evolved = world.app.reshape(of_generation(generation)).await.unwrap();
        assert_eq!(evolved.generation.0, generation);
    }
    world.done.cancel();
    for writer in writers {
        writer.await.unwrap();
    }
    world.quiet.cancel();
    let fresh = world.app.rows("tasks").await;
    assert!(fresh.values().all(|row| fits(CHANGES + 1, row)));
    let (mut resyncs, mut events) = (0, 0);
    for window in windows {
        let follower = window.await.unwrap();
        assert_eq!(follower.broken, Vec::<String>::new());
        assert!(follower.rows == fresh, "a window differs from a fresh read");
        resyncs += follower.counts.resyncs;
        events += follower.counts.events;
    }
    assert!(resyncs > CHANGES && events > 100, "{resyncs} resyncs, {events} events");
}

/// Creates, changes and lists tasks. An answer of another schema than it was asked for is a refusal, and nothing else is.
async fn writer(world: Arc<World>, mut random: Random) {
    let api: Client = world.app.client();
    let mut made: Vec<String> = Vec::new();
    while !world.done.is_cancelled() {
        let answer = match random.below(5) {
            0 if !made.is_empty() => {
                let id = &made[random.below(made.len() as u64) as usize];
                api.call("PATCH", &format!("/api/tasks/{id}"), json!({"title": random.next().to_string()}))
                    .await
            }
            1 => api.call("GET", "/api/tasks?sort=-title&limit=20", Value::Null).await,
            _ => api.call("POST", "/api/tasks", json!({"title": "t"})).await,
        };
        let refused = answer.status == 503 && answer.json["code"] == "SCHEMA_CHANGED";
        assert!([200, 201].contains(&answer.status) || refused, "{}", answer.text);
        if answer.status == 201 {
            made.push(answer.id());
        }
        world.writes.fetch_add(1, Ordering::SeqCst);
        world.written.notify_one();
    }
}

/// Follows the tasks through cuts until the writers have ended and everything has come.
async fn window(world: Arc<World>, mut random: Random) -> Follower {
    let mut follower = Follower::new("entity:Task");
    follower.fits = Some(fits);
    loop {
        let mut socket = Socket::open(world.app.address).await;
        // A connection gets changes only, so on a new one nothing is known.
        follower.generation = 0;
        socket.send(&follower.subscribe()).await;
        if world.quiet.is_cancelled() {
            to_the_end(&world.app, &mut socket, &mut follower).await;
            return follower;
        }
        for _ in 0..20 + random.below(200) {
            tokio::select! {
                came = socket.came() => match came {
                    Came::Frame(frame) => follower.take(&frame),
                    Came::Closed(code) => panic!("the server closed with {code:?}"),
                },
                () = world.quiet.cancelled() => break,
            }
        }
        socket.cut();
    }
}

async fn to_the_end(app: &TestApp, socket: &mut Socket, follower: &mut Follower) {
    while !follower.live || follower.position < app.head() {
        if follower.live {
            socket.send(&json!({"type": "ping"})).await;
        }
        follower.take(&socket.frame().await);
    }
}
