//! What a value is, wherever it comes from: a default, a body, a filter, a cursor, a rule, an import. What one way in
//! takes, every way takes, and what is stored can be asked for and written back.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::repository::value_of_text;
use tidewire::schema::{Field, FieldKind, Schema};

use crate::support::app::{Client, TestApp};
use crate::support::random::Random;

const ALL: &str = "\n[access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n";

/// The schema of one entity, `Day`, with these fields and this access.
fn load(fields: &str, access: &str) -> Option<Arc<Schema>> {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("entity = \"Day\"\n[fields]\n{fields}\n{access}");
    std::fs::write(Path::join(folder.path(), "day.toml"), text).unwrap();
    tidewire::schema::load(folder.path()).ok().map(|loaded| loaded.schema.into())
}

/// Texts that are, or look like, dates and times.
fn candidates(random: &mut Random) -> Vec<String> {
    let days = [
        "0000-01-01",
        "0000-02-29",
        "0000-12-31",
        "0001-01-01",
        "0004-02-29",
        "1582-10-10",
        "1900-02-29",
        "1969-12-31",
        "2000-02-29",
        "2023-02-29",
        "2024-02-29",
        "2024-02-30",
        "2024-04-31",
        "2024-00-10",
        "2024-13-01",
        "2024-01-00",
        "9999-12-31",
        "10000-01-01",
        "-001-01-01",
        "+024-01-01",
        "2024-1-01",
        "2024-01-1",
        " 2024-01-01",
        "2024-01-01 ",
        "2024/01/01",
        "20240101",
        "٢٠٢٤-01-01",
        "2024-W01-1",
        "2024-001",
        "",
    ];
    let times = [
        "T00:00:00Z",
        "T24:00:00Z",
        "T23:59:59.9999Z",
        "T23:59:60Z",
        "T23:59:61Z",
        "T12:30:60Z",
        "T08:00:00.1Z",
        "T08:00:00.123456789012Z",
        "T08:00:00.Z",
        "t08:00:00z",
        " 08:00:00Z",
        "T08:00Z",
        "T08:00:00",
        "T08:00:00+00:00",
        "T08:00:00-00:00",
        "T08:00:00+01:00",
        "T23:59:59-01:00",
        "T00:00:00+23:59",
        "T00:00:00+24:00",
        "T00:00:00+0100",
        "T00:00:00+01",
        "T8:00:00Z",
        "T08:60:00Z",
        "T08:00:00,5Z",
    ];
    let mut all: Vec<String> = days.iter().map(|day| (*day).to_owned()).collect();
    let some =
        ["0000-01-01", "0000-12-31", "0001-01-01", "2016-12-31", "2024-02-29", "2023-02-29", "9999-12-31"];
    all.extend(some.iter().flat_map(|day| times.iter().map(move |time| format!("{day}{time}"))));
    // And slips of the pen.
    for _ in 0..200 {
        let mut slip: Vec<char> = all[random.below(all.len() as u64) as usize].chars().collect();
        if slip.is_empty() {
            continue;
        }
        let at = random.below(slip.len() as u64) as usize;
        slip[at] = ['0', '2', '9', '-', ':', 'T', 'Z', '+', '.'][random.below(9) as usize];
        all.push(slip.into_iter().collect());
    }
    all
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Which ways in take the text for a field of the type.
async fn ways(
    api: &Client,
    schema: &Schema,
    (name, kind): (&str, &FieldKind),
    text: &str,
) -> Vec<(&'static str, bool)> {
    let word = kind.word();
    let quoted = json!(text).to_string();
    let default = load(&format!("{name} = {{ type = \"{word}\", default = {quoted} }}"), ALL);
    let rule = |field: &str| {
        let read = json!(format!("{field} == {quoted}")).to_string();
        load(&format!("{name} = {{ type = \"{word}\" }}"), &format!("[access]\nread = {read}\n")).is_some()
    };
    let ok = |status: u16| status < 300;
    let list = |query: String| async move { ok(api.get_any(&format!("/api/days?{query}")).await.0) };
    let text = encoded(text);
    let mut ways = vec![
        ("default", default.is_some()),
        ("rule", rule(name)),
        (
            "body",
            ok(api
                .any("POST", "/api/days", json!({name: serde_json::from_str::<Value>(&quoted).unwrap()}))
                .await
                .0),
        ),
        ("filter", list(format!("{name}={text}")).await),
        ("filter by several", list(format!("{name}[in]={text},{text}")).await),
        ("comparison", list(format!("{name}[gte]={text}")).await),
        (
            "import",
            value_of_text(
                schema,
                &Field::new(name, kind.clone()),
                &serde_json::from_str::<String>(&quoted).unwrap(),
            )
            .is_ok(),
        ),
    ];
    if *kind == FieldKind::Datetime {
        ways.push(("filter of a system field", list(format!("created_at[lt]={text}")).await));
        ways.push(("rule of a system field", rule("created_at")));
    }
    ways
}

#[tokio::test]
async fn every_way_in_accepts_the_same_dates_and_times() {
    let schema = load("day = { type = \"date\" }\nat = { type = \"datetime\" }", ALL).unwrap();
    let app = TestApp::over(schema.clone(), |_| {}).await;
    let api = app.client();
    let (mut taken, mut refused) = (0, 0);
    for text in candidates(&mut Random::new(16)) {
        for field in [("day", &FieldKind::Date), ("at", &FieldKind::Datetime)] {
            let ways = ways(&api, &schema, field, &text).await;
            let all = ways[0].1;
            assert!(ways.iter().all(|(_, takes)| *takes == all), "{} {text:?}: {ways:?}", field.0);
            if all { taken += 1 } else { refused += 1 }
        }
    }
    assert!(taken > 50 && refused > 100, "{taken} taken and {refused} refused");
}

#[tokio::test]
async fn what_is_stored_is_found_paged_and_written_back_without_a_change() {
    let app =
        TestApp::over(load("day = { type = \"date\" }\nat = { type = \"datetime\" }", ALL).unwrap(), |_| {})
            .await;
    let api = app.client();
    let mut records = Vec::new();
    for day in ["0000-01-01", "0000-02-29", "0001-01-01", "1969-12-31", "2024-02-29", "9999-12-31"] {
        for time in ["T00:00:00Z", "T23:59:59.9999Z", "T01:30:00+01:00"] {
            records.push(api.create("days", json!({"day": day, "at": format!("{day}{time}")})).await);
        }
    }
    for record in &records {
        let (day, at) = (record["day"].as_str().unwrap(), record["at"].as_str().unwrap());
        let found = api.get(&format!("/api/days?day={day}&at={}", encoded(at))).await;
        assert!(found["items"].as_array().unwrap().contains(record), "{record}");
        let path = format!("/api/days/{}", record["id"].as_str().unwrap());
        let (status, again) = api.any("PUT", &path, json!({"day": day, "at": at})).await;
        assert_eq!((status, &again["version"]), (200, &json!(1)), "{again}");
    }
    for sort in ["day,at", "-at", "at,-day"] {
        let whole = api.get(&format!("/api/days?sort={sort}")).await["items"].clone();
        let (mut paged, mut next) = (Vec::new(), String::new());
        loop {
            let page = api.get(&format!("/api/days?sort={sort}&limit=1{next}")).await;
            paged.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next"].as_str() else { break };
            next = format!("&cursor={cursor}");
        }
        assert_eq!(json!(paged), whole, "{sort}");
        assert_eq!(paged.len(), records.len());
    }
}

#[tokio::test]
async fn every_default_can_be_asked_for_and_written_back() {
    let good = [
        ("day = { type = \"date\", default = \"0000-01-01\" }", "day"),
        ("day = { type = \"date\", default = 2024-02-29 }", "day"),
        ("at = { type = \"datetime\", default = \"0000-01-01T00:00:00Z\" }", "at"),
        ("at = { type = \"datetime\", default = \"9999-12-31T23:59:59.9999Z\" }", "at"),
        ("at = { type = \"datetime\", default = 2016-12-31T23:59:59.5+01:00 }", "at"),
        ("n = { type = \"int\", default = -9007199254740991 }", "n"),
        ("x = { type = \"float\", default = -0.0 }", "x"),
        ("x = { type = \"float\", default = 1e308 }", "x"),
        ("x = { type = \"float\", default = 3 }", "x"),
        ("t = { type = \"text\", default = \"\", unique = true }", "t"),
        ("t = { type = \"text\", default = \"cafe\\u0301\" }", "t"),
        ("u = { type = \"uuid\", default = \"0190A000-0000-7000-8000-00000000000A\" }", "u"),
        ("j = { type = \"json\", default = { b = 1.0, a = [2, { d = \"x\", c = true }] } }", ""),
        ("j = { type = \"json\", default = -0.0 }", ""),
    ];
    for (fields, asked) in good {
        let app = TestApp::over(load(fields, ALL).unwrap_or_else(|| panic!("{fields}")), |_| {}).await;
        let api = app.client();
        let record = api.create("days", json!({})).await;
        let mut body = record.clone();
        for name in ["id", "version", "created_at", "updated_at"] {
            body.as_object_mut().unwrap().remove(name);
        }
        let path = format!("/api/days/{}", record["id"].as_str().unwrap());
        let (status, again) = api.any("PUT", &path, body).await;
        assert_eq!((status, &again), (200, &record), "{fields}");
        if !asked.is_empty() {
            let text = record[asked].as_str().map_or_else(|| record[asked].to_string(), str::to_owned);
            let found = api.get(&format!("/api/days?{asked}={}", encoded(&text))).await;
            assert_eq!(found["items"], json!([record]), "{fields}");
        }
    }
    let deep = format!("j = {{ type = \"json\", default = {}1{} }}", "[".repeat(40), "]".repeat(40));
    for refused in [
        "t = { type = \"text\", default = \"cafe\\u0301\", unique = true }",
        "j = { type = \"json\", default = \"a\\u0000\" }",
        "j = { type = \"json\", default = { \"a\\u0000\" = 1 } }",
        "x = { type = \"float\", default = inf }",
        deep.as_str(),
    ] {
        assert!(load(refused, ALL).is_none(), "no client could write it: {refused}");
    }
}
