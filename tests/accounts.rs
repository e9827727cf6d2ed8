//! Accounts: registering, logging in, passwords and sessions, over real connections.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::app::App;
use tidewire::auth::{Identity, NameTrust};
use tidewire::config::{AuthConfig, Config, Registration};
use tidewire::env::Env;
use tidewire::identity::{IdentityError, LinkKind, NewAccount};
use tidewire::ids::Timestamp;
use tidewire::repository::Mutation;

use crate::support::account::{Account, PASSWORD, link, log_in, open};
use crate::support::app::TestApp;
use crate::support::clock::HandClock;
use crate::support::process::plain_schemas;
use crate::support::socket::Socket;
use crate::support::stream::EventSource;

const NOON: Timestamp = Timestamp(1_790_000_000_000);

async fn with_clock(clock: &HandClock) -> TestApp {
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    TestApp::timed(tempfile::tempdir().unwrap(), schema.into(), clock.env(), open).await
}

#[tokio::test]
async fn a_new_user_is_a_record_with_an_id_of_the_server_and_writes_under_it() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "Ada").await;
    assert!(ada.id.parse::<uuid::Uuid>().is_ok(), "{} is no UUID", ada.id);
    let record = app.client().get(&format!("/api/users/{}", ada.id)).await;
    assert_eq!(
        (&record["name"], &record["role"], &record["disabled"]),
        (&json!("Ada"), &Value::Null, &json!(false))
    );
    let me = ada.call("GET", "/api/auth/me", Value::Null).await;
    assert_eq!(me.json["user"], json!({"id": ada.id, "name": "Ada", "role": null}));
    let task = ada.call("POST", "/api/tasks", json!({"title": "Write"})).await;
    assert_eq!(task.status, 201, "{}", task.text);
    let again = Account::log_in(&app, "aDA").await;
    assert_eq!(again.id, ada.id, "capitals make no other name");
    assert_ne!(again.token, ada.token);
    assert!(ada.is_in().await && again.is_in().await);
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_password_get_the_same_answer() {
    let app = TestApp::with(open).await;
    Account::register(&app, "ada").await;
    let wrong = log_in(&app, "ada", "correct horsf").await;
    let unknown = log_in(&app, "eve", "correct horsf").await;
    assert_eq!((wrong.status, unknown.status), (401, 401));
    let told = |mut json: Value| {
        json.as_object_mut().unwrap().remove("requestId");
        json
    };
    assert_eq!(told(wrong.json), told(unknown.json));
}

#[tokio::test]
async fn a_session_ends_by_logout_and_others_go_on() {
    let app = TestApp::with(open).await;
    let desk = Account::register(&app, "ada").await;
    let phone = Account::log_in(&app, "ada").await;
    assert_eq!(desk.call("POST", "/api/auth/logout", Value::Null).await.status, 204);
    assert!(!desk.is_in().await);
    assert!(phone.is_in().await);
}

#[tokio::test]
async fn a_user_sees_and_ends_their_own_sessions_and_nobody_elses() {
    let app = TestApp::with(open).await;
    let desk = Account::register(&app, "ada").await;
    let phone = Account::log_in(&app, "ada").await;
    let ben = Account::register(&app, "ben").await;
    let listed = desk.call("GET", "/api/auth/sessions", Value::Null).await.json["items"].clone();
    let rows = listed.as_array().unwrap();
    assert_eq!(rows.len(), 2, "{listed}");
    let other = rows.iter().find(|row| row["current"] == false).unwrap()["id"].as_str().unwrap().to_owned();
    let strange = ben.call("DELETE", &format!("/api/auth/sessions/{other}"), Value::Null).await;
    assert_eq!((strange.status, phone.is_in().await), (404, true), "a session of another user is none");
    let ended = desk.call("DELETE", &format!("/api/auth/sessions/{other}"), Value::Null).await;
    assert_eq!((ended.status, phone.is_in().await, desk.is_in().await), (204, false, true));
    Account::log_in(&app, "ada").await;
    Account::log_in(&app, "ada").await;
    let all = desk.call("DELETE", "/api/auth/sessions", Value::Null).await;
    assert_eq!((all.status, &all.json), (200, &json!({"ended": 2})));
    assert!(desk.is_in().await && ben.is_in().await);
}

