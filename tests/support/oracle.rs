//! What a rule means, said once more in the plainest way: over JSON, with `None` for what is not known. The one oracle of rules,
//! so it shares nothing with `runtime/rules` but the tree of the rule.
//!
//! Knows no store: the user and what belongs to them come in as arguments.

mod foregone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value as Json};
use tidewire::ids::{RecordId, Timestamp};
use tidewire::schema::{
    Column, Comparison, EntityName, Expr, FieldIndex, NowForm, Record, Term, UserTerm, Value,
};
use tidewire::store::{Condition, Test};

pub(crate) use foregone::{Sets, foregone};

/// Places in `User`, which is built in.
const ROLE: FieldIndex = FieldIndex(1);
const DISABLED: FieldIndex = FieldIndex(2);

/// Who asks, as the oracle sees them. The default is an anonymous caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asker {
    pub(crate) id: Option<String>,
    pub(crate) role: Option<String>,
    pub(crate) claims: Map<String, Json>,
    pub(crate) user: Option<Arc<Record>>,
    /// Of every entity, those that belong to them.
    pub(crate) related: Vec<(EntityName, Arc<Record>)>,
    /// Entities of which more belong to them than a rule may ask for.
    pub(crate) too_many: BTreeSet<EntityName>,
}

/// What an update asks for: all values after it, and the fields that the request names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proposed<'a> {
    pub(crate) values: &'a [Value],
    pub(crate) named: &'a [FieldIndex],
}

#[derive(Clone, Copy)]
pub(crate) struct Oracle<'a> {
    pub(crate) asker: &'a Asker,
    pub(crate) record: &'a Record,
    /// The record that an `exists` looks at.
    pub(crate) element: Option<&'a Record>,
    pub(crate) proposed: Option<Proposed<'a>>,
    /// For write rules.
    pub(crate) everything: Option<Everything<'a>>,
}

/// The whole database, and when the write happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Everything<'a> {
    pub(crate) records: &'a BTreeMap<(EntityName, RecordId), Arc<Record>>,
    pub(crate) now: Timestamp,
}

/// A value as a rule sees it: what a json field holds is a document, which equals nothing.
enum Seen {
    Plain(Json),
    Document(Json),
}

impl Asker {
    /// Nothing is granted to a disabled account.
    pub(crate) fn is_disabled(&self) -> bool {
        self.user.as_ref().is_some_and(|user| user.values[DISABLED.0] == Value::Bool(true))
    }

    pub(crate) fn belonging(&self, entity: &str) -> impl Iterator<Item = &Record> {
        self.related.iter().filter(move |(name, _)| **name == *entity).map(|(_, record)| &**record)
    }
}

