//! `/api/auth/…`: log in and out, register, passwords, sessions and tickets, as JSON.
//!
//! Translates between HTTP and `Identities`; knows no rule about passwords or links.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::cookie;
use super::identity::{Presented, counted};
use super::json_body::JsonBody;
use super::problem::Problem;
use super::server::Peer;
use super::state::AppState;
use crate::identity::{Admitted, Granted, IdentityError, LiveSession, NewAccount};
use crate::ids::Timestamp;
use crate::repository::{Body, FieldError};

/// Characters of a device's name.
const DEVICE: usize = 120;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/auth/login", post(log_in))
        .route("/api/auth/register", post(register))
        .route("/api/auth/logout", post(log_out))
        .route("/api/auth/refresh", post(refresh))
        .route("/api/auth/password", post(password))
        .route("/api/auth/name", post(name))
        .route("/api/auth/reset", post(reset))
        .route("/api/auth/ticket", post(ticket))
        .route("/api/auth/me", get(me))
        .route("/api/auth/sessions", get(sessions).delete(end_others))
        .route("/api/auth/sessions/{id}", delete(end))
}

/// Where the request comes from and how its answer goes back.
pub(super) struct Client {
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) address: std::net::IpAddr,
    /// It reached us, or our proxy, over TLS.
    pub(super) is_secure: bool,
}

impl FromRequestParts<AppState> for Client {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &AppState) -> Result<Client, Problem> {
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.ok_or_else(|| Problem::internal("a request without a peer"))?;
        Ok(Client {
            uri: parts.uri.clone(),
            headers: parts.headers.clone(),
            address: peer.address,
            is_secure: peer.is_secure,
        })
    }
}

impl Client {
    /// What the client calls itself, shortened.
    pub(super) fn device(&self) -> String {
        let agent = self.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        agent.unwrap_or_default().chars().filter(|letter| !letter.is_control()).take(DEVICE).collect()
    }
}

/// Extractor of what needs a session: the caller's own, and how it came.
struct OwnSession {
    session: std::sync::Arc<LiveSession>,
    presented: Presented,
}

impl FromRequestParts<AppState> for OwnSession {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<OwnSession, Problem> {
        let presented = Presented::collect(parts)?;
        let admitting =
            async { state.identities.admit_reader(presented.brought()?, presented.address).await };
        let admitted = counted(state, presented.address, admitting).await?;
        let session = admitted.own_session().cloned().ok_or(IdentityError::NoSession)?;
        Ok(OwnSession { session, presented })
    }
}

impl OwnSession {
    /// A ticket opens a socket and nothing else.
    fn token(&self) -> Result<&str, IdentityError> {
        self.presented.token().ok_or(IdentityError::NoSession)
    }
}

async fn log_in(
    State(state): State<AppState>,
    client: Client,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let asked = AuthFields::of(&body, &["name", "password"], &["cookie"])?;
    let granted = state
        .identities
        .log_in(asked.text("name"), asked.text("password"), client.address, &client.device())
        .await?;
    answer(&state, &client, &granted, StatusCode::OK, asked.wants_cookie()).await
}

async fn register(
    State(state): State<AppState>,
    client: Client,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let asked = AuthFields::of(&body, &["name", "password"], &["link", "cookie"])?;
    let wanted = NewAccount {
        name: asked.text("name"),
        password: asked.text("password"),
        link: asked.optional("link"),
    };
    let granted = state.identities.register(wanted, client.address, &client.device()).await?;
    answer(&state, &client, &granted, StatusCode::CREATED, asked.wants_cookie()).await
}

async fn log_out(
    State(state): State<AppState>,
    client: Client,
    own: OwnSession,
) -> Result<Response, Problem> {
    state.identities.end_session(&own.session.user, &own.session.id).await?;
    Ok(without_cookie(&client, StatusCode::NO_CONTENT.into_response()))
}

