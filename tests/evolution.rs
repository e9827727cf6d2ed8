//! Schemas that change over records and clients that are in place: one story for each kind of step. What loses nothing is done
//! under the running server; what loses something, or cannot be done, changes nothing and names its way on.

mod backups;
mod second_day;
mod steps;
mod under_load;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::Parser;
use serde_json::{Value, json};
use tidewire::cli::arguments::{Arguments, CliCommand, MigrateArguments};
use tidewire::cli::migrate;
use tidewire::config::Config;
use tidewire::env::Env;
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::{Client, TestApp};
use crate::support::socket::Socket;

/// One step from schema to schema.
struct Step {
    /// Whole files.
    before: &'static [&'static str],
    after: &'static [&'static str],
    /// Plural and body of the records that are there, in order. `@n` in a value is the id of the nth record.
    rows: &'static [(&'static str, &'static str)],
    how: How,
    /// What `entity:Task`, or the entity named, holds afterwards: the fields of each record, in order.
    entity: &'static str,
    then: &'static str,
}

enum How {
    /// Done while the server runs.
    Live,
    /// Refused with these flags in the command, done by `migrate apply` with these.
    Flags { told: &'static [&'static str], given: &'static [&'static str] },
    /// Refused with these words, and no flag helps.
    Never(&'static [&'static str]),
}

fn schema(files: &[&str]) -> Arc<Schema> {
    let source = |(at, text): (usize, &&str)| SourceFile {
        name: format!("schemas/{at}.toml"),
        format: Format::Toml,
        text: (*text).to_owned(),
    };
    let sources: Vec<SourceFile> = files.iter().enumerate().map(source).collect();
    Arc::new(check(&sources).unwrap_or_else(|errors| panic!("{errors}")))
}

/// The records' own fields, in the order of their ids, which is the order of creation.
fn fields_of(rows: &BTreeMap<String, Value>) -> Vec<Value> {
    let own = |row: &Value| {
        let mut row = row.clone();
        let members = row.as_object_mut().unwrap();
        ["id", "version", "created_at", "updated_at"].iter().for_each(|name| drop(members.remove(*name)));
        row
    };
    rows.values().map(own).collect()
}

/// A client that keeps the records of one channel.
struct Window {
    socket: Socket,
    rows: BTreeMap<String, Value>,
    channel: String,
    since: Value,
}

impl Window {
    async fn open(app: &TestApp, entity: &str) -> Window {
        Window::open_at(app.address, entity).await
    }

    async fn open_at(address: SocketAddr, entity: &str) -> Window {
        let mut socket = Socket::open(address).await;
        let channel = format!("entity:{entity}");
        let subscribed = socket.subscribe(&channel, json!({"snapshot": true})).await;
        let since = subscribed["payload"].clone();
        let mut window = Window { socket, rows: BTreeMap::new(), channel, since };
        window.fill().await;
        window
    }

    /// Takes the rest of a snapshot, up to its closing pong.
    async fn fill(&mut self) {
        self.rows.clear();
        loop {
            let frame = self.socket.frame().await;
            match frame["type"].as_str().unwrap() {
                "snapshot" => {
                    for row in frame["payload"]["rows"].as_array().unwrap() {
                        self.rows.insert(row["id"].as_str().unwrap().to_owned(), row.clone());
                    }
                }
                "pong" => return self.since = frame["payload"].clone(),
                other => panic!("{other} inside a snapshot: {frame}"),
            }
        }
    }

    /// `schema:changed`, then the records in their new shape.
    async fn changes(&mut self, generation: u64) {
        let changed = self.socket.expect("schema:changed").await;
        assert_eq!(changed["payload"], json!({"generation": generation}));
        assert!(changed["channel"].is_null() && changed["timestamp"].is_u64(), "{changed}");
        let resync = self.socket.expect("resync").await;
        assert_eq!(
            (&resync["channel"], &resync["payload"]["reason"]),
            (&json!(self.channel), &json!("schema_changed"))
        );
        self.fill().await;
    }
}

/// Replaces `@n` by the id of the nth record.
fn with_ids(text: &str, ids: &[String]) -> String {
    let mut text = text.to_owned();
    for (at, id) in ids.iter().enumerate().rev() {
        text = text.replace(&format!("@{}", at + 1), id);
    }
    text
}

