//! The real binary as a child process, with its own folders, killed when the story ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use super::socket::PATIENCE;

pub struct Process {
    pub address: SocketAddr,
    child: Child,
    /// Kept open, so that the child may go on printing.
    _output: tokio::io::Lines<BufReader<ChildStdout>>,
}

/// The schemas that the project ships.
pub fn shipped_schemas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

impl Process {
    /// Starts `tidewire dev` on a data folder and waits for its address. Port 0 takes any.
    pub async fn start(data: &Path, port: u16) -> Process {
        Process::over(&shipped_schemas(), data, port).await
    }

    /// The same over other schemas than the shipped ones.
    pub async fn over(schemas: &Path, data: &Path, port: u16) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidewire"))
            .args(["dev", "--listen", &format!("127.0.0.1:{port}")])
            .arg("--schemas")
            .arg(schemas)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let found = async {
            while let Some(line) = output.next_line().await.unwrap() {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    return address.trim().trim_end_matches('/').parse().unwrap();
                }
            }
            panic!("the binary ended without an address");
        };
        let address =
            tokio::time::timeout(PATIENCE, found).await.expect("the binary listens within twenty seconds");
        Process { address, child, _output: output }
    }

    /// SIGKILL: no goodbye, no flush.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}
