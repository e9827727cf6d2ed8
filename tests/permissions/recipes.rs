//! One story a recipe: who may and who may not, and what live windows are shown.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tidewire::ids::Timestamp;

use super::page::{Story, recipes};
use crate::support::clock::HandClock;

fn only(id: &str) -> BTreeSet<String> {
    BTreeSet::from([id.to_owned()])
}

#[test]
fn every_recipe_of_the_page_has_a_story() {
    let stories = include_str!("recipes.rs");
    for recipe in recipes().into_iter().filter(|recipe| *recipe != "People") {
        assert!(stories.contains(&format!("\"{recipe}\"")), "no story of {recipe}");
    }
}

#[tokio::test]
async fn an_owner_has_the_records_to_themselves() {
    let story = Story::of(&["Owner"]).await;
    let (mut ada, mut ben) = (story.live("ada", "entity:Note").await, story.live("ben", "entity:Note").await);
    let id = story.make("ada", "/api/notes", json!({"text": "Paint"})).await;
    let path = format!("/api/notes/{id}");
    ada.shows("entity:created", &id).await;
    assert_eq!(
        (story.sees("ada", "notes").await, story.sees("ben", "notes").await),
        (only(&id), BTreeSet::new())
    );
    for (method, body) in [("GET", json!(null)), ("PATCH", json!({"text": "x"})), ("DELETE", json!(null))] {
        story.may_not("ben", method, &path, body, "NOT_FOUND").await;
    }
    story.may_not("nobody", "GET", &path, json!(null), "UNKNOWN_ENTITY").await;
    story.may_not("ada", "PATCH", &path, json!({"owner": "ben"}), "VALIDATION_FAILED").await;
    story.may("ada", "PATCH", &path, json!({"text": "Brushes"})).await;
    ada.shows("entity:updated", &id).await;
    story.may("ada", "DELETE", &path, json!(null)).await;
    ada.shows("entity:deleted", &id).await;
    ben.is_quiet().await;
}

#[tokio::test]
async fn access_to_a_team_follows_its_memberships() {
    let story = Story::of(&["Team"]).await;
    let project = story.make("ada", "/api/projects", json!({"name": "Harbour"})).await;
    let task = story.make("ada", "/api/tasks", json!({"title": "Paint", "project": project})).await;
    let mut ben = story.live("ben", "entity:Task").await;
    assert!(story.sees("ben", "tasks").await.is_empty());
    let join = json!({"person": "ben", "project": project, "role": "member"});
    // A project that one may not see is no project.
    story.may_not("ben", "POST", "/api/memberships", join.clone(), "UNKNOWN_REFERENCE").await;
    let membership = story.make("ada", "/api/memberships", join).await;
    ben.shows("entity:created", &task).await;
    assert_eq!(story.sees("ben", "tasks").await, only(&task));
    let path = format!("/api/tasks/{task}");
    story.may_not("ben", "PATCH", &path, json!({"title": "x"}), "FORBIDDEN").await;
    let seat = format!("/api/memberships/{membership}");
    story.may_not("ben", "PATCH", &seat, json!({"role": "editor"}), "FORBIDDEN").await;
    story.may("ada", "PATCH", &seat, json!({"role": "editor"})).await;
    story.may("ben", "PATCH", &path, json!({"title": "Paint the pier"})).await;
    ben.shows("entity:updated", &task).await;
    story.may_not("ben", "DELETE", &path, json!(null), "FORBIDDEN").await;
    // The owner of another project cannot take the membership over there, nor the editor the task.
    let other = story.make("cy", "/api/projects", json!({"name": "Lighthouse"})).await;
    story.may_not("cy", "PATCH", &seat, json!({"project": other}), "NOT_FOUND").await;
    story.may_not("ben", "PATCH", &path, json!({"project": other}), "UNKNOWN_REFERENCE").await;
    story.may("ada", "DELETE", &seat, json!(null)).await;
    ben.loses(&task).await;
    story.may("ada", "PATCH", &path, json!({"title": "Secret"})).await;
    ben.is_quiet().await;
    story.may_not("ben", "GET", &path, json!(null), "NOT_FOUND").await;
}

