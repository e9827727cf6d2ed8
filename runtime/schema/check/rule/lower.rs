//! A rule's syntax to its meaning: each condition of CEL's tree to one of ours, or words that say what to write instead.
//!
//! Knows no file: places are those in the rule's text.

use super::names::{Meaning, RuleScope, WORDS, column_of};
use super::refused;
use super::search;
use super::terms::{fit, fitting, ordered, there, timed, value};
use super::types::{self, Type, is_literal};
use crate::schema::cel::{Binary, Identifier, SyntaxData, SyntaxNode, Unsupported};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::quoted;
use crate::schema::model::Entity;
use crate::schema::rule::{Comparison, Expr, RelatedSet, Term};

/// The meaning of a rule, and everything that is wrong with it. The meaning counts only if nothing is.
pub(super) fn lower(node: &SyntaxNode, scope: RuleScope<'_>) -> (Expr, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let meaning = condition(node, scope, &mut problems);
    (meaning, problems)
}

fn condition(node: &SyntaxNode, scope: RuleScope<'_>, problems: &mut Vec<Diagnostic>) -> Expr {
    let mut each = |nodes: &[SyntaxNode]| nodes.iter().map(|node| condition(node, scope, problems)).collect();
    match &node.data {
        SyntaxData::All(terms) => Expr::All(each(terms)),
        SyntaxData::Any(terms) => Expr::Any(each(terms)),
        SyntaxData::Not(inner) => Expr::Not(Box::new(condition(inner, scope, problems))),
        SyntaxData::Call(Some(of), word, arguments) if word.text == "exists" => {
            exists(of, word, arguments, scope, problems)
        }
        SyntaxData::Call(None, word, arguments) if word.text == "exists" => {
            search::search(condition, node, word, arguments, scope, problems)
        }
        SyntaxData::Null
        | SyntaxData::Bool(_)
        | SyntaxData::Int(_)
        | SyntaxData::Float(_)
        | SyntaxData::Text(_)
        | SyntaxData::List(_)
        | SyntaxData::Name(_)
        | SyntaxData::Select(..)
        | SyntaxData::Call(..)
        | SyntaxData::Binary(..)
        | SyntaxData::Sum(_)
        | SyntaxData::Unsupported(_) => test(node, scope).unwrap_or_else(|found| {
            if !scope.is_in_doubt(node) {
                problems.extend(found);
            }
            Expr::Constant(false)
        }),
    }
}

/// What is wrong with one condition: both sides of a comparison may be.
type Problems = Vec<Diagnostic>;

/// A condition without others in it.
fn test(node: &SyntaxNode, scope: RuleScope<'_>) -> Result<Expr, Problems> {
    match &node.data {
        SyntaxData::Bool(holds) => Ok(Expr::Constant(*holds)),
        SyntaxData::Binary(Binary::In, item, list) => member(item, list, scope),
        SyntaxData::Binary(operator, left, right) => compare(node, *operator, left, right, scope),
        SyntaxData::Call(of, word, arguments) => call(node, of.as_deref(), word, arguments, scope),
        SyntaxData::Name(_) | SyntaxData::Select(..) => Ok(holds(node, scope)?),
        SyntaxData::Unsupported(other) => Err(refused::other(node, *other))?,
        SyntaxData::Sum(_) => Err(refused::other(node, Unsupported::Arithmetic))?,
        SyntaxData::Null
        | SyntaxData::Int(_)
        | SyntaxData::Float(_)
        | SyntaxData::Text(_)
        | SyntaxData::List(_) => {
            Err(refused::no_condition(node, "a constant").help("compare it with a field: `status == 'open'`"))?
        }
        SyntaxData::All(_) | SyntaxData::Any(_) | SyntaxData::Not(_) => {
            Err(refused::condition_as_value(node))?
        }
    }
}

/// A bool by itself.
fn holds(node: &SyntaxNode, scope: RuleScope<'_>) -> Result<Expr, Diagnostic> {
    match scope.meaning(node)? {
        Meaning::Value(term, Type::Bool | Type::Claim) => Ok(Expr::Holds(term)),
        Meaning::Value(_, kind) => Err(refused::no_condition(node, &kind.noun())
            .help("compare it, or ask whether there is one: `x != null`")),
        Meaning::Person => Err(refused::no_condition(node, "a person").help("write `user != null`")),
        Meaning::Records(_) | Meaning::Set(..) => Err(refused::set(node)),
    }
}

