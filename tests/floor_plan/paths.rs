//! The paths that a file names: its `use` trees, and paths in the code such as `super::log::read(..)`.
//! Knows no other file, so it does not know yet where a path leads.

use std::collections::BTreeSet;

use super::tokens::{Token, tokens};

/// One path of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPath {
    /// As written: `crate`, `self` and `super` are segments. A `*` at the end is left out.
    pub(super) segments: Vec<String>,
    /// The name that a `use` gives it in this file; `None` for a path in the code.
    pub(super) binds: Option<String>,
    /// A `pub use` of a name that the file itself does not use: it only passes the name on.
    pub(super) only_passes_on: bool,
    pub(super) line: usize,
}

/// What one file says of itself.
#[derive(Debug, Default)]
pub(super) struct FileNames {
    /// `mod x;`
    pub(super) parts: Vec<String>,
    pub(super) paths: Vec<NamedPath>,
}

pub(super) fn names_of(text: &str) -> FileNames {
    let tokens = tokens(text);
    let mut found = FileNames::default();
    let mut at = 0;
    // Inside `mod x { .. }`, `super` is this file.
    let mut inline_modules: Vec<usize> = Vec::new();
    let mut depth = 0;
    while at < tokens.len() {
        let text = |ahead: usize| tokens.get(at + ahead).map_or("", |token| token.text);
        match text(0) {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline_modules.retain(|opened| *opened <= depth);
            }
            "mod" if text(2) == ";" => found.parts.push(text(1).to_owned()),
            "mod" if text(2) == "{" => inline_modules.push(depth + 1),
            // `pub(in super::x)` says who may look, and looks nowhere.
            "pub" if text(1) == "(" => {
                at += tokens[at..].iter().position(|token| token.text == ")").unwrap_or(0);
                if tokens.get(at + 1).is_some_and(|token| token.text == "use") {
                    at = use_tree(&tokens, at + 2, true, inline_modules.len(), &mut found.paths);
                }
            }
            "pub" if text(1) == "use" => {
                at = use_tree(&tokens, at + 2, true, inline_modules.len(), &mut found.paths);
            }
            // `+ use<'a>` belongs to a type.
            "use" if text(1) != "<" => {
                at = use_tree(&tokens, at + 1, false, inline_modules.len(), &mut found.paths);
            }
            _ if tokens[at].is_name() && text(1) == "::" => {
                at = path_in_code(&tokens, at, inline_modules.len(), &mut found.paths);
            }
            _ => {}
        }
        at += 1;
    }
    used_again(&tokens, &mut found.paths);
    found
}

/// Reads from behind `use` to its `;`, where it ends.
fn use_tree(
    tokens: &[Token<'_>],
    from: usize,
    passes_on: bool,
    inside: usize,
    paths: &mut Vec<NamedPath>,
) -> usize {
    let mut prefixes: Vec<Vec<String>> = Vec::new();
    let mut segments: Vec<String> = Vec::new();
    let mut renamed: Option<String> = None;
    for (at, token) in tokens.iter().enumerate().skip(from) {
        match token.text {
            "{" => prefixes.push(segments.clone()),
            "," | "}" | ";" => {
                let prefix = prefixes.last().map_or(0, Vec::len);
                // A tree that ends by `}` or a comma behind it has been reported branch by branch.
                if segments.len() > prefix {
                    paths.extend(import(&segments, renamed.take(), inside, passes_on, token.line));
                }
                if token.text == ";" {
                    return at;
                }
                if token.text == "}" {
                    prefixes.pop();
                    segments.truncate(prefixes.last().map_or(0, Vec::len));
                } else {
                    segments.truncate(prefix);
                }
            }
            "as" => renamed = Some(String::new()),
            "::" => {}
            name => match &mut renamed {
                Some(renamed) => name.clone_into(renamed),
                None => segments.push(name.to_owned()),
            },
        }
    }
    tokens.len()
}

fn import(
    segments: &[String],
    renamed: Option<String>,
    inside: usize,
    only_passes_on: bool,
    line: usize,
) -> Option<NamedPath> {
    let mut segments = segments.to_vec();
    let last = segments.last()?.clone();
    // `use a::{self, b}` names `a`.
    if last == "*" || (last == "self" && segments.len() > 1) {
        segments.pop();
    }
    let binds = renamed.or_else(|| if last == "*" { Some(last) } else { segments.last().cloned() });
    Some(NamedPath { segments: from_the_file(segments, inside), binds, only_passes_on, line })
}

/// Where the path ends in the code.
fn path_in_code(tokens: &[Token<'_>], from: usize, inside: usize, paths: &mut Vec<NamedPath>) -> usize {
    let mut at = from;
    let mut segments = vec![tokens[at].text.to_owned()];
    while tokens.get(at + 1).is_some_and(|token| token.text == "::")
        && tokens.get(at + 2).is_some_and(Token::is_name)
    {
        at += 2;
        segments.push(tokens[at].text.to_owned());
    }
    let continues = from > 0 && ["::", "."].contains(&tokens[from - 1].text);
    if !continues {
        let segments = from_the_file(segments, inside);
        paths.push(NamedPath { segments, binds: None, only_passes_on: false, line: tokens[from].line });
    }
    at
}

/// A path of a module inside the file, as the file would say it.
fn from_the_file(segments: Vec<String>, inside: usize) -> Vec<String> {
    let up = segments.iter().take_while(|segment| *segment == "super").count();
    if inside == 0 || up == 0 {
        return segments;
    }
    let own = if up <= inside { Some("self".to_owned()) } else { None };
    own.into_iter().chain(segments.into_iter().skip(up.min(inside))).collect()
}

/// A `pub use` whose name the code around it uses is an import as well.
fn used_again(tokens: &[Token<'_>], paths: &mut [NamedPath]) {
    let mut in_use = false;
    let mut outside = BTreeSet::new();
    for pair in tokens.windows(2) {
        in_use = (in_use && pair[0].text != ";") || (pair[0].text == "use" && pair[1].text != "<");
        if !in_use {
            outside.insert(pair[0].text);
        }
    }
    for path in paths {
        path.only_passes_on &= path.binds.as_deref().is_none_or(|name| !outside.contains(name));
    }
}

#[test]
fn use_trees_are_read_to_their_leaves() {
    let text = "use crate::a::{self, b::{C, D as E}, f::*};\nuse super::g;\npub use h::I;\npub(crate) use h::J;\n\
                pub(in crate::k) struct L;\nimpl M { fn n(&self) -> impl O + use<'_> { super::p::q(J) } }\nmod r;";
    let told: Vec<String> = names_of(text)
        .paths
        .iter()
        .map(|path| {
            let passed = if path.only_passes_on { " passed on" } else { "" };
            format!("{} {}{passed}", path.segments.join("::"), path.binds.as_deref().unwrap_or("-"))
        })
        .collect();
    let expected = [
        "crate::a a",
        "crate::a::b::C C",
        "crate::a::b::D E",
        "crate::a::f *",
        "super::g g",
        "h::I I passed on",
        "h::J J",
        "super::p::q -",
    ];
    assert_eq!(told, expected);
    assert_eq!(names_of(text).parts, ["r"]);
}

#[test]
fn a_module_inside_a_file_speaks_for_the_file() {
    let text = "mod a { use super::b::C; use super::super::d::E; fn f() { super::g() } }\nuse super::h;";
    let told: Vec<String> = names_of(text).paths.iter().map(|path| path.segments.join("::")).collect();
    assert_eq!(told, ["self::b::C", "super::d::E", "self::g", "super::h"]);
}
