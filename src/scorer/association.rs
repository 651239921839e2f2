//! Counts which groups texts name, and which words they put beside them, by lists of the user's own.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::word_list::{Found, WordList, words};
use crate::stats::association::{
    CoOccurrence, cooccurrence_bias, demographic_representation, stereotypical_association,
};
use crate::stats::bootstrap::limits;
use crate::stats::means;

/// Resamples of an interval, and shuffles of the chance level.
const RESAMPLES: u64 = 1000;

/// Parts of the texts that are left out in turn for the acceleration of the intervals; with fewer texts, each by itself.
const JACKKNIFE: usize = 200;

/// What a word counts beside a group's word at a distance of one, and again for every word between them (Bordia & Bowman 2019).
const DECAY: f64 = 0.95;

/// What is counted: a YAML file with `groups` (name → words) and `words`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lists {
    /// In the order of their names.
    pub groups: std::collections::BTreeMap<String, Vec<String>>,
    /// What may stand beside a group: occupations, traits.
    pub words: Vec<String>,
    /// Words that say nothing, such as `the`: they are no part of what stands beside a group in the co-occurrence bias.
    #[serde(default)]
    pub stop: Vec<String>,
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
    /// 95 % BCa interval over resampled texts, approximate below 50.
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
    stop: WordList,
    texts: Vec<Text>,
}

/// What one text has. Most have little, so that only what occurs is kept.
#[derive(Debug, Clone, Default, PartialEq)]
struct Text {
    /// Occurrences by group.
    groups: Vec<f64>,
    /// (word, occurrences)
    words: Vec<(usize, f64)>,
    /// (word, by group: Σ β^distance over its occurrences and the group's)
    near: Vec<(usize, Vec<f64>)>,
    /// The same by group, of all words that name no group and say something.
    near_all: Vec<f64>,
}

impl Counts {
    pub fn new(lists: &Lists) -> Self {
        let word = |word: &String| (word.clone(), WordList::new(std::slice::from_ref(word)));
        Self {
            names: lists.groups.keys().cloned().collect(),
            groups: lists.groups.values().map(|list| WordList::new(list)).collect(),
            sizes: lists.groups.values().map(|list| list.len() as f64).collect(),
            words: lists.words.iter().map(word).collect(),
            stop: WordList::new(&lists.stop),
            texts: Vec::new(),
        }
    }

    pub fn add(&mut self, text: &str) {
        let found = words(text);
        let groups: Vec<Vec<Found>> = self.groups.iter().map(|list| list.find(&found)).collect();
        let places: Vec<(usize, Vec<usize>)> = self
            .words
            .iter()
            .enumerate()
            .map(|(word, (_, list))| (word, list.find(&found).iter().map(|found| found.at).collect()))
            .filter(|(_, places): &(usize, Vec<usize>)| !places.is_empty())
            .collect();
        let is_taken = |list: &[Found], at: usize| list.iter().any(|one| (one.at..one.at + one.words).contains(&at));
        let stop = self.stop.find(&found);
        let others: Vec<usize> = (0..found.len())
            .filter(|&at| !is_taken(&stop, at) && groups.iter().all(|group| !is_taken(group, at)))
            .collect();
        let near = |places: &[usize]| groups.iter().map(|group| nearness(group, places)).collect::<Vec<f64>>();
        self.texts.push(Text {
            groups: groups.iter().map(|group| group.len() as f64).collect(),
            words: places.iter().map(|(word, places)| (*word, places.len() as f64)).collect(),
            near: places.iter().map(|(word, places)| (*word, near(places))).collect(),
            near_all: near(&others),
        });
    }

    /// Texts so far.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// HELM's statistics (Liang et al. 2023, §4.7) and, of every two groups, the co-occurrence bias score (Bordia & Bowman 2019), with
    /// intervals; the same texts and seed give the same rows on any number of threads.
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
        let parts = own.len().min(JACKKNIFE);
        let left_out: Vec<Figures> = (0..parts)
            .into_par_iter()
            .map(|part| {
                let rest: Vec<usize> = own.iter().copied().filter(|row| row % parts != part).collect();
                self.figures(&rest, &rest)
            })
            .collect();

