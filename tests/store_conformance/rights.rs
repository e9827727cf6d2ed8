//! Rights as part of the log: what rules may ask of a person, and whose rights a change concerns.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::ids::RecordId;
use tidewire::rules::{Person, Principal, Related};
use tidewire::schema::{FieldIndex, Lookup, Schema, Value};
use tidewire::store::{CommitError, Op};

use crate::support::at_once::Now;
use crate::support::club::{
    MISSING, OF_NOTE, OF_PROJECT, OF_ROLE, ask, club, club_over, editor, member, person, rule, schema, task,
    titled, user_record,
};
use crate::support::fixture::Fixture;
use crate::support::studio::{Studio, create, delete, id, link, update, words};

/// What a batch says of whose rights each change concerns.
async fn concerned(studio: &mut Studio, ops: Vec<Op>) -> Vec<(String, Vec<String>)> {
    let head = studio.head();
    studio.commit(ops).await.unwrap();
    loop {
        let batch = studio.batches.next().await;
        if batch.last().0 > head {
            let rights = |change: &tidewire::store::Change| {
                let persons = change.rights.iter().map(|person| person.to_string()).collect();
                (change.entity.to_string(), persons)
            };
            return batch.changes.iter().map(|change| rights(change)).collect();
        }
    }
}

/// Red if a rights entry names only whom the record belongs to afterwards.
pub(super) async fn a_change_of_rights_names_whose_before_and_after<F: Fixture>() {
    let mut studio = club::<F>().await;
    let one = |entity: &str, persons: &[&str]| {
        vec![(entity.to_owned(), persons.iter().map(|person| (*person).to_owned()).collect::<Vec<_>>())]
    };
    let of = |n, field, value| vec![update("Membership", n, [(field, value)])];
    let cases = [
        (vec![member(51, "cy", 1, "viewer")], one("Membership", &["cy"])),
        (of(51, OF_PROJECT, link(2)), one("Membership", &["cy"])),
        (of(51, FieldIndex(0), words("bo")), one("Membership", &["bo", "cy"])),
        (of(51, OF_NOTE, words("no rule asks for it")), one("Membership", &[])),
        (vec![delete("Membership", 51)], one("Membership", &["bo"])),
        (vec![user_record("eve", Value::Null)], one("User", &["eve"])),
        (vec![task(21, 1, Some("ada"))], one("Task", &[])),
        (vec![titled(21, "x")], one("Task", &[])),
    ];
    for (ops, expected) in cases {
        let told = format!("{ops:?}");
        let mut found = concerned(&mut studio, ops).await;
        found.iter_mut().for_each(|(_, persons)| persons.sort());
        assert_eq!(found, expected, "{told}");
    }
    let user = |set: (FieldIndex, Value)| Op::Update {
        entity: "User".into(),
        id: RecordId::stored("ada"),
        set: vec![set],
        omitted: Vec::new(),
        if_version: None,
    };
    let renamed = concerned(&mut studio, vec![user((FieldIndex(0), words("Ada")))]).await;
    assert_eq!(renamed, one("User", &[]));
    let promoted = concerned(&mut studio, vec![user((FieldIndex(1), words("admin")))]).await;
    assert_eq!(promoted, one("User", &["ada"]));
    let disabled = concerned(&mut studio, vec![user((FieldIndex(2), Value::Bool(true)))]).await;
    assert_eq!(disabled, one("User", &["ada"]));
}

pub(super) async fn the_last_change_of_a_persons_rights_is_remembered_by_entity<F: Fixture>() {
    let studio = club::<F>().await;
    let entities = ["User".into(), "Membership".into()];
    let last = |studio: &Studio, name: &str| studio.store.rights_changed(name, &entities).now().unwrap().0;
    let made = last(&studio, "cy");
    assert!(made > 0 && made < last(&studio, "ada"));
    studio.commit([task(21, 1, Some("ada")), member(51, "cy", 1, "viewer")]).await.unwrap();
    assert_eq!(last(&studio, "cy"), studio.head());
    assert_eq!(studio.store.rights_changed("cy", &entities[..1]).now().unwrap().0, made);
    // A refused unit leaves no trace, a mate in its group or not.
    let refused = studio.commit([delete("Membership", 51), delete("Task", MISSING)]).await;
    assert!(refused.is_err());
    assert_eq!(last(&studio, "cy"), studio.head());
    studio.commit([delete("Project", 1)]).await.unwrap();
    assert!(["ada", "bo", "cy"].iter().all(|name| last(&studio, name) + 3 > studio.head()));
    assert_eq!(studio.store.rights_changed("nobody", &entities).now().unwrap().0, 0);
}

