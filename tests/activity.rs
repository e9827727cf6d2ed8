//! The activity (SEMANTICS X6): what happened, told to each user as far as they may list it, without values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::bulletin::{LETTER, NOISE, TASK, club, path, schema, settle};
use crate::support::random::Random;
use crate::support::ruled;

async fn page(client: &Client, query: &str) -> Value {
    client.get(&format!("/api/activity{query}")).await
}

/// `update Task[title]`: operation, entity and changed fields of each entry of tasks.
async fn of_tasks(client: &Client) -> Vec<String> {
    let page = page(client, "?entity=Task&limit=1000").await;
    page["items"].as_array().unwrap().iter().map(short).collect()
}

fn short(item: &Value) -> String {
    let text = |key: &str| item[key].as_str().unwrap_or("-").to_owned();
    let mut changed: Vec<&str> =
        item["changed"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
    changed.sort_unstable();
    format!("{} {} [{}] by {}", text("op"), text("label"), changed.join(","), text("by"))
}

#[tokio::test]
async fn what_happened_is_told_newest_first_and_without_values() {
    let app = club().await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let task = ada.create("tasks", json!({"title": "Write", "project": "p", "status": "open"})).await;
    ben.patch(&path(&task), json!({"title": "Rewrite", "status": "done"})).await;
    ada.delete(&path(&task)).await;
    assert_eq!(
        of_tasks(&ada).await,
        ["delete Rewrite [] by ada", "update Rewrite [status,title] by ben", "create Write [] by ada"]
    );
    let page = page(&ada, "?entity=Task").await;
    let head = app.head();
    assert_eq!((&page["seq"], &page["next"]), (&json!(head), &Value::Null));
    let entry = &page["items"][1];
    let keys: BTreeSet<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(["seq", "at", "by", "op", "entity", "id", "label", "changed"]));
    assert_eq!(
        (&entry["seq"], &entry["entity"], &entry["id"]),
        (&json!(head - 1), &json!("Task"), &task["id"])
    );
    assert!(entry["at"].as_str().unwrap().ends_with('Z'), "{entry}");
    let text = page.to_string();
    assert!(!text.contains("done") && !text.contains("open"), "values are not told: {text}");
}

#[tokio::test]
async fn what_moves_into_or_out_of_sight_leaves_no_entry() {
    let app = club().await;
    let (ada, ben, eva) = (app.client_as("ada"), app.client_as("ben"), app.client_as("eva"));
    let task = ada.create("tasks", json!({"title": "Plan", "project": "q", "status": "open"})).await;
    ada.patch(&path(&task), json!({"project": "p"})).await;
    ada.patch(&path(&task), json!({"title": "Planned"})).await;
    ada.patch(&path(&task), json!({"status": "draft"})).await;
    ada.patch(&path(&task), json!({"title": "Secretly"})).await;
    ada.patch(&path(&task), json!({"status": "open"})).await;
    ada.patch(&path(&task), json!({"project": "q"})).await;
    ada.delete(&path(&task)).await;
    // Of the draft no list tells, so the activity does not either; ben never saw q.
    assert_eq!(
        of_tasks(&ada).await,
        [
            "delete Secretly [] by ada",
            "update Secretly [project] by ada",
            "update Planned [title] by ada",
            "update Plan [project] by ada",
            "create Plan [] by ada",
        ]
    );
    assert_eq!(of_tasks(&ben).await, ["update Planned [title] by ada"]);
    assert!(of_tasks(&eva).await.is_empty());
}

#[tokio::test]
async fn fields_that_one_may_not_see_are_named_nowhere() {
    let app = club().await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let task =
        json!({"title": "Pay", "project": "p", "status": "open", "owner": "ada", "wage": 1, "pin": "x"});
    let task = ada.create("tasks", task).await;
    ada.patch(&path(&task), json!({"wage": 2, "pin": "y", "title": "Paid"})).await;
    ada.patch(&path(&task), json!({"pin": "z"})).await;
    // Each of the two sees the wage on one side only.
    ada.patch(&path(&task), json!({"owner": "ben", "wage": 3})).await;
    let of = |wage: &str| {
        ["update Paid [owner] by ada", "update Paid [] by ada", &format!("update Paid [{wage}] by ada")]
            .map(str::to_owned)
    };
    assert_eq!(of_tasks(&ada).await[..3], of("title,wage"));
    assert_eq!(of_tasks(&ben).await[..3], of("title"));

    let letter = ada.create("letters", json!({"subject": "love", "owner": "ada"})).await;
    let told = page(&ada, "?entity=Letter").await;
    assert_eq!(told["items"][0]["label"], "love");
    let told = page(&ben, "?entity=Letter").await;
    assert_eq!(told["items"][0]["id"], letter["id"]);
    assert!(told["items"][0].get("label").is_none(), "{told}");
}

