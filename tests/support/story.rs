//! People who use a served schema: what each may do, what their lists show, what arrives in their open windows.
//!
//! Knows no schema and no recipe.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde_json::{Value, json};
use tidewire::env::Env;
use tidewire::schema::Schema;

use super::app::{Client, TestApp};
use super::socket::Socket;

pub struct Story {
    pub app: TestApp,
}

impl Story {
    /// Serves the schema with its rules and nothing else.
    pub async fn over(schema: Schema) -> Story {
        Story { app: TestApp::governed(tempfile::tempdir().unwrap(), schema.into(), |_| {}).await }
    }

    /// The same with clocks of its own, for a schema in which everything has a rule.
    pub async fn at(schema: Schema, env: Env) -> Story {
        let unruled = schema.entities().find(|entity| entity.access.is_unsaid());
        let unruled = unruled.map(|entity| &entity.name);
        assert_eq!(unruled, None, "it would be open to everyone");
        Story { app: TestApp::timed(tempfile::tempdir().unwrap(), schema.into(), env, |_| {}).await }
    }

    /// `ada`, `ada:admin`; `nobody` has no name.
    pub fn client(&self, who: &str) -> Client {
        if who == "nobody" { self.app.client() } else { self.app.client_as(who) }
    }

    /// Does it and answers the record.
    pub async fn may(&self, who: &str, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.client(who).any(method, path, body).await;
        assert!((200..300).contains(&status), "{who} {method} {path}: {status} {answer}");
        answer
    }

    /// Creates and answers the id.
    pub async fn make(&self, who: &str, path: &str, body: Value) -> String {
        let record = self.may(who, "POST", path, body).await;
        record["id"].as_str().unwrap_or_else(|| panic!("no id in {record}")).to_owned()
    }

    pub async fn may_not(&self, who: &str, method: &str, path: &str, body: Value, code: &str) {
        let (status, answer) = self.client(who).any(method, path, body).await;
        let expected = match code {
            "NOT_FOUND" | "UNKNOWN_ENTITY" => 404,
            "FORBIDDEN" => 403,
            "VALIDATION_FAILED" | "UNKNOWN_REFERENCE" | "TRIGGER_FAILED" => 422,
            "NOT_UNIQUE" | "RESTRICTED" => 409,
            other => panic!("{other} has no status here"),
        };
        assert_eq!((status, &answer["code"]), (expected, &json!(code)), "{who} {method} {path}: {answer}");
    }

    /// The ids that a list shows, which are those that a read by id shows and as many as the count.
    pub async fn sees(&self, who: &str, plural: &str) -> BTreeSet<String> {
        let client = self.client(who);
        let rows = client.rows(plural).await;
        for (id, row) in &rows {
            assert_eq!(&client.get(&format!("/api/{plural}/{id}")).await, row, "{who}");
        }
        let counted = client.get(&format!("/api/{plural}/count")).await;
        assert_eq!(counted["count"], rows.len(), "{who} counts {plural}");
        rows.into_keys().collect()
    }

    /// One record of a list that has no other.
    pub async fn the_only(&self, who: &str, path: &str) -> Value {
        let page = self.may(who, "GET", path, Value::Null).await;
        let [record] = &page["items"].as_array().unwrap()[..] else { panic!("{who} {path}: {page}") };
        record.clone()
    }

    /// A window that follows one channel.
    pub async fn live(&self, who: &str, channel: &str) -> Live {
        let mut live = Live { socket: self.window(who).await };
        live.socket.subscribe(channel, json!({})).await;
        live
    }

    /// A window that follows nothing yet.
    pub async fn window(&self, who: &str) -> Socket {
        let path = if who == "nobody" { "/ws".to_owned() } else { format!("/ws?as={who}") };
        let mut socket = Socket::open_at(self.app.address, &path).await;
        socket.expect("connected").await;
        socket
    }

    /// A channel of an entity that there is none of for this person.
    pub async fn is_closed(&self, who: &str, channel: &str) {
        let mut socket = self.window(who).await;
        socket.send(&json!({"type": "subscribe", "channel": channel, "requestId": "closed"})).await;
        let refused = socket.expect("error").await;
        assert_eq!(refused["payload"]["code"], "UNKNOWN_ENTITY", "{who} {channel}: {refused}");
    }

    /// Stops the server and reads its log.
    pub async fn log(&self) -> Vec<Logged> {
        self.app.stop().await;
        logged(self.app.folder.path())
    }

    /// Everything that was written so far went out, and nothing of it came to these windows.
    pub async fn nothing_came_to<const N: usize>(&self, windows: [&mut Live; N]) {
        self.app.wait_for_metric("tidewire_fan_out_position", self.app.head() as f64).await;
        for window in windows {
            window.is_quiet().await;
        }
    }
}

/// One change.
#[derive(Debug)]
pub struct Logged {
    pub seq: i64,
    pub entity: String,
    pub id: String,
    pub actor: Option<String>,
    /// Null after a delete.
    pub after: Value,
}

/// The log of a server that has stopped, as its database has it.
pub fn logged(folder: &std::path::Path) -> Vec<Logged> {
    let database = Connection::open(folder.join("data/tidewire.db")).unwrap();
    let mut select = database
        .prepare("SELECT seq, entity, id, actor, after FROM _changes WHERE op <> 'schema' ORDER BY seq")
        .unwrap();
    let entries = select.query_map([], |row| {
        let after: Option<String> = row.get(4)?;
        let after = after.map_or(Value::Null, |json| serde_json::from_str(&json).unwrap());
        let (seq, entity, id, actor) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Logged { seq, entity, id, actor, after })
    });
    entries.unwrap().map(Result::unwrap).collect()
}

/// One subscription, seen as what it shows.
pub struct Live {
    pub socket: Socket,
}

impl Live {
    /// The next event.
    pub async fn event(&mut self) -> Value {
        loop {
            let frame = self.socket.frame().await;
            match frame["type"].as_str() {
                Some("pong") => {}
                Some(kind) if kind.starts_with("entity:") => return frame,
                _ => panic!("no event: {frame}"),
            }
        }
    }

    pub async fn shows(&mut self, kind: &str, id: &str) -> Value {
        let event = self.event().await;
        assert_eq!((&event["type"], &event["payload"]["id"]), (&json!(kind), &json!(id)), "{event}");
        event
    }

    /// A delete that says nothing but the id: neither who, nor why, nor what the record was.
    pub async fn loses(&mut self, id: &str) {
        let event = self.shows("entity:deleted", id).await;
        assert_eq!(event["payload"], json!({ "id": id }), "{event}");
        for silent in ["by", "mid", "changed", "cause"] {
            assert!(event.get(silent).is_none(), "{event}");
        }
    }

    /// Nothing was shown up to here.
    pub async fn is_quiet(&mut self) {
        self.socket.send(&json!({"type": "ping", "requestId": "quiet"})).await;
        loop {
            let frame = self.socket.frame().await;
            assert_eq!(frame["type"], "pong", "{frame}");
            if frame["requestId"] == "quiet" {
                return;
            }
        }
    }
}
