//! A pattern of a schema file in the dialect that JSON Schema speaks: ECMA-262 with the `u` flag.
//!
//! The two dialects agree on most of what people write, and differ silently on the rest: `\d` means digits of every
//! script here and ten of them there. Knows no schema; what it cannot translate exactly it leaves to the reader.

use std::iter::Peekable;
use std::str::Chars;

const WORD: &str = r"\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}";
/// What ECMA-262 lets one escape; other punctuation stands for itself.
const SYNTAX: &str = r"^$\.*+?()[]{}|/";

/// The same language in ECMA-262; `None` where there is no plain translation. `source` is a pattern that compiles.
pub(super) fn ecma(source: &str) -> Option<String> {
    let mut letters = source.chars().peekable();
    let mut out = String::with_capacity(source.len());
    let mut last = Last::Nothing;
    while let Some(letter) = letters.next() {
        last = match letter {
            '*' | '+' | '?' => last.repeated(letter == '?')?.push(letter, &mut out),
            '{' => {
                count(&mut letters, &mut out)?;
                last.repeated(false)?
            }
            '(' => group(&mut letters, &mut out)?,
            '[' => class(&mut letters, &mut out)?,
            '\\' => escape(letters.next()?, &mut out)?,
            '^' | '$' | '|' => Last::Nothing.push(letter, &mut out),
            '.' => Last::Atom.push_all("[^\\n]", &mut out),
            ']' | '}' => Last::Atom.push_all(if letter == ']' { "\\]" } else { "\\}" }, &mut out),
            other => Last::Atom.push(other, &mut out),
        };
    }
    Some(out)
}

/// What comes before the next letter, which decides whether it may be repeated.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    /// The beginning of a pattern, group or branch, or an anchor.
    Nothing,
    Atom,
    Repetition,
    /// A repetition that takes as little as it can.
    Lazy,
}

impl Last {
    /// ECMA-262 repeats an atom once; `a**` is an error there.
    fn repeated(self, question: bool) -> Option<Last> {
        match self {
            Last::Atom => Some(Last::Repetition),
            Last::Repetition if question => Some(Last::Lazy),
            Last::Nothing | Last::Repetition | Last::Lazy => None,
        }
    }

    fn push(self, letter: char, out: &mut String) -> Last {
        out.push(letter);
        self
    }

    fn push_all(self, text: &str, out: &mut String) -> Last {
        out.push_str(text);
        self
    }
}

/// `2}`, `2,}` or `2,3}` behind an opening brace.
fn count(letters: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<()> {
    let inside: String = letters.by_ref().take_while(|letter| *letter != '}').collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if least.is_empty() || !digits(least) || !digits(most) {
        return None;
    }
    out.push_str(&format!("{{{inside}}}"));
    Some(())
}

/// Flags and named groups are left alone: only `(` and `(?:` mean the same everywhere.
fn group(letters: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<Last> {
    out.push('(');
    if letters.next_if_eq(&'?').is_some() {
        letters.next_if_eq(&':')?;
        out.push_str("?:");
    }
    Some(Last::Nothing)
}

fn escape(letter: char, out: &mut String) -> Option<Last> {
    match letter {
        'w' => out.push_str(&format!("[{WORD}]")),
        'W' => out.push_str(&format!("[^{WORD}]")),
        other => same_in_class(other, "", out)?,
    }
    Some(Last::Atom)
}

/// An escape that reads the same within a class and outside. `also` is what may be escaped beside `SYNTAX`.
fn same_in_class(letter: char, also: &str, out: &mut String) -> Option<()> {
    match letter {
        'd' => out.push_str(r"\p{Nd}"),
        'D' => out.push_str(r"\P{Nd}"),
        's' => out.push_str(r"\p{White_Space}"),
        'S' => out.push_str(r"\P{White_Space}"),
        'n' | 'r' | 't' => out.extend(['\\', letter]),
        _ if SYNTAX.contains(letter) || also.contains(letter) => out.extend(['\\', letter]),
        _ if letter.is_ascii_punctuation() => out.push(letter),
        _ => return None,
    }
    Some(())
}

/// A class behind its opening bracket. Nested classes and set operations are left alone.
fn class(letters: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<Last> {
    out.push('[');
    if let Some(not) = letters.next_if_eq(&'^') {
        out.push(not);
    }
    let (mut first, mut after_set) = (true, false);
    loop {
        let letter = letters.next()?;
        let doubled = letters.peek() == Some(&letter);
        match letter {
            ']' if first => return None,
            ']' => break,
            '[' => return None,
            '&' | '-' | '~' if doubled => return None,
            // Behind a set a hyphen must be the last letter.
            '-' if after_set && letters.peek() != Some(&']') => return None,
            '\\' => {
                let letter = letters.next()?;
                after_set = "dDsSw".contains(letter);
                match letter {
                    'w' => out.push_str(WORD),
                    other => same_in_class(other, "-", out)?,
                }
                first = false;
                continue;
            }
            '(' | ')' | '{' | '}' | '|' | '/' => out.extend(['\\', letter]),
            other => out.push(other),
        }
        (first, after_set) = (false, false);
    }
    out.push(']');
    Some(Last::Atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_the_same_is_kept_and_what_differs_is_translated_or_left_out() {
        for (rust, javascript) in [
            ("^[a-z]{2,4}$", Some("^[a-z]{2,4}$")),
            (r"^\d{4}-\d+?$", Some(r"^\p{Nd}{4}-\p{Nd}+?$")),
            (r"^#(?:[0-9a-f]{3}|\#)*$", Some(r"^#(?:[0-9a-f]{3}|#)*$")),
            ("a.b", Some(r"a[^\n]b")),
            (r"[\w.-]+@x", Some(r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}.-]+@x")),
            (r"a]b}", Some(r"a\]b\}")),
            (r"[(){}|/]\.", Some(r"[\(\)\{\}\|\/]\.")),
            (
                r"\s\S\W",
                Some(r"\p{White_Space}\P{White_Space}[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]"),
            ),
            ("äö+", Some("äö+")),
            (r"\bword\b", None),
            ("(?i)a", None),
            ("(?P<year>a)", None),
            ("[a-z&&[^b]]", None),
            ("[[:alpha:]]", None),
            ("[]a]", None),
            (r"\p{Greek}", None),
            (r"\x41", None),
            ("a**", None),
            ("^*", None),
            (r"[\d-]", Some(r"[\p{Nd}-]")),
        ] {
            regex::Regex::new(rust).unwrap_or_else(|error| panic!("{rust}: {error}"));
            assert_eq!(ecma(rust).as_deref(), javascript, "{rust}");
        }
    }
}
