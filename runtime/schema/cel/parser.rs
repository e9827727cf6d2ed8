//! Tokens to a syntax tree, by precedence (a Pratt parser).
//!
//! Its recursion is bounded by the number of tokens, which `bounds.rs` limits.

use super::lexer::{Bracket, Infix, Kind, Literal, Token};
use super::literal;
use super::syntax::{Binary, Data, Fault, Node, Other, Word};
use crate::schema::message::quoted;

pub(super) fn parse(text: &str, tokens: &[Token]) -> Result<Node, Fault> {
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
fn infix(kind: Kind) -> Option<(Operator, Power)> {
    Some(match kind {
        Kind::Infix(Infix::Question) => (Operator::Question, Power::CONDITIONAL),
        Kind::Infix(Infix::Or) => (Operator::Chain(Data::Any), Power::OR),
        Kind::Infix(Infix::And) => (Operator::Chain(Data::All), Power::AND),
        Kind::Infix(Infix::Binary(binary)) => (Operator::Binary(binary), Power::RELATION),
        Kind::Infix(Infix::Plus) | Kind::Minus => (Operator::Arithmetic, Power::SUM),
        Kind::Infix(Infix::Times) => (Operator::Arithmetic, Power::PRODUCT),
        Kind::Name
        | Kind::Reserved
        | Kind::Literal(_)
        | Kind::Not
        | Kind::Colon
        | Kind::Comma
        | Kind::Dot
        | Kind::Open(_)
        | Kind::Close(_) => return None,
    })
}

enum Operator {
    Question,
    /// `a && b && c` is one node with three operands.
    Chain(fn(Vec<Node>) -> Data),
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
    fn expression(&mut self, weakest: Power) -> Result<Node, Fault> {
        let mut left = self.unary()?;
        while let Some(kind) = self.peek() {
            let Some((operator, power)) = infix(kind).filter(|(_, power)| *power >= weakest) else { break };
            self.take();
            left = match operator {
                Operator::Question => self.conditional(left)?,
                Operator::Chain(data) => self.chain(left, kind, power, data)?,
                Operator::Binary(binary) => {
                    let right = self.expression(power.next())?;
                    let span = left.span.start..right.span.end;
                    Node { span, data: Data::Binary(binary, Box::new(left), Box::new(right)) }
                }
                Operator::Arithmetic => {
                    let right = self.expression(power.next())?;
                    Node { span: left.span.start..right.span.end, data: Data::Other(Other::Arithmetic) }
                }
            };
        }
        Ok(left)
    }

    fn chain(
        &mut self,
        first: Node,
        kind: Kind,
        power: Power,
        data: fn(Vec<Node>) -> Data,
    ) -> Result<Node, Fault> {
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
        Ok(Node { span, data: data(operands) })
    }

    fn conditional(&mut self, condition: Node) -> Result<Node, Fault> {
        self.expression(Power::OR)?;
        self.expect(Kind::Colon, ":")?;
        let otherwise = self.expression(Power::CONDITIONAL)?;
        let span = condition.span.start..otherwise.span.end;
        Ok(Node { span, data: Data::Other(Other::Conditional) })
    }

    /// Signs before a value. Two negations are none, as in CEL.
    fn unary(&mut self) -> Result<Node, Fault> {
        let first = self.tokens;
        let Some(sign) = self.peek().filter(|kind| matches!(kind, Kind::Not | Kind::Minus)) else {
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
            Some(Kind::Literal(Literal::Int | Literal::Float)) if sign == Kind::Minus => {
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
        let data =
            if sign == Kind::Not { Data::Not(Box::new(inner)) } else { Data::Other(Other::Arithmetic) };
        Ok(Node { span, data })
    }

    fn member(&mut self) -> Result<Node, Fault> {
        let value = self.primary()?;
        self.what_hangs_on(value)
    }

    /// Takes `.name`, `.name(…)`, `[…]` and `{…}` after a value.
    fn what_hangs_on(&mut self, mut of: Node) -> Result<Node, Fault> {
        loop {
            if self.took(Kind::Dot) {
                let word = self.word()?;
                of = match self.took(Kind::Open(Bracket::Round)) {
                    false => {
                        let span = of.span.start..word.span.end;
                        Node { span, data: Data::Select(Box::new(of), word) }
                    }
                    true => {
                        let (arguments, end) = self.items(Bracket::Round)?;
                        let span = of.span.start..end;
                        Node { span, data: Data::Call(Some(Box::new(of)), word, arguments) }
                    }
                };
            } else if self.took(Kind::Open(Bracket::Square)) {
                self.expression(Power::CONDITIONAL)?;
                let end = self.close(Bracket::Square)?;
                of = Node { span: of.span.start..end, data: Data::Other(Other::Index) };
            } else if self.peek() == Some(Kind::Open(Bracket::Curly)) && is_path(&of) {
                self.take();
                let end = self.entries()?;
                of = Node { span: of.span.start..end, data: Data::Other(Other::Struct) };
            } else {
                return Ok(of);
            }
        }
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let Some(token) = self.tokens.first() else { return Err(self.no_value()) };
        let start = token.span.start;
        let data = match token.kind {
            Kind::Literal(Literal::Int | Literal::Float) => return self.number(None),
            Kind::Literal(Literal::Null) => Data::Null,
            Kind::Literal(Literal::True) => Data::Bool(true),
            Kind::Literal(Literal::False) => Data::Bool(false),
            Kind::Literal(Literal::Unsigned) => Data::Other(Other::Unsigned),
            Kind::Literal(Literal::Bytes) => Data::Other(Other::Bytes),
            Kind::Literal(Literal::Text) => match literal::text(self.source(token)) {
                Some(text) => Data::Text(text),
                None => {
                    return Err(self.fault(|found| format!("{found} has an escape that CEL does not have")));
                }
            },
            Kind::Name => return self.name(),
            Kind::Reserved => return Err(self.reserved()),
            Kind::Open(bracket) => return self.bracketed(bracket, start),
            Kind::Infix(_)
            | Kind::Minus
            | Kind::Not
            | Kind::Colon
            | Kind::Comma
            | Kind::Dot
            | Kind::Close(_) => {
                return Err(self.no_value());
            }
        };
        self.take();
        Ok(Node { span: token.span.clone(), data })
    }

    /// With the place of the minus before it, if there is one.
    fn number(&mut self, minus: Option<usize>) -> Result<Node, Fault> {
        let Some(token) = self.tokens.first() else { return Err(self.no_value()) };
        let digits = self.source(token);
        let data = match token.kind == Kind::Literal(Literal::Float) {
            true => literal::float(digits, minus.is_some()).map(Data::Float),
            false => literal::int(digits, minus.is_some()).map(Data::Int),
        };
        let Some(data) = data else {
            return Err(self.fault(|found| format!("the number {found} is out of range or incomplete")));
        };
        self.take();
        Ok(Node { span: minus.unwrap_or(token.span.start)..token.span.end, data })
    }

    fn name(&mut self) -> Result<Node, Fault> {
        let word = self.word()?;
        let start = word.span.start;
        if self.took(Kind::Open(Bracket::Round)) {
            let (arguments, end) = self.items(Bracket::Round)?;
            return Ok(Node { span: start..end, data: Data::Call(None, word, arguments) });
        }
        Ok(Node { span: word.span, data: Data::Name(word.text) })
    }

    fn bracketed(&mut self, bracket: Bracket, start: usize) -> Result<Node, Fault> {
        self.take();
        Ok(match bracket {
            Bracket::Round => {
                let inner = self.expression(Power::CONDITIONAL)?;
                self.close(Bracket::Round)?;
                inner
            }
            Bracket::Square => {
                let (items, end) = self.items(Bracket::Square)?;
                Node { span: start..end, data: Data::List(items) }
            }
            Bracket::Curly => Node { span: start..self.entries()?, data: Data::Other(Other::Map) },
        })
    }

    /// Values between commas up to the closing bracket, and where that ends. A list may end with a comma.
    fn items(&mut self, bracket: Bracket) -> Result<(Vec<Node>, usize), Fault> {
        let mut items = Vec::new();
        while self.peek() != Some(Kind::Close(bracket)) {
            items.push(self.expression(Power::CONDITIONAL)?);
            if !self.took(Kind::Comma) {
                break;
            }
            if bracket == Bracket::Round && self.peek() == Some(Kind::Close(bracket)) {
                return Err(self.no_value());
            }
        }
        Ok((items, self.close(bracket)?))
    }

    /// `key: value` between commas up to the closing bracket, and where that ends. Rules have no maps, so nothing is kept.
    fn entries(&mut self) -> Result<usize, Fault> {
        while self.peek() != Some(Kind::Close(Bracket::Curly)) {
            self.expression(Power::OR)?;
            self.expect(Kind::Colon, ":")?;
            self.expression(Power::CONDITIONAL)?;
            if !self.took(Kind::Comma) {
                break;
            }
        }
        self.close(Bracket::Curly)
    }

    fn word(&mut self) -> Result<Word, Fault> {
        match self.tokens.first() {
            Some(token) if matches!(token.kind, Kind::Name | Kind::Reserved) => {
                self.take();
                Ok(Word { text: self.source(token).to_owned(), span: token.span.clone() })
            }
            _ => Err(self.fault(|found| format!("a name is missing before {found}"))),
        }
    }

    /// Takes the closing bracket and says where it ends.
    fn close(&mut self, bracket: Bracket) -> Result<usize, Fault> {
        let sign = match bracket {
            Bracket::Round => ")",
            Bracket::Square => "]",
            Bracket::Curly => "}",
        };
        self.expect(Kind::Close(bracket), sign)
    }

    fn expect(&mut self, kind: Kind, sign: &str) -> Result<usize, Fault> {
        match self.tokens.first().filter(|token| token.kind == kind) {
            Some(token) => {
                self.take();
                Ok(token.span.end)
            }
            None => Err(self.fault(|found| format!("`{sign}` is missing before {found}"))),
        }
    }

    fn peek(&self) -> Option<Kind> {
        self.tokens.first().map(|token| token.kind)
    }

    fn took(&mut self, kind: Kind) -> bool {
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

    fn reserved(&self) -> Fault {
        let word = self.tokens.first().map(|token| self.source(token)).unwrap_or_default();
        self.fault(|found| {
            format!("{found} is a word that CEL keeps for itself: name the field as `record.{word}`")
        })
    }

    fn no_value(&self) -> Fault {
        self.fault(|found| format!("a value is missing before {found}"))
    }

    /// A fault at the next token, with the token in backquotes.
    fn fault(&self, message: impl FnOnce(&str) -> String) -> Fault {
        match self.tokens.first() {
            Some(token) => Fault::syntax(token.span.clone(), message(&quoted(self.source(token)))),
            None => Fault::syntax(self.text.len()..self.text.len(), message("the end")),
        }
    }
}

/// Whether a brace after it opens a structure: `A{…}`, `a.B{…}`.
fn is_path(node: &Node) -> bool {
    let mut node = node;
    while let Data::Select(of, _) = &node.data {
        node = of;
    }
    matches!(node.data, Data::Name(_))
}
