//! Rights as part of the log: whose rights a change concerns.

use tidewire::ids::RecordId;
use tidewire::schema::{FieldIndex, Lookup, Schema, Value};
use tidewire::store::{CommitError, Op};

use crate::support::at_once::Now;
use crate::support::club::{
    MISSING, OF_NOTE, OF_PROJECT, OF_ROLE, ask, club, club_over, editor, member, rule, schema, task, titled,
    user_record,
};
use crate::support::fixture::Fixture;
use crate::support::studio::{Studio, delete, link, update, words};

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
