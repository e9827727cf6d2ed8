//! Where commands are pasted: a folder as the text says it is, the server that the text says is running, and a real shell.
//!
//! What stands for something else in a command is replaced, and nothing more:
//!
//! | in the text | here |
//! |---|---|
//! | `127.0.0.1:8080`, `https://tide.example`, the word `URL` | the address of the server, which took a free port |
//! | `ID` | `id` of the record that an answer showed last, at first a task of the demo |
//! | `EPOCH`, `SEQ`, `VIEW` | position and `view` of the last answer of `/api/changes` |
//! | `NAME`, `CODE`, `Entity`, `FILE` | `ada`, `NOT_FOUND`, `Task`, a file with one new task |
//! | `cargo run --` | `tidewire`, which cargo has built for these tests |

use std::path::Path;
use std::process::Stdio;

use regex::Regex;
use serde_json::{Value, json};
use tokio::process::Command as Child;

use super::page::{Command, root};
use crate::permissions::page::files;
use crate::support::app::Client;
use crate::support::exposition::Exposition;
use crate::support::process::{Process, tidewire};
use crate::support::socket::PATIENCE;

/// What the reader has before the first command.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Project {
    /// A clone of the repository after `dev --demo`: the README's.
    Shipped,
    /// A folder with the files of the recipes `People` and `Team`.
    Team,
}

pub(super) struct Told {
    pub(super) code: i32,
    /// Of the HTTP answer; 0 when the command was not curl.
    pub(super) status: u16,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// Null when stdout is no JSON.
    pub(super) json: Value,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Told { code, stdout, stderr, .. } = self;
        write!(out, "exit code {code}\n{}\n{}", stdout.trim_end(), stderr.trim_end())
    }
}

pub(super) struct Stage {
    folder: tempfile::TempDir,
    project: Project,
    server: Option<Process>,
    id: String,
    position: Value,
}

