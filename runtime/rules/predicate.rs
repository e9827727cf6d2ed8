//! `Predicate`: a condition on one record and nothing else. What is left of a rule when it is bound to a person, and of a filter.
//!
//! Negation occurs only in front of single tests and nothing in it is unknown by itself, so "known to hold" is all that has to
//! be computed. `store/sqlite` writes the same tree as SQL.

use std::borrow::Cow;

use super::compare::{compare, contains, ends, member, size, starts};
use super::condition::{Condition, Test};
use super::truth::Truth;
use crate::schema::{Column, Comparison, Entity, Record, Value};

/// See the module's text. `bind` and `Predicate::all`, `any` make canonical ones: flat, sorted, without doubles.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    Constant(bool),
    Test(Condition),
    /// Texts with texts, numbers with numbers; otherwise it does not hold.
    Compare(Operand, Comparison, Operand),
    /// The text begins with the other.
    Starts(Operand, Operand),
    /// The text ends with the other.
    Ends(Operand, Operand),
    /// The text holds the other.
    Contains(Operand, Operand),
    /// An element of the json column equals the item. Neither it nor its negation holds where the column is no list.
    Member(Operand, Column),
    /// Of `Test`, `Starts`, `Ends`, `Contains` or `Member`.
    Not(Box<Predicate>),
    /// At least two.
    All(Vec<Predicate>),
    /// At least two.
    Any(Vec<Predicate>),
}

/// What has a value for a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    Column(Column),
    /// Never null.
    Value(Value),
    /// Characters of a text column, elements of a json column that holds a list.
    Size(Column),
}

impl Predicate {
    /// Whether the record is known to meet it.
    pub fn matches(&self, record: &Record) -> bool {
        match self {
            Predicate::Constant(holds) => *holds,
            Predicate::All(all) => all.iter().all(|each| each.matches(record)),
            Predicate::Any(any) => any.iter().any(|each| each.matches(record)),
            Predicate::Not(leaf) => leaf.truth(record) == Truth::False,
            Predicate::Test(_)
            | Predicate::Compare(..)
            | Predicate::Starts(..)
            | Predicate::Ends(..)
            | Predicate::Contains(..)
            | Predicate::Member(..) => self.truth(record).grants(),
        }
    }

    /// The same where only some columns of the record are known: what is asked of another one is unknown and grants nothing,
    /// negated as little as plain.
    pub fn matches_knowing(&self, record: &Record, is_known: &dyn Fn(Column) -> bool) -> bool {
        match self {
            Predicate::All(all) => all.iter().all(|each| each.matches_knowing(record, is_known)),
            Predicate::Any(any) => any.iter().any(|each| each.matches_knowing(record, is_known)),
            Predicate::Constant(_)
            | Predicate::Test(_)
            | Predicate::Compare(..)
            | Predicate::Starts(..)
            | Predicate::Ends(..)
            | Predicate::Contains(..)
            | Predicate::Member(..)
            | Predicate::Not(_) => self.asks_only(is_known) && self.matches(record),
        }
    }

    fn asks_only(&self, is_known: &dyn Fn(Column) -> bool) -> bool {
        let known = |operand: &Operand| operand.column().is_none_or(is_known);
        match self {
            Predicate::Constant(_) => true,
            Predicate::Test(condition) => is_known(condition.column),
            Predicate::Compare(left, _, right)
            | Predicate::Starts(left, right)
            | Predicate::Ends(left, right)
            | Predicate::Contains(left, right) => known(left) && known(right),
            Predicate::Member(item, list) => known(item) && is_known(*list),
            Predicate::Not(leaf) => leaf.asks_only(is_known),
            Predicate::All(terms) | Predicate::Any(terms) => {
                terms.iter().all(|term| term.asks_only(is_known))
            }
        }
    }

    /// Of a single test.
    fn truth(&self, record: &Record) -> Truth {
        match self {
            Predicate::Test(condition) => condition.truth(record),
            Predicate::Compare(left, comparison, right) => {
                compare(&left.of(record), *comparison, &right.of(record))
            }
            Predicate::Starts(text, prefix) => starts(&text.of(record), &prefix.of(record)),
            Predicate::Ends(text, suffix) => ends(&text.of(record), &suffix.of(record)),
            Predicate::Contains(text, part) => contains(&text.of(record), &part.of(record)),
            Predicate::Member(item, list) => member(&item.of(record), &Operand::Column(*list).of(record)),
            Predicate::Constant(_) | Predicate::Not(_) | Predicate::All(_) | Predicate::Any(_) => {
                Truth::from(self.matches(record))
            }
        }
    }

