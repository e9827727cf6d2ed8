//! Leases of records: one holder, a number that only grows, and what a write under a lease owes (SEMANTICS Y6).

use tidewire::config::StoreConfig;
use tidewire::ids::Timestamp;
use tidewire::rules::Asker;
use tidewire::schema::{Access, Entity, Expr, FieldIndex, OnDelete, Operation, Schema};
use tidewire::store::{
    CommitError, LeaseAct, LeaseOp, LeaseProof, LeaseState, Many, ManyEdit, Op, OpStatus, Unit,
};

use crate::support::club::{asked, mine, person, rule, user_record};
use crate::support::fixture::Fixture;
use crate::support::studio::*;

const TITLE: FieldIndex = FieldIndex(0);
const OWNER: FieldIndex = FieldIndex(1);
const MINUTE: i64 = 60_000;
const UNTIL: Timestamp = Timestamp(NOON.0 + 5 * MINUTE);

/// A `Doc` is read by every user and updated by its owner, a `Note` by everyone; a `Part` goes with its doc.
fn schema(lease_required: bool) -> Schema {
    let open = || rule(Expr::Constant(true));
    let everybody =
        || Access { read: open(), create: open(), update: open(), delete: open(), ..Access::default() };
    let user = entity(
        "User",
        "users",
        vec![
            field("name", text()),
            field("role", text()),
            field("disabled", tidewire::schema::FieldKind::Bool),
        ],
    );
    let fields = vec![field("title", text()), field("owner", text())];
    let doc = Entity {
        access: Access { update: rule(mine(OWNER)), ..everybody() },
        ..entity("Doc", "docs", fields.clone())
    };
    let note = Entity { access: everybody(), lease_required, ..entity("Note", "notes", fields) };
    let part = Entity {
        access: everybody(),
        lease_required,
        ..entity("Part", "parts", vec![field("note", refers("Note", OnDelete::Cascade))])
    };
    Schema::new([user, doc, note, part])
}

async fn studio<F: Fixture>(lease_required: bool) -> Studio {
    let studio = F::open(schema(lease_required), &StoreConfig::default());
    let people = ["ada", "bo"].map(|name| user_record(name, tidewire::schema::Value::Null));
    let doc = create("Doc", 1, vec![words("a"), words("ada")]);
    let notes = [2, 3].map(|n| create("Note", n, vec![words("a"), tidewire::schema::Value::Null]));
    let part = create("Part", 4, vec![link(2)]);
    studio.commit(people.into_iter().chain([doc]).chain(notes).chain([part])).await.unwrap();
    studio
}

fn op(entity: &str, n: u128, act: LeaseAct) -> Op {
    Op::Lease(Box::new(LeaseOp { entity: entity.into(), id: id(n), act }))
}

/// What a user wants of a lease, at so many milliseconds after noon.
async fn wants(studio: &Studio, name: &str, at: i64, op: Op) -> Result<LeaseState, CommitError> {
    let unit = Unit { at: Timestamp(NOON.0 + at), ..asked(name, [op]) };
    let outcome = studio.store.commit(unit).await?;
    let OpStatus::Lease(state) = outcome.results[0].status else { panic!("{outcome:?}") };
    Ok(state)
}

fn fence(state: Result<LeaseState, CommitError>) -> u64 {
    match state {
        Ok(LeaseState::Held { fence, .. }) => fence,
        other => panic!("no lease: {other:?}"),
    }
}

async fn acquire(studio: &Studio, name: &str, entity: &str, n: u128) -> u64 {
    fence(wants(studio, name, 0, op(entity, n, LeaseAct::Acquire { until: UNTIL })).await)
}

/// A write of a user under a lease.
async fn writes(
    studio: &Studio,
    name: &str,
    at: i64,
    ops: Vec<Op>,
    fences: &[u64],
) -> Result<(), CommitError> {
    let leases = fences.iter().enumerate().map(|(op, fence)| LeaseProof { op, fence: *fence }).collect();
    let unit = Unit { at: Timestamp(NOON.0 + at), leases, ..asked(name, ops) };
    studio.store.commit(unit).await.map(drop)
}

