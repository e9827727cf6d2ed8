//! What the writer of a unit may see and do, asked inside the unit's transaction (SEMANTICS R9): a rule that was judged on an
//! earlier read could let a write pass after the right was lost.
//!
//! Knows no statement that writes; `apply.rs` asks before each.

use std::cell::OnceCell;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::OptionalExtension;

use super::Fault;
use super::apply::Ground;
use super::people;
use super::rows::read_record;
use super::tables::Table;
use crate::rules::{
    Asker, BindError, Needs, Person, Principal, Proposal, Related, Subject, evaluate, is_closed,
};
use crate::schema::{Entity, EntityName, FieldIndex, Operation, Record, Value};
use crate::store::images;
use crate::store::{CommitError, OTHER_ENTITIES, Rows, Stored};

/// The built-in entity of persons.
const USER: &str = "User";

/// For one unit.
pub(super) struct Permission<'a> {
    ground: Ground<'a>,
    /// `None`: the server itself, to which no rule applies.
    person: Option<Arc<Person>>,
    /// What the rules ask by which the unit is judged.
    needs: Needs,
    /// Read once, and again after the unit wrote a record that belongs to the person.
    principal: OnceCell<Principal>,
}

impl<'a> Permission<'a> {
    pub(super) fn new(ground: Ground<'a>, asker: &Asker) -> Permission<'a> {
        let person = match asker {
            Asker::System => None,
            Asker::Person(person) => Some(person.clone()),
        };
        Permission { ground, person, needs: Needs::default(), principal: OnceCell::new() }
    }

    /// Names the entities of the unit, before anything is asked.
    pub(super) fn involve<'b>(&mut self, entities: impl Iterator<Item = &'b EntityName>) {
        if self.person.is_none() {
            return;
        }
        let mut last: Option<&EntityName> = None;
        for entity in entities {
            if last.replace(entity) != Some(entity)
                && let Some(table) = self.ground.catalog.table(entity)
            {
                self.needs.add(&table.write_needs);
            }
        }
    }

    /// A later operation of the unit has the rights that an earlier one gave or took.
    pub(super) fn wrote(&mut self, entity: &Entity, rows: &Rows) {
        let Some(id) = self.person.as_ref().and_then(|person| person.id.as_deref()) else { return };
        let own = |record: &Record| match entity.identity {
            _ if &*entity.name == USER => record.id.as_str() == id,
            Some(field) => matches!(&record.values[field.0], Value::Text(whose) if whose == id),
            None => false,
        };
        if rows.old.iter().chain(&rows.new).any(own) {
            self.principal.take();
        }
    }

    /// Whether the writer may read the record.
    pub(super) fn sees(&self, op: usize, table: &Table, record: &Record) -> Result<bool, Fault> {
        let Some(principal) = self.principal()? else { return Ok(true) };
        bindable(principal, &table.read_needs).map_err(|error| CommitError::Rule { op, error })?;
        Ok(readable(principal, &table.entity, record))
    }

    /// Whether a reference may lead to the record `id`: there must be one, and the writer may read it. Nobody is unknown to
    /// themselves, whatever rule `User` has.
    pub(super) fn may_refer(&self, op: usize, table: &Table, id: &str) -> Result<bool, Fault> {
        let conn = self.ground.conn;
        let own = self.person.as_ref().and_then(|person| person.id.as_deref());
        if self.person.is_none() || (&*table.entity.name == USER && own == Some(id)) {
            return Ok(conn.prepare_cached(&table.exists)?.exists([id])?);
        }
        let mut select = conn.prepare_cached(&table.select)?;
        let record = select.query_row([id], |row| read_record(row, 0, &table.entity)).optional()?;
        record.map_or(Ok(false), |record| self.sees(op, table, &record))
    }

