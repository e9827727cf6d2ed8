//! Groups by predicate: who receives which change, and as what. Compared with a loop over all subscribers that is written by
//! hand.

mod forms;
pub mod managed;
mod oracle;
mod paces;
mod rights;
mod together;
pub mod world;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::channels::group::{ConnectionKey, Member};
use tidewire::channels::groups::Groups;
use tidewire::channels::{Attach, AttachmentId, Outbox};
use tidewire::ids::Seq;
use tidewire::rules::{Condition, ReadScope, Test};
use tidewire::schema::{Column, Entity, Field, FieldIndex, FieldKind, Generation, Value};

use self::world::{FIRST_LAG, Someone, attach, batch, change, outbox, read_scope, record, taken};
use crate::support::fixtures::id;
use crate::support::random::Random;

fn join(groups: &mut Groups, attach: &Attach) {
    let from = groups.position();
    groups.join(attach, Member { outbox: attach.outbox.clone(), lag: FIRST_LAG, from });
}

fn joined(groups: &mut Groups, connection: u64, channel: &str, read_scope: &Arc<ReadScope>) -> Arc<Outbox> {
    let outbox = outbox();
    join(groups, &attach(connection, channel, read_scope, &outbox));
    outbox
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Each event in short: its type, its cause, and its seq.
fn told(outbox: &Outbox) -> Vec<String> {
    let short = |event: &Json| {
        let cause = event["cause"].as_str().map(|cause| format!(" {cause}")).unwrap_or_default();
        format!("{}{cause} {}", event["type"].as_str().unwrap(), event["seq"])
    };
    taken(outbox).iter().map(short).collect()
}

#[test]
fn a_record_enters_leaves_and_is_lost() {
    let mut groups = Groups::new(Seq(0), 10);
    let mine = joined(&mut groups, 1, "entity:Task", &read_scope(1, 0, &Someone::named("ada", &[])));
    let open =
        joined(&mut groups, 2, "entity:Task?status=open", &read_scope(1, 1, &Someone::named("ada", &[])));
    let [other, ours, done] = [
        json!({"owner": "bob", "status": "open"}),
        json!({"owner": "ada", "status": "open"}),
        json!({"owner": "ada", "status": "done"}),
    ]
    .map(|values| record(&id(7), &values));
    let changes = [
        (None, Some(&other)),
        (Some(&other), Some(&ours)),
        (Some(&ours), Some(&done)),
        (Some(&done), Some(&ours)),
        (Some(&ours), Some(&other)),
        (Some(&other), None),
        (None, Some(&ours)),
        (Some(&ours), None),
    ];
    for (seq, (old, new)) in (1..).zip(changes) {
        groups.fan_out(&batch(vec![change(seq, &id(7), old, new)]));
    }
    assert_eq!(
        told(&mine),
        [
            "entity:created entered 2",
            "entity:updated 3",
            "entity:updated 4",
            "entity:deleted 5",
            "entity:created 7",
            "entity:deleted 8"
        ]
    );
    assert_eq!(
        told(&open),
        [
            "entity:created entered 2",
            "entity:deleted left 3",
            "entity:created entered 4",
            "entity:deleted 5",
            "entity:created 7",
            "entity:deleted 8"
        ]
    );
}

#[test]
fn of_many_groups_those_with_the_most_subscribers_are_shown() {
    let mut groups = Groups::new(Seq(0), 10);
    let (scope, outbox) = (read_scope(1, 0, &Someone::named("ada", &[])), outbox());
    let channel = |n: u64| format!("entity:Task?n={n}");
    for n in 0..20_000 {
        join(&mut groups, &attach(n, &channel(n), &scope, &outbox));
    }
    for (nth, n) in [19_999, 7, 10_000, 7].into_iter().enumerate() {
        join(&mut groups, &attach(20_000 + nth as u64, &channel(n), &scope, &outbox));
    }
    let looked = groups.look(3);
    let shown: Vec<String> =
        looked.groups.iter().map(|row| format!("{} {}", row.channel, row.subscribers)).collect();
    assert_eq!(shown, ["entity:Task?n=7 3", "entity:Task?n=10000 2", "entity:Task?n=19999 2"]);
    assert_eq!(looked.count, 20_000);
}

#[test]
fn the_event_of_a_lost_record_holds_only_its_id() {
    let mut groups = Groups::new(Seq(0), 10);
    let mine = joined(&mut groups, 1, "entity:Task", &read_scope(1, 0, &Someone::named("ada", &[])));
    let (ours, other) = (record(&id(7), &json!({})), record(&id(7), &json!({"owner": "bob"})));
    groups.fan_out(&batch(vec![change(1, &id(7), Some(&ours), Some(&other))]));
    let event = json!({
        "type": "entity:deleted", "channel": "entity:Task", "prev": 0, "seq": 1,
        "timestamp": 1_700_000_000_000_u64, "payload": {"id": id(7).as_str()},
    });
    assert_eq!(taken(&mine), [event]);
}

#[test]
fn hidden_fields_are_in_neither_the_record_nor_the_list_of_changes() {
    let mut groups = Groups::new(Seq(0), 10);
    let ada = joined(&mut groups, 1, "entity:Task", &read_scope(0, 0, &Someone::named("ada", &[])));
    let bob = joined(&mut groups, 2, "entity:Task", &read_scope(0, 0, &Someone::named("bob", &[])));
    let old = record(&id(7), &json!({"secret": "s1"}));
    let new = record(&id(7), &json!({"secret": "s2", "version": 2}));
    let counts = groups.fan_out(&batch(vec![change(1, &id(7), Some(&old), Some(&new))]));
    let (ada, bob) = (taken(&ada), taken(&bob));
    assert_eq!((&ada[0]["payload"], &ada[0]["changed"]), (&new, &json!(["secret"])));
    let mut shown = new.clone();
    shown.as_object_mut().unwrap().remove("secret");
    assert_eq!((&bob[0]["payload"], &bob[0]["changed"]), (&shown, &json!([])), "the version moved");
    assert_eq!((counts.events, counts.encodings), (2, 2), "what is shown differs, and so does the tail");
}

#[test]
fn a_thousand_sets_share_one_tail() {
    let mut groups = Groups::new(Seq(0), 10);
    let outboxes: Vec<Arc<Outbox>> = (0..1000)
        .map(|n: u64| {
            let who = Someone::named(&format!("u{n}"), &["p1", &format!("other {n}")]);
            joined(&mut groups, n, "entity:Task", &read_scope(2, 0, &who))
        })
        .collect();
    assert_eq!(groups.group_count(), 1000);
    let counts = groups.fan_out(&batch(vec![change(1, &id(7), None, Some(&record(&id(7), &json!({}))))]));
    assert_eq!((counts.events, counts.deliveries, counts.encodings), (1000, 1000, 1));
    let first = taken(&outboxes[0]);
    assert_eq!(first.len(), 1);
    assert!(outboxes[1..].iter().all(|outbox| taken(outbox) == first));
}

#[test]
fn equal_read_scopes_share_a_group_and_other_channel_texts_do_not() {
    let mut groups = Groups::new(Seq(0), 10);
    let (ada, bob) = (Someone::named("ada", &["p1"]), Someone::named("bob", &["p1"]));
    // They have the same rule and filter, and differ in the field that only owners see.
    joined(&mut groups, 1, "entity:Task", &read_scope(0, 0, &ada));
    joined(&mut groups, 2, "entity:Task", &read_scope(0, 0, &ada));
    assert_eq!(groups.group_count(), 1);
    joined(&mut groups, 3, "entity:Task", &read_scope(0, 0, &bob));
    assert_eq!(groups.group_count(), 2);
    joined(&mut groups, 4, "entity:Task?status=open", &read_scope(0, 1, &ada));
    assert_eq!(groups.group_count(), 3);
}

#[test]
fn each_group_has_its_own_prev_and_more() {
    let mut groups = Groups::new(Seq(0), 10);
    let mine = joined(&mut groups, 1, "entity:Task", &read_scope(1, 0, &Someone::named("ada", &[])));
    let all = joined(&mut groups, 2, "entity:Task", &read_scope(0, 0, &Someone::named("ada", &[])));
    let (ours, other) = (record(&id(7), &json!({})), record(&id(8), &json!({"owner": "bob"})));
    let mut first = change(1, &id(7), None, Some(&ours));
    first.unit_last = false;
    groups.fan_out(&batch(vec![
        first,
        change(2, &id(8), None, Some(&other)),
        change(3, &id(7), Some(&ours), None),
    ]));
    let short = |outbox: &Outbox| -> Vec<(u64, u64, bool)> {
        let number = |event: &Json, key: &str| event[key].as_u64().unwrap();
        taken(outbox)
            .iter()
            .map(|event| (number(event, "seq"), number(event, "prev"), event["more"] == true))
            .collect()
    };
    assert_eq!(short(&mine), [(1, 0, false), (3, 1, false)]);
    assert_eq!(short(&all), [(1, 0, true), (2, 1, false), (3, 2, false)]);
}

#[test]
fn a_record_channel_is_silent_until_its_record_comes_into_sight() {
    let mut groups = Groups::new(Seq(0), 10);
    let outbox = outbox();
    let read_scope = read_scope(1, 0, &Someone::named("ada", &[]));
    let mut one = attach(1, "entity:Task:7", &read_scope, &outbox);
    one.sight = world::of_record(7, &read_scope);
    join(&mut groups, &one);
    let (ours, other) = (json!({}), json!({"owner": "bob"}));
    let (seven, eight) = (record(&id(7), &other), record(&id(8), &ours));
    groups.fan_out(&batch(vec![
        change(1, &id(7), None, Some(&seven)),
        change(2, &id(8), None, Some(&eight)),
        change(3, &id(7), Some(&seven), Some(&record(&id(7), &ours))),
    ]));
    assert_eq!(told(&outbox), ["entity:created entered 3"]);
}

#[test]
fn groups_without_an_equality_are_capped_for_each_entity() {
    let mut groups = Groups::new(Seq(0), 2);
    let broad = |n: usize| format!("entity:Task?a={n}");
    let ada = Someone::named("ada", &[]);
    for n in 0..2 {
        joined(&mut groups, n as u64, &broad(n), &read_scope(4, 0, &ada));
    }
    assert_eq!(groups.scanned_count(), 2);
    let outbox = outbox();
    let third = attach(9, &broad(2), &read_scope(4, 0, &ada), &outbox);
    assert_eq!(groups.admit(&third).unwrap_err().limit, 2);
    let known = attach(9, &broad(1), &read_scope(4, 0, &ada), &outbox);
    assert_eq!(groups.admit(&known), Ok(()), "a group that is there costs nothing more");
    let narrow = attach(9, &broad(2), &read_scope(4, 1, &ada), &outbox);
    assert_eq!(groups.admit(&narrow), Ok(()), "its filter has an equality");
    let read_scope = read_scope(4, 0, &ada);
    let mut record = attach(9, "entity:Task:7", &read_scope, &outbox);
    record.sight = world::of_record(7, &read_scope);
    assert_eq!(groups.admit(&record), Ok(()), "one record is an equality");
    groups.forget(ConnectionKey(0));
    assert_eq!(groups.admit(&third), Ok(()), "a connection left");
}

/// `field == "v"` of the texts among the fields that are named.
fn equalities(fields: &[usize]) -> Vec<Condition> {
    let is = |at: &usize| Condition::new(Column::Field(FieldIndex(*at)), Test::Eq(text("v")));
    fields.iter().map(is).collect()
}

#[test]
fn a_change_is_compared_only_with_groups_that_ask_for_all_of_its_values() {
    let mut groups = Groups::new(Seq(0), 10);
    for n in 0..1_000 {
        let project = Value::Text(format!("p{n}"));
        let of_project =
            Condition::new(Column::Field(FieldIndex(5)), Test::In(vec![project, text("nowhere")]));
        let open = Condition::new(Column::Field(FieldIndex(1)), Test::Eq(text("open")));
        let channel = format!("entity:Task?status=open&project={n}");
        joined(&mut groups, n, &channel, &world::filtered(vec![of_project, open]));
    }
    let new = record(&id(7), &json!({"status": "open", "project": "p7"}));
    let told = groups.fan_out(&batch(vec![change(1, &id(7), None, Some(&new))]));
    assert_eq!((told.judged, told.events), (1, 1));
    let done = record(&id(8), &json!({"status": "done", "project": "p7"}));
    let told = groups.fan_out(&batch(vec![change(2, &id(8), None, Some(&done))]));
    assert_eq!((told.judged, told.events), (0, 0));
}

/// Title, status, owner, project and secret, in every combination: with those of a list more than are looked up by.
#[test]
fn a_change_with_too_many_key_combinations_still_reaches_every_group() {
    const TEXTS: [usize; 5] = [0, 1, 4, 5, 7];
    let mut groups = Groups::new(Seq(0), 10);
    let mut subscribers = Vec::new();
    for choice in 1..1_u32 << 8 {
        let fields: Vec<usize> = TEXTS
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| choice & 1 << bit != 0)
            .map(|(_, at)| at)
            .collect();
        let mut conditions = equalities(&fields);
        let others = [
            (Column::Field(FieldIndex(2)), Value::Int(3)),
            (Column::Field(FieldIndex(3)), Value::Float(1.0)),
            (Column::Id, text(id(7).as_str())),
        ];
        let chosen = (5..).zip(others).filter(|(bit, _)| choice & 1 << bit != 0);
        conditions.extend(chosen.map(|(_, (column, value))| Condition::new(column, Test::Eq(value))));
        let outbox = joined(
            &mut groups,
            u64::from(choice),
            &format!("entity:Task?{choice}"),
            &world::filtered(conditions),
        );
        subscribers.push((fields, outbox));
    }
    let all = json!({"title": "v", "status": "v", "owner": "v", "project": "v", "secret": "v"});
    let mut but_one = all.clone();
    but_one["owner"] = json!("w");
    let (all, but_one) = (record(&id(7), &all), record(&id(7), &but_one));
    groups.fan_out(&batch(vec![
        change(1, &id(7), None, Some(&all)),
        change(2, &id(7), Some(&all), Some(&but_one)),
    ]));
    for (fields, outbox) in &subscribers {
        let second = if fields.contains(&4) { "entity:deleted left 2" } else { "entity:updated 2" };
        assert_eq!(told(outbox), ["entity:created 1", second], "{fields:?}");
    }
    (0..1 << 8).for_each(|connection| groups.forget(ConnectionKey(connection)));
    assert!(groups.is_empty(), "{groups:?}");
}

