//! The hardened board of source 001: many organisations on one server, none of which knows of another; an audit trail that
//! no client can write, leave out or change; and a switch that stops every write of an organisation at once.

use serde_json::{Value, json};

use super::{only, story};
use crate::support::story::Story;

/// An organisation with one board.
struct Tenant {
    id: String,
    board: String,
}

impl Tenant {
    async fn found(story: &Story, owner: &str, name: &str) -> Tenant {
        let id = story.make(owner, "/api/organisations", json!({ "name": name })).await;
        let board = story.make(owner, "/api/boards", json!({"organisation": id, "name": "Board"})).await;
        Tenant { id, board }
    }

    /// Answers the address of the new membership.
    async fn take_in(&self, story: &Story, owner: &str, who: &str, role: &str) -> String {
        // Known from the first request on.
        story.sees(who, "organisations").await;
        let member = json!({"organisation": self.id, "person": who, "role": role});
        format!("/api/members/{}", story.make(owner, "/api/members", member).await)
    }

    fn card(&self, title: &str) -> Value {
        json!({"board": self.board, "title": title})
    }
}

/// The address of the only membership of an owner.
async fn own_seat(story: &Story, who: &str, tenant: &Tenant) -> String {
    let path = format!("/api/members?organisation={}&person={who}", tenant.id);
    format!("/api/members/{}", story.the_only(who, &path).await["id"].as_str().unwrap())
}

#[tokio::test]
async fn nothing_of_an_organisation_reaches_another() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let tower = Tenant::found(&story, "dee", "Tower").await;
    harbour.take_in(&story, "ada", "ben", "member").await;
    let mut inside = story.live("ben", "entity:Card").await;
    let mut outside = [
        story.live("dee", "entity:Card").await,
        story.live("dee", &format!("entity:Card?board={}", harbour.board)).await,
        story.live("dee", &format!("entity:Board:{}", harbour.board)).await,
        story.live("dee", "entity:Member").await,
        story.live("dee", "entity:Audit").await,
    ];
    let card = story.make("ada", "/api/cards", harbour.card("Paint")).await;
    assert_eq!(inside.shows("entity:created", &card).await["payload"]["organisation"], json!(harbour.id));
    story.may("ben", "PATCH", &format!("/api/cards/{card}"), json!({"column": "done"})).await;
    inside.shows("entity:updated", &card).await;
    story.may("ada", "PATCH", &format!("/api/boards/{}", harbour.board), json!({"name": "Pier"})).await;
    let [a, b, c, d, e] = &mut outside;
    story.nothing_came_to([a, b, c, d, e]).await;
    for path in [format!("/api/cards/{card}"), format!("/api/boards/{}", harbour.board)] {
        story.may_not("dee", "GET", &path, Value::Null, "NOT_FOUND").await;
        story.may_not("dee", "DELETE", &path, Value::Null, "NOT_FOUND").await;
    }
    story.may_not("dee", "POST", "/api/cards", harbour.card("x"), "UNKNOWN_REFERENCE").await;
    assert_eq!(story.sees("dee", "boards").await, only(&tower.board));
    // The same name for two boards is fine in two organisations, and not in one.
    let again = json!({"organisation": tower.id, "name": "Board"});
    story.may_not("dee", "POST", "/api/boards", again, "NOT_UNIQUE").await;
}

#[tokio::test]
async fn who_belongs_to_two_organisations_carries_nothing_from_one_to_the_other() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let tower = Tenant::found(&story, "dee", "Tower").await;
    tower.take_in(&story, "dee", "ada", "member").await;
    let card = story.make("ada", "/api/cards", harbour.card("Paint")).await;
    let path = format!("/api/cards/{card}");
    story.may_not("ada", "PATCH", &path, json!({"board": tower.board}), "FORBIDDEN").await;
    let second = json!({"organisation": harbour.id, "name": "Second"});
    let second = story.make("ada", "/api/boards", second).await;
    story.may("ada", "PATCH", &path, json!({ "board": second })).await;
    let board = format!("/api/boards/{second}");
    story.may_not("ada", "PATCH", &board, json!({"organisation": tower.id}), "FORBIDDEN").await;
}

