//! Random writers against subscribers that join, leave, stall, are cut and resume at random, on every transport. Each subscriber
//! keeps its records by the protocol's page; at the end its whole state equals a fresh read. The seed is printed on failure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::app::{Client, TestApp};
use crate::support::follower::{Counts, Follower};
use crate::support::peer::{Peer, Way};
use crate::support::poller::Poller;
use crate::support::random::Random;

const PROJECTS: u64 = 6;
const TASKS: u64 = 60;
const CHANNELS: [&str; 3] = ["entity:Task", "entity:Project", "entity:Comment"];

/// How a subscriber is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Socket,
    /// A stream that is asked by requests to its session.
    Stream,
    /// A stream that says everything in its address and comes back by its last id, as a browser does.
    Browser,
    Session,
    /// Polls, each of which stands alone.
    Poll,
}

const SOCKETS: &[Line] = &[Line::Socket];
const ALL_LINES: &[Line] = &[Line::Socket, Line::Stream, Line::Browser, Line::Session, Line::Poll];

/// How a round is disturbed.
struct Round {
    /// The subscribers take these in turn.
    lines: &'static [Line],
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
            lines: SOCKETS,
            seed,
            writers: 4,
            writes: 400,
            subscribers: 8,
            outbox_batches: 2,
            ring_changes: 40,
            retention: 1_000_000,
        };
        add(&mut total, run(round).await[&Line::Socket]);
    }
    assert!(total.events > 5_000, "{total:?}");
    assert!(total.recovered > 20, "{total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_holds_when_the_log_is_trimmed_under_the_subscribers() {
    let mut total = Counts::default();
    for seed in 1001..=1000 + 2 * rounds() {
        let round = Round {
            lines: SOCKETS,
            seed,
            writers: 4,
            writes: 400,
            subscribers: 8,
            outbox_batches: 2,
            ring_changes: 4,
            retention: 60,
        };
        add(&mut total, run(round).await[&Line::Socket]);
    }
    assert!(total.snapshots > 16, "some resumes were below the floor: {total:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_on_every_transport_end_with_the_same_state() {
    let mut total: BTreeMap<Line, Counts> = BTreeMap::new();
    for seed in 2001..=2000 + 2 * rounds() {
        // Of two rounds one goes below the floor.
        let retention = if seed % 2 == 0 { 60 } else { 1_000_000 };
        let round = Round {
            lines: ALL_LINES,
            seed,
            writers: 4,
            writes: 300,
            subscribers: 10,
            outbox_batches: 2,
            ring_changes: 20,
            retention,
        };
        for (line, counts) in run(round).await {
            add(total.entry(line).or_default(), counts);
        }
    }
    for line in ALL_LINES {
        let counts = total[line];
        assert!(counts.events > 200, "{line:?}: {total:?}");
        assert!(counts.recovered > 3, "{line:?} continued: {total:?}");
        assert!(counts.snapshots > 6, "{line:?} began anew: {total:?}");
    }
}

/// `STRESS_ROUNDS=50 cargo test stress` continues for longer; once is what every change must pass.
fn rounds() -> u64 {
    std::env::var("STRESS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

async fn run(round: Round) -> BTreeMap<Line, Counts> {
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
    let lines = round.lines.iter().copied().cycle();
    let subscribers: Vec<_> = (0..round.subscribers)
        .zip(lines)
        .map(|(n, line)| {
            let random = Random::new(round.seed * 1000 + n);
            (line, tokio::spawn(subscriber(line, app.clone(), random, written.clone())))
        })
        .collect();
    let writers: Vec<_> = (0..round.writers)
        .map(|n| tokio::spawn(writer(app.client(), Random::new(round.seed * 7777 + n), round.writes)))
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    written.store(true, Ordering::SeqCst);
    let mut counts: BTreeMap<Line, Counts> = BTreeMap::new();
    let fresh = [app.rows("tasks").await, app.rows("projects").await, app.rows("comments").await];
    for (line, subscriber) in subscribers {
        for (kept, fresh) in subscriber.await.unwrap().into_iter().zip(&fresh) {
            assert_eq!(kept.broken, Vec::<String>::new(), "seed {}, {line:?}", round.seed);
            assert!(
                kept.rows == *fresh,
                "seed {}: {} over {line:?} differs from a fresh read",
                round.seed,
                kept.channel
            );
            add(counts.entry(line).or_default(), kept.counts);
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

/// What a subscriber has of one channel at the end.
struct Kept {
    channel: String,
    rows: BTreeMap<String, Value>,
    broken: Vec<String>,
    counts: Counts,
}

async fn subscriber(line: Line, app: Arc<TestApp>, random: Random, written: Arc<AtomicBool>) -> Vec<Kept> {
    if line == Line::Poll {
        let poller = poll(&app, random, &written).await;
        let kept = poller.channels.into_iter().map(|one| {
            let (channel, rows, counts) = (one.channel, one.rows, one.counts);
            Kept { channel, rows, broken: one.ended.into_iter().collect(), counts }
        });
        return kept.collect();
    }
    let kept = follow(line, &app, random, &written).await.into_iter().map(|one| {
        let Follower { channel, rows, broken, counts, .. } = one;
        Kept { channel, rows, broken, counts }
    });
    kept.collect()
}

/// Follows three channels through cuts, stalls and restarts until the writers are done and everything has come.
async fn follow(line: Line, app: &TestApp, mut random: Random, written: &AtomicBool) -> Vec<Follower> {
    let mut followers: Vec<Follower> = CHANNELS.iter().map(|channel| Follower::new(channel)).collect();
    let mut last_event_id = String::new();
    loop {
        let mut peer = connect(line, app, &mut followers, &last_event_id).await;
        if written.load(Ordering::SeqCst) {
            follow_to_the_end(app, &mut peer, &mut followers).await;
            return followers;
        }
        for _ in 0..random.below(300) {
            if written.load(Ordering::SeqCst) {
                break;
            }
            match random.below(40) {
                0 => peer.say(json!({"type": "ping"})).await,
                1 if line != Line::Browser => {
                    let chosen = random.below(3) as usize;
                    // Only from a live position: what is still to come of the last answer would be taken for the new one.
                    if followers[chosen].live {
                        peer.say(followers[chosen].subscribe()).await;
                        take_until_answered(&mut peer, &mut followers, chosen).await;
                    }
                }
                2 => tokio::task::yield_now().await,
                // A poll that is under way then never gets its answer.
                _ => match timeout(Duration::from_millis(20), peer.came()).await {
                    Ok(Some(frame)) => followers.iter_mut().for_each(|follower| follower.take(&frame)),
                    Ok(None) => break,
                    Err(_) => {}
                },
            }
        }
        let (read, id) = peer.break_off();
        read.iter().for_each(|frame| followers.iter_mut().for_each(|follower| follower.take(frame)));
        last_event_id = id;
    }
}

async fn connect(line: Line, app: &TestApp, followers: &mut [Follower], last_event_id: &str) -> Peer {
    let way = match line {
        Line::Browser => {
            // The id of a stream that had no position yet names none.
            let position = last_event_id.split(':').nth(1).and_then(|seq| seq.parse().ok());
            followers.iter_mut().for_each(|follower| follower.resumes_from(position));
            return Peer::browser(app, &CHANNELS, last_event_id).await;
        }
        Line::Stream => Way::Sse,
        Line::Session => Way::LongPoll,
        Line::Socket | Line::Poll => Way::Ws,
    };
    let mut peer = Peer::open(way, app, None).await;
    for follower in followers {
        peer.say(follower.subscribe()).await;
    }
    peer
}

/// After one channel was restarted, frames of its old life may still be under way: they are not the follower's.
async fn take_until_answered(peer: &mut Peer, followers: &mut [Follower], chosen: usize) {
    while let Some(frame) = peer.came().await {
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

/// Polls three channels, loses some of the answers, and ends when everything has come.
async fn poll(app: &TestApp, mut random: Random, written: &AtomicBool) -> Poller {
    let mut poller = Poller::new(app.client(), &CHANNELS);
    while !written.load(Ordering::SeqCst) {
        match random.below(10) {
            0 => drop(timeout(Duration::from_millis(2), poller.poll(0)).await),
            1 => tokio::task::yield_now().await,
            _ => poller.poll(random.below(2)).await,
        }
    }
    let head = app.head();
    while poller.position().is_none_or(|seq| seq < head) {
        poller.poll(0).await;
    }
    poller
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
