//! `NameRules`: who may use which names of presence and rooms. Patterns of the settings become rules over what they capture
//! (SEMANTICS Y5).
//!
//! Knows neither presence nor rooms, nor how a rule is checked and evaluated.

use super::name_pattern::NamePattern;
use super::rule::{Expr, Rule};
use super::value::Value;
use crate::ids::RecordId;

/// The built-in entity, whose ids are texts.
const USER: &str = "User";
/// What may be done with a resource of presence, and with a room.
pub const PRESENCE_WORDS: &[&str] = &["watch", "join"];
pub const ROOM_WORDS: &[&str] = &["subscribe", "publish"];

/// See the module's text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NameRules {
    pub presence: NameTable,
    pub rooms: NameTable,
    /// A name that no pattern fits is open to everybody, as in `tidewire dev`; otherwise it is closed.
    pub open: bool,
}

/// The patterns of one table of the settings, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NameTable(pub Vec<NameRule>);

/// One pattern and its rules.
#[derive(Debug, Clone, PartialEq)]
pub struct NameRule {
    pub pattern: NamePattern,
    pub(super) rules: Vec<WordRule>,
}

/// Who may do one thing with the names that fit. A capture is a field of the record that the rule judges.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WordRule {
    pub(super) word: &'static str,
    pub(super) rule: Rule,
}

/// The pattern that a name fits, and what it captured.
#[derive(Debug, Clone, PartialEq)]
pub struct NameMatch<'a> {
    pub rule: &'a NameRule,
    /// In the order of the captures.
    pub values: Vec<Value>,
}

impl NameTable {
    /// By the first pattern that fits. An id of the wrong form does not fit its capture.
    pub fn find(&self, name: &[&str]) -> Option<NameMatch<'_>> {
        self.0.iter().find_map(|rule| Some(NameMatch { rule, values: rule.captured(name)? }))
    }

    /// Every rule of every pattern.
    pub fn rules(&self) -> impl Iterator<Item = &Expr> {
        self.0.iter().flat_map(|each| each.rules.iter().map(|of| &of.rule.meaning))
    }
}

impl NameRule {
    /// The rule for this, where the pattern has one.
    pub fn rule(&self, word: &str) -> Option<&Expr> {
        self.rules.iter().find(|of| of.word == word).map(|of| &of.rule.meaning)
    }

    fn captured(&self, name: &[&str]) -> Option<Vec<Value>> {
        let texts = self.pattern.fit(name)?;
        let typed = self.pattern.captures().zip(texts).map(|(capture, text)| {
            let id = match capture.entity.as_deref() {
                None => return Some(Value::Text(text.to_owned())),
                Some(USER) => RecordId::parse_text(text),
                Some(_) => RecordId::parse_uuid(text),
            };
            id.ok().map(|id| Value::Text(id.as_str().to_owned()))
        });
        typed.collect()
    }
}
