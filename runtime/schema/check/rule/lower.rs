//! A rule's syntax to its meaning: each condition of CEL's tree to one of ours, or words that say what to write instead.
//!
//! Knows no file: places are those in the rule's text.

use super::names::{Meaning, Scope, WORDS, column_of};
use super::refused;
use super::terms::{fit, fitting, ordered, there, value};
use super::types::{self, Type, is_literal};
use crate::schema::cel::{Binary, Data, Node, Word};
use crate::schema::diagnostics::{Code, Problem};
use crate::schema::message::quoted;
use crate::schema::model::Entity;
use crate::schema::rule::{Comparison, Expr, RelatedSet, Term};

/// The meaning of a rule, and everything that is wrong with it. The meaning counts only if nothing is.
pub(super) fn lower(node: &Node, scope: Scope<'_>) -> (Expr, Vec<Problem>) {
    let mut problems = Vec::new();
    let meaning = condition(node, scope, &mut problems);
    (meaning, problems)
}

fn condition(node: &Node, scope: Scope<'_>, problems: &mut Vec<Problem>) -> Expr {
    let mut each = |nodes: &[Node]| nodes.iter().map(|node| condition(node, scope, problems)).collect();
    match &node.data {
        Data::All(terms) => Expr::All(each(terms)),
        Data::Any(terms) => Expr::Any(each(terms)),
        Data::Not(inner) => Expr::Not(Box::new(condition(inner, scope, problems))),
        Data::Call(Some(of), word, arguments) if word.text == "exists" => {
            exists(of, word, arguments, scope, problems)
        }
        Data::Null
        | Data::Bool(_)
        | Data::Int(_)
        | Data::Float(_)
        | Data::Text(_)
        | Data::List(_)
        | Data::Name(_)
        | Data::Select(..)
        | Data::Call(..)
        | Data::Binary(..)
        | Data::Other(_) => test(node, scope).unwrap_or_else(|found| {
            if !scope.is_in_doubt(node) {
                problems.extend(found);
            }
            Expr::Constant(false)
        }),
    }
}

/// What is wrong with one condition: both sides of a comparison may be.
type Problems = Vec<Problem>;

/// A condition without others in it.
fn test(node: &Node, scope: Scope<'_>) -> Result<Expr, Problems> {
    match &node.data {
        Data::Bool(holds) => Ok(Expr::Constant(*holds)),
        Data::Binary(Binary::In, item, list) => member(item, list, scope),
        Data::Binary(operator, left, right) => compare(node, *operator, left, right, scope),
        Data::Call(of, word, arguments) => call(node, of.as_deref(), word, arguments, scope),
        Data::Name(_) | Data::Select(..) => Ok(holds(node, scope)?),
        Data::Other(other) => Err(refused::other(node, *other))?,
        Data::Null | Data::Int(_) | Data::Float(_) | Data::Text(_) | Data::List(_) => {
            Err(refused::no_condition(node, "a constant").help("compare it with a field: `status == 'open'`"))?
        }
        Data::All(_) | Data::Any(_) | Data::Not(_) => Err(refused::condition_as_value(node))?,
    }
}

/// A bool by itself.
fn holds(node: &Node, scope: Scope<'_>) -> Result<Expr, Problem> {
    match scope.meaning(node)? {
        Meaning::Value(term, Type::Bool | Type::Claim) => Ok(Expr::Holds(term)),
        Meaning::Value(_, kind) => Err(refused::no_condition(node, &kind.noun())
            .help("compare it, or ask whether there is one: `x != null`")),
        Meaning::Person => Err(refused::no_condition(node, "a person").help("write `user != null`")),
        Meaning::Records(_) | Meaning::Set(..) => Err(refused::set(node)),
    }
}

fn compare(
    whole: &Node,
    operator: Binary,
    left: &Node,
    right: &Node,
    scope: Scope<'_>,
) -> Result<Expr, Problems> {
    if let (Data::Null, other) | (other, Data::Null) = (&left.data, &right.data) {
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
            ordered(comparison, one, left)?;
            ordered(comparison, other, right)?;
            if left_term == right_term {
                Err(refused::misfit(whole, "this is compared with itself".to_owned())
                    .help("within `exists` a field of the person's record begins with its name, as in `m.project == project`"))?;
            }
            Ok(Expr::Compare(left_term, comparison, right_term))
        }
    }
}

