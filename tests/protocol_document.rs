//! docs/protocol.md, static/codes.js and the protocol's source move together.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tidewire::protocol::{CloseCode, Code, ENDS_SUBSCRIPTION, Retry};

const DOCUMENT: &str = include_str!("../docs/protocol.md");

/// The sources whose change must be thought through in the document.
const SOURCES: [&str; 5] = [
    include_str!("../runtime/protocol/channel_name.rs"),
    include_str!("../runtime/protocol/client_frame.rs"),
    include_str!("../runtime/protocol/codes.rs"),
    include_str!("../runtime/protocol/server_frame.rs"),
    include_str!("../runtime/protocol/view.rs"),
];

#[test]
fn the_document_names_every_error_code_with_its_hint() {
    let documented: Vec<&str> = DOCUMENT.lines().filter(|line| line.starts_with("| `")).collect();
    for code in Code::ALL {
        let retry = if code.retry() == Retry::Later { "yes" } else { "no" };
        let row = format!("| `{}` | {retry} | {} |", code.as_str(), code.hint());
        assert!(documented.contains(&row.as_str()), "docs/protocol.md lacks this row:\n{row}");
    }
}

#[test]
fn the_document_names_every_close_code() {
    for code in CloseCode::ALL {
        let row = format!("| {} | {} |", code.number(), code.reason());
        assert!(DOCUMENT.contains(&row), "docs/protocol.md lacks this row:\n{row}");
    }
}

#[test]
fn the_document_names_every_code_that_ends_a_subscription() {
    let (_, section) = DOCUMENT.split_once("### When a subscription ends").expect("the section is there");
    let section = section.split("\n\n").take(3).collect::<String>();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let mut named: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let mut known: Vec<&str> = ENDS_SUBSCRIPTION.iter().map(|code| code.as_str()).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}

#[test]
fn the_document_was_read_again_when_the_protocol_changed() {
    let mut digest = Sha256::new();
    for source in SOURCES {
        digest.update(source);
    }
    let hash = digest.finalize().iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let line = format!("<!-- protocol source: {hash} -->");
    assert!(
        DOCUMENT.contains(&line),
        "the protocol's source changed: read docs/protocol.md against it, then end the page with\n{line}"
    );
}
