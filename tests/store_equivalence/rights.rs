//! Random units of persons under rules, on SQLite and on the memory model: the same outcomes, leases, principals, lists,
//! counts, histories, differences and rights entries for every user.

use std::sync::Arc;

use futures_util::future::join_all;
use proptest::prelude::*;
use tidewire::config::StoreConfig;
use tidewire::ids::{RecordId, Seq, Timestamp};
use tidewire::rules::{Asker, Condition, Person, Test};
use tidewire::schema::{
    Column, EntityName, Expr, FieldIndex, Generation, History, RecordSearch, Schema, SearchKey, Term, Value,
};
use tidewire::store::{
    ActivityPage, ActivityQuery, ActivitySight, Count, Differ, Direction, Expand, LeaseAct, LeaseOp,
    LeaseProof, LogLimit, Op, Query, RecordLease, Scope, SortBy, Unit, Who,
};

use super::told;
use crate::support::at_once::Now;
use crate::support::club::{self, OF_PROJECT, OF_ROLE, OF_USER, OWNER, PROJECT, SECRET, STATUS, TITLE};
use crate::support::properties::stories;
use crate::support::studio::{NOON, Studio, at_version, create, id, link, named, unit, words};

const PEOPLE: [&str; 4] = ["ada", "bo", "cy", "root"];
const ENTITIES: [&str; 7] = ["User", "Project", "Membership", "Task", "Comment", "Ledger", "Bill"];

/// The club's schema, with leases that are required, histories, a searched title, a unique text, numbered tasks, rules for lists and write rules that look further; two
/// memberships refer to the same person.
fn schema() -> Schema {
    Schema::new(club::further(&club::schema()).entities().map(|entity| {
        let mut entity = (**entity).clone();
        match &*entity.name {
            "Task" => {
                club::numbered(&mut entity);
                entity.history = Some(History::Forever);
                entity.fields[TITLE.0].search = true;
                let open = club::equal(club::own(STATUS), club::says("open"));
                entity.access.list = club::rule(Expr::Any(vec![open, club::mine(OWNER)]));
                let projects = club::of_my_projects(club::own(PROJECT));
                entity.access.create = club::rule(Expr::All(vec![projects, Expr::Not(Box::new(twin()))]));
            }
            "Comment" => {
                entity.history = Some(History::Forever);
                entity.fields[2].unique = true;
            }
            // By a rule of its own that asks for records of the person.
            "Bill" => {
                let editor = club::equal(Term::Element(Column::Field(OF_ROLE)), club::says("editor"));
                entity.access.list =
                    club::rule(Expr::Exists("Membership".into(), "m".into(), Box::new(editor)));
            }
            "Ledger" => entity.lease_required = true,
            _ => {}
        }
        entity
    }))
}

/// `exists(Task, t, t.project == project && t.title == title)`: of a create, among those that were there before it.
fn twin() -> Expr {
    let same = |field| club::equal(Term::Element(Column::Field(field)), club::own(field));
    let keys = vec![SearchKey { column: Column::Field(PROJECT), value: club::own(PROJECT) }];
    let condition = Expr::All(vec![same(PROJECT), same(TITLE)]);
    Expr::Search(Box::new(RecordSearch { entity: "Task".into(), name: "m".into(), keys, condition }))
}

/// Small enough that bounds are met.
fn config() -> StoreConfig {
    StoreConfig { unit_entries: 12, cascade_records: 6, group_ops: 5, ..StoreConfig::default() }
}

fn number(entity: &'static str) -> impl Strategy<Value = u128> {
    match entity {
        "Project" => 1..4u128,
        "Membership" => 11..17u128,
        "Task" => 21..27u128,
        "Comment" => 41..45u128,
        _ => 61..64u128,
    }
}

fn name() -> impl Strategy<Value = Value> {
    prop_oneof![5 => prop::sample::select(&PEOPLE[..]).prop_map(words), 1 => Just(Value::Null)]
}

fn to(entity: &'static str) -> impl Strategy<Value = Value> {
    prop_oneof![8 => number(entity).prop_map(link), 1 => Just(Value::Null)]
}

fn text() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 6 => "[ab]{1,2}".prop_map(Value::Text)]
}

fn status() -> impl Strategy<Value = Value> {
    prop::sample::select(&["open", "done"][..]).prop_map(words)
}

