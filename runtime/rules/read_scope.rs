//! `ReadScope`: what one person sees of one entity, through one filter: which records, and which of their fields.
//!
//! Lists, snapshots, replays, rebinds and live events ask the same value.

use std::sync::Arc;

use super::bind::{BindError, MOST_TESTS, bind};
use super::condition::Condition;
use super::evaluate::user_value;
use super::person::Principal;
use super::predicate::Predicate;
use super::uses::Needs;
use crate::schema::{Column, Entity, EntityName, Expr, FieldIndex, Generation, Operation, Record, Term};

/// See the module's text. Two are equal when they show the same.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadScope {
    pub entity: Arc<Entity>,
    pub generation: Generation,
    /// The read rule; where many records are seen, the list rule as well.
    pub rule: Predicate,
    /// What the client asked for, and the rules of the fields that it asked with. Kept apart from the rule: a record that leaves
    /// the filter alone is still readable.
    pub filter: Predicate,
    /// Fields that are not shown with every record, and the records with which they are.
    pub fields: Vec<(FieldIndex, Predicate)>,
    /// Entities whose records decided what is seen: as long as the person's records there stay, so does the read scope. Empty for an anonymous caller.
    pub uses: Arc<[EntityName]>,
    /// Both the rule and the filter.
    seen: Predicate,
}

/// Everything that decides what is seen, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadScopeText {
    /// Of rule and filter.
    pub predicate: String,
    /// Of the fields that are not always shown.
    pub fields: String,
}

/// The fields of one record that are not shown; none of them for most records.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Mask(Vec<FieldIndex>);

/// What holds of a record before a change and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides {
    pub old: bool,
    pub new: bool,
}

/// What a change is for a user with this read scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    Nothing,
    /// The record is new.
    Created,
    /// It was there and came into sight.
    Entered,
    Updated,
    /// It left the filter and is still readable.
    Left,
    /// It is no longer readable.
    Lost,
    /// It is gone.
    Deleted,
}

impl ReadScope {
    /// Which records the person may ask for by their ids.
    pub fn bind(
        entity: &Arc<Entity>,
        generation: Generation,
        principal: &Principal,
    ) -> Result<ReadScope, BindError> {
        let rule = bind(entity.access.rule(Operation::Read), entity, principal)?;
        ReadScope::of_rule(rule, entity, generation, principal)
    }

    /// Which records are in the person's lists, without a filter (SEMANTICS X2).
    pub fn bind_list(
        entity: &Arc<Entity>,
        generation: Generation,
        principal: &Principal,
    ) -> Result<ReadScope, BindError> {
        let mut rules = Vec::with_capacity(2);
        for operation in [Operation::Read, Operation::List] {
            rules.push(bind(entity.access.rule(operation), entity, principal)?);
        }
        let rule = Predicate::all(rules, entity);
        if rule.tests() > MOST_TESTS {
            return Err(BindError::TooManyTests);
        }
        ReadScope::of_rule(rule, entity, generation, principal)
    }

    fn of_rule(
        rule: Predicate,
        entity: &Arc<Entity>,
        generation: Generation,
        principal: &Principal,
    ) -> Result<ReadScope, BindError> {
        let mut fields = Vec::new();
        for (at, field) in entity.fields.iter().enumerate() {
            if let Some(read) = &field.read {
                let shown = bind(&read.meaning, entity, principal)?;
                if !shown.is_true() {
                    fields.push((FieldIndex(at), shown));
                }
            }
        }
        let uses = if principal.is_nobody() { Arc::default() } else { Needs::of_read(entity).entities() };
        let (filter, seen) = (Predicate::Constant(true), rule.clone());
        Ok(ReadScope { entity: entity.clone(), generation, rule, filter, fields, uses, seen })
    }

    /// The read scope of the owner of the data: everything.
    pub fn everything(entity: &Arc<Entity>, generation: Generation) -> ReadScope {
        let all = Predicate::Constant(true);
        let (rule, filter, seen) = (all.clone(), all.clone(), all);
        ReadScope {
            entity: entity.clone(),
            generation,
            rule,
            filter,
            fields: Vec::new(),
            uses: Arc::default(),
            seen,
        }
    }

    /// Through a filter. A condition on a field that is not shown with every record asks in addition that it is shown, or the
    /// answer would tell of the value.
    #[must_use]
    pub fn through(self, conditions: Vec<Condition>) -> ReadScope {
        let shown: Vec<Predicate> =
            conditions.iter().filter_map(|condition| self.shown(condition.column)).cloned().collect();
        let asked = Predicate::of_filter(conditions, &self.entity);
        let filter = Predicate::all(shown.into_iter().chain([asked, self.filter]).collect(), &self.entity);
        let seen = Predicate::all(vec![self.rule.clone(), filter.clone()], &self.entity);
        ReadScope { filter, seen, ..self }
    }

