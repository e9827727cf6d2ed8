//! `tidewire new`: from a name to a page that shows a record, with nothing written by hand.

use serde_json::json;

use crate::support::app::Client;
use crate::support::process::{Process, ended, tidewire};
use crate::support::socket::Socket;

#[tokio::test]
async fn a_new_project_is_checked_and_served_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let made = ended(tidewire(folder.path()).args(["new", "notes"])).await;
    assert_eq!((made.code, made.stderr.as_str()), (0, ""), "{}", made.stdout);
    assert!(made.stdout.contains("cd notes") && made.stdout.contains("tidewire dev"), "{}", made.stdout);
    let project = folder.path().join("notes");
    assert_eq!(std::fs::read_to_string(project.join(".gitignore")).unwrap(), "/data/\n");

    let checked = ended(tidewire(&project).arg("check")).await;
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{}", checked.stdout);
    assert!(checked.stdout.contains("Task  /api/tasks"), "{}", checked.stdout);

    let process = Process::of(tidewire(&project).args(["dev", "--listen", "127.0.0.1:0"])).await;
    let client = Client::new(process.address);
    let (status, refused) = client.any("POST", "/api/tasks", json!({"title": "Begin"})).await;
    assert_eq!(
        (status, &refused["code"]),
        (403, &json!("FORBIDDEN")),
        "without a name one only looks on: {refused}"
    );
    let mut socket = Socket::open(process.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    let (status, begun) = client.any("POST", "/api/tasks?as=ada", json!({"title": "Begin"})).await;
    assert_eq!((status, &begun["owner"]), (201, &json!("ada")), "{begun}");
    assert_eq!(socket.expect("entity:created").await["payload"]["title"], "Begin");
    let page = client.call("GET", "/", json!(null)).await;
    assert!(page.status == 200 && page.text.contains("/app.js"), "{page:?}");
    for script in ["/app.js", "/static/realtime.js", "/static/channels.js"] {
        assert_eq!(client.call("GET", script, json!(null)).await.status, 200, "{script}");
    }
}

#[tokio::test]
async fn its_settings_are_the_defaults_with_every_comment_taken_away_too() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(ended(tidewire(folder.path()).args(["new", "p"])).await.code, 0);
    let project = folder.path().join("p");
    let as_made = ended(tidewire(&project).args(["config", "--json"])).await;
    assert!(as_made.code == 0 && !as_made.stdout.contains("tidewire.toml:"), "{as_made:?}");

    let file = project.join("tidewire.toml");
    let settings = std::fs::read_to_string(&file).unwrap();
    let awake: Vec<&str> = settings
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|line| line.contains(" = ")).unwrap_or(line))
        .collect();
    std::fs::write(&file, awake.join("\n")).unwrap();
    let awake = ended(tidewire(&project).args(["config", "--json"])).await;
    assert_eq!(awake.code, 0, "{}", awake.stderr);
    assert!(!awake.stdout.contains("\"default\""), "a setting is missing in the file: {}", awake.stdout);
    let values = |told: &str| -> Vec<serde_json::Value> {
        let rows: Vec<serde_json::Value> = serde_json::from_str(told).unwrap();
        rows.iter().map(|row| json!([row["name"], row["value"]])).collect()
    };
    assert_eq!(values(&awake.stdout), values(&as_made.stdout));
}

#[tokio::test]
async fn bad_names_and_folders_that_are_not_empty_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("full")).unwrap();
    std::fs::write(folder.path().join("full/.hidden"), "mine").unwrap();
    std::fs::write(folder.path().join("file"), "mine").unwrap();
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for (name, code, words) in [
        ("full", 1, "the folder `full` already exists and is not empty"),
        ("file", 1, "`file` exists and is not a folder"),
        ("", 2, "`` cannot be the name of a folder"),
        ("..", 2, "`..` cannot be"),
        (".git", 2, "a letter or digit first"),
        ("../up", 2, "`../up` cannot be"),
        ("a/b", 2, "in the working directory"),
        ("/tmp/x", 2, "cannot be"),
        ("-x", 2, "-x"),
        ("my notes", 2, "write letters, digits"),
        ("n\u{f6}tes", 2, "cannot be"),
        ("a\u{1b}[31m", 2, "\\u{1b}"),
        (&"a".repeat(65), 2, "at most 64"),
    ] {
        let told = ended(tidewire(folder.path()).args(["new", name])).await;
        assert_eq!((told.code, told.stdout.as_str()), (code, ""), "{name}: {}", told.stderr);
        assert!(told.stderr.contains(words), "{name}: {}", told.stderr);
    }
    assert_eq!(ended(tidewire(folder.path()).arg("new")).await.code, 2, "a name must be given");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "nothing was made");
    assert_eq!(std::fs::read_dir(folder.path().join("full")).unwrap().count(), 1);
    assert_eq!(
        ended(tidewire(folder.path()).args(["new", "empty"])).await.code,
        0,
        "an empty folder will do"
    );
}

/// Runs `new` in a folder where no file may grow beyond 512 bytes, with these words of the shell before it.
async fn limited(folder: &std::path::Path, before: &str) -> std::process::Output {
    let line = format!("ulimit -c 0; {before} ulimit -f 1; exec \"$@\"");
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", &line, "sh", env!("CARGO_BIN_EXE_tidewire"), "new", "p"]);
    shell.current_dir(folder).output().await.unwrap()
}

fn names(folder: &std::path::Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// Into a folder that is made, into one that is there, and through a link to one: what fails or is killed leaves no part of
/// a project, and the same command then makes all of it.
#[tokio::test]
async fn a_project_that_could_not_be_written_whole_is_not_there() {
    use std::os::unix::process::ExitStatusExt;
    for there in ["nothing", "folder", "link"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        match there {
            "folder" => std::fs::create_dir(&path).unwrap(),
            "link" => {
                std::fs::create_dir(folder.path().join("elsewhere")).unwrap();
                std::os::unix::fs::symlink("elsewhere", &path).unwrap();
            }
            _ => {}
        }
        let before = names(folder.path());
        let full = limited(folder.path(), "trap '' XFSZ;").await;
        let told = String::from_utf8_lossy(&full.stderr).into_owned();
        assert_eq!(full.status.code(), Some(1), "{there}: {told}");
        assert!(told.contains("nothing was made"), "{there}: {told}");
        assert_eq!(names(folder.path()), before, "{there}");

        let killed = limited(folder.path(), "").await;
        assert!(killed.status.signal().is_some(), "{there}: {killed:?}");
        let parts = if path.exists() { names(&path) } else { names(folder.path()) };
        assert!(parts.iter().all(|name| name.ends_with(".part")), "{there}: {parts:?}");

        let made = ended(tidewire(folder.path()).args(["new", "p"])).await;
        assert_eq!(made.code, 0, "{there}: {}", made.stderr);
        assert_eq!(
            names(&path),
            [".gitignore", "README.md", "public", "schemas", "tidewire.toml"],
            "{there}"
        );
        assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')), "{there}");
        assert_eq!(ended(tidewire(&path).arg("check")).await.code, 0, "{there}");
    }
}
