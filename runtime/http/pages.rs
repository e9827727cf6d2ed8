//! What people open: the generated pages under `/_/`, the browser modules under `/static/`, and the user's own
//! `public/` folder at `/` (SEMANTICS O10).
//!
//! Pages are files of `static/`, compiled in; they hold no data and no inline script, and read the API themselves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use rust_embed::{EmbeddedFile, RustEmbed};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tower::ServiceExt;
use tower_http::services::ServeDir;

use super::headers::{PAGE_POLICY, PERMISSIONS_POLICY};
use super::problem::Problem;
use super::scripts::without_comments;
use super::smaller;
use super::state::AppState;
use crate::config::Config;
use crate::protocol::Code;

/// In debug builds read from the folder at each request, in release builds part of the program.
#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

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
    // `.git` or `.env` in a public folder is an accident.
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

fn is_text(media: &str) -> bool {
    let is_script = media == "application/javascript";
    is_script || (media.starts_with("text/") && media != "text/xml" && !media.contains("charset"))
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
    match Static::get(&path).filter(|_| !is_hidden(&path)) {
        Some(file) => embedded(&path, file, &headers),
        None => not_found(),
    }
}

fn page(path: &str, headers: &HeaderMap) -> Response {
    match Static::get(path) {
        Some(file) => embedded(path, file, headers),
        None => not_found(),
    }
}

/// The file with its hash as ETag; a browser that holds it gets 304.
fn embedded(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let hash: String = file.metadata.sha256_hash().iter().take(16).map(|b| format!("{b:02x}")).collect();
    let is_small = smaller::accepts(headers);
    // Two texts of one file are two representations.
    let etag = format!("\"{hash}{}\"", if is_small { "-gzip" } else { "" });
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh =
        known.is_some_and(|known| known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let mut response = if fresh {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mime = media_type(path, file.metadata.mimetype());
        let content = [(header::CONTENT_TYPE, mime)];
        if is_small {
            let bytes = smaller::of(path, &hash, || sent(path, file));
            ([(header::CONTENT_ENCODING, "gzip")], content, bytes).into_response()
        } else {
            (content, sent(path, file)).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response
}

fn sent(path: &str, file: EmbeddedFile) -> Bytes {
    match std::str::from_utf8(&file.data) {
        Ok(source) if path.ends_with(".js") => without_comments(source).into(),
        _ => Bytes::from(file.data.into_owned()),
    }
}

/// Type declarations end in `.ts`, which the registry of types knows as video.
fn media_type(path: &str, guessed: &str) -> String {
    if path.ends_with(".ts") {
        "text/plain; charset=utf-8".to_owned()
    } else if is_text(guessed) {
        format!("{guessed}; charset=utf-8")
    } else {
        guessed.to_owned()
    }
}

fn is_hidden(path: &str) -> bool {
    path.split('/').any(|segment| segment.starts_with('.'))
}

/// A page without a script: it is shown where anything else may be wrong, too.
fn not_found() -> Response {
    let page = Static::get("pages/missing.html").map(|file| file.data.into_owned()).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
    ];
    (StatusCode::NOT_FOUND, headers, page).into_response()
}