fn titled(entity: &str, n: u128, title: &str) -> Op {
    update(entity, n, [(TITLE, words(title))])
}

const LOST: Result<(), CommitError> = Err(CommitError::LeaseLost { op: 0 });

pub(super) async fn a_lease_has_one_holder_and_a_number_that_grows<F: Fixture>() {
    let studio = studio::<F>(false).await;
    let first = acquire(&studio, "ada", "Note", 2).await;
    let held = wants(&studio, "bo", 0, op("Note", 2, LeaseAct::Acquire { until: UNTIL })).await;
    assert_eq!(held, Err(CommitError::LeaseHeld { op: 0, holder: "ada".into(), until: UNTIL }));
    let later = Timestamp(UNTIL.0 + MINUTE);
    let again = wants(&studio, "ada", 0, op("Note", 2, LeaseAct::Acquire { until: later })).await;
    assert_eq!(again, Ok(LeaseState::Held { fence: first, until: later }), "the holder keeps its number");
    let earlier =
        wants(&studio, "ada", 0, op("Note", 2, LeaseAct::Renew { fence: first, until: UNTIL })).await;
    assert_eq!(earlier, Ok(LeaseState::Held { fence: first, until: later }), "a renewal shortens nothing");

    let other = acquire(&studio, "bo", "Note", 3).await;
    assert!(other > first, "one counter for all records");
    for act in [
        LeaseAct::Renew { fence: first, until: UNTIL },
        LeaseAct::Release { fence: first },
        LeaseAct::Pass { fence: first, to: person("bo"), until: UNTIL },
    ] {
        let stranger = wants(&studio, "bo", 0, op("Note", 2, act.clone())).await;
        assert_eq!(stranger, Err(CommitError::LeaseLost { op: 0 }), "{act:?}");
    }
    let wrong = wants(&studio, "ada", 0, op("Note", 2, LeaseAct::Release { fence: first + 9 })).await;
    assert_eq!(wrong, Err(CommitError::LeaseLost { op: 0 }));
    assert_eq!(
        wants(&studio, "ada", 0, op("Note", 2, LeaseAct::Release { fence: first })).await,
        Ok(LeaseState::Free)
    );
    assert!(acquire(&studio, "bo", "Note", 2).await > other, "a number is never given twice");
}

pub(super) async fn a_stale_holder_writes_nothing<F: Fixture>() {
    let studio = studio::<F>(false).await;
    let stale = acquire(&studio, "ada", "Note", 2).await;
    assert_eq!(writes(&studio, "ada", 0, vec![titled("Note", 2, "b")], &[stale]).await, Ok(()));
    assert_eq!(writes(&studio, "bo", 0, vec![titled("Note", 2, "c")], &[stale]).await, LOST, "it is ada's");
    assert_eq!(
        writes(&studio, "ada", 0, vec![titled("Note", 3, "c")], &[stale]).await,
        LOST,
        "of another record"
    );
    let after = 5 * MINUTE;
    assert_eq!(
        writes(&studio, "ada", after, vec![titled("Note", 2, "c")], &[stale]).await,
        LOST,
        "it has expired"
    );
    let acquired = || LeaseAct::Acquire { until: Timestamp(NOON.0 + 9 * MINUTE) };
    let fresh = fence(wants(&studio, "bo", after, op("Note", 2, acquired())).await);
    for write in [titled("Note", 2, "c"), delete("Note", 2)] {
        assert_eq!(writes(&studio, "ada", after, vec![write], &[stale]).await, LOST, "bo has it");
    }
    assert_eq!(writes(&studio, "bo", after, vec![titled("Note", 2, "d")], &[fresh]).await, Ok(()));
    let freed = wants(&studio, "bo", after, op("Note", 2, LeaseAct::Release { fence: fresh })).await;
    assert_eq!(freed, Ok(LeaseState::Free));
    let newest = fence(wants(&studio, "bo", after, op("Note", 2, acquired())).await);
    let write = |title| vec![titled("Note", 2, title)];
    assert_eq!(writes(&studio, "bo", after, write("e"), &[fresh]).await, LOST, "a number from before");
    assert_eq!(writes(&studio, "bo", after, write("e"), &[newest]).await, Ok(()));
    assert_eq!(writes(&studio, "ada", after, write("f"), &[]).await, Ok(()), "none was needed");
}

