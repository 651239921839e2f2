//! Looks into the hub's local cache, which other programs share: `models--org--name/snapshots/COMMIT/…`.
//!
//! Others may have left only some of a model's files there, and a chat template that is silently missing would
//! change results. So tiltmeter keeps the list of what a commit holds, and calls a snapshot whole only by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::layout::{self, Choice};
use super::spec::{HubId, is_commit};
use super::{ModelFiles, Places, cache};

/// Sizes in bytes by path, of every file of a commit.
pub(super) type Listing = BTreeMap<String, u64>;

fn folder_name(repo: &str) -> String {
    format!("models--{}", repo.replace('/', "--"))
}

/// Where the files of a commit lie.
pub(super) fn snapshot(places: &Places, repo: &str, commit: &str) -> PathBuf {
    places.hub_cache.join(folder_name(repo)).join("snapshots").join(commit)
}

fn reference(places: &Places, id: &HubId) -> PathBuf {
    places.hub_cache.join(folder_name(&id.repo)).join("refs").join(&id.revision)
}

/// The commit that a revision stood for when it was last fetched; `None` when it never was.
pub(super) fn commit_of(places: &Places, id: &HubId) -> Option<String> {
    if id.is_commit() {
        return Some(id.revision.to_lowercase());
    }
    let commit = fs::read_to_string(reference(places, id)).ok()?;
    is_commit(commit.trim()).then(|| commit.trim().to_string())
}

fn listing_path(places: &Places, repo: &str, commit: &str) -> PathBuf {
    places.cache.join("hub").join(folder_name(repo)).join(format!("{commit}.json"))
}

/// Remembers what a commit holds and what the revision stands for.
#[cfg_attr(not(feature = "hub"), expect(dead_code))]
pub(super) fn remember(places: &Places, id: &HubId, commit: &str, listing: &Listing) -> Result<()> {
    cache::write_atomically(&listing_path(places, &id.repo, commit), &serde_json::to_vec_pretty(listing)?)
        .context("cannot write to tiltmeter's cache; set TILTMETER_CACHE to a folder that can be written")?;
    if !id.is_commit() {
        cache::write_atomically(&reference(places, id), commit.as_bytes())
            .context("cannot write to the hub's cache; set HF_HUB_CACHE to a folder that can be written")?;
    }
    Ok(())
}

/// The model, when every file of it is known to be there; `None` when something is missing or the commit's
/// list is not known.
///
/// # Errors
/// When the commit holds no model that can be read, or a file is damaged.
pub(super) fn whole(places: &Places, id: &HubId) -> Result<Option<ModelFiles>> {
    let Some(commit) = commit_of(places, id) else { return Ok(None) };
    let Ok(bytes) = fs::read(listing_path(places, &id.repo, &commit)) else { return Ok(None) };
    let Ok(listing) = serde_json::from_slice::<Listing>(&bytes) else { return Ok(None) };
    let folder = snapshot(places, &id.repo, &commit);
    let names: BTreeSet<String> = listing.keys().cloned().collect();
    if needs_index(&names, id) && !folder.join(layout::INDEX).is_file() {
        return Ok(None);
    }
    let choice = layout::choose(&id.spec(), &names, id.file.as_deref(), || Ok(fs::read(folder.join(layout::INDEX))?))?;
    let same_size = |name: &&str| fs::metadata(folder.join(name)).is_ok_and(|meta| meta.len() == listing[*name]);
    if !choice.names().iter().all(same_size) {
        return Ok(None);
    }
    layout::take(&folder, &choice, label(id, &choice), Some(commit), places).map(Some)
}

/// Whether the index has to be there before the choice can be made.
pub(super) fn needs_index(names: &BTreeSet<String>, id: &HubId) -> bool {
    id.file.is_none() && !names.contains("model.safetensors") && names.contains(layout::INDEX)
}

/// The model as far as some program has stored it; `None` when there is nothing of it.
pub(super) fn found(places: &Places, id: &HubId) -> Result<Option<ModelFiles>> {
    let Some(commit) = commit_of(places, id) else { return Ok(None) };
    let folder = snapshot(places, &id.repo, &commit);
    if !folder.is_dir() {
        return Ok(None);
    }
    let choice = layout::choose_in(&folder, id.file.as_deref())?;
    layout::take(&folder, &choice, label(id, &choice), Some(commit), places).map(Some)
}

/// `org--name`, or the stem of a GGUF file: fit for a folder's name.
fn label(id: &HubId, choice: &Choice) -> String {
    match choice {
        Choice::Gguf(name) => super::local::stem(name.as_ref()),
        Choice::Folder { .. } => id.repo.replace('/', "--"),
    }
}
