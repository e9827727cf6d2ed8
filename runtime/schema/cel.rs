//! The text of a rule to a syntax tree in which every node knows its place in the text.
//!
//! The syntax is the part of CEL that rules use, and enough of the rest to say by name what rules leave out. Knows no field and
//! no type.

mod bounds;
mod foreign;
mod lexer;
mod literal;
mod parser;
mod syntax;

pub(super) use bounds::{DEEPEST, MOST_NODES};
pub(super) use syntax::{
    Binary, Identifier, SyntaxData, SyntaxError, SyntaxErrorKind, SyntaxNode, Unsupported,
};

/// Reads a rule. The text must not be longer than a rule may be; all other bounds are checked here.
///
/// Reports one fault: what follows the first syntax error would be a guess.
pub(super) fn parse(text: &str) -> Result<SyntaxNode, SyntaxError> {
    let tokens = lexer::tokens(text)?;
    foreign::refuse(text, &tokens)?;
    bounds::of_tokens(&tokens)?;
    let node = parser::parse(text, &tokens)?;
    bounds::of_tree(&node)?;
    Ok(node)
}
