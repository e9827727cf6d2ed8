//! Lists, counts, groups and searches over HTTP: what they show, what they cost at most, and what a server says to
//! queries that mean nothing.

mod bad_queries;
mod oracle;

use serde_json::{Value, json};
use tidewire::schema::{Entity, Field, FieldIndex, FieldKind, IdKind, OnDelete, Schema};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::socket::Socket;

fn text() -> FieldKind {
    FieldKind::Text { min: None, max: None, pattern: None }
}

fn refers(entity: &str) -> FieldKind {
    FieldKind::Ref { entity: entity.into(), on_delete: OnDelete::SetNull }
}

fn searched(field: Field) -> Field {
    Field { search: true, ..field }
}

/// `Item` with a field of every type, in a `Folder` in a `Folder`, which a `User` keeps.
fn schema() -> std::sync::Arc<Schema> {
    let user =
        Entity { id_kind: IdKind::Text, ..Entity::new("User", "users", vec![Field::new("name", text())]) };
    let folder = vec![
        Field::new("name", text()),
        Field::new("parent", refers("Folder")),
        Field::new("keeper", refers("User")),
    ];
    let kinds = ["red", "green", "blue"].map(Into::into).to_vec();
    let fields = vec![
        searched(Field::new("word", text())),
        searched(Field::new("note", text())),
        Field::new("kind", FieldKind::Enum { values: kinds }),
        Field::new("number", FieldKind::Int { min: None, max: None }),
        Field::new("ratio", FieldKind::Float { min: None, max: None }),
        Field::new("on", FieldKind::Bool),
        Field::new("day", FieldKind::Date),
        Field::new("at", FieldKind::Datetime),
        Field::new("token", FieldKind::Uuid),
        Field::new("extra", FieldKind::Json),
        Field::new("folder", refers("Folder")),
    ];
    let index =
        |fields: &[usize]| fields.iter().map(|at| tidewire::schema::Column::Field(FieldIndex(*at))).collect();
    let indexes = vec![index(&[3, 0]), index(&[2])];
    let item = Entity { indexes, ..Entity::new("Item", "items", fields) };
    Schema::new([user, Entity::new("Folder", "folders", folder), item]).into()
}

async fn app() -> TestApp {
    TestApp::over(schema(), |_| {}).await
}

/// Percent-encodes a value of a query.
fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The `word` of every item of a list, in its order.
async fn words(api: &Client, query: &str) -> Vec<String> {
    let page = api.get(&format!("/api/items?{query}")).await;
    let word = |item: &Value| item["word"].as_str().unwrap_or("-").to_owned();
    page["items"].as_array().unwrap().iter().map(word).collect()
}

async fn refused(api: &Client, path: &str) -> (u64, String, String) {
    let answer: Answer = api.call("GET", path, Value::Null).await;
    let text = |key: &str| answer.json[key].as_str().unwrap_or_default().to_owned();
    (u64::from(answer.status), text("code"), text("detail"))
}

#[tokio::test]
async fn operators_mean_what_they_say_and_null_matches_none() {
    let app = app().await;
    let api = app.client();
    for item in [
        json!({"word": "a", "number": 1, "ratio": 1.0, "on": true, "day": "2026-01-31", "kind": "red"}),
        json!({"word": "b, c", "number": 2, "ratio": 1.5, "on": false, "day": "2026-02-01", "kind": "blue"}),
        json!({"word": "B\\", "number": 30, "ratio": -2.0, "at": "2026-11-21T09:00:00.123+01:00", "extra": [1]}),
        json!({}),
    ] {
        api.create("items", item).await;
    }
    for (query, expected) in [
        ("number[gte]=2", &["b, c", "B\\"][..]),
        ("number[gt]=2&number[lt]=31", &["B\\"]),
        ("number[lte]=1", &["a"]),
        ("number[ne]=1", &["b, c", "B\\"]),
        ("number[in]=1,30,77", &["a", "B\\"]),
        ("number[null]=true", &["-"]),
        ("number[null]=false&ratio[lt]=0", &["B\\"]),
        ("ratio=1", &["a"]),
        ("ratio[eq]=1.0", &["a"]),
        ("word[contains]=b", &["b, c"]),
        ("word[starts]=B", &["B\\"]),
        ("word[in]=a,b\\,%20c", &["a", "b, c"]),
        ("word[in]=B\\\\", &["B\\"]),
        ("word[contains]=%25", &[]),
        ("word[starts]=_", &[]),
        ("on=true", &["a"]),
        ("on[ne]=true", &["b, c"]),
        ("on[in]=true,false", &["a", "b, c"]),
        ("day[starts]=2026-0", &["a", "b, c"]),
        ("day[gt]=2026-01-31", &["b, c"]),
        ("kind[ne]=red", &["b, c"]),
        ("kind[in]=red,blue", &["a", "b, c"]),
        ("extra[null]=false", &["B\\"]),
        ("at=2026-11-21T08:00:00.123Z", &["B\\"]),
        // Finer parts than milliseconds are cut off, like those of the value that was written.
        ("at[gte]=2026-11-21T08:00:00.1239Z", &["B\\"]),
        ("at[gt]=2026-11-21T08:00:00.1229Z", &["B\\"]),
        ("at[lt]=2026-11-21T08:00:00.123Z", &[]),
        ("version[gte]=2", &[]),
        (
            "created_at[gte]=2020-01-01T00:00:00Z&created_at[lt]=2999-01-01T00:00:00%2B02:00&number=2",
            &["b, c"],
        ),
        ("updated_at[lt]=2020-01-01T00:00:00Z", &[]),
        ("folder[null]=true&on=true", &["a"]),
    ] {
        assert_eq!(words(&api, query).await, expected, "{query}");
    }
    let first = api.get("/api/items?limit=1").await["items"][0].clone();
    let (id, made) = (first["id"].as_str().unwrap(), first["created_at"].as_str().unwrap());
    assert_eq!(words(&api, &format!("id[gt]={}", id.to_uppercase())).await.len(), 3);
    assert_eq!(words(&api, &format!("id[starts]={}&created_at={made}", &id[..20])).await[0], "a");
}

