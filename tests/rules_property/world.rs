//! Random worlds: rows, persons, rules and filters over one schema with every kind of field. Knows no store and no answer.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};
use tidewire::rules::Person;
use tidewire::schema::{
    Column, Comparison, Entity, Expr, Field, FieldIndex, FieldKind, OnDelete, RelatedSet, Rule, Schema, Term,
    UserTerm, Value,
};
use tidewire::store::{Condition, Test};

use crate::support::studio::{entity, field, link, refers, text};

pub(super) const BODY: FieldIndex = FieldIndex(1);
const TEXTS: [usize; 9] = [0, 1, 7, 10, 11, 12, 13, 14, 15];
const NUMBERS: [usize; 3] = [2, 3, 4];
const BOOLS: [usize; 2] = [5, 6];
const LISTS: [usize; 2] = [8, 9];
pub(super) const THING_FIELDS: usize = 16;

/// Of `User`, `Membership` and `Team`.
const USER_TEXTS: [usize; 2] = [0, 5];
const USER_NUMBERS: [usize; 2] = [3, 4];
const USER_LIST: usize = 6;
const MEMBER_TEXTS: [usize; 3] = [0, 1, 2];
const MEMBER_NUMBERS: [usize; 2] = [3, 4];
const MEMBER_BOOL: usize = 5;

/// What is read of one entity: under this rule, its `body` under the other one.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) read: Expr,
    pub(super) body: Expr,
    pub(super) filter: Vec<Condition>,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) things: Vec<Vec<Value>>,
    /// Whose, then the other values.
    pub(super) members: Vec<Vec<Value>>,
    pub(super) teams: Vec<Vec<Value>>,
    pub(super) users: Vec<Vec<Value>>,
    pub(super) claims: Vec<Map<String, Json>>,
    pub(super) roles: Vec<Option<&'static str>>,
}

/// Those with a record, by place; the fourth has none, the fifth is anonymous.
pub(super) const USERS: [u128; 3] = [1, 2, 3];
const PROJECTS: std::ops::Range<u128> = 11..14;

pub(super) fn schema(rules: &[Rules]) -> Schema {
    let int = || FieldKind::Int { min: None, max: None };
    let float = || FieldKind::Float { min: None, max: None };
    let whose = || field("user", refers("User", OnDelete::Cascade));
    let identity = Some(FieldIndex(0));
    let user = vec![
        field("name", text()),
        field("role", text()),
        field("disabled", FieldKind::Bool),
        field("level", int()),
        field("ratio", float()),
        field("team", text()),
        field("tags", FieldKind::Json),
    ];
    let member = vec![
        whose(),
        field("project", refers("Project", OnDelete::Cascade)),
        field("role", text()),
        field("rank", int()),
        field("share", float()),
        field("active", FieldKind::Bool),
    ];
    let member = Entity { identity, ..entity("Membership", "memberships", member) };
    let team = Entity { identity, ..entity("Team", "teams", vec![whose(), field("label", text())]) };
    let kinds = ["a", "ab", "b"].map(Arc::from).to_vec();
    let thing = |number: usize, rules: &Rules| {
        let rule =
            |meaning: &Expr| Some(Rule { source: format!("{meaning:?}").into(), meaning: meaning.clone() });
        let fields: Vec<Field> = vec![
            field("title", text()),
            Field { read: rule(&rules.body), ..field("body", text()) },
            field("count", int()),
            field("other", int()),
            field("score", float()),
            field("done", FieldKind::Bool),
            field("open", FieldKind::Bool),
            field("kind", FieldKind::Enum { values: kinds.clone() }),
            field("tags", FieldKind::Json),
            field("data", FieldKind::Json),
            field("due", FieldKind::Date),
            field("at", FieldKind::Datetime),
            field("token", FieldKind::Uuid),
            field("owner", refers("User", OnDelete::SetNull)),
            field("project", refers("Project", OnDelete::SetNull)),
            field("note", text()),
        ];
        let mut thing = Entity {
            indexes: vec![vec![Column::Field(FieldIndex(7)), Column::Field(FieldIndex(2))]],
            ..entity(&format!("Thing{number}"), &format!("things{number}"), fields)
        };
        thing.access.read = rule(&rules.read);
        thing
    };
    let things = rules.iter().enumerate().map(|(number, rules)| thing(number, rules));
    let known = [entity("User", "users", user), entity("Project", "projects", vec![field("title", text())])];
    Schema::new(known.into_iter().chain([member, team]).chain(things))
}

