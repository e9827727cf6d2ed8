//! `tidewire rules why`: one record of a data folder, beside the server that writes it.

use std::path::Path;

use serde_json::json;

use super::page::{files, requests};
use crate::support::app::Client;
use crate::support::process::{Ended, Process, ended, tidewire};

struct Project {
    folder: tempfile::TempDir,
    process: Process,
    harbour: String,
    task: String,
}

impl Project {
    /// The team of docs/permissions.md, being served: ada owns the harbour, ben edits it.
    async fn served() -> Project {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files("### Team") {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let process = Process::of(tidewire(folder.path()).args(["dev", "--listen", "127.0.0.1:0"])).await;
        let client = Client::new(process.address);
        client.get("/api/projects?as=ben").await;
        let made = async |path: &str, body| {
            let (status, record) = client.any("POST", path, body).await;
            assert_eq!(status, 201, "{record}");
            record["id"].as_str().unwrap().to_owned()
        };
        let harbour = made("/api/projects?as=ada", json!({"name": "Harbour"})).await;
        let seat = json!({"person": "ben", "project": harbour, "role": "editor"});
        made("/api/memberships?as=ada", seat).await;
        let task = made("/api/tasks?as=ada", json!({"title": "Paint", "project": harbour})).await;
        Project { folder, process, harbour, task }
    }

    async fn why(&self, arguments: &[&str]) -> Ended {
        why(self.folder.path(), arguments).await
    }
}

async fn why(folder: &Path, arguments: &[&str]) -> Ended {
    ended(tidewire(folder).args(["rules", "why"]).args(arguments)).await
}

fn has(told: &Ended, code: i32, words: &[&str]) {
    assert_eq!(told.code, code, "{told:?}");
    for words in words {
        assert!(
            told.stdout.contains(words) || told.stderr.contains(words),
            "{words}\n{}{}",
            told.stdout,
            told.stderr
        );
    }
}

#[tokio::test]
async fn why_shows_the_value_of_each_part_beside_a_running_server() {
    let project = Project::served().await;
    let (task, harbour) = (project.task.as_str(), project.harbour.as_str());
    let read = project.why(&["--as", "ben", "read", "Task", task]).await;
    let of_set = format!("user.memberships.project = [\"{harbour}\"]");
    has(
        &read,
        0,
        &[
            "ben may read Task",
            "read = project in user.projects.id || project in user.memberships.project",
            "false    project in user.projects.id",
            "user.projects.id = []",
            "true     project in user.memberships.project",
            &of_set,
            "for this person: project == \"",
            "allowed",
        ],
    );
    let update = project.why(&["--as", "ben", "update", "Task", task, "--change", "title=x"]).await;
    has(&update, 0, &["m = Membership ", "m.role == \"editor\"", "allowed"]);
    let delete = project.why(&["--as", "ben", "delete", "Task", task]).await;
    has(&delete, 1, &["ben may not delete Task", "denied"]);
    let stranger = project.why(&["--as", "cy", "delete", "Task", task]).await;
    has(&stranger, 1, &["the user may not read the record, so it looks as if it did not exist"]);
    has(&stranger, 1, &["hint: there is no User record `cy`, so this is the answer for a user without one"]);
    for told in [&read, &update, &delete] {
        assert!(!told.stdout.contains("hint:"), "{}", told.stdout);
    }
    let nobody = project.why(&["read", "Task", task]).await;
    assert!(!nobody.stdout.contains("hint:"), "{}", nobody.stdout);
    has(
        &nobody,
        1,
        &["nobody may not read", "unknown  project in user.projects.id", "unknown: the caller is anonymous"],
    );
    let to_harbour = format!("project={harbour}");
    let create =
        project.why(&["--as", "ben", "create", "Task", "--change", &to_harbour, "--change", "title=x"]).await;
    has(&create, 0, &["ben may create Task"]);
    assert!(!create.stdout.contains("note:"), "{}", create.stdout);
    let bare = project.why(&["--as", "ben", "create", "Task", "--change", &to_harbour]).await;
    has(&bare, 0, &["allowed", "note: besides rights, a create must set the required fields: title"]);
    // A person may not refer to what they may not read.
    let refused = project
        .why(&["--as", "cy", "create", "Membership", "--change", &to_harbour, "--change", "person=cy"])
        .await;
    has(&refused, 1, &["denied"]);
    let Project { folder, process, .. } = project;
    process.stop().await;
    let stopped = why(folder.path(), &["--as", "ada", "delete", "Task", task]).await;
    has(&stopped, 0, &["allowed"]);
}

const DRAFT: &str = r#"
entity = "Draft"
[fields]
holder = { type = "ref", entity = "User" }
until  = { type = "datetime" }
[access]
read   = "true"
create = "true"
update = "until > now && (holder.name == 'Ben' || exists(Helper, h, h.draft == id && h.name == 'Eve'))"
"#;

const HELPER: &str = r#"
entity = "Helper"
[fields]
name  = { type = "text" }
draft = { type = "ref", entity = "Draft" }
[access]
read  = "true"
"#;

/// What is behind a reference, and records of other entities, are read only where other parts leave the rule undecided.
#[tokio::test]
async fn why_says_what_was_not_read_because_other_parts_decide() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = folder.path().join("schemas");
    std::fs::create_dir_all(&schemas).unwrap();
    for (name, text) in [("draft.toml", DRAFT), ("helper.toml", HELPER)] {
        std::fs::write(schemas.join(name), text).unwrap();
    }
    let process = Process::of(tidewire(folder.path()).args(["dev", "--listen", "127.0.0.1:0"])).await;
    let client = Client::new(process.address);
    client.get("/api/drafts?as=ada").await;
    let draft = async |until: &str| {
        let body = json!({"holder": "ada", "until": until});
        let (status, made) = client.any("POST", "/api/drafts?as=ada", body).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    };
    let (past, future) = (draft("2020-01-01T00:00:00Z").await, draft("2120-01-01T00:00:00Z").await);
    let unread = "not read: other parts of the rule decide";
    let read = why(folder.path(), &["--as", "ada", "update", "Draft", &past]).await;
    has(&read, 1, &[&format!("holder.name = {unread}"), &format!("Helper = {unread}")]);
    let read = why(folder.path(), &["--as", "ada", "update", "Draft", &future]).await;
    has(&read, 1, &["holder.name = \"ada\""]);
    assert!(!read.stdout.contains(unread), "{}", read.stdout);
}

