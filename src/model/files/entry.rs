//! Brings the files of a catalog entry: from a cache, else from the hub, else from the mirror; verified where the catalog
//! lists them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::layout::{self, Choice};
use super::progress::megabytes;
use super::spec::HubId;
use super::{Access, ModelFiles, Places, cache, hub, hub_cache, mirror};
use crate::model::catalog::{CatalogFile, Entry};

/// The entry's files, each with the catalog's digest, which is computed anew at every call.
pub(super) fn resolve(entry: &Entry, places: &Places, access: &Access) -> Result<ModelFiles> {
    if let Some(id) = open_hub_id(entry) {
        let mut files = super::resolve_hub(&id, places, access)?;
        match &mut files {
            ModelFiles::Gguf { label, .. } | ModelFiles::Folder { label, .. } => label.clone_from(&entry.name),
        }
        return Ok(files);
    }
    let absent = match present(entry, places) {
        Ok(files) => return named(entry, files, places),
        Err(absent) => absent,
    };
    if access.offline {
        bail!(
            "{} is not in the cache ({absent}), and --offline or HF_HUB_OFFLINE forbids the network; run \
             `tiltmeter model fetch {}` once while online ({}), or set TILTMETER_CACHE to a cache that has it",
            entry.name,
            entry.name,
            megabytes(entry.bytes())
        );
    }
    let _lock = cache::lock(places, &entry.name, access.quiet)?;
    if let Ok(files) = present(entry, places) {
        return named(entry, files, places);
    }
    let mut failures = Vec::new();
    let mut try_source = |source: &str, fetched: Result<()>| -> Option<BTreeMap<String, PathBuf>> {
        match fetched.and_then(|()| present(entry, places)) {
            Ok(files) => Some(files),
            Err(error) => {
                if !access.quiet {
                    eprintln!("tiltmeter: the {source} did not give {}", entry.name);
                }
                failures.push(format!("{source}: {error:#}"));
                None
            }
        }
    };
    if let Some(source) = &entry.hub
        && let Some(files) = try_source("hub", hub::fetch_entry(entry, source, places, access))
    {
        return named(entry, files, places);
    }
    if let Some(source) = &entry.mirror
        && let Some(files) = try_source("mirror", mirror::fetch(entry, source, places, access))
    {
        return named(entry, files, places);
    }
    bail!(
        "{} could not be fetched ({}). Check the network and the settings of pip (PIP_INDEX_URL, proxies), or fetch \
         it elsewhere and copy the folder {} here",
        entry.name,
        failures.join(". "),
        places.cache.join("models").join(&entry.name).display()
    )
}

/// Where an entry without files is to be had, as a user would name it.
fn open_hub_id(entry: &Entry) -> Option<HubId> {
    let hub = entry.hub.as_ref().filter(|_| entry.files.is_empty())?;
    Some(HubId { repo: hub.repo.clone(), revision: hub.commit.clone(), file: None })
}

/// Whether all files lie in a cache with the right sizes; digests are left to [`resolve`].
pub(super) fn is_cached(entry: &Entry, places: &Places) -> bool {
    if let Some(id) = open_hub_id(entry) {
        let unhashed = Places { hash: false, ..places.clone() };
        return hub_cache::found(&unhashed, &id).is_ok_and(|files| files.is_some());
    }
    let there = |path: PathBuf, file: &CatalogFile| fs::metadata(path).is_ok_and(|meta| meta.len() == file.bytes);
    entry.files.iter().all(|file| candidates(entry, file, places).into_iter().any(|path| there(path, file)))
}

/// Where a file may lie: tiltmeter's own cache first, then the hub's.
fn candidates(entry: &Entry, file: &CatalogFile, places: &Places) -> Vec<PathBuf> {
    let own = cache::file_path(places, entry, file);
    let hub = entry.hub.as_ref().map(|hub| hub_cache::snapshot(places, &hub.repo, &hub.commit).join(&file.path));
    std::iter::once(own).chain(hub).collect()
}

/// Every file where it lies, verified.
fn present(entry: &Entry, places: &Places) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for file in &entry.files {
        let mut problems = Vec::new();
        for path in candidates(entry, file, places) {
            match cache::verify(&path, file, places) {
                Ok(()) => {
                    files.insert(file.path.clone(), path);
                    break;
                }
                Err(problem) => problems.push(format!("{problem:#}")),
            }
        }
        if !files.contains_key(&file.path) {
            bail!("{}", problems.join("; "));
        }
    }
    Ok(files)
}

fn named(entry: &Entry, files: BTreeMap<String, PathBuf>, places: &Places) -> Result<ModelFiles> {
    let names = files.keys().cloned().collect();
    let choice: Choice = layout::choose(&entry.name, &names, None, || bail!("the catalog holds no sharded model"))?;
    let commit = entry.hub.as_ref().map(|hub| hub.commit.clone());
    layout::assemble(files, &choice, entry.name.clone(), commit, places)
}
