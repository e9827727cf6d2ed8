//! The accept loop: TCP connections in, HTTP/1.1 spoken on each, all of them ended at shutdown.
//!
//! Knows no route. Bounds: connections at once, bytes and time of a request head. A connection beyond the cap is answered
//! 503 and closed; without file descriptors the loop waits and says so.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::config::{Config, HttpConfig};

/// Who is at the other end; an extension of every request. Whoever keeps a clone keeps the connection's place under
/// the cap, as an upgraded socket must.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: IpAddr,
    _place: Arc<OwnedSemaphorePermit>,
}

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Type: application/problem+json\r\n\r\n\
    {\"code\":\"CONNECTION_LIMIT\",\"title\":\"Connection limit\",\"status\":503,\"detail\":\"the server has as many connections as it takes\"}";

/// How long the loop rests when the process is out of file descriptors.
const REST: Duration = Duration::from_millis(200);

/// Serves until `shutdown`, then lets requests in flight and the sockets among `tasks` finish within `shutdown_grace`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &Config,
    tasks: TaskTracker,
    shutdown: impl Future<Output = ()>,
) {
    let connections = config.realtime.connections.saturating_add(config.http.connections);
    let server = Server {
        router,
        http: http(&config.http),
        places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
        tasks,
        stop: CancellationToken::new(),
    };
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => server.connection(stream, address),
                Err(error) => server.accept_failed(&error).await,
            },
        }
    }
    drop(listener);
    server.finish(config.http.shutdown_grace).await;
}

/// One attempt without waiting: a task for each refused connection would be the load that the cap prevents. Past the
/// runtime, which does not know yet that a new stream can be written to.
fn refuse(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(TOO_MANY);
    }
}

struct Server {
    router: Router,
    http: http1::Builder,
    places: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

fn http(config: &HttpConfig) -> http1::Builder {
    let mut http = http1::Builder::new();
    // The timer also closes connections that rest between two requests for that long.
    http.timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        // hyper refuses buffers below 8 KiB.
        .max_buf_size(config.header_bytes.max(8 << 10));
    http
}

impl Server {
    fn connection(&self, stream: TcpStream, address: SocketAddr) {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            tracing::warn!("connection refused: the cap is reached");
            refuse(stream);
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection closed before it was served");
            return;
        }
        let peer = Peer { address: address.ip().to_canonical(), _place: Arc::new(place) };
        let router = self.router.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            let router = router.clone();
            async move {
                let answered: Result<_, Infallible> = router.oneshot(request).await;
                answered
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// A single connection that failed before it was accepted is its own affair; running out of descriptors is ours.
    async fn accept_failed(&self, error: &io::Error) {
        let single = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        );
        if !single {
            tracing::error!(%error, rest_ms = REST.as_millis(), "cannot accept connections: is the descriptor limit reached?");
            tokio::time::sleep(REST).await;
        }
    }

    async fn finish(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections cut off at shutdown");
        }
    }
}
