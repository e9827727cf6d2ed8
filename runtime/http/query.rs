//! The query string of a list: equality filters, `sort`, `limit` and `cursor`, typed by the schema.
//!
//! Knows no SQL and no store beyond `Query`. Everything that it does not understand is an error, since a misspelt filter
//! that is ignored shows everything.

use super::cursor;
use super::params::Params;
use super::problem::Problem;
use crate::config::HttpConfig;
use crate::ids::{RecordId, shown};
use crate::protocol::Code;
use crate::repository::{Current, suggestion, value_from_text};
use crate::schema::{Entity, Field, FieldKind, OnDelete, Schema, Value};
use crate::store::{Column, Direction, Listed, Query};

/// Parameters that are not filters; the last three belong to `identity`.
const RESERVED: [&str; 6] = ["sort", "limit", "cursor", "as", "token", "ticket"];
/// Columns that every entity has.
const SYSTEM: [(&str, Column); 4] = [
    ("id", Column::Id),
    ("version", Column::Version),
    ("created_at", Column::CreatedAt),
    ("updated_at", Column::UpdatedAt),
];

/// A page of a list as the client asked for it.
#[derive(Debug)]
pub(super) struct ListRequest {
    /// Asks for one row more than `limit`, which tells whether another page follows.
    pub(super) query: Query,
    limit: usize,
    /// Entity and sort: what a cursor is tied to.
    order: String,
}

impl ListRequest {
    pub(super) fn parse(
        current: &Current,
        entity: &Entity,
        params: &Params,
        config: &HttpConfig,
    ) -> Result<ListRequest, Problem> {
        let Current { schema, generation } = current;
        let names = Names { schema, entity };
        let sort_text = params.one("sort")?.unwrap_or_default();
        let sort = names.sort(sort_text)?;
        let order = format!("{}:{sort_text}", entity.name);
        let limit = limit(params.one("limit")?, config)?;
        let after = params.one("cursor")?.map(|text| after(&order, text, sort.len())).transpose()?;
        let filter = names.filter(params)?;
        let (entity, generation) = (entity.name.clone(), *generation);
        let query = Query { entity, generation, filter, sort, after, limit: limit + 1 };
        Ok(ListRequest { query, limit, order })
    }

    /// Cuts the rows to the page and makes the cursor of the next one.
    pub(super) fn page(&self, rows: &mut Vec<Listed>) -> Option<String> {
        if rows.len() <= self.limit {
            return None;
        }
        rows.truncate(self.limit);
        rows.last().map(|last| cursor::encode(&self.order, &last.id, &last.sort_values))
    }
}

fn limit(text: Option<&str>, config: &HttpConfig) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(config.list_default) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.filter(|limit| (1..=config.list_max).contains(limit)).ok_or_else(|| {
        bad(format!("`limit` must be a number from 1 to {}, not `{}`", config.list_max, shown(text)))
    })
}

fn after(order: &str, text: &str, columns: usize) -> Result<(Vec<Value>, RecordId), Problem> {
    cursor::decode(order, text, columns).ok_or_else(|| {
        Problem::new(Code::BadCursor, "the cursor was not made for this list with this sort, or was altered")
    })
}

fn bad(detail: String) -> Problem {
    Problem::new(Code::BadQuery, detail)
}

/// Looks names up in one entity.
struct Names<'a> {
    schema: &'a Schema,
    entity: &'a Entity,
}

impl Names<'_> {
    fn column(&self, name: &str) -> Result<Column, Problem> {
        if let Some((_, column)) = SYSTEM.iter().find(|(system, _)| *system == name) {
            return Ok(*column);
        }
        if let Some((index, _)) = self.entity.field(name) {
            return Ok(Column::Field(index));
        }
        let mut detail = format!("`{}` is not a field of {}", shown(name), self.entity.name);
        let system = SYSTEM.iter().map(|(name, _)| *name);
        if let Some(meant) = suggestion(name, system.chain(self.entity.fields.iter().map(|f| &*f.name))) {
            detail.push_str(&format!("; did you mean `{meant}`?"));
        }
        Err(bad(detail))
    }

    /// `-priority,title`: highest priority first, then by title; equal ones by id.
    fn sort(&self, text: &str) -> Result<Vec<(Column, Direction)>, Problem> {
        let mut sort: Vec<(Column, Direction)> = Vec::new();
        for key in text.split(',').filter(|_| !text.is_empty()) {
            let (name, direction) = match key.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (key, Direction::Ascending),
            };
            let column = self.column(name)?;
            if let Column::Field(index) = column
                && self.entity.at(index).kind == FieldKind::Json
            {
                return Err(bad(format!("`{name}` is a json field and cannot be sorted by")));
            }
            if sort.iter().any(|(earlier, _)| *earlier == column) {
                return Err(bad(format!("`sort` names `{name}` twice")));
            }
            sort.push((column, direction));
        }
        Ok(sort)
    }

    fn filter(&self, params: &Params) -> Result<Vec<(Column, Value)>, Problem> {
        let mut filter: Vec<(Column, Value)> = Vec::new();
        for (name, text) in params.iter().filter(|(name, _)| !RESERVED.contains(name)) {
            if let Some((field, _)) = name.split_once('[') {
                let field = shown(field);
                return Err(bad(format!(
                    "`{}`: operators are not known yet; filter as `{field}=value`",
                    shown(name)
                )));
            }
            let column = self.column(name)?;
            if filter.iter().any(|(earlier, _)| *earlier == column) {
                return Err(bad(format!("the filter `{name}` is given twice")));
            }
            filter.push((column, self.value(column, name, text)?));
        }
        Ok(filter)
    }

    fn value(&self, column: Column, name: &str, text: &str) -> Result<Value, Problem> {
        let system = |kind| Field::new(name, kind);
        let own_id = FieldKind::Ref { entity: self.entity.name.clone(), on_delete: OnDelete::Restrict };
        let value = match column {
            Column::Field(index) => value_from_text(self.schema, self.entity.at(index), text),
            Column::Id => value_from_text(self.schema, &system(own_id), text),
            Column::Version => {
                value_from_text(self.schema, &system(FieldKind::Int { min: None, max: None }), text)
            }
            // Two clocks never agree to the millisecond; ranges come with the operators.
            Column::CreatedAt | Column::UpdatedAt => {
                return Err(bad(format!("`{name}` can be sorted by, but not filtered by equality")));
            }
        };
        value.map_err(|fault| bad(format!("`{name}` {}", fault.message)))
    }
}
