//! Counts, sizes and durations as people write them: `10_000`, `64KiB`, `25s`.
//!
//! Knows no setting and no kind.

use std::ops::RangeInclusive;

use super::wrong::Wrong;
use crate::schema::message::quoted;

pub(super) const SECOND: u64 = 1_000;
pub(super) const MINUTE: u64 = 60 * SECOND;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;
pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// Units with what one of them is; the largest first.
pub(super) const TIME_UNITS: [(&str, u64); 5] =
    [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];
pub(super) const SIZE_UNITS: [(&str, u64); 4] = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];

pub(super) fn counted(text: &str) -> Result<u64, Wrong> {
    let digits = text.replace('_', "");
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !plain {
        return Err(Wrong::new(quoted(text), "write a whole number such as 100"));
    }
    // More digits than a u64 has is simply too many for every range.
    Ok(digits.parse().unwrap_or(u64::MAX))
}

pub(super) fn sized(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = split(text);
    let count =
        counted(number).map_err(|_| Wrong::new(quoted(text), "write a number and a unit, such as 64KiB"))?;
    let unit = if unit.is_empty() { "B" } else { unit };
    match factor(unit, &SIZE_UNITS) {
        Some(factor) => Ok(count.saturating_mul(factor)),
        None => {
            Err(Wrong::new(quoted(text), format!("the units are B, KiB, MiB and GiB, not {}", quoted(unit))))
        }
    }
}

pub(super) fn timed(text: &str) -> Result<u64, Wrong> {
    let (number, unit) = split(text);
    let count =
        counted(number).map_err(|_| Wrong::new(quoted(text), "write a number and a unit, such as 25s"))?;
    match factor(unit, &TIME_UNITS) {
        Some(factor) => Ok(count.saturating_mul(factor)),
        None if unit.is_empty() => Err(Wrong::new(
            format!("{} without a unit", quoted(text)),
            format!("write {number}s for seconds; the units are ms, s, m, h, d"),
        )),
        None => {
            Err(Wrong::new(quoted(text), format!("the units are ms, s, m, h and d, not {}", quoted(unit))))
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn factor(unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(known, _)| *known == unit).map(|(_, factor)| *factor)
}

pub(super) fn within(range: &RangeInclusive<u64>, number: u64, text: &str) -> Result<u64, Wrong> {
    let (from, to) = (grouped(*range.start()), grouped(*range.end()));
    bounded(range, number, text, &from, &to)
}

pub(super) fn within_units(
    range: &RangeInclusive<u64>,
    number: u64,
    text: &str,
    units: &[(&str, u64)],
) -> Result<u64, Wrong> {
    bounded(range, number, text, &in_units(*range.start(), units), &in_units(*range.end(), units))
}

fn bounded(range: &RangeInclusive<u64>, number: u64, text: &str, from: &str, to: &str) -> Result<u64, Wrong> {
    if number < *range.start() {
        let help = format!("the smallest is {from}");
        return Err(Wrong::new(quoted(text), help).label("too small"));
    }
    if number > *range.end() {
        let help = format!("the largest is {to}");
        return Err(Wrong::new(quoted(text), help).label("too large"));
    }
    Ok(number)
}

/// In the largest unit that leaves no fraction; a single day stays 24h, as people say it.
pub(super) fn in_units(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(unit, factor): &&(&str, u64)| {
        number >= *factor && number.is_multiple_of(*factor) && !(*unit == "d" && number == DAY)
    };
    let (unit, factor) = units.iter().find(fits).unwrap_or(&units[units.len() - 1]);
    format!("{}{unit}", number / factor)
}

/// `10000` as `10,000`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}
