//! Ways in which systems like this one were broken, each tried here. The classes have the numbers of docs/security.md.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tidewire::auth::NameTrust;
use tidewire::config::{AuthConfig, Registration};
use tidewire::env::Env;
use tidewire::identity::{Granted, Identities, IdentityError, LoadedTokens, NewAccount};
use tidewire::ids::Timestamp;
use tidewire::protocol::Code;
use tidewire::store::vault::{Edited, Vault, VaultEdit, VaultEntry, VaultFuture, VaultKind};

use crate::support::account::{Account, PASSWORD, open};
use crate::support::app::TestApp;
use crate::support::entities;
use crate::support::socket::{Came, PATIENCE, Socket};
use crate::support::vault::MemoryVault;

/// V1.
#[tokio::test]
async fn v1_a_page_of_a_stranger_opens_no_socket() {
    let app = TestApp::start().await;
    let own = format!("http://{}", app.address);
    for origin in
        ["https://evil.example", "null", "http://localhost:1", &format!("{own}.evil.example"), "file://"]
    {
        let refused = Socket::try_open(app.address, "/ws", &[("origin", origin)], None).await;
        let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused.map(drop) else {
            panic!("{origin} came in");
        };
        assert_eq!(answer.status(), 403, "{origin}");
    }
    assert_eq!(app.connections(), 0);
    let mut socket = Socket::try_open(app.address, "/ws", &[("origin", &own)], None).await.unwrap();
    assert_eq!(socket.frame().await["type"], "connected");
}

/// V5. A delete that other records prevent has not happened.
#[tokio::test]
async fn v5_a_delete_that_is_refused_is_told_to_no_one() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client_as("ann");
    let project = api.create("projects", json!({"name": "p"})).await;
    let task = api.create("tasks", json!({"title": "t", "project": project["id"]})).await;
    let sample = api.create("samples", json!({"keeper": project["id"]})).await;
    let path = |plural: &str, record: &Value| format!("/api/{plural}/{}", record["id"].as_str().unwrap());
    let mut other = Socket::open(app.address).await;
    for channel in ["entity:Project", "entity:Task", "entity:Sample"] {
        other.subscribe(channel, json!({})).await;
    }
    let refused = api.call("DELETE", &path("projects", &project), Value::Null).await;
    assert_eq!((refused.status, &refused.json["code"]), (409, &json!("RESTRICTED")), "{}", refused.text);
    other.nothing_else().await;
    api.delete(&path("samples", &sample)).await;
    assert_eq!(other.expect("entity:deleted").await["payload"]["id"], sample["id"]);
    api.delete(&path("projects", &project)).await;
    let gone = [other.expect("entity:deleted").await, other.expect("entity:deleted").await];
    assert!(gone.iter().any(|event| event["payload"]["id"] == task["id"]), "the cascade arrives: {gone:?}");
    other.nothing_else().await;
}

/// V12.
#[tokio::test]
async fn v12_no_text_of_a_query_becomes_sql() {
    let app = TestApp::start().await;
    let api = app.client();
    api.create("tasks", json!({"title": "one"})).await;
    let quotes = ["'", "\"", "`", "\\", "%27", "%22", "%00", "]", ")", "'))"];
    let tails = [
        " OR 1=1--",
        "; DROP TABLE \"e_Task\";--",
        " UNION SELECT * FROM sqlite_master--",
        " AND randomblob(1000000000)--",
        "||load_extension('x')",
        "/**/",
        ", (SELECT group_concat(sql) FROM sqlite_master)",
        " COLLATE NOCASE",
    ];
    let mut tried = 0;
    for quote in quotes {
        for tail in tails {
            let text = format!("title{quote}{tail}");
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for query in [
                format!("sort={encoded}"),
                format!("fields={encoded}"),
                format!("expand={encoded}"),
                format!("cursor={encoded}"),
                format!("{encoded}=x"),
                format!("title[{encoded}]=x"),
                format!("title={encoded}"),
                format!("title[contains]={encoded}"),
                format!("search={encoded}"),
            ] {
                let answer = api.call("GET", &format!("/api/tasks?{query}"), Value::Null).await;
                assert!([200, 400].contains(&answer.status), "{query}: {} {}", answer.status, answer.text);
                // What SQLite says when a text reaches it.
                for words in ["syntax error", "no such column", "unrecognized token"] {
                    assert!(!answer.text.contains(words), "{query}: {}", answer.text);
                }
                tried += 1;
            }
        }
    }
    assert!(tried >= 200);
    assert_eq!(app.rows("tasks").await.len(), 1);
}

