//! Random units on SQLite and on the memory model: the same outcomes, the same log, the same lists. Groups of units
//! reach SQLite at once, so that they share transactions, and the model one after the other.

mod rights;

use std::sync::Arc;

use futures_util::future::join_all;
use proptest::prelude::*;
use tidewire::config::StoreConfig;
use tidewire::ids::{Seq, Timestamp};
use tidewire::schema::{FieldIndex, Generation, Value};
use tidewire::store::{
    Change, ChangeOp, Column, CommitError, Condition, Count, Direction, Expand, LogPage, Op, Outcome, Query,
    Scope, SortBy, Test, Unit,
};

use crate::support::at_once::Now;
use crate::support::properties::stories;
use crate::support::studio::*;

/// Few enough ids that they meet all the time.
const IDS: std::ops::Range<u128> = 1..7;

/// Small enough that every bound is met, too.
fn config() -> StoreConfig {
    StoreConfig {
        unit_entries: 8,
        group_bytes: 4_000,
        group_ops: 5,
        cascade_records: 4,
        retention_changes: 30,
        trim_chunk: 7,
        idempotency_per_user: 4,
        ..StoreConfig::default()
    }
}

fn maybe_link() -> impl Strategy<Value = Value> {
    prop_oneof![2 => Just(Value::Null), 3 => IDS.prop_map(link)]
}

/// Few letters, so that texts begin with and hold one another; words, accents, no-words.
fn title() -> impl Strategy<Value = String> {
    "[aAb\u{e9}E\u{1f30a}\u{301} -]{0,4}"
}

fn task_field() -> impl Strategy<Value = (FieldIndex, Value)> {
    let title = prop_oneof![Just(Value::Null), title().prop_map(Value::Text)];
    let score = prop_oneof![Just(-0.0), Just(0.0), Just(1e300), -2.0..2.0f64].prop_map(Value::Float);
    prop_oneof![
        title.prop_map(|value| (TITLE, value)),
        prop_oneof![Just(Value::Null), (0..3i64).prop_map(Value::Int)].prop_map(|value| (PRIORITY, value)),
        score.prop_map(|value| (SCORE, value)),
        any::<bool>().prop_map(|flag| (DONE, Value::Bool(flag))),
        Just((TAGS, Value::Json("[1,{}]".to_owned()))),
        maybe_link().prop_map(|value| (PROJECT, value)),
        maybe_link().prop_map(|value| (PARENT, value)),
        maybe_link().prop_map(|value| (OWNER, value)),
        maybe_link().prop_map(|value| (REVIEWER, value)),
    ]
}

fn code() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), "[xyz]".prop_map(Value::Text)]
}

fn op() -> impl Strategy<Value = Op> {
    let fields = || prop::collection::vec(task_field(), 0..4);
    let version = prop_oneof![3 => Just(None), 1 => (1..4u64).prop_map(Some)];
    let entity = prop_oneof![Just("User"), Just("Project"), Just("Task"), Just("Task"), Just("Invoice")];
    let some = prop_oneof![
        3 => IDS.prop_map(user),
        3 => (IDS, code()).prop_map(|(n, code)| create("Project", n, vec![code])),
        8 => (IDS, fields()).prop_map(|(n, set)| task(n, set)),
        3 => (IDS, IDS).prop_map(|(n, to)| invoice(n, to)),
        5 => (IDS, fields()).prop_map(|(n, set)| update("Task", n, set)),
        2 => (IDS, code()).prop_map(|(n, code)| update("Project", n, [(FieldIndex(0), code)])),
        3 => (entity, IDS).prop_map(|(entity, n)| delete(entity, n)),
    ];
    (some, version).prop_map(|(op, version)| match version {
        Some(version) => at_version(op, version),
        None => op,
    })
}

fn some_unit() -> impl Strategy<Value = Unit> {
    let ops = prop_oneof![4 => prop::collection::vec(op(), 1..2), 2 => prop::collection::vec(op(), 0..5)];
    let mid = prop_oneof![3 => Just(None), 1 => ("[mnopqr]", 0..2u8).prop_map(Some)];
    (ops, mid).prop_map(|(ops, mid)| match mid {
        Some((mid, request)) => named(&mid, request, ops),
        None => unit(ops),
    })
}

