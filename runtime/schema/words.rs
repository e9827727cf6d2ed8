//! Words: what a search compares of a text. Indexing and asking use this one function, so they cannot disagree.
//!
//! Case, accents and Unicode's ways to write the same character make no difference. Marks that are letters of their own
//! (vowel signs of India and South-East Asia, the voicing marks of kana) stay. Knows no index and no field.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup, Script};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Changes whenever `words` comes to answer otherwise, a newer Unicode included: an index that was made before is made again.
pub const WORDS_VERSION: &str = "words 1, icu 2.4.0";

/// Letters that have no decomposition, though people type them without their stroke or as two letters.
const PLAIN: [(char, &str); 8] =
    [('ı', "i"), ('ø', "o"), ('ł', "l"), ('đ', "d"), ('ħ', "h"), ('ŧ', "t"), ('æ', "ae"), ('œ', "oe")];

/// Stretches an Arabic word and means nothing.
const TATWEEL: char = '\u{640}';
/// Separates words where no space is written, unlike every other character that is not seen.
const ZERO_WIDTH_SPACE: char = '\u{200b}';
/// Make other letters of kana: が is no か with an accent.
const VOICING: [char; 2] = ['\u{3099}', '\u{309a}'];

/// The words of a text in their folded form, with one space between them. Nothing is left of a text without letters and digits.
pub fn words(text: &str) -> String {
    if text.is_ascii() {
        return spaced(&text.to_ascii_lowercase(), |letter| letter.is_ascii_alphanumeric());
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    let bare: String = decomposed.chars().filter(|letter| !is_dropped(*letter)).collect();
    let folded = plain(CaseMapper::new().fold_string(&bare));
    // Syllables of Hangul and voiced kana become one character again.
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&folded);
    spaced(&composed, is_of_a_word)
}

/// Whether the character makes no difference: accents and points of scripts that are read without them, and what is not seen.
fn is_dropped(letter: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(letter);
    if matches!(category, GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark) {
        // Accents of Latin, Greek and Cyrillic letters are `Inherited`, and so are the vowel points of Arabic.
        let scripts = [Script::Inherited, Script::Hebrew, Script::Arabic, Script::Syriac];
        let script = CodePointMapData::<Script>::new().get(letter);
        return scripts.contains(&script) && !VOICING.contains(&letter);
    }
    let unseen = || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(letter);
    letter == TATWEEL || (letter != ZERO_WIDTH_SPACE && unseen())
}

