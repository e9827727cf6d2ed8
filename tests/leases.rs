//! Leases over real sockets: who gets one, what a write under one owes, and how one ends when its holder is gone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::process::plain_schemas;
use crate::support::socket::Socket;

const SOCKETS: &str = "tidewire_sessions{transport=\"ws\"}";

async fn socket(app: &TestApp, name: &str) -> Socket {
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={name}")).await;
    socket.expect("connected").await;
    socket
}

fn wish(kind: &str, payload: Value) -> Value {
    json!({"type": kind, "requestId": kind, "payload": payload})
}

async fn ask(socket: &mut Socket, kind: &str, payload: Value) -> Value {
    socket.send(&wish(kind, payload)).await;
    let answer = socket.frame().await;
    assert_eq!(answer["requestId"], kind, "{answer}");
    answer
}

/// The number of the lease that a socket acquires.
async fn acquire(socket: &mut Socket, resource: &str) -> u64 {
    let held = ask(socket, "lease:acquire", json!({"resource": resource})).await;
    assert_eq!(
        (&held["type"], &held["payload"]["resource"]),
        (&json!("lease:held"), &json!(resource)),
        "{held}"
    );
    assert!(held["payload"]["until"].is_string(), "{held}");
    held["payload"]["fence"].as_u64().unwrap()
}

/// From here on the user of the socket is at the record: a lease may be passed to them.
async fn be_at(socket: &mut Socket, resource: &str) {
    socket.send(&wish("presence:join", json!({"resource": resource}))).await;
    socket.expect("presence:sync").await;
}

/// Who holds the lease, as presence says next.
async fn shown(socket: &mut Socket) -> Value {
    socket.expect("presence:lease").await["payload"]["lease"].clone()
}

async fn refused(socket: &mut Socket, kind: &str, payload: Value) -> String {
    let error = ask(socket, kind, payload).await;
    assert_eq!(error["type"], "error", "{error}");
    error["payload"]["code"].as_str().unwrap().to_owned()
}

async fn task(app: &TestApp) -> String {
    let task = app.client_as("ada").create("tasks", json!({"title": "a"})).await;
    format!("Task/{}", task["id"].as_str().unwrap())
}

fn address(resource: &str) -> String {
    resource.replace("Task/", "/api/tasks/")
}

/// The status and code of a change under a lease.
async fn patch(app: &TestApp, name: &str, resource: &str, fence: &str) -> (u16, Value) {
    let body = json!({"title": "b"});
    let headers = [("if-lease", fence)];
    let answer = app.client_as(name).call_with("PATCH", &address(resource), body, &headers).await;
    (answer.status, answer.json["code"].clone())
}

#[tokio::test]
async fn of_two_who_acquire_at_once_one_holds_the_lease() {
    let app = TestApp::start().await;
    let resource = task(&app).await;
    let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
    for socket in [&mut ada, &mut ben] {
        socket.send(&wish("lease:acquire", json!({"resource": resource}))).await;
    }
    let answers = [ada.frame().await, ben.frame().await];
    let held = answers.iter().filter(|answer| answer["type"] == "lease:held").count();
    let refusals = answers.iter().filter(|answer| answer["payload"]["code"] == "LEASE_HELD").count();
    assert_eq!((held, refusals), (1, 1), "{answers:?}");
}

