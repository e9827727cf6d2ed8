//! Reads under rules: every user sees what is theirs, in lists, counts, references and histories.

use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::rules::ReadScope;
use tidewire::schema::{Column, Entity, Expr, FieldIndex, Generation, Schema, Value};
use tidewire::store::{
    Condition, Count, Direction, Expand, Hidden, LogLimit, Op, Past, Query, SortBy, StoreError, Test, Who,
};

use crate::support::at_once::Now;
use crate::support::club::rule;
use crate::support::fixture::Fixture;
use crate::support::owned::*;
use crate::support::studio::{ALL, create, delete, id, link, searched, update, words};

pub(super) async fn everybody_sees_what_is_theirs_and_counts_only_that<F: Fixture>() {
    let studio = studio::<F>(owned()).await;
    let tasks = [task(11, ADA, None, "open"), task(12, BO, None, "open"), task(13, ADA, None, "done")];
    studio.commit(tasks).await.unwrap();
    for (who, expected) in
        [(person(ADA), vec![11, 13]), (person(BO), vec![12]), (Who::System, vec![11, 12, 13])]
    {
        let counted = studio.store.count(&count(who.clone())).now().unwrap().value.count;
        assert_eq!(counted, expected.len() as u64, "{who:?}");
        for n in 11..14 {
            let found = studio.store.find("Task", &id(n), &who).now().unwrap().value.is_some();
            assert_eq!(found, expected.contains(&n), "{n} {who:?}");
        }
        assert_eq!(listed(&studio, &all(who)).unwrap(), expected);
    }
    for who in [anybody(), person(3)] {
        let closed = StoreError::Closed("Task".into());
        assert_eq!(studio.store.find("Task", &id(11), &who).now().unwrap_err(), closed, "{who:?}");
        assert_eq!(studio.store.count(&count(who.clone())).now().unwrap_err(), closed);
        assert_eq!(studio.store.history("Task", &id(11), &who, None, ALL).now().unwrap_err(), closed);
        assert_eq!(listed(&studio, &all(who)).unwrap_err(), closed);
    }
    let closed = studio.store.find("Secret", &id(1), &person(ADA)).now().unwrap_err();
    assert_eq!(closed, StoreError::Closed("Secret".into()));
}

pub(super) async fn a_hidden_field_is_neither_shown_nor_asked<F: Fixture>() {
    let studio = studio::<F>(owned()).await;
    studio.commit([task(11, ADA, None, "open"), task(12, ADA, None, "done")]).await.unwrap();
    let shown = |n: u128, who: &Who| {
        let found = studio.store.find("Task", &id(n), who).now().unwrap().value.unwrap().json;
        String::from_utf8(found.to_vec()).unwrap()
    };
    let ada = person(ADA);
    assert!(shown(11, &ada).contains("note") && !shown(11, &ada).contains("salary"));
    assert!(!shown(12, &ada).contains("note"));
    assert!(shown(12, &Who::System).contains("note") && shown(12, &Who::System).contains("salary"));

    let by_note = condition(NOTE, Test::Eq(words("n")));
    assert_eq!(listed(&studio, &Query { filter: by_note, ..all(ada.clone()) }).unwrap(), [11]);
    let no_note = condition(NOTE, Test::Ne(words("x")));
    assert_eq!(listed(&studio, &Query { filter: no_note, ..all(ada.clone()) }).unwrap(), [11]);
    let (salary, note) = (Column::Field(SALARY), Column::Field(NOTE));
    let sorted =
        |column| Query { sort: vec![SortBy { column, direction: Direction::Ascending }], ..all(ada.clone()) };
    let by_salary = Query { filter: condition(SALARY, Test::Null(false)), ..all(ada.clone()) };
    for (query, column, hidden) in [
        (by_salary, salary, Hidden::Always),
        (sorted(salary), salary, Hidden::Always),
        (sorted(note), note, Hidden::Sometimes),
    ] {
        assert_eq!(listed(&studio, &query), Err(StoreError::HiddenColumn(column, hidden)));
    }
    for (column, hidden) in [(salary, Hidden::Always), (note, Hidden::Sometimes)] {
        let grouped = Count { group: Some(column), ..count(ada.clone()) };
        assert_eq!(studio.store.count(&grouped).now(), Err(StoreError::HiddenColumn(column, hidden)));
        assert!(studio.store.count(&Count { group: Some(column), ..count(Who::System) }).now().is_ok());
    }
}

