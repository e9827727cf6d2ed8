//! docs/semantics.md has every paragraph that a comment refers to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = include_str!("../docs/semantics.md");

/// `P5`, `R12`: as a comment names a paragraph, after the word SEMANTICS.
fn referred(text: &str) -> impl Iterator<Item = &str> {
    text.split("SEMANTICS ").skip(1).map(|after| {
        let end = after.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(after.len());
        &after[..end]
    })
}

fn is_paragraph(name: &str) -> bool {
    let (letter, number) = name.split_at(name.len().min(1));
    letter.chars().all(|letter| letter.is_ascii_uppercase()) && number.parse::<u8>().is_ok()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "js") {
            found.push(path);
        }
    }
}

#[test]
fn every_paragraph_that_a_comment_names_is_in_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in ["runtime", "static", "tests"] {
        files(&root.join(folder), &mut sources);
    }
    let paragraphs: BTreeSet<&str> = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("**")?.split([' ', '*']).next())
        .filter(|name| is_paragraph(name))
        .collect();
    let (mut named, mut missing) = (0, Vec::new());
    for path in sources {
        let text = std::fs::read_to_string(&path).unwrap();
        for name in referred(&text).filter(|name| is_paragraph(name)) {
            named += 1;
            if !paragraphs.contains(name) {
                missing.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(named > 30, "comments name paragraphs: found {named}");
    assert!(missing.is_empty(), "docs/semantics.md lacks what these comments name:\n{}", missing.join("\n"));
}
