//! `tidewire import --url`: the records of a file through a running server's `POST /api/batch`.
//!
//! The whole file is checked before anything is sent. Then it is one atomic batch; or, with `--partial`, many batches whose
//! operations stand for themselves, each with a mutation id made from the file's content and the line, so that the same
//! command again does nothing twice.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use super::super::arguments::{ImportArguments, OnConflict};
use super::super::check::count;
use super::super::formats::{self, Row, RowFormat};
use super::super::loading::{self, NamedEntity, Refused};
use super::super::progress::Progress;
use super::faults::{self, LineFaults, RowFault};
use super::sender::{BatchAnswer, Sender};
use super::source::{CountedInput, ImportSource};
use crate::env::Env;
use crate::ids::RecordId;
use crate::repository::{Body, Intake, MAX_OPS};
use crate::schema::Entity;
use crate::store::import::ImportJob;

/// Bytes of one request; a server takes 1 MiB unless its settings say otherwise.
const REQUEST_BYTES: usize = 900 << 10;

pub(super) fn import(arguments: &ImportArguments, schemas: &Path, url: &str) -> Result<String, Refused> {
    let NamedEntity { schema, entity } = loading::entity(schemas, &arguments.entity)?;
    if let Some(name) = &arguments.name {
        loading::person(Some(name))?;
    }
    let sender = Sender::new(url, arguments.name.as_deref())?;
    let source = ImportSource::open(&arguments.file)?;
    let env = Env::system();
    let salt = if arguments.again { env.uuid_v7().to_string() } else { String::new() };
    // The same file of another user is another import, with ids of its own.
    let mut way = vec![entity.name.as_bytes(), b"url", salt.as_bytes()];
    way.extend(arguments.name.iter().map(|name| name.as_bytes()));
    let job = source.job(&way);
    let intake = Intake::new(schema, entity.clone(), env.now(), env);
    let mut remote = Remote {
        arguments,
        entity,
        intake,
        source,
        job,
        sender,
        faults: LineFaults::default(),
        counts: ImportJob::default(),
        passed_over: BTreeSet::new(),
    };
    let records = remote.check()?;
    if !remote.arguments.dry_run && (remote.faults.count() == 0 || arguments.partial) {
        if arguments.partial {
            remote.send_each()?;
        } else {
            remote.send_at_once(records)?;
        }
    }
    remote.tell(records)
}

struct Remote<'a> {
    arguments: &'a ImportArguments,
    entity: Arc<Entity>,
    intake: Intake,
    source: ImportSource,
    job: String,
    sender: Sender,
    faults: LineFaults,
    counts: ImportJob,
    passed_over: BTreeSet<String>,
}

/// A record that is good as far as this side can see.
struct Good {
    line: u64,
    id: String,
    /// The id was made here, from the content and the line.
    made: bool,
    /// It could be created as well; otherwise it only changes a record that the server has.
    whole: bool,
    body: Body,
}

