//! The example apps: `tidewire dev --example NAME` serves one in a fresh folder, and `tidewire new --template NAME` begins with one.
//! What is written is the folder of the repository, and runs as it is.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::app::Client;
use crate::support::process::{Process, ended, tidewire};
use crate::support::socket::Socket;

const EXAMPLES: [&str; 4] = ["todo", "board", "drafts", "workspaces"];

/// Every file below a folder, by its path in it.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            found.insert(name, std::fs::read(&path).unwrap());
        }
    }
    found
}

/// Those of an example in the repository. `page.js` is a link there.
fn example(name: &str) -> BTreeMap<String, Vec<u8>> {
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name))
}

/// Every page and script is there, and a change of a user reaches a socket.
async fn works(process: &Process, files: &BTreeMap<String, Vec<u8>>, name: &str) {
    let client = Client::new(process.address);
    assert_eq!(client.call("GET", "/", Value::Null).await.status, 200, "{name}");
    let public = files.iter().filter_map(|(path, text)| Some((path.strip_prefix("public/")?, text)));
    for (path, text) in public {
        let answer = client.call("GET", &format!("/{path}"), Value::Null).await;
        assert_eq!((answer.status, answer.text.as_bytes()), (200, text.as_slice()), "{name}: {path}");
    }
    let (channel, path, body) = match name {
        "todo" => ("entity:Task", "/api/tasks", json!({"title": "Begin"})),
        "board" => ("entity:Board", "/api/boards", json!({"name": "Begin"})),
        "drafts" => ("entity:Draft", "/api/drafts", json!({"title": "Begin"})),
        "workspaces" => ("entity:Workspace", "/api/workspaces", json!({"name": "Begin"})),
        _ => ("entity:Note", "/api/notes", json!({"text": "Begin"})),
    };
    let mut socket = Socket::open_at(process.address, "/ws?as=ada").await;
    socket.expect("connected").await;
    socket.subscribe(channel, json!({})).await;
    let (status, made) = client.any("POST", &format!("{path}?as=ada"), body).await;
    assert_eq!(status, 201, "{name}: {made}");
    assert_eq!(socket.expect("entity:created").await["payload"]["id"], made["id"], "{name}");
}

#[tokio::test]
async fn dev_serves_every_example_from_a_folder_of_its_own() {
    let temp = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    for name in EXAMPLES {
        let mut folders: Vec<PathBuf> = Vec::new();
        for folder in [format!("tidewire-{name}"), format!("tidewire-{name}-2")] {
            let mut command = tidewire(elsewhere.path());
            command.args(["dev", "--example", name, "--listen", "127.0.0.1:0"]).env("TMPDIR", temp.path());
            let process = Process::of(&mut command).await;
            let folder = temp.path().join(folder);
            let said = format!("Example     {name} in {}; delete", folder.display());
            assert!(process.greeting.contains(&said), "{}", process.greeting);
            assert!(process.greeting.contains(&format!("--template {name}")), "{}", process.greeting);
            let mut written = files(&folder);
            written.retain(|path, _| !path.starts_with("data/"));
            assert!(written == example(name), "{name}: {:?}", written.keys());
            let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{name}: for this user alone");
            works(&process, &written, name).await;
            folders.push(folder);
        }
        assert!(folders.iter().all(|folder| folder.join("data/tidewire.db").is_file()), "{name}");
    }
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "nothing in the working directory");
}

