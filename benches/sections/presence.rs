//! Churn of presence: a thousand joins a second, each with its leave, beside creates of others. How much longer they take.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::{BenchError, Outcome};
use crate::http::{HttpClient, connect};
use crate::lab::Lab;
use crate::options::SINGLE_RATE;
use crate::report::{Aim, Report, Row};
use crate::server::Server;
use crate::stats::Latencies;
use crate::tasks_api::{self, upgrade};
use crate::wire::{TEXT, client_frame};

/// Sockets that join and leave without pause, and how often each joins in a second.
const SOCKETS: usize = 50;
const JOINS: u32 = 20;
/// Sockets that are at one resource together.
const TOGETHER: usize = 10;
/// The p99 of the same creates on an idle server, multiplied, that is aimed at.
const MULTIPLE: f64 = 2.0;

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let (mut idle, mut churned) = (Latencies::default(), Latencies::default());
    for _ in 0..lab.scale.rounds {
        creates(server, lab.scale.single_creates, &mut idle).await?;
        let mut sockets = JoinSet::new();
        for number in 0..SOCKETS {
            sockets.spawn_local(churn(server.addr, number));
        }
        creates(server, lab.scale.single_creates, &mut churned).await?;
        // A socket ends only when it failed.
        if let Some(ended) = sockets.try_join_next() {
            ended.map_err(|error| BenchError::Wire(format!("a socket ended: {error}")))??;
        }
        sockets.shutdown().await;
    }
    let multiple = churned.millis_at(0.99) / idle.millis_at(0.99);
    report.table(
        "presence",
        vec![row("creates, idle", &mut idle), row("creates, 1,000 joins a second", &mut churned)],
    );
    report.judge("presence: p99 of creates under churn / idle", multiple, Aim::AtMost(MULTIPLE));
    Ok(())
}

fn row(label: &str, latencies: &mut Latencies) -> Row {
    let values = vec![("p50 ms", latencies.millis_at(0.5)), ("p99 ms", latencies.millis_at(0.99))];
    Row { label: label.to_owned(), values }
}

/// One at a time, at the pace of `idle-create`.
async fn creates(server: &Server, count: u64, latencies: &mut Latencies) -> Outcome<()> {
    let mut client = HttpClient::connect(server.addr).await?;
    let request = tasks_api::create(server.addr, "/api/tasks");
    client.ask(&request).await?.expect(201)?;
    let mut ticks = interval(Duration::from_secs(1) / SINGLE_RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..count {
        ticks.tick().await;
        let sent = Instant::now();
        client.ask(&request).await?.expect(201)?;
        latencies.add(sent.elapsed());
    }
    Ok(())
}

/// Joins and leaves in turn, and reads what comes, until it is dropped.
async fn churn(addr: SocketAddr, number: usize) -> Outcome<()> {
    let mut stream = connect(addr).await?;
    let send = |source| BenchError::io("send to a socket", source);
    stream.write_all(&upgrade(addr, Some(&format!("u{number}")), None)).await.map_err(send)?;
    let channel = format!("presence:churn/{}", number / TOGETHER);
    let frame =
        |kind: &str| client_frame(TEXT, json!({"type": kind, "channel": channel}).to_string().as_bytes());
    let (join, leave) = (frame("presence:join"), frame("presence:leave"));
    let mut ticks = interval(Duration::from_secs(1) / JOINS);
    let mut scratch = vec![0; 64 << 10];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                stream.write_all(&join).await.map_err(send)?;
                stream.write_all(&leave).await.map_err(send)?;
            }
            read = read(&mut stream, &mut scratch) => read?,
        }
    }
}

async fn read(stream: &mut TcpStream, scratch: &mut [u8]) -> Outcome<()> {
    match stream.read(scratch).await.map_err(|source| BenchError::io("read from a socket", source))? {
        0 => Err(BenchError::Wire("the server closed a socket".into())),
        _ => Ok(()),
    }
}
