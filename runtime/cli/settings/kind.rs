//! Kinds of values that a setting can have: how each is read from text and from TOML, and how it is written.
//!
//! Knows no setting.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use super::addresses::{address, hosts, networks, origins};
use super::name_rules;
use super::numbers::{
    SIZE_UNITS, TIME_UNITS, counted, grouped, in_units, sized, timed, within, within_units,
};
use super::wrong::Wrong;
use crate::cli::faults::{FaultSite, LocatedFault};
use crate::config::NameRuleTexts;
use crate::schema::message::{list, quoted, suggestion};
use crate::store::choice::{DatabaseAddress, NoAddress};

/// A value as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingValue {
    Count(u64),
    Size(u64),
    Time(Duration),
    Switch(bool),
    Path(PathBuf),
    /// The address of a database.
    Database(String),
    Address(SocketAddr),
    Hosts(Vec<String>),
    Word(String),
    /// Rules for names, by patterns.
    NameRules(NameRuleTexts),
}

/// What a setting takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingKind {
    Count(RangeInclusive<u64>),
    /// In bytes.
    Size(RangeInclusive<u64>),
    /// In milliseconds.
    Time(RangeInclusive<u64>),
    Switch,
    Path,
    /// Where a database is.
    Database,
    Address,
    /// Host names, each with or without a port.
    Hosts,
    /// Origins of pages: `https://app.example`.
    Origins,
    /// Addresses and networks: `10.0.0.0/8`.
    Networks,
    /// A file, or nothing.
    File,
    /// The value of an HTTP header.
    Header,
    OneOf(&'static [&'static str]),
    /// Which log lines are written.
    LogFilter,
    /// A table of patterns, each with rules for these words.
    NameRules(&'static [&'static str]),
}

impl SettingKind {
    /// `name` is the setting, variable or flag as the user knows it.
    pub(super) fn fault(&self, wrong: Wrong, place: FaultSite, name: &str) -> LocatedFault {
        let message = format!("{} must be {self}, found {}", quoted(name), wrong.found);
        let place = match (place, wrong.at) {
            (FaultSite::File(_), Some(at)) => FaultSite::File(at),
            (place, _) => place,
        };
        let label = wrong.label.map_or_else(|| format!("expected {}", self.noun()), str::to_owned);
        LocatedFault::new(place, message, wrong.help).label(label)
    }

