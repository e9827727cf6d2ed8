//! A file of cases as TOML with places: tables are walked key by key, and everything that does not fit is reported with its place.
//!
//! Knows neither persons nor records.

use std::ops::Range;
use std::path::Path;

use serde_json::{Map, Number, Value as Json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::faults::{FaultSite, Faults, LocatedFault};
use super::super::settings::noun;
use crate::schema::message::{quoted, suggestion};

/// Largest file in bytes.
const LARGEST: u64 = 1 << 20;

/// The parser continues after an error, and what it finds later is more and more often a consequence.
const MOST_SYNTAX_ERRORS: usize = 10;

/// A text of the file and its place.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Range<usize>,
}

/// A key and its value.
pub(super) struct FileMember<'t> {
    pub(super) key: Word,
    pub(super) value: &'t Spanned<DeValue<'t>>,
}

/// What was found wrong, with the means to say more.
#[derive(Default)]
pub(super) struct RulesReader {
    pub(super) faults: Faults,
}

/// The text, or why there is none.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("{shown} cannot be read: {error}"))?.len();
    if size > LARGEST {
        return Err(format!("{shown} is larger than {LARGEST} bytes: split it into several files"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{shown} is not UTF-8: save it as UTF-8"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

impl RulesReader {
    /// The top of the file. When it is not TOML, the meaning of the rest is unknown.
    pub(super) fn parse<'t>(&mut self, text: &'t str) -> Option<Spanned<DeTable<'t>>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors.iter().take(MOST_SYNTAX_ERRORS) {
            self.faults.add(super::super::settings::syntax(error, text));
        }
        errors.is_empty().then_some(root)
    }

    pub(super) fn fault(&mut self, span: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.faults.add(LocatedFault::new(FaultSite::File(span.clone()), message, help).label("here"));
    }

    /// The members of a table; those with unknown keys are reported and left out. `whose` completes "unknown key … ".
    pub(super) fn known<'t>(
        &mut self,
        table: &'t DeTable<'t>,
        known: &[&str],
        whose: &str,
    ) -> Vec<FileMember<'t>> {
        let (fit, others): (Vec<_>, Vec<_>) =
            members(table).partition(|member| known.contains(&&*member.key.text));
        for FileMember { key, .. } in others {
            let help = suggestion(&key.text, known, "the keys are");
            self.fault(&key.span, format!("unknown key {} {whose}", quoted(&key.text)), help);
        }
        fit
    }

    pub(super) fn table<'t>(&mut self, member: &FileMember<'t>, example: &str) -> Option<&'t DeTable<'t>> {
        member.value.get_ref().as_table().or_else(|| self.wrong_kind(member, "a table", example))
    }

    pub(super) fn word(&mut self, member: &FileMember<'_>, example: &str) -> Option<Word> {
        match member.value.get_ref().as_str() {
            Some(text) => Some(Word { text: text.to_owned(), span: member.value.span() }),
            None => self.wrong_kind(member, "a string", example),
        }
    }

    /// One string, or a list of some.
    pub(super) fn words(&mut self, member: &FileMember<'_>, example: &str) -> Vec<Word> {
        let value = member.value.get_ref();
        let listed: Option<Vec<Word>> = match value {
            DeValue::String(text) => Some(vec![Word { text: text.to_string(), span: member.value.span() }]),
            DeValue::Array(items) if !items.is_empty() => items.iter().map(of_item).collect(),
            DeValue::Array(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => None,
        };
        let expected = "a string, or a list of strings that is not empty";
        listed.or_else(|| self.wrong_kind(member, expected, example)).unwrap_or_default()
    }

    fn wrong_kind<T>(&mut self, member: &FileMember<'_>, expected: &str, example: &str) -> Option<T> {
        let (key, found) = (quoted(&member.key.text), noun(member.value.get_ref()));
        let message = format!("{key} must be {expected}, found {found}");
        self.fault(&member.value.span(), message, format!("write {}", quoted(example)));
        None
    }
}

/// In the order of the file.
pub(super) fn members<'t>(table: &'t DeTable<'t>) -> impl Iterator<Item = FileMember<'t>> {
    let mut all: Vec<FileMember<'t>> = table
        .iter()
        .map(|(key, value)| FileMember {
            key: Word { text: key.get_ref().to_string(), span: key.span() },
            value,
        })
        .collect();
    all.sort_by_key(|member| member.key.span.start);
    all.into_iter()
}

fn of_item(item: &Spanned<DeValue<'_>>) -> Option<Word> {
    let text = item.get_ref().as_str()?.to_owned();
    Some(Word { text, span: item.span() })
}

/// A value as the body of a request would have it: an unquoted date is its text. TOML has no null; what is left out is null.
pub(super) fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Json::Null, |number| Json::Number(number.into())),
        DeValue::Float(number) => {
            number.as_str().parse().ok().and_then(Number::from_f64).map_or(Json::Null, Json::Number)
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(value) => Json::String(value.to_string()),
        DeValue::Array(items) => Json::Array(items.iter().map(|item| json(item.get_ref())).collect()),
        DeValue::Table(table) => Json::Object(object(table)),
    }
}

pub(super) fn object(table: &DeTable<'_>) -> Map<String, Json> {
    members(table).map(|member| (member.key.text, json(member.value.get_ref()))).collect()
}
