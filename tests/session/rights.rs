//! The session of a user whose rights change: every phase of a subscription against every way to learn of it. What was read
//! before the change was known is never shown, and nothing else happens than what each row says.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewire::channels::{AttachmentId, InvalidationCause, Item, Note};
use tidewire::config::RealtimeConfig;
use tidewire::ids::{Seq, Timestamp};
use tidewire::metrics::Metrics;
use tidewire::outbox::{Invalidated, Lag, OnLag};
use tidewire::protocol::Code;
use tidewire::realtime::read::{CheckedRead, ReadAnswer, ReadRequest, RightsAt, RightsNow};
use tidewire::realtime::session::{Effect, Input, Passed, Surroundings};
use tidewire::rules::{BindError, Principal, Verdict};
use tidewire::schema::{Generation, Schema};
use tidewire::store::{
    At, Change, ChangeOp, Difference, ListPage, Listed, LogPage, Step, Steps, StoreError, Stored, Survey,
};

use super::{Apply, Heard, Peer, at, attachment_of, events, heard, lagged, sent, since};
use crate::support::fixtures::{change, epoch, id, inside_unit};
use crate::support::ruled;

const LIVE: &str = "entity:Task";

/// Ada, member of p1 at 10, over the schema with rules.
fn ada() -> Peer {
    knowing(at(10, 0, ruled::principal("member", &["p1"])), RealtimeConfig::default())
}

fn around(schema: Arc<Schema>, generation: u64, config: RealtimeConfig) -> Surroundings {
    let metrics = Arc::new(Metrics::new(&[], Timestamp(0)));
    let config = Arc::new(config);
    Surroundings { schema, generation: Generation(generation), epoch: epoch(), config, metrics }
}

fn knowing(known: At<Principal>, config: RealtimeConfig) -> Peer {
    Peer::of(around(ruled::schema(), 1, config), known)
}

/// What the last read asked for, answered with the last change of rights.
fn checked<T>(effects: &[Effect], read: At<T>, rights: u64) -> CheckedRead<T> {
    let standing = effects.iter().rev().find_map(|effect| match effect {
        Effect::Read(
            ReadRequest::Survey { rights, .. }
            | ReadRequest::Rows { rights, .. }
            | ReadRequest::Log { rights, .. },
        ) => Some(rights.clone()),
        Effect::Read(ReadRequest::Principal(_) | ReadRequest::Differ(_)) => None,
        Effect::Write(_)
        | Effect::Attach { .. }
        | Effect::Detach { .. }
        | Effect::Pong { .. }
        | Effect::AwaitRights { .. }
        | Effect::Authenticate { .. }
        | Effect::Enter { .. }
        | Effect::Leave { .. }
        | Effect::Publish { .. }
        | Effect::Lease { .. }
        | Effect::Presence { .. }
        | Effect::Mutate { .. }
        | Effect::Ping
        | Effect::Close(_) => None,
    });
    let uses = standing.unwrap_or_else(|| panic!("no read among {effects:?}")).uses;
    assert!(!uses.is_empty(), "a person's read says whose rights matter");
    CheckedRead {
        read,
        rights: RightsNow(uses.into_iter().map(|known| RightsAt { seq: Seq(rights), ..known }).collect()),
    }
}

fn survey(asked: &[Effect], seq: u64, rights: u64) -> ReadAnswer {
    let principal = Survey { known: true, ..Survey::default() };
    ReadAnswer::Survey(Ok(checked(asked, at(seq, 0, principal), rights)))
}

fn rows(asked: &[Effect], seq: u64, rights: u64, more: bool) -> ReadAnswer {
    let stored = Stored { version: 1, json: Bytes::from_static(b"{\"id\":\"x\"}") };
    let row = Listed { id: id(1), sort_values: vec![], expanded: vec![], stored };
    ReadAnswer::Rows(Ok(checked(
        asked,
        at(seq, 0, ListPage { rows: vec![row], more, read_scope: None }),
        rights,
    )))
}

fn log(asked: &[Effect], head: u64, rights: u64, changes: Vec<Arc<Change>>) -> ReadAnswer {
    let page = LogPage::Changes { changes, to: Seq(head) };
    ReadAnswer::Log(Ok(checked(asked, at(head, 0, page), rights)))
}

fn principal(seq: u64, principal: Principal) -> ReadAnswer {
    ReadAnswer::Principal(Ok(at(seq, 0, principal)))
}

fn differ(seq: u64, principal: Principal, steps: Steps) -> ReadAnswer {
    ReadAnswer::Differ(Ok(at(seq, 0, Difference { principal, steps })))
}

fn two_projects() -> Principal {
    ruled::principal("member", &["p1", "p2"])
}

fn step(n: u128, verdict: Verdict) -> Step {
    let stored = Stored { version: 1, json: Bytes::from(format!("{{\"id\":\"{}\"}}", id(n))) };
    let shown = matches!(verdict, Verdict::Created | Verdict::Entered | Verdict::Updated);
    Step { id: id(n), verdict, record: shown.then_some(stored) }
}

