//! Starting a server on its core, learning its address, reading what it uses, ending it. Knows command lines,
//! not protocols.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::error::{BenchError, Outcome};
use crate::lab::Lab;
use crate::procfs;

/// Flags of `tidewire dev` beyond the paths: the only limits that the bench raises.
pub(crate) const LIMIT_FLAGS: [&str; 2] = ["--max-connections", "20000"];

const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server; killed when dropped, its data with it.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    child: Child,
    /// Everything that it printed, standard error included.
    output: PathBuf,
    _home: TempDir,
}

impl Server {
    /// `tidewire dev` with empty data.
    pub(crate) async fn tidewire(lab: &Lab) -> Outcome<Server> {
        Server::over(lab, &lab.schemas).await
    }

    /// The same, where anyone may register and log in; the sockets of a user are not limited, and the driver counts as a proxy, so
    /// that its callers have addresses of their own.
    pub(crate) async fn with_users(lab: &Lab) -> Outcome<Server> {
        let home = home(lab)?;
        let data = home.path().join("data");
        let settings = [
            ("TIDEWIRE_AUTH_REGISTER", "open"),
            ("TIDEWIRE_MAX_CONNECTIONS_PER_USER", "20000"),
            ("TIDEWIRE_TRUSTED_PROXIES", "127.0.0.1"),
        ];
        Server::in_home(lab, home, &lab.schemas, &data, &settings).await
    }

    /// The same with other schema files.
    pub(crate) async fn over(lab: &Lab, schemas: &Path) -> Outcome<Server> {
        let home = home(lab)?;
        let data = home.path().join("data");
        Server::in_home(lab, home, schemas, &data, &[]).await
    }

    /// The same over data that is there.
    pub(crate) async fn with_data(lab: &Lab, schemas: &Path, data: &Path) -> Outcome<Server> {
        Server::in_home(lab, home(lab)?, schemas, data, &[]).await
    }

    async fn in_home(
        lab: &Lab,
        home: TempDir,
        schemas: &Path,
        data: &Path,
        settings: &[(&str, &str)],
    ) -> Outcome<Server> {
        let mut command = pinned(lab, &lab.tidewire);
        // Settings of the person's own environment would make the figures someone else's.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEWIRE_"))
        {
            command.env_remove(name);
        }
        command.envs(settings.iter().copied());
        command.args(["dev", "--listen", "127.0.0.1:0", "--schemas"]).arg(schemas);
        command.arg("--data").arg(data).args(LIMIT_FLAGS);
        Server::start(command, home).await
    }

    /// The bare axum echo, which is this program itself.
    pub(crate) async fn echo(lab: &Lab) -> Outcome<Server> {
        let itself = std::env::current_exe()
            .map_err(|source| BenchError::io("find the path of this program", source))?;
        let mut command = pinned(lab, &itself);
        command.arg("--serve-echo");
        Server::start(command, home(lab)?).await
    }

    async fn start(mut command: Command, home: TempDir) -> Outcome<Server> {
        let output = home.path().join("output");
        let file = |_| File::options().create(true).append(true).open(&output);
        let (out, err) = file(1)
            .and_then(|out| Ok((out, file(2)?)))
            .map_err(|source| BenchError::io("create a file for the server's output", source))?;
        // Colours would come between the words that are looked for in the output.
        command.env("NO_COLOR", "1");
        command.current_dir(home.path()).stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().map_err(|source| {
            BenchError::Setup(format!(
                "cannot start `taskset` ({source}); it comes with the package util-linux"
            ))
        })?;
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut server = Server { addr: nowhere, child, output, _home: home };
        server.addr = server.wait_for_address().await?;
        Ok(server)
    }

    async fn wait_for_address(&mut self) -> Outcome<SocketAddr> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(addr) = address(&self.output()) {
                return Ok(addr);
            }
            let ended = self.child.try_wait().map_err(|source| BenchError::io("watch the server", source))?;
            if let Some(status) = ended {
                return Err(BenchError::Setup(format!(
                    "the server ended at once ({status}):\n{}",
                    self.output()
                )));
            }
            if Instant::now() > deadline {
                let seconds = START_TIMEOUT.as_secs();
                return Err(BenchError::Setup(format!(
                    "the server has not printed `listening on http://...` within {seconds} s:\n{}",
                    self.output()
                )));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything that the server has printed so far.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// What the server says that `PRAGMA synchronous` is on the connection that writes. Nobody else can know: the
    /// setting belongs to a connection and is not in the file.
    pub(crate) fn synchronous(&self) -> Option<String> {
        let output = self.output().to_lowercase();
        let (_, rest) = output.split_once("synchronous")?;
        let word = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let word: String = word.chars().take_while(|c| c.is_alphanumeric()).collect();
        if word.is_empty() { None } else { Some(word) }
    }

    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        procfs::cpu_time(self.child.id())
    }

    pub(crate) fn context_switches(&self) -> Outcome<u64> {
        procfs::context_switches(self.child.id())
    }

    pub(crate) fn resident_kib(&self) -> Outcome<u64> {
        procfs::resident_kib(self.child.id())
    }

    /// How it ended and the last that it said, when it no longer runs.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let output = self.output();
        let tail: Vec<&str> = output.lines().rev().take(10).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        Some(format!("the server ended ({status}), and said last:\n{}", tail.join("\n")))
    }

    /// Waits until the server has used no processor time for a tenth of a second, five seconds at most.
    pub(crate) async fn settle(&self) -> Outcome<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut before = self.cpu()?;
        loop {
            sleep(Duration::from_millis(100)).await;
            let now = self.cpu()?;
            if now == before || Instant::now() > deadline {
                return Ok(());
            }
            before = now;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn home(lab: &Lab) -> Outcome<TempDir> {
    tempfile::Builder::new()
        .prefix("server-")
        .tempdir_in(&lab.folder)
        .map_err(|source| BenchError::io(format!("create a folder in {}", lab.folder.display()), source))
}

fn pinned(lab: &Lab, program: &std::path::Path) -> Command {
    let mut command = Command::new("taskset");
    command.arg("-c").arg(lab.cores.server.to_string()).arg(program);
    command
}

fn address(output: &str) -> Option<SocketAddr> {
    let (_, rest) = output.split_once("listening on http://")?;
    // The line is whole once something follows the address.
    let end = rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)))?;
    rest[..end].parse().ok()
}