#[tokio::test]
async fn the_audit_trail_is_written_by_the_server_and_read_by_owners() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let mut ada = story.live("ada", "entity:Audit").await;
    let seat = harbour.take_in(&story, "ada", "ben", "viewer").await;
    let mut ben = story.live("ben", "entity:Audit").await;
    story.may("ada", "PATCH", &seat, json!({"role": "member"})).await;
    let board = json!({"organisation": harbour.id, "name": "Lamp"});
    let board = story.make("ben", "/api/boards", board).await;
    story.may("ada", "DELETE", &format!("/api/boards/{board}"), Value::Null).await;
    for (text, actor) in [
        ("added a member", "ada"),
        ("changed a role", "ada"),
        ("made the board Lamp", "ben"),
        ("deleted the board Lamp", "ada"),
    ] {
        let entry = ada.event().await["payload"].clone();
        assert_eq!((&entry["text"], &entry["actor"]), (&json!(text), &json!(actor)), "{entry}");
    }
    story.nothing_came_to([&mut ben, &mut ada]).await;
    let entry = story.may("ada", "GET", "/api/audit?limit=1", Value::Null).await["items"][0].clone();
    let entry = format!("/api/audit/{}", entry["id"].as_str().unwrap());
    story.may_not("ada", "PATCH", &entry, json!({"text": "nothing"}), "FORBIDDEN").await;
    story.may_not("ada", "DELETE", &entry, Value::Null, "FORBIDDEN").await;
    let forged = json!({"organisation": harbour.id, "text": "made up"});
    story.may_not("ada", "POST", "/api/audit", forged, "FORBIDDEN").await;
    story.may_not("ben", "GET", &entry, Value::Null, "NOT_FOUND").await;
    // What fails leaves no trace in it.
    let head = story.app.head();
    let again = json!({"organisation": harbour.id, "name": "Board"});
    story.may_not("ada", "POST", "/api/boards", again, "NOT_UNIQUE").await;
    assert_eq!(story.app.head(), head);
}

#[tokio::test]
async fn a_suspended_organisation_can_be_read_and_not_written() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let tower = Tenant::found(&story, "dee", "Tower").await;
    let card = format!("/api/cards/{}", story.make("ada", "/api/cards", harbour.card("Paint")).await);
    story.sees("ben", "organisations").await;
    let organisation = format!("/api/organisations/{}", harbour.id);
    story.may_not("ada", "PATCH", &organisation, json!({"suspended": true}), "FORBIDDEN").await;
    let mut ada = story.live("ada", "entity:Organisation").await;
    let head = story.app.head();
    story.may("olga:operator", "PATCH", &organisation, json!({"suspended": true})).await;
    ada.shows("entity:updated", &harbour.id).await;
    let board = format!("/api/boards/{}", harbour.board);
    let seat = own_seat(&story, "ada", &harbour).await;
    let member = json!({"organisation": harbour.id, "person": "ben"});
    let second = json!({"organisation": harbour.id, "name": "Second"});
    for (method, path, body) in [
        ("POST", "/api/cards", harbour.card("New")),
        ("PATCH", &card, json!({"column": "done"})),
        ("DELETE", &card, Value::Null),
        ("POST", "/api/boards", second),
        ("PATCH", &board, json!({"name": "x"})),
        ("POST", "/api/members", member),
        ("PATCH", &seat, json!({"role": "owner"})),
        ("PATCH", &organisation, json!({"name": "x"})),
        ("PATCH", &organisation, json!({"suspended": false})),
    ] {
        story.may_not("ada", method, path, body, "FORBIDDEN").await;
        story.may("ada", "GET", &card, Value::Null).await;
    }
    assert_eq!(story.app.head(), head + 2, "the record of olga and the one change");
    story.may("dee", "POST", "/api/cards", tower.card("Polish")).await;
    story.may("olga:operator", "PATCH", &organisation, json!({"suspended": false})).await;
    story.may("ada", "PATCH", &card, json!({"column": "done"})).await;
}

#[tokio::test]
async fn an_organisation_keeps_an_owner() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let of_ada = own_seat(&story, "ada", &harbour).await;
    story.may_not("ada", "DELETE", &of_ada, Value::Null, "FORBIDDEN").await;
    story.may_not("ada", "PATCH", &of_ada, json!({"role": "member"}), "FORBIDDEN").await;
    let of_ben = harbour.take_in(&story, "ada", "ben", "owner").await;
    // Both in one unit is one too many, in either way.
    let id = |path: &str| json!(path.rsplit('/').next().unwrap());
    let leave = |path: &str| json!({"op": "delete", "entity": "Member", "id": id(path)});
    let step_down =
        |path: &str| json!({"op": "update", "entity": "Member", "id": id(path), "data": {"role": "member"}});
    for ops in [json!([leave(&of_ben), leave(&of_ada)]), json!([step_down(&of_ben), step_down(&of_ada)])] {
        story.may_not("ada", "POST", "/api/batch", json!({"atomic": true, "ops": ops}), "FORBIDDEN").await;
    }
    // Both at the same moment, too: one of the two is later.
    let (ada, ben) = (story.client("ada"), story.client("ben"));
    let (one, other) =
        tokio::join!(ada.any("DELETE", &of_ada, Value::Null), ben.any("DELETE", &of_ben, Value::Null));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 403], "{one:?} {other:?}");
}