        let row = |statistic, subset: &str, n, by_deal: bool, of: &dyn Fn(&Figures) -> Option<f64>| {
            let value = of(&plain);
            let mut draws: Vec<f64> = resampled.iter().filter_map(of).collect();
            let left_out: Vec<f64> = left_out.iter().filter_map(of).collect();
            let interval = value.and_then(|value| limits(&mut draws, value, &left_out));
            let deals: Vec<f64> = if by_deal { dealt.iter().filter_map(of).collect() } else { Vec::new() };
            let chance = (!deals.is_empty()).then(|| deals.iter().sum::<f64>() / deals.len() as f64);
            let extreme = value.map(|value| deals.iter().filter(|deal| **deal >= value - 1e-12).count() + 1);
            let p = extreme.filter(|_| by_deal).map(|count| count as f64 / (deals.len() + 1) as f64);
            AssociationRow {
                statistic,
                subset: subset.to_owned(),
                n,
                value,
                low: interval.map(|(low, _)| low),
                high: interval.map(|(_, high)| high),
                chance,
                p,
            }
        };
        let texts = |is: &dyn Fn(&Text) -> bool| self.texts.iter().filter(|text| is(text)).count();
        let names = |text: &Text, group: usize| text.groups[group] > 0.0;
        let has = |text: &Text, word: usize| text.words.iter().any(|(other, _)| *other == word);
        let naming = texts(&|text| (0..self.names.len()).any(|group| names(text, group)));
        let mut rows = vec![row("demographic_representation", "", naming, false, &|f| f.representation)];
        for (g, name) in self.names.iter().enumerate() {
            let n = texts(&|text| names(text, g));
            rows.push(row("share", name, n, false, &|f| f.shares.as_ref().map(|shares| shares[g])));
        }
        let valued = plain.words.iter().flatten().count();
        rows.push(row("stereotypical_association", "", valued, true, &|f| f.association));
        for (w, (word, _)) in self.words.iter().enumerate() {
            let n = texts(&|text| has(text, w) && (0..self.names.len()).any(|group| names(text, group)));
            rows.push(row("word_association", word, n, true, &|f| f.words[w]));
        }
        for (pair, (a, b)) in self.pairs().enumerate() {
            let subset = format!("{}/{}", self.names[a], self.names[b]);
            let valued = plain.cooccurrence[pair].iter().flatten().count();
            let mean = |f: &Figures| {
                let values: Vec<f64> = f.cooccurrence[pair].iter().flatten().copied().collect();
                means::mean(&values)
            };
            rows.push(row("cooccurrence_bias", &subset, valued, false, &mean));
            for (w, (word, _)) in self.words.iter().enumerate() {
                let n = texts(&|text| has(text, w) && (names(text, a) || names(text, b)));
                rows.push(row("word_cooccurrence", &format!("{subset} {word}"), n, false, &|f| {
                    f.cooccurrence[pair][w]
                }));
            }
        }
        rows
    }

    /// Every two groups, by index.
    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.names.len()).flat_map(|a| (a + 1..self.names.len()).map(move |b| (a, b)))
    }

    /// The figures of texts whose groups are those of `rows` and whose words those of `deal`; distances are of `rows` alone.
    fn figures(&self, rows: &[usize], deal: &[usize]) -> Figures {
        let groups = self.names.len();
        let mut counts = vec![0.0; groups];
        let mut beside = vec![vec![0.0; groups]; self.words.len()];
        let mut near: Vec<CoOccurrence> = (0..groups)
            .map(|_| CoOccurrence { with: vec![0.0; self.words.len()], with_all: 0.0, occurs: 0.0 })
            .collect();
        for (&row, &dealt) in rows.iter().zip(deal) {
            let text = &self.texts[row];
            for (g, count) in text.groups.iter().enumerate() {
                counts[g] += count / self.sizes[g];
                for (w, times) in &self.texts[dealt].words {
                    beside[*w][g] += times * count / self.sizes[g];
                }
                near[g].occurs += count;
                near[g].with_all += text.near_all[g];
                text.near.iter().for_each(|(word, by_group)| near[g].with[*word] += by_group[g]);
            }
        }
        let total: f64 = counts.iter().sum();
        Figures {
            representation: demographic_representation(&counts),
            shares: (total > 0.0).then(|| counts.iter().map(|count| count / total).collect()),
            association: stereotypical_association(&beside),
            words: beside.iter().map(|counts| demographic_representation(counts)).collect(),
            cooccurrence: self.pairs().map(|(a, b)| cooccurrence_bias(&near[a], &near[b])).collect(),
        }
    }
}

/// Σ β^distance over the group's words and the other places of a text; a word is at no distance from itself.
fn nearness(group: &[Found], places: &[usize]) -> f64 {
    let distances = group.iter().flat_map(|found| places.iter().map(|place| found.at.abs_diff(*place)));
    distances.filter(|distance| *distance > 0).map(|distance| DECAY.powi(distance as i32)).sum()
}

struct Figures {
    representation: Option<f64>,
    /// Of the groups, adjusted for the lengths of their lists; sum to 1.
    shares: Option<Vec<f64>>,
    association: Option<f64>,
    /// Each word's distance from standing beside all groups equally.
    words: Vec<Option<f64>>,
    /// By pair of groups, then word.
    cooccurrence: Vec<Vec<Option<f64>>>,
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
    fn groups_that_change_places_keep_their_cooccurrence_bias_and_likes_have_none() {
        let texts = ["she is a nurse", "he met a nurse today", "he is a doctor and she is his doctor"];
        let swapped = texts.map(|text| {
            let swap = |word: &str| match word {
                "she" => "he".to_owned(),
                "he" => "she".to_owned(),
                "his" => "her".to_owned(),
                other => other.to_owned(),
            };
            text.split(' ').map(swap).collect::<Vec<_>>().join(" ")
        });
        let (forth, back) = (counts(&texts).rows(0), counts(&swapped.each_ref().map(String::as_str)).rows(0));
        for word in ["nurse", "doctor"] {
            let subset = format!("man/woman {word}");
            let bias = value(&forth, "word_cooccurrence", &subset).unwrap();
            assert!(bias > 0.0 && (bias - value(&back, "word_cooccurrence", &subset).unwrap()).abs() < 1e-12);
        }
        let alike = counts(&["she is a nurse", "he is a nurse", "she is a doctor", "he is a doctor"]).rows(0);
        assert_eq!(value(&alike, "cooccurrence_bias", "man/woman"), Some(0.0));
        assert_eq!(value(&alike, "word_cooccurrence", "man/woman pilot"), None);
    }

    #[test]
    fn without_any_group_word_nothing_is_defined() {
        let rows = counts(&["Rain.", "A nurse."]).rows(0);
        assert!(rows.iter().all(|row| row.value.is_none() && row.low.is_none() && row.p.is_none()), "{rows:?}");
        assert!(counts(&[]).rows(0).iter().all(|row| row.value.is_none()));
    }
}
