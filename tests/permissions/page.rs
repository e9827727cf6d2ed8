//! A recipe of the page, served: its schema files are the blocks below its heading.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidewire::env::Env;
use tidewire::schema::{Format, SourceFile, check};

use crate::support::app::{Client, TestApp};
use crate::support::socket::Socket;

const PAGE: &str = include_str!("../../docs/permissions.md");

/// The TOML blocks below a heading, each with the name in its first line.
pub(crate) fn files(heading: &str) -> Vec<(String, String)> {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &PAGE[start + 1 + heading.len()..];
    let end = body.find("\n## ").into_iter().chain(body.find("\n### ")).min().unwrap_or(body.len());
    let blocks = body[..end].split("```toml\n").skip(1);
    let block = |block: &str| {
        let text = block.split("```").next().unwrap().to_owned();
        let name = text.lines().next().unwrap().trim_start_matches("# ").to_owned();
        (name, text)
    };
    blocks.map(block).collect()
}

/// The commands below a heading that ask a server: path and body of each.
pub(super) fn requests(heading: &str) -> Vec<(String, Option<Value>)> {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let script = PAGE[start..].split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let request = |line: &str| {
        let (rest, path) = line.split_once(" 'http://127.0.0.1:8080").unwrap_or_else(|| panic!("{line}"));
        let body = rest.strip_prefix("curl -s --json '").and_then(|body| body.strip_suffix('\''));
        assert!(body.is_some() || rest == "curl -s", "{line}");
        let body = body.map(|body| serde_json::from_str(body).unwrap());
        (path.strip_suffix('\'').unwrap().to_owned(), body)
    };
    script.lines().filter(|line| !line.starts_with('#')).map(request).collect()
}

/// Headings of all recipes.
pub(super) fn recipes() -> Vec<&'static str> {
    let (_, recipes) = PAGE.split_once("\n## Recipes\n").unwrap();
    recipes.lines().filter_map(|line| line.strip_prefix("### ")).collect()
}

pub(super) struct Story {
    pub(super) app: TestApp,
}

impl Story {
    /// Serves the files of these recipes with their rules and nothing else.
    pub(super) async fn of(recipes: &[&str]) -> Story {
        Story::timed(recipes, Env::system()).await
    }

    /// With clocks of its own.
    pub(super) async fn timed(recipes: &[&str], env: Env) -> Story {
        let mut all: Vec<_> = recipes.iter().flat_map(|recipe| files(&format!("### {recipe}"))).collect();
        if all.iter().all(|(name, _)| name != "schemas/user.toml") {
            all.extend(files("### People"));
        }
        let sources: Vec<SourceFile> =
            all.into_iter().map(|(name, text)| SourceFile { name, format: Format::Toml, text }).collect();
        let schema = check(&sources).unwrap_or_else(|errors| panic!("{errors}"));
        let folder = tempfile::tempdir().unwrap();
        let unruled = schema.entities().find(|entity| entity.access.is_unsaid());
        assert_eq!(unruled.map(|entity| &entity.name), None, "it would be open to everyone");
        Story { app: TestApp::timed(folder, schema.into(), env, |_| {}).await }
    }

    /// `ada`, `ada:admin`; `nobody` has no name.
    fn client(&self, who: &str) -> Client {
        if who == "nobody" { self.app.client() } else { self.app.client_as(who) }
    }

    /// Does it and answers the record.
    pub(super) async fn may(&self, who: &str, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.client(who).any(method, path, body).await;
        assert!((200..300).contains(&status), "{who} {method} {path}: {status} {answer}");
        answer
    }

    /// Creates and answers the id.
    pub(super) async fn make(&self, who: &str, path: &str, body: Value) -> String {
        let record = self.may(who, "POST", path, body).await;
        record["id"].as_str().unwrap_or_else(|| panic!("no id in {record}")).to_owned()
    }

    pub(super) async fn may_not(&self, who: &str, method: &str, path: &str, body: Value, code: &str) {
        let (status, answer) = self.client(who).any(method, path, body).await;
        let expected = match code {
            "NOT_FOUND" | "UNKNOWN_ENTITY" => 404,
            "FORBIDDEN" => 403,
            "VALIDATION_FAILED" | "UNKNOWN_REFERENCE" => 422,
            other => panic!("{other} has no status here"),
        };
        assert_eq!((status, &answer["code"]), (expected, &json!(code)), "{who} {method} {path}: {answer}");
    }

    /// The ids that a list shows, which are those that a read by id shows and as many as the count.
    pub(super) async fn sees(&self, who: &str, plural: &str) -> BTreeSet<String> {
        let client = self.client(who);
        let rows = client.rows(plural).await;
        for (id, row) in &rows {
            assert_eq!(&client.get(&format!("/api/{plural}/{id}")).await, row, "{who}");
        }
        let counted = client.get(&format!("/api/{plural}/count")).await;
        assert_eq!(counted["count"], rows.len(), "{who} counts {plural}");
        rows.into_keys().collect()
    }

    pub(super) async fn live(&self, who: &str, channel: &str) -> Live {
        let path = if who == "nobody" { "/ws".to_owned() } else { format!("/ws?as={who}") };
        let mut socket = Socket::open_at(self.app.address, &path).await;
        socket.expect("connected").await;
        socket.subscribe(channel, json!({})).await;
        Live { socket }
    }
}

/// One subscription, seen as what it shows.
pub(super) struct Live {
    socket: Socket,
}

impl Live {
    /// The next event.
    pub(super) async fn event(&mut self) -> Value {
        loop {
            let frame = self.socket.frame().await;
            match frame["type"].as_str() {
                Some("pong") => {}
                Some(kind) if kind.starts_with("entity:") => return frame,
                _ => panic!("no event: {frame}"),
            }
        }
    }

    pub(super) async fn shows(&mut self, kind: &str, id: &str) -> Value {
        let event = self.event().await;
        assert_eq!((&event["type"], &event["payload"]["id"]), (&json!(kind), &json!(id)), "{event}");
        event
    }

    /// A delete that says nothing but the id: neither who, nor why, nor what the record was.
    pub(super) async fn loses(&mut self, id: &str) {
        let event = self.shows("entity:deleted", id).await;
        assert_eq!(event["payload"], json!({ "id": id }), "{event}");
        for silent in ["by", "mid", "changed", "cause"] {
            assert!(event.get(silent).is_none(), "{event}");
        }
    }

    /// Nothing was shown up to here.
    pub(super) async fn is_quiet(&mut self) {
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
