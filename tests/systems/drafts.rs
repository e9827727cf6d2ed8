//! The drafts of source 002: several people write one text, and only the one who holds the ring. Who holds it is asked in
//! the transaction of each write, so passing it on is one change, whatever the length of the draft.

use serde_json::{Value, json};

use super::{only, story};
use crate::support::story::Story;

/// Ada's draft with ben and cy as collaborators; answers it and the two seats.
async fn shared(story: &Story) -> (String, [String; 2]) {
    for who in ["ben", "cy", "dee"] {
        assert!(story.sees(who, "drafts").await.is_empty(), "a user is known from the first request on");
    }
    let draft = story.make("ada", "/api/drafts", json!({"title": "Tides"})).await;
    let seat = async |who: &str| {
        story.make("ada", "/api/collaborators", json!({"draft": draft, "person": who})).await
    };
    let seats = [seat("ben").await, seat("cy").await];
    (draft, seats)
}

fn segment(draft: &str, text: &str) -> Value {
    json!({"draft": draft, "text": text})
}

#[tokio::test]
async fn only_the_holder_of_the_ring_writes_and_everyone_sees_it_pass() {
    let story = story("drafts").await;
    let (draft, _) = shared(&story).await;
    let path = format!("/api/drafts/{draft}");
    let segments = format!("entity:Segment?draft={draft}");
    let mut texts = [story.live("ada", &segments).await, story.live("cy", &segments).await];
    let record = format!("entity:Draft:{draft}");
    let mut rings = [story.live("ben", &record).await, story.live("cy", &record).await];
    let mut told = story.live("ben", "entity:Notification").await;

    let first = story.make("ada", "/api/segments", segment(&draft, "The sea was calm.")).await;
    for window in &mut texts {
        let event = window.shows("entity:created", &first).await;
        assert_eq!((&event["by"], &event["payload"]["author"]), (&json!("ada"), &json!("ada")));
    }
    story.may_not("ben", "POST", "/api/segments", segment(&draft, "Then"), "FORBIDDEN").await;
    // Who is no collaborator cannot be passed the ring, and nobody takes it.
    story.may_not("ada", "PATCH", &path, json!({"holder": "dee"}), "FORBIDDEN").await;
    story.may_not("ben", "PATCH", &path, json!({"holder": "ben"}), "FORBIDDEN").await;

    let head = story.app.head();
    story.may("ada", "PATCH", &path, json!({"holder": "ben"})).await;
    assert_eq!(story.app.head(), head + 2, "the draft and one notification, however long the draft");
    for window in &mut rings {
        let event = window.shows("entity:updated", &draft).await;
        assert_eq!((&event["payload"]["holder"], &event["changed"]), (&json!("ben"), &json!(["holder"])));
    }
    let event = told.event().await;
    assert_eq!(
        (&event["type"], &event["payload"]["text"]),
        (&json!("entity:created"), &json!("You hold the ring of Tides"))
    );
    story.may_not("ada", "POST", "/api/segments", segment(&draft, "Then"), "FORBIDDEN").await;
    let second = story.make("ben", "/api/segments", segment(&draft, "Then it rained.")).await;
    for window in &mut texts {
        window.shows("entity:created", &second).await;
    }
    // What one wrote one mends while one has the ring, and nobody else's.
    let (of_ada, of_ben) = (format!("/api/segments/{first}"), format!("/api/segments/{second}"));
    story.may("ben", "PATCH", &of_ben, json!({"text": "Then it poured."})).await;
    story.may_not("ben", "PATCH", &of_ada, json!({"text": "x"}), "FORBIDDEN").await;
    story.may_not("ada", "PATCH", &of_ada, json!({"text": "x"}), "FORBIDDEN").await;
    // The author takes the ring back from a holder who went on holiday; nobody else can.
    story.may_not("cy", "PATCH", &path, json!({"holder": "cy"}), "FORBIDDEN").await;
    story.may("ada", "PATCH", &path, json!({"holder": "ada"})).await;
    story.may("ada", "PATCH", &of_ada, json!({"text": "The sea was rough."})).await;
    story.may_not("ben", "PATCH", &of_ben, json!({"text": "x"}), "FORBIDDEN").await;
}

#[tokio::test]
async fn who_is_taken_out_of_a_draft_sees_nothing_of_it_from_then_on() {
    let story = story("drafts").await;
    let (draft, [_, seat_of_cy]) = shared(&story).await;
    let text = story.make("ada", "/api/segments", segment(&draft, "The sea was calm.")).await;
    let mut cy = story.live("cy", "entity:Segment").await;
    let mut drafts = story.live("cy", "entity:Draft").await;
    let mut dee = story.live("dee", "entity:Segment").await;
    assert_eq!(story.sees("cy", "segments").await, only(&text));
    story.may("ada", "DELETE", &format!("/api/collaborators/{seat_of_cy}"), Value::Null).await;
    cy.loses(&text).await;
    drafts.loses(&draft).await;
    story.make("ada", "/api/segments", segment(&draft, "Secret.")).await;
    story.nothing_came_to([&mut cy, &mut drafts, &mut dee]).await;
    let paths = [format!("/api/drafts/{draft}"), format!("/api/segments/{text}")];
    for path in paths.iter().chain([&format!("/api/drafts/{draft}/history")]) {
        story.may_not("cy", "GET", path, Value::Null, "NOT_FOUND").await;
    }
    story.may_not("cy", "POST", "/api/segments", segment(&draft, "x"), "UNKNOWN_REFERENCE").await;
}

