//! A database file that is damaged: under a running server, before a start, and in the eyes of the doctor.
//!
//! The file is real and so is the damage: pages are overwritten, the file is cut off, an index loses a row.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::app::{Answer, Client};
use crate::support::exposition::Exposition;
use crate::support::process::{Ended, Process, ended, tidewire};
use crate::support::socket::Socket;

const TASK: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\nstatus = { type = 'text' }\n\
    [[index]]\nfields = ['status']\n";
const PROJECT: &str = "entity = 'Project'\n[fields]\nname = { type = 'text' }\n";
const RECORDS: usize = 200;

/// A project with records of two entities, all of them in the database file and none in its log.
struct Project {
    folder: tempfile::TempDir,
    /// Of the first task.
    id: String,
}

impl Project {
    async fn new() -> Project {
        let mut project = Project { folder: tempfile::tempdir().unwrap(), id: String::new() };
        std::fs::create_dir(project.path("schemas")).unwrap();
        std::fs::write(project.path("schemas/task.toml"), TASK).unwrap();
        std::fs::write(project.path("schemas/project.toml"), PROJECT).unwrap();
        let process = project.serve("first").await;
        let api = Client::new(process.address);
        let task = |n: usize| json!({"op": "create", "entity": "Task", "data": {"title": "t".repeat(300), "status": n.to_string()}});
        let ops: Vec<Value> = (0..RECORDS).map(task).collect();
        let (status, told) = api.any("POST", "/api/batch", json!({"ops": ops, "atomic": true})).await;
        assert_eq!(status, 200, "{told}");
        project.id = told["results"][0]["id"].as_str().unwrap().to_owned();
        api.create("projects", json!({"name": "harbour"})).await;
        process.stop().await;
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.path("data/tidewire.db")
    }

    /// Starts the server, whose log goes to a file of this name.
    async fn serve(&self, log: &str) -> Process {
        let log = std::fs::File::create(self.path(log)).unwrap();
        let mut command = tidewire(self.folder.path());
        Process::heard(command.args(["dev", "--listen", "127.0.0.1:0"]).stderr(Stdio::from(log))).await
    }

    /// A start that is refused.
    async fn refused(&self) -> String {
        let told = ended(tidewire(self.folder.path()).args(["dev", "--listen", "127.0.0.1:0"])).await;
        assert_eq!(told.code, 1, "{}", told.stderr);
        told.stderr
    }

    async fn doctor(&self) -> Ended {
        ended(tidewire(self.folder.path()).args(["doctor", "--listen", "127.0.0.1:0"])).await
    }

    /// Where a table or an index begins in the file, and the size of a page.
    fn root(&self, name: &str) -> (u64, u64) {
        let conn = Connection::open(self.database()).unwrap();
        let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as u64;
        let size = number("PRAGMA page_size");
        ((number(&format!("SELECT rootpage FROM sqlite_master WHERE name = '{name}'")) - 1) * size, size)
    }

    /// Where a page of records in the middle of a table is.
    fn leaf(&self, table: &str) -> (u64, u64) {
        let (_, size) = self.root(table);
        let conn = Connection::open(self.database()).unwrap();
        let leaves =
            "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 3";
        let page: i64 = conn.query_row(leaves, [table], |row| row.get(0)).unwrap();
        ((page as u64 - 1) * size, size)
    }

    fn overwrite(&self, (start, length): (u64, u64)) {
        let file = OpenOptions::new().write(true).open(self.database()).unwrap();
        file.write_all_at(&vec![0xA5; usize::try_from(length).unwrap()], start).unwrap();
    }

    fn cut_to(&self, length: u64) {
        OpenOptions::new().write(true).open(self.database()).unwrap().set_len(length).unwrap();
    }

    /// Takes the first task's row out of its index, as a lost write would.
    fn forget_in_index(&self) {
        const INDEX: &str = "tasks:status";
        let conn = |sql: &str| Connection::open(self.database()).unwrap().execute_batch(sql).unwrap();
        conn(&format!(
            "CREATE TABLE kept AS SELECT * FROM sqlite_master WHERE name = '{INDEX}';
             PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = '{INDEX}'"
        ));
        conn(&format!(
            "UPDATE tasks SET status = 'other' WHERE id = '{}';
             PRAGMA writable_schema = ON; INSERT INTO sqlite_master SELECT * FROM kept",
            self.id
        ));
        conn("DROP TABLE kept; PRAGMA wal_checkpoint(TRUNCATE)");
    }

    /// How often the server's log says that the database is damaged. The log is whole only after an end in order.
    fn told(&self, log: &str) -> usize {
        let text = std::fs::read_to_string(self.path(log)).unwrap();
        text.lines().filter(|line| line.contains("the database is damaged: writes are refused")).count()
    }
}

