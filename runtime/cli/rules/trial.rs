//! `tidewire rules test`: runs every case of every file, without a database. One line a case; of one that fails the rule and
//! the result of each part.

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::cases::{self, Case, Shown};
use super::file::{self, RulesReader, members};
use super::scene::Scene;
use super::told;
use crate::cli::arguments::RulesTestArguments;
use crate::cli::check::count;
use crate::cli::config::{color_of_stderr, effective};
use crate::cli::loading::Refused;
use crate::rules::Proposal;
use crate::schema::{self, Operation, Record, Schema};
use crate::verdict::principal;
use crate::verdict::{Question, Reason, judge};

/// In the schema folder; deeper folders hold no schema files.
const FOLDER: &str = "tests";

/// Exit code 0 when every case came out as expected, 1 when one did not or a file is wrong, 2 for wrong settings.
pub(super) fn run(arguments: &RulesTestArguments) -> ExitCode {
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    match trial(arguments, &settings.config.schemas) {
        Ok(report) => {
            let _ = std::io::stdout().write_all(report.text.as_bytes());
            if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(refused) => refused.tell(),
    }
}

#[derive(Default)]
struct Report {
    text: String,
    cases: usize,
    failed: usize,
}

fn trial(arguments: &RulesTestArguments, schemas: &Path) -> Result<Report, Refused> {
    let loaded = schema::load(schemas).map_err(|errors| Refused::said(errors.render(color_of_stderr())))?;
    let files = if arguments.files.is_empty() { found(schemas)? } else { arguments.files.clone() };
    let mut report = Report::default();
    let mut wrong = String::new();
    for path in &files {
        let text = file::text(path).map_err(Refused::failed)?;
        match one_file(&loaded.schema, path, &text, &mut report) {
            Ok(()) => {}
            Err(faults) => wrong += &faults,
        }
    }
    if !wrong.is_empty() {
        return Err(Refused::said(wrong));
    }
    if report.cases == 0 {
        return Err(Refused::failed("the files have no case: write a [[case]] (docs/permissions.md)"));
    }
    let failed =
        if report.failed == 0 { "all as expected".to_owned() } else { format!("{} failed", report.failed) };
    let _ = writeln!(report.text, "{}, {failed}", count(report.cases, "case", "cases"));
    Ok(report)
}

fn found(schemas: &Path) -> Result<Vec<PathBuf>, Refused> {
    let folder = schemas.join(FOLDER);
    let listed = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "toml") && path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    };
    match listed() {
        Ok(paths) if !paths.is_empty() => Ok(paths),
        Ok(_) | Err(_) => Err(Refused::failed(format!(
            "there are no test cases: write a file {}/NAME.toml (docs/permissions.md), or name one",
            folder.display()
        ))),
    }
}

/// The error is what is wrong with the file, rendered.
fn one_file(schema: &Schema, path: &Path, text: &str, report: &mut Report) -> Result<(), String> {
    let name = path.display().to_string();
    let mut reader = RulesReader::default();
    reader.faults.source(&name, text);
    if let Some(root) = reader.parse(text) {
        let root = root.into_inner();
        reader.known(&root, &["persons", "records", "case", "now"], "of a file of cases");
        let root: Vec<_> = members(&root).collect();
        let scene = Scene::read(schema, &root, &mut reader);
        let cases = cases::read(&scene, &root, text, &mut reader);
        if reader.faults.is_empty() {
            let _ = writeln!(report.text, "{name}");
            for case in &cases {
                one_case(&scene, case, report)?;
            }
        }
    }
    if reader.faults.is_empty() { Ok(()) } else { Err(reader.faults.errors_in(&name, color_of_stderr())) }
}

