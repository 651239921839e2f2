//! Reads the rows of a training file and says which of them no fit may see.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::cell::unprotect;
use crate::scorer::encoder::hex;
use crate::scorer::web_text::clean;

/// A numeric label in this middle quarter is on neither side when a head is measured.
const UNDECIDED: std::ops::RangeInclusive<f64> = 0.375..=0.625;

/// The rows of a training file. All vectors but `targets` have one entry a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// After [`clean`].
    pub texts: Vec<String>,
    /// (rows, outputs), as the linear fit takes them: one output for two labels.
    pub targets: Vec<f32>,
    /// 1 for two labels or for numbers, else one a label.
    pub outputs: usize,
    /// Index of the label; none for a number near the middle.
    pub truths: Vec<Option<usize>>,
    pub weights: Vec<f32>,
    /// Index into `part_names`.
    pub parts: Vec<usize>,
    pub part_names: Vec<String>,
    pub held_out: Vec<bool>,
    pub labels: Vec<String>,
    /// Of the file's bytes, hex.
    pub sha256: String,
}

/// Reads a CSV file with the columns `text` and `label`, and perhaps `weight` (1), `part` (one part) and `document` (the
/// text); other columns are left alone.
///
/// Labels are names, or all of them numbers from 0 to 1: then the head has one output that aims at the number. `order`
/// puts the names in order; without it they are sorted. Of the documents of each part about `share` are held out, chosen
/// by a hash of seed, part and document, so that no document is on both sides and adding rows moves none.
///
/// # Errors
/// A missing column, an empty text, a label or weight that makes no sense (by row), fewer than two labels.
pub fn read(path: &Path, order: Option<&[String]>, share: f64, seed: u64) -> Result<Table> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes, order, share, seed).with_context(|| path.display().to_string())
}

/// As [`read`], from the file's bytes.
pub fn parse(bytes: &[u8], order: Option<&[String]>, share: f64, seed: u64) -> Result<Table> {
    let mut reader = csv::Reader::from_reader(bytes);
    let headers = reader.headers().context("the header is not UTF-8")?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let needed = |name: &str| {
        column(name).with_context(|| format!("there is no column {name:?}; a training file has text and label"))
    };
    let (text_at, label_at) = (needed("text")?, needed("label")?);
    let [weight_at, part_at, document_at] = ["weight", "part", "document"].map(column);

    let (mut texts, mut names, mut weights, mut held_out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut parts, mut part_names): (Vec<usize>, Vec<String>) = (Vec::new(), Vec::new());
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (i, line) in reader.records().enumerate() {
        let row = i + 2;
        let line = line.with_context(|| format!("row {row}"))?;
        let cell = |at: usize| unprotect(line.get(at).unwrap_or(""));
        let text = clean(cell(text_at));
        ensure!(!text.is_empty(), "row {row}: the text is empty");
        let label = cell(label_at).trim().to_owned();
        ensure!(!label.is_empty(), "row {row}: the label is empty");
        let weight: f32 = match weight_at.map(cell) {
            None => 1.0,
            Some(cell) => cell.parse().with_context(|| format!("row {row}: weight {cell:?} is no number"))?,
        };
        ensure!(weight > 0.0 && weight.is_finite(), "row {row}: weight {weight} is not above 0");
        let part = part_at.map_or("all", cell);
        let document = document_at.map_or(text.as_str(), cell);
        held_out.push(is_held_out(seed, part, document, share));
        parts.push(*known.entry(part.to_owned()).or_insert_with(|| {
            part_names.push(part.to_owned());
            part_names.len() - 1
        }));
        texts.push(text);
        names.push(label);
        weights.push(weight);
    }
    let numbers: Option<Vec<f64>> =
        names.iter().map(|name| name.parse().ok().filter(|value| (0.0..=1.0).contains(value))).collect();
    let (labels, targets, truths) = match numbers {
        Some(numbers) => of_numbers(&numbers, order)?,
        None => of_names(&names, order)?,
    };
    let outputs = if labels.len() == 2 { 1 } else { labels.len() };
    for (held, what) in [(false, "no row to fit"), (true, "no row to measure by")] {
        ensure!(
            held_out.contains(&held),
            "the split leaves {what}: of {} rows {} are held out; change --held-out",
            texts.len(),
            held_out.iter().filter(|held| **held).count()
        );
    }
    let sha256 = hex(&Sha256::digest(bytes));
    Ok(Table { texts, targets, outputs, truths, weights, parts, part_names, held_out, labels, sha256 })
}

type Labelled = (Vec<String>, Vec<f32>, Vec<Option<usize>>);

fn of_numbers(numbers: &[f64], order: Option<&[String]>) -> Result<Labelled> {
    let labels = match order {
        None => vec!["low".to_owned(), "high".to_owned()],
        Some(order) => order.to_vec(),
    };
    ensure!(labels.len() == 2, "the labels are numbers, which lie between two names; {labels:?} are not two");
    let truth = |value: f64| (!UNDECIDED.contains(&value)).then_some(usize::from(value > 0.5));
    Ok((labels, numbers.iter().map(|&v| v as f32).collect(), numbers.iter().map(|&v| truth(v)).collect()))
}

