//! Texts that are unique whatever their case, over real sockets, through imports, restarts, `doctor` and triggers; and what the case
//! of letters means elsewhere.

use std::sync::Arc;

use serde_json::json;
use tidewire::schema::{Format, Schema, SourceFile, canonical, check, text_form};

use crate::support::app::TestApp;
use crate::support::model::without_case;
use crate::support::process::{Process, ended, tidewire};

const MEMBER: &str = r#"
entity = "Member"
[fields]
email = { type = "text", unique = true, ignore_case = true, find = true }
team = { type = "text" }
seat = { type = "text" }
[[unique]]
fields = ["team", "seat"]
ignore_case = true
"#;

/// Each fills the members' list from outside.
const GUEST: &str = r#"
entity = "Guest"
[fields]
email = { type = "text" }
[[on]]
event = "create"
create = "Member"
exists = "skip"
set = { email = "email" }
"#;

fn schema() -> Arc<Schema> {
    let source = |(name, text): (&str, &str)| SourceFile {
        name: format!("schemas/{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    Arc::new(check(&[("member", MEMBER), ("guest", GUEST)].map(source)).unwrap_or_else(|e| panic!("{e}")))
}

#[tokio::test]
async fn a_value_is_taken_whatever_its_case_and_stays_as_it_was_written() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    let made = api.create("members", json!({"email": "Ada@Straße.example"})).await;
    assert_eq!(made["email"], "Ada@Straße.example");
    for taken in ["ada@straße.example", "ADA@STRASSE.EXAMPLE", "Ada@Straße.example"] {
        let (status, problem) = api.any("POST", "/api/members", json!({"email": taken})).await;
        assert_eq!((status, &problem["code"]), (409, &json!("NOT_UNIQUE")), "{taken}: {problem}");
        assert_eq!(problem["errors"][0]["field"], "email");
    }
    let path = format!("/api/members/{}", made["id"].as_str().unwrap());
    let changed = api.patch(&path, json!({"email": "ADA@Strasse.example"})).await;
    assert_eq!((&changed["email"], &changed["version"]), (&json!("ADA@Strasse.example"), &json!(2)));
    let swap = json!({"ops": [
        {"op": "update", "entity": "Member", "id": made["id"], "data": {"email": "ben"}},
        {"op": "create", "entity": "Member", "data": {"email": "ada@strasse.EXAMPLE"}},
        {"op": "create", "entity": "Member", "data": {"email": "BEN"}},
    ], "atomic": true});
    let (status, problem) = api.any("POST", "/api/batch", swap.clone()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("NOT_UNIQUE")), "{problem}");
    let mut two = swap;
    two["ops"].as_array_mut().unwrap().pop();
    assert_eq!(api.any("POST", "/api/batch", two).await.0, 200);
}

#[tokio::test]
async fn the_description_says_which_unique_fields_ignore_case() {
    let of = |text: &str| {
        let file = |(name, text): (&str, &str)| SourceFile {
            name: format!("schemas/{name}.toml"),
            format: Format::Toml,
            text: text.to_owned(),
        };
        check(&[file(("member", text))]).unwrap_or_else(|errors| panic!("{errors}"))
    };
    let both = format!("{MEMBER}[[unique]]\nfields = [\"email\", \"seat\"]\n");
    let app = TestApp::over(Arc::new(of(&both)), |_| {}).await;
    let told = app.client().get("/api/schema").await["entities"].clone();
    let member = told.as_array().unwrap().iter().find(|entity| entity["name"] == "Member").unwrap();
    assert_eq!(member["unique"], json!([["team", "seat"], ["email", "seat"]]));
    assert_eq!(member["unique_ignore_case"], json!([["team", "seat"]]));
    // `tidewire dev` takes a file that was edited where its canonical text is another.
    let exact = MEMBER.replace("\"seat\"]\nignore_case = true", "\"seat\"]");
    assert_ne!(canonical(&of(MEMBER)), canonical(&of(&exact)));
}

