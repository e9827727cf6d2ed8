//! `LoginName`: the name that a user types to log in. It is no id: it may change, and the id never does (SEMANTICS Y1).

use icu_casemap::CaseMapper;
use icu_normalizer::ComposingNormalizerBorrowed;

/// A name that can be a login name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginName {
    text: String,
    key: String,
}

/// Characters of a login name.
const MOST: usize = 128;
/// Names of callers who have no account begin so.
const RESERVED: &str = "guest:";

impl LoginName {
    /// The error says what a name may be.
    pub fn parse(text: &str) -> Result<LoginName, &'static str> {
        let text = ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned();
        let key = key(&text);
        if text.is_empty() {
            return Err("is empty; choose a name of 1 to 128 characters");
        }
        if text.chars().count() > MOST {
            return Err("is longer than 128 characters");
        }
        if text.trim() != text {
            return Err("begins or ends with a space");
        }
        if text.chars().any(char::is_control) {
            return Err("has a control character in it");
        }
        if key.starts_with(RESERVED) {
            return Err("begins with `guest:`, which is for callers without an account");
        }
        Ok(LoginName { text, key })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Names that differ in capitals alone, or in the way that their characters are composed, are one name.
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn key(text: &str) -> String {
    let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    CaseMapper::new().fold_string(&composed).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike_are_one_name() {
        let key = |text: &str| LoginName::parse(text).unwrap().key;
        for (one, other) in [("Ada", "ada"), ("STRASSE", "straße"), ("é", "e\u{301}"), ("ﬁn", "fin")] {
            assert_eq!(key(one), key(other), "{one} {other}");
        }
        assert_ne!(key("ada"), key("ben"));
        assert_eq!(LoginName::parse("Ada").unwrap().text(), "Ada");
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_reason() {
        for (text, why) in [
            ("", "empty"),
            (" ada", "space"),
            ("ada ", "space"),
            ("a\nb", "control"),
            ("a\0", "control"),
            ("Guest:7", "guest:"),
            (&"a".repeat(129), "128"),
        ] {
            assert!(LoginName::parse(text).unwrap_err().contains(why), "{text:?}");
        }
        assert!(LoginName::parse(&"ä".repeat(128)).is_ok());
    }
}
