//! The query string's conditions: `priority[gte]=3` becomes a `Condition`, typed by the schema. Lists, counts and whatever
//! else filters read them here, so that they cannot differ.
//!
//! Knows no HTTP. Everything that it does not understand is an error, since a misspelt filter that is ignored shows
//! everything. Its texts are whole sentences for the client.

use super::nameable::Nameable;
use super::suggest::suggestion;
use super::values::{plain_text, value_of_column};
use crate::ids::shown;
use crate::schema::{Entity, FieldKind, Schema, Value, words};
use crate::store::{Column, Condition, Test};

/// Conditions of one request.
const MOST_CONDITIONS: usize = 50;
/// Values of one `in`.
const MOST_VALUES: usize = 500;
/// Words of one search, and characters of them all.
const MOST_WORDS: usize = 20;
const MOST_CHARACTERS: usize = 256;

/// Columns that every entity has, by their names on the wire.
const SYSTEM: [(&str, Column); 4] = [
    ("id", Column::Id),
    ("version", Column::Version),
    ("created_at", Column::CreatedAt),
    ("updated_at", Column::UpdatedAt),
];

/// Why a condition, or a name in it, means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(String);

impl FilterError {
    pub(super) fn new(message: String) -> FilterError {
        FilterError(message)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FilterOperator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    Contains,
    Starts,
    Ends,
    Null,
}

const OPERATORS: [(&str, FilterOperator); 11] = [
    ("eq", FilterOperator::Eq),
    ("ne", FilterOperator::Ne),
    ("gt", FilterOperator::Gt),
    ("gte", FilterOperator::Gte),
    ("lt", FilterOperator::Lt),
    ("lte", FilterOperator::Lte),
    ("in", FilterOperator::In),
    ("contains", FilterOperator::Contains),
    ("starts", FilterOperator::Starts),
    ("ends", FilterOperator::Ends),
    ("null", FilterOperator::Null),
];

/// What other APIs call them.
const OTHER_WORDS: [(&str, &str); 11] = [
    ("ge", "gte"),
    ("le", "lte"),
    ("neq", "ne"),
    ("not", "ne"),
    ("like", "contains"),
    ("ilike", "contains"),
    ("startswith", "starts"),
    ("prefix", "starts"),
    ("endswith", "ends"),
    ("suffix", "ends"),
    ("isnull", "null"),
];

/// What can be asked of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterClass {
    /// Texts that have an order; parts of them can be looked for.
    Text,
    /// Ids: texts without an order that means anything.
    Name,
    /// Numbers and times.
    Number,
    Flag,
    /// JSON, which is there or not.
    Opaque,
}

impl FilterClass {
    pub fn of(kind: &FieldKind) -> FilterClass {
        match kind {
            FieldKind::Text { .. } | FieldKind::Enum { .. } | FieldKind::Date | FieldKind::Datetime => {
                FilterClass::Text
            }
            FieldKind::Uuid | FieldKind::Ref { .. } => FilterClass::Name,
            FieldKind::Int { .. } | FieldKind::Float { .. } => FilterClass::Number,
            FieldKind::Bool => FilterClass::Flag,
            FieldKind::Json => FilterClass::Opaque,
        }
    }
}

/// Reads every pair as a condition; all of them must be true. `names`: the names that the caller may use.
pub fn filter<'a>(
    schema: &Schema,
    entity: &Entity,
    names: &Nameable,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Condition>, FilterError> {
    let mut asked: Vec<(Column, FilterOperator)> = Vec::new();
    let mut filter = Vec::new();
    for (name, text) in pairs {
        let (column, operator) = target(entity, names, name)?;
        if asked.contains(&(column, operator)) {
            return fault(format!("the filter `{}` is given twice", shown(name)));
        }
        if asked.len() == MOST_CONDITIONS {
            return fault(format!("there are more than {MOST_CONDITIONS} filters"));
        }
        asked.push((column, operator));
        let test = test(schema, entity, column, operator, text);
        let test = test.map_err(|message| FilterError(format!("`{}` {message}", shown(name))))?;
        filter.push(Condition::new(column, test));
    }
    Ok(filter)
}

