//! Everybody comes back at once, as after a cut: with nothing missed, and with ten changes missed.

use crate::error::{BenchError, Outcome};
use crate::lab::Lab;
use crate::probe::Probe;
use crate::report::{Report, Row};
use crate::sections::{OPENERS, fill};
use crate::server::Server;
use crate::stats::median;
use crate::subscriber::{Fleet, Position};

/// Changes that every client misses in the second kind of storm.
const MISSED: u64 = 10;

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let count = lab.scale.connections;
    let mut fleet = Fleet::open(server.addr, count, OPENERS, None);
    let mut since = fleet.subscribed().await?;
    let (mut rows, mut lost_in_all) = (Vec::new(), 0);
    for missed in [0, MISSED] {
        let mut storms = Vec::new();
        for _ in 0..lab.scale.rounds {
            fleet.cut().await;
            fill(server, missed).await?;
            server.settle().await?;
            let storm;
            (fleet, storm) = resume(server, count, &since, missed).await?;
            since.seq += missed;
            storms.push(storm);
        }
        let lost = storms.iter().map(|storm| storm.lost).sum::<u64>();
        let of = |pick: fn(&Storm) -> f64| median(&storms.iter().map(pick).collect::<Vec<f64>>());
        let values = vec![
            ("all subscribed s", of(|storm| storm.subscribed)),
            ("all through s", of(|storm| storm.through)),
            ("server CPU µs/reconnect", of(|storm| storm.cpu)),
            ("lost", lost as f64),
            ("driver CPU µs/reconnect", of(|storm| storm.driver)),
        ];
        rows.push(Row { label: format!("{count} connections, {missed} missed"), values });
        lost_in_all += lost;
    }
    report.table("storm", rows);
    report.judge_lost("storm", lost_in_all);
    fleet.cut().await;
    Ok(())
}

#[derive(Debug)]
struct Storm {
    /// Seconds until the last `subscribed`.
    subscribed: f64,
    /// Seconds until the last closing `pong`, everything missed delivered.
    through: f64,
    /// Microseconds of the server's processor time a connection.
    cpu: f64,
    /// The same of the driver's.
    driver: f64,
    lost: u64,
}

async fn resume(server: &Server, count: usize, since: &Position, missed: u64) -> Outcome<(Fleet, Storm)> {
    let probe = Probe::start(server)?;
    let fleet = Fleet::open(server.addr, count, count, Some(since));
    fleet.subscribed().await?;
    if !fleet.until(|crowd| crowd.live.get() == count).await? {
        let live = fleet.crowd.live.get();
        return Err(BenchError::Wire(format!(
            "only {live} of {count} channels came through with their `pong`"
        )));
    }
    let cost = probe.stop(server)?;
    let lost = fleet.drained(missed).await?;
    let storm = Storm {
        subscribed: (fleet.crowd.subscribed_at.get() - fleet.opened_at).as_secs_f64(),
        through: (fleet.crowd.live_at.get() - fleet.opened_at).as_secs_f64(),
        cpu: cost.server_micros_each(count as u64),
        driver: cost.driver.as_secs_f64() * 1e6 / count as f64,
        lost,
    };
    Ok((fleet, storm))
}
