//! Writes under rules, at the store: each is judged inside its transaction, and what may not be seen is as if it were missing.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::ids::{RecordId, Timestamp};
use tidewire::rules::{Asker, BindError};
use tidewire::schema::{FieldIndex, Operation, Schema, Value};
use tidewire::store::{CommitError, Idempotency, Op, OpStatus, Unit};

use crate::support::club::{
    MISSING, OWNER, PROJECT, SECRET, STATUS, ask, asked, club, club_over, comment, further, member, mine,
    rule, schema, shown, task, titled,
};
use crate::support::fixture::Fixture;
use crate::support::studio::{Studio, at_version, create, delete, id, link, named, update, words};

fn forbidden(op: usize, operation: Operation) -> CommitError {
    CommitError::Forbidden { op, operation }
}

/// A PUT: every field that may be written, and which of them the request left out.
fn put(n: u128, values: [Value; 5], omitted: &[FieldIndex]) -> Op {
    let set = (0..).map(FieldIndex).zip(values).collect();
    Op::Update { entity: "Task".into(), id: id(n), set, omitted: omitted.to_vec(), if_version: None }
}

fn stored(studio: &Studio, n: u128) -> Json {
    serde_json::from_str(&studio.json("Task", &id(n)).unwrap()).unwrap()
}

pub(super) async fn each_operation_is_granted_by_its_own_rule<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("ada")), task(22, 1, None), task(23, 2, Some("dan"))]).await.unwrap();
    let not_found = || Err(CommitError::NotFound { op: 0 });
    let no = |operation| Err(forbidden(0, operation));
    let unknown = |field: &str| Err(CommitError::UnknownReference { op: 0, field: field.into() });
    let cases = [
        ("ada", task(31, 1, None), Ok(OpStatus::Created)),
        ("bo", task(32, 1, None), Ok(OpStatus::Created)),
        ("bo", task(33, 2, None), unknown("project")),
        ("cy", task(34, 1, None), unknown("project")),
        ("ada", titled(22, "an editor may"), Ok(OpStatus::Updated)),
        ("bo", titled(22, "a viewer may not"), no(Operation::Update)),
        ("bo", titled(22, "a task"), no(Operation::Update)),
        ("cy", titled(22, "sees nothing"), not_found()),
        ("dan", titled(22, "sees only project 2"), not_found()),
        ("ada", titled(22, "an editor may"), Ok(OpStatus::Unchanged)),
        ("bo", delete("Task", 21), no(Operation::Delete)),
        ("dan", delete("Task", 21), not_found()),
        ("ada", delete("Task", 21), Ok(OpStatus::Deleted)),
        ("ada", delete("Task", 21), not_found()),
    ];
    for (name, op, expected) in cases {
        let (told, head) = (format!("{name}: {op:?}"), studio.head());
        let answer = ask(&studio, name, [op]).await.map(|outcome| outcome.results[0].status);
        let wrote = matches!(answer, Ok(OpStatus::Created | OpStatus::Updated | OpStatus::Deleted));
        assert_eq!(answer, expected, "{told}");
        assert_eq!(studio.head(), head + u64::from(wrote), "{told}");
    }
}

/// Who may add members is an editor already: a membership does not give the right to create itself.
pub(super) async fn a_create_is_judged_by_what_was_there_before_it<F: Fixture>() {
    let studio = club_over::<F>(further(&schema())).await;
    let (head, no) = (studio.head(), Err(forbidden(0, Operation::Create)));
    assert_eq!(ask(&studio, "bo", [member(14, "bo", 1, "editor")]).await, no);
    assert_eq!(studio.head(), head);
    let by_an_editor = ask(&studio, "ada", [member(14, "bo", 1, "editor")]).await.unwrap();
    assert_eq!(by_an_editor.results[0].status, OpStatus::Created);
    // From here on bo is one too.
    let by_the_new_one = ask(&studio, "bo", [member(15, "cy", 1, "viewer")]).await.unwrap();
    assert_eq!(by_the_new_one.results[0].status, OpStatus::Created);
}

