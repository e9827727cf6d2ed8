//! One sweep: every due record of every entity with `expires`, in pages, each page one unit.
//!
//! Time comes from the environment, at the beginning of a sweep. What cannot go is held back and tried again a minute later.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::steady::{Steady, SteadyMoment};
use crate::env::Env;
use crate::ids::{RecordId, Timestamp};
use crate::rules::{Asker, Condition, Test};
use crate::schema::{
    Column, Entity, EntityName, FieldIndex, FieldKind, Generation, OnDelete, Schema, Value, text_form,
};
use crate::store::{
    CommitError, Direction, Listed, Many, ManyEdit, Op, OpStatus, Query, SortBy, Store, StoreError, Unit,
};

/// Most records of one unit. Writers that wait have their turn between two units.
const MOST_AT_ONCE: usize = 1_000;
/// How long what is held back waits.
const HELD_BACK: Duration = Duration::from_secs(60);

/// When there is something to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextLook {
    /// A record is due then.
    At(Timestamp),
    /// After so long, whatever happens: something is held back, or the clock is not believed.
    After(Duration),
    Never,
}

/// Why a sweep was broken off.
#[derive(Debug, thiserror::Error)]
pub enum SweepTrouble {
    #[error("{0}")]
    Read(StoreError),
    #[error("{0}")]
    Commit(CommitError),
}

/// What is known from one sweep to the next.
pub struct Sweep {
    store: Arc<dyn Store>,
    env: Env,
    steady: Steady,
    /// Entities with records that are held back: those due up to then were tried.
    held: HashMap<EntityName, TriedUpTo>,
    /// When they are tried again.
    again: Option<Duration>,
    /// The clock is not believed: told once.
    doubts: bool,
}

struct TriedUpTo {
    tried: Timestamp,
}

/// An entity whose records expire, at one moment.
struct Expiring<'a> {
    schema: &'a Schema,
    entity: &'a Arc<Entity>,
    field: FieldIndex,
    generation: Generation,
    now: Timestamp,
}

/// Of one sweep and entity.
#[derive(Default)]
struct HeldBack {
    count: usize,
    /// The first, and why.
    example: Option<(RecordId, String)>,
}

impl Sweep {
    pub fn new(store: Arc<dyn Store>, env: Env) -> Sweep {
        let (steady, held, again, doubts) = (Steady::default(), HashMap::new(), None, false);
        Sweep { store, env, steady, held, again, doubts }
    }

    /// A record was written that is due then. One that lies before those that are held back is looked for again.
    pub fn written(&mut self, entity: &EntityName, due: Timestamp) {
        if self.held.get(entity).is_some_and(|held| due <= held.tried) {
            self.held.remove(entity);
        }
    }

    /// Deletes what is due by now, and says when to look again.
    pub async fn run(&mut self, schema: &Schema, generation: Generation) -> Result<NextLook, SweepTrouble> {
        let now = SteadyMoment { wall: self.env.now(), elapsed: self.env.elapsed() };
        if let Some(wait) = self.steady.look(now) {
            if !std::mem::replace(&mut self.doubts, true) {
                tracing::warn!(
                    "the clock jumped: expired records are kept for an hour, unless it is set right or the server restarts"
                );
            }
            return Ok(NextLook::After(wait));
        }
        self.doubts = false;
        if self.again.is_some_and(|again| again <= now.elapsed) {
            (self.held, self.again) = (HashMap::new(), None);
        }
        let mut next = NextLook::Never;
        for entity in schema.entities() {
            let Some(field) = entity.expires else { continue };
            let expiring = Expiring { schema, entity, field, generation, now: now.wall };
            self.sweep(&expiring).await?;
            if let Some(due) = self.next_due(&expiring).await? {
                next = match next {
                    NextLook::At(time) => NextLook::At(time.min(due)),
                    NextLook::After(_) | NextLook::Never => NextLook::At(due),
                };
            }
        }
        Ok(match (self.again, next) {
            (None, next) => next,
            (Some(again), NextLook::At(due))
                if due.0 - now.wall.0 < millis(again.saturating_sub(now.elapsed)) =>
            {
                NextLook::At(due)
            }
            (Some(again), _) => NextLook::After(again.saturating_sub(now.elapsed)),
        })
    }

