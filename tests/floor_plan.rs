//! The floors of ARCHITECTURE.md: a module uses only floors below its own, and a few names stay where they belong.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by floor; `cli` and `main.rs` stand above all.
const FLOORS: [&[&str]; 12] = [
    &["ids", "config", "draft"],
    &["env"],
    &["schema"],
    &["rules"],
    &["protocol"],
    &["metrics"],
    &["store"],
    &["event_bus", "auth"],
    &["repository", "channels"],
    &["realtime"],
    &["http"],
    &["app"],
];

/// What may be named only in certain places, and where.
const RESERVED: [(&str, &[&str]); 8] = [
    ("rusqlite", &["store/sqlite"]),
    ("axum", &["http", "app.rs"]),
    ("hyper", &["http", "app.rs"]),
    ("prometheus_client", &["metrics"]),
    ("SystemTime", &["env.rs"]),
    // What is written under its name from the beginning is half a file after a crash: `Draft` writes it beside.
    ("fs::write", &[]),
    ("File::create", &[]),
    (
        "tokio::spawn",
        &[
            "store/sqlite/committer.rs",
            "event_bus.rs",
            "channels/channel_manager.rs",
            "http/ws.rs",
            "http/server.rs",
            "app.rs",
        ],
    ),
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 20, "the walk found only {} files", found.len());
    found
}

fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// Code without comments, so that prose may name anything.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or(""))
}

#[test]
fn no_module_looks_up() {
    for (file, text) in sources() {
        let module = module_of(&file);
        let Some(mine) = floor_of(module) else {
            assert!(
                ["lib", "main", "cli"].contains(&module),
                "{file} stands on no floor: give it one in ARCHITECTURE.md"
            );
            continue;
        };
        for line in code(&text) {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                if used == module || used.is_empty() {
                    continue;
                }
                let theirs = floor_of(&used)
                    .unwrap_or_else(|| panic!("{file} uses crate::{used}, which has no floor"));
                assert!(
                    theirs < mine,
                    "{file} (floor {mine}) uses crate::{used} (floor {theirs}): {}",
                    line.trim()
                );
            }
        }
    }
}

#[test]
fn reserved_names_stay_where_they_belong() {
    for (file, text) in sources() {
        for (name, places) in RESERVED {
            let used = code(&text).any(|line| line.contains(name));
            let allowed = places.iter().any(|place| file.starts_with(place));
            assert!(!used || allowed, "{file} names {name}, which belongs into {places:?}");
        }
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{file} has no `//!` on top");
    }
}
