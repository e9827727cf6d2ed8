//! Creates over HTTP beside the echo, in alternating rounds, so that a disturbance hits both.

use std::rc::Rc;

use crate::error::Outcome;
use crate::lab::Lab;
use crate::load::{Job, Window, measure};
use crate::report::{Aim, Report, Row};
use crate::sections::creating;
use crate::server::Server;
use crate::stats::{Latencies, median};
use crate::tasks_api;

const CLIENTS: [usize; 4] = [1, 16, 64, 128];

/// The number of clients at which the aim is set, and the share of the echo that is aimed at.
const AIM: (usize, f64) = (64, 0.3);

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let echo = Server::echo(lab).await?;
    let mut rows = Vec::new();
    for clients in CLIENTS {
        let floor = echoing(&echo, clients);
        let work = creating(server, clients);
        let (mut floors, mut works) = (Rounds::default(), Rounds::default());
        for _ in 0..lab.scale.rounds {
            floors.add(measure(&echo, &floor, &lab.scale).await?);
            works.add(measure(server, &work, &lab.scale).await?);
        }
        if clients >= AIM.0 {
            floors.judge_load(&format!("creates, echo at {clients} clients"), report);
            works.judge_load(&format!("creates at {clients} clients"), report);
        }
        let ratio = works.share_of(&floors);
        if clients == AIM.0 {
            report.judge("creates: share of the echo at 64 clients", ratio, Aim::AtLeast(AIM.1));
        }
        let mut values = works.columns();
        values.extend([("echo/s", floors.rate()), ("echo CPU µs", floors.cpu()), ("share of echo", ratio)]);
        rows.push(Row { label: format!("{clients} clients"), values });
    }
    report.table("creates", rows);
    Ok(())
}

fn echoing(echo: &Server, clients: usize) -> Job {
    let request = tasks_api::create(echo.addr, "/");
    Job { addr: echo.addr, clients, requests: Rc::new(vec![request]), status: 201 }
}

/// Windows of the same work, of which medians count.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    rates: Vec<f64>,
    cpu: Vec<f64>,
    server_busy: Vec<f64>,
    driver_busy: Vec<f64>,
    latencies: Latencies,
}

impl Rounds {
    pub(crate) fn add(&mut self, window: Window) {
        let Window { cost, latencies } = window;
        let count = latencies.len() as u64;
        self.rates.push(cost.per_second(count));
        self.cpu.push(cost.server_micros_each(count));
        self.server_busy.push(cost.server_busy());
        self.driver_busy.push(cost.driver_busy());
        self.latencies.append(latencies);
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        median(&self.rates)
    }

    /// The median of the rounds' ratios: both sides of one round had the same neighbours.
    fn share_of(&self, floor: &Rounds) -> f64 {
        let shares = self.rates.iter().zip(&floor.rates).map(|(rate, floor)| rate / floor);
        median(&shares.collect::<Vec<f64>>())
    }

    /// Microseconds of the server's processor time for each answer.
    pub(crate) fn cpu(&self) -> f64 {
        median(&self.cpu)
    }

    fn judge_load(&self, label: &str, report: &mut Report) {
        report.judge_load(label, median(&self.server_busy), median(&self.driver_busy));
    }

    pub(crate) fn columns(&mut self) -> Vec<(&'static str, f64)> {
        vec![
            ("per second", self.rate()),
            ("p50 ms", self.latencies.millis_at(0.5)),
            ("p99 ms", self.latencies.millis_at(0.99)),
            ("server CPU µs", self.cpu()),
            ("server busy %", median(&self.server_busy)),
            ("driver busy %", median(&self.driver_busy)),
        ]
    }
}
