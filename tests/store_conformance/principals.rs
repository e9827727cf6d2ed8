//! Principals: what rules may ask of a person, as one read transaction found it.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::ids::RecordId;
use tidewire::rules::{Person, Principal, RelatedRecords};
use tidewire::schema::{FieldIndex, Value};
use tidewire::store::Op;

use crate::support::at_once::Now;
use crate::support::club::{OF_PROJECT, club, member, person};
use crate::support::fixture::Fixture;
use crate::support::studio::{create, delete, id};

/// What a principal holds: the id, the role, the name of the `User` record, and the projects of the memberships.
fn told(principal: &Principal) -> Json {
    let json = |value: &Value| {
        let mut json = Vec::new();
        value.write_json(&mut json);
        serde_json::from_slice::<Json>(&json).unwrap()
    };
    let RelatedRecords::Records(memberships) = principal.related("Membership") else {
        return json!("too many");
    };
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
    assert_eq!(of(&person("ada")).value.related("Membership"), &RelatedRecords::TooMany);
    studio.commit([create("Project", 3, vec![Value::Null]), delete("Membership", 1_000)]).await.unwrap();
    assert!(
        matches!(of(&person("ada")).value.related("Membership"), RelatedRecords::Records(all) if all.len() == 1_000)
    );
}
