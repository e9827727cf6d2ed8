//! Lookup fields: copied on every write and in step at every position, with a log entry for each record that follows.

use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::schema::{Field, FieldIndex, Lookup, OnDelete, Schema, Value};
use tidewire::store::{Change, CommitError, OpStatus};

use crate::support::chain::*;
use crate::support::fixture::Fixture;
use crate::support::studio::{
    Studio, at_version, create, delete, entity, field, id, link, named, refers, text, update, words,
};

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

/// Org 1 ← project 2 ← task 3 ← comment 4, and org 9.
async fn chain(studio: &Studio) {
    let ops = [
        make("Org", 1, [(NAME, words("acme"))]),
        make("Project", 2, [(NAME, words("site")), (ORG, link(1))]),
        make("Task", 3, [(TITLE, words("write")), (PROJECT, link(2))]),
        make("Comment", 4, [(BODY, words("why")), (TASK, link(3))]),
        make("Org", 9, [(NAME, words("nine"))]),
    ];
    studio.commit(ops).await.unwrap();
}

fn json_of(studio: &Studio, entity: &str, n: u128) -> Json {
    serde_json::from_str(&studio.json(entity, &id(n)).unwrap()).unwrap()
}

/// Some fields of a record, as an object.
fn fields(studio: &Studio, entity: &str, n: u128, names: &[&str]) -> Json {
    let record = json_of(studio, entity, n);
    names
        .iter()
        .map(|name| ((*name).to_owned(), record[*name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn changed(change: &Change) -> Json {
    serde_json::from_slice(change.changed.as_ref().unwrap()).unwrap()
}

fn uuid(n: u128) -> Json {
    id(n).as_str().into()
}

pub(super) async fn a_new_record_has_its_lookups<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    assert_eq!(json_of(&studio, "Project", 2)["org_name"], "acme");
    let names = ["org", "org_name", "parent_title"];
    assert_eq!(
        fields(&studio, "Task", 3, &names),
        json!({"org": uuid(1), "org_name": "acme", "parent_title": null})
    );
    let names = ["project", "org", "task_org", "org_name", "parent_title"];
    assert_eq!(
        fields(&studio, "Comment", 4, &names),
        json!({"project": uuid(2), "org": uuid(1), "task_org": uuid(1), "org_name": "acme", "parent_title": null})
    );
    let created = studio.commit([make("Comment", 5, [(TASK, link(3)), (REPLY, link(4))])]).await.unwrap();
    let json = created.results[0].record.clone().unwrap().json;
    assert_eq!(json, studio.json("Comment", &id(5)).unwrap(), "the answer has them too");
    assert_eq!(studio.log(5)[0].after, Some(json));
    assert_eq!(json_of(&studio, "Comment", 5)["reply_body"], "why");
    studio.commit([make("Comment", 6, [])]).await.unwrap();
    assert_eq!(json_of(&studio, "Comment", 6)["project"], Json::Null);
}

pub(super) async fn a_ref_that_moves_takes_its_lookups_along<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    studio
        .commit([make("Project", 7, [(ORG, link(9))]), make("Task", 8, [(PROJECT, link(7))])])
        .await
        .unwrap();
    let moved = studio.commit([update("Comment", 4, [(TASK, link(8))])]).await.unwrap();
    let entry = studio.log(7).remove(0);
    assert_eq!(changed(&entry), json!(["task", "org_name", "org", "task_org", "project"]));
    assert_eq!((moved.results[0].record.as_ref().unwrap().version, studio.head()), (2, 8), "one entry");
    let names = ["project", "org", "task_org", "org_name"];
    assert_eq!(
        fields(&studio, "Comment", 4, &names),
        json!({"project": uuid(7), "org": uuid(9), "task_org": uuid(9), "org_name": "nine"})
    );
    studio.commit([update("Comment", 4, [(TASK, Value::Null)])]).await.unwrap();
    assert_eq!(
        fields(&studio, "Comment", 4, &names),
        json!({"project": null, "org": null, "task_org": null, "org_name": null})
    );
}

pub(super) async fn a_change_reaches_the_end_of_the_chain<F: Fixture>() {
    let mut studio = F::open(schema(), &defaults());
    chain(&studio).await;
    studio.batches.next().await;
    let unit = named("m-1", 1, [update("Org", 1, [(NAME, words("emca"))])]);
    let outcome = studio.store.commit(unit).await.unwrap();
    // Task and comment both look at the project, so they are as far from the org.
    let story = ["update org:1", "update project:2", "update comment:4", "update task:3"];
    assert_eq!(studio.story(5), story, "by distance from the change, then by entity");
    assert_eq!((outcome.seq.0, outcome.results.len()), (9, 1));
    let entries = studio.log(5);
    for (place, entry) in entries.iter().enumerate().skip(1) {
        assert_eq!(changed(entry), json!(["org_name"]));
        assert_eq!(entry.before.as_ref().unwrap(), r#"{"org_name":"acme"}"#);
        let after: Json = serde_json::from_slice(entry.after.as_ref().unwrap()).unwrap();
        assert_eq!((&after["org_name"], &after["version"]), (&json!("emca"), &json!(2)));
        assert_eq!(
            (entry.actor.as_deref(), entry.mid.as_ref().map(|mid| mid.as_str())),
            (Some("ada"), Some("m-1"))
        );
        assert_eq!(entry.unit_last, place == 3, "one unit");
    }
    assert_eq!(studio.batches.next().await.changes, entries, "all of it is announced");
}

pub(super) async fn a_move_changes_each_follower_once<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    studio
        .commit([make("Task", 5, [(PARENT, link(3))]), make("Comment", 6, [(TASK, link(5))])])
        .await
        .unwrap();
    // The project's org reaches the comment by its project and by its task, at different distances.
    studio.commit([update("Project", 2, [(ORG, link(9))])]).await.unwrap();
    assert_eq!(studio.story(7), ["update project:2", "update task:3", "update comment:4"]);
    assert_eq!(changed(&studio.log(7)[0]), json!(["org", "org_name"]));
    assert_eq!(changed(&studio.log(7)[1]), json!(["org", "org_name"]));
    assert_eq!(changed(&studio.log(7)[2]), json!(["org_name", "org", "task_org"]));
    // A lookup of a lookup of the same entity, then of another.
    studio.commit([update("Task", 3, [(TITLE, words("read")), (PROJECT, Value::Null)])]).await.unwrap();
    assert_eq!(
        studio.story(10),
        ["update task:3", "update comment:4", "update task:5", "update comment:6"],
        "the same distance is ordered by entity and id"
    );
    assert_eq!(changed(&studio.log(10)[0]), json!(["title", "project", "org", "org_name"]));
    assert_eq!(json_of(&studio, "Comment", 6)["parent_title"], "read");
    the_log_tells_all(&studio);
}

pub(super) async fn a_record_may_look_itself_up<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([make("Task", 1, [(TITLE, words("a")), (PARENT, link(1))])]).await.unwrap();
    assert_eq!(json_of(&studio, "Task", 1)["parent_title"], "a");
    studio.commit([update("Task", 1, [(TITLE, words("b"))])]).await.unwrap();
    assert_eq!(json_of(&studio, "Task", 1)["parent_title"], "b");
    assert_eq!((studio.head(), changed(&studio.log(1)[0])), (2, json!(["title", "parent_title"])));
    // A ring of records is no ring of lookups.
    studio.commit([make("Task", 2, [(TITLE, words("c")), (PARENT, link(1))])]).await.unwrap();
    studio.commit([update("Task", 1, [(PARENT, link(2))])]).await.unwrap();
    studio.commit([update("Task", 1, [(TITLE, words("d"))])]).await.unwrap();
    assert_eq!(studio.story(4), ["update task:1", "update task:2"]);
    the_log_tells_all(&studio);
}

pub(super) async fn nobody_else_sets_a_lookup<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    let (org_name, project) = (FieldIndex(3), FieldIndex(6));
    let forged = [(TASK, link(3)), (org_name, words("forged")), (project, link(77))];
    studio.commit([make("Comment", 5, forged.clone())]).await.unwrap();
    assert_eq!(
        fields(&studio, "Comment", 5, &["org_name", "project"]),
        json!({"org_name": "acme", "project": uuid(2)})
    );
    let outcome = studio.commit([update("Comment", 5, forged)]).await.unwrap();
    assert_eq!((outcome.results[0].status, studio.head()), (OpStatus::Unchanged, 6));
}

