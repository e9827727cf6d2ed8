//! Who may use a name of presence or of a room: the rule of the first pattern that fits, for one person (SEMANTICS Y5).
//!
//! Knows neither presence nor rooms: the caller says which table, and which words stand for each other.

use super::evaluate::{Subject, evaluate};
use super::person::Principal;
use crate::ids::{RecordId, Timestamp};
use crate::schema::{NameTable, Record};

/// Whether the person may do one of these with the name. The first of the words that the pattern has a rule for decides; without
/// one it is not allowed. `open`: what a name that no pattern fits is.
pub fn may_use_name(
    table: &NameTable,
    open: bool,
    name: &[&str],
    words: &[&str],
    principal: &Principal,
) -> bool {
    if principal.is_disabled() {
        return false;
    }
    let Some(found) = table.find(name) else { return open };
    let Some(rule) = words.iter().find_map(|word| found.rule.rule(word)) else { return false };
    // The checker has made sure that the rule asks for nothing but the captures.
    let (id, at) = (RecordId::from_uuid(uuid::Uuid::nil()), Timestamp(0));
    let record = Record { id, version: 0, created_at: at, updated_at: at, values: found.values };
    evaluate(rule, Subject { principal, record: &record, proposal: None }).grants()
}