pub(super) fn worlds() -> impl Strategy<Value = World> {
    let maybe = |kind: BoxedStrategy<Value>| prop_oneof![1 => Just(Value::Null), 4 => kind];
    let texts = || maybe(text_value().boxed());
    let numbers = || (maybe(int_value().boxed()), maybe(int_value().boxed()), maybe(float_value().boxed()));
    let flags = || (maybe(bool_value().boxed()), maybe(bool_value().boxed()));
    let lists = || (maybe(json_value().boxed()), maybe(json_value().boxed()));
    let kind =
        maybe(prop::sample::select(&["a", "ab", "b"][..]).prop_map(|text| Value::Text(text.into())).boxed());
    let days = maybe(prop::sample::select(&DAYS[..]).prop_map(|day| Value::Text(day.into())).boxed());
    let times = maybe(prop::sample::select(&TIMES[..]).prop_map(|time| Value::Text(time.into())).boxed());
    let refs = || (maybe(user_link().boxed()), maybe(project_link().boxed()));
    let first = (texts(), texts(), numbers(), flags(), kind, lists());
    let rest = (days, times, maybe(project_link().boxed()), refs(), texts());
    let thing = (first, rest).prop_map(|(first, rest)| {
        let (title, body, (count, other, score), (done, open), kind, (tags, data)) = first;
        let (due, at, token, (owner, project), note) = rest;
        vec![
            title, body, count, other, score, done, open, kind, tags, data, due, at, token, owner, project,
            note,
        ]
    });
    let member =
        (user_link(), maybe(project_link().boxed()), texts(), numbers(), maybe(bool_value().boxed()))
            .prop_map(|(user, project, role, (rank, _, share), active)| {
                vec![user, project, role, rank, share, active]
            });
    let team = (maybe(user_link().boxed()), texts()).prop_map(|(user, label)| vec![user, label]);
    let user = (texts(), texts(), prop::bool::weighted(0.1), numbers(), texts(), lists()).prop_map(
        |(name, role, disabled, (level, _, ratio), team, (tags, _))| {
            vec![name, role, Value::Bool(disabled), level, ratio, team, tags]
        },
    );
    (
        prop::collection::vec(thing, 1..14),
        prop::collection::vec(member, 0..6),
        prop::collection::vec(team, 0..4),
        prop::collection::vec(user, USERS.len()),
        prop::collection::vec(claims(), 5),
        prop::collection::vec(prop_oneof![2 => Just(None), 1 => Just(Some("a")), 1 => Just(Some(""))], 5),
    )
        .prop_map(|(things, members, teams, users, claims, roles)| World {
            things,
            members,
            teams,
            users,
            claims,
            roles,
        })
}

impl World {
    pub(super) fn persons(&self) -> Vec<Arc<Person>> {
        let id = |place: usize| match place {
            0..=2 => Some(Arc::from(crate::support::studio::id(USERS[place]).as_str())),
            3 => Some(Arc::from("without a record")),
            _ => None,
        };
        let of = |place: usize| Person {
            id: id(place),
            role: self.roles[place].map(Arc::from),
            claims: self.claims[place].clone().into(),
        };
        (0..5).map(of).map(Arc::new).collect()
    }
}

pub(super) fn rules() -> impl Strategy<Value = Rules> {
    let body = prop_oneof![2 => Just(Expr::Constant(true)), 1 => Just(Expr::Constant(false)), 2 => leaf()];
    let filter = prop::collection::vec(condition(), 0..3);
    (expr(), body, filter).prop_map(|(read, body, filter)| Rules { read, body, filter })
}

fn expr() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Expr::Not(Box::new(inner))),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Expr::All),
            prop::collection::vec(inner, 0..4).prop_map(Expr::Any),
        ]
    })
}

