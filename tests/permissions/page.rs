//! A recipe of the page, served: its schema files are the blocks below its heading.

use serde_json::Value;
use tidewire::env::Env;
use tidewire::schema::{Format, SourceFile, check};

pub(super) use crate::support::story::Story;

const PAGE: &str = include_str!("../../docs/permissions.md");

/// The TOML blocks below a heading, each with the name in its first line.
pub(crate) fn files(heading: &str) -> Vec<(String, String)> {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let body = &PAGE[start + 1 + heading.len()..];
    let end = body.find("\n## ").into_iter().chain(body.find("\n### ")).min().unwrap_or(body.len());
    let blocks = body[..end].split("```toml\n").skip(1);
    let block = |block: &str| {
        let text = block.split("```").next().unwrap().to_owned();
        let name = text.lines().next().unwrap().trim_start_matches("# ").to_owned();
        (name, text)
    };
    blocks.map(block).collect()
}

/// The commands below a heading that ask a server: path and body of each.
pub(super) fn requests(heading: &str) -> Vec<(String, Option<Value>)> {
    let start = PAGE.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let script = PAGE[start..].split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let request = |line: &str| {
        let (rest, path) = line.split_once(" 'http://127.0.0.1:8080").unwrap_or_else(|| panic!("{line}"));
        let body = rest.strip_prefix("curl -s --json '").and_then(|body| body.strip_suffix('\''));
        assert!(body.is_some() || rest == "curl -s", "{line}");
        let body = body.map(|body| serde_json::from_str(body).unwrap());
        (path.strip_suffix('\'').unwrap().to_owned(), body)
    };
    script.lines().filter(|line| !line.starts_with('#')).map(request).collect()
}

/// Headings of all recipes.
pub(super) fn recipes() -> Vec<&'static str> {
    let (_, recipes) = PAGE.split_once("\n## Recipes\n").unwrap();
    recipes.lines().filter_map(|line| line.strip_prefix("### ")).collect()
}

impl Story {
    /// Serves the files of these recipes with their rules and nothing else.
    pub(super) async fn of(recipes: &[&str]) -> Story {
        Story::timed(recipes, Env::system()).await
    }

    /// With clocks of its own.
    pub(super) async fn timed(recipes: &[&str], env: Env) -> Story {
        let mut all: Vec<_> = recipes.iter().flat_map(|recipe| files(&format!("### {recipe}"))).collect();
        if all.iter().all(|(name, _)| name != "schemas/user.toml") {
            all.extend(files("### People"));
        }
        let sources: Vec<SourceFile> =
            all.into_iter().map(|(name, text)| SourceFile { name, format: Format::Toml, text }).collect();
        Story::at(check(&sources).unwrap_or_else(|errors| panic!("{errors}")), env).await
    }
}
