//! Two hundred logins a second beside other requests, and thousands of sockets that bring their token at the same moment.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::report::{Aim, Report, Row};
use crate::sections::fill;
use crate::sections::reads::ids;
use crate::server::Server;
use crate::stats::Latencies;
use crate::subscriber::{Fleet, Part};
use crate::tasks_api::{get, post_for};
use crate::wire::printable;

/// Logins that are begun in a second. Each client has a connection, a name and an address of its own.
const LOGINS: u32 = 200;
const CLIENTS: u32 = 100;
/// Reads a second of which the times are kept.
const READS: u32 = 500;
/// The p99 of the same reads without logins, multiplied, that is aimed at.
const MULTIPLE: f64 = 2.0;
/// Seconds in which all sockets are to be in.
const ALL_IN: f64 = 2.0;
/// Users of the sockets.
const USERS: u32 = 50;

const PASSWORD: &str = "correct horse battery";

pub(crate) async fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let server = Server::with_users(lab).await?;
    fill(&server, 1_000).await?;
    beside_reads(lab, &server, report).await?;
    at_once(lab, &server, report).await
}

/// A new user; the token of its first session.
pub(crate) async fn register(server: &Server, name: &str) -> Outcome<String> {
    let mut client = HttpClient::connect(server.addr).await?;
    let body = json!({ "name": name, "password": PASSWORD }).to_string();
    // Registrations of one address are throttled.
    let address = address_of(name.bytes().fold(0, |sum: u32, byte| sum.wrapping_mul(31) + u32::from(byte)));
    let request = post_for(server.addr, "/api/auth/register", &address, &body);
    let answer = client.ask(&request).await?.expect(201)?;
    let granted: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let token = granted["token"].as_str().map(str::to_owned);
    token.ok_or_else(|| BenchError::Wire(format!("no token in {}", printable(answer.body))))
}

fn address_of(number: u32) -> String {
    let [_, high, middle, low] = number.to_be_bytes();
    format!("10.{high}.{middle}.{low}")
}

async fn beside_reads(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    for number in 0..CLIENTS {
        register(server, &format!("user{number}")).await?;
    }
    let reads = Reads { path: format!("/api/tasks/{}", ids(server).await?[0]), time: lab.scale.window };
    let (mut idle, mut busy) = (Latencies::default(), Latencies::default());
    let mut logins = Logins::default();
    for _ in 0..lab.scale.rounds {
        server.settle().await?;
        reads.run(server, &mut idle).await?;
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn_local(log_in(server.addr, number, lab.scale.window));
        }
        reads.run(server, &mut busy).await?;
        while let Some(ended) = clients.join_next().await {
            logins.add(&ended.map_err(|error| BenchError::Wire(format!("a client ended: {error}")))??);
        }
    }
    let seconds = lab.scale.window.as_secs_f64() * lab.scale.rounds as f64;
    let multiple = busy.millis_at(0.99) / idle.millis_at(0.99);
    let row = |label: &str, times: &mut Latencies, logins: &Logins, multiple: f64| Row {
        label: label.to_owned(),
        values: vec![
            ("p50 ms", times.millis_at(0.5)),
            ("p99 ms", times.millis_at(0.99)),
            ("p99 / idle", multiple),
            ("logins a second", logins.granted as f64 / seconds),
            ("refused a second", logins.refused as f64 / seconds),
        ],
    };
    let rows = vec![
        row("reads, no login", &mut idle, &Logins::default(), 1.0),
        row("reads beside 200 logins a second", &mut busy, &logins, multiple),
    ];
    report.table("logins", rows);
    report.judge("logins: p99 of reads beside 200 logins a second / idle", multiple, Aim::AtMost(MULTIPLE));
    Ok(())
}

/// Reads of one record, one at a time.
pub(super) struct Reads {
    pub(super) path: String,
    pub(super) time: Duration,
}

impl Reads {
    /// At a steady pace.
    pub(super) async fn run(&self, server: &Server, latencies: &mut Latencies) -> Outcome<()> {
        let mut client = HttpClient::connect(server.addr).await?;
        let request = get(server.addr, &self.path);
        client.ask(&request).await?.expect(200)?;
        let mut ticks = interval(Duration::from_secs(1) / READS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let end = Instant::now() + self.time;
        while Instant::now() < end {
            ticks.tick().await;
            let sent = Instant::now();
            client.ask(&request).await?.expect(200)?;
            latencies.add(sent.elapsed());
        }
        Ok(())
    }
}

/// What came of logins.
#[derive(Debug, Default)]
struct Logins {
    granted: u64,
    /// The server had too many under way.
    refused: u64,
}

impl Logins {
    fn add(&mut self, other: &Logins) {
        self.granted += other.granted;
        self.refused += other.refused;
    }
}

/// A share of the logins, one at a time: a client that waits begins no other.
async fn log_in(addr: SocketAddr, number: u32, time: Duration) -> Outcome<Logins> {
    let mut client = HttpClient::connect(addr).await?;
    let body = json!({ "name": format!("user{number}"), "password": PASSWORD }).to_string();
    let request = post_for(addr, "/api/auth/login", &address_of(number), &body);
    let mut ticks = interval(Duration::from_secs(1) * CLIENTS / LOGINS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (end, mut logins) = (Instant::now() + time, Logins::default());
    while Instant::now() < end {
        ticks.tick().await;
        match client.ask(&request).await?.head.status {
            200 => logins.granted += 1,
            503 => logins.refused += 1,
            status => return Err(BenchError::Wire(format!("a login was answered with {status}"))),
        }
    }
    Ok(logins)
}

async fn at_once(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let mut tokens: Vec<Rc<str>> = Vec::new();
    for number in 0..USERS {
        tokens.push(register(server, &format!("socket{number}")).await?.into());
    }
    server.settle().await?;
    let count = lab.scale.connections;
    let turns = tokens.iter().cycle().take(count);
    let parts = turns.map(|token| Part { token: Some(token.clone()), ..Part::default() }).collect();
    let fleet = Fleet::of(server.addr, parts, count);
    fleet.subscribed().await?;
    let seconds = (fleet.crowd.subscribed_at.get() - fleet.opened_at).as_secs_f64();
    let label = format!("{count} sockets with tokens at once");
    report.table("logins, sockets", vec![Row { label, values: vec![("all subscribed s", seconds)] }]);
    report.judge("logins: seconds until all sockets are in", seconds, Aim::AtMost(ALL_IN));
    fleet.cut().await;
    Ok(())
}