    pub fn is_false(&self) -> bool {
        *self == Predicate::Constant(false)
    }

    pub fn is_true(&self) -> bool {
        *self == Predicate::Constant(true)
    }

    /// All conditions of a filter.
    pub fn of_filter(conditions: Vec<Condition>, entity: &Entity) -> Predicate {
        let canonical = |condition: Condition| {
            let Condition { column, test: Test::In(values) } = condition else {
                return Predicate::Test(condition);
            };
            one_of(column, values)
        };
        Predicate::all(conditions.into_iter().map(canonical).collect(), entity)
    }

    /// The conjunction, canonical if its terms are.
    pub fn all(terms: Vec<Predicate>, entity: &Entity) -> Predicate {
        let mut flat = Vec::with_capacity(terms.len());
        for term in terms {
            match term {
                Predicate::Constant(true) => {}
                Predicate::Constant(false) => return Predicate::Constant(false),
                Predicate::All(inner) => flat.extend(inner),
                other @ (Predicate::Test(_)
                | Predicate::Compare(..)
                | Predicate::Starts(..)
                | Predicate::Ends(..)
                | Predicate::Contains(..)
                | Predicate::Member(..)
                | Predicate::Not(_)
                | Predicate::Any(_)) => flat.push(other),
            }
        }
        sort(&mut flat, entity);
        match flat.len() {
            0 => Predicate::Constant(true),
            1 => flat.remove(0),
            _ => Predicate::All(flat),
        }
    }

    /// The disjunction, canonical if its terms are. Equalities of one column become one `In`.
    pub fn any(terms: Vec<Predicate>, entity: &Entity) -> Predicate {
        let mut flat = Vec::with_capacity(terms.len());
        let mut equal: Vec<(Column, Vec<Value>)> = Vec::new();
        let mut add =
            |column: Column, values: Vec<Value>| match equal.iter_mut().find(|(other, _)| *other == column) {
                Some((_, known)) => known.extend(values),
                None => equal.push((column, values)),
            };
        let mut open = terms;
        while let Some(term) = open.pop() {
            match term {
                Predicate::Constant(false) => {}
                Predicate::Constant(true) => return Predicate::Constant(true),
                Predicate::Any(inner) => open.extend(inner),
                Predicate::Test(Condition { column, test: Test::Eq(value) }) => add(column, vec![value]),
                Predicate::Test(Condition { column, test: Test::In(values) }) => add(column, values),
                other @ (Predicate::Test(_)
                | Predicate::Compare(..)
                | Predicate::Starts(..)
                | Predicate::Ends(..)
                | Predicate::Contains(..)
                | Predicate::Member(..)
                | Predicate::Not(_)
                | Predicate::All(_)) => flat.push(other),
            }
        }
        flat.extend(equal.into_iter().map(|(column, values)| one_of(column, values)));
        sort(&mut flat, entity);
        match flat.len() {
            0 => Predicate::Constant(false),
            1 => flat.remove(0),
            _ => Predicate::Any(flat),
        }
    }

    /// How many tests it is made of.
    pub fn tests(&self) -> usize {
        match self {
            Predicate::All(terms) | Predicate::Any(terms) => terms.iter().map(Predicate::tests).sum(),
            Predicate::Test(Condition { test: Test::In(values), .. }) => values.len(),
            Predicate::Not(leaf) => leaf.tests(),
            Predicate::Constant(_)
            | Predicate::Test(_)
            | Predicate::Compare(..)
            | Predicate::Starts(..)
            | Predicate::Ends(..)
            | Predicate::Contains(..)
            | Predicate::Member(..) => 1,
        }
    }

    /// For people, and as a name: equal for canonical predicates that mean the same. `owner == "ada"`.
    pub fn text(&self, entity: &Entity) -> String {
        let mut text = String::new();
        write(self, entity, &mut text);
        text
    }
}

impl Operand {
    fn column(&self) -> Option<Column> {
        match self {
            Operand::Column(column) | Operand::Size(column) => Some(*column),
            Operand::Value(_) => None,
        }
    }

    fn of<'a>(&'a self, record: &'a Record) -> Cow<'a, Value> {
        match self {
            Operand::Value(value) => Cow::Borrowed(value),
            Operand::Column(Column::Field(at)) => {
                Cow::Borrowed(record.values.get(at.0).unwrap_or(&Value::Null))
            }
            Operand::Column(column) => Cow::Owned(record.value(*column)),
            Operand::Size(column) => Cow::Owned(size(&record.value(*column))),
        }
    }
}

