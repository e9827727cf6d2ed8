//! `import --url`: through a running server, which continues serving others meanwhile.

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::{Place, Said, id, lines, many};
use crate::support::app::Client;
use crate::support::process::Process;
use crate::support::socket::{PATIENCE, Socket};

/// Runs the import without holding up the runtime that drives the clients.
async fn send(place: &Place, server: &Process, arguments: &[&str]) -> Said {
    let url = format!("http://{}", server.address);
    let mut command = place.command("import", "nowhere", &[&["Sample", "--url", &url], arguments].concat());
    tokio::task::spawn_blocking(move || Said::of(command.output().unwrap())).await.unwrap()
}

async fn rows(server: &Process) -> std::collections::BTreeMap<String, Value> {
    super::plain(Client::new(server.address).rows("samples").await.into_values())
}

#[tokio::test]
async fn a_small_file_is_one_batch_that_live_clients_see_at_once() {
    let place = Place::new();
    let server = place.serve("data").await;
    let mut socket = Socket::open(server.address).await;
    socket.subscribe("entity:Sample", Value::Null).await;
    let records = [
        json!({"name": "a", "moment": "2020-01-01T00:00:00Z"}),
        json!({"id": id(2), "name": "b", "version": 7}),
    ];
    place.write("a.jsonl", lines(records));
    let said = send(&place, &server, &["a.jsonl"]).await.ok();
    assert!(said.stdout.contains("imported a.jsonl: 2 created"), "{}", said.stdout);
    assert!(said.stderr.contains("note: moment, version: set by the server"), "{}", said.stderr);
    let mut mids = Vec::new();
    for more in [true, false] {
        let mut frame = socket.frame().await;
        while frame["type"] == "pong" {
            frame = socket.frame().await;
        }
        assert_eq!(frame["more"] == true, more, "{frame}");
        mids.push(frame["mid"].as_str().unwrap().to_owned());
    }
    assert!(mids[0].starts_with("import:") && mids[0] == mids[1], "{mids:?}");
    let again = send(&place, &server, &["a.jsonl"]).await.ok();
    assert!(again.stdout.contains("0 created, 0 updated, 2 unchanged"), "{}", again.stdout);
    socket.nothing_else().await;
    assert_eq!(rows(&server).await.len(), 2);
    send(&place, &server, &["a.jsonl", "--again"])
        .await
        .refused(1, "a.jsonl:2: there is already a Sample with this id [taken]");
    assert!(!place.path("nowhere").exists(), "the folder is the server's business");
}

#[tokio::test]
async fn errors_are_reported_by_line_and_nothing_is_sent() {
    let place = Place::new();
    let server = place.serve("data").await;
    Client::new(server.address)
        .create("samples", json!({"id": id(1), "name": "there", "code": "taken"}))
        .await;
    place.write("a.csv", "name,count\ngood,1\n,2\nx,many\n");
    let said = send(&place, &server, &["a.csv"]).await.refused(1, "nothing was imported: 2 errors in a.csv");
    assert!(
        said.stderr.contains("a.csv:3: `name` is required")
            && said.stderr.contains("a.csv:4: `count` must be a number")
    );
    for (text, words) in [
        (
            lines([json!({"name": "x"}), json!({"id": id(1), "name": "y"})]),
            "b.jsonl:2: there is already a Sample with this id [taken]",
        ),
        (
            lines([json!({"name": "x"}), json!({"name": "y", "code": "taken"})]),
            "b.jsonl:2: another Sample has this value of `code`",
        ),
        (
            lines([json!({"name": "x", "parent": id(9)})]),
            "b.jsonl:1: `parent` of the Sample refers to a record that does not exist",
        ),
    ] {
        place.write("b.jsonl", text);
        send(&place, &server, &["b.jsonl"]).await.refused(1, words).refused(1, "nothing was imported");
    }
    place.write("c.jsonl", many(501));
    send(&place, &server, &["c.jsonl"])
        .await
        .refused(1, "c.jsonl has 501 records, but a server takes at most 500 in one request; add --partial");
    send(&place, &server, &["c.jsonl", "--dry-run"]).await.ok();
    place.write("d.jsonl", many(1));
    send(&place, &server, &["d.jsonl", "--on-conflict", "skip"]).await.refused(2, "needs --partial");
    assert_eq!(rows(&server).await.len(), 1);

    place.import("data", &["d.jsonl"]).refused(1, "Or import through the running server: --url");
    for url in ["127.0.0.1:8080", "https://127.0.0.1:1", "tidewire", ""] {
        place.import("x", &["d.jsonl", "--url", url]).refused(2, "is not the address of a server");
    }
}

