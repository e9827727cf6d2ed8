//! `GET /api/admin/why/{id}`: why a request was refused, why a record is missing in a list, why a connection got an event or did not;
//! and `GET /api/admin/explain`, what a user may do with a record now. For the role `admin`.
//!
//! Decides nothing: what is answered is what was kept, or what the rules say when they are asked again.

mod event;
mod now;
mod record;
mod refusal;
mod words;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, http::Uri};
use serde_json::Value;
use uuid::Uuid;

use super::admin::Admin;
use super::problem::{Problem, bad_query};
use super::state::AppState;
use crate::ids::{ConnectionId, Seq, shown};
use crate::protocol::{Code, Params};
use now::NowQuestion;
pub(super) use refusal::refusal_json;

/// All but the last four say what is asked of the rights of now.
const PARAMS: [&str; 10] =
    ["user", "role", "entity", "record", "operation", "channel", "as", "claims", "token", "ticket"];

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/admin/why/{id}", get(why)).route("/api/admin/explain", get(explain))
}

/// What an id names.
enum AskedId<'a> {
    /// `REQUEST`, or `REQUEST@CONNECTION`.
    Refusal,
    /// `REQUEST:RECORD`
    Record { list: &'a str, record: &'a str },
    /// `CONNECTION:SEQ`
    Event { connection: ConnectionId, seq: Seq },
}

async fn why(
    State(state): State<AppState>,
    Admin(admin): Admin,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = known(query.as_deref())?;
    let by = admin.user.as_deref();
    let answered = match asked(&state, &id) {
        AskedId::Refusal => refusal::why(&state, by, &id).await?,
        AskedId::Record { list, record } => record::why(&state, by, list, record).await?,
        AskedId::Event { connection, seq } => event::why(&state, by, connection, seq, &params).await?,
    };
    let answer = match (answered, NowQuestion::of(&params)?) {
        (Some(answer), _) => answer,
        (None, Some(question)) => now::why(&state, by, &question).await?,
        (None, None) => return Err(forgotten(&id)),
    };
    Ok(Json(with_id(answer, &id)).into_response())
}

/// What a user may do with a record now, and by which rule.
async fn explain(State(state): State<AppState>, Admin(admin): Admin, uri: Uri) -> Result<Response, Problem> {
    let params = known(uri.query())?;
    let Some(question) = NowQuestion::of(&params)? else {
        let detail = "`entity` and `record` are missing: name the record that is asked about";
        return Err(bad_query(detail.to_owned()));
    };
    Ok(Json(now::why(&state, admin.user.as_deref(), &question).await?).into_response())
}

fn known(query: Option<&str>) -> Result<Params, Problem> {
    let params = Params::parse(query)?;
    if let Some((name, _)) = params.iter().find(|(name, _)| !PARAMS.contains(name)) {
        return Err(bad_query(format!(
            "`{}` is not a parameter here: use user, role, entity, record, operation and channel",
            shown(name)
        )));
    }
    Ok(params)
}

/// What is kept decides first, since a client may write colons into the `requestId` of a frame, and the id of a record may look like a
/// number: `save:7@CONNECTION` is a refusal, and of a list `REQUEST:7` is a record.
fn asked<'a>(state: &AppState, id: &'a str) -> AskedId<'a> {
    let (refusals, now) = (state.sessions.refusals(), state.env.now());
    if !refusals.find(id, now).is_empty() {
        return AskedId::Refusal;
    }
    // The id of a request has no colon.
    let Some((list, record)) = id.split_once(':') else { return AskedId::Refusal };
    let is_seq = record.bytes().all(|byte| byte.is_ascii_digit());
    match (Uuid::try_parse(list), record.parse()) {
        (Ok(connection), Ok(seq)) if is_seq && refusals.list(list, now).is_none() => {
            AskedId::Event { connection: ConnectionId(connection), seq: Seq(seq) }
        }
        _ => AskedId::Record { list, record },
    }
}

fn with_id(mut answer: Value, id: &str) -> Value {
    answer["id"] = Value::from(id);
    answer
}

fn forgotten(id: &str) -> Problem {
    let detail = format!(
        "nothing is known of `{}`: refusals and lists are kept for an hour, until the server stops, and only the last 10,000; to ask by \
         the rights of now, add `user`, `entity`, `record` and `operation`",
        shown(id)
    );
    Problem::new(Code::NotFound, detail)
}