#[tokio::test]
async fn a_member_may_leave_and_an_owner_cannot_move_a_seat_elsewhere() {
    let story = Story::of(&["Team"]).await;
    let project = story.make("ada", "/api/projects", json!({"name": "Harbour"})).await;
    let other = story.make("cy", "/api/projects", json!({"name": "Lighthouse"})).await;
    // A user is known from the first request on.
    assert!(story.sees("ben", "projects").await.is_empty());
    let seat = json!({"person": "ben", "project": project});
    let seat = story.make("ada", "/api/memberships", seat).await;
    let path = format!("/api/memberships/{seat}");
    story.may_not("ada", "PATCH", &path, json!({"project": other}), "UNKNOWN_REFERENCE").await;
    story.may("ben", "DELETE", &path, json!(null)).await;
    assert!(story.sees("ben", "projects").await.is_empty());
}

#[tokio::test]
async fn a_role_opens_drafts_and_only_editors_publish() {
    let story = Story::of(&["Roles"]).await;
    let mut reader = story.live("nobody", "entity:Article").await;
    story.may_not("ada", "POST", "/api/articles", json!({"title": "Tides"}), "FORBIDDEN").await;
    let id = story.make("wes:writer", "/api/articles", json!({"title": "Tides"})).await;
    let path = format!("/api/articles/{id}");
    story.may_not("nobody", "GET", &path, json!(null), "NOT_FOUND").await;
    story.may_not("wes:writer", "PATCH", &path, json!({"status": "published"}), "FORBIDDEN").await;
    story.may("wes:writer", "PATCH", &path, json!({"title": "High tides"})).await;
    reader.is_quiet().await;
    story.may("ed:editor", "PATCH", &path, json!({"status": "published"})).await;
    assert_eq!(reader.shows("entity:created", &id).await["cause"], "entered");
    assert_eq!(story.sees("nobody", "articles").await, only(&id));
    story.may_not("wes:writer", "PATCH", &path, json!({"title": "x"}), "FORBIDDEN").await;
    story.may("ed:editor", "PATCH", &path, json!({"status": "draft"})).await;
    reader.loses(&id).await;
    story.may("ed:editor", "DELETE", &path, json!(null)).await;
    reader.is_quiet().await;
}

#[tokio::test]
async fn everyone_reads_public_records_and_only_the_author_writes() {
    let story = Story::of(&["Public read"]).await;
    let mut visitor = story.live("nobody", "entity:Post").await;
    story.may_not("nobody", "POST", "/api/posts", json!({"text": "x"}), "FORBIDDEN").await;
    let id = story.make("ada", "/api/posts", json!({"text": "Hello"})).await;
    let path = format!("/api/posts/{id}");
    assert_eq!(visitor.shows("entity:created", &id).await["payload"]["author"], "ada");
    for who in ["nobody", "ben", "root:admin"] {
        assert_eq!(story.sees(who, "posts").await, only(&id));
        story.may_not(who, "PATCH", &path, json!({"text": "x"}), "FORBIDDEN").await;
    }
    story.may("ada", "DELETE", &path, json!(null)).await;
    visitor.shows("entity:deleted", &id).await;
}

