//! One unit on a copy of the state, which is kept only if all goes well.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire::ids::{RecordId, Seq};
use tidewire::rules::{Asker as Whose, BindError};
use tidewire::schema::{Entity, EntityName, FieldIndex, Operation, Record, Value};
use tidewire::store::{
    Change, ChangeOp, CommitError, Decoded, Op, OpResult, OpStatus, Outcome, Stored, Unit,
};

use super::log::Entry;
use super::sight::{Sight, asker, failing, is_closed, sets};
use super::triggers::Caused;
use super::unit_end::Blocked;
use super::{GENERATION, Key, MemoryStore, State, images};
use crate::support::oracle::{Asker, Everything, Oracle, Proposed};

pub(super) struct Draft<'a> {
    pub(super) store: &'a MemoryStore,
    pub(super) state: State,
    pub(super) unit: &'a Unit,
    pub(super) entries: Vec<Entry>,
    bytes: usize,
    /// Which operation last set a field of a record that is there.
    pub(super) setters: BTreeMap<(Key, usize), usize>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) caused: Caused,
}

/// By whose rights something is judged, as they are at one moment of the unit; `None` is the server itself.
pub(super) struct Judge(Option<Asker>);

impl<'a> Draft<'a> {
    pub(super) fn new(store: &'a MemoryStore, state: State, unit: &'a Unit) -> Draft<'a> {
        let (entries, setters, blocked) = (Vec::new(), BTreeMap::new(), Vec::new());
        Draft { store, state, unit, entries, bytes: 0, setters, blocked, caused: Caused::default() }
    }

    pub(super) fn run(&mut self) -> Result<Outcome, CommitError> {
        self.run_all().map_err(|refusal| self.caused.told(refusal))
    }

    fn run_all(&mut self) -> Result<Outcome, CommitError> {
        if self.unit.generation != GENERATION {
            return Err(CommitError::StaleGeneration);
        }
        let known = self.unit.idempotency.as_ref().map(|key| self.state.recall(key)).transpose()?;
        if let Some(known) = known.flatten() {
            return Ok(self.replay(known.results));
        }
        let mut results = Vec::new();
        for (at, op) in self.unit.ops.iter().enumerate() {
            let mut result = self.op(at, op)?;
            if self.react(at)? && result.record.is_some() {
                let entity = self.store.schema.entity(op.entity()).unwrap();
                let stored = self.state.records.get(&(entity.name.clone(), result.id.clone()));
                result.record = stored.and_then(|stored| self.judge().shown(entity, stored));
            }
            results.push(result);
        }
        self.judge_the_end()?;
        if let Some(last) = self.entries.last_mut() {
            Arc::make_mut(&mut last.change).unit_last = true;
        }
        self.state.append(&self.store.schema, &self.entries);
        self.state.note_rights(&self.store.schema, &self.entries);
        if let Some(key) = &self.unit.idempotency {
            let done = self.unit.ops.iter().zip(&results);
            let done = done.map(|(op, result)| (op.entity().clone(), result.id.clone(), result.status));
            self.state.remember(&self.store.config, (key, self.unit.at), done.collect());
        }
        Ok(self.outcome(results, false))
    }

    pub(super) fn done(self) -> (State, Vec<Entry>) {
        (self.state, self.entries)
    }

    fn outcome(&self, results: Vec<OpResult>, replayed: bool) -> Outcome {
        Outcome { seq: Seq(self.state.seq), epoch: self.store.epoch.clone(), results, replayed }
    }

    /// The records of today, as the writer sees them today.
    fn replay(&self, done: Vec<(EntityName, RecordId, OpStatus)>) -> Outcome {
        let judge = self.judge();
        let result = |(name, id, status): (EntityName, RecordId, OpStatus)| {
            let entity = self.store.schema.entity(&name).unwrap();
            let record = self.state.records.get(&(name, id.clone()));
            let record = record.filter(|_| !matches!(status, OpStatus::Many(_) | OpStatus::Lease(_)));
            let record = record.and_then(|record| judge.shown(entity, record));
            OpResult { id, status, record }
        };
        self.outcome(done.into_iter().map(result).collect(), true)
    }

    fn op(&mut self, at: usize, op: &Op) -> Result<OpResult, CommitError> {
        let entity = self.store.schema.entity(op.entity()).ok_or(CommitError::StaleGeneration)?.clone();
        match op {
            Op::Create { id, values, .. } => self.create(at, &entity, id, values),
            Op::Update { id, set, omitted, if_version, .. } => {
                self.require_lease(at, &entity, id)?;
                self.update(at, &entity, (id, *if_version), set, omitted)
            }
            Op::Delete { id, if_version, .. } => {
                self.require_lease(at, &entity, id)?;
                let judge = self.judge();
                let record = self.current(at, &entity, id, *if_version, &judge)?;
                let everything = Everything { records: &self.state.records, now: self.unit.at };
                judge.require((at, Operation::Delete), &entity, &record, (None, everything))?;
                self.delete(at, &entity, id)?;
                Ok(OpResult { id: id.clone(), status: OpStatus::Deleted, record: None })
            }
            Op::Many(_) if entity.lease_required && self.person().is_some() => {
                Err(CommitError::LeaseRequired { op: at })
            }
            Op::Many(many) => self.many(&entity, many),
            Op::Lease(lease) => self.lease(at, &entity, lease),
        }
    }

    /// Whether the unit is judged at its end.
    pub(super) fn is_together(&self) -> bool {
        !matches!(
            self.unit.ops[..],
            [Op::Create { .. } | Op::Update { .. } | Op::Delete { .. } | Op::Lease(_)]
        )
    }

    /// How many operations there are to blame: of a change of many, each of its records is one.
    pub(super) fn places(&self) -> usize {
        match &self.unit.ops[..] {
            [Op::Many(many)] => many.ids.len(),
            ops => ops.len(),
        }
    }

    pub(super) fn entry(&self, place: usize) -> &Entry {
        &self.entries[place]
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    pub(super) fn take_back(&mut self, (entries, bytes): (usize, usize)) {
        self.entries.truncate(entries);
        self.bytes = bytes;
        self.caused.due.clear();
    }

    /// The record that an operation is about, if it is there for the writer and at the expected version.
    pub(super) fn current(
        &self,
        at: usize,
        entity: &Entity,
        id: &RecordId,
        if_version: Option<u64>,
        judge: &Judge,
    ) -> Result<Arc<Record>, CommitError> {
        let missing = CommitError::NotFound { op: at };
        let Some(record) = self.state.records.get(&(entity.name.clone(), id.clone())) else {
            return Err(missing);
        };
        if !judge.sees(at, entity, record)? {
            return Err(missing);
        }
        match if_version {
            Some(version) if version != record.version => {
                let current = judge.shown(entity, record);
                Err(current.map_or(missing, |current| CommitError::VersionConflict { op: at, current }))
            }
            _ => Ok(record.clone()),
        }
    }

    /// The rights of the writer as the unit has left them so far.
    pub(super) fn judge(&self) -> Judge {
        Judge(match &self.unit.asker {
            _ if self.caused.is_at_work => None,
            Whose::System => None,
            Whose::Person(person) => Some(asker(&self.store.schema, &self.state.records, person)),
        })
    }

    /// Names no entity that is closed to the writer.
    pub(super) fn restricted(&self, op: usize, entity: &EntityName) -> CommitError {
        let Judge(asker) = self.judge();
        let referring = self.store.schema.entity(entity).unwrap();
        let is_closed = asker.is_some_and(|asker| is_closed(referring, &asker));
        CommitError::Restricted { op, entity: (!is_closed).then(|| entity.clone()) }
    }

    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), CommitError> {
        self.bytes += bytes;
        let (entries, most) = (self.store.config.unit_entries, self.store.config.group_bytes);
        if self.entries.len() + 1 > entries || self.bytes > most {
            return Err(CommitError::UnitTooLarge { entries, bytes: most });
        }
        Ok(())
    }

    /// Makes room for the entry and appends it.
    pub(super) fn log(
        &mut self,
        entity: &Entity,
        (old, new): (Option<Arc<Record>>, Option<Arc<Record>>),
        changed: Vec<FieldIndex>,
    ) -> Result<(), CommitError> {
        let op = match (&old, &new) {
            (None, _) => ChangeOp::Create,
            (Some(_), Some(_)) => ChangeOp::Update,
            (Some(_), None) => ChangeOp::Delete,
        };
        let before = old.as_ref().map(|old| match op {
            ChangeOp::Update => images::fields(entity, old, &changed),
            ChangeOp::Create | ChangeOp::Delete | ChangeOp::Schema => old.to_json(entity),
        });
        let after = new.as_ref().map(|new| new.to_json(entity));
        self.reserve([&before, &after].into_iter().flatten().map(bytes::Bytes::len).sum())?;
        self.state.seq += 1;
        let id = old.as_ref().or(new.as_ref()).map(|record| record.id.clone()).unwrap();
        let names = (op == ChangeOp::Update).then(|| images::names(entity, &changed));
        let change = Arc::new(Change {
            seq: Seq(self.state.seq),
            entity: entity.name.clone(),
            id,
            op,
            before,
            after,
            changed: names,
            actor: self.unit.actor.clone(),
            mid: self.unit.idempotency.as_ref().map(|key| key.mid.clone()),
            at: self.unit.at,
            unit_last: false,
            generation: GENERATION,
            cause: None,
            rights: Vec::new(),
            decoded: Decoded::default(),
        });
        let is_copy = op == ChangeOp::Update && changed.iter().all(|at| entity.at(*at).lookup.is_some());
        if !is_copy {
            self.caused.due.push(self.entries.len());
        }
        self.entries.push(Entry { change, old, new, changed });
        Ok(())
    }
}

