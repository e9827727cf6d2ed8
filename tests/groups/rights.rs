//! Changes of rights: who is invalidated before the batch, and which attachments are sent back.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::channels::groups::Groups;
use tidewire::channels::rights::LastRights;
use tidewire::channels::{Admission, Attach, AttachFrom, InvalidationCause, Note, Outbox, Ring};
use tidewire::ids::Seq;
use tidewire::outbox::{Invalidated, Lag, OutboxLimits};
use tidewire::protocol::{Code, WireForm};
use tidewire::schema::{EntityName, Generation};
use tidewire::store::{Change, LogLimit};

use super::managed::{Managed, drained};
use super::world::{Someone, attach, batch, change, outbox, read_scope, record, taken, watch};
use super::{join, told};
use crate::support::fixtures::{epoch, id};

/// A change of rights of a person through an entity.
fn rights(seq: u64, entity: &str, person: &str) -> Change {
    Change {
        entity: entity.into(),
        rights: vec![person.into()],
        ..change(seq, &id(99), None, Some(&json!({"id": id(99).as_str(), "version": 1})))
    }
}

fn create(seq: u64) -> Change {
    change(seq, &id(u128::from(seq)), None, Some(&record(&id(u128::from(seq)), &json!({}))))
}

/// Someone who sees `p1` by membership, on a connection of their own.
fn member(connection: u64, person: &str, bound_at: u64) -> Attach {
    let read_scope = read_scope(2, 0, &Someone::named(person, &["p1"]));
    Attach { watch: watch(person, bound_at), ..attach(connection, "entity:Task", &read_scope, &outbox()) }
}

#[test]
fn a_user_is_invalidated_before_the_batch_that_changes_their_rights_is_sent() {
    let mut groups = Groups::new(Seq(0), 10);
    let (ada, bob) = (member(1, "ada", 0), member(2, "bob", 0));
    join(&mut groups, &ada);
    join(&mut groups, &bob);
    // Also what comes before the change of rights: the session reads it under the rights of then.
    let counts = groups.fan_out(&batch(vec![create(1), rights(2, "Membership", "ada"), create(3)]));
    assert_eq!((counts.invalidated, counts.deliveries), (1, 1));
    assert_eq!((ada.outbox.lag(), bob.outbox.lag()), (Lag(1), Lag(0)));
    assert_eq!(taken(&ada.outbox), Vec::<Json>::new(), "nothing of the batch");
    assert_eq!(
        told(&bob.outbox),
        ["entity:created 1", "entity:created 3"],
        "another person's member goes on"
    );
    groups.fan_out(&batch(vec![create(4)]));
    assert_eq!(taken(&ada.outbox), Vec::<Json>::new(), "and nothing of those after it");
}

#[test]
fn only_users_whose_scope_uses_the_changed_entity_are_invalidated() {
    for (entity, person, bound_at, invalidated) in [
        ("Membership", "ada", 0, true),
        ("User", "ada", 0, true),
        ("Membership", "ada", 4, true),
        // Nothing that ada sees uses it.
        ("Project", "ada", 0, false),
        ("Membership", "bob", 0, false),
        // The read scope was bound at the change, or after it.
        ("Membership", "ada", 5, false),
        ("Membership", "ada", 9, false),
    ] {
        let mut groups = Groups::new(Seq(4), 10);
        let ada = member(1, "ada", bound_at);
        join(&mut groups, &ada);
        let counts = groups.fan_out(&batch(vec![rights(5, entity, person)]));
        assert_eq!(counts.invalidated == 1, invalidated, "{entity} of {person}, bound at {bound_at}");
        assert_eq!(ada.outbox.lag() == Lag(1), invalidated);
    }
}

