//! docs/configuration.md: the frame of `page.md` with the table of settings in it.

use std::fmt::Write as _;

use super::{Kind, SETTINGS};
use crate::config::Config;
use crate::schema::message::plain;

const PAGE: &str = include_str!("page.md");

/// Where the table goes.
const MARK: &str = "<!-- settings -->\n";

/// The whole page.
pub fn document() -> String {
    let mut tables = String::new();
    let mut section = None;
    for setting in SETTINGS {
        let (mine, _) = setting.name.split_once('.').unwrap_or(("", setting.name));
        if section != Some(mine) {
            section = Some(mine);
            let title = if mine.is_empty() { "## Where and what".to_owned() } else { format!("## [{mine}]") };
            let head = "| setting | default | what it is | takes | variable, flag |\n|---|---|---|---|---|";
            let _ = writeln!(tables, "\n{title}\n\n{head}");
        }
        let default = setting.read(&Config::default());
        let flag = setting.flag.map_or(String::new(), |(flag, _)| format!("<br>`--{flag}`"));
        let _ = writeln!(
            tables,
            "| `{}` | `{default}` | {} | {} | `{}`{flag} |",
            setting.name,
            setting.about,
            takes(&setting.kind),
            setting.variable()
        );
    }
    PAGE.replace(MARK, tables.trim_start())
}

fn takes(kind: &Kind) -> String {
    plain(&kind.to_string())
}
