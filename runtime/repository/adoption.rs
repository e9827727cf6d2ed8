//! One user takes the place of another: everything that refers to the first refers to the second from then on. For ids that `?as=`
//! made, which become users of the server (SEMANTICS Y1).
//!
//! No rule is asked, because the owner of the data folder does this. The log keeps who wrote what: those entries stay as they are.

use std::sync::Arc;

use serde_json::Value as Json;

use super::Repository;
use super::body::Body;
use super::error::{self, RepositoryError};
use super::intake::Intake;
use crate::ids::RecordId;
use crate::rules::{Asker, Condition, Test};
use crate::schema::{Column, Entity, FieldIndex, Value};
use crate::store::{ListCursor, Op, Query, Unit};

/// The name of the built-in entity of people.
const USER: &str = "User";
/// Records of one page.
const AT_ONCE: usize = 1_000;

impl Repository {
    /// Ids of all `User` records, in their order.
    pub async fn ids_of_people(&self) -> Result<Vec<RecordId>, RepositoryError> {
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let query = Query { after, ..Query::all(USER, self.current().generation, AT_ONCE) };
            let page = self.store.list(&query).await.map_err(error::of_read)?.value;
            ids.extend(page.rows.into_iter().map(|row| row.id));
            match ids.last() {
                Some(last) if page.more => after = Some(ListCursor { values: Vec::new(), id: last.clone() }),
                Some(_) | None => return Ok(ids),
            }
        }
    }

    /// Makes the `User` record `to` with the fields of `from`, has every reference lead to it, and deletes `from`, all in one unit.
    /// Answers how many records refer to it. Where there is no `from`, nothing happens.
    pub async fn move_person(&self, from: &str, to: &str) -> Result<usize, RepositoryError> {
        let current = self.current();
        let Some(user) = current.schema.entity(USER).cloned() else { return Ok(0) };
        let (old, new) = (RecordId::stored(from), RecordId::stored(to));
        let found = self.store.get(USER, &old).await.map_err(error::of_read)?;
        let Some(stored) = found.value else { return Ok(0) };
        let members: serde_json::Map<String, Json> = serde_json::from_slice(&stored.json)
            .map_err(|fault| RepositoryError::Read(format!("the User record of {from}: {fault}")))?;
        let kept = members.iter().filter(|(name, value)| is_written(&user, name) && !value.is_null());
        let kept = kept.map(|(name, value)| (name.as_str(), value.clone()));
        let body = Body::from_pairs(kept.chain([("id", Json::from(to))]));
        let intake = Intake::new(current.schema.clone(), user, self.env.now(), self.env.clone());
        // What must be unique is judged when the unit ends, and then only one of the two is there.
        let mut ops = vec![intake.create(&body)?];
        let entities: Vec<Arc<Entity>> = current.schema.entities().cloned().collect();
        for entity in entities {
            for at in entity.refs_to_user().collect::<Vec<_>>() {
                // What follows another reference changes with it.
                if entity.at(at).lookup.is_none() {
                    ops.extend(self.repointed(&entity, at, &old, &new).await?);
                }
            }
        }
        let referring = ops.len() - 1;
        ops.push(Op::Delete { entity: USER.into(), id: old, if_version: None });
        let (generation, at) = (current.generation, self.env.now());
        let unit = Unit {
            ops,
            leases: Vec::new(),
            actor: None,
            asker: Asker::System,
            idempotency: None,
            generation,
            at,
            witness: None,
        };
        match self.store.commit(unit).await {
            Ok(_) => Ok(referring),
            Err(refusal) => Err(intake.explain(refusal)),
        }
    }

    /// For every record whose field is the one user, the op that makes it the other.
    async fn repointed(
        &self,
        entity: &Entity,
        at: FieldIndex,
        from: &RecordId,
        to: &RecordId,
    ) -> Result<Vec<Op>, RepositoryError> {
        let (mut ops, mut after): (Vec<Op>, Option<ListCursor>) = (Vec::new(), None);
        loop {
            let of_old = Condition::new(Column::Field(at), Test::Eq(Value::Text(from.as_str().to_owned())));
            let all = Query::all(entity.name.clone(), self.current().generation, AT_ONCE);
            let query = Query { filter: vec![of_old], after, ..all };
            let page = self.store.list(&query).await.map_err(error::of_read)?.value;
            let last = page.rows.last().map(|row| row.id.clone());
            ops.extend(page.rows.into_iter().map(|row| Op::Update {
                entity: entity.name.clone(),
                id: row.id,
                set: vec![(at, Value::Text(to.as_str().to_owned()))],
                omitted: Vec::new(),
                if_version: None,
            }));
            match last {
                Some(id) if page.more => after = Some(ListCursor { values: Vec::new(), id }),
                Some(_) | None => return Ok(ops),
            }
        }
    }
}

/// Whether a member of a record is written by its author, and not kept by the server.
fn is_written(user: &Entity, name: &str) -> bool {
    user.field(name).is_some_and(|(_, field)| field.lookup.is_none() && field.sequence.is_none())
}
