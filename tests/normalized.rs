//! `normalize = ["trim", "nfc", "lower"]`, over real sockets: what is stored, by every way in, and what is compared with it.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::TestApp;
use crate::support::process::{Process, ended, tidewire};

const MEMBER: &str = r#"
entity = "Member"
[fields]
email = { type = "text", unique = true, find = true, max = 12, normalize = ["lower", "trim", "nfc"] }
note = { type = "text", min = 1, normalize = ["trim"] }
by = { type = "text", default = "user.id", normalize = ["lower"] }
raw = { type = "text" }
"#;

const GUEST: &str = r#"
entity = "Guest"
[fields]
email = { type = "text", max = 11 }
[[on]]
event = "create"
create = "Member"
exists = "skip"
set = { email = "' ' + email", raw = "email" }
[[on]]
event = "update"
update = "Member"
where = "target.email == old.email"
set = { email = "email" }
"#;

/// A rule sees what would be stored.
const LETTER: &str = r#"
entity = "Letter"
[fields]
kind = { type = "text", normalize = ["trim", "lower"] }
[access]
read = "true"
create = "kind == 'open'"
update = "change.kind == 'closed'"
"#;

fn schema() -> Arc<Schema> {
    let source = |(name, text): (&str, &str)| SourceFile {
        name: format!("schemas/{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    let files = [("member", MEMBER), ("guest", GUEST), ("letter", LETTER)].map(source);
    Arc::new(check(&files).unwrap_or_else(|errors| panic!("{errors}")))
}

#[tokio::test]
async fn every_write_stores_the_normal_form_before_anything_is_judged() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client_as("Ada");
    // Fourteen characters are twelve without what is around them.
    let made = api.create("members", json!({"email": " E\u{301}VE@Home.at ", "raw": " A "})).await;
    let of = |row: &Value| [&row["email"], &row["by"], &row["raw"]].map(Clone::clone);
    assert_eq!(of(&made), ["\u{e9}ve@home.at", "ada", " A "].map(|text| json!(text)));
    let path = format!("/api/members/{}", made["id"].as_str().unwrap());

    // The same value in another form changes nothing.
    let same = api.patch(&path, json!({"email": "\u{c9}VE@HOME.AT"})).await;
    assert_eq!(same["version"], 1, "{same}");
    let (status, problem) = api.any("POST", "/api/members", json!({"email": "\t\u{c9}ve@home.AT"})).await;
    assert_eq!((status, &problem["code"]), (409, &json!("NOT_UNIQUE")), "{problem}");
    for (body, code) in
        [(json!({"note": "  \n "}), "too_short"), (json!({"email": "a".repeat(13)}), "too_long")]
    {
        let (status, problem) = api.any("PATCH", &path, body).await;
        assert_eq!((status, &problem["errors"][0]["code"]), (422, &json!(code)), "{problem}");
    }

    let replaced = api.any("PUT", &path, json!({"email": " BEN", "note": " x "})).await.1;
    assert_eq!((&replaced["email"], &replaced["note"]), (&json!("ben"), &json!("x")), "{replaced}");
    let batch = json!({"ops": [
        {"op": "create", "entity": "Member", "data": {"email": "Cy "}},
        {"op": "update", "entity": "Member", "id": made["id"], "data": {"email": "DAN"}},
    ]});
    assert_eq!(api.any("POST", "/api/batch", batch).await.0, 200);
    let many = api.any("PATCH", "/api/members?email[in]=cy,dan", json!({"note": " many "})).await.1;
    assert_eq!(many["changed"], 2, "{many}");
    let rows = app.rows("members").await;
    let mut told: Vec<&str> = rows.values().map(|row| row["email"].as_str().unwrap()).collect();
    told.sort_unstable();
    assert_eq!(told, ["cy", "dan"]);
    assert!(rows.values().all(|row| row["note"] == "many"));
}

#[tokio::test]
async fn a_value_is_normalised_where_it_is_compared_and_a_part_of_one_is_not() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client();
    for email in ["ada", "ben", "cy"] {
        api.create("members", json!({"email": email})).await;
    }
    for (filter, expected) in [
        ("email=ADA", 1),
        ("email=%20Ada%20", 1),
        ("email[ne]=ADA", 2),
        ("email[in]=ADA,Ben,x", 2),
        ("email[gte]=BEN", 2),
        ("email[starts]=A", 0),
        ("email[starts]=a", 1),
        ("email[ends]=%20", 0),
        ("email[contains]=", 3),
    ] {
        let counted = api.get(&format!("/api/members/count?{filter}")).await;
        assert_eq!(counted["count"], expected, "{filter}");
    }
    assert_eq!(api.get("/api/members/by/email/%20ADA").await["email"], "ada");
}

#[tokio::test]
async fn rules_and_triggers_see_what_is_stored() {
    let app = TestApp::over(schema(), |_| {}).await;
    let api = app.client_as("ada");
    let letter = api.create("letters", json!({"kind": " Open "})).await;
    assert_eq!(api.any("POST", "/api/letters", json!({"kind": "Opened"})).await.0, 403);
    let path = format!("/api/letters/{}", letter["id"].as_str().unwrap());
    assert_eq!(api.patch(&path, json!({"kind": "CLOSED"})).await["kind"], "closed");

    let guest = api.create("guests", json!({"email": "Eva"})).await;
    api.create("guests", json!({"email": "EVA"})).await;
    let rows = app.rows("members").await;
    let told: Vec<(&Value, &Value)> = rows.values().map(|row| (&row["email"], &row["raw"])).collect();
    assert_eq!(told, [(&json!("eva"), &json!("Eva"))], "the second is there already");
    // A condition of a trigger compares letter for letter, as a rule does.
    let path = format!("/api/guests/{}", guest["id"].as_str().unwrap());
    api.patch(&path, json!({"email": "eva"})).await;
    api.patch(&path, json!({"email": "EVE "})).await;
    let rows = app.rows("members").await;
    assert_eq!(rows.values().map(|row| &row["email"]).collect::<Vec<_>>(), [&json!("eve")]);
}

#[tokio::test]
async fn an_import_normalises_what_it_writes() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, schemas) = (folder.path(), folder.path().join("schemas"));
    std::fs::create_dir(&schemas).unwrap();
    std::fs::write(schemas.join("member.toml"), MEMBER).unwrap();
    std::fs::write(folder.join("members.csv"), "email,note\n\" ADA \",\" x\"\nBen,y\n").unwrap();
    let done = ended(tidewire(folder).args(["import", "Member", "members.csv"])).await;
    assert_eq!(done.code, 0, "{done:?}");
    std::fs::write(folder.join("members.csv"), "email,note\nCy,z\nbEN,z\n").unwrap();
    let refused = ended(tidewire(folder).args(["import", "Member", "members.csv"])).await;
    assert!(refused.code == 1 && refused.stderr.contains("members.csv:3"), "{refused:?}");
    let server = Process::over(&schemas, &folder.join("data"), 0).await;
    let rows = crate::support::app::Client::new(server.address).rows("members").await;
    let mut emails: Vec<&str> = rows.values().map(|row| row["email"].as_str().unwrap()).collect();
    emails.sort_unstable();
    assert_eq!(emails, ["ada", "ben"]);
    server.stop().await;
}
