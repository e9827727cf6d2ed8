//! What the five systems share beyond their rules: what happened while a user was away, long lists from their end, numbers that
//! the server gives, changes of many, texts in one form, records that end by themselves.

use std::time::Duration;

use serde_json::{Value, json};
use tidewire::ids::Timestamp;

use super::{story, story_at};
use crate::support::clock::HandClock;
use crate::support::socket::Socket;
use crate::support::story::Story;
use crate::support::studio::NOON;

/// The entries of the activity that a user gets who comes now, newest first.
async fn happened(story: &Story, who: &str, query: &str) -> Vec<Value> {
    let page = story.may(who, "GET", &format!("/api/activity?limit=50{query}"), Value::Null).await;
    page["items"].as_array().unwrap().clone()
}

/// The rows of a snapshot up to its close.
async fn rows(socket: &mut Socket) -> Vec<Value> {
    let mut rows = Vec::new();
    loop {
        let frame = socket.frame().await;
        match frame["type"].as_str() {
            Some("snapshot") => rows.extend(frame["payload"]["rows"].as_array().unwrap().iter().cloned()),
            Some("pong") => return rows,
            _ => panic!("no part of a snapshot: {frame}"),
        }
    }
}

#[tokio::test]
async fn a_chat_opens_with_its_newest_messages_and_goes_on() {
    let story = story("board").await;
    let board = story.make("ada", "/api/boards", json!({"name": "Demo"})).await;
    let mut said = Vec::new();
    for n in 0..12 {
        let message = json!({"board": board, "text": format!("message {n}")});
        said.push(story.make("ben", "/api/messages", message).await);
    }
    let channel = format!("entity:Message?board={board}");
    let newest = json!({"snapshot": true, "sort": "-created_at", "limit": 5});
    let mut window = story.window("cy").await;
    let subscribed = window.subscribe(&channel, newest.clone()).await;
    assert_eq!(subscribed["payload"]["limited"], true, "{subscribed}");
    let shown: Vec<Value> = rows(&mut window).await.into_iter().map(|row| row["id"].clone()).collect();
    let last: Vec<Value> = said.iter().rev().take(5).map(|id| json!(id)).collect();
    assert_eq!(shown, last, "five of twelve, the newest first");
    let next = json!({"board": board, "text": "Hello"});
    let next = story.make("ada", "/api/messages", next).await;
    assert_eq!(window.expect("entity:created").await["payload"]["id"], json!(next));
    // What is older than the window is followed, too: its author takes it back.
    story.may("ben", "DELETE", &format!("/api/messages/{}", said[0]), Value::Null).await;
    assert_eq!(window.expect("entity:deleted").await["payload"]["id"], json!(said[0]));
}

#[tokio::test]
async fn the_cards_of_a_board_have_numbers_and_a_column_is_cleared_at_once() {
    let story = story("board").await;
    let [demo, other] = ["Demo", "Other"].map(|name| json!({ "name": name }));
    let demo = story.make("ada", "/api/boards", demo).await;
    let other = story.make("dee", "/api/boards", other).await;
    for (who, board, title, number) in [
        ("ada", &demo, "  Paint the pier ", 1),
        ("ben", &demo, "Polish the lamp", 2),
        ("dee", &other, "Count the boats", 1),
        ("ben", &demo, "Paint the shed", 3),
    ] {
        let card = story.may(who, "POST", "/api/cards", json!({"board": board, "title": title})).await;
        assert_eq!((&card["number"], &card["title"]), (&json!(number), &json!(title.trim())));
    }
    let own = json!({"board": demo, "title": "x", "number": 7});
    story.may_not("ada", "POST", "/api/cards", own, "VALIDATION_FAILED").await;
    let mut window = story.live("cy", &format!("entity:Card?board={demo}&column=done")).await;
    let ended = format!("/api/cards?board={demo}&title[ends]=pier");
    let done = story.may("ada", "PATCH", &ended, json!({"column": "done"})).await;
    assert_eq!((&done["changed"], &done["refused"]), (&json!(1), &json!(0)), "{done}");
    window.event().await;
    story
        .may("cy", "PATCH", &format!("/api/cards?board={demo}&number[gte]=2"), json!({"column": "done"}))
        .await;
    // Ben's own two go. Ada's stays: he is neither its author nor the owner of the board.
    let path = format!("/api/cards?board={demo}&column=done");
    let cleared = story.may("ben", "DELETE", &path, Value::Null).await;
    assert_eq!((&cleared["changed"], &cleared["refused"]), (&json!(2), &json!(1)), "{cleared}");
    let cleared = story.may("ada", "DELETE", &path, Value::Null).await;
    assert_eq!(cleared["changed"], 1, "{cleared}");
    assert_eq!(story.sees("ada", "cards").await.len(), 1, "the one of the other board");
    let card = story.may("ada", "POST", "/api/cards", json!({"board": demo, "title": "Rest"})).await;
    assert_eq!(card["number"], 4, "no number is given twice");
}

