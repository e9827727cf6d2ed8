//! Words and signs of other languages, answered with what to write in a rule.

use super::lexer::{Infix, Token, TokenKind};
use super::syntax::{Binary, SyntaxError};
use crate::schema::message::quoted;

/// Finds the first word that belongs to another language. The message of a parser alone would not help.
pub(super) fn refuse(text: &str, tokens: &[Token]) -> Result<(), SyntaxError> {
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|before| before.kind);
        let after = tokens.get(at + 1).map(|after| after.kind);
        let word = text.get(token.span.clone()).unwrap_or_default();
        let (shown, advice) = if token.kind == LESS && after == Some(GREATER) {
            ("<>", Some("write `!=`"))
        } else if token.kind == TokenKind::Minus && after == Some(GREATER) {
            ("->", Some("write `.`"))
        } else if token.kind == QUESTION && after == Some(TokenKind::Dot) {
            ("?.", Some("write `.`; what is not there is unknown, and unknown denies"))
        } else if token.kind != TokenKind::Name {
            continue;
        } else if before.is_some_and(TokenKind::ends_value) {
            (word, between_values(word, after))
        } else {
            (word, before_value(word, after))
        };
        if let Some(advice) = advice {
            let message = format!("rules have no {}: {advice}", quoted(shown));
            return Err(SyntaxError::syntax(token.span.clone(), message));
        }
    }
    Ok(())
}

const LESS: TokenKind = TokenKind::Infix(Infix::Binary(Binary::Less));
const GREATER: TokenKind = TokenKind::Infix(Infix::Binary(Binary::Greater));
const QUESTION: TokenKind = TokenKind::Infix(Infix::Question);
const IN: TokenKind = TokenKind::Infix(Infix::Binary(Binary::In));

/// Where an operator must stand.
fn between_values(word: &str, after: Option<TokenKind>) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "write `&&`",
        "or" => "write `||`",
        "not" if after == Some(IN) => "write `!(x in list)`",
        "is" | "eq" | "equals" => "write `==`",
        "isnt" | "ne" => "write `!=`",
        "matches" | "like" | "ilike" => {
            "write `text.startsWith('a')`, `text.endsWith('a')` or `text.contains('a')`, or store the answer in a field"
        }
        "contains" | "includes" | "has" => "write `text.contains('a')`, or `x in list`",
        "startswith" => "write `text.startsWith('a')`",
        "endswith" => "write `text.endsWith('a')`",
        _ => return None,
    })
}

/// Where a value must stand. A field may have any of these names.
fn before_value(word: &str, after: Option<TokenKind>) -> Option<&'static str> {
    let negates = word.eq_ignore_ascii_case("not") && after.is_some_and(TokenKind::begins_value);
    negates.then_some("write `!(…)`")
}
