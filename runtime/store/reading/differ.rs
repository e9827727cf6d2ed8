//! What changes for a subscriber whose rights changed (SEMANTICS R3): what they saw at a position under an old read scope, held
//! against what they see now under a new one, as one step for each record. All in one read transaction.
//!
//! Knows no channel and no frame. A record that no change touched is fetched only if it differs.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::SnapshotReads;
use super::snapshot::{Apart, Selection, Snapshot, Walk};
use crate::ids::RecordId;
use crate::rules::{Condition, Operand, Predicate, ReadScope, Test, Verdict};
use crate::schema::{Column, FieldIndex, Record, Value};
use crate::store::images::shown;
use crate::store::relations::Relation;
use crate::store::{Change, ChangeOp, Differ, Difference, LogLimit, Scope, Step, Steps, StoreError};

/// Records that were touched after the position and are judged one by one; with more of them a snapshot is shorter.
const MOST_TOUCHED: usize = 10_000;

/// Records that are asked for at once.
const TOGETHER: usize = 500;

impl<S: Snapshot> SnapshotReads<'_, S> {
    pub async fn differ(&self, differ: &Differ) -> Result<Difference, StoreError> {
        if differ.old.generation != self.at.generation {
            return Err(StoreError::StaleGeneration);
        }
        let of = self.relation(differ.scope.entity())?;
        let principal = self.principal(&differ.person).await?;
        // An entity that is closed now, and one of a person whose account is, binds to a rule that shows nothing.
        let steps = match differ.scope.bind(&of.entity, self.at.generation, &principal) {
            Err(error) => Steps::Failed(error),
            Ok(_) if differ.since < self.at.floor => Steps::Many,
            Ok(read_scope) => {
                let new = read_scope.through(differ.filter.clone());
                let search = StepSearch { reads: self, of, judge: StepJudge { differ, new: &new } };
                search.run().await?.map_or(Steps::Many, Steps::Few)
            }
        };
        Ok(Difference { principal, steps })
    }
}

/// A record that was changed after the position.
#[derive(Default)]
struct Touched {
    /// As it was at the position, under the old read scope.
    was_visible: bool,
    /// It was created after the position.
    created: bool,
}

type TouchedRecords = HashMap<RecordId, Touched>;

/// There are more steps than were asked for.
struct TooManySteps;

struct StepSearch<'a, S> {
    reads: &'a SnapshotReads<'a, S>,
    of: &'a Relation,
    judge: StepJudge<'a>,
}

/// What was asked, and what the subscriber sees now.
#[derive(Clone, Copy)]
struct StepJudge<'a> {
    differ: &'a Differ,
    new: &'a ReadScope,
}

/// By id, for the order of the answer.
#[derive(Default)]
struct FoundSteps {
    steps: BTreeMap<RecordId, Step>,
    bytes: usize,
}

