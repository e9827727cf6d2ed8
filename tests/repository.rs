//! The Repository over its seam: what it does when the store is busy, closed, full, or of another mind about the schema.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tidewire::auth::Identity;
use tidewire::protocol::{Code, Retry};
use tidewire::repository::{Body, Current, Mutation, Repository, RepositoryError};
use tidewire::schema::{FieldIndex, Generation, Schema, Value};
use tidewire::store::{CommitError, Op, Outcome, Query, Stored, Unit};

use crate::support::app::TestApp;
use crate::support::entities;
use crate::support::puppet::Puppet;

fn caller(user: Option<&str>) -> Identity {
    Identity { user: user.map(Into::into), ..Identity::nobody(IpAddr::V4(Ipv4Addr::LOCALHOST)) }
}

fn over_puppet() -> (Arc<Puppet>, Repository) {
    let puppet = Arc::new(Puppet::default());
    let repository = puppet.repository();
    (puppet, repository)
}

fn body(json: serde_json::Value) -> Body {
    Body::parse(json.to_string().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_stale_unit_is_validated_once_more_and_not_forever() {
    let (puppet, repository) = over_puppet();
    let create = || Mutation::create("Task", body(json!({"title": "x"})));
    puppet.refusals.lock().push(CommitError::StaleGeneration);
    repository.write(&caller(None), create(), None).await.unwrap();
    assert_eq!(puppet.units.lock().len(), 2);

    puppet.refusals.lock().extend([CommitError::StaleGeneration, CommitError::StaleGeneration]);
    let refused = repository.write(&caller(None), create(), None).await.unwrap_err();
    assert_eq!(refused, RepositoryError::SchemaChanged);
    assert_eq!(puppet.units.lock().len(), 4);
}

#[tokio::test]
async fn mutations_that_meet_a_new_schema_are_repeated_in_their_order() {
    let (puppet, repository) = over_puppet();
    let ops: Vec<_> =
        ["a", "b", "c"].map(|title| (Mutation::create("Task", body(json!({"title": title}))), None)).into();
    // The last is given first: the first unit is committed, the two behind it are stale, then one id is taken.
    puppet.refusals.lock().extend([
        CommitError::IdTaken { op: 0 },
        CommitError::StaleGeneration,
        CommitError::StaleGeneration,
        CommitError::IdTaken { op: 0 },
    ]);
    let results = repository.each(&caller(None), &ops).await;
    let codes: Vec<_> =
        results.iter().map(|result| result.as_ref().err().map(RepositoryError::code)).collect();
    assert_eq!(codes, [Some(Code::IdTaken), Some(Code::IdTaken), None]);
    let units = puppet.units.lock();
    let titles: Vec<_> = units
        .iter()
        .map(|unit| match &unit.ops[0] {
            Op::Create { values, .. } => values[0].clone(),
            Op::Update { .. } | Op::Delete { .. } | Op::Many(_) | Op::Lease(_) => {
                panic!("only creates were asked for")
            }
        })
        .collect();
    assert_eq!(titles, ["a", "b", "c", "b", "c"].map(|title| Value::Text(title.to_owned())));
}

#[tokio::test]
async fn an_adopted_schema_applies_from_the_next_request() {
    let (puppet, repository) = over_puppet();
    let create = Mutation::create("Task", body(json!({"title": "x"})));
    repository.adopt(Current { schema: Arc::new(Schema::default()), generation: Generation(2) });
    let refused = repository.write(&caller(None), create, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::UnknownEntity);
    assert!(puppet.units.lock().is_empty());
}

#[tokio::test]
async fn every_refusal_of_the_store_has_a_code_and_no_secret() {
    let op = 0;
    let current = Stored { version: 7, json: Bytes::from_static(b"{}") };
    for (refusal, code) in [
        (CommitError::NotFound { op }, Code::NotFound),
        (CommitError::VersionConflict { op, current }, Code::VersionConflict),
        (CommitError::IdTaken { op }, Code::IdTaken),
        (CommitError::NotUnique { op, fields: vec!["title".into()] }, Code::NotUnique),
        (CommitError::UnknownReference { op, field: "project".into() }, Code::UnknownReference),
        (CommitError::Restricted { op, entity: Some("Comment".into()) }, Code::Restricted),
        (CommitError::CascadeTooLarge { op, limit: 9 }, Code::CascadeTooLarge),
        (CommitError::UnitTooLarge { entries: 9, bytes: 9 }, Code::UnitTooLarge),
        (CommitError::MutationReused, Code::IdempotencyMismatch),
        (CommitError::Overloaded, Code::Overloaded),
        (CommitError::Closed, Code::ShuttingDown),
        (CommitError::StorageFull, Code::StorageFull),
        (CommitError::ReadOnly, Code::ReadOnly),
        (CommitError::Storage("secret detail".to_owned()), Code::StorageError),
    ] {
        let (puppet, repository) = over_puppet();
        puppet.refusals.lock().push(refusal);
        let create = Mutation::create("Task", body(json!({"title": "x"})));
        let refused = repository.write(&caller(None), create, None).await.unwrap_err();
        assert_eq!(refused.code(), code);
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }
}

#[tokio::test]
async fn the_same_request_has_the_same_hash_whatever_its_form() {
    let (puppet, repository) = over_puppet();
    let id = "0190a000-0000-7000-8000-00000000000a";
    let update = |id: &str, text: &str| Mutation::update("Task", id, Body::parse(text.as_bytes()).unwrap());
    let one = r#"{"title":"x","priority":1}"#;
    for mutation in [
        update(id, one),
        update(&id.to_uppercase(), r#" {"priority" : 1, "title" : "\u0078"} "#),
        update(id, r#"{"id":"0190A000-0000-7000-8000-00000000000A","title":"x","priority":1}"#),
        update(id, r#"{"title":"x","priority":2}"#),
        update(id, one).if_version(Some(1)),
        Mutation::replace("Task", id, Body::parse(one.as_bytes()).unwrap()),
        Mutation::create("Task", Body::parse(one.as_bytes()).unwrap()),
        Mutation::create("Task", Body::parse(one.as_bytes()).unwrap()),
        Mutation::delete("Task", id),
    ] {
        repository.write(&caller(Some("ann")), mutation, Some("m".parse().unwrap())).await.unwrap();
    }
    let hash = |unit: &Unit| unit.idempotency.as_ref().unwrap().hash;
    let hashes: Vec<[u8; 32]> = puppet.units.lock().iter().map(hash).collect();
    assert!(hashes[0] == hashes[1] && hashes[0] == hashes[2], "three forms of one request");
    assert_eq!(hashes[6], hashes[7], "the id that the server chooses is not part of the request");
    for other in [3, 4, 5, 6, 8] {
        assert_ne!(hashes[0], hashes[other], "request {other} is another one");
    }
}

#[tokio::test]
async fn a_create_is_complete_and_an_update_names_what_it_sets() {
    let (puppet, repository) = over_puppet();
    let create = Mutation::create("Sample", body(json!({"at": "2026-11-21T10:00:00+02:00", "ratio": 1})));
    repository.write(&caller(Some("ann")), create, None).await.unwrap();
    let id = "0190a000-0000-7000-8000-00000000000a";
    let patch = Mutation::update("Sample", id, body(json!({"on": true, "day": null})));
    repository.write(&caller(None), patch, None).await.unwrap();

    let units = puppet.units.lock();
    let Op::Create { values, fresh_id, .. } = &units[0].ops[0] else { panic!("{:?}", units[0].ops) };
    assert!(*fresh_id);
    assert_eq!(values[5], Value::Text("2026-11-21T08:00:00.000Z".to_owned()));
    assert_eq!(values[2], Value::Float(1.0));
    let now = units[0].at.rfc3339();
    assert_eq!(values[9], Value::Text(now.clone()));
    assert_eq!(values[10], Value::Text(now[..10].to_owned()));
    let Op::Update { set, .. } = &units[1].ops[0] else { panic!("{:?}", units[1].ops) };
    assert_eq!(
        set.as_slice(),
        [(FieldIndex(4), Value::Null), (FieldIndex(3), Value::Bool(true))]
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
    assert_eq!(units[1].actor, None);
    assert_eq!(units[0].actor.as_deref(), Some("ann"));
}

#[tokio::test]
async fn a_user_record_is_stored_once_and_again_after_its_delete() {
    let (puppet, repository) = over_puppet();
    repository.ensure_user(&caller(None)).await.unwrap();
    assert!(puppet.units.lock().is_empty(), "nobody in particular has no record");
    repository.ensure_user(&caller(Some("ann"))).await.unwrap();
    puppet.users.lock().push("ann".to_owned());
    repository.ensure_user(&caller(Some("ann"))).await.unwrap();
    assert_eq!(puppet.units.lock().len(), 1);
    puppet.users.lock().clear();
    repository.ensure_user(&caller(Some("ann"))).await.unwrap();
    assert_eq!(puppet.units.lock().len(), 2);
    puppet.refusals.lock().push(CommitError::IdTaken { op: 0 });
    repository.ensure_user(&caller(Some("ann"))).await.expect("another request was quicker");
}

/// Each refusal that is the server's trouble, and whether a read continues behind it. A refusal of the record itself is reported.
#[tokio::test]
async fn a_read_succeeds_if_the_user_record_cannot_be_stored() {
    let trouble = [
        CommitError::StorageFull,
        CommitError::ReadOnly,
        CommitError::Storage("the disk is gone".to_owned()),
        CommitError::Overloaded,
        CommitError::Closed,
    ];
    let (puppet, repository) = over_puppet();
    for refusal in trouble {
        puppet.refusals.lock().extend([refusal.clone(), refusal.clone()]);
        let written = repository.ensure_user(&caller(Some("ann"))).await.unwrap_err();
        assert_eq!(written.code().retry(), Retry::Later, "{refusal}");
        repository.ensure_reader(&caller(Some("ann"))).await.unwrap_or_else(|error| panic!("{error}"));
    }
    let before = puppet.units.lock().len();
    repository.ensure_reader(&caller(Some("ann"))).await.unwrap();
    assert_eq!(puppet.units.lock().len(), before + 1, "every read_scope tries again");
    puppet.refusals.lock().push(CommitError::NotUnique { op: 0, fields: vec!["name".into()] });
    let refused = repository.ensure_reader(&caller(Some("ann"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotUnique);
}

#[tokio::test]
async fn a_failing_read_is_logged_and_its_cause_not_sent() {
    let (_, repository) = over_puppet();
    let query = Query::all("Task", Generation(1), 1);
    let failed = repository.list(query).await.unwrap_err();
    assert_eq!((failed.code(), failed.cause().as_deref()), (Code::Internal, Some("secret detail")));
    assert!(!failed.to_string().contains("secret"));
}

#[tokio::test]
async fn a_batch_commits_whole_or_not_at_all() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let task = |title: &str| Mutation::create("Task", body(json!({"title": title})));
    let before = app.head();
    let broken = [task("a"), Mutation::delete("Task", "0190a000-0000-7000-8000-0000000000ff")];
    let refused = app.repository.batch(&caller(None), &broken, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert!(app.rows("tasks").await.is_empty());

    let mid = || Some("batch-1".parse().unwrap());
    let whole = [task("a"), task("b")];
    let first = app.repository.batch(&caller(None), &whole, mid()).await.unwrap();
    assert_eq!((first.results.len(), first.seq.0), (2, before + 2));
    let again = app.repository.batch(&caller(None), &whole, mid()).await.unwrap();
    assert!(again.replayed);
    let ids = |outcome: &Outcome| outcome.results.iter().map(|result| result.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&again));
    assert_eq!(app.rows("tasks").await.len(), 2);
}
