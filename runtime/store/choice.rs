//! The one place that says which database the settings mean.

use std::sync::Arc;

use super::Backend;
use super::sqlite::{DatabaseFile, SqliteBackend};
use crate::config::Config;

pub fn backend(config: &Config) -> Arc<dyn Backend> {
    Arc::new(SqliteBackend::new(DatabaseFile::within(&config.data), config.store.clone()))
}
