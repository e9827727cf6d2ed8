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

use super::addresses::{address, hosts};
use super::numbers::{
    SIZE_UNITS, TIME_UNITS, counted, grouped, in_units, sized, timed, within, within_units,
};
use crate::cli::faults::{Fault, Place};
use crate::schema::message::{list, quoted, suggestion};
use crate::store::choice::{DatabaseAddress, NoAddress};

/// A value as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
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
}

/// What a setting takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
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
    OneOf(&'static [&'static str]),
    /// Which log lines are written.
    LogFilter,
}

/// Why something is no value of a kind: what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    found: String,
    help: String,
    /// The words at the caret, where they are not the kind.
    label: Option<&'static str>,
}

impl Wrong {
    pub(super) fn new(found: impl Into<String>, help: impl Into<String>) -> Wrong {
        Wrong { found: found.into(), help: help.into(), label: None }
    }

    pub(super) fn label(self, label: &'static str) -> Wrong {
        Wrong { label: Some(label), ..self }
    }

    /// `name` is the setting, variable or flag as the user knows it.
    pub(super) fn at(self, place: Place, name: &str, kind: &Kind) -> Fault {
        let message = format!("{} must be {kind}, found {}", quoted(name), self.found);
        let label = self.label.map_or_else(|| format!("expected {}", kind.noun()), str::to_owned);
        Fault::new(place, message, self.help).label(label)
    }
}

impl Kind {
    /// Reads the text of a variable or a flag.
    pub(super) fn parse(&self, text: &str) -> Result<Value, Wrong> {
        if text.is_empty() && *self != Kind::Hosts {
            return Err(Wrong::new("nothing", format!("write {}, or leave it out", self.example())));
        }
        match self {
            Kind::Count(range) => {
                counted(text).and_then(|count| within(range, count, text)).map(Value::Count)
            }
            Kind::Size(range) => {
                sized(text).and_then(|size| within_units(range, size, text, &SIZE_UNITS)).map(Value::Size)
            }
            Kind::Time(range) => timed(text)
                .and_then(|time| within_units(range, time, text, &TIME_UNITS))
                .map(|time| Value::Time(Duration::from_millis(time))),
            Kind::Switch => match text {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(self.wrong(text)),
            },
            Kind::Path if text.contains('\0') => Err(self.wrong(text)),
            Kind::Path => Ok(Value::Path(PathBuf::from(text))),
            Kind::Database => match text.parse::<DatabaseAddress>() {
                Ok(address) => Ok(Value::Database(address.to_string())),
                Err(NoAddress { found, help }) => Err(Wrong::new(found, help)),
            },
            Kind::Address => address(text).map(Value::Address),
            Kind::Hosts => {
                hosts(text.split(',').map(str::trim).filter(|host| !host.is_empty())).map(Value::Hosts)
            }
            Kind::OneOf(words) if words.contains(&text) => Ok(Value::Word(text.to_owned())),
            Kind::OneOf(words) => Err(Wrong::new(quoted(text), suggestion(text, words, "the words are"))),
            Kind::LogFilter => match EnvFilter::builder().parse(text) {
                Ok(_) => Ok(Value::Word(text.to_owned())),
                Err(error) => Err(Wrong::new(quoted(text), format!("{error}; write {}", self.example()))),
            },
        }
    }

