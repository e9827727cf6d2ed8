//! What only a store on a disk owes: the folder, reopening, epochs, evolution of the schema, group commits, and what
//! happens when something breaks.

mod rights;

use std::path::Path;

use futures_util::future::join_all;
use tidewire::config::StoreConfig;
use tidewire::env::Env;
use tidewire::ids::{Epoch, Position, Seq};
use tidewire::schema::{Field, FieldDefault, FieldIndex, FieldKind, Generation, OnDelete, Schema, Value};
use tidewire::store::OpenError;
use tidewire::store::sqlite::{DatabaseFile, SqliteStore};
use tidewire::store::{ChangeOp, CommitError, LogLimit, Op, Scope, Store, Survey, Unit};

use crate::support::at_once::Now;
use crate::support::studio::*;

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

/// Why the folder is refused.
fn refusal(folder: &Path, schema: Schema) -> String {
    match SqliteStore::open(DatabaseFile::within(folder), &schema, &defaults(), Env::system()) {
        Ok(_) => panic!("the folder was opened"),
        Err(error) => error.to_string(),
    }
}

async fn run(folder: &Path, schema: Schema, ops: impl IntoIterator<Item = Op>) -> Opened {
    let opened = open(folder, schema, &defaults());
    let unit = Unit { generation: opened.generation, ..unit(ops) };
    opened.store.commit(unit).await.unwrap();
    opened
}

fn survey(opened: &Opened, epoch: &Epoch, seq: u64) -> Survey {
    let since = Position { epoch: epoch.clone(), seq: Seq(seq) };
    opened.store.survey(Some(&Scope::Entity("Project".into())), &since).now().unwrap().value
}

#[tokio::test]
async fn a_reopened_store_continues_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), schema(), [user(1), project(1)]).await;
    assert_eq!(
        (first.report.head, first.generation, first.report.synchronous),
        (Seq(0), Generation(1), "full")
    );
    assert_eq!(first.report.created_tables, ["users", "projects", "tasks", "invoices"]);
    assert!(first.report.changes.is_empty() && first.report.added_indexes.is_empty());
    let record = first.store.get("Project", &id(1)).now().unwrap().value;
    first.store.commit(named("m", 1, [project(2)])).await.unwrap();
    first.store.close().await;
    drop(first.store);
    let rest = std::fs::metadata(folder.path().join("tidewire.db-wal")).map_or(0, |wal| wal.len());
    assert_eq!(rest, 0, "all is in the file after closing");

    let second = open(folder.path(), schema(), &defaults());
    assert_eq!((second.report.head, second.generation), (Seq(3), Generation(1)));
    assert_eq!(second.report.created_tables, Vec::<String>::new());
    assert_eq!(second.store.get("Project", &id(1)).now().unwrap().value, record);
    assert!(second.store.commit(named("m", 1, [project(2)])).await.unwrap().replayed);
    let next = second.store.commit(unit([project(3)])).await.unwrap();
    assert_eq!((next.seq, &next.epoch), (Seq(4), &second.report.epoch));
    assert_ne!(first.report.epoch, second.report.epoch);
    assert_eq!(changes(second.store.log(Seq(0), ALL).now().unwrap()).len(), 4);
}

#[tokio::test]
async fn a_position_is_valid_up_to_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), schema(), [project(1), project(2)]).await;
    first.store.close().await;
    let second = run(folder.path(), schema(), [project(3)]).await;
    let (old, new) = (first.report.epoch, second.report.epoch.clone());
    assert_eq!(survey(&second, &old, 1), Survey { known: true, schema_changed: false, backlog: 2, rows: 3 });
    assert!(survey(&second, &old, 2).known);
    assert_eq!(survey(&second, &old, 3), Survey::default());
    assert!(survey(&second, &new, 3).known && survey(&second, &new, 0).known);
    assert!(!survey(&second, &new, 4).known);
}