#[tokio::test]
async fn a_session_lasts_as_long_as_it_is_used_and_no_longer_than_its_lifetime() {
    let clock = HandClock::at(NOON);
    let app = with_clock(&clock).await;
    let day = Duration::from_secs(24 * 3600);
    let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    clock.pass(day * 13);
    assert!(ada.is_in().await);
    clock.pass(day * 2);
    assert!(ada.is_in().await, "it was used two days ago");
    assert!(!ben.is_in().await, "it was not used for 15 days");
    for _ in 0..6 {
        clock.pass(day * 12);
        assert!(ada.is_in().await);
    }
    clock.pass(day * 4);
    assert!(!ada.is_in().await, "it began 91 days ago");
}

#[tokio::test]
async fn a_refreshed_token_takes_the_place_of_the_former_within_a_minute() {
    let clock = HandClock::at(NOON);
    let app = with_clock(&clock).await;
    let ada = Account::register(&app, "ada").await;
    let answer = ada.call("POST", "/api/auth/refresh", Value::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let next = Account::of(&app, &answer);
    assert_ne!(next.token, ada.token);
    clock.pass(Duration::from_secs(59));
    assert!(ada.is_in().await && next.is_in().await, "requests may be under way with the former");
    clock.pass(Duration::from_secs(1));
    assert!(!ada.is_in().await && next.is_in().await);
    let listed = next.call("GET", "/api/auth/sessions", Value::Null).await.json;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "it is one session: {listed}");
}

/// A browser knows only the address that its stream began with, however long ago.
#[tokio::test]
async fn a_ticket_of_a_stream_outlives_the_token_that_it_was_made_with() {
    let clock = HandClock::at(NOON);
    let app = with_clock(&clock).await;
    let ada = Account::register(&app, "ada").await;
    let ticket = ada.call("POST", "/api/auth/ticket", Value::Null).await.json;
    let path = format!("/sse?channel=entity:Task&ticket={}", ticket["ticket"].as_str().unwrap());
    let mut stream = EventSource::open(app.client().request("GET", &path)).await;
    stream.reach(app.head()).await;
    let id = stream.last_event_id.clone();
    drop(stream);
    let next = Account::of(&app, &ada.call("POST", "/api/auth/refresh", Value::Null).await);
    clock.pass(Duration::from_secs(61));
    let again = || app.client().request("GET", &path).header("last-event-id", &id);
    let mut stream = EventSource::open(again()).await;
    assert_eq!(stream.expect("welcome").await["payload"]["userId"], ada.id.as_str());
    assert_eq!(stream.expect("subscribed").await["payload"]["recovered"], true);
    next.call("POST", "/api/auth/logout", Value::Null).await;
    assert_eq!(app.client().send(again()).await.status, 401, "the login is over");
}

#[tokio::test]
async fn a_new_password_ends_every_other_session() {
    let app = TestApp::with(open).await;
    let desk = Account::register(&app, "ada").await;
    let phone = Account::log_in(&app, "ada").await;
    let body = |old: &str, new: &str| json!({"oldPassword": old, "password": new});
    let wrong = desk.call("POST", "/api/auth/password", body("battery staple", "new horse 1")).await;
    assert_eq!(
        (wrong.status, &wrong.json["errors"][0]["field"]),
        (422, &json!("oldPassword")),
        "{}",
        wrong.text
    );
    assert!(phone.is_in().await);
    let changed = desk.call("POST", "/api/auth/password", body(PASSWORD, "new horse 1")).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert!(!phone.is_in().await && !desk.is_in().await);
    assert!(Account::of(&app, &changed).is_in().await);
    assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 401);
    assert_eq!(log_in(&app, "ada", "new horse 1").await.status, 200);
}