pub(super) async fn what_is_not_looked_up_moves_nobody<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    studio.commit([update("Org", 1, [(MOTTO, words("more")), (NAME, words("acme"))])]).await.unwrap();
    studio.commit([update("Project", 2, [(NAME, words("app"))])]).await.unwrap();
    studio.commit([update("Comment", 4, [(BODY, words("because"))])]).await.unwrap();
    assert_eq!(studio.story(5), ["update org:1", "update project:2", "update comment:4"]);
    studio.commit([delete("Org", 9)]).await.unwrap();
    assert_eq!(studio.story(8), ["delete org:9"]);
}

pub(super) async fn a_reference_that_is_emptied_empties_its_lookups<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    studio.commit([delete("Org", 1)]).await.unwrap();
    assert_eq!(
        studio.story(5),
        ["update project:2", "update task:3", "update comment:4", "delete org:1"],
        "what stays comes first, by distance; then what goes"
    );
    assert_eq!(changed(&studio.log(5)[0]), json!(["org", "org_name"]));
    assert_eq!(
        fields(&studio, "Comment", 4, &["project", "org", "task_org", "org_name"]),
        json!({"project": uuid(2), "org": null, "task_org": null, "org_name": null})
    );
    the_log_tells_all(&studio);
}

pub(super) async fn what_goes_is_not_changed_before<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    // Task 5 stays and looks up task 3; comment 6 on task 5 looks up what task 5 looks up.
    studio
        .commit([make("Task", 5, [(PARENT, link(3))]), make("Comment", 6, [(TASK, link(5))])])
        .await
        .unwrap();
    studio.commit([make("Comment", 7, [(TASK, link(3)), (REPLY, link(4))])]).await.unwrap();
    studio.commit([delete("Project", 2)]).await.unwrap();
    assert_eq!(
        studio.story(8),
        [
            "update task:5",
            "update comment:6",
            "delete comment:4",
            "delete comment:7",
            "delete task:3",
            "delete project:2"
        ]
    );
    assert_eq!(json_of(&studio, "Comment", 6)["parent_title"], Json::Null);
    the_log_tells_all(&studio);
}

