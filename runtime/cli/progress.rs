//! `Progress`: how far a long command is, as a bar on stderr when that is a terminal, and nothing otherwise.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Counts to `length`, in records.
    pub(super) fn records(length: u64) -> Progress {
        Progress::new(length, "{wide_bar} {pos}/{len} records, {eta} left")
    }

    /// Counts to `length`, in bytes.
    pub(super) fn bytes(length: u64) -> Progress {
        Progress::new(length, "{wide_bar} {bytes}/{total_bytes}, {eta} left")
    }

    fn new(length: u64, template: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress(bar)
    }

    pub(super) fn at(&self, position: u64) {
        self.0.set_position(position);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