/// A question that can be asked of a column, with values that occur.
fn condition() -> impl Strategy<Value = Condition> {
    let null = (0..9usize, any::<bool>()).prop_map(|(at, wanted)| (FieldIndex(at), Test::Null(wanted)));
    let part = (title(), prop::sample::select(vec![Test::Contains, Test::Starts, Test::Ends]));
    let part = part.prop_map(|(part, test)| test(part));
    let compared =
        (task_field(), 0..6usize).prop_filter_map("null is asked otherwise", |((field, value), at)| {
            let ordered = matches!(value, Value::Int(_) | Value::Float(_)) || field == TITLE;
            let value = Some(value).filter(|value| !value.is_null() && field != TAGS)?;
            let tests = [Test::Eq, Test::Ne, Test::Lt, Test::Lte, Test::Gt, Test::Gte];
            Some((field, tests[if ordered { at } else { at % 2 }](value)))
        });
    let among = prop::collection::vec(maybe_link(), 0..4)
        .prop_map(|links| (PROJECT, Test::In(links.into_iter().filter(|link| !link.is_null()).collect())));
    let on_field =
        prop_oneof![4 => compared, 2 => null, 2 => part.prop_map(|test| (TITLE, test)), 1 => among];
    let on_system = prop_oneof![
        IDS.prop_map(|n| Condition::new(Column::Id, Test::Gt(link(n)))),
        (1..4i64).prop_map(|n| Condition::new(Column::Version, Test::Ne(Value::Int(n)))),
        (0..9i64).prop_map(|n| Condition::new(Column::UpdatedAt, Test::Lte(Value::Int(NOON.0 + n)))),
    ];
    prop_oneof![
        6 => on_field.prop_map(|(field, test)| Condition::new(Column::Field(field), test)),
        1 => on_system,
    ]
}

fn search() -> impl Strategy<Value = Vec<String>> {
    let word = "[aAb\u{e9}E-]{0,2}[abe][\"*:(^-]?";
    prop_oneof![4 => Just(vec![]), 1 => prop::collection::vec(word, 1..3)]
}

/// Over every reference, two and three deep.
fn expand() -> Vec<Expand> {
    let of = |field, then| Expand { field, then };
    let owner = || of(OWNER, vec![]);
    vec![of(PROJECT, vec![]), of(PARENT, vec![owner(), of(PARENT, vec![owner()])]), owner()]
}

fn count() -> impl Strategy<Value = Count> {
    let group = prop_oneof![
        Just(None),
        Just(Some(Column::Version)),
        (0..9usize).prop_map(|at| Some(Column::Field(FieldIndex(at)))),
    ];
    (prop::collection::vec(condition(), 0..3), search(), group).prop_map(|(filter, search, group)| Count {
        entity: "Task".into(),
        generation: Generation(1),
        who: tidewire::store::Who::System,
        filter,
        search,
        group,
    })
}

fn query() -> impl Strategy<Value = Query> {
    let column = prop_oneof![
        Just(Column::Id),
        Just(Column::Version),
        Just(Column::UpdatedAt),
        // Nothing is equal to a json value, and no list is sorted by one.
        (0..9usize).prop_filter("json", |at| *at != TAGS.0).prop_map(|at| Column::Field(FieldIndex(at))),
    ];
    let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
    let sort = prop::collection::vec(
        (column, direction).prop_map(|(column, direction)| SortBy { column, direction }),
        0..4,
    );
    let filter = prop::collection::vec(condition(), 0..3);
    let room = (1..5usize, prop_oneof![Just(usize::MAX), 1..1_500usize]);
    (sort, filter, search(), room, any::<bool>()).prop_map(|(sort, filter, search, (limit, bytes), deep)| {
        let expand = if deep { expand() } else { vec![] };
        Query { sort, filter, search, bytes, expand, ..Query::all("Task", Generation(1), limit) }
    })
}

