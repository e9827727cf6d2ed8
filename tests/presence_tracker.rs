//! The tracker of presence by itself: a total table, hours under a clock of our own, and random histories against an oracle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidewire::config::RealtimeConfig;
use tidewire::ids::Timestamp;
use tidewire::presence::{
    Ask, AttendeeKey, Departure, Grant, Ground, PlaceKey, PresenceClock, PresenceCounts, PresenceInput,
    PresenceLimits, PresenceOutput, PresenceTracker, PresenceVerdict, Proof, ReceiverName, SeenUser,
    SyncReceiver, TouchedPresence, Visitor,
};
use tidewire::protocol::{PresenceAction, PresenceNews, PresenceState, ResourceName, WatchKind};
use tidewire::rules::{Person, ReadScope};
use tidewire::schema::Generation;
use tidewire::store::{Change, ChangeOp};

use crate::support::fixtures;
use crate::support::random::Random;

/// A tracker with a clock of its own.
struct World {
    tracker: PresenceTracker,
    begin: tokio::time::Instant,
    passed: Duration,
    /// Of which is spoken unless another is named.
    resource: String,
}

impl World {
    fn new() -> World {
        World::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut PresenceLimits)) -> World {
        let mut limits = PresenceLimits::of(&RealtimeConfig::default());
        change(&mut limits);
        World {
            tracker: PresenceTracker::new(limits),
            begin: tokio::time::Instant::now(),
            passed: Duration::ZERO,
            resource: "room".to_owned(),
        }
    }

    fn now(&self) -> PresenceClock {
        let wall = Timestamp(1_700_000_000_000 + i64::try_from(self.passed.as_millis()).unwrap());
        PresenceClock { instant: self.begin + self.passed, wall }
    }

    fn on(&mut self, input: PresenceInput) -> Vec<PresenceOutput> {
        self.tracker.on(self.now(), input)
    }

    fn ask(&mut self, key: u64, user: Option<&str>, action: PresenceAction) -> Vec<PresenceOutput> {
        self.ask_at(key, user, &self.resource.clone(), action, Proof::Pings)
    }

    fn ask_at(
        &mut self,
        key: u64,
        user: Option<&str>,
        resource: &str,
        action: PresenceAction,
        proof: Proof,
    ) -> Vec<PresenceOutput> {
        let id: Option<Arc<str>> = user.map(Into::into);
        let person = Arc::new(Person { id: id.clone(), ..Person::default() });
        self.ask_as(key, Visitor { person, id, proof }, resource, action, None)
    }

    fn ask_as(
        &mut self,
        key: u64,
        visitor: Visitor,
        resource: &str,
        action: PresenceAction,
        request_id: Option<&str>,
    ) -> Vec<PresenceOutput> {
        let resource = ResourceName::of_resource(resource).unwrap();
        let ask = Ask { resource, action, request_id: request_id.map(Into::into) };
        self.on(PresenceInput::Asked { attendee: AttendeeKey(key), visitor, ask })
    }

    /// Lets time pass, and everything become due that does.
    fn pass(&mut self, time: Duration) -> Vec<PresenceOutput> {
        let (end, mut out) = (self.passed + time, Vec::new());
        while let Some(due) = self.tracker.next_deadline().map(|at| at - self.begin).filter(|due| *due <= end)
        {
            self.passed = self.passed.max(due);
            out.extend(self.on(PresenceInput::Tick));
        }
        self.passed = end;
        out
    }

    fn users(&self, resource: &str) -> Vec<SeenUser> {
        self.tracker.users(self.now(), &place(resource), None, usize::MAX)
    }
}

fn place(resource: &str) -> PlaceKey {
    ResourceName::of_resource(resource).unwrap().parts
}

fn granted() -> PresenceVerdict {
    PresenceVerdict::Granted(Grant { may_join: true, name: None, ground: Ground::Person })
}

/// The answer to the last question that was asked.
fn judged(out: &[PresenceOutput], judgement: PresenceVerdict) -> PresenceInput {
    let question = out.iter().rev().find_map(|output| {
        let PresenceOutput::Judge { attendee, place, serial, .. } = output else { return None };
        Some((*attendee, place.clone(), *serial))
    });
    let (attendee, place, serial) = question.expect("a judgement was asked for");
    PresenceInput::Judged { attendee, place, serial, judgement }
}

fn news(metadata: Value) -> PresenceNews {
    PresenceNews { metadata: metadata.as_object().unwrap().clone(), state: None }
}

fn join() -> PresenceAction {
    PresenceAction::Join(news(json!({"a": 1})))
}

