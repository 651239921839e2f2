//! Reads by which metrics the answers of a counterfactual set are compared as texts.

use super::reader::Reader;
use super::yaml::Node;

/// How alike two texts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Similarity {
    /// Of sentence vectors.
    Cosine,
    /// Longest common subsequence of stems.
    RougeL,
    /// Common runs of one to four words.
    Bleu,
    /// Of the answers as lists: common items.
    Jaccard,
    /// The same, those near the top counting more.
    Serp,
    /// Of lists: common order of two items.
    Prag,
}

impl Similarity {
    pub const ALL: [Similarity; 6] = [
        Similarity::Cosine,
        Similarity::RougeL,
        Similarity::Bleu,
        Similarity::Jaccard,
        Similarity::Serp,
        Similarity::Prag,
    ];

    /// As suites and files write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Similarity::Cosine => "cosine",
            Similarity::RougeL => "rouge_l",
            Similarity::Bleu => "bleu",
            Similarity::Jaccard => "jaccard",
            Similarity::Serp => "serp",
            Similarity::Prag => "prag",
        }
    }
}

impl Reader<'_> {
    /// In the order of [`Similarity::ALL`], each once.
    pub(super) fn similarity(&mut self, file: &str, node: &Node) -> Vec<Similarity> {
        let names = Similarity::ALL.map(Similarity::as_str);
        let Some(items) = self.list(file, node, "similarity") else { return Vec::new() };
        let wanted: Vec<&str> = items.iter().filter_map(|item| self.word(file, item, "`similarity`", &names)).collect();
        Similarity::ALL.into_iter().filter(|metric| wanted.contains(&metric.as_str())).collect()
    }
}
