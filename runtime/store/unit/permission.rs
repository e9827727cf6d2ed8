//! What the writer of a unit may see and do, asked inside the unit's transaction (SEMANTICS R9): a rule that was judged on an
//! earlier read could let a write pass after the right was lost.
//!
//! Writes nothing; it is asked before each write.

use std::sync::Arc;

use bytes::Bytes;

use super::facts::Facts;
use super::fault::{Fault, refuse};
use crate::ids::{RecordId, Seq, Timestamp};
use crate::rules::{
    Asker, BindError, Condition, Needs, Person, Principal, Proposal, ReadScope, RelatedRecords, Subject,
    evaluate, is_closed,
};
use crate::schema::{Entity, EntityName, FieldIndex, Generation, Operation, Record, Value};
use crate::store::principal::{self, USER};
use crate::store::relations::{Relation, Relations};
use crate::store::source::Source;
use crate::store::{CommitError, Evidence, RefusalFinding, Rows, RuleEvidence, Stored, images};

/// For one unit.
pub(super) struct Permission<'a> {
    relations: &'a Relations,
    /// `None`: the server itself, to which no rule applies.
    person: Option<Arc<Person>>,
    /// What the rules ask by which the unit is judged.
    needs: Needs,
    /// Read once, and again after the unit wrote a record that belongs to the person.
    principal: Option<Principal>,
    /// What rules were told beyond the person.
    pub(super) facts: Facts<'a>,
    /// Whether someone will ask why a refusal came about.
    pub(super) explains: bool,
    /// Of the last refusal.
    evidence: Option<Box<Evidence>>,
}

/// An operation that a rule must allow.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// Index in the unit.
    pub(super) op: usize,
    pub(super) operation: Operation,
    /// The stored one; in a create the proposed one.
    pub(super) record: &'a Record,
    pub(super) proposal: Option<Proposal<'a>>,
}

/// A field of a record that is written.
#[derive(Clone, Copy)]
pub(super) struct RecordField<'a> {
    pub(super) entity: &'a Entity,
    pub(super) id: &'a RecordId,
    pub(super) field: FieldIndex,
}

impl<'a> Permission<'a> {
    pub(super) fn new(relations: &'a Relations, asker: &Asker, now: Timestamp) -> Permission<'a> {
        let person = match asker {
            Asker::System => None,
            Asker::Person(person) => Some(person.clone()),
        };
        Permission {
            relations,
            person,
            needs: Needs::default(),
            principal: None,
            facts: Facts::at(relations, now),
            explains: false,
            evidence: None,
        }
    }

    /// Who writes; `None` is the server itself.
    pub(super) fn person(&self) -> Option<&Arc<Person>> {
        self.person.as_ref()
    }

    /// What was read of the writer and for rules may be another by now.
    pub(super) fn forget(&mut self) {
        self.principal = None;
        self.facts.forget();
    }

    /// Names the entities of the unit, before anything is asked.
    pub(super) fn involve<'b>(&mut self, entities: impl Iterator<Item = &'b EntityName>) {
        if self.person.is_none() {
            return;
        }
        let mut last: Option<&EntityName> = None;
        for entity in entities {
            if last.replace(entity) != Some(entity)
                && let Some(relation) = self.relations.get(entity)
            {
                self.needs.add(&relation.write_needs);
            }
        }
    }

    /// A later operation of the unit has the rights that an earlier one gave or took.
    pub(super) fn wrote(&mut self, entity: &Entity, rows: &Rows) {
        self.facts.wrote(&entity.name);
        let Some(id) = self.person.as_ref().and_then(|person| person.id.as_deref()) else { return };
        let own = |record: &Record| match entity.identity {
            _ if &*entity.name == USER => record.id.as_str() == id,
            Some(field) => matches!(&record.values[field.0], Value::Text(whose) if whose == id),
            None => false,
        };
        if rows.old.iter().chain(&rows.new).any(own) {
            self.principal = None;
        }
    }

    /// Whether the writer may read the record.
    pub(super) async fn sees<S: Source>(
        &mut self,
        source: &S,
        op: usize,
        relation: &Relation,
        record: &Record,
    ) -> Result<bool, Fault<S::Error>> {
        let Some(principal) = self.principal(source).await? else { return Ok(true) };
        match bindable(principal, &relation.read_needs) {
            Ok(()) => Ok(readable(principal, &relation.entity, record)),
            Err(error) => refuse(CommitError::Rule { op, error }),
        }
    }

