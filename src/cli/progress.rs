//! Shows on stderr how far a run is: a bar on a terminal, a plain line now and then elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::scorer::Scorer;

/// Between two plain lines.
const EVERY: Duration = Duration::from_secs(15);

/// Says one line on stderr, unless quiet.
pub fn say(quiet: bool, line: &str) {
    if !quiet {
        // A closed stderr is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

/// Says for each scorer how many texts it read by their beginning alone.
pub fn say_truncated(quiet: bool, scorers: &[Box<dyn Scorer>]) {
    for scorer in scorers {
        let cut = scorer.truncated();
        if cut > 0 {
            let texts = if cut == 1 { "1 text was".into() } else { format!("{cut} texts were") };
            say(quiet, &format!("{texts} longer than {} reads, and scored by the beginning", scorer.info().name));
        }
    }
}

/// Progress of one count of things.
pub struct Progress {
    show: Show,
}

enum Show {
    Nothing,
    Bar(ProgressBar),
    Lines { what: &'static str, total: usize, done: usize, before: usize, begun: Instant, said: Instant },
}

impl Progress {
    /// `before` of the `total` were done in an earlier run, and count for nothing in the rate.
    pub fn new(quiet: bool, what: &'static str, before: usize, total: usize) -> Self {
        let show = if quiet || before == total {
            Show::Nothing
        } else if std::io::stderr().is_terminal() {
            let template = "{msg} [{bar:30}] {pos}/{len}, {per_sec}, {eta} left";
            let style = ProgressStyle::with_template(template).expect("the template is well formed");
            let bar = ProgressBar::new(total as u64).with_style(style.progress_chars("=> ")).with_message(what);
            bar.set_position(before as u64);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(500));
            Show::Bar(bar)
        } else {
            let now = Instant::now();
            Show::Lines { what, total, done: before, before, begun: now, said: now }
        };
        Self { show }
    }

    pub fn add(&mut self, count: usize) {
        match &mut self.show {
            Show::Nothing => {}
            Show::Bar(bar) => bar.inc(count as u64),
            Show::Lines { what, total, done, before, begun, said } => {
                *done += count;
                if *done == *total || said.elapsed() >= EVERY {
                    *said = Instant::now();
                    let rate = (*done - *before) as f64 / begun.elapsed().as_secs_f64().max(1e-3);
                    let left = (*total - *done) as f64 / rate;
                    say(false, &format!("{what} {done}/{total}, {rate:.1}/s, {} left", time(left)));
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Show::Bar(bar) = &self.show {
            bar.abandon(); // leaves the line as it is
        }
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 90.0 => format!("{seconds:.0} s"),
        seconds if seconds < 5400.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}
