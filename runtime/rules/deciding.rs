//! Which parts of an explained rule decided it: what an administrator reads first, and all that is kept of a refusal.
//!
//! Decides nothing: every truth is the evaluator's.

use super::condition::Condition;
use super::explain::Explanation;
use super::predicate::{Predicate, value_text};
use super::truth::Truth;
use crate::schema::{Entity, Expr, Record};

/// Parts that are kept of one rule.
const MOST_CLAUSES: usize = 16;
/// Records that are kept of an `exists`, and values of a part.
const MOST_OF_A_CLAUSE: usize = 10;
/// Characters of a text, and of a value.
const MOST_TEXT: usize = 400;
const MOST_VALUE: usize = 120;

/// A part of a rule that has no smaller parts, on one record and for one person.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// CEL.
    pub text: String,
    pub truth: Truth,
    /// The names in it and their values, as JSON.
    pub values: Vec<(String, String)>,
    /// Of an `exists`: the records that it looked at.
    pub records: Vec<Clause>,
}

/// The parts that decided `rule`, which was explained as `part`. Of `a && b` that fails it is the first that fails, of `a || b` that
/// fails all of them; of what holds the other way round.
pub fn deciding(rule: &Expr, part: &Explanation) -> Vec<Clause> {
    let mut clauses = Vec::new();
    decide(rule, part, &mut clauses);
    clauses
}

/// The conditions of a filter that a record does not meet.
pub fn unmet(filter: &[Condition], entity: &Entity, record: &Record) -> Vec<Clause> {
    let judged = filter.iter().map(|condition| (condition, condition.truth(record)));
    let unmet = judged.filter(|(_, truth)| *truth != Truth::True).take(MOST_CLAUSES);
    let clause = |(condition, truth): (&Condition, Truth)| {
        let value = cut(&value_text(&record.value(condition.column)), MOST_VALUE);
        let text = cut(&Predicate::Test(condition.clone()).text(entity), MOST_TEXT);
        let values = vec![(entity.name_of(condition.column).to_owned(), value)];
        Clause { text, truth, values, records: Vec::new() }
    };
    unmet.map(clause).collect()
}

fn decide(rule: &Expr, part: &Explanation, clauses: &mut Vec<Clause>) {
    if clauses.len() >= MOST_CLAUSES {
        return;
    }
    let one_decides = match rule {
        Expr::All(_) => part.truth != Truth::True,
        Expr::Any(_) => part.truth == Truth::True,
        Expr::Not(inner) if part.parts.len() == 1 => return decide(inner, &part.parts[0], clauses),
        Expr::Not(_)
        | Expr::Constant(_)
        | Expr::Holds(_)
        | Expr::IsNull(_)
        | Expr::Compare(..)
        | Expr::Member(..)
        | Expr::Starts(..)
        | Expr::Ends(..)
        | Expr::Contains(..)
        | Expr::OneOf(..)
        | Expr::Related(..)
        | Expr::Exists(..)
        | Expr::Named(_)
        | Expr::Search(_) => return clauses.push(clause(part)),
    };
    let (Expr::All(terms) | Expr::Any(terms)) = rule else { return };
    let mut parts = terms.iter().zip(&part.parts);
    if one_decides {
        if let Some((term, part)) = parts.find(|(_, of_term)| of_term.truth == part.truth) {
            decide(term, part, clauses);
        }
    } else {
        parts.for_each(|(term, part)| decide(term, part, clauses));
    }
}

fn clause(part: &Explanation) -> Clause {
    let mut values = Vec::new();
    own_values(part, &mut values);
    let records = part.parts.iter().take(MOST_OF_A_CLAUSE).map(record).collect();
    Clause { text: cut(&part.text, MOST_TEXT), truth: part.truth, values, records }
}

/// A record of an `exists`, with the values of all parts of its condition.
fn record(part: &Explanation) -> Clause {
    let mut values = Vec::new();
    all_values(part, &mut values);
    Clause { text: cut(&part.text, MOST_TEXT), truth: part.truth, values, records: Vec::new() }
}

fn own_values(part: &Explanation, values: &mut Vec<(String, String)>) {
    for (name, value) in &part.values {
        let value = (name.clone(), cut(value, MOST_VALUE));
        if values.len() < MOST_OF_A_CLAUSE && !values.contains(&value) {
            values.push(value);
        }
    }
}

fn all_values(part: &Explanation, values: &mut Vec<(String, String)>) {
    own_values(part, values);
    part.parts.iter().for_each(|part| all_values(part, values));
}

/// A long value is no reason to keep much.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(text: &str, truth: Truth) -> Explanation {
        Explanation {
            text: text.to_owned(),
            truth,
            values: vec![(text.to_owned(), "1".to_owned())],
            parts: Vec::new(),
        }
    }

    fn whole(truth: Truth, parts: Vec<Explanation>) -> Explanation {
        Explanation { text: String::new(), truth, values: Vec::new(), parts }
    }

    fn texts(rule: &Expr, part: &Explanation) -> Vec<String> {
        deciding(rule, part).into_iter().map(|clause| clause.text).collect()
    }

    /// What the expressions say does not matter here: the truths are given.
    fn terms(count: usize) -> Vec<Expr> {
        vec![Expr::Constant(true); count]
    }

    #[test]
    fn the_first_part_that_fails_decides_a_conjunction() {
        let (a, b) = (leaf("a", Truth::True), leaf("b", Truth::False));
        let part = whole(Truth::False, vec![a.clone(), b.clone(), leaf("c", Truth::False)]);
        assert_eq!(texts(&Expr::All(terms(3)), &part), ["b"]);
        let unknown = whole(Truth::Unknown, vec![a.clone(), leaf("u", Truth::Unknown)]);
        assert_eq!(texts(&Expr::All(terms(2)), &unknown), ["u"]);
        let behind = whole(Truth::False, vec![leaf("u", Truth::Unknown), b]);
        assert_eq!(texts(&Expr::All(terms(2)), &behind), ["b"], "what is false decides, not what is unknown");
        assert_eq!(texts(&Expr::All(terms(1)), &whole(Truth::True, vec![a])), ["a"]);
    }

    #[test]
    fn all_parts_of_a_disjunction_that_fails_decide_it_and_one_that_holds() {
        let parts = vec![leaf("a", Truth::False), leaf("b", Truth::Unknown)];
        assert_eq!(texts(&Expr::Any(terms(2)), &whole(Truth::Unknown, parts)), ["a", "b"]);
        let parts = vec![leaf("a", Truth::False), leaf("b", Truth::True), leaf("c", Truth::True)];
        assert_eq!(texts(&Expr::Any(terms(3)), &whole(Truth::True, parts)), ["b"]);
    }

    #[test]
    fn a_negation_is_looked_into_and_long_values_are_cut() {
        let inner = whole(Truth::True, vec![leaf("a", Truth::True), leaf("b", Truth::True)]);
        let negated = whole(Truth::False, vec![inner]);
        assert_eq!(texts(&Expr::Not(Box::new(Expr::All(terms(2)))), &negated), ["a", "b"]);
        let long = Explanation {
            values: vec![("x".to_owned(), "é".repeat(500))],
            ..leaf(&"ü".repeat(500), Truth::False)
        };
        let clauses = deciding(&Expr::Constant(false), &long);
        assert_eq!(clauses[0].values[0].1.chars().count(), MOST_VALUE + 1);
        assert_eq!(clauses[0].text.chars().count(), MOST_TEXT + 1);
    }
}