pub(super) async fn where_a_lease_is_required_no_client_writes_without_one<F: Fixture>() {
    let studio = studio::<F>(true).await;
    let required = |op| Err(CommitError::LeaseRequired { op });
    assert_eq!(writes(&studio, "ada", 0, vec![titled("Note", 2, "b")], &[]).await, required(0));
    assert_eq!(writes(&studio, "ada", 0, vec![delete("Note", 2)], &[]).await, required(0));
    let many = Many {
        entity: "Note".into(),
        ids: vec![id(2)],
        more: false,
        filter: Vec::new(),
        edit: ManyEdit::Delete,
    };
    assert_eq!(writes(&studio, "ada", 0, vec![Op::Many(Box::new(many))], &[]).await, required(0));
    let new = create("Note", 9, vec![words("a"), tidewire::schema::Value::Null]);
    assert_eq!(writes(&studio, "ada", 0, vec![new], &[]).await, Ok(()), "there is nothing to hold before");
    let system = Unit { asker: Asker::System, ..unit([titled("Note", 2, "s")]) };
    assert!(studio.store.commit(system).await.is_ok(), "the server itself needs none");

    let (two, three) = (acquire(&studio, "ada", "Note", 2).await, acquire(&studio, "ada", "Note", 3).await);
    let both = || vec![titled("Note", 2, "x"), titled("Note", 3, "x")];
    assert_eq!(writes(&studio, "ada", 0, both(), &[two]).await, required(1), "each operation names its own");
    assert_eq!(writes(&studio, "ada", 0, both(), &[two, two]).await, Err(CommitError::LeaseLost { op: 1 }));
    assert!(studio.json("Note", &id(2)).unwrap().contains("\"s\""), "all or nothing");
    assert_eq!(writes(&studio, "ada", 0, both(), &[two, three]).await, Ok(()));
    assert_eq!(
        writes(&studio, "ada", 0, vec![delete("Note", 2)], &[two]).await,
        Ok(()),
        "its part goes without one"
    );
    assert_eq!(studio.json("Part", &id(4)), None);
}

pub(super) async fn a_lease_is_for_those_who_may_update<F: Fixture>() {
    let studio = studio::<F>(false).await;
    let acquiring = || LeaseAct::Acquire { until: UNTIL };
    let forbidden = Err(CommitError::Forbidden { op: 0, operation: Operation::Lease });
    assert_eq!(wants(&studio, "bo", 0, op("Doc", 1, acquiring())).await, forbidden);
    let nobody =
        Unit { asker: Asker::Person(Default::default()), actor: None, ..unit([op("Note", 2, acquiring())]) };
    assert_eq!(
        studio.store.commit(nobody).await.map(drop),
        Err(CommitError::Forbidden { op: 0, operation: Operation::Lease })
    );
    let missing = wants(&studio, "ada", 0, op("Doc", 8, acquiring())).await;
    assert_eq!(missing, Err(CommitError::NotFound { op: 0 }));

    let own = acquire(&studio, "ada", "Doc", 1).await;
    let passing = LeaseAct::Pass { fence: own, to: person("bo"), until: UNTIL };
    assert_eq!(
        wants(&studio, "ada", 0, op("Doc", 1, passing)).await,
        Err(CommitError::LeaseNotPassed { op: 0 })
    );
    let note = acquire(&studio, "ada", "Note", 2).await;
    let passing = LeaseAct::Pass { fence: note, to: person("bo"), until: UNTIL };
    let passed = fence(wants(&studio, "ada", 0, op("Note", 2, passing)).await);
    assert!(passed > note);
    assert_eq!(writes(&studio, "ada", 0, vec![titled("Note", 2, "b")], &[note]).await, LOST);
    assert_eq!(
        writes(&studio, "ada", 0, vec![titled("Note", 2, "b")], &[passed]).await,
        LOST,
        "the number is not enough"
    );
    assert_eq!(writes(&studio, "bo", 0, vec![titled("Note", 2, "b")], &[passed]).await, Ok(()));
}

