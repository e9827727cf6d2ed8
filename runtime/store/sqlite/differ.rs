//! What changes for a subscriber whose rights changed (SEMANTICS R3): what they saw at a position under an old read scope, held
//! against what they see now under a new one, as one step for each record. All in the read transaction of the caller.
//!
//! Knows no channel and no frame. A record that nobody touched is fetched only if it differs.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::log::{self, COLUMNS};
use super::people;
use super::predicate::Writing;
use super::rows::{Sql, read_record, signed};
use super::scan_limit;
use super::tables::{Catalog, Table};
use crate::ids::RecordId;
use crate::rules::{Condition, Operand, Predicate, ReadScope, Test, Verdict};
use crate::schema::{Column, FieldIndex, Generation, Record, Value};
use crate::store::images::shown;
use crate::store::{At, ChangeOp, Differ, Difference, LogLimit, Scope, Step, Steps, StoreError};

/// Records that were touched after the position and are judged one by one; with more of them a snapshot is shorter.
const MOST_TOUCHED: usize = 10_000;

/// What the tables are, and how many rows a statement may step over.
pub(super) struct Ground<'a> {
    pub(super) conn: &'a Connection,
    pub(super) catalog: &'a Catalog,
    pub(super) generation: Generation,
    pub(super) scan_rows: u64,
}

pub(super) fn differ(ground: &Ground<'_>, at: &At<()>, asked: &Differ) -> Result<Difference, StoreError> {
    if asked.old.generation != ground.generation {
        return Err(StoreError::StaleGeneration);
    }
    let entity = asked.scope.entity();
    let table = ground.catalog.table(entity).ok_or_else(|| StoreError::UnknownEntity(entity.to_string()))?;
    let principal =
        people::principal(ground.conn, ground.catalog, &asked.person, &ground.catalog.read_needs)?;
    // An entity that is closed now, and one of a person whose account is, binds to a rule that shows nothing.
    let steps = match ReadScope::bind(&table.entity, ground.generation, &principal) {
        Err(error) => Steps::Failed(error),
        Ok(_) if asked.since < at.floor => Steps::Many,
        Ok(read_scope) => {
            let new = read_scope.through(asked.filter.clone());
            let found = BTreeMap::new();
            let search = Search { ground, table, asked, new, found, bytes: 0 };
            search.run()?.map_or(Steps::Many, Steps::Few)
        }
    };
    Ok(Difference { principal, steps })
}

/// A record that was changed after the position.
#[derive(Default)]
struct Touched {
    /// As it was at the position, under the old read scope.
    was_visible: bool,
    /// It was created after the position.
    created: bool,
}

/// There are more steps than were asked for.
struct TooMany;

struct Search<'a> {
    ground: &'a Ground<'a>,
    table: &'a Table,
    asked: &'a Differ,
    new: ReadScope,
    /// By id, for the order of the answer.
    found: BTreeMap<RecordId, Step>,
    bytes: usize,
}

type Found<T> = Result<Result<T, TooMany>, StoreError>;

