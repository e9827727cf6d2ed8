//! Tokens to a syntax tree, by precedence (a Pratt parser).
//!
//! Its recursion is bounded by the number of tokens, which `bounds.rs` limits.

use super::lexer::{Bracket, Infix, Literal, Token, TokenKind};
use super::literal;
use super::syntax::{Binary, Identifier, SyntaxData, SyntaxError, SyntaxNode, Unsupported};
use crate::schema::message::quoted;

pub(super) fn parse(text: &str, tokens: &[Token]) -> Result<SyntaxNode, SyntaxError> {
    let mut parser = Parser { text, tokens };
    let node = parser.expression(Power::CONDITIONAL)?;
    match parser.tokens.first() {
        None => Ok(node),
        Some(_) => Err(parser.fault(|found| format!("the rule ends before {found}"))),
    }
}

/// How strongly an operator holds its operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Power(u8);

impl Power {
    const CONDITIONAL: Self = Self(0);
    const OR: Self = Self(1);
    const AND: Self = Self(2);
    const RELATION: Self = Self(3);
    const SUM: Self = Self(4);
    const PRODUCT: Self = Self(5);

    fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The operator that a token is between two operands.
fn infix(kind: TokenKind) -> Option<(InfixOperator, Power)> {
    Some(match kind {
        TokenKind::Infix(Infix::Question) => (InfixOperator::Question, Power::CONDITIONAL),
        TokenKind::Infix(Infix::Or) => (InfixOperator::Chain(SyntaxData::Any), Power::OR),
        TokenKind::Infix(Infix::And) => (InfixOperator::Chain(SyntaxData::All), Power::AND),
        TokenKind::Infix(Infix::Binary(binary)) => (InfixOperator::Binary(binary), Power::RELATION),
        TokenKind::Infix(Infix::Plus) => (InfixOperator::Chain(SyntaxData::Sum), Power::SUM),
        TokenKind::Minus => (InfixOperator::Arithmetic, Power::SUM),
        TokenKind::Infix(Infix::Times) => (InfixOperator::Arithmetic, Power::PRODUCT),
        TokenKind::Name
        | TokenKind::Reserved
        | TokenKind::Literal(_)
        | TokenKind::Not
        | TokenKind::Colon
        | TokenKind::Comma
        | TokenKind::Dot
        | TokenKind::Open(_)
        | TokenKind::Close(_) => return None,
    })
}

enum InfixOperator {
    Question,
    /// `a && b && c` is one node with three operands.
    Chain(fn(Vec<SyntaxNode>) -> SyntaxData),
    Binary(Binary),
    Arithmetic,
}

struct Parser<'a> {
    text: &'a str,
    /// What is left.
    tokens: &'a [Token],
}

impl<'a> Parser<'a> {
    /// A part whose operators hold at least as strongly as `weakest`.
    fn expression(&mut self, weakest: Power) -> Result<SyntaxNode, SyntaxError> {
        let mut left = self.unary()?;
        while let Some(kind) = self.peek() {
            let Some((operator, power)) = infix(kind).filter(|(_, power)| *power >= weakest) else { break };
            self.take();
            left = match operator {
                InfixOperator::Question => self.conditional(left)?,
                InfixOperator::Chain(data) => self.chain(left, kind, power, data)?,
                InfixOperator::Binary(binary) => {
                    let right = self.expression(power.next())?;
                    let span = left.span.start..right.span.end;
                    SyntaxNode { span, data: SyntaxData::Binary(binary, Box::new(left), Box::new(right)) }
                }
                InfixOperator::Arithmetic => {
                    let right = self.expression(power.next())?;
                    SyntaxNode {
                        span: left.span.start..right.span.end,
                        data: SyntaxData::Unsupported(Unsupported::Arithmetic),
                    }
                }
            };
        }
        Ok(left)
    }

    fn chain(
        &mut self,
        first: SyntaxNode,
        kind: TokenKind,
        power: Power,
        data: fn(Vec<SyntaxNode>) -> SyntaxData,
    ) -> Result<SyntaxNode, SyntaxError> {
        let mut span = first.span.clone();
        let mut operands = vec![first];
        loop {
            let operand = self.expression(power.next())?;
            span.end = operand.span.end;
            operands.push(operand);
            if !self.took(kind) {
                break;
            }
        }
        Ok(SyntaxNode { span, data: data(operands) })
    }

    fn conditional(&mut self, condition: SyntaxNode) -> Result<SyntaxNode, SyntaxError> {
        self.expression(Power::OR)?;
        self.expect(TokenKind::Colon, ":")?;
        let otherwise = self.expression(Power::CONDITIONAL)?;
        let span = condition.span.start..otherwise.span.end;
        Ok(SyntaxNode { span, data: SyntaxData::Unsupported(Unsupported::Conditional) })
    }