/// A field of an entity with a value for it.
fn field(entity: &'static str) -> BoxedStrategy<(FieldIndex, Value)> {
    let role = || prop_oneof![Just(words("editor")), Just(words("viewer"))];
    let admin = prop_oneof![2 => Just(Value::Null), 1 => Just(words("admin"))];
    let of = |field: FieldIndex, value: BoxedStrategy<Value>| value.prop_map(move |value| (field, value));
    match entity {
        "Task" => prop_oneof![
            of(TITLE, text().boxed()),
            of(PROJECT, to("Project").boxed()),
            of(OWNER, name().boxed()),
            of(SECRET, text().boxed()),
            of(STATUS, status().boxed()),
        ]
        .boxed(),
        "Membership" => prop_oneof![
            of(OF_USER, name().boxed()),
            of(OF_PROJECT, to("Project").boxed()),
            of(OF_ROLE, role().boxed()),
            of(FieldIndex(3), text().boxed()),
        ]
        .boxed(),
        "Comment" => prop_oneof![
            of(FieldIndex(0), to("Task").boxed()),
            of(FieldIndex(1), to("Project").boxed()),
            of(FieldIndex(2), text().boxed()),
        ]
        .boxed(),
        "User" => prop_oneof![
            2 => of(FieldIndex(0), text().boxed()),
            1 => of(FieldIndex(1), admin.boxed()),
            1 => of(FieldIndex(2), prop::bool::weighted(0.3).prop_map(Value::Bool).boxed()),
        ]
        .boxed(),
        "Project" => of(FieldIndex(0), text().boxed()).boxed(),
        _ => of(FieldIndex(0), to("Task").boxed()).boxed(),
    }
}

fn record_id(entity: &'static str) -> BoxedStrategy<RecordId> {
    match entity {
        "User" => prop::sample::select(&PEOPLE[..]).prop_map(RecordId::stored).boxed(),
        entity => number(entity).prop_map(id).boxed(),
    }
}

fn fields(entity: &str) -> usize {
    schema().entity(entity).unwrap().fields.len()
}

fn op() -> impl Strategy<Value = Op> {
    const OFTEN: [&str; 12] = [
        "Task",
        "Task",
        "Task",
        "Task",
        "Comment",
        "Comment",
        "Membership",
        "Membership",
        "Project",
        "User",
        "Bill",
        "Ledger",
    ];
    let version = prop_oneof![5 => Just(None), 1 => (1..4u64).prop_map(Some)];
    let op = prop::sample::select(&OFTEN[..]).prop_flat_map(|entity| {
        let set = |most| prop::collection::vec(field(entity), 0..most);
        let create = (record_id(entity), set(6)).prop_map(move |(id, set)| {
            let mut values = vec![Value::Null; fields(entity)];
            set.into_iter().for_each(|(field, value)| values[field.0] = value);
            Op::Create { entity: entity.into(), id, values, fresh_id: false }
        });
        let update = (record_id(entity), set(4), any::<bool>()).prop_map(move |(id, set, is_put)| {
            let omitted = if is_put { set.iter().map(|(field, _)| *field).take(1).collect() } else { vec![] };
            Op::Update { entity: entity.into(), id, set, omitted, if_version: None }
        });
        let delete =
            record_id(entity).prop_map(move |id| Op::Delete { entity: entity.into(), id, if_version: None });
        prop_oneof![4 => create, 4 => update, 1 => delete]
    });
    (op, version).prop_map(|(op, version)| match version {
        Some(version) => at_version(op, version),
        None => op,
    })
}

fn person() -> impl Strategy<Value = Arc<Person>> {
    let known = |role: Option<&str>| {
        let role: Option<Arc<str>> = role.map(Into::into);
        move |name: &str| Arc::new(Person { id: Some(name.into()), role: role.clone(), ..Person::default() })
    };
    prop_oneof![
        8 => prop::sample::select(&PEOPLE[..]).prop_map(known(None)),
        1 => prop::sample::select(&PEOPLE[..]).prop_map(known(Some("admin"))),
        1 => Just(Arc::default()),
    ]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![1 => Just(Who::System), 9 => person().prop_map(Who::Person)]
}

/// A number that some lease may have.
fn fence() -> impl Strategy<Value = u64> {
    1..8u64
}

