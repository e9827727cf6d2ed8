//! Binding: a rule and one person to a `Predicate` on the record alone (partial evaluation).
//!
//! What is unknown for every record grants nothing, under a negation as little as without, so it becomes `false` there.

use super::compare::{compare, contains, ends, member, plain, size, starts, value_of_json};
use super::condition::{Condition, Test};
use super::evaluate::user_value;
use super::further::MOST_STEPS;
use super::person::{MOST_RELATED, Principal, RelatedRecords};
use super::predicate::{Operand, Predicate};
use super::truth::Truth;
use super::value_class::ValueClass;
use crate::schema::{Column, Comparison, Entity, EntityName, Expr, FieldKind, Record, Term, UserTerm, Value};

/// Tests of one predicate. SQLite binds at most 32,766 values in a statement.
pub const MOST_TESTS: usize = 5_000;

/// Rows that the judgements of one unit step over at most.
pub const MOST_STEPS_OF_UNIT: usize = 100_000;

/// Why a rule cannot be used for a person. The text is for that person, who may not know of the entity that the rule asks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    #[error("a rule would look at more than {MOST_STEPS} records")]
    TooManyRows,
    #[error(
        "the rules would look at more than {MOST_STEPS_OF_UNIT} records for one request: send fewer changes at once"
    )]
    UnitTooBroad,
    #[error(
        "a rule uses the records that belong to you, and you have more than {MOST_RELATED} of one entity"
    )]
    SetTooLarge { entity: EntityName },
    #[error("for you a rule has more than {MOST_TESTS} conditions")]
    TooManyTests,
}

impl BindError {
    /// The same, for the author of the schema files.
    pub fn cause(&self) -> String {
        match self {
            BindError::SetTooLarge { entity } => {
                format!("a rule uses the user's records of {entity}, and there are more than {MOST_RELATED}")
            }
            BindError::TooManyRows | BindError::UnitTooBroad => self.to_string(),
            BindError::TooManyTests => {
                format!("for this user the rule has more than {MOST_TESTS} conditions")
            }
        }
    }
}

/// The condition on a record of `entity` under which the rule grants. There is no proposal here: a read rule knows none.
pub fn bind(rule: &Expr, entity: &Entity, principal: &Principal) -> Result<Predicate, BindError> {
    if principal.is_disabled() {
        return Ok(Predicate::Constant(false));
    }
    let predicate = Binder { entity, principal, element: None }.bind(rule, Sense::Plain)?;
    if predicate.tests() > MOST_TESTS { Err(BindError::TooManyTests) } else { Ok(predicate) }
}

/// Whether a condition is asked for or its negation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sense {
    Plain,
    Negated,
}

#[derive(Clone, Copy)]
struct Binder<'a> {
    entity: &'a Entity,
    principal: &'a Principal,
    element: Option<&'a Record>,
}

