//! Says what a run was made with: suite, model, sampling, scorers, seeds. No dates, hosts, threads or paths.
//!
//! Written by hand, one value a line, so that equal runs have equal bytes and a difference has a line to name.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

/// The format of manifest.yaml that this version writes and reads.
pub const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Version of tiltmeter that made the run.
    pub tiltmeter: String,
    pub suite: SuiteEntry,
    pub model: ModelEntry,
    /// The date that chat templates print, always the same one; none where no chat template was used.
    pub template_date: Option<String>,
    /// Seeds sampling and the statistics' random streams.
    pub seed: u64,
    /// Contexts that the run was limited to; none for the whole suite.
    pub limit: Option<usize>,
    /// Part of the folder's name, to keep several runs of one suite and model apart.
    pub label: Option<String>,
    pub probes: Vec<ProbeEntry>,
    pub scorers: Vec<ScorerEntry>,
    pub outcomes: Vec<OutcomeEntry>,
    /// What a gate tolerates.
    #[serde(default)]
    pub gate: GateEntry,
    /// `templates` where whole templates are the clusters; none where contexts are.
    #[serde(default)]
    pub generalise_to: Option<String>,
    /// How answers are compared as texts; none in most suites.
    #[serde(default)]
    pub similarity: Vec<SimilarityEntry>,
    pub axes: Vec<AxisEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SuiteEntry {
    pub name: String,
    pub version: u32,
    /// SHA-256 (hex) over the suite file and all files that it uses.
    pub digest: String,
    pub description: String,
    /// Prompts and answers are left out of pages.
    #[serde(default)]
    pub private: bool,
    /// The published benchmark whose own statistics are computed.
    #[serde(default)]
    pub benchmark: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ModelEntry {
    pub label: String,
    /// SHA-256 (hex) of the weights, or of the file of answers.
    pub digest: String,
    pub architecture: String,
    pub dtype: String,
    pub device: String,
    /// Whether an answer's bits depend on nothing beside it; older manifests are of models where they do not.
    #[serde(default = "yes")]
    pub batch_invariant: bool,
    /// SHA-256 (hex) of a tokenizer.json that was taken in place of the model's own.
    #[serde(default)]
    pub tokenizer: Option<String>,
}

fn yes() -> bool {
    true
}

/// One probe with its settings; those of other kinds of probes are absent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ProbeEntry {
    pub kind: String,
    /// `chat` or `text`, as it was asked; `given` where answers came from a file.
    #[serde(rename = "as")]
    pub asked_as: String,
    pub samples: Option<u32>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_new_tokens: Option<usize>,
    pub stop: Option<Vec<String>>,
    /// Of a choice: ids of the suite's options; none where listed cases bring their own.
    pub options: Option<Vec<String>>,
    /// Of a choice: `text` or `letters`.
    pub style: Option<String>,
    /// Of a choice: how the answer begins.
    pub lead: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ScorerEntry {
    pub name: String,
    pub revision: String,
    pub unit: String,
    pub low: f64,
    pub high: f64,
    pub meaning: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct SimilarityEntry {
    pub metric: String,
    pub revision: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct OutcomeEntry {
    pub score: String,
    /// `higher` or `lower` is better; none where neither suite nor scorer says.
    #[serde(default)]
    pub direction: Option<String>,
    pub margin: f64,
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct GateEntry {
    /// `warn` where an inconclusive outcome passes; none where it does not.
    pub on_inconclusive: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AxisEntry {
    pub name: String,
    pub reference: Option<String>,
    /// Ids of the terms are `pair` keys that groups share.
    pub paired: bool,
    pub groups: Vec<String>,
    /// Groups that are negative controls.
    pub controls: Vec<String>,
    /// The groups are combinations of other axes' groups: reported, outside the family of outcomes.
    #[serde(default)]
    pub crossed: bool,
    /// Kinds of probes that put the axis.
    #[serde(default = "generate")]
    pub probes: Vec<String>,
}

/// What older manifests are of.
fn generate() -> Vec<String> {
    vec!["generate".into()]
}

impl Manifest {
    /// `<model label>@<7 hex of the digest>`: the model column of records.csv and the stem of the folder's name.
    pub fn model_name(&self) -> String {
        let hex: String = self.model.digest.chars().take(7).collect();
        format!("{}@{hex}", self.model.label)
    }

    /// `<suite>@<version>/<model label>@<7 hex>[+limitN][+label]`
    pub fn folder_name(&self) -> String {
        let mut name = format!("{}@{}/{}", self.suite.name, self.suite.version, self.model_name());
        if let Some(limit) = self.limit {
            write!(name, "+limit{limit}").expect("text can be written to");
        }
        if let Some(label) = &self.label {
            write!(name, "+{label}").expect("text can be written to");
        }
        name
    }

    /// The text of manifest.yaml.
    pub fn to_yaml(&self) -> String {
        let mut yaml = String::new();
        let mut line = |text: String| {
            yaml.push_str(&text);
            yaml.push('\n');
        };
        line(format!("format: {}", self.format));
        line(format!("tiltmeter: {}", quoted(&self.tiltmeter)));
        line("suite:".into());
        line(format!("  name: {}", quoted(&self.suite.name)));
        line(format!("  version: {}", self.suite.version));
        line(format!("  digest: {}", quoted(&self.suite.digest)));
        line(format!("  description: {}", quoted(&self.suite.description)));
        if self.suite.private {
            line("  private: true".into());
        }
        if let Some(benchmark) = &self.suite.benchmark {
            line(format!("  benchmark: {}", quoted(benchmark)));
        }
        line("model:".into());
        line(format!("  label: {}", quoted(&self.model.label)));
        line(format!("  digest: {}", quoted(&self.model.digest)));
        line(format!("  architecture: {}", quoted(&self.model.architecture)));
        line(format!("  dtype: {}", quoted(&self.model.dtype)));
        line(format!("  device: {}", quoted(&self.model.device)));
        line(format!("  batch_invariant: {}", self.model.batch_invariant));
        if let Some(digest) = &self.model.tokenizer {
            line(format!("  tokenizer: {}", quoted(digest)));
        }
        line(format!("template_date: {}", self.template_date.as_deref().map_or("null".into(), quoted)));
        line(format!("seed: {}", self.seed));
        line(format!("limit: {}", self.limit.map_or("null".into(), |limit| limit.to_string())));
        line(format!("label: {}", self.label.as_deref().map_or("null".into(), quoted)));
        line(list("probes", self.probes.is_empty()));
        for probe in &self.probes {
            line(format!("  - kind: {}", quoted(&probe.kind)));
            line(format!("    as: {}", quoted(&probe.asked_as)));
            let settings = [
                ("samples", probe.samples.map(|value| value.to_string())),
                ("temperature", probe.temperature.map(|value| value.to_string())),
                ("top_p", probe.top_p.map(|value| value.to_string())),
                ("max_new_tokens", probe.max_new_tokens.map(|value| value.to_string())),
                ("stop", probe.stop.as_deref().map(inline)),
                ("options", probe.options.as_deref().map(inline)),
                ("style", probe.style.as_deref().map(quoted)),
                ("lead", probe.lead.as_deref().map(quoted)),
            ];
            for (name, value) in settings {
                if let Some(value) = value {
                    line(format!("    {name}: {value}"));
                }
            }
        }
        line(list("scorers", self.scorers.is_empty()));
        for scorer in &self.scorers {
            line(format!("  - name: {}", quoted(&scorer.name)));
            line(format!("    revision: {}", quoted(&scorer.revision)));
            line(format!("    unit: {}", quoted(&scorer.unit)));
            line(format!("    low: {}", real(scorer.low)));
            line(format!("    high: {}", real(scorer.high)));
            line(format!("    meaning: {}", quoted(&scorer.meaning)));
        }
        line(list("outcomes", self.outcomes.is_empty()));
        for outcome in &self.outcomes {
            line(format!("  - score: {}", quoted(&outcome.score)));
            if let Some(direction) = &outcome.direction {
                line(format!("    direction: {direction}"));
            }
            line(format!("    margin: {}", outcome.margin));
            line(format!("    why: {}", quoted(&outcome.why)));
        }
        if let Some(word) = &self.gate.on_inconclusive {
            line("gate:".into());
            line(format!("  on_inconclusive: {}", quoted(word)));
        }
        if let Some(unit) = &self.generalise_to {
            line(format!("generalise_to: {}", quoted(unit)));
        }
        if !self.similarity.is_empty() {
            line("similarity:".into());
        }
        for metric in &self.similarity {
            line(format!("  - metric: {}", quoted(&metric.metric)));
            line(format!("    revision: {}", quoted(&metric.revision)));
        }
        line(list("axes", self.axes.is_empty()));
        for axis in &self.axes {
            line(format!("  - name: {}", quoted(&axis.name)));
            line(format!("    reference: {}", axis.reference.as_deref().map_or("null".into(), quoted)));
            line(format!("    paired: {}", axis.paired));
            line(format!("    groups: {}", inline(&axis.groups)));
            line(format!("    controls: {}", inline(&axis.controls)));
            if axis.crossed {
                line("    crossed: true".into());
            }
            line(format!("    probes: {}", inline(&axis.probes)));
        }
        yaml
    }

    /// Reads manifest.yaml; a format other than [`FORMAT`] is refused by name.
    pub fn read(path: &Path) -> Result<Self> {
        let yaml = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&path.display().to_string(), &yaml)
    }

    fn parse(name: &str, yaml: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        // Log-probabilities begin at `-.inf`.
        let options = || {
            serde_saphyr::options! { non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::PassThrough }
        };
        let head: Head = serde_saphyr::from_str_with_options(yaml, options())
            .map_err(|error| anyhow!("{name} is not the manifest of a run (it begins with `format: 1`): {error}"))?;
        if head.format != FORMAT {
            bail!(
                "{name} has format {}, this tiltmeter ({}) reads format {FORMAT}; use the version that made the run, \
                 or run the suite again",
                head.format,
                env!("CARGO_PKG_VERSION")
            );
        }
        serde_saphyr::from_str_with_options(yaml, options()).map_err(|error| anyhow!("{name} is damaged: {error}"))
    }
}

/// Where two manifests differ first: (line number, line there, line now), each line with the keys above it.
pub fn first_difference(there: &str, now: &str) -> Option<(usize, String, String)> {
    let (there, now): (Vec<&str>, Vec<&str>) = (there.lines().collect(), now.lines().collect());
    let index = (0..there.len().max(now.len())).find(|index| there.get(*index) != now.get(*index))?;
    Some((index + 1, line_with_its_place(&there, index), line_with_its_place(&now, index)))
}

/// `model.dtype: "f32"` for the line `  dtype: "f32"` under `model:`.
fn line_with_its_place(lines: &[&str], index: usize) -> String {
    let Some(line) = lines.get(index) else { return "nothing".into() };
    let depth = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let mut place = line.trim_start_matches([' ', '-']).to_owned();
    let mut limit = depth(line);
    for above in lines[..index].iter().rev() {
        if depth(above) < limit && above.ends_with(':') {
            limit = depth(above);
            place = format!("{}.{place}", above.trim_start_matches([' ', '-']).trim_end_matches(':'));
        }
    }
    place
}

fn list(key: &str, is_empty: bool) -> String {
    if is_empty { format!("{key}: []") } else { format!("{key}:") }
}

/// A number as YAML has it; a scale without a lower end begins at `-.inf`.
fn real(value: f64) -> String {
    if value == f64::NEG_INFINITY { "-.inf".into() } else { value.to_string() }
}

/// A JSON string, which is a double-quoted YAML scalar.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

fn inline(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small manifest for tests.
    pub(crate) fn example() -> Manifest {
        Manifest {
            format: FORMAT,
            tiltmeter: "0.1.0".into(),
            suite: SuiteEntry {
                name: "letters".into(),
                version: 1,
                digest: "ab".repeat(32),
                description: "Are letters: \"equal\"? # yes\nno".into(),
                private: true,
                benchmark: Some("bbq".into()),
            },
            model: ModelEntry {
                label: "echo".into(),
                digest: "0123456789abcdef".into(),
                architecture: "scripted".into(),
                dtype: "none".into(),
                device: "cpu".into(),
                batch_invariant: false,
                tokenizer: Some("ab12".into()),
            },
            template_date: None,
            seed: u64::MAX,
            limit: Some(4),
            label: Some("no".into()),
            probes: vec![ProbeEntry {
                kind: "generate".into(),
                asked_as: "chat".into(),
                samples: Some(2),
                temperature: Some(0.8),
                top_p: Some(1.0),
                max_new_tokens: Some(64),
                stop: Some(vec!["\n\n".into()]),
                ..ProbeEntry::default()
            }],
            scorers: vec![ScorerEntry {
                name: "likelihood.total".into(),
                revision: "1".into(),
                unit: "nats".into(),
                low: f64::NEG_INFINITY,
                high: 0.0,
                meaning: String::new(),
            }],
            outcomes: vec![OutcomeEntry {
                score: "length".into(),
                direction: Some("lower".into()),
                margin: 5.0,
                why: String::new(),
            }],
            gate: GateEntry { on_inconclusive: Some("warn".into()) },
            generalise_to: Some("templates".into()),
            similarity: vec![SimilarityEntry { metric: "rouge_l".into(), revision: "rouge_l 1".into() }],
            axes: vec![AxisEntry {
                name: "gender".into(),
                reference: Some("man".into()),
                paired: false,
                groups: vec!["no".into(), "null".into(), "1".into()],
                controls: vec![],
                crossed: false,
                probes: generate(),
            }],
        }
    }

    #[test]
    fn a_manifest_is_read_back_as_it_was_written() {
        let manifest = example();
        assert_eq!(Manifest::parse("m", &manifest.to_yaml()).unwrap(), manifest);
    }

    #[test]
    fn another_format_is_refused_by_name() {
        let yaml = example().to_yaml().replace("format: 1", "format: 2");
        let message = Manifest::parse("x/manifest.yaml", &yaml).unwrap_err().to_string();
        assert!(message.contains("x/manifest.yaml has format 2"), "{message}");
    }

    #[test]
    fn the_first_line_that_differs_is_named_with_the_keys_above_it() {
        let there = example();
        let mut now = there.clone();
        now.model.dtype = "bf16".into();
        let (line, old, new) = first_difference(&there.to_yaml(), &now.to_yaml()).unwrap();
        assert_eq!((line, old.as_str(), new.as_str()), (14, "model.dtype: \"none\"", "model.dtype: \"bf16\""));
        let mut now = there.clone();
        now.axes[0].groups.pop();
        let (_, _, new) = first_difference(&there.to_yaml(), &now.to_yaml()).unwrap();
        assert_eq!(new, "axes.groups: [\"no\", \"null\"]");
        assert_eq!(first_difference(&there.to_yaml(), &there.to_yaml()), None);
    }

    #[test]
    fn the_folder_is_named_after_suite_model_limit_and_label() {
        assert_eq!(example().folder_name(), "letters@1/echo@0123456+limit4+no");
    }
}