/// One value is an equality, none is never met.
fn one_of(column: Column, values: Vec<Value>) -> Predicate {
    let mut named: Vec<(String, Value)> =
        values.into_iter().map(|value| (value_text(&value), value)).collect();
    named.sort_by(|(left, _), (right, _)| left.cmp(right));
    named.dedup_by(|(left, _), (right, _)| left == right);
    let mut values: Vec<Value> = named.into_iter().map(|(_, value)| value).collect();
    match values.len() {
        0 => Predicate::Constant(false),
        1 => Predicate::Test(Condition::new(column, Test::Eq(values.remove(0)))),
        _ => Predicate::Test(Condition::new(column, Test::In(values))),
    }
}

fn sort(terms: &mut Vec<Predicate>, entity: &Entity) {
    if terms.len() > 1 {
        terms.sort_by_cached_key(|term| term.text(entity));
        terms.dedup();
    }
}

fn write(predicate: &Predicate, entity: &Entity, out: &mut String) {
    match predicate {
        Predicate::Constant(holds) => *out += &holds.to_string(),
        Predicate::Test(condition) => write_condition(condition, entity, out),
        Predicate::Compare(left, comparison, right) => {
            let (left, right) = (operand(left, entity), operand(right, entity));
            *out += &format!("{left} {} {right}", sign(*comparison));
        }
        Predicate::Ends(text, suffix) => {
            *out += &format!("{}.endsWith({})", operand(text, entity), operand(suffix, entity));
        }
        Predicate::Starts(text, prefix) => {
            *out += &format!("{}.startsWith({})", operand(text, entity), operand(prefix, entity));
        }
        Predicate::Contains(text, part) => {
            *out += &format!("{}.contains({})", operand(text, entity), operand(part, entity));
        }
        Predicate::Member(item, list) => {
            *out += &format!("{} in {}", operand(item, entity), entity.name_of(*list));
        }
        Predicate::Not(leaf) => {
            out.push_str("!(");
            write(leaf, entity, out);
            out.push(')');
        }
        Predicate::All(terms) => write_terms(terms, " && ", entity, out),
        Predicate::Any(terms) => write_terms(terms, " || ", entity, out),
    }
}

fn write_terms(terms: &[Predicate], between: &str, entity: &Entity, out: &mut String) {
    for (place, term) in terms.iter().enumerate() {
        if place > 0 {
            out.push_str(between);
        }
        let grouped = matches!(term, Predicate::All(_) | Predicate::Any(_));
        if grouped {
            out.push('(');
        }
        write(term, entity, out);
        if grouped {
            out.push(')');
        }
    }
}

fn write_condition(condition: &Condition, entity: &Entity, out: &mut String) {
    let name = entity.name_of(condition.column);
    let by = |comparison, value: &Value| format!("{name} {} {}", sign(comparison), value_text(value));
    let text = match &condition.test {
        Test::Eq(value) => by(Comparison::Eq, value),
        Test::Ne(value) => by(Comparison::Ne, value),
        Test::Lt(value) => by(Comparison::Lt, value),
        Test::Lte(value) => by(Comparison::Lte, value),
        Test::Gt(value) => by(Comparison::Gt, value),
        Test::Gte(value) => by(Comparison::Gte, value),
        Test::In(values) => {
            let values: Vec<String> = values.iter().map(value_text).collect();
            format!("{name} in [{}]", values.join(", "))
        }
        Test::Contains(part) => format!("{name}.contains({part:?})"),
        Test::Starts(prefix) => format!("{name}.startsWith({prefix:?})"),
        Test::Ends(suffix) => format!("{name}.endsWith({suffix:?})"),
        Test::Alike(other) => format!("{name} is {other:?} in any case"),
        Test::Null(true) => format!("{name} == null"),
        Test::Null(false) => format!("{name} != null"),
    };
    out.push_str(&text);
}

fn operand(operand: &Operand, entity: &Entity) -> String {
    match operand {
        Operand::Column(column) => entity.name_of(*column).to_owned(),
        Operand::Size(column) => format!("size({})", entity.name_of(*column)),
        Operand::Value(value) => value_text(value),
    }
}

pub(super) fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Eq => "==",
        Comparison::Ne => "!=",
        Comparison::Lt => "<",
        Comparison::Lte => "<=",
        Comparison::Gt => ">",
        Comparison::Gte => ">=",
    }
}

pub(super) fn value_text(value: &Value) -> String {
    let mut json = Vec::new();
    value.write_json(&mut json);
    String::from_utf8_lossy(&json).into_owned()
}
