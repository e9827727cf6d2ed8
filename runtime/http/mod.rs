//! HTTP: the router table and what its handlers share.
//!
//! Knows how requests look; the repository and the session decide what they mean.

mod activity;
mod address;
mod admin;
mod answer;
mod auth;
mod batch;
mod changes;
mod closed;
mod conditions;
mod content_encoding;
mod cookie;
mod cors;
mod cursor;
mod edge;
mod find;
pub mod guard;
mod handbook;
mod headers;
mod health;
mod history;
pub mod identity;
mod inspect;
mod issuers;
mod json_body;
mod kept;
mod limits;
pub mod lingering;
mod lists;
mod many;
mod metrics;
pub mod openapi;
mod pack;
mod pages;
pub mod patient_timer;
mod presence;
pub mod problem;
mod projection;
mod proxies;
mod query;
mod records;
mod refusal_page;
mod rooms;
mod schema;
mod scripts;
pub mod server;
mod session;
mod smaller;
pub mod socket_options;
mod sse;
mod state;
mod static_files;
pub mod timed_stream;
pub mod tls;
mod why;
mod windows;
mod ws;

use axum::Router;
use axum::http::{Method, Uri};
use axum::middleware::from_fn_with_state;

use crate::ids::shown;
use crate::protocol::Code;
pub use cors::AllowedOrigins;
pub use limits::RateLimits;
pub use metrics::ROUTES;
use problem::Problem;
pub use proxies::Proxies;
pub use state::{AppState, Services};

/// Every route of the server, behind the guard.
pub fn router(state: AppState) -> Router {
    let public = pages::PublicFolder::new(&state.config);
    let of_entities = records::routes().merge(history::routes()).merge(find::routes());
    let of_entities = of_entities.route_layer(from_fn_with_state(state.clone(), closed::as_if_absent));
    Router::new()
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(batch::routes())
        .merge(auth::routes())
        .merge(issuers::routes())
        .merge(of_entities)
        .merge(schema::routes())
        .merge(activity::routes())
        .merge(changes::routes())
        .merge(admin::routes())
        .merge(why::routes())
        .merge(inspect::routes())
        .merge(rooms::routes())
        .merge(sse::routes())
        .merge(session::routes())
        .merge(presence::routes())
        .merge(ws::routes())
        .merge(pages::routes())
        .merge(handbook::routes())
        .fallback(move |request| pages::fallback(public.clone(), request))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), edge::edge))
        .with_state(state)
}

/// The router adds `Allow`.
async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} is not possible on {}", shown(method.as_str()), shown(uri.path()));
    Problem::new(Code::MethodNotAllowed, detail)
}
