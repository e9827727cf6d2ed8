//! What each caller is answered over HTTP: hidden looks missing, closed looks absent, and no text reveals more.
//!
//! The rules are built here by hand, so that the stories do not depend on the language of schema files.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{
    Access, Column, Comparison, Entity, Expr, Field, FieldDefault, FieldIndex, FieldKind, IdKind, OnDelete,
    Rule, Schema, Term, UserTerm, Value as Stored,
};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::bad_filters::BAD_FILTERS;
use crate::support::entities;
use crate::support::socket::Socket;

const NONE: &str = "0190a000-0000-7000-8000-0000000000ff";

fn rule(meaning: Expr) -> Option<Rule> {
    Some(Rule { source: format!("{meaning:?}").into(), meaning })
}

fn always(holds: bool) -> Option<Rule> {
    rule(Expr::Constant(holds))
}

fn equal(left: Term, right: Term) -> Expr {
    Expr::Compare(left, Comparison::Eq, right)
}

/// `field == user.id`, the field by its place.
fn mine(field: usize) -> Expr {
    equal(Term::Record(Column::Field(FieldIndex(field))), Term::User(UserTerm::Id))
}

fn role_is(role: &str) -> Expr {
    equal(Term::User(UserTerm::Role), Term::Value(Stored::Text(role.to_owned())))
}

fn text(name: &str) -> Field {
    Field::new(name, FieldKind::Text { min: None, max: Some(100), pattern: None })
}

fn open() -> Access {
    Access { open: true, ..Access::default() }
}

/// Notes are read by their owner, or by everyone when shared, and changed by their owner; no one deletes them. `code` is shown
/// to no one, `pay` to the owner, `grade` to the role `hr`.
fn note() -> Entity {
    let owner = FieldKind::Ref { entity: "User".into(), on_delete: OnDelete::SetNull };
    let shared = Expr::Holds(Term::Record(Column::Field(FieldIndex(2))));
    let read_by = |rule, field| Field { read: rule, ..field };
    let fields = vec![
        Field { required: true, ..text("title") },
        Field { default: Some(FieldDefault::UserId), ..Field::new("owner", owner) },
        Field::new("shared", FieldKind::Bool),
        read_by(always(false), text("code")),
        read_by(rule(mine(1)), Field::new("pay", FieldKind::Int { min: None, max: None })),
        read_by(rule(role_is("hr")), Field { required: true, ..text("grade") }),
    ];
    let access = Access {
        read: rule(Expr::Any(vec![mine(1), shared])),
        create: rule(mine(1)),
        update: rule(mine(1)),
        delete: always(false),
        ..Access::default()
    };
    Entity { access, ..Entity::new("Note", "notes", fields) }
}

/// Only `admin` may read it, and no one writes it.
fn vault() -> Entity {
    let access = Access { read: rule(role_is("admin")), ..Access::default() };
    Entity { access, ..Entity::new("Vault", "vaults", vec![text("word")]) }
}

/// A letter box: every user may put something in.
fn letter() -> Entity {
    let somebody = Expr::Not(Box::new(Expr::IsNull(Term::User(UserTerm::Itself))));
    let access = Access { read: rule(role_is("admin")), create: rule(somebody), ..Access::default() };
    Entity { access, ..Entity::new("Letter", "letters", vec![text("body")]) }
}

fn link() -> Entity {
    let to = FieldKind::Ref { entity: "Note".into(), on_delete: OnDelete::Restrict };
    Entity { access: open(), ..Entity::new("Link", "links", vec![Field::new("to", to)]) }
}

fn user() -> Entity {
    let disabled = Field::new("disabled", FieldKind::Bool);
    let entity = Entity::new("User", "users", vec![text("name"), text("role"), disabled]);
    Entity { id_kind: IdKind::Text, access: open(), ..entity }
}

fn schema() -> Arc<Schema> {
    Arc::new(Schema::new([user(), note(), vault(), letter(), link()]))
}

async fn app() -> TestApp {
    TestApp::governed(tempfile::tempdir().unwrap(), schema(), |_| {}).await
}

/// The body of a refusal, without what differs from request to request.
fn told(mut answer: Answer) -> (u16, Value) {
    answer.json.as_object_mut().map(|body| body.remove("requestId"));
    (answer.status, answer.json)
}

async fn refusal(api: &Client, method: &str, path: &str, body: Value) -> (u16, Value) {
    told(api.call(method, path, body).await)
}

