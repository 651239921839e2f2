//! Reads what a version is: run folders or a file of records, each suite by itself.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::analysis::{Plan, ScorerPlan};
use crate::cli::declared::{Declared, DeclaredArgs};
use crate::cli::report;
use crate::record::manifest::Manifest;
use crate::record::records::{Name, read_records};
use crate::record::{OffsetRow, Record, folder, rows};

/// One version as it was named on the command line.
pub struct Input {
    pub name: String,
    /// By name.
    pub suites: Vec<OfSuite>,
}

/// A version's answers to one suite.
pub struct OfSuite {
    pub suite: String,
    /// There where the records come from a run of ours.
    pub run: Option<(PathBuf, Manifest)>,
    pub plan: Plan,
    pub records: Vec<Record>,
    pub offsets: Vec<OffsetRow>,
}

impl Input {
    /// # Errors
    /// On what is neither records nor finished runs, on a suite of two models, and on declarations that a run has already.
    pub fn read(path: &Path, name: String, declared: &DeclaredArgs) -> Result<Input> {
        let mut suites = if path.is_dir() { of_runs(path, declared)? } else { of_file(path, declared)? };
        suites.sort_by(|a, b| a.suite.cmp(&b.suite));
        if let Some(pair) = suites.windows(2).find(|pair| pair[0].suite == pair[1].suite) {
            bail!(
                "{} holds suite {} twice, {} and {}; a version is one model's answers: name one of them",
                path.display(),
                pair[0].suite,
                pair[0].place(),
                pair[1].place()
            );
        }
        Ok(Input { name, suites })
    }

    fn names(&self) -> Vec<&str> {
        self.suites.iter().map(|one| one.suite.as_str()).collect()
    }

    /// Each suite of the base with the candidate's. Of one suite each, the name may differ: what was asked is compared all the same.
    pub fn matched<'a>(&'a self, candidate: &'a mut Input) -> Result<Vec<(&'a OfSuite, &'a OfSuite)>> {
        if let ([base], [other]) = (self.suites.as_slice(), candidate.suites.as_mut_slice())
            && base.suite != other.suite
        {
            let name = Name::from(base.suite.as_str());
            other.records.iter_mut().for_each(|record| record.suite = name.clone());
            other.plan.suite.clone_from(&base.suite);
        } else if self.names() != candidate.names() {
            bail!(
                "{} and {} hold different suites, {} and {}; compare folders that hold the same ones, or one suite at a time",
                self.name,
                candidate.name,
                self.names().join(", "),
                candidate.names().join(", ")
            );
        }
        Ok(self.suites.iter().zip(&candidate.suites).collect())
    }
}

impl OfSuite {
    fn place(&self) -> String {
        match &self.run {
            Some((folder, _)) => folder.display().to_string(),
            None => format!("model {:?}", self.records.first().map_or("", |record| &record.model)),
        }
    }

    /// What both versions are judged by: what the base declares, or the candidate where only that is a run; ranges that hold the scores of
    /// both, and the scorers of either, those of the candidate alone without margin.
    pub fn plan_with(&self, candidate: &OfSuite) -> Plan {
        let (declaring, other) = match (&self.run, &candidate.run) {
            (None, Some(_)) => (&candidate.plan, &self.plan),
            _ => (&self.plan, &candidate.plan),
        };
        let mut plan = Plan { suite: self.suite.clone(), ..declaring.clone() };
        for scorer in &other.scorers {
            match plan.scorers.iter_mut().find(|own| own.name == scorer.name) {
                Some(own) => own.range = (own.range.0.min(scorer.range.0), own.range.1.max(scorer.range.1)),
                None => plan.scorers.push(ScorerPlan { margin: None, ..scorer.clone() }),
            }
        }
        plan
    }
}

fn of_runs(path: &Path, declared: &DeclaredArgs) -> Result<Vec<OfSuite>> {
    let run = |folder: PathBuf| {
        let manifest = Manifest::read(&folder.join("manifest.yaml"))?;
        let offsets = folder.join("offsets.csv");
        Ok(OfSuite {
            suite: manifest.suite.name.clone(),
            plan: declared.of_run(report::plan(&manifest), &folder)?,
            records: read_records(&folder.join("records.csv"))?,
            offsets: if offsets.exists() { rows::read_offsets(&offsets)? } else { Vec::new() },
            run: Some((folder, manifest)),
        })
    };
    folder::runs_in(path)?.into_iter().map(run).collect()
}

fn of_file(path: &Path, declared: &DeclaredArgs) -> Result<Vec<OfSuite>> {
    let of_suite = |Declared { plan, records, .. }: Declared| OfSuite {
        suite: plan.suite.clone(),
        run: None,
        plan,
        records,
        offsets: Vec::new(),
    };
    Ok(declared.read(path)?.into_iter().map(of_suite).collect())
}

/// What each version is called: the end of its path, as much of it as tells different paths apart, without `.csv`; a path that is named
/// again gets a number.
pub fn names(paths: &[&Path]) -> Vec<String> {
    let parts: Vec<Vec<String>> = paths.iter().map(|path| parts(path)).collect();
    let ends = |depth: usize| -> Vec<String> {
        parts.iter().map(|parts| parts[parts.len().saturating_sub(depth)..].join("/")).collect()
    };
    let tells_apart = |names: &[String]| {
        let pairs = (0..names.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        pairs.filter(|&(a, b)| parts[a] != parts[b]).all(|(a, b)| names[a] != names[b])
    };
    let longest = parts.iter().map(Vec::len).max().unwrap_or(1);
    let names = (1..longest).map(ends).find(|names| tells_apart(names)).unwrap_or_else(|| ends(longest));
    let numbered = |(index, name): (usize, &String)| match names[..index].iter().filter(|other| *other == name).count()
    {
        0 => name.clone(),
        before => format!("{name} ({})", before + 1),
    };
    names.iter().enumerate().map(numbered).collect()
}

fn parts(path: &Path) -> Vec<String> {
    let bare = if path.extension().is_some_and(|end| end == "csv") { path.with_extension("") } else { path.to_owned() };
    bare.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_called_by_what_tells_their_paths_apart() {
        let names = |paths: &[&str]| names(&paths.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(names(&["old.csv", "new.csv"]), ["old", "new"]);
        assert_eq!(names(&["out/x@1/m@1", "out/x@1/m@2"]), ["m@1", "m@2"]);
        assert_eq!(names(&["a/records.csv", "b/records.csv", "c/other.csv"]), ["a/records", "b/records", "c/other"]);
        assert_eq!(names(&["a.csv", "a.csv", "b.csv"]), ["a", "a (2)", "b"]);
        assert_eq!(names(&["records.csv", "a/records.csv"]), ["records", "a/records"]);
    }
}
