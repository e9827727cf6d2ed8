//! `sort=-priority,title`: the order of a list, or of the first records of a subscription. Both read it here, so that they cannot
//! differ.
//!
//! Knows no HTTP. Its texts are whole sentences for the client.

use super::filter::{FilterError, column};
use super::nameable::Nameable;
use crate::schema::{Column, Entity, FieldKind};
use crate::store::{Direction, SortBy};

/// Fields that a list is sorted by.
const MOST_SORTED: usize = 10;

/// Highest priority first, then by title; equal ones by id.
pub fn sort(entity: &Entity, names: &Nameable, text: &str) -> Result<Vec<SortBy>, FilterError> {
    let mut sort: Vec<SortBy> = Vec::new();
    for key in text.split(',').filter(|_| !text.is_empty()) {
        let (name, direction) = match key.strip_prefix('-') {
            Some(name) => (name, Direction::Descending),
            None => (key, Direction::Ascending),
        };
        let column = comparable(entity, names, name, "sort", "sorted")?;
        if sort.iter().any(|earlier| earlier.column == column) {
            return Err(FilterError::new(format!("`sort` names `{name}` twice")));
        }
        if sort.len() == MOST_SORTED {
            return Err(FilterError::new(format!("`sort` names more than {MOST_SORTED} fields")));
        }
        sort.push(SortBy { column, direction });
    }
    Ok(sort)
}

/// A column whose values the database can compare. `parameter` and `done` are words of the text: `sort`, and what is done by it.
pub fn comparable(
    entity: &Entity,
    names: &Nameable,
    name: &str,
    parameter: &str,
    done: &str,
) -> Result<Column, FilterError> {
    let column =
        column(entity, names, name).map_err(|error| FilterError::new(format!("`{parameter}`: {error}")))?;
    if let Column::Field(index) = column
        && entity.at(index).kind == FieldKind::Json
    {
        return Err(FilterError::new(format!("`{name}` is a json field and cannot be {done} by")));
    }
    Ok(column)
}