/// Outputs in a few words, without times.
fn words(out: &[PresenceOutput]) -> String {
    let ids = |users: &[SeenUser]| users.iter().map(|user| user.id.to_string()).collect::<Vec<_>>().join("+");
    let each = out.iter().map(|output| match output {
        PresenceOutput::Judge { .. } => "judge".to_owned(),
        PresenceOutput::Subscribed { .. } => "subscribed".to_owned(),
        PresenceOutput::Unsubscribed { .. } => "unsubscribed".to_owned(),
        PresenceOutput::Done { .. } => "ack".to_owned(),
        PresenceOutput::Refused { refusal, .. } => refusal.code.as_str().to_owned(),
        PresenceOutput::Sync { to, users, .. } => {
            let many = if to.len() == 1 { String::new() } else { format!("{}:", to.len()) };
            format!("{many}sync({})", ids(users))
        }
        PresenceOutput::Changed { to, change, .. } => format!(
            "{}:join({})update({})leave({})",
            to.len(),
            ids(&change.joined),
            ids(&change.updated),
            change.left.join("+")
        ),
        PresenceOutput::Lease { to, holder, .. } => {
            format!("{}:lease({})", to.len(), holder.as_deref().unwrap_or_default())
        }
        PresenceOutput::RightsChanged { .. } => "rights".to_owned(),
        PresenceOutput::Count { counts, .. } => format!("count({})", counts.users),
        PresenceOutput::Silence { .. } => "silence".to_owned(),
        PresenceOutput::Withdrawn { .. } => "withdrawn".to_owned(),
        PresenceOutput::Lapsed { .. } => "lapsed".to_owned(),
    });
    each.collect::<Vec<_>>().join(" ")
}

const STATES: [&str; 6] = ["away", "first judgement", "watches", "joined", "judged again", "held"];

/// Ada's connection 1 at a record, in this state; ben watches. And the question that is open, if there is one.
fn in_state(state: &str) -> (World, Vec<PresenceOutput>) {
    let mut world = World::new();
    world.resource = record();
    let asked = world.ask(9, Some("ben"), PresenceAction::Watch(WatchKind::Users));
    world.on(judged(&asked, granted()));
    world.pass(Duration::from_secs(1));
    let mut open = Vec::new();
    if state == "watches" {
        let asked = world.ask(1, Some("ada"), PresenceAction::Watch(WatchKind::Users));
        world.on(judged(&asked, granted_by_the_record()));
    } else if state != "away" {
        open = world.ask(1, Some("ada"), join());
    }
    if ["joined", "judged again", "held"].contains(&state) {
        world.on(judged(&open, granted_by_the_record()));
        open = Vec::new();
    }
    if state == "judged again" {
        open = world.on(PresenceInput::Touched(of_person("ada")));
    }
    if state == "held" {
        world.on(PresenceInput::Ended { attendee: AttendeeKey(1), departure: Departure::Broken });
    }
    world.pass(Duration::from_secs(1));
    (world, open)
}

/// The record of the table.
fn record() -> String {
    format!("Task/{}", fixtures::id(7))
}

/// To those who may read the record, which is everyone.
fn granted_by_the_record() -> PresenceVerdict {
    let scope = ReadScope::everything(fixtures::schema().entity("Task").unwrap(), Generation(1));
    let ground = Ground::Record(Arc::new(scope));
    PresenceVerdict::Granted(Grant { may_join: true, name: None, ground })
}

fn granted_to_watch() -> PresenceVerdict {
    PresenceVerdict::Granted(Grant { may_join: false, name: None, ground: Ground::Person })
}

/// The record was written, under the schema of this generation.
fn written(op: ChangeOp, generation: u64) -> PresenceInput {
    let change =
        Change { generation: Generation(generation), ..(*fixtures::change(1, "Task", 7, op)).clone() };
    let records = vec![Arc::new(change)];
    PresenceInput::Touched(TouchedPresence { records, ..TouchedPresence::default() })
}

fn of_person(user: &str) -> TouchedPresence {
    TouchedPresence { people: vec![user.into()], ..TouchedPresence::default() }
}