/// `[in]=` of every field, with everything that goes with a list.
#[tokio::test]
async fn a_list_of_no_values_finds_no_record() {
    let app = app().await;
    let api = app.client();
    api.create("items", json!({"word": "", "number": 0, "ratio": 0.0, "on": false})).await;
    api.create("items", json!({"word": ",", "note": "\\"})).await;
    api.create("items", json!({})).await;
    for field in [
        "id",
        "version",
        "created_at",
        "updated_at",
        "word",
        "note",
        "kind",
        "number",
        "ratio",
        "on",
        "day",
        "at",
        "token",
        "folder",
    ] {
        for query in [
            format!("{field}[in]="),
            format!("{field}[in]"),
            format!("{field}[in]=&sort=-{field}"),
            format!("{field}[in]=&word[null]=true"),
            format!("{field}[in]=&expand=folder&fields=word"),
            format!("{field}[in]=&search=a"),
        ] {
            let page = api.get(&format!("/api/items?{query}")).await;
            assert_eq!((&page["items"], &page["next"]), (&json!([]), &Value::Null), "{query}");
        }
        let counted = api.get(&format!("/api/items/count?{field}[in]=&group=word")).await;
        assert_eq!((&counted["count"], &counted["groups"]), (&json!(0), &json!([])), "{field}");
    }
    // What is not an empty list is not taken for one.
    for (query, expected) in [
        ("word[in]=,", &[""][..]),
        ("word[in]=,\\,", &["", ","]),
        ("word[in]=\\,", &[","]),
        ("word=", &[""]),
        ("word[ne]=", &[","]),
        ("word[gt]=", &[","]),
        ("word[gte]=", &["", ","]),
        ("word[lt]=", &[]),
        ("word[contains]=", &["", ","]),
        ("word[starts]=", &["", ","]),
        ("note[contains]=", &[","]),
        ("number[in]=0", &[""]),
    ] {
        assert_eq!(words(&api, query).await, expected, "{query}");
    }
    let (status, _, detail) = refused(&api, "/api/items?number[in]=,").await;
    assert_eq!(status, 400, "{detail}");
    let (status, _, detail) = refused(&api, "/api/items?extra[in]=").await;
    assert!(status == 400 && detail.contains("only be filtered by `null`"), "{detail}");
}

#[tokio::test]
async fn a_live_query_of_no_values_is_silent_over_socket_and_poll() {
    let app = app().await;
    let api = app.client();
    api.create("items", json!({"word": ""})).await;
    let mut socket = Socket::open(app.address).await;
    for (channel, rows) in
        [("entity:Item?word[in]=", 0), ("entity:Item?word[in]=%2C", 1), ("entity:Item?id[in]=", 0)]
    {
        socket.send(&json!({"type": "subscribe", "channel": channel, "payload": {"snapshot": true}})).await;
        socket.expect("subscribed").await;
        if rows > 0 {
            let snapshot = socket.expect("snapshot").await;
            assert_eq!(snapshot["payload"]["rows"].as_array().unwrap().len(), rows, "{channel}");
        }
        socket.expect("pong").await;
    }
    let start = api.get("/api/changes?channel=entity:Item?word[in]%3D").await;
    assert_eq!(start["errors"], json!([]));
    let view = start["channels"][0]["view"].as_str().unwrap();
    let empty = api.create("items", json!({"word": ""})).await;
    let event = socket.frame().await;
    assert_eq!(event["channel"], "entity:Item?word[in]=%2C");
    socket.nothing_else().await;
    let since = format!("{}:{}", start["epoch"].as_str().unwrap(), start["seq"]);
    let channels = format!(
        "channel=entity:Item?word[in]%3D&view={view}&channel=entity:Item?word[in]%3D%252C&view={view}"
    );
    let polled = api.get(&format!("/api/changes?{channels}&since={since}")).await;
    assert_eq!(polled["channels"][0]["recovered"], true);
    assert_eq!(polled["events"], json!([]), "{polled}");
    api.delete(&format!("/api/items/{}", empty["id"].as_str().unwrap())).await;
    assert_eq!(socket.frame().await["type"], "entity:deleted");
    socket.nothing_else().await;
}

