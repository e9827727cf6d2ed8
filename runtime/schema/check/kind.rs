//! The type of a field and the constraints that belong to that type.
//!
//! Knows no default and no other field.

use regex::RegexBuilder;

use super::reader::TableReader;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
pub(in crate::schema) use crate::schema::limits::LARGEST_INT;
use crate::schema::message::{list, quoted, suggestion};
use crate::schema::model::{FieldKind, OnDelete, Pattern};
use crate::schema::tree::{Entry, Node, TableNode};

pub(in crate::schema) const TYPES: &[&str] =
    &["text", "int", "float", "bool", "enum", "json", "date", "datetime", "uuid", "ref"];
const TYPES_LATER: &[&str] = &["file"];

/// Keys of every type, then those of some types.
pub(in crate::schema) const COMMON_KEYS: &[&str] =
    &["type", "required", "unique", "find", "readonly", "default", "from", "was", "read", "hidden"];
pub(in crate::schema) const KEYS_OF_TYPES: &[(&str, &[&str])] = &[
    ("min", &["text", "int", "float"]),
    ("max", &["text", "int", "float"]),
    ("pattern", &["text"]),
    ("ignore_case", &["text"]),
    ("normalize", &["text"]),
    ("search", &["text"]),
    ("sequence", &["int"]),
    ("values", &["enum"]),
    ("entity", &["ref"]),
    ("on_delete", &["ref"]),
    ("identity", &["ref"]),
];

pub(in crate::schema) const SMALLEST_INT: i64 = -LARGEST_INT;

pub(in crate::schema) const MOST_VALUES: usize = 1_000;
/// Longest enum value in characters.
pub(in crate::schema) const LONGEST_VALUE: usize = 128;
/// Most bytes that a compiled pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// The kind of the field `field`, whose table is `table`. Where a constraint is wrong it is reported and left out;
/// `None` if the type itself is.
pub(super) fn check(field: &Entry, table: &TableNode, reader: &mut TableReader<'_>) -> Option<FieldKind> {
    let word = type_word(field, table, reader);
    keys(table, word, reader);
    Some(match word? {
        "text" => {
            let (min, max) = text_bounds(table, reader);
            FieldKind::Text { min, max, pattern: pattern(table, reader) }
        }
        "int" => {
            let (min, max) = int_bounds(table, reader);
            FieldKind::Int { min, max }
        }
        "float" => {
            let (min, max) = float_bounds(table, reader);
            FieldKind::Float { min, max }
        }
        "bool" => FieldKind::Bool,
        "enum" => FieldKind::Enum { values: values(field, table, reader) },
        "json" => FieldKind::Json,
        "date" => FieldKind::Date,
        "datetime" => FieldKind::Datetime,
        "uuid" => FieldKind::Uuid,
        "ref" => reference(field, table, reader),
        _ => return None,
    })
}

fn type_word<'t>(field: &Entry, table: &'t TableNode, reader: &mut TableReader<'_>) -> Option<&'t str> {
    let Some(entry) = table.get("type") else {
        let message = format!("the field {} has no type", quoted(&field.key));
        let problem =
            Diagnostic::new(DiagnosticCode::MissingKey, field.key_span.clone(), message).label("no `type`");
        reader.add(
            problem.help(format!(
                "add one, like type = \"text\"; the types are: {}",
                list(TYPES.iter().copied())
            )),
        );
        return None;
    };
    let word = reader.text(entry, "type = \"text\"")?;
    if TYPES.contains(&word) {
        return Some(word);
    }
    let span = entry.value.span.clone();
    reader.add(if TYPES_LATER.contains(&word) {
        Diagnostic::new(
            DiagnosticCode::NotYet,
            span,
            format!("the type {} is not supported yet", quoted(word)),
        )
        .label("not yet")
        .help("keep a URL in a text field for now")
    } else {
        Diagnostic::new(DiagnosticCode::UnknownType, span, format!("unknown type {}", quoted(word)))
            .label("no such type")
            .help(suggestion(word, TYPES, "the types are"))
    });
    None
}

/// Keys of the entity that seem to belong to a field, and where to write them.
const OF_ENTITY: [(&str, &str); 6] = [
    ("expires", "write it above [fields] and name the field: expires = \"until\""),
    ("activity", "write it above [fields]: activity = false"),
    ("list", "write it in [access], where it decides about whole records: list = \"owner == user.id\""),
    ("create", "write it in [access]: a field has no rule but `read`"),
    ("update", "write it in [access], as in update = \"!has(change.price) || user.role == 'admin'\""),
    ("delete", "write it in [access]: a field has no rule but `read`"),
];

