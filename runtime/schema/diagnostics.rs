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
    Syntax "E0105" "not TOML, or not strict JSON"
    DuplicateKey "E0106" "a key is given twice"
    TooMany "E0107" "over a limit: entities, fields, indexes, values, depth"
    UnknownKey "E0110" "an unknown key"
    WrongKind "E0111" "a key with a value of the wrong kind"
    MissingKey "E0112" "a key that must be there is missing"
    KeyNotForType "E0113" "a key that does not belong to the field's type"
    NotYet "E0114" "a type or key that is not supported yet"
    EntityName "E0120" "a bad entity name"
    DuplicateEntity "E0121" "two files describe the same entity"
    Plural "E0122" "a bad plural"
    DuplicatePlural "E0123" "two entities have the same plural"
    ReservedPlural "E0124" "a plural that the API uses itself"
    FieldName "E0125" "a bad field name"
    ReservedField "E0126" "a field name that every record has already"
    BuiltIn "E0127" "a change of the built-in `User`"
    UnknownType "E0130" "an unknown type"
    MinOverMax "E0131" "`min` is greater than `max`"
    Bound "E0132" "a bound out of range"
    Pattern "E0133" "a pattern that is not a regular expression"
    EnumValues "E0134" "bad enum values"
    Unique "E0135" "`unique` where it cannot be"
    NeverSet "E0136" "required and readonly without a default"
    DefaultType "E0140" "a default of the wrong type"
    DefaultRange "E0141" "a default against the field's own constraints"
    DefaultSource "E0142" "`user.id` or `now` where it cannot be"
    UnknownEntity "E0150" "a reference to an unknown entity"
    OnDelete "E0151" "a bad `on_delete`"
    SetNullRequired "E0152" "`set_null` on a required field"
    Lookup "E0153" "a `from` that leads nowhere, or a key that does not go with it"
    LookupCycle "E0154" "lookups that lead back to where they began"
    Was "E0155" "a `was` that names no former name"
    IndexUnknown "E0160" "an index over an unknown field"
    IndexJson "E0161" "an index over a json field"
    IndexRepeated "E0162" "an empty or repeated index, or a field twice in one"
    Label "E0163" "a bad label"
    History "E0164" "a bad `history`"
    AccessRule "E0170" "an access rule that is empty or too long"
    RuleSyntax "E0171" "a rule that is no expression"
    RuleName "E0172" "a rule that names what there is not"
    RuleType "E0173" "a rule that compares what does not fit"
    RuleUnsupported "E0174" "a part of CEL that rules do not have"
    RuleRelation "E0175" "`identity`, or records of a person, without the one ref to `User`"
    RuleChange "E0176" "`change` where nothing is changed"
    RuleBudget "E0177" "a rule nested too deep, or of too many parts"
    FieldRule "E0178" "a field's `read` or `hidden` where it cannot be"
    LookupShows "E0179" "a lookup that shows what the field that it copies keeps from some"
    EmptyFolder "W0101" "the folder holds no schema file"
    Unsaid "W0102" "an entity without access rules"
    Unindexed "W0103" "a read rule that no index serves"
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
