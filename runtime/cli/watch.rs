//! Watching the schema files under `tidewire dev`: a saved file is checked, and the running server takes its shape, as far as nothing
//! is lost.
//!
//! Knows no database: the `Reshaper` says what was done or what is in the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use super::migrate::{self, Project};
use crate::app::Reshaper;
use crate::schema::{self, Color, Diagnostics, Loaded, canonical};
use crate::store::OpenError;

/// Editors write a file in several steps; what comes within this time is one change.
const SETTLED: Duration = Duration::from_millis(100);

/// A folder that is being watched.
pub(super) struct FolderWatch {
    folder: PathBuf,
    changed: mpsc::Receiver<()>,
    /// Watches as long as it lives.
    watcher: RecommendedWatcher,
}

impl FolderWatch {
    /// Watches the folder, and the one that it is in: a whole folder may be put in its place. The error is for the
    /// terminal: the server runs without it, too.
    pub(super) fn start(folder: &Path) -> Result<FolderWatch, String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("{} cannot be watched: {error}", folder.display());
        let folder = folder.canonicalize().map_err(|error| failed(&error))?;
        let (tell, changed) = mpsc::channel(1);
        let within = folder.clone();
        let heard = move |event: Result<Event, notify::Error>| {
            let tells = |event: Event| {
                is_change(&event.kind) && event.paths.iter().any(|path| path.starts_with(&within))
            };
            if event.is_ok_and(tells) {
                // One word that waits is enough: the whole folder is read again.
                let _ = tell.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(heard).map_err(|error| failed(&error))?;
        let mut watch = FolderWatch { folder, changed, watcher };
        if let Some(parent) = watch.folder.parent().map(Path::to_owned) {
            watch.look_at(&parent).map_err(|error| failed(&error))?;
        }
        let folder = watch.folder.clone();
        watch.look_at(&folder).map_err(|error| failed(&error))?;
        Ok(watch)
    }

    fn look_at(&mut self, folder: &Path) -> Result<(), notify::Error> {
        self.watcher.watch(folder, RecursiveMode::NonRecursive)
    }

    /// Passes the outcome of each change to `say`, forever.
    pub(super) async fn follow(mut self, mut files: Files, reshaper: Reshaper, mut say: impl FnMut(&str)) {
        loop {
            // Once without an event: a file may have been saved between the first reading and the watching.
            if let Some(text) = files.take(&reshaper).await {
                say(&text);
            }
            if self.changed.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            // A program that saves a file, or several, touches them more than once.
            tokio::time::sleep(SETTLED).await;
            let _ = self.changed.try_recv();
            // It may be another folder of the same name. While there is none, the word comes from the one above.
            let folder = self.folder.clone();
            let _ = self.watcher.unwatch(&folder);
            let _ = self.look_at(&folder);
        }
    }
}

/// Reading the files is no change of them: otherwise each reading would cause another one.
fn is_change(kind: &EventKind) -> bool {
    !kind.is_access() || *kind == EventKind::Access(AccessKind::Close(AccessMode::Write))
}

/// The files that are followed.
pub(super) struct Files {
    project: Project,
    /// Canonical text of the schema that is in force.
    known: String,
    /// What was said last of files that could not be taken.
    refused: Option<String>,
    color: Color,
}

impl Files {
    pub(super) fn new(project: Project, loaded: &Loaded, color: Color) -> Files {
        Files { project, known: canonical(&loaded.schema), refused: None, color }
    }

    pub(super) fn schemas(&self) -> &Path {
        &self.project.schemas
    }

    /// Reads the files and has the server take them. Answers with what is to be said: a refusal once, however often the
    /// files are saved, unless it is another.
    async fn take(&mut self, reshaper: &Reshaper) -> Option<String> {
        let mut loaded = self.load().await?;
        if loaded.is_err() {
            // Many programs empty a file before they write it; errors that are still there a moment later are printed.
            tokio::time::sleep(SETTLED).await;
            loaded = self.load().await?;
        }
        match self.try_to_take(loaded, reshaper).await {
            Ok(text) => {
                let cured = self.refused.take().map(|_| "the schema files fit again\n".to_owned());
                text.or(cured)
            }
            Err(text) => {
                let news = self.refused.as_ref() != Some(&text);
                if news {
                    tracing::warn!(
                        "the schema files were not applied; `tidewire migrate plan` or `tidewire check` says why"
                    );
                }
                self.refused = Some(text.clone());
                news.then_some(text)
            }
        }
    }

    async fn load(&self) -> Option<Result<Loaded, Diagnostics>> {
        let schemas = self.project.schemas.clone();
        tokio::task::spawn_blocking(move || schema::load(&schemas)).await.ok()
    }

    async fn try_to_take(
        &mut self,
        loaded: Result<Loaded, Diagnostics>,
        reshaper: &Reshaper,
    ) -> Result<Option<String>, String> {
        const GOES_ON: &str = "the server keeps its old schema";
        let loaded = loaded.map_err(|errors| format!("{}{GOES_ON}\n", errors.render(self.color)))?;
        let now = canonical(&loaded.schema);
        if now == self.known {
            return Ok(None);
        }
        let before = reshaper.generation();
        let open = loaded.unsaid();
        let evolved = reshaper.reshape(Arc::new(loaded.schema.opened())).await.map_err(|error| {
            let why = migrate::explain(&error, &self.project);
            let must = if matches!(error, OpenError::Schema { .. }) {
                "; it must be stopped to migrate"
            } else {
                ""
            };
            format!("{why}{GOES_ON}{must}\n")
        })?;
        self.known = now;
        let generation = evolved.generation;
        if generation != before {
            tracing::info!(schema.generation = generation.0, "the schema has changed");
        }
        let open = if open.is_empty() { String::new() } else { open.render(self.color) };
        Ok((generation != before).then(|| match evolved.plan.is_empty() {
            true => format!("{open}the schema has changed: generation {}\n", generation.0),
            false => {
                format!("{open}the schema has changed:\n{}\ngeneration {}\n", evolved.plan, generation.0)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, DataChange, ModifyKind, RemoveKind, RenameMode};

    use super::*;

    #[test]
    fn reading_the_files_is_no_change_of_them() {
        let access = |kind| EventKind::Access(kind);
        for kind in [
            access(AccessKind::Open(AccessMode::Any)),
            access(AccessKind::Open(AccessMode::Read)),
            access(AccessKind::Read),
            access(AccessKind::Close(AccessMode::Read)),
            access(AccessKind::Any),
        ] {
            assert!(!is_change(&kind), "{kind:?}");
        }
        for kind in [
            access(AccessKind::Close(AccessMode::Write)),
            EventKind::Create(CreateKind::File),
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            EventKind::Modify(ModifyKind::Name(RenameMode::To)),
            EventKind::Remove(RemoveKind::File),
            EventKind::Any,
            EventKind::Other,
        ] {
            assert!(is_change(&kind), "{kind:?}");
        }
    }
}
