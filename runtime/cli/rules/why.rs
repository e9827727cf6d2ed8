//! `tidewire rules why`: one question about a record of a data folder, answered with every part of the rules that were asked.

use std::io::Write;
use std::process::ExitCode;

use super::told;
use crate::cli::USAGE;
use crate::cli::arguments::{RuleOperation, RulesWhyArguments};
use crate::cli::config::effective;
use crate::cli::loading::{self, NamedEntity, Refused};
use crate::config::Config;
use crate::env::Env;
use crate::ids::{RecordId, shown};
use crate::repository::{default_value, value_of_text};
use crate::rules::{Person, Principal, Proposal};
use crate::schema::message::quoted;
use crate::schema::{Entity, Field, FieldIndex, Generation, Operation, Record, Schema, Value};
use crate::store::{GlanceRecords, choice};
use crate::verdict::{Question, judge};
use crate::verdict::{World, copy_lookups, principal};

/// Exit code 0 for what is allowed, 1 for what is not, 2 for a question that cannot be answered.
pub(super) fn run(arguments: &RulesWhyArguments) -> ExitCode {
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match why(arguments, &settings.config) {
        Ok((text, true)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Ok((text, false)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::FAILURE
        }
        // A script must not take a mistake for a refusal.
        Err(refused) => {
            refused.tell();
            ExitCode::from(USAGE)
        }
    }
}

/// The records of a data folder.
struct Folder(Box<dyn GlanceRecords>);

impl World for Folder {
    fn record(&self, entity: &str, id: &str) -> Result<Option<Record>, String> {
        self.0.record(entity, id).map_err(|error| error.to_string())
    }

    fn belonging(
        &self,
        entity: &Entity,
        of: FieldIndex,
        user: &str,
        most: usize,
    ) -> Result<Vec<Record>, String> {
        self.0.records_by(&entity.name, of, user, most).map_err(|error| error.to_string())
    }
}

fn why(arguments: &RulesWhyArguments, config: &Config) -> Result<(String, bool), Refused> {
    let NamedEntity { schema, entity } = loading::entity(&config.schemas, &arguments.entity)?;
    let operation = operation(arguments)?;
    let person = loading::person_with(arguments.name.as_deref(), arguments.claims.as_deref())?;
    let changes = changes(&schema, &entity, &arguments.change)?;
    let glance = choice::backend(config).and_then(|backend| backend.glance(&schema));
    let glance = glance.map_err(|error| Refused::failed(error.to_string()))?;
    let at = glance.position.seq;
    let ahead = (!glance.is_current).then(|| not_in_force(glance.generation, config));
    let world = Folder(glance.records);
    let principal = principal(&world, &schema, &person).map_err(Refused::failed)?;
    let record = match &arguments.id {
        Some(id) => stored(&world, &entity, id)?,
        None => proposed(&world, &schema, &entity, &changes, &person)?,
    };
    let named: Vec<FieldIndex> = changes.iter().map(|(at, _)| *at).collect();
    let values = after(&world, &schema, &entity, &record, &changes)?;
    let proposal = (operation == Operation::Update).then_some(Proposal { values: &values, named: &named });
    let question = Question {
        schema: &schema,
        entity: &entity,
        principal: &principal,
        operation,
        record: &record,
        proposal,
        now: Env::system().now(),
    };
    let verdict = judge(&question, &world).map_err(Refused::failed)?;
    let allowed = verdict.reason.grants();
    let subject = arguments.id.as_ref().map_or(entity.name.to_string(), |id| format!("{} {id}", entity.name));
    let role = match principal.role() {
        Value::Text(role) => format!(" (role {})", quoted(role)),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => String::new(),
    };
    let who = told::name(person.id.as_deref());
    let (may, word) = (told::may(allowed), operation.word());
    let mut text = format!("{who}{role} {may} {word} {subject}, as of change {at}\n");
    ahead.iter().for_each(|line| text += line);
    text += &without_record(&person, &principal);
    text.push('\n');
    text += &told::verdict(&verdict, &entity, "  ");
    if operation == Operation::Create && allowed {
        text += &told::left_out(&entity, &named, "  ");
    }
    Ok((text, allowed))
}

/// The rules that are judged are those of the files, and a server may still go by others.
fn not_in_force(generation: Generation, config: &Config) -> String {
    format!(
        "these rules are not in force yet: {} differs from the schema of the data folder (generation {}); `tidewire dev` takes \
         the files over once they have no error, and `tidewire migrate plan` says what else they need\n",
        config.schemas.display(),
        generation.0
    )
}

/// A user who never asked has no record, and a name that was mistyped neither.
fn without_record(person: &Person, principal: &Principal) -> String {
    match (&person.id, principal.record()) {
        (Some(id), None) => format!(
            "hint: there is no User record {}, so this is the answer for a user without one\n",
            quoted(id)
        ),
        (Some(_) | None, _) => String::new(),
    }
}

fn operation(arguments: &RulesWhyArguments) -> Result<Operation, Refused> {
    let operation = match arguments.operation {
        RuleOperation::Read => Operation::Read,
        RuleOperation::List => Operation::List,
        RuleOperation::Create => Operation::Create,
        RuleOperation::Update => Operation::Update,
        RuleOperation::Delete => Operation::Delete,
    };
    let word = operation.word();
    let entity = shown(&arguments.entity);
    match (&arguments.id, operation) {
        (None, Operation::Read | Operation::List | Operation::Update | Operation::Delete) => {
            Err(Refused::usage(format!(
                "`{word}` needs a record: add its id, as in `tidewire rules why --as ada {word} {entity} ID`"
            )))
        }
        (Some(_), Operation::Create) => Err(Refused::usage(format!(
            "a create has no record yet: leave the id out and say what it sets, as in `tidewire rules why --as ada \
             create {entity} --change FIELD=VALUE`"
        ))),
        (_, Operation::Read | Operation::List | Operation::Delete) if !arguments.change.is_empty() => {
            Err(Refused::usage(format!("`{word}` changes no field: leave --change out")))
        }
        _ => Ok(operation),
    }
}

type Changes = Vec<(FieldIndex, Value)>;

fn changes(schema: &Schema, entity: &Entity, given: &[String]) -> Result<Changes, Refused> {
    let mut changes = Changes::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            let message = format!("--change {} says no value: write FIELD=VALUE", quoted(text));
            return Err(Refused::usage(message));
        };
        let Some((at, field)) = entity.field(name) else { return Err(unknown_field(entity, name)) };
        if let Some(path) = schema.lookup_path(entity, field) {
            let message = format!("`{name}` is copied from `{path}` and cannot be set");
            return Err(Refused::usage(message));
        }
        if field.readonly {
            let message = format!("`{name}` is readonly: no request can set it, even if a rule allows it");
            return Err(Refused::usage(message));
        }
        if changes.iter().any(|(other, _)| *other == at) {
            return Err(Refused::usage(format!("--change names `{name}` twice")));
        }
        changes.push((at, value_of(schema, field, value)?));
    }
    Ok(changes)
}

