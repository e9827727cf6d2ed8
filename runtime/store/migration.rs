//! What a changed schema does to the records that are there: the steps, what each of them loses, and what the operator
//! must say before it happens.
//!
//! Knows no SQL. A backend makes the plan from what its database holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ids::Seq;
use crate::schema::{Generation, Value};

/// The state of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub generation: Generation,
    pub head: Seq,
    pub floor: Seq,
    /// Of the internal tables.
    pub format: u32,
    /// `Tidewire 0.1.0`: who opened it for writing last, if that was noted.
    pub program: Option<String>,
    /// Records of each entity, by the names in the database.
    pub records: Vec<(String, u64)>,
    /// The schema of the files is the one of the database.
    pub is_current: bool,
}

/// Every step from the schema in the database to the schema of the files, in the order of the schema.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    pub steps: Vec<MigrationStep>,
    /// Flags that were given, as they were written.
    pub given: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct MigrationStep {
    /// `Task` or `Task.notes`, by the name that it has in the files, or had if it is gone.
    pub subject: String,
    pub kind: StepKind,
    /// What happens: "rename the field `title`".
    pub what: String,
    /// How many values are gone afterwards, or are no longer what they were. A backup is made first.
    pub loses: u64,
    /// What is in the way; `None` when the step may be done.
    pub need: Option<Need>,
}

/// What a step does, which tells the flags that may concern it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    Create,
    Drop,
    Rename,
    Add,
    Retype,
    Require,
    Unique,
    Follow,
    /// The server numbers the records.
    Number,
    Forget,
    Expire,
    /// Not a step: a flag that no step is about.
    Stray,
}

/// What is in the way of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// "3 of 12 values do not convert".
    pub why: String,
    /// Records at fault, at most `EXAMPLES` of them.
    pub examples: Vec<String>,
    pub remedy: Remedy,
}

/// What the operator can do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum Remedy {
    /// A flag of `tidewire migrate apply`: `--allow-drop Task.notes`.
    Flag(String),
    /// In words: change the records or the schema.
    Words(&'static str),
}

/// Examples of records that a need names.
pub const EXAMPLES: usize = 5;

/// A flag that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllowFlag<'a> {
    pub flag: &'static str,
    pub subject: &'a str,
    /// The kinds of steps that it may be about.
    pub kinds: &'static [StepKind],
}

/// What the operator has said may happen. Subjects as `MigrationStep` has them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Allow {
    /// Entities with their records, fields with their values.
    pub drop: BTreeSet<String>,
    /// Fields whose values may be converted.
    pub retype: BTreeSet<String>,
    /// Fields whose values are converted, and emptied (or given the field's default) where they do not convert.
    pub clear: BTreeSet<String>,
    /// Entities whose history may be shortened.
    pub forget: BTreeSet<String>,
    /// Entities whose records that are due may be deleted.
    pub expire: BTreeSet<String>,
    /// The value for records that have none in a required field.
    pub backfill: BTreeMap<String, Value>,
}

impl Allow {
    /// Every flag that was given.
    pub fn flags(&self) -> Vec<AllowFlag<'_>> {
        use StepKind::{Add, Drop, Expire, Follow, Forget, Require, Retype};
        let flags: [(&'static str, &BTreeSet<String>, &'static [StepKind]); 5] = [
            ("--allow-drop", &self.drop, &[Drop]),
            ("--allow-retype", &self.retype, &[Retype]),
            ("--allow-clear", &self.clear, &[Retype, Follow]),
            ("--allow-forget", &self.forget, &[Forget]),
            ("--allow-expire", &self.expire, &[Expire]),
        ];
        let mut all = Vec::new();
        for (flag, subjects, kinds) in flags {
            all.extend(subjects.iter().map(|subject| AllowFlag { flag, subject, kinds }));
        }
        let filled: &'static [StepKind] = &[Add, Require, Retype];
        all.extend(self.backfill.keys().map(|subject| AllowFlag {
            flag: "--backfill",
            subject,
            kinds: filled,
        }));
        all
    }
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Nothing is in the way.
    pub fn is_ready(&self) -> bool {
        self.steps.iter().all(|step| step.need.is_none())
    }

    /// Values that are gone or changed afterwards.
    pub fn loses(&self) -> u64 {
        self.steps.iter().map(|step| step.loses).sum()
    }

    /// The flags that would allow what can be allowed, with those that were given.
    pub fn flags(&self) -> Vec<&str> {
        let needs = self.steps.iter().filter_map(|step| step.need.as_ref());
        let needed = needs.filter_map(|need| match &need.remedy {
            Remedy::Flag(flag) => Some(flag.as_str()),
            Remedy::Words(_) => None,
        });
        self.given.iter().map(String::as_str).chain(needed).collect()
    }

    /// Whether a flag alone is not enough.
    pub fn is_blocked(&self) -> bool {
        let needs = self.steps.iter().filter_map(|step| step.need.as_ref());
        needs.into_iter().any(|need| matches!(need.remedy, Remedy::Words(_)))
    }
}

/// One line for each step, with what is in its way below it.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for MigrationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.need.is_some() { '✗' } else { '✓' };
        write!(f, "{mark} {}: {}", self.subject, self.what)?;
        let Some(need) = &self.need else { return Ok(()) };
        write!(f, "\n    {}", need.why)?;
        for example in &need.examples {
            write!(f, "\n      {example}")?;
        }
        match &need.remedy {
            Remedy::Flag(flag) => write!(f, "\n    allow it with {flag}"),
            Remedy::Words(words) => write!(f, "\n    {words}"),
        }
    }
}