/// The column of this name.
pub fn column(entity: &Entity, names: &Nameable, name: &str) -> Result<Column, FilterError> {
    if let Some((_, column)) = SYSTEM.iter().find(|(system, _)| *system == name) {
        return Ok(*column);
    }
    let found = names.field(entity, name);
    found.map(|(index, _)| Column::Field(index)).ok_or_else(|| unknown_field(entity, names, name))
}

/// The error for a name that is not a field, or not one that the caller may use.
pub(super) fn unknown_field(entity: &Entity, names: &Nameable, name: &str) -> FilterError {
    let mut message = format!("`{}` is not a field of {}", shown(name), entity.name);
    let fields = names.fields(entity).filter(|field| &*field.name != name);
    let known = SYSTEM.iter().map(|(name, _)| *name).chain(fields.map(|field| &*field.name));
    let renamed = names.fields(entity).find(|field| field.was.as_deref() == Some(name));
    let habit = HABITS.iter().find(|(names, _)| names.contains(&name));
    if let Some(now) = renamed {
        message.push_str(&format!(" any longer: it is now called `{}`", now.name));
    } else if let Some((_, advice)) = habit {
        message.push_str(&format!("; {advice}"));
    } else if let Some(meant) = suggestion(name, known) {
        message.push_str(&format!("; did you mean `{meant}`?"));
    }
    FilterError(message)
}

/// What other APIs call something, and what it is here.
const HABITS: [(&[&str], &str); 4] = [
    (
        &["page", "offset", "skip", "per_page", "page_size", "after"],
        "pages of a list come with `limit` and `cursor`",
    ),
    (&["order", "order_by", "orderby", "sort_by", "sortby"], "lists are sorted as in `sort=-priority,title`"),
    (&["asc", "desc"], "ascending is `sort=title`, descending `sort=-title`"),
    (&["q", "query", "filter"], "filter as in `status=open`, or find words with `search`"),
];

/// The words of a search. One without a letter or digit is none: nothing could be found by it.
pub fn search_words(entity: &Entity, text: &str) -> Result<Vec<String>, FilterError> {
    if !entity.fields.iter().any(|field| field.search) {
        return fault(format!("`search` needs a field of {} that is marked `search = true`", entity.name));
    }
    if text.chars().count() > MOST_CHARACTERS {
        return fault(format!("`search` has more than {MOST_CHARACTERS} characters"));
    }
    plain_text(text).map_err(|fault| FilterError(format!("`search` {}", fault.message)))?;
    let mut found: Vec<String> = Vec::new();
    for word in text.split_whitespace().map(words) {
        if !word.is_empty() && !found.contains(&word) {
            found.push(word);
        }
    }
    match found.len() {
        0 => fault("`search` holds no word: it needs a letter or a digit".to_owned()),
        1..=MOST_WORDS => Ok(found),
        _ => fault(format!("`search` has more than {MOST_WORDS} words")),
    }
}

fn fault<T>(message: String) -> Result<T, FilterError> {
    Err(FilterError(message))
}

/// `field` or `field[operator]`.
fn target(entity: &Entity, names: &Nameable, name: &str) -> Result<(Column, FilterOperator), FilterError> {
    let Some((field, rest)) = name.split_once('[') else {
        return Ok((column(entity, names, name)?, FilterOperator::Eq));
    };
    let column = column(entity, names, field)?;
    let Some(word) = rest.strip_suffix(']') else {
        return fault(format!("`{}` must end with `]`, as in `{}[gte]`", shown(name), shown(field)));
    };
    if let Some((_, operator)) = OPERATORS.iter().find(|(known, _)| *known == word) {
        return Ok((column, *operator));
    }
    let words = OPERATORS.map(|(word, _)| word);
    let mut message = format!("`{}`: there is no operator `{}`", shown(name), shown(word));
    let lower = word.to_lowercase();
    let other = OTHER_WORDS.iter().find(|(other, _)| *other == lower).map(|(_, ours)| *ours);
    match other.or_else(|| suggestion(&lower, words)) {
        Some(meant) => message.push_str(&format!("; did you mean `{meant}`?")),
        None => message.push_str(&format!(", only {}", words.join(", "))),
    }
    fault(message)
}

