//! The leak finder: random rules over random records and persons. The rule as it is evaluated, the rule bound to a person, the list
//! that SQLite answers and an oracle that shares nothing with them agree on every record, and so do filters and hidden fields.

mod world;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Map, Value as Json};
use tidewire::config::StoreConfig;
use tidewire::ids::RecordId;
use tidewire::rules::{Principal, ReadScope, Subject, bind, evaluate};
use tidewire::schema::{Column, Entity, Expr, FieldIndex, Operation, Record, Schema, Value};
use tidewire::store::{Hidden, Op, Query, StoreError, Who};

use self::world::{BODY, Rules, USERS, World, projects, rules, schema, worlds};
use crate::support::at_once::Now;
use crate::support::oracle::{Asker, Oracle};
use crate::support::properties::stories;
use crate::support::studio::{NOON, Studio, create, project};

/// Ids of records that are no users and no projects begin here.
const FIRST: u128 = 1_000;

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 400, ..stories(64) })]

    #[test]
    fn rule_predicate_and_list_agree_on_every_record_for_every_user(
        world in worlds(),
        rules in prop::collection::vec(rules(), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let schema = schema(&rules);
            let studio = Studio::sqlite_over(schema.clone(), &StoreConfig::default());
            let ops = ops(&world, rules.len());
            studio.commit(ops.iter().cloned()).await.unwrap();
            for person in world.persons() {
                let principal = studio.store.principal(&person).now().unwrap().value;
                let asker = asker(&schema, &ops, person.id.as_deref(), &principal);
                let who = Who::Person(person);
                for (number, rules) in rules.iter().enumerate() {
                    let entity = schema.entity(&format!("Thing{number}")).unwrap();
                    Trial { studio: &studio, entity, rules, who: &who, principal: &principal, asker: &asker }
                        .run(&ops);
                }
            }
        });
    }
}

/// One entity and one person.
struct Trial<'a> {
    studio: &'a Studio,
    entity: &'a Arc<Entity>,
    rules: &'a Rules,
    who: &'a Who,
    principal: &'a Principal,
    asker: &'a Asker,
}

impl Trial<'_> {
    fn run(&self, ops: &[Op]) {
        let records = records(self.entity, ops);
        let granted = self.those(&records, |record| self.oracle(record).grants(&self.rules.read));
        let evaluated = records.iter().filter(|record| {
            let subject = Subject { principal: self.principal, record, proposal: None };
            evaluate(self.entity.access.rule(Operation::Read), subject).grants()
        });
        assert_eq!(ids(evaluated), granted, "evaluated: {}", self.tell());
        let predicate = bind(&self.rules.read, self.entity, self.principal).unwrap();
        let matched = ids(records.iter().filter(|record| predicate.matches(record)));
        assert_eq!(matched, granted, "bound to {}: {}", predicate.text(self.entity), self.tell());
        assert_eq!(self.listed(&records, &[]), Ok(granted.clone()), "SQL: {}", self.tell());
        for record in &records {
            let found = self.studio.store.find(&self.entity.name, &record.id, self.who).now();
            let found = found.map(|at| at.value.is_some()).unwrap_or(false);
            assert_eq!(found, granted.contains(&record.id), "found: {}", self.tell());
        }
        self.filtered(&records);
    }

    /// A record that is there only by a value that is not shown would tell of it.
    fn filtered(&self, records: &[Record]) {
        let asks_body = self
            .rules
            .filter
            .iter()
            .any(|condition| condition.column == tidewire::store::Column::Field(BODY));
        let expected = self.those(records, |record| {
            let oracle = self.oracle(record);
            oracle.grants(&self.rules.read)
                && self.rules.filter.iter().all(|condition| oracle.meets(condition))
                && (!asks_body || oracle.grants(&self.rules.body))
        });
        match self.listed(records, &self.rules.filter) {
            Err(StoreError::HiddenColumn(_, Hidden::Always)) => {
                assert!(asks_body && expected.is_empty(), "refused: {}", self.tell());
            }
            listed => assert_eq!(listed, Ok(expected.clone()), "filtered: {}", self.tell()),
        }
        let bound = ReadScope::bind(self.entity, self.studio.generation, self.principal).unwrap();
        let through = bound.through(self.rules.filter.clone());
        let seen = ids(records.iter().filter(|record| through.sees(record)));
        assert_eq!(seen, expected, "through {}: {}", through.predicate().text(self.entity), self.tell());
    }

    /// The ids, after a look at what is shown of each record. An entity that is as if absent shows none.
    fn listed(
        &self,
        records: &[Record],
        filter: &[tidewire::store::Condition],
    ) -> Result<BTreeSet<RecordId>, StoreError> {
        let all = Query::all(self.entity.name.clone(), self.studio.generation, 1_000);
        let query = Query { who: self.who.clone(), filter: filter.to_vec(), ..all };
        let page = match self.studio.store.list(&query).now() {
            Err(StoreError::Closed(_)) => return Ok(BTreeSet::new()),
            page => page?.value,
        };
        for listed in &page.rows {
            let shown: Map<String, Json> = serde_json::from_slice(&listed.stored.json).unwrap();
            let whole = self.studio.json(&self.entity.name, &listed.id).unwrap();
            let mut expected: Map<String, Json> = serde_json::from_str(&whole).unwrap();
            let record = records.iter().find(|record| record.id == listed.id).unwrap();
            if !self.oracle(record).grants(&self.rules.body) {
                expected.remove("body");
            }
            assert_eq!(shown, expected, "shown: {}", self.tell());
        }
        Ok(page.rows.into_iter().map(|listed| listed.id).collect())
    }

    fn those(&self, records: &[Record], test: impl Fn(&Record) -> bool) -> BTreeSet<RecordId> {
        ids(records.iter().filter(|record| test(record)))
    }

    fn oracle<'a>(&'a self, record: &'a Record) -> Oracle<'a> {
        Oracle::of(self.asker, record)
    }

    fn tell(&self) -> String {
        let mut told = format!("{:#?}\nfor {:?}", self.rules, self.principal);
        write!(told, "\nread: {}", one_line(&self.rules.read)).unwrap();
        told
    }
}