fn null_test(whole: &Node, operator: Binary, node: &Node, scope: Scope<'_>) -> Result<Expr, Problem> {
    let is_null = match operator {
        Binary::Equal => true,
        Binary::NotEqual => false,
        Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual | Binary::In => {
            return Err(refused::null(whole));
        }
    };
    if is_literal(node) || node.data == Data::Null {
        return Err(refused::two_constants(whole));
    }
    let test = Expr::IsNull(there(node, scope)?);
    Ok(if is_null { test } else { Expr::Not(Box::new(test)) })
}

fn member(item: &Node, list: &Node, scope: Scope<'_>) -> Result<Expr, Problems> {
    if item.data == Data::Null {
        Err(refused::null(item))?;
    }
    match &list.data {
        Data::List(items) => return one_of(item, list, items, scope),
        Data::Name(_) | Data::Select(..) => {}
        Data::Null => Err(refused::null(list))?,
        Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Text(_) => {
            Err(refused::misfit(list, "a constant is no list".to_owned()).help("write `x in ['a', 'b']`"))?;
        }
        Data::Call(..) | Data::Not(_) | Data::All(_) | Data::Any(_) | Data::Binary(..) | Data::Other(_) => {
            // Of all these only `size` has a value.
            Err(value(list, scope).err().unwrap_or_else(|| refused::no_list(list, "a number")))?;
        }
    }
    let meaning = scope.meaning(list).map_err(|problem| with_faults_of(item, problem, scope))?;
    match meaning {
        Meaning::Set(_, _, Type::Json) => {
            Err(refused::misfit(list, "a json value is equal to nothing".to_owned())
                .help("ask inside of `exists`: `user.memberships.exists(m, x in m.field)`"))?
        }
        Meaning::Set(entity, column, kind) => {
            let item = fitting(item, kind, scope)?;
            Ok(Expr::Related(item, RelatedSet { entity: entity.name.clone(), column }))
        }
        Meaning::Value(term, Type::Json | Type::Claim) => {
            let item = match is_literal(item) {
                true => Term::Value(types::plain(item)?),
                false => match value(item, scope)? {
                    (_, kind @ (Type::Json | Type::Moment)) => {
                        return Err(refused::misfit(
                            item,
                            format!("{} is no element of a list", kind.noun()),
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

fn one_of(item: &Node, list: &Node, items: &[Node], scope: Scope<'_>) -> Result<Expr, Problems> {
    if items.is_empty() {
        Err(refused::misfit(list, "nothing is in an empty list".to_owned())
            .help("write `false`, or name values"))?;
    }
    if let Some(null) = items.iter().find(|each| each.data == Data::Null) {
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
        if kind == Type::Json {
            Err(refused::misfit(item, "a json value is equal to nothing".to_owned())
                .help("of a json field only `x in field`, `size(field)` and `field == null` can be asked"))?;
        }
        let items = all(items.iter().map(|each| fitting(each, kind, scope)))?;
        return Ok(Expr::OneOf(term, items));
    }
    // The constant takes the stored form of each that it is compared with, and these may differ.
    let equal = |each: &Node| match is_literal(each) {
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
    node: &Node,
    of: Option<&Node>,
    word: &Word,
    arguments: &[Node],
    scope: Scope<'_>,
) -> Result<Expr, Problems> {
    match (word.text.as_str(), of, arguments) {
        ("has", None, [inner]) => Ok(has(inner, scope)?),
        ("has", _, _) => Err(refused::arguments(word, "has(x)"))?,
        ("startsWith", Some(text), [part]) => {
            let (text, part) = part_of(text, part, scope)?;
            Ok(Expr::Starts(text, part))
        }
        ("contains", Some(text), [part]) => {
            let (text, part) = part_of(text, part, scope)?;
            Ok(Expr::Contains(text, part))
        }
        ("startsWith", _, _) => Err(refused::arguments(word, "text.startsWith('a')"))?,
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

fn has(inner: &Node, scope: Scope<'_>) -> Result<Expr, Problem> {
    if !matches!(inner.data, Data::Name(_) | Data::Select(..)) {
        return Err(refused::misfit(inner, "`has` asks for a field or a claim".to_owned())
            .help("write `has(due)` or `has(user.claims.team)`"));
    }
    Ok(match there(inner, scope)? {
        Term::Change(field) => Expr::Named(field),
        term @ (Term::Record(_) | Term::Element(_) | Term::User(_) | Term::Value(_) | Term::Size(_)) => {
            Expr::Not(Box::new(Expr::IsNull(term)))
        }
    })
}

fn part_of(text: &Node, part: &Node, scope: Scope<'_>) -> Result<(Term, Term), Problems> {
    if is_literal(text) && is_literal(part) {
        Err(refused::two_constants(text))?;
    }
    let term = |node: &Node| {
        match is_literal(node) {
        true => types::literal(node, Type::Text).map(Term::Value),
        false => match value(node, scope)? {
            (term, Type::Text | Type::Claim) => Ok(term),
            (_, kind) => Err(refused::misfit(node, format!("{} has no beginning and no parts", kind.noun()))
                .help("only texts can be asked with `startsWith` and `contains`; of a json list write `x in list`")),
        },
    }
    };
    both(term(text), term(part))
}

/// What is wrong with `NULL` or `True`.
fn foreign(node: &Node, scope: Scope<'_>) -> Option<Problem> {
    let Data::Name(name) = &node.data else { return None };
    refused::constant(name).and_then(|_| value(node, scope).err())
}

/// Both, or everything that is wrong with either.
fn both<A, B>(one: Result<A, Problem>, other: Result<B, Problem>) -> Result<(A, B), Problems> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => Err(one.err().into_iter().chain(other.err()).collect()),
    }
}

/// All, or everything that is wrong with any.
fn all<T>(each: impl Iterator<Item = Result<T, Problem>>) -> Result<Vec<T>, Problems> {
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
fn with_faults_of(item: &Node, problem: Problem, scope: Scope<'_>) -> Problems {
    let of_item = if is_literal(item) { None } else { value(item, scope).err() };
    of_item.into_iter().chain([problem]).collect()
}

fn exists(of: &Node, word: &Word, arguments: &[Node], scope: Scope<'_>, problems: &mut Vec<Problem>) -> Expr {
    match element(of, word, arguments, scope) {
        Ok((name, entity, inner)) => {
            let scope = Scope { element: Some((name, entity)), ..scope };
            Expr::Exists(entity.name.clone(), Box::new(condition(inner, scope, problems)))
        }
        Err(problem) => {
            if !scope.is_in_doubt(of) {
                problems.push(problem);
            }
            Expr::Constant(false)
        }
    }
}

type Element<'n, 'a> = (&'n str, &'a Entity, &'n Node);

fn element<'n, 'a>(
    of: &Node,
    word: &Word,
    arguments: &'n [Node],
    scope: Scope<'a>,
) -> Result<Element<'n, 'a>, Problem> {
    if scope.element.is_some() {
        return Err(refused::unsupported(
            word.span.clone(),
            "`exists` cannot stand in another `exists`",
            "nested",
        )
        .help("join the two with `&&` side by side, or use a lookup field"));
    }
    if !matches!(of.data, Data::Name(_) | Data::Select(..)) {
        return Err(refused::exists_of(of));
    }
    let entity = match scope.meaning(of)? {
        Meaning::Records(entity) => entity,
        Meaning::Value(..) | Meaning::Person | Meaning::Set(..) => return Err(refused::exists_of(of)),
    };
    let wrong = || refused::arguments(word, "user.memberships.exists(m, m.project == project)");
    let [Node { data: Data::Name(name), span }, inner] = arguments else { return Err(wrong()) };
    if WORDS.contains(&name.as_str()) || column_of(scope.own, name).is_some() {
        let problem =
            Problem::new(Code::RuleName, span.clone(), format!("{} has a meaning already", quoted(name)));
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
