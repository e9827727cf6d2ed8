//! `Delay`: how much later than now, as in `default = "now + 7d"`.
//!
//! Knows no field and no clock.

use std::fmt;

use crate::ids::Timestamp;

/// See the module's text. None at all for `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    seconds: u64,
}

/// Seconds of each unit, the largest first.
const UNITS: [(char, u64); 5] = [('w', 604_800), ('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];
/// A hundred years.
const MOST_SECONDS: u64 = 36_525 * 86_400;

/// Why a text is no delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadDelay {
    /// It is no number and unit.
    Form,
    Zero,
    TooLong,
}

impl Delay {
    pub const NONE: Delay = Delay { seconds: 0 };

    /// `7d`: a number, and one of s, m, h, d and w.
    pub fn parse(text: &str) -> Result<Delay, BadDelay> {
        let unit = text.chars().next_back().ok_or(BadDelay::Form)?;
        let (_, seconds) = UNITS.into_iter().find(|(letter, _)| *letter == unit).ok_or(BadDelay::Form)?;
        let digits = &text[..text.len() - unit.len_utf8()];
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(BadDelay::Form);
        }
        // More digits than fit into a number are too many, too.
        let number: u64 = digits.parse().map_err(|_| BadDelay::TooLong)?;
        match number.saturating_mul(seconds) {
            0 => Err(BadDelay::Zero),
            seconds if seconds > MOST_SECONDS => Err(BadDelay::TooLong),
            seconds => Ok(Delay { seconds }),
        }
    }

    pub fn after(self, at: Timestamp) -> Timestamp {
        let millis = i64::try_from(self.seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
        Timestamp(at.0.saturating_add(millis))
    }
}

/// `now`, or `now + 7d`: the same for all texts that mean the same. Weeks are days.
impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("now")?;
        let whole = |(letter, unit): &(char, u64)| *letter != 'w' && self.seconds.is_multiple_of(*unit);
        match UNITS.iter().find(|unit| whole(unit)) {
            Some((letter, unit)) if self.seconds > 0 => write!(f, " + {}{letter}", self.seconds / unit),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_a_number_and_a_unit() {
        for (text, expected) in [
            ("7d", Ok("now + 7d")),
            ("90s", Ok("now + 90s")),
            ("120s", Ok("now + 2m")),
            ("24h", Ok("now + 1d")),
            ("36h", Ok("now + 36h")),
            ("2w", Ok("now + 14d")),
            ("007d", Ok("now + 7d")),
            ("36525d", Ok("now + 36525d")),
            ("36526d", Err(BadDelay::TooLong)),
            ("99999999999999999999d", Err(BadDelay::TooLong)),
            ("18446744073709551615w", Err(BadDelay::TooLong)),
            ("0d", Err(BadDelay::Zero)),
            ("", Err(BadDelay::Form)),
            ("7", Err(BadDelay::Form)),
            ("d", Err(BadDelay::Form)),
            ("7y", Err(BadDelay::Form)),
            ("7D", Err(BadDelay::Form)),
            ("-7d", Err(BadDelay::Form)),
            ("+7d", Err(BadDelay::Form)),
            ("1.5d", Err(BadDelay::Form)),
            ("7 d", Err(BadDelay::Form)),
            ("7é", Err(BadDelay::Form)),
        ] {
            let told = Delay::parse(text).map(|delay| delay.to_string());
            assert_eq!(told, expected.map(str::to_owned), "{text}");
        }
        assert_eq!(Delay::NONE.to_string(), "now");
        assert_eq!(Delay::parse("1w").unwrap().after(Timestamp(5)), Timestamp(604_800_005));
        assert_eq!(Delay::parse("1s").unwrap().after(Timestamp(i64::MAX)), Timestamp(i64::MAX));
    }
}
