//! Random read scopes against random changes: each subscriber gets exactly what a loop over all of them would send.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::channels::Outbox;
use tidewire::channels::group::ConnectionKey;
use tidewire::channels::groups::Groups;
use tidewire::ids::{RecordId, Seq};
use tidewire::store::Change;

use super::join;
use super::world::{
    FILTERS, RULES, Someone, attach, batch, change, may_read, meets, outbox, read_scope, record,
    shows_secret, taken,
};
use crate::support::fixtures::id;
use crate::support::random::Random;

struct Subscriber {
    rule: usize,
    filter: usize,
    who: Someone,
    channel: String,
    outbox: Arc<Outbox>,
    /// The last event or position that it knows.
    knows: u64,
    heard: u64,
}

#[test]
fn every_subscriber_gets_what_a_plain_loop_would_send() {
    let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 1..=8 {
        run(seed, &mut kinds);
    }
    for kind in ["created", "created entered", "updated", "deleted left", "deleted", "lost"] {
        assert!(kinds.get(kind).copied().unwrap_or(0) > 100, "{kind} was hardly tried: {kinds:?}");
    }
}

fn run(seed: u64, kinds: &mut BTreeMap<String, u64>) {
    let mut random = Random::new(seed);
    let mut groups = Groups::new(Seq(0), usize::MAX);
    let mut subscribers: BTreeMap<u64, Subscriber> = BTreeMap::new();
    let mut records: BTreeMap<RecordId, Json> = BTreeMap::new();
    let (mut seq, mut next) = (0, 0);
    for _ in 0..120 {
        for _ in 0..random.below(4) {
            subscribers.insert(next, subscribe(&mut random, &mut groups, next));
            next += 1;
        }
        if subscribers.len() > 60 {
            let gone = *subscribers.keys().nth(random.below(60) as usize).unwrap();
            subscribers.remove(&gone);
            groups.forget(ConnectionKey(gone));
        }
        let (changes, images) = write(&mut random, &mut records, &mut seq);
        let units: Vec<bool> = changes.iter().map(|change| change.unit_last).collect();
        groups.fan_out(&batch(changes));
        for subscriber in subscribers.values_mut() {
            let wanted = expected(subscriber, &images, &units, kinds);
            let came = taken(&subscriber.outbox);
            assert_eq!(
                came.len(),
                wanted.len(),
                "seed {seed}, {}: {came:?} for {wanted:?}",
                subscriber.channel
            );
            for (came, wanted) in came.into_iter().zip(wanted) {
                check(subscriber, came, &wanted, seed);
            }
        }
    }
    subscribers.keys().for_each(|gone| groups.forget(ConnectionKey(*gone)));
    assert!(groups.is_empty(), "seed {seed}");
}

fn subscribe(random: &mut Random, groups: &mut Groups, nth: u64) -> Subscriber {
    let who = match random.below(5) {
        0 => Someone::nobody(),
        n => Someone::named(&format!("u{n}"), &["p1", "p2", "p3"][..random.below(4) as usize]),
    };
    let rule = random.below(RULES as u64) as usize;
    let filter = random.below(FILTERS as u64) as usize;
    let channel = format!("entity:Task?filter={filter}");
    let outbox = outbox();
    join(groups, &attach(nth, &channel, &read_scope(rule, filter, &who), &outbox));
    Subscriber { rule, filter, who, channel, outbox, knows: groups.position().0, heard: 0 }
}

type Image = (u64, Option<Json>, Option<Json>);

/// One to four changes, in units of their own or together.
fn write(
    random: &mut Random,
    records: &mut BTreeMap<RecordId, Json>,
    seq: &mut u64,
) -> (Vec<Change>, Vec<Image>) {
    let (mut changes, mut images) = (Vec::new(), Vec::new());
    for _ in 0..=random.below(4) {
        *seq += 1;
        let at = id(u128::from(1 + random.below(12)));
        let old = records.get(&at).cloned();
        let new = match (&old, random.below(6)) {
            (Some(_), 0) => None,
            (old, _) => Some(values(random, &at, old.as_ref())),
        };
        let mut one = change(*seq, &at, old.as_ref(), new.as_ref());
        one.unit_last = random.below(2) == 0;
        changes.push(one);
        images.push((*seq, old, new.clone()));
        match new {
            Some(new) => records.insert(at, new),
            None => records.remove(&at),
        };
    }
    changes.last_mut().unwrap().unit_last = true;
    (changes, images)
}

