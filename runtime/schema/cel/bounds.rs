//! How large a rule may be.
//!
//! The tokens are counted before the parser sees them, so that its recursion is bounded as well.

use super::lexer::{Token, TokenKind};
use super::syntax::{SyntaxData, SyntaxError, SyntaxErrorKind, SyntaxNode};

/// Deepest nesting of brackets, and of the tree.
pub(in crate::schema) const DEEPEST: usize = 64;
/// Names, literals, operators, calls and lists in one rule.
pub(in crate::schema) const MOST_NODES: usize = 500;

/// Every node of the tree has a token of its own, so counting tokens bounds the tree.
pub(super) fn of_tokens(tokens: &[Token]) -> Result<(), SyntaxError> {
    let (mut depth, mut nodes) = (0_usize, 0_usize);
    let mut after_dot = false;
    for Token { kind, span } in tokens {
        if matches!(kind, TokenKind::Open(_)) {
            depth += 1;
        } else if matches!(kind, TokenKind::Close(_)) {
            depth = depth.saturating_sub(1);
        }
        nodes += usize::from(!matches!(kind, TokenKind::Close(_) | TokenKind::Comma) && !after_dot);
        let kind_of_fault = match (depth > DEEPEST, nodes > MOST_NODES) {
            (true, _) => SyntaxErrorKind::TooDeep,
            (false, true) => SyntaxErrorKind::TooManyNodes,
            (false, false) => {
                after_dot = *kind == TokenKind::Dot;
                continue;
            }
        };
        return Err(SyntaxError { span: span.clone(), kind: kind_of_fault });
    }
    Ok(())
}

pub(super) fn of_tree(node: &SyntaxNode) -> Result<(), SyntaxError> {
    within(node, 0)
}

fn within(node: &SyntaxNode, depth: usize) -> Result<(), SyntaxError> {
    if depth > DEEPEST {
        return Err(SyntaxError { span: node.span.clone(), kind: SyntaxErrorKind::TooDeep });
    }
    let all = |nodes: &[SyntaxNode]| nodes.iter().try_for_each(|each| within(each, depth + 1));
    match &node.data {
        SyntaxData::Null
        | SyntaxData::Bool(_)
        | SyntaxData::Int(_)
        | SyntaxData::Float(_)
        | SyntaxData::Text(_)
        | SyntaxData::Name(_)
        | SyntaxData::Unsupported(_) => Ok(()),
        SyntaxData::List(nodes)
        | SyntaxData::All(nodes)
        | SyntaxData::Any(nodes)
        | SyntaxData::Sum(nodes) => all(nodes),
        SyntaxData::Select(of, _) | SyntaxData::Not(of) => within(of, depth + 1),
        SyntaxData::Binary(_, left, right) => within(left, depth + 1).and_then(|()| within(right, depth + 1)),
        SyntaxData::Call(of, _, arguments) => {
            of.as_deref().map_or(Ok(()), |of| within(of, depth + 1)).and_then(|()| all(arguments))
        }
    }
}
