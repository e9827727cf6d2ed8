//! A pause of the whole process, longer than its deadlines: what came meanwhile is answered.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use tidewire::http::patient_timer::PatientSleep;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::rest_of;
use crate::support::process::Process;

/// One of the runtime's workers sees the timers first, another one the sockets: many connections see both.
const CONNECTIONS: usize = 40;

fn get(address: SocketAddr, last: &str) -> String {
    format!("GET /api/tasks HTTP/1.1\r\nHost: {address}\r\n{last}\r\n")
}

/// Reads the head of one answer and whatever came with it.
async fn answered(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    let count = stream.read(&mut bytes).await.unwrap();
    assert!(bytes[..count].starts_with(b"HTTP/1.1 200"));
}

/// A body that waits for its last byte.
fn create_but_for_a_byte(address: SocketAddr) -> String {
    format!(
        "POST /api/tasks HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: 13\r\nConnection: close\r\n\r\n{{\"title\":\"x\""
    )
}

#[tokio::test]
async fn requests_that_wait_while_the_process_is_stopped_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::with(&folder.path().join("data"), 0, |command| {
        command.args(["--set", "http.header_timeout=3s", "--set", "http.body_timeout=3s"]);
    })
    .await;
    let address = process.address;
    let (mut resting, mut half) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(get(address, "").as_bytes()).await.unwrap();
        answered(&mut stream).await;
        resting.push(stream);
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(create_but_for_a_byte(address).as_bytes()).await.unwrap();
        half.push(stream);
    }
    process.signal("STOP").await;
    for (stream, half) in resting.iter_mut().zip(&mut half) {
        stream.write_all(get(address, "Connection: close\r\n").as_bytes()).await.unwrap();
        half.write_all(b"}").await.unwrap();
    }
    // The pause is what is tried here: it must be longer than the deadlines.
    tokio::time::sleep(Duration::from_millis(3300)).await;
    process.signal("CONT").await;
    let (mut lost, mut late) = (0, 0);
    for (stream, half) in resting.iter_mut().zip(&mut half) {
        lost += usize::from(!rest_of(stream).await.starts_with("HTTP/1.1 200"));
        late += usize::from(!rest_of(half).await.starts_with("HTTP/1.1 201"));
    }
    assert_eq!((lost, late), (0, 0), "of {CONNECTIONS} requests and as many bodies each");
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_has_passed_waits_for_one_more_look_at_the_sockets() {
    let mut late = PatientSleep::until(Instant::now() + Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!((&mut late).now_or_never().is_none(), "the runtime has not looked at its sockets yet");
    let looked = Instant::now();
    late.await;
    assert!(looked.elapsed() <= Duration::from_millis(100), "{:?}", looked.elapsed());
}