    /// The record that this condition names. It asks nothing of who may see the column.
    #[must_use]
    pub fn named(self, one: Condition) -> ReadScope {
        let one = Predicate::of_filter(vec![one], &self.entity);
        let filter = Predicate::all(vec![one, self.filter], &self.entity);
        let seen = Predicate::all(vec![self.rule.clone(), filter.clone()], &self.entity);
        ReadScope { filter, seen, ..self }
    }

    /// The records with which a column is shown; `None` if it always is.
    pub fn shown(&self, column: Column) -> Option<&Predicate> {
        let Column::Field(field) = column else { return None };
        self.fields.iter().find(|(other, _)| *other == field).map(|(_, shown)| shown)
    }

    /// Rule and filter in one.
    pub fn predicate(&self) -> &Predicate {
        &self.seen
    }

    pub fn sees(&self, record: &Record) -> bool {
        self.seen.matches(record)
    }

    /// The fields of this record that are not shown.
    pub fn mask(&self, record: &Record) -> Mask {
        let hidden = self.fields.iter().filter(|(_, shown)| !shown.matches(record));
        Mask(hidden.map(|(field, _)| *field).collect())
    }

    /// Equal exactly for equal read scopes of one entity and generation.
    pub fn text(&self) -> ReadScopeText {
        let predicate = format!("{}\n{}", self.rule.text(&self.entity), self.filter.text(&self.entity));
        let fields = self
            .fields
            .iter()
            .map(|(field, shown)| format!("{}: {}\n", self.entity.at(*field).name, shown.text(&self.entity)));
        ReadScopeText { predicate, fields: fields.collect() }
    }
}

impl Verdict {
    /// Of whether the record is seen, and whether it existed, each before and after; and whether it may still be read, which is
    /// asked only of a record that is there and no longer seen.
    pub fn of(seen: Sides, existed: Sides, is_readable: impl FnOnce() -> bool) -> Verdict {
        match (seen.old, seen.new) {
            (false, false) => Verdict::Nothing,
            (false, true) if existed.old => Verdict::Entered,
            (false, true) => Verdict::Created,
            (true, true) => Verdict::Updated,
            (true, false) if !existed.new => Verdict::Deleted,
            (true, false) if is_readable() => Verdict::Left,
            (true, false) => Verdict::Lost,
        }
    }
}

impl Mask {
    pub fn hides_nothing(&self) -> bool {
        self.0.is_empty()
    }

    pub fn hidden(&self) -> &[FieldIndex] {
        &self.0
    }
}

/// Whether the entity is as if absent for this person (SEMANTICS R6): its read rule is false whatever records there are and
/// whatever belongs to the person.
pub fn is_closed(entity: &Entity, principal: &Principal) -> bool {
    !may_ever(entity, Operation::Read, principal)
}

/// Whether there may be a record with which the person may do this.
pub fn may_ever(entity: &Entity, operation: Operation, principal: &Principal) -> bool {
    let rule = entity.access.rule(operation);
    !principal.is_disabled() && could_hold(rule, true, entity, principal) != Some(false)
}

/// The result of the rule (`wanted`) without its record and the person's sets; `None` if it depends on them.
fn could_hold(rule: &Expr, wanted: bool, entity: &Entity, principal: &Principal) -> Option<bool> {
    let each = |terms: &[Expr]| -> Vec<Option<bool>> {
        terms.iter().map(|term| could_hold(term, wanted, entity, principal)).collect()
    };
    // One of these decides; otherwise all must be known.
    let joined = |terms: &[Expr], decides: bool| {
        let each = each(terms);
        let is_decided = each.contains(&Some(decides));
        if is_decided || !each.contains(&None) { Some(is_decided == decides) } else { None }
    };
    match (rule, wanted) {
        (Expr::Not(inner), _) => could_hold(inner, !wanted, entity, principal),
        (Expr::All(terms), true) | (Expr::Any(terms), false) => joined(terms, false),
        (Expr::Any(terms), true) | (Expr::All(terms), false) => joined(terms, true),
        (Expr::Related(..) | Expr::Exists(..), _) if !principal.is_nobody() => None,
        // Without a person nothing equals a value of theirs, whatever it is that lies further.
        (Expr::Compare(left, _, right), _) if rule.looks_further() => {
            let of_nobody =
                |term: &Term| matches!(term, Term::User(user) if user_value(principal, user).is_null());
            (of_nobody(left) || of_nobody(right)).then_some(false)
        }
        (leaf, _) if leaf.looks_further() => None,
        (leaf, _) => {
            let leaf = if wanted { leaf.clone() } else { Expr::Not(Box::new(leaf.clone())) };
            match bind(&leaf, entity, principal) {
                Ok(Predicate::Constant(holds)) => Some(holds),
                Ok(_) | Err(_) => None,
            }
        }
    }
}
