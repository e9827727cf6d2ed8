//! `tidewire dev`: the server on this machine, open to everyone who reaches its loopback port. Binds, catches signals, and tells the
//! terminal what it found and where to look.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::arguments::DevArguments;
use super::check::count;
use super::config::{color_of_stderr, effective};
use super::descriptors::Fit;
use super::examples::Example;
use super::migrate::Project;
use super::settings::{Given, Settings};
use super::watch::{Files, FolderWatch};
use super::{USAGE, demo, descriptors, log, migrate, stream};
use crate::app::{App, AppError};
use crate::config::{Config, LogForm};
use crate::env::Env;
use crate::http::tls::Tls;
use crate::schema::{self, Color, Loaded};

/// Connections that the kernel may hold until they are accepted: a herd of clients comes back at once.
const BACKLOG: u32 = 4096;

/// Runs until SIGINT or SIGTERM. Exit code 0 after a planned stop, 1 when it could not start, 2 for wrong settings,
/// an address beyond loopback among them.
pub fn run(arguments: &DevArguments) -> ExitCode {
    let given = arguments.settings.given();
    if let Some(example) = arguments.example
        && let Some(written) = own_folder(given)
    {
        let _ = writeln!(
            std::io::stderr(),
            "error: `--example {name}` brings its own folder, and {written} names another one.\n\
             Leave out {written}, or make a project of your own: `tidewire new NAME --template {name}`",
            name = example.name()
        );
        return ExitCode::from(USAGE);
    }
    let mut settings = match effective(given) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let listen = settings.config.listen;
    if !listen.ip().is_loopback() {
        let _ = writeln!(
            std::io::stderr(),
            "error: `tidewire dev` does not listen on {listen}: it believes every name, so everyone who reaches it can act as any user.\n\
             Use a loopback address, such as --listen 127.0.0.1:{}, or `tidewire serve`.",
            listen.port()
        );
        return ExitCode::from(USAGE);
    }
    let folder = match arguments.example.map(|example| unpacked(example, &mut settings.config)).transpose() {
        Ok(folder) => folder,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
            return ExitCode::FAILURE;
        }
    };
    let form = settings.config.log.form;
    log::start(&settings.config.log);
    let extra = Extra { demo: arguments.demo, example: arguments.example.zip(folder) };
    let code = match serve(settings, extra) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::fail(form, &message);
            ExitCode::FAILURE
        }
    };
    log::finish();
    code
}

/// The first flag that names a folder, or a settings file which may name some.
fn own_folder(given: &Given) -> Option<String> {
    let folders = ["schemas", "data", "database", "public"];
    let flag = given.flags.iter().find(|flag| folders.contains(&flag.setting.as_str()));
    flag.map(|flag| flag.written.clone())
}

/// Writes the example into a fresh folder, and makes that the place of everything.
fn unpacked(example: Example, config: &mut Config) -> Result<PathBuf, String> {
    let parent = std::env::temp_dir();
    let folder = example.unpack(&parent).map_err(|error| {
        format!(
            "the example cannot be written into a new folder below {}: {error}\n\
             Make room there, or choose another place with the variable TMPDIR",
            parent.display()
        )
    })?;
    config.schemas = folder.join("schemas");
    config.public = folder.join("public");
    config.data = folder.join("data");
    config.database = None;
    Ok(folder)
}

/// What `dev` brings along beside the settings.
struct Extra {
    demo: bool,
    /// And its folder.
    example: Option<(Example, PathBuf)>,
}

fn serve(settings: Settings, extra: Extra) -> Result<(), String> {
    let Settings { mut config, file, .. } = settings;
    let loaded = schema::load(&config.schemas).map_err(|errors| errors.render(color(&config)))?;
    log::warn(config.log.form, &loaded.warnings.render(color(&config)));
    log::warn(config.log.form, &loaded.unsaid().render(color(&config)));
    let notes = Notes { file, limited: fit_connections(&mut config)?, extra };
    on_workers(serve_loaded(config, loaded, notes))
}

/// Runs a server until it ends, as a task of a runtime of its own. What waits for each commit then wakes a worker that
/// is awake with the request, and not the main thread: that would be one more switch of threads for each create.
pub(super) fn on_workers<F>(server: F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("error: the runtime cannot start: {error}"))?;
    let ended = runtime.block_on(runtime.spawn(server));
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// Colours where diagnostics go to a terminal, and not into lines of JSON.
pub(super) fn color(config: &Config) -> Color {
    if config.log.form == LogForm::Text { color_of_stderr() } else { Color::Never }
}

/// What the start screen shows beside what opening finds.
struct Notes {
    /// The settings file.
    file: Option<PathBuf>,
    limited: Option<String>,
    extra: Extra,
}