/// A client that reads a list and then follows the channel sends the list's view along; if the two differed it would read forever.
#[tokio::test]
async fn a_query_has_one_view_in_every_spelling() {
    let app = app().await;
    let api = app.client();
    let mut seen: Vec<String> = Vec::new();
    for questions in [
        &["word[in]=a,b", "word[in]=b,a", "word[in]=b,a,a,b"][..],
        &["word=a", "word[eq]=a", "word[in]=a", "word[in]=a,a"],
        &["word=", "word[in]=,", "word[in]=,,"],
        &["number[in]=1,2,10", "number[in]=10,2,1"],
        &["ratio[in]=1,0.5", "ratio[in]=0.50,1.0,1e0"],
        &["on[in]=true,false", "on[in]=false,true"],
        &["at[in]=2026-11-21T08:00:00Z", "at=2026-11-21T09:00:00%2B01:00"],
        &["token[eq]=0190a000-0000-7000-8000-00000000000a", "token[in]=0190A000-0000-7000-8000-00000000000A"],
        &["word=a&number[gte]=1&number[lt]=3", "number[lt]=3&word[in]=a&number[gte]=1"],
        &["word[in]=a,b&kind[in]=red,blue", "kind[in]=blue,red&word[in]=b,a"],
    ] {
        let mut views = Vec::new();
        for question in questions {
            let page = api.get(&format!("/api/items?{question}")).await;
            views.push(page["view"].as_str().unwrap().to_owned());
            let channel = encoded(&format!("entity:Item?{question}"));
            let polled = api.get(&format!("/api/changes?channel={channel}")).await;
            views.push(polled["channels"][0]["view"].as_str().unwrap().to_owned());
        }
        views.sort_unstable();
        views.dedup();
        assert_eq!(views.len(), 1, "{questions:?}");
        assert!(!seen.contains(&views[0]), "{questions:?} is another question than those before");
        seen.append(&mut views);
    }
}

#[tokio::test]
async fn a_list_of_large_records_comes_in_pages_of_4_mib_and_never_whole() {
    let app = app().await;
    let api = app.client();
    let large = "x".repeat(900_000);
    for n in 0..12 {
        api.create("items", json!({"number": n, "extra": large})).await;
    }
    for query in ["sort=number", "sort=-ratio,number", "sort=-created_at", "fields=number", "expand=folder"] {
        let (mut next, mut sizes, mut seen) = (String::new(), Vec::new(), Vec::new());
        loop {
            let page = api.get(&format!("/api/items?limit=1000&{query}{next}")).await;
            let items = page["items"].as_array().unwrap();
            sizes.push(items.len());
            seen.extend(items.iter().map(|item| item["number"].as_u64().unwrap()));
            let Some(cursor) = page["next"].as_str() else { break };
            next = format!("&cursor={}", encoded(cursor));
        }
        seen.sort_unstable();
        assert_eq!((sizes, seen), (vec![5, 5, 2], (0..12).collect()), "{query}");
    }
}

#[tokio::test]
async fn a_cursor_goes_with_its_filters_and_its_search() {
    let app = app().await;
    let api = app.client();
    for n in 0..4 {
        api.create("items", json!({"word": "same", "number": n % 2, "kind": "red"})).await;
    }
    let next = async |query: &str| {
        let page = api.get(&format!("/api/items?{query}")).await;
        page["next"].as_str().expect("there is more").to_owned()
    };
    let filtered = next("limit=1&number=1&kind=red").await;
    for query in ["number=1&kind=red", "kind=red&number=1&fields=word&limit=3&expand=folder"] {
        assert_eq!(words(&api, &format!("{query}&cursor={filtered}")).await, ["same"], "{query}");
    }
    let sought = next("limit=1&search=same").await;
    assert_eq!(words(&api, &format!("search=same&cursor={sought}")).await.len(), 3);
    for query in [
        format!("cursor={filtered}"),
        format!("number=0&kind=red&cursor={filtered}"),
        format!("number[gte]=1&kind=red&cursor={filtered}"),
        format!("number=1&kind=red&search=same&cursor={filtered}"),
        format!("number=1&kind=red&sort=id&cursor={filtered}"),
        format!("cursor={sought}"),
        format!("search=sam&cursor={sought}"),
    ] {
        let (status, code, detail) = refused(&api, &format!("/api/items?{query}")).await;
        assert_eq!((status, code.as_str()), (400, "BAD_CURSOR"), "{query}");
        assert!(detail.contains("these filters"), "{detail}");
    }
}

