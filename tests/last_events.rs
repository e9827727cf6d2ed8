//! The end of a right to see, under writes: whatever the credential is and whatever the transport, no event follows its end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::config::AuthConfig;
use tidewire::ids::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::account::{Account, open};
use crate::support::app::{Client, TestApp};
use crate::support::clock::HandClock;
use crate::support::issuer::TestIssuer;
use crate::support::process::{ended, plain_schemas, tidewire};
use crate::support::socket::{Came, PATIENCE, Socket};
use crate::support::stream::EventSource;

const NOON: Timestamp = Timestamp(1_790_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const ONE_OCLOCK: i64 = NOON.0 + 3_600_000;

/// What lets in, and how it ends.
#[derive(Debug, Clone, Copy)]
enum Credential {
    SessionLoggedOut,
    /// Nothing but its time ends it.
    SessionExpired,
    /// The same for a token of another issuer.
    OutsideExpired,
    /// By the command line, in another process.
    ServiceRevoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Socket,
    Stream,
    Polls,
    /// Polls of a session.
    Session,
}

const WAYS: [Way; 4] = [Way::Socket, Way::Stream, Way::Polls, Way::Session];

#[derive(Debug, Clone)]
enum Heard {
    /// Every event from here on is due.
    Begun,
    /// With the time of its commit.
    Event { seq: u64, at: i64 },
    /// With the code that says why.
    End(String),
}

/// A server where a session lasts an hour, with an issuer whose tokens count, and the clock of both.
async fn started() -> (TestApp, HandClock, TestIssuer) {
    let (clock, issuer) = (HandClock::at(NOON), TestIssuer::start(&[("rsa", "k1")]).await);
    let (folder, name) = (tempfile::tempdir().unwrap(), issuer.name());
    let tokens = folder.path().join("tokens.toml");
    let file = format!(
        "[issuers.acme]\nissuer = \"{name}\"\naudience = [\"tide\"]\njwks_url = \"{name}/keys\"\nleeway_seconds = 0\n"
    );
    std::fs::write(&tokens, file).unwrap();
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    let app = TestApp::timed(folder, schema.into(), clock.env(), |config| {
        open(config);
        config.auth = AuthConfig { session_idle: HOUR, tokens: Some(tokens), ..config.auth.clone() };
    })
    .await;
    (app, clock, issuer)
}

async fn token(credential: Credential, app: &TestApp, issuer: &TestIssuer) -> String {
    match credential {
        Credential::SessionLoggedOut | Credential::SessionExpired => {
            Account::register(app, "ada").await.token
        }
        Credential::OutsideExpired => issuer.token("rsa", Some("k1"), &json!({"exp": ONE_OCLOCK / 1000})),
        Credential::ServiceRevoked => {
            let issued = ended(tidewire(app.folder.path()).args(["token", "issue", "worker"])).await;
            assert_eq!(issued.code, 0, "{}", issued.stderr);
            issued.stdout.trim().to_owned()
        }
    }
}

/// Follows the tasks until it is sent away, and says what it hears.
async fn follow(way: Way, address: SocketAddr, token: String, tell: UnboundedSender<(Way, Heard)>) {
    let hear = |frame: Option<&Value>| {
        let heard = frame.map_or(Heard::Begun, |frame| Heard::Event {
            seq: frame["seq"].as_u64().unwrap(),
            at: frame["timestamp"].as_i64().unwrap(),
        });
        let _ = tell.send((way, heard));
    };
    let code = match way {
        Way::Socket => over_socket(address, &token, hear).await,
        Way::Stream => over_stream(&Client::bearing(address, &token), hear).await,
        Way::Polls => by_polls(&Client::bearing(address, &token), hear).await,
        Way::Session => by_session(&Client::bearing(address, &token), hear).await,
    };
    let _ = tell.send((way, Heard::End(code)));
}

async fn over_socket(address: SocketAddr, token: &str, hear: impl Fn(Option<&Value>)) -> String {
    let mut socket = Socket::open_at(address, &format!("/ws?token={token}")).await;
    socket.expect("connected").await;
    socket.subscribe("entity:Task", json!({})).await;
    hear(None);
    let mut code = String::new();
    loop {
        match socket.came().await {
            Came::Frame(frame) if frame["type"] == "entity:created" => hear(Some(&frame)),
            Came::Frame(frame) if frame["type"] == "error" => code = code_of(&frame["payload"]),
            Came::Frame(_) => {}
            Came::Closed(close) => {
                assert_eq!(close, Some(4401), "{code}");
                return code;
            }
        }
    }
}

async fn over_stream(client: &Client, hear: impl Fn(Option<&Value>)) -> String {
    let mut stream = EventSource::open(client.request("GET", "/sse?channel=entity:Task")).await;
    let mut code = String::new();
    while let Some(event) = stream.came().await {
        match event["type"].as_str().unwrap() {
            "subscribed" => hear(None),
            "entity:created" => hear(Some(&event)),
            "error" => code = code_of(&event["payload"]),
            _ => {}
        }
    }
    code
}

async fn by_polls(client: &Client, hear: impl Fn(Option<&Value>)) -> String {
    const PATH: &str = "/api/changes?channel=entity:Task";
    let mut path = PATH.to_owned();
    loop {
        let answer = client.call("GET", &path, Value::Null).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 401, "{}", answer.text);
            return code_of(&answer.json);
        }
        if path == PATH {
            hear(None);
        }
        answer.json["events"].as_array().unwrap().iter().for_each(|event| hear(Some(event)));
        let (epoch, seq) = (answer.json["epoch"].as_str().unwrap(), &answer.json["seq"]);
        let view = answer.json["channels"][0]["view"].as_str().unwrap();
        path = format!("{PATH}&view={view}&since={epoch}:{seq}&wait=10");
    }
}