pub(super) async fn nobody_and_a_disabled_account_may_nothing<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("ada"))]).await.unwrap();
    let nobody = |op| Unit { asker: Asker::Person(Arc::default()), ..asked("", [op]) };
    let unknown = || Err(CommitError::UnknownReference { op: 0, field: "project".into() });
    assert_eq!(studio.store.commit(nobody(task(22, 1, None))).await, unknown());
    assert_eq!(studio.store.commit(nobody(delete("Task", 21))).await, Err(CommitError::NotFound { op: 0 }));

    let disable = |flag| Op::Update {
        entity: "User".into(),
        id: RecordId::stored("ada"),
        set: vec![(FieldIndex(2), Value::Bool(flag))],
        omitted: Vec::new(),
        if_version: None,
    };
    studio.commit([disable(true)]).await.unwrap();
    assert_eq!(ask(&studio, "ada", [delete("Task", 21)]).await, Err(CommitError::NotFound { op: 0 }));
    assert_eq!(ask(&studio, "ada", [task(22, 1, None)]).await, unknown());
    studio.commit([disable(false)]).await.unwrap();
    ask(&studio, "ada", [delete("Task", 21)]).await.unwrap();
}

/// Red if the answer to a hidden record differs in anything from that to a missing one.
pub(super) async fn what_is_hidden_is_answered_as_if_it_were_missing<F: Fixture>() {
    let studio = club::<F>().await;
    // Task 23 is hidden from Ada; there is no other.
    studio.commit([task(21, 1, Some("ada")), task(23, 2, Some("dan")), comment(41, 23)]).await.unwrap();
    let ops: [fn(u128) -> Op; 8] = [
        |n| titled(n, "x"),
        |n| at_version(titled(n, "x"), 1),
        |n| at_version(titled(n, "x"), 9),
        |n| put(n, [words("x"), link(1), Value::Null, Value::Null, Value::Null], &[]),
        |n| delete("Task", n),
        |n| at_version(delete("Task", n), 9),
        |n| comment(42, n),
        |n| create("Bill", 43, vec![link(n)]),
    ];
    for (place, op) in ops.into_iter().enumerate() {
        let hidden = ask(&studio, "ada", [op(23)]).await.unwrap_err();
        let missing = ask(&studio, "ada", [op(MISSING)]).await.unwrap_err();
        assert_eq!(hidden, missing, "{place}");
        let hidden = ask(&studio, "ada", [titled(21, "y"), op(23)]).await.unwrap_err();
        let missing = ask(&studio, "ada", [titled(21, "y"), op(MISSING)]).await.unwrap_err();
        assert_eq!(hidden, missing, "{place} in a batch");
    }
    let comment_of = |n| update("Comment", 44, [(FieldIndex(0), link(n))]);
    studio.commit([comment(44, 21)]).await.unwrap();
    let hidden = ask(&studio, "ada", [comment_of(23)]).await.unwrap_err();
    assert_eq!(hidden, ask(&studio, "ada", [comment_of(MISSING)]).await.unwrap_err());
}

/// Red if a rule is judged by what is copied from a record that the writer may not read.
pub(super) async fn a_rule_tells_nothing_of_what_a_lookup_would_copy_from_a_hidden_record<F: Fixture>() {
    // A member of a project does not see its tasks, only those that they own.
    let schema = Schema::new(schema().entities().map(|entity| {
        let mut entity = (**entity).clone();
        if &*entity.name == "Task" {
            entity.access.read = rule(mine(OWNER));
        }
        entity
    }));
    let studio = club_over::<F>(schema).await;
    studio.commit([task(21, 1, Some("bo")), task(22, 1, Some("ada"))]).await.unwrap();
    let hidden = ask(&studio, "ada", [comment(41, 21)]).await;
    assert_eq!(hidden, ask(&studio, "ada", [comment(41, MISSING)]).await);
    assert!(hidden.is_err());
    ask(&studio, "ada", [comment(41, 22)]).await.unwrap();
    let moved = |n| update("Comment", 41, [(FieldIndex(0), link(n))]);
    let hidden = ask(&studio, "ada", [moved(21)]).await;
    assert_eq!(hidden, ask(&studio, "ada", [moved(MISSING)]).await);
    assert!(hidden.is_err());
}

