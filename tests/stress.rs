//! Random writers against subscribers that join, leave, stall, are cut and resume at random, over sockets, streams and polls.
//! Each subscriber keeps its records by the protocol's page; at the end its whole state equals a fresh read. The seed is printed
//! on failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::support::app::{Client, TestApp};
use crate::support::follower::{Counts, Follower};
use crate::support::peer::{Peer, WAYS, Way};
use crate::support::random::Random;

const PROJECTS: u64 = 6;
const TASKS: u64 = 60;
const CHANNELS: [&str; 3] = ["entity:Task", "entity:Project", "entity:Comment"];

/// How a round is disturbed.
struct Round {
    seed: u64,
    writers: u64,
    writes: u64,
    subscribers: u64,
    outbox_batches: usize,
    ring_changes: usize,
    retention: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_ends_with_the_state_of_a_fresh_read() {
    let mut total = Counts::default();
    for seed in 1..=3 * rounds() {
        let round = Round {
            seed,
            writers: 4,
            writes: 400,
            subscribers: 9,
            outbox_batches: 2,
            ring_changes: 40,
            retention: 1_000_000,
        };
        add(&mut total, run(round).await);
    }
    assert!(total.events > 5_000, "{total:?}");
    assert!(total.recovered > 20, "{total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_when_the_log_is_trimmed_under_the_subscribers() {
    let mut total = Counts::default();
    for seed in 1001..=1000 + 2 * rounds() {
        let round = Round {
            seed,
            writers: 4,
            writes: 400,
            subscribers: 9,
            outbox_batches: 2,
            ring_changes: 4,
            retention: 60,
        };
        add(&mut total, run(round).await);
    }
    assert!(total.snapshots > 16, "some resumes were below the floor: {total:?}");
}

/// `STRESS_ROUNDS=50 cargo test stress` continues for longer; once is what every change must pass.
fn rounds() -> u64 {
    std::env::var("STRESS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

async fn run(round: Round) -> Counts {
    let app = Arc::new(
        TestApp::with(|config| {
            config.realtime.outbox_batches = round.outbox_batches;
            config.realtime.ring_changes = round.ring_changes;
            config.realtime.page_rows = 7;
            config.realtime.messages_per_second = 1_000_000;
            config.realtime.message_burst = 1_000_000;
            config.store.retention_changes = round.retention;
        })
        .await,
    );
    let written = Arc::new(AtomicBool::new(false));
    let subscribers: Vec<_> = (0..round.subscribers)
        .map(|n| {
            let way = WAYS[n as usize % WAYS.len()];
            tokio::spawn(subscriber(way, app.clone(), Random::new(round.seed * 1000 + n), written.clone()))
        })
        .collect();
    let writers: Vec<_> = (0..round.writers)
        .map(|n| tokio::spawn(writer(app.client(), Random::new(round.seed * 7777 + n), round.writes)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let mut counts = Counts::default();
    let fresh = [app.rows("tasks").await, app.rows("projects").await, app.rows("comments").await];
    for subscriber in subscribers {
        for (follower, fresh) in subscriber.await.unwrap().into_iter().zip(&fresh) {
            assert_eq!(follower.broken, Vec::<String>::new(), "seed {}", round.seed);
            assert!(
                follower.rows == *fresh,
                "seed {}: {} differs from a fresh read",
                round.seed,
                follower.channel
            );
            add(&mut counts, follower.counts);
        }
    }
    counts
}

async fn writer(api: Client, mut random: Random, writes: u64) {
    for _ in 0..writes {
        let project = fixed_id("a", random.below(PROJECTS));
        let task = fixed_id("b", random.below(TASKS));
        match random.below(12) {
            0 => api.any("DELETE", &format!("/api/projects/{project}"), json!(null)).await,
            1 | 2 => api.any("POST", "/api/projects", json!({"id": project, "name": "p"})).await,
            3..=5 => {
                let body = json!({"id": task, "title": "t", "project": project});
                api.any("POST", "/api/tasks", body).await
            }
            6..=8 => {
                let body = json!({"title": format!("{}", random.below(5)), "priority": 1 + random.below(5)});
                api.any("PATCH", &format!("/api/tasks/{task}"), body).await
            }
            9 => api.any("DELETE", &format!("/api/tasks/{task}"), json!(null)).await,
            10 => api.any("POST", "/api/comments", json!({"body": "c", "task": task})).await,
            _ => api.batch_of_creates(&[&format!("x{}", random.below(9)), "y"]).await,
        };
    }
}

/// Follows three channels through cuts, stalls and restarts until the writers are done and everything has come.
async fn subscriber(
    way: Way,
    app: Arc<TestApp>,
    mut random: Random,
    written: Arc<AtomicBool>,
) -> Vec<Follower> {
    let mut followers: Vec<Follower> = CHANNELS.iter().map(|channel| Follower::new(channel)).collect();
    loop {
        let mut peer = Peer::open(way, &app, None).await;
        for follower in &mut followers {
            peer.say(follower.subscribe()).await;
        }
        let last_life = written.load(Ordering::SeqCst);
        let frames = random.below(300);
        if last_life {
            follow_to_the_end(&app, &mut peer, &mut followers).await;
            return followers;
        }
        for _ in 0..frames {
            if written.load(Ordering::SeqCst) {
                break;
            }
            match random.below(40) {
                0 => peer.say(json!({"type": "ping"})).await,
                1 => {
                    let chosen = random.below(3) as usize;
                    // Only from a live position: what is still to come of the last answer would be taken for the new one.
                    if followers[chosen].live {
                        peer.say(followers[chosen].subscribe()).await;
                        take_until_answered(&mut peer, &mut followers, chosen).await;
                    }
                }
                2 => tokio::task::yield_now().await,
                _ => {
                    let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), peer.came());
                    match waiting.await {
                        Ok(Some(frame)) => followers.iter_mut().for_each(|follower| follower.take(&frame)),
                        Ok(None) => break,
                        Err(_) => {}
                    }
                }
            }
        }
        // Broken off without a word, also a request that is under way.
        drop(peer);
    }
}

/// After one channel was restarted, frames of its old life may still be under way: they are not the follower's.
async fn take_until_answered(peer: &mut Peer, followers: &mut [Follower], chosen: usize) {
    loop {
        let Some(frame) = peer.came().await else { return };
        let answer = frame["type"] == "subscribed" && frame["channel"] == followers[chosen].channel.as_str();
        for (at, follower) in followers.iter_mut().enumerate() {
            if answer || at != chosen {
                follower.take(&frame);
            }
        }
        if answer {
            return;
        }
    }
}

async fn follow_to_the_end(app: &TestApp, peer: &mut Peer, followers: &mut [Follower]) {
    let head = app.head();
    let done =
        |followers: &[Follower]| followers.iter().all(|follower| follower.live && follower.position >= head);
    while !done(followers) {
        let frame = peer.came().await.expect("the connection goes on");
        followers.iter_mut().for_each(|follower| follower.take(&frame));
        let behind = !done(followers) && followers.iter().all(|follower| follower.live);
        if behind {
            peer.say(json!({"type": "ping"})).await;
        }
    }
}

fn fixed_id(family: &str, n: u64) -> String {
    format!("01890000-0000-7000-8000-{family}0000000{n:04}")
}

fn add(total: &mut Counts, counts: Counts) {
    total.events += counts.events;
    total.recovered += counts.recovered;
    total.snapshots += counts.snapshots;
    total.resyncs += counts.resyncs;
}
