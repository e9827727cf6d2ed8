//! The one text form of dates and times: what is stored, compared and sent. Two spellings of the same moment become
//! the same text, so that text order is time order. Defaults, bodies, filters, rules and imports all ask here.
//!
//! Knows no field and no clock.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime, UtcOffset};

use crate::ids::Timestamp;

/// `2026-11-21`; `None` if the text is not a day of the calendar in exactly this form.
pub fn date(text: &str) -> Option<String> {
    let digits = text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if text.len() != 10 || !digits {
        return None;
    }
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok().map(|_| text.to_owned())
}

/// RFC 3339 with an offset, to UTC with milliseconds (finer parts are cut off): `2026-11-21T08:00:00.000Z`. `None` if
/// it is not, or lies outside the years 0000 to 9999 in UTC.
pub fn datetime(text: &str) -> Option<String> {
    Some(Timestamp(millis(text)?).rfc3339())
}

/// The same moment in milliseconds since 1970.
pub fn millis(text: &str) -> Option<i64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)?;
    if !(0..=9999).contains(&moment.year()) {
        return None;
    }
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    i64::try_from(millis).ok()
}

/// Whether each letter and its accents are one character where Unicode has one (NFC): then two texts that look the same are the same.
pub fn is_composed(text: &str) -> bool {
    ComposingNormalizerBorrowed::new_nfc().is_normalized(text)
}

/// The text in the form in which two texts are the same if only the case of their letters differs: Unicode's full case folding,
/// between canonical forms, as its caseless match has it. So `Straße` is `STRASSE`; `ı` is not `i`, in any language.
///
/// An index may hold it: `WORDS_VERSION` changes with the libraries by which it is made.
pub fn fold_case(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        let has_capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        return if has_capitals { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
    let folded = CaseMapper::new().fold_string(&decomposed);
    Cow::Owned(ComposingNormalizerBorrowed::new_nfc().normalize(&folded).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_one_form() {
        assert_eq!(date("2028-02-29").as_deref(), Some("2028-02-29"));
        for wrong in ["2026-02-29", "2026-2-1", "+2026-01-1", "2026-01-01 ", "26-01-01", "2026/01/01", ""] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_datetime_becomes_utc_with_milliseconds() {
        let same = ["2026-11-21T08:00:00Z", "2026-11-21T09:00:00+01:00", "2026-11-21T08:00:00.0004Z"];
        for text in same {
            assert_eq!(datetime(text).as_deref(), Some("2026-11-21T08:00:00.000Z"), "{text}");
        }
        assert_eq!(datetime("1969-12-31T23:59:59.9999Z").as_deref(), Some("1969-12-31T23:59:59.999Z"));
        for wrong in
            ["2026-11-21", "2026-11-21T08:00:00", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"]
        {
            assert_eq!(datetime(wrong), None, "{wrong}");
        }
    }
}
