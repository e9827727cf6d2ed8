//! The text of a rule to a tree of its syntax, every node with its place in the text.
//!
//! The only file that knows the `cel` crate, of which it uses the lexer and the Pratt parser (both `#[doc(hidden)]`; the corpus
//! in `tests/schema_files/rules` says what they must do) and never the interpreter. Knows no field and no type.

use cel::common::ast::{CallExpr, Expr as Cel, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::parser::pratt_parser::{Lexer, PrattParser, Token, TokenKind};

use super::tree::Span;

/// Deepest nesting of brackets, and of the tree.
pub(super) const DEEPEST: usize = 64;
/// Names, literals, operators, calls and lists in one rule.
pub(super) const MOST_NODES: usize = 500;

/// A part of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Without brackets around it.
    pub(super) span: Span,
    pub(super) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Name(String),
    /// `of.name`
    Select(Box<Node>, Word),
    /// `of.name(arguments)` or `name(arguments)`
    Call(Option<Box<Node>>, Word, Vec<Node>),
    Not(Box<Node>),
    /// At least two.
    All(Vec<Node>),
    /// At least two.
    Any(Vec<Node>),
    Binary(Binary, Box<Node>, Box<Node>),
    /// What the language of rules leaves out of CEL.
    Other(Other),
}

/// A name after a dot or before an argument list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// Each is refused with words of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Other {
    Arithmetic,
    Conditional,
    Index,
    Map,
    Struct,
    Bytes,
    Unsigned,
}

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) span: Span,
    pub(super) kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The parser's words.
    Syntax(String),
    TooDeep,
    TooManyNodes,
}

/// Reads a rule. Bounds are looked at before the parser sees the text, which must not be longer than a rule may be.
pub(super) fn parse(text: &str) -> Result<Node, Fault> {
    let tokens = tokens(text)?;
    foreign(text, &tokens)?;
    bounded(&tokens)?;
    let tamed = without_macros(text, &tokens);
    // One error is told. What a parser says after it is a guess.
    let parser = PrattParser::new().error_recovery_limit(0).enable_variadic_operator_asts(true);
    let tree = parser.clone().parse(&tamed).map_err(|errors| first_of(&errors, text))?;
    let reader = Reader { text, tokens: &tokens, places: &places(parser, &tamed) };
    reader.node(&tree, 0)
}

fn fault(span: Span, kind: FaultKind) -> Fault {
    Fault { span, kind }
}

/// All but white space and comments; the end is not among them.
fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    loop {
        let token = lexer.lex();
        if token.kind == TokenKind::TokEnd {
            return Ok(tokens);
        } else if token.kind == TokenKind::TokError {
            return Err(unreadable(text, &lexer, token));
        } else if token.kind == TokenKind::TokEqual {
            let message = match text.get(..token.start) {
                Some(before) if before.ends_with("!=") => "`!==` compares nothing: write `!=`",
                Some(before) if before.ends_with("==") => "`===` compares nothing: write `==`",
                Some(_) | None => "`=` compares nothing: write `==`",
            };
            let message = message.to_owned();
            return Err(fault(token.start..token.end, FaultKind::Syntax(message)));
        } else if !matches!(token.kind, TokenKind::TokWhitespace | TokenKind::TokComment) {
            tokens.push(token);
        }
    }
}

/// The lexer steps by bytes; a place is made of whole characters.
fn unreadable(text: &str, lexer: &Lexer<'_>, token: Token) -> Fault {
    let span = text.floor_char_boundary(token.start)..text.ceil_char_boundary(token.end);
    let said = lexer.get_error().map(|error| error.message.clone()).unwrap_or_default();
    let message = match text.get(span.clone()) {
        Some(letter) if said.starts_with("unexpected character") => {
            format!("{} cannot stand here", super::message::quoted(letter))
        }
        _ => said,
    };
    fault(span, FaultKind::Syntax(message))
}

