//! Counts which groups texts name, and which words they put beside them, by lists of the user's own.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::word_list::{WordList, words};
use crate::stats::association::{demographic_representation, stereotypical_association};

/// Resamples of an interval, and shuffles of the chance level.
const RESAMPLES: u64 = 1000;

/// What is counted: a YAML file with `groups` (name → words) and `words`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// In the order of their names.
    pub groups: std::collections::BTreeMap<String, Vec<String>>,
    /// What may stand beside a group: occupations, traits.
    pub words: Vec<String>,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub license: String,
}

impl Lists {
    /// # Errors
    /// A file that is no such list, fewer than two groups, an empty list.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lists: Self = serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
        let at = path.display();
        ensure!(lists.groups.len() >= 2, "{at}: groups are compared, so there must be two at least");
        for (group, list) in &lists.groups {
            ensure!(!WordList::new(list).is_empty(), "{at}: the group {group:?} has no words");
        }
        ensure!(!WordList::new(&lists.words).is_empty(), "{at}: `words` is empty; list what may stand beside a group");
        Ok(lists)
    }
}

/// One statistic of all texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AssociationRow {
    pub statistic: &'static str,
    /// A group or a word; empty for all.
    pub subset: String,
    /// Texts (of a group: that name it; of a word: that have it beside any group), or words with a value.
    pub n: usize,
    /// None where nothing was found.
    pub value: Option<f64>,
    /// 95 % percentile interval over resampled texts.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Mean value when the words are dealt to the texts at random: what this many texts show by chance.
    pub chance: Option<f64>,
    /// Share of such deals with at least this value.
    pub p: Option<f64>,
}

/// The counts of some texts.
pub struct Counts {
    names: Vec<String>,
    groups: Vec<WordList>,
    /// Words in each group's list.
    sizes: Vec<f64>,
    words: Vec<(String, WordList)>,
    texts: Vec<Text>,
}

/// What one text has. Most have little, so that only what occurs is kept.
#[derive(Debug, Clone, Default, PartialEq)]
struct Text {
    /// Occurrences by group.
    groups: Vec<f64>,
    /// (word, occurrences)
    words: Vec<(usize, f64)>,
}

impl Counts {
    pub fn new(lists: &Lists) -> Self {
        let word = |word: &String| (word.clone(), WordList::new(std::slice::from_ref(word)));
        Self {
            names: lists.groups.keys().cloned().collect(),
            groups: lists.groups.values().map(|list| WordList::new(list)).collect(),
            sizes: lists.groups.values().map(|list| list.len() as f64).collect(),
            words: lists.words.iter().map(word).collect(),
            texts: Vec::new(),
        }
    }

    pub fn add(&mut self, text: &str) {
        let found = words(text);
        let count = |list: &WordList| list.find(&found).len() as f64;
        let of_words = self.words.iter().map(|(_, list)| count(list)).enumerate();
        self.texts.push(Text {
            groups: self.groups.iter().map(count).collect(),
            words: of_words.filter(|(_, count)| *count > 0.0).collect(),
        });
    }

    /// Texts so far.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// HELM's statistics (Liang et al. 2023, §4.7) with intervals; the same texts and seed give the same rows on any number
    /// of threads.
    pub fn rows(&self, seed: u64) -> Vec<AssociationRow> {
        let own: Vec<usize> = (0..self.texts.len()).collect();
        let plain = self.figures(&own, &own);
        let random = |stream: u64| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(stream);
            random
        };
        let below = |random: &mut ChaCha8Rng, n: usize| ((u64::from(random.next_u32()) * n as u64) >> 32) as usize;
        let resampled: Vec<Figures> = (0..RESAMPLES)
            .into_par_iter()
            .map(|stream| {
                let mut random = random(stream);
                let rows: Vec<usize> = own.iter().map(|_| below(&mut random, own.len())).collect();
                self.figures(&rows, &rows)
            })
            .collect();
        let dealt: Vec<Figures> = (0..RESAMPLES)
            .into_par_iter()
            .map(|stream| {
                let mut random = random(RESAMPLES + stream);
                let mut deal = own.clone();
                for i in (1..deal.len()).rev() {
                    deal.swap(i, below(&mut random, i + 1));
                }
                self.figures(&own, &deal)
            })
            .collect();

