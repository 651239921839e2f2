//! Keeps small heads: what is fitted on a sentence encoder, with where it came from and what it can do.
//!
//! A head is one safetensors file, far below a megabyte, written by `tiltmeter head train`. Its papers stand in the
//! file's header as JSON under the key `tiltmeter`. Four heads are embedded in the program.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};
use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Direction;
use super::encoder::hex;
use crate::model::kernel::gelu;
use crate::suite::scorer::{HeadSpec, Labels};

/// The layout of the file that this program writes and reads.
pub const FORMAT: u32 = 2;

/// The linear layers of an encoder's block that adapters sit on, by BERT's names, in the order of the computation.
pub const MODULES: [&str; 6] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
];

/// Larger files are no heads.
const MAX_BYTES: u64 = 64 << 20;

/// What is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A linear layer on frozen sentence vectors
    Linear,
    /// One hidden layer between vector and output
    Mlp,
    /// Low-rank adapters on the encoder's upper layers (Hu et al. 2021), and a linear layer
    Lora,
}

/// Everything about a head but its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Papers {
    pub format: u32,
    /// Also the name of the score.
    pub name: String,
    pub kind: Kind,
    /// What a text can be; with two, the second is what the one output is the probability of.
    pub labels: Vec<String>,
    /// The score is the sum of the labels' probabilities, each times its value, in [0, 1]. None: there is no single score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<f64>>,
    /// One line: what the score is.
    pub meaning: String,
    pub better: Direction,
    pub encoder: HeadEncoder,
    /// How texts are cleaned before they are encoded: the rule's name in [`super::web_text`].
    pub text_rule: String,
    pub fit: Fit,
    pub data: Data,
    /// Terms under which these weights may be passed on.
    pub license: String,
    /// On rows that were kept out of the fit.
    pub quality: Vec<Quality>,
    /// What the head must not be used for, or taken for.
    pub limits: String,
    /// SHA-256 (hex) over all tensors: names, shapes, bytes.
    pub weights_digest: String,
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
    /// Of the linear fit: half of this times the squared length of the weights is added to the weighted sum of losses.
    pub l2: f64,
    /// Every label has the same total weight.
    pub class_weights: bool,
    /// Rows that were fitted.
    pub rows: usize,
    /// Of adapters: how many upper layers have them, and their rank.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Width of the hidden layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
}

/// The rows that a head was fitted on and measured by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// SHA-256 (hex) of the CSV file.
    pub sha256: String,
    pub parts: Vec<PartCount>,
    /// Where the rows come from and under what terms.
    pub sources: Vec<Source>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartCount {
    pub part: String,
    pub fitted: usize,
    pub held_out: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub part: String,
    pub source: String,
    pub license: String,
}

/// Figures on one set of rows that the fit never saw, with 95 % bootstrap intervals `[value, low, high]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    pub on: String,
    pub n: usize,
    /// Share of rows whose likeliest label is theirs.
    pub accuracy: [f64; 3],
    /// None where the rows do not have every label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<[f64; 3]>,
    /// Mean over labels of one against the rest; with two labels the plain AUROC. None where the rows do not have every label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auroc: Option<[f64; 3]>,
    /// Expected calibration error: the mean distance of score and target over ten equal parts of [0, 1], weighted
    /// by their rows (Naeini et al. 2015).
    pub calibration_error: f64,
}

/// A head: its papers and its numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    pub papers: Papers,
    hidden: Option<Dense>,
    output: Dense,
    adapters: Vec<Adapter>,
}

/// weight (out, in) and bias.
#[derive(Debug, Clone, PartialEq)]
struct Dense {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// What is added to a linear layer of the encoder: B·A.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Block of the encoder, from 0.
    pub layer: usize,
    /// One of [`MODULES`].
    pub module: &'static str,
    pub rank: usize,
    /// (rank, in)
    pub a: Vec<f32>,
    /// (out, rank)
    pub b: Vec<f32>,
}

