//! The pure session: every phase of a subscription against every input. `session/rights.rs` has the changes of rights,
//! `session/trailers.rs` the trailers of a stream.

mod rights;
mod trailers;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tidewire::channels::{AttachFrom, AttachmentId, Events, InvalidationCause, Item, Note};
use tidewire::config::RealtimeConfig;
use tidewire::ids::{Seq, Timestamp};
use tidewire::metrics::{Metrics, Via};
use tidewire::outbox::{Invalidated, Lag, OnLag};
use tidewire::protocol::{CloseCode, WireForm};
use tidewire::realtime::read::{CheckedRead, ReadAnswer, ReadRequest, RightsNow};
use tidewire::realtime::session::{Effect, Input, Now, Passed, Session, SessionStart, Surroundings};
use tidewire::rules::Principal;
use tidewire::schema::Generation;
use tidewire::store::{At, Change, ChangeOp, ListPage, Listed, LogPage, StoreError, Stored, Survey};
use tokio::time::{Duration, Instant};

use crate::support::fixtures::{change, epoch, id, inside_unit, schema};
use crate::support::wire::frames_in;

/// What a session says is plain text here.
const FORM: WireForm = WireForm::Json;

/// A session and the moment it lives in.
struct Peer {
    session: Session,
    now: Now,
}

type Enter = fn(&mut Peer);
type Apply = Box<dyn Fn(&mut Peer)>;

/// What came out, in short: `send TYPE`, `attach now`, `read rows`...
type Heard = Vec<String>;

impl Peer {
    fn new() -> Peer {
        Peer::with(RealtimeConfig::default())
    }

    fn with(config: RealtimeConfig) -> Peer {
        let around = Surroundings { config: Arc::new(config), ..Peer::around() };
        let known = at(1, 0, Principal::nobody());
        Peer::of(around, known)
    }

    fn around() -> Surroundings {
        Surroundings {
            schema: schema(),
            generation: Generation(1),
            epoch: epoch(),
            config: Arc::new(RealtimeConfig::default()),
            metrics: Arc::new(Metrics::new(&[], Timestamp(0))),
        }
    }

    fn of(around: Surroundings, known: At<Principal>) -> Peer {
        let instant = Instant::now();
        let session = Session::new(
            around,
            known,
            SessionStart { at: instant, via: Via::Ws, form: FORM, offended: false, login: None },
        );
        Peer { session, now: Now { instant, wall: Timestamp(1) } }
    }

    fn on(&mut self, input: Input<'_>) -> Vec<Effect> {
        self.session.on(self.now, input)
    }

    fn say(&mut self, frame: &Value) -> Vec<Effect> {
        self.on(Input::Text(&frame.to_string()))
    }

    fn subscribe(&mut self, channel: &str, payload: &Value) -> Vec<Effect> {
        self.say(&json!({"type": "subscribe", "channel": channel, "requestId": "r", "payload": payload}))
    }

    fn attached(&mut self, attachment: AttachmentId, at: u64, lag: u32) -> Passed {
        let note = Note::Attached { attachment, at: Seq(at), lag: Lag(lag) };
        let item = Item::Control { frame: Bytes::from_static(b"x"), note: Some(note), on_lag: OnLag::Keep };
        self.session.on_item(self.now, item)
    }

    /// A tick that sends a ping, which leaves at once.
    fn pinged(&mut self) {
        assert_eq!(heard(&self.on(Input::Tick))[0], "ping");
        self.session.ping_left(self.now.instant);
    }

    /// A live subscription to entity:Task at `at`.
    fn live(&mut self, at: u64) -> AttachmentId {
        let effects = self.subscribe("entity:Task", &json!({}));
        let attachment = attachment_of(&effects);
        self.attached(attachment, at, 0);
        attachment
    }

    fn log_item(&mut self, attachment: AttachmentId, last: u64, base: u64) -> Option<Bytes> {
        let frames = Bytes::from(format!("log {last}"));
        let of = Events { attachment, last: Seq(last), base: Seq(base) };
        self.session.on_item(self.now, Item::Batch { frames, of }).frame
    }
}

/// The outbox ran over for the nth time.
fn lagged(nth: u32) -> Input<'static> {
    Input::Invalidated(Invalidated { lag: Lag(nth), cause: InvalidationCause::Lag })
}

