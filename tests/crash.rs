//! SIGKILL in the middle of writing: what was acknowledged is there, what was seen is true, and clients continue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::support::app::Client;
use crate::support::chain;
use crate::support::follower::Follower;
use crate::support::process::Process;
use crate::support::socket::{Came, Socket};

const ROUNDS: usize = 3;
const WRITERS: u64 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_write_is_lost_and_subscribers_resume_over_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path(), 0).await;
    let port = process.address.port();
    let mut follower = Follower::new("entity:Task");
    let mut acknowledged: BTreeMap<String, Value> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut socket = Socket::open(process.address).await;
        socket.send(&follower.subscribe()).await;
        let stop = Arc::new(AtomicBool::new(false));
        let count = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = (0..WRITERS)
            .map(|_| tokio::spawn(writer(Client::new(process.address), stop.clone(), count.clone())))
            .collect();
        // Kill when enough was acknowledged and seen, so that the kill lands among writes.
        while count.load(Ordering::SeqCst) < 150 || follower.counts.events < 100 {
            let Came::Frame(frame) = socket.came().await else { panic!("closed before the kill") };
            follower.take(&frame);
        }
        process.kill().await;
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
        while let Came::Frame(frame) = socket.came().await {
            follower.take(&frame);
        }
        process = Process::start(folder.path(), port).await;
    }
    let api = Client::new(process.address);
    let stored = api.rows("tasks").await;
    for (id, record) in &acknowledged {
        assert_eq!(stored.get(id), Some(record), "an acknowledged write is there as it was acknowledged");
    }
    let seen: BTreeSet<&String> = follower.rows.keys().collect();
    let lost: Vec<_> = seen.iter().filter(|id| !stored.contains_key(**id)).collect();
    assert!(lost.is_empty(), "a subscriber saw what the database lost: {lost:?}");
    let mut socket = Socket::open(process.address).await;
    socket.send(&follower.subscribe()).await;
    while !follower.live {
        let frame = socket.frame().await;
        follower.take(&frame);
    }
    assert_eq!(follower.broken, Vec::<String>::new());
    assert_eq!(follower.rows, stored);
    assert_eq!(follower.counts.recovered, ROUNDS as u64, "every resume went on from the log");
    assert!(acknowledged.len() >= 150 * ROUNDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_leaves_a_lookup_out_of_step() {
    let (folder, schemas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    chain::write_files(schemas.path());
    for _ in 0..ROUNDS {
        let process = Process::over(schemas.path(), folder.path(), 0).await;
        let api = Client::new(process.address);
        let mut orgs = Vec::new();
        let mut projects = Vec::new();
        for n in 0..2 {
            let org = api.create("orgs", json!({"name": n.to_string()})).await["id"].clone();
            let project = api.create("projects", json!({"name": "p", "org": org})).await["id"].clone();
            for _ in 0..20 {
                let task = api.create("tasks", json!({"title": "t", "project": project})).await;
                api.create("comments", json!({"body": "b", "task": task["id"]})).await;
            }
            orgs.push(org);
            projects.push(project);
        }
        let moved = |n: u64| {
            (
                format!("projects/{}", text(&projects[n as usize % 2])),
                json!({"org": orgs[n as usize / 2 % 2]}),
            )
        };
        let named =
            |n: u64| (format!("orgs/{}", text(&orgs[n as usize % 2])), json!({"name": n.to_string()}));
        let (count, stop) = (AtomicU64::new(0), AtomicBool::new(false));
        // Two writers whose every write has dozens of followers; the kill lands between their acknowledgements.
        let write = async |request: &dyn Fn(u64) -> (String, Value)| {
            for n in 0.. {
                let (path, body) = request(n);
                let answer = api.try_any("PATCH", &format!("/api/{path}"), &body, &[]).await;
                if answer.is_err() || stop.load(Ordering::SeqCst) {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
        };
        let kill = async {
            while count.load(Ordering::SeqCst) < 40 {
                tokio::task::yield_now().await;
            }
            process.kill().await;
            stop.store(true, Ordering::SeqCst);
        };
        tokio::join!(write(&moved), write(&named), kill);
        chain::in_step(folder.path());
    }
}

fn text(json: &Value) -> &str {
    json.as_str().unwrap()
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path(), 0).await;
    let second = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidewire"))
        .args(["dev", "--listen", "127.0.0.1:0", "--schemas"])
        .arg(crate::support::process::plain_schemas())
        .arg("--data")
        .arg(folder.path())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("in use by process"), "{said}");
    Client::new(process.address).create("tasks", json!({"title": "the first goes on"})).await;
}

/// Creates until told to stop or until the server is gone; answers what was acknowledged.
async fn writer(api: Client, stop: Arc<AtomicBool>, count: Arc<AtomicU64>) -> BTreeMap<String, Value> {
    let mut acknowledged = BTreeMap::new();
    while !stop.load(Ordering::SeqCst) {
        let Ok(record) = api.try_create("tasks", json!({"title": "t"})).await else { break };
        count.fetch_add(1, Ordering::SeqCst);
        acknowledged.insert(record["id"].as_str().unwrap().to_owned(), record);
    }
    acknowledged
}
