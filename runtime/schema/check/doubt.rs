//! Doubt: which names of the files mean nothing certain, because something else is wrong with them. A rule or lookup that uses such
//! a name is not called wrong: the mistake may be the field's. Everything else about it is still reported.
//!
//! Knows no rule; `rule.rs` and `lookup.rs` ask here.

use super::draft::EntityDraft;
use crate::schema::builtin::USER;
use crate::schema::model::FieldKind;

/// See the module's text. One for each draft, in their order.
pub(super) struct Doubts {
    entities: Vec<Doubt>,
    /// For some file the entity that it describes is unknown.
    files_unread: bool,
}

struct Doubt {
    name: String,
    plural: String,
    fields: Vec<String>,
    /// Nothing is known of its fields.
    unread: bool,
    /// Whose its records are is not certain.
    owner: bool,
}

impl Doubts {
    pub(super) fn of(drafts: &[EntityDraft], names_known: bool) -> Doubts {
        let is_known = |name: &str| name == USER || drafts.iter().any(|draft| &*draft.entity.name == name);
        let entities = drafts.iter().map(|draft| {
            let mut fields = draft.doubtful.clone();
            // A reference that leads nowhere was reported as that.
            let lost =
                draft.entity.fields.iter().filter(
                    |field| matches!(&field.kind, FieldKind::Ref { entity, .. } if !is_known(entity)),
                );
            fields.extend(lost.map(|field| field.name.to_string()));
            let owner = draft.owner_doubtful || draft.unread || !fields.is_empty();
            let (name, plural) = (draft.entity.name.to_string(), draft.entity.plural.to_string());
            Doubt { name, plural, fields, unread: draft.unread, owner }
        });
        let entities: Vec<Doubt> = entities.collect();
        let files_unread = !names_known || drafts.iter().any(|draft| draft.name_span.is_none());
        Doubts { entities, files_unread }
    }

    /// Whether the entity may have this field, or have it with another type.
    pub(super) fn field(&self, entity: &str, field: &str) -> bool {
        let mut of_name = self.entities.iter().filter(|doubt| doubt.name == entity);
        let any = of_name.any(|doubt| doubt.unread || doubt.fields.iter().any(|name| name == field));
        any || self.several(|doubt| doubt.name == entity)
    }

    /// Whether there may be an entity of this name all the same.
    pub(super) fn entity(&self, _name: &str) -> bool {
        self.files_unread
    }

    /// Whether `user.plural` may mean something else than it seems.
    pub(super) fn records(&self, plural: &str) -> bool {
        let mut of_plural = self.entities.iter().filter(|doubt| doubt.plural == plural).peekable();
        if of_plural.peek().is_none() {
            return self.files_unread || self.entities.iter().any(|doubt| doubt.plural.is_empty());
        }
        of_plural.any(|doubt| doubt.owner) || self.several(|doubt| doubt.plural == plural)
    }

    /// Two files claim the same, and it is unknown which of them is right.
    fn several(&self, which: impl Fn(&Doubt) -> bool) -> bool {
        self.entities.iter().filter(|doubt| which(doubt)).count() > 1
    }
}
