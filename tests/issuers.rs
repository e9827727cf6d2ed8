//! Tokens of other issuers, over real requests and sockets: who they let in, how their keys change, and how they end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::app::App;
use tidewire::auth::NameTrust;
use tidewire::config::{Config, Registration};
use tidewire::env::Env;
use tidewire::ids::Timestamp;
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::{Answer, TestApp};
use crate::support::clock::HandClock;
use crate::support::issuer::{TestIssuer, now, signed};
use crate::support::socket::Socket;

const PLAN: &str = r#"
entity = "Plan"
[fields]
title = { type = "text" }
project = { type = "text" }
[access]
read   = "project in user.claims.projects"
create = "user.role == 'editor'"
update = "user != null"
"#;

/// A secret of 32 bytes and more, without a word that examples have.
const SECRET: &str = "k9Jx2mQ7vR4tW8yB3nL6pF1sD5gH0zCa-X";

fn schema() -> Arc<Schema> {
    let file = SourceFile { name: "plan.toml".to_owned(), text: PLAN.to_owned(), format: Format::Toml };
    check(&[file]).unwrap_or_else(|errors| panic!("{errors}")).into()
}

/// An app whose file of tokens is this.
async fn with_tokens(file: &str, env: Env, change: impl FnOnce(&mut Config)) -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, file).unwrap();
    TestApp::timed(folder, schema(), env, |config| {
        config.auth.tokens = Some(tokens);
        change(config);
    })
    .await
}

fn by_url(issuer: &TestIssuer, beside: &str) -> String {
    let name = issuer.name();
    format!(
        "[issuers.acme]\nissuer = \"{name}\"\naudience = [\"tide\"]\njwks_url = \"{name}/keys\"\n{beside}"
    )
}

async fn over(issuer: &TestIssuer, beside: &str) -> TestApp {
    with_tokens(&by_url(issuer, beside), Env::system(), |_| {}).await
}

async fn call(app: &TestApp, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let bearer = format!("Bearer {token}");
    app.client().call_with(method, path, body, &[("authorization", &bearer)]).await
}

async fn me(app: &TestApp, token: &str) -> Answer {
    call(app, token, "GET", "/api/auth/me", Value::Null).await
}

async fn is_thrown_out(socket: &mut Socket) {
    let error = socket.expect("error").await;
    assert_eq!(error["payload"]["code"], "UNAUTHENTICATED", "{error}");
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn a_user_of_an_issuer_has_its_id_name_role_and_claims() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = over(&issuer, "role_claim = \"realm.role\"").await;
    let beside = json!({"name": "Ada", "realm": {"role": "editor"}, "projects": ["red", "blue"]});
    let token = issuer.token("rsa", Some("k1"), &beside);
    let whole = me(&app, &token).await;
    assert_eq!(
        whole.json["user"],
        json!({"id": "acme:ada", "name": "Ada", "role": "editor"}),
        "{}",
        whole.text
    );
    assert_eq!(whole.json["session"], Value::Null);
    for project in ["red", "green"] {
        let plan = json!({"title": project, "project": project});
        assert_eq!(call(&app, &token, "POST", "/api/plans", plan).await.status, 201);
    }
    let listed = call(&app, &token, "GET", "/api/plans", Value::Null).await;
    assert_eq!(listed.json["items"].as_array().unwrap().len(), 1, "`project in user.claims.projects`");
    let record = app.client().get("/api/users/acme:ada?as=root:admin").await;
    assert_eq!((&record["name"], &record["role"]), (&json!("Ada"), &Value::Null));
    // A mapped role that a token does not name is none, whatever the record says.
    app.client().patch("/api/users/acme:ada?as=root:admin", json!({"role": "editor"})).await;
    let plain = issuer.token("rsa", Some("k1"), &json!({}));
    assert_eq!(me(&app, &plain).await.json["user"]["role"], Value::Null);
    let refused = call(&app, &plain, "POST", "/api/plans", json!({"title": "x", "project": "red"})).await;
    assert_eq!(
        refused.status, 404,
        "to a user without the role the entity is as if absent: {}",
        refused.text
    );
}

#[tokio::test]
async fn without_a_mapped_claim_the_role_is_that_of_the_record() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = over(&issuer, "").await;
    let token = issuer.token("rsa", Some("k1"), &json!({"role": "admin"}));
    assert_eq!(
        me(&app, &token).await.json["user"]["role"],
        Value::Null,
        "a claim that is not mapped is no role"
    );
    app.client().patch("/api/users/acme:ada?as=root:admin", json!({"role": "editor"})).await;
    assert_eq!(me(&app, &token).await.json["user"]["role"], "editor");
}

