//! The full-text index under its records: in step with them after any writes, built when a schema asks for it, gone when
//! it no longer does.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::future::join_all;
use rusqlite::Connection;
use tidewire::config::StoreConfig;
use tidewire::ids::RecordId;
use tidewire::schema::{Entity, Field, FieldIndex, Schema, Value};
use tidewire::store::migration::Allow;
use tidewire::store::{Op, Query, Store, Unit};

use crate::support::at_once::Now;
use crate::support::random::Random;
use crate::support::studio::*;

/// Ids of the records that hold every word, by the store.
fn found(store: &dyn Store, entity: &str, words: &[&str]) -> BTreeSet<RecordId> {
    let search = words.iter().map(|word| (*word).to_owned()).collect();
    let query = Query { search, ..Query::all(entity, store.head().now().unwrap().generation, 1_000) };
    store.list(&query).now().unwrap().value.rows.into_iter().map(|listed| listed.id).collect()
}

/// The same by hand, for titles of plain words: it reads the records' JSON and splits at spaces.
fn found_by_hand(store: &dyn Store, words: &[&str]) -> BTreeSet<RecordId> {
    let holds = |title: &str| {
        let title = title.to_lowercase().replace('é', "e");
        words.iter().all(|word| title.split(' ').any(|other| other.starts_with(word)))
    };
    let rows = store
        .list(&Query::all("Task", store.head().now().unwrap().generation, 1_000))
        .now()
        .unwrap()
        .value
        .rows;
    let title = |json: &[u8]| serde_json::from_slice::<serde_json::Value>(json).unwrap()["title"].clone();
    let rows = rows.into_iter().filter(|row| title(&row.stored.json).as_str().is_some_and(holds));
    rows.map(|row| row.id).collect()
}

fn title(random: &mut Random) -> Value {
    const WORDS: [&str; 8] = ["tide", "TIDES", "wire", "Été", "ete", "a", "wir", "sea"];
    match random.below(5) {
        0 => Value::Null,
        count => {
            let pick = |_| WORDS[random.below(8) as usize];
            words(&(0..count).map(pick).collect::<Vec<_>>().join(" "))
        }
    }
}

fn some_op(random: &mut Random) -> Op {
    let n = 1 + u128::from(random.below(20));
    match random.below(8) {
        0..=2 => task(n, [(TITLE, title(random))]),
        3 => task(n, [(TITLE, title(random)), (PARENT, link(1 + u128::from(random.below(20))))]),
        4 | 5 => update("Task", n, [(TITLE, title(random))]),
        6 => update("Task", n, [(PRIORITY, Value::Int(random.below(9) as i64))]),
        _ => delete("Task", n),
    }
}

/// FTS5's own opinion of its tables, and whether they speak of exactly the records that are there.
fn check_tables(folder: &Path, plural: &str) {
    let conn = Connection::open(folder.join("tidewire.db")).unwrap();
    let words = format!("\"_search:{plural}:words\"");
    conn.execute(&format!("INSERT INTO {words} ({words}) VALUES ('integrity-check')"), []).unwrap();
    let ids = |sql: &str| -> BTreeSet<String> {
        conn.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let records = ids(&format!("SELECT id FROM \"{plural}\""));
    assert_eq!(ids(&format!("SELECT _record FROM \"_search:{plural}:numbers\"")), records);
    let indexed = format!(
        "SELECT _record FROM \"_search:{plural}:numbers\" JOIN \"_search:{plural}:words_docsize\" ON id = _number"
    );
    assert_eq!(ids(&indexed), records);
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize;
    assert_eq!(count(&format!("SELECT count(*) FROM \"_search:{plural}:words_docsize\"")), records.len());
}

#[tokio::test]
async fn index_and_records_hold_together_after_random_writes() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let opened = open(folder.path(), schema(), &StoreConfig { group_ops: 7, ..StoreConfig::default() });
        let mut batches = opened.batches;
        let drain = tokio::spawn(async move { while batches.recv().await.is_some() {} });
        let random = &mut Random::new(seed);
        let mut refused = 0;
        for _ in 0..25 {
            let units: Vec<_> = (0..12)
                .map(|_| {
                    let ops = 1 + random.below(3);
                    unit((0..ops).map(|_| some_op(random)).collect::<Vec<_>>())
                })
                .collect();
            let outcomes = join_all(units.into_iter().map(|unit| opened.store.commit(unit))).await;
            refused += outcomes.iter().filter(|outcome| outcome.is_err()).count();
            for words in
                [&["tide"][..], &["tides"], &["wir"], &["wire", "ete"], &["e"], &["a", "a"], &["none"]]
            {
                let (real, by_hand) =
                    (found(&*opened.store, "Task", words), found_by_hand(&*opened.store, words));
                assert_eq!(real, by_hand, "seed {seed}: {words:?}");
            }
        }
        assert!(refused > 20, "units that are undone are part of the story: {refused}");
        opened.store.close().await;
        drop(opened.store);
        drain.await.unwrap();
        check_tables(folder.path(), "tasks");
    }
}

