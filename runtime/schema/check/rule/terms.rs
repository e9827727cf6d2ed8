//! What has a value in a rule, and whether it is allowed at its place.
//!
//! Knows no condition but that a condition is no value.

use super::names::{Meaning, RuleScope};
use super::refused;
use super::types::{self, Type, is_literal};
use crate::schema::cel::{SyntaxData, SyntaxNode, Unsupported};
use crate::schema::diagnostics::Diagnostic;
use crate::schema::rule::{Comparison, NowForm, Term, UserTerm};

/// What can be asked whether it is there.
pub(super) fn there(node: &SyntaxNode, scope: RuleScope<'_>) -> Result<Term, Diagnostic> {
    if !matches!(node.data, SyntaxData::Name(_) | SyntaxData::Select(..)) {
        let (term, kind) = value(node, scope)?;
        return match term {
            Term::Size(_) => Err(refused::misfit(node, format!("{} is never null", kind.noun()))
                .help("ask whether the field itself is: `field == null`")),
            term @ (Term::Record(_)
            | Term::Change(_)
            | Term::Element(_)
            | Term::User(_)
            | Term::Value(_)
            | Term::Behind(_)
            | Term::Now(_)) => Ok(term),
        };
    }
    match scope.meaning(node)? {
        Meaning::Person => Ok(Term::User(UserTerm::Itself)),
        Meaning::Value(Term::Now(_), _) => Err(refused::misfit(node, "`now` is never null".to_owned())
            .help("compare it with a time: `until > now`")),
        Meaning::Value(term, _) => Ok(term),
        Meaning::Records(_) | Meaning::Set(..) => Err(refused::set(node)),
    }
}

/// What has a value, and what values it has.
pub(super) fn value<'a>(node: &SyntaxNode, scope: RuleScope<'a>) -> Result<(Term, Type<'a>), Diagnostic> {
    match &node.data {
        SyntaxData::Name(_) | SyntaxData::Select(..) => {
            match scope.meaning(node).map_err(|problem| unquoted(node, problem))? {
                Meaning::Value(term, kind) => Ok((term, kind)),
                Meaning::Person => Err(refused::misfit(node, "a user is not a value".to_owned())
                    .help("compare `user.id`, or write `user != null`")),
                Meaning::Records(_) | Meaning::Set(..) => Err(refused::set(node)),
            }
        }
        SyntaxData::Call(of, word, arguments) if word.text == "size" => {
            let inner = match (of.as_deref(), arguments.as_slice()) {
                (Some(inner), []) | (None, [inner]) => inner,
                _ => return Err(refused::arguments(word, "size(x)")),
            };
            size(inner, scope)
        }
        SyntaxData::Call(of, word, _) => Err(match refused::known_function(&word.text) {
            true => refused::condition_as_value(node),
            false => refused::function(of.is_some(), word),
        }),
        SyntaxData::Unsupported(other) => Err(refused::other(node, *other)),
        SyntaxData::Sum(_) => Err(refused::other(node, Unsupported::Arithmetic)),
        SyntaxData::List(_) => Err(refused::misfit(node, "a list is only possible after `in`".to_owned())
            .help("write `status in ['open', 'done']`")),
        SyntaxData::Null => Err(refused::null(node)),
        SyntaxData::Not(_) | SyntaxData::All(_) | SyntaxData::Any(_) | SyntaxData::Binary(..) => {
            Err(refused::condition_as_value(node))
        }
        SyntaxData::Bool(_) | SyntaxData::Int(_) | SyntaxData::Float(_) | SyntaxData::Text(_) => {
            Err(refused::two_constants(node))
        }
    }
}

/// A word that is no field was perhaps meant as a text.
pub(super) fn unquoted(node: &SyntaxNode, problem: Diagnostic) -> Diagnostic {
    let SyntaxData::Name(name) = &node.data else { return problem };
    // A slip of a name that there is has its own help, and so has a constant of another language.
    if problem.help.ends_with('?') || problem.help.starts_with("write ") || name == "now" {
        return problem;
    }
    let help = format!("if it is a text, write it in quotes: '{name}'; {}", problem.help);
    problem.help(help)
}

fn size<'a>(inner: &SyntaxNode, scope: RuleScope<'a>) -> Result<(Term, Type<'a>), Diagnostic> {
    if is_literal(inner) || matches!(inner.data, SyntaxData::List(_)) {
        return Err(refused::two_constants(inner));
    }
    match value(inner, scope)? {
        (term, Type::Text | Type::Json | Type::Claim) => Ok((Term::Size(Box::new(term)), Type::Number)),
        (_, kind) => Err(refused::misfit(inner, format!("{} has no size", kind.noun()))
            .help("`size` counts the characters of a text and the elements of a json list")),
    }
}

/// A term, or a constant in the stored form, that may be equal to values of the type.
pub(super) fn fitting(node: &SyntaxNode, kind: Type<'_>, scope: RuleScope<'_>) -> Result<Term, Diagnostic> {
    if is_literal(node) {
        return types::literal(node, kind).map(Term::Value);
    }
    let (term, own) = value(node, scope)?;
    fit(own, kind, node)?;
    Ok(timed(term, kind))
}

/// `now` in the form of what it is compared with.
pub(super) fn timed(term: Term, beside: Type<'_>) -> Term {
    match (term, beside) {
        (Term::Now(_), Type::Moment) => Term::Now(NowForm::Millis),
        (Term::Now(_), Type::Date) => Term::Now(NowForm::Date),
        (term, _) => term,
    }
}

pub(super) fn fit(one: Type<'_>, other: Type<'_>, node: &SyntaxNode) -> Result<(), Diagnostic> {
    if one.fits(other) {
        return Ok(());
    }
    let message = match (one, other) {
        (Type::Json, _) | (_, Type::Json) => "a json value cannot be compared".to_owned(),
        _ => format!("{} is never equal to {}", one.noun(), other.noun()),
    };
    let help = match (one, other) {
        (Type::Json, _) | (_, Type::Json) => {
            "for a json field write `x in field`, `size(field)` or `field == null`"
        }
        _ => "both sides must be of one type",
    };
    Err(refused::misfit(node, message).help(help))
}

pub(super) fn ordered(comparison: Comparison, kind: Type<'_>, node: &SyntaxNode) -> Result<(), Diagnostic> {
    match comparison {
        Comparison::Eq | Comparison::Ne => Ok(()),
        Comparison::Lt | Comparison::Lte | Comparison::Gt | Comparison::Gte if kind.has_order() => Ok(()),
        Comparison::Lt | Comparison::Lte | Comparison::Gt | Comparison::Gte => {
            Err(refused::misfit(node, format!("{} has no order", kind.noun()))
                .help("ask with `==`, `!=` or `in`; texts, numbers, dates and times have an order"))
        }
    }
}
