//! The pages and what can be pasted from them. Knows no server.
//!
//! A command is a line of a code block without a language, or of one in `sh`, `bash` or `console`, whose first word is a program of
//! `PROGRAMS`. In `sh` and `bash` every line that is no comment is one, whatever its first word. In running text a command is a code span
//! that begins with such a program and a space. The blocks of docs/errors in `console` are performed by `explain.rs`.

use std::path::{Path, PathBuf};

use regex::Regex;

const PROGRAMS: [&str; 9] = ["cargo", "curl", "docker", "make", "node", "npm", "npx", "python3", "tidewire"];

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    /// `README.md`, `docs/http.md`.
    pub(super) page: String,
    /// Of the page, from 1.
    pub(super) line: usize,
    /// The nearest one above, without its `#`.
    pub(super) heading: String,
    /// As it is pasted: without a prompt, with its comment.
    pub(super) text: String,
}

impl Command {
    /// Without the comment after two spaces.
    pub(super) fn bare(&self) -> &str {
        self.text.split("  ").next().unwrap()
    }
}

/// A fenced block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) language: String,
    pub(super) text: String,
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page that a reader is sent to. A changelog describes the past and is not one.
pub(super) fn pages() -> Vec<String> {
    let mut pages = Vec::new();
    for folder in [".", "docs", "docs/errors"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path
                .strip_prefix(root())
                .unwrap_or(&path)
                .to_str()
                .unwrap()
                .trim_start_matches("./")
                .to_owned();
            if name.ends_with(".md") && name != "CHANGELOG.md" {
                pages.push(name);
            }
        }
    }
    pages.sort();
    pages
}

pub(super) fn text(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

pub(super) fn commands(page: &str) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    let (mut fence, mut heading) = (None::<String>, String::new());
    let span = Regex::new(&format!("`((?:{}) [^`]+)`", PROGRAMS.join("|"))).unwrap();
    for (index, line) in text(page).lines().enumerate() {
        let command = |text: &str, heading: &str| Command {
            page: page.to_owned(),
            line: index + 1,
            heading: heading.to_owned(),
            text: text.to_owned(),
        };
        match (&fence, line.strip_prefix("```")) {
            (Some(_), Some(_)) => fence = None,
            (None, Some(language)) => fence = Some(language.trim().to_owned()),
            (Some(language), None) => {
                found.extend(in_block(page, language, line).map(|text| command(text, &heading)))
            }
            (None, None) => {
                if line.starts_with('#') {
                    heading = line.trim_start_matches('#').trim().to_owned();
                }
                for capture in span.captures_iter(line) {
                    let new = command(&capture[1], &heading);
                    // A text names a command again and again.
                    if !found.iter().any(|old| old.text == new.text) {
                        found.push(new);
                    }
                }
            }
        }
    }
    assert!(fence.is_none(), "{page}: a block has no end");
    found
}

fn in_block<'a>(page: &str, language: &str, line: &'a str) -> Option<&'a str> {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let known = line.split(' ').next().is_some_and(|word| PROGRAMS.contains(&word) || word.contains('='));
    let is_command = match language {
        "sh" | "bash" => !line.trim().is_empty() && !line.starts_with('#'),
        "console" if page.starts_with("docs/errors/") => false,
        "" | "console" => {
            known && PROGRAMS.iter().any(|program| line.split(' ').any(|word| word == *program))
        }
        _ => false,
    };
    is_command.then_some(line)
}

/// The blocks of a page in these languages.
pub(super) fn blocks(page: &str, languages: &[&str]) -> Vec<Block> {
    let (mut blocks, mut block) = (Vec::new(), None::<Block>);
    for line in text(page).lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => {
                block = Some(Block { language: language.to_owned(), text: String::new() })
            }
            (Some(_), Some(_)) => blocks.extend(block.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks.retain(|block| languages.contains(&block.language.as_str()));
    blocks
}
