//! Takes one suite from its cases to its tables.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::Args;
use super::source::{Source, check_given};
use crate::cli::expand::case_row;
use crate::cli::progress::{Progress, say};
use crate::cli::report;
use crate::probe::generate::{self, Question};
use crate::record::folder::{Found, RunFolder};
use crate::record::manifest::{
    AxisEntry, FORMAT, Manifest, ModelEntry, OutcomeEntry, ProbeEntry, ScorerEntry, SuiteEntry,
};
use crate::record::{Record, ResponseRow, ScoreRow, rows};
use crate::report::{Run, columns};
use crate::scorer::{Answer, Scored, Scorer};
use crate::suite::{AskAs, Case, Probe, Suite};

/// What a run folder holds beside its manifest.
const FILES: [&str; 6] = ["cases.csv", "responses.csv", "scores.csv", "records.csv", "groups.csv", "disparity.csv"];

/// One suite on its way.
pub struct Job {
    pub suite: Suite,
    cases: Vec<Case>,
    questions: Vec<Question>,
    scorers: Vec<Box<dyn Scorer>>,
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
                let done = self.questions.iter().filter(|question| generate::is_answered(question, &answers)).count();
                let mut progress = Progress::new(args.engine.quiet, "answers", done, self.questions.len());
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
        say(args.engine.quiet, &format!("scoring {} answers: {}", answers.len(), self.suite.scorers.join(", ")));
        let scores = self.score(&answers)?;
        let folder = &self.folder;
        folder.write("cases.csv", &rows::write_cases(&self.cases.iter().map(case_row).collect::<Vec<_>>()))?;
        folder.write("responses.csv", &rows::write_responses(&answers))?;
        folder.write("scores.csv", &rows::write_scores(&scores))?;
        folder.write("records.csv", &rows::write_records(&self.records(&scores)))?;
        let run =
            report::compute(self.manifest.clone(), &folder.partial("responses.csv"), &folder.partial("records.csv"))?;
        folder.write("groups.csv", &columns::write_groups(&run.tables.groups))?;
        folder.write("disparity.csv", &columns::write_gaps(&run.tables.gaps))?;
        folder.finish(&FILES, &self.manifest, journal)?;
        say(args.engine.quiet, &format!("wrote {path}: {}, manifest.yaml\n", FILES.join(", ")));
        Ok(run)
    }

    fn score(&self, answers: &[ResponseRow]) -> Result<Vec<ScoreRow>> {
        let cases: BTreeMap<&str, &Case> = self.cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let asked: Vec<Answer<'_>> = answers
            .iter()
            .map(|row| Answer {
                text: &row.text,
                tokens: row.tokens.unwrap_or(0),
                mask: &cases[row.case.as_str()].mask,
            })
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

fn manifest(suite: &Suite, scorers: &[Box<dyn Scorer>], source: &Source, args: &Args) -> Result<Manifest> {
    let card = source.card();
    let generate = suite.probes.iter().filter_map(|probe| match probe {
        Probe::Generate(spec) => Some(spec),
        Probe::Choice(_) | Probe::Likelihood(_) => None,
    });
    let probes = generate.map(|spec| {
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
        scorers: scorers.collect(),
        outcomes: outcomes.collect(),
        axes: axes.collect(),
    })
}
