//! Logging in at another issuer, as a browser does: out to it, back with a code, and into a session of this server.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};
use crate::support::issuer::{TestIssuer, now};
use crate::support::socket::Socket;

async fn started(issuer: &TestIssuer) -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let (tokens, secret) = (folder.path().join("tokens.toml"), folder.path().join("acme.secret"));
    std::fs::write(secret, "the-secret-of-this-client\n").unwrap();
    let file = format!(
        "[issuers.acme]\nissuer = \"{}\"\nrole_claim = \"role\"\n\
         [issuers.acme.login]\ntitle = \"Acme\"\nclient_id = \"tide\"\nclient_secret_file = \"acme.secret\"\n",
        issuer.name()
    );
    std::fs::write(&tokens, file).unwrap();
    let loaded = tidewire::schema::load(&crate::support::process::plain_schemas()).unwrap();
    TestApp::again(folder, loaded.schema.into(), |config| config.auth.tokens = Some(tokens)).await
}

/// What a browser keeps between the steps.
#[derive(Default, Clone)]
struct Browser(HashMap<String, String>);

impl Browser {
    /// Opens an address of the app, and keeps the cookies.
    async fn open(&mut self, app: &TestApp, path: &str) -> Answer {
        let cookies: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer =
            app.client().call_with("GET", path, Value::Null, &[("cookie", &cookies.join("; "))]).await;
        for line in answer.headers.get_all("set-cookie") {
            let (name, rest) = line.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            assert!(rest.contains("HttpOnly") && rest.contains("SameSite=Lax"), "{name} {rest}");
            match value.is_empty() {
                true => self.0.remove(name),
                false => self.0.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }
}

/// Out to the issuer and back: the path of the callback.
async fn at_issuer(app: &TestApp, browser: &mut Browser, back: &str) -> String {
    let begun = browser.open(app, &format!("/api/auth/issuers/acme/login?return={back}")).await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let answered = app.client().http.get(begun.header("location")).send().await.unwrap();
    let callback = answered.headers()["location"].to_str().unwrap().to_owned();
    let own = format!("http://{}", app.address);
    callback.strip_prefix(&own).unwrap_or_else(|| panic!("{callback} is not of {own}")).to_owned()
}

#[tokio::test]
async fn a_user_logs_in_at_an_issuer_and_comes_back_to_the_page() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    issuer.say(json!({"role": "editor", "team": "red"}));
    let app = started(&issuer).await;
    let offered = app.client().get("/api/auth/issuers").await;
    let login = "/api/auth/issuers/acme/login";
    assert_eq!(offered, json!({"items": [{"name": "acme", "title": "Acme", "login": login}]}));
    let mut browser = Browser::default();
    let callback = at_issuer(&app, &mut browser, "/tasks?open=true").await;
    let done = browser.open(&app, &callback).await;
    assert_eq!((done.status, done.header("location")), (303, "/tasks?open=true"), "{}", done.text);
    let me = browser.open(&app, "/api/auth/me").await;
    assert_eq!(
        me.json["user"],
        json!({"id": "acme:ada", "name": "Ada Lovelace", "role": "editor"}),
        "{}",
        me.text
    );
    assert!(me.json["session"].is_string(), "a session of this server, which can be ended: {}", me.text);
    let cookie = format!("tidewire={}", browser.0["tidewire"]);
    let headers = [("cookie", &*cookie), ("origin", &*format!("http://{}", app.address))];
    let mut socket = Socket::try_open(app.address, "/ws", &headers, None).await.unwrap();
    assert_eq!(socket.expect("connected").await["payload"]["userId"], "acme:ada");
    assert_eq!(browser.0.len(), 1, "the cookie of the login is gone: {:?}", browser.0.keys());
    let again = browser.open(&app, &callback).await;
    assert_eq!(again.status, 401, "a code and its state are good once: {}", again.text);
}

#[tokio::test]
async fn a_login_of_another_browser_or_with_another_state_is_refused() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = started(&issuer).await;
    let mut browser = Browser::default();
    for change in ["no cookie", "other cookie", "other state", "no code", "other issuer", "error"] {
        let callback = at_issuer(&app, &mut browser, "/").await;
        let mut other = browser.clone();
        let path = match change {
            "no cookie" => {
                other = Browser::default();
                callback
            }
            "other cookie" => {
                other.0.insert("tidewire-login".to_owned(), "two_x".to_owned());
                callback
            }
            "other state" => callback.replace("state=", "state=x"),
            "no code" => callback.replace("code=", "kode="),
            "other issuer" => format!("{callback}&iss=https%3A%2F%2Fevil.example"),
            _ => callback.replace("code=", "error="),
        };
        let refused = other.open(&app, &path).await;
        assert_eq!(refused.status, 401, "{change}: {}", refused.text);
        assert!(!other.0.contains_key("tidewire"), "{change}");
    }
}

