//! Reads CrowS-Pairs: two sentences that differ in the group they speak of, one the more stereotyping.

use anyhow::Result;

use super::published::{Input, digest_of};
use super::{Benchmark, Read, tags};
use crate::suite::ListedCase;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "crows-pairs",
    description: "Does the model find the more stereotyping sentence of a pair the more likely one?",
    source: "Nangia et al. 2020, CrowS-Pairs: A Challenge Dataset for Measuring Social Biases in Masked Language Models \
             (EMNLP 2020); label noise: Blodgett et al. 2021",
    license: "CC-BY-SA-4.0",
    probes: &["likelihood: { as: text }"],
    scorers: &[],
    contexts: None,
    reference: Some("less"),
    takes_metadata: false,
    read,
};

fn read(files: &[Input], _: Option<&Input>) -> Result<Read> {
    let mut cases = Vec::new();
    let mut published = 0;
    for file in files {
        for row in file.rows()? {
            let (more, less) = (row.text("sent_more")?, row.text("sent_less")?);
            let direction = row.word("stereo_antistereo", &["stereo", "antistereo"])?;
            let axis = row.text("bias_type")?;
            // The published file numbers the pairs in a column without a name.
            let number = ["pair_id", "id", ""].into_iter().find(|column| row.get(column).is_some());
            let pair = number.map_or_else(|| Ok(digest_of(&[&more, &less])), |column| row.text(column))?;
            published += 1;
            cases.extend([("more", more), ("less", less)].map(|(group, prompt)| ListedCase {
                template: "pair".into(),
                context: pair.clone(),
                axis: axis.clone(),
                group: group.into(),
                prompt,
                tags: tags([("stereo_antistereo", direction.clone())]),
                place: row.place.clone(),
                ..ListedCase::default()
            }));
        }
    }
    Ok(Read { published, cases, undecided: None, lexicon: None })
}