fn attachment_of(effects: &[Effect]) -> AttachmentId {
    let found = effects.iter().find_map(|effect| {
        if let Effect::Attach { attachment, .. } = effect { Some(*attachment) } else { None }
    });
    found.unwrap_or_else(|| panic!("no attach among {effects:?}"))
}

fn sent(effects: &[Effect]) -> Vec<Value> {
    frames(effects).into_iter().filter(|frame| !is_event(frame)).collect()
}

/// Every frame that is written.
fn frames(effects: &[Effect]) -> Vec<Value> {
    let frames = |effect: &Effect| {
        if let Effect::Write(bytes) = effect { frames_in(FORM, bytes) } else { Vec::new() }
    };
    effects.iter().flat_map(frames).collect()
}

/// The events among them.
fn events(effects: &[Effect]) -> Vec<Value> {
    frames(effects).into_iter().filter(is_event).collect()
}

fn is_event(frame: &Value) -> bool {
    frame["type"].as_str().is_some_and(|kind| kind.starts_with("entity:"))
}

fn heard(effects: &[Effect]) -> Heard {
    let word = |effect: &Effect| match effect {
        Effect::Write(bytes) => match &frames_in(FORM, bytes)[..] {
            [frame] if !is_event(frame) => match frame["payload"]["code"].as_str() {
                Some(code) => format!("send error {code}"),
                None => format!("send {}", frame["type"].as_str().unwrap()),
            },
            events => {
                assert!(!events.is_empty() && events.iter().all(is_event), "{events:?}");
                "write".to_owned()
            }
        },
        Effect::Attach { from: AttachFrom::Now { .. }, .. } => "attach now".to_owned(),
        Effect::Attach { from: AttachFrom::After { seq, .. }, .. } => format!("attach after {seq}"),
        Effect::Detach { .. } => "detach".to_owned(),
        Effect::Pong { .. } => "pong".to_owned(),
        Effect::AwaitRights { .. } => "await rights".to_owned(),
        Effect::Read(ReadRequest::Survey { since, .. }) => format!("read survey {}", since.seq),
        Effect::Read(ReadRequest::Rows { .. }) => "read rows".to_owned(),
        Effect::Read(ReadRequest::Log { after, .. }) => format!("read log {after}"),
        Effect::Read(ReadRequest::Principal(_)) => "read principal".to_owned(),
        Effect::Read(ReadRequest::Differ(differ)) => format!("read differ {}", differ.since),
        Effect::Ping => "ping".to_owned(),
        Effect::Authenticate { .. } => "authenticate".to_owned(),
        Effect::Enter { channel, .. } => format!("enter {channel}"),
        Effect::Leave { channel } => format!("leave {channel}"),
        Effect::Publish { channel, .. } => format!("publish {channel}"),
        Effect::Lease { resource, .. } => format!("lease {resource}"),
        Effect::Presence { .. } => "presence".to_owned(),
        Effect::Mutate { .. } => "mutate".to_owned(),
        Effect::Close(code) => format!("close {}", code.number()),
    };
    effects.iter().map(word).collect()
}

fn at<T>(seq: u64, floor: u64, value: T) -> At<T> {
    At { epoch: epoch(), seq: Seq(seq), floor: Seq(floor), generation: Generation(1), value }
}

/// Read for a user whose rights do not change.
fn checked<T>(read: At<T>) -> CheckedRead<T> {
    CheckedRead { read, rights: RightsNow::default() }
}

fn survey(seq: u64, known: bool, backlog: u64) -> ReadAnswer {
    surveyed(at(seq, 0, Survey { known, schema_changed: false, backlog, rows: 0 }))
}

fn surveyed(survey: At<Survey>) -> ReadAnswer {
    ReadAnswer::Survey(Ok(checked(survey)))
}

/// The last page of rows.
fn rows(seq: u64, count: u128) -> ReadAnswer {
    page(seq, count, false)
}

/// A page that others follow.
fn part(seq: u64, count: u128) -> ReadAnswer {
    page(seq, count, true)
}

fn page(seq: u64, count: u128, more: bool) -> ReadAnswer {
    let row = |n| Listed {
        id: id(n),
        sort_values: Vec::new(),
        expanded: vec![],
        stored: Stored { version: 1, json: Bytes::from(format!("{{\"id\":\"{}\"}}", id(n))) },
    };
    let rows = (1..=count).map(row).collect();
    ReadAnswer::Rows(Ok(checked(at(seq, 0, ListPage { rows, more, read_scope: None }))))
}