#[tokio::test]
async fn single_fields_are_shown_only_to_allowed_users() {
    let story = Story::of(&["Single fields"]).await;
    // A caller is known from then on, and can be referred to.
    story.sees("ada", "employees").await;
    let (mut ada, mut ben) =
        (story.live("ada", "entity:Employee").await, story.live("ben", "entity:Employee").await);
    let of_ada = json!({"name": "Ada", "person": "ada", "salary": 70, "pin": "1234"});
    let id = story.make("hal:hr", "/api/employees", of_ada).await;
    let path = format!("/api/employees/{id}");
    for (live, salary) in [(&mut ada, json!(70)), (&mut ben, json!(null))] {
        let shown = live.shows("entity:created", &id).await;
        assert_eq!((&shown["payload"]["salary"], shown["payload"].get("pin")), (&salary, None));
    }
    for (who, salary) in [("ada", Some(json!(70))), ("hal:hr", Some(json!(70))), ("ben", None)] {
        let record = story.may(who, "GET", &path, json!(null)).await;
        assert_eq!((record.get("salary"), record.get("pin")), (salary.as_ref(), None), "{who}");
    }
    // Filtering finds what the user sees, and reveals nothing of the rest.
    for (who, found) in [("ada", 1), ("hal:hr", 1), ("ben", 0)] {
        let list = story.may(who, "GET", "/api/employees?salary[gte]=60", json!(null)).await;
        assert_eq!(list["items"].as_array().unwrap().len(), found, "{who}");
    }
    story.may("ada", "PATCH", &path, json!({"pin": "4321"})).await;
    story.may_not("ada", "PATCH", &path, json!({"salary": 99}), "FORBIDDEN").await;
    let raised = story.may("hal:hr", "PATCH", &path, json!({"salary": 80})).await;
    assert_eq!(raised["salary"], 80);
    let shown = loop {
        let event = ben.shows("entity:updated", &id).await;
        if event["payload"]["version"] == raised["version"] {
            break event;
        }
    };
    assert_eq!((shown["payload"].get("salary"), &shown["changed"]), (None, &json!([])), "{shown}");
}

#[tokio::test]
async fn protected_fields_need_more_than_the_right_to_update() {
    let story = Story::of(&["Protected fields"]).await;
    story.may_not("ada", "POST", "/api/requests", json!({"text": "x", "approved": true}), "FORBIDDEN").await;
    let id = story.make("ada", "/api/requests", json!({"text": "A boat"})).await;
    let path = format!("/api/requests/{id}");
    story.may_not("ada", "PATCH", &path, json!({"approved": true}), "FORBIDDEN").await;
    story.may("ada", "PUT", &path, json!({"text": "Two boats", "approved": false})).await;
    story.may_not("ada", "PUT", &path, json!({"text": "Two boats", "approved": true}), "FORBIDDEN").await;
    let mut ada = story.live("ada", "entity:Request").await;
    story.may("lea:lead", "PATCH", &path, json!({"approved": true})).await;
    assert_eq!(ada.shows("entity:updated", &id).await["changed"], json!(["approved"]));
    story.may_not("ada", "PATCH", &path, json!({"text": "Ten boats"}), "FORBIDDEN").await;
    story.may_not("ada", "DELETE", &path, json!(null), "FORBIDDEN").await;
    story.may_not("ben", "DELETE", &path, json!(null), "NOT_FOUND").await;
}

#[tokio::test]
async fn comments_follow_their_task_from_project_to_project() {
    let story = Story::of(&["Team", "Nested parents"]).await;
    let [harbour, tower] =
        ["Harbour", "Tower"].map(|name| story.make("ada", "/api/projects", json!({"name": name})));
    let (harbour, tower) = (harbour.await, tower.await);
    let seat = |person: &str, project: &str| json!({"person": person, "project": project, "role": "editor"});
    for (person, project) in [("ben", &harbour), ("cy", &tower)] {
        story.live(person, "entity:Comment").await;
        story.make("ada", "/api/memberships", seat(person, project)).await;
    }
    let task = story.make("ada", "/api/tasks", json!({"title": "Paint", "project": harbour})).await;
    let (mut ben, mut cy) =
        (story.live("ben", "entity:Comment").await, story.live("cy", "entity:Comment").await);
    let body = json!({"body": "Two coats", "task": task});
    story.may_not("cy", "POST", "/api/comments", body.clone(), "UNKNOWN_REFERENCE").await;
    let comment = story.make("ben", "/api/comments", body).await;
    assert_eq!(ben.shows("entity:created", &comment).await["payload"]["project"], json!(harbour));
    cy.is_quiet().await;
    let path = format!("/api/comments/{comment}");
    story.may_not("ada", "PATCH", &path, json!({"body": "x"}), "FORBIDDEN").await;
    story.may("ada", "PATCH", &format!("/api/tasks/{task}"), json!({"project": tower})).await;
    ben.loses(&comment).await;
    cy.shows("entity:created", &comment).await;
    assert_eq!(
        (story.sees("ben", "comments").await, story.sees("cy", "comments").await),
        (BTreeSet::new(), only(&comment))
    );
    story.may_not("ben", "PATCH", &path, json!({"body": "mine"}), "NOT_FOUND").await;
    story.may("ada", "DELETE", &path, json!(null)).await;
    cy.shows("entity:deleted", &comment).await;
}

