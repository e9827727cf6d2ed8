//! `tidewire import`: the records of a file into a data folder that no server uses, all of them or none.
//!
//! One transaction holds the whole import, so a process that dies leaves nothing behind; with `--partial` each unit is
//! committed together with how far the file was read, and the next run continues from there. docs/import-export.md.

mod faults;
mod remote;
pub(in crate::cli) mod sender;
mod source;

use std::io::Write;
use std::process::ExitCode;

use super::arguments::{ImportArguments, OnConflict};
use super::config::effective;
use super::formats::{self, Row, RowFormat, RowReader};
use super::loading::{self, NamedEntity, Refused};
use super::progress::Progress;
use crate::config::Config;
use crate::env::Env;
use crate::ids::{MutationId, Position, RecordId, Timestamp};
use crate::repository::{Body, Intake, RepositoryError};
use crate::schema::Entity;
use crate::store::import::{
    Applied, EarlierImport, Forward, Import, ImportError, ImportJob, ImportMode, ImportUnit, LineRefused,
};
use crate::store::{Op, OpStatus, OpenError, choice};
use faults::LineFaults;
use source::{CountedInput, ImportSource, Read};

/// Exit code 0 when the whole file was imported (now or before), 1 when it was not, 2 for wrong arguments.
pub fn run(arguments: &ImportArguments) -> ExitCode {
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let done = match &arguments.url {
        Some(url) => remote::import(arguments, &settings.config.schemas, url),
        None => import(arguments, &settings.config),
    };
    match done {
        Ok(said) => {
            let _ = std::io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(refused) => refused.tell(),
    }
}

fn import(arguments: &ImportArguments, config: &Config) -> Result<String, Refused> {
    let NamedEntity { schema, entity } = loading::entity(&config.schemas, &arguments.entity)?;
    let format = arguments.format.unwrap_or_else(|| RowFormat::of(&arguments.file));
    let source = ImportSource::open(&arguments.file)?;
    let job = source.job(&[
        entity.name.as_bytes(),
        format!("{format:?} {:?} {}", arguments.on_conflict, arguments.partial).as_bytes(),
    ]);
    let CountedInput { lines: input, read } = source.input();
    let rows =
        formats::reader(format, &entity, input).map_err(|faults| faults::of_header(&source.name, &faults))?;

    let env = Env::system();
    let mode = if arguments.dry_run { ImportMode::Rehearse } else { ImportMode::Write };
    let mut store = choice::backend(config)
        .and_then(|backend| backend.import(&schema, mode, &env))
        .map_err(|error| Refused::failed(in_use(error)))?;
    let intake = Intake::new(schema.clone(), entity.clone(), store.at(), env);
    let earlier = store.job(&job).map_err(|error| broken(&error, arguments))?;
    let mut progress = ImportJob::default();
    if let Some(EarlierImport { job: found, at }) = earlier.filter(|_| !arguments.again && !arguments.dry_run)
    {
        if found.done {
            store.close();
            return done_before(&source, &found, at);
        }
        progress = found;
    }
    let mut run = ImportRun {
        arguments,
        entity: &entity,
        intake,
        rows,
        pending: None,
        resumed: progress.line,
        progress,
        faults: LineFaults::default(),
        bar: Progress::bytes(source.bytes),
        read,
    };
    let end = run.all(&mut *store, &job).map_err(|error| broken(&error, arguments))?;
    let ImportRun { rows, progress, faults, bar, resumed, .. } = run;
    drop(bar);
    store.close();
    let _ = std::io::stderr().write_all(faults.tell(&source.name).as_bytes());
    faults::note_passed_over(&rows.passed_over());
    Told { source: &source, progress: &progress, resumed }.end(&end, &faults)
}

/// The answer to an import that came to its end in an earlier run.
fn done_before(source: &ImportSource, found: &ImportJob, at: Timestamp) -> Result<String, Refused> {
    let (name, at) = (&source.name, at.rfc3339());
    match found.refused {
        0 => Ok(format!(
            "{name} was already imported at {at}, so nothing was done; --again imports it again\n"
        )),
        count => {
            let records = records_were(count);
            Err(Refused::failed(format!(
                "{name} was already imported in part at {at}: {records} refused; --again tries again"
            )))
        }
    }
}

fn records_were(count: u64) -> String {
    if count == 1 { "1 record was".to_owned() } else { format!("{count} records were") }
}

/// One pass over the file.
struct ImportRun<'a> {
    arguments: &'a ImportArguments,
    entity: &'a Entity,
    intake: Intake,
    rows: Box<dyn RowReader + 'a>,
    /// A record that the last unit had no room for.
    pending: Option<Row>,
    /// Records up to this line were imported by an earlier run.
    resumed: u64,
    progress: ImportJob,
    faults: LineFaults,
    bar: Progress,
    read: Read,
}