#[tokio::test]
async fn every_algorithm_verifies_with_its_own_keys() {
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
    let file = format!(
        "[issuers.secret]\nissuer = \"s\"\naudience = [\"tide\"]\nsecrets = [\"{SECRET}\"]\n\
         [issuers.rsa]\nissuer = \"r\"\naudience = [\"tide\"]\nalgorithm = \"RS256\"\nkey_files = [\"{keys}/rsa.pub.pem\"]\n\
         [issuers.ec]\nissuer = \"e\"\naudience = [\"tide\"]\nalgorithm = \"ES256\"\nkey_files = [\"{keys}/ec.pub.pem\"]\n\
         [issuers.ed]\nissuer = \"d\"\naudience = [\"tide\"]\nalgorithm = \"EdDSA\"\nkey_files = [\"{keys}/ed.pub.pem\"]\n"
    );
    let app = with_tokens(&file, Env::system(), |_| {}).await;
    let claims = |iss: &str| json!({"iss": iss, "aud": "tide", "sub": "ada", "exp": now() + 600});
    let secret = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let by_secret = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims("s"), &secret).unwrap();
    for (token, user) in [
        (by_secret, "secret:ada"),
        (signed("rsa", None, &claims("r")), "rsa:ada"),
        (signed("ec", None, &claims("e")), "ec:ada"),
        (signed("ed", None, &claims("d")), "ed:ada"),
    ] {
        let whole = me(&app, &token).await;
        assert_eq!(whole.json["user"]["id"], user, "{}", whole.text);
    }
    let crossed = me(&app, &signed("ec", None, &claims("r"))).await;
    assert_eq!(crossed.status, 401, "{}", crossed.text);
}

#[tokio::test]
async fn a_new_key_is_found_and_one_that_is_gone_ends_what_it_signed() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = over(&issuer, "").await;
    let old = issuer.token("rsa", Some("k1"), &json!({}));
    assert_eq!(me(&app, &old).await.status, 200);
    let mut socket = Socket::open_at(app.address, &format!("/ws?token={old}")).await;
    socket.expect("connected").await;
    issuer.rotate(&[("other-rsa", "k2")]);
    let new = issuer.token("other-rsa", Some("k2"), &json!({}));
    assert_eq!(me(&app, &new).await.status, 200, "an unknown key is read at once");
    assert_eq!(me(&app, &old).await.status, 401, "a token that was verified once is not good for ever");
    is_thrown_out(&mut socket).await;
}

#[tokio::test]
async fn tokens_with_unknown_keys_do_not_make_the_server_ask_without_end() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = over(&issuer, "").await;
    let good = issuer.token("rsa", Some("k1"), &json!({}));
    assert_eq!(me(&app, &good).await.status, 200);
    for number in 0..40 {
        let token = issuer.token("rsa", Some(&format!("strange-{number}")), &json!({}));
        assert_eq!(me(&app, &token).await.status, 401);
    }
    assert!(issuer.fetches() <= 6, "the keys were read {} times", issuer.fetches());
    assert_eq!(me(&app, &good).await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_keeps_its_last_keys_and_without_any_the_server_asks_for_patience() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = over(&issuer, "").await;
    let token = issuer.token("rsa", Some("k1"), &json!({}));
    assert_eq!(me(&app, &token).await.status, 200);
    issuer.break_down(true);
    assert_eq!(me(&app, &issuer.token("rsa", Some("k1"), &json!({"sub": "ben"}))).await.status, 200);
    let other = over(&issuer, "").await;
    let refused = me(&other, &token).await;
    assert_eq!((refused.status, &refused.json["code"]), (503, &json!("OVERLOADED")), "{}", refused.text);
}

