//! Kinds of values that a setting can have: how each is read from text and from TOML, and how it is written.
//!
//! Knows no setting.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use super::faults::{Fault, Place};
use crate::config::LogForm;
use crate::schema::message::{list, quoted, suggestion};

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// Units with what one of them is; the largest first.
const TIME_UNITS: [(&str, u64); 5] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];

/// A value as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Count(u64),
    Size(u64),
    Time(Duration),
    Switch(bool),
    Path(PathBuf),
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
            Kind::Address => address(text).map(Value::Address),
            Kind::Hosts => hosts(text.split(',').map(str::trim).filter(|host| !host.is_empty())),
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
                texts.map_or_else(|| Err(self.wrong_type("a list of something else")), hosts)
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
            Kind::Switch | Kind::Path | Kind::Address | Kind::Hosts | Kind::LogFilter => f.write_str(noun),
        }
    }
}

impl Value {
    /// A relative path of a file belongs to that file's folder.
    pub(super) fn below(self, folder: &Path) -> Value {
        match self {
            Value::Path(path) => Value::Path(folder.join(path)),
            other => other,
        }
    }

    /// The number to compare two values of one kind by.
    pub(super) fn measure(&self) -> Option<u64> {
        match self {
            Value::Count(number) | Value::Size(number) => Some(*number),
            Value::Time(time) => Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            Value::Switch(_) | Value::Path(_) | Value::Address(_) | Value::Hosts(_) | Value::Word(_) => None,
        }
    }

    /// As it stands in JSON: numbers and lists as such, everything else in its text form.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Count(number) => (*number).into(),
            Value::Switch(value) => (*value).into(),
            Value::Hosts(hosts) => hosts.clone().into(),
            Value::Size(_) | Value::Time(_) | Value::Path(_) | Value::Address(_) | Value::Word(_) => {
                self.text().into()
            }
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
            Value::Word(word) => word.clone(),
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
            Value::Size(_) | Value::Time(_) | Value::Path(_) | Value::Address(_) | Value::Word(_) => {
                f.write_str(&toml::Value::String(self.text()).to_string())
            }
        }
    }
}

/// A field of `Config`: what kind of value it is, and back.
pub(super) trait Held: Sized {
    fn value(&self, kind: &Kind) -> Value;
    /// `None` when the value is of another kind, or too large for the type.
    fn held(value: Value) -> Option<Self>;
}

macro_rules! number_is_held {
    ($($number:ty)*) => {$(
        impl Held for $number {
            fn value(&self, kind: &Kind) -> Value {
                let number = u64::try_from(*self).unwrap_or(u64::MAX);
                if matches!(kind, Kind::Size(_)) { Value::Size(number) } else { Value::Count(number) }
            }

            fn held(value: Value) -> Option<$number> {
                value.measure().and_then(|number| number.try_into().ok())
            }
        }
    )*};
}

macro_rules! is_held {
    ($($held:ty as $variant:ident)*) => {$(
        impl Held for $held {
            fn value(&self, _kind: &Kind) -> Value {
                Value::$variant(self.clone())
            }

            fn held(value: Value) -> Option<$held> {
                if let Value::$variant(held) = value { Some(held) } else { None }
            }
        }
    )*};
}

number_is_held!(u32 u64 usize);
is_held!(Duration as Time bool as Switch PathBuf as Path SocketAddr as Address Vec<String> as Hosts String as Word);

impl Held for LogForm {
    fn value(&self, _kind: &Kind) -> Value {
        Value::Word(if *self == LogForm::Json { "json" } else { "text" }.to_owned())
    }

    fn held(value: Value) -> Option<LogForm> {
        match value.text().as_str() {
            "json" => Some(LogForm::Json),
            "text" => Some(LogForm::Text),
            _ => None,
        }
    }
}

