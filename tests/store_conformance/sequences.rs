//! Numbers that the server gives: the next one among the records with the same parent, never one twice.

use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::schema::{FieldIndex, Format, Schema, SourceFile, Value, check};
use tidewire::store::{CommitError, Many, ManyEdit, Op};

use crate::support::club::ask;
use crate::support::fixture::Fixture;
use crate::support::seats::image;
use crate::support::studio::{Studio, create, delete, id, link, update, words};

/// Of `Segment`.
const DRAFT: FieldIndex = FieldIndex(0);
const POSITION: FieldIndex = FieldIndex(1);
const CODE: FieldIndex = FieldIndex(3);

const LAST: i64 = 9_007_199_254_740_991;

/// A draft's segments are numbered within it, and all segments together. A note copies the position of its segment.
fn schema() -> Schema {
    let open = |lines: &str, create: &str, update: &str| {
        let rules =
            format!("read = \"true\"\ncreate = \"{create}\"\nupdate = \"{update}\"\ndelete = \"true\"");
        format!("{lines}\n[access]\n{rules}\n")
    };
    let low = |name: &str| format!("{name} == null || {name} <= 2");
    let files = [
        open("entity = \"User\"", "true", "true"),
        open("entity = \"Draft\"\n[fields]\nname = { type = \"text\" }", "true", "true"),
        open(
            r#"entity = "Segment"
[fields]
draft = { type = "ref", entity = "Draft", on_delete = "set_null" }
position = { type = "int", sequence = "draft" }
serial = { type = "int", sequence = true }
code = { type = "text", unique = true }"#,
            &low("position"),
            &low("change.position"),
        ),
        open(
            r#"entity = "Note"
[fields]
segment = { type = "ref", entity = "Segment", on_delete = "cascade" }
position = { type = "int", from = "segment.position" }"#,
            "true",
            "true",
        ),
    ];
    let source =
        |(at, text): (usize, String)| SourceFile { name: format!("{at}.toml"), format: Format::Toml, text };
    let sources: Vec<SourceFile> = files.into_iter().enumerate().map(source).collect();
    check(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

fn draft(n: u128) -> Op {
    create("Draft", n, vec![words("a draft")])
}

fn segment(n: u128, draft: Value) -> Op {
    create("Segment", n, vec![draft, Value::Null, Value::Null, Value::Null])
}

fn coded(n: u128, draft: Value, code: &str) -> Op {
    create("Segment", n, vec![draft, Value::Null, Value::Null, words(code)])
}

fn moved(n: u128, draft: Value) -> Op {
    update("Segment", n, [(DRAFT, draft)])
}

/// Position and serial of a segment.
fn numbers(studio: &Studio, n: u128) -> (Json, Json) {
    let json: Json = serde_json::from_str(&studio.json("Segment", &id(n)).unwrap()).unwrap();
    (json["position"].clone(), json["serial"].clone())
}

async fn two_drafts<F: Fixture>() -> Studio {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([draft(1), draft(2)]).await.unwrap();
    studio
}

pub(super) async fn a_record_gets_the_next_number_of_its_parent<F: Fixture>() {
    let studio = two_drafts::<F>().await;
    studio.commit([segment(11, link(1))]).await.unwrap();
    studio.commit([segment(12, link(1)), segment(13, link(2)), segment(14, link(1))]).await.unwrap();
    studio.commit([segment(15, Value::Null)]).await.unwrap();
    let told = [11, 12, 13, 14, 15].map(|n| numbers(&studio, n));
    let expected = [(json!(1), 1), (json!(2), 2), (json!(1), 3), (json!(3), 4), (Json::Null, 5)];
    assert_eq!(told, expected.map(|(position, serial)| (position, json!(serial))));
    let answer = studio.commit([segment(16, link(2))]).await.unwrap();
    let record = answer.results[0].record.as_ref().unwrap();
    assert_eq!(image(Some(&record.json))["position"], json!(2), "the answer has the number");
}

pub(super) async fn a_number_is_not_given_again_when_its_record_is_gone<F: Fixture>() {
    let studio = two_drafts::<F>().await;
    studio.commit([segment(11, link(1)), segment(12, link(1))]).await.unwrap();
    studio.commit([delete("Segment", 12)]).await.unwrap();
    studio.commit([segment(13, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 13), (json!(3), json!(3)));
    // One that comes back under its id is a new one, and so is one within one unit.
    studio.commit([segment(12, link(1)), delete("Segment", 12), segment(12, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 12), (json!(5), json!(5)));
}

pub(super) async fn a_unit_that_fails_gives_its_numbers_back<F: Fixture>() {
    let studio = two_drafts::<F>().await;
    studio.commit([coded(11, link(1), "a")]).await.unwrap();
    let refused = studio.commit([coded(12, link(1), "b"), coded(13, link(1), "a")]).await;
    assert!(matches!(refused, Err(CommitError::NotUnique { op: 1, .. })), "{refused:?}");
    let alone = studio.commit([coded(12, link(1), "a")]).await;
    assert!(matches!(alone, Err(CommitError::NotUnique { op: 0, .. })), "{alone:?}");
    let taken = studio.commit([segment(11, link(1))]).await;
    assert_eq!(taken, Err(CommitError::IdTaken { op: 0 }));
    let moved = studio.commit([update("Segment", 11, [(DRAFT, link(9))])]).await;
    assert!(matches!(moved, Err(CommitError::UnknownReference { .. })), "{moved:?}");
    studio.commit([segment(14, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 14), (json!(2), json!(2)));
}

pub(super) async fn a_record_that_moves_gets_the_next_number_there<F: Fixture>() {
    let studio = two_drafts::<F>().await;
    let some = [segment(11, link(1)), segment(12, link(1)), segment(13, link(2))];
    studio.commit(some).await.unwrap();
    let head = studio.head();
    studio.commit([moved(11, link(2))]).await.unwrap();
    let change = &studio.log(head)[0];
    assert_eq!(image(change.changed.as_ref()), json!(["draft", "position"]));
    assert_eq!(image(change.before.as_ref()), json!({"draft": id(1), "position": 1}));
    assert_eq!(numbers(&studio, 11), (json!(2), json!(1)), "it keeps its number among all");
    studio.commit([moved(11, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 11).0, json!(3), "not the one that it had there");
    studio.commit([moved(11, Value::Null)]).await.unwrap();
    assert_eq!(numbers(&studio, 11).0, Json::Null);
    studio.commit([moved(11, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 11).0, json!(4));
    let head = studio.head();
    studio.commit([moved(11, link(1)), update("Segment", 11, [(CODE, words("a"))])]).await.unwrap();
    assert_eq!(numbers(&studio, 11).0, json!(4), "what does not move keeps its number");
    assert_eq!(image(studio.log(head)[0].changed.as_ref()), json!(["code"]));
    let filter = Vec::new();
    let (ids, edit) = (vec![id(12), id(13)], ManyEdit::Update(vec![(DRAFT, link(1))]));
    let many = Many { entity: "Segment".into(), ids, more: false, filter, edit };
    studio.commit([Op::Many(Box::new(many))]).await.unwrap();
    assert_eq!([12, 13].map(|n| numbers(&studio, n).0), [json!(2), json!(5)]);
}

pub(super) async fn a_record_that_loses_its_parent_loses_its_number<F: Fixture>() {
    let studio = two_drafts::<F>().await;
    let note = create("Note", 21, vec![link(11), Value::Null]);
    studio.commit([segment(11, link(1)), segment(12, link(1)), note]).await.unwrap();
    let head = studio.head();
    studio.commit([delete("Draft", 1)]).await.unwrap();
    assert_eq!(
        studio.story(head),
        ["update segment:b", "update segment:c", "update note:15", "delete draft:1"],
        "what copies the number follows"
    );
    assert_eq!(numbers(&studio, 11), (Json::Null, json!(1)));
    // The draft of this id that comes later goes on behind the numbers of the first.
    studio.commit([draft(1), moved(12, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 12).0, json!(3));
    // A copy of the number follows a move.
    let head = studio.head();
    studio.commit([moved(11, link(2))]).await.unwrap();
    assert_eq!(studio.story(head), ["update segment:b", "update note:15"]);
    let refused = studio.commit([moved(11, link(1)), segment(11, link(1))]).await;
    assert_eq!(refused, Err(CommitError::IdTaken { op: 1 }));
    studio.commit([moved(11, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 11).0, json!(4));
}

/// Only an import names numbers; a client cannot.
pub(super) async fn a_number_that_is_brought_stays_and_raises_the_counter<F: Fixture>() {
    let studio = two_drafts::<F>().await;
    let brought =
        |n, draft, number| create("Segment", n, vec![draft, Value::Int(number), Value::Null, Value::Null]);
    studio
        .commit([brought(11, link(1), 7), brought(12, link(1), 3), brought(13, Value::Null, 9)])
        .await
        .unwrap();
    studio.commit([segment(14, link(1))]).await.unwrap();
    let told = [11, 12, 13, 14].map(|n| numbers(&studio, n).0);
    assert_eq!(told, [json!(7), json!(3), Json::Null, json!(8)]);
    studio.commit([update("Segment", 12, [(POSITION, Value::Int(20))])]).await.unwrap();
    studio.commit([update("Segment", 14, [(DRAFT, link(2)), (POSITION, Value::Int(5))])]).await.unwrap();
    studio.commit([update("Segment", 11, [(POSITION, Value::Null)])]).await.unwrap();
    studio.commit([segment(15, link(1)), segment(16, link(2))]).await.unwrap();
    let told = [11, 12, 14, 15, 16].map(|n| numbers(&studio, n).0);
    assert_eq!(told, [json!(7), json!(20), json!(5), json!(21), json!(6)]);
    studio.commit([brought(17, link(1), LAST)]).await.unwrap();
    let full = CommitError::NoNumber { op: 0, field: "position".into() };
    assert_eq!(studio.commit([segment(18, link(1))]).await, Err(full.clone()));
    assert_eq!(studio.commit([moved(16, link(1))]).await, Err(full));
    studio.commit([segment(18, link(2))]).await.unwrap();
}

pub(super) async fn a_rule_sees_the_number_that_a_record_would_get<F: Fixture>() {
    let studio = two_drafts::<F>().await;
    studio.commit([segment(11, link(1)), segment(12, link(1))]).await.unwrap();
    let refused = ask(&studio, "ada", [segment(13, link(1))]).await;
    assert!(matches!(refused, Err(CommitError::Forbidden { .. })), "{refused:?}");
    ask(&studio, "ada", [segment(13, link(2))]).await.unwrap();
    let refused = ask(&studio, "ada", [moved(13, link(1))]).await;
    assert!(matches!(refused, Err(CommitError::Forbidden { .. })), "{refused:?}");
    studio.commit([segment(14, link(1))]).await.unwrap();
    assert_eq!(numbers(&studio, 14).0, json!(3), "what was refused took no number");
}
