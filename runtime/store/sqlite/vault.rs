//! `trait Vault` over a database file of its own, beside that of the records: a copy of the records holds no secret.
//!
//! One connection does everything, in calls of a millisecond. Another process may write at the same time.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};

use super::location::DatabaseFile;
use super::open::BUSY_TIMEOUT;
use crate::ids::Timestamp;
use crate::store::OpenError;
use crate::store::vault::{Edited, Vault, VaultEdit, VaultEntry, VaultError, VaultFuture, VaultKind};

/// A vault of a larger number was written by a newer program. Since 2 there are tokens, and sessions with a role and claims: an older
/// program would give such a session another role.
const FORMAT: i64 = 2;

const CREATE: &str = r#"
CREATE TABLE IF NOT EXISTS "entries" (
    "kind" TEXT NOT NULL, "key" TEXT NOT NULL, "owner" TEXT, "expires" INTEGER, "body" TEXT NOT NULL,
    PRIMARY KEY ("kind", "key")
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS "entries:owner" ON "entries" ("kind", "owner");
CREATE INDEX IF NOT EXISTS "entries:expires" ON "entries" ("expires") WHERE "expires" IS NOT NULL;
"#;

/// See the module's text.
pub(super) struct SqliteVault {
    /// Held for one transaction, on a blocking thread.
    conn: Arc<Mutex<Connection>>,
}

impl SqliteVault {
    /// Makes the file when it is missing, for its owner's eyes only. Blocks.
    pub(super) fn open(database: &DatabaseFile) -> Result<SqliteVault, OpenError> {
        let file = database.vault();
        let folder = database.folder();
        let unusable = |error| database.unusable(folder, &error);
        std::fs::create_dir_all(folder).map_err(unusable)?;
        // SQLite gives its companions the permissions of the database.
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&file)
            .map_err(unusable)?;
        let conn = connect(&file).map_err(|error| OpenError::of(&file, &error))?;
        let format: i64 = conn
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(|error| OpenError::of(&file, &error))?;
        if format > FORMAT {
            return Err(OpenError::Unusable(format!(
                "{} was written by a newer Tidewire: use that program",
                file.display()
            )));
        }
        Ok(SqliteVault { conn: Arc::new(Mutex::new(conn)) })
    }

    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> VaultFuture<'static, T> {
        let conn = self.conn.clone();
        let running = tokio::task::spawn_blocking(move || work(&mut conn.lock()));
        Box::pin(async move {
            let done = running.await.map_err(|error| VaultError(error.to_string()))?;
            done.map_err(|error| VaultError(error.to_string()))
        })
    }
}

fn connect(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;
         PRAGMA temp_store = MEMORY",
    )?;
    let format: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if format == 0 {
        conn.execute_batch(&format!("BEGIN IMMEDIATE; {CREATE} PRAGMA user_version = {FORMAT}; COMMIT"))?;
    } else if format < FORMAT {
        conn.execute_batch(&format!("PRAGMA user_version = {FORMAT}"))?;
    }
    Ok(conn)
}

impl Vault for SqliteVault {
    fn find(&self, kind: VaultKind, key: &str) -> VaultFuture<'_, Option<VaultEntry>> {
        let key = key.to_owned();
        self.run(move |conn| {
            let mut select = conn.prepare_cached(
                r#"SELECT "key", "owner", "expires", "body" FROM "entries" WHERE "kind" = ?1 AND "key" = ?2"#,
            )?;
            select.query_row(params![kind.word(), key], |row| entry(kind, row)).optional()
        })
    }

    fn list(&self, kind: VaultKind, owner: Option<&str>) -> VaultFuture<'_, Vec<VaultEntry>> {
        let owner = owner.map(str::to_owned);
        self.run(move |conn| {
            let mut select = conn.prepare_cached(
                r#"SELECT "key", "owner", "expires", "body" FROM "entries"
                   WHERE "kind" = ?1 AND (?2 IS NULL OR "owner" = ?2) ORDER BY "key""#,
            )?;
            select.query_map(params![kind.word(), owner], |row| entry(kind, row))?.collect()
        })
    }

    fn change(&self, edits: Vec<VaultEdit>) -> VaultFuture<'_, Edited> {
        self.run(move |conn| {
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (place, edit) in edits.iter().enumerate() {
                if !make(&transaction, edit)? {
                    return Ok(Edited::Refused { edit: place });
                }
            }
            transaction.commit()?;
            Ok(Edited::Done)
        })
    }

    fn forget(&self, now: Timestamp) -> VaultFuture<'_, usize> {
        self.run(move |conn| conn.execute(r#"DELETE FROM "entries" WHERE "expires" <= ?1"#, [now.0]))
    }

    fn version(&self) -> VaultFuture<'_, u64> {
        // It is asked twice a second and reads shared memory only. So no thread is woken for it, unless the connection is in use.
        if let Some(conn) = self.conn.try_lock() {
            let read = version(&conn).map_err(|error| VaultError(error.to_string()));
            return Box::pin(std::future::ready(read));
        }
        self.run(|conn| version(conn))
    }
}

/// Another number after each change that another connection made.
fn version(conn: &Connection) -> rusqlite::Result<u64> {
    let version: i64 = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
    Ok(version.unsigned_abs())
}

/// Whether the edit fitted.
fn make(conn: &Connection, edit: &VaultEdit) -> rusqlite::Result<bool> {
    let changed = match edit {
        VaultEdit::Insert(entry) => {
            let mut insert = conn.prepare_cached(
                r#"INSERT INTO "entries" ("kind", "key", "owner", "expires", "body") VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT DO NOTHING"#,
            )?;
            let expires = entry.expires.map(|time| time.0);
            insert.execute(params![entry.kind.word(), entry.key, entry.owner, expires, entry.body])?
        }
        VaultEdit::Replace { was, entry } => {
            let mut update = conn.prepare_cached(
                r#"UPDATE "entries" SET "owner" = ?3, "expires" = ?4, "body" = ?5
                   WHERE "kind" = ?1 AND "key" = ?2 AND "body" = ?6"#,
            )?;
            let expires = entry.expires.map(|time| time.0);
            update.execute(params![entry.kind.word(), entry.key, entry.owner, expires, entry.body, was])?
        }
        VaultEdit::Remove { kind, key } => {
            let mut delete =
                conn.prepare_cached(r#"DELETE FROM "entries" WHERE "kind" = ?1 AND "key" = ?2"#)?;
            delete.execute(params![kind.word(), key])?
        }
        VaultEdit::Clear { kind, owner } => {
            let mut delete =
                conn.prepare_cached(r#"DELETE FROM "entries" WHERE "kind" = ?1 AND "owner" = ?2"#)?;
            delete.execute(params![kind.word(), owner])?;
            1
        }
    };
    Ok(changed == 1)
}

fn entry(kind: VaultKind, row: &Row<'_>) -> rusqlite::Result<VaultEntry> {
    let expires: Option<i64> = row.get(2)?;
    Ok(VaultEntry {
        kind,
        key: row.get(0)?,
        owner: row.get(1)?,
        expires: expires.map(Timestamp),
        body: row.get(3)?,
    })
}
