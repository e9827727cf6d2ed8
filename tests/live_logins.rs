//! Tokens at sockets and in requests: every way of bringing one, and the end of a login while a connection lives.

use std::time::Duration;

use serde_json::{Value, json};
use tidewire::config::AuthConfig;
use tidewire::ids::Timestamp;

use crate::support::account::{Account, PASSWORD, open};
use crate::support::app::TestApp;
use crate::support::clock::HandClock;
use crate::support::process::plain_schemas;
use crate::support::socket::{Came, Socket};

/// A socket of a user, past `connected`.
async fn socket(app: &TestApp, account: &Account) -> Socket {
    let mut socket =
        Socket::try_open(app.address, "/ws", &[("authorization", &account.bearer())], None).await.unwrap();
    let connected = socket.frame().await;
    assert_eq!(
        (&connected["type"], &connected["payload"]["userId"]),
        (&json!("connected"), &json!(account.id)),
        "{connected}"
    );
    assert!(connected["payload"]["expiresAt"].is_string(), "{connected}");
    socket
}

/// The next frames are an error with this code, and the close.
async fn ends_with(socket: &mut Socket, code: &str, close: u16) {
    loop {
        match socket.came().await {
            Came::Frame(frame) if frame["type"] == "pong" => {}
            Came::Frame(frame) => {
                assert_eq!(
                    (&frame["type"], &frame["payload"]["code"]),
                    (&json!("error"), &json!(code)),
                    "{frame}"
                );
                break;
            }
            Came::Closed(code) => panic!("closed with {code:?} and no error"),
        }
    }
    assert_eq!(socket.closed().await, Some(close));
}

#[tokio::test]
async fn a_logout_closes_the_sockets_of_its_session_and_no_others() {
    let app = TestApp::with(open).await;
    let (desk, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    let phone = Account::log_in(&app, "ada").await;
    let mut sockets = [socket(&app, &desk).await, socket(&app, &desk).await];
    let mut others = [socket(&app, &phone).await, socket(&app, &ben).await];
    for socket in sockets.iter_mut().chain(&mut others) {
        socket.subscribe("entity:Task", json!({})).await;
    }
    assert_eq!(desk.call("POST", "/api/auth/logout", Value::Null).await.status, 204);
    for socket in &mut sockets {
        ends_with(socket, "UNAUTHENTICATED", 4401).await;
    }
    ben.call("POST", "/api/tasks", json!({"title": "after"})).await;
    for socket in &mut others {
        assert_eq!(socket.expect("entity:created").await["payload"]["title"], "after");
    }
}

#[tokio::test]
async fn a_new_password_a_revocation_and_a_delete_close_sockets() {
    let app = TestApp::with(open).await;
    let desk = Account::register(&app, "ada").await;
    let phone = Account::log_in(&app, "ada").await;
    let mut of_phone = socket(&app, &phone).await;
    let body = json!({"oldPassword": PASSWORD, "password": "another horse"});
    let desk = Account::of(&app, &desk.call("POST", "/api/auth/password", body).await);
    ends_with(&mut of_phone, "UNAUTHENTICATED", 4401).await;

    let tablet = Account::of(&app, &crate::support::account::log_in(&app, "ada", "another horse").await);
    let mut of_tablet = socket(&app, &tablet).await;
    assert_eq!(desk.call("DELETE", "/api/auth/sessions", Value::Null).await.status, 200);
    ends_with(&mut of_tablet, "UNAUTHENTICATED", 4401).await;

    let mut of_desk = socket(&app, &desk).await;
    app.client().delete(&format!("/api/users/{}", desk.id)).await;
    ends_with(&mut of_desk, "UNAUTHENTICATED", 4401).await;
    let again = Account::register(&app, "ada").await;
    assert_ne!(again.id, desk.id, "the name is free, the id is not given again");
}

#[tokio::test]
async fn a_disabled_user_is_disconnected() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let mut socket = socket(&app, &ada).await;
    socket.subscribe("entity:Task", json!({})).await;
    app.client().patch(&format!("/api/users/{}", ada.id), json!({"disabled": true})).await;
    ends_with(&mut socket, "ACCOUNT_DISABLED", 4403).await;
}

