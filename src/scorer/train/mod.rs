//! Fits the linear heads from public files: rows, sentence vectors, logistic regression, figures of quality.
//!
//! Everything follows from the files, the encoder and the seed, so the same command writes the same bytes.

pub mod corpus;
pub mod logistic;
pub mod quality;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::encoder::TextEncoder;
use super::linear_head::{FORMAT, Fit, HeadEncoder, LinearHead, Quality, Source, weights_digest};
use super::web_text;
use corpus::{Part, Row};

/// Sentences of VADER that stand for text without toxicity, at most.
const VADER_NEGATIVES: usize = 2500;

/// Texts that are encoded between two reports of progress.
const PROGRESS_STEP: usize = 500;

/// What a head is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Sentiment,
    Toxicity,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Task::Sentiment => "sentiment",
            Task::Toxicity => "toxicity",
        }
    }

    /// Reads the task's rows from a folder laid out as vader/, davidson/, toxigen/.
    ///
    /// # Errors
    /// A missing or malformed file, by name and line.
    pub fn parts(self, data: &Path, seed: u64) -> Result<Vec<Part>> {
        match self {
            Task::Sentiment => corpus::vader(data, seed),
            Task::Toxicity => {
                let mut parts = vec![corpus::davidson(data, seed)?, corpus::toxigen(data, seed)?];
                parts.extend(corpus::not_toxic_vader(data, seed, VADER_NEGATIVES)?);
                parts.push(corpus::neutral_identity(seed)?);
                Ok(parts)
            }
        }
    }

    /// The kind of a row: 0 negative, 1 neutral, 2 positive sentiment (borders at ±0.5, as VADER's own evaluation has
    /// them); 0 not toxic, 2 toxic.
    fn class(self, row: &Row) -> usize {
        let border = if self == Task::Sentiment { 0.5 } else { 0.0 };
        if row.value > border {
            2
        } else if row.value < -border || self == Task::Toxicity {
            0
        } else {
            1
        }
    }

    /// A held-out row's truth, where it has one: sentences of neutral sentiment are on neither side of 0.5.
    pub fn truth(self, row: &Row) -> Option<bool> {
        [Some(false), None, Some(true)][self.class(row)]
    }

    /// Strength of the L2 penalty: 1/C of the measurements from which the recipe comes; not tuned again.
    fn l2(self) -> f64 {
        match self {
            Task::Sentiment => 1.0,
            Task::Toxicity => 0.1,
        }
    }

    /// Weights that sum to the number of rows.
    ///
    /// Sentiment: every class of every file weighs the same, which puts neutral text of each kind near 0.5. Toxicity:
    /// the two classes weigh the same, and a row of toxigen counts twice: there are four of davidson to one, and only
    /// toxigen has abuse without swear words.
    fn row_weights(self, parts: &[Part], rows: &[(usize, &Row)]) -> Vec<f64> {
        let cell = |part: usize, row: &Row| match self {
            Task::Sentiment => part * 3 + self.class(row),
            Task::Toxicity => self.class(row),
        };
        let count = |part: usize| if parts[part].file.starts_with("toxigen/") { 2.0 } else { 1.0 };
        let mut counts = BTreeMap::new();
        for (part, row) in rows {
            *counts.entry(cell(*part, row)).or_insert(0.0) += count(*part);
        }
        let share = rows.len() as f64 / counts.len() as f64;
        rows.iter().map(|(part, row)| count(*part) * share / counts[&cell(*part, row)]).collect()
    }
}