#[tokio::test]
async fn segments_have_positions_and_the_author_throws_them_away_together() {
    let story = story("drafts").await;
    story.sees("ben", "drafts").await;
    let draft = story.make("ada", "/api/drafts", json!({"title": "Tides"})).await;
    story.make("ada", "/api/collaborators", json!({"draft": draft, "person": "ben"})).await;
    let segment = |text: &str| json!({"draft": draft, "text": text});
    let (one, two) = (story.client("ada"), story.client("ada"));
    let (one, two) = tokio::join!(
        one.any("POST", "/api/segments", segment("The sea was calm.")),
        two.any("POST", "/api/segments", segment("It was early.")),
    );
    let mut positions = [one.1["position"].as_i64(), two.1["position"].as_i64()];
    positions.sort_unstable();
    assert_eq!(positions, [Some(1), Some(2)], "two at once");
    story.may("ada", "PATCH", &format!("/api/drafts/{draft}"), json!({"holder": "ben"})).await;
    assert_eq!(story.may("ben", "POST", "/api/segments", segment("Then it rained.")).await["position"], 3);
    let listed =
        story.may("ben", "GET", &format!("/api/segments?draft={draft}&sort=position"), Value::Null).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 3);
    let all = format!("/api/segments?draft={draft}");
    let gone = story.may("ben", "DELETE", &all, Value::Null).await;
    assert_eq!((&gone["changed"], &gone["refused"]), (&json!(1), &json!(2)), "his own: {gone}");
    let gone = story.may("ada", "DELETE", &all, Value::Null).await;
    assert_eq!((&gone["changed"], &gone["next"]), (&json!(2), &Value::Null), "{gone}");
}

