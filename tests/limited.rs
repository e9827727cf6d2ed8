//! Subscriptions to the first records in an order (SEMANTICS X8): what a snapshot of them shows, what follows, and what begins them
//! again. Over real sockets; what a page must hold is said by the list over HTTP, and by sorting in this file.

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::ruled;
use crate::support::socket::Socket;

/// The titles of a snapshot's rows up to its closing pong, and the seq of the pong.
async fn page(socket: &mut Socket) -> (Vec<String>, Value) {
    let mut titles = Vec::new();
    loop {
        let frame = socket.frame().await;
        match frame["type"].as_str() {
            Some("snapshot") => titles.extend(frame["payload"]["rows"].as_array().unwrap().iter().map(title)),
            Some("pong") => return (titles, frame["payload"].clone()),
            _ => panic!("{frame}"),
        }
    }
}

fn title(record: &Value) -> String {
    record["title"].as_str().unwrap_or_default().to_owned()
}

async fn tasks(client: &Client, titles: &[&str]) -> Vec<Value> {
    let mut made = Vec::new();
    for title in titles {
        made.push(client.create("tasks", json!({"title": title})).await);
    }
    made
}

fn newest(limit: usize) -> Value {
    json!({"snapshot": true, "sort": "-created_at", "limit": limit})
}

async fn refused(socket: &mut Socket, channel: &str, payload: Value) -> Value {
    socket
        .send(&json!({"type": "subscribe", "channel": channel, "payload": payload, "requestId": "r"}))
        .await;
    let error = socket.expect("error").await;
    assert_eq!(error["requestId"], "r", "{error}");
    error["payload"].clone()
}

#[tokio::test]
async fn a_limited_subscription_begins_with_the_page_that_a_list_shows() {
    let app = TestApp::start().await;
    let client = app.client();
    for (title, priority) in [("b", 2), ("a", 3), ("d", 2), ("c", 1), ("e", 3)] {
        client.create("tasks", json!({"title": title, "priority": priority})).await;
    }
    let mut socket = Socket::open(app.address).await;
    for sort in ["", "title", "-title", "priority,-title", "-created_at", "due,title", "-version,-id"] {
        for limit in [1, 3, 5, 1_000] {
            let answer = socket
                .subscribe("entity:Task", json!({"snapshot": true, "sort": sort, "limit": limit}))
                .await;
            assert_eq!(answer["payload"]["limited"], true, "{answer}");
            let listed = client.get(&format!("/api/tasks?sort={sort}&limit={limit}")).await;
            let listed: Vec<String> = listed["items"].as_array().unwrap().iter().map(title).collect();
            assert_eq!(page(&mut socket).await.0, listed, "{sort} {limit}");
        }
    }
    socket.send(&json!({"type": "unsubscribe", "channel": "entity:Task"})).await;
    socket.expect("unsubscribed").await;
    let answer = socket.subscribe("entity:Task", json!({"snapshot": true})).await;
    assert_eq!(answer["payload"].get("limited"), None, "{answer}");
    assert_eq!(page(&mut socket).await.0.len(), 5);
}

/// Sorted pages continue behind the last row of the page before, whatever its values.
#[tokio::test]
async fn a_first_page_that_is_read_in_parts_has_each_record_once() {
    let app = TestApp::with(|config| config.realtime.page_rows = 2).await;
    let client = app.client();
    for n in 0..9 {
        let due = (n % 3 > 0).then(|| format!("2026-01-{:02}", n % 3));
        client.create("tasks", json!({"title": format!("{n}"), "due": due, "priority": 1 + n % 2})).await;
    }
    let mut socket = Socket::open(app.address).await;
    for sort in ["due", "-due", "priority,due", "-priority,-due,title"] {
        socket.subscribe("entity:Task", json!({"snapshot": true, "sort": sort, "limit": 7})).await;
        let listed = client.get(&format!("/api/tasks?sort={sort}&limit=7")).await;
        let listed: Vec<String> = listed["items"].as_array().unwrap().iter().map(title).collect();
        assert_eq!(page(&mut socket).await.0, listed, "{sort}");
    }
}