fn compare(
    whole: &SyntaxNode,
    operator: Binary,
    left: &SyntaxNode,
    right: &SyntaxNode,
    scope: RuleScope<'_>,
) -> Result<Expr, Problems> {
    if let (SyntaxData::Null, other) | (other, SyntaxData::Null) = (&left.data, &right.data) {
        let term = if *other == right.data { right } else { left };
        return Ok(null_test(whole, operator, term, scope)?);
    }
    let comparison = comparison(operator);
    match (is_literal(left), is_literal(right)) {
        (true, true) => Err(refused::two_constants(whole))?,
        (false, true) => {
            let (term, kind) = value(left, scope)?;
            ordered(comparison, kind, left)?;
            Ok(Expr::Compare(term, comparison, Term::Value(types::literal(right, kind)?)))
        }
        (true, false) => {
            let (term, kind) = value(right, scope)?;
            ordered(comparison, kind, right)?;
            Ok(Expr::Compare(Term::Value(types::literal(left, kind)?), comparison, term))
        }
        (false, false) => {
            // A constant of another language is no name, and what is right beside it the next check says.
            if let Some(problem) = [left, right].into_iter().find_map(|side| foreign(side, scope)) {
                return Err(problem.into());
            }
            let ((left_term, one), (right_term, other)) = both(value(left, scope), value(right, scope))?;
            fit(one, other, whole)?;
            let (left_term, right_term) = (timed(left_term, other), timed(right_term, one));
            ordered(comparison, one, left)?;
            ordered(comparison, other, right)?;
            if left_term == right_term {
                Err(refused::misfit(whole, "this is compared with itself".to_owned())
                    .help("inside `exists` a field of the user's record begins with its name, as in `m.project == project`"))?;
            }
            Ok(Expr::Compare(left_term, comparison, right_term))
        }
    }
}

fn null_test(
    whole: &SyntaxNode,
    operator: Binary,
    node: &SyntaxNode,
    scope: RuleScope<'_>,
) -> Result<Expr, Diagnostic> {
    let is_null = match operator {
        Binary::Equal => true,
        Binary::NotEqual => false,
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual | Binary::In => {
            return Err(refused::null(whole));
        }
    };
    if is_literal(node) || node.data == SyntaxData::Null {
        return Err(refused::two_constants(whole));
    }
    let test = Expr::IsNull(there(node, scope)?);
    Ok(if is_null { test } else { Expr::Not(Box::new(test)) })
}

fn member(item: &SyntaxNode, list: &SyntaxNode, scope: RuleScope<'_>) -> Result<Expr, Problems> {
    if item.data == SyntaxData::Null {
        Err(refused::null(item))?;
    }
    match &list.data {
        SyntaxData::List(items) => return one_of(item, list, items, scope),
        SyntaxData::Name(_) | SyntaxData::Select(..) => {}
        SyntaxData::Null => Err(refused::null(list))?,
        SyntaxData::Bool(_) | SyntaxData::Int(_) | SyntaxData::Float(_) | SyntaxData::Text(_) => {
            Err(refused::misfit(list, "a constant is not a list".to_owned()).help("write `x in ['a', 'b']`"))?;
        }
        SyntaxData::Call(..)
        | SyntaxData::Not(_)
        | SyntaxData::All(_)
        | SyntaxData::Any(_)
        | SyntaxData::Binary(..)
        | SyntaxData::Sum(_)
        | SyntaxData::Unsupported(_) => {
            // Of all these only `size` has a value.
            Err(value(list, scope).err().unwrap_or_else(|| refused::no_list(list, "a number")))?;
        }
    }
    let meaning = scope.meaning(list).map_err(|problem| with_faults_of(item, problem, scope))?;
    match meaning {
        Meaning::Set(_, _, Type::Json) => {
            Err(refused::misfit(list, "a json value cannot be compared".to_owned())
                .help("ask inside `exists`: `user.memberships.exists(m, x in m.field)`"))?
        }
        Meaning::Set(entity, column, kind) => {
            let item = fitting(item, kind, scope)?;
            Ok(Expr::Related(item, RelatedSet { entity: entity.name.clone(), column }))
        }
        Meaning::Value(term, Type::Json | Type::Claim) => {
            let item = match is_literal(item) {
                true => Term::Value(types::plain(item)?),
                false => match value(item, scope)? {
                    (_, kind @ (Type::Json | Type::Moment | Type::Now)) => {
                        return Err(refused::misfit(
                            item,
                            format!("{} cannot be an element of a list", kind.noun()),
                        )
                        .help("ask for a text, a number or a bool"))?;
                    }
                    (item, _) => item,
                },
            };
            Ok(Expr::Member(item, term))
        }
        Meaning::Value(_, kind) => Err(refused::no_list(list, &kind.noun()))?,
        Meaning::Person => Err(refused::no_list(list, "a person"))?,
        Meaning::Records(entity) => {
            Err(refused::misfit(list, format!("which field of {}?", quoted(&entity.name)))
                .help(format!("name it: `… in user.{}.id`", entity.plural)))?
        }
    }
}

