//! The rules of all files: their texts to meanings, once every entity is known.
//!
//! Works on drafts whatever else is wrong with them: a condition on what is in doubt is left alone. A rule sees all entities:
//! `user.memberships` is another one.

mod lower;
mod names;
mod place;
mod refused;
mod terms;
mod types;

use super::doubt::Doubts;
use super::entity::Draft;
use crate::schema::builtin::{self, USER};
use crate::schema::cel::{self, DEEPEST, FaultKind, MOST_NODES};
use crate::schema::diagnostics::{Code, Problem, Report};
use crate::schema::model::{Entity, FieldIndex, Operation};
use crate::schema::rule::{Expr, Rule};
use crate::schema::tree::Span;
use names::Scope;

/// Where a rule stands.
pub(super) struct RuleSite {
    pub(super) place: Place,
    /// The string in the file, with what encloses it.
    pub(super) span: Span,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Entity(Operation),
    Field(FieldIndex),
}

/// Gives every rule its meaning, or reports why it has none.
pub(super) fn resolve(drafts: &mut [Draft], doubts: &Doubts, report: &mut Report) {
    let mut entities: Vec<Entity> = drafts.iter().map(|draft| draft.entity.clone()).collect();
    if !entities.iter().any(|entity| &*entity.name == USER) {
        entities.push(builtin::user());
    }
    for (at, draft) in drafts.iter_mut().enumerate() {
        for site in &draft.rules {
            let is_update = site.place == Place::Entity(Operation::Update);
            let is_read = matches!(site.place, Place::Entity(Operation::Read) | Place::Field(_));
            let own = &entities[at];
            let scope = Scope { entities: &entities, doubts, own, is_read, is_update, element: None };
            let Some(rule) = rule_at(&mut draft.entity, site.place) else { continue };
            let (meaning, problems) = meaning(&rule.source, scope);
            rule.meaning = meaning;
            tell(draft.file, (&rule.source, &site.span), problems, report);
        }
        for (rule, span) in &draft.loose_rules {
            let own = &entities[at];
            let scope =
                Scope { entities: &entities, doubts, own, is_read: true, is_update: false, element: None };
            tell(draft.file, (&rule.source, span), meaning(&rule.source, scope).1, report);
        }
    }
}

/// Reports what is wrong with a rule where it stands in its file.
fn tell(file: usize, (source, span): (&str, &Span), problems: Vec<Problem>, report: &mut Report) {
    if problems.is_empty() {
        return;
    }
    let places = place::Places::new(report.text(file), span.clone(), source);
    problems.into_iter().for_each(|problem| report.add(file, places.moved(problem)));
}

fn rule_at(entity: &mut Entity, place: Place) -> Option<&mut Rule> {
    match place {
        Place::Entity(Operation::Read) => entity.access.read.as_mut(),
        Place::Entity(Operation::Create) => entity.access.create.as_mut(),
        Place::Entity(Operation::Update) => entity.access.update.as_mut(),
        Place::Entity(Operation::Delete) => entity.access.delete.as_mut(),
        Place::Field(at) => entity.fields.get_mut(at.0)?.read.as_mut(),
    }
}

fn meaning(source: &str, scope: Scope<'_>) -> (Expr, Vec<Problem>) {
    match cel::parse(source) {
        Ok(node) => lower::lower(&node, scope),
        Err(fault) => {
            let problem = match fault.kind {
                FaultKind::Syntax(said) => {
                    Problem::new(Code::RuleSyntax, fault.span, format!("this is no rule: {said}"))
                        .label("here")
                        .help("a rule is one condition, as in: owner == user.id || user.role == 'admin'")
                }
                FaultKind::TooDeep => {
                    let message = format!("the rule is nested deeper than {DEEPEST} levels");
                    Problem::new(Code::RuleBudget, fault.span, message)
                        .label("too deep")
                        .help("take brackets out")
                }
                FaultKind::TooManyNodes => {
                    let message = format!("the rule has more than {MOST_NODES} parts");
                    Problem::new(Code::RuleBudget, fault.span, message)
                        .label("one too many")
                        .help("write `x in [a, b]` for many comparisons, or keep what they ask in records of an entity")
                }
            };
            (Expr::Constant(false), vec![problem])
        }
    }
}
