//! A list as a person sees it, with what its references lead to.

use super::SnapshotReads;
use super::advice;
use super::asked::Asked;
use super::asker::KnownAsker;
use super::columns::{are_searched, exist, may_be_asked, named, never_hidden, through};
use super::expansion::{self, Expansion};
use super::snapshot::{ListAsked, RecordSink, Snapshot, Walk};
use crate::rules::ReadScope;
use crate::schema::Record;
use crate::store::images::shown;
use crate::store::relations::Relation;
use crate::store::{Column, ListPage, Listed, Query, StoreError, Stored, Who};

impl<S: Snapshot> SnapshotReads<'_, S> {
    pub async fn list(&self, query: &Query) -> Result<ListPage, StoreError> {
        let of = self.relation_at(query.generation, &query.entity)?;
        let mut needs = of.read_needs.clone();
        expansion::needs(self.relations, &of.entity, &query.expand, &mut needs);
        let known = KnownAsker::read(self.snapshot, self.relations, &query.who, &needs);
        let known = known.await.map_err(Into::into)?;
        let read_scope = match query.named {
            Some(_) => known.read_scope(of, self.at.generation)?,
            None => known.list_scope(of, self.at.generation)?,
        };
        let sorted = || query.sort.iter().map(|by| by.column);
        may_be_asked(&read_scope, &query.filter, sorted())?;
        for expand in &query.expand {
            never_hidden(&read_scope, Column::Field(expand.field))?;
        }
        let asked_for = query.filter.iter().chain(&query.named).map(|condition| condition.column);
        exist(&of.entity, asked_for.chain(sorted()))?;
        are_searched(&of.entity, &query.search)?;
        if query.after.as_ref().is_some_and(|after| after.values.len() != query.sort.len()) {
            return Err(StoreError::Storage("a cursor has one value for each sort column".to_owned()));
        }
        let read_scope = named(through(read_scope, &query.filter), query.named.as_ref());
        let page = self.page(of, query, &read_scope).await?;
        let references =
            Expansion { snapshot: self.snapshot, relations: self.relations, at: self.at, known: &known };
        let expanded = references.of_records(&read_scope, &page.records, &query.expand).await?;
        let rows =
            page.records.into_iter().zip(page.shown).zip(expanded).map(|((record, stored), expanded)| {
                let sort_values = query.sort.iter().map(|by| record.value(by.column)).collect();
                Listed { sort_values, stored, id: record.id, expanded }
            });
        let told = (query.who != Who::System).then(|| read_scope.clone());
        Ok(ListPage { rows: rows.collect(), more: page.more, read_scope: told })
    }

    async fn page<'q>(
        &self,
        of: &Relation,
        query: &'q Query,
        read_scope: &'q ReadScope,
    ) -> Result<PageOfRecords<'q>, StoreError> {
        let mut page = PageOfRecords::of(query, read_scope);
        if read_scope.predicate().is_false() {
            return Ok(page);
        }
        let asked = Asked::of(read_scope, &query.filter);
        let list = ListAsked { query, asked: &asked, scan_rows: self.scan_rows };
        match self.snapshot.list(of, &list, &mut page).await.map_err(Into::into)? {
            Walk::Whole => Ok(page),
            Walk::Stopped => Err(StoreError::TooBroad {
                entity: of.entity.name.clone(),
                rows: self.scan_rows,
                advice: advice::advice_on_list(&of.entity, query, &asked),
            }),
        }
    }
}

/// The records of a list so far.
struct PageOfRecords<'q> {
    query: &'q Query,
    read_scope: &'q ReadScope,
    records: Vec<Record>,
    /// One for each record.
    shown: Vec<Stored>,
    bytes: usize,
    /// There is a record that the page has no room for.
    more: bool,
}

impl<'q> PageOfRecords<'q> {
    fn of(query: &'q Query, read_scope: &'q ReadScope) -> PageOfRecords<'q> {
        PageOfRecords { query, read_scope, records: Vec::new(), shown: Vec::new(), bytes: 0, more: false }
    }
}

impl RecordSink for PageOfRecords<'_> {
    fn begin(&mut self) {
        *self = PageOfRecords::of(self.query, self.read_scope);
    }

    fn has_room(&mut self) -> bool {
        self.more = self.records.len() >= self.query.limit || self.bytes >= self.query.bytes;
        !self.more
    }

    fn add(&mut self, record: Record) {
        let stored = shown(&record, self.read_scope);
        self.bytes += stored.json.len();
        self.records.push(record);
        self.shown.push(stored);
    }
}
