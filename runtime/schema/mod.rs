//! Schema files: from TOML and JSON text to a checked `Schema`, with every error of every file at once.
//!
//! Knows no database and no wire; `store` compares a `Schema` with what it holds.

mod builtin;
mod cel;
mod check;
mod column;
pub mod convert;
pub mod defaults;
mod delay;
mod describe;
mod diagnostics;
mod ecma_pattern;
mod folder;
mod json_schema;
pub mod limits;
pub(crate) mod message;
pub mod model;
mod name_check;
mod name_pattern;
mod name_rules;
pub mod number;
mod operation;
mod questionable;
mod record;
pub mod record_schema;
mod render;
pub mod rule;
mod source;
pub mod text_form;
mod text_step;
mod tree;
pub mod trigger;
mod typescript;
mod unindexed;
pub mod value;
mod words;

use std::path::Path;

pub use check::{MOST_ENTITIES, MOST_FIELDS, MOST_INDEXES, MOST_RATE, check};
pub use column::{Column, EntityName, FieldIndex};
pub use delay::{BadDelay, Delay};
pub use describe::{canonical, describe, describe_with_rules};
pub use diagnostics::{DiagnosticCode, Diagnostics, MOST_DIAGNOSTICS};
pub use folder::{LARGEST_FILE, MOST_FILES};
pub use json_schema::json_schema;
pub use model::{
    Access, Entity, Field, FieldDefault, FieldKind, Generation, History, IdKind, KeyFields, Lookup, OnDelete,
    Operation, Pattern, Schema, Sequence,
};
pub use name_check::with_names;
pub use name_pattern::{BadPattern, MOST_SEGMENTS, NamePattern};
pub use name_rules::{NameMatch, NameRule, NameRules, NameTable, PRESENCE_WORDS, ROOM_WORDS};
pub use record::Record;
pub use render::Color;
pub use rule::{
    Comparison, ElementName, Expr, NowForm, RecordSearch, ReferencePath, RelatedSet, Rule, SearchKey, Term,
    UserTerm,
};
pub use source::{Format, SourceFile};
pub use text_step::TextStep;
pub use trigger::{OnExisting, SetField, SetValue, Trigger, TriggerAct, TriggerTarget};
pub use typescript::{own_name, typescript};
pub use value::{MOST_NESTED, Value};
pub use words::{WORDS_VERSION, words};

use diagnostics::{Diagnostic, DiagnosticSink};

/// A folder of schema files without errors.
#[derive(Debug)]
pub struct Loaded {
    pub schema: Schema,
    /// The files that were read, in the order of their names.
    pub files: Vec<SourceFile>,
    pub warnings: Diagnostics,
}

impl Loaded {
    /// A warning for each file without a rule: what `Schema::opened` opens to everybody.
    pub fn unsaid(&self) -> Diagnostics {
        let mut warnings = DiagnosticSink::default();
        // Each file describes one entity, and the schema has them in the order of the files.
        for (source, entity) in self.files.iter().zip(self.schema.entities()) {
            if !entity.access.is_unsaid() {
                continue;
            }
            let file = warnings.add_source(source);
            let root = tree::parse(source).root;
            let name = root.as_ref().and_then(|root| root.get("entity"));
            let message = format!("everyone may do everything with {}", message::quoted(&entity.name));
            let problem = Diagnostic::new(
                DiagnosticCode::Unsaid,
                name.map_or(0..0, |name| name.value.span.clone()),
                message,
            );
            let problem = problem.label("no [access] in this file");
            warnings.add(
                file,
                problem.help("outside of `tidewire dev` every request is denied: add a table [access] with rules like: read = \"user != null\""),
            );
        }
        warnings.finish()
    }
}

/// Reads and checks every schema file of a folder: `*.toml` and `*.json` directly in it, at most `MOST_FILES` files of
/// at most `LARGEST_FILE` bytes. An empty folder gives a schema with `User` alone and a warning.
pub fn load(dir: &Path) -> Result<Loaded, Diagnostics> {
    let mut report = DiagnosticSink::default();
    let files = folder::read_folder(dir, &mut report);
    let schema = check::check_into(&files, &mut report);
    if !report.is_empty() {
        return Err(report.finish());
    }
    let mut warnings = DiagnosticSink::default();
    if files.is_empty() {
        let folder = warnings.add_file(dir.display().to_string());
        let problem =
            Diagnostic::new(DiagnosticCode::EmptyFolder, 0..0, "there is no schema file in this folder");
        warnings.add(folder, problem.help("describe an entity in a file like task.toml (docs/schema.md); `tidewire new NAME` makes a folder with one"));
    }
    rules_without_an_index(&files, &schema, &mut warnings);
    questionable_rules(&files, &schema, &mut warnings);
    Ok(Loaded { schema, files, warnings: warnings.finish() })
}

/// A warning for each part of a rule that is probably not meant.
fn questionable_rules(files: &[SourceFile], schema: &Schema, warnings: &mut DiagnosticSink) {
    for (source, entity) in files.iter().zip(schema.entities()) {
        for operation in Operation::ALL {
            let found = questionable::questionable(schema, entity, operation);
            if found.is_empty() {
                continue;
            }
            let file = warnings.add_source(source);
            let root = tree::parse(source).root;
            let access = root.as_ref().and_then(|root| root.get("access"));
            let rule = access.and_then(|access| access.value.data.as_table()?.get(operation.word()));
            let span = rule.map_or(0..0, |rule| rule.value.span.clone());
            found.into_iter().for_each(|one| warnings.add(file, one.told(span.clone())));
        }
    }
}

/// A warning for each column by which a rule gives a user few records, and which no index leads to.
fn rules_without_an_index(files: &[SourceFile], schema: &Schema, warnings: &mut DiagnosticSink) {
    // Each file describes one entity, and the schema has them in the order of the files.
    for (source, entity) in files.iter().zip(schema.entities()) {
        let unindexed::Unindexed { rule: operation, columns: missing } = unindexed::missing(entity);
        if missing.is_empty() {
            continue;
        }
        let file = warnings.add_source(source);
        let root = tree::parse(source).root;
        let access = root.as_ref().and_then(|root| root.get("access"));
        let rule = access.and_then(|access| access.value.data.as_table()?.get(operation.word()));
        let span = rule.map_or(0..0, |rule| rule.value.span.clone());
        for column in missing {
            let name = entity.name_of(column);
            let message = format!(
                "no index leads to the records that a user may {} by {}",
                operation.word(),
                message::quoted(name)
            );
            let problem = Diagnostic::new(DiagnosticCode::Unindexed, span.clone(), message);
            let help = format!(
                "lists of more than 100,000 records would be refused: add [[index]] with fields = [\"{name}\", \"created_at\"]"
            );
            warnings.add(
                file,
                problem.label(format!("leaves few records by {}", message::quoted(name))).help(help),
            );
        }
    }
}