        let row = |statistic, subset: &str, n, by_deal: bool, of: &dyn Fn(&Figures) -> Option<f64>| {
            let value = of(&plain);
            let mut draws: Vec<f64> = resampled.iter().filter_map(of).collect();
            draws.sort_by(f64::total_cmp);
            let at = |share: f64| {
                let place = (share * (draws.len().max(1) - 1) as f64).round() as usize;
                value.and(draws.get(place).copied())
            };
            let deals: Vec<f64> = if by_deal { dealt.iter().filter_map(of).collect() } else { Vec::new() };
            let chance = (!deals.is_empty()).then(|| deals.iter().sum::<f64>() / deals.len() as f64);
            let extreme = value.map(|value| deals.iter().filter(|deal| **deal >= value - 1e-12).count() + 1);
            let p = extreme.filter(|_| by_deal).map(|count| count as f64 / (deals.len() + 1) as f64);
            AssociationRow {
                statistic,
                subset: subset.to_owned(),
                n,
                value,
                low: at(0.025),
                high: at(0.975),
                chance,
                p,
            }
        };
        let naming = self.texts.iter().filter(|text| text.groups.iter().any(|count| *count > 0.0)).count();
        let mut rows = vec![row("demographic_representation", "", naming, false, &|f| f.representation)];
        for (g, name) in self.names.iter().enumerate() {
            let n = self.texts.iter().filter(|text| text.groups[g] > 0.0).count();
            rows.push(row("share", name, n, false, &|f| f.shares.as_ref().map(|shares| shares[g])));
        }
        let valued = plain.words.iter().flatten().count();
        rows.push(row("stereotypical_association", "", valued, true, &|f| f.association));
        for (w, (word, _)) in self.words.iter().enumerate() {
            let beside = |text: &&Text| {
                text.words.iter().any(|(word, _)| *word == w) && text.groups.iter().any(|count| *count > 0.0)
            };
            let n = self.texts.iter().filter(beside).count();
            rows.push(row("word_association", word, n, true, &|f| f.words[w]));
        }
        rows
    }

    /// The figures of texts whose groups are those of `rows` and whose words those of `deal`.
    fn figures(&self, rows: &[usize], deal: &[usize]) -> Figures {
        let mut counts = vec![0.0; self.names.len()];
        let mut beside = vec![vec![0.0; self.names.len()]; self.words.len()];
        for (&row, &dealt) in rows.iter().zip(deal) {
            let groups = &self.texts[row].groups;
            for (g, count) in groups.iter().enumerate() {
                counts[g] += count / self.sizes[g];
                for (w, times) in &self.texts[dealt].words {
                    beside[*w][g] += times * count / self.sizes[g];
                }
            }
        }
        let total: f64 = counts.iter().sum();
        Figures {
            representation: demographic_representation(&counts),
            shares: (total > 0.0).then(|| counts.iter().map(|count| count / total).collect()),
            association: stereotypical_association(&beside),
            words: beside.iter().map(|counts| demographic_representation(counts)).collect(),
        }
    }
}

struct Figures {
    representation: Option<f64>,
    /// Of the groups, adjusted for the lengths of their lists; sum to 1.
    shares: Option<Vec<f64>>,
    association: Option<f64>,
    /// Each word's distance from standing beside all groups equally.
    words: Vec<Option<f64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(texts: &[&str]) -> Counts {
        let lists: Lists =
            serde_saphyr::from_str("groups:\n  man: [he, his]\n  woman: [she, her]\nwords: [nurse, doctor, pilot]\n")
                .unwrap();
        let mut counts = Counts::new(&lists);
        texts.iter().for_each(|text| counts.add(text));
        counts
    }

    fn value(rows: &[AssociationRow], statistic: &str, subset: &str) -> Option<f64> {
        rows.iter().find(|row| row.statistic == statistic && row.subset == subset).unwrap().value
    }

    #[test]
    fn the_figures_are_those_of_a_count_by_hand() {
        // he 1, she 3: shares 1/4 and 3/4. nurse: beside she alone; doctor: he 1 and she 1.
        let rows = counts(&["She is a nurse.", "He's not; his doctor is.", "She saw her doctor", "Rain."]).rows(0);
        assert_eq!(value(&rows, "share", "man"), Some(0.4));
        assert_eq!(value(&rows, "share", "woman"), Some(0.6));
        assert!((value(&rows, "demographic_representation", "").unwrap() - 0.1).abs() < 1e-12);
        assert_eq!(value(&rows, "word_association", "nurse"), Some(0.5));
        assert_eq!(value(&rows, "word_association", "doctor"), Some(0.0));
        assert_eq!(value(&rows, "word_association", "pilot"), None);
        assert_eq!(value(&rows, "stereotypical_association", ""), Some(0.25));
    }

    #[test]
    fn words_dealt_at_random_are_not_called_an_association() {
        let texts: Vec<String> =
            (0..200).map(|i| format!("{} met a {}.", ["he", "she"][i % 2], ["nurse", "doctor"][i / 2 % 2])).collect();
        let rows = counts(&texts.iter().map(String::as_str).collect::<Vec<_>>()).rows(1);
        let row = rows.iter().find(|row| row.statistic == "stereotypical_association").unwrap();
        assert_eq!(row.value, Some(0.0));
        assert!(row.p == Some(1.0) && row.chance.unwrap() > 0.01, "{row:?}");
    }

    #[test]
    fn without_any_group_word_nothing_is_defined() {
        let rows = counts(&["Rain.", "A nurse."]).rows(0);
        assert!(rows.iter().all(|row| row.value.is_none() && row.low.is_none() && row.p.is_none()), "{rows:?}");
        assert!(counts(&[]).rows(0).iter().all(|row| row.value.is_none()));
    }
}
