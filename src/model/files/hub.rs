//! Downloads from the hub into the hub's local cache, with an end to waiting.
//!
//! hf-hub sets no time limits and does not check the status of the answer that it stores as a file. So a
//! download runs on a thread of its own that is given up when nothing new arrives, and every file is compared
//! with the listed size and, where its name in the cache is a digest, with that digest.

use anyhow::Result;

use super::spec::HubId;
use super::{Access, Places};
use crate::model::catalog::{Entry, HubSource};

/// Downloads what a hub id stands for, and remembers the commit and its list of files.
#[cfg(feature = "hub")]
pub(super) fn fetch_model(id: &HubId, places: &Places, access: &Access) -> Result<()> {
    let (places, id, quiet) = (places.clone(), id.clone(), access.quiet);
    let name = id.spec();
    client::watched(&name, places.clone(), quiet, move |download| download.model(&places, &id))
}

/// Downloads the files of a catalog entry; their digests are left for the caller to verify.
#[cfg(feature = "hub")]
pub(super) fn fetch_entry(entry: &Entry, hub: &HubSource, places: &Places, access: &Access) -> Result<()> {
    let (places, hub) = (places.clone(), hub.clone());
    let files = entry.files.iter().map(|file| (file.path.clone(), file.bytes)).collect();
    client::watched(&entry.name, places.clone(), access.quiet, move |download| {
        download.files(&places, &hub.repo, &hub.commit, &files)
    })
}

#[cfg(not(feature = "hub"))]
pub(super) fn fetch_model(_: &HubId, _: &Places, _: &Access) -> Result<()> {
    anyhow::bail!("this build of tiltmeter cannot download from the hub (cargo feature `hub`)")
}

#[cfg(not(feature = "hub"))]
pub(super) fn fetch_entry(_: &Entry, _: &HubSource, _: &Places, _: &Access) -> Result<()> {
    anyhow::bail!("this build of tiltmeter cannot download from the hub (cargo feature `hub`)")
}

#[cfg(feature = "hub")]
mod client {
    use std::collections::BTreeSet;
    use std::fs;
    use std::sync::mpsc::{self, RecvTimeoutError, Sender};
    use std::thread;
    use std::time::{Duration, Instant};

    use anyhow::{Context, Result, anyhow, bail};
    use hf_hub::progress::{DownloadEvent, Progress, ProgressEvent, ProgressHandler};
    use hf_hub::repository::RepoTreeEntry;
    use hf_hub::{HFClientBuilder, HFClientSync, HFError, HFRepositorySync, RepoTypeModel};

    use super::super::hub_cache::{self, Listing};
    use super::super::layout;
    use super::super::progress::Bar;
    use super::super::spec::{HubId, is_commit};
    use super::super::{Places, digest};

    /// A download that brings no new byte for this long is given up.
    const STALL: Duration = Duration::from_secs(60);

    /// hf-hub's default of 5 would repeat a refused connection for up to 6 s.
    const RETRIES: usize = 2;

    enum Event {
        Answer,
        /// This many bytes are to come.
        Size(u64),
        /// This many have arrived.
        Bytes(u64),
        Done(Result<()>),
    }

