//! What rules that look further are told of the database, asked of the unit's own transaction (SEMANTICS X1): a record behind a
//! reference, the records of an `exists`, the unit's time.
//!
//! Knows not what follows from an answer. An answer is used again until the unit writes to the entity that it is of.

use super::fault::{Fault, refuse};
use crate::ids::Timestamp;
use crate::rules::{
    BindError, Found, JudgedStep, KnownFacts, MOST_STEPS, MOST_STEPS_OF_UNIT, MissingFact, Subject, Truth,
    find_truth, judge,
};
use crate::schema::{Column, EntityName, Expr, KeyFields, Record, ReferencePath, Term, Value};
use crate::store::CommitError;
use crate::store::relations::{Relation, Relations};
use crate::store::source::Source;

/// Records that are kept between two judgements.
const MOST_KEPT: usize = 10_000;

/// For one unit.
pub(super) struct Facts<'a> {
    relations: &'a Relations,
    known: KnownFacts,
    /// That the judgements of the unit took so far.
    steps: usize,
}

impl<'a> Facts<'a> {
    pub(super) fn at(relations: &'a Relations, now: Timestamp) -> Facts<'a> {
        Facts { relations, known: KnownFacts::at(now), steps: 0 }
    }

    /// What the last judgement was told, among others.
    pub(super) fn known(&self) -> &KnownFacts {
        &self.known
    }

    /// A record of the entity was written.
    pub(super) fn wrote(&mut self, entity: &str) {
        self.known.forget(entity);
    }

    /// Writes were taken back.
    pub(super) fn forget(&mut self) {
        self.known.keep_at_most(0);
    }

    /// What was read for another reason need not be read again.
    pub(super) fn learn(&mut self, entity: &EntityName, id: &str, record: Option<Record>) {
        self.known.learn_record(entity, id, record);
    }

    /// Whether the rule holds. `op` is the operation that is judged.
    pub(super) async fn truth<S: Source>(
        &mut self,
        source: &S,
        op: usize,
        rule: &Expr,
        subject: Subject<'_>,
    ) -> Result<Truth, Fault<S::Error>> {
        self.settle(source, op, |known| judge(rule, subject, known)).await
    }

    /// The same of a condition that grants nothing.
    pub(super) async fn condition<S: Source>(
        &mut self,
        source: &S,
        op: usize,
        condition: &Expr,
        subject: Subject<'_>,
    ) -> Result<Truth, Fault<S::Error>> {
        self.settle(source, op, |known| find_truth(condition, subject, known)).await
    }

    /// A value behind references, which begin at the record, or at what it was before.
    pub(super) async fn behind<S: Source>(
        &mut self,
        source: &S,
        op: usize,
        path: &ReferencePath,
        record: &Record,
        old: Option<&Record>,
    ) -> Result<Value, Fault<S::Error>> {
        let mut steps = vec![path];
        while let Some(ReferencePath { via: Term::Behind(inner), .. }) = steps.last() {
            steps.push(inner);
        }
        let mut value = match steps.last().map(|first| &first.via) {
            Some(Term::Record(column)) => record.value(*column),
            Some(Term::Change(field)) => old.map_or(Value::Null, |old| old.values[field.0].clone()),
            Some(_) | None => Value::Null,
        };
        for ReferencePath { entity, column, .. } in steps.into_iter().rev() {
            let Value::Text(id) = &value else { return Ok(Value::Null) };
            self.steps += 1;
            if self.steps > MOST_STEPS_OF_UNIT {
                return refuse(CommitError::Rule { op, error: BindError::UnitTooBroad });
            }
            if self.known.record(entity, id).is_none() {
                let found = source.record(self.relation(entity)?, id).await?;
                self.known.learn_record(entity, id, found);
            }
            let Some(Some(found)) = self.known.record(entity, id) else { return Ok(Value::Null) };
            value = found.value(*column);
        }
        Ok(value)
    }

    /// Asks again until nothing is missing. Each round learns something, and each row counts as a step.
    async fn settle<S: Source, T>(
        &mut self,
        source: &S,
        op: usize,
        ask: impl Fn(&KnownFacts) -> JudgedStep<T>,
    ) -> Result<T, Fault<S::Error>> {
        self.known.keep_at_most(MOST_KEPT);
        loop {
            let JudgedStep { judged, steps } = ask(&self.known);
            match judged {
                Found::Known(answer) => {
                    self.steps += steps;
                    return match self.steps > MOST_STEPS_OF_UNIT {
                        true => refuse(CommitError::Rule { op, error: BindError::UnitTooBroad }),
                        false => Ok(answer),
                    };
                }
                Found::Lacks(facts) => self.find(source, facts).await?,
                Found::TooManyRows => {
                    return refuse(CommitError::Rule { op, error: BindError::TooManyRows });
                }
            }
        }
    }

    async fn find<S: Source>(&mut self, source: &S, facts: Vec<MissingFact>) -> Result<(), Fault<S::Error>> {
        let mut ids: Vec<(EntityName, Vec<String>)> = Vec::new();
        for fact in facts {
            match fact {
                MissingFact::Record { entity, id } => {
                    match ids.iter_mut().find(|(other, _)| *other == entity) {
                        Some((_, ids)) => ids.push(id),
                        None => ids.push((entity, vec![id])),
                    }
                }
                MissingFact::Having { entity, column, value } => {
                    let found = self.having(source, &entity, column, &value).await?;
                    self.known.learn_search(&entity, column, &value, found);
                }
            }
        }
        for (entity, ids) in ids {
            let relation = self.relation(&entity)?;
            let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
            let records = source.records(relation, &asked).await?;
            for (id, record) in ids.iter().zip(records) {
                self.known.learn_record(&entity, id, record);
            }
        }
        Ok(())
    }

    /// `None`: there are too many.
    async fn having<S: Source>(
        &self,
        source: &S,
        entity: &EntityName,
        column: Column,
        value: &str,
    ) -> Result<Option<Vec<Record>>, Fault<S::Error>> {
        let relation = self.relation(entity)?;
        let field = match column {
            Column::Field(field) => field,
            Column::Id => return Ok(Some(source.record(relation, value).await?.into_iter().collect())),
            // The checker takes none of them for a key.
            Column::Version | Column::CreatedAt | Column::UpdatedAt => return Ok(None),
        };
        let value = Value::Text(value.to_owned());
        let fields = KeyFields::exact(vec![field]);
        let mut ids = source.ids_holding(relation, &fields, &[vec![&value]], MOST_STEPS + 1).await?;
        let ids = ids.pop().unwrap_or_default();
        if ids.len() > MOST_STEPS {
            return Ok(None);
        }
        let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        Ok(Some(source.records(relation, &ids).await?.into_iter().flatten().collect()))
    }

    fn relation<E>(&self, entity: &str) -> Result<&'a Relation, Fault<E>> {
        self.relations.get(entity).map_or_else(|| refuse(CommitError::StaleGeneration), Ok)
    }
}
