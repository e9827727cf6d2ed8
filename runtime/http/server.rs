//! The accept loop: TCP connections in, HTTP/1.1 spoken on each, all of them ended at shutdown.
//!
//! Knows no route. Bounds: connections at once, bytes and time of a request head, time
//! that an answer may wait for its reader. A connection beyond the cap is answered
//! 503 and closed; without file descriptors the loop waits and says so.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::Response;
use futures_util::future::{BoxFuture, OptionFuture, join};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::lingering::Unread;
use super::patient_timer::{PatientTimer, within};
use super::socket_options;
use super::timed_stream::TimedStream;
use super::tls::Tls;
use crate::config::{Config, HttpConfig};
use crate::metrics::{ConnectionEnd, GaugeGuard, Metrics, Refusal, Via};
use crate::protocol::Code;

/// Who is at the other end; an extension of every request. A clone keeps the connection's place under
/// the cap, as an upgraded socket must.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The client: the other end of the connection, or whom a trusted proxy names.
    pub address: IpAddr,
    /// Whether the client reached us, or our proxy, over TLS.
    pub is_secure: bool,
    place: Arc<ConnectionSlot>,
}

impl Peer {
    /// The answer does not end: from now on the connection is served by another runtime, where it delays no request, and by one
    /// task with what `beside` does for it. Keeps its place under the cap until both are done. Such an answer is the last one of
    /// its connection.
    pub(super) fn lasts_on(&self, runtime: &Handle, beside: BoxFuture<'static, ()>) {
        *self.place.lasting.lock() = Some(Lasting { runtime: runtime.clone(), beside });
    }
}

struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
    _counted: GaugeGuard,
    lasting: Mutex<Option<Lasting>>,
}

/// How a connection goes on whose answer does not end.
struct Lasting {
    runtime: Handle,
    beside: BoxFuture<'static, ()>,
}

impl fmt::Debug for ConnectionSlot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ConnectionSlot").finish_non_exhaustive()
    }
}

/// What the loop serves with.
pub struct Serving {
    pub router: Router,
    /// Tasks that shutdown waits for.
    pub tasks: TaskTracker,
    pub metrics: Arc<Metrics>,
    /// With none the server speaks plain HTTP.
    pub tls: Option<Tls>,
}

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\n\
    Content-Type: application/problem+json\r\n\r\n\
    {\"code\":\"CONNECTION_LIMIT\",\"title\":\"Connection limit\",\"status\":503,\"detail\":\"the server has reached its limit of connections\"}";

/// How long the loop rests when the process is out of file descriptors.
const REST: Duration = Duration::from_millis(200);
/// So long without a failure, and the next one is a new shortage.
const QUIET: Duration = Duration::from_secs(60);

/// Serves until `shutdown`, then lets requests in flight and the sockets among `tasks` finish within `shutdown_grace`.
pub async fn serve(
    listener: TcpListener,
    serving: Serving,
    config: &Config,
    shutdown: impl Future<Output = ()>,
) {
    let connections = config.realtime.connections.saturating_add(config.http.connections);
    let server = Server {
        serving,
        http: http(&config.http),
        handshake_timeout: config.http.header_timeout,
        write_timeout: config.http.write_timeout,
        places: Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))),
        refusals: Arc::new(Semaphore::new(config.http.refusals())),
        stop: CancellationToken::new(),
    };
    let mut shutdown = pin!(shutdown);
    let mut shortage = Shortage::default();
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => server.connection(stream, address),
                Err(error) => shortage.rest_after(&error).await,
            },
        }
    }
    drop(listener);
    server.finish(config.http.shutdown_grace).await;
}

/// One attempt without waiting. Past the runtime, which does not know yet that a new stream can be written to.
fn turn_away(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(TOO_MANY);
    }
}

/// What hyper's error says about the peer.
fn how_it_ended(error: &hyper::Error) -> ConnectionEnd {
    if error.is_timeout() {
        ConnectionEnd::HeadLate
    } else if error.is_parse_too_large() {
        ConnectionEnd::HeadTooLarge
    } else if error.is_parse() {
        ConnectionEnd::BadHead
    } else if source_of(error).is_some_and(|source| source.kind() == io::ErrorKind::TimedOut) {
        ConnectionEnd::WriteLate
    } else {
        ConnectionEnd::Broken
    }
}

fn source_of(error: &hyper::Error) -> Option<&io::Error> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

