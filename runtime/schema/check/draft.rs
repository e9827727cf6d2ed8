//! What the checker has read from one file, with its places, for passes that look at all files.
//!
//! Decides nothing.

use std::sync::Arc;

use crate::schema::column::FieldIndex;
use crate::schema::model::{Entity, Operation};
use crate::schema::rule::Rule;
use crate::schema::tree::{Node, Span};
use crate::schema::trigger::OnExisting;

/// What one file describes. Whole only if nothing was reported of the file.
pub(super) struct EntityDraft {
    pub(super) file: usize,
    pub(super) entity: Entity,
    /// The place of the entity's name; `None` if the file names no entity.
    pub(super) name_span: Option<Span>,
    /// The place of the plural, or of the name that it was made of.
    pub(super) plural_span: Span,
    pub(super) refs: Vec<RefSite>,
    pub(super) lookups: Vec<LookupSite>,
    pub(super) rules: Vec<RuleSite>,
    /// The tables `[[on]]`, until every entity is known.
    pub(super) on: Vec<OnDraft>,
    /// The place of `lease`.
    pub(super) lease: Option<Span>,
    /// The places of `was`, of the entity and of its fields.
    pub(super) was: Option<Span>,
    /// Every field of the file and the place of its name.
    pub(super) names: Vec<(Arc<str>, Span)>,
    /// Rules of fields that have no type: only what is wrong with them counts.
    pub(super) loose_rules: Vec<LooseRule>,
    /// Fields whose type is not certain.
    pub(super) doubtful: Vec<String>,
    /// Nothing is known of the fields.
    pub(super) unread: bool,
    /// `identity` was reported.
    pub(super) owner_doubtful: bool,
}

/// A rule, and its place.
pub(super) struct LooseRule {
    pub(super) rule: Rule,
    pub(super) span: Span,
}

impl EntityDraft {
    pub(super) fn new(file: usize, entity: Entity, name_span: Option<Span>) -> EntityDraft {
        let plural_span = name_span.clone().unwrap_or(0..0);
        EntityDraft {
            file,
            entity,
            name_span,
            plural_span,
            refs: Vec::new(),
            lookups: Vec::new(),
            rules: Vec::new(),
            on: Vec::new(),
            lease: None,
            was: None,
            names: Vec::new(),
            loose_rules: Vec::new(),
            doubtful: Vec::new(),
            unread: false,
            owner_doubtful: false,
        }
    }
}

/// Where a field names the entity that it refers to.
pub(super) struct RefSite {
    pub(super) entity: String,
    pub(super) span: Span,
}

/// Where a lookup says from where it has its value: the parts of `task.project`.
pub(super) struct LookupSite {
    /// The lookup's own name.
    pub(super) field: String,
    pub(super) via: String,
    pub(super) source: String,
    pub(super) span: Span,
}

/// Where a field says that the server numbers it.
pub(super) struct SequenceSite {
    /// The field's own name.
    pub(super) field: String,
    /// The field that records have in common; `None` for all records of the entity.
    pub(super) by: Option<String>,
    pub(super) span: Span,
}

/// The place of a rule.
pub(super) struct RuleSite {
    pub(super) place: RulePlace,
    /// The string in the file, with what encloses it.
    pub(super) span: Span,
}

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RulePlace {
    Entity(Operation),
    Field(FieldIndex),
}

/// One `[[on]]` table as the file has it.
pub(super) struct OnDraft {
    pub(super) span: Span,
    pub(super) event: Operation,
    pub(super) when: Option<(Rule, Span)>,
    pub(super) act: Operation,
    /// Name of the entity whose records are written.
    pub(super) entity: String,
    pub(super) entity_span: Span,
    pub(super) find: Option<(String, Span)>,
    pub(super) set: Vec<SetDraft>,
    pub(super) set_span: Span,
    pub(super) exists: OnExisting,
}

/// One value of `set`.
pub(super) struct SetDraft {
    pub(super) field: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}