fn log(head: u64, to: u64, changes: Vec<Arc<Change>>) -> ReadAnswer {
    ReadAnswer::Log(Ok(checked(at(head, 0, LogPage::Changes { changes, to: Seq(to) }))))
}

fn since(seq: u64) -> Value {
    json!({"since": {"epoch": epoch().as_str(), "seq": seq}})
}

/// The events among what was written, as (seq, prev, more).
fn written(effects: &[Effect]) -> Vec<(u64, u64, bool)> {
    let event = |frame: Value| {
        let number = |key: &str| frame[key].as_u64().unwrap();
        (number("seq"), number("prev"), frame["more"] == true)
    };
    events(effects).into_iter().map(event).collect()
}

#[test]
fn a_plain_subscribe_joins_at_once() {
    let mut peer = Peer::new();
    let effects = peer.subscribe("entity:Task", &json!({}));
    assert_eq!(heard(&effects), ["attach now"]);
    let Passed { frame, effects } = peer.attached(attachment_of(&effects), 7, 0);
    assert!(frame.is_some() && effects.is_empty());
}

#[test]
fn a_resume_reads_the_log_and_attaches_where_it_ends() {
    let mut peer = Peer::new();
    assert_eq!(heard(&peer.subscribe("entity:Task", &since(3))), ["read survey 3"]);
    let effects = peer.on(Input::Read(survey(6, true, 2)));
    assert_eq!(heard(&effects), ["send subscribed", "read log 3"]);
    let answer = &sent(&effects)[0];
    assert_eq!((&answer["payload"]["recovered"], &answer["payload"]["seq"]), (&json!(true), &json!(6)));
    let page = vec![
        inside_unit(change(4, "Task", 1, ChangeOp::Create)),
        change(5, "Task", 2, ChangeOp::Update),
        change(6, "Note", 3, ChangeOp::Create),
    ];
    let effects = peer.on(Input::Read(log(8, 6, page)));
    assert_eq!(written(&effects), [(4, 3, true), (5, 4, false)]);
    assert_eq!(heard(&effects), ["write", "read log 6"]);
    let effects = peer.on(Input::Read(log(8, 8, vec![change(8, "Task", 1, ChangeOp::Delete)])));
    assert_eq!(written(&effects), [(8, 5, false)]);
    assert_eq!(heard(&effects), ["write", "attach after 8"]);
}

#[test]
fn a_resume_that_is_not_possible_says_so_and_gets_a_snapshot() {
    for (answer, case) in [
        (survey(6, false, 0), "unknown epoch"),
        (survey(2, true, 0), "beyond the head"),
        (survey(60_000, true, 10_001), "too far behind"),
        (surveyed(at(6, 4, Survey { known: true, ..Survey::default() })), "below the floor"),
        (
            surveyed(at(6, 0, Survey { known: true, schema_changed: true, backlog: 0, rows: 0 })),
            "across a schema change",
        ),
    ] {
        let mut peer = Peer::new();
        peer.subscribe("entity:Task", &since(3));
        assert_eq!(heard(&peer.on(Input::Read(answer))), ["read rows"], "{case}");
        let effects = peer.on(Input::Read(rows(6, 2)));
        assert_eq!(heard(&effects), ["send subscribed", "send snapshot", "attach after 6"], "{case}");
        let frames = sent(&effects);
        assert_eq!(frames[0]["payload"]["recovered"], false, "{case}");
        assert_eq!((&frames[0]["more"], &frames[1]["more"]), (&json!(true), &json!(true)), "{case}");
    }
}

#[test]
fn an_epoch_that_is_empty_or_missing_never_matches() {
    for payload in [json!({"since": {"epoch": "", "seq": 3}}), json!({"since": {"seq": 3}})] {
        let mut peer = Peer::new();
        assert_eq!(heard(&peer.subscribe("entity:Task", &payload)), ["read rows"]);
    }
}

#[test]
fn another_view_is_no_resume() {
    let mut peer = Peer::new();
    let payload = json!({"since": {"epoch": epoch().as_str(), "seq": 3, "view": "other"}});
    peer.subscribe("entity:Task", &payload);
    assert_eq!(heard(&peer.on(Input::Read(survey(6, true, 1)))), ["read rows"]);
}

