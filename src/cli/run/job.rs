//! Takes one suite from its cases to its tables.

use anyhow::Result;

use super::Args;
use super::measure::{Instruments, Measure, Measured};
use super::source::{Source, check_given};
use crate::analysis::benchmark;
use crate::cli::progress::{Progress, say, say_truncated};
use crate::cli::report;
use crate::probe::{self, Questions};
use crate::record::folder::{Found, RunFolder};
use crate::record::manifest::{
    AxisEntry, FORMAT, GateEntry, Manifest, ModelEntry, OutcomeEntry, ProbeEntry, ScorerEntry, SimilarityEntry,
    SuiteEntry,
};
use crate::record::{ResponseRow, ScoreRow};
use crate::report::Run;
use crate::scorer::similarity;
use crate::suite::{AskAs, Case, ChoiceStyle, Direction, Probe, Suite, Unit};

/// One suite on its way.
pub struct Job {
    pub measure: Measure,
    questions: Questions,
    /// The folder holds this very run already, finished.
    is_finished: bool,
}

impl Job {
    /// Checks all that can be checked before a model is asked.
    pub fn prepare(
        suite: Suite,
        cases: Vec<Case>,
        instruments: Instruments,
        source: &Source,
        args: &Args,
    ) -> Result<Self> {
        if let Some(name) = &suite.benchmark {
            benchmark::check(name)?;
        }
        let questions = Questions::of(&suite, &cases, source.card(), args.seed)?;
        let manifest = manifest(&suite, &cases, &instruments, source, args)?;
        let folder = RunFolder::new(&args.out, &manifest);
        folder.check_siblings(&manifest)?;
        let is_finished = !args.fresh && matches!(folder.look(&manifest)?, Found::Finished);
        match source {
            Source::Model(model) if !is_finished => questions.check_fit(model.as_ref())?,
            Source::Given { path, rows, .. } => check_given(path, rows, &questions)?,
            Source::Model(_) => {}
        }
        Ok(Self { measure: Measure { suite, cases, instruments, manifest, folder }, questions, is_finished })
    }

    /// Does what is left to do, down to the tables.
    pub fn finish(&self, source: &Source, args: &Args) -> Result<Run> {
        let measure = &self.measure;
        let path = measure.folder.path().display();
        if self.is_finished {
            say(args.engine.quiet, &format!("{path} is finished: its stored table (--fresh starts over)"));
            return report::read(measure.folder.path());
        }
        if args.fresh
            && let Some(aside) = measure.folder.move_aside()?
        {
            say(args.engine.quiet, &format!("moved the earlier run to {}", aside.display()));
        }
        let mut journal = measure.folder.begin(&measure.manifest)?;
        let mut answers = journal.answers()?;
        if !answers.is_empty() {
            say(args.engine.quiet, &format!("continuing {path}: {} answers are there already", answers.len()));
        }
        match source {
            Source::Given { rows, .. } => {
                answers = rows.iter().map(|row| ((row.case.clone(), row.sample), row.clone())).collect();
            }
            Source::Model(model) => {
                let done = self.questions.answered(&answers);
                let mut progress = Progress::new(args.engine.quiet, "answers", done, self.questions.count());
                self.questions.ask(&answers, model.as_ref(), &mut |rows| {
                    journal.commit(&rows)?;
                    progress.add(1);
                    Ok(())
                })?;
                drop(progress);
                answers = journal.answers()?;
            }
        }
        let answers: Vec<ResponseRow> = answers.into_values().collect();
        let names: Vec<&str> = measure.manifest.scorers.iter().map(|scorer| scorer.name.as_str()).collect();
        say(args.engine.quiet, &format!("scoring {} answers: {}", answers.len(), names.join(", ")));
        let mut scores = self.read_scores(&answers);
        scores.extend(measure.score(&answers)?);
        say_truncated(args.engine.quiet, &measure.instruments.scorers);
        let shared_draws = matches!(source, Source::Model(_));
        let measured =
            Measured { offsets: measure.offsets()?, pairs: measure.pairs(&answers, shared_draws)?, scores, answers };
        measure.write(&measured, journal, args.engine.quiet)
    }

    /// The scores that probes read off answers.
    fn read_scores(&self, answers: &[ResponseRow]) -> Vec<ScoreRow> {
        let cases = self.measure.cases_by_id();
        let mut rows = Vec::new();
        for answer in answers {
            for (scorer, score) in probe::read_scores(cases[answer.case.as_str()], answer) {
                let (score, reason) = match score {
                    Ok(score) => (Some(score), String::new()),
                    Err(reason) => (None, reason.to_owned()),
                };
                rows.push(ScoreRow { case: answer.case.clone(), sample: answer.sample, scorer, score, reason });
            }
        }
        rows
    }
}