fn one_line(rule: &Expr) -> String {
    format!("{rule:?}")
}

fn ids<'a>(records: impl Iterator<Item = &'a Record>) -> BTreeSet<RecordId> {
    records.map(|record| record.id.clone()).collect()
}

fn ops(world: &World, entities: usize) -> Vec<Op> {
    let users = USERS.into_iter().zip(&world.users).map(|(n, values)| create("User", n, values.clone()));
    let mut ops: Vec<Op> = users.chain(projects().map(project)).collect();
    let mut next = FIRST;
    let mut add = |entity: &str, rows: &[Vec<tidewire::schema::Value>]| {
        for values in rows {
            ops.push(create(entity, next, values.clone()));
            next += 1;
        }
    };
    add("Membership", &world.members);
    add("Team", &world.teams);
    (0..entities).for_each(|number| add(&format!("Thing{number}"), &world.things));
    ops
}

/// As the store has them after the commit.
fn records(entity: &Entity, ops: &[Op]) -> Vec<Record> {
    let of_entity = ops.iter().filter(|op| *op.entity() == entity.name);
    let record = |op: &Op| match op {
        Op::Create { id, values, .. } => {
            let (id, values) = (id.clone(), values.clone());
            Record { id, version: 1, created_at: NOON, updated_at: NOON, values }
        }
        Op::Update { .. } | Op::Delete { .. } | Op::Many(_) | Op::Lease(_) => panic!("only creates here"),
    };
    of_entity.map(record).collect()
}

/// From what was written, not from what the store found.
fn asker(schema: &Schema, ops: &[Op], person: Option<&str>, principal: &Principal) -> Asker {
    let rows = |name: &str| {
        let entity = schema.entity(name).unwrap();
        records(entity, ops).into_iter().map(|record| (entity.name.clone(), Arc::new(record)))
    };
    let is = |column: Column, record: &Record| {
        person.is_some_and(|id| record.value(column) == Value::Text(id.to_owned()))
    };
    let owner = Column::Field(FieldIndex(0));
    let related = rows("Membership").chain(rows("Team")).filter(|(_, record)| is(owner, record));
    Asker {
        id: person.map(str::to_owned),
        role: principal.person.role.as_deref().map(str::to_owned),
        claims: (*principal.person.claims).clone(),
        user: rows("User").map(|(_, record)| record).find(|record| is(Column::Id, record)),
        related: related.collect(),
        ..Asker::default()
    }
}
