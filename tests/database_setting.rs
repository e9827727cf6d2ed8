//! Where the database is: the setting `database` beside `data`, the files beside it, and what is refused.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::app::Client;
use crate::support::process::{Ended, Process, ended, tidewire};

const BEFORE: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\nnotes = { type = 'text' }\n";
const AFTER: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n";

/// A project with a settings file in a folder of its own.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(settings: &str) -> Project {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("site/schemas")).unwrap();
        std::fs::write(
            folder.path().join("site/tidewire.toml"),
            format!("schemas = 'schemas'\n{settings}\n"),
        )
        .unwrap();
        let project = Project { folder };
        project.save(BEFORE);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("site").join(name)
    }

    fn save(&self, schema: &str) {
        std::fs::write(self.path("schemas/task.toml"), schema).unwrap();
    }

    /// From above the project, so that a path that belongs to the wrong folder is seen.
    async fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = tidewire(self.folder.path());
        ended(command.args(arguments).args(["--config", "site/tidewire.toml"])).await
    }

    async fn serve(&self, arguments: &[&str]) -> Process {
        let mut command = tidewire(self.folder.path());
        command.args(["dev", "--listen", "127.0.0.1:0", "--config", "site/tidewire.toml"]).args(arguments);
        Process::of(&mut command).await
    }

    /// Names in a folder of the project, without those that SQLite makes.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> =
            names.filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm")).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn a_database_named_by_its_path_keeps_its_other_files_beside_it() {
    let project = Project::new("database = 'sqlite:store/orders.sqlite'");
    let process = project.serve(&[]).await;
    assert!(process.greeting.contains("site/store/orders.sqlite"), "{}", process.greeting);
    Client::new(process.address).create("tasks", json!({"title": "Paint", "notes": "blue"})).await;
    assert_eq!(project.names("store"), ["orders.sqlite", "orders.sqlite.lock", "orders.sqlite.secrets.db"]);
    assert!(!project.path("data").exists(), "there is no second place");

    let second = project.run(&["dev", "--listen", "127.0.0.1:0"]).await;
    let advice = "in use by process";
    assert!(second.stderr.contains("the database site/store/orders.sqlite is"), "{}", second.stderr);
    assert!(second.stderr.contains(advice) && second.stderr.contains("--database"), "{}", second.stderr);
    let exported = project.run(&["export", "Task"]).await;
    assert!(exported.stdout.contains("Paint"), "{exported:?}");
    let told = project.run(&["doctor"]).await;
    assert!(told.stdout.contains("site/store/orders.sqlite is in use by process"), "{}", told.stdout);
    process.stop().await;

    project.save(AFTER);
    let planned = project.run(&["migrate", "plan"]).await;
    let command = "--allow-drop Task.notes --schemas site/schemas --database sqlite:site/store/orders.sqlite";
    assert!(planned.stdout.contains(command), "{}", planned.stdout);
    let applied = project.run(&["migrate", "apply", "--allow-drop", "Task.notes"]).await;
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let backups = project.names("store/backups");
    assert!(backups.len() == 1 && backups[0].starts_with("orders.sqlite-"), "{backups:?}");
}

