//! `GET /api/activity`: what happened, newest first, over all entities that the caller may list.
//!
//! Knows no rule: what an entry tells is decided in `store/activity/scope.rs`.

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
use crate::protocol::{Params, View, named_entities};
use crate::schema::value::write_json_of;
use crate::store::{ActivityPage, ActivityQuery, ActivitySight, At, Who};

/// The last three belong to `identity`.
const PARAMS: [&str; 6] = ["limit", "before", "entity", "as", "token", "ticket"];

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
    let named = params.one("entity")?.map(named_entities).transpose();
    let named = named.map_err(|fault| bad_query(fault.to_string()))?;
    let query = ActivityQuery {
        sight: ActivitySight::Of {
            who: Who::Person(caller.person()),
            entities: named.map(|named| named.into_iter().map(Into::into).collect()),
        },
        before: params.one("before")?.map(before).transpose()?,
        limit: page_limit(params.one("limit")?, &state.config.http)?,
    };
    let page = state.repository.activity(&query).await?;
    let response = with_position(StatusCode::OK, &page.epoch, page.seq);
    Ok(with_json(response, page_json(&page)))
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

/// `{"items":[…],"next":…,"epoch":…,"seq":…,"view":…}`
fn page_json(page: &At<ActivityPage>) -> Vec<u8> {
    let mut json = b"{\"items\":[".to_vec();
    for (place, entry) in page.value.entries.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        entry.write_json(&mut json);
    }
    json.extend_from_slice(b"],\"next\":");
    write_json_of(&page.value.next, &mut json);
    json.extend_from_slice(b",\"epoch\":");
    write_json_of(&page.epoch, &mut json);
    json.extend_from_slice(b",\"seq\":");
    write_json_of(&page.seq, &mut json);
    if let Some(scope) = &page.value.scope {
        json.extend_from_slice(b",\"view\":");
        write_json_of(
            &View::of_activity(scope.read_scopes().map(|scope| &**scope), scope.generation),
            &mut json,
        );
    }
    json.push(b'}');
    json
}