#[tokio::test]
async fn a_token_ends_its_connections_when_it_expires_and_warns_before() {
    const NOON: Timestamp = Timestamp(1_790_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    let clock = HandClock::at(NOON);
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let file = by_url(&issuer, "leeway_seconds = 0");
    let app = with_tokens(&file, clock.env(), |config| {
        config.realtime.ping_interval = Duration::from_millis(100);
        config.auth.expiry_warning = HOUR - Duration::from_millis(100);
    })
    .await;
    let token = issuer.token("rsa", Some("k1"), &json!({"exp": NOON.0 / 1000 + 3600}));
    let mut socket = Socket::open_at(app.address, &format!("/ws?token={token}")).await;
    let connected = socket.expect("connected").await;
    assert_eq!(connected["payload"]["expiresAt"], Timestamp(NOON.0 + 3_600_000).rfc3339());
    socket.expect("auth:expiring").await;
    clock.pass(HOUR);
    is_thrown_out(&mut socket).await;
    assert_eq!(me(&app, &token).await.status, 401, "a verified token is judged by the clock each time");
}

#[tokio::test]
async fn a_token_is_brought_by_every_way_and_renewed_in_band() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = over(&issuer, "").await;
    let token = issuer.token("rsa", Some("k1"), &json!({}));
    let ticket = call(&app, &token, "POST", "/api/auth/ticket", Value::Null).await;
    let ticket = ticket.json["ticket"].as_str().unwrap_or_else(|| panic!("{}", ticket.text)).to_owned();
    let protocols = format!("tidewire.v1, bearer.{token}");
    let (cookie, own) = (format!("tidewire={token}"), format!("http://{}", app.address));
    let ways: [(String, Vec<(&str, &str)>); 4] = [
        (format!("/ws?token={token}"), vec![]),
        (format!("/ws?ticket={ticket}"), vec![]),
        ("/ws".to_owned(), vec![("sec-websocket-protocol", &protocols)]),
        ("/ws".to_owned(), vec![("cookie", &cookie), ("origin", &own)]),
    ];
    for (path, headers) in ways {
        let mut socket = Socket::try_open(app.address, &path, &headers, None).await.unwrap();
        assert_eq!(socket.expect("connected").await["payload"]["userId"], "acme:ada", "{path}");
    }
    let auth = |token: &str| json!({"type": "auth", "payload": {"token": token}});
    let mut socket = Socket::open(app.address).await;
    socket.send(&auth(&token)).await;
    assert_eq!(socket.expect("auth:ok").await["payload"]["userId"], "acme:ada");
    socket.subscribe("entity:User", json!({})).await;
    // The same user and claims, until later.
    socket.send(&auth(&issuer.token("rsa", Some("k1"), &json!({"exp": now() + 900, "jti": "2"})))).await;
    socket.expect("auth:ok").await;
    // What the channels show was found under other claims.
    socket.send(&auth(&issuer.token("rsa", Some("k1"), &json!({"projects": ["red"]})))).await;
    is_thrown_out(&mut socket).await;
    let mut other = Socket::open_at(app.address, &format!("/ws?token={token}")).await;
    other.expect("connected").await;
    other.send(&auth(&issuer.token("rsa", Some("k1"), &json!({"sub": "ben"})))).await;
    is_thrown_out(&mut other).await;
}

#[tokio::test]
async fn a_disabled_user_of_an_issuer_stays_out() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = over(&issuer, "").await;
    let token = issuer.token("rsa", Some("k1"), &json!({}));
    assert_eq!(me(&app, &token).await.status, 200);
    app.client().patch("/api/users/acme:ada?as=root:admin", json!({"disabled": true})).await;
    let refused = me(&app, &token).await;
    assert_eq!(
        (refused.status, &refused.json["code"]),
        (403, &json!("ACCOUNT_DISABLED")),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn an_issuer_without_a_prefix_never_names_a_user_of_another_source() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let bare = by_url(&issuer, "prefix = \"\"");
    let second =
        format!("[issuers.other]\nissuer = \"o\"\naudience = [\"tide\"]\nsecrets = [\"{SECRET}\"]\n");
    let app = with_tokens(&format!("{bare}\n{second}"), Env::system(), |_| {}).await;
    let of = |sub: &str| issuer.token("rsa", Some("k1"), &json!({"sub": sub}));
    assert_eq!(me(&app, &of("ada")).await.json["user"]["id"], "ada");
    for sub in ["other:ada", "guest:1", "service:worker"] {
        assert_eq!(me(&app, &of(sub)).await.status, 401, "{sub}");
    }
}

/// What `serve` says to a file.
fn told(folder: &Path, file: &str, register: Registration) -> Option<String> {
    let tokens = folder.join("tokens.toml");
    std::fs::write(&tokens, file).unwrap();
    let mut config = Config { data: folder.join("data"), ..Config::default() };
    config.auth.tokens = Some(tokens);
    config.auth.register = register;
    App::open_for(config, schema(), Env::system(), NameTrust::Refused).err().map(|error| error.to_string())
}