/// What terms may stand for.
#[derive(Clone, Copy, PartialEq)]
enum Scope {
    Record,
    /// Within an `exists`.
    Element,
}

fn leaf() -> BoxedStrategy<Expr> {
    prop_oneof![12 => test(Scope::Record), 2 => exists(), 2 => related()].boxed()
}

fn exists() -> BoxedStrategy<Expr> {
    let condition = prop_oneof![
        3 => test(Scope::Element),
        1 => test(Scope::Element).prop_map(|test| Expr::Not(Box::new(test))),
        2 => prop::collection::vec(test(Scope::Element), 0..3).prop_map(Expr::All),
        1 => prop::collection::vec(test(Scope::Element), 0..3).prop_map(Expr::Any),
    ];
    condition.prop_map(|condition| Expr::Exists("Membership".into(), "m".into(), Box::new(condition))).boxed()
}

fn related() -> BoxedStrategy<Expr> {
    let set = |entity: &str, column| RelatedSet { entity: entity.into(), column };
    prop_oneof![
        4 => (texts(Scope::Record), member_column(&MEMBER_TEXTS)).prop_map(move |(item, column)| {
            Expr::Related(item, set("Membership", column))
        }),
        1 => (numbers(Scope::Record), member_column(&MEMBER_NUMBERS)).prop_map(move |(item, column)| {
            Expr::Related(item, set("Membership", column))
        }),
        1 => bools(Scope::Record).prop_map(move |item| {
            Expr::Related(item, set("Membership", Column::Field(FieldIndex(MEMBER_BOOL))))
        }),
        1 => texts(Scope::Record).prop_map(move |item| {
            Expr::Related(item, set("Team", Column::Field(FieldIndex(1))))
        }),
    ]
    .boxed()
}

fn test(scope: Scope) -> BoxedStrategy<Expr> {
    let item = move || prop_oneof![3 => texts(scope), 2 => numbers(scope), 1 => bools(scope)];
    let not_sized =
        item().prop_filter("a number of things is never null", |term| !matches!(term, Term::Size(_)));
    prop_oneof![
        2 => any::<bool>().prop_map(Expr::Constant),
        4 => bools(scope).prop_map(Expr::Holds),
        10 => (texts(scope), comparison(), texts(scope)).prop_map(|(l, c, r)| Expr::Compare(l, c, r)),
        8 => (numbers(scope), comparison(), numbers(scope)).prop_map(|(l, c, r)| Expr::Compare(l, c, r)),
        3 => (bools(scope), comparison(), bools(scope)).prop_map(|(l, c, r)| Expr::Compare(l, c, r)),
        4 => prop_oneof![4 => not_sized, 2 => lists(), 1 => Just(Term::User(UserTerm::Itself))]
            .prop_map(Expr::IsNull),
        3 => (texts(scope), prop::collection::vec(texts(scope), 0..4)).prop_map(|(i, l)| Expr::OneOf(i, l)),
        2 => (numbers(scope), prop::collection::vec(numbers(scope), 0..4)).prop_map(|(i, l)| Expr::OneOf(i, l)),
        8 => (item(), lists()).prop_map(|(item, list)| Expr::Member(item, list)),
        4 => (texts(scope), texts(scope)).prop_map(|(text, prefix)| Expr::Starts(text, prefix)),
        4 => (texts(scope), texts(scope)).prop_map(|(text, suffix)| Expr::Ends(text, suffix)),
        4 => (texts(scope), texts(scope)).prop_map(|(text, part)| Expr::Contains(text, part)),
        1 => (0..THING_FIELDS).prop_map(|at| Expr::Named(FieldIndex(at))),
    ]
    .boxed()
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Eq, Gt, Gte, Lt, Lte, Ne};
    prop_oneof![4 => Just(Eq), 3 => Just(Ne), 1 => Just(Lt), 1 => Just(Lte), 1 => Just(Gt), 1 => Just(Gte)]
}

