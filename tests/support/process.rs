//! The real binary as a child process, with its own folders, killed when the story ends.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::log_watch::LogWatch;
use super::socket::PATIENCE;

pub struct Process {
    pub address: SocketAddr,
    /// What was printed before the address.
    pub greeting: String,
    child: Child,
    /// Read or not, it is kept open, so that the child may continue printing.
    output: tokio::io::Lines<BufReader<ChildStdout>>,
    /// Of its stderr, unless the story reads that itself.
    _log: Option<LogWatch>,
}

/// The schemas of stories that are about something else than rights: none of them has a rule.
pub fn plain_schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/plain")
}

/// The real binary in a folder, with none of the settings of the person who runs the tests.
pub fn tidewire(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewire"));
    command.current_dir(folder).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TIDEWIRE_") {
            command.env_remove(name);
        }
    }
    command
}

/// Shell: ten descriptors that the next program gets with those of the terminal.
pub const TEN_OPEN: &str = "for n in {10..19}; do eval \"exec $n</dev/null\"; done;";

/// What a program that ended left behind.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end.
pub async fn ended(command: &mut Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.stdin(Stdio::null()).output());
    let output = output.await.expect("the binary ends within twenty seconds").expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the binary speaks UTF-8");
    Ended {
        code: output.status.code().expect("no signal ended the binary"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

impl Process {
    /// Starts `tidewire dev` with the plain schemas on a data folder and waits for its address. Port 0 takes any.
    pub async fn start(data: &Path, port: u16) -> Process {
        Process::over(&plain_schemas(), data, port).await
    }

    /// Starts it with other schema files.
    pub async fn over(schemas: &Path, data: &Path, port: u16) -> Process {
        Process::prepared(schemas, data, port, |_| {}).await
    }

    /// Starts it with arguments, variables or streams changed.
    pub async fn with(data: &Path, port: u16, change: impl FnOnce(&mut Command)) -> Process {
        Process::prepared(&plain_schemas(), data, port, change).await
    }

    /// Both.
    pub async fn prepared(
        schemas: &Path,
        data: &Path,
        port: u16,
        change: impl FnOnce(&mut Command),
    ) -> Process {
        let mut command = tidewire(Path::new(env!("CARGO_MANIFEST_DIR")));
        command.args(["dev", "--listen", &format!("127.0.0.1:{port}")]);
        let log = tempfile::tempfile().unwrap();
        command.arg("--schemas").arg(schemas).arg("--data").arg(data).stderr(log.try_clone().unwrap());
        change(&mut command);
        Process { _log: Some(LogWatch::of(log)), ..Process::heard(&mut command).await }
    }

    /// Starts it in a folder with so many descriptors, ten of which its parent has left open.
    pub async fn with_descriptors(folder: &Path, limit: u32) -> Process {
        let mut command = tidewire(Path::new(env!("CARGO_MANIFEST_DIR")));
        let mut limited = Command::new("bash");
        limited.arg("-c").arg(format!("{TEN_OPEN} ulimit -n {limit}; exec \"$0\" \"$@\"")).kill_on_drop(true);
        limited.arg(command.as_std().get_program()).args(["dev", "--listen", "127.0.0.1:0", "--schemas"]);
        limited.arg(plain_schemas()).current_dir(folder).stderr(Stdio::null());
        limited
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("TIDEWIRE_")));
        command = limited;
        Process::of(&mut command).await
    }

    /// Starts a command that serves, and waits for its address. What it logs is searched for secrets when the story ends.
    pub async fn of(command: &mut Command) -> Process {
        let log = tempfile::tempfile().unwrap();
        command.stderr(log.try_clone().unwrap());
        Process { _log: Some(LogWatch::of(log)), ..Process::heard(command).await }
    }

    /// The same with the log in a file that the story reads, too.
    pub async fn logged(command: &mut Command, log: &Path) -> Process {
        command.stderr(std::fs::File::create(log).unwrap());
        let log = std::fs::File::open(log).unwrap();
        Process { _log: Some(LogWatch::of(log)), ..Process::heard(command).await }
    }

    /// The same for a story that takes the log itself.
    pub async fn heard(command: &mut Command) -> Process {
        let command = command.stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the binary starts");
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut greeting = String::new();
        let found = async {
            while let Some(line) = output.next_line().await.unwrap() {
                greeting += &(line.clone() + "\n");
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return address.trim().trim_end_matches('/').parse().unwrap();
                }
            }
            panic!("the binary ended without an address");
        };
        let address =
            tokio::time::timeout(PATIENCE, found).await.expect("the binary listens within twenty seconds");
        Process { address, greeting, child, output, _log: None }
    }

    /// What is printed up to and including the line that holds these words.
    pub async fn printed(&mut self, words: &str) -> String {
        let mut text = String::new();
        while !text.lines().last().is_some_and(|line| line.contains(words)) {
            let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
            let line = line.unwrap_or_else(|_| panic!("`{words}` was never printed, but:\n{text}"));
            text += &(line.unwrap().unwrap_or_else(|| panic!("the binary ended after:\n{text}")) + "\n");
        }
        text
    }

    /// From now on the kernel refuses to let a file of the process grow beyond so many bytes; `None` lifts the limit.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let pid = self.child.id().expect("the process runs").try_into().unwrap();
        let limit = (bytes.unwrap_or(rlimit::INFINITY), rlimit::INFINITY);
        rlimit::prlimit(pid, rlimit::Resource::FSIZE, Some(limit), None).expect("the limit can be set");
    }

    /// From now on the process gets no descriptor beyond those that it has.
    pub fn no_more_descriptors(&self) {
        let pid = self.child.id().expect("the process runs");
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let open: BTreeSet<u64> =
            open.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
        // The limit is of their numbers, and the kernel gives the lowest that is free.
        self.limit_descriptors((0..).find(|number| !open.contains(number)).unwrap());
    }

    /// It gets some again.
    pub fn descriptors_again(&self) {
        self.limit_descriptors(1_000);
    }

    fn limit_descriptors(&self, most: u64) {
        let pid = self.child.id().expect("the process runs").try_into().unwrap();
        let (mut soft, mut hard) = (0, 0);
        rlimit::prlimit(pid, rlimit::Resource::NOFILE, None, Some((&mut soft, &mut hard))).unwrap();
        rlimit::prlimit(pid, rlimit::Resource::NOFILE, Some((most, hard)), None)
            .expect("the limit can be set");
    }

    /// SIGTERM, and the end of the process, which was in order.
    pub async fn stop(mut self) {
        let pid = self.child.id().expect("the process runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(sent.success());
        let ended =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the process ends").unwrap();
        assert!(ended.success(), "{ended}");
    }

    /// Sends a signal by its name, `STOP` for example.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the process runs").to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().await.unwrap().success());
    }

    /// SIGKILL: no goodbye, no flush.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