    /// Whether `selection` may be asked for another record: the rights that it was bound to are still those of the writer.
    pub(super) fn is_settled(&self) -> bool {
        self.person.is_none() || self.principal.is_some()
    }

    /// The records that the writer may list and that meet a filter, with the rights that they have now.
    pub(super) async fn selection<S: Source>(
        &mut self,
        source: &S,
        relation: &Relation,
        generation: Generation,
        filter: &[Condition],
    ) -> Result<ReadScope, Fault<S::Error>> {
        let entity = &relation.entity;
        let scope = match self.principal(source).await? {
            None => ReadScope::everything(entity, generation),
            Some(principal) => match ReadScope::bind_list(entity, generation, principal) {
                Ok(scope) => scope,
                Err(error) => return refuse(CommitError::Rule { op: 0, error }),
            },
        };
        Ok(scope.through(filter.to_vec()))
    }

    /// Whether a reference may lead to the record `id`: there must be one, and the writer may read it. No user is unknown to
    /// themselves, whatever rule `User` has.
    pub(super) async fn may_refer<S: Source>(
        &mut self,
        source: &S,
        op: usize,
        relation: &Relation,
        id: &str,
    ) -> Result<bool, Fault<S::Error>> {
        let own = self.person.as_ref().and_then(|person| person.id.as_deref());
        if self.person.is_none() || (&*relation.entity.name == USER && own == Some(id)) {
            return Ok(source.exists(relation, id).await?);
        }
        let Some(record) = source.record(relation, id).await? else { return Ok(false) };
        let sees = self.sees(source, op, relation, &record).await?;
        self.facts.learn(&relation.entity.name, id, Some(record));
        Ok(sees)
    }

    /// Refuses what the rule for the operation does not grant.
    pub(super) async fn require<S: Source>(
        &mut self,
        source: &S,
        entity: &Entity,
        attempt: Attempt<'_>,
    ) -> Result<(), Fault<S::Error>> {
        let Attempt { op, operation, record, proposal } = attempt;
        if self.principal(source).await?.is_none() {
            return Ok(());
        }
        let Permission { principal: Some(principal), facts, .. } = self else { return Ok(()) };
        let subject = Subject { principal, record, proposal };
        if facts.truth(source, op, entity.access.rule(operation), subject).await?.grants() {
            return Ok(());
        }
        if self.explains {
            let finding = match () {
                () if principal.is_disabled() => RefusalFinding::Disabled,
                () if entity.access.is_unsaid() => RefusalFinding::Unruled,
                () => RefusalFinding::Denied,
            };
            let schema = &self.relations.schema;
            let rule = RuleEvidence::of(schema, entity, operation, subject, facts.known());
            let (id, rule) = (record.id.shared(), Some(rule));
            let (entity, position) = (entity.name.clone(), Seq::ZERO);
            self.evidence = Some(Box::new(Evidence { op, entity, id, finding, rule, position }));
        }
        refuse(CommitError::Forbidden { op, operation })
    }

    /// Why `refusal` came about, if that was noted.
    pub(super) fn evidence_of(&mut self, refusal: &CommitError) -> Option<Box<Evidence>> {
        let evidence = self.evidence.take()?;
        let fits = match &evidence.finding {
            RefusalFinding::Closed => false,
            RefusalFinding::Missing | RefusalFinding::Hidden => {
                matches!(refusal, CommitError::NotFound { .. })
            }
            RefusalFinding::Denied | RefusalFinding::Disabled | RefusalFinding::Unruled => {
                matches!(refusal, CommitError::Forbidden { .. })
            }
            RefusalFinding::MissingReference { .. } | RefusalFinding::HiddenReference { .. } => {
                matches!(refusal, CommitError::UnknownReference { .. })
            }
        };
        (fits && refusal.op() == Some(evidence.op)).then_some(evidence)
    }

    /// Notes that an operation is refused because its record is not there, or not there for the writer.
    pub(super) fn note_absent(
        &mut self,
        op: usize,
        relation: &Relation,
        id: &Arc<str>,
        found: Option<&Record>,
    ) {
        if self.explains {
            let finding = if found.is_some() { RefusalFinding::Hidden } else { RefusalFinding::Missing };
            let rule = found.and_then(|record| self.read_evidence(&relation.entity, record));
            let (entity, id) = (relation.entity.name.clone(), id.clone());
            let evidence = Evidence { op, entity, id, finding, rule, position: Seq::ZERO };
            self.evidence = Some(Box::new(evidence));
        }
    }

