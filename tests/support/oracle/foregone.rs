//! The result of a rule before any record is looked at: an entity that no one can ever read is closed, a field that no record
//! shows is as if absent.
//!
//! Knows which values can be compared at all, and no record.

use serde_json::Value as Json;
use tidewire::ids::{RecordId, Timestamp};
use tidewire::schema::{Column, Comparison, Entity, Expr, FieldKind, Record, Term, UserTerm, Value};

use super::{Asker, Oracle, Seen};

/// Whether the records that belong to the person count as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sets {
    Known,
    Open,
}

/// Whether the rule (`wanted`), or its negation, holds for every record or for none; `None` where that depends on the record.
pub(crate) fn foregone(
    rule: &Expr,
    wanted: bool,
    entity: &Entity,
    asker: &Asker,
    sets: Sets,
) -> Option<bool> {
    Question { entity, asker, sets, element: None }.answer(rule, wanted)
}

#[derive(Clone, Copy)]
struct Question<'a> {
    entity: &'a Entity,
    asker: &'a Asker,
    sets: Sets,
    element: Option<&'a Record>,
}

/// What can be compared with each other.
#[derive(PartialEq)]
enum Nature {
    Text,
    Number,
    Bool,
}

impl Question<'_> {
    fn answer(&self, rule: &Expr, wanted: bool) -> Option<bool> {
        let each = |terms: &[Expr]| joined(terms.iter().map(|term| self.answer(term, wanted)), true);
        match (rule, wanted) {
            (Expr::Not(inner), _) => self.answer(inner, !wanted),
            (Expr::All(terms), true) | (Expr::Any(terms), false) => {
                joined(terms.iter().map(|term| self.answer(term, wanted)), false)
            }
            (Expr::Any(terms), true) | (Expr::All(terms), false) => each(terms),
            (Expr::Related(..) | Expr::Exists(..), _) if self.asker.id.is_none() => Some(false),
            (Expr::Related(..) | Expr::Exists(..), _) if self.sets == Sets::Open => None,
            (Expr::Related(item, set), _) => {
                let each = self.asker.belonging(&set.entity).map(|record| {
                    let value = Term::Value(record.value(set.column));
                    self.answer(&Expr::Compare(item.clone(), Comparison::Eq, value), wanted)
                });
                joined(each, wanted)
            }
            (Expr::Exists(entity, _, condition), _) => {
                let each = self
                    .asker
                    .belonging(entity)
                    .map(|record| Question { element: Some(record), ..*self }.answer(condition, wanted));
                joined(each, wanted)
            }
            (Expr::OneOf(item, list), _) => {
                let each = list.iter().map(|other| {
                    self.answer(&Expr::Compare(item.clone(), Comparison::Eq, other.clone()), wanted)
                });
                joined(each, wanted)
            }
            (leaf, _) if asks_record(leaf) => self.leaf(leaf, wanted),
            (leaf, _) => Some(self.oracle(&nothing()).holds(leaf) == Some(wanted)),
        }
    }

    /// A single test of the record: it depends on it unless the two sides can never be compared.
    fn leaf(&self, leaf: &Expr, wanted: bool) -> Option<bool> {
        let depends = match leaf {
            Expr::Holds(term) => self.nature(term) == Some(Nature::Bool),
            Expr::Compare(left, _, right) => {
                let left = self.nature(left);
                left.is_some() && left == self.nature(right)
            }
            Expr::Starts(left, right) | Expr::Ends(left, right) | Expr::Contains(left, right) => {
                [left, right].iter().all(|term| self.nature(term) == Some(Nature::Text))
            }
            // Every record has an id, a version and its times.
            Expr::IsNull(Term::Record(column)) if !matches!(column, Column::Field(_)) => {
                return Some(!wanted);
            }
            Expr::IsNull(Term::Size(_)) => false,
            Expr::IsNull(_) => true,
            Expr::Member(item, list) if asks(list) => self.nature(item).is_some(),
            Expr::Member(item, list) => {
                let record = nothing();
                let (Seen::Plain(list) | Seen::Document(list)) = self.oracle(&record).seen(list);
                let nature = self.nature(item);
                let fits = |element: &Json| nature.is_some() && of_json(element) == nature;
                list.as_array().is_some_and(|list| !wanted || list.iter().any(fits))
            }
            Expr::Constant(_)
            | Expr::Not(_)
            | Expr::All(_)
            | Expr::Any(_)
            | Expr::OneOf(..)
            | Expr::Related(..)
            | Expr::Exists(..)
            | Expr::Search(_)
            | Expr::Named(_) => unreachable!("no single test: {leaf:?}"),
        };
        if depends { None } else { Some(false) }
    }

    fn nature(&self, term: &Term) -> Option<Nature> {
        match term {
            Term::Record(Column::Id) => Some(Nature::Text),
            Term::Record(Column::Version | Column::CreatedAt | Column::UpdatedAt) | Term::Size(_) => {
                Some(Nature::Number)
            }
            Term::Record(Column::Field(field)) => match self.entity.at(*field).kind {
                FieldKind::Int { .. } | FieldKind::Float { .. } => Some(Nature::Number),
                FieldKind::Bool => Some(Nature::Bool),
                FieldKind::Json => None,
                FieldKind::Text { .. }
                | FieldKind::Enum { .. }
                | FieldKind::Date
                | FieldKind::Datetime
                | FieldKind::Uuid
                | FieldKind::Ref { .. } => Some(Nature::Text),
            },
            Term::User(UserTerm::Itself) => None,
            // No rule that decides what is seen has them.
            Term::Behind(_) | Term::Now(_) => None,
            Term::User(_) | Term::Value(_) | Term::Element(_) | Term::Change(_) => {
                self.oracle(&nothing()).plain(term).as_ref().and_then(of_json)
            }
        }
    }

    fn oracle<'r>(&'r self, record: &'r Record) -> Oracle<'r> {
        Oracle { element: self.element, ..Oracle::of(self.asker, record) }
    }
}

