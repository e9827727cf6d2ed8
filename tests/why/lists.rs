//! Records that are missing in a list.

use serde_json::{Value, json};
use tidewire::repository::Mutation;

use super::team::{Team, clauses, id, text};

/// What `why` says of a record in a list that was asked.
async fn missing(team: &Team, who: &str, path: &str, record: &str) -> Value {
    let answer = team.client(who).call("GET", path, Value::Null).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    team.why(&format!("{}:{record}", answer.header("x-request-id"))).await
}

#[tokio::test]
async fn a_record_that_is_missing_in_a_list_is_explained_by_rule_filter_or_page() {
    let team = Team::start().await;
    let cases = [
        (
            "cy",
            "/api/tasks",
            id(11),
            "hidden",
            vec![
                "project in user.memberships.project: false (project = \"p1\", user.memberships.project = [])",
            ],
        ),
        (
            "dan",
            "/api/tasks?status=open",
            id(11),
            "hidden",
            vec![
                "project in user.memberships.project: false (project = \"p1\", user.memberships.project = [\"p2\"])",
            ],
        ),
        (
            "ada",
            "/api/tasks",
            id(14),
            "denied",
            vec!["status != \"archived\": false (status = \"archived\")"],
        ),
        (
            "ada",
            "/api/tasks?status=done",
            id(11),
            "filtered",
            vec!["status == \"done\": false (status = \"open\")"],
        ),
        (
            "ada",
            "/api/tasks?status=done&owner=ben",
            id(11),
            "filtered",
            vec![
                "status == \"done\": false (status = \"open\")",
                "owner == \"ben\": false (owner = \"ada\")",
            ],
        ),
        ("ada", "/api/tasks?search=nothing", id(11), "search", vec![]),
        ("ada", "/api/tasks?sort=title&limit=1", id(12), "listed", vec![]),
        ("ada", "/api/tasks", id(98), "missing", vec![]),
        ("ada", "/api/tasks", "x".to_owned(), "missing", vec![]),
        ("ada", "/api/diaries?", id(42), "", vec![]),
    ];
    for (who, path, record, finding, expected) in cases {
        if finding.is_empty() {
            // A list that was refused is a refusal, and no list is kept.
            let answer = team.client(who).call("GET", path, Value::Null).await;
            let asked = format!("/api/admin/why/{}:{record}", answer.header("x-request-id"));
            assert_eq!(team.root.call("GET", &asked, Value::Null).await.status, 404, "{path}");
            continue;
        }
        let why = missing(&team, who, path, &record).await;
        assert_eq!((&why["about"], &why["judged"]), (&json!("record"), &json!("now")), "{path}: {why}");
        assert_eq!(why["finding"], finding, "{who} {path}: {why}");
        assert_eq!(why["recordId"], record, "{path}: {why}");
        assert_eq!(why["changedSince"], Value::Null, "{path}: {why}");
        let decided = if finding == "filtered" {
            &why["filter"]
        } else if ["hidden", "denied"].contains(&finding) {
            &why["rule"]["clauses"]
        } else {
            &Value::Null
        };
        assert_eq!(clauses(decided), expected, "{who} {path}: {why}");
    }
}

#[tokio::test]
async fn a_record_that_was_changed_after_the_list_is_answered_by_now_and_says_so() {
    let team = Team::start().await;
    let ada = team.client("ada");
    let answer = ada.call("GET", "/api/tasks?status=done", Value::Null).await;
    let (list, position) = (answer.header("x-request-id").to_owned(), team.app.head());
    let changed = team.set("Task", 11, "status", json!("done")).await;
    let why = team.why(&format!("{list}:{}", id(11))).await;
    assert_eq!((&why["finding"], &why["changedSince"]), (&json!("listed"), &json!(changed)), "{why}");
    assert_eq!(why["position"], position, "{why}");
    assert!(text(&why["answer"]).contains("changed after the list was answered"), "{why}");

    team.task(15, "p1", "done", "ada").await;
    let why = team.why(&format!("{list}:{}", id(15))).await;
    assert_eq!(why["finding"], "later", "{why}");

    let gone = team.write(Mutation::delete("Task", &id(12))).await;
    let why = team.why(&format!("{list}:{}", id(12))).await;
    assert_eq!((&why["finding"], &why["changedSince"]), (&json!("missing"), &json!(gone)), "{why}");

    team.write(Mutation::delete("Membership", &id(1))).await;
    let why = team.why(&format!("{list}:{}", id(14))).await;
    assert_eq!(why["finding"], "hidden", "the right is gone now: {why}");
    assert_eq!(why["rightsChanged"], team.app.head(), "{why}");
    assert_eq!(
        clauses(&why["rule"]["clauses"]),
        ["project in user.memberships.project: false (project = \"p1\", user.memberships.project = [])"]
    );
}

