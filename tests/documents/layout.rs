//! Pages are easy to read: short lines and short sentences. Where a page still has long ones, their number can only fall.
//!
//! Blocks of code, tables, headings and pictures do not count. A span of code counts as one word.

use regex::Regex;

use super::page::{pages, text};

/// Characters of a line.
const LINE: usize = 120;
/// Words of a sentence.
const SENTENCE: usize = 30;

/// Words that readers had to read twice, and what to write instead.
const UNCLEAR: [(&str, &str); 3] =
    [("whoever", "the caller, a user"), ("somebody", "a user, another caller"), ("no more,", "no longer")];

/// Pages that still have long lines and long sentences, and how many of each.
const LEFT: [(&str, usize, usize); 0] = [];

/// The lines of a page that are text to read, numbered from 1; an empty one ends a paragraph.
fn prose(page: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    page.lines().enumerate().map(move |(index, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        let other = ["|", "#", "<", "!["].iter().any(|start| line.trim_start().starts_with(start));
        (index + 1, if code || fence || other { "" } else { line })
    })
}

fn long_lines(page: &str) -> Vec<String> {
    let long = prose(page).filter(|(_, line)| line.chars().count() > LINE);
    long.map(|(number, line)| format!("line {number}: {line}")).collect()
}

fn long_sentences(page: &str) -> Vec<String> {
    let entry = Regex::new(r"^\s*(?:[-*>]|\d+\.) ").unwrap();
    let mut paragraphs: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in prose(page) {
        match paragraphs.last_mut() {
            Some((_, text)) if goes_on && !entry.is_match(line) => *text += &format!(" {}", line.trim()),
            _ => paragraphs.push((number, entry.replace(line, "").into_owned())),
        }
        goes_on = !line.trim().is_empty();
    }
    let span = Regex::new(r"`[^`]*`").unwrap();
    let link = Regex::new(r"\[([^\]]*)\]\([^)]*\)").unwrap();
    let end = Regex::new(r#"[.!?][*"”)]*\s+"#).unwrap();
    let mut found = Vec::new();
    for (number, text) in paragraphs {
        let text = link.replace_all(&text, "$1");
        let text = span.replace_all(&text, "code");
        for sentence in end.split(&text) {
            let words =
                sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
            if words > SENTENCE {
                found.push(format!("line {number}, {words} words: {sentence}"));
            }
        }
    }
    found
}

#[test]
fn lines_and_sentences_are_short_and_become_no_longer() {
    let mut wrong = String::new();
    for page in pages().iter().map(String::as_str).chain(["CHANGELOG.md"]) {
        let text = text(page);
        let (lines, sentences) = (long_lines(&text), long_sentences(&text));
        let (_, may_lines, may_sentences) =
            LEFT.into_iter().find(|(name, ..)| *name == page).unwrap_or((page, 0, 0));
        if lines.len() > may_lines || sentences.len() > may_sentences {
            let all = [lines, sentences].concat().join("\n  ");
            wrong += &format!("{page} has too many long lines or sentences:\n  {all}\n");
        } else if (lines.len(), sentences.len()) != (may_lines, may_sentences) {
            wrong +=
                &format!("{page} is better now: write {} and {} into LEFT\n", lines.len(), sentences.len());
        }
    }
    assert!(
        wrong.is_empty(),
        "lines have up to {LINE} characters, sentences up to {SENTENCE} words\n{wrong}"
    );
}

fn unclear_words(page: &str) -> Vec<String> {
    let padded = |line: &str| format!(" {} ", line.to_lowercase());
    let mut found = Vec::new();
    for (number, line) in prose(page) {
        for (word, instead) in UNCLEAR {
            if padded(line).contains(&format!(" {word}")) {
                found.push(format!("line {number}: instead of \"{word}\" write {instead}"));
            }
        }
    }
    found
}

#[test]
fn no_page_has_a_word_that_readers_had_to_read_twice() {
    let mut wrong = String::new();
    for page in pages().iter().map(String::as_str).chain(["CHANGELOG.md"]) {
        for line in unclear_words(&text(page)) {
            wrong += &format!("{page}: {line}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(unclear_words("Whoever asks.\n\n```\nwhoever\n```\nIt is for somebody.\n").len(), 2);
}

#[test]
fn a_long_line_and_a_long_sentence_are_found_where_they_are() {
    let word = "word ".repeat(16);
    let page =
        format!("# {word}{word}\n\n- {word}\n  and {word}\n\n```\n{word}{word}\n```\n| {word}{word} |\n");
    assert_eq!(long_sentences(&page).len(), 1, "{:?}", long_sentences(&page));
    assert!(long_sentences(&page)[0].starts_with("line 3, 33 words"), "{:?}", long_sentences(&page));
    assert!(long_sentences(&page.replace("and", "and. And")).is_empty());
    assert!(long_lines(&page).is_empty());
    assert_eq!(long_lines(&format!("{word}{word}\n")).len(), 1);
}