fn one_case(scene: &Scene<'_>, case: &Case, report: &mut Report) -> Result<(), String> {
    let mut wrong = String::new();
    for who in &case.who {
        wrong += &one_person(scene, case, who)?;
    }
    report.cases += 1;
    report.failed += usize::from(!wrong.is_empty());
    let verdict = if wrong.is_empty() { "ok    " } else { "FAILED" };
    let about = case.about.as_ref().map_or(String::new(), |about| format!("    # {about}"));
    let _ = writeln!(report.text, "  {verdict}  {:>4}  {}{about}", case.line, summary(case));
    report.text += &scene.named(&wrong);
    if case.expected.iter().any(|expected| expected.operation == Operation::Create && expected.allowed) {
        let named = case.set.as_ref().map_or(&[][..], |set| &set.named);
        report.text += &told::left_out(&case.entity, named, "          ");
    }
    Ok(())
}

/// `ada, ben may read, update and may not delete Task.paint`.
fn summary(case: &Case) -> String {
    let mut clauses = Vec::new();
    for allowed in [true, false] {
        let expected = case.expected.iter().filter(|expected| expected.allowed == allowed);
        let operations: Vec<Operation> = expected.map(|expected| expected.operation).collect();
        if !operations.is_empty() {
            clauses.push(format!("{} {}", told::may(allowed), told::operations(&operations)));
        }
    }
    for (shown, words) in [(Shown::Yes, "sees"), (Shown::No, "sees not")] {
        let fields = case.fields.iter().filter(|(_, each)| *each == shown);
        let names: Vec<&str> = fields.map(|(at, _)| &*case.entity.at(*at).name).collect();
        if !names.is_empty() {
            clauses.push(format!("{words} {} of", names.join(", ")));
        }
    }
    format!("{} {} {}", case.who.join(", "), clauses.join(" and "), case.subject)
}

/// What came out otherwise than expected, with the rules that said so; empty when nothing did.
fn one_person(scene: &Scene<'_>, case: &Case, who: &str) -> Result<String, String> {
    let person = &scene.persons[who];
    let principal = principal(scene, scene.schema, person)?;
    let mut wrong = String::new();
    let ask = |operation: Operation, record: &Record, proposal: Option<Proposal<'_>>| {
        let (schema, entity) = (scene.schema, &case.entity);
        judge(
            &Question { schema, entity, principal: &principal, operation, record, proposal, now: scene.now },
            scene,
        )
    };
    for expected in &case.expected {
        let verdict = match (&case.record, expected.operation) {
            (Some(record), Operation::Update) => {
                let nothing = super::scene::GivenValues { values: Vec::new(), named: Vec::new() };
                let given = case.set.as_ref().unwrap_or(&nothing);
                let values = scene.updated(&case.entity, record, given)?;
                ask(Operation::Update, record, Some(Proposal { values: &values, named: &given.named }))?
            }
            (Some(record), operation) => ask(operation, record, None)?,
            (None, operation) => {
                let nothing = super::scene::GivenValues {
                    values: vec![crate::schema::Value::Null; case.entity.fields.len()],
                    named: Vec::new(),
                };
                let given = case.set.as_ref().unwrap_or(&nothing);
                ask(operation, &scene.proposed(&case.entity, given, person)?, None)?
            }
        };
        if verdict.reason.grants() != expected.allowed {
            let (may, word) = (told::may(!expected.allowed), expected.operation.word());
            let _ = writeln!(wrong, "          {who} {may} {word}:");
            wrong += &told::verdict(&verdict, &case.entity, "            ");
        }
    }
    if let (Some(record), false) = (&case.record, case.fields.is_empty()) {
        let verdict = ask(Operation::Read, record, None)?;
        for (at, expected) in &case.fields {
            let shown = match &verdict.reason {
                Reason::Granted(mask) if !mask.hidden().contains(at) => Shown::Yes,
                Reason::Granted(_)
                | Reason::Denied
                | Reason::Hidden
                | Reason::Disabled
                | Reason::Unruled
                | Reason::UnknownReference(_)
                | Reason::Failed(_) => Shown::No,
            };
            if shown != *expected {
                let sees = if shown == Shown::Yes { "sees" } else { "does not see" };
                let _ = writeln!(wrong, "          {who} {sees} {}:", case.entity.at(*at).name);
                wrong += &told::verdict(&verdict, &case.entity, "            ");
            }
        }
    }
    Ok(wrong)
}