/// A task that moves between projects; without a first one it is created, without a second deleted.
fn moved(seq: u64, n: u128, from: Option<&str>, to: Option<&str>) -> Arc<Change> {
    let image = |project: &str| {
        let json = json!({"id": id(n).as_str(), "version": 1, "title": "t", "project": project});
        Bytes::from(json.to_string())
    };
    let op = match (from, to) {
        (None, _) => ChangeOp::Create,
        (Some(_), Some(_)) => ChangeOp::Update,
        (Some(_), None) => ChangeOp::Delete,
    };
    let before = match op {
        ChangeOp::Update => from.map(|from| Bytes::from(json!({"project": from}).to_string())),
        ChangeOp::Create | ChangeOp::Delete | ChangeOp::Schema => from.map(image),
    };
    Arc::new(Change { before, after: to.map(image), ..(*change(seq, "Task", n, op)).clone() })
}

/// The seq up to which the attached read scope is known to be right, and its view.
fn watch_of(effects: &[Effect]) -> (u64, String) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Attach { watch: Some(watch), view, .. } => Some((watch.bound_at.0, view.to_string())),
        Effect::Attach { watch: None, .. } => None,
        Effect::Write(_)
        | Effect::Detach { .. }
        | Effect::Pong { .. }
        | Effect::AwaitRights { .. }
        | Effect::Authenticate { .. }
        | Effect::Enter { .. }
        | Effect::Leave { .. }
        | Effect::Publish { .. }
        | Effect::Lease { .. }
        | Effect::Presence { .. }
        | Effect::Mutate { .. }
        | Effect::Read(_)
        | Effect::Ping
        | Effect::Close(_) => None,
    });
    found.unwrap_or_else(|| panic!("nobody is watched in {effects:?}"))
}

fn behind(peer: &mut Peer, attachment: AttachmentId) -> Vec<Effect> {
    let note = Some(Note::Behind { attachment });
    let Passed { frame, effects } =
        peer.session.on_item(peer.now, Item::Control { frame: Bytes::new(), note, on_lag: OnLag::Drop });
    assert_eq!(frame, None);
    effects
}

/// The view under which Ada sees the channel now.
fn view_of(channel: &str, known: Principal) -> String {
    let mut peer = knowing(at(10, 0, known), RealtimeConfig::default());
    watch_of(&peer.subscribe(channel, &json!({}))).1
}

fn since_with_view(seq: u64, view: &str) -> Value {
    json!({"since": {"epoch": epoch().as_str(), "seq": seq, "view": view}})
}

/// A resume that continues from `seq`: what was asked last.
fn following(peer: &mut Peer, seq: u64) -> Vec<Effect> {
    let view = view_of(LIVE, ruled::principal("member", &["p1"]));
    let asked = peer.subscribe(LIVE, &since_with_view(seq, &view));
    let effects = peer.on(Input::Read(survey(&asked, 20, 5)));
    assert_eq!(heard(&effects), ["send subscribed".to_owned(), format!("read log {seq}")]);
    effects
}

fn live(peer: &mut Peer, seq: u64) -> AttachmentId {
    let attachment = attachment_of(&peer.subscribe(LIVE, &json!({})));
    peer.attached(attachment, seq, 0);
    attachment
}

/// A live subscription whose rights changed at 30, asking for the difference since 20.
fn differing(peer: &mut Peer) {
    live(peer, 20);
    let asked = peer.on(lagged(1));
    assert_eq!(heard(&asked), ["detach", "read survey 20"]);
    assert_eq!(heard(&peer.on(Input::Read(survey(&asked, 35, 30)))), ["read differ 20"]);
}

