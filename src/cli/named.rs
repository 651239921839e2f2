//! Tells what the name of a scorer on the command line means.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::model::catalog::{self, Kind};
use crate::scorer;
use crate::suite::scorer::{ClassifierSpec, HeadSpec, Labels};
use crate::suite::{ScorerKind, ScorerSpec};

/// A scorer of the program by its name, with its defaults; else as [`outside`].
pub fn scorer(name: &str) -> Result<ScorerSpec> {
    if scorer::NAMES.contains(&name) { Ok(ScorerSpec::named(name)) } else { outside(name, Labels::Declared) }
}

/// A head's file, or a classifier as a folder, a name of the catalog or a hub id; its score is named after the file's or folder's stem.
///
/// # Errors
/// What can be none of these.
pub fn outside(name: &str, labels: Labels) -> Result<ScorerSpec> {
    let path = Path::new(name);
    let stem = if path.extension().is_some_and(|ending| ending == "safetensors") {
        path.file_stem()
    } else {
        path.file_name()
    };
    let Some(stem) = stem.map(|stem| stem.to_string_lossy().into_owned()).filter(|stem| !stem.is_empty()) else {
        bail!(
            "{name:?} names neither a scorer, nor a head, nor a classifier; the scorers are {}",
            scorer::NAMES.join(", ")
        );
    };
    let is_preset = catalog::find(name).is_some_and(|entry| entry.kind == Kind::Classifier);
    let looks_like_a_name = !name.contains(['/', '\\', '.']) && !path.exists() && !is_preset;
    ensure!(
        !looks_like_a_name,
        "there is no scorer {name:?}; the scorers are {}; a classifier is given as a folder, a name of `tiltmeter model list` or a hub id",
        scorer::NAMES.join(", ")
    );
    let kind = if path.extension().is_some_and(|ending| ending == "safetensors") {
        ScorerKind::Head(HeadSpec { file: path.to_owned(), labels, better: None })
    } else {
        ScorerKind::Classifier(ClassifierSpec { model: name.to_owned(), labels, activation: None, better: None })
    };
    Ok(ScorerSpec { name: stem, kind, mask: None, ..ScorerSpec::named("") })
}
