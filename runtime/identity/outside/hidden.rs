//! `HiddenText`: a secret of the settings, which no log and no debug form shows; and what makes a secret too easy to guess.

use std::fmt;

use serde::Deserialize;

/// See the module's text.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct HiddenText(String);

/// Bytes of the shortest secret that is no weaker than SHA-256.
const SHORTEST: usize = 32;

/// Secrets that examples and other programs come with, or parts of them.
const KNOWN: [&str; 14] = [
    "change-me",
    "changeme",
    "change_me",
    "change-this",
    "replace-me",
    "replace-with",
    "your-256-bit-secret",
    "your-secret",
    "your_secret",
    "example",
    "secret-key",
    "password",
    "0123456789",
    "placeholder",
];

impl HiddenText {
    pub(crate) fn new(text: String) -> HiddenText {
        HiddenText(text)
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Why the secret is too easy to guess. Does not repeat it.
    pub(crate) fn weakness(&self) -> Option<String> {
        let text = self.0.trim();
        if text.len() < SHORTEST {
            return Some(format!("has {} bytes; at least {SHORTEST} are wanted", text.len()));
        }
        let lower = text.to_ascii_lowercase();
        if KNOWN.iter().any(|known| lower.contains(known)) {
            return Some("is one that examples come with".to_owned());
        }
        let mut seen: Vec<char> = text.chars().collect();
        seen.sort_unstable();
        seen.dedup();
        (seen.len() < 8).then(|| "has fewer than 8 different characters".to_owned())
    }
}

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HiddenText")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_can_be_guessed_is_found_and_not_repeated() {
        for weak in [
            "",
            "secret",
            "change-me-realtime",
            "31-bytes-are-one-byte-too-short",
            "Your-256-bit-Secret-and-something-behind-it",
            "change-me-please-change-me-please-change-me",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabcabcabcabcabcabcabcabcabc",
            "                                        x",
        ] {
            let why = HiddenText(weak.to_owned()).weakness();
            assert!(
                why.as_ref().is_some_and(|why| weak.len() < 12 || !why.contains(weak)),
                "{weak}: {why:?}"
            );
        }
        let good = HiddenText("k9Jx2mQ7vR4tW8yB3nL6pF1sD5gH0zCa".to_owned());
        assert_eq!(good.weakness(), None);
        assert_eq!(format!("{good:?}"), "HiddenText");
    }
}
