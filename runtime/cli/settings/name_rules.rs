//! Rules for names, `[presence]` and `[rooms]`, from TOML and back: `"project/{project:Project}" = { watch = "…" }`.
//!
//! Knows the form of a pattern and no rule: what a rule means is known with the schema files.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::wrong::Wrong;
use crate::config::{NameRuleText, NameRuleTexts, WordRuleText};
use crate::schema::NamePattern;
use crate::schema::message::{list, quoted, suggestion};

/// Patterns of one table.
const MOST: usize = 100;

/// Of a table of the file, in its order.
pub(super) fn of_table(table: &DeTable<'_>, words: &[&str]) -> Result<NameRuleTexts, Wrong> {
    let mut entries: Vec<(&Spanned<_>, &Spanned<DeValue<'_>>)> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    if let Some((one_too_many, _)) = entries.get(MOST) {
        let help = format!("write at most {MOST}; a capture stands for many names");
        return Err(Wrong::new(format!("more than {MOST} patterns"), help).at(one_too_many.span()));
    }
    let each = entries.into_iter().map(|(key, value)| {
        let pattern = key.get_ref().to_string();
        if let Err(bad) = NamePattern::parse(&pattern) {
            return Err(Wrong::new(format!("{}: {}", quoted(&pattern), bad.message), bad.help)
                .label("not a pattern")
                .at(key.span()));
        }
        Ok(NameRuleText { pattern, rules: rules(value, words, key.span())? })
    });
    Ok(NameRuleTexts(each.collect::<Result<_, _>>()?))
}

/// Of a variable or a flag: the table on one line.
pub(super) fn of_text(text: &str, words: &[&str]) -> Result<NameRuleTexts, Wrong> {
    let file = format!("rules = {text}");
    let help = "write a TOML table: { \"lobby\" = \"user != null\" }";
    let wrong = || Wrong::new(quoted(text), help);
    let root = DeTable::parse(&file).map_err(|_| wrong())?;
    let table = root.get_ref().get("rules").filter(|_| root.get_ref().len() == 1);
    let table = table.and_then(|value| value.get_ref().as_table()).ok_or_else(wrong)?;
    of_table(table, words)
}

fn rules(
    value: &Spanned<DeValue<'_>>,
    words: &[&str],
    key: Range<usize>,
) -> Result<Vec<WordRuleText>, Wrong> {
    let of = |word: &str, source: &str| WordRuleText { word: word.to_owned(), source: source.to_owned() };
    let example = format!("{{ {} = \"user != null\" }}", words[0]);
    match value.get_ref() {
        // One rule for everything that may be done.
        DeValue::String(source) => Ok(words.iter().map(|word| of(word, source)).collect()),
        DeValue::Table(table) if table.is_empty() => {
            Err(Wrong::new("a pattern without a rule", format!("write {example}")).label("no rule").at(key))
        }
        DeValue::Table(table) => {
            let mut rules = Vec::new();
            for (word, source) in table {
                let name = word.get_ref();
                if !words.contains(&&**name) {
                    let help = suggestion(name, words, "the words are");
                    return Err(Wrong::new(quoted(name), help).label("not known here").at(word.span()));
                }
                let DeValue::String(text) = source.get_ref() else {
                    let found = a_value(source.get_ref());
                    return Err(Wrong::new(found, format!("write {example}"))
                        .label("expected a rule")
                        .at(source.span()));
                };
                rules.push(of(name, text));
            }
            Ok(rules)
        }
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_) => {
            let found = a_value(value.get_ref());
            let help = format!("write a rule, or rules for {}: {example}", list(words.iter().copied()));
            Err(Wrong::new(found, help).label("expected rules").at(value.span()))
        }
    }
}

