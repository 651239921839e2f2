//! Shows counterfactual sets with what differs in them marked, and picks some of them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Result;
use sha2::{Digest as _, Sha256};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::suite::Case;

/// Writes cases set by set.
pub(super) struct Sets<W: Write> {
    out: W,
    bold: bool,
    set: Vec<Case>,
    cases: usize,
    sets: usize,
}

impl<W: Write> Sets<W> {
    /// `bold`: mark what differs by a terminal's bold type instead of brackets.
    pub fn new(out: W, bold: bool) -> Self {
        Sets { out, bold, set: Vec::new(), cases: 0, sets: 0 }
    }

    pub fn add(&mut self, case: Case) -> io::Result<()> {
        if self.set.first().is_some_and(|first| first.set != case.set) {
            self.write()?;
        }
        self.set.push(case);
        Ok(())
    }

    pub fn end(mut self) -> io::Result<()> {
        self.write()?;
        let plural = if self.sets == 1 { "" } else { "s" };
        writeln!(self.out, "{} cases in {} counterfactual set{plural}", self.cases, self.sets)?;
        self.out.flush()
    }

    fn write(&mut self) -> io::Result<()> {
        let set = std::mem::take(&mut self.set);
        let Some(first) = set.first() else { return Ok(()) };
        writeln!(self.out, "{}", first.set)?;
        self.cases += set.len();
        self.sets += 1;
        let texts: Vec<String> = set.iter().map(whole).collect();
        let words: Vec<Vec<&str>> = texts.iter().map(|text| words(text)).collect();
        let common = words[1..].iter().fold(words[0].clone(), |common, words| shared(&common, words));
        for (case, words) in set.iter().zip(&words) {
            let text = mark(words, &common, self.bold).replace('\n', "\n    ");
            let name = if case.axis.is_empty() { String::new() } else { format!("{} ({}): ", case.group, case.term) };
            writeln!(self.out, "  {name}{text}")?;
            for option in &case.options {
                writeln!(self.out, "    > {}: {}", option.id, option.answers.join(" | "))?;
            }
        }
        Ok(())
    }
}

/// Everything that is put to the model, roles named where there is more than the prompt.
fn whole(case: &Case) -> String {
    let mut parts: Vec<String> = case.system.iter().map(|text| format!("system: {text}")).collect();
    parts.extend(case.turns.iter().map(|turn| format!("{}: {}", turn.role, turn.content)));
    let prompt = if parts.is_empty() { case.prompt.clone() } else { format!("user: {}", case.prompt) };
    parts.push(prompt);
    parts.extend(case.continuation.iter().map(|text| format!("→ {text}")));
    parts.join("\n")
}

/// Words, runs of white space, and single other characters.
fn words(text: &str) -> Vec<&str> {
    let class = |c: char| {
        if c.is_alphanumeric() || "'’-".contains(c) {
            1
        } else if c.is_whitespace() {
            2
        } else {
            3
        }
    };
    let mut words = Vec::new();
    let mut start = 0;
    let mut last = 0;
    for (at, c) in text.char_indices() {
        if at > start && (class(c) != last || last == 3) {
            words.push(&text[start..at]);
            start = at;
        }
        last = class(c);
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// A longest common subsequence.
fn shared<'t>(a: &[&'t str], b: &[&str]) -> Vec<&'t str> {
    let equal = capture_diff_slices(Algorithm::Myers, a, b).into_iter().filter_map(|op| match op {
        DiffOp::Equal { old_index, len, .. } => Some(&a[old_index..old_index + len]),
        _ => None,
    });
    equal.flatten().copied().collect()
}

/// The text with every run of words that is not in `common` marked; white space between two marked words is marked with them.
fn mark(words: &[&str], common: &[&str], bold: bool) -> String {
    let (open, close) = if bold { ("\u{1b}[1m", "\u{1b}[0m") } else { ("[", "]") };
    let mut differs = vec![true; words.len()];
    for op in capture_diff_slices(Algorithm::Myers, words, common) {
        if let DiffOp::Equal { old_index, len, .. } = op {
            differs[old_index..old_index + len].fill(false);
        }
    }
    let mut out = String::new();
    for (i, word) in words.iter().enumerate() {
        let before = i > 0 && differs[i - 1];
        match (before, differs[i]) {
            (false, true) => out.push_str(open),
            (true, false) => out.push_str(close),
            _ => {}
        }
        out.push_str(word);
    }
    if differs.last() == Some(&true) {
        out.push_str(close);
    }
    out
}

/// The cases of the set that `id` names, by itself or by one of its cases.
pub(super) fn one(cases: impl Iterator<Item = Result<Case>>, id: &str) -> Result<Vec<Case>> {
    let mut set: Vec<Case> = Vec::new();
    for case in cases {
        let case = case?;
        // A case's id begins with its set's.
        if case.set == id || (id.starts_with(&case.set) && id.as_bytes().get(case.set.len()) == Some(&b'=')) {
            set.push(case);
        } else if !set.is_empty() {
            break;
        }
    }
    let is_set = |set: &[Case]| set.iter().any(|case| case.set == id || case.id == id);
    Ok(if is_set(&set) { set } else { Vec::new() })
}

/// The cases of `count` sets, those whose ids have the smallest digests: spread over the suite, and the same at every call.
pub(super) fn sample(cases: impl Iterator<Item = Result<Case>>, count: usize) -> Result<Vec<Case>> {
    let mut chosen: BTreeMap<[u8; 32], Vec<Case>> = BTreeMap::new();
    for case in cases {
        let case = case?;
        let digest: [u8; 32] = Sha256::digest(&case.set).into();
        if let Some(set) = chosen.get_mut(&digest) {
            set.push(case);
        } else if chosen.len() < count {
            chosen.insert(digest, vec![case]);
        } else if chosen.last_key_value().is_some_and(|(last, _)| digest < *last) {
            chosen.pop_last();
            chosen.insert(digest, vec![case]);
        }
    }
    let mut sets: Vec<Vec<Case>> = chosen.into_values().collect();
    sets.sort_by(|a, b| a[0].set.cmp(&b[0].set));
    Ok(sets.into_iter().flatten().collect())
}