#[test]
fn a_long_snapshot_is_read_page_by_page_and_closed_by_the_log_since_its_first() {
    let config = RealtimeConfig { page_rows: 2, ..RealtimeConfig::default() };
    let mut peer = Peer::with(config);
    assert_eq!(heard(&peer.subscribe("entity:Task", &json!({"snapshot": true}))), ["read rows"]);
    assert_eq!(heard(&peer.on(Input::Read(part(6, 2)))), ["send subscribed", "send snapshot", "read rows"]);
    let effects = peer.on(Input::Read(rows(9, 1)));
    assert_eq!(heard(&effects), ["send snapshot", "read log 6"]);
    assert_eq!(sent(&effects)[0]["seq"], 9);
    let effects = peer.on(Input::Read(log(9, 9, vec![change(8, "Task", 1, ChangeOp::Update)])));
    assert_eq!(written(&effects), [(8, 6, true)], "every event of a snapshot says more");
    assert_eq!(heard(&effects), ["write", "attach after 9"]);
}

#[test]
fn an_empty_snapshot_has_no_rows_to_follow() {
    let mut peer = Peer::new();
    peer.subscribe("entity:Task", &json!({"snapshot": true}));
    let effects = peer.on(Input::Read(rows(6, 0)));
    assert_eq!(heard(&effects), ["send subscribed", "attach after 6"]);
    assert_eq!(sent(&effects)[0]["more"], Value::Null);
}

#[test]
fn several_resumes_share_one_reading_of_the_log() {
    let mut peer = Peer::new();
    peer.subscribe("entity:Task", &since(3));
    peer.subscribe("entity:Note", &since(5));
    peer.on(Input::Read(survey(6, true, 1)));
    // The second survey takes its turn before the log does, or after one page of it.
    let mut effects = peer.on(Input::Read(log(6, 4, vec![change(4, "Task", 1, ChangeOp::Create)])));
    assert_eq!(heard(&effects), ["write", "read survey 5"]);
    effects = peer.on(Input::Read(survey(6, true, 1)));
    assert_eq!(heard(&effects), ["send subscribed", "read log 4"]);
    let page = vec![change(5, "Note", 1, ChangeOp::Create), change(6, "Note", 2, ChangeOp::Create)];
    effects = peer.on(Input::Read(log(6, 6, page)));
    assert_eq!(written(&effects), [(6, 5, false)], "what the second channel had already is not sent again");
    assert_eq!(heard(&effects), ["write", "attach after 6", "attach after 6"]);
}

#[test]
fn a_channel_that_is_ahead_of_a_reading_is_not_attached_inside_a_batch() {
    let mut peer = Peer::new();
    peer.subscribe("entity:Task", &since(4));
    peer.on(Input::Read(survey(20, true, 9)));
    // A page of a batch that continues to 20; then the second channel begins further back, where the ring ends at 6.
    peer.subscribe("entity:Note", &since(3));
    peer.on(Input::Read(log(20, 8, vec![change(8, "Task", 1, ChangeOp::Create)])));
    peer.on(Input::Read(survey(20, true, 1)));
    let effects = peer.on(Input::Read(log(6, 6, vec![])));
    assert_eq!(heard(&effects), ["attach after 6", "read log 8"], "only the one that has come to the head");
}

#[test]
fn a_channel_that_falls_behind_a_page_under_way_loses_nothing_by_it() {
    let mut peer = Peer::new();
    peer.subscribe("entity:Task", &since(3));
    peer.on(Input::Read(survey(3, true, 0)));
    let attachment = attachment_of(&peer.on(Input::Read(log(3, 3, vec![]))));
    peer.subscribe("entity:Note", &since(50));
    assert_eq!(heard(&peer.on(Input::Read(survey(60, true, 1)))), ["send subscribed", "read log 50"]);
    let note = Some(Note::Behind { attachment });
    peer.session.on_item(peer.now, Item::Control { frame: Bytes::new(), note, on_lag: OnLag::Drop });
    let page = vec![change(55, "Task", 1, ChangeOp::Create), change(60, "Note", 1, ChangeOp::Create)];
    let effects = peer.on(Input::Read(log(60, 60, page)));
    assert_eq!(written(&effects), [(60, 50, false)], "the page does not reach back to the first channel");
    assert_eq!(heard(&effects), ["write", "attach after 60", "read log 3"]);
}

