//! `tidewire export`: every record of one entity, or those that a person may read, at one position, as JSON lines or CSV. Works beside a running server.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use super::arguments::ExportArguments;
use super::check::count;
use super::config::effective;
use super::formats::{self, RecordWriter, RowFormat};
use super::loading::{self, NamedEntity, Refused};
use super::output::{Output, unwritable};
use super::progress::Progress;
use crate::config::Config;
use crate::ids::Position;
use crate::rules::{Mask, ReadScope};
use crate::schema::message::quoted;
use crate::schema::{Entity, Record};
use crate::store::{ExportError, Exported, Sink, Who, choice};

/// Exit code 0 when everything was written, 1 when it was not, 2 for an entity that there is not or wrong settings.
pub fn run(arguments: &ExportArguments) -> ExitCode {
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match export(arguments, &settings.config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refused) => refused.tell(),
    }
}

fn export(arguments: &ExportArguments, config: &Config) -> Result<(), Refused> {
    let NamedEntity { schema, entity } = loading::entity(&config.schemas, &arguments.entity)?;
    let format = arguments.format.unwrap_or_else(|| RowFormat::of(&arguments.output));
    let who = match arguments.name.as_deref() {
        Some(name) => Who::Person(loading::person(Some(name))?),
        None => Who::System,
    };
    let unwritten = |error| Refused::failed(unwritable(&arguments.output, &error));
    let output = Output::open(&arguments.output).map_err(unwritten)?;
    let mut sink = FileSink { entity, format, output, writer: None, progress: None, written: 0 };
    let name = sink.entity.name.clone();
    let backend = choice::backend(config).map_err(|error| Refused::failed(error.to_string()))?;
    let exported = backend.export(&schema, &name, &who, &mut sink).map_err(|error| {
        if let ExportError::Output(error) = error {
            unwritten(error)
        } else {
            Refused::failed(error.to_string())
        }
    })?;
    let FileSink { entity, output, progress, .. } = sink;
    drop(progress);
    output.finish().map_err(unwritten)?;
    let Exported { position, records, is_known } = exported;
    let whose = match (&arguments.name, is_known) {
        (Some(name), true) => format!(" that {} may read", quoted(name)),
        (Some(name), false) => {
            format!(" that {} may read (there is no such User record)", quoted(name))
        }
        (None, _) => String::new(),
    };
    let records = count(usize::try_from(records).unwrap_or(usize::MAX), "record", "records");
    let line = format!("exported {} of {}{whose} at {position}\n", records, entity.name);
    let _ = std::io::stderr().write_all(line.as_bytes());
    Ok(())
}

struct FileSink {
    entity: Arc<Entity>,
    format: RowFormat,
    output: Output,
    writer: Option<Box<dyn RecordWriter>>,
    progress: Option<Progress>,
    written: u64,
}

impl Sink for FileSink {
    fn start(&mut self, _: &Position, records: u64, read_scope: &ReadScope) -> std::io::Result<()> {
        self.progress = Some(Progress::records(records));
        self.writer = Some(formats::writer(self.format, read_scope, &mut self.output)?);
        Ok(())
    }

    fn record(&mut self, record: &Record, mask: &Mask) -> std::io::Result<()> {
        self.written += 1;
        if let Some(progress) = &self.progress {
            progress.at(self.written);
        }
        match &mut self.writer {
            Some(writer) => writer.record(record, mask, &mut self.output),
            None => Ok(()),
        }
    }
}
