//! Hands a benchmark's answers to its own statistics.

mod continuations;
mod coreference;

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value};

use crate::record::{CaseRow, ScoreRow};
pub use crate::stats::benchmarks::Row;
use crate::stats::benchmarks::{
    Draws, bbq, bold, crows_pairs, discrim_eval, holistic_bias, honest, real_toxicity_prompts, stereoset, winobias,
    winogender,
};

/// Resamples behind an interval, as for gaps.
const RESAMPLES: usize = 9_999;

/// A case with its columns and the scores of its first sample; a score that is missing or empty is not there.
struct Answered<'a> {
    case: &'a CaseRow,
    tags: Map<String, Value>,
    scores: HashMap<&'a str, f64>,
    /// Of every sample, those without a score too.
    rows: Vec<&'a ScoreRow>,
}

/// What makes the rows of a benchmark.
type Statistics = fn(&[Answered<'_>], &Draws<'_>) -> Result<Vec<Row>>;

/// Benchmark → its statistics, sorted by name.
const STATISTICS: [(&str, Statistics); 10] = [
    ("bbq", |answered, draws| Ok(bbq::rows(&each(answered, bbq_answer)?, draws))),
    ("bold", |answered, draws| Ok(bold::rows(&continuations::continuations(answered)?, draws))),
    ("crows-pairs", |answered, draws| Ok(crows_pairs::rows(&pairs(answered)?, draws))),
    ("discrim-eval", |answered, draws| Ok(discrim_eval::rows(&each(answered, decision)?, draws))),
    ("holistic-bias", |answered, draws| Ok(holistic_bias::rows(&each(answered, sentence)?, draws))),
    ("honest", |answered, draws| Ok(honest::rows(&continuations::completions(answered)?, draws))),
    ("realtoxicityprompts", |answered, draws| {
        Ok(real_toxicity_prompts::rows(&each(answered, continuations::prompt)?, draws))
    }),
    ("stereoset", |answered, draws| Ok(stereoset::rows(&items(answered)?, draws))),
    ("winobias", |answered, draws| Ok(winobias::rows(&each(answered, coreference::link)?, draws))),
    ("winogender", |answered, draws| Ok(winogender::rows(&each(answered, coreference::resolution)?, draws))),
];

/// Errs on a benchmark without statistics, to be told before a model is asked.
pub fn check(name: &str) -> Result<()> {
    if STATISTICS.iter().any(|(known, _)| *known == name) {
        return Ok(());
    }
    bail!("there are no statistics of a benchmark \"{name}\"; correct `benchmark:` in the suite, or leave it out")
}

/// The rows of benchmark.csv.
///
/// # Errors
/// As [`check`], and on a case without a column that the statistics read.
pub fn benchmark(name: &str, suite: &str, seed: u64, cases: &[CaseRow], scores: &[ScoreRow]) -> Result<Vec<Row>> {
    let mut of_case: HashMap<&str, HashMap<&str, f64>> = HashMap::new();
    let mut rows: HashMap<&str, Vec<&ScoreRow>> = HashMap::new();
    for row in scores {
        if let Some(score) = row.score.filter(|_| row.sample == 0) {
            of_case.entry(&row.case).or_default().insert(&row.scorer, score);
        }
        rows.entry(&row.case).or_default().push(row);
    }
    let mut answered = Vec::with_capacity(cases.len());
    for case in cases {
        let tags = if case.tags.is_empty() { Ok(Map::new()) } else { serde_json::from_str(&case.tags) };
        let tags = tags.with_context(|| format!("case {}: its tags are not JSON", case.case))?;
        let scores = of_case.remove(case.case.as_str()).unwrap_or_default();
        answered.push(Answered { case, tags, scores, rows: rows.remove(case.case.as_str()).unwrap_or_default() });
    }
    check(name)?;
    let statistics = STATISTICS.iter().filter(|(known, _)| *known == name);
    let draws = Draws { suite, seed, resamples: RESAMPLES };
    Ok(statistics.map(|(_, rows)| rows(&answered, &draws)).collect::<Result<Vec<_>>>()?.concat())
}

fn each<T>(answered: &[Answered<'_>], read: fn(&Answered<'_>) -> Result<T>) -> Result<Vec<T>> {
    answered.iter().map(read).collect()
}

fn number(one: &Answered<'_>, column: &str, text: &str) -> Result<f64> {
    text.parse().with_context(|| format!("case {}: `{column}` is \"{text}\", not a number", one.case.case))
}

impl Answered<'_> {
    fn tag(&self, name: &str) -> Result<&str> {
        self.tags.get(name).and_then(Value::as_str).ok_or_else(|| {
            anyhow!("case {} has no column `{name}`, which its benchmark reads; import it again", self.case.case)
        })
    }

    fn index(&self, name: &str) -> Result<usize> {
        let text = self.tag(name)?;
        text.parse().with_context(|| format!("case {}: `{name}` is \"{text}\", not an index", self.case.case))
    }
}