/// Ada's note, hidden from bob.
async fn hidden_note(app: &TestApp) -> String {
    let body = json!({"title": "mine", "grade": "a", "pay": 3});
    let made = app.client_as("ada:hr").create("notes", body).await;
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_hidden_record_is_answered_like_a_missing_one_on_every_way() {
    let app = app().await;
    let id = hidden_note(&app).await;
    let bob = app.client_as("bob");
    for (method, tail, body) in [
        ("GET", "", Value::Null),
        ("GET", "?fields=title", Value::Null),
        ("GET", "?expand=owner", Value::Null),
        ("GET", "/history", Value::Null),
        ("PATCH", "", json!({"title": "theirs"})),
        ("PATCH", "", json!({})),
        ("PUT", "", json!({"title": "theirs"})),
        ("DELETE", "", Value::Null),
    ] {
        let hidden = refusal(&bob, method, &format!("/api/notes/{id}{tail}"), body.clone()).await;
        let missing = refusal(&bob, method, &format!("/api/notes/{NONE}{tail}"), body).await;
        let hidden = (hidden.0, hidden.1.to_string().replace(&id, NONE));
        assert_eq!(hidden, (missing.0, missing.1.to_string()), "{method} {tail}");
        assert_eq!(missing.0, 404, "{method} {tail}: {}", missing.1);
    }
    let ops =
        |id: &str| json!({"ops": [{"op": "update", "entity": "Note", "id": id, "data": {"title": "x"}}]});
    let (status, hidden) = refusal(&bob, "POST", "/api/batch", ops(&id)).await;
    let missing = refusal(&bob, "POST", "/api/batch", ops(NONE)).await;
    assert_eq!((status, hidden.to_string().replace(&id, NONE)), (missing.0, missing.1.to_string()));
    assert_eq!((status, &hidden["op"]), (404, &json!(0)));
    let page = bob.get("/api/notes").await;
    assert_eq!((&page["items"], &bob.get("/api/notes/count").await["count"]), (&json!([]), &json!(0)));
    let ada = app.client_as("ada").get(&format!("/api/notes/{id}")).await;
    assert_eq!(ada["title"], "mine", "nothing was changed");
}

#[tokio::test]
async fn a_closed_entity_answers_every_request_like_a_missing_one() {
    let app = app().await;
    let bob = app.client_as("bob");
    for (method, tail, body) in [
        ("GET", "".to_owned(), json!(null)),
        ("GET", "?word=x".to_owned(), json!(null)),
        ("GET", "?wrod=x".to_owned(), json!(null)),
        ("GET", "?limit=x".to_owned(), json!(null)),
        ("GET", "?sort=word&cursor=x".to_owned(), json!(null)),
        ("GET", "/count".to_owned(), json!(null)),
        ("GET", "/count?group=nothing".to_owned(), json!(null)),
        ("POST", "/count".to_owned(), json!({"word": "x"})),
        ("POST", "/count".to_owned(), json!({"group": "nothing"})),
        ("POST", "/query".to_owned(), json!({})),
        ("POST", "/query".to_owned(), json!({"wrod": "x"})),
        ("POST", "/query".to_owned(), json!([])),
        ("POST", "/query".to_owned(), json!(null)),
        ("POST", "/query?limit=3".to_owned(), json!({})),
        ("GET", format!("/{NONE}"), json!(null)),
        ("GET", "/no-id".to_owned(), json!(null)),
        ("GET", format!("/{NONE}/history"), json!(null)),
        ("GET", format!("/{NONE}/history?cursor=x"), json!(null)),
        ("POST", "".to_owned(), json!({"word": "x"})),
        ("POST", "".to_owned(), json!({"wrod": "x"})),
        ("POST", "".to_owned(), json!([])),
        ("PATCH", format!("/{NONE}"), json!({"wrod": 1})),
        ("PUT", format!("/{NONE}"), json!({"word": "x"})),
        ("DELETE", format!("/{NONE}"), json!(null)),
    ] {
        let closed = refusal(&bob, method, &format!("/api/vaults{tail}"), body.clone()).await;
        let absent = refusal(&bob, method, &format!("/api/nobody{tail}"), body).await;
        let closed = (closed.0, closed.1.to_string().replace("vaults", "nobody"));
        assert_eq!(closed, (absent.0, absent.1.to_string()), "{method} {tail}");
        assert_eq!((absent.0, absent.1["code"].as_str()), (404, Some("UNKNOWN_ENTITY")), "{method} {tail}");
    }
    let admin = app.client_as("eve:admin");
    assert_eq!(
        admin.get("/api/vaults").await["items"],
        json!([]),
        "open to the callers that the rule is for"
    );
    let slip = refusal(&bob, "GET", "/api/vault", Value::Null).await.1["detail"].to_string();
    assert!(!slip.contains("did you mean"), "no slip leads to what is closed: {slip}");
    let slip = refusal(&admin, "GET", "/api/vault", Value::Null).await.1["detail"].to_string();
    assert!(slip.contains("did you mean `vaults`?"), "{slip}");
}

#[tokio::test]
async fn a_batch_answers_an_operation_on_a_closed_entity_as_on_a_missing_one() {
    let app = app().await;
    let bob = app.client_as("bob");
    let batch = |entity: &str, data: Value, first: Value| {
        json!({"ops": [
            {"op": "create", "entity": "Note", "data": first},
            {"op": "create", "entity": entity, "data": data},
            {"op": "delete", "entity": entity, "id": NONE},
        ]})
    };
    let good = json!({"title": "x", "grade": "b"});
    for (first, data) in [
        (good.clone(), json!({"word": "x"})),
        (good, json!({"wrod": "x"})),
        (json!({"titel": "x"}), json!({"word": "x"})),
        (json!({"title": "x", "grade": "b", "owner": "ada"}), json!({"word": "x"})),
    ] {
        let closed = refusal(&bob, "POST", "/api/batch", batch("Vault", data.clone(), first.clone())).await;
        let absent = refusal(&bob, "POST", "/api/batch", batch("Nobody", data, first)).await;
        assert_eq!(
            (closed.0, closed.1.to_string().replace("Vault", "Nobody")),
            (absent.0, absent.1.to_string())
        );
        assert!(absent.1["op"].is_number(), "{}", absent.1);
    }
    assert_eq!(bob.get("/api/notes/count").await["count"], 0);
}

#[tokio::test]
async fn a_letter_box_accepts_records_that_the_writer_cannot_read() {
    let app = app().await;
    let (bob, nobody) = (app.client_as("bob"), app.client());
    let put = bob.call("POST", "/api/letters", json!({"body": "hello"})).await;
    assert_eq!((put.status, put.header("etag")), (201, ""), "{}", put.text);
    assert_eq!(put.json, json!({"id": put.id()}));
    let (status, wrong) = refusal(&bob, "POST", "/api/letters", json!({"bdy": 1})).await;
    assert_eq!(
        (status, &wrong["code"]),
        (422, &json!("VALIDATION_FAILED")),
        "a caller who may write gets the true reason"
    );
    for path in ["/api/letters".to_owned(), format!("/api/letters/{}", put.id())] {
        assert_eq!(refusal(&bob, "GET", &path, Value::Null).await.1["code"], "UNKNOWN_ENTITY", "{path}");
    }
    for (path, body) in
        [("query", json!({"bdy": 1})), ("query", json!({})), ("count", json!({})), ("query", json!([]))]
    {
        let (status, told) = refusal(&bob, "POST", &format!("/api/letters/{path}"), body).await;
        assert_eq!((status, &told["code"]), (404, &json!("UNKNOWN_ENTITY")), "a long question is no letter");
    }
    let (_, absent) = refusal(&nobody, "POST", "/api/letters", json!({"body": "x"})).await;
    assert_eq!(absent["code"], "UNKNOWN_ENTITY", "nobody may do nothing here");
    let again = bob.call("POST", "/api/letters", json!({"id": put.id(), "body": "again"})).await;
    assert_eq!(again.status, 409, "a taken id is one of the things that reveal existence");
    let items = app.client_as("eve:admin").get("/api/letters").await;
    assert_eq!(items["items"][0]["body"], "hello");
}

#[tokio::test]
async fn a_readable_record_answers_a_denied_write_with_forbidden() {
    let app = app().await;
    let ada = app.client_as("ada");
    let note = ada.create("notes", json!({"title": "x", "shared": true, "grade": "a"})).await;
    let path = format!("/api/notes/{}", note["id"].as_str().unwrap());
    let bob = app.client_as("bob");
    const UPDATE: &str = "you may read this Note, but not update it in this way: ask a user who may";
    const DELETE: &str = "you may read this Note, but not delete it: ask a user who may";
    const CREATE: &str = "you may not create this Note: ask a user who may";
    for (api, method, path, body, words) in [
        (&bob, "PATCH", path.as_str(), json!({"title": "y"}), UPDATE),
        (&bob, "PUT", &path, json!({"title": "y"}), UPDATE),
        (&ada, "DELETE", &path, json!(null), DELETE),
        (&bob, "POST", "/api/notes", json!({"title": "z", "grade": "a", "owner": "ada"}), CREATE),
    ] {
        let (status, problem) = refusal(api, method, path, body).await;
        assert_eq!((status, &problem["code"]), (403, &json!("FORBIDDEN")), "{problem}");
        assert_eq!(problem["detail"], words);
        assert!(problem["hint"].as_str().unwrap().contains("`tidewire rules why`"), "{problem}");
    }
    let op = json!({"op": "delete", "entity": "Note", "id": note["id"]});
    let (status, problem) = refusal(&bob, "POST", "/api/batch", json!({"ops": [op.clone()]})).await;
    assert_eq!((status, &problem["code"], &problem["op"]), (403, &json!("FORBIDDEN"), &json!(0)));
    assert!(problem["detail"].as_str().unwrap().starts_with("`ops[0]`: "), "{problem}");
    let each = bob.call("POST", "/api/batch", json!({"atomic": false, "ops": [op]})).await;
    assert_eq!(each.json["results"][0]["error"]["code"], "FORBIDDEN", "{}", each.text);
}

#[tokio::test]
async fn a_field_that_is_never_shown_is_unknown_in_every_query_parameter() {
    let app = app().await;
    hidden_note(&app).await;
    let bob = app.client_as("bob");
    for query in [
        "{}=1",
        "{}[gt]=1",
        "{}[wrong]=1",
        "{}[null]=maybe",
        "sort={}",
        "sort=title,-{}",
        "fields={}",
        "fields=title,{}",
        "expand={}",
        "{}=1&limit=x",
        "{}=1&title[wrong]=1",
        "title[wrong]=1&{}=1",
    ] {
        for hidden in ["code", "grade"] {
            let path = |name: &str| format!("/api/notes?{}", query.replace("{}", name));
            let absent = refusal(&bob, "GET", &path("zzzzzz"), Value::Null).await;
            let (status, problem) = refusal(&bob, "GET", &path(hidden), Value::Null).await;
            let problem = problem.to_string().replace(&format!("`{hidden}"), "`zzzzzz");
            assert_eq!((status, problem), (absent.0, absent.1.to_string()), "{query} with {hidden}");
            assert_eq!(status, 400, "{query}");
        }
    }
    for query in ["group=code", "group=grade", "cod=1", "gradee=1"] {
        let (status, problem) = refusal(&bob, "GET", &format!("/api/notes/count?{query}"), Value::Null).await;
        let detail = problem["detail"].as_str().unwrap();
        assert!(status == 400 && detail.contains("is not a field of Note"), "{query}: {detail}");
        assert!(!detail.contains("did you mean"), "{query}: {detail}");
    }
    let hr = app.client_as("ada:hr");
    assert_eq!(hr.get("/api/notes?grade=a&sort=grade&fields=grade").await["items"][0]["grade"], "a");
    let (_, problem) = refusal(&hr, "GET", "/api/notes?gradee=1", Value::Null).await;
    assert!(problem["detail"].as_str().unwrap().contains("did you mean `grade`?"), "{problem}");
}

#[tokio::test]
async fn a_hidden_field_is_described_for_writing_only() {
    let app = app().await;
    let document = app.client().get("/api/openapi.json").await;
    let schemas = &document["components"]["schemas"];
    let has = |schema: &str, field: &str| schemas[schema]["properties"].get(field).is_some();
    for (schema, expected) in
        [("Note", [false, true]), ("NoteCreate", [true, true]), ("NoteUpdate", [true, true])]
    {
        assert_eq!([has(schema, "code"), has(schema, "grade")], expected, "{schema}: {}", schemas[schema]);
    }
    let parameters = document["components"]["parameters"].as_object().unwrap();
    assert!(parameters.contains_key("Note.grade") && !parameters.contains_key("Note.code"));
    for path in ["/api/notes", "/api/notes/{id}", "/api/notes/count"] {
        let described = document["paths"][path]["get"]["parameters"].to_string();
        assert!(described.contains("grade") && !described.contains("code"), "{path}: {described}");
    }
    let types = app.client().call("GET", "/api/types.d.ts", Value::Null).await.text;
    let found = types.matches(" code?: string | null;").count();
    assert_eq!(found, 2, "in NoteCreate and NoteUpdate:\n{types}");
}

#[tokio::test]
async fn a_field_that_is_shown_with_some_records_orders_none_and_finds_those() {
    let app = app().await;
    for (who, pay) in [("ada", 3), ("bob", 3)] {
        let body = json!({"title": who, "shared": true, "pay": pay, "grade": "a"});
        app.client_as(who).create("notes", body).await;
    }
    let bob = app.client_as("bob");
    let titles = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["title"].clone()).collect::<Vec<_>>()
    };
    let page = bob.get("/api/notes?sort=title").await;
    assert_eq!(titles(&page), ["ada", "bob"]);
    assert_eq!((page["items"][0].get("pay"), page["items"][1].get("pay")), (None, Some(&json!(3))));
    assert_eq!(
        titles(&bob.get("/api/notes?pay=3").await),
        ["bob"],
        "a filter tells nothing of what is not shown"
    );
    assert_eq!(titles(&bob.get("/api/notes?fields=title,pay&pay[null]=false").await), ["bob"]);
    for (path, words) in [
        ("/api/notes?sort=pay", "`pay` is hidden in some records, so it cannot be sorted by"),
        ("/api/notes/count?group=pay", "`pay` is hidden in some records, so it cannot be grouped by"),
    ] {
        let (status, problem) = refusal(&bob, "GET", path, Value::Null).await;
        assert_eq!(
            (status, problem["code"].as_str(), problem["detail"].as_str()),
            (400, Some("BAD_QUERY"), Some(words))
        );
    }
}