#[tokio::test]
async fn only_an_admin_makes_admins_and_everyone_may_change_their_name() {
    let story = Story::of(&["Admin"]).await;
    story.sees("ben", "users").await;
    let mut ben = story.live("ben", "entity:User:ada").await;
    let path = "/api/users/ada";
    story.may("ada", "PATCH", path, json!({"name": "Ada", "email": "ada@tide.example"})).await;
    // The subscription began before there was an ada.
    let created = ben.event().await;
    assert!(created["payload"].get("email").is_none(), "{created}");
    for (field, value) in [("role", json!("admin")), ("disabled", json!(true))] {
        story.may_not("ada", "PATCH", path, json!({field: value}), "FORBIDDEN").await;
    }
    story.may_not("ben", "PATCH", path, json!({"name": "x"}), "FORBIDDEN").await;
    for (who, email) in [("ada", true), ("ben", false), ("root:admin", true)] {
        let shown = story.may(who, "GET", path, json!(null)).await;
        assert_eq!(shown.get("email").is_some(), email, "{who}");
    }
    story.may("root:admin", "PATCH", path, json!({"role": "admin"})).await;
    story.may("ada", "PATCH", "/api/users/ben", json!({"name": "Benno"})).await;
    story.may_not("nobody", "GET", path, json!(null), "UNKNOWN_ENTITY").await;
}

#[tokio::test]
async fn a_letter_box_accepts_records_from_everyone_and_shows_none() {
    let story = Story::of(&["A contact form"]).await;
    let mut support = story.live("sue:support", "entity:Message").await;
    let text = "It leaks";
    let answer = story.may("nobody", "POST", "/api/messages", json!({ "text": text })).await;
    assert!(answer.get("text").is_none(), "{answer}");
    let shown = support.event().await;
    assert_eq!((&shown["type"], &shown["payload"]["text"]), (&json!("entity:created"), &json!(text)));
    let id = shown["payload"]["id"].as_str().unwrap();
    let path = format!("/api/messages/{id}");
    for who in ["nobody", "ada"] {
        story.may_not(who, "GET", &path, json!(null), "UNKNOWN_ENTITY").await;
        story.may_not(who, "GET", "/api/messages", json!(null), "UNKNOWN_ENTITY").await;
        story.may_not(who, "DELETE", &path, json!(null), "UNKNOWN_ENTITY").await;
    }
    story.may_not("sue:support", "PATCH", &path, json!({"text": "x"}), "FORBIDDEN").await;
    story.may("sue:support", "DELETE", &path, json!(null)).await;
}