fn one_of(
    item: &SyntaxNode,
    list: &SyntaxNode,
    items: &[SyntaxNode],
    scope: RuleScope<'_>,
) -> Result<Expr, Problems> {
    if items.is_empty() {
        Err(refused::misfit(list, "nothing is in an empty list".to_owned())
            .help("write `false`, or name values"))?;
    }
    if let Some(null) = items.iter().find(|each| each.data == SyntaxData::Null) {
        Err(refused::null(null))?;
    }
    if !is_literal(item) {
        let named = items.iter().filter(|each| !is_literal(each));
        let (term, kind) = value(item, scope).map_err(|problem| {
            named.fold(vec![problem], |mut found, each| {
                found.extend(value(each, scope).err());
                found
            })
        })?;
        if kind == Type::Now {
            Err(refused::misfit(item, "no list holds the time of a write".to_owned())
                .help("compare `now` with `<` and `>`"))?;
        }
        if kind == Type::Json {
            Err(refused::misfit(item, "a json value cannot be compared".to_owned())
                .help("for a json field write `x in field`, `size(field)` or `field == null`"))?;
        }
        let items = all(items.iter().map(|each| fitting(each, kind, scope)))?;
        return Ok(Expr::OneOf(term, items));
    }
    // The constant takes the stored form of each that it is compared with, and these may differ.
    let equal = |each: &SyntaxNode| match is_literal(each) {
        true => Err(refused::two_constants(each)),
        false => {
            let (term, kind) = value(each, scope)?;
            Ok(Expr::Compare(Term::Value(types::literal(item, kind)?), Comparison::Eq, term))
        }
    };
    let mut terms = all(items.iter().map(equal))?;
    Ok(if terms.len() == 1 { terms.remove(0) } else { Expr::Any(terms) })
}

fn call(
    node: &SyntaxNode,
    of: Option<&SyntaxNode>,
    word: &Identifier,
    arguments: &[SyntaxNode],
    scope: RuleScope<'_>,
) -> Result<Expr, Problems> {
    match (word.text.as_str(), of, arguments) {
        ("changed", None, [inner]) if scope.on.is_some() => Ok(Expr::Named(scope.changed(inner)?)),
        ("changed", _, _) if scope.on.is_some() => Err(refused::arguments(word, "changed(status)"))?,
        ("has", None, [inner]) => Ok(has(inner, scope)?),
        ("has", _, _) => Err(refused::arguments(word, "has(x)"))?,
        ("startsWith", Some(text), [part]) => {
            let (text, part) = part_of(text, part, scope)?;
            Ok(Expr::Starts(text, part))
        }
        ("endsWith", Some(text), [part]) => {
            let (text, part) = part_of(text, part, scope)?;
            Ok(Expr::Ends(text, part))
        }
        ("contains", Some(text), [part]) => {
            let (text, part) = part_of(text, part, scope)?;
            Ok(Expr::Contains(text, part))
        }
        ("startsWith", _, _) => Err(refused::arguments(word, "text.startsWith('a')"))?,
        ("endsWith", _, _) => Err(refused::arguments(word, "text.endsWith('a')"))?,
        ("contains", _, _) => Err(refused::arguments(word, "text.contains('a')"))?,
        ("exists", _, _) => {
            Err(refused::arguments(word, "user.memberships.exists(m, m.project == project)"))?
        }
        ("size", _, _) => {
            value(node, scope)?;
            Err(refused::no_condition(node, "a number").help("compare it: `size(x) > 0`"))?
        }
        _ => Err(refused::function(of.is_some(), word))?,
    }
}

fn has(inner: &SyntaxNode, scope: RuleScope<'_>) -> Result<Expr, Diagnostic> {
    if !matches!(inner.data, SyntaxData::Name(_) | SyntaxData::Select(..)) {
        return Err(refused::misfit(inner, "`has` asks for a field or a claim".to_owned())
            .help("write `has(due)` or `has(user.claims.team)`"));
    }
    Ok(match there(inner, scope)? {
        Term::Change(field) => Expr::Named(field),
        term @ (Term::Record(_)
        | Term::Element(_)
        | Term::User(_)
        | Term::Value(_)
        | Term::Size(_)
        | Term::Behind(_)
        | Term::Now(_)) => Expr::Not(Box::new(Expr::IsNull(term))),
    })
}

