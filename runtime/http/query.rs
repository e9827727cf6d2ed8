//! The query strings of lists, counts and single records, and the same in JSON: conditions, words, `sort`, `limit`, `cursor`, `group`, and what
//! an answer shows.
//!
//! Knows no SQL; the repository decides what a condition means. Everything that it does not understand is an error.

use std::sync::Arc;

use super::cursor;
use super::problem::{Problem, bad_query};
use super::projection::Projection;
use super::state::AppState;
use crate::auth::Identity;
use crate::config::HttpConfig;
use crate::ids::{RecordId, shown};
use crate::protocol::{Code, Params};
use crate::repository::{
    Body, Current, Nameable, comparable, filter, parameters, search_words, sort, suggestion,
};
use crate::schema::Entity;
use crate::store::{Condition, Count, ListCursor, ListPage, Query, Who};

/// What a list takes beside conditions, and a count and a single record take in part.
pub(super) const PARAMETERS: [&str; 7] = ["sort", "limit", "cursor", "expand", "fields", "search", "group"];
/// These say who asks, and belong to `identity`.
pub(super) const CALLER: [&str; 6] = ["as", "claims", "token", "ticket", "access_token", "api_key"];
/// A page of a list or a history ends with the record or change that reaches so many bytes, however few it holds. The
/// bytes are of whole records, whatever is shown of them: so much memory one request may take.
pub(super) const PAGE_BYTES: usize = 4 << 20;

/// The parameters of a question that came as a body. Who asks is said in the address, as for every request.
pub(super) fn of_body(address: Option<&str>, body: Body) -> Result<Params, Problem> {
    if let Some((name, _)) = Params::parse(address)?.iter().find(|(name, _)| !CALLER.contains(name)) {
        return Err(bad_query(format!("`{}` is in the address: move it into the body", shown(name))));
    }
    let params = Params::from_pairs(parameters(body)?);
    if let Some(name) = CALLER.iter().find(|name| params.has(name)) {
        return Err(bad_query(format!("`{name}` is in the body: move it into the address")));
    }
    Ok(params)
}

/// What is asked about, and by whom.
pub(super) struct QueryContext<'a> {
    pub(super) current: &'a Current,
    pub(super) entity: &'a Arc<Entity>,
    /// The names that the caller may use.
    pub(super) names: &'a Nameable,
    pub(super) who: Who,
}

/// A page of a list as the client asked for it.
#[derive(Debug)]
pub(super) struct ListRequest {
    pub(super) query: Query,
    pub(super) shape: Projection,
    /// Entity, sort, conditions and words: what a cursor is tied to.
    order: String,
}

