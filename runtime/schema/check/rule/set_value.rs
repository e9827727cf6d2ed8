//! The values of an `[[on]]`: an expression of `set` or `where` to the value that it stands for, of the type of its target.
//!
//! Knows no table of a file: places are those in the expression.

use super::names::{Meaning, RuleScope};
use super::refused;
use super::terms::unquoted;
use super::types::{self, Type, is_literal};
use crate::schema::builtin::USER;
use crate::schema::cel::{SyntaxData, SyntaxNode};
use crate::schema::column::{Column, FieldIndex};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::quoted;
use crate::schema::model::{Entity, Field, FieldKind, IdKind};
use crate::schema::rule::{ReferencePath, Term, UserTerm};
use crate::schema::trigger::SetValue;
use crate::schema::value::Value;

/// Where a value goes to.
#[derive(Clone, Copy)]
pub(in crate::schema::check) struct Wanted<'w> {
    pub(in crate::schema::check) entity: &'w Entity,
    pub(in crate::schema::check) column: Column,
    pub(in crate::schema::check) purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::schema::check) enum Purpose {
    /// It is stored there, so it must fit, and must show nothing that its source hides.
    Store,
    /// It is compared with what is stored.
    Find,
}

pub(super) fn value(
    node: &SyntaxNode,
    scope: RuleScope<'_>,
    wanted: Wanted<'_>,
) -> Result<SetValue, Vec<Diagnostic>> {
    let SyntaxData::Sum(parts) = &node.data else {
        let part = part(node, scope, wanted)?;
        fits_length(node, part.longest, wanted)?;
        return Ok(part.value);
    };
    if wanted.purpose == Purpose::Find || Type::of(wanted.column, wanted.entity) != Type::Text {
        return Err(vec![
            misfit(node, "only texts are joined by `+`".to_owned())
                .help("write one field, a constant, `user.id` or `now`"),
        ]);
    }
    let (mut joined, mut problems, mut longest) = (Vec::new(), Vec::new(), Some(0));
    for each in parts {
        match part(each, scope, wanted) {
            Ok(part) => {
                longest = longest.zip(part.longest).map(|(sum, more)| sum + more);
                joined.push(part.value);
            }
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    fits_length(node, longest, wanted)?;
    Ok(SetValue::Joined(joined))
}

/// A value, and how many characters it has at most as a text; `None` if there is no bound.
struct Part {
    value: SetValue,
    longest: Option<u64>,
}

fn part(node: &SyntaxNode, scope: RuleScope<'_>, wanted: Wanted<'_>) -> Result<Part, Vec<Diagnostic>> {
    let target = Type::of(wanted.column, wanted.entity);
    match &node.data {
        SyntaxData::Null if wanted.purpose == Purpose::Store => {
            return Ok(Part { value: SetValue::Constant(Value::Null), longest: Some(0) });
        }
        SyntaxData::Name(name) if name == "now" && scope.own.field("now").is_none() => {
            return match target {
                Type::Date => Ok(Part { value: SetValue::Today, longest: Some(10) }),
                Type::Datetime | Type::Text => Ok(Part { value: SetValue::Now, longest: Some(24) }),
                Type::Enum(_)
                | Type::Moment
                | Type::Now
                | Type::Uuid
                | Type::Id(..)
                | Type::Number
                | Type::Bool
                | Type::Json
                | Type::Claim => Err(vec![
                    misfit(node, format!("`now` does not fit {}", target.noun()))
                        .help("it is a time: give it to a date, a datetime or a text"),
                ]),
            };
        }
        _ if is_literal(node) => {
            let constant = match (types::literal(node, target)?, wanted.column) {
                (Value::Int(number), Column::Field(at))
                    if matches!(wanted.entity.at(at).kind, FieldKind::Float { .. }) =>
                {
                    Value::Float(number as f64)
                }
                (Value::Float(_), Column::Field(at))
                    if matches!(wanted.entity.at(at).kind, FieldKind::Int { .. }) =>
                {
                    return Err(vec![
                        misfit(node, "this number does not fit an int".to_owned())
                            .help("write it without a point"),
                    ]);
                }
                (constant, _) => constant,
            };
            let longest = match &constant {
                Value::Text(text) => Some(text.chars().count() as u64),
                Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => Some(0),
            };
            return Ok(Part { value: SetValue::Constant(constant), longest });
        }
        SyntaxData::Name(_) | SyntaxData::Select(..) => {}
        SyntaxData::Unsupported(other) => return Err(vec![refused::other(node, *other)]),
        SyntaxData::Null
        | SyntaxData::Bool(_)
        | SyntaxData::Int(_)
        | SyntaxData::Float(_)
        | SyntaxData::Text(_)
        | SyntaxData::List(_)
        | SyntaxData::Call(..)
        | SyntaxData::Not(_)
        | SyntaxData::All(_)
        | SyntaxData::Any(_)
        | SyntaxData::Binary(..)
        | SyntaxData::Sum(_) => {
            return Err(vec![misfit(node, "this is no value".to_owned())
                .help("a value is a constant in quotes, a field, `old.field`, a field behind references, `user.id`, `now`, or texts joined by `+`")]);
        }
    }
    let meaning = match scope.meaning(node) {
        Ok(meaning) => meaning,
        Err(_) if scope.is_in_doubt(node) => {
            return Ok(Part { value: SetValue::Constant(Value::Null), longest: Some(0) });
        }
        Err(problem) => return Err(vec![unquoted(node, problem)]),
    };
    let (value, kind) = match meaning {
        Meaning::Value(Term::Record(column), kind) => (SetValue::Column(column), kind),
        Meaning::Value(Term::Change(at), kind) => (SetValue::Old(at), kind),
        Meaning::Value(Term::Behind(path), kind) => (SetValue::Behind(path), kind),
        Meaning::Value(Term::User(UserTerm::Id), _) => (SetValue::UserId, Type::Id(USER, IdKind::Text)),
        Meaning::Value(..) | Meaning::Person | Meaning::Records(_) | Meaning::Set(..) => {
            return Err(vec![
                misfit(node, "only `user.id` is known of the writer here".to_owned())
                    .help("ask for the rest in `when`, or store it in a field"),
            ]);
        }
    };
    goes_into(kind, target, node, &value, scope, wanted)?;
    shows_nothing(node, &value, scope, wanted)?;
    Ok(Part { longest: longest(&value, scope), value })
}

/// Whether every value of the one can be stored where the other is.
fn goes_into(
    kind: Type<'_>,
    target: Type<'_>,
    node: &SyntaxNode,
    value: &SetValue,
    scope: RuleScope<'_>,
    wanted: Wanted<'_>,
) -> Result<(), Vec<Diagnostic>> {
    let fits = match (kind, target) {
        (Type::Enum(own), Type::Enum(other)) => {
            wanted.purpose == Purpose::Find || own.iter().all(|value| other.contains(value))
        }
        (
            Type::Text
            | Type::Enum(_)
            | Type::Uuid
            | Type::Id(..)
            | Type::Date
            | Type::Datetime
            | Type::Moment,
            Type::Text,
        ) => true,
        (Type::Text, Type::Enum(_)) => false,
        (Type::Text, Type::Uuid | Type::Id(..)) => wanted.purpose == Purpose::Find,
        (Type::Moment, Type::Datetime) => true,
        (Type::Number, Type::Number) => {
            is_whole(value, scope) || !is_whole_column(wanted.entity, wanted.column)
        }
        (Type::Json, Type::Json) => wanted.purpose == Purpose::Store,
        (kind, target) => kind.fits(target),
    };
    if fits {
        return Ok(());
    }
    let message = format!("{} does not fit {}", kind.noun(), target.noun());
    Err(vec![misfit(node, message).help(format!(
        "{} of {} takes {}",
        quoted(wanted.entity.name_of(wanted.column)),
        wanted.entity.name,
        target.noun()
    ))])
}

fn is_whole(value: &SetValue, scope: RuleScope<'_>) -> bool {
    match value {
        SetValue::Column(column) => is_whole_column(scope.own, *column),
        SetValue::Old(at) => is_whole_column(scope.own, Column::Field(*at)),
        SetValue::Behind(path) => {
            entity_of(&path.entity, scope).is_some_and(|entity| is_whole_column(entity, path.column))
        }
        SetValue::Constant(_) | SetValue::UserId | SetValue::Now | SetValue::Today | SetValue::Joined(_) => {
            true
        }
    }
}

fn entity_of<'a>(name: &str, scope: RuleScope<'a>) -> Option<&'a Entity> {
    scope.entities.iter().find(|entity| *entity.name == *name)
}

