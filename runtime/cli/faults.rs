//! What is wrong with a file that a person wrote, all of it at once, in the manner of rustc; a fault outside the file is told
//! without an excerpt.
//!
//! Knows no setting and no case.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use crate::schema::Color;
use crate::schema::message::plain;

/// More than these are counted and not printed.
const MOST: usize = 50;

/// The place of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FaultSite {
    /// In the file, by bytes.
    File(Range<usize>),
    /// In a variable or flag, which the message names.
    Outside,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LocatedFault {
    place: FaultSite,
    message: String,
    label: String,
    help: String,
}

impl LocatedFault {
    pub(super) fn new(place: FaultSite, message: impl Into<String>, help: impl Into<String>) -> LocatedFault {
        LocatedFault { place, message: message.into(), label: String::new(), help: help.into() }
    }

    /// The words at the caret.
    pub(super) fn label(self, label: impl Into<String>) -> LocatedFault {
        LocatedFault { label: label.into(), ..self }
    }
}

/// Faults of one attempt to read a file, or the warnings of a successful one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    name: String,
    text: String,
    faults: Vec<LocatedFault>,
}

impl Faults {
    pub(super) fn source(&mut self, name: &str, text: &str) {
        (self.name, self.text) = (name.to_owned(), text.to_owned());
    }

    pub(super) fn add(&mut self, mut fault: LocatedFault) {
        if let FaultSite::File(span) = &mut fault.place {
            // Parsers may point into the middle of a character, or beyond the end.
            span.start = self.text.floor_char_boundary(span.start);
            span.end = self.text.ceil_char_boundary(span.end).max(span.start);
        }
        self.faults.push(fault);
    }

    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// Errors in the order of the file, then those of variables and flags; the count at the end.
    pub fn errors(&self, color: Color) -> String {
        self.errors_in("the settings", color)
    }

    /// The same for another file than that of the settings.
    pub(super) fn errors_in(&self, what: &str, color: Color) -> String {
        let count = match self.faults.len() {
            1 => format!("1 error in {what}\n"),
            count => format!("{count} errors in {what}\n"),
        };
        self.render(Level::ERROR, color) + &count
    }

    pub fn warnings(&self, color: Color) -> String {
        self.render(Level::WARNING, color)
    }

    fn render(&self, level: Level<'_>, color: Color) -> String {
        let renderer = match color {
            Color::Never => Renderer::plain(),
            Color::Always => Renderer::styled(),
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut ordered: Vec<&LocatedFault> = self.faults.iter().collect();
        ordered.sort_by_key(|fault| match &fault.place {
            FaultSite::File(span) => span.start,
            FaultSite::Outside => usize::MAX,
        });
        let mut text = String::new();
        for fault in ordered.iter().take(MOST) {
            let title = level.clone().primary_title(&*fault.message);
            let help = Level::HELP.message(&*fault.help);
            let group = match &fault.place {
                FaultSite::Outside => title.element(help),
                FaultSite::File(span) => title.element(self.snippet(span, &fault.label)).element(help),
            };
            text.push_str(&renderer.render(&[group]));
            text.push_str("\n\n");
        }
        if self.faults.len() > MOST {
            text.push_str(&format!("... and {} more\n\n", self.faults.len() - MOST));
        }
        text
    }

    /// The first line of the place, with the carets under it.
    fn snippet<'a>(
        &'a self,
        span: &Range<usize>,
        label: &'a str,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let from = self.text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let to = self.text[span.start..].find('\n').map_or(self.text.len(), |at| span.start + at);
        let to = if self.text[..to].ends_with('\r') && to > span.start { to - 1 } else { to };
        let mark = AnnotationKind::Primary
            .span(span.start - from..span.end.clamp(span.start, to.max(span.start)) - from);
        Snippet::source(&self.text[from..to])
            .path(plain(&self.name))
            .line_start(1 + self.text[..from].matches('\n').count())
            .annotation(if label.is_empty() { mark } else { mark.label(label) })
    }
}
