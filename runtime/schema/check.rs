//! The checker: sources to a `Schema`, with every problem of every file reported before it gives up.
//!
//! Works in passes: each file for itself (`entity.rs`), what concerns several of them (`across.rs`, `lookup.rs`), then the
//! access rules (`rule.rs`), which may name what stands in any file. Knows no folder and no database.

mod across;
mod default;
mod entity;
mod field;
mod index;
mod kind;
mod lookup;
mod names;
mod reader;
mod rule;

use super::diagnostics::{Code, Diagnostics, Report};
use super::model::Schema;
use super::source::SourceFile;
use super::{builtin, tree};
use entity::Draft;

/// The words of schema files, for whoever describes them to editors.
pub(super) mod words {
    pub(in crate::schema) use super::entity::{LONGEST_RULE, OPERATIONS};
    pub(in crate::schema) use super::field::NOT_FOR_LOOKUPS;
    pub(in crate::schema) use super::kind::{
        KEYS_OF_TYPES, LARGEST_INT, LONGEST_VALUE, MOST_VALUES, SMALLEST_INT, TYPES,
    };
    pub(in crate::schema) use super::names::{
        ANSWER_WORDS, API_WORDS, JS_WORDS, LONGEST, QUERY_WORDS, RECORD_FIELDS, USER_WORDS,
    };
    #[cfg(test)]
    pub(in crate::schema) use super::{entity::KEYS as ENTITY_KEYS, kind::COMMON_KEYS};
}

/// Most entities beside `User`.
pub const MOST_ENTITIES: usize = 200;
/// Most fields of one entity, the built-in ones of `User` included.
pub const MOST_FIELDS: usize = 200;
/// Most indexes of one entity.
pub const MOST_INDEXES: usize = 64;

/// Checks the texts of all schema files together. The schema has the entities in the order of the sources; `User` comes
/// last unless a source adds fields to it.
pub fn check(sources: &[SourceFile]) -> Result<Schema, Diagnostics> {
    let mut report = Report::default();
    let schema = check_into(sources, &mut report);
    if report.is_empty() { Ok(schema) } else { Err(report.finish()) }
}

/// As `check`, into a report that may hold problems already. The schema counts only if the report stays empty.
pub(super) fn check_into(sources: &[SourceFile], report: &mut Report) -> Schema {
    // Of a file that could not be read, nobody knows which entity it describes.
    let mut names_known = report.is_empty();
    let mut drafts: Vec<Draft> = Vec::with_capacity(sources.len());
    for source in sources {
        let file = report.add_source(source);
        let parsed = tree::parse(source);
        // A key that is given twice leaves a whole tree behind, with the first value: the rest of it is checked too.
        let sound = parsed.problems.iter().all(|problem| problem.code == Code::DuplicateKey);
        parsed.problems.into_iter().for_each(|problem| report.add(file, problem));
        match parsed.root {
            Some(root) if sound => drafts.push(entity::check(&root, &mut reader::Reader::new(file, report))),
            Some(root) => match entity::name_only(&root, file) {
                Some(draft) => drafts.push(draft),
                None => names_known = false,
            },
            None => names_known = false,
        }
    }
    across::check(&drafts, names_known, report);
    if report.is_empty() {
        lookup::resolve(&mut drafts, report);
    }
    if report.is_empty() {
        rule::resolve(&mut drafts, report);
    }
    let mut entities: Vec<_> = drafts.into_iter().map(|draft| draft.entity).collect();
    if !entities.iter().any(|entity| &*entity.name == builtin::USER) {
        entities.push(builtin::user());
    }
    Schema::new(entities)
}