#[tokio::test]
async fn an_entity_without_an_activity_looks_like_one_that_does_not_exist() {
    let app = club().await;
    let (ada, admin) = (app.client_as("ada"), app.client_as("root:admin"));
    ada.create("noise", json!({"level": 3})).await;
    admin.create("vaults", json!({"title": "gold"})).await;
    for entity in ["Noise", "Vault", "Vaultt", "Task,Vault"] {
        let (status, problem) = ada.get_any(&format!("/api/activity?entity={entity}")).await;
        let named = entity.trim_start_matches("Task,");
        assert_eq!((status, &problem["code"]), (404, &json!("UNKNOWN_ENTITY")), "{entity}");
        assert_eq!(problem["detail"], json!(format!("there is no entity `{named}`")), "{entity}");
    }
    let entities = |page: &Value| -> BTreeSet<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["entity"].as_str().unwrap().to_owned()).collect()
    };
    let of_ada = entities(&page(&ada, "?limit=1000").await);
    assert!(of_ada.contains("Board") && of_ada.contains("User"), "{of_ada:?}");
    assert!(!of_ada.contains("Noise") && !of_ada.contains("Vault"), "{of_ada:?}");
    let of_admin = entities(&page(&admin, "?limit=1000").await);
    assert!(of_admin.contains("Vault") && !of_admin.contains("Noise"), "{of_admin:?}");
    assert_eq!(
        entities(&page(&admin, "?entity=Vault,Board").await),
        ["Board", "Vault"].map(str::to_owned).into()
    );
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let app = club().await;
    let ada = app.client_as("ada");
    for n in 0..7 {
        ada.create("tasks", json!({"title": format!("t{n}"), "project": "p", "status": "open"})).await;
        ada.create("tasks", json!({"title": "draft", "project": "p", "status": "draft"})).await;
    }
    let (mut told, mut query, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = page(&ada, &format!("?entity=Task&limit=3{query}")).await;
        let items = page["items"].as_array().unwrap();
        told.extend(items.iter().map(|item| item["label"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(next) = page["next"].as_u64() else { break };
        assert_eq!(items.len(), 3);
        query = format!("&before={next}");
    }
    assert_eq!(told, ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]);
    assert_eq!(pages, 3);
    assert_eq!(page(&ada, "?before=1").await["items"], json!([]));
}

#[tokio::test]
async fn a_page_ends_after_ten_thousand_entries_however_few_it_tells() {
    let app = club().await;
    let (ada, eva) = (app.client_as("ada"), app.client_as("eva"));
    ada.create("boards", json!({"title": "first"})).await;
    let first = app.head();
    for _ in 0..21 {
        let create = json!({"op": "create", "entity": "Task", "data": {"title": "x", "project": "q", "status": "open"}});
        let ops: Vec<Value> = vec![create; 500];
        ada.call("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
    }
    assert_eq!(app.head(), first + 10_500);
    let hidden = page(&eva, "?limit=1").await;
    assert_eq!((&hidden["items"], &hidden["next"]), (&json!([]), &json!(first + 501)));
    let found = page(&eva, &format!("?limit=1&before={}", first + 501)).await;
    assert_eq!(found["items"][0]["label"], Value::Null);
    assert_eq!(found["items"][0]["seq"], json!(first));
}

#[tokio::test]
async fn the_rights_of_today_decide_about_the_record_as_it_was() {
    let app = club().await;
    let (ada, eva) = (app.client_as("ada"), app.client_as("eva"));
    let task = ada.create("tasks", json!({"title": "Old", "project": "p", "status": "open"})).await;
    ada.patch(&path(&task), json!({"title": "New"})).await;
    assert!(of_tasks(&eva).await.is_empty());
    let member = app.client().create("memberships", json!({"person": "eva", "project": "p"})).await;
    assert_eq!(of_tasks(&eva).await, ["update New [title] by ada", "create Old [] by ada"]);
    app.client().delete(&format!("/api/memberships/{}", member["id"].as_str().unwrap())).await;
    assert!(of_tasks(&eva).await.is_empty());
}

#[tokio::test]
async fn what_the_log_no_longer_has_is_not_told() {
    let app = TestApp::over(schema(), |config| {
        config.store.retention_changes = 5;
        config.store.trim_chunk = 1_000;
    })
    .await;
    settle(&app).await;
    let ada = app.client_as("ada");
    for n in 0..20 {
        ada.create("tasks", json!({"title": format!("t{n}"), "project": "p", "status": "open"})).await;
    }
    let page = page(&ada, "?limit=1000").await;
    let seqs: Vec<u64> =
        page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    let expected: Vec<u64> = (app.floor() + 1..=app.head()).rev().collect();
    assert_eq!(seqs, expected);
    assert_eq!(page["next"], Value::Null);
}

#[tokio::test]
async fn an_entry_of_an_earlier_schema_is_told_by_the_fields_of_today() {
    let app = club().await;
    let ada = app.client_as("ada");
    let task = ada.create("tasks", json!({"title": "Kept", "project": "p", "status": "open"})).await;
    ada.patch(&path(&task), json!({"status": "done", "title": "Told", "owner": "ben"})).await;
    let hiding = TASK.replace(r#"owner = { type = "text" }"#, r#"owner = { type = "text", hidden = true }"#);
    let other = [("task.toml", &*hiding), ("letter.toml", LETTER), ("noise.toml", NOISE)];
    app.reshape(ruled::schema_with(&other)).await.unwrap();
    assert_eq!(of_tasks(&ada).await, ["update Told [status,title] by ada", "create Kept [] by ada"]);

    let silent = TASK.replace("label = \"title\"", "label = \"title\"\nactivity = false");
    let other = [("task.toml", &*silent), ("letter.toml", LETTER), ("noise.toml", NOISE)];
    app.reshape(ruled::schema_with(&other)).await.unwrap();
    assert_eq!(ada.get_any("/api/activity?entity=Task").await.0, 404);
    assert_eq!(ada.get_any("/api/activity").await.0, 200);
}

#[tokio::test]
async fn bad_questions_are_refused_by_name() {
    let app = club().await;
    let ada = app.client_as("ada");
    let many = vec!["Task"; 201].join(",");
    for (query, words) in [
        ("limit=0", "`limit`"),
        ("limit=1001", "1 to 1000"),
        ("limit=", "`limit`"),
        ("limit=1&limit=2", "`limit` is given twice"),
        ("before=", "`before`"),
        ("before=-1", "`-1`"),
        ("before=1.5", "`1.5`"),
        ("before=x", "`seq` of an entry"),
        ("before=99999999999999999999999", "`before`"),
        ("before=1&before=2", "`before` is given twice"),
        ("entity=", "`entity`"),
        ("entity=Task,", "`Task,Comment`"),
        (&format!("entity={many}"), "more than 200"),
        ("entity=Task&entity=Board", "`entity` is given twice"),
        ("cursor=x", "`cursor`"),
        ("sort=-seq", "`sort`"),
        ("status=open", "`status`"),
    ] {
        let (status, problem) = ada.get_any(&format!("/api/activity?{query}")).await;
        assert_eq!((status, &problem["code"]), (400, &json!("BAD_QUERY")), "{query}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{query}: {detail}");
    }
    assert_eq!(ada.get_any("/api/activity?before=18446744073709551615").await.0, 200);
    assert_eq!(ada.call("POST", "/api/activity", json!({})).await.status, 405);
}

/// A task as the test itself remembers it.
type Remembered = BTreeMap<String, Value>;

/// What was done to a task: who, and the task before and after.
struct Done {
    by: &'static str,
    id: String,
    old: Option<Remembered>,
    new: Option<Remembered>,
}

/// The rules of the schema once more, by hand.
fn may_list(task: &Remembered, projects: &BTreeSet<&str>) -> bool {
    let draft = task["status"] == "draft";
    task["project"].as_str().is_some_and(|project| projects.contains(project)) && !draft
}

/// The line of a user about what was done; `None` where they may not know of it.
fn expected(done: &Done, person: &str, projects: &BTreeSet<&str>) -> Option<String> {
    let sides: Vec<&Remembered> = done.old.iter().chain(&done.new).collect();
    if !sides.iter().all(|task| may_list(task, projects)) {
        return None;
    }
    let mut changed = Vec::new();
    if let (Some(old), Some(new)) = (&done.old, &done.new) {
        for name in ["owner", "project", "status", "title", "wage"] {
            let is_shown = name != "wage" || sides.iter().all(|task| task["owner"] == person);
            if old[name] != new[name] && is_shown {
                changed.push(name);
            }
        }
    }
    let op = match (&done.old, &done.new) {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "update",
    };
    let label = sides.last().unwrap()["title"].as_str().unwrap().to_owned();
    Some(format!("{} {op} {label} [{}] by {}", done.id, changed.join(","), done.by))
}

#[tokio::test]
async fn everyone_is_told_what_an_oracle_tells_them() {
    for seed in 1..=4 {
        let app = club().await;
        let mut random = Random::new(seed);
        let mut pick = |of: &[&'static str]| of[random.below(of.len() as u64) as usize];
        let (mut tasks, mut history): (BTreeMap<String, Remembered>, Vec<Done>) = Default::default();
        for n in 0..150 {
            let by = pick(&["ada", "ben", "eva"]);
            let client = app.client_as(by);
            // Who may not read a task cannot write to it, so ada does what others could not.
            let ada = app.client_as("ada");
            let known = tasks.keys().nth(n % tasks.len().max(1)).cloned();
            match (pick(&["create", "update", "update", "update", "delete"]), known) {
                ("create", _) | (_, None) => {
                    let task = json!({"title": format!("t{n}"), "project": pick(&["p", "q", "r"]), "status": pick(&["open", "draft"]),
                        "owner": pick(&["ada", "ben"]), "wage": n % 3, "pin": "x"});
                    let record = client.create("tasks", task.clone()).await;
                    let new: Remembered = task.as_object().unwrap().clone().into_iter().collect();
                    let id = record["id"].as_str().unwrap().to_owned();
                    tasks.insert(id.clone(), new.clone());
                    history.push(Done { by, id, old: None, new: Some(new) });
                }
                ("update", Some(id)) => {
                    let old = tasks[&id].clone();
                    if old["project"] == "r" {
                        continue;
                    }
                    let (name, value) = match pick(&["title", "project", "status", "owner", "wage"]) {
                        "title" => ("title", json!(format!("u{n}"))),
                        "project" => ("project", json!(pick(&["p", "q"]))),
                        "status" => ("status", json!(pick(&["open", "draft", "done"]))),
                        "owner" => ("owner", json!(pick(&["ada", "ben"]))),
                        _ => ("wage", json!(n % 3)),
                    };
                    ada.patch(&format!("/api/tasks/{id}"), json!({name: value, "title": format!("v{n}")}))
                        .await;
                    let mut new = old.clone();
                    new.insert(name.to_owned(), value);
                    new.insert("title".to_owned(), json!(format!("v{n}")));
                    tasks.insert(id.clone(), new.clone());
                    history.push(Done { by: "ada", id, old: Some(old), new: Some(new) });
                }
                (_, Some(id)) => {
                    if tasks[&id]["project"] == "r" {
                        continue;
                    }
                    ada.delete(&format!("/api/tasks/{id}")).await;
                    let old = tasks.remove(&id);
                    history.push(Done { by: "ada", id, old, new: None });
                }
            }
        }
        for (person, projects) in [("ada", &["p", "q"][..]), ("ben", &["p"]), ("eva", &[])] {
            let projects: BTreeSet<&str> = projects.iter().copied().collect();
            let expected: Vec<String> =
                history.iter().rev().filter_map(|done| expected(done, person, &projects)).collect();
            let page = page(&app.client_as(person), "?entity=Task&limit=1000").await;
            let told = page["items"].as_array().unwrap().iter();
            let told: Vec<String> =
                told.map(|item| format!("{} {}", item["id"].as_str().unwrap(), short(item))).collect();
            assert_eq!(told, expected, "seed {seed}, {person}");
            assert_eq!(told.is_empty(), person == "eva", "seed {seed}, {person}");
        }
    }
}