#[tokio::test]
async fn a_restored_folder_does_not_accept_positions_from_after_the_copy() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = run(folder.path(), schema(), [project(1)]).await;
    first.store.close().await;
    std::fs::copy(folder.path().join("tidewire.db"), backup.path().join("tidewire.db")).unwrap();
    let lost = run(folder.path(), schema(), [project(2)]).await;
    let restored = run(backup.path(), schema(), [project(3)]).await;
    assert_eq!(restored.store.head().now().unwrap().seq, lost.store.head().now().unwrap().seq);
    assert!(!survey(&restored, &lost.report.epoch, 2).known);
    assert!(survey(&restored, &first.report.epoch, 1).known);
}

#[tokio::test]
async fn a_second_process_is_refused_by_name() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("data");
    let first = open(&folder, schema(), &defaults());
    let expected = format!(
        "the folder {} is in use by process {}: stop it, or choose another folder with --data DIR",
        folder.display(),
        std::process::id()
    );
    assert_eq!(refusal(&folder, schema()), expected);
    assert!(first.store.commit(unit([project(1)])).await.is_ok());
    first.store.close().await;
    assert_eq!(first.store.commit(unit([project(2)])).await, Err(CommitError::Closed));
    let second = open(&folder, schema(), &defaults());
    // Dropping does the same as closing; only it is not waited for here.
    let Opened { store, mut batches, .. } = second;
    store.commit(unit([project(2)])).await.unwrap();
    drop(store);
    assert_eq!(batches.recv().await.unwrap().last(), Seq(2));
    assert_eq!(batches.recv().await, None);
}

#[tokio::test]
async fn closing_commits_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), schema(), &defaults());
    let writes = join_all((1..=20).map(|n| opened.store.commit(unit([project(n)]))));
    let (outcomes, ()) = tokio::join!(writes, opened.store.close());
    assert!(outcomes.iter().all(Result::is_ok));
    opened.store.close().await;
    assert_eq!(open(folder.path(), schema(), &defaults()).report.head, Seq(20));
}

#[tokio::test]
async fn damage_is_named_and_never_an_empty_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidewire.db");
    run(folder.path(), schema(), [project(1)]).await.store.close().await;
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[..64].fill(0xA5);
    for damaged in [Vec::new(), b"not a database, whatever its name says".repeat(40), flipped] {
        std::fs::write(&file, &damaged).unwrap();
        let refusal = refusal(folder.path(), schema());
        assert!(refusal.contains(&file.display().to_string()), "{refusal}");
        assert!(refusal.contains("put a backup in its place"), "{refusal}");
        assert_eq!(std::fs::read(&file).unwrap(), damaged);
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::write(folder.path().join("tidewire.db-wal"), "left over").unwrap();
    assert!(refusal(folder.path(), schema()).contains("tidewire.db-wal is there"));
    std::fs::remove_file(folder.path().join("tidewire.db-wal")).unwrap();
    let draft = folder.path().join(".tidewire-a1b2c3.part");
    std::fs::write(&draft, "a start that was cut short").unwrap();
    assert_eq!(open(folder.path(), schema(), &defaults()).report.head, Seq(0));
    assert!(!draft.exists());
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), schema(), [project(1)]).await.store.close().await;
    let file = folder.path().join("tidewire.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch(
        r#"UPDATE "_meta" SET "format" = 7; UPDATE "_program" SET "version" = 'Tidewire 9.1.0'"#,
    )
    .unwrap();
    let refusal = refusal(folder.path(), schema());
    let this = concat!("this is Tidewire ", env!("CARGO_PKG_VERSION"), ", which knows formats up to ");
    assert!(
        refusal.contains("was written by Tidewire 9.1.0 in format 7") && refusal.contains(this),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_foreign_folder_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error =
        SqliteStore::open(DatabaseFile::within(&file), &schema(), &defaults(), Env::system()).err().unwrap();
    assert!(matches!(&error, OpenError::Unusable(text) if text.contains(file.to_str().unwrap())), "{error}");
}

fn note(fields: Vec<Field>) -> Schema {
    Schema::new([entity("Note", "notes", fields)])
}

fn note_1(values: Vec<Value>) -> [Op; 1] {
    [create("Note", 1, values)]
}

fn choice(values: &[&str]) -> FieldKind {
    FieldKind::Enum { values: values.iter().map(|value| (*value).into()).collect() }
}

fn with_default(field: Field, value: Value) -> Field {
    Field { default: Some(FieldDefault::Value(value)), ..field }
}