fn is_whole_column(entity: &Entity, column: Column) -> bool {
    match column {
        Column::Field(at) => matches!(entity.at(at).kind, FieldKind::Int { .. }),
        Column::Id | Column::Version | Column::CreatedAt | Column::UpdatedAt => true,
    }
}

/// A copy is seen by every user who sees the record that it is stored in.
fn shows_nothing(
    node: &SyntaxNode,
    value: &SetValue,
    scope: RuleScope<'_>,
    wanted: Wanted<'_>,
) -> Result<(), Vec<Diagnostic>> {
    let Column::Field(target) = wanted.column else { return Ok(()) };
    let target = wanted.entity.at(target);
    if wanted.purpose == Purpose::Find || target.read.is_some() {
        return Ok(());
    }
    let Some((of, source)) = hidden_source(value, scope) else { return Ok(()) };
    let (shown, hidden) =
        (format!("{}.{}", wanted.entity.name, target.name), format!("{}.{}", of.name, source.name));
    let message = format!("{} would show what {} hides", quoted(&shown), quoted(&hidden));
    let problem = Diagnostic::new(DiagnosticCode::OnShows, node.span.clone(), message).label("copies it");
    Err(vec![problem.help("give that field a rule of its own (`read = \"...\"`), or `hidden = true`")])
}

