//! The command line of the bench and the sizes of its runs. Starts nothing.

use std::time::Duration;

use crate::error::{BenchError, Outcome};

pub(crate) const HELP: &str = "\
cargo bench --bench spine [-- [--short] [SECTION ...]]

Sections (all of them when none is named):
  creates           POST /api/tasks at 1, 16, 64 and 128 clients, beside the echo
  reads             GET by id at 64 clients, beside the echo
  lists             lists of 20 at 64 clients, beside the echo
  updates           PATCH at 64 clients, beside the echo
  idle-create       one create at a time on a server that is idle, 20 a second, beside the echo
  fanout-single     1,000 subscribers, single creates at a low fixed rate
  fanout-saturated  1,000 subscribers, 8 publishers without pause
  fanout-sse        1,000 event streams beside 1,000 sockets: single creates, and 8 publishers without pause
  idle              memory of 5,000 subscribed connections
  storm             5,000 connections come back at once and resume
  replay            one client resumes from 100,000 changes ago
  growth            1,000 records beside 1,000,000: import, start, creates, pages, search, counts
  presence          creates beside 1,000 joins a second
  flood             reads beside a client that sends 10,000 subscriptions a second
  fanout-rules      1,000 persons who read by memberships, beside the same without a rule
  write-rules       creates whose rule follows a reference, or that make a notification, beside the same without
  activity          creates on a server with a subscriber of the activity, beside one without a subscriber
  token-reads       reads with the token of a session, beside the same without a token
  logins            200 logins a second beside reads, and 5,000 sockets that authenticate at once
  rules             the groups that a change concerns, beside a loop over all subscribers; in this process

  --short           seconds instead of minutes: shows that the bench works, measures nothing
  --help            this text

TIDEWIRE_BIN names another `tidewire` to measure; cargo builds the one of this tree otherwise.
Servers run on core 0 and the driver on core 1, by `taskset`. Results: target/bench/spine.json.
docs/performance.md says what each figure means.";

/// One part of the bench; each starts its own servers with empty data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Creates,
    Reads,
    Lists,
    Updates,
    IdleCreate,
    FanoutSingle,
    FanoutSaturated,
    FanoutSse,
    Idle,
    Storm,
    Replay,
    Growth,
    Presence,
    Flood,
    FanoutRules,
    WriteRules,
    Activity,
    TokenReads,
    Logins,
    Rules,
}

impl Section {
    /// In the order in which they run.
    pub(crate) const ALL: [Section; 20] = [
        Section::Creates,
        Section::Reads,
        Section::Lists,
        Section::Updates,
        Section::IdleCreate,
        Section::FanoutSingle,
        Section::FanoutSaturated,
        Section::FanoutSse,
        Section::Idle,
        Section::Storm,
        Section::Replay,
        Section::Growth,
        Section::Presence,
        Section::Flood,
        Section::FanoutRules,
        Section::WriteRules,
        Section::Activity,
        Section::TokenReads,
        Section::Logins,
        Section::Rules,
    ];

    /// The name on the command line, in the table and in the JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Section::Creates => "creates",
            Section::Reads => "reads",
            Section::Lists => "lists",
            Section::Updates => "updates",
            Section::IdleCreate => "idle-create",
            Section::FanoutSingle => "fanout-single",
            Section::FanoutSaturated => "fanout-saturated",
            Section::FanoutSse => "fanout-sse",
            Section::Idle => "idle",
            Section::Storm => "storm",
            Section::Replay => "replay",
            Section::Growth => "growth",
            Section::Presence => "presence",
            Section::Flood => "flood",
            Section::FanoutRules => "fanout-rules",
            Section::WriteRules => "write-rules",
            Section::Activity => "activity",
            Section::TokenReads => "token-reads",
            Section::Logins => "logins",
            Section::Rules => "rules",
        }
    }
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// True when the figures mean something.
    pub(crate) full: bool,
    /// Repetitions of which the median counts.
    pub(crate) rounds: usize,
    pub(crate) warm_up: Duration,
    /// How long one measurement of HTTP or of saturated fan-out takes.
    pub(crate) window: Duration,
    /// Records that exist before reads are measured.
    pub(crate) records: u64,
    pub(crate) subscribers: usize,
    /// Creates of `fanout-single` and `idle-create`, at `SINGLE_RATE` a second.
    pub(crate) single_creates: u64,
    /// Connections of `idle` and `storm`.
    pub(crate) connections: usize,
    /// Changes that `replay` reads.
    pub(crate) changes: u64,
    /// Records of the large side of `growth`; the small one has 1,000.
    pub(crate) grown: u64,
}

/// Creates a second in `fanout-single` and `idle-create`: slow enough that each is over before the next.
pub(crate) const SINGLE_RATE: u32 = 20;

const FULL: Scale = Scale {
    full: true,
    rounds: 3,
    warm_up: Duration::from_millis(500),
    window: Duration::from_secs(3),
    records: 10_000,
    subscribers: 1_000,
    single_creates: 200,
    connections: 5_000,
    changes: 100_000,
    grown: 1_000_000,
};

const SHORT: Scale = Scale {
    full: false,
    rounds: 1,
    warm_up: Duration::from_millis(100),
    window: Duration::from_millis(400),
    records: 1_000,
    subscribers: 100,
    single_creates: 20,
    connections: 300,
    changes: 3_000,
    grown: 5_000,
};

/// What a person asked for.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) sections: Vec<Section>,
    pub(crate) scale: Scale,
}

/// Which of its lives this process leads.
#[derive(Debug)]
pub(crate) enum Start {
    Help,
    ServeEcho,
    Drive(Options),
}

impl Start {
    /// Reads the arguments; an unknown one is an error that lists the known ones.
    pub(crate) fn parse(arguments: &[String]) -> Outcome<Start> {
        let mut options = Options { sections: Vec::new(), scale: FULL };
        for argument in arguments {
            match argument.as_str() {
                // Cargo adds this to the arguments of every bench.
                "--bench" => {}
                "--help" | "-h" => return Ok(Start::Help),
                "--serve-echo" => return Ok(Start::ServeEcho),
                "--short" => options.scale = SHORT,
                name => options.sections.push(section(name)?),
            }
        }
        if options.sections.is_empty() {
            options.sections = Section::ALL.to_vec();
        }
        Ok(Start::Drive(options))
    }
}

fn section(name: &str) -> Outcome<Section> {
    Section::ALL.into_iter().find(|section| section.name() == name).ok_or_else(|| {
        let known: Vec<&str> = Section::ALL.iter().map(|section| section.name()).collect();
        BenchError::Setup(format!("there is no section `{name}`; there are {} and --short", known.join(", ")))
    })
}
