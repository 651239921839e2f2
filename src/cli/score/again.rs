//! Scores the stored answers of a run with further scorers, without asking a model: a new run folder with all that the old one holds, and
//! the new scores in its scores, records and tables. The old folder stays as it is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::cli::progress::{say, say_truncated};
use crate::cli::run::measure::{Instruments, Measure, Measured};
use crate::record::folder::{Found, RunFolder};
use crate::record::manifest::Manifest;
use crate::record::rows;
use crate::report::Run;
use crate::scorer::Scorer;
use crate::scorer::encoder::TextEncoder;
use crate::suite::Suite;
use crate::suite::expand::expand;
use crate::suite::load::{Outside, load_named_or_path};

/// A finished run with the suite that it asked.
pub struct Stored {
    path: PathBuf,
    manifest: Manifest,
    pub suite: Suite,
}

impl Stored {
    /// `suite` is a file or a name; none means the embedded suite of the run's own name. The suite says which words are hidden, so it must
    /// be the very one.
    pub fn open(run: &Path, suite: Option<&str>) -> Result<Self> {
        let manifest = Manifest::read(&run.join("manifest.yaml")).with_context(|| {
            format!("{} is no finished run folder; give one, or a .csv or .jsonl file", run.display())
        })?;
        let name = suite.unwrap_or(&manifest.suite.name);
        let suite = load_named_or_path(name, Outside::Allowed).with_context(|| {
            format!("{} was a run of the suite {}; give its file by --suite", run.display(), manifest.suite.name)
        })?;
        ensure!(
            suite.digest == manifest.suite.digest,
            "{name} is not the suite that {} asked: its digest is {}, the run's {}; give the file of version {} by --suite",
            run.display(),
            &suite.digest[..12],
            manifest.suite.digest.chars().take(12).collect::<String>(),
            manifest.suite.version
        );
        Ok(Self { path: run.to_owned(), manifest, suite })
    }

    /// The longest answer that was asked for.
    pub fn max_new_tokens(&self) -> usize {
        self.manifest.probes.iter().filter_map(|probe| probe.max_new_tokens).max().unwrap_or(1).max(1)
    }

    /// Writes the new run folder under `out`.
    pub fn score(
        self,
        scorers: Vec<Box<dyn Scorer>>,
        encoder: Option<Arc<TextEncoder>>,
        out: &Path,
        quiet: bool,
    ) -> Result<Run> {
        let Self { path, mut manifest, suite } = self;
        let instruments = Instruments { scorers, judges: Vec::new(), encoder };
        for entry in instruments.entries() {
            if manifest.scorers.iter().any(|known| known.name == entry.name) {
                bail!("{} has the score {:?} already; name another scorer", path.display(), entry.name);
            }
            manifest.scorers.push(entry);
        }
        let file = |name: &str| path.join(name);
        let cases = expand(&suite, manifest.limit)?;
        let folder = RunFolder::new(out, &manifest);
        ensure!(
            folder.path().canonicalize().ok() != path.canonicalize().ok(),
            "{} is the run itself, which stays as it is; give another folder by -o",
            folder.path().display()
        );
        if matches!(folder.look(&manifest)?, Found::Finished) {
            say(quiet, &format!("{} is finished: its stored table", folder.path().display()));
            return crate::cli::report::read(folder.path());
        }
        let answers = rows::read_responses(&file("responses.csv"))?;
        let measure = Measure { suite, cases, instruments, manifest, folder };
        let known = measure.cases_by_id();
        if let Some(row) = answers.iter().find(|row| !known.contains_key(row.case.as_str())) {
            bail!("{} answers case {:?}, which the suite does not make", file("responses.csv").display(), row.case);
        }
        drop(known);
        let mut scores = rows::read_scores(&file("scores.csv"))?;
        scores.extend(measure.score(&answers)?);
        say_truncated(quiet, &measure.instruments.scorers);
        let stored = |name: &str| file(name).exists();
        let mut offsets = if stored("offsets.csv") { rows::read_offsets(&file("offsets.csv"))? } else { Vec::new() };
        offsets.extend(measure.offsets()?);
        let pairs = if stored("similarity.csv") { rows::read_pairs(&file("similarity.csv"))? } else { Vec::new() };
        let journal = measure.folder.begin(&measure.manifest)?;
        measure.write(&Measured { answers, scores, offsets, pairs }, journal, quiet)
    }
}