    /// Notes that an operation is refused because of a reference to a record that is not there, or not there for the writer.
    pub(super) fn note_reference(&mut self, op: usize, of: RecordField<'_>, target: &Relation, to: &str) {
        if self.explains {
            let known = self.facts.known().record(&target.entity.name, to).flatten().cloned();
            let rule = known.as_ref().and_then(|record| self.read_evidence(&target.entity, record));
            let (field, id) = (of.entity.at(of.field).name.clone(), Arc::from(to));
            let target = target.entity.name.clone();
            let finding = match known {
                Some(_) => RefusalFinding::HiddenReference { field, target, id },
                None => RefusalFinding::MissingReference { field, target, id },
            };
            let (entity, id) = (of.entity.name.clone(), of.id.shared());
            let evidence = Evidence { op, entity, id, finding, rule, position: Seq::ZERO };
            self.evidence = Some(Box::new(evidence));
        }
    }

    /// Why the writer may not read a record.
    fn read_evidence(&self, entity: &Entity, record: &Record) -> Option<RuleEvidence> {
        let subject = Subject { principal: self.principal.as_ref()?, record, proposal: None };
        Some(RuleEvidence::of(&self.relations.schema, entity, Operation::Read, subject, self.facts.known()))
    }

    /// The fields of a record that are not shown to the writer.
    pub(super) async fn hidden<S: Source>(
        &mut self,
        source: &S,
        entity: &Entity,
        record: &Record,
    ) -> Result<Vec<FieldIndex>, S::Error> {
        let principal = self.principal(source).await?;
        Ok(principal.map_or_else(Vec::new, |principal| hidden(principal, entity, record)))
    }

    /// The record as the writer sees it; `None` if they do not. `whole` is its JSON. Asked after a write, so it refuses
    /// nothing: a rule that fails shows nothing.
    pub(super) async fn shown<S: Source>(
        &mut self,
        source: &S,
        relation: &Relation,
        record: &Record,
        whole: impl FnOnce() -> Bytes,
    ) -> Result<Option<Stored>, S::Error> {
        let entity = &relation.entity;
        let Some(principal) = self.principal(source).await? else {
            return Ok(Some(Stored { version: record.version, json: whole() }));
        };
        if bindable(principal, &relation.read_needs).is_err() || !readable(principal, entity, record) {
            return Ok(None);
        }
        let hidden = hidden(principal, entity, record);
        let json = if hidden.is_empty() { whole() } else { record.to_json_without(entity, &hidden) };
        Ok(Some(Stored { version: record.version, json }))
    }

    /// The same of a record that is stored.
    pub(super) async fn stored<S: Source>(
        &mut self,
        source: &S,
        relation: &Relation,
        record: &Record,
    ) -> Result<Option<Stored>, S::Error> {
        self.shown(source, relation, record, || images::stored(record, &relation.entity).json).await
    }

    /// Names no entity that is as if absent for the writer.
    pub(super) async fn discreet<S: Source>(
        &mut self,
        source: &S,
        fault: Fault<S::Error>,
    ) -> Fault<S::Error> {
        let Fault::Refused(CommitError::Restricted { op, entity }) = fault else { return fault };
        let relation = entity.as_ref().and_then(|entity| self.relations.get(entity));
        match self.principal(source).await {
            Ok(None) => Fault::Refused(CommitError::Restricted { op, entity }),
            Ok(Some(principal)) => {
                let named = relation.is_some_and(|relation| !is_closed(&relation.entity, principal));
                Fault::Refused(CommitError::Restricted { op, entity: entity.filter(|_| named) })
            }
            Err(error) => Fault::Broken(error),
        }
    }

    async fn principal<S: Source>(&mut self, source: &S) -> Result<Option<&Principal>, S::Error> {
        let Some(person) = &self.person else { return Ok(None) };
        if self.principal.is_none() {
            self.principal = Some(principal::principal(source, self.relations, person, &self.needs).await?);
        }
        Ok(self.principal.as_ref())
    }
}

/// Binding a rule fails where it asks for a set that is too large, and the person gets this error rather than that there is
/// nothing.
fn bindable(principal: &Principal, needs: &Needs) -> Result<(), BindError> {
    match needs.related().find(|entity| *principal.related(entity) == RelatedRecords::TooMany) {
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
