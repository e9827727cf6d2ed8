//! What the inspector shows as JSON: connections with their subscriptions, channels, the newest changes, numbers of the moment.

use serde_json::{Value, json};

use super::team::{Team, id, text};

fn items(json: &Value) -> &Vec<Value> {
    json["items"].as_array().unwrap_or_else(|| panic!("no items: {json}"))
}

#[tokio::test]
async fn a_connection_shows_its_transport_and_where_each_subscription_is() {
    let team = Team::start().await;
    let (mut ada, connection) = team.socket("ada").await;
    let before = team.app.head();
    ada.subscribe("entity:Task", json!({})).await;
    ada.subscribe("entity:Ticket?title=t", json!({"snapshot": true})).await;
    ada.expect("snapshot").await;
    ada.expect("pong").await;
    let listed = team.root.get("/api/admin/connections").await;
    let row = &items(&listed)[0];
    assert_eq!((&row["transport"], &row["userId"]), (&json!("ws"), &json!("ada")), "{row}");
    assert_eq!(
        (&row["waitingBatches"], &row["roundTripMs"]),
        (&json!(0), &Value::Null),
        "no ping yet: {row}"
    );
    let one = team.root.get(&format!("/api/admin/connections/{connection}")).await;
    let subscription =
        |channel: &str, at: u64| json!({"channel": channel, "phase": "live", "since": at, "sent": at});
    assert_eq!(
        one["channels"],
        json!([subscription("entity:Task", before), subscription("entity:Ticket?title=t", before)]),
        "{one}"
    );
    let seq = team.set("Task", 11, "title", json!("another")).await;
    ada.expect("entity:updated").await;
    let one = team.root.get(&format!("/api/admin/connections/{connection}")).await;
    assert_eq!(
        (&one["channels"][0]["since"], &one["channels"][0]["sent"]),
        (&json!(before), &json!(seq)),
        "{one}"
    );
    for gone in ["x", "0190a000-0000-7000-8000-00000000000a"] {
        let answer = team.root.call("GET", &format!("/api/admin/connections/{gone}"), Value::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("NOT_FOUND")), "{gone}");
    }
    ada.nothing_else().await;
}

#[tokio::test]
async fn channels_are_listed_with_their_subscribers_and_their_events() {
    let team = Team::start().await;
    let (mut ada, _) = team.socket("ada").await;
    let (mut ben, _) = team.socket("ben").await;
    let (mut cy, _) = team.socket("cy").await;
    for socket in [&mut ada, &mut ben, &mut cy] {
        socket.subscribe("entity:Project", json!({})).await;
    }
    ada.subscribe("entity:Ticket", json!({})).await;
    let seq = team.set("Project", 21, "name", json!("another")).await;
    for socket in [&mut ada, &mut ben, &mut cy] {
        socket.expect("entity:updated").await;
    }
    let listed = team.root.get("/api/admin/inspect/channels").await;
    let rows: Vec<Value> = items(&listed)
        .iter()
        .map(|row| json!([row["channel"], row["subscribers"], row["events"], row["position"]]))
        .collect();
    assert_eq!(rows[0], json!(["entity:Project", 3, 1, seq]), "{listed}");
    assert_eq!(rows[1], json!(["entity:Ticket", 1, 0, seq - 1]), "{listed}");
    assert_eq!((&listed["count"], &listed["position"]), (&json!(2), &json!(seq)), "{listed}");
    let first = team.root.get("/api/admin/inspect/channels?limit=1").await;
    assert_eq!((items(&first).len(), &first["count"]), (1, &json!(2)), "{first}");
}

