//! The types that a file defines, and the functions of it that take or answer with a tuple.
//! Knows no other file.

use super::tokens::{Token, tokens};

/// The names of the structs, enums, unions, traits and type aliases of a file. Neither an associated type is a name of
/// its own, nor an alias that only says what another type of its name is made of: `type Queue = queue::Queue<Job>`.
pub(super) fn types_of(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    // One for each open brace: whether it is the body of an `impl` or of a trait.
    let mut bodies: Vec<bool> = Vec::new();
    let mut opens_body = false;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).filter(|next| next.is_name()).map_or("", |next| next.text);
        match token.text {
            "{" => bodies.push(std::mem::take(&mut opens_body)),
            "}" => {
                bodies.pop();
            }
            "impl" if begins_item(&tokens, at) => opens_body = true,
            "trait" if begins_item(&tokens, at) && !next.is_empty() => {
                opens_body = true;
                found.push(next.to_owned());
            }
            "struct" | "enum" | "union" if begins_item(&tokens, at) && !next.is_empty() => {
                found.push(next.to_owned());
            }
            "type" if begins_item(&tokens, at) && !next.is_empty() && bodies.last() != Some(&true) => {
                let target =
                    tokens[at + 2..].iter().take_while(|token| token.text != "<" && token.text != ";");
                if target.last().is_none_or(|last| last.text != next) {
                    found.push(next.to_owned());
                }
            }
            _ => {}
        }
    }
    found
}