/// What is wanted of the lease of a record. Few entities, so that leases and writes meet. Some leases end within a story.
fn lease_op() -> impl Strategy<Value = Op> {
    let until = || (0..25i64).prop_map(|after| Timestamp(NOON.0 + after));
    let to = prop::sample::select(&PEOPLE[..])
        .prop_map(|name| Arc::new(Person { id: Some(name.into()), ..Person::default() }));
    let act = prop_oneof![
        6 => until().prop_map(|until| LeaseAct::Acquire { until }),
        2 => (fence(), until()).prop_map(|(fence, until)| LeaseAct::Renew { fence, until }),
        2 => (fence(), to, until()).prop_map(|(fence, to, until)| LeaseAct::Pass { fence, to, until }),
        1 => fence().prop_map(|fence| LeaseAct::Release { fence }),
        1 => prop::option::of(fence()).prop_map(|fence| LeaseAct::End { fence }),
    ];
    let leased = prop::sample::select(&["Task", "Task", "Ledger"][..]);
    leased.prop_flat_map(|entity| record_id(entity).prop_map(move |id| (entity, id))).prop_flat_map(
        move |(entity, id)| {
            let of = move |act| LeaseOp { entity: entity.into(), id: id.clone(), act };
            act.clone().prop_map(move |act| Op::Lease(Box::new(of(act))))
        },
    )
}

fn some_unit() -> impl Strategy<Value = Unit> {
    let asker = || prop_oneof![1 => Just(Asker::System), 4 => person().prop_map(Asker::Person)];
    let ops = prop_oneof![4 => prop::collection::vec(op(), 1..2), 3 => prop::collection::vec(op(), 2..6)];
    let mid = prop_oneof![5 => Just(None), 1 => "[mn]".prop_map(Some)];
    let proof = prop::option::weighted(0.15, (0..2usize, fence()));
    let writes = (asker(), ops, mid, proof).prop_map(|(asker, ops, mid, proof)| {
        let unit = match mid {
            Some(mid) => named(&mid, 1, ops),
            None => unit(ops),
        };
        let leases = proof.map(|(op, fence)| LeaseProof { op, fence }).into_iter().collect();
        Unit { asker, leases, ..unit }
    });
    let leases = (asker(), lease_op()).prop_map(|(asker, op)| Unit { asker, ..unit([op]) });
    prop_oneof![4 => writes, 1 => leases]
}

fn condition(entity: &'static str) -> impl Strategy<Value = Condition> {
    (field(entity), 0..4usize).prop_map(|((field, value), at)| {
        let test = match (value, at) {
            (Value::Null, at) => Test::Null(at % 2 == 0),
            (value, 0) => Test::Ne(value),
            (value, 1) => Test::In(vec![value]),
            (value, _) => Test::Eq(value),
        };
        Condition::new(Column::Field(field), test)
    })
}

fn filter(entity: &'static str) -> impl Strategy<Value = Vec<Condition>> {
    prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(condition(entity), 1..3)]
}

fn entity() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("Task"), 2 => Just("Comment"), 3 => prop::sample::select(&ENTITIES[..])]
}

fn column(entity: &'static str) -> impl Strategy<Value = Column> {
    prop_oneof![
        1 => Just(Column::Version),
        1 => Just(Column::UpdatedAt),
        3 => (0..fields(entity)).prop_map(|at| Column::Field(FieldIndex(at))),
    ]
}

fn search(entity: &'static str) -> impl Strategy<Value = Vec<String>> {
    let some = if entity == "Task" { 1 } else { 0 };
    prop_oneof![4 => Just(vec![]), some => "[ab]".prop_map(|word| vec![word])]
}

/// Over references that may be hidden, to records that may be.
fn expand(entity: &str) -> Vec<Expand> {
    let of = |field, then| Expand { field, then };
    match entity {
        "Task" => vec![of(PROJECT, vec![]), of(OWNER, vec![])],
        "Comment" => vec![of(FieldIndex(0), vec![of(PROJECT, vec![]), of(OWNER, vec![])])],
        "Membership" => vec![of(OF_USER, vec![])],
        _ => vec![],
    }
}

fn query() -> impl Strategy<Value = Query> {
    entity().prop_flat_map(|entity| {
        let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
        let sort = prop::collection::vec(
            (column(entity), direction).prop_map(|(column, direction)| SortBy { column, direction }),
            0..3,
        );
        let room = (1..5usize, prop_oneof![Just(usize::MAX), 1..900usize]);
        (who(), sort, filter(entity), search(entity), room, any::<bool>()).prop_map(
            move |(who, sort, filter, search, (limit, bytes), deep)| {
                let expand = if deep { expand(entity) } else { vec![] };
                Query { who, sort, filter, search, bytes, expand, ..Query::all(entity, Generation(1), limit) }
            },
        )
    })
}

fn count() -> impl Strategy<Value = Count> {
    entity().prop_flat_map(|entity| {
        let group = prop_oneof![Just(None), column(entity).prop_map(Some)];
        (who(), filter(entity), search(entity), group).prop_map(move |(who, filter, search, group)| Count {
            entity: entity.into(),
            generation: Generation(1),
            who,
            filter,
            search,
            group,
        })
    })
}