/// V13.
#[tokio::test]
async fn v13_a_body_sets_no_field_of_the_system() {
    let app = TestApp::start().await;
    let api = app.client_as("ada");
    let task = api.create("tasks", json!({"title": "one"})).await;
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    let remark = api.create("comments", json!({"body": "so", "task": task["id"]})).await;
    for (method, path, body) in [
        ("POST", "/api/tasks", json!({"title": "x", "version": 9})),
        ("POST", "/api/tasks", json!({"title": "x", "created_at": "2020-01-01T00:00:00Z"})),
        ("POST", "/api/tasks", json!({"title": "x", "updated_at": "2020-01-01T00:00:00Z"})),
        ("POST", "/api/tasks", json!({"title": "x", "seq": 1})),
        ("POST", "/api/tasks", json!({"title": "x", "by": "root"})),
        ("POST", "/api/comments", json!({"body": "x", "task": task["id"], "author": "root"})),
        ("PATCH", &path, json!({"version": 9})),
        ("PATCH", &path, json!({"id": "0190a000-0000-7000-8000-00000000000a"})),
        ("PATCH", &path, json!({"created_at": "2020-01-01T00:00:00Z"})),
        ("PATCH", &path, json!({"__proto__": {"role": "admin"}})),
        ("PATCH", &path, json!({"constructor": 1})),
        ("PUT", &path, json!({"title": "x", "updated_at": "2020-01-01T00:00:00Z"})),
        ("PATCH", &format!("/api/comments/{}", remark["id"].as_str().unwrap()), json!({"author": "root"})),
    ] {
        let answer = api.call(method, path, body.clone()).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (422, &json!("VALIDATION_FAILED")),
            "{method} {body}: {}",
            answer.text
        );
    }
    assert_eq!(api.get(&path).await, task, "nothing changed");
}

/// V14.
#[test]
fn v14_a_pattern_and_a_rule_cannot_be_made_slow() {
    let load = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thing.toml"), text).unwrap();
        tidewire::schema::load(folder.path())
    };
    let with_pattern = |pattern: &str| {
        load(&format!("entity = \"Thing\"\n[fields]\nname = {{ type = \"text\", pattern = '{pattern}' }}\n"))
    };
    assert!(with_pattern("^(a+)+$").is_ok(), "it takes linear time here, whatever the text");
    let too_large = [format!("a{{{}}}", 1_000_000), "((a{100}){100}){100}".to_owned()];
    for pattern in too_large {
        assert!(with_pattern(&pattern).is_err(), "{pattern}");
    }
    for pattern in [r"(a)\1", "(?=a)b", "(?<!a)b"] {
        assert!(with_pattern(pattern).is_err(), "what needs backtracking does not exist: {pattern}");
    }
    let rule = |rule: &str| load(&format!("entity = \"Thing\"\n[access]\nread = \"{rule}\"\n"));
    assert!(rule(&format!("{}true{}", "(".repeat(10_000), ")".repeat(10_000))).is_err());
    assert!(rule(&format!("{}true", "!".repeat(10_000))).is_err());
    assert!(rule(&vec!["id == user.id"; 10_000].join(" || ")).is_err());
}

/// V14. The text that takes exponential time where patterns backtrack.
#[tokio::test]
async fn v14_a_text_against_a_pattern_with_nested_repeats_is_judged_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "entity = \"Thing\"\n[fields]\nname = { type = \"text\", pattern = \"^(a+)+$\", max = 10000 }\n";
    std::fs::write(folder.path().join("thing.toml"), text).unwrap();
    let schema = tidewire::schema::load(folder.path()).unwrap().schema;
    let app = TestApp::over(schema.into(), |_| {}).await;
    let answer =
        app.client().call("POST", "/api/things", json!({"name": format!("{}!", "a".repeat(9_000))})).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    app.client().create("things", json!({"name": "a".repeat(9_000)})).await;
}