#[test]
fn nothing_that_was_read_is_shown_once_rights_changed_and_each_phase_goes_on_in_its_way() {
    type Phase = fn(&mut Peer) -> Vec<Effect>;
    type Answer = fn(&[Effect]) -> ReadAnswer;
    let table: [(&str, Phase, Answer, &[&str]); 8] = [
        (
            "surveying for a resume",
            |peer| peer.subscribe(LIVE, &since(12)),
            |asked| survey(asked, 35, 30),
            &["read principal"],
        ),
        (
            "surveying after a lag",
            |peer| {
                live(peer, 20);
                peer.on(lagged(1))
            },
            |asked| survey(asked, 35, 30),
            &["read differ 20"],
        ),
        (
            "the first page of a snapshot",
            |peer| peer.subscribe(LIVE, &json!({"snapshot": true})),
            |asked| rows(asked, 35, 30, true),
            &["read principal"],
        ),
        (
            "a later page of a snapshot",
            |peer| {
                let asked = peer.subscribe(LIVE, &json!({"snapshot": true}));
                peer.on(Input::Read(rows(&asked, 20, 0, true)))
            },
            |asked| rows(asked, 35, 30, true),
            &["read principal"],
        ),
        (
            "the tail of a snapshot",
            |peer| {
                let asked = peer.subscribe(LIVE, &json!({"snapshot": true}));
                let asked = peer.on(Input::Read(rows(&asked, 20, 0, true)));
                peer.on(Input::Read(rows(&asked, 22, 0, false)))
            },
            |asked| log(asked, 35, 30, vec![moved(25, 1, None, Some("p1"))]),
            &["read principal"],
        ),
        (
            "following the log",
            |peer| following(peer, 12),
            |asked| log(asked, 35, 30, vec![moved(25, 1, None, Some("p1"))]),
            &["read differ 12"],
        ),
        (
            "the tail of a difference",
            |peer| {
                differing(peer);
                let effects = peer.on(Input::Read(differ(36, two_projects(), Steps::Few(vec![]))));
                behind(peer, attachment_of(&effects))
            },
            |asked| log(asked, 45, 40, vec![moved(41, 1, None, Some("p1"))]),
            &["read differ 36"],
        ),
        (
            "attaching, when ChannelManager cannot tell",
            |peer| {
                let asked = following(peer, 12);
                let effects = peer.on(Input::Read(log(&asked, 20, 5, vec![])));
                behind(peer, attachment_of(&effects))
            },
            |asked| log(asked, 35, 30, vec![moved(25, 1, None, Some("p1"))]),
            &["read differ 20"],
        ),
    ];
    for (phase, enter, answer, expected) in table {
        let mut peer = ada();
        let asked = enter(&mut peer);
        let answer = answer(&asked);
        assert_eq!(heard(&peer.on(Input::Read(answer))), expected, "{phase}");
        assert_eq!(peer.session.subscriptions(), 1, "{phase}");
    }
}

#[test]
fn a_read_that_was_checked_is_shown_and_moves_what_is_known_to_be_right() {
    let mut peer = ada();
    let asked = following(&mut peer, 12);
    let page = vec![
        inside_unit(moved(13, 1, None, Some("p2"))),
        inside_unit(moved(14, 2, Some("p2"), Some("p1"))),
        inside_unit(moved(15, 3, Some("p1"), Some("p2"))),
        moved(16, 4, Some("p2"), None),
    ];
    let effects = peer.on(Input::Read(log(&asked, 20, 5, page)));
    assert_eq!(heard(&effects), ["write", "attach after 20"]);
    let events = events(&effects);
    let told = |event: &Value| (event["type"].clone(), event["cause"].clone(), event["seq"].clone());
    assert_eq!(told(&events[0]), (json!("entity:created"), json!("entered"), json!(14)));
    assert_eq!(told(&events[1]), (json!("entity:deleted"), Value::Null, json!(15)), "lost, not left");
    assert_eq!((&events[0]["more"], &events[1]["more"]), (&json!(true), &Value::Null), "of its own events");
    assert_eq!((events.len(), events[1].get("by")), (2, None));
    assert_eq!(watch_of(&effects).0, 20);
}

#[test]
fn a_plain_subscribe_that_may_be_out_of_date_is_bound_again_before_its_answer() {
    let mut peer = ada();
    let effects = peer.subscribe(LIVE, &json!({}));
    assert_eq!(heard(&effects), ["attach now"]);
    let (bound_at, old) = watch_of(&effects);
    assert_eq!(bound_at, 10);
    assert_eq!(heard(&behind(&mut peer, attachment_of(&effects))), ["read principal"]);
    let effects = peer.on(Input::Read(principal(31, two_projects())));
    assert_eq!(heard(&effects), ["attach now"]);
    let (bound_at, new) = watch_of(&effects);
    assert_eq!((bound_at, new != old), (31, true));
}

#[test]
fn a_resume_across_a_change_of_rights_is_answered_by_a_snapshot_under_the_new_ones() {
    let mut peer = ada();
    let view = view_of(LIVE, ruled::principal("member", &["p1"]));
    let asked = peer.subscribe(LIVE, &since_with_view(12, &view));
    assert_eq!(heard(&peer.on(Input::Read(survey(&asked, 35, 30)))), ["read principal"]);
    // The rights came back to what they were, so the view is the same: they changed all the same.
    let asked = peer.on(Input::Read(principal(36, ruled::principal("member", &["p1"]))));
    assert_eq!(heard(&asked), ["read survey 12"]);
    let asked = peer.on(Input::Read(survey(&asked, 36, 30)));
    assert_eq!(heard(&asked), ["read rows"]);
    let effects = peer.on(Input::Read(rows(&asked, 36, 30, false)));
    assert_eq!(heard(&effects), ["send subscribed", "send snapshot", "attach after 36"]);
    assert_eq!(sent(&effects)[0]["payload"]["recovered"], false);
    assert_eq!(sent(&effects)[0]["payload"]["view"], view.as_str());
}

