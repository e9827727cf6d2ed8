//! Every line that a server of any story logs, in this process or in one that a story started, searched for secrets: tokens, links,
//! tickets, and the passwords of the stories. A secret in a line fails the story that ends next, with the line.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::{Mutex, Once};

/// Passwords of the stories. Their texts are nowhere else.
const PASSWORDS: [&str; 2] = ["correct horse", "another horse"];
/// Letters of a secret behind its beginning.
const LETTERS: usize = 43;

/// Lines of this process that hold a secret.
static LEAKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Looks, when it goes, whether anything has leaked so far. A story holds one for as long as its server runs.
#[derive(Debug)]
pub struct LogWatch(Option<File>);

impl LogWatch {
    /// Of a server in this process. From the first on, everything that the product logs is searched.
    pub fn here() -> LogWatch {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let filter = tracing_subscriber::EnvFilter::new("warn,tidewire=debug");
            let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
            // A story that listens by itself has its own.
            let _ = log.with_writer(|| SearchedLines).try_init();
        });
        LogWatch(None)
    }

    /// Of a process that writes its log into this file.
    pub fn of(log: File) -> LogWatch {
        LogWatch(Some(log))
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        let mut found = std::mem::take(&mut *LEAKS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        if let Some(log) = &mut self.0 {
            let mut bytes = Vec::new();
            if log.rewind().and_then(|()| log.read_to_end(&mut bytes)).is_ok() {
                found.extend(leaks(&String::from_utf8_lossy(&bytes)));
            }
        }
        if !std::thread::panicking() {
            assert!(found.is_empty(), "secrets are in the log: {found:#?}");
        }
    }
}

/// One line for each write of the log.
struct SearchedLines;

impl Write for SearchedLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let found = leaks(&String::from_utf8_lossy(bytes));
        if !found.is_empty() {
            LEAKS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).extend(found);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines with a secret.
fn leaks(text: &str) -> Vec<String> {
    text.lines().filter(|line| has_secret(line)).map(str::to_owned).collect()
}

fn has_secret(line: &str) -> bool {
    PASSWORDS.iter().any(|password| line.contains(password)) || has_token(line) || has_jwt(line)
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// `tws_`, `twl_`, `twt_` and the like, with 43 letters behind it.
fn has_token(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.windows(4 + LETTERS).any(|part| {
        part.starts_with(b"tw")
            && part[2].is_ascii_lowercase()
            && part[3] == b'_'
            && part[4..].iter().copied().all(is_letter)
    })
}

/// `eyJ….….`: the head of a signed token.
fn has_jwt(line: &str) -> bool {
    line.match_indices("eyJ").any(|(at, _)| {
        let rest = &line.as_bytes()[at..];
        let head = rest.iter().take_while(|byte| is_letter(**byte)).count();
        let body = rest[head..].iter().skip(1).take_while(|byte| is_letter(**byte)).count();
        head > 10 && rest.get(head) == Some(&b'.') && body > 10
    })
}

#[test]
fn a_secret_is_found_in_a_line_and_other_texts_are_none() {
    let token = "a".repeat(LETTERS);
    for line in [
        format!("request refused path=/ws?token=tws_{token}"),
        format!("Bearer twt_{token}\""),
        format!("x#twl_{token} y"),
        "body {\"password\":\"correct horse\"}".to_owned(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ.".to_owned(),
    ] {
        assert_eq!(leaks(&format!("first\n{line}\nlast")), [line.as_str()]);
    }
    for line in ["tws_short", "request answered route=/api/auth/login status=200", "eyJ.eyJ", "tw__", ""] {
        assert!(leaks(line).is_empty(), "{line}");
    }
}