#[tokio::test]
async fn a_login_is_warned_before_its_end_and_then_ended() {
    const HOUR: Duration = Duration::from_secs(3600);
    let clock = HandClock::at(Timestamp(1_790_000_000_000));
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    let app = TestApp::timed(tempfile::tempdir().unwrap(), schema.into(), clock.env(), |config| {
        open(config);
        config.realtime.ping_interval = Duration::from_millis(100);
        let expiry_warning = HOUR - Duration::from_millis(100);
        config.auth = AuthConfig { session_idle: HOUR, expiry_warning, ..config.auth.clone() };
    })
    .await;
    let ada = Account::register(&app, "ada").await;
    let mut socket = socket(&app, &ada).await;
    let warning = socket.expect("auth:expiring").await;
    assert!(warning["payload"]["expiresAt"].is_string(), "{warning}");
    clock.pass(HOUR);
    ends_with(&mut socket, "UNAUTHENTICATED", 4401).await;
    assert!(!ada.is_in().await);
}

#[tokio::test]
async fn a_token_in_a_frame_renews_a_login_or_makes_one_and_never_changes_the_user() {
    let app = TestApp::with(open).await;
    let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    let auth = |token: &str| json!({"type": "auth", "requestId": "a", "payload": {"token": token}});

    let mut anonymous = Socket::open(app.address).await;
    anonymous.send(&auth(&ada.token)).await;
    let done = anonymous.expect("auth:ok").await;
    assert_eq!((&done["requestId"], &done["payload"]["userId"]), (&json!("a"), &json!(ada.id)), "{done}");
    anonymous.subscribe("entity:Task", json!({})).await;

    let refreshed = Account::of(&app, &ada.call("POST", "/api/auth/refresh", Value::Null).await);
    anonymous.send(&auth(&refreshed.token)).await;
    assert_eq!(anonymous.expect("auth:ok").await["payload"]["userId"], json!(ada.id));
    refreshed.call("POST", "/api/tasks", json!({"title": "after"})).await;
    assert_eq!(anonymous.expect("entity:created").await["payload"]["title"], "after", "the channel goes on");
    assert_eq!(refreshed.call("POST", "/api/auth/logout", Value::Null).await.status, 204);
    ends_with(&mut anonymous, "UNAUTHENTICATED", 4401).await;

    let mut of_ben = socket(&app, &ben).await;
    let other = Account::log_in(&app, "ada").await;
    of_ben.send(&auth(&other.token)).await;
    ends_with(&mut of_ben, "UNAUTHENTICATED", 4401).await;

    let mut late = Socket::open(app.address).await;
    late.subscribe("entity:Task", json!({})).await;
    late.send(&auth(&ben.token)).await;
    ends_with(&mut late, "UNAUTHENTICATED", 4401).await;

    let mut odd = Socket::open(app.address).await;
    for payload in [json!(null), json!({}), json!({"token": 5}), json!("x")] {
        odd.send(&json!({"type": "auth", "payload": payload})).await;
        assert_eq!(odd.expect("error").await["payload"]["code"], "BAD_FRAME", "{payload}");
    }
    odd.send(&auth("tws_nonsense")).await;
    ends_with(&mut odd, "UNAUTHENTICATED", 4401).await;
}