/// A tensor as it lies in a head's file; adapters are kept in half precision, so that training ends on what scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Papers {
    /// Number of outputs: one for two labels, else one a label.
    pub fn outputs(&self) -> usize {
        if self.labels.len() == 2 { 1 } else { self.labels.len() }
    }
}

impl Head {
    /// Puts trained tensors and papers together; `weights_digest` of the papers is set here.
    ///
    /// # Errors
    /// Tensors that are missing, not finite, or do not fit each other and the labels.
    pub fn new(mut papers: Papers, tensors: BTreeMap<String, Stored>) -> Result<Self> {
        papers.weights_digest = digest(&tensors);
        Self::assemble(papers, tensors)
    }

    /// Reads and checks a head file's bytes.
    ///
    /// # Errors
    /// Another format, or weights that are not the ones its digest was made for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let not_a_head = "not a head as `tiltmeter head train` writes it";
        let (_, header) = SafeTensors::read_metadata(bytes).context(not_a_head)?;
        let papers = header.metadata().as_ref().and_then(|papers| papers.get("tiltmeter")).context(not_a_head)?;
        let format = serde_json::from_str::<serde_json::Value>(papers).context(not_a_head)?["format"].as_u64();
        ensure!(format == Some(u64::from(FORMAT)), "the head has format {format:?}, but this program reads {FORMAT}");
        let papers: Papers = serde_json::from_str(papers).context(not_a_head)?;
        ensure!(
            papers.text_rule == super::web_text::RULE,
            "the head cleans texts by rule {:?}, but this program has {:?}; fit it again with `tiltmeter head train`",
            papers.text_rule,
            super::web_text::RULE
        );
        let file = SafeTensors::deserialize(bytes).context(not_a_head)?;
        let tensors: BTreeMap<String, Stored> = file
            .iter()
            .map(|(name, view)| Ok((name.to_owned(), read(&view).with_context(|| format!("tensor {name:?}"))?)))
            .collect::<Result<_>>()?;
        let digest = digest(&tensors);
        ensure!(
            papers.weights_digest == digest,
            "the weights of head {:?} were changed: their digest is {digest}, but the file says {}",
            papers.name,
            papers.weights_digest
        );
        Self::assemble(papers, tensors)
    }

    /// Reads and checks a head file.
    pub fn read(path: &Path) -> Result<Self> {
        let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
        ensure!(size <= MAX_BYTES, "{} has {size} bytes, and a head is far smaller", path.display());
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::from_bytes(&bytes).with_context(|| path.display().to_string())
    }

    fn assemble(papers: Papers, mut tensors: BTreeMap<String, Stored>) -> Result<Self> {
        for (name, tensor) in &tensors {
            ensure!(
                tensor.values.iter().all(|v| v.is_finite()),
                "head {:?}: tensor {name:?} is not finite",
                papers.name
            );
        }
        ensure!(papers.labels.len() >= 2, "head {:?} has fewer than two labels", papers.name);
        if let Some(values) = &papers.values {
            ensure!(
                values.len() == papers.labels.len() && values.iter().all(|v| (0.0..=1.0).contains(v)),
                "head {:?}: there must be one value in [0, 1] a label, but values are {values:?}",
                papers.name
            );
        }
        let hidden = match tensors.contains_key("hidden.weight") {
            true => Some(Dense::take(&mut tensors, "hidden")?),
            false => None,
        };
        let output = Dense::take(&mut tensors, "output")?;
        ensure!(
            output.bias.len() == papers.outputs()
                && hidden.as_ref().is_none_or(|hidden| hidden.bias.len() == output.inputs()),
            "head {:?}: its layers do not fit each other or its {} labels",
            papers.name,
            papers.labels.len()
        );
        let adapters = take_adapters(&mut tensors)?;
        ensure!(tensors.is_empty(), "head {:?} has tensors that no head has: {:?}", papers.name, tensors.keys());
        Ok(Self { papers, hidden, output, adapters })
    }

    /// Makes of the head what a suite's author says: another name, other values of the labels, another better end.
    ///
    /// # Errors
    /// A label that the head does not have.
    pub fn rename(&mut self, name: &str, spec: &HeadSpec) -> Result<()> {
        let labels = &self.papers.labels;
        let place = |label: &String| {
            labels.iter().position(|known| known == label).with_context(|| {
                format!("the head {} has no label {label:?}; its labels are {}", spec.file.display(), labels.join(", "))
            })
        };
        let mut values = vec![0.0; labels.len()];
        match &spec.labels {
            Labels::Declared | Labels::All => {}
            Labels::Sum(names) => {
                for name in names {
                    values[place(name)?] = 1.0;
                }
            }
            Labels::Values(pairs) => {
                for (name, value) in pairs {
                    values[place(name)?] = *value;
                }
            }
        }
        name.clone_into(&mut self.papers.name);
        if matches!(spec.labels, Labels::Sum(_) | Labels::Values(_)) {
            self.papers.values = Some(values);
        }
        self.papers.better = spec.better.map_or(self.papers.better, Direction::from);
        Ok(())
    }

    /// The file's bytes: the same head gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let tensors = self.tensors();
        let bytes: BTreeMap<&String, (Dtype, &Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, tensor)| (name, (dtype(name), &tensor.shape, bytes(name, &tensor.values))))
            .collect();
        let views = bytes.iter().map(|(name, (dtype, shape, bytes))| {
            (name.as_str(), TensorView::new(*dtype, (*shape).clone(), bytes).expect("shape and bytes agree"))
        });
        let papers = serde_json::to_string(&self.papers).expect("papers hold nothing that JSON cannot");
        let header = HashMap::from([("tiltmeter".to_owned(), papers)]);
        safetensors::serialize(views, Some(header)).expect("a head's tensors can be written")
    }

    /// All tensors by name.
    fn tensors(&self) -> BTreeMap<String, Stored> {
        let mut tensors = BTreeMap::new();
        for (name, dense) in [("hidden", self.hidden.as_ref()), ("output", Some(&self.output))] {
            let Some(dense) = dense else { continue };
            let shape = vec![dense.bias.len(), dense.inputs()];
            tensors.insert(format!("{name}.weight"), Stored { shape, values: dense.weight.clone() });
            let shape = vec![dense.bias.len()];
            tensors.insert(format!("{name}.bias"), Stored { shape, values: dense.bias.clone() });
        }
        for Adapter { layer, module, rank, a, b } in &self.adapters {
            let name = format!("layer.{layer}.{module}");
            let stored = Stored { shape: vec![*rank, a.len() / rank], values: a.clone() };
            tensors.insert(format!("{name}.a"), stored);
            let stored = Stored { shape: vec![b.len() / rank, *rank], values: b.clone() };
            tensors.insert(format!("{name}.b"), stored);
        }
        tensors
    }

    /// SHA-256 (hex) of everything that can change a score: weights, labels' values, cleaning rule, encoder.
    pub fn digest(&self) -> String {
        let Papers { weights_digest, values, text_rule, encoder, .. } = &self.papers;
        hex(&Sha256::digest(format!("head {FORMAT}\n{weights_digest}\n{values:?}\n{text_rule}\n{}\n", encoder.digest)))
    }

    /// Length of the sentence vectors that the head reads.
    pub fn dim(&self) -> usize {
        self.hidden.as_ref().unwrap_or(&self.output).inputs()
    }

    /// What is added to the encoder; empty for a head on frozen vectors.
    pub fn adapters(&self) -> &[Adapter] {
        &self.adapters
    }

    /// The labels' probabilities for a sentence vector; sums run in f64 in the order of the dimensions.
    ///
    /// # Panics
    /// If the vector has another length than [`Head::dim`].
    pub fn probabilities(&self, vector: &[f32]) -> Vec<f64> {
        assert_eq!(vector.len(), self.dim(), "a sentence vector of another encoder");
        let logits = match &self.hidden {
            Some(hidden) => {
                let mut middle: Vec<f32> = hidden.apply(vector).into_iter().map(|v| v as f32).collect();
                gelu(&mut middle);
                self.output.apply(&middle)
            }
            None => self.output.apply(vector),
        };
        if let [logit] = logits.as_slice() {
            let p = 1.0 / (1.0 + (-logit).exp());
            return vec![1.0 - p, p];
        }
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logits.iter().map(|logit| (logit - top).exp()).collect();
        let total: f64 = powers.iter().sum();
        powers.into_iter().map(|power| power / total).collect()
    }

    /// The one score that stands for the probabilities, in [0, 1]; none if the head has no value for its labels.
    pub fn score(&self, probabilities: &[f64]) -> Option<f64> {
        let values = self.papers.values.as_ref()?;
        Some(values.iter().zip(probabilities).map(|(value, p)| value * p).sum::<f64>().clamp(0.0, 1.0))
    }
}

