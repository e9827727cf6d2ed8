//! The lookups of a new record, which no other record follows yet. Does not know those that follow a write.

use super::context::UnitContext;
use super::fault::Fault;
use crate::ids::RecordId;
use crate::schema::Value;
use crate::store::relations::Relation;
use crate::store::source::Source;

/// Fills them in. References were checked; one that leads to the record itself finds it here.
pub(super) async fn fill<S: Source>(
    source: &S,
    context: UnitContext<'_>,
    relation: &Relation,
    id: &RecordId,
    values: &mut [Value],
) -> Result<(), Fault<S::Error>> {
    for copied in &relation.lookups {
        let own = |target: &str| copied.target == relation.entity.name && target == id.as_str();
        values[copied.field.0] = match &values[copied.via.0] {
            Value::Text(target) if own(target) => values[copied.source.0].clone(),
            Value::Text(target) => {
                let of = context.relation(&copied.target)?;
                let found = source.values(of, &[copied.source], &[target]).await?;
                found.into_iter().flatten().flatten().next().unwrap_or(Value::Null)
            }
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => Value::Null,
        };
    }
    Ok(())
}
