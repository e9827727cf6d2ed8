//! Settings from where a user writes them: `tidewire.toml`, `TIDEWIRE_*` variables, flags; later ones win.
//!
//! `table.rs` names every setting once; everything else here works on that table and knows no single setting.

mod across;
mod addresses;
mod document;
mod file;
mod held;
mod kind;
mod numbers;
mod place_of_database;
mod table;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

pub use self::document::{document, template};
pub use self::kind::{Kind, Value};
pub use self::table::{SETTINGS, Setting};
pub use super::faults::Faults;

pub(super) use self::file::{noun, syntax};

use super::faults::{Fault, Place};
use crate::config::Config;
use crate::schema::message::{nearest, quoted};

/// Read from the working directory when no other file is named.
pub const DEFAULT_FILE: &str = "tidewire.toml";

/// Names the file, so it cannot stand in it.
pub const FILE_VARIABLE: &str = "TIDEWIRE_CONFIG";

/// Variables with our prefix that are not for the server: `TIDEWIRE_BIN` tells benchmarks and browser tests what to start.
const NOT_OURS: [&str; 2] = [FILE_VARIABLE, "TIDEWIRE_BIN"];

/// What a command line says about settings, before anything of it is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    pub file: Option<PathBuf>,
    pub flags: Vec<Flag>,
}

/// `--listen 127.0.0.1:9000` or `--set listen=127.0.0.1:9000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As the user wrote it: `--listen`, `--set listen`.
    pub written: String,
    pub setting: String,
    pub value: String,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { name: String, line: usize },
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { name, line } => write!(f, "{name}:{line}"),
            Origin::Variable(name) | Origin::Flag(name) => f.write_str(name),
        }
    }
}

/// The effective settings.
#[derive(Debug, Clone)]
pub struct Settings {
    pub config: Config,
    /// The file that was read.
    pub file: Option<PathBuf>,
    pub warnings: Faults,
    origins: BTreeMap<&'static str, Origin>,
}

impl Settings {
    pub fn origin(&self, setting: &Setting) -> &Origin {
        self.origins.get(setting.name).unwrap_or(&Origin::Default)
    }
}

