//! The workspaces of source 004: who has the link joins, members see each other and what happens at once, and a task is
//! given only to who is there.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::ids::Timestamp;

use super::{only, story, story_at};
use crate::support::clock::HandClock;
use crate::support::story::Story;
use crate::support::studio::NOON;

/// Ada's workspace and an invitation to it, as she sees it.
async fn opened(story: &Story) -> (String, Value) {
    let workspace = story.make("ada", "/api/workspaces", json!({"name": "Team"})).await;
    let invitation = story.may("ada", "POST", "/api/invitations", json!({ "workspace": workspace })).await;
    (workspace, invitation)
}

/// What is in the link: the secret, by which everyone finds the invitation.
fn link(invitation: &Value) -> String {
    format!("/api/invitations/by/secret/{}", invitation["secret"].as_str().unwrap())
}

fn path(invitation: &Value) -> String {
    format!("/api/invitations/{}", invitation["id"].as_str().unwrap())
}

fn with(invitation: &Value, secret: &Value) -> Value {
    json!({"invitation": invitation["id"], "secret": secret})
}

async fn join(story: &Story, who: &str, invitation: &Value) -> Value {
    story.may(who, "POST", "/api/joins", with(invitation, &invitation["secret"])).await
}

#[tokio::test]
async fn who_has_the_link_opens_it_joins_and_sees_everything_at_once() {
    let story = story("workspaces").await;
    let (workspace, invitation) = opened(&story).await;
    let task = json!({"workspace": workspace, "title": "Review"});
    let task = story.make("ada", "/api/tasks", task).await;
    let mut tasks = story.live("ben", "entity:Task").await;
    let mut members = story.live("ada", "entity:Member").await;
    // The link opens, also without a name. The secret is not in the answer, and no list has the invitation.
    assert_eq!(invitation["secret"].as_str().unwrap().len(), 32);
    for who in ["ben", "nobody"] {
        for address in [link(&invitation), path(&invitation)] {
            let opened = story.may(who, "GET", &address, Value::Null).await;
            assert_eq!((&opened["workspace"], opened.get("secret")), (&json!(workspace), None));
        }
        assert!(story.may(who, "GET", "/api/invitations", Value::Null).await["items"] == json!([]));
        story.may_not(who, "DELETE", &path(&invitation), Value::Null, "FORBIDDEN").await;
    }
    assert_eq!(story.sees("ada", "invitations").await, only(invitation["id"].as_str().unwrap()));
    let filter = format!("/api/invitations?secret={}", invitation["secret"].as_str().unwrap());
    assert!(story.may("ben", "GET", &filter, Value::Null).await["items"] == json!([]));
    let guess = format!("{}x", link(&invitation));
    story.may_not("ben", "GET", &guess, Value::Null, "NOT_FOUND").await;

    let guess = with(&invitation, &json!("a-secret-that-somebody-guesses"));
    story.may_not("ben", "POST", "/api/joins", guess, "FORBIDDEN").await;
    story.nothing_came_to([&mut tasks, &mut members]).await;
    let joined = join(&story, "ben", &invitation).await;
    assert!(joined.get("secret").is_none(), "the secret is written and never read: {joined}");
    tasks.shows("entity:created", &task).await;
    let member = members.event().await;
    assert_eq!(
        (&member["payload"]["person"], &member["payload"]["role"], &member["by"]),
        (&json!("ben"), &json!("member"), &json!("ben"))
    );
    // A second time changes nothing, and makes no owner a member.
    for who in ["ben", "ada"] {
        join(&story, who, &invitation).await;
    }
    story.nothing_came_to([&mut members]).await;
    assert_eq!(story.the_only("ada", "/api/members?person=ada").await["role"], "owner");
    // What one creates, the other sees, and the creator too.
    let mut of_ada = story.live("ada", "entity:Task").await;
    let made = story.make("ben", "/api/tasks", json!({"workspace": workspace, "title": "Deploy"})).await;
    for window in [&mut tasks, &mut of_ada] {
        window.shows("entity:created", &made).await;
    }
}

#[tokio::test]
async fn an_invitation_is_of_no_use_after_its_time_and_goes() {
    let clock = HandClock::at(NOON);
    let story = story_at("workspaces", &clock).await;
    let (workspace, lasting) = opened(&story).await;
    let past = json!({"workspace": workspace, "until": "2020-01-01T00:00:00Z"});
    story.may_not("ada", "POST", "/api/invitations", past, "FORBIDDEN").await;
    let own = json!({"workspace": workspace, "secret": "one-of-my-own"});
    story.may_not("ada", "POST", "/api/invitations", own, "VALIDATION_FAILED").await;
    let mut ada = story.live("ada", "entity:Invitation").await;
    // An author may end it at any time; what is deleted is no invitation.
    story.may("ada", "DELETE", &path(&lasting), Value::Null).await;
    ada.shows("entity:deleted", lasting["id"].as_str().unwrap()).await;
    story.may_not("ben", "GET", &link(&lasting), Value::Null, "NOT_FOUND").await;
    let late = with(&lasting, &lasting["secret"]);
    story.may_not("ben", "POST", "/api/joins", late, "UNKNOWN_REFERENCE").await;
    // One that runs out is deleted by the server, and by nobody.
    let next = Timestamp(NOON.0 + 1).rfc3339();
    let soon = story.make("ada", "/api/invitations", json!({"workspace": workspace, "until": next})).await;
    ada.shows("entity:created", &soon).await;
    clock.pass(Duration::from_millis(1));
    let gone = ada.shows("entity:deleted", &soon).await;
    assert!(gone.get("by").is_none_or(Value::is_null), "{gone}");
    assert_eq!(gone["cause"], "expired", "{gone}");
    assert!(story.sees("ada", "invitations").await.is_empty());
}