/// A user subscribes before some group, and asks for the difference at the end.
#[derive(Debug, Clone)]
struct Watch {
    before: prop::sample::Index,
    person: Arc<Person>,
    scope: Scope,
    filter: Vec<Condition>,
    limit: LogLimit,
}

fn watch() -> impl Strategy<Value = Watch> {
    let entity =
        prop_oneof![3 => Just("Task"), 1 => Just("Comment"), 1 => Just("Membership"), 1 => Just("User")];
    let limit = (
        prop_oneof![4 => Just(usize::MAX), 1 => 0..3usize],
        prop_oneof![4 => Just(usize::MAX), 1 => 1..900usize],
    );
    entity.prop_flat_map(move |entity| {
        let one = record_id(entity).prop_map(move |id| Scope::Record(entity.into(), id));
        let scope = prop_oneof![3 => Just(Scope::Entity(entity.into())), 1 => one];
        (any::<prop::sample::Index>(), person(), scope, filter(entity), limit.clone()).prop_map(
            |(before, person, scope, filter, (changes, bytes))| Watch {
                before,
                person,
                scope,
                filter,
                limit: LogLimit { changes, bytes },
            },
        )
    })
}

/// The question of a subscriber at the stores' position; `None` where a rule fails for them.
fn standing(studios: [&Studio; 2], schema: &Schema, watch: &Watch) -> Option<Differ> {
    let [real, model] = studios.map(|studio| studio.store.principal(&watch.person).now().unwrap());
    assert_eq!((&real.value, real.seq), (&model.value, model.seq));
    let entity = schema.entity(watch.scope.entity()).unwrap();
    let old = watch.scope.bind(entity, Generation(1), &real.value).ok()?.through(watch.filter.clone());
    let (person, scope, filter) = (watch.person.clone(), watch.scope.clone(), watch.filter.clone());
    Some(Differ { person, scope, old: Arc::new(old), filter, since: real.seq, limit: watch.limit })
}

/// Without the name of the read scope, which the model does not make; with it the same rows are read again.
fn same_lists([sqlite, memory]: [&Studio; 2], query: &Query) {
    let mut page = query.clone();
    for _ in 0..12 {
        let real = sqlite.store.list(&page).now().map(|at| at.value);
        let model = memory.store.list(&page).now().map(|at| at.value);
        let scope = real.as_ref().ok().and_then(|page| page.read_scope.clone());
        let plain = real.map(|page| tidewire::store::ListPage { read_scope: None, ..page });
        assert_eq!(plain, model, "{page:?}");
        if let Some(scope) = scope.filter(|_| page.expand.is_empty()) {
            let bound = Query { who: Who::ReadScope(scope), filter: vec![], ..page.clone() };
            let rows = |studio: &Studio| studio.store.list(&bound).now().map(|at| at.value.rows);
            let expected = plain.as_ref().unwrap().rows.clone();
            assert_eq!((rows(sqlite), rows(memory)), (Ok(expected.clone()), Ok(expected)), "{page:?}");
        }
        let Some(last) = plain.ok().and_then(|mut page| page.rows.pop()) else { return };
        page.after = Some(last.cursor());
    }
    panic!("the pages do not end: {query:?}");
}

fn same_records([sqlite, memory]: [&Studio; 2], who: &Who) {
    let limit = LogLimit { changes: 2, bytes: usize::MAX };
    let ids = (21..27).map(|n| ("Task", id(n))).chain((41..45).map(|n| ("Comment", id(n))));
    for (entity, id) in ids.chain(PEOPLE.map(|name| ("User", RecordId::stored(name)))) {
        let found = |studio: &Studio| studio.store.find(entity, &id, who).now().map(|at| at.value);
        assert_eq!(found(sqlite), found(memory), "{entity} {id:?} {who:?}");
        let mut before: Option<Seq> = None;
        loop {
            let past = |studio: &Studio| {
                studio.store.history(entity, &id, who, before, limit).now().map(|at| at.value)
            };
            let (real, model) = (past(sqlite), past(memory));
            assert_eq!(real, model, "{entity} {id:?} {who:?} before {before:?}");
            let Ok(Some(page)) = real else { break };
            before = page.changes.last().map(|change| change.seq);
            if !page.more {
                break;
            }
        }
    }
}