#[test]
fn a_lagging_connection_continues_after_its_last_frame() {
    let mut peer = Peer::new();
    let attachment = peer.live(5);
    assert!(peer.log_item(attachment, 8, 7).is_some());
    let effects = peer.on(lagged(1));
    assert_eq!(heard(&effects), ["detach", "read survey 8"], "the invalid member leaves even a quiet group");
    assert_eq!(peer.log_item(attachment, 9, 8), None, "an item of the old attachment is not written");
    let effects = peer.on(Input::Read(survey(20, true, 3)));
    assert_eq!(heard(&effects), ["read log 8"], "nothing is said to the client");
    let effects = peer.on(Input::Read(log(20, 20, vec![change(12, "Task", 1, ChangeOp::Update)])));
    assert_eq!(written(&effects), [(12, 8, false)]);
    assert_eq!(heard(&effects), ["write", "attach after 20"]);
}

#[test]
fn a_quiet_channel_of_a_lagging_connection_names_the_prev_that_its_client_knows() {
    let mut peer = Peer::new();
    let busy = peer.live(5);
    let effects = peer.subscribe("entity:Note", &json!({}));
    peer.attached(attachment_of(&effects), 5, 0);
    peer.log_item(busy, 100, 99);
    peer.on(lagged(1));
    peer.on(Input::Read(survey(120, true, 1)));
    let effects = peer.on(Input::Read(log(120, 110, vec![])));
    assert_eq!(heard(&effects), ["read survey 99"], "everything up to the batch before was sent");
    peer.on(Input::Read(survey(120, true, 1)));
    let effects = peer.on(Input::Read(log(120, 120, vec![change(112, "Note", 1, ChangeOp::Create)])));
    assert_eq!(written(&effects), [(112, 5, false)], "prev is no later than what the client has seen");
}

#[test]
fn a_lagging_channel_below_the_floor_is_resynced_and_the_second_time_closed() {
    let mut peer = Peer::new();
    peer.live(5);
    peer.on(lagged(1));
    let below = || surveyed(at(90, 50, Survey { known: true, ..Survey::default() }));
    assert_eq!(heard(&peer.on(Input::Read(below()))), ["read rows"]);
    let config_page = RealtimeConfig::default().page_rows as u128;
    let effects = peer.on(Input::Read(part(90, config_page)));
    assert_eq!(heard(&effects), ["send resync", "send snapshot", "read rows"]);
    assert_eq!(sent(&effects)[0]["payload"]["reason"], "below_floor");
    peer.on(Input::Read(rows(95, 0)));
    let floor = |seq| ReadAnswer::Log(Ok(checked(at(200, seq, LogPage::BelowFloor))));
    assert_eq!(heard(&peer.on(Input::Read(floor(100)))), ["read rows"], "one more snapshot");
    peer.on(Input::Read(part(210, config_page)));
    peer.on(Input::Read(rows(220, 0)));
    assert_eq!(heard(&peer.on(Input::Read(floor(300)))), ["close 4013"]);
}

#[test]
fn a_snapshot_in_place_of_events_is_remembered_with_both_its_ends() {
    let mut peer = Peer::new();
    peer.live(5);
    let known = |peer: &Peer| {
        let rows = peer.session.rows();
        let reached = [5, 6, 90, 91, 210, 211].map(|seq| rows[0].was_in_snapshot(Seq(seq)));
        (rows[0].since.unwrap().0, reached)
    };
    assert_eq!(known(&peer), (5, [false; 6]), "what came was sent as events");
    peer.on(lagged(1));
    peer.on(Input::Read(surveyed(at(90, 50, Survey { known: true, ..Survey::default() }))));
    let page = RealtimeConfig::default().page_rows as u128;
    peer.on(Input::Read(part(90, page)));
    assert_eq!(known(&peer), (5, [false, true, true, false, false, false]));
    peer.on(Input::Read(rows(95, 0)));
    peer.on(Input::Read(ReadAnswer::Log(Ok(checked(at(200, 100, LogPage::BelowFloor))))));
    peer.on(Input::Read(part(210, page)));
    // Of the first snapshot only its end is known by now.
    assert_eq!(known(&peer), (90, [false, false, false, true, true, false]));
}

#[test]
fn a_pong_names_a_position_only_while_every_channel_is_live() {
    let mut peer = Peer::new();
    let ping = json!({"type": "ping", "requestId": "p"});
    assert_eq!(heard(&peer.say(&ping)), ["pong"], "no channel at all");
    peer.live(5);
    assert_eq!(heard(&peer.say(&ping)), ["pong"]);
    peer.subscribe("entity:Note", &since(3));
    let effects = peer.say(&ping);
    assert_eq!(heard(&effects), ["send pong"]);
    assert_eq!(sent(&effects)[0]["payload"], json!({}));
}

