//! `/api/admin/…`: numbers about connections, the connections and sessions themselves, the way to end one, and login names. For the role `admin`.
//!
//! Knows no rule about sessions: `identity/` and `realtime/roster.rs` do what is asked.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::auth::AuthFields;
use super::identity::Caller;
use super::json_body::JsonBody;
use super::problem::{Problem, bad_query};
use super::state::AppState;
use crate::auth::Identity;
use crate::ids::{ConnectionId, shown};
use crate::protocol::{Code, Params};
use crate::realtime::subscription_row::SubscriptionRow;
use crate::realtime::{Expulsion, RosterRow};

/// Connections or sessions of one answer.
const MOST: usize = 1_000;
const USUAL: usize = 100;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/admin/websocket/stats", get(stats))
        .route("/api/admin/connections", get(connections))
        .route("/api/admin/connections/{id}", get(connection).delete(end_connection))
        .route("/api/admin/sessions", get(sessions))
        .route("/api/admin/sessions/{id}", delete(end_session))
        .route("/api/admin/users/{id}/name", post(rename))
}

/// Extractor of what only administrators do.
pub(super) struct Admin(pub(super) Identity);

impl FromRequestParts<AppState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Admin, Problem> {
        let Caller(caller) = Caller::from_request_parts(parts, state).await?;
        if !state.repository.is_admin(&caller).await? {
            let detail = "only the role `admin` may look at the server itself; in dev, add ?as=NAME:admin";
            return Err(Problem::new(Code::Forbidden, detail));
        }
        Ok(Admin(caller))
    }
}

/// Numbers about sockets, subscriptions and deliveries. On a blocking thread: it reads `/proc` and looks at every outbox.
async fn stats(State(state): State<AppState>, _admin: Admin) -> Result<Response, Problem> {
    let stats = tokio::task::spawn_blocking(move || state.sessions.stats()).await;
    Ok(Json(stats.map_err(|failed| Problem::internal(failed.to_string()))?).into_response())
}

/// What a list is asked for.
struct AdminList {
    limit: usize,
    after: Option<String>,
    user: Option<String>,
}

impl AdminList {
    fn of(query: Option<&str>) -> Result<AdminList, Problem> {
        let params = Params::parse(query)?;
        for (name, _) in params.iter() {
            if !["limit", "after", "user", "as", "claims", "token", "ticket"].contains(&name) {
                let detail = format!("`{}` is not a parameter here: use limit, after and user", shown(name));
                return Err(bad_query(detail));
            }
        }
        let limit = match params.one("limit")? {
            None => USUAL,
            Some(text) => match text.parse() {
                Ok(limit) if (1..=MOST).contains(&limit) => limit,
                Ok(_) | Err(_) => return Err(bad_query(format!("`limit` must be 1 to {MOST}"))),
            },
        };
        let text = |name| params.one(name).map(|value| value.map(str::to_owned));
        Ok(AdminList { limit, after: text("after")?, user: text("user")? })
    }
}

/// Every connection, oldest first. `next` continues behind the last of them.
async fn connections(
    State(state): State<AppState>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = AdminList::of(query.as_deref())?;
    let after = asked.after.as_deref().map(connection_id).transpose()?;
    let mut rows = state.sessions.roster().list(asked.limit + 1, after, asked.user.as_deref());
    let next = (rows.len() > asked.limit).then(|| rows[asked.limit - 1].id.to_string());
    rows.truncate(asked.limit);
    let items: Vec<Value> = rows.iter().map(connection_json).collect();
    Ok(Json(json!({ "items": items, "next": next })).into_response())
}

