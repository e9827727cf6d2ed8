//! The oracle run: many people with random memberships follow the world through random changes of records, memberships, roles,
//! accounts and rules, through cuts and restarts of the server. Everything that any of them received is then judged by hand-written
//! rights at the position that it came with; what each holds in the end is compared with hand-written SQL.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::recipes::{CHANNELS, State, Variant, changes_rights, entity_of, schema, sql, takes};
use crate::support::app::{Client, TestApp};
use crate::support::follower::{Follower, What};
use crate::support::random::Random;
use crate::support::socket::{Came, Socket};

const PEOPLE: u64 = 40;
const PROJECTS: u64 = 8;
const TASKS: u64 = 80;

struct Run {
    seed: u64,
    writes: u64,
    /// Restarts of the server, each with its cuts; a change of the rules between each two.
    lives: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_user_ends_with_what_they_may_see_and_never_saw_more() {
    for seed in 1..=rounds() {
        run(Run { seed, writes: 900, lives: 3 }).await;
    }
}

/// `RIGHTS_ROUNDS=50 cargo test rights` continues for longer; once is what every change must pass.
fn rounds() -> u64 {
    std::env::var("RIGHTS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

async fn run(run: Run) {
    let mut variant = Variant::Team;
    let mut app = start(tempfile::tempdir().unwrap(), variant).await;
    settle(&admin(app.address), run.seed).await;
    let (told, address) = watch::channel(Some(app.address));
    let written = Arc::new(AtomicBool::new(false));
    let people: Vec<_> = (0..PEOPLE)
        .map(|n| {
            let random = Random::new(run.seed * 1_000 + n);
            tokio::spawn(person(format!("p{n}"), random, address.clone(), written.clone()))
        })
        .collect();
    for life in 0..run.lives {
        for half in 0..2 {
            let writers: Vec<_> = (0..2)
                .map(|n| {
                    let random = Random::new(run.seed * 7_777 + life * 10 + half * 5 + n);
                    tokio::spawn(writer(app.address, random, run.writes / run.lives / 4))
                })
                .collect();
            for writer in writers {
                writer.await.unwrap();
            }
            if half == 0 {
                variant = variant.other();
                app.reshaper.reshape(schema(variant)).await.unwrap();
            }
        }
        if life + 1 < run.lives {
            told.send_replace(None);
            app.stop().await;
            app = start(app.folder, variant).await;
            told.send_replace(Some(app.address));
        }
    }
    written.store(true, Ordering::SeqCst);
    told.send_replace(Some(app.address));
    let mut followers = BTreeMap::new();
    for (n, person) in people.into_iter().enumerate() {
        followers.insert(format!("p{n}"), person.await.unwrap());
    }
    app.stop().await;
    let database = Connection::open(app.folder.path().join("data/tidewire.db")).unwrap();
    let log = Log::read(&database);
    ends_right(&database, &log, &followers, variant, run.seed);
    let received = saw_nothing_else(&log, &followers, run.seed);
    let (right, resumes) = resumed(&log, &followers);
    assert!(received > 2_000, "seed {}: only {received} records and events came", run.seed);
    assert!(resumes > 20, "seed {}: only {resumes} resumes were to be recovered", run.seed);
    assert!(right * 100 >= resumes * 95, "seed {}: {right} of {resumes} resumes were recovered", run.seed);
}

async fn start(folder: tempfile::TempDir, variant: Variant) -> TestApp {
    TestApp::again(folder, schema(variant), |config| {
        config.realtime.ring_changes = 60;
        config.realtime.outbox_batches = 4;
        config.realtime.page_rows = 7;
        config.realtime.messages_per_second = 1_000_000;
        config.realtime.message_burst = 1_000_000;
    })
    .await
}

fn admin(address: SocketAddr) -> Client {
    Client::named(address, "root:admin")
}

/// The records before any channel is followed.
async fn settle(admin: &Client, seed: u64) {
    let mut random = Random::new(seed);
    for n in 0..PROJECTS {
        admin.any("POST", "/api/projects", json!({"id": project(n), "name": "p", "public": n == 0})).await;
    }
    for n in 0..PEOPLE {
        // The account comes into being with the first request of its person.
        admin.any("POST", "/api/users", json!({"id": format!("p{n}"), "name": format!("p{n}")})).await;
    }
    for _ in 0..PEOPLE * 2 {
        write(admin, &mut random, 0).await;
    }
    for _ in 0..TASKS {
        write(admin, &mut random, 8).await;
    }
}

async fn writer(address: SocketAddr, mut random: Random, writes: u64) {
    let admin = admin(address);
    for _ in 0..writes {
        let kind = random.below(24);
        write(&admin, &mut random, kind).await;
    }
}

/// One write; many are refused, since what they are about is not there.
async fn write(admin: &Client, random: &mut Random, kind: u64) {
    let person = format!("p{}", random.below(PEOPLE));
    let at = project(random.below(PROJECTS));
    let (task, membership) = (task(random.below(TASKS)), membership(random.below(PEOPLE * 3)));
    let role = ["viewer", "editor", "owner"][random.below(3) as usize];
    let (status, priority) = (["open", "doing", "done"][random.below(3) as usize], random.below(6));
    match kind {
        0..=2 => {
            let body = json!({"id": membership, "project": at, "member": person, "role": role});
            admin.any("POST", "/api/memberships", body).await
        }
        3 => admin.any("DELETE", &format!("/api/memberships/{membership}"), Value::Null).await,
        4 => admin.any("PATCH", &format!("/api/memberships/{membership}"), json!({"role": role})).await,
        5 => {
            let body = json!({"member": person, "project": at});
            admin.any("PATCH", &format!("/api/memberships/{membership}"), body).await
        }
        6 => admin.any("PATCH", &format!("/api/memberships/{membership}"), json!({"note": "n"})).await,
        7 => {
            let role = if random.below(2) == 0 { json!("admin") } else { json!(null) };
            admin.any("PATCH", &format!("/api/users/{person}"), json!({"role": role})).await
        }
        8..=11 => {
            let body = json!({"id": task, "title": "t", "owner": person, "project": at, "secret": "s",
                "status": status, "priority": priority});
            admin.any("POST", "/api/tasks", body).await
        }
        12..=14 => {
            let body = json!({"status": status, "priority": priority, "secret": format!("s{priority}")});
            admin.any("PATCH", &format!("/api/tasks/{task}"), body).await
        }
        15 => admin.any("PATCH", &format!("/api/tasks/{task}"), json!({"project": at})).await,
        16 => admin.any("PATCH", &format!("/api/tasks/{task}"), json!({"owner": person})).await,
        17 => admin.any("DELETE", &format!("/api/tasks/{task}"), Value::Null).await,
        18 | 19 => admin.any("POST", "/api/comments", json!({"body": "c", "task": task})).await,
        20 => {
            let body = json!({"public": random.below(3) == 0});
            admin.any("PATCH", &format!("/api/projects/{at}"), body).await
        }
        21 => {
            // A right and what it opens, in one unit.
            let ops = json!([
                {"op": "create", "entity": "Membership",
                    "data": {"id": membership, "project": at, "member": person, "role": role}},
                {"op": "update", "entity": "Project", "id": at, "data": {"name": format!("n{priority}")}},
                {"op": "create", "entity": "Task", "data": {"title": "both", "project": at, "secret": "x"}},
            ]);
            admin.any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await
        }
        22 if random.below(4) == 0 => {
            admin.any("DELETE", &format!("/api/projects/{at}"), Value::Null).await;
            admin.any("POST", "/api/projects", json!({"id": at, "name": "again"})).await
        }
        23 if random.below(2) == 0 => {
            admin.any("PATCH", &format!("/api/users/{person}"), json!({"disabled": true})).await;
            admin.any("PATCH", &format!("/api/tasks/{task}"), json!({"title": "while away"})).await;
            admin.any("PATCH", &format!("/api/users/{person}"), json!({"disabled": false})).await
        }
        _ => admin.any("PATCH", &format!("/api/tasks/{task}"), json!({"title": format!("{priority}")})).await,
    };
}

/// Follows every channel through cuts, stalls and restarts until nothing is written any longer and everything has come.
async fn person(
    name: String,
    mut random: Random,
    mut address: watch::Receiver<Option<SocketAddr>>,
    written: Arc<AtomicBool>,
) -> Vec<Follower> {
    let mut followers: Vec<Follower> = CHANNELS.iter().map(|channel| Follower::new(channel)).collect();
    loop {
        let there = address.wait_for(Option::is_some).await.unwrap().unwrap();
        let last_life = written.load(Ordering::SeqCst);
        let Some(mut socket) = connect(there, &name).await else { continue };
        for follower in &mut followers {
            follower.ended = None;
            socket.send(&follower.subscribe()).await;
        }
        let frames = random.below(120);
        if last_life {
            if follow_to_the_end(there, &mut socket, &mut followers).await {
                return followers;
            }
            continue;
        }
        for _ in 0..frames {
            if written.load(Ordering::SeqCst) || address.has_changed().unwrap() {
                break;
            }
            if random.below(30) == 0 {
                socket.send(&json!({"type": "ping"})).await;
            }
            let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), socket.came_ever());
            match waiting.await {
                Ok(Came::Frame(frame)) => followers.iter_mut().for_each(|follower| follower.take(&frame)),
                Ok(Came::Closed(_)) => break,
                Err(_) => {}
            }
        }
        socket.cut();
    }
}

/// `None` while the account is closed or the server is gone.
async fn connect(address: SocketAddr, name: &str) -> Option<Socket> {
    let mut socket = Socket::try_open(address, &format!("/ws?as={name}"), &[], None).await.ok()?;
    match socket.came().await {
        Came::Frame(frame) if frame["type"] == "connected" => Some(socket),
        Came::Frame(_) | Came::Closed(_) => None,
    }
}

/// False if the connection ended before everything came.
async fn follow_to_the_end(address: SocketAddr, socket: &mut Socket, followers: &mut [Follower]) -> bool {
    let head = admin(address).get("/api/tasks?limit=1").await["seq"].as_u64().unwrap();
    let done =
        |followers: &[Follower]| followers.iter().all(|follower| follower.live && follower.position >= head);
    while !done(followers) {
        let Came::Frame(frame) = socket.came().await else { return false };
        followers.iter_mut().for_each(|follower| follower.take(&frame));
        if !done(followers) && followers.iter().all(|follower| follower.live) {
            socket.send(&json!({"type": "ping"})).await;
        }
    }
    true
}

/// The log as the database has it.
struct Log {
    entries: Vec<Entry>,
}

struct Entry {
    seq: u64,
    entity: String,
    id: String,
    after: Option<Value>,
    generation: u64,
    is_marker: bool,
}

impl Log {
    fn read(database: &Connection) -> Log {
        let mut select = database
            .prepare("SELECT seq, entity, id, after, generation, op FROM _changes ORDER BY seq")
            .unwrap();
        let entries = select.query_map([], |row| {
            let after: Option<String> = row.get(3)?;
            Ok(Entry {
                seq: u64::try_from(row.get::<_, i64>(0)?).unwrap(),
                entity: row.get(1)?,
                id: row.get(2)?,
                after: after.map(|json| serde_json::from_str(&json).unwrap()),
                generation: u64::try_from(row.get::<_, i64>(4)?).unwrap(),
                is_marker: row.get::<_, String>(5)? == "schema",
            })
        });
        let entries: Vec<Entry> = entries.unwrap().map(Result::unwrap).collect();
        assert!(entries.windows(2).all(|two| two[1].seq == two[0].seq + 1) && entries[0].seq == 1);
        Log { entries }
    }

