//! `tiltmeter run`: suites → cases → answers → scores → tables, kept in one folder a run.
//!
//! Everything that can be refused is refused before a model is asked: suites, scorers, prompts that do
//! not fit, folders that hold another run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use super::output::{self, Format};
use super::progress::{Progress, say};
use super::report;
use crate::model::device::DeviceChoice;
use crate::model::files::{self, Access};
use crate::model::scripted::{self, ScriptedModel};
use crate::model::{self, LanguageModel, ModelCard};
use crate::probe::generate::{self, Question};
use crate::record::folder::{Found, RunFolder};
use crate::record::manifest::{
    AxisEntry, FORMAT, Manifest, ModelEntry, OutcomeEntry, ProbeEntry, ScorerEntry, SuiteEntry,
};
use crate::record::{CaseRow, Record, ResponseRow, ScoreRow, rows};
use crate::report::{Run, columns};
use crate::scorer::encoder::TextEncoder;
use crate::scorer::{self, Answer, Scored, Scorer};
use crate::suite::expand::expand;
use crate::suite::load::load_named_or_path;
use crate::suite::{AskAs, Case, Probe, Suite};

/// Ask a model the cases of suites, score its answers, and say where they tilt
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Suite files, or names of suites that the program carries
    #[arg(value_name = "SUITE", default_value = "first-look")]
    suites: Vec<String>,

    /// A name from `tiltmeter model list`, a folder, a .gguf file, a hub id, or scripted:FILE (answers from a table)
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m-instruct")]
    model: String,

    /// Score the answers of this CSV file (case, sample, text) and ask no model
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    responses: Option<PathBuf>,

    /// Only the first N contexts, each with all its counterfactual sets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Seed of sampling and of the statistics
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Folder for the run folders
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    out: PathBuf,

    /// Added to the run folder's name, to keep runs of one suite and model apart
    #[arg(long, value_parser = label)]
    label: Option<String>,

    /// Move a run that is there already aside, and start over
    #[arg(long)]
    fresh: bool,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,

    /// Threads to compute with; all cores when left out. Changes no result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Tokens to compute at once, at most; more needs more memory. Changes no result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_tokens: Option<u32>,

    /// Use only files that are here already
    #[arg(long)]
    offline: bool,

    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DeviceArg {
    /// CUDA or Metal where this build and machine have it, else the CPU
    Auto,
    Cpu,
    Cuda,
    Metal,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter run                                        first-look on smollm2-135m-instruct
  tiltmeter run --limit 4                              a first try
  tiltmeter run my-suite.yaml --model ./model.gguf
  tiltmeter run my-suite.yaml --responses answers.csv  answers that were made elsewhere

The same command again continues a run that was cut off; on a finished run it prints the stored table.";

fn label(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("it becomes part of a folder's name: use letters, digits, '.', '_' and '-'".into())
    }
}

pub fn run(args: &Args) -> Result<()> {
    if let Some(threads) = args.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().context("--threads")?;
    }
    let suites = args.suites.iter().map(|name| load(name, args.limit)).collect::<Result<Vec<_>>>()?;
    let scorers = build_scorers(&suites, args)?;
    let source = Source::open(args)?;
    let jobs = suites
        .into_iter()
        .zip(scorers)
        .map(|((suite, cases), scorers)| Job::prepare(suite, cases, scorers, &source, args))
        .collect::<Result<Vec<_>>>()?;
    let mut folders = BTreeSet::new();
    for job in &jobs {
        ensure!(
            folders.insert(job.folder.path()),
            "two of the suites go by the name {}; name each suite once",
            job.suite.name
        );
    }
    let mut runs = Vec::new();
    for job in &jobs {
        runs.push(job.finish(&source, args)?);
        if args.format == Format::Text {
            let gap = if runs.len() > 1 { "\n" } else { "" };
            output::print(&format!("{gap}{}", output::render(&runs[runs.len() - 1..], args.format)))?;
        }
    }
    if args.format == Format::Json {
        output::print(&output::render(&runs, args.format))?;
    }
    Ok(())
}