impl Judge {
    pub(super) fn of(asker: Asker) -> Judge {
        Judge(Some(asker))
    }

    /// Whether the writer may read the record.
    pub(super) fn sees(&self, op: usize, entity: &Entity, record: &Record) -> Result<bool, CommitError> {
        let Some(asker) = &self.0 else { return Ok(true) };
        too_large(entity, asker).map_err(|error| CommitError::Rule { op, error })?;
        Ok(Sight::Person(asker.clone()).sees(entity, record))
    }

    /// Refuses what the rule for the operation does not grant.
    pub(super) fn require(
        &self,
        (op, operation): (usize, Operation),
        entity: &Entity,
        record: &Record,
        (proposed, everything): (Option<Proposed<'_>>, Everything<'_>),
    ) -> Result<(), CommitError> {
        let Some(asker) = &self.0 else { return Ok(()) };
        let oracle = Oracle { proposed, everything: Some(everything), ..Oracle::of(asker, record) };
        if oracle.grants(entity.access.rule(operation)) {
            return Ok(());
        }
        Err(CommitError::Forbidden { op, operation })
    }

    pub(super) fn hidden(&self, entity: &Entity, record: &Record) -> Vec<FieldIndex> {
        let asker = self.0.as_ref();
        asker.map_or_else(Vec::new, |asker| Sight::Person(asker.clone()).hidden(entity, record))
    }

    /// The record as the writer sees it.
    pub(super) fn shown(&self, entity: &Entity, record: &Record) -> Option<Stored> {
        let Some(asker) = &self.0 else { return Some(Sight::Everything.shown(entity, record)) };
        let sight = Sight::Person(asker.clone());
        let is_shown = too_large(entity, asker).is_ok() && sight.sees(entity, record);
        is_shown.then(|| sight.shown(entity, record))
    }

    /// No user is unknown to themselves.
    pub(super) fn is(&self, entity: &Entity, id: &str) -> bool {
        let own = self.0.as_ref().and_then(|asker| asker.id.as_deref());
        &*entity.name == "User" && own == Some(id)
    }
}

/// A disabled account also gets the error of a set that is too large.
fn too_large(entity: &Entity, asker: &Asker) -> Result<(), BindError> {
    match sets(entity, &[Operation::Read]).into_iter().filter(|set| asker.too_many.contains(set)).min() {
        Some(entity) => Err(BindError::SetTooLarge { entity }),
        None => failing(entity, asker, &[Operation::Read]),
    }
}

/// No negative zero is kept.
pub(super) fn settled(value: &Value) -> Value {
    if *value == Value::Float(0.0) { Value::Float(0.0) } else { value.clone() }
}