#[test]
fn every_state_answers_every_input() {
    const NOT: &str = "NOT_SUBSCRIBED";
    type Act = fn(&mut World, &[PresenceOutput]) -> Vec<PresenceOutput>;
    // Where no question is open there is no answer to it.
    fn reply(world: &mut World, open: &[PresenceOutput], judgement: PresenceVerdict) -> Vec<PresenceOutput> {
        if open.is_empty() { Vec::new() } else { world.on(judged(open, judgement)) }
    }
    let table: [(&str, Act, [&str; 6]); 23] = [
        (
            "join",
            |world, _| world.ask(1, Some("ada"), join()),
            ["judge", "", "sync(ada) 1:join(ada)update()leave()", "sync(ada)", "", "judge"],
        ),
        (
            "update",
            |world, _| world.ask(1, Some("ada"), PresenceAction::Update(news(json!({"b": 2})))),
            [NOT, "", NOT, "2:join()update(ada)leave()", "", NOT],
        ),
        (
            "heartbeat",
            |world, _| world.ask(1, Some("ada"), PresenceAction::Heartbeat(PresenceNews::default())),
            [NOT, "", NOT, "", "", NOT],
        ),
        (
            "leave",
            |world, _| world.ask(1, Some("ada"), PresenceAction::Leave),
            [NOT, "", NOT, "silence 1:join()update()leave(ada)", "", NOT],
        ),
        (
            "subscribe",
            |world, _| world.ask(1, Some("ada"), PresenceAction::Watch(WatchKind::Users)),
            ["judge", "", "subscribed sync()", "subscribed sync(ada)", "", "judge"],
        ),
        (
            "unsubscribe",
            |world, _| world.ask(1, Some("ada"), PresenceAction::Unwatch),
            [NOT, "", "silence unsubscribed", NOT, "", NOT],
        ),
        (
            "granted",
            |world, open| reply(world, open, granted()),
            ["", "sync(ada) 1:join(ada)update()leave()", "", "", "", ""],
        ),
        (
            "refused",
            |world, open| reply(world, open, PresenceVerdict::Refused),
            ["", "FORBIDDEN_CHANNEL", "", "", "withdrawn FORBIDDEN_CHANNEL 1:join()update()leave(ada)", ""],
        ),
        (
            "failed",
            |world, open| reply(world, open, PresenceVerdict::Failed),
            ["", "OVERLOADED", "", "", "", ""],
        ),
        (
            "rights changed",
            |world, _| world.on(PresenceInput::Touched(of_person("ada"))),
            ["", "judge", "judge", "judge", "judge", "1:join()update()leave(ada)"],
        ),
        (
            "broken",
            |world, _| {
                world.on(PresenceInput::Ended { attendee: AttendeeKey(1), departure: Departure::Broken })
            },
            ["", "", "", "", "", ""],
        ),
        (
            "sent away",
            |world, _| {
                world.on(PresenceInput::Ended { attendee: AttendeeKey(1), departure: Departure::Clean })
            },
            ["", "", "", "1:join()update()leave(ada)", "1:join()update()leave(ada)", ""],
        ),
        (
            "subscribe to the count",
            |world, _| world.ask(1, Some("ada"), PresenceAction::Watch(WatchKind::Count)),
            ["judge", "", "subscribed count(0)", "subscribed sync(ada) count(1)", "", "judge"],
        ),
        (
            "granted to watch alone",
            |world, open| reply(world, open, granted_to_watch()),
            ["", "FORBIDDEN_CHANNEL", "", "", "withdrawn FORBIDDEN_CHANNEL 1:join()update()leave(ada)", ""],
        ),
        (
            "pong",
            |world, _| world.on(PresenceInput::Heard { attendee: AttendeeKey(1) }),
            ["", "", "", "", "", ""],
        ),
        (
            "another schema",
            |world, _| world.on(PresenceInput::Touched(TouchedPresence::everything())),
            ["judge", "judge judge", "judge judge", "judge judge", "judge judge", "judge"],
        ),
        (
            "record written",
            |world, _| world.on(written(ChangeOp::Update, 1)),
            ["", "judge", "", "", "judge", ""],
        ),
        (
            "record written under another schema",
            |world, _| world.on(written(ChangeOp::Update, 2)),
            ["", "judge", "judge", "judge", "judge", "1:join()update()leave(ada)"],
        ),
        (
            "record deleted",
            |world, _| world.on(written(ChangeOp::Delete, 1)),
            [
                "",
                "judge",
                "withdrawn FORBIDDEN_CHANNEL",
                "withdrawn FORBIDDEN_CHANNEL 1:join()update()leave(ada)",
                "judge",
                "1:join()update()leave(ada)",
            ],
        ),
        (
            "lease taken",
            |world, _| world.on(PresenceInput::Leased { place: place(&record()), holder: Some("cy".into()) }),
            ["1:lease(cy)", "1:lease(cy)", "2:lease(cy)", "2:lease(cy)", "1:lease(cy)", "1:lease(cy)"],
        ),
        (
            "no room",
            |world, _| world.on(PresenceInput::NoRoom { attendee: AttendeeKey(1), place: place(&record()) }),
            ["", "", "", "", "", ""],
        ),
        (
            "no room, a second ago",
            |world, _| {
                world.on(PresenceInput::NoRoom { attendee: AttendeeKey(1), place: place(&record()) });
                world.pass(Duration::from_secs(1))
            },
            ["", "", "sync()", "sync(ada)", "", ""],
        ),
        (
            "six seconds",
            |world, _| world.pass(Duration::from_secs(6)),
            ["", "", "", "", "", "1:join()update()leave(ada)"],
        ),
    ];
    for (name, act, row) in table {
        for (state, expected) in STATES.iter().zip(row) {
            let (mut world, open) = in_state(state);
            let out = act(&mut world, &open);
            assert_eq!(words(&out), expected, "{name} when {state}");
        }
    }
}

#[test]
fn an_answer_that_is_older_than_a_change_of_rights_does_not_count() {
    let mut world = World::new();
    let first = world.ask(1, Some("ada"), join());
    let second = world.on(PresenceInput::Touched(of_person("ada")));
    assert_eq!(words(&world.on(judged(&first, granted()))), "", "read before the change");
    assert_eq!(words(&world.on(judged(&second, PresenceVerdict::Refused))), "FORBIDDEN_CHANNEL");
    world.on(PresenceInput::Ended { attendee: AttendeeKey(1), departure: Departure::Broken });
    assert!(world.tracker.is_empty(), "nothing is kept of a stranger");
}

