//! Numbers that the server gives, from outside: writers at once, a kill, imports, changed schema files, an older database.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidewire::config::StoreConfig;
use tidewire::ids::Timestamp;
use tidewire::schema::{self, FieldIndex, Format, Schema, SourceFile, check};
use tidewire::store::migration::Allow;
use tidewire::store::{CommitError, Op, OpResult, OpenError, Outcome, Store, Unit};

use crate::support::app::{Client, TestApp};
use crate::support::process::{Process, ended, tidewire};
use crate::support::properties::stories;
use crate::support::studio;

const DRAFT: &str = "entity = 'Draft'\n[fields]\nname = { type = 'text' }\n";
const SEGMENT: &str = "entity = 'Segment'\n[fields]\ndraft = { type = 'ref', entity = 'Draft', on_delete = 'cascade' }\n\
    position = { type = 'int', sequence = 'draft' }\n";

fn schema_of(files: &[&str]) -> Arc<Schema> {
    let source = |(at, text): (usize, &&str)| SourceFile {
        name: format!("schemas/{at}.toml"),
        format: Format::Toml,
        text: (*text).to_owned(),
    };
    let sources: Vec<SourceFile> = files.iter().enumerate().map(source).collect();
    Arc::new(check(&sources).unwrap_or_else(|errors| panic!("{errors}")))
}

