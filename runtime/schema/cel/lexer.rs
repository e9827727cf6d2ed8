//! The text of a rule to tokens, without white space and comments.
//!
//! A token of a text or number keeps its place only; `literal.rs` reads the value.

use super::syntax::{Binary, SyntaxError};
use crate::schema::message::quoted;
use crate::schema::tree::Span;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    Name,
    /// A word that CEL keeps for itself, `package` for example.
    Reserved,
    Literal(Literal),
    Infix(Infix),
    /// Before a value, or between two.
    Minus,
    Not,
    Colon,
    Comma,
    Dot,
    Open(Bracket),
    Close(Bracket),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Literal {
    Null,
    True,
    False,
    Int,
    Unsigned,
    Float,
    Text,
    Bytes,
}

/// What is between two values only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Infix {
    Question,
    Or,
    And,
    Binary(Binary),
    Plus,
    /// `*`, `/` or `%`
    Times,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bracket {
    Round,
    Square,
    Curly,
}

impl TokenKind {
    /// Whether a value can begin with this token. `-` and `[` are left out: they are also between values.
    pub(super) fn begins_value(self) -> bool {
        matches!(self, Self::Name | Self::Literal(_) | Self::Not | Self::Open(Bracket::Round))
    }

    pub(super) fn ends_value(self) -> bool {
        matches!(self, Self::Name | Self::Literal(_) | Self::Close(_))
    }
}