#[test]
fn a_resume_with_unchanged_rights_is_recovered_only_with_its_view() {
    let view = view_of(LIVE, ruled::principal("member", &["p1"]));
    let other = view_of(LIVE, two_projects());
    let everybody = view_of("entity:Board", ruled::principal("member", &[]));
    let table = [
        (LIVE, since_with_view(12, &view), "read log 12"),
        (LIVE, since_with_view(12, &other), "read rows"),
        (LIVE, since(12), "read rows"),
        ("entity:Board", since_with_view(12, &everybody), "read log 12"),
        ("entity:Board", since(12), "read log 12"),
    ];
    for (channel, payload, next) in table {
        let mut peer = ada();
        let asked = peer.subscribe(channel, &payload);
        let effects = peer.on(Input::Read(survey(&asked, 20, 5)));
        assert_eq!(heard(&effects).last().map(String::as_str), Some(next), "{channel} {payload}");
    }
}

#[test]
fn a_part_of_an_entity_is_not_weighed_against_the_whole() {
    let mut peer = ada();
    let view = view_of(LIVE, ruled::principal("member", &["p1"]));
    let asked = peer.subscribe(LIVE, &since_with_view(12, &view));
    let principal = Survey { known: true, schema_changed: false, backlog: 10_001, rows: 1_000_000 };
    let answer = ReadAnswer::Survey(Ok(checked(&asked, at(20_000, 0, principal), 5)));
    assert_eq!(heard(&peer.on(Input::Read(answer))), ["read rows"]);
}

#[test]
fn half_a_snapshot_is_started_again_by_a_resync_that_names_the_rights() {
    let mut peer = ada();
    let asked = peer.subscribe(LIVE, &json!({"snapshot": true}));
    let asked = peer.on(Input::Read(rows(&asked, 20, 0, true)));
    peer.on(Input::Read(rows(&asked, 35, 30, true)));
    // The rows that the peer has are no state at any position, whether the next are being read or wait for their turn.
    let answer = &sent(&peer.subscribe(LIVE, &json!({})))[0];
    assert_eq!((&answer["payload"]["recovered"], &answer["more"]), (&json!(false), &json!(true)), "{answer}");
    let asked = peer.on(Input::Read(principal(36, two_projects())));
    assert_eq!(heard(&asked), ["read rows"]);
    let effects = peer.on(Input::Read(rows(&asked, 37, 30, false)));
    assert_eq!(heard(&effects), ["send resync", "send snapshot", "attach after 37"]);
    assert_eq!(sent(&effects)[0]["payload"]["reason"], "rights");
}

#[test]
fn facts_that_are_newer_than_the_change_are_not_read_again() {
    let mut peer = ada();
    let asked = peer.subscribe(LIVE, &json!({"snapshot": true}));
    peer.on(Input::Read(rows(&asked, 35, 30, true)));
    let asked = peer.on(Input::Read(principal(36, two_projects())));
    peer.on(Input::Read(rows(&asked, 36, 30, false)));
    assert_eq!(heard(&peer.subscribe("entity:Board", &json!({}))), ["attach now"]);
}

#[test]
fn a_difference_is_written_and_closed_under_the_new_view() {
    let mut peer = ada();
    differing(&mut peer);
    let steps = vec![step(1, Verdict::Entered), step(2, Verdict::Lost), step(3, Verdict::Updated)];
    let effects = peer.on(Input::Read(differ(36, two_projects(), Steps::Few(steps))));
    assert_eq!(heard(&effects), ["write", "attach after 36"]);
    let events = events(&effects);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["entity:created", "entity:deleted", "entity:updated"]);
    for event in &events {
        assert_eq!((&event["at"], &event["more"]), (&json!(36), &json!(true)), "{event}");
        assert!(event.get("seq").is_none() && event.get("prev").is_none() && event.get("by").is_none());
    }
    assert_eq!(watch_of(&effects), (36, view_of(LIVE, two_projects())));
    let attachment = attachment_of(&effects);
    let Some(Effect::Attach { from, .. }) = effects.last() else { panic!("{effects:?}") };
    assert!(format!("{from:?}").contains("prev: Seq(20)"), "what the peer knows: {from:?}");
    assert!(peer.attached(attachment, 36, 1).frame.is_some());
    let effects = peer.say(&json!({"type": "ping"}));
    assert_eq!(heard(&effects), ["pong"], "live again");
}

/// Rights of Ada changed at 30: what was attached is no longer attached.
fn other_rights(nth: u32) -> Input<'static> {
    Input::Invalidated(Invalidated { lag: Lag(nth), cause: InvalidationCause::Rights { at: Seq(30) } })
}

/// A live channel that her memberships do not concern.
fn board(peer: &mut Peer, seq: u64) -> AttachmentId {
    let attachment = attachment_of(&peer.subscribe("entity:Board", &json!({})));
    peer.attached(attachment, seq, 0);
    attachment
}