pub(super) async fn a_lookup_is_copied_before_the_rule_is_asked<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, None), task(22, 1, None), task(23, 2, None)]).await.unwrap();
    let made = ask(&studio, "bo", [comment(41, 21)]).await.unwrap();
    assert_eq!(shown(&made).unwrap()["project"], json!(id(1).as_str()));
    let moved = ask(&studio, "bo", [update("Comment", 41, [(FieldIndex(0), link(22))])]).await;
    assert_eq!(moved.unwrap().results[0].status, OpStatus::Updated);
    // Without a task there is no project, and so no right.
    let homeless = ask(&studio, "bo", [update("Comment", 41, [(FieldIndex(0), Value::Null)])]).await;
    assert_eq!(homeless, Err(forbidden(0, Operation::Update)));
}

pub(super) async fn answers_show_what_the_writer_sees<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("bo"))]).await.unwrap();
    let answer = ask(&studio, "ada", [titled(21, "new")]).await.unwrap();
    let record = shown(&answer).unwrap();
    assert_eq!((record.get("secret"), &record["title"]), (None, &json!("new")));
    let unchanged = ask(&studio, "ada", [titled(21, "new")]).await.unwrap();
    assert_eq!(shown(&unchanged).unwrap(), record);

    let conflict = ask(&studio, "ada", [at_version(titled(21, "newer"), 7)]).await.unwrap_err();
    let CommitError::VersionConflict { op: 0, current } = conflict else { panic!("{conflict:?}") };
    assert_eq!(serde_json::from_slice::<Json>(&current.json).unwrap(), record);
    assert_eq!(current.version, 2);
    // The version is compared before the rule is asked, but only where the record is seen.
    let conflict = ask(&studio, "bo", [at_version(delete("Task", 21), 7)]).await.unwrap_err();
    let CommitError::VersionConflict { current, .. } = conflict else { panic!("{conflict:?}") };
    assert_eq!(serde_json::from_slice::<Json>(&current.json).unwrap()["secret"], json!("hush"));
}

pub(super) async fn an_update_may_take_the_record_out_of_the_writers_sight<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 2, Some("bo"))]).await.unwrap();
    let given = ask(&studio, "bo", [update("Task", 21, [(OWNER, words("dan"))])]).await.unwrap();
    assert_eq!((given.results[0].status, shown(&given)), (OpStatus::Updated, None));
    assert_eq!(ask(&studio, "bo", [titled(21, "gone")]).await, Err(CommitError::NotFound { op: 0 }));
    assert_eq!(stored(&studio, 21)["owner"], json!("dan"));
}

/// Red if a PUT drops what the writer does not see.
pub(super) async fn a_put_keeps_the_fields_that_the_writer_does_not_see<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("bo"))]).await.unwrap();
    let values = |title: &str| [words(title), link(1), words("bo"), Value::Null, words("open")];
    let answer = ask(&studio, "ada", [put(21, values("kept"), &[SECRET])]).await.unwrap();
    assert_eq!(answer.results[0].status, OpStatus::Updated);
    assert_eq!(
        (&stored(&studio, 21)["title"], &stored(&studio, 21)["secret"]),
        (&json!("kept"), &json!("hush"))
    );
    // Named, it is written, seen or not.
    ask(&studio, "ada", [update("Task", 21, [(SECRET, words("new"))])]).await.unwrap();
    assert_eq!(stored(&studio, 21)["secret"], json!("new"));
    // A caller who guesses its value learns nothing by writing it.
    let version = stored(&studio, 21)["version"].as_u64().unwrap();
    let guessed = ask(&studio, "ada", [update("Task", 21, [(SECRET, words("new"))])]).await.unwrap();
    assert_eq!(guessed.results[0].status, OpStatus::Updated);
    assert_eq!(stored(&studio, 21)["version"], version + 1);
    let known = ask(&studio, "bo", [update("Task", 21, [(SECRET, words("new"))])]).await.unwrap();
    assert_eq!(known.results[0].status, OpStatus::Unchanged);
    ask(&studio, "ada", [put(21, values("kept"), &[])]).await.unwrap();
    assert_eq!(stored(&studio, 21)["secret"], Json::Null);
    // A user who sees it empties it by leaving it out.
    studio.commit([update("Task", 21, [(SECRET, words("hush"))])]).await.unwrap();
    ask(&studio, "bo", [put(21, values("emptied"), &[SECRET])]).await.unwrap();
    assert_eq!(stored(&studio, 21)["secret"], Json::Null);
}

