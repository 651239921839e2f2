//! Finds the files that a suite uses: beside it, one folder up, or embedded in the binary; nothing outside of these unless allowed.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use include_dir::{Dir, include_dir};

static SUITES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites");
static PROMPTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/prompts");

/// The text of a file that the binary carries, by the path that suites use for it.
pub fn embedded(path: &str) -> Option<&'static str> {
    let (root, rest) = path.split_once('/')?;
    let folder = match root {
        "suites" => &SUITES,
        "prompts" => &PROMPTS,
        _ => return None,
    };
    folder.get_file(rest)?.contents_utf8()
}

/// Names of the embedded suites, as `run` takes them, sorted.
pub fn embedded_suites() -> Vec<&'static str> {
    let mut names: Vec<&str> = SUITES
        .files()
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|file| file.path().file_stem()?.to_str())
        .collect();
    names.sort_unstable();
    names
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
    /// Paths may lead out of the suite's folder and the one above it.
    pub allow_outside: bool,
}

impl Places {
    /// Reads `path`: from the suite's folder, then its parent, then the embedded files; at most `most` bytes.
    ///
    /// # Errors
    /// A sentence that says where it was looked for, or why it could not or may not be read.
    pub fn read(&self, path: &str, most: u64) -> Result<Found, String> {
        if let Some(found) = self.on_disk(path)? {
            return read_text(&found, most).map(|text| Found { label: found.display().to_string(), text });
        }
        match embedded(path) {
            Some(text) => Ok(Found { label: path.to_string(), text: text.to_string() }),
            None => Err(self.missing(path)),
        }
    }

    /// A file that is not text, such as weights: from the suite's folder, then its parent.
    ///
    /// # Errors
    /// As [`Places::read`].
    pub fn find(&self, path: &str) -> Result<PathBuf, String> {
        self.on_disk(path)?.ok_or_else(|| self.missing(path))
    }

    /// As [`Places::find`] for a name that may be a folder's or something else's, such as a hub id; none where there is no such folder.
    ///
    /// # Errors
    /// For a path that leads out.
    pub fn folder(&self, path: &str) -> Result<Option<PathBuf>, String> {
        Ok(self.on_disk(path)?.filter(|found| found.is_dir()))
    }

    fn on_disk(&self, path: &str) -> Result<Option<PathBuf>, String> {
        let leads_out =
            Path::new(path).components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir));
        if leads_out && !self.allow_outside {
            return Err(format!(
                "the path \"{path}\" leads out of the suite's folder and the folder above it; move the file there, or \
                 give --allow-outside"
            ));
        }
        let bases = self.bases();
        let Some(found) = bases.iter().map(|base| base.join(path)).find(|candidate| candidate.exists()) else {
            return Ok(None);
        };
        if !self.allow_outside {
            stays_inside(&found, &bases)?;
        }
        Ok(Some(found))
    }

    fn bases(&self) -> Vec<PathBuf> {
        self.folder.iter().flat_map(|folder| [folder.clone(), above(folder)]).collect()
    }

    fn missing(&self, path: &str) -> String {
        let looked: Vec<String> = self.bases().iter().map(|base| base.join(path).display().to_string()).collect();
        if looked.is_empty() {
            return format!("there is no embedded file \"{path}\"");
        }
        format!(
            "there is no file \"{path}\": looked for {}; paths are relative to the suite's folder or to the folder \
             above it",
            looked.join(" and ")
        )
    }
}

/// The folder above; `suites/../prompts/x` reads better as `prompts/x`.
fn above(folder: &Path) -> PathBuf {
    match (folder.file_name(), folder.parent()) {
        (Some(_), Some(parent)) => parent.to_path_buf(),
        _ => folder.join(".."),
    }
}

/// Errs when a link leads out of both folders.
fn stays_inside(path: &Path, bases: &[PathBuf]) -> Result<(), String> {
    let real = |path: &Path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.canonicalize().map_err(|error| format!("cannot find {}: {error}", path.display()))
    };
    let target = real(path)?;
    for base in bases {
        if target.starts_with(real(base)?) {
            return Ok(());
        }
    }
    Err(format!(
        "{} is a link to {}, outside the suite's folder and the folder above it; move the file there, or give \
         --allow-outside",
        path.display(),
        target.display()
    ))
}

/// Reads a UTF-8 file; line ends become LF and a byte order mark goes, so that a checkout's settings change no digest.
///
/// # Errors
/// A sentence that names the file: unreadable, no plain file, longer than `most` bytes, or not UTF-8.
pub fn read_text(path: &Path, most: u64) -> Result<String, String> {
    let name = path.display();
    let cannot = |error: std::io::Error| format!("cannot read {name}: {error}");
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(format!("{name} is not a plain file; give the path of a file"));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(cannot)?.take(most + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > most {
        return Err(format!("{name} is longer than {} MiB, the most that is read of such a file", most >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        format!("{name} is not UTF-8 at byte {}; save it as UTF-8", error.utf8_error().valid_up_to())
    })?;
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}
