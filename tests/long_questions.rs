//! Questions that are too long for an address: lists, counts and polls as JSON bodies. The same grammar, the same answers, the
//! same rights, and nothing is written.

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::entities;

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

async fn app() -> (TestApp, Client) {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let ada = app.client_as("ada");
    let project = ada.create("projects", json!({"name": "Harbour"})).await;
    for (n, title) in ["", "a", "b, c", "d\\e", "ä"].iter().enumerate() {
        let task = json!({"title": format!("{title}!"), "priority": n % 3 + 1, "project": project["id"]});
        ada.create("tasks", task).await;
    }
    let api = app.client();
    (app, api)
}

#[tokio::test]
async fn a_question_in_json_is_answered_like_the_same_one_in_an_address() {
    let (app, api) = app().await;
    for (address, body) in [
        ("", json!({})),
        ("status=open&priority[gte]=2", json!({"status": "open", "priority": {"gte": 2}})),
        ("status=open&priority[gte]=2", json!({"priority": {"gte": "2"}, "status": {"eq": "open"}})),
        ("due[null]=true&sort=-priority,title", json!({"due": null, "sort": ["-priority", "title"]})),
        ("title[in]=a!,b\\, c!,d\\\\e!", json!({"title": {"in": ["a!", "b, c!", "d\\e!"]}})),
        ("title[in]=", json!({"title": {"in": []}})),
        ("priority[in]=1,3&limit=2", json!({"priority": {"in": [1, 3]}, "limit": 2})),
        ("limit=2&sort=-title", json!({"limit": "2", "sort": "-title"})),
        ("fields=title&expand=project,owner", json!({"fields": ["title"], "expand": "project,owner"})),
        ("search=a", json!({"search": "a"})),
        // Refusals, too, word for word.
        ("colour=red", json!({"colour": "red"})),
        ("status[like]=o", json!({"status": {"like": "o"}})),
        ("status=opne", json!({"status": "opne"})),
        ("priority=x", json!({"priority": "x"})),
        ("priority=1.5", json!({"priority": 1.5})),
        ("limit=0", json!({"limit": 0})),
        ("limit=1001", json!({"limit": 1001})),
        ("sort=title,title", json!({"sort": ["title", "title"]})),
        ("fields=", json!({"fields": []})),
        ("group=status", json!({"group": "status"})),
        ("cursor=x", json!({"cursor": "x"})),
        ("offset=3", json!({"offset": 3})),
    ] {
        let query = address.replace('\\', "%5C").replace(' ', "%20");
        for name in ["", "ada"] {
            let api = if name.is_empty() { app.client() } else { app.client_as(name) };
            let got = api.call("GET", &format!("/api/tasks?{query}"), Value::Null).await;
            let posted = api.call("POST", "/api/tasks/query", body.clone()).await;
            let told = |text: &str, id: &str| text.replace(id, "-");
            assert_eq!(
                (posted.status, told(&posted.text, posted.header("x-request-id"))),
                (got.status, told(&got.text, got.header("x-request-id"))),
                "{address}"
            );
            for header in ["tidewire-seq", "content-type", "etag", "cache-control", "allow", "retry-after"] {
                assert_eq!(posted.header(header), got.header(header), "{header} of {address}");
            }
        }
    }
    for (address, body) in [
        ("", json!({})),
        ("group=priority&status=open", json!({"group": "priority", "status": "open"})),
        ("title[in]=a!,b\\, c!", json!({"title": {"in": ["a!", "b, c!"]}})),
        ("sort=title", json!({"sort": "title"})),
        ("group=tags", json!({"group": "tags"})),
    ] {
        let query = address.replace('\\', "%5C").replace(' ', "%20");
        let got = api.call("GET", &format!("/api/tasks/count?{query}"), Value::Null).await;
        let posted = api.call("POST", "/api/tasks/count", body).await;
        assert_eq!((posted.status, &posted.json["count"]), (got.status, &got.json["count"]), "{address}");
        assert_eq!(
            (&posted.json["groups"], &posted.json["detail"]),
            (&got.json["groups"], &got.json["detail"])
        );
    }
    // A cursor continues in either form.
    let first = api.get("/api/tasks?limit=2&priority[gte]=1&sort=title").await;
    let body = json!({"limit": 2, "priority": {"gte": 1}, "sort": "title", "cursor": first["next"]});
    let second = api.call("POST", "/api/tasks/query", body).await.json;
    assert_eq!(second["items"].as_array().unwrap().len(), 2);
    let next = second["next"].as_str().unwrap();
    let third = api.get(&format!("/api/tasks?limit=2&priority[gte]=1&sort=title&cursor={next}")).await;
    assert_eq!((third["items"].as_array().unwrap().len(), &third["next"]), (1, &Value::Null));
}