#[tokio::test]
async fn what_a_schema_adds_is_applied_and_marked_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), note(vec![field("title", text())]), note_1(vec![words("a")])).await;
    first.store.close().await;

    let mut grown = entity(
        "Note",
        "notes",
        vec![
            with_default(field("quote", text()), words("it's")),
            field("title", text()),
            unique(field("code", text())),
            Field { required: true, ..with_default(field("done", FieldKind::Bool), Value::Bool(true)) },
            with_default(field("score", FieldKind::Float { min: None, max: None }), Value::Float(2.0)),
            field("owner", refers("User", OnDelete::SetNull)),
        ],
    );
    grown.indexes = vec![vec![
        tidewire::schema::Column::Field(FieldIndex(1)),
        tidewire::schema::Column::Field(FieldIndex(3)),
    ]];
    let schema = || Schema::new([grown.clone(), entity("User", "users", vec![])]);
    let second = open(folder.path(), schema(), &defaults());
    assert_eq!((second.generation, second.report.head), (Generation(2), Seq(2)));
    assert_eq!(second.report.created_tables, ["users"]);
    assert_eq!(
        second.report.changes,
        ["quote", "code", "done", "score", "owner"].map(|name| format!("Note.{name}: add the field"))
    );
    assert_eq!(second.report.added_indexes, ["notes:code", "notes:owner", "notes:title,done"]);
    let json =
        String::from_utf8(second.store.get("Note", &id(1)).now().unwrap().value.unwrap().json.to_vec())
            .unwrap();
    let values = r#""version":1,"quote":"it's","title":"a","code":null,"done":true,"score":2.0,"owner":null"#;
    assert!(json.contains(values), "{json}");

    let marker = &changes(second.store.log(Seq(1), ALL).now().unwrap())[0];
    assert_eq!((marker.op, marker.seq, marker.generation), (ChangeOp::Schema, Seq(2), Generation(2)));
    assert_eq!((&*marker.entity, marker.id.as_str(), marker.unit_last), ("", "", true));
    let since = |epoch: &Epoch, seq| Position { epoch: epoch.clone(), seq: Seq(seq) };
    let scope = Scope::Entity("Note".into());
    let survey = second.store.survey(Some(&scope), &since(&first.report.epoch, 1)).now().unwrap().value;
    assert_eq!(survey, Survey { known: true, schema_changed: true, backlog: 0, rows: 1 });
    assert!(!second.store.survey(Some(&scope), &since(&first.report.epoch, 2)).now().unwrap().value.known);
    assert!(
        !second
            .store
            .survey(Some(&scope), &since(&second.report.epoch, 2))
            .now()
            .unwrap()
            .value
            .schema_changed
    );
    second.store.close().await;

    let third = open(folder.path(), schema(), &defaults());
    assert_eq!((third.generation, third.report.head, third.report.changes.len()), (Generation(2), Seq(2), 0));
}