#[test]
fn a_user_who_sees_what_anonymous_sees_is_still_invalidated() {
    let mut groups = Groups::new(Seq(0), 10);
    let nobody = attach(1, "entity:Task", &read_scope(4, 0, &Someone::nobody()), &outbox());
    let somebody = read_scope(4, 0, &Someone::named("ada", &[]));
    let ada = Attach { watch: watch("ada", 0), ..attach(2, "entity:Task", &somebody, &outbox()) };
    // The field that owners see makes them two groups; without it they are one.
    let ada = Attach { view: nobody.view.clone(), ..ada };
    join(&mut groups, &nobody);
    join(&mut groups, &ada);
    assert_eq!(groups.group_count(), 1);
    groups.fan_out(&batch(vec![rights(1, "User", "ada")]));
    assert_eq!((nobody.outbox.lag(), ada.outbox.lag()), (Lag(0), Lag(1)));
}

#[test]
fn a_connection_is_invalidated_whole_and_once() {
    let mut groups = Groups::new(Seq(0), 10);
    let ada = member(1, "ada", 0);
    let mut other = Attach {
        channel: "entity:Task?a=1".into(),
        outbox: ada.outbox.clone(),
        ..attach(1, "", &read_scope(0, 0, &Someone::nobody()), &outbox())
    };
    other.attachment.slot = 1;
    join(&mut groups, &ada);
    join(&mut groups, &other);
    let both = batch(vec![rights(1, "Membership", "ada"), rights(2, "User", "ada"), create(3)]);
    assert_eq!(groups.fan_out(&both).invalidated, 1);
    assert_eq!(ada.outbox.lag(), Lag(1));
    assert!(groups.is_empty(), "its attachments are void, one like the other");
}

#[test]
fn the_last_rights_of_a_person_are_known_as_far_as_the_floor() {
    let mut last = LastRights::new(Seq(10));
    last.learn(&batch(vec![rights(11, "Membership", "ada"), create(12)]), Seq(10));
    last.learn(&batch(vec![rights(13, "User", "ada"), rights(14, "Membership", "bob")]), Seq(10));
    last.learn(&batch(vec![rights(15, "Membership", "ada")]), Seq(10));
    let entities = |names: &[&str]| names.iter().map(|name| EntityName::from(*name)).collect::<Vec<_>>();
    for (seq, person, names, known) in [
        (9, "ada", &["Membership"][..], None),
        (9, "eve", &["Membership"][..], None),
        (10, "ada", &["Membership"][..], Some(true)),
        (14, "ada", &["Membership"][..], Some(true)),
        (15, "ada", &["Membership"][..], Some(false)),
        (12, "ada", &["User"][..], Some(true)),
        (13, "ada", &["User"][..], Some(false)),
        (13, "ada", &["User", "Membership"][..], Some(true)),
        (10, "ada", &["Project"][..], Some(false)),
        (10, "ada", &[][..], Some(false)),
        (13, "bob", &["Membership"][..], Some(true)),
        (10, "eve", &["Membership"][..], Some(false)),
    ] {
        let answer = last.changed_after(Seq(seq), person, &entities(names));
        assert_eq!(answer, known, "{names:?} of {person} after {seq}");
    }
    assert_eq!(last.size(), 4);
    last.learn(&batch(vec![create(16)]), Seq(14));
    assert_eq!(last.size(), 1);
    assert_eq!(last.changed_after(Seq(14), "ada", &entities(&["Membership"])), Some(true));
    assert_eq!(last.changed_after(Seq(14), "ada", &entities(&["User"])), Some(false));
    assert_eq!(last.changed_after(Seq(13), "ada", &entities(&["User"])), None);
    last.learn(&batch(vec![create(17)]), Seq(16));
    assert_eq!(last.size(), 0);
}

#[test]
fn the_ring_answers_for_what_it_holds() {
    let ring = Ring::new(epoch(), Seq(10), Generation(1), LogLimit { changes: 2, bytes: 1 << 20 });
    ring.push(Arc::new(batch(vec![rights(11, "Membership", "ada")])));
    ring.push(Arc::new(batch(vec![create(12)])));
    let uses = [EntityName::from("Membership")];
    assert_eq!(ring.rights_after(Seq(10), "ada", &uses), Some(true));
    assert_eq!(ring.rights_after(Seq(10), "bob", &uses), Some(false));
    assert_eq!(ring.rights_after(Seq(10), "ada", &[EntityName::from("User")]), Some(false));
    assert_eq!(ring.rights_after(Seq(11), "ada", &uses), Some(false));
    assert_eq!(ring.rights_after(Seq(9), "ada", &uses), None, "before its floor");
    assert_eq!(ring.rights_after(Seq(13), "ada", &uses), None, "not yet there");
    ring.push(Arc::new(batch(vec![create(13)])));
    assert_eq!((ring.floor(), ring.rights_after(Seq(10), "ada", &uses)), (Seq(11), None));
}

