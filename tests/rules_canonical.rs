//! Bound rules have one form: those that mean the same are equal, so that users who see the same share a group.

use std::sync::Arc;

use serde_json::{Map, json};
use tidewire::rules::{Person, Predicate, Principal, bind};
use tidewire::schema::{Column, Comparison, Entity, Expr, FieldIndex, FieldKind, Term, UserTerm, Value};

use crate::support::studio::{entity, field, text};

const TITLE: usize = 0;
const COUNT: usize = 1;
const SCORE: usize = 2;
const TAGS: usize = 3;

fn task() -> Entity {
    let (min, max) = (None, None);
    let count = field("count", FieldKind::Int { min, max });
    let score = field("score", FieldKind::Float { min: None, max: None });
    entity("Task", "tasks", vec![field("title", text()), count, score, field("tags", FieldKind::Json)])
}

fn principal() -> Principal {
    let claims = json!({"one": 1, "whole": 1.0, "zero": -0.0, "list": ["a", "b"], "back": ["b", "a", "a"]});
    let claims: Map<_, _> = claims.as_object().unwrap().clone();
    Principal::unread(Arc::new(Person { id: Some("ada".into()), role: None, claims: claims.into() }))
}

fn bound(rule: &Expr) -> Predicate {
    bind(rule, &task(), &principal()).unwrap()
}

fn column(at: usize) -> Term {
    Term::Record(Column::Field(FieldIndex(at)))
}

fn claim(name: &str) -> Term {
    Term::User(UserTerm::Claim(vec![name.into()]))
}

fn words(text: &str) -> Term {
    Term::Value(Value::Text(text.to_owned()))
}

fn is(at: usize, other: Term) -> Expr {
    Expr::Compare(column(at), Comparison::Eq, other)
}

fn not(rule: Expr) -> Expr {
    Expr::Not(Box::new(rule))
}

#[test]
fn rules_that_mean_the_same_are_bound_to_the_same() {
    let [a, b, c] = ["a", "b", "c"].map(|text| move || is(TITLE, words(text)));
    let long =
        || Expr::Compare(Term::Size(Box::new(column(TITLE))), Comparison::Gt, Term::Value(Value::Int(2)));
    let starts = || Expr::Starts(column(TITLE), words("a"));
    let all = Expr::All;
    let any = Expr::Any;
    for (one, other, expected) in [
        (any(vec![a(), long()]), any(vec![long(), a()]), r#"size(title) > 2 || title == "a""#),
        (all(vec![a(), long(), a()]), all(vec![long(), a()]), r#"size(title) > 2 && title == "a""#),
        (all(vec![a(), all(vec![long()])]), all(vec![long(), a()]), r#"size(title) > 2 && title == "a""#),
        (not(not(a())), a(), r#"title == "a""#),
        (not(starts()), not(not(not(starts()))), r#"!(title.startsWith("a"))"#),
        (
            not(any(vec![a(), starts()])),
            all(vec![not(starts()), not(a())]),
            r#"!(title.startsWith("a")) && title != "a""#,
        ),
        (
            not(all(vec![a(), long()])),
            any(vec![not(long()), not(a())]),
            r#"size(title) <= 2 || title != "a""#,
        ),
        (
            any(vec![a(), b(), b()]),
            Expr::OneOf(column(TITLE), vec![words("b"), words("a")]),
            r#"title in ["a", "b"]"#,
        ),
        (
            any(vec![a(), any(vec![c(), b()])]),
            any(vec![any(vec![b(), a()]), c()]),
            r#"title in ["a", "b", "c"]"#,
        ),
        (
            Expr::Member(column(TITLE), claim("list")),
            Expr::Member(column(TITLE), claim("back")),
            r#"title in ["a", "b"]"#,
        ),
        (
            Expr::Compare(words("a"), Comparison::Lt, column(TITLE)),
            Expr::Compare(column(TITLE), Comparison::Gt, words("a")),
            r#"title > "a""#,
        ),
        (is(COUNT, claim("one")), is(COUNT, claim("whole")), "count == 1"),
        (is(SCORE, claim("one")), is(SCORE, claim("whole")), "score == 1.0"),
        (is(SCORE, claim("zero")), is(SCORE, Term::Value(Value::Int(0))), "score == 0.0"),
        (
            Expr::Member(claim("one"), column(TAGS)),
            Expr::Member(Term::Value(Value::Float(1.0)), column(TAGS)),
            "1 in tags",
        ),
        (any(vec![a(), Expr::Constant(true)]), not(all(vec![Expr::Constant(false), a()])), "true"),
        (all(vec![a(), is(COUNT, claim("none"))]), not(is(TITLE, claim("none"))), "false"),
        (all(vec![]), not(any(vec![])), "true"),
    ] {
        let (one, other) = (bound(&one), bound(&other));
        assert_eq!(one, other);
        assert_eq!(one.text(&task()), expected);
    }
}

#[test]
fn rules_with_different_meanings_stay_different() {
    let rules = [
        is(TITLE, words("a")),
        is(TITLE, words("1")),
        is(COUNT, Term::Value(Value::Int(1))),
        is(SCORE, Term::Value(Value::Int(1))),
        not(is(TITLE, words("a"))),
        Expr::IsNull(column(TITLE)),
        not(Expr::IsNull(column(TITLE))),
        Expr::Member(words("1"), column(TAGS)),
        Expr::Member(Term::Value(Value::Int(1)), column(TAGS)),
        Expr::Member(Term::Value(Value::Bool(true)), column(TAGS)),
        Expr::Member(words("true"), column(TAGS)),
        is(TITLE, words("a\" || title == \"b")),
        Expr::Any(vec![is(TITLE, words("a")), is(TITLE, words("b"))]),
        Expr::All(vec![
            Expr::Any(vec![is(TITLE, words("a")), is(COUNT, claim("one"))]),
            Expr::Any(vec![is(TITLE, words("b")), is(SCORE, claim("one"))]),
        ]),
        Expr::Any(vec![
            is(TITLE, words("a")),
            Expr::All(vec![is(COUNT, claim("one")), is(TITLE, words("b"))]),
            is(SCORE, claim("one")),
        ]),
    ];
    let texts: std::collections::BTreeSet<String> =
        rules.iter().map(|rule| bound(rule).text(&task())).collect();
    assert_eq!(texts.len(), rules.len(), "{texts:#?}");
}
