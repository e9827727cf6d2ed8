//! The permission matrix: every user by every way. Who may read what, who lists what and who may write what is written down once;
//! each way must show exactly that, and what is hidden must answer word for word like what is missing.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::process::{ended, tidewire};
use crate::support::socket::{Came, Socket};

const USER: &str = r#"
entity = "User"
[access]
read = "user.role == 'admin'"
update = "user.role == 'admin'"
"#;

const TEAM: &str = r#"
entity = "Team"
[fields]
name = { type = "text" }
lead = { type = "ref", entity = "User" }
[access]
read = "id in user.memberships.team || user.role == 'admin'"
create = "user.role == 'admin'"
"#;

const MEMBERSHIP: &str = r#"
entity = "Membership"
[fields]
team = { type = "ref", entity = "Team", required = true, on_delete = "cascade" }
member = { type = "ref", entity = "User", required = true, on_delete = "cascade" }
[access]
read = "member == user.id || user.role == 'admin'"
create = "user.role == 'admin'"
delete = "user.role == 'admin'"
"#;

const DOC: &str = r#"
entity = "Doc"
history = "forever"
[fields]
title = { type = "text", search = true }
rank = { type = "int" }
owner = { type = "ref", entity = "User" }
team = { type = "ref", entity = "Team" }
pay = { type = "int", read = "owner == user.id || user.role == 'admin'" }
key = { type = "text", hidden = true }
listed = { type = "bool", required = true, default = true }
until = { type = "datetime" }
[access]
read = "owner == user.id || team in user.memberships.team || user.role == 'admin'"
list = "listed == true || owner == user.id"
create = "(owner == user.id || user.role == 'admin') && (until == null || until > now)"
update = "owner == user.id || user.role == 'admin' || team.lead == user.id && change.team.lead == user.id"
delete = "user.role == 'admin' || owner == user.id && !exists(Note, n, n.doc == id && n.pinned == true)"
"#;

const NOTE: &str = r#"
entity = "Note"
[fields]
doc = { type = "ref", entity = "Doc", on_delete = "cascade" }
pinned = { type = "bool", default = false }
[access]
read = "user != null"
create = "user.role == 'admin'"
"#;

/// One row of the matrix: documents by their numbers.
struct Row {
    who: &'static str,
    /// Those that they read by their ids; `None`: to them there is no such entity.
    reads: Option<&'static [u64]>,
    /// Those of them that are in their lists.
    lists: &'static [u64],
    /// Those that they may change, and delete, among those that they read.
    updates: &'static [u64],
    deletes: &'static [u64],
}

/// Document 2 is in no list but its owner's. Ben leads team 1, to which 1 and 2 belong; Cyd leads team 2, which gives her nothing,
/// since she sees none of it. A note pins document 4, and of the note of document 3 that is not known: doubt denies.
const ROWS: [Row; 6] = [
    Row { who: "", reads: None, lists: &[], updates: &[], deletes: &[] },
    Row { who: "ada", reads: Some(&[1]), lists: &[1], updates: &[1], deletes: &[1] },
    Row { who: "ben", reads: Some(&[1, 2]), lists: &[1], updates: &[1, 2], deletes: &[] },
    Row { who: "cyd", reads: Some(&[]), lists: &[], updates: &[], deletes: &[] },
    Row {
        who: "eve:admin",
        reads: Some(&[1, 2, 3, 4]),
        lists: &[1, 3, 4],
        updates: &[1, 2, 3, 4],
        deletes: &[1, 2, 3, 4],
    },
    Row { who: "zoe", reads: Some(&[2, 3, 4]), lists: &[2, 3, 4], updates: &[2, 3, 4], deletes: &[2] },
];

impl Row {
    fn reads(&self) -> BTreeSet<u64> {
        self.reads.unwrap_or_default().iter().copied().collect()
    }

    fn lists(&self) -> BTreeSet<u64> {
        self.lists.iter().copied().collect()
    }
}

