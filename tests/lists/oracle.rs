//! Random rows and random questions, answered twice: over HTTP, and by SQL that is written here by hand and read through
//! a connection of its own from the same database file.

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use tidewire::auth::Identity;
use tidewire::repository::{Body, Mutation};

use super::{app, encoded};
use crate::support::app::{Client, TestApp};
use crate::support::random::Random;

const WORDS: [&str; 14] = [
    "",
    "a",
    "A",
    "ab",
    "ä",
    "a\u{308}",
    "Zebra",
    "a b",
    "%",
    "_",
    "a\u{10ffff}",
    "\u{d7ff}x",
    "\u{e000}",
    "🌊'",
];
const NUMBERS: [i64; 8] = [0, -1, 1, 2, -7, 42, 9_007_199_254_740_991, -9_007_199_254_740_991];
const RATIOS: [f64; 7] = [0.0, -1.5, 3.0, 0.1, 0.30000000000000004, 1e300, -7.0];
const KINDS: [&str; 3] = ["red", "green", "blue"];
const DAYS: [&str; 4] = ["0001-01-01", "2026-11-21", "2026-11-22", "9999-12-31"];
/// As they are written to the server, and as they are kept.
const TIMES: [(&str, &str); 4] = [
    ("2026-11-21T09:00:00+01:00", "2026-11-21T08:00:00.000Z"),
    ("2026-11-21T08:00:00.0009Z", "2026-11-21T08:00:00.000Z"),
    ("2026-11-21T08:00:00.001Z", "2026-11-21T08:00:00.001Z"),
    ("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z"),
];

fn pick<'a, T>(random: &mut Random, of: &'a [T]) -> &'a T {
    &of[random.below(of.len() as u64) as usize]
}