#[tokio::test]
async fn unsupported_members_of_a_query_body_are_refused() {
    let (_app, api) = app().await;
    for path in ["/api/tasks/query", "/api/tasks/count"] {
        for (address, body, code, word) in [
            ("", json!([]), "BAD_JSON", "expected one JSON object"),
            ("", json!({"status": {}}), "BAD_QUERY", "is an empty object"),
            ("", json!({"status": ["open"]}), "BAD_QUERY", "{\"in\": [\"a\", \"b\"]}"),
            ("", json!({"status": {"eq": null}}), "BAD_QUERY", "`status[eq]` is null"),
            ("", json!({"priority[gte]": 3}), "BAD_QUERY", "write it inside"),
            ("", json!({"as": "ada"}), "BAD_QUERY", "`as` is in the body"),
            ("", json!({"token": "x"}), "BAD_QUERY", "`token` is in the body"),
            ("?limit=3", json!({}), "BAD_QUERY", "`limit` is in the address"),
            ("?status=open", json!({}), "BAD_QUERY", "`status` is in the address"),
            ("", json!({"priority": {"in": vec![1; 501]}}), "BAD_QUERY", "501 values; at most 500"),
        ] {
            let answer = api.call("POST", &format!("{path}{address}"), body).await;
            assert_eq!((answer.status, answer.json["code"].as_str()), (400, Some(code)), "{}", answer.text);
            assert!(answer.json["detail"].as_str().unwrap().contains(word), "{}", answer.text);
        }
        let number = r#"{"priority": 123456789012345678901234567890}"#;
        let request = api.request("POST", path).header("Content-Type", "application/json").body(number);
        let answer = api.send(request).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_long_question_reads_and_is_for_own_pages_only() {
    let (app, api) = app().await;
    let (head, users) = (app.head(), app.rows("users").await.len());
    for (path, body) in [
        ("/api/tasks/query", json!({"status": "open"})),
        ("/api/tasks/count", json!({"status": "open"})),
        ("/api/changes", json!({"channels": [{"channel": "entity:Task"}]})),
    ] {
        let once = [("Idempotency-Key", "once")];
        for _ in 0..2 {
            let answer = api.call_with("POST", path, body.clone(), &once).await;
            assert_eq!((answer.status, answer.header("tidewire-replayed")), (200, ""), "{}", answer.text);
        }
        for origin in ["http://evil.example", "null", "http://localhost:1"] {
            for path in [path.to_owned(), format!("{path}?as=mallory")] {
                let answer = api.call_with("POST", &path, body.clone(), &[("Origin", origin)]).await;
                assert_eq!(
                    (answer.status, &answer.json["code"]),
                    (403, &json!("FORBIDDEN_ORIGIN")),
                    "{path}"
                );
            }
        }
        // What a form of a stranger can send without asking first.
        for media in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            let request = api.request("POST", path).header("Content-Type", media).body(body.to_string());
            assert_eq!(api.send(request).await.status, 415, "{media}");
        }
        let large = json!({"title": "x".repeat(1 << 20)});
        assert_eq!(api.call("POST", path, large).await.status, 413, "{path}");
    }
    assert_eq!((app.head(), app.rows("users").await.len()), (head, users), "nothing was written");
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = api.call(method, "/api/tasks/query", Value::Null).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{method}");
    }
}

#[tokio::test]
async fn five_hundred_ids_are_answered_where_no_address_holds_them() {
    let (_app, api) = app().await;
    let ops: Vec<_> = (0..500)
        .map(|n| json!({"op": "create", "entity": "Task", "data": {"title": n.to_string()}}))
        .collect();
    let made = api.call("POST", "/api/batch", json!({"ops": ops})).await.json;
    let ids: Vec<&str> =
        made["results"].as_array().unwrap().iter().map(|result| result["id"].as_str().unwrap()).collect();
    let address = format!("/api/tasks?limit=1000&id[in]={}", ids.join(","));
    assert_eq!(api.call("GET", &address, Value::Null).await.status, 431, "else this test shows nothing");
    let page = api.call("POST", "/api/tasks/query", json!({"id": {"in": ids}, "limit": 1000})).await;
    assert_eq!((page.status, page.json["items"].as_array().unwrap().len()), (200, 500), "{}", page.text);
    let count = api.call("POST", "/api/tasks/count", json!({"id": {"in": ids}})).await;
    assert_eq!(count.json["count"], 500);
}

