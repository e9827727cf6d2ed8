//! Churn of presence: a thousand joins a second, each with its leave, beside creates of others. How much longer they take.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
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
use crate::wire::{TEXT, client_frame, frame};

/// Sockets that join and leave without pause, and how often each joins in a second.
const SOCKETS: usize = 50;
const JOINS: u32 = 20;
/// Sockets that are at one resource together.
const TOGETHER: usize = 10;
/// The p99 of the same creates on an idle server, multiplied, that is aimed at.
const MULTIPLE: f64 = 2.0;

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let (mut idle, mut churned) = (Latencies::default(), Latencies::default());
    let (joins, mut seconds) = (Rc::new(Joins::default()), 0.0);
    for _ in 0..lab.scale.rounds {
        creates(server, lab.scale.single_creates, &mut idle).await?;
        let mut sockets = JoinSet::new();
        for number in 0..SOCKETS {
            sockets.spawn_local(churn(server.addr, number, joins.clone()));
        }
        let begun = Instant::now();
        creates(server, lab.scale.single_creates, &mut churned).await?;
        seconds += begun.elapsed().as_secs_f64();
        // A socket ends only when it failed.
        if let Some(ended) = sockets.try_join_next() {
            ended.map_err(|error| BenchError::Wire(format!("a socket ended: {error}")))??;
        }
        sockets.shutdown().await;
    }
    let multiple = churned.millis_at(0.99) / idle.millis_at(0.99);
    report.table(
        "presence",
        vec![
            row("creates, idle", &mut idle, &Joins::default(), seconds),
            row("creates, 1,000 joins a second", &mut churned, &joins, seconds),
        ],
    );
    if joins.refused.get() > 0 {
        report.warn("joins were refused: fewer took place than the section is named after");
    }
    report.judge("presence: p99 of creates under churn / idle", multiple, Aim::AtMost(MULTIPLE));
    Ok(())
}

/// What became of joins, of all sockets together.
#[derive(Debug, Default)]
struct Joins {
    granted: Cell<u64>,
    /// Answered with an error.
    refused: Cell<u64>,
}

fn row(label: &str, latencies: &mut Latencies, joins: &Joins, seconds: f64) -> Row {
    let values = vec![
        ("p50 ms", latencies.millis_at(0.5)),
        ("p99 ms", latencies.millis_at(0.99)),
        ("joins a second", joins.granted.get() as f64 / seconds),
        ("refused a second", joins.refused.get() as f64 / seconds),
    ];
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
async fn churn(addr: SocketAddr, number: usize, joins: Rc<Joins>) -> Outcome<()> {
    let mut stream = connect(addr).await?;
    let send = |source| BenchError::io("send to a socket", source);
    stream.write_all(&upgrade(addr, Some(&format!("u{number}")), None)).await.map_err(send)?;
    let channel = format!("presence:churn/{}", number / TOGETHER);
    let ask =
        |kind: &str| client_frame(TEXT, json!({"type": kind, "channel": channel}).to_string().as_bytes());
    let (join, leave) = (ask("presence:join"), ask("presence:leave"));
    let mut ticks = interval(Duration::from_secs(1) / JOINS);
    let mut buffer = Vec::new();
    head(&mut stream, &mut buffer).await?;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                stream.write_all(&join).await.map_err(send)?;
                stream.write_all(&leave).await.map_err(send)?;
            }
            read = read(&mut stream, &mut buffer) => {
                read?;
                joins.count(&mut buffer)?;
            }
        }
    }
}

impl Joins {
    /// Takes whole frames off the front. A join is answered with the list of who is there, or with an error; a leave with nothing.
    fn count(&self, buffer: &mut Vec<u8>) -> Outcome<()> {
        let mut taken = 0;
        while let Some(frame) = frame(&buffer[taken..])? {
            taken += frame.size;
            let is = |kind: &[u8]| frame.payload.windows(kind.len()).any(|bytes| bytes == kind);
            if is(br#""type":"presence:sync""#) {
                self.granted.set(self.granted.get() + 1);
            } else if is(br#""type":"error""#) {
                self.refused.set(self.refused.get() + 1);
            }
        }
        buffer.drain(..taken);
        Ok(())
    }
}

/// Takes the answer to the upgrade.
async fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Outcome<()> {
    loop {
        read(stream, buffer).await?;
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            buffer.drain(..end + 4);
            return Ok(());
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Outcome<()> {
    match stream.read_buf(buffer).await.map_err(|source| BenchError::io("read from a socket", source))? {
        0 => Err(BenchError::Wire("the server closed a socket".into())),
        _ => Ok(()),
    }
}
