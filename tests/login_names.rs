//! Another login name, over HTTP: by the user, who knows the password, and by an administrator.

use serde_json::json;

use crate::support::account::{Account, PASSWORD, log_in, open};
use crate::support::app::{Answer, TestApp};

async fn rename(account: &Account, name: &str, password: &str) -> Answer {
    account.call("POST", "/api/auth/name", json!({"name": name, "password": password})).await
}

#[tokio::test]
async fn a_user_takes_another_login_name_and_stays_the_same_user() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let phone = Account::log_in(&app, "ada").await;
    let done = rename(&ada, "Ada Lovelace", PASSWORD).await;
    assert_eq!((done.status, done.text.as_str()), (204, ""));
    assert!(ada.is_in().await && phone.is_in().await, "the sessions stay");
    assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 401, "the former name is no name of hers");
    assert_eq!(Account::log_in(&app, "ADA lovelace").await.id, ada.id);
    let record = app.client().get(&format!("/api/users/{}", ada.id)).await;
    assert_eq!(record["name"], "ada", "the name that others see is a field of the record");
    // Capitals make no other name: the account keeps its place.
    assert_eq!(rename(&ada, "ADA LOVELACE", PASSWORD).await.status, 204);
    let other = Account::register(&app, "ada").await;
    assert!(other.is_in().await && other.id != ada.id, "the former name is free");
}

#[tokio::test]
async fn a_login_name_is_not_given_without_the_password_or_where_it_cannot_be() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    Account::register(&app, "ben").await;
    for (name, password, status, words) in [
        ("eve", "correct horsf", 422, "is not your password"),
        ("eve", "", 422, "is not your password"),
        ("Ben", PASSWORD, 409, "taken"),
        ("", PASSWORD, 422, "is empty"),
        (" eve", PASSWORD, 422, "space"),
        ("guest:eve", PASSWORD, 422, "guest:"),
        (PASSWORD, PASSWORD, 422, "is your password"),
    ] {
        let refused = rename(&ada, name, password).await;
        assert_eq!(refused.status, status, "{name} {}", refused.text);
        assert!(refused.text.contains(words), "{name}: {}", refused.text);
    }
    assert_eq!(Account::log_in(&app, "ada").await.id, ada.id, "nothing changed");
    let anonymous = app.client().call("POST", "/api/auth/name", json!({"name": "x", "password": "y"})).await;
    assert_eq!(anonymous.status, 401, "{}", anonymous.text);
    // Guessing the password here is as slow as at the login.
    for _ in 0..5 {
        rename(&ada, "eve", "correct horsf").await;
    }
    let throttled = rename(&ada, "eve", PASSWORD).await;
    assert_eq!((throttled.status, &throttled.json["code"]), (429, &json!("TOO_MANY_LOGINS")));
}

#[tokio::test]
async fn an_administrator_gives_any_user_another_login_name_and_other_callers_cannot() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    let ben = Account::register(&app, "ben").await;
    let path = format!("/api/admin/users/{}/name", ada.id);
    let by_ben = ben.call("POST", &path, json!({"name": "ben2"})).await;
    assert_eq!((by_ben.status, &by_ben.json["code"]), (403, &json!("FORBIDDEN")), "{}", by_ben.text);
    let admin = |path: &str, name: &str| {
        let (client, path) = (app.client(), format!("{path}?as=ops:admin"));
        let body = json!({"name": name});
        async move { client.call("POST", &path, body).await }
    };
    assert_eq!(admin(&path, "BEN").await.status, 409);
    assert_eq!(admin(&path, "lovelace").await.status, 204);
    assert_eq!(Account::log_in(&app, "lovelace").await.id, ada.id);
    assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 401);
    let unknown = admin("/api/admin/users/0190a000-0000-7000-8000-000000000001/name", "eve").await;
    assert_eq!((unknown.status, &unknown.json["code"]), (404, &json!("NOT_FOUND")), "{}", unknown.text);
}