/// An entity of more columns than a byte counts, each asked for alone, and as many pairs as are looked up beside them.
#[test]
fn every_column_is_found_by_itself_beside_all_combinations() {
    const FIELDS: usize = 250;
    let name = |at: usize| format!("f{at}");
    let kind = || FieldKind::Text { min: None, max: None, pattern: None };
    let fields = (0..FIELDS).map(|at| Field::new(&name(at), kind())).collect();
    let entity = Arc::new(Entity::new("Task", "tasks", fields));
    let asked = (1..=64).map(|at| vec![0, at]).chain((0..FIELDS).map(|at| vec![at]));
    let mut groups = Groups::new(Seq(0), 10);
    let mut subscribers = Vec::new();
    for (connection, fields) in (1..).zip(asked) {
        let read_scope = ReadScope::everything(&entity, Generation(1)).through(equalities(&fields));
        let outbox =
            joined(&mut groups, connection, &format!("entity:Task?{connection}"), &Arc::new(read_scope));
        subscribers.push((connection, fields, outbox));
    }
    let mut seq = 0;
    let mut holds = |groups: &mut Groups, subscribers: &[(u64, Vec<usize>, Arc<Outbox>)], other: usize| {
        seq += 1;
        let mut values = json!({"id": id(7).as_str(), "version": 1});
        (0..FIELDS).for_each(|at| values[name(at)] = json!(if at == other { "w" } else { "v" }));
        groups.fan_out(&batch(vec![change(seq, &id(7), None, Some(&values))]));
        for (_, fields, outbox) in subscribers {
            let created = vec![format!("entity:created {seq}")];
            let expected = if fields.contains(&other) { vec![] } else { created };
            assert_eq!(told(outbox), expected, "{fields:?} without f{other}");
        }
    };
    (0..FIELDS).step_by(31).for_each(|other| holds(&mut groups, &subscribers, other));
    // Those beyond a byte go first, then those with whom they would have shared a number.
    while let Some((connection, ..)) = subscribers.pop() {
        groups.forget(ConnectionKey(connection));
        if connection.is_multiple_of(20) {
            holds(&mut groups, &subscribers, 3);
        }
    }
    assert!(groups.is_empty(), "{groups:?}");
}

