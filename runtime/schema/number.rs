//! How a written number changes when a 64-bit float keeps it: all that JavaScript, and so half of the clients, has.
//!
//! Pure. Knows no field: the caller decides what is refused where.

/// What a 64-bit float makes of a written number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is read back as the number that was written.
    Kept,
    /// It is read back with other digits.
    Rounded,
    /// It is read back as infinite, or as zero without being zero.
    Lost,
}

/// The digits of a number without zeros at either end, and the power of ten before which they stand.
#[derive(PartialEq)]
struct Decimal {
    digits: Vec<u8>,
    exponent: i64,
}

/// A number of so few digits and without an exponent is kept by every 64-bit float.
const SURELY_KEPT: usize = 15;

/// `None` if the text is not a number as JSON writes it.
pub fn fate(text: &str) -> Option<Fate> {
    let written = decimal(text)?;
    if is_surely_kept(text) {
        return Some(Fate::Kept);
    }
    let float: f64 = text.parse().ok()?;
    if !float.is_finite() || (float == 0.0 && !written.digits.is_empty()) {
        return Some(Fate::Lost);
    }
    // Rust writes the shortest number that is read back as the same float, as JavaScript does.
    let kept = decimal(&format!("{float:e}"))? == written;
    Some(if kept { Fate::Kept } else { Fate::Rounded })
}

/// Whether every 64-bit float keeps the text, if it is a number at all. Cheap.
pub fn is_surely_kept(text: &str) -> bool {
    text.len() <= SURELY_KEPT && !text.contains(['e', 'E'])
}

/// The shortest number that the same 64-bit float stands for.
pub fn rounded(text: &str) -> Option<String> {
    text.parse().ok().filter(|float: &f64| float.is_finite()).map(|float| float.to_string())
}

/// Whether some 64-bit float is exactly this whole number, with whatever digits it is shown.
pub fn is_exactly_a_float(whole: &str) -> bool {
    whole.parse().is_ok_and(|float: f64| float.is_finite() && format!("{float:.0}") == whole)
}

/// Whether the text is written as a whole number, with neither a point nor an exponent.
pub fn is_whole(text: &str) -> bool {
    !text.contains(['.', 'e', 'E'])
}

/// Whether the number has no fraction, however it is written: `3`, `3.0`, `1e400`.
pub fn is_integral(text: &str) -> bool {
    decimal(text).is_some_and(|number| number.digits.len() as i64 <= number.exponent)
}

/// By JSON's grammar: `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`.
fn decimal(text: &str) -> Option<Decimal> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, power_of_ten(power)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) || !plain(whole) || !plain(fraction) {
        return None;
    }
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let Some(first) = digits.iter().position(|digit| *digit != b'0') else {
        return Some(Decimal { digits: Vec::new(), exponent: 0 });
    };
    let last = digits.iter().rposition(|digit| *digit != b'0').unwrap_or(first);
    let exponent = power.saturating_add(whole.len() as i64).saturating_sub(first as i64);
    Some(Decimal { digits: digits[first..=last].to_vec(), exponent })
}

/// A power beyond an i64 is beyond every float all the more.
fn power_of_ten(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let beyond = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Some(text.parse().unwrap_or(beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_keeps_what_it_reads_back() {
        for (text, fate_of_it) in [
            ("0", Fate::Kept),
            ("-0.0", Fate::Kept),
            ("0e999", Fate::Kept),
            ("0.1", Fate::Kept),
            ("1.50", Fate::Kept),
            ("1e2", Fate::Kept),
            ("100E-2", Fate::Kept),
            ("1.7976931348623157e308", Fate::Kept),
            ("5e-324", Fate::Kept),
            ("9007199254740991", Fate::Kept),
            ("9007199254740992", Fate::Kept),
            ("9007199254740994", Fate::Kept),
            ("100000000000000000000000", Fate::Kept),
            ("0.30000000000000004", Fate::Kept),
            ("9007199254740993", Fate::Rounded),
            ("-9007199254740993", Fate::Rounded),
            ("12345678901234567890", Fate::Rounded),
            ("123456789012345678901234567890", Fate::Rounded),
            ("0.1234567890123456789", Fate::Rounded),
            ("0.10000000000000000555", Fate::Rounded),
            ("3.0000000000000000001", Fate::Rounded),
            ("1e400", Fate::Lost),
            ("-1e400", Fate::Lost),
            ("1e-400", Fate::Lost),
            ("1e99999999999999999999", Fate::Lost),
            ("1e-99999999999999999999", Fate::Lost),
        ] {
            assert_eq!(fate(text), Some(fate_of_it), "{text}");
        }
        for (text, exact) in [
            ("1152921504606846976", true),
            ("-1152921504606846976", true),
            ("2763315188243837222912", true),
            ("9007199254740993", false),
            ("1152921504606847000", false),
            ("123456789012345678901234567890", false),
        ] {
            assert_eq!(is_exactly_a_float(text), exact, "{text}");
        }
        for text in
            ["", "-", "+1", "01", "1.", ".5", "1e", "1e+", "0x1", "1_0", " 1", "1 ", "NaN", "1.2.3", "--1"]
        {
            assert_eq!(fate(text), None, "{text}");
        }
    }
}
