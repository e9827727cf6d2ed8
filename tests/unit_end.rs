//! What is judged at the end of a unit: unique values, and deletes that other records forbid. Random
//! units hold SQLite and the memory model together; the last stories go through the whole server.
//!
//! What every backend owes is in `store_conformance/unit_ends.rs`.

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::schema::Value;
use tidewire::store::{CommitError, Op, Outcome, Store, Unit};

use crate::support::app::{Client, TestApp};
use crate::support::follower::Follower;
use crate::support::properties::stories;
use crate::support::seats::*;
use crate::support::socket::Socket;
use crate::support::studio::{Studio, create, delete, id, link, named, open, unit, update};

/// Red if a failed unit takes its mates with it, or leaves something behind.
#[tokio::test]
async fn a_unit_that_fails_at_its_end_does_not_affect_its_group() {
    let studio = Studio::sqlite_over(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), ticket(7, 1)]).await.unwrap();
    let wrong = || named("again", 1, [seat(8, "a", 8), code(2, "y"), delete("Ticket", 7)]);
    let units = [
        unit([seat(3, "c", 3), seat(4, "d", 4)]),
        wrong(),
        unit([code(1, "b"), code(2, "a")]),
        unit([delete("Seat", 1), seat(9, "z", 9)]),
        unit([seat(5, "e", 5)]),
    ];
    let outcomes = join_all(units.into_iter().map(|unit| studio.store.commit(unit))).await;
    let seqs: Vec<Result<u64, CommitError>> =
        outcomes.into_iter().map(|outcome| outcome.map(|outcome| outcome.seq.0)).collect();
    let restricted = CommitError::Restricted { op: 0, entity: Some("Ticket".into()) };
    assert_eq!(seqs, [Ok(5), Err(not_unique(0, "code")), Ok(8), Err(restricted), Ok(9)]);
    assert_eq!((studio.json("Seat", &id(8)), studio.json("Seat", &id(9))), (None, None));
    // Its mutation id is free, and its values are.
    studio.commit([code(2, "q")]).await.unwrap();
    assert!(!studio.store.commit(wrong()).await.unwrap().replayed);
}

fn some_op() -> impl Strategy<Value = Op> {
    const IDS: std::ops::Range<u128> = 1..5;
    let text = || prop_oneof![1 => Just(Value::Null), 6 => "[abcd]".prop_map(Value::Text)];
    let int = || prop_oneof![1 => Just(Value::Null), 6 => (1..5i64).prop_map(Value::Int)];
    let to = || prop_oneof![2 => Just(Value::Null), 3 => IDS.prop_map(link)];
    prop_oneof![
        4 => (IDS, text(), int(), to()).prop_map(|(n, code, rank, to)| create("Seat", n, vec![code, rank, to])),
        3 => (IDS, to(), int()).prop_map(|(n, to, number)| create("Ticket", n, vec![to, Value::Null, number])),
        1 => (IDS, to()).prop_map(|(n, to)| create("Note", n, vec![to])),
        5 => (IDS, text()).prop_map(|(n, code)| update("Seat", n, [(CODE, code)])),
        4 => (IDS, text(), int()).prop_map(|(n, code, rank)| update("Seat", n, [(CODE, code), (RANK, rank)])),
        3 => (IDS, to()).prop_map(|(n, to)| update("Seat", n, [(NEXT, to)])),
        2 => (IDS, to()).prop_map(|(n, to)| update("Ticket", n, [(SEAT, to)])),
        2 => (IDS, int()).prop_map(|(n, number)| update("Ticket", n, [(NUMBER, number)])),
        5 => IDS.prop_map(|n| delete("Seat", n)),
        3 => IDS.prop_map(|n| delete("Ticket", n)),
    ]
}

/// Exchanges and circles, which random operations would seldom complete.
fn some_unit() -> impl Strategy<Value = Vec<Op>> {
    let order = || Just((1..5u128).collect::<Vec<_>>()).prop_shuffle();
    let codes = || Just(vec!["a", "b", "c", "d"]).prop_shuffle();
    let passed = (order(), codes(), 1..5usize).prop_map(|(ids, codes, count)| {
        ids.into_iter().zip(codes).take(count).map(|(n, text)| code(n, text)).collect()
    });
    let all = (order(), any::<bool>()).prop_map(|(ids, tickets)| {
        let tickets = (1..5).filter(move |_| tickets).map(|n| delete("Ticket", n));
        ids.into_iter().map(|n| delete("Seat", n)).chain(tickets).collect()
    });
    let whole = (order(), codes(), order()).prop_map(|(ids, codes, to)| {
        let seats = ids.iter().zip(codes).map(|(n, text)| seat(*n, text, *n as i64));
        seats.chain(ids.iter().zip(to).map(|(n, to)| next(*n, to))).collect()
    });
    prop_oneof![
        4 => prop::collection::vec(some_op(), 1..2),
        6 => prop::collection::vec(some_op(), 2..7),
        3 => passed,
        2 => all,
        2 => whole,
    ]
}

fn told(outcome: &Result<Outcome, CommitError>) -> impl PartialEq + std::fmt::Debug + '_ {
    outcome.as_ref().map(|outcome| (outcome.seq, &outcome.results))
}

