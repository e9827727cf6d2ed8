//! A change of the database's shape under a running server, between two groups: one transaction, after which reads and writes begin
//! with the new shape. Blocking, as a group is.

use std::sync::Arc;

use super::damage::damaged;
use super::evolution::{self, Target};
use super::read::Shape;
use super::tables::Catalog;
use super::writer::{Writer, WriterSetting};
use crate::schema::Schema;
use crate::store::migration::Allow;
use crate::store::{CommitBatch, Evolved, OpenError};

/// What came of a change of the database's shape.
pub(super) struct Reshaped {
    pub(super) answer: Result<Evolved, OpenError>,
    pub(super) batches: Vec<CommitBatch>,
    /// For reopening the database.
    pub(super) setting: Arc<WriterSetting>,
}

impl Writer {
    /// Changes the database's shape to that of `schema`. Announces what was never announced before, and the marker.
    pub(super) fn evolve(&mut self, schema: &Schema) -> Reshaped {
        if self.setting.damage.is_known() {
            let detail = "damage was found since the start".to_owned();
            let answer = Err(damaged(&self.setting.file, detail));
            return Reshaped { answer, batches: Vec::new(), setting: self.setting.clone() };
        }
        let mut batches: Vec<CommitBatch> = match self.ready() {
            Ok(missed) => missed.into_iter().collect(),
            Err(error) => {
                self.setting.damage.note(&error);
                let answer = Err(OpenError::of(&self.setting.file, &error));
                return Reshaped { answer, batches: Vec::new(), setting: self.setting.clone() };
            }
        };
        let answer = self.reshape(schema, &mut batches);
        if let Err(OpenError::Damaged { detail, .. }) = &answer {
            self.setting.damage.found(detail);
        }
        if let Err(OpenError::Storage { .. } | OpenError::Damaged { .. }) = answer {
            // Closing the connection rolls back whatever is left of the transaction.
            self.conn = None;
        }
        if let Some(batch) = batches.last() {
            self.announced = batch.last();
        }
        Reshaped { answer, batches, setting: self.setting.clone() }
    }

    fn reshape(&mut self, schema: &Schema, batches: &mut Vec<CommitBatch>) -> Result<Evolved, OpenError> {
        let conn = self.conn.as_mut().expect("`ready` opened the connection or failed");
        let (setting, allow) = (self.setting.clone(), Allow::default());
        let catalog = Arc::new(Catalog::of(schema));
        let target = Target { file: &setting.file, schema, allow: &allow, env: &setting.env };
        let shape = catalog.clone();
        let changed = evolution::change(conn, target, |transaction, generation| {
            // No read begins during the commit: each read sees either shape whole.
            let mut held = setting.shape.write();
            let _changing = setting.stamps.change_all();
            transaction.commit()?;
            *held = Arc::new(Shape::new(shape, generation));
            Ok(())
        })?;
        conn.set_prepared_statement_cache_capacity(catalog.statements());
        self.seq = changed.head;
        self.setting = Arc::new(WriterSetting {
            file: setting.file.clone(),
            catalog,
            config: setting.config.clone(),
            epoch: setting.epoch.clone(),
            generation: changed.generation,
            shape: setting.shape.clone(),
            env: setting.env.clone(),
            lock: setting.lock.clone(),
            damage: setting.damage.clone(),
            stamps: setting.stamps.clone(),
        });
        let epoch = setting.epoch.clone();
        batches.extend(changed.marker.map(|marker| CommitBatch { epoch, changes: vec![Arc::new(marker)] }));
        Ok(Evolved { generation: changed.generation, plan: changed.plan })
    }
}
