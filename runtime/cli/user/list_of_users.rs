//! A CSV file of users: which of them can be made, and what is wrong with which line. Nothing is made of a file with a mistake.
//!
//! Knows no vault and makes no user.

use std::collections::HashMap;
use std::io::Read;

use crate::identity::LoginName;
use crate::ids::shown;

/// Lines of a file at most.
const MOST: usize = 100_000;
/// Characters of a role.
const LONGEST_ROLE: usize = 64;

/// A line of the file.
#[derive(Debug)]
pub(super) struct WantedUser {
    pub(super) line: u64,
    pub(super) name: LoginName,
    pub(super) role: Option<String>,
    /// None: its user gets a link.
    pub(super) password: Option<String>,
}

/// A mistake of the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineFault {
    pub(super) line: u64,
    pub(super) message: String,
}

/// Where the file comes from. Passwords in the clear may come through a pipe, but must not lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListSource {
    File,
    Stdin,
}

/// The columns by their place.
struct Columns {
    name: usize,
    role: Option<usize>,
    password: Option<usize>,
    count: usize,
}

/// Every user of the file, or all of its mistakes.
pub(super) fn read(mut input: impl Read, source: ListSource) -> Result<Vec<WantedUser>, Vec<LineFault>> {
    let mut bytes = Vec::new();
    if let Err(error) = input.read_to_end(&mut bytes) {
        return Err(vec![LineFault { line: 1, message: format!("cannot be read: {error}") }]);
    }
    let mut rows = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(&*bytes);
    let (mut users, mut faults) = (Vec::new(), Vec::new());
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut columns: Option<Columns> = None;
    for row in rows.records() {
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                faults.push(LineFault { line, message: "is not CSV in UTF-8".to_owned() });
                break;
            }
        };
        let line = row.position().map_or(1, |position| line_of(&bytes, position));
        let Some(columns) = &columns else {
            match header(&row, source) {
                Ok(found) => columns = Some(found),
                Err(messages) => {
                    return Err(messages.into_iter().map(|message| LineFault { line, message }).collect());
                }
            }
            continue;
        };
        if users.len() >= MOST {
            faults.push(LineFault { line, message: format!("is beyond {MOST} users: use several files") });
            break;
        }
        match user(&row, columns, line) {
            Ok(user) => {
                if let Some(first) = seen.insert(user.name.key().to_owned(), line) {
                    let message =
                        format!("the name `{}` is in line {first} already", shown(user.name.text()));
                    faults.push(LineFault { line, message });
                }
                users.push(user);
            }
            Err(message) => faults.push(LineFault { line, message }),
        }
    }
    if columns.is_none() && faults.is_empty() {
        let message = "the file is empty: its first line names the columns, such as name,role".to_owned();
        faults.push(LineFault { line: 1, message });
    }
    if faults.is_empty() { Ok(users) } else { Err(faults) }
}

/// A row is said to begin where the one before it ended, so what is left of that line end, and empty lines, stand before it.
fn line_of(bytes: &[u8], position: &csv::Position) -> u64 {
    let start = usize::try_from(position.byte()).unwrap_or(bytes.len()).min(bytes.len());
    let before = bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + before.filter(|byte| **byte == b'\n').count() as u64
}

fn header(row: &csv::StringRecord, source: ListSource) -> Result<Columns, Vec<String>> {
    let names: Vec<&str> = row.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
    let at = |wanted: &str| names.iter().position(|name| *name == wanted);
    let mut faults = Vec::new();
    for (place, name) in names.iter().enumerate() {
        if !["name", "role", "password"].contains(name) {
            faults.push(format!("`{}` is no column of users: use name, role and password", shown(name)));
        } else if at(name) != Some(place) {
            faults.push(format!("the column `{name}` is there twice"));
        }
    }
    if at("password").is_some() && source == ListSource::File {
        faults.push(
            "a file must not hold passwords in the clear: leave the column out, and each user gets a link; \
             or send the list through stdin, with `-` in place of the file"
                .to_owned(),
        );
    }
    match at("name") {
        Some(name) if faults.is_empty() => {
            Ok(Columns { name, role: at("role"), password: at("password"), count: names.len() })
        }
        Some(_) => Err(faults),
        None => {
            faults.push(
                "there is no column `name`: the first line names the columns, such as name,role".to_owned(),
            );
            Err(faults)
        }
    }
}

fn user(row: &csv::StringRecord, columns: &Columns, line: u64) -> Result<WantedUser, String> {
    if row.len() != columns.count {
        let (cells, count) = (row.len(), columns.count);
        return Err(format!("has {cells} cells, but the first line names {count} columns"));
    }
    let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).filter(|text| !text.is_empty());
    let text = row.get(columns.name).unwrap_or_default();
    let name = LoginName::parse(text)
        .map_err(|fault| format!("the name `{}` {fault}", shown(&text.escape_debug().to_string())))?;
    let role = cell(columns.role);
    if let Some(role) = role
        && (role.chars().count() > LONGEST_ROLE || role.chars().any(char::is_control))
    {
        return Err(format!(
            "the role `{}` is longer than {LONGEST_ROLE} characters, or has control characters",
            shown(role)
        ));
    }
    let password = cell(columns.password).map(str::to_owned);
    Ok(WantedUser { line, name, role: role.map(str::to_owned), password })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str, source: ListSource) -> Vec<String> {
        let faults = read(text.as_bytes(), source).expect_err("the list is refused");
        faults.into_iter().map(|fault| format!("{}: {}", fault.line, fault.message)).collect()
    }

    #[test]
    fn users_are_read_by_their_columns_in_any_order() {
        let text = "\u{feff}role,name\r\nadmin,Ada\n,\"ben, of the harbour\"\n";
        let users = read(text.as_bytes(), ListSource::File).unwrap();
        let shown: Vec<(u64, &str, Option<&str>)> =
            users.iter().map(|user| (user.line, user.name.text(), user.role.as_deref())).collect();
        assert_eq!(shown, [(2, "Ada", Some("admin")), (3, "ben, of the harbour", None)]);
        let with_password = read("name,password\nada,correct horse\n".as_bytes(), ListSource::Stdin).unwrap();
        assert_eq!(with_password[0].password.as_deref(), Some("correct horse"));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        for (text, expected) in [
            ("", vec!["1: the file is empty"]),
            ("nom,role\n", vec!["1: `nom` is no column", "1: there is no column `name`"]),
            ("name,name\nada,ada\n", vec!["1: the column `name` is there twice"]),
            ("name,password\nada,x\n", vec!["1: a file must not hold passwords"]),
            (
                "name,role\nada\n\"a\nb\",x\nben,x,y\n eve,\nADA,\nAda,\n",
                vec![
                    "2: has 1 cells",
                    "3: the name `a\\nb` has a control character",
                    "5: has 3 cells",
                    "6: the name ` eve` begins or ends with a space",
                    "8: the name `Ada` is in line 7 already",
                ],
            ),
            (&format!("name,role\nada,{}\n", "x".repeat(65)), vec!["2: the role"]),
            ("name\nguest:7\n\n", vec!["2: the name `guest:7` begins with `guest:`"]),
        ] {
            let told = faults(text, ListSource::File);
            assert_eq!(told.len(), expected.len(), "{text:?}: {told:?}");
            for (told, expected) in told.iter().zip(expected) {
                assert!(told.starts_with(expected), "{text:?}: {told} is not {expected}");
            }
        }
        let not_text = read(&b"name\n\xff\n"[..], ListSource::File).unwrap_err();
        assert_eq!(not_text[0].line, 2);
    }
}
