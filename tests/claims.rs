//! `?claims=` beside `?as=`: rules over `user.claims` in `tidewire dev`, over HTTP, sockets, polls and `rules why`.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::TestApp;
use crate::support::process::{ended, tidewire};
use crate::support::socket::Socket;

const DOCUMENT: &str = r#"
entity = "Document"
history = "forever"
[fields]
title = { type = "text" }
team  = { type = "text" }
cost  = { type = "int", read = "user.claims.org.level == 3" }
[access]
read   = "team in user.claims.teams"
create = "user.claims.org.level == 3"
update = "user.claims.org.level == 3"
"#;

const CHIEF: &str = "%7B%22teams%22:%5B%22red%22,%22blue%22%5D,%22org%22:%7B%22level%22:3%7D%7D";
const RED: &str = "%7B%22teams%22:%5B%22red%22%5D%7D";

fn schema() -> Arc<Schema> {
    let file =
        SourceFile { name: "document.toml".to_owned(), text: DOCUMENT.to_owned(), format: Format::Toml };
    check(&[file]).unwrap_or_else(|errors| panic!("{errors}")).into()
}

#[tokio::test]
async fn rules_ask_for_the_claims_that_a_request_says() {
    let app = TestApp::over(schema(), |_| {}).await;
    let http = app.client();
    let made = |title: &str, team: &str| json!({"title": title, "team": team, "cost": 5});
    let chief = format!("as=ada:editor&claims={CHIEF}");
    let (status, document) = http.any("POST", &format!("/api/documents?{chief}"), made("Plan", "red")).await;
    assert_eq!((status, &document["cost"]), (201, &json!(5)), "{document}");
    let id = document["id"].as_str().unwrap();
    // The same user with other claims, with none, and another user with the same.
    for (caller, sees) in [
        (chief.clone(), true),
        (format!("as=ben&claims={CHIEF}"), true),
        (format!("as=ada&claims={RED}"), true),
        ("as=ada".to_owned(), false),
        ("as=ada&claims=%7B%7D".to_owned(), false),
        ("as=ada&claims=%7B%22teams%22:%22red%22%7D".to_owned(), false),
    ] {
        let listed = http.get_any(&format!("/api/documents?{caller}")).await;
        let shown = listed.1["items"].as_array().is_some_and(|items| items.len() == 1);
        assert_eq!(shown, sees, "{caller}: {}", listed.1);
        for path in [format!("/api/documents/{id}"), format!("/api/documents/{id}/history")] {
            assert_eq!(http.get_any(&format!("{path}?{caller}")).await.0 == 200, sees, "{path} {caller}");
        }
    }
    let red = format!("as=ada&claims={RED}");
    assert_eq!(
        http.get(&format!("/api/documents/{id}?{red}")).await.get("cost"),
        None,
        "a field has its own rule"
    );
    let (status, problem) = http.any("POST", &format!("/api/documents?{red}"), made("x", "red")).await;
    assert_eq!((status, &problem["code"]), (403, &json!("FORBIDDEN")));
    let (status, page) =
        http.any("POST", &format!("/api/documents/query?{red}"), json!({"team": "red"})).await;
    assert_eq!((status, page["items"].as_array().unwrap().len()), (200, 1), "{page}");
}

#[tokio::test]
async fn sockets_and_polls_have_claims_too() {
    let app = TestApp::over(schema(), |_| {}).await;
    let http = app.client();
    let mut red = Socket::open_at(app.address, &format!("/ws?as=ben&claims={RED}")).await;
    red.expect("connected").await;
    red.subscribe("entity:Document", json!({})).await;
    let poll = format!("/api/changes?channel=entity:Document&as=ben&claims={RED}");
    let start = http.get(&poll).await;
    let chief = format!("/api/documents?as=ada&claims={CHIEF}");
    for team in ["blue", "red"] {
        let (status, _) = http.any("POST", &chief, json!({"title": team, "team": team, "cost": 1})).await;
        assert_eq!(status, 201);
    }
    let event = red.expect("entity:created").await;
    assert_eq!((&event["payload"]["title"], event["payload"].get("cost")), (&json!("red"), None));
    red.nothing_else().await;
    let view = start["channels"][0]["view"].as_str().unwrap();
    let since = format!("{}:{}", start["epoch"].as_str().unwrap(), start["seq"]);
    let changes = http.get(&format!("{poll}&since={since}&view={view}")).await;
    let titles: Vec<&Value> =
        changes["events"].as_array().unwrap().iter().map(|event| &event["payload"]["title"]).collect();
    assert_eq!(titles, [&json!("red")], "{changes}");
    // Other claims are another view.
    let other =
        format!("/api/changes?channel=entity:Document&as=ben&claims={CHIEF}&since={since}&view={view}");
    assert_eq!(http.get(&other).await["channels"][0]["recovered"], false);
}

/// A server, and a document that only the team `green` may read, with the position of its change.
struct GreenDocument {
    app: TestApp,
    id: String,
    seq: u64,
}

impl GreenDocument {
    async fn start() -> GreenDocument {
        let app = TestApp::over(schema(), |_| {}).await;
        let chief = format!("/api/documents?as=ada&claims={CHIEF}");
        let (status, document) =
            app.client().any("POST", &chief, json!({"title": "x", "team": "green"})).await;
        assert_eq!(status, 201, "{document}");
        let (id, seq) = (document["id"].as_str().unwrap().to_owned(), app.head());
        GreenDocument { app, id, seq }
    }

