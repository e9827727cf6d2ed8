//! The floors of ARCHITECTURE.md: a module uses only floors below its own, and a few names stay where they belong.
//!
//! Inside a folder the parts stand on no floors, but imports between them are no circle either. The rule:
//!
//! - A file `x.rs` and its folder `x/` are one part. What anything in it imports, the part imports.
//! - The file of the folder itself (`mod.rs`, or `x.rs` beside `x/`) is a part too. A part may import what this file defines,
//!   if the file only declares the part: who uses its parts gives them nothing of its own.
//! - A name that a file only passes on (`pub use part::Name`, and no other word of it in the file) is not used by the file, and
//!   code that imports it there imports it from where it is defined.
//! - A path in the code (`super::log::read(..)`) is an import. Comments, strings and `#[cfg(test)]` are none: the tests of a
//!   file may build whatever they need.

mod definitions;
mod house;
mod paths;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use house::House;

/// The table in it says which floor a module stands on.
const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");

/// Folders that still have a circle. Only ever shorter.
const KNOTS: &[&str] = &[];

/// Type names that still have several meanings. Only ever shorter.
const DOUBLED: &[&str] = &[];

/// Functions that still take a tuple, each with its file. Only ever shorter.
const TUPLES: &[&str] = &[];

/// Functions that still answer with a tuple, each with its file. Only ever shorter.
const TUPLES_RETURNED: &[&str] = &[
    // The two ends of one thing, as `mpsc::channel` of the standard library.
    "channels/channel_manager.rs start",
    "event_bus.rs new",
    "realtime/lifecycle.rs follow",
    "store/sqlite/committer.rs start",
    // Where it is, and what it is, as `Iterator::enumerate`.
    "repository/nameable.rs field",
    "schema/model.rs field",
    // Names with values, as a map.
    "repository/question.rs parameters",
    "repository/validate.rs changes",
    // What was found, and what is wrong with it.
    "schema/check/rule.rs condition",
    "schema/check/rule/lower.rs lower",
    "schema/check/rule/terms.rs value",
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
            "event_bus/listener.rs",
            "channels/channel_manager.rs",
            "presence/presence_task.rs",
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
    found.sort();
    found
}

/// The floor of each module, from the table of a document: `| 2 | `schema` | .. |`. `None` is above all.
fn floors(document: &str) -> BTreeMap<&str, Option<usize>> {
    let table = document.lines().skip_while(|line| !line.starts_with("| floor ")).skip(2);
    let mut floors = BTreeMap::new();
    for row in table.take_while(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for module in cells[2].split('`').skip(1).step_by(2) {
            let module = module.trim_end_matches(".rs").trim_end_matches('/');
            let floor = cells[1].parse().ok();
            assert!(floor.is_some() || cells[1] == "-", "no floor: {row}");
            assert!(floors.insert(module, floor).is_none(), "{module} stands on two floors");
        }
    }
    floors
}

fn house(sources: &[(String, String)]) -> House {
    House::new(sources.iter().map(|(file, text)| (file.as_str(), text.as_str())))
}

/// What is on a list must still be found: take it off when it is done, so that it cannot come back.
fn only_ever_shorter(list: &[&str], found: &BTreeSet<String>) {
    let done: Vec<_> = list.iter().filter(|entry| !found.contains(**entry)).collect();
    assert!(done.is_empty(), "done, so take it off its list: {done:?}");
}

/// Code without comments, so that prose may name anything.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split("//").next().unwrap_or(""))
}

#[test]
fn no_module_looks_up() {
    let (floors, sources) = (floors(ARCHITECTURE), sources());
    for import in house(&sources).imports() {
        let (Some(module), Some(used)) = (import.from.first(), import.to.first()) else {
            panic!("{}:{} is or uses lib.rs, which only lists the modules", import.file, import.line);
        };
        let floor = |module: &str| {
            let floor = floors.get(module);
            floor.unwrap_or_else(|| panic!("{module} stands on no floor: give it one in ARCHITECTURE.md"))
        };
        let (mine, theirs) = (floor(module), floor(used));
        let is_below = mine.is_none_or(|mine| theirs.is_some_and(|theirs| theirs < mine));
        assert!(
            module == used || is_below,
            "{}:{} (floor {mine:?}) uses {} (floor {theirs:?})",
            import.file,
            import.line,
            import.path
        );
    }
}

