//! Every comparison of two values, wherever each of them stands, with pairs that differ in one respect: case, accent, length, a
//! wildcard, a number's type. The rule evaluated, the rule bound, the list and the filter give the answer written here.
//!
//! Random worlds (`rules_property.rs`) find combinations; that a comparison is what it says must not hang on their luck.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::ids::RecordId;
use tidewire::rules::{Person, Principal, ReadScope, RelatedRecords, Subject, evaluate};
use tidewire::schema::{
    Column, Comparison, Entity, Expr, FieldIndex, FieldKind, Operation, Record, RelatedSet, Rule, Schema,
    Term, UserTerm, Value,
};
use tidewire::store::{Condition, Query, Test, Who};

use crate::support::at_once::Now;
use crate::support::studio::{NOON, Studio, create, entity, field, id, text};

/// Left and right, and what is asked of them.
const TEXTS: [(&str, &str); 28] = [
    ("abc", "abc"),
    ("aBc", "abc"),
    ("abc", "aBc"),
    ("ABC", "abc"),
    ("abc", "b"),
    ("abc", "B"),
    ("abc", "ab"),
    ("abc", "AB"),
    ("abc", "bc"),
    ("abc", "BC"),
    ("abcbc", "bc"),
    ("bc", "abcbc"),
    ("a🌊", "🌊"),
    ("ab", "abc"),
    ("abc", ""),
    ("", "abc"),
    ("", ""),
    ("abc", "%"),
    ("abc", "a_c"),
    ("a*c", "*"),
    ("Éa", "éa"),
    ("\u{e9}", "e\u{301}"),
    ("e\u{301}", "e"),
    ("abc ", "abc"),
    ("10", "9"),
    ("1.0", "1"),
    ("\u{ffee}", "\u{10000}"),
    ("a\"b'c\\", "'"),
];

const NUMBERS: [(f64, f64); 12] = [
    (1.0, 1.0),
    (1.0, 2.0),
    (10.0, 9.0),
    (-1.0, 1.0),
    (-10.0, -9.0),
    (0.0, -0.0),
    (0.3, 0.1 + 0.2),
    (9_007_199_254_740_991.0, 9_007_199_254_740_990.0),
    (1e300, 1e299),
    (1e-300, 0.0),
    (2.5, 2.0),
    (3.0, 3.0),
];

type Asked = (&'static str, fn(Term, Term) -> Expr, fn(&Value, &Value) -> bool);

fn texts_of<'v>(left: &'v Value, right: &'v Value) -> (&'v str, &'v str) {
    let (Value::Text(left), Value::Text(right)) = (left, right) else {
        panic!("{left:?} and {right:?} are texts")
    };
    (left, right)
}

/// Left is compared with right; the order of texts is that of their code points, the order of UTF-8.
fn order(left: &Value, right: &Value) -> std::cmp::Ordering {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        _ => number(left).partial_cmp(&number(right)).unwrap(),
    }
}

fn number(value: &Value) -> f64 {
    match value {
        Value::Int(whole) => *whole as f64,
        Value::Float(float) => *float,
        Value::Null | Value::Bool(_) | Value::Text(_) | Value::Json(_) => panic!("{value:?} is no number"),
    }
}

const COMPARISONS: [Asked; 7] = [
    ("==", |l, r| Expr::Compare(l, Comparison::Eq, r), |l, r| order(l, r).is_eq()),
    ("!=", |l, r| Expr::Compare(l, Comparison::Ne, r), |l, r| order(l, r).is_ne()),
    ("<", |l, r| Expr::Compare(l, Comparison::Lt, r), |l, r| order(l, r).is_lt()),
    ("<=", |l, r| Expr::Compare(l, Comparison::Lte, r), |l, r| order(l, r).is_le()),
    (">", |l, r| Expr::Compare(l, Comparison::Gt, r), |l, r| order(l, r).is_gt()),
    (">=", |l, r| Expr::Compare(l, Comparison::Gte, r), |l, r| order(l, r).is_ge()),
    ("in", |l, r| Expr::OneOf(l, vec![r]), |l, r| order(l, r).is_eq()),
];

const OF_TEXTS: [Asked; 6] = [
    ("contains", Expr::Contains, |l, r| {
        let (l, r) = texts_of(l, r);
        l.contains(r)
    }),
    ("starts", Expr::Starts, |l, r| {
        let (l, r) = texts_of(l, r);
        l.starts_with(r)
    }),
    ("ends", Expr::Ends, |l, r| {
        let (l, r) = texts_of(l, r);
        l.ends_with(r)
    }),
    (
        "not ends",
        |l, r| Expr::Not(Box::new(Expr::Ends(l, r))),
        |l, r| {
            let (l, r) = texts_of(l, r);
            !l.ends_with(r)
        },
    ),
    (
        "not contains",
        |l, r| Expr::Not(Box::new(Expr::Contains(l, r))),
        |l, r| {
            let (l, r) = texts_of(l, r);
            !l.contains(r)
        },
    ),
    (
        "not starts",
        |l, r| Expr::Not(Box::new(Expr::Starts(l, r))),
        |l, r| {
            let (l, r) = texts_of(l, r);
            !l.starts_with(r)
        },
    ),
];