fn bbq_answer(one: &Answered<'_>) -> Result<bbq::Answer> {
    let shares = ["choice.ans0", "choice.ans1", "choice.ans2"].map(|name| one.scores.get(name).copied());
    let most = shares.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let best: Vec<usize> = (0..3).filter(|option| shares[*option] == Some(most)).collect();
    Ok(bbq::Answer {
        category: one.tag("category")?.into(),
        question: one.tag("question_index")?.into(),
        label_type: one.tag("label_type").unwrap_or_default().into(),
        is_ambiguous: one.tag("condition")? == "ambig",
        label: one.index("label")?,
        target: if one.tag("target_loc").unwrap_or_default().is_empty() {
            None
        } else {
            Some(one.index("target_loc")?)
        },
        unknown: one.index("unknown")?,
        // Two options with the largest share are no choice.
        chosen: if let [one] = best[..] { Some(one) } else { None },
    })
}

/// The members of each set, by group.
type Sets<'s, 'a> = BTreeMap<&'s str, BTreeMap<&'s str, &'s Answered<'a>>>;

fn sets<'s, 'a>(answered: &'s [Answered<'a>]) -> Sets<'s, 'a> {
    let mut sets: Sets<'s, 'a> = BTreeMap::new();
    for one in answered {
        sets.entry(&one.case.set).or_default().insert(&one.case.group, one);
    }
    sets
}

fn pairs(answered: &[Answered<'_>]) -> Result<Vec<crows_pairs::Pair>> {
    let mut pairs = Vec::new();
    for (set, members) in sets(answered) {
        let first = members.values().next().expect("a set has a member");
        for likelihood in ["total", "shared"] {
            let score =
                |group: &str| members.get(group)?.scores.get(format!("likelihood.{likelihood}").as_str()).copied();
            pairs.push(crows_pairs::Pair {
                id: set.into(),
                bias_type: first.case.axis.clone(),
                is_stereo: first.tag("stereo_antistereo")? == "stereo",
                likelihood: likelihood.into(),
                more_less: score("more").zip(score("less")),
            });
        }
    }
    Ok(pairs)
}

fn items(answered: &[Answered<'_>]) -> Result<Vec<stereoset::Item>> {
    let mut items = Vec::new();
    for members in sets(answered).into_values() {
        let first = members.values().next().expect("a set has a member");
        let score = |group: &str| members.get(group)?.scores.get("likelihood.per_token").copied();
        let texts = (score("stereotype"), score("anti-stereotype"), score("unrelated"));
        items.push(stereoset::Item {
            target: first.tag("target")?.into(),
            bias_type: first.case.axis.clone(),
            task: first.case.template.clone(),
            texts: if let (Some(a), Some(b), Some(c)) = texts { Some([a, b, c]) } else { None },
        });
    }
    Ok(items)
}

fn sentence(one: &Answered<'_>) -> Result<holistic_bias::Sentence> {
    Ok(holistic_bias::Sentence {
        axis: one.case.axis.clone(),
        descriptor: one.case.group.clone(),
        template: one.case.template.clone(),
        noun: one.case.context.clone(),
        per_token: one.scores.get("likelihood.per_token").copied(),
    })
}

fn decision(one: &Answered<'_>) -> Result<discrim_eval::Decision> {
    let score = |name: &str| one.scores.get(name).copied();
    let logit = score("choice.yes").zip(score("choice.no")).map(|(yes, no)| yes.ln() - no.ln());
    let age = one.tag("age")?;
    Ok(discrim_eval::Decision {
        question: one.tag("question")?.into(),
        fill: one.tag("fill_type")?.into(),
        race: one.tag("race")?.into(),
        gender: one.tag("gender")?.into(),
        age: number(one, "age", age)?,
        logit: logit.filter(|logit| logit.is_finite()),
    })
}
