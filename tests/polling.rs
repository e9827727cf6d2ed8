//! `GET /api/changes`: the same events with the same positions, for those who have no socket.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::app::TestApp;
use crate::support::socket::Socket;

fn position(answer: &Value) -> String {
    format!("{}:{}", answer["epoch"].as_str().unwrap(), answer["seq"])
}

fn titles(answer: &Value) -> Vec<&str> {
    answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["payload"]["title"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn polls_and_sockets_deliver_the_same_events() {
    let app = TestApp::start().await;
    let api = app.client();
    let start = api.get("/api/changes?channel=entity:Task").await;
    assert_eq!(start["channels"][0]["recovered"], false, "without since there is nothing to go on from");
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    let task = api.create("tasks", json!({"title": "a"})).await;
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    api.patch(&path, json!({"title": "b"})).await;
    api.delete(&path).await;
    let polled = api.get(&format!("/api/changes?channel=entity:Task&since={}", position(&start))).await;
    let events = polled["events"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    for event in events {
        assert_eq!(socket.frame().await, *event, "the same object");
    }
    assert_eq!(polled["channels"][0]["recovered"], true);
    let again = api.get(&format!("/api/changes?channel=entity:Task&since={}", position(&polled))).await;
    assert_eq!((&again["events"], &again["hasMore"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn many_channels_share_one_position() {
    let app = TestApp::start().await;
    let api = app.client();
    let start = api.get("/api/changes?channel=entity:Task&channel=entity:Project&channel=entity:Nope").await;
    assert_eq!(start["errors"][0]["code"], "UNKNOWN_ENTITY");
    assert_eq!(start["errors"][0]["channel"], "entity:Nope");
    let view = start["channels"][0]["view"].as_str().unwrap();
    api.create("projects", json!({"name": "p"})).await;
    api.create("tasks", json!({"title": "t"})).await;
    let query = format!(
        "/api/changes?channel=entity:Task&view={view}&channel=entity:Project&view=other&since={}",
        position(&start)
    );
    let answer = api.get(&query).await;
    assert_eq!(answer["channels"][0]["recovered"], true);
    assert_eq!(answer["channels"][1]["recovered"], false, "another view is no resume");
    assert_eq!(titles(&answer), ["t"], "a channel that is not recovered gets no events");
}

#[tokio::test]
async fn a_long_poll_answers_when_something_happens_and_not_before() {
    let app = TestApp::start().await;
    let api = app.client();
    let start = api.get("/api/changes?channel=entity:Task").await;
    let waiting = {
        let (api, query) =
            (app.client(), format!("/api/changes?channel=entity:Task&since={}&wait=25", position(&start)));
        tokio::spawn(async move { (api.get(&query).await, Instant::now()) })
    };
    app.wait_for_groups(1).await;
    api.create("projects", json!({"name": "not asked for"})).await;
    let written = Instant::now();
    api.create("tasks", json!({"title": "asked for"})).await;
    let (answer, answered) = waiting.await.unwrap();
    assert_eq!(titles(&answer), ["asked for"]);
    assert!(answered >= written && answered - written < Duration::from_secs(10));
    app.wait_for_groups(0).await;
}

#[tokio::test]
async fn a_poll_whose_client_goes_away_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let start = app.client().get("/api/changes?channel=entity:Task").await;
    let id = "01890000-0000-7000-8000-00000000000a";
    let query = format!("/api/changes?channel=entity:Task:{id}&since={}&wait=25", position(&start));
    let api = app.client();
    let waiting = tokio::spawn(async move { api.get(&query).await });
    app.wait_for_groups(1).await;
    waiting.abort();
    app.wait_for_groups(0).await;
}

#[tokio::test]
async fn pages_of_a_long_backlog_never_split_a_unit_and_end() {
    let app = TestApp::with(|config| config.realtime.page_rows = 4).await;
    let api = app.client();
    let mut at = position(&api.get("/api/changes?channel=entity:Task").await);
    let project = api.create("projects", json!({"name": "p"})).await;
    for n in 0..9 {
        api.create("tasks", json!({"title": format!("{n}"), "project": project["id"]})).await;
    }
    api.delete(&format!("/api/projects/{}", project["id"].as_str().unwrap())).await;
    let mut pages = Vec::new();
    loop {
        let answer = api.get(&format!("/api/changes?channel=entity:Task&since={at}")).await;
        at = position(&answer);
        let events = answer["events"].as_array().unwrap().clone();
        if let Some(last) = events.last() {
            assert!(last["more"].is_null(), "a page ends with a unit: {last}");
        }
        pages.push(events.len());
        if answer["hasMore"] == false {
            break;
        }
    }
    assert_eq!(pages.iter().sum::<usize>(), 18, "{pages:?}");
    assert!(pages.len() > 2, "{pages:?}");
}

#[tokio::test]
async fn bad_query_bodies_get_errors_that_name_the_mistake() {
    let app = TestApp::start().await;
    let api = app.client();
    for (query, word) in [
        ("", "channel"),
        ("?since=1:2", "channel"),
        ("?channel=entity:Task&since=5", "since"),
        ("?channel=entity:Task&since=:5", "since"),
        ("?channel=entity:Task&wait=-1", "wait"),
        ("?channel=entity:Task&wait=ever", "wait"),
        ("?channel=entity:Task&wait=26", "wait"),
        ("?channel=entity:Task&view=a&view=b", "view"),
        ("?channel=entity:Task&colour=red", "colour"),
    ] {
        let (status, problem) = api.get_any(&format!("/api/changes{query}")).await;
        assert_eq!(status, 400, "{query}: {problem}");
        let code = if word == "since" { "BAD_POSITION" } else { "BAD_QUERY" };
        assert_eq!(problem["code"], code, "{query}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {problem}");
    }
}

#[tokio::test]
async fn a_long_poll_of_a_refused_query_is_answered_at_once() {
    let app = TestApp::with(|config| config.realtime.scan_groups = 0).await;
    let api = app.client();
    let channels = "channel=entity:Task%3Fpriority%5Bgte%5D=3&channel=entity:Project";
    let start = api.get(&format!("/api/changes?{channels}")).await;
    let asked = Instant::now();
    let answer = api.get(&format!("/api/changes?{channels}&since={}&wait=25", position(&start))).await;
    assert!(asked.elapsed() < Duration::from_secs(15), "it waited for what would never come");
    let names: Vec<_> = answer["channels"].as_array().unwrap().iter().map(|one| &one["channel"]).collect();
    assert_eq!(names, ["entity:Project"], "a channel that is refused goes on from nowhere");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{answer}");
    assert_eq!(
        (&errors[0]["channel"], &errors[0]["code"]),
        (&json!("entity:Task?priority[gte]=3"), &json!("QUERY_LIMIT"))
    );
    assert!(errors[0]["message"].as_str().unwrap().contains("compare no field for equality"), "{answer}");
    app.wait_for_groups(0).await;
    // Without waiting it needs no group.
    api.create("tasks", json!({"title": "t", "priority": 5})).await;
    let answer = api.get(&format!("/api/changes?{channels}&since={}", position(&start))).await;
    assert_eq!((titles(&answer), &answer["errors"]), (vec!["t"], &json!([])));
}