#[test]
fn a_change_of_rights_reads_the_user_once_and_then_the_differences() {
    let mut peer = ada();
    live(&mut peer, 20);
    let attachment = board(&mut peer, 20);
    assert!(peer.log_item(attachment, 26, 25).is_some());
    assert_eq!(heard(&peer.on(other_rights(1))), ["detach", "detach", "read principal"]);
    assert_eq!(heard(&peer.on(Input::Read(principal(36, two_projects())))), ["read differ 25"]);
    let effects = peer.on(Input::Read(differ(37, two_projects(), Steps::Few(vec![]))));
    assert_eq!(heard(&effects), ["attach after 37", "attach after 26"], "the board missed nothing by it");
    assert_eq!(watch_of(&effects[1..]).0, 10, "ChannelManager asks whether its rights changed since");
    let Some(Effect::Attach { from, .. }) = effects.last() else { panic!("{effects:?}") };
    assert!(format!("{from:?}").contains("prev: Seq(26)"), "what the peer knows: {from:?}");
}

#[test]
fn a_channel_that_sees_the_same_by_other_rights_reads_the_difference_if_its_own_changed_in_between() {
    let mut peer = ada();
    live(&mut peer, 20);
    assert_eq!(heard(&peer.on(other_rights(1))), ["detach", "read principal"]);
    // The right was taken away and given back.
    let same = ruled::principal("member", &["p1"]);
    let effects = peer.on(Input::Read(principal(36, same)));
    assert_eq!(heard(&effects), ["attach after 20"]);
    let asked = behind(&mut peer, attachment_of(&effects));
    assert_eq!(heard(&asked), ["read log 20"]);
    let page = vec![moved(25, 1, None, Some("p1"))];
    let effects = peer.on(Input::Read(log(&asked, 36, 35, page)));
    assert_eq!(heard(&effects), ["read differ 20"], "nothing of what was written in between is shown");
}

#[test]
fn a_user_whose_facts_are_current_is_not_read_for_a_change_of_rights() {
    let mut peer = knowing(at(30, 0, two_projects()), RealtimeConfig::default());
    let attachment = live(&mut peer, 31);
    assert!(peer.log_item(attachment, 33, 32).is_some());
    assert_eq!(heard(&peer.on(other_rights(1))), ["detach", "attach after 33"]);
}

#[test]
fn an_account_that_a_change_of_rights_disables_is_closed_before_anything_is_read_for_it() {
    let mut peer = ada();
    live(&mut peer, 20);
    assert_eq!(heard(&peer.on(other_rights(1))), ["detach", "read principal"]);
    let effects = peer.on(Input::Read(principal(31, ruled::disabled())));
    assert_eq!(heard(&effects), ["send error ACCOUNT_DISABLED", "close 4403"]);
}

#[test]
fn a_difference_that_cannot_be_sent_becomes_a_snapshot() {
    let lookup = || BindError::SetTooLarge { entity: "Membership".into() };
    let table: [(&str, ReadAnswer, &[&str], usize); 9] = [
        ("many", differ(36, two_projects(), Steps::Many), &["read rows"], 1),
        (
            "failed",
            differ(36, ruled::too_many(), Steps::Failed(lookup())),
            &["send error RULE_LIMIT", "await rights"],
            0,
        ),
        (
            "unbound",
            differ(36, ruled::too_many(), Steps::Few(vec![])),
            &["send error RULE_LIMIT", "await rights"],
            0,
        ),
        (
            "disabled",
            differ(36, ruled::disabled(), Steps::Few(vec![step(1, Verdict::Lost)])),
            &["send error ACCOUNT_DISABLED", "close 4403"],
            1,
        ),
        (
            "a rule",
            ReadAnswer::Differ(Err(StoreError::Rule(lookup()))),
            &["send error RULE_LIMIT", "await rights"],
            0,
        ),
        (
            "closed",
            ReadAnswer::Differ(Err(StoreError::Closed("Task".into()))),
            &["send error UNKNOWN_ENTITY", "await rights"],
            0,
        ),
        ("busy", ReadAnswer::Differ(Err(StoreError::Overloaded)), &[], 1),
        ("stale", ReadAnswer::Differ(Err(StoreError::StaleGeneration)), &[], 1),
        ("broken", ReadAnswer::Differ(Err(StoreError::Storage("disk".into()))), &["close 1011"], 1),
    ];
    for (case, answer, expected, left) in table {
        let mut peer = ada();
        differing(&mut peer);
        assert_eq!(heard(&peer.on(Input::Read(answer))), expected, "{case}");
        assert_eq!(peer.session.subscriptions(), left, "{case}");
    }
}

#[test]
fn a_difference_that_was_too_busy_is_asked_again() {
    let mut peer = ada();
    differing(&mut peer);
    peer.on(Input::Read(ReadAnswer::Differ(Err(StoreError::Overloaded))));
    peer.now.instant = peer.session.next_deadline();
    assert_eq!(heard(&peer.on(Input::Tick)), ["read differ 20"]);
}