#[tokio::test]
async fn members_have_names_and_others_are_not_there() {
    let story = story("workspaces").await;
    let (workspace, invitation) = opened(&story).await;
    let elsewhere = story.make("dee", "/api/workspaces", json!({"name": "Elsewhere"})).await;
    join(&story, "ben", &invitation).await;
    for who in ["ada", "ben", "dee"] {
        story.may(who, "PATCH", &format!("/api/users/{who}"), json!({"name": who.to_uppercase()})).await;
    }
    let list = story.may("ben", "GET", "/api/members?expand=person", Value::Null).await;
    let names: BTreeSet<&str> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["expanded"]["person"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, BTreeSet::from(["ADA", "BEN"]));
    assert_eq!(story.sees("ben", "users").await, only("ben"), "nobody lists users");
    assert_eq!(story.sees("ben", "workspaces").await, only(&workspace));
    story.may_not("ben", "GET", &format!("/api/workspaces/{elsewhere}"), Value::Null, "NOT_FOUND").await;
    let forged = json!({"workspace": elsewhere, "person": "ben", "role": "owner"});
    story.may_not("ben", "POST", "/api/members", forged, "UNKNOWN_REFERENCE").await;
    let forged = json!({"workspace": workspace, "person": "dee"});
    story.may_not("ada", "POST", "/api/members", forged, "FORBIDDEN").await;
}

#[tokio::test]
async fn a_task_is_given_only_to_a_member_and_they_are_told() {
    let story = story("workspaces").await;
    let (workspace, invitation) = opened(&story).await;
    story.sees("dee", "tasks").await;
    join(&story, "ben", &invitation).await;
    let mut told = story.live("ben", "entity:Notification").await;
    let given = |to: &str| json!({"workspace": workspace, "title": "Review", "assignee": to});
    story.may_not("ada", "POST", "/api/tasks", given("dee"), "FORBIDDEN").await;
    let task = story.make("ada", "/api/tasks", given("ben")).await;
    let event = told.event().await;
    assert_eq!(
        (&event["payload"]["text"], &event["payload"]["task"]),
        (&json!("You now own Review"), &json!(task))
    );
    let path = format!("/api/tasks/{task}");
    story.may_not("ben", "PATCH", &path, json!({"assignee": "dee"}), "FORBIDDEN").await;
    story.may("ben", "PATCH", &path, json!({"done": true})).await;
    // Who is no longer there cannot be given anything, not even in the unit in which they left.
    let seat = story.the_only("ada", "/api/members?person=ben").await;
    let leave = json!({"op": "delete", "entity": "Member", "id": seat["id"]});
    let give = json!({"op": "create", "entity": "Task", "data": given("ben")});
    let batch = |ops: Value| json!({"atomic": true, "ops": ops});
    story.may_not("ada", "POST", "/api/batch", batch(json!([leave, give])), "FORBIDDEN").await;
    story.may("ada", "POST", "/api/batch", batch(json!([give, leave]))).await;
    story.may_not("ada", "POST", "/api/tasks", given("ben"), "FORBIDDEN").await;
    // What was theirs can still be worked on.
    story.may("ada", "PATCH", &path, json!({"title": "Review again"})).await;
    story.may_not("ada", "PATCH", &path, json!({"assignee": "ben"}), "FORBIDDEN").await;
}

#[tokio::test]
async fn who_leaves_sees_nothing_more_and_the_last_owner_cannot_leave() {
    let story = story("workspaces").await;
    let (workspace, invitation) = opened(&story).await;
    let task = story.make("ada", "/api/tasks", json!({"workspace": workspace, "title": "Review"})).await;
    join(&story, "ben", &invitation).await;
    let (mut ben, mut members) =
        (story.live("ben", "entity:Task").await, story.live("ben", "entity:Member").await);
    let [of_ada, of_ben] = ["ada", "ben"].map(|who| {
        let (story, path) = (&story, format!("/api/members?person={who}"));
        async move { story.the_only("ada", &path).await["id"].as_str().unwrap().to_owned() }
    });
    let (of_ada, of_ben) = (of_ada.await, of_ben.await);
    let seat = |id: &str| format!("/api/members/{id}");
    story.may_not("ben", "DELETE", &seat(&of_ada), Value::Null, "FORBIDDEN").await;
    story.may_not("ben", "PATCH", &seat(&of_ben), json!({"role": "owner"}), "FORBIDDEN").await;
    story.may_not("ada", "DELETE", &seat(&of_ada), Value::Null, "FORBIDDEN").await;
    story.may_not("ada", "PATCH", &seat(&of_ada), json!({"role": "member"}), "FORBIDDEN").await;
    story.may("ben", "DELETE", &seat(&of_ben), Value::Null).await;
    ben.loses(&task).await;
    story.may("ada", "PATCH", &format!("/api/tasks/{task}"), json!({"title": "Secret"})).await;
    story.nothing_came_to([&mut ben]).await;
    members.event().await;
    // With two owners one may go.
    join(&story, "ben", &invitation).await;
    let again = story.the_only("ada", "/api/members?person=ben").await["id"].as_str().unwrap().to_owned();
    story.may("ada", "PATCH", &seat(&again), json!({"role": "owner"})).await;
    story.may("ada", "DELETE", &seat(&of_ada), Value::Null).await;
    story.may_not("ada", "GET", &format!("/api/workspaces/{workspace}"), Value::Null, "NOT_FOUND").await;
    story.may_not("ben", "DELETE", &seat(&again), Value::Null, "FORBIDDEN").await;
    story.may("ben", "DELETE", &format!("/api/workspaces/{workspace}"), Value::Null).await;
}
