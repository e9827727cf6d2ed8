//! Requests and frames that are refused.

use serde_json::{Value, json};

use super::team::{Team, clauses, id, text};
use crate::support::app::TestApp;

struct Case {
    who: &'static str,
    request: String,
    body: Value,
    code: &'static str,
    finding: &'static str,
    /// Whose rule decided, and for what.
    rule: &'static str,
    clauses: &'static [&'static str],
}

fn case(who: &'static str, request: &str, n: u32, body: Value) -> Case {
    let request = if n == 0 { request.to_owned() } else { format!("{request}/{}", id(n)) };
    Case { who, request, body, code: "FORBIDDEN", finding: "denied", rule: "", clauses: &[] }
}

impl Case {
    fn by(self, rule: &'static str, clauses: &'static [&'static str]) -> Case {
        Case { rule, clauses, ..self }
    }

    fn hidden(self) -> Case {
        Case { code: "NOT_FOUND", finding: "hidden", ..self }
    }

    fn told(self, code: &'static str, finding: &'static str) -> Case {
        Case { code, finding, ..self }
    }
}

fn cases() -> Vec<Case> {
    let title = || json!({"title": "new"});
    let task = |owner: Value| json!({"title": "new", "project": "p1", "owner": owner});
    const NOT_OWN: &str = "owner == user.id: false (owner = \"ada\", user.id = \"ben\")";
    const CY: &str =
        "project in user.memberships.project: false (project = \"p1\", user.memberships.project = [])";
    // Without a user there is nothing to be a member with, whatever the record says.
    const ANONYMOUS: &str = "project in user.memberships.project: unknown (user.memberships.project = unknown: the caller is anonymous)";
    const ADA: &str =
        "project in user.memberships.project: false (project = \"p2\", user.memberships.project = [\"p1\"])";
    vec![
        case("ben", "PATCH /api/tasks", 11, title()).by(
            "Task update",
            &[
                NOT_OWN,
                "user.memberships.exists(own, own.project == project && own.role == \"editor\"): false [own = Membership \
                 0190a000-0000-7000-8000-000000000002: own.project == project && own.role == \"editor\": false (own.project = \"p1\", \
                 project = \"p1\", own.role = \"viewer\")]",
            ],
        ),
        case("ben", "PUT /api/tasks", 11, title()).by(
            "Task update",
            &[
                NOT_OWN,
                "user.memberships.exists(own, own.project == project && own.role == \"editor\"): false [own = Membership \
                 0190a000-0000-7000-8000-000000000002: own.project == project && own.role == \"editor\": false (own.project = \"p1\", \
                 project = \"p1\", own.role = \"viewer\")]",
            ],
        ),
        case("cy", "PATCH /api/tasks", 11, title()).hidden().by("Task read", &[CY]),
        case("cy", "DELETE /api/tasks", 11, Value::Null).hidden().by("Task read", &[CY]),
        case("", "PATCH /api/tasks", 11, title())
            .told("UNKNOWN_ENTITY", "closed")
            .by("Task read", &[ANONYMOUS]),
        case("ada", "PATCH /api/tasks", 13, title()).hidden().by("Task read", &[ADA]),
        case("ada", "DELETE /api/tasks", 13, Value::Null).hidden().by("Task read", &[ADA]),
        case("ada", "DELETE /api/tasks", 11, Value::Null)
            .by("Task delete", &["status == \"done\": false (status = \"open\")"]),
        case("ben", "DELETE /api/tasks", 11, Value::Null).by("Task delete", &[NOT_OWN]),
        case("ada", "DELETE /api/tasks", 14, Value::Null)
            .by("Task delete", &["status == \"done\": false (status = \"archived\")"]),
        case("ada", "POST /api/tasks", 0, task(json!("ben")))
            .by("Task create", &["owner == user.id: false (owner = \"ben\", user.id = \"ada\")"]),
        case("ada", "POST /api/tasks", 0, task(Value::Null))
            .by("Task create", &["owner == user.id: unknown (owner = null, user.id = \"ada\")"]),
        case("", "POST /api/tasks", 0, task(json!("ada")))
            .told("UNKNOWN_ENTITY", "closed")
            .by("Task read", &[ANONYMOUS]),
        case("ada", "POST /api/tasks", 0, task(json!("zoe")))
            .told("UNKNOWN_REFERENCE", "missing_reference"),
        case("ben", "PATCH /api/tickets", 31, title()).by(
            "Ticket update",
            &["project.lead == user.id: false (project.lead = \"ada\", user.id = \"ben\")"],
        ),
        case("ben", "PATCH /api/tickets", 32, title()).by(
            "Ticket update",
            &["project.lead == user.id: unknown (project.lead = null, user.id = \"ben\")"],
        ),
        case("ada", "PATCH /api/tickets", 31, json!({"task": id(13)}))
            .told("UNKNOWN_REFERENCE", "hidden_reference")
            .by("Task read", &[ADA]),
        case("ada", "PATCH /api/tickets", 31, json!({"task": id(99)}))
            .told("UNKNOWN_REFERENCE", "missing_reference"),
        case("ben", "DELETE /api/tickets", 31, Value::Null).by(
            "Ticket delete",
            &["exists(Membership, seat, seat.person == user.id && seat.role == \"editor\"): false (user.id = \"ben\") [seat = Membership \
               0190a000-0000-7000-8000-000000000002: seat.person == user.id && seat.role == \"editor\": false (seat.person = \"ben\", \
               user.id = \"ben\", seat.role = \"viewer\")]"],
        ),
        case("cy", "DELETE /api/tickets", 31, Value::Null).by(
            "Ticket delete",
            &["exists(Membership, seat, seat.person == user.id && seat.role == \"editor\"): false (user.id = \"cy\")"],
        ),
        case("ada", "PATCH /api/articles", 41, title()).by("Article update", &["false: false"]),
        case("ada", "DELETE /api/articles", 41, Value::Null).by("Article delete", &["false: false"]),
        case("ada", "POST /api/articles", 0, title()).by("Article create", &["false: false"]),
        case("ada", "GET /api/vaults", 43, Value::Null)
            .told("UNKNOWN_ENTITY", "closed")
            .by("Vault read", &["user.role == \"admin\": unknown (user.role = null)"]),
        case("ben:editor", "GET /api/vaults", 0, Value::Null)
            .told("UNKNOWN_ENTITY", "closed")
            .by("Vault read", &["user.role == \"admin\": false (user.role = \"editor\")"]),
        case("ada", "PATCH /api/vaults", 43, title())
            .told("UNKNOWN_ENTITY", "closed")
            .by("Vault read", &["user.role == \"admin\": unknown (user.role = null)"]),
        case("ada", "GET /api/diaries", 0, Value::Null)
            .told("UNKNOWN_ENTITY", "closed")
            .by("Diary read", &["false: false"]),
        case("ada", "PATCH /api/tasks", 98, title()).told("NOT_FOUND", "missing"),
        case("ada", "DELETE /api/tasks", 98, Value::Null).told("NOT_FOUND", "missing"),
    ]
}

#[tokio::test]
async fn each_denied_request_names_the_clause_that_decided_and_its_values() {
    let team = Team::start().await;
    let before = team.app.head();
    for Case { who, request, body, code, finding, rule, clauses: expected } in cases() {
        let said = format!("{who}: {request}");
        let (answer, why) = team.refused(who, &request, body).await;
        assert_eq!(answer.json["code"], code, "{said}: {}", answer.text);
        assert_eq!((&why["code"], &why["finding"]), (&json!(code), &json!(finding)), "{said}: {why}");
        assert_eq!((&why["about"], &why["judged"]), (&json!("refusal"), &json!("then")), "{said}: {why}");
        let (user, role) = who.split_once(':').map_or((who, ""), |(user, role)| (user, role));
        let user = if user.is_empty() { Value::Null } else { json!(user) };
        assert_eq!(why["user"], user, "{said}: {why}");
        assert_eq!(why["role"].as_str().unwrap_or_default(), role, "{said}: {why}");
        assert_eq!(why["operation"], request, "{said}: {why}");
        let of = &why["rule"];
        let asked = if of.is_null() {
            String::new()
        } else {
            format!("{} {}", text(&of["entity"]), text(&of["operation"]))
        };
        assert_eq!(asked, rule, "{said}: {why}");
        assert_eq!(clauses(&of["clauses"]), expected, "{said}: {why}");
        if finding != "closed" {
            assert!(why["position"].as_u64().unwrap() >= before, "{said}: {why}");
        }
        assert!(!why.to_string().contains("\"new\""), "a body is kept: {why}");
    }
}

#[tokio::test]
async fn a_request_that_no_rule_refused_says_its_code_and_its_words() {
    let team = Team::with(|config| config.http.body_bytes = 4_000).await;
    let large = json!({"title": "x".repeat(5_000)});
    let taken = json!({"title": "t", "project": "p1", "owner": "ada", "code": "c12"});
    let cases = [
        ("eve", "GET /api/tasks".to_owned(), Value::Null, "ACCOUNT_DISABLED", Some("disabled")),
        (
            "ada",
            format!("PATCH /api/tasks/{}?", id(11)),
            json!({"title": "z".repeat(30)}),
            "VALIDATION_FAILED",
            None,
        ),
        ("ada", "POST /api/tasks".to_owned(), taken, "NOT_UNIQUE", Some("`code`")),
        ("ada", format!("DELETE /api/projects/{}", id(21)), Value::Null, "RESTRICTED", Some("Ticket")),
        ("ben", "GET /api/tasks?wage=10".to_owned(), Value::Null, "BAD_QUERY", Some("wage")),
        ("ben", "POST /api/tasks".to_owned(), large, "BODY_TOO_LARGE", Some("4000")),
        (
            "ada",
            format!("PATCH /api/forms/{}", id(44)),
            json!({"title": "q"}),
            "LEASE_REQUIRED",
            Some("lease"),
        ),
    ];
    for (who, request, body, code, words) in cases {
        let (answer, why) = team.refused(who, &request, body).await;
        assert_eq!((&answer.json["code"], &why["code"]), (&json!(code), &json!(code)), "{request}: {why}");
        assert_eq!(why["finding"], Value::Null, "{request}: {why}");
        match words {
            Some(words) => assert!(text(&why["message"]).contains(words), "{request}: {why}"),
            // It would repeat what was sent.
            None => assert_eq!(why["message"], Value::Null, "{request}: {why}"),
        }
        assert!(!text(&why["operation"]).contains('?'), "a query string is kept: {why}");
    }
}

#[tokio::test]
async fn an_operation_of_a_batch_is_explained_for_itself() {
    let team = Team::start().await;
    let op = |n: u32, title: &str| json!({"op": "update", "entity": "Task", "id": id(n), "data": {"title": title}});
    let ada = team.client("ada");
    let body = json!({"ops": [op(11, "fine"), op(13, "not")]});
    let answer = ada.call("POST", "/api/batch", body).await;
    let why = team.why(text(&answer.json["requestId"])).await;
    assert_eq!((&why["finding"], &why["recordId"]), (&json!("hidden"), &json!(id(13))), "{why}");

    let body = json!({"atomic": false, "ops": [op(11, "fine"), op(13, "not"), op(98, "not")]});
    let answer = ada.call("POST", "/api/batch", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let why = team.why(answer.header("x-request-id")).await;
    assert_eq!(
        (&why["op"], &why["finding"], &why["recordId"]),
        (&json!(2), &json!("missing"), &json!(id(98))),
        "{why}"
    );
    let earlier = &why["earlier"][0];
    assert_eq!((&earlier["op"], &earlier["finding"]), (&json!(1), &json!("hidden")), "{why}");
    assert_eq!(earlier["recordId"], id(13), "{why}");
    assert_eq!(why["earlier"].as_array().unwrap().len(), 1, "{why}");
}

#[tokio::test]
async fn a_refused_frame_is_found_by_its_request_and_its_connection() {
    let team = Team::with(|config| config.realtime.subscriptions = 2).await;
    let (mut ben, connection) = team.socket("ben").await;
    let frame = |request: &str, kind: &str, channel: Value, payload: Value| json!({"type": kind, "requestId": request, "channel": channel, "payload": payload});
    let mutate = json!({"op": "update", "entity": "Task", "id": id(11), "data": {"title": "new"}});
    let cases = [
        (frame("m1", "mutate", Value::Null, mutate), "FORBIDDEN", Some("Task update")),
        (frame("s1", "subscribe", json!("entity:Vault"), json!({})), "UNKNOWN_ENTITY", None),
        (frame("s2", "subscribe", json!("entity:Task?wage=1"), json!({})), "BAD_CHANNEL", None),
        (frame("u1", "unsubscribe", json!("entity:Task"), json!({})), "NOT_SUBSCRIBED", None),
        (frame("x1", "dance", Value::Null, json!({})), "UNKNOWN_MESSAGE_TYPE", None),
        (frame("r1", "subscribe", json!("room:board"), json!({})), "FORBIDDEN_CHANNEL", None),
        (
            frame("p1", "subscribe", json!(format!("presence:Task/{}", id(13))), json!({})),
            "FORBIDDEN_CHANNEL",
            None,
        ),
        (
            frame("p2", "presence:leave", json!(format!("presence:Task/{}", id(11))), json!({})),
            "NOT_SUBSCRIBED",
            None,
        ),
        (
            frame("l1", "lease:acquire", Value::Null, json!({"resource": format!("Task/{}", id(11))})),
            "FORBIDDEN",
            Some("Task lease"),
        ),
    ];
    for (frame, code, rule) in cases {
        ben.send(&frame).await;
        let error = ben.expect("error").await;
        assert_eq!(
            (&error["payload"]["code"], &error["requestId"]),
            (&json!(code), &frame["requestId"]),
            "{error}"
        );
        let why = team.why(&format!("{}@{connection}", text(&frame["requestId"]))).await;
        assert_eq!(
            (&why["code"], &why["user"], &why["via"]),
            (&json!(code), &json!("ben"), &json!("ws")),
            "{why}"
        );
        if !frame["channel"].is_null() {
            assert_eq!(why["channel"], frame["channel"], "{why}");
        }
        let of = &why["rule"];
        let asked = (!of.is_null()).then(|| format!("{} {}", text(&of["entity"]), text(&of["operation"])));
        assert_eq!(asked.as_deref(), rule, "{why}");
    }
    for channel in ["entity:Task", "entity:Ticket"] {
        ben.subscribe(channel, json!({})).await;
    }
    ben.send(&frame("s3", "subscribe", json!("entity:Project"), json!({}))).await;
    assert_eq!(ben.expect("error").await["payload"]["code"], "SUBSCRIPTION_LIMIT");
    let why = team.why(&format!("s3@{connection}")).await;
    assert_eq!(
        (&why["code"], &why["channel"]),
        (&json!("SUBSCRIPTION_LIMIT"), &json!("entity:Project")),
        "{why}"
    );
    let unknown = team.root.call("GET", &format!("/api/admin/why/s9@{connection}"), Value::Null).await;
    assert_eq!((unknown.status, &unknown.json["code"]), (404, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn a_channel_that_a_poll_could_not_have_is_found_by_the_request() {
    let team = Team::start().await;
    let path = "/api/changes?channel=entity:Task&channel=entity:Vault&channel=entity:Task%3Fwage=10";
    let answer = team.client("ben").call("GET", path, Value::Null).await;
    assert_eq!((answer.status, answer.json["errors"].as_array().unwrap().len()), (200, 2), "{}", answer.text);
    let why = team.why(answer.header("x-request-id")).await;
    let earlier = why["earlier"].as_array().unwrap();
    assert_eq!(earlier.len(), 1, "{why}");
    for (kept, error) in [(&earlier[0], &answer.json["errors"][0]), (&why, &answer.json["errors"][1])] {
        for name in ["channel", "code", "message"] {
            assert_eq!(kept[name], error[name], "{why}");
        }
        assert_eq!(
            (&kept["via"], &kept["user"], &kept["operation"]),
            (&json!("poll"), &json!("ben"), &json!("GET /api/changes")),
            "{why}"
        );
    }
}

#[tokio::test]
async fn a_record_that_could_not_be_read_is_explained_by_the_rights_of_now() {
    let team = Team::start().await;
    for (who, n, finding, expected) in [
        (
            "ada",
            13,
            "denied",
            vec![
                "project in user.memberships.project: false (project = \"p2\", user.memberships.project = [\"p1\"])",
            ],
        ),
        ("ada", 98, "missing", vec![]),
    ] {
        let (answer, why) = team.refused(who, &format!("GET /api/tasks/{}", id(n)), Value::Null).await;
        assert_eq!(answer.json["code"], "NOT_FOUND");
        assert_eq!((&why["judged"], &why["finding"]), (&json!("now"), &json!(finding)), "{why}");
        assert_eq!(clauses(&why["rule"]["clauses"]), expected, "{why}");
        assert!(text(&why["answer"]).starts_with("by the rights of now"), "{why}");
    }
}

#[tokio::test]
async fn why_and_explain_are_for_administrators_and_say_what_they_do_not_know() {
    let team = Team::start().await;
    let (answer, _) =
        team.refused("ben", &format!("PATCH /api/tasks/{}", id(11)), json!({"title": "new"})).await;
    let address = format!("/api/admin/why/{}", text(&answer.json["requestId"]));
    for who in ["", "ben", "ada"] {
        for path in [&*address, "/api/admin/explain?entity=Task&record=x", "/api/admin/inspect/refusals"] {
            let answer = team.client(who).call("GET", path, Value::Null).await;
            assert_eq!((answer.status, &answer.json["code"]), (403, &json!("FORBIDDEN")), "{who} {path}");
        }
    }
    let forgotten = team.root.call("GET", "/api/admin/why/0000", Value::Null).await;
    assert_eq!((forgotten.status, &forgotten.json["code"]), (404, &json!("NOT_FOUND")));
    for words in ["hour", "10,000", "`entity`"] {
        assert!(text(&forgotten.json["detail"]).contains(words), "{}", forgotten.text);
    }
    let path = format!("/api/admin/why/0000?user=ben&entity=Task&record={}&operation=update", id(11));
    let now = team.root.get(&path).await;
    assert_eq!((&now["judged"], &now["finding"]), (&json!("now"), &json!("denied")), "{now}");
    assert!(text(&now["answer"]).starts_with("by the rights of now, `ben` may not update Task"), "{now}");
    for (query, code) in [
        ("", "BAD_QUERY"),
        ("?entity=Task", "BAD_QUERY"),
        ("?entity=Task&record=x", "BAD_QUERY"),
        ("?entity=Nothing&record=x", "UNKNOWN_ENTITY"),
        ("?entity=Task&record=x&operation=create", "BAD_QUERY"),
        ("?who=ben", "BAD_QUERY"),
    ] {
        let answer = team.root.call("GET", &format!("/api/admin/explain{query}"), Value::Null).await;
        assert_eq!(answer.json["code"], code, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_a_user_may_do_now_is_explained_for_each_operation() {
    let team = Team::start().await;
    let cases = [
        (
            "ada",
            "Task",
            11,
            "update",
            "granted",
            vec!["owner == user.id: true (owner = \"ada\", user.id = \"ada\")"],
        ),
        ("ada", "Task", 14, "list", "denied", vec!["status != \"archived\": false (status = \"archived\")"]),
        ("ada", "Task", 11, "delete", "denied", vec!["status == \"done\": false (status = \"open\")"]),
        (
            "ben",
            "Task",
            11,
            "lease",
            "denied",
            vec!["owner == user.id: false (owner = \"ada\", user.id = \"ben\")"],
        ),
        (
            "ben",
            "tasks",
            11,
            "read",
            "granted",
            vec![
                "project in user.memberships.project: true (project = \"p1\", user.memberships.project = [\"p1\"])",
            ],
        ),
        (
            "ada",
            "Ticket",
            31,
            "update",
            "granted",
            vec!["project.lead == user.id: true (project.lead = \"ada\", user.id = \"ada\")"],
        ),
        ("eve", "Task", 11, "read", "disabled", vec![]),
        ("ada", "Diary", 42, "read", "unruled", vec![]),
        ("ada", "Task", 98, "read", "missing", vec![]),
    ];
    let before = team.app.head();
    for (user, entity, n, operation, finding, expected) in cases {
        let path =
            format!("/api/admin/explain?user={user}&entity={entity}&record={}&operation={operation}", id(n));
        let answer = team.root.get(&path).await;
        assert_eq!(
            (&answer["finding"], &answer["judged"]),
            (&json!(finding), &json!("now")),
            "{path}: {answer}"
        );
        assert_eq!(clauses(&answer["rule"]["clauses"]), expected, "{path}: {answer}");
        if finding == "granted" {
            let hidden = if entity == "Ticket" { json!([]) } else { json!(["wage"]) };
            assert_eq!(answer["hidden"], hidden, "{path}: {answer}");
        }
    }
    assert_eq!(team.app.head(), before, "nothing was written");
}

#[tokio::test]
async fn an_entity_that_dev_opens_is_explained_as_open() {
    let app = TestApp::start().await;
    let task = app.client_as("ada").create("tasks", json!({"title": "x"})).await;
    let path =
        format!("/api/admin/explain?user=ben&entity=Task&record={}&operation=update", text(&task["id"]));
    let why = app.client_as("root:admin").get(&path).await;
    assert_eq!(why["finding"], "granted", "{why}");
    let said = text(&why["answer"]);
    assert!(said.ends_with("because Task has no rules, and `tidewire dev` opens such entities"), "{said}");
}

#[tokio::test]
async fn refusals_are_listed_newest_first_by_user_and_code_without_those_of_the_inspector() {
    let team = Team::start().await;
    team.refused("ben", &format!("PATCH /api/tasks/{}", id(11)), json!({"title": "new"})).await;
    team.refused("cy", &format!("PATCH /api/tasks/{}", id(11)), json!({"title": "new"})).await;
    team.root.call("GET", "/api/admin/why/0000", Value::Null).await;
    team.root.call("GET", "/api/admin/inspect/refusals?limit=0", Value::Null).await;
    let of = |listed: &Value| -> Vec<(String, String)> {
        let items = listed["items"].as_array().unwrap().iter();
        items.map(|item| (text(&item["user"]).to_owned(), text(&item["code"]).to_owned())).collect()
    };
    let pair = |user: &str, code: &str| (user.to_owned(), code.to_owned());
    let (ben, cy) = (pair("ben", "FORBIDDEN"), pair("cy", "NOT_FOUND"));
    let all = team.root.get("/api/admin/inspect/refusals").await;
    assert_eq!(of(&all), [cy.clone(), ben.clone()], "{all}");
    assert_eq!(of(&team.root.get("/api/admin/inspect/refusals?user=ben").await), std::slice::from_ref(&ben));
    assert_eq!(
        of(&team.root.get("/api/admin/inspect/refusals?code=NOT_FOUND").await),
        std::slice::from_ref(&cy)
    );
    assert_eq!(of(&team.root.get("/api/admin/inspect/refusals?limit=1").await), [cy]);
}
