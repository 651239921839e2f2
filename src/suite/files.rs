//! Finds the files that a suite uses: beside it, one folder up, or embedded in the binary.

use std::fs;
use std::path::{Path, PathBuf};

/// Files that the binary carries, by the path that suites use for them; suites first.
const EMBEDDED: &[(&str, &str)] = &[
    ("suites/first-look.yaml", include_str!("../../suites/first-look.yaml")),
    ("prompts/axes/us-first-names-gender.yaml", include_str!("../../prompts/axes/us-first-names-gender.yaml")),
    ("prompts/axes/us-first-names-ethnicity.yaml", include_str!("../../prompts/axes/us-first-names-ethnicity.yaml")),
    ("prompts/factors/occupations.yaml", include_str!("../../prompts/factors/occupations.yaml")),
    ("prompts/factors/work-situations.yaml", include_str!("../../prompts/factors/work-situations.yaml")),
];

/// The text of an embedded file.
pub fn embedded(path: &str) -> Option<&'static str> {
    EMBEDDED.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// Names of the embedded suites, as `run` takes them.
pub fn embedded_suites() -> Vec<&'static str> {
    EMBEDDED.iter().filter_map(|(path, _)| path.strip_prefix("suites/")?.strip_suffix(".yaml")).collect()
}

/// A file's text and how messages call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub label: String,
    pub text: String,
}

/// Where a suite's own paths are looked up.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The suite's folder; none for an embedded suite, whose files are all embedded.
    pub folder: Option<PathBuf>,
}

impl Places {
    /// Reads `path`: from the suite's folder, then its parent, then the embedded files.
    ///
    /// # Errors
    /// A sentence that says where it was looked for, or why it could not be read.
    pub fn read(&self, path: &str) -> Result<Found, String> {
        let mut looked = Vec::new();
        if let Some(folder) = &self.folder {
            let parent = if folder.as_os_str().is_empty() { PathBuf::from("..") } else { folder.join("..") };
            // `suites/../prompts/x` reads better as `prompts/x`.
            let parent = folder.parent().map_or(parent.clone(), |above| {
                if folder.file_name().is_some() { above.to_path_buf() } else { parent }
            });
            for base in [folder, &parent] {
                let candidate = base.join(path);
                if candidate.is_file() {
                    return read_text(&candidate).map(|text| Found { label: candidate.display().to_string(), text });
                }
                looked.push(candidate.display().to_string());
            }
        }
        match embedded(path) {
            Some(text) => Ok(Found { label: path.to_string(), text: text.to_string() }),
            None if looked.is_empty() => Err(format!("there is no embedded file \"{path}\"")),
            None => Err(format!("there is no file \"{path}\": looked for {}", looked.join(" and "))),
        }
    }
}

/// Reads a UTF-8 file; line ends become LF and a byte order mark goes, so that a checkout's settings change no digest.
///
/// # Errors
/// A sentence that names the file.
pub fn read_text(path: &Path) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("{} is not UTF-8 at byte {}; save it as UTF-8", path.display(), error.utf8_error().valid_up_to())
    })?;
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}
