//! `GET /api/realtime/presence/{resource}`: who is at a resource, once; and `GET /api/admin/presence`, how many are at each.
//!
//! Knows no rule: who may see a resource is judged in `presence/judge.rs`, as for live connections.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::identity::Caller;
use super::problem::{Problem, bad_query};
use super::query::page_limit;
use super::state::AppState;
use crate::ids::shown;
use crate::presence::{Look, PlaceSize, Presence, PresenceBusy, PresenceVerdict};
use crate::protocol::{Code, Params, ResourceName, encode_part};

const PATH: &str = "/api/realtime/presence/";
/// The last three belong to `identity`.
const PARAMS: [&str; 6] = ["limit", "after", "count", "as", "token", "ticket"];
const TREE_PARAMS: [&str; 5] = ["limit", "under", "as", "token", "ticket"];

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/realtime/presence/{*resource}", get(present))
        .route("/api/admin/presence", get(tree))
}

/// Users in the order of their ids. A resource that the caller may not see looks like one that does not exist.
async fn present(
    State(state): State<AppState>,
    Caller(caller): Caller,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = known(&uri, &PARAMS)?;
    let resource = uri.path().strip_prefix(PATH).unwrap_or_default();
    let name = ResourceName::of_resource(resource).map_err(|bad| Problem::new(bad.code, bad.message))?;
    let only_count = match params.one("count")? {
        None | Some("false") => false,
        Some("" | "true") => true,
        Some(other) => return Err(bad_query(format!("`count` is true or false, not `{}`", shown(other)))),
    };
    let limit = page_limit(params.one("limit")?, &state.config.http)?;
    let after = params.one("after")?.map(str::to_owned);
    let presence = presence(&state)?;
    match presence.judge(&caller.person(), &name.parts).await {
        PresenceVerdict::Granted(_) => {}
        PresenceVerdict::Refused => {
            return Err(Problem::new(
                Code::NotFound,
                "there is no such resource, or you may not see who is there",
            ));
        }
        PresenceVerdict::Failed => {
            return Err(Problem::new(Code::Overloaded, "whether you may see this could not be looked up"));
        }
    }
    // One more tells whether there is another page.
    let look =
        Look::Users { parts: name.parts.clone(), after, limit: if only_count { 0 } else { limit + 1 } };
    let mut looked = presence.look(look).await.map_err(busy)?;
    let counts = looked.counts;
    if only_count {
        return Ok(axum::Json(json!({"resource": name.resource(), "counts": counts})).into_response());
    }
    let more = looked.users.len() > limit;
    looked.users.truncate(limit);
    let next = looked.users.last().filter(|_| more).map(|user| user.id.clone());
    let mut body =
        json!({"resource": name.resource(), "users": looked.users, "counts": counts, "next": next});
    if let Some(holder) = looked.lease {
        body["lease"] = json!({"holder": holder});
    }
    Ok(axum::Json(body).into_response())
}

/// The resources below one, for operators.
async fn tree(State(state): State<AppState>, Caller(caller): Caller, uri: Uri) -> Result<Response, Problem> {
    if !state.repository.is_admin(&caller).await? {
        let detail = "only the role `admin` may see where everybody is; in dev, add ?as=NAME:admin";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let params = known(&uri, &TREE_PARAMS)?;
    let under = match params.one("under")? {
        None | Some("") => Arc::default(),
        Some(under) => {
            ResourceName::of_resource(under).map_err(|bad| Problem::new(bad.code, bad.message))?.parts
        }
    };
    let limit = page_limit(params.one("limit")?, &state.config.http)?;
    let looked = presence(&state)?.look(Look::Tree { under, limit }).await.map_err(busy)?;
    let resources: Vec<_> = looked.places.iter().map(row).collect();
    Ok(axum::Json(json!({"resources": resources})).into_response())
}

fn row(of: &PlaceSize) -> serde_json::Value {
    let parts: Vec<String> = of.place.iter().map(|part| encode_part(part)).collect();
    json!({
        "resource": parts.join("/"),
        "users": of.counts.users,
        "connections": of.counts.connections,
        "watchers": of.watchers,
    })
}

fn known(uri: &Uri, names: &[&str]) -> Result<Params, Problem> {
    let params = Params::parse(uri.query())?;
    if let Some((name, _)) = params.iter().find(|(name, _)| !names.contains(name)) {
        let detail = format!("this address takes {}, not `{}`", names.join(", "), shown(name));
        return Err(bad_query(detail));
    }
    Ok(params)
}

fn presence(state: &AppState) -> Result<&Presence, Problem> {
    state.sessions.presence().ok_or_else(|| Problem::internal("this process has no presence"))
}

fn busy(_: PresenceBusy) -> Problem {
    Problem::new(Code::ShuttingDown, "the server is stopping")
}
