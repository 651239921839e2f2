//! Reads how probable a case's own text is, or its continuation after the prompt, and compares the members of a set.
//!
//! `shared` counts the tokens that all members of a set have in common, in their order, as CrowS-Pairs does for two sentences (Nangia et al.
//! 2020, §3), though from left to right and not masked. `preference` is exp(total) ÷ Σ exp(total) over the set.

use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Map, Value};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::{Asked, Reading, ask_as, prompt, rounded};
use crate::model::{Likelihood, LikelihoodRequest, ModelCard, Prompt};
use crate::record::ResponseRow;
use crate::suite::{AskAs, Case, LikelihoodSpec};

/// Names of the scores.
pub const SCORES: [&str; 4] = ["total", "per_token", "shared", "preference"];

/// A counterfactual set, whose members are read together.
pub struct Question {
    /// Ids of the cases, sorted.
    pub cases: Vec<String>,
    /// The request of each case, by index: equal texts are read once.
    of_case: Vec<usize>,
    requests: Vec<LikelihoodRequest>,
}

/// One question a set, in the order of the cases, which stand set by set.
pub fn questions(spec: &LikelihoodSpec, cases: &[&Case], card: &ModelCard) -> Result<Vec<Question>> {
    let ask_as = ask_as(spec.ask_as, card)?;
    let set = |members: &[&Case]| {
        let mut question = Question { cases: Vec::new(), of_case: Vec::new(), requests: Vec::new() };
        let mut seen: HashMap<Asked<'_>, usize> = HashMap::new();
        for case in members {
            let index = *seen.entry(Asked::of(case)).or_insert_with(|| {
                question.requests.push(request(case, ask_as));
                question.requests.len() - 1
            });
            question.cases.push(case.id.clone());
            question.of_case.push(index);
        }
        question
    };
    Ok(cases.chunk_by(|a, b| a.set == b.set).map(set).collect())
}

fn request(case: &Case, ask_as: AskAs) -> LikelihoodRequest {
    let label = case.id.clone();
    match (&case.continuation, ask_as) {
        (Some(continuation), _) => {
            let context = prompt(case, ask_as);
            let text = matches!(context, Prompt::Text(_));
            let gap = if text && !case.prompt.ends_with(char::is_whitespace) { " " } else { "" };
            LikelihoodRequest { label, context, lead: String::new(), continuation: format!("{gap}{continuation}") }
        }
        (None, _) => LikelihoodRequest {
            label,
            context: Prompt::Text(String::new()),
            lead: String::new(),
            continuation: case.prompt.clone(),
        },
    }
}

impl Reading for Question {
    fn cases(&self) -> &[String] {
        &self.cases
    }

    fn requests(&self) -> &[LikelihoodRequest] {
        &self.requests
    }

    fn rows(&self, read: &[Likelihood]) -> Vec<ResponseRow> {
        rows(self, read)
    }
}

fn rows(question: &Question, read: &[Likelihood]) -> Vec<ResponseRow> {
    let shared = shared(read);
    // A set of one has nobody to be compared with, though two groups with one text are compared.
    let compared = question.cases.len() > 1;
    let totals: Vec<f64> = question.of_case.iter().map(|index| read[*index].nats).collect();
    let most = totals.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let all: f64 = totals.iter().map(|total| (total - most).exp()).sum();
    let row = |(case, index): (&String, &usize)| {
        let likelihood = &read[*index];
        let tokens = likelihood.per_token.len();
        let mut values = Map::new();
        values.insert("total".into(), rounded(likelihood.nats));
        values.insert("per_token".into(), rounded(likelihood.nats / tokens as f64));
        if compared {
            values.insert("shared".into(), rounded(shared[*index]));
            values.insert("preference".into(), rounded((likelihood.nats - most).exp() / all));
        }
        values.insert("tokens".into(), tokens.into());
        ResponseRow {
            case: case.clone(),
            finish: "scored".into(),
            tokens: Some(tokens),
            values: Value::Object(values).to_string(),
            ..ResponseRow::default()
        }
    };
    question.cases.iter().zip(&question.of_case).map(row).collect()
}

