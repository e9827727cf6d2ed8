//! The answer to mutations as JSON, the same over every transport.
//!
//! Knows no header and no frame. How an error is written, each transport says.

use super::Written;
use super::error::RepositoryError;
use crate::ids::{Epoch, Position, RecordId, Seq};
use crate::schema::value::write_json_of;
use crate::store::{OpStatus, Outcome, Stored};

/// Whether the caller is known: to a repetition by an anonymous one no record is shown, because another caller may have guessed
/// the mutation id (SEMANTICS M1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFor {
    User,
    Anonymous,
}

impl AnswerFor {
    fn may_see(self, replayed: bool) -> bool {
        !replayed || self == AnswerFor::User
    }
}

/// How each result is told in numbers, which are those of HTTP.
pub fn number_of(status: OpStatus) -> u16 {
    match status {
        OpStatus::Created => 201,
        OpStatus::Updated | OpStatus::Unchanged | OpStatus::Many(_) | OpStatus::Lease(_) => 200,
        OpStatus::Deleted => 204,
    }
}

/// `{"epoch","seq","status","id","record"?,"replayed"?}`
pub fn json_of_one(written: &Written, to: AnswerFor) -> Vec<u8> {
    let mut json = position(&written.epoch, written.seq);
    json.extend_from_slice(b",\"status\":");
    write_status_and_id(written.status, &written.id, &mut json);
    write_end(written, to, &mut json);
    json
}

/// `{"epoch","seq","results":[{"status","id","record"?},…],"replayed"}`
pub fn json_of_all(outcome: &Outcome, to: AnswerFor) -> Vec<u8> {
    let mut json = results(&outcome.epoch, outcome.seq);
    for (place, result) in outcome.results.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        json.extend_from_slice(b"{\"status\":");
        write_status_and_id(result.status, &result.id, &mut json);
        write_record(result.record.as_ref().filter(|_| to.may_see(outcome.replayed)), &mut json);
        json.push(b'}');
    }
    json.extend_from_slice(b"],\"replayed\":");
    write_json_of(&outcome.replayed, &mut json);
    json.push(b'}');
    json
}

/// `{"epoch","seq","results":[{"status","id","seq","record"?,"replayed"?} or an error,…]}`
pub fn json_of_each(
    written: Vec<Result<Written, RepositoryError>>,
    end: &Position,
    to: AnswerFor,
    mut write_error: impl FnMut(RepositoryError, usize, &mut Vec<u8>),
) -> Vec<u8> {
    let mut json = results(&end.epoch, end.seq);
    for (place, result) in written.into_iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        match result {
            Ok(written) => {
                json.extend_from_slice(b"{\"status\":");
                write_status_and_id(written.status, &written.id, &mut json);
                json.extend_from_slice(b",\"seq\":");
                write_json_of(&written.seq, &mut json);
                write_end(&written, to, &mut json);
            }
            Err(error) => write_error(error, place, &mut json),
        }
    }
    json.extend_from_slice(b"]}");
    json
}

fn position(epoch: &Epoch, seq: Seq) -> Vec<u8> {
    let mut json = b"{\"epoch\":".to_vec();
    write_json_of(epoch, &mut json);
    json.extend_from_slice(b",\"seq\":");
    write_json_of(&seq, &mut json);
    json
}

fn results(epoch: &Epoch, seq: Seq) -> Vec<u8> {
    let mut json = position(epoch, seq);
    json.extend_from_slice(b",\"results\":[");
    json
}

fn write_status_and_id(status: OpStatus, id: &RecordId, json: &mut Vec<u8>) {
    write_json_of(&number_of(status), json);
    json.extend_from_slice(b",\"id\":");
    write_json_of(id, json);
}

fn write_end(written: &Written, to: AnswerFor, json: &mut Vec<u8>) {
    write_record(written.record.as_ref().filter(|_| to.may_see(written.replayed)), json);
    if written.replayed {
        json.extend_from_slice(b",\"replayed\":true");
    }
    json.push(b'}');
}

fn write_record(record: Option<&Stored>, json: &mut Vec<u8>) {
    if let Some(record) = record {
        json.extend_from_slice(b",\"record\":");
        json.extend_from_slice(&record.json);
    }
}
