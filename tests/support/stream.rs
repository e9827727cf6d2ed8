//! A plain client of an event stream: reads the lines as a browser does, and waits no longer than it must.

use std::collections::VecDeque;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

use super::socket::PATIENCE;

/// One stream, and what has come of it so far.
pub struct EventSource {
    response: Response,
    rest: Vec<u8>,
    came: VecDeque<Value>,
    /// The last `id:` line, as a browser would send it back.
    pub last_event_id: String,
    /// All of them.
    pub ids: Vec<String>,
    /// The last `retry:` line.
    pub retry: Option<u64>,
    pub comments: usize,
}

impl EventSource {
    pub async fn open(request: RequestBuilder) -> EventSource {
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "{response:?}");
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        EventSource {
            response,
            rest: Vec::new(),
            came: VecDeque::new(),
            last_event_id: String::new(),
            ids: Vec::new(),
            retry: None,
            comments: 0,
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The next event; `None` when the stream ended.
    pub async fn came(&mut self) -> Option<Value> {
        while self.came.is_empty() {
            if !self.read().await {
                return None;
            }
        }
        self.came.pop_front()
    }

    /// What was read and not yet asked for. The last id speaks for it, too.
    pub fn read_already(&mut self) -> VecDeque<Value> {
        std::mem::take(&mut self.came)
    }

    /// The next event, which is of this type. A `pong` tells a position every 25 s; it may come anywhere.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let event = loop {
            let event =
                self.came().await.unwrap_or_else(|| panic!("the stream ended where `{kind}` was due"));
            if kind == "pong" || event["type"] != "pong" {
                break event;
            }
        };
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    /// Reads until a trailer names this position.
    pub async fn reach(&mut self, seq: u64) {
        let named = |id: &str| id.split(':').nth(1).and_then(|seq| seq.parse::<u64>().ok());
        while named(&self.last_event_id) != Some(seq) {
            assert!(self.read().await, "the stream ended at `{}`", self.last_event_id);
        }
    }

    /// Reads a comment.
    pub async fn beat(&mut self) {
        let before = self.comments;
        while self.comments == before {
            assert!(self.read().await, "the stream ended");
        }
    }

    async fn read(&mut self) -> bool {
        let more = timeout(PATIENCE, self.response.chunk()).await.expect("nothing came for twenty seconds");
        let Ok(Some(more)) = more else { return false };
        self.rest.extend_from_slice(&more);
        while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.rest.drain(..end + 2).collect();
            self.take(std::str::from_utf8(&block).unwrap());
        }
        true
    }

    fn take(&mut self, block: &str) {
        let (mut kind, mut data) = (None, None);
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("", _) => self.comments += 1,
                ("event", value) => kind = Some(value),
                ("data", value) => data = Some(value),
                ("id", value) => {
                    self.last_event_id = value.to_owned();
                    self.ids.push(value.to_owned());
                }
                ("retry", value) => self.retry = Some(value.parse().unwrap()),
                _ => panic!("a line of no kind: {line}"),
            }
        }
        let Some(data) = data else { return };
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["type"].as_str(), kind, "{block}");
        self.came.push_back(event);
    }
}
