//! One client comes back after a long absence and gets the log from there, every change of it.

use crate::error::{BenchError, Outcome};
use crate::lab::Lab;
use crate::probe::Probe;
use crate::report::{Report, Row};
use crate::sections::fill;
use crate::server::Server;
use crate::stats::median;
use crate::subscriber::Fleet;

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let first = Fleet::open(server.addr, 1, 1, None);
    let since = first.subscribed().await?;
    first.cut().await;
    let changes = lab.scale.changes;
    fill(server, changes).await?;
    let (mut rates, mut megabytes, mut cpu, mut driver, mut lost) = (vec![], vec![], vec![], vec![], 0);
    for _ in 0..lab.scale.rounds {
        server.settle().await?;
        let probe = Probe::start(server)?;
        let client = Fleet::open(server.addr, 1, 1, Some(&since));
        client.subscribed().await?;
        if !client.until(|crowd| crowd.live.get() == 1).await? {
            return Err(BenchError::Wire("a replay was never closed by the `pong` of its channel".into()));
        }
        let cost = probe.stop(server)?;
        // The closing pong follows the last replayed event, so nothing may come after it.
        lost += changes.abs_diff(client.crowd.events.get()) + client.crowd.faults.get();
        let seconds = (client.crowd.live_at.get() - client.opened_at).as_secs_f64();
        rates.push(changes as f64 / seconds);
        megabytes.push(client.crowd.bytes.get() as f64 / seconds / 1e6);
        cpu.push(cost.server_micros_each(changes));
        driver.push(cost.driver_busy());
        client.cut().await;
    }
    let values = vec![
        ("events/s", median(&rates)),
        ("MB/s", median(&megabytes)),
        ("server CPU µs/event", median(&cpu)),
        ("lost", lost as f64),
        ("driver busy %", median(&driver)),
    ];
    report.table("replay", vec![Row { label: format!("{changes} changes, one client"), values }]);
    report.judge_lost("replay", lost);
    Ok(())
}