/// The first field on the way to the value that not every user sees.
fn hidden_source<'a>(value: &SetValue, scope: RuleScope<'a>) -> Option<(&'a Entity, &'a Field)> {
    let hidden = |entity: &'a Entity, at: FieldIndex| {
        let field = entity.at(at);
        field.read.as_ref().map(|_| (entity, field))
    };
    match value {
        SetValue::Column(Column::Field(at)) | SetValue::Old(at) => hidden(scope.own, *at),
        SetValue::Behind(path) => hidden_behind(path, scope),
        SetValue::Column(_)
        | SetValue::Constant(_)
        | SetValue::UserId
        | SetValue::Now
        | SetValue::Today
        | SetValue::Joined(_) => None,
    }
}

fn hidden_behind<'a>(path: &ReferencePath, scope: RuleScope<'a>) -> Option<(&'a Entity, &'a Field)> {
    let via = match &path.via {
        Term::Behind(inner) => hidden_behind(inner, scope),
        Term::Record(Column::Field(at)) | Term::Change(at) => hidden_source(&SetValue::Old(*at), scope),
        Term::Record(_)
        | Term::Element(_)
        | Term::User(_)
        | Term::Value(_)
        | Term::Size(_)
        | Term::Now(_) => None,
    };
    via.or_else(|| {
        let Column::Field(at) = path.column else { return None };
        let entity = entity_of(&path.entity, scope)?;
        entity.at(at).read.as_ref().map(|_| (entity, entity.at(at)))
    })
}

/// Of a value as a text.
fn longest(value: &SetValue, scope: RuleScope<'_>) -> Option<u64> {
    let (entity, column) = match value {
        SetValue::Column(column) => (scope.own, *column),
        SetValue::Old(at) => (scope.own, Column::Field(*at)),
        SetValue::Behind(path) => (entity_of(&path.entity, scope)?, path.column),
        SetValue::UserId => return Some(128),
        SetValue::Constant(_) | SetValue::Now | SetValue::Today | SetValue::Joined(_) => return Some(24),
    };
    match Type::of(column, entity) {
        Type::Text => longest_text(column, entity),
        Type::Enum(values) => values.iter().map(|value| value.chars().count() as u64).max(),
        Type::Id(_, IdKind::Text) => Some(128),
        Type::Id(_, IdKind::Uuid) | Type::Uuid => Some(36),
        Type::Date => Some(10),
        Type::Datetime | Type::Moment | Type::Now => Some(24),
        Type::Number | Type::Bool | Type::Json | Type::Claim => Some(0),
    }
}

/// `None` if the field has no bound.
fn longest_text(column: Column, entity: &Entity) -> Option<u64> {
    let Column::Field(at) = column else { return None };
    let FieldKind::Text { max, .. } = &entity.at(at).kind else { return None };
    *max
}

fn fits_length(node: &SyntaxNode, longest: Option<u64>, wanted: Wanted<'_>) -> Result<(), Vec<Diagnostic>> {
    let Column::Field(at) = wanted.column else { return Ok(()) };
    let field = wanted.entity.at(at);
    let FieldKind::Text { max: Some(max), .. } = &field.kind else { return Ok(()) };
    if wanted.purpose == Purpose::Find || longest.is_some_and(|longest| longest <= *max) {
        return Ok(());
    }
    let longest = longest.map_or_else(|| "any length".to_owned(), |longest| format!("{longest} characters"));
    let message = format!("this can have {longest}, and {} holds {max}", quoted(&field.name));
    Err(vec![misfit(node, message).help(format!(
        "raise the `max` of {}.{}, or give its sources a smaller one",
        wanted.entity.name, field.name
    ))])
}

fn misfit(node: &SyntaxNode, message: String) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::OnSet, node.span.clone(), message).label("does not fit")
}
