//! The log on stderr: its form, its filter, and panics as lines of it. In JSON form nothing else goes to stderr, so that
//! a log collector can parse every line. Nothing here waits for the reader of stderr, and nothing fails with it.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;

use super::stream;
use crate::config::{LogConfig, LogForm};

/// Starts the log of this process. Called once.
pub(super) fn start(config: &LogConfig) {
    // The filter was understood when the settings were read.
    let filter = EnvFilter::new(&config.filter);
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stream::stderr)
        .log_internal_errors(false);
    match config.form {
        LogForm::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogForm::Json => log.json().with_span_list(false).init(),
    }
    std::panic::set_hook(Box::new(panicked));
}

/// A message that was put together may hold data of a request, so only literals are logged.
fn panicked(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let cause = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("not logged");
    tracing::error!(place, cause, "a defect: a thread panicked");
}

/// Texts that are made for a terminal, as one line where the log is JSON.
pub(super) fn warn(form: LogForm, text: &str) {
    match form {
        LogForm::Json if !text.trim().is_empty() => tracing::warn!("{}", text.trim()),
        LogForm::Text | LogForm::Json => to_terminal(text),
    }
}

/// Why the program ends.
pub(super) fn fail(form: LogForm, text: &str) {
    match form {
        LogForm::Json => tracing::error!("{}", text.trim()),
        LogForm::Text => to_terminal(&format!("{}\n", text.trim_end())),
    }
}

fn to_terminal(text: &str) {
    stream::stderr().say(text.as_bytes());
}

/// Writes what is still queued, before the process ends. Takes a second at most for each stream.
pub(super) fn finish() {
    stream::finish();
}
