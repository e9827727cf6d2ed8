//! A subscriber to tasks of the club, and what a change of rights is for them. Knows no story.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::ids::Seq;
use tidewire::rules::{Condition, ReadScope, Verdict};
use tidewire::schema::Schema;
use tidewire::store::{Differ, Difference, LogLimit, Scope, Steps};

use super::at_once::Now;
use super::club::person;
use super::studio::{ALL, Studio};

pub(crate) const HIDDEN: Option<bool> = Some(false);
pub(crate) const WHOLE: Option<bool> = Some(true);

/// A subscriber to tasks as they stand after what was committed last.
pub(crate) struct Subscriber {
    pub(crate) name: &'static str,
    pub(crate) old: Arc<ReadScope>,
    pub(crate) filter: Vec<Condition>,
    pub(crate) since: Seq,
    pub(crate) scope: Scope,
}

impl Subscriber {
    pub(crate) fn of(
        studio: &Studio,
        schema: &Schema,
        name: &'static str,
        filter: Vec<Condition>,
    ) -> Subscriber {
        let principal = studio.store.principal(&person(name)).now().unwrap();
        let read_scope =
            ReadScope::bind(schema.entity("Task").unwrap(), studio.generation, &principal.value).unwrap();
        let (old, scope) = (Arc::new(read_scope.through(filter.clone())), Scope::Entity("Task".into()));
        Subscriber { name, old, filter, since: principal.seq, scope }
    }

    pub(crate) fn differ(&self, limit: LogLimit) -> Differ {
        Differ {
            person: person(self.name),
            scope: self.scope.clone(),
            old: self.old.clone(),
            filter: self.filter.clone(),
            since: self.since,
            limit,
        }
    }

    pub(crate) fn asked(&self, studio: &Studio) -> Difference {
        studio.store.differ(&self.differ(ALL)).now().unwrap().value
    }

    /// The steps in short: number, verdict, and whether the record comes with it and holds the secret.
    pub(crate) fn steps(&self, studio: &Studio) -> Vec<(u128, Verdict, Option<bool>)> {
        let Steps::Few(steps) = self.asked(studio).steps else { panic!("no steps") };
        let short = |step: &tidewire::store::Step| {
            let json =
                |stored: &tidewire::store::Stored| serde_json::from_slice::<Json>(&stored.json).unwrap();
            let record = step.record.as_ref().map(json);
            assert!(record.as_ref().is_none_or(|record| record["id"] == json!(step.id.as_str())));
            let number = u128::from_str_radix(&step.id.as_str().replace('-', ""), 16).unwrap();
            (number, step.verdict, record.map(|record| record.get("secret").is_some()))
        };
        steps.iter().map(short).collect()
    }
}