async fn serve_loaded(config: Config, loaded: Loaded, notes: Notes) -> Result<(), String> {
    Tls::load(&config.tls).map_err(|error| format!("error: {error}"))?;
    let scheme = if config.tls.certificate.is_some() { "https" } else { "http" };
    let listener = listen(config.listen)?;
    let address = listener.local_addr().map_err(|error| format!("error: {error}"))?;
    let summary = describe(&config, &loaded);
    let public = config.public.clone();
    let project = Project::of(&config).map_err(|error| format!("error: {error}"))?;
    let diagnostics_color = color(&config);
    let files = Files::new(project.clone(), &loaded, color(&config));
    let app =
        App::open(config, Arc::new(loaded.schema.opened()), Env::system()).map_err(|error| match error {
            AppError::Store(error) => migrate::explain(&error, &project),
            AppError::Tokens(error) => format!("error: {error}"),
            AppError::Names(faults) => faults.render(diagnostics_color),
            AppError::Runtime(error) => format!("error: {error}"),
            AppError::Mail(error) => format!("error: {error}"),
        })?;
    let mut text = summary;
    if let Some(file) = notes.file {
        let _ = writeln!(text, "  Settings    {}", file.display());
    }
    if let Some((example, folder)) = &notes.extra.example {
        let _ = writeln!(
            text,
            "  Example     {name} in {}; delete the folder when you are done\n\
             \x20             To keep it, make a project: tidewire new NAME --template {name}",
            folder.display(),
            name = example.name()
        );
    }
    if public.is_dir() {
        let _ = writeln!(text, "  Public      {} at /", public.display());
    }
    let found = app.found();
    let _ = writeln!(
        text,
        "  Database    {}: synchronous={}, changes so far: {}",
        found.database,
        found.report.synchronous.to_uppercase(),
        found.report.head
    );
    for (what, names) in [
        ("New tables", &found.report.created_tables),
        ("Changes", &found.report.changes),
        ("New indexes", &found.report.added_indexes),
    ] {
        if !names.is_empty() {
            let _ = writeln!(text, "  {what:<11} {}", names.join(", "));
        }
    }
    if let Some(limited) = notes.limited {
        let _ = writeln!(text, "  Connections {limited}");
    }
    if notes.extra.demo {
        let added = demo::add(app.repository()).await.map_err(|error| format!("error: --demo: {error}"))?;
        let _ = writeln!(
            text,
            "  Demo        {}",
            if added == 0 {
                "already there".to_owned()
            } else {
                format!("{} added", count(added, "row", "rows"))
            }
        );
    }
    let plurals: Vec<String> =
        app.repository().current().schema.entities().map(|entity| entity.plural.to_string()).collect();
    let _ = writeln!(text, "\n  The server is listening on {scheme}://{address}");
    if notes.extra.example.is_some() {
        let _ = writeln!(
            text,
            "  Open the example as two users: {scheme}://{address}/?as=ada and {scheme}://{address}/?as=ben"
        );
    }
    let _ = writeln!(text, "  Open {scheme}://{address}/_/ or one of these pages in two windows:");
    for plural in plurals {
        let _ = writeln!(text, "    {scheme}://{address}/_/e/{plural}");
    }
    let _ = writeln!(
        text,
        "  Without a name you are anonymous. With ?as=ada you are ada, with ?as=root:admin an admin"
    );
    let _ = writeln!(text, "  Stop with Ctrl-C");
    let stop = stop_signal();
    say(&text);
    let reshaper = app.reshaper();
    let followed = async {
        match FolderWatch::start(files.schemas()) {
            Ok(watch) => watch.follow(files, reshaper, say).await,
            Err(error) => {
                tracing::warn!("{error}; restart the server to use changed schema files");
                std::future::pending().await
            }
        }
    };
    let served = tokio::select! {
        served = app.run(listener, stop) => served,
        () = followed => Ok(()),
    };
    served.map_err(|error| format!("error: {error}"))?;
    say("Stopped\n");
    Ok(())
}

pub(super) fn describe(config: &Config, loaded: &Loaded) -> String {
    let names: Vec<&str> = loaded.schema.entities().map(|entity| &*entity.name).collect();
    format!(
        "Tidewire {}\n  Schemas     {} ({} in {})\n",
        env!("CARGO_PKG_VERSION"),
        names.join(", "),
        count(loaded.files.len(), "file", "files"),
        config.schemas.display()
    )
}

pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    let bound = || -> std::io::Result<TcpListener> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|error| {
        let advice = if error.kind() == ErrorKind::AddrInUse {
            "another program listens there; stop it, or choose a port with --listen 127.0.0.1:PORT (0 takes any)"
        } else if error.kind() == ErrorKind::PermissionDenied {
            "ports below 1024 belong to the system; choose a higher one with --listen"
        } else {
            "choose another address with --listen"
        };
        format!("error: cannot listen on {address}: {error}\n{advice}")
    })
}

/// Raises the descriptor limit as far as it goes, and lowers the caps to what fits into it. Answers with what was lowered.
pub(super) fn fit_connections(config: &mut Config) -> Result<Option<String>, String> {
    let open = descriptors::open_now();
    let limit = rlimit::increase_nofile_limit(descriptors::wanted(config, open)).unwrap_or(1024);
    match descriptors::fit(config, limit, open) {
        Fit::Whole => Ok(None),
        Fit::Lowered(what) => Ok(Some(what)),
        Fit::TooFew(what) => {
            Err(format!("error: {what}\nraise the limit: `ulimit -n 1024`, or LimitNOFILE= of systemd"))
        }
    }
}

/// Completes when the process is asked to stop. Signals are caught from this call on, and not from the first look at the future: a
/// signal that comes right after the start must not kill the server.
pub(super) fn stop_signal() -> impl Future<Output = ()> {
    let caught = |kind: SignalKind| {
        signal(kind).inspect_err(|error| tracing::warn!(%error, "a signal to stop cannot be caught")).ok()
    };
    let (interrupted, terminated) = (caught(SignalKind::interrupt()), caught(SignalKind::terminate()));
    async move {
        tokio::select! {
            () = received(interrupted) => {}
            () = received(terminated) => {}
        }
    }
}

/// Never completes without a signal to wait for.
async fn received(caught: Option<Signal>) {
    match caught {
        Some(mut signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

pub(super) fn say(text: &str) {
    stream::stdout().say(text.as_bytes());
}
