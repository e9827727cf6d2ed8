//! `tidewire export` and `tidewire import`, by the real binary: what goes out comes in again, all of it or nothing, once.

mod bad_lines;
mod killed;
mod outputs;
mod records;
mod remote;
mod round_trip;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::app::Client;
use crate::support::follower::Follower;
use crate::support::process::{Process, tidewire};
use crate::support::socket::Socket;

const SAMPLE: &str = r#"
entity = "Sample"
[fields]
name   = { type = "text", required = true, max = 300 }
code   = { type = "text", unique = true, min = 2 }
count  = { type = "int", min = -1000000, max = 1000000 }
ratio  = { type = "float" }
active = { type = "bool" }
kind   = { type = "enum", values = ["red", "green", "=blue"] }
extra  = { type = "json" }
day    = { type = "date" }
moment = { type = "datetime", default = "now", readonly = true }
badge  = { type = "uuid" }
parent = { type = "ref", entity = "Sample", on_delete = "set_null" }
maker  = { type = "ref", entity = "User", on_delete = "restrict" }
"#;

/// Folders of one story: schema files, and data folders by name.
struct Place {
    folder: tempfile::TempDir,
}

/// What a run of the binary said.
struct Said {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Said {
    fn of(output: Output) -> Said {
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn ok(self) -> Said {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    fn refused(self, code: i32, words: &str) -> Said {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(words), "{words}: {}", self.stderr);
        self
    }
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("schemas")).unwrap();
        std::fs::write(folder.path().join("schemas/sample.toml"), SAMPLE).unwrap();
        Place { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, subcommand: &str, data: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
        command.args([subcommand, "--data"]).arg(self.path(data)).arg("--schemas").arg(self.path("schemas"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, subcommand: &str, data: &str, arguments: &[&str]) -> Said {
        Said::of(self.command(subcommand, data, arguments).output().unwrap())
    }

    fn import(&self, data: &str, arguments: &[&str]) -> Said {
        self.run("import", data, &[&["Sample"], arguments].concat())
    }

    /// The records of a data folder by id, without what the server keeps by itself.
    fn records(&self, data: &str) -> BTreeMap<String, Value> {
        let said = self.run("export", data, &["Sample"]).ok();
        plain(said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()))
    }

    async fn serve(&self, data: &str) -> Process {
        let mut command = tidewire(self.folder.path());
        command.args(["dev", "--listen", "127.0.0.1:0", "--set", "allowed_hosts=127.0.0.1"]);
        command.arg("--schemas").arg(self.path("schemas")).arg("--data").arg(self.path(data));
        Process::of(command.stderr(Stdio::null())).await
    }
}

fn plain(records: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let keep = |mut record: Value| {
        let members = record.as_object_mut().unwrap();
        let id = members.remove("id").unwrap().as_str().unwrap().to_owned();
        members.retain(|name, _| !["version", "created_at", "updated_at"].contains(&name.as_str()));
        (id, record)
    };
    records.into_iter().map(keep).collect()
}

fn id(n: u64) -> String {
    format!("0190a000-0000-7000-8000-{n:012x}")
}

fn lines(records: impl IntoIterator<Item = Value>) -> String {
    records.into_iter().map(|record| format!("{record}\n")).collect()
}

/// So many records, each with an id.
fn many(count: u64) -> String {
    lines((1..=count).map(|n| json!({"id": id(n), "name": format!("record {n}"), "count": n % 1000})))
}

#[tokio::test]
async fn an_export_beside_a_running_server_is_of_one_position() {
    let place = Place::new();
    let server = place.serve("data").await;
    let api = Client::new(server.address);
    for n in 1..=2 {
        api.create("samples", json!({"id": id(n), "name": "twin", "count": 0})).await;
    }
    let address = server.address;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let (api, mut stopped, mut round) = (Client::new(address), stopped, 0);
        while stopped.try_recv().is_err() {
            round += 1;
            let set = |n| json!({"op": "update", "entity": "Sample", "id": id(n), "data": {"count": round}});
            let more = json!({"op": "create", "entity": "Sample", "data": {"name": "more"}});
            let answer = api.call("POST", "/api/batch", json!({"ops": [set(1), more, set(2)]})).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        round
    });
    let mut before = 0;
    for _ in 0..5 {
        let output = place.command("export", "data", &["Sample"]);
        let said = tokio::task::spawn_blocking(move || {
            let mut output = output;
            Said::of(output.output().unwrap())
        });
        let said = said.await.unwrap().ok();
        let rows = plain(said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()));
        assert_eq!(rows[&id(1)]["count"], rows[&id(2)]["count"], "half a unit was exported");
        let round = rows[&id(1)]["count"].as_u64().unwrap();
        assert_eq!(rows.len() as u64, 2 + round);
        let seq: u64 = said.stderr.trim().rsplit(':').next().unwrap().parse().unwrap();
        assert_eq!(
            seq,
            2 + 3 * round,
            "the position that is told is the one of the records: {}",
            said.stderr
        );
        assert!(
            said.stderr.contains(&format!("exported {} records of Sample", rows.len())),
            "{}",
            said.stderr
        );
        assert!(round >= before);
        before = round;
    }
    stop.send(()).unwrap();
    assert!(writer.await.unwrap() > 0);
    api.create("samples", json!({"name": "the server goes on"})).await;
}