    async fn sweep(&mut self, expiring: &Expiring<'_>) -> Result<(), SweepTrouble> {
        let name = &expiring.entity.name;
        let mut filter = vec![expiring.is_due()];
        if let Some(held) = self.held.get(name) {
            filter.push(expiring.condition(Test::Gt(Value::Text(held.tried.rfc3339()))));
        }
        let (mut after, mut held) = (None, HeldBack::default());
        loop {
            let query = Query {
                filter: filter.clone(),
                sort: vec![SortBy { column: expiring.column(), direction: Direction::Ascending }],
                after,
                ..Query::all(name.clone(), expiring.generation, MOST_AT_ONCE)
            };
            let page = self.store.list(&query).await.map_err(SweepTrouble::Read)?.value;
            after = page.rows.last().map(Listed::cursor);
            let mut ids: Vec<RecordId> = page.rows.into_iter().map(|row| row.id).collect();
            ids.sort_unstable();
            self.delete_all(expiring, ids, &mut held).await?;
            if !page.more {
                break;
            }
        }
        self.note(expiring, held);
        Ok(())
    }

    fn note(&mut self, expiring: &Expiring<'_>, held: HeldBack) {
        let name = &expiring.entity.name;
        if let Some((id, why)) = held.example {
            tracing::warn!(
                entity.name = %name, count = held.count, example = id.as_str(), %why,
                "expired records are held back; they are tried again in a minute"
            );
            self.held.insert(name.clone(), TriedUpTo { tried: expiring.now });
            self.again.get_or_insert(self.env.elapsed() + HELD_BACK);
        } else if let Some(held) = self.held.get_mut(name) {
            held.tried = expiring.now;
        }
    }

    async fn next_due(&self, expiring: &Expiring<'_>) -> Result<Option<Timestamp>, SweepTrouble> {
        let later = expiring.condition(Test::Gt(Value::Text(expiring.now.rfc3339())));
        let query = Query {
            filter: vec![later],
            sort: vec![SortBy { column: expiring.column(), direction: Direction::Ascending }],
            ..Query::all(expiring.entity.name.clone(), expiring.generation, 1)
        };
        let page = self.store.list(&query).await.map_err(SweepTrouble::Read)?.value;
        let first = page.rows.first().and_then(|row| row.sort_values.first());
        let Some(Value::Text(text)) = first else { return Ok(None) };
        Ok(text_form::millis(text).map(Timestamp))
    }

    /// A unit that fails is tried in halves, until it is known which of its records cannot go.
    async fn delete_all(
        &self,
        expiring: &Expiring<'_>,
        ids: Vec<RecordId>,
        held: &mut HeldBack,
    ) -> Result<(), SweepTrouble> {
        let mut waiting = vec![ids];
        while let Some(mut ids) = waiting.pop() {
            let Some(first) = ids.first().cloned() else { continue };
            match self.delete(expiring, &expiring.entity.name, ids.clone(), vec![expiring.is_due()]).await? {
                Deleted::All => {}
                Deleted::UpTo(last) => {
                    let done = ids.partition_point(|id| *id <= last);
                    waiting.push(ids.split_off(done.max(1)));
                }
                Deleted::Nothing(_) if ids.len() > 1 => {
                    waiting.push(ids.split_off(ids.len() / 2));
                    waiting.push(ids);
                }
                Deleted::Nothing(CommitError::CascadeTooLarge { .. } | CommitError::UnitTooLarge { .. }) => {
                    if let Some(why) = self.leaves_first(expiring, &first).await? {
                        held.add(first, &why);
                    }
                }
                Deleted::Nothing(why) => held.add(first, &why),
            }
        }
        Ok(())
    }

    /// Deletes what would go with a record before the record itself, page by page, as long as it is due. Answers with why it cannot go.
    async fn leaves_first(
        &self,
        expiring: &Expiring<'_>,
        root: &RecordId,
    ) -> Result<Option<CommitError>, SweepTrouble> {
        let mut stack = vec![(expiring.entity.name.clone(), root.clone())];
        while let Some((entity, id)) = stack.last().cloned() {
            if !self.is_due(expiring, root).await? {
                return Ok(None);
            }
            let filter = if stack.len() == 1 { vec![expiring.is_due()] } else { Vec::new() };
            let why = match self.delete(expiring, &entity, vec![id.clone()], filter).await? {
                Deleted::All | Deleted::UpTo(_) => {
                    stack.pop();
                    continue;
                }
                Deleted::Nothing(
                    why @ (CommitError::CascadeTooLarge { .. } | CommitError::UnitTooLarge { .. }),
                ) => why,
                Deleted::Nothing(why) => return Ok(Some(why)),
            };
            match self.some_children(expiring, &entity, &id).await? {
                Some(ChildPage { entity, ids }) => {
                    let first = ids.first().cloned();
                    match self.delete(expiring, &entity, ids.clone(), Vec::new()).await? {
                        Deleted::All | Deleted::UpTo(_) => {}
                        // One of them is too large by itself, or another record is in the way of it.
                        Deleted::Nothing(_) => stack.extend(first.map(|id| (entity, id))),
                    }
                }
                None => return Ok(Some(why)),
            }
        }
        Ok(None)
    }

