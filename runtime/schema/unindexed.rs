//! Read rules that leave each user few records and that no index serves: their lists look through all records, and are
//! refused once there are too many.
//!
//! Knows no database: `store` decides how a list is read.

use indexmap::IndexSet;

use super::column::Column;
use super::model::{Entity, Operation};
use super::rule::{Comparison, Expr, Term, UserTerm};

/// Over which columns a rule has no index.
pub(super) struct Unindexed {
    /// `read` or `list`.
    pub(super) rule: Operation,
    /// In the order of the rule.
    pub(super) columns: Vec<Column>,
}

/// What a condition means for the way to the records that meet it.
enum AccessPath {
    /// An index leads to them.
    Served,
    /// They have one of a user's values in these columns, and no index begins with one.
    Unserved(Vec<Column>),
    /// Nothing tells how many they are.
    Open,
}

/// The rule that makes lists slow, if one does.
pub(super) fn missing(entity: &Entity) -> Unindexed {
    let of = |operation| {
        let rule = entity.access.source(operation);
        rule.map_or(AccessPath::Open, |rule| way(entity, &rule.meaning))
    };
    let read = of(Operation::Read);
    let rule = if matches!(read, AccessPath::Unserved(_)) { Operation::Read } else { Operation::List };
    let columns = match narrower(read, of(Operation::List)) {
        AccessPath::Unserved(columns) => columns.into_iter().collect::<IndexSet<_>>().into_iter().collect(),
        AccessPath::Served | AccessPath::Open => Vec::new(),
    };
    Unindexed { rule, columns }
}

fn way(entity: &Entity, expr: &Expr) -> AccessPath {
    match expr {
        Expr::All(terms) => terms.iter().map(|term| way(entity, term)).fold(AccessPath::Open, narrower),
        Expr::Any(terms) => terms.iter().map(|term| way(entity, term)).fold(AccessPath::Open, both),
        Expr::Compare(left, Comparison::Eq, right) => match (left, right) {
            (Term::Record(column), Term::User(user)) | (Term::User(user), Term::Record(column))
                if *user != UserTerm::Itself =>
            {
                through(entity, *column)
            }
            _ => AccessPath::Open,
        },
        Expr::Related(Term::Record(column), _) | Expr::Member(Term::Record(column), Term::User(_)) => {
            through(entity, *column)
        }
        Expr::Constant(_)
        | Expr::Not(_)
        | Expr::Holds(_)
        | Expr::Compare(..)
        | Expr::IsNull(_)
        | Expr::OneOf(..)
        | Expr::Member(..)
        | Expr::Related(..)
        | Expr::Exists(..)
        | Expr::Starts(..)
        | Expr::Ends(..)
        | Expr::Contains(..)
        | Expr::Search(_)
        | Expr::Named(_) => AccessPath::Open,
    }
}

/// Of conditions that must all hold, one that is served is enough.
fn narrower(one: AccessPath, other: AccessPath) -> AccessPath {
    match (one, other) {
        (AccessPath::Served, _) | (_, AccessPath::Served) => AccessPath::Served,
        (AccessPath::Unserved(columns), _) | (_, AccessPath::Unserved(columns)) => {
            AccessPath::Unserved(columns)
        }
        (AccessPath::Open, AccessPath::Open) => AccessPath::Open,
    }
}

/// Of conditions of which one must hold, each needs an index.
fn both(one: AccessPath, other: AccessPath) -> AccessPath {
    match (one, other) {
        (AccessPath::Unserved(mut columns), AccessPath::Unserved(others)) => {
            columns.extend(others);
            AccessPath::Unserved(columns)
        }
        (AccessPath::Unserved(columns), _) | (_, AccessPath::Unserved(columns)) => {
            AccessPath::Unserved(columns)
        }
        (AccessPath::Served, _) | (_, AccessPath::Served) => AccessPath::Served,
        (AccessPath::Open, AccessPath::Open) => AccessPath::Open,
    }
}

/// Whether an index leads to the records with one value in the column.
pub(super) fn is_indexed(entity: &Entity, column: Column) -> bool {
    match column {
        Column::Id | Column::CreatedAt => true,
        Column::Version | Column::UpdatedAt => false,
        Column::Field(_) => entity.all_indexes().any(|index| index.first() == Some(&column)),
    }
}

fn through(entity: &Entity, column: Column) -> AccessPath {
    if is_indexed(entity, column) { AccessPath::Served } else { AccessPath::Unserved(vec![column]) }
}
