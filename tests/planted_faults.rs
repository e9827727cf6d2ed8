//! What is owed by the patches of `tests/faults`, as far as it can be seen without planting them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Faults in what only SQLite asks of a unit: whether it needs a savepoint.
const OF_SQLITE_ALONE: [&str; 1] = ["a-propagation-without-a-savepoint"];

struct PlantedFault {
    name: String,
    /// Tests that it turns red.
    red: Vec<String>,
    patch: String,
}

fn all() -> Vec<PlantedFault> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let patches = files.filter(|path| path.extension().is_some_and(|end| end == "patch"));
    let read = |path: std::path::PathBuf| {
        let patch = fs::read_to_string(&path).unwrap();
        let first = patch.lines().next().and_then(|line| line.strip_prefix("# red: ")).unwrap_or_default();
        let red = first.split_whitespace().map(str::to_owned).collect();
        PlantedFault { name: path.file_stem().unwrap().to_string_lossy().into_owned(), red, patch }
    };
    patches.map(read).collect()
}

#[test]
fn every_planted_fault_names_a_test_and_changes_something() {
    let harmless = |fault: &PlantedFault| {
        let changes = fault.patch.lines().any(|line| line.starts_with("@@ "));
        let is_merged = !fault.patch.contains("<<<<<<<") && !fault.patch.contains("diff --cc");
        fault.red.is_empty() || !changes || !is_merged
    };
    let wrong: Vec<String> = all().into_iter().filter(harmless).map(|fault| fault.name).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whoever changes a line that a fault stands on, moves the fault too.
#[test]
fn every_planted_fault_can_be_planted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let applies = |fault: &PlantedFault| {
        let patch = format!("tests/faults/{}.patch", fault.name);
        let git =
            Command::new("git").args(["apply", "--check", "--recount", &patch]).current_dir(root).output();
        git.expect("this check needs git").status.success()
    };
    let wrong: Vec<String> =
        all().into_iter().filter(|fault| !applies(fault)).map(|fault| fault.name).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

/// The logic of a unit is shared, so what breaks it breaks it wherever its writes are held.
#[test]
fn a_fault_in_a_unit_is_red_on_every_backend_that_shares_its_logic() {
    let lacks_one = |fault: &PlantedFault| {
        let in_a_unit = !OF_SQLITE_ALONE.contains(&&*fault.name)
            && fault.patch.lines().any(|line| line.starts_with("+++ b/runtime/store/unit/"));
        let mut stories =
            fault.red.iter().filter_map(|test| test.strip_prefix("store_conformance::sqlite::"));
        in_a_unit && stories.any(|story| !fault.red.contains(&format!("store_conformance::overlay::{story}")))
    };
    let wrong: Vec<String> = all().into_iter().filter(lacks_one).map(|fault| fault.name).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

/// The text of `tests/MODULE.rs` and of every file below `tests/MODULE/`; `lib` is the program itself.
fn module(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = root.join("tests");
    let mut text = fs::read_to_string(tests.join(format!("{name}.rs"))).unwrap_or_default();
    let mut folders: Vec<PathBuf> = vec![if name == "lib" { root.join("runtime") } else { tests.join(name) }];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

/// Some tests are functions of a list that a macro runs for each backend, so only the word is looked for.
#[test]
fn every_planted_fault_names_tests_that_exist() {
    let faults = all();
    assert!(faults.len() > 100, "only {} patches were found", faults.len());
    for PlantedFault { name, red, .. } in &faults {
        for test in red {
            let (first, rest) =
                test.split_once("::").unwrap_or_else(|| panic!("{name}: {test} has no module"));
            let function = rest.rsplit("::").next().unwrap_or(rest);
            let text = module(first);
            let mut words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
            assert!(words.any(|word| word == function), "{name}: there is no test {test}");
        }
    }
}