#[tokio::test]
async fn a_list_in_the_record_shares_it() {
    let story = Story::of(&["Shared by a list"]).await;
    let mut ben = story.live("ben", "entity:Document").await;
    let id = story.make("ada", "/api/documents", json!({"title": "Plans"})).await;
    let path = format!("/api/documents/{id}");
    ben.is_quiet().await;
    story.may("ada", "PATCH", &path, json!({"members": ["ben"]})).await;
    assert_eq!(ben.shows("entity:created", &id).await["cause"], "entered");
    story.may("ben", "PATCH", &path, json!({"title": "Good plans"})).await;
    ben.shows("entity:updated", &id).await;
    story.may_not("ben", "PATCH", &path, json!({"members": ["ben", "cy"]}), "FORBIDDEN").await;
    story.may_not("ben", "DELETE", &path, json!(null), "FORBIDDEN").await;
    story.may("ada", "PATCH", &path, json!({"members": ["cy"]})).await;
    ben.loses(&id).await;
    assert_eq!(
        (story.sees("ben", "documents").await, story.sees("cy", "documents").await),
        (BTreeSet::new(), only(&id))
    );
}

#[tokio::test]
async fn members_are_listed_with_their_names_and_users_are_not_listed() {
    let story = Story::of(&["A list of members with names"]).await;
    for who in ["ada", "ben"] {
        story.make(who, "/api/memberships", json!({})).await;
        story.may(who, "PATCH", &format!("/api/users/{who}"), json!({"name": who.to_uppercase()})).await;
    }
    story.may_not("ada", "POST", "/api/memberships", json!({"person": "ben"}), "FORBIDDEN").await;
    let members = story.may("cyd", "GET", "/api/memberships?expand=person", json!(null)).await;
    let names: BTreeSet<&str> = members["items"].as_array().unwrap().iter().map(name_of).collect();
    assert_eq!(names, BTreeSet::from(["ADA", "BEN"]));
    assert_eq!(story.sees("cyd", "users").await, only("cyd"));
    assert_eq!(story.may("cyd", "GET", "/api/users/ada", json!(null)).await["name"], "ADA");
    story.may_not("nobody", "GET", "/api/users/ada", json!(null), "UNKNOWN_ENTITY").await;
}

#[tokio::test]
async fn who_has_the_link_joins_until_it_ends() {
    let clock = HandClock::at(Timestamp(1_795_600_800_000));
    let story = Story::timed(&["Team", "Joining by a link"], clock.env()).await;
    let project = story.make("ada", "/api/projects", json!({"name": "Harbour"})).await;
    let task = story.make("ada", "/api/tasks", json!({"title": "Paint", "project": project})).await;
    let invite = || story.may("ada", "POST", "/api/invitations", json!({"project": project}));
    let invitation = invite().await;
    let (id, secret) = (invitation["id"].as_str().unwrap(), invitation["secret"].as_str().unwrap());
    assert_eq!(story.sees("ada", "invitations").await, only(id));
    // Only who sees the project invites to it.
    story.may_not("ben", "POST", "/api/invitations", json!({"project": project}), "UNKNOWN_REFERENCE").await;
    story
        .may_not(
            "ada",
            "PATCH",
            &format!("/api/invitations/{id}"),
            json!({"until": null}),
            "VALIDATION_FAILED",
        )
        .await;

    let mut ben = story.live("ben", "entity:Task").await;
    let link = format!("/api/invitations/by/secret/{secret}");
    for visitor in ["ben", "nobody"] {
        assert!(story.sees(visitor, "invitations").await.is_empty());
        let shown = story.may(visitor, "GET", &link, json!(null)).await;
        assert_eq!((&shown["id"], shown.get("secret")), (&json!(id), None));
    }
    story.may_not("ben", "GET", "/api/invitations/by/secret/another", json!(null), "NOT_FOUND").await;
    let join = |secret: &str| json!({"invitation": id, "secret": secret});
    for wrong in ["another", &secret[..31], &secret.to_lowercase(), ""] {
        story.may_not("ben", "POST", "/api/joins", join(wrong), "FORBIDDEN").await;
    }
    story.may_not("nobody", "POST", "/api/joins", join(secret), "VALIDATION_FAILED").await;
    let as_another = json!({"invitation": id, "secret": secret, "person": "cy"});
    story.may_not("ben", "POST", "/api/joins", as_another, "VALIDATION_FAILED").await;
    ben.is_quiet().await;
    let joined = story.may("ben", "POST", "/api/joins", join(secret)).await;
    assert_eq!(joined.as_object().unwrap().len(), 1, "nothing but the id: {joined}");
    ben.shows("entity:created", &task).await;
    let seats = story.sees("ben", "memberships").await;
    assert_eq!((seats.len(), story.sees("ada", "memberships").await), (1, seats.clone()));
    // To join again changes nothing, the role that one has by now included.
    let seat = format!("/api/memberships/{}", seats.first().unwrap());
    story.may("ada", "PATCH", &seat, json!({"role": "editor"})).await;
    story.may("ben", "POST", "/api/joins", join(secret)).await;
    assert_eq!(story.may("ben", "GET", &seat, json!(null)).await["role"], "editor");
    story.may_not("ben", "GET", "/api/joins", json!(null), "UNKNOWN_ENTITY").await;
    story
        .may_not(
            "ada",
            "GET",
            &format!("/api/joins/{}", joined["id"].as_str().unwrap()),
            json!(null),
            "UNKNOWN_ENTITY",
        )
        .await;

    // After a week, and after its author took it back, it opens nothing.
    clock.pass(Duration::from_secs(7 * 86_400));
    story.may_not("cy", "POST", "/api/joins", join(secret), "FORBIDDEN").await;
    let second = invite().await;
    let second_id = second["id"].as_str().unwrap();
    story.may_not("ben", "DELETE", &format!("/api/invitations/{second_id}"), json!(null), "FORBIDDEN").await;
    story.may("ada", "DELETE", &format!("/api/invitations/{second_id}"), json!(null)).await;
    let late = json!({"invitation": second_id, "secret": second["secret"]});
    story.may_not("cy", "POST", "/api/joins", late, "UNKNOWN_REFERENCE").await;
    assert!(story.sees("cy", "memberships").await.is_empty());
    assert_eq!(story.sees("ben", "memberships").await, seats);
}