/// Words and signs of other languages, which a parser would meet with words that help nobody.
fn foreign(text: &str, tokens: &[Token]) -> Result<(), Fault> {
    for (at, token) in tokens.iter().enumerate() {
        let (before, after) = (at.checked_sub(1).and_then(|at| tokens.get(at)), tokens.get(at + 1));
        let before = before.filter(|before| ends_value(before.kind));
        let advice = match (token.kind, after) {
            (TokenKind::TokLess, Some(next)) if next.kind == TokenKind::TokGreater => {
                "`<>`: write `!=`".to_owned()
            }
            (TokenKind::TokIdent, after) => {
                let word = text.get(token.start..token.end).unwrap_or_default();
                let advice = match before {
                    Some(_) => between(word, after.map(|after| after.kind)),
                    None => before_value(word, after.map(|after| after.kind)),
                };
                match advice {
                    Some(advice) => format!("{}: {advice}", super::message::quoted(word)),
                    None => continue,
                }
            }
            _ => continue,
        };
        return Err(fault(token.start..token.end, FaultKind::Syntax(format!("rules have no {advice}"))));
    }
    Ok(())
}

/// Where an operator must stand.
fn between(word: &str, after: Option<TokenKind>) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => "write `&&`",
        "or" => "write `||`",
        "not" if after == Some(TokenKind::TokIn) => "write `!(x in list)`",
        "is" | "eq" | "equals" => "write `==`",
        "isnt" | "ne" => "write `!=`",
        "matches" | "like" | "ilike" => {
            "write `text.startsWith('a')` or `text.contains('a')`, or keep what is asked in a field"
        }
        "contains" | "includes" | "has" => "write `text.contains('a')`, or `x in list`",
        "startswith" => "write `text.startsWith('a')`",
        _ => return None,
    })
}

/// Where a value must stand. A field may have any of these names.
fn before_value(word: &str, after: Option<TokenKind>) -> Option<&'static str> {
    let negates = word.eq_ignore_ascii_case("not") && after.is_some_and(begins_value);
    negates.then_some("write `!(…)`")
}

/// Every node of the tree has a token of its own, so that counting these bounds the tree.
fn bounded(tokens: &[Token]) -> Result<(), Fault> {
    let (mut depth, mut nodes) = (0_usize, 0_usize);
    let mut after_dot = false;
    for token in tokens {
        let span = token.start..token.end;
        if opens(token.kind) {
            depth += 1;
        } else if closes(token.kind) {
            depth = depth.saturating_sub(1);
        }
        let is_node = !closes(token.kind) && !after_dot && token.kind != TokenKind::TokComma;
        nodes += usize::from(is_node);
        if depth > DEEPEST {
            return Err(fault(span, FaultKind::TooDeep));
        }
        if nodes > MOST_NODES {
            return Err(fault(span, FaultKind::TooManyNodes));
        }
        after_dot = token.kind == TokenKind::TokDot;
    }
    Ok(())
}

/// CEL's macros are rewritten by the parser into loops, and `has` takes no bare name. Under names of the same length that the
/// parser does not know they are calls like any other, and `Reader` reads the real name in the text.
fn without_macros(text: &str, tokens: &[Token]) -> String {
    const MACROS: &[&str] = &["has", "exists", "all", "exists_one", "existsOne", "map", "filter"];
    let mut tamed = text.as_bytes().to_vec();
    for pair in tokens.windows(2) {
        let [name, bracket] = pair else { continue };
        let is_call = name.kind == TokenKind::TokIdent && bracket.kind == TokenKind::TokLeftParen;
        if is_call && text.get(name.start..name.end).is_some_and(|name| MACROS.contains(&name)) {
            tamed[name.start] = b'_';
        }
    }
    String::from_utf8(tamed).expect("one ASCII letter was put in the place of another")
}

/// The parser tells where its nodes stand only together with an error. So the text is parsed once more, with one at its end;
/// up to there every node has the same number as before.
fn places(parser: PrattParser, text: &str) -> SourceInfo {
    let errors = parser.parse(&format!("{text}\n)")).err().map(|errors| errors.errors).unwrap_or_default();
    let info = errors.into_iter().find_map(|error| error.source_info);
    info.and_then(std::sync::Arc::into_inner).unwrap_or_default()
}

fn first_of(errors: &cel::ParseErrors, text: &str) -> Fault {
    let placed = errors.errors.iter().find(|error| error.source_info.is_some());
    let Some(error) = placed.or(errors.errors.first()) else {
        return fault(0..text.len(), FaultKind::Syntax("it cannot be read".to_owned()));
    };
    let place = error.source_info.as_ref().and_then(|info| info.offset_for(error.expr_id));
    let span = place.map_or(0..text.len(), |(start, end)| start as usize..end as usize);
    if error.msg.starts_with("expression recursion limit") {
        return fault(0..text.len(), FaultKind::TooDeep);
    }
    fault(span.clone(), FaultKind::Syntax(said_simply(&error.msg, text.get(span).unwrap_or_default())))
}