#[tokio::test]
async fn a_put_keeps_what_its_writer_does_not_see_and_needs_not_name_it() {
    let app = app().await;
    let (ada, hr) = (app.client_as("ada"), app.client_as("ada:hr"));
    let note = hr.create("notes", json!({"title": "x", "grade": "a", "code": "s", "pay": 4})).await;
    assert_eq!(
        (note.get("code"), &note["grade"]),
        (None, &json!("a")),
        "an answer shows what its reader sees"
    );
    let path = format!("/api/notes/{}", note["id"].as_str().unwrap());
    let answer = ada.call("PUT", &path, json!({"title": "y", "owner": "ada"})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!((answer.json.get("grade"), answer.json.get("pay")), (None, Some(&json!(null))));
    assert_eq!(hr.get(&path).await["grade"], "a", "kept");
    let (status, problem) = refusal(&hr, "PUT", &path, json!({"title": "z", "owner": "ada"})).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("grade")), "who sees it must give it");
    assert_eq!(ada.call("PATCH", &path, json!({"grade": "b"})).await.status, 200, "written, not read");
    assert_eq!(hr.get(&path).await["grade"], "b");
    let gone = ada.call("PATCH", &path, json!({"owner": null, "shared": false})).await;
    assert_eq!((gone.status, gone.header("etag"), &gone.json), (200, "", &json!({"id": note["id"]})));
}

