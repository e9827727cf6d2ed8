//! What is wrong with schema files: stable codes, places, and help; collected for all files before anything is said.
//!
//! Knows no entity and no field; `render.rs` turns it into text and JSON.

use std::ops::Range;

use super::source::SourceFile;

/// Diagnostics beyond this many are counted and not kept.
pub const MOST_DIAGNOSTICS: usize = 200;

macro_rules! codes {
    ($($variant:ident $text:literal $meaning:literal)*) => {
        /// A stable code; docs/schema.md explains each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DiagnosticCode { $($variant),* }

        impl DiagnosticCode {
            pub const ALL: &[DiagnosticCode] = &[$(DiagnosticCode::$variant),*];

            /// `E0101`; warnings begin with `W`.
            pub fn as_str(self) -> &'static str {
                match self { $(DiagnosticCode::$variant => $text),* }
            }

            /// What it stands for, in a few words.
            pub fn meaning(self) -> &'static str {
                match self { $(DiagnosticCode::$variant => $meaning),* }
            }
        }
    };
}

codes! {
    NoFolder "E0101" "the schema folder is missing or cannot be read"
    Unreadable "E0102" "a file cannot be read"
    TooLarge "E0103" "a file is larger than 1 MiB"
    NotUtf8 "E0104" "a file is not UTF-8"
    Syntax "E0105" "the file is not TOML, or not strict JSON"
    DuplicateKey "E0106" "a key is given twice"
    TooMany "E0107" "too many entities, fields, indexes or values, or nested too deep"
    UnknownKey "E0110" "unknown key"
    WrongKind "E0111" "a key has a value of the wrong kind"
    MissingKey "E0112" "a required key is missing"
    KeyNotForType "E0113" "the key does not fit the field's type"
    NotYet "E0114" "this type or key is not supported yet"
    EntityName "E0120" "the entity name is not allowed"
    DuplicateEntity "E0121" "two files describe the same entity"
    Plural "E0122" "the plural is not allowed"
    DuplicatePlural "E0123" "two entities have the same plural"
    ReservedPlural "E0124" "the API uses this plural itself"
    FieldName "E0125" "the field name is not allowed"
    ReservedField "E0126" "every record already has a field of this name"
    BuiltIn "E0127" "the built-in `User` cannot be changed like this"
    UnknownType "E0130" "unknown type"
    MinOverMax "E0131" "`min` is greater than `max`"
    Bound "E0132" "a bound is out of range"
    Pattern "E0133" "the pattern is not a regular expression"
    EnumValues "E0134" "the list of enum values is wrong"
    Unique "E0135" "`unique` is not possible here"
    NeverSet "E0136" "a required and readonly field needs a default"
    DefaultType "E0140" "the default has the wrong type"
    DefaultRange "E0141" "the default breaks the field's own constraints"
    DefaultSource "E0142" "`user.id`, `now` or `random` is not possible here"
    UnknownEntity "E0150" "the field refers to an unknown entity"
    OnDelete "E0151" "the value of `on_delete` is wrong"
    SetNullRequired "E0152" "`set_null` on a required field"
    Lookup "E0153" "`from` leads to no field, or another key cannot stand beside it"
    LookupCycle "E0154" "lookups copy from each other in a circle"
    Was "E0155" "`was` does not name a former name"
    IndexUnknown "E0160" "the index uses an unknown field"
    IndexJson "E0161" "a json field cannot be in an index"
    IndexRepeated "E0162" "the index is empty, repeated, or names a field twice"
    Label "E0163" "`label` does not name a usable field"
    History "E0164" "the value of `history` is wrong"
    AccessRule "E0170" "the rule is empty or too long"
    RuleSyntax "E0171" "the rule is not a valid expression"
    RuleName "E0172" "the rule uses an unknown name"
    RuleType "E0173" "the rule compares values that do not fit"
    RuleUnsupported "E0174" "the rule uses a part of CEL that is not supported"
    RuleRelation "E0175" "it is not clear which ref to `User` says whose record it is"
    RuleChange "E0176" "`change` is only possible in an update rule"
    RuleBudget "E0177" "the rule is nested too deep or has too many parts"
    FieldRule "E0178" "`read` or `hidden` is not possible here"
    LookupShows "E0179" "the lookup shows a value that its source hides"
    RuleFurther "E0200" "a rule that decides what is shown cannot use `now`, a reference or `exists(Entity, …)`"
    RuleSearch "E0201" "`exists` has no equality with an indexed field"
    RuleSteps "E0202" "the rule follows more than three references"
    UniqueMember "E0210" "the field cannot be in `[[unique]]`"
    UniqueFields "E0211" "`[[unique]]` has fewer than two fields, or names something twice"
    OnAction "E0220" "an `[[on]]` needs one event and one action"
    OnTarget "E0221" "the server cannot write such records"
    OnWhere "E0222" "`where` does not compare an indexed field with one value"
    OnSet "E0223" "a value of `set` does not fit its field"
    OnShows "E0224" "`set` shows a value that its source hides"
    OnCircle "E0225" "`[[on]]` tables cause each other in a circle, or more than four deep"
    Expires "E0226" "`expires` does not name a datetime field"
    Sequence "E0230" "`sequence` names no field to count by, or another key cannot stand beside it"
    Find "E0240" "`find` without `unique`"
    DefaultRandom "E0241" "a random text does not keep the field's constraints"
    DefaultLater "E0242" "`now + …` does not say how much later"
    IgnoreCase "E0320" "`ignore_case` without a unique text"
    Normalize "E0321" "the steps of `normalize` are wrong"
    NamePattern "E0350" "a name pattern does not fit the schema files"
    Lease "E0360" "`lease` cannot be required here, or its value is wrong"
    Rate "E0410" "the value of `rate` is wrong"
    EmptyFolder "W0101" "the folder has no schema file"
    Unsaid "W0102" "the entity has no access rules"
    Unindexed "W0103" "no index serves the read rule"
    Guessable "W0124" "values of a hidden field can be guessed with a rule"
    OnlyOwn "W0125" "the rule looks for another user among the caller's own records"
}

