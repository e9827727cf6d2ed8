//! What is judged at the end of a unit: unique values, and deletes that other records forbid.

use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::ids::RecordId;
use tidewire::schema::{Field, FieldIndex, FieldKind, KeyFields, OnDelete, Schema, Value};
use tidewire::store::{CommitError, Op};

use crate::support::fixture::Fixture;
use crate::support::seats::*;
use crate::support::studio::{create, delete, entity, field, id, link, text, unique, update, words};

pub(super) async fn two_records_exchange_their_unique_values<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2)]).await.unwrap();
    let outcome = studio.commit([code(1, "b"), code(2, "a")]).await.unwrap();
    assert_eq!(outcome.seq.0, 4);
    let told: Vec<(Json, Json, bool)> = studio
        .log(2)
        .iter()
        .map(|one| {
            let after = image(one.after.as_ref())["code"].clone();
            (image(one.before.as_ref()), after, one.unit_last)
        })
        .collect();
    assert_eq!(
        told,
        [(json!({"code": "a"}), json!("b"), false), (json!({"code": "b"}), json!("a"), true)],
        "each entry holds what its operation found and left"
    );
    assert_eq!(studio.commit([code(1, "a")]).await, Err(not_unique(0, "code")), "the values are taken again");
}

pub(super) async fn three_records_pass_their_unique_values_on<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), seat(3, "c", 3)]).await.unwrap();
    let pass = |n: u128, text: &str, rank| update("Seat", n, [(CODE, words(text)), (RANK, Value::Int(rank))]);
    studio.commit([pass(1, "b", 2), pass(2, "c", 3), pass(3, "a", 1)]).await.unwrap();
    // A new record takes the value of one that goes later in the unit.
    studio.commit([seat(4, "b", 9), delete("Seat", 1)]).await.unwrap();
    assert_eq!(studio.commit([seat(5, "b", 5)]).await, Err(not_unique(0, "code")));
    assert_eq!(studio.commit([seat(5, "x", 9)]).await, Err(not_unique(0, "rank")));
}

pub(super) async fn a_value_that_is_double_at_the_end_is_refused_by_its_operation<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), seat(3, "c", 3)]).await.unwrap();
    let head = studio.head();
    for (ops, op, name) in [
        (vec![code(1, "z"), code(2, "c")], 1, "code"),
        (vec![code(2, "c"), code(1, "z")], 0, "code"),
        (vec![code(1, "x"), code(2, "x")], 1, "code"),
        (vec![code(1, "b"), code(2, "c"), code(3, "b")], 2, "code"),
        (vec![code(1, "b"), update("Seat", 2, [(RANK, Value::Int(9))])], 0, "code"),
        (vec![code(2, "y"), seat(4, "z", 3), seat(5, "z", 4)], 1, "rank"),
        (vec![seat(4, "c", 4), delete("Seat", 3), code(1, "c")], 2, "code"),
    ] {
        assert_eq!(studio.commit(ops.clone()).await, Err(not_unique(op, name)), "{ops:?}");
    }
    assert_eq!(studio.head(), head);
    assert!(studio.json("Seat", &id(2)).unwrap().contains(r#""version":1,"code":"b""#));
}

pub(super) async fn records_that_refer_to_each_other_are_deleted_together<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), seat(3, "c", 3), ticket(7, 1)]).await.unwrap();
    studio.commit([next(1, 2), next(2, 3), next(3, 1)]).await.unwrap();
    for n in 1..=3 {
        let refused = studio.commit([delete("Seat", n)]).await;
        assert!(matches!(refused, Err(CommitError::Restricted { op: 0, .. })), "{refused:?}");
    }
    let head = studio.head();
    let all = [delete("Seat", 2), delete("Seat", 1), delete("Ticket", 7), delete("Seat", 3)];
    studio.commit(all).await.unwrap();
    assert_eq!(studio.story(head), ["delete seat:2", "delete seat:1", "delete ticket:7", "delete seat:3"]);
    let first = image(studio.log(head)[0].before.as_ref());
    assert_eq!(first["next"], json!(id(3)), "the entry holds the record as it was");
    // A record that refers to another may also drop the reference.
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), ticket(7, 1)]).await.unwrap();
    studio.commit([delete("Seat", 1), update("Ticket", 7, [(SEAT, link(2))])]).await.unwrap();
    assert_eq!(studio.json("Seat", &id(1)), None);
}

