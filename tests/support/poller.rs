//! A client of polls that stand alone: keeps the records of its channels by docs/protocol.md, "Polling". Knows no story. A poll may
//! be dropped while it waits: nothing of its answer counts then.

use std::collections::BTreeMap;

use serde_json::Value;

use super::app::{Client, with_query};
use super::follower::Counts;

/// See the module's text.
pub struct Poller {
    pub client: Client,
    pub channels: Vec<Polled>,
}

/// What is known of one channel.
#[derive(Debug, Default)]
pub struct Polled {
    pub channel: String,
    pub rows: BTreeMap<String, Value>,
    pub position: Option<Point>,
    /// Whether the last poll continued from the position.
    pub recovered: bool,
    /// The code by which it is refused.
    pub ended: Option<String>,
    pub counts: Counts,
}

#[derive(Debug, Clone)]
pub struct Point {
    pub epoch: String,
    pub seq: u64,
    view: String,
}

impl Point {
    /// Of an answer that names a position.
    fn of(answer: &Value, view: &Value) -> Point {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Point { epoch: text(&answer["epoch"]), seq: answer["seq"].as_u64().unwrap(), view: text(view) }
    }
}

impl Poller {
    pub fn new(client: Client, channels: &[&str]) -> Poller {
        let polled = |channel: &&str| Polled { channel: (*channel).to_owned(), ..Polled::default() };
        Poller { client, channels: channels.iter().map(polled).collect() }
    }

    /// Up to where every channel is complete; none before each of them has begun.
    pub fn position(&self) -> Option<u64> {
        self.channels.iter().map(|one| one.position.as_ref().map(|point| point.seq)).min().flatten()
    }

    /// One poll of all channels, whose positions are of one epoch, and the lists of those that do not continue.
    pub async fn poll(&mut self, wait: u64) {
        let points = self.channels.iter().filter_map(|one| one.position.as_ref());
        let since = points.min_by_key(|point| point.seq).cloned();
        let position = since.as_ref().map(|Point { epoch, seq, .. }| format!("{epoch}:{seq}"));
        let wait = wait.to_string();
        let mut query: Vec<(&str, &str)> = Vec::new();
        for one in &self.channels {
            query.push(("channel", one.channel.as_str()));
            if position.is_some() {
                query.push(("view", one.position.as_ref().map_or("", |point| point.view.as_str())));
            }
        }
        if let Some(position) = &position {
            query.extend([("since", position.as_str()), ("wait", wait.as_str())]);
        }
        let request = self.client.request("GET", &with_query("/api/changes", &query));
        let answer = self.client.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        for one in &mut self.channels {
            let named = |value: &&Value| value["channel"] == one.channel.as_str();
            if let Some(error) = answer.json["errors"].as_array().and_then(|all| all.iter().find(named)) {
                one.ended = error["code"].as_str().map(str::to_owned);
                continue;
            }
            let of_channel = answer.json["channels"].as_array().unwrap().iter().find(named);
            let of_channel =
                of_channel.unwrap_or_else(|| panic!("nothing of {}: {}", one.channel, answer.text));
            one.recovered = of_channel["recovered"] == true;
            match one.position.clone().filter(|_| one.recovered) {
                Some(known) => one.go_on(&known, Point::of(&answer.json, &of_channel["view"]), &answer.json),
                None => one.begin(&self.client).await,
            }
        }
    }
}

impl Polled {
    fn go_on(&mut self, known: &Point, to: Point, answer: &Value) {
        self.counts.recovered += 1;
        for event in answer["events"].as_array().unwrap() {
            if event["channel"] != self.channel.as_str() || event["seq"].as_u64().unwrap() <= known.seq {
                continue;
            }
            self.counts.events += 1;
            let id = event["payload"]["id"].as_str().unwrap().to_owned();
            match event["type"].as_str().unwrap() {
                "entity:deleted" => drop(self.rows.remove(&id)),
                _ => drop(self.rows.insert(id, event["payload"].clone())),
            }
        }
        // Other channels may have gone on from further back.
        let seq = to.seq.max(known.seq);
        self.position = Some(Point { seq, ..to });
    }

    /// Reads the list: it has the position from which the channel goes on.
    async fn begin(&mut self, client: &Client) {
        let (name, query) = self.channel.split_once('?').unwrap_or((&self.channel, ""));
        let plural = format!("{}s", name.trim_start_matches("entity:").to_lowercase());
        let list = client.get(&format!("/api/{plural}?limit=1000&{query}")).await;
        assert!(list["next"].is_null(), "more than a page of {plural}");
        let rows = list["items"].as_array().unwrap().iter();
        self.rows = rows.map(|row| (row["id"].as_str().unwrap().to_owned(), row.clone())).collect();
        self.position = Some(Point::of(&list, &list["view"]));
        self.counts.snapshots += 1;
    }
}