#[test]
fn a_connection_that_is_judged_is_told_nothing_and_gets_everything_afterwards() {
    let mut world = World::new();
    let asked = world.ask(1, Some("ada"), join());
    world.on(judged(&asked, granted()));
    let open = world.on(PresenceInput::Touched(of_person("ada")));
    let asked = world.ask(2, Some("ben"), join());
    let out = world.on(judged(&asked, granted()));
    assert_eq!(words(&out), "sync(ada+ben)", "and ada hears nothing yet");
    world.pass(Duration::from_secs(1));
    let mut out = world.on(judged(&open, granted()));
    out.extend(world.pass(Duration::from_secs(1)));
    assert_eq!(words(&out), "sync(ada+ben)");
}

#[test]
fn a_receiver_without_room_gets_everything_a_second_later_and_the_others_wait_for_nothing() {
    let mut world = World::new();
    for (key, user) in [(1, "ada"), (2, "ben")] {
        let asked = world.ask(key, Some(user), join());
        world.on(judged(&asked, granted()));
    }
    world.pass(Duration::from_secs(1));
    world.on(PresenceInput::NoRoom { attendee: AttendeeKey(1), place: place("room") });
    for x in 1..=9 {
        let out = world.ask(2, Some("ben"), PresenceAction::Update(news(json!({"x": x}))));
        assert_eq!(words(&out), "1:join()update(ben)leave()", "ben alone, at once");
        assert_eq!(words(&world.pass(Duration::from_millis(100))), "");
    }
    assert_eq!(words(&world.pass(Duration::from_millis(100))), "sync(ada+ben)");
    let out = world.ask(2, Some("ben"), PresenceAction::Update(news(json!({"x": 0}))));
    assert_eq!(words(&out), "2:join()update(ben)leave()", "and from then on the changes");
    assert_eq!(words(&world.pass(Duration::from_secs(5))), "", "once");
}

#[test]
fn all_who_wait_for_a_long_list_are_sent_the_same_one() {
    let mut world = World::with(|limits| limits.page = 2);
    for (key, user) in [(1, "ada"), (2, "ben"), (3, "cy")] {
        let asked = world.ask(key, Some(user), join());
        world.on(judged(&asked, granted()));
        world.pass(Duration::from_secs(1));
    }
    let mut came = Vec::new();
    for (key, user) in [(4, "dora"), (5, "eve"), (6, "fay")] {
        let asked = join_as(&mut world, key, user);
        came.extend(world.on(judged(&asked, granted())));
    }
    assert_eq!(words(&came), "3:join(dora)update()leave() sync(ada+ben+cy+dora)", "the first has it at once");
    // Fay leaves before the list comes.
    let out = world.ask(6, Some("fay"), PresenceAction::Leave);
    assert_eq!(words(&out), "silence sync()", "her join is answered");
    let out = world.pass(Duration::from_millis(100));
    assert_eq!(words(&out), "4:join(eve)update()leave(fay) sync(ada+ben+cy+dora+eve)");
    let PresenceOutput::Sync { to, .. } = out.last().unwrap() else { panic!("no list: {out:?}") };
    assert_eq!(
        (to.len(), to[0].to.attendee, to[0].answers.as_slice()),
        (1, AttendeeKey(5), &["eve".into()][..])
    );
    for (key, user) in [(7, "gus"), (8, "hal")] {
        let asked = world.ask(key, Some(user), PresenceAction::Watch(WatchKind::Users));
        came = world.on(judged(&asked, granted()));
        assert_eq!(words(&came), "subscribed");
    }
    let out = world.pass(Duration::from_millis(100));
    assert_eq!(words(&out), "2:sync(ada+ben+cy+dora+eve)", "one list for both");
    assert_eq!(words(&join_as(&mut world, 7, "gus")), "", "gus joins, and waits for his list");
    let open = world.on(PresenceInput::Touched(of_person("gus")));
    let out = world.on(judged(&open, PresenceVerdict::Refused));
    assert_eq!(words(&out), "withdrawn FORBIDDEN_CHANNEL FORBIDDEN_CHANNEL", "the join, and the resource");
}