    /// Runs `work` on a thread and shows its progress; gives up when the hub does not answer within
    /// `places.patience`, or later stalls. An abandoned thread ends with the process; what it leaves is
    /// an `.incomplete` file that nobody takes for a model.
    pub(super) fn watched(
        name: &str,
        places: Places,
        quiet: bool,
        work: impl FnOnce(&Download) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let endpoint = places.endpoint.clone();
        let (events, inbox) = mpsc::channel();
        let mut limit = places.patience;
        thread::Builder::new().name("hub download".to_string()).spawn(move || {
            let result = client(&places).and_then(|client| work(&Download { client, events: events.clone() }));
            let _ = events.send(Event::Done(result));
        })?;
        let mut size = None;
        let mut bar = None;
        let mut arrived = 0;
        let mut deadline = Instant::now() + limit;
        loop {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Answer) => {
                    limit = STALL;
                    deadline = Instant::now() + limit;
                    // Only now: before, nobody knows whether anything will come from there.
                    bar = bar.or_else(|| size.map(|bytes| Bar::start(name, &endpoint, bytes, quiet)));
                }
                Ok(Event::Size(bytes)) => size = Some(bytes),
                Ok(Event::Bytes(bytes)) if bytes > arrived => {
                    arrived = bytes;
                    limit = STALL;
                    deadline = Instant::now() + limit;
                    if let Some(bar) = &bar {
                        bar.set(bytes);
                    }
                }
                Ok(Event::Bytes(_)) => {}
                Ok(Event::Done(result)) => {
                    if let (Ok(()), Some(bar)) = (&result, bar.take()) {
                        bar.finish();
                    }
                    return result.with_context(|| format!("the hub at {endpoint} could not be used"));
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the hub at {endpoint} did not answer for {:.1} s", limit.as_secs_f64())
                }
                Err(RecvTimeoutError::Disconnected) => bail!("the download from {endpoint} ended without a result"),
            }
        }
    }

    fn client(places: &Places) -> Result<HFClientSync> {
        let mut builder =
            HFClientBuilder::new().endpoint(&places.endpoint).cache_dir(&places.hub_cache).retry_max_attempts(RETRIES);
        if let Some(token) = &places.token {
            builder = builder.token(token);
        }
        builder.build_sync().map_err(explain)
    }

    /// One download, and the way to tell how far it is.
    pub(super) struct Download {
        client: HFClientSync,
        events: Sender<Event>,
    }

    impl Download {
        fn repo(&self, id: &str) -> Result<HFRepositorySync<RepoTypeModel>> {
            let (owner, name) = id.split_once('/').context("a hub id has an organisation and a name")?;
            Ok(self.client.model(owner, name))
        }

        fn answered(&self) {
            let _ = self.events.send(Event::Answer);
        }

        /// What a hub id stands for: asks for the commit and its files, chooses, downloads.
        pub(super) fn model(&self, places: &Places, id: &HubId) -> Result<()> {
            let repo = self.repo(&id.repo)?;
            let commit = if id.is_commit() {
                id.revision.to_lowercase()
            } else {
                let info = repo.info().revision(id.revision.as_str()).send().map_err(explain)?;
                info.sha
                    .filter(|sha| is_commit(sha))
                    .with_context(|| format!("no commit is given for {}", id.spec()))?
            };
            self.answered();
            let tree = repo.list_tree().revision(commit.as_str()).recursive(true).send().map_err(explain)?;
            self.answered();
            let listing: Listing = tree
                .into_iter()
                .filter_map(|entry| match entry {
                    RepoTreeEntry::File { path, size, .. } => Some((path, size)),
                    RepoTreeEntry::Directory { .. } => None,
                })
                .collect();
            let names: BTreeSet<String> = listing.keys().cloned().collect();
            if hub_cache::needs_index(&names, id) {
                let index = [(layout::INDEX.to_string(), listing[layout::INDEX])].into();
                self.files(places, &id.repo, &commit, &index)?;
            }
            let index = hub_cache::snapshot(places, &id.repo, &commit).join(layout::INDEX);
            let choice = layout::choose(&id.spec(), &names, id.file.as_deref(), || Ok(fs::read(&index)?))?;
            let files = choice.names().into_iter().map(|name| (name.to_string(), listing[name])).collect();
            self.files(places, &id.repo, &commit, &files)?;
            hub_cache::remember(places, id, &commit, &listing)
        }

        /// Downloads those of `files` that the snapshot lacks, and removes what arrives damaged.
        pub(super) fn files(&self, places: &Places, repo: &str, commit: &str, files: &Listing) -> Result<()> {
            let repository = self.repo(repo)?;
            let folder = hub_cache::snapshot(places, repo, commit);
            let is_there =
                |name: &str, bytes: u64| fs::metadata(folder.join(name)).is_ok_and(|meta| meta.len() == bytes);
            let missing: Listing =
                files.iter().filter(|(name, bytes)| !is_there(name, **bytes)).map(|(n, b)| (n.clone(), *b)).collect();
            let _ = self.events.send(Event::Size(missing.values().sum()));
            let mut before = 0;
            for (name, bytes) in &missing {
                let path = repository
                    .download_file()
                    .filename(name.as_str())
                    .revision(commit)
                    .force_download(folder.join(name).exists())
                    .progress(Progress::new(Reporter { events: self.events.clone(), before }))
                    .send()
                    .map_err(explain)
                    .with_context(|| format!("{name} of {repo}"))?;
                before += bytes;
                let _ = self.events.send(Event::Bytes(before));
                if let Err(error) = arrived_whole(&path, *bytes) {
                    if let Ok(blob) = path.canonicalize() {
                        let _ = fs::remove_file(blob);
                    }
                    let _ = fs::remove_file(&path);
                    return Err(error.context(format!("{name} of {repo} arrived damaged and was removed")));
                }
            }
            Ok(())
        }
    }

    fn arrived_whole(path: &std::path::Path, bytes: u64) -> Result<()> {
        let found = fs::metadata(path)?.len();
        if found != bytes {
            bail!("it has {found} bytes instead of {bytes}");
        }
        if let Some(expected) = layout::digest_in_name(path) {
            let found = digest::read(path)?;
            if found != expected {
                bail!("it has SHA-256 {found} instead of {expected}");
            }
        }
        Ok(())
    }

    /// Passes hf-hub's progress on as bytes of the whole download.
    struct Reporter {
        events: Sender<Event>,
        before: u64,
    }

    impl ProgressHandler for Reporter {
        fn on_progress(&self, event: &ProgressEvent) {
            let ProgressEvent::Download(event) = event else { return };
            let _ = match event {
                DownloadEvent::Start { .. } => self.events.send(Event::Answer),
                DownloadEvent::Progress { files } => {
                    let bytes: u64 = files.iter().map(|file| file.bytes_completed).sum();
                    self.events.send(Event::Bytes(self.before + bytes))
                }
                DownloadEvent::AggregateProgress { bytes_completed, .. } => {
                    self.events.send(Event::Bytes(self.before + bytes_completed))
                }
                DownloadEvent::Complete => Ok(()),
            };
        }
    }

    /// hf-hub's error as a sentence that says what to do, where that is known.
    fn explain(error: HFError) -> anyhow::Error {
        // A hub that is asked without a token answers alike for what is private and for what is not there.
        let advice = match &error {
            HFError::AuthRequired { .. } | HFError::Forbidden { .. } => {
                "; there is no such repository, or it wants HF_TOKEN set to a token that may read it (gated models have \
                 to be accepted on their page first)"
            }
            HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } => {
                "; check the spelling of repository and revision (a branch, a tag or a full commit), or set HF_TOKEN \
                 if it is private"
            }
            _ => "",
        };
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.contains(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        anyhow!("{text}{advice}")
    }
}
