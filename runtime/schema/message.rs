//! Words for error texts: a stranger's text in backquotes, and the nearest known word.
//!
//! Knows no schema.

/// Longer than this, a quoted text is cut.
const LONGEST: usize = 60;

/// Farther than this many edits, a word is no suggestion.
const FARTHEST: usize = 2;

/// The text in backquotes, control characters escaped and cut to 60 characters: whatever is in a file cannot
/// steer the terminal that shows the error.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(LONGEST).flat_map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The text without control and direction-changing characters, for a text that is not quoted: a file's name.
pub(crate) fn plain(text: &str) -> String {
    text.chars().flat_map(escaped).collect()
}

fn escaped(letter: char) -> Vec<char> {
    let steers = letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    if steers { letter.escape_unicode().collect() } else { vec![letter] }
}

/// `a`, `b` and `c`
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(quoted).collect();
    match words.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// The known word that was probably meant, at most two edits (or one letter's case) away.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long words are never near a known one, and comparing them would cost time that grows with their length.
    if word.len() > 2 * LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        // Half of a short word may not be guessed: `a` is two edits from every two-letter word.
        .filter(|(distance, candidate)| *distance <= FARTHEST && *distance * 2 <= candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?", or the words that are known.
pub(crate) fn suggestion(word: &str, known: &[&str], what: &str) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean {}?", quoted(near)),
        None if known.len() <= 16 => format!("{what}: {}", list(known.iter().copied())),
        None => {
            let shown: Vec<String> = known[..16].iter().map(|word| quoted(word)).collect();
            format!("{what}: {} and {} more", shown.join(", "), known.len() - 16)
        }
    }
}