/// Continues a sentence that begins with the parameter's name, when it fails.
fn test(
    schema: &Schema,
    entity: &Entity,
    column: Column,
    operator: FilterOperator,
    text: &str,
) -> Result<Test, String> {
    check_nature(entity, column, operator)?;
    let value = |text: &str| value_of_column(schema, entity, column, text).map_err(|fault| fault.message);
    let part = |text: &str| plain_text(text).map(|_| text.to_owned()).map_err(|fault| fault.message);
    Ok(match operator {
        FilterOperator::Eq => Test::Eq(value(text)?),
        FilterOperator::Ne => Test::Ne(value(text)?),
        FilterOperator::Gt => Test::Gt(value(text)?),
        FilterOperator::Gte => Test::Gte(value(text)?),
        FilterOperator::Lt => Test::Lt(value(text)?),
        FilterOperator::Lte => Test::Lte(value(text)?),
        FilterOperator::In => {
            let values: Result<Vec<Value>, String> = list(text)?.iter().map(|text| value(text)).collect();
            Test::In(values?)
        }
        FilterOperator::Contains => Test::Contains(part(text)?),
        FilterOperator::Starts => Test::Starts(part(text)?),
        FilterOperator::Ends => Test::Ends(part(text)?),
        FilterOperator::Null => match text {
            "true" => Test::Null(true),
            "false" => Test::Null(false),
            _ => return Err("must be true or false".to_owned()),
        },
    })
}

/// Whether the question makes sense at all.
fn check_nature(entity: &Entity, column: Column, operator: FilterOperator) -> Result<(), String> {
    let nature = nature(entity, column);
    let ordered = matches!(nature, FilterClass::Text | FilterClass::Number);
    let textual = matches!(nature, FilterClass::Text | FilterClass::Name);
    let refused = match operator {
        FilterOperator::Null => None,
        _ if nature == FilterClass::Opaque => {
            Some("is not possible: a json field can only be filtered by `null`")
        }
        FilterOperator::Eq | FilterOperator::Ne | FilterOperator::In => None,
        FilterOperator::Gt | FilterOperator::Gte | FilterOperator::Lt | FilterOperator::Lte => {
            (!ordered).then_some("is not possible: its values have no order; use eq, ne, in or null")
        }
        FilterOperator::Contains | FilterOperator::Starts | FilterOperator::Ends => (!textual)
            .then_some("is not possible: its values are not texts; use eq, ne, in, null or a comparison"),
    };
    refused.map_or(Ok(()), |message| Err(message.to_owned()))
}

/// The ids of records do have an order, that of their creation.
fn nature(entity: &Entity, column: Column) -> FilterClass {
    let Column::Field(at) = column else {
        return if column == Column::Id { FilterClass::Text } else { FilterClass::Number };
    };
    FilterClass::of(&entity.at(at).kind)
}

/// `a,b\,c` is `a` and `b,c`; `\\` is one backslash. Nothing at all is no value, and `,` is the empty text, twice.
fn list(text: &str) -> Result<Vec<String>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = vec![String::new()];
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let value = values.last_mut().expect("the list began with one value");
        match letter {
            ',' => values.push(String::new()),
            '\\' => match letters.next() {
                Some(escaped @ (',' | '\\')) => value.push(escaped),
                _ => {
                    return Err("has a backslash that is not followed by a comma or a backslash".to_owned());
                }
            },
            other => value.push(other),
        }
    }
    if values.len() > MOST_VALUES {
        return Err(format!("has {} values; at most {MOST_VALUES} fit", values.len()));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_at_commas_that_are_not_escaped() {
        let owned = |texts: &[&str]| Ok(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(list("a,b"), owned(&["a", "b"]));
        assert_eq!(list(""), owned(&[]));
        assert_eq!(list(","), owned(&["", ""]));
        assert_eq!(list(r"a\,b,c\\"), owned(&["a,b", r"c\"]));
        for wrong in [r"a\", r"\a", r"\\\"] {
            assert!(list(wrong).is_err(), "{wrong}");
        }
        assert!(list(&",".repeat(499)).is_ok());
        assert!(list(&",".repeat(500)).unwrap_err().contains("501 values; at most 500"));
    }
}