impl<S: Snapshot> StepSearch<'_, S> {
    /// `None` if there are too many steps.
    async fn run(&self) -> Result<Option<Vec<Step>>, StoreError> {
        let Some(touched) = self.touched().await? else { return Ok(None) };
        let mut found = FoundSteps::default();
        let ids: Vec<&RecordId> = touched.keys().collect();
        for ids in ids.chunks(TOGETHER) {
            let keys: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
            let records = self.reads.snapshot.records(self.of, &keys).await.map_err(Into::into)?;
            for (id, now) in ids.iter().zip(&records) {
                if self.judge.touched(id, &touched[*id], now.as_ref(), &mut found).is_err() {
                    return Ok(None);
                }
            }
        }
        for way in self.ways() {
            if self.moved(&way, &touched, &mut found).await?.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(found.steps.into_values().collect()))
    }

    /// What the log after the position names, by id; `None` if it is too much, or cannot tell what was visible.
    async fn touched(&self) -> Result<Option<TouchedRecords>, StoreError> {
        let differ = self.judge.differ;
        let (mut touched, mut known) = (TouchedRecords::new(), true);
        let mut take = |change: Change| {
            if let Some(touched) = touched.get_mut(&change.id) {
                touched.created |= change.op == ChangeOp::Create;
                return ControlFlow::Continue(());
            }
            let untold = change.op == ChangeOp::Update && asks_time_of_update(differ.old.predicate());
            if touched.len() == MOST_TOUCHED || untold {
                known = false;
                return ControlFlow::Break(());
            }
            let old = change.rows(&self.of.entity).old.as_ref();
            let was_visible = old.is_some_and(|old| differ.old.sees(old));
            let created = change.op == ChangeOp::Create;
            touched.insert(change.id.clone(), Touched { was_visible, created });
            ControlFlow::Continue(())
        };
        let changes = self.reads.snapshot.changes(&differ.scope, differ.since, &mut take);
        changes.await.map_err(Into::into)?;
        Ok(known.then_some(touched))
    }

    /// Records that are as they were, and differ by the read scopes alone.
    async fn moved(
        &self,
        way: &MovedRecords<'_>,
        touched: &TouchedRecords,
        found: &mut FoundSteps,
    ) -> Result<Result<(), TooManySteps>, StoreError> {
        let judge = self.judge;
        let mut ended = Ok(());
        let mut take = |record: Record| {
            if touched.contains_key(&record.id) || found.steps.contains_key(&record.id) {
                return ControlFlow::Continue(());
            }
            let verdict = match way.moved {
                Moved::In => Verdict::Entered,
                Moved::Out => judge.out_of_sight(&record),
                Moved::Fields => Verdict::Updated,
            };
            ended = judge.add(&record.id, verdict, Some(&record), found);
            if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let selection = Selection {
            wanted: &way.wanted,
            apart: way.apart,
            id: match &judge.differ.scope {
                Scope::Entity(_) => None,
                Scope::Record(_, id) => Some(id),
            },
            // Rows that have a step already may be among them, touched ones and those found in another way.
            most: judge
                .differ
                .limit
                .changes
                .saturating_mul(2)
                .saturating_add(touched.len())
                .saturating_add(1),
            scan_rows: self.reads.scan_rows,
        };
        match self.reads.snapshot.select(self.of, &selection, &mut take).await.map_err(Into::into)? {
            Walk::Whole => Ok(ended),
            // More rows would be stepped over than a read may, to find out.
            Walk::Stopped => Ok(Err(TooManySteps)),
        }
    }

    /// One for each way in which the read scopes differ; none if they do not.
    fn ways(&self) -> Vec<MovedRecords<'_>> {
        let StepJudge { differ, new } = self.judge;
        let old = &*differ.old;
        let mut ways = Vec::new();
        if old.predicate() != new.predicate() {
            ways.push(MovedRecords {
                moved: Moved::In,
                wanted: beyond(new, old),
                apart: Apart::Without(old.predicate()),
            });
            ways.push(MovedRecords {
                moved: Moved::Out,
                wanted: beyond(old, new),
                apart: Apart::Without(new.predicate()),
            });
        }
        let mut fields: Vec<FieldIndex> = old.fields.iter().chain(&new.fields).map(|(at, _)| *at).collect();
        fields.sort_unstable();
        fields.dedup();
        for field in fields {
            let (before, now) = (shown_with(old, field), shown_with(new, field));
            if before != now {
                let (wanted, apart) = (new.predicate().clone(), Apart::Between(before, now));
                ways.push(MovedRecords { moved: Moved::Fields, wanted, apart });
            }
        }
        ways.retain(|way| !way.wanted.is_false());
        ways
    }
}

impl StepJudge<'_> {
    fn touched(
        &self,
        id: &RecordId,
        touched: &Touched,
        now: Option<&Record>,
        found: &mut FoundSteps,
    ) -> Result<(), TooManySteps> {
        let verdict = match (now, touched.was_visible) {
            (Some(now), true) if self.new.sees(now) => Verdict::Updated,
            (Some(now), false) if self.new.sees(now) && touched.created => Verdict::Created,
            (Some(now), false) if self.new.sees(now) => Verdict::Entered,
            (_, false) => return Ok(()),
            (None, true) => Verdict::Deleted,
            (Some(now), true) => self.out_of_sight(now),
        };
        self.add(id, verdict, now, found)
    }

    fn out_of_sight(&self, record: &Record) -> Verdict {
        if self.new.rule.matches(record) { Verdict::Left } else { Verdict::Lost }
    }

    fn add(
        &self,
        id: &RecordId,
        verdict: Verdict,
        record: Option<&Record>,
        found: &mut FoundSteps,
    ) -> Result<(), TooManySteps> {
        let shown = match verdict {
            Verdict::Created | Verdict::Entered | Verdict::Updated => {
                record.map(|record| shown(record, self.new))
            }
            Verdict::Nothing | Verdict::Left | Verdict::Lost | Verdict::Deleted => None,
        };
        found.bytes += shown.as_ref().map_or(0, |stored| stored.json.len());
        found.steps.insert(id.clone(), Step { id: id.clone(), verdict, record: shown });
        let LogLimit { changes, bytes } = self.differ.limit;
        if found.steps.len() > changes || found.bytes > bytes { Err(TooManySteps) } else { Ok(()) }
    }
}