async fn refresh(
    State(state): State<AppState>,
    client: Client,
    own: OwnSession,
) -> Result<Response, Problem> {
    let granted = state.identities.refresh(own.token()?).await?;
    answer(&state, &client, &granted, StatusCode::OK, own.presented.by_cookie()).await
}

/// With `link` the password of its user, otherwise that of the caller.
async fn password(
    State(state): State<AppState>,
    client: Client,
    parts: Parts,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    if body.keys().any(|key| key == "link") {
        let asked = AuthFields::of(&body, &["link", "password"], &["cookie"])?;
        let (link, new) = (asked.text("link"), asked.text("password"));
        let granted = state.identities.reset_password(link, new, client.address, &client.device()).await?;
        return answer(&state, &client, &granted, StatusCode::OK, asked.wants_cookie()).await;
    }
    let own = OwnSession::from_request_parts(&mut { parts }, &state).await?;
    own.token()?;
    let asked = AuthFields::of(&body, &["oldPassword", "password"], &["cookie"])?;
    let (old, new) = (asked.text("oldPassword"), asked.text("password"));
    let granted =
        state.identities.change_password(&own.session, old, new, client.address, &client.device()).await?;
    answer(&state, &client, &granted, StatusCode::OK, own.presented.by_cookie() || asked.wants_cookie()).await
}

/// Another login name for the caller.
async fn name(
    State(state): State<AppState>,
    client: Client,
    own: OwnSession,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    own.token()?;
    let asked = AuthFields::of(&body, &["name", "password"], &[])?;
    state.identities.rename(&own.session, asked.text("name"), asked.text("password"), client.address).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Asks for a mail with a link. The answer is the same for every name.
async fn reset(
    State(state): State<AppState>,
    client: Client,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let asked = AuthFields::of(&body, &["name"], &[])?;
    state.identities.request_reset(asked.text("name"), client.address)?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))).into_response())
}

async fn ticket(State(state): State<AppState>, parts: Parts) -> Result<Response, Problem> {
    let presented = Presented::collect(&parts)?;
    let admitting = async { state.identities.admit_reader(presented.brought()?, presented.address).await };
    let session = counted(&state, presented.address, admitting).await?.session;
    let session = session.ok_or(IdentityError::NoToken)?;
    let ticket = state.identities.ticket(presented.token().ok_or(IdentityError::NoToken)?, &session)?;
    let seconds = state.identities.ticket_life().as_secs();
    Ok(Json(json!({ "ticket": ticket.text(), "expiresIn": seconds })).into_response())
}

/// Who the caller is. An anonymous caller is an answer, too.
async fn me(State(state): State<AppState>, parts: Parts) -> Result<Response, Problem> {
    let presented = Presented::collect(&parts)?;
    let admitted = state.identities.admit_reader(presented.brought()?, presented.address).await?;
    let own = admitted.own_session().map(|session| session.id.clone());
    let Admitted { identity, session } = admitted;
    let user = match identity.user.as_deref() {
        Some(user) => user_json(&state, user, identity.role.as_deref()).await?,
        None => Value::Null,
    };
    let expires = session.and_then(|session| session.standing().expires).map(Timestamp::rfc3339);
    let guest = identity.guest().map(|guest| guest.id.clone());
    let names = state.identities.believes_names();
    let me = json!({ "user": user, "guest": guest, "expiresAt": expires, "session": own, "names": names });
    Ok(Json(me).into_response())
}

async fn sessions(State(state): State<AppState>, own: OwnSession) -> Result<Response, Problem> {
    let mut items = Vec::new();
    for row in state.identities.sessions_of(&own.session.user).await? {
        items.push(json!({
            "id": row.id,
            "createdAt": row.created.rfc3339(),
            "seenAt": row.seen.rfc3339(),
            "expiresAt": row.expires.rfc3339(),
            "device": row.device,
            "current": row.id == own.session.id,
        }));
    }
    Ok(Json(json!({ "items": items })).into_response())
}