/// V19. What a flood costs is bounded by the limit, however long it is; what others feel of it is measured by the bench `flood`.
#[tokio::test]
async fn v19_a_flood_of_subscriptions_ends_for_its_sender_alone() {
    const BURST: u32 = 100;
    const ROUNDS: u32 = 5_000;
    let app = TestApp::with(|config| {
        (config.realtime.messages_per_second, config.realtime.message_burst) = (1, BURST);
    })
    .await;
    let mut other = Socket::open(app.address).await;
    other.subscribe("entity:Task", json!({})).await;
    let mut flood = Socket::open(app.address).await;
    let mut bytes = Vec::new();
    for round in 0..ROUNDS {
        for kind in ["subscribe", "unsubscribe"] {
            let text = json!({"type": kind, "channel": format!("entity:Task?title=x{round}")}).to_string();
            // A text frame under a mask of nothing, all of them in one write.
            bytes.extend([0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0]);
            bytes.extend(text.into_bytes());
        }
    }
    flood.send_bytes(&bytes).await;
    let mut answers = 0;
    let code = loop {
        match flood.came().await {
            Came::Frame(frame) if frame["type"] != "error" => answers += 1,
            Came::Frame(_) => {}
            Came::Closed(code) => break code,
        }
    };
    assert_eq!(code, Some(4029));
    // At most two frames answer one; each second that the machine takes lets one more pass.
    let passed = BURST + u32::try_from(PATIENCE.as_secs()).unwrap();
    assert!(answers <= 2 * passed, "{answers} frames answer {} frames", 2 * ROUNDS);
    app.client().create("tasks", json!({"title": "one"})).await;
    assert_eq!(other.expect("entity:created").await["payload"]["title"], "one");
    app.wait_for_metric("tidewire_subscriptions", 1.0).await;
}

/// A vault that writes down what is asked of it.
#[derive(Default)]
struct WatchedVault {
    inner: MemoryVault,
    asked: Mutex<Vec<&'static str>>,
}

impl WatchedVault {
    fn note(&self, what: &'static str) {
        self.asked.lock().unwrap().push(what);
    }
}

impl Vault for WatchedVault {
    fn find(&self, kind: VaultKind, key: &str) -> VaultFuture<'_, Option<VaultEntry>> {
        self.note(kind.word());
        self.inner.find(kind, key)
    }

    fn list(&self, kind: VaultKind, owner: Option<&str>) -> VaultFuture<'_, Vec<VaultEntry>> {
        self.note("list");
        self.inner.list(kind, owner)
    }

    fn change(&self, edits: Vec<VaultEdit>) -> VaultFuture<'_, Edited> {
        self.note("change");
        self.inner.change(edits)
    }

    fn forget(&self, now: Timestamp) -> VaultFuture<'_, usize> {
        self.inner.forget(now)
    }

    fn version(&self) -> VaultFuture<'_, u64> {
        self.inner.version()
    }
}

/// Identities over this vault, with the account `ada`.
async fn with_ada(app: &TestApp, vault: Arc<dyn Vault>, near: IpAddr) -> Identities {
    let config = AuthConfig { register: Registration::Open, ..AuthConfig::default() };
    let (repository, env) = (app.repository.clone(), Env::system());
    let tokens = LoadedTokens::load(&config, &env).unwrap();
    let identities = Identities::new(vault, repository, env, &config, NameTrust::Refused, tokens);
    let ada = NewAccount { name: "ada", password: PASSWORD, link: None };
    identities.register(ada, near, "x").await.unwrap();
    identities
}

/// V8 and V21. The work is counted and not the clock, so that the story does not depend on luck.
#[tokio::test]
async fn v21_a_name_that_exists_costs_what_one_costs_that_does_not() {
    let app = TestApp::start().await;
    let vault = Arc::new(WatchedVault::default());
    let near = "192.0.2.1".parse().unwrap();
    let identities = with_ada(&app, vault.clone(), near).await;
    let work = async |name: &str, password: &str| {
        vault.asked.lock().unwrap().clear();
        let before = identities.passwords_computed();
        let refused = identities.log_in(name, password, near, "x").await.unwrap_err();
        let asked = vault.asked.lock().unwrap().clone();
        (asked, identities.passwords_computed() - before, refused.to_string())
    };
    let of_known = work("ada", "wrong horse").await;
    assert_eq!((&*of_known.0, of_known.1), (&["account"][..], 1), "one look, one password");
    for (name, password) in [
        ("eve", "wrong horse"),
        ("eve", PASSWORD),
        ("", "x"),
        ("guest:7", "x"),
        (&"n".repeat(500), "x"),
        ("ada", &"p".repeat(5_000)),
        ("ada", ""),
    ] {
        assert_eq!(work(name, password).await, of_known, "{name} {password}");
    }
}