#[test]
fn a_suspended_channel_leaves_the_others_alone() {
    let mut peer = ada();
    let board = attachment_of(&peer.subscribe("entity:Board", &json!({})));
    peer.attached(board, 20, 0);
    differing_beside(&mut peer);
    let effects = peer.on(Input::Read(differ(36, ruled::too_many(), Steps::Many)));
    assert_eq!(heard(&effects), ["send error RULE_LIMIT", "await rights", "read log 20"]);
    assert_eq!(sent(&effects)[0]["channel"], LIVE);
    let effects = peer.on(Input::Read(log(&effects, 36, 5, vec![])));
    assert_eq!(heard(&effects), ["attach after 36"]);
    assert_eq!(peer.session.subscriptions(), 1);
}

/// The same beside a channel that uses nothing but the account.
fn differing_beside(peer: &mut Peer) {
    live(peer, 20);
    let asked = peer.on(lagged(1));
    assert_eq!(heard(&asked), ["detach", "detach", "read survey 20"]);
    let asked = peer.on(Input::Read(survey(&asked, 35, 5)));
    assert_eq!(heard(&asked), ["read log 20"]);
    // The log continues while the second waits for its survey.
    let asked = peer.on(Input::Read(log_part(&asked, 35, 20)));
    assert_eq!(heard(&asked), ["read survey 20"]);
    assert_eq!(heard(&peer.on(Input::Read(survey(&asked, 35, 30)))), ["read log 20"]);
    let asked = vec![Effect::Read(ReadRequest::Log { after: Seq(20), rights: standing_of_board() })];
    let effects = peer.on(Input::Read(log_part(&asked, 35, 20)));
    assert_eq!(heard(&effects), ["read differ 20"]);
}

fn rights_at(uses: &Arc<[tidewire::schema::EntityName]>, seq: u64) -> RightsAt {
    RightsAt { uses: uses.clone(), seq: Seq(seq) }
}

fn standing_of_board() -> tidewire::realtime::read::RightsCheck {
    let uses: Arc<[tidewire::schema::EntityName]> = Arc::new(["User".into()]);
    tidewire::realtime::read::RightsCheck::of(&ruled::ada(), &uses, Seq(10))
}

/// A page that does not come to the head.
fn log_part(asked: &[Effect], head: u64, to: u64) -> ReadAnswer {
    let page = LogPage::Changes { changes: vec![], to: Seq(to) };
    ReadAnswer::Log(Ok(checked(asked, at(head, 0, page), 5)))
}

#[test]
fn a_shared_reading_is_shown_to_those_whose_rights_did_not_change() {
    let mut peer = ada();
    following(&mut peer, 12);
    peer.subscribe("entity:Board", &since(12));
    let page = LogPage::Changes { changes: vec![], to: Seq(12) };
    let tasks: Arc<[tidewire::schema::EntityName]> = Arc::new(["User".into(), "Membership".into()]);
    let board: Arc<[tidewire::schema::EntityName]> = Arc::new(["User".into()]);
    let rights = RightsNow(vec![rights_at(&tasks, 5)]);
    let read = at(20, 0, page);
    let asked = peer.on(Input::Read(ReadAnswer::Log(Ok(CheckedRead { read, rights }))));
    assert_eq!(heard(&asked), ["read survey 12"]);
    assert_eq!(heard(&peer.on(Input::Read(survey(&asked, 20, 5)))), ["send subscribed", "read log 12"]);
    let changes = vec![moved(25, 1, None, Some("p1")), change(26, "Board", 2, ChangeOp::Create)];
    let read = at(35, 0, LogPage::Changes { changes, to: Seq(35) });
    let rights = RightsNow(vec![rights_at(&tasks, 30), rights_at(&board, 5)]);
    let effects = peer.on(Input::Read(ReadAnswer::Log(Ok(CheckedRead { read, rights }))));
    assert_eq!(heard(&effects), ["write", "attach after 35", "read differ 12"]);
    let events = events(&effects);
    assert_eq!((events.len(), &events[0]["seq"]), (1, &json!(26)));
}

#[test]
fn a_page_that_was_not_read_for_a_channel_is_not_shown_to_it() {
    let mut peer = ada();
    let asked = following(&mut peer, 12);
    let attaching = attachment_of(&peer.on(Input::Read(log(&asked, 20, 5, vec![]))));
    peer.subscribe("entity:Board", &since(12));
    let asked = vec![Effect::Read(ReadRequest::Survey {
        of: Some(tidewire::store::Scope::Entity("Board".into())),
        since: tidewire::ids::Position { epoch: epoch(), seq: Seq(12) },
        rights: standing_of_board(),
    })];
    let asked = peer.on(Input::Read(survey(&asked, 20, 5)));
    assert_eq!(heard(&asked), ["send subscribed", "read log 12"]);
    assert_eq!(heard(&behind(&mut peer, attaching)), Heard::new());
    let effects = peer.on(Input::Read(log(&asked, 35, 5, vec![moved(25, 1, None, Some("p1"))])));
    assert_eq!(heard(&effects), ["attach after 35", "read log 20"], "of its rights nobody asked");
}

