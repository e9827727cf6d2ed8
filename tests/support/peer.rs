//! One peer of the server on any of the transports that have a session: says frames and hears frames, whatever carries them.
//! Knows no story.

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::app::{Client, TestApp, with_query};
use super::socket::Socket;
use super::stream::EventSource;

/// How a peer is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Ws,
    Sse,
    LongPoll,
}

/// So many frames are shown where a wait fails.
const SHOWN: usize = 30;

pub const WAYS: [Way; 3] = [Way::Ws, Way::Sse, Way::LongPoll];

/// One connection, and how it speaks.
pub struct Peer {
    line: Line,
    client: Client,
    /// Of a stream or of polls.
    pub session: String,
    /// What came last.
    history: Vec<String>,
}

enum Line {
    Ws(Box<Socket>),
    Sse(Box<EventSource>),
    LongPoll { cursor: u64, came: VecDeque<Value>, ended: bool },
}

impl Peer {
    /// Connects as a user, or as an anonymous caller. What it is greeted with is heard already.
    pub async fn open(way: Way, app: &TestApp, name: Option<&str>) -> Peer {
        let client = match name {
            Some(name) => Client::named(app.address, name),
            None => Client::new(app.address),
        };
        if way != Way::Ws {
            return Peer::by_requests(way, client).await;
        }
        let address = name.map_or_else(|| "/ws".to_owned(), |name| format!("/ws?as={name}"));
        let line = Line::Ws(Box::new(Socket::open_at(app.address, &address).await));
        let mut peer = Peer { line, client, session: String::new(), history: Vec::new() };
        if name.is_some() {
            peer.greeted("connected").await;
            assert_eq!(peer.session, "", "a socket needs no session");
        }
        peer
    }

    /// Connects without a socket, as whom the client comes.
    pub async fn by_requests(way: Way, client: Client) -> Peer {
        let (line, hello) = match way {
            Way::Ws => panic!("a socket is no request"),
            Way::Sse => {
                let stream = EventSource::open(client.request("GET", "/sse")).await;
                (Line::Sse(Box::new(stream)), "welcome")
            }
            Way::LongPoll => {
                let opened = client.call("POST", "/api/realtime/session", Value::Null).await;
                assert_eq!(opened.status, 201, "{}", opened.text);
                let frames = opened.json["frames"].as_array().unwrap();
                let cursor = opened.json["cursor"].as_u64().unwrap();
                let came = frames.iter().cloned().collect();
                (Line::LongPoll { cursor, came, ended: false }, "connected")
            }
        };
        let mut peer = Peer { line, client, session: String::new(), history: Vec::new() };
        peer.greeted(hello).await;
        assert!(!peer.session.is_empty(), "{}", peer.told());
        peer
    }

    /// Follows a channel as a user does with a plain `EventSource`, which says nothing but its address, and the last id when it comes back.
    pub async fn follow(app: &TestApp, name: &str, channel: &str, last_event_id: &str) -> Peer {
        Peer::streamed(Client::named(app.address, name), &[channel], last_event_id).await
    }

    /// A stream as a browser opens it: the channels are in its address, and it goes on from the last id.
    pub async fn browser(app: &TestApp, channels: &[&str], last_event_id: &str) -> Peer {
        Peer::streamed(app.client(), channels, last_event_id).await
    }

    async fn streamed(client: Client, channels: &[&str], last_event_id: &str) -> Peer {
        let mut query: Vec<_> = channels.iter().map(|channel| ("channel", *channel)).collect();
        query.push(("snapshot", "true"));
        let mut request = client.request("GET", &with_query("/sse", &query));
        if !last_event_id.is_empty() {
            request = request.header("last-event-id", last_event_id);
        }
        let line = Line::Sse(Box::new(EventSource::open(request).await));
        let mut peer = Peer { line, client, session: String::new(), history: Vec::new() };
        peer.greeted("welcome").await;
        peer
    }

