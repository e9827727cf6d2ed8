//! The board of source 000: cards and a chat, to which everyone with a name comes. What one does, the others see at once;
//! what happens on one board does not reach another.

use serde_json::{Value, json};

use super::{only, story};
use crate::support::story::Story;

async fn board(story: &Story, who: &str, name: &str) -> String {
    story.make(who, "/api/boards", json!({ "name": name })).await
}

fn cards(board: &str) -> String {
    format!("entity:Card?board={board}")
}

fn chat(board: &str) -> String {
    format!("entity:Message?board={board}")
}

#[tokio::test]
async fn what_one_does_every_window_of_the_board_shows_and_no_other() {
    let story = story("board").await;
    let demo = board(&story, "ada", "Demo").await;
    let other = board(&story, "dee", "Other").await;
    let mut windows = [story.live("ada", &cards(&demo)).await, story.live("ben", &cards(&demo)).await];
    let mut chats = [story.live("ada", &chat(&demo)).await, story.live("cy", &chat(&demo)).await];
    let (mut elsewhere, mut elsewhere_chat) =
        (story.live("dee", &cards(&other)).await, story.live("dee", &chat(&other)).await);

    let card = story.make("ben", "/api/cards", json!({"board": demo, "title": "Paint the pier"})).await;
    for window in &mut windows {
        let event = window.shows("entity:created", &card).await;
        assert_eq!(
            (&event["payload"]["column"], &event["payload"]["author"], &event["by"]),
            (&json!("todo"), &json!("ben"), &json!("ben"))
        );
    }
    story.may("cy", "PATCH", &format!("/api/cards/{card}"), json!({"column": "doing"})).await;
    for window in &mut windows {
        let event = window.shows("entity:updated", &card).await;
        assert_eq!((&event["by"], &event["changed"]), (&json!("cy"), &json!(["column"])));
    }
    let said = story.make("cy", "/api/messages", json!({"board": demo, "text": "Which colour?"})).await;
    for window in &mut chats {
        assert_eq!(window.shows("entity:created", &said).await["payload"]["author"], "cy");
    }
    story.may("ben", "DELETE", &format!("/api/cards/{card}"), Value::Null).await;
    for window in &mut windows {
        window.shows("entity:deleted", &card).await;
    }
    let [first, second] = &mut windows;
    story.nothing_came_to([&mut elsewhere, &mut elsewhere_chat, first, second]).await;
    assert_eq!(story.sees("dee", "boards").await.len(), 2, "each board opens for everyone");
}

#[tokio::test]
async fn without_a_name_there_is_no_board_and_no_channel() {
    let story = story("board").await;
    let demo = board(&story, "ada", "Demo").await;
    for plural in ["boards", "cards", "messages", "users"] {
        story.may_not("nobody", "GET", &format!("/api/{plural}"), Value::Null, "UNKNOWN_ENTITY").await;
    }
    story.may_not("nobody", "GET", &format!("/api/boards/{demo}"), Value::Null, "UNKNOWN_ENTITY").await;
    let card = json!({"board": demo, "title": "x"});
    story.may_not("nobody", "POST", "/api/cards", card, "UNKNOWN_ENTITY").await;
    for channel in [cards(&demo), chat(&demo), "entity:Board".to_owned(), format!("entity:Board:{demo}")] {
        story.is_closed("nobody", &channel).await;
    }
}

#[tokio::test]
async fn the_author_and_the_owner_of_the_board_throw_things_away() {
    let story = story("board").await;
    let demo = board(&story, "ada", "Demo").await;
    let other = board(&story, "cy", "Other").await;
    let mut made = Vec::new();
    for n in 0..2 {
        let card = json!({"board": demo, "title": format!("card {n}")});
        made.push(format!("/api/cards/{}", story.make("ben", "/api/cards", card).await));
        let message = json!({"board": demo, "text": format!("message {n}")});
        made.push(format!("/api/messages/{}", story.make("ben", "/api/messages", message).await));
    }
    for path in &made {
        story.may_not("cy", "DELETE", path, Value::Null, "FORBIDDEN").await;
    }
    // Not by taking the card along to a board of one's own.
    story.may_not("cy", "PATCH", &made[0], json!({"board": other}), "FORBIDDEN").await;
    story.may_not("ben", "PATCH", &made[1], json!({"text": "I never said that"}), "FORBIDDEN").await;
    for (who, paths) in [("ada", &made[..2]), ("ben", &made[2..])] {
        for path in paths {
            story.may(who, "DELETE", path, Value::Null).await;
        }
    }
    story.may_not("cy", "DELETE", &format!("/api/boards/{demo}"), Value::Null, "FORBIDDEN").await;
    story.may("ada", "DELETE", &format!("/api/boards/{demo}"), Value::Null).await;
    assert_eq!(story.sees("ada", "boards").await, only(&other));
}

#[tokio::test]
async fn a_board_goes_with_everything_on_it_and_every_window_knows() {
    let story = story("board").await;
    let demo = board(&story, "ada", "Demo").await;
    let card = story.make("ben", "/api/cards", json!({"board": demo, "title": "Paint"})).await;
    let said = story.make("ben", "/api/messages", json!({"board": demo, "text": "Hello"})).await;
    let (mut on_cards, mut on_chat) =
        (story.live("ben", &cards(&demo)).await, story.live("ben", &chat(&demo)).await);
    let mut boards = story.live("cy", "entity:Board").await;
    story.may("ada", "DELETE", &format!("/api/boards/{demo}"), Value::Null).await;
    on_cards.shows("entity:deleted", &card).await;
    on_chat.shows("entity:deleted", &said).await;
    boards.shows("entity:deleted", &demo).await;
}

/// A window that was away takes up where it was, and one that comes late reads everything once.
#[tokio::test]
async fn a_window_that_was_cut_off_misses_nothing() {
    let story = story("board").await;
    let demo = board(&story, "ada", "Demo").await;
    let mut window = story.window("ben").await;
    let subscribed = window.subscribe(&cards(&demo), json!({})).await;
    let since = json!({
        "epoch": subscribed["payload"]["epoch"], "seq": subscribed["payload"]["seq"],
        "view": subscribed["payload"]["view"],
    });
    window.cut();
    let mut made = Vec::new();
    for n in 0..3 {
        let card = json!({"board": demo, "title": format!("card {n}")});
        made.push(story.make("ada", "/api/cards", card).await);
    }
    let mut back = story.window("ben").await;
    let answer = back.subscribe(&cards(&demo), json!({ "since": since })).await;
    assert_eq!(answer["payload"]["recovered"], true, "{answer}");
    for card in &made {
        assert_eq!(back.expect("entity:created").await["payload"]["id"], json!(card));
    }
    let mut late = story.window("cy").await;
    late.subscribe(&cards(&demo), json!({"snapshot": true})).await;
    let rows = late.expect("snapshot").await["payload"]["rows"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 3, "{rows}");
    late.expect("pong").await;
}
