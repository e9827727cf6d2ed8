//! Lists: filters, order, pages, counts by group, references that are followed.

use tidewire::config::StoreConfig;
use tidewire::ids::{RecordId, Seq};
use tidewire::schema::{Generation, Value};
use tidewire::store::{Column, Condition, Count, Direction, Expand, Query, SortBy, Test};

use crate::support::at_once::Now;
use crate::support::fixture::Fixture;
use crate::support::studio::*;

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

pub(super) async fn lists_filter_sort_and_page<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([user(1)]).await.unwrap();
    let rows = [
        (None, None),
        (Some(1), Some("b")),
        (Some(1), None),
        (Some(1), Some("a")),
        (None, Some("a")),
        (Some(2), Some("b")),
    ];
    for (n, (priority, title)) in (1..).zip(rows) {
        let priority = priority.map_or(Value::Null, Value::Int);
        let title = title.map_or(Value::Null, words);
        studio.commit([task(n, [(PRIORITY, priority), (TITLE, title)])]).await.unwrap();
    }
    let (priority, title) = (Column::Field(PRIORITY), Column::Field(TITLE));
    let (up, down) = (Direction::Ascending, Direction::Descending);
    let all = Query::all("Task", Generation(1), 100);
    let sorted = |sort: &[(Column, Direction)]| {
        let sort = sort.iter().map(|&(column, direction)| SortBy { column, direction }).collect();
        Query { sort, ..all.clone() }
    };
    assert_eq!(paged(&studio, &sorted(&[])), [1, 2, 3, 4, 5, 6]);
    assert_eq!(paged(&studio, &sorted(&[(priority, up)])), [1, 5, 2, 3, 4, 6]);
    assert_eq!(paged(&studio, &sorted(&[(priority, down)])), [6, 4, 3, 2, 5, 1]);
    assert_eq!(paged(&studio, &sorted(&[(priority, up), (title, up)])), [1, 5, 3, 4, 2, 6]);
    assert_eq!(paged(&studio, &sorted(&[(priority, down), (title, up)])), [6, 3, 4, 2, 1, 5]);
    assert_eq!(paged(&studio, &sorted(&[(priority, up), (title, down)])), [5, 1, 2, 4, 3, 6]);
    assert_eq!(paged(&studio, &sorted(&[(Column::Id, down)])), [6, 5, 4, 3, 2, 1]);
    assert_eq!(
        paged(&studio, &sorted(&[(Column::UpdatedAt, up), (Column::Version, down)])),
        [6, 5, 4, 3, 2, 1]
    );

    let only = |filter: &[(Column, Test)]| {
        let filter = filter.iter().map(|(column, test)| Condition::new(*column, test.clone())).collect();
        Query { filter, ..all.clone() }
    };
    let int = |number| Value::Int(number);
    assert_eq!(paged(&studio, &only(&[(priority, Test::Eq(int(1)))])), [2, 3, 4]);
    assert_eq!(paged(&studio, &only(&[(title, Test::Null(true))])), [1, 3]);
    assert_eq!(paged(&studio, &only(&[(title, Test::Eq(words("b"))), (priority, Test::Eq(int(1)))])), [2]);
    assert_eq!(paged(&studio, &only(&[(Column::Id, Test::Eq(link(4)))])), [4]);
    assert_eq!(paged(&studio, &only(&[(Column::CreatedAt, Test::Eq(int(NOON.0)))])).len(), 6);
    assert_eq!(paged(&studio, &only(&[(title, Test::Eq(words("' OR 1 --")))])), Vec::<u128>::new());
    let none: [u128; 0] = [];
    for (test, expected) in [
        (Test::Null(false), &[2, 4, 5, 6][..]),
        (Test::Ne(words("a")), &[2, 6]),
        (Test::Lt(words("b")), &[4, 5]),
        (Test::Lte(words("b")), &[2, 4, 5, 6]),
        (Test::Gt(words("b")), &none),
        (Test::Gte(words("b")), &[2, 6]),
        (Test::In(vec![words("a"), words("c"), words("b")]), &[2, 4, 5, 6]),
        (Test::In(vec![]), &none),
        (Test::Contains(String::new()), &[2, 4, 5, 6]),
        (Test::Contains("B".to_owned()), &none),
        (Test::Starts("a".to_owned()), &[4, 5]),
        (Test::Starts("%".to_owned()), &none),
        (Test::Starts(String::new()), &[2, 4, 5, 6]),
        (Test::Ends(String::new()), &[2, 4, 5, 6]),
        (Test::Ends("%".to_owned()), &none),
    ] {
        assert_eq!(paged(&studio, &only(&[(title, test.clone())])), expected, "{test:?}: null meets nothing");
    }
    let listed = studio.store.list(&sorted(&[(priority, up), (Column::Id, up)])).now().unwrap();
    let rows = &listed.value.rows;
    assert_eq!((listed.seq, &rows[2].sort_values), (Seq(7), &vec![Value::Int(1), link(2)]));
    assert_eq!(rows[2].stored.json, studio.json("Task", &id(2)).unwrap());
}

