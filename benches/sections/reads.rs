//! Reads over HTTP: one record by id, a list of 20, and the echo's constant answer as the floor.

use std::rc::Rc;

use serde_json::Value;

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::load::{Job, measure};
use crate::report::{Report, Row};
use crate::sections::creates::Rounds;
use crate::sections::fill;
use crate::server::Server;
use crate::tasks_api::get;
use crate::wire::printable;

const CLIENTS: usize = 64;

pub(crate) async fn run(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    let echo = Server::echo(lab).await?;
    fill(server, lab.scale.records).await?;
    let by_id = ids(server).await?.iter().map(|id| get(server.addr, &format!("/api/tasks/{id}"))).collect();
    let list = vec![get(server.addr, "/api/tasks?limit=20")];
    let runs = [
        ("echo GET", &echo, job(&echo, vec![get(echo.addr, "/")])),
        ("get by id", server, job(server, by_id)),
        ("list of 20", server, job(server, list)),
    ];
    let mut rounds: [Rounds; 3] = Default::default();
    for _ in 0..lab.scale.rounds {
        for ((_, server, job), rounds) in runs.iter().zip(&mut rounds) {
            rounds.add(measure(server, job, &lab.scale).await?);
        }
    }
    let rows = runs.iter().zip(&mut rounds).map(|((label, ..), rounds)| Row {
        label: format!("{label}, {CLIENTS} clients"),
        values: rounds.columns(),
    });
    report.table("reads", rows.collect());
    Ok(())
}

fn job(server: &Server, requests: Vec<Vec<u8>>) -> Job {
    Job { addr: server.addr, clients: CLIENTS, requests: Rc::new(requests), status: 200 }
}

/// The ids of up to a thousand tasks.
async fn ids(server: &Server) -> Outcome<Vec<String>> {
    let mut client = HttpClient::connect(server.addr).await?;
    let answer = client.ask(&get(server.addr, "/api/tasks?limit=1000")).await?.expect(200)?;
    let list: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let ids = list["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str());
    let ids: Vec<String> = ids.map(str::to_owned).collect();
    if ids.is_empty() {
        return Err(BenchError::Wire(format!("a list has no `items` with `id`: {}", printable(answer.body))));
    }
    Ok(ids)
}