#[tokio::test]
async fn what_only_concerns_later_writes_is_a_new_generation() {
    let folder = tempfile::tempdir().unwrap();
    let fields = |kind, values: &[&str]| vec![field("title", kind), unique(field("status", choice(values)))];
    run(folder.path(), note(fields(text(), &["a"])), note_1(vec![words("x"), words("a")]))
        .await
        .store
        .close()
        .await;

    let bounded = FieldKind::Text { min: Some(1), max: Some(9), pattern: None };
    let mut looser = entity("Note", "notes", fields(bounded, &["b", "a"]));
    looser.fields[1].unique = false;
    looser.fields[0].default = Some(FieldDefault::Value(words("y")));
    looser.label = Some(FieldIndex(0));
    looser.access.read = Some(tidewire::schema::Rule {
        source: "true".into(),
        meaning: tidewire::schema::Expr::Constant(true),
    });
    looser.fields.reverse();
    looser.label = Some(FieldIndex(1));
    let opened =
        run(folder.path(), Schema::new([looser]), [create("Note", 2, vec![words("a"), words("x")])]).await;
    assert_eq!((opened.generation, opened.report.head), (Generation(2), Seq(2)));
    let json = opened.store.get("Note", &id(1)).now().unwrap().value.unwrap().json;
    assert!(String::from_utf8(json.to_vec()).unwrap().contains(r#""status":"a","title":"x""#));
}

#[tokio::test]
async fn what_could_lose_data_is_refused_with_every_reason() {
    let folder = tempfile::tempdir().unwrap();
    let old = || {
        let fields = vec![
            field("title", text()),
            field("count", FieldKind::Int { min: None, max: None }),
            field("status", choice(&["open", "done"])),
            field("code", text()),
            field("gone", text()),
            field("owner", refers("User", OnDelete::SetNull)),
        ];
        Schema::new([
            entity("Note", "notes", fields),
            entity("User", "users", vec![]),
            entity("Empty", "empties", vec![field("x", text())]),
            entity("Full", "fulls", vec![]),
        ])
    };
    let ops = [
        create("User", 9, vec![]),
        create("Note", 1, vec![Value::Null, Value::Null, words("open"), words("c"), words("g"), link(9)]),
        create("Note", 2, vec![words("b"), Value::Null, words("done"), words("c"), Value::Null, Value::Null]),
        create("Full", 1, vec![]),
        create("Full", 2, vec![]),
    ];
    run(folder.path(), old(), ops).await.store.close().await;

    let fields = vec![
        Field { required: true, ..field("title", text()) },
        field("count", text()),
        field("status", choice(&["open"])),
        unique(field("code", text())),
        Field { required: true, ..field("new", text()) },
        field("owner", refers("Empty", OnDelete::SetNull)),
        field("fine", text()),
    ];
    let new = Schema::new([
        entity("Note", "memos", fields),
        entity("User", "users", vec![]),
        entity("Empty", "nothings", vec![field("y", FieldKind::Bool)]),
    ]);
    assert_eq!(
        refusal(folder.path(), new),
        "the schema does not fit the data, and nothing was changed:\n\
         ✗ Full: drop the entity\n    2 records would be lost\n    allow it with --allow-drop Full\n\
         ✓ Note: move from /api/notes to /api/memos\n\
         ✗ Note.gone: drop the field\n    1 value would be lost\n    allow it with --allow-drop Note.gone\n\
         ✗ Note.title: make the field required\n    1 record has no value\n    \
         allow it with --backfill Note.title=VALUE\n\
         ✓ Note.count: change the type from int to text\n\
         ✗ Note.status: take the enum value `done` out\n    \
         values that do not convert: 1 of 2; each would become empty\n      \
         00000000-0000-0000-0000-000000000002: `done`\n    allow it with --allow-clear Note.status\n\
         ✗ Note.code: make the field unique\n    values occur more than once\n      2 records have `c`\n    \
         change the records first, or leave `unique` out\n\
         ✗ Note.new: add the field\n    2 records would have no value for it\n    \
         allow it with --backfill Note.new=VALUE\n\
         ✗ Note.owner: refer to Empty instead of User\n    \
         values that do not convert: 1 of 1; each would become empty\n      \
         00000000-0000-0000-0000-000000000001: `00000000-0000-0000-0000-000000000009`\n    allow it with --allow-clear Note.owner\n\
         ✓ Note.fine: add the field\n\
         ✓ Empty: move from /api/empties to /api/nothings\n\
         ✓ Empty.x: drop the field\n\
         ✓ Empty.y: add the field\n\
         Change what has no flag as described above; then allow the rest:\n  \
         tidewire migrate apply --allow-drop Full --allow-drop Note.gone --backfill Note.title=VALUE \
         --allow-clear Note.status --backfill Note.new=VALUE --allow-clear Note.owner"
    );

    let unchanged = open(folder.path(), old(), &defaults());
    assert_eq!((unchanged.generation, unchanged.report.head), (Generation(1), Seq(5)));
    unchanged.store.close().await;
}

#[tokio::test]
async fn tables_without_records_take_any_shape() {
    let folder = tempfile::tempdir().unwrap();
    let old = Schema::new([
        entity("A", "first", vec![field("x", text())]),
        entity("B", "second", vec![field("x", text())]),
        entity("C", "third", vec![]),
    ]);
    run(folder.path(), old, [create("A", 1, vec![words("a")]), delete("A", 1)]).await.store.close().await;
    let new = Schema::new([
        entity("A", "second", vec![field("x", FieldKind::Bool)]),
        entity("B", "first", vec![Field { required: true, ..unique(field("y", text())) }]),
    ]);
    let opened = run(folder.path(), new, [create("B", 1, vec![words("b")])]).await;
    assert!(opened.report.created_tables.is_empty());
    assert_eq!(opened.store.head().now().unwrap().seq, Seq(4));
    let a = Unit { generation: opened.generation, ..unit([create("A", 1, vec![Value::Bool(true)])]) };
    assert_eq!(opened.store.commit(a).await.unwrap().results[0].record.as_ref().unwrap().version, 2);
}

#[tokio::test]
async fn schema_names_may_be_sql_keywords() {
    let folder = tempfile::tempdir().unwrap();
    let odd = || {
        Schema::new([entity("Select", "order", vec![unique(field("group", text())), field("a\"b", text())])])
    };
    let ops = [
        create("Select", 1, vec![words("x"), words("y")]),
        update("Select", 1, [(FieldIndex(1), words("z"))]),
    ];
    let opened = run(folder.path(), odd(), ops).await;
    let again = unit([create("Select", 2, vec![words("x"), Value::Null])]);
    assert_eq!(
        opened.store.commit(again).await,
        Err(CommitError::NotUnique { op: 0, fields: vec!["group".into()] })
    );
    opened.store.close().await;
    open(folder.path(), odd(), &defaults());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_get_dense_seqs_and_batches_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { store, mut batches, .. } = open(folder.path(), schema(), &defaults());
    let writers = (0..64u128).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut seqs = Vec::new();
            for n in 0..10 {
                seqs.push(store.commit(unit([project(writer * 100 + n)])).await.unwrap().seq.0);
            }
            assert!(seqs.is_sorted());
            seqs
        })
    });
    let mut seqs: Vec<u64> = join_all(writers).await.into_iter().flat_map(Result::unwrap).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=640).collect::<Vec<u64>>());

    store.close().await;
    let (mut published, mut count) = (Vec::new(), 0);
    while let Some(batch) = batches.recv().await {
        published.extend(batch.changes.iter().cloned());
        count += 1;
    }
    assert!(count < 640, "nothing was grouped: {count} batches");
    assert_eq!(published, changes(store.log(Seq(0), ALL).now().unwrap()));
}