    /// Calls `look` with the state at every position, in order.
    fn replay(&self, mut look: impl FnMut(u64, &State)) {
        let mut state = State { variant: Some(Variant::of_generation(1)), ..State::default() };
        look(0, &state);
        for entry in &self.entries {
            state.take(entry);
            look(entry.seq, &state);
        }
    }
}

impl State {
    fn take(&mut self, entry: &Entry) {
        self.variant = Some(Variant::of_generation(entry.generation));
        let records = self.records.entry(entry.entity.clone()).or_default();
        match &entry.after {
            Some(record) => records.insert(entry.id.clone(), record.clone()),
            None => records.remove(&entry.id),
        };
    }
}

/// Everybody holds exactly the rows that the hand-written SQL gives, with what he may see of them.
fn ends_right(
    database: &Connection,
    log: &Log,
    followers: &BTreeMap<String, Vec<Follower>>,
    variant: Variant,
    seed: u64,
) {
    let mut last = State { variant: Some(variant), ..State::default() };
    log.entries.iter().for_each(|entry| last.take(entry));
    assert_eq!(last.variant, Some(variant), "generations alternate between the two rules");
    for (person, followers) in followers {
        for follower in followers {
            let about = format!("seed {seed}: {person} on {}", follower.channel);
            assert_eq!(follower.broken, Vec::<String>::new(), "{about}");
            assert_eq!(follower.ended, None, "{about}");
            let mut select = database.prepare(&sql(&follower.channel, variant)).unwrap();
            let ids = select.query_map([person], |row| row.get::<_, String>(0)).unwrap();
            let ids: BTreeSet<String> = ids.map(Result::unwrap).collect();
            let held: BTreeSet<String> = follower.rows.keys().cloned().collect();
            assert_eq!(held, ids, "{about}");
            for (id, row) in &follower.rows {
                assert_eq!(Some(row), last.seen(person, &follower.channel, id).as_ref(), "{about}");
            }
        }
    }
}

/// No user got anything that they could not see at the position of the frame. Returns how much came.
fn saw_nothing_else(log: &Log, followers: &BTreeMap<String, Vec<Follower>>, seed: u64) -> usize {
    let mut received: BTreeMap<u64, Vec<(&str, &Follower, &What)>> = BTreeMap::new();
    for (person, followers) in followers {
        for follower in followers {
            for one in &follower.received {
                received.entry(one.at).or_default().push((person, follower, &one.what));
            }
        }
    }
    let mut count = 0;
    log.replay(|seq, state| {
        for (person, follower, what) in received.remove(&seq).unwrap_or_default() {
            count += 1;
            let about = format!("seed {seed}: {person} on {} at {seq}", follower.channel);
            judge(state, person, &follower.channel, what, &about);
        }
    });
    assert!(received.is_empty(), "something came from beyond the log");
    count
}

fn judge(state: &State, person: &str, channel: &str, what: &What, about: &str) {
    let entity = entity_of(channel);
    match what {
        What::Record(record) => {
            let id = record["id"].as_str().unwrap();
            assert_eq!(Some(record), state.seen(person, channel, id).as_ref(), "{about}");
            let whole = state.record(entity, id).unwrap();
            assert!(takes(channel, whole), "{about}: {record} is not within the filter");
        }
        What::Left(id) => {
            assert!(state.seen(person, channel, id).is_some(), "{about}: {id} left and cannot be read");
        }
        What::Gone(frame) => {
            let id = frame["payload"]["id"].as_str().unwrap();
            assert_eq!(state.seen(person, channel, id), None, "{about}: {frame}");
            assert_eq!(frame["payload"].as_object().unwrap().len(), 1, "{about}: {frame}");
            if state.record(entity, id).is_some() {
                // It is still there: a user who may not see it learns nothing of who hid it.
                for told in ["by", "mid", "changed", "cause"] {
                    assert!(frame[told].is_null(), "{about}: {frame}");
                }
            }
        }
    }
}

/// How many resumes were recovered, of those between whose ends neither the person's rights nor the rules changed.
fn resumed(log: &Log, followers: &BTreeMap<String, Vec<Follower>>) -> (usize, usize) {
    let (mut right, mut all) = (0, 0);
    let mut images: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    let mut changes: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut markers = Vec::new();
    for entry in &log.entries {
        if entry.is_marker {
            markers.push(entry.seq);
            continue;
        }
        let key = (entry.entity.as_str(), entry.id.as_str());
        let old = images.get(&key).copied();
        for person in followers.keys() {
            if changes_rights(&entry.entity, old, entry.after.as_ref(), person) {
                changes.entry(person).or_default().push(entry.seq);
            }
        }
        match &entry.after {
            Some(record) => images.insert(key, record),
            None => images.remove(&key),
        };
    }
    for (person, followers) in followers {
        for resume in followers.iter().flat_map(|follower| &follower.resumes) {
            let between = |seq: &u64| *seq > resume.since && *seq <= resume.at;
            let rights = changes.get(person.as_str()).is_some_and(|seqs| seqs.iter().any(between));
            if !rights && !markers.iter().any(between) {
                all += 1;
                right += usize::from(resume.recovered);
            }
        }
    }
    (right, all)
}

fn project(n: u64) -> String {
    fixed_id("a", n)
}

fn task(n: u64) -> String {
    fixed_id("b", n)
}

fn membership(n: u64) -> String {
    fixed_id("c", n)
}

fn fixed_id(family: &str, n: u64) -> String {
    format!("01890000-0000-7000-8000-{family}0000000{n:04}")
}
