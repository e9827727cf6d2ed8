//! The patches of `tests/faults`: the first line of each names the tests that must fail with it. Here only the names are
//! checked; `tests/faults/run` plants the faults.

use std::fs;
use std::path::{Path, PathBuf};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The text of `tests/MODULE.rs` and of every file below `tests/MODULE/`.
fn module(name: &str) -> String {
    let mut text = fs::read_to_string(tests().join(format!("{name}.rs"))).unwrap_or_default();
    let mut folders = vec![tests().join(name)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text += &fs::read_to_string(path).unwrap();
            }
        }
    }
    text
}

#[test]
fn every_planted_fault_names_tests_that_exist() {
    let entries = fs::read_dir(tests().join("faults")).unwrap().map(|entry| entry.unwrap().path());
    let patches: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "patch")).collect();
    assert!(patches.len() > 100, "only {} patches were found", patches.len());
    for patch in patches {
        let (shown, text) = (patch.display(), fs::read_to_string(&patch).unwrap());
        let named = text.lines().next().and_then(|line| line.strip_prefix("# red: "));
        let named = named.unwrap_or_else(|| panic!("{shown}: the first line must be `# red: TEST...`"));
        for test in named.split_whitespace() {
            let (first, rest) =
                test.split_once("::").unwrap_or_else(|| panic!("{shown}: {test} has no module"));
            let function = rest.rsplit("::").next().unwrap_or(rest);
            // Some tests are functions of a list that a macro runs for each backend, so only the word is looked for.
            let text = module(first);
            let mut words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'));
            let exists = words.any(|word| word == function);
            assert!(exists, "{shown}: there is no test {test} in tests/{first}.rs or below tests/{first}/");
        }
    }
}
