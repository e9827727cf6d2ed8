//! Cursors: where a list continues. Opaque to clients, tied to the entity and the order that they were made for.
//!
//! A cursor is a place, not a right, so its seal is a checksum against mistakes and not a secret; it stays valid over
//! restarts and schema changes that leave the sorted fields alone.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use crate::ids::RecordId;
use crate::schema::Value;
use crate::store::ListCursor;

/// Longer texts are no cursors of ours: sorted texts are cut by the body limit only, so this is generous.
const MAX_LENGTH: usize = 8 << 10;
const SEAL: usize = 8;

/// `base64url(seal || ["<id>", <sort value>, …])`. `order` names entity and sort.
pub(super) fn encode(order: &str, id: &RecordId, values: &[Value]) -> String {
    let mut items = vec![Json::from(id.as_str())];
    items.extend(values.iter().map(to_json));
    let payload = Json::Array(items).to_string();
    let mut bytes = seal(order, payload.as_bytes()).to_vec();
    bytes.extend_from_slice(payload.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// `None` when the text is not a cursor of this order.
pub(super) fn decode(order: &str, text: &str, sort_columns: usize) -> Option<ListCursor> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sealed, payload) = bytes.split_at_checked(SEAL)?;
    if seal(order, payload) != sealed {
        return None;
    }
    let mut items = serde_json::from_slice::<Vec<Json>>(payload).ok()?.into_iter();
    let id = RecordId::stored(items.next()?.as_str()?);
    let values: Vec<Value> = items.map(of_json).collect::<Option<_>>()?;
    (values.len() == sort_columns).then_some(ListCursor { values, id })
}

fn seal(order: &str, payload: &[u8]) -> [u8; SEAL] {
    let digest = Sha256::new().chain_update(order).chain_update([0]).chain_update(payload).finalize();
    std::array::from_fn(|at| digest[at])
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::from(*value),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Text(text) | Value::Json(text) => Json::from(text.as_str()),
    }
}

fn of_json(json: Json) -> Option<Value> {
    match json {
        Json::Null => Some(Value::Null),
        Json::Bool(value) => Some(Value::Bool(value)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Some(Value::Int(whole)),
            None => number.as_f64().map(Value::Float),
        },
        Json::String(text) => Some(Value::Text(text)),
        Json::Array(_) | Json::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_and_only_for_its_order() {
        let id = RecordId::stored("0190a000-0000-7000-8000-00000000000a");
        let values = vec![
            Value::Null,
            Value::Int(-3),
            Value::Float(3.0),
            Value::Text("ä".to_owned()),
            Value::Bool(true),
        ];
        let cursor = encode("Task:-a,b", &id, &values);
        assert_eq!(decode("Task:-a,b", &cursor, 5), Some(ListCursor { values, id }));
        assert_eq!(decode("Task:a,b", &cursor, 5), None, "another order");
        assert_eq!(decode("Task:-a,b", &cursor, 4), None, "another number of columns");
    }

    #[test]
    fn no_flipped_bit_survives() {
        let cursor = encode("Task:", &RecordId::stored("a"), &[]);
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode("Task:", &URL_SAFE_NO_PAD.encode(forged), 0), None, "bit {bit}");
        }
    }
}
