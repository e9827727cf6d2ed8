//! `tidewire migrate plan|apply|status`: what the schema files would do to the records in the data folder, doing it, and where
//! the database stands.
//!
//! Parses flags and prints; what a change costs is judged by the store.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::USAGE;
use super::arguments::{AllowArguments, Migrate, MigrateArguments};
use super::config::effective;
use crate::config::Config;
use crate::env::Env;
use crate::repository::{suggestion, value_of_text};
use crate::schema::{self, Color, Schema};
use crate::store::migration::{Allow, MigrationStep, Plan, Remedy, Standing};
use crate::store::{Backend, Looked, Migrated, OpenError, choice};

/// Where schemas and records are.
#[derive(Clone)]
pub(super) struct Project {
    pub(super) schemas: PathBuf,
    /// The flag that names the database, where it is not the default.
    flag: Option<String>,
    backend: Arc<dyn Backend>,
}

impl Project {
    pub(super) fn of(config: &Config) -> Result<Project, OpenError> {
        let default = Config::default();
        let flag = match &config.database {
            Some(address) => Some(format!("--database {address}")),
            None if config.data != default.data => Some(format!("--data {}", config.data.display())),
            None => None,
        };
        Ok(Project { schemas: config.schemas.clone(), flag, backend: choice::backend(config)? })
    }
}

/// What a subcommand says, on which stream, and its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrateOutput {
    pub stdout: String,
    pub stderr: String,
    pub code: u8,
}

/// Exit code 0 when everything fits or was applied, 1 when something is in the way, 2 for wrong flags or settings.
pub fn run(arguments: &MigrateArguments) -> ExitCode {
    let command = &arguments.command;
    let (Migrate::Plan { settings, .. } | Migrate::Apply { settings, .. } | Migrate::Status { settings, .. }) =
        command;
    let config = match effective(settings.given()) {
        Ok(settings) => settings.config,
        Err(code) => return code,
    };
    let verdict = judge(command, &config, &Env::system());
    // A reader that went away, as `head` does, leaves the verdict as it is.
    let _ = std::io::stdout().write_all(verdict.stdout.as_bytes());
    let _ = std::io::stderr().write_all(verdict.stderr.as_bytes());
    ExitCode::from(verdict.code)
}

/// Does it without printing.
pub fn judge(command: &Migrate, config: &Config, env: &Env) -> MigrateOutput {
    let project = &match Project::of(config) {
        Ok(project) => project,
        Err(error) => return failure(format!("error: {error}\n"), 1),
    };
    let schema = match schema::load(&project.schemas) {
        Ok(loaded) => loaded.schema,
        Err(errors) => return failure(errors.render(Color::Never), 1),
    };
    let outcome = match command {
        Migrate::Plan { allow, json, .. } => {
            allowed(allow, &schema).and_then(|allow| plan(project, &schema, &allow, env, *json))
        }
        Migrate::Apply { allow, .. } => {
            allowed(allow, &schema).and_then(|allow| apply(project, &schema, &allow, env))
        }
        Migrate::Status { json, .. } => status(project, &schema, env, *json),
    };
    outcome.unwrap_or_else(|refused| refused)
}

fn plan(
    project: &Project,
    schema: &Schema,
    allow: &Allow,
    env: &Env,
    json: bool,
) -> Result<MigrateOutput, MigrateOutput> {
    let found = project.backend.look(schema, allow, env).map_err(|error| refusal(&error, project))?;
    let Some(Looked { plan, .. }) = found else { return Ok(success(nothing_there(project, json))) };
    let code = u8::from(!plan.is_ready());
    if json {
        return Ok(MigrateOutput {
            stdout: format!("{:#}\n", plan_json(&plan)),
            stderr: String::new(),
            code,
        });
    }
    let mut text = String::new();
    if plan.is_empty() {
        text.push_str("the schema files fit the records: nothing to do\n");
    } else if plan.is_ready() {
        let _ = writeln!(text, "{plan}\n\n{}", ready_advice(&plan, project));
    } else {
        let _ = writeln!(text, "{plan}\n\n{}", advice(&plan, project));
    }
    Ok(MigrateOutput { stdout: text, stderr: String::new(), code })
}