/// For each member the nats of its tokens that every member has: a longest common subsequence, taken member by member.
fn shared(read: &[Likelihood]) -> Vec<f64> {
    let Some((first, rest)) = read.split_first() else { return Vec::new() };
    let common = rest.iter().fold(first.token_ids.clone(), |common, other| {
        equal(&common, &other.token_ids).into_iter().map(|index| common[index]).collect()
    });
    let of_member =
        |member: &Likelihood| equal(&member.token_ids, &common).into_iter().map(|index| member.per_token[index]).sum();
    read.iter().map(of_member).collect()
}

/// Indexes into `a` of a longest common subsequence with `b`.
fn equal(a: &[u32], b: &[u32]) -> Vec<usize> {
    let runs = capture_diff_slices(Algorithm::Myers, a, b).into_iter().filter_map(|op| match op {
        DiffOp::Equal { old_index, len, .. } => Some(old_index..old_index + len),
        _ => None,
    });
    runs.flatten().collect()
}

/// Names and values of the scores of one answer; `Err` says why there is none.
pub fn scores(row: &ResponseRow) -> Vec<(String, Result<f64, &'static str>)> {
    let values: Map<String, Value> = serde_json::from_str(&row.values).unwrap_or_default();
    let score = |name: &&str| {
        let value = values.get(*name).and_then(Value::as_f64).filter(|value| value.is_finite());
        (format!("likelihood.{name}"), value.ok_or("the set has one member"))
    };
    SCORES.iter().map(score).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::read;
    use super::*;
    use crate::model::LanguageModel as _;
    use crate::model::scripted::ScriptedModel;
    use crate::suite::ProbeKind;

    fn case(id: &str, set: &str, prompt: &str) -> Case {
        Case { id: id.into(), set: set.into(), probe: ProbeKind::Likelihood, prompt: prompt.into(), ..Case::default() }
    }

    fn answers(cases: &[Case]) -> Vec<ResponseRow> {
        let model = ScriptedModel::echo();
        let cases: Vec<&Case> = cases.iter().collect();
        let questions = questions(&LikelihoodSpec { ask_as: AskAs::Text }, &cases, model.card()).unwrap();
        let mut rows = Vec::new();
        read(&questions, &BTreeMap::new(), &model, &mut |more| {
            rows.extend(more);
            Ok(())
        })
        .unwrap();
        rows
    }

    fn value(row: &ResponseRow, name: &str) -> Option<f64> {
        let found = scores(row).into_iter().find(|(score, _)| score == &format!("likelihood.{name}"));
        found.unwrap().1.ok()
    }

    #[test]
    fn total_shared_and_preference_compare_the_members_of_a_set() {
        // Every word has probability one half.
        let rows = answers(&[case("a", "s", "She is kind"), case("b", "s", "He is so kind")]);
        let ln2 = std::f64::consts::LN_2;
        let near = |got: Option<f64>, want: f64| assert!((got.unwrap() - want).abs() < 1e-9, "{got:?} for {want}");
        near(value(&rows[0], "total"), -3.0 * ln2);
        near(value(&rows[1], "per_token"), -ln2);
        near(value(&rows[1], "shared"), -2.0 * ln2);
        near(value(&rows[0], "preference"), 2.0 / 3.0);
        near(value(&rows[1], "preference"), 1.0 / 3.0);
    }

    #[test]
    fn a_set_of_one_member_has_nothing_to_be_compared_with() {
        let rows = answers(&[case("a", "s", "She is kind")]);
        assert!(value(&rows[0], "total").is_some());
        assert_eq!((value(&rows[0], "shared"), value(&rows[0], "preference")), (None, None));
    }

    #[test]
    fn equal_texts_are_read_once_and_are_exactly_even() {
        let rows = answers(&[case("a", "s", "It is kind"), case("b", "s", "It is kind")]);
        assert_eq!(rows[0].values, rows[1].values);
        assert_eq!(value(&rows[0], "preference"), Some(0.5));
    }
}