async fn end(
    State(state): State<AppState>,
    client: Client,
    own: OwnSession,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    state.identities.end_session(&own.session.user, &id).await?;
    let response = StatusCode::NO_CONTENT.into_response();
    Ok(if id == own.session.id { without_cookie(&client, response) } else { response })
}

async fn end_others(State(state): State<AppState>, own: OwnSession) -> Result<Response, Problem> {
    let ended = state.identities.end_other_sessions(&own.session.user, &own.session.id).await?;
    Ok(Json(json!({ "ended": ended })).into_response())
}

/// `{token, expiresAt, user}`. With a cookie the token is in it, where scripts cannot read it, and not in the body.
async fn answer(
    state: &AppState,
    client: &Client,
    granted: &Granted,
    status: StatusCode,
    by_cookie: bool,
) -> Result<Response, Problem> {
    let expires = granted.session.standing().expires.unwrap_or(Timestamp(0));
    let user = user_json(state, &granted.session.user, None).await?;
    let mut body = Map::new();
    if !by_cookie {
        body.insert("token".to_owned(), granted.token.text().into());
    }
    body.insert("expiresAt".to_owned(), expires.rfc3339().into());
    body.insert("user".to_owned(), user);
    let mut response = (status, Json(Value::Object(body))).into_response();
    if by_cookie {
        let seconds = (expires.0 - state.env.now().0) / 1000;
        let cookie = cookie::set(&client.uri, &client.headers, granted.token.text(), seconds);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn without_cookie(client: &Client, mut response: Response) -> Response {
    let cookie: HeaderValue = cookie::set(&client.uri, &client.headers, "", 0);
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

async fn user_json(state: &AppState, user: &str, role: Option<&str>) -> Result<Value, Problem> {
    let person = state.repository.person(user).await?;
    let (name, recorded) = person.map_or((None, None), |person| (person.name, person.role));
    // An empty role of a token says that there is none.
    let role = role.map(str::to_owned).or(recorded).filter(|role| !role.is_empty());
    Ok(json!({ "id": user, "name": name, "role": role }))
}

/// The members of a body, each a text but `cookie`.
pub(super) struct AuthFields<'a> {
    body: &'a Body,
    cookie: bool,
}

impl<'a> AuthFields<'a> {
    pub(super) fn of(
        body: &'a Body,
        required: &[&str],
        optional: &[&str],
    ) -> Result<AuthFields<'a>, Problem> {
        let mut errors = Vec::new();
        let mut wrong = |field: &str, code: &'static str, message: String| {
            errors.push(FieldError { field: field.to_owned(), code, message });
        };
        let json = body.to_json();
        for key in body.keys() {
            if !required.contains(&key) && !optional.contains(&key) {
                let names = [required, optional].concat().join("`, `");
                let key = crate::ids::shown(key);
                wrong(&key, "unknown_field", format!("`{key}` is not known here; the fields are `{names}`"));
            } else if key == "cookie" {
                if !json[key].is_boolean() {
                    wrong(key, "wrong_type", "`cookie` must be true or false".to_owned());
                }
            } else if !json[key].is_string() {
                wrong(key, "wrong_type", format!("`{key}` must be a text"));
            }
        }
        for key in required.iter().filter(|key| body.keys().all(|given| given != **key)) {
            wrong(key, "required", format!("`{key}` is required"));
        }
        match errors.is_empty() {
            true => Ok(AuthFields { body, cookie: json["cookie"] == true }),
            false => Err(IdentityError::Invalid { errors }.into()),
        }
    }

    pub(super) fn text(&self, key: &str) -> &'a str {
        self.body.text(key).unwrap_or_default()
    }

    fn optional(&self, key: &str) -> Option<&'a str> {
        self.body.text(key)
    }

    fn wants_cookie(&self) -> bool {
        self.cookie
    }
}