fn connection_json(row: &RosterRow) -> Value {
    let depth = row.depth;
    json!({
        "id": row.id.to_string(),
        "userId": row.user,
        "address": row.address.to_string(),
        "openedAt": row.opened.rfc3339(),
        "subscriptions": row.subscriptions,
        "transport": row.via.word(),
        "roundTripMs": (row.round_trip_micros > 0).then(|| f64::from(row.round_trip_micros) / 1_000.0),
        "waitingBatches": depth.map_or(0, |depth| depth.batches),
        "waitingBytes": depth.map_or(0, |depth| depth.bytes),
        "lagging": depth.is_some_and(|depth| depth.lagging),
    })
}

/// One connection, with its subscriptions.
async fn connection(
    State(state): State<AppState>,
    _admin: Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let unknown = || Problem::new(Code::NotFound, "there is no connection of this id, or it has ended");
    let id = connection_id(&id).map_err(|_| unknown())?;
    let looked = state.sessions.roster().look(id).await.ok_or_else(unknown)?;
    let subscription = |row: &SubscriptionRow| {
        json!({
            "channel": row.channel,
            "phase": row.phase,
            "since": row.since.map(|since| since.0),
            "sent": row.sent.0,
        })
    };
    let mut json = connection_json(&looked.row);
    json["channels"] = looked.rows.iter().map(subscription).collect::<Vec<_>>().into();
    Ok(Json(json).into_response())
}

/// Ends a connection with 4403: its client does not come back by itself. A session of its user goes on.
async fn end_connection(
    State(state): State<AppState>,
    Admin(admin): Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let unknown = || Problem::new(Code::NotFound, "there is no connection of this id, or it has ended");
    let id = connection_id(&id).map_err(|_| unknown())?;
    if !state.sessions.roster().expel(id, Expulsion::Kicked) {
        return Err(unknown());
    }
    tracing::info!(connection = %id, by = admin.user.as_deref(), "an administrator ended a connection");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn connection_id(text: &str) -> Result<ConnectionId, Problem> {
    last_id(text).map(ConnectionId)
}

/// What `after` says.
fn last_id(text: &str) -> Result<uuid::Uuid, Problem> {
    uuid::Uuid::try_parse(text).map_err(|_| bad_query("`after` must be `next` of the last page".to_owned()))
}

/// The sessions of all users, or of one, newest first.
async fn sessions(
    State(state): State<AppState>,
    _admin: Admin,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = AdminList::of(query.as_deref())?;
    let mut rows = state.identities.all_sessions(asked.user.as_deref()).await?;
    if let Some(after) = asked.after.as_deref().map(last_id).transpose()? {
        // As it is written here: the text of an id may come in capitals.
        let after = after.to_string();
        rows.retain(|row| row.session.id < after);
    }
    let next = (rows.len() > asked.limit).then(|| rows[asked.limit - 1].session.id.clone());
    rows.truncate(asked.limit);
    let mut names: HashMap<String, Option<String>> = HashMap::new();
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        if !names.contains_key(&row.user) {
            let person = state.repository.person(&row.user).await?;
            names.insert(row.user.clone(), person.and_then(|person| person.name));
        }
        items.push(json!({
            "id": row.session.id,
            "userId": row.user,
            "name": names.get(&row.user),
            "createdAt": row.session.created.rfc3339(),
            "seenAt": row.session.seen.rfc3339(),
            "expiresAt": row.session.expires.rfc3339(),
            "device": row.session.device,
        }));
    }
    Ok(Json(json!({ "items": items, "next": next })).into_response())
}

/// Ends the session of any user, and its connections with 4401.
async fn end_session(
    State(state): State<AppState>,
    Admin(admin): Admin,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    state.identities.end_any_session(&id).await?;
    tracing::info!(by = admin.user.as_deref(), "an administrator ended a session");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Another login name for any user who has one.
async fn rename(
    State(state): State<AppState>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let asked = AuthFields::of(&body, &["name"], &[])?;
    state.identities.rename_user(&id, asked.text("name")).await?;
    tracing::info!(user = %shown(&id), by = admin.user.as_deref(), "an administrator gave a user another login name");
    Ok(StatusCode::NO_CONTENT.into_response())
}
