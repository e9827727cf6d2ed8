//! Write rules that look further than their record: references, `exists`, `now`. They see the database as the write's own
//! transaction has it, so a write in between cannot get past a rule.

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::{Client, TestApp};

const USER: &str = "entity = \"User\"\n[access]\nread = \"user != null\"\ncreate = \"true\"\n";

const DRAFT: &str = r#"
entity = "Draft"
[fields]
title  = { type = "text" }
holder = { type = "ref", entity = "User", required = true }
secret = { type = "bool", default = false }
[access]
read   = "!secret || holder == user.id"
create = "holder == user.id"
update = "holder == user.id && (!has(change.holder) || exists(Collaborator, c, c.draft == id && c.person == change.holder))"
delete = "holder == user.id"
"#;

const COLLABORATOR: &str = r#"
entity = "Collaborator"
[fields]
draft  = { type = "ref", entity = "Draft", required = true, on_delete = "cascade" }
person = { type = "ref", entity = "User", required = true }
[access]
read   = "true"
create = "draft.holder == user.id"
delete = "draft.holder == user.id"
"#;

const SEGMENT: &str = r#"
entity = "Segment"
[fields]
draft = { type = "ref", entity = "Draft", on_delete = "cascade" }
text  = { type = "text" }
[access]
read   = "true"
create = "draft.holder == user.id"
update = "draft.holder == user.id && change.draft.holder == user.id"
delete = "draft.holder == user.id"
"#;

const NOTE: &str = r#"
entity = "Note"
[fields]
segment = { type = "ref", entity = "Segment", required = true, on_delete = "cascade" }
until   = { type = "datetime" }
[access]
read   = "true"
create = "segment.draft.holder == user.id && until > now && created_at == now"
delete = "segment.draft.title != null && segment.draft.holder.name == 'ben'"
update = "!exists(Segment, s, s.id == segment && s.text == 'closed') && segment.draft != null"
"#;