impl Search<'_> {
    /// `None` if there are too many steps.
    fn run(mut self) -> Result<Option<Vec<Step>>, StoreError> {
        let Some(touched) = self.touched()? else { return Ok(None) };
        for (id, touched) in &touched {
            if self.judge(id, touched)?.is_err() {
                return Ok(None);
            }
        }
        for (moved, sql, values) in self.statements(touched.len())? {
            if self.moved(moved, (&sql, &values), &touched)?.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(self.found.into_values().collect()))
    }

    /// What the log after the position names, by id; `None` if it is too much, or cannot tell what was visible.
    fn touched(&self) -> Result<Option<HashMap<RecordId, Touched>>, StoreError> {
        let (one, id) = match &self.asked.scope {
            Scope::Entity(_) => ("", None),
            Scope::Record(_, id) => (r#" AND "id" = ?3"#, Some(Value::Text(id.as_str().to_owned()))),
        };
        let sql = format!(
            r#"SELECT {COLUMNS} FROM "_changes" WHERE "seq" > ?1 AND "entity" = ?2{one} ORDER BY "seq""#
        );
        let since = Value::Int(signed(self.asked.since.0));
        let entity = Value::Text(self.table.entity.name.to_string());
        let mut statement = self.ground.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter([since, entity].iter().chain(&id).map(Sql)))?;
        let mut touched: HashMap<RecordId, Touched> = HashMap::new();
        while let Some(row) = rows.next()? {
            let (op, id) = (log::op(row.get_ref(4)?), RecordId::stored(&row.get::<_, String>(6)?));
            if let Some(known) = touched.get_mut(&id) {
                known.created |= op == ChangeOp::Create;
                continue;
            }
            if touched.len() == MOST_TOUCHED
                || (op == ChangeOp::Update && asks_time_of_update(self.asked.old.predicate()))
            {
                return Ok(None);
            }
            let change = log::read(row, self.ground.catalog)?;
            let old = change.rows(&self.table.entity).old.as_ref();
            let was_visible = old.is_some_and(|old| self.asked.old.sees(old));
            touched.insert(id, Touched { was_visible, created: op == ChangeOp::Create });
        }
        Ok(Some(touched))
    }

    fn judge(&mut self, id: &RecordId, touched: &Touched) -> Found<()> {
        let mut select = self.ground.conn.prepare_cached(&self.table.select)?;
        let read = |row: &rusqlite::Row<'_>| read_record(row, 0, &self.table.entity);
        let now = select.query_row([id.as_str()], read).optional()?;
        let verdict = match (&now, touched.was_visible) {
            (Some(now), true) if self.new.sees(now) => Verdict::Updated,
            (Some(now), false) if self.new.sees(now) && touched.created => Verdict::Created,
            (Some(now), false) if self.new.sees(now) => Verdict::Entered,
            (_, false) => return Ok(Ok(())),
            (None, true) => Verdict::Deleted,
            (Some(now), true) => self.out_of_sight(now),
        };
        Ok(self.add(id, verdict, now.as_ref()))
    }

    fn out_of_sight(&self, record: &Record) -> Verdict {
        if self.new.rule.matches(record) { Verdict::Left } else { Verdict::Lost }
    }

    /// Records that are as they were, and differ by the read scopes alone.
    fn moved(
        &mut self,
        moved: Moved,
        (sql, values): (&str, &[Value]),
        touched: &HashMap<RecordId, Touched>,
    ) -> Found<()> {
        let conn = self.ground.conn;
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values.iter().map(Sql)))?;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => return Ok(Ok(())),
                // More rows would be stepped over than a read may, to find out.
                Err(error) if scan_limit::stopped(&error) => return Ok(Err(TooMany)),
                Err(error) => return Err(error.into()),
            };
            let record = read_record(row, 0, &self.table.entity)?;
            if touched.contains_key(&record.id) || self.found.contains_key(&record.id) {
                continue;
            }
            let verdict = match moved {
                Moved::In => Verdict::Entered,
                Moved::Out => self.out_of_sight(&record),
                Moved::Fields => Verdict::Updated,
            };
            if let Err(too_many) = self.add(&record.id.clone(), verdict, Some(&record)) {
                return Ok(Err(too_many));
            }
        }
    }

    fn add(&mut self, id: &RecordId, verdict: Verdict, record: Option<&Record>) -> Result<(), TooMany> {
        let shown = match verdict {
            Verdict::Created | Verdict::Entered | Verdict::Updated => {
                record.map(|record| shown(record, &self.new))
            }
            Verdict::Nothing | Verdict::Left | Verdict::Lost | Verdict::Deleted => None,
        };
        self.bytes += shown.as_ref().map_or(0, |stored| stored.json.len());
        self.found.insert(id.clone(), Step { id: id.clone(), verdict, record: shown });
        let LogLimit { changes, bytes } = self.asked.limit;
        if self.found.len() > changes || self.bytes > bytes { Err(TooMany) } else { Ok(()) }
    }

    /// One for each way in which the read scopes differ; none if they do not. `touched` records may be in the way of those that
    /// are looked for.
    fn statements(&self, touched: usize) -> Result<Vec<(Moved, String, Vec<Value>)>, StoreError> {
        let (old, new) = (&*self.asked.old, &self.new);
        let mut statements = Vec::new();
        if old.predicate() != new.predicate() {
            let (lost, gained) = (beyond(old, new), beyond(new, old));
            statements.extend(self.statement(
                Moved::In,
                touched,
                &gained,
                Other::Without(old.predicate()),
            )?);
            statements.extend(self.statement(Moved::Out, touched, &lost, Other::Without(new.predicate()))?);
        }
        let mut fields: Vec<FieldIndex> = old.fields.iter().chain(&new.fields).map(|(at, _)| *at).collect();
        fields.sort_unstable();
        fields.dedup();
        for field in fields {
            let (before, now) = (shown_with(old, field), shown_with(new, field));
            if before != now {
                let other = Other::Apart(before, now);
                statements.extend(self.statement(Moved::Fields, touched, new.predicate(), other)?);
            }
        }
        Ok(statements)
    }

    fn statement(
        &self,
        moved: Moved,
        touched: usize,
        wanted: &Predicate,
        other: Other<'_>,
    ) -> Result<Option<(Moved, String, Vec<Value>)>, StoreError> {
        if wanted.is_false() {
            return Ok(None);
        }
        let mut values = Vec::new();
        let mut writing = Writing { table: self.table, values: &mut values };
        let wanted = writing.predicate(wanted)?;
        // What is not known to hold is NULL or 0.
        let other = match other {
            Other::Without(known) => format!("({}) IS NOT TRUE", writing.predicate(known)?),
            Other::Apart(left, right) => {
                let (left, right) = (writing.predicate(left)?, writing.predicate(right)?);
                format!("(({left}) IS TRUE) <> (({right}) IS TRUE)")
            }
        };
        let one = match &self.asked.scope {
            Scope::Entity(_) => String::new(),
            Scope::Record(_, id) => {
                format!(r#" AND "id" = {}"#, writing.bind(Value::Text(id.as_str().to_owned())))
            }
        };
        // Rows that have a step already may be among them, touched ones and those of an earlier statement.
        let most = self.asked.limit.changes.saturating_mul(2).saturating_add(touched).saturating_add(1);
        let most = writing.bind(Value::Int(signed(most as u64)));
        let rows = self.ground.scan_rows;
        let run = writing.bind(Value::Int(scan_limit::run()));
        let Table { columns, name, .. } = self.table;
        let sql = format!(
            "SELECT {columns} FROM {name} WHERE scanned({rows}, {run}){one} AND ({wanted}) AND {other} LIMIT {most}"
        );
        Ok(Some((moved, sql, values)))
    }
}

/// How a record that nobody touched differs.
#[derive(Clone, Copy)]
enum Moved {
    In,
    Out,
    /// Seen before and now, with other fields.
    Fields,
}

/// What a statement asks beside what is wanted.
enum Other<'a> {
    Without(&'a Predicate),
    /// One holds and the other does not.
    Apart(&'a Predicate, &'a Predicate),
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
        | Predicate::Contains(left, right) => of(left) || of(right),
        Predicate::Member(item, list) => of(item) || *list == Column::UpdatedAt,
        Predicate::Not(inner) => asks_time_of_update(inner),
        Predicate::All(terms) | Predicate::Any(terms) => terms.iter().any(asks_time_of_update),
    }
}