/// What goes with a box looks up a shelf that stays, and the shelf is changed because the box goes.
pub(super) async fn what_goes_follows_nothing_that_stays<F: Fixture>() {
    let copied = |via: usize, of: usize| {
        let lookup = Some(Lookup { via: FieldIndex(via), field: FieldIndex(of) });
        Field { lookup, readonly: true, ..field("box_name", text()) }
    };
    let shelf = vec![field("box", refers("Box", OnDelete::SetNull)), copied(0, 0)];
    let item = vec![
        field("box", refers("Box", OnDelete::Cascade)),
        field("shelf", refers("Shelf", OnDelete::SetNull)),
        copied(1, 1),
    ];
    let entities = [
        entity("User", "users", vec![field("name", text())]),
        entity("Box", "boxes", vec![field("name", text())]),
        entity("Shelf", "shelves", shelf),
        entity("Item", "items", item),
    ];
    let studio = F::open(Schema::new(entities), &defaults());
    let ops = [
        create("Box", 1, vec![words("red")]),
        create("Shelf", 2, vec![link(1), Value::Null]),
        create("Item", 3, vec![link(1), link(2), Value::Null]),
        create("Item", 4, vec![Value::Null, link(2), Value::Null]),
    ];
    studio.commit(ops).await.unwrap();
    studio.commit([delete("Box", 1)]).await.unwrap();
    assert_eq!(studio.story(4), ["update shelf:2", "update item:4", "delete item:3", "delete box:1"]);
    assert!(studio.json("Item", &id(4)).unwrap().contains(r#""box_name":null"#));
}

pub(super) async fn a_lookup_keeps_nobody_from_going<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    // `Comment.project` names the project and would restrict its delete, were it not a copy.
    studio.commit([delete("Project", 2)]).await.unwrap();
    assert_eq!(studio.story(5), ["delete comment:4", "delete task:3", "delete project:2"]);
    studio.commit([make("Task", 3, []), make("Invoice", 8, [(FieldIndex(0), link(3))])]).await.unwrap();
    let restricted = Err(CommitError::Restricted { op: 0, entity: Some("Invoice".into()) });
    assert_eq!(studio.commit([delete("Task", 3)]).await, restricted);
}

pub(super) async fn a_unit_of_several_ops_ends_in_step<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    chain(&studio).await;
    let ops = [
        update("Org", 1, [(NAME, words("x"))]),
        make("Task", 5, [(PROJECT, link(2)), (PARENT, link(3))]),
        make("Comment", 6, [(TASK, link(5)), (REPLY, link(4))]),
        update("Task", 3, [(TITLE, words("y"))]),
        update("Project", 2, [(ORG, link(9))]),
        delete("Task", 3),
        at_version(update("Org", 9, [(NAME, words("z"))]), 1),
    ];
    let outcome = studio.commit(ops.clone()).await.unwrap();
    let versions: Vec<u64> =
        outcome.results.iter().filter_map(|result| Some(result.record.as_ref()?.version)).collect();
    assert_eq!(versions, [2, 1, 1, 2 + 1, 3, 2], "the answer to an op is its record right after it");
    let names = ["org_name", "parent_title", "reply_body", "org"];
    assert_eq!(
        fields(&studio, "Comment", 6, &names),
        json!({"org_name": "z", "parent_title": null, "reply_body": null, "org": uuid(9)})
    );
    assert_eq!(studio.log(0).iter().filter(|change| change.unit_last).count(), 2);
    the_log_tells_all(&studio);
    // The last op fails: nothing of the others stays, nothing that followed them either.
    let before = studio.json("Comment", &id(6));
    let failing = [update("Org", 9, [(NAME, words("q"))]), delete("Task", 3)];
    assert_eq!(studio.commit(failing).await, Err(CommitError::NotFound { op: 1 }));
    assert_eq!(studio.json("Comment", &id(6)), before);
}