impl Dense {
    fn take(tensors: &mut BTreeMap<String, Stored>, name: &str) -> Result<Self> {
        let mut part = |end: &str| {
            tensors.remove(&format!("{name}.{end}")).with_context(|| format!("the head has no tensor {name}.{end}"))
        };
        let (weight, bias) = (part("weight")?, part("bias")?);
        ensure!(
            weight.shape.len() == 2 && bias.shape == [weight.shape[0]] && weight.shape[1] > 0,
            "{name}.weight {:?} and {name}.bias {:?} do not fit each other",
            weight.shape,
            bias.shape
        );
        Ok(Self { weight: weight.values, bias: bias.values })
    }

    fn inputs(&self) -> usize {
        self.weight.len() / self.bias.len()
    }

    fn apply(&self, x: &[f32]) -> Vec<f64> {
        let row = |(weight, &bias): (&[f32], &f32)| {
            weight.iter().zip(x).fold(f64::from(bias), |sum, (&w, &x)| sum + f64::from(w) * f64::from(x))
        };
        self.weight.chunks_exact(x.len()).zip(&self.bias).map(row).collect()
    }
}

impl Adapter {
    /// Adds B·A to a layer's weight (out, in); each sum runs in f64 over the rank.
    ///
    /// # Errors
    /// A weight of another shape.
    pub fn add_to(&self, weight: &mut [f32]) -> Result<()> {
        let inp = self.a.len() / self.rank;
        ensure!(
            weight.len() == self.b.len() / self.rank * inp,
            "the adapter of layer {} {} does not fit the encoder",
            self.layer,
            self.module
        );
        for (row, b) in weight.chunks_exact_mut(inp).zip(self.b.chunks_exact(self.rank)) {
            for (i, w) in row.iter_mut().enumerate() {
                let added: f64 =
                    b.iter().enumerate().map(|(r, &b)| f64::from(b) * f64::from(self.a[r * inp + i])).sum();
                *w = (f64::from(*w) + added) as f32;
            }
        }
        Ok(())
    }
}

