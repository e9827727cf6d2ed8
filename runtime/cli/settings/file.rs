//! `tidewire.toml` to values of settings, each with its place.
//!
//! A file is read once and whole; what is wrong with one key does not hide what is wrong with the next.

use std::fs;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::SettingValue;
use super::table::{SETTINGS, Setting, nearest_of};
use crate::cli::faults::{FaultSite, Faults, LocatedFault};
use crate::schema::message::{nearest, quoted};

/// Largest settings file in bytes.
const LARGEST: u64 = 1 << 20;

/// The parser continues after an error, and what it finds later is more and more often a consequence.
const MOST_SYNTAX_ERRORS: usize = 10;

/// Read from the working directory when no other file is named.
pub const DEFAULT_FILE: &str = "tidewire.toml";

/// A setting that the file sets.
pub(super) struct FoundSetting {
    pub(super) setting: &'static Setting,
    pub(super) value: SettingValue,
    pub(super) span: Range<usize>,
}

/// The text; `None` when there is no file and none was named.
pub(super) fn read(path: &Path, named_by: Option<&str>) -> Result<Option<String>, LocatedFault> {
    let shown = quoted(&path.display().to_string());
    let whose = named_by.map_or(String::new(), |by| format!(" (named by {by})"));
    let fault = |message: String, help: &str| LocatedFault::new(FaultSite::Outside, message + &whose, help);
    let mut bytes = Vec::new();
    match fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound && named_by.is_none() => return Ok(None),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let help = format!("create it, or leave the name out: {DEFAULT_FILE} is read where there is one");
            return Err(fault(format!("there is no settings file {shown}"), &help));
        }
        Err(error) => {
            let help = "name a settings file; docs/configuration.md lists the settings";
            return Err(fault(format!("the settings file {shown} cannot be read: {error}"), help));
        }
    }
    if bytes.len() as u64 > LARGEST {
        let message = format!("the settings file {shown} is larger than {LARGEST} bytes");
        return Err(fault(message, "name a settings file"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            Err(fault(
                format!("line {line} of the settings file {shown} is not UTF-8"),
                "save the file as UTF-8",
            ))
        }
    }
}

/// Every setting of the file that can be understood; the faults go into `faults`.
pub(super) fn parse(text: &str, faults: &mut Faults) -> Vec<FoundSetting> {
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MOST_SYNTAX_ERRORS) {
        faults.add(syntax(error, text));
    }
    // When a file is not TOML, the meaning of the rest is unknown. A key that is given twice is reported alone.
    if errors.iter().any(|error| !is_duplicate(error)) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (key, value) in root.get_ref() {
        let name = key.get_ref();
        if !is_section(name) {
            one(name, key.span(), value, &mut found, faults);
        } else if let Some(table) = value.get_ref().as_table() {
            for (inner, value) in table {
                let full = format!("{name}.{}", inner.get_ref());
                one(&full, inner.span(), value, &mut found, faults);
            }
        } else {
            let message = format!("{} must be a table, found {}", quoted(name), noun(value.get_ref()));
            let help = format!("write [{name}] on a line of its own, its keys below");
            faults.add(
                LocatedFault::new(FaultSite::File(value.span()), message, help).label("expected a table"),
            );
        }
    }
    found
}

fn one(
    name: &str,
    key: Range<usize>,
    value: &Spanned<DeValue<'_>>,
    found: &mut Vec<FoundSetting>,
    faults: &mut Faults,
) {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
        let message = format!("there is no setting {}", quoted(name));
        faults.add(LocatedFault::new(FaultSite::File(key), message, meant(name)).label("not known here"));
        return;
    };
    match setting.kind.parse_toml(value.get_ref()) {
        Ok(value) => found.push(FoundSetting { setting, value, span: key }),
        Err(wrong) => faults.add(setting.kind.fault(wrong, FaultSite::File(value.span()), name)),
    }
}

fn meant(name: &str) -> String {
    if let Some(near) = nearest_of(name, SETTINGS.iter().map(|setting| setting.name)) {
        return format!("did you mean {}?", quoted(near));
    }
    if let Some(near) = nearest(name, sections()).filter(|_| !name.contains('.')) {
        return format!("did you mean the section [{near}]?");
    }
    "`tidewire config` lists the settings, docs/configuration.md explains them".to_owned()
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|setting| setting.name.split_once('.').map(|(section, _)| section))
}

fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message().contains("duplicate key")
}

pub(in crate::cli) fn syntax(error: &toml::de::Error, text: &str) -> LocatedFault {
    let place = FaultSite::File(error.span().unwrap_or(text.len()..text.len()));
    if is_duplicate(error) {
        return LocatedFault::new(place, "this key was given before", "keep one of the two")
            .label("second time");
    }
    let message = format!("this is not TOML: {}", error.message());
    LocatedFault::new(place, message, "write `key = value`; strings are in double quotes, lists in [ ]")
        .label("here")
}

pub(in crate::cli) fn noun(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
