//! `Rule`: an access rule, checked: names resolved, types fitting. A tree of conditions over one record, the person who asks,
//! and in an update the proposed change.
//!
//! Knows what a rule says and nothing of what it answers: `rules` evaluates it and binds it to a person.

use std::sync::Arc;

use super::column::{Column, EntityName, FieldIndex};
use super::value::Value;

/// A rule of a schema file. Two rules are equal when their sources are.
#[derive(Debug, Clone)]
pub struct Rule {
    /// As the file has it: CEL.
    pub source: Arc<str>,
    pub meaning: Expr,
}

impl PartialEq for Rule {
    fn eq(&self, other: &Rule) -> bool {
        self.source == other.source
    }
}

/// A condition. Logic is three-valued (SEMANTICS R7): a missing value and a type that does not fit are unknown, unknown
/// survives `!`, and in the end denies.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    Constant(bool),
    Not(Box<Expr>),
    /// `&&`; of no terms it is true.
    All(Vec<Expr>),
    /// `||`; of no terms it is false.
    Any(Vec<Expr>),
    /// A bool by itself.
    Holds(Term),
    /// Both of one nature; only texts and numbers have an order.
    Compare(Term, Comparison, Term),
    /// `term == null`; never unknown. `Not` of it is `term != null` and `has(term)`.
    IsNull(Term),
    /// `item in [a, b]`.
    OneOf(Term, Vec<Term>),
    /// `item in list`, the list a json field or a claim: whether one of its elements equals the item. Unknown if it is no list.
    Member(Term, Term),
    /// `item in user.memberships.project`.
    Related(Term, RelatedSet),
    /// `user.memberships.exists(m, …)`: some record of the entity that belongs to the person meets the condition.
    Exists(EntityName, ElementName, Box<Expr>),
    /// `text.startsWith(prefix)`.
    Starts(Term, Term),
    /// `text.endsWith(suffix)`.
    Ends(Term, Term),
    /// `text.contains(part)`.
    Contains(Term, Term),
    /// `has(change.field)`: the request names the field. Never unknown.
    Named(FieldIndex),
    /// `exists(Collaborator, c, …)`: some record of an entity meets the condition. In write rules only.
    Search(Box<RecordSearch>),
}

/// What a rule calls the record that an `exists` looks at. It is there to be read: conditions that differ in it alone are equal.
#[derive(Debug, Clone)]
pub struct ElementName(pub Arc<str>);

impl PartialEq for ElementName {
    fn eq(&self, _: &ElementName) -> bool {
        true
    }
}

impl From<&str> for ElementName {
    fn from(name: &str) -> ElementName {
        ElementName(name.into())
    }
}

/// Which records an `exists` over a whole entity looks at, and what one of them must meet (SEMANTICS X1).
#[derive(Debug, Clone, PartialEq)]
pub struct RecordSearch {
    pub entity: EntityName,
    pub name: ElementName,
    /// Equalities that each of the records meets, at least one. An index leads to the records of each.
    pub keys: Vec<SearchKey>,
    /// The whole condition, the equalities among it.
    pub condition: Expr,
}

/// `c.draft == id`: an indexed column of the record, and what is known before any of them is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchKey {
    pub column: Column,
    pub value: Term,
}

/// The values of one column over the records of an entity that belong to the person: those whose `Entity::identity` refers
/// to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelatedSet {
    pub entity: EntityName,
    pub column: Column,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Lte,
    Gt,
    Gte,
}

/// What has a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// A bare name: the stored record; in a create the proposed one.
    Record(Column),
    /// `change.field`: the value after the write.
    Change(FieldIndex),
    /// `m.field` of the record that `exists` looks at.
    Element(Column),
    User(UserTerm),
    /// A literal in the stored form of what it is compared with: dates, times and ids are canonical texts; a time that is compared
    /// with `created_at` or `updated_at` is milliseconds. Never null.
    Value(Value),
    /// Characters of a text, elements of a json list; of anything else unknown.
    Size(Box<Term>),
    /// `draft.holder`: a value of the record that a reference leads to. In write rules only.
    Behind(Box<ReferencePath>),
    /// `now`: the time of the unit. In write rules only.
    Now(NowForm),
}

/// One step from a record to the record that it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferencePath {
    /// The reference; perhaps behind another one.
    pub via: Term,
    /// The entity that it refers to.
    pub entity: EntityName,
    pub column: Column,
}