#[tokio::test]
async fn a_record_is_found_by_its_value_in_any_case_and_a_filter_compares_letter_for_letter() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    let made = api.create("members", json!({"email": "Ada"})).await;
    for (n, other) in ["Adà", "adam", "ad"].iter().enumerate() {
        api.create("members", json!({"email": other, "seat": n.to_string()})).await;
    }
    for asked in ["ada", "ADA", "Ada"] {
        assert_eq!(api.get(&format!("/api/members/by/email/{asked}")).await["id"], made["id"], "{asked}");
    }
    assert_eq!(api.get_any("/api/members/by/email/adaa").await.0, 404);
    let count = async |filter: &str| api.get(&format!("/api/members/count?{filter}")).await["count"].clone();
    for (filter, expected) in [
        ("email=Ada", 1),
        ("email=ada", 0),
        ("email[in]=ada,ADA", 0),
        ("email[ends]=da", 1),
        ("email[ends]=DA", 0),
        ("email[ends]=", 4),
    ] {
        assert_eq!(count(filter).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn what_is_unique_together_ignores_the_case_of_its_texts() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    api.create("members", json!({"team": "Red", "seat": "a"})).await;
    api.create("members", json!({"team": "Red", "seat": "b"})).await;
    for (team, seat, expected) in
        [("RED", "A", 409), ("red", "B", 409), ("red", "c", 201), ("rëd", "a", 201), ("redA", "", 201)]
    {
        let (status, told) = api.any("POST", "/api/members", json!({"team": team, "seat": seat})).await;
        assert_eq!(status, expected, "{team} {seat}: {told}");
    }
    // An empty field is compared with nothing.
    for _ in 0..2 {
        api.create("members", json!({"team": "RED"})).await;
    }
}

#[tokio::test]
async fn a_trigger_skips_a_value_that_is_there_in_another_case() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    for email in ["Ada", "ADA", "ben"] {
        api.create("guests", json!({"email": email})).await;
    }
    let mut emails: Vec<String> =
        app.rows("members").await.values().map(|row| row["email"].as_str().unwrap().to_owned()).collect();
    emails.sort();
    assert_eq!(emails, ["Ada", "ben"]);
}

#[tokio::test]
async fn an_import_names_the_line_whose_value_is_there_in_another_case() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, schemas) = (folder.path(), folder.path().join("schemas"));
    std::fs::create_dir(&schemas).unwrap();
    std::fs::write(schemas.join("member.toml"), MEMBER).unwrap();
    let lines = ["ada", "ben", "ADA"].map(|email| format!("{}\n", json!({"email": email})));
    std::fs::write(folder.join("members.jsonl"), lines.concat()).unwrap();
    let import = async || ended(tidewire(folder).args(["import", "Member", "members.jsonl"])).await;
    let refused = import().await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("members.jsonl:3"), "{}", refused.stderr);
    std::fs::write(folder.join("members.jsonl"), lines[..2].concat()).unwrap();
    let done = import().await;
    assert_eq!(done.code, 0, "{done:?}");

    // What the import wrote is compared by a server, and after its end by a check of the whole file.
    let server = Process::over(&schemas, &folder.join("data"), 0).await;
    let api = crate::support::app::Client::new(server.address);
    assert_eq!(api.any("POST", "/api/members", json!({"email": "Ben"})).await.0, 409);
    server.stop().await;
    let checked = ended(tidewire(folder).args(["doctor"])).await;
    assert!(
        !checked.stdout.contains("damaged") && !checked.stdout.contains("no such function"),
        "{checked:?}"
    );
    let backup = ended(tidewire(folder).args(["export", "Member"])).await;
    assert_eq!((backup.code, backup.stdout.lines().count()), (0, 2), "{backup:?}");
}

#[test]
fn the_two_ways_to_leave_case_out_know_the_same_letters() {
    // The one way knows each letter's fold, the other its small and its capital letters. Letters that only a newer Unicode has are
    // no letters to the other.
    let mut seen: std::collections::HashMap<String, (String, char)> = std::collections::HashMap::new();
    for letter in ('\0'..=char::MAX).filter(|letter| letter.is_alphabetic()) {
        if !text_form::is_composed(&letter.to_string()) {
            continue;
        }
        let text = letter.to_string();
        let (folded, small) = (text_form::fold_case(&text).into_owned(), without_case(&text));
        let (other, first) = seen.entry(folded.clone()).or_insert_with(|| (small.clone(), letter));
        assert_eq!(*other, small, "{letter:?} and {first:?} are {folded:?}");
    }
    let mut smalls: Vec<&String> = seen.values().map(|(small, _)| small).collect();
    smalls.sort();
    smalls.dedup();
    assert_eq!(smalls.len(), seen.len(), "what one way tells apart, the other does, too");
    for (text, same) in [("İ", "i\u{307}"), ("ﬁ", "FI"), ("K", "k"), ("ς", "Σ"), ("ᾳ", "ΑΙ")] {
        assert_eq!(text_form::fold_case(text), text_form::fold_case(same), "{text}");
    }
    for (text, other) in [("ı", "i"), ("ß", "s"), ("é", "e"), ("K", "X")] {
        assert_ne!(text_form::fold_case(text), text_form::fold_case(other), "{text}");
    }
}
