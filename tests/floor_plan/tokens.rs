//! The words of a source file, without comments, strings and tests: enough to see what a file names.
//! Knows no types and no macros.

/// A word or a sign of the code, and its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) line: usize,
}

impl Token<'_> {
    pub(super) fn is_name(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// The tokens of a file. What `#[cfg(test)]` comes before is left out: tests of a file may use the whole house.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    without_tests(&all_tokens(text))
}

fn all_tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let length = length_of_token(rest, first);
        let (taken, behind) = rest.split_at(length);
        let is_prose = taken.starts_with("//") || taken.starts_with("/*") || is_literal(taken);
        if !is_prose && !first.is_whitespace() {
            found.push(Token { text: taken.strip_prefix("r#").unwrap_or(taken), line });
        }
        line += taken.matches('\n').count();
        rest = behind;
    }
    found
}

fn is_literal(taken: &str) -> bool {
    taken.ends_with(['"', '#', '\'']) && taken.contains(['"', '\'']) && taken.len() > 1
}

fn length_of_token(rest: &str, first: char) -> usize {
    if first.is_whitespace() {
        return rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
    }
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return length_of_block_comment(rest);
    }
    if let Some(length) = length_of_string(rest) {
        return length;
    }
    if first == '\'' {
        return length_of_quote(rest);
    }
    if let Some(byte) = rest.strip_prefix('b')
        && byte.starts_with('\'')
    {
        return 1 + length_of_quote(byte);
    }
    if first.is_alphanumeric() || first == '_' {
        let start = if rest.starts_with("r#") { 2 } else { 0 };
        let name = rest[start..].find(|c: char| !c.is_alphanumeric() && c != '_');
        return name.map_or(rest.len(), |length| start + length);
    }
    if rest.starts_with("::") || rest.starts_with("->") || rest.starts_with("=>") {
        return 2;
    }
    first.len_utf8()
}

/// Block comments nest.
fn length_of_block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        let next = match (rest[at..].find("/*"), rest[at..].find("*/")) {
            (Some(open), Some(close)) if open < close => (open, 1),
            (_, Some(close)) => (close, -1),
            (_, None) => return rest.len(),
        };
        at += next.0 + 2;
        depth += next.1;
        if depth == 0 {
            return at;
        }
    }
}

/// `"…"`, `b"…"`, `c"…"`, `r"…"` and `br#"…"#`.
fn length_of_string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r'))?;
    if prefix > 2 {
        return None;
    }
    let raw = rest[..prefix].contains('r');
    let hashes = rest[prefix..].len() - rest[prefix..].trim_start_matches('#').len();
    let open = prefix + hashes;
    if !rest[open..].starts_with('"') || (hashes > 0 && !raw) {
        return None;
    }
    let inside = &rest[open + 1..];
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(inside.find(&end).map_or(rest.len(), |at| open + 1 + at + end.len()));
    }
    let mut escaped = false;
    let end = inside.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    Some(end.map_or(rest.len(), |at| open + at + 2))
}

/// A character in quotes, or a lifetime.
fn length_of_quote(rest: &str) -> usize {
    let inside = &rest[1..];
    if let Some(escape) = inside.strip_prefix('\\') {
        let skipped = escape.chars().next().map_or(0, char::len_utf8);
        return escape[skipped..].find('\'').map_or(rest.len(), |at| 2 + skipped + at + 1);
    }
    let length = inside.chars().next().map_or(0, char::len_utf8);
    if inside[length..].starts_with('\'') {
        return length + 2;
    }
    1 + inside.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(inside.len())
}

fn without_tests<'a>(all: &[Token<'a>]) -> Vec<Token<'a>> {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < all.len() {
        if all[at..].len() >= marker.len()
            && all[at..].iter().zip(marker).all(|(token, mark)| token.text == mark)
        {
            at = end_of_item(all, at + marker.len());
        } else {
            kept.push(all[at]);
            at += 1;
        }
    }
    kept
}

/// Behind the `;` or the closing brace of the item that begins here.
fn end_of_item(all: &[Token<'_>], from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in all.iter().enumerate().skip(from) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" if depth == 1 => return at + 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    all.len()
}

#[test]
fn comments_strings_and_tests_are_no_code() {
    let text = "use a; // use b\n/* use /* c */ d */ let e = \"use \\\" f\"; r#\"use \" g\"#; 'h' b'\\'' <'i>\n\
                #[cfg(test)] #[x] mod tests { use j; fn k() {} }\n#[cfg(test)] use l;\nr#type";
    let words: Vec<&str> =
        tokens(text).iter().filter(|token| token.is_name()).map(|token| token.text).collect();
    assert_eq!(words, ["use", "a", "let", "e", "type"], "{:?}", tokens(text));
    assert_eq!(tokens(text).last().map(|token| token.line), Some(5));
}
