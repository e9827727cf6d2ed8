//! A process that dies in the middle of an import, and the same command again.
//!
//! It dies at a byte, not at a moment: the kernel ends a process that writes a file beyond the size that it was given, in
//! the middle of the write and without a last word, as SIGKILL does. The file is the write-ahead log of the database.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rusqlite::{Connection, OpenFlags};

use super::{Place, many};

const LINES: u64 = 20_000;

/// What a shell counts file sizes in.
const BLOCK: u64 = 512;

/// SIGXFSZ.
const FILE_TOO_LARGE: i32 = 25;

/// Runs an import that dies when the write-ahead log reaches so many KiB.
#[track_caller]
fn import_until(place: &Place, kib: u64, arguments: &[&str]) {
    let import = place.command("import", "data", &[&["Sample", "a.jsonl"], arguments].concat());
    let limit = format!("ulimit -c 0; ulimit -f {}; exec \"$@\"", kib * 1024 / BLOCK);
    let mut shell = Command::new("sh");
    shell.args(["-c", &limit, "sh"]).arg(import.get_program()).args(import.get_args());
    let output = shell.current_dir(place.folder.path()).output().unwrap();
    assert_eq!(
        output.status.signal(),
        Some(FILE_TOO_LARGE),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let log = std::fs::metadata(place.path("data/tidewire.db-wal")).unwrap().len();
    assert_eq!(log, kib * 1024, "the log was cut off in the middle of a write");
}

/// One number from the database.
fn ask(place: &Place, sql: &str) -> u64 {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = Connection::open_with_flags(place.path("data/tidewire.db"), flags).unwrap();
    conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map(|number| u64::try_from(number).unwrap()).unwrap()
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
    import_until(&place, 1024, &[]);
    assert!(place.records("data").is_empty(), "nothing is half imported");
    assert_eq!(ask(&place, "SELECT seq FROM _meta"), 0);
    place.import("data", &["a.jsonl"]).ok();
    all_there_once(&place);
    let again = place.import("data", &["a.jsonl"]).ok();
    assert!(again.stdout.contains("so nothing was done"), "{}", again.stdout);
    all_there_once(&place);
}

#[test]
fn a_killed_partial_import_continues_from_its_last_commit() {
    let place = Place::new();
    // Without ids, so that nothing but the record of the job keeps a line from coming twice.
    let text: String = (1..=LINES).map(|n| format!("{{\"name\": \"record {n}\"}}\n")).collect();
    place.write("a.jsonl", text);
    let arguments = ["--partial", "--batch", "100"];
    let mut before = 0;
    // Each run continues writing the log that the one before left behind.
    for kib in [1024, 2048, 4096] {
        import_until(&place, kib, &arguments);
        let line = ask(&place, "SELECT line FROM _imports");
        assert!(before < line && line < LINES, "line {line} after {before}");
        let rows = ask(&place, "SELECT count(*) FROM samples");
        assert_eq!(line, rows, "each unit was committed with the line that it reaches");
        before = line;
    }
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

#[test]
fn a_record_that_a_killed_run_refused_fails_the_run_that_ends_the_import() {
    let place = Place::new();
    place.write("a.jsonl", format!("{{\"name\": 5}}\n{}", many(LINES)));
    let arguments = ["--partial", "--batch", "100"];
    import_until(&place, 1024, &arguments);
    assert_eq!(ask(&place, "SELECT refused FROM _imports"), 1);
    let ended = place
        .import("data", &[&["a.jsonl"], &arguments[..]].concat())
        .refused(1, "1 record was refused by an earlier run");
    let counts = format!("{LINES} created, 0 updated, 0 unchanged, 1 refused");
    assert!(ended.stderr.contains(&counts), "{}", ended.stderr);
    all_there_once(&place);
}