pub fn after(seq: u64) -> AttachFrom {
    AttachFrom::After { seq: Seq(seq), prev: Seq(seq), lag: Lag(0), unbroken: false }
}

#[tokio::test]
async fn an_attachment_under_rights_that_may_have_changed_is_sent_back() {
    let managed = Managed::start();
    for (seq, change) in [(11, rights(11, "Membership", "ada")), (12, rights(12, "User", "bob"))] {
        assert_eq!(change.seq, Seq(seq));
        managed.fan_out(change).await;
    }
    for (person, bound_at, from, taken) in [
        ("ada", 10, after(12), false),
        ("ada", 10, AttachFrom::Now { request_id: None }, false),
        ("ada", 11, after(12), true),
        ("ada", 12, AttachFrom::Now { request_id: None }, true),
        ("bob", 11, after(12), false),
        ("bob", 12, after(12), true),
        ("eve", 10, after(12), true),
        // Before the ring's floor nothing is known.
        ("eve", 9, after(12), false),
    ] {
        let attach = Attach { from, ..member(1, person, bound_at) };
        let attachment = attach.attachment;
        let (_, notes) = managed.attach(attach).await;
        let attached = matches!(notes[..], [Note::Attached { .. }]);
        assert_eq!(attached, taken, "{person} bound at {bound_at}: {notes:?}");
        assert!(taken || notes == [Note::Behind { attachment }], "{person} bound at {bound_at}: {notes:?}");
        managed.channels.forget(super::ConnectionKey(1));
    }
}

#[tokio::test]
async fn a_change_of_rights_between_a_refusal_and_the_wait_is_not_lost() {
    for (person, known, told_at_once, told_of_twelve) in [
        ("ada", Some(10), true, false),
        ("ada", Some(11), false, true),
        ("ada", None, false, true),
        // The refusal knows of the change that ChannelManager has yet to receive.
        ("ada", Some(12), false, false),
        ("bob", Some(10), false, false),
        // Before the ring's floor nothing is known.
        ("bob", Some(9), true, false),
    ] {
        let managed = Managed::start();
        managed.fan_out(rights(11, "Membership", "ada")).await;
        let told = |outbox: &Outbox| {
            let (frames, notes) = drained(outbox);
            assert_eq!(frames.len(), notes.len());
            assert!(frames.iter().all(|frame| frame["type"] == "rights:changed"), "{frames:?}");
            !notes.is_empty()
        };
        let (outbox, case) = (outbox(), format!("{person} {known:?}"));
        let key = super::ConnectionKey(1);
        managed.channels.await_rights(key, outbox.clone(), person.into(), known.map(Seq)).await;
        managed.settled().await;
        assert_eq!(told(&outbox), told_at_once, "{case}");
        managed.fan_out(rights(12, "User", "ada")).await;
        assert_eq!(told(&outbox), told_of_twelve, "{case}");
        managed.fan_out(rights(13, "User", "ada")).await;
        let waits_still = person == "ada" && !told_at_once && !told_of_twelve;
        assert_eq!(told(&outbox), waits_still, "{case}: exactly once");
    }
}

#[tokio::test]
async fn an_anonymous_subscription_attaches_after_any_change_of_rights() {
    let managed = Managed::start();
    managed.fan_out(rights(11, "Membership", "ada")).await;
    let attach = attach(1, "entity:Task", &read_scope(4, 0, &Someone::nobody()), &outbox());
    let (frames, notes) = managed.attach(attach).await;
    assert_eq!(frames[0]["type"], "subscribed");
    assert!(matches!(notes[..], [Note::Attached { at: Seq(11), .. }]), "{notes:?}");
}