#[tokio::test]
async fn every_way_to_bring_a_token_names_the_user_of_a_socket() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let ticket =
        ada.call("POST", "/api/auth/ticket", Value::Null).await.json["ticket"].as_str().unwrap().to_owned();
    let protocols = format!("tidewire.v1, bearer.{}", ada.token);
    let cookie = format!("other=1; tidewire={}", ada.token);
    let own = format!("http://{}", app.address);
    let ways: [(String, Vec<(&'static str, &str)>); 5] = [
        (format!("/ws?token={}", ada.token), vec![]),
        (format!("/ws?ticket={ticket}"), vec![]),
        ("/ws".to_owned(), vec![("sec-websocket-protocol", &protocols)]),
        ("/ws".to_owned(), vec![("cookie", &cookie), ("origin", &own)]),
        ("/ws".to_owned(), vec![("authorization", "")]),
    ];
    let bearer = ada.bearer();
    for (path, mut headers) in ways {
        if let Some(("authorization", value)) = headers.first_mut() {
            *value = &bearer;
        }
        let mut socket = Socket::try_open(app.address, &path, &headers, None).await.unwrap();
        let connected = socket.frame().await;
        assert_eq!(connected["payload"]["userId"], json!(ada.id), "{headers:?} {connected}");
    }
    let mut twice = Socket::open_at(app.address, &format!("/ws?ticket={ticket}")).await;
    ends_with(&mut twice, "UNAUTHENTICATED", 4401).await;
}

#[tokio::test]
async fn sixty_bad_tokens_open_nothing() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let good = &ada.token;
    let mut bad: Vec<String> =
        ["", "x", "null", "undefined", "tws_", "Bearer", "tws", "../..", "%00", "a.b.c"]
            .map(str::to_owned)
            .to_vec();
    bad.push("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.".to_owned());
    for at in [4, 5, 20, 30, 45, 46] {
        let mut other = good.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        bad.push(String::from_utf8(other).unwrap());
        bad.push(good[..at].to_owned());
        bad.push(good[at..].to_owned());
    }
    for (before, after) in [
        ("", "="),
        ("", "A"),
        ("tws_", ""),
        ("", "."),
        ("x", ""),
        ("", ","),
        ("TWS_", ""),
        ("twt_", ""),
        ("twl_", ""),
    ] {
        bad.push(format!("{before}{good}{after}"));
        bad.push(format!("{before}{}{after}", &good[4..]));
    }
    bad.push(good.to_uppercase());
    bad.push(good.to_lowercase());
    bad.push(tidewire::identity::digest(good));
    bad.push(format!("tws_{}", tidewire::identity::digest(good)));
    bad.extend((0..12).map(|n| format!("tws_{}", format!("{n:x}").repeat(43)[..43].to_owned())));
    bad.retain(|token| token != good);
    assert!(bad.len() >= 60, "{}", bad.len());
    for token in &bad {
        let header = format!("Bearer {token}");
        let answer =
            app.client().call_with("GET", "/api/tasks", Value::Null, &[("authorization", &header)]).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (401, &json!("UNAUTHENTICATED")),
            "{token}: {}",
            answer.text
        );
        assert!(token.len() < 12 || !answer.text.contains(token.as_str()), "the answer repeats {token}");
    }
    for (header, value) in [
        ("authorization", good.clone()),
        ("authorization", format!("Basic {good}")),
        ("authorization", format!("Token {good}")),
        ("authorization", "Bearer".to_owned()),
        ("x-api-key", good.clone()),
    ] {
        let answer = app.client().call_with("GET", "/api/tasks", Value::Null, &[(header, &value)]).await;
        assert_eq!(answer.status, 401, "{header}: {value}");
    }
    let ben = Account::register(&app, "ben").await;
    for (path, headers) in [
        (format!("/api/auth/me?token={}", ben.token), vec![("authorization", ada.bearer())]),
        ("/api/auth/me?as=ada".to_owned(), vec![("authorization", ada.bearer())]),
        (
            "/api/auth/me?as=ada".to_owned(),
            vec![("x-user-id", "ben".to_owned()), ("authorization", ada.bearer())],
        ),
        (format!("/api/auth/me?token={good}&ticket=x"), vec![]),
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let answer = app.client().call_with("GET", &path, Value::Null, &headers).await;
        assert_eq!(answer.status, 401, "two at once are refused: {path}");
    }
    for path in ["/ws?token=", "/ws?token=x", "/ws?ticket=", "/ws?ticket=x", "/ws?access_token=x"] {
        let mut socket = Socket::open_at(app.address, path).await;
        ends_with(&mut socket, "UNAUTHENTICATED", 4401).await;
    }
}

#[tokio::test]
async fn a_cookie_is_set_on_request_and_counts_for_pages_of_this_origin_alone() {
    let app = TestApp::with(open).await;
    Account::register(&app, "ada").await;
    let body = json!({"name": "ada", "password": PASSWORD, "cookie": true});
    let answer = app.client().call("POST", "/api/auth/login", body.clone()).await;
    assert!(answer.json.get("token").is_none(), "scripts get no token: {}", answer.text);
    let set = answer.header("set-cookie").to_owned();
    for word in ["tidewire=tws_", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
        assert!(set.contains(word), "{set}");
    }
    assert!(!set.contains("Secure"), "loopback has no TLS: {set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let me = async |headers: &[(&str, &str)]| {
        let headers = [&[("cookie", &*cookie)], headers].concat();
        app.client().call_with("GET", "/api/auth/me", Value::Null, &headers).await.json["user"]["name"]
            .clone()
    };
    let own = format!("http://{}", app.address);
    assert_eq!(me(&[]).await, "ada");
    assert_eq!(me(&[("sec-fetch-site", "same-origin"), ("origin", &own)]).await, "ada");
    for foreign in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "http://localhost:1")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
    ] {
        assert_eq!(me(foreign).await, Value::Null, "{foreign:?}");
    }
    let out = app.client().call_with("POST", "/api/auth/logout", Value::Null, &[("cookie", &cookie)]).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));

    let app = TestApp::with(|config| {
        open(config);
        config.allowed_hosts = vec!["tide.example".to_owned()];
    })
    .await;
    Account::register(&app, "ada").await;
    let answer = app.client().call_with("POST", "/api/auth/login", body, &[("host", "tide.example")]).await;
    let set = answer.header("set-cookie").to_owned();
    assert!(set.starts_with("__Host-tidewire=tws_") && set.ends_with("; Secure"), "{set}");
    let secure = set.split(';').next().unwrap();
    let plain = secure.trim_start_matches("__Host-");
    for (cookie, name) in [(secure, json!("ada")), (plain, Value::Null)] {
        let headers = [("host", "tide.example"), ("cookie", cookie)];
        let me = app.client().call_with("GET", "/api/auth/me", Value::Null, &headers).await;
        assert_eq!(me.json["user"]["name"], name, "{cookie}");
    }
}

