//! One create at a time on a server with nothing else to do: how long a person waits, and how often threads change for it.
//! Beside the echo, at the same pace and in turns.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::Outcome;
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::options::SINGLE_RATE;
use crate::probe::{Cost, Probe};
use crate::report::{Aim, Report, Row};
use crate::server::Server;
use crate::stats::Latencies;
use crate::tasks_api;

/// The echo's p50, multiplied, and the context switches of the server for a create, that are aimed at.
const MULTIPLE: f64 = 2.8;
const SWITCHES: f64 = 10.0;

/// One side of the comparison.
struct Side<'a> {
    label: &'static str,
    server: &'a Server,
    path: &'static str,
    latencies: Latencies,
    switches: u64,
    busy: Duration,
}

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let echo = Server::echo(lab).await?;
    let mut sides = [side("echo", &echo, "/"), side("create", server, "/api/tasks")];
    for _ in 0..lab.scale.rounds {
        for side in &mut sides {
            side.round(lab.scale.single_creates).await?;
        }
    }
    let [mut floor, mut work] = sides;
    let (multiple, switches) = (work.p50() / floor.p50(), work.switches_each());
    report.table("idle-create", vec![floor.row(), work.row()]);
    report.judge("idle-create: p50 / p50 of the echo", multiple, Aim::AtMost(MULTIPLE));
    report.judge("idle-create: context switches a create", switches, Aim::AtMost(SWITCHES));
    Ok(())
}

fn side<'a>(label: &'static str, server: &'a Server, path: &'static str) -> Side<'a> {
    Side { label, server, path, latencies: Latencies::default(), switches: 0, busy: Duration::ZERO }
}

impl Side<'_> {
    async fn round(&mut self, count: u64) -> Outcome<()> {
        let mut client = HttpClient::connect(self.server.addr).await?;
        let request = tasks_api::create(self.server.addr, self.path);
        client.ask(&request).await?.expect(201)?;
        let mut ticks = interval(Duration::from_secs(1) / SINGLE_RATE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.server.settle().await?;
        let probe = Probe::start(self.server)?;
        for _ in 0..count {
            ticks.tick().await;
            let sent = Instant::now();
            client.ask(&request).await?.expect(201)?;
            self.latencies.add(sent.elapsed());
        }
        let Cost { server, switches, .. } = probe.stop(self.server)?;
        self.switches += switches;
        self.busy += server;
        Ok(())
    }

    fn p50(&mut self) -> f64 {
        self.latencies.millis_at(0.5)
    }

    fn switches_each(&self) -> f64 {
        self.switches as f64 / self.latencies.len().max(1) as f64
    }

    fn row(&mut self) -> Row {
        let each = self.busy.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64;
        let values = vec![
            ("p50 ms", self.p50()),
            ("p99 ms", self.latencies.millis_at(0.99)),
            ("switches", self.switches_each()),
            ("server CPU µs", each),
        ];
        Row { label: format!("{}, {SINGLE_RATE} a second", self.label), values }
    }
}