impl Remote<'_> {
    /// The first pass: notes every fault that can be found without the database; returns how many records are good.
    fn check(&mut self) -> Result<usize, Refused> {
        let mut records = 0;
        let passed_over = self.each_row(|remote, row| {
            match remote.good(row) {
                Ok(_) => records += 1,
                Err(fault) => {
                    remote.counts.refused += 1;
                    remote.faults.row(row.line, &fault);
                }
            }
            let enough = !remote.arguments.partial && remote.faults.are_enough();
            Ok(if enough { Next::Stop } else { Next::Go })
        })?;
        self.passed_over.extend(passed_over);
        Ok(records)
    }

    /// Reads the file from its beginning. Answers with the columns that were passed over.
    fn each_row(
        &mut self,
        mut visit: impl FnMut(&mut Self, &Row) -> Result<Next, Refused>,
    ) -> Result<Vec<String>, Refused> {
        let (entity, source) = (self.entity.clone(), self.source.again()?);
        let format = self.arguments.format.unwrap_or_else(|| RowFormat::of(&self.arguments.file));
        let CountedInput { lines: input, read } = source.input();
        let mut rows = formats::reader(format, &entity, input)
            .map_err(|found| faults::of_header(&source.name, &found))?;
        let bar = Progress::bytes(source.bytes);
        loop {
            match rows.next() {
                Ok(Some(row)) => {
                    if visit(self, &row)? == Next::Stop {
                        break;
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    if !self.faults.broke_off() {
                        self.faults.end(&fault);
                    }
                    break;
                }
            }
            bar.at(read.bytes());
        }
        Ok(rows.passed_over())
    }

    /// The record, if it is good as far as this side can see. A server takes no readonly fields; they are passed over.
    fn good(&mut self, row: &Row) -> Result<Good, RowFault> {
        let mut body = row.body.clone().map_err(RowFault::Fields)?;
        for field in self.entity.fields.iter().filter(|field| field.readonly) {
            if body.keys().any(|key| key == &*field.name) {
                body.remove(&field.name);
                self.passed_over.insert(field.name.to_string());
            }
        }
        let whole = match (self.intake.create(&body), self.intake.id(&body), self.arguments.on_conflict) {
            (Ok(_), _, _) => true,
            (Err(_), Some(id), OnConflict::Update) if self.intake.update(&id, &body).is_ok() => false,
            (Err(error), _, _) => return Err(RowFault::Record(error)),
        };
        let made = body.text("id").is_none();
        let id = body.text("id").map_or_else(|| self.made_id(row.line), str::to_owned);
        Ok(Good { line: row.line, id, made, whole, body })
    }

    /// The same for the same content and line, so that a record without an id does not come twice.
    fn made_id(&self, line: u64) -> String {
        let hash =
            Sha256::new().chain_update(self.job.as_bytes()).chain_update(line.to_be_bytes()).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        RecordId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid()).to_string()
    }

    fn create(&self, record: &Good) -> Json {
        let mut data = record.body.to_json();
        data["id"] = json!(record.id);
        json!({"op": "create", "entity": &*self.entity.name, "data": data})
    }

    fn update(&self, record: &Good) -> Json {
        let mut body = record.body.clone();
        body.remove("id");
        json!({"op": "update", "entity": &*self.entity.name, "id": record.id, "data": body.to_json()})
    }

    fn mid(&self, line: u64) -> String {
        format!("import:{}:{line}", &self.job[..16])
    }

    /// All of the file as one atomic batch.
    fn send_at_once(&mut self, records: usize) -> Result<(), Refused> {
        let name = self.source.name.clone();
        let partial = "add --partial, or stop the server and import into its folder";
        if self.arguments.on_conflict != OnConflict::Fail {
            return Err(Refused::usage(format!("--on-conflict over --url needs --partial; {partial}")));
        }
        if records > MAX_OPS {
            return Err(Refused::failed(format!(
                "{name} has {records} records, but a server takes at most {MAX_OPS} in one request; {partial}"
            )));
        }
        let (mut ops, mut lines) = (Vec::new(), Vec::new());
        self.each_row(|remote, row| {
            if let Ok(record) = remote.good(row) {
                ops.push(remote.create(&record));
                lines.push(record.line);
            }
            Ok(Next::Go)
        })?;
        if ops.is_empty() {
            return Ok(());
        }
        let batch = json!({"ops": ops});
        if batch.to_string().len() > REQUEST_BYTES {
            return Err(Refused::failed(format!(
                "the records of {name} have more than {REQUEST_BYTES} bytes, too many for one request; {partial}"
            )));
        }
        let key = format!("import:{}", self.job);
        match self.sender.send(&batch, Some(&key))? {
            BatchAnswer::Done(answer) if answer["replayed"] == true => {
                self.counts.skipped = lines.len() as u64
            }
            BatchAnswer::Done(_) => self.counts.created = lines.len() as u64,
            BatchAnswer::Refused(problem) => {
                let line = |op: usize| lines.get(op).copied().unwrap_or(1);
                self.counts.refused += 1;
                self.faults.problem(line, &problem);
            }
        }
        Ok(())
    }

    /// Batches of operations that stand for themselves.
    fn send_each(&mut self) -> Result<(), Refused> {
        let most = usize::from(self.arguments.batch).min(MAX_OPS);
        let (mut waiting, mut bytes) = (Vec::new(), 0);
        self.each_row(|remote, row| {
            if let Ok(record) = remote.good(row) {
                let size = remote.create(&record).to_string().len() + 64;
                if waiting.len() >= most || (bytes + size > REQUEST_BYTES && !waiting.is_empty()) {
                    remote.send_some(std::mem::take(&mut waiting))?;
                    bytes = 0;
                }
                bytes += size;
                waiting.push(record);
            }
            Ok(Next::Go)
        })?;
        self.send_some(waiting)
    }

    fn send_some(&mut self, records: Vec<Good>) -> Result<(), Refused> {
        let (records, mut again): (Vec<Good>, Vec<Good>) =
            records.into_iter().partition(|record| record.whole);
        let results = self.results(&records, |remote, record| remote.create(record), "")?;
        for (record, result) in records.into_iter().zip(results) {
            let taken = result["error"]["code"] == "ID_TAKEN";
            if result["replayed"] == true {
                self.counts.skipped += 1;
                continue;
            }
            match (result["status"].as_u64(), self.arguments.on_conflict) {
                (Some(201), _) => self.counts.created += 1,
                _ if taken && record.made => self.counts.skipped += 1,
                (_, OnConflict::Skip) if taken => self.counts.skipped += 1,
                (_, OnConflict::Update) if taken => again.push(record),
                _ => self.refuse(&record, &result),
            }
        }
        if again.is_empty() {
            return Ok(());
        }
        let results = self.results(&again, |remote, record| remote.update(record), ":update")?;
        for (record, result) in again.into_iter().zip(results) {
            match result["status"].as_u64() {
                Some(200) if result["replayed"] == true => self.counts.skipped += 1,
                Some(200) => self.counts.updated += 1,
                _ => self.refuse(&record, &result),
            }
        }
        Ok(())
    }

    fn refuse(&mut self, record: &Good, result: &Json) {
        self.counts.refused += 1;
        self.faults.problem(|_| record.line, &result["error"]);
    }

    fn results(
        &self,
        records: &[Good],
        op: impl Fn(&Self, &Good) -> Json,
        kind: &str,
    ) -> Result<Vec<Json>, Refused> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let with_mid = |record: &Good| {
            let mut op = op(self, record);
            op["mid"] = json!(format!("{}{kind}", self.mid(record.line)));
            op
        };
        let ops: Vec<Json> = records.iter().map(with_mid).collect();
        match self.sender.send(&json!({"atomic": false, "ops": ops}), None)? {
            BatchAnswer::Done(answer) => {
                let results = answer["results"].as_array().filter(|results| results.len() == records.len());
                let foreign = || Refused::failed("the answer is not that of a Tidewire server; check --url");
                results.cloned().ok_or_else(foreign)
            }
            BatchAnswer::Refused(problem) => {
                let detail = problem["detail"].as_str().unwrap_or("no reason given");
                Err(Refused::failed(format!(
                    "the server refused the batch from line {} on: {detail}",
                    records[0].line
                )))
            }
        }
    }

    fn tell(&self, records: usize) -> Result<String, Refused> {
        let name = &self.source.name;
        let _ = std::io::stderr().write_all(self.faults.tell(name).as_bytes());
        faults::note_passed_over(&self.passed_over.iter().cloned().collect::<Vec<_>>());
        let ImportJob { created, updated, skipped, refused, .. } = self.counts;
        let counts = format!("{created} created, {updated} updated, {skipped} unchanged, {refused} refused");
        let errors = match self.faults.count() {
            1 => "1 error".to_owned(),
            count => format!("{count} errors"),
        };
        match (self.faults.count(), self.arguments.dry_run, self.arguments.partial) {
            (0, true, _) => {
                Ok(format!("{name} can be sent: {}; nothing was sent\n", count(records, "record", "records")))
            }
            (0, false, _) => Ok(format!("imported {name}: {counts}\n")),
            (_, false, true) => {
                Err(Refused::failed(format!("{errors} in {name}; the rest was imported: {counts}")))
            }
            (_, _, _) => Err(Refused::failed(format!("nothing was imported: {errors} in {name}"))),
        }
    }
}

/// Whether the file is read on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}