/// After an answer that did not wait for the request's end nothing more can be asked on this connection.
fn closing_if(is_left: bool, mut response: Response) -> Response {
    if is_left && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

struct Server {
    serving: Serving,
    http: http1::Builder,
    write_timeout: Duration,
    /// A client that has not finished the TLS handshake by then is given up.
    handshake_timeout: Duration,
    places: Arc<Semaphore>,
    /// Turns of `refuse`.
    refusals: Arc<Semaphore>,
    stop: CancellationToken,
}

fn http(config: &HttpConfig) -> http1::Builder {
    let mut http = http1::Builder::new();
    // The timer also closes connections that rest between two requests for that long.
    http.timer(PatientTimer)
        .header_read_timeout(config.header_timeout)
        // hyper refuses buffers below 8 KiB.
        .max_buf_size(config.header_bytes.max(8 << 10));
    http
}

impl Server {
    fn connection(&self, stream: TcpStream, address: SocketAddr) {
        let metrics = self.serving.metrics.clone();
        let Ok(permit) = self.places.clone().try_acquire_owned() else {
            tracing::warn!("connection refused: the cap is reached");
            metrics.http.refused(Refusal::Places);
            metrics.errors.told(Via::Http, Code::ConnectionLimit);
            self.refuse(stream);
            return;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection closed before it was served");
            return;
        }
        socket_options::show_progress(&stream);
        socket_options::notice_death(&stream);
        let place = ConnectionSlot {
            _permit: permit,
            _counted: metrics.http.connection(),
            lasting: Mutex::default(),
        };
        let peer = Peer {
            address: address.ip().to_canonical(),
            is_secure: self.serving.tls.is_some(),
            place: Arc::new(place),
        };
        let Some(tls) = &self.serving.tls else { return self.spawn(stream, peer) };
        let (handshake, limit) = (tls.acceptor().accept(stream), self.handshake_timeout);
        let (serving, metrics) = (self.speaker(), self.serving.metrics.clone());
        self.serving.tasks.spawn(async move {
            match within(limit, handshake).await {
                Some(Ok(stream)) => serving.speak(stream, peer).await,
                Some(Err(error)) => {
                    metrics.http.ended(ConnectionEnd::BadHead);
                    tracing::debug!(%error, "a TLS handshake failed");
                }
                None => metrics.http.ended(ConnectionEnd::HeadLate),
            }
        });
    }

    /// What one connection is served with.
    fn speaker(&self) -> Speaker {
        Speaker {
            router: self.serving.router.clone(),
            http: self.http.clone(),
            metrics: self.serving.metrics.clone(),
            write_timeout: self.write_timeout,
            stop: self.stop.clone(),
            tasks: self.serving.tasks.clone(),
        }
    }

    fn spawn(&self, stream: TcpStream, peer: Peer) {
        self.serving.tasks.spawn(self.speaker().speak(stream, peer));
    }

    /// Answers a connection beyond the cap. A few of them are read from until their clients have the answer (`lingering.rs`); a task for each
    /// would be the load that the cap prevents.
    fn refuse(&self, stream: TcpStream) {
        let Ok(turn) = self.refusals.clone().try_acquire_owned() else {
            turn_away(stream);
            return;
        };
        let mut stream = TimedStream::new(stream, self.write_timeout, Unread::everything());
        let stop = self.stop.clone();
        self.serving.tasks.spawn(async move {
            let _turn = turn;
            let told = async {
                stream.write_all(TOO_MANY).await?;
                stream.shutdown().await
            };
            tokio::select! {
                told = told => if let Err(error) = told {
                    tracing::debug!(%error, "a refused connection closed early");
                },
                () = stop.cancelled() => {}
            }
        });
    }

    async fn finish(self, grace: Duration) {
        self.stop.cancel();
        let tasks = &self.serving.tasks;
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            tracing::warn!(connections = tasks.len(), "connections cut off at shutdown");
        }
    }
}

/// A time without descriptors for further connections. Now and then one is freed and taken at once: such a time has one line in the
/// log, because a line for each attempt would fill the disk as well.
#[derive(Default)]
struct Shortage {
    last: Option<Instant>,
}

impl Shortage {
    /// A single connection that failed before it was accepted is its own affair; running out of descriptors is ours.
    async fn rest_after(&mut self, error: &io::Error) {
        let single = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        );
        if single {
            return;
        }
        if self.begins(Instant::now()) {
            tracing::error!(%error, rest_ms = REST.as_millis(), "cannot accept connections: is the descriptor limit reached?");
        }
        tokio::time::sleep(REST).await;
    }

    /// Whether this failure is the first one for `QUIET`.
    fn begins(&mut self, now: Instant) -> bool {
        let last = self.last.replace(now);
        last.is_none_or(|last| now.duration_since(last) >= QUIET)
    }
}

