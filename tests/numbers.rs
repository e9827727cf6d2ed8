//! Numbers come back as they were written, or are refused: in every place where a client or a file writes one.
//!
//! Files of an import are in `import_export/bad_lines.rs`, schema files in `schema_files/bad_files/cases.rs`.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::{Answer, Client, TestApp};

fn schema() -> Arc<Schema> {
    let text = "entity = \"Measure\"\n[fields]\nn = { type = \"int\" }\nx = { type = \"float\" }\nj = { type = \"json\" }\nt = { type = \"text\" }\n";
    let file =
        SourceFile { name: "schemas/measure.toml".to_owned(), format: Format::Toml, text: text.to_owned() };
    check(&[file]).unwrap_or_else(|errors| panic!("{errors}")).into()
}

/// A member, and the JSON text that it comes back as.
const KEPT: [(&str, &str, &str); 19] = [
    ("n", "9007199254740991", "9007199254740991"),
    ("n", "-9007199254740991", "-9007199254740991"),
    ("n", "1e3", "1000"),
    ("n", "3.0", "3"),
    ("x", "0.1", "0.1"),
    ("x", "1e308", "1e+308"),
    ("x", "5e-324", "5e-324"),
    ("x", "9007199254740992", "9007199254740992.0"),
    ("x", "1152921504606846976", "1.152921504606847e+18"),
    // A float field is for fractions as a 64-bit float has them.
    ("x", "0.1234567890123456789", "0.12345678901234568"),
    ("x", "0.10000000000000000555", "0.1"),
    ("j", "0.1", "0.1"),
    ("j", "9007199254740992", "9007199254740992"),
    ("j", "-9007199254740994", "-9007199254740994"),
    ("j", "1e3", "1000.0"),
    (
        "j",
        "{\"a\":[1,2.5],\"b\":\"123456789012345678901234567890\"}",
        "{\"a\":[1,2.5],\"b\":\"123456789012345678901234567890\"}",
    ),
    ("j", "{\"1e400\":\"1e400\"}", "{\"1e400\":\"1e400\"}"),
    ("j", "[\"\\\"\\\\\",1,\"9007199254740993\"]", "[\"\\\"\\\\\",1,\"9007199254740993\"]"),
    ("t", "\"123456789012345678901234567890\"", "\"123456789012345678901234567890\""),
];

/// A member, and the words of its refusal.
const REFUSED: [(&str, &str, &str); 25] = [
    ("n", "9007199254740992", "`n` must lie within ±9007199254740991"),
    ("n", "9007199254740993", "`n` must lie within ±9007199254740991, not be `9007199254740993`"),
    ("n", "-123456789012345678901234567890", "not be `-123456789012345678901234567890`"),
    ("n", "1e400", "`n` must lie within ±9007199254740991, not be `1e400`"),
    ("n", "1e-400", "`n` must be an int, not `1e-400`"),
    ("n", "3.0000000000000000001", "`n` must be an int, not `3.0000000000000000001`"),
    ("x", "9007199254740993", "`x` is a whole number that a float would change"),
    ("x", "123456789012345678901234567890", "`x` is a whole number that a float would change"),
    ("x", "1e400", "`x` is a number beyond the range of a float: `1e400`"),
    ("x", "-1e400", "`x` is a number beyond the range of a float: `-1e400`"),
    ("x", "1e-400", "`x` is a number beyond the range of a float: `1e-400`"),
    ("x", "[1e400]", "`x` must be a number, not an array"),
    (
        "j",
        "9007199254740993",
        "`j` holds the number `9007199254740993`, which would be changed to 9007199254740992",
    ),
    ("j", "123456789012345678901234567890", "which would be changed to 123456789012345680000000000000"),
    // A float is this number, and yet a browser writes it with other digits.
    ("j", "1152921504606846976", "which would be changed to 1152921504606847000"),
    ("j", "12345678901234567890", "which would be changed to 12345678901234567000"),
    ("j", "0.1234567890123456789", "which would be changed to 0.12345678901234568"),
    ("j", "1e400", "`j` holds the number `1e400`, which is beyond the range of a float"),
    ("j", "1e-400", "`j` holds the number `1e-400`, which is beyond the range of a float"),
    ("j", "[0,{\"a\":[1.5,1e400]}]", "`j` holds the number `1e400` at `[1].a[1]`"),
    ("j", "{\"a\":{\"b\":9007199254740993}}", "`j` holds the number `9007199254740993` at `a.b`"),
    ("j", "[\"\\\\\",\"\\\"1e400\",1e401]", "`j` holds the number `1e401` at `[2]`"),
    ("j", "[1e400,2,3,9007199254740993]", "`j` holds the number `1e400` at `[0]`"),
    ("t", "1e400", "`t` must be a text, not a number"),
    ("t", "9007199254740993", "`t` must be a text, not a number"),
];

async fn send(api: &Client, method: &str, path: &str, body: &str) -> Answer {
    let request = api.request(method, path).header("Content-Type", "application/json");
    api.send(request.body(body.to_owned())).await
}

