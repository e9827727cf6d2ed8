//! A follower: a client that keeps the records of one channel by docs/protocol.md, and writes down every promise that
//! the server breaks. Written from the document, sharing no code with the server or the browser's modules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

/// What one client knows of one channel.
#[derive(Debug, Default)]
pub struct Follower {
    pub channel: String,
    pub rows: BTreeMap<String, Value>,
    /// For each record that is or was known, the seq of what is known.
    seqs: BTreeMap<String, u64>,
    pub epoch: String,
    pub view: String,
    pub seen: u64,
    pub position: u64,
    /// Between `subscribed` or `resync` and the closing `pong`.
    snapshot: Option<Snapshot>,
    /// Subscribed, and the closing pong of a resume has come.
    pub live: bool,
    /// Of the schema, as the last frame said; 0 before any.
    pub generation: u64,
    /// Whether a record has the shape of a generation.
    pub fits: Option<fn(u64, &Value) -> bool>,
    pub broken: Vec<String>,
    /// Everything that came, for checks of whether it may have.
    pub received: Vec<Received>,
    /// The server ended the subscription with this code.
    pub ended: Option<String>,
    /// Where the resume that waits for its answer began, and every answer to one.
    asked: Option<u64>,
    pub resumes: Vec<Resumed>,
    /// The last frames, in short, to find out why a promise was broken.
    trace: VecDeque<String>,
    pub counts: Counts,
}

/// Something of a record that came at a position.
#[derive(Debug, Clone)]
pub struct Received {
    /// The event's seq, or the position of the read that it came from.
    pub at: u64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    /// A record: in a snapshot, or as created or updated.
    Record(Value),
    /// The record left the filter and is still readable.
    Left(String),
    /// The record is gone or hidden; the frame as it came.
    Gone(Value),
}

/// The answer to a resume.
#[derive(Debug, Clone)]
pub struct Resumed {
    pub since: u64,
    pub at: u64,
    pub recovered: bool,
}

#[derive(Debug, Default)]
struct Snapshot {
    first: u64,
    ids: BTreeSet<String>,
}

#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub events: u64,
    pub recovered: u64,
    pub snapshots: u64,
    pub resyncs: u64,
}

impl Follower {
    pub fn new(channel: &str) -> Follower {
        Follower { channel: channel.to_owned(), ..Follower::default() }
    }

    /// The `subscribe` frame that continues from what is known.
    pub fn subscribe(&mut self) -> Value {
        self.note(format!("subscribe from {}", self.position));
        self.live = false;
        self.snapshot = None;
        self.seen = self.position;
        self.asked = (!self.epoch.is_empty()).then_some(self.position);
        let payload = if self.epoch.is_empty() {
            json!({"snapshot": true})
        } else {
            json!({"since": {"epoch": self.epoch, "seq": self.position, "view": self.view}})
        };
        json!({"type": "subscribe", "channel": self.channel, "payload": payload, "requestId": "follow"})
    }

    /// A stream begins that nothing is asked of: it continues from the position that its last id named, if there is one.
    pub fn resumes_from(&mut self, position: Option<u64>) {
        self.note(format!("a stream from {position:?}"));
        self.live = false;
        self.snapshot = None;
        // What came after that position comes again.
        self.seen = position.unwrap_or(self.position);
    }

    /// Takes one frame of the connection.
    pub fn take(&mut self, frame: &Value) {
        let of_channel = frame["channel"] == self.channel.as_str();
        self.note(format!(
            "{} {} seq {} prev {} more {} payload.seq {}",
            frame["type"],
            frame["channel"],
            frame["seq"],
            frame["prev"],
            frame["more"],
            frame["payload"]["seq"]
        ));
        match frame["type"].as_str().unwrap_or_default() {
            "schema:changed" => self.generation = frame["payload"]["generation"].as_u64().unwrap(),
            "subscribed" if of_channel => self.subscribed(frame),
            "resync" if of_channel => {
                self.counts.resyncs += 1;
                if frame["payload"]["reason"] == "schema_changed" && self.generation == 0 {
                    self.breaks("a resync for another schema, of which nothing was told".to_owned());
                }
                self.live = false;
                self.start_snapshot(frame);
            }
            "snapshot" if of_channel => self.page(frame),
            kind @ ("entity:created" | "entity:updated" | "entity:deleted") if of_channel => {
                self.event(kind, frame)
            }
            "error" if of_channel => self.ended = Some(text(&frame["payload"], "code")),
            "pong" if of_channel => self.close(frame),
            "pong" if frame["channel"].is_null() => self.reached(frame),
            // The account is closed; the connection ends with it.
            "error" if frame["payload"]["code"] == "ACCOUNT_DISABLED" => self.live = false,
            "error" => self.breaks(format!("an error came: {frame}")),
            _ => {}
        }
    }

    fn subscribed(&mut self, frame: &Value) {
        let payload = &frame["payload"];
        if let Some(since) = self.asked.take() {
            let (at, recovered) = (payload["seq"].as_u64().unwrap(), payload["recovered"] == true);
            self.resumes.push(Resumed { since, at, recovered });
        }
        if payload["recovered"] == true {
            self.counts.recovered += 1;
            self.epoch = text(payload, "epoch");
            self.view = text(payload, "view");
        } else {
            self.counts.snapshots += 1;
            self.start_snapshot(frame);
        }
    }