#[tokio::test]
async fn a_file_of_tokens_that_is_no_good_is_refused_in_words_and_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = |beside: &str| format!("[issuers.acme]\nissuer = \"https://a.example\"\n{beside}");
    let aud = "audience = [\"tide\"]\n";
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
    for (file, words) in [
        (issuer(""), "must name its audience"),
        (issuer(&format!("{aud}secrets = [\"short-{SECRET:.9}\"]")), "has 15 bytes; at least 32"),
        (
            issuer(&format!("{aud}secrets = [\"your-256-bit-secret-{SECRET}\"]")),
            "is one that examples come with",
        ),
        (
            issuer(&format!("{aud}secrets = [\"{SECRET}\"]\nalgorithm = \"RS256\"")),
            "a public key would do as a secret",
        ),
        (issuer(&format!("{aud}algorithm = \"HS256\"")), "has the algorithm HS256 and no secret"),
        (issuer(&format!("{aud}algorithm = \"none\"")), "line 4"),
        (
            issuer(&format!("{aud}algorithm = \"ES256\"\nkey_files = [\"{keys}/rsa.pub.pem\"]")),
            "no public key for ES256",
        ),
        (
            issuer(&format!("{aud}algorithm = \"RS256\"\nkey_files = [\"{keys}/rsa.pem\"]")),
            "it has a private key",
        ),
        (issuer(&format!("{aud}key_files = [\"missing.pem\"]")), "it cannot be read"),
        (issuer(&format!("{aud}jwks_url = \"http://keys.example\"")), "must begin with https://"),
        (issuer(&format!("{aud}leeway_seconds = 3600")), "at most 300"),
        (issuer(&format!("{aud}sekrets = []")), "unknown field `sekrets`"),
        (issuer(&format!("{aud}prefix = \"guest\"")), "reserved"),
        (
            issuer(&format!("{aud}secrets = [\"{SECRET}\"]\njwks_url = \"https://a.example\"")),
            "in several ways",
        ),
        (
            format!("{}{}", issuer(aud), "[issuers.b]\nissuer = \"https://a.example\"\naudience = [\"x\"]"),
            "have one `issuer`",
        ),
        ("[shared.page]\n".to_owned(), "has 0 secrets"),
        (
            format!("[shared.page]\nsecrets = [\"change-me-realtime-{SECRET}\"]"),
            "is one that examples come with",
        ),
        (
            format!("[services.w]\nsecrets = [\"{SECRET}\"]\npublish = [\"lobby\"]"),
            "must begin with room: or user:",
        ),
        (
            format!("[services.w]\nsecrets = [\"{SECRET}\"]\n[shared.w]\nsecrets = [\"{SECRET}2\"]"),
            "the name of another token",
        ),
        (
            format!("[services.w]\nsecrets = [\"{SECRET}\"]\n[shared.v]\nsecrets = [\"{SECRET}\"]"),
            "stands twice",
        ),
    ] {
        let told = told(folder.path(), &file, Registration::Off).unwrap_or_else(|| panic!("taken: {file}"));
        assert!(told.contains(words), "{file}\n{told}");
        assert!(!told.contains(&SECRET[..20]), "the secret is in the text: {told}");
    }
    let bare = issuer(&format!("{aud}prefix = \"\""));
    let open = told(folder.path(), &bare, Registration::Open).unwrap();
    assert!(open.contains("has no prefix") && open.contains("auth.register"), "{open}");
    assert_eq!(told(folder.path(), &bare, Registration::Off), None);
}

#[tokio::test]
async fn configured_tokens_let_guests_and_machines_in() {
    let other = "Zq8Wn3Vb6Xc1Ly4Kt9Hs2Gd7Fj5Pm0Ra-Y";
    let file = format!(
        "[shared.page]\nsecrets = [\"{SECRET}\"]\n[services.worker]\nrole = \"editor\"\npublish = [\"room:*\"]\nsecrets = [\"{other}\"]"
    );
    let app = with_tokens(&file, Env::system(), |config| config.auth.anonymous = false).await;
    let guest = me(&app, SECRET).await;
    assert!(guest.json["guest"].as_str().is_some_and(|id| id.starts_with("guest:")), "{}", guest.text);
    assert_eq!(me(&app, other).await.json["user"]["id"], "service:worker");
    assert_eq!(me(&app, &format!("{SECRET}x")).await.status, 401);
}