/// How the values look that `now` is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NowForm {
    /// The canonical text.
    Datetime,
    /// The day of it in UTC.
    Date,
    /// Milliseconds, as `created_at` has them.
    Millis,
}

/// What a rule may ask of the person who asks.
#[derive(Debug, Clone, PartialEq)]
pub enum UserTerm {
    /// `user` itself, which is null or not.
    Itself,
    Id,
    /// That of the credentials, or else of the `User` record.
    Role,
    /// Another field of the `User` record.
    Field(FieldIndex),
    /// `user.claims.a.b`.
    Claim(Vec<Arc<str>>),
}

impl Expr {
    /// Whether it asks what a write would change.
    pub fn asks_of_change(&self) -> bool {
        match self {
            Expr::Constant(_) => false,
            Expr::Named(_) => true,
            Expr::Not(inner) | Expr::Exists(_, _, inner) => inner.asks_of_change(),
            Expr::All(terms) | Expr::Any(terms) => terms.iter().any(Expr::asks_of_change),
            Expr::Holds(term) | Expr::IsNull(term) | Expr::Related(term, _) => term.is_of_change(),
            Expr::Compare(left, _, right)
            | Expr::Member(left, right)
            | Expr::Starts(left, right)
            | Expr::Ends(left, right)
            | Expr::Contains(left, right) => left.is_of_change() || right.is_of_change(),
            Expr::OneOf(item, list) => item.is_of_change() || list.iter().any(Term::is_of_change),
            Expr::Search(search) => {
                search.keys.iter().any(|key| key.value.is_of_change()) || search.condition.asks_of_change()
            }
        }
    }

    /// Whether more than the record and the person must be known: another record, or the time.
    pub fn looks_further(&self) -> bool {
        match self {
            Expr::Constant(_) | Expr::Named(_) => false,
            Expr::Not(inner) | Expr::Exists(_, _, inner) => inner.looks_further(),
            Expr::All(terms) | Expr::Any(terms) => terms.iter().any(Expr::looks_further),
            Expr::Holds(term) | Expr::IsNull(term) | Expr::Related(term, _) => term.looks_further(),
            Expr::Compare(left, _, right)
            | Expr::Member(left, right)
            | Expr::Starts(left, right)
            | Expr::Ends(left, right)
            | Expr::Contains(left, right) => left.looks_further() || right.looks_further(),
            Expr::OneOf(item, list) => item.looks_further() || list.iter().any(Term::looks_further),
            Expr::Search(_) => true,
        }
    }
}

impl Term {
    /// See `Expr::looks_further`.
    pub fn looks_further(&self) -> bool {
        match self {
            Term::Behind(_) | Term::Now(_) => true,
            Term::Size(inner) => inner.looks_further(),
            Term::Record(_) | Term::Change(_) | Term::Element(_) | Term::User(_) | Term::Value(_) => false,
        }
    }

    /// Whether it is a value after a write.
    pub fn is_of_change(&self) -> bool {
        match self {
            Term::Change(_) => true,
            Term::Size(inner) => inner.is_of_change(),
            Term::Behind(path) => path.via.is_of_change(),
            Term::Record(_) | Term::Element(_) | Term::User(_) | Term::Value(_) | Term::Now(_) => false,
        }
    }

    /// Whether it is a value of the record that an `exists` looks at.
    pub fn is_of_element(&self) -> bool {
        match self {
            Term::Element(_) => true,
            Term::Size(inner) => inner.is_of_element(),
            Term::Behind(path) => path.via.is_of_element(),
            Term::Record(_) | Term::Change(_) | Term::User(_) | Term::Value(_) | Term::Now(_) => false,
        }
    }
}

impl Comparison {
    /// That which holds exactly where this one does not, of two values that can be compared.
    #[must_use]
    pub fn negated(self) -> Comparison {
        match self {
            Comparison::Eq => Comparison::Ne,
            Comparison::Ne => Comparison::Eq,
            Comparison::Lt => Comparison::Gte,
            Comparison::Lte => Comparison::Gt,
            Comparison::Gt => Comparison::Lte,
            Comparison::Gte => Comparison::Lt,
        }
    }

    /// The same with its sides exchanged.
    #[must_use]
    pub fn turned(self) -> Comparison {
        match self {
            Comparison::Eq => Comparison::Eq,
            Comparison::Ne => Comparison::Ne,
            Comparison::Lt => Comparison::Gt,
            Comparison::Lte => Comparison::Gte,
            Comparison::Gt => Comparison::Lt,
            Comparison::Gte => Comparison::Lte,
        }
    }
}