#[tokio::test]
async fn a_membership_that_ends_closes_every_window_at_once() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let seat = harbour.take_in(&story, "ada", "ben", "member").await;
    let card = story.make("ben", "/api/cards", harbour.card("Paint")).await;
    let mut cards = story.live("ben", "entity:Card").await;
    let mut record = story.live("ben", &format!("entity:Board:{}", harbour.board)).await;
    story.may("ada", "DELETE", &seat, Value::Null).await;
    cards.loses(&card).await;
    record.loses(&harbour.board).await;
    story.may("ada", "PATCH", &format!("/api/cards/{card}"), json!({"title": "Secret"})).await;
    story.nothing_came_to([&mut cards, &mut record]).await;
    story.may_not("ben", "POST", "/api/cards", harbour.card("x"), "UNKNOWN_REFERENCE").await;
}

/// A client that heard no answer asks again: neither the board nor its line in the audit trail is there twice.
#[tokio::test]
async fn a_request_that_is_repeated_is_done_once() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let head = story.app.head();
    let board = json!({"organisation": harbour.id, "name": "Pier"});
    let ada = story.client("ada");
    let mut ids = Vec::new();
    for _ in 0..3 {
        let key = [("Idempotency-Key", "4b7c")];
        let answer = ada.call_with("POST", "/api/boards", board.clone(), &key).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        ids.push(answer.id());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(story.app.head(), head + 2, "the board and its line in the audit trail");
}

#[tokio::test]
async fn an_organisation_goes_with_everything_that_it_has() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    harbour.take_in(&story, "ada", "ben", "member").await;
    story.make("ben", "/api/cards", harbour.card("Paint")).await;
    let mut window = story.live("ben", "entity:Board").await;
    let path = format!("/api/organisations/{}", harbour.id);
    story.may_not("ben", "DELETE", &path, Value::Null, "FORBIDDEN").await;
    story.may("ada", "DELETE", &path, Value::Null).await;
    assert_eq!(window.shows("entity:deleted", &harbour.board).await["type"], "entity:deleted");
    for (who, plural) in [("ada", "boards"), ("ben", "cards"), ("ada", "members"), ("ada", "audit")] {
        assert!(story.sees(who, plural).await.is_empty(), "{who} {plural}");
    }
}

/// An automation has a token that names boards. It works on those, and nothing else of the organisation is there for it.
#[tokio::test]
async fn a_token_opens_the_boards_that_it_names() {
    let story = story("tenants").await;
    let harbour = Tenant::found(&story, "ada", "Harbour").await;
    let second = json!({"organisation": harbour.id, "name": "Second"});
    let second = story.make("ada", "/api/boards", second).await;
    let robot = format!("robot&claims=%7B%22boards%22:%5B%22{}%22%5D%7D", harbour.board);
    let mut window = story.live(&robot, "entity:Card").await;
    let card = story.make("ada", "/api/cards", harbour.card("Paint")).await;
    window.shows("entity:created", &card).await;
    let path = format!("/api/cards/{card}");
    assert_eq!(story.may(&robot, "PATCH", &path, json!({"column": "done"})).await["column"], "done");
    window.shows("entity:updated", &card).await;
    let own = story.make(&robot, "/api/cards", harbour.card("Count the boats")).await;
    assert_eq!(window.shows("entity:created", &own).await["by"], "robot");
    let hidden = json!({"board": second, "title": "Secret"});
    story.make("ada", "/api/cards", hidden.clone()).await;
    story.nothing_came_to([&mut window]).await;
    assert_eq!(story.sees(&robot, "boards").await, only(&harbour.board));
    story.may_not(&robot, "POST", "/api/cards", hidden, "UNKNOWN_REFERENCE").await;
    story.may_not(&robot, "PATCH", &path, json!({ "board": second }), "UNKNOWN_REFERENCE").await;
    story.may_not(&robot, "DELETE", &path, Value::Null, "FORBIDDEN").await;
    story.may_not("robot", "GET", &path, Value::Null, "NOT_FOUND").await;
    let organisation = format!("/api/organisations/{}", harbour.id);
    story.may("olga:operator", "PATCH", &organisation, json!({"suspended": true})).await;
    story.may_not(&robot, "PATCH", &path, json!({"column": "todo"}), "FORBIDDEN").await;
}
