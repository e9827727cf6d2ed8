//! What people open: the generated pages under `/_/`, the browser modules under `/static/`, and the user's own
//! `public/` folder at `/` (SEMANTICS O10).
//!
//! Pages are files of `static/`; they hold no data and no inline script, and read the API themselves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::headers::{PAGE_POLICY, PERMISSIONS_POLICY, is_text};
use super::problem::Problem;
use super::state::AppState;
use super::static_files::{self, is_hidden};
use crate::config::Config;
use crate::protocol::Code;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/_", get(|| async { Redirect::permanent("/_/") }))
        .route("/_/", get(home))
        .route("/_/account", get(user))
        .route("/_/api", get(api))
        .route("/_/login", get(user))
        .route("/_/register", get(user))
        .route("/_/schema", get(schema))
        .route("/_/e/{plural}", get(entity))
        .route("/_/e/{plural}/{id}", get(record))
        .route("/_/inspect", get(inspect))
        .route("/static/{*path}", get(asset))
}

/// The user's own folder. Each file that is sent holds a descriptor for as long as its reader takes, so they are bounded.
#[derive(Debug, Clone)]
pub(super) struct PublicFolder {
    files: ServeDir,
    turns: Arc<Semaphore>,
    /// Of every answer.
    policies: [(HeaderName, HeaderValue); 2],
}

/// How long a file waits for its turn.
const FILE_WAIT: Duration = Duration::from_secs(1);

impl PublicFolder {
    pub(super) fn new(config: &Config) -> PublicFolder {
        let turns = Arc::new(Semaphore::new(config.http.files()));
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(PAGE_POLICY);
        let policies = [
            (header::CONTENT_SECURITY_POLICY, value(&config.http.content_security_policy)),
            (PERMISSIONS_POLICY, value(&config.http.permissions_policy)),
        ];
        PublicFolder { files: ServeDir::new(&config.public), turns, policies }
    }

    async fn serve(self, request: Request) -> Response {
        let Ok(Ok(turn)) = timeout(FILE_WAIT, self.turns.acquire_owned()).await else {
            return Problem::new(Code::Overloaded, "too many files are being sent").into_response();
        };
        let served: Result<_, Infallible> = self.files.oneshot(request).await;
        let mut response = served.into_response();
        response.headers_mut().extend(self.policies);
        // The turn ends with the body, which holds the file.
        response.map(|body| {
            Body::new(body.map_frame(move |frame| {
                let _ = &turn;
                frame
            }))
        })
    }
}

/// Everything that no route claims: problem+json below `/api`, otherwise the public folder.
pub(super) async fn fallback(public: PublicFolder, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if path == "/api" || path.starts_with("/api/") {
        return Problem::new(Code::NotFound, "there is nothing at this address").into_response();
    }
    if is_hidden(&percent_decode_str(&path).decode_utf8_lossy()) {
        return not_found();
    }
    let response = public.serve(request).await;
    match response.status() {
        StatusCode::NOT_FOUND if path == "/" => Redirect::temporary("/_/").into_response(),
        // Browsers ask for it on every page, and a page without an icon of its own gets ours.
        StatusCode::NOT_FOUND if path == "/favicon.ico" => {
            Redirect::temporary("/static/pages/icon.svg").into_response()
        }
        StatusCode::NOT_FOUND => not_found(),
        _ => in_utf_8(response),
    }
}

/// Texts of the public folder are UTF-8. Without a word browsers guess, and a page without `<meta charset>` shows garbage. XML and SVG
/// name their encoding themselves, and JSON has only one.
fn in_utf_8(mut response: Response) -> Response {
    let media = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let named = media.filter(|media| is_text(media)).map(|media| format!("{media}; charset=utf-8"));
    if let Some(Ok(media)) = named.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::CONTENT_TYPE, media);
    }
    response
}

async fn home(State(state): State<AppState>, headers: HeaderMap) -> Response {
    listed(&state, "pages/home.html", &headers)
}

async fn api(State(state): State<AppState>, headers: HeaderMap) -> Response {
    listed(&state, "pages/api.html", &headers)
}

async fn schema(State(state): State<AppState>, headers: HeaderMap) -> Response {
    listed(&state, "pages/schema.html", &headers)
}

/// A page that `http.pages` can switch off. Without it, the address is one of which nothing is known.
fn listed(state: &AppState, path: &str, headers: &HeaderMap) -> Response {
    if state.config.http.pages { page(path, headers) } else { not_found() }
}

/// One page for the login, the registration and the account: its script shows what the address asks for.
async fn user(headers: HeaderMap) -> Response {
    page("pages/user.html", &headers)
}

/// The page holds no data: what it asks for is for administrators.
async fn inspect(State(state): State<AppState>, headers: HeaderMap) -> Response {
    listed(&state, "pages/inspect.html", &headers)
}

async fn entity(State(state): State<AppState>, Path(plural): Path<String>, headers: HeaderMap) -> Response {
    match state.schema().by_plural(&plural) {
        Some(_) => listed(&state, "pages/entity.html", &headers),
        None => not_found(),
    }
}

/// Whether there is such a record is for the API to say, which knows what the user may see.
async fn record(
    State(state): State<AppState>,
    Path((plural, _)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    match state.schema().by_plural(&plural) {
        Some(_) => listed(&state, "pages/record.html", &headers),
        None => not_found(),
    }
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    page(&path, &headers)
}

fn page(path: &str, headers: &HeaderMap) -> Response {
    match static_files::find(path) {
        Some(file) => file.answer(path, headers),
        None => not_found(),
    }
}

/// A page without a script: it is shown where anything else may be wrong, too.
fn not_found() -> Response {
    let page = static_files::find("pages/missing.html").map(|file| file.bytes).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (StatusCode::NOT_FOUND, headers, page).into_response()
}