fn plain(folded: Cow<'_, str>) -> Cow<'_, str> {
    let known = |letter: char| PLAIN.iter().find(|(from, _)| *from == letter).map(|(_, to)| *to);
    if !folded.chars().any(|letter| known(letter).is_some()) {
        return folded;
    }
    let mut plain = String::with_capacity(folded.len());
    for letter in folded.chars() {
        match known(letter) {
            Some(to) => plain.push_str(to),
            None => plain.push(letter),
        }
    }
    plain.into()
}

fn is_of_a_word(letter: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(letter);
    is_letter_or_digit(category)
        || GeneralCategoryGroup::Mark.contains(category)
        || category == GeneralCategory::PrivateUse
}

fn is_letter_or_digit(category: GeneralCategory) -> bool {
    GeneralCategoryGroup::Letter.contains(category) || GeneralCategoryGroup::Number.contains(category)
}

/// What is between words becomes one space. A mark without a letter is no word.
fn spaced(text: &str, is_of_a_word: impl Fn(char) -> bool) -> String {
    let categories = CodePointMapData::<GeneralCategory>::new();
    let mut words = String::with_capacity(text.len());
    let is_word = |word: &&str| {
        word.chars().any(|letter| {
            let category = categories.get(letter);
            is_letter_or_digit(category) || category == GeneralCategory::PrivateUse
        })
    };
    for word in text.split(|letter| !is_of_a_word(letter)).filter(is_word) {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts of one line find each other; those of different lines do not.
    const SAME: [&[&str]; 30] = [
        &["κοσμος", "κόσμος", "ΚΌΣΜΟΣ", "κο\u{301}σμος", "κοσμοσ"],
        &["cafe", "café", "cafe\u{301}", "CAFÉ"],
        &["strasse", "straße", "STRASSE", "STRAẞE"],
        &["istanbul", "İstanbul", "ISTANBUL", "ıstanbul"],
        &["lodz", "Łódź", "łódź"],
        &["smorgasbord", "smörgåsbord"],
        &["aerosol", "ærosol", "Æ\u{301}rosol"],
        &["елка", "Ёлка", "е\u{308}лка"],
        &["краи", "край", "КРАЙ", "краи\u{306}"],
        &["viet", "việt", "vie\u{323}\u{302}t", "VIỆT"],
        &["file", "ﬁle", "ﬁ\u{ad}le", "ｆｉｌｅ"],
        &["x2", "x²"],
        // Hebrew and Arabic are found with and without their points.
        &["שלום", "שָׁלוֹם"],
        &["محمد", "مُحَمَّد", "محـــمد"],
        &["احمد", "أحمد", "ا\u{654}حمد"],
        &["میخواهم", "می\u{200c}خواهم"],
        // Syllables are letters: a part of one is not the whole.
        &["한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"],
        &["하국"],
        // Vowel signs and voicing marks are letters.
        &["हिन्दी"],
        &["हन्दी"],
        &["क़लम", "क\u{93c}लम"],
        &["कलम"],
        &["ภาษาไทย"],
        &["ภาษไทย"],
        &["がく", "か\u{3099}く"],
        &["かく"],
        &["ガク", "ｶﾞｸ"],
        &["தமிழ்"],
        &["தமழ"],
        &["Ω", "Ω", "ω"],
    ];

    #[test]
    fn texts_that_people_read_as_the_same_are_the_same_words_and_no_others_are() {
        let mut seen = std::collections::HashMap::new();
        for (line, texts) in SAME.iter().enumerate() {
            for text in *texts {
                assert_eq!(words(text), words(texts[0]), "{text:?} and {:?}", texts[0]);
                assert!(!words(text).contains(' '), "{text:?} is one word, not {:?}", words(text));
                assert_eq!(*seen.entry(words(text)).or_insert(line), line, "{text:?}");
            }
        }
    }

    /// Another Unicode folds other characters; the indexes must be made again then.
    #[test]
    fn the_version_names_the_unicode_libraries_that_are_used() {
        let lock = include_str!("../../Cargo.lock").replace("\r\n", "\n");
        let (_, icu) = WORDS_VERSION.split_once("icu ").expect("the version names icu");
        for library in ["icu_normalizer_data", "icu_casemap_data", "icu_properties_data"] {
            let locked = format!("name = \"{library}\"\nversion = \"{icu}\"");
            assert!(lock.contains(&locked), "{library} is not {icu}: name its version in WORDS_VERSION");
        }
    }

    #[test]
    fn words_are_letters_digits_and_their_marks() {
        for (text, expected) in [
            ("  E-Mail: a_b@c.d  ", "e mail a b c d"),
            ("", ""),
            ("—…!🎉", ""),
            ("é—è", "e e"),
            ("\u{301}", ""),
            ("\u{941} x", "x"),
            ("ก\u{200b}ข", "ก ข"),
            ("naïve, über", "naive uber"),
            ("½", "1 2"),
            ("1️⃣", "1"),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_character_is_folded_once_and_whatever_its_form_and_case() {
        let (nfc, nfd) = (ComposingNormalizerBorrowed::new_nfc(), DecomposingNormalizerBorrowed::new_nfd());
        let categories = CodePointMapData::<GeneralCategory>::new();
        // Of the ideographs, which are alike, a few.
        let alike = |letter: char| matches!(letter, '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}');
        let rare = |category| matches!(category, GeneralCategory::Unassigned | GeneralCategory::PrivateUse);
        for letter in ('\0'..=char::MAX).filter(|letter| !alike(*letter) || u32::from(*letter) % 64 == 0) {
            if rare(categories.get(letter)) && u32::from(letter) % 64 != 0 {
                continue;
            }
            let text = format!("a{letter}b");
            let folded = words(&text);
            assert_eq!(words(&folded), folded, "{letter:?} is folded again");
            for form in [nfc.normalize(&text), nfd.normalize(&text)] {
                assert_eq!(words(&form), folded, "{letter:?} as {form:?}");
            }
            // The iota below a Greek vowel is dropped like an accent; capitals write it beside the vowel.
            if nfd.normalize(&text).contains('\u{345}') {
                continue;
            }
            for case in [letter.to_uppercase().to_string(), letter.to_lowercase().to_string()] {
                assert_eq!(words(&format!("a{case}b")), folded, "{letter:?} as {case:?}");
            }
        }
    }
}
