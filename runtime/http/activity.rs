//! `GET /api/activity`: what happened, newest first, over all entities that the caller may list.
//!
//! Knows no rule: what an entry shows is decided in `store/reading/activity.rs`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;

use super::answer::{with_json, with_position};
use super::identity::Caller;
use super::problem::{Problem, bad_query};
use super::query::page_limit;
use super::state::AppState;
use crate::ids::{Seq, shown};
use crate::protocol::Params;
use crate::schema::EntityName;
use crate::schema::value::write_json_of;
use crate::store::{ActivityEntry, ActivityPage, ActivityQuery, At, Who};

/// The last three belong to `identity`.
const PARAMS: [&str; 6] = ["limit", "before", "entity", "as", "token", "ticket"];
/// Entities that one request names.
const MOST_ENTITIES: usize = 200;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/activity", get(activity))
}

async fn activity(
    State(state): State<AppState>,
    Caller(caller): Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(uri.query())?;
    if let Some((name, _)) = params.iter().find(|(name, _)| !PARAMS.contains(name)) {
        let detail = format!("the activity takes `limit`, `before` and `entity`, not `{}`", shown(name));
        return Err(bad_query(detail));
    }
    let query = ActivityQuery {
        who: Who::Person(caller.person()),
        entities: params.one("entity")?.map(entities).transpose()?,
        before: params.one("before")?.map(before).transpose()?,
        limit: page_limit(params.one("limit")?, &state.config.http)?,
    };
    let page = state.repository.activity(&query).await?;
    let response = with_position(StatusCode::OK, &page.epoch, page.seq);
    Ok(with_json(response, page_json(&page)))
}

fn entities(text: &str) -> Result<Vec<EntityName>, Problem> {
    let names: Vec<&str> = text.split(',').collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(bad_query(
            "`entity` names entities, separated by commas, as in `Task,Comment`".to_owned(),
        ));
    }
    if names.len() > MOST_ENTITIES {
        return Err(bad_query(format!("`entity` names more than {MOST_ENTITIES} entities")));
    }
    Ok(names.into_iter().map(Into::into).collect())
}

fn before(text: &str) -> Result<Seq, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Seq).ok_or_else(|| {
        bad_query(format!(
            "`before` must be the `seq` of an entry, or `next` of a page, not `{}`",
            shown(text)
        ))
    })
}

/// `{"items":[…],"next":…,"epoch":…,"seq":…}`
fn page_json(page: &At<ActivityPage>) -> Vec<u8> {
    let mut json = b"{\"items\":[".to_vec();
    for (place, entry) in page.value.entries.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        write_entry(entry, &mut json);
    }
    json.extend_from_slice(b"],\"next\":");
    write_json_of(&page.value.next, &mut json);
    json.extend_from_slice(b",\"epoch\":");
    write_json_of(&page.epoch, &mut json);
    json.extend_from_slice(b",\"seq\":");
    write_json_of(&page.seq, &mut json);
    json.push(b'}');
    json
}

/// `{"seq":…,"at":…,"by":…,"op":…,"entity":…,"id":…}`, and of `label` and `changed` what there is.
fn write_entry(entry: &ActivityEntry, json: &mut Vec<u8>) {
    json.extend_from_slice(b"{\"seq\":");
    write_json_of(&entry.seq, json);
    json.extend_from_slice(b",\"at\":");
    write_json_of(&entry.at.rfc3339(), json);
    json.extend_from_slice(b",\"by\":");
    write_json_of(&entry.by.as_deref(), json);
    json.extend_from_slice(b",\"op\":");
    write_json_of(super::history::word(entry.op), json);
    json.extend_from_slice(b",\"entity\":");
    write_json_of(&*entry.entity, json);
    json.extend_from_slice(b",\"id\":");
    write_json_of(entry.id.as_str(), json);
    if let Some(label) = &entry.label {
        json.extend_from_slice(b",\"label\":");
        write_json_of(&**label, json);
    }
    if let Some(changed) = &entry.changed {
        json.extend_from_slice(b",\"changed\":");
        write_json_of(changed, json);
    }
    json.push(b'}');
}