#[tokio::test]
async fn the_ring_does_not_leave_with_its_holder_nor_a_draft_its_author() {
    let story = story("drafts").await;
    let (draft, [seat_of_ben, _]) = shared(&story).await;
    let path = format!("/api/drafts/{draft}");
    let seat = format!("/api/collaborators/{seat_of_ben}");
    story.may("ada", "PATCH", &path, json!({"holder": "ben"})).await;
    for who in ["ada", "ben"] {
        story.may_not(who, "DELETE", &seat, Value::Null, "FORBIDDEN").await;
    }
    let of_ada = story.the_only("ada", &format!("/api/collaborators?draft={draft}&person=ada")).await;
    let of_ada = format!("/api/collaborators/{}", of_ada["id"].as_str().unwrap());
    story.may_not("ada", "DELETE", &of_ada, Value::Null, "FORBIDDEN").await;
    // In one unit: the ring first, then the seat. The other way round is refused, and nothing of it happens.
    let pass = json!({"op": "update", "entity": "Draft", "id": draft, "data": {"holder": "cy"}});
    let leave = json!({"op": "delete", "entity": "Collaborator", "id": seat_of_ben});
    let batch = |ops: Value| json!({"atomic": true, "ops": ops});
    story.may_not("ben", "POST", "/api/batch", batch(json!([leave, pass])), "FORBIDDEN").await;
    assert_eq!(story.may("ada", "GET", &path, Value::Null).await["holder"], "ben");
    story.may("ben", "POST", "/api/batch", batch(json!([pass, leave]))).await;
    assert!(story.sees("ben", "drafts").await.is_empty());
    // A second seat for the same person is none.
    let again = json!({"draft": draft, "person": "cy"});
    story.may_not("ada", "POST", "/api/collaborators", again, "NOT_UNIQUE").await;
    story.may_not("cy", "DELETE", &path, Value::Null, "FORBIDDEN").await;
    story.may("ada", "DELETE", &path, Value::Null).await;
    assert!(story.sees("ada", "collaborators").await.is_empty());
}

#[tokio::test]
async fn notifications_come_from_the_server_and_to_one_person() {
    let story = story("drafts").await;
    let (mut ben, mut ada) =
        (story.live("ben", "entity:Notification").await, story.live("ada", "entity:Notification").await);
    let (draft, _) = shared(&story).await;
    let added = ben.event().await;
    assert_eq!(
        (&added["payload"]["text"], &added["payload"]["draft"], &added["by"]),
        (&json!("You were added to Tides"), &json!(draft), &json!("ada"))
    );
    story.nothing_came_to([&mut ada]).await;
    let forged = json!({"person": "ada", "draft": draft, "text": "Give me the ring"});
    story.may_not("ben", "POST", "/api/notifications", forged, "FORBIDDEN").await;
    let path = format!("/api/notifications/{}", added["payload"]["id"].as_str().unwrap());
    story.may_not("ben", "PATCH", &path, json!({"text": "x"}), "FORBIDDEN").await;
    story.may_not("cy", "PATCH", &path, json!({"seen": true}), "NOT_FOUND").await;
    story.may("ben", "PATCH", &path, json!({"seen": true})).await;
    assert_eq!(ben.event().await["changed"], json!(["seen"]));
    story.may("ben", "DELETE", &path, Value::Null).await;
    assert!(story.sees("ben", "notifications").await.is_empty());
}

/// Two people write at the same moment as the ring goes from one to the other: each segment was written by who held it then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_writes_while_the_ring_passes_held_it_at_that_moment() {
    let story = story("drafts").await;
    let (draft, _) = shared(&story).await;
    let path = format!("/api/drafts/{draft}");
    let write = |who: &'static str| {
        let (client, body) = (story.client(who), segment(&draft, who));
        async move {
            for _ in 0..40 {
                let (status, answer) = client.any("POST", "/api/segments", body.clone()).await;
                assert!([201, 403].contains(&status), "{answer}");
            }
        }
    };
    let pass = async {
        for turn in 0..20 {
            let (from, to) = if turn % 2 == 0 { ("ada", "ben") } else { ("ben", "ada") };
            story.may(from, "PATCH", &path, json!({"holder": to})).await;
        }
    };
    let ((), (), ()) = tokio::join!(write("ada"), write("ben"), pass);
    let (mut holder, mut written) = (json!(null), [0, 0]);
    for entry in story.log().await {
        match &*entry.entity {
            "Draft" => holder = entry.after["holder"].clone(),
            "Segment" => {
                assert_eq!(entry.after["author"], holder, "at {}", entry.seq);
                written[usize::from(holder == "ben")] += 1;
            }
            _ => {}
        }
    }
    assert!(written[0] + written[1] > 20 && written[0] + written[1] < 80, "{written:?} were written");
}