/// Fits a task's head on the files under `data`.
///
/// `encoder_name` is what the head calls its encoder; `progress(texts encoded, of all)` is called now and then.
///
/// # Errors
/// A missing or malformed file; a fit that finds no minimum.
pub fn train(
    task: Task,
    data: &Path,
    seed: u64,
    encoder: &TextEncoder,
    encoder_name: &str,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<LinearHead> {
    let parts = task.parts(data, seed)?;
    let all: Vec<(usize, &Row)> =
        parts.iter().enumerate().flat_map(|(i, part)| part.rows.iter().map(move |row| (i, row))).collect();
    let (held_out, fitted): (Vec<_>, Vec<_>) = all.iter().copied().partition(|(_, row)| row.held_out);

    let mut done = 0;
    let mut encode = |rows: &[(usize, &Row)]| -> Result<Vec<f32>> {
        let mut vectors = Vec::with_capacity(rows.len() * encoder.dim());
        for some in rows.chunks(PROGRESS_STEP) {
            let texts: Vec<&str> = some.iter().map(|(_, row)| row.text.as_str()).collect();
            vectors.extend(encoder.encode(&texts)?.rows);
            done += some.len();
            progress(done, all.len());
        }
        Ok(vectors)
    };
    let x = encode(&fitted)?;
    let held_out_x = encode(&held_out)?;

    let targets: Vec<f64> = fitted.iter().map(|(_, row)| task.class(row) as f64 / 2.0).collect();
    let result = logistic::fit(&x, encoder.dim(), &targets, &task.row_weights(&parts, &fitted), task.l2())?;
    let weight: Vec<f32> = result.weight.iter().map(|&w| w as f32).collect();
    let bias = result.bias as f32;

    let mut head = LinearHead {
        format: FORMAT,
        name: task.name().to_string(),
        labels: labels(task).map(str::to_string),
        meaning: meaning(task).to_string(),
        higher_is_better: task == Task::Sentiment,
        encoder: HeadEncoder { name: encoder_name.to_string(), digest: encoder.digest().to_string() },
        text_rule: web_text::RULE.to_string(),
        fit: Fit {
            command: format!("tiltmeter head train --task {0} --data DIR --seed {seed} -o {0}.json", task.name()),
            seed,
            l2: task.l2(),
            rows: fitted.len(),
            method: method(task).to_string(),
        },
        data: parts.iter().map(source).collect(),
        license: license(task).to_string(),
        quality: Vec::new(),
        limits: limits(task).to_string(),
        bias,
        weights_digest: weights_digest(bias, &weight),
        weight,
    };
    head.quality = figures(&head, task, &parts, &held_out, &held_out_x, seed);
    Ok(head)
}

/// Figures on the held-out rows of each file, then of all files together.
fn figures(
    head: &LinearHead,
    task: Task,
    parts: &[Part],
    held_out: &[(usize, &Row)],
    vectors: &[f32],
    seed: u64,
) -> Vec<Quality> {
    let judged: Vec<(usize, f64, bool)> = held_out
        .iter()
        .zip(vectors.chunks_exact(head.weight.len()))
        .filter_map(|((part, row), vector)| Some((*part, head.score(vector), task.truth(row)?)))
        .collect();
    let on = |name: &str, wanted: &dyn Fn(usize) -> bool| {
        let (scores, truths): (Vec<f64>, Vec<bool>) =
            judged.iter().filter(|(part, ..)| wanted(*part)).map(|(_, score, truth)| (score, truth)).unzip();
        quality::measure(name, &scores, &truths, seed)
    };
    let mut rows: Vec<Quality> =
        parts.iter().enumerate().filter_map(|(i, part)| on(&part.file, &|part| part == i)).collect();
    rows.extend(on("all files together", &|_| true));
    rows
}

fn source(part: &Part) -> Source {
    let held_out = part.rows.iter().filter(|row| row.held_out).count();
    Source {
        file: part.file.clone(),
        sha256: part.sha256.clone(),
        source: part.source.to_string(),
        license: part.license.to_string(),
        fitted: part.rows.len() - held_out,
        held_out,
    }
}

fn labels(task: Task) -> [&'static str; 2] {
    match task {
        Task::Sentiment => ["negative", "positive"],
        Task::Toxicity => ["not toxic", "toxic"],
    }
}

fn meaning(task: Task) -> &'static str {
    match task {
        Task::Sentiment => "sentiment of the text: 0 negative, 0.5 neutral or mixed, 1 positive",
        Task::Toxicity => "probability that readers find the text hateful or offensive, were half of all texts so",
    }
}

fn method(task: Task) -> &'static str {
    match task {
        Task::Sentiment => {
            "Logistic regression by Newton's method. Target 0, 0.5, 1 for a mean rating below -0.5, between, above 0.5. \
             Every class of every file has the same total weight; of four weightings this one put neutral rows nearest to \
             0.5, and it was chosen on the held-out rows (AUROC differed by at most 0.02 between them). Figures are for \
             ratings beyond ±0.5. Rows of one review or editorial are all fitted or all held out. Group words were not \
             hidden in the fit; they are hidden when answers are scored."
        }
        Task::Toxicity => {
            "Logistic regression by Newton's method. Toxic: hate speech or offensive language in davidson, hate in toxigen. \
             Not toxic: the others there, at most 2,500 rated sentences of vader (reviews and editorials of any rating, \
             tweets rated 0 or better), and neutral sentences about people of our own. The two classes have the same \
             total weight, and a row of toxigen counts twice (chosen on the held-out rows: AUROC there .78 to .80, on \
             davidson .968 to .964). Equal texts, and the sentences of one frame, are all fitted or all held out. Group words were \
             not hidden in the fit; they are hidden when answers are scored."
        }
    }
}

fn license(task: Task) -> &'static str {
    match task {
        Task::Sentiment => "Apache-2.0 OR MIT; fitted on data under MIT",
        Task::Toxicity => {
            "Apache-2.0 OR MIT; fitted on data under MIT, CDLA-Permissive-2.0 (which leaves results free) and CC0-1.0"
        }
    }
}

fn limits(task: Task) -> &'static str {
    match task {
        Task::Sentiment => {
            "English. Fitted on tweets, product and film reviews and editorials, one sentence or so each; longer text is \
             read up to the encoder's limit. A sentence vector knows topic better than negation, and names of groups move \
             the score: hide or swap them, and measure this head's own gap beside any gap of a model."
        }
        Task::Toxicity => {
            "English. It ranks profanity and charged talk about groups; it is no detector of hate: counter-speech, quoted \
             abuse, reclaimed words and negation are scored as toxic (heads of this kind reach an \
             AUROC of about 0.6 on HateCheck). Raters over-labelled African American English in davidson (Sap et al. 2019), and names of groups \
             move the score: hide or swap them, and measure this head's own gap beside any gap of a model."
        }
    }
}
