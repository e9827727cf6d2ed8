//! Where records come from that a question is about: a file of cases, or a database.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::rules::{MOST_RELATED, Person, Principal, RelatedRecords};
use crate::schema::{Entity, EntityName, Field, FieldIndex, Record, Schema, Value};

/// The name of the built-in entity of people.
pub const USER: &str = "User";

/// Records by id. The error is for the person at the terminal.
pub trait World {
    fn record(&self, entity: &str, id: &str) -> Result<Option<Record>, String>;

    /// At most `most` of those whose field `of` refers to this user.
    fn belonging(
        &self,
        entity: &Entity,
        of: FieldIndex,
        user: &str,
        most: usize,
    ) -> Result<Vec<Record>, String>;
}

/// What rules may ask of the person, all entities that belong to people included.
pub fn principal(world: &dyn World, schema: &Schema, person: &Arc<Person>) -> Result<Principal, String> {
    let Some(id) = &person.id else { return Ok(Principal::unread(person.clone())) };
    let mut related: BTreeMap<EntityName, RelatedRecords> = BTreeMap::new();
    for entity in schema.entities() {
        let Some(identity) = entity.identity else { continue };
        let records = world.belonging(entity, identity, id, MOST_RELATED + 1)?;
        let records = if records.len() > MOST_RELATED {
            RelatedRecords::TooMany
        } else {
            RelatedRecords::Records(records)
        };
        related.insert(entity.name.clone(), records);
    }
    Ok(Principal::new(person.clone(), world.record(USER, id)?, related))
}

/// Gives every lookup among the values what its source holds (SEMANTICS R8).
pub fn copy_lookups(
    world: &dyn World,
    schema: &Schema,
    entity: &Entity,
    values: &mut [Value],
) -> Result<(), String> {
    // A lookup through a lookup may come before it: after as many rounds as there are lookups nothing changes any longer.
    let lookups = entity.fields.iter().filter(|field| field.lookup.is_some()).count();
    for _ in 0..lookups {
        for (at, field) in entity.fields.iter().enumerate() {
            if let Some(value) = looked_up(world, schema, entity, field, values)? {
                values[at] = value;
            }
        }
    }
    Ok(())
}

fn looked_up(
    world: &dyn World,
    schema: &Schema,
    entity: &Entity,
    field: &Field,
    values: &[Value],
) -> Result<Option<Value>, String> {
    let Some(lookup) = field.lookup else { return Ok(None) };
    let Some(target) = schema.target(entity.at(lookup.via)) else { return Ok(None) };
    let Value::Text(id) = &values[lookup.via.0] else { return Ok(Some(Value::Null)) };
    let source = world.record(&target.name, id)?;
    Ok(Some(source.map_or(Value::Null, |source| source.values[lookup.field.0].clone())))
}
