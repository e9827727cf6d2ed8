//! The settings as documents: docs/configuration.md, and a settings file in which everything is a comment.
//!
//! Both come from the table alone.

use std::fmt::Write as _;

use super::{SETTINGS, SettingKind};
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

fn takes(kind: &SettingKind) -> String {
    plain(&kind.to_string())
}

/// A settings file that sets nothing: every setting as a comment, at its default.
pub fn template() -> String {
    let mut text = String::from(
        "# Settings of Tidewire. Every line is a comment that shows the default: take the `# ` away and change the value.\n\
         # TIDEWIRE_* variables and flags win over this file; `tidewire config` prints what is in force, and why.\n\n",
    );
    let mut section = "";
    for setting in SETTINGS {
        let (mine, key) = setting.name.split_once('.').unwrap_or(("", setting.name));
        if section != mine {
            section = mine;
            let _ = writeln!(text, "\n[{mine}]");
        }
        let default = setting.read(&Config::default());
        let _ = writeln!(text, "# {}\n# {key} = {default}", setting.about);
    }
    text
}