/// Whether the file has more for the next unit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// What is true in the end.
enum ImportEnd {
    Committed(Position),
    RolledBack,
}

impl ImportRun<'_> {
    fn all(&mut self, store: &mut dyn Import, job: &str) -> Result<ImportEnd, ImportError> {
        let partial = self.arguments.partial;
        let forward = if partial { Forward::Refused } else { Forward::Waits };
        loop {
            let mid = self.mid(job);
            let mut more = More::Yes;
            store.unit(mid, forward, &mut |unit| {
                more = self.feed(unit)?;
                Ok(())
            })?;
            self.bar.at(self.read.bytes());
            if more == More::No {
                break;
            }
            if partial && !self.arguments.dry_run {
                store.commit(job, &self.progress)?;
            }
        }
        for LineRefused { line, refusal } in store.settle(&self.mid(job))? {
            self.refuse(line, &self.intake.explain(refusal));
        }
        self.progress.done = !self.faults.broke_off();
        if self.arguments.dry_run || (!partial && self.faults.count() > 0) {
            return Ok(ImportEnd::RolledBack);
        }
        store.commit(job, &self.progress).map(ImportEnd::Committed)
    }

    /// The name of the next unit: the same file gives the same names.
    fn mid(&self, job: &str) -> MutationId {
        let mid = format!("import:{}:{}", &job[..16], self.progress.line + 1);
        mid.parse().expect("hex digits, colons and a number are visible ASCII")
    }

    /// Fills one unit.
    fn feed(&mut self, unit: &mut dyn ImportUnit) -> Result<More, ImportError> {
        for _ in 0..self.arguments.batch {
            let row = match self.pending.take().map_or_else(|| self.rows.next(), |row| Ok(Some(row))) {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(More::No),
                Err(fault) => {
                    self.faults.end(&fault);
                    return Ok(More::No);
                }
            };
            if row.line <= self.resumed {
                continue;
            }
            if self.row(unit, &row)? == Applied::Full {
                self.pending = Some(row);
                return Ok(More::Yes);
            }
            self.progress.line = row.line;
            if !self.arguments.partial && self.faults.are_enough() {
                return Ok(More::No);
            }
        }
        Ok(More::Yes)
    }

    fn row(&mut self, unit: &mut dyn ImportUnit, row: &Row) -> Result<Applied, ImportError> {
        let nothing = Ok(Applied::Done(OpStatus::Unchanged));
        let body = match &row.body {
            Ok(body) => body,
            Err(faults) => {
                self.progress.refused += 1;
                self.faults.fields(row.line, faults);
                return nothing;
            }
        };
        let existing = self.existing(unit, body)?;
        if existing.is_some() && self.arguments.on_conflict == OnConflict::Skip {
            self.progress.skipped += 1;
            return nothing;
        }
        let op = match self.op(body, existing) {
            Ok(op) => op,
            Err(error) => {
                self.refuse(row.line, &error);
                return nothing;
            }
        };
        let applied = unit.apply(row.line, &op)?;
        match &applied {
            Applied::Done(OpStatus::Created) => self.progress.created += 1,
            Applied::Done(OpStatus::Updated) => self.progress.updated += 1,
            Applied::Done(
                OpStatus::Unchanged | OpStatus::Deleted | OpStatus::Many(_) | OpStatus::Lease(_),
            ) => self.progress.skipped += 1,
            Applied::Refused(refusal) => {
                let error = self.intake.explain(refusal.clone());
                self.refuse(row.line, &error);
            }
            Applied::Full => {}
        }
        Ok(applied)
    }

    /// The id of the stored record that this one is about, when that matters.
    fn existing(&self, unit: &dyn ImportUnit, body: &Body) -> Result<Option<RecordId>, ImportError> {
        if self.arguments.on_conflict == OnConflict::Fail {
            return Ok(None);
        }
        let Some(id) = self.intake.id(body) else { return Ok(None) };
        Ok(unit.exists(&self.entity.name, &id)?.then_some(id))
    }

    fn op(&self, body: &Body, existing: Option<RecordId>) -> Result<Op, RepositoryError> {
        match existing {
            Some(id) => self.intake.update(&id, body),
            None => self.intake.create(body),
        }
    }

    fn refuse(&mut self, line: u64, error: &RepositoryError) {
        self.progress.refused += 1;
        self.faults.record(line, error);
    }
}