#[tokio::test]
async fn a_float_is_found_again_to_its_last_bit() {
    let app = app().await;
    let api = app.client();
    // A parser that is quick rather than exact reads the last three as their neighbours.
    let numbers = ["0.1", "5e-324", "1.0715086071862673e301", "123456789.12345679", "-31.245270191439438"];
    for number in numbers {
        let item = json!({"ratio": number.parse::<f64>().unwrap(), "word": number});
        api.create("items", item).await;
    }
    for number in numbers {
        assert_eq!(words(&api, &format!("ratio={}", encoded(number))).await, [number]);
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("/api/items?sort=ratio&limit=1{cursor}")).await;
        seen.push(page["items"][0]["ratio"].as_f64().unwrap());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut expected = numbers.map(|number| number.parse::<f64>().unwrap());
    expected.sort_by(f64::total_cmp);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn counts_are_of_what_the_list_shows_and_groups_add_up() {
    let app = app().await;
    let api = app.client();
    for (kind, on) in
        [(json!("red"), true), (json!("blue"), true), (json!("red"), false), (Value::Null, true)]
    {
        api.create("items", json!({"kind": kind, "on": on, "word": "some Word"})).await;
    }
    let head = app.head();
    let all = api.get("/api/items/count").await;
    assert_eq!((&all["count"], &all["seq"]), (&json!(4), &json!(head)));
    assert_eq!(all.as_object().unwrap().len(), 3, "count, epoch and seq: {all}");
    assert_eq!(api.get("/api/items/count?on=true").await["count"], 3);
    assert_eq!(api.get("/api/items/count?search=wor&kind[null]=false").await["count"], 3);
    let groups = api.get("/api/items/count?group=kind").await;
    let of = |value: Value, count: u64| json!({"value": value, "count": count});
    assert_eq!(groups["count"], 4);
    assert_eq!(groups["groups"], json!([of(json!("red"), 2), of(Value::Null, 1), of(json!("blue"), 1)]));
    let groups = api.get("/api/items/count?group=on&kind=red").await;
    assert_eq!(groups["groups"], json!([of(json!(false), 1), of(json!(true), 1)]));
    let groups = api.get("/api/items/count?group=created_at").await;
    assert_eq!(groups["groups"][0]["value"].as_str().map(str::len), Some(24));
    assert_eq!(api.get("/api/users/count").await["count"], 0);
    let answer = api.call("GET", "/api/items/count", Value::Null).await;
    assert!(answer.header("tidewire-seq").ends_with(&format!(":{head}")));
}

#[tokio::test]
async fn no_record_can_be_hidden_behind_the_words_of_an_address() {
    let app = app().await;
    let (api, head) = (app.client(), app.head());
    for word in ["count", "query", "by"] {
        let why =
            format!("`{word}` is no id: behind the name of a list this word of an address is no record");
        let made = api.call("POST", "/api/users", json!({"id": word, "name": "Count Orlok"})).await;
        assert_eq!((made.status, &made.json["code"]), (422, &json!("VALIDATION_FAILED")), "{}", made.text);
        let error = &made.json["errors"][0];
        assert_eq!((&error["field"], &error["code"]), (&json!("id"), &json!("bad_id")));
        assert_eq!(error["message"], format!("`id` must be an id: {why}"));
        let kept = api.call("POST", "/api/folders", json!({"keeper": word})).await;
        assert_eq!((kept.status, &kept.json["errors"][0]["code"]), (422, &json!("bad_id")), "{}", kept.text);
        for name in [word.to_owned(), format!("{word}:admin")] {
            let seen = api.call("GET", &format!("/api/items?as={name}"), Value::Null).await;
            assert_eq!(seen.status, 401, "{}", seen.text);
            assert_eq!(seen.json["detail"], format!("`as` must name a user: {why}"));
        }
        let escaped = format!("%{:x}{}", word.as_bytes()[0], &word[1..]);
        let answer = api.call("DELETE", &format!("/api/users/{escaped}"), Value::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("NOT_FOUND")), "{escaped}");
    }
    assert_eq!((app.head(), &api.get("/api/users/count").await["count"]), (head, &json!(0)));
    for name in ["Count", "counts", "querys", "bye"] {
        api.create("users", json!({"id": name, "name": "Count Orlok"})).await;
    }
}