/// Where the value of one side is taken from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Column,
    Constant,
    Claim,
    /// A field of the person's own record of `Member`, within `exists`.
    Element,
}

const PLACES: [Place; 4] = [Place::Column, Place::Constant, Place::Claim, Place::Element];

/// The column that holds a list with the right value in it.
const LIST: usize = 6;

/// The columns of a kind of value: left, and right.
#[derive(Debug, Clone, Copy)]
struct Columns {
    left: usize,
    right: usize,
}

fn schema() -> Schema {
    let int = || FieldKind::Int { min: None, max: None };
    let float = || FieldKind::Float { min: None, max: None };
    let fields = || {
        let (a, b) = (field("a", text()), field("b", text()));
        let numbers = [field("i", int()), field("j", int()), field("x", float()), field("y", float())];
        [a, b].into_iter().chain(numbers).chain([field("list", FieldKind::Json)]).collect()
    };
    Schema::new([
        entity("User", "users", vec![field("name", text())]),
        entity("Pair", "pairs", fields()),
        entity("Member", "members", fields()),
    ])
}

fn values(columns: Columns, left: &Value, right: &Value) -> Vec<Value> {
    let mut values = vec![Value::Null; LIST + 1];
    values[LIST] = Value::Json(json!([null, json(right), ["x"]]).to_string());
    (values[columns.left], values[columns.right]) = (left.clone(), right.clone());
    values
}

fn json(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Null | Value::Bool(_) | Value::Json(_) => panic!("{value:?} is no claim here"),
    }
}

fn term(place: Place, column: usize, value: &Value, claim: &str) -> Term {
    let column = Column::Field(FieldIndex(column));
    match place {
        Place::Column => Term::Record(column),
        Place::Constant => Term::Value(value.clone()),
        Place::Claim => Term::User(UserTerm::Claim([Arc::from(claim)].into())),
        Place::Element => Term::Element(column),
    }
}

/// One pair in one record, which a person sees or does not.
struct Pair<'a> {
    studio: &'a Studio,
    entity: &'a Arc<Entity>,
    columns: Columns,
    left: &'a Value,
    right: &'a Value,
    record: Record,
}

