//! What is done to a text before it is stored: `normalize = ["trim", "nfc", "lower"]`.
//!
//! Knows no field's limits. The order of the steps is always the same, so that a text which went through them once stays as it is.

use icu_normalizer::ComposingNormalizerBorrowed;

/// One step, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TextStep {
    /// Without white space at its beginning and end.
    Trim,
    /// In small letters, by Unicode's own mapping and no language's.
    Lower,
    /// In composed form (NFC). The last step, since small letters may have another composed form.
    Nfc,
}

impl TextStep {
    pub const ALL: [TextStep; 3] = [TextStep::Trim, TextStep::Lower, TextStep::Nfc];

    /// The word of the schema file.
    pub fn word(self) -> &'static str {
        match self {
            TextStep::Trim => "trim",
            TextStep::Lower => "lower",
            TextStep::Nfc => "nfc",
        }
    }

    fn take(self, text: &str) -> String {
        match self {
            TextStep::Trim => text.trim().to_owned(),
            TextStep::Lower => text.to_lowercase(),
            TextStep::Nfc => ComposingNormalizerBorrowed::new_nfc().normalize(text).into_owned(),
        }
    }
}

/// The text after these steps, which are in order.
pub(super) fn normalized(steps: &[TextStep], text: String) -> String {
    steps.iter().fold(text, |text, step| step.take(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_went_through_the_steps_stays_as_it_is() {
        let texts = [
            " Ada ",
            "\u{2003}ΣΊΣΥΦΟΣ\n",
            "İI",
            "e\u{301} E\u{301}",
            "\u{212b}",
            "K ",
            "",
            "  ",
            "ẞ",
            "\u{1f88}\u{345}",
        ];
        for mask in 0..8_usize {
            let steps: Vec<TextStep> =
                TextStep::ALL.into_iter().filter(|step| mask >> (*step as usize) & 1 == 1).collect();
            for text in texts {
                let once = normalized(&steps, text.to_owned());
                assert_eq!(normalized(&steps, once.clone()), once, "{steps:?} of {text:?}");
            }
        }
        let all = |text: &str| normalized(&TextStep::ALL, text.to_owned());
        assert_eq!(all(" E\u{301}a ΑΣ\t"), "\u{e9}a ας", "the last sigma of a word has a form of its own");
        assert_eq!(all("Straße"), "straße", "small letters are no folded ones");
    }
}
