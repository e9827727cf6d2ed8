//! `[[on]]` tables that cause each other: in a circle they would never end, and more than four deep nobody sees any longer what a
//! write does (SEMANTICS X3).
//!
//! Knows what each writes, and which records go or change with a delete.

use super::draft::EntityDraft;
use crate::schema::column::EntityName;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink};
use crate::schema::model::{FieldKind, OnDelete, Operation};
use crate::schema::tree::Span;

/// Longest chain of tables of which each causes the next.
pub(in crate::schema) const DEEPEST_TRIGGERS: usize = 4;

/// An operation on records of an entity.
#[derive(Clone, PartialEq)]
struct Happening {
    entity: EntityName,
    operation: Operation,
}

/// A table, by places.
#[derive(Clone, Copy, PartialEq)]
struct Place {
    draft: usize,
    trigger: usize,
}

/// Reports each table that leads back to itself; and where there is none, each that begins a chain that is too long.
pub(super) fn check(drafts: &[EntityDraft], spans: &[Vec<Span>], report: &mut DiagnosticSink) {
    let mut places = Vec::new();
    for (draft, spans) in spans.iter().enumerate() {
        places.extend((0..spans.len()).map(|trigger| Place { draft, trigger }));
    }
    let mut tell = |at: Place, message: String, label: &str, help: &str| {
        let span = spans[at.draft][at.trigger].clone();
        let problem = Diagnostic::new(DiagnosticCode::OnCircle, span, message).label(label);
        report.add(drafts[at.draft].file, problem.help(help));
    };
    let circles: Vec<Place> = places.iter().copied().filter(|start| leads_back(drafts, *start)).collect();
    for at in &circles {
        let help = "take one of them out, or store in a field what the later one needs";
        tell(*at, "this [[on]] causes itself in a circle".to_owned(), "a circle", help);
    }
    if !circles.is_empty() {
        return;
    }
    for at in places.into_iter().filter(|start| is_too_long(drafts, *start, 1)) {
        let message = format!("more than {DEEPEST_TRIGGERS} tables [[on]] follow one after the other");
        tell(at, message, "the first of them", "let this one do what the later ones do");
    }
}

fn leads_back(drafts: &[EntityDraft], start: Place) -> bool {
    let mut seen: Vec<Place> = Vec::new();
    let mut ahead = caused(drafts, start);
    while let Some(place) = ahead.pop() {
        if place == start {
            return true;
        }
        if !seen.contains(&place) {
            seen.push(place);
            ahead.extend(caused(drafts, place));
        }
    }
    false
}

/// Of tables of which none leads back to itself.
fn is_too_long(drafts: &[EntityDraft], from: Place, depth: usize) -> bool {
    depth > DEEPEST_TRIGGERS
        || caused(drafts, from).into_iter().any(|next| is_too_long(drafts, next, depth + 1))
}

/// The tables that run after what this one does.
fn caused(drafts: &[EntityDraft], place: Place) -> Vec<Place> {
    let act = &drafts[place.draft].entity.triggers[place.trigger].act;
    let first = Happening { entity: act.entity().clone(), operation: act.operation() };
    let happening = with_cascades(drafts, first);
    let mut found = Vec::new();
    for (draft, of) in drafts.iter().enumerate() {
        for (trigger, on) in of.entity.triggers.iter().enumerate() {
            if happening.iter().any(|one| one.entity == of.entity.name && one.operation == on.event) {
                found.push(Place { draft, trigger });
            }
        }
    }
    found
}

/// An operation, and what it does with the records that refer to those that it deletes.
fn with_cascades(drafts: &[EntityDraft], first: Happening) -> Vec<Happening> {
    let mut all = vec![first];
    let mut at = 0;
    while let Some(Happening { entity, operation }) = all.get(at).cloned() {
        at += 1;
        if operation != Operation::Delete {
            continue;
        }
        for child in drafts {
            for field in child.entity.fields.iter().filter(|field| field.lookup.is_none()) {
                let FieldKind::Ref { entity: target, on_delete } = &field.kind else { continue };
                let operation = match on_delete {
                    OnDelete::Cascade => Operation::Delete,
                    OnDelete::SetNull => Operation::Update,
                    OnDelete::Restrict => continue,
                };
                let then = Happening { entity: child.entity.name.clone(), operation };
                if *target == entity && !all.contains(&then) {
                    all.push(then);
                }
            }
        }
    }
    all
}
