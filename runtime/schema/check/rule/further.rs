//! What a rule that decides what is seen cannot ask, and what to write instead: in a schema file, and in the rules of the settings
//! for names.
//!
//! Finds no meaning: that is `names.rs`.

use super::names::{RuleScope, column_of};
use crate::schema::cel::Identifier;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::quoted;
use crate::schema::model::{Entity, Field, FieldKind};
use crate::schema::name_rules::{PRESENCE_WORDS, ROOM_WORDS};
use crate::schema::tree::Span;

impl RuleScope<'_> {
    /// What a rule of the settings for names may ask.
    pub(super) const NAMES_KNOW: &'static str =
        "a rule for names knows the captures of its pattern, `user`, and the records that belong to the user";

    /// `project.owner` in a rule that decides what is seen. `of` is the entity that has the reference.
    pub(super) fn no_further(
        self,
        of: &Entity,
        reference: &Identifier,
        part: &Identifier,
        target: &str,
    ) -> Diagnostic {
        let target = self.entities.iter().find(|entity| *entity.name == *target);
        if let Some(target) = target.filter(|target| column_of(target, &part.text).is_none()) {
            return self.unknown_field(target, part);
        }
        let message = format!("a {} rule cannot follow the reference {}", self.word, quoted(&reference.text));
        let whose =
            if std::ptr::eq(of, self.own) { String::new() } else { format!("to {} ", quoted(&of.name)) };
        let help = match target {
            Some(target) if self.is_of_names() && std::ptr::eq(of, self.own) => {
                self.own_records_instead(&reference.text, target)
            }
            Some(_) | None => format!(
                "add {whose}a field with from = \"{}.{}\", which the server keeps up to date, and name that field",
                reference.text, part.text
            ),
        };
        self.too_far(part.span.clone(), message).help(help)
    }

    /// Whether a rule of the settings for names is read: there are captures, and no fields that a lookup could fill.
    pub(super) fn is_of_names(self) -> bool {
        [PRESENCE_WORDS, ROOM_WORDS].iter().any(|words| words.contains(&self.word))
    }

    /// A rule that decides what is seen asks for more than that.
    pub(super) fn too_far(self, span: Span, message: String) -> Diagnostic {
        let label =
            if self.is_of_names() { "not in a rule for names" } else { "only in create, update and delete" };
        Diagnostic::new(DiagnosticCode::RuleFurther, span, message).label(label)
    }

    /// What a rule for names can ask of the record that it captured the id of.
    fn own_records_instead(self, capture: &str, target: &Entity) -> String {
        let refers =
            |field: &Field| matches!(&field.kind, FieldKind::Ref { entity, .. } if *entity == target.name);
        let own = self.entities.iter().filter(|entity| entity.identity.is_some());
        let way = own
            .flat_map(|entity| entity.fields.iter().map(move |field| (entity, field)))
            .find(|(_, field)| refers(field));
        match way {
            Some((Entity { plural, .. }, Field { name, .. })) => {
                format!("ask for the caller's own records instead: `{capture} in user.{plural}.{name}`")
            }
            None => format!("{}: give the right by one of these records", Self::NAMES_KNOW),
        }
    }
}
