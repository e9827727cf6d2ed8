//! `tidewire serve`: the server for other people. Callers show who they are, what has no rule is closed, and nothing but the first
//! link is served until there is an administrator.
//!
//! Shares with `dev` how it binds, stops and speaks.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use super::arguments::ServeArguments;
use super::check::count;
use super::config::effective;
use super::dev::{color, describe, fit_connections, listen, on_workers, say, stop_signal};
use super::migrate::Project;
use super::settings::Settings;
use super::{USAGE, log, migrate};
use crate::app::{App, AppError};
use crate::auth::NameTrust;
use crate::config::{Beyond, Config};
use crate::env::Env;
use crate::http::tls::Tls;
use crate::ids::shown;
use crate::rules;
use crate::schema::{self, Loaded};

/// Runs until SIGINT or SIGTERM. Exit code 0 after a planned stop, 1 when it could not start, 2 for wrong settings, an address
/// beyond loopback without a reason among them.
pub fn run(arguments: &ServeArguments) -> ExitCode {
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Some(fault) = fault(&settings.config) {
        let _ = writeln!(std::io::stderr(), "error: {fault}");
        return ExitCode::from(USAGE);
    }
    let form = settings.config.log.form;
    log::start(&settings.config.log);
    let code = match serve(settings, arguments.link.url.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            log::fail(form, &message);
            ExitCode::FAILURE
        }
    };
    log::finish();
    code
}

/// Why these settings are not safe to serve with.
fn fault(config: &Config) -> Option<String> {
    let listen = config.listen;
    if listen.ip().is_loopback() || config.listen_beyond != Beyond::No || config.tls.certificate.is_some() {
        return None;
    }
    Some(format!(
        "`tidewire serve` does not listen on {listen} without a reason: there is no TLS here, so passwords and tokens would cross the \
         network in the clear.\n\
         Name a certificate: --set tls.certificate=FILE --set tls.key=FILE.\n\
         Or listen on loopback behind a proxy with TLS, such as --listen 127.0.0.1:{}. If the proxy is on another machine, say so with \
         --set listen_beyond=proxy; in a private network, with --set listen_beyond=private-network.",
        listen.port()
    ))
}

fn serve(settings: Settings, url: Option<String>) -> Result<(), String> {
    let Settings { mut config, .. } = settings;
    let loaded = schema::load(&config.schemas).map_err(|errors| errors.render(color(&config)))?;
    log::warn(config.log.form, &loaded.warnings.render(color(&config)));
    if let Some(warning) = self_given_rights(&loaded) {
        log::warn(config.log.form, &warning);
    }
    let limited = fit_connections(&mut config)?;
    on_workers(serve_loaded(config, loaded, limited, url))
}

async fn serve_loaded(
    config: Config,
    loaded: Loaded,
    limited: Option<String>,
    url: Option<String>,
) -> Result<(), String> {
    Tls::load(&config.tls).map_err(|error| format!("error: {error}"))?;
    let scheme = if config.tls.certificate.is_some() { "https" } else { "http" };
    let listener = listen(config.listen)?;
    let address = listener.local_addr().map_err(|error| format!("error: {error}"))?;
    let mut text = describe(&config, &loaded);
    let closed = closed(&loaded);
    let project = Project::of(&config).map_err(|error| format!("error: {error}"))?;
    let diagnostics_color = color(&config);
    let app = App::open_for(config, Arc::new(loaded.schema), Env::system(), NameTrust::Refused).map_err(
        |error| match error {
            AppError::Store(error) => migrate::explain(&error, &project),
            AppError::Tokens(error) => format!("error: {error}"),
            AppError::Names(faults) => faults.render(diagnostics_color),
            AppError::Runtime(error) => format!("error: {error}"),
            AppError::Mail(error) => format!("error: {error}"),
        },
    )?;
    if let Some(fault) = made_by_name(&app).await? {
        return Err(fault);
    }
    let found = app.found();
    let _ = writeln!(text, "  Database    {}: changes so far: {}", found.database, found.report.head);
    if let Some(limited) = limited {
        let _ = writeln!(text, "  Connections {limited}");
    }
    if let Some(closed) = closed {
        let _ = writeln!(text, "  Closed      {closed}");
    }
    let _ = writeln!(text, "\n  The server is listening on {scheme}://{address}");
    let url = url.unwrap_or_else(|| format!("{scheme}://{address}"));
    text.push_str(&first_link(&app, &url).await?);
    let _ = writeln!(text, "  Stop with Ctrl-C");
    let stop = stop_signal();
    say(&text);
    app.run(listener, stop).await.map_err(|error| format!("error: {error}"))?;
    say("Stopped\n");
    Ok(())
}

/// Users whom `?as=` made: an issuer of tokens may name the same id (SEMANTICS Y1).
async fn made_by_name(app: &App) -> Result<Option<String>, String> {
    const SHOWN: usize = 10;
    let ids = app.identities().ids_without_source().await.map_err(|error| format!("error: {error}"))?;
    if ids.is_empty() {
        return Ok(None);
    }
    let names = ids.iter().take(SHOWN).map(|id| shown(id)).collect::<Vec<_>>().join(", ");
    let more = if ids.len() > SHOWN { ", ..." } else { "" };
    Ok(Some(format!(
        "error: {} made by `?as=` in `tidewire dev`, and an issuer of tokens could name the same ids: {names}{more}\n\
         Make users of this server of them: `tidewire user adopt --all`, or one by one with `tidewire user adopt NAME`. \
         Or begin with an empty folder: --data DIR.",
        count(ids.len(), "user of this data folder was", "users of this data folder were")
    )))
}

/// The entities that have no rule: they are closed to every caller.
fn closed(loaded: &Loaded) -> Option<String> {
    let unsaid = loaded.schema.entities().filter(|entity| entity.access.is_unsaid());
    let names: Vec<&str> = unsaid.map(|entity| &*entity.name).collect();
    if names.is_empty() {
        return None;
    }
    let are = count(names.len(), "entity has", "entities have");
    Some(format!("{are} no [access] in the schema file, so every request is denied: {}", names.join(", ")))
}

/// Users must not write their own rights unless a rule means it (SEMANTICS Y3).
fn self_given_rights(loaded: &Loaded) -> Option<String> {
    let user = loaded.schema.entity("User")?;
    let fields = rules::self_given(user);
    if fields.is_empty() {
        return None;
    }
    let names = fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(" and ");
    let guards = fields.iter().map(|field| format!("!has(change.{field})")).collect::<Vec<_>>().join(" && ");
    Some(format!(
        "warning: the `update` rule of User lets every user write their own {names}: so each of them can become an administrator.\n\
         Add to the rule: (user.role == 'admin' || {guards})\n"
    ))
}

/// Printed here and nowhere else: a reader of the log must not become the administrator.
async fn first_link(app: &App, url: &str) -> Result<String, String> {
    let failed = |error: crate::identity::IdentityError| format!("error: {error}");
    if !app.identities().await_admin().await.map_err(failed)? {
        return Ok(String::new());
    }
    let secret = app.identities().first_link().await.map_err(failed)?;
    Ok(format!(
        "  There is no administrator yet. Open this link to become the administrator; it works once, within an hour:\n    \
         {}/_/register#{}\n  Until then the server answers health checks only\n",
        url.trim_end_matches('/'),
        secret.text()
    ))
}
