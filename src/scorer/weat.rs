//! Reads association tests of word lists and measures them in a sentence encoder.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::encoder::TextEncoder;
use crate::stats::random::Address;
use crate::stats::weat::{Weat, association, weat};

/// Resamples of the interval, and random partitions where there are too many to count.
const RESAMPLES: usize = 9_999;

/// A test as its YAML file has it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub targets: Targets,
    pub attributes: Attributes,
    /// Sentences with `{{ word }}`; none: the words by themselves.
    #[serde(default)]
    pub templates: Vec<String>,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub license: String,
    #[serde(default)]
    pub note: String,
}

/// The words that are compared.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    #[serde(rename = "X")]
    pub x: Set,
    #[serde(rename = "Y")]
    pub y: Set,
}

/// What they are near to or far from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    #[serde(rename = "A")]
    pub a: Set,
    #[serde(rename = "B")]
    pub b: Set,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    pub name: String,
    pub words: Vec<String>,
}

/// What the test found.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Each target word with its association, in the order of the file.
    pub x: Vec<(String, f64)>,
    pub y: Vec<(String, f64)>,
    pub weat: Weat,
}

impl Test {
    /// # Errors
    /// A file that is no such test, a set without words, a word that stands twice, a template without `{{ word }}` or with another slot.
    pub fn read(path: &Path) -> Result<Test> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let test: Test = serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
        test.check().with_context(|| path.display().to_string())?;
        Ok(test)
    }

    fn check(&self) -> Result<()> {
        let Test { targets: Targets { x, y }, attributes: Attributes { a, b }, .. } = self;
        for (letter, set) in [("X", x), ("Y", y), ("A", a), ("B", b)] {
            ensure!(!set.words.is_empty(), "{letter} ({}) has no words; list some under `words`", set.name);
        }
        for (letters, first, second) in [("X and Y", x, y), ("A and B", a, b)] {
            let mut words: Vec<&String> = first.words.iter().chain(&second.words).collect();
            words.sort_unstable();
            if let Some(pair) = words.windows(2).find(|pair| pair[0] == pair[1]) {
                bail!("{letters} have {:?} twice; it would say nothing about either, take it out", pair[0]);
            }
        }
        for template in &self.templates {
            ensure!(
                filled(template, "")? != *template,
                "the template {template:?} has no {{{{ word }}}}; write one, as in \"This is {{{{ word }}}}.\""
            );
        }
        Ok(())
    }

    /// The test in an encoder: s of a word is the mean over its sentences, so that the word stays the unit that is permuted and resampled;
    /// with one template this is SEAT (May et al. 2019). `name` and `seed` key the random numbers.
    ///
    /// # Errors
    /// Where the encoder fails.
    pub fn measure(&self, encoder: &TextEncoder, name: &str, seed: u64) -> Result<Measured> {
        let [a, b] = [&self.attributes.a, &self.attributes.b].map(|set| self.vectors(set, encoder));
        let (a, b) = (a?.concat(), b?.concat());
        let associations = |set: &Set| -> Result<Vec<(String, f64)>> {
            let of_word = |(word, sentences): (&String, Vec<Vec<f64>>)| {
                let near: Option<Vec<f64>> = sentences.iter().map(|vector| association(vector, &a, &b)).collect();
                let near = near.with_context(|| format!("the encoder gives {word:?} no direction"))?;
                Ok((word.clone(), near.iter().sum::<f64>() / near.len() as f64))
            };
            set.words.iter().zip(self.vectors(set, encoder)?).map(of_word).collect()
        };
        let (x, y) = (associations(&self.targets.x)?, associations(&self.targets.y)?);
        let values = |of: &[(String, f64)]| of.iter().map(|(_, value)| *value).collect::<Vec<f64>>();
        let address = Address { seed, suite: name, axis: "", pair: ["X", "Y"], scorer: "weat" };
        let weat = weat(&values(&x), &values(&y), RESAMPLES, |purpose| address.key(purpose))
            .context("the encoder gives numbers that are not finite")?;
        Ok(Measured { x, y, weat })
    }

    /// The vectors of each word's sentences.
    fn vectors(&self, set: &Set, encoder: &TextEncoder) -> Result<Vec<Vec<Vec<f64>>>> {
        let mut texts = Vec::new();
        for word in &set.words {
            match self.templates.as_slice() {
                [] => texts.push(word.clone()),
                templates => {
                    for template in templates {
                        texts.push(filled(template, word)?);
                    }
                }
            }
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let encoded = encoder.encode(&texts)?;
        let rows: Vec<Vec<f64>> =
            (0..encoded.len()).map(|row| encoded.row(row).iter().map(|x| f64::from(*x)).collect()).collect();
        Ok(rows.chunks(self.templates.len().max(1)).map(<[_]>::to_vec).collect())
    }
}

/// The template with the word in every `{{ word }}`.
fn filled(template: &str, word: &str) -> Result<String> {
    let mut parts = template.split("{{");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("}}") {
            Some((slot, rest)) if slot.trim() == "word" => {
                text.push_str(word);
                text.push_str(rest);
            }
            _ => bail!("the template {template:?} has another slot than {{{{ word }}}}; write that alone"),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(templates: &str) -> Result<Test> {
        let text = format!(
            "targets: {{ X: {{ name: x, words: [no, yes] }}, Y: {{ name: y, words: [on] }} }}\n\
             attributes: {{ A: {{ name: a, words: [she] }}, B: {{ name: b, words: [he] }} }}\ntemplates: {templates}\n"
        );
        let test: Test = serde_saphyr::from_str(&text)?;
        test.check().map(|()| test)
    }

    #[test]
    fn words_stay_words_and_templates_are_filled() {
        assert_eq!(test("[]").unwrap().targets.x.words, ["no", "yes"]);
        assert_eq!(filled("This is {{ word }}, {{word}}.", "rain").unwrap(), "This is rain, rain.");
    }

    #[test]
    fn a_template_without_its_slot_or_with_another_is_refused() {
        let error = |templates: &str| format!("{:#}", test(templates).err().unwrap());
        assert!(error("['This is it.']").contains("has no {{ word }}"));
        assert!(error("['This is {{ job }}.']").contains("another slot"));
    }
}