fn schema() -> Schema {
    let files = [
        ("user", USER),
        ("draft", DRAFT),
        ("collaborator", COLLABORATOR),
        ("segment", SEGMENT),
        ("note", NOTE),
    ];
    let source = |(name, text): (&str, &str)| SourceFile {
        name: format!("schemas/{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    check(&files.map(source)).unwrap_or_else(|errors| panic!("{errors}"))
}

struct World {
    app: TestApp,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let world = World { app: TestApp::governed(folder, schema().into(), |_| {}).await };
        for person in ["ada", "ben", "cy"] {
            // A user's record exists from the first request on.
            world.client(person).any("GET", "/api/drafts", json!(null)).await;
        }
        world
    }

    fn client(&self, who: &str) -> Client {
        self.app.client_as(who)
    }

    async fn make(&self, who: &str, path: &str, body: Value) -> String {
        let (status, answer) = self.client(who).any("POST", path, body).await;
        assert_eq!(status, 201, "{who} POST {path}: {answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// The code of a refusal, or the status.
    async fn told(&self, who: &str, method: &str, path: &str, body: Value) -> String {
        let (status, answer) = self.client(who).any(method, path, body).await;
        answer["code"].as_str().map_or_else(|| status.to_string(), str::to_owned)
    }
}

#[tokio::test]
async fn a_reference_is_followed_to_who_holds_it_now() {
    let world = World::new().await;
    let draft = world.make("ada", "/api/drafts", json!({"title": "Act", "holder": "ada"})).await;
    let segment = json!({"draft": draft, "text": "one"});
    assert_eq!(world.told("ben", "POST", "/api/segments", segment.clone()).await, "FORBIDDEN");
    let first = world.make("ada", "/api/segments", segment.clone()).await;
    // To a collaborator only, and each other segment follows without being written.
    let path = format!("/api/drafts/{draft}");
    assert_eq!(world.told("ada", "PATCH", &path, json!({"holder": "ben"})).await, "FORBIDDEN");
    world.make("ada", "/api/collaborators", json!({"draft": draft, "person": "ben"})).await;
    assert_eq!(world.told("ada", "PATCH", &path, json!({"holder": "cy"})).await, "FORBIDDEN");
    assert_eq!(world.told("ada", "PATCH", &path, json!({"holder": "ben"})).await, "200");
    assert_eq!(world.told("ada", "POST", "/api/segments", segment.clone()).await, "FORBIDDEN");
    let one = format!("/api/segments/{first}");
    assert_eq!(world.told("ada", "PATCH", &one, json!({"text": "x"})).await, "FORBIDDEN");
    assert_eq!(world.told("ben", "PATCH", &one, json!({"text": "x"})).await, "200");
    // A change is judged on both sides.
    let other = world.make("cy", "/api/drafts", json!({"title": "Other", "holder": "cy"})).await;
    assert_eq!(world.told("ben", "PATCH", &one, json!({"draft": other})).await, "FORBIDDEN");
    // Without a reference there is no user behind it.
    assert_eq!(world.told("ben", "POST", "/api/segments", json!({"text": "loose"})).await, "FORBIDDEN");
}

#[tokio::test]
async fn passing_a_role_on_is_one_event() {
    let world = World::new().await;
    let draft = world.make("ada", "/api/drafts", json!({"title": "Act", "holder": "ada"})).await;
    world.make("ada", "/api/collaborators", json!({"draft": draft, "person": "ben"})).await;
    for part in 0..4 {
        let ops: Vec<Value> = (0..500)
            .map(|at| json!({"op": "create", "entity": "Segment", "data": {"draft": draft, "text": format!("{part}.{at}")}}))
            .collect();
        let (status, answer) =
            world.client("ada").any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (_, before) = world.client("ada").any("GET", "/api/changes", json!(null)).await;
    let path = format!("/api/drafts/{draft}");
    assert_eq!(world.told("ada", "PATCH", &path, json!({"holder": "ben"})).await, "200");
    let (_, after) = world.client("ada").any("GET", "/api/changes", json!(null)).await;
    let seq = |answer: &Value| answer["seq"].as_u64();
    assert_eq!(seq(&after), seq(&before).map(|seq| seq + 1), "{before} {after}");
}

#[tokio::test]
async fn three_references_and_the_time_are_followed() {
    let world = World::new().await;
    let draft = world.make("ada", "/api/drafts", json!({"title": "Act", "holder": "ada"})).await;
    let segment = world.make("ada", "/api/segments", json!({"draft": draft, "text": "one"})).await;
    let note = |until: &str| json!({"segment": segment, "until": until});
    assert_eq!(world.told("ada", "POST", "/api/notes", note("2000-01-01T00:00:00Z")).await, "FORBIDDEN");
    assert_eq!(world.told("ben", "POST", "/api/notes", note("9000-01-01T00:00:00Z")).await, "FORBIDDEN");
    let id = world.make("ada", "/api/notes", note("9000-01-01T00:00:00Z")).await;
    let path = format!("/api/notes/{id}");
    assert_eq!(world.told("ada", "PATCH", &path, json!({"until": null})).await, "200");
    let one = format!("/api/segments/{segment}");
    assert_eq!(world.told("ada", "PATCH", &one, json!({"text": "closed"})).await, "200");
    assert_eq!(
        world.told("ada", "PATCH", &path, json!({"until": "9000-01-01T00:00:00Z"})).await,
        "FORBIDDEN"
    );
    // The holder's name, three records further.
    assert_eq!(world.told("ben", "DELETE", &path, json!(null)).await, "FORBIDDEN");
    world.make("ada", "/api/collaborators", json!({"draft": draft, "person": "ben"})).await;
    let pass = format!("/api/drafts/{draft}");
    assert_eq!(world.told("ada", "PATCH", &pass, json!({"holder": "ben"})).await, "200");
    assert_eq!(world.told("cy", "DELETE", &path, json!(null)).await, "204");
}

#[tokio::test]
async fn a_reference_to_a_hidden_record_is_unknown_before_any_rule_is_asked() {
    let world = World::new().await;
    let hidden = json!({"title": "Act", "holder": "ada", "secret": true});
    let draft = world.make("ada", "/api/drafts", hidden).await;
    let nowhere = "0190a000-0000-7000-8000-00000000000a";
    for to in [draft.as_str(), nowhere] {
        let told = world.told("ben", "POST", "/api/segments", json!({"draft": to, "text": "x"})).await;
        assert_eq!(told, "UNKNOWN_REFERENCE");
    }
}

#[tokio::test]
async fn an_operation_is_judged_on_what_the_earlier_ones_of_its_unit_left() {
    let world = World::new().await;
    let draft = world.make("ada", "/api/drafts", json!({"title": "Act", "holder": "ada"})).await;
    world.make("ada", "/api/collaborators", json!({"draft": draft, "person": "ben"})).await;
    let segment = json!({"op": "create", "entity": "Segment", "data": {"draft": draft, "text": "x"}});
    let pass = json!({"op": "update", "entity": "Draft", "id": draft, "data": {"holder": "ben"}});
    let batch = |ops: Value| json!({"atomic": true, "ops": ops});
    let after = batch(json!([segment, pass, segment]));
    assert_eq!(world.told("ada", "POST", "/api/batch", after).await, "FORBIDDEN");
    let before = batch(json!([segment, segment, pass]));
    assert_eq!(world.told("ada", "POST", "/api/batch", before).await, "200");
    // A user who becomes a collaborator in the unit can be passed the role in the same unit.
    let join = json!({"op": "create", "entity": "Collaborator", "data": {"draft": draft, "person": "cy"}});
    let pass = json!({"op": "update", "entity": "Draft", "id": draft, "data": {"holder": "cy"}});
    let early = batch(json!([pass, join]));
    assert_eq!(world.told("ben", "POST", "/api/batch", early).await, "FORBIDDEN");
    assert_eq!(world.told("ben", "POST", "/api/batch", batch(json!([join, pass]))).await, "200");
}

/// What a rule read for one operation is not used for a later one, once the unit has written to that entity.
#[tokio::test]
async fn an_answer_of_a_rule_does_not_outlive_a_write_to_what_it_asked() {
    let world = World::new().await;
    let draft = world.make("ada", "/api/drafts", json!({"title": "Act", "holder": "ada"})).await;
    let segment = world.make("ada", "/api/segments", json!({"draft": draft, "text": "x"})).await;
    world.make("ada", "/api/collaborators", json!({"draft": draft, "person": "ben"})).await;
    let own = world.make("ada", "/api/collaborators", json!({"draft": draft, "person": "ada"})).await;
    let batch = |ops: Value| json!({"atomic": true, "ops": ops});
    // Only the rule reads the record behind two references.
    let data = json!({"segment": segment, "until": "2999-01-01T00:00:00Z"});
    let note = json!({"op": "create", "entity": "Note", "data": data});
    let pass = json!({"op": "update", "entity": "Draft", "id": draft, "data": {"holder": "ben"}});
    assert_eq!(world.told("ada", "POST", "/api/batch", batch(json!([note, note]))).await, "200");
    assert_eq!(world.told("ada", "POST", "/api/batch", batch(json!([note, pass, note]))).await, "FORBIDDEN");
    // Only the rule reads the records of an `exists`.
    let keep = |title: &str| {
        let data = json!({"holder": "ada", "title": title});
        json!({"op": "update", "entity": "Draft", "id": draft, "data": data})
    };
    let leave = json!({"op": "delete", "entity": "Collaborator", "id": own});
    let kept = batch(json!([keep("I"), keep("II"), leave]));
    let left = batch(json!([keep("I"), leave, keep("II")]));
    assert_eq!(world.told("ada", "POST", "/api/batch", left).await, "FORBIDDEN");
    assert_eq!(world.told("ada", "POST", "/api/batch", kept).await, "200");
}

#[tokio::test]
async fn a_rule_looks_at_a_thousand_records_and_no_more() {
    let world = World::new().await;
    let draft = world.make("ada", "/api/drafts", json!({"title": "Act", "holder": "ada"})).await;
    let join = json!({"op": "create", "entity": "Collaborator", "data": {"draft": draft, "person": "ben"}});
    let batch = |count: usize| json!({"atomic": true, "ops": vec![join.clone(); count]});
    for count in [500, 500] {
        assert_eq!(world.told("ada", "POST", "/api/batch", batch(count)).await, "200");
    }
    let path = format!("/api/drafts/{draft}");
    assert_eq!(world.told("ada", "PATCH", &path, json!({"holder": "cy"})).await, "FORBIDDEN");
    assert_eq!(world.told("ada", "POST", "/api/batch", batch(1)).await, "200");
    // By the other key there are few.
    assert_eq!(world.told("ada", "PATCH", &path, json!({"holder": "cy"})).await, "FORBIDDEN");
    assert_eq!(world.told("ada", "PATCH", &path, json!({"holder": "ben"})).await, "RULE_LIMIT");
    // Who is granted by another part is asked no further.
    assert_eq!(world.told("ada", "PATCH", &path, json!({"title": "Act II"})).await, "200");
}

#[test]
fn a_rule_that_is_probably_not_meant_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let warned = |file: &str, text: &str| {
        for old in std::fs::read_dir(folder.path()).unwrap() {
            std::fs::remove_file(old.unwrap().path()).unwrap();
        }
        std::fs::write(folder.path().join(file), text).unwrap();
        let loaded = tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
        loaded.warnings.codes().map(|code| code.as_str()).collect::<Vec<_>>()
    };
    let entry = |rule: &str| {
        format!(
            "entity = \"Entry\"\n[fields]\ndoor = {{ type = \"text\", unique = true }}\npin = {{ type = \"text\", hidden = true }}\nnote = {{ type = \"text\" }}\nwho = {{ type = \"ref\", entity = \"User\" }}\n[access]\n{rule}\n"
        )
    };
    for (rule, codes) in [
        ("create = \"exists(Entry, e, e.door == door && e.pin == pin)\"", vec!["W0124"]),
        ("create = \"exists(Entry, e, e.door == door && e.note == note)\"", vec![]),
        ("create = \"exists(Entry, e, e.door == door && e.pin == user.role)\"", vec![]),
        ("update = \"exists(Entry, e, e.door == door && e.pin.startsWith(change.note))\"", vec!["W0124"]),
        ("update = \"exists(Entry, e, e.door == door && e.pin == pin)\"", vec![]),
        ("update = \"change.who in user.entrys.who\"", vec!["W0125"]),
        ("create = \"true && !(who in user.entrys.who)\"", vec!["W0125"]),
        ("create = \"who == user.id && door in user.entrys.door\"", vec![]),
    ] {
        assert_eq!(warned("entry.toml", &entry(rule)), codes, "{rule}");
    }
    let part = "entity = \"Part\"\n[fields]\ninside = { type = \"ref\", entity = \"Part\" }\n[access]\ncreate = \"PATH.inside == id\"\n";
    let told = |steps: usize| {
        let text = part.replace("PATH", &vec!["inside"; steps].join("."));
        check(&[SourceFile { name: "part.toml".into(), format: Format::Toml, text }])
    };
    assert!(told(3).is_ok());
    let errors = told(4).unwrap_err();
    assert_eq!(errors.codes().map(|code| code.as_str()).collect::<Vec<_>>(), ["E0202"]);
    assert!(errors.to_string().contains("at most 3 references"), "{errors}");
}
