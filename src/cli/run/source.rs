//! Opens where a run's answers come from: a model, a script, or a file of answers that were made elsewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::Args;
use crate::cli::check::line;
use crate::cli::progress::say;
use crate::model::{self, LanguageModel, ModelCard, Prompt};
use crate::probe::Questions;
use crate::record::{ResponseRow, rows};
use crate::suite::Suite;
use crate::suite::lint::{self, Level, lint};

/// Where answers come from.
pub enum Source {
    Model(Box<dyn LanguageModel>),
    Given { card: ModelCard, path: PathBuf, rows: Vec<ResponseRow> },
}

impl Source {
    pub fn open(args: &Args) -> Result<Self> {
        if let Some(path) = &args.responses {
            return Self::given(path);
        }
        Ok(Self::Model(model::open_any(&args.model, &args.engine.options())?))
    }

    fn given(path: &Path) -> Result<Self> {
        let rows = rows::read_responses(path)?;
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let fit = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '-' };
        let card = ModelCard {
            label: stem.chars().map(fit).collect(),
            digest,
            architecture: "given".into(),
            dtype: "given".into(),
            device: "none".into(),
            batch_invariant: true,
            tokenizer: None,
            context_length: usize::MAX,
            has_chat_template: true,
        };
        Ok(Self::Given { card, path: path.to_owned(), rows })
    }

    pub fn card(&self) -> &ModelCard {
        match self {
            Self::Model(model) => model.card(),
            Self::Given { card, .. } => card,
        }
    }
}

/// Warnings of the lint that are shown before a run.
const SHOWN: usize = 3;

impl Source {
    /// Lints the suite with the model's own tokenizer: errors end the run, warnings go to stderr, the first few of them.
    pub fn check(&self, suite: &Suite, args: &Args) -> Result<()> {
        let found = match self {
            Self::Model(model) => {
                let tokens = |text: &str| model.prompt_tokens(&Prompt::Text(text.to_owned()));
                let card = model.card();
                lint(
                    suite,
                    Some(&lint::Model { name: &card.label, tokens: &tokens, context_length: card.context_length }),
                )?
            }
            Self::Given { .. } => lint(suite, None)?,
        };
        let of = |level: Level| found.iter().filter(move |finding| finding.level == level);
        let errors: Vec<String> = of(Level::Error).map(line).collect();
        ensure!(errors.is_empty(), "{}", errors.join("\n"));
        for finding in of(Level::Warning).take(SHOWN) {
            say(args.engine.quiet, &line(finding));
        }
        let more = of(Level::Warning).count().saturating_sub(SHOWN);
        if more > 0 {
            say(args.engine.quiet, &format!("… and {more} more warnings; `tiltmeter check` shows them all"));
        }
        Ok(())
    }
}

/// Errs unless the file answers every case and sample exactly once, and nothing else.
pub fn check_given(path: &Path, rows: &[ResponseRow], questions: &Questions) -> Result<()> {
    ensure!(
        questions.likelihood.is_empty(),
        "the suite reads likelihoods, which only a model can tell; answers of {} cannot stand for them",
        path.display()
    );
    let wanted = questions.answers();
    let mut given = BTreeSet::new();
    for row in rows {
        let key = (row.case.as_str(), row.sample);
        let (path, case, sample) = (path.display(), &row.case, row.sample);
        if !wanted.contains(&key) {
            bail!(
                "{path} answers case {case:?}, sample {sample}, which the suite does not ask; `tiltmeter expand` lists \
                 its cases, and samples count from 0"
            );
        }
        ensure!(given.insert(key), "{path} answers case {case:?}, sample {sample} twice; keep one of the rows");
    }
    if let Some((case, sample)) = wanted.difference(&given).next() {
        bail!(
            "{} answers {} of {} questions; the first that it lacks is case {case:?}, sample {sample} (samples count \
             from 0; an answer without text is a row with an empty text)",
            path.display(),
            given.len(),
            wanted.len()
        );
    }
    Ok(())
}
