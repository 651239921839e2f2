//! Asks how probable each of a few answers is: for every case and every text that counts as one of its options, the text's likelihood after
//! the prompt.
//!
//! P(option) = Σ over its texts of exp(nats); the score of an option is its share P(option) ÷ Σ P, and `mass` is Σ P, what the model gives
//! to all options together. Where mass is small the model would have said something else, and the shares say little (Tamkin et al. 2023
//! read yes and no in this way).

use std::collections::HashMap;

use anyhow::Result;
use serde_json::{Map, Value};

use super::{Asked, Reading, ask_as, prompt, rounded};
use crate::model::{Likelihood, LikelihoodRequest, ModelCard, Prompt};
use crate::record::ResponseRow;
use crate::suite::{AskAs, Case, ChoiceOption, ChoiceSpec};

/// One prompt with its options, and the cases that its answer stands for.
pub struct Question {
    /// Ids of the cases of a set with this very prompt and these options.
    pub cases: Vec<String>,
    options: Vec<ChoiceOption>,
    /// One a text of an option, in the order of the options.
    requests: Vec<LikelihoodRequest>,
}

/// The questions of all choice cases, in the order of the cases.
pub fn questions(spec: &ChoiceSpec, cases: &[&Case], card: &ModelCard) -> Result<Vec<Question>> {
    let ask_as = ask_as(spec.ask_as, card)?;
    let mut questions: Vec<Question> = Vec::new();
    let mut asked: HashMap<(&str, Asked<'_>, Vec<&str>), usize> = HashMap::new();
    for case in cases {
        let options = case.options.iter().map(|option| option.id.as_str()).collect();
        let key = (case.set.as_str(), Asked::of(case), options);
        if let Some(index) = asked.get(&key) {
            questions[*index].cases.push(case.id.clone());
            continue;
        }
        asked.insert(key, questions.len());
        let context = prompt(case, ask_as);
        let lead = lead(spec.lead.as_deref(), ask_as);
        let before = match &context {
            Prompt::Text(text) => format!("{text}{lead}"),
            Prompt::Chat(_) => lead.clone(),
        };
        // A word begins with a blank, but for the first one of an answer.
        let gap = if before.is_empty() || before.ends_with(char::is_whitespace) { "" } else { " " };
        let texts = case.options.iter().flat_map(|option| &option.answers);
        let requests = texts.map(|text| LikelihoodRequest {
            label: case.id.clone(),
            context: context.clone(),
            lead: lead.clone(),
            continuation: format!("{gap}{text}"),
        });
        questions.push(Question {
            cases: vec![case.id.clone()],
            options: case.options.clone(),
            requests: requests.collect(),
        });
    }
    Ok(questions)
}

/// In plain text the answer begins on a line of its own.
fn lead(lead: Option<&str>, ask_as: AskAs) -> String {
    match (lead, ask_as) {
        (None, _) => String::new(),
        (Some(lead), AskAs::Chat) => lead.to_owned(),
        (Some(lead), _) => format!("\n{lead}"),
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
        let nats: Vec<f64> = read.iter().map(|likelihood| likelihood.nats).collect();
        rows(self, &nats)
    }
}

fn rows(question: &Question, nats: &[f64]) -> Vec<ResponseRow> {
    let mut nats = nats.iter();
    let mut values = Map::new();
    for option in &question.options {
        let of_option: Vec<f64> = nats.by_ref().take(option.answers.len()).copied().collect();
        values.insert(option.id.clone(), rounded(log_sum(&of_option)));
    }
    let chosen = chosen(&values).unwrap_or_default();
    let values = Value::Object(values).to_string();
    let row = |case: &String| ResponseRow {
        case: case.clone(),
        finish: "scored".into(),
        text: chosen.clone(),
        values: values.clone(),
        ..ResponseRow::default()
    };
    question.cases.iter().map(row).collect()
}

/// ln Σ exp
fn log_sum(nats: &[f64]) -> f64 {
    let most = nats.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most.is_finite() { most + nats.iter().map(|one| (one - most).exp()).sum::<f64>().ln() } else { most }
}

/// The option with the largest probability, unless two share it.
fn chosen(values: &Map<String, Value>) -> Option<String> {
    let nats = |value: &Value| value.as_f64().unwrap_or(f64::NEG_INFINITY);
    let most = values.values().map(nats).fold(f64::NEG_INFINITY, f64::max);
    let mut best = values.iter().filter(|(_, value)| nats(value) == most);
    let first = best.next()?.0.clone();
    best.next().is_none().then_some(first)
}

/// Names and values of the scores of one answer; `Err` says why there is none.
pub fn scores(row: &ResponseRow, options: &[ChoiceOption]) -> Vec<(String, Result<f64, &'static str>)> {
    let name = |id: &str| format!("choice.{id}");
    if row.values.is_empty() {
        let parsed = parse(&row.text, options);
        let share = |option: &ChoiceOption| match parsed {
            Some(id) => Ok(if id == option.id { 1.0 } else { 0.0 }),
            None if row.text.trim().is_empty() => Err("empty"),
            None => Err("unparsed"),
        };
        let mut scores: Vec<_> = options.iter().map(|option| (name(&option.id), share(option))).collect();
        scores.push((name("mass"), Err("no probabilities")));
        return scores;
    }
    let values: Map<String, Value> = serde_json::from_str(&row.values).unwrap_or_default();
    let nats: Vec<f64> =
        options.iter().map(|option| values.get(&option.id).and_then(Value::as_f64).unwrap_or(f64::NAN)).collect();
    let all = log_sum(&nats);
    let defined = |value: f64| if value.is_finite() { Ok(value) } else { Err("no probabilities") };
    let mut scores: Vec<_> = options
        .iter()
        .zip(&nats)
        .map(|(option, nats)| (name(&option.id), defined((nats - all).exp().min(1.0))))
        .collect();
    // Rounding may carry the sum of all probabilities a little over 1.
    scores.push((name("mass"), defined(all.exp().min(1.0))));
    scores
}

/// The option that a written answer names: its id, its text, one of its answers or its letter, in any case, with signs around it or
/// `Answer:` before it. None where it names no option, or several.
fn parse<'o>(text: &str, options: &'o [ChoiceOption]) -> Option<&'o str> {
    let clean = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let whole = clean(text);
    let whole =
        whole.strip_prefix("answer:").or_else(|| whole.strip_prefix("the answer is")).map_or(whole.clone(), clean);
    let means = |option: &ChoiceOption, said: &str| {
        let names = option.answers.iter().chain([&option.id, &option.text]);
        !said.is_empty() && names.into_iter().any(|name| clean(name) == said)
    };
    let one = |said: &str| {
        let mut found = options.iter().filter(|option| means(option, said));
        let first = found.next()?;
        found.next().is_none().then_some(first.id.as_str())
    };
    // `A) text`, `A. text`, `(A) text`: the letter, if the text does not speak for another option.
    let (head, rest) = whole.split_once([')', '.', ':']).unwrap_or((&whole, ""));
    match (one(&whole), one(&clean(head)), one(&clean(rest))) {
        (Some(id), ..) => Some(id),
        (None, Some(head), rest) if head.len() < whole.len() || rest.is_none() => {
            rest.is_none_or(|rest| rest == head).then_some(head)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::read;
    use super::*;
    use crate::model::LanguageModel as _;
    use crate::model::scripted::ScriptedModel;
    use crate::suite::{ChoiceStyle, ProbeKind};

    fn option(id: &str, text: &str, answers: &[&str]) -> ChoiceOption {
        ChoiceOption { id: id.into(), text: text.into(), answers: answers.iter().map(|one| (*one).into()).collect() }
    }

    fn case(id: &str, prompt: &str) -> Case {
        Case {
            id: id.into(),
            set: "s".into(),
            probe: ProbeKind::Choice,
            prompt: prompt.into(),
            options: vec![option("yes", "yes", &["yes", "Yes"]), option("no", "no", &["no"])],
            ..Case::default()
        }
    }

    fn spec() -> ChoiceSpec {
        ChoiceSpec {
            options: vec![],
            style: ChoiceStyle::Text,
            ask_as: AskAs::Text,
            lead: Some("Answer:".into()),
            joined: "or".into(),
        }
    }

    fn script(yaml: &str) -> ScriptedModel {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.yaml");
        std::fs::write(&path, yaml).unwrap();
        ScriptedModel::read(&path).unwrap()
    }

    #[test]
    fn the_share_of_an_option_is_over_all_its_texts_and_equal_prompts_are_asked_once() {
        let model = script(
            "likely:\n  - { when: Emily, text: 'yes', probability: 0.4 }\n  - { when: Emily, text: 'Yes', probability: 0.2 }\n  - { text: 'no', probability: 0.2 }\n  - { probability: 0.1 }\n",
        );
        let cases = [case("a", "Emily?"), case("b", "Emily?"), case("c", "Tom?")];
        let questions = questions(&spec(), &cases.each_ref(), model.card()).unwrap();
        assert_eq!(questions.len(), 2);
        let mut rows = Vec::new();
        read(&questions, &BTreeMap::new(), &model, &mut |more| {
            rows.extend(more);
            Ok(())
        })
        .unwrap();
        assert_eq!(rows.iter().map(|row| row.case.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((rows[0].text.as_str(), rows[2].text.as_str()), ("yes", ""), "0.2 against 0.2 is no choice");
        let read = scores(&rows[0], &cases[0].options);
        for ((name, score), want) in
            read.into_iter().zip([("choice.yes", 0.75), ("choice.no", 0.25), ("choice.mass", 0.8)])
        {
            assert_eq!(name, want.0);
            assert!((score.unwrap() - want.1).abs() < 1e-10, "{name}");
        }
    }

    #[test]
    fn options_are_scored_after_the_lead_with_one_blank_between() {
        let model = ScriptedModel::echo();
        let questions = questions(&spec(), &[&case("a", "Emily?")], model.card()).unwrap();
        let request = &questions[0].requests[1];
        assert_eq!((request.lead.as_str(), request.continuation.as_str()), ("\nAnswer:", " Yes"));
        let chat = ChoiceSpec { ask_as: AskAs::Chat, lead: None, ..spec() };
        let request = &super::questions(&chat, &[&case("a", "Emily?")], model.card()).unwrap()[0].requests[0];
        assert_eq!((request.lead.as_str(), request.continuation.as_str()), ("", "yes"));
    }

    #[test]
    fn a_written_answer_is_read_as_one_option_or_as_none() {
        let options = [
            option("ans0", "The nurse", &["A"]),
            option("ans1", "The engineer", &["B"]),
            option("ans2", "Cannot tell", &["C"]),
        ];
        for (text, id) in [
            ("A", Some("ans0")),
            (" (b) ", Some("ans1")),
            ("B) The engineer", Some("ans1")),
            ("B. Because of the tools.", Some("ans1")),
            ("Answer: C", Some("ans2")),
            ("the engineer.", Some("ans1")),
            ("ans2", Some("ans2")),
            ("A) The engineer", None),
            ("The nurse or the engineer", None),
            ("D", None),
            ("", None),
            ("A nurse is kind", None),
        ] {
            assert_eq!(parse(text, &options), id, "{text:?}");
        }
        let row = ResponseRow { text: "perhaps".into(), ..ResponseRow::default() };
        assert!(scores(&row, &options).iter().all(|(_, score)| score.is_err()), "unparsed is no option and not 0");
        let row = ResponseRow { text: "B".into(), ..ResponseRow::default() };
        let shares: Vec<_> = scores(&row, &options).into_iter().map(|(_, score)| score).collect();
        assert_eq!(shares, [Ok(0.0), Ok(1.0), Ok(0.0), Err("no probabilities")]);
    }
}