    /// Reads the text of a variable or a flag.
    pub(super) fn parse(&self, text: &str) -> Result<SettingValue, Wrong> {
        if text.is_empty() && !(self.is_list() || *self == SettingKind::File) {
            return Err(Wrong::new("nothing", format!("write {}, or leave it out", self.example())));
        }
        match self {
            SettingKind::Count(range) => {
                counted(text).and_then(|count| within(range, count, text)).map(SettingValue::Count)
            }
            SettingKind::Size(range) => sized(text)
                .and_then(|size| within_units(range, size, text, &SIZE_UNITS))
                .map(SettingValue::Size),
            SettingKind::Time(range) => timed(text)
                .and_then(|time| within_units(range, time, text, &TIME_UNITS))
                .map(|time| SettingValue::Time(Duration::from_millis(time))),
            SettingKind::Switch => match text {
                "true" => Ok(SettingValue::Switch(true)),
                "false" => Ok(SettingValue::Switch(false)),
                _ => Err(self.wrong(text)),
            },
            SettingKind::Path if text.contains('\0') => Err(self.wrong(text)),
            SettingKind::Path => Ok(SettingValue::Path(PathBuf::from(text))),
            SettingKind::Database => match text.parse::<DatabaseAddress>() {
                Ok(address) => Ok(SettingValue::Database(address.to_string())),
                Err(NoAddress { found, help }) => Err(Wrong::new(found, help)),
            },
            SettingKind::Address => address(text).map(SettingValue::Address),
            SettingKind::Hosts | SettingKind::Origins | SettingKind::Networks => {
                self.listed(text.split(',').map(str::trim).filter(|item| !item.is_empty()))
            }
            SettingKind::File if text.contains('\0') => Err(self.wrong(text)),
            SettingKind::File => Ok(SettingValue::Path(PathBuf::from(text))),
            SettingKind::Header if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) => {
                Ok(SettingValue::Word(text.to_owned()))
            }
            SettingKind::Header => Err(self.wrong(text)),
            SettingKind::OneOf(words) if words.contains(&text) => Ok(SettingValue::Word(text.to_owned())),
            SettingKind::OneOf(words) => {
                Err(Wrong::new(quoted(text), suggestion(text, words, "the words are")))
            }
            SettingKind::LogFilter => match EnvFilter::builder().parse(text) {
                Ok(_) => Ok(SettingValue::Word(text.to_owned())),
                Err(error) => Err(Wrong::new(quoted(text), format!("{error}; write {}", self.example()))),
            },
            SettingKind::NameRules(words) => name_rules::of_text(text, words).map(SettingValue::NameRules),
        }
    }

    /// Reads the value of a TOML key.
    pub(super) fn parse_toml(&self, value: &DeValue<'_>) -> Result<SettingValue, Wrong> {
        match (self, value) {
            (SettingKind::Count(_) | SettingKind::Size(_), DeValue::Integer(number)) => {
                let read = u64::from_str_radix(number.as_str(), number.radix());
                let text = read.map_or_else(|_| number.to_string(), |number| number.to_string());
                self.parse(&text)
            }
            (SettingKind::Time(_), DeValue::Integer(number)) => Err(Wrong::new(
                format!("`{number}` without a unit"),
                format!("write \"{number}s\" for seconds; the units are ms, s, m, h, d"),
            )),
            (SettingKind::Switch, DeValue::Boolean(value)) => Ok(SettingValue::Switch(*value)),
            (SettingKind::Hosts | SettingKind::Origins | SettingKind::Networks, DeValue::Array(items)) => {
                let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                let texts = texts.ok_or_else(|| self.wrong_type("a list of something else"))?;
                self.listed(texts)
            }
            (SettingKind::NameRules(words), DeValue::Table(table)) => {
                name_rules::of_table(table, words).map(SettingValue::NameRules)
            }
            (kind, DeValue::String(_))
                if kind.is_list()
                    || matches!(
                        kind,
                        SettingKind::Count(_) | SettingKind::Switch | SettingKind::NameRules(_)
                    ) =>
            {
                Err(self.wrong_type("a string"))
            }
            (_, DeValue::String(text)) => self.parse(text),
            (_, DeValue::Integer(_)) => Err(self.wrong_type("a number")),
            (_, DeValue::Float(_)) => Err(self.wrong_type("a number with a fraction")),
            (_, DeValue::Boolean(_)) => Err(self.wrong_type("a boolean")),
            (_, DeValue::Datetime(_)) => Err(self.wrong_type("a date or time")),
            (_, DeValue::Array(_)) => Err(self.wrong_type("a list")),
            (_, DeValue::Table(_)) => Err(self.wrong_type("a table")),
        }
    }

    fn is_list(&self) -> bool {
        matches!(self, SettingKind::Hosts | SettingKind::Origins | SettingKind::Networks)
    }

    fn listed<'a>(&self, items: impl IntoIterator<Item = &'a str>) -> Result<SettingValue, Wrong> {
        let read = match self {
            SettingKind::Origins => origins(items),
            SettingKind::Networks => networks(items),
            SettingKind::Hosts
            | SettingKind::Count(_)
            | SettingKind::Size(_)
            | SettingKind::Time(_)
            | SettingKind::Switch
            | SettingKind::Path
            | SettingKind::Database
            | SettingKind::Address
            | SettingKind::File
            | SettingKind::Header
            | SettingKind::OneOf(_)
            | SettingKind::NameRules(_)
            | SettingKind::LogFilter => hosts(items),
        };
        read.map(SettingValue::Hosts)
    }

    /// With an article and without bounds.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            SettingKind::Count(_) => "a whole number",
            SettingKind::Size(_) => "a size",
            SettingKind::Time(_) => "a duration",
            SettingKind::Switch => "true or false",
            SettingKind::Path => "a path",
            SettingKind::Database => "the address of a database",
            SettingKind::Address => "an address and a port",
            SettingKind::Hosts => "a list of host names",
            SettingKind::Origins => "a list of origins",
            SettingKind::Networks => "a list of addresses and networks",
            SettingKind::File => "a path",
            SettingKind::Header => "the value of a header",
            SettingKind::OneOf(_) => "one of the words",
            SettingKind::LogFilter => "a log filter",
            SettingKind::NameRules(_) => "a table of patterns with rules",
        }
    }

    /// As one would write it in the file.
    fn example(&self) -> &'static str {
        match self {
            SettingKind::Count(_) => "a number such as 100",
            SettingKind::Size(_) => "a number and a unit, such as \"64KiB\"",
            SettingKind::Time(_) => "a number and a unit, such as \"25s\"",
            SettingKind::Switch => "true or false",
            SettingKind::Path => "the name of a folder",
            SettingKind::Database => "sqlite:data/tidewire.db",
            SettingKind::Address => "127.0.0.1:8080",
            SettingKind::Hosts => "[\"tide.example\"]",
            SettingKind::Origins => "[\"https://app.example\"]",
            SettingKind::Networks => "[\"10.0.0.0/8\", \"::1\"]",
            SettingKind::File => "the name of a file",
            SettingKind::Header => "visible ASCII characters",
            SettingKind::OneOf(_) => "one of the words",
            SettingKind::LogFilter => "a filter such as \"warn,tidewire=debug\"",
            SettingKind::NameRules(_) => "a pattern and its rule: \"lobby\" = \"user != null\"",
        }
    }

    fn wrong(&self, text: &str) -> Wrong {
        Wrong::new(quoted(text), format!("write {}", self.example()))
    }

    fn wrong_type(&self, found: &str) -> Wrong {
        Wrong::new(found, format!("write {}", self.example()))
    }
}

