//! What a rule costs on the way to a thousand sockets: the same persons, once where everyone reads everything and once where
//! each reads by memberships of their own, in turns.

use std::rc::Rc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::load::Job;
use crate::report::{Aim, Report};
use crate::sections::OPENERS;
use crate::sections::fanout::{PUBLISHERS, burst};
use crate::server::Server;
use crate::stats::median;
use crate::subscriber::{Fleet, Part};
use crate::tasks_api::post;

/// What a delivery under a rule may cost, beside one without.
const AIM: f64 = 1.3;

const TASK: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text', required = true }\n\
                    status = { type = 'text' }\npriority = { type = 'int' }\nproject = { type = 'text' }\n";
const MEMBERSHIP: &str = "entity = 'Membership'\n[fields]\n\
                          person = { type = 'ref', entity = 'User', required = true, identity = true }\n\
                          project = { type = 'text', required = true }\n";
const RULES: &str = "[access]\nread = 'project in user.memberships.project'\ncreate = 'true'\n";

/// Most operations of a batch.
const OPS: usize = 500;

/// One server with its subscribers.
struct Side {
    label: &'static str,
    server: Server,
    fleet: Fleet,
    job: Job,
    creates: u64,
    each: Vec<f64>,
    _schemas: TempDir,
}

pub(crate) async fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let mut sides = [
        Side::open(lab, "without a rule", "").await?,
        Side::open(lab, "each by memberships of their own", RULES).await?,
    ];
    let (mut rows, mut all_lost) = (Vec::new(), 0);
    for round in 1..=lab.scale.rounds {
        for side in &mut sides {
            let burst = burst(lab, &side.server, &side.fleet, &side.job).await?;
            side.creates += burst.creates;
            let lost = side.fleet.drained(side.creates).await?;
            side.each.push(burst.micros_each());
            all_lost = all_lost.max(lost);
            let label = format!("round {round}: {}", side.label);
            rows.push(burst.row("fanout-rules", label, lost, report));
        }
    }
    report.table("fanout-rules", rows);
    let [without, with] = sides.map(|side| median(&side.each));
    report.judge("fanout-rules: delivery / delivery without a rule", with / without, Aim::AtMost(AIM));
    report.judge_lost("fanout-rules", all_lost);
    Ok(())
}

impl Side {
    async fn open(lab: &Lab, label: &'static str, rules: &str) -> Outcome<Side> {
        let schemas = schemas(lab, rules)?;
        let server = Server::over(lab, schemas.path()).await?;
        let persons = lab.scale.subscribers;
        let mut client = HttpClient::connect(server.addr).await?;
        for ops in people(persons).chunks(OPS).chain(memberships(persons).chunks(OPS)) {
            let body = json!({ "atomic": true, "ops": ops }).to_string();
            client.ask(&post(server.addr, "/api/batch", &body)).await?.expect(200)?;
        }
        let part = |n| Part { person: Some(format!("u{n}")), ..Part::default() };
        let fleet = Fleet::of(server.addr, (0..persons).map(part).collect(), OPENERS);
        fleet.subscribed().await?;
        server.settle().await?;
        let task = json!({ "title": "Measure the spine of the house", "status": "open", "priority": 3, "project": "all" });
        let requests = Rc::new(vec![post(server.addr, "/api/tasks", &task.to_string())]);
        let job = Job { addr: server.addr, clients: PUBLISHERS, requests, status: 201 };
        Ok(Side { label, server, fleet, job, creates: 0, each: Vec::new(), _schemas: schemas })
    }
}

fn people(count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| json!({ "op": "create", "entity": "User", "data": { "id": format!("u{n}") } }))
        .collect()
}

/// Everybody is where the tasks are, and in a project of their own: no two sets are equal.
fn memberships(count: usize) -> Vec<Value> {
    let of = |n: usize| {
        ["all".to_owned(), format!("own{n}")].map(|project| {
            let data = json!({ "person": format!("u{n}"), "project": project });
            json!({ "op": "create", "entity": "Membership", "data": data })
        })
    };
    (0..count).flat_map(of).collect()
}

fn schemas(lab: &Lab, rules: &str) -> Outcome<TempDir> {
    let failed = |source| BenchError::io("write schema files", source);
    let folder = tempfile::Builder::new().prefix("schemas-").tempdir_in(&lab.folder).map_err(failed)?;
    for (name, text) in [("task.toml", [TASK, rules].concat()), ("membership.toml", MEMBERSHIP.to_owned())] {
        std::fs::write(folder.path().join(name), text).map_err(failed)?;
    }
    Ok(folder)
}
