//! `GET /api/admin/inspect/…`: what the inspector shows. For the role `admin`.
//!
//! Shows what there is and changes nothing; `admin.rs` ends connections and sessions.

mod overview;
mod tail;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::admin::Admin;
use super::problem::{Problem, bad_query};
use super::state::AppState;
use super::why::refusal_json;
use crate::channels::looked_at::GroupRow;
use crate::ids::shown;
use crate::protocol::{Code, Params};
use crate::refusals::KeptRefusal;

/// Refusals of one answer.
const MOST: usize = 1_000;
const USUAL: usize = 100;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/admin/inspect", get(whole))
        .route("/api/admin/inspect/channels", get(channels))
        .route("/api/admin/inspect/events", get(events))
        .route("/api/admin/inspect/refusals", get(refusals))
}

/// Numbers of this moment.
async fn whole(
    State(state): State<AppState>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    known(query.as_deref(), &[])?;
    Ok(Json(overview::overview(&state).await?).into_response())
}

/// Groups of subscriptions, those with the most subscribers first.
async fn channels(
    State(state): State<AppState>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = known(query.as_deref(), &["limit"])?;
    let looked = state.sessions.channels().look(limit(&params)?).await;
    let looked = looked.ok_or_else(|| Problem::new(Code::ShuttingDown, "the server is shutting down"))?;
    let group = |group: &GroupRow| {
        json!({
            "channel": group.channel,
            "view": group.view.as_str(),
            "subscribers": group.subscribers,
            "events": group.events,
            "position": group.position.0,
        })
    };
    let items: Vec<Value> = looked.groups.iter().map(group).collect();
    Ok(Json(json!({"items": items, "count": looked.count, "position": looked.position.0})).into_response())
}

/// The newest changes.
async fn events(
    State(state): State<AppState>,
    Admin(admin): Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = known(query.as_deref(), &["after", "limit", "entity", "record", "by", "mid"])?;
    Ok(Json(tail::tail(&state, &admin, &params, limit(&params)?).await?).into_response())
}

/// What was refused, newest first.
async fn refusals(
    State(state): State<AppState>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = known(query.as_deref(), &["limit", "user", "code"])?;
    let (user, code) = (params.one("user")?, params.one("code")?);
    let wanted = |refusal: &KeptRefusal| {
        let of = refusal.caller.as_ref().and_then(|caller| caller.user.as_deref());
        user.is_none_or(|user| of == Some(user)) && code.is_none_or(|code| refusal.code.as_str() == code)
    };
    let refusals = state.sessions.refusals();
    let found = refusals.latest(limit(&params)?, state.env.now(), wanted);
    let items: Vec<Value> = found.iter().map(|refusal| refusal_json(refusal)).collect();
    Ok(Json(json!({ "items": items, "kept": refusals.count() })).into_response())
}

/// The parameters, if there are only these and those that say who asks.
fn known(query: Option<&str>, names: &[&str]) -> Result<Params, Problem> {
    let params = Params::parse(query)?;
    let of_caller = ["as", "claims", "token", "ticket"];
    let strange = params.iter().find(|(name, _)| !names.contains(name) && !of_caller.contains(name));
    if let Some((name, _)) = strange {
        let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(bad_query(format!("`{}` is not a parameter here: use {list}", shown(name))));
    }
    Ok(params)
}

fn limit(params: &Params) -> Result<usize, Problem> {
    match params.one("limit")?.map(str::parse) {
        None => Ok(USUAL),
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => Ok(limit),
        Some(Ok(_) | Err(_)) => Err(bad_query(format!("`limit` must be 1 to {MOST}"))),
    }
}
