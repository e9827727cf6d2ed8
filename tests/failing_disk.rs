//! A disk that is full under a running server: who can still read, and which errors writers get.
//!
//! The kernel refuses every write of the process to a file, which the story switches on and off. So the server is a process
//! of its own, and its database is a real one.

use std::path::Path;

use serde_json::json;

use crate::support::app::Client;
use crate::support::process::{Process, tidewire};
use crate::support::ruled;
use crate::support::socket::Socket;

/// A server over the schema with rules. A write to a file beyond its limit is an error there and not the process's end.
async fn start(data: &Path, schemas: &Path) -> Process {
    for (name, text) in ruled::FILES {
        std::fs::write(schemas.join(name), text).unwrap();
    }
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    let binary = tidewire(schemas);
    shell.arg(binary.as_std().get_program());
    shell.args(["dev", "--listen", "127.0.0.1:0"]).arg("--schemas").arg(schemas).arg("--data").arg(data);
    // Those that are unset for the binary are to be unset for the shell.
    for (name, _) in binary.as_std().get_envs() {
        shell.env_remove(name);
    }
    Process::heard(shell.current_dir(schemas).stderr(std::process::Stdio::null())).await
}

#[tokio::test]
async fn a_full_disk_does_not_keep_a_new_user_from_reading() {
    let (data, schemas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let process = start(data.path(), schemas.path()).await;
    let root = Client::named(process.address, "root");
    let board = root.create("boards", json!({"title": "notices"})).await;
    root.create("vaults", json!({"title": "gold"})).await;
    // The membership of a person who has no record cannot be stored, so no user sees a project by one.
    root.create("tasks", json!({"title": "secret", "project": "p1"})).await;
    let board = format!("/api/boards/{}", board["id"].as_str().unwrap());

    process.limit_files(Some(1));
    let cy = Client::named(process.address, "cy");
    for path in ["/api/boards", "/api/boards/count", &board, "/api/boards?title[contains]=not&sort=title"] {
        let (status, answer) = cy.get_any(path).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    let (status, poll) = cy.get_any("/api/changes?channel=entity:Board").await;
    assert_eq!((status, &poll["errors"]), (200, &json!([])), "{poll}");
    // What a rule asks of the record is unknown without it, which denies; the credentials still count.
    assert_eq!(cy.get("/api/tasks").await["items"], json!([]));
    assert_eq!(cy.get_any("/api/vaults").await.0, 404);
    let admin = Client::named(process.address, "dan:admin");
    assert_eq!(admin.get("/api/vaults").await["items"][0]["title"], "gold");

    let mut socket = Socket::open_at(process.address, "/ws?as=cy").await;
    assert_eq!(socket.expect("connected").await["payload"]["userId"], "cy");
    socket.subscribe("entity:Board", json!({"snapshot": true})).await;
    let snapshot = socket.expect("snapshot").await;
    assert_eq!(snapshot["payload"]["rows"][0]["title"], "notices", "{snapshot}");
    socket.expect("pong").await;

    // A write names the problem; and no User was stored.
    for api in [&cy, &root] {
        let (status, refused) = api.any("POST", "/api/boards", json!({"title": "more"})).await;
        assert_eq!((status, &refused["code"]), (500, &json!("STORAGE_ERROR")), "{refused}");
    }
    assert_eq!(root.get_any("/api/users/cy").await.0, 404);

    // At the next read scope the record is stored, and the open socket continues.
    process.limit_files(None);
    cy.get("/api/boards").await;
    assert_eq!(root.get("/api/users/cy").await["name"], "cy");
    root.create("memberships", json!({"person": "cy", "project": "p1"})).await;
    assert_eq!(cy.get("/api/tasks").await["items"][0]["title"], "secret");
    cy.create("boards", json!({"title": "more"})).await;
    let mut event = socket.frame().await;
    while event["type"] == "pong" {
        // The new record changed what the server knows of the user, so the channel was attached again.
        event = socket.frame().await;
    }
    assert_eq!(event["type"], "entity:created", "{event}");
    assert_eq!(event["payload"]["title"], "more");
    // The new records changed what the server knows of the user. A change that is made before the channel is attached again comes
    // as a step of the difference, and a step names nobody.
    assert!(event["by"] == "cy" || event.get("at").is_some(), "{event}");
    process.stop().await;
}