/// With an article and with its bounds: "a size from 1KiB to 1GiB".
impl fmt::Display for SettingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = self.noun();
        match self {
            SettingKind::Count(range) => {
                write!(f, "{noun} from {} to {}", grouped(*range.start()), grouped(*range.end()))
            }
            SettingKind::Size(range) => write!(
                f,
                "{noun} from {} to {}",
                in_units(*range.start(), &SIZE_UNITS),
                in_units(*range.end(), &SIZE_UNITS)
            ),
            SettingKind::Time(range) => write!(
                f,
                "{noun} from {} to {}",
                in_units(*range.start(), &TIME_UNITS),
                in_units(*range.end(), &TIME_UNITS)
            ),
            SettingKind::OneOf(words) => write!(f, "one of {}", list(words.iter().copied())),
            SettingKind::Switch
            | SettingKind::Path
            | SettingKind::Database
            | SettingKind::Address
            | SettingKind::Hosts
            | SettingKind::Origins
            | SettingKind::Networks
            | SettingKind::File
            | SettingKind::Header
            | SettingKind::NameRules(_)
            | SettingKind::LogFilter => f.write_str(noun),
        }
    }
}

impl SettingValue {
    /// A relative path of a file belongs to that file's folder.
    pub(super) fn below(self, folder: &Path) -> SettingValue {
        match self {
            SettingValue::Path(path) if path.as_os_str().is_empty() => SettingValue::Path(path),
            SettingValue::Path(path) => SettingValue::Path(folder.join(path)),
            SettingValue::Database(text) => SettingValue::Database(match text.parse::<DatabaseAddress>() {
                Ok(address) => address.below(folder).to_string(),
                Err(_) => text,
            }),
            SettingValue::Count(_)
            | SettingValue::Size(_)
            | SettingValue::Time(_)
            | SettingValue::Switch(_)
            | SettingValue::Address(_)
            | SettingValue::Hosts(_)
            | SettingValue::NameRules(_)
            | SettingValue::Word(_) => self,
        }
    }

    /// The number to compare two values of one kind by.
    pub(super) fn measure(&self) -> Option<u64> {
        match self {
            SettingValue::Count(number) | SettingValue::Size(number) => Some(*number),
            SettingValue::Time(time) => Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            SettingValue::Switch(_)
            | SettingValue::Path(_)
            | SettingValue::Database(_)
            | SettingValue::Address(_)
            | SettingValue::Hosts(_)
            | SettingValue::NameRules(_)
            | SettingValue::Word(_) => None,
        }
    }

    /// As it is in JSON: numbers and lists as such, everything else in its text form.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            SettingValue::Count(number) => (*number).into(),
            SettingValue::Switch(value) => (*value).into(),
            SettingValue::Hosts(hosts) => hosts.clone().into(),
            SettingValue::Size(_)
            | SettingValue::Time(_)
            | SettingValue::Path(_)
            | SettingValue::Database(_)
            | SettingValue::Address(_)
            | SettingValue::NameRules(_)
            | SettingValue::Word(_) => self.text().into(),
        }
    }

    /// As it is in a variable.
    pub fn text(&self) -> String {
        match self {
            SettingValue::Count(number) => number.to_string(),
            SettingValue::Size(bytes) => in_units(*bytes, &SIZE_UNITS),
            SettingValue::Time(_) => in_units(self.measure().unwrap_or_default(), &TIME_UNITS),
            SettingValue::Switch(value) => value.to_string(),
            SettingValue::Path(path) => path.display().to_string(),
            SettingValue::Address(address) => address.to_string(),
            SettingValue::Hosts(hosts) => hosts.join(","),
            SettingValue::Word(word) | SettingValue::Database(word) => word.clone(),
            SettingValue::NameRules(rules) => name_rules::text(rules),
        }
    }
}

/// As it is in `tidewire.toml`.
impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingValue::Count(_) | SettingValue::Switch(_) | SettingValue::NameRules(_) => {
                f.write_str(&self.text())
            }
            SettingValue::Hosts(hosts) => {
                let quoted: Vec<String> = hosts.iter().map(|host| format!("{host:?}")).collect();
                write!(f, "[{}]", quoted.join(", "))
            }
            SettingValue::Size(_)
            | SettingValue::Time(_)
            | SettingValue::Path(_)
            | SettingValue::Database(_)
            | SettingValue::Address(_)
            | SettingValue::Word(_) => f.write_str(&toml::Value::String(self.text()).to_string()),
        }
    }
}
