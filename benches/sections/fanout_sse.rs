//! What a delivery over an event stream costs beside one over a socket: two servers in turns, with as many subscribers and the same
//! creates, once one at a time and once without pause.

use crate::error::Outcome;
use crate::lab::Lab;
use crate::load::Job;
use crate::report::{Aim, Report, Row};
use crate::sections::fanout::{PUBLISHERS, burst, singles};
use crate::sections::{OPENERS, creating};
use crate::server::Server;
use crate::stats::median;
use crate::subscriber::{Fleet, Over, Part};

/// What a delivery over a stream may cost, beside one over a socket.
const AIM: f64 = 1.2;

/// One server with its subscribers.
struct Side {
    label: &'static str,
    server: Server,
    fleet: Fleet,
    job: Job,
    /// Where the fleet subscribed, and creates since.
    start: u64,
    creates: u64,
    /// Microseconds of the server's processor time a delivery, of each round.
    single: Vec<f64>,
    saturated: Vec<f64>,
}

pub(crate) async fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let mut sides =
        [Side::open(lab, "sockets", Over::Socket).await?, Side::open(lab, "streams", Over::Stream).await?];
    let (mut rows, mut all_lost) = (Vec::new(), 0);
    for round in 1..=lab.scale.rounds {
        for side in &mut sides {
            let (row, lost) = side.round(lab, round, report).await?;
            rows.push(row);
            all_lost = all_lost.max(lost);
        }
    }
    report.table("fanout-sse", rows);
    let [sockets, streams] = &sides;
    for (what, sockets, streams) in [
        ("single events", &sockets.single, &streams.single),
        ("saturated", &sockets.saturated, &streams.saturated),
    ] {
        let ratios: Vec<f64> = streams.iter().zip(sockets).map(|(stream, socket)| stream / socket).collect();
        let name = format!("fanout-sse: delivery over a stream / over a socket, {what}");
        report.judge(name, median(&ratios), Aim::AtMost(AIM));
    }
    report.judge_lost("fanout-sse", all_lost);
    Ok(())
}

impl Side {
    async fn open(lab: &Lab, label: &'static str, over: Over) -> Outcome<Side> {
        let server = Server::tidewire(lab).await?;
        let parts = vec![Part { over, ..Part::default() }; lab.scale.subscribers];
        let fleet = Fleet::of(server.addr, parts, OPENERS);
        let start = fleet.subscribed().await?.seq;
        server.settle().await?;
        let job = creating(&server, PUBLISHERS);
        Ok(Side { label, server, fleet, job, start, creates: 0, single: Vec::new(), saturated: Vec::new() })
    }

    /// Creates one at a time, then without pause; how many events were lost so far.
    async fn round(&mut self, lab: &Lab, round: usize, report: &mut Report) -> Outcome<(Row, u64)> {
        let count = lab.scale.single_creates / lab.scale.rounds as u64;
        let mut single = singles(&self.server, &self.fleet, self.start, self.creates, count).await?;
        self.creates += count;
        let burst = burst(lab, &self.server, &self.fleet, &self.job).await?;
        self.creates += burst.creates;
        let lost = self.fleet.drained(self.creates).await?;
        let (one, many) = (single.cost.server_micros_each(single.deliveries), burst.micros_each());
        self.single.push(one);
        self.saturated.push(many);
        let label = format!("round {round}: {}", self.label);
        let cost = burst.cost;
        report.judge_load(&format!("fanout-sse, {label}"), cost.server_busy(), cost.driver_busy());
        let values = vec![
            ("single CPU µs", one),
            ("p50 ms", single.latencies.millis_at(0.5)),
            ("p99 ms", single.latencies.millis_at(0.99)),
            ("saturated CPU µs", many),
            ("deliveries/s", cost.per_second(burst.delivered)),
            ("lost", lost as f64),
            ("server busy %", cost.server_busy()),
            ("driver busy %", cost.driver_busy()),
        ];
        Ok((Row { label, values }, lost))
    }
}