#[test]
fn the_floors_of_the_document_are_the_modules_of_the_house() {
    let built: BTreeSet<String> =
        sources().iter().map(|(file, _)| file.split(['/', '.']).next().unwrap().to_owned()).collect();
    let planned: BTreeSet<String> =
        floors(ARCHITECTURE).into_keys().chain(["lib"]).map(str::to_owned).collect();
    assert_eq!(planned, built);
}

#[test]
fn imports_inside_a_folder_are_no_circle() {
    let circles = house(&sources()).circles();
    let unknown = circles.iter().filter(|(folder, _)| !KNOTS.contains(&folder.as_str()));
    let told: Vec<String> = unknown
        .map(|(folder, lines)| {
            format!("the parts of runtime/{folder} import each other in a circle:\n{}", lines.join("\n"))
        })
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    only_ever_shorter(KNOTS, &circles.into_keys().collect());
}

#[test]
fn a_type_name_has_one_meaning() {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, text) in sources() {
        for name in definitions::types_of(&text) {
            files.entry(name).or_default().push(file.clone());
        }
    }
    files.retain(|_, files| files.len() > 1);
    let unknown = files.iter().filter(|(name, _)| !DOUBLED.contains(&name.as_str()));
    let told: Vec<String> =
        unknown.map(|(name, files)| format!("{name} is defined in {}", files.join(", "))).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
    only_ever_shorter(DOUBLED, &files.into_keys().collect());
}

#[test]
fn no_function_takes_a_tuple() {
    let taking = sources().into_iter().flat_map(|(file, text)| {
        let functions = definitions::functions_that_take_a_tuple(&text);
        functions.into_iter().map(move |function| format!("{file} {function}"))
    });
    let taking: BTreeSet<String> = taking.collect();
    for function in &taking {
        let is_known = TUPLES.contains(&function.as_str());
        assert!(is_known, "{function} takes a tuple: name it, or take its parts");
    }
    only_ever_shorter(TUPLES, &taking);
}

#[test]
fn no_public_function_answers_with_a_tuple() {
    let returning = sources().into_iter().flat_map(|(file, text)| {
        let functions = definitions::functions_that_return_a_tuple(&text);
        functions.into_iter().map(move |function| format!("{file} {function}"))
    });
    let returning: BTreeSet<String> = returning.collect();
    let found: Vec<_> = returning.iter().filter(|one| !TUPLES_RETURNED.contains(&one.as_str())).collect();
    assert!(found.is_empty(), "answer with a tuple, whose parts want names: {found:?}");
    only_ever_shorter(TUPLES_RETURNED, &returning);
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

/// What rules, cascades and rights are spoken of with. Each is written once, in `store/unit` and `store/reading`.
const PRODUCT_WORDS: &[&str] = &[
    "evaluate(",
    ".grants(",
    "Forbidden",
    "Restricted",
    "UnknownReference",
    "NotUnique",
    "CascadeTooLarge",
    "MutationReused",
    "OnDelete",
    "Proposal",
    "Principal::",
    "hidden(",
    "is_closed(&",
    "ReadScope::bind",
    "Needs::of",
    "Asker::Person",
    "LookupReach",
];

/// Files of `store/sqlite` that may use some of them: the stored form of a schema.
const USE_PRODUCT_WORDS: &[&str] = &["evolution/stored_schema.rs"];

#[test]
fn the_database_knows_no_rule_of_the_product() {
    for (file, text) in sources() {
        let Some(name) = file.strip_prefix("store/sqlite/") else { continue };
        let text = text.split("#[cfg(test)]").next().unwrap();
        for word in PRODUCT_WORDS {
            let used = code(text).any(|line| line.contains(word));
            assert!(
                !used || USE_PRODUCT_WORDS.contains(&name),
                "{file} says {word}: a rule of the product is written once"
            );
        }
    }
}

/// The database program is named by its own folder, by the place that chooses it, and where that folder is declared. Texts of
/// messages and comments may name it.
#[test]
fn only_the_choice_of_a_database_knows_which_there_are() {
    let places = ["store/sqlite/", "store/choice.rs"];
    for (file, text) in
        sources().iter().filter(|(file, _)| !places.iter().any(|place| file.starts_with(place)))
    {
        let tokens = tokens::tokens(text);
        let named =
            tokens.iter().filter(|token| token.is_name() && token.text.to_lowercase().contains("sqlite"));
        let lines: Vec<usize> = named.map(|token| token.line).collect();
        let declared = usize::from(file == "store/mod.rs");
        assert!(lines.len() <= declared, "{file} names SQLite in the lines {lines:?}");
    }
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{file} has no `//!` on top");
    }
}