pub(super) async fn a_reference_leads_only_to_what_may_be_read<F: Fixture>() {
    let studio = studio::<F>(owned()).await;
    let tasks = [task(11, ADA, None, "done"), task(12, BO, None, "open")];
    studio.commit(tasks).await.unwrap();
    studio.commit([task(13, ADA, Some(11), "open"), task(14, ADA, Some(12), "open")]).await.unwrap();
    let expand = vec![Expand { field: PARENT, then: vec![Expand { field: OWNER, then: vec![] }] }];
    let parents = |who: Who| {
        let page = studio.store.list(&Query { expand: expand.clone(), ..all(who) }).now().unwrap().value;
        page.rows.into_iter().map(|row| row.expanded[0].clone()).collect::<Vec<_>>()
    };
    let of_ada = parents(person(ADA));
    assert_eq!(of_ada.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    let parent = of_ada[1].as_ref().unwrap();
    let json = String::from_utf8(parent.stored.json.to_vec()).unwrap();
    assert!(!json.contains("note") && !json.contains("salary"), "{json}");
    assert!(parent.expanded[0].is_some(), "users are read by everybody");
    assert!(parents(Who::System)[3].is_some());
}

/// Version, and of `changed`, `before` and `after` what there is.
type Told = (u64, Option<String>, Option<String>, Option<String>);

fn told(past: Past) -> Vec<Told> {
    let text =
        |json: &Option<bytes::Bytes>| json.as_ref().map(|json| String::from_utf8(json.to_vec()).unwrap());
    let told = past.changes.iter();
    told.map(|change| (change.version(), text(&change.changed), text(&change.before), text(&change.after)))
        .collect()
}

pub(super) async fn a_history_shows_of_each_change_what_may_be_read_today<F: Fixture>() {
    let studio = studio::<F>(owned()).await;
    studio.commit([task(11, BO, None, "open")]).await.unwrap();
    let set = |field, value| update("Task", 11, [(field, value)]);
    studio.commit([set(OWNER, link(ADA))]).await.unwrap();
    let both = [(SALARY, Value::Int(1)), (NOTE, words("m")), (STATE, words("done"))];
    studio.commit([update("Task", 11, both)]).await.unwrap();
    let past =
        |who: &Who| studio.store.history("Task", &id(11), who, None, ALL).now().unwrap().value.unwrap();
    let (ada, bo) = (person(ADA), person(BO));

    let seen = told(past(&ada));
    assert_eq!(seen.iter().map(|change| change.0).collect::<Vec<_>>(), [3, 2], "the create was Bo's");
    let (_, changed, before, after) = &seen[0];
    assert_eq!(changed.as_deref(), Some(r#"["state"]"#));
    assert_eq!(before.as_deref(), Some(r#"{"note":"n","state":"open"}"#), "it was open, and so shown");
    assert!(!after.as_ref().unwrap().contains("note"));
    let (_, changed, before, after) = &seen[1];
    assert_eq!((changed.as_deref(), before), (Some(r#"["owner"]"#), &None), "it was Bo's before");
    assert!(after.as_ref().unwrap().contains("note") && !after.as_ref().unwrap().contains("salary"));
    assert_eq!(past(&bo), Past::default(), "as of a task that never was");
    assert_eq!(past(&Who::System).changes.len(), 3);

    studio.commit([set(OWNER, link(BO))]).await.unwrap();
    assert_eq!(past(&ada), Past::default());
    let lost = &past(&bo).changes[1];
    assert_eq!(
        (&lost.actor, &lost.mid, &lost.changed),
        (&None, &None, &None),
        "what took it away, and nothing else"
    );
    let seen = told(past(&bo));
    assert_eq!(seen.iter().map(|change| change.0).collect::<Vec<_>>(), [4, 2, 1]);
    assert_eq!(seen[1].3, None, "after it, it was Ada's");
    assert_eq!(seen[1].2.as_deref().map(|before| before.contains("owner")), Some(true));

    studio.commit([delete("Task", 11)]).await.unwrap();
    assert_eq!(past(&ada), Past::default(), "its last image is Bo's");
    let seen = past(&bo);
    assert_eq!(seen.changes.len(), 4);
    let before = String::from_utf8(seen.changes[0].before.as_ref().unwrap().to_vec()).unwrap();
    assert!(before.contains("title") && !before.contains("salary") && !before.contains("note"), "{before}");

    let one = LogLimit { changes: 1, bytes: usize::MAX };
    let page = |before| studio.store.history("Task", &id(11), &bo, before, one).now().unwrap().value.unwrap();
    let mut versions = Vec::new();
    let mut at = None;
    loop {
        let past = page(at);
        versions.extend(past.changes.iter().map(|change| change.version()));
        at = past.changes.last().map(|change| change.seq);
        if !past.more {
            break;
        }
    }
    assert_eq!(versions, [4, 4, 2, 1], "the delete, and what was before it, without gaps between pages");
}

/// Red if the words of a search are looked for in records that may not be read.
pub(super) async fn a_search_finds_only_what_may_be_read<F: Fixture>() {
    let schema = Schema::new(schema(owned()).entities().map(|entity| {
        let mut entity = (**entity).clone();
        entity.fields[0] = searched(entity.fields[0].clone());
        entity
    }));
    let studio = furnished(F::open(schema, &StoreConfig::default())).await;
    let titled = |n, owner, title: &str| {
        let Op::Create { entity, id, mut values, fresh_id } = task(n, owner, None, "open") else { panic!() };
        values[TITLE.0] = words(title);
        Op::Create { entity, id, values, fresh_id }
    };
    let tasks = [titled(11, ADA, "high tide"), titled(12, BO, "low tide"), titled(13, ADA, "wire")];
    studio.commit(tasks).await.unwrap();
    let search = || vec!["tid".to_owned()];
    for (who, expected) in [(person(ADA), vec![11]), (person(BO), vec![12]), (Who::System, vec![11, 12])] {
        assert_eq!(listed(&studio, &Query { search: search(), ..all(who.clone()) }).unwrap(), expected);
        let counted = studio.store.count(&Count { search: search(), ..count(who) }).now().unwrap().value;
        assert_eq!(counted.count, expected.len() as u64);
    }
    studio.commit([update("Task", 12, [(OWNER, link(ADA))])]).await.unwrap();
    assert_eq!(listed(&studio, &Query { search: search(), ..all(person(ADA)) }).unwrap(), [11, 12]);
    assert_eq!(listed(&studio, &Query { search: search(), ..all(person(BO)) }).unwrap(), Vec::<u128>::new());
}

/// A read scope that was bound before shows what it says, whatever the person's rights are by now.
pub(super) async fn a_bound_read_scope_is_taken_for_what_it_says<F: Fixture>() {
    let studio = studio::<F>(owned()).await;
    let tasks = [task(11, ADA, None, "open"), task(12, BO, None, "open"), task(13, ADA, None, "done")];
    studio.commit(tasks).await.unwrap();
    let Who::Person(ada) = person(ADA) else { panic!() };
    let principal = studio.store.principal(&ada).now().unwrap().value;
    let schema = schema(owned());
    let bound = ReadScope::bind(schema.entity("Task").unwrap(), studio.generation, &principal).unwrap();
    let open = condition(STATE, Test::Eq(words("open")));
    let (whole, open) = (Arc::new(bound.clone()), Arc::new(bound.through(open)));
    let by = |scope: &Arc<ReadScope>| Who::ReadScope(scope.clone());
    assert_eq!(listed(&studio, &all(by(&whole))).unwrap(), [11, 13]);
    assert_eq!(listed(&studio, &all(by(&open))).unwrap(), [11]);
    assert_eq!(studio.store.count(&count(by(&open))).now().unwrap().value.count, 1);
    let found = |n, scope| studio.store.find("Task", &id(n), &by(scope)).now().unwrap().value;
    assert_eq!(found(11, &open), studio.store.find("Task", &id(11), &person(ADA)).now().unwrap().value);
    assert_eq!((found(12, &open), found(13, &open)), (None, None));
    studio.commit([update("User", ADA, [(FieldIndex(2), Value::Bool(true))])]).await.unwrap();
    assert_eq!(
        listed(&studio, &all(by(&whole))).unwrap(),
        [11, 13],
        "the caller asks whether rights changed"
    );
    let mut stale = (*whole).clone();
    stale.generation = Generation(9);
    let stale = listed(&studio, &all(by(&Arc::new(stale))));
    assert_eq!(stale, Err(StoreError::StaleGeneration));
    let other = studio.store.find("User", &id(ADA), &by(&whole)).now();
    assert!(matches!(other, Err(StoreError::Storage(_))), "{other:?}");
    if F::NAMES_READ_SCOPES {
        let filter = condition(STATE, Test::Eq(words("open")));
        let page = studio.store.list(&Query { filter, ..all(person(BO)) }).now().unwrap().value;
        assert_eq!(listed(&studio, &all(by(&page.read_scope.unwrap()))).unwrap(), [12]);
    }
}

/// Neither the rule of lists nor that of the field is asked.
pub(super) async fn a_record_is_named_by_a_value_and_the_read_rule_alone_decides<F: Fixture>() {
    let mut schema = schema(owned());
    let task_entity = schema.entity("Task").unwrap();
    let unlisted =
        tidewire::schema::Access { list: rule(Expr::Constant(false)), ..task_entity.access.clone() };
    let task_entity = Entity { access: unlisted, ..Entity::clone(task_entity) };
    let others =
        schema.entities().filter(|entity| &*entity.name != "Task").map(|entity| Entity::clone(entity));
    schema = Schema::new(others.chain([task_entity]).collect::<Vec<_>>());
    let studio = furnished(F::open(schema, &StoreConfig::default())).await;
    let paid = |n, owner, salary| {
        let values =
            vec![words("t"), link(owner), Value::Int(salary), words("n"), Value::Null, words("done")];
        create("Task", n, values)
    };
    studio.commit([paid(11, ADA, 7), paid(12, BO, 8)]).await.unwrap();
    let by = |field, value: Value, who: Who| {
        let named = Some(Condition::new(Column::Field(field), Test::Eq(value)));
        listed(&studio, &Query { named, ..all(who) })
    };
    let (ada, bo) = (person(ADA), person(BO));
    assert_eq!(listed(&studio, &all(ada.clone())).unwrap(), Vec::<u128>::new());
    assert_eq!(by(SALARY, Value::Int(7), ada.clone()).unwrap(), [11]);
    assert_eq!(by(SALARY, Value::Int(7), Who::System).unwrap(), [11]);
    assert_eq!(by(SALARY, Value::Int(7), bo.clone()).unwrap(), Vec::<u128>::new());
    assert_eq!(by(SALARY, Value::Int(9), ada.clone()).unwrap(), Vec::<u128>::new());
    assert_eq!(by(NOTE, words("n"), bo.clone()).unwrap(), [12], "its note is not shown to its owner");
    let closed = StoreError::Closed("Task".into());
    assert_eq!(by(SALARY, Value::Int(7), person(3)).unwrap_err(), closed);
    let named = Some(Condition::new(Column::Id, Test::Eq(link(11))));
    for (who, expected) in [(ada, vec![11]), (bo, vec![])] {
        let of_id =
            Query { named: named.clone(), expand: vec![Expand { field: OWNER, then: vec![] }], ..all(who) };
        assert_eq!(listed(&studio, &of_id).unwrap(), expected);
    }
}