#[test]
fn a_count_is_told_when_it_is_another_one_and_not_when_a_user_does_something() {
    let mut world = World::new();
    let asked = world.ask(9, None, PresenceAction::Watch(WatchKind::Count));
    assert_eq!(words(&world.on(judged(&asked, granted()))), "subscribed count(0)");
    let asked = world.ask(1, Some("ada"), join());
    assert_eq!(words(&world.on(judged(&asked, granted()))), "sync(ada) count(1)");
    world.pass(Duration::from_secs(1));
    let out = world.ask(1, Some("ada"), PresenceAction::Update(news(json!({"x": 1}))));
    assert_eq!(words(&out), "1:join()update(ada)leave()");
    // One who begins to count while another is there for a moment has another number than the rest.
    let asked = world.ask(2, Some("ben"), join());
    world.on(judged(&asked, granted()));
    let asked = world.ask(8, None, PresenceAction::Watch(WatchKind::Count));
    assert_eq!(words(&world.on(judged(&asked, granted()))), "subscribed count(2)");
    world.ask(2, Some("ben"), PresenceAction::Leave);
    let out = world.pass(Duration::from_secs(1));
    assert_eq!(words(&out), "1:join()update()leave(ben) count(1)");
    let PresenceOutput::Count { to, .. } = &out[1] else { panic!("no count: {out:?}") };
    assert_eq!(to.iter().map(|to| to.attendee).collect::<Vec<_>>(), [AttendeeKey(8)], "to that one alone");
}

/// A join with an id.
fn join_as(world: &mut World, key: u64, user: &str) -> Vec<PresenceOutput> {
    let id: Option<Arc<str>> = Some(user.into());
    let person = Arc::new(Person { id: id.clone(), ..Person::default() });
    world.ask_as(key, Visitor { person, id, proof: Proof::Pings }, "room", join(), Some(user))
}

#[test]
fn guests_are_counted_one_by_one_and_are_gone_at_once() {
    let mut world = World::new();
    let asked = world.ask(9, Some("ada"), PresenceAction::Watch(WatchKind::Count));
    assert_eq!(words(&world.on(judged(&asked, granted()))), "subscribed count(0)");
    for (key, guest) in [(1, "guest:0190-aaaa"), (2, "guest:0190-bbbb")] {
        let visitor =
            Visitor { person: Arc::new(Person::default()), id: Some(guest.into()), proof: Proof::Pings };
        let asked = world.ask_as(key, visitor, "room", join(), None);
        world.on(judged(&asked, granted()));
        world.pass(Duration::from_secs(1));
    }
    let names: Vec<String> = world.users("room").iter().map(|user| user.name.to_string()).collect();
    assert_eq!(names, ["Guest AAAA", "Guest BBBB"]);
    assert_eq!(world.tracker.counts(&place("room")), PresenceCounts { users: 2, connections: 2 });
    let out = world.on(PresenceInput::Ended { attendee: AttendeeKey(1), departure: Departure::Broken });
    let gone = "1:join()update()leave(guest:0190-aaaa) count(1)";
    assert_eq!(words(&out), gone, "the next connection is another guest, so none is waited for");
    let asked = world.ask(3, None, join());
    assert_eq!(words(&asked), "UNAUTHENTICATED", "an anonymous caller is no guest");
}

#[test]
fn a_user_who_comes_and_goes_between_two_flushes_leaves_the_list_of_a_watcher_that_began_in_between() {
    let mut world = World::new();
    for (key, user) in [(1, "ada"), (2, "cy")] {
        let asked = world.ask(key, Some(user), join());
        world.on(judged(&asked, granted()));
    }
    let asked = world.ask(5, Some("dora"), PresenceAction::Watch(WatchKind::Users));
    assert_eq!(words(&world.on(judged(&asked, granted()))), "subscribed sync(ada+cy)");
    world.ask(2, Some("cy"), PresenceAction::Leave);
    assert_eq!(words(&world.pass(Duration::from_secs(1))), "2:join()update()leave(cy)");
}

#[test]
fn changes_are_told_ten_times_a_second_and_a_thousand_in_one_go() {
    let mut world = World::new();
    let asked = world.ask(0, Some("watcher"), PresenceAction::Watch(WatchKind::Users));
    world.on(judged(&asked, granted()));
    let mut flushes = 0;
    for key in 1..=1_000 {
        let asked = world.ask(key, Some(&format!("u{key:04}")), join());
        let mut out = world.on(judged(&asked, granted()));
        out.extend(world.pass(Duration::from_millis(1)));
        flushes += out.iter().filter(|output| matches!(output, PresenceOutput::Changed { .. })).count();
    }
    assert!((10..=11).contains(&flushes), "{flushes} in a second");
    world.pass(Duration::from_secs(1));
    assert_eq!(world.tracker.counts(&place("room")), PresenceCounts { users: 1_000, connections: 1_000 });
}

#[test]
fn five_thousand_join_and_leave_one_resource_and_nothing_is_kept() {
    let mut world = World::new();
    for key in 1..=5_000 {
        let asked = world.ask(key, Some(&format!("u{key:04}")), PresenceAction::Watch(WatchKind::Count));
        world.on(judged(&asked, granted()));
        world.ask(key, Some(&format!("u{key:04}")), join());
    }
    assert_eq!(world.users("room").len(), 5_000);
    let page = world.tracker.users(world.now(), &place("room"), Some("u0499"), 2);
    assert_eq!(page.iter().map(|user| &*user.id).collect::<Vec<_>>(), ["u0500", "u0501"]);
    let tree = world.tracker.tree(&place("room"), 10);
    assert_eq!((tree[0].counts.users, tree[0].watchers), (5_000, 5_000));
    for key in 1..=5_000 {
        world.on(PresenceInput::Ended { attendee: AttendeeKey(key), departure: Departure::Broken });
    }
    assert_eq!(world.users("room").len(), 5_000, "held");
    world.pass(Duration::from_secs(6));
    assert!(world.tracker.is_empty() && world.tracker.next_deadline().is_none());
}