#[tokio::test]
async fn a_reference_is_shown_and_accepted_only_if_its_target_is_readable() {
    let app = app().await;
    let hidden = hidden_note(&app).await;
    let (ada, bob) = (app.client_as("ada"), app.client_as("bob"));
    let link = ada.create("links", json!({"to": hidden})).await;
    let path = format!("/api/links/{}?expand=to", link["id"].as_str().unwrap());
    assert_eq!(ada.get(&path).await["expanded"]["to"]["title"], "mine");
    assert_eq!(bob.get(&path).await["expanded"]["to"], json!(null));
    assert_eq!(bob.get("/api/links?expand=to").await["items"][0]["expanded"]["to"], json!(null));
    let unread = refusal(&bob, "POST", "/api/links", json!({"to": hidden})).await;
    let missing = refusal(&bob, "POST", "/api/links", json!({"to": NONE})).await;
    assert_eq!(unread, missing);
    assert_eq!(missing.1["code"], "UNKNOWN_REFERENCE");
}

#[tokio::test]
async fn a_disabled_account_is_refused_on_every_route() {
    let app = app().await;
    let bob = app.client_as("bob");
    bob.get("/api/notes").await;
    app.client_as("ada").patch("/api/users/bob", json!({"disabled": true})).await;
    for (method, path) in [
        ("GET", "/api/notes".to_owned()),
        ("GET", "/api/vaults".to_owned()),
        ("GET", "/api/nothing".to_owned()),
        ("GET", format!("/api/notes/{NONE}")),
        ("GET", "/api/notes/count".to_owned()),
        ("GET", format!("/api/notes/{NONE}/history")),
        ("POST", "/api/notes".to_owned()),
        ("DELETE", format!("/api/notes/{NONE}")),
        ("POST", "/api/batch".to_owned()),
        ("GET", "/api/changes?channel=entity:Note".to_owned()),
        ("GET", "/api/schema".to_owned()),
        ("GET", "/api/admin/websocket/stats".to_owned()),
    ] {
        let (status, problem) = refusal(&bob, method, &path, json!(null)).await;
        assert_eq!(
            (status, &problem["code"]),
            (403, &json!("ACCOUNT_DISABLED")),
            "{method} {path}: {problem}"
        );
        assert_eq!(problem["detail"], "the account `bob` is disabled");
    }
    let mut socket = Socket::open_at(app.address, "/ws?as=bob").await;
    assert_eq!(socket.expect("error").await["payload"]["code"], "ACCOUNT_DISABLED");
    assert_eq!(socket.closed().await, Some(4403));
    let (status, _) = refusal(&app.client_as("bob:admin"), "GET", "/api/notes", Value::Null).await;
    assert_eq!(status, 403, "a role does not help");
    app.client_as("ada").patch("/api/users/bob", json!({"disabled": false})).await;
    bob.get("/api/notes").await;
}

