//! `trait Dialect`: what one database writes in its own way.
//!
//! Versions and the times of records are integers in every dialect, dates and datetimes texts whose order is that of time. So
//! numbers and times need no words here.

use crate::store::Direction;

pub(in crate::store) trait Dialect: Sync {
    /// The place of the nth bound value, counted from 1.
    fn place(&self, number: usize) -> String;

    /// A name from the schema, with quotes in it doubled.
    fn quoted(&self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    /// A condition that holds for every row or for none.
    fn constant(&self, holds: bool) -> &'static str;

    /// A text for `<`, `>` and their kin, by code points whatever the language of the database.
    fn by_code_points(&self, text: String) -> String;

    /// A term of `ORDER BY`: texts by code points, null before every value when ascending and behind it when descending.
    fn order_by(&self, column: &str, kind: TextKind, direction: Direction) -> String;

    /// The text holds the part somewhere.
    fn contains(&self, text: &str, part: &str) -> String;

    fn starts(&self, text: &str, prefix: &str) -> String;

    fn ends(&self, text: &str, suffix: &str) -> String;

    /// The text as `text_form::fold_case` makes it.
    fn folded(&self, text: &str) -> String;

    /// Characters of a text.
    fn length(&self, text: &str) -> String;

    /// Elements of a json list; NULL for other json.
    fn list_size(&self, list: &str) -> String;

    /// Whether a json list holds the item, as `rules::member` says; NULL for other json.
    fn list_holds(&self, list: &str, item: &str, kind: ItemKind) -> String;
}

/// Whether a column or an operand is a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum TextKind {
    Text,
    Other,
}

/// The type of what a json list may hold: some databases keep a bool as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum ItemKind {
    Text,
    Number,
    Bool,
}

/// A second dialect, which only makes texts: it shows that what is shared is.
#[cfg(test)]
pub(in crate::store) mod tests {
    use super::*;

    pub(in crate::store) struct PostgresTexts;

    impl Dialect for PostgresTexts {
        fn place(&self, number: usize) -> String {
            format!("${number}")
        }

        fn constant(&self, holds: bool) -> &'static str {
            if holds { "TRUE" } else { "FALSE" }
        }

        fn by_code_points(&self, text: String) -> String {
            format!(r#"{text} COLLATE "C""#)
        }

        fn order_by(&self, column: &str, kind: TextKind, direction: Direction) -> String {
            let column = match kind {
                TextKind::Text => self.by_code_points(column.to_owned()),
                TextKind::Other => column.to_owned(),
            };
            match direction {
                Direction::Ascending => format!("{column} ASC NULLS FIRST"),
                Direction::Descending => format!("{column} DESC NULLS LAST"),
            }
        }

        fn contains(&self, text: &str, part: &str) -> String {
            format!("strpos({text}, {part}) > 0")
        }

        fn starts(&self, text: &str, prefix: &str) -> String {
            format!("starts_with({text}, {prefix})")
        }

        fn ends(&self, text: &str, suffix: &str) -> String {
            format!("right({text}, char_length({suffix})) = {suffix}")
        }

        fn folded(&self, text: &str) -> String {
            format!(r#"normalize(casefold(normalize({text}, NFD) COLLATE "pg_unicode_fast"), NFC)"#)
        }

        fn length(&self, text: &str) -> String {
            format!("char_length({text})")
        }

        fn list_size(&self, list: &str) -> String {
            format!("CASE jsonb_typeof({list}) WHEN 'array' THEN jsonb_array_length({list}) END")
        }

        fn list_holds(&self, list: &str, item: &str, kind: ItemKind) -> String {
            let cast = match kind {
                ItemKind::Text => "text",
                ItemKind::Number => "numeric",
                ItemKind::Bool => "boolean",
            };
            format!("CASE jsonb_typeof({list}) WHEN 'array' THEN {list} @> to_jsonb({item}::{cast}) END")
        }
    }
}
