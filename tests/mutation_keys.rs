//! Whose an `Idempotency-Key` is, and what is stored under it (SEMANTICS M1), over real sockets.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::support::app::{Answer, Client, TestApp};

/// Tags have unique names and may name another tag. A reader of a locked tag may not change it.
async fn app() -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    let tag = "entity = 'Tag'\n[fields]\nname = { type = 'text', unique = true }\n\
        locked = { type = 'bool', default = false }\nnext = { type = 'ref', entity = 'Tag' }\n[access]\n\
        read = 'true'\ncreate = 'true'\nupdate = 'locked == false || has(change.locked)'\ndelete = 'true'\n";
    std::fs::write(folder.path().join("tag.toml"), tag).unwrap();
    let loaded = tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
    TestApp::over(loaded.schema.into(), |_| {}).await
}

/// A user without a name, at another address of this machine.
fn nobody_at(app: &TestApp, last: u8) -> Client {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let http = reqwest::Client::builder().local_address(address).build().unwrap();
    let mut client = app.client();
    client.http = http;
    client
}

async fn send(client: &Client, (method, path, body): (&str, &str, Value), key: &str) -> Answer {
    client.call_with(method, path, body, &[("Idempotency-Key", key)]).await
}

fn tag(n: u32) -> String {
    format!("01900000-0000-7000-8000-{n:012x}")
}

#[tokio::test]
async fn two_anonymous_addresses_do_not_share_their_keys() {
    let app = app().await;
    let (one, other) = (nobody_at(&app, 1), nobody_at(&app, 2));
    let post = |name: &str| ("POST", "/api/tags", json!({"name": name}));
    let first = send(&one, post("a"), "k").await;
    assert_eq!(first.status, 201, "{}", first.text);
    let second = send(&other, post("b"), "k").await;
    assert_eq!((second.status, second.header("tidewire-replayed")), (201, ""), "{}", second.text);
    assert_ne!(first.id(), second.id());
    // Each address has its own answer, and its own request under the key.
    for (client, name, answer) in [(&one, "a", &first), (&other, "b", &second)] {
        let again = send(client, post(name), "k").await;
        assert_eq!((again.id(), again.header("tidewire-replayed")), (answer.id(), "true"));
        let mismatch = send(client, post("c"), "k").await;
        assert_eq!(mismatch.json["code"], "IDEMPOTENCY_MISMATCH", "{}", mismatch.text);
    }
    // The same request of two addresses is two requests.
    let empty = ("POST", "/api/tags", json!({}));
    let (one_empty, other_empty) = (send(&one, empty.clone(), "e").await, send(&other, empty, "e").await);
    assert_ne!(one_empty.id(), other_empty.id());
    assert_eq!(other_empty.header("tidewire-replayed"), "");
    // In a batch each operation has a key, and an anonymous key is no user's.
    let each = |name: &str| {
        let op = json!({"op": "create", "entity": "Tag", "data": {"name": name}, "mid": "k"});
        json!({"atomic": false, "ops": [op]})
    };
    let known = one.call("POST", "/api/batch", each("a")).await;
    assert_eq!(
        (&known.json["results"][0]["id"], &known.json["results"][0]["replayed"]),
        (&json!(first.id()), &json!(true))
    );
    let unknown = nobody_at(&app, 3).call("POST", "/api/batch", each("d")).await;
    assert_eq!(unknown.json["results"][0]["status"], 201, "{}", unknown.text);
    let ann = send(&app.client_as("ann"), post("e"), "k").await;
    assert_eq!((ann.status, ann.header("tidewire-replayed")), (201, ""));
    assert_eq!(app.rows("tags").await.len(), 6);
}

/// A user has the same keys wherever they are.
#[tokio::test]
async fn a_user_keeps_their_keys_when_their_address_changes() {
    let app = app().await;
    let post = ("POST", "/api/tags?as=ann", json!({"name": "a"}));
    let first = send(&nobody_at(&app, 1), post.clone(), "k").await;
    let again = send(&nobody_at(&app, 2), post, "k").await;
    assert_eq!((again.id(), again.header("tidewire-replayed")), (first.id(), "true"));
}

