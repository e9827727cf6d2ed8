//! Single records of a database, all at one position, beside a writer: no lock is taken, nothing changed.
//!
//! Knows no database and no rule: `tidewire rules why` decides what it asks.

use super::OpenError;
use crate::ids::Position;
use crate::schema::{FieldIndex, Generation, Record};

/// An open read transaction. It ends with the value.
pub struct Glance {
    pub position: Position,
    /// Of the schema by which the database is served.
    pub generation: Generation,
    /// Whether that schema is the one that was given.
    pub is_current: bool,
    pub records: Box<dyn GlanceRecords>,
}

/// The records as the transaction has them.
pub trait GlanceRecords {
    fn record(&self, entity: &str, id: &str) -> Result<Option<Record>, OpenError>;

    /// At most `most` of those whose field holds this id, in the order of their own ids.
    fn records_by(
        &self,
        entity: &str,
        field: FieldIndex,
        id: &str,
        most: usize,
    ) -> Result<Vec<Record>, OpenError>;
}