#[tokio::test]
async fn a_link_sets_a_password_once_within_its_hour() {
    let clock = HandClock::at(NOON);
    let app = with_clock(&clock).await;
    let ada = Account::register(&app, "ada").await;
    let set = async |secret: &str, password: &str| {
        let body = json!({"link": secret, "password": password});
        app.client().call("POST", "/api/auth/password", body).await
    };
    let secret = link(&app, &clock.env(), LinkKind::Reset, Some(&ada.id)).await;
    let weak = set(&secret, "short").await;
    assert_eq!((weak.status, &weak.json["errors"][0]["code"]), (422, &json!("weak_password")));
    let done = set(&secret, "new horse 1").await;
    assert_eq!((done.status, ada.is_in().await), (200, false), "{}", done.text);
    assert_eq!(log_in(&app, "ada", "new horse 1").await.status, 200);
    assert_eq!(set(&secret, "new horse 2").await.json["code"], "BAD_LINK", "it works once");
    let late = link(&app, &clock.env(), LinkKind::Reset, Some(&ada.id)).await;
    clock.pass(Duration::from_secs(3600));
    assert_eq!(set(&late, "new horse 2").await.json["code"], "BAD_LINK", "its hour is over");
}

#[tokio::test]
async fn a_link_makes_an_administrator_once_within_its_hour() {
    let clock = HandClock::at(NOON);
    let app = with_clock(&clock).await;
    let register = async |name: &str, secret: &str| {
        let body = json!({"name": name, "password": PASSWORD, "link": secret});
        app.client().call("POST", "/api/auth/register", body).await
    };
    let late = link(&app, &clock.env(), LinkKind::Admin, None).await;
    clock.pass(Duration::from_secs(3600));
    assert_eq!(register("root", &late).await.json["code"], "BAD_LINK", "its hour is over");
    let secret = link(&app, &clock.env(), LinkKind::Admin, None).await;
    clock.pass(Duration::from_secs(3599));
    let made = register("root", &secret).await;
    assert_eq!((made.status, &made.json["user"]["role"]), (201, &json!("admin")), "{}", made.text);
    assert_eq!(register("eve", &secret).await.json["code"], "BAD_LINK", "it works once");
}

/// V2.
#[tokio::test]
async fn a_ticket_opens_nothing_after_its_thirty_seconds() {
    let clock = HandClock::at(NOON);
    let app = with_clock(&clock).await;
    let ada = Account::register(&app, "ada").await;
    for (passed, is_good) in [(29, true), (30, false)] {
        let answer = ada.call("POST", "/api/auth/ticket", Value::Null).await;
        assert_eq!(answer.json["expiresIn"], 30, "{}", answer.text);
        let ticket = answer.json["ticket"].as_str().unwrap().to_owned();
        clock.pass(Duration::from_secs(passed));
        let mut socket = Socket::open_at(app.address, &format!("/ws?ticket={ticket}")).await;
        let first = socket.frame().await;
        assert_eq!(first["type"] == "connected", is_good, "after {passed} s: {first}");
        if !is_good {
            assert_eq!(first["payload"]["code"], "UNAUTHENTICATED", "{first}");
            assert_eq!(socket.closed().await, Some(4401));
        }
    }
}