#[tokio::test]
async fn a_lease_is_renewed_passed_and_released() {
    let app = TestApp::start().await;
    let resource = task(&app).await;
    let (mut ada, mut ben, mut eve) =
        (socket(&app, "ada").await, socket(&app, "ben").await, socket(&app, "eve").await);
    let first = acquire(&mut ada, &resource).await;
    let held = ask(&mut ben, "lease:acquire", json!({"resource": resource})).await;
    assert_eq!(held["payload"]["code"], "LEASE_HELD");
    assert!(held["payload"]["message"].as_str().unwrap().contains("`ada`"), "{held}");
    let renewed = ask(&mut ada, "lease:renew", json!({"resource": resource, "fence": first})).await;
    assert_eq!(renewed["payload"]["fence"], first);

    let gone = json!({"resource": resource, "fence": first, "to": "zoe"});
    assert_eq!(refused(&mut ada, "lease:pass", gone).await, "NOT_PRESENT");
    let to_ben = json!({"resource": resource, "fence": first, "to": "ben"});
    assert_eq!(
        refused(&mut ada, "lease:pass", to_ben.clone()).await,
        "NOT_PRESENT",
        "connected, but elsewhere"
    );
    be_at(&mut ben, &resource).await;
    let passed = ask(&mut ada, "lease:pass", to_ben).await;
    let second = passed["payload"]["fence"].as_u64().unwrap();
    assert!(second > first);
    // Ben was refused before, so he hears that it changed hands, and that it is his.
    let changed = ben.expect("lease:changed").await;
    assert_eq!(changed["payload"]["holder"], "ben", "{changed}");
    let told = ben.expect("lease:held").await;
    assert_eq!(shown(&mut ben).await, json!({"holder": "ben"}));
    assert_eq!((&told["payload"]["fence"], &told["payload"]["resource"]), (&json!(second), &json!(resource)));
    assert_eq!(
        refused(&mut ada, "lease:renew", json!({"resource": resource, "fence": first})).await,
        "LEASE_LOST"
    );
    assert_eq!(
        refused(&mut ada, "lease:release", json!({"resource": resource, "fence": second})).await,
        "LEASE_LOST"
    );

    let released = ask(&mut ben, "lease:release", json!({"resource": resource, "fence": second})).await;
    assert_eq!(released["type"], "lease:released");
    assert_eq!(shown(&mut ben).await, Value::Null);
    assert!(acquire(&mut eve, &resource).await > second);
    assert_eq!(shown(&mut ben).await, json!({"holder": "eve"}));
    ben.nothing_else().await;
}

#[tokio::test]
async fn a_stale_holder_is_fenced_off() {
    let app = TestApp::start().await;
    let resource = task(&app).await;
    let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
    let stale = acquire(&mut ada, &resource).await;
    assert_eq!(patch(&app, "ada", &resource, &stale.to_string()).await.0, 200);
    ask(&mut ada, "lease:release", json!({"resource": resource, "fence": stale})).await;
    let fresh = acquire(&mut ben, &resource).await;
    let lost = (412, json!("LEASE_LOST"));
    assert_eq!(patch(&app, "ada", &resource, &stale.to_string()).await, lost);
    assert_eq!(
        patch(&app, "ada", &resource, &fresh.to_string()).await,
        lost,
        "the number alone is not enough"
    );
    assert_eq!(patch(&app, "ben", &resource, &fresh.to_string()).await.0, 200);
    for bad in ["0", "-1", "x", "", "01", "1.5", "99999999999999999999999"] {
        assert_eq!(patch(&app, "ben", &resource, bad).await, (400, json!("BAD_HEADER")), "{bad}");
    }

    let id = resource.split_once('/').unwrap().1;
    let batch = |lease: Value| {
        let op = json!({"op": "update", "entity": "Task", "id": id, "data": {"title": "c"}, "lease": lease});
        json!({"ops": [op]})
    };
    let ben_http = app.client_as("ben");
    assert_eq!(ben_http.any("POST", "/api/batch", batch(json!(fresh))).await.0, 200);
    assert_eq!(ben_http.any("POST", "/api/batch", batch(json!(stale))).await.0, 412);
    assert_eq!(ben_http.any("POST", "/api/batch", batch(json!("1"))).await.0, 400);
    let headers = [("if-lease", "1")];
    let all = ben_http.call_with("POST", "/api/batch", batch(json!(null)), &headers).await;
    assert_eq!(all.status, 400, "each operation names its own: {}", all.text);
}

