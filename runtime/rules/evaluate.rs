//! A rule on one record, as it is: what a write is judged by, and what `tidewire rules why` prints. The definition of what rules
//! mean, to which predicates and SQL are held.

use std::borrow::Cow;

use super::compare::{compare, contains, ends, member, size, starts, value_of_json};
use super::further::{Further, SearchedRecords};
use super::person::{Principal, RelatedRecords};
use super::truth::Truth;
use crate::schema::{
    Column, Comparison, Expr, FieldIndex, NowForm, Record, RecordSearch, ReferencePath, SearchKey, Term,
    UserTerm, Value,
};

/// What a rule is evaluated on.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub principal: &'a Principal,
    /// What bare names mean: the stored record; in a create the proposed one.
    pub record: &'a Record,
    /// In an update.
    pub proposal: Option<Proposal<'a>>,
}

/// What an update asks for.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// All values after the write, lookups included.
    pub values: &'a [Value],
    /// The fields that the request names.
    pub named: &'a [FieldIndex],
}

/// Whether the rule holds. For a disabled person nothing does. What looks further than the record and the person is unknown
/// here: `judge` is for such rules.
pub fn evaluate(rule: &Expr, subject: Subject<'_>) -> Truth {
    if subject.principal.is_disabled() {
        return Truth::False;
    }
    Evaluator { subject, element: None, further: None }.truth(rule)
}

#[derive(Clone, Copy)]
pub(super) struct Evaluator<'a> {
    pub(super) subject: Subject<'a>,
    /// The record that `exists` looks at.
    pub(super) element: Option<&'a Record>,
    /// What is known beyond the record and the person.
    pub(super) further: Option<Further<'a>>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn truth(self, expr: &Expr) -> Truth {
        match expr {
            Expr::Constant(holds) => Truth::from(*holds),
            Expr::Not(inner) => !self.truth(inner),
            Expr::All(terms) => self.all(terms),
            Expr::Any(terms) => Truth::any(terms.iter().map(|term| self.truth(term))),
            Expr::Holds(term) => compare(&self.value(term), Comparison::Eq, &Value::Bool(true)),
            Expr::Compare(left, comparison, right) => {
                compare(&self.value(left), *comparison, &self.value(right))
            }
            Expr::IsNull(term) => self.is_null(term),
            Expr::OneOf(item, list) => {
                let item = self.value(item);
                let equal = |other: &Term| compare(&item, Comparison::Eq, &self.value(other));
                Truth::any(list.iter().map(equal))
            }
            Expr::Member(item, list) => member(&self.value(item), &self.value(list)),
            Expr::Related(item, set) => {
                let item = self.value(item);
                self.related(&set.entity, |record| compare(&item, Comparison::Eq, &record.value(set.column)))
            }
            Expr::Exists(entity, _, condition) => {
                self.related(entity, |record| Evaluator { element: Some(record), ..self }.truth(condition))
            }
            Expr::Starts(text, prefix) => starts(&self.value(text), &self.value(prefix)),
            Expr::Ends(text, suffix) => ends(&self.value(text), &self.value(suffix)),
            Expr::Contains(text, part) => contains(&self.value(text), &self.value(part)),
            Expr::Named(field) => {
                Truth::from(self.subject.proposal.is_some_and(|change| change.named.contains(field)))
            }
            Expr::Search(search) => self.search(search),
        }
    }

    /// Whether any of the records that meet the keys meets the condition.
    fn search(self, search: &RecordSearch) -> Truth {
        let Some(records) = self.searched(search) else { return Truth::Unknown };
        let condition = |record| Evaluator { element: Some(record), ..self }.truth(&search.condition);
        Truth::any(records.into_iter().map(condition))
    }

    /// The records that meet all keys. `None` without a value for one of the keys, and as long as they are not known.
    pub(super) fn searched(self, search: &RecordSearch) -> Option<Vec<&'a Record>> {
        let mut keys = Vec::with_capacity(search.keys.len());
        for SearchKey { column, value } in &search.keys {
            let Value::Text(value) = self.seek(value)?.into_owned() else { return None };
            keys.push((*column, value));
        }
        let SearchedRecords::These(records) = self.further?.searched(&search.entity, &keys) else {
            return None;
        };
        let meets = |record: &Record| {
            let mut keys = keys.iter();
            keys.all(|(column, value)| matches!(record.value(*column), Value::Text(held) if held == *value))
        };
        Some(records.iter().filter(|record| meets(record)).collect())
    }

    /// Stops at the first that is false.
    fn all(self, terms: &[Expr]) -> Truth {
        let mut all = Truth::True;
        for term in terms {
            all = all.and(self.truth(term));
            if all == Truth::False {
                break;
            }
        }
        all
    }

    /// Whether any of the person's records meets the test. A missing person has no sets: that is unknown, and so is a set that is
    /// too large to be read.
    fn related(self, entity: &str, test: impl FnMut(&Record) -> Truth) -> Truth {
        match self.subject.principal.related(entity) {
            _ if self.subject.principal.is_nobody() => Truth::Unknown,
            RelatedRecords::TooMany => Truth::Unknown,
            RelatedRecords::Records(records) => Truth::any(records.iter().map(test)),
        }
    }

    fn is_null(self, term: &Term) -> Truth {
        if *term == Term::User(UserTerm::Itself) {
            return Truth::from(self.subject.principal.is_nobody());
        }
        // What is not known yet may be there.
        self.seek(term).map_or(Truth::Unknown, |value| Truth::from(value.is_null()))
    }

    /// Null where there is none, or none is known.
    pub(super) fn value(self, term: &Term) -> Cow<'a, Value>
    where
        Self: 'a,
    {
        self.seek(term).unwrap_or(Cow::Owned(Value::Null))
    }

    /// `None` as long as it is not known.
    pub(super) fn seek(self, term: &Term) -> Option<Cow<'a, Value>>
    where
        Self: 'a,
    {
        let Subject { principal, record, proposal } = self.subject;
        Some(match term {
            Term::Record(column) => column_of(Some(record), *column),
            Term::Element(column) => column_of(self.element, *column),
            Term::Change(field) => field_of(proposal.map(|change| change.values), *field),
            Term::Value(value) => Cow::Owned(value.clone()),
            Term::Size(inner) => Cow::Owned(size(&*self.seek(inner)?)),
            Term::User(user) => user_value(principal, user),
            Term::Behind(path) => return self.behind(path),
            Term::Now(form) => Cow::Owned(now(self.further?, *form)),
        })
    }

    /// Null where the reference, or the record that it leads to, is missing.
    fn behind(self, path: &ReferencePath) -> Option<Cow<'a, Value>>
    where
        Self: 'a,
    {
        match &*self.seek(&path.via)? {
            Value::Text(id) => Some(column_of(self.further?.record(&path.entity, id)?, path.column)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => {
                Some(Cow::Owned(Value::Null))
            }
        }
    }
}