#[tokio::test]
async fn an_export_goes_to_a_file_that_is_whole_or_not_there() {
    let place = Place::new();
    place.write("a.jsonl", many(3));
    place.import("data", &["a.jsonl"]).ok();
    place.run("export", "data", &["Sample", "--output", "out.csv"]).ok();
    let csv = std::fs::read_to_string(place.path("out.csv")).unwrap();
    assert!(csv.starts_with("id,version,name,code,"), "the name decides: {csv}");
    assert_eq!(csv.lines().count(), 4);
    let forced = place.run("export", "data", &["Sample", "--format", "jsonl", "-o", "x.csv"]).ok();
    assert_eq!(forced.stdout, "");
    assert!(std::fs::read_to_string(place.path("x.csv")).unwrap().starts_with('{'));

    place
        .run("export", "data", &["Sample", "-o", "no/such/folder.csv"])
        .refused(1, "choose another file with --output");
    place.run("export", "nothing", &["Sample"]).refused(1, "there is no database in");
    assert!(!place.path("nothing").exists(), "an export makes nothing");
    place
        .run("export", "data", &["samples"])
        .refused(2, "there is no entity `samples`; did you mean `Sample`?");
    place.run("export", "data", &["Sample", "--format", "xml"]).refused(2, "possible values: jsonl, csv");
    let newer = SAMPLE.replace("[fields]", "[fields]\nextent = { type = \"int\" }");
    place.write("schemas/sample.toml", newer);
    place.run("export", "data", &["Sample"]).refused(1, "lacks the column `extent` of `samples`");
}

#[tokio::test]
async fn clients_resume_across_an_import_and_see_its_units_whole() {
    let place = Place::new();
    let server = place.serve("data").await;
    let (mut socket, mut follower) = (Socket::open(server.address).await, Follower::new("entity:Sample"));
    Client::new(server.address).create("samples", json!({"name": "before"})).await;
    socket.send(&follower.subscribe()).await;
    while !follower.live {
        follower.take(&socket.frame().await);
    }
    place.write("a.jsonl", many(25));
    place.import("data", &["a.jsonl"]).refused(1, "in use by process");
    server.kill().await;
    place.import("data", &["a.jsonl", "--batch", "10"]).ok();

    let server = place.serve("data").await;
    let mut socket = Socket::open(server.address).await;
    socket.send(&follower.subscribe()).await;
    let (mut units, mut mids) = (0, Vec::new());
    while !follower.live {
        let frame = socket.frame().await;
        if frame["type"] == "entity:created" {
            units += u32::from(frame["more"] != true);
            mids.push(frame["mid"].as_str().unwrap().to_owned());
        }
        follower.take(&frame);
    }
    mids.dedup();
    assert_eq!((follower.counts.recovered, units, mids.len()), (1, 3, 3));
    assert_eq!(follower.broken, Vec::<String>::new());
    assert_eq!(follower.rows, Client::new(server.address).rows("samples").await);
    assert_eq!(follower.rows.len(), 26);
}