/// Reports keys that are unknown, and those that belong to another type than `word`.
fn keys(table: &TableNode, word: Option<&str>, reader: &mut TableReader<'_>) {
    let known: Vec<&str> =
        COMMON_KEYS.iter().copied().chain(KEYS_OF_TYPES.iter().map(|(key, _)| *key)).collect();
    let of_entity = |entry: &Entry| OF_ENTITY.iter().find(|(key, _)| *key == entry.key);
    for (entry, (key, help)) in table.entries.iter().filter_map(|entry| Some((entry, of_entity(entry)?))) {
        let message = format!("{} is a key of the entity, not of a field", quoted(key));
        let problem = Diagnostic::new(DiagnosticCode::UnknownKey, entry.key_span.clone(), message);
        reader.add(problem.label("not here").help(*help));
    }
    let others = table.entries.iter().filter(|entry| of_entity(entry).is_none()).cloned().collect();
    reader.unknown_keys(&TableNode { entries: others }, &known, &[], "of a field");
    let Some(word) = word else { return };
    for (key, types) in KEYS_OF_TYPES {
        if let (Some(entry), false) = (table.get(key), types.contains(&word)) {
            let message = format!("{} does not belong to a field of type {word}", quoted(key));
            let problem = Diagnostic::new(DiagnosticCode::KeyNotForType, entry.key_span.clone(), message);
            let help = format!("remove it; it is for {}", list(types.iter().copied()));
            reader.add(problem.label(format!("not for {word}")).help(help));
        }
    }
}

/// Both bounds, read by `read`; reported and dropped when they leave nothing between them.
fn bounds<T: PartialOrd>(
    table: &TableNode,
    reader: &mut TableReader<'_>,
    read: impl Fn(&Entry, &mut TableReader<'_>) -> Option<T>,
) -> (Option<T>, Option<T>) {
    let min = table.get("min").and_then(|entry| read(entry, reader));
    let max = table.get("max").and_then(|entry| read(entry, reader));
    if let (Some(low), Some(high), Some(min_entry), Some(max_entry)) =
        (&min, &max, table.get("min"), table.get("max"))
        && low > high
    {
        let problem = Diagnostic::new(
            DiagnosticCode::MinOverMax,
            min_entry.value.span.clone(),
            "`min` is greater than `max`",
        );
        let problem =
            problem.label("no value can be this large").also(max_entry.value.span.clone(), "and this small");
        reader.add(problem.help("swap the two, or remove one"));
        return (None, None);
    }
    (min, max)
}

fn text_bounds(table: &TableNode, reader: &mut TableReader<'_>) -> (Option<u64>, Option<u64>) {
    bounds(table, reader, |entry, reader| match entry.value.data.as_int() {
        Some(count @ 0..=LARGEST_INT) => u64::try_from(count).ok(),
        Some(_) => out_of_range(entry, "for text it counts characters: 0 or more", reader),
        None => reader.wrong_kind(entry, "a number of characters", &format!("{} = 200", entry.key)),
    })
}

fn int_bounds(table: &TableNode, reader: &mut TableReader<'_>) -> (Option<i64>, Option<i64>) {
    bounds(table, reader, |entry, reader| match entry.value.data.as_int() {
        Some(number @ SMALLEST_INT..=LARGEST_INT) => Some(number),
        Some(_) => out_of_range(entry, "integers lie within ±9007199254740991, as in JavaScript", reader),
        None => reader.wrong_kind(entry, "an integer", &format!("{} = 5", entry.key)),
    })
}

fn float_bounds(table: &TableNode, reader: &mut TableReader<'_>) -> (Option<f64>, Option<f64>) {
    bounds(table, reader, |entry, reader| {
        if entry.value.data.is_int_beyond_floats() {
            return out_of_range(entry, "a 64-bit float cannot hold an integer of so many digits", reader);
        }
        let number = entry.value.data.as_float();
        number.or_else(|| reader.wrong_kind(entry, "a number", &format!("{} = 0.5", entry.key)))
    })
}

fn out_of_range<T>(entry: &Entry, help: &str, reader: &mut TableReader<'_>) -> Option<T> {
    let message = format!("{} is out of range", quoted(&entry.key));
    reader.add(
        Diagnostic::new(DiagnosticCode::Bound, entry.value.span.clone(), message)
            .label("out of range")
            .help(help),
    );
    None
}

fn pattern(table: &TableNode, reader: &mut TableReader<'_>) -> Option<Pattern> {
    let entry = table.get("pattern")?;
    let source = reader.text(entry, "pattern = \"^[a-z]+$\"")?;
    match RegexBuilder::new(source).size_limit(PATTERN_BYTES).build() {
        Ok(regex) => Some(Pattern(regex)),
        Err(error) => {
            let text = error.to_string();
            let reason =
                text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            let message = format!("the pattern is not a regular expression: {reason}");
            let problem = Diagnostic::new(DiagnosticCode::Pattern, entry.value.span.clone(), message)
                .label("this pattern");
            reader.add(
                problem.help("the syntax is that of Rust's `regex`: no look-around and no back-references"),
            );
            None
        }
    }
}

fn values(field: &Entry, table: &TableNode, reader: &mut TableReader<'_>) -> Vec<std::sync::Arc<str>> {
    const EXAMPLE: &str = "values = [\"open\", \"done\"]";
    let Some(entry) = table.get("values") else {
        let message = format!("the enum {} has no values", quoted(&field.key));
        let problem =
            Diagnostic::new(DiagnosticCode::MissingKey, field.key_span.clone(), message).label("no `values`");
        reader.add(problem.help(format!("add them: {EXAMPLE}")));
        return Vec::new();
    };
    let Some(items) = reader.list(entry, EXAMPLE) else { return Vec::new() };
    if items.is_empty() || items.len() > MOST_VALUES {
        let code = if items.is_empty() { DiagnosticCode::EnumValues } else { DiagnosticCode::TooMany };
        let message = format!("an enum has 1 to {MOST_VALUES} values, not {}", items.len());
        reader.add(
            Diagnostic::new(code, entry.value.span.clone(), message).label("these values").help(EXAMPLE),
        );
        return Vec::new();
    }
    let mut seen = std::collections::HashMap::new();
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let Some(value) = enum_value(item, reader) else { continue };
        match seen.insert(value, &item.span) {
            None => values.push(value.into()),
            Some(first) => {
                let message = format!("the value {} is given twice", quoted(value));
                let problem = Diagnostic::new(DiagnosticCode::EnumValues, item.span.clone(), message)
                    .label("second time");
                reader.add(problem.also(first.clone(), "first time").help("remove one"));
            }
        }
    }
    values
}