impl<'a> Oracle<'a> {
    pub(crate) fn of(asker: &'a Asker, record: &'a Record) -> Oracle<'a> {
        Oracle { asker, record, element: None, proposed: None, everything: None }
    }

    pub(crate) fn grants(&self, rule: &Expr) -> bool {
        !self.asker.is_disabled() && self.holds(rule) == Some(true)
    }

    fn holds(&self, rule: &Expr) -> Option<bool> {
        match rule {
            Expr::Constant(holds) => Some(*holds),
            Expr::Not(inner) => self.holds(inner).map(|holds| !holds),
            Expr::All(terms) => not_any(terms.iter().map(|term| self.holds(term).map(|holds| !holds))),
            Expr::Any(terms) => any(terms.iter().map(|term| self.holds(term))),
            Expr::Holds(term) => self.plain(term)?.as_bool(),
            Expr::Compare(left, comparison, right) => {
                compared(&self.plain(left)?, *comparison, &self.plain(right)?)
            }
            Expr::IsNull(Term::User(UserTerm::Itself)) => Some(self.asker.id.is_none()),
            Expr::IsNull(term) => Some(match self.seen(term) {
                Seen::Plain(json) | Seen::Document(json) => json.is_null(),
            }),
            Expr::OneOf(item, list) => any(list
                .iter()
                .map(|other| compared(&self.plain(item)?, Comparison::Eq, &self.plain(other)?))),
            Expr::Member(item, list) => {
                let (Seen::Plain(list) | Seen::Document(list)) = self.seen(list);
                let item = self.plain(item)?;
                let elements = list.as_array().filter(|_| comparable(&item))?;
                let equal = |other: &Json| compared(&item, Comparison::Eq, other) == Some(true);
                Some(elements.iter().any(equal))
            }
            Expr::Related(item, set) => {
                self.has_set(&set.entity)?;
                any(self.asker.belonging(&set.entity).map(|record| {
                    let (Seen::Plain(other) | Seen::Document(other)) = seen(&record.value(set.column));
                    compared(&self.plain(item)?, Comparison::Eq, &other)
                }))
            }
            Expr::Exists(entity, _, condition) => {
                self.has_set(entity)?;
                let belonging = self.asker.belonging(entity);
                any(belonging.map(|record| Oracle { element: Some(record), ..*self }.holds(condition)))
            }
            Expr::Starts(text, prefix) => {
                Some(self.plain(text)?.as_str()?.starts_with(self.plain(prefix)?.as_str()?))
            }
            Expr::Ends(text, suffix) => {
                let (text, suffix) = (self.plain(text)?, self.plain(suffix)?);
                let backwards = |text: &str| text.chars().rev().collect::<String>();
                Some(backwards(text.as_str()?).starts_with(&backwards(suffix.as_str()?)))
            }
            Expr::Contains(text, part) => {
                Some(self.plain(text)?.as_str()?.contains(self.plain(part)?.as_str()?))
            }
            Expr::Search(search) => {
                let records = self.everything?.records.iter().filter(|((name, _), _)| *name == search.entity);
                let keys: Vec<(Column, Json)> = search
                    .keys
                    .iter()
                    .map(|key| {
                        self.plain(&key.value).filter(Json::is_string).map(|value| (key.column, value))
                    })
                    .collect::<Option<_>>()?;
                let candidates = records.filter(|(_, record)| {
                    keys.iter().all(|(column, value)| {
                        let (Seen::Plain(held) | Seen::Document(held)) = seen(&record.value(*column));
                        held == *value
                    })
                });
                any(candidates
                    .map(|(_, record)| Oracle { element: Some(record), ..*self }.holds(&search.condition)))
            }
            Expr::Named(field) => Some(self.proposed.is_some_and(|change| change.named.contains(field))),
        }
    }

    /// An anonymous caller has no sets, and one that is too large is not known.
    fn has_set(&self, entity: &EntityName) -> Option<()> {
        (self.asker.id.is_some() && !self.asker.too_many.contains(entity)).then_some(())
    }

    /// What can be compared, if it is there.
    fn plain(&self, term: &Term) -> Option<Json> {
        match self.seen(term) {
            Seen::Plain(json) if comparable(&json) => Some(json),
            Seen::Plain(_) | Seen::Document(_) => None,
        }
    }

    fn seen(&self, term: &Term) -> Seen {
        let user = self.asker.user.as_deref();
        let of = |record: Option<&Record>, column| {
            record.map_or(Seen::Plain(Json::Null), |record| seen(&record.value(column)))
        };
        let text = |text: &Option<String>| Seen::Plain(text.clone().map_or(Json::Null, Json::String));
        match term {
            Term::Record(column) => of(Some(self.record), *column),
            Term::Element(column) => of(self.element, *column),
            Term::Change(field) => match self.proposed {
                Some(change) => seen(&change.values[field.0]),
                None => Seen::Plain(Json::Null),
            },
            Term::Value(value) => Seen::Plain(json(value)),
            Term::User(UserTerm::Itself) => Seen::Plain(Json::Null),
            Term::User(UserTerm::Id) => text(&self.asker.id),
            Term::User(UserTerm::Role) if self.asker.role.as_deref() == Some("") => Seen::Plain(Json::Null),
            Term::User(UserTerm::Role) if self.asker.role.is_some() => text(&self.asker.role),
            Term::User(UserTerm::Role) => of(user, Column::Field(ROLE)),
            Term::User(UserTerm::Field(at)) => of(user, Column::Field(*at)),
            Term::User(UserTerm::Claim(path)) => {
                let mut claim = Json::Object(self.asker.claims.clone());
                for name in path {
                    claim =
                        claim.as_object().and_then(|claims| claims.get(&**name)).cloned().unwrap_or_default();
                }
                Seen::Plain(claim)
            }
            Term::Behind(path) => {
                let (Seen::Plain(id) | Seen::Document(id)) = self.seen(&path.via);
                let key = id.as_str().map(|id| (path.entity.clone(), RecordId::stored(id)));
                let found = self.everything.zip(key).and_then(|(all, key)| all.records.get(&key));
                of(found.map(|record| &**record), path.column)
            }
            Term::Now(form) => Seen::Plain(self.everything.map_or(Json::Null, |all| match form {
                NowForm::Datetime => Json::String(all.now.rfc3339()),
                NowForm::Date => Json::String(all.now.rfc3339()[..10].to_owned()),
                NowForm::Millis => Json::from(all.now.0),
            })),
            Term::Size(inner) => {
                let size = match self.seen(inner) {
                    Seen::Plain(Json::String(text)) => Some(text.chars().count()),
                    Seen::Plain(Json::Array(list)) | Seen::Document(Json::Array(list)) => Some(list.len()),
                    Seen::Plain(_) | Seen::Document(_) => None,
                };
                Seen::Plain(size.map_or(Json::Null, Json::from))
            }
        }
    }

    /// Whether the record meets a condition of a client.
    pub(crate) fn meets(&self, condition: &Condition) -> bool {
        self.holds(&asked(condition)) == Some(true)
    }
}

