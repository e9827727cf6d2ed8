//! What administrators see of connections and sessions, and how they end them.

use serde_json::{Value, json};

use crate::support::account::{Account, open};
use crate::support::app::TestApp;
use crate::support::socket::Socket;

async fn app() -> TestApp {
    TestApp::with(open).await
}

async fn socket(app: &TestApp, account: &Account) -> (Socket, String) {
    let headers = [("authorization", &*account.bearer())];
    let mut socket = Socket::try_open(app.address, "/ws", &headers, None).await.unwrap();
    let id = socket.frame().await["payload"]["connectionId"].as_str().unwrap().to_owned();
    (socket, id)
}

#[tokio::test]
async fn an_administrator_sees_every_connection_and_ends_one() {
    let app = app().await;
    let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    let root = app.client_as("root:admin");
    let ((mut of_ada, id), (mut of_ben, _)) = (socket(&app, &ada).await, socket(&app, &ben).await);
    let mut anonymous = Socket::open(app.address).await;
    of_ada.subscribe("entity:Task", json!({})).await;
    of_ada.subscribe("entity:Project", json!({})).await;

    let listed = root.get("/api/admin/connections").await;
    let users: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|row| &row["userId"]).collect();
    assert_eq!(users, [&json!(ada.id), &json!(ben.id), &Value::Null], "{listed}");
    let first = &listed["items"][0];
    assert_eq!((&first["id"], &first["subscriptions"]), (&json!(id), &json!(2)), "{first}");
    assert_eq!((&first["address"], &first["lagging"]), (&json!("127.0.0.1"), &json!(false)), "{first}");
    assert_eq!(listed["next"], Value::Null);
    let of_one = root.get(&format!("/api/admin/connections?user={}", ben.id)).await;
    assert_eq!(of_one["items"].as_array().unwrap().len(), 1, "{of_one}");
    let page = root.get("/api/admin/connections?limit=2").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let rest = root.get(&format!("/api/admin/connections?after={}", page["next"].as_str().unwrap())).await;
    assert_eq!(rest["items"].as_array().unwrap().len(), 1, "{rest}");

    root.delete(&format!("/api/admin/connections/{id}")).await;
    let error = of_ada.expect("error").await;
    assert_eq!(error["payload"]["code"], "FORBIDDEN", "{error}");
    assert_eq!(of_ada.closed().await, Some(4403), "its client does not come back by itself");
    assert!(ada.is_in().await, "the session goes on");
    for gone in [&*id, "x", "0190a000-0000-7000-8000-00000000000a"] {
        let answer = root.call("DELETE", &format!("/api/admin/connections/{gone}"), Value::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("NOT_FOUND")), "{gone}");
    }
    of_ben.nothing_else().await;
    anonymous.nothing_else().await;
}

#[tokio::test]
async fn an_administrator_sees_every_session_and_ends_one() {
    let app = app().await;
    let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    let phone = Account::log_in(&app, "ada").await;
    let root = app.client_as("root:admin");
    let (mut of_phone, _) = socket(&app, &phone).await;
    let listed = root.get("/api/admin/sessions").await;
    let names: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["ada", "ben", "ada"], "newest first: {listed}");
    assert!(!listed.to_string().contains("tws_"), "{listed}");
    let mut page = root.get("/api/admin/sessions?limit=2").await;
    assert_eq!(page["items"], json!([listed["items"][0], listed["items"][1]]));
    page = root.get(&format!("/api/admin/sessions?limit=2&after={}", page["next"].as_str().unwrap())).await;
    assert_eq!((&page["items"], &page["next"]), (&json!([listed["items"][2]]), &Value::Null));
    assert_eq!(root.get(&format!("/api/admin/sessions?user={}", ben.id)).await["items"][0]["name"], "ben");

    let id = listed["items"][0]["id"].as_str().unwrap();
    root.delete(&format!("/api/admin/sessions/{id}")).await;
    assert_eq!(of_phone.closed().await, Some(4401));
    assert!(!phone.is_in().await && ada.is_in().await && ben.is_in().await);
    let again = root.call("DELETE", &format!("/api/admin/sessions/{id}"), Value::Null).await;
    assert_eq!((again.status, &again.json["code"]), (404, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn what_administrators_do_is_closed_to_everyone_else() {
    let app = app().await;
    let ada = Account::register(&app, "ada").await;
    let (_socket, id) = socket(&app, &ada).await;
    let one = format!("/api/admin/connections/{id}");
    for (method, path) in [
        ("GET", "/api/admin/websocket/stats"),
        ("GET", "/api/admin/connections"),
        ("DELETE", &*one),
        ("GET", "/api/admin/sessions"),
        ("DELETE", "/api/admin/sessions/x"),
    ] {
        for answer in
            [app.client().call(method, path, Value::Null).await, ada.call(method, path, Value::Null).await]
        {
            assert_eq!((answer.status, &answer.json["code"]), (403, &json!("FORBIDDEN")), "{method} {path}");
        }
    }
    let root = app.client_as("root:admin");
    for path in [
        "connections?limit=0",
        "connections?limit=1001",
        "connections?limit=x",
        "sessions?page=2",
        "connections?after=x",
    ] {
        let answer = root.call("GET", &format!("/api/admin/{path}"), Value::Null).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (400, &json!("BAD_QUERY")),
            "{path}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn the_numbers_of_connections_are_whole() {
    let app = app().await;
    let ada = Account::register(&app, "ada").await;
    let (mut socket, _) = socket(&app, &ada).await;
    socket.subscribe("entity:Task", json!({})).await;
    socket.send(&json!({"type": "nonsense"})).await;
    socket.expect("error").await;
    let stats = app.client_as("root:admin").get("/api/admin/websocket/stats").await;
    for (name, value) in [
        ("connections", 1),
        ("users", 1),
        ("subscriptions", 1),
        ("opened", 1),
        ("errors", 1),
        ("closed", 0),
        ("refused", 0),
        ("polls", 0),
        ("lagging", 0),
        ("waitingBytes", 0),
    ] {
        assert_eq!(stats[name], json!(value), "{name}: {stats}");
    }
    assert!(stats["memoryBytes"].as_u64().unwrap() > 1 << 20, "{stats}");
}

#[tokio::test]
async fn metrics_are_served_unless_they_are_switched_off() {
    let app = TestApp::with(|config| config.metrics = false).await;
    let answer = app.client().call("GET", "/metrics", Value::Null).await;
    assert_eq!((answer.status, &answer.json["code"]), (503, &json!("TELEMETRY_DISABLED")), "{}", answer.text);
    assert_eq!(answer.json["detail"], "telemetry disabled");
    assert_eq!(app.client().call("GET", "/healthz", Value::Null).await.status, 200);
}
