//! `Loading`: settings while they are gathered from the file, the variables and the flags.
//!
//! Knows no single setting, and not which of them depend on each other.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{self, DEFAULT_FILE};
use super::kind::SettingValue;
use super::table::{SETTINGS, Setting, nearest_of};
use super::wrong::Wrong;
use crate::cli::faults::{FaultSite, Faults, LocatedFault};
use crate::config::Config;
use crate::schema::message::quoted;

/// Names the file, so it cannot be in it.
pub const FILE_VARIABLE: &str = "TIDEWIRE_CONFIG";

/// Variables with our prefix that are not for the server: `TIDEWIRE_BIN` tells benchmarks and browser tests what to start, and
/// `TIDEWIRE_TOKEN` who asks in `tidewire why`.
const NOT_OURS: [&str; 3] = [FILE_VARIABLE, "TIDEWIRE_BIN", "TIDEWIRE_TOKEN"];

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

/// Settings while they are gathered.
#[derive(Default)]
pub(super) struct Loading {
    pub(super) config: Config,
    pub(super) file: Option<PathBuf>,
    pub(super) origins: BTreeMap<&'static str, (Origin, FaultSite)>,
    pub(super) faults: Faults,
    pub(super) warnings: Faults,
}

impl Loading {
    fn set(&mut self, setting: &'static Setting, value: SettingValue, origin: Origin, place: FaultSite) {
        setting.write(&mut self.config, value);
        self.origins.insert(setting.name, (origin, place));
    }

    pub(super) fn file(&mut self, given: &Given, variables: &BTreeMap<OsString, OsString>) {
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
            self.set(found.setting, found.value.below(&folder), origin, FaultSite::File(found.span));
        }
    }

    pub(super) fn variables(&mut self, variables: &BTreeMap<OsString, OsString>) {
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
                self.warnings.add(LocatedFault::new(FaultSite::Outside, message, help));
                continue;
            };
            match text_of(value).and_then(|text| setting.kind.parse(text)) {
                Ok(value) => {
                    self.set(setting, value, Origin::Variable(name.into_owned()), FaultSite::Outside)
                }
                Err(wrong) => self.faults.add(setting.kind.fault(wrong, FaultSite::Outside, &name)),
            }
        }
    }

    pub(super) fn flags(&mut self, flags: &[Flag]) {
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
                self.faults.add(LocatedFault::new(FaultSite::Outside, both, "keep one of the two"));
                continue;
            }
            match setting.kind.parse(&flag.value) {
                Ok(value) => self.set(setting, value, Origin::Flag(flag.written.clone()), FaultSite::Outside),
                Err(wrong) => self.faults.add(setting.kind.fault(wrong, FaultSite::Outside, &flag.written)),
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

fn unknown_flag(flag: &Flag) -> LocatedFault {
    let message = format!("there is no setting {}", quoted(&flag.setting));
    let near = nearest_of(&flag.setting, SETTINGS.iter().map(|setting| setting.name));
    let help = near.map_or_else(
        || "write --set NAME=VALUE; `tidewire config` lists the names".to_owned(),
        |near| format!("did you mean {}?", quoted(near)),
    );
    LocatedFault::new(FaultSite::Outside, message, help)
}

fn text_of(value: &OsStr) -> Result<&str, Wrong> {
    match value.to_str() {
        Some(text) => Ok(text),
        None => Err(Wrong::new("bytes that are not UTF-8", "write it in UTF-8")),
    }
}