    /// Refuses what the rule for the operation does not grant. `record` is the stored one, in a create the proposed one.
    pub(super) fn require(
        &self,
        (op, operation): (usize, Operation),
        entity: &Entity,
        record: &Record,
        proposal: Option<Proposal<'_>>,
    ) -> Result<(), Fault> {
        let Some(principal) = self.principal()? else { return Ok(()) };
        let subject = Subject { principal, record, proposal };
        if evaluate(entity.access.rule(operation), subject).grants() {
            return Ok(());
        }
        Err(CommitError::Forbidden { op, operation }.into())
    }

    /// The fields of a record that are not shown to the writer.
    pub(super) fn hidden(&self, entity: &Entity, record: &Record) -> rusqlite::Result<Vec<FieldIndex>> {
        Ok(self.principal()?.map_or_else(Vec::new, |principal| hidden(principal, entity, record)))
    }

    /// The record as the writer sees it; `None` if they do not. `whole` is its JSON. Asked after a write, so it refuses
    /// nothing: a rule that fails shows nothing.
    pub(super) fn shown(
        &self,
        table: &Table,
        record: &Record,
        whole: impl FnOnce() -> Bytes,
    ) -> rusqlite::Result<Option<Stored>> {
        let Some(principal) = self.principal()? else {
            return Ok(Some(Stored { version: record.version, json: whole() }));
        };
        if bindable(principal, &table.read_needs).is_err() || !readable(principal, &table.entity, record) {
            return Ok(None);
        }
        let hidden = hidden(principal, &table.entity, record);
        let json = if hidden.is_empty() { whole() } else { record.to_json_without(&table.entity, &hidden) };
        Ok(Some(Stored { version: record.version, json }))
    }

    /// The same of a record that is stored.
    pub(super) fn stored(&self, table: &Table, record: &Record) -> rusqlite::Result<Option<Stored>> {
        self.shown(table, record, || images::stored(record, &table.entity).json)
    }

    /// Names no entity that is as if absent for the writer.
    pub(super) fn discreet(&self, fault: Fault) -> Fault {
        let Fault::Refused(CommitError::Restricted { op, entity }) = fault else { return fault };
        let principal = match self.principal() {
            Ok(Some(principal)) => principal,
            Ok(None) => return CommitError::Restricted { op, entity }.into(),
            Err(error) => return error.into(),
        };
        let table = self.ground.catalog.table(&entity);
        let named = table.is_some_and(|table| !is_closed(&table.entity, principal));
        CommitError::Restricted { op, entity: if named { entity } else { OTHER_ENTITIES.into() } }.into()
    }

    fn principal(&self) -> rusqlite::Result<Option<&Principal>> {
        let Some(person) = &self.person else { return Ok(None) };
        if let Some(principal) = self.principal.get() {
            return Ok(Some(principal));
        }
        let principal = people::principal(self.ground.conn, self.ground.catalog, person, &self.needs)?;
        Ok(Some(self.principal.get_or_init(|| principal)))
    }
}

/// Binding a rule fails where it asks for a set that is too large, and the person is told so rather than that there is
/// nothing.
fn bindable(principal: &Principal, needs: &Needs) -> Result<(), BindError> {
    match needs.related().find(|entity| *principal.related(entity) == Related::TooMany) {
        Some(entity) => Err(BindError::SetTooLarge { entity: entity.clone() }),
        None => Ok(()),
    }
}

fn readable(principal: &Principal, entity: &Entity, record: &Record) -> bool {
    evaluate(entity.access.rule(Operation::Read), Subject { principal, record, proposal: None }).grants()
}

fn hidden(principal: &Principal, entity: &Entity, record: &Record) -> Vec<FieldIndex> {
    let subject = Subject { principal, record, proposal: None };
    let ruled = entity.fields.iter().enumerate().filter_map(|(at, field)| Some((at, field.read.as_ref()?)));
    let hidden = ruled.filter(|(_, rule)| !evaluate(&rule.meaning, subject).grants());
    hidden.map(|(at, _)| FieldIndex(at)).collect()
}