#[tokio::test]
async fn the_address_of_the_count_takes_no_writes_and_says_so() {
    let app = app().await;
    let api = app.client();
    for path in ["/api/users/count", "/api/items/count"] {
        for method in ["PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = api.call(method, path, Value::Null).await;
            assert_eq!(
                (answer.status, &answer.json["code"]),
                (405, &json!("METHOD_NOT_ALLOWED")),
                "{method} {path}"
            );
            let allow: Vec<&str> = answer.header("allow").split(',').map(str::trim).collect();
            assert_eq!(allow, ["GET", "HEAD", "POST"], "{method} {path}");
        }
    }
}

#[tokio::test]
async fn more_than_a_thousand_groups_are_refused() {
    let app = app().await;
    let api = app.client();
    let create = |n: u64| {
        let pairs = [("number", json!(n)), ("kind", json!("red"))];
        tidewire::repository::Mutation::create("Item", tidewire::repository::Body::from_pairs(pairs))
    };
    let caller = tidewire::auth::Identity::nobody([127, 0, 0, 1].into());
    let thousand: Vec<_> = (0..1_000).map(create).collect();
    app.repository.batch(&caller, &thousand, None).await.unwrap();
    let groups = api.get("/api/items/count?group=number").await;
    assert_eq!(groups["groups"].as_array().unwrap().len(), 1_000);
    api.create("items", json!({"number": null})).await;
    let (status, code, detail) = refused(&api, "/api/items/count?group=number").await;
    assert_eq!((status, code.as_str()), (400, "BAD_QUERY"));
    assert!(detail.contains("more than 1000 groups"), "{detail}");
    assert_eq!(api.get("/api/items/count?group=number&number[null]=true").await["count"], 1);
}

#[tokio::test]
async fn fields_and_expand_shape_lists_and_records_alike() {
    let app = app().await;
    let ann = app.client_as("ann");
    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
    let root = ann.create("folders", json!({"name": "root", "keeper": "ann"})).await;
    let inner = ann.create("folders", json!({"name": "inner", "parent": id(&root)})).await;
    let item = ann.create("items", json!({"word": "x", "folder": id(&inner)})).await;
    let loose = ann.create("items", json!({"word": "y"})).await;
    let keeper = ann.get("/api/users/ann").await;
    let api = app.client();

    let with = |record: &Value, expanded: Value| {
        let mut record = record.clone();
        record["expanded"] = expanded;
        record
    };
    let whole_root = with(&root, json!({"keeper": keeper}));
    let whole_inner = with(&inner, json!({"parent": whole_root, "keeper": null}));
    let whole_item = with(&item, json!({"folder": whole_inner}));
    let query = "expand=folder.parent.keeper,folder,folder.keeper";
    let page = api.get(&format!("/api/items?{query}")).await;
    assert_eq!(page["items"], json!([whole_item, with(&loose, json!({"folder": null}))]));
    assert_eq!(page["items"][0]["folder"], inner["id"], "the reference itself stays");
    let single = api.call("GET", &format!("/api/items/{}?{query}", id(&item)), Value::Null).await;
    assert_eq!((single.status, &single.json, single.header("etag")), (200, &whole_item, "\"1\""));

    let page = api.get("/api/items?fields=word,kind&sort=-word").await;
    let short = |item: &Value| json!({"id": item["id"], "version": 1, "word": item["word"], "kind": null});
    assert_eq!(page["items"], json!([short(&loose), short(&item)]));
    let path = format!("/api/items/{}", id(&item));
    let narrow = api.call("GET", &format!("{path}?fields=updated_at,word"), Value::Null).await;
    let expected = json!({"id": item["id"], "version": 1, "word": "x", "updated_at": item["updated_at"]});
    assert_eq!((&narrow.json, narrow.header("etag")), (&expected, "\"1\""));
    assert!(narrow.text.starts_with("{\"id\":"), "{}", narrow.text);
    let both = api.get(&format!("{path}?fields=id&expand=folder")).await;
    assert_eq!(both, json!({"id": item["id"], "version": 1, "expanded": {"folder": inner}}));
    assert_eq!(api.get(&format!("{path}?as=ann")).await, item);
    let gone = "0190a000-0000-7000-8000-0000000000ff";
    assert_eq!(refused(&api, &format!("/api/items/{gone}?expand=folder")).await.1, "NOT_FOUND");
}

