//! `GET /ws`: checks who asks, finishes the handshake, and hands the stream to WebSocketManager.
//!
//! Host and Origin are judged before the upgrade (`guard.rs`); everything that a caller brought along is refused after it,
//! since a browser cannot read the answer to an upgrade that failed.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::Instrument;

use super::identity::Presented;
use super::problem::Problem;
use super::server::Peer;
use super::socket_options;
use super::state::AppState;
use super::timed_stream::TimedStream;
use crate::identity::{Brought, IdentityError};
use crate::protocol::Code;
use crate::realtime::{Arrived, NotAdmitted, WebSocketManager};

/// The sub-protocol that a client may name.
const SUB_PROTOCOL: &str = "tidewire.v1";

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/ws", get(upgrade))
}

async fn upgrade(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let (mut parts, _) = request.into_parts();
    let shell = Request::from_parts(parts.clone(), ());
    let mut response = create_response_with_body(&shell, Body::empty)
        .map_err(|error| Problem::new(Code::BadHeader, format!("this address is for WebSockets: {error}")))?;
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        return Err(Problem::new(Code::BadHeader, "this connection cannot become a WebSocket"));
    };
    if let Some(peer) = parts.extensions.get::<Peer>() {
        state.limits.stream(peer.address)?;
    }
    let offered = offered_protocols(&parts.headers);
    // A browser that offered protocols and is given none sees a failed upgrade, and never the close code.
    let chosen = offered
        .iter()
        .find(|name| **name == SUB_PROTOCOL)
        .or_else(|| offered.iter().find(|name| name.starts_with("bearer")));
    if let Some(chosen) = chosen.and_then(|name| HeaderValue::from_str(name).ok()) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    let mut presented = Presented::collect(&parts)?;
    for protocol in offered.iter().filter(|protocol| protocol.starts_with("bearer")) {
        presented.add_token(protocol.strip_prefix("bearer.").unwrap_or_default());
    }
    let caller = admit(&state, &presented).await;
    // The socket keeps the connection's place under the cap.
    let peer = parts.extensions.remove::<Peer>();
    let (websockets, tasks, live) = (state.websockets.clone(), state.tasks.clone(), state.live.clone());
    let upgrading = async move {
        match upgrade.await.map_err(std::io::Error::other).and_then(bare_stream) {
            Ok((stream, read_ahead)) => {
                tasks.spawn_on(live_socket(websockets, stream, read_ahead, caller, peer), &live);
            }
            Err(error) => tracing::debug!(%error, "the upgrade broke off"),
        }
    };
    state.tasks.spawn(upgrading.in_current_span());
    Ok(response.into_response())
}

/// The caller, or the error that the socket gets before it is closed. In boxes, since each future on the way of a
/// connection keeps what it is given twice.
async fn admit(state: &AppState, presented: &Presented) -> Result<Box<Arrived>, Box<NotAdmitted>> {
    let brought = presented.brought().map_err(refused)?;
    if brought == Brought::Nothing && state.identities.takes_tokens_later() {
        return Ok(Box::new(Arrived::owing(state.identities.clone(), presented.address)));
    }
    let admitted = state.identities.admit_reader(brought, presented.address).await.map_err(refused)?;
    Ok(Box::new(Arrived::through(state.identities.clone(), admitted)))
}

fn refused(error: IdentityError) -> Box<NotAdmitted> {
    Box::new(error.into())
}

fn offered_protocols(headers: &HeaderMap) -> Vec<&str> {
    let values =
        headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

/// The stream under an upgraded connection.
enum BareStream {
    /// Freed from this runtime.
    Plain(std::net::TcpStream),
    /// Stays with this runtime's view of the network: its state cannot be taken apart.
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// The stream under the upgraded connection, and what was read from it already.
fn bare_stream(upgraded: Upgraded) -> std::io::Result<(BareStream, Bytes)> {
    let upgraded = match upgraded.downcast::<TokioIo<TimedStream<TcpStream>>>() {
        Ok(parts) => {
            let stream = parts.io.into_inner().into_inner().into_std()?;
            return Ok((BareStream::Plain(stream), parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    let parts = upgraded
        .downcast::<TokioIo<TimedStream<TlsStream<TcpStream>>>>()
        .map_err(|_| std::io::Error::other("the connection is not of this server's accept loop"))?;
    Ok((BareStream::Encrypted(Box::new(parts.io.into_inner().into_inner())), parts.read_buf))
}

/// The life of one socket, on the runtime of live connections.
async fn live_socket(
    websockets: WebSocketManager,
    stream: BareStream,
    read_ahead: Bytes,
    caller: Result<Box<Arrived>, Box<NotAdmitted>>,
    _place: Option<Peer>,
) {
    let most = websockets.send_buffer_bytes();
    match stream {
        BareStream::Plain(stream) => match TcpStream::from_std(stream) {
            Ok(stream) => {
                socket_options::bound_send_buffer(&stream, most);
                live(websockets, stream, read_ahead, caller).await;
            }
            Err(error) => tracing::debug!(%error, "the socket could not be taken over"),
        },
        BareStream::Encrypted(stream) => {
            socket_options::bound_send_buffer(stream.get_ref().0, most);
            Box::pin(live(websockets, stream, read_ahead, caller)).await;
        }
    }
}

async fn live<S>(
    websockets: WebSocketManager,
    stream: S,
    read_ahead: Bytes,
    caller: Result<Box<Arrived>, Box<NotAdmitted>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match caller {
        Ok(arrived) => websockets.serve(stream, read_ahead, arrived).await,
        Err(refused) => Box::pin(websockets.refuse(stream, read_ahead, &refused)).await,
    };
}