    /// Signs before a value. Two negations are none, as in CEL.
    fn unary(&mut self) -> Result<SyntaxNode, SyntaxError> {
        let first = self.tokens;
        let Some(sign) = self.peek().filter(|kind| matches!(kind, TokenKind::Not | TokenKind::Minus)) else {
            return self.member();
        };
        let mut last = 0..0;
        while let Some(token) = self.tokens.first().filter(|token| token.kind == sign) {
            last = token.span.clone();
            self.take();
        }
        let mut count = first.len() - self.tokens.len();
        let inner = match self.peek() {
            // The last sign belongs to the number: the smallest integer has no positive counterpart.
            Some(TokenKind::Literal(Literal::Int | Literal::Float)) if sign == TokenKind::Minus => {
                count -= 1;
                let number = self.number(Some(last.start))?;
                self.what_hangs_on(number)?
            }
            _ => self.unary()?,
        };
        if count.is_multiple_of(2) {
            return Ok(inner);
        }
        let start = first.first().map_or(last.start, |first| first.span.start);
        let span = start..inner.span.end;
        let data = if sign == TokenKind::Not {
            SyntaxData::Not(Box::new(inner))
        } else {
            SyntaxData::Unsupported(Unsupported::Arithmetic)
        };
        Ok(SyntaxNode { span, data })
    }

    fn member(&mut self) -> Result<SyntaxNode, SyntaxError> {
        let value = self.primary()?;
        self.what_hangs_on(value)
    }

    /// Takes `.name`, `.name(…)`, `[…]` and `{…}` after a value.
    fn what_hangs_on(&mut self, mut of: SyntaxNode) -> Result<SyntaxNode, SyntaxError> {
        loop {
            if self.took(TokenKind::Dot) {
                let word = self.word()?;
                of = match self.took(TokenKind::Open(Bracket::Round)) {
                    false => {
                        let span = of.span.start..word.span.end;
                        SyntaxNode { span, data: SyntaxData::Select(Box::new(of), word) }
                    }
                    true => {
                        let (arguments, end) = self.items(Bracket::Round)?;
                        let span = of.span.start..end;
                        SyntaxNode { span, data: SyntaxData::Call(Some(Box::new(of)), word, arguments) }
                    }
                };
            } else if self.took(TokenKind::Open(Bracket::Square)) {
                self.expression(Power::CONDITIONAL)?;
                let end = self.close(Bracket::Square)?;
                of = SyntaxNode {
                    span: of.span.start..end,
                    data: SyntaxData::Unsupported(Unsupported::Index),
                };
            } else if self.peek() == Some(TokenKind::Open(Bracket::Curly)) && is_path(&of) {
                self.take();
                let end = self.entries()?;
                of = SyntaxNode {
                    span: of.span.start..end,
                    data: SyntaxData::Unsupported(Unsupported::Struct),
                };
            } else {
                return Ok(of);
            }
        }
    }

    fn primary(&mut self) -> Result<SyntaxNode, SyntaxError> {
        let Some(token) = self.tokens.first() else { return Err(self.no_value()) };
        let start = token.span.start;
        let data = match token.kind {
            TokenKind::Literal(Literal::Int | Literal::Float) => return self.number(None),
            TokenKind::Literal(Literal::Null) => SyntaxData::Null,
            TokenKind::Literal(Literal::True) => SyntaxData::Bool(true),
            TokenKind::Literal(Literal::False) => SyntaxData::Bool(false),
            TokenKind::Literal(Literal::Unsigned) => SyntaxData::Unsupported(Unsupported::Unsigned),
            TokenKind::Literal(Literal::Bytes) => SyntaxData::Unsupported(Unsupported::Bytes),
            TokenKind::Literal(Literal::Text) => match literal::text(self.source(token)) {
                Some(text) => SyntaxData::Text(text),
                None => {
                    return Err(self.fault(|found| format!("{found} has an escape that CEL does not have")));
                }
            },
            TokenKind::Name => return self.name(),
            TokenKind::Reserved => return Err(self.reserved()),
            TokenKind::Open(bracket) => return self.bracketed(bracket, start),
            TokenKind::Infix(_)
            | TokenKind::Minus
            | TokenKind::Not
            | TokenKind::Colon
            | TokenKind::Comma
            | TokenKind::Dot
            | TokenKind::Close(_) => {
                return Err(self.no_value());
            }
        };
        self.take();
        Ok(SyntaxNode { span: token.span.clone(), data })
    }

    /// With the place of the minus before it, if there is one.
    fn number(&mut self, minus: Option<usize>) -> Result<SyntaxNode, SyntaxError> {
        let Some(token) = self.tokens.first() else { return Err(self.no_value()) };
        let digits = self.source(token);
        let data = match token.kind == TokenKind::Literal(Literal::Float) {
            true => literal::float(digits, minus.is_some()).map(SyntaxData::Float),
            false => literal::int(digits, minus.is_some()).map(SyntaxData::Int),
        };
        let Some(data) = data else {
            return Err(self.fault(|found| format!("the number {found} is out of range or incomplete")));
        };
        self.take();
        Ok(SyntaxNode { span: minus.unwrap_or(token.span.start)..token.span.end, data })
    }

