//! From a create to a thousand sockets: one event at a time, and as fast as eight publishers can.

use tokio::time::{Instant, interval, sleep};

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::load::{Job, Load};
use crate::options::SINGLE_RATE;
use crate::probe::{Cost, Probe};
use crate::report::{Aim, Report, Row};
use crate::sections::{OPENERS, creating};
use crate::server::Server;
use crate::stats::{Latencies, median};
use crate::subscriber::Fleet;
use crate::tasks_api;

pub(super) const PUBLISHERS: usize = 8;

/// Microseconds of the server's processor time a delivery that are aimed at.
const SINGLE_AIM: f64 = 8.0;
const SATURATED_AIM: f64 = 1.0;

/// Single events: every burst is over before the next begins, so nothing can be put together.
pub(crate) async fn single(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let fleet = Fleet::open(server.addr, lab.scale.subscribers, OPENERS, None);
    let position = fleet.subscribed().await?;
    server.settle().await?;
    let Singles { cost, deliveries, lost, mut answers, mut latencies } =
        singles(server, &fleet, position.seq, 0, lab.scale.single_creates).await?;
    let each = cost.server_micros_each(deliveries);
    let values = vec![
        ("deliveries", deliveries as f64),
        ("lost", lost as f64),
        ("server CPU µs/delivery", each),
        ("delivery p50 ms", latencies.millis_at(0.5)),
        ("delivery p99 ms", latencies.millis_at(0.99)),
        ("answer p50 ms", answers.millis_at(0.5)),
        ("bytes/event", fleet.crowd.bytes.get() as f64 / deliveries.max(1) as f64),
        ("driver busy %", cost.driver_busy()),
    ];
    let label = format!("{} subscribers, {SINGLE_RATE} creates/s", lab.scale.subscribers);
    report.table("fanout-single", vec![Row { label, values }]);
    report.judge("fanout-single: server CPU µs a delivery", each, Aim::AtMost(SINGLE_AIM));
    report.judge_lost("fanout-single", lost);
    Ok(())
}

/// What it costs to publish slowly.
pub(crate) struct Singles {
    pub(crate) cost: Cost,
    pub(crate) deliveries: u64,
    pub(crate) lost: u64,
    pub(crate) answers: Latencies,
    pub(crate) latencies: Latencies,
}

/// Creates at a fixed rate, and what became of them. `start`: where the fleet subscribed; `before`: creates since.
pub(crate) async fn singles(
    server: &Server,
    fleet: &Fleet,
    start: u64,
    before: u64,
    count: u64,
) -> Outcome<Singles> {
    let delivered = fleet.crowd.events.get();
    let probe = Probe::start(server)?;
    let answers = publish_slowly(server, fleet, start + before, count).await?;
    let lost = fleet.drained(before + count).await?;
    let cost = probe.stop(server)?;
    let deliveries = fleet.crowd.events.get() - delivered;
    let latencies = fleet.crowd.clock.take().latencies;
    Ok(Singles { cost, deliveries, lost, answers, latencies })
}

/// Creates at a fixed rate after `last`, noting when each was sent; how long the answers took.
async fn publish_slowly(server: &Server, fleet: &Fleet, last: u64, count: u64) -> Outcome<Latencies> {
    let mut client = HttpClient::connect(server.addr).await?;
    let request = tasks_api::create(server.addr, "/api/tasks");
    let mut ticks = interval(std::time::Duration::from_secs(1) / SINGLE_RATE);
    let mut answers = Latencies::default();
    fleet.crowd.clock.borrow_mut().first = last + 1;
    for index in 1..=count {
        ticks.tick().await;
        let sent = Instant::now();
        fleet.crowd.clock.borrow_mut().sent.push(sent);
        let seq = client.ask(&request).await?.expect(201)?.seq()?;
        answers.add(sent.elapsed());
        if seq != last + index {
            let expected = last + index;
            return Err(BenchError::Wire(format!("create {index} got seq {seq} and not {expected}")));
        }
    }
    Ok(answers)
}

/// Saturation: eight publishers that create again as soon as they are answered.
pub(crate) async fn saturated(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let fleet = Fleet::open(server.addr, lab.scale.subscribers, OPENERS, None);
    fleet.subscribed().await?;
    let (mut rows, mut each) = (Vec::new(), Vec::new());
    let (mut creates, mut lost) = (0, 0);
    let job = creating(server, PUBLISHERS);
    for round in 1..=lab.scale.rounds {
        let burst = burst(lab, server, &fleet, &job).await?;
        creates += burst.creates;
        lost = fleet.drained(creates).await?;
        each.push(burst.micros_each());
        let label = format!("round {round}: {} subscribers", lab.scale.subscribers);
        rows.push(burst.row("fanout-saturated", label, lost, report));
    }
    report.table("fanout-saturated", rows);
    let name = "fanout-saturated: server CPU µs a delivery";
    report.judge(name, median(&each), Aim::AtMost(SATURATED_AIM));
    report.judge_lost("fanout-saturated", lost);
    Ok(())
}

/// What it costs to publish without pause for a while.
pub(crate) struct Burst {
    /// Creates from the first to the last, also outside of what was measured.
    pub(crate) creates: u64,
    pub(crate) cost: Cost,
    answered: u64,
    pub(crate) delivered: u64,
}

pub(crate) async fn burst(lab: &Lab, server: &Server, fleet: &Fleet, job: &Job) -> Outcome<Burst> {
    let load = Load::start(job, u64::MAX).await?;
    sleep(lab.scale.warm_up).await;
    let (answered, delivered) = (load.answered(), fleet.crowd.events.get());
    let probe = Probe::start(server)?;
    sleep(lab.scale.window * 2).await;
    let cost = probe.stop(server)?;
    let (answered, delivered) = (load.answered() - answered, fleet.crowd.events.get() - delivered);
    Ok(Burst { creates: load.stop().await?.0, cost, answered, delivered })
}

impl Burst {
    /// Microseconds of the server's processor time a delivery.
    pub(crate) fn micros_each(&self) -> f64 {
        self.cost.server_micros_each(self.delivered)
    }

    pub(crate) fn row(&self, section: &str, label: String, lost: u64, report: &mut Report) -> Row {
        let cost = &self.cost;
        report.judge_load(&format!("{section}, {label}"), cost.server_busy(), cost.driver_busy());
        let values = vec![
            ("deliveries/s", cost.per_second(self.delivered)),
            ("creates/s", cost.per_second(self.answered)),
            ("server CPU µs/delivery", self.micros_each()),
            ("lost", lost as f64),
            ("server busy %", cost.server_busy()),
            ("driver busy %", cost.driver_busy()),
        ];
        Row { label, values }
    }
}
