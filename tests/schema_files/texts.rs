//! Whole texts of errors, as a person sees them: what is wrong, where, and what to do. The cases are in `texts/*.txt`; to read
//! those files is to review the texts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tidewire::schema::{Format, SourceFile, check};

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
        SourceFile { name: format!("schemas/{name}"), format: Format::Toml, text: text.to_owned() }
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

#[test]
fn every_text_is_as_it_was_reviewed() {
    let (mut titles, mut count) = (BTreeSet::new(), 0);
    for file in ["rules.txt", "tables.txt"] {
        let path = folder().join(file);
        let (head, cases) = read(&std::fs::read_to_string(&path).unwrap());
        let mut written = head;
        for case in &cases {
            assert!(titles.insert(case.title.clone()), "`{}` is there twice", case.title);
            let errors = match check(&case.files) {
                Ok(_) => panic!("nothing is wrong with `{}`", case.title),
                Err(errors) => errors,
            };
            let text = errors.to_string();
            let text = text.trim_end();
            for error in errors.to_json().as_array().unwrap() {
                let [message, help] = ["message", "help"].map(|key| error[key].as_str().unwrap());
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
    assert!(count >= 60, "only {count} texts");
}
