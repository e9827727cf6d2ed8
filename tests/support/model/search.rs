//! The model's full-text search: words of small letters without accents, found by their beginnings.

use tidewire::schema::{Entity, Record, Value};

/// Whether each word begins some words of a searched field.
pub(super) fn finds(entity: &Entity, record: &Record, search: &[String]) -> bool {
    let texts = entity.fields.iter().zip(&record.values).filter(|(field, _)| field.search);
    let texts: Vec<Vec<String>> = texts
        .filter_map(|(_, value)| if let Value::Text(text) = value { Some(tokens(text)) } else { None })
        .collect();
    search.iter().all(|word| texts.iter().any(|text| holds(text, &tokens(word))))
}

/// As far as the stories use any accents.
fn tokens(text: &str) -> Vec<String> {
    let plain = |letter: char| match letter {
        '\u{e9}' | '\u{e8}' | '\u{c9}' => 'e',
        '\u{e4}' | '\u{c4}' => 'a',
        other => other,
    };
    // An accent of its own belongs to the letter before it.
    let letters = text.chars().filter(|letter| *letter != '\u{301}');
    let plain: String = letters.map(plain).collect::<String>().to_lowercase();
    let words = plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

/// Whether the words are in the text one after the other, the last one at least begun.
fn holds(text: &[String], words: &[String]) -> bool {
    let Some((last, before)) = words.split_last() else { return false };
    text.windows(words.len())
        .any(|window| window[..before.len()] == *before && window[before.len()].starts_with(last.as_str()))
}