fn positions<'r>(rows: impl IntoIterator<Item = &'r Value>) -> Vec<i64> {
    let mut positions: Vec<i64> =
        rows.into_iter().map(|row| row["position"].as_i64().expect("a number")).collect();
    positions.sort_unstable();
    positions
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_at_once_get_different_numbers_in_a_row() {
    let app = TestApp::over(schema_of(&[DRAFT, SEGMENT]), |_| {}).await;
    let client = app.client();
    let mut drafts = Vec::new();
    for _ in 0..2 {
        drafts.push(client.create("drafts", json!({})).await["id"].clone());
    }
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let (client, drafts) = (app.client(), drafts.clone());
            tokio::spawn(async move {
                for at in 0..25 {
                    let draft = &drafts[(n + at) % 2];
                    client.create("segments", json!({"draft": draft})).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let rows = app.rows("segments").await;
    for draft in &drafts {
        let own = rows.values().filter(|row| row["draft"] == *draft);
        assert_eq!(positions(own), (1..=100).collect::<Vec<i64>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_gives_a_number_twice() {
    let (folder, schemas) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(schemas.path().join("draft.toml"), DRAFT).unwrap();
    std::fs::write(schemas.path().join("segment.toml"), SEGMENT).unwrap();
    let mut process = Process::over(schemas.path(), folder.path(), 0).await;
    let draft = Client::new(process.address).create("drafts", json!({})).await["id"].clone();
    // What was told to a writer, by number. Some of the records are deleted again.
    let mut told: BTreeMap<i64, String> = BTreeMap::new();
    for _ in 0..3 {
        let count = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let (client, draft, count) = (Client::new(process.address), draft.clone(), count.clone());
                tokio::spawn(async move {
                    let mut own = Vec::new();
                    while let Ok(row) = client.try_create("segments", json!({"draft": draft})).await {
                        let path = format!("/api/segments/{}", row["id"].as_str().unwrap());
                        if row["position"].as_i64().unwrap() % 3 == 0 {
                            let _ = client.try_any("DELETE", &path, &Value::Null, &[]).await;
                        }
                        own.push(row);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    own
                })
            })
            .collect();
        while count.load(Ordering::SeqCst) < 60 {
            tokio::task::yield_now().await;
        }
        process.kill().await;
        for writer in writers {
            for row in writer.await.unwrap() {
                let (number, id) = (row["position"].as_i64().unwrap(), row["id"].to_string());
                assert_eq!(told.insert(number, id), None, "number {number} was given before");
            }
        }
        process = Process::over(schemas.path(), folder.path(), 0).await;
    }
    let rows = Client::new(process.address).rows("segments").await;
    let stored = positions(rows.values());
    let distinct: BTreeSet<i64> = stored.iter().copied().collect();
    assert_eq!(stored.len(), distinct.len(), "two records have one number");
    for row in rows.values() {
        let number = row["position"].as_i64().unwrap();
        if let Some(id) = told.get(&number) {
            assert_eq!(*id, row["id"].to_string(), "number {number} was given before");
        }
    }
}

#[tokio::test]
async fn clients_see_numbers_and_set_none() {
    let app = TestApp::over(schema_of(&[DRAFT, SEGMENT]), |_| {}).await;
    let client = app.client();
    let draft = client.create("drafts", json!({})).await["id"].clone();
    let own = client.create("segments", json!({"draft": draft})).await;
    assert_eq!(own["position"], 1);
    let path = format!("/api/segments/{}", own["id"].as_str().unwrap());
    for (method, path, body) in [
        ("POST", "/api/segments", json!({"draft": draft, "position": 7})),
        ("PATCH", path.as_str(), json!({"position": 7})),
        ("PUT", path.as_str(), json!({"draft": draft, "position": null})),
        ("PATCH", "/api/segments?version=1", json!({"position": 7})),
    ] {
        let (status, problem) = client.any(method, path, body).await;
        assert_eq!(status, 422, "{method} {problem}");
        assert_eq!(
            problem["errors"][0]["message"], "`position` is readonly: the server gives its numbers",
            "{method} {problem}"
        );
    }
    let (status, kept) = client.any("PUT", &path, json!({"draft": draft})).await;
    assert_eq!((status, &kept["position"]), (200, &json!(1)));
    let (status, emptied) = client.any("PUT", &path, json!({})).await;
    assert_eq!((status, &emptied["position"]), (200, &Value::Null), "without its parent it has none");
    let sorted = client.get(&format!("/api/segments?draft={}&sort=-position", draft.as_str().unwrap())).await;
    assert_eq!(sorted["items"], json!([]));
}

#[tokio::test]
async fn an_export_comes_in_again_with_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = folder.path().join("schemas");
    std::fs::create_dir(&schemas).unwrap();
    // A tree: the numbers count by a reference that a later line may have to fill in.
    let node = "entity = 'Node'\n[fields]\nabove = { type = 'ref', entity = 'Node' }\n\
        rank = { type = 'int', sequence = 'above' }\nserial = { type = 'int', sequence = true }\n";
    std::fs::write(schemas.join("node.toml"), node).unwrap();
    let id = |n: u64| format!("0190a000-0000-7000-8000-{n:012x}");
    let run = async |arguments: &[&str], data: &str| {
        let mut command = tidewire(folder.path());
        command.args(arguments).arg("--schemas").arg(&schemas).arg("--data").arg(folder.path().join(data));
        let ended = ended(&mut command).await;
        assert_eq!(ended.code, 0, "{arguments:?} {}", ended.stderr);
        ended.stdout
    };
    let lines: String = [
        json!({"id": id(1), "above": id(9), "rank": 7}),
        json!({"id": id(2), "above": id(9)}),
        json!({"id": id(3), "serial": 40}),
        json!({"id": id(4), "above": id(3), "rank": 2}),
        json!({"id": id(5), "above": id(3)}),
        json!({"id": id(9), "rank": 5}),
    ]
    .iter()
    .map(|line| format!("{line}\n"))
    .collect();
    std::fs::write(folder.path().join("a.jsonl"), lines).unwrap();
    run(&["import", "Node", "a.jsonl"], "first").await;
    let numbers = |text: &str| -> Vec<(String, Value, Value)> {
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let mut rows: Vec<_> = rows
            .map(|row| (row["id"].as_str().unwrap().to_owned(), row["rank"].clone(), row["serial"].clone()))
            .collect();
        rows.sort_by(|left, right| left.0.cmp(&right.0));
        rows
    };
    let exported = run(&["export", "Node"], "first").await;
    let expected = [
        (id(1), json!(7), json!(1)),
        (id(2), json!(8), json!(2)),
        (id(3), Value::Null, json!(40)),
        (id(4), json!(2), json!(41)),
        (id(5), json!(3), json!(42)),
        (id(9), Value::Null, json!(43)),
    ];
    assert_eq!(numbers(&exported), expected);
    std::fs::write(folder.path().join("b.jsonl"), &exported).unwrap();
    run(&["import", "Node", "b.jsonl"], "second").await;
    assert_eq!(numbers(&run(&["export", "Node"], "second").await), expected);
    // The counters went along.
    let process = Process::over(&schemas, &folder.path().join("second"), 0).await;
    let next = Client::new(process.address).create("nodes", json!({"above": id(9)})).await;
    assert_eq!((&next["rank"], &next["serial"]), (&json!(9), &json!(44)));
}

/// Opens the folder with these files, commits, and closes it again. Tells a field of each record that was written.
async fn written(folder: &Path, files: &[&str], ops: Vec<Op>, field: &str) -> Vec<Value> {
    let opened = studio::open(folder, Schema::clone(&schema_of(files)), &StoreConfig::default());
    let unit = Unit { generation: opened.generation, ..studio::unit(ops) };
    let outcome = opened.store.commit(unit).await.unwrap();
    opened.store.close().await;
    let told = |result: &OpResult| {
        let record = result.record.as_ref();
        record.map_or(Value::Null, |record| {
            serde_json::from_slice::<Value>(&record.json).unwrap()[field].clone()
        })
    };
    outcome.results.iter().map(told).collect()
}

/// A record of the first draft. The server numbers it.
fn append(entity: &str, n: u128) -> Op {
    studio::create(entity, n, vec![studio::link(1), schema::Value::Null])
}

fn draft() -> Op {
    studio::create("Draft", 1, vec![schema::Value::Null])
}

#[tokio::test]
async fn counters_follow_renames() {
    let folder = tempfile::tempdir().unwrap();
    let (path, files) = (folder.path(), [DRAFT, SEGMENT]);
    let first = vec![draft(), append("Segment", 11), append("Segment", 12), append("Segment", 13)];
    assert_eq!(written(path, &files, first, "position").await[1..], [json!(1), json!(2), json!(3)]);
    written(path, &files, vec![studio::delete("Segment", 13)], "position").await;
    let renamed = SEGMENT
        .replace("'Segment'", "'Part'\nwas = 'Segment'")
        .replace("position = {", "place = { was = 'position',");
    let told = written(path, &[DRAFT, &renamed], vec![append("Part", 14)], "place").await;
    assert_eq!(told, [4], "the number of the deleted record is remembered under the new names");
}

#[tokio::test]
async fn numbers_go_on_behind_those_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let (path, files) = (folder.path(), [DRAFT, SEGMENT]);
    let first = vec![draft(), append("Segment", 11), append("Segment", 12)];
    written(path, &files, first, "position").await;
    // Without the key, and with it again.
    let without = SEGMENT.replace(", sequence = 'draft'", "");
    assert_eq!(
        written(path, &[DRAFT, &without], vec![append("Segment", 13)], "position").await,
        [Value::Null]
    );
    assert_eq!(written(path, &files, vec![append("Segment", 14)], "position").await, [4]);
    // Counted by another field.
    let whole = SEGMENT.replace("sequence = 'draft'", "sequence = true");
    let alone = studio::create("Segment", 15, vec![schema::Value::Null, schema::Value::Null]);
    assert_eq!(written(path, &[DRAFT, &whole], vec![alone], "position").await, [5]);
    // An entity of the same name that comes later inherits nothing.
    let drop = ["Segment".to_owned()].into();
    studio::migrate(path, &schema_of(&[DRAFT]), &Allow { drop, ..Allow::default() }).unwrap();
    assert_eq!(written(path, &files, vec![append("Segment", 21)], "position").await, [1]);
}

#[tokio::test]
async fn a_database_without_counters_is_upgraded_and_its_program_refuses_it_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let plain = SEGMENT.replace(", sequence = 'draft'", "");
    let mut first = vec![draft()];
    first.extend([append("Segment", 11), append("Segment", 12)]);
    written(path, &[DRAFT, &plain], first, "position").await;
    let raw = rusqlite::Connection::open(path.join("tidewire.db")).unwrap();
    raw.execute_batch(r#"DROP TABLE "_sequences"; UPDATE "_meta" SET "format" = 4"#).unwrap();
    drop(raw);
    let told = written(path, &[DRAFT, SEGMENT], vec![append("Segment", 13)], "position").await;
    assert_eq!(told, [3], "the two that were there have the first numbers");
    let raw = rusqlite::Connection::open(path.join("tidewire.db")).unwrap();
    let format: u32 = raw.query_row(r#"SELECT "format" FROM "_meta""#, [], |row| row.get(0)).unwrap();
    assert_eq!(format, 6);
    raw.execute_batch(r#"UPDATE "_meta" SET "format" = 7"#).unwrap();
    drop(raw);
    let refused = studio::migrate(path, &schema_of(&[DRAFT, SEGMENT]), &Default::default());
    assert!(matches!(refused, Err(OpenError::NewerFormat { found: 7, known: 6, .. })), "{refused:?}");
}

/// A record's id may be smaller than that of an earlier one.
#[tokio::test]
async fn records_are_numbered_by_when_they_were_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let plain = SEGMENT.replace(", sequence = 'draft'", "");
    let opened = studio::open(path, Schema::clone(&schema_of(&[DRAFT, &plain])), &StoreConfig::default());
    let first =
        [vec![draft(), append("Segment", 14)], vec![append("Segment", 12)], vec![append("Segment", 13)]];
    for (later, ops) in (0..).zip(first) {
        let at = Timestamp(studio::NOON.0 + later);
        opened.store.commit(Unit { generation: opened.generation, at, ..studio::unit(ops) }).await.unwrap();
    }
    let at = Timestamp(studio::NOON.0 + 2);
    let last = vec![append("Segment", 11)];
    opened.store.commit(Unit { generation: opened.generation, at, ..studio::unit(last) }).await.unwrap();
    opened.store.close().await;
    let touched = [11, 12, 13, 14].map(|n| studio::update("Segment", n, [(FieldIndex(0), studio::link(1))]));
    let told = written(path, &[DRAFT, SEGMENT], touched.to_vec(), "position").await;
    assert_eq!(told, [json!(3), json!(2), json!(4), json!(1)], "those of one moment by their ids");
}

fn some_op() -> impl Strategy<Value = Op> {
    let draft = || prop_oneof![1 => Just(schema::Value::Null), 4 => (1..3u128).prop_map(studio::link)];
    let number = || prop_oneof![5 => Just(schema::Value::Null), 1 => (1..9i64).prop_map(schema::Value::Int)];
    let segment = || 11..16u128;
    prop_oneof![
        5 => (segment(), draft(), number(), number()).prop_map(|(n, draft, position, serial)| {
            studio::create("Segment", n, vec![draft, position, serial])
        }),
        4 => (segment(), draft()).prop_map(|(n, draft)| studio::update("Segment", n, [(FieldIndex(0), draft)])),
        1 => (segment(), draft(), number()).prop_map(|(n, draft, number)| {
            studio::update("Segment", n, [(FieldIndex(0), draft), (FieldIndex(1), number)])
        }),
        3 => segment().prop_map(|n| studio::delete("Segment", n)),
        1 => (1..3u128).prop_map(|n| studio::delete("Draft", n)),
        2 => (1..3u128).prop_map(|n| studio::create("Draft", n, vec![schema::Value::Null])),
        1 => (21..23u128, segment()).prop_map(|(n, to)| {
            studio::create("Note", n, vec![studio::link(to), schema::Value::Null])
        }),
    ]
}

proptest! {
    #![proptest_config(stories(64))]

    #[test]
    fn random_units_give_the_same_numbers_on_sqlite_and_on_the_model(
        groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(some_op(), 1..4), 1..5), 1..12),
    ) {
        let segment = SEGMENT.replace("'cascade'", "'set_null'") + "serial = { type = 'int', sequence = true }\n";
        let note = "entity = 'Note'\n[fields]\nsegment = { type = 'ref', entity = 'Segment', on_delete = 'cascade' }\n\
            position = { type = 'int', from = 'segment.position' }\n";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = StoreConfig { unit_entries: 6, cascade_records: 3, ..StoreConfig::default() };
            let over = || Schema::clone(&schema_of(&[DRAFT, &segment, note]));
            let sqlite = studio::Studio::sqlite_over(over(), &config);
            let memory = studio::Studio::memory_over(over(), &config);
            for group in groups {
                let units: Vec<Unit> = group.into_iter().map(studio::unit).collect();
                let real = join_all(units.iter().map(|unit| sqlite.store.commit(unit.clone()))).await;
                for (unit, real) in units.into_iter().zip(real) {
                    let model = memory.store.commit(unit.clone()).await;
                    let told = |outcome: Result<Outcome, CommitError>| {
                        outcome.map(|outcome| (outcome.seq, outcome.results))
                    };
                    assert_eq!(told(real), told(model), "{unit:?}");
                }
                assert_eq!(sqlite.log(0), memory.log(0));
            }
        });
    }
}