const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Longer signs first, so that `<=` is not read as `<`.
const SIGNS: &[(&str, TokenKind)] = &[
    ("==", TokenKind::Infix(Infix::Binary(Binary::Equal))),
    ("!=", TokenKind::Infix(Infix::Binary(Binary::NotEqual))),
    ("<=", TokenKind::Infix(Infix::Binary(Binary::LessOrEqual))),
    (">=", TokenKind::Infix(Infix::Binary(Binary::GreaterOrEqual))),
    ("&&", TokenKind::Infix(Infix::And)),
    ("||", TokenKind::Infix(Infix::Or)),
    ("<", TokenKind::Infix(Infix::Binary(Binary::Less))),
    (">", TokenKind::Infix(Infix::Binary(Binary::Greater))),
    ("!", TokenKind::Not),
    ("-", TokenKind::Minus),
    ("+", TokenKind::Infix(Infix::Plus)),
    ("*", TokenKind::Infix(Infix::Times)),
    ("/", TokenKind::Infix(Infix::Times)),
    ("%", TokenKind::Infix(Infix::Times)),
    ("?", TokenKind::Infix(Infix::Question)),
    (":", TokenKind::Colon),
    (",", TokenKind::Comma),
    (".", TokenKind::Dot),
    ("(", TokenKind::Open(Bracket::Round)),
    (")", TokenKind::Close(Bracket::Round)),
    ("[", TokenKind::Open(Bracket::Square)),
    ("]", TokenKind::Close(Bracket::Square)),
    ("{", TokenKind::Open(Bracket::Curly)),
    ("}", TokenKind::Close(Bracket::Curly)),
];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SyntaxError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    /// Always at the border of a character.
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn token(&mut self) -> Result<Option<Token>, SyntaxError> {
        self.skip_blanks();
        let (start, rest) = (self.at, self.rest());
        let Some(first) = rest.chars().next() else { return Ok(None) };
        let kind = if let Some(opening) = Opening::of(rest) {
            TokenKind::Literal(self.quoted_text(opening)?)
        } else if is_letter(first) {
            self.word()
        } else if first.is_ascii_digit() || rest.strip_prefix('.').is_some_and(begins_with_digit) {
            TokenKind::Literal(self.number()?)
        } else if let Some((sign, kind)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
            self.at += sign.len();
            *kind
        } else {
            return Err(self.unreadable(first));
        };
        Ok(Some(Token { kind, span: start..self.at }))
    }

    fn skip_blanks(&mut self) {
        loop {
            let blanks = self.rest();
            let rest = blanks.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            let comment = match rest.starts_with("//") {
                true => rest.find('\n').unwrap_or(rest.len()),
                false => 0,
            };
            self.at += blanks.len() - rest.len() + comment;
            if comment == 0 {
                return;
            }
        }
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        self.skip(|letter| is_letter(letter) || letter.is_ascii_digit());
        match self.text.get(start..self.at).unwrap_or_default() {
            "null" => TokenKind::Literal(Literal::Null),
            "true" => TokenKind::Literal(Literal::True),
            "false" => TokenKind::Literal(Literal::False),
            "in" => TokenKind::Infix(Infix::Binary(Binary::In)),
            word if RESERVED.contains(&word) => TokenKind::Reserved,
            _ => TokenKind::Name,
        }
    }

    fn number(&mut self) -> Result<Literal, SyntaxError> {
        let start = self.at;
        let rest = self.rest();
        let mut kind = match rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            Some(digits) => {
                self.at = self.text.len() - digits.len();
                self.skip(|letter| letter.is_ascii_hexdigit());
                Literal::Int
            }
            None => self.decimal(),
        };
        let has_digits = !self.text.get(start..self.at).unwrap_or_default().ends_with(['x', 'X']);
        if kind == Literal::Int && self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            kind = Literal::Unsigned;
        }
        let end = self.at;
        self.skip(|letter| is_letter(letter) || letter.is_ascii_digit());
        if self.at > end || !has_digits {
            let number = quoted(self.text.get(start..self.at).unwrap_or_default());
            return Err(SyntaxError::syntax(start..self.at, format!("{number} is not a number")));
        }
        Ok(kind)
    }

    /// Digits, a fraction, an exponent. An exponent without digits is left for the caller to refuse.
    fn decimal(&mut self) -> Literal {
        self.skip(|letter| letter.is_ascii_digit());
        let mut kind = Literal::Int;
        if self.rest().strip_prefix('.').is_some_and(begins_with_digit) {
            self.at += 1;
            self.skip(|letter| letter.is_ascii_digit());
            kind = Literal::Float;
        }
        if let Some(exponent) = self.rest().strip_prefix(['e', 'E']) {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if begins_with_digit(digits) {
                self.at = self.text.len() - digits.len();
                self.skip(|letter| letter.is_ascii_digit());
                kind = Literal::Float;
            }
        }
        kind
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|letter| !wanted(letter)).unwrap_or(rest.len());
    }

    fn quoted_text(&mut self, opening: Opening<'_>) -> Result<Literal, SyntaxError> {
        let start = self.at;
        self.at += opening.length;
        loop {
            let rest = self.rest();
            if rest.starts_with(opening.quotes) {
                self.at += opening.quotes.len();
                return Ok(opening.kind);
            }
            let mut letters = rest.chars();
            let ends = match letters.next() {
                None => true,
                Some('\n' | '\r') => opening.quotes.len() == 1,
                Some(_) => false,
            };
            if ends {
                return Err(SyntaxError::syntax(start..self.at, "the closing quote of this text is missing"));
            }
            if rest.starts_with('\\') && !opening.is_raw && letters.next().is_none() {
                return Err(SyntaxError::syntax(
                    start..self.text.len(),
                    "the closing quote of this text is missing",
                ));
            }
            self.at = self.text.len() - letters.as_str().len();
        }
    }

    fn unreadable(&self, letter: char) -> SyntaxError {
        let span = self.at..self.at + letter.len_utf8();
        let before = self.text.get(..self.at).unwrap_or_default();
        let message = match letter {
            '=' if before.ends_with("!=") => "there is no `!==`: write `!=`".to_owned(),
            '=' if before.ends_with("==") => "there is no `===`: write `==`".to_owned(),
            '=' => "`=` does not compare: write `==`".to_owned(),
            '&' => "rules have no `&`: write `&&`".to_owned(),
            '|' => "rules have no `|`: write `||`".to_owned(),
            _ => format!("{} is not possible here", quoted(letter.encode_utf8(&mut [0; 4]))),
        };
        SyntaxError::syntax(span, message)
    }
}

/// How a text begins: prefixes and quotes.
pub(super) struct Opening<'a> {
    pub(super) kind: Literal,
    pub(super) is_raw: bool,
    pub(super) quotes: &'a str,
    /// Of prefixes and quotes, in bytes.
    pub(super) length: usize,
}

impl<'a> Opening<'a> {
    pub(super) fn of(text: &'a str) -> Option<Self> {
        let after = text.trim_start_matches(['r', 'R', 'b', 'B']);
        let prefix = text.get(..text.len() - after.len())?;
        let is_raw = prefix.contains(['r', 'R']);
        let is_bytes = prefix.contains(['b', 'B']);
        if prefix.len() > usize::from(is_raw) + usize::from(is_bytes) {
            return None;
        }
        let quotes = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quotes| after.starts_with(quotes))?;
        let kind = if is_bytes { Literal::Bytes } else { Literal::Text };
        Some(Self { kind, is_raw, quotes, length: prefix.len() + quotes.len() })
    }
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphabetic() || letter == '_'
}

fn begins_with_digit(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_digit())
}
