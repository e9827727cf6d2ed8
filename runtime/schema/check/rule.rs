//! The rules of all files: their texts to meanings, once every entity is known.
//!
//! Works on drafts whatever else is wrong with them: a condition on what is in doubt is left alone. A rule sees all entities:
//! `user.memberships` is another one.

mod further;
mod lower;
mod names;
mod place;
mod refused;
mod search;
mod set_value;
mod terms;
mod types;

use super::doubt::Doubts;
use super::draft::{EntityDraft, LooseRule, RulePlace};
use super::rule_text::LONGEST_RULE;
use crate::schema::builtin::{self, USER};
use crate::schema::cel::{self, DEEPEST, MOST_NODES, SyntaxErrorKind, SyntaxNode};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink};
use crate::schema::model::{Entity, Operation};
use crate::schema::rule::{Expr, Rule};
use crate::schema::tree::Span;
use crate::schema::trigger::SetValue;
use names::RuleScope;
pub(super) use set_value::{Purpose, Wanted};

/// Gives every rule its meaning, or reports why it has none.
pub(super) fn resolve(drafts: &mut [EntityDraft], doubts: &Doubts, report: &mut DiagnosticSink) {
    let mut entities: Vec<Entity> = drafts.iter().map(|draft| draft.entity.clone()).collect();
    if !entities.iter().any(|entity| &*entity.name == USER) {
        entities.push(builtin::user());
    }
    for (at, draft) in drafts.iter_mut().enumerate() {
        for site in &draft.rules {
            let is_update = site.place == RulePlace::Entity(Operation::Update);
            let is_read = matches!(
                site.place,
                RulePlace::Entity(Operation::Read | Operation::List) | RulePlace::Field(_)
            );
            let own = &entities[at];
            let word = match site.place {
                RulePlace::Entity(operation) => operation.word(),
                RulePlace::Field(_) => Operation::Read.word(),
            };
            let scope = RuleScope {
                entities: &entities,
                doubts,
                own,
                is_read,
                word,
                is_update,
                on: None,
                element: None,
            };
            let Some(rule) = rule_at(&mut draft.entity, site.place) else { continue };
            let (meaning, problems) = meaning(&rule.source, scope);
            rule.meaning = meaning;
            tell(draft.file, &rule.source, &site.span, problems, report);
        }
        lease_without_a_rule(draft, report);
        for LooseRule { rule, span } in &draft.loose_rules {
            let own = &entities[at];
            let scope = RuleScope {
                entities: &entities,
                doubts,
                own,
                is_read: true,
                word: Operation::Read.word(),
                is_update: false,
                on: None,
                element: None,
            };
            tell(draft.file, &rule.source, span, meaning(&rule.source, scope).1, report);
        }
    }
}

/// Where a lease is required and its rule is that of `update`, which asks what would change: no one could ever hold one.
fn lease_without_a_rule(draft: &EntityDraft, report: &mut DiagnosticSink) {
    let access = &draft.entity.access;
    let asks = access.update.as_ref().is_some_and(|rule| rule.meaning.asks_of_change());
    if let Some(span) = draft.lease.clone().filter(|_| asks && access.lease.is_none()) {
        let message = "the update rule asks what changes, so it cannot say who may hold a lease";
        let problem = Diagnostic::new(DiagnosticCode::Lease, span, message).label("needs a rule of its own");
        report.add(
            draft.file,
            problem.help("add a rule without `change` to [access]: lease = \"user.id == owner\""),
        );
    }
}

/// The meaning of a rule of the settings for names: a read rule on what the pattern captured, and everything that is wrong with
/// it. `entities` are those of a checked schema.
pub(in crate::schema) fn name_rule(
    source: &str,
    captures: &Entity,
    entities: &[Entity],
    word: &'static str,
) -> (Expr, Vec<Diagnostic>) {
    if source.trim().is_empty() || source.len() > LONGEST_RULE {
        let message = format!("a rule has 1 to {LONGEST_RULE} bytes");
        let problem = Diagnostic::new(DiagnosticCode::AccessRule, 0..source.len(), message);
        return (
            Expr::Constant(false),
            vec![problem.label("empty or too long").help("write `false` for nobody")],
        );
    }
    let doubts = Doubts::of(&[], true);
    let scope = RuleScope {
        entities,
        doubts: &doubts,
        own: captures,
        is_read: true,
        word,
        is_update: false,
        on: None,
        element: None,
    };
    meaning(source, scope)
}

/// The meaning of an expression of an `[[on]]`: its `when`, or a value.
pub(super) struct OnScope<'a> {
    pub(super) entities: &'a [Entity],
    pub(super) doubts: &'a Doubts,
    /// The entity of the file.
    pub(super) own: &'a Entity,
    pub(super) event: Operation,
}

impl<'a> OnScope<'a> {
    fn rules(&self) -> RuleScope<'a> {
        RuleScope {
            entities: self.entities,
            doubts: self.doubts,
            own: self.own,
            is_read: false,
            word: "when",
            is_update: false,
            on: Some(self.event),
            element: None,
        }
    }

    pub(super) fn condition(&self, source: &str) -> (Expr, Vec<Diagnostic>) {
        meaning(source, self.rules())
    }

    /// A value of `set`, or of one side of `where`.
    pub(super) fn value(&self, node: &SyntaxNode, wanted: Wanted<'_>) -> Result<SetValue, Vec<Diagnostic>> {
        set_value::value(node, self.rules(), wanted)
    }
}

/// Reports what is wrong with a rule where it is in its file.
pub(super) fn tell(
    file: usize,
    source: &str,
    span: &Span,
    problems: Vec<Diagnostic>,
    report: &mut DiagnosticSink,
) {
    if problems.is_empty() {
        return;
    }
    let places = place::Places::new(report.text(file), span.clone(), source);
    problems.into_iter().for_each(|problem| report.add(file, places.moved(problem)));
}

fn rule_at(entity: &mut Entity, place: RulePlace) -> Option<&mut Rule> {
    match place {
        RulePlace::Entity(operation) => entity.access.source_mut(operation).as_mut(),
        RulePlace::Field(at) => entity.fields.get_mut(at.0)?.read.as_mut(),
    }
}

fn meaning(source: &str, scope: RuleScope<'_>) -> (Expr, Vec<Diagnostic>) {
    match parsed(source) {
        Ok(node) => lower::lower(&node, scope),
        Err(problem) => (Expr::Constant(false), vec![problem]),
    }
}

/// The tree of an expression, or why there is none.
pub(super) fn parsed(source: &str) -> Result<SyntaxNode, Diagnostic> {
    cel::parse(source).map_err(|fault| match fault.kind {
        SyntaxErrorKind::Syntax(said) => {
            Diagnostic::new(DiagnosticCode::RuleSyntax, fault.span, format!("this is not a rule: {said}"))
                .label("here")
                .help("a rule is one condition, as in: owner == user.id || user.role == 'admin'")
        }
        SyntaxErrorKind::TooDeep => {
            let message = format!("the rule is nested deeper than {DEEPEST} levels");
            Diagnostic::new(DiagnosticCode::RuleBudget, fault.span, message)
                .label("too deep")
                .help("take brackets out")
        }
        SyntaxErrorKind::TooManyNodes => {
            let message = format!("the rule has more than {MOST_NODES} parts");
            Diagnostic::new(DiagnosticCode::RuleBudget, fault.span, message).label("one too many").help(
                "write `x in [a, b]` for many comparisons, or keep what they ask in records of an entity",
            )
        }
    })
}