#[tokio::test]
async fn a_large_file_goes_in_parts_and_once() {
    let place = Place::new();
    let server = place.serve("data").await;
    let text: String = (1..=1200)
        .map(
            |n| if n % 400 == 0 { "{\"count\": 1}\n".to_owned() } else { format!("{{\"name\": \"{n}\"}}\n") },
        )
        .collect();
    place.write("a.jsonl", text);
    for counts in ["1197 created, 0 updated, 0 unchanged", "0 created, 0 updated, 1197 unchanged"] {
        let said = send(&place, &server, &["a.jsonl", "--partial"])
            .await
            .refused(1, "a.jsonl:400: `name` is required");
        assert!(
            said.stderr.contains(&format!("the rest was imported: {counts}, 3 refused")),
            "{}",
            said.stderr
        );
        assert_eq!(rows(&server).await.len(), 1197, "no record comes twice");
    }
    let changes = lines([json!({"id": id(1), "name": "new"}), json!({"id": id(2), "name": "two"})]);
    place.write("b.jsonl", many(1));
    send(&place, &server, &["b.jsonl"]).await.ok();
    place.write("b.jsonl", changes);
    let skip = send(&place, &server, &["b.jsonl", "--partial", "--on-conflict", "skip"]).await.ok();
    assert!(skip.stdout.contains("1 created, 0 updated, 1 unchanged"), "{}", skip.stdout);
    assert_eq!(rows(&server).await[&id(1)]["name"], "record 1");
    let only_what_changes = lines([json!({"id": id(1), "count": 5}), json!({"id": id(2), "name": "second"})]);
    place.write("c.jsonl", only_what_changes);
    let update = send(&place, &server, &["c.jsonl", "--partial", "--on-conflict", "update"]).await;
    let rows = rows(&server).await;
    assert_eq!(
        (&rows[&id(1)]["count"], &rows[&id(2)]["name"]),
        (&json!(5), &json!("second")),
        "{}",
        update.stderr
    );
}

#[tokio::test]
async fn what_an_earlier_run_sent_is_not_counted_as_done_again() {
    let place = Place::new();
    let server = place.serve("data").await;
    place.write("a.jsonl", many(3));
    send(&place, &server, &["a.jsonl"]).await.ok();
    let changes = (1..=3).map(|n| json!({"id": id(n), "name": "changed"}));
    place.write("b.jsonl", lines(changes.chain([json!({"id": id(4), "name": "new"})])));
    for counts in ["1 created, 3 updated, 0 unchanged", "0 created, 0 updated, 4 unchanged"] {
        let said = send(&place, &server, &["b.jsonl", "--partial", "--on-conflict", "update"]).await.ok();
        assert!(said.stdout.contains(counts), "{}", said.stdout);
    }
}

#[tokio::test]
async fn a_killed_import_over_the_wire_is_finished_by_the_same_command() {
    let place = Place::new();
    let server = place.serve("data").await;
    let text: String = (1..=6000).map(|n| format!("{{\"name\": \"{n}\"}}\n")).collect();
    place.write("a.jsonl", text);
    // What is between passes on so much and then no more: the import surely waits in the middle when it is killed.
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", way.local_addr().unwrap());
    let stuck = tokio::spawn(pass_on(way, server.address, 30_000));
    let arguments = ["Sample", "a.jsonl", "--partial", "--batch", "100", "--url", &url];
    let mut child = place
        .command("import", "nowhere", &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _open = tokio::time::timeout(PATIENCE, stuck).await.expect("the import gets on").unwrap();
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the import ended before it was killed");
    let came = rows(&server).await.len();
    assert!(came > 0 && came < 6000, "{came}");
    send(&place, &server, &["a.jsonl", "--partial", "--batch", "100"]).await.ok();
    let names: std::collections::BTreeSet<String> =
        rows(&server).await.into_values().map(|row| row["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!((names.len(), rows(&server).await.len()), (6000, 6000));
}

/// Passes one connection on to a server until so many bytes of the client have passed; answers with what must stay open.
async fn pass_on(way: TcpListener, server: SocketAddr, bytes: u64) -> impl Sized {
    let (client, _) = way.accept().await.unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await.unwrap().into_split();
    let answers = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        to_client
    });
    tokio::io::copy(&mut (&mut from_client).take(bytes), &mut to_server).await.unwrap();
    (from_client, to_server, answers)
}