/// `an integer`, `a table`.
fn a_value(value: &DeValue<'_>) -> String {
    let word = value.type_str();
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

/// As it is in a variable, and behind `presence =` in the file.
pub(super) fn text(rules: &NameRuleTexts) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let each = rules.0.iter().map(|NameRuleText { pattern, rules }| {
        let words = rules.iter().map(|rule| format!("{} = {}", rule.word, quoted(&rule.source)));
        format!("{} = {{ {} }}", quoted(pattern), words.collect::<Vec<_>>().join(", "))
    });
    match rules.0.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{ {} }}", each.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{PRESENCE_WORDS, ROOM_WORDS};

    /// `pattern: word rule, word rule` of each.
    fn told(rules: &NameRuleTexts) -> Vec<String> {
        let of = |rule: &WordRuleText| format!("{} {}", rule.word, rule.source);
        let each = |NameRuleText { pattern, rules }: &NameRuleText| {
            format!("{pattern}: {}", rules.iter().map(of).collect::<Vec<_>>().join(", "))
        };
        rules.0.iter().map(each).collect()
    }

    #[test]
    fn good_tables_are_read_in_their_order_and_written_so_that_they_are_read_again() {
        let tables: [(&str, &[&str], &[&str]); 10] = [
            ("{}", PRESENCE_WORDS, &[]),
            ("{ lobby = 'true' }", PRESENCE_WORDS, &["lobby: watch true, join true"]),
            ("{ lobby = 'true' }", ROOM_WORDS, &["lobby: subscribe true, publish true"]),
            ("{ 'a/{x}' = { watch = 'x == user.id' } }", PRESENCE_WORDS, &["a/{x}: watch x == user.id"]),
            ("{ 'a' = { join = 'true', watch = 'false' } }", PRESENCE_WORDS, &["a: join true, watch false"]),
            (
                "{ 'z' = 'true', 'a/{t:Task}' = { publish = 'true' }, 'b' = 'false' }",
                ROOM_WORDS,
                &[
                    "z: subscribe true, publish true",
                    "a/{t:Task}: publish true",
                    "b: subscribe false, publish false",
                ],
            ),
            // A part that only looks like two: a key with a dot in quotes is one pattern.
            ("{ 'a.b' = { watch = 'true' } }", PRESENCE_WORDS, &["a.b: watch true"]),
            (
                "{ \"it's\" = { watch = \"user.role == 'x' || user.role == \\\"y\\\"\" } }",
                PRESENCE_WORDS,
                &["it's: watch user.role == 'x' || user.role == \"y\""],
            ),
            ("{ 'é 🙂' = { watch = 'true' } }", PRESENCE_WORDS, &["é 🙂: watch true"]),
            // A rule is judged with the schema files, not here.
            ("{ a = { watch = '' } }", PRESENCE_WORDS, &["a: watch "]),
        ];
        for (table, words, expected) in tables {
            let read = of_text(table, words).unwrap_or_else(|wrong| panic!("{table}: {wrong:?}"));
            assert_eq!(told(&read), expected, "{table}");
            assert_eq!(of_text(&text(&read), words).as_ref(), Ok(&read), "{table} as {}", text(&read));
        }
    }

    #[test]
    fn a_bad_table_says_what_is_wrong_and_where() {
        let many = (0..=MOST).map(|n| format!("a{n} = 'true'")).collect::<Vec<_>>().join(", ");
        let many = format!("{{ {many} }}");
        // What was found, the help, the label and the part at fault.
        let tables = [
            ("lobby", "`lobby`", "TOML table", None, ""),
            ("[1]", "`[1]`", "TOML table", None, ""),
            ("'true'", "`'true'`", "TOML table", None, ""),
            ("{ a = 'true' }\nb = 1", "`{ a", "TOML table", None, ""),
            ("{ a = 'true', a = 'true' }", "`{ a", "TOML table", None, ""),
            ("{ a = 5 }", "an integer", "rules for `watch` and `join`", Some("expected rules"), "5"),
            ("{ a = true }", "a boolean", "rules for `watch` and `join`", Some("expected rules"), "true"),
            (
                "{ a = ['true'] }",
                "an array",
                "rules for `watch` and `join`",
                Some("expected rules"),
                "['true']",
            ),
            ("{ a = {} }", "a pattern without a rule", "{ watch = ", Some("no rule"), "a"),
            ("{ a = { publish = 'true' } }", "`publish`", "watch", Some("not known here"), "publish"),
            ("{ a = { wach = 'true' } }", "`wach`", "`watch`", Some("not known here"), "wach"),
            ("{ a = { watch = 5 } }", "an integer", "{ watch = ", Some("expected a rule"), "5"),
            ("{ a = { watch = {} } }", "a table", "{ watch = ", Some("expected a rule"), "{}"),
            ("{ '' = 'true' }", "the pattern is empty", "lobby", Some("not a pattern"), ""),
            ("{ 'a/' = 'true' }", "`a/`: a part of the pattern", "slash", Some("not a pattern"), "a/"),
            ("{ 'a{x}' = 'true' }", "in part only", "room/{name}", Some("not a pattern"), "a{x}"),
            (&many, "more than 100 patterns", "at most 100", None, "a100"),
        ];
        for (table, found, help, label, at) in tables {
            let wrong = of_text(table, PRESENCE_WORDS).unwrap_err();
            assert!(wrong.found.contains(found), "{table}: {}", wrong.found);
            assert!(wrong.help.contains(help), "{table}: {}", wrong.help);
            assert_eq!(wrong.label, label, "{table}");
            let file = format!("rules = {table}");
            assert_eq!(wrong.at.map_or("", |span| file[span].trim_matches('\'')), at, "{table}");
        }
    }
}