pub(super) async fn followers_count_as_a_cascade_does<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { cascade_records: 3, ..defaults() });
    let task = |n| make("Task", n, [(PROJECT, link(2))]);
    studio
        .commit([make("Org", 1, []), make("Project", 2, [(ORG, link(1))]), task(3), task(4)])
        .await
        .unwrap();
    studio.commit([update("Org", 1, [(NAME, words("three follow"))])]).await.unwrap();
    assert_eq!(studio.head(), 8);
    studio.commit([task(5)]).await.unwrap();
    let too_large = |op| Err(CommitError::CascadeTooLarge { op, limit: 3 });
    let before: Vec<_> = studio.log(0);
    assert_eq!(studio.commit([update("Org", 1, [(NAME, words("four"))])]).await, too_large(0));
    let both = [make("Org", 9, []), update("Org", 1, [(NAME, words("four"))])];
    assert_eq!(studio.commit(both).await, too_large(1));
    // The project loses its org, three tasks follow.
    assert_eq!(studio.commit([delete("Org", 1)]).await, too_large(0));
    assert_eq!(studio.log(0), before);
    assert_eq!(json_of(&studio, "Task", 3)["org_name"], "three follow");
    studio.commit([delete("Task", 5)]).await.unwrap();
    studio.commit([delete("Org", 1)]).await.unwrap();
    the_log_tells_all(&studio);
}

pub(super) async fn followers_count_against_the_unit<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { unit_entries: 3, ..defaults() });
    studio.commit([make("Org", 1, []), make("Project", 2, [(ORG, link(1))])]).await.unwrap();
    studio.commit([make("Task", 3, [(PROJECT, link(2))])]).await.unwrap();
    studio.commit([update("Org", 1, [(NAME, words("fits"))])]).await.unwrap();
    studio.commit([make("Task", 4, [(PROJECT, link(2))])]).await.unwrap();
    // The update alone in its unit: what it wrote before the bound was met is taken back.
    let refused = studio.commit([update("Org", 1, [(NAME, words("does not"))])]).await;
    assert!(matches!(refused, Err(CommitError::UnitTooLarge { entries: 3, .. })), "{refused:?}");
    assert_eq!((&json_of(&studio, "Org", 1)["name"], studio.head()), (&json!("fits"), 7));
    assert_eq!(json_of(&studio, "Task", 3)["org_name"], "fits");
    studio.commit([make("Org", 5, [])]).await.unwrap();
    the_log_tells_all(&studio);
}