fn unknown_field(entity: &Entity, name: &str) -> Refused {
    let names: Vec<&str> = entity.fields.iter().map(|field| &*field.name).collect();
    let help = crate::schema::message::suggestion(name, &names, "its fields are");
    Refused::usage(format!("{} is not a field of {}; {help}", quoted(name), entity.name))
}

fn value_of(schema: &Schema, field: &Field, text: &str) -> Result<Value, Refused> {
    if text.is_empty() {
        return Ok(Value::Null);
    }
    value_of_text(schema, field, text)
        .map_err(|fault| Refused::usage(format!("`{}` {}", field.name, fault.message)))
}

fn stored(world: &Folder, entity: &Entity, id: &str) -> Result<Record, Refused> {
    let parsed = match entity.id_kind {
        crate::schema::IdKind::Uuid => RecordId::parse_uuid(id),
        crate::schema::IdKind::Text => RecordId::parse_text(id),
    };
    let parsed = parsed.map_err(|error| Refused::usage(error.to_string()))?;
    let found = world.record(&entity.name, parsed.as_str()).map_err(Refused::failed)?;
    found.ok_or_else(|| Refused::usage(format!("there is no {} {}", entity.name, shown(id))))
}

/// The record of a create: what it does not set is the default.
fn proposed(
    world: &Folder,
    schema: &Schema,
    entity: &Entity,
    changes: &Changes,
    person: &Person,
) -> Result<Record, Refused> {
    let env = Env::system();
    let now = env.now();
    let default = |field| default_value(field, person.id.as_ref(), now, &env);
    let values = entity.fields.iter().map(default).collect();
    let id = RecordId::from_uuid(uuid::Uuid::nil());
    let blank = Record { id, version: 1, created_at: now, updated_at: now, values };
    let values = after(world, schema, entity, &blank, changes)?;
    Ok(Record { values, ..blank })
}

/// The values of the record after the changes.
fn after(
    world: &Folder,
    schema: &Schema,
    entity: &Entity,
    record: &Record,
    changes: &Changes,
) -> Result<Vec<Value>, Refused> {
    let mut values = record.values.clone();
    for (at, value) in changes {
        values[at.0] = value.clone();
    }
    copy_lookups(world, schema, entity, &mut values).map_err(Refused::failed)?;
    Ok(values)
}
