//! Rules that no author would write: too deep, too long, of any characters. Each is answered, and none takes long.

use std::time::Duration;

use tokio::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::support::properties::stories;

/// Of a rule that cannot be quoted by one kind of quotes.
fn answered(rule: &str) -> Result<Schema, Vec<Json>> {
    let text = serde_json::json!({
        "entity": "Note",
        "fields": {"title": {"type": "text"}, "done": {"type": "bool"}},
        "access": {"read": rule},
    });
    let source = source("note.json", &text.to_string());
    check(&[source]).map_err(|errors| {
        assert!(errors.to_string().contains("error[E"));
        errors.to_json().as_array().unwrap().clone()
    })
}

fn code_of(rule: &str) -> String {
    let errors = answered(rule).expect_err("it is beyond a bound");
    errors[0]["code"].as_str().unwrap().to_owned()
}

#[test]
fn bounds_hold_exactly() {
    let brackets = |count: usize| format!("{}done{}", "(".repeat(count), ")".repeat(count));
    assert!(answered(&brackets(64)).is_ok());
    assert_eq!(code_of(&brackets(65)), "E0177");
    let negations = |count: usize| format!("{}done{}", "!(".repeat(count), ")".repeat(count));
    assert!(answered(&negations(64)).is_ok());
    assert_eq!(code_of(&negations(65)), "E0177");
    // A name and an operator are a part each.
    let chain = |count: usize| vec!["done"; count].join("||");
    assert!(answered(&chain(250)).is_ok());
    assert_eq!(code_of(&chain(251)), "E0177");
    let list = |count: usize| format!("title in [{}]", vec!["'a'"; count].join(","));
    assert!(answered(&list(497)).is_ok());
    assert_eq!(code_of(&list(498)), "E0177");
    let long = |count: usize| format!("title == '{}'", "a".repeat(count));
    assert!(answered(&long(4096 - 11)).is_ok());
    assert_eq!(code_of(&long(4096 - 10)), "E0170");
}

#[test]
fn rules_that_grow_on_purpose_are_answered_at_once() {
    let rules = [
        "(".repeat(4096),
        "[".repeat(4096),
        "{".repeat(4096),
        "!".repeat(4096),
        "-".repeat(4096),
        "!-".repeat(2048),
        "a.".repeat(2048),
        "a?".repeat(2000),
        "a?b:".repeat(1000),
        "a==".repeat(1300),
        "f(".repeat(2000),
        "a.f(".repeat(1000),
        "a[".repeat(2000),
        "has(".repeat(1000),
        "user.notes.exists(m,".repeat(200),
        "\"".repeat(4095),
        "'\\".repeat(2000),
        "//".repeat(2000),
        "🙂".repeat(1000),
        format!("done{}", ".a".repeat(2000)),
        format!("done{}", ".f()".repeat(1000)),
        format!("{}done", "[{".repeat(2000)),
        "\u{0}".repeat(100),
        "\u{1b}[2J".to_owned(),
    ];
    let before = Instant::now();
    for rule in rules {
        let errors = answered(&rule).expect_err("none of them is a rule, or may be one");
        let shown = serde_json::to_string(&errors).unwrap();
        assert!(!shown.contains('\u{1b}') && shown.len() < 20_000, "{shown}");
    }
    // One of them that took exponential time would take forever; this is only generous.
    assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
}

#[test]
fn every_beginning_of_a_rule_is_answered() {
    let rule = "owner == user.id || user.memberships.exists(m, m.project == 'é🙂' && -1.5e3 <= size(m.x) && !has(change.a.b) && x in [\"a\", b'c', r'd', 3u, null])";
    for (end, _) in rule.char_indices() {
        let _ = answered(&rule[..end]);
    }
    for (at, letter) in rule.char_indices() {
        for other in ["", "(", ")", "'", "`", "\\", "?", "é", "\0"] {
            let _ = answered(&format!("{}{other}{}", &rule[..at], &rule[at + letter.len_utf8()..]));
        }
    }
}

/// Pieces of the language in any order, so that more than the first letter is read.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "title", "done", "user", ".", "id", "role", "claims", "change", "record", "has", "exists", "size",
        "in", "==", "!=", "<", ">=", "&&", "||", "!", "-", "+", "?", ":", "(", ")", "[", "]", "{", "}", ",",
        "'a'", "\"é\"", "'''", "3", "1.5", "0x", "1e", "3u", "b'a'", "null", "true", "as", "`", "\\", "//",
        "\n", " ", "🙂", "\u{0}", "_", "r'", "all",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(stories(2000))]

    #[test]
    fn no_text_harms_the_checker(rule in prop_oneof![pieces(), "\\PC{0,200}", ".{0,200}"]) {
        let _ = answered(&rule);
    }
}
