//! Keeps linear heads: one logistic regression on sentence vectors, with where it came from and what it can do.
//!
//! A head is a JSON file of a few kilobytes, written by `tiltmeter head train`; two are embedded in the program.

use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::encoder::hex;

/// The layout of the file that this program writes and reads.
pub const FORMAT: u32 = 1;

/// Logistic regression on a sentence vector, and its papers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearHead {
    pub format: u32,
    /// Also the name of the score.
    pub name: String,
    /// What 0 and what 1 mean.
    pub labels: [String; 2],
    /// One line: what the number is.
    pub meaning: String,
    /// True when 1 is the better end.
    pub higher_is_better: bool,
    pub encoder: HeadEncoder,
    /// How texts are cleaned before they are encoded: the rule's name in [`super::web_text`].
    pub text_rule: String,
    pub fit: Fit,
    pub data: Vec<Source>,
    /// Terms under which these weights may be passed on.
    pub license: String,
    /// On rows that were kept out of the fit.
    pub quality: Vec<Quality>,
    /// What the head must not be used for, or taken for.
    pub limits: String,
    pub bias: f32,
    /// SHA-256 (hex) over bias and weights as little-endian f32.
    pub weights_digest: String,
    pub weight: Vec<f32>,
}

/// The encoder whose vectors a head was fitted on; with any other its numbers mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadEncoder {
    pub name: String,
    pub digest: String,
}

/// How the weights were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fit {
    /// The command that makes the same file again.
    pub command: String,
    pub seed: u64,
    /// Half of this times the squared length of the weights is added to the weighted sum of losses; the bias is free.
    pub l2: f64,
    /// Rows that were fitted.
    pub rows: usize,
    /// What the targets are and how rows are weighted.
    pub method: String,
}

/// A file that rows came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub file: String,
    pub sha256: String,
    pub source: String,
    pub license: String,
    /// Rows fitted, and rows kept out for the figures of quality.
    pub fitted: usize,
    pub held_out: usize,
}

/// Figures on one set of rows that the fit never saw, with 95 % bootstrap intervals `[value, low, high]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    pub on: String,
    pub n: usize,
    /// Share on the right side of 0.5.
    pub accuracy: [f64; 3],
    /// None where the rows are all of one class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<[f64; 3]>,
    /// None where the rows are all of one class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc: Option<[f64; 3]>,
    /// Expected calibration error: the mean distance of score and target over ten equal parts of [0, 1], weighted
    /// by their rows (Naeini et al. 2015).
    pub calibration_error: f64,
}

impl LinearHead {
    /// Reads and checks a head.
    ///
    /// # Errors
    /// Another format, or weights that are not the ones its digest was made for.
    pub fn from_json(text: &str) -> Result<Self> {
        let head: Self = serde_json::from_str(text).context("not a head as `tiltmeter head train` writes it")?;
        ensure!(head.format == FORMAT, "the head has format {}, but this program reads {FORMAT}", head.format);
        ensure!(
            head.text_rule == super::web_text::RULE,
            "the head cleans texts by rule {:?}, but this program has {:?}; fit it again with `tiltmeter head train`",
            head.text_rule,
            super::web_text::RULE
        );
        let digest = weights_digest(head.bias, &head.weight);
        ensure!(
            head.weights_digest == digest,
            "the weights of head {:?} were changed: their digest is {digest}, but the file says {}",
            head.name,
            head.weights_digest
        );
        Ok(head)
    }

    /// Reads and checks a head file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_json(&text).with_context(|| path.display().to_string())
    }

    /// The file's text: the same head gives the same bytes.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a head holds nothing that JSON cannot");
        // One weight a line would be most of the file.
        if let Some(at) = text.find("\"weight\": [") {
            let (papers, weights) = text.split_at(at);
            text = papers.to_string() + &weights.split_whitespace().collect::<Vec<_>>().join(" ").replace(" }", "\n}");
        }
        text + "\n"
    }

    /// SHA-256 (hex) of everything that can change a score: weights, cleaning rule, encoder.
    pub fn digest(&self) -> String {
        let text = format!("head {FORMAT}\n{}\n{}\n{}\n", self.weights_digest, self.text_rule, self.encoder.digest);
        hex(&Sha256::digest(text))
    }

    /// The score of a sentence vector, in [0, 1]; the sum runs in f64 in the order of the dimensions.
    ///
    /// # Panics
    /// If the vector has another length than the weights.
    pub fn score(&self, vector: &[f32]) -> f64 {
        assert_eq!(vector.len(), self.weight.len(), "a sentence vector of another encoder");
        let mut sum = f64::from(self.bias);
        for (w, x) in self.weight.iter().zip(vector) {
            sum += f64::from(*w) * f64::from(*x);
        }
        1.0 / (1.0 + (-sum).exp())
    }
}

/// SHA-256 (hex) over bias and weights as little-endian f32.
pub fn weights_digest(bias: f32, weight: &[f32]) -> String {
    let mut hash = Sha256::new();
    hash.update(bias.to_le_bytes());
    for w in weight {
        hash.update(w.to_le_bytes());
    }
    hex(&hash.finalize())
}

static EMBEDDED: LazyLock<Vec<LinearHead>> = LazyLock::new(|| {
    [include_str!("heads/sentiment.json"), include_str!("heads/toxicity.json")]
        .into_iter()
        .map(|text| LinearHead::from_json(text).expect("the embedded heads are read by a test"))
        .collect()
});

/// A head that the program carries, by name.
pub fn embedded(name: &str) -> Option<&'static LinearHead> {
    EMBEDDED.iter().find(|head| head.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_heads_carry_their_own_digests_data_and_quality() {
        for name in ["sentiment", "toxicity"] {
            let head = embedded(name).unwrap();
            assert_eq!(head.weights_digest, weights_digest(head.bias, &head.weight));
            assert_eq!(head.weight.len(), 384);
            assert!(head.data.iter().all(|d| d.sha256.len() == 64 && !d.license.is_empty() && d.fitted > 0), "{name}");
            assert!(!head.quality.is_empty() && !head.license.is_empty());
        }
    }

    #[test]
    fn a_head_reads_back_as_it_was_written() {
        let head = embedded("toxicity").unwrap();
        assert_eq!(&LinearHead::from_json(&head.to_json()).unwrap(), head);
        assert_eq!(head.to_json(), include_str!("heads/toxicity.json"));
    }

    #[test]
    fn a_changed_weight_is_found() {
        let mut head = embedded("toxicity").unwrap().clone();
        head.weight[7] += 1e-6;
        let error = LinearHead::from_json(&head.to_json()).unwrap_err();
        assert!(error.to_string().contains("were changed"), "{error}");
    }
}
