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
                    let found = format!("a {}", source.get_ref().type_str());
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
            let found = format!("a {}", value.get_ref().type_str());
            let help = format!("write a rule, or rules for {}: {example}", list(words.iter().copied()));
            Err(Wrong::new(found, help).label("expected rules").at(value.span()))
        }
    }
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
