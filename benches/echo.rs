//! The floor under every HTTP figure: axum as usual, one worker, no database. Does not know Tidewire.

use axum::extract::Json;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::Value;

use crate::error::{BenchError, Outcome};
use crate::report::say;

/// What `GET /` answers: about the size of one task.
const RECORD: &str = r#"{"id":"01890000-0000-7000-8000-000000000000","version":1,"created_at":"2026-01-01T00:00:00.000Z","updated_at":"2026-01-01T00:00:00.000Z","title":"Measure the spine of the house","status":"open","priority":3}"#;

/// Serves until killed; prints `listening on http://...` first, like Tidewire.
pub(crate) fn serve() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|source| BenchError::io("start the echo's runtime", source))?;
    runtime.block_on(listen()).map_err(|source| BenchError::io("serve the echo", source))
}

async fn listen() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    let listener = listener.tap_io(|stream| {
        // A connection that is gone already needs no option.
        let _ = stream.set_nodelay(true);
    });
    let record = || async { ([("content-type", "application/json")], RECORD) };
    let router = axum::Router::new().route("/", post(echo)).route("/", get(record));
    axum::serve(listener, router).await
}

async fn echo(Json(body): Json<Value>) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(body))
}
