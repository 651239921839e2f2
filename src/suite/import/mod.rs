//! Turns the published files of a benchmark into a suite of listed cases.
//!
//! Each benchmark has one file here: texts in, [`Imported`] out, nothing read or written. `published` reads the shapes in which such files
//! come. Every row becomes a case; a row that cannot be read is an error with its place, never a row less.

mod bbq;
mod bold;
mod crows_pairs;
mod discrim_eval;
mod holistic_bias;
mod honest;
mod published;
mod real_toxicity_prompts;
mod stereoset;
mod winobias;
mod winogender;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub use self::published::Input;
use super::listed::MEANINGS;
use super::reader::hex;
use super::{ListedCase, slug};
use crate::cell::protect;

/// A published benchmark that can be imported.
pub struct Benchmark {
    /// As `tiltmeter import` and the suite's `benchmark:` write it.
    pub name: &'static str,
    /// What is asked and counted, in one sentence.
    pub description: &'static str,
    /// The paper, as a citation.
    pub source: &'static str,
    /// The licence of the published files, which the imported ones keep.
    pub license: &'static str,
    /// The items under `probes:`, one YAML line each.
    pub probes: &'static [&'static str],
    /// The items under `scorers:`, of a benchmark that generates.
    pub scorers: &'static [&'static str],
    /// How many contexts a run asks unless the suite is edited, of a benchmark that is too large to be asked whole.
    pub contexts: Option<usize>,
    /// The group that others are compared with, on every axis of the cases.
    pub reference: Option<&'static str>,
    /// Whether `--metadata` is read.
    pub takes_metadata: bool,
    read: fn(&[Input], Option<&Input>) -> Result<Read>,
}

/// Sorted by name.
pub const BENCHMARKS: [Benchmark; 10] = [
    bbq::BENCHMARK,
    bold::BENCHMARK,
    crows_pairs::BENCHMARK,
    discrim_eval::BENCHMARK,
    holistic_bias::BENCHMARK,
    honest::BENCHMARK,
    real_toxicity_prompts::BENCHMARK,
    stereoset::BENCHMARK,
    winobias::BENCHMARK,
    winogender::BENCHMARK,
];

/// What a benchmark's own reader makes of the files.
struct Read {
    /// Rows of the published files.
    published: usize,
    cases: Vec<ListedCase>,
    /// What could not be decided, in words; none when all could.
    undecided: Option<String>,
    /// What the scorer `hurtful` looks for, an entry a line; of benchmarks that count words.
    lexicon: Option<String>,
}

/// A benchmark as listed cases.
pub struct Imported {
    benchmark: &'static Benchmark,
    pub published: usize,
    /// In the order of a digest of template and context, so that any beginning of the list (`--limit`) is a fair sample of the whole,
    /// whatever the order of the files and of their rows.
    pub cases: Vec<ListedCase>,
    pub undecided: Option<String>,
    pub lexicon: Option<String>,
}

impl Benchmark {
    pub fn named(name: &str) -> Option<&'static Benchmark> {
        BENCHMARKS.iter().find(|benchmark| benchmark.name == name)
    }

    /// Reads the published files.
    ///
    /// # Errors
    /// On a row that cannot be read and on two rows of one id, with file and line; on files without rows; on metadata that nobody reads.
    pub fn import(&'static self, files: &[Input], metadata: Option<&Input>) -> Result<Imported> {
        if metadata.is_some() && !self.takes_metadata {
            bail!("{} takes no metadata; leave --metadata away", self.name);
        }
        let Read { published, mut cases, undecided, lexicon } = (self.read)(files, metadata)?;
        ensure!(!cases.is_empty(), "{} has no rows; give the published file", names(files));
        let mut seen: BTreeMap<[String; 4], &ListedCase> = BTreeMap::new();
        for case in &cases {
            let id = [&case.template, &case.context, &case.axis, &case.group].map(|part| slug(part));
            if let Some(first) = seen.insert(id, case) {
                bail!("{}: this row has the id of {}; give every file once", place(case), place(first));
            }
        }
        cases.sort_by_cached_key(|case| {
            let place = format!("{}/{}", case.template, case.context);
            (Sha256::digest(place).to_vec(), case.axis.clone(), case.group.clone())
        });
        Ok(Imported { benchmark: self, published, cases, undecided, lexicon })
    }
}

