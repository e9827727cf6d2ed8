//! `tidewire records update` and `delete`: changes of many records through a running server, page after page.
//!
//! Knows no rule: the server judges each record by those of the caller. Conditions are those of a list.

use std::io::Write;
use std::process::ExitCode;

use percent_encoding::utf8_percent_encode;
use reqwest::Method;
use serde_json::{Map, Value as Json};

use super::arguments::{RecordsArguments, RecordsCommand};
use super::check::count;
use super::config::effective;
use super::import::sender::{BatchAnswer, QUERY, Request, Sender};
use super::loading::{self, NamedEntity, Refused};
use crate::env::Env;
use crate::repository::value_of_text;
use crate::schema::message::{plain, quoted, suggestion};
use crate::schema::{Entity, Schema};

/// What to do with the records.
enum ManyVerb<'a> {
    Update(&'a [String]),
    Delete,
}

/// Exit code 0 when every record was changed, 1 when some were refused or the server answered an error.
pub fn run(command: &RecordsCommand) -> ExitCode {
    let (arguments, verb) = match command {
        RecordsCommand::Update { arguments, change } => (arguments, ManyVerb::Update(change)),
        RecordsCommand::Delete { arguments } => (arguments, ManyVerb::Delete),
    };
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let done = loading::entity(&settings.config.schemas, &arguments.entity)
        .and_then(|NamedEntity { schema, entity }| write(arguments, &verb, &schema, &entity));
    match done {
        Ok(Reported { text, refused }) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(refused) => refused.tell(),
    }
}

/// What is printed, and how many records were refused.
struct Reported {
    text: String,
    refused: u64,
}

fn write(
    arguments: &RecordsArguments,
    verb: &ManyVerb<'_>,
    schema: &Schema,
    entity: &Entity,
) -> Result<Reported, Refused> {
    let (method, body, done) = match verb {
        ManyVerb::Update(change) => (Method::PATCH, Some(changes(schema, entity, change)?), "changed"),
        ManyVerb::Delete => (Method::DELETE, None, "deleted"),
    };
    if let Some(name) = &arguments.name {
        loading::person(Some(name))?;
    }
    let question = question(arguments)?;
    let sender = Sender::new(server(arguments)?, arguments.name.as_deref())?;
    let job = Env::system().uuid_v7();
    let (mut changed, mut refused, mut page) = (0, 0, 0);
    let mut cursor: Option<String> = None;
    loop {
        let mut path = format!("api/{}?{question}", entity.plural);
        if let Some(cursor) = &cursor {
            path.push_str(&format!("&cursor={cursor}"));
        }
        let (body, key) = (body.as_ref().map(Json::to_string), format!("records:{job}:{page}"));
        let request = Request { method: method.clone(), path, body, key: Some(key) };
        match sender.ask(&request)? {
            BatchAnswer::Done(answer) => {
                changed += answer["changed"].as_u64().unwrap_or(0);
                refused += answer["refused"].as_u64().unwrap_or(0);
                cursor = answer["next"].as_str().map(str::to_owned);
            }
            BatchAnswer::Refused(problem) => {
                let detail = problem["detail"].as_str().unwrap_or("no reason given");
                let so_far =
                    if page == 0 { String::new() } else { format!("; {changed} were {done} before") };
                return Err(Refused::failed(format!("{detail}{so_far}")));
            }
        }
        page += 1;
        if cursor.is_none() {
            let records = count(usize::try_from(changed).unwrap_or(usize::MAX), "record", "records");
            let text = format!("{records} of {} {done}, {refused} refused\n", entity.name);
            return Ok(Reported { text, refused });
        }
    }
}

/// The address of the server. A folder alone is not written to: its rules are judged, and its changes told, by a server.
fn server(arguments: &RecordsArguments) -> Result<&str, Refused> {
    let said = match (&arguments.url, &arguments.data) {
        (Some(url), None) => return Ok(url),
        (Some(_), Some(_)) => "--data is not needed: the server of --url knows its folder".to_owned(),
        (None, Some(data)) => format!(
            "{} is not written to directly, because only a server judges the rules and informs open pages",
            plain(&data.display().to_string())
        ),
        (None, None) => {
            "--url is missing: the changes go through a running server, which judges the rules".to_owned()
        }
    };
    let advice = "start `tidewire dev` in the project folder, then add --url http://127.0.0.1:8080";
    Err(Refused::usage(match arguments.url {
        Some(_) => format!("{said}; remove --data"),
        None => format!("{said}; {advice}"),
    }))
}

/// The conditions as a query string.
fn question(arguments: &RecordsArguments) -> Result<String, Refused> {
    let mut parts = Vec::new();
    for text in &arguments.conditions {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            let message = format!(
                "{} is no condition: write FIELD=VALUE, as in status=done or 'priority[gte]=3'",
                quoted(text)
            );
            return Err(Refused::usage(message));
        };
        if ["as", "claims", "cursor"].contains(&name) {
            return Err(Refused::usage(format!("`{name}` is no condition; who asks is said by --as NAME")));
        }
        parts.push(format!("{}={}", utf8_percent_encode(name, QUERY), utf8_percent_encode(value, QUERY)));
    }
    Ok(parts.join("&"))
}

fn changes(schema: &Schema, entity: &Entity, given: &[String]) -> Result<Json, Refused> {
    let mut body = Map::new();
    for text in given {
        let Some((name, value)) = text.split_once('=') else {
            let message = format!("--change {} says no value: write FIELD=VALUE", quoted(text));
            return Err(Refused::usage(message));
        };
        let Some((_, field)) = entity.field(name) else {
            let names: Vec<&str> = entity.fields.iter().map(|field| &*field.name).collect();
            let help = suggestion(name, &names, "its fields are");
            return Err(Refused::usage(format!(
                "{} is not a field of {}; {help}",
                quoted(name),
                entity.name
            )));
        };
        let json = if value.is_empty() {
            Json::Null
        } else {
            let value = value_of_text(schema, field, value)
                .map_err(|fault| Refused::usage(format!("`{}` {}", field.name, fault.message)))?;
            let mut json = Vec::new();
            value.write_json(&mut json);
            serde_json::from_slice(&json)
                .map_err(|error| Refused::failed(format!("`{}`: {error}", field.name)))?
        };
        if body.insert(name.to_owned(), json).is_some() {
            return Err(Refused::usage(format!("--change names `{name}` twice")));
        }
    }
    Ok(Json::Object(body))
}