#[tokio::test]
async fn records_that_are_there_already_are_refused_passed_over_or_updated() {
    let place = Place::new();
    place.write(
        "a.jsonl",
        lines([json!({"id": id(1), "name": "one", "count": 1}), json!({"id": id(2), "name": "two"})]),
    );
    place.import("data", &["a.jsonl"]).ok();
    let changed = [
        json!({"id": id(1).to_uppercase(), "count": 7}),
        json!({"id": id(3), "name": "three"}),
        json!({"id": id(2), "name": "two"}),
    ];
    place.write("b.jsonl", lines(changed));
    let refused = place.import("data", &["b.jsonl"]).refused(1, "nothing was imported: 2 errors in b.jsonl");
    assert!(
        refused
            .stderr
            .contains("b.jsonl:3: there is already a Sample with this id [taken]; choose --on-conflict")
    );
    assert_eq!(place.records("data").len(), 2);

    let skipped = place.import("data", &["b.jsonl", "--on-conflict", "skip"]).ok();
    assert!(skipped.stdout.contains("1 created, 0 updated, 2 unchanged"), "{}", skipped.stdout);
    assert_eq!(place.records("data")[&id(1)]["count"], 1);
    let updated = place.import("data", &["b.jsonl", "--on-conflict", "update"]).ok();
    assert!(updated.stdout.contains("0 created, 1 updated, 2 unchanged"), "{}", updated.stdout);
    let records = place.records("data");
    assert_eq!(
        (&records[&id(1)]["count"], &records[&id(1)]["name"]),
        (&json!(7), &json!("one")),
        "what the file has not stays"
    );
}

#[tokio::test]
async fn a_file_is_imported_once_unless_it_is_asked_for_again() {
    let place = Place::new();
    place.write("a.jsonl", lines([json!({"name": "without an id"})]));
    place.import("data", &["a.jsonl"]).ok();
    let again = place.import("data", &["a.jsonl"]).ok();
    assert!(again.stdout.contains("nothing was done; --again imports it again"), "{}", again.stdout);
    place.write("copy.jsonl", lines([json!({"name": "without an id"})]));
    place.import("data", &["copy.jsonl"]).ok();
    assert_eq!(place.records("data").len(), 1, "the content counts, not the name");
    place.import("data", &["a.jsonl", "--again"]).ok();
    assert_eq!(place.records("data").len(), 2);
}

#[tokio::test]
async fn a_dry_run_reports_the_result_and_writes_nothing() {
    let place = Place::new();
    place.write("a.jsonl", many(3));
    let said = place.import("data", &["a.jsonl", "--dry-run"]).ok();
    assert!(said.stdout.contains("a.jsonl can be imported: 3 created"), "{}", said.stdout);
    assert!(!place.path("data").exists(), "nor makes it a folder");
    std::fs::create_dir(place.path("data")).unwrap();
    place.write("data/tidewire.db-wal", "a log whose database is lost");
    place.import("data", &["a.jsonl", "--dry-run"]).refused(1, "its companion tidewire.db-wal is there");
    std::fs::remove_dir_all(place.path("data")).unwrap();
    place.serve("data").await.kill().await;
    place.write("b.jsonl", lines([json!({"name": "good"}), json!({"count": 1})]));
    place.import("data", &["b.jsonl", "--dry-run", "--partial"]).refused(1, "b.jsonl:2: `name` is required");
    assert!(place.records("data").is_empty());
    place.import("data", &["a.jsonl"]).ok();
    assert_eq!(place.records("data").len(), 3, "a dry run is not remembered");
}