fn manifest(
    suite: &Suite,
    cases: &[Case],
    instruments: &Instruments,
    source: &Source,
    args: &Args,
) -> Result<Manifest> {
    let card = source.card();
    let probes = suite.probes.iter().map(|probe| probe_entry(probe, source)).collect::<Result<Vec<_>>>()?;
    let of_probes = probe::scores(cases).into_iter().map(|info| ScorerEntry {
        name: info.name,
        revision: PROBE_SCORES.into(),
        unit: info.unit.into(),
        low: info.range.0,
        high: info.range.1,
        meaning: info.meaning,
    });
    let scorers: Vec<ScorerEntry> = instruments.entries().chain(of_probes).collect();
    let outcomes = suite.outcomes.iter().map(|outcome| OutcomeEntry {
        score: outcome.score.clone(),
        direction: outcome.direction.map_or_else(
            || instruments.direction(&outcome.score),
            |direction| match direction {
                Direction::HigherIsBetter => Some("higher".into()),
                Direction::LowerIsBetter => Some("lower".into()),
            },
        ),
        margin: outcome.margin,
        why: outcome.why.clone(),
    });
    let similarity = suite.similarity.iter().map(|metric| SimilarityEntry {
        metric: metric.as_str().into(),
        revision: similarity::revision(*metric, instruments.encoder.as_deref()),
    });
    let axes = suite.tested_axes().into_iter().map(|axis| AxisEntry {
        name: axis.name,
        reference: axis.reference,
        paired: axis.paired,
        groups: axis.groups,
        controls: axis.controls,
        crossed: axis.crossed,
        probes: axis.probes.iter().map(|kind| kind.as_str().into()).collect(),
    });
    Ok(Manifest {
        format: FORMAT,
        tiltmeter: env!("CARGO_PKG_VERSION").into(),
        suite: SuiteEntry {
            name: suite.name.clone(),
            version: suite.version,
            digest: suite.digest.clone(),
            description: suite.description.clone(),
            private: suite.private,
            benchmark: suite.benchmark.clone(),
        },
        model: ModelEntry {
            label: card.label.clone(),
            digest: card.digest.clone(),
            architecture: card.architecture.clone(),
            dtype: card.dtype.clone(),
            device: card.device.clone(),
            batch_invariant: card.batch_invariant,
            tokenizer: card.tokenizer.clone(),
        },
        template_date: probes
            .iter()
            .any(|probe| probe.asked_as == "chat")
            .then(|| args.engine.template_date.to_string()),
        seed: args.seed,
        limit: args.limit.map(|limit| limit as usize),
        label: args.label.clone(),
        probes,
        scorers,
        outcomes: outcomes.collect(),
        gate: GateEntry { on_inconclusive: (!suite.gate.fail_on_inconclusive).then(|| "warn".into()) },
        generalise_to: (suite.design.generalise_to == Unit::Templates).then(|| "templates".into()),
        similarity: similarity.collect(),
        axes: axes.collect(),
    })
}

/// Changes whenever the numbers that probes read could.
const PROBE_SCORES: &str = "1";

fn probe_entry(probe: &Probe, source: &Source) -> Result<ProbeEntry> {
    let wanted = match probe {
        Probe::Generate(spec) => spec.ask_as,
        Probe::Choice(spec) => spec.ask_as,
        Probe::Likelihood(spec) => spec.ask_as,
    };
    let asked_as = match (source, probe::ask_as(wanted, source.card())?) {
        (Source::Given { .. }, _) => "given",
        (_, AskAs::Chat) => "chat",
        (_, AskAs::Text | AskAs::Auto) => "text",
    };
    let entry = ProbeEntry { kind: probe.kind().as_str().into(), asked_as: asked_as.into(), ..ProbeEntry::default() };
    Ok(match probe {
        Probe::Generate(spec) => ProbeEntry {
            samples: Some(spec.samples),
            temperature: Some(spec.temperature),
            top_p: Some(spec.top_p),
            max_new_tokens: Some(spec.max_new_tokens),
            stop: Some(spec.stop.clone()),
            ..entry
        },
        Probe::Choice(spec) => {
            let options: Vec<String> = spec.options.iter().map(|option| option.id.clone()).collect();
            let style = if spec.style == ChoiceStyle::Letters { "letters" } else { "text" };
            let options = (!options.is_empty()).then_some(options);
            ProbeEntry { options, style: Some(style.into()), lead: spec.lead.clone(), ..entry }
        }
        Probe::Likelihood(_) => entry,
    })
}