async fn by_session(client: &Client, hear: impl Fn(Option<&Value>)) -> String {
    const PATH: &str = "/api/realtime/session";
    let opened = client.call("POST", &format!("{PATH}?channel=entity:Task"), Value::Null).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let path = format!("{PATH}/{}", opened.json["session"].as_str().unwrap());
    let (mut answer, mut code) = (opened, String::new());
    while (200..300).contains(&answer.status) {
        for frame in answer.json["frames"].as_array().unwrap() {
            match frame["type"].as_str().unwrap() {
                "subscribed" => hear(None),
                "entity:created" => hear(Some(frame)),
                "error" => code = code_of(&frame["payload"]),
                _ => {}
            }
        }
        if answer.json["ended"] == true {
            return code;
        }
        let after = &answer.json["cursor"];
        answer = client.call("GET", &format!("{path}?after={after}&wait=10"), Value::Null).await;
    }
    assert_eq!(answer.status, 401, "{}", answer.text);
    code_of(&answer.json)
}

fn code_of(json: &Value) -> String {
    json["code"].as_str().unwrap_or_else(|| panic!("{json}")).to_owned()
}

/// Records of another user, one after the other, until it is aborted.
fn writing(by: Client) -> tokio::task::JoinHandle<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    tokio::spawn(async move {
        loop {
            pace.tick().await;
            by.create("tasks", json!({"title": "x"})).await;
        }
    })
}

/// The last seq and the last time of an event that may still come.
async fn end(credential: Credential, app: &TestApp, clock: &HandClock, token: &str) -> (u64, i64) {
    let bearer = format!("Bearer {token}");
    let call = async |method: &str, path: &str| {
        app.client().call_with(method, path, Value::Null, &[("authorization", &bearer)]).await.status
    };
    match credential {
        Credential::SessionLoggedOut => assert_eq!(call("POST", "/api/auth/logout").await, 204),
        Credential::SessionExpired | Credential::OutsideExpired => {
            clock.pass(HOUR);
            assert_eq!(call("GET", "/api/auth/me").await, 401);
            return (u64::MAX, ONE_OCLOCK - 1);
        }
        Credential::ServiceRevoked => {
            let revoked = ended(tidewire(app.folder.path()).args(["token", "revoke", "worker"])).await;
            assert_eq!(revoked.code, 0, "{}", revoked.stderr);
            // The server looks twice a second at what another process did.
            let noticed = async {
                while call("GET", "/api/auth/me").await != 401 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, noticed).await.expect("the token ends");
        }
    }
    (app.head(), i64::MAX)
}