/// Speaks HTTP on one connection.
struct Speaker {
    router: Router,
    http: http1::Builder,
    metrics: Arc<Metrics>,
    write_timeout: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Speaker {
    /// Serves the connection to its end. One that lasts is handed to the runtime that it lasts on.
    async fn speak<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Speaker { router, http, metrics, write_timeout, stop, tasks } = self;
        let place = peer.place.clone();
        let unread = Unread::default();
        let watching = unread.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut request = request.map(|body| Body::new(watching.watch(body)));
            request.extensions_mut().insert(peer.clone());
            let (router, unread) = (router.clone(), watching.clone());
            async move {
                let answered: Result<_, Infallible> = router.oneshot(request).await;
                answered.map(|response| closing_if(unread.is_left(), response))
            }
        });
        let stream = TimedStream::new(stream, write_timeout, unread);
        let mut speaking = Box::pin(async move {
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service).with_upgrades());
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            let end = ended.as_ref().map_or_else(how_it_ended, |()| ConnectionEnd::Closed);
            metrics.http.ended(end);
            if let Err(error) = ended {
                tracing::debug!(%error, ?end, "a connection ended early");
            }
        });
        // Requests are answered while the connection is polled, so after that it is known whether one lasts.
        let speaking = poll_fn(|context| match speaking.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(false),
            Poll::Pending if place.lasting.lock().is_some() => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        })
        .await
        .then_some(speaking);
        let lasting = place.lasting.lock().take();
        if let Some(Lasting { runtime, beside }) = lasting {
            let going_on = async move {
                // In this order: what was put into the answer is sent in the same turn.
                join(beside, OptionFuture::from(speaking)).await;
                drop(place);
            };
            tasks.spawn_on(going_on, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Extension;
    use bytes::Bytes;
    use futures_util::{FutureExt, stream};
    use tokio::io::AsyncReadExt;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;
    use crate::realtime::pieces::PieceLine;

    #[test]
    fn a_shortage_is_told_once_and_the_next_one_after_a_quiet_time() {
        let mut shortage = Shortage::default();
        let start = Instant::now();
        let told: Vec<bool> = [0, 1, 59, 118, 178, 179]
            .map(|second| shortage.begins(start + Duration::from_secs(second)))
            .into();
        assert_eq!(told, [true, false, false, false, true, false]);
    }

    /// Serves `router` and asks it once.
    async fn asked(router: Router) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new(&[("/", &["GET"])], crate::ids::Timestamp(0)));
        let serving = Serving { router, tasks: TaskTracker::new(), metrics, tls: None };
        tokio::spawn(
            async move { serve(listener, serving, &Config::default(), std::future::pending()).await },
        );
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").await.unwrap();
        client
    }

    /// Reads until the text comes.
    async fn expect(client: &mut TcpStream, text: &str) {
        let mut answer = Vec::new();
        let reading = async {
            while !String::from_utf8_lossy(&answer).contains(text) {
                assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "the end came before `{text}`");
            }
        };
        let read = timeout(Duration::from_secs(10), reading).await;
        assert!(read.is_ok(), "no `{text}` in {}", String::from_utf8_lossy(&answer));
    }

    #[tokio::test]
    async fn a_connection_whose_answer_does_not_end_goes_on_where_it_lasts() {
        let other =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handle = other.handle().clone();
        let lasting = move |Extension(peer): Extension<Peer>| async move {
            peer.lasts_on(&handle, async {}.boxed());
            // Here it says nothing.
            let there = poll_fn(move |_| match Handle::current().id() == handle.id() {
                true => Poll::Ready(Ok::<_, Infallible>("it lasts there")),
                false => Poll::Pending,
            });
            Body::from_stream(stream::once(there))
        };
        expect(&mut asked(Router::new().fallback(lasting)).await, "it lasts there").await;
        other.shutdown_background();
    }

    #[tokio::test]
    async fn what_is_put_into_an_answer_that_lasts_is_sent_in_the_same_turn() {
        let due = Arc::new(Notify::new());
        let when = due.clone();
        let lasting = move |Extension(peer): Extension<Peer>| async move {
            let PieceLine { sender, receiver } = PieceLine::default();
            let putting = async move {
                for piece in ["one", "two"] {
                    when.notified().await;
                    sender.put(|| Bytes::from_static(piece.as_bytes())).await.unwrap();
                }
                std::future::pending().await
            };
            peer.lasts_on(&Handle::current(), putting.boxed());
            Body::from_stream(receiver)
        };
        let mut client = asked(Router::new().fallback(lasting)).await;
        expect(&mut client, "\r\n\r\n").await;
        for piece in ["one", "two"] {
            due.notify_one();
            expect(&mut client, piece).await;
        }
    }
}