#[test]
fn a_pong_that_was_asked_for_before_a_channel_came_loses_its_position() {
    let mut peer = Peer::new();
    peer.live(5);
    peer.say(&json!({"type": "ping"}));
    peer.subscribe("entity:Note", &since(3));
    let note = Some(Note::Reached { at: Seq(9), lag: Lag(0) });
    let bare = Bytes::from_static(b"bare");
    let item = Item::Control { frame: Bytes::from_static(b"9"), note, on_lag: OnLag::Replace(bare.clone()) };
    assert_eq!(peer.session.on_item(peer.now, item).frame, Some(bare));
}

#[test]
fn unsubscribe_ends_the_channel_whatever_is_still_queued() {
    let mut peer = Peer::new();
    let attachment = peer.live(5);
    let effects = peer.say(&json!({"type": "unsubscribe", "channel": "entity:Task", "requestId": "u"}));
    assert_eq!(heard(&effects), ["detach", "send unsubscribed"]);
    assert_eq!(peer.log_item(attachment, 6, 5), None);
    assert_eq!(peer.session.subscriptions(), 0);
    let effects = peer.say(&json!({"type": "unsubscribe", "channel": "entity:Task", "requestId": "u"}));
    assert_eq!(heard(&effects), ["send error NOT_SUBSCRIBED"]);
}

#[test]
fn an_unsubscribe_right_behind_a_subscribe_waits_for_its_answer() {
    let mut peer = Peer::new();
    let attachment = attachment_of(&peer.subscribe("entity:Task", &json!({})));
    let unsubscribe = json!({"type": "unsubscribe", "channel": "entity:Task"});
    assert_eq!(heard(&peer.say(&unsubscribe)), Heard::new());
    let Passed { frame, effects } = peer.attached(attachment, 5, 0);
    assert!(frame.is_some(), "first `subscribed`");
    assert_eq!(heard(&effects), ["detach", "send unsubscribed"]);
}

#[test]
fn subscribing_again_answers_or_restarts() {
    let mut peer = Peer::new();
    let attachment = peer.live(5);
    peer.log_item(attachment, 8, 7);
    let effects = peer.subscribe("entity:Task", &json!({}));
    assert_eq!(heard(&effects), ["send subscribed"]);
    assert_eq!(sent(&effects)[0]["payload"]["seq"], 8);
    assert_eq!(heard(&peer.subscribe("entity:Task", &since(3))), ["detach", "read survey 3"]);
    assert_eq!(peer.session.subscriptions(), 1);
}

#[test]
fn the_fifty_first_subscription_is_refused_and_the_rest_live() {
    let mut peer = Peer::new();
    for n in 0..50 {
        assert_eq!(heard(&peer.subscribe(&format!("entity:Task:{}", id(n)), &json!({}))), ["attach now"]);
    }
    let effects = peer.subscribe("entity:Task", &json!({}));
    assert_eq!(heard(&effects), ["send error SUBSCRIPTION_LIMIT"]);
    let error = &sent(&effects)[0];
    assert_eq!((&error["requestId"], &error["channel"]), (&json!("r"), &json!("entity:Task")));
    for unread in ["entity:Planet", "entity:Task:x", "entity:Task?nothing=1"] {
        let effects = peer.subscribe(unread, &json!({}));
        assert_eq!(heard(&effects), ["send error SUBSCRIPTION_LIMIT"], "nobody looks what it is: {unread}");
    }
    assert_eq!(peer.session.subscriptions(), 50);
}

#[test]
fn a_peer_that_is_silent_is_pinged_and_then_closed() {
    let mut peer = Peer::new();
    let start = peer.now.instant;
    assert_eq!(peer.session.next_deadline(), start + Duration::from_secs(25));
    peer.now.instant = start + Duration::from_secs(25);
    peer.pinged();
    assert_eq!(peer.session.next_deadline(), start + Duration::from_secs(35));
    peer.now.instant = start + Duration::from_secs(34);
    assert_eq!(heard(&peer.on(Input::Heard)), Heard::new());
    assert_eq!(heard(&peer.on(Input::Tick)), Heard::new());
    peer.now.instant = start + Duration::from_secs(50);
    peer.pinged();
    peer.now.instant = start + Duration::from_secs(60);
    assert_eq!(heard(&peer.on(Input::Tick)), ["close 4008"]);
}

