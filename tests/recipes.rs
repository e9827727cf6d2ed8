//! Recipes of docs/permissions.md for people who work at the same time, performed with the files that the page shows.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::Schema;

use crate::support::app::TestApp;
use crate::support::socket::Socket;

const PAGE: &str = include_str!("../docs/permissions.md");

/// The schema of the file that the page shows under this name.
fn schema(name: &str) -> Arc<Schema> {
    let head = format!("```toml\n# schemas/{name}\n");
    let start = PAGE.find(&head).expect("the page shows the file") + "```toml\n".len();
    let text = &PAGE[start..start + PAGE[start..].find("```").expect("the block has an end")];
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), text).unwrap();
    tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}")).schema.into()
}

async fn app(name: &str) -> TestApp {
    let app = TestApp::over(schema(name), |_| {}).await;
    // A request makes the User record, so that others can refer to it.
    for person in ["ada", "ben", "eve"] {
        app.client_as(person).get("/api/users").await;
    }
    app
}

async fn socket(app: &TestApp, name: &str, channel: &str) -> Socket {
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={name}")).await;
    socket.expect("connected").await;
    socket.subscribe(channel, Value::Null).await;
    socket
}

#[tokio::test]
async fn the_ring_has_one_holder_who_writes_and_passes_it_on() {
    let app = app("script.toml").await;
    let (ada, ben, eve) = (app.client_as("ada"), app.client_as("ben"), app.client_as("eve"));
    let script = ada.create("scripts", json!({"title": "a play"})).await;
    assert_eq!(script["holder"], "ada");
    let path = format!("/api/scripts/{}", script["id"].as_str().unwrap());
    let mut watching =
        socket(&app, "eve", &format!("entity:Script:{}", script["id"].as_str().unwrap())).await;
    let line = |text: &str| json!({"body": text});
    assert_eq!(ben.any("PATCH", &path, line("ben's")).await.0, 403);
    assert_eq!(ben.any("PATCH", &path, json!({"holder": "ben"})).await.0, 403, "no one takes the ring");
    ada.patch(&path, line("ada's")).await;
    watching.expect("entity:updated").await;

    ada.patch(&path, json!({"holder": "ben"})).await;
    let passed = watching.expect("entity:updated").await;
    assert_eq!((&passed["payload"]["holder"], &passed["changed"]), (&json!("ben"), &json!(["holder"])));
    assert_eq!(ada.any("PATCH", &path, line("too late")).await.0, 403);
    ben.patch(&path, line("ben's")).await;

    let to = |person: &str| json!({"holder": person});
    let ((to_ada, _), (to_eve, _)) =
        tokio::join!(ben.any("PATCH", &path, to("ada")), ben.any("PATCH", &path, to("eve")));
    let mut statuses = [to_ada, to_eve];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403], "of two passes at once one wins");
    let holder = eve.get(&path).await["holder"].clone();
    assert_eq!(holder, if to_ada == 200 { "ada" } else { "eve" });
}

#[tokio::test]
async fn an_inbox_keeps_what_a_message_only_tells_of() {
    let app = app("notification.toml").await;
    let (ada, ben, root) = (app.client_as("ada"), app.client_as("ben"), app.client_as("root:admin"));
    let mut inbox = socket(&app, "ada", "entity:Notification?seen=false").await;
    let mut other = socket(&app, "ada", "user:ada").await;
    let text = json!({"to": "ada", "text": "Ben mentioned you"});
    assert_eq!(ben.any("POST", "/api/notifications", text.clone()).await.0, 403, "users make none");
    let made = root.any("POST", "/api/notifications", text).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let id = inbox.expect("entity:created").await["payload"]["id"].as_str().unwrap().to_owned();
    let told = json!({"event": "notification", "data": {"id": id}});
    let (status, answer) = root.any("POST", "/api/realtime/notify/ada", told).await;
    assert_eq!((status, answer), (200, json!({"receivers": 1})));
    assert_eq!(other.expect("message").await["payload"]["data"]["id"], id.as_str());

    let unseen = "/api/notifications/count?seen=false";
    assert_eq!(ada.get(unseen).await["count"], 1);
    assert_eq!(ben.get(unseen).await["count"], 0);
    let path = format!("/api/notifications/{id}");
    assert_eq!(ada.any("PATCH", &path, json!({"text": "other words"})).await.0, 403);
    assert_eq!(ben.any("PATCH", &path, json!({"seen": true})).await.0, 404);
    ada.patch(&path, json!({"seen": true})).await;
    let left = inbox.expect("entity:deleted").await;
    assert_eq!(left["cause"], "left");
    assert_eq!(ada.get(unseen).await["count"], 0);
}
