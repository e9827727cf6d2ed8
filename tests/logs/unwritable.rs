//! A log that cannot be written: a full disk, a reader that went away, a pipe that is not read. The server serves on, counts what
//! is lost, and ends at a signal.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::support::app::Client;
use crate::support::process::{plain_schemas, tidewire};
use crate::support::socket::PATIENCE;

/// `tidewire dev` with everything logged.
fn dev(folder: &Path) -> Command {
    let mut command = tidewire(folder);
    command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
    command.arg("--schemas").arg(plain_schemas()).env("TIDEWIRE_LOG", "trace").stdin(Stdio::null());
    command
}

/// Starts a command whose stdout and stderr may be one pipe, and reads only the address from the pipe.
fn start(command: &mut Command, output: PipeReader) -> (Child, SocketAddr, BufReader<PipeReader>) {
    let child = command.spawn().unwrap();
    let mut output = BufReader::with_capacity(1, output);
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the server ended");
    }
    let address = line.rsplit("http://").next().unwrap().trim().parse().unwrap();
    (child, address, output)
}

/// Refused requests until so many lines are lost: each makes lines, and each is answered.
async fn refused_until_dropped(client: &Client, lines: u64) {
    for _ in 0..10_000 {
        for _ in 0..50 {
            let refused = client.call("POST", "/api/tasks", json!({"title": 5})).await;
            assert_eq!((refused.status, &refused.json["code"]), (422, &json!("VALIDATION_FAILED")));
        }
        if dropped(client).await >= lines {
            return;
        }
    }
    panic!("no line was dropped");
}

async fn dropped(client: &Client) -> u64 {
    let text = client.call("GET", "/metrics", Value::Null).await.text;
    let line = text.lines().find_map(|line| line.strip_prefix("tidewire_log_lines_dropped_total "));
    line.expect("the metric is there").parse().unwrap()
}

/// SIGTERM, and an end in order.
async fn ends(mut child: Child) {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let status =
        tokio::time::timeout(PATIENCE, child.wait()).await.expect("SIGTERM ends the process").unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_log_on_a_full_disk_does_not_end_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (child, address, _output) = start(dev(folder.path()).stdout(writer).stderr(full), reader);
    let client = Client::new(address);
    refused_until_dropped(&client, 100).await;
    client.create("tasks", json!({"title": "kept"})).await;
    ends(child).await;
}

#[tokio::test]
async fn a_reader_of_the_log_that_goes_away_does_not_end_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let both = writer.try_clone().unwrap();
    let (child, address, output) = start(dev(folder.path()).stdout(writer).stderr(both), reader);
    drop(output);
    let client = Client::new(address);
    refused_until_dropped(&client, 100).await;
    client.create("tasks", json!({"title": "kept"})).await;
    ends(child).await;
}

#[tokio::test]
async fn a_log_that_nobody_reads_does_not_stop_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let both = writer.try_clone().unwrap();
    let (child, address, output) = start(dev(folder.path()).stdout(writer).stderr(both), reader);
    let client = Client::new(address);
    refused_until_dropped(&client, 100).await;
    client.create("tasks", json!({"title": "kept"})).await;
    ends(child).await;
    drop(output);
}

#[tokio::test]
async fn a_log_that_is_read_again_says_that_lines_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let both = writer.try_clone().unwrap();
    let (child, address, mut output) = start(dev(folder.path()).stdout(writer).stderr(both), reader);
    let client = Client::new(address);
    refused_until_dropped(&client, 1).await;
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        while !line.contains("log lines were dropped") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the log ended");
        }
        output
    });
    let mut output = tokio::time::timeout(PATIENCE, reading).await.expect("the log tells of it").unwrap();
    let rest = tokio::task::spawn_blocking(move || output.read_to_end(&mut Vec::new()).unwrap());
    ends(child).await;
    rest.await.unwrap();
}

/// `tidewire check | head -1`: what is written after the reader has gone is lost, and nothing else happens.
#[tokio::test]
async fn a_command_whose_reader_goes_away_ends_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = plain_schemas();
    let schemas = schemas.to_str().unwrap();
    for arguments in [
        &["check", "--schemas", schemas][..],
        &["check", "--json", "--schemas", schemas],
        &["config"],
        &["explain", "E0101"],
        &["schema", "json-schema"],
        &["schema", "openapi", "--schemas", schemas],
        &["schema", "types", "--schemas", schemas],
        &["doctor", "--schemas", schemas],
        &["migrate", "status", "--schemas", schemas],
        &["export", "Task", "--schemas", schemas],
        &["new", "shop"],
        &["--help"],
        &["--version"],
    ] {
        for both in [false, true] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = tidewire(folder.path());
            command.args(arguments).stdin(Stdio::null()).stdout(writer.try_clone().unwrap());
            if both {
                command.stderr(writer);
            } else {
                command.stderr(Stdio::piped());
            }
            let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            let code = output.status.code();
            assert!(
                code.is_some_and(|code| code <= 2) && !said.contains("panicked"),
                "{arguments:?}: {code:?} {said}"
            );
        }
    }
}