#[tokio::test]
async fn a_header_names_the_user_in_dev() {
    let app = TestApp::with(open).await;
    let me = app.client().call_with("GET", "/api/auth/me", Value::Null, &[("x-user-id", "ada")]).await;
    assert_eq!(me.json["user"], json!({"id": "ada", "name": "ada", "role": null}));
}

#[tokio::test]
async fn a_session_that_expired_while_the_machine_slept_is_ended_by_the_next_tick() {
    let clock = HandClock::at(Timestamp(1_790_000_000_000));
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    let app = TestApp::timed(tempfile::tempdir().unwrap(), schema.into(), clock.env(), |config| {
        open(config);
        config.realtime.ping_interval = Duration::from_millis(100);
    })
    .await;
    let ada = Account::register(&app, "ada").await;
    let mut socket = socket(&app, &ada).await;
    clock.jump(i64::try_from(Duration::from_secs(15 * 24 * 3600).as_millis()).unwrap());
    ends_with(&mut socket, "UNAUTHENTICATED", 4401).await;
}

#[tokio::test]
async fn a_poll_that_waits_ends_when_its_login_expires() {
    let idle = Duration::from_millis(900);
    let clock = HandClock::at(Timestamp(1_790_000_000_000));
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    let app = TestApp::timed(tempfile::tempdir().unwrap(), schema.into(), clock.env(), |config| {
        open(config);
        config.auth = AuthConfig { session_idle: idle, ..config.auth.clone() };
    })
    .await;
    let ada = Account::register(&app, "ada").await;
    let first = ada.call("GET", "/api/changes?channel=entity:Task", Value::Null).await.json;
    let since = format!("{}:{}", first["epoch"].as_str().unwrap(), first["seq"]);
    let view = first["channels"][0]["view"].as_str().unwrap().to_owned();
    // Of itself it would be answered after 25 s, and the client of the tests gives up after 20.
    let polling = format!("/api/changes?channel=entity:Task&view={view}&since={since}&wait=25");
    let expiring = async {
        app.wait_for_metric("tidewire_sessions{transport=\"poll\"}", 1.0).await;
        clock.pass(idle);
    };
    let (ended, ()) = tokio::join!(ada.call("GET", &polling, Value::Null), expiring);
    assert_eq!((ended.status, &ended.json["code"]), (401, &json!("UNAUTHENTICATED")), "{}", ended.text);
}

#[tokio::test]
async fn a_poll_that_waits_ends_with_its_login() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let first = ada.call("GET", "/api/changes?channel=entity:Task", Value::Null).await.json;
    let since = format!("{}:{}", first["epoch"].as_str().unwrap(), first["seq"]);
    let view = first["channels"][0]["view"].as_str().unwrap().to_owned();
    let polling = format!("/api/changes?channel=entity:Task&view={view}&since={since}&wait=25");
    let waiting = ada.call("GET", &polling, Value::Null);
    let leaving = async {
        app.wait_for_metric("tidewire_sessions{transport=\"poll\"}", 1.0).await;
        Account::log_in(&app, "ada").await.call("DELETE", "/api/auth/sessions", Value::Null).await
    };
    let (ended, left) = tokio::join!(waiting, leaving);
    assert_eq!(left.json, json!({"ended": 1}), "{}", left.text);
    assert_eq!((ended.status, &ended.json["code"]), (401, &json!("UNAUTHENTICATED")), "{}", ended.text);
}