/// Everything in the internal tables that a start may change, and the text of every table and index.
fn inside(place: &Place) -> Vec<String> {
    let conn = rusqlite::Connection::open(place.path("data/tidewire.db")).unwrap();
    let mut rows = conn
        .prepare(
            "SELECT name || ' ' || ifnull(sql, '') AS line FROM sqlite_master
             UNION ALL SELECT 'epoch ' || epoch FROM _epochs
             UNION ALL SELECT 'schema ' || generation || text FROM _schema
             UNION ALL SELECT 'program ' || version || at FROM _program
             UNION ALL SELECT 'meta ' || seq || ' ' || generation || ' ' || format FROM _meta ORDER BY line",
        )
        .unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_dry_run_with_newer_schema_files_leaves_the_database_as_it_was() {
    let place = Place::new();
    place.write("a.jsonl", many(3));
    place.serve("data").await.kill().await;
    let before = inside(&place);
    place.import("data", &["a.jsonl", "--dry-run"]).ok();
    assert_eq!(inside(&place), before, "with the same schema files");
    let newer =
        "[fields]\nextent = { type = \"int\" }\nwords = { type = \"text\", search = true, unique = true }";
    place.write("schemas/sample.toml", SAMPLE.replace("[fields]", newer));
    place.write("schemas/other.toml", "entity = \"Other\"\n[fields]\nname = { type = \"text\" }\n");
    let fields = [json!({"name": "x", "extent": 1, "words": "a"}), json!({"name": "y", "words": "b"})];
    place.write("b.jsonl", lines(fields));
    let said = place.import("data", &["b.jsonl", "--dry-run"]).ok();
    assert!(
        said.stdout.contains("2 created") && said.stdout.contains("nothing was written"),
        "{}",
        said.stdout
    );
    assert_eq!(inside(&place), before, "with newer ones");
    place.import("data", &["b.jsonl"]).ok();
    assert_ne!(inside(&place), before, "the import itself does what is to be done");
    let settled = inside(&place);
    place.write("schemas/sample.toml", SAMPLE);
    place.import("data", &["b.jsonl", "--dry-run"]).refused(1, "tidewire migrate apply");
    assert_eq!(inside(&place), settled);
}

#[tokio::test]
async fn one_bad_line_keeps_out_the_file_and_partial_keeps_out_the_line() {
    let place = Place::new();
    let mut text = many(1200);
    text.push_str("{\"name\": 5}\n");
    text.push_str(&lines([json!({"id": id(5000), "name": "last"})]));
    place.write("a.jsonl", text);
    place
        .import("data", &["a.jsonl"])
        .refused(1, "a.jsonl:1201: `name` must be a text, not a number [wrong_type]");
    assert!(place.records("data").is_empty(), "nothing of the units before it either");
    let partial = place.import("data", &["a.jsonl", "--partial"]).refused(1, "a.jsonl:1201");
    assert!(
        partial.stderr.contains("the rest was imported: 1201 created, 0 updated, 0 unchanged, 1 refused"),
        "{}",
        partial.stderr
    );
    assert_eq!(place.records("data").len(), 1201);
    place.import("data", &["a.jsonl", "--partial"]).refused(1, "1 record was refused; --again tries again");
}

#[tokio::test]
async fn records_may_refer_to_later_lines_and_to_each_other() {
    let place = Place::new();
    let child = |n: u64, parent: u64| json!({"id": id(n), "name": "x", "parent": id(parent)});
    place.write("a.jsonl", lines([child(1, 3), child(2, 2), child(3, 1), child(4, 3)]));
    place.import("data", &["a.jsonl"]).ok();
    let records = place.records("data");
    let parents: Vec<_> = (1..=4).map(|n| records[&id(n)]["parent"].as_str().unwrap().to_owned()).collect();
    assert_eq!(parents, [id(3), id(2), id(1), id(3)]);

    place.write("b.jsonl", lines([child(11, 12), child(12, 99), child(13, 11)]));
    place.import("data", &["b.jsonl"])
        .refused(1, "b.jsonl:2: `parent` of the Sample refers to a record that does not exist [unknown_reference]; import the record");
    assert_eq!(place.records("data").len(), 4);
    place.import("data", &["b.jsonl", "--partial"]).refused(1, "b.jsonl:1: `parent`");
}

#[test]
fn stdin_is_read_and_wrong_arguments_are_reported() {
    use std::io::Write;
    let place = Place::new();
    let mut command = place.command("import", "data", &["Sample", "-", "--format", "csv"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all("name,count\nfrom a pipe,3\n".as_bytes()).unwrap();
    let said = Said::of(child.wait_with_output().unwrap()).ok();
    assert!(said.stdout.contains("imported stdin: 1 created"), "{}", said.stdout);

    place.write("a.jsonl", many(1));
    place.import("data", &["missing.jsonl"]).refused(1, "missing.jsonl cannot be read");
    place.import("data", &["a.jsonl", "--batch", "0"]).refused(2, "0 is not in 1..=5000");
    place
        .import("data", &["a.jsonl", "--on-conflict", "merge"])
        .refused(2, "possible values: fail, skip, update");
    place.run("import", "data", &["Smaple", "a.jsonl"]).refused(2, "did you mean `Sample`?");
    assert!(!Path::new(&place.path("elsewhere")).exists());
}