/// Beside a flood of logins, a user is refused and not locked out.
#[tokio::test]
async fn a_login_that_is_refused_for_load_counts_as_no_wrong_password() {
    let app = TestApp::start().await;
    let near = "192.0.2.1".parse().unwrap();
    let identities = with_ada(&app, Arc::new(MemoryVault::default()), near).await;
    // Far more than may wait, each from an address of its own. A password takes some ten milliseconds, so the places are still
    // taken in the lines that follow.
    let flood = (1..=500).map(|number| {
        let address = Ipv4Addr::from_bits(0x0a00_0000 + number).into();
        identities.log_in("ada", PASSWORD, address, "x")
    });
    let mut flood = pin!(join_all(flood));
    assert!(flood.as_mut().now_or_never().is_none());
    for _ in 0..20 {
        let refused = identities.log_in("ada", PASSWORD, near, "x").await.unwrap_err();
        assert_eq!(refused.code(), Code::Overloaded, "{refused}");
    }
    let flood = flood.await;
    let code = |done: &Result<Granted, IdentityError>| done.as_ref().err().map(IdentityError::code);
    let (granted, refused): (Vec<_>, Vec<_>) = flood.iter().map(code).partition(Option::is_none);
    assert!(granted.len() > 64 && refused.iter().all(|code| *code == Some(Code::Overloaded)), "{refused:?}");
    for _ in 0..5 {
        let wrong = identities.log_in("ada", "wrong horse", near, "x").await.unwrap_err();
        assert_eq!(wrong, IdentityError::WrongLogin, "all five tries are left");
    }
    let sixth = identities.log_in("ada", PASSWORD, near, "x").await.unwrap_err();
    assert_eq!(sixth.code(), Code::TooManyLogins, "wrong passwords count");
}

/// V21. A token is looked up by its digest, so a guess that begins like it is no nearer than any other.
#[tokio::test]
async fn v21_a_guess_that_begins_like_a_token_looks_for_something_else() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let digest = tidewire::identity::digest(&ada.token);
    let mut seen = BTreeSet::from([digest[..4].to_owned()]);
    for kept in 5..ada.token.len() {
        let mut guess = ada.token.clone().into_bytes();
        guess[kept] = if guess[kept] == b'A' { b'B' } else { b'A' };
        seen.insert(tidewire::identity::digest(&String::from_utf8(guess).unwrap())[..4].to_owned());
    }
    assert!(seen.len() >= 40, "the digests of neighbours have nothing in common: {}", seen.len());
}

/// V25. Events come out of the log: there is no frame by which a peer could make one.
#[tokio::test]
async fn v25_no_frame_makes_an_event() {
    let app = TestApp::start().await;
    let mut other = Socket::open(app.address).await;
    other.subscribe("entity:Task", json!({})).await;
    let mut forger = Socket::open(app.address).await;
    let payload = json!({"id": "0190a000-0000-7000-8000-00000000000a", "title": "forged", "version": 1});
    for kind in [
        "entity:created",
        "entity:updated",
        "entity:deleted",
        "snapshot",
        "resync",
        "pong",
        "drain",
        "rights:changed",
        "publish",
        "broadcast",
    ] {
        let frame = json!({"type": kind, "channel": "entity:Task", "seq": 1, "payload": payload});
        forger.send(&frame).await;
        let error = forger.expect("error").await;
        assert!(
            ["UNKNOWN_MESSAGE_TYPE", "BAD_FRAME"].contains(&error["payload"]["code"].as_str().unwrap()),
            "{error}"
        );
    }
    other.nothing_else().await;
    assert!(app.rows("tasks").await.is_empty());
}

/// V26.
#[tokio::test]
async fn v26_a_key_belongs_to_its_user_and_its_request() {
    let app = TestApp::start().await;
    let send = async |who: &str, title: &str| {
        let headers = [("idempotency-key", "k-1")];
        app.client_as(who).call_with("POST", "/api/tasks", json!({"title": title}), &headers).await
    };
    let (first, again) = (send("ada", "one").await, send("ada", "one").await);
    assert_eq!((first.status, again.id()), (201, first.id()), "{}", again.text);
    let other_body = send("ada", "two").await;
    assert_eq!((other_body.status, &other_body.json["code"]), (422, &json!("IDEMPOTENCY_MISMATCH")));
    let of_ben = send("ben", "one").await;
    assert!(of_ben.status == 201 && of_ben.id() != first.id(), "the key of another user is another key");
    assert_eq!(app.rows("tasks").await.len(), 2);
}