/// Red if `change.status` is the stored value, or a field that is kept counts as named.
pub(super) async fn a_rule_asks_for_the_value_after_the_write_and_whether_the_request_names_it<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("bo")), task(22, 1, Some("ada"))]).await.unwrap();
    let status = |n, value: &str| update("Task", n, [(STATUS, words(value))]);
    ask(&studio, "ada", [status(21, "doing")]).await.unwrap();
    assert_eq!(ask(&studio, "ada", [status(21, "done")]).await, Err(forbidden(0, Operation::Update)));
    ask(&studio, "ada", [status(22, "done")]).await.unwrap();
    studio.commit([status(21, "done")]).await.unwrap();
    // Done already: what is not named is not asked for.
    ask(&studio, "ada", [titled(21, "renamed")]).await.unwrap();
    let values = [words("put"), link(1), words("bo"), Value::Null, words("done")];
    let named = ask(&studio, "ada", [put(21, values.clone(), &[SECRET])]).await;
    assert_eq!(named, Err(forbidden(0, Operation::Update)));
    // A field that the writer sees is named by a PUT that leaves it out.
    let omitted = ask(&studio, "ada", [put(21, values, &[SECRET, STATUS])]).await;
    assert_eq!(omitted, Err(forbidden(0, Operation::Update)));
}

/// Red if what was read of a person is kept while the batch changes it.
pub(super) async fn an_operation_has_the_rights_that_an_earlier_one_of_its_batch_gave_or_took<F: Fixture>() {
    let studio = club::<F>().await;
    let grant = member(51, "root", 2, "editor");
    let early = ask(&studio, "root", [task(21, 2, None), grant.clone()]).await;
    assert_eq!(early, Err(forbidden(0, Operation::Create)));
    let head = studio.head();
    let granted = ask(&studio, "root", [grant, task(21, 2, None)]).await.unwrap();
    assert_eq!(granted.results.len(), 2);
    let taken = ask(&studio, "root", [task(22, 2, None), delete("Membership", 51), task(23, 2, None)]).await;
    assert_eq!(taken, Err(forbidden(2, Operation::Create)));
    assert_eq!(studio.head(), head + 2, "nothing of the batch stays");
    let taken = ask(&studio, "root", [titled(21, "last"), delete("Membership", 51)]).await.unwrap();
    assert!(taken.results[0].record.is_some(), "seen before the right was gone");

    let demote = Op::Update {
        entity: "User".into(),
        id: RecordId::stored("root"),
        set: vec![(FieldIndex(1), Value::Null)],
        omitted: Vec::new(),
        if_version: None,
    };
    let refused = ask(&studio, "root", [demote.clone(), member(52, "cy", 1, "editor")]).await;
    assert_eq!(refused, Err(CommitError::UnknownReference { op: 1, field: "project".into() }));
    ask(&studio, "root", [member(52, "cy", 1, "editor"), demote]).await.unwrap();
}

pub(super) async fn a_reference_leads_only_to_what_the_writer_may_read<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("ada")), task(22, 2, Some("ada"))]).await.unwrap();
    let unknown = || Err(CommitError::UnknownReference { op: 0, field: "project".into() });
    assert_eq!(ask(&studio, "ada", [update("Task", 21, [(PROJECT, link(2))])]).await, unknown());
    // Project 2 is hidden from Ada, though her own task is in it: what stays as it is is not asked for.
    let values = [words("x"), link(2), words("ada"), words("hush"), words("open")];
    ask(&studio, "ada", [put(22, values, &[])]).await.unwrap();
    ask(&studio, "ada", [update("Task", 22, [(PROJECT, link(1))])]).await.unwrap();
    assert_eq!(ask(&studio, "ada", [update("Task", 22, [(PROJECT, link(2))])]).await, unknown());
}