#[tokio::test]
async fn where_the_schema_requires_a_lease_a_change_without_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "entity = \"Draft\"\nlease = \"required\"\n[fields]\ntitle = { type = \"text\" }\n";
    std::fs::write(folder.path().join("draft.toml"), text).unwrap();
    let schema = tidewire::schema::load(folder.path()).unwrap().schema.into();
    let app = TestApp::over(schema, |_| {}).await;
    let client = app.client_as("ada");
    let draft = client.create("drafts", json!({"title": "a"})).await;
    let path = format!("/api/drafts/{}", draft["id"].as_str().unwrap());
    let (status, refused) = client.any("PATCH", &path, json!({"title": "b"})).await;
    assert_eq!((status, &refused["code"]), (428, &json!("LEASE_REQUIRED")));
    assert_eq!(client.any("DELETE", &path, Value::Null).await.0, 428);
    let (status, refused) = client.any("PATCH", "/api/drafts?title=a", json!({"title": "b"})).await;
    assert_eq!((status, &refused["code"]), (428, &json!("LEASE_REQUIRED")));
    let mut ada = socket(&app, "ada").await;
    let fence = acquire(&mut ada, &path.replace("/api/drafts", "Draft")).await.to_string();
    let headers = [("if-lease", fence.as_str())];
    let changed = client.call_with("PATCH", &path, json!({"title": "b"}), &headers).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
}

