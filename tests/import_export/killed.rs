//! SIGKILL in the middle of an import, and the same command again.

use std::process::{Child, Stdio};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use super::{Place, many};
use crate::support::socket::PATIENCE;

const LINES: u64 = 20_000;

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command("import", "data", &[&["Sample", "a.jsonl"], arguments].concat());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until the import got so far, and kills it there. Answers `false` when it came to its end before.
fn kill_when(mut child: Child, reached: impl Fn() -> bool) -> bool {
    let patience = Instant::now();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if reached() {
            child.kill().unwrap();
            return !child.wait().unwrap().success();
        }
        assert!(patience.elapsed() < PATIENCE, "the import does not get on");
        // Progress of another process cannot be waited for; the story hangs on the progress, not on the pause.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One number from the database, beside the import; 0 while there is none.
fn ask(place: &Place, sql: &str) -> u64 {
    let open = || -> rusqlite::Result<u64> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = Connection::open_with_flags(place.path("data/tidewire.db"), flags)?;
        conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|number| u64::try_from(number).unwrap())
    };
    open().unwrap_or(0)
}

fn all_there_once(place: &Place) {
    let records = place.records("data");
    assert_eq!(records.len() as u64, LINES);
    let log = ask(place, "SELECT count(*) FROM _changes");
    let distinct = ask(place, "SELECT count(DISTINCT id) FROM _changes");
    assert_eq!((log, distinct, ask(place, "SELECT seq FROM _meta")), (LINES, LINES, LINES));
}

#[test]
fn a_killed_import_leaves_nothing_and_the_next_brings_all() {
    let place = Place::new();
    place.write("a.jsonl", many(LINES));
    let spilled =
        || std::fs::metadata(place.path("data/tidewire.db-wal")).is_ok_and(|wal| wal.len() > 1 << 20);
    assert!(kill_when(start(&place, &[]), spilled), "the import ended before its rows left the cache");
    assert!(place.records("data").is_empty(), "nothing is half imported");
    assert_eq!(ask(&place, "SELECT seq FROM _meta"), 0);
    place.import("data", &["a.jsonl"]).ok();
    all_there_once(&place);
    let again = place.import("data", &["a.jsonl"]).ok();
    assert!(again.stdout.contains("nothing is done now"), "{}", again.stdout);
    all_there_once(&place);
}

#[test]
fn a_killed_partial_import_goes_on_from_its_last_commit() {
    let place = Place::new();
    // Without ids, so that nothing but the record of the job keeps a line from coming twice.
    let text: String = (1..=LINES).map(|n| format!("{{\"name\": \"record {n}\"}}\n")).collect();
    place.write("a.jsonl", text);
    let arguments = ["--partial", "--batch", "100"];
    let mut kills = 0;
    for goal in [300, 900, 2500] {
        let reached = || ask(&place, "SELECT line FROM _imports") >= goal;
        kills += u32::from(kill_when(start(&place, &arguments), reached));
        let (line, rows) =
            (ask(&place, "SELECT line FROM _imports"), ask(&place, "SELECT count(*) FROM samples"));
        assert_eq!(line, rows, "each unit was committed with the line that it reaches");
    }
    assert_eq!(kills, 3, "the import ended before it was killed");
    let said = place.import("data", &[&["a.jsonl"], &arguments[..]].concat()).ok();
    assert!(
        said.stdout.contains(&format!("{LINES} created")) && said.stdout.contains("by an earlier run"),
        "{}",
        said.stdout
    );
    all_there_once(&place);
    let names: std::collections::BTreeSet<_> = place
        .records("data")
        .into_values()
        .map(|record| record["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names.len() as u64, LINES);
}
