//! Numbers in a body that are not read back as they were written, and what their fields say to that (docs/schema.md).
//!
//! The JSON parser keeps a number as a 64-bit float and forgets how it was written. So the bytes are scanned before it reads
//! them; the parser then says where the numbers stand that lose something.

use std::fmt;
use std::ops::Range;

use super::value_fault::ValueFault;
use crate::ids::shown;
use crate::schema::FieldKind;
use crate::schema::number::{Fate, fate, is_exactly_a_float, is_integral, is_surely_kept, is_whole, rounded};

/// Numbers beyond this lose digits in JavaScript, and so in half of the clients.
pub(super) const MAX_INT: i64 = (1 << 53) - 1;

/// A number that a 64-bit float changes, and its place in the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inexact {
    pub(super) path: Vec<JsonStep>,
    pub(super) text: String,
}

/// One step from a JSON value into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JsonStep {
    Key(String),
    Index(usize),
}

/// The same as text: `ops[3].data.tags`.
pub(super) struct Path<'a>(pub(super) &'a [JsonStep]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                JsonStep::Key(key) if at == 0 => f.write_str(key)?,
                JsonStep::Key(key) => write!(f, ".{key}")?,
                JsonStep::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A number among all of a body, counted from 0 in the order of the text.
pub(super) struct InexactNumber {
    pub(super) nth: usize,
    pub(super) at: Range<usize>,
    fate: Fate,
}

impl InexactNumber {
    /// The parser refuses a number without a finite float.
    pub(super) fn is_beyond_parsers(&self) -> bool {
        self.fate == Fate::Lost
    }
}

/// Every number of a JSON text that a 64-bit float changes. Of a text that is not JSON the answer means nothing.
pub(super) fn inexact(text: &[u8]) -> Vec<InexactNumber> {
    let (mut found, mut nth, mut at) = (Vec::new(), 0, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => at = end_of_string(text, at + 1),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(text, at);
                let number = std::str::from_utf8(&text[at..end]).ok().filter(|text| !is_surely_kept(text));
                if let Some(fate) = number.and_then(fate).filter(|fate| *fate != Fate::Kept) {
                    found.push(InexactNumber { nth, at: at..end, fate });
                }
                (nth, at) = (nth + 1, end);
            }
            _ => at += 1,
        }
    }
    found
}

/// The byte after the quote that ends the string.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

fn end_of_number(text: &[u8], from: usize) -> usize {
    let belongs = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    text[from..].iter().position(|byte| !belongs(byte)).map_or(text.len(), |length| from + length)
}

/// What a field says to a number that a 64-bit float changes. A float field rounds a fraction, since that is what the type
/// means, and nothing else. `place`: within a json value.
pub(super) fn fault(kind: &FieldKind, text: &str, place: &[JsonStep]) -> Option<ValueFault> {
    let beyond = |why: &str| ValueFault::new("out_of_range", format!("{why}: `{}`", shown(text)));
    match kind {
        FieldKind::Int { .. } if is_integral(text) => Some(ValueFault::new(
            "out_of_range",
            format!("must lie within ±{MAX_INT}, not be `{}`", shown(text)),
        )),
        FieldKind::Int { .. } => {
            Some(ValueFault::new("wrong_type", format!("must be an int, not `{}`", shown(text))))
        }
        FieldKind::Float { .. } => match fate(text)? {
            Fate::Kept => None,
            Fate::Lost => Some(beyond("is a number beyond the range of a float")),
            Fate::Rounded if is_whole(text) && !is_exactly_a_float(text) => {
                Some(beyond("is a whole number that a float would change; it has more digits than fit"))
            }
            Fate::Rounded => None,
        },
        FieldKind::Json => Some(in_json(text, place)),
        // A number is of the wrong type there, whatever its digits.
        FieldKind::Text { .. }
        | FieldKind::Bool
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => None,
    }
}

fn in_json(text: &str, place: &[JsonStep]) -> ValueFault {
    let place = Path(place).to_string();
    let place = if place.is_empty() { String::new() } else { format!(" at `{}`", shown(&place)) };
    let number = shown(text);
    let change = match rounded(text).filter(|_| fate(text) == Some(Fate::Rounded)) {
        Some(kept) => format!("which would be changed to {kept}"),
        None => "which is beyond the range of a float".to_owned(),
    };
    let message = format!(
        "holds the number `{number}`{place}, {change}; a json field keeps what a 64-bit float keeps: send it as a text"
    );
    ValueFault::new("out_of_range", message)
}