#[test]
fn a_closed_entity_has_the_same_error_text_as_an_unknown_one() {
    let words = |error: &Value, name: &str| error["payload"]["message"].as_str().unwrap().replace(name, "X");
    let mut nobody = knowing(at(10, 0, Principal::nobody()), RealtimeConfig::default());
    let closed = nobody.subscribe("entity:Vault", &json!({}));
    let absent = nobody.subscribe("entity:Safe", &json!({}));
    assert_eq!(heard(&closed), ["send error UNKNOWN_ENTITY"], "nobody's rights do not change");
    assert_eq!(words(&sent(&closed)[0], "Vault"), words(&sent(&absent)[0], "Safe"));
    let mut peer = ada();
    for payload in [json!({}), json!({"snapshot": true}), since(3)] {
        assert_eq!(heard(&peer.subscribe("entity:Vault?nothing=1", &payload)), ["read principal"]);
        let effects = peer.on(Input::Read(principal(40, ruled::principal("member", &[]))));
        assert_eq!(heard(&effects)[0], "send error UNKNOWN_ENTITY");
        assert_eq!(words(&sent(&effects)[0], "Vault"), words(&sent(&absent)[0], "Safe"));
    }
    assert_eq!(heard(&peer.subscribe("entity:Vault", &json!({}))), ["read principal"]);
    let effects = peer.on(Input::Read(principal(41, ruled::principal("admin", &[]))));
    assert_eq!(heard(&effects), ["attach now"], "a caller who was let in a moment ago is let in");
}