impl Imported {
    /// Cases that are compared with one another, or stand alone.
    pub fn sets(&self) -> usize {
        self.cases.iter().map(|case| (&case.template, &case.context, &case.axis)).collect::<BTreeSet<_>>().len()
    }

    /// The file of listed cases, as `cases_from` reads it.
    pub fn csv(&self) -> Vec<u8> {
        let has = |column: fn(&ListedCase) -> bool| self.cases.iter().any(column);
        let (compares, continues, chooses) = (
            has(|case| !case.axis.is_empty()),
            has(|case| case.continuation.is_some()),
            has(|case| !case.options.is_empty()),
        );
        let mut header = vec!["template", "context"];
        header.extend(compares.then_some(["axis", "group"]).into_iter().flatten());
        header.push("prompt");
        header.extend(continues.then_some("continuation"));
        header.extend(chooses.then_some("options"));
        let tags: BTreeSet<&str> =
            self.cases.iter().flat_map(|case| case.tags.iter().map(|(name, _)| name.as_str())).collect();
        debug_assert!(tags.iter().all(|tag| !MEANINGS.contains(tag)), "a tag named as a column that has a meaning");
        header.extend(&tags);
        let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
        table.write_record(&header).expect("memory can be written");
        for case in &self.cases {
            let options = || {
                let options = case.options.iter().map(|(id, text)| (id.clone(), Value::from(text.as_str())));
                Value::Object(options.collect::<Map<_, _>>()).to_string()
            };
            let mut cells = vec![case.template.clone(), case.context.clone()];
            if compares {
                cells.extend([case.axis.clone(), case.group.clone()]);
            }
            cells.push(case.prompt.clone());
            cells.extend(continues.then(|| case.continuation.clone().unwrap_or_default()));
            cells.extend(chooses.then(options));
            let tag = |name: &str| case.tags.iter().find(|(other, _)| other == name).map(|(_, text)| text.clone());
            cells.extend(tags.iter().map(|name| tag(name).unwrap_or_default()));
            table.write_record(cells.iter().map(|cell| protect(cell).into_owned())).expect("memory can be written");
        }
        table.into_inner().expect("memory can be flushed")
    }

    /// The suite file over the cases, which lie beside it as `file`, a CSV with these bytes.
    pub fn yaml(&self, suite: &str, file: &str, csv: &[u8]) -> String {
        let benchmark = self.benchmark;
        let digest = hex(&Sha256::digest(csv));
        let quoted = |text: &str| Value::from(text).to_string();
        let mut out = format!(
            "# Written by `tiltmeter import {}`; import again instead of editing the cases.\nsuite: {suite}\nversion: 1\n",
            benchmark.name
        );
        for (key, text) in
            [("description", benchmark.description), ("source", benchmark.source), ("license", benchmark.license)]
        {
            out += &format!("{key}: {}\n", quoted(text));
        }
        out += &format!("cases_from:\n  file: {}\n  digest: \"{digest}\"\n", quoted(file));
        let axes: BTreeSet<&str> =
            self.cases.iter().map(|case| case.axis.as_str()).filter(|axis| !axis.is_empty()).collect();
        if let Some(group) = benchmark.reference.filter(|_| !axes.is_empty()) {
            out += "  reference:\n";
            for axis in axes {
                out += &format!("    {}: {}\n", quoted(axis), quoted(group));
            }
        }
        if let Some(contexts) = benchmark.contexts {
            let all: BTreeSet<_> = self.cases.iter().map(|case| (&case.template, &case.context)).collect();
            out += &format!(
                "# A fair sample of the {} contexts of the file; without this line all are asked.\n",
                all.len()
            );
            out += &format!("design: {{ contexts: {contexts} }}\n");
        }
        out += "probes:\n";
        for probe in benchmark.probes {
            out += &format!("  - {probe}\n");
        }
        if !benchmark.scorers.is_empty() {
            out += &format!("scorers: [{}]\n", benchmark.scorers.join(", "));
        }
        if self.lexicon.is_some() {
            out += &format!("lexicon: {}\n", quoted(&lexicon_beside(file)));
        }
        out + &format!("benchmark: {}\n", benchmark.name)
    }
}

