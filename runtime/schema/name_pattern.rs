//! `NamePattern`: which names of presence and rooms a rule is for: `project/{project:Project}` (SEMANTICS Y5).
//!
//! Knows the form of a pattern and no rule. Whether an entity exists, `name_rules.rs` says.

use std::sync::Arc;

/// Parts between the slashes of one pattern, and of one name.
pub const MOST_SEGMENTS: usize = 16;
/// Longest pattern in bytes.
const LONGEST: usize = 256;
/// Words of the rule language that no capture can have as its name.
const WORDS: [&str; 10] =
    ["user", "change", "record", "now", "old", "id", "version", "created_at", "updated_at", "true"];

/// See the module's text. One that exists is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// As the settings have it.
    pub text: Arc<str>,
    pub segments: Vec<Segment>,
}

/// What stands between two slashes of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Any text, which rules use by this name.
    Capture(Capture),
}

/// `{name}` is a text, `{name:Entity}` the id of a record of this entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    pub name: String,
    pub entity: Option<String>,
}

/// What is wrong with a pattern, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadPattern {
    pub message: String,
    pub help: &'static str,
}

impl NamePattern {
    pub fn parse(text: &str) -> Result<NamePattern, BadPattern> {
        if text.is_empty() {
            return Err(bad("the pattern is empty", "write the name that the rules are for: \"lobby\""));
        }
        if text.len() > LONGEST {
            return Err(bad(format!("the pattern is longer than {LONGEST} bytes"), "write a shorter one"));
        }
        let segments: Vec<Segment> = text.split('/').map(segment).collect::<Result<_, _>>()?;
        if segments.len() > MOST_SEGMENTS {
            let message = format!("the pattern has more than {MOST_SEGMENTS} parts");
            return Err(bad(message, "write fewer slashes"));
        }
        let mut names: Vec<&str> = segments.iter().filter_map(Segment::capture).map(|c| &*c.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let message = format!("the pattern captures `{}` twice", twice[0]);
            return Err(bad(message, "give each capture a name of its own"));
        }
        Ok(NamePattern { text: text.into(), segments })
    }

    /// The captures, in their order.
    pub fn captures(&self) -> impl Iterator<Item = &Capture> {
        self.segments.iter().filter_map(Segment::capture)
    }

    /// What the captures hold of a name of these segments; `None` where the pattern does not fit.
    pub fn fit<'n>(&self, name: &[&'n str]) -> Option<Vec<&'n str>> {
        if name.len() != self.segments.len() {
            return None;
        }
        let mut captured = Vec::new();
        for (segment, text) in self.segments.iter().zip(name) {
            match segment {
                Segment::Literal(literal) if literal == text => {}
                Segment::Literal(_) => return None,
                Segment::Capture(_) => captured.push(*text),
            }
        }
        Some(captured)
    }
}

impl Segment {
    fn capture(&self) -> Option<&Capture> {
        if let Segment::Capture(capture) = self { Some(capture) } else { None }
    }
}

fn segment(text: &str) -> Result<Segment, BadPattern> {
    const CAPTURE: &str = "write {name} for a text, {name:Entity} for the id of a record";
    if text.is_empty() {
        let help = "write text or a capture between the slashes, and no slash at the ends";
        return Err(bad("a part of the pattern is empty", help));
    }
    if text.chars().any(|character| character.is_control() || "?#%".contains(character)) {
        let help = "names are compared after they were decoded: write the plain text";
        return Err(bad(format!("`{text}` has a control character or one of ? # %"), help));
    }
    let Some(inner) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        if text.contains(['{', '}']) {
            let message = format!("`{text}` is a capture in part only");
            return Err(bad(message, "a capture stands alone between two slashes: room/{name}"));
        }
        return Ok(Segment::Literal(text.to_owned()));
    };
    let (name, entity) = inner.split_once(':').map_or((inner, None), |(name, entity)| (name, Some(entity)));
    let first = |character: char| character.is_ascii_lowercase();
    let other = |character: char| first(character) || character.is_ascii_digit() || character == '_';
    if !name.starts_with(first) || !name.chars().all(other) || name.len() > 63 {
        return Err(bad(format!("`{name}` is not the name of a capture: lower case, digits and _"), CAPTURE));
    }
    if WORDS.contains(&name) {
        let help = "give it another name, as in {project_id}";
        return Err(bad(format!("`{name}` is a word of the rule language"), help));
    }
    if entity.is_some_and(|entity| entity.is_empty() || !entity.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return Err(bad(format!("`{text}` names no entity"), CAPTURE));
    }
    Ok(Segment::Capture(Capture { name: name.to_owned(), entity: entity.map(str::to_owned) }))
}

fn bad(message: impl Into<String>, help: &'static str) -> BadPattern {
    BadPattern { message: message.into(), help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_names_of_its_length_and_literals_and_captures_the_rest() {
        let pattern = NamePattern::parse("project/{project:Project}/board/{name}").unwrap();
        let entities: Vec<_> = pattern.captures().map(|capture| capture.entity.as_deref()).collect();
        assert_eq!(entities, [Some("Project"), None]);
        assert_eq!(pattern.fit(&["project", "7", "board", "a b"]), Some(vec!["7", "a b"]));
        for other in [&["project", "7", "board"][..], &["project", "7", "Board", "x"], &["project"], &[]] {
            assert_eq!(pattern.fit(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_bad_pattern_says_what_is_wrong() {
        let long = "a".repeat(257);
        let deep = vec!["a"; MOST_SEGMENTS + 1].join("/");
        for (text, word) in [
            ("", "empty"),
            ("/a", "part of the pattern is empty"),
            ("a/", "part of the pattern is empty"),
            ("a//b", "part of the pattern is empty"),
            ("a{x}", "in part only"),
            ("{x", "in part only"),
            ("{}", "name of a capture"),
            ("{X}", "name of a capture"),
            ("{1x}", "name of a capture"),
            ("{x y}", "name of a capture"),
            ("{user}", "word of the rule language"),
            ("{id}", "word of the rule language"),
            ("{x:}", "names no entity"),
            ("{x:My Task}", "names no entity"),
            ("{x}/{x}", "twice"),
            ("a?b", "control character"),
            ("a%20b", "control character"),
            ("a\tb", "control character"),
            (&long, "longer than 256"),
            (&deep, "more than 16 parts"),
        ] {
            let bad = NamePattern::parse(text).unwrap_err();
            assert!(bad.message.contains(word) && !bad.help.is_empty(), "{text}: {}", bad.message);
        }
    }
}