/// A rights entry that comes by a lookup: the membership follows the name of its project.
pub(super) async fn a_lookup_that_follows_into_a_record_of_rights_is_a_change_of_rights<F: Fixture>() {
    let changed = Schema::new(schema().entities().map(|entity| {
        let mut entity = (**entity).clone();
        match &*entity.name {
            "Task" => entity.access.read = rule(editor()),
            "Membership" => {
                entity.fields[OF_ROLE.0].lookup = Some(Lookup { via: OF_PROJECT, field: FieldIndex(0) });
            }
            _ => {}
        }
        entity
    }));
    let mut studio = club_over::<F>(changed).await;
    studio.commit([task(21, 1, None)]).await.unwrap();
    assert_eq!(ask(&studio, "bo", [titled(21, "x")]).await, Err(CommitError::NotFound { op: 0 }));
    let renamed = update("Project", 1, [(FieldIndex(0), words("editor"))]);
    let mut entries = concerned(&mut studio, vec![renamed]).await;
    entries.sort();
    let entry = |entity: &str, persons: &[&str]| {
        (entity.to_owned(), persons.iter().map(|person| (*person).to_owned()).collect::<Vec<_>>())
    };
    let expected = [entry("Membership", &["ada"]), entry("Membership", &["bo"]), entry("Project", &[])];
    assert_eq!(entries, expected);
    ask(&studio, "bo", [titled(21, "x")]).await.unwrap();
}

/// What a principal holds: the id, the role, the name of the `User` record, and the projects of the memberships.
fn told(principal: &Principal) -> Json {
    let json = |value: &Value| {
        let mut json = Vec::new();
        value.write_json(&mut json);
        serde_json::from_slice::<Json>(&json).unwrap()
    };
    let Related::Records(memberships) = principal.related("Membership") else { return json!("too many") };
    let projects: Vec<Json> = memberships.iter().map(|one| json(&one.values[OF_PROJECT.0])).collect();
    let name = principal.record().map(|record| json(&record.values[0]));
    json!([json(principal.id()), json(principal.role()), name, projects])
}

pub(super) async fn a_principal_is_what_rules_may_ask_of_a_person<F: Fixture>() {
    let studio = club::<F>().await;
    let of = |person: &Arc<Person>| studio.store.principal(person).now().unwrap();
    let (one, two) = (id(1).as_str().to_owned(), id(2).as_str().to_owned());
    assert_eq!(told(&of(&person("ada")).value), json!(["ada", null, "ada", [one]]));
    assert_eq!(told(&of(&person("root")).value), json!(["root", "admin", "root", []]));
    assert_eq!(told(&of(&person("eve")).value), json!(["eve", null, null, []]), "nobody knows Eve");
    assert_eq!(told(&of(&Arc::default()).value), json!([null, null, null, []]));
    let claimed = Arc::new(Person { role: Some("guest".into()), ..(*person("root")).clone() });
    assert_eq!(told(&of(&claimed).value)[1], "guest", "what the credentials say wins");
    // Each is true at its position.
    let before = of(&person("ada"));
    studio.commit([member(51, "ada", 2, "viewer"), delete("Membership", 11)]).await.unwrap();
    let after = of(&person("ada"));
    assert_eq!((after.seq.0, told(&after.value)), (before.seq.0 + 2, json!(["ada", null, "ada", [two]])));
    let disable = Op::Update {
        entity: "User".into(),
        id: RecordId::stored("ada"),
        set: vec![(FieldIndex(2), Value::Bool(true))],
        omitted: Vec::new(),
        if_version: None,
    };
    studio.commit([disable]).await.unwrap();
    assert!(of(&person("ada")).value.is_disabled() && !after.value.is_disabled());
    studio.commit((0..1_000).map(|n| member(1_000 + n, "ada", 1, "viewer"))).await.unwrap();
    assert_eq!(of(&person("ada")).value.related("Membership"), &Related::TooMany);
    studio.commit([create("Project", 3, vec![Value::Null]), delete("Membership", 1_000)]).await.unwrap();
    assert!(
        matches!(of(&person("ada")).value.related("Membership"), Related::Records(all) if all.len() == 1_000)
    );
}
