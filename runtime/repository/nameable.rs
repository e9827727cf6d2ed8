//! `Nameable`: the fields that a user may name in a query. One that is shown to them with no record is as if it did not exist,
//! in every word of the answer: it is not found, not suggested, and what is asked of it is not looked at.
//!
//! Knows no query string. The store handles fields that are shown only with some records.

use crate::rules::{Principal, bind};
use crate::schema::{Entity, Expr, Field, FieldIndex};

/// The names that the caller may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Nameable(NameableFields);

#[derive(Debug, Clone, PartialEq)]
enum NameableFields {
    Everything,
    /// Without the fields that are hidden from everybody.
    Usual,
    Of(Box<Principal>),
}

impl Nameable {
    /// For the owner of the data.
    pub fn everything() -> Nameable {
        Nameable(NameableFields::Everything)
    }

    /// Of a user about whom nothing was read: right wherever `depends_on_principal` is false.
    pub fn usual() -> Nameable {
        Nameable(NameableFields::Usual)
    }

    pub fn of(principal: Principal) -> Nameable {
        Nameable(NameableFields::Of(Box::new(principal)))
    }

    pub fn has(&self, entity: &Entity, at: FieldIndex) -> bool {
        let Some(read) = &entity.at(at).read else { return true };
        match &self.0 {
            NameableFields::Everything => true,
            NameableFields::Usual => read.meaning != Expr::Constant(false),
            // A rule that cannot be bound is refused where the records are read.
            NameableFields::Of(principal) => {
                bind(&read.meaning, entity, principal).map_or(true, |shown| !shown.is_false())
            }
        }
    }

    /// The field of this name.
    pub fn field<'a>(&self, entity: &'a Entity, name: &str) -> Option<(FieldIndex, &'a Field)> {
        entity.field(name).filter(|(at, _)| self.has(entity, *at))
    }

    pub fn fields<'a>(&self, entity: &'a Entity) -> impl Iterator<Item = &'a Field> {
        let indexed = entity.fields.iter().enumerate();
        indexed.filter(|(at, _)| self.has(entity, FieldIndex(*at))).map(|(_, field)| field)
    }
}

/// Whether it takes facts to know which fields of the entity a user may name.
pub fn depends_on_principal(entity: &Entity) -> bool {
    let rules = entity.fields.iter().filter_map(|field| field.read.as_ref());
    rules.into_iter().any(|rule| !matches!(rule.meaning, Expr::Constant(_)))
}