#[test]
fn hours_pass_a_socket_stays_by_pongs_alone_and_a_lease_by_what_it_says() {
    let mut world = World::new();
    let states =
        |world: &World| world.users("room").into_iter().map(|user| (user.id.to_string(), user.state));
    for (key, user, proof) in [(1, "ada", Proof::Pings), (2, "ben", Proof::Lease)] {
        let asked = world.ask_at(key, Some(user), "room", join(), proof);
        world.on(judged(&asked, granted()));
    }
    for minute in 1..=180 {
        world.pass(Duration::from_secs(60));
        world.on(PresenceInput::Heard { attendee: AttendeeKey(1) });
        world.ask_at(
            2,
            Some("ben"),
            "room",
            PresenceAction::Heartbeat(PresenceNews::default()),
            Proof::Lease,
        );
        let by_time = match minute {
            1 => PresenceState::Active,
            2..=9 => PresenceState::Idle,
            _ => PresenceState::Away,
        };
        let expected = [("ada".to_owned(), by_time), ("ben".to_owned(), PresenceState::Active)];
        assert_eq!(states(&world).collect::<Vec<_>>(), expected, "after {minute} minutes");
    }
    let seen = &world.users("room")[0];
    assert_eq!(seen.last_seen.0 - seen.joined_at.0, 180 * 60_000, "pongs are signs of life");
    // One word and she is active, and idle again in time: not only once.
    world.ask(1, Some("ada"), PresenceAction::Heartbeat(PresenceNews::default()));
    assert_eq!(world.users("room")[0].state, PresenceState::Active);
    let out = world.pass(Duration::from_secs(74));
    assert_eq!(words(&out), "", "{out:?}");
    assert!(words(&world.pass(Duration::from_secs(2))).contains("lapsed"), "75 seconds without a word");
    assert_eq!(states(&world).collect::<Vec<_>>(), [("ada".to_owned(), PresenceState::Active)]);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.users("room")[0].state, PresenceState::Idle);
    world.ask(
        1,
        Some("ada"),
        PresenceAction::Heartbeat(PresenceNews { metadata: Map::new(), state: Some(PresenceState::Away) }),
    );
    assert_eq!(world.users("room")[0].state, PresenceState::Away, "as she says");
    world.pass(Duration::from_secs(3 * 3600));
    assert_eq!(world.users("room").len(), 1, "its end would be reported");
}

/// What one client has been sent, as a program would keep it.
#[derive(Debug, Default)]
struct ClientView {
    users: BTreeMap<String, (usize, Map<String, Value>)>,
    lease: Option<String>,
}

/// The oracle's own idea of one connection.
#[derive(Debug, Clone)]
struct Connection {
    user: usize,
    watches: BTreeSet<usize>,
    joined: BTreeMap<usize, Map<String, Value>>,
}

const USERS: [&str; 3] = ["ada", "ben", "cy"];
const PLACES: [&str; 2] = ["hall", "Task/7"];

#[test]
fn four_hundred_random_histories_converge() {
    for seed in 0..400 {
        history(seed);
    }
}

