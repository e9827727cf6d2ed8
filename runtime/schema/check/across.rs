//! What concerns several files: names and plurals that must differ, references that must lead somewhere.
//!
//! Knows no tree: it looks at drafts.

use std::collections::HashMap;

use super::draft::EntityDraft;
use super::names::USER_WORDS;
use crate::schema::builtin::{self, USER, USER_PLURAL};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink};
use crate::schema::message::{quoted, suggestion};
use crate::schema::tree::Span;

/// Most entities beside `User`.
pub const MOST_ENTITIES: usize = 200;

/// Checks all drafts together. `names_known` is false when the entity of some file could not be made out, and then no
/// reference is called unknown.
pub(super) fn check(drafts: &[EntityDraft], names_known: bool, report: &mut DiagnosticSink) {
    too_many(drafts, report);
    duplicate_names(drafts, report);
    duplicate_plurals(drafts, report);
    former_names(drafts, report);
    names_under_user(drafts, report);
    if names_known && drafts.iter().all(|draft| draft.name_span.is_some()) {
        unknown_references(drafts, report);
    }
}

fn named(drafts: &[EntityDraft]) -> impl Iterator<Item = (&EntityDraft, &Span)> {
    drafts.iter().filter_map(|draft| Some((draft, draft.name_span.as_ref()?)))
}

fn too_many(drafts: &[EntityDraft], report: &mut DiagnosticSink) {
    let own: Vec<_> = named(drafts).filter(|(draft, _)| &*draft.entity.name != USER).collect();
    if let Some((over, span)) = own.get(MOST_ENTITIES) {
        let message = format!("{} entities, and a schema has at most {MOST_ENTITIES}", own.len());
        let problem =
            Diagnostic::new(DiagnosticCode::TooMany, (*span).clone(), message).label("one too many");
        report.add(over.file, problem.help("remove some from the folder"));
    }
}

fn duplicate_names(drafts: &[EntityDraft], report: &mut DiagnosticSink) {
    let mut seen: HashMap<&str, (usize, &Span)> = HashMap::new();
    for (draft, span) in named(drafts) {
        let name = &*draft.entity.name;
        if let Some((file, first)) = seen.get(name) {
            let message = format!("two files describe the entity {}", quoted(name));
            let problem = Diagnostic::new(DiagnosticCode::DuplicateEntity, span.clone(), message)
                .label("described again here");
            let problem = problem.also_in(*file, (*first).clone(), "described here first");
            report.add(draft.file, problem.help("give one of them another name, or merge the two files"));
        } else {
            seen.insert(name, (draft.file, span));
        }
    }
}

fn duplicate_plurals(drafts: &[EntityDraft], report: &mut DiagnosticSink) {
    let mut seen: HashMap<&str, &EntityDraft> = HashMap::new();
    let has_user_file = named(drafts).any(|(draft, _)| &*draft.entity.name == USER);
    for (draft, _) in named(drafts).filter(|(draft, _)| !draft.entity.plural.is_empty()) {
        let plural = &*draft.entity.plural;
        let problem = |first: &str| {
            let (this, plural) = (quoted(&draft.entity.name), quoted(plural));
            Diagnostic::new(
                DiagnosticCode::DuplicatePlural,
                draft.plural_span.clone(),
                format!("{this} and {first} have the plural {plural}"),
            )
            .label("plural of this one")
            .help("give one of them another: plural = \"…\"")
        };
        match seen.get(plural) {
            // Two files for one entity have been reported as that.
            Some(first) if first.entity.name == draft.entity.name => {}
            Some(first) => {
                let problem = problem(&quoted(&first.entity.name));
                report.add(
                    draft.file,
                    problem.also_in(first.file, first.plural_span.clone(), "and of this one"),
                );
            }
            None if plural == USER_PLURAL && !has_user_file => {
                report.add(draft.file, problem("the built-in `User`"));
            }
            None => drop(seen.insert(plural, draft)),
        }
    }
}

/// A former name that is still an entity's, or that two entities claim, would give one table to two.
fn former_names(drafts: &[EntityDraft], report: &mut DiagnosticSink) {
    let mut seen: HashMap<&str, (usize, &Span)> = HashMap::new();
    for draft in drafts {
        let (Some(was), Some(span)) = (&draft.entity.was, &draft.was) else { continue };
        let problem = |message: String| Diagnostic::new(DiagnosticCode::Was, span.clone(), message);
        let present = named(drafts).find(|(other, _)| other.entity.name == *was);
        if let Some((present, name)) = present {
            let problem = problem(format!("the entity {} is still there", quoted(was))).label("was its name");
            let problem = problem.also_in(present.file, name.clone(), "this one");
            report.add(draft.file, problem.help("remove `was`, or the other file"));
        } else if let Some((file, first)) = seen.get(&**was) {
            let problem = problem(format!("two entities were {}", quoted(was))).label("the second");
            let problem = problem.also_in(*file, (*first).clone(), "the first");
            report.add(draft.file, problem.help("remove one of them"));
        } else {
            seen.insert(was, (draft.file, span));
        }
    }
}

/// In a rule `user.memberships` cannot be both a field of `User` and the memberships of a person.
fn names_under_user(drafts: &[EntityDraft], report: &mut DiagnosticSink) {
    let built_in = builtin::user();
    let of_user = built_in.fields.iter().map(|field| &*field.name).chain(["id"]);
    let taken: Vec<&str> = of_user.chain(USER_WORDS.iter().copied()).collect();
    for draft in drafts.iter().filter(|draft| draft.entity.identity.is_some()) {
        if taken.contains(&&*draft.entity.plural) {
            let name = format!("`user.{}`", draft.entity.plural);
            let message = format!("{name} means something else in rules");
            let problem = Diagnostic::new(DiagnosticCode::ReservedPlural, draft.plural_span.clone(), message);
            let help = format!("the records of a user would be {name}: give another plural");
            report.add(draft.file, problem.label("reserved").help(help));
        }
    }
    for user in drafts.iter().filter(|draft| &*draft.entity.name == USER) {
        for (name, span) in &user.names {
            let of_person =
                |draft: &&EntityDraft| draft.entity.identity.is_some() && draft.entity.plural == *name;
            let Some(other) = drafts.iter().find(of_person) else { continue };
            let (field, entity) = (quoted(name), quoted(&other.entity.name));
            let message = format!("`User` has a field {field}, and the plural of {entity} is {field} too");
            let problem =
                Diagnostic::new(DiagnosticCode::ReservedField, span.clone(), message).label("this field");
            let problem = problem.also_in(other.file, other.plural_span.clone(), "this plural");
            let help = format!("rules name both as `user.{name}`: give the field or the plural another name");
            report.add(user.file, problem.help(help));
        }
    }
}

fn unknown_references(drafts: &[EntityDraft], report: &mut DiagnosticSink) {
    let mut known: Vec<&str> = named(drafts).map(|(draft, _)| &*draft.entity.name).collect();
    if !known.contains(&USER) {
        known.push(USER);
    }
    for draft in drafts {
        for site in draft.refs.iter().filter(|site| !known.contains(&site.entity.as_str())) {
            let message = format!("there is no entity {} to refer to", quoted(&site.entity));
            let problem = Diagnostic::new(DiagnosticCode::UnknownEntity, site.span.clone(), message)
                .label("unknown entity");
            report.add(draft.file, problem.help(suggestion(&site.entity, &known, "the entities are")));
        }
    }
}