#[tokio::test]
async fn an_answer_that_grows_by_what_it_repeats_is_refused() {
    let app = app().await;
    let api = app.client();
    let folder = api.create("folders", json!({"name": "x".repeat(900_000)})).await;
    for _ in 0..40 {
        api.create("items", json!({"folder": folder["id"]})).await;
    }
    let (status, code, detail) = refused(&api, "/api/items?expand=folder").await;
    assert_eq!((status, code.as_str()), (400, "QUERY_TOO_BROAD"));
    assert!(detail.contains("lower `limit`"), "{detail}");
    let page = api.get("/api/items?expand=folder&limit=10").await;
    assert_eq!(page["items"][9]["expanded"]["folder"], folder);
}

#[tokio::test]
async fn a_list_and_its_expanded_records_have_the_same_position() {
    let app = app().await;
    let api = app.client();
    let folder = api.create("folders", json!({"name": "0"})).await;
    let path = format!("/api/folders/{}", folder["id"].as_str().unwrap());
    api.create("items", json!({"word": "0", "folder": folder["id"]})).await;
    let writer = async {
        for n in 1..60 {
            api.patch(&path, json!({"name": n.to_string()})).await;
        }
    };
    let reader = async {
        for _ in 0..60 {
            let page = api.get("/api/items?expand=folder").await;
            // The folder's first version has the seq 1, the item 2, and each later version the next one.
            let version = page["items"][0]["expanded"]["folder"]["version"].as_u64().unwrap();
            assert_eq!(page["seq"].as_u64().unwrap(), version + 1);
        }
    };
    tokio::join!(writer, reader);
}

#[tokio::test]
async fn searches_go_with_filters_sorts_and_pages() {
    let app = app().await;
    let api = app.client();
    for (word, note, number) in [
        ("Rivière", "runs north", 3),
        ("river", "runs  South!", 1),
        ("bank", "of the RIVER", 2),
        ("sea", "waves 🌊", 4),
    ] {
        api.create("items", json!({"word": word, "note": note, "number": number})).await;
    }
    for (query, expected) in [
        ("search=riv", &["Rivière", "river", "bank"][..]),
        ("search=RIVIERE", &["Rivière"]),
        ("search=river+runs", &["river"]),
        ("search=riv&sort=-number", &["Rivière", "bank", "river"]),
        ("search=riv&number[lt]=3&sort=number", &["river", "bank"]),
        ("search=south!", &["river"]),
        ("search=wave+!!!+%F0%9F%8C%8A", &["sea"]),
        ("search=%22river%22+OR+sea", &[]),
        ("search=riv*", &["Rivière", "river", "bank"]),
        ("search=word:river", &[]),
    ] {
        assert_eq!(words(&api, query).await, expected, "{query}");
    }
    let page = api.get("/api/items?search=riv&sort=-number&limit=2").await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(words(&api, &format!("search=riv&sort=-number&cursor={next}")).await, ["river"]);
    let counted = api.get("/api/items/count?search=riv&group=number&number[gte]=2").await;
    assert_eq!(counted["count"], 2);
}

#[tokio::test]
async fn a_search_finds_a_text_whatever_its_case_accents_and_normal_form() {
    let app = app().await;
    let api = app.client();
    let same = ["κοσμος", "κόσμος", "ΚΌΣΜΟΣ", "κο\u{301}σμος"];
    for (number, word) in same.iter().enumerate() {
        api.create("items", json!({"word": word, "note": "хороший Ёж", "number": number})).await;
    }
    api.create("items", json!({"word": "हिन्दी", "note": "한국 がく Straße", "number": 9})).await;
    for asked in same {
        let query = format!("search={}&sort=number", encoded(asked));
        assert_eq!(words(&api, &query).await, same, "what was written is shown, as it was written");
    }
    for (asked, count) in [
        ("κοσ", 4),
        ("ХОРОШИИ еж", 4),
        ("е\u{308}ж", 4),
        ("हिन्दी", 1),
        ("हि", 1),
        ("हन", 0),
        ("\u{1112}\u{1161}\u{11ab}", 1),
        ("かく", 0),
        ("か\u{3099}く", 1),
        ("STRASS", 1),
        ("ＳＴＲＡＳＳＥ", 1),
    ] {
        let counted = api.get(&format!("/api/items/count?search={}", encoded(asked))).await;
        assert_eq!(counted["count"], count, "{asked}");
    }
    let one = api.get(&format!("/api/items?search={}&number=9", encoded("हिन्दी"))).await["items"][0].clone();
    api.patch(&format!("/api/items/{}", one["id"].as_str().unwrap()), json!({"word": "Ünlü"})).await;
    assert_eq!(words(&api, "search=unlu").await, ["Ünlü"]);
    assert_eq!(words(&api, &format!("search={}", encoded("हि"))).await, Vec::<String>::new());
}

