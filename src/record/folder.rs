//! Keeps the life of a run's folder: fresh, begun (a journal lies there), finished; and finds finished runs.
//!
//! Result files are written under a `.partial` name and renamed when all of them are there, the manifest
//! last; then the journal goes. So a folder is finished when it has a manifest and no journal.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::journal::Journal;
use super::manifest::{Manifest, first_difference};

const MANIFEST: &str = "manifest.yaml";
const JOURNAL: &str = "journal.sqlite";

/// What a run finds where its results should go.
pub enum Found {
    /// The very run that was asked for, finished.
    Finished,
    /// Nothing, or an unfinished run of the same manifest.
    Open,
}

/// A run's folder under `out` (usually `results`).
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    pub fn new(out: &Path, manifest: &Manifest) -> Self {
        Self { path: out.join(manifest.folder_name()) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells whether the run is finished, and refuses a folder that holds another one, naming the line
    /// of the manifest that differs. Changes nothing on disk.
    pub fn look(&self, manifest: &Manifest) -> Result<Found> {
        if self.path.join(JOURNAL).exists() {
            drop(self.begin(manifest)?);
            return Ok(Found::Open);
        }
        let stored = self.path.join(MANIFEST);
        if !stored.exists() {
            return Ok(Found::Open);
        }
        let stored = fs::read_to_string(&stored).with_context(|| format!("{} cannot be read", stored.display()))?;
        self.compare(&stored, manifest)?;
        Ok(Found::Finished)
    }

    /// Opens the journal of a new or unfinished run.
    pub fn begin(&self, manifest: &Manifest) -> Result<Journal> {
        fs::create_dir_all(&self.path).with_context(|| format!("{} cannot be made", self.path.display()))?;
        let now = manifest.to_yaml();
        let journal = Journal::open(&self.path.join(JOURNAL), &now)?;
        self.compare(&journal.manifest()?, manifest)?;
        Ok(journal)
    }

    fn compare(&self, stored: &str, manifest: &Manifest) -> Result<()> {
        let Some((line, there, now)) = first_difference(stored, &manifest.to_yaml()) else { return Ok(()) };
        if there.starts_with("suite.digest:") {
            return Err(self.changed_suite(manifest, &self.path));
        }
        bail!(
            "{} holds another run: line {line} of its manifest says {there}, this run would say {now}; give the new \
             run a --label or an --out of its own, or move the old one aside with --fresh",
            self.path.display()
        )
    }

    /// Runs of one suite version lie side by side to be compared: they must all be of the same content.
    pub fn check_siblings(&self, manifest: &Manifest) -> Result<()> {
        let Some(Ok(siblings)) = self.path.parent().map(fs::read_dir) else { return Ok(()) };
        let mut siblings: Vec<PathBuf> = siblings.flatten().map(|entry| entry.path()).collect();
        siblings.sort();
        for sibling in siblings.iter().filter(|sibling| **sibling != self.path && !is_aside(sibling)) {
            let Ok(stored) = Manifest::read(&sibling.join(MANIFEST)) else { continue };
            if stored.suite.digest != manifest.suite.digest {
                return Err(self.changed_suite(manifest, sibling));
            }
        }
        Ok(())
    }

    fn changed_suite(&self, manifest: &Manifest, other: &Path) -> anyhow::Error {
        let (name, version) = (&manifest.suite.name, manifest.suite.version);
        anyhow::anyhow!(
            "suite {name} has changed since {} was run, but still says `version: {version}`; raise it to {} (or to a \
             number that has no results yet), put the old content back, or write elsewhere with --out",
            other.display(),
            version + 1
        )
    }

    /// Moves the folder to the first free name `…~1`, `…~2`, …; returns it, or None when there was none.
    pub fn move_aside(&self) -> Result<Option<PathBuf>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let aside = (1..)
            .map(|number| {
                let mut name = OsString::from(&self.path);
                name.push(format!("~{number}"));
                PathBuf::from(name)
            })
            .find(|aside| !aside.exists())
            .expect("some number is free");
        fs::rename(&self.path, &aside)
            .with_context(|| format!("{} cannot be moved to {}", self.path.display(), aside.display()))?;
        Ok(Some(aside))
    }

    /// Writes a result file under its unfinished name.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.partial(name);
        fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Where an unfinished result file lies.
    pub fn partial(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}.partial"))
    }

    /// Renames the named files to their final names, the manifest last, and removes the journal.
    pub fn finish(&self, names: &[&str], manifest: &Manifest, journal: Journal) -> Result<()> {
        self.write(MANIFEST, manifest.to_yaml().as_bytes())?;
        for name in names.iter().chain(&[MANIFEST]) {
            let (from, to) = (self.partial(name), self.path.join(name));
            fs::rename(&from, &to)
                .with_context(|| format!("{} cannot be renamed to {}", from.display(), to.display()))?;
        }
        journal.remove()
    }
}

