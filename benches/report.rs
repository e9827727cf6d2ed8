//! What a run found: printed as it comes, written to `spine.json` at the end, compared with the aims.
//! Knows no section.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::error::{BenchError, Outcome};
use crate::lab::Lab;

/// One line of a section's table: what was measured, then named values.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) values: Vec<(&'static str, f64)>,
}

/// On which side of its limit a figure should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Debug)]
struct Judgement {
    name: String,
    value: f64,
    aim: Aim,
}

/// Everything that is said in a run.
#[derive(Debug)]
pub(crate) struct Report {
    full: bool,
    facts: Vec<(&'static str, String)>,
    tables: Vec<(&'static str, Vec<Row>)>,
    judgements: Vec<Judgement>,
    warnings: Vec<String>,
    failed: bool,
}

impl Report {
    pub(crate) fn new(lab: &Lab) -> Report {
        let full = lab.scale.full;
        if !full {
            say("A short run: it shows that the bench works; its figures mean nothing.");
        }
        let (facts, tables, judgements, warnings) = Default::default();
        Report { full, facts, tables, judgements, warnings, failed: false }
    }

    /// A circumstance of the run; said once, however many ask for it.
    pub(crate) fn fact(&mut self, name: &'static str, text: String) {
        if !self.facts.iter().any(|(known, _)| *known == name) {
            say(&format!("{name}: {text}"));
            self.facts.push((name, text));
        }
    }

    /// Something that makes figures doubtful.
    pub(crate) fn warn(&mut self, text: &str) {
        if !self.warnings.iter().any(|known| known == text) {
            say(&format!("warning: {text}"));
            self.warnings.push(text.to_owned());
        }
    }

    /// Prints one section's table. All rows have the same columns.
    pub(crate) fn table(&mut self, section: &'static str, rows: Vec<Row>) {
        say(&format!("\n{section}\n{}", layout(&rows)));
        self.tables.push((section, rows));
    }

    /// Compares a figure with the limit that it should keep.
    pub(crate) fn judge(&mut self, name: impl Into<String>, value: f64, aim: Aim) {
        self.judgements.push(Judgement { name: name.into(), value, aim });
    }

    /// A lost, doubled or reordered event fails the whole run: it is a defect, not a figure.
    pub(crate) fn judge_lost(&mut self, section: &'static str, lost: u64) {
        self.failed |= lost > 0;
        self.judge(format!("{section}: events lost"), lost as f64, Aim::AtMost(0.0));
    }

    /// Warns when the driver, not the server, was at its limit, or neither of them. Both are percents of a core.
    pub(crate) fn judge_load(&mut self, label: &str, server: f64, driver: f64) {
        if driver > 95.0 && server < 90.0 {
            self.warn(&format!("{label}: the driver was the limit (server {server:.0} % busy)"));
        } else if server < 75.0 && driver < 75.0 {
            self.warn(&format!("{label}: neither core was busy ({server:.0} %, {driver:.0} %): the disk or other programs were the limit"));
        }
    }

    /// A section that could not be measured; the others continue.
    pub(crate) fn fail(&mut self, section: &'static str, error: &BenchError) {
        self.failed = true;
        self.warn(&format!("{section} failed: {error}"));
    }

    /// Prints the aims, writes the JSON; failure when a section failed or an event was lost.
    pub(crate) fn finish(self, lab: &Lab) -> Outcome<ExitCode> {
        if !self.judgements.is_empty() {
            say(if self.full { "\naims" } else { "\naims (of a short run: this means nothing)" });
        }
        for Judgement { name, value, aim } in &self.judgements {
            let (relation, limit) = aim.limit();
            let verdict = if aim.met(*value) { "met    " } else { "NOT MET" };
            say(&format!("  {verdict}  {name}: {} ({relation} {})", number(*value), number(limit)));
        }
        let path = lab.folder.join("spine.json");
        let text = format!("{:#}\n", self.json());
        std::fs::write(&path, text).map_err(|source| BenchError::io("write spine.json", source))?;
        say(&format!("\nwritten: {}", path.display()));
        Ok(if self.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn json(&self) -> Value {
        let facts: Map<String, Value> =
            self.facts.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        let tables: Map<String, Value> = self
            .tables
            .iter()
            .map(|(name, rows)| ((*name).to_owned(), rows.iter().map(row).collect()))
            .collect();
        let aims: Vec<Value> = self.judgements.iter().map(judgement).collect();
        json!({ "full": self.full, "facts": facts, "tables": tables, "aims": aims, "warnings": self.warnings })
    }
}

impl Aim {
    fn limit(self) -> (&'static str, f64) {
        match self {
            Aim::AtLeast(limit) => ("at least", limit),
            Aim::AtMost(limit) => ("at most", limit),
        }
    }

    fn met(self, value: f64) -> bool {
        match self {
            Aim::AtLeast(limit) => value >= limit,
            Aim::AtMost(limit) => value <= limit,
        }
    }
}

fn row(row: &Row) -> Value {
    let values = row.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    let label = std::iter::once(("label".to_owned(), json!(row.label)));
    Value::Object(label.chain(values).collect())
}

fn judgement(judgement: &Judgement) -> Value {
    let Judgement { name, value, aim } = judgement;
    let (relation, limit) = aim.limit();
    json!({ "name": name, "value": value, "relation": relation, "limit": limit, "met": aim.met(*value) })
}

fn layout(rows: &[Row]) -> String {
    let mut lines: Vec<Vec<String>> = Vec::new();
    if let Some(row) = rows.first() {
        let names = row.values.iter().map(|(name, _)| (*name).to_owned());
        lines.push(std::iter::once(String::new()).chain(names).collect());
    }
    for row in rows {
        let values = row.values.iter().map(|(_, value)| number(*value));
        lines.push(std::iter::once(row.label.clone()).chain(values).collect());
    }
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len))
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|text| text.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).enumerate().map(|(column, (text, width))| match column {
            0 => format!("  {text:<width$}"),
            _ => format!("  {text:>width$}"),
        });
        cells.collect::<String>()
    };
    lines.iter().map(line).collect::<Vec<String>>().join("\n")
}

/// As many digits as a noisy figure deserves.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Prints one line or several.
#[expect(clippy::print_stdout, reason = "the report on standard output is what this program is for")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
