//! A process that may have few file descriptors: it says what it serves, and serves that.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rest_of;
use crate::support::app::Client;
use crate::support::process::{Process, TEN_OPEN, plain_schemas, tidewire};
use crate::support::socket::{PATIENCE, Socket};

/// More than the kernel holds for a reader that does not read: the server keeps the file open.
const LARGE: usize = 16 << 20;

/// The number before a word: `at most 7 sockets, 2 other connections and ...`
fn promised(greeting: &str, word: &str) -> usize {
    let number = greeting.split(word).next().and_then(|before| before.split_whitespace().last());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {word} in:\n{greeting}"))
}

/// What a server that may have so few descriptors says, and its exit code.
async fn refused(folder: &Path, limit: u32) -> (Option<i32>, String) {
    let script = format!(
        "{TEN_OPEN} ulimit -n {limit}; exec \"$0\" dev --listen 127.0.0.1:0 --schemas \"$1\" --data data"
    );
    let mut command = tokio::process::Command::new("bash");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_tidewire")]).arg(plain_schemas()).kill_on_drop(true);
    let output = command.current_dir(folder).stdin(Stdio::null()).output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("it does not start").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The fewest descriptors that a server starts with here, as it says itself. It counts those that this test hands on to it.
async fn least() -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = refused(folder.path(), 32).await;
    assert!(
        code == Some(1) && said.contains("32 file descriptors") && said.contains("ulimit -n 1024"),
        "{said}"
    );
    said.split("at least ")
        .nth(1)
        .and_then(|rest| rest.split(|letter: char| !letter.is_ascii_digit()).next())
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_server_without_enough_descriptors_does_not_start_and_says_why() {
    let (folder, least) = (tempfile::tempdir().unwrap(), least().await);
    let (code, said) = refused(folder.path(), least - 1).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&format!("needs at least {least}")), "{said}");
}

#[tokio::test]
async fn a_server_with_few_descriptors_serves_what_it_promises() {
    let least = least().await;
    for more in [0, 1, 4, 10, 20, 60, 160] {
        let limit = least + more;
        let served = tokio::time::timeout(PATIENCE, serves_what_it_promises(limit));
        served.await.unwrap_or_else(|_| panic!("{limit} descriptors: something was not answered"));
    }
}

/// Lines of the log that say that no connection can be accepted.
fn shortages(log: &Path) -> usize {
    fs::read_to_string(log).unwrap().matches("cannot accept connections").count()
}

/// The limits of connections fit the descriptors at the start. An operator may take some away later.
#[tokio::test]
async fn without_a_descriptor_accepting_rests_says_so_once_and_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = tidewire(folder.path());
    command.args(["dev", "--listen", "127.0.0.1:0", "--schemas"]).arg(plain_schemas());
    let process = Process::logged(command.env("TIDEWIRE_LOG", "warn,tidewire=info"), &log).await;
    let mut socket = Socket::open(process.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    Client::new(process.address).create("tasks", json!({"title": "before"})).await;
    socket.expect("entity:created").await;
    process.no_more_descriptors();
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(TcpStream::connect(process.address).await.unwrap());
    }
    let told = async {
        while shortages(&log) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.expect("the shortage is in the log");
    // Five times as long as the server rests between two tries.
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    for _ in 0..20 {
        pace.tick().await;
        socket.nothing_else().await;
    }
    assert_eq!(shortages(&log), 1, "one line, however often it is tried");
    process.descriptors_again();
    for stream in &mut waiting {
        let request =
            format!("GET /health HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", process.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest_of(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "a connection that waited is served: {answer}");
    }
    process.stop().await;
}

async fn serves_what_it_promises(limit: u32) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("public")).unwrap();
    fs::write(folder.path().join("public/large.bin"), vec![b'x'; LARGE]).unwrap();
    let process = Process::with_descriptors(folder.path(), limit).await;
    let greeting = &process.greeting;
    let (sockets, others) = (promised(greeting, " sockets"), promised(greeting, " other connections"));
    assert!(greeting.contains(&format!("{limit} file descriptors")), "{greeting}");
    assert!(sockets >= 2 && others >= 2, "{greeting}");
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
    // Every other connection but one is sent a file that it does not read.
    let mut files = Vec::new();
    for n in 1..others {
        files.push(asked(&process, &format!("{limit}: file {n}")).await);
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
    assert_eq!(client.call("GET", "/metrics", Value::Null).await.status, 200);
    drop(client);
    files.push(asked_once_there_is_a_place(&process).await);
    // One more gets an error; it does not wait for a descriptor.
    let answer = rest_of(&mut TcpStream::connect(process.address).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("CONNECTION_LIMIT"), "{limit}: {answer}");
    drop((files, open));
    process.stop().await;
}

/// A connection that has read the beginning of a file.
async fn asked(process: &Process, what: &str) -> TcpStream {
    let (stream, answer) = begun(process).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{what}: {answer}");
    stream
}

/// The server may not have noticed yet that the last connection closed.
async fn asked_once_there_is_a_place(process: &Process) -> TcpStream {
    loop {
        let (stream, answer) = begun(process).await;
        if answer.starts_with("HTTP/1.1 200") {
            return stream;
        }
        assert!(answer.contains("CONNECTION_LIMIT"), "{answer}");
    }
}

async fn begun(process: &Process) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(process.address).await.unwrap();
    let request = format!("GET /large.bin HTTP/1.1\r\nHost: {}\r\n\r\n", process.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut beginning = [0; 1024];
    let count = stream.read(&mut beginning).await.unwrap();
    (stream, String::from_utf8_lossy(&beginning[..count]).into_owned())
}