#[tokio::test]
async fn unanswerable_queries_get_an_error() {
    let project = Project::served().await;
    let task = project.task.as_str();
    let missing = "01900000-0000-7000-8000-00000000ffff";
    for (arguments, words) in [
        (&["read", "Tsk", task][..], "did you mean `Task`?"),
        (&["read", "tasks", task], "did you mean `Task`?"),
        (&["raed", "Task", task], "read"),
        (&["read", "Task"], "`read` needs a record"),
        (&["create", "Task", task], "a create has no record yet"),
        (&["read", "Task", missing], "there is no Task 01900000"),
        (&["read", "Task", "seven"], "seven"),
        (&["--as", "", "read", "Task", task], "--as must name a user"),
        (&["--as", ":admin", "read", "Task", task], "no name before the colon"),
        (&["--as", "ada:", "read", "Task", task], "no role"),
        (&["read", "Task", task, "--change", "title=x"], "`read` changes no field"),
        (&["update", "Task", task, "--change", "title"], "write FIELD=VALUE"),
        (&["update", "Task", task, "--change", "titel=x"], "did you mean `title`?"),
        (&["update", "Task", task, "--change", "title=x", "--change", "title=y"], "names `title` twice"),
        (&["update", "Project", task, "--change", "owner=ben"], "`owner` is readonly: no request can set it"),
        (&["create", "Project", "--change", "owner=ben"], "`owner` is readonly: no request can set it"),
        (&["update", "Task", task, "--change", "project=seven"], "`project` must be"),
        (&["read", "Task", task, "--data", "elsewhere"], "elsewhere"),
        (&["read", "Task", task, "--schemas", "elsewhere"], "elsewhere"),
    ] {
        let told = project.why(arguments).await;
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{arguments:?}\n{}", told.stderr);
        assert!(told.stderr.contains(words), "{arguments:?}\n{words}\n{}", told.stderr);
    }
    // The folder is left as it was.
    let (head, _) = Client::new(project.process.address).get_any("/api/projects?as=ada").await;
    assert_eq!(head, 200);
}

#[tokio::test]
async fn why_says_when_its_rules_are_not_in_force_yet() {
    const WORDS: &str =
        "these rules are not in force yet: schemas differs from the schema of the data folder (generation ";
    let Project { folder, process, task, .. } = Project::served().await;
    process.stop().await;
    let ask = ["--as", "cy", "delete", "Task", &task];
    let same = why(folder.path(), &ask).await;
    assert!(same.code == 1 && !same.stdout.contains("in force"), "{same:?}");
    // Only a comment differs, and no rule.
    let path = folder.path().join("schemas/task.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{text}\n# Of ours.\n")).unwrap();
    let same = why(folder.path(), &ask).await;
    assert!(same.code == 1 && !same.stdout.contains("in force"), "{same:?}");
    let open = text.replace("delete = \"project in user.projects.id\"", "delete = \"user != null\"");
    let open = open.replace("read   = \"project in", "read   = \"user != null || project in");
    assert_ne!(open, text);
    std::fs::write(&path, open).unwrap();
    let ahead = why(folder.path(), &ask).await;
    has(
        &ahead,
        0,
        &["cy may delete Task", WORDS, "`tidewire dev` takes the files over", "tidewire migrate plan"],
    );
    assert_eq!(ahead.stdout.matches("in force").count(), 1, "{}", ahead.stdout);
}

#[tokio::test]
async fn the_team_recipe_works_word_by_word_in_an_empty_folder() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files("### People").into_iter().chain(files("### Team")) {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let process = Process::of(tidewire(folder.path()).args(["dev", "--listen", "127.0.0.1:0"])).await;
    let client = Client::new(process.address);
    let mut shown = Vec::new();
    for (path, body) in requests("### Team") {
        let is_create = body.is_some();
        let method = if is_create { "POST" } else { "GET" };
        let answer = client.call(method, &path, body.unwrap_or_default()).await;
        assert_eq!(answer.status, if is_create { 201 } else { 200 }, "{path}: {}", answer.text);
        shown.push(answer.json["items"].as_array().map(Vec::len));
    }
    assert_eq!(shown, [Some(0), None, None, Some(1), None, Some(0)]);
    process.stop().await;
}