#[tokio::test]
async fn who_may_register_is_what_the_settings_say() {
    let env = Env::system();
    let body = |link: Option<&str>| match link {
        Some(link) => json!({"name": "ada", "password": PASSWORD, "link": link}),
        None => json!({"name": "ada", "password": PASSWORD}),
    };
    for (register, plain, invited) in
        [(Registration::Off, 403, 403), (Registration::Invitation, 403, 201), (Registration::Open, 201, 201)]
    {
        for (kind, expected) in [
            (None, plain),
            (Some(LinkKind::Invite { role: Some("editor".into()) }), invited),
            (Some(LinkKind::Admin), 201),
        ] {
            let app =
                TestApp::with(|config| config.auth = AuthConfig { register, ..AuthConfig::default() }).await;
            let role = match &kind {
                Some(LinkKind::Admin) => json!("admin"),
                Some(LinkKind::Invite { role }) => json!(role),
                Some(LinkKind::Reset) | None => Value::Null,
            };
            let secret = match kind.clone() {
                Some(kind) => Some(link(&app, &env, kind, None).await),
                None => None,
            };
            let answer = app.client().call("POST", "/api/auth/register", body(secret.as_deref())).await;
            assert_eq!(answer.status, expected, "{register:?} {kind:?}: {}", answer.text);
            if expected == 201 {
                assert_eq!(answer.json["user"]["role"], role);
                let again = json!({"name": "ben", "password": PASSWORD, "link": secret});
                if secret.is_some() {
                    let again = app.client().call("POST", "/api/auth/register", again).await;
                    assert_eq!(again.json["code"], "BAD_LINK", "{register:?} {kind:?}: it works once");
                }
            } else {
                assert_eq!(answer.json["code"], "REGISTRATION_CLOSED");
                assert_eq!(app.rows("users").await.len(), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_taken_name_leaves_the_invitation_unused() {
    let app = TestApp::with(open).await;
    Account::register(&app, "ada").await;
    let secret = link(&app, &Env::system(), LinkKind::Invite { role: None }, None).await;
    let register = async |name: &str| {
        let body = json!({"name": name, "password": PASSWORD, "link": secret});
        app.client().call("POST", "/api/auth/register", body).await
    };
    let taken = register("ADA").await;
    assert_eq!((taken.status, &taken.json["code"]), (409, &json!("NOT_UNIQUE")), "{}", taken.text);
    assert_eq!(register("ben").await.status, 201);
    assert_eq!(app.rows("users").await.len(), 2);
}

#[tokio::test]
async fn guesses_are_slowed_down_for_one_name_and_right_passwords_are_not() {
    let clock = HandClock::at(NOON);
    let app = with_clock(&clock).await;
    Account::register(&app, "ada").await;
    Account::register(&app, "ben").await;
    for _ in 0..12 {
        assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 200);
    }
    for _ in 0..5 {
        assert_eq!(log_in(&app, "ada", "guess guess").await.status, 401);
    }
    let throttled = log_in(&app, "ada", PASSWORD).await;
    assert_eq!((throttled.status, &throttled.json["code"]), (429, &json!("TOO_MANY_LOGINS")));
    assert_eq!(throttled.header("retry-after"), "21");
    assert_eq!(log_in(&app, "ben", PASSWORD).await.status, 200, "another name is free");
    clock.pass(Duration::from_secs(21));
    assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_disabled_user_and_a_deleted_one_are_let_in_no_more() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let at = format!("/api/users/{}", ada.id);
    app.client().patch(&at, json!({"disabled": true})).await;
    for answer in [ada.call("GET", "/api/tasks", Value::Null).await, log_in(&app, "ada", PASSWORD).await] {
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (403, &json!("ACCOUNT_DISABLED")),
            "{}",
            answer.text
        );
    }
    let guessed = log_in(&app, "ada", "guess guess").await;
    assert_eq!(guessed.json["code"], "LOGIN_FAILED", "who does not know the password learns nothing");
    app.client().patch(&at, json!({"disabled": false})).await;
    assert!(ada.is_in().await);
    app.client().delete(&at).await;
    assert!(!ada.is_in().await);
    assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 401);
    assert_eq!(app.rows("users").await.len(), 0, "and no request brings the record back");
}

/// The account goes a moment after the record. In between, the right password must not make the record anew.
#[tokio::test]
async fn a_deleted_user_does_not_log_in_before_the_account_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config { data: folder.path().join("data"), ..Config::default() };
    open(&mut config);
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    // Opened and not run, so that accounts do not follow the deletes of their records.
    let app = App::open_for(config, schema.into(), Env::system(), NameTrust::Believed).unwrap();
    let (identities, address) = (app.identities(), IpAddr::from([127, 0, 0, 1]));
    let wanted = NewAccount { name: "ada", password: PASSWORD, link: None };
    let granted = identities.register(wanted, address, "desk").await.unwrap();
    let delete = Mutation::delete("User", &granted.session.user);
    app.repository().write_unjudged(&Identity::nobody(address), delete).await.unwrap();
    let refused = identities.log_in("ada", PASSWORD, address, "desk").await.err();
    assert_eq!(refused, Some(IdentityError::WrongLogin));
}

#[tokio::test]
async fn a_session_outlives_a_restart() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    app.stop().await;
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    let TestApp { folder, .. } = app;
    let app = TestApp::again(folder, schema.into(), open).await;
    let ada = Account { client: app.client(), ..ada };
    assert!(ada.is_in().await);
}

