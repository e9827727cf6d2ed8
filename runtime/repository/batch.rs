//! `Batch`: a list of operations as a client sent it, its shape checked. The same shape over every transport.
//!
//! Knows no entity: `validate` checks whether names and values fit the schema.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::body::{Body, kind_of};
use super::mutation::{Mutation, Verb};
use super::numbers::{Inexact, JsonStep, Path};
use super::suggest::suggestion;
use super::values::whole;
use crate::ids::{MutationId, shown};

/// Most operations of one batch.
pub const MAX_OPS: usize = 500;

const BATCH_KEYS: [&str; 2] = ["atomic", "ops"];
pub(super) const OP_KEYS: [&str; 7] = ["op", "entity", "id", "data", "version", "lease", "mid"];

/// What one request asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// All of them or none; the mutation id comes with the request.
    Atomic(Vec<Mutation>),
    /// Each for itself, with a mutation id of its own.
    Each(Vec<(Mutation, Option<MutationId>)>),
}

/// One operation as it was sent, with its own mutation id.
pub(super) struct BatchOp {
    pub(super) mutation: Mutation,
    pub(super) mid: Option<MutationId>,
}

/// Why a body is not a batch. The text names the place: `ops[3].op`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BatchError(pub(super) String);

impl Batch {
    pub fn read(body: Body) -> Result<Batch, BatchError> {
        only(&body.members, &BATCH_KEYS, "a batch", "")?;
        Batch::read_ops(body, "send it as Idempotency-Key")
    }

    /// `atomic` and `ops`. `how`: how the one mutation id of an atomic batch is sent.
    pub(super) fn read_ops(body: Body, how: &str) -> Result<Batch, BatchError> {
        let Body { mut members, inexact } = body;
        let mut data = of_data(inexact)?;
        let atomic = match members.remove("atomic") {
            None => true,
            Some(Json::Bool(atomic)) => atomic,
            Some(other) => return Err(wrong("atomic", "true or false", &other)),
        };
        let ops = match members.remove("ops") {
            Some(Json::Array(ops)) => ops,
            Some(other) => return Err(wrong("ops", "an array of operations", &other)),
            None => return Err(BatchError("`ops` is missing: it is the array of operations".to_owned())),
        };
        if ops.is_empty() || ops.len() > MAX_OPS {
            let count = ops.len();
            return Err(BatchError(format!("`ops` has {count} operations; a batch has 1 to {MAX_OPS}")));
        }
        let ops = ops.into_iter().enumerate().map(|(at, json)| {
            let inexact = data.remove(&at).unwrap_or_default();
            read_op(format!("ops[{at}]"), json, inexact)
        });
        if !atomic {
            let each = ops.map(|op| op.map(|BatchOp { mutation, mid }| (mutation, mid)));
            return each.collect::<Result<_, _>>().map(Batch::Each);
        }
        let without_mid = ops.enumerate().map(|(at, op)| match op? {
            BatchOp { mutation, mid: None } => Ok(mutation),
            BatchOp { mid: Some(_), .. } => Err(BatchError(format!(
                "`ops[{at}].mid` is given, but an atomic batch has one mutation id: {how}"
            ))),
        });
        without_mid.collect::<Result<_, _>>().map(Batch::Atomic)
    }
}

/// The numbers within the `data` of each operation, by its index. A number in another place decides what is done.
fn of_data(inexact: Vec<Inexact>) -> Result<BTreeMap<usize, Vec<Inexact>>, BatchError> {
    let mut data: BTreeMap<usize, Vec<Inexact>> = BTreeMap::new();
    for Inexact { mut path, text } in inexact {
        match path.as_slice() {
            [JsonStep::Key(ops), JsonStep::Index(at), JsonStep::Key(part), _, ..]
                if ops == "ops" && part == "data" =>
            {
                let of_op = data.entry(*at).or_default();
                of_op.push(Inexact { path: path.split_off(3), text });
            }
            _ => {
                return Err(no_number(&path, &text));
            }
        }
    }
    Ok(data)
}

/// A number that is not kept as it was sent, in a place where it decides what is done.
pub(super) fn no_number(path: &[JsonStep], text: &str) -> BatchError {
    BatchError(format!("`{}` cannot be the number `{}`", shown(&Path(path).to_string()), shown(text)))
}

/// One operation. `place`: where it is, for the texts of errors.
pub(super) fn read_op(place: String, json: Json, inexact: Vec<Inexact>) -> Result<BatchOp, BatchError> {
    let Json::Object(members) = json else { return Err(wrong(&place, "an object", &json)) };
    let mut op = OpMembers { place, members };
    only(&op.members, &OP_KEYS, "an operation", &format!("{}.", op.place))?;
    let verb = op.verb()?;
    let entity = op.text("entity")?.ok_or_else(|| op.missing("entity", "the name of an entity"))?;
    let id = op.text("id")?;
    let if_version = op.count("version")?;
    let if_lease = op.count("lease")?;
    let mid = op.mid()?;
    let data = op.data(inexact)?;
    let mutation = Mutation { verb, entity, id, data, if_version, if_lease };
    fits(&op, &mutation)?;
    Ok(BatchOp { mutation: with_id_in_data(&op, mutation)?, mid })
}