fn now(further: Further<'_>, form: NowForm) -> Value {
    let now = further.known.now;
    match form {
        NowForm::Datetime => Value::Text(now.rfc3339()),
        NowForm::Date => Value::Text(now.rfc3339().chars().take_while(|letter| *letter != 'T').collect()),
        NowForm::Millis => Value::Int(now.0),
    }
}

fn column_of(record: Option<&Record>, column: Column) -> Cow<'_, Value> {
    match (record, column) {
        (Some(record), Column::Field(field)) => field_of(Some(&record.values), field),
        (Some(record), column) => Cow::Owned(record.value(column)),
        (None, _) => Cow::Owned(Value::Null),
    }
}

fn field_of(values: Option<&[Value]>, field: FieldIndex) -> Cow<'_, Value> {
    values.and_then(|values| values.get(field.0)).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
}

/// Null where the person has none. `Itself` is no value: it is only asked whether there is one.
pub(super) fn user_value<'a>(principal: &'a Principal, term: &UserTerm) -> Cow<'a, Value> {
    match term {
        UserTerm::Itself => Cow::Owned(Value::Null),
        UserTerm::Id => Cow::Borrowed(principal.id()),
        UserTerm::Role => Cow::Borrowed(principal.role()),
        UserTerm::Field(field) => field_of(principal.record().map(|record| &record.values[..]), *field),
        UserTerm::Claim(path) => {
            let (first, rest) = match path.split_first() {
                Some(split) => split,
                None => return Cow::Owned(Value::Null),
            };
            let mut found = principal.person.claims.get(&**first);
            for name in rest {
                found = found.and_then(|json| json.get(&**name));
            }
            Cow::Owned(found.map_or(Value::Null, value_of_json))
        }
    }
}