#[test]
fn a_filter_by_a_field_that_is_never_shown_is_one_by_an_unknown_field() {
    let mut peer = ada();
    let mut ask = |channel: &str| {
        assert_eq!(heard(&peer.subscribe(channel, &json!({}))), ["read principal"], "{channel}");
        let effects = peer.on(Input::Read(principal(40, ruled::principal("member", &["p1"]))));
        assert_eq!(heard(&effects)[0], "send error BAD_CHANNEL", "{channel}");
        sent(&effects)[0]["payload"]["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(ask("entity:Task?wage=7"), ask("entity:Task?gain=7").replace("gain", "wage"));
    assert!(!ask("entity:Task?wages=7").contains("`wage`"), "nor is it what was meant");
    let mut admin = knowing(at(10, 0, ruled::principal("admin", &["p1"])), RealtimeConfig::default());
    assert_eq!(heard(&admin.subscribe("entity:Task?wage=7", &json!({}))), ["attach now"]);
}

#[test]
fn a_live_query_gets_what_enters_and_leaves_its_filter() {
    let channel = "entity:Task?project=p1&status=open";
    let view = view_of(channel, ruled::principal("member", &["p1", "p2"]));
    let known = at(10, 0, ruled::principal("member", &["p1", "p2"]));
    let mut peer = knowing(known, RealtimeConfig::default());
    let asked = peer.subscribe(channel, &since_with_view(12, &view));
    let asked = peer.on(Input::Read(survey(&asked, 20, 5)));
    let with_status = |change: Arc<Change>| {
        let open = |image: &Bytes| {
            let mut json: Value = serde_json::from_slice(image).unwrap();
            json["status"] = json!("open");
            Bytes::from(json.to_string())
        };
        let after = change.after.as_ref().map(open);
        Arc::new(Change { after, ..(*change).clone() })
    };
    let page = vec![
        with_status(moved(13, 1, Some("p2"), Some("p1"))),
        with_status(moved(14, 1, Some("p1"), Some("p2"))),
        with_status(moved(15, 1, Some("p2"), Some("p3"))),
    ];
    let effects = peer.on(Input::Read(log(&asked, 20, 5, page)));
    let told: Vec<(Value, Value)> =
        events(&effects).iter().map(|event| (event["type"].clone(), event["cause"].clone())).collect();
    let entered = (json!("entity:created"), json!("entered"));
    assert_eq!(told, [entered, (json!("entity:deleted"), json!("left"))]);
    assert_eq!(events(&effects)[0]["channel"], channel, "the exact text");
}

#[test]
fn a_disabled_account_gets_an_error_and_is_closed_in_every_phase() {
    let mut peer = ada();
    let effects = peer.subscribe(LIVE, &json!({}));
    assert_eq!(heard(&behind(&mut peer, attachment_of(&effects))), ["read principal"]);
    let effects = peer.on(Input::Read(principal(31, ruled::disabled())));
    assert_eq!(heard(&effects), ["send error ACCOUNT_DISABLED", "close 4403"]);
}

#[test]
fn too_many_records_refuse_a_channel_and_no_other() {
    let mut peer = ada();
    assert_eq!(heard(&behind_of(&mut peer)), ["read principal"]);
    let effects = peer.on(Input::Read(principal(31, ruled::too_many())));
    assert_eq!(heard(&effects), ["send error RULE_LIMIT", "await rights"]);
    assert_eq!((&sent(&effects)[0]["requestId"], &sent(&effects)[0]["channel"]), (&json!("r"), &json!(LIVE)));
    assert_eq!(heard(&peer.subscribe("entity:Board", &json!({}))), ["attach now"]);
}

fn behind_of(peer: &mut Peer) -> Vec<Effect> {
    let effects = peer.subscribe(LIVE, &json!({}));
    behind(peer, attachment_of(&effects))
}

#[test]
fn an_attachment_that_is_refused_ends_its_subscription_alone() {
    let mut peer = ada();
    let attachment = attachment_of(&peer.subscribe(LIVE, &json!({})));
    let note = Some(Note::Refused { attachment, code: Code::QueryLimit });
    let item = Item::Control { frame: Bytes::new(), note, on_lag: OnLag::Keep };
    let Passed { frame, effects } = peer.session.on_item(peer.now, item);
    assert_eq!((frame, peer.session.subscriptions()), (None, 0));
    assert!(heard(&effects).contains(&"send error QUERY_LIMIT".to_owned()), "{:?}", heard(&effects));
}

#[test]
fn a_schema_change_reads_the_facts_again_before_anything_is_bound() {
    let mut peer = ada();
    live(&mut peer, 20);
    let reshaped = around(ruled::schema(), 2, RealtimeConfig::default());
    let effects = peer.on(Input::Reshaped(reshaped));
    assert_eq!(heard(&effects), ["send schema:changed", "detach", "read principal"]);
    let old = ReadAnswer::Principal(Ok(at(30, 0, two_projects())));
    assert_eq!(heard(&peer.on(Input::Read(old))), Heard::new(), "of the schema before");
    peer.now.instant = peer.session.next_deadline();
    assert_eq!(heard(&peer.on(Input::Tick)), ["read principal"]);
    let new = At { generation: Generation(2), ..at(31, 0, two_projects()) };
    let effects = peer.on(Input::Read(ReadAnswer::Principal(Ok(new))));
    assert_eq!(heard(&effects), ["read rows"]);
    let Some(Effect::Read(ReadRequest::Rows { rows, .. })) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(rows.sight.generation(), Generation(2));
}

#[test]
fn a_session_of_a_person_survives_every_input_in_every_phase() {
    type Reach = fn(&mut Peer);
    let phases: [(&str, Reach); 7] = [
        ("joining", |peer| drop(peer.subscribe(LIVE, &json!({})))),
        ("asking", |peer| drop(behind_of(peer))),
        ("surveying", |peer| drop(peer.subscribe(LIVE, &since(3)))),
        ("rows", |peer| drop(peer.subscribe(LIVE, &json!({"snapshot": true})))),
        ("following", |peer| drop(following(peer, 12))),
        ("live", |peer| _ = live(peer, 20)),
        ("differing", differing),
    ];
    for (phase, enter) in phases {
        let inputs: Vec<(&str, Apply)> = vec![
            ("subscribe", Box::new(|peer| drop(peer.subscribe(LIVE, &json!({}))))),
            ("resume", Box::new(|peer| drop(peer.subscribe(LIVE, &since(1))))),
            (
                "unsubscribe",
                Box::new(|peer| drop(peer.say(&json!({"type": "unsubscribe", "channel": LIVE})))),
            ),
            ("lagged", Box::new(|peer| drop(peer.on(lagged(2))))),
            ("other rights", Box::new(|peer| drop(peer.on(other_rights(2))))),
            ("principal", Box::new(|peer| drop(peer.on(Input::Read(principal(50, two_projects())))))),
            ("no principal", Box::new(|peer| drop(peer.on(Input::Read(principal(50, ruled::too_many())))))),
            (
                "difference",
                Box::new(|peer| {
                    drop(peer.on(Input::Read(differ(50, two_projects(), Steps::Few(vec![])))));
                }),
            ),
            ("many", Box::new(|peer| drop(peer.on(Input::Read(differ(50, two_projects(), Steps::Many)))))),
            ("tick", Box::new(|peer| drop(peer.on(Input::Tick)))),
            (
                "reshaped",
                Box::new(|peer| {
                    let next = around(ruled::schema(), 2, RealtimeConfig::default());
                    drop(peer.on(Input::Reshaped(next)));
                }),
            ),
        ];
        for (first, apply_first) in &inputs {
            for (second, apply_second) in &inputs {
                let mut peer = ada();
                enter(&mut peer);
                apply_first(&mut peer);
                apply_second(&mut peer);
                assert!(peer.session.subscriptions() <= 1, "{phase}, {first}, {second}");
                assert!(peer.session.attachments().len() <= 1, "{phase}, {first}, {second}");
            }
        }
    }
}