/// `layer.4.attention.self.query.a` and its `.b`, for every layer and module that has them.
fn take_adapters(tensors: &mut BTreeMap<String, Stored>) -> Result<Vec<Adapter>> {
    let names: Vec<String> = tensors.keys().filter_map(|name| name.strip_suffix(".a").map(str::to_owned)).collect();
    let mut adapters = Vec::new();
    for name in names {
        let place = name.strip_prefix("layer.").and_then(|rest| rest.split_once('.'));
        let place = place.and_then(|(layer, module)| {
            Some((layer.parse().ok()?, MODULES.into_iter().find(|known| *known == module)?))
        });
        let Some((layer, module)) = place else { bail!("tensor {name}.a belongs to no layer of an encoder") };
        let (a, b) = (tensors.remove(&format!("{name}.a")), tensors.remove(&format!("{name}.b")));
        let (Some(a), Some(b)) = (a, b) else { bail!("tensor {name}.a has no {name}.b") };
        ensure!(
            a.shape.len() == 2 && b.shape.len() == 2 && a.shape[0] == b.shape[1] && a.shape[0] > 0,
            "{name}: {:?} and {:?} are no adapter",
            a.shape,
            b.shape
        );
        adapters.push(Adapter { layer, module, rank: a.shape[0], a: a.values, b: b.values });
    }
    Ok(adapters)
}