fn load(name: &str, limit: Option<u32>) -> Result<(Suite, Vec<Case>)> {
    let suite = load_named_or_path(name)?;
    let cases = expand(&suite, limit.map(|limit| limit as usize))?;
    ensure!(!cases.is_empty(), "suite {} makes no cases; `tiltmeter expand {name}` shows what it makes", suite.name);
    Ok((suite, cases))
}

fn access(args: &Args) -> Access {
    Access { offline: args.offline || Access::from_env().offline, quiet: args.quiet }
}

/// The scorers of each suite; the sentence encoder is opened once, if any of them needs it.
fn build_scorers(suites: &[(Suite, Vec<Case>)], args: &Args) -> Result<Vec<Vec<Box<dyn Scorer>>>> {
    let needs_encoder = suites.iter().any(|(suite, _)| scorer::needs_encoder(&suite.scorers));
    let encoder = if needs_encoder {
        let files = files::resolve_encoder(ENCODER, &access(args))?;
        Some(Arc::new(TextEncoder::from_files(&files)?))
    } else {
        None
    };
    suites.iter().map(|(suite, _)| scorer::build(&suite.scorers, encoder.clone(), max_new_tokens(suite))).collect()
}

/// Catalog name of the sentence encoder that the embedded heads were fitted on.
const ENCODER: &str = "minilm-l6";

fn max_new_tokens(suite: &Suite) -> usize {
    let limits = suite.probes.iter().map(|Probe::Generate(spec)| spec.max_new_tokens);
    limits.max().unwrap_or(1)
}

/// Where answers come from.
enum Source {
    Model(Box<dyn LanguageModel>),
    Given { card: ModelCard, path: PathBuf, rows: Vec<ResponseRow> },
}

impl Source {
    fn open(args: &Args) -> Result<Self> {
        if let Some(path) = &args.responses {
            return Self::given(path);
        }
        if let Some(path) = args.model.strip_prefix(scripted::PREFIX) {
            return Ok(Self::Model(Box::new(ScriptedModel::read(Path::new(path))?)));
        }
        let Access { offline, quiet } = access(args);
        let device = match args.device {
            DeviceArg::Auto => DeviceChoice::Auto,
            DeviceArg::Cpu => DeviceChoice::Cpu,
            DeviceArg::Cuda => DeviceChoice::Cuda,
            DeviceArg::Metal => DeviceChoice::Metal,
        };
        let batch_tokens = args.batch_tokens.map(|tokens| tokens as usize);
        let options = model::OpenOptions { device, batch_tokens, offline, quiet };
        Ok(Self::Model(Box::new(model::open(&args.model, &options)?)))
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
            context_length: usize::MAX,
            has_chat_template: true,
        };
        Ok(Self::Given { card, path: path.to_owned(), rows })
    }

    fn card(&self) -> &ModelCard {
        match self {
            Self::Model(model) => model.card(),
            Self::Given { card, .. } => card,
        }
    }
}

/// One suite on its way.
struct Job {
    suite: Suite,
    cases: Vec<Case>,
    questions: Vec<Question>,
    scorers: Vec<Box<dyn Scorer>>,
    manifest: Manifest,
    folder: RunFolder,
    /// The folder holds this very run already, finished.
    is_finished: bool,
}

impl Job {
    /// Checks all that can be checked before a model is asked.
    fn prepare(
        suite: Suite,
        cases: Vec<Case>,
        scorers: Vec<Box<dyn Scorer>>,
        source: &Source,
        args: &Args,
    ) -> Result<Self> {
        let questions = generate::questions(&suite, &cases, source.card(), args.seed)?;
        let manifest = manifest(&suite, &scorers, source, args)?;
        let folder = RunFolder::new(&args.out, &manifest);
        folder.check_siblings(&manifest)?;
        let is_finished = !args.fresh && matches!(folder.look(&manifest)?, Found::Finished);
        match source {
            Source::Model(model) if !is_finished => generate::check_fit(&questions, model.as_ref())?,
            Source::Given { path, rows, .. } => check_given(path, rows, &questions)?,
            Source::Model(_) => {}
        }
        Ok(Self { suite, cases, questions, scorers, manifest, folder, is_finished })
    }

