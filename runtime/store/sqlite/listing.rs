//! A `Query` as SQL. Names come from the schema and are quoted, values are bound.
//!
//! Knows nothing of connections.

use super::tables::Table;
use crate::schema::Value;
use crate::store::{Column, Direction, Query, StoreError};

/// A statement that yields `Table::columns`, and what it binds.
pub(super) struct Listing {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

pub(super) fn write(table: &Table, query: &Query) -> Result<Listing, StoreError> {
    let mut listing =
        Listing { sql: format!("SELECT {} FROM {} WHERE 1", table.columns, table.name), values: Vec::new() };
    for (column, value) in &query.filter {
        listing.filter(&name(table, *column)?, value);
    }
    let order = order(table, query)?;
    if let Some((values, id)) = &query.after {
        if values.len() != query.sort.len() {
            return Err(StoreError::Storage("a cursor has one value for each sort column".to_owned()));
        }
        let id = Value::Text(id.as_str().to_owned());
        let marks: Vec<&Value> = values.iter().chain([&id]).collect();
        listing.after(&order, &marks);
    }
    let terms: Vec<String> =
        order.iter().map(|(column, direction)| format!("{column} {}", word(*direction))).collect();
    let limit = listing.bind(&Value::Int(i64::try_from(query.limit).unwrap_or(i64::MAX)));
    listing.sql += &format!(" ORDER BY {} LIMIT {limit}", terms.join(", "));
    Ok(listing)
}

/// The sort columns, then the id, in the direction of the last of them: an order in which no two records are equal.
fn order(table: &Table, query: &Query) -> Result<Vec<(String, Direction)>, StoreError> {
    let last = query.sort.last().map_or(Direction::Ascending, |(_, direction)| *direction);
    let columns = query.sort.iter().copied().chain([(Column::Id, last)]);
    columns.map(|(column, direction)| Ok((name(table, column)?, direction))).collect()
}

fn name(table: &Table, column: Column) -> Result<String, StoreError> {
    let unknown = || StoreError::Storage(format!("{} has no such column: {column:?}", table.entity.name));
    table.column(column).ok_or_else(unknown)
}

fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    }
}

impl Listing {
    fn bind(&mut self, value: &Value) -> String {
        self.values.push(value.clone());
        format!("?{}", self.values.len())
    }

    fn filter(&mut self, column: &str, value: &Value) {
        if value.is_null() {
            self.sql += &format!(" AND {column} IS NULL");
        } else {
            let place = self.bind(value);
            self.sql += &format!(" AND {column} = {place}");
        }
    }

    /// The records behind the mark: those behind it in the first column, or equal there and behind it in the second,
    /// and so on. A condition that no record can meet is left out.
    fn after(&mut self, order: &[(String, Direction)], marks: &[&Value]) {
        let mut equal = String::new();
        let mut either = Vec::new();
        for ((column, direction), mark) in order.iter().zip(marks) {
            let place = self.bind(mark);
            if let Some(behind) = behind(column, *direction, mark, &place) {
                either.push(format!("({equal}{behind})"));
            }
            equal += &format!("{column} IS {place} AND ");
        }
        self.seek(order, marks);
        self.sql += &format!(" AND ({})", either.join(" OR "));
    }

    /// Says once more, of the first column alone, where the records behind the mark begin: an index can use that, but
    /// not the alternatives.
    fn seek(&mut self, order: &[(String, Direction)], marks: &[&Value]) {
        let (Some((column, direction)), Some(mark)) = (order.first(), marks.first()) else { return };
        if *direction == Direction::Ascending && !mark.is_null() {
            let place = self.bind(mark);
            self.sql += &format!(" AND {column} >= {place}");
        }
    }
}

/// Strictly behind the mark in one column. Null is less than every value, so it is first in ascending order and last
/// in descending.
fn behind(column: &str, direction: Direction, mark: &Value, place: &str) -> Option<String> {
    match (direction, mark.is_null()) {
        (Direction::Ascending, true) => Some(format!("{column} IS NOT NULL")),
        (Direction::Ascending, false) => Some(format!("{column} > {place}")),
        (Direction::Descending, true) => None,
        (Direction::Descending, false) => Some(format!("({column} < {place} OR {column} IS NULL)")),
    }
}