/// Adapters are kept in half precision.
fn dtype(name: &str) -> Dtype {
    if name.starts_with("layer.") { Dtype::F16 } else { Dtype::F32 }
}

fn bytes(name: &str, values: &[f32]) -> Vec<u8> {
    match dtype(name) {
        Dtype::F16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    }
}

/// The values that a file will give back for `values`.
pub fn as_stored(name: &str, values: Vec<f32>) -> Vec<f32> {
    match dtype(name) {
        Dtype::F16 => values.into_iter().map(|v| f16::from_f32(v).to_f32()).collect(),
        _ => values,
    }
}

fn read(view: &TensorView<'_>) -> Result<Stored> {
    let values = match view.dtype() {
        Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => view.data().chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        other => bail!("type {other:?} is not one of a head's"),
    };
    Ok(Stored { shape: view.shape().to_vec(), values })
}

/// SHA-256 (hex) over names, shapes and bytes, in the order of the names.
fn digest(tensors: &BTreeMap<String, Stored>) -> String {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        hash.update(format!("{name} {:?}\n", tensor.shape));
        hash.update(bytes(name, &tensor.values));
    }
    hex(&hash.finalize())
}

/// The heads that the program carries.
pub const EMBEDDED: [&str; 4] = ["sentiment", "toxicity", "regard", "refusal_head"];

static HEADS: LazyLock<Vec<Head>> = LazyLock::new(|| {
    let files: [&[u8]; 4] = [
        include_bytes!("heads/sentiment.safetensors"),
        include_bytes!("heads/toxicity.safetensors"),
        include_bytes!("heads/regard.safetensors"),
        include_bytes!("heads/refusal_head.safetensors"),
    ];
    files.into_iter().map(|bytes| Head::from_bytes(bytes).expect("the embedded heads are read by a test")).collect()
});

/// A head that the program carries, by name.
pub fn embedded(name: &str) -> Option<&'static Head> {
    EMBEDDED.contains(&name).then(|| HEADS.iter().find(|head| head.papers.name == name)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_heads_carry_their_own_digests_data_and_quality() {
        for name in EMBEDDED {
            let head = embedded(name).unwrap();
            assert_eq!(head.dim(), 384);
            let Papers { data, quality, license, encoder, .. } = &head.papers;
            assert!(data.sha256.len() == 64 && encoder.digest.len() == 64 && !data.parts.is_empty(), "{name}");
            assert!(data.sources.iter().all(|source| !source.license.is_empty()) && !data.sources.is_empty());
            assert!(!quality.is_empty() && !license.is_empty());
        }
    }

    #[test]
    fn an_embedded_head_is_well_below_a_megabyte_and_reads_back_as_it_was_written() {
        for name in EMBEDDED {
            let head = embedded(name).unwrap();
            let bytes = head.to_bytes();
            assert!(bytes.len() < 600_000, "{name}: {} bytes", bytes.len());
            assert_eq!(&Head::from_bytes(&bytes).unwrap(), head);
        }
    }

    #[test]
    fn a_changed_weight_is_found() {
        let mut bytes = embedded("toxicity").unwrap().to_bytes();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        let error = Head::from_bytes(&bytes).unwrap_err();
        assert!(error.to_string().contains("were changed"), "{error}");
    }

    #[test]
    fn what_is_no_head_says_so() {
        for bytes in [&b""[..], b"hello", &[255; 64], b"\x02\0\0\0\0\0\0\0{}"] {
            let error = Head::from_bytes(bytes).unwrap_err();
            assert!(error.to_string().contains("not a head"), "{error}");
        }
    }

    #[test]
    fn an_adapter_adds_the_product_of_its_two_matrices() {
        let adapter = Adapter { layer: 0, module: MODULES[0], rank: 1, a: vec![1.0, 2.0, 3.0], b: vec![10.0, -1.0] };
        let mut weight = vec![0.5; 6];
        adapter.add_to(&mut weight).unwrap();
        assert_eq!(weight, [10.5, 20.5, 30.5, -0.5, -1.5, -2.5]);
        assert!(adapter.add_to(&mut [0.0; 5]).is_err());
    }
}