fn values(random: &mut Random, at: &RecordId, old: Option<&Json>) -> Json {
    let mut pick = |of: &[Json]| of[random.below(of.len() as u64) as usize].clone();
    let mut values = json!({
        "title": pick(&[json!("a"), json!("ab"), json!("b")]),
        "status": pick(&[json!("open"), json!("done"), json!(null)]),
        "priority": pick(&[json!(1), json!(2), json!(3), json!(4), json!(null)]),
        "score": pick(&[json!(1.0), json!(0.5), json!(null)]),
        "owner": pick(&[json!("u1"), json!("u2"), json!("u3"), json!(null)]),
        "project": pick(&[json!("p1"), json!("p2"), json!("p3"), json!(null)]),
        "tags": pick(&[json!(["u1", "u2"]), json!(["u3", 4, null]), json!({"u1": 1}), json!(null)]),
        "secret": pick(&[json!("s1"), json!("s2"), json!(null)]),
    });
    if let Some(old) = old {
        // Most fields stay.
        for (name, value) in values.as_object_mut().unwrap() {
            if random.below(3) > 0 {
                *value = old[name].clone();
            }
        }
        values["version"] = json!(old["version"].as_u64().unwrap() + 1);
    }
    record(at, &values)
}

/// What one subscriber should get of a batch: seq, kind, payload, changed, more.
#[derive(Debug)]
struct Wanted {
    seq: u64,
    kind: &'static str,
    payload: Json,
    changed: Option<Json>,
    more: bool,
}

fn expected(
    subscriber: &Subscriber,
    images: &[Image],
    units: &[bool],
    kinds: &mut BTreeMap<String, u64>,
) -> Vec<Wanted> {
    let (rule, filter, who) = (subscriber.rule, subscriber.filter, &subscriber.who);
    let sees = |image: &Json| may_read(rule, image, who) && meets(filter, image, who);
    let mut wanted: Vec<(usize, Wanted)> = Vec::new();
    for (at, (seq, old, new)) in images.iter().enumerate() {
        let (before, after) = (old.as_ref().is_some_and(sees), new.as_ref().is_some_and(sees));
        let kind = match (before, after, old, new) {
            (false, true, None, _) => "created",
            (false, true, Some(_), _) => "created entered",
            (true, true, ..) => "updated",
            (true, false, _, None) => "deleted",
            (true, false, _, Some(new)) if may_read(rule, new, who) => "deleted left",
            (true, false, _, Some(_)) => "lost",
            (false, false, ..) => continue,
        };
        *kinds.entry(kind.to_owned()).or_default() += 1;
        let image = new.as_ref().or(old.as_ref()).unwrap();
        let payload = if after { shown(image, who) } else { json!({"id": image["id"]}) };
        let changed = (kind == "updated").then(|| changed(old.as_ref().unwrap(), image, who));
        wanted.push((at, Wanted { seq: *seq, kind, payload, changed, more: false }));
    }
    for nth in 1..wanted.len() {
        let (earlier, later) = (wanted[nth - 1].0, wanted[nth].0);
        wanted[nth - 1].1.more = units[earlier..later].iter().all(|last| !last);
    }
    wanted.into_iter().map(|(_, wanted)| wanted).collect()
}

fn shown(image: &Json, who: &Someone) -> Json {
    let mut shown = image.clone();
    if !shows_secret(image, who) {
        shown.as_object_mut().unwrap().remove("secret");
    }
    shown
}

fn changed(old: &Json, new: &Json, who: &Someone) -> Json {
    let names = old.as_object().unwrap().keys().filter(|name| *name != "version" && old[*name] != new[*name]);
    names.filter(|name| *name != "secret" || shows_secret(new, who)).cloned().collect()
}

fn check(subscriber: &mut Subscriber, mut came: Json, wanted: &Wanted, seed: u64) {
    let about = format!("seed {seed}, rule {}, {}: {came}", subscriber.rule, subscriber.channel);
    let prev = came["prev"].as_u64().unwrap();
    if subscriber.heard > 0 {
        assert_eq!(prev, subscriber.knows, "{about}");
    } else {
        assert!(prev <= subscriber.knows, "a gap: {about}");
    }
    let (kind, cause) = wanted.kind.split_once(' ').unwrap_or((wanted.kind, ""));
    let mut event = json!({
        "type": format!("entity:{}", if kind == "lost" { "deleted" } else { kind }),
        "channel": subscriber.channel, "seq": wanted.seq, "prev": prev,
        "timestamp": 1_700_000_000_000_u64, "payload": wanted.payload,
    });
    if kind != "lost" {
        event["by"] = json!("ada");
    }
    if !cause.is_empty() {
        event["cause"] = json!(cause);
    }
    if wanted.more {
        event["more"] = json!(true);
    }
    if let Some(changed) = &wanted.changed {
        // In whatever order.
        let sorted = |names: &Json| {
            let mut names: Vec<String> = serde_json::from_value(names.clone()).unwrap();
            names.sort();
            names
        };
        assert_eq!(sorted(&came["changed"]), sorted(changed), "{about}");
        came.as_object_mut().unwrap().remove("changed");
    }
    assert_eq!(came, event, "{about}");
    subscriber.knows = wanted.seq;
    subscriber.heard += 1;
}
