//! Closed-loop HTTP load: each client asks, waits for the answer, asks again. Knows neither Tidewire nor what a
//! request means.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::options::Scale;
use crate::probe::{Cost, Probe};
use crate::server::Server;
use crate::stats::Latencies;

/// What the clients send, and what they must get.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) addr: SocketAddr,
    pub(crate) clients: usize,
    /// Finished requests, sent in turn; each client begins elsewhere.
    pub(crate) requests: Rc<Vec<Vec<u8>>>,
    pub(crate) status: u16,
}

/// Running clients.
#[derive(Debug)]
pub(crate) struct Load {
    clients: JoinSet<Outcome<()>>,
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Requests that may still be sent.
    left: Cell<u64>,
    answered: Cell<u64>,
    recording: Cell<bool>,
    latencies: RefCell<Latencies>,
}

/// One measured window of load.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) cost: Cost,
    pub(crate) latencies: Latencies,
}

impl Load {
    /// Connects all clients and lets them send at most `limit` requests together.
    pub(crate) async fn start(job: &Job, limit: u64) -> Outcome<Load> {
        let shared = Rc::new(Shared {
            left: Cell::new(limit),
            answered: Cell::new(0),
            recording: Cell::new(false),
            latencies: RefCell::default(),
        });
        let mut clients = JoinSet::new();
        for index in 0..job.clients {
            let client = HttpClient::connect(job.addr).await?;
            let first = index * job.requests.len() / job.clients;
            clients.spawn_local(ask(client, job.clone(), first, Rc::clone(&shared)));
        }
        Ok(Load { clients, shared })
    }

    /// From now on the time of each answer is kept.
    pub(crate) fn record(&self) {
        self.shared.recording.set(true);
    }

    /// Answers so far with the right status.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.get()
    }

    /// Lets the requests in flight end; the number of all answers and the recorded times.
    pub(crate) async fn stop(self) -> Outcome<(u64, Latencies)> {
        self.shared.left.set(0);
        self.finish().await
    }

    /// Waits until all requests of the limit are answered.
    pub(crate) async fn finish(mut self) -> Outcome<(u64, Latencies)> {
        while let Some(client) = self.clients.join_next().await {
            client.map_err(|error| BenchError::Wire(format!("a client ended: {error}")))??;
        }
        Ok((self.shared.answered.get(), self.shared.latencies.take()))
    }
}

/// Warms up, then measures for the window of `scale`.
pub(crate) async fn measure(server: &Server, job: &Job, scale: &Scale) -> Outcome<Window> {
    let load = Load::start(job, u64::MAX).await?;
    sleep(scale.warm_up).await;
    let probe = Probe::start(server)?;
    load.record();
    sleep(scale.window).await;
    load.shared.recording.set(false);
    let cost = probe.stop(server)?;
    let (_, latencies) = load.stop().await?;
    Ok(Window { cost, latencies })
}

async fn ask(mut client: HttpClient, job: Job, first: usize, shared: Rc<Shared>) -> Outcome<()> {
    for request in job.requests.iter().cycle().skip(first) {
        let left = shared.left.get();
        if left == 0 {
            break;
        }
        shared.left.set(left - 1);
        let start = Instant::now();
        client.ask(request).await?.expect(job.status)?;
        shared.answered.set(shared.answered.get() + 1);
        if shared.recording.get() {
            shared.latencies.borrow_mut().add(start.elapsed());
        }
    }
    Ok(())
}
