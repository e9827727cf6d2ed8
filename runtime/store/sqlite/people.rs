//! What rules ask of a person, read in the transaction of whoever asks, and the read scope that comes of it.
//!
//! Knows neither which rows are then read nor what a write is judged by.

use std::sync::Arc;

use rusqlite::Connection;

use super::source::{SqliteSource, ready};
use super::tables::{Catalog, Table};
use crate::rules::{Needs, Person, Principal, ReadScope, is_closed};
use crate::schema::Generation;
use crate::store::principal::{self, USER};
use crate::store::{StoreError, Who};

/// What rules with these needs may ask of the person. Of nobody there is nothing to read.
pub(super) fn principal(
    conn: &Connection,
    catalog: &Catalog,
    person: &Arc<Person>,
    needs: &Needs,
) -> rusqlite::Result<Principal> {
    ready(principal::principal(&SqliteSource::reading(conn, catalog), &catalog.relations, person, needs))
}

/// What is seen of the entity on whose behalf it is read, in this transaction.
pub(super) fn read_scope(
    conn: &Connection,
    catalog: &Catalog,
    generation: Generation,
    entity: &str,
    who: &Who,
) -> Result<Arc<ReadScope>, StoreError> {
    let table = catalog.table(entity).ok_or_else(|| StoreError::UnknownEntity(entity.to_owned()))?;
    Known::read(conn, catalog, who, &table.read_needs)?.read_scope(table, generation)
}

/// Whether there is a `User` record of whoever asks. Whoever owns the folder needs none.
pub(super) fn is_known(conn: &Connection, catalog: &Catalog, who: &Who) -> rusqlite::Result<bool> {
    let (Who::Person(person), Some(table)) = (who, catalog.table(USER)) else { return Ok(true) };
    match person.id.as_deref() {
        Some(id) => conn.prepare_cached(&table.exists)?.exists([id]),
        None => Ok(true),
    }
}

/// Who asks, and what one transaction knows of them: enough for the read scopes of several entities.
pub(super) enum Known {
    System,
    Person(Principal),
    ReadScope(Arc<ReadScope>),
}

impl Known {
    /// Enough for rules with these needs.
    pub(super) fn read(
        conn: &Connection,
        catalog: &Catalog,
        who: &Who,
        needs: &Needs,
    ) -> rusqlite::Result<Known> {
        Ok(match who {
            Who::System => Known::System,
            Who::Person(person) => Known::Person(principal(conn, catalog, person, needs)?),
            Who::ReadScope(read_scope) => Known::ReadScope(read_scope.clone()),
        })
    }

    pub(super) fn read_scope(
        &self,
        table: &Table,
        generation: Generation,
    ) -> Result<Arc<ReadScope>, StoreError> {
        match self {
            Known::System => Ok(Arc::new(ReadScope::everything(&table.entity, generation))),
            Known::Person(principal) if is_closed(&table.entity, principal) => {
                Err(StoreError::Closed(table.entity.name.clone()))
            }
            Known::Person(principal) => {
                let read_scope = ReadScope::bind(&table.entity, generation, principal);
                read_scope.map(Arc::new).map_err(StoreError::Rule)
            }
            Known::ReadScope(read_scope) if read_scope.generation != generation => {
                Err(StoreError::StaleGeneration)
            }
            Known::ReadScope(read_scope) if read_scope.entity.name != table.entity.name => {
                let (of, asked) = (&read_scope.entity.name, &table.entity.name);
                Err(StoreError::Storage(format!("{asked} was asked for with a read_scope of {of}")))
            }
            Known::ReadScope(read_scope) => Ok(read_scope.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::rules::{MOST_RELATED, Related};
    use crate::schema::{Column, Entity, Expr, Field, FieldIndex, FieldKind, OnDelete};
    use crate::schema::{RelatedSet, Rule, Schema, Term, Value};
    use crate::store::sqlite::tables::{create_table, indexes};

    fn text(name: &str) -> Field {
        Field::new(name, FieldKind::Text { min: None, max: None, pattern: None })
    }

    fn refers(name: &str, entity: &str) -> Field {
        Field::new(name, FieldKind::Ref { entity: entity.into(), on_delete: OnDelete::Cascade })
    }

    /// `User`, and `Task` that is read by whoever is a member of its project.
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
            Related::Records(records) => records.iter().map(|record| record.values[1].clone()).collect(),
            Related::TooMany => panic!("too many"),
        }
    }

    #[test]
    fn the_user_and_what_belongs_to_them_is_read_and_nothing_else() {
        let (conn, catalog) = database();
        let needs = &catalog.table("Task").unwrap().read_needs;
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
        let (needs, who) = (&catalog.table("Task").unwrap().read_needs, person("ada"));
        let mut insert = conn.prepare("INSERT INTO memberships VALUES (?1, 1, 0, 0, 'ada', ?1)").unwrap();
        for number in 0..MOST_RELATED - 2 {
            insert.execute([format!("n{number}")]).unwrap();
        }
        assert_eq!(projects(&principal(&conn, &catalog, &who, needs).unwrap()).len(), MOST_RELATED);
        insert.execute(["one more"]).unwrap();
        let principal = principal(&conn, &catalog, &who, needs).unwrap();
        assert_eq!(principal.related("Membership"), &Related::TooMany);
        let refused = read_scope(&conn, &catalog, Generation(1), "Task", &Who::Person(who)).unwrap_err();
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
    fn a_sight_is_bound_refused_or_taken_as_it_is() {
        let (conn, catalog) = database();
        let of = |who: &Who| read_scope(&conn, &catalog, Generation(1), "Task", who);
        assert!(of(&Who::System).unwrap().predicate().is_true());
        let ada = of(&Who::Person(person("ada"))).unwrap();
        assert_eq!(ada.rule.text(&ada.entity), r#"project in ["p1", "p2"]"#);
        assert_eq!(of(&Who::ReadScope(ada.clone())).unwrap(), ada);
        for closed in [person("bo"), Arc::default()] {
            assert_eq!(of(&Who::Person(closed)), Err(StoreError::Closed("Task".into())));
        }
        let later = read_scope(&conn, &catalog, Generation(2), "Task", &Who::ReadScope(ada));
        assert_eq!(later, Err(StoreError::StaleGeneration));
        let unknown = read_scope(&conn, &catalog, Generation(1), "Nothing", &Who::System);
        assert_eq!(unknown, Err(StoreError::UnknownEntity("Nothing".to_owned())));
    }
}