fn row(random: &mut Random) -> Value {
    let mut row = json!({
        "word": pick(random, &WORDS), "note": pick(random, &WORDS), "kind": pick(random, &KINDS),
        "number": pick(random, &NUMBERS), "ratio": pick(random, &RATIOS), "on": random.below(2) == 0,
        "day": pick(random, &DAYS), "at": pick(random, &TIMES).0, "extra": [],
    });
    for value in row.as_object_mut().unwrap().values_mut() {
        if random.below(4) == 0 {
            *value = Value::Null;
        }
    }
    row
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A value of a column: its text in a query, and its SQL.
fn value(random: &mut Random, column: &str) -> (String, String) {
    match column {
        "word" | "note" => {
            let word = pick(random, &WORDS);
            ((*word).to_owned(), quoted(word))
        }
        "kind" => {
            let kind = pick(random, &KINDS);
            ((*kind).to_owned(), quoted(kind))
        }
        "day" => {
            let day = pick(random, &DAYS);
            ((*day).to_owned(), quoted(day))
        }
        "at" => {
            let (wire, kept) = pick(random, &TIMES);
            ((*wire).to_owned(), quoted(kept))
        }
        "number" => {
            let number = pick(random, &NUMBERS).to_string();
            (number.clone(), number)
        }
        // An int may stand where a float is meant.
        "ratio" => match random.below(3) {
            0 => {
                let number = pick(random, &[0, 3, -7]).to_string();
                (number.clone(), number)
            }
            _ => {
                let number = format!("{:?}", pick(random, &RATIOS));
                (number.clone(), number)
            }
        },
        "on" => {
            let on = random.below(2);
            ((on == 1).to_string(), on.to_string())
        }
        _ => {
            let version = (1 + random.below(3)).to_string();
            (version.clone(), version)
        }
    }
}

const COLUMNS: [&str; 9] = ["word", "note", "kind", "number", "ratio", "on", "day", "at", "version"];

/// A condition: its name and its value in a query, and its SQL.
fn condition(random: &mut Random) -> (String, String, String) {
    let column = *pick(random, &COLUMNS);
    let textual = matches!(column, "word" | "note" | "kind" | "day" | "at");
    let operator = match random.below(11) {
        6 if textual => "contains",
        7 if textual => "starts",
        10 if textual => "ends",
        10 => "null",
        8 => "null",
        9 => "in",
        at if column != "on" => ["eq", "ne", "gt", "gte", "lt", "lte", "eq", "ne"][at as usize],
        at => ["eq", "ne"][at as usize % 2],
    };
    let name = if operator == "eq" && random.below(2) == 0 {
        column.to_owned()
    } else {
        format!("{column}[{operator}]")
    };
    let (text, sql) = value(random, column);
    let (text, sql) = match operator {
        "null" if random.below(2) == 0 => ("true".to_owned(), format!("\"{column}\" ISNULL")),
        "null" => ("false".to_owned(), format!("\"{column}\" NOTNULL")),
        "in" => {
            let more: Vec<_> =
                (0..random.below(5)).map(|_| value(random, column)).chain([(text, sql)]).collect();
            let texts: Vec<String> =
                more.iter().map(|(text, _)| text.replace('\\', "\\\\").replace(',', "\\,")).collect();
            let either: Vec<String> = more.iter().map(|(_, sql)| format!("\"{column}\" = {sql}")).collect();
            (texts.join(","), format!("({})", either.join(" OR ")))
        }
        "contains" | "starts" | "ends" => {
            let part =
                *pick(random, &["", "a", "A", "2026", "-1", "e", "%", "🌊", "\u{308}", "\u{d7ff}", " "]);
            let sql = match operator {
                "contains" => format!(
                    "(\"{column}\" = '' OR replace(\"{column}\", {q}, '') <> \"{column}\" OR {q} = '') AND instr(\"{column}\", {q})",
                    q = quoted(part)
                ),
                "starts" => format!("substr(\"{column}\", 1, length({q})) = {q}", q = quoted(part)),
                _ => format!(
                    "({q} = '' AND \"{column}\" NOTNULL OR {q} <> '' AND substr(\"{column}\", -length({q})) = {q})",
                    q = quoted(part)
                ),
            };
            (part.to_owned(), sql)
        }
        _ => {
            let sign = match operator {
                "eq" => "=",
                "ne" => "<>",
                "gt" => ">",
                "gte" => ">=",
                "lt" => "<",
                _ => "<=",
            };
            (text, format!("\"{column}\" {sign} {sql}"))
        }
    };
    (name, text, sql)
}

/// A query string of conditions and the same in SQL.
fn question(random: &mut Random) -> (String, String) {
    let (mut query, mut sql) = (Vec::new(), vec!["1".to_owned()]);
    let mut names: Vec<String> = Vec::new();
    for _ in 0..random.below(4) {
        let (name, text, condition) = condition(random);
        let known = name.replace("[eq]", "");
        if !names.contains(&known) {
            names.push(known);
            query.push(format!("{}={}", encoded(&name), encoded(&text)));
            sql.push(condition);
        }
    }
    (query.join("&"), sql.join(" AND "))
}

/// A `sort` and the same in SQL, with the id at its end.
fn order(random: &mut Random) -> (String, String) {
    let (mut sort, mut sql, mut last) = (Vec::new(), Vec::new(), "ASC");
    for column in COLUMNS {
        if random.below(4) == 0 {
            let place = random.below(sort.len() as u64 + 1) as usize;
            let down = random.below(2) == 0;
            sort.insert(place, format!("{}{column}", if down { "-" } else { "" }));
            sql.insert(place, format!("\"{column}\" {}", if down { "DESC" } else { "ASC" }));
        }
    }
    if let Some(end) = sort.last() {
        last = if end.starts_with('-') { "DESC" } else { "ASC" };
    }
    sql.push(format!("id {last}"));
    (sort.join(","), sql.join(", "))
}

fn open(app: &TestApp) -> Connection {
    let file = app.folder.path().join("data/tidewire.db");
    Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn column(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Every id of a list, in its order, page by page.
async fn walk(api: &Client, query: &str, limit: u64) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/items?{query}&limit={limit}{cursor}")).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.len() as u64 <= limit);
        ids.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { return ids };
        assert_eq!(items.len() as u64, limit, "only the last page is short");
        cursor = format!("&cursor={}", encoded(next));
    }
}

/// Rows in several units, some of them changed afterwards.
async fn fill(app: &TestApp, random: &mut Random) {
    let caller = Identity::nobody([127, 0, 0, 1].into());
    let body = |row: Value| Body::parse(row.to_string().as_bytes()).unwrap();
    for _ in 0..4 {
        let rows: Vec<_> = (0..12).map(|_| Mutation::create("Item", body(row(random)))).collect();
        let made = app.repository.batch(&caller, &rows, None).await.unwrap();
        for result in made.results.iter().filter(|_| random.below(3) == 0).collect::<Vec<_>>() {
            let change = Mutation::update("Item", result.id.as_str(), body(row(random)));
            app.repository.write(&caller, change, None).await.unwrap();
        }
    }
}

#[tokio::test]
async fn lists_counts_groups_and_pages_agree_with_sql_written_by_hand() {
    for seed in 0..6 {
        let mut random = Random::new(seed);
        let random = &mut random;
        let app = app().await;
        let api = app.client();
        fill(&app, random).await;
        let conn = open(&app);
        for _ in 0..60 {
            let ((query, condition), (sort, order)) = (question(random), order(random));
            let limit = 1 + random.below(9);
            let expected = column(&conn, &format!("SELECT id FROM items WHERE {condition} ORDER BY {order}"));
            let seen = walk(&api, &format!("{query}&sort={sort}"), limit).await;
            assert_eq!(seen, expected, "seed {seed}, {query} sort {sort} limit {limit}: {condition}");

            let counted = api.get(&format!("/api/items/count?{query}")).await;
            assert_eq!(counted["count"], expected.len(), "seed {seed}, {query}");
            agree_on_groups(&api, &conn, random, (&query, &condition)).await;
        }
    }
}

async fn agree_on_groups(
    api: &Client,
    conn: &Connection,
    random: &mut Random,
    (query, condition): (&str, &str),
) {
    let group = *pick(random, &COLUMNS);
    let sql = format!(
        "SELECT json_object('value', \"{group}\", 'count', count(*)) FROM items WHERE {condition}
         GROUP BY \"{group}\" ORDER BY count(*) DESC, \"{group}\" ASC NULLS FIRST"
    );
    let mut expected: Vec<Value> =
        column(conn, &sql).iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    if group == "on" {
        for entry in expected.iter_mut().filter(|entry| !entry["value"].is_null()) {
            entry["value"] = json!(entry["value"] == 1);
        }
    }
    let counted = api.get(&format!("/api/items/count?{query}&group={group}")).await;
    assert_eq!(counted["groups"], json!(expected), "{query} by {group}");
    let sum: u64 = expected.iter().map(|entry| entry["count"].as_u64().unwrap()).sum();
    assert_eq!(counted["count"], sum, "{query} by {group}");
}