#[tokio::test]
async fn under_writes_no_event_follows_the_end_of_a_credential_over_any_transport() {
    for credential in [
        Credential::SessionLoggedOut,
        Credential::SessionExpired,
        Credential::OutsideExpired,
        Credential::ServiceRevoked,
    ] {
        let (app, clock, issuer) = started().await;
        let token = token(credential, &app, &issuer).await;
        let (tell, mut heard) = unbounded_channel();
        for way in WAYS {
            tokio::spawn(follow(way, app.address, token.clone(), tell.clone()));
        }
        drop(tell);
        let writer = writing(app.client_as("root"));
        let mut events: BTreeMap<Way, usize> = BTreeMap::new();
        while WAYS.iter().any(|way| events.get(way).is_none_or(|count| *count < 5)) {
            match heard.recv().await.expect("they follow") {
                (way, Heard::Event { .. }) => *events.entry(way).or_default() += 1,
                (_, Heard::Begun) => {}
                (way, Heard::End(code)) => panic!("{credential:?} {way:?} ended too early: {code}"),
            }
        }
        let (last_seq, last_time) = end(credential, &app, &clock, &token).await;
        let mut ends = BTreeMap::new();
        while let Some((way, heard)) = heard.recv().await {
            match heard {
                Heard::Event { seq, at } => assert!(
                    seq <= last_seq && at <= last_time,
                    "{credential:?} {way:?}: the event {seq} of {at} came, and the end was {last_seq}, {last_time}"
                ),
                Heard::End(code) => drop(ends.insert(way, code)),
                Heard::Begun => panic!("{credential:?} {way:?} began twice"),
            }
        }
        writer.abort();
        let all = WAYS.map(|way| (way, "UNAUTHENTICATED".to_owned()));
        assert_eq!(ends, BTreeMap::from(all), "{credential:?}");
    }
}

#[tokio::test]
async fn the_first_event_after_a_login_has_expired_is_shown_by_no_connection() {
    is_sent_away_by_the_first_event(&[Way::Socket, Way::Stream, Way::Session]).await;
}

#[tokio::test]
async fn rows_are_not_shown_to_a_connection_whose_login_has_expired() {
    let (app, clock, _issuer) = started().await;
    let ada = Account::register(&app, "ada").await;
    app.client_as("root").create("tasks", json!({"title": "old"})).await;
    let mut socket = Socket::open_at(app.address, &format!("/ws?token={}", ada.token)).await;
    socket.expect("connected").await;
    // No tick of the connection is due.
    clock.pass(HOUR);
    socket.send(&json!({"type": "subscribe", "channel": "entity:Task", "payload": {"snapshot": true}})).await;
    assert_eq!(code_of(&socket.expect("error").await["payload"]), "UNAUTHENTICATED");
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn no_poll_is_answered_with_an_event_after_its_login_has_expired() {
    is_sent_away_by_the_first_event(&[Way::Polls]).await;
}

/// Nothing wakes these connections but the event itself: no tick of theirs is due.
async fn is_sent_away_by_the_first_event(ways: &[Way]) {
    for way in ways.iter().copied() {
        let (app, clock, _issuer) = started().await;
        let ada = Account::register(&app, "ada").await;
        let (tell, mut heard) = unbounded_channel();
        tokio::spawn(follow(way, app.address, ada.token.clone(), tell));
        let begun = heard.recv().await.expect("it begins").1;
        assert!(matches!(begun, Heard::Begun), "{begun:?}");
        if way == Way::Polls {
            // The one that waits.
            app.wait_for_metric("tidewire_sessions{transport=\"poll\"}", 1.0).await;
        }
        clock.pass(HOUR);
        app.client_as("root").create("tasks", json!({"title": "late"})).await;
        let first = heard.recv().await.expect("it ends");
        let refused = matches!(&first.1, Heard::End(code) if code == "UNAUTHENTICATED");
        assert!(refused, "{first:?}");
    }
}
