//! Fields that are called like the parameters of requests: brackets tell which is meant.

use serde_json::json;
use tidewire::schema::{Format, SourceFile, check};

use crate::support::app::TestApp;
use crate::support::follower::Follower;
use crate::support::socket::Socket;

const WORDS: [&str; 13] = [
    "sort",
    "limit",
    "cursor",
    "expand",
    "fields",
    "search",
    "group",
    "as",
    "claims",
    "token",
    "ticket",
    "access_token",
    "api_key",
];

async fn app() -> TestApp {
    let fields: String = WORDS.map(|word| format!("{word} = {{ type = 'text' }}\n")).concat();
    let text = format!("entity = 'Odd'\n[fields]\n{fields}");
    let source = SourceFile { name: "odd.toml".to_owned(), format: Format::Toml, text };
    TestApp::over(check(&[source]).unwrap_or_else(|errors| panic!("{errors}")).into(), |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_with_the_name_of_a_parameter_is_filtered_by_brackets() {
    let app = app().await;
    let client = app.client();
    let all = |value: &str| WORDS.iter().map(|word| ((*word).to_owned(), json!(value))).collect();
    let of = |value: &str| serde_json::Value::Object(all(value));
    let x = client.create("odds", of("x")).await;
    client.create("odds", of("y")).await;
    for word in WORDS {
        let list = client.get(&format!("/api/odds?{word}[eq]=x&limit=5")).await;
        assert_eq!(list["items"], json!([x]), "{word}");
        let asked = json!({word: {"in": ["x", "z"]}, "sort": word});
        let asked = if word == "sort" { json!({"sort": {"eq": "x"}}) } else { asked };
        let (status, list) = client.any("POST", "/api/odds/query", asked).await;
        assert_eq!((status, &list["items"]), (200, &json!([x])), "{word}");
        let sorted = client.get(&format!("/api/odds?sort=-{word}&fields={word}")).await;
        assert_eq!(sorted["items"][1][word], "x", "{word}");
        let counted = client.get(&format!("/api/odds/count?group={word}&{word}[ne]=y")).await;
        assert_eq!(counted["count"], 1, "{word}");
    }
    let document = client.get("/api/openapi.json").await.to_string();
    assert!(document.contains("\"limit[eq]\"") && document.contains("\"token[eq]\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_query_filters_by_a_field_with_the_name_of_a_parameter() {
    let app = app().await;
    let client = app.client();
    for word in WORDS {
        let mut follower = Follower::new(&format!("entity:Odd?{word}[eq]=x"));
        let mut socket = Socket::open(app.address).await;
        socket.send(&follower.subscribe()).await;
        while !follower.live {
            follower.take(&socket.frame().await);
        }
        assert!(follower.rows.is_empty(), "{word}");
        client.create("odds", json!({word: "y"})).await;
        let made = client.create("odds", json!({word: "x"})).await;
        while follower.rows.is_empty() {
            follower.take(&socket.frame().await);
        }
        let rows: Vec<_> = follower.rows.into_values().collect();
        assert_eq!(rows, [made], "{word}");
    }
}
