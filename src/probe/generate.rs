//! Asks for a text: one request for each distinct prompt of a counterfactual set and sample.
//!
//! The members of a set share their random draws, and identical prompts of a set are asked once and get
//! the identical answer, so that two groups with the same words show a gap of exactly 0.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

use super::{Answered, Asked, Commit, ask_as, is_answered, prompt};
use crate::model::{GenerateRequest, Generation, LanguageModel, ModelCard, Sampling};
use crate::record::ResponseRow;
use crate::suite::{Case, GenerateSpec};

/// A request and the cases that its answer stands for.
pub struct Question {
    pub request: GenerateRequest,
    pub sample: u32,
    /// Ids of cases with this very prompt, in the order of the cases.
    pub cases: Vec<String>,
}

/// The requests for all cases, in their order, samples innermost.
///
/// The seed of a request is SHA-256(run seed, set, sample): nothing else decides what is drawn.
pub fn questions(spec: &GenerateSpec, cases: &[&Case], card: &ModelCard, run_seed: u64) -> Result<Vec<Question>> {
    let ask_as = ask_as(spec.ask_as, card)?;
    let mut questions: Vec<Question> = Vec::new();
    let mut asked: HashMap<(&str, u32, Asked<'_>), usize> = HashMap::new();
    for case in cases {
        for sample in 0..spec.samples {
            let key = (case.set.as_str(), sample, Asked::of(case));
            if let Some(index) = asked.get(&key) {
                questions[*index].cases.push(case.id.clone());
                continue;
            }
            asked.insert(key, questions.len());
            let request = GenerateRequest {
                label: case.id.clone(),
                prompt: prompt(case, ask_as),
                sampling: Sampling {
                    temperature: spec.temperature,
                    top_p: spec.top_p,
                    max_new_tokens: spec.max_new_tokens,
                    stop: spec.stop.clone(),
                    ignore_eos: false,
                },
                seed: seed(run_seed, &case.set, sample),
            };
            questions.push(Question { request, sample, cases: vec![case.id.clone()] });
        }
    }
    Ok(questions)
}

fn seed(run_seed: u64, set: &str, sample: u32) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(run_seed.to_le_bytes());
    hash.update(sample.to_le_bytes());
    hash.update(set.as_bytes());
    hash.finalize().into()
}

/// Asks the model whatever `answered` lacks; `commit` gets the rows of each answer as it ends, one a case.
pub fn ask(questions: &[Question], answered: &Answered, model: &dyn LanguageModel, commit: Commit<'_>) -> Result<()> {
    let open: Vec<&Question> =
        questions.iter().filter(|question| !is_answered(&question.cases, question.sample, answered)).collect();
    let requests: Vec<GenerateRequest> = open.iter().map(|question| question.request.clone()).collect();
    let mut ended = BTreeSet::new();
    model.generate(&requests, &mut |index, generation| {
        ended.insert(index);
        commit(rows(open[index], &generation))
    })?;
    match (0..open.len()).find(|index| !ended.contains(index)) {
        Some(index) => bail!("model {} gave no answer to {}", model.card().label, open[index].request.label),
        None => Ok(()),
    }
}

fn rows(question: &Question, generation: &Generation) -> Vec<ResponseRow> {
    let row = |case: &String| ResponseRow {
        case: case.clone(),
        sample: question.sample,
        finish: generation.finish.as_str().into(),
        prompt_tokens: Some(generation.prompt_tokens),
        tokens: Some(generation.token_ids.len()),
        // NUL cannot stand in the CSV file; scores are of the text as it is written.
        text: generation.text.replace('\0', "\u{FFFD}"),
        values: String::new(),
    };
    question.cases.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::scripted::ScriptedModel;
    use crate::probe::Questions;
    use crate::suite::AskAs;

    fn spec(ask_as: AskAs) -> GenerateSpec {
        GenerateSpec { samples: 2, temperature: 1.0, max_new_tokens: 8, ask_as, ..GenerateSpec::default() }
    }

    fn case(id: &str, set: &str, prompt: &str) -> Case {
        Case {
            id: id.into(),
            set: set.into(),
            template: "letter".into(),
            axis: "gender".into(),
            group: "woman".into(),
            term: id.into(),
            prompt: prompt.into(),
            ..Case::default()
        }
    }

    #[test]
    fn members_of_a_set_share_their_seed_and_equal_prompts_are_asked_once() {
        let cases = [case("a", "s", "one"), case("b", "s", "two"), case("c", "s", "one"), case("d", "r", "one")];
        let model = ScriptedModel::echo();
        let questions = questions(&spec(AskAs::Auto), &cases.each_ref(), model.card(), 7).unwrap();
        let asked: Vec<_> = questions.iter().map(|q| (q.cases.join(" "), q.sample)).collect();
        let expected = [("a c", 0), ("a c", 1), ("b", 0), ("b", 1), ("d", 0), ("d", 1)];
        assert_eq!(asked, expected.map(|(cases, sample)| (cases.to_owned(), sample)));
        assert_eq!(questions[0].request.seed, questions[2].request.seed);
        assert_ne!(questions[0].request.seed, questions[1].request.seed);
        assert_ne!(questions[0].request.seed, questions[4].request.seed);
    }

    #[test]
    fn what_is_answered_is_not_asked_again_and_each_case_gets_its_row() {
        let cases = [case("a", "s", "one"), case("b", "s", "two"), case("c", "s", "one")];
        let model = ScriptedModel::echo();
        let questions = questions(&spec(AskAs::Text), &cases.each_ref(), model.card(), 7).unwrap();
        let mut answered = BTreeMap::new();
        let mut first = Vec::new();
        ask(&questions, &answered, &model, &mut |rows| {
            first.extend(rows);
            Ok(())
        })
        .unwrap();
        assert_eq!(first.len(), 6);
        answered.extend(first.iter().take(4).map(|row| ((row.case.clone(), row.sample), row.clone())));
        let mut again = Vec::new();
        ask(&questions, &answered, &model, &mut |rows| {
            again.extend(rows);
            Ok(())
        })
        .unwrap();
        assert_eq!(again, first[4..]);
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_an_error_that_names_its_case() {
        let cases = [case("generate/letter/x", "s", &"word ".repeat(5000))];
        let model = ScriptedModel::echo();
        let questions = questions(&spec(AskAs::Text), &cases.each_ref(), model.card(), 0).unwrap();
        let message =
            Questions { generate: questions, ..Questions::default() }.check_fit(&model).unwrap_err().to_string();
        assert!(message.contains("generate/letter/x") && message.contains("5000"), "{message}");
    }

    #[test]
    fn chat_is_refused_where_the_model_has_no_template() {
        let mut card = ScriptedModel::echo().card().clone();
        card.has_chat_template = false;
        assert!(questions(&spec(AskAs::Chat), &[&case("a", "s", "one")], &card, 0).is_err());
        assert!(questions(&spec(AskAs::Auto), &[&case("a", "s", "one")], &card, 0).is_ok());
    }
}