/// The last words, from what is true in the end.
struct Told<'a> {
    source: &'a ImportSource,
    progress: &'a ImportJob,
    resumed: u64,
}

impl Told<'_> {
    fn end(&self, end: &ImportEnd, faults: &LineFaults) -> Result<String, Refused> {
        let (name, count) = (&self.source.name, faults.count());
        let errors = if count == 1 { "1 error".to_owned() } else { format!("{count} errors") };
        match end {
            ImportEnd::RolledBack if count > 0 => {
                let more = if faults.are_enough() { "; the rest of the file was not checked" } else { "" };
                Err(Refused::failed(format!("nothing was imported: {errors} in {name}{more}")))
            }
            ImportEnd::RolledBack => {
                Ok(format!("{name} can be imported: {}; nothing was written\n", self.counts()))
            }
            ImportEnd::Committed(position) if count > 0 => {
                let counts = self.counts();
                Err(Refused::failed(format!(
                    "{errors} in {name}; the rest was imported: {counts}, at {position}"
                )))
            }
            ImportEnd::Committed(position) if self.progress.refused > 0 => {
                let (records, counts) = (records_were(self.progress.refused), self.counts());
                Err(Refused::failed(format!(
                    "{records} refused by an earlier run of {name}; the rest was imported: {counts}, at {position}; \
                     --again tries them again"
                )))
            }
            ImportEnd::Committed(position) => {
                Ok(format!("imported {name}: {}, at {position}\n", self.counts()))
            }
        }
    }

    fn counts(&self) -> String {
        let ImportJob { created, updated, skipped, refused, .. } = *self.progress;
        let mut counts = format!("{created} created, {updated} updated, {skipped} unchanged");
        if refused > 0 {
            counts.push_str(&format!(", {refused} refused"));
        }
        match self.resumed {
            0 => counts,
            line => format!("{counts}, up to line {line} by an earlier run"),
        }
    }
}

fn in_use(error: OpenError) -> String {
    let in_use = matches!(error, OpenError::InUse { .. });
    let more = "\nOr import through the running server: --url with its address, such as --url http://127.0.0.1:8080.";
    if in_use { format!("{error}{more}") } else { error.to_string() }
}

fn broken(error: &ImportError, arguments: &ImportArguments) -> Refused {
    let state = if arguments.partial {
        "what was committed stays; run the same command again to continue"
    } else {
        "nothing was imported; run the same command again to start over"
    };
    Refused::failed(format!("{error}: {state}"))
}
