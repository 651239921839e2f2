//! Takes a model from a path that the user gave: a GGUF file or a folder.

use std::path::Path;

use anyhow::{Result, bail};

use super::layout::{self, Choice};
use super::{ModelFiles, Places};

/// The model at `path`, which exists.
pub(super) fn resolve(path: &Path, places: &Places) -> Result<ModelFiles> {
    if path.is_dir() {
        let choice = layout::choose_in(path, None)?;
        let label = match &choice {
            Choice::Gguf(name) => stem(name.as_ref()),
            Choice::Folder { .. } => folder_label(path),
        };
        return layout::take(path, &choice, label, None, places);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.ends_with(".gguf") {
        bail!(
            "{} is not a .gguf file; for safetensors give the folder that holds config.json and the weights",
            path.display()
        );
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    layout::take(folder, &Choice::Gguf(name.clone()), stem(name.as_ref()), None, places)
}

/// A file's name without its extension, fit for a folder's name.
pub(super) fn stem(path: &Path) -> String {
    plain(&path.file_stem().unwrap_or_default().to_string_lossy())
}

fn folder_label(path: &Path) -> String {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    plain(&real.file_name().unwrap_or_default().to_string_lossy())
}

/// Letters, digits and `.-_` stay; anything else becomes `-`, as the label names a results folder.
fn plain(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' }).collect();
    if plain.trim_matches(['.', '-']).is_empty() { "model".to_string() } else { plain }
}