#[tokio::test]
async fn no_secret_is_in_any_file_in_the_clear_nor_in_the_records_at_all() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let secret = link(&app, &Env::system(), LinkKind::Invite { role: None }, None).await;
    app.stop().await;
    let mut looked_at = 0;
    for entry in std::fs::read_dir(app.folder.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let has = |word: &str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
        for word in [PASSWORD, &ada.token, &ada.token[4..], &secret] {
            assert!(!has(word), "{} has {word}", path.display());
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.contains("secrets") {
            assert!(!has("$argon2id"), "{name} has a password's hash");
        } else if name == "tidewire.secrets.db" {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        looked_at += 1;
    }
    assert!(looked_at >= 3, "{looked_at} files");
}

#[tokio::test]
async fn bad_inputs_are_told_what_is_wrong_with_which_field() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let long = "x".repeat(129);
    let table: Vec<(&str, Value, u16, &str, &str)> = vec![
        ("login", json!({}), 422, "name", "required"),
        ("login", json!({"name": "ada"}), 422, "password", "required"),
        ("login", json!({"name": 1, "password": "x"}), 422, "name", "wrong_type"),
        ("login", json!({"name": "ada", "password": null}), 422, "password", "wrong_type"),
        ("login", json!({"name": "ada", "password": "x", "admin": true}), 422, "admin", "unknown_field"),
        ("login", json!({"name": "ada", "password": "x", "cookie": "yes"}), 422, "cookie", "wrong_type"),
        ("register", json!({"name": "", "password": PASSWORD}), 422, "name", "bad_name"),
        ("register", json!({"name": " ben", "password": PASSWORD}), 422, "name", "bad_name"),
        ("register", json!({"name": "b\u{0}n", "password": PASSWORD}), 422, "name", "bad_name"),
        ("register", json!({"name": "guest:1", "password": PASSWORD}), 422, "name", "bad_name"),
        ("register", json!({"name": long, "password": PASSWORD}), 422, "name", "bad_name"),
        ("register", json!({"name": "ben", "password": "seven77"}), 422, "password", "weak_password"),
        ("register", json!({"name": "benjamin", "password": "Benjamin"}), 422, "password", "weak_password"),
        ("register", json!({"name": "ben", "password": "password"}), 422, "password", "weak_password"),
        (
            "register",
            json!({"name": "ben", "password": PASSWORD, "role": "admin"}),
            422,
            "role",
            "unknown_field",
        ),
        ("register", json!({"name": "ben", "password": PASSWORD, "id": "x"}), 422, "id", "unknown_field"),
        ("password", json!({"link": "x"}), 422, "password", "required"),
        ("password", json!({"link": 5, "password": PASSWORD}), 422, "link", "wrong_type"),
    ];
    for (route, body, status, field, code) in table {
        let answer = app.client().call("POST", &format!("/api/auth/{route}"), body.clone()).await;
        let error = &answer.json["errors"][0];
        assert_eq!(answer.status, status, "{route} {body}: {}", answer.text);
        assert_eq!((&error["field"], &error["code"]), (&json!(field), &json!(code)), "{route} {body}");
    }
    for link in ["", "x", "twl_", &format!("twl_{}", "a".repeat(43)), &ada.token] {
        let body = json!({"name": "ben", "password": PASSWORD, "link": link});
        let answer = app.client().call("POST", "/api/auth/register", body).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (410, &json!("BAD_LINK")),
            "{link}: {}",
            answer.text
        );
    }
    for (method, path) in [
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/refresh"),
        ("POST", "/api/auth/ticket"),
        ("GET", "/api/auth/sessions"),
        ("DELETE", "/api/auth/sessions"),
        ("DELETE", "/api/auth/sessions/1"),
        ("POST", "/api/auth/logout?as=ada"),
    ] {
        let answer = app.client().call(method, path, Value::Null).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (401, &json!("UNAUTHENTICATED")),
            "{method} {path}"
        );
    }
    for (name, password) in [("", PASSWORD), ("ada", ""), ("ada\u{0}", PASSWORD), ("ada", &"x".repeat(5000))]
    {
        assert_eq!(log_in(&app, name, password).await.status, 401, "{name:?}");
    }
}

