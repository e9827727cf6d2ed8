//! Watching the schema files under `tidewire dev`: a saved file is checked, and the running server takes its shape, as far as nothing
//! is lost.
//!
//! Knows no database: the `Reshaper` says what was done or what stands in the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify_debouncer_mini::notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_mini::{DebounceEventResult, Debouncer, new_debouncer};
use tokio::sync::mpsc;

use super::migrate;
use super::migrate::Folders;
use crate::app::Reshaper;
use crate::schema::{self, Color, Loaded, canonical};
use crate::store::migration::Plan;

/// Editors write a file in several steps; what comes within this time is one change.
const SETTLED: Duration = Duration::from_millis(100);

/// Files that are being watched.
pub(super) struct Watch {
    changed: mpsc::Receiver<()>,
    /// Watches as long as it lives.
    _watcher: Debouncer<RecommendedWatcher>,
}

impl Watch {
    /// Watches the folder. The error is for the terminal: the server runs without it, too.
    pub(super) fn start(folder: &Path) -> Result<Watch, String> {
        let (tell, changed) = mpsc::channel(1);
        let heard = move |event: DebounceEventResult| {
            if event.is_ok() {
                // One word that waits is enough: the whole folder is read again.
                let _ = tell.try_send(());
            }
        };
        let watching = new_debouncer(SETTLED, heard).and_then(|mut watcher| {
            watcher.watcher().watch(folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watcher = watching.map_err(|error| format!("{} cannot be watched: {error}", folder.display()))?;
        Ok(Watch { changed, _watcher: watcher })
    }

    /// Tells `say` what became of each change, for ever.
    pub(super) async fn follow(mut self, files: Files, reshaper: Reshaper, mut say: impl FnMut(&str)) {
        let mut known = files.known;
        loop {
            // Once without being told: a file may have been saved between the first reading and the watching.
            let (text, now) = take(&files.folders, known, files.color, &reshaper).await;
            known = now;
            if let Some(text) = text {
                say(&text);
            }
            if self.changed.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The files that are followed, and what they said last.
pub(super) struct Files {
    pub(super) folders: Folders,
    /// Canonical text of the schema, or of its errors.
    pub(super) known: String,
    pub(super) color: Color,
}

impl Files {
    pub(super) fn new(schemas: PathBuf, data: PathBuf, loaded: &Loaded, color: Color) -> Files {
        Files { folders: Folders { schemas, data }, known: canonical(&loaded.schema), color }
    }
}

/// What is to be said, and what the files say now.
async fn take(
    folders: &Folders,
    known: String,
    color: Color,
    reshaper: &Reshaper,
) -> (Option<String>, String) {
    let schema = match schema::load(&folders.schemas) {
        Ok(loaded) => loaded.schema,
        Err(errors) => {
            let text = errors.render(color);
            let news =
                (text != known).then(|| format!("{text}the server goes on with the schema that it has\n"));
            return (news, text);
        }
    };
    let now = canonical(&schema);
    if now == known {
        return (None, known);
    }
    let text = match reshaper.reshape(Arc::new(schema)).await {
        Ok(evolved) => done(&evolved.plan, evolved.generation.0),
        Err(error) => {
            migrate::explain(&error, folders)
                + "the server goes on with the schema that it has; it must be stopped to migrate\n"
        }
    };
    (Some(text), now)
}

fn done(plan: &Plan, generation: u64) -> String {
    match plan.is_empty() {
        true => format!("the schema has changed: generation {generation}\n"),
        false => format!("the schema has changed:\n{plan}\ngeneration {generation}\n"),
    }
}
