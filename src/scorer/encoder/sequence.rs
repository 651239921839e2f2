//! Classifies texts with a Hugging Face sequence classifier: tokens, one of the encoders, a head, an activation.
//!
//! The family is told by `model_type`; what a label's number means and how it becomes a score is left to
//! [`crate::scorer::sequence_classifier`].

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::batches::in_batches;
use super::bert::{Bert, BertConfig, Family};
use super::deberta::{Deberta, DebertaConfig};
use super::head::{Head, HeadShape, Pooling};
use super::hex;
use super::layers::Activation;
use super::modernbert::{ModernBert, ModernBertConfig};
use super::settings::{Settings, read_json};
use super::vocabulary;
use super::weights::Weights;
use super::words::{self, Words};
use crate::model::files::{ModelFiles, sha256};
use crate::model::precision::Precision;

/// Every `model_type` that is computed, for messages.
pub const MODEL_TYPES: &str = "bert, roberta, xlm-roberta, camembert, distilbert, deberta-v2, modernbert";

/// What turns logits into the numbers of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The labels share 1.
    Softmax,
    /// Each label has a probability of its own.
    Sigmoid,
    /// The logits themselves: a regression.
    None,
}

impl Output {
    /// As suites spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Output::Softmax => "softmax",
            Output::Sigmoid => "sigmoid",
            Output::None => "none",
        }
    }

    /// As the text-classification pipeline of transformers chooses it.
    fn of(problem_type: Option<&str>, labels: usize) -> Option<Self> {
        Some(match problem_type {
            Some("regression") => Output::None,
            Some("multi_label_classification") => Output::Sigmoid,
            Some("single_label_classification") | None if labels == 1 => Output::Sigmoid,
            Some("single_label_classification") | None => Output::Softmax,
            Some(_) => return None,
        })
    }

    /// The numbers of one text's labels, in f64.
    pub fn apply(self, logits: &[f32]) -> Vec<f64> {
        let logits = logits.iter().map(|&x| f64::from(x));
        match self {
            Output::None => logits.collect(),
            Output::Sigmoid => logits.map(|x| 1.0 / (1.0 + (-x).exp())).collect(),
            Output::Softmax => {
                let top = logits.clone().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = logits.map(|x| (x - top).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.into_iter().map(|power| power / sum).collect()
            }
        }
    }
}

impl std::str::FromStr for Output {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "softmax" => Output::Softmax,
            "sigmoid" => Output::Sigmoid,
            "none" => Output::None,
            other => bail!("\"{other}\" is no activation of a classifier; choose softmax, sigmoid or none"),
        })
    }
}

enum Encoder {
    Bert(Bert),
    Deberta(Deberta),
    ModernBert(ModernBert),
}

impl Encoder {
    fn vocabulary(&self) -> usize {
        match self {
            Encoder::Bert(bert) => bert.vocabulary(),
            Encoder::Deberta(deberta) => deberta.vocabulary(),
            Encoder::ModernBert(modern) => modern.vocabulary(),
        }
    }

    fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        match self {
            Encoder::Bert(bert) => bert.forward(texts),
            Encoder::Deberta(deberta) => deberta.forward(texts),
            Encoder::ModernBert(modern) => modern.forward(texts),
        }
    }
}

/// A classifier, ready to use from several threads.
pub struct SequenceClassifier {
    name: String,
    encoder: Encoder,
    head: Head,
    words: Words,
    labels: Vec<String>,
    output: Output,
    digest: String,
}

/// Logits of some texts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Logits {
    labels: usize,
    values: Vec<f32>,
    /// True where a text had more tokens than are read, and lost an end.
    pub truncated: Vec<bool>,
}

impl Logits {
    /// One number a label.
    pub fn row(&self, text: usize) -> &[f32] {
        &self.values[text * self.labels..][..self.labels]
    }

    pub fn len(&self) -> usize {
        self.truncated.len()
    }

    pub fn is_empty(&self) -> bool {
        self.truncated.is_empty()
    }
}