pub(super) async fn a_page_of_a_list_ends_with_the_record_that_reaches_its_bytes<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    for n in 1..=4 {
        studio.commit([task(n, [(TITLE, words("same")), (PRIORITY, Value::Int(n as i64))])]).await.unwrap();
    }
    let one = studio.json("Task", &id(1)).unwrap().len();
    let down = vec![SortBy { column: Column::Field(PRIORITY), direction: Direction::Descending }];
    for sort in [vec![], down] {
        let query = Query { sort, ..Query::all("Task", Generation(1), 3) };
        for (limit, bytes, expected) in [
            (9, 1, (1, true)),
            (9, one, (1, true)),
            (9, one + 1, (2, true)),
            (9, 3 * one, (3, true)),
            (9, 3 * one + 1, (4, false)),
            (9, usize::MAX, (4, false)),
            (4, usize::MAX, (4, false)),
            (3, usize::MAX, (3, true)),
            (2, 3 * one, (2, true)),
        ] {
            let page = studio.store.list(&Query { limit, bytes, ..query.clone() }).now().unwrap().value;
            assert_eq!((page.rows.len(), page.more), expected, "{limit} records, {bytes} bytes");
        }
        let first = studio.store.list(&query).now().unwrap().value.rows.pop().unwrap();
        let after = Some(first.cursor());
        let page = studio.store.list(&Query { after, bytes: 1, ..query }).now().unwrap().value;
        assert_eq!((page.rows.len(), page.more), (1, false), "the last record ends the list");
    }
}

pub(super) async fn counts_agree_with_lists<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    for (n, title) in (1..).zip([Some("b"), Some("a"), None, Some("b"), None, Some("c")]) {
        studio.commit([task(n, title.map(|title| (TITLE, words(title))))]).await.unwrap();
    }
    let (title, all) = (Column::Field(TITLE), || Count {
        entity: "Task".into(),
        generation: Generation(1),
        who: tidewire::store::Who::System,
        filter: vec![],
        search: vec![],
        group: None,
    });
    let counted = studio.store.count(&all()).now().unwrap();
    assert_eq!((counted.value.count, counted.value.groups, counted.seq), (6, vec![], Seq(6)));
    let some = Count { filter: vec![Condition::new(title, Test::Gt(words("a")))], ..all() };
    assert_eq!(studio.store.count(&some).now().unwrap().value.count, 3);
    let groups =
        |count: Count| studio.store.count(&Count { group: Some(title), ..count }).now().unwrap().value;
    let expected = [(Value::Null, 2), (words("b"), 2), (words("a"), 1), (words("c"), 1)];
    assert_eq!((groups(all()).count, groups(all()).groups), (6, expected.to_vec()));
    assert_eq!(groups(some).groups, [(words("b"), 2), (words("c"), 1)]);
    let found = Count { search: vec!["B".to_owned()], ..all() };
    assert_eq!(groups(found).groups, [(words("b"), 2)]);
    assert!(studio.store.count(&Count { entity: "Planet".into(), ..all() }).now().is_err());
}

pub(super) async fn references_are_followed_as_of_the_list<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([user(1), project(2), task(3, [(PROJECT, link(2)), (OWNER, link(1))])]).await.unwrap();
    studio
        .commit([task(4, [(PARENT, link(3))]), task(5, [(PARENT, link(4)), (PROJECT, link(2))])])
        .await
        .unwrap();
    let of = |field, then| Expand { field, then };
    let up = of(PARENT, vec![of(PARENT, vec![of(OWNER, vec![])]), of(PROJECT, vec![])]);
    let query = Query { expand: vec![of(PROJECT, vec![]), up], ..Query::all("Task", Generation(1), 10) };
    let rows = studio.store.list(&query).now().unwrap().value.rows;
    let json = |entity: &str, n| studio.json(entity, &id(n)).unwrap();
    assert_eq!(
        (rows[0].expanded[0].as_ref().unwrap().stored.json.clone(), rows[0].expanded[1].is_none()),
        (json("Project", 2).into(), true)
    );
    assert!(rows[1].expanded[0].is_none());
    let parent = rows[2].expanded[1].as_ref().unwrap();
    assert_eq!(parent.stored.json, json("Task", 4));
    assert!(parent.expanded[1].is_none());
    let grandparent = parent.expanded[0].as_ref().unwrap();
    assert_eq!(grandparent.stored.json, json("Task", 3));
    assert_eq!(grandparent.expanded[0].as_ref().unwrap().stored.json, json("User", 1));
    assert_eq!((rows[2].expanded[0].clone(), rows.len()), (rows[0].expanded[0].clone(), 3));
}

/// The ids of a list, read in pages of every size; the pages must agree.
pub(super) fn paged(studio: &Studio, query: &Query) -> Vec<u128> {
    let number = |id: &RecordId| id.as_str().parse::<uuid::Uuid>().unwrap().as_u128();
    let whole: Vec<u128> =
        studio.store.list(query).now().unwrap().value.rows.iter().map(|listed| number(&listed.id)).collect();
    for limit in 1..=whole.len() {
        let (mut read, mut page) = (Vec::new(), Query { limit, ..query.clone() });
        while let Some(last) = {
            let listed = studio.store.list(&page).now().unwrap().value.rows;
            read.extend(listed.iter().map(|listed| number(&listed.id)));
            listed.into_iter().next_back()
        } {
            page.after = Some(last.cursor());
        }
        assert_eq!(read, whole, "in pages of {limit}");
    }
    whole
}
