//! Whole texts of errors and warnings, as a person sees them: what is wrong, where, and what to do. The cases are in
//! `texts/*.txt`; to read those files is to review the texts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tidewire::schema::{Diagnostics, Format, SourceFile, load};

/// One case: the files that it adds to those of its text, and what is said of them.
struct Case {
    title: String,
    files: Vec<SourceFile>,
    /// As it stands in the text.
    input: String,
    told: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schema_files/texts")
}

/// The blocks that begin with `--- name.toml`.
fn files(text: &str) -> Vec<SourceFile> {
    let block = |block: &str| {
        let (name, text) = block.split_once('\n').unwrap();
        SourceFile { name: name.to_owned(), format: Format::Toml, text: text.to_owned() }
    };
    text.split("--- ").skip(1).map(block).collect()
}

/// What stands above the first case, and the cases.
fn read(text: &str) -> (String, Vec<Case>) {
    let mut parts = text.split("=== ");
    let head = parts.next().unwrap().to_owned();
    let shared = files(&head);
    let case = |part: &str| {
        let (title, rest) = part.split_once('\n').unwrap();
        let (input, told) = rest.split_once(">>>\n").unwrap_or_else(|| panic!("no >>> in {title}"));
        let own = files(input);
        let replaced = |file: &&SourceFile| own.iter().all(|other| other.name != file.name);
        let mut files: Vec<SourceFile> = shared.iter().filter(replaced).cloned().collect();
        files.extend(own.iter().cloned());
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Case { title: title.to_owned(), files, input: input.to_owned(), told: told.trim_end().to_owned() }
    };
    (head, parts.map(case).collect())
}

/// What `tidewire check` says of the files: all errors, or without any all warnings; as text and as JSON.
fn said(files: &[SourceFile]) -> (String, Vec<serde_json::Value>) {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::write(folder.path().join(&file.name), &file.text).unwrap();
    }
    let said: Diagnostics = load(folder.path()).map_or_else(|errors| errors, |loaded| loaded.warnings);
    let text = said.to_string().replace(&folder.path().display().to_string(), "schemas");
    (text.trim_end().to_owned(), said.to_json().as_array().unwrap().clone())
}

#[test]
fn every_text_is_as_it_was_reviewed() {
    let (mut titles, mut count) = (BTreeSet::new(), 0);
    for file in ["fields.txt", "rules.txt", "tables.txt", "warnings.txt"] {
        let path = folder().join(file);
        let (head, cases) = read(&std::fs::read_to_string(&path).unwrap());
        let mut written = head;
        for case in &cases {
            assert!(titles.insert(case.title.clone()), "`{}` is there twice", case.title);
            let (text, all) = said(&case.files);
            assert!(!all.is_empty(), "nothing is wrong with `{}`", case.title);
            let severity = if file == "warnings.txt" { "warning" } else { "error" };
            for one in all {
                assert_eq!(one["severity"], severity, "{}: {text}", case.title);
                let [message, help] = ["message", "help"].map(|key| one[key].as_str().unwrap());
                assert!(!message.is_empty() && !help.is_empty(), "{}: {text}", case.title);
            }
            written += &format!("=== {}\n{}>>>\n{text}\n\n", case.title, case.input);
            if std::env::var_os("UPDATE_TEXTS").is_none() {
                assert_eq!(text, case.told, "`{}` of {file}", case.title);
            }
            count += 1;
        }
        if std::env::var_os("UPDATE_TEXTS").is_some() {
            std::fs::write(&path, written).unwrap();
        }
    }
    assert!(count >= 140, "only {count} texts");
}