fn name_of(member: &serde_json::Value) -> &str {
    member["expanded"]["person"]["name"].as_str().unwrap()
}

/// `recipes` performs it over sockets and with two passes at once.
#[tokio::test]
async fn only_the_holder_of_the_ring_writes_and_passes_it() {
    let story = Story::of(&["One writer at a time"]).await;
    let id = story.make("ada", "/api/scripts", json!({"title": "A play"})).await;
    let path = format!("/api/scripts/{id}");
    let mut ben = story.live("ben", "entity:Script").await;
    story.may_not("ben", "PATCH", &path, json!({"holder": "ben"}), "FORBIDDEN").await;
    story.may("ada", "PATCH", &path, json!({"holder": "ben"})).await;
    ben.shows("entity:updated", &id).await;
    story.may_not("ada", "PATCH", &path, json!({"body": "too late"}), "FORBIDDEN").await;
    story.may("ben", "PATCH", &path, json!({"body": "Curtain"})).await;
}

/// The same: `recipes` has the messages and the count.
#[tokio::test]
async fn an_inbox_is_for_its_user() {
    let story = Story::of(&["Notifications"]).await;
    let text = json!({"to": "ada", "text": "Ben mentioned you"});
    let mut ada = story.live("ada", "entity:Notification?seen=false").await;
    story.may_not("ben", "POST", "/api/notifications", text.clone(), "FORBIDDEN").await;
    let id = story.make("root:admin", "/api/notifications", text).await;
    ada.shows("entity:created", &id).await;
    let path = format!("/api/notifications/{id}");
    story.may_not("ben", "GET", &path, json!(null), "NOT_FOUND").await;
    story.may_not("ada", "PATCH", &path, json!({"text": "x"}), "FORBIDDEN").await;
    story.may("ada", "PATCH", &path, json!({"seen": true})).await;
    ada.shows("entity:deleted", &id).await;
}
