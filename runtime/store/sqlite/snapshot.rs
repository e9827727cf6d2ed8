//! `trait Snapshot` over one connection within a read transaction. As with `Source`, every future is ready when it is made.
//!
//! Does not know what the answers are for.

use std::future::ready as at_once;
use std::ops::ControlFlow;
use std::sync::Arc;

use rusqlite::{params, params_from_iter};

use super::history::{PastOf, past};
use super::rows::{Sql, read_column, read_record, signed, unsigned};
use super::source::{Answer, SqliteSource};
use super::tables::Table;
use super::{listing, log, scan_limit};
use crate::ids::{RecordId, Seq};
use crate::schema::{Record, Value};
use crate::store::reading::snapshot::{
    CountAsked, ListAsked, RecordSink, Selection, Snapshot, Stroll, Take, Walk,
};
use crate::store::relations::Relation;
use crate::store::sql::Statement;
use crate::store::{At, Change, Counted, LogLimit, Scope};

#[expect(refining_impl_trait, reason = "who has the struct itself may know that the futures are ready")]
impl Snapshot for SqliteSource<'_> {
    fn log(&self, after: Seq, limit: LogLimit) -> Answer<Vec<Arc<Change>>> {
        at_once(log::page(self.conn, self.catalog, after, limit))
    }

    fn changes(&self, of: &Scope, after: Seq, take: Take<'_, Change>) -> Answer<()> {
        at_once(self.read_changes(of, after, take))
    }

    fn past(&self, of: &Relation, id: &RecordId, before: Option<Seq>, take: Take<'_, Change>) -> Answer<()> {
        let record = PastOf { entity: &of.entity.name, id, before };
        at_once(past(&self.catalog.kept, self.conn, self.catalog, record, take))
    }

    fn newest(&self, stroll: &Stroll<'_>, take: Take<'_, Change>) -> Answer<Option<Seq>> {
        at_once(log::newest(self.conn, self.catalog, stroll, take))
    }

    fn list(&self, of: &Relation, list: &ListAsked<'_>, into: &mut (dyn RecordSink + Send)) -> Answer<Walk> {
        at_once(self.read_list(self.catalog.of_relation(of), list, into))
    }

    fn select(&self, of: &Relation, selection: &Selection<'_>, take: Take<'_, Record>) -> Answer<Walk> {
        at_once(to_its_end(self.read_selection(self.catalog.of_relation(of), selection, take)))
    }

    fn count(&self, of: &Relation, count: &CountAsked<'_>) -> Answer<Option<Counted>> {
        let counted = self.read_count(self.catalog.of_relation(of), count);
        at_once(match counted {
            Err(error) if scan_limit::stopped(&error) => Ok(None),
            counted => counted.map(Some),
        })
    }

    fn count_all(&self, of: &Relation, at: &At<()>) -> Answer<u64> {
        let statement = &self.catalog.of_relation(of).count;
        at_once(self.catalog.counts.of(self.conn, at, &of.entity.name, statement))
    }
}