/// One of these decides; otherwise all must be known.
fn joined(terms: impl Iterator<Item = Option<bool>>, decides: bool) -> Option<bool> {
    let terms: Vec<Option<bool>> = terms.collect();
    if terms.contains(&Some(decides)) {
        Some(decides)
    } else if terms.contains(&None) {
        None
    } else {
        Some(!decides)
    }
}

fn of_json(json: &Json) -> Option<Nature> {
    match json {
        Json::String(_) => Some(Nature::Text),
        Json::Number(_) => Some(Nature::Number),
        Json::Bool(_) => Some(Nature::Bool),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn asks_record(leaf: &Expr) -> bool {
    match leaf {
        Expr::Holds(term) | Expr::IsNull(term) => asks(term),
        Expr::Compare(left, _, right)
        | Expr::Member(left, right)
        | Expr::Starts(left, right)
        | Expr::Ends(left, right)
        | Expr::Contains(left, right) => asks(left) || asks(right),
        Expr::Constant(_)
        | Expr::Not(_)
        | Expr::All(_)
        | Expr::Any(_)
        | Expr::OneOf(..)
        | Expr::Related(..)
        | Expr::Exists(..)
        | Expr::Search(_)
        | Expr::Named(_) => false,
    }
}

fn asks(term: &Term) -> bool {
    match term {
        Term::Record(_) => true,
        Term::Size(inner) => asks(inner),
        Term::Change(_)
        | Term::Element(_)
        | Term::User(_)
        | Term::Value(_)
        | Term::Behind(_)
        | Term::Now(_) => false,
    }
}

/// Of which nothing is asked.
fn nothing() -> Record {
    Record {
        id: RecordId::stored(""),
        version: 0,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        values: Vec::<Value>::new(),
    }
}
