//! The checker: sources to a `Schema`, with every problem of every file reported before it stops.
//!
//! Works in passes: each file for itself (`entity.rs`), what concerns several of them (`across.rs`, `lookup.rs`), then the
//! access rules (`rule.rs`), which may name what is in any file. Every pass runs, whatever the ones before found; what depends
//! on a mistake that was reported is left out (`doubt.rs`). Knows no folder and no database.

mod across;
mod default;
mod doubt;
mod draft;
mod entity;
mod field;
mod index;
mod kind;
mod lookup;
mod names;
mod normalize;
mod on;
mod on_circle;
mod reader;
mod rule;
mod rule_text;
mod sequence;
mod unique;

use super::diagnostics::{DiagnosticCode, DiagnosticSink, Diagnostics};
use super::model::Schema;
use super::source::SourceFile;
use super::{builtin, tree};
pub use across::MOST_ENTITIES;
use draft::EntityDraft;
pub use entity::{MOST_FIELDS, MOST_RATE};
pub use index::MOST_INDEXES;
pub(super) use rule::name_rule;

/// The words of schema files, for the JSON Schema that editors read.
pub(super) mod words {
    pub(in crate::schema) use super::entity::OPERATIONS;
    pub(in crate::schema) use super::field::NOT_FOR_LOOKUPS;
    pub(in crate::schema) use super::kind::{
        KEYS_OF_TYPES, LARGEST_INT, LONGEST_VALUE, MOST_VALUES, SMALLEST_INT, TYPES,
    };
    pub(in crate::schema) use super::names::{
        ANSWER_WORDS, API_WORDS, JS_WORDS, LONGEST, RECORD_FIELDS, USER_WORDS,
    };
    pub(in crate::schema) use super::on::{EVENTS, MOST_TRIGGERS};
    pub(in crate::schema) use super::rule_text::LONGEST_RULE;
    pub(in crate::schema) use super::sequence::NOT_FOR_SEQUENCES;
    pub(in crate::schema) use super::unique::MOST_UNIQUE;
    #[cfg(test)]
    pub(in crate::schema) use super::{entity::KEYS as ENTITY_KEYS, kind::COMMON_KEYS, on::ON_KEYS};
}

/// Checks the texts of all schema files together. The schema has the entities in the order of the sources; `User` comes
/// last unless a source adds fields to it.
pub fn check(sources: &[SourceFile]) -> Result<Schema, Diagnostics> {
    let mut report = DiagnosticSink::default();
    let schema = check_into(sources, &mut report);
    if report.is_empty() { Ok(schema) } else { Err(report.finish()) }
}

/// As `check`, into a report that may hold problems already. The schema counts only if the report stays empty.
pub(super) fn check_into(sources: &[SourceFile], report: &mut DiagnosticSink) -> Schema {
    // The entity of a file that could not be read is unknown.
    let mut names_known = report.is_empty();
    let mut drafts: Vec<EntityDraft> = Vec::with_capacity(sources.len());
    for source in sources {
        let file = report.add_source(source);
        let parsed = tree::parse(source);
        // A key that is given twice, a number out of range and what is nested too deep leave a whole tree behind, with the first value
        // or none: the rest of it is checked too.
        let sound = parsed.problems.iter().all(|problem| problem.code != DiagnosticCode::Syntax);
        parsed.problems.into_iter().for_each(|problem| report.add_last(file, problem));
        match parsed.root {
            Some(root) if sound => {
                drafts.push(entity::check(&root, &mut reader::TableReader::new(file, report)))
            }
            Some(root) => match entity::name_only(&root, file) {
                Some(draft) => drafts.push(draft),
                None => names_known = false,
            },
            None => names_known = false,
        }
    }
    across::check(&drafts, names_known, report);
    let doubts = doubt::Doubts::of(&drafts, names_known);
    lookup::resolve(&mut drafts, &doubts, report);
    rule::resolve(&mut drafts, &doubts, report);
    let triggers = on::resolve(&mut drafts, &doubts, report);
    on_circle::check(&drafts, &triggers, report);
    let mut entities: Vec<_> = drafts.into_iter().map(|draft| draft.entity).collect();
    if !entities.iter().any(|entity| &*entity.name == builtin::USER) {
        entities.push(builtin::user());
    }
    Schema::new(entities)
}
