//! A process that may have few file descriptors: it says what it serves, and serves that.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::app::Client;
use crate::support::process::{Process, plain_schemas};
use crate::support::socket::{PATIENCE, Socket};

/// `at most 7 sockets, …`
fn promised(greeting: &str) -> usize {
    let number = greeting.split("at most ").nth(1).and_then(|rest| rest.split(' ').next());
    number.unwrap_or_else(|| panic!("nothing was said:\n{greeting}")).parse().unwrap()
}

#[tokio::test]
async fn a_server_with_few_descriptors_serves_what_it_promises() {
    for limit in [32, 33, 36, 40, 50, 64, 100, 200] {
        let served = tokio::time::timeout(PATIENCE, serves_what_it_promises(limit));
        served.await.unwrap_or_else(|_| panic!("{limit} descriptors: something was not answered"));
    }
}

async fn serves_what_it_promises(limit: u32) {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with_descriptors(&folder.path().join("data"), limit).await;
    let sockets = promised(&process.greeting);
    assert!(process.greeting.contains(&format!("{limit} descriptors")), "{}", process.greeting);
    assert!(sockets >= 2, "{limit}: {}", process.greeting);
    let mut open = Vec::new();
    for n in 0..sockets {
        let mut socket = Socket::open_at(process.address, &format!("/ws?as=u{n}")).await;
        assert_eq!(socket.frame().await["type"], "connected", "{limit}: socket {n} of {sockets}");
        socket
            .send(&json!({"type": "subscribe", "channel": "entity:Task", "payload": {"snapshot": true}}))
            .await;
        socket.expect("subscribed").await;
        socket.expect("pong").await;
        open.push(socket);
    }
    let client = Client::new(process.address);
    client.create("tasks", json!({"title": "heard by everybody"})).await;
    for socket in &mut open {
        socket.expect("entity:created").await;
    }
    for _ in 0..20 {
        let list = client.call("GET", "/api/tasks?sort=-title", Value::Null).await;
        assert_eq!(list.status, 200, "{limit}: {}", list.text);
    }
    process.stop().await;
}

#[tokio::test]
async fn a_server_that_could_serve_nobody_does_not_start_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let script = "ulimit -n 31; exec \"$0\" dev --listen 127.0.0.1:0 --schemas \"$1\" --data data";
    let mut command = tokio::process::Command::new("bash");
    command.args(["-c", script, env!("CARGO_BIN_EXE_tidewire")]).arg(plain_schemas());
    let output = command.current_dir(folder.path()).stdin(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("31 descriptors") && said.contains("at least 32") && said.contains("ulimit -n 1024"),
        "{said}"
    );
}
