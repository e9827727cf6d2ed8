//! Many users at one resource, and a reader that is too slow for what they do: over real sockets. The crowd itself has none: it
//! asks the tracker of the running server as connections do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidewire::ids::ConnectionId;
use tidewire::metrics::Via;
use tidewire::outbox::{StatePut, StateQueue};
use tidewire::presence::{Ask, AttendeeKey, Departure, Look, Presence, PresenceReceiver, Proof, Visitor};
use tidewire::protocol::{PresenceAction, PresenceNews, ResourceName, WireForm};
use tidewire::refusals::{KeptClaims, RefusedCaller, RefusedPeer};
use tidewire::rules::Person;
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::socket::Socket;

const LOBBY: &str = "presence:lobby";
/// Behind the keys of real connections.
const FIRST: u64 = 1 << 40;
/// Text that fills most of the metadata of one entry.
const LARGE: usize = 1_900;

/// Takes everything, and shows it to no one.
#[derive(Debug)]
struct Nowhere;

impl StateQueue for Nowhere {
    fn form(&self) -> WireForm {
        WireForm::WebSocket
    }

    fn put_state(&self, _: &Arc<[String]>, _: Bytes) -> StatePut {
        StatePut::Queued
    }

    fn drop_state(&self, _: &Arc<[String]>) {}

    fn put_answer(&self, _: Bytes) {}
}

/// Users who are in the lobby, each by one connection.
struct Crowd {
    presence: Presence,
    users: u64,
}

impl Crowd {
    async fn join(app: &TestApp, users: u64) -> Crowd {
        let crowd = Crowd { presence: app.presence().clone(), users };
        for n in 0..users {
            crowd.ask(n, PresenceAction::Join(PresenceNews::default())).await;
        }
        while crowd.count().await < usize::try_from(users).unwrap() {
            tokio::task::yield_now().await;
        }
        crowd
    }

    fn name(n: u64) -> String {
        format!("u{n:04}")
    }

    async fn ask(&self, n: u64, action: PresenceAction) {
        let id: Option<Arc<str>> = Some(Crowd::name(n).into());
        let person = Arc::new(Person { id: id.clone(), ..Person::default() });
        let visitor = Visitor { person, id, proof: Proof::Pings };
        let resource = ResourceName::of_resource("lobby").unwrap();
        let ask = Ask { resource, action, request_id: None };
        let caller = RefusedCaller { user: None, role: None, claims: KeptClaims::Unknown };
        let connection = ConnectionId(Uuid::nil());
        let peer = RefusedPeer { refusals: Arc::default(), connection, via: Via::Ws, caller };
        let receiver = PresenceReceiver { queue: Arc::new(Nowhere), peer };
        while self
            .presence
            .ask(AttendeeKey(FIRST + n), receiver.clone(), visitor.clone(), ask.clone())
            .is_err()
        {
            // It is answered when the queue has been worked off.
            self.count().await;
        }
    }

    async fn update(&self, n: u64, metadata: Map<String, Value>) {
        self.ask(n, PresenceAction::Update(PresenceNews { metadata, state: None })).await;
    }

    async fn leave(&self, n: u64) {
        self.presence.ended(AttendeeKey(FIRST + n), Departure::Clean).await;
    }

    async fn count(&self) -> usize {
        let parts = ResourceName::of_resource("lobby").unwrap().parts;
        self.presence.look(Look::Users { parts, after: None, limit: 0 }).await.unwrap().counts.users
    }
}

/// What a client knows of the lobby by docs/protocol.md.
#[derive(Debug, Default)]
struct View {
    users: BTreeMap<String, Value>,
    /// Pages of a list that is not whole yet.
    pages: Vec<Value>,
    lists: usize,
}

impl View {
    fn take(&mut self, frame: &Value) {
        let users = frame["payload"]["users"].as_array().cloned().unwrap_or_default();
        let named = |user: &Value| (user["id"].as_str().unwrap().to_owned(), user["metadata"].clone());
        match frame["type"].as_str().unwrap() {
            "presence:sync" => {
                self.pages.extend(users);
                if frame["more"] != true {
                    let before = self.pages.len();
                    self.users = self.pages.drain(..).map(|user| named(&user)).collect();
                    assert_eq!(self.users.len(), before, "each user once");
                    self.lists += 1;
                }
            }
            "presence:join" | "presence:update" => self.users.extend(users.iter().map(named)),
            "presence:leave" => {
                for user in &users {
                    self.users.remove(user["id"].as_str().unwrap());
                }
            }
            _ => {}
        }
    }
}

async fn open(app: &TestApp, person: &str, receive_buffer: Option<u32>) -> Socket {
    let path = format!("/ws?as={person}");
    let mut socket = Socket::try_open(app.address, &path, &[], receive_buffer).await.unwrap();
    socket.expect("connected").await;
    socket
}

async fn join(socket: &mut Socket) {
    socket.send(&json!({"type": "presence:join", "channel": LOBBY, "requestId": "j"})).await;
}