#[tokio::test]
async fn a_lease_ends_when_the_last_connection_of_its_holder_is_gone() {
    let app = TestApp::with(|config| config.realtime.lease_hold = Duration::from_millis(50)).await;
    let resource = task(&app).await;
    let (mut tab, other) = (socket(&app, "ada").await, socket(&app, "ada").await);
    let mut ben = socket(&app, "ben").await;
    let fence = acquire(&mut tab, &resource).await;
    tab.cut();
    app.wait_for_metric(SOCKETS, 2.0).await;
    assert_eq!(refused(&mut ben, "lease:acquire", json!({"resource": resource})).await, "LEASE_HELD");
    assert_eq!(patch(&app, "ada", &resource, &fence.to_string()).await.0, 200, "the other tab is here");
    other.cut();
    let freed = ben.expect("lease:changed").await;
    assert_eq!(
        freed["payload"],
        json!({"resource": resource, "holder": null}),
        "the one who was refused is told"
    );
    assert_eq!(patch(&app, "ada", &resource, &fence.to_string()).await, (412, json!("LEASE_LOST")));
    acquire(&mut ben, &resource).await;
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_ends_and_its_holder_hears_of_it() {
    let app = TestApp::with(|config| config.realtime.lease_time = Duration::from_millis(100)).await;
    let resource = task(&app).await;
    let mut ada = socket(&app, "ada").await;
    let fence = acquire(&mut ada, &resource).await;
    let lost = ada.expect("lease:lost").await;
    assert_eq!(lost["payload"], json!({"resource": resource, "fence": fence}));
    assert_eq!(
        refused(&mut ada, "lease:renew", json!({"resource": resource, "fence": fence})).await,
        "LEASE_LOST"
    );
}

#[tokio::test]
async fn an_administrator_ends_a_lease_and_others_do_not() {
    let app = TestApp::start().await;
    let resource = task(&app).await;
    let (mut ada, mut ben, mut root) =
        (socket(&app, "ada").await, socket(&app, "ben").await, socket(&app, "root:admin").await);
    let fence = acquire(&mut ada, &resource).await;
    assert_eq!(refused(&mut ben, "lease:release", json!({"resource": resource})).await, "FORBIDDEN");
    let released = ask(&mut root, "lease:release", json!({"resource": resource})).await;
    assert_eq!(released["type"], "lease:released");
    assert_eq!(ada.expect("lease:lost").await["payload"]["fence"], fence);
    assert_eq!(patch(&app, "ada", &resource, &fence.to_string()).await, (412, json!("LEASE_LOST")));
}

#[tokio::test]
async fn after_a_restart_a_lease_waits_for_its_holder() {
    let schema: std::sync::Arc<_> = tidewire::schema::load(&plain_schemas()).unwrap().schema.into();
    let app = TestApp::over(schema.clone(), |_| {}).await;
    let (kept, left) = (task(&app).await, task(&app).await);
    let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
    let fence = acquire(&mut ada, &kept).await;
    let lost = acquire(&mut ben, &left).await;
    app.stop().await;
    let again = TestApp::again(app.folder, schema, |config| {
        config.realtime.lease_hold = Duration::from_secs(2);
    })
    .await;
    let (mut ada, mut eve) = (socket(&again, "ada").await, socket(&again, "eve").await);
    assert_eq!(refused(&mut eve, "lease:acquire", json!({"resource": left})).await, "LEASE_HELD");
    let renewed = ask(&mut ada, "lease:renew", json!({"resource": kept, "fence": fence})).await;
    assert_eq!(renewed["payload"]["fence"], fence, "{renewed}");
    assert_eq!(eve.expect("lease:changed").await["payload"]["holder"], Value::Null);
    assert!(acquire(&mut eve, &left).await > lost, "numbers go on after a restart");
    assert_eq!(refused(&mut eve, "lease:acquire", json!({"resource": kept})).await, "LEASE_HELD");
}

#[tokio::test]
async fn a_connection_has_so_many_leases() {
    let app = TestApp::with(|config| config.realtime.leases = 1).await;
    let (one, two) = (task(&app).await, task(&app).await);
    let (mut ada, mut other) = (socket(&app, "ada").await, socket(&app, "ada").await);
    let fence = acquire(&mut ada, &one).await;
    assert_eq!(acquire(&mut ada, &one).await, fence, "it is held already");
    assert_eq!(refused(&mut ada, "lease:acquire", json!({"resource": two})).await, "LEASE_LIMIT");
    acquire(&mut other, &two).await;
    ask(&mut ada, "lease:release", json!({"resource": one, "fence": fence})).await;
    acquire(&mut ada, &one).await;
}

#[tokio::test]
async fn bad_wishes_say_what_is_wrong_and_the_connection_lives() {
    let app = TestApp::start().await;
    let resource = task(&app).await;
    let mut ada = socket(&app, "ada").await;
    for (kind, payload, code) in [
        ("lease:acquire", Value::Null, "BAD_FRAME"),
        ("lease:acquire", json!({}), "BAD_FRAME"),
        ("lease:acquire", json!({"resource": 7}), "BAD_FRAME"),
        ("lease:acquire", json!({"resource": "Task"}), "BAD_FRAME"),
        ("lease:acquire", json!({"resource": "Task/"}), "BAD_FRAME"),
        ("lease:acquire", json!({"resource": "Ta sk/1"}), "BAD_FRAME"),
        ("lease:acquire", json!({"resource": "Task/%ff"}), "BAD_FRAME"),
        ("lease:acquire", json!({"resource": resource, "fence": 1}), "BAD_FRAME"),
        ("lease:renew", json!({"resource": resource}), "BAD_FRAME"),
        ("lease:renew", json!({"resource": resource, "fence": 0}), "BAD_FRAME"),
        ("lease:renew", json!({"resource": resource, "fence": "1"}), "BAD_FRAME"),
        ("lease:pass", json!({"resource": resource, "fence": 1}), "BAD_FRAME"),
        ("lease:pass", json!({"resource": resource, "fence": 1, "to": 7}), "BAD_FRAME"),
        ("lease:steal", json!({"resource": resource}), "UNKNOWN_MESSAGE_TYPE"),
        ("lease:acquire", json!({"resource": "Task/nothing"}), "NOT_FOUND"),
        ("lease:acquire", json!({"resource": "Nothing/1"}), "NOT_FOUND"),
        ("lease:renew", json!({"resource": resource, "fence": 1}), "LEASE_LOST"),
        ("lease:release", json!({"resource": resource, "fence": 1}), "LEASE_LOST"),
    ] {
        assert_eq!(refused(&mut ada, kind, payload.clone()).await, code, "{kind} {payload}");
    }
    let mut nobody = Socket::open(app.address).await;
    assert_eq!(refused(&mut nobody, "lease:acquire", json!({"resource": resource})).await, "UNAUTHENTICATED");
    ada.nothing_else().await;
}

#[tokio::test]
async fn all_who_are_at_a_record_see_who_holds_its_lease() {
    let app = TestApp::with(|config| config.realtime.lease_time = Duration::from_secs(3)).await;
    let resource = task(&app).await;
    let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
    be_at(&mut ben, &resource).await;
    let fence = acquire(&mut ada, &resource).await;
    assert_eq!(shown(&mut ben).await, json!({"holder": "ada"}));
    let address = format!("/api/realtime/presence/{resource}");
    let looked = app.client_as("ben").get(&address).await;
    assert_eq!(looked["lease"], json!({"holder": "ada"}), "{looked}");
    assert_eq!(shown(&mut ben).await, Value::Null, "it was not renewed");
    assert_eq!(ada.expect("lease:lost").await["payload"]["fence"], fence);
    let looked = app.client_as("ben").get(&address).await;
    assert_eq!(looked.get("lease"), None, "{looked}");
}

#[tokio::test]
async fn a_caller_without_the_lease_does_not_learn_where_a_user_is() {
    let app = TestApp::start().await;
    let resource = task(&app).await;
    let (mut ada, mut ben, mut eve) =
        (socket(&app, "ada").await, socket(&app, "ben").await, socket(&app, "eve").await);
    acquire(&mut ada, &resource).await;
    let pass = json!({"resource": resource, "fence": 77, "to": "ben"});
    let elsewhere = refused(&mut eve, "lease:pass", pass.clone()).await;
    be_at(&mut ben, &resource).await;
    let present = refused(&mut eve, "lease:pass", pass).await;
    assert_eq!((elsewhere.as_str(), present.as_str()), ("LEASE_LOST", "LEASE_LOST"));
}

/// A draft that is changed under a lease alone, beside all by which the server writes to one: it goes with its shelf, copies the
/// name of the shelf, expires, is deleted by a wish and changed by a remark.
async fn required() -> TestApp {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("shelf", "entity = 'Shelf'\nplural = 'shelves'\n[fields]\nname = { type = 'text' }\n"),
        (
            "draft",
            "entity = 'Draft'\nlease = 'required'\nexpires = 'until'\n[fields]\ntitle = { type = 'text' }\n\
             until = { type = 'datetime' }\nshelf_name = { type = 'text', from = 'shelf.name' }\n\
             shelf = { type = 'ref', entity = 'Shelf', on_delete = 'cascade' }\n",
        ),
        (
            "wish",
            "entity = 'Wish'\nplural = 'wishes'\n[fields]\ndraft = { type = 'uuid' }\n\
             [[on]]\nevent = 'create'\ndelete = 'Draft'\nwhere = 'target.id == draft'\n",
        ),
        (
            "remark",
            "entity = 'Remark'\n[fields]\ndraft = { type = 'uuid' }\ntext = { type = 'text' }\n\
             [[on]]\nevent = 'create'\nupdate = 'Draft'\nwhere = 'target.id == draft'\nset = { title = 'text' }\n",
        ),
    ] {
        std::fs::write(folder.path().join(format!("{file}.toml")), text).unwrap();
    }
    let schema = tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}")).schema;
    TestApp::over(schema.into(), |_| {}).await
}

