//! What has a value in a rule, and whether it may stand where it stands.
//!
//! Knows no condition but that a condition is no value.

use super::names::{Meaning, Scope};
use super::refused;
use super::types::{self, Type, is_literal};
use crate::schema::cel::{Data, Node};
use crate::schema::diagnostics::Problem;
use crate::schema::rule::{Comparison, Term, UserTerm};

/// What can be asked whether it is there.
pub(super) fn there(node: &Node, scope: Scope<'_>) -> Result<Term, Problem> {
    if !matches!(node.data, Data::Name(_) | Data::Select(..)) {
        let (term, kind) = value(node, scope)?;
        return match term {
            Term::Size(_) => Err(refused::misfit(node, format!("{} is never null", kind.noun()))
                .help("ask whether the field itself is: `field == null`")),
            term
            @ (Term::Record(_) | Term::Change(_) | Term::Element(_) | Term::User(_) | Term::Value(_)) => {
                Ok(term)
            }
        };
    }
    match scope.meaning(node)? {
        Meaning::Person => Ok(Term::User(UserTerm::Itself)),
        Meaning::Value(term, _) => Ok(term),
        Meaning::Records(_) | Meaning::Set(..) => Err(refused::set(node)),
    }
}

/// What has a value, and what values it has.
pub(super) fn value<'a>(node: &Node, scope: Scope<'a>) -> Result<(Term, Type<'a>), Problem> {
    match &node.data {
        Data::Name(_) | Data::Select(..) => {
            match scope.meaning(node).map_err(|problem| unquoted(node, problem))? {
                Meaning::Value(term, kind) => Ok((term, kind)),
                Meaning::Person => Err(refused::misfit(node, "a person is no value".to_owned())
                    .help("compare `user.id`, or write `user != null`")),
                Meaning::Records(_) | Meaning::Set(..) => Err(refused::set(node)),
            }
        }
        Data::Call(of, word, arguments) if word.text == "size" => {
            let inner = match (of.as_deref(), arguments.as_slice()) {
                (Some(inner), []) | (None, [inner]) => inner,
                _ => return Err(refused::arguments(word, "size(x)")),
            };
            size(inner, scope)
        }
        Data::Call(of, word, _) => Err(match refused::known_function(&word.text) {
            true => refused::condition_as_value(node),
            false => refused::function(of.is_some(), word),
        }),
        Data::Other(other) => Err(refused::other(node, *other)),
        Data::List(_) => Err(refused::misfit(node, "a list stands only after `in`".to_owned())
            .help("write `status in ['open', 'done']`")),
        Data::Null => Err(refused::null(node)),
        Data::Not(_) | Data::All(_) | Data::Any(_) | Data::Binary(..) => {
            Err(refused::condition_as_value(node))
        }
        Data::Bool(_) | Data::Int(_) | Data::Float(_) | Data::Text(_) => Err(refused::two_constants(node)),
    }
}

/// A word that is no field was perhaps meant as a text.
fn unquoted(node: &Node, problem: Problem) -> Problem {
    let Data::Name(name) = &node.data else { return problem };
    // A slip of a name that there is has its own help, and so has a constant of another language.
    if problem.help.ends_with('?') || refused::constant(name).is_some() {
        return problem;
    }
    let help = format!("if it is a text, write it in quotes: '{name}'; {}", problem.help);
    problem.help(help)
}

fn size<'a>(inner: &Node, scope: Scope<'a>) -> Result<(Term, Type<'a>), Problem> {
    if is_literal(inner) || matches!(inner.data, Data::List(_)) {
        return Err(refused::two_constants(inner));
    }
    match value(inner, scope)? {
        (term, Type::Text | Type::Json | Type::Claim) => Ok((Term::Size(Box::new(term)), Type::Number)),
        (_, kind) => Err(refused::misfit(inner, format!("{} has no size", kind.noun()))
            .help("`size` counts the characters of a text and the elements of a json list")),
    }
}

/// A term, or a constant in the stored form, that may be equal to values of the type.
pub(super) fn fitting(node: &Node, kind: Type<'_>, scope: Scope<'_>) -> Result<Term, Problem> {
    if is_literal(node) {
        return types::literal(node, kind).map(Term::Value);
    }
    let (term, own) = value(node, scope)?;
    fit(own, kind, node)?;
    Ok(term)
}

pub(super) fn fit(one: Type<'_>, other: Type<'_>, node: &Node) -> Result<(), Problem> {
    if one.fits(other) {
        return Ok(());
    }
    let message = match (one, other) {
        (Type::Json, _) | (_, Type::Json) => "a json value is equal to nothing".to_owned(),
        _ => format!("{} is never equal to {}", one.noun(), other.noun()),
    };
    let help = match (one, other) {
        (Type::Json, _) | (_, Type::Json) => {
            "of a json field only `x in field`, `size(field)` and `field == null` can be asked"
        }
        _ => "both sides must be of one type",
    };
    Err(refused::misfit(node, message).help(help))
}

pub(super) fn ordered(comparison: Comparison, kind: Type<'_>, node: &Node) -> Result<(), Problem> {
    match comparison {
        Comparison::Eq | Comparison::Ne => Ok(()),
        Comparison::Lt | Comparison::Lte | Comparison::Gt | Comparison::Gte if kind.has_order() => Ok(()),
        Comparison::Lt | Comparison::Lte | Comparison::Gt | Comparison::Gte => {
            Err(refused::misfit(node, format!("{} has no order", kind.noun()))
                .help("ask with `==`, `!=` or `in`; texts, numbers, dates and times have an order"))
        }
    }
}