/// One thing that is wrong in one file, as the checker finds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Diagnostic {
    pub(super) code: DiagnosticCode,
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) label: String,
    pub(super) also: Option<Box<Also>>,
    pub(super) help: String,
}

/// A second place that belongs to a problem: the first of two that should be one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Also {
    /// `None`: the file of the problem.
    pub(super) file: Option<usize>,
    pub(super) span: Range<usize>,
    pub(super) label: String,
}

impl Diagnostic {
    pub(super) fn new(code: DiagnosticCode, span: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let (message, label, help) = (message.into(), String::new(), String::new());
        Diagnostic { code, span, message, label, also: None, help }
    }

    /// The words at the caret.
    pub(super) fn label(self, label: impl Into<String>) -> Diagnostic {
        Diagnostic { label: label.into(), ..self }
    }

    /// What to do.
    pub(super) fn help(self, help: impl Into<String>) -> Diagnostic {
        Diagnostic { help: help.into(), ..self }
    }

    /// A second place in the same file.
    pub(super) fn also(self, span: Range<usize>, label: impl Into<String>) -> Diagnostic {
        Diagnostic { also: Some(Box::new(Also { file: None, span, label: label.into() })), ..self }
    }

    /// A second place in any file.
    pub(super) fn also_in(self, file: usize, span: Range<usize>, label: impl Into<String>) -> Diagnostic {
        Diagnostic { also: Some(Box::new(Also { file: Some(file), span, label: label.into() })), ..self }
    }

    pub(super) fn too_deep(span: Range<usize>, deepest: usize) -> Diagnostic {
        Diagnostic::new(DiagnosticCode::TooMany, span, format!("nested deeper than {deepest} levels"))
            .label("too deep")
            .help("a schema file needs four levels; flatten the value")
    }

    pub(super) fn number_too_large(span: Range<usize>) -> Diagnostic {
        Diagnostic::new(DiagnosticCode::Bound, span, "this number is too large, or not a number")
            .label("out of range")
            .help("integers lie within ±9007199254740991, floats are finite")
    }

    /// `kept`: the nearest number that is.
    pub(super) fn number_not_kept(span: Range<usize>, kept: &str) -> Diagnostic {
        Diagnostic::new(DiagnosticCode::Bound, span, "this number has more digits than a 64-bit float keeps")
            .label("would be changed")
            .help(format!("write {kept}, or a string"))
    }
}

/// Collects problems while files are read and checked.
#[derive(Debug, Default)]
pub(super) struct DiagnosticSink {
    files: Vec<File>,
    problems: Vec<(usize, Diagnostic)>,
    omitted: usize,
    /// Places of which everything was said.
    settled: Vec<(usize, Range<usize>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

/// One problem is all that is wrong.
impl From<Diagnostic> for Vec<Diagnostic> {
    fn from(problem: Diagnostic) -> Vec<Diagnostic> {
        vec![problem]
    }
}

impl DiagnosticSink {
    /// A file without a text, for problems with the file itself.
    pub(super) fn add_file(&mut self, name: String) -> usize {
        self.files.push(File { name, text: String::new() });
        self.files.len() - 1
    }

    pub(super) fn add_source(&mut self, source: &SourceFile) -> usize {
        self.files.push(File { name: source.name.clone(), text: source.text.clone() });
        self.files.len() - 1
    }

    pub(super) fn add(&mut self, file: usize, mut problem: Diagnostic) {
        if self.settled.iter().any(|(other, span)| *other == file && *span == problem.span) {
            return;
        }
        snap(&mut problem.span, &self.files[file].text);
        if self.problems.len() < MOST_DIAGNOSTICS {
            self.problems.push((file, problem));
        } else {
            self.omitted += 1;
        }
    }

    /// Nothing more is to be said of this place.
    pub(super) fn add_last(&mut self, file: usize, problem: Diagnostic) {
        let place = (file, problem.span.clone());
        self.add(file, problem);
        self.settled.push(place);
    }

    pub(super) fn text(&self, file: usize) -> &str {
        &self.files[file].text
    }

    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.problems.len() + self.omitted
    }

    /// Everything found, by file and then by place.
    pub(super) fn finish(mut self) -> Diagnostics {
        let files = &self.files;
        self.problems.sort_by(|(a, left), (b, right)| {
            (&files[*a].name, left.span.start).cmp(&(&files[*b].name, right.span.start))
        });
        Diagnostics { files: self.files, problems: self.problems, omitted: self.omitted }
    }
}

/// Parsers count bytes and may point into the middle of a character, or beyond the end.
fn snap(span: &mut Range<usize>, text: &str) {
    span.start = text.floor_char_boundary(span.start);
    span.end = text.ceil_char_boundary(span.end).max(span.start);
}

/// Errors or warnings of a whole folder. `Display` is the plain text; `render` and `to_json` say more.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Diagnostics {
    pub(super) files: Vec<File>,
    pub(super) problems: Vec<(usize, Diagnostic)>,
    pub(super) omitted: usize,
}

impl Diagnostics {
    /// How many there are, those that were only counted included.
    pub fn len(&self) -> usize {
        self.problems.len() + self.omitted
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The codes, in the order of files and places.
    pub fn codes(&self) -> impl Iterator<Item = DiagnosticCode> {
        self.problems.iter().map(|(_, problem)| problem.code)
    }
}

impl std::error::Error for Diagnostics {}
