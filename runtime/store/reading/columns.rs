//! Which columns a person may name in a list or a count: an answer that depends on a field tells of it.
//!
//! Knows no records.

use std::sync::Arc;

use crate::rules::ReadScope;
use crate::schema::Entity;
use crate::store::{Column, Condition, Hidden, StoreError};

/// A field that is not shown cannot be asked about. Conditions on one that is shown with some records ask in addition for
/// those, but an order or groups would tell of the others.
pub(super) fn may_be_asked(
    read_scope: &ReadScope,
    filter: &[Condition],
    mut ordered: impl Iterator<Item = Column>,
) -> Result<(), StoreError> {
    filter.iter().try_for_each(|condition| never_hidden(read_scope, condition.column))?;
    ordered.try_for_each(|column| match read_scope.shown(column) {
        None => Ok(()),
        Some(shown) if shown.is_false() => Err(StoreError::HiddenColumn(column, Hidden::Always)),
        Some(_) => Err(StoreError::HiddenColumn(column, Hidden::Sometimes)),
    })
}

pub(super) fn never_hidden(read_scope: &ReadScope, column: Column) -> Result<(), StoreError> {
    match read_scope.shown(column) {
        Some(shown) if shown.is_false() => Err(StoreError::HiddenColumn(column, Hidden::Always)),
        Some(_) | None => Ok(()),
    }
}

/// Fails for a column that the entity does not have; columns have numbers that mean something in one generation.
pub(super) fn exist(entity: &Entity, mut columns: impl Iterator<Item = Column>) -> Result<(), StoreError> {
    let lacks = |column: &Column| matches!(column, Column::Field(at) if at.0 >= entity.fields.len());
    match columns.find(lacks) {
        Some(column) => Err(StoreError::Storage(format!("{} has no such column: {column:?}", entity.name))),
        None => Ok(()),
    }
}

/// Fails for words where no field is searched.
pub(super) fn are_searched(entity: &Entity, words: &[String]) -> Result<(), StoreError> {
    match words.is_empty() || entity.fields.iter().any(|field| field.search) {
        true => Ok(()),
        false => Err(StoreError::Storage(format!("{} has no searched field", entity.name))),
    }
}

pub(super) fn through(read_scope: Arc<ReadScope>, filter: &[Condition]) -> Arc<ReadScope> {
    if filter.is_empty() {
        read_scope
    } else {
        Arc::new(ReadScope::clone(&read_scope).through(filter.to_vec()))
    }
}

pub(super) fn named(read_scope: Arc<ReadScope>, one: Option<&Condition>) -> Arc<ReadScope> {
    match one {
        Some(one) => Arc::new(ReadScope::clone(&read_scope).named(one.clone())),
        None => read_scope,
    }
}