fn history(seed: u64) {
    // In every second history each list of two users is a long one.
    let page = if seed.is_multiple_of(2) { 500 } else { 1 };
    let (mut random, mut world) = (Random::new(seed + 1), World::with(|limits| limits.page = page));
    let mut connections: BTreeMap<u64, Connection> = BTreeMap::new();
    let mut views: BTreeMap<(u64, usize), ClientView> = BTreeMap::new();
    let mut allowed = [[true; 2]; 3];
    let (mut questions, mut next_key) = (VecDeque::new(), 0_u64);
    for _ in 0..120 {
        let pick = |random: &mut Random, most: usize| usize::try_from(random.next() % most as u64).unwrap();
        let keys: Vec<u64> = connections.keys().copied().collect();
        let mut out = Vec::new();
        match pick(&mut random, 12) {
            0 | 1 => {
                next_key += 1;
                let user = pick(&mut random, USERS.len());
                let connection = Connection { user, watches: BTreeSet::new(), joined: BTreeMap::new() };
                connections.insert(next_key, connection);
            }
            2..=6 if !keys.is_empty() => {
                let (key, at) = (keys[pick(&mut random, keys.len())], pick(&mut random, PLACES.len()));
                let connection = connections.get_mut(&key).unwrap();
                let may = allowed[connection.user][at];
                let number = json!({"n": pick(&mut random, 5)});
                let action = match pick(&mut random, 6) {
                    0 | 1 => {
                        if may {
                            connection.joined.insert(at, number.as_object().unwrap().clone());
                        }
                        PresenceAction::Join(news(number))
                    }
                    2 => {
                        if may {
                            connection.watches.insert(at);
                        }
                        PresenceAction::Watch(WatchKind::Users)
                    }
                    3 => {
                        connection.joined.remove(&at);
                        PresenceAction::Leave
                    }
                    4 => {
                        connection.watches.remove(&at);
                        PresenceAction::Unwatch
                    }
                    _ => {
                        if let Some(metadata) = connection.joined.get_mut(&at) {
                            metadata.extend(number.as_object().unwrap().clone());
                        }
                        PresenceAction::Update(news(number))
                    }
                };
                out = world.ask_at(key, Some(USERS[connection.user]), PLACES[at], action, Proof::Pings);
            }
            7 if !keys.is_empty() => {
                let key = keys[pick(&mut random, keys.len())];
                connections.remove(&key);
                views.retain(|(of, _), _| *of != key);
                let departure = if pick(&mut random, 2) == 0 { Departure::Broken } else { Departure::Clean };
                out = world.on(PresenceInput::Ended { attendee: AttendeeKey(key), departure });
            }
            8 => {
                let (user, at) = (pick(&mut random, USERS.len()), pick(&mut random, PLACES.len()));
                allowed[user][at] = !allowed[user][at];
                for connection in connections.values_mut().filter(|connection| connection.user == user) {
                    if !allowed[user][at] {
                        connection.joined.remove(&at);
                        connection.watches.remove(&at);
                    }
                }
                out = world.on(PresenceInput::Touched(of_person(USERS[user])));
            }
            9 if pick(&mut random, 4) == 0 => {
                out = world.on(PresenceInput::Touched(TouchedPresence::everything()))
            }
            10 => {
                let holder = USERS.get(pick(&mut random, USERS.len() + 1)).map(|user| (*user).into());
                out = world.on(PresenceInput::Leased { place: place(PLACES[1]), holder });
            }
            _ => out = world.pass(Duration::from_millis(random.next() % 400)),
        }
        deliver(&mut world, out, &mut views, &mut questions, &mut random);
        // Questions are answered before the next thing happens, so that the oracle needs no order of its own.
        settle(&mut world, &mut views, &mut questions, &mut random, &allowed);
    }
    for _ in 0..30 {
        let out = world.pass(Duration::from_secs(1));
        deliver(&mut world, out, &mut views, &mut questions, &mut random);
        settle(&mut world, &mut views, &mut questions, &mut random, &allowed);
    }
    for (at, resource) in PLACES.iter().enumerate() {
        let mut expected: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
        for connection in connections.values() {
            if let Some(metadata) = connection.joined.get(&at) {
                let user = expected.entry(USERS[connection.user].to_owned()).or_default();
                user.0 += 1;
                user.1.insert(Value::Object(metadata.clone()).to_string());
            }
        }
        let users = world.users(resource);
        let found: BTreeMap<String, usize> =
            users.iter().map(|user| (user.id.to_string(), user.connections)).collect();
        let wanted: BTreeMap<String, usize> =
            expected.iter().map(|(user, (count, _))| (user.clone(), *count)).collect();
        assert_eq!(found, wanted, "seed {seed}, {resource}: who is there");
        for user in &users {
            let metadata = Value::Object(user.metadata.clone()).to_string();
            assert!(
                expected[&*user.id].1.contains(&metadata),
                "seed {seed}: {metadata} is not of any connection"
            );
        }
        for (key, connection) in &connections {
            if connection.joined.contains_key(&at) || connection.watches.contains(&at) {
                let view = &views[&(*key, at)].users;
                let shown: BTreeMap<String, (usize, Map<String, Value>)> = users
                    .iter()
                    .map(|user| (user.id.to_string(), (user.connections, user.metadata.clone())))
                    .collect();
                assert_eq!(*view, shown, "seed {seed}, {resource}: what connection {key} was told");
                let lease = world.tracker.lease(&place(resource)).map(|holder| holder.to_string());
                let told = &views[&(*key, at)].lease;
                assert_eq!(
                    *told, lease,
                    "seed {seed}, {resource}: the lease that connection {key} was shown"
                );
            } else {
                let view = views.get(&(*key, at));
                assert!(
                    view.is_none_or(|view| view.users.is_empty()) || allowed[connection.user][at],
                    "seed {seed}, {resource}: connection {key} still shows what it may not see"
                );
            }
        }
    }
}

type Question = (AttendeeKey, PlaceKey, Arc<Person>, u64);