fn texts(scope: Scope) -> BoxedStrategy<Term> {
    let user = prop_oneof![
        3 => Just(UserTerm::Id),
        1 => Just(UserTerm::Role),
        1 => user_field(&USER_TEXTS),
        1 => claim(),
    ];
    let record = prop_oneof![9 => record_column(&TEXTS), 1 => Just(Column::Id)];
    prop_oneof![
        6 => record.prop_map(Term::Record),
        2 => text_value().prop_map(Term::Value),
        1 => project_link().prop_map(Term::Value),
        4 => user.prop_map(Term::User),
        5 => own(scope, &TEXTS, &MEMBER_TEXTS),
    ]
    .boxed()
}

fn numbers(scope: Scope) -> BoxedStrategy<Term> {
    let columns = prop_oneof![8 => record_column(&NUMBERS), 1 => Just(Column::Version)];
    let sized = prop_oneof![
        2 => record_column(&TEXTS).prop_map(Term::Record),
        3 => record_column(&LISTS).prop_map(Term::Record),
        1 => lists(),
        1 => prop_oneof![user_field(&USER_TEXTS), claim()].prop_map(Term::User),
    ];
    prop_oneof![
        6 => columns.prop_map(Term::Record),
        2 => int_value().prop_map(Term::Value),
        2 => float_value().prop_map(Term::Value),
        2 => prop_oneof![user_field(&USER_NUMBERS), claim()].prop_map(Term::User),
        3 => sized.prop_map(|term| Term::Size(Box::new(term))),
        5 => own(scope, &NUMBERS, &MEMBER_NUMBERS),
    ]
    .boxed()
}

fn bools(scope: Scope) -> BoxedStrategy<Term> {
    prop_oneof![
        6 => record_column(&BOOLS).prop_map(Term::Record),
        1 => bool_value().prop_map(Term::Value),
        2 => claim().prop_map(Term::User),
        5 => own(scope, &BOOLS, &[MEMBER_BOOL]),
    ]
    .boxed()
}

fn lists() -> BoxedStrategy<Term> {
    prop_oneof![
        4 => record_column(&LISTS).prop_map(Term::Record),
        2 => claim().prop_map(Term::User),
        1 => Just(Term::User(UserTerm::Field(FieldIndex(USER_LIST)))),
    ]
    .boxed()
}

fn record_column(fields: &'static [usize]) -> impl Strategy<Value = Column> {
    prop::sample::select(fields).prop_map(|at| Column::Field(FieldIndex(at)))
}

/// Of the record that an `exists` looks at, and elsewhere of the record itself.
fn own(scope: Scope, of_record: &'static [usize], of_element: &'static [usize]) -> BoxedStrategy<Term> {
    match scope {
        Scope::Record => record_column(of_record).prop_map(Term::Record).boxed(),
        Scope::Element => record_column(of_element).prop_map(Term::Element).boxed(),
    }
}

fn member_column(fields: &'static [usize]) -> impl Strategy<Value = Column> {
    record_column(fields)
}

fn user_field(fields: &'static [usize]) -> impl Strategy<Value = UserTerm> {
    prop::sample::select(fields).prop_map(|at| UserTerm::Field(FieldIndex(at)))
}

/// Some lead to nothing, and all to values of any type.
fn claim() -> impl Strategy<Value = UserTerm> {
    prop::collection::vec(prop::sample::select(&["a", "b", "c"][..]), 1..3)
        .prop_map(|path| UserTerm::Claim(path.into_iter().map(Arc::from).collect()))
}