/// A draft on a shelf of its own.
async fn draft(app: &TestApp) -> (Value, Value) {
    let client = app.client_as("ada");
    let shelf = client.create("shelves", json!({"name": "a"})).await;
    let draft = client.create("drafts", json!({"title": "a", "shelf": shelf["id"]})).await;
    (shelf, draft)
}

fn path(plural: &str, record: &Value) -> String {
    format!("/api/{plural}/{}", record["id"].as_str().unwrap())
}

/// By what a draft goes.
#[derive(Debug, Clone, Copy)]
enum Going {
    Holder,
    Cascade,
    Trigger,
    Expiry,
}

#[tokio::test]
async fn a_lease_ends_with_its_record_in_whatever_way_that_goes() {
    let app = required().await;
    for going in [Going::Holder, Going::Cascade, Going::Trigger, Going::Expiry] {
        let (shelf, draft) = draft(&app).await;
        let resource = format!("Draft/{}", draft["id"].as_str().unwrap());
        let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
        let fence = acquire(&mut ada, &resource).await;
        assert_eq!(refused(&mut ben, "lease:acquire", json!({"resource": resource})).await, "LEASE_HELD");
        let number = fence.to_string();
        let under = [("if-lease", number.as_str())];
        let (holder, other, at) = (app.client_as("ada"), app.client_as("ben"), path("drafts", &draft));
        match going {
            Going::Holder => {
                assert_eq!(holder.call_with("DELETE", &at, Value::Null, &under).await.status, 204);
            }
            Going::Cascade => other.delete(&path("shelves", &shelf)).await,
            Going::Trigger => drop(other.create("wishes", json!({"draft": draft["id"]})).await),
            Going::Expiry => {
                let past = json!({"until": "2001-01-01T00:00:00Z"});
                assert_eq!(holder.call_with("PATCH", &at, past, &under).await.status, 200);
            }
        }
        let lost = ada.expect("lease:lost").await;
        assert_eq!(lost["payload"], json!({"resource": resource, "fence": fence}), "{going:?}");
        let freed = ben.expect("lease:changed").await;
        assert_eq!(freed["payload"], json!({"resource": resource, "holder": null}), "{going:?}");
        app.wait_for_metric("tidewire_leases", 0.0).await;
        assert_eq!(refused(&mut ben, "lease:acquire", json!({"resource": resource})).await, "NOT_FOUND");

        // Another record with the same id has nothing of it.
        other.create("drafts", json!({"id": draft["id"], "title": "b"})).await;
        let fresh = acquire(&mut ben, &resource).await;
        assert!(fresh > fence, "{going:?}");
        let stale = holder.call_with("PATCH", &at, json!({"title": "c"}), &under).await;
        assert_eq!((stale.status, &stale.json["code"]), (412, &json!("LEASE_LOST")), "{going:?}");
        let renewed = json!({"resource": resource, "fence": fence});
        assert_eq!(refused(&mut ada, "lease:renew", renewed).await, "LEASE_LOST", "{going:?}");
        ask(&mut ben, "lease:release", json!({"resource": resource, "fence": fresh})).await;
        ada.nothing_else().await;
        ben.nothing_else().await;
    }
}

