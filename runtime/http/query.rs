//! The query strings of lists, counts and single records: conditions, words, `sort`, `limit`, `cursor`, `group`, and what
//! an answer shows.
//!
//! Knows no SQL; what a condition means is the repository's business. Everything that it does not understand is an error.

use std::sync::Arc;

use super::cursor;
use super::problem::Problem;
use super::shape::Shape;
use crate::config::HttpConfig;
use crate::ids::{RecordId, shown};
use crate::protocol::{Code, Params};
use crate::repository::{Current, FilterError, column, filter, search_words, suggestion};
use crate::schema::{Entity, FieldKind, Schema, Value};
use crate::store::{Column, Condition, Count, Direction, ListPage, Query, Who};

/// What a list takes beside conditions, and a count and a single record take in part.
const PARAMETERS: [&str; 7] = ["sort", "limit", "cursor", "expand", "fields", "search", "group"];
/// These say who asks, and belong to `identity`.
const CALLER: [&str; 5] = ["as", "token", "ticket", "access_token", "api_key"];
/// A page of a list or a history ends with the record or change that reaches so many bytes, however few it holds. The
/// bytes are of whole records, whatever is shown of them: so much memory one request may take.
pub(super) const PAGE_BYTES: usize = 4 << 20;
/// Fields that a list is sorted by.
const MOST_SORTED: usize = 10;

/// A page of a list as the client asked for it.
#[derive(Debug)]
pub(super) struct ListRequest {
    pub(super) query: Query,
    pub(super) shape: Shape,
    /// Entity, sort, conditions and words: what a cursor is tied to.
    order: String,
}

impl ListRequest {
    pub(super) fn parse(
        current: &Current,
        entity: &Arc<Entity>,
        params: &Params,
        config: &HttpConfig,
    ) -> Result<ListRequest, Problem> {
        let Current { schema, generation } = current;
        refuse(params, &["group"], "a list; ask for the count")?;
        let sort_text = params.one("sort")?.unwrap_or_default();
        let sort = sort(entity, sort_text)?;
        let order = order(entity, sort_text, params)?;
        let limit = page_limit(params.one("limit")?, config)?;
        let after = params.one("cursor")?.map(|text| after(&order, text, sort.len())).transpose()?;
        let (filter, search) = conditions(schema, entity, params)?;
        let shape = Shape::parse(schema, entity, params)?;
        let (expand, generation) = (shape.expand().to_vec(), *generation);
        let entity = entity.name.clone();
        let query = Query {
            entity,
            generation,
            who: Who::System,
            filter,
            search,
            sort,
            after,
            limit,
            bytes: PAGE_BYTES,
            expand,
        };
        Ok(ListRequest { query, shape, order })
    }

    /// The cursor of the next page.
    pub(super) fn next(&self, page: &ListPage) -> Option<String> {
        let last = page.rows.last().filter(|_| page.more)?;
        Some(cursor::encode(&self.order, &last.id, &last.sort_values))
    }
}

/// A count, in groups or not.
pub(super) fn count(current: &Current, entity: &Entity, params: &Params) -> Result<Count, Problem> {
    refuse(params, &["sort", "limit", "cursor", "expand", "fields"], "a count")?;
    let group =
        params.one("group")?.map(|name| comparable(entity, name, ("group", "grouped"))).transpose()?;
    let (filter, search) = conditions(&current.schema, entity, params)?;
    Ok(Count {
        entity: entity.name.clone(),
        generation: current.generation,
        who: Who::System,
        filter,
        search,
        group,
    })
}

/// What the answer with one record shows.
pub(super) fn shape(schema: &Arc<Schema>, entity: &Arc<Entity>, params: &Params) -> Result<Shape, Problem> {
    const TAKEN: [&str; 2] = ["expand", "fields"];
    let mut others = params.iter().filter(|(name, _)| !CALLER.contains(name) && !TAKEN.contains(name));
    if let Some((name, _)) = others.next() {
        let mut detail = format!("a single record takes no parameter `{}`", shown(name));
        if let Some(meant) = suggestion(name, TAKEN) {
            detail.push_str(&format!("; did you mean `{meant}`?"));
        }
        return Err(bad(detail));
    }
    Shape::parse(schema, entity, params)
}

/// The conditions and the words of a search.
fn conditions(
    schema: &Schema,
    entity: &Entity,
    params: &Params,
) -> Result<(Vec<Condition>, Vec<String>), Problem> {
    let filter = filter(schema, entity, filters(params))?;
    let search = params.one("search")?.map(|text| search_words(entity, text)).transpose()?;
    Ok((filter, search.unwrap_or_default()))
}

fn filters(params: &Params) -> impl Iterator<Item = (&str, &str)> {
    params.iter().filter(|(name, _)| !PARAMETERS.contains(name) && !CALLER.contains(name))
}

fn refuse(params: &Params, names: &[&str], what: &str) -> Result<(), Problem> {
    match names.iter().find(|name| params.has(name)) {
        Some(name) => Err(bad(format!("`{name}` does not go with {what}"))),
        None => Ok(()),
    }
}

/// Filters in another order are the same filters.
fn order(entity: &Entity, sort: &str, params: &Params) -> Result<String, Problem> {
    let mut filters: Vec<(&str, &str)> = filters(params).collect();
    filters.sort_unstable();
    let search = params.one("search")?;
    Ok(serde_json::json!([&*entity.name, sort, filters, search]).to_string())
}

/// `limit`: how many rows a page holds at most.
pub(super) fn page_limit(text: Option<&str>, config: &HttpConfig) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(config.list_default) };
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.filter(|limit| (1..=config.list_max).contains(limit)).ok_or_else(|| {
        bad(format!("`limit` must be a number from 1 to {}, not `{}`", config.list_max, shown(text)))
    })
}

fn after(order: &str, text: &str, columns: usize) -> Result<(Vec<Value>, RecordId), Problem> {
    cursor::decode(order, text, columns).ok_or_else(|| {
        let detail = "the cursor was not made for this list with this sort, these filters and this search, or was altered";
        Problem::new(Code::BadCursor, detail)
    })
}

/// `-priority,title`: highest priority first, then by title; equal ones by id.
fn sort(entity: &Entity, text: &str) -> Result<Vec<(Column, Direction)>, Problem> {
    let mut sort: Vec<(Column, Direction)> = Vec::new();
    for key in text.split(',').filter(|_| !text.is_empty()) {
        let (name, direction) = match key.strip_prefix('-') {
            Some(name) => (name, Direction::Descending),
            None => (key, Direction::Ascending),
        };
        let column = comparable(entity, name, ("sort", "sorted"))?;
        if sort.iter().any(|(earlier, _)| *earlier == column) {
            return Err(bad(format!("`sort` names `{name}` twice")));
        }
        if sort.len() == MOST_SORTED {
            return Err(bad(format!("`sort` names more than {MOST_SORTED} fields")));
        }
        sort.push((column, direction));
    }
    Ok(sort)
}

/// A column with values that can be told apart by the database.
fn comparable(entity: &Entity, name: &str, (parameter, done): (&str, &str)) -> Result<Column, Problem> {
    let column = column(entity, name).map_err(|error| bad(format!("`{parameter}`: {error}")))?;
    if let Column::Field(index) = column
        && entity.at(index).kind == FieldKind::Json
    {
        return Err(bad(format!("`{name}` is a json field and cannot be {done} by")));
    }
    Ok(column)
}

pub(super) fn bad(detail: String) -> Problem {
    Problem::new(Code::BadQuery, detail)
}

impl From<FilterError> for Problem {
    fn from(error: FilterError) -> Problem {
        bad(error.to_string())
    }
}
