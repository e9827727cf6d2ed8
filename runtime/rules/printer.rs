//! A checked rule, or a part of one, as CEL text again. The source itself has no places of parts.
//!
//! Knows what rules say and nothing of what they come to.

use super::predicate::{sign, value_text};
use crate::schema::{Comparison, ElementName, Entity, Expr, Schema, Term, UserTerm};

/// Writes rules, by the names that the schema gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct RulePrinter<'a> {
    pub(super) schema: &'a Schema,
    pub(super) entity: &'a Entity,
    /// That of the record which `exists` looks at.
    pub(super) element: Option<&'a Entity>,
    /// What the rule calls this record; empty outside of `exists`.
    pub(super) name: &'a str,
}

impl<'a> RulePrinter<'a> {
    pub(super) fn within<'b>(self, element: &str, name: &'b ElementName) -> RulePrinter<'b>
    where
        'a: 'b,
    {
        RulePrinter { element: self.schema.entity(element).map(|entity| &**entity), name: &name.0, ..self }
    }

    /// `user.memberships`.
    pub(super) fn set(self, entity: &str) -> String {
        let plural = self.schema.entity(entity).map_or(entity, |entity| &*entity.plural);
        format!("user.{plural}")
    }

    pub(super) fn expr(self, expr: &Expr) -> String {
        match expr {
            Expr::Constant(holds) => holds.to_string(),
            Expr::Not(inner) => self.negation(inner),
            Expr::All(terms) => self.joined(terms, " && ", "true"),
            Expr::Any(terms) => self.joined(terms, " || ", "false"),
            Expr::Holds(term) => self.term(term),
            Expr::Compare(left, comparison, right) => {
                format!("{} {} {}", self.term(left), sign(*comparison), self.term(right))
            }
            Expr::IsNull(term) => format!("{} == null", self.term(term)),
            Expr::OneOf(item, list) => {
                let list: Vec<String> = list.iter().map(|term| self.term(term)).collect();
                format!("{} in [{}]", self.term(item), list.join(", "))
            }
            Expr::Member(item, list) => format!("{} in {}", self.term(item), self.term(list)),
            Expr::Related(item, set) => {
                let of = self.schema.entity(&set.entity);
                let column = of.map_or("id", |entity| entity.name_of(set.column));
                format!("{} in {}.{column}", self.term(item), self.set(&set.entity))
            }
            Expr::Exists(entity, name, condition) => {
                let condition = self.within(entity, name).expr(condition);
                format!("{}.exists({}, {condition})", self.set(entity), name.0)
            }
            Expr::Starts(text, prefix) => format!("{}.startsWith({})", self.term(text), self.term(prefix)),
            Expr::Ends(text, suffix) => format!("{}.endsWith({})", self.term(text), self.term(suffix)),
            Expr::Contains(text, part) => format!("{}.contains({})", self.term(text), self.term(part)),
            Expr::Named(field) => format!("has(change.{})", self.entity.at(*field).name),
            Expr::Search(search) => {
                let condition = self.within(&search.entity, &search.name).expr(&search.condition);
                format!("exists({}, {}, {condition})", search.entity, search.name.0)
            }
        }
    }

    pub(super) fn term(self, term: &Term) -> String {
        match term {
            Term::Record(column) => self.entity.name_of(*column).to_owned(),
            Term::Change(field) => format!("change.{}", self.entity.at(*field).name),
            Term::Element(column) => {
                let column = self.element.map_or("id", |entity| entity.name_of(*column));
                format!("{}.{column}", self.name)
            }
            Term::User(UserTerm::Itself) => "user".to_owned(),
            Term::User(UserTerm::Id) => "user.id".to_owned(),
            Term::User(UserTerm::Role) => "user.role".to_owned(),
            Term::User(UserTerm::Field(field)) => {
                let user = self.schema.entity("User");
                format!("user.{}", user.map_or("?", |user| &*user.at(*field).name))
            }
            Term::User(UserTerm::Claim(path)) => format!("user.claims.{}", path.join(".")),
            Term::Value(value) => value_text(value),
            Term::Size(inner) => format!("size({})", self.term(inner)),
            Term::Behind(path) => {
                let column = self.schema.entity(&path.entity).map_or("id", |of| of.name_of(path.column));
                format!("{}.{column}", self.term(&path.via))
            }
            Term::Now(_) => "now".to_owned(),
        }
    }

    /// `a != b` and `a != null` rather than `!(a == b)`.
    fn negation(self, inner: &Expr) -> String {
        match inner {
            Expr::IsNull(term) => format!("{} != null", self.term(term)),
            Expr::Compare(left, Comparison::Eq, right) => {
                format!("{} != {}", self.term(left), self.term(right))
            }
            Expr::Constant(_)
            | Expr::Holds(_)
            | Expr::Named(_)
            | Expr::Starts(..)
            | Expr::Ends(..)
            | Expr::Contains(..)
            | Expr::Exists(..)
            | Expr::Search(_) => format!("!{}", self.expr(inner)),
            Expr::Not(_)
            | Expr::All(_)
            | Expr::Any(_)
            | Expr::Compare(..)
            | Expr::OneOf(..)
            | Expr::Member(..)
            | Expr::Related(..) => format!("!({})", self.expr(inner)),
        }
    }

    fn joined(self, terms: &[Expr], between: &str, none: &str) -> String {
        let each = terms.iter().map(|term| match term {
            Expr::All(inner) | Expr::Any(inner) if inner.len() > 1 => format!("({})", self.expr(term)),
            Expr::Constant(_)
            | Expr::Not(_)
            | Expr::All(_)
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
            | Expr::Search(_)
            | Expr::Named(_) => self.expr(term),
        });
        let each: Vec<String> = each.collect();
        if each.is_empty() { none.to_owned() } else { each.join(between) }
    }
}