#[tokio::test]
async fn a_scope_read_ahead_of_the_fan_out_gets_what_comes_after_it() {
    let managed = Managed::start();
    let ada = member(1, "ada", 12);
    let outbox = ada.outbox.clone();
    let (frames, notes) = managed.attach(ada).await;
    assert_eq!((&frames[0]["type"], &frames[0]["payload"]["seq"]), (&json!("subscribed"), &json!(12)));
    assert!(matches!(notes[..], [Note::Attached { at: Seq(12), .. }]), "{notes:?}");
    managed.fan_out(create(11)).await;
    // The read scope knows of this one.
    managed.fan_out(rights(12, "Membership", "ada")).await;
    managed.fan_out(create(13)).await;
    assert_eq!((told(&outbox), outbox.lag()), (vec!["entity:created 13".to_owned()], Lag(0)));
}

#[tokio::test]
async fn missed_changes_are_filtered_by_the_read_scope() {
    let managed = Managed::start();
    let (ours, other) = (json!({"owner": "ada"}), json!({"owner": "bob", "project": "p2"}));
    let image = |values: &Json| record(&id(7), values);
    managed.fan_out(change(11, &id(7), None, Some(&image(&other)))).await;
    managed.fan_out(change(12, &id(7), Some(&image(&other)), Some(&image(&ours)))).await;
    managed.fan_out(change(13, &id(7), Some(&image(&ours)), Some(&image(&other)))).await;
    let (frames, notes) = managed.attach(Attach { from: after(10), ..member(1, "ada", 10) }).await;
    let kinds: Vec<_> = frames.iter().map(|frame| (&frame["type"], &frame["seq"], &frame["cause"])).collect();
    assert_eq!(
        kinds,
        [
            (&json!("entity:created"), &json!(12), &json!("entered")),
            (&json!("entity:deleted"), &json!(13), &json!(null)),
            (&json!("pong"), &json!(null), &json!(null)),
        ]
    );
    assert!(matches!(notes[..], [Note::Attached { at: Seq(13), .. }]), "{notes:?}");
}

#[tokio::test]
async fn one_live_query_too_many_without_an_equality_is_refused_and_counted() {
    let managed = Managed::start();
    let broad =
        |n: u64| attach(n, &format!("entity:Task?a={n}"), &read_scope(4, 0, &Someone::nobody()), &outbox());
    let (_, notes) = managed.attach(broad(1)).await;
    assert!(matches!(notes[..], [Note::Attached { .. }]), "{notes:?}");
    let second = broad(2);
    let refused = Note::Refused { attachment: second.attachment, code: Code::QueryLimit };
    assert_eq!(managed.attach(second).await, (vec![], vec![refused]));
    let second = Attach { from: after(10), ..broad(2) };
    assert_eq!(managed.attach(second).await, (vec![], vec![refused]));
    // A live subscription is not turned away because its group is another one now.
    for from in [after(10), AttachFrom::Now { request_id: None }] {
        let kept = Attach { from, admission: Admission::Granted, ..broad(2) };
        let (_, notes) = managed.attach(kept).await;
        assert!(matches!(notes[..], [Note::Attached { .. }]), "{notes:?}");
    }
}

#[test]
fn a_wait_without_a_queue_is_woken_by_a_change_of_rights() {
    let mut groups = Groups::new(Seq(0), 10);
    let limits = OutboxLimits { batches: 0, bytes: 0, controls: 9 };
    let waiting = Arc::new(Outbox::new(limits, WireForm::Json));
    join(&mut groups, &Attach { outbox: waiting.clone(), ..member(1, "ada", 0) });
    assert_eq!(groups.fan_out(&batch(vec![rights(1, "Membership", "ada")])).lags, 0);
    assert_eq!(
        waiting.drain(usize::MAX).invalidated,
        Some(Invalidated { lag: Lag(1), cause: InvalidationCause::Rights { at: Seq(1) } })
    );
}
