//! `exists(Collaborator, c, …)` of a write rule: the entity, the name of a record, the condition, and the equalities by which the
//! records are found.
//!
//! Knows no other condition: the one inside is lowered as any.

use super::names::{RuleScope, WORDS, column_of};
use super::refused;
use crate::schema::cel::{Identifier, SyntaxData, SyntaxNode};
use crate::schema::column::{Column, FieldIndex};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{list, quoted, suggestion};
use crate::schema::model::{Entity, FieldKind};
use crate::schema::rule::{Comparison, Expr, RecordSearch, SearchKey, Term};
use crate::schema::unindexed;

/// Gives a condition its meaning, and reports what is wrong with it.
pub(super) type LowerCondition = fn(&SyntaxNode, RuleScope<'_>, &mut Vec<Diagnostic>) -> Expr;

pub(super) fn search(
    lower: LowerCondition,
    node: &SyntaxNode,
    word: &Identifier,
    arguments: &[SyntaxNode],
    scope: RuleScope<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Expr {
    match searched(word, arguments, scope) {
        Ok(Searched { entity, name, inner }) => {
            let before = problems.len();
            let scope = RuleScope { element: Some((name, entity)), ..scope };
            let condition = lower(inner, scope, problems);
            let keys = keys(entity, &condition);
            if keys.is_empty() && problems.len() == before && !scope.is_in_doubt(inner) {
                problems.push(no_key(node, name, entity, &condition));
            }
            Expr::Search(Box::new(RecordSearch {
                entity: entity.name.clone(),
                name: name.into(),
                keys,
                condition,
            }))
        }
        Err(problem) => {
            if !scope.is_in_doubt(node) {
                problems.push(problem);
            }
            Expr::Constant(false)
        }
    }
}

struct Searched<'n, 'a> {
    entity: &'a Entity,
    /// What the rule calls a record.
    name: &'n str,
    inner: &'n SyntaxNode,
}

fn searched<'n, 'a>(
    word: &Identifier,
    arguments: &'n [SyntaxNode],
    scope: RuleScope<'a>,
) -> Result<Searched<'n, 'a>, Diagnostic> {
    let [of, variable, inner] = arguments else { return Err(other_arguments(word, arguments, scope)) };
    let (SyntaxData::Name(of_name), SyntaxData::Name(name)) = (&of.data, &variable.data) else {
        return Err(other_arguments(word, arguments, scope));
    };
    let Some(entity) = scope.entities.iter().find(|entity| *entity.name == **of_name) else {
        let names: Vec<&str> = scope.entities.iter().map(|entity| &*entity.name).collect();
        let message = format!("there is no entity {}", quoted(of_name));
        return Err(Diagnostic::new(DiagnosticCode::RuleName, of.span.clone(), message)
            .label("unknown")
            .help(suggestion(of_name, &names, "the schema files have")));
    };
    if scope.is_read {
        let message = format!("a {} rule cannot look through all records of {}", scope.word, quoted(of_name));
        let help = match entity.identity {
            Some(_) => format!(
                "write `user.{}.exists({name}, …)`: rights that follow from the caller\'s own records can change in open windows",
                entity.plural
            ),
            None if scope.is_of_names() => RuleScope::NAMES_KNOW.to_owned(),
            None => "store what the rule asks in a field of the record, or in a lookup field (from = \"…\")"
                .to_owned(),
        };
        return Err(scope.too_far(word.span.clone(), message).help(help));
    }
    if scope.element.is_some() {
        return Err(refused::unsupported(
            word.span.clone(),
            "`exists` cannot be inside another `exists`",
            "nested",
        )
        .help("join the two with `&&` side by side, or follow a reference: `m.project.owner == user.id`"));
    }
    if WORDS.contains(&name.as_str()) || column_of(scope.own, name).is_some() {
        let message = format!("{} has a meaning already", quoted(name));
        return Err(Diagnostic::new(DiagnosticCode::RuleName, variable.span.clone(), message)
            .label("taken")
            .help("choose another name for the record, `m` for example"));
    }
    Ok(Searched { entity, name, inner })
}

/// With the entity that was meant, where it can be told.
fn other_arguments(word: &Identifier, arguments: &[SyntaxNode], scope: RuleScope<'_>) -> Diagnostic {
    let named = |node: &SyntaxNode| {
        let SyntaxData::Name(name) = &node.data else { return None };
        scope.entities.iter().find(|entity| *entity.name == **name)
    };
    match arguments.first().and_then(named) {
        Some(Entity { name, .. }) => refused::arguments(word, &format!("exists({name}, x, x.id == id)")),
        None => {
            refused::arguments(word, "exists(Membership, m, m.project == project && m.person == user.id)")
        }
    }
}

/// The equalities of a conjunction between an indexed column and what is known without the record; the narrowest first.
fn keys(entity: &Entity, condition: &Expr) -> Vec<SearchKey> {
    let mut keys: Vec<SearchKey> =
        equalities(condition).into_iter().filter(|key| leads(entity, key.column)).collect();
    keys.sort_by_key(|key| match key.column {
        Column::Id => 0,
        Column::Field(field) if entity.at(field).unique => 1,
        Column::Field(_) | Column::Version | Column::CreatedAt | Column::UpdatedAt => 2,
    });
    keys
}

fn equalities(condition: &Expr) -> Vec<SearchKey> {
    match condition {
        Expr::All(terms) => terms.iter().flat_map(equalities).collect(),
        Expr::Compare(left, Comparison::Eq, right) => match (left, right) {
            (Term::Element(column), known) | (known, Term::Element(column)) if !known.is_of_element() => {
                vec![SearchKey { column: *column, value: known.clone() }]
            }
            _ => Vec::new(),
        },
        Expr::Constant(_)
        | Expr::Not(_)
        | Expr::Any(_)
        | Expr::Holds(_)
        | Expr::Compare(..)
        | Expr::IsNull(_)
        | Expr::OneOf(..)
        | Expr::Member(..)
        | Expr::Related(..)
        | Expr::Exists(..)
        | Expr::Starts(..)
        | Expr::Ends(..)
        | Expr::Contains(..)
        | Expr::Named(_)
        | Expr::Search(_) => Vec::new(),
    }
}

/// Whether records are found by a value of the column: it holds texts, and an index begins with it.
fn leads(entity: &Entity, column: Column) -> bool {
    is_text(entity, column) && unindexed::is_indexed(entity, column)
}

fn is_text(entity: &Entity, column: Column) -> bool {
    match column {
        Column::Id => true,
        Column::Version | Column::CreatedAt | Column::UpdatedAt => false,
        Column::Field(field) => match entity.at(field).kind {
            FieldKind::Int { .. } | FieldKind::Float { .. } | FieldKind::Bool | FieldKind::Json => false,
            FieldKind::Text { .. }
            | FieldKind::Enum { .. }
            | FieldKind::Date
            | FieldKind::Datetime
            | FieldKind::Uuid
            | FieldKind::Ref { .. } => true,
        },
    }
}

fn no_key(node: &SyntaxNode, name: &str, entity: &Entity, condition: &Expr) -> Diagnostic {
    let missing = equalities(condition).into_iter().find(|key| is_text(entity, key.column));
    let of = quoted(&entity.name);
    match missing {
        Some(SearchKey { column, .. }) => {
            let column = entity.name_of(column);
            let message = format!("no index leads to the records of {of} by {}", quoted(column));
            Diagnostic::new(DiagnosticCode::RuleSearch, node.span.clone(), message)
                .label("would look through all records")
                .help(format!("add to the file of {}: [[index]] with fields = [\"{column}\"]", entity.name))
        }
        None => {
            let message = format!("this `exists` would look through all records of {of}");
            let fields = (0..entity.fields.len()).map(|at| Column::Field(FieldIndex(at)));
            let columns = std::iter::once(Column::Id).chain(fields);
            Diagnostic::new(DiagnosticCode::RuleSearch, node.span.clone(), message)
                .label("no equality")
                .help(format!(
                    "join with `&&` an equality that an index serves, such as `{name}.id == id`; {of} has indexes for {}",
                    list(columns.filter(|column| leads(entity, *column)).map(|column| entity.name_of(column)))
                ))
        }
    }
}