impl SqliteSource<'_> {
    fn read_changes(&self, of: &Scope, after: Seq, take: Take<'_, Change>) -> rusqlite::Result<()> {
        let one = match of {
            Scope::Entity(_) => None,
            Scope::Record(_, id) => Some(id.as_str()),
        };
        let mut statement =
            self.conn.prepare_cached(if one.is_some() { log::OF_RECORD } else { log::OF_ENTITY })?;
        let (after, entity) = (signed(after.0), &**of.entity());
        let mut rows = match one {
            Some(id) => statement.query(params![after, entity, id])?,
            None => statement.query(params![after, entity])?,
        };
        while let Some(row) = rows.next()? {
            if take(log::read(row, self.catalog)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn read_list(
        &self,
        table: &Table,
        list: &ListAsked<'_>,
        into: &mut dyn RecordSink,
    ) -> rusqlite::Result<Walk> {
        for attempt in listing::attempts(&table.entity, list) {
            into.begin();
            let statements = listing::list(table, list, &attempt);
            if to_its_end(self.read_stretches(table, statements, list.query.limit, into))? == Walk::Whole {
                return Ok(Walk::Whole);
            }
        }
        Ok(Walk::Stopped)
    }

    /// SQLite takes a row out of the database column by column when it is asked for it, so the row that tells that more follow
    /// costs no memory.
    fn read_stretches(
        &self,
        table: &Table,
        statements: Vec<Statement<'_>>,
        limit: usize,
        into: &mut dyn RecordSink,
    ) -> rusqlite::Result<()> {
        let mut left = limit.saturating_add(1);
        for mut stretch in statements {
            stretch.values.push(Value::Int(signed(left as u64)));
            let mut statement = self.conn.prepare_cached(&stretch.sql)?;
            // Of rows that SQLite sorts first, the statement yields the id alone.
            let by_id = statement.column_count() == 1;
            let mut by_id = if by_id { Some(self.conn.prepare_cached(&table.select)?) } else { None };
            let mut rows = statement.query(params_from_iter(stretch.values.iter().map(Sql)))?;
            while let Some(row) = rows.next()? {
                if !into.has_room() {
                    return Ok(());
                }
                into.add(match by_id.as_mut() {
                    None => read_record(row, 0, &table.entity)?,
                    Some(select) => {
                        let id = row.get_ref(0)?.as_str()?;
                        select.query_row([id], |row| read_record(row, 0, &table.entity))?
                    }
                });
                left -= 1;
            }
        }
        Ok(())
    }

    fn read_selection(
        &self,
        table: &Table,
        selection: &Selection<'_>,
        take: Take<'_, Record>,
    ) -> rusqlite::Result<()> {
        let select = listing::select(table, selection);
        let mut statement = self.conn.prepare_cached(&select.sql)?;
        let mut rows = statement.query(params_from_iter(select.values.iter().map(Sql)))?;
        while let Some(row) = rows.next()? {
            if take(read_record(row, 0, &table.entity)?) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }

    fn read_count(&self, table: &Table, counting: &CountAsked<'_>) -> rusqlite::Result<Counted> {
        let count = listing::count(table, counting);
        let mut statement = self.conn.prepare_cached(&count.sql)?;
        let values = params_from_iter(count.values.iter().map(Sql));
        let Some(column) = counting.count.group else {
            let count = statement.query_row(values, |row| row.get(0).map(unsigned))?;
            return Ok(Counted { count, groups: Vec::new() });
        };
        let rows = statement.query_map(values, |row| {
            Ok((read_column(row, 0, &table.entity, column)?, unsigned(row.get(1)?)))
        })?;
        let groups = rows.collect::<rusqlite::Result<Vec<(Value, u64)>>>()?;
        Ok(Counted { count: groups.iter().map(|(_, count)| count).sum(), groups })
    }
}

fn to_its_end(read: rusqlite::Result<()>) -> rusqlite::Result<Walk> {
    match read {
        Ok(()) => Ok(Walk::Whole),
        Err(error) if scan_limit::stopped(&error) => Ok(Walk::Stopped),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::rules::{MOST_RELATED, RelatedRecords};
    use crate::rules::{Needs, Person, Principal, ReadScope};
    use crate::schema::Generation;
    use crate::schema::{Column, Entity, Expr, Field, FieldIndex, FieldKind, OnDelete};
    use crate::schema::{RelatedSet, Rule, Schema, Term, Value};
    use crate::store::reading::asker;
    use crate::store::sqlite::source::ready;
    use crate::store::sqlite::tables::{Catalog, create_table, indexes};
    use crate::store::{StoreError, Who, principal as gathering};

    fn principal(
        conn: &Connection,
        catalog: &Catalog,
        person: &Arc<Person>,
        needs: &Needs,
    ) -> rusqlite::Result<Principal> {
        let source = SqliteSource::reading(conn, catalog);
        ready(gathering::principal(&source, &catalog.relations, person, needs))
    }

    fn read_scope(
        conn: &Connection,
        catalog: &Catalog,
        generation: Generation,
        who: &Who,
    ) -> Result<Arc<ReadScope>, StoreError> {
        let (source, relations) = (SqliteSource::reading(conn, catalog), &catalog.relations);
        let of = relations.get("Task").unwrap();
        ready(asker::read_scope(&source, relations, of, generation, who))
    }

    fn text(name: &str) -> Field {
        Field::new(name, FieldKind::Text { min: None, max: None, pattern: None })
    }

    fn refers(name: &str, entity: &str) -> Field {
        Field::new(name, FieldKind::Ref { entity: entity.into(), on_delete: OnDelete::Cascade })
    }

    /// `User`, and `Task` that is read by the members of its project.
    fn database() -> (Connection, Catalog) {
        let disabled = Field::new("disabled", FieldKind::Bool);
        let user = Entity::new("User", "users", vec![text("name"), text("role"), disabled]);
        let member = Entity {
            identity: Some(FieldIndex(0)),
            ..Entity::new("Membership", "memberships", vec![refers("user", "User"), text("project")])
        };
        let project = Column::Field(FieldIndex(1));
        let of_project = Expr::Related(
            Term::Record(Column::Field(FieldIndex(0))),
            RelatedSet { entity: "Membership".into(), column: project },
        );
        let mut task = Entity::new("Task", "tasks", vec![text("project")]);
        task.access.read = Some(Rule { source: "".into(), meaning: of_project });
        let schema = Schema::new([user, member, task]);
        let conn = Connection::open_in_memory().unwrap();
        for entity in schema.entities() {
            conn.execute_batch(&create_table(entity)).unwrap();
            indexes(entity).iter().for_each(|index| conn.execute_batch(&index.create).unwrap());
        }
        conn.execute_batch(
            "INSERT INTO users VALUES ('ada', 1, 0, 0, 'Ada', 'editor', 0), ('bo', 1, 0, 0, 'Bo', NULL, 1);
             INSERT INTO memberships VALUES ('m1', 1, 0, 0, 'ada', 'p1'), ('m2', 1, 0, 0, 'ada', 'p2'),
                 ('m3', 1, 0, 0, 'bo', 'p3')",
        )
        .unwrap();
        (conn, Catalog::of(&schema))
    }

    fn person(id: &str) -> Arc<Person> {
        Arc::new(Person { id: Some(id.into()), ..Person::default() })
    }

    fn projects(principal: &Principal) -> Vec<Value> {
        match principal.related("Membership") {
            RelatedRecords::Records(records) => {
                records.iter().map(|record| record.values[1].clone()).collect()
            }
            RelatedRecords::TooMany => panic!("too many"),
        }
    }

    #[test]
    fn the_user_and_what_belongs_to_them_is_read_and_nothing_else() {
        let (conn, catalog) = database();
        let needs = &catalog.relations.get("Task").unwrap().read_needs;
        let ada = principal(&conn, &catalog, &person("ada"), needs).unwrap();
        assert_eq!(ada.role(), &Value::Text("editor".to_owned()));
        assert_eq!(projects(&ada), [Value::Text("p1".to_owned()), Value::Text("p2".to_owned())]);
        assert!(principal(&conn, &catalog, &person("bo"), needs).unwrap().is_disabled());
        let unknown = principal(&conn, &catalog, &person("cy"), needs).unwrap();
        assert_eq!((unknown.record(), projects(&unknown)), (None, vec![]));
        assert!(principal(&conn, &catalog, &Arc::default(), needs).unwrap().is_nobody());
        let plain = principal(&conn, &catalog, &person("ada"), &Needs::default()).unwrap();
        assert_eq!((plain.record().is_some(), projects(&plain)), (true, vec![]));
    }

    #[test]
    fn more_records_than_a_rule_may_ask_for_are_not_read_whole() {
        let (conn, catalog) = database();
        let (needs, who) = (&catalog.relations.get("Task").unwrap().read_needs, person("ada"));
        let mut insert = conn.prepare("INSERT INTO memberships VALUES (?1, 1, 0, 0, 'ada', ?1)").unwrap();
        for number in 0..MOST_RELATED - 2 {
            insert.execute([format!("n{number}")]).unwrap();
        }
        assert_eq!(projects(&principal(&conn, &catalog, &who, needs).unwrap()).len(), MOST_RELATED);
        insert.execute(["one more"]).unwrap();
        let principal = principal(&conn, &catalog, &who, needs).unwrap();
        assert_eq!(principal.related("Membership"), &RelatedRecords::TooMany);
        let refused = read_scope(&conn, &catalog, Generation(1), &Who::Person(who)).unwrap_err();
        assert!(matches!(refused, StoreError::Rule(_)), "{refused:?}");
    }

    #[test]
    fn what_belongs_to_a_person_is_found_by_an_index() {
        let (conn, catalog) = database();
        let select = catalog.table("Membership").unwrap().select_of_person.as_ref().unwrap();
        let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {select}")).unwrap();
        let steps = plan.query_map(params!["ada", 10], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert_eq!(steps, ["SEARCH memberships USING INDEX memberships:user (user=?)"]);
    }

    #[test]
    fn a_read_scope_is_bound_refused_or_taken_as_it_is() {
        let (conn, catalog) = database();
        let of = |who: &Who| read_scope(&conn, &catalog, Generation(1), who);
        assert!(of(&Who::System).unwrap().predicate().is_true());
        let ada = of(&Who::Person(person("ada"))).unwrap();
        assert_eq!(ada.rule.text(&ada.entity), r#"project in ["p1", "p2"]"#);
        assert_eq!(of(&Who::ReadScope(ada.clone())).unwrap(), ada);
        for closed in [person("bo"), Arc::default()] {
            assert_eq!(of(&Who::Person(closed)), Err(StoreError::Closed("Task".into())));
        }
        let later = read_scope(&conn, &catalog, Generation(2), &Who::ReadScope(ada));
        assert_eq!(later, Err(StoreError::StaleGeneration));
    }
}