impl Pair<'_> {
    fn principal(&self) -> Principal {
        let list = json!([null, json(self.right), ["x"]]);
        let claims = [("left", json(self.left)), ("right", json(self.right)), ("list", list)];
        let claims: Map<String, Json> =
            claims.into_iter().map(|(name, claim)| (name.to_owned(), claim)).collect();
        let person = Person { id: Some(id(1).as_str().into()), role: None, claims: claims.into() };
        let own = Record { id: id(2), ..self.record.clone() };
        let related = BTreeMap::from([("Member".into(), RelatedRecords::Records(vec![own]))]);
        Principal::new(Arc::new(person), None, related)
    }

    /// Whether the person sees the record under the rule: evaluated, bound, and by a list.
    fn seen(&self, rule: &Expr) -> [bool; 3] {
        let principal = self.principal();
        let subject = Subject { principal: &principal, record: &self.record, proposal: None };
        let mut entity = (**self.entity).clone();
        entity.access.read = Some(Rule { source: "compared".into(), meaning: rule.clone() });
        let entity = Arc::new(entity);
        let evaluated = evaluate(entity.access.rule(Operation::Read), subject).grants();
        let read_scope = ReadScope::bind(&entity, self.studio.generation, &principal).unwrap();
        [evaluated, read_scope.sees(&self.record), self.is_listed(read_scope)]
    }

    fn is_listed(&self, read_scope: ReadScope) -> bool {
        let all = Query::all("Pair", self.studio.generation, 1_000);
        let page = self
            .studio
            .store
            .list(&Query { who: Who::ReadScope(Arc::new(read_scope)), ..all })
            .now()
            .unwrap()
            .value;
        page.rows.iter().any(|row| row.id == self.record.id)
    }

    /// The same asked by a filter: the left column, and the right value.
    fn filtered(&self, asked: &str) -> Option<[bool; 2]> {
        let right = self.right.clone();
        let text = || texts_of(self.left, self.right).1.to_owned();
        let test = match asked {
            "==" => Test::Eq(right),
            "!=" => Test::Ne(right),
            "<" => Test::Lt(right),
            "<=" => Test::Lte(right),
            ">" => Test::Gt(right),
            ">=" => Test::Gte(right),
            "in" => Test::In(vec![right]),
            "contains" => Test::Contains(text()),
            "starts" => Test::Starts(text()),
            "ends" => Test::Ends(text()),
            _ => return None,
        };
        let condition = Condition::new(Column::Field(FieldIndex(self.columns.left)), test);
        let read_scope = ReadScope::everything(self.entity, self.studio.generation).through(vec![condition]);
        Some([read_scope.sees(&self.record), self.is_listed(read_scope)])
    }

    /// The right value as the only one of a list or set that could be equal.
    fn check_lists(&self, expected: bool) {
        for left in [Place::Column, Place::Constant, Place::Claim] {
            let item = || term(left, self.columns.left, self.left, "left");
            let right = Column::Field(FieldIndex(self.columns.right));
            let of_member = RelatedSet { entity: "Member".into(), column: right };
            let claimed = Term::User(UserTerm::Claim([Arc::from("list")].into()));
            for (how, rule) in [
                ("in a set", Expr::Related(item(), of_member)),
                ("in a list", Expr::Member(item(), Term::Record(Column::Field(FieldIndex(LIST))))),
                ("in a claim", Expr::Member(item(), claimed)),
            ] {
                let tell = format!("{:?} as {left:?} {how} of {:?}", self.left, self.right);
                assert_eq!(self.seen(&rule), [expected; 3], "{tell}");
            }
        }
    }

    fn check(&self, (asked, rule, answer): &Asked) {
        let expected = answer(self.left, self.right);
        let tell = |how: &str| format!("{:?} {asked} {:?}, {how}", self.left, self.right);
        for left in PLACES {
            for right in PLACES {
                let (of_left, of_right) = (
                    term(left, self.columns.left, self.left, "left"),
                    term(right, self.columns.right, self.right, "right"),
                );
                let test = rule(of_left, of_right);
                let rule = match [left, right].contains(&Place::Element) {
                    true => Expr::Exists("Member".into(), "m".into(), Box::new(test)),
                    false => test,
                };
                assert_eq!(self.seen(&rule), [expected; 3], "{}", tell(&format!("{left:?} and {right:?}")));
            }
        }
        if *asked == "==" {
            self.check_lists(expected);
        }
        if let Some(filtered) = self.filtered(asked) {
            assert_eq!(filtered, [expected; 2], "{}", tell("filtered"));
        }
    }
}

/// Asks everything of every pair; each is a record of its own.
async fn check(pairs: Vec<(Columns, Value, Value)>, asked: &[Asked]) {
    let schema = schema();
    let studio = Studio::sqlite_over(schema.clone(), &StoreConfig::default());
    let entity = schema.entity("Pair").unwrap();
    let mut records: Vec<(RecordId, Vec<Value>)> = Vec::new();
    for (n, (columns, left, right)) in (100..).zip(&pairs) {
        let values = values(*columns, left, right);
        studio.commit([create("Pair", n, values.clone())]).await.unwrap();
        records.push((id(n), values));
    }
    for ((columns, left, right), (id, values)) in pairs.iter().zip(records) {
        let record = Record { id, version: 1, created_at: NOON, updated_at: NOON, values };
        let pair = Pair { studio: &studio, entity, columns: *columns, left, right, record };
        asked.iter().for_each(|asked| pair.check(asked));
    }
}

#[tokio::test]
async fn two_texts_are_compared_character_by_character_wherever_they_stand() {
    let text = |text: &str| Value::Text(text.to_owned());
    let columns = Columns { left: 0, right: 1 };
    let pairs = TEXTS.iter().map(|(left, right)| (columns, text(left), text(right))).collect();
    let asked: Vec<Asked> = COMPARISONS.into_iter().chain(OF_TEXTS).collect();
    check(pairs, &asked).await;
}

#[tokio::test]
async fn two_numbers_are_compared_by_their_value_whatever_their_types() {
    let whole = |number: f64| number.fract() == 0.0 && number.abs() < 1e16;
    let mut pairs = Vec::new();
    for (left, right) in NUMBERS {
        let floats = (Value::Float(left + 0.0), Value::Float(right + 0.0));
        let ints = (Value::Int(left as i64), Value::Int(right as i64));
        pairs.push((Columns { left: 4, right: 5 }, floats.0.clone(), floats.1.clone()));
        if whole(left) {
            pairs.push((Columns { left: 2, right: 5 }, ints.0.clone(), floats.1));
        }
        if whole(right) {
            pairs.push((Columns { left: 4, right: 3 }, floats.0, ints.1.clone()));
        }
        if whole(left) && whole(right) {
            pairs.push((Columns { left: 2, right: 3 }, ints.0, ints.1));
        }
    }
    check(pairs, &COMPARISONS).await;
}