    /// Does what is left to do, down to the tables.
    fn finish(&self, source: &Source, args: &Args) -> Result<Run> {
        let path = self.folder.path().display();
        if self.is_finished {
            say(args.quiet, &format!("{path} is finished: its stored table (--fresh starts over)"));
            return report::read(self.folder.path());
        }
        if args.fresh
            && let Some(aside) = self.folder.move_aside()?
        {
            say(args.quiet, &format!("moved the earlier run to {}", aside.display()));
        }
        let mut journal = self.folder.begin(&self.manifest)?;
        let mut answers = journal.answers()?;
        if !answers.is_empty() {
            say(args.quiet, &format!("continuing {path}: {} answers are there already", answers.len()));
        }
        match source {
            Source::Given { rows, .. } => {
                answers = rows.iter().map(|row| ((row.case.clone(), row.sample), row.clone())).collect();
            }
            Source::Model(model) => {
                let done = self.questions.iter().filter(|question| generate::is_answered(question, &answers)).count();
                let mut progress = Progress::new(args.quiet, "answers", done, self.questions.len());
                generate::ask(&self.questions, &answers, model.as_ref(), &mut |rows| {
                    journal.commit(&rows)?;
                    progress.add(1);
                    Ok(())
                })?;
                drop(progress);
                answers = journal.answers()?;
            }
        }
        let answers: Vec<ResponseRow> = answers.into_values().collect();
        say(args.quiet, &format!("scoring {} answers: {}", answers.len(), self.suite.scorers.join(", ")));
        let scores = self.score(&answers)?;
        let folder = &self.folder;
        folder.write("cases.csv", &rows::write_cases(&self.cases.iter().map(case_row).collect::<Vec<_>>()))?;
        folder.write("responses.csv", &rows::write_responses(&answers))?;
        folder.write("scores.csv", &rows::write_scores(&scores))?;
        folder.write("records.csv", &rows::write_records(&self.records(&scores)))?;
        let run = report::compute(
            self.manifest.clone(),
            &folder.partial("responses.csv"),
            &folder.partial("records.csv"),
        )?;
        folder.write("groups.csv", &columns::write_groups(&run.tables.groups))?;
        folder.write("disparity.csv", &columns::write_gaps(&run.tables.gaps))?;
        folder.finish(&FILES, &self.manifest, journal)?;
        say(args.quiet, &format!("wrote {path}: {}, manifest.yaml\n", FILES.join(", ")));
        Ok(run)
    }

    fn score(&self, answers: &[ResponseRow]) -> Result<Vec<ScoreRow>> {
        let cases: BTreeMap<&str, &Case> = self.cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let asked: Vec<Answer<'_>> = answers
            .iter()
            .map(|row| Answer { text: &row.text, tokens: row.tokens.unwrap_or(0), mask: &cases[row.case.as_str()].mask })
            .collect();
        let mut rows = Vec::with_capacity(answers.len() * self.scorers.len());
        for scorer in &self.scorers {
            let info = scorer.info();
            let scored = scorer.score(&asked).with_context(|| format!("scorer {}", info.name))?;
            for (answer, scored) in answers.iter().zip(scored) {
                let (score, reason) = match scored {
                    Scored::Unscored(reason) => (None, reason),
                    Scored::Value(_) if info.unit == "tokens" && answer.tokens.is_none() => {
                        (None, "no token count".into())
                    }
                    Scored::Value(value) if !value.is_finite() => (None, "not a number".into()),
                    Scored::Value(value) => (Some(value), String::new()),
                };
                rows.push(ScoreRow {
                    case: answer.case.clone(),
                    sample: answer.sample,
                    scorer: info.name.clone(),
                    score,
                    reason,
                });
            }
        }
        Ok(rows)
    }