/// The finished runs that `path` means: itself, or all that lie in it (one or two folders down), sorted.
/// Folders that `--fresh` moved aside count only when they are named themselves.
pub fn runs_in(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        bail!(
            "{} is not a folder; name a run folder such as results/<suite>@<version>/<model>@<digest>",
            path.display()
        );
    }
    let mut runs = Vec::new();
    collect(path, 0, &mut runs)?;
    if runs.is_empty() {
        bail!("{} holds no finished run (a folder with manifest.yaml); `tiltmeter run` makes one", path.display());
    }
    Ok(runs)
}

fn collect(path: &Path, depth: usize, runs: &mut Vec<PathBuf>) -> Result<()> {
    if path.join(JOURNAL).exists() {
        bail!("{} is an unfinished run; give the same `tiltmeter run` again to finish it", path.display());
    }
    if path.join(MANIFEST).exists() {
        runs.push(path.to_owned());
    } else if depth < 2 {
        let entries = fs::read_dir(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let mut folders: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        for folder in folders.iter().filter(|folder| !is_aside(folder)) {
            collect(folder, depth + 1, runs)?;
        }
    }
    Ok(())
}

/// `…~1`: a folder that [`RunFolder::move_aside`] made.
fn is_aside(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.rsplit_once('~').is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::manifest::tests::example;

    fn finish(folder: &RunFolder, manifest: &Manifest) {
        let journal = folder.begin(manifest).unwrap();
        folder.write("cases.csv", b"case\n").unwrap();
        folder.finish(&["cases.csv"], manifest, journal).unwrap();
    }

    #[test]
    fn a_finished_folder_has_no_journal_and_no_partial_files() {
        let out = tempfile::tempdir().unwrap();
        let (manifest, folder) = (example(), RunFolder::new(out.path(), &example()));
        assert!(matches!(folder.look(&manifest).unwrap(), Found::Open));
        finish(&folder, &manifest);
        let mut names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["cases.csv", "manifest.yaml"]);
        assert!(matches!(folder.look(&manifest).unwrap(), Found::Finished));
        assert_eq!(runs_in(out.path()).unwrap(), [folder.path()]);
    }

    #[test]
    fn a_folder_of_another_run_is_refused_finished_or_not() {
        let out = tempfile::tempdir().unwrap();
        let (manifest, folder) = (example(), RunFolder::new(out.path(), &example()));
        let other = Manifest { seed: 1, ..example() };
        drop(folder.begin(&manifest).unwrap());
        let message = folder.begin(&other).err().unwrap().to_string();
        assert!(message.contains("says seed: 18446744073709551615, this run would say seed: 1"), "{message}");
        assert!(runs_in(folder.path()).unwrap_err().to_string().contains("unfinished"));
        finish(&folder, &manifest);
        assert!(folder.look(&other).is_err());
        assert_eq!(folder.move_aside().unwrap().unwrap().file_name().unwrap(), "echo@0123456+limit4+no~1");
        assert!(matches!(folder.look(&other).unwrap(), Found::Open));
        assert!(runs_in(out.path()).is_err(), "a run moved aside is not found by its parent");
    }

    #[test]
    fn a_suite_that_changed_under_its_version_is_refused_beside_runs_of_other_models_too() {
        let out = tempfile::tempdir().unwrap();
        finish(&RunFolder::new(out.path(), &example()), &example());
        let mut other = example();
        other.suite.digest = "cd".repeat(32);
        let message = RunFolder::new(out.path(), &other).look(&other).err().unwrap().to_string();
        assert!(message.contains("raise it to 2"), "{message}");
        other.model.label = "other".into();
        let message = RunFolder::new(out.path(), &other).check_siblings(&other).unwrap_err().to_string();
        assert!(message.contains("raise it to 2"), "{message}");
    }
}
