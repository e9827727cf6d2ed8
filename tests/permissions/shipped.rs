//! The shipped schemas: their cases, and what the first run shows to whom.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::app::Client;
use crate::support::process::{Process, ended, tidewire};
use crate::support::socket::Socket;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

#[tokio::test]
async fn the_cases_of_the_shipped_schemas_come_out_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let told = ended(tidewire(folder.path()).args(["rules", "test", "--schemas"]).arg(shipped())).await;
    assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{}", told.stdout);
    assert!(told.stdout.ends_with(" cases, all as expected\n"), "{}", told.stdout);
}

/// A copy of the shipped schemas in which a text of one file is replaced.
fn changed(file: &str, from: &str, to: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("schemas");
    std::fs::create_dir_all(copy.join("tests")).unwrap();
    for sub in ["", "tests"] {
        for entry in std::fs::read_dir(shipped().join(sub)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::copy(&path, copy.join(sub).join(path.file_name().unwrap())).unwrap();
            }
        }
    }
    let path = copy.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    folder
}

#[tokio::test]
async fn a_rule_that_is_weakened_fails_a_case() {
    for (file, from, to, words) in [
        ("task.toml", "&& (!has(change.project)", "|| (!has(change.project)", "ada may update"),
        ("membership.toml", "&& change.project == project", "", "ada may update"),
        ("membership.toml", "m.role == 'owner'))", "m.role == 'editor'))", "ben may"),
        ("project.toml", " && !has(change.owner)", "", "ben may update"),
        ("user.toml", " && !has(change.role)", "", "ada may update"),
        ("user.toml", "read = \"id == user.id || user.role == 'admin'\"", "search = true", "ben sees email"),
        ("comment.toml", "project == null ||", "task != null ||", "dee may read"),
    ] {
        let folder = changed(file, from, to);
        let told = ended(tidewire(folder.path()).args(["rules", "test"])).await;
        assert_eq!((told.code, told.stderr.as_str()), (1, ""), "{file}: {from}\n{}", told.stdout);
        let failed = told.stdout.lines().any(|line| line.trim_start().starts_with("FAILED"));
        assert!(failed && told.stdout.contains(words), "{file}: {from}\n{}", told.stdout);
    }
}

fn titles(rows: &Value) -> BTreeSet<&str> {
    rows["items"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_first_run_shows_everyone_something_and_members_their_project() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = tidewire(folder.path());
    command.args(["dev", "--demo", "--listen", "127.0.0.1:0", "--schemas"]).arg(shipped());
    let process = Process::of(&mut command).await;
    let client = Client::new(process.address);
    let (ada, ben, visitor) = (
        client.get("/api/tasks?as=ada").await,
        client.get("/api/tasks?as=ben").await,
        client.get("/api/tasks").await,
    );
    let board = "Open this page in a second window";
    assert_eq!(titles(&visitor), BTreeSet::from([board]));
    assert_eq!(titles(&ada), BTreeSet::from([board, "Paint the pier", "Count the boats"]));
    assert_eq!(titles(&ben), BTreeSet::from([board, "Paint the pier", "Count the boats", "Change the lamp"]));

    // Two windows: what one adds, the other shows.
    let mut window = Socket::open_at(process.address, "/ws?as=ben").await;
    window.expect("connected").await;
    window.subscribe("entity:Task", json!({})).await;
    let (status, added) = client.any("POST", "/api/tasks?as=ada", json!({"title": "Sweep"})).await;
    assert_eq!(status, 201, "{added}");
    let shown = window.expect("entity:created").await;
    assert_eq!((&shown["payload"]["id"], &shown["by"]), (&added["id"], &json!("ada")));
    // And ben may do something with it, but not delete it.
    let path = format!("/api/tasks/{}?as=ben", added["id"].as_str().unwrap());
    assert_eq!(client.any("PATCH", &path, json!({"status": "done"})).await.0, 200);
    assert_eq!(client.any("DELETE", &path, json!(null)).await.0, 403);
    process.stop().await;
}
