//! Diagnostics as text in the manner of rustc, and as JSON for editors and scripts.
//!
//! Knows no terminal: the caller says whether there is colour.

use std::fmt;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::diagnostics::{Diagnostic, Diagnostics, File};
use super::message::plain;

/// Whether text for a terminal has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Never,
    Always,
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Color::Never))
    }
}

impl Diagnostics {
    /// Every diagnostic with its line, caret and help, each followed by an empty line.
    pub fn render(&self, color: Color) -> String {
        let renderer = match color {
            Color::Never => Renderer::plain(),
            Color::Always => Renderer::styled(),
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for (file, problem) in &self.problems {
            text.push_str(&renderer.render(&[self.group(*file, problem)]));
            text.push_str("\n\n");
        }
        if self.omitted > 0 {
            text.push_str(&format!("... and {} more\n\n", self.omitted));
        }
        text
    }

    /// An array of `{"code","severity","message","file","line","column","endLine","endColumn","help"}`: lines and
    /// columns count from 1, columns in characters, the end is exclusive. For a problem with the file itself all four are 1.
    pub fn to_json(&self) -> Value {
        self.problems.iter().map(|(file, problem)| one_json(&self.files[*file], problem)).collect()
    }

    fn group<'a>(&'a self, file: usize, problem: &'a Diagnostic) -> Group<'a> {
        let level = if is_warning(problem) { Level::WARNING } else { Level::ERROR };
        let group = Group::with_title(level.primary_title(&*problem.message).id(problem.code.as_str()));
        let main = &self.files[file];
        let group = match &problem.also {
            Some(also) if also.file.is_none_or(|other| other == file) => {
                let excerpt = Excerpt::of(main, &[&problem.span, &also.span]);
                let second = AnnotationKind::Context.span(excerpt.place(&also.span)).label(&*also.label);
                group.element(excerpt.snippet().annotation(excerpt.mark(problem)).annotation(second))
            }
            Some(also) => {
                let (excerpt, other) = (
                    Excerpt::of(main, &[&problem.span]),
                    Excerpt::of(&self.files[also.file.unwrap_or(file)], &[&also.span]),
                );
                let second = AnnotationKind::Context.span(other.place(&also.span)).label(&*also.label);
                group
                    .element(excerpt.snippet().annotation(excerpt.mark(problem)))
                    .element(other.snippet().annotation(second))
            }
            None if main.text.is_empty() && problem.span == (0..0) => {
                group.element(Origin::path(plain(&main.name)))
            }
            None => {
                let excerpt = Excerpt::of(main, &[&problem.span]);
                group.element(excerpt.snippet().annotation(excerpt.mark(problem)))
            }
        };
        if problem.help.is_empty() { group } else { group.element(Level::HELP.message(&*problem.help)) }
    }
}

fn is_warning(problem: &Diagnostic) -> bool {
    problem.code.as_str().starts_with('W')
}

/// The lines of a file that a diagnostic shows. Only they are handed to the renderer, whose work grows with its text.
struct Excerpt<'a> {
    file: &'a File,
    lines: Range<usize>,
    first_line: usize,
}

impl<'a> Excerpt<'a> {
    fn of(file: &'a File, spans: &[&Range<usize>]) -> Excerpt<'a> {
        let text = &file.text;
        let start = spans.iter().map(|span| span.start).min().unwrap_or(0).min(text.len());
        let end = spans.iter().map(|span| span.start).max().unwrap_or(0).min(text.len());
        let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let to = text[end..].find('\n').map_or(text.len(), |at| end + at);
        // The carriage return of a Windows line is no part of it, unless the place is that very byte.
        let to = if text[end..to].ends_with('\r') { to - 1 } else { to };
        Excerpt { file, lines: from..to, first_line: 1 + text[..from].matches('\n').count() }
    }

    fn snippet<T: Clone>(&self) -> Snippet<'a, T> {
        Snippet::source(&self.file.text[self.lines.clone()])
            .path(plain(&self.file.name))
            .line_start(self.first_line)
    }

    fn mark(&self, problem: &'a Diagnostic) -> annotate_snippets::Annotation<'a> {
        let mark = AnnotationKind::Primary.span(self.place(&problem.span));
        if problem.label.is_empty() { mark } else { mark.label(&*problem.label) }
    }

    /// The part of a span on its first line, counted from the excerpt's start. A place of many lines (a table) is
    /// shown by its first one.
    fn place(&self, span: &Range<usize>) -> Range<usize> {
        let text = &self.file.text[..self.lines.end];
        let start = span.start.min(text.len());
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = span.end.clamp(start, line_end.max(start));
        start - self.lines.start..end - self.lines.start
    }
}

fn one_json(file: &File, problem: &Diagnostic) -> Value {
    let (line, column) = line_and_column(&file.text, problem.span.start);
    let (end_line, end_column) = line_and_column(&file.text, problem.span.end);
    json!({
        "code": problem.code.as_str(),
        "severity": if is_warning(problem) { "warning" } else { "error" },
        "message": problem.message,
        "file": file.name,
        "line": line,
        "column": column,
        "endLine": end_line,
        "endColumn": end_column,
        "help": problem.help,
    })
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (1 + before.matches('\n').count(), 1 + before[line_start..].chars().count())
}
