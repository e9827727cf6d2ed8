//! Names of tables, columns and indexes as they are in SQL.
//!
//! Knows none of them.

/// An SQL identifier: SQLite cannot bind names, so they are always quoted, with quotes in them doubled.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_stays_inside_the_name() {
        assert_eq!(quoted(r#"a" (id); DROP TABLE x; --"#), r#""a"" (id); DROP TABLE x; --""#);
    }
}