pub(super) async fn a_cascade_needs_no_right_on_what_goes_and_what_gives_rights_goes_last<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("ada")), comment(41, 21), task(22, 1, None)]).await.unwrap();
    let head = studio.head();
    ask(&studio, "root", [delete("Project", 1)]).await.unwrap();
    assert_eq!(
        studio.story(head),
        [
            "delete comment:29",
            "delete task:15",
            "delete task:16",
            "delete project:1",
            "delete membership:b",
            "delete membership:c"
        ]
    );
    let last = studio.log(head).pop().unwrap();
    assert!(last.unit_last && last.actor.as_deref() == Some("root"));
    // A person is what their memberships hang on, and a rights entry as well.
    let head = studio.head();
    let dan = Op::Delete { entity: "User".into(), id: RecordId::stored("dan"), if_version: None };
    ask(&studio, "root", [dan]).await.unwrap();
    assert_eq!(studio.story(head), ["delete membership:d", "delete user:dan"]);
}

pub(super) async fn a_delete_that_is_restricted_names_no_entity_that_is_closed<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("ada")), task(22, 1, Some("ada"))]).await.unwrap();
    studio.commit([create("Ledger", 61, vec![link(21)]), create("Bill", 62, vec![link(22)])]).await.unwrap();
    let restricted =
        |entity: Option<&str>| Err(CommitError::Restricted { op: 0, entity: entity.map(Into::into) });
    assert_eq!(ask(&studio, "ada", [delete("Task", 21)]).await, restricted(None));
    assert_eq!(ask(&studio, "ada", [delete("Task", 22)]).await, restricted(Some("Bill")));
    assert_eq!(studio.commit([delete("Task", 21)]).await, restricted(Some("Ledger")));
}

/// Red if an answer is replayed with the rights of then.
pub(super) async fn a_mutation_is_replayed_under_the_rights_of_today<F: Fixture>() {
    let studio = club::<F>().await;
    let keyed = || {
        let key = Idempotency { owner: "user:bo".into(), mid: "m-1".parse().unwrap(), hash: [1; 32] };
        Unit { idempotency: Some(key), ..asked("bo", [task(21, 1, Some("bo"))]) }
    };
    let first = studio.store.commit(keyed()).await.unwrap();
    assert_eq!(shown(&first).unwrap()["secret"], json!("hush"));
    studio.commit([update("Task", 21, [(OWNER, words("ada"))])]).await.unwrap();
    let again = studio.store.commit(keyed()).await.unwrap();
    assert!(again.replayed && shown(&again).unwrap().get("secret").is_none());
    studio.commit([delete("Membership", 12)]).await.unwrap();
    let again = studio.store.commit(keyed()).await.unwrap();
    assert_eq!((again.replayed, &again.results[0].id, shown(&again)), (true, &id(21), None));
}

pub(super) async fn a_rule_that_asks_for_too_many_records_says_so<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("ada"))]).await.unwrap();
    studio.commit((0..1_000).map(|n| member(1_000 + n, "ada", 1, "editor"))).await.unwrap();
    let error = BindError::SetTooLarge { entity: "Membership".into() };
    assert_eq!(ask(&studio, "ada", [titled(21, "x")]).await, Err(CommitError::Rule { op: 0, error }));
    studio.commit([delete("Membership", 1_000)]).await.unwrap();
    ask(&studio, "ada", [titled(21, "x")]).await.unwrap();
}

pub(super) async fn an_unseen_write_is_committed_though_it_makes_the_rules_fail<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit((0..1_000).map(|n| member(1_000 + n, "root", 1, "editor"))).await.unwrap();
    // The last one makes the set too large for every rule that asks for it, among them those that show a project.
    let answer = ask(&studio, "root", [member(2_000, "root", 2, "editor")]).await.unwrap();
    assert_eq!(shown(&answer).unwrap()["user"], json!("root"), "a membership is read without the set");
}

pub(super) async fn the_server_itself_is_judged_by_no_rule<F: Fixture>() {
    let studio = club::<F>().await;
    let unit =
        named("m-1", 1, [task(21, 2, None), delete("Task", 21), create("Ledger", 61, vec![Value::Null])]);
    let unit = Unit { at: Timestamp(0), ..unit };
    assert_eq!(studio.store.commit(unit).await.unwrap().results.len(), 3);
}
