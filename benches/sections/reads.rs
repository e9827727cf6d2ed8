//! Requests of 64 clients over HTTP, beside the echo's constant answer as the floor: records by id, lists, updates.

use std::rc::Rc;

use serde_json::Value;

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::load::{Job, measure};
use crate::report::{Aim, Report, Row};
use crate::rounds::Rounds;
use crate::sections::fill;
use crate::server::Server;
use crate::tasks_api::{get, patch};
use crate::wire::printable;

const CLIENTS: usize = 64;

/// One kind of request, and how many times the echo's processor time it may take.
struct Kind {
    label: &'static str,
    requests: Vec<Vec<u8>>,
    aim: Option<f64>,
}

/// One record by its id.
pub(crate) async fn by_id(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    fill(server, lab.scale.records).await?;
    let requests = ids(server).await?.iter().map(|id| get(server.addr, &path(id))).collect();
    let kinds = vec![Kind { label: "get by id", requests, aim: Some(2.0) }];
    beside_the_echo("reads", kinds, lab, server, report).await
}

/// Pages of 20: the first of all, the newest, behind a cursor, by an index.
pub(crate) async fn lists(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    fill(server, lab.scale.records).await?;
    let next = next_page(server).await?;
    let one = |query: &str| vec![get(server.addr, &format!("/api/tasks?limit=20{query}"))];
    let kinds = vec![
        Kind { label: "list of 20", requests: one(""), aim: Some(5.8) },
        Kind { label: "list of 20, newest first", requests: one("&sort=-created_at"), aim: None },
        Kind { label: "list of 20, behind a cursor", requests: one(&format!("&cursor={next}")), aim: None },
        Kind { label: "list of 20, by an index", requests: one("&status=open&sort=due"), aim: None },
    ];
    beside_the_echo("lists", kinds, lab, server, report).await
}

/// Updates of one field, each of which changes its record.
pub(crate) async fn updates(lab: &Lab, server: &Server, report: &mut Report) -> Outcome<()> {
    fill(server, lab.scale.records).await?;
    let ids = ids(server).await?;
    // A thousand records and three values, in an order in which no record gets the same value twice in a row.
    let update = |value: u8| {
        let body = format!(r#"{{"priority":{value}}}"#);
        ids.iter().map(|id| patch(server.addr, &path(id), &body)).collect::<Vec<_>>()
    };
    let requests = [1, 2, 4].into_iter().flat_map(update).collect();
    let kinds = vec![Kind { label: "update", requests, aim: Some(3.6) }];
    beside_the_echo("updates", kinds, lab, server, report).await
}

async fn beside_the_echo(
    section: &'static str,
    kinds: Vec<Kind>,
    lab: &Lab,
    server: &Server,
    report: &mut Report,
) -> Outcome<()> {
    let echo = Server::echo(lab).await?;
    let floor = job(&echo, vec![get(echo.addr, "/")]);
    let mut floors = Rounds::default();
    let mut works: Vec<(Kind, Job, Rounds)> = Vec::new();
    for mut kind in kinds {
        let job = job(server, std::mem::take(&mut kind.requests));
        works.push((kind, job, Rounds::default()));
    }
    for _ in 0..lab.scale.rounds {
        floors.add(measure(&echo, &floor, &lab.scale).await?);
        for (_, job, rounds) in &mut works {
            rounds.add(measure(server, job, &lab.scale).await?);
        }
    }
    let label = |what: &str| format!("{what}, {CLIENTS} clients");
    let mut rows = vec![Row { label: label("echo GET"), values: with_multiple(1.0, &mut floors) }];
    for (kind, _, mut rounds) in works {
        let multiple = rounds.multiple_of(&floors);
        if let Some(aim) = kind.aim {
            report.judge(
                format!("{section}: server CPU / echo CPU, {}", kind.label),
                multiple,
                Aim::AtMost(aim),
            );
        }
        rows.push(Row { label: label(kind.label), values: with_multiple(multiple, &mut rounds) });
    }
    report.table(section, rows);
    Ok(())
}

fn with_multiple(multiple: f64, rounds: &mut Rounds) -> Vec<(&'static str, f64)> {
    let mut values = rounds.columns();
    values.push(("CPU / echo", multiple));
    values
}

fn job(server: &Server, requests: Vec<Vec<u8>>) -> Job {
    Job { addr: server.addr, clients: CLIENTS, requests: Rc::new(requests), status: 200 }
}

fn path(id: &str) -> String {
    format!("/api/tasks/{id}")
}

/// The ids of up to a thousand tasks.
pub(crate) async fn ids(server: &Server) -> Outcome<Vec<String>> {
    let list = ask(server, "/api/tasks?limit=1000").await?;
    let ids = list["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str());
    let ids: Vec<String> = ids.map(str::to_owned).collect();
    if ids.is_empty() {
        return Err(BenchError::Wire(format!("a list has no `items` with `id`: {list}")));
    }
    Ok(ids)
}

/// The cursor of a page in the middle.
async fn next_page(server: &Server) -> Outcome<String> {
    let list = ask(server, "/api/tasks?limit=500").await?;
    let next = list["next"].as_str().map(str::to_owned);
    next.ok_or_else(|| BenchError::Wire(format!("a page of many records has no `next`: {list}")))
}

async fn ask(server: &Server, path: &str) -> Outcome<Value> {
    let mut client = HttpClient::connect(server.addr).await?;
    let answer = client.ask(&get(server.addr, path)).await?.expect(200)?;
    serde_json::from_slice(answer.body)
        .map_err(|_| BenchError::Wire(format!("an answer is no JSON: {}", printable(answer.body))))
}