fn ready_advice(plan: &Plan, project: &Project) -> String {
    match plan.loses() {
        0 => {
            "nothing is lost. The server does this when it starts; to do it now:\n  ".to_owned()
                + &command(&[], project)
        }
        1 => "1 value is lost or changed; a backup is made first".to_owned(),
        lost => format!("{lost} values are lost or changed; a backup is made first"),
    }
}

fn apply(
    project: &Project,
    schema: &Schema,
    allow: &Allow,
    env: &Env,
) -> Result<MigrateOutput, MigrateOutput> {
    let done = project.backend.migrate(schema, allow, env).map_err(|error| refusal(&error, project))?;
    let Migrated { was, generation, plan, backup } = done;
    let mut text = String::new();
    if plan.is_empty() {
        let _ = match was == generation {
            true => writeln!(
                text,
                "the schema files fit the records: nothing to do (generation {})",
                generation.0
            ),
            false => writeln!(text, "done, no record changed: generation {}", generation.0),
        };
        return Ok(success(text));
    }
    if let Some(backup) = backup {
        let _ = writeln!(text, "backup: {}", backup.display());
    }
    let _ = writeln!(text, "{plan}\n\ndone: generation {}", generation.0);
    Ok(success(text))
}

fn status(project: &Project, schema: &Schema, env: &Env, json: bool) -> Result<MigrateOutput, MigrateOutput> {
    let allow = Allow::default();
    let found = project.backend.look(schema, &allow, env).map_err(|error| refusal(&error, project))?;
    let Some(Looked { standing, plan }) = found else { return Ok(success(nothing_there(project, json))) };
    Ok(success(if json { status_json(&standing, &plan) } else { status_text(project, &standing, &plan) }))
}

fn status_text(project: &Project, standing: &Standing, plan: &Plan) -> String {
    let program = standing.program.as_deref().unwrap_or("an earlier Tidewire");
    let records: Vec<String> =
        standing.records.iter().map(|(entity, count)| format!("{entity} {count}")).collect();
    let fit = match (plan.steps.len(), standing.is_current) {
        (0, true) => "fit".to_owned(),
        (0, false) => "fit; the next start stores limits that only later writes must keep".to_owned(),
        (steps, _) => {
            let (noun, needs) = if steps == 1 { ("step", "needs") } else { ("steps", "need") };
            let word = if plan.is_ready() { "" } else { &format!(", which {needs} your permission") };
            format!("{steps} {noun} missing{word}: tidewire migrate plan")
        }
    };
    format!(
        "{}\n  Format      {}, last opened by {program}\n  Generation  {}\n  Log         up to change {}, kept after change {}\n  \
         Records     {}\n  Schemas     {}: {fit}\n",
        project.backend.about().place,
        standing.format,
        standing.generation.0,
        standing.head,
        standing.floor,
        if records.is_empty() { "none".to_owned() } else { records.join(", ") },
        project.schemas.display(),
    )
}

fn status_json(standing: &Standing, plan: &Plan) -> String {
    let records: serde_json::Map<String, Json> =
        standing.records.iter().map(|(entity, count)| (entity.clone(), json!(count))).collect();
    let json = json!({
        "format": standing.format,
        "program": standing.program,
        "generation": standing.generation,
        "seq": standing.head,
        "floor": standing.floor,
        "records": records,
        "current": standing.is_current,
        "steps": plan.steps.len(),
    });
    format!("{json:#}\n")
}

fn plan_json(plan: &Plan) -> Json {
    let step = |step: &MigrationStep| {
        let need = step.need.as_ref().map(|need| {
            let (flag, advice) = match &need.remedy {
                Remedy::Flag(flag) => (Some(flag.as_str()), None),
                Remedy::Words(words) => (None, Some(*words)),
            };
            json!({"why": need.why, "examples": need.examples, "flag": flag, "advice": advice})
        });
        json!({"subject": step.subject, "what": step.what, "loses": step.loses, "need": need})
    };
    json!({"ready": plan.is_ready(), "steps": plan.steps.iter().map(step).collect::<Vec<_>>()})
}

