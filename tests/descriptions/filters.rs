//! Query strings: a list takes the filters that are described and refuses all others. Two judges that share no code
//! look at the same parameter.

use std::collections::BTreeMap;

use jsonschema::Validator;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::judge::Judge;
use crate::support::app::{Client, TestApp};
use crate::support::entities;

/// Every operator that there is, none, and some that there are not.
const OPERATORS: [&str; 15] = [
    "",
    "[eq]",
    "[ne]",
    "[gt]",
    "[gte]",
    "[lt]",
    "[lte]",
    "[in]",
    "[contains]",
    "[starts]",
    "[ends]",
    "[null]",
    "[like]",
    "[]",
    "[EQ]",
];

const TEXTS: [&str; 18] = [
    "",
    "1",
    "-1",
    "3.0",
    "0.5",
    "1e3",
    "9007199254740992",
    "true",
    "false",
    "null",
    "open",
    "open,done",
    "2026-02-28",
    "2026-02-30",
    "2026-11-21T08:00:00Z",
    "2026-11-21T08:00:00",
    "0190a000-0000-7000-8000-00000000000a",
    "0190a000-0000-7000-8000-00000000000a,x",
];

/// The parameters of an operation by name: the schema, and what judges by it.
fn parameters(judge: &Judge, document: &Value, path: &str) -> BTreeMap<String, (Value, Validator)> {
    let listed = document["paths"][path]["get"]["parameters"].as_array().unwrap();
    let parameters = listed.iter().map(|parameter| judge.followed(parameter));
    let judged = |schema: &Value| {
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
        options.should_validate_formats(true).build(schema).unwrap()
    };
    parameters
        .map(|parameter| {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            (name.to_owned(), (schema.clone(), judged(schema)))
        })
        .collect()
}

/// The text of a query as the value that it means.
fn read(schema: &Value, text: &str) -> Value {
    match schema["type"].as_str() {
        Some("array") if text.is_empty() => json!([]),
        Some("array") => text.split(',').map(|item| read(&schema["items"], item)).collect(),
        Some("integer" | "number" | "boolean") => serde_json::from_str(text).unwrap_or(json!(text)),
        _ => json!(text),
    }
}

async fn takes(client: &Client, path: &str, name: &str, text: &str) -> bool {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let address = format!("{path}?{}={}", encoded(name), encoded(text));
    let answer = client.call("GET", &address, Value::Null).await;
    assert!([200, 400].contains(&answer.status), "{address}: {}", answer.text);
    answer.status == 200
}

#[tokio::test]
async fn a_list_and_a_count_take_the_filters_that_are_described_and_no_others() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let client = app.client();
    let document = client.get("/api/openapi.json").await;
    let judge = Judge::new(document.clone());
    let mut columns: Vec<String> = document["components"]["schemas"]["Sample"]["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    columns.push("colour".to_owned());
    let (mut taken, mut refused) = (0, 0);
    for path in ["/api/samples", "/api/samples/count"] {
        let described = parameters(&judge, &document, path);
        let names = columns.iter().flat_map(|column| OPERATORS.map(|operator| format!("{column}{operator}")));
        // `?token=` says who asks, so that no schema file can name a field so.
        for name in names.filter(|name| name != "token") {
            let parameter = described.get(&name);
            // What is refused for its name is refused with any value.
            let texts = if parameter.is_some() { &TEXTS[..] } else { &["true", "open"] };
            for text in texts {
                let fits = parameter.is_some_and(|(schema, judge)| judge.is_valid(&read(schema, text)));
                assert_eq!(takes(&client, path, &name, text).await, fits, "{path}?{name}={text}");
                *(if fits { &mut taken } else { &mut refused }) += 1;
            }
        }
    }
    assert!(taken > 500 && refused > 1000, "{taken} were taken and {refused} refused");
}

#[tokio::test]
async fn what_a_list_and_a_count_take_beside_filters_is_what_is_described() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let client = app.client();
    let document = client.get("/api/openapi.json").await;
    let judge = Judge::new(document.clone());
    let texts = [
        "",
        "id",
        "-id",
        "--id",
        "title",
        "-title,priority",
        "title,title",
        "tags",
        "colour",
        "created_at,id",
        "project",
        "project,project",
        "project,owner",
        "project.owner",
        "owner.name",
        "project.project",
        "1",
        "0",
        "1000",
        "1001",
        "id,-version,created_at,updated_at,title,status,priority,due,project,owner",
        "project,project,project,project,project,project,project,project,project,project,owner",
    ];
    for path in ["/api/tasks", "/api/tasks/count", "/api/comments", "/api/users"] {
        let described = parameters(&judge, &document, path);
        for name in ["sort", "limit", "fields", "expand", "group", "search"] {
            for text in texts {
                // An empty list, as clients write it.
                let none = name == "sort" && text.is_empty();
                let fits = described.get(name).is_some_and(|(schema, judge)| {
                    judge.is_valid(&if none { json!([]) } else { read(schema, text) })
                });
                assert_eq!(takes(&client, path, name, text).await, fits, "{path}?{name}={text}");
            }
        }
    }
}

/// A list is joined by commas, so that one within a value would end it.
#[tokio::test]
async fn a_value_with_a_comma_is_found_as_the_description_writes_it() {
    let values = ["it's, done", r"back\slash", "plain"];
    let kind = tidewire::schema::FieldKind::Enum { values: values.map(Into::into).into() };
    let field = tidewire::schema::Field::new("state", kind);
    let schema = tidewire::schema::Schema::new([tidewire::schema::Entity::new("Note", "notes", vec![field])]);
    let app = TestApp::over(schema.into(), |_| {}).await;
    let client = app.client();
    let document = client.get("/api/openapi.json").await;
    let judge = Judge::new(document.clone());
    let (described, _) = &parameters(&judge, &document, "/api/notes")["state[in]"];
    for (at, value) in values.into_iter().enumerate() {
        client.create("notes", json!({"state": value})).await;
        let item = described["items"]["enum"][at].as_str().unwrap();
        let item = utf8_percent_encode(item, NON_ALPHANUMERIC).to_string();
        let page = client.get(&format!("/api/notes?state[in]={item}")).await;
        assert_eq!(page["items"][0]["state"], value);
    }
}
