//! The sessions that docs/protocol.md shows: they are performed, and every line is the one that the page has, to the letter. With
//! `UPDATE_PAGES=1` what the server says is written into the page.
//!
//! `transcript.rs` says what the lines mean. What is new in every run is replaced in both, each value by the same one wherever it
//! stands.

use std::sync::Arc;

use serde_json::Value;
use tidewire::schema::{Format, SourceFile, check};

use super::line::Line;
use super::names::Names;
use super::page::root;
use super::transcript::{Request, Step, steps};
use crate::support::app::TestApp;

const HEADING: &str = "\n## Whole sessions\n";
const SCHEMA: &str =
    "entity = \"Task\"\n[fields]\ntitle = { type = \"text\" }\ndone = { type = \"bool\", default = false }\n";

struct Stage {
    app: Option<TestApp>,
    line: Option<Line>,
    schema: Arc<tidewire::schema::Schema>,
    names: Names,
    stopping: Option<std::pin::Pin<Box<dyn Future<Output = ()>>>>,
}

impl Stage {
    async fn new() -> Stage {
        let source = SourceFile { name: "task.toml".into(), format: Format::Toml, text: SCHEMA.into() };
        let schema: Arc<_> = check(&[source]).unwrap_or_else(|errors| panic!("{errors}")).into();
        let app = TestApp::over(schema.clone(), |_| {}).await;
        // The first request makes the User record, which is the first change.
        app.client_as("ada").get("/api/tasks").await;
        Stage { app: Some(app), line: None, schema, names: Names::default(), stopping: None }
    }

    fn line(&mut self) -> &mut Line {
        self.line.as_mut().expect("a socket or a stream is open")
    }

    /// Performs a step; answers it as it should be.
    async fn perform(&mut self, step: &Step<'_>) -> String {
        match step {
            Step::Says(frame) => {
                let frame = self.names.restored(frame);
                self.line().say(&frame).await;
                format!("> {}\n", self.names.named(&frame))
            }
            Step::Hears(lines) => {
                let came = self.line().hear(lines).await;
                came.lines()
                    .map(|line| format!("{}\n", format!("< {}", self.names.replaced(line)).trim_end()))
                    .collect()
            }
            Step::Request(request) => self.request(request).await,
            Step::Happens(what) => {
                self.happens(what).await;
                format!("{what}\n")
            }
        }
    }

    async fn request(&mut self, asked: &Request<'_>) -> String {
        let path = self.names.restored(asked.path);
        let app = self.app.as_ref().unwrap();
        // What a session is greeted with names what was handed to the subscribers, which may be behind the log for a moment.
        app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
        let mut request = app.client_as("ada").request(asked.method, &path);
        if let Some(body) = asked.body {
            let body: Value = serde_json::from_str(&self.names.restored(body)).unwrap();
            request = request.json(&body);
        }
        if let Some((name, value)) = asked.header {
            request = request.header(name, self.names.restored(value));
        }
        if path.starts_with("/sse") {
            self.line = Some(Line::stream(request).await);
            return format!("{}\n", asked.text);
        }
        let mut answer = app.client().send(request.try_clone().unwrap()).await;
        let Some(should) = asked.answer else {
            assert!((200..300).contains(&answer.status), "{}: {}", asked.text, answer.text);
            return format!("{}\n", asked.text);
        };
        // A poll is answered as soon as there is something: until it has all that the page shows, it is asked again.
        let cursor = should.split_once(' ').and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
        let cursor = cursor.and_then(|body| body["cursor"].as_u64()).unwrap_or_default();
        while asked.method == "GET" && answer.json["cursor"].as_u64().is_some_and(|reached| reached < cursor)
        {
            answer = app.client().send(request.try_clone().unwrap()).await;
        }
        let body = self.names.replaced(&acks_first(&answer.text));
        format!("{}\n{}\n", asked.text, format!("{} {body}", answer.status).trim_end())
    }

