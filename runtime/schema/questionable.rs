//! Rules that can be judged and are probably not meant: those that let values be guessed, and those that can only hold for the
//! caller.
//!
//! Knows no file: `mod.rs` says where a rule stands.

use std::ops::Range;

use super::column::Column;
use super::diagnostics::{Diagnostic, DiagnosticCode};
use super::message::quoted;
use super::model::{Entity, Operation, Schema};
use super::rule::{Expr, RelatedSet, Term};

/// What is questionable in one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Questionable {
    /// A value that the client chooses is compared with a field that not everybody sees.
    Guess { entity: String, field: String },
    /// `change.holder in user.collaborators.person`: all of these are the caller.
    OnlyOwn { item: String, entity: String, field: String },
}

/// In the order of the rule.
pub(super) fn questionable(schema: &Schema, entity: &Entity, operation: Operation) -> Vec<Questionable> {
    let mut found = Vec::new();
    RuleReader { schema, entity, operation, element: None }.look(entity.access.rule(operation), &mut found);
    found
}

#[derive(Clone, Copy)]
struct RuleReader<'a> {
    schema: &'a Schema,
    entity: &'a Entity,
    operation: Operation,
    /// That of the records which an `exists` of a whole entity looks at.
    element: Option<&'a Entity>,
}

impl Questionable {
    pub(super) fn told(self, span: Range<usize>) -> Diagnostic {
        match self {
            Questionable::Guess { entity, field } => {
                let message = format!(
                    "values of {} can be guessed: not everybody sees it",
                    quoted(&format!("{entity}.{field}"))
                );
                Diagnostic::new(DiagnosticCode::Guessable, span, message)
                    .label("whether the write succeeds tells the value")
                    .help("compare it with something that the client does not choose, or make the value long and random")
            }
            Questionable::OnlyOwn { item, entity, field } => {
                let message = format!(
                    "the caller's own records of {} all name the caller as {}, so {} can only be the caller",
                    quoted(&entity),
                    quoted(&field),
                    quoted(&item)
                );
                Diagnostic::new(DiagnosticCode::OnlyOwn, span, message)
                    .label("never holds for another person")
                    .help(format!(
                        "in a write rule ask all records: `exists({entity}, m, m.{field} == {item} && …)`; for the caller write `{item} == user.id`"
                    ))
            }
        }
    }
}

impl RuleReader<'_> {
    fn look(self, rule: &Expr, found: &mut Vec<Questionable>) {
        match rule {
            Expr::Not(inner) | Expr::Exists(_, _, inner) => self.look(inner, found),
            Expr::All(terms) | Expr::Any(terms) => terms.iter().for_each(|term| self.look(term, found)),
            Expr::Related(item, set) => found.extend(self.only_own(item, set)),
            Expr::Search(search) => {
                let element = self.schema.entity(&search.entity).map(|entity| &**entity);
                RuleReader { element, ..self }.look(&search.condition, found);
            }
            Expr::Compare(left, _, right)
            | Expr::Member(left, right)
            | Expr::Starts(left, right)
            | Expr::Ends(left, right)
            | Expr::Contains(left, right) => {
                found.extend(self.guess(left, right).or_else(|| self.guess(right, left)));
            }
            Expr::OneOf(item, list) => {
                let guess = |other| self.guess(item, other).or_else(|| self.guess(other, item));
                found.extend(list.iter().find_map(guess));
            }
            Expr::Constant(_) | Expr::Holds(_) | Expr::IsNull(_) | Expr::Named(_) => {}
        }
    }

    fn only_own(self, item: &Term, set: &RelatedSet) -> Option<Questionable> {
        let of = self.schema.entity(&set.entity)?;
        let Column::Field(field) = set.column else { return None };
        if of.identity != Some(field) {
            return None;
        }
        let item = match item {
            Term::Change(field) => format!("change.{}", self.entity.at(*field).name),
            Term::Record(column) => self.entity.name_of(*column).to_owned(),
            Term::Element(_)
            | Term::User(_)
            | Term::Value(_)
            | Term::Size(_)
            | Term::Behind(_)
            | Term::Now(_) => return None,
        };
        Some(Questionable::OnlyOwn {
            item,
            entity: of.name.to_string(),
            field: of.at(field).name.to_string(),
        })
    }

    fn guess(self, stored: &Term, chosen: &Term) -> Option<Questionable> {
        if !self.is_chosen(chosen) {
            return None;
        }
        let (entity, column) = match stored {
            Term::Element(column) => (self.element?, *column),
            Term::Behind(path) if path.via.is_of_element() => {
                (&**self.schema.entity(&path.entity)?, path.column)
            }
            Term::Behind(_)
            | Term::Record(_)
            | Term::Change(_)
            | Term::User(_)
            | Term::Value(_)
            | Term::Size(_)
            | Term::Now(_) => return None,
        };
        let Column::Field(field) = column else { return None };
        let field = entity.at(field);
        field.read.as_ref()?;
        Some(Questionable::Guess { entity: entity.name.to_string(), field: field.name.to_string() })
    }

    /// Whether the client sets the value with the very write that is judged.
    fn is_chosen(self, term: &Term) -> bool {
        match term {
            Term::Change(field) => !self.entity.at(*field).is_kept_by_server(),
            Term::Record(Column::Field(field)) => {
                self.operation == Operation::Create && !self.entity.at(*field).is_kept_by_server()
            }
            Term::Size(inner) => self.is_chosen(inner),
            Term::Record(_)
            | Term::Element(_)
            | Term::User(_)
            | Term::Value(_)
            | Term::Behind(_)
            | Term::Now(_) => false,
        }
    }
}
