//! The syntax tree of a rule, and why a text is not a rule.

use crate::schema::tree::Span;

/// A part of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) struct SyntaxNode {
    /// Byte positions in the rule, without brackets around the part.
    pub(in crate::schema) span: Span,
    pub(in crate::schema) data: SyntaxData,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) enum SyntaxData {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<SyntaxNode>),
    Name(String),
    /// `of.name`
    Select(Box<SyntaxNode>, Identifier),
    /// `of.name(arguments)` or `name(arguments)`
    Call(Option<Box<SyntaxNode>>, Identifier, Vec<SyntaxNode>),
    Not(Box<SyntaxNode>),
    /// At least two.
    All(Vec<SyntaxNode>),
    /// At least two.
    Any(Vec<SyntaxNode>),
    Binary(Binary, Box<SyntaxNode>, Box<SyntaxNode>),
    /// `a + b`: at least two. Only the values of an `[[on]]` have it.
    Sum(Vec<SyntaxNode>),
    /// A part of CEL that rules leave out.
    Unsupported(Unsupported),
}

/// A name after a dot or before an argument list.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) struct Identifier {
    pub(in crate::schema) text: String,
    pub(in crate::schema) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schema) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// Each is refused by its own error text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schema) enum Unsupported {
    Arithmetic,
    Conditional,
    Index,
    Map,
    Struct,
    Bytes,
    Unsigned,
}

/// Why a text is not a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::schema) struct SyntaxError {
    pub(in crate::schema) span: Span,
    pub(in crate::schema) kind: SyntaxErrorKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::schema) enum SyntaxErrorKind {
    /// What is wrong, to stand after "this is not a rule: ".
    Syntax(String),
    TooDeep,
    TooManyNodes,
}

impl SyntaxError {
    pub(super) fn syntax(span: Span, message: impl Into<String>) -> Self {
        Self { span, kind: SyntaxErrorKind::Syntax(message.into()) }
    }
}