/// The command line over a folder, with and without a server.
mod commands {
    use std::path::Path;
    use std::process::Stdio;

    use serde_json::{Value, json};
    use tokio::io::AsyncWriteExt;

    use crate::support::account::{Account, PASSWORD, log_in, open};
    use crate::support::app::TestApp;
    use crate::support::process::{Ended, ended, plain_schemas, tidewire};
    use crate::support::socket::Socket;

    async fn user(app: &TestApp, arguments: &[&str]) -> Ended {
        let mut command = tidewire(app.folder.path());
        command.arg("user").args(arguments).arg("--schemas").arg(plain_schemas());
        ended(&mut command).await
    }

    async fn with_stdin(folder: &Path, arguments: &[&str], line: &str) -> (i32, String) {
        let mut command = tidewire(folder);
        command.arg("user").args(arguments).arg("--schemas").arg(plain_schemas());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(line.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(told).unwrap())
    }

    fn secret(text: &str) -> String {
        text.trim().rsplit_once('#').unwrap_or_else(|| panic!("no link in {text}")).1.to_owned()
    }

    #[tokio::test]
    async fn users_are_managed_beside_a_running_server() {
        let app = TestApp::with(open).await;
        let (code, told) = with_stdin(
            app.folder.path(),
            &["add", "Ada", "--role", "admin", "--password-stdin"],
            "correct horse\n",
        )
        .await;
        assert_eq!(code, 0, "{told}");
        let ada = log_in(&app, "ada", PASSWORD).await;
        assert_eq!(ada.json["user"]["role"], "admin", "{}", ada.text);
        let token = format!("Bearer {}", ada.json["token"].as_str().unwrap());
        let me = async || {
            let headers = [("authorization", &*token)];
            app.client().call_with("GET", "/api/auth/me", Value::Null, &headers).await
        };
        assert_eq!(user(&app, &["role", "ada", "editor"]).await.code, 0);
        assert_eq!(me().await.json["user"]["role"], "editor");
        assert_eq!(user(&app, &["disable", "ada"]).await.code, 0);
        assert_eq!(me().await.json["code"], "ACCOUNT_DISABLED");
        assert_eq!(user(&app, &["enable", "ada"]).await.code, 0);
        assert_eq!(me().await.status, 200);
        let listed: Value = serde_json::from_str(&user(&app, &["list", "--json"]).await.stdout).unwrap();
        let row = &listed[0];
        assert_eq!(listed.as_array().unwrap().len(), 1);
        assert_eq!(
            (&row["name"], &row["role"], &row["state"]),
            (&json!("Ada"), &json!("editor"), &json!("active"))
        );
        let (code, told) =
            with_stdin(app.folder.path(), &["passwd", "ada", "--password-stdin"], "another horse\r\n").await;
        assert_eq!(code, 0, "{told}");
        let ended = async {
            while me().await.status == 200 {
                // Another process ended the session; the server looks twice a second.
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), ended).await.expect("the session ends");
        assert_eq!(log_in(&app, "ada", "another horse").await.status, 200);
    }