/// How a record that no change touched differs.
#[derive(Clone, Copy)]
enum Moved {
    In,
    Out,
    /// Seen before and now, with other fields.
    Fields,
}

/// Records that differ in one way.
struct MovedRecords<'a> {
    moved: Moved,
    wanted: Predicate,
    apart: Apart<'a>,
}

fn shown_with(read_scope: &ReadScope, field: FieldIndex) -> &Predicate {
    const ALWAYS: &Predicate = &Predicate::Constant(true);
    read_scope.shown(Column::Field(field)).unwrap_or(ALWAYS)
}

/// What `wanted` shows and `other` does not, to be asked together with "not `other`": what they have in common word for word
/// is left out, so that one project more is looked up by that project's index entry alone.
fn beyond(wanted: &ReadScope, other: &ReadScope) -> Predicate {
    if wanted.filter != other.filter {
        return wanted.predicate().clone();
    }
    let known = alternatives(&other.rule);
    let rest = alternatives(&wanted.rule).iter().filter_map(|term| remaining(term, known)).collect();
    let rule = Predicate::any(rest, &wanted.entity);
    Predicate::all(vec![rule, wanted.filter.clone()], &wanted.entity)
}

fn alternatives(rule: &Predicate) -> &[Predicate] {
    if let Predicate::Any(terms) = rule { terms } else { std::slice::from_ref(rule) }
}

/// What of a term is not among the known ones.
fn remaining(term: &Predicate, known: &[Predicate]) -> Option<Predicate> {
    let Predicate::Test(Condition { column, test }) = term else {
        return (!known.contains(term)).then(|| term.clone());
    };
    let values = match test {
        Test::Eq(value) => std::slice::from_ref(value),
        Test::In(values) => values,
        Test::Ne(_)
        | Test::Lt(_)
        | Test::Lte(_)
        | Test::Gt(_)
        | Test::Gte(_)
        | Test::Contains(_)
        | Test::Starts(_)
        | Test::Ends(_)
        | Test::Alike(_)
        | Test::Null(_) => return (!known.contains(term)).then(|| term.clone()),
    };
    let has = |value: &Value| known.iter().any(|other| grants(other, *column, value));
    let rest: Vec<Value> = values.iter().filter(|value| !has(value)).cloned().collect();
    (!rest.is_empty()).then(|| Predicate::Test(Condition::new(*column, Test::In(rest))))
}

fn grants(known: &Predicate, column: Column, value: &Value) -> bool {
    let Predicate::Test(condition) = known else { return false };
    condition.column == column
        && match &condition.test {
            Test::Eq(other) => other == value,
            Test::In(others) => others.contains(value),
            Test::Ne(_)
            | Test::Lt(_)
            | Test::Lte(_)
            | Test::Gt(_)
            | Test::Gte(_)
            | Test::Contains(_)
            | Test::Starts(_)
            | Test::Ends(_)
            | Test::Alike(_)
            | Test::Null(_) => false,
        }
}

/// The log does not hold when a record had been updated before an update.
fn asks_time_of_update(predicate: &Predicate) -> bool {
    let of = |operand: &Operand| match operand {
        Operand::Column(column) | Operand::Size(column) => *column == Column::UpdatedAt,
        Operand::Value(_) => false,
    };
    match predicate {
        Predicate::Constant(_) => false,
        Predicate::Test(condition) => condition.column == Column::UpdatedAt,
        Predicate::Compare(left, _, right)
        | Predicate::Starts(left, right)
        | Predicate::Ends(left, right)
        | Predicate::Contains(left, right) => of(left) || of(right),
        Predicate::Member(item, list) => of(item) || *list == Column::UpdatedAt,
        Predicate::Not(inner) => asks_time_of_update(inner),
        Predicate::All(terms) | Predicate::Any(terms) => terms.iter().any(asks_time_of_update),
    }
}