#[test]
fn the_time_of_a_pong_begins_when_its_ping_has_left() {
    let mut peer = Peer::new();
    let start = peer.now.instant;
    peer.now.instant = start + Duration::from_secs(25);
    assert_eq!(heard(&peer.on(Input::Tick)), ["ping", "pong"]);
    // The ping waits behind a page that the peer takes slowly.
    peer.session.ping_left(start + Duration::from_secs(33));
    assert_eq!(peer.session.next_deadline(), start + Duration::from_secs(43));
    peer.now.instant = start + Duration::from_secs(42);
    assert_eq!(heard(&peer.on(Input::Tick)), Heard::new());
    peer.now.instant = start + Duration::from_secs(43);
    assert_eq!(heard(&peer.on(Input::Tick)), ["close 4008"]);
}

#[test]
fn what_the_kernel_may_hold_before_a_ping_is_added_to_its_time_at_twenty_kilobytes_a_second() {
    // The last is more than the kernel holds: 128 KiB.
    for (written, millis) in [(0, 10_000), (100_000, 15_000), (131_072, 16_553), (10_000_000, 16_553)] {
        let mut peer = Peer::new();
        peer.now.instant += Duration::from_secs(25);
        peer.session.wrote(peer.now.instant, written);
        peer.pinged();
        let dead_at = peer.now.instant + Duration::from_millis(millis);
        peer.now.instant = dead_at - Duration::from_millis(1);
        assert_eq!(heard(&peer.on(Input::Tick)), Heard::new(), "{written} bytes");
        peer.now.instant = dead_at + Duration::from_millis(1);
        assert_eq!(heard(&peer.on(Input::Tick)), ["close 4008"], "{written} bytes");
    }
}

#[test]
fn bytes_that_were_waited_for_are_a_sign_of_life() {
    let mut peer = Peer::new();
    let start = peer.now.instant;
    peer.now.instant = start + Duration::from_secs(25);
    peer.pinged();
    peer.now.instant = start + Duration::from_secs(34);
    peer.session.peer_took(peer.now.instant);
    peer.now.instant = start + Duration::from_secs(36);
    assert_eq!(heard(&peer.on(Input::Tick)), Heard::new());
    peer.now.instant = start + Duration::from_secs(50);
    peer.pinged();
    // What is in queues before the peer is given a whole interval.
    assert_eq!(peer.session.next_deadline(), start + Duration::from_secs(34 + 25 + 10));
    peer.now.instant = peer.session.next_deadline();
    assert_eq!(heard(&peer.on(Input::Tick)), ["close 4008"], "the next ping finds nobody");
}

#[test]
fn a_server_that_was_stopped_itself_asks_again_before_it_closes_but_only_once() {
    let mut peer = Peer::new();
    peer.now.instant += Duration::from_secs(25);
    peer.pinged();
    peer.now.instant += Duration::from_secs(600);
    peer.pinged();
    peer.now.instant += Duration::from_secs(600);
    assert_eq!(heard(&peer.on(Input::Tick)), ["close 4008"]);
}

#[test]
fn more_messages_than_the_burst_close_the_connection() {
    let mut peer = Peer::new();
    let ping = json!({"type": "ping"});
    for _ in 0..200 {
        assert_eq!(heard(&peer.say(&ping)), ["pong"]);
    }
    assert_eq!(heard(&peer.say(&ping)), ["send error RATE_LIMITED", "close 4029"]);
    assert_eq!(heard(&peer.say(&ping)), Heard::new(), "after a close nothing happens");
}

#[test]
fn a_store_that_is_busy_refuses_a_subscription_and_does_not_end_a_catch_up() {
    let busy = || ReadAnswer::Survey(Err(StoreError::Overloaded));
    let mut peer = Peer::new();
    peer.subscribe("entity:Task", &since(3));
    assert_eq!(heard(&peer.on(Input::Read(busy()))), ["send error OVERLOADED"]);
    assert_eq!(peer.session.subscriptions(), 0);
    peer.live(5);
    peer.on(lagged(1));
    assert_eq!(heard(&peer.on(Input::Read(busy()))), Heard::new());
    peer.now.instant = peer.session.next_deadline();
    assert_eq!(heard(&peer.on(Input::Tick)), ["read survey 5"]);
}

