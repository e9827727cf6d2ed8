//! The tasks of source 003: what changes is broadcast to who follows the entity or the record, and to nobody who may not see
//! it. Roles, a state that closes a record, confidential records with what hangs on them, and notifications that expire.

use serde_json::{Value, json};

use super::{only, story};
use crate::support::story::Story;

async fn task(story: &Story, who: &str, body: Value) -> String {
    story.make(who, "/api/tasks", body).await
}

fn path(id: &str) -> String {
    format!("/api/tasks/{id}")
}

#[tokio::test]
async fn a_change_reaches_the_entity_and_the_record_and_whoever_has_no_name() {
    let story = story("tasks").await;
    let id = task(&story, "ada", json!({"title": "Paint the pier"})).await;
    let record = format!("entity:Task:{id}");
    let mut windows = [
        story.live("ada", "entity:Task").await,
        story.live("nobody", "entity:Task").await,
        story.live("ben", &record).await,
        story.live("nobody", &record).await,
        story.live("cy", "entity:Task?status=open").await,
    ];
    let mut done = story.live("cy", "entity:Task?status=done").await;
    story.may("ada", "PATCH", &path(&id), json!({"priority": 5})).await;
    for window in &mut windows {
        let event = window.shows("entity:updated", &id).await;
        assert_eq!((&event["payload"]["priority"], &event["by"]), (&json!(5), &json!("ada")));
    }
    story.nothing_came_to([&mut done]).await;
    story.may("ada", "PATCH", &path(&id), json!({"status": "done"})).await;
    assert_eq!(done.shows("entity:created", &id).await["cause"], "entered");
    let [.., open] = &mut windows;
    assert_eq!(open.shows("entity:deleted", &id).await["cause"], "left");
    story.may_not("nobody", "POST", "/api/tasks", json!({"title": "x"}), "FORBIDDEN").await;
}

#[tokio::test]
async fn what_is_confidential_appears_and_disappears_with_what_hangs_on_it() {
    let story = story("tasks").await;
    // Known from the first request on.
    for who in ["ben", "cy"] {
        story.sees(who, "tasks").await;
    }
    let secret = json!({"title": "Buy a present for Cy", "confidential": true, "assignee": "ben"});
    let id = task(&story, "ada", secret).await;
    let said = story.make("ben", "/api/comments", json!({"task": id, "text": "A boat?"})).await;
    let (mut cy, mut comments) =
        (story.live("cy", "entity:Task").await, story.live("cy", "entity:Comment").await);
    let mut visitor = story.live("nobody", "entity:Comment").await;
    assert!(story.sees("cy", "tasks").await.is_empty() && story.sees("nobody", "comments").await.is_empty());
    story.may_not("cy", "POST", "/api/comments", json!({"task": id, "text": "?"}), "UNKNOWN_REFERENCE").await;
    story.may_not("cy", "GET", &path(&id), Value::Null, "NOT_FOUND").await;
    assert_eq!(story.may("cy", "GET", "/api/tasks?search=present", Value::Null).await["items"], json!([]));

    // It becomes cy's: the task and the comment on it.
    story.may("ada", "PATCH", &path(&id), json!({"assignee": "cy"})).await;
    cy.shows("entity:created", &id).await;
    comments.shows("entity:created", &said).await;
    assert_eq!(story.sees("ben", "tasks").await.len(), 0, "and no longer ben's");
    story.may("ada", "PATCH", &path(&id), json!({"assignee": "ben"})).await;
    cy.loses(&id).await;
    comments.loses(&said).await;
    story.nothing_came_to([&mut visitor]).await;
    // What is no longer confidential is everyone's.
    story.may("ada", "PATCH", &path(&id), json!({"confidential": false})).await;
    cy.shows("entity:created", &id).await;
    visitor.shows("entity:created", &said).await;
    assert_eq!(story.sees("nobody", "tasks").await, only(&id));
}

