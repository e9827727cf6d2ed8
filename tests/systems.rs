//! Five systems that real teams built by hand, each said in schema files alone: a board with a chat, the same for many
//! organisations, drafts that several people write, tasks with comments, workspaces with invitations.
//!
//! Each has its folder of schema files with their cases, and its story over real sockets. The stories know the product
//! from outside only.

mod board;
mod drafts;
mod tasks;
mod tenants;
mod workspaces;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tidewire::schema::Schema;

use crate::support::clock::HandClock;
use crate::support::process::{ended, tidewire};
use crate::support::story::Story;

const SYSTEMS: [&str; 5] = ["board", "drafts", "tasks", "tenants", "workspaces"];

/// Three of them are example apps, and served with a page of their own.
fn folder(system: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match system {
        "board" | "drafts" | "workspaces" => root.join("examples").join(system).join("schemas"),
        _ => root.join("tests/systems").join(system),
    }
}

/// Serves the schema files of a system.
async fn story(system: &str) -> Story {
    Story::over(schema(system)).await
}

/// The same by a clock that the story sets.
async fn story_at(system: &str, clock: &HandClock) -> Story {
    Story::at(schema(system), clock.env()).await
}

fn schema(system: &str) -> Schema {
    let loaded = tidewire::schema::load(&folder(system)).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings.codes().count(), 0, "{}", loaded.warnings);
    loaded.schema
}

fn only(id: &str) -> BTreeSet<String> {
    BTreeSet::from([id.to_owned()])
}

#[test]
fn every_folder_of_a_system_is_among_the_five() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let folders = entries.filter(|path| path.is_dir());
        folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let mut named = names("tests/systems");
    named.extend(names("examples"));
    let mut expected = BTreeSet::from(SYSTEMS.map(str::to_owned));
    expected.insert("todo".to_owned());
    assert_eq!(named, expected);
}

#[tokio::test]
async fn check_has_nothing_to_say_about_the_five_systems() {
    for system in SYSTEMS {
        let told = ended(tidewire(&folder(system)).args(["check", "--schemas"]).arg(folder(system))).await;
        assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{system}: {}", told.stdout);
        assert!(told.stdout.ends_with(" entities, no errors\n"), "{system}: {}", told.stdout);
    }
}

#[tokio::test]
async fn the_cases_of_the_five_systems_come_out_as_expected() {
    for system in SYSTEMS {
        let told =
            ended(tidewire(&folder(system)).args(["rules", "test", "--schemas"]).arg(folder(system))).await;
        assert_eq!((told.code, told.stderr.as_str()), (0, ""), "{system}: {}", told.stdout);
        assert!(told.stdout.ends_with(" cases, all as expected\n"), "{system}: {}", told.stdout);
    }
}