    fn start_snapshot(&mut self, frame: &Value) {
        let payload = &frame["payload"];
        let first = payload["seq"].as_u64().unwrap();
        // Half a snapshot is no state to continue from, so position and epoch stay what they are until it is closed.
        self.seen = first;
        self.snapshot = Some(Snapshot { first, ids: BTreeSet::new() });
    }

    fn page(&mut self, frame: &Value) {
        let seq = frame["seq"].as_u64().unwrap();
        if frame["more"] != true {
            self.breaks(format!("a snapshot page without more: {}", frame["seq"]));
        }
        let Some(snapshot) = &mut self.snapshot else {
            return self.breaks("a snapshot page outside a snapshot".to_owned());
        };
        for row in frame["payload"]["rows"].as_array().unwrap() {
            let id = text(row, "id");
            self.received.push(Received { at: seq, what: What::Record(row.clone()) });
            snapshot.ids.insert(id.clone());
            if self.seqs.get(&id).is_none_or(|known| *known <= seq) {
                self.seqs.insert(id.clone(), seq);
                self.rows.insert(id, row.clone());
            }
        }
        frame["payload"]["rows"].as_array().unwrap().iter().for_each(|row| self.check_shape(row));
    }

    fn event(&mut self, kind: &str, frame: &Value) {
        self.counts.events += 1;
        if let Some(at) = frame["at"].as_u64() {
            return self.step(kind, frame, at);
        }
        self.keep(kind, frame, frame["seq"].as_u64().unwrap());
        let (seq, prev) = (frame["seq"].as_u64().unwrap(), frame["prev"].as_u64().unwrap());
        if seq <= self.seen {
            self.breaks(format!("seq {seq} came although {} was seen", self.seen));
            return;
        }
        if prev > self.seen {
            self.breaks(format!("a gap: seq {seq} follows {prev}, and {} was seen", self.seen));
        }
        if self.snapshot.is_some() && frame["more"] != true {
            self.breaks(format!("seq {seq} within a snapshot does not say more"));
        }
        self.seen = seq;
        if frame["more"] != true {
            self.position = seq;
        }
        let id = text(&frame["payload"], "id");
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.ids.insert(id.clone());
        }
        if self.seqs.get(&id).is_some_and(|known| *known >= seq) {
            // A page of the snapshot, read later, was ahead of this event.
            return;
        }
        self.seqs.insert(id.clone(), seq);
        if kind == "entity:deleted" {
            self.rows.remove(&id);
        } else {
            self.check_shape(&frame["payload"]);
            self.rows.insert(id, frame["payload"].clone());
        }
    }

    /// A part of the difference that a change of rights makes. It moves no position before the closing pong.
    fn step(&mut self, kind: &str, frame: &Value, at: u64) {
        self.keep(kind, frame, at);
        if !frame["seq"].is_null() || !frame["prev"].is_null() || frame["more"] != true {
            self.breaks(format!("a step with a seq, a prev or without more: {frame}"));
        }
        let id = text(&frame["payload"], "id");
        if self.seqs.get(&id).is_some_and(|known| *known > at) {
            return;
        }
        self.seqs.insert(id.clone(), at);
        if kind == "entity:deleted" {
            self.rows.remove(&id);
        } else {
            self.rows.insert(id, frame["payload"].clone());
        }
    }

    fn keep(&mut self, kind: &str, frame: &Value, at: u64) {
        let what = match kind {
            "entity:deleted" if frame["cause"] == "left" => What::Left(text(&frame["payload"], "id")),
            "entity:deleted" => What::Gone(frame.clone()),
            _ => What::Record(frame["payload"].clone()),
        };
        self.received.push(Received { at, what });
    }

    fn close(&mut self, frame: &Value) {
        let seq = frame["payload"]["seq"].as_u64().unwrap();
        if seq < self.seen {
            self.breaks(format!("the closing pong says {seq} although {} was seen", self.seen));
        }
        self.seen = self.seen.max(seq);
        self.position = self.seen;
        self.epoch = text(&frame["payload"], "epoch");
        self.view = text(&frame["payload"], "view");
        self.live = true;
        let Some(snapshot) = self.snapshot.take() else { return };
        let stale: Vec<String> = self
            .rows
            .keys()
            .filter(|id| {
                !snapshot.ids.contains(*id) && self.seqs.get(*id).is_none_or(|seq| *seq <= snapshot.first)
            })
            .cloned()
            .collect();
        for id in stale {
            self.rows.remove(&id);
        }
    }

    fn reached(&mut self, frame: &Value) {
        let Some(seq) = frame["payload"]["seq"].as_u64() else { return };
        if !self.live {
            self.breaks(format!("a pong names {seq} while the channel is not live"));
        }
        self.seen = self.seen.max(seq);
        self.position = self.position.max(seq);
    }

    fn check_shape(&mut self, row: &Value) {
        let generation = self.generation;
        if generation > 0 && self.fits.is_some_and(|fits| !fits(generation, row)) {
            self.breaks(format!("a record of another schema than generation {generation}: {row}"));
        }
    }

    fn breaks(&mut self, what: String) {
        let trace: Vec<&str> = self.trace.iter().map(String::as_str).collect();
        self.broken.push(format!("{}: {what}, after:\n{}", self.channel, trace.join("\n")));
    }

    fn note(&mut self, line: String) {
        if self.trace.len() == 30 {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_else(|| panic!("no {key} in {object}")).to_owned()
}
