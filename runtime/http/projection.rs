//! What an answer shows of its records: `fields` and `expand`.
//!
//! Works on the records' own bytes; knows neither where they come from nor who asks.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::problem::{Problem, bad_query};
use crate::ids::shown;
use crate::protocol::{Code, Params};
use crate::repository::{Nameable, column, suggestion};
use crate::schema::value::write_json_of;
use crate::schema::{Entity, Schema};
use crate::store::{Expand, Listed, Related};

/// Paths of one `expand`, and references in one path.
const MOST_PATHS: usize = 10;
const MOST_LEVELS: usize = 3;

/// A record may be large and every row may refer to it, so that an answer could grow far beyond the database.
const ANSWER_BYTES: usize = 32 << 20;

/// Always shown.
const ALWAYS: [&str; 2] = ["id", "version"];

#[derive(Debug)]
pub(super) struct Projection {
    schema: Arc<Schema>,
    entity: Arc<Entity>,
    /// The members to show, in the order of the record; `None` shows all.
    fields: Option<Vec<Arc<str>>>,
    expand: Vec<Expand>,
}

impl Projection {
    pub(super) fn parse(
        schema: &Arc<Schema>,
        entity: &Arc<Entity>,
        names: &Nameable,
        params: &Params,
    ) -> Result<Projection, Problem> {
        let fields = params.one("fields")?.map(|text| fields(entity, names, text)).transpose()?;
        let expand = params.one("expand")?.map(|text| paths(schema, entity, names, text)).transpose()?;
        let (schema, entity, expand) = (schema.clone(), entity.clone(), expand.unwrap_or_default());
        Ok(Projection { schema, entity, fields, expand })
    }

    /// Whether records are shown as they are.
    pub(super) fn is_whole(&self) -> bool {
        self.fields.is_none() && self.expand.is_empty()
    }

    /// The references to follow.
    pub(super) fn expand(&self) -> &[Expand] {
        &self.expand
    }

    /// Appends the record. Refused when the answer grows too large by it.
    pub(super) fn write(&self, row: &Listed, out: &mut Vec<u8>) -> Result<(), Problem> {
        self.write_record(&row.stored.json, out);
        self.write_expanded(&self.entity, &self.expand, &row.expanded, out)
    }

    fn write_record(&self, record: &[u8], out: &mut Vec<u8>) {
        let members: HashMap<&str, &RawValue> = match &self.fields {
            None => return out.extend_from_slice(record),
            Some(_) => serde_json::from_slice(record).unwrap_or_default(),
        };
        out.push(b'{');
        for name in self.fields.iter().flatten() {
            if let Some(value) = members.get(&**name) {
                if out.last() != Some(&b'{') {
                    out.push(b',');
                }
                write_json_of(&**name, out);
                out.push(b':');
                out.extend_from_slice(value.get().as_bytes());
            }
        }
        out.push(b'}');
    }

    /// Puts `"expanded":{…}` in as the last member of the record that was just written.
    fn write_expanded(
        &self,
        entity: &Entity,
        expand: &[Expand],
        expanded: &[Option<Arc<Related>>],
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        if expand.is_empty() {
            return Ok(());
        }
        out.pop();
        out.extend_from_slice(b",\"expanded\":{");
        for (place, (Expand { field, then }, related)) in expand.iter().zip(expanded).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            let field = entity.at(*field);
            write_json_of(&*field.name, out);
            out.push(b':');
            match (related, self.schema.target(field)) {
                (Some(related), Some(target)) => {
                    out.extend_from_slice(&related.stored.json);
                    self.write_expanded(target, then, &related.expanded, out)?;
                }
                _ => out.extend_from_slice(b"null"),
            }
        }
        out.extend_from_slice(b"}}");
        if out.len() > ANSWER_BYTES {
            let detail = format!(
                "the answer would be larger than {ANSWER_BYTES} bytes: lower `limit`, or expand less"
            );
            return Err(Problem::new(Code::QueryTooBroad, detail));
        }
        Ok(())
    }
}

/// `title,status`
fn fields(entity: &Entity, names: &Nameable, text: &str) -> Result<Vec<Arc<str>>, Problem> {
    let mut named: Vec<&str> = Vec::new();
    for name in text.split(',') {
        if text.is_empty() {
            return Err(bad_query("`fields` names no field".to_owned()));
        }
        column(entity, names, name).map_err(|error| bad_query(format!("`fields`: {error}")))?;
        if named.contains(&name) {
            return Err(bad_query(format!("`fields` names `{name}` twice")));
        }
        named.push(name);
    }
    let fields = entity.fields.iter().map(|field| &*field.name);
    let all = ALWAYS.into_iter().chain(fields).chain(["created_at", "updated_at"]);
    Ok(all.filter(|name| ALWAYS.contains(name) || named.contains(name)).map(Arc::from).collect())
}

/// `project,project.owner`: a path leads over the references before its last one, too.
fn paths(schema: &Schema, entity: &Entity, names: &Nameable, text: &str) -> Result<Vec<Expand>, Problem> {
    let mut expand = Vec::new();
    for (count, path) in text.split(',').enumerate() {
        if text.is_empty() {
            return Err(bad_query("`expand` names no reference".to_owned()));
        }
        if count == MOST_PATHS {
            return Err(bad_query(format!("`expand` names more than {MOST_PATHS} paths")));
        }
        let steps: Vec<&str> = path.split('.').collect();
        if steps.len() > MOST_LEVELS {
            let path = shown(path);
            return Err(bad_query(format!("`expand`: `{path}` follows more than {MOST_LEVELS} references")));
        }
        add_path(schema, entity, names, &steps, &mut expand)?;
    }
    Ok(expand)
}

fn add_path(
    schema: &Schema,
    entity: &Entity,
    names: &Nameable,
    steps: &[&str],
    expand: &mut Vec<Expand>,
) -> Result<(), Problem> {
    let Some((name, rest)) = steps.split_first() else { return Ok(()) };
    let found = names.field(entity, name);
    let Some((at, target)) = found.and_then(|(at, field)| Some((at, schema.target(field)?))) else {
        return Err(no_reference(entity, names, name));
    };
    let place = match expand.iter().position(|known| known.field == at) {
        Some(place) => place,
        None => {
            expand.push(Expand { field: at, then: Vec::new() });
            expand.len() - 1
        }
    };
    add_path(schema, target, names, rest, &mut expand[place].then)
}

fn no_reference(entity: &Entity, names: &Nameable, name: &str) -> Problem {
    let references: Vec<&str> =
        names.fields(entity).filter(|field| field.kind.word() == "ref").map(|field| &*field.name).collect();
    let mut detail = format!("`expand`: `{}` is not a ref field of {}", shown(name), entity.name);
    if let Some(meant) = suggestion(name, references.iter().copied()) {
        detail.push_str(&format!("; did you mean `{meant}`?"));
    } else if references.is_empty() {
        detail.push_str(", which has no ref field");
    } else {
        detail.push_str(&format!("; it has {}", references.join(", ")));
    }
    bad_query(detail)
}
