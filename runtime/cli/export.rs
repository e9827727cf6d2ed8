//! `tidewire export`: every record of one entity, or those that a person may read, at one position, as JSON lines or CSV. Works beside a running server.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::arguments::ExportArguments;
use super::config::effective;
use super::formats::{self, Format, RecordWriter};
use super::loading::{self, Refused};
use super::progress::Progress;
use crate::config::Config;
use crate::ids::Position;
use crate::rules::{Mask, Sight};
use crate::schema::message::quoted;
use crate::schema::{Entity, Record};
use crate::store::Who;
use crate::store::sqlite::{self, Exported, Sink};

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
    let (schema, entity) = loading::entity(&config.schemas, &arguments.entity)?;
    let format = arguments.format.unwrap_or_else(|| Format::of(&arguments.output));
    let who = match arguments.name.as_deref() {
        Some(name) => Who::Person(loading::person(Some(name))?),
        None => Who::System,
    };
    let output = Output::open(&arguments.output)?;
    let mut sink = FileSink { entity, format, output, writer: None, progress: None, written: 0 };
    let exported = sqlite::export(&config.data, &schema, &sink.entity.name.clone(), &who, &mut sink)
        .map_err(|error| Refused::failed(error.to_string()))?;
    let FileSink { entity, output, progress, .. } = sink;
    drop(progress);
    output.finish()?;
    let Exported { position, records, is_known } = exported;
    let whose = match (&arguments.name, is_known) {
        (Some(name), true) => format!(" that {} may read", quoted(name)),
        (Some(name), false) => {
            format!(" that {} may read, of whom there is no User record", quoted(name))
        }
        (None, _) => String::new(),
    };
    let line = format!("exported {records} records of {}{whose} at {position}\n", entity.name);
    let _ = std::io::stderr().write_all(line.as_bytes());
    Ok(())
}

/// Where the records go: stdout, or a file that appears under its name when it is whole.
struct Output {
    to: BufWriter<Box<dyn Write>>,
    /// The draft and the name that it gets.
    names: Option<(PathBuf, PathBuf)>,
}

impl Output {
    fn open(path: &Path) -> Result<Output, Refused> {
        if path == Path::new("-") {
            return Ok(Output { to: BufWriter::new(Box::new(std::io::stdout())), names: None });
        }
        let mut draft = path.as_os_str().to_owned();
        draft.push(".part");
        let draft = PathBuf::from(draft);
        let file = File::create(&draft).map_err(|error| unwritable(&draft, &error))?;
        Ok(Output { to: BufWriter::new(Box::new(file)), names: Some((draft, path.to_owned())) })
    }

    fn finish(self) -> Result<(), Refused> {
        let Output { mut to, names } = self;
        let failed = |error| Refused::failed(format!("the output cannot be written: {error}"));
        to.flush().map_err(failed)?;
        let Some((draft, path)) = names else { return Ok(()) };
        let named = || -> std::io::Result<()> {
            File::open(&draft)?.sync_all()?;
            std::fs::rename(&draft, &path)
        };
        named().map_err(|error| unwritable(&path, &error))
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Refused {
    Refused::failed(format!(
        "{} cannot be written ({error}): choose another file with --output",
        path.display()
    ))
}

struct FileSink {
    entity: Arc<Entity>,
    format: Format,
    output: Output,
    writer: Option<Box<dyn RecordWriter>>,
    progress: Option<Progress>,
    written: u64,
}

impl Sink for FileSink {
    fn start(&mut self, _: &Position, records: u64, sight: &Sight) -> std::io::Result<()> {
        self.progress = Some(Progress::records(records));
        self.writer = Some(formats::writer(self.format, sight, &mut self.output.to)?);
        Ok(())
    }

    fn record(&mut self, record: &Record, mask: &Mask) -> std::io::Result<()> {
        self.written += 1;
        if let Some(progress) = &self.progress {
            progress.at(self.written);
        }
        match &mut self.writer {
            Some(writer) => writer.record(record, mask, &mut self.output.to),
            None => Ok(()),
        }
    }
}
