//! Shows how far a download is: a bar on a terminal, else a line at the start and one at the end.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of one download, on stderr. Silent when asked to be quiet.
pub(super) struct Bar {
    bar: ProgressBar,
    name: String,
    lines: bool,
}

impl Bar {
    /// `from` names the source; `bytes` is the expected size.
    pub(super) fn start(name: &str, from: &str, bytes: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
        let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(format!("{name} from {from}"));
        bar.set_length(bytes);
        let lines = !quiet && !terminal;
        if lines {
            eprintln!("tiltmeter: fetching {name} ({}) from {from}", megabytes(bytes));
        }
        Bar { bar, name: name.to_string(), lines }
    }

    /// `bytes` have arrived so far.
    pub(super) fn set(&self, bytes: u64) {
        self.bar.set_position(bytes.min(self.bar.length().unwrap_or(bytes)));
    }

    /// The download is whole; leaves no bar behind.
    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
        if self.lines {
            eprintln!("tiltmeter: fetched {}", self.name);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Decimal megabytes, as download sizes are usually given.
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
