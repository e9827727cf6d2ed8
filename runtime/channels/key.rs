//! `KeyBytes`: values as bytes that are equal exactly when the values are. What is equal here is
//! what `rules::predicate` finds equal.

use serde_json::Value as Json;
use smallvec::SmallVec;

use crate::schema::{Column, Record, Value};

/// The number of a combination of columns, and a value for each of them. A UUID has room in place.
pub(super) type KeyBytes = SmallVec<[u8; 48]>;

/// Equal to nothing, and so never to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unequal;

pub(super) fn push_value(key: &mut KeyBytes, value: &Value) -> Result<(), Unequal> {
    match value {
        Value::Null => key.push(b'n'),
        Value::Bool(flag) => push_bool(key, *flag),
        Value::Text(text) => push_text(key, text),
        // Ints lie within what a double holds exactly, and an int equals the float of its size.
        Value::Int(number) => push_number(key, *number as f64),
        Value::Float(number) => push_number(key, *number),
        Value::Json(_) => return Err(Unequal),
    }
    Ok(())
}

pub(super) fn push_column(key: &mut KeyBytes, record: &Record, column: Column) -> Result<(), Unequal> {
    match column {
        Column::Id => push_text(key, record.id.as_str()),
        Column::Field(at) => return push_value(key, record.values.get(at.0).unwrap_or(&Value::Null)),
        Column::Version => push_number(key, record.version as f64),
        Column::CreatedAt => push_number(key, record.created_at.0 as f64),
        Column::UpdatedAt => push_number(key, record.updated_at.0 as f64),
    }
    Ok(())
}

/// Nothing is asked for null, and lists and objects equal nothing.
pub(super) fn push_element(key: &mut KeyBytes, element: &Json) -> Result<(), Unequal> {
    match element {
        Json::String(text) => push_text(key, text),
        Json::Bool(flag) => push_bool(key, *flag),
        Json::Number(number) => push_number(key, number.as_f64().ok_or(Unequal)?),
        Json::Null | Json::Array(_) | Json::Object(_) => return Err(Unequal),
    }
    Ok(())
}

/// With its length, so that no text runs into the next value.
pub(super) fn push_text(key: &mut KeyBytes, text: &str) {
    key.push(b's');
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

fn push_bool(key: &mut KeyBytes, flag: bool) {
    key.push(if flag { b't' } else { b'f' });
}

/// Zero is one number, whatever its sign.
fn push_number(key: &mut KeyBytes, number: f64) {
    let number = if number == 0.0 { 0.0 } else { number };
    key.push(b'd');
    key.extend_from_slice(&number.to_bits().to_le_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::{KeyBytes, push_column, push_element, push_value};
    use crate::ids::{RecordId, Timestamp};
    use crate::rules::{Condition, Predicate, Test};
    use crate::schema::{Column, FieldIndex, Record, Value};

    fn values() -> Vec<Value> {
        let texts = [
            "",
            "a",
            "ab",
            "b",
            "1",
            "true",
            "é",
            "e\u{301}",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
        ];
        let ints = [0, 1, -1, 255, 256, 9_007_199_254_740_991];
        let floats = [0.0, -0.0, 1.0, 1.5, -1.0, 9_007_199_254_740_991.0];
        texts
            .map(|text| Value::Text(text.to_owned()))
            .into_iter()
            .chain(ints.map(Value::Int))
            .chain(floats.map(Value::Float))
            .chain([Value::Bool(true), Value::Bool(false)])
            .collect()
    }

    fn record(value: Value) -> Record {
        let id = RecordId::parse_text("one").expect("a short word is an id");
        Record { id, version: 1, created_at: Timestamp(0), updated_at: Timestamp(0), values: vec![value] }
    }

    fn key(values: &[&Value]) -> KeyBytes {
        let mut key = KeyBytes::new();
        for value in values {
            push_value(&mut key, value).expect("equal to something");
        }
        key
    }

    #[test]
    fn keys_are_equal_where_the_predicate_finds_the_values_equal() {
        let column = Column::Field(FieldIndex(0));
        for one in values() {
            let is_it = Predicate::Test(Condition::new(column, Test::Eq(one.clone())));
            for other in values() {
                let record = record(other.clone());
                let mut held = KeyBytes::new();
                push_column(&mut held, &record, column).expect("equal to something");
                assert_eq!(key(&[&one]) == held, is_it.matches(&record), "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn no_value_runs_into_the_next() {
        let values = values();
        let pairs: Vec<[&Value; 2]> =
            values.iter().flat_map(|one| values.iter().map(move |other| [one, other])).collect();
        for one in &pairs {
            for other in &pairs {
                let same = (0..2).all(|at| key(&[one[at]]) == key(&[other[at]]));
                assert_eq!(key(one) == key(other), same, "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn elements_have_the_keys_of_values_and_lists_and_objects_have_none() {
        for (element, value) in [
            (json!("a"), Value::Text("a".to_owned())),
            (json!(1), Value::Int(1)),
            (json!(1.0), Value::Int(1)),
            (json!(-0.0), Value::Int(0)),
            (json!(true), Value::Bool(true)),
        ] {
            let mut held = KeyBytes::new();
            push_element(&mut held, &element).expect("equal to something");
            assert_eq!(held, key(&[&value]), "{element}");
        }
        for element in [Json::Null, json!([1]), json!({"a": 1})] {
            assert!(push_element(&mut KeyBytes::new(), &element).is_err(), "{element}");
        }
        assert!(push_value(&mut KeyBytes::new(), &Value::Json("1".into())).is_err());
    }
}