#[tokio::test]
async fn five_thousand_users_at_one_resource_come_in_pages() {
    let app = TestApp::start().await;
    let crowd = Crowd::join(&app, 5_000).await;
    let mut ada = open(&app, "ada", None).await;
    join(&mut ada).await;
    let mut frames = vec![ada.expect("presence:sync").await];
    while frames.last().unwrap()["more"] == true {
        frames.push(ada.expect("presence:sync").await);
    }
    let sizes: Vec<usize> =
        frames.iter().map(|frame| frame["payload"]["users"].as_array().unwrap().len()).collect();
    let mut expected = vec![0];
    expected.extend([500; 10]);
    expected.push(1);
    assert_eq!(sizes, expected, "the answer to the join, and pages that everyone gets");
    assert_eq!(frames[0]["requestId"], "j");
    assert!(frames[1..].iter().all(|frame| frame.get("requestId").is_none()), "the join is answered once");
    let mut view = View::default();
    frames.iter().for_each(|frame| view.take(frame));
    let mut names: Vec<String> = (0..5_000).map(Crowd::name).collect();
    names.insert(0, "ada".to_owned());
    assert!(view.users.keys().eq(&names), "{} users", view.users.len());

    // One who watches and does not join, in the same pages; and one page of REST.
    let mut ben = open(&app, "ben", None).await;
    ben.subscribe(LOBBY, json!({})).await;
    let mut watching = View::default();
    while watching.lists == 0 {
        watching.take(&ben.frame().await);
    }
    assert_eq!(watching.users, view.users);
    let page = app.client_as("ben").get("/api/realtime/presence/lobby?limit=1000&after=u3999").await;
    assert_eq!((&page["counts"]["users"], &page["next"]), (&json!(5_001), &Value::Null));
    assert!(
        page["users"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap()).eq(&names[4_001..])
    );

    crowd.leave(7).await;
    for socket in [&mut ada, &mut ben] {
        let left = socket.expect("presence:leave").await;
        assert_eq!(left["payload"]["users"], json!([{"id": "u0007"}]), "and from then on the changes");
    }
    assert_eq!(crowd.count().await, 5_000);
}

#[tokio::test]
async fn a_slow_reader_loses_presence_first_and_then_sees_what_is() {
    let app = TestApp::with(|config| config.realtime.write_timeout = Duration::from_secs(60)).await;
    let crowd = Crowd::join(&app, 100).await;
    let (mut quick, mut slow) = (open(&app, "ada", None).await, open(&app, "ben", Some(4096)).await);
    let (mut quick_view, mut slow_view) = (View::default(), View::default());
    for (socket, view) in [(&mut quick, &mut quick_view), (&mut slow, &mut slow_view)] {
        join(socket).await;
        while view.lists == 0 {
            view.take(&socket.frame().await);
        }
        socket.subscribe("entity:Task", json!({})).await;
    }
    let text = "x".repeat(LARGE);
    let metadata = |round: u64| json!({"round": round, "text": text}).as_object().unwrap().clone();
    // The crowd moves until the slow reader has no room. The quick one sees every round of it.
    let mut round = 0;
    while app.counted().value("tidewire_presence_dropped_total") == 0.0 {
        round += 1;
        assert!(round < 1_000, "nothing was ever dropped");
        for n in 0..crowd.users {
            crowd.update(n, metadata(round)).await;
        }
        let seen =
            |view: &View| (0..crowd.users).all(|n| view.users[&Crowd::name(n)]["round"] == json!(round));
        while !seen(&quick_view) {
            quick_view.take(&quick.frame().await);
        }
    }
    // What happens while it reads nothing: an event, one who leaves, one who says something else.
    let task = app.client_as("ada").create("tasks", json!({"title": "not lost"})).await;
    crowd.leave(3).await;
    crowd.update(4, metadata(round + 1)).await;
    let mut event = None;
    let expected = loop {
        quick_view.take(&quick.frame().await);
        let left = !quick_view.users.contains_key("u0003");
        if left && quick_view.users["u0004"]["round"] == json!(round + 1) {
            break &quick_view.users;
        }
    };
    let lists = slow_view.lists;
    while event.is_none() || slow_view.users != *expected {
        let frame = slow.frame().await;
        if frame["type"] == "entity:created" {
            assert!(slow_view.users != *expected, "events go first");
            event = Some(frame["payload"]["id"].clone());
        }
        slow_view.take(&frame);
    }
    assert_eq!(event, Some(task["id"].clone()));
    assert!(slow_view.lists > lists, "the whole list came again, unasked");
    assert_eq!(app.lags(), 0, "events were never behind");
    let dropped = app.counted().value("tidewire_presence_dropped_total");
    crowd.update(5, metadata(round + 2)).await;
    while slow_view.users["u0005"]["round"] != json!(round + 2) {
        slow_view.take(&slow.frame().await);
    }
    assert_eq!(app.counted().value("tidewire_presence_dropped_total"), dropped, "it keeps up again");
}
