//! Anchors: equalities that a record must meet to meet a predicate. By them the groups that a change may concern are found
//! without looking at all of them.
//!
//! `project in [a, b] && status == "open"` gives two keys of two parts each: who asks for the open ones of two projects is
//! looked at for the open ones of these projects only.

use super::condition::{Condition, Test};
use super::predicate::{Operand, Predicate};
use crate::schema::{Column, Value};

/// Most equalities that one key takes in. More of them tell hardly more groups apart.
const MOST_PARTS: usize = 4;

/// Where to look for records that meet a predicate.
#[derive(Debug, Clone, PartialEq)]
pub enum Anchor {
    /// Every record meets it.
    Everything,
    /// Only records that hold one of the keys.
    Keys(Keys),
    /// Any record may: the predicate has no equality.
    Anywhere,
}

/// Keys one of which a record must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Keys {
    /// No record meets the predicate if there is none.
    pub keys: Vec<Key>,
    /// Whether every record that holds one of them meets the predicate.
    pub exact: bool,
}

/// Equalities all of which hold together: one for each of their columns, in the order of `Sought`, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Key(Vec<Equality>);

/// What a record must hold, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Equality {
    pub sought: Sought,
    pub value: Value,
}

/// Where a record holds the value of an equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sought {
    /// The column has this value, which may be null.
    Value(Column),
    /// The column is a json list with this element.
    Element(Column),
}

impl Key {
    pub fn one(sought: Sought, value: Value) -> Key {
        Key(vec![Equality { sought, value }])
    }

    pub fn parts(&self) -> &[Equality] {
        &self.0
    }

    /// Both together, as far as there is room: at most one part asks for an element, since lists would multiply. And whether all
    /// parts had room.
    fn and(&self, other: &Key) -> (Key, bool) {
        let mut parts = self.0.clone();
        for Equality { sought, value } in &other.0 {
            let is_element = |sought: &Sought| matches!(sought, Sought::Element(_));
            let doubled = parts
                .iter()
                .map(|part| &part.sought)
                .any(|known| known == sought || is_element(known) && is_element(sought));
            if parts.len() < MOST_PARTS && !doubled {
                parts.push(Equality { sought: *sought, value: value.clone() });
            }
        }
        parts.sort_by_key(|part| part.sought);
        let whole = parts.len() == self.0.len() + other.0.len();
        (Key(parts), whole)
    }
}

/// The anchor of a predicate.
pub fn anchor(predicate: &Predicate) -> Anchor {
    if predicate.is_true() {
        return Anchor::Everything;
    }
    keys(predicate).map_or(Anchor::Anywhere, Anchor::Keys)
}

fn keys(predicate: &Predicate) -> Option<Keys> {
    let is = |column: Column, value: &Value| Key::one(Sought::Value(column), value.clone());
    let exact = |keys: Vec<Key>| Some(Keys { keys, exact: true });
    match predicate {
        Predicate::Constant(false) => exact(Vec::new()),
        Predicate::Test(Condition { column, test }) => match test {
            Test::Eq(value) => exact(vec![is(*column, value)]),
            Test::In(values) => exact(values.iter().map(|value| is(*column, value)).collect()),
            Test::Null(true) => exact(vec![is(*column, &Value::Null)]),
            Test::Ne(_)
            | Test::Lt(_)
            | Test::Lte(_)
            | Test::Gt(_)
            | Test::Gte(_)
            | Test::Contains(_)
            | Test::Starts(_)
            | Test::Ends(_)
            | Test::Alike(_)
            | Test::Null(false) => None,
        },
        Predicate::Member(Operand::Value(item), list) => {
            exact(vec![Key::one(Sought::Element(*list), item.clone())])
        }
        Predicate::All(terms) => together(terms),
        Predicate::Any(terms) => {
            let each: Option<Vec<Keys>> = terms.iter().map(keys).collect();
            each.map(|each| Keys {
                exact: each.iter().all(|keys| keys.exact),
                keys: each.into_iter().flat_map(|keys| keys.keys).collect(),
            })
        }
        Predicate::Constant(true)
        | Predicate::Compare(..)
        | Predicate::Starts(..)
        | Predicate::Ends(..)
        | Predicate::Contains(..)
        | Predicate::Member(..)
        | Predicate::Not(_) => None,
    }
}

/// The keys of terms that must all hold: those of the term with the fewest, each with every equality that stands alone. Those
/// of further terms would multiply.
fn together(terms: &[Predicate]) -> Option<Keys> {
    let mut each: Vec<Keys> = terms.iter().filter_map(keys).collect();
    each.sort_by_key(|keys| keys.keys.len());
    let taken = each.iter().take_while(|keys| keys.keys.len() == 1).count() + 1;
    let all = taken >= each.len() && each.len() == terms.len();
    let mut each = each.into_iter().take(taken);
    let first = each.next()?;
    let mut found = each.fold(first, |found, next| {
        let pairs = found.keys.iter().flat_map(|found| next.keys.iter().map(|key| found.and(key)));
        let (keys, whole): (Vec<Key>, Vec<bool>) = pairs.unzip();
        Keys { exact: found.exact && next.exact && whole.iter().all(|whole| *whole), keys }
    });
    found.exact &= all;
    Some(found)
}
