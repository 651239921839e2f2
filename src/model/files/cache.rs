//! Keeps tiltmeter's own cache: catalog models, one lock a name, unfinished work apart from finished files.
//!
//! `models/NAME/…` finished and verified · `hub/…` listings of hub commits · `digests/` of large files ·
//! `locks/` · `partial/NAME/` whatever is under way, cleared by the next fetch of that name.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Places, digest};
use crate::model::catalog::{CatalogFile, Entry};

/// Where a file of a catalog entry lies once it is verified.
pub(super) fn file_path(places: &Places, entry: &Entry, file: &CatalogFile) -> PathBuf {
    places.cache.join("models").join(&entry.name).join(&file.path)
}

/// Whether `path` holds the very bytes of the catalog; their number, where nothing is hashed.
///
/// # Errors
/// Says how it differs: absent, of another size, or of another digest.
pub(super) fn verify(path: &Path, file: &CatalogFile, places: &Places) -> Result<()> {
    let bytes = match fs::metadata(path) {
        Ok(meta) => meta.len(),
        Err(_) => bail!("{} is not there", path.display()),
    };
    if bytes != file.bytes {
        bail!("{} has {bytes} bytes, the catalog says {}", path.display(), file.bytes);
    }
    if !places.hash {
        return Ok(());
    }
    let found = digest::of_file(path, &places.cache)?;
    if found != file.sha256 {
        bail!("{} has SHA-256 {found}, the catalog says {}", path.display(), file.sha256);
    }
    Ok(())
}

/// Holds the lock of `name` until the returned file is dropped, so that two processes do not fetch the same
/// model at once. Says on stderr when it has to wait, unless `quiet`.
pub(super) fn lock(places: &Places, name: &str, quiet: bool) -> Result<File> {
    let folder = places.cache.join("locks");
    let path = folder.join(format!("{name}.lock"));
    let explain = || {
        format!(
            "cannot lock {}: tiltmeter keeps models below {}; set TILTMETER_CACHE to a folder that can be written",
            path.display(),
            places.cache.display()
        )
    };
    fs::create_dir_all(&folder).with_context(explain)?;
    let file = File::create(&path).with_context(explain)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            if !quiet {
                eprintln!("tiltmeter: another process is fetching {name}; waiting for it");
            }
            file.lock().with_context(explain)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(explain),
    }
    Ok(file)
}

/// An empty folder for unfinished work on `name`, removed when dropped. Call it only under [`lock`]: what an
/// interrupted process left there is cleared.
pub(super) struct Workshop(PathBuf);

impl Workshop {
    pub(super) fn open(places: &Places, name: &str) -> Result<Self> {
        let path = places.cache.join("partial").join(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot clear {}", path.display()))?;
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Workshop(path))
    }

    /// A new folder inside.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// Bytes in all files inside, so far.
    pub(super) fn bytes(&self) -> u64 {
        folder_bytes(&self.0)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => folder_bytes(&entry.path()),
            _ => entry.metadata().map_or(0, |meta| meta.len()),
        })
        .sum()
}

/// Moves a finished file to its place in one step; both must be on the same file system.
pub(super) fn publish(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    fs::rename(from, to).with_context(|| format!("cannot move {} to {}", from.display(), to.display()))
}

/// Writes a small file so that readers see the old one or the whole new one.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file in the cache has a folder")?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
