//! Ids: a record is the same under every spelling of its UUID, wherever an id comes in, and leaves under one.

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::socket::Socket;

const TASK: &str = "0190a000-0000-7000-8000-00000000abcd";
const PROJECT: &str = "0190a000-0000-7000-8000-00000000eeee";

/// Every form that is taken for the UUID.
fn spellings(id: &str) -> [String; 7] {
    let plain = id.replace('-', "");
    [
        id.to_owned(),
        id.to_uppercase(),
        plain.clone(),
        plain.to_uppercase(),
        format!("{{{id}}}"),
        format!("{{{}}}", id.to_uppercase()),
        format!("urn:uuid:{id}"),
    ]
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn ids(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

async fn app() -> (TestApp, Client) {
    let app = TestApp::start().await;
    let api = app.client();
    api.create("projects", json!({"id": PROJECT, "name": "p"})).await;
    api.create("tasks", json!({"id": TASK, "title": "t", "project": PROJECT})).await;
    (app, api)
}

#[tokio::test]
async fn an_address_or_a_filter_finds_a_record_under_every_spelling_of_its_id() {
    let (_app, api) = app().await;
    for (task, project) in spellings(TASK).iter().zip(spellings(PROJECT)) {
        let (task, project) = (encoded(task), encoded(&project));
        assert_eq!(api.get(&format!("/api/tasks/{task}")).await["id"], TASK, "{task}");
        let whole = api.get(&format!("/api/tasks/{task}?expand=project&fields=project")).await;
        assert_eq!(
            (&whole["project"], &whole["expanded"]["project"]["id"]),
            (&json!(PROJECT), &json!(PROJECT))
        );
        for filter in [
            format!("id={task}"),
            format!("id[eq]={task}"),
            format!("id[in]={task}"),
            format!("id[gte]={task}&id[lte]={task}"),
            format!("project={project}"),
            format!("project[in]={project}"),
        ] {
            assert_eq!(ids(&api.get(&format!("/api/tasks?{filter}")).await["items"]), [TASK], "{filter}");
            assert_eq!(api.get(&format!("/api/tasks/count?{filter}")).await["count"], 1, "{filter}");
        }
        for filter in [format!("id[ne]={task}"), format!("id[gt]={task}"), format!("project[ne]={project}")] {
            assert_eq!(ids(&api.get(&format!("/api/tasks?{filter}")).await["items"]), [""; 0], "{filter}");
        }
    }
}

#[tokio::test]
async fn a_write_reaches_a_record_under_every_spelling_of_its_id_and_stores_one() {
    let (_app, api) = app().await;
    for (task, project) in spellings(TASK).iter().zip(spellings(PROJECT)) {
        let path = format!("/api/tasks/{}", encoded(task));
        let written = api.patch(&path, json!({"title": task, "project": project})).await;
        assert_eq!((&written["id"], &written["project"]), (&json!(TASK), &json!(PROJECT)), "{task}");
        let again = api.call("POST", "/api/tasks", json!({"id": task, "title": "again"})).await;
        assert_eq!((again.status, again.json["code"].as_str()), (409, Some("ID_TAKEN")), "{task}");
        let ops = json!({"ops": [
            {"op": "delete", "entity": "Task", "id": task},
            {"op": "create", "entity": "Task", "id": task, "data": {"title": "t"}},
            {"op": "update", "entity": "Task", "id": task, "data": {"project": project}},
            {"op": "replace", "entity": "Task", "id": task, "data": {"title": "r", "project": project}},
            {"op": "delete", "entity": "Task", "id": task},
            {"op": "create", "entity": "Task", "data": {"id": task, "title": "t", "project": project}},
        ]});
        let done = api.call("POST", "/api/batch", ops).await;
        assert_eq!(done.status, 200, "{}", done.text);
        let results = done.json["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["id"] == TASK), "{}", done.text);
        assert_eq!(results[5]["record"]["project"], PROJECT);
    }
    // An operation refers to what an earlier one made, each in its own spelling.
    let made = "0190a000-0000-7000-8000-00000000ffff";
    for (first, second) in spellings(made).iter().zip(spellings(made).iter().rev()) {
        let ops = json!({"ops": [
            {"op": "create", "entity": "Project", "data": {"id": first, "name": "new"}},
            {"op": "create", "entity": "Task", "data": {"title": "within", "project": second}},
            {"op": "delete", "entity": "Project", "id": second},
        ]});
        let done = api.call("POST", "/api/batch", ops).await;
        assert_eq!(done.status, 200, "{first} and {second}: {}", done.text);
        assert_eq!(done.json["results"][1]["record"]["project"], made);
    }
}

#[tokio::test]
async fn a_channel_gets_changes_of_its_record_under_every_spelling_of_its_id() {
    let (app, api) = app().await;
    for (task, project) in spellings(TASK).iter().zip(spellings(PROJECT)) {
        let channels = [
            format!("entity:Task:{}", encoded(task)),
            format!("entity:Task?id={}", encoded(task)),
            format!("entity:Task?id[in]={}", encoded(task)),
            format!("entity:Task?project={}", encoded(&project)),
        ];
        let mut socket = Socket::open(app.address).await;
        for channel in &channels {
            socket
                .send(&json!({"type": "subscribe", "channel": channel, "payload": {"snapshot": true}}))
                .await;
            assert_eq!(socket.expect("subscribed").await["channel"], **channel, "the text is the identity");
            assert_eq!(ids(&socket.expect("snapshot").await["payload"]["rows"]), [TASK], "{channel}");
            socket.expect("pong").await;
        }
        let list = channels.iter().map(|channel| format!("channel={}", encoded(channel)));
        let list = list.collect::<Vec<_>>().join("&");
        let start = api.get(&format!("/api/changes?{list}")).await;
        let views = start["channels"].as_array().unwrap().iter();
        let views: Vec<_> =
            views.map(|channel| format!("view={}", channel["view"].as_str().unwrap())).collect();
        api.patch(&format!("/api/tasks/{TASK}"), json!({"title": task})).await;
        for channel in &channels {
            let event = socket.frame().await;
            assert_eq!((&event["channel"], &event["payload"]["id"]), (&json!(channel), &json!(TASK)));
        }
        let since = format!("since={}:{}", start["epoch"].as_str().unwrap(), start["seq"]);
        let polled = api.get(&format!("/api/changes?{list}&{}&{since}", views.join("&"))).await;
        let events = polled["events"].as_array().unwrap();
        let heard: Vec<_> =
            events.iter().map(|event| json!([event["channel"], event["payload"]["id"]])).collect();
        assert_eq!(heard, channels.map(|channel| json!([channel, TASK])), "{task}");
    }
}

#[tokio::test]
async fn the_id_of_a_user_is_a_text_of_which_every_letter_counts() {
    let (app, api) = app().await;
    let upper = TASK.to_uppercase();
    api.create("users", json!({"id": upper})).await;
    assert_eq!(api.get(&format!("/api/users/{upper}")).await["id"], upper);
    assert_eq!(api.get_any(&format!("/api/users/{TASK}")).await.0, 404);
    let mut socket = Socket::open(app.address).await;
    let channel = format!("entity:User:{TASK}");
    socket.send(&json!({"type": "subscribe", "channel": channel, "payload": {"snapshot": true}})).await;
    assert_eq!(socket.expect("subscribed").await["more"], Value::Null, "no such user");
}
