//! `MutateRequest`: what the payload of a `mutate` frame asks for, its shape checked: one operation, or a batch of them.
//!
//! Knows no frame and no entity: `validate` checks whether names and values fit the schema.

use serde_json::Value as Json;

use super::batch::{Batch, BatchError, BatchOp, OP_KEYS, no_number, only, read_op};
use super::body::{Body, BodyError};
use super::mutation::Mutation;
use super::numbers::{Inexact, JsonStep};
use crate::ids::MutationId;

/// See the module's text.
#[derive(Debug, Clone, PartialEq)]
pub enum MutateRequest {
    One(Box<Mutation>, Option<MutationId>),
    Batch(Batch, Option<MutationId>),
}

const BATCH_KEYS: [&str; 3] = ["atomic", "ops", "mid"];
const PLACE: &str = "payload";

impl MutateRequest {
    /// Reads the JSON of one object, as strictly as the body of a request.
    pub fn parse(payload: &str) -> Result<MutateRequest, BatchError> {
        let body = Body::parse(payload.as_bytes()).map_err(|error| match error {
            BodyError::Syntax(error) => BatchError(format!("`payload` is not valid JSON: {error}")),
            BodyError::Empty => BatchError("`payload` is empty; expected one JSON object".to_owned()),
            BodyError::NotAnObject(kind) => {
                BatchError(format!("`payload` is {kind}; expected one JSON object"))
            }
        })?;
        MutateRequest::read(body)
    }

    pub fn read(body: Body) -> Result<MutateRequest, BatchError> {
        if body.members.contains_key("ops") || body.members.contains_key("atomic") {
            return MutateRequest::read_batch(body);
        }
        let Body { members, inexact } = body;
        let place = format!("{PLACE}.");
        only(&members, &OP_KEYS, "a `mutate`", &place)?;
        let within_data = |number: Inexact| match number.path.as_slice() {
            [JsonStep::Key(part), _, ..] if part == "data" => {
                let path = number.path[1..].to_vec();
                Ok(Inexact { path, ..number })
            }
            path => Err(no_number(path, &number.text)),
        };
        let inexact = inexact.into_iter().map(within_data).collect::<Result<_, _>>()?;
        let BatchOp { mutation, mid } = read_op(PLACE.to_owned(), Json::Object(members), inexact)?;
        Ok(MutateRequest::One(Box::new(mutation), mid))
    }

    fn read_batch(mut body: Body) -> Result<MutateRequest, BatchError> {
        only(&body.members, &BATCH_KEYS, "a batch", &format!("{PLACE}."))?;
        let mid = match body.members.remove("mid") {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => {
                let mid = text.parse().map_err(|error| BatchError(format!("`{PLACE}.mid`: {error}")))?;
                Some(mid)
            }
            Some(Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_)) => {
                return Err(BatchError(format!("`{PLACE}.mid` must be a text")));
            }
        };
        let batch = Batch::read_ops(body, "send it beside `ops`")?;
        if mid.is_some() && matches!(batch, Batch::Each(_)) {
            let text = format!(
                "`{PLACE}.mid` names one mutation, but this batch is not atomic: give each operation its `mid`"
            );
            return Err(BatchError(text));
        }
        Ok(MutateRequest::Batch(batch, mid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_is_no_mutation_is_refused_in_words() {
        let table = [
            ("{}", "`payload.op` is missing: it is one of create, update, replace, delete"),
            ("[]", "`payload` is an array; expected one JSON object"),
            (
                r#"{"op":"upd","entity":"T"}"#,
                "`payload.op` must be one of create, update, replace, delete, not `upd`",
            ),
            (r#"{"op":"delete","entity":"T"}"#, "`payload.id` is missing: it is the id of the record"),
            (r#"{"op":"create","entity":"T"}"#, "`payload.data` is missing: it is the object of fields"),
            (r#"{"op":"create","entity":7,"data":{}}"#, "`payload.entity` must be a text, not 7"),
            (
                r#"{"op":"create","entity":"T","data":{},"version":1}"#,
                "`payload.version` is not possible in a create; leave it out",
            ),
            (
                r#"{"op":"update","entity":"T","id":"a","data":{},"version":0}"#,
                "`payload.version` must be a whole number of at least 1, not 0",
            ),
            (
                r#"{"op":"delete","entity":"T","id":"a","data":{}}"#,
                "`payload.data` is not possible in a delete; leave it out",
            ),
            (
                r#"{"op":"create","entity":"T","data":{},"atomic":true}"#,
                "`payload.data` is not a key of a batch: atomic, ops, mid",
            ),
            (
                r#"{"op":"create","entity":"T","data":{},"other":1}"#,
                "`payload.other` is not a key of a `mutate`: op, entity, id, data, version, lease, mid",
            ),
            (
                r#"{"op":"create","op":"delete"}"#,
                "`payload` is not valid JSON: the key `op` appears twice in one object",
            ),
            (
                r#"{"op":"create","entity":"T","data":{"id":"a"},"id":"b"}"#,
                "`payload.id` and `payload.data.id` differ; give the id once",
            ),
            (r#"{"ops":[]}"#, "`ops` has 0 operations; a batch has 1 to 500"),
            (r#"{"atomic":1,"ops":[]}"#, "`atomic` must be true or false, not 1"),
            (r#"{"mid":3,"ops":[]}"#, "`payload.mid` must be a text"),
            (
                r#"{"atomic":false,"mid":"m","ops":[{"op":"delete","entity":"T","id":"a"}]}"#,
                "`payload.mid` names one mutation, but this batch is not atomic: give each operation its `mid`",
            ),
            (
                r#"{"ops":[{"op":"delete","entity":"T","id":"a","mid":"m"}]}"#,
                "`ops[0].mid` is given, but an atomic batch has one mutation id: send it beside `ops`",
            ),
        ];
        for (payload, text) in table {
            let error = MutateRequest::parse(payload).unwrap_err().to_string();
            assert!(error.starts_with(text), "{payload}\n{error}");
        }
    }
}
