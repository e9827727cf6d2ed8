//! `tidewire user import`, `adopt` and `rename`: many users at once, users that `?as=` made, and other login names; and what
//! `tidewire serve` and `tidewire dev` say of users.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::account::{Account, PASSWORD, log_in, open};
use crate::support::app::{Client, TestApp};
use crate::support::process::{Ended, Process, ended, plain_schemas, tidewire};

async fn user(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = tidewire(folder);
    command.arg("user").args(arguments).arg("--schemas").arg(plain_schemas());
    ended(&mut command).await
}

async fn piped(folder: &Path, arguments: &[&str], text: &str) -> Ended {
    let mut command = tidewire(folder);
    command.arg("user").args(arguments).arg("--schemas").arg(plain_schemas());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The accounts of a folder: name, role, state.
async fn accounts(folder: &Path) -> Vec<String> {
    let listed: Value = serde_json::from_str(&user(folder, &["list", "--json"]).await.stdout).unwrap();
    let rows = listed.as_array().unwrap().iter();
    rows.map(|row| {
        format!(
            "{} {} {}",
            row["name"].as_str().unwrap(),
            row["role"].as_str().unwrap_or("-"),
            row["state"].as_str().unwrap()
        )
    })
    .collect()
}

#[tokio::test]
async fn a_list_of_users_is_imported_beside_a_running_server_and_each_gets_a_link() {
    let app = TestApp::with(open).await;
    let folder = app.folder.path();
    std::fs::write(folder.join("users.csv"), "name,role\nAda,admin\nben,\n\"eve, of the quay\",editor\n")
        .unwrap();
    let tried = user(folder, &["import", "users.csv", "--dry-run"]).await;
    assert_eq!((tried.code, accounts(folder).await.len()), (0, 0), "{}", tried.stderr);
    assert!(tried.stdout.contains("3 users can be made, 3 of them with a link"), "{}", tried.stdout);

    let done = user(folder, &["import", "users.csv", "--url", "https://tide.example"]).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let mut rows = csv::Reader::from_reader(done.stdout.as_bytes());
    let rows: Vec<csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.iter().map(|row| &row[0]).collect::<Vec<_>>(), ["Ada", "ben", "eve, of the quay"]);
    let (id, link) = (&rows[0][1], rows[0][2].strip_prefix("https://tide.example/_/account#").unwrap());
    let set = json!({"link": link, "password": PASSWORD});
    let entered = app.client().call("POST", "/api/auth/password", set).await;
    assert_eq!(entered.json["user"], json!({"id": id, "name": "Ada", "role": "admin"}), "{}", entered.text);
    assert_eq!(
        accounts(folder).await,
        ["Ada admin active", "ben - no password", "eve, of the quay editor no password"]
    );
    // Again: nothing is made of a list with one user who is there.
    std::fs::write(folder.join("users.csv"), "name\nzoe\nBEN\n").unwrap();
    let again = user(folder, &["import", "users.csv"]).await;
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("users.csv:3: there is a user `BEN` already"), "{}", again.stderr);
    assert_eq!(accounts(folder).await.len(), 3);
}

#[tokio::test]
async fn passwords_come_through_stdin_alone() {
    let app = TestApp::with(open).await;
    let folder = app.folder.path();
    let list = "name,password\nada,correct horse\nben,\n";
    std::fs::write(folder.join("users.csv"), list).unwrap();
    let refused = user(folder, &["import", "users.csv"]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("users.csv:1: a file must not hold passwords"), "{}", refused.stderr);
    let weak = piped(folder, &["import", "-"], "name,password\nada,ada\nben,password\n").await;
    assert_eq!(weak.code, 1);
    assert!(weak.stderr.contains("-:2: the password has fewer than 8"), "{}", weak.stderr);
    assert!(weak.stderr.contains("-:3: the password is one of those"), "{}", weak.stderr);
    assert!(accounts(folder).await.is_empty());

    let done = piped(folder, &["import", "-"], list).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stdout.contains("correct horse"), "{}", done.stdout);
    assert_eq!(log_in(&app, "ada", "correct horse").await.status, 200);
    assert_eq!(accounts(folder).await, ["ada - active", "ben - no password"]);
    let missing = user(folder, &["import", "none.csv"]).await;
    assert!(missing.code == 1 && missing.stderr.contains("none.csv cannot be read"), "{}", missing.stderr);
}