    fn name(&mut self) -> Result<SyntaxNode, SyntaxError> {
        let word = self.word()?;
        let start = word.span.start;
        if self.took(TokenKind::Open(Bracket::Round)) {
            let (arguments, end) = self.items(Bracket::Round)?;
            return Ok(SyntaxNode { span: start..end, data: SyntaxData::Call(None, word, arguments) });
        }
        Ok(SyntaxNode { span: word.span, data: SyntaxData::Name(word.text) })
    }

    fn bracketed(&mut self, bracket: Bracket, start: usize) -> Result<SyntaxNode, SyntaxError> {
        self.take();
        Ok(match bracket {
            Bracket::Round => {
                let inner = self.expression(Power::CONDITIONAL)?;
                self.close(Bracket::Round)?;
                inner
            }
            Bracket::Square => {
                let (items, end) = self.items(Bracket::Square)?;
                SyntaxNode { span: start..end, data: SyntaxData::List(items) }
            }
            Bracket::Curly => {
                SyntaxNode { span: start..self.entries()?, data: SyntaxData::Unsupported(Unsupported::Map) }
            }
        })
    }

    /// Values between commas up to the closing bracket, and where that ends. A list may end with a comma.
    fn items(&mut self, bracket: Bracket) -> Result<(Vec<SyntaxNode>, usize), SyntaxError> {
        let mut items = Vec::new();
        while self.peek() != Some(TokenKind::Close(bracket)) {
            items.push(self.expression(Power::CONDITIONAL)?);
            if !self.took(TokenKind::Comma) {
                break;
            }
            if bracket == Bracket::Round && self.peek() == Some(TokenKind::Close(bracket)) {
                return Err(self.no_value());
            }
        }
        Ok((items, self.close(bracket)?))
    }

    /// `key: value` between commas up to the closing bracket, and where that ends. Rules have no maps, so nothing is kept.
    fn entries(&mut self) -> Result<usize, SyntaxError> {
        while self.peek() != Some(TokenKind::Close(Bracket::Curly)) {
            self.expression(Power::OR)?;
            self.expect(TokenKind::Colon, ":")?;
            self.expression(Power::CONDITIONAL)?;
            if !self.took(TokenKind::Comma) {
                break;
            }
        }
        self.close(Bracket::Curly)
    }

    fn word(&mut self) -> Result<Identifier, SyntaxError> {
        match self.tokens.first() {
            Some(token) if matches!(token.kind, TokenKind::Name | TokenKind::Reserved) => {
                self.take();
                Ok(Identifier { text: self.source(token).to_owned(), span: token.span.clone() })
            }
            _ => Err(self.fault(|found| format!("a name is missing before {found}"))),
        }
    }

    /// Takes the closing bracket and says where it ends.
    fn close(&mut self, bracket: Bracket) -> Result<usize, SyntaxError> {
        let sign = match bracket {
            Bracket::Round => ")",
            Bracket::Square => "]",
            Bracket::Curly => "}",
        };
        self.expect(TokenKind::Close(bracket), sign)
    }

    fn expect(&mut self, kind: TokenKind, sign: &str) -> Result<usize, SyntaxError> {
        match self.tokens.first().filter(|token| token.kind == kind) {
            Some(token) => {
                self.take();
                Ok(token.span.end)
            }
            None => Err(self.fault(|found| format!("`{sign}` is missing before {found}"))),
        }
    }

    fn peek(&self) -> Option<TokenKind> {
        self.tokens.first().map(|token| token.kind)
    }

    fn took(&mut self, kind: TokenKind) -> bool {
        let is_next = self.peek() == Some(kind);
        if is_next {
            self.take();
        }
        is_next
    }

    fn take(&mut self) {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
    }

    fn source(&self, token: &Token) -> &'a str {
        self.text.get(token.span.clone()).unwrap_or_default()
    }

    fn reserved(&self) -> SyntaxError {
        let word = self.tokens.first().map(|token| self.source(token)).unwrap_or_default();
        self.fault(|found| format!("{found} is a reserved word of CEL: name the field as `record.{word}`"))
    }

    fn no_value(&self) -> SyntaxError {
        self.fault(|found| format!("a value is missing before {found}"))
    }

    /// A fault at the next token, with the token in backquotes.
    fn fault(&self, message: impl FnOnce(&str) -> String) -> SyntaxError {
        match self.tokens.first() {
            Some(token) => SyntaxError::syntax(token.span.clone(), message(&quoted(self.source(token)))),
            None => SyntaxError::syntax(self.text.len()..self.text.len(), message("the end")),
        }
    }
}

/// Whether a brace after it opens a structure: `A{…}`, `a.B{…}`.
fn is_path(node: &SyntaxNode) -> bool {
    let mut node = node;
    while let SyntaxData::Select(of, _) = &node.data {
        node = of;
    }
    matches!(node.data, SyntaxData::Name(_))
}