    async fn happens(&mut self, what: &str) {
        match what {
            "(the client connects)" => {
                let app = self.app.as_ref().unwrap();
                app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
                self.line = Some(Line::socket(app.address, "/ws?as=ada").await);
            }
            "(the connection breaks)" => drop(self.line.take().expect("there was one")),
            "(the operator stops the server)" => {
                self.stopping = Some(Box::pin(self.app.as_ref().unwrap().stop()));
            }
            "(the server closes with 1012 and starts again)" => {
                assert_eq!(self.line.take().unwrap().ended().await, Some(1012));
                self.start_again().await;
            }
            "(the stream ends, and the server starts again)" => {
                assert_eq!(self.line.take().unwrap().ended().await, None);
                self.start_again().await;
            }
            _ => panic!("the page says what no story knows: {what}"),
        }
    }

    async fn start_again(&mut self) {
        self.stopping.take().expect("it was told to stop").await;
        let TestApp { folder, .. } = self.app.take().unwrap();
        self.app = Some(TestApp::again(folder, self.schema.clone(), |_| {}).await);
    }
}

/// The frames of a poll with each `ack` before the events, since it may come before or after its own.
fn acks_first(answer: &str) -> String {
    let Some((start, rest)) = answer.split_once("\"frames\":[") else { return answer.to_owned() };
    let (frames, end) = rest.rsplit_once(']').expect("the frames have an end");
    let frames: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(&format!("[{frames}]")).unwrap();
    let (acks, others): (Vec<&str>, Vec<&str>) =
        frames.iter().map(|frame| frame.get()).partition(|frame| frame.starts_with("{\"type\":\"ack\""));
    format!("{start}\"frames\":[{}]{end}", [acks, others].concat().join(","))
}

/// Where the blocks of the sessions are in the page.
fn blocks(page: &str) -> Vec<std::ops::Range<usize>> {
    let start = page.find(HEADING).expect("the page has sessions") + HEADING.len();
    let end = page[start..].find("\n## ").map_or(page.len(), |length| start + length);
    let (mut found, mut at) = (Vec::new(), start);
    while let Some(length) = page[at..end].find("```text\n") {
        let first = at + length + "```text\n".len();
        let last = first + page[first..].find("```").expect("a block has an end");
        found.push(first..last);
        at = last + "```".len();
    }
    found
}

#[tokio::test]
async fn the_sessions_that_the_page_shows_are_what_the_server_does() {
    let path = root().join("docs/protocol.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let blocks = blocks(&page);
    assert_eq!(blocks.len(), 4, "a socket, writes, a stream, polls");
    let mut done = page.clone();
    for block in blocks.into_iter().rev() {
        let lines = &page[block.clone()];
        let mut stage = Stage::new().await;
        let mut performed = String::new();
        for step in steps(lines) {
            performed += &stage.perform(&step).await;
        }
        if let Some(line) = &mut stage.line {
            line.nothing_else().await;
        }
        done.replace_range(block, &performed);
    }
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, done).unwrap();
    } else if let Some((is, should)) = page.lines().zip(done.lines()).find(|(is, should)| is != should) {
        panic!(
            "run this test with UPDATE_PAGES=1 and read what it wrote; this line\n{is}\nshould be\n{should}"
        );
    } else {
        assert_eq!(page, done);
    }
}

#[test]
fn the_sessions_show_every_kind_of_frame_but_those_that_need_a_failure() {
    let page = std::fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let lines: String = blocks(&page).into_iter().map(|block| page[block].to_owned()).collect();
    for kind in [
        "connected",
        "welcome",
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
        assert!(lines.contains(&format!("\"type\":\"{kind}\"")), "no line of the sessions is {kind}");
    }
    for action in ["subscribe", "unsubscribe", "mutate", "ping"] {
        assert!(
            lines.contains(&format!("/api/realtime/session/session-1/{action} ")),
            "no line asks {action}"
        );
    }
}
