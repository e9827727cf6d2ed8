//! Lookup fields (`from = "task.project"`): the path to the field that they copy, its type, that they do not show what it keeps
//! back, and that no chain of them ends where it began (SEMANTICS R8).
//!
//! Works on drafts whatever else is wrong with them: a path through what is in doubt is left alone.

use std::collections::HashMap;

use super::doubt::Doubts;
use super::draft::{EntityDraft, LookupSite};
use crate::schema::builtin;
use crate::schema::column::{EntityName, FieldIndex};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Entity, Field, FieldKind, Lookup};

/// Gives every lookup its path, or reports why it has none.
pub(super) fn resolve(drafts: &mut [EntityDraft], doubts: &Doubts, report: &mut DiagnosticSink) {
    let entities = by_name(drafts);
    let mut found = Vec::new();
    for (at, draft) in drafts.iter().enumerate() {
        for site in &draft.lookups {
            let Some((own, field)) = draft.entity.field(&site.field) else { continue };
            if is_doubtful(&entities, &draft.entity, doubts, site) {
                continue;
            }
            match path(&entities, &draft.entity, field, site) {
                Ok(lookup) => found.push((at, own, lookup)),
                Err(problem) => report.add(draft.file, problem),
            }
        }
    }
    for (at, own, lookup) in found {
        drafts[at].entity.fields[own.0].lookup = Some(lookup);
    }
    cycles(drafts, report);
}

/// Whether one of the fields of the path, or the copy, may be another than it seems.
fn is_doubtful(
    entities: &HashMap<EntityName, Entity>,
    entity: &Entity,
    doubts: &Doubts,
    site: &LookupSite,
) -> bool {
    let own = [&site.field, &site.via];
    let via = entity.field(&site.via).map(|(_, via)| &via.kind);
    let target = if let Some(FieldKind::Ref { entity, .. }) = via { Some(entity) } else { None };
    own.into_iter().any(|field| doubts.field(&entity.name, field))
        || target.is_some_and(|target| !entities.contains_key(target) || doubts.field(target, &site.source))
}

fn by_name(drafts: &[EntityDraft]) -> HashMap<EntityName, Entity> {
    let built_in = [builtin::user()].into_iter();
    let described = drafts.iter().map(|draft| draft.entity.clone());
    built_in.chain(described).map(|entity| (entity.name.clone(), entity)).collect()
}

fn path(
    entities: &HashMap<EntityName, Entity>,
    entity: &Entity,
    field: &Field,
    site: &LookupSite,
) -> Result<Lookup, Diagnostic> {
    let problem = |message: String| Diagnostic::new(DiagnosticCode::Lookup, site.span.clone(), message);
    let Some((via, reference)) = entity.field(&site.via) else {
        let refs = names(entity, |field| matches!(field.kind, FieldKind::Ref { .. }));
        let message = format!("{} has no field {}", quoted(&entity.name), quoted(&site.via));
        let help = match refs.is_empty() {
            true => "the path begins with a field of type ref: add one to this entity".to_owned(),
            false => suggestion(&site.via, &refs, "the refs are"),
        };
        return Err(problem(message).label("unknown ref").help(help));
    };
    let FieldKind::Ref { entity: target, .. } = &reference.kind else {
        let message =
            format!("{} is of type {} and refers to nothing", quoted(&site.via), reference.kind.word());
        return Err(problem(message).label("not a ref").help("begin the path with a field of type ref"));
    };
    let target = &entities[target];
    let Some((source, copied)) = target.field(&site.source) else {
        let known = names(target, |_| true);
        let message = format!("{} has no field {}", quoted(&target.name), quoted(&site.source));
        return Err(problem(message).label("unknown field").help(suggestion(
            &site.source,
            &known,
            "its fields are",
        )));
    };
    match same_type(&field.kind, &copied.kind) {
        // Whatever the rules of the two entities are, no file says that others may see the copy.
        Ok(()) if copied.read.is_some() && field.read.is_none() => {
            let original = format!("{}.{}", target.name, copied.name);
            let message = format!("{} would show what {} hides", quoted(&field.name), quoted(&original));
            let help = "give this field a rule of its own (`read = \"...\"`), or `hidden = true`";
            Err(Diagnostic::new(DiagnosticCode::LookupShows, site.span.clone(), message)
                .label("copies it")
                .help(help))
        }
        Ok(()) => Ok(Lookup { via, field: source }),
        Err(help) => {
            let message =
                format!("{} and {}.{} differ in type", quoted(&field.name), target.name, copied.name);
            Err(problem(message).label("another type").help(help))
        }
    }
}

fn names(entity: &Entity, which: impl Fn(&Field) -> bool) -> Vec<&str> {
    entity.fields.iter().filter(|field| which(field)).map(|field| &*field.name).collect()
}

/// Whether every value of the one is a value of the other; if not, what to write.
fn same_type(own: &FieldKind, copied: &FieldKind) -> Result<(), String> {
    match (own, copied) {
        (FieldKind::Json, FieldKind::Json) => Err("a json field cannot be looked up".to_owned()),
        (FieldKind::Enum { values: own }, FieldKind::Enum { values: copied }) => match own == copied {
            true => Ok(()),
            false => Err("give both the same `values` in the same order".to_owned()),
        },
        (FieldKind::Ref { entity: own, .. }, FieldKind::Ref { entity: copied, .. }) => match own == copied {
            true => Ok(()),
            false => Err(format!("write entity = {}", quoted(copied).replace('`', "\""))),
        },
        _ if own.word() == copied.word() => Ok(()),
        _ => Err(format!("write type = \"{}\"", copied.word())),
    }
}

/// A field of a draft, by places.
#[derive(Clone, Copy, PartialEq, Eq)]
struct DraftField {
    draft: usize,
    field: FieldIndex,
}

/// A lookup depends on the ref that it goes through and on the field that it copies. Following both from each lookup, it
/// must never come back to itself: a change would then go round forever.
fn cycles(drafts: &[EntityDraft], report: &mut DiagnosticSink) {
    for (at, draft) in drafts.iter().enumerate() {
        for site in &draft.lookups {
            let Some((own, _)) = draft.entity.field(&site.field) else { continue };
            if leads_back(drafts, DraftField { draft: at, field: own }) {
                let message = format!(
                    "the lookup {} copies from itself in a circle",
                    quoted(&format!("{}.{}", draft.entity.name, site.field))
                );
                let problem = Diagnostic::new(DiagnosticCode::LookupCycle, site.span.clone(), message)
                    .label("a circle");
                report.add(draft.file, problem.help("copy from a field that is not a lookup of this one"));
            }
        }
    }
}

fn leads_back(drafts: &[EntityDraft], start: DraftField) -> bool {
    let mut seen = vec![start];
    let mut ahead = dependencies(drafts, start);
    while let Some(field) = ahead.pop() {
        if field == start {
            return true;
        }
        if !seen.contains(&field) {
            seen.push(field);
            ahead.extend(dependencies(drafts, field));
        }
    }
    false
}

fn dependencies(drafts: &[EntityDraft], of: DraftField) -> Vec<DraftField> {
    let entity = &drafts[of.draft].entity;
    let Some(lookup) = entity.at(of.field).lookup else { return Vec::new() };
    let mut fields = vec![DraftField { field: lookup.via, ..of }];
    if let FieldKind::Ref { entity: target, .. } = &entity.at(lookup.via).kind {
        // The built-in `User` without a file has no lookups, so nothing leads on from it.
        let target = drafts.iter().position(|draft| draft.entity.name == *target);
        fields.extend(target.map(|draft| DraftField { draft, field: lookup.field }));
    }
    fields
}