/// The parser's words in ours.
fn said_simply(message: &str, found: &str) -> String {
    let shown = match found.trim() {
        "" | ")" if message.contains("EOF") && found.trim().is_empty() => "the end".to_owned(),
        "" => "the end".to_owned(),
        text => super::message::quoted(text),
    };
    if message.contains("expecting <EOF>") {
        format!("the rule ends before {shown}")
    } else if message.contains("expecting expression") || message == "unexpected token" {
        format!("a value is missing before {shown}")
    } else if message.starts_with("reserved identifier") {
        format!("{shown} is a word that CEL keeps for itself: name the field as `record.{}`", found.trim())
    } else if message.contains("expected ')'")
        || message.contains("expected ']'")
        || message.contains("expected '}'")
    {
        format!("{} is missing before {shown}", message.replace("expected ", "").replace('\'', "`"))
    } else if message.contains("int literal") || message.contains("double literal") {
        format!("the number {shown} is out of range, or no number")
    } else if message.contains("unescape") || message.contains("code point") {
        format!("{shown} has an escape that there is not")
    } else if message.starts_with("expected identifier") {
        format!("a name is missing before {shown}")
    } else {
        message.trim_start_matches("Syntax error: ").to_owned()
    }
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    places: &'a SourceInfo,
}

impl Reader<'_> {
    fn node(&self, from: &IdedExpr, depth: usize) -> Result<Node, Fault> {
        let own = self.place(from.id);
        if depth > DEEPEST {
            return Err(fault(own, FaultKind::TooDeep));
        }
        let data = match &from.expr {
            Cel::Literal(literal) => {
                let data = literal_data(literal);
                return Ok(Node { span: self.with_sign(own), data });
            }
            Cel::Ident(name) => Data::Name(name.clone()),
            Cel::Select(select) => {
                let of = self.node(&select.operand, depth + 1)?;
                let name = self.word_after(own.start, &select.field);
                let span = of.span.start..name.span.end;
                return Ok(Node { span, data: Data::Select(Box::new(of), name) });
            }
            Cel::Call(call) => return self.call(call, own, depth),
            Cel::List(list) => {
                let items = self.nodes(&list.elements, depth)?;
                return Ok(Node { span: own.start..self.closing(own.start), data: Data::List(items) });
            }
            Cel::Map(_) => Data::Other(Other::Map),
            Cel::Struct(_) => Data::Other(Other::Struct),
            // No macro is left that the parser would expand, and an error is no tree.
            Cel::Comprehension(_) | Cel::Unspecified => {
                return Err(fault(own, FaultKind::Syntax("it cannot be read".to_owned())));
            }
        };
        Ok(Node { span: own, data })
    }

    fn nodes(&self, from: &[IdedExpr], depth: usize) -> Result<Vec<Node>, Fault> {
        from.iter().map(|each| self.node(each, depth + 1)).collect()
    }

    fn call(&self, call: &CallExpr, own: Span, depth: usize) -> Result<Node, Fault> {
        if let Some(target) = &call.target {
            // The place of a call on something is its bracket.
            let of = self.node(target, depth + 1)?;
            let word = self.word_before(own.start, &call.func_name);
            let arguments = self.nodes(&call.args, depth)?;
            let span = of.span.start..self.closing(own.start);
            return Ok(Node { span, data: Data::Call(Some(Box::new(of)), word, arguments) });
        }
        let operands = self.nodes(&call.args, depth)?;
        let start = operands.first().map_or(own.start, |first| first.span.start.min(own.start));
        let end = operands.last().map_or(own.end, |last| last.span.end.max(own.end));
        let data = match (call.func_name.as_str(), binary(&call.func_name)) {
            (_, Some(binary)) => two(binary, operands)
                .ok_or_else(|| fault(own, FaultKind::Syntax("an operand is missing".to_owned())))?,
            (operators::LOGICAL_AND, _) => Data::All(operands),
            (operators::LOGICAL_OR, _) => Data::Any(operands),
            (operators::LOGICAL_NOT, _) => {
                let inner = operands.into_iter().next().ok_or_else(|| {
                    fault(own, FaultKind::Syntax("a condition is missing after `!`".to_owned()))
                })?;
                Data::Not(Box::new(inner))
            }
            (name, _) => match left_out(name) {
                Some(other) => Data::Other(other),
                None => {
                    let word = self.word_at(own.start, name);
                    let span = own.start..self.closing(word.span.end);
                    return Ok(Node { span, data: Data::Call(None, word, operands) });
                }
            },
        };
        Ok(Node { span: start..end, data })
    }

    /// Of a node by its number; of one without a place the whole rule.
    fn place(&self, id: u64) -> Span {
        match self.places.offset_for(id) {
            Some((start, end)) if end as usize <= self.text.len() => start as usize..end as usize,
            Some(_) | None => 0..self.text.len(),
        }
    }

    /// The place of a negative number is its sign.
    fn with_sign(&self, own: Span) -> Span {
        match self.tokens.iter().find(|token| token.start >= own.end) {
            Some(number) if self.text.get(own.clone()) == Some("-") => own.start..number.end,
            Some(_) | None => own,
        }
    }

    fn word_after(&self, dot: usize, name: &str) -> Word {
        self.word(self.tokens.iter().find(|token| token.start > dot), name)
    }

    fn word_before(&self, bracket: usize, name: &str) -> Word {
        self.word(self.tokens.iter().rfind(|token| token.end <= bracket), name)
    }

    fn word_at(&self, start: usize, name: &str) -> Word {
        self.word(self.tokens.iter().find(|token| token.start >= start), name)
    }

    /// As the text has it: a macro's name was changed for the parser.
    fn word(&self, token: Option<&Token>, name: &str) -> Word {
        let span = token.map_or(0..self.text.len(), |token| token.start..token.end);
        let text = self.text.get(span.clone()).filter(|_| token.is_some()).unwrap_or(name).to_owned();
        Word { text, span }
    }

    /// Where the first bracket at or after the place is closed again.
    fn closing(&self, from: usize) -> usize {
        let mut depth = 0_usize;
        for token in self.tokens.iter().filter(|token| token.start >= from) {
            if opens(token.kind) {
                depth += 1;
            } else if closes(token.kind) {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return token.end;
                }
            }
        }
        self.text.len()
    }
}

fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::NotEqual,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessOrEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterOrEqual,
        operators::IN => Binary::In,
        _ => return None,
    })
}

fn two(binary: Binary, operands: Vec<Node>) -> Option<Data> {
    let [left, right] = <[Node; 2]>::try_from(operands).ok()?;
    Some(Data::Binary(binary, Box::new(left), Box::new(right)))
}

fn left_out(name: &str) -> Option<Other> {
    Some(match name {
        operators::CONDITIONAL => Other::Conditional,
        operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => Other::Index,
        operators::ADD
        | operators::SUBSTRACT
        | operators::MULTIPLY
        | operators::DIVIDE
        | operators::MODULO
        | operators::NEGATE => Other::Arithmetic,
        _ => return None,
    })
}

fn begins_value(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::TokIdent
            | TokenKind::TokNull
            | TokenKind::TokTrue
            | TokenKind::TokFalse
            | TokenKind::TokInt
            | TokenKind::TokUint
            | TokenKind::TokFloat
            | TokenKind::TokString
            | TokenKind::TokBytes
            | TokenKind::TokExclamation
            | TokenKind::TokLeftParen
    )
}

fn ends_value(kind: TokenKind) -> bool {
    let is_word = begins_value(kind) && !opens(kind) && kind != TokenKind::TokExclamation;
    is_word || closes(kind)
}

fn opens(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::TokLeftParen | TokenKind::TokLeftBracket | TokenKind::TokLeftBrace)
}

fn closes(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::TokRightParen | TokenKind::TokRightBracket | TokenKind::TokRightBrace)
}

fn literal_data(literal: &LiteralValue) -> Data {
    match literal {
        LiteralValue::Null => Data::Null,
        LiteralValue::Boolean(flag) => Data::Bool(*flag.inner()),
        LiteralValue::Int(number) => Data::Int(*number.inner()),
        LiteralValue::Double(number) => Data::Float(*number.inner()),
        LiteralValue::String(text) => Data::Text(text.inner().to_owned()),
        LiteralValue::Bytes(_) => Data::Other(Other::Bytes),
        LiteralValue::UInt(_) => Data::Other(Other::Unsigned),
    }
}