#[test]
fn what_was_asked_behind_a_subscribe_that_failed_is_answered() {
    let mut peer = Peer::new();
    peer.subscribe("entity:Task", &json!({"snapshot": true}));
    peer.say(&json!({"type": "unsubscribe", "channel": "entity:Task", "requestId": "u"}));
    let effects = peer.on(Input::Read(ReadAnswer::Rows(Err(StoreError::Overloaded))));
    assert_eq!(heard(&effects), ["send error OVERLOADED", "send error NOT_SUBSCRIBED"]);
}

#[test]
fn subscribing_again_within_a_snapshot_does_not_claim_to_be_complete() {
    let mut peer = Peer::with(RealtimeConfig { page_rows: 2, ..RealtimeConfig::default() });
    peer.subscribe("entity:Task", &json!({"snapshot": true}));
    peer.on(Input::Read(rows(6, 2)));
    let answer = &sent(&peer.subscribe("entity:Task", &json!({})))[0];
    assert_eq!((&answer["payload"]["recovered"], &answer["payload"]["seq"]), (&json!(false), &json!(6)));
    assert_eq!(answer["more"], true);
}

#[test]
fn every_phase_survives_every_input() {
    let into_phase: [(&str, Enter); 9] = [
        ("nothing", |_| {}),
        ("joining", |peer| drop(peer.subscribe("entity:Task", &json!({})))),
        ("surveying", |peer| drop(peer.subscribe("entity:Task", &since(3)))),
        ("rows", |peer| drop(peer.subscribe("entity:Task", &json!({"snapshot": true})))),
        ("following", |peer| {
            peer.subscribe("entity:Task", &since(3));
            peer.on(Input::Read(survey(9, true, 1)));
        }),
        ("attaching", |peer| {
            peer.subscribe("entity:Task", &since(3));
            peer.on(Input::Read(survey(3, true, 0)));
            peer.on(Input::Read(log(3, 3, vec![])));
        }),
        ("live", |peer| _ = peer.live(5)),
        ("lagged", |peer| {
            peer.live(5);
            peer.on(lagged(1));
        }),
        ("closed", |peer| drop(peer.on(Input::Overflowed))),
    ];
    for (phase, enter) in into_phase {
        let inputs: Vec<(&str, Apply)> = vec![
            ("subscribe", Box::new(|peer| drop(peer.subscribe("entity:Task", &json!({}))))),
            ("resume", Box::new(|peer| drop(peer.subscribe("entity:Task", &since(1))))),
            (
                "unsubscribe",
                Box::new(|peer| drop(peer.say(&json!({"type": "unsubscribe", "channel": "entity:Task"})))),
            ),
            ("ping", Box::new(|peer| drop(peer.say(&json!({"type": "ping"}))))),
            ("garbage", Box::new(|peer| drop(peer.on(Input::Text("{"))))),
            ("binary", Box::new(|peer| drop(peer.on(Input::Binary)))),
            ("lagged", Box::new(|peer| drop(peer.on(lagged(2))))),
            ("survey", Box::new(|peer| drop(peer.on(Input::Read(survey(9, true, 0)))))),
            ("rows", Box::new(|peer| drop(peer.on(Input::Read(rows(9, 1)))))),
            ("log", Box::new(|peer| drop(peer.on(Input::Read(log(9, 9, vec![])))))),
            (
                "stale attach",
                Box::new(|peer| drop(peer.attached(AttachmentId { slot: 9, serial: 999 }, 3, 0))),
            ),
            ("tick", Box::new(|peer| drop(peer.on(Input::Tick)))),
            ("drain", Box::new(|peer| drop(peer.on(Input::Drain { reconnect_in_ms: 5 })))),
            ("oversized", Box::new(|peer| drop(peer.on(Input::Oversized)))),
        ];
        for (first, apply_first) in &inputs {
            for (second, apply_second) in &inputs {
                let mut peer = Peer::new();
                enter(&mut peer);
                apply_first(&mut peer);
                apply_second(&mut peer);
                assert!(peer.session.subscriptions() <= 1, "{phase}, {first}, {second}");
                assert_eq!(peer.session.attachments().len().min(1), peer.session.attachments().len());
            }
        }
    }
}

#[test]
fn a_drained_session_learns_when_to_reconnect() {
    let mut peer = Peer::new();
    let effects = peer.on(Input::Drain { reconnect_in_ms: 1234 });
    assert_eq!(heard(&effects), ["send drain", "close 1012"]);
    assert_eq!(sent(&effects)[0]["payload"]["reconnectInMs"], 1234);
    assert!(matches!(effects.last(), Some(Effect::Close(CloseCode::Restart))));
}