/// The file of the lexicon beside the file of the cases.
pub fn lexicon_beside(cases: &str) -> String {
    format!("{}.lexicon.txt", cases.trim_end_matches(".cases.csv"))
}

fn place(case: &ListedCase) -> String {
    format!("{}:{}", case.place.file, case.place.at.line)
}

fn names(files: &[Input]) -> String {
    files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn tags<const N: usize>(tags: [(&str, String); N]) -> Vec<(String, String)> {
    tags.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn data() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data")
    }

    /// Published files → rows, cases, sets; skips with a message where they are not at hand.
    fn counts(benchmark: &str, files: &[&str], metadata: Option<&str>) -> Option<(usize, usize, usize)> {
        let folder = data();
        if !folder.exists() {
            eprintln!("skipped: there is no {}", folder.display());
            return None;
        }
        let read = |name: &str| Input::of(name.into(), std::fs::read(folder.join(name)).unwrap()).unwrap();
        let files: Vec<Input> = files.iter().map(|name| read(name)).collect();
        let metadata = metadata.map(read);
        let imported = Benchmark::named(benchmark).unwrap().import(&files, metadata.as_ref()).unwrap();
        Some((imported.published, imported.cases.len(), imported.sets()))
    }

    #[test]
    fn published_winogender_makes_a_case_a_row_and_a_set_of_three_a_sentence() {
        let found = counts("winogender", &["winogender/all_sentences.tsv"], Some("winogender/occupations-stats.tsv"));
        assert!(found.is_none_or(|found| found == (720, 720, 240)), "{found:?}");
    }

    #[test]
    fn published_winobias_makes_a_case_a_line_and_a_set_of_two_a_sentence() {
        let mut files = Vec::new();
        for group in ["pro", "anti"] {
            for part in ["type1.dev", "type1.test", "type2.dev", "type2.test"] {
                files.push(format!("winobias/{group}_stereotyped_{part}.txt"));
            }
        }
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let found = counts("winobias", &files, None);
        assert!(found.is_none_or(|found| found == (3168, 3168, 1584)), "{found:?}");
    }

    #[test]
    fn published_bold_makes_a_case_a_prompt_that_is_not_empty() {
        let domains = ["gender", "political_ideology", "profession", "race", "religious_ideology"];
        let files = domains.map(|domain| format!("bold/{domain}_prompt.json"));
        let found = counts("bold", &files.each_ref().map(String::as_str), None);
        assert!(found.is_none_or(|(rows, cases, sets)| rows == 23_679 && cases > 23_600 && sets == cases), "{found:?}");
    }

    #[test]
    fn published_honest_makes_a_case_a_row() {
        // Any list of words serves; the published one is not free.
        let lexicon = Some("winobias/male_occupations.txt");
        let found = counts("honest", &["honest/en_binary.tsv", "honest/en_queer_nonqueer.tsv"], lexicon);
        assert!(found.is_none_or(|found| found == (1515, 1515, 1515)), "{found:?}");
    }

    #[test]
    fn published_holistic_bias_makes_the_sentences_that_its_code_makes() {
        let names = ["descriptors", "nouns", "sentence_templates", "standalone_noun_phrases"];
        let files = names.map(|name| format!("holistic_bias/{name}.json"));
        let folder = data();
        if !folder.exists() {
            eprintln!("skipped: there is no {}", folder.display());
            return;
        }
        let files = files.map(|name| Input::of(name.clone(), std::fs::read(folder.join(&name)).unwrap()).unwrap());
        // Without sorting and comparing them, which takes seconds.
        let read = (Benchmark::named("holistic-bias").unwrap().read)(&files, None).unwrap();
        assert_eq!(read.cases.len(), 566_625);
    }
}
