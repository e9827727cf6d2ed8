//! How names of entities, plurals and fields must look, and what a name probably should have been.
//!
//! Knows no tree: text in, problem or nothing out.

use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::quoted;
use crate::schema::tree::Span;

/// Longest name in characters, all of them ASCII.
pub(in crate::schema) const LONGEST: usize = 64;

/// First segments of `/api/…` that are not entities.
pub(in crate::schema) const API_WORDS: &[&str] =
    &["activity", "batch", "changes", "realtime", "schema", "openapi.json", "types.d.ts", "admin", "auth"];

/// What every record has beside its fields.
pub(in crate::schema) const RECORD_FIELDS: &[&str] = &["id", "version", "created_at", "updated_at"];

/// What an answer puts into a record beside its fields, where the request asks for it.
pub(in crate::schema) const ANSWER_WORDS: &[&str] = &["expanded"];

/// What rules find under `user` beside the fields of `User` and the records of a person.
pub(in crate::schema) const USER_WORDS: &[&str] = &["claims"];

/// Names that every JavaScript object has already.
pub(in crate::schema) const JS_WORDS: &[&str] = &["__proto__", "constructor", "prototype"];

pub(super) fn entity(name: &str, span: &Span) -> Option<Diagnostic> {
    let starts_well = name.starts_with(|letter: char| letter.is_ascii_uppercase());
    if starts_well && name.len() <= LONGEST && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let problem = Diagnostic::new(
        DiagnosticCode::EntityName,
        span.clone(),
        format!("{} is not an entity name", quoted(name)),
    );
    let better = pascal_case(name);
    let help = match !name.is_ascii() || better.is_empty() || better.len() > LONGEST {
        true => format!("PascalCase: a capital, then ASCII letters and digits, at most {LONGEST}"),
        false => format!("names of entities are PascalCase: {}", quoted(&better)),
    };
    Some(problem.label("not PascalCase").help(help))
}

pub(super) fn plural(plural: &str, span: &Span) -> Option<Diagnostic> {
    if !is_snake_case(plural) {
        let message = format!("{} is not a plural", quoted(plural));
        let problem = Diagnostic::new(DiagnosticCode::Plural, span.clone(), message).label("not snake_case");
        return Some(problem.help(snake_help(plural)));
    }
    if API_WORDS.contains(&plural) || plural.starts_with("sqlite_") {
        let taken = if API_WORDS.contains(&plural) { "the API" } else { "the database" };
        let message = format!("{taken} uses the word {} itself", quoted(plural));
        let help = format!(
            "give another one: plural = \"{}_records\"",
            plural.trim_start_matches("sqlite_").trim_end_matches('s')
        );
        return Some(
            Diagnostic::new(DiagnosticCode::ReservedPlural, span.clone(), message)
                .label("reserved")
                .help(help),
        );
    }
    None
}

pub(super) fn field(name: &str, span: &Span) -> Option<Diagnostic> {
    if ANSWER_WORDS.contains(&name) {
        let message = format!("the API puts a member {} into records itself, for `?expand=`", quoted(name));
        let problem = Diagnostic::new(DiagnosticCode::ReservedField, span.clone(), message).label("reserved");
        let help = format!(
            "choose another name; where records have values in it: new_name = {{ …, was = \"{name}\" }}"
        );
        return Some(problem.help(help));
    }
    former_field(name, span)
}

/// A field of `User`, which rules name as `user.…`.
pub(super) fn field_of_user(name: &str, span: &Span) -> Option<Diagnostic> {
    if !USER_WORDS.contains(&name) {
        return None;
    }
    let message = format!("{} cannot be a field of `User`", quoted(name));
    let problem = Diagnostic::new(DiagnosticCode::ReservedField, span.clone(), message).label("reserved");
    Some(problem.help(format!("in rules `user.{name}` is what the credentials say: choose another name")))
}

/// A name that a field had before. The words of answers were not always reserved.
pub(super) fn former_field(name: &str, span: &Span) -> Option<Diagnostic> {
    if RECORD_FIELDS.contains(&name) {
        let message = format!("every record has a field {} already", quoted(name));
        let problem = Diagnostic::new(DiagnosticCode::ReservedField, span.clone(), message).label("reserved");
        return Some(problem.help("remove it, or choose another name"));
    }
    if JS_WORDS.contains(&name) {
        let message = format!("{} cannot be the name of a field", quoted(name));
        let problem = Diagnostic::new(DiagnosticCode::FieldName, span.clone(), message)
            .label("means something to JavaScript");
        return Some(problem.help("choose another name"));
    }
    if is_snake_case(name) {
        return None;
    }
    let message = format!("{} is not a field name", quoted(name));
    Some(
        Diagnostic::new(DiagnosticCode::FieldName, span.clone(), message)
            .label("not snake_case")
            .help(snake_help(name)),
    )
}

/// A field or an entity that was renamed into itself.
pub(super) fn was_itself(name: &str, span: &Span) -> Diagnostic {
    let message = format!("{} already has this name", quoted(name));
    Diagnostic::new(DiagnosticCode::Was, span.clone(), message)
        .label("its present name")
        .help("remove `was`, or write the former name")
}

fn snake_help(name: &str) -> String {
    let better = snake_case(name);
    match is_snake_case(&better) {
        true => format!("write {}", quoted(&better)),
        false => format!("snake_case: an ASCII letter, then a-z, 0-9 and _, at most {LONGEST}"),
    }
}

fn is_snake_case(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name.len() <= LONGEST
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// `HTTPRequest` → `http_request`: a word begins at a capital after a small letter or digit, and at the last capital
/// of several when a small letter follows.
pub(super) fn snake_case(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|previous| letters[previous]);
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                let next_small = letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
                before.is_ascii_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_ascii_uppercase() && next_small)
            });
        if begins {
            snake.push('_');
        }
        match letter {
            ' ' | '-' | '.' => snake.push('_'),
            other => snake.push(other.to_ascii_lowercase()),
        }
    }
    snake
}

/// `task_item` → `TaskItem`; empty if nothing usable is left.
fn pascal_case(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined: String = words.map(|word| word[..1].to_ascii_uppercase() + &word[1..]).collect();
    joined.trim_start_matches(|letter: char| letter.is_ascii_digit()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_names() {
        for (name, snake) in [
            ("Task", "task"),
            ("TimeEntry", "time_entry"),
            ("HTTPRequest", "http_request"),
            ("V2Item", "v2_item"),
        ] {
            assert_eq!(snake_case(name), snake);
        }
        assert_eq!(pascal_case("time-entry"), "TimeEntry");
        assert_eq!(pascal_case("ünï"), "N");
    }
}