#[tokio::test]
async fn a_right_that_changed_after_the_list_is_named_with_its_position() {
    let team = Team::start().await;
    let cy = team.client("cy");
    let answer = cy.call("GET", "/api/tasks?status=open", Value::Null).await;
    assert_eq!(answer.json["items"], json!([]), "{}", answer.text);
    let asked = format!("{}:{}", answer.header("x-request-id"), id(11));
    let why = team.why(&asked).await;
    assert_eq!((&why["finding"], &why["rightsChanged"]), (&json!("hidden"), &Value::Null), "{why}");
    team.put("Membership", json!({"id": id(4), "person": "cy", "project": "p1", "role": "viewer"})).await;
    let changed = team.app.head();
    let why = team.why(&asked).await;
    assert_eq!((&why["finding"], &why["judged"]), (&json!("listed"), &json!("now")), "{why}");
    assert_eq!((&why["rightsChanged"], &why["changedSince"]), (&json!(changed), &Value::Null), "{why}");
    let said =
        "; the rights of the user were changed after the list was answered, so this is the answer of now";
    assert!(text(&why["answer"]).ends_with(said), "{why}");
    // Of a list that was asked later, this is no news.
    let why = missing(&team, "cy", "/api/tasks?status=open", &id(13)).await;
    assert_eq!((&why["finding"], &why["rightsChanged"]), (&json!("hidden"), &Value::Null), "{why}");
}

#[tokio::test]
async fn an_id_that_can_be_read_in_two_ways_is_read_by_what_is_kept() {
    let team = Team::start().await;
    team.put("User", json!({"id": "7", "name": "seven"})).await;
    let (mut ada, connection) = team.socket("ada").await;
    let why = team.why(&format!("{connection}:7")).await;
    assert_eq!(why["about"], "event", "{why}");
    let headers = [("x-request-id", &*connection)];
    let answer = team.client("ada").call_with("GET", "/api/users?name=ada", Value::Null, &headers).await;
    assert_eq!(answer.header("x-request-id"), connection);
    let why = team.why(&format!("{connection}:7")).await;
    assert_eq!((&why["about"], &why["finding"]), (&json!("record"), &json!("filtered")), "{why}");
    ada.send(&json!({"type": "dance", "requestId": "save:7"})).await;
    ada.expect("error").await;
    let why = team.why(&format!("save:7@{connection}")).await;
    assert_eq!((&why["about"], &why["code"]), (&json!("refusal"), &json!("UNKNOWN_MESSAGE_TYPE")), "{why}");
}

#[tokio::test]
async fn a_long_question_is_kept_by_its_request_too_and_a_huge_one_is_not() {
    let team = Team::start().await;
    let ada = team.client("ada");
    let asked = |words: usize| json!({"title": {"in": vec!["no such title"; words]}});
    let answer = ada.call("POST", "/api/tasks/query", asked(3)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let why = team.why(&format!("{}:{}", answer.header("x-request-id"), id(11))).await;
    assert_eq!(why["finding"], "filtered", "{why}");
    let answer = ada.call("POST", "/api/tasks/query", asked(400)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let path = format!("/api/admin/why/{}:{}", answer.header("x-request-id"), id(11));
    assert_eq!(team.root.call("GET", &path, Value::Null).await.status, 404);
}