/// `pub(crate) struct`, `unsafe impl`, and what follows an attribute or another item.
fn begins_item(tokens: &[Token<'_>], at: usize) -> bool {
    at == 0 || [";", "{", "}", "]", ")", "pub", "unsafe"].contains(&tokens[at - 1].text)
}

/// The names of the functions with a parameter that is a tuple: `(a, b): (A, B)`, or `pair: &(A, B)`.
pub(super) fn functions_that_take_a_tuple(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let functions = tokens
        .iter()
        .enumerate()
        .filter(|(at, token)| token.text == "fn" && tokens.get(at + 1).is_some_and(Token::is_name));
    let taking = functions.filter(|(at, _)| takes_a_tuple(&tokens[at + 2..]));
    taking.map(|(at, _)| tokens[at + 1].text.to_owned()).collect()
}

/// The names of the functions that others may call and that answer with a tuple, wherever in the answer it stands. The items of an
/// iterator are none: `(key, value)` is what iterators of the standard library give.
pub(super) fn functions_that_return_a_tuple(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let functions = tokens
        .iter()
        .enumerate()
        .filter(|(at, token)| token.text == "fn" && tokens.get(at + 1).is_some_and(Token::is_name));
    let returning =
        functions.filter(|(at, _)| is_public(&tokens[..*at]) && returns_a_tuple(&tokens[at + 2..]));
    returning.map(|(at, _)| tokens[at + 1].text.to_owned()).collect()
}

/// `pub fn`, `pub(super) async fn`. Functions of traits and of their impls answer as the trait says.
fn is_public(before: &[Token<'_>]) -> bool {
    let words = ["const", "async", "unsafe", "(", ")", "crate", "super", "self", "in", ":"];
    let first = before.iter().rev().find(|token| !words.contains(&token.text));
    first.is_some_and(|token| token.text == "pub")
}

/// `behind`: from the generics or the bracket of the parameters on.
fn returns_a_tuple(behind: &[Token<'_>]) -> bool {
    let mut depth = 0;
    let end = behind.iter().position(|token| {
        depth += i32::from(["(", "["].contains(&token.text)) - i32::from([")", "]"].contains(&token.text));
        depth == 0 && ["{", ";", "where"].contains(&token.text)
    });
    let head = &behind[..end.unwrap_or(behind.len())];
    let Some(arrow) = arrow(head) else { return false };
    let answer = &head[arrow + 1..];
    (0..answer.len()).any(|at| {
        let is_item = at >= 2 && answer[at - 1].text == "=" && answer[at - 2].text == "Item";
        // `Fn(A, B)` takes arguments.
        let is_call =
            at > 0 && answer[at - 1].is_name() && !["dyn", "mut", "impl"].contains(&answer[at - 1].text);
        answer[at].text == "(" && !is_item && !is_call && is_tuple(&answer[at..])
    })
}

/// The `->` of the function itself, and none of a closure among its parameters or generics.
fn arrow(head: &[Token<'_>]) -> Option<usize> {
    let (mut round, mut generics) = (0, 0);
    head.iter().position(|token| {
        round += i32::from(token.text == "(") - i32::from(token.text == ")");
        generics += i32::from(token.text == "<") - i32::from(token.text == ">");
        token.text == "->" && round == 0 && generics == 0
    })
}

/// `behind`: from the generics or the bracket of the parameters on.
fn takes_a_tuple(behind: &[Token<'_>]) -> bool {
    let mut generics = 0;
    let open = behind.iter().position(|token| {
        generics += i32::from(token.text == "<") - i32::from(token.text == ">");
        token.text == "(" && generics == 0
    });
    let Some(open) = open else { return false };
    let (mut round, mut other) = (0, 0);
    let mut is_type = false;
    for (at, token) in behind.iter().enumerate().skip(open) {
        match token.text {
            "(" if is_type && round == 1 && is_tuple(&behind[at..]) => return true,
            "(" => round += 1,
            ")" if round == 1 => return false,
            ")" => round -= 1,
            "<" | "[" | "{" => other += 1,
            ">" | "]" | "}" => other -= 1,
            _ => {}
        }
        let is_between =
            token.text == ":" || token.text == "&" || token.text == "mut" || token.text.starts_with('\'');
        is_type = round == 1 && other == 0 && (token.text == ":" || (is_type && is_between));
    }
    false
}

/// Not `()`, nor a type in brackets.
fn is_tuple(from: &[Token<'_>]) -> bool {
    let mut depth = 0;
    for token in from {
        match token.text {
            "(" | "<" | "[" => depth += 1,
            ")" if depth == 1 => return false,
            ")" | ">" | "]" => depth -= 1,
            "," if depth == 1 => return true,
            _ => {}
        }
    }
    false
}

#[test]
fn types_are_found_wherever_they_are_defined() {
    let text = "pub struct A<T>(T);\n#[x] enum B {}\npub(crate) trait C { type No; fn d() { struct D; } }\n\
                impl C for A { type No = u8; fn f(x: impl C) -> impl C { type E = u8; } }\nunion F {} type G = u8;\n\
                type No = c::No<A>;\
                fn h() where A: Sized { let union = 1; } // struct No\n#[cfg(test)] mod tests { struct No; }";
    assert_eq!(types_of(text), ["A", "B", "C", "D", "E", "F", "G"]);
}

#[test]
fn tuples_are_found_in_parameters_alone() {
    let text = "fn a((b, c): (B, C)) {}\nfn d(self, e: &'a mut (E, F)) {}\nfn g<T: Fn(A, B)>(h: T, i: Vec<(A, B)>, \
                j: &[(A, B)], k: &(dyn A + 'b), l: impl Fn((A, B)), m: ()) -> (A, B) { |n: (A, B)| n }\n\
                fn o(q: A, r: (u8, u8),) {}";
    assert_eq!(functions_that_take_a_tuple(text), ["a", "d", "o"]);
}

#[test]
fn tuples_are_found_in_answers_wherever_they_stand() {
    let text = "pub fn a() -> (A, B) {}\npub(super) async fn b<T: Fn(A) -> (A, B)>(x: T) -> Result<Option<(A, B)>, C> {}\n\
                fn c() -> (A, B) {}\npub fn d() -> impl Iterator<Item = (A, B)> {}\npub fn e(x: impl Fn() -> (A, B)) {}\n\
                pub(in crate::x) fn f(x: (A, B)) -> () {}\npub fn g() -> [(A, B); 3] { h() }\n\
                pub fn h() -> Box<dyn Fn(A, B)> {}\npub fn i() -> A { let x: (A, B); }\npub fn j() -> &[(A, B)] where A: B {}";
    assert_eq!(functions_that_return_a_tuple(text), ["a", "b", "g", "j"]);
}