#[tokio::test]
async fn a_refused_request_can_succeed_later_with_the_same_key() {
    let app = app().await;
    let create = |n: u32, body: Value| {
        let mut body = body;
        body["id"] = json!(tag(n));
        ("POST", "/api/tags".to_owned(), body)
    };
    let path = |n: u32| format!("/api/tags/{}", tag(n));
    let batch = |ops: Value| ("POST", "/api/batch".to_owned(), json!({"ops": ops}));
    type Request = (&'static str, String, Value);
    let cases: Vec<(&str, Request, Request, u16)> = vec![
        ("NOT_UNIQUE", create(11, json!({"name": "taken"})), ("DELETE", path(1), Value::Null), 201),
        ("UNKNOWN_REFERENCE", create(12, json!({"next": tag(2)})), create(2, json!({})), 201),
        ("ID_TAKEN", create(3, json!({"name": "anew"})), ("DELETE", path(3), Value::Null), 201),
        ("RESTRICTED", ("DELETE", path(4), Value::Null), ("DELETE", path(5), Value::Null), 204),
        ("NOT_FOUND", ("PATCH", path(6), json!({"name": "late"})), create(6, json!({})), 200),
        (
            "FORBIDDEN",
            ("PATCH", path(7), json!({"name": "open"})),
            ("PATCH", path(7), json!({"locked": false})),
            200,
        ),
        (
            "NOT_UNIQUE",
            batch(json!([
                {"op": "create", "entity": "Tag", "data": {"id": tag(20), "name": "first"}},
                {"op": "create", "entity": "Tag", "data": {"id": tag(21), "name": "held"}},
            ])),
            ("DELETE", path(8), Value::Null),
            200,
        ),
    ];
    for client in [app.client_as("ann"), nobody_at(&app, 1), nobody_at(&app, 2)] {
        for (n, body) in [
            (1, json!({"name": "taken"})),
            (3, json!({})),
            (4, json!({})),
            (5, json!({"next": tag(4)})),
            (7, json!({"locked": true})),
            (8, json!({"name": "held"})),
        ] {
            let (method, path, body) = create(n, body);
            let made = client.call(method, &path, body).await;
            assert_eq!(made.status, 201, "{}", made.text);
        }
        for (at, (code, request, remedy, status)) in cases.iter().enumerate() {
            let key = format!("key-{at}");
            let (method, path, body) = request;
            for _ in 0..2 {
                let refused = send(&client, (method, path, body.clone()), &key).await;
                assert_eq!(refused.json["code"], *code, "{path}: {}", refused.text);
            }
            let helped = client.call(remedy.0, &remedy.1, remedy.2.clone()).await;
            assert!(helped.status < 300, "{code}: {}", helped.text);
            let done = send(&client, (method, path, body.clone()), &key).await;
            assert_eq!(
                (done.status, done.header("tidewire-replayed")),
                (*status, ""),
                "{code}: {}",
                done.text
            );
            let again = send(&client, (method, path, body.clone()), &key).await;
            assert_eq!((again.status, again.header("tidewire-replayed")), (*status, "true"), "{code}");
        }
        for id in app.rows("tags").await.keys() {
            // Those that others refer to go with them in a second round.
            client.call("PATCH", &format!("/api/tags/{id}"), json!({"next": null})).await;
        }
        for id in app.rows("tags").await.keys() {
            client.delete(&format!("/api/tags/{id}")).await;
        }
    }
}

/// Nothing of a refused request is bound to its key: another request may take it.
#[tokio::test]
async fn another_request_may_use_the_key_of_a_refused_one() {
    let app = app().await;
    for client in [app.client_as("ann"), nobody_at(&app, 2)] {
        let refused = send(&client, ("POST", "/api/tags", json!({"next": tag(9)})), "k").await;
        assert_eq!(refused.json["code"], "UNKNOWN_REFERENCE");
        let other = send(&client, ("POST", "/api/tags", json!({})), "k").await;
        assert_eq!((other.status, other.header("tidewire-replayed")), (201, ""), "{}", other.text);
    }
}