/// Every client applies what it is sent; one of thirty sendings finds no room.
fn deliver(
    world: &mut World,
    out: Vec<PresenceOutput>,
    views: &mut BTreeMap<(u64, usize), ClientView>,
    questions: &mut VecDeque<Question>,
    random: &mut Random,
) {
    let at = |key: &PlaceKey| PLACES.iter().position(|name| place(name) == *key).unwrap();
    let told = |user: &SeenUser| (user.connections, user.metadata.clone());
    let mut inputs = Vec::new();
    for output in out {
        match output {
            PresenceOutput::Judge { attendee, place, person, serial } => {
                questions.push_back((attendee, place, person, serial));
            }
            PresenceOutput::Sync { place, to, users, lease } => {
                for SyncReceiver { to: ReceiverName { attendee, .. }, .. } in to {
                    if random.next().is_multiple_of(30) {
                        inputs.push(PresenceInput::NoRoom { attendee, place: place.clone() });
                        continue;
                    }
                    let view = views.entry((attendee.0, at(&place))).or_default();
                    view.users = users.iter().map(|user| (user.id.to_string(), told(user))).collect();
                    view.lease = lease.as_ref().map(ToString::to_string);
                }
            }
            PresenceOutput::Lease { place, to, holder } => {
                for ReceiverName { attendee, .. } in to {
                    if random.next().is_multiple_of(30) {
                        inputs.push(PresenceInput::NoRoom { attendee, place: place.clone() });
                        continue;
                    }
                    let view = views.entry((attendee.0, at(&place))).or_default();
                    view.lease = holder.as_ref().map(ToString::to_string);
                }
            }
            PresenceOutput::Changed { place, to, change } => {
                for ReceiverName { attendee, .. } in to {
                    if random.next().is_multiple_of(30) {
                        inputs.push(PresenceInput::NoRoom { attendee, place: place.clone() });
                        continue;
                    }
                    let view = views.entry((attendee.0, at(&place))).or_default();
                    for user in change.joined.iter().chain(&change.updated) {
                        view.users.insert(user.id.to_string(), told(user));
                    }
                    for user in &change.left {
                        view.users.remove(&**user);
                    }
                }
            }
            PresenceOutput::Silence { attendee, place } => {
                views.remove(&(attendee.0, at(&place)));
            }
            PresenceOutput::Withdrawn { attendee, place, .. } => {
                views.insert((attendee.0, at(&place)), ClientView::default());
            }
            PresenceOutput::Subscribed { .. }
            | PresenceOutput::Unsubscribed { .. }
            | PresenceOutput::Done { .. }
            | PresenceOutput::Refused { .. }
            | PresenceOutput::Count { .. }
            | PresenceOutput::RightsChanged { .. }
            | PresenceOutput::Lapsed { .. } => {}
        }
    }
    for input in inputs {
        let out = world.on(input);
        deliver(world, out, views, questions, random);
    }
}

fn settle(
    world: &mut World,
    views: &mut BTreeMap<(u64, usize), ClientView>,
    questions: &mut VecDeque<Question>,
    random: &mut Random,
    allowed: &[[bool; 2]; 3],
) {
    while let Some((attendee, place_key, person, serial)) = questions.pop_front() {
        let user = USERS.iter().position(|user| person.id.as_deref() == Some(user)).unwrap();
        let at = PLACES.iter().position(|name| place(name) == place_key).unwrap();
        let judgement = if allowed[user][at] { granted() } else { PresenceVerdict::Refused };
        let out = world.on(PresenceInput::Judged { attendee, place: place_key, serial, judgement });
        deliver(world, out, views, questions, random);
    }
}

#[test]
fn a_refused_connection_is_told_once_when_rights_of_its_user_change() {
    let mut world = World::new();
    let asked = world.ask(1, Some("ada"), join());
    assert_eq!(words(&world.on(judged(&asked, PresenceVerdict::Refused))), "FORBIDDEN_CHANNEL");
    assert_eq!(words(&world.on(PresenceInput::Touched(of_person("ben")))), "", "another user");
    assert_eq!(words(&world.on(PresenceInput::Touched(of_person("ada")))), "rights");
    assert_eq!(words(&world.on(PresenceInput::Touched(of_person("ada")))), "", "once");
    let asked = world.ask(1, Some("ada"), join());
    world.on(judged(&asked, PresenceVerdict::Refused));
    world.on(PresenceInput::Ended { attendee: AttendeeKey(1), departure: Departure::Broken });
    assert!(world.tracker.is_empty(), "a connection that is gone is forgotten");
}

#[test]
fn a_lease_is_shown_at_its_record_and_not_below_it() {
    let mut world = World::new();
    for (key, resource) in [(1, "Task/7"), (2, "Task/7/comments")] {
        let watch = PresenceAction::Watch(WatchKind::Users);
        let asked = world.ask_at(key, Some("ada"), resource, watch, Proof::Pings);
        world.on(judged(&asked, granted()));
    }
    world.pass(Duration::from_secs(1));
    let leased = |holder: Option<&str>| PresenceInput::Leased {
        place: place("Task/7"),
        holder: holder.map(Into::into),
    };
    assert_eq!(words(&world.on(leased(Some("ben")))), "1:lease(ben)");
    assert_eq!(words(&world.on(leased(Some("ben")))), "", "no news");
    let out = world.on(leased(None));
    assert_eq!(words(&out), "", "ten times a second at most");
    assert_eq!(words(&world.pass(Duration::from_secs(1))), "1:lease()");
}