impl Stage {
    pub(super) fn new(project: Project) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage {
            folder,
            project,
            server: None,
            id: "01900000-0000-7000-8000-000000000010".to_owned(),
            position: json!({}),
        };
        stage.furnish();
        stage
    }

    fn furnish(&self) {
        match self.project {
            Project::Shipped => copy(&root().join("schemas"), &self.path("schemas")),
            Project::Team => {
                for (name, text) in [files("### People"), files("### Team")].concat() {
                    std::fs::create_dir_all(self.path("schemas")).unwrap();
                    std::fs::write(self.path(&name), text).unwrap();
                }
            }
        }
        for folder in ["docs", "tests/openapi"] {
            std::fs::create_dir_all(self.path(folder)).unwrap();
        }
        copy(&root().join("tests/fixtures"), &self.path("tests/fixtures"));
        std::fs::write(self.path("users.csv"), "name,role\nlea,editor\n").unwrap();
        std::fs::write(self.path("password.txt"), "correct horse battery staple\n").unwrap();
        std::fs::write(self.path("new.jsonl"), "{\"title\": \"Brought\"}\n").unwrap();
        // Said by the settings of curl, so that the line itself stays as it was pasted.
        let settings = "silent\nshow-error\nmax-time = 60\nwrite-out = \"%{stderr}status %{http_code}\\n\"\n";
        std::fs::write(self.path(".curlrc"), settings).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    async fn serve(&mut self) -> std::net::SocketAddr {
        if self.server.is_none() {
            let mut command = tidewire(self.folder.path());
            command.args(["dev", "--listen", "127.0.0.1:0"]).stderr(Stdio::null());
            if self.project != Project::Team {
                command.arg("--demo");
            }
            let server = Process::of(&mut command).await;
            Client::new(server.address).get("/readyz").await;
            self.server = Some(server);
        }
        self.server.as_ref().unwrap().address
    }

    /// Pastes a command beside a running server.
    pub(super) async fn paste(&mut self, command: &Command) -> Told {
        let address = self.serve().await;
        let line = self.filled(&command.text, &address.to_string());
        let told =
            if line.contains("wait=") { self.held(&line, address).await } else { self.run(&line).await };
        self.learn(&told.json);
        told
    }

    /// Pastes a command that needs the folder for itself.
    pub(super) async fn paste_alone(&mut self, command: &Command) -> Told {
        self.serve().await;
        self.server.take().unwrap().stop().await;
        let line = self.filled(&command.text, "127.0.0.1:1");
        self.run(&line).await
    }

    /// A long poll: a task is added as soon as the server holds it, so that the test does not wait 25 seconds.
    async fn held(&self, line: &str, address: std::net::SocketAddr) -> Told {
        let client = Client::new(address);
        let waker = async {
            let answer = loop {
                let text = client.call("GET", "/metrics", Value::Null).await.text;
                if Exposition::parse(&text).value("tidewire_sessions{transport=\"poll\"}") >= 1.0 {
                    break client.any("POST", "/api/tasks?as=ada", json!({"title": "Wake up"})).await;
                }
            };
            assert_eq!(answer.0, 201, "{}", answer.1);
            std::future::pending::<Told>().await
        };
        tokio::select! {
            told = self.run(line) => told,
            told = waker => told,
        }
    }

    /// Pastes a command that serves, and stops the server once it listens.
    pub(super) async fn paste_server(&self, command: &Command) -> Told {
        let mut shell = self.shell(&format!("exec {}", command.bare()));
        // The port of the page may be taken.
        let server = Process::of(shell.env("TIDEWIRE_LISTEN", "127.0.0.1:0")).await;
        let stdout = server.greeting.clone();
        server.stop().await;
        Told { code: 0, status: 0, stdout, stderr: String::new(), json: Value::Null }
    }

    async fn run(&self, line: &str) -> Told {
        let output = tokio::time::timeout(PATIENCE, self.shell(line).output());
        let output = output.await.unwrap_or_else(|_| panic!("it did not end: {line}")).expect("bash starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("a command speaks UTF-8");
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        let status = stderr.lines().find_map(|line| line.strip_prefix("status ")?.parse().ok()).unwrap_or(0);
        let json = serde_json::from_str(&stdout).unwrap_or(Value::Null);
        Told { code: output.status.code().unwrap_or(-1), status, stdout, stderr, json }
    }

    fn shell(&self, line: &str) -> Child {
        let programs = Path::new(env!("CARGO_BIN_EXE_tidewire")).parent().unwrap();
        let path = std::env::join_paths(
            [programs.to_owned()]
                .into_iter()
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        let mut shell = Child::new("bash");
        shell.args(["-c", line]).current_dir(self.folder.path()).kill_on_drop(true).stdin(Stdio::null());
        shell.env("PATH", path.unwrap()).env("CURL_HOME", self.folder.path());
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEWIRE_"))
        {
            shell.env_remove(name);
        }
        if line.contains("user invite") {
            shell.env("TIDEWIRE_AUTH_REGISTER", "invitation");
        }
        if line.contains("--password-stdin") {
            shell.stdin(std::fs::File::open(self.path("password.txt")).unwrap());
        }
        shell
    }

    fn filled(&self, text: &str, address: &str) -> String {
        let url = format!("http://{address}");
        let mut line = text.replace("127.0.0.1:8080", address).replace("https://tide.example", &url);
        line = line.replacen("cargo run -- ", "tidewire ", 1);
        let position = |name: &str| {
            let value = &self.position[name];
            value.as_str().map_or_else(|| value.to_string(), str::to_owned)
        };
        let words = [
            ("URL", url),
            ("ID", self.id.clone()),
            ("EPOCH", position("epoch")),
            ("SEQ", position("seq")),
            ("VIEW", position("view")),
            ("NAME", "ada".to_owned()),
            ("CODE", "NOT_FOUND".to_owned()),
            ("Entity", "Task".to_owned()),
            ("FILE", "new.jsonl".to_owned()),
        ];
        for (word, value) in words {
            line =
                Regex::new(&format!(r"\b{word}\b")).unwrap().replace_all(&line, value.as_str()).into_owned();
        }
        line
    }

    fn learn(&mut self, answer: &Value) {
        if let Some(id) = answer["id"].as_str() {
            self.id = id.to_owned();
        }
        if let Some(view) = answer["channels"][0]["view"].as_str() {
            self.position = json!({"epoch": answer["epoch"], "seq": answer["seq"], "view": view});
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
