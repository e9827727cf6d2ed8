//! The session that docs/protocol.md shows: it is performed, and every frame is the one that the page has, to the letter. With
//! `UPDATE_PAGES=1` what the server sends is written into the page.
//!
//! Before `>` stands what the client sends, before `<` what the server sends; a line with a method is a request over HTTP as ada; a line in
//! round brackets is something that happens. What is new in every run is replaced in both, each value by the same one wherever it stands.

use std::pin::Pin;
use std::sync::Arc;

use regex::{Captures, Regex};
use serde_json::Value;
use tidewire::schema::{Format, SourceFile, check};

use super::page::root;
use crate::support::app::TestApp;
use crate::support::socket::Socket;

const HEADING: &str = "\n## A whole session\n";
const SCHEMA: &str =
    "entity = \"Task\"\n[fields]\ntitle = { type = \"text\" }\ndone = { type = \"bool\", default = false }\n";

/// What the page calls the values that are new in every run: `epoch-1`, `view-1`, `connection-1`.
#[derive(Default)]
struct Names(Vec<(String, String)>);

impl Names {
    fn name(&mut self, kind: &str, value: &str) -> String {
        if let Some((_, name)) = self.0.iter().find(|(known, _)| known == value) {
            return name.clone();
        }
        let number = 1 + self.0.iter().filter(|(_, name)| name.starts_with(kind)).count();
        let name = format!("{kind}-{number}");
        self.0.push((value.to_owned(), name.clone()));
        name
    }

    /// A frame of the server, as the page has it.
    fn replaced(&mut self, frame: &str) -> String {
        let opaque = Regex::new(r#""(epoch|view|connectionId)":"([^"]+)""#).unwrap();
        let named = opaque.replace_all(frame, |found: &Captures<'_>| {
            let kind = if &found[1] == "connectionId" { "connection" } else { &found[1] };
            format!("\"{}\":\"{}\"", &found[1], self.name(kind, &found[2]))
        });
        let time =
            Regex::new(r#""timestamp":\d+"#).unwrap().replace_all(&named, "\"timestamp\":1701234567890");
        let wait = Regex::new(r#""reconnectInMs":\d+"#).unwrap().replace_all(&time, "\"reconnectInMs\":3120");
        let stamp = Regex::new(r#""(created_at|updated_at|at)":"[^"]+""#).unwrap();
        stamp.replace_all(&wait, "\"${1}\":\"2023-11-29T05:09:27.890Z\"").into_owned()
    }

    /// A frame of the client, with the values of this run.
    fn restored(&self, line: &str) -> String {
        let mut line = line.to_owned();
        for (value, name) in &self.0 {
            line = line.replace(&format!("\"{name}\""), &format!("\"{value}\""));
        }
        line
    }
}

struct Stage {
    app: Option<TestApp>,
    socket: Option<Socket>,
    schema: Arc<tidewire::schema::Schema>,
    names: Names,
    stopping: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Stage {
    async fn new() -> Stage {
        let source = SourceFile { name: "task.toml".into(), format: Format::Toml, text: SCHEMA.into() };
        let schema: Arc<_> = check(&[source]).unwrap_or_else(|errors| panic!("{errors}")).into();
        let app = TestApp::over(schema.clone(), |_| {}).await;
        // The first request makes the User record, which is the first change.
        app.client_as("ada").get("/api/tasks").await;
        Stage { app: Some(app), socket: None, schema, names: Names::default(), stopping: None }
    }

    /// Performs a line; answers it as it should be.
    async fn perform(&mut self, line: &str) -> String {
        match line.split_once(' ').expect("a line has two words") {
            (">", frame) => {
                let frame = self.names.restored(frame);
                self.socket.as_mut().expect("a socket is open").send_text(&frame).await;
                line.to_owned()
            }
            ("<", _) => {
                let frame =
                    self.socket.as_mut().expect("a socket is open").text().await.expect("a frame is due");
                format!("< {}", self.names.replaced(&frame))
            }
            (method @ ("POST" | "PATCH" | "DELETE"), rest) => {
                let (path, body) = rest.split_once(' ').unwrap_or((rest, "null"));
                let body: Value = serde_json::from_str(body).unwrap();
                let client = self.app.as_ref().unwrap().client_as("ada");
                let (status, answer) = client.any(method, path, body).await;
                assert!((200..300).contains(&status), "{line}: {answer}");
                line.to_owned()
            }
            _ => {
                self.happens(line).await;
                line.to_owned()
            }
        }
    }

    async fn happens(&mut self, line: &str) {
        match line {
            "(the client connects)" => {
                let app = self.app.as_ref().unwrap();
                // `connected` names what was handed to the sockets, which may be behind the log for a moment.
                app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
                let address = app.address;
                self.socket = Some(Socket::open_at(address, "/ws?as=ada").await);
            }
            "(the connection breaks)" => self.socket.take().unwrap().cut(),
            "(the operator stops the server)" => {
                self.stopping = Some(Box::pin(self.app.as_ref().unwrap().stop()));
            }
            "(the server closes with 1012 and starts again)" => {
                assert_eq!(self.socket.take().unwrap().closed().await, Some(1012));
                self.stopping.take().expect("it was told to stop").await;
                let TestApp { folder, .. } = self.app.take().unwrap();
                self.app = Some(TestApp::again(folder, self.schema.clone(), |_| {}).await);
            }
            _ => panic!("the page says what no story knows: {line}"),
        }
    }
}

/// The page up to the session, its lines, and the rest.
fn parts(page: &str) -> (&str, &str, &str) {
    let start = page.find(HEADING).expect("the page has a session");
    let start = start + page[start..].find("```text\n").expect("the session is a block") + "```text\n".len();
    let length = page[start..].find("```").expect("the block has an end");
    (&page[..start], &page[start..start + length], &page[start + length..])
}

#[tokio::test]
async fn the_session_that_the_page_shows_is_what_the_server_does() {
    let path = root().join("docs/protocol.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, lines, after) = parts(&page);
    let mut stage = Stage::new().await;
    let mut done = String::new();
    for line in lines.lines() {
        done += &(stage.perform(line).await + "\n");
    }
    let last = stage.socket.as_mut().expect("the session ends with a socket");
    last.nothing_else().await;
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, [before, &done, after].concat()).unwrap();
    } else if let Some((is, should)) = lines.lines().zip(done.lines()).find(|(is, should)| is != should) {
        panic!(
            "run this test with UPDATE_PAGES=1 and read what it wrote; this line\n{is}\nshould be\n{should}"
        );
    }
}

#[test]
fn the_session_shows_every_kind_of_frame_but_those_that_need_a_failure() {
    let page = std::fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let (_, lines, _) = parts(&page);
    for kind in [
        "connected",
        "subscribed",
        "snapshot",
        "entity:created",
        "entity:updated",
        "entity:deleted",
        "activity",
        "pong",
        "unsubscribed",
        "drain",
        "error",
        "subscribe",
        "unsubscribe",
        "ping",
        "mutate",
        "ack",
    ] {
        assert!(lines.contains(&format!("\"type\":\"{kind}\"")), "no line of the session is {kind}");
    }
}