fn enum_value<'t>(item: &'t Node, reader: &mut TableReader<'_>) -> Option<&'t str> {
    let wrong = match item.data.as_text() {
        None => format!("an enum value is a string, not {}", item.data.noun()),
        Some("") => "an enum value cannot be empty".to_owned(),
        Some(text) if text.chars().any(char::is_control) => {
            format!("the enum value {} contains a control character", quoted(text))
        }
        Some(text) if text.chars().count() > LONGEST_VALUE => {
            format!("an enum value has at most {LONGEST_VALUE} characters")
        }
        Some(text) => return Some(text),
    };
    let problem = Diagnostic::new(DiagnosticCode::EnumValues, item.span.clone(), wrong).label("this value");
    reader.add(
        problem.help("values are short names in double quotes; an absent field needs no value of its own"),
    );
    None
}

fn reference(field: &Entry, table: &TableNode, reader: &mut TableReader<'_>) -> FieldKind {
    let entity = match table.get("entity") {
        Some(entry) => reader.text(entry, "entity = \"Project\"").unwrap_or_default(),
        None => {
            let message = format!("the ref {} does not say to which entity", quoted(&field.key));
            let problem = Diagnostic::new(DiagnosticCode::MissingKey, field.key_span.clone(), message)
                .label("no `entity`");
            reader.add(problem.help("add it: entity = \"Project\""));
            ""
        }
    };
    FieldKind::Ref {
        entity: entity.into(),
        on_delete: on_delete(table, reader).unwrap_or(OnDelete::Restrict),
    }
}

fn on_delete(table: &TableNode, reader: &mut TableReader<'_>) -> Option<OnDelete> {
    let entry = table.get("on_delete")?;
    let word = reader.text(entry, "on_delete = \"cascade\"")?;
    OnDelete::ALL.iter().copied().find(|choice| choice.word() == word).or_else(|| {
        let words = OnDelete::ALL.map(OnDelete::word);
        let message = format!("unknown on_delete {}", quoted(word));
        let problem = Diagnostic::new(DiagnosticCode::OnDelete, entry.value.span.clone(), message)
            .label("no such choice");
        reader.add(problem.help(suggestion(word, &words, "the choices are")));
        None
    })
}