    /// What an administrator reads below `/api/admin/`.
    async fn asked(&self, path: &str) -> Value {
        self.app.client_as("root:admin").get(&format!("/api/admin/{path}")).await
    }
}

/// The clause that decided has the claims of the team `red`.
fn is_explained_by_red(why: &Value) {
    let values =
        json!([{"name": "team", "value": "\"green\""}, {"name": "user.claims.teams", "value": "[\"red\"]"}]);
    assert_eq!(why["rule"]["clauses"][0]["values"], values, "{why}");
    assert_eq!(why["claims"], Value::Null, "{why}");
}

#[tokio::test]
async fn why_explains_a_refused_caller_with_the_claims_that_they_had() {
    let green = GreenDocument::start().await;
    let read = format!("/api/documents/{}?as=ben&claims={RED}", green.id);
    let (status, refused) = green.app.client().get_any(&read).await;
    assert_eq!(status, 404, "{refused}");
    let why = green.asked(&format!("why/{}", refused["requestId"].as_str().unwrap())).await;
    assert_eq!(why["finding"], "denied", "{why}");
    is_explained_by_red(&why);
}

#[tokio::test]
async fn why_explains_an_open_connection_with_the_claims_that_it_has() {
    let green = GreenDocument::start().await;
    let mut red = Socket::open_at(green.app.address, &format!("/ws?as=ben&claims={RED}")).await;
    let connected = red.expect("connected").await;
    let connection = connected["payload"]["connectionId"].as_str().unwrap();
    let why = green.asked(&format!("why/{connection}:{}?channel=entity:Document", green.seq)).await;
    assert_eq!((&why["finding"], &why["user"]), (&json!("hidden"), &json!("ben")), "{why}");
    is_explained_by_red(&why);
}

#[tokio::test]
async fn why_says_that_it_does_not_know_the_claims_of_a_token_that_is_gone() {
    let green = GreenDocument::start().await;
    let gone = "0190a000-0000-7000-8000-00000000ffff";
    for path in [
        format!("why/{gone}:{}?user=ben&channel=entity:Document", green.seq),
        format!("explain?user=ben&entity=Document&record={}", green.id),
    ] {
        let why = green.asked(&path).await;
        assert_eq!(why["claims"], "unknown", "{path}: {why}");
        let words = "the claims of their token are not known, so this is without them";
        assert!(why["answer"].as_str().unwrap().ends_with(words), "{why}");
    }
    let anonymous = green.asked(&format!("explain?entity=Document&record={}", green.id)).await;
    assert_eq!(anonymous["claims"], Value::Null, "there is no token: {anonymous}");
}

#[tokio::test]
async fn claims_that_are_no_object_of_a_named_user_are_refused() {
    let app = TestApp::over(schema(), |_| {}).await;
    let http = app.client();
    let long = format!("as=ada&claims=%7B%22a%22:%22{}%22%7D", "x".repeat(4096));
    for (caller, words) in [
        ("claims=%7B%7D", "add ?as=NAME"),
        ("claims=", "add ?as=NAME"),
        ("as=ada&claims=", "must be a JSON object"),
        ("as=ada&claims=%7B", "EOF"),
        ("as=ada&claims=3", "it is another JSON value"),
        ("as=ada&claims=%5B%7B%7D%5D", "it is another JSON value"),
        ("as=ada&claims=null", "it is another JSON value"),
        ("as=ada&claims=%7B%22a%22:1%7D%7D", "trailing characters"),
        ("as=ada&claims=%7Ba:1%7D", "must be a JSON object"),
        (long.as_str(), "it has 4"),
    ] {
        for path in ["/api/documents", "/api/documents/count", "/api/changes", "/api/schema"] {
            let (status, problem) = http.get_any(&format!("{path}?{caller}")).await;
            assert_eq!(
                (status, &problem["code"]),
                (401, &json!("UNAUTHENTICATED")),
                "{path}?{caller}: {problem}"
            );
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(words), "{caller}: {detail}");
        }
    }
    let twice = http.get_any("/api/documents?as=ada&claims=%7B%7D&claims=%7B%7D").await;
    assert_eq!((twice.0, &twice.1["code"]), (400, &json!("BAD_QUERY")));
}

#[tokio::test]
async fn why_asks_with_claims() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(folder.path().join("schemas/document.toml"), DOCUMENT).unwrap();
    let mut import = tidewire(folder.path());
    std::fs::write(
        folder.path().join("one.jsonl"),
        "{\"id\": \"01900000-0000-7000-8000-00000000000a\", \"team\": \"red\"}\n",
    )
    .unwrap();
    assert_eq!(ended(import.args(["import", "Document", "one.jsonl"])).await.code, 0);
    for (claims, code) in
        [(r#"{"teams": ["red"]}"#, 0), (r#"{"teams": ["blue"]}"#, 1), ("{}", 1), ("[]", 2), ("{", 2)]
    {
        let mut why = tidewire(folder.path());
        why.args(["rules", "why", "--as", "ada", "--claims", claims, "read", "Document"]);
        let told = ended(why.arg("01900000-0000-7000-8000-00000000000a")).await;
        assert_eq!(told.code, code, "{claims}: {told:?}");
        assert!(code != 2 || told.stderr.contains("--claims must be a JSON object"), "{told:?}");
    }
    let mut alone = tidewire(folder.path());
    alone.args([
        "rules",
        "why",
        "--claims",
        "{}",
        "read",
        "Document",
        "01900000-0000-7000-8000-00000000000a",
    ]);
    let refused = ended(&mut alone).await;
    assert!(refused.code == 2 && refused.stderr.contains("--as NAME"), "{refused:?}");
}