#[tokio::test]
async fn a_poll_in_json_is_answered_like_the_same_one_in_an_address() {
    let (app, api) = app().await;
    let start = api.get("/api/changes?channel=entity:Task&channel=entity:Project").await;
    let since = format!("{}:{}", start["epoch"].as_str().unwrap(), start["seq"]);
    let view = |at: usize| start["channels"][at]["view"].as_str().unwrap().to_owned();
    app.client_as("ada").create("tasks", json!({"title": "news"})).await;
    let (task, project) = (view(0), view(1));
    for (address, body) in [
        ("channel=entity:Task".to_owned(), json!({"channels": [{"channel": "entity:Task"}]})),
        (
            format!("channel=entity:Task&view={task}&channel=entity:Project&view={project}&since={since}"),
            json!({"channels": [{"channel": "entity:Task", "view": task}, {"channel": "entity:Project", "view": project}],
                   "since": since}),
        ),
        (
            format!("channel=entity:Task&view=&channel=entity:Nope&view=x&since={since}&wait=0"),
            json!({"channels": [{"channel": "entity:Task", "view": null}, {"channel": "entity:Nope", "view": "x"}],
                   "since": since, "wait": 0}),
        ),
        (
            "channel=entity:Task?status%3Dopen&channel=entity:Task?status%3Dopen".to_owned(),
            json!({"channels": [{"channel": "entity:Task?status=open"}, {"channel": "entity:Task?status=open"}]}),
        ),
        (
            "channel=entity:Task&wait=26".to_owned(),
            json!({"channels": [{"channel": "entity:Task"}], "wait": 26}),
        ),
        (
            "channel=entity:Task&wait=-1".to_owned(),
            json!({"channels": [{"channel": "entity:Task"}], "wait": -1}),
        ),
        (
            "channel=entity:Task&since=x".to_owned(),
            json!({"channels": [{"channel": "entity:Task"}], "since": "x"}),
        ),
        (String::new(), json!({"channels": []})),
    ] {
        let got = api.call("GET", &format!("/api/changes?{address}"), Value::Null).await;
        let posted = api.call("POST", "/api/changes", body).await;
        let told = |text: &str, id: &str| text.replace(id, "-");
        assert_eq!(
            (posted.status, told(&posted.text, posted.header("x-request-id"))),
            (got.status, told(&got.text, got.header("x-request-id"))),
            "{address}"
        );
        assert_eq!(posted.header("cache-control"), got.header("cache-control"));
    }
    for (body, code, word) in [
        (json!({}), "BAD_JSON", "`channels` must be an array"),
        (json!({"channels": "entity:Task"}), "BAD_JSON", "`channels` must be an array"),
        (json!({"channels": ["entity:Task"]}), "BAD_JSON", "`channels[0]` must be an object"),
        (json!({"channels": [{"view": "x"}]}), "BAD_JSON", "`channels[0]` names no `channel`"),
        (json!({"channels": [{"channel": 1}]}), "BAD_JSON", "`channels[0].channel` must be a text"),
        (json!({"channels": [{"channel": "entity:Task", "since": "x"}]}), "BAD_JSON", "`channels[0].since`"),
        (json!({"channel": "entity:Task"}), "BAD_JSON", "`channel` is not known here"),
        (json!({"channels": [{"channel": "entity:Task"}], "wait": "1"}), "BAD_JSON", "`wait` must be"),
        (json!({"channels": [{"channel": "entity:Task"}], "wait": 0.5}), "BAD_QUERY", "whole number"),
        (json!({"channels": [{"channel": "entity:Task"}], "since": 3}), "BAD_JSON", "`since` must be a text"),
        (
            json!({"channels": vec![json!({"channel": "entity:Task"}); 501]}),
            "BAD_QUERY",
            "501 channels are named: one poll names at most 500",
        ),
    ] {
        let answer = api.call("POST", "/api/changes", body).await;
        assert_eq!((answer.status, answer.json["code"].as_str()), (400, Some(code)), "{}", answer.text);
        assert!(answer.json["detail"].as_str().unwrap().contains(word), "{}", answer.text);
    }
    let misplaced = api.call("POST", "/api/changes?wait=1", json!({"channels": []})).await;
    assert!(misplaced.text.contains("`wait` is in the address"), "{}", misplaced.text);
}

#[tokio::test]
async fn fifty_channels_of_the_longest_names_fit_into_one_poll() {
    let (app, api) = app().await;
    let channels: Vec<_> = (0..50)
        .map(|n| {
            let start = format!("entity:Task?title[in]=news,{n},");
            json!({"channel": format!("{start}{}", "x".repeat(4096 - start.len()))})
        })
        .collect();
    let start = api.call("POST", "/api/changes", json!({"channels": channels})).await;
    assert_eq!((start.status, &start.json["errors"]), (200, &json!([])), "{}", start.text);
    let asked: Vec<_> = start.json["channels"].as_array().unwrap().iter().collect();
    let since = format!("{}:{}", start.json["epoch"].as_str().unwrap(), start.json["seq"]);
    let asked: Vec<_> =
        asked.iter().map(|known| json!({"channel": known["channel"], "view": known["view"]})).collect();
    app.client_as("ada").create("tasks", json!({"title": "news"})).await;
    let answer =
        api.call("POST", "/api/changes", json!({"channels": asked, "since": since, "wait": 25})).await;
    assert_eq!(answer.json["events"].as_array().unwrap().len(), 50, "{}", answer.text);
    let few = asked.iter().take(5).map(|one| encoded(one["channel"].as_str().unwrap()));
    let address = few.map(|channel| format!("channel={channel}")).collect::<Vec<_>>().join("&");
    let got = api.call("GET", &format!("/api/changes?{address}"), Value::Null).await;
    assert_eq!(got.status, 431, "else this test shows nothing");
}
