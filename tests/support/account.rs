//! A user with a session, as a client of theirs is.

use serde_json::{Value, json};
use tidewire::config::{AuthConfig, Config, Registration};
use tidewire::env::Env;
use tidewire::identity::{LinkKind, new_link};
use tidewire::store::choice;

use super::app::{Answer, Client, TestApp};

pub(crate) const PASSWORD: &str = "correct horse";

/// Anybody may register.
pub(crate) fn open(config: &mut Config) {
    config.auth = AuthConfig { register: Registration::Open, ..AuthConfig::default() };
}

/// A client with a token.
pub(crate) struct Account {
    pub(crate) client: Client,
    pub(crate) token: String,
    /// The id of the `User` record.
    pub(crate) id: String,
}

impl Account {
    pub(crate) async fn register(app: &TestApp, name: &str) -> Account {
        let body = json!({"name": name, "password": PASSWORD});
        let answer = app.client().call("POST", "/api/auth/register", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        Account::of(app, &answer)
    }

    pub(crate) async fn log_in(app: &TestApp, name: &str) -> Account {
        let answer = log_in(app, name, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        Account::of(app, &answer)
    }

    pub(crate) fn of(app: &TestApp, answer: &Answer) -> Account {
        let text = |json: &Value| json.as_str().unwrap_or_else(|| panic!("{}", answer.text)).to_owned();
        Account {
            client: app.client(),
            token: text(&answer.json["token"]),
            id: text(&answer.json["user"]["id"]),
        }
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Value) -> Answer {
        self.client.call_with(method, path, body, &[("authorization", &self.bearer())]).await
    }

    pub(crate) fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }

    /// Whether the token is good.
    pub(crate) async fn is_in(&self) -> bool {
        let answer = self.call("GET", "/api/auth/me", Value::Null).await;
        assert!(answer.status == 200 || answer.json["code"] == "UNAUTHENTICATED", "{}", answer.text);
        answer.status == 200
    }
}

pub(crate) async fn log_in(app: &TestApp, name: &str, password: &str) -> Answer {
    let body = json!({"name": name, "password": password});
    app.client().call("POST", "/api/auth/login", body).await
}

/// The secret of a link, made as the command line makes it.
pub(crate) async fn link(app: &TestApp, env: &Env, kind: LinkKind, user: Option<&str>) -> String {
    let config = Config { data: app.folder.path().join("data"), ..Config::default() };
    let vault = choice::backend(&config).unwrap().vault().unwrap();
    let hour = std::time::Duration::from_secs(3600);
    new_link(&*vault, env, kind, user, hour).await.unwrap().text().to_owned()
}