/// A condition of a client as a rule.
pub(crate) fn asked(condition: &Condition) -> Expr {
    let own = || Term::Record(condition.column);
    let value = |value: &Value| Term::Value(value.clone());
    let text = |text: &String| Term::Value(Value::Text(text.clone()));
    let by = |comparison, other: &_| Expr::Compare(own(), comparison, value(other));
    match &condition.test {
        Test::Eq(other) => by(Comparison::Eq, other),
        Test::Ne(other) => by(Comparison::Ne, other),
        Test::Lt(other) => by(Comparison::Lt, other),
        Test::Lte(other) => by(Comparison::Lte, other),
        Test::Gt(other) => by(Comparison::Gt, other),
        Test::Gte(other) => by(Comparison::Gte, other),
        Test::In(others) => Expr::OneOf(own(), others.iter().map(value).collect()),
        Test::Contains(part) => Expr::Contains(own(), text(part)),
        Test::Starts(prefix) => Expr::Starts(own(), text(prefix)),
        Test::Ends(suffix) => Expr::Ends(own(), text(suffix)),
        Test::Alike(_) => panic!("no client asks {condition:?}"),
        Test::Null(true) => Expr::IsNull(own()),
        Test::Null(false) => Expr::Not(Box::new(Expr::IsNull(own()))),
    }
}

fn seen(value: &Value) -> Seen {
    if matches!(value, Value::Json(_)) { Seen::Document(json(value)) } else { Seen::Plain(json(value)) }
}

fn json(value: &Value) -> Json {
    let mut json = Vec::new();
    value.write_json(&mut json);
    serde_json::from_slice(&json).unwrap()
}

fn comparable(json: &Json) -> bool {
    json.is_string() || json.is_number() || json.is_boolean()
}

/// One that holds is enough; otherwise one that is not known leaves all unknown.
fn any(terms: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let terms: Vec<Option<bool>> = terms.collect();
    if terms.contains(&Some(true)) {
        Some(true)
    } else if terms.contains(&None) {
        None
    } else {
        Some(false)
    }
}

fn not_any(terms: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    any(terms).map(|holds| !holds)
}

fn compared(left: &Json, comparison: Comparison, right: &Json) -> Option<bool> {
    let (less, equal) = match (left, right) {
        (Json::String(left), Json::String(right)) => (left < right, left == right),
        (Json::Bool(left), Json::Bool(right)) => (!left & right, left == right),
        (Json::Number(left), Json::Number(right)) => {
            let (left, right) = (left.as_f64()?, right.as_f64()?);
            (left < right, left == right)
        }
        _ => return None,
    };
    Some(match comparison {
        Comparison::Eq => equal,
        Comparison::Ne => !equal,
        Comparison::Lt => less,
        Comparison::Lte => less || equal,
        Comparison::Gt => !less && !equal,
        Comparison::Gte => !less,
    })
}