    /// Breaks off, as a stream does: what was read by then, and what a browser would send to go on.
    pub fn break_off(self) -> (VecDeque<Value>, String) {
        match self.line {
            Line::Sse(mut stream) => (stream.read_already(), stream.last_event_id),
            Line::Ws(_) | Line::LongPoll { .. } => Default::default(),
        }
    }

    async fn greeted(&mut self, kind: &str) {
        let hello = self.came().await.expect("a greeting");
        assert_eq!(hello["type"], kind, "{hello}");
        self.session = hello["payload"]["session"].as_str().unwrap_or_default().to_owned();
    }

    /// Makes its requests as another client from now on.
    pub fn comes_as(&mut self, client: Client) {
        self.client = client;
    }

    /// The id of a stream, when it names this position.
    pub async fn id_at(&mut self, seq: u64) -> String {
        let Line::Sse(stream) = &mut self.line else { panic!("only a stream has ids") };
        stream.reach(seq).await;
        stream.last_event_id.clone()
    }

    /// Says one frame.
    pub async fn say(&mut self, frame: Value) {
        assert!(self.says(frame).await, "the session has ended: {}", self.told());
    }

    /// Says one frame. `false`: the session of its requests has ended; a socket does not tell.
    pub async fn says(&mut self, frame: Value) -> bool {
        if let Line::Ws(socket) = &mut self.line {
            socket.send(&frame).await;
            return true;
        }
        let kind = frame["type"].as_str().unwrap();
        let action = kind.split(':').next().unwrap();
        let path = format!("/api/realtime/session/{}/{action}", self.session);
        let answer = self.client.call("POST", &path, frame.clone()).await;
        assert!([202, 404].contains(&answer.status), "{frame}: {}", answer.text);
        answer.status == 202
    }

    /// The next frame. `None`: the connection ended.
    pub async fn came(&mut self) -> Option<Value> {
        let frame = match &mut self.line {
            Line::Ws(socket) => socket.text().await.map(|text| serde_json::from_str(&text).unwrap()),
            Line::Sse(stream) => stream.came().await,
            Line::LongPoll { cursor, came, ended } => loop {
                if let Some(frame) = came.pop_front() {
                    break Some(frame);
                }
                if *ended {
                    break None;
                }
                let path = format!("/api/realtime/session/{}?after={cursor}&wait=15", self.session);
                let polled = self.client.call("GET", &path, Value::Null).await;
                if polled.status == 404 {
                    break None;
                }
                assert_eq!(polled.status, 200, "{}", polled.text);
                *cursor = polled.json["cursor"].as_u64().unwrap();
                *ended = polled.json["ended"] == true;
                came.extend(polled.json["frames"].as_array().unwrap().iter().cloned());
            },
        };
        if self.history.len() >= SHOWN {
            self.history.remove(0);
        }
        self.history.push(frame.as_ref().map_or_else(|| "end".to_owned(), Value::to_string));
        frame
    }

    /// The next frame that is no `pong`, of this type.
    pub async fn expect(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.came().await;
            let frame = frame.unwrap_or_else(|| panic!("it ended where `{kind}` was due:\n{}", self.told()));
            if frame["type"] == "pong" && kind != "pong" {
                continue;
            }
            assert_eq!(frame["type"], kind, "{}", self.told());
            return frame;
        }
    }

    pub async fn subscribe(&mut self, channel: &str, payload: Value) -> Value {
        self.say(json!({"type": "subscribe", "channel": channel, "payload": payload, "requestId": channel}))
            .await;
        let subscribed = self.expect("subscribed").await;
        assert_eq!(subscribed["requestId"], channel, "{subscribed}");
        subscribed
    }

    /// Everything that was under way has come, and it was nothing but pongs.
    pub async fn nothing_else(&mut self) {
        self.say(json!({"type": "ping", "requestId": "nothing else"})).await;
        loop {
            if self.expect("pong").await["requestId"] == "nothing else" {
                return;
            }
        }
    }

    fn told(&self) -> String {
        self.history.join("\n")
    }
}
