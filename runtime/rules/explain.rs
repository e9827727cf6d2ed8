//! Why a rule has its result: each of its parts with its truth and with the values of the names in it.
//!
//! Decides nothing: every truth is the evaluator's.

use super::evaluate::{Evaluator, Subject};
use super::further::{Further, KnownFacts, Lacks};
use super::person::RelatedRecords;
use super::predicate::value_text;
use super::printer::RulePrinter;
use super::truth::Truth;
use crate::schema::{ElementName, Entity, Expr, Record, RecordSearch, Schema, Term, UserTerm};

/// Of a set that a rule asks, so many values and records are shown.
const MOST_SHOWN: usize = 10;

/// In place of a value behind a reference or in another entity that was not read.
const NOT_READ: &str = "not read: other parts of the rule decide";

/// A rule or a part of one, on one record and for one person.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// CEL; or which record of a set is looked at.
    pub text: String,
    pub truth: Truth,
    /// The names in it and their values, as JSON. Of a part without parts of its own.
    pub values: Vec<(String, String)>,
    pub parts: Vec<Explanation>,
}

/// The whole rule of `entity`. Unlike `evaluate`, it does not look at whether the person is disabled.
pub fn explain(
    rule: &Expr,
    schema: &Schema,
    entity: &Entity,
    subject: Subject<'_>,
    known: &KnownFacts,
) -> Explanation {
    let lacks = Lacks::default();
    let further = Some(Further::new(known, &lacks));
    let printer = RulePrinter { schema, entity, element: None, name: "" };
    Explainer { printer, evaluator: Evaluator { subject, element: None, further } }.part(rule)
}

#[derive(Clone, Copy)]
struct Explainer<'a> {
    printer: RulePrinter<'a>,
    evaluator: Evaluator<'a>,
}

impl<'a> Explainer<'a> {
    fn part(self, expr: &Expr) -> Explanation {
        let (values, parts) = match expr {
            Expr::Constant(_) => (Vec::new(), Vec::new()),
            Expr::Not(inner) => self.negated(inner),
            Expr::All(terms) | Expr::Any(terms) => {
                (Vec::new(), terms.iter().map(|term| self.part(term)).collect())
            }
            Expr::Holds(term) | Expr::IsNull(term) => (self.values([term]), Vec::new()),
            Expr::Compare(left, _, right)
            | Expr::Member(left, right)
            | Expr::Starts(left, right)
            | Expr::Ends(left, right)
            | Expr::Contains(left, right) => (self.values([left, right]), Vec::new()),
            Expr::OneOf(item, list) => (self.values([item].into_iter().chain(list)), Vec::new()),
            Expr::Related(item, set) => {
                let mut values = self.values([item]);
                let of = self.printer.schema.entity(&set.entity);
                let column = of.map_or("id", |entity| entity.name_of(set.column));
                let name = format!("{}.{column}", self.printer.set(&set.entity));
                let shown = self.set(&set.entity, |record| value_text(&record.value(set.column)));
                values.push((name, shown));
                (values, Vec::new())
            }
            Expr::Exists(entity, name, condition) => self.exists(entity, name, condition),
            Expr::Named(_) => (Vec::new(), Vec::new()),
            Expr::Search(search) => self.search(search),
        };
        Explanation { text: self.printer.expr(expr), truth: self.evaluator.truth(expr), values, parts }
    }

    /// A negated test is one line, anything larger has a part of its own.
    fn negated(self, inner: &Expr) -> (Vec<(String, String)>, Vec<Explanation>) {
        let part = self.part(inner);
        if part.parts.is_empty() { (part.values, Vec::new()) } else { (Vec::new(), vec![part]) }
    }

    fn exists(
        self,
        entity: &str,
        name: &ElementName,
        condition: &Expr,
    ) -> (Vec<(String, String)>, Vec<Explanation>) {
        let printer = self.printer.within(entity, name);
        let records = match self.evaluator.subject.principal.related(entity) {
            RelatedRecords::Records(records) if !records.is_empty() => records,
            RelatedRecords::Records(_) | RelatedRecords::TooMany => {
                let shown = self.set(entity, |record| value_text(&record.value(crate::schema::Column::Id)));
                return (vec![(self.printer.set(entity), shown)], Vec::new());
            }
        };
        let each = records.iter().take(MOST_SHOWN).map(|record| {
            let evaluator = Evaluator { element: Some(record), ..self.evaluator };
            let part = Explainer { printer, evaluator }.part(condition);
            Explanation { text: format!("{} = {entity} {}: {}", name.0, record.id, part.text), ..part }
        });
        (Vec::new(), each.collect())
    }

    /// The records that meet the keys, and each of them with the condition.
    fn search(self, search: &RecordSearch) -> (Vec<(String, String)>, Vec<Explanation>) {
        let printer = self.printer.within(&search.entity, &search.name);
        let keys = self.values(search.keys.iter().map(|key| &key.value));
        let Some(records) = self.evaluator.searched(search) else {
            let unread = (search.entity.to_string(), NOT_READ.to_owned());
            return (keys.into_iter().chain([unread]).collect(), Vec::new());
        };
        let each = records.into_iter().take(MOST_SHOWN).map(|record| {
            let evaluator = Evaluator { element: Some(record), ..self.evaluator };
            let part = Explainer { printer, evaluator }.part(&search.condition);
            Explanation {
                text: format!("{} = {} {}: {}", search.name.0, search.entity, record.id, part.text),
                ..part
            }
        });
        (keys, each.collect())
    }

    fn values<'t>(self, terms: impl IntoIterator<Item = &'t Term>) -> Vec<(String, String)> {
        let mut values: Vec<(String, String)> = Vec::new();
        for term in terms {
            let value = match term {
                Term::Value(_) => continue,
                Term::User(UserTerm::Itself) => match self.evaluator.subject.principal.is_nobody() {
                    true => "null".to_owned(),
                    false => value_text(self.evaluator.subject.principal.id()),
                },
                Term::Record(_)
                | Term::Change(_)
                | Term::Element(_)
                | Term::User(_)
                | Term::Size(_)
                | Term::Behind(_)
                | Term::Now(_) => self.value(term),
            };
            let named = (self.printer.term(term), value);
            if !values.contains(&named) {
                values.push(named);
            }
        }
        values
    }

    fn value(self, term: &Term) -> String {
        let lacks = Lacks::default();
        let further = self.evaluator.further.map(|further| further.noting(&lacks));
        let value = value_text(&Evaluator { further, ..self.evaluator }.value(term));
        if lacks.is_empty() { value } else { NOT_READ.to_owned() }
    }

    /// The values of one set in brackets, or why there are none.
    fn set(self, entity: &str, shown: impl Fn(&Record) -> String) -> String {
        let principal = self.evaluator.subject.principal;
        match principal.related(entity) {
            _ if principal.is_nobody() => "unknown: the caller is anonymous".to_owned(),
            RelatedRecords::TooMany => "unknown: too many records".to_owned(),
            RelatedRecords::Records(records) => {
                let mut values: Vec<String> = records.iter().take(MOST_SHOWN).map(shown).collect();
                if records.len() > MOST_SHOWN {
                    values.push(format!("... {} in all", records.len()));
                }
                format!("[{}]", values.join(", "))
            }
        }
    }
}