pub(super) async fn the_server_ends_a_lease_by_its_number_and_nothing_is_logged<F: Fixture>() {
    let studio = studio::<F>(false).await;
    let head = studio.log(0).len();
    let first = acquire(&studio, "ada", "Note", 2).await;
    let end = |fence| Unit { asker: Asker::System, ..unit([op("Note", 2, LeaseAct::End { fence })]) };
    let state = |outcome: tidewire::store::Outcome| outcome.results[0].status;
    let kept = OpStatus::Lease(LeaseState::Held { fence: first, until: UNTIL });
    assert_eq!(studio.store.commit(end(Some(first + 1))).await.map(state), Ok(kept), "it is another lease");
    let free = OpStatus::Lease(LeaseState::Free);
    assert_eq!(studio.store.commit(end(Some(first))).await.map(state), Ok(free));
    assert_eq!(studio.store.commit(end(None)).await.map(state), Ok(free), "there is none");
    acquire(&studio, "bo", "Note", 2).await;
    assert_eq!(studio.store.commit(end(None)).await.map(state), Ok(free), "whatever there is");
    assert_eq!(studio.log(0).len(), head, "nothing of it is in the log");
}

pub(super) async fn a_lease_ends_with_its_record<F: Fixture>() {
    let studio = studio::<F>(true).await;
    let (note, part) = (acquire(&studio, "ada", "Note", 2).await, acquire(&studio, "bo", "Part", 4).await);
    let gone = writes(&studio, "ada", 0, vec![delete("Note", 2)], &[note]).await;
    assert_eq!(gone, Ok(()), "its part goes along");
    assert_eq!(studio.store.leases().await.unwrap().value, []);
    let again = || create("Note", 2, vec![words("a"), tidewire::schema::Value::Null]);
    studio.commit([again(), create("Part", 4, vec![link(2)])]).await.unwrap();
    for (name, entity, n, fence) in [("bo", "Part", 4, part), ("ada", "Note", 2, note)] {
        let renewed = LeaseAct::Renew { fence, until: UNTIL };
        let renewed = wants(&studio, name, 0, op(entity, n, renewed)).await;
        assert_eq!(renewed, Err(CommitError::LeaseLost { op: 0 }), "{entity}");
        assert_eq!(writes(&studio, name, 0, vec![delete(entity, n)], &[fence]).await, LOST, "{entity}");
    }
    let fresh = acquire(&studio, "bo", "Note", 2).await;
    assert!(fresh > note.max(part), "it is another record, and its lease is free");

    let refused = writes(&studio, "bo", 0, vec![delete("Note", 2), titled("Note", 9, "x")], &[fresh]).await;
    assert_eq!(refused, Err(CommitError::NotFound { op: 1 }));
    let kept = writes(&studio, "bo", 0, vec![titled("Note", 2, "b")], &[fresh]).await;
    assert_eq!(kept, Ok(()), "a delete that was taken back ends nothing");
    let system = Unit { asker: Asker::System, ..unit([delete("Note", 2), again()]) };
    studio.store.commit(system).await.unwrap();
    assert_eq!(writes(&studio, "bo", 0, vec![titled("Note", 2, "c")], &[fresh]).await, LOST);
}