impl Binder<'_> {
    fn bind(self, expr: &Expr, sense: Sense) -> Result<Predicate, BindError> {
        Ok(match expr {
            Expr::Constant(holds) => known(Truth::from(*holds), sense),
            Expr::Not(inner) => self.bind(inner, sense.turned())?,
            Expr::All(terms) => self.many(terms, sense, sense)?,
            Expr::Any(terms) => self.many(terms, sense.turned(), sense)?,
            Expr::Holds(term) => {
                self.compare(self.operand(term), Comparison::Eq, Operand::Value(Value::Bool(true)), sense)
            }
            Expr::Compare(left, comparison, right) => {
                self.compare(self.operand(left), *comparison, self.operand(right), sense)
            }
            Expr::IsNull(term) => self.is_null(term, sense),
            Expr::OneOf(item, list) => {
                let item = self.operand(item);
                let equal =
                    |other: &Term| Ok(self.compare(item.clone(), Comparison::Eq, self.operand(other), sense));
                self.some(list.iter().map(equal), sense)?
            }
            Expr::Member(item, list) => self.member(self.operand(item), self.operand(list), sense),
            Expr::Related(item, set) => {
                let item = self.operand(item);
                self.over(&set.entity, sense, |record| {
                    let value = Operand::Value(record.value(set.column));
                    Ok(self.compare(item.clone(), Comparison::Eq, value, sense))
                })?
            }
            Expr::Exists(entity, _, condition) => self.over(entity, sense, |record| {
                Binder { element: Some(record), ..self }.bind(condition, sense)
            })?,
            Expr::Starts(text, prefix) => self.part(TextTest::Starts, text, prefix, sense),
            Expr::Ends(text, suffix) => self.part(TextTest::Ends, text, suffix, sense),
            Expr::Contains(text, part) => self.part(TextTest::Contains, text, part, sense),
            Expr::Named(_) => known(Truth::False, sense),
            // Only a write rule looks further, and a write rule is judged, not bound.
            Expr::Search(_) => known(Truth::Unknown, sense),
        })
    }

    /// `joined`: how the terms are joined once the negation has been carried into them.
    fn many(self, terms: &[Expr], joined: Sense, sense: Sense) -> Result<Predicate, BindError> {
        let terms: Result<Vec<_>, _> = terms.iter().map(|term| self.bind(term, sense)).collect();
        Ok(match joined {
            Sense::Plain => Predicate::all(terms?, self.entity),
            Sense::Negated => Predicate::any(terms?, self.entity),
        })
    }

    /// Any of the terms, which carry the negation already.
    fn some(
        self,
        terms: impl Iterator<Item = Result<Predicate, BindError>>,
        sense: Sense,
    ) -> Result<Predicate, BindError> {
        let terms: Vec<Predicate> = terms.collect::<Result<_, _>>()?;
        Ok(match sense {
            Sense::Plain => Predicate::any(terms, self.entity),
            Sense::Negated => Predicate::all(terms, self.entity),
        })
    }

    fn over(
        self,
        entity: &EntityName,
        sense: Sense,
        term: impl FnMut(&Record) -> Result<Predicate, BindError>,
    ) -> Result<Predicate, BindError> {
        match self.principal.related(entity) {
            _ if self.principal.is_nobody() => Ok(known(Truth::Unknown, sense)),
            RelatedRecords::TooMany => Err(BindError::SetTooLarge { entity: entity.clone() }),
            RelatedRecords::Records(records) => self.some(records.iter().map(term), sense),
        }
    }

    fn is_null(self, term: &Term, sense: Sense) -> Predicate {
        if *term == Term::User(UserTerm::Itself) {
            return known(Truth::from(self.principal.is_nobody()), sense);
        }
        let wanted = sense == Sense::Plain;
        match self.operand(term) {
            Operand::Column(Column::Field(field)) => {
                Predicate::Test(Condition::new(Column::Field(field), Test::Null(wanted)))
            }
            // Every record has them.
            Operand::Column(_) => known(Truth::False, sense),
            Operand::Value(value) => known(Truth::from(value.is_null()), sense),
            // The schema's checker refuses to ask whether a number of things is null.
            Operand::Size(_) => Predicate::Constant(false),
        }
    }

    fn compare(self, left: Operand, comparison: Comparison, right: Operand, sense: Sense) -> Predicate {
        let comparison = if sense == Sense::Plain { comparison } else { comparison.negated() };
        match (left, right) {
            (Operand::Value(left), Operand::Value(right)) => {
                Predicate::Constant(compare(&left, comparison, &right).grants())
            }
            (Operand::Value(left), right) => {
                self.compare(right, comparison.turned(), Operand::Value(left), Sense::Plain)
            }
            (left, Operand::Value(value)) => self.test(left, comparison, value),
            (left, right)
                if self.class(&left) != self.class(&right) || self.class(&left) == ValueClass::Json =>
            {
                Predicate::Constant(false)
            }
            (left, right) => Predicate::Compare(left, comparison, right),
        }
    }

    fn test(self, left: Operand, comparison: Comparison, value: Value) -> Predicate {
        if ValueClass::of(&value) != Some(self.class(&left)) {
            return Predicate::Constant(false);
        }
        let value = plain(value);
        let Operand::Column(column) = left else {
            return Predicate::Compare(left, comparison, Operand::Value(value));
        };
        let value = self.as_held(column, value);
        Predicate::Test(Condition::new(
            column,
            match comparison {
                Comparison::Eq => Test::Eq(value),
                Comparison::Ne => Test::Ne(value),
                Comparison::Lt => Test::Lt(value),
                Comparison::Lte => Test::Lte(value),
                Comparison::Gt => Test::Gt(value),
                Comparison::Gte => Test::Gte(value),
            },
        ))
    }

    /// As a record holds it that has the value, so that equal values are found by looking for this one.
    fn as_held(self, column: Column, value: Value) -> Value {
        let Column::Field(field) = column else { return value };
        match (&self.entity.at(field).kind, value) {
            (FieldKind::Float { .. }, Value::Int(number)) => Value::Float(number as f64),
            (_, value) => value,
        }
    }

    fn member(self, item: Operand, list: Operand, sense: Sense) -> Predicate {
        match (item, list) {
            (Operand::Value(item), Operand::Value(list)) => known(member(&item, &list), sense),
            (item, Operand::Value(list)) => self.member_of_known(&item, &list, sense),
            (Operand::Value(item), Operand::Column(_)) if ValueClass::of(&item).is_none() => {
                Predicate::Constant(false)
            }
            (item @ Operand::Column(_), Operand::Column(_)) if self.class(&item) == ValueClass::Json => {
                Predicate::Constant(false)
            }
            (Operand::Value(item), Operand::Column(column)) => {
                turned(Predicate::Member(Operand::Value(plain(item)), column), sense)
            }
            (item, Operand::Column(column)) => turned(Predicate::Member(item, column), sense),
            (_, Operand::Size(_)) => Predicate::Constant(false),
        }
    }

    /// The list is known: its elements one by one. Those of another class are not equal, which is no doubt.
    fn member_of_known(self, item: &Operand, list: &Value, sense: Sense) -> Predicate {
        let Value::Json(json) = list else { return Predicate::Constant(false) };
        let Ok(serde_json::Value::Array(elements)) = serde_json::from_str(json) else {
            return Predicate::Constant(false);
        };
        let class = self.class(item);
        let values = elements.iter().map(value_of_json);
        let values = values.filter(|value| ValueClass::of(value) == Some(class));
        let terms: Vec<Predicate> = values
            .map(|value| self.compare(item.clone(), Comparison::Eq, Operand::Value(value), sense))
            .collect();
        match (sense, item) {
            (Sense::Plain, _) => Predicate::any(terms, self.entity),
            // Without an item there is nothing to be outside of the list.
            (Sense::Negated, Operand::Column(Column::Field(field))) => {
                let there = Predicate::Test(Condition::new(Column::Field(*field), Test::Null(false)));
                Predicate::all(terms.into_iter().chain([there]).collect(), self.entity)
            }
            (Sense::Negated, Operand::Size(column)) => {
                let counted = Predicate::Compare(
                    Operand::Size(*column),
                    Comparison::Gte,
                    Operand::Value(Value::Int(0)),
                );
                Predicate::all(terms.into_iter().chain([counted]).collect(), self.entity)
            }
            (Sense::Negated, Operand::Column(_) | Operand::Value(_)) => Predicate::all(terms, self.entity),
        }
    }

    fn part(self, test: TextTest, text: &Term, other: &Term, sense: Sense) -> Predicate {
        match (self.operand(text), self.operand(other)) {
            (Operand::Value(text), Operand::Value(other)) => known(test.of(&text, &other), sense),
            (Operand::Column(column), Operand::Value(Value::Text(other)))
                if self.class(&Operand::Column(column)) == ValueClass::Text =>
            {
                let test = match test {
                    TextTest::Starts => Test::Starts(other),
                    TextTest::Ends => Test::Ends(other),
                    TextTest::Contains => Test::Contains(other),
                };
                turned(Predicate::Test(Condition::new(column, test)), sense)
            }
            (text, other)
                if self.class(&text) == ValueClass::Text && self.class(&other) == ValueClass::Text =>
            {
                let leaf = match test {
                    TextTest::Starts => Predicate::Starts(text, other),
                    TextTest::Ends => Predicate::Ends(text, other),
                    TextTest::Contains => Predicate::Contains(text, other),
                };
                turned(leaf, sense)
            }
            _ => Predicate::Constant(false),
        }
    }

    fn operand(self, term: &Term) -> Operand {
        match term {
            Term::Record(column) => Operand::Column(*column),
            Term::Value(value) => Operand::Value(value.clone()),
            Term::User(user) => Operand::Value(user_value(self.principal, user).into_owned()),
            Term::Element(column) => {
                Operand::Value(self.element.map_or(Value::Null, |record| record.value(*column)))
            }
            // Only an update has one, and an update is evaluated, not bound.
            Term::Change(_) | Term::Behind(_) | Term::Now(_) => Operand::Value(Value::Null),
            Term::Size(inner) => match self.operand(inner) {
                Operand::Column(column) => Operand::Size(column),
                Operand::Value(value) => Operand::Value(size(&value)),
                Operand::Size(_) => Operand::Value(Value::Null),
            },
        }
    }

    fn class(self, operand: &Operand) -> ValueClass {
        match operand {
            Operand::Value(value) => ValueClass::of(value).unwrap_or(ValueClass::Json),
            Operand::Size(_) => ValueClass::Number,
            Operand::Column(column) => ValueClass::of_column(*column, self.entity),
        }
    }
}

impl Sense {
    fn turned(self) -> Sense {
        match self {
            Sense::Plain => Sense::Negated,
            Sense::Negated => Sense::Plain,
        }
    }
}

/// What is asked of two texts.
#[derive(Clone, Copy)]
enum TextTest {
    Starts,
    Ends,
    Contains,
}

impl TextTest {
    fn of(self, text: &Value, other: &Value) -> Truth {
        match self {
            TextTest::Starts => starts(text, other),
            TextTest::Ends => ends(text, other),
            TextTest::Contains => contains(text, other),
        }
    }
}

fn known(truth: Truth, sense: Sense) -> Predicate {
    let truth = if sense == Sense::Plain { truth } else { !truth };
    Predicate::Constant(truth.grants())
}

fn turned(leaf: Predicate, sense: Sense) -> Predicate {
    if sense == Sense::Plain { leaf } else { Predicate::Not(Box::new(leaf)) }
}
