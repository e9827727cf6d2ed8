//! The rules of the settings for names, against a schema: patterns and rules to their meaning, or everything that is wrong with
//! them (SEMANTICS Y5).
//!
//! A name is judged like a record whose fields are the captures, so its rules are read rules: they use the captures and the user.

use super::check;
use super::column::Column;
use super::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink, Diagnostics};
use super::message::{quoted, suggestion};
use super::model::{Entity, Field, FieldKind, IdKind, OnDelete, Schema};
use super::name_pattern::{Capture, NamePattern, Segment};
use super::name_rules::{NameRule, NameTable, PRESENCE_WORDS, ROOM_WORDS, WordRule};
use super::rule::{Expr, Rule, Term};
use super::source::{Format, SourceFile};
use crate::config::{NameRuleText, NameRuleTexts};

/// The schema with the rules of the settings, or everything that is wrong with them.
pub fn with_names(
    schema: Schema,
    presence: &NameRuleTexts,
    rooms: &NameRuleTexts,
) -> Result<Schema, Diagnostics> {
    let mut report = DiagnosticSink::default();
    let presence = table("presence", presence, PRESENCE_WORDS, &schema, &mut report);
    let rooms = table("rooms", rooms, ROOM_WORDS, &schema, &mut report);
    if report.is_empty() { Ok(schema.named(presence, rooms)) } else { Err(report.finish()) }
}

fn table(
    section: &str,
    texts: &NameRuleTexts,
    words: &'static [&'static str],
    schema: &Schema,
    report: &mut DiagnosticSink,
) -> NameTable {
    let mut rules = Vec::with_capacity(texts.0.len());
    for text in &texts.0 {
        // A pattern is its own excerpt: the settings file is not at hand here.
        let name = format!("[{section}] in the settings");
        let source = SourceFile { name, format: Format::Toml, text: text.pattern.clone() };
        match pattern(section, &text.pattern, schema) {
            Ok(pattern) => rules.push(resolve(section, pattern, text, words, schema, report)),
            Err(problem) => {
                let file = report.add_source(&source);
                report.add(file, problem);
            }
        }
    }
    NameTable(rules)
}

fn pattern(section: &str, text: &str, schema: &Schema) -> Result<NamePattern, Diagnostic> {
    let whole = || 0..text.len();
    let pattern = NamePattern::parse(text).map_err(|bad| {
        Diagnostic::new(DiagnosticCode::NamePattern, whole(), bad.message)
            .label("not a pattern")
            .help(bad.help)
    })?;
    if let (true, Some(Segment::Literal(first))) = (section == "presence", pattern.segments.first())
        && schema.entity(first).is_some()
    {
        let message = format!("{} is an entity, so its own access rules decide", quoted(first));
        let problem = Diagnostic::new(DiagnosticCode::NamePattern, whole(), message).label("never used");
        return Err(
            problem.help("change `read` or `list` in the schema file, or begin the pattern otherwise")
        );
    }
    for Capture { entity, .. } in pattern.captures() {
        let Some(entity) = entity.as_deref().filter(|entity| schema.entity(entity).is_none()) else {
            continue;
        };
        let known: Vec<&str> = schema.entities().map(|entity| &*entity.name).collect();
        let message = format!("there is no entity {}", quoted(entity));
        let problem = Diagnostic::new(DiagnosticCode::NamePattern, whole(), message).label("unknown entity");
        return Err(problem.help(suggestion(entity, &known, "there are")));
    }
    Ok(pattern)
}

fn resolve(
    section: &str,
    pattern: NamePattern,
    text: &NameRuleText,
    words: &'static [&'static str],
    schema: &Schema,
    report: &mut DiagnosticSink,
) -> NameRule {
    let fields = pattern.captures().map(|capture| {
        let kind = match &capture.entity {
            Some(entity) => FieldKind::Ref { entity: entity.as_str().into(), on_delete: OnDelete::Restrict },
            None => FieldKind::Text { min: None, max: None, pattern: None },
        };
        Field::new(&capture.name, kind)
    });
    let captures = Entity { id_kind: IdKind::Text, ..Entity::new(&pattern.text, "", fields.collect()) };
    let entities: Vec<Entity> = schema.entities().map(|entity| (**entity).clone()).collect();
    let mut rules = Vec::with_capacity(text.rules.len());
    for given in &text.rules {
        let Some(word) = words.iter().find(|word| **word == given.word) else { continue };
        let (meaning, mut problems) = check::name_rule(&given.source, &captures, &entities, word);
        if problems.is_empty() && asks_of_record(&meaning) {
            let message = "a name has captures and no other fields";
            let problem = Diagnostic::new(DiagnosticCode::RuleName, 0..given.source.len(), message);
            problems.push(
                problem.label("uses a field of a record").help("use the captures of the pattern, and `user`"),
            );
        }
        if !problems.is_empty() {
            let name = format!("[{section}] {} {word} in the settings", quoted(&pattern.text));
            let source = SourceFile { name, format: Format::Toml, text: given.source.clone() };
            let file = report.add_source(&source);
            problems.into_iter().for_each(|problem| report.add(file, problem));
        }
        rules.push(WordRule { word, rule: Rule { source: given.source.as_str().into(), meaning } });
    }
    NameRule { pattern, rules }
}

/// Whether the rule uses `id`, `version` or a time, which every record has and no name.
fn asks_of_record(rule: &Expr) -> bool {
    fn term(asked: &Term) -> bool {
        match asked {
            Term::Record(Column::Field(_)) => false,
            Term::Record(_) => true,
            Term::Size(inner) => term(inner),
            Term::Behind(path) => term(&path.via),
            Term::Change(_) | Term::Element(_) | Term::User(_) | Term::Value(_) | Term::Now(_) => false,
        }
    }
    match rule {
        Expr::Constant(_) | Expr::Named(_) => false,
        Expr::Not(inner) | Expr::Exists(_, _, inner) => asks_of_record(inner),
        Expr::All(terms) | Expr::Any(terms) => terms.iter().any(asks_of_record),
        Expr::Holds(one) | Expr::IsNull(one) | Expr::Related(one, _) => term(one),
        Expr::Compare(left, _, right)
        | Expr::Member(left, right)
        | Expr::Starts(left, right)
        | Expr::Ends(left, right)
        | Expr::Contains(left, right) => term(left) || term(right),
        Expr::OneOf(item, list) => term(item) || list.iter().any(term),
        Expr::Search(search) => asks_of_record(&search.condition),
    }
}
