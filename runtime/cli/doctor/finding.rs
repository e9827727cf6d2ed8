//! One thing that was checked: its state, and what to do.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    Ok,
    /// It works, and may not for long or not as one expects.
    Warning,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Severity,
    /// One word: `port`, `clock`.
    topic: &'static str,
    text: String,
    /// What to do; empty when nothing needs doing.
    advice: String,
}

impl Finding {
    pub(super) fn ok(topic: &'static str, text: impl Into<String>) -> Finding {
        Finding { verdict: Severity::Ok, topic, text: text.into(), advice: String::new() }
    }

    pub(super) fn warning(
        topic: &'static str,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding { verdict: Severity::Warning, topic, text: text.into(), advice: advice.into() }
    }

    pub(super) fn error(topic: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { verdict: Severity::Error, topic, text: text.into(), advice: advice.into() }
    }
}

/// `error    port         127.0.0.1:8080 is taken`, the advice on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        writeln!(f, "{verdict:<8} {:<11} {}", self.topic, self.text)?;
        if self.advice.is_empty() { Ok(()) } else { writeln!(f, "{:<8} {:<11} -> {}", "", "", self.advice) }
    }
}
