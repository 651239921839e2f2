//! Takes one suite from its cases to its tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Args;
use super::source::{Source, check_given};
use crate::analysis::benchmark;
use crate::cli::expand::case_row;
use crate::cli::progress::{Progress, say};
use crate::cli::report;
use crate::probe::{self, Questions};
use crate::record::folder::{Found, RunFolder};
use crate::record::manifest::{
    AxisEntry, FORMAT, Manifest, ModelEntry, OutcomeEntry, ProbeEntry, ScorerEntry, SimilarityEntry, SuiteEntry,
};
use crate::record::{PairRow, Record, ResponseRow, ScoreRow, rows};
use crate::report::{Run, columns};
use crate::scorer::encoder::TextEncoder;
use crate::scorer::similarity::{self, SetAnswer};
use crate::scorer::{Answer, Scored, Scorer, audit};
use crate::suite::{AskAs, Case, ChoiceStyle, Direction, Probe, ProbeKind, Suite, Vary};

/// What a run folder holds beside its manifest.
const FILES: [&str; 6] = ["cases.csv", "responses.csv", "scores.csv", "records.csv", "groups.csv", "disparity.csv"];

/// What answers are measured with.
pub struct Instruments {
    pub scorers: Vec<Box<dyn Scorer>>,
    /// There where a head or `similarity: [cosine]` needs it.
    pub encoder: Option<Arc<TextEncoder>>,
}

