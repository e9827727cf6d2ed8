//! The syntax tree of a rule, and why a text is not a rule.

use crate::schema::tree::Span;

/// A part of a rule.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) struct Node {
    /// Byte positions in the rule, without brackets around the part.
    pub(in crate::schema) span: Span,
    pub(in crate::schema) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) enum Data {
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
    /// A part of CEL that rules leave out.
    Other(Other),
}

/// A name after a dot or before an argument list.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) struct Word {
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
pub(in crate::schema) enum Other {
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
pub(in crate::schema) struct Fault {
    pub(in crate::schema) span: Span,
    pub(in crate::schema) kind: FaultKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::schema) enum FaultKind {
    /// What is wrong, to stand after "this is no rule: ".
    Syntax(String),
    TooDeep,
    TooManyNodes,
}

impl Fault {
    pub(super) fn syntax(span: Span, message: impl Into<String>) -> Self {
        Self { span, kind: FaultKind::Syntax(message.into()) }
    }
}