#[tokio::test]
async fn an_assignee_works_on_a_task_and_what_is_done_is_closed() {
    let story = story("tasks").await;
    story.sees("ben", "tasks").await;
    let late = json!({"title": "Paint", "due": "2001-01-01"});
    story.may_not("ada", "POST", "/api/tasks", late, "FORBIDDEN").await;
    let id = task(&story, "ada", json!({"title": "Paint", "assignee": "ben", "due": "2999-01-01"})).await;
    let path = path(&id);
    story.may_not("cy", "PATCH", &path, json!({"status": "doing"}), "FORBIDDEN").await;
    story.may("ben", "PATCH", &path, json!({"status": "doing", "description": "Two coats"})).await;
    for away in [json!({"assignee": "ada"}), json!({"due": "2099-01-01"}), json!({"confidential": true})] {
        story.may_not("ben", "PATCH", &path, away, "FORBIDDEN").await;
    }
    let comment = story.make("cy", "/api/comments", json!({"task": id, "text": "Which colour?"})).await;
    story.may("ben", "PATCH", &path, json!({"status": "done"})).await;
    for who in ["ada", "ben"] {
        story.may_not(who, "PATCH", &path, json!({"status": "open"}), "FORBIDDEN").await;
        story.may_not(who, "DELETE", &path, Value::Null, "FORBIDDEN").await;
        let late = json!({"task": id, "text": "Well done"});
        story.may_not(who, "POST", "/api/comments", late, "FORBIDDEN").await;
    }
    // A comment is its author's as before.
    story.may("cy", "PATCH", &format!("/api/comments/{comment}"), json!({"text": "Blue?"})).await;
    story.may("max:manager", "PATCH", &path, json!({"status": "open"})).await;
    story.may("ada", "POST", "/api/comments", json!({"task": id, "text": "Again"})).await;
    assert_eq!(
        story.may("ada", "GET", &format!("{path}/history"), Value::Null).await["items"][0]["by"],
        "max"
    );
}

#[tokio::test]
async fn whoever_is_given_a_task_is_told_and_nobody_else() {
    let story = story("tasks").await;
    for who in ["ada", "ben"] {
        story.sees(who, "tasks").await;
    }
    let (mut ben, mut ada) =
        (story.live("ben", "entity:Notification").await, story.live("ada", "entity:Notification").await);
    let id = task(&story, "ada", json!({"title": "Paint", "assignee": "ben"})).await;
    let told = ben.event().await;
    assert_eq!(
        (&told["payload"]["text"], &told["payload"]["task"], &told["by"]),
        (&json!("You now own Paint"), &json!(id), &json!("ada"))
    );
    // Who takes a task knows it, and another change is no news.
    story.may("ada", "PATCH", &path(&id), json!({"assignee": "ada"})).await;
    story.may("ada", "PATCH", &path(&id), json!({"title": "Paint the pier"})).await;
    story.nothing_came_to([&mut ada, &mut ben]).await;
    story.may("ada", "PATCH", &path(&id), json!({"assignee": "ben"})).await;
    assert_eq!(ben.event().await["payload"]["text"], "You now own Paint the pier");
    let forged = json!({"person": "ben", "text": "Hurry"});
    for who in ["ada", "max:manager", "root:admin"] {
        story.may_not(who, "POST", "/api/notifications", forged.clone(), "FORBIDDEN").await;
    }
    // What others say about the task is news, too.
    let said = json!({"task": id, "text": "Two coats?"});
    story.may("ben", "POST", "/api/comments", said.clone()).await;
    story.nothing_came_to([&mut ben]).await;
    story.may("cy", "POST", "/api/comments", said).await;
    let told_of_it = ben.event().await;
    assert_eq!(
        (&told_of_it["payload"]["text"], &told_of_it["by"]),
        (&json!("New comment on Paint the pier"), &json!("cy"))
    );
    // One that goes with its task, and one that is read and kept no longer than until now.
    let first = format!("/api/notifications/{}", told["payload"]["id"].as_str().unwrap());
    story.may_not("ben", "PATCH", &first, json!({"person": "ada"}), "FORBIDDEN").await;
    story.may("ben", "PATCH", &first, json!({"until": "2020-01-01T00:00:00Z"})).await;
    ben.event().await;
    let gone = ben.event().await;
    assert_eq!(
        (&gone["type"], &gone["payload"]["id"], gone.get("by").is_none_or(Value::is_null)),
        (&json!("entity:deleted"), &told["payload"]["id"], true),
        "{gone}"
    );
    assert_eq!(gone["cause"], "expired", "{gone}");
    story.may("ada", "DELETE", &path(&id), Value::Null).await;
    for _ in 0..2 {
        assert_eq!(ben.event().await["type"], "entity:deleted");
    }
    assert!(story.sees("ben", "notifications").await.is_empty());
}

#[tokio::test]
async fn a_role_is_given_by_an_admin_and_counts_in_open_windows() {
    let story = story("tasks").await;
    let id = task(&story, "ada", json!({"title": "Wages", "confidential": true})).await;
    let mut max = story.live("max", "entity:Task").await;
    assert!(story.sees("max", "tasks").await.is_empty());
    story.may_not("max", "PATCH", "/api/users/max", json!({"role": "manager"}), "FORBIDDEN").await;
    story.may("root:admin", "PATCH", "/api/users/max", json!({"role": "manager"})).await;
    max.shows("entity:created", &id).await;
    story.may("max", "PATCH", &path(&id), json!({"priority": 1})).await;
    max.shows("entity:updated", &id).await;
    story.may("root:admin", "PATCH", "/api/users/max", json!({"role": null})).await;
    max.loses(&id).await;
    // An admin is no manager.
    story.may_not("root:admin", "GET", &path(&id), Value::Null, "NOT_FOUND").await;
}