#[tokio::test]
async fn answers_leave_before_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), schema(), &StoreConfig { queue: 2, ..defaults() });
    // Nobody takes batches: 64 fit, the 65th holds the committer back, and still every writer has its answer.
    for n in 1..=65 {
        let answer = opened.store.commit(unit([project(n)]));
        let answer = tokio::time::timeout(std::time::Duration::from_secs(10), answer).await;
        assert_eq!(answer.expect("an answer does not wait for listeners").unwrap().seq, Seq(n as u64));
    }
    // The committer waits, so these wait; one more is refused at once.
    let store = opened.store.clone();
    let waiting = tokio::spawn(async move {
        let (one, other) = (store.commit(unit([project(66)])), store.commit(unit([project(67)])));
        let third = store.commit(unit([project(68)]));
        tokio::join!(one, other, third)
    });
    tokio::task::yield_now().await;
    let many = unit((70..80).map(project));
    assert_eq!(opened.store.commit(many).await, Err(CommitError::Overloaded));
    drop(opened.batches);
    let (one, other, third) = waiting.await.unwrap();
    assert_eq!((one.unwrap().seq, other.unwrap().seq), (Seq(66), Seq(67)));
    assert_eq!(third, Err(CommitError::Overloaded));
    // A unit with more operations than the queue has places is let in alone.
    assert_eq!(opened.store.commit(unit((70..80).map(project))).await.unwrap().seq, Seq(77));
}

