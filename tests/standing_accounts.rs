//! Whether a user may come in is remembered between requests, and never longer than it is true.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::account::{Account, open};
use crate::support::app::{Answer, Client, TestApp};

async fn set_disabled(admin: &Client, user: &str, disabled: bool) -> Answer {
    let answer = admin.call("PATCH", &format!("/api/users/{user}"), json!({"disabled": disabled})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

/// Commits records of another entity until it is told to end.
fn busy(app: &TestApp) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u64>) {
    let (client, ended) = (app.client(), Arc::new(AtomicBool::new(false)));
    let end = ended.clone();
    let writing = tokio::spawn(async move {
        let mut count = 0;
        while !end.load(Ordering::Relaxed) {
            let made = client.call("POST", "/api/tasks", json!({"title": "Write"})).await;
            assert_eq!(made.status, 201, "{}", made.text);
            count += 1;
        }
        count
    });
    (ended, writing)
}

#[tokio::test]
async fn a_request_after_the_answer_to_a_change_of_the_user_knows_of_it() {
    let app = TestApp::with(open).await;
    let (ended, writing) = busy(&app);
    let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    let admin = app.client();
    for round in 0..50 {
        let listed = ada.call("GET", "/api/tasks?limit=1", Value::Null).await;
        assert_eq!(listed.status, 200, "{round}: {}", listed.text);
        set_disabled(&admin, &ada.id, true).await;
        for (method, path) in [("GET", "/api/tasks?limit=1"), ("POST", "/api/tasks")] {
            let refused = ada.call(method, path, json!({"title": "Write"})).await;
            assert_eq!(
                (refused.status, &refused.json["code"]),
                (403, &json!("ACCOUNT_DISABLED")),
                "{round} {method}: {}",
                refused.text
            );
        }
        let other = ben.call("GET", "/api/tasks?limit=1", Value::Null).await;
        assert_eq!(other.status, 200, "another user is not concerned: {}", other.text);
        set_disabled(&admin, &ada.id, false).await;
    }
    ended.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0, "other records were written meanwhile");
}

#[tokio::test]
async fn the_token_of_a_deleted_user_is_none_at_the_next_request() {
    let app = TestApp::with(open).await;
    let ada = Account::register(&app, "ada").await;
    for _ in 0..3 {
        assert!(ada.is_in().await);
    }
    let deleted = app.client().call("DELETE", &format!("/api/users/{}", ada.id), Value::Null).await;
    assert!(deleted.status < 300, "{}", deleted.text);
    assert!(!ada.is_in().await, "the record is gone, and with it the account");
}