fn is_damaged(answer: &Answer) {
    let code = &answer.json["code"];
    assert_eq!((answer.status, code), (503, &json!("STORAGE_DAMAGED")), "{}", answer.text);
    assert_eq!(answer.header("retry-after"), "30");
    assert!(!answer.text.contains("malformed"), "the words of SQLite are for the log: {}", answer.text);
}

type Harm = fn(&Project);

/// One kind of damage, and the request that meets it.
struct Case {
    name: &'static str,
    harm: Harm,
    method: &'static str,
    path: &'static str,
}

/// The damage comes when the server runs. Until a request meets it, it is unknown; from then on nothing is acknowledged.
#[tokio::test]
async fn once_damage_is_known_no_write_is_acknowledged_and_the_server_is_not_ready() {
    let cases = [
        Case { name: "records", harm: |p| p.overwrite(p.root("tasks")), method: "GET", path: "/api/tasks" },
        Case {
            name: "some records",
            harm: |p| p.overwrite(p.leaf("tasks")),
            method: "GET",
            path: "/api/tasks?limit=500",
        },
        Case {
            name: "an index",
            harm: |p| p.overwrite(p.root("tasks:status")),
            method: "GET",
            path: "/api/tasks?status=5",
        },
        Case {
            name: "the log",
            harm: |p| p.overwrite(p.root("_changes")),
            method: "GET",
            path: "/api/changes?channel=entity:Task&since=EPOCH:1&view=VIEW",
        },
        Case { name: "the end of the file", harm: |p| p.cut_to(24 << 10), method: "GET", path: "/api/tasks" },
    ];
    for Case { name, harm, method, path } in cases {
        let project = Project::new().await;
        let process = project.serve("log").await;
        let api = Client::new(process.address);
        // Read by a statement that touches no row, so that no reader has pages of the records in memory.
        let start = api.get("/api/changes?channel=entity:Task").await;
        harm(&project);
        assert_eq!(api.get("/readyz").await["status"], "ready", "{name}: nobody has met it");
        let path = path.replace("EPOCH", start["epoch"].as_str().unwrap());
        let path = path.replace("VIEW", start["channels"][0]["view"].as_str().unwrap());
        let met = api.call(method, &path, json!(null)).await;
        assert_eq!(met.json["code"], "STORAGE_DAMAGED", "{name}: {}", met.text);
        is_damaged(&met);

        for _ in 0..3 {
            is_damaged(&api.call("POST", "/api/projects", json!({"name": "pier"})).await);
            is_damaged(&api.call("GET", "/readyz", json!(null)).await);
        }
        assert_eq!(api.get("/health").await["status"], "healthy", "{name}: a restart would not help");
        let metrics = Exposition::parse(&api.call("GET", "/metrics", json!(null)).await.text);
        assert_eq!(metrics.value("tidewire_storage_damaged"), 1.0, "{name}");
        process.stop().await;
        assert_eq!(project.told("log"), 1, "{name}: once, not for each request");
    }
}

#[tokio::test]
async fn undamaged_records_are_still_read_and_a_socket_gets_the_code() {
    let project = Project::new().await;
    let process = project.serve("log").await;
    let api = Client::new(process.address);
    project.overwrite(project.root("tasks"));
    let mut socket = Socket::open(process.address).await;
    let snapshot = json!({"snapshot": true});
    socket
        .send(&json!({"type": "subscribe", "channel": "entity:Task", "payload": snapshot, "requestId": "a"}))
        .await;
    let mut answer = socket.frame().await;
    if answer["type"] == "subscribed" {
        answer = socket.frame().await;
    }
    assert_eq!(
        (&answer["type"], &answer["payload"]["code"]),
        (&json!("error"), &json!("STORAGE_DAMAGED")),
        "{answer}"
    );
    socket.subscribe("entity:Project", json!({"snapshot": true})).await;
    let snapshot = socket.expect("snapshot").await;
    assert_eq!(snapshot["payload"]["rows"][0]["name"], "harbour", "the others go on: {snapshot}");
    assert_eq!(api.get("/api/projects").await["items"][0]["name"], "harbour");
    // A new user reads, and is stored as little as anything else.
    assert_eq!(
        Client::named(process.address, "cy").get("/api/projects").await["items"][0]["name"],
        "harbour"
    );
    is_damaged(&api.call("DELETE", &format!("/api/tasks/{}", project.id), json!(null)).await);
    process.stop().await;
    assert_eq!(project.told("log"), 1);
}