/// V27.
#[tokio::test]
async fn v27_connections_that_come_and_go_disturb_no_subscriber() {
    const WRITES: usize = 100;
    let app = Arc::new(TestApp::start().await);
    let mut steady = Socket::open(app.address).await;
    steady.subscribe("entity:Task", json!({})).await;
    let guests: Vec<_> = (0..10)
        .map(|guest| {
            let app = app.clone();
            tokio::spawn(async move {
                for round in 0..100 {
                    let mut socket = Socket::open(app.address).await;
                    socket.send(&json!({"type": "subscribe", "channel": "entity:Task"})).await;
                    match (guest + round) % 3 {
                        0 => socket.cut(),
                        1 => drop(socket),
                        _ => drop(socket.frame().await),
                    }
                }
            })
        })
        .collect();
    for write in 0..WRITES {
        app.client().create("tasks", json!({"title": write.to_string()})).await;
    }
    for write in 0..WRITES {
        assert_eq!(steady.expect("entity:created").await["payload"]["title"], write.to_string());
    }
    for guest in guests {
        guest.await.unwrap();
    }
    app.wait_for_metric("tidewire_sessions{transport=\"ws\"}", 1.0).await;
    app.wait_for_metric("tidewire_subscriptions", 1.0).await;
    app.wait_for_groups(1).await;
}

/// V29.
#[tokio::test]
async fn v29_a_position_of_another_user_resumes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = "entity = \"Note\"\n[fields]\ntitle = { type = \"text\" }\nowner = { type = \"ref\", entity = \"User\", default = \"user.id\" }\n[access]\nread = \"owner == user.id\"\ncreate = \"user != null\"\n";
    std::fs::write(folder.path().join("note.toml"), text).unwrap();
    let schema = tidewire::schema::load(folder.path()).unwrap().schema;
    let app = TestApp::over(schema.into(), |_| {}).await;
    let open = async |who: &str| {
        let mut socket = Socket::open_at(app.address, &format!("/ws?as={who}")).await;
        assert_eq!(socket.frame().await["type"], "connected");
        socket
    };
    let mut ada = open("ada").await;
    let at = ada.subscribe("entity:Note", json!({})).await["payload"].clone();
    app.client_as("ada").create("notes", json!({"title": "hers"})).await;
    ada.expect("entity:created").await;
    let since = json!({"since": {"epoch": at["epoch"], "seq": at["seq"], "view": at["view"]}});
    let mut ben = open("ben").await;
    let told = ben.subscribe("entity:Note", since).await;
    assert_eq!(told["payload"]["recovered"], json!(false), "{told}");
    while let Came::Frame(frame) = ben.came().await {
        assert!(!frame.to_string().contains("hers"), "{frame}");
        if frame["type"] == "pong" {
            break;
        }
    }
}

/// V17 for a server whose door is guarded: sockets that never send their token leave others served.
#[tokio::test]
async fn v17_a_hundred_sockets_that_wait_at_the_door_leave_others_served() {
    let app = TestApp::serving(|config| {
        open(config);
        config.auth.anonymous = false;
        config.auth.token_wait = Duration::from_millis(500);
    })
    .await;
    let ada = Account::register(&app, "ada").await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Socket::open_at(app.address, "/ws").await);
    }
    ada.call("POST", "/api/tasks", json!({"title": "one"})).await;
    assert_eq!(ada.call("GET", "/api/tasks", Value::Null).await.status, 200);
    for socket in &mut silent {
        assert_eq!(socket.closed().await, Some(4401));
    }
    app.wait_for_metric("tidewire_sessions{transport=\"ws\"}", 0.0).await;
}

/// The table of docs/security.md: each class once, each test by a name that exists.
#[test]
fn every_class_of_attacks_names_tests_that_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/security.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| V")?.strip_suffix(" |"));
    let mut classes: Vec<String> = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [number, _, tests] = cells[..] else { panic!("three cells: {row}") };
        classes.push(format!("V{number}"));
        for test in tests.split('`').skip(1).step_by(2) {
            let (file, text) = match test.split_once("::") {
                Some((file, name)) => (format!("{file}.rs"), format!("fn {name}(")),
                None => test.split_once(": ").map(|(file, text)| (file.to_owned(), text.to_owned())).unwrap(),
            };
            let source = std::fs::read_to_string(root.join("tests").join(&file))
                .unwrap_or_else(|_| panic!("V{number}: no {file}"));
            assert!(source.contains(&text), "V{number}: {file} has no {text}");
        }
    }
    let number = |class: &String| class[1..].parse::<u32>().unwrap();
    classes.sort_by_key(number);
    let all: Vec<String> = (1..=29).map(|class| format!("V{class}")).collect();
    assert_eq!(classes, all);
}