fn same_activity([sqlite, memory]: [&Studio; 2], who: &Who) {
    for entities in [None, Some(vec!["Task".into(), "Comment".into()])] {
        let sight = ActivitySight::Of { who: who.clone(), entities };
        let mut query = ActivityQuery { sight, before: None, limit: 3 };
        loop {
            let page = |studio: &Studio| {
                let page = studio.store.activity(&query).now().map(|at| at.value);
                page.map(|page| ActivityPage { scope: None, ..page })
            };
            let (real, model) = (page(sqlite), page(memory));
            assert_eq!(real, model, "{query:?}");
            let Ok(ActivityPage { next: Some(next), .. }) = real else { break };
            query.before = Some(next);
        }
    }
}

fn same_rights([sqlite, memory]: [&Studio; 2]) {
    for (name, entity) in PEOPLE.iter().flat_map(|name| ENTITIES.map(|entity| (name, entity))) {
        let entities: [EntityName; 1] = [entity.into()];
        let last = |studio: &Studio| studio.store.rights_changed(name, &entities).now().unwrap();
        assert_eq!(last(sqlite), last(memory), "{name} {entity}");
    }
}

proptest! {
    #![proptest_config(stories(48))]

    #[test]
    fn every_user_writes_and_sees_the_same_on_sqlite_and_on_the_model(
        groups in prop::collection::vec(prop::collection::vec(some_unit(), 1..5), 4..14),
        watches in prop::collection::vec(watch(), 6),
        queries in prop::collection::vec(query(), 24),
        counts in prop::collection::vec(count(), 12),
        looks in prop::collection::vec(who(), 2),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let schema = schema();
            let (mut sqlite, mut memory) =
                (Studio::sqlite_over(schema.clone(), &config()), Studio::memory_over(schema.clone(), &config()));
            for op in first() {
                sqlite.commit([op.clone()]).await.unwrap();
                memory.commit([op]).await.unwrap();
            }
            let mut asked: Vec<Differ> = Vec::new();
            for (time, group) in (0..).zip(&groups) {
                let both = [&sqlite, &memory];
                let now = watches.iter().filter(|watch| watch.before.index(groups.len()) == time as usize);
                asked.extend(now.filter_map(|watch| standing(both, &schema, watch)));
                let timed = |unit: &Unit| Unit { at: Timestamp(NOON.0 + time), ..unit.clone() };
                let real = join_all(group.iter().map(|unit| sqlite.store.commit(timed(unit)))).await;
                for (unit, real) in group.iter().zip(real) {
                    let model = memory.store.commit(timed(unit)).await;
                    assert_eq!(told(real), told(model), "{unit:?}");
                }
            }
            assert_eq!(sqlite.log(0), memory.log(0));
            assert_eq!(leases(&sqlite), leases(&memory));
            assert_eq!(announced(&mut sqlite).await, announced(&mut memory).await);
            let both = [&sqlite, &memory];
            same_rights(both);
            for differ in &asked {
                let answer = |studio: &Studio| studio.store.differ(differ).now().unwrap().value;
                assert_eq!(answer(&sqlite), answer(&memory), "{differ:?}");
            }
            queries.iter().for_each(|query| same_lists(both, query));
            for count in &counts {
                let answer = |studio: &Studio| studio.store.count(count).now().map(|at| at.value);
                assert_eq!(answer(&sqlite), answer(&memory), "{count:?}");
            }
            looks.iter().for_each(|who| same_records(both, who));
            looks.iter().for_each(|who| same_activity(both, who));
        });
    }
}

/// Everybody, two projects and who belongs to them.
fn first() -> Vec<Op> {
    let people = PEOPLE.map(|name| {
        let role = if name == "root" { words("admin") } else { Value::Null };
        club::user_record(name, role)
    });
    let projects = [1, 2].map(|n| create("Project", n, vec![words("p")]));
    let members = [club::member(11, "ada", 1, "editor"), club::member(12, "bo", 1, "viewer")];
    let tasks = [club::task(21, 1, Some("ada")), club::task(22, 2, Some("bo")), club::task(23, 1, None)];
    people.into_iter().chain(projects).chain(members).chain(tasks.map(club::unnumbered)).collect()
}

/// Those that are stored, by their numbers.
fn leases(studio: &Studio) -> Vec<RecordLease> {
    let mut all = studio.store.leases().now().unwrap().value;
    all.sort_by_key(|row| row.lease.fence);
    all
}

/// Every change with the persons whose rights it concerns, in the order of their names.
async fn announced(studio: &mut Studio) -> Vec<(Seq, Vec<Arc<str>>)> {
    let (head, mut told) = (studio.head(), Vec::new());
    while told.len() < head as usize {
        for change in &studio.batches.next().await.changes {
            let mut rights = change.rights.clone();
            rights.sort();
            told.push((change.seq, rights));
        }
    }
    told
}