#[tokio::test]
async fn who_joins_late_is_shown_what_happened_and_nothing_that_is_hidden_from_them() {
    let story = story("tenants").await;
    let harbour = story.make("ada", "/api/organisations", json!({"name": "Harbour"})).await;
    let board = story.make("ada", "/api/boards", json!({"organisation": harbour, "name": "Pier"})).await;
    let card = story.make("ada", "/api/cards", json!({"board": board, "title": "Paint"})).await;
    story.may("ada", "PATCH", &format!("/api/cards/{card}"), json!({"column": "done"})).await;
    story.sees("ben", "organisations").await;
    let of_harbour = |entries: &[Value]| {
        let entities = entries.iter().map(|entry| entry["entity"].as_str().unwrap().to_owned());
        entities.filter(|entity| entity != "User").collect::<Vec<_>>()
    };
    assert_eq!(
        of_harbour(&happened(&story, "ben", "").await),
        Vec::<String>::new(),
        "no member, no activity"
    );
    let member = json!({"organisation": harbour, "person": "ben"});
    story.make("ada", "/api/members", member).await;
    let entries = happened(&story, "ben", "&entity=Board,Card").await;
    let told = |entry: &Value| {
        ["op", "entity", "label", "by"].map(|key| entry[key].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(
        entries.iter().map(told).collect::<Vec<_>>(),
        [
            ["update", "Card", "Paint", "ada"],
            ["create", "Card", "Paint", "ada"],
            ["create", "Board", "Pier", "ada"]
        ]
    );
    assert_eq!(entries[0]["changed"], json!(["column"]), "names of fields and no values");
    assert!(entries[0].get("payload").is_none() && !json!(entries).to_string().contains("done"));
    // The audit trail is no activity, not even for owners.
    story.may_not("ada", "GET", "/api/activity?entity=Audit", Value::Null, "UNKNOWN_ENTITY").await;
    assert!(!of_harbour(&happened(&story, "ada", "").await).contains(&"Audit".to_owned()));

    let mut window = story.window("ben").await;
    let begun = window.subscribe("activity", json!({"snapshot": true, "limit": 50})).await;
    assert_eq!(begun["payload"]["limited"], true, "{begun}");
    let page = rows(&mut window).await;
    assert_eq!(page, happened(&story, "ben", "").await, "the channel begins with the page");
    story.make("ada", "/api/cards", json!({"board": board, "title": "Polish"})).await;
    let next = window.expect("activity").await;
    assert_eq!((&next["payload"]["label"], &next["payload"]["op"]), (&json!("Polish"), &json!("create")));
}

#[tokio::test]
async fn a_name_is_taken_in_any_case_and_with_spaces_around_it() {
    let tenants = story("tenants").await;
    let harbour = tenants.make("ada", "/api/organisations", json!({"name": "Harbour"})).await;
    let tower = tenants.make("dee", "/api/organisations", json!({"name": "Tower"})).await;
    let board = |organisation: &str, name: &str| json!({"organisation": organisation, "name": name});
    let made = tenants.may("ada", "POST", "/api/boards", board(&harbour, " Caf\u{e9} ")).await;
    assert_eq!(made["name"], "Caf\u{e9}");
    for name in ["CAF\u{c9}", " cafe\u{301}", "Caf\u{e9}"] {
        tenants.may_not("ada", "POST", "/api/boards", board(&harbour, name), "NOT_UNIQUE").await;
    }
    tenants.may("dee", "POST", "/api/boards", board(&tower, "caf\u{e9}")).await;

    let workspaces = story("workspaces").await;
    let made =
        workspaces.may("ada", "POST", "/api/workspaces", json!({"name": "Team", "slug": "North-Pier"})).await;
    let again = json!({"name": "Other", "slug": "north-pier"});
    workspaces.may_not("dee", "POST", "/api/workspaces", again, "NOT_UNIQUE").await;
    let by = "/api/workspaces/by/slug/NORTH-PIER";
    assert_eq!(workspaces.may("ada", "GET", by, Value::Null).await["id"], made["id"]);
    workspaces.may_not("dee", "GET", by, Value::Null, "NOT_FOUND").await;
}

#[tokio::test]
async fn notifications_are_kept_or_thrown_away_together_and_end_by_themselves() {
    let clock = HandClock::at(NOON);
    let story = story_at("tasks", &clock).await;
    for who in ["ada", "ben"] {
        story.sees(who, "tasks").await;
    }
    let titles = ["Paint the pier", "Paint the shed", " Polish the lamp "];
    for title in titles {
        story.make("ada", "/api/tasks", json!({"title": title, "assignee": "ben"})).await;
    }
    let mut ben = story.live("ben", "entity:Notification").await;
    let soon = Timestamp(NOON.0 + 1).rfc3339();
    let kept = story.may("ben", "PATCH", "/api/notifications?text[ends]=lamp", json!({"until": soon})).await;
    assert_eq!((&kept["changed"], &kept["refused"]), (&json!(1), &json!(0)), "{kept}");
    let id = ben.event().await["payload"]["id"].as_str().unwrap().to_owned();
    // They tell one person, and are no activity.
    story.may_not("ben", "GET", "/api/activity?entity=Notification", Value::Null, "UNKNOWN_ENTITY").await;
    let gone = story.may("ben", "DELETE", "/api/notifications?text[contains]=Paint", Value::Null).await;
    assert_eq!(gone["changed"], 2, "{gone}");
    for _ in 0..2 {
        ben.event().await;
    }
    clock.pass(Duration::from_millis(1));
    let gone = ben.shows("entity:deleted", &id).await;
    assert_eq!(gone["cause"], "expired", "{gone}");
    assert!(story.sees("ben", "notifications").await.is_empty());
}