/// `Note` with three texts, of which those named are searched.
fn notes(searched: &[&str]) -> Schema {
    let of = |name: &&str| Field { search: searched.contains(name), ..field(name, text()) };
    Schema::new([entity("Note", "notes", ["body", "rank", "number"].iter().map(of).collect())])
}

fn note(n: u128, body: &str, rank: &str) -> Op {
    create("Note", n, vec![words(body), words(rank), Value::Null])
}

fn tables(folder: &Path) -> usize {
    let conn = Connection::open(folder.join("tidewire.db")).unwrap();
    let count = "SELECT count(*) FROM sqlite_master WHERE name GLOB '_search*'";
    conn.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap() as usize
}

async fn close(opened: Opened) {
    opened.store.close().await;
}

#[tokio::test]
async fn a_field_that_becomes_searched_is_searched_in_old_records() {
    let folder = tempfile::tempdir().unwrap();
    let reopen = |searched: &[&str]| open(folder.path(), notes(searched), &StoreConfig::default());
    let opened = reopen(&[]);
    let first = unit([note(1, "one fish", "red"), note(2, "two fish", "blue")]);
    opened.store.commit(first).await.unwrap();
    close(opened).await;
    assert_eq!(tables(folder.path()), 0);

    let opened = reopen(&["body"]);
    assert_eq!(found(&*opened.store, "Note", &["fish"]).len(), 2);
    assert_eq!(found(&*opened.store, "Note", &["red"]).len(), 0);
    close(opened).await;

    let opened = reopen(&["body", "rank", "number"]);
    assert_eq!(found(&*opened.store, "Note", &["fish", "red"]), [id(1)].into());
    let change = update("Note", 2, [(FieldIndex(2), words("Fourteen")), (FieldIndex(1), Value::Null)]);
    let unit = unit([change, delete("Note", 1)]);
    opened.store.commit(Unit { generation: opened.generation, ..unit }).await.unwrap();
    assert_eq!(found(&*opened.store, "Note", &["four"]), [id(2)].into());
    assert_eq!(found(&*opened.store, "Note", &["blue"]).len(), 0);
    close(opened).await;
    check_tables(folder.path(), "notes");

    // The same schema again: the index is the old one, in which the second record has the number 2.
    let opened = reopen(&["body", "rank", "number"]);
    assert_eq!(found(&*opened.store, "Note", &["two"]), [id(2)].into());
    close(opened).await;
    let conn = Connection::open(folder.path().join("tidewire.db")).unwrap();
    let numbers = "SELECT group_concat(_number) FROM \"_search:notes:numbers\"";
    assert_eq!(conn.query_row(numbers, [], |row| row.get::<_, String>(0)).unwrap(), "2");
    drop(conn);

    close(reopen(&[])).await;
    assert_eq!(tables(folder.path()), 0);
}

#[tokio::test]
async fn the_index_of_an_entity_goes_with_it_and_no_plural_is_in_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let of =
        |plural: &str, name: &str| -> Entity { entity(name, plural, vec![searched(field("body", text()))]) };
    let many = Schema::new([of("tasks", "Task"), of("tasks_data", "TasksData"), of("words_idx", "WordsIdx")]);
    let opened = open(folder.path(), many, &StoreConfig::default());
    let ops = ["Task", "TasksData", "WordsIdx"].map(|entity| create(entity, 1, vec![words(entity)]));
    opened.store.commit(unit(ops)).await.unwrap();
    assert_eq!(found(&*opened.store, "TasksData", &["tasksdata"]).len(), 1);
    opened.store.commit(unit([delete("Task", 1), delete("WordsIdx", 1)])).await.unwrap();
    close(opened).await;
    let before = tables(folder.path());
    close(open(folder.path(), Schema::new([of("tasks_data", "TasksData")]), &StoreConfig::default())).await;
    assert_eq!(tables(folder.path()) * 3, before);
    check_tables(folder.path(), "tasks_data");
}