/// What each verb needs, and what means nothing to it.
fn fits(op: &OpMembers, mutation: &Mutation) -> Result<(), BatchError> {
    let verb = mutation.verb.word();
    let needs_id = mutation.verb != Verb::Create;
    let needs_data = mutation.verb != Verb::Delete;
    if needs_id && mutation.id.is_none() {
        return Err(op.missing("id", "the id of the record"));
    }
    if needs_data && mutation.data.is_none() {
        return Err(op.missing("data", "the object of fields"));
    }
    if !needs_data && mutation.data.is_some() {
        return Err(op.means_nothing("data", verb));
    }
    if !needs_id && mutation.if_version.is_some() {
        return Err(op.means_nothing("version", verb));
    }
    if !needs_id && mutation.if_lease.is_some() {
        return Err(op.means_nothing("lease", verb));
    }
    Ok(())
}

/// A create takes its id from `data`, as a POST does; one beside it is moved there.
fn with_id_in_data(op: &OpMembers, mut mutation: Mutation) -> Result<Mutation, BatchError> {
    if mutation.verb != Verb::Create {
        return Ok(mutation);
    }
    let Some(id) = mutation.id.take() else { return Ok(mutation) };
    let Body { mut members, inexact } = mutation.data.take().unwrap_or_default();
    let id = Json::String(id);
    if members.get("id").is_some_and(|other| *other != id) {
        let place = &op.place;
        return Err(BatchError(format!("`{place}.id` and `{place}.data.id` differ; give the id once")));
    }
    members.insert("id".to_owned(), id);
    Ok(Mutation { data: Some(Body::from_part(members, inexact)), ..mutation })
}

/// The members of one operation, and its place in the batch.
struct OpMembers {
    place: String,
    members: Map<String, Json>,
}

impl OpMembers {
    fn verb(&mut self) -> Result<Verb, BatchError> {
        let known = Verb::ALL.map(Verb::word);
        let word =
            self.text("op")?.ok_or_else(|| self.missing("op", &format!("one of {}", known.join(", "))))?;
        Verb::ALL.into_iter().find(|verb| verb.word() == word).ok_or_else(|| {
            let place = &self.place;
            let message = format!("`{place}.op` must be one of {}, not `{}`", known.join(", "), shown(&word));
            BatchError(with_suggestion(message, &word, &known))
        })
    }

    /// A text; null counts as missing.
    fn text(&mut self, key: &str) -> Result<Option<String>, BatchError> {
        match self.members.remove(key) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(&self.at(key), "a text", &other)),
        }
    }

    /// A version, or the number of a lease.
    fn count(&mut self, key: &str) -> Result<Option<u64>, BatchError> {
        match self.members.remove(key) {
            None | Some(Json::Null) => Ok(None),
            Some(other) => match other.as_number().and_then(whole).map(u64::try_from) {
                Some(Ok(count @ 1..)) => Ok(Some(count)),
                Some(Ok(0) | Err(_)) | None => {
                    Err(wrong(&self.at(key), "a whole number of at least 1", &other))
                }
            },
        }
    }

    fn mid(&mut self) -> Result<Option<MutationId>, BatchError> {
        let Some(text) = self.text("mid")? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| BatchError(format!("`{}`: {error}", self.at("mid"))))
    }

    fn data(&mut self, inexact: Vec<Inexact>) -> Result<Option<Body>, BatchError> {
        match self.members.remove("data") {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Object(members)) => Ok(Some(Body::from_part(members, inexact))),
            Some(other) => Err(wrong(&self.at("data"), "an object", &other)),
        }
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.place)
    }

    fn missing(&self, key: &str, what: &str) -> BatchError {
        BatchError(format!("`{}` is missing: it is {what}", self.at(key)))
    }

    fn means_nothing(&self, key: &str, verb: &str) -> BatchError {
        BatchError(format!("`{}` is not possible in a {verb}; leave it out", self.at(key)))
    }
}

pub(super) fn only(
    members: &Map<String, Json>,
    known: &[&str],
    of: &str,
    place: &str,
) -> Result<(), BatchError> {
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(stranger) => {
            let message = format!("`{place}{}` is not a key of {of}: {}", shown(stranger), known.join(", "));
            Err(BatchError(with_suggestion(message, stranger, known)))
        }
    }
}

fn wrong(place: &str, expected: &str, json: &Json) -> BatchError {
    let got = match json {
        Json::Number(number) => shown(&number.to_string()),
        Json::Null | Json::Bool(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
            kind_of(json).to_owned()
        }
    };
    BatchError(format!("`{place}` must be {expected}, not {got}"))
}

fn with_suggestion(mut message: String, name: &str, known: &[&str]) -> String {
    if let Some(meant) = suggestion(name, known.iter().copied()) {
        message.push_str(&format!("; did you mean `{meant}`?"));
    }
    message
}
