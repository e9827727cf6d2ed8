//! `/api/auth/issuers…`: which issuers users can log in at, and the two steps of such a login.
//!
//! Translates between HTTP and `Identities`; knows nothing of keys. Both steps are addresses that a browser opens, so they answer with
//! a redirect, or with a page that says what went wrong.

use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::auth::Client;
use super::cookie;
use super::guard;
use super::problem::Problem;
use super::state::AppState;
use crate::identity::LoginReturn;
use crate::protocol::{Code, Params};

/// Characters of the path to come back to.
const LONGEST_PATH: usize = 2000;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/auth/issuers", get(issuers))
        .route("/api/auth/issuers/{name}/login", get(begin))
        .route("/api/auth/issuers/{name}/callback", get(finish))
}

async fn issuers(State(state): State<AppState>) -> Response {
    let item = |offer: crate::identity::LoginOffer| {
        let login = format!("/api/auth/issuers/{}/login", offer.name);
        json!({ "name": offer.name, "title": offer.title, "login": login })
    };
    let items: Vec<Value> = state.identities.login_offers().into_iter().map(item).collect();
    Json(json!({ "items": items })).into_response()
}

/// Sends the browser to the issuer. `return` is the path to which it comes back in the end.
async fn begin(
    State(state): State<AppState>,
    Path(name): Path<String>,
    client: Client,
    parts: Parts,
) -> Result<Response, Problem> {
    let begun = begin_at(&state, &name, &client, &parts).await;
    begun.map_err(|problem| on_a_page(problem, &state, &name, &parts))
}

async fn begin_at(state: &AppState, name: &str, client: &Client, parts: &Parts) -> Result<Response, Problem> {
    state.limits.anonymous_request(client.address)?;
    let params = Params::parse(parts.uri.query())?;
    let back = params.one("return")?.unwrap_or("/").to_owned();
    if !is_own_path(&back) {
        let detail = "`return` must be a path of this server, such as /tasks?open=true";
        return Err(Problem::new(Code::BadQuery, detail));
    }
    let origin = guard::own_origin(&client.uri, &client.headers, client.is_secure)
        .ok_or_else(|| Problem::new(Code::ForbiddenHost, "the request names no Host: send the header"))?;
    let callback = format!("{origin}/api/auth/issuers/{name}/callback");
    let begun = state.identities.begin_login(name, callback, back).await?;
    let cookie = cookie::set_login(&client.uri, &client.headers, begun.browser.text());
    redirect(&begun.address, &[cookie])
}

/// The browser is back with a code.
async fn finish(
    State(state): State<AppState>,
    Path(name): Path<String>,
    client: Client,
    parts: Parts,
) -> Result<Response, Problem> {
    let finished = finish_at(&state, &name, &client, &parts).await;
    finished.map_err(|problem| on_a_page(problem, &state, &name, &parts))
}

async fn finish_at(
    state: &AppState,
    name: &str,
    client: &Client,
    parts: &Parts,
) -> Result<Response, Problem> {
    state.limits.anonymous_request(client.address)?;
    let params = Params::parse(parts.uri.query())?;
    if params.has("error") {
        return Err(Problem::new(Code::LoginFailed, "the issuer refused the login, or its user gave up"));
    }
    let browser = cookie::login(&client.uri, &client.headers).unwrap_or_default();
    let returned = LoginReturn {
        issuer: name,
        state: params.one("state")?.unwrap_or_default(),
        code: params.one("code")?.unwrap_or_default(),
        named: params.one("iss")?,
        browser: &browser,
    };
    let done = state.identities.finish_login(returned, client.address, &client.device()).await?;
    let expires = done.granted.session.standing().expires.map_or(0, |expires| expires.0);
    let seconds = (expires - state.env.now().0) / 1000;
    let session = cookie::set(&client.uri, &client.headers, done.granted.token.text(), seconds);
    let used = cookie::set_login(&client.uri, &client.headers, "");
    redirect(&done.back, &[session, used])
}

/// A browser gets a page, and every other client problem+json.
fn on_a_page(problem: Problem, state: &AppState, name: &str, parts: &Parts) -> Problem {
    let accepted =
        parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !accepted.split(',').any(|media| media.trim().starts_with("text/html")) {
        return problem;
    }
    let known = state.identities.login_offers().into_iter().any(|offer| offer.name == name);
    let again = known.then(|| format!("/api/auth/issuers/{name}/login?return=/_/"));
    problem.on_a_page(again)
}

fn redirect(address: &str, cookies: &[HeaderValue]) -> Result<Response, Problem> {
    let location =
        HeaderValue::try_from(address).map_err(|_| Problem::internal("an address that is no header"))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie.clone());
    }
    Ok(response)
}

/// A path of this server and nothing that a browser takes for another server: `//name`, `/\\name`, or either behind a tab, which
/// browsers leave out.
fn is_own_path(path: &str) -> bool {
    let plain = path.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'\\');
    plain && path.len() <= LONGEST_PATH && path.starts_with('/') && !path.starts_with("//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_back_to_this_server_alone() {
        for own in ["/", "/tasks", "/tasks?a=b&c=%2F#d", "/a//b"] {
            assert!(is_own_path(own), "{own}");
        }
        for foreign in [
            "",
            "tasks",
            "//evil.example",
            "/\\evil.example",
            "\\/evil",
            "https://evil.example",
            "/\t/evil",
            "/a b",
            "/\u{e9}",
        ] {
            assert!(!is_own_path(foreign), "{foreign:?}");
        }
    }
}
