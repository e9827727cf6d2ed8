//! A flood of subscriptions: 10,000 frames a second of one client, who comes back each time it is closed, beside reads of another.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::{BenchError, Outcome};
use crate::http::connect;
use crate::lab::Lab;
use crate::report::{Aim, Report, Row};
use crate::sections::fill;
use crate::sections::logins::Reads;
use crate::sections::reads::ids;
use crate::server::Server;
use crate::stats::Latencies;
use crate::tasks_api::upgrade;
use crate::wire::{TEXT, client_frame};

/// Frames that are sent in a second, so many at a time.
const FRAMES: u32 = 10_000;
const TOGETHER: u32 = 100;
/// The p99 of the same reads without the flood, multiplied, that is aimed at.
const MULTIPLE: f64 = 2.0;

/// What became of the flood.
#[derive(Debug, Default)]
struct Flood {
    frames: Cell<u64>,
    /// Connections that the server ended.
    closed: Cell<u64>,
}

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    fill(server, 1_000).await?;
    let reads = Reads { path: format!("/api/tasks/{}", ids(server).await?[0]), time: lab.scale.window };
    let (mut idle, mut flooded) = (Latencies::default(), Latencies::default());
    let flood = Rc::new(Flood::default());
    for _ in 0..lab.scale.rounds {
        server.settle().await?;
        reads.run(server, &mut idle).await?;
        let flooding = spawn_local(send(server.addr, flood.clone()));
        reads.run(server, &mut flooded).await?;
        if flooding.is_finished() {
            return Err(BenchError::Wire("the flood ended before the reads did".into()));
        }
        flooding.abort();
    }
    let seconds = lab.scale.window.as_secs_f64() * lab.scale.rounds as f64;
    let multiple = flooded.millis_at(0.99) / idle.millis_at(0.99);
    let row = |label: &str, times: &mut Latencies, flood: &Flood, multiple: f64| Row {
        label: label.to_owned(),
        values: vec![
            ("p50 ms", times.millis_at(0.5)),
            ("p99 ms", times.millis_at(0.99)),
            ("p99 / idle", multiple),
            ("frames a second", flood.frames.get() as f64 / seconds),
            ("closed a second", flood.closed.get() as f64 / seconds),
        ],
    };
    let rows = vec![
        row("reads, no flood", &mut idle, &Flood::default(), 1.0),
        row("reads beside a flood of subscriptions", &mut flooded, &flood, multiple),
    ];
    report.table("flood", rows);
    report.judge("flood: p99 of reads beside a flood / idle", multiple, Aim::AtMost(MULTIPLE));
    Ok(())
}

/// Sends until it is aborted. A connection that the server closes is followed by the next.
async fn send(addr: SocketAddr, flood: Rc<Flood>) {
    let mut frames = Vec::new();
    for number in 0..TOGETHER / 2 {
        for kind in ["subscribe", "unsubscribe"] {
            let frame = json!({"type": kind, "channel": format!("entity:Task?title=x{number}")});
            frames.extend(client_frame(TEXT, frame.to_string().as_bytes()));
        }
    }
    let mut ticks = interval(Duration::from_secs(1) * TOGETHER / FRAMES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut scratch = vec![0; 64 << 10];
    loop {
        ticks.tick().await;
        let Ok(mut stream) = connect(addr).await else { continue };
        let mut open = stream.write_all(&upgrade(addr, None, None)).await.is_ok();
        while open {
            tokio::select! {
                _ = ticks.tick() => {
                    open = stream.write_all(&frames).await.is_ok();
                    flood.frames.set(flood.frames.get() + u64::from(TOGETHER));
                }
                read = stream.read(&mut scratch) => open = matches!(read, Ok(1..)),
            }
        }
        flood.closed.set(flood.closed.get() + 1);
    }
}