/// Two groups of so many keys that their table is nearly full come and go beside one that stays: what is left of them would be held
/// against changes, or take someone else for one of them.
#[test]
fn keys_of_former_members_lead_to_no_group() {
    const VALUES: usize = 3_560;
    let project = |test| world::filtered(vec![Condition::new(Column::Field(FieldIndex(5)), test)]);
    let mut random = Random::new(7);
    let names: Vec<String> = (0..VALUES).map(|_| format!("{:x}", random.next())).collect();
    let mut groups = Groups::new(Seq(0), 10);
    // Without it, nothing would be looked up by project once the others are gone.
    let stays = joined(&mut groups, 0, "entity:Task?0", &project(Test::Eq(text("elsewhere"))));
    for round in 0..4 {
        let both = [2 * round + 1, 2 * round + 2];
        for (first, connection) in both.into_iter().enumerate() {
            let values = names.iter().skip(first).step_by(2).map(|name| text(name)).collect();
            let channel = format!("entity:Task?{connection}");
            joined(&mut groups, connection, &channel, &project(Test::In(values)));
        }
        both.into_iter().for_each(|connection| groups.forget(ConnectionKey(connection)));
        for name in &names {
            let record = record(&id(7), &json!({"project": name}));
            let counts = groups.count(&batch(vec![change(1, &id(7), None, Some(&record))]));
            assert_eq!(counts.judged, 0, "{name}");
        }
    }
    assert_eq!(told(&stays), Vec::<String>::new());
}