impl SequenceClassifier {
    /// Loads a classifier from its files: config.json, tokenizer.json, safetensors, and tokenizer_config.json where it is.
    ///
    /// # Errors
    /// A GGUF file, a missing tokenizer, another architecture, a checkpoint without a classification head, tensors that do
    /// not fit config.json or are not numbers: each by name.
    pub fn load(files: &ModelFiles, precision: Precision) -> Result<Self> {
        let ModelFiles::Folder { label, config, weights, .. } = files else {
            bail!(
                "{} is a GGUF file; a classifier is a folder with config.json, tokenizer.json and safetensors",
                files.label()
            );
        };
        let settings = Settings::read(config)?;
        let mut tensors = Weights::read(weights)?;
        // A choice of "auto" is for language models; a classifier is small and exact by default.
        let precision = if precision == Precision::Int8 { Precision::Int8 } else { Precision::F32 };
        let (encoder, shape, positions) = encoder(&settings, &mut tensors, precision)?;
        let head = Head::load(&shape, &mut tensors)?;
        let problem_type = match settings.value(&["problem_type"]) {
            None => None,
            Some(_) => Some(settings.text("problem_type", "")?),
        };
        let Some(output) = Output::of(problem_type.as_deref(), head.labels()) else {
            bail!(
                "{}: problem_type is {:?}; it can be regression, single_label_classification or multi_label_classification",
                settings.file(),
                problem_type.unwrap_or_default()
            );
        };
        let labels = labels(&settings, head.labels())?;
        let (words, word_files) = tokenizer(files, positions, encoder.vocabulary())?;
        let mut hash = Sha256::new();
        hash.update(format!(
            "sequence-classifier 1\nprecision {}\nmax_tokens {}\n",
            precision.as_str(),
            words.max_tokens()
        ));
        for path in [config].into_iter().chain(word_files).chain(weights) {
            hash.update(sha256(path)?);
        }
        Ok(Self { name: label.clone(), encoder, head, words, labels, output, digest: hex(&hash.finalize()) })
    }

    /// Fit for a column's or a folder's name: catalog name, `org--name` or folder name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As `id2label` names them, in the order of the logits.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What `problem_type` asks for.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Tokens of a text that are read, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.words.max_tokens()
    }

    /// SHA-256 (hex) over config, tokenizer, weights and every other setting that can change a logit.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Token ids as the classifier reads them, special tokens included, and whether the text was cut.
    pub fn tokens(&self, text: &str) -> Result<(Vec<u32>, bool)> {
        let tokens = self.words.tokens(text)?;
        Ok((tokens.ids, tokens.truncated))
    }

    /// The logits of texts. A text's are the same, bit for bit, whatever is beside it.
    ///
    /// # Errors
    /// A text that the tokenizer refuses; a logit that is not a number, as damaged or overflowing weights give.
    pub fn logits(&self, texts: &[&str]) -> Result<Logits> {
        let tokens = self.words.all_tokens(texts)?;
        let values =
            in_batches(&tokens, self.labels.len(), |batch| self.head.logits(&self.encoder.forward(batch), batch));
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            bail!(
                "{}: the logit of {:?} is {} for the text {:?}; the weights are damaged, or overflow in f32",
                self.name,
                self.labels[at % self.labels.len()],
                values[at],
                texts[at / self.labels.len()].chars().take(60).collect::<String>()
            );
        }
        Ok(Logits {
            labels: self.labels.len(),
            values,
            truncated: tokens.into_iter().map(|text| text.truncated).collect(),
        })
    }
}

/// The encoder, its head's shape, and the tokens that it has positions for.
fn encoder(settings: &Settings, weights: &mut Weights, p: Precision) -> Result<(Encoder, HeadShape<'static>, usize)> {
    let kind = settings.model_type()?;
    Ok(match kind {
        "deberta-v2" => {
            let config = DebertaConfig::read(settings)?;
            let (head, positions) = (config.head(), config.max_tokens());
            (Encoder::Deberta(Deberta::load(config, weights, p)?), head, positions)
        }
        "modernbert" => {
            let config = ModernBertConfig::read(settings)?;
            let (head, positions) = (config.head(), config.max_tokens());
            (Encoder::ModernBert(ModernBert::load(config, weights, p)?), head, positions)
        }
        _ => {
            let Some(family) = Family::of(kind) else {
                bail!("{}: model_type is {kind:?}; classifiers that can be run are {MODEL_TYPES}", settings.file());
            };
            let config = BertConfig::read(settings)?;
            let (head, positions) = (bert_head(family, config.hidden), config.max_tokens());
            (Encoder::Bert(Bert::load(config, weights, p)?), head, positions)
        }
    })
}