    /// Reads the value of a TOML key.
    pub(super) fn parse_toml(&self, value: &DeValue<'_>) -> Result<Value, Wrong> {
        match (self, value) {
            (Kind::Count(_) | Kind::Size(_), DeValue::Integer(number)) => {
                let read = u64::from_str_radix(number.as_str(), number.radix());
                let text = read.map_or_else(|_| number.to_string(), |number| number.to_string());
                self.parse(&text)
            }
            (Kind::Time(_), DeValue::Integer(number)) => Err(Wrong::new(
                format!("`{number}` without a unit"),
                format!("write \"{number}s\" for seconds; the units are ms, s, m, h, d"),
            )),
            (Kind::Switch, DeValue::Boolean(value)) => Ok(Value::Switch(*value)),
            (Kind::Hosts, DeValue::Array(items)) => {
                let texts: Option<Vec<&str>> = items.iter().map(|item| item.get_ref().as_str()).collect();
                let texts = texts.ok_or_else(|| self.wrong_type("a list of something else"))?;
                hosts(texts).map(Value::Hosts)
            }
            (Kind::Count(_) | Kind::Switch | Kind::Hosts, DeValue::String(_)) => {
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

    /// With an article and without bounds.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Kind::Count(_) => "a whole number",
            Kind::Size(_) => "a size",
            Kind::Time(_) => "a duration",
            Kind::Switch => "true or false",
            Kind::Path => "a path",
            Kind::Database => "the address of a database",
            Kind::Address => "an address and a port",
            Kind::Hosts => "a list of host names",
            Kind::OneOf(_) => "one of the words",
            Kind::LogFilter => "a log filter",
        }
    }

    /// As one would write it in the file.
    fn example(&self) -> &'static str {
        match self {
            Kind::Count(_) => "a number such as 100",
            Kind::Size(_) => "a number and a unit, such as \"64KiB\"",
            Kind::Time(_) => "a number and a unit, such as \"25s\"",
            Kind::Switch => "true or false",
            Kind::Path => "the name of a folder",
            Kind::Database => "sqlite:data/tidewire.db",
            Kind::Address => "127.0.0.1:8080",
            Kind::Hosts => "[\"tide.example\"]",
            Kind::OneOf(_) => "one of the words",
            Kind::LogFilter => "a filter such as \"warn,tidewire=debug\"",
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
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = self.noun();
        match self {
            Kind::Count(range) => {
                write!(f, "{noun} from {} to {}", grouped(*range.start()), grouped(*range.end()))
            }
            Kind::Size(range) => write!(
                f,
                "{noun} from {} to {}",
                in_units(*range.start(), &SIZE_UNITS),
                in_units(*range.end(), &SIZE_UNITS)
            ),
            Kind::Time(range) => write!(
                f,
                "{noun} from {} to {}",
                in_units(*range.start(), &TIME_UNITS),
                in_units(*range.end(), &TIME_UNITS)
            ),
            Kind::OneOf(words) => write!(f, "one of {}", list(words.iter().copied())),
            Kind::Switch | Kind::Path | Kind::Database | Kind::Address | Kind::Hosts | Kind::LogFilter => {
                f.write_str(noun)
            }
        }
    }
}

impl Value {
    /// A relative path of a file belongs to that file's folder.
    pub(super) fn below(self, folder: &Path) -> Value {
        match self {
            Value::Path(path) => Value::Path(folder.join(path)),
            Value::Database(text) => Value::Database(match text.parse::<DatabaseAddress>() {
                Ok(address) => address.below(folder).to_string(),
                Err(_) => text,
            }),
            other => other,
        }
    }

    /// The number to compare two values of one kind by.
    pub(super) fn measure(&self) -> Option<u64> {
        match self {
            Value::Count(number) | Value::Size(number) => Some(*number),
            Value::Time(time) => Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            Value::Switch(_)
            | Value::Path(_)
            | Value::Database(_)
            | Value::Address(_)
            | Value::Hosts(_)
            | Value::Word(_) => None,
        }
    }

    /// As it stands in JSON: numbers and lists as such, everything else in its text form.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Count(number) => (*number).into(),
            Value::Switch(value) => (*value).into(),
            Value::Hosts(hosts) => hosts.clone().into(),
            Value::Size(_)
            | Value::Time(_)
            | Value::Path(_)
            | Value::Database(_)
            | Value::Address(_)
            | Value::Word(_) => self.text().into(),
        }
    }

    /// As it stands in a variable.
    pub fn text(&self) -> String {
        match self {
            Value::Count(number) => number.to_string(),
            Value::Size(bytes) => in_units(*bytes, &SIZE_UNITS),
            Value::Time(_) => in_units(self.measure().unwrap_or_default(), &TIME_UNITS),
            Value::Switch(value) => value.to_string(),
            Value::Path(path) => path.display().to_string(),
            Value::Address(address) => address.to_string(),
            Value::Hosts(hosts) => hosts.join(","),
            Value::Word(word) | Value::Database(word) => word.clone(),
        }
    }
}

/// As it stands in `tidewire.toml`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(_) | Value::Switch(_) => f.write_str(&self.text()),
            Value::Hosts(hosts) => {
                let quoted: Vec<String> = hosts.iter().map(|host| format!("{host:?}")).collect();
                write!(f, "[{}]", quoted.join(", "))
            }
            Value::Size(_)
            | Value::Time(_)
            | Value::Path(_)
            | Value::Database(_)
            | Value::Address(_)
            | Value::Word(_) => f.write_str(&toml::Value::String(self.text()).to_string()),
        }
    }
}
