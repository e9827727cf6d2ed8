//! The model's numbers: a counter for each field and each value that it counts by.

use tidewire::schema::{Entity, FieldIndex, Record, Sequence, Value};
use tidewire::store::CommitError;

use super::State;

const LAST: i64 = 9_007_199_254_740_991;

impl State {
    /// Numbers the values of a record that had the `old` ones before. `named`: what the operation says itself.
    pub(super) fn number(
        &mut self,
        op: usize,
        entity: &Entity,
        old: Option<&Record>,
        named: &[FieldIndex],
        values: &mut [Value],
    ) -> Result<(), CommitError> {
        for (at, field) in entity.fields.iter().enumerate() {
            let Some(sequence) = field.sequence else { continue };
            let of = |values: &[Value]| match sequence {
                Sequence::Whole => Some(None),
                Sequence::Within(FieldIndex(by)) => {
                    let Value::Text(text) = &values[by] else { return None };
                    Some(Some(text.clone()))
                }
            };
            let Some(group) = of(values) else {
                values[at] = Value::Null;
                continue;
            };
            let stays = old.is_some_and(|old| of(&old.values).as_ref() == Some(&group));
            let counter = self.numbers.entry((entity.name.clone(), at, group)).or_insert(0);
            match (&values[at], old) {
                (Value::Int(own), None) => *counter = (*counter).max(*own),
                (Value::Int(own), Some(_)) if named.contains(&FieldIndex(at)) => {
                    *counter = (*counter).max(*own);
                }
                (_, Some(old)) if stays && !old.values[at].is_null() => {
                    values[at] = old.values[at].clone();
                }
                _ if *counter == LAST => {
                    return Err(CommitError::NoNumber { op, field: field.name.clone() });
                }
                _ => {
                    *counter += 1;
                    values[at] = Value::Int(*counter);
                }
            }
        }
        Ok(())
    }
}

/// The fields that lose their number with the value of a field.
pub(super) fn counting_by(entity: &Entity, by: usize) -> Vec<usize> {
    let counts = |at: &usize| entity.fields[*at].sequence == Some(Sequence::Within(FieldIndex(by)));
    (0..entity.fields.len()).filter(counts).collect()
}