/// Every way to write one member: method, address, body, and where the fields are named.
fn writes(id: &str, member: &str) -> [(&'static str, String, String, &'static str); 6] {
    let at = format!("/api/measures/{id}");
    let op = format!("{{\"op\":\"update\",\"entity\":\"Measure\",\"id\":\"{id}\",\"data\":{{{member}}}}}");
    let create = format!("{{\"op\":\"create\",\"entity\":\"Measure\",\"data\":{{{member}}}}}");
    let first = "{\"op\":\"create\",\"entity\":\"Measure\",\"data\":{\"x\":0.5,\"t\":\"first\"}}";
    [
        (
            "POST",
            "/api/measures".to_owned(),
            format!("{{\"t\":\"1e400\",{member}}}").replace("\"t\":\"1e400\",\"t\"", "\"t\""),
            "",
        ),
        ("PATCH", at.clone(), format!("{{{member}}}"), ""),
        ("PUT", at, format!("{{ {member} }}"), ""),
        ("POST", "/api/batch".to_owned(), format!("{{\"ops\":[{first},{op}]}}"), "ops[1]."),
        ("POST", "/api/batch".to_owned(), format!("{{\"ops\":[{first},{create}]}}"), "ops[1]."),
        ("POST", "/api/batch".to_owned(), format!("{{\"atomic\":false,\"ops\":[{first},{op}]}}"), "each"),
    ]
}

#[tokio::test]
async fn a_number_is_returned_as_it_was_written() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    for (name, text, stored) in KEPT {
        let id = api.create("measures", json!({})).await["id"].as_str().unwrap().to_owned();
        for (method, path, body, _) in writes(&id, &format!("\"{name}\":{text}")) {
            let answer = send(&api, method, &path, &body).await;
            assert!([200, 201].contains(&answer.status), "{method} {path} {body}: {}", answer.text);
            let shown = format!("\"{name}\":{stored}");
            assert!(answer.text.contains(&format!("{shown},")), "{body}: {}", answer.text);
            let read = api.call("GET", &format!("/api/measures/{id}"), Value::Null).await;
            assert!(method == "POST" || read.text.contains(&format!("{shown},")), "{}", read.text);
        }
    }
}

#[tokio::test]
async fn a_number_that_would_be_changed_is_refused_by_name_and_changes_nothing() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    let id = api.create("measures", json!({"n": 1, "x": 1.5, "j": 1, "t": "x"})).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = api.get(&format!("/api/measures/{id}")).await;
    for (name, text, words) in REFUSED {
        for (method, path, body, place) in writes(&id, &format!("\"{name}\":{text}")) {
            let answer = send(&api, method, &path, &body).await;
            let problem = if place == "each" { &answer.json["results"][1]["error"] } else { &answer.json };
            let place = if place == "each" { "" } else { place };
            assert_eq!(problem["code"], "VALIDATION_FAILED", "{method} {path} {body}: {}", answer.text);
            let [error] = problem["errors"].as_array().unwrap().as_slice() else {
                panic!("one error, not {}", answer.text);
            };
            assert_eq!(error["field"], format!("{place}{name}"), "{body}");
            let told = error["message"].as_str().unwrap().replace(place, "");
            assert!(told.contains(words), "{words}: {told}");
        }
    }
    assert_eq!(api.get(&format!("/api/measures/{id}")).await, before);
}

#[tokio::test]
async fn a_filter_is_not_for_another_number_than_it_names() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    api.create("measures", json!({"n": 9_007_199_254_740_991_i64, "x": 9_007_199_254_740_992.0})).await;
    let mut socket = crate::support::socket::Socket::open(app.address).await;
    for (filter, words) in [
        ("n=9007199254740993", "±9007199254740991"),
        ("n[gt]=123456789012345678901234567890", "±9007199254740991"),
        ("n=1e400", "±9007199254740991"),
        ("n=3.0000000000000000001", "must be an int, not `3.0000000000000000001`"),
        ("x=9007199254740993", "a whole number that a float would change"),
        ("x[lte]=1e400", "beyond the range of a float"),
        ("x[in]=1,1e-400", "beyond the range of a float"),
        ("x=1_000", "must be a number, not `1_000`"),
        ("x=01", "must be a number, not `01`"),
    ] {
        let answer = api.call("GET", &format!("/api/measures?{filter}"), Value::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("BAD_QUERY")), "{filter}");
        assert!(answer.json["detail"].as_str().unwrap().contains(words), "{filter}: {}", answer.text);
        let channel = format!("entity:Measure?{filter}");
        socket.send(&json!({"type": "subscribe", "channel": channel, "requestId": "r"})).await;
        let refusal = socket.frame().await;
        assert_eq!(
            (&refusal["type"], &refusal["payload"]["code"]),
            (&json!("error"), &json!("BAD_CHANNEL")),
            "{refusal}"
        );
    }
    for (filter, count) in
        [("x=9007199254740992", 1), ("x=9007199254740992.00", 1), ("n=9007199254740991.0", 1)]
    {
        let found = api.get(&format!("/api/measures?{filter}")).await;
        assert_eq!(found["items"].as_array().unwrap().len(), count, "{filter}");
    }
}

#[tokio::test]
async fn a_number_that_decides_what_a_batch_does_is_not_guessed() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    let id = api.create("measures", json!({"n": 1})).await["id"].as_str().unwrap().to_owned();
    for version in ["1.0000000000000000001", "1e400", "9007199254740993"] {
        let body = format!(
            "{{\"ops\":[{{\"op\":\"delete\",\"entity\":\"Measure\",\"id\":\"{id}\",\"version\":{version}}}]}}"
        );
        let answer = send(&api, "POST", "/api/batch", &body).await;
        assert_eq!((answer.status, &answer.json["code"]), (400, &json!("BAD_JSON")), "{}", answer.text);
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`ops[0].version` cannot be the number `{version}`")), "{detail}");
    }
    assert_eq!(app.rows("measures").await.len(), 1);
}