fn parsed(text: &str, ids: &[String]) -> Value {
    serde_json::from_str(&with_ids(text, ids)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Takes the step with two clients in place, one with a channel and one without.
async fn take(step: Step) {
    let app = TestApp::over(schema(step.before), |_| {}).await;
    let client = app.client();
    let mut ids = Vec::new();
    for (plural, body) in step.rows {
        let made = client.create(plural, parsed(body, &ids)).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let old_name = schema(step.after).entity(step.entity).and_then(|entity| entity.was.clone());
    let present = schema(step.before).entity(step.entity).is_some();
    let watched = if present { step.entity } else { old_name.as_deref().unwrap_or("User") };
    let mut window = Window::open(&app, watched).await;
    let mut idle = Socket::open(app.address).await;

    let after = schema(step.after);
    let plural = after.entity(step.entity).map(|entity| entity.plural.to_string());
    let then = parsed(step.then, &ids);
    let reshaped = app.reshape(after.clone()).await;
    match step.how {
        How::Live => {
            reshaped.unwrap_or_else(|error| panic!("{error}"));
            if watched == step.entity {
                window.changes(2).await;
                assert_eq!(json!(fields_of(&window.rows)), then, "the live client");
            } else {
                window.socket.expect("schema:changed").await;
                let gone = window.socket.expect("error").await;
                assert_eq!(gone["payload"]["code"], "UNKNOWN_ENTITY", "{gone}");
            }
            idle.expect("schema:changed").await;
            idle.nothing_else().await;
            if let Some(plural) = plural {
                assert_eq!(json!(fields_of(&app.rows(&plural).await)), then, "the list");
            }
        }
        How::Flags { told, given } => {
            let error = reshaped.expect_err("the step loses something").to_string();
            let command = error.lines().last().unwrap().trim();
            assert_eq!(command, format!("tidewire migrate apply {}", told.join(" ")), "{error}");
            undisturbed(&app, &step, &mut window, &mut idle).await;
            migrated(app, &step, &window, &then, given).await;
        }
        How::Never(words) => {
            let error = reshaped.expect_err("the step cannot be taken").to_string();
            words.iter().for_each(|word| assert!(error.contains(word), "`{word}` is not in\n{error}"));
            undisturbed(&app, &step, &mut window, &mut idle).await;
        }
    }
}

/// Nothing was said, and what is written now comes as ever.
async fn undisturbed(app: &TestApp, step: &Step, window: &mut Window, idle: &mut Socket) {
    idle.nothing_else().await;
    let before = schema(step.before);
    let plural = &before.entity(window.channel.trim_start_matches("entity:")).unwrap().plural;
    let ids: Vec<String> = window.rows.keys().cloned().collect();
    assert_eq!(fields_of(&app.rows(plural).await), fields_of(&window.rows));
    let gone = ids.last().expect("a step that loses something has records");
    app.client().delete(&format!("/api/{plural}/{gone}")).await;
    let deleted = window.socket.expect("entity:deleted").await;
    assert_eq!(deleted["payload"], json!({"id": gone}));
    window.rows.remove(gone);
    window.since["seq"] = deleted["seq"].clone();
}

/// Stops the server, migrates as the command says, and starts it again; the client resumes from where it was.
async fn migrated(app: TestApp, step: &Step, window: &Window, then: &Value, given: &[&str]) {
    app.stop().await;
    let TestApp { folder, .. } = app;
    let verdict = apply(folder.path(), step.after, given);
    assert_eq!(verdict.code, 0, "{}", verdict.stderr);
    let keeps = |flag: &&str| flag.starts_with("--backfill") || flag.starts_with("--allow-retype");
    // A conversion to another type may keep everything; steps that change a text do not.
    let loses = !given.iter().all(keeps) || verdict.stdout.contains("normalize its values");
    assert_eq!(verdict.stdout.contains("backup: "), loses, "{}", verdict.stdout);
    let app = TestApp::again(folder, schema(step.after), |_| {}).await;
    let entity = schema(step.after);
    let Some(entity) = entity.entity(step.entity) else { return };
    let rows = app.rows(&entity.plural).await;
    assert_eq!(json!(fields_of(&rows)), *then, "the list");
    let mut socket = Socket::open(app.address).await;
    let subscribed = socket.subscribe(&window.channel, json!({"since": window.since})).await;
    assert_eq!(subscribed["payload"]["recovered"], false, "nobody resumes across a change of the schema");
    let since = Value::Null;
    let mut window = Window { socket, rows: BTreeMap::new(), channel: window.channel.clone(), since };
    window.fill().await;
    assert_eq!(window.rows, rows);
}

fn apply(folder: &Path, files: &[&str], given: &[&str]) -> migrate::MigrateOutput {
    migrated_by("apply", folder, files, given)
}

fn migrated_by(verb: &str, folder: &Path, files: &[&str], given: &[&str]) -> migrate::MigrateOutput {
    let schemas = folder.join("schemas");
    std::fs::create_dir_all(&schemas).unwrap();
    for (at, text) in files.iter().enumerate() {
        std::fs::write(schemas.join(format!("{at}.toml")), text).unwrap();
    }
    let flags = given.iter().flat_map(|flag| {
        let (name, value) = flag.split_once(' ').unwrap();
        [name, value]
    });
    let arguments = Arguments::parse_from(["tidewire", "migrate", verb].into_iter().chain(flags));
    let Some(CliCommand::Migrate(MigrateArguments { command })) = arguments.command else {
        panic!("not parsed")
    };
    let config = Config { schemas, data: folder.join("data"), ..Config::default() };
    migrate::judge(&command, &config, &Env::system())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_poll_is_woken_and_must_read_the_list() {
    const BEFORE: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n";
    const AFTER: &str = "entity = 'Task'\n[fields]\nname = { type = 'text', was = 'title' }\n";
    let app = TestApp::over(schema(&[BEFORE]), |_| {}).await;
    let client = app.client();
    client.create("tasks", json!({"title": "a"})).await;
    let here = client.get("/api/changes?channel=entity:Task").await;
    let (epoch, seq) = (here["epoch"].as_str().unwrap(), here["seq"].as_u64().unwrap());
    let view = here["channels"][0]["view"].as_str().unwrap();
    let path = format!("/api/changes?channel=entity:Task&view={view}&since={epoch}:{seq}&wait=25");
    let polling = tokio::spawn({
        let client = client.clone();
        async move { client.get(&path).await }
    });
    app.wait_for_groups(1).await;
    app.reshape(schema(&[AFTER])).await.unwrap();
    let answer = polling.await.unwrap();
    assert_eq!((&answer["channels"][0]["recovered"], &answer["events"]), (&json!(false), &json!([])));
    let list = client.get("/api/tasks").await;
    assert_eq!(list["items"][0]["name"], "a");
    let since = format!("{}:{}", list["epoch"].as_str().unwrap(), list["seq"]);
    let view = list["view"].as_str().unwrap();
    let path = format!("/api/changes?channel=entity:Task&view={view}&since={since}");
    assert_eq!(client.get(&path).await["channels"][0]["recovered"], true, "the list's view is the new one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_versions_of_a_deleted_record_go_on_under_another_name() {
    const BEFORE: &str = "entity = 'Task'\nplural = 'things'\n[fields]\ntitle = { type = 'text' }\n";
    const AFTER: &str = "entity = 'Thing'\nwas = 'Task'\n[fields]\ntitle = { type = 'text' }\n";
    let app = TestApp::over(schema(&[BEFORE]), |_| {}).await;
    let client = app.client_as("ada");
    let made = client.create("things", json!({"title": "a"})).await;
    let path = format!("/api/things/{}", made["id"].as_str().unwrap());
    client.delete(&path).await;
    let body = json!({"id": made["id"], "title": "b"});
    app.reshape(schema(&[AFTER])).await.unwrap();
    assert_eq!(client.create("things", body).await["version"], 2);
}

/// What `migrate plan` says of records that an app has left behind.
fn planned(folder: &Path, files: &[&str], given: &[&str]) -> migrate::MigrateOutput {
    migrated_by("plan", folder, files, given)
}

#[tokio::test]
async fn a_plan_that_is_ready_can_be_applied() {
    const BEFORE: &str = "entity = 'Task'\n[fields]\nn = { type = 'text' }\n";
    const RETYPED: &str = "entity = 'Task'\n[fields]\nn = { type = 'int', unique = true, default = 7 }\n";
    const REQUIRED: &str =
        "entity = 'Task'\n[fields]\nn = { type = 'text', unique = true, required = true }\n";
    let app = TestApp::over(schema(&[BEFORE]), |_| {}).await;
    for n in [json!("a"), json!("b"), json!("5"), Value::Null] {
        app.client().create("tasks", json!({"n": n})).await;
    }
    app.stop().await;
    let TestApp { folder, .. } = app;
    for (after, given, words) in [
        (RETYPED, vec!["--allow-clear Task.n"], "two records would have `7`"),
        (RETYPED, vec!["--allow-clear Task.n", "--backfill Task.n=5"], "two records would have `5`"),
        (REQUIRED, vec!["--backfill Task.n=a"], "there is a record with `a` already"),
        (REQUIRED, vec!["--allow-drop Task.n", "--backfill Task.n=c"], "--allow-drop allows nothing"),
        (REQUIRED, vec!["--backfill Task.n=c"], ""),
    ] {
        let plan = planned(folder.path(), &[after], &given);
        assert!(plan.stdout.contains(words), "{given:?}: {}", plan.stdout);
        assert_eq!(plan.code, u8::from(!words.is_empty()), "{given:?}: {}", plan.stdout);
        let applied = apply(folder.path(), &[after], &given);
        assert_eq!(applied.code, plan.code, "{given:?}: {}{}", applied.stdout, applied.stderr);
    }
    assert!(!folder.path().join("data/backups").exists(), "nothing was lost, and nothing was tried in vain");
}

#[tokio::test]
async fn the_command_that_is_printed_holds_what_was_said_before() {
    const BEFORE: &str = "entity = 'Task'\n[fields]\nn = { type = 'text' }\n";
    const AFTER: &str = "entity = 'Task'\n[fields]\nn = { type = 'int', required = true }\n";
    let app = TestApp::over(schema(&[BEFORE]), |_| {}).await;
    app.client().create("tasks", json!({"n": "many"})).await;
    app.stop().await;
    let TestApp { folder, .. } = app;
    let plan = planned(folder.path(), &[AFTER], &["--allow-clear Task.n"]);
    let command = "tidewire migrate apply --allow-clear Task.n --backfill Task.n=VALUE";
    assert!(plan.stdout.contains(command), "{}", plan.stdout);
}

/// Every table and index as it was made, and every record.
fn tables_and_records(folder: &Path) -> Vec<String> {
    let conn = rusqlite::Connection::open(folder.join("data/tidewire.db")).unwrap();
    let lines = |sql: &str| -> Vec<String> {
        let mut statement = conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let mut told =
        lines("SELECT type || ' ' || name || ' ' || ifnull(sql, '') FROM sqlite_master ORDER BY 1");
    told.extend(lines("SELECT quote(id) || version || title || updated_at FROM tasks ORDER BY 1"));
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_changes_is_a_generation_and_touches_no_table() {
    let file = |title: &str, by: &str, read: &str| {
        format!(
            "entity = 'Task'\n[fields]\ntitle = {{ type = 'text'{title} }}\n\
             a = {{ type = 'ref', entity = 'User' }}\nb = {{ type = 'ref', entity = 'User'{by} }}\n\
             [access]\nread = \"{read}\"\ncreate = 'true'\n"
        )
    };
    let mark = ", identity = true";
    let steps = [
        file("", "", "true"),
        file("", "", "user == null || true"),
        file("", "", "true || user == null"),
        file(", read = 'true'", "", "true"),
        file(", read = 'a == user.id'", "", "true"),
        file(", hidden = true", "", "true"),
        file("", mark, "true"),
        file("", mark, "id in user.tasks.id"),
    ];
    let app = TestApp::over(schema(&[&steps[0]]), |_| {}).await;
    app.client().create("tasks", json!({"title": "a"})).await;
    let before = tables_and_records(app.folder.path());
    assert!(before.len() > 3, "{before:?}");
    for (at, step) in steps.iter().enumerate().skip(1) {
        let head = app.head();
        let evolved = app.reshape(schema(&[step])).await.unwrap_or_else(|error| panic!("{step}\n{error}"));
        assert_eq!((evolved.generation.0, evolved.plan.is_empty()), (1 + at as u64, true), "{step}");
        assert_eq!(app.head(), head + 1, "the marker is all that the log has of it: {step}");
        assert_eq!(tables_and_records(app.folder.path()), before, "{step}");
        let again = app.reshape(schema(&[step])).await.unwrap();
        assert_eq!((again.generation, app.head()), (evolved.generation, head + 1), "the same is no change");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_entity_inherits_nothing_from_a_dropped_one_of_its_name() {
    const BEFORE: &str = "entity = 'Task'\nhistory = 'forever'\n[fields]\nsecret = { type = 'text' }\n";
    const NONE: &str = "entity = 'Other'\n[fields]\nx = { type = 'int' }\n";
    const AGAIN: &str = "entity = 'Task'\nhistory = 'forever'\n[fields]\nn = { type = 'int' }\n";
    let app = TestApp::over(schema(&[BEFORE]), |config| config.store.retention_changes = 2).await;
    let client = app.client();
    let made = client.create("tasks", json!({"secret": "s"})).await;
    let path = format!("/api/tasks/{}", made["id"].as_str().unwrap());
    for n in 1..=5 {
        client.patch(&path, json!({"secret": n.to_string()})).await;
    }
    client.delete(&path).await;
    let refused = app.reshape(schema(&[NONE])).await.unwrap_err().to_string();
    assert!(refused.contains("0 records with") && refused.contains("--allow-drop Task"), "{refused}");
    app.stop().await;
    let TestApp { folder, .. } = app;
    let verdict = apply(folder.path(), &[NONE], &["--allow-drop Task"]);
    assert!(verdict.code == 0 && verdict.stdout.contains("backup: "), "{verdict:?}");
    let app = TestApp::again(folder, schema(&[AGAIN]), |_| {}).await;
    let again = app.client().create("tasks", json!({"id": made["id"], "n": 1})).await;
    assert_eq!(again["version"], 1);
    let history = app.client().get(&format!("{path}/history")).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 1, "{history}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removing_the_history_line_deletes_no_history() {
    const BEFORE: &str = "entity = 'Task'\nhistory = 'forever'\n[fields]\ntitle = { type = 'text' }\n";
    const AFTER: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n";
    let app = TestApp::over(schema(&[BEFORE]), |config| config.store.retention_changes = 2).await;
    let client = app.client();
    let made = client.create("tasks", json!({"title": "0"})).await;
    let path = format!("/api/tasks/{}", made["id"].as_str().unwrap());
    for n in 1..=5 {
        client.patch(&path, json!({"title": n.to_string()})).await;
    }
    let refused = app.reshape(schema(&[AFTER])).await.unwrap_err().to_string();
    assert!(refused.contains("changes of its history would be lost"), "{refused}");
    assert!(refused.ends_with("tidewire migrate apply --allow-forget Task"), "{refused}");
    let history = client.get(&format!("{path}/history")).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 6);
    app.stop().await;
    let TestApp { folder, .. } = app;
    let verdict = apply(folder.path(), &[AFTER], &["--allow-forget Task"]);
    assert!(verdict.code == 0 && verdict.stdout.contains("backup: "), "{verdict:?}");
    let app = TestApp::again(folder, schema(&[AFTER]), |_| {}).await;
    let (status, problem) = app.client().get_any(&format!("{path}/history")).await;
    assert_eq!((status, &problem["code"]), (404, &json!("NO_HISTORY")));
}

/// The history of a record as a user reads it, newest first: `changed`, `before` and `after` without what every record has.
async fn past(client: &Client, path: &str) -> Vec<Value> {
    let page = client.get(&format!("{path}/history")).await;
    let mut items = page["items"].as_array().unwrap().clone();
    for item in &mut items {
        for image in ["before", "after"] {
            if let Some(image) = item[image].as_object_mut() {
                ["id", "version", "created_at", "updated_at"]
                    .iter()
                    .for_each(|name| drop(image.remove(*name)));
            }
        }
        *item = json!([item["changed"], item["before"], item["after"]]);
    }
    items
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_hidden_stays_hidden_when_its_field_is_gone() {
    const BEFORE: &str = "entity = 'Task'\nhistory = 'forever'\n[fields]\ntitle = { type = 'text' }\n\
        secret = { type = 'text', hidden = true }\npay = { type = 'int', hidden = true }\n";
    const AFTER: &str = "entity = 'Task'\nhistory = 'forever'\n[fields]\ntitle = { type = 'text' }\n\
        wage = { type = 'int', hidden = true, was = 'pay' }\n";
    const LAST: &str = "entity = 'Task'\nhistory = 'forever'\n[fields]\ntitle = { type = 'text' }\n";
    let mut app = TestApp::over(schema(&[BEFORE]), |_| {}).await;
    let client = app.client();
    let made = client.create("tasks", json!({"title": "t", "secret": "s", "pay": 7})).await;
    let path = format!("/api/tasks/{}", made["id"].as_str().unwrap());
    client.patch(&path, json!({"title": "u", "secret": "s2", "pay": 8})).await;
    client.delete(&path).await;
    let gone = json!({"title": "u"});
    let expected = vec![
        json!([null, gone, null]),
        json!([["title"], {"title": "t"}, gone]),
        json!([null, null, {"title": "t"}]),
    ];
    assert_eq!(past(&client, &path).await, expected);
    for (file, flag) in [(AFTER, "--allow-drop Task.secret"), (LAST, "--allow-drop Task.wage")] {
        app.stop().await;
        let TestApp { folder, .. } = app;
        let verdict = apply(folder.path(), &[file], &[flag]);
        assert_eq!(verdict.code, 0, "{verdict:?}");
        app = TestApp::again(folder, schema(&[file]), |_| {}).await;
        assert_eq!(past(&app.client(), &path).await, expected, "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_older_than_a_field_is_not_filtered_by_it() {
    const HEAD: &str = "entity = 'Task'\nhistory = 'forever'\n";
    let file = |fields: &str, read: &str| {
        format!(
            "{HEAD}[fields]\ntitle = {{ type = 'text' }}\n{fields}\n[access]\nread = \"{read}\"\n\
            create = 'true'\nupdate = 'true'\ndelete = 'true'\n"
        )
    };
    const OWNER: &str = "owner = { type = 'text' }";
    const AUTHOR: &str = "author = { type = 'text', was = 'owner' }\nnote = { type = 'text' }";
    let first = file(OWNER, "owner == user.id");
    let app = TestApp::over(schema(&[&first]), |_| {}).await;
    let (ann, bob) = (app.client_as("ann"), app.client_as("bob"));
    let made = ann.create("tasks", json!({"title": "t", "owner": "ann"})).await;
    let path = format!("/api/tasks/{}", made["id"].as_str().unwrap());
    ann.patch(&path, json!({"title": "u"})).await;
    // Whether each of them is shown the changes, newest first; the newest is made under the last schema.
    for (fields, read, by_ann, by_bob) in [
        ("owner = { type = 'text' }\nnote = { type = 'text' }", "owner == user.id", 2, None),
        (
            "owner = { type = 'text' }\nnote = { type = 'text' }",
            "owner == user.id || note == null",
            2,
            Some(0),
        ),
        ("owner = { type = 'text' }\nnote = { type = 'text' }", "!(note == 'x') || note == null", 0, Some(0)),
        (AUTHOR, "author == null || author == user.id", 0, None),
        (AUTHOR, "true", 2, Some(2)),
    ] {
        let file = file(fields, read);
        app.reshape(schema(&[&file])).await.unwrap_or_else(|error| panic!("{file}\n{error}"));
        assert_eq!(past(&ann, &path).await.len(), by_ann, "{file}");
        let (status, answer) = bob.get_any(&format!("{path}/history")).await;
        let seen = answer["items"].as_array().map(Vec::len);
        assert_eq!((status == 200, seen), (by_bob.is_some(), by_bob), "{file}: {answer}");
    }
    ann.patch(&path, json!({"title": "v"})).await;
    let last = file(AUTHOR, "author == user.id");
    assert_eq!(app.reshape(schema(&[&last])).await.unwrap().generation.0, 7);
    assert_eq!(past(&ann, &path).await.len(), 1, "the new name is known from the rename on");
}
