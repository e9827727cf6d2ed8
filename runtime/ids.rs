//! The identifiers and positions that every floor shares: `Seq`, `Epoch`, `Position`, `RecordId`,
//! `MutationId`, `ConnectionId`, `Timestamp`. A value that exists is well formed.
//!
//! Does not know entities, storage or the wire beyond its own text form.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Position of one change in the change log: 1, 2, 3... without holes; 0 is "before the first change".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    pub const ZERO: Seq = Seq(0);

    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Identity of one run of the log's writer: 32 lower-case hex digits. Each start appends a new one to the
/// database (SEMANTICS P7); an empty epoch cannot be built, so it never matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Epoch(Arc<str>);

/// Why a text is not an id, epoch or position. The text says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("`{0}` is not an epoch: expected 32 hex digits, as the server sent it")]
    Epoch(String),
    #[error(
        "`{0}` is not a position: expected `<epoch>:<seq>` as the server sent it, 32 hex digits and a number"
    )]
    Position(String),
    #[error("`{0}` is not a UUID")]
    Uuid(String),
    #[error("a text id has 1 to 128 characters and no control characters")]
    TextId,
    #[error(
        "a text id is in Unicode's composed form (NFC): `{0}` is not; write letter and accent as one character"
    )]
    NotComposed(String),
    #[error("`{0}` is no id: behind the name of a list this word of an address is no record")]
    Taken(&'static str),
    #[error("a mutation id has 1 to 128 visible ASCII characters")]
    MutationId,
}

impl Epoch {
    pub fn from_uuid(uuid: uuid::Uuid) -> Epoch {
        Epoch(uuid.as_simple().to_string().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Epoch {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Epoch, IdError> {
        let well_formed =
            text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if well_formed { Ok(Epoch(text.into())) } else { Err(IdError::Epoch(shown(text))) }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in one log: everything up to and including `seq` is known. Text form `<epoch>:<seq>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    pub epoch: Epoch,
    pub seq: Seq,
}

impl FromStr for Position {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Position, IdError> {
        let wrong = || IdError::Position(shown(text));
        let (epoch, seq) = text.split_once(':').ok_or_else(wrong)?;
        let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
        let seq = digits.then(|| seq.parse().ok()).flatten().ok_or_else(wrong)?;
        Ok(Position { epoch: epoch.parse().map_err(|_| wrong())?, seq: Seq(seq) })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}

/// These are in an address where an id would, and so are none.
const WORDS: [&str; 3] = ["count", "query", "by"];

/// Id of a record within its entity: a canonical lower-case UUID, or for `User` a text of up to 128 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RecordId(Arc<str>);

impl RecordId {
    pub fn from_uuid(uuid: uuid::Uuid) -> RecordId {
        RecordId(uuid.as_hyphenated().to_string().into())
    }

    /// Any textual form of a UUID; kept in its canonical one.
    pub fn parse_uuid(text: &str) -> Result<RecordId, IdError> {
        let uuid = uuid::Uuid::try_parse(text).map_err(|_| IdError::Uuid(shown(text)))?;
        Ok(RecordId::from_uuid(uuid))
    }

    /// Every one can be an id but the words that stand where an id would in an address.
    pub fn parse_text(text: &str) -> Result<RecordId, IdError> {
        let length = text.chars().count();
        if length == 0 || length > 128 || text.chars().any(char::is_control) {
            return Err(IdError::TextId);
        }
        // Two ids that look the same would be two people.
        if !ComposingNormalizerBorrowed::new_nfc().is_normalized(text) {
            return Err(IdError::NotComposed(text.to_owned()));
        }
        if let Some(word) = WORDS.into_iter().find(|word| *word == text) {
            return Err(IdError::Taken(word));
        }
        Ok(RecordId(text.into()))
    }

    /// For ids read back from the store, which were parsed before they were written.
    pub fn stored(text: &str) -> RecordId {
        RecordId(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn shared(&self) -> Arc<str> {
        self.0.clone()
    }

    /// The time in a UUID of version 7; `None` of any other id.
    pub fn made_at(&self) -> Option<Timestamp> {
        let uuid = uuid::Uuid::try_parse(&self.0).ok().filter(|uuid| uuid.get_version_num() == 7)?;
        let millis = i64::try_from(uuid.as_u128() >> 80).expect("a UUID has 48 bits above its lower 80");
        Some(Timestamp(millis))
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client's name for one mutation, its idempotency key: 1 to 128 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct MutationId(Arc<str>);

impl MutationId {
    /// For ids read back from the store, which were parsed before they were written.
    pub fn stored(text: &str) -> MutationId {
        MutationId(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MutationId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<MutationId, IdError> {
        let well_formed = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if well_formed { Ok(MutationId(text.into())) } else { Err(IdError::MutationId) }
    }
}

/// One WebSocket connection (or poll session) of this process, as text in `connected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub uuid::Uuid);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_simple())
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC. It is shown to people and never orders anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// RFC 3339 in UTC with milliseconds, always 24 characters: `2026-11-21T08:00:00.000Z`.
    pub fn rfc3339(self) -> String {
        let text = self.digits().to_vec();
        String::from_utf8(text).expect("digits and signs are ASCII")
    }

    /// Appends the same.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.digits());
    }

    /// Written by hand, since every record has two of them: a format that is interpreted takes as long as the rest of a row. What
    /// has no year of four digits is no time of a record, and shown as the beginning of time.
    fn digits(self) -> [u8; 24] {
        let mut text = *b"1970-01-01T00:00:00.000Z";
        let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000) else {
            return text;
        };
        let (year, month, day) = time.to_calendar_date();
        let Ok(year) = u32::try_from(year) else { return text };
        let (hour, minute, second, milli) = time.to_hms_milli();
        put(&mut text[0..4], year);
        put(&mut text[5..7], u32::from(u8::from(month)));
        put(&mut text[8..10], u32::from(day));
        put(&mut text[11..13], u32::from(hour));
        put(&mut text[14..16], u32::from(minute));
        put(&mut text[17..19], u32::from(second));
        put(&mut text[20..23], u32::from(milli));
        text
    }
}

/// As many decimal digits as there are places.
fn put(places: &mut [u8], mut number: u32) {
    for place in places.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).expect("a digit is less than ten");
        number /= 10;
    }
}

/// At most 40 characters of what a stranger sent, for an error text.
pub fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use time::macros::format_description;

    use super::*;

    /// The years of four digits.
    const FIRST: i64 = -62_167_219_200_000;
    const LAST: i64 = 253_402_300_799_999;

    #[test]
    fn a_time_is_written_as_a_formatter_writes_it() {
        let format =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
        let mut millis = FIRST;
        while millis <= LAST {
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).unwrap();
            assert_eq!(Timestamp(millis).rfc3339(), time.format(format).unwrap(), "{millis}");
            millis += 40_123_456_789;
        }
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (FIRST, "0000-01-01T00:00:00.000Z"),
            (LAST, "9999-12-31T23:59:59.999Z"),
            (FIRST - 1, "1970-01-01T00:00:00.000Z"),
            (LAST + 1, "1970-01-01T00:00:00.000Z"),
            (i64::MIN, "1970-01-01T00:00:00.000Z"),
            (i64::MAX, "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(Timestamp(millis).rfc3339(), expected, "{millis}");
        }
    }
}
