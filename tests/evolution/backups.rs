//! The backup before a loss, cut short: by the end of the process, or by a full disk.
//!
//! Both happen at a byte, not at a moment: the kernel refuses files beyond a size that is half of the backup's.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::support::app::Client;
use crate::support::process::Process;

const BEFORE: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\nnotes = { type = 'text' }\n";
const AFTER: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text' }\n";
const RECORDS: usize = 40;

/// A project whose schema file drops a field that has values.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    async fn new() -> Project {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(project.schemas()).unwrap();
        project.save(BEFORE);
        let process = Process::over(&project.schemas(), &project.data(), 0).await;
        let client = Client::new(process.address);
        for _ in 0..RECORDS {
            client.create("tasks", json!({"title": "Paint", "notes": "n".repeat(20_000)})).await;
        }
        process.stop().await;
        project.save(AFTER);
        project
    }

    fn schemas(&self) -> PathBuf {
        self.folder.path().join("schemas")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn save(&self, text: &str) {
        std::fs::write(self.schemas().join("task.toml"), text).unwrap();
    }

    /// `migrate apply`, with these words of the shell before it.
    fn apply(&self, before: &str) -> Output {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{before} exec \"$@\""), "sh", env!("CARGO_BIN_EXE_tidewire")]);
        shell.args(["migrate", "apply", "--allow-drop", "Task.notes", "--schemas"]).arg(self.schemas());
        shell.arg("--data").arg(self.data()).output().unwrap()
    }

    /// `ulimit -f` for half of the database, in the blocks of a shell.
    fn half(&self) -> u64 {
        std::fs::metadata(self.data().join("tidewire.db")).unwrap().len() / 2 / 512
    }

    /// Names in `backups`, hidden ones too.
    fn backups(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.data().join("backups")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The server starts over the records as they were, and all of them are there.
    async fn serves(&self) {
        self.save(BEFORE);
        let process = Process::over(&self.schemas(), &self.data(), 0).await;
        let rows = Client::new(process.address).rows("tasks").await;
        assert_eq!(rows.len(), RECORDS);
        assert!(rows.values().all(|row| row["notes"].as_str().unwrap().len() == 20_000));
        process.stop().await;
        self.save(AFTER);
    }

    /// The same command brings one whole backup.
    fn goes_through(&self) {
        let applied = self.apply("");
        assert!(applied.status.success(), "{applied:?}");
        let backups = self.backups();
        assert_eq!(backups.len(), 1, "{backups:?}");
        assert!(
            backups[0].starts_with("tidewire-") && backups[0].ends_with("-generation-1.db"),
            "{backups:?}"
        );
        let file = self.data().join("backups").join(&backups[0]);
        assert_eq!(notes_in(&file), RECORDS);
        let bits = |path: &Path| {
            use std::os::unix::fs::PermissionsExt;
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(bits(&file), bits(&self.data().join("tidewire.db")), "as secret as the database");
    }
}

fn notes_in(file: &Path) -> usize {
    let conn = rusqlite::Connection::open(file).unwrap();
    let fine: String = conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(fine, "ok");
    let count = "SELECT count(*) FROM tasks WHERE length(notes) = 20000";
    conn.query_row(count, [], |row| row.get::<_, i64>(0)).unwrap().try_into().unwrap()
}

#[tokio::test]
async fn a_killed_backup_leaves_no_backup_and_no_damage() {
    let project = Project::new().await;
    let limit = format!("ulimit -c 0; ulimit -f {};", project.half());
    for _ in 0..2 {
        let killed = project.apply(&limit);
        assert!(killed.status.signal().is_some(), "{killed:?}");
        let left = project.backups();
        assert!(!left.is_empty(), "it died in the middle of the backup");
        assert!(left.iter().all(|name| !name.ends_with(".db")), "half a file is called a backup: {left:?}");
        assert!(left.len() <= 2, "the run before left more: {left:?}");
    }
    // What it left may be what fills the disk, so the next start takes it away.
    project.serves().await;
    assert_eq!(project.backups(), [""; 0]);
    project.goes_through();
}

#[tokio::test]
async fn a_backup_that_does_not_fit_is_removed_and_nothing_is_changed() {
    let project = Project::new().await;
    let refused = project.apply(&format!("trap '' XFSZ; ulimit -f {};", project.half()));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(told.contains("the backup ") && told.contains("make room on that disk"), "{told}");
    assert_eq!(project.backups(), [""; 0]);
    project.serves().await;
    project.goes_through();
}
