//! A rule that looks further than the record and the person, judged with the facts that are known.
//!
//! Asks no database: it says what is missing. What is not known counts as unknown, so a rule that comes to true or false needs
//! nothing more, and no fact is asked for that decides nothing.

use super::evaluate::{Evaluator, Subject};
use super::further::{Further, KnownFacts, Lacks, MissingFact};
use super::truth::Truth;
use crate::schema::Expr;

/// What a rule or a term comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<T> {
    Known(T),
    /// Never empty.
    Lacks(Vec<MissingFact>),
    /// It would step over more than `MOST_STEPS` rows.
    TooManyRows,
}

/// With the number of rows that were stepped over.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgedStep<T> {
    pub judged: Found<T>,
    pub steps: usize,
}

/// Whether the rule holds. For a disabled person nothing does.
pub fn judge(rule: &Expr, subject: Subject<'_>, known: &KnownFacts) -> JudgedStep<Truth> {
    if subject.principal.is_disabled() {
        return JudgedStep { judged: Found::Known(Truth::False), steps: 0 };
    }
    find_truth(rule, subject, known)
}

/// The same of a condition that grants nothing: it holds for a disabled person as for any other.
pub fn find_truth(condition: &Expr, subject: Subject<'_>, known: &KnownFacts) -> JudgedStep<Truth> {
    let lacks = Lacks::default();
    let further = Some(Further::new(known, &lacks));
    let truth = Evaluator { subject, element: None, further }.truth(condition);
    let steps = lacks.steps();
    let judged = match truth {
        Truth::True | Truth::False => Found::Known(truth),
        Truth::Unknown => judged(lacks, Truth::Unknown),
    };
    JudgedStep { judged, steps }
}

/// `otherwise` where nothing is missing.
fn judged<T>(lacks: Lacks, otherwise: T) -> Found<T> {
    match lacks.facts() {
        None => Found::TooManyRows,
        Some(facts) if facts.is_empty() => Found::Known(otherwise),
        Some(facts) => Found::Lacks(facts),
    }
}
