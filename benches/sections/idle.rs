//! What a subscribed connection costs in memory while nothing happens, and after its first event.

use std::time::Duration;

use tokio::time::sleep;

use crate::error::Outcome;
use crate::lab::Lab;
use crate::report::{Aim, Report, Row};
use crate::sections::{OPENERS, fill};
use crate::server::Server;
use crate::subscriber::Fleet;

/// KiB of resident memory a connection that are aimed at.
const AIM: f64 = 10.0;

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    // The first write and its read allocate what any server needs once.
    fill(server, 1).await?;
    server.settle().await?;
    let before = server.resident_kib()?;
    let count = lab.scale.connections;
    let fleet = Fleet::open(server.addr, count, OPENERS, None);
    fleet.subscribed().await?;
    server.settle().await?;
    sleep(Duration::from_secs(1)).await;
    let each = |after: u64| after.saturating_sub(before) as f64 / count as f64;
    let idle = each(server.resident_kib()?);
    // An event that reaches all of them proves that all are subscribed.
    fill(server, 1).await?;
    let lost = fleet.drained(1).await?;
    server.settle().await?;
    let values = vec![
        ("base MiB", before as f64 / 1024.0),
        ("KiB/connection", idle),
        ("KiB/connection after an event", each(server.resident_kib()?)),
        ("lost", lost as f64),
    ];
    report.table("idle", vec![Row { label: format!("{count} connections"), values }]);
    report.judge("idle: KiB of resident memory a connection", idle, Aim::AtMost(AIM));
    report.judge_lost("idle", lost);
    Ok(())
}
