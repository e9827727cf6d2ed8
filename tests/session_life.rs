//! How long a session without a socket lives, and what becomes of it: the clock is paused.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use tidewire::auth::Identity;
use tidewire::config::RealtimeConfig;
use tidewire::ids::Seq;
use tidewire::realtime::PollLine;
use tidewire::realtime::event_stream::EventStream;
use tidewire::realtime::pieces::PieceLine;
use tidewire::realtime::poll_session::PollSession;
use tidewire::realtime::remote_sessions::{NotTaken, RemoteSession, RemoteSessions};
use tidewire::realtime::transport::{Ended, StreamStart};

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::support::fixtures::{epoch, schema};
use crate::support::live::LiveServer;
use crate::support::puppet::Puppet;

const LIFE: Duration = Duration::from_secs(75);

fn server() -> LiveServer {
    LiveServer::over(Arc::new(Puppet::default()), schema(), epoch(), Seq(1), RealtimeConfig::default())
}

fn ada() -> Identity {
    Identity { user: Some("ada".into()), ..Identity::nobody([127, 0, 0, 1].into()) }
}

fn of_no_channels() -> StreamStart {
    StreamStart { channels: Vec::new(), resume: None, mark: None }
}

/// A session of polls that was greeted.
struct Polled {
    id: Arc<str>,
    line: Arc<PollLine>,
    served: JoinHandle<Ended>,
}

async fn polled(server: &LiveServer) -> Polled {
    let line = Arc::new(PollLine::new(Instant::now()));
    let seat = server.sessions.remote().open(&ada(), Some(line.clone()));
    let id = seat.id().clone();
    let transport = Box::new(PollSession::new(line.clone(), seat, of_no_channels()));
    let sessions = server.sessions.clone();
    let served = tokio::spawn(async move { sessions.serve(transport, ada()).await });
    let greeted = line.collect(0, LIFE).await.unwrap();
    assert_eq!((greeted.cursor, greeted.ended), (1, false));
    Polled { id, line, served }
}

fn found(server: &LiveServer, id: &str) -> Option<RemoteSession> {
    server.sessions.remote().find(id, &ada())
}

#[tokio::test(start_paused = true)]
async fn a_session_of_polls_ends_75_seconds_after_the_last_sign_of_its_client() {
    let server = server();
    let Polled { id, line, served } = polled(&server).await;
    let ping = json!({"type": "ping"}).to_string();
    // Each of these is a sign, and each comes just in time: a frame, and a poll that is answered.
    for n in 0..4 {
        sleep(LIFE - Duration::from_millis(1)).await;
        let session = found(&server, &id).expect("it lives");
        if n % 2 == 0 {
            session.hand_over(ping.clone()).unwrap();
        } else {
            line.collect(0, Duration::ZERO).await.unwrap();
        }
    }
    let last = Instant::now();
    assert_eq!(served.await.unwrap(), Ended::ByPeer);
    assert_eq!(last.elapsed(), LIFE);
    assert!(found(&server, &id).is_none(), "and nobody finds it");
    assert!(
        line.collect(0, Duration::ZERO).await.unwrap().ended,
        "a poll that was under way hears of the end"
    );
    assert_eq!(server.sessions.stats().connections, 0, "its place is free");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_is_a_sign_of_life_until_it_is_answered() {
    let server = server();
    let Polled { id, line, served } = polled(&server).await;
    line.collect(1, Duration::from_secs(60)).await.unwrap();
    sleep(LIFE - Duration::from_millis(1)).await;
    assert!(found(&server, &id).is_some());
    let answered = Instant::now();
    assert_eq!(served.await.unwrap(), Ended::ByPeer);
    assert!(answered.elapsed() <= Duration::from_millis(1));
}

/// What a session is sent does not keep it: only its client does.
#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_polls_ends_although_it_is_sent_frames() {
    let server = server();
    let began = Instant::now();
    let Polled { served, .. } = polled(&server).await;
    // A pong comes every 25 s by itself.
    served.await.unwrap();
    assert_eq!(began.elapsed(), LIFE);
}

#[tokio::test(start_paused = true)]
async fn the_session_of_a_stream_lives_as_long_as_the_stream_and_not_longer() {
    let server = server();
    let PieceLine { sender, receiver: mut pieces } = PieceLine::default();
    let seat = server.sessions.remote().open(&ada(), None);
    let id = seat.id().clone();
    let (sessions, stream) =
        (server.sessions.clone(), Box::new(EventStream::new(sender, seat, of_no_channels())));
    let served = tokio::spawn(async move { sessions.serve(stream, ada()).await });
    let began = Instant::now();
    // Its client says nothing at all: that it takes the heartbeats is its sign of life.
    let mut beats = 0;
    while began.elapsed() < LIFE * 8 {
        let Some(Ok(piece)) = pieces.next().await else { panic!("the stream goes on") };
        beats += usize::from(piece.starts_with(b": heartbeat"));
    }
    assert!(beats >= 39, "{beats} in ten minutes");
    assert!(found(&server, &id).is_some());
    drop(pieces);
    assert_eq!(served.await.unwrap(), Ended::ByPeer);
    assert!(found(&server, &id).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_takes_64_frames_ahead_of_its_connection_and_refuses_one_more() {
    let server = server();
    let remote: &Arc<RemoteSessions> = server.sessions.remote();
    let seat = remote.open(&ada(), None);
    let session = found(&server, seat.id()).unwrap();
    let ping = || json!({"type": "ping"}).to_string();
    for _ in 0..64 {
        session.hand_over(ping()).unwrap();
    }
    assert_eq!(session.hand_over(ping()), Err(NotTaken::Full));
    let id = seat.id().clone();
    drop(seat);
    assert_eq!(
        session.hand_over(ping()),
        Err(NotTaken::Ended),
        "a request that found it before hears of the end too"
    );
    assert!(found(&server, &id).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_belongs_to_the_caller_that_opened_it() {
    let server = server();
    let nobody = || Identity::nobody([127, 0, 0, 1].into());
    let ben = Identity { user: Some("ben".into()), ..nobody() };
    let remote = server.sessions.remote();
    let (of_ada, of_nobody) = (remote.open(&ada(), None), remote.open(&nobody(), None));
    let finds = |id: &str| [&ada(), &ben, &nobody()].map(|caller| remote.find(id, caller).is_some());
    assert_eq!(finds(of_ada.id()), [true, false, false]);
    assert_eq!(finds(of_nobody.id()), [false, false, true], "the id is the only proof");
    assert_eq!(finds(""), [false; 3]);
    let mut ids: Vec<Arc<str>> = (0..1_000).map(|_| remote.open(&ada(), None).id().clone()).collect();
    assert!(ids.iter().all(|id| id.len() == 32), "32 characters of 64 have 192 bits");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1_000);
}