#[tokio::test]
async fn a_user_logs_in_under_another_name_and_stays_who_they_are() {
    let app = TestApp::with(open).await;
    let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    let folder = app.folder.path();
    let renamed = user(folder, &["rename", "ada", "Ada Lovelace"]).await;
    assert_eq!(
        (renamed.code, &*renamed.stdout),
        (0, "ada logs in as Ada Lovelace now\n"),
        "{}",
        renamed.stderr
    );
    assert_eq!(log_in(&app, "ada", PASSWORD).await.status, 401);
    let again = log_in(&app, "ada lovelace", PASSWORD).await;
    assert_eq!(again.json["user"]["id"], json!(ada.id), "{}", again.text);
    assert!(ada.is_in().await, "sessions go on");
    // Only other capitals.
    assert_eq!(user(folder, &["rename", "ada lovelace", "ADA lovelace"]).await.code, 0);
    for (from, to, code, words) in [
        ("ben", "ada LOVELACE", 1, "there is a user `ada LOVELACE` already"),
        ("ada", "zoe", 1, "there is no user `ada`"),
        ("ben", "", 2, "is empty"),
        ("ben", "guest:1", 2, "guest:"),
    ] {
        let told = user(folder, &["rename", from, to]).await;
        assert_eq!(told.code, code, "{from} {to}: {}", told.stderr);
        assert!(told.stderr.contains(words), "{from} {to}: {}", told.stderr);
    }
    assert!(ben.is_in().await);
    assert_eq!(log_in(&app, "ben", PASSWORD).await.status, 200);
}

