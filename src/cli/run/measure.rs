//! Measures the answers of one suite and writes its run folder: scores, records, the scorers' own offsets, similarity, tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::cli::expand::case_row;
use crate::cli::progress::say;
use crate::cli::report;
use crate::record::folder::RunFolder;
use crate::record::journal::Journal;
use crate::record::manifest::{Manifest, ScorerEntry};
use crate::record::records::{Names, write_records};
use crate::record::{OffsetRow, PairRow, Record, ResponseRow, ScoreRow, rows};
use crate::report::{Run, columns};
use crate::scorer::encoder::TextEncoder;
use crate::scorer::judge::pairs::{Contender, PairJudge};
use crate::scorer::similarity::{self, SetAnswer};
use crate::scorer::{Answer, Direction, Scored, Scorer, audit};
use crate::suite::{Case, ProbeKind, Suite, Vary};

/// What a run folder holds beside its manifest and its tables.
const FILES: [&str; 4] = ["cases.csv", "responses.csv", "scores.csv", "records.csv"];

/// What answers are measured with.
pub struct Instruments {
    pub scorers: Vec<Box<dyn Scorer>>,
    /// Judges that compare the answers of a set.
    pub judges: Vec<PairJudge>,
    /// There where a head or `similarity: [cosine]` needs it.
    pub encoder: Option<Arc<TextEncoder>>,
}

impl Instruments {
    /// The scorers as the manifest lists them.
    pub fn entries(&self) -> impl Iterator<Item = ScorerEntry> {
        let of_judges = self.judges.iter().flat_map(PairJudge::infos);
        self.scorers.iter().map(|scorer| scorer.info()).chain(of_judges).map(|info| ScorerEntry {
            name: info.name.clone(),
            revision: info.revision.clone(),
            unit: info.unit.clone(),
            low: info.range.0,
            high: info.range.1,
            meaning: info.meaning.clone(),
        })
    }

    /// Which side of a score its scorer takes for the better one, as a word of the manifest.
    pub fn direction(&self, score: &str) -> Option<String> {
        let scorer = self.scorers.iter().find(|scorer| scorer.info().name == score)?;
        match scorer.info().direction {
            Direction::Higher => Some("higher".into()),
            Direction::Lower => Some("lower".into()),
            Direction::Neither => None,
        }
    }
}

/// A suite with its cases, what measures them, and where the results go.
pub struct Measure {
    pub suite: Suite,
    pub cases: Vec<Case>,
    pub instruments: Instruments,
    pub manifest: Manifest,
    pub folder: RunFolder,
}

/// Answers and all that was measured on them.
pub struct Measured {
    pub answers: Vec<ResponseRow>,
    pub scores: Vec<ScoreRow>,
    pub offsets: Vec<OffsetRow>,
    pub pairs: Vec<PairRow>,
}

impl Measure {
    /// What the scorers say of the written answers.
    pub fn score(&self, answers: &[ResponseRow]) -> Result<Vec<ScoreRow>> {
        let cases = self.cases_by_id();
        let mut rows = Vec::new();
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
            rows.extend(written.iter().zip(scored).map(|(answer, scored)| score_row(answer, &info.name, scored)));
        }
        for judge in &self.instruments.judges {
            let [preference, disagreement] = judge.infos();
            let mut answers = Vec::new();
            let mut contenders = Vec::new();
            for (row, answer) in written.iter().zip(&asked) {
                let Case { set, axis, group, term, .. } = cases[row.case.as_str()];
                if !axis.is_empty() {
                    answers.push(row);
                    contenders.push(Contender { set, group, term, sample: row.sample, answer: *answer });
                }
            }
            let compared = judge.compare(&contenders).with_context(|| format!("judge {}", preference.name))?;
            for (answer, compared) in answers.into_iter().zip(compared) {
                rows.push(score_row(answer, &preference.name, compared.preference));
                rows.push(score_row(answer, &disagreement.name, compared.disagreement));
            }
        }
        Ok(rows)
    }

    pub fn cases_by_id(&self) -> BTreeMap<&str, &Case> {
        self.cases.iter().map(|case| (case.id.as_str(), case)).collect()
    }

    /// What the statistics read: cases that compare groups, crossed ones also under each of their axes.
    fn records(&self, scores: &[ScoreRow]) -> Vec<Record> {
        let cases = self.cases_by_id();
        let mut names = Names::default();
        let (suite, model) = (names.get(&self.suite.name), names.get(&self.manifest.model_name()));
        let mut records = Vec::with_capacity(scores.len());
        for row in scores {
            let case = cases[row.case.as_str()];
            if case.axis.is_empty() {
                continue;
            }
            let mut record = |(axis, group): (&str, &str)| Record {
                suite: suite.clone(),
                model: model.clone(),
                template: names.get(&case.template),
                context: names.get(&case.context),
                axis: names.get(axis),
                group: names.get(group),
                term: names.get(&case.term),
                sample: row.sample,
                scorer: names.get(&row.scorer),
                score: row.score,
            };
            records.extend(self.compared(case).into_iter().map(&mut record));
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
    pub fn pairs(&self, answers: &[ResponseRow], shared_draws: bool) -> Result<Vec<PairRow>> {
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

    /// What the scorers themselves add between groups. Where nothing is written there is nothing that a scorer of text could tilt.
    pub fn offsets(&self) -> Result<Vec<OffsetRow>> {
        match self.suite.probes.iter().any(|probe| probe.kind() == ProbeKind::Generate) {
            true => audit::offsets(&self.instruments.scorers, &self.suite),
            false => Ok(Vec::new()),
        }
    }

    /// Writes every file of the run, computes the tables from them, and finishes the folder.
    pub fn write(&self, measured: &Measured, journal: Journal, quiet: bool) -> Result<Run> {
        let Measured { answers, scores, offsets, pairs } = measured;
        let folder = &self.folder;
        folder.write("cases.csv", &rows::write_cases(&self.cases.iter().map(case_row).collect::<Vec<_>>()))?;
        folder.write("responses.csv", &rows::write_responses(answers))?;
        folder.write("scores.csv", &rows::write_scores(scores))?;
        folder.write("records.csv", &write_records(&self.records(scores)))?;
        let mut files = FILES.to_vec();
        if !offsets.is_empty() {
            folder.write("offsets.csv", &rows::write_offsets(offsets))?;
            files.push("offsets.csv");
        }
        if !pairs.is_empty() {
            folder.write("similarity.csv", &rows::write_pairs(pairs))?;
            files.push("similarity.csv");
        }
        let run = report::compute(self.manifest.clone(), |name| folder.partial(name))?;
        for (name, bytes) in columns::files(&[("", &run.tables)]) {
            let Some(bytes) = bytes else { continue };
            folder.write(name, &bytes)?;
            files.push(name);
        }
        if self.suite.benchmark.is_some() {
            folder.write("benchmark.csv", &columns::write_benchmark(&run.benchmark))?;
            files.push("benchmark.csv");
        }
        folder.finish(&files, &self.manifest, journal)?;
        say(quiet, &format!("wrote {}: {}, manifest.yaml\n", folder.path().display(), files.join(", ")));
        Ok(run)
    }
}

fn score_row(answer: &ResponseRow, scorer: &str, scored: Scored) -> ScoreRow {
    let (score, reason) = match scored {
        Scored::Unscored(reason) => (None, reason),
        Scored::Value(value) if !value.is_finite() => (None, "not a number".into()),
        Scored::Value(value) => (Some(value), String::new()),
    };
    ScoreRow { case: answer.case.clone(), sample: answer.sample, scorer: scorer.into(), score, reason }
}