pub(super) async fn a_delete_that_is_forbidden_at_the_end_is_refused_by_its_operation<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), seat(3, "c", 3), ticket(7, 3)]).await.unwrap();
    studio.commit([next(1, 2), next(2, 1)]).await.unwrap();
    let head = studio.head();
    let restricted = |op, entity: &str| Err(CommitError::Restricted { op, entity: Some(entity.into()) });
    let some = [seat(9, "z", 9), delete("Seat", 1), delete("Seat", 3), delete("Seat", 2)];
    assert_eq!(studio.commit(some).await, restricted(2, "Ticket"));
    assert_eq!(studio.commit([delete("Seat", 1), seat(9, "z", 9)]).await, restricted(0, "Seat"));
    // The first operation at fault is named, whatever its fault.
    let both = [code(1, "c"), delete("Seat", 2)];
    assert_eq!(studio.commit(both).await, Err(not_unique(0, "code")));
    assert_eq!(studio.commit([delete("Seat", 2), code(1, "c")]).await, restricted(0, "Seat"));
    assert_eq!((studio.head(), studio.json("Seat", &id(9))), (head, None));
}

/// A delete and a create would otherwise do what an update may be forbidden to do.
pub(super) async fn nobody_slips_another_record_under_a_reference<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), ticket(7, 1)]).await.unwrap();
    let restricted = Err(CommitError::Restricted { op: 0, entity: Some("Ticket".into()) });
    assert_eq!(studio.commit([delete("Seat", 1), seat(1, "mine", 1)]).await, restricted);
    assert_eq!(
        studio.commit([delete("Seat", 1), seat(1, "mine", 1), delete("Ticket", 7)]).await,
        restricted,
        "what refers to the record goes before it comes back"
    );
    studio.commit([delete("Seat", 1), delete("Ticket", 7), seat(1, "again", 1), ticket(7, 1)]).await.unwrap();
    assert!(studio.json("Ticket", &id(7)).unwrap().contains(r#""seat_code":"again""#));
}

pub(super) async fn a_reference_must_lead_somewhere_when_it_is_set<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1)]).await.unwrap();
    let unknown = |op| Err(CommitError::UnknownReference { op, field: "seat".into() });
    assert_eq!(studio.commit([ticket(7, 2), seat(2, "b", 2)]).await, unknown(0));
    assert_eq!(studio.commit([delete("Seat", 1), ticket(7, 1)]).await, unknown(1));
    assert_eq!(
        studio.commit([seat(1, "b", 2), delete("Seat", 1)]).await,
        Err(CommitError::IdTaken { op: 0 })
    );
}

pub(super) async fn what_a_ticket_copied_stays_until_its_seat_is_settled<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), ticket(7, 1)]).await.unwrap();
    let head = studio.head();
    let number = update("Ticket", 7, [(NUMBER, Value::Int(1))]);
    studio.commit([delete("Seat", 1), number, update("Ticket", 7, [(SEAT, link(2))])]).await.unwrap();
    let codes: Vec<Json> =
        studio.log(head).iter().map(|one| image(one.after.as_ref())["seat_code"].clone()).collect();
    assert_eq!(codes, [Json::Null, json!("a"), json!("b")]);
}

/// A place in a row: a number once in each row.
fn rows() -> Schema {
    let mut place = entity(
        "Place",
        "places",
        vec![field("row", text()), field("number", FieldKind::Int { min: None, max: None })],
    );
    place.unique = vec![KeyFields::exact(vec![FieldIndex(0), FieldIndex(1)])];
    Schema::new([entity("User", "users", vec![field("name", text())]), place])
}

fn place(n: u128, row: Value, number: Value) -> Op {
    create("Place", n, vec![row, number])
}

fn taken_together(op: usize) -> CommitError {
    CommitError::NotUnique { op, fields: vec!["row".into(), "number".into()] }
}

pub(super) async fn two_fields_are_unique_together<F: Fixture>() {
    let studio = F::open(rows(), &StoreConfig::default());
    let of = |n, row: &str, number| place(n, words(row), Value::Int(number));
    studio.commit([of(1, "a", 1), of(2, "a", 2), of(3, "b", 1)]).await.unwrap();
    let head = studio.head();
    for (ops, op) in [
        (vec![of(4, "a", 1)], 0),
        (vec![of(4, "c", 1), of(5, "c", 1)], 1),
        (vec![update("Place", 2, [(FieldIndex(1), Value::Int(1))])], 0),
        (vec![update("Place", 3, [(FieldIndex(0), words("a"))]), of(4, "c", 1)], 0),
    ] {
        assert_eq!(studio.commit(ops.clone()).await, Err(taken_together(op)), "{ops:?}");
    }
    assert_eq!(studio.head(), head);
    // An empty field exempts the record, as often as it likes.
    let without = [
        place(5, Value::Null, Value::Int(1)),
        place(6, Value::Null, Value::Int(1)),
        place(7, words("a"), Value::Null),
        place(8, words("a"), Value::Null),
    ];
    studio.commit(without).await.unwrap();
    let filled = update("Place", 5, [(FieldIndex(0), words("a"))]);
    assert_eq!(studio.commit([filled]).await, Err(taken_together(0)), "it is compared once nothing is empty");
    studio.commit([delete("Place", 1), of(9, "a", 1)]).await.unwrap();
}

