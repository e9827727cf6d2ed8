//! Settings from where a user writes them: `tidewire.toml`, `TIDEWIRE_*` variables, flags; later ones win.
//!
//! `table.rs` names every setting once; everything else here works on that table and knows no single setting.

mod across;
mod addresses;
mod document;
mod file;
mod held;
mod kind;
mod loading;
mod name_rules;
mod numbers;
mod place_of_database;
mod table;
mod wrong;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub use self::document::{document, template};
pub use self::file::DEFAULT_FILE;
pub use self::kind::{SettingKind, SettingValue};
pub use self::loading::{FILE_VARIABLE, Flag, Given, Origin};
pub use self::table::{SETTINGS, Setting};
pub use super::faults::Faults;

pub(super) use self::file::{noun, syntax};

use self::loading::Loading;
use crate::config::Config;

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

/// Reads the file, then the variables, then the flags. Every fault of all of them is reported at once.
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