/// Documents whose `pay` they see.
fn sees_pay(who: &str, doc: u64) -> bool {
    who == "eve:admin" || (who == "ada" && doc == 1) || (who == "zoe" && doc > 1)
}

fn files() -> [(&'static str, &'static str); 5] {
    [("user", USER), ("team", TEAM), ("membership", MEMBERSHIP), ("doc", DOC), ("note", NOTE)]
}

fn schema() -> Arc<Schema> {
    let file = |(name, text): (&str, &str)| SourceFile {
        name: format!("schemas/{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    Arc::new(tidewire::schema::check(&files().map(file)).unwrap_or_else(|errors| panic!("{errors}")))
}

struct Stage {
    app: TestApp,
    admin: Client,
}

impl Stage {
    async fn set() -> Stage {
        let app = TestApp::over(schema(), |_| {}).await;
        let admin = Client::named(app.address, "eve:admin");
        for name in ["ada", "ben", "cyd", "zoe"] {
            Client::named(app.address, name).any("GET", "/api/notes", Value::Null).await;
        }
        for n in [1, 2] {
            let lead = if n == 1 { "ben" } else { "cyd" };
            admin.create("teams", json!({"id": id("f", n), "name": format!("team {n}"), "lead": lead})).await;
        }
        admin.create("memberships", json!({"team": id("f", 1), "member": "ben"})).await;
        let docs =
            [(1, "ada", json!(id("f", 1))), (2, "zoe", json!(id("f", 1))), (3, "zoe", json!(id("f", 2)))];
        for (n, owner, team) in docs.into_iter().chain([(4, "zoe", Value::Null)]) {
            admin.create("docs", doc(n, owner, team)).await;
            let pinned = [json!(false), json!(false), Value::Null, json!(true)][n as usize - 1].clone();
            admin.create("notes", json!({"id": id("e", n), "doc": id("d", n), "pinned": pinned})).await;
        }
        Stage { app, admin }
    }

    fn client(&self, who: &str) -> Client {
        if who.is_empty() { Client::new(self.app.address) } else { Client::named(self.app.address, who) }
    }

    async fn socket(&self, who: &str) -> Socket {
        let path = if who.is_empty() { "/ws".to_owned() } else { format!("/ws?as={who}") };
        let mut socket = Socket::open_at(self.app.address, &path).await;
        socket.expect("connected").await;
        socket
    }
}

fn doc(n: u64, owner: &str, team: Value) -> Value {
    json!({"id": id("d", n), "title": format!("word {n}"), "rank": n, "owner": owner, "team": team,
        "pay": 100 + n, "key": "k", "listed": n != 2})
}

fn id(family: &str, n: u64) -> String {
    format!("01890000-0000-7000-8000-{family}0000000{n:04}")
}

/// Numbers of the documents in a list of records; each shown with the right fields.
fn numbers<'a>(who: &str, records: impl IntoIterator<Item = &'a Value>) -> BTreeSet<u64> {
    let number = |record: &Value| {
        let id = record["id"].as_str().unwrap();
        let n: u64 = id[id.len() - 4..].parse().unwrap();
        let record = record.as_object().unwrap();
        assert_eq!(record.contains_key("pay"), sees_pay(who, n), "{who} sees {record:?}");
        assert!(!record.contains_key("key"), "{who} sees {record:?}");
        n
    };
    records.into_iter().map(number).collect()
}

/// Problem details without what names the request.
fn told(answer: &Answer) -> (u16, Value) {
    let mut json = answer.json.clone();
    if let Some(object) = json.as_object_mut() {
        ["instance", "requestId", "request_id"].iter().for_each(|key| drop(object.remove(*key)));
    }
    (answer.status, json)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_reading_shows_the_same_records() {
    let stage = Stage::set().await;
    for row in ROWS {
        let (who, client) = (row.who, stage.client(row.who));
        if row.reads.is_none() {
            nothing_is_there(&client).await;
            continue;
        }
        let (expected, listed) = (row.reads(), row.lists());
        let ways = [
            ("list", "/api/docs"),
            ("filter", "/api/docs?rank[gte]=1"),
            ("sort", "/api/docs?sort=-rank,title"),
            ("search", "/api/docs?search=word"),
            ("fields", "/api/docs?fields=title,pay"),
        ];
        for (way, path) in ways {
            let answer = client.get(path).await;
            assert_eq!(numbers(who, answer["items"].as_array().unwrap()), listed, "{who} by {way}");
        }
        let count = client.get("/api/docs/count").await;
        assert_eq!(count["count"], listed.len(), "{who} by count");
        let grouped = client.get("/api/docs/count?group=rank").await;
        assert_eq!(grouped["groups"].as_array().unwrap().len(), listed.len(), "{who} by groups");
        for n in 1..=4 {
            let (status, record) = client.get_any(&format!("/api/docs/{}", id("d", n))).await;
            assert_eq!(status, if expected.contains(&n) { 200 } else { 404 }, "{who} gets {n}");
            if status == 200 {
                numbers(who, [&record]);
            }
            let (status, past) = client.get_any(&format!("/api/docs/{}/history", id("d", n))).await;
            assert_eq!(status, if expected.contains(&n) { 200 } else { 404 }, "{who}: {n}: {past}");
            let first = past["items"].as_array().and_then(|items| items.last());
            assert_eq!(
                first.is_some_and(|first| first["op"] == "create"),
                status == 200,
                "{who}: {n}: {past}"
            );
        }
        expanded(&client, who, &expected).await;
        paged(&client, who, &listed).await;
    }
}

/// `tidewire export --as`, beside the running server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_for_a_person_has_what_they_may_read() {
    let stage = Stage::set().await;
    let project = tempfile::tempdir().unwrap();
    std::fs::create_dir(project.path().join("schemas")).unwrap();
    for (name, text) in files() {
        std::fs::write(project.path().join(format!("schemas/{name}.toml")), text).unwrap();
    }
    let data = stage.app.folder.path().join("data").to_str().unwrap().to_owned();
    let export = async |arguments: &[&str]| {
        let mut command = tidewire(project.path());
        ended(command.args(["export", "--data", &data]).args(arguments)).await
    };
    for row in ROWS.iter().filter(|row| !row.who.is_empty()) {
        let (who, expected) = (row.who, row.lists());
        let lines = export(&["Doc", "--as", who]).await;
        assert_eq!(lines.code, 0, "{who}: {}", lines.stderr);
        let records: Vec<Value> =
            lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(numbers(who, &records), expected, "{who} by export");
        let noun = if expected.len() == 1 { "record" } else { "records" };
        let said = format!("exported {} {noun} of Doc that `{who}` may read at ", expected.len());
        assert!(lines.stderr.contains(&said), "{who}: {}", lines.stderr);
        let rows = export(&["Doc", "--as", who, "--format", "csv"]).await;
        let mut rows = rows.stdout.lines();
        let header: Vec<&str> = rows.next().unwrap().split(',').collect();
        assert!(!header.contains(&"key"), "{header:?}");
        let pay = header.iter().position(|name| *name == "pay");
        let mut found = BTreeSet::new();
        for row in rows {
            let cells: Vec<&str> = row.split(',').collect();
            let n: u64 = cells[0][cells[0].len() - 4..].parse().unwrap();
            let own = if sees_pay(who, n) { format!("{}", 100 + n) } else { String::new() };
            assert_eq!(pay.map_or("", |at| cells[at]), own, "{who}: {row}");
            found.insert(n);
        }
        assert_eq!(found, expected, "{who} by export of rows");
    }
    // What is hidden is as what is missing: not a word of it, and the same words for an unknown user.
    let hidden = export(&["Doc", "--as", "cyd"]).await;
    stage.admin.any("DELETE", &format!("/api/docs/{}", id("d", 4)), Value::Null).await;
    let missing = export(&["Doc", "--as", "cyd"]).await;
    let words = |text: &str| text.split(" at ").next().unwrap().to_owned();
    assert_eq!((hidden.stdout, words(&hidden.stderr)), (missing.stdout, words(&missing.stderr)));
    let unknown = export(&["Doc", "--as", "nosuch"]).await;
    assert!(unknown.stderr.contains("(there is no such User record)"), "{}", unknown.stderr);
    let closed = export(&["Closed", "--as", "ada"]).await;
    assert!(closed.stderr.contains("there is no entity `Closed`"), "{}", closed.stderr);
    let closed = export(&["User", "--as", "ada"]).await;
    assert_eq!((closed.code, closed.stdout.as_str()), (1, ""), "{}", closed.stderr);
    assert!(closed.stderr.contains("there is no User that this person may read"), "{}", closed.stderr);
    for (who, words) in [("", "--as must name a user"), (":admin", "no name before the colon")] {
        let told = export(&["Doc", "--as", who]).await;
        assert!(told.code == 2 && told.stderr.contains(words), "{who}: {}", told.stderr);
    }
    let doc = DOC.replace("read = \"owner == user.id ||", "read = \"user != null || owner == user.id ||");
    assert_ne!(doc, DOC);
    std::fs::write(project.path().join("schemas/doc.toml"), doc).unwrap();
    let ahead = export(&["Doc", "--as", "cyd"]).await;
    assert_eq!((ahead.code, ahead.stdout.as_str()), (1, ""), "{}", ahead.stderr);
    assert!(ahead.stderr.contains("their rules are not in force yet"), "{}", ahead.stderr);
}

/// For a user to whom the entity is closed it does not exist, by any way: the texts are those for an unknown name.
async fn nothing_is_there(client: &Client) {
    for (path, missing) in [
        ("/api/docs".to_owned(), "/api/nons".to_owned()),
        ("/api/docs/count".to_owned(), "/api/nons/count".to_owned()),
        (format!("/api/docs/{}", id("d", 1)), format!("/api/nons/{}", id("d", 1))),
        (format!("/api/docs/{}/history", id("d", 1)), format!("/api/nons/{}/history", id("d", 1))),
    ] {
        let (closed, none) =
            (client.call("GET", &path, Value::Null).await, client.call("GET", &missing, Value::Null).await);
        assert_eq!((closed.status, &closed.json["code"]), (404, &json!("UNKNOWN_ENTITY")), "{path}");
        let named = none.text.replace("nons", "docs");
        assert_eq!(told(&closed).1["detail"], serde_json::from_str::<Value>(&named).unwrap()["detail"]);
    }
}

/// A note shows its document only to those who may read that.
async fn expanded(client: &Client, who: &str, expected: &BTreeSet<u64>) {
    let notes = client.get("/api/notes?expand=doc").await;
    let notes = notes["items"].as_array().unwrap();
    assert_eq!(notes.len(), 4);
    let shown: Vec<&Value> =
        notes.iter().map(|note| &note["expanded"]["doc"]).filter(|doc| !doc.is_null()).collect();
    assert_eq!(numbers(who, shown), *expected, "{who} by expand");
}

/// One record a page: neither the pages nor the cursors tell of what lies between.
async fn paged(client: &Client, who: &str, expected: &BTreeSet<u64>) {
    let (mut seen, mut cursor) = (BTreeSet::new(), String::new());
    for _ in 0..=4 {
        let page = client.get(&format!("/api/docs?limit=1&sort=rank{cursor}")).await;
        seen.extend(numbers(who, page["items"].as_array().unwrap()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, *expected, "{who} by pages");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_live_way_shows_the_same_records() {
    let stage = Stage::set().await;
    for row in ROWS {
        let who = row.who;
        if row.reads.is_none() {
            closed_channel(&stage, who).await;
            continue;
        }
        let (reads, expected) = (row.reads(), row.lists());
        for channel in ["entity:Doc", "entity:Doc?rank[gte]=1"] {
            let (rows, position) = snapshot(&stage, who, channel).await;
            assert_eq!(numbers(who, &rows), expected, "{who} by the snapshot of {channel}");
            let mut live = stage.socket(who).await;
            live.subscribe(channel, json!({})).await;
            touch_all(&stage).await;
            let events = until_pong(&mut live).await;
            assert_eq!(numbers(who, &events), expected, "{who} by events of {channel}");
            let mut resumed = stage.socket(who).await;
            let answer = resumed.subscribe(channel, json!({"since": position})).await;
            assert_eq!(answer["payload"]["recovered"], true, "{answer}");
            let events = until_pong(&mut resumed).await;
            assert_eq!(numbers(who, &events), expected, "{who} by the replay of {channel}");
            let polled = poll(&stage, who, channel, &position).await;
            assert_eq!(numbers(who, &polled), expected, "{who} by a poll of {channel}");
        }
        for n in 1..=4 {
            let channel = format!("entity:Doc:{}", id("d", n));
            let (rows, _) = snapshot(&stage, who, &channel).await;
            let own: BTreeSet<u64> = reads.iter().copied().filter(|seen| *seen == n).collect();
            assert_eq!(numbers(who, &rows), own, "{who} by {channel}");
            let mut live = stage.socket(who).await;
            live.subscribe(&channel, json!({})).await;
            touch_all(&stage).await;
            let events = until_pong(&mut live).await;
            assert_eq!(numbers(who, &events), own, "{who} by events of {channel}");
        }
    }
}

async fn closed_channel(stage: &Stage, who: &str) {
    let mut socket = stage.socket(who).await;
    for rest in ["", ":not-an-id", ":%00", "?rank[gte]=1", "?rank[gte]=x", "?nothing=1"] {
        let (closed, none) = (format!("entity:Doc{rest}"), format!("entity:Dok{rest}"));
        let mut texts = Vec::new();
        for channel in [&closed, &none] {
            socket.send(&json!({"type": "subscribe", "channel": channel, "requestId": "r"})).await;
            let error = socket.expect("error").await;
            texts.push(error["payload"].to_string().replace("Dok", "Doc"));
        }
        assert!(texts[0].contains("UNKNOWN_ENTITY") && texts[0] == texts[1], "{rest}: {texts:?}");
        let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let path = format!("/api/changes?channel={}&channel={}", escaped(&closed), escaped(&none));
        let errors = stage.client(who).get(&path).await["errors"].to_string();
        let errors: Value = serde_json::from_str(&errors.replace("Dok", "Doc")).unwrap();
        assert_eq!(errors[0]["code"], "UNKNOWN_ENTITY", "{rest}");
        assert_eq!(errors[0], errors[1], "{rest}");
    }
}

async fn touch_all(stage: &Stage) {
    for n in 1..=4 {
        let title = json!({"title": format!("word {n} again")});
        stage.admin.patch(&format!("/api/docs/{}", id("d", n)), title).await;
        let title = json!({"title": format!("word {n}")});
        stage.admin.patch(&format!("/api/docs/{}", id("d", n)), title).await;
    }
}

/// Rows and the position from which a resume continues.
async fn snapshot(stage: &Stage, who: &str, channel: &str) -> (Vec<Value>, Value) {
    let mut socket = stage.socket(who).await;
    socket.subscribe(channel, json!({"snapshot": true})).await;
    let mut rows = Vec::new();
    loop {
        let frame = socket.frame().await;
        match frame["type"].as_str().unwrap() {
            "snapshot" => rows.extend(frame["payload"]["rows"].as_array().unwrap().iter().cloned()),
            "pong" => return (rows, frame["payload"].clone()),
            other => panic!("{other} within a snapshot: {frame}"),
        }
    }
}

/// Records of all events that came before the answer to a ping.
async fn until_pong(socket: &mut Socket) -> Vec<Value> {
    // A replay ends with the pong of its channel; a live one is asked for its own.
    socket.send(&json!({"type": "ping", "requestId": "end"})).await;
    let mut records = Vec::new();
    loop {
        let Came::Frame(frame) = socket.came().await else { panic!("the socket closed") };
        match frame["type"].as_str().unwrap() {
            "entity:updated" | "entity:created" => records.push(frame["payload"].clone()),
            "pong" if frame["requestId"] == "end" && !frame["payload"]["seq"].is_null() => return records,
            // The channel was not live yet; now it may be.
            "pong" if frame["requestId"] == "end" => {
                socket.send(&json!({"type": "ping", "requestId": "end"})).await;
            }
            "pong" => {}
            other => panic!("{other} came: {frame}"),
        }
    }
}

async fn poll(stage: &Stage, who: &str, channel: &str, position: &Value) -> Vec<Value> {
    let text = |key: &str| position[key].as_str().unwrap().to_owned();
    let since = format!("{}:{}", text("epoch"), position["seq"]);
    let channel = channel.replace('?', "%3F").replace('=', "%3D").replace('[', "%5B").replace(']', "%5D");
    let path = format!("/api/changes?channel={channel}&since={since}&view={}", text("view"));
    let answer = stage.client(who).get(&path).await;
    assert_eq!(answer["channels"][0]["recovered"], true, "{answer}");
    answer["events"].as_array().unwrap().iter().map(|event| event["payload"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hidden_and_missing_answer_alike() {
    let stage = Stage::set().await;
    for row in ROWS {
        let (who, client, expected) = (row.who, stage.client(row.who), row.reads());
        for n in (1..=4).filter(|n| !expected.contains(n)) {
            let (hidden, missing) = (id("d", n), id("d", 99));
            for (method, rest, body) in [
                ("GET", "", Value::Null),
                ("GET", "?expand=team", Value::Null),
                ("GET", "/history", Value::Null),
                ("PATCH", "", json!({"title": "x"})),
                ("PUT", "", json!({"title": "x", "owner": "ada"})),
                ("DELETE", "", Value::Null),
            ] {
                let of = |id: &str| format!("/api/docs/{id}{rest}");
                let one = client.call(method, &of(&hidden), body.clone()).await;
                let other = client.call(method, &of(&missing), body.clone()).await;
                let told_of_missing = other.text.replace(&missing, &hidden);
                let other = Answer { json: serde_json::from_str(&told_of_missing).unwrap(), ..other };
                assert_eq!(told(&one), told(&other), "{who}: {method} {}", of(&hidden));
                assert_eq!(one.status, 404, "{who}: {method} {}", of(&hidden));
            }
            // A version that is not compared reveals nothing either.
            let path = format!("/api/docs/{hidden}");
            let versions = client.call_with("PATCH", &path, json!({}), &[("if-match", "\"7\"")]).await;
            assert_eq!(versions.status, 404, "{who}: {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_is_judged() {
    for row in ROWS {
        let stage = Stage::set().await;
        let (who, client, expected) = (row.who, stage.client(row.who), row.reads());
        for n in 1..=4 {
            let path = format!("/api/docs/{}", id("d", n));
            let status = |may: &[u64], done| match (expected.contains(&n), may.contains(&n)) {
                (false, _) => 404,
                (true, false) => 403,
                (true, true) => done,
            };
            for (method, body, status) in [
                ("PATCH", json!({"rank": 10 + n}), status(row.updates, 200)),
                ("DELETE", Value::Null, status(row.deletes, 204)),
            ] {
                let answer = client.call(method, &path, body).await;
                assert_eq!(answer.status, status, "{who}: {method} {n}: {}", answer.text);
                if status == 403 {
                    assert_eq!(answer.json["code"], "FORBIDDEN");
                }
            }
        }
        for n in 1..=4 {
            let (status, left) = stage.admin.get_any(&format!("/api/docs/{}", id("d", n))).await;
            let rank = if row.updates.contains(&n) { 10 + n } else { n };
            match row.deletes.contains(&n) {
                true => assert_eq!(status, 404, "{who}: {n}"),
                false => assert_eq!((status, &left["rank"]), (200, &json!(rank)), "{who}: {n}"),
            }
        }
        let own = client.call("POST", "/api/docs", json!({"title": "mine", "owner": who})).await.status;
        let of_another =
            client.call("POST", "/api/docs", json!({"title": "his", "owner": "zoe"})).await.status;
        let (own_status, other_status) = match who {
            "" => (404, 404),
            "eve:admin" => (422, 201),
            "zoe" => (201, 201),
            // Whom one may not see is unknown before the rule is asked.
            _ => (201, 422),
        };
        assert_eq!((own, of_another), (own_status, other_status), "{who} creates");
        let owner = if who == "eve:admin" { "zoe" } else { who };
        for (until, status) in [("2000-01-01T00:00:00Z", 403), ("2999-01-01T00:00:00Z", 201)] {
            let body = json!({"title": "timed", "owner": owner, "until": until});
            let answer = client.call("POST", "/api/docs", body).await;
            let status = if who.is_empty() { 404 } else { status };
            assert_eq!(answer.status, status, "{who} until {until}: {}", answer.text);
        }
    }
}

/// Changes of many take what is listed, and of that only what each user may change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_many_take_what_is_listed_and_allowed() {
    for row in ROWS {
        let stage = Stage::set().await;
        let (who, client, listed) = (row.who, stage.client(row.who), row.lists());
        let among = |may: &[u64]| listed.iter().filter(|n| may.contains(n)).count();
        for (method, body, may) in
            [("PATCH", json!({"title": "word"}), row.updates), ("DELETE", Value::Null, row.deletes)]
        {
            let answer = client.call(method, "/api/docs?rank[gte]=1", body).await;
            if row.reads.is_none() {
                assert_eq!(answer.json["code"], "UNKNOWN_ENTITY", "{method}: {}", answer.text);
                continue;
            }
            let told = json!({"changed": among(may), "refused": listed.len() - among(may), "next": null});
            assert_eq!(answer.json, told, "{who}: {method}");
        }
        for n in 1..=4 {
            let (status, left) = stage.admin.get_any(&format!("/api/docs/{}", id("d", n))).await;
            let gone = listed.contains(&n) && row.deletes.contains(&n);
            assert_eq!(status, if gone { 404 } else { 200 }, "{who}: {n}");
            let changed = listed.contains(&n) && row.updates.contains(&n);
            assert!(gone || (left["title"] == "word") == changed, "{who}: {n}: {left}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_that_a_user_never_sees_are_unknown() {
    let stage = Stage::set().await;
    let client = stage.client("ben");
    for path in ["/api/docs?{}=k", "/api/docs?sort={}", "/api/docs/count?group={}", "/api/docs?{}[null]=true"]
    {
        let hidden = client.call("GET", &path.replace("{}", "key"), Value::Null).await;
        let missing = client.call("GET", &path.replace("{}", "kez"), Value::Null).await;
        assert_eq!(hidden.status, 400, "{path}: {}", hidden.text);
        let named = missing.text.replace("kez", "key");
        assert_eq!(hidden.json["detail"], serde_json::from_str::<Value>(&named).unwrap()["detail"], "{path}");
    }
    // A field that is shown with some records reveals only those.
    let by_pay = client.get("/api/docs?pay[gte]=0").await;
    assert_eq!(by_pay["items"], json!([]));
    assert_eq!(client.call("GET", "/api/docs?sort=pay", Value::Null).await.status, 400);
    let ada = stage.client("ada").get("/api/docs?pay[gte]=0").await;
    assert_eq!(numbers("ada", ada["items"].as_array().unwrap()), BTreeSet::from([1]));
}