#[test]
fn members_that_leave_are_removed_completely() {
    let mut groups = Groups::new(Seq(0), 100);
    let who = [Someone::nobody(), Someone::named("ada", &["p1", "p2"])];
    let mut keys = Vec::new();
    for n in 0..200_u64 {
        let (rule, filter) = (n as usize % world::RULES, n as usize % world::FILTERS);
        let read_scope = read_scope(rule, filter, &who[n as usize % 2]);
        let outbox = outbox();
        let mut one = attach(n % 20, &format!("entity:Task?{filter}"), &read_scope, &outbox);
        one.attachment = AttachmentId { slot: 0, serial: n as u32 };
        one.watch = world::watch("ada", 0);
        if n % 7 == 0 {
            one.sight = world::of_record(u128::from(n), &read_scope);
        }
        keys.push((one.connection, one.attachment));
        join(&mut groups, &one);
        join(&mut groups, &one);
    }
    assert!(!groups.is_empty());
    for (n, key) in keys.iter().enumerate() {
        if n % 2 == 0 {
            groups.leave(*key);
        }
    }
    (0..20).for_each(|connection| groups.forget(ConnectionKey(connection)));
    assert!(groups.is_empty(), "{groups:?}");
}

#[test]
fn a_member_whose_outbox_is_gone_is_forgotten_with_the_next_event() {
    let mut groups = Groups::new(Seq(0), 10);
    let all = read_scope(0, 0, &Someone::nobody());
    joined(&mut groups, 1, "entity:Task", &all).close();
    groups.fan_out(&batch(vec![change(1, &id(7), None, Some(&record(&id(7), &json!({}))))]));
    assert!(groups.is_empty());
}

#[test]
fn a_change_of_another_generation_reaches_no_group() {
    let mut groups = Groups::new(Seq(0), 10);
    let all = joined(&mut groups, 1, "entity:Task", &read_scope(0, 0, &Someone::nobody()));
    let mine = joined(&mut groups, 2, "entity:Task", &read_scope(1, 0, &Someone::named("ada", &[])));
    let mut later = change(1, &id(7), None, Some(&record(&id(7), &json!({}))));
    later.generation = Generation(2);
    assert_eq!(groups.fan_out(&batch(vec![later])).events, 0);
    assert_eq!((told(&all), told(&mine)), (vec![], vec![]));
}