fn part_of(text: &SyntaxNode, part: &SyntaxNode, scope: RuleScope<'_>) -> Result<(Term, Term), Problems> {
    if is_literal(text) && is_literal(part) {
        Err(refused::two_constants(text))?;
    }
    let term = |node: &SyntaxNode| match is_literal(node) {
        true => types::literal(node, Type::Text).map(Term::Value),
        false => match value(node, scope)? {
            (term, Type::Text | Type::Claim) => Ok(term),
            (_, kind) => Err(refused::misfit(node, format!("{} is not a text", kind.noun())).help(
                "`startsWith`, `endsWith` and `contains` are for texts; for a json list write `x in list`",
            )),
        },
    };
    both(term(text), term(part))
}

/// What is wrong with `NULL` or `True`.
fn foreign(node: &SyntaxNode, scope: RuleScope<'_>) -> Option<Diagnostic> {
    let SyntaxData::Name(name) = &node.data else { return None };
    refused::constant(name).and_then(|_| value(node, scope).err())
}

/// Both, or everything that is wrong with either.
fn both<A, B>(one: Result<A, Diagnostic>, other: Result<B, Diagnostic>) -> Result<(A, B), Problems> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => Err(one.err().into_iter().chain(other.err()).collect()),
    }
}

/// All, or everything that is wrong with any.
fn all<T>(each: impl Iterator<Item = Result<T, Diagnostic>>) -> Result<Vec<T>, Problems> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for one in each {
        match one {
            Ok(one) => found.push(one),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// What is wrong with the list, and with the item that is looked for in it.
fn with_faults_of(item: &SyntaxNode, problem: Diagnostic, scope: RuleScope<'_>) -> Problems {
    let of_item = if is_literal(item) { None } else { value(item, scope).err() };
    of_item.into_iter().chain([problem]).collect()
}

fn exists(
    of: &SyntaxNode,
    word: &Identifier,
    arguments: &[SyntaxNode],
    scope: RuleScope<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Expr {
    match element(of, word, arguments, scope) {
        Ok((name, entity, inner)) => {
            let scope = RuleScope { element: Some((name, entity)), ..scope };
            let condition = condition(inner, scope, problems);
            Expr::Exists(entity.name.clone(), name.into(), Box::new(condition))
        }
        Err(problem) => {
            if !scope.is_in_doubt(of) {
                problems.push(problem);
            }
            Expr::Constant(false)
        }
    }
}

type Element<'n, 'a> = (&'n str, &'a Entity, &'n SyntaxNode);

fn element<'n, 'a>(
    of: &SyntaxNode,
    word: &Identifier,
    arguments: &'n [SyntaxNode],
    scope: RuleScope<'a>,
) -> Result<Element<'n, 'a>, Diagnostic> {
    if scope.element.is_some() {
        return Err(refused::unsupported(
            word.span.clone(),
            "`exists` cannot be inside another `exists`",
            "nested",
        )
        .help("join the two with `&&` side by side, or use a lookup field"));
    }
    if !matches!(of.data, SyntaxData::Name(_) | SyntaxData::Select(..)) {
        return Err(refused::exists_of(of));
    }
    let entity = match scope.meaning(of)? {
        Meaning::Records(entity) => entity,
        Meaning::Value(..) | Meaning::Person | Meaning::Set(..) => return Err(refused::exists_of(of)),
    };
    let wrong = || refused::arguments(word, "user.memberships.exists(m, m.project == project)");
    let [SyntaxNode { data: SyntaxData::Name(name), span }, inner] = arguments else { return Err(wrong()) };
    if WORDS.contains(&name.as_str()) || column_of(scope.own, name).is_some() {
        let problem = Diagnostic::new(
            DiagnosticCode::RuleName,
            span.clone(),
            format!("{} has a meaning already", quoted(name)),
        );
        return Err(problem.label("taken").help("choose another name for the record, `m` for example"));
    }
    Ok((name, entity, inner))
}

fn comparison(operator: Binary) -> Comparison {
    match operator {
        // `in` is no comparison and is looked at before.
        Binary::Equal | Binary::In => Comparison::Eq,
        Binary::NotEqual => Comparison::Ne,
        Binary::Less => Comparison::Lt,
        Binary::LessOrEqual => Comparison::Lte,
        Binary::Greater => Comparison::Gt,
        Binary::GreaterOrEqual => Comparison::Gte,
    }
}