#[tokio::test]
async fn new_begins_with_every_example_which_is_checked_and_runs_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for name in EXAMPLES.into_iter().chain(["blank"]) {
        let made = ended(tidewire(folder.path()).args(["new", name, "--template", name])).await;
        assert_eq!((made.code, made.stderr.as_str()), (0, ""), "{name}: {}", made.stdout);
        let project = folder.path().join(name);
        let mut written = files(&project);
        for own in ["tidewire.toml", ".gitignore"] {
            assert!(written.remove(own).is_some(), "{name}: {own}");
        }
        if name != "blank" {
            assert!(written == example(name), "{name}: {:?}", written.keys());
            assert!(!project.join("public/page.js").is_symlink(), "{name}");
        }
        let checked = ended(tidewire(&project).arg("check")).await;
        assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{name}: {}", checked.stdout);
        if written.keys().any(|path| path.starts_with("schemas/tests/")) {
            let tested = ended(tidewire(&project).args(["rules", "test"])).await;
            assert_eq!((tested.code, tested.stderr.as_str()), (0, ""), "{name}: {}", tested.stdout);
        }
        let readme = String::from_utf8(written["README.md"].clone()).unwrap();
        assert!(readme.lines().count() <= 20 && readme.contains("tidewire dev"), "{name}: {readme}");
        let process = Process::of(tidewire(&project).args(["dev", "--listen", "127.0.0.1:0"])).await;
        works(&process, &written, name).await;
    }
}

#[tokio::test]
async fn todo_is_an_app_in_under_forty_lines() {
    let todo = example("todo");
    let lines = |path: &str| String::from_utf8_lossy(&todo[path]).lines().count();
    let all = lines("public/index.html") + lines("public/app.js");
    assert!(all < 40, "{all} lines");
    let pages: Vec<&String> = todo.keys().filter(|path| path.starts_with("public/")).collect();
    assert_eq!(pages, ["public/app.js", "public/index.html"], "and nothing else");
}

#[tokio::test]
async fn an_unknown_example_is_refused_with_those_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    for words in [["dev", "--example", "kanban"].as_slice(), &["new", "p", "--template", "kanban"]] {
        let told = ended(tidewire(folder.path()).args(words)).await;
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{words:?}: {}", told.stderr);
        assert!(told.stderr.contains("invalid value 'kanban'"), "{words:?}: {}", told.stderr);
        assert!(EXAMPLES.iter().all(|name| told.stderr.contains(name)), "{words:?}: {}", told.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

/// Each with the words that say why. An example has its own folders and records.
#[tokio::test]
async fn an_example_takes_no_other_folder_and_no_demo() {
    let folder = tempfile::tempdir().unwrap();
    for (flags, words) in [
        (["--schemas", "schemas"].as_slice(), "brings its own folder, and --schemas names another one"),
        (&["--data", "data"], "brings its own folder, and --data names another one"),
        (&["--database", "sqlite:x.db"], "brings its own folder, and --database names another one"),
        (&["--set", "public=pages"], "tidewire new NAME --template board"),
        (&["--demo"], "cannot be used with"),
    ] {
        let mut command = tidewire(folder.path());
        command.args(["dev", "--example", "board"]).args(flags).env("TMPDIR", folder.path());
        let told = ended(&mut command).await;
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{flags:?}: {}", told.stderr);
        assert!(told.stderr.contains(words), "{flags:?}: {}", told.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
}

#[tokio::test]
async fn without_a_place_for_the_folder_the_error_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let told =
        ended(tidewire(folder.path()).args(["dev", "--example", "todo"]).env("TMPDIR", &missing)).await;
    assert_eq!((told.code, told.stdout.as_str()), (1, ""), "{}", told.stderr);
    let said = format!("cannot be written into a new folder below {}", missing.display());
    assert!(told.stderr.contains(&said) && told.stderr.contains("TMPDIR"), "{}", told.stderr);
}

#[tokio::test]
async fn help_says_of_each_example_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for words in [["dev", "--help"], ["new", "--help"]] {
        let told = ended(tidewire(folder.path()).args(words)).await;
        assert_eq!((told.code, told.stderr.as_str()), (0, ""));
        for line in [
            "- todo:       A list of things to do, in under 40 lines",
            "- board:      Cards, a chat, an activity feed and who is here",
            "- drafts:     A text that several users write, one at a time",
            "- workspaces: Teams with invitation links, members and tasks",
        ] {
            assert!(told.stdout.contains(line), "{words:?}: {}", told.stdout);
        }
    }
}