/// One suite on its way.
pub struct Job {
    pub suite: Suite,
    cases: Vec<Case>,
    questions: Questions,
    instruments: Instruments,
    manifest: Manifest,
    pub folder: RunFolder,
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
        Ok(Self { suite, cases, questions, instruments, manifest, folder, is_finished })
    }

    /// Does what is left to do, down to the tables.
    pub fn finish(&self, source: &Source, args: &Args) -> Result<Run> {
        let path = self.folder.path().display();
        if self.is_finished {
            say(args.engine.quiet, &format!("{path} is finished: its stored table (--fresh starts over)"));
            return report::read(self.folder.path());
        }
        if args.fresh
            && let Some(aside) = self.folder.move_aside()?
        {
            say(args.engine.quiet, &format!("moved the earlier run to {}", aside.display()));
        }
        let mut journal = self.folder.begin(&self.manifest)?;
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
        let names: Vec<&str> = self.manifest.scorers.iter().map(|scorer| scorer.name.as_str()).collect();
        say(args.engine.quiet, &format!("scoring {} answers: {}", answers.len(), names.join(", ")));
        let scores = self.score(&answers)?;
        let folder = &self.folder;
        folder.write("cases.csv", &rows::write_cases(&self.cases.iter().map(case_row).collect::<Vec<_>>()))?;
        folder.write("responses.csv", &rows::write_responses(&answers))?;
        folder.write("scores.csv", &rows::write_scores(&scores))?;
        folder.write("records.csv", &rows::write_records(&self.records(&scores)))?;
        let mut files = FILES.to_vec();
        // Where nothing is written there is nothing that a scorer of text could tilt.
        let offsets = if asks_for_text(&self.suite) {
            audit::offsets(&self.instruments.scorers, &self.suite)?
        } else {
            Vec::new()
        };
        if !offsets.is_empty() {
            folder.write("offsets.csv", &rows::write_offsets(&offsets))?;
            files.push("offsets.csv");
        }
        let shared_draws = matches!(source, Source::Model(_));
        let pairs = self.pairs(&answers, shared_draws)?;
        if !pairs.is_empty() {
            folder.write("similarity.csv", &rows::write_pairs(&pairs))?;
            files.push("similarity.csv");
        }
        let run = report::compute(self.manifest.clone(), |name| folder.partial(name))?;
        folder.write("groups.csv", &columns::write_groups(&run.tables.groups))?;
        folder.write("disparity.csv", &columns::write_gaps(&run.tables.gaps))?;
        if !run.tables.floors.is_empty() {
            folder.write("noise_floor.csv", &columns::write_floors(&run.tables.floors))?;
            files.push("noise_floor.csv");
        }
        if self.suite.benchmark.is_some() {
            folder.write("benchmark.csv", &columns::write_benchmark(&run.benchmark))?;
            files.push("benchmark.csv");
        }
        folder.finish(&files, &self.manifest, journal)?;
        say(args.engine.quiet, &format!("wrote {path}: {}, manifest.yaml\n", files.join(", ")));
        Ok(run)
    }

    fn score(&self, answers: &[ResponseRow]) -> Result<Vec<ScoreRow>> {
        let cases = self.cases_by_id();
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
        let written: Vec<&ResponseRow> =
            answers.iter().filter(|row| cases[row.case.as_str()].probe == ProbeKind::Generate).collect();
        let asked: Vec<Answer<'_>> = written
            .iter()
            .map(|row| Answer {
                text: &row.text,
                prompt: &cases[row.case.as_str()].prompt,
                tokens: row.tokens,
                mask: &cases[row.case.as_str()].mask,
            })
            .collect();
        for scorer in &self.instruments.scorers {
            let info = scorer.info();
            let scored = scorer.score(&asked).with_context(|| format!("scorer {}", info.name))?;
            for (answer, scored) in written.iter().zip(scored) {
                let (score, reason) = match scored {
                    Scored::Unscored(reason) => (None, reason),
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

    fn cases_by_id(&self) -> BTreeMap<&str, &Case> {
        self.cases.iter().map(|case| (case.id.as_str(), case)).collect()
    }

    /// What the statistics read: cases that compare groups, crossed ones also under each of their axes.
    fn records(&self, scores: &[ScoreRow]) -> Vec<Record> {
        let cases = self.cases_by_id();
        let model = self.manifest.model_name();
        let mut records = Vec::with_capacity(scores.len());
        for row in scores {
            let case = cases[row.case.as_str()];
            if case.axis.is_empty() {
                continue;
            }
            let record = |(axis, group): (&str, &str)| Record {
                suite: self.suite.name.clone(),
                model: model.clone(),
                template: case.template.clone(),
                context: case.context.clone(),
                axis: axis.into(),
                group: group.into(),
                term: case.term.clone(),
                sample: row.sample,
                scorer: row.scorer.clone(),
                score: row.score,
            };
            records.extend(self.compared(case).into_iter().map(record));
        }
        records
    }

    /// (axis, group) that a case stands for: its own, and of crossed axes each by itself too.
    fn compared<'c>(&self, case: &'c Case) -> Vec<(&'c str, &'c str)> {
        let mut all = vec![(case.axis.as_str(), case.group.as_str())];
        let crossed: Vec<(&str, &str)> = case.axis.split('+').zip(case.group.split('+')).collect();
        if self.suite.design.vary == Vary::Crossed && crossed.len() > 1 {
            all.extend(crossed);
        }
        all
    }

    /// How far apart the answers of each counterfactual set are as texts, by the suite's metrics.
    fn pairs(&self, answers: &[ResponseRow], shared_draws: bool) -> Result<Vec<PairRow>> {
        let cases = self.cases_by_id();
        let mut texts = Vec::new();
        for answer in answers {
            let case = cases[answer.case.as_str()];
            if self.suite.similarity.is_empty() || case.probe != ProbeKind::Generate || case.axis.is_empty() {
                continue;
            }
            let text = case.mask.apply(&answer.text);
            if text.trim().is_empty() {
                continue;
            }
            texts.extend(self.compared(case).into_iter().map(|(axis, group)| SetAnswer {
                template: &case.template,
                context: &case.context,
                axis,
                group,
                term: &case.term,
                sample: answer.sample,
                text: text.clone(),
            }));
        }
        let encoder = self.instruments.encoder.as_deref();
        similarity::pairs(&self.suite.similarity, &texts, &self.suite.tested_axes(), encoder, shared_draws)
    }
}

fn asks_for_text(suite: &Suite) -> bool {
    suite.probes.iter().any(|probe| probe.kind() == ProbeKind::Generate)
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
    let of_text = instruments.scorers.iter().map(|scorer| {
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
    let of_probes = probe::scores(cases).into_iter().map(|info| ScorerEntry {
        name: info.name,
        revision: PROBE_SCORES.into(),
        unit: info.unit.into(),
        low: info.range.0,
        high: info.range.1,
        meaning: info.meaning,
    });
    let scorers: Vec<ScorerEntry> = of_text.chain(of_probes).collect();
    let outcomes = suite.outcomes.iter().map(|outcome| OutcomeEntry {
        score: outcome.score.clone(),
        direction: outcome.direction.map(|direction| match direction {
            Direction::HigherIsBetter => "higher".into(),
            Direction::LowerIsBetter => "lower".into(),
        }),
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