#[tokio::test]
async fn the_tail_shows_what_changed_as_far_as_the_administrator_may_read_it() {
    let team = Team::start().await;
    let after = team.app.head();
    let ada = team.client("ada");
    ada.patch_with_mid(&format!("/api/tickets/{}", id(31)), json!({"title": "new"}), "m-1").await;
    team.set("Task", 11, "status", json!("done")).await;
    team.set("Vault", 43, "title", json!("opened")).await;
    let tail = team.root.get(&format!("/api/admin/inspect/events?after={after}")).await;
    let rows = items(&tail);
    assert_eq!(rows.len(), 3, "{tail}");
    let first = &rows[0];
    assert_eq!(
        (&first["op"], &first["entity"], &first["by"]),
        (&json!("update"), &json!("Ticket"), &json!("ada")),
        "{first}"
    );
    assert_eq!((&first["seq"], &first["mid"]), (&json!(after + 1), &json!("m-1")), "{first}");
    assert_eq!(first["diff"], json!([{"field": "title", "before": "t", "after": "new"}]), "{first}");
    // The role gives no right to read tasks: no user is above the rules.
    assert_eq!((&rows[1]["hidden"], &rows[1]["diff"]), (&json!(true), &Value::Null), "{}", rows[1]);
    assert_eq!(rows[2]["diff"], json!([{"field": "title", "before": "x", "after": "opened"}]), "{}", rows[2]);
    assert_eq!((&tail["next"], &tail["head"]), (&json!(after + 3), &json!(after + 3)), "{tail}");
    for (query, count) in [
        ("entity=Ticket", 1),
        ("by=ada", 1),
        ("mid=m-1", 1),
        ("mid=m-2", 0),
        ("entity=Task&by=ada", 0),
        (&*format!("record={}", id(43)), 1),
    ] {
        let tail = team.root.get(&format!("/api/admin/inspect/events?after={after}&{query}")).await;
        assert_eq!(items(&tail).len(), count, "{query}: {tail}");
        assert_eq!(tail["next"], json!(after + 3), "what is left out is passed over: {query}");
    }
    let newest = team.root.get("/api/admin/inspect/events?limit=2").await;
    assert_eq!(items(&newest).len(), 2, "{newest}");
    for query in ["after=x", "limit=0", "page=1"] {
        let answer = team.root.call("GET", &format!("/api/admin/inspect/events?{query}"), Value::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("BAD_QUERY")), "{query}");
    }
}

#[tokio::test]
async fn the_overview_has_the_log_the_queues_and_the_limits_that_were_reached() {
    let team = Team::with(|config| config.realtime.subscriptions = 1).await;
    let (mut ada, _) = team.socket("ada").await;
    ada.subscribe("entity:Project", json!({})).await;
    ada.send(&json!({"type": "subscribe", "channel": "entity:Ticket", "requestId": "s"})).await;
    ada.expect("error").await;
    let seq = team.set("Project", 21, "name", json!("another")).await;
    ada.expect("entity:updated").await;
    let whole = team.root.get("/api/admin/inspect").await;
    assert_eq!(whole["limits"], json!({"SUBSCRIPTION_LIMIT": 1}), "{whole}");
    let log = &whole["log"];
    assert_eq!(
        (&log["head"], &log["floor"], &log["changes"]),
        (&json!(seq), &json!(0), &json!(seq)),
        "{whole}"
    );
    assert_eq!(
        (&log["retentionChanges"], &log["retentionSeconds"]),
        (&json!(1_000_000), &json!(86_400)),
        "{whole}"
    );
    let bytes = |whole: &Value| whole["log"]["aboutBytes"].as_u64().unwrap();
    let before = bytes(&whole);
    assert!(before > 200 * seq && before < 2_000 * seq, "{whole}");
    team.put("Article", json!({"title": "x".repeat(10_000)})).await;
    let one_more = bytes(&team.root.get("/api/admin/inspect").await);
    assert!((10_000..10_500).contains(&(one_more - before)), "a short log is counted: {before}, {one_more}");
    // A longer one is estimated from 200 of its entries.
    let mut about = Vec::new();
    for _ in 0..2 {
        for _ in 0..300 {
            team.put("Article", json!({"title": "y".repeat(1_000)})).await;
        }
        about.push(bytes(&team.root.get("/api/admin/inspect").await));
    }
    let grown = about[1] - about[0];
    assert!((250_000..500_000).contains(&grown), "300 entries of more than 1,000 bytes: {about:?}");
    assert_eq!((&whole["stats"]["connections"], &whole["refusals"]), (&json!(1), &json!(1)), "{whole}");
    assert!(whole["delay"]["batches"].as_u64().unwrap() > 0, "{whole}");
    assert!(text(&whole["now"]).ends_with('Z'), "{whole}");
    for name in ["commands", "reads", "eventBus", "ringChanges", "outboxBytes"] {
        assert!(whole["queues"][name].is_u64(), "{name}: {whole}");
    }
}