/// An outcome without its epoch, which is each store's own.
fn told(outcome: Result<Outcome, CommitError>) -> impl PartialEq + std::fmt::Debug {
    outcome.map(|outcome| (outcome.seq, outcome.results, outcome.replayed))
}

fn same_log(sqlite: &Studio, memory: &Studio) {
    let head = memory.store.head().now().unwrap();
    let real = sqlite.store.head().now().unwrap();
    // A group is trimmed once, its units in the model one by one: SQLite's floor may lag, and never leads.
    assert!(real.floor <= head.floor, "{} {}", real.floor, head.floor);
    assert_eq!(real.seq, head.seq);
    assert_eq!(sqlite.log(head.floor.0), memory.log(head.floor.0));
    if real.floor > Seq::ZERO {
        assert_eq!(sqlite.store.log(Seq(real.floor.0 - 1), ALL).now().unwrap().value, LogPage::BelowFloor);
    }
}

fn same_lists(sqlite: &Studio, memory: &Studio, query: &Query) {
    let mut page = query.clone();
    for _ in 0..10 {
        let (real, model) =
            (sqlite.store.list(&page).now().unwrap().value, memory.store.list(&page).now().unwrap().value);
        assert_eq!(real, model, "{page:?}");
        let Some(last) = real.rows.into_iter().next_back() else { return };
        page.after = Some(last.cursor());
    }
    panic!("the pages do not end: {query:?}");
}

fn same_surveys(sqlite: &Studio, memory: &Studio) {
    for scope in [Scope::Entity("Task".into()), Scope::Record("Task".into(), id(2))] {
        let [real, model] = [sqlite, memory].map(|studio| {
            let head = studio.store.head().now().unwrap();
            let since =
                tidewire::ids::Position { epoch: head.epoch, seq: memory.store.head().now().unwrap().floor };
            studio.store.survey(Some(&scope), &since).now().unwrap().value
        });
        assert_eq!(real, model, "{scope:?}");
    }
}

/// A batch names whose rights a change concerns, which the log does not hold. Here these are only users who come and go: no rule
/// asks for anything.
fn without_rights(change: &Arc<Change>) -> Arc<Change> {
    let comes_or_goes = &*change.entity == "User" && change.op != ChangeOp::Update;
    let concerned = if comes_or_goes { vec![change.id.shared()] } else { Vec::new() };
    assert_eq!(change.rights, concerned, "{change:?}");
    Arc::new(Change { rights: Vec::new(), ..(**change).clone() })
}

proptest! {
    #![proptest_config(stories(48))]

    #[test]
    fn sqlite_does_what_the_model_does(
        groups in prop::collection::vec(prop::collection::vec(some_unit(), 1..6), 1..16),
        queries in prop::collection::vec(query(), 32),
        counts in prop::collection::vec(count(), 16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut sqlite, memory) = (Studio::sqlite(&config()), Studio::memory(&config()));
            let mut published = Vec::new();
            for (time, group) in (0..).zip(groups) {
                let timed = |unit: &Unit| Unit { at: Timestamp(NOON.0 + time), ..unit.clone() };
                let real = join_all(group.iter().map(|unit| sqlite.store.commit(timed(unit)))).await;
                for (unit, real) in group.iter().zip(real) {
                    let model = memory.store.commit(timed(unit)).await;
                    assert_eq!(told(real), told(model), "{unit:?}");
                }
                same_log(&sqlite, &memory);
                same_surveys(&sqlite, &memory);
                while published.len() < sqlite.head() as usize {
                    published.extend(sqlite.batches.next().await.changes.iter().cloned());
                }
                let floor = sqlite.store.head().now().unwrap().floor.0;
                let announced = published[floor as usize..].iter().map(without_rights);
                assert_eq!(announced.collect::<Vec<_>>(), sqlite.log(floor));
            }
            queries.iter().for_each(|query| same_lists(&sqlite, &memory, query));
            for count in &counts {
                let (real, model) = (sqlite.store.count(count).now().unwrap(), memory.store.count(count).now().unwrap());
                assert_eq!(real.value, model.value, "{count:?}");
            }
        });
    }
}