fn nothing_there(project: &Project, json: bool) -> String {
    if json {
        return format!("{:#}\n", json!({"ready": true, "steps": []}));
    }
    format!(
        "there is no database in {}: the server makes one when it starts\n",
        project.backend.about().place
    )
}

/// Why the schema does not fit, with the command for these folders.
pub(super) fn advice(plan: &Plan, project: &Project) -> String {
    let flags = plan.flags();
    let backfill =
        if flags.iter().any(|flag| flag.ends_with("=VALUE")) { "; write the value for VALUE" } else { "" };
    match (plan.is_blocked(), flags.is_empty()) {
        (true, true) => "change the records or the schema files as described above".to_owned(),
        (true, false) => format!(
            "change what has no flag as described above; then stop the server and allow the rest{backfill}:\n  {}",
            command(&flags, project)
        ),
        (false, _) => {
            format!(
                "undo these changes in the schema files, or stop the server and allow them{backfill}:\n  {}",
                command(&flags, project)
            )
        }
    }
}

fn command(flags: &[&str], project: &Project) -> String {
    let mut command = "tidewire migrate apply".to_owned();
    for flag in flags {
        let _ = write!(command, " {flag}");
    }
    if project.schemas != Config::default().schemas {
        let _ = write!(command, " --schemas {}", project.schemas.display());
    }
    if let Some(flag) = &project.flag {
        let _ = write!(command, " {flag}");
    }
    command
}

/// An error at opening, with the command where the schema is what is in the way.
pub(super) fn explain(error: &OpenError, project: &Project) -> String {
    let OpenError::Schema { plan } = error else { return format!("error: {error}\n") };
    let advice = advice(plan, project);
    format!("error: the schema does not fit the records, and nothing was changed:\n{plan}\n\n{advice}\n")
}

fn refusal(error: &OpenError, project: &Project) -> MigrateOutput {
    failure(explain(error, project), 1)
}

fn success(stdout: String) -> MigrateOutput {
    MigrateOutput { stdout, stderr: String::new(), code: 0 }
}

fn failure(stderr: String, code: u8) -> MigrateOutput {
    MigrateOutput { stdout: String::new(), stderr, code }
}

fn allowed(arguments: &AllowArguments, schema: &Schema) -> Result<Allow, MigrateOutput> {
    let set = |subjects: &[String]| subjects.iter().cloned().collect();
    let mut allow = Allow {
        drop: set(&arguments.allow_drop),
        retype: set(&arguments.allow_retype),
        clear: set(&arguments.allow_clear),
        forget: set(&arguments.allow_forget),
        expire: set(&arguments.allow_expire),
        ..Allow::default()
    };
    for text in &arguments.backfill {
        let (subject, value) = backfill(text, schema)
            .map_err(|why| failure(format!("error: --backfill {text}: {why}\n"), USAGE))?;
        allow.backfill.insert(subject, value);
    }
    Ok(allow)
}

/// `Task.due=2026-01-01`, the value as a query string has it; of a json field JSON.
fn backfill(text: &str, schema: &Schema) -> Result<(String, schema::Value), String> {
    let (subject, value) = text.split_once('=').ok_or("write it as Entity.field=VALUE")?;
    let (entity, field) = subject.split_once('.').ok_or("write it as Entity.field=VALUE")?;
    let entities = schema.entities().map(|entity| &*entity.name);
    let found = schema.entity(entity);
    let entity =
        found.ok_or_else(|| meant(format!("there is no entity `{entity}`"), suggestion(entity, entities)))?;
    let fields = entity.fields.iter().map(|field| &*field.name);
    let (_, field) = entity
        .field(field)
        .ok_or_else(|| meant(format!("{} has no field `{field}`", entity.name), suggestion(field, fields)))?;
    let value =
        value_of_text(schema, field, value).map_err(|fault| format!("the value {}", fault.message))?;
    Ok((subject.to_owned(), value))
}

fn meant(what: String, suggestion: Option<&str>) -> String {
    suggestion.map_or(what.clone(), |meant| format!("{what}; did you mean `{meant}`?"))
}