#[tokio::test]
async fn what_the_server_writes_by_itself_needs_no_lease_and_ends_none() {
    let app = required().await;
    let (shelf, draft) = draft(&app).await;
    let resource = format!("Draft/{}", draft["id"].as_str().unwrap());
    let mut ada = socket(&app, "ada").await;
    let fence = acquire(&mut ada, &resource).await.to_string();
    let (other, at) = (app.client_as("ben"), path("drafts", &draft));
    assert_eq!(other.any("PATCH", &at, json!({"title": "x"})).await.0, 428);
    other.patch(&path("shelves", &shelf), json!({"name": "b"})).await;
    other.create("remarks", json!({"draft": draft["id"], "text": "said"})).await;
    let now = other.get(&at).await;
    assert_eq!((&now["shelf_name"], &now["title"]), (&json!("b"), &json!("said")), "{now}");
    let written =
        app.client_as("ada").call_with("PATCH", &at, json!({"title": "y"}), &[("if-lease", &fence)]).await;
    assert_eq!(written.status, 200, "the holder still has it: {}", written.text);
    ada.nothing_else().await;
}

#[tokio::test]
async fn the_holder_of_a_lease_hears_of_another_users_delete() {
    let app = TestApp::start().await;
    let resource = task(&app).await;
    let mut ada = socket(&app, "ada").await;
    let (mut other, fence) = (socket(&app, "ada").await, acquire(&mut ada, &resource).await);
    app.client_as("ben").delete(&address(&resource)).await;
    for tab in [&mut ada, &mut other] {
        let lost = tab.expect("lease:lost").await;
        assert_eq!(lost["payload"], json!({"resource": resource, "fence": fence}));
    }
}