#[tokio::test]
async fn values_written_by_a_migration_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let migrate = |schema: &Schema, allow: &Allow| migrate(folder.path(), schema, allow).unwrap();
    let both = |first: &str, second: &str, required: bool| {
        let body = || searched(Field { required, ..field("body", text()) });
        Schema::new([entity("First", first, vec![body()]), entity("Second", second, vec![body()])])
    };
    let opened = open(folder.path(), both("ones", "twos", false), &StoreConfig::default());
    let ops = [create("First", 1, vec![words("alpha")]), create("Second", 2, vec![words("beta")])];
    opened.store.commit(unit(ops)).await.unwrap();
    opened.store.commit(unit([create("First", 3, vec![Value::Null])])).await.unwrap();
    close(opened).await;

    // The tables exchange their names, and with them what the indexes of those names speak of.
    migrate(&both("twos", "ones", false), &Allow::default());
    let opened = open(folder.path(), both("twos", "ones", false), &StoreConfig::default());
    assert_eq!(found(&*opened.store, "First", &["alpha"]), [id(1)].into());
    assert_eq!(found(&*opened.store, "Second", &["alpha"]).len(), 0);
    assert_eq!(found(&*opened.store, "Second", &["beta"]), [id(2)].into());
    close(opened).await;

    let backfill = [("First.body".to_owned(), words("gamma"))].into_iter().collect();
    migrate(&both("twos", "ones", true), &Allow { backfill, ..Allow::default() });
    let opened = open(folder.path(), both("twos", "ones", true), &StoreConfig::default());
    assert_eq!(found(&*opened.store, "First", &["gamma"]), [id(3)].into());
    close(opened).await;
    ["ones", "twos"].iter().for_each(|plural| check_tables(folder.path(), plural));
}

#[tokio::test]
async fn a_running_server_builds_the_index_of_a_new_schema() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), notes(&[]), &StoreConfig::default());
    opened.store.commit(unit([note(1, "one fish", "red")])).await.unwrap();
    let evolved = opened.store.evolve(std::sync::Arc::new(notes(&["body"]))).await.unwrap();
    assert_eq!(found(&*opened.store, "Note", &["fish"]), [id(1)].into());
    let more = Unit { generation: evolved.generation, ..unit([note(2, "two fish", "blue")]) };
    opened.store.commit(more).await.unwrap();
    assert_eq!(found(&*opened.store, "Note", &["fish"]).len(), 2);
    close(opened).await;
    check_tables(folder.path(), "notes");
}

/// Puts in the place of an index of `notes` one that an earlier program made: its DDL, and the words that it had kept.
fn age(folder: &Path, words: &str, mark: &str) {
    let conn = Connection::open(folder.join("tidewire.db")).unwrap();
    let statements = format!(
        r#"DROP TABLE "_search:notes:words"; DROP TABLE "_search:notes:numbers";
           CREATE VIRTUAL TABLE "_search:notes:words" USING fts5({words});
           CREATE TABLE "_search:notes:numbers" ("_number" INTEGER PRIMARY KEY, "_record" TEXT NOT NULL UNIQUE{mark}) STRICT;
           INSERT INTO "_search:notes:numbers" ("_record") SELECT "id" FROM "notes""#
    );
    conn.execute_batch(&statements).unwrap();
}

#[tokio::test]
async fn an_index_of_an_earlier_program_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let reopen = || open(folder.path(), notes(&["body"]), &StoreConfig::default());
    let opened = reopen();
    opened.store.commit(unit([note(1, "κόσμος", "red")])).await.unwrap();
    close(opened).await;
    let common = r#""body_", content = '', contentless_delete = 1, prefix = '1 2', tokenize = "#;
    for (words, mark) in [
        (format!("{common}'unicode61 remove_diacritics 2'"), ""),
        (format!("{common}'ascii'"), ""),
        (format!("{common}'ascii'"), " /* words 0 */"),
    ] {
        age(folder.path(), &words, mark);
        let opened = reopen();
        assert_eq!(found(&*opened.store, "Note", &["κοσμος"]), [id(1)].into(), "{words}{mark}");
        close(opened).await;
        check_tables(folder.path(), "notes");
    }
}
