//! What a million records cost beside a thousand: the same requests, one at a time and in turns, and the start of the server.
//! The records come by `tidewire import`, whose speed is a figure of its own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::error::{BenchError, Outcome};
use crate::http::HttpClient;
use crate::lab::Lab;
use crate::report::{Aim, Report, Row};
use crate::server::Server;
use crate::stats::{Latencies, median};
use crate::tasks_api::{get, post};

/// How many times more a million may cost than a thousand, and records a second of an import, that are aimed at.
const GROWTH: f64 = 1.5;
const IMPORTED: f64 = 40_000.0;

const SMALL: u64 = 1_000;

/// Requests of each kind in one round.
const ASKED: usize = 60;

/// Starts of each server, of which the median counts.
const STARTS: usize = 5;

const SCHEMA: &str = "entity = 'Task'\n[fields]\ntitle = { type = 'text', required = true, search = true }\n\
                      status = { type = 'enum', values = ['open', 'doing', 'done', 'rare'], default = 'open' }\n\
                      rank = { type = 'int' }\n[[index]]\nfields = ['status', 'rank']\n";

/// Rows that exist for one value of `status` on both sides, so that the work is the same and only the table differs.
const RARE: u64 = 100;

/// One server with its records.
struct Side {
    label: String,
    server: Server,
    starts: Vec<f64>,
    requests: Vec<(&'static str, Vec<u8>, u16)>,
    latencies: Vec<Latencies>,
    /// Records a second of the import.
    imported: f64,
    _folder: TempDir,
}

pub(crate) async fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let mut sides = [Side::open(lab, SMALL).await?, Side::open(lab, lab.scale.grown).await?];
    for _ in 0..lab.scale.rounds {
        for side in &mut sides {
            side.round().await?;
        }
    }
    let [small, large] = &mut sides;
    let kinds: Vec<&'static str> = small.requests.iter().map(|(kind, ..)| *kind).collect();
    let mut rows = Vec::new();
    for (kind, (few, many)) in kinds.iter().zip(small.latencies.iter_mut().zip(&mut large.latencies)) {
        rows.push(row(kind, few.millis_at(0.5), many.millis_at(0.5)));
    }
    rows.push(row("start", median(&small.starts), median(&large.starts)));
    for row in &rows {
        if let Some((_, ratio)) = row.values.last() {
            report.judge(format!("growth: {}", row.label), *ratio, Aim::AtMost(GROWTH));
        }
    }
    report.fact(
        "growth",
        format!("{} beside {}; p50 of one client, in milliseconds", small.label, large.label),
    );
    report.table("growth", rows);
    let values = vec![("records/s", large.imported)];
    report.table("import", vec![Row { label: large.label.clone(), values }]);
    report.judge("growth: records a second of an import", large.imported, Aim::AtLeast(IMPORTED));
    Ok(())
}

fn row(kind: &str, few: f64, many: f64) -> Row {
    let values = vec![("small", few), ("large", many), ("ratio", many / few)];
    Row { label: kind.to_owned(), values }
}

impl Side {
    async fn open(lab: &Lab, count: u64) -> Outcome<Side> {
        let folder = tempfile::Builder::new().prefix("growth-").tempdir_in(&lab.folder);
        let folder = folder.map_err(|source| BenchError::io("create a folder for the records", source))?;
        let imported = import(lab, folder.path(), count)?;
        let data = folder.path().join("data");
        let schemas = folder.path().join("schemas");
        let mut starts = Vec::new();
        let mut server = Server::with_data(lab, &schemas, &data).await?;
        for _ in 0..STARTS {
            drop(server);
            let begun = Instant::now();
            server = Server::with_data(lab, &schemas, &data).await?;
            starts.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let requests = requests(&server).await?;
        let latencies = vec![Latencies::default(); requests.len()];
        let label = format!("{count} records");
        Ok(Side { label, server, starts, requests, latencies, imported, _folder: folder })
    }

    async fn round(&mut self) -> Outcome<()> {
        let mut client = HttpClient::connect(self.server.addr).await?;
        for ((_, request, status), latencies) in self.requests.iter().zip(&mut self.latencies) {
            client.ask(request).await?.expect(*status)?;
            for _ in 0..ASKED {
                let sent = Instant::now();
                client.ask(request).await?.expect(*status)?;
                latencies.add(sent.elapsed());
            }
        }
        Ok(())
    }
}

/// Each finds the same number of records on both sides.
async fn requests(server: &Server) -> Outcome<Vec<(&'static str, Vec<u8>, u16)>> {
    let addr = server.addr;
    let middle = cursor(server).await?;
    let list = |query: &str| get(addr, &format!("/api/tasks?{query}"));
    let task = r#"{"title":"Measure the spine of the house","status":"open","rank":3}"#;
    Ok(vec![
        ("create", post(addr, "/api/tasks", task), 201),
        ("page of 20", list("limit=20"), 200),
        ("page behind a cursor", list(&format!("limit=20&cursor={middle}")), 200),
        ("newest first", list("limit=20&sort=-created_at"), 200),
        ("search", list("limit=20&search=needle"), 200),
        ("count by an index", get(addr, "/api/tasks/count?status=rare"), 200),
    ])
}

/// The cursor behind the first 500 records.
async fn cursor(server: &Server) -> Outcome<String> {
    let mut client = HttpClient::connect(server.addr).await?;
    let answer = client.ask(&get(server.addr, "/api/tasks?limit=500")).await?.expect(200)?;
    let list: Value = serde_json::from_slice(answer.body).unwrap_or_default();
    let next = list["next"].as_str().map(str::to_owned);
    next.ok_or_else(|| BenchError::Wire("a page of many records has no `next`".to_owned()))
}

/// Imports `count` records into a new folder; records a second.
fn import(lab: &Lab, folder: &Path, count: u64) -> Outcome<f64> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |source| BenchError::io(what, source)
    };
    let schemas = folder.join("schemas");
    std::fs::create_dir(&schemas).map_err(failed("create a folder for a schema"))?;
    std::fs::write(schemas.join("task.toml"), SCHEMA).map_err(failed("write a schema file"))?;
    let file = folder.join("tasks.jsonl");
    std::fs::write(&file, records(count)).map_err(failed("write records"))?;
    let mut command = Command::new(&lab.tidewire);
    command.args(["import", "Task"]).arg(&file).arg("--schemas").arg(&schemas);
    command.arg("--data").arg(folder.join("data")).stdin(Stdio::null());
    let begun = Instant::now();
    let output = command.output().map_err(failed("start `tidewire import`"))?;
    let took: Duration = begun.elapsed();
    if output.status.success() {
        return Ok(count as f64 / took.as_secs_f64());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(BenchError::Setup(format!("`tidewire import` failed: {said}")))
}

/// One JSON object a line. `RARE` of them are rare and hold the searched word, spread over the whole.
fn records(count: u64) -> String {
    let every = (count / RARE).max(1);
    let mut text = String::with_capacity(usize::try_from(count).unwrap_or(0) * 64);
    for n in 0..count {
        let (title, status) = match n % every == 0 && n / every < RARE {
            true => ("a needle in the hay", "rare"),
            false => ("some hay of the field", ["open", "doing", "done"][n as usize % 3]),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, r#"{{"title":"{title} {n}","status":"{status}","rank":{}}}"#, n % 1000);
    }
    text
}
