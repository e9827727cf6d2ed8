//! Texts that no author would write: cut off, with a byte exchanged, far too deep or far too long. The checker
//! answers every one, and everything it says can be shown.

use tidewire::schema::{Color, MOST_DIAGNOSTICS, SourceFile, check};

use super::{errors, shipped, source};

/// The shipped files and a JSON file with the same ingredients, by the name each is checked under.
fn seeds() -> Vec<(String, String)> {
    let json = r#"{"entity": "Täsk", "label": "t", "fields": {"t": {"type": "text", "max": 2e1, "default": "\u00e4"},
        "r": {"type": "ref", "entity": "User", "on_delete": "cascade"}, "e": {"type": "enum", "values": ["a", "b"]}},
        "access": {"read": "true"}, "index": [{"fields": ["e"]}]}"#;
    let mut seeds: Vec<_> = shipped().into_iter().map(|file| ("a.toml".to_owned(), file.text)).collect();
    seeds.push(("a.json".to_owned(), json.to_owned()));
    seeds
}

/// Checks and shows; what comes out may be anything but a panic.
fn survives(sources: &[SourceFile]) {
    if let Err(errors) = check(sources) {
        assert!(!errors.is_empty(), "a refusal says why");
        assert!(errors.to_string().contains("error[E"));
        for error in errors.to_json().as_array().expect("an array") {
            assert!(error["line"].as_u64() >= Some(1) && error["endLine"].as_u64() >= error["line"].as_u64());
        }
    }
}

#[test]
fn every_beginning_of_a_file_is_answered() {
    for (name, text) in seeds() {
        for (end, _) in text.char_indices() {
            survives(&[source(&name, &text[..end])]);
        }
    }
}

#[test]
fn every_exchanged_character_is_answered() {
    for (name, text) in seeds() {
        for (at, letter) in text.char_indices() {
            for other in ["", "\"", "{", "]", "=", "\n", "\0", "0", "é", "\u{1b}"] {
                let changed = format!("{}{other}{}", &text[..at], &text[at + letter.len_utf8()..]);
                survives(&[source(&name, &changed)]);
            }
        }
    }
}

#[test]
fn deep_and_long_texts_are_answered() {
    let head = "entity = \"A\"\n[fields]\nf = { type = \"json\", default = ";
    let texts = [
        ("a.toml", format!("{head}{}", "[".repeat(500_000))),
        ("a.toml", format!("{head}{}", "{a=".repeat(200_000))),
        ("a.toml", format!("{}a = 1", "a.".repeat(400_000))),
        ("a.toml", format!("[{}a]", "a.".repeat(400_000))),
        ("a.toml", format!("{} = 1", "a".repeat(1_000_000))),
        ("a.json", "[".repeat(1_000_000)),
        ("a.json", "{\"a\":".repeat(200_000)),
        ("a.json", format!("{{\"entity\": \"{}\"}}", "é".repeat(400_000))),
        ("a.json", "\"\\ud800\"".to_owned()),
    ];
    for (name, text) in texts {
        survives(&[source(name, &text)]);
        assert!(errors(&[source(name, &text)]).len() <= 10, "one fault is not told a hundred times");
    }
}

#[test]
fn errors_beyond_the_limit_are_counted_and_not_kept() {
    let lines: String = (0..5_000).map(|at| format!("key{at} = 1\n")).collect();
    let errors = errors(&[source("a.toml", &lines)]);
    // One for each key, one for the missing name.
    assert_eq!(errors.len(), 5_001);
    assert_eq!(errors.to_json().as_array().map(Vec::len), Some(MOST_DIAGNOSTICS));
    assert!(errors.to_string().contains("... and 4801 more"));
}

#[test]
fn a_file_cannot_steer_the_terminal() {
    let toml = "entity = \"A\\u001b[2J\"\n\"\\u001b[31m\" = 1\n\"\\u202e\" = 2\n[fields]\nf = { type = \"\\u001b]0;x\\u0007\" }";
    let json = "{\"entity\": \"A\", \"fields\": {\"f\": {\"type\": \"\u{202e}txet\"}}}";
    for file in [source("a.toml", toml), source("a.json", json), source("b\u{1b}[2J.toml", "")] {
        let shown = errors(&[file]).render(Color::Never);
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown:?}");
    }
}