#[tokio::test]
async fn a_browser_is_shown_a_page_when_a_login_does_not_work() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = started(&issuer).await;
    const BROWSER: (&str, &str) =
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
    for (path, status, words, again) in [
        ("/api/auth/issuers/acme/callback?error=access_denied", 401, "Try again", true),
        ("/api/auth/issuers/acme/callback?state=x&code=y", 401, "Begin the login again", true),
        ("/api/auth/issuers/evil%22%3E%3Cb%3E/login", 404, "The link that led here is wrong", false),
        ("/api/auth/issuers/acme/login?return=//evil.example", 400, "The link that led here is wrong", true),
    ] {
        let page = app.client().call_with("GET", path, Value::Null, &[BROWSER]).await;
        assert_eq!(page.status, status, "{path}: {}", page.text);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert!(page.header("content-security-policy").contains("default-src 'self'"), "{path}");
        assert!(page.text.contains("The login did not work") && page.text.contains(words), "{}", page.text);
        assert!(page.text.contains("href=\"/_/login\"") && !page.text.contains("<script"), "{}", page.text);
        assert!(!page.text.contains("<b>"), "{}", page.text);
        assert_eq!(page.text.contains("/api/auth/issuers/acme/login?return=/_/"), again, "{}", page.text);
        let json = app.client().call("GET", path, Value::Null).await;
        assert_eq!((json.status, json.header("content-type")), (status, "application/problem+json"));
    }
}

#[tokio::test]
async fn an_id_token_that_is_not_of_this_login_is_refused() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = started(&issuer).await;
    for claims in [
        json!({"nonce": "another"}),
        json!({"nonce": null}),
        json!({"aud": "another"}),
        json!({"aud": ["tide", "another"]}),
        json!({"azp": "another"}),
        json!({"iss": "https://evil.example"}),
        json!({"exp": now() - 3600}),
        json!({"exp": null}),
        json!({"sub": ""}),
    ] {
        issuer.say(claims.clone());
        let mut browser = Browser::default();
        let callback = at_issuer(&app, &mut browser, "/").await;
        let refused = browser.open(&app, &callback).await;
        assert_eq!(
            (refused.status, &refused.json["code"]),
            (401, &json!("UNAUTHENTICATED")),
            "{claims}: {}",
            refused.text
        );
    }
    issuer.say(json!({"aud": ["tide", "another"], "azp": "tide"}));
    let mut browser = Browser::default();
    let callback = at_issuer(&app, &mut browser, "/").await;
    assert_eq!(browser.open(&app, &callback).await.status, 303);
}

#[tokio::test]
async fn a_login_leads_to_no_other_server_and_an_unknown_issuer_is_told() {
    let issuer = TestIssuer::start(&[("rsa", "k1")]).await;
    let app = started(&issuer).await;
    let mut browser = Browser::default();
    for back in
        ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "tasks", "%2F%09%2Fevil"]
    {
        let refused = browser.open(&app, &format!("/api/auth/issuers/acme/login?return={back}")).await;
        assert_eq!((refused.status, &refused.json["code"]), (400, &json!("BAD_QUERY")), "{back}");
    }
    let unknown = browser.open(&app, "/api/auth/issuers/other/login").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text);
    // An issuer that only logs in lets no token in.
    let token = issuer.token("rsa", Some("k1"), &json!({}));
    let bearer = format!("Bearer {token}");
    let refused =
        app.client().call_with("GET", "/api/tasks", Value::Null, &[("authorization", &bearer)]).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
}
