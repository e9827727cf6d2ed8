//! The value of a text or number, as CEL writes it.

use super::lexer::Opening;

/// The value of an integer without its sign. `None`: it does not fit into 64 bits, or has no digits.
pub(super) fn int(text: &str, is_negative: bool) -> Option<i64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    i64::try_from(if is_negative { -number } else { number }).ok()
}

/// `None`: it is beyond what a double holds.
pub(super) fn float(text: &str, is_negative: bool) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(if is_negative { -number } else { number })
}

/// The text between the quotes. `None`: it has an escape that CEL does not have.
pub(super) fn text(quoted: &str) -> Option<String> {
    let opening = Opening::of(quoted)?;
    let inner = quoted.get(opening.length..quoted.len().checked_sub(opening.quotes.len())?)?;
    if opening.is_raw {
        return Some(inner.to_owned());
    }
    let mut value = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(letter) = rest.next() {
        value.push(if letter == '\\' { escaped(&mut rest)? } else { letter });
    }
    Some(value)
}

fn escaped(rest: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match rest.next()? {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        letter @ ('\\' | '\'' | '"' | '`' | '?') => letter,
        'x' | 'X' => code_point(rest, 2, 16, 0)?,
        'u' => code_point(rest, 4, 16, 0)?,
        'U' => code_point(rest, 8, 16, 0)?,
        first @ '0'..='3' => code_point(rest, 2, 8, first.to_digit(8)?)?,
        _ => return None,
    })
}

fn code_point(rest: &mut std::str::Chars<'_>, digits: usize, radix: u32, first: u32) -> Option<char> {
    let mut number = first;
    for _ in 0..digits {
        number = number.checked_mul(radix)?.checked_add(rest.next()?.to_digit(radix)?)?;
    }
    char::from_u32(number)
}
