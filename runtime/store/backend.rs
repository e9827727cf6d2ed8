//! `trait Backend`: one kind of database, at one place. `App` and the command line know a database by this and by `trait Store`.
//!
//! Which backend it is, `choice.rs` says. Its methods block: they are what a server does before it serves, and what the command line
//! does. A database that is spoken to through a runtime brings one, on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::export::{ExportError, Exported, Sink};
use super::glance::Glance;
use super::import::{Import, ImportMode};
use super::inspection::{Inspection, Unfit};
use super::migration::{Allow, Plan, Standing};
use super::vault::Vault;
use super::{Evolved, Migrated, OpenError, Opened, Store, Who};
use crate::env::Env;
use crate::metrics::StoreMetrics;
use crate::schema::{EntityName, Schema};

/// What a backend owes, beside the obligations of `Store`:
///
/// - One process writes at a time. `open`, `migrate` and `import` take the database for themselves and are refused with
///   `OpenError::InUse` while another has it; everything else works beside a running server and changes nothing.
/// - A schema is taken whole or not at all, and what loses values is done by `migrate` alone, after a backup.
/// - Every text of an error is for the operator and says what to do.
pub trait Backend: Send + Sync {
    /// What the operator calls it.
    fn about(&self) -> DatabaseInfo;

    /// Opens the database, making it when it is missing, brings it into the schema's shape, as far as nothing is lost, and begins an
    /// epoch. Needs a tokio runtime around it.
    fn open(
        &self,
        schema: &Arc<Schema>,
        env: Env,
        metrics: StoreMetrics,
    ) -> Result<Opened<dyn LiveStore>, OpenError>;

    /// What opening with this schema would do; `None` when there is no database.
    fn look(&self, schema: &Schema, allow: &Allow, env: &Env) -> Result<Option<Looked>, OpenError>;

    /// Brings the database into the schema's shape, with what `allow` says, and lets go of it. Refused when something is in
    /// the way; then nothing has changed.
    fn migrate(&self, schema: &Schema, allow: &Allow, env: &Env) -> Result<Migrated, OpenError>;

    /// Reads the records of `entity` that `who` may read in one read transaction and hands them on, one at a time.
    fn export(
        &self,
        schema: &Schema,
        entity: &EntityName,
        who: &Who,
        sink: &mut dyn Sink,
    ) -> Result<Exported, ExportError>;

    /// Opens the database for an import.
    fn import(&self, schema: &Arc<Schema>, mode: ImportMode, env: &Env)
    -> Result<Box<dyn Import>, OpenError>;

    /// Opens what is kept of people beside the records, making it when it is missing. Works beside a running server.
    fn vault(&self) -> Result<Arc<dyn Vault>, OpenError>;

    /// Single records, all at one position.
    fn glance(&self, schema: &Schema) -> Result<Glance, OpenError>;

    /// Checks the whole database.
    fn inspect(&self) -> Result<Inspection, OpenError>;

    /// Makes a database in an empty folder, with the settings of the real one, and writes to it. Answers with how that works, in the
    /// database's own words.
    fn try_out(&self, scratch: &Path) -> Result<String, Unfit>;

    /// What to do about damage, from the best way to the last.
    fn rescue(&self, backup: Option<&Path>) -> String;
}

/// A store that serves: what the process that opened it can do beside reading and writing.
pub trait LiveStore: Store {
    /// Changes the database's shape to that of another schema, as far as nothing is lost: between two group commits, in one
    /// transaction. Units and reads that were made for the former schema are refused from then on; the marker goes out like any
    /// other change.
    fn evolve(&self, schema: Arc<Schema>) -> BoxFuture<'_, Result<Evolved, OpenError>>;

    /// Refuses further units, commits and publishes those that wait, and closes the database. A store that is dropped instead
    /// loses nothing.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What the operator calls a backend and its database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// The database program: `sqlite`.
    pub engine: &'static str,
    /// `data/tidewire.db`
    pub database: String,
    /// Where it is, as one says it: the folder, where the database is the one of that folder.
    pub place: String,
    /// The folder on this machine that it is kept in, if it is kept on this machine.
    pub folder: Option<PathBuf>,
}

/// The state of a database, and what a migration would change.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked {
    pub standing: Standing,
    pub plan: Plan,
}
