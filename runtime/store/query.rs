//! What is asked of records: conditions, order, pages, searches, counts. One condition is about one column of one record;
//! a list of them means all of them.
//!
//! Neutral to every backend: knows no SQL and no query string.

use std::sync::Arc;

use super::{Stored, Who};
use crate::ids::RecordId;
use crate::rules::{Condition, ReadScope};
use crate::schema::{Column, EntityName, FieldIndex, Generation, Value};

/// `Store::count` answers with no more groups than this.
pub const MOST_GROUPS: usize = 1_000;

/// A list: records of `entity` that meet every condition and hold every word, in the order of `sort` and then of id.
#[derive(Debug, Clone)]
pub struct Query {
    pub entity: EntityName,
    /// Schema generation for which the columns are meant: a field's index means another field in the next.
    pub generation: Generation,
    pub who: Who,
    /// One record, by its id or by the value of a field with `find`: then what may be read decides and not what may be listed,
    /// and knowing the value is enough, even if the caller cannot see the field.
    pub named: Option<Condition>,
    pub filter: Vec<Condition>,
    /// Each must begin a word of some field marked `search`, whatever its case and accents.
    pub search: Vec<String>,
    pub sort: Vec<SortBy>,
    /// Start after this record.
    pub after: Option<ListCursor>,
    /// Records at most.
    pub limit: usize,
    /// The list ends with the record that reaches so many bytes, however few records it holds.
    pub bytes: usize,
    /// References to follow, read in the same transaction as the list.
    pub expand: Vec<Expand>,
}

impl Query {
    /// The first records by id, however large.
    pub fn all(entity: impl Into<EntityName>, generation: Generation, limit: usize) -> Query {
        Query {
            entity: entity.into(),
            generation,
            who: Who::System,
            named: None,
            filter: Vec::new(),
            search: Vec::new(),
            sort: Vec::new(),
            after: None,
            limit,
            bytes: usize::MAX,
            expand: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    Ascending,
    Descending,
}

/// A term of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortBy {
    pub column: Column,
    pub direction: Direction,
}

/// A record's place in a list: the values of the sort columns, then the id.
#[derive(Debug, Clone, PartialEq)]
pub struct ListCursor {
    pub values: Vec<Value>,
    pub id: RecordId,
}

/// A reference to follow, and those to follow from the record that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expand {
    /// A ref field.
    pub field: FieldIndex,
    pub then: Vec<Expand>,
}

/// A part of a list, in its order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListPage {
    pub rows: Vec<Listed>,
    /// Further records follow.
    pub more: bool,
    /// That by which the rows were read for a person: who subscribes with the same sees the same. The words of a search are no
    /// part of it.
    pub read_scope: Option<Arc<ReadScope>>,
}

/// One row of a list, with the values of the sort columns, from which the caller makes a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub id: RecordId,
    pub sort_values: Vec<Value>,
    pub stored: Stored,
    /// One for each of `Query::expand`, in its order; `None` where the reference is null.
    pub expanded: Vec<Option<Arc<Related>>>,
}

/// A record that a reference leads to; shared by all rows that refer to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Related {
    pub stored: Stored,
    /// One for each of `Expand::then`, in its order.
    pub expanded: Vec<Option<Arc<Related>>>,
}

impl Listed {
    /// Where the list continues after this row.
    pub fn cursor(&self) -> ListCursor {
        ListCursor { values: self.sort_values.clone(), id: self.id.clone() }
    }
}

/// How many records meet every condition and hold every word, and how they divide by the values of a column.
#[derive(Debug, Clone)]
pub struct Count {
    pub entity: EntityName,
    /// As in `Query`.
    pub generation: Generation,
    pub who: Who,
    pub filter: Vec<Condition>,
    pub search: Vec<String>,
    pub group: Option<Column>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    pub count: u64,
    /// Largest first, equal ones by value, null before all values. Empty without `Count::group`.
    pub groups: Vec<(Value, u64)>,
}

/// Why a read would step over more rows than it may, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// An index over these columns, in this order.
    Index(Vec<Column>),
    /// Only words that fewer records hold: the hits of a search are counted before any condition.
    Words,
    /// No index would help: only conditions that leave fewer rows.
    Narrow,
}
