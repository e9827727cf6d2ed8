//! `tidewire explain`: what a stable code means, what causes it and what to do; one page of docs/errors for each.
//!
//! Knows the tables of codes and no code of its own.

use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use rust_embed::RustEmbed;

use super::USAGE;
use super::arguments::ExplainArguments;
use crate::protocol::{CloseCode, Code};
use crate::schema;
use crate::schema::message::{nearest, quoted};

/// In debug builds read from the folder, in release builds part of the program.
#[derive(RustEmbed)]
#[folder = "docs/errors/"]
struct Pages;

/// Prints a page, or the list of all. Exit code 2 for a code that does not exist.
pub fn run(arguments: &ExplainArguments) -> ExitCode {
    let text = match &arguments.code {
        None => index(),
        Some(code) => match explain(code) {
            Ok(text) => text,
            Err(message) => {
                let _ = std::io::stderr().write_all(message.as_bytes());
                return ExitCode::from(USAGE);
            }
        },
    };
    // A reader that went away, as `head` does, changes nothing.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Codes that are met in one kind of place.
pub struct CodesOfPlace {
    /// As the list of all codes says it.
    pub place: &'static str,
    pub codes: Vec<String>,
}

/// Every code by the kind of place where one meets it.
pub fn codes() -> [CodesOfPlace; 3] {
    let schema = schema::DiagnosticCode::ALL.iter().map(|code| code.as_str().to_owned());
    let errors = Code::ALL.iter().map(|code| code.as_str().to_owned());
    let closes = CloseCode::ALL.iter().map(|code| code.number().to_string());
    [
        CodesOfPlace { place: "In schema files", codes: schema.collect() },
        CodesOfPlace { place: "In answers and `error` frames", codes: errors.collect() },
        CodesOfPlace { place: "When the server closes a socket", codes: closes.collect() },
    ]
}

/// The names of the pages, in no order.
pub fn pages() -> impl Iterator<Item = String> {
    Pages::iter().map(|name| name.trim_end_matches(".md").to_owned())
}

/// The page of a code, in any case; or the error for an unknown code.
pub fn explain(code: &str) -> Result<String, String> {
    let known: Vec<String> = codes().into_iter().flat_map(|of| of.codes).collect();
    if let Some(page) =
        known.iter().find(|known| known.eq_ignore_ascii_case(code)).and_then(|code| page(code))
    {
        return Ok(page);
    }
    // Codes beside fields share the page of the code that they come with.
    let is_there = |row: &str| row.starts_with("| `") && row.contains(&format!("`{code}`"));
    if let Some(page) = page("VALIDATION_FAILED").filter(|page| page.lines().any(is_there)) {
        return Ok(page);
    }
    let help = match nearest(code, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None => "`tidewire explain` lists them all".to_owned(),
    };
    Err(format!("error: there is no code {}\n{help}\n", quoted(code)))
}

fn page(code: &str) -> Option<String> {
    let file = Pages::get(&format!("{code}.md"))?;
    Some(String::from_utf8_lossy(&file.data).into_owned())
}

fn index() -> String {
    let mut text = String::from("`tidewire explain CODE` explains one of these.\n");
    for CodesOfPlace { place, codes } in codes() {
        let _ = writeln!(text, "\n{place}:");
        for code in codes {
            let title = page(&code).and_then(|page| title(&page).map(str::to_owned)).unwrap_or_default();
            let _ = writeln!(text, "  {code:<22} {title}");
        }
    }
    text
}

/// What follows the code on the first line: `# E0130: an unknown type`.
fn title(page: &str) -> Option<&str> {
    page.lines().next()?.split_once(": ").map(|(_, title)| title)
}