    /// The command ends when the server has carried it out, so what is written after it is the clock of this story.
    #[tokio::test]
    async fn a_user_who_is_disabled_by_the_command_is_shown_nothing_that_follows() {
        let app = TestApp::with(open).await;
        let ada = Account::register(&app, "ada").await;
        let mut socket = Socket::open_at(app.address, &format!("/ws?token={}", ada.token)).await;
        socket.expect("connected").await;
        socket.subscribe("entity:Task", json!({})).await;
        app.client().create("tasks", json!({"title": "before"})).await;
        assert_eq!(socket.expect("entity:created").await["payload"]["title"], "before");
        assert_eq!(user(&app, &["disable", "ada"]).await.code, 0);
        app.client().create("tasks", json!({"title": "after"})).await;
        assert_eq!(socket.expect("error").await["payload"]["code"], "ACCOUNT_DISABLED");
        assert_eq!(socket.closed().await, Some(4403));
    }

    #[tokio::test]
    async fn users_are_made_before_the_first_start_and_by_links() {
        let app = TestApp::with(open).await;
        app.stop().await;
        let added = user(&app, &["add", "ada"]).await;
        assert_eq!(added.code, 0, "{}", added.stderr);
        let (by_link, listed) = (secret(&added.stdout), user(&app, &["list"]).await.stdout);
        assert!(listed.contains("ada") && listed.contains("no password"), "{listed}");
        let admin = user(&app, &["link", "--url", "https://tide.example/"]).await.stdout;
        assert!(admin.contains("https://tide.example/_/register#twl_"), "{admin}");
        let former = secret(&user(&app, &["link"]).await.stdout);
        let latest = secret(&user(&app, &["link"]).await.stdout);
        let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
        let app = TestApp::again(app.folder, schema.into(), open).await;
        assert_eq!(app.rows("users").await.len(), 1, "the record was made by the command");
        assert_eq!(log_in(&app, "ada", "").await.status, 401, "an account without a password lets nobody in");
        let set = json!({"link": by_link, "password": PASSWORD});
        assert_eq!(app.client().call("POST", "/api/auth/password", set).await.status, 200);
        assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 200);
        let register = async |link: &str| {
            let body = json!({"name": "root", "password": PASSWORD, "link": link});
            app.client().call("POST", "/api/auth/register", body).await
        };
        assert_eq!(
            register(&secret(&admin)).await.json["code"],
            "BAD_LINK",
            "each takes the place of the former"
        );
        assert_eq!(register(&former).await.json["code"], "BAD_LINK");
        assert_eq!(register(&latest).await.json["user"]["role"], "admin");
    }

    #[tokio::test]
    async fn wrong_commands_say_what_is_wrong() {
        let app = TestApp::with(open).await;
        for (arguments, code, words) in [
            (&["add", ""][..], 2, "is empty"),
            (&["add", "guest:x"], 2, "guest:"),
            (&["add", " x"], 2, "space"),
            (&["passwd", "eve"], 1, "there is no user `eve`"),
            (&["role", "eve", "admin"], 1, "there is no user `eve`"),
            (&["disable", "eve"], 1, "there is no user `eve`"),
            (&["invite"], 1, "auth.register"),
            (&["invite", "--days", "0"], 2, "--days"),
            (&["link", "--url", "tide.example"], 2, "http://"),
            (&["list", "--data", "/proc/none"], 1, "/proc/none"),
        ] {
            let told = user(&app, arguments).await;
            assert_eq!(told.code, code, "{arguments:?}: {}", told.stderr);
            assert!(told.stderr.contains(words), "{arguments:?}: {}", told.stderr);
        }
        for line in ["", "\n", "short\n", "password\n"] {
            let (code, told) = with_stdin(app.folder.path(), &["add", "ada", "--password-stdin"], line).await;
            assert_eq!(code, 2, "{line:?}: {told}");
        }
        assert_eq!(user(&app, &["add", "ada"]).await.code, 0);
        let twice = user(&app, &["add", "ADA"]).await;
        assert_eq!(twice.code, 1);
        assert!(twice.stderr.contains("already"), "{}", twice.stderr);
    }
}
