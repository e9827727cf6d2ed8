//! What a list may name of an entity: the columns that filter with their operators, the fields to sort and group by, the refs to expand.

use serde_json::{Value as Json, json};

use super::describer::{joined, query};
use crate::http::query::{CALLER, PARAMETERS};
use crate::repository::FilterClass;
use crate::schema::record_schema::{id, stored_type};
use crate::schema::{Entity, Field, FieldKind, Schema};

/// Most fields of `sort`.
const MOST_SORTED: usize = 10;
/// Most values of `in`.
const MOST_VALUES: usize = 500;
/// Deepest path of `expand`.
const DEEPEST: usize = 3;
/// More paths than this are described by a pattern instead of a list.
pub(super) const MOST_LISTED: usize = 100;

/// What an operator compares with.
#[derive(Clone, Copy)]
enum Compared {
    Value,
    Values,
    Text,
    Flag,
}

/// A column that lists filter by, with what its values look like.
pub(super) struct Filterable {
    pub(super) name: String,
    pub(super) value: Json,
    pub(super) class: FilterClass,
}

/// Which operators a class of columns knows, as docs/http.md has them.
pub(super) fn operators_of(class: FilterClass) -> Vec<ColumnOperator> {
    let of = |words: &[&'static str], compared| -> Vec<ColumnOperator> {
        words.iter().map(|word| ColumnOperator { word, compared }).collect()
    };
    let equal = [of(&["eq", "ne"], Compared::Value), of(&["in"], Compared::Values)].concat();
    let ordered = of(&["gt", "gte", "lt", "lte"], Compared::Value);
    let texts = of(&["contains", "starts", "ends"], Compared::Text);
    let null = of(&["null"], Compared::Flag);
    match class {
        FilterClass::Opaque => null,
        FilterClass::Flag => [equal, null].concat(),
        FilterClass::Number => [equal, ordered, null].concat(),
        FilterClass::Name => [equal, texts, null].concat(),
        FilterClass::Text => [equal, ordered, texts, null].concat(),
    }
}

/// An operator of a filter.
#[derive(Clone, Copy)]
pub(super) struct ColumnOperator {
    pub(super) word: &'static str,
    compared: Compared,
}

impl ColumnOperator {
    /// What it compares with, where the values of the column look like this.
    pub(super) fn operand(self, value: Json) -> Json {
        match self.compared {
            Compared::Value => value,
            Compared::Values => json!({"type": "array", "maxItems": MOST_VALUES, "items": value}),
            Compared::Text => json!({"type": "string"}),
            Compared::Flag => json!({"type": "boolean"}),
        }
    }

    fn parameter(self, column: &Filterable) -> Json {
        let name = format!("{}[{}]", column.name, self.word);
        let value = column.value.clone();
        match self.compared {
            Compared::Values => joined(query(&name, meaning(self.word), self.operand(escaped(value)))),
            Compared::Value | Compared::Text | Compared::Flag => {
                query(&name, meaning(self.word), self.operand(value))
            }
        }
    }
}

/// A parameter, and the name of the component that describes it.
pub(super) struct NamedParameter {
    pub(super) key: String,
    pub(super) parameter: Json,
}

pub(super) fn filterable(schema: &Schema, entity: &Entity) -> Vec<Filterable> {
    let column = |name: &str, value, class| Filterable { name: name.to_owned(), value, class };
    let time = |name| column(name, json!({"type": "string", "format": "date-time"}), FilterClass::Number);
    let mut columns = vec![
        column("id", id(entity.id_kind), FilterClass::Text),
        column("version", stored_type(schema, &FieldKind::Int { min: None, max: None }), FilterClass::Number),
        time("created_at"),
        time("updated_at"),
    ];
    columns
        .extend(shown(entity).map(|field| {
            column(&field.name, stored_type(schema, &field.kind), FilterClass::of(&field.kind))
        }));
    columns
}

/// To a query, a field that is hidden from everyone is unknown.
pub(super) fn shown(entity: &Entity) -> impl Iterator<Item = &Field> {
    entity.fields.iter().filter(|field| !field.is_hidden())
}

/// What is sorted and grouped by: everything but json.
fn comparable(entity: &Entity) -> impl Iterator<Item = &str> {
    let fields = shown(entity).filter(|field| field.kind != FieldKind::Json).map(|field| &*field.name);
    ["id", "version", "created_at", "updated_at"].into_iter().chain(fields)
}

/// Every parameter that filters by a column.
pub(super) fn parameters_of(entity: &Entity, column: &Filterable) -> Vec<NamedParameter> {
    let key = format!("{}.{}", entity.name, column.name);
    // Without brackets such a name is a parameter of the request.
    let is_word = PARAMETERS.contains(&&*column.name) || CALLER.contains(&&*column.name);
    let short = (column.class != FilterClass::Opaque && !is_word).then(|| NamedParameter {
        key: key.clone(),
        parameter: query(&column.name, "Equal to this; short for `[eq]`.", column.value.clone()),
    });
    let by_operator = operators_of(column.class).into_iter().map(|operator| NamedParameter {
        key: format!("{key}.{}", operator.word),
        parameter: operator.parameter(column),
    });
    short.into_iter().chain(by_operator).collect()
}

/// The values of an enum as they stand among others; of other types the words say it.
fn escaped(mut value: Json) -> Json {
    for text in value.get_mut("enum").and_then(Json::as_array_mut).into_iter().flatten() {
        if let Some(plain) = text.as_str() {
            *text = json!(plain.replace('\\', r"\\").replace(',', r"\,"));
        }
    }
    value
}

pub(super) fn meaning(operator: &str) -> &'static str {
    match operator {
        "eq" => "Equal to this.",
        "ne" => "Another value than this, and not null.",
        "gt" => "Greater than this.",
        "gte" => "This or greater.",
        "lt" => "Less than this.",
        "lte" => "This or less.",
        "in" => {
            "One of these, joined by commas; a comma in a value is `\\,`, a backslash `\\\\`. Without a value no record matches; the empty text alone is `,`."
        }
        "contains" => "Contains this text.",
        "starts" => "Starts with this text.",
        "ends" => "Ends with this text.",
        _ => "Whether there is no value.",
    }
}

pub(super) fn group(entity: &Entity) -> Json {
    let names: Vec<&str> = comparable(entity).collect();
    query(
        "group",
        "Also counts the records of each value of this field; at most 1,000 values.",
        json!({"type": "string", "enum": names}),
    )
}

pub(super) fn sort(entity: &Entity) -> Json {
    let keys: Vec<String> =
        comparable(entity).flat_map(|name| [name.to_owned(), format!("-{name}")]).collect();
    let schema = json!({"type": "array", "maxItems": MOST_SORTED, "uniqueItems": true, "items": {"type": "string", "enum": keys}});
    joined(query("sort", "Fields in order, `-` for descending; each at most once. Ends with id.", schema))
}

/// Every path of refs from an entity, the short ones first; stops when there are too many to list.
pub(super) fn paths(schema: &Schema, entity: &Entity) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut level: Vec<(String, &Entity)> = vec![(String::new(), entity)];
    for _ in 0..DEEPEST {
        let mut next = Vec::new();
        for (prefix, entity) in level {
            for field in shown(entity) {
                let FieldKind::Ref { entity: target, .. } = &field.kind else { continue };
                let path = format!("{prefix}{}", field.name);
                if let Some(target) = schema.entity(target) {
                    next.push((format!("{path}."), &**target));
                }
                found.push(path);
                if found.len() > MOST_LISTED {
                    return found;
                }
            }
        }
        level = next;
    }
    found
}
