//! From places in a rule to places in the file that holds it as a TOML or JSON string, with escapes or without.
//!
//! Knows no rule: a text, the string as it is written, and what it stands for.

use crate::schema::diagnostics::Diagnostic;
use crate::schema::tree::Span;

/// Where the bytes of a rule are in its file.
pub(super) struct Places {
    /// The string, with what encloses it.
    whole: Span,
    /// For each byte of the rule and for its end; empty if the string is written in a way that is not understood here.
    bytes: Vec<usize>,
}

impl Places {
    pub(super) fn new(file: &str, whole: Span, rule: &str) -> Places {
        let written = file.get(whole.clone()).unwrap_or_default();
        let bytes = read(written, rule).unwrap_or_default();
        let bytes = bytes.into_iter().map(|at| whole.start + at).collect();
        Places { whole, bytes }
    }

    /// The problem at its place in the file.
    pub(super) fn moved(&self, problem: Diagnostic) -> Diagnostic {
        let place = |at: usize| self.bytes.get(at).copied();
        let span = match (place(problem.span.start), place(problem.span.end)) {
            (Some(start), Some(end)) if start <= end => start..end,
            (Some(_) | None, _) => self.whole.clone(),
        };
        Diagnostic { span, ..problem }
    }
}

/// The places of the rule's bytes in the string, if reading the string gives the rule.
fn read(written: &str, rule: &str) -> Option<Vec<usize>> {
    let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| written.starts_with(quotes))?;
    let inner = written.strip_prefix(quotes)?.strip_suffix(quotes)?;
    let mut read = StringReader { rest: inner, at: quotes.len(), text: String::new(), places: Vec::new() };
    if quotes.len() == 3 {
        // A line break right after the opening quotes is no part of the text.
        let after = read.rest.strip_prefix("\r\n").or(read.rest.strip_prefix('\n')).unwrap_or(read.rest);
        read.skip(read.rest.len() - after.len());
    }
    while let Some(letter) = read.rest.chars().next() {
        match letter {
            '\\' if quotes.starts_with('"') => read.escape()?,
            '\r' if read.rest.starts_with("\r\n") && !rule.contains('\r') => read.skip(1),
            _ => read.push(letter, letter.len_utf8()),
        }
    }
    read.places.push(read.at);
    (read.text == rule).then_some(read.places)
}

struct StringReader<'a> {
    rest: &'a str,
    /// Where `rest` begins in the string.
    at: usize,
    text: String,
    /// For each byte of `text` where it is in the string.
    places: Vec<usize>,
}

impl StringReader<'_> {
    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.at += bytes;
    }

    /// The letter, which takes so many bytes of the string.
    fn push(&mut self, letter: char, written: usize) {
        self.text.push(letter);
        let stands = |byte: usize| if written == letter.len_utf8() { self.at + byte } else { self.at };
        self.places.extend((0..letter.len_utf8()).map(stands));
        self.skip(written);
    }

    /// `None` for what is no escape of TOML or JSON.
    fn escape(&mut self) -> Option<()> {
        let letter = self.rest.chars().nth(1)?;
        let plain = match letter {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            'e' => '\u{1b}',
            '"' | '\\' | '/' => letter,
            'x' => return self.number(2),
            'u' => return self.number(4),
            'U' => return self.number(8),
            // The end of a line, whose break and the white space after it are no part of the text.
            _ => {
                let kept = self.rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
                let gone = self.rest.len() - kept.len();
                let ends_line = self.rest[1..gone].contains('\n');
                return ends_line.then(|| self.skip(gone));
            }
        };
        self.push(plain, 2);
        Some(())
    }

    fn number(&mut self, digits: usize) -> Option<()> {
        let unit = |from: usize| u32::from_str_radix(self.rest.get(from..from + digits)?, 16).ok();
        let first = unit(2)?;
        let (code, written) = match first {
            // JSON writes a letter beyond the first plane as two.
            0xd800..=0xdbff => (0x10000 + ((first - 0xd800) << 10) + (unit(8)?.checked_sub(0xdc00)?), 12),
            code => (code, 2 + digits),
        };
        let letter = char::from_u32(code)?;
        self.push(letter, written);
        Some(())
    }
}