    async fn is_due(&self, expiring: &Expiring<'_>, id: &RecordId) -> Result<bool, SweepTrouble> {
        let this = Condition::new(Column::Id, Test::Eq(Value::Text(id.to_string())));
        let all = Query::all(expiring.entity.name.clone(), expiring.generation, 1);
        let query = Query { filter: vec![this, expiring.is_due()], ..all };
        let page = self.store.list(&query).await.map_err(SweepTrouble::Read)?.value;
        Ok(!page.rows.is_empty())
    }

    /// Some records that go with this one.
    async fn some_children(
        &self,
        expiring: &Expiring<'_>,
        parent: &EntityName,
        id: &RecordId,
    ) -> Result<Option<ChildPage>, SweepTrouble> {
        for child in expiring.schema.entities() {
            for (at, field) in child.fields.iter().enumerate().filter(|(_, field)| field.lookup.is_none()) {
                let goes = matches!(&field.kind, FieldKind::Ref { entity, on_delete: OnDelete::Cascade } if entity == parent);
                if !goes {
                    continue;
                }
                let column = Column::Field(FieldIndex(at));
                let of_parent = Condition::new(column, Test::Eq(Value::Text(id.to_string())));
                let not_itself = Condition::new(Column::Id, Test::Ne(Value::Text(id.to_string())));
                let all = Query::all(child.name.clone(), expiring.generation, MOST_AT_ONCE);
                let query = Query { filter: vec![of_parent, not_itself], ..all };
                let page = self.store.list(&query).await.map_err(SweepTrouble::Read)?.value;
                let ids: Vec<RecordId> = page.rows.into_iter().map(|row| row.id).collect();
                if !ids.is_empty() {
                    return Ok(Some(ChildPage { entity: child.name.clone(), ids }));
                }
            }
        }
        Ok(None)
    }

    async fn delete(
        &self,
        expiring: &Expiring<'_>,
        entity: &EntityName,
        ids: Vec<RecordId>,
        filter: Vec<Condition>,
    ) -> Result<Deleted, SweepTrouble> {
        // What is asked whether it is due goes for that reason, and the rest goes with it.
        let edit = if filter.is_empty() { ManyEdit::Delete } else { ManyEdit::Expire };
        let many = Many { entity: entity.clone(), ids, more: false, filter, edit };
        let unit = Unit {
            ops: vec![Op::Many(Box::new(many))],
            actor: None,
            asker: Asker::System,
            idempotency: None,
            leases: Vec::new(),
            generation: expiring.generation,
            at: self.env.now(),
            witness: None,
        };
        match self.store.commit(unit).await {
            Ok(outcome) => match outcome.results.into_iter().next() {
                Some(result) if matches!(result.status, OpStatus::Many(tally) if tally.more) => {
                    Ok(Deleted::UpTo(result.id))
                }
                _ => Ok(Deleted::All),
            },
            Err(refusal @ CommitError::UnitTooLarge { .. }) => Ok(Deleted::Nothing(refusal)),
            Err(refusal) if refusal.op().is_some() => Ok(Deleted::Nothing(refusal)),
            Err(trouble) => Err(SweepTrouble::Commit(trouble)),
        }
    }
}

struct ChildPage {
    entity: EntityName,
    ids: Vec<RecordId>,
}

/// What came of a unit.
enum Deleted {
    All,
    /// It was full after this record.
    UpTo(RecordId),
    Nothing(CommitError),
}

impl HeldBack {
    fn add(&mut self, id: RecordId, why: &CommitError) {
        self.count += 1;
        self.example.get_or_insert_with(|| (id, why.to_string()));
    }
}

impl Expiring<'_> {
    fn column(&self) -> Column {
        Column::Field(self.field)
    }

    fn condition(&self, test: Test) -> Condition {
        Condition::new(self.column(), test)
    }

    fn is_due(&self) -> Condition {
        self.condition(Test::Lte(Value::Text(self.now.rfc3339())))
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
