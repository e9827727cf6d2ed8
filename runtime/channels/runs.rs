//! Runs: what one batch is for a group, its events in their order after the group's `prev`. Groups of one channel text whose
//! runs are the same have the same bytes, so these are made once in each wire form that a member needs, however many read
//! scopes there are.
//!
//! A run is kept as its last event and the run before that, so that each event of a group is one look-up.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::event::Event;
use crate::ids::Seq;
use crate::protocol::WireForm;

/// Number of a run, until the batch ends.
pub(super) type RunNumber = usize;

/// See the module's text. `T` is what is made of a run in one form.
#[derive(Debug)]
pub(super) struct Runs<T> {
    known: HashMap<Run, RunNumber, RandomState>,
    runs: Vec<(Run, ByForm<T>)>,
    /// The events of the run that was last asked for.
    events: Vec<RunNumber>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Run {
    before: Before,
    /// Place of the change in its batch.
    at: usize,
    event: Event,
}

/// What was made in each form; in most of them nothing.
#[derive(Debug)]
struct ByForm<T> {
    web_socket: Option<T>,
    event_stream: Option<T>,
    json: Option<T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Before {
    /// Nothing in this batch: the number of the channel's text, and the seq of the previous event.
    Start(u64, Seq),
    Run(RunNumber),
}

impl<T> Default for Runs<T> {
    fn default() -> Runs<T> {
        Runs { known: HashMap::default(), runs: Vec::new(), events: Vec::new() }
    }
}

impl<T> Runs<T> {
    /// The run that has one event more.
    pub(super) fn extend(&mut self, before: Before, at: usize, event: Event) -> RunNumber {
        let run = Run { before, at, event };
        if let Some(number) = self.known.get(&run) {
            return *number;
        }
        let number = self.runs.len();
        self.known.insert(run.clone(), number);
        self.runs.push((run, ByForm { web_socket: None, event_stream: None, json: None }));
        number
    }

    /// Places of changes in the batch, and what they are for the groups of this run, in order.
    pub(super) fn events(&mut self, run: RunNumber) -> impl DoubleEndedIterator<Item = (usize, &Event)> {
        self.events.clear();
        let mut next = Before::Run(run);
        while let Before::Run(number) = next {
            self.events.push(number);
            next = self.runs[number].0.before;
        }
        self.events.iter().rev().map(|number| (self.runs[*number].0.at, &self.runs[*number].0.event))
    }

    /// Place in the batch of the run's last change.
    pub(super) fn last(&self, run: RunNumber) -> usize {
        self.runs[run].0.at
    }

    /// The bytes of the run in a form. They are made at the first request.
    pub(super) fn made(
        &mut self,
        run: RunNumber,
        form: WireForm,
        make: impl FnOnce(&mut dyn Iterator<Item = (usize, &Event)>) -> T,
    ) -> T
    where
        T: Clone,
    {
        if let Some(made) = self.runs[run].1.of(form) {
            return made.clone();
        }
        let made = make(&mut self.events(run));
        *self.runs[run].1.of(form) = Some(made.clone());
        made
    }

    /// Ends the batch. What a single large one needed is given back.
    pub(super) fn clear(&mut self) {
        self.known.clear();
        self.known.shrink_to(1 << 12);
        self.runs.clear();
        self.runs.shrink_to(1 << 12);
    }
}

impl<T> ByForm<T> {
    fn of(&mut self, form: WireForm) -> &mut Option<T> {
        match form {
            WireForm::WebSocket => &mut self.web_socket,
            WireForm::EventStream => &mut self.event_stream,
            WireForm::Json => &mut self.json,
        }
    }
}