fn claims() -> impl Strategy<Value = Map<String, Json>> {
    let value = prop_oneof![2 => document(), 1 => document().prop_map(|inner| json!({"a": inner}))];
    prop::collection::hash_map(prop::sample::select(&["a", "b", "c"][..]), value, 0..4)
        .prop_map(|claims| claims.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn document() -> impl Strategy<Value = Json> {
    let single = prop_oneof![
        4 => text_value().prop_map(|value| plain(&value)),
        2 => user_link().prop_map(|value| plain(&value)),
        3 => int_value().prop_map(|value| plain(&value)),
        2 => float_value().prop_map(|value| plain(&value)),
        2 => any::<bool>().prop_map(Json::Bool),
        1 => Just(Json::Null),
        1 => Just(json!(9_007_199_254_740_993_u64)),
        1 => Just(json!(u64::MAX)),
        1 => Just(json!({"a": 1})),
        1 => Just(json!(["a"])),
    ];
    prop_oneof![1 => single.clone(), 3 => prop::collection::vec(single, 0..4).prop_map(Json::Array)]
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Text(text) => json!(text),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Bool(flag) => json!(flag),
        Value::Null | Value::Json(_) => Json::Null,
    }
}

/// Null is no document here: it is the missing value.
fn json_value() -> impl Strategy<Value = Value> {
    document().prop_map(|json| if json.is_null() { Value::Null } else { Value::Json(json.to_string()) })
}

const DAYS: [&str; 3] = ["2026-11-20", "2026-11-21", "2027-01-01"];
const TIMES: [&str; 2] = ["2026-11-21T08:00:00.000Z", "2026-11-21T08:00:00.001Z"];

/// Few, so that they meet, begin with and hold one another.
fn text_value() -> impl Strategy<Value = Value> {
    let some =
        ["", "a", "ab", "b", "A", "1", "true", "\u{e9}", "e\u{301}", "\u{1f30a}a", "a'b\"%_", "2026-11-21"];
    prop::sample::select(some.to_vec()).prop_map(|text| Value::Text(text.to_owned()))
}

fn int_value() -> impl Strategy<Value = Value> {
    prop_oneof![6 => -1..3i64, 1 => Just((1 << 53) - 1)].prop_map(Value::Int)
}

fn float_value() -> impl Strategy<Value = Value> {
    prop_oneof![Just(-0.0), Just(0.0), Just(1.0), Just(1.5), Just(2.0), Just(0.1 + 0.2), Just(1e300)]
        .prop_map(Value::Float)
}

fn bool_value() -> impl Strategy<Value = Value> {
    any::<bool>().prop_map(Value::Bool)
}

fn user_link() -> impl Strategy<Value = Value> {
    prop::sample::select(&USERS[..]).prop_map(link)
}

fn project_link() -> impl Strategy<Value = Value> {
    PROJECTS.prop_map(link)
}

pub(super) fn projects() -> impl Iterator<Item = u128> {
    PROJECTS
}

/// Of a client: the values are of the column's type.
fn condition() -> impl Strategy<Value = Condition> {
    let null = (0..THING_FIELDS, any::<bool>()).prop_map(|(at, null)| (at, Test::Null(null)));
    let textual = prop_oneof![Just(0usize), Just(1), Just(1), Just(15)];
    let compared = |value: Value| {
        prop_oneof![
            2 => Just(Test::Eq(value.clone())),
            1 => Just(Test::Ne(value.clone())),
            1 => Just(Test::Lt(value.clone())),
            1 => Just(Test::Lte(value.clone())),
            1 => Just(Test::Gt(value.clone())),
            1 => Just(Test::Gte(value.clone())),
            1 => Just(Test::In(vec![value])),
        ]
    };
    let of_text = text_value().prop_flat_map(move |value| match value {
        Value::Text(text) => prop_oneof![
            2 => compared(Value::Text(text.clone())),
            1 => Just(Test::Contains(text.clone())),
            1 => Just(Test::Starts(text.clone())),
            1 => Just(Test::Ends(text)),
        ],
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => unreachable!(),
    });
    let number = prop_oneof![int_value(), float_value()].prop_flat_map(compared);
    let several = prop::collection::vec(text_value(), 0..4).prop_map(Test::In);
    prop_oneof![
        2 => null,
        4 => (textual.clone(), of_text),
        1 => (textual, several),
        3 => (prop::sample::select(&NUMBERS[..]), number),
        1 => (prop::sample::select(&BOOLS[..]), bool_value().prop_map(Test::Eq)),
        1 => (Just(13usize), user_link().prop_map(Test::Eq)),
    ]
    .prop_map(|(at, test)| Condition::new(Column::Field(FieldIndex(at)), test))
}