/// No page is broken, so no look at pages finds it: the first write that misses the row does.
#[tokio::test]
async fn a_write_that_finds_damage_fails_its_whole_group() {
    let project = Project::new().await;
    project.forget_in_index();
    let process = project.serve("log").await;
    let api = Client::new(process.address);
    let ops = json!([
        {"op": "delete", "entity": "Task", "id": project.id},
        {"op": "create", "entity": "Project", "data": {"name": "its mate"}},
        {"op": "create", "entity": "Project", "data": {"name": "another"}},
    ]);
    let (status, told) = api.any("POST", "/api/batch", json!({"ops": ops, "atomic": false})).await;
    let codes: Vec<_> = told["results"]
        .as_array()
        .map_or(Vec::new(), |results| results.iter().map(|result| result["error"]["code"].clone()).collect());
    assert_eq!(codes, vec![json!("STORAGE_DAMAGED"); 3], "{status} {told}");
    is_damaged(&api.call("POST", "/api/projects", json!({"name": "pier"})).await);
    assert_eq!(api.get("/api/projects/count").await["count"], 1);
    process.stop().await;
    assert_eq!(project.told("log"), 1);
    let told = project.doctor().await;
    assert!(told.code == 1 && told.stdout.contains("missing from index tasks:status"), "{}", told.stdout);
    assert!(told.stdout.contains("concerned: tasks\n"), "{}", told.stdout);
}

#[tokio::test]
async fn a_start_over_a_damaged_database_is_refused_and_the_doctor_says_what_to_do() {
    let cases: [(&str, Harm, &str); 6] = [
        ("records", |p| p.overwrite(p.root("tasks")), "concerned: tasks\n"),
        ("some records", |p| p.overwrite(p.leaf("tasks")), "concerned: tasks\n"),
        ("the log", |p| p.overwrite(p.root("_changes")), "concerned: _changes\n"),
        ("an index", |p| p.overwrite(p.root("tasks:status")), "concerned: tasks\n"),
        ("the header", |p| p.overwrite((0, 100)), "file is not a database"),
        ("the end", |p| p.cut_to(std::fs::metadata(p.database()).unwrap().len() - 4096), "is damaged"),
    ];
    for (name, harm, words) in cases {
        let project = Project::new().await;
        harm(&project);
        let before = std::fs::read(project.database()).unwrap();
        let told = project.refused().await;
        assert!(told.contains("tidewire.db is damaged or not a Tidewire database"), "{name}: {told}");
        assert!(
            told.contains("put a backup in its place") && told.contains("tidewire doctor"),
            "{name}: {told}"
        );
        assert!(std::fs::read(project.database()).unwrap() == before, "{name}: it was written to");
        let told = project.doctor().await;
        assert_eq!(told.code, 1, "{name}: {}", told.stdout);
        assert!(told.stdout.contains(words), "{name}: {}", told.stdout);
        for advice in ["put a backup in its place", "tidewire export ENTITY", ".recover"] {
            assert!(told.stdout.contains(advice), "{name}: {}", told.stdout);
        }
    }
}

#[tokio::test]
async fn what_is_sound_in_a_damaged_database_can_be_exported() {
    let project = Project::new().await;
    project.overwrite(project.root("tasks"));
    let export = |entity: &'static str| {
        let mut command = tidewire(project.folder.path());
        async move { ended(command.args(["export", entity, "-o", "-"])).await }
    };
    let sound = export("Project").await;
    assert!(sound.code == 0 && sound.stdout.contains("harbour"), "{}", sound.stderr);
    let damaged = export("Task").await;
    assert!(damaged.code == 1 && damaged.stderr.contains("tidewire doctor"), "{}", damaged.stderr);
}

/// SQLite reads a write-ahead log up to the first frame that is not whole, and says nothing of those behind it.
#[tokio::test]
async fn commits_behind_damage_in_the_write_ahead_log_are_not_lost_without_a_word() {
    let project = Project::new().await;
    let process = project.serve("log").await;
    let api = Client::new(process.address);
    for n in 0..5 {
        api.create("projects", json!({"name": n.to_string()})).await;
    }
    process.kill().await;
    let wal = project.path("data/tidewire.db-wal");
    let whole = std::fs::read(&wal).unwrap();
    let flip = |path: &Path, at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(path, bytes).unwrap();
    };
    flip(&wal, 32 + 24 + 1000);
    let told = project.refused().await;
    assert!(told.contains("write-ahead log is damaged at frame 1, and acknowledged changes"), "{told}");
    let told = project.doctor().await;
    assert!(told.code == 1 && told.stdout.contains("write-ahead log is damaged"), "{}", told.stdout);

    // The end of a log is torn by every power cut, and the commit in it was not acknowledged.
    flip(&wal, whole.len() - 10);
    let process = project.serve("log").await;
    assert_eq!(Client::new(process.address).get("/api/projects/count").await["count"], 5);
    process.stop().await;
}