    fn records(&self, scores: &[ScoreRow]) -> Vec<Record> {
        let cases: BTreeMap<&str, &Case> = self.cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let model = self.manifest.model_name();
        let record = |row: &ScoreRow| {
            let case = cases[row.case.as_str()];
            Record {
                suite: self.suite.name.clone(),
                model: model.clone(),
                template: case.template.clone(),
                context: case.context.clone(),
                axis: case.axis.clone(),
                group: case.group.clone(),
                term: case.term.clone(),
                sample: row.sample,
                scorer: row.scorer.clone(),
                score: row.score,
            }
        };
        scores.iter().map(record).collect()
    }
}

/// What a run folder holds beside its manifest.
const FILES: [&str; 6] = ["cases.csv", "responses.csv", "scores.csv", "records.csv", "groups.csv", "disparity.csv"];

/// Errs unless the file answers every case and sample exactly once, and nothing else.
fn check_given(path: &Path, rows: &[ResponseRow], questions: &[Question]) -> Result<()> {
    let wanted: BTreeSet<(&str, u32)> = questions
        .iter()
        .flat_map(|question| question.cases.iter().map(|case| (case.as_str(), question.sample)))
        .collect();
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

fn manifest(suite: &Suite, scorers: &[Box<dyn Scorer>], source: &Source, args: &Args) -> Result<Manifest> {
    let card = source.card();
    let probes = suite.probes.iter().map(|Probe::Generate(spec)| {
        let asked_as = match (source, generate::asked_as(spec, card)?) {
            (Source::Given { .. }, _) => "given",
            (_, AskAs::Chat) => "chat",
            (_, AskAs::Text | AskAs::Auto) => "text",
        };
        Ok(ProbeEntry {
            kind: "generate".into(),
            asked_as: asked_as.into(),
            samples: spec.samples,
            temperature: spec.temperature,
            top_p: spec.top_p,
            max_new_tokens: spec.max_new_tokens,
            stop: spec.stop.clone(),
        })
    });
    let probes = probes.collect::<Result<Vec<_>>>()?;
    let scorers = scorers.iter().map(|scorer| {
        let info = scorer.info();
        ScorerEntry {
            name: info.name.clone(),
            revision: info.revision.clone(),
            unit: info.unit.clone(),
            low: info.range.0,
            high: info.range.1,
            meaning: info.meaning.clone(),
        }
    });
    let outcomes = suite.outcomes.iter().map(|outcome| OutcomeEntry {
        score: outcome.score.clone(),
        margin: outcome.margin,
        why: outcome.why.clone(),
    });
    let axes = suite.axes.iter().map(|axis| AxisEntry {
        name: axis.name.clone(),
        reference: axis.reference.clone(),
        paired: axis.groups.iter().flat_map(|group| &group.terms).any(|term| term.paired),
        groups: axis.groups.iter().map(|group| group.name.clone()).collect(),
        controls: axis.groups.iter().filter(|group| group.control).map(|group| group.name.clone()).collect(),
    });
    Ok(Manifest {
        format: FORMAT,
        tiltmeter: env!("CARGO_PKG_VERSION").into(),
        suite: SuiteEntry {
            name: suite.name.clone(),
            version: suite.version,
            digest: suite.digest.clone(),
            description: suite.description.clone(),
        },
        model: ModelEntry {
            label: card.label.clone(),
            digest: card.digest.clone(),
            architecture: card.architecture.clone(),
            dtype: card.dtype.clone(),
            device: card.device.clone(),
        },
        template_date: probes
            .iter()
            .any(|probe| probe.asked_as == "chat")
            .then(|| crate::model::chat::TEMPLATE_DATE.to_owned()),
        seed: args.seed,
        limit: args.limit.map(|limit| limit as usize),
        label: args.label.clone(),
        probes,
        scorers: scorers.collect(),
        outcomes: outcomes.collect(),
        axes: axes.collect(),
    })
}

fn case_row(case: &Case) -> CaseRow {
    CaseRow {
        case: case.id.clone(),
        set: case.set.clone(),
        probe: case.probe_name.into(),
        template: case.template.clone(),
        context: case.context.clone(),
        axis: case.axis.clone(),
        group: case.group.clone(),
        term: case.term.clone(),
        prompt: case.prompt.clone(),
    }
}