#[tokio::test]
async fn a_refused_unit_does_not_affect_its_group() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { store, mut batches, .. } = open(folder.path(), schema(), &defaults());
    let units = [
        unit([project(1)]),
        unit([project(2), project(1)]),
        unit([project(3), project(4)]),
        unit([delete("Project", 9)]),
        unit([update("Project", 1, [(FieldIndex(0), words("x"))])]),
        unit([create("Project", 5, vec![words("x")])]),
        unit([task(6, [(PROJECT, link(2))])]),
        unit([project(7)]),
    ];
    let outcomes = join_all(units.map(|unit| store.commit(unit))).await;
    let seqs: Vec<Result<u64, CommitError>> =
        outcomes.into_iter().map(|outcome| outcome.map(|outcome| outcome.seq.0)).collect();
    let refused = [
        CommitError::IdTaken { op: 1 },
        CommitError::NotFound { op: 0 },
        CommitError::NotUnique { op: 0, fields: vec!["code".into()] },
        CommitError::UnknownReference { op: 0, field: "project".into() },
    ];
    let [taken, missing, not_unique, unknown] = refused.map(Err);
    assert_eq!(seqs, [Ok(1), taken, Ok(3), missing, Ok(4), not_unique, unknown, Ok(5)]);
    let batch = batches.recv().await.unwrap();
    assert_eq!((batch.first(), batch.last(), batch.changes.len()), (Seq(1), Seq(5), 5));
    assert_eq!(batch.changes, changes(store.log(Seq(0), ALL).now().unwrap()));
    assert_eq!(store.get("Project", &id(2)).now().unwrap().value, None);
}

#[tokio::test]
async fn a_group_ends_at_its_bounds_and_the_rest_follows() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { group_ops: 3, ..defaults() };
    let Opened { store, mut batches, .. } = open(folder.path(), schema(), &config);
    let outcomes = join_all((1..=8).map(|n| store.commit(unit([project(n)])))).await;
    assert_eq!(outcomes.last().unwrap().as_ref().unwrap().seq, Seq(8));
    store.close().await;
    let sizes = [batches.recv().await, batches.recv().await, batches.recv().await];
    assert_eq!(sizes.map(|batch| batch.unwrap().changes.len()), [3, 3, 2]);

    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { group_bytes: 3_000, ..defaults() };
    let Opened { store, mut batches, .. } = open(folder.path(), schema(), &config);
    let long = |n| unit([task(n, [(TITLE, words(&"x".repeat(1_400)))])]);
    join_all((1..=3).map(|n| store.commit(long(n)))).await;
    store.close().await;
    let sizes = [batches.recv().await, batches.recv().await];
    assert_eq!(sizes.map(|batch| batch.unwrap().changes.len()), [2, 1]);
}

#[tokio::test]
async fn a_panic_costs_its_group_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { store, mut batches, .. } = open(folder.path(), schema(), &defaults());
    store.commit(unit([project(1)])).await.unwrap();
    // A field that no entity has breaks the caller's side of the contract.
    let broken = unit([update("Project", 1, [(FieldIndex(99), Value::Null)])]);
    let (mate, broken) = tokio::join!(store.commit(unit([project(2)])), store.commit(broken));
    assert!(matches!(mate, Err(CommitError::Storage(_))));
    assert!(matches!(broken, Err(CommitError::Storage(_))));
    assert_eq!(store.commit(unit([project(2)])).await.unwrap().seq, Seq(2));
    assert_eq!(batches.recv().await.unwrap().last(), Seq(1));
    assert_eq!(batches.recv().await.unwrap().last(), Seq(2));
    let refused =
        SqliteStore::open(DatabaseFile::within(folder.path()), &schema(), &defaults(), Env::system());
    assert!(matches!(refused, Err(OpenError::InUse { .. })), "the lock outlives the panic");
}

#[tokio::test]
async fn a_long_chain_of_records_goes_in_one_delete() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), schema(), &StoreConfig { unit_entries: 20_000, ..defaults() });
    let chain = (1..=9_000).map(|n| task(n, (n > 1).then(|| (PARENT, link(n - 1)))));
    opened.store.commit(unit(chain)).await.unwrap();
    let gone = opened.store.commit(unit([delete("Task", 1)])).await.unwrap();
    assert_eq!(gone.seq, Seq(18_000));
    let page = opened.store.log(Seq(9_000), LogLimit { changes: 1, bytes: 1 }).now().unwrap();
    let deleted = changes(page);
    assert_eq!((deleted.len(), &deleted[0].id, &deleted[8_999].id), (9_000, &id(9_000), &id(1)));
}
