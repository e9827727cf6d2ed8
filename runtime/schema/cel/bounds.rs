//! How large a rule may be.
//!
//! The tokens are counted before the parser sees them, so that its recursion is bounded as well.

use super::lexer::{Kind, Token};
use super::syntax::{Data, Fault, FaultKind, Node};

/// Deepest nesting of brackets, and of the tree.
pub(in crate::schema) const DEEPEST: usize = 64;
/// Names, literals, operators, calls and lists in one rule.
pub(in crate::schema) const MOST_NODES: usize = 500;

/// Every node of the tree has a token of its own, so counting tokens bounds the tree.
pub(super) fn of_tokens(tokens: &[Token]) -> Result<(), Fault> {
    let (mut depth, mut nodes) = (0_usize, 0_usize);
    let mut after_dot = false;
    for Token { kind, span } in tokens {
        if matches!(kind, Kind::Open(_)) {
            depth += 1;
        } else if matches!(kind, Kind::Close(_)) {
            depth = depth.saturating_sub(1);
        }
        nodes += usize::from(!matches!(kind, Kind::Close(_) | Kind::Comma) && !after_dot);
        let kind_of_fault = match (depth > DEEPEST, nodes > MOST_NODES) {
            (true, _) => FaultKind::TooDeep,
            (false, true) => FaultKind::TooManyNodes,
            (false, false) => {
                after_dot = *kind == Kind::Dot;
                continue;
            }
        };
        return Err(Fault { span: span.clone(), kind: kind_of_fault });
    }
    Ok(())
}

pub(super) fn of_tree(node: &Node) -> Result<(), Fault> {
    within(node, 0)
}

fn within(node: &Node, depth: usize) -> Result<(), Fault> {
    if depth > DEEPEST {
        return Err(Fault { span: node.span.clone(), kind: FaultKind::TooDeep });
    }
    let all = |nodes: &[Node]| nodes.iter().try_for_each(|each| within(each, depth + 1));
    match &node.data {
        Data::Null
        | Data::Bool(_)
        | Data::Int(_)
        | Data::Float(_)
        | Data::Text(_)
        | Data::Name(_)
        | Data::Other(_) => Ok(()),
        Data::List(nodes) | Data::All(nodes) | Data::Any(nodes) => all(nodes),
        Data::Select(of, _) | Data::Not(of) => within(of, depth + 1),
        Data::Binary(_, left, right) => within(left, depth + 1).and_then(|()| within(right, depth + 1)),
        Data::Call(of, _, arguments) => {
            of.as_deref().map_or(Ok(()), |of| within(of, depth + 1)).and_then(|()| all(arguments))
        }
    }
}