/// Reads the file, then the variables, then the flags. Every fault of all of them is told at once.
pub fn load(
    given: &Given,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings, Faults> {
    let ours = |name: &OsStr| name.as_encoded_bytes().starts_with(b"TIDEWIRE_");
    let variables: BTreeMap<OsString, OsString> =
        variables.into_iter().filter(|(name, _)| ours(name)).collect();
    let mut loading = Loading::default();
    loading.file(given, &variables);
    loading.variables(&variables);
    loading.flags(&given.flags);
    if loading.faults.is_empty() {
        place_of_database::settle(&mut loading);
        across::check(&mut loading);
    }
    if !loading.faults.is_empty() {
        return Err(loading.faults);
    }
    let origins = loading.origins.into_iter().map(|(name, (origin, _))| (name, origin)).collect();
    Ok(Settings { config: loading.config, file: loading.file, warnings: loading.warnings, origins })
}

/// Settings while they are gathered.
#[derive(Default)]
struct Loading {
    config: Config,
    file: Option<PathBuf>,
    origins: BTreeMap<&'static str, (Origin, Place)>,
    faults: Faults,
    warnings: Faults,
}

impl Loading {
    fn set(&mut self, setting: &'static Setting, value: Value, origin: Origin, place: Place) {
        setting.write(&mut self.config, value);
        self.origins.insert(setting.name, (origin, place));
    }

    fn file(&mut self, given: &Given, variables: &BTreeMap<OsString, OsString>) {
        let by_variable = variables.get(OsStr::new(FILE_VARIABLE)).filter(|value| !value.is_empty());
        let (path, named_by) = match (&given.file, by_variable) {
            (Some(path), _) => (path.clone(), Some("--config")),
            (None, Some(path)) => (PathBuf::from(path), Some(FILE_VARIABLE)),
            (None, None) => (PathBuf::from(DEFAULT_FILE), None),
        };
        let text = match file::read(&path, named_by) {
            Ok(Some(text)) => text,
            Ok(None) => return,
            Err(fault) => return self.faults.add(fault),
        };
        let name = path.display().to_string();
        self.faults.source(&name, &without_passwords(&text));
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        self.file = Some(path);
        for found in file::parse(&text, &mut self.faults) {
            let line = 1 + text[..found.span.start].matches('\n').count();
            let origin = Origin::File { name: name.clone(), line };
            self.set(found.setting, found.value.below(&folder), origin, Place::File(found.span));
        }
    }

    fn variables(&mut self, variables: &BTreeMap<OsString, OsString>) {
        let known: Vec<(String, &'static Setting)> =
            SETTINGS.iter().map(|setting| (setting.variable(), setting)).collect();
        for (name, value) in variables {
            let name = name.to_string_lossy();
            if NOT_OURS.contains(&&*name) {
                continue;
            }
            let Some((_, setting)) = known.iter().find(|(known, _)| *known == name) else {
                let near = nearest_of(&name, known.iter().map(|(known, _)| known.as_str()));
                let help = near.map_or_else(
                    || "`tidewire config` lists the settings and their variables; unset it".to_owned(),
                    |near| format!("did you mean {}?", quoted(near)),
                );
                let message = format!("{} is not a setting and is not used", quoted(&name));
                self.warnings.add(Fault::new(Place::Outside, message, help));
                continue;
            };
            match text_of(value).and_then(|text| setting.kind.parse(text)) {
                Ok(value) => self.set(setting, value, Origin::Variable(name.into_owned()), Place::Outside),
                Err(wrong) => self.faults.add(wrong.at(Place::Outside, &name, &setting.kind)),
            }
        }
    }

    fn flags(&mut self, flags: &[Flag]) {
        let mut seen: BTreeMap<&'static str, &str> = BTreeMap::new();
        for flag in flags {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == flag.setting) else {
                self.faults.add(unknown_flag(flag));
                continue;
            };
            if let Some(first) = seen.insert(setting.name, &flag.written) {
                let both = if first == flag.written {
                    format!("{} is given twice", quoted(first))
                } else {
                    format!("{} and {} set the same", quoted(first), quoted(&flag.written))
                };
                self.faults.add(Fault::new(Place::Outside, both, "keep one of the two"));
                continue;
            }
            match setting.kind.parse(&flag.value) {
                Ok(value) => self.set(setting, value, Origin::Flag(flag.written.clone()), Place::Outside),
                Err(wrong) => self.faults.add(wrong.at(Place::Outside, &flag.written, &setting.kind)),
            }
        }
    }
}

/// The text with stars, as many as there were bytes, where an address has a user and a password. Lines of it are shown with errors.
fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        // The last `@` of the line: a password may have one.
        match line.find("://").map(|at| at + "://".len()).zip(line.rfind('@')) {
            Some((from, to)) if from < to => {
                shown.push_str(&line[..from]);
                shown.extend(std::iter::repeat_n('*', to - from));
                shown.push_str(&line[to..]);
            }
            Some(_) | None => shown.push_str(line),
        }
    }
    shown
}

fn unknown_flag(flag: &Flag) -> Fault {
    let message = format!("there is no setting {}", quoted(&flag.setting));
    let near = nearest_of(&flag.setting, SETTINGS.iter().map(|setting| setting.name));
    let help = near.map_or_else(
        || "write --set NAME=VALUE; `tidewire config` lists the names".to_owned(),
        |near| format!("did you mean {}?", quoted(near)),
    );
    Fault::new(Place::Outside, message, help)
}

/// The known name that is nearest: by a slip of the pen, or by its last part when only the section is wrong or missing.
fn nearest_of<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let ends_alike =
        |candidate: &&'a str| candidate.strip_suffix(word).is_some_and(|before| before.ends_with('.'));
    nearest(word, known.clone()).or_else(|| known.clone().find(ends_alike)).or_else(|| {
        let (_, last) = word.rsplit_once('.')?;
        known.clone().find(|candidate| candidate.rsplit_once('.').is_some_and(|(_, other)| other == last))
    })
}

fn text_of(value: &OsStr) -> Result<&str, kind::Wrong> {
    match value.to_str() {
        Some(text) => Ok(text),
        None => Err(kind::Wrong::new("bytes that are not UTF-8", "write it in UTF-8")),
    }
}
