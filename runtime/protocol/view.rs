//! `View`: the opaque name of what a subscriber sees of a channel. A resume under another view is no resume.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::rules::ReadScope;
use crate::schema::Generation;

/// Hash of bound predicate, projection and schema generation (SEMANTICS P5): 24 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct View(Arc<str>);

impl View {
    /// `predicate` and `projection` in their canonical text forms.
    pub fn new(predicate: &str, projection: &str, generation: Generation) -> View {
        let digest = Sha256::new()
            .chain_update(predicate)
            .chain_update([0])
            .chain_update(projection)
            .chain_update([0])
            .chain_update(generation.0.to_le_bytes())
            .finalize();
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or_default();
        let digits = digest.iter().take(12).flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
        View(digits.collect::<String>().into())
    }

    /// What this read scope shows: equal for equal read scopes of one entity.
    pub fn of(read_scope: &ReadScope) -> View {
        let text = read_scope.text();
        View::new(&text.predicate, &text.fields, read_scope.generation)
    }

    /// What these read scopes show of the activity: equal for equal ones of the same entities, in the order of their names.
    pub fn of_activity<'a>(read_scopes: impl Iterator<Item = &'a ReadScope>, generation: Generation) -> View {
        let (mut predicates, mut fields) = ("activity\n".to_owned(), String::new());
        for read_scope in read_scopes {
            let text = read_scope.text();
            for (all, text) in [(&mut predicates, &text.predicate), (&mut fields, &text.fields)] {
                // With their lengths, so that no text runs into the next entity.
                all.push_str(&format!("{} {} {text}\n", read_scope.entity.name, text.len()));
            }
        }
        View::new(&predicates, &fields, generation)
    }

    /// All records with all fields: what everybody sees as long as rules are not interpreted.
    pub fn everything(generation: Generation) -> View {
        View::new("true", "*", generation)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
