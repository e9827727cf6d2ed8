//! The canonical form of a request: compact JSON with sorted keys, and the hash that identifies a retry (SEMANTICS M1).
//!
//! Does not know transports: the same mutation over HTTP and over a socket has the same hash.

use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::body::Body;
use super::mutation::Mutation;
use crate::schema::value::write_json_of;
use crate::store::Op;

/// SHA-256 over `[{"op","entity","id","data","version"}, …]`. The id is the canonical one of the validated op; null
/// where the server chose it, because a retry gets another one. The id is left out of `data`.
pub(super) fn request_hash(mutations: &[Mutation], ops: &[Op]) -> [u8; 32] {
    let mut text = Vec::with_capacity(256);
    for (mutation, op) in mutations.iter().zip(ops) {
        text.push(if text.is_empty() { b'[' } else { b',' });
        write_request(mutation, op, &mut text);
    }
    text.push(b']');
    Sha256::digest(&text).into()
}

/// The same of a change of many: `[{"data","entity","op","where"}]`. The records that it found are no part of it: a repetition
/// may find others.
pub(super) fn hash_of_many(entity: &str, question: &str, data: Option<&Body>) -> [u8; 32] {
    let mut text = b"[{\"data\":".to_vec();
    match data {
        Some(body) => write_object(body.members(), &|_| true, &mut text),
        None => text.extend_from_slice(b"null"),
    }
    text.extend_from_slice(b",\"entity\":");
    write_json_of(entity, &mut text);
    text.extend_from_slice(b",\"op\":");
    write_json_of(if data.is_some() { "update many" } else { "delete many" }, &mut text);
    text.extend_from_slice(b",\"where\":");
    write_json_of(question, &mut text);
    text.extend_from_slice(b"}]");
    Sha256::digest(&text).into()
}

fn write_request(mutation: &Mutation, op: &Op, out: &mut Vec<u8>) {
    let id = match op {
        Op::Create { fresh_id: true, .. } => None,
        Op::Create { id, .. } | Op::Update { id, .. } | Op::Delete { id, .. } => Some(id.as_str()),
        // Its hash is that of its question (`hash_of_many`).
        Op::Many(_) | Op::Lease(_) => None,
    };
    out.extend_from_slice(b"{\"data\":");
    match &mutation.data {
        Some(body) => write_object(body.members(), &|key| key != "id", out),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"entity\":");
    write_json_of(&mutation.entity, out);
    out.extend_from_slice(b",\"id\":");
    write_json_of(&id, out);
    out.extend_from_slice(b",\"op\":");
    write_json_of(mutation.verb.word(), out);
    out.extend_from_slice(b",\"version\":");
    write_json_of(&mutation.if_version, out);
    out.push(b'}');
}

/// Appends compact JSON with the keys of every object sorted.
pub(super) fn write_canonical(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Object(members) => write_object(members, &|_| true, out),
        Json::Array(items) => {
            out.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => write_json_of(json, out),
    }
}

/// Sorts by itself rather than rely on the map's order, which a feature flag of serde_json decides.
fn write_object(members: &Map<String, Json>, keep: &dyn Fn(&str) -> bool, out: &mut Vec<u8>) {
    let mut sorted: Vec<_> = members.iter().filter(|(key, _)| keep(key)).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    out.push(b'{');
    for (place, (key, value)) in sorted.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_json_of(key, out);
        out.push(b':');
        write_canonical(value, out);
    }
    out.push(b'}');
}