fn bert_head(family: Family, hidden: usize) -> HeadShape<'static> {
    let (dense, dense_inside, activation, output) = match family {
        Family::Bert => ("pooler.dense", true, Activation::Tanh, "classifier"),
        Family::Roberta => ("classifier.dense", false, Activation::Tanh, "classifier.out_proj"),
        Family::DistilBert => ("pre_classifier", false, Activation::Relu, "classifier"),
    };
    HeadShape {
        pooling: Pooling::First,
        hidden,
        dense,
        dense_inside,
        dense_biased: true,
        activation,
        norm: None,
        output,
    }
}

/// `id2label` in the order of the ids; `LABEL_0`, … where it is left out, as transformers names them.
fn labels(settings: &Settings, count: usize) -> Result<Vec<String>> {
    let plain = || (0..count).map(|id| format!("LABEL_{id}")).collect();
    let Some((_, stored)) = settings.value(&["id2label"]) else { return Ok(plain()) };
    let named: Option<Vec<String>> = stored.as_object().and_then(|map| {
        let label = |id: usize| map.get(&id.to_string())?.as_str().map(str::to_owned);
        (map.len() == count).then(|| (0..count).map(label).collect())?
    });
    // transformers gives plain names where num_labels contradicts the list.
    let said = settings.value(&["num_labels", "_num_labels"]).and_then(|(_, value)| value.as_u64());
    match named {
        Some(labels) => Ok(labels),
        None if said == Some(count as u64) => Ok(plain()),
        None => bail!(
            "{}: id2label must name the labels 0 to {} of the weights' head, but is {stored}",
            settings.file(),
            count - 1
        ),
    }
}

/// The tokenizer and the files that it is made from. It cuts at `model_max_length` where tokenizer_config.json has it and the
/// positions reach, else at the positions.
fn tokenizer(files: &ModelFiles, positions: usize, rows: usize) -> Result<(Words, Vec<&PathBuf>)> {
    let ModelFiles::Folder { label, config: model, tokenizer, tokenizer_config, extra, .. } = files else {
        bail!("{} is a GGUF file; a classifier has a tokenizer.json", files.label());
    };
    let config = tokenizer_config.as_ref().map(|path| read_json(path)).transpose()?.unwrap_or(Value::Null);
    let file = |name: &str| extra.get(name);
    let (tokenizer, from) = match (tokenizer, file("vocab.txt"), file("vocab.json"), file("merges.txt")) {
        (Some(path), ..) => (words::read(path)?, vec![path]),
        (None, Some(vocab), ..) => (vocabulary::word_piece(vocab, &config)?, vec![vocab]),
        (None, None, Some(vocab), Some(merges)) => {
            (vocabulary::byte_level(vocab, merges, &config)?, vec![vocab, merges])
        }
        _ => bail!(
            "{label}: tokenizer.json is missing beside {}, and so are vocab.txt, or vocab.json with merges.txt; save it with \
             `AutoTokenizer.from_pretrained(…).save_pretrained(…)`",
            model.display()
        ),
    };
    // Where nobody set it, files hold 1e30.
    let length =
        config["model_max_length"].as_f64().filter(|n| *n >= 1.0).map_or(positions, |n| positions.min(n as usize));
    let cut_left = config["truncation_side"].as_str() == Some("left");
    let words = Words::new(tokenizer, from[0], length, rows, cut_left)?;
    let special = words.tokens("").map(|tokens| tokens.ids.len()).unwrap_or(0);
    ensure!(
        length > special,
        "{}: texts are cut at {length} tokens, which the {special} special ones fill; see model_max_length in \
         tokenizer_config.json",
        from[0].display()
    );
    Ok((words, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_activation_is_that_of_the_pipeline() {
        for (problem_type, labels, output) in [
            (None, 3, Some(Output::Softmax)),
            (None, 1, Some(Output::Sigmoid)),
            (Some("single_label_classification"), 1, Some(Output::Sigmoid)),
            (Some("single_label_classification"), 2, Some(Output::Softmax)),
            (Some("multi_label_classification"), 6, Some(Output::Sigmoid)),
            (Some("regression"), 1, Some(Output::None)),
            (Some("other"), 2, None),
        ] {
            assert_eq!(Output::of(problem_type, labels), output, "{problem_type:?} {labels}");
        }
    }

    #[test]
    fn large_logits_overflow_no_probability() {
        assert_eq!(Output::Softmax.apply(&[1000.0, -1000.0]), [1.0, 0.0]);
        assert_eq!(Output::Sigmoid.apply(&[1000.0, -1000.0]), [1.0, 0.0]);
    }
}