#[tokio::test]
async fn every_event_of_the_filter_follows_a_limited_page() {
    let app = TestApp::start().await;
    let client = app.client();
    let made = tasks(&client, &["1", "2", "3"]).await;
    let channel = "entity:Task?status=open";
    let mut socket = Socket::open(app.address).await;
    socket.subscribe(channel, newest(1)).await;
    assert_eq!(page(&mut socket).await.0, ["3"]);
    let oldest = format!("/api/tasks/{}", made[0]["id"].as_str().unwrap());
    client.patch(&oldest, json!({"title": "1 again"})).await;
    assert_eq!(title(&socket.expect("entity:updated").await["payload"]), "1 again");
    client.patch(&oldest, json!({"status": "done"})).await;
    assert_eq!(socket.expect("entity:deleted").await["cause"], "left");
    tasks(&client, &["4"]).await;
    assert_eq!(title(&socket.expect("entity:created").await["payload"]), "4");
    // Another page of the same records shares their group.
    let mut other = Socket::open(app.address).await;
    other.subscribe(channel, json!({"snapshot": true, "sort": "title", "limit": 2})).await;
    assert_eq!(page(&mut other).await.0, ["2", "3"]);
    app.wait_for_groups(1).await;
}

#[tokio::test]
async fn a_limited_subscription_resumes_after_at_most_a_thousand_changes() {
    let app = TestApp::start().await;
    let client = app.client();
    let made = tasks(&client, &["1"]).await;
    let path = format!("/api/tasks/{}", made[0]["id"].as_str().unwrap());
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", newest(2)).await;
    let (_, position) = page(&mut socket).await;
    let change = |n: usize| json!({"op": "update", "entity": "Task", "id": made[0]["id"], "data": {"title": format!("{n}")}});
    for from in [0, 500] {
        let ops: Vec<Value> = (from..from + 500).map(change).collect();
        let answer = client.call("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
    }
    let since = json!({"since": position, "sort": "-created_at", "limit": 2});
    let mut again = Socket::open(app.address).await;
    let answer = again.subscribe("entity:Task", since.clone()).await;
    assert_eq!(
        (&answer["payload"]["recovered"], &answer["payload"]["limited"]),
        (&json!(true), &json!(true))
    );
    // The answer to a change may come before the channels have it.
    let mut live = Socket::open(app.address).await;
    live.subscribe("entity:Task", json!({})).await;
    client.patch(&path, json!({"title": "one more"})).await;
    live.expect("entity:updated").await;
    let mut again = Socket::open(app.address).await;
    let answer = again.subscribe("entity:Task", since).await;
    assert_eq!(
        (&answer["payload"]["recovered"], &answer["payload"]["limited"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(page(&mut again).await.0, ["one more"]);
    // Without a limit a thousand and one changes are few.
    let mut whole = Socket::open(app.address).await;
    let answer = whole.subscribe("entity:Task", json!({"since": position})).await;
    assert_eq!(answer["payload"]["recovered"], true);
}

#[tokio::test]
async fn another_epoch_and_a_changed_schema_begin_with_the_same_page() {
    let app = TestApp::over(ruled::schema(), |_| {}).await;
    let client = app.client_as("ada");
    for title in ["a", "c", "b"] {
        client.create("boards", json!({"title": title})).await;
    }
    let mut socket = Socket::open_at(app.address, "/ws?as=ada").await;
    socket.expect("connected").await;
    let elsewhere = json!({"epoch": "0123456789abcdef0123456789abcdef", "seq": 1});
    socket.subscribe("entity:Board", json!({"since": elsewhere, "sort": "-title", "limit": 2})).await;
    assert_eq!(page(&mut socket).await.0, ["c", "b"]);

    let with_color = "entity = \"Board\"\n[fields]\ntitle = { type = \"text\" }\ncolor = { type = \"text\" }\n\
                      [access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n";
    app.reshape(ruled::schema_with(&[("board.toml", with_color)])).await.unwrap();
    socket.expect("schema:changed").await;
    let resync = socket.expect("resync").await;
    assert_eq!(
        (&resync["payload"]["reason"], &resync["payload"]["limited"]),
        (&json!("schema_changed"), &json!(true))
    );
    assert_eq!(page(&mut socket).await.0, ["c", "b"]);

    let without = "entity = \"Board\"\n[fields]\nname = { type = \"text\", was = \"title\" }\n\
                   [access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n";
    app.reshape(ruled::schema_with(&[("board.toml", without)])).await.unwrap();
    socket.expect("schema:changed").await;
    let ended = socket.expect("error").await;
    assert_eq!(
        (&ended["channel"], &ended["payload"]["code"]),
        (&json!("entity:Board"), &json!("BAD_CHANNEL"))
    );
    let text = ended["payload"]["message"].as_str().unwrap();
    assert!(text.contains("`sort`") && text.contains("name"), "{text}");
}

/// What the client has of the rest is unknown, so no difference could be told.
#[tokio::test]
async fn a_change_of_rights_begins_a_limited_subscription_again() {
    let app = TestApp::over(ruled::schema(), |_| {}).await;
    let admin = app.client_as("root");
    let join = async |project: &str| {
        let body = json!({"person": "ada", "project": project});
        admin.create("memberships", body).await["id"].as_str().unwrap().to_owned()
    };
    admin.create("users", json!({"id": "ada", "name": "Ada"})).await;
    let red = join("red").await;
    for (title, project) in [("1", "red"), ("2", "blue"), ("3", "red"), ("4", "blue"), ("5", "red")] {
        admin.create("tasks", json!({"title": title, "project": project})).await;
    }
    let mut socket = Socket::open_at(app.address, "/ws?as=ada").await;
    socket.expect("connected").await;
    socket.subscribe("entity:Task", json!({"snapshot": true, "sort": "-title", "limit": 2})).await;
    assert_eq!(page(&mut socket).await.0, ["5", "3"]);
    let resynced = async |socket: &mut Socket| {
        let resync = socket.expect("resync").await;
        assert_eq!(resync["payload"]["reason"], "rights", "{resync}");
        assert_eq!(resync["payload"]["limited"], true, "{resync}");
        page(socket).await.0
    };
    let blue = join("blue").await;
    assert_eq!(resynced(&mut socket).await, ["5", "4"]);
    admin.delete(&format!("/api/memberships/{red}")).await;
    assert_eq!(resynced(&mut socket).await, ["4", "2"]);
    admin.delete(&format!("/api/memberships/{blue}")).await;
    assert!(resynced(&mut socket).await.is_empty());
    // A change of rights that makes no difference here begins nothing.
    let other = join("green").await;
    socket.expect("resync").await;
    page(&mut socket).await;
    admin.delete(&format!("/api/memberships/{other}")).await;
    socket.expect("resync").await;
    page(&mut socket).await;
    admin.patch("/api/users/ada", json!({"name": "Ada"})).await;
    socket.nothing_else().await;
}

/// Opening a chat of 100,000 messages costs a page, and coming back costs a page.
#[tokio::test]
async fn a_hundred_thousand_records_open_with_one_page() {
    let app = TestApp::with(|config| config.store.scan_rows = 1_000).await;
    let client = app.client();
    for from in (0..100_000).step_by(500) {
        let op = |n: usize| json!({"op": "create", "entity": "Project", "data": {"name": format!("{n}")}});
        let ops: Vec<Value> = (from..from + 500).map(op).collect();
        let answer = client.call("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
    }
    let mut socket = Socket::open(app.address).await;
    let mut back = newest(50);
    back["since"] = json!({"epoch": "0123456789abcdef0123456789abcdef", "seq": 1});
    for payload in [newest(50), back] {
        let (mut bytes, mut rows) = (0, 0);
        socket.send(&json!({"type": "subscribe", "channel": "entity:Project", "payload": payload})).await;
        loop {
            let text = socket.text().await.unwrap();
            bytes += text.len();
            let frame: Value = serde_json::from_str(&text).unwrap();
            rows += frame["payload"]["rows"].as_array().map_or(0, Vec::len);
            if frame["type"] == "pong" {
                break;
            }
        }
        assert_eq!(rows, 50);
        assert!(bytes < 50 * 400, "{bytes}");
    }
    // An order that no index serves is refused as the list is, and so is everything at once.
    let broad = json!({"snapshot": true, "sort": "name", "limit": 50});
    assert_eq!(refused(&mut socket, "entity:Project?color=red", broad).await["code"], "QUERY_TOO_BROAD");
}

#[tokio::test]
async fn what_cannot_be_sorted_or_limited_is_refused_in_words() {
    let app = TestApp::over(ruled::schema(), |_| {}).await;
    app.client_as("root").create("users", json!({"id": "ada", "name": "Ada"})).await;
    let mut socket = Socket::open_at(app.address, "/ws?as=ada").await;
    socket.expect("connected").await;
    let long = "x".repeat(5_000);
    let many: Vec<String> = (0..11).map(|n| format!("title{n}")).collect();
    for (payload, code, words) in [
        (json!({"limit": 0}), "BAD_FRAME", "`payload.limit` is not a whole number from 1 to 1000"),
        (json!({"limit": 1001}), "BAD_FRAME", "from 1 to 1000"),
        (json!({"limit": -1}), "BAD_FRAME", "from 1 to 1000"),
        (json!({"limit": 1.5}), "BAD_FRAME", "from 1 to 1000"),
        (json!({"limit": "5"}), "BAD_FRAME", "from 1 to 1000"),
        (json!({"limit": [5]}), "BAD_FRAME", "from 1 to 1000"),
        (json!({"sort": "title"}), "BAD_FRAME", "`payload.sort` needs a `payload.limit`"),
        (json!({"limit": 5, "sort": 5}), "BAD_FRAME", "`payload.sort` is a number"),
        (json!({"limit": 5, "sort": ["title"]}), "BAD_FRAME", "`payload.sort` is an array"),
        (json!({"limit": 5, "sort": {"title": 1}}), "BAD_FRAME", "`payload.sort` is an object"),
        (json!({"limit": 5, "sort": long}), "BAD_FRAME", "longer than 4096 bytes"),
        (json!({"limit": 5, "sort": "titel"}), "BAD_CHANNEL", "did you mean `title`?"),
        (json!({"limit": 5, "sort": "title,title"}), "BAD_CHANNEL", "names `title` twice"),
        (json!({"limit": 5, "sort": "title,"}), "BAD_CHANNEL", "`` is not a field"),
        (json!({"limit": 5, "sort": many.join(",")}), "BAD_CHANNEL", "is not a field"),
        // Never shown to her, and so no field at all.
        (json!({"limit": 5, "sort": "wage"}), "BAD_CHANNEL", "`wage` is not a field of Task"),
        (json!({"limit": 5, "sort": "-wage"}), "BAD_CHANNEL", "`wage` is not a field of Task"),
    ] {
        for way in [json!({"snapshot": true}), json!({"since": {"epoch": "", "seq": 0}})] {
            let mut payload = payload.clone();
            payload.as_object_mut().unwrap().extend(way.as_object().unwrap().clone());
            let error = refused(&mut socket, "entity:Task", payload.clone()).await;
            assert_eq!(error["code"], code, "{payload}: {error}");
            assert!(error["message"].as_str().unwrap().contains(words), "{payload}: {error}");
        }
    }
    app.client_as("root").patch("/api/users/ada", json!({"role": "admin"})).await;
    socket.expect("rights:changed").await;
    socket.subscribe("entity:Task", json!({"snapshot": true, "limit": 5, "sort": "wage"})).await;
}

/// An order tells of the values that it sorts by.
#[tokio::test]
async fn nobody_sorts_by_a_field_that_some_records_hide() {
    let note = "entity = \"Note\"\n[fields]\nowner = { type = \"text\" }\n\
                diary = { type = \"text\", read = \"owner == user.id\" }\n\
                [access]\nread = \"true\"\ncreate = \"true\"\n";
    let app = TestApp::over(ruled::schema_with(&[("note.toml", note)]), |_| {}).await;
    let mut socket = Socket::open_at(app.address, "/ws?as=ada").await;
    socket.expect("connected").await;
    let asked = json!({"snapshot": true, "limit": 5, "sort": "diary"});
    let error = refused(&mut socket, "entity:Note", asked).await;
    assert_eq!(error["code"], "BAD_CHANNEL", "{error}");
    assert!(error["message"].as_str().unwrap().contains("hidden in some records"), "{error}");
}
