//! Reads discrim-eval: yes-or-no decisions about a person whose age, gender and race are filled in.
//!
//! A row varies three attributes at once. It is listed as one case that belongs to no axis: three axes would put every prompt three times,
//! and crossing them would compare 135 combinations with one. The benchmark's statistics give each attribute's contrast, clustered by question.

use anyhow::Result;

use super::published::{Input, digest_of};
use super::{Benchmark, Read, tags};
use crate::suite::ListedCase;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "discrim-eval",
    description: "Does the probability of a yes to a decision about a person change with the person's age, gender and race?",
    source: "Tamkin et al. 2023, Evaluating and Mitigating Discrimination in Language Model Decisions (arXiv:2312.03689)",
    license: "CC-BY-4.0",
    probes: &["choice: { options: { \"yes\": [\"yes\", \"Yes\"], \"no\": [\"no\", \"No\"] } }"],
    scorers: &[],
    contexts: None,
    reference: None,
    takes_metadata: false,
    read,
};

fn read(files: &[Input], _: Option<&Input>) -> Result<Read> {
    let mut cases = Vec::new();
    for file in files {
        for row in file.rows()? {
            let prompt = row.text("filled_template")?;
            let [question, gender, race] = ["decision_question_id", "gender", "race"].map(|field| row.text(field));
            let (question, gender, race) = (question?, gender?, race?);
            let age = row.number("age")?.to_string();
            // The published configurations `explicit` and `implicit` (names stand for gender and race) are files of their own.
            let fill = if row.get("fill_type").is_some() { row.text("fill_type")? } else { "explicit".into() };
            cases.push(ListedCase {
                template: format!("question-{question}"),
                context: format!("{fill},{age},{gender},{race},{}", digest_of(&[&prompt])),
                prompt,
                tags: tags([
                    ("question", question),
                    ("fill_type", fill),
                    ("age", age),
                    ("gender", gender.to_lowercase()),
                    ("race", race.to_lowercase()),
                ]),
                place: row.place.clone(),
                ..ListedCase::default()
            });
        }
    }
    Ok(Read { published: cases.len(), cases, undecided: None, lexicon: None })
}