#[tokio::test]
async fn two_databases_stand_in_one_folder() {
    let project = Project::new("");
    let first = project.serve(&["--database", "sqlite:site/store/a.db"]).await;
    let second = project.serve(&["--database", "sqlite:site/store/b.db"]).await;
    Client::new(first.address).create("tasks", json!({"title": "only here"})).await;
    assert_eq!(Client::new(second.address).rows("tasks").await.len(), 0);
    assert_eq!(project.names("store"), ["a.db", "a.lock", "a.secrets.db", "b.db", "b.lock", "b.secrets.db"]);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn the_later_of_data_and_database_says_where_it_is() {
    let shown = async |settings: &str, flags: &[&str], variables: &[(&str, &str)]| {
        let project = Project::new(settings);
        let mut command = tidewire(project.folder.path());
        command.args(["config", "--config", "site/tidewire.toml"]).args(flags);
        let told = ended(command.envs(variables.iter().copied())).await;
        let line = told.stdout.lines().find(|line| line.starts_with("database")).map(str::to_owned);
        let words = |line: String| line.split_whitespace().collect::<Vec<_>>().join(" ");
        line.map(words).ok_or(told.stderr)
    };
    let file = "database = 'sqlite:a.db'";
    /// The text of the file, flags, variables, what is shown.
    type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)], &'static str);
    let table: [Row; 6] = [
        ("", &[], &[], r#"database = "sqlite:data/tidewire.db" # default"#),
        ("data = 'd'", &[], &[], r#"database = "sqlite:site/d/tidewire.db" # site/tidewire.toml:2"#),
        (file, &[], &[], r#"database = "sqlite:site/a.db" # site/tidewire.toml:2"#),
        (file, &["--data", "d"], &[], r#"database = "sqlite:d/tidewire.db" # --data"#),
        (file, &[], &[("TIDEWIRE_DATA", "d")], r#"database = "sqlite:d/tidewire.db" # TIDEWIRE_DATA"#),
        (
            "data = 'd'",
            &["--database", "sqlite:/srv/b"],
            &[("TIDEWIRE_DATABASE", "sqlite:c.db")],
            r#"database = "sqlite:/srv/b" # --database"#,
        ),
    ];
    for (settings, flags, variables, expected) in table {
        assert_eq!(shown(settings, flags, variables).await.as_deref(), Ok(expected), "{settings} {flags:?}");
    }
    let refused = shown(&format!("{file}\ndata = 'd'"), &[], &[]).await.unwrap_err();
    assert!(refused.contains("both say where the database is"), "{refused}");
    assert!(refused.contains("keep one of the two"), "{refused}");
}

#[tokio::test]
async fn an_invalid_address_is_refused_with_an_example() {
    let table = [
        ("postgres://ada:hunter2@db/tide", "found an address of the scheme `postgres`"),
        ("mysql:hunter2@db", "found an address without a scheme"),
        ("sqlite:", "found `sqlite:` without a path"),
        ("", "found nothing"),
        ("data/tidewire.db", "write sqlite: before the path"),
        ("sqlite://ada:hunter2@db", "found `sqlite:` with `//` behind it"),
        ("sqlite:data/", "found a folder where a file belongs"),
    ];
    for (address, words) in table {
        let in_file = Project::new(&format!("database = '{address}'")).run(&["config"]).await;
        let by_flag = Project::new("").run(&["config", "--database", address]).await;
        let mut command = tidewire(Path::new("."));
        let by_variable = ended(command.args(["config", "--json"]).env("TIDEWIRE_DATABASE", address)).await;
        for told in [in_file, by_flag, by_variable] {
            assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{address}: {}", told.stderr);
            assert!(told.stderr.contains(words), "{address}: {}", told.stderr);
            assert!(
                !told.stderr.contains("hunter2") || !address.contains("://"),
                "{address}: {}",
                told.stderr
            );
        }
    }
    // What is wrong with the line is something else, and the line is shown all the same.
    let told = Project::new("database = 'postgres://ada:hunter2@db/tide").run(&["config"]).await;
    assert!(told.code == 2 && told.stderr.contains("this is not TOML"), "{}", told.stderr);
    assert!(!told.stderr.contains("hunter2"), "{}", told.stderr);
}

#[tokio::test]
async fn a_place_that_holds_no_file_is_refused() {
    let project = Project::new("");
    std::fs::create_dir(project.path("folder")).unwrap();
    std::os::unix::fs::symlink("elsewhere.db", project.path("link.db")).unwrap();
    for (name, words) in [
        ("folder", "is a folder, and a file belongs there"),
        ("link.db", "is a link: name the file that it leads to"),
        ("tidewire.toml/x.db", "cannot be used for the database"),
    ] {
        let address = format!("sqlite:site/{name}");
        let told = project.run(&["dev", "--listen", "127.0.0.1:0", "--database", &address]).await;
        assert_eq!(told.code, 1, "{name}: {}", told.stderr);
        assert!(told.stderr.contains(words) && told.stderr.contains("--database"), "{name}: {}", told.stderr);
    }
    assert_eq!(project.names(""), ["folder", "link.db", "schemas", "tidewire.toml"], "nothing was made");
    let absent = project.run(&["export", "Task", "--database", "sqlite:site/no.db"]).await;
    assert!(absent.stderr.contains("there is no database at site/no.db"), "{}", absent.stderr);
}