impl ListRequest {
    pub(super) fn parse(
        asked: &QueryContext<'_>,
        params: &Params,
        config: &HttpConfig,
    ) -> Result<ListRequest, Problem> {
        let QueryContext { current: Current { schema, generation }, entity, names, who } = asked;
        refuse(params, &["group"], "a list; ask for the count")?;
        let sort_text = params.one("sort")?.unwrap_or_default();
        let sort = sort(entity, names, sort_text)?;
        let order = order(entity, sort_text, params)?;
        let limit = page_limit(params.one("limit")?, config)?;
        let after = params.one("cursor")?.map(|text| after(&order, text, sort.len())).transpose()?;
        let (filter, search) = conditions(asked, params)?;
        let shape = Projection::parse(schema, entity, names, params)?;
        let (expand, generation, who) = (shape.expand().to_vec(), *generation, who.clone());
        let entity = entity.name.clone();
        let query = Query {
            filter,
            search,
            sort,
            after,
            bytes: PAGE_BYTES,
            expand,
            who,
            ..Query::all(entity, generation, limit)
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
pub(super) fn count(asked: &QueryContext<'_>, params: &Params) -> Result<Count, Problem> {
    let QueryContext { current, entity, names, who } = asked;
    refuse(params, &["sort", "limit", "cursor", "expand", "fields"], "a count")?;
    let group = params.one("group")?;
    let group = group.map(|name| comparable(entity, names, name, "group", "grouped")).transpose()?;
    let (filter, search) = conditions(asked, params)?;
    Ok(Count {
        entity: entity.name.clone(),
        generation: current.generation,
        who: who.clone(),
        filter,
        search,
        group,
    })
}

/// Which records a change of many is about.
#[derive(Debug)]
pub(super) struct ManyQuestion {
    pub(super) filter: Vec<Condition>,
    /// Start after this record.
    pub(super) after: Option<RecordId>,
    /// What its cursors are tied to.
    pub(super) order: String,
    /// Conditions and start, as text.
    pub(super) question: String,
}

impl ManyQuestion {
    /// There must be a condition: without one every record would be meant.
    pub(super) fn parse(asked: &QueryContext<'_>, params: &Params) -> Result<ManyQuestion, Problem> {
        let entity = asked.entity;
        let what = "a change of many records: it takes conditions and `cursor`, and goes by id";
        refuse(params, &["sort", "limit", "expand", "fields", "search", "group"], what)?;
        let (filter, _) = conditions(asked, params)?;
        if filter.is_empty() {
            return Err(bad_query(format!(
                "this would be every record of {}: name at least one condition, as in `?id[in]=…`",
                entity.name
            )));
        }
        let order = format!("many {}", order(entity, "", params)?);
        let cursor = params.one("cursor")?;
        let after = cursor.map(|text| after(&order, text, 0)).transpose()?.map(|cursor| cursor.id);
        let question = format!("{order} {}", cursor.unwrap_or_default());
        Ok(ManyQuestion { filter, after, order, question })
    }

    /// Where a request that follows continues.
    pub(super) fn cursor(order: &str, last: &RecordId) -> String {
        cursor::encode(order, last, &[])
    }
}

/// What the caller may name in this query. The database is asked only where the query names anything, and where it depends on
/// the person. `expand` leads to other entities.
pub(super) async fn names(
    state: &AppState,
    caller: &Identity,
    current: &Current,
    entity: &Entity,
    params: &Params,
) -> Result<Nameable, Problem> {
    const NAMELESS: [&str; 3] = ["limit", "cursor", "search"];
    let naming = |name: &str| !CALLER.contains(&name) && !NAMELESS.contains(&name);
    if !params.iter().any(|(name, _)| naming(name)) {
        return Ok(Nameable::usual());
    }
    let person = caller.person();
    let entities: Vec<&Entity> = match params.has("expand") {
        true => current.schema.entities().map(|entity| &**entity).collect(),
        false => vec![entity],
    };
    Ok(state.repository.nameable(&person, &entities).await?)
}

/// What the answer with one record shows.
pub(super) fn shape(asked: &QueryContext<'_>, params: &Params) -> Result<Projection, Problem> {
    const TAKEN: [&str; 2] = ["expand", "fields"];
    let mut others = params.iter().filter(|(name, _)| !CALLER.contains(name) && !TAKEN.contains(name));
    if let Some((name, _)) = others.next() {
        let mut detail = format!("a single record takes no parameter `{}`", shown(name));
        if let Some(meant) = suggestion(name, TAKEN) {
            detail.push_str(&format!("; did you mean `{meant}`?"));
        }
        return Err(bad_query(detail));
    }
    Projection::parse(&asked.current.schema, asked.entity, asked.names, params)
}

/// The conditions and the words of a search.
fn conditions(asked: &QueryContext<'_>, params: &Params) -> Result<(Vec<Condition>, Vec<String>), Problem> {
    let filter = filter(&asked.current.schema, asked.entity, asked.names, filters(params))?;
    let search = params.one("search")?.map(|text| search_words(asked.entity, text)).transpose()?;
    Ok((filter, search.unwrap_or_default()))
}

fn filters(params: &Params) -> impl Iterator<Item = (&str, &str)> {
    params.iter().filter(|(name, _)| !PARAMETERS.contains(name) && !CALLER.contains(name))
}

fn refuse(params: &Params, names: &[&str], what: &str) -> Result<(), Problem> {
    match names.iter().find(|name| params.has(name)) {
        Some(name) => Err(bad_query(format!("`{name}` cannot be combined with {what}"))),
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
        bad_query(format!("`limit` must be a number from 1 to {}, not `{}`", config.list_max, shown(text)))
    })
}

fn after(order: &str, text: &str, columns: usize) -> Result<ListCursor, Problem> {
    cursor::decode(order, text, columns).ok_or_else(|| {
        let detail = "the cursor was not made for this list with this sort, these filters and this search, or was altered";
        Problem::new(Code::BadCursor, detail)
    })
}