fn counted(text: &str) -> Result<u64, Wrong> {
    let digits = text.replace('_', "");
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return Err(Wrong::new(quoted(text), "write a whole number such as 100"));
    }
    // More digits than a u64 has is simply too many for every range.
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn sized(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = split(text);
    let count =
        counted(number).map_err(|_| Wrong::new(quoted(text), "write a number and a unit, such as 64KiB"))?;
    let unit = if unit.is_empty() { "B" } else { unit };
    match factor(unit, &SIZE_UNITS) {
        Some(factor) => Ok(count.saturating_mul(factor)),
        None => {
            Err(Wrong::new(quoted(text), format!("the units are B, KiB, MiB and GiB, not {}", quoted(unit))))
        }
    }
}

fn timed(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = split(text);
    let count =
        counted(number).map_err(|_| Wrong::new(quoted(text), "write a number and a unit, such as 25s"))?;
    match factor(unit, &TIME_UNITS) {
        Some(factor) => Ok(count.saturating_mul(factor)),
        None if unit.is_empty() => Err(Wrong::new(
            format!("{} without a unit", quoted(text)),
            format!("write {number}s for seconds; the units are ms, s, m, h, d"),
        )),
        None => {
            Err(Wrong::new(quoted(text), format!("the units are ms, s, m, h and d, not {}", quoted(unit))))
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn factor(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(known, _)| *known == unit).map(|(_, factor)| *factor)
}

fn within(range: &RangeInclusive<u64>, number: u64, text: &str) -> Result<u64, Wrong> {
    let (from, to) = (grouped(*range.start()), grouped(*range.end()));
    bounded(range, number, text, &from, &to)
}

fn within_units(
    range: &RangeInclusive<u64>,
    number: u64,
    text: &str,
    units: &[(&str, u64)],
) -> Result<u64, Wrong> {
    bounded(range, number, text, &in_units(*range.start(), units), &in_units(*range.end(), units))
}

fn bounded(range: &RangeInclusive<u64>, number: u64, text: &str, from: &str, to: &str) -> Result<u64, Wrong> {
    if number < *range.start() {
        let help = format!("the smallest is {from}");
        return Err(Wrong { label: Some("too small"), ..Wrong::new(quoted(text), help) });
    }
    if number > *range.end() {
        let help = format!("the largest is {to}");
        return Err(Wrong { label: Some("too large"), ..Wrong::new(quoted(text), help) });
    }
    Ok(number)
}

/// In the largest unit that leaves no fraction; a single day stays 24h, as people say it.
fn in_units(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(unit, factor): &&(&str, u64)| {
        number >= *factor && number % factor == 0 && !(*unit == "d" && number == DAY)
    };
    let (unit, factor) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", number / factor)
}

/// `10000` as `10,000`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

fn address(text: &str) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let help = "write an address and a port, such as 127.0.0.1:8080 or [::1]:8080; port 0 takes any";
    let wrong = || Wrong::new(quoted(text), help);
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    if name.is_empty()
        || !is_host_name(name)
        || name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return Err(wrong());
    }
    // A name elsewhere could point somewhere else tomorrow; an address says what it opens.
    let found: Vec<SocketAddr> = (name, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    match found.first() {
        None => Err(Wrong::new(format!("{}, a name without an address", quoted(text)), help)),
        Some(_) if found.iter().any(|address| !address.ip().is_loopback()) => Err(Wrong::new(
            format!("{}, a name of another machine or network", quoted(text)),
            "only names of this machine's loopback are looked up; write the address itself",
        )),
        Some(first) => Ok(*found.iter().find(|address| address.is_ipv4()).unwrap_or(first)),
    }
}

fn hosts<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Value, Wrong> {
    let mut hosts = Vec::new();
    for name in names {
        if !is_host(name) {
            let help = "write the name alone, with or without a port: tide.example, tide.example:8443";
            return Err(Wrong::new(quoted(name), help));
        }
        hosts.push(name.to_owned());
    }
    Ok(Value::Hosts(hosts))
}

/// A name or an address, then perhaps a port.
fn is_host(text: &str) -> bool {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return port && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    match text.split_once(':') {
        Some((name, port)) => is_host_name(name) && is_port(port),
        None => is_host_name(text),
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.len() <= 253 && text.split('.').all(|part| !part.is_empty() && part.bytes().all(letter))
}