#[tokio::test]
async fn only_the_role_admin_reads_server_numbers() {
    let app = app().await;
    let path = "/api/admin/websocket/stats";
    for api in [app.client(), app.client_as("bob"), app.client_as("bob:user")] {
        let (status, problem) = refusal(&api, "GET", path, Value::Null).await;
        assert_eq!((status, &problem["code"]), (403, &json!("FORBIDDEN")));
        assert!(problem["detail"].as_str().unwrap().contains("?as=NAME:admin"), "{problem}");
    }
    app.client_as("bob:admin").get(path).await;
    app.client_as("ada").patch("/api/users/bob", json!({"role": "admin"})).await;
    app.client_as("bob").get(path).await;
    let (status, _) = refusal(&app.client_as("bob:user"), "GET", path, Value::Null).await;
    assert_eq!(status, 403, "the role of the credentials wins");
}

#[tokio::test]
async fn the_last_colon_of_as_stands_before_the_role() {
    let app = app().await;
    app.client_as("a:b:admin").get("/api/vaults").await;
    let names: Vec<String> = app.rows("users").await.into_keys().collect();
    assert_eq!(names, ["a:b"]);
}

#[tokio::test]
async fn the_view_of_a_list_depends_on_what_its_reader_sees() {
    let app = app().await;
    let view = async |who: &str, query: &str| {
        app.client_as(who).get(&format!("/api/notes{query}")).await["view"].as_str().unwrap().to_owned()
    };
    let ada = view("ada", "").await;
    assert_eq!(ada, view("ada", "?limit=1&sort=title").await, "order and pages do not matter");
    assert_ne!(ada, view("bob", "").await, "another person");
    assert_ne!(ada, view("ada:hr", "").await, "other fields");
    assert_ne!(ada, view("ada", "?title=x").await, "another filter");
    assert_eq!(view("ada", "?title=x&shared=true").await, view("ada", "?title=x&shared=true").await);
}

#[tokio::test]
async fn a_bad_filter_of_a_list_gets_an_error_that_names_the_mistake() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    assert!(BAD_FILTERS.len() >= 60);
    for path in ["/api/samples", "/api/samples/count"] {
        for (query, words) in BAD_FILTERS {
            let (status, problem) = refusal(&api, "GET", &format!("{path}?{query}"), Value::Null).await;
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert_eq!((status, problem["code"].as_str()), (400, Some("BAD_QUERY")), "{query}: {detail}");
            assert!(detail.contains(words), "{query}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_bad_filter_of_a_live_query_gets_the_same_error() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let mut socket = Socket::open(app.address).await;
    for (query, words) in BAD_FILTERS {
        let frame = json!({"type": "subscribe", "channel": format!("entity:Sample?{query}")});
        socket.send_text(&frame.to_string()).await;
        let payload = socket.expect("error").await["payload"].clone();
        let message = payload["message"].as_str().unwrap();
        assert_eq!(payload["code"], "BAD_CHANNEL", "{query}: {message}");
        assert!(message.contains(words), "{query}: {message}");
    }
}