#[tokio::test]
async fn conditions_and_orders_compare_characters_and_no_normal_forms() {
    let app = app().await;
    let api = app.client();
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}");
    for word in [composed, decomposed] {
        api.create("items", json!({"word": word})).await;
    }
    for (query, expected) in [
        (format!("word={}", encoded(composed)), &[composed][..]),
        (format!("word={}", encoded(decomposed)), &[decomposed]),
        (format!("word[in]={},x", encoded(composed)), &[composed]),
        ("word[starts]=cafe".to_owned(), &[decomposed]),
        (format!("word[contains]={}", encoded("\u{301}")), &[decomposed]),
        ("sort=word".to_owned(), &[decomposed, composed]),
        ("search=cafe&sort=word".to_owned(), &[decomposed, composed]),
    ] {
        assert_eq!(words(&api, &query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn no_two_ids_or_unique_values_look_the_same() {
    let name = Field { unique: true, required: true, ..Field::new("name", text()) };
    let badge = Entity::new("Badge", "badges", vec![name, Field::new("note", text())]);
    let user =
        Entity { id_kind: IdKind::Text, ..Entity::new("User", "users", vec![Field::new("name", text())]) };
    let schema = std::sync::Arc::new(Schema::new([user, badge]));
    let app = TestApp::over(schema, |_| {}).await;
    let api = app.client_as("jos\u{e9}");
    let (composed, decomposed) = (json!("Jos\u{e9}"), json!("Jose\u{301}"));
    let record = api.create("badges", json!({"name": composed, "note": decomposed})).await;
    assert_eq!(record["note"], decomposed, "a text is kept as it was given");
    let own = format!("/api/badges/{}", record["id"].as_str().unwrap());
    for (method, path) in [("POST", "/api/badges"), ("PATCH", own.as_str())] {
        let (status, problem) = api.any(method, path, json!({"name": decomposed})).await;
        assert_eq!((status, &problem["errors"][0]["code"]), (422, &json!("not_composed")), "{problem}");
    }
    let (status, problem) = app.client().get_any(&format!("/api/badges?as={}", encoded("jose\u{301}"))).await;
    assert_eq!(status, 401, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("NFC"), "{problem}");
    let (status, _) = api.any("POST", "/api/users", json!({"id": "jose\u{301}", "name": "x"})).await;
    assert_eq!(status, 422);
    let users = api.get("/api/users").await;
    assert_eq!(users["items"].as_array().unwrap().len(), 1, "{users}");
}

/// A server that steps over fifty rows at most, with `rows` items: numbers 0 to 9, all of one kind and one day.
async fn narrow_app(rows: usize) -> TestApp {
    filled(TestApp::over(schema(), |config| config.store.scan_rows = 50).await, rows).await
}

async fn filled(app: TestApp, rows: usize) -> TestApp {
    let create = |n: usize| {
        let pairs = [
            ("number", if n % 11 == 10 { Value::Null } else { json!(n % 11) }),
            ("kind", json!("red")),
            ("day", json!("2026-11-21")),
            ("word", json!(format!("same w{n:03}"))),
        ];
        tidewire::repository::Mutation::create("Item", tidewire::repository::Body::from_pairs(pairs))
    };
    let caller = tidewire::auth::Identity::nobody([127, 0, 0, 1].into());
    app.repository.batch(&caller, &(0..rows).map(create).collect::<Vec<_>>(), None).await.unwrap();
    app
}

/// A read that is tried on a thread which others need steps over two hundred rows at most.
#[tokio::test]
async fn a_list_that_is_stopped_in_place_is_read_whole_elsewhere() {
    let app = filled(app().await, 900).await;
    let api = app.client();
    for (query, count) in [
        ("items?word[contains]=w8&limit=20", 20),
        ("items?word[contains]=w8&limit=20&sort=-word", 20),
        ("items?word[contains]=w8&limit=20&sort=-created_at", 20),
        ("items?word[contains]=w8&limit=100", 100),
        ("items?word[contains]=w899", 1),
        ("items?limit=500", 500),
    ] {
        let page = api.get(&format!("/api/{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }
    for (query, count) in [("word[contains]=w8", 100), ("kind=red", 900), ("kind=blue", 0)] {
        assert_eq!(api.get(&format!("/api/items/count?{query}")).await["count"], count, "{query}");
    }
}

#[tokio::test]
async fn a_query_without_its_index_is_refused_with_the_name_of_the_index() {
    let app = narrow_app(60).await;
    let api = app.client();
    for (query, words) in [
        ("items?sort=day", "lacks this index: [[index]] fields = [\"day\"]"),
        ("items?sort=-day,number", "[[index]] fields = [\"day\", \"number\"]"),
        ("items?kind=red&day[gt]=2027-01-01", "[[index]] fields = [\"kind\", \"day\"]"),
        ("items?kind=red&sort=-at", "[[index]] fields = [\"kind\", \"at\"]"),
        (
            "items?day=2026-11-21&on[in]=true,false&ratio[lt]=1",
            "[[index]] fields = [\"day\", \"on\", \"ratio\"]",
        ),
        ("items?day[starts]=2027", "[[index]] fields = [\"day\"]"),
        // An index continues with the id, so that of number and word is in another order.
        ("items?sort=number", "[[index]] fields = [\"number\"]"),
        ("items?number[gte]=0&sort=-number,-word&word[contains]=x", "no index would help"),
        ("items?ratio[null]=false", "no index would help"),
        ("items?word[contains]=nothing", "no index would help"),
        ("items?extra[null]=false", "no index would help"),
        ("items?extra[null]=true&word[contains]=nothing", "no index would help"),
        ("items?sort=updated_at", "[[index]] fields = [\"updated_at\"]"),
        ("items?search=same", "use more or longer words"),
        ("items/count?day=2027-01-01", "[[index]] fields = [\"day\"]"),
        ("items/count?group=day", "[[index]] fields = [\"day\"]"),
        ("items/count?word[ne]=x", "no index would help"),
        ("items/count?search=w", "use more or longer words"),
    ] {
        let (status, code, detail) = refused(&api, &format!("/api/{query}")).await;
        assert_eq!((status, code.as_str()), (400, "QUERY_TOO_BROAD"), "{query}: {detail}");
        assert!(detail.contains(words) && detail.contains("more than 50 rows of Item"), "{query}: {detail}");
    }
    for (query, count) in [
        ("items?limit=49", 49),
        ("items?day=2026-11-21&limit=49", 49),
        ("items?number=3&word[starts]=same", 6),
        ("items?kind=red&number=3&sort=word", 6),
        ("items?search=w01", 10),
        ("items?search=w01&kind=red&sort=-day", 10),
    ] {
        let page = api.get(&format!("/api/{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}");
    }
    for (query, count) in [
        ("items/count", 60),
        // What an index alone answers may be ten times as much.
        ("items/count?kind=red", 60),
        ("items/count?group=kind", 60),
        ("items/count?number[gte]=2", 43),
        ("items/count?number=3&word[starts]=same&group=word", 6),
        ("items/count?search=w01&day=2026-11-21", 10),
    ] {
        assert_eq!(api.get(&format!("/api/{query}")).await["count"], count, "{query}");
    }
}

#[tokio::test]
async fn a_search_that_is_too_broad_is_not_advised_to_filter() {
    let app = narrow_app(60).await;
    for query in [
        "items?search=same&number=3",
        "items?search=same&kind=red&sort=day",
        "items/count?search=same&number=3",
    ] {
        let (status, code, detail) = refused(&app.client(), &format!("/api/{query}")).await;
        assert_eq!((status, code.as_str()), (400, "QUERY_TOO_BROAD"), "{query}");
        assert!(detail.ends_with("even before the filters apply: use more or longer words"), "{detail}");
    }
    let (_, _, detail) = refused(&app.client(), "/api/items?word[contains]=nothing").await;
    assert!(detail.ends_with("add filters"), "{detail}");
}

#[tokio::test]
async fn the_bound_is_exact() {
    let app = narrow_app(50).await;
    let api = app.client();
    let nothing = "/api/items?word[contains]=nothing";
    assert_eq!(api.get(nothing).await["items"], json!([]));
    api.create("items", json!({"word": "one more"})).await;
    assert_eq!(refused(&api, nothing).await.1, "QUERY_TOO_BROAD");
    assert_eq!(api.get(&format!("{nothing}&number=3")).await["items"], json!([]));
}

#[tokio::test]
async fn what_an_index_answers_alone_has_a_bound_too() {
    let app = narrow_app(501).await;
    let (status, code, detail) = refused(&app.client(), "/api/items/count?kind=red").await;
    assert_eq!((status, code.as_str()), (400, "QUERY_TOO_BROAD"));
    assert!(detail.contains("more than 500 rows") && detail.contains("no index would help"), "{detail}");
}

#[tokio::test]
async fn no_page_begins_at_the_beginning() {
    // A page steps over its own rows and one more of each stretch; many equal values make no difference, nor does null.
    let app = narrow_app(600).await;
    let api = app.client();
    for sort in ["", "id", "-id", "number,word", "-number,-word", "kind", "-kind"] {
        let mut seen = std::collections::BTreeSet::new();
        let mut cursor = String::new();
        let mut pages = 0;
        loop {
            let page = api.get(&format!("/api/items?sort={sort}&limit=40&fields=id{cursor}")).await;
            for item in page["items"].as_array().unwrap() {
                assert!(seen.insert(item["id"].as_str().unwrap().to_owned()), "sort {sort}: shown twice");
            }
            pages += 1;
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!((seen.len(), pages), (600, 15), "sort {sort}");
    }
}
