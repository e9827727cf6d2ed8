//! A newcomer's second day, with the real program: fields are added, renamed, dropped and retyped by saving the schema file,
//! with records and a window in place.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use super::Window;
use crate::support::app::Client;
use crate::support::process::Process;
use crate::support::socket::Socket;

const FIRST_DAY: &str = "entity = 'Task'
[fields]
title = { type = 'text', required = true }
effort = { type = 'text' }
notes = { type = 'text' }
";

/// As editors do: whole, or not at all.
fn save(schemas: &Path, text: &str) {
    let draft = schemas.join("task.toml.draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::rename(draft, schemas.join("task.toml")).unwrap();
}

async fn tidewire(arguments: &[&str], schemas: &Path, data: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command.args(arguments).arg("--schemas").arg(schemas).arg("--data").arg(data);
    command.output().await.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The flags behind `tidewire migrate apply` in the last line of what was printed.
fn flags(printed: &str) -> Vec<String> {
    let line = printed.lines().rev().find(|line| line.contains("tidewire migrate apply")).expect("a command");
    let (flags, _) = line.split_once("apply ").unwrap().1.split_once(" --schemas").unwrap();
    flags.split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_are_added_renamed_dropped_and_retyped_on_the_second_day() {
    let folder = tempfile::tempdir().unwrap();
    let (schemas, data) = (folder.path().join("schemas"), folder.path().join("data"));
    std::fs::create_dir(&schemas).unwrap();
    save(&schemas, FIRST_DAY);
    let mut process = Process::over(&schemas, &data, 0).await;
    process.printed("Stop with Ctrl-C").await;
    let client = Client::new(process.address);
    let body = json!({"title": "Paint", "effort": "3", "notes": "two coats"});
    let paint = client.create("tasks", body).await["id"].as_str().unwrap().to_owned();
    client.create("tasks", json!({"title": "Count", "effort": "much"})).await;
    let mut window = Window::open_at(process.address, "Task").await;

    // A field is added: saving is all it takes.
    save(&schemas, &(FIRST_DAY.to_owned() + "due = { type = 'date' }\n"));
    window.changes(2).await;
    assert_eq!(window.rows[&paint]["due"], Value::Null);
    let printed = process.printed("generation 2").await;
    assert!(printed.contains("✓ Task.due: add the field"), "{printed}");

    // One is renamed.
    let renamed = FIRST_DAY.replace("title = { type = 'text',", "name = { type = 'text', was = 'title',");
    save(&schemas, &(renamed.clone() + "due = { type = 'date' }\n"));
    window.changes(3).await;
    assert_eq!(
        (&window.rows[&paint]["name"], &window.rows[&paint]["title"]),
        (&json!("Paint"), &Value::Null)
    );
    process.printed("generation 3").await;
    let (status, refused) = client.any("POST", "/api/tasks", json!({"title": "x"})).await;
    let (_, unread) = client.any("GET", "/api/tasks?title=x", Value::Null).await;
    let told = "`title` is not a field of Task any longer: it is now called `name`";
    assert_eq!(unread["detail"], told);
    assert_eq!((status, &refused["errors"][0]["message"]), (422, &json!(told)), "{refused}");

    // A slip of the pen is shown, and the server continues.
    save(&schemas, &renamed.replace("type = 'text' }", "type = 'txt' }"));
    let printed = process.printed("the server keeps its old schema").await;
    assert!(printed.contains("E0130") && printed.contains("did you mean `text`?"), "{printed}");

    // One is dropped and one gets another type: that needs a word, and the command is printed.
    let last = renamed
        .replace("notes = { type = 'text' }\n", "")
        .replace("effort = { type = 'text' }", "effort = { type = 'int' }");
    save(&schemas, &(last.clone() + "due = { type = 'date' }\n"));
    let printed = process.printed("the server keeps its old schema").await;
    assert!(printed.contains("✗ Task.notes: drop the field") && printed.contains("`much`"), "{printed}");
    client.patch(&format!("/api/tasks/{paint}"), json!({"notes": "three coats"})).await;
    let updated = window.socket.expect("entity:updated").await;
    assert_eq!(updated["payload"]["notes"], "three coats", "nothing has changed for the window");
    window.since["seq"] = updated["seq"].clone();

    let plan = tidewire(&["migrate", "plan"], &schemas, &data).await;
    assert_eq!(plan.status.code(), Some(1), "a plan can be made beside the running server");
    let flags = flags(&text(&plan.stdout));
    assert_eq!(flags, ["--allow-drop", "Task.notes", "--allow-clear", "Task.effort"]);
    let apply: Vec<&str> = ["migrate", "apply"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let busy = tidewire(&apply, &schemas, &data).await;
    assert!(!busy.status.success() && text(&busy.stderr).contains("in use by process"), "{busy:?}");
    let port = process.address.port();
    process.stop().await;
    let applied = tidewire(&apply, &schemas, &data).await;
    assert!(applied.status.success() && text(&applied.stdout).contains("backup: "), "{applied:?}");
    let status = text(&tidewire(&["migrate", "status"], &schemas, &data).await.stdout);
    assert!(
        status.contains("Generation  4") && status.contains("Task 2") && status.ends_with(": fit\n"),
        "{status}"
    );

    // The window comes back and has every record in its new shape.
    let process = Process::over(&schemas, &data, port).await;
    let mut socket = Socket::open(process.address).await;
    let subscribed = socket.subscribe("entity:Task", json!({"since": window.since})).await;
    assert_eq!(subscribed["payload"]["recovered"], false);
    window.socket = socket;
    window.fill().await;
    let rows = super::fields_of(&window.rows);
    assert_eq!(
        json!(rows),
        json!([{"name": "Paint", "effort": 3, "due": null}, {"name": "Count", "effort": null, "due": null}])
    );
    // What was lost is in the backup, which is a database like any other.
    let backup = std::fs::read_dir(data.join("backups")).unwrap().next().unwrap().unwrap().path();
    let restored = folder.path().join("restored");
    std::fs::create_dir(&restored).unwrap();
    std::fs::copy(backup, restored.join("tidewire.db")).unwrap();
    save(&schemas, &(renamed + "due = { type = 'date' }\n"));
    let before = Process::over(&schemas, &restored, 0).await;
    let rows = Client::new(before.address).rows("tasks").await;
    assert_eq!(rows[&paint]["notes"], "three coats");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_looked_at_again_and_a_folder_may_be_replaced() {
    const COMMON: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n";
    const UNIQUE: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text', unique = true }\n";
    let folder = tempfile::tempdir().unwrap();
    let (schemas, data) = (folder.path().join("schemas"), folder.path().join("data"));
    std::fs::create_dir(&schemas).unwrap();
    save(&schemas, COMMON);
    let mut process = Process::over(&schemas, &data, 0).await;
    process.printed("Stop with Ctrl-C").await;
    let client = Client::new(process.address);
    client.create("tasks", json!({"title": "a"})).await;
    let double = client.create("tasks", json!({"title": "a"})).await;

    save(&schemas, UNIQUE);
    let printed = process.printed("the server keeps its old schema").await;
    assert!(printed.contains("2 records have `a`"), "{printed}");
    save(&schemas, COMMON);
    process.printed("the schema files fit again").await;

    save(&schemas, UNIQUE);
    process.printed("the server keeps its old schema").await;
    client.delete(&format!("/api/tasks/{}", double["id"].as_str().unwrap())).await;
    save(&schemas, UNIQUE);
    let printed = process.printed("generation 2").await;
    assert!(printed.contains("✓ Task.title: make the field unique"), "{printed}");

    // A checkout puts another folder in its place.
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    save(&other, &(UNIQUE.to_owned() + "due = { type = 'date' }\n"));
    std::fs::rename(&schemas, folder.path().join("old")).unwrap();
    std::fs::rename(&other, &schemas).unwrap();
    process.printed("generation 3").await;
    save(&schemas, &(UNIQUE.to_owned() + "due = { type = 'date' }\nsize = { type = 'int' }\n"));
    process.printed("generation 4").await;
}
