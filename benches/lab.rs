//! What every section shares: paths, cores, sizes, limits. Measures nothing.

use std::path::PathBuf;

use crate::error::{BenchError, Outcome};
use crate::options::{Options, Scale, Section};
use crate::report::Report;
use crate::{disk, procfs};

/// Who runs where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) driver: usize,
}

/// The surroundings of one run.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) sections: Vec<Section>,
    pub(crate) scale: Scale,
    pub(crate) cores: Cores,
    /// The `tidewire` that is measured.
    pub(crate) tidewire: PathBuf,
    pub(crate) schemas: PathBuf,
    /// Where results and, during the run, the data of the servers lie: beside the build, so on a real disk.
    pub(crate) folder: PathBuf,
}

impl Lab {
    /// Finds everything, or says what is missing and what to do about it.
    pub(crate) fn open(options: Options) -> Outcome<Lab> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let built = || PathBuf::from(env!("CARGO_BIN_EXE_tidewire"));
        let tidewire = std::env::var_os("TIDEWIRE_BIN").map_or_else(built, PathBuf::from);
        let tidewire = tidewire.canonicalize().map_err(|_| {
            let path = tidewire.display();
            BenchError::Setup(format!(
                "there is no `{path}`: build it with `cargo build --release`, or name it in TIDEWIRE_BIN"
            ))
        })?;
        // Without rules, so that the figures are those of the machinery; sections about rules bring their own.
        let schemas = root.join("tests/fixtures/plain");
        if !schemas.is_dir() {
            let path = schemas.display();
            return Err(BenchError::Setup(format!("there is no folder `{path}` with the schema of Task")));
        }
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder)
            .and_then(|()| folder.canonicalize())
            .map(|folder| Lab {
                sections: options.sections,
                scale: options.scale,
                cores: cores(),
                tidewire,
                schemas,
                folder,
            })
            .map_err(|source| BenchError::io("create the folder target/bench", source))
    }

    /// Prints what a reader needs to judge the figures, and raises the limit of open files for all processes.
    pub(crate) fn introduce(&self, report: &mut Report) -> Outcome<()> {
        let Cores { server, driver } = self.cores;
        report.fact("machine", procfs::machine());
        report.fact("cores", format!("server on core {server}, driver on core {driver}"));
        if server == driver {
            report.warn("only one core: server and driver share it, so compare these figures with nothing");
        }
        let load = procfs::load_average();
        report.fact("load average before the run", format!("{load}"));
        if load > 0.5 {
            report.warn(
                "other programs are or were busy: figures a second will be too low, CPU figures less so",
            );
        }
        let (median, slow) = disk::sync_millis(&self.folder)?;
        let kind = disk::file_system(&self.folder);
        report.fact(
            "disk",
            format!("{kind}; append 4 KiB and fdatasync: median {median:.2} ms, 99 % within {slow:.2} ms"),
        );
        if kind == "tmpfs" {
            report.warn("the data lies in memory: durable writes cost nothing here and figures of creates mean nothing");
        }
        report.fact("tidewire", self.tidewire.display().to_string());
        self.raise_open_files(report)
    }

    fn raise_open_files(&self, report: &mut Report) -> Outcome<()> {
        let limit = rlimit::increase_nofile_limit(u64::MAX)
            .map_err(|source| BenchError::io("raise the limit of open files", source))?;
        report.fact(
            "limits",
            format!(
                "{limit} open files a process (RLIMIT_NOFILE), accept backlog up to {}; anonymous sockets are \
                 outside the cap of connections a user",
                procfs::accept_backlog()
            ),
        );
        // A storm holds the old connections and the new ones for a moment.
        let needed = self.scale.connections as u64 * 2 + 200;
        if limit < needed {
            report.warn(&format!(
                "{needed} open files are needed: raise the hard limit (`ulimit -Hn {needed}`)"
            ));
        }
        Ok(())
    }
}

/// Core 0 for servers and core 1 for the driver, which is pinned already when this is read the second time.
fn cores() -> Cores {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let driver = usize::from(text.matches("processor\t:").count() > 1);
    Cores { server: 0, driver }
}