proptest! {
    #![proptest_config(stories(96))]

    #[test]
    fn random_units_end_alike_on_sqlite_and_on_the_model(
        groups in prop::collection::vec(prop::collection::vec(some_unit(), 1..5), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = StoreConfig { cascade_records: 3, unit_entries: 9, ..StoreConfig::default() };
            let (sqlite, memory) = (Studio::sqlite_over(schema(), &config), Studio::memory_over(schema(), &config));
            for group in groups {
                let units: Vec<Unit> = group.into_iter().map(unit).collect();
                let real = join_all(units.iter().map(|unit| sqlite.store.commit(unit.clone()))).await;
                for (unit, real) in units.into_iter().zip(real) {
                    let model = memory.store.commit(unit.clone()).await;
                    assert_eq!(told(&real), told(&model), "{unit:?}");
                }
                assert_eq!(sqlite.log(0), memory.log(0));
            }
        });
    }
}

/// Tables of the first formats have UNIQUE indexes, which judge every statement.
#[tokio::test]
async fn a_database_with_unique_indexes_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig::default();
    let commit = async |opened: &crate::support::studio::Opened, ops: Vec<Op>| {
        opened.store.commit(Unit { generation: opened.generation, ..unit(ops) }).await
    };
    let first = open(folder.path(), schema(), &config);
    commit(&first, vec![seat(1, "a", 1), seat(2, "b", 2)]).await.unwrap();
    first.store.close().await;
    let raw = rusqlite::Connection::open(folder.path().join("tidewire.db")).unwrap();
    raw.execute_batch(
        r#"DROP INDEX "seats:code"; CREATE UNIQUE INDEX "seats!code" ON "seats" ("code"); UPDATE "_meta" SET "format" = 3"#,
    )
    .unwrap();
    drop(raw);

    let second = open(folder.path(), schema(), &config);
    assert_eq!(
        (second.generation, &second.report.added_indexes[..]),
        (first.generation, &["seats:code".to_owned()][..])
    );
    commit(&second, vec![code(1, "b"), code(2, "a")]).await.unwrap();
    assert_eq!(commit(&second, vec![seat(3, "a", 3)]).await, Err(not_unique(0, "code")));
    second.store.close().await;
}

/// Items with unique codes, and boxes that only admins may see.
async fn app() -> TestApp {
    const OPEN: &str = "create = 'true'\nupdate = 'true'\ndelete = 'true'\n";
    let folder = tempfile::tempdir().unwrap();
    let item = "entity = 'Item'\n[fields]\ncode = { type = 'text', unique = true }\n\
        partner = { type = 'ref', entity = 'Item' }\n[access]\nread = 'true'\n";
    let crate_ = "entity = 'Box'\nplural = 'boxes'\n[fields]\nitem = { type = 'ref', entity = 'Item' }\n\
        [access]\nread = \"user.role == 'admin'\"\n";
    std::fs::write(folder.path().join("item.toml"), format!("{item}{OPEN}")).unwrap();
    std::fs::write(folder.path().join("box.toml"), format!("{crate_}{OPEN}")).unwrap();
    let loaded = tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
    TestApp::over(loaded.schema.into(), |_| {}).await
}

fn change(n: u128, data: Json) -> Json {
    json!({"op": "update", "entity": "Item", "id": id(n), "data": data})
}

async fn batch(client: &Client, ops: Vec<Json>) -> (u16, Json) {
    client.any("POST", "/api/batch", json!({"ops": ops})).await
}

async fn items(client: &Client) {
    for (n, code) in [(1, "a"), (2, "b"), (3, "c")] {
        client.create("items", json!({"id": id(n), "code": code})).await;
    }
}

#[tokio::test]
async fn a_batch_that_exchanges_values_reaches_subscribers_as_one_unit() {
    let app = app().await;
    let ann = app.client_as("ann");
    items(&ann).await;
    let (mut socket, mut follower) = (Socket::open(app.address).await, Follower::new("entity:Item"));
    socket.send(&follower.subscribe()).await;
    while !follower.live {
        follower.take(&socket.frame().await);
    }
    let ops = vec![change(1, json!({"code": "b"})), change(2, json!({"code": "a"}))];
    let (status, answer) = batch(&ann, ops).await;
    assert_eq!((status, &answer["results"][0]["record"]["code"]), (200, &json!("b")), "{answer}");
    for more in [true, false] {
        let frame = socket.frame().await;
        assert_eq!(frame["more"] == true, more, "{frame}");
        follower.take(&frame);
    }
    socket.nothing_else().await;
    assert_eq!(follower.rows, app.rows("items").await);
}

#[tokio::test]
async fn a_refused_batch_names_the_operation_and_no_hidden_record() {
    let app = app().await;
    let ann = app.client_as("ann");
    items(&ann).await;
    ann.create("boxes", json!({"id": id(77), "item": id(3)})).await;
    let head = app.head();
    let remove = |n: u128| json!({"op": "delete", "entity": "Item", "id": id(n)});

    let (status, answer) =
        batch(&ann, vec![change(1, json!({"code": "x"})), change(2, json!({"code": "c"}))]).await;
    assert_eq!((status, &answer["code"], &answer["op"]), (409, &json!("NOT_UNIQUE"), &json!(1)), "{answer}");
    let (status, answer) = batch(&ann, vec![remove(1), remove(3), remove(2)]).await;
    assert_eq!((status, &answer["code"], &answer["op"]), (409, &json!("RESTRICTED"), &json!(1)), "{answer}");
    let text = answer.to_string();
    assert!(!text.contains("Box") && !text.contains(id(77).as_str()), "{text}");
    assert_eq!(app.head(), head);

    let circle = vec![change(1, json!({"partner": id(2)})), change(2, json!({"partner": id(1)}))];
    assert_eq!(batch(&ann, circle).await.0, 200);
    assert_eq!(batch(&ann, vec![remove(1)]).await.1["code"], "RESTRICTED");
    assert_eq!(batch(&ann, vec![remove(1), remove(2)]).await.0, 200);
    assert_eq!(ann.rows("items").await.len(), 1);
}