pub(super) async fn records_exchange_what_is_unique_together<F: Fixture>() {
    let studio = F::open(rows(), &StoreConfig::default());
    let of = |n, row: &str, number| place(n, words(row), Value::Int(number));
    let number = |n, number| update("Place", n, [(FieldIndex(1), Value::Int(number))]);
    studio.commit([of(1, "a", 1), of(2, "a", 2)]).await.unwrap();
    studio.commit([number(1, 2), number(2, 1)]).await.unwrap();
    assert_eq!(studio.commit([number(1, 1), number(2, 3), of(3, "a", 3)]).await, Err(taken_together(2)));
    assert_eq!(studio.commit([of(3, "a", 1)]).await, Err(taken_together(0)));
}

/// A badge: its name once in any case, its code once letter for letter.
fn badges() -> Schema {
    let name = Field { ignore_case: true, ..unique(field("name", text())) };
    let badge = entity("Badge", "badges", vec![name, unique(field("code", text()))]);
    Schema::new([entity("User", "users", vec![field("name", text())]), badge])
}

pub(super) async fn texts_are_unique_whatever_their_case<F: Fixture>() {
    let studio = F::open(badges(), &StoreConfig::default());
    let badge = |n, name: &str, code: &str| create("Badge", n, vec![words(name), words(code)]);
    let name = |n, name: &str| update("Badge", n, [(FieldIndex(0), words(name))]);
    studio.commit([badge(1, "Straße", "a"), badge(2, "Σίσυφος", "A"), badge(3, "ada", "b")]).await.unwrap();
    let head = studio.head();
    for taken in ["STRASSE", "strasse", "straẞe", "ΣΊΣΥΦΟΣ", "σίσυφοσ", "ADA", "aDa"] {
        assert_eq!(studio.commit([badge(4, taken, "c")]).await, Err(not_unique(0, "name")), "{taken}");
        assert_eq!(studio.commit([badge(4, "x", "c"), name(4, taken)]).await, Err(not_unique(1, "name")));
    }
    assert_eq!(studio.commit([badge(4, "x", "a")]).await, Err(not_unique(0, "code")));
    assert_eq!(studio.head(), head);
    for (n, free) in (10..).zip(["Strasze", "Αdα", "adà", "ad", "ada ", "ıda", "ida"]) {
        studio.commit([badge(n, free, free)]).await.unwrap();
    }
    // A record may be written in another case, and others exchange theirs.
    studio.commit([name(1, "STRASSE")]).await.unwrap();
    studio.commit([name(1, "ADA"), name(3, "straße")]).await.unwrap();
    assert_eq!(studio.commit([name(3, "Ada")]).await, Err(not_unique(0, "name")));
    studio.commit([delete("Badge", 1), name(3, "Ada")]).await.unwrap();
}

pub(super) async fn texts_are_unique_together_whatever_their_case<F: Fixture>() {
    let mut place = entity("Place", "places", vec![field("row", text()), field("of", link_to_a_user())]);
    place.unique = vec![KeyFields { fields: vec![FieldIndex(0), FieldIndex(1)], ignore_case: true }];
    let users = Schema::new([entity("User", "users", vec![field("name", text())]), place]);
    let studio = F::open(users, &StoreConfig::default());
    studio.commit([person("ada"), person("Ada")]).await.unwrap();
    let of = |n, row: &str, whose: &str| place_of(n, row, whose);
    studio.commit([of(1, "a", "ada"), of(2, "b", "ada"), of(3, "A", "Ada")]).await.unwrap();
    let taken = |op| Err(CommitError::NotUnique { op, fields: vec!["row".into(), "of".into()] });
    assert_eq!(studio.commit([of(4, "A", "ada")]).await, taken(0));
    assert_eq!(studio.commit([of(4, "B", "Ada"), of(5, "b", "Ada")]).await, taken(1), "ids differ by case");
}

fn link_to_a_user() -> FieldKind {
    FieldKind::Ref { entity: "User".into(), on_delete: OnDelete::Restrict }
}

fn person(name: &str) -> Op {
    Op::Create {
        entity: "User".into(),
        id: RecordId::stored(name),
        fresh_id: false,
        values: vec![words(name)],
    }
}

fn place_of(n: u128, row: &str, whose: &str) -> Op {
    create("Place", n, vec![words(row), words(whose)])
}