async fn serve(folder: &Path) -> Ended {
    let mut command = tidewire(folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--schemas"]).arg(plain_schemas());
    ended(&mut command).await
}

#[tokio::test]
async fn names_of_dev_become_users_before_other_people_are_served() {
    let app = TestApp::with(open).await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let project = ada.create("projects", json!({"name": "Harbour"})).await;
    let hers = ada.create("tasks", json!({"title": "hers", "project": project["id"]})).await;
    let remark = ada.create("comments", json!({"body": "so", "task": hers["id"]})).await;
    let his = ben.create("tasks", json!({"title": "his"})).await;
    app.client().patch("/api/users/ada", json!({"role": "admin"})).await;
    let zoe = Account::register(&app, "zoe").await;
    let folder = app.folder.path().to_owned();
    let running = user(&folder, &["adopt", "ada"]).await;
    assert!(running.code == 1 && running.stderr.contains("stop it first"), "{}", running.stderr);
    app.stop().await;

    let refused = serve(&folder).await;
    assert_eq!(refused.code, 1);
    for words in ["2 users of this data folder were made by `?as=`", "ada, ben", "tidewire user adopt"] {
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    let listed = user(&folder, &["adopt"]).await;
    assert!(listed.stdout.ends_with("  ada\n  ben\n"), "{}", listed.stdout);
    for (arguments, words) in [
        (&["adopt", "eve"][..], "`?as=` made no user `eve`"),
        (&["adopt", &zoe.id], "`?as=` made no user"),
        (&["adopt", "ada", "--name", "Zoe"], "there is a user `Zoe` already"),
    ] {
        let told = user(&folder, arguments).await;
        assert!(told.code == 1 && told.stderr.contains(words), "{arguments:?}: {}", told.stderr);
    }
    let adopted = user(&folder, &["adopt", "ada", "--name", "Ada Lovelace"]).await;
    assert_eq!(adopted.code, 0, "{}", adopted.stderr);
    assert!(
        adopted.stdout.contains("ada is Ada Lovelace now") && adopted.stdout.contains("3 records refer"),
        "{}",
        adopted.stdout
    );
    let link = adopted.stdout.trim().rsplit_once('#').unwrap().1.to_owned();
    assert_eq!(user(&folder, &["adopt", "--all"]).await.code, 0);
    let none = user(&folder, &["adopt"]).await;
    assert!(none.stdout.contains("Every user"), "{}", none.stdout);

    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    let app = TestApp::again(app.folder, schema.into(), open).await;
    let set = json!({"link": link, "password": PASSWORD});
    let entered = app.client().call("POST", "/api/auth/password", set).await;
    let id = entered.json["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(entered.json["user"]["role"], "admin", "the record is the same: {}", entered.text);
    let api = app.client();
    let people = app.rows("users").await;
    assert_eq!(people.len(), 3);
    assert!(people.keys().all(|id| uuid::Uuid::try_parse(id).is_ok()), "{people:?}");
    for (path, field) in [
        (format!("/api/projects/{}", project["id"].as_str().unwrap()), "owner"),
        (format!("/api/tasks/{}", hers["id"].as_str().unwrap()), "owner"),
        (format!("/api/comments/{}", remark["id"].as_str().unwrap()), "author"),
    ] {
        assert_eq!(api.get(&path).await[field], json!(id), "{path}");
    }
    let of_ben = &api.get(&format!("/api/tasks/{}", his["id"].as_str().unwrap())).await["owner"];
    assert_ne!(of_ben, &json!("ben"));
    assert_ne!(of_ben, &json!(id));
    app.stop().await;
    let mut command = tidewire(&folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--schemas"]).arg(plain_schemas());
    let mut server = Process::of(command.stderr(Stdio::null())).await;
    server.printed("Stop with").await;
    server.stop().await;
}

#[tokio::test]
async fn rules_by_which_users_give_themselves_rights_are_warned_of() {
    for (update, fields) in [
        ("id == user.id", Some("`role` and `disabled`")),
        ("user != null", Some("`role` and `disabled`")),
        ("id == user.id && !has(change.role)", Some("`disabled`")),
        ("user.role == 'admin' || id == user.id && !has(change.role) && !has(change.disabled)", None),
        ("user.role == 'admin'", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let schemas = folder.path().join("schemas");
        std::fs::create_dir(&schemas).unwrap();
        let text = format!("entity = \"User\"\n[access]\nread = \"user != null\"\nupdate = \"{update}\"\n");
        std::fs::write(schemas.join("user.toml"), text).unwrap();
        let mut command = tidewire(folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let mut server = Process::logged(&mut command, &folder.path().join("log")).await;
        server.printed("Stop with").await;
        server.stop().await;
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        match fields {
            Some(fields) => assert!(log.contains(&format!("write their own {fields}")), "{update}: {log}"),
            None => assert!(!log.contains("write their own"), "{update}: {log}"),
        }
    }
}

#[tokio::test]
async fn a_token_in_an_address_is_warned_of_once_and_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut server = Process::with(&folder.path().join("data"), 0, |command| {
        command.stderr(std::fs::File::create(&log).unwrap());
    })
    .await;
    server.printed("Stop with").await;
    let client = Client::new(server.address);
    for _ in 0..3 {
        client.call("GET", "/api/tasks?token=tws_secret-of-a-story", Value::Null).await;
    }
    server.stop().await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert_eq!(log.matches("sends its token in the address").count(), 1, "{log}");
    assert!(!log.contains("secret-of-a-story"), "{log}");
}

#[tokio::test]
async fn users_of_an_issuer_are_served_as_they_are() {
    let app = TestApp::with(open).await;
    app.client_as("acme:7:member").create("tasks", json!({"title": "theirs"})).await;
    let folder = app.folder.path().to_owned();
    app.stop().await;
    let listed = user(&folder, &["adopt"]).await;
    assert!(listed.stdout.contains("Every user"), "{}", listed.stdout);
    let mut command = tidewire(&folder);
    command.args(["serve", "--listen", "127.0.0.1:0", "--schemas"]).arg(plain_schemas());
    let mut server = Process::of(command.stderr(Stdio::null())).await;
    server.printed("Stop with").await;
    server.stop().await;
}
