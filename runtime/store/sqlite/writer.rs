//! `Writer`: the writing connection of one opening of the database, and the counters that belong to it. Blocking.
//!
//! Knows no unit and no schema change: `group.rs` and `reshape.rs` are what it does.

use std::sync::Arc;

use rusqlite::Connection;

use super::clock::Clock;
use super::damage::Damage;
use super::location::DatabaseFile;
use super::log;
use super::open::{DatabaseLock, open_writer};
use super::read::SharedShape;
use super::rows::unsigned;
use super::tables::Catalog;
use crate::config::StoreConfig;
use crate::env::Env;
use crate::ids::{Epoch, Seq};
use crate::schema::Generation;
use crate::store::person_stamps::PersonStamps;
use crate::store::unit::found_again;
use crate::store::{CommitBatch, LogLimit};

/// What every writer of one opening of the database has in common.
pub(super) struct WriterSetting {
    pub(super) file: DatabaseFile,
    pub(super) catalog: Arc<Catalog>,
    pub(super) config: StoreConfig,
    pub(super) epoch: Epoch,
    pub(super) generation: Generation,
    /// What reads begin with.
    pub(super) shape: SharedShape,
    pub(super) env: Env,
    /// Held as long as anything may write, on whatever thread that is.
    pub(super) lock: Arc<DatabaseLock>,
    pub(super) damage: Damage,
    pub(super) stamps: PersonStamps,
}

/// The writing connection and the counters that belong to it.
pub(super) struct Writer {
    pub(super) setting: Arc<WriterSetting>,
    /// `None` after a failure: the next group opens it again and reads the counters back.
    pub(super) conn: Option<Connection>,
    pub(super) seq: Seq,
    pub(super) floor: Seq,
    /// `None` until the first group reads it from the database.
    pub(super) clock: Option<Clock>,
    /// Seq of the last change that was handed on for announcing.
    pub(super) announced: Seq,
}

impl Writer {
    /// A writer that opens its connection when it is first needed.
    pub(super) fn new(setting: Arc<WriterSetting>, announced: Seq) -> Writer {
        Writer { setting, conn: None, seq: announced, floor: Seq::ZERO, clock: None, announced }
    }

    /// A writer over a connection that is open already; `head` and `floor` were read through it.
    pub(super) fn over(setting: Arc<WriterSetting>, conn: Connection, head: Seq, floor: Seq) -> Writer {
        Writer { setting, conn: Some(conn), seq: head, floor, clock: None, announced: head }
    }

    /// Opens the connection again after a failure. Answers with the changes of the database that were never announced, because
    /// the thread died between a commit and its report.
    pub(super) fn ready(&mut self) -> rusqlite::Result<Option<CommitBatch>> {
        if self.conn.is_some() {
            return Ok(None);
        }
        let conn = open_writer(&self.setting.file, self.setting.catalog.statements())?;
        let counters = conn.query_row(r#"SELECT "seq", "floor" FROM "_meta""#, [], |row| {
            Ok((Seq(unsigned(row.get(0)?)), Seq(unsigned(row.get(1)?))))
        })?;
        (self.seq, self.floor) = counters;
        let all = LogLimit { changes: usize::MAX, bytes: usize::MAX };
        let catalog = &self.setting.catalog;
        let changes = log::page(&conn, catalog, self.announced, all)?;
        let changes: Vec<_> =
            changes.into_iter().map(|change| found_again(change, &catalog.relations)).collect();
        self.conn = Some(conn);
        let epoch = self.setting.epoch.clone();
        Ok((!changes.is_empty()).then_some(CommitBatch { epoch, changes }))
    }

    /// Moves everything from the write-ahead log into the database file, and closes it.
    pub(super) fn finish(&mut self) {
        if let Some(conn) = self.conn.take() {
            // A reader may be in the way. Then the log stays beside the file, which is as safe and only less tidy.
            let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
    }
}
