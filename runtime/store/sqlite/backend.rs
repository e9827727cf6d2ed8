//! `trait Backend` over a database file: each of its methods is the work of one file here.
//!
//! Knows no setting but those of the store.

use std::path::Path;
use std::sync::Arc;

use super::evolution::{self, Target};
use super::import::SqliteImport;
use super::location::DatabaseFile;
use super::open::{self, DatabaseLock};
use super::vault::SqliteVault;
use super::{SqliteStore, export, glance, inspect};
use crate::config::StoreConfig;
use crate::env::Env;
use crate::metrics::StoreMetrics;
use crate::schema::{EntityName, Schema};
use crate::store::import::{Import, ImportMode};
use crate::store::inspection::{Inspection, Unfit};
use crate::store::migration::Allow;
use crate::store::vault::Vault;
use crate::store::{
    Backend, DatabaseInfo, ExportError, Exported, Glance, LiveStore, Looked, Migrated, OpenError, Opened,
    Sink, Who,
};

/// Prepared statements of a connection that does one thing.
const FEW_STATEMENTS: usize = 16;

/// A database file, which may not be there yet.
pub struct SqliteBackend {
    file: DatabaseFile,
    config: StoreConfig,
}

impl SqliteBackend {
    pub fn new(file: DatabaseFile, config: StoreConfig) -> SqliteBackend {
        SqliteBackend { file, config }
    }
}

impl Backend for SqliteBackend {
    fn about(&self) -> DatabaseInfo {
        DatabaseInfo {
            engine: "sqlite",
            database: self.file.display().to_string(),
            place: self.file.place(),
            folder: Some(self.file.folder().to_owned()),
        }
    }

    fn open(
        &self,
        schema: &Arc<Schema>,
        env: Env,
        metrics: StoreMetrics,
    ) -> Result<Opened<dyn LiveStore>, OpenError> {
        let opened = SqliteStore::open_counted(self.file.clone(), schema, &self.config, env, metrics)?;
        let Opened { store, batches, generation, report } = opened;
        Ok(Opened { store, batches, generation, report })
    }

    fn look(&self, schema: &Schema, allow: &Allow, env: &Env) -> Result<Option<Looked>, OpenError> {
        let file = &self.file;
        if !file.exists() {
            return Ok(None);
        }
        let conn = open::open_reader(file).map_err(|error| OpenError::of(file, &error))?;
        evolution::look(&conn, Target { file, schema, allow, env }).map(Some)
    }

    fn migrate(&self, schema: &Schema, allow: &Allow, env: &Env) -> Result<Migrated, OpenError> {
        let file = &self.file;
        open::require_sqlite()?;
        let _lock = DatabaseLock::take(file)?;
        open::create_if_missing(file)?;
        let mut conn = open::open_sound(file, FEW_STATEMENTS)?;
        let start = evolution::bring_up(&mut conn, Target { file, schema, allow, env })?;
        Ok(Migrated { was: start.was, generation: start.generation, plan: start.plan, backup: start.backup })
    }

    fn export(
        &self,
        schema: &Schema,
        entity: &EntityName,
        who: &Who,
        sink: &mut dyn Sink,
    ) -> Result<Exported, ExportError> {
        export::export(&self.file, schema, entity, who, sink)
    }

    fn import(
        &self,
        schema: &Arc<Schema>,
        mode: ImportMode,
        env: &Env,
    ) -> Result<Box<dyn Import>, OpenError> {
        let open = match mode {
            ImportMode::Write => SqliteImport::open,
            ImportMode::Rehearse => SqliteImport::rehearse,
        };
        Ok(Box::new(open(&self.file, schema, &self.config, env)?))
    }

    fn vault(&self) -> Result<Arc<dyn Vault>, OpenError> {
        Ok(Arc::new(SqliteVault::open(&self.file)?))
    }

    fn glance(&self, schema: &Schema) -> Result<Glance, OpenError> {
        glance::open(&self.file, schema)
    }

    fn inspect(&self) -> Result<Inspection, OpenError> {
        inspect::inspect(&self.file)
    }

    fn try_out(&self, scratch: &Path) -> Result<String, Unfit> {
        inspect::try_out(scratch)
    }

    fn rescue(&self, backup: Option<&Path>) -> String {
        inspect::rescue(&self.file, backup)
    }
}