fn of_names(names: &[String], order: Option<&[String]>) -> Result<Labelled> {
    let found: BTreeSet<&String> = names.iter().collect();
    let labels: Vec<String> = match order {
        Some(order) => order.to_vec(),
        None => found.iter().map(|&name| name.clone()).collect(),
    };
    ensure!(labels.len() >= 2, "a head tells two labels or more apart, but there is only {labels:?}");
    ensure!(labels.len() <= 200, "there are {} labels; is `label` the right column?", labels.len());
    for label in &labels {
        ensure!(found.contains(label), "no row has the label {label:?}; the file has {found:?}");
    }
    let outputs = if labels.len() == 2 { 1 } else { labels.len() };
    let mut targets = vec![0.0; names.len() * outputs];
    let mut truths = Vec::with_capacity(names.len());
    for (i, name) in names.iter().enumerate() {
        let Some(label) = labels.iter().position(|label| label == name) else {
            bail!("row {}: label {name:?} is not one of {labels:?}", i + 2);
        };
        if outputs == 1 {
            targets[i] = label as f32;
        } else {
            targets[i * outputs + label] = 1.0;
        }
        truths.push(Some(label));
    }
    Ok((labels, targets, truths))
}

fn is_held_out(seed: u64, part: &str, document: &str, share: f64) -> bool {
    let digest = Sha256::digest(format!("{seed}\n{part}\n{document}"));
    let place = u64::from_be_bytes(digest[..8].try_into().expect("SHA-256 has more than 8 bytes"));
    // 53 bits: exact in f64.
    ((place >> 11) as f64) < share * (1_u64 << 53) as f64
}

impl Table {
    /// Rows that are fitted, and rows that are held out.
    pub fn split(&self) -> (Vec<usize>, Vec<usize>) {
        (0..self.texts.len()).partition(|&i| !self.held_out[i])
    }

    /// Weights of some rows, perhaps scaled so that every label has the same total; their mean is 1. Rows without a label
    /// (numbers near the middle) form a class of their own.
    pub fn balanced(&self, rows: &[usize], by_label: bool) -> Vec<f32> {
        let class = |i: usize| if by_label { self.truths[i].map_or(self.labels.len(), |label| label) } else { 0 };
        let mut totals: BTreeMap<usize, f64> = BTreeMap::new();
        for &i in rows {
            *totals.entry(class(i)).or_default() += f64::from(self.weights[i]);
        }
        let each = rows.len() as f64 / totals.len() as f64;
        rows.iter().map(|&i| (f64::from(self.weights[i]) * each / totals[&class(i)]) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize, label: impl Fn(usize) -> String) -> String {
        let lines: String = (0..n).map(|i| format!("text number {i},{}\n", label(i))).collect();
        format!("text,label\n{lines}")
    }

    #[test]
    fn names_become_labels_in_the_order_that_is_asked_for() {
        let text = rows(60, |i| ["no", "yes", "maybe"][i % 3].to_owned());
        let table = parse(text.as_bytes(), None, 0.2, 0).unwrap();
        assert_eq!((table.labels.as_slice(), table.outputs), (&["maybe", "no", "yes"].map(String::from)[..], 3));
        assert_eq!(table.targets[..6], [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        let order = ["no", "maybe", "yes"].map(String::from);
        assert_eq!(parse(text.as_bytes(), Some(&order), 0.2, 0).unwrap().labels, order);
    }

    #[test]
    fn numbers_are_aimed_at_and_the_middle_quarter_is_on_neither_side() {
        let table = parse(rows(40, |i| ["0", "0.5", "0.9"][i % 3].to_owned()).as_bytes(), None, 0.3, 0).unwrap();
        assert_eq!((table.outputs, &table.targets[..3]), (1, &[0.0, 0.5, 0.9][..]));
        assert_eq!(table.truths[..3], [Some(0), None, Some(1)]);
    }

    #[test]
    fn the_rows_of_a_document_fall_on_one_side_and_more_rows_move_none() {
        let text = |n: usize| {
            let lines: String =
                (0..n).map(|i| format!("text {i},{},doc{}\n", ["a", "b"][i % 2], i / 4)).collect::<String>();
            format!("text,label,document\n{lines}")
        };
        let small = parse(text(200).as_bytes(), None, 0.15, 0).unwrap();
        let large = parse(text(400).as_bytes(), None, 0.15, 0).unwrap();
        assert!(small.held_out.chunks(4).all(|four| four.iter().all(|held| *held == four[0])));
        assert_eq!(small.held_out[..], large.held_out[..200]);
        let share = large.held_out.iter().filter(|held| **held).count();
        assert!((20..120).contains(&share), "{share}");
    }

    #[test]
    fn balanced_weights_give_every_label_the_same_total() {
        let table =
            parse(rows(90, |i| ["a", "b"][usize::from(i % 9 == 0)].to_owned()).as_bytes(), None, 0.2, 0).unwrap();
        let all: Vec<usize> = (0..90).collect();
        let weights = table.balanced(&all, true);
        let total =
            |label| -> f32 { all.iter().filter(|&&i| table.truths[i] == Some(label)).map(|&i| weights[i]).sum() };
        assert!((total(0) - 45.0).abs() < 1e-3 && (total(1) - 45.0).abs() < 1e-3);
    }

    #[test]
    fn what_cannot_be_fitted_is_refused_with_its_row() {
        let error = |text: &str| format!("{:#}", parse(text.as_bytes(), None, 0.15, 0).unwrap_err());
        assert!(error("a,label\nx,y\n").contains("no column \"text\""));
        assert!(error("text,label\nx,y\n ,y\n").contains("row 3: the text is empty"));
        assert!(error("text,label\nx,\n").contains("row 2: the label is empty"));
        assert!(error("text,label,weight\nx,y,-1\n").contains("row 2: weight -1"));
        assert!(error(&rows(30, |_| "y".into())).contains("two labels or more"));
        let error = parse(rows(20, |i| ["a", "b"][i % 2].into()).as_bytes(), None, 1e-9, 0).unwrap_err();
        assert!(error.to_string().contains("no row to measure by"), "{error}");
    }
}
