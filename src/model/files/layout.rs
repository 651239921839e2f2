//! Chooses the files that make up a model, in a folder or in a hub repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{ModelFiles, Places, digest, spec};

/// What is taken beside the weights where it is there.
const SIDE_FILES: [&str; 10] = [
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
];

/// What tokenizers were before tokenizer.json; taken where that is missing.
const OLDER_TOKENIZERS: [&str; 3] = ["vocab.txt", "vocab.json", "merges.txt"];

/// The list of shards.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// Names of the files to use, `/` between the parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    Gguf(String),
    /// Shards in order.
    Folder {
        side: Vec<String>,
        weights: Vec<String>,
    },
}

impl Choice {
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Choice::Gguf(name) => vec![name],
            Choice::Folder { side, weights } => side.iter().chain(weights).map(String::as_str).collect(),
        }
    }
}

/// Chooses among `names`: the GGUF file `wanted`, else safetensors (one file, or the shards of the index, which
/// `read_index` reads only then), else a lone GGUF file.
///
/// # Errors
/// Says what `place` lacks, or which of several files has to be named.
pub(super) fn choose(
    place: &str,
    names: &BTreeSet<String>,
    wanted: Option<&str>,
    read_index: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<Choice> {
    let ggufs: Vec<&str> = names.iter().map(String::as_str).filter(|name| name.ends_with(".gguf")).collect();
    if let Some(wanted) = wanted {
        if names.contains(wanted) {
            return Ok(Choice::Gguf(wanted.to_string()));
        }
        let has = if ggufs.is_empty() { "no GGUF file".to_string() } else { ggufs.join(", ") };
        bail!("{place} has no file {wanted}; it has {has}");
    }
    let mut tensors = names
        .iter()
        .filter(|name| name.ends_with(".safetensors") && !name.contains('/') && !name.starts_with("adapter_"));
    let weights = if names.contains("model.safetensors") {
        vec!["model.safetensors".to_string()]
    } else if names.contains(INDEX) {
        shards(place, &read_index()?)?
    } else {
        match (tensors.next(), tensors.next()) {
            (Some(one), None) => vec![one.clone()],
            (Some(_), Some(_)) => bail!("{place} has several .safetensors files but no {INDEX} that orders them"),
            (None, _) => Vec::new(),
        }
    };
    if !weights.is_empty() && names.contains("config.json") {
        if let Some(missing) = weights.iter().find(|shard| !names.contains(*shard)) {
            bail!("{place} lacks {missing}, which {INDEX} lists; the model is not whole");
        }
        let older = OLDER_TOKENIZERS.iter().filter(|_| !names.contains("tokenizer.json"));
        let side = SIDE_FILES.iter().chain(older).filter(|name| names.contains(**name));
        let side = side.map(|name| name.to_string()).collect();
        return Ok(Choice::Folder { side, weights });
    }
    match ggufs.as_slice() {
        [one] => Ok(Choice::Gguf(one.to_string())),
        [] if !weights.is_empty() => bail!("{place} has weights but no config.json"),
        [] if names.iter().any(|name| name.starts_with("pytorch_model") && name.contains(".bin")) => bail!(
            "{place} has its weights in pytorch_model.bin only, which is a program as much as a file and is not read; save \
             them as model.safetensors (`AutoModel….from_pretrained(…).save_pretrained(…)` does), or give another revision"
        ),
        [] => bail!(
            "{place} holds no model that tiltmeter reads: it needs config.json with model.safetensors (or {INDEX} \
             and its shards), or a .gguf file; other formats have to be converted to safetensors first"
        ),
        several => bail!("{place} has several GGUF files; name one of them: {}", several.join(", ")),
    }
}

/// The shards that an index names, by name, which is their order.
fn shards(place: &str, index: &[u8]) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index = serde_json::from_slice(index).with_context(|| format!("{place}: {INDEX} cannot be read"))?;
    let shards: BTreeSet<String> = index.weight_map.into_values().collect();
    if let Some(bad) = shards.iter().find(|shard| !spec::is_relative(shard)) {
        bail!("{place}: {INDEX} names the shard {bad:?}, which lies outside the model");
    }
    if shards.is_empty() {
        bail!("{place}: {INDEX} names no shards");
    }
    Ok(shards.into_iter().collect())
}

/// The names in a folder, as [`choose`] takes them.
pub(super) fn names_in(folder: &Path) -> Result<BTreeSet<String>> {
    let files = fs::read_dir(folder).with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let mut names: BTreeSet<String> = files
        .flatten()
        .filter(|file| file.path().is_file())
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    names.extend(SIDE_FILES.iter().filter(|name| folder.join(name).is_file()).map(|name| name.to_string()));
    Ok(names)
}

/// Chooses in a folder on disk.
pub(super) fn choose_in(folder: &Path, wanted: Option<&str>) -> Result<Choice> {
    let mut names = names_in(folder)?;
    names.extend(wanted.filter(|name| folder.join(name).is_file()).map(str::to_string));
    let index = folder.join(INDEX);
    choose(&format!("the folder {}", folder.display()), &names, wanted, || {
        fs::read(&index).with_context(|| format!("cannot read {}", index.display()))
    })
}

/// Names the files of a choice below `folder`, after looking at the weights.
///
/// # Errors
/// Weights that cannot be read or are no weights: a Git LFS pointer, an empty or a cut file.
pub(super) fn take(
    folder: &Path,
    choice: &Choice,
    label: String,
    commit: Option<String>,
    places: &Places,
) -> Result<ModelFiles> {
    let files = choice.names().into_iter().map(|name| (name.to_string(), folder.join(name))).collect();
    assemble(files, choice, label, commit, places)
}

/// As [`take`], for files that lie in different folders.
pub(super) fn assemble(
    mut files: BTreeMap<String, PathBuf>,
    choice: &Choice,
    label: String,
    commit: Option<String>,
    places: &Places,
) -> Result<ModelFiles> {
    let mut path = |name: &str| files.remove(name);
    match choice {
        Choice::Gguf(name) => {
            let weights = path(name).with_context(|| format!("{label} lacks {name}"))?;
            looks_whole(&weights)?;
            let digest = checked_digest(&weights, places)?;
            Ok(ModelFiles::Gguf { label, weights, digest, commit })
        }
        Choice::Folder { weights, .. } => {
            let mut shards = Vec::new();
            let mut digests = Vec::new();
            for name in weights {
                let shard = path(name).with_context(|| format!("{label} lacks {name}"))?;
                looks_whole(&shard)?;
                digests.push(checked_digest(&shard, places)?);
                shards.push(shard);
            }
            Ok(ModelFiles::Folder {
                config: path("config.json").with_context(|| format!("{label} lacks config.json"))?,
                tokenizer: path("tokenizer.json"),
                tokenizer_config: path("tokenizer_config.json"),
                generation_config: path("generation_config.json"),
                chat_template: path("chat_template.jinja"),
                weights: shards,
                extra: files,
                digest: if places.hash { digest::combine(&digests) } else { String::new() },
                label,
                commit,
            })
        }
    }
}

/// The digest that a file of the hub's cache carries in its name: large files lie there as links to
/// `blobs/<SHA-256>`. `None` for anything else.
pub(super) fn digest_in_name(path: &Path) -> Option<String> {
    let target = fs::read_link(path).ok()?;
    let name = target.file_name()?.to_str()?;
    (name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())).then(|| name.to_lowercase())
}

/// The file's digest, or nothing where `places` hashes nothing.
fn checked_digest(path: &Path, places: &Places) -> Result<String> {
    if !places.hash {
        return Ok(String::new());
    }
    let found = digest::of_file(path, &places.cache)?;
    match digest_in_name(path) {
        Some(expected) if expected != found => bail!(
            "{} is damaged: its SHA-256 is {found}, the hub's cache says {expected}; delete it and fetch it again",
            path.canonicalize().unwrap_or_else(|_| path.to_path_buf()).display()
        ),
        _ => Ok(found),
    }
}

/// Refuses what is no model file at all before anything is loaded: pointers of Git LFS, cut safetensors.
fn looks_whole(path: &Path) -> Result<()> {
    use std::io::Read;
    let file = fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let bytes = file.metadata().with_context(|| format!("cannot open {}", path.display()))?.len();
    let mut head = Vec::new();
    file.take(40).read_to_end(&mut head).with_context(|| format!("cannot read {}", path.display()))?;
    if head.starts_with(b"version https://git-lfs") {
        bail!("{} is a Git LFS pointer, not the weights; run `git lfs pull` in its repository", path.display());
    }
    let is_gguf = path.extension().is_some_and(|ext| ext == "gguf");
    let fits = if is_gguf {
        head.starts_with(b"GGUF")
    } else {
        // Eight bytes with the length of the header, then the header, then the tensors.
        let header = head.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
        header.is_some_and(|length| length.checked_add(8).is_some_and(|end| end <= bytes))
    };
    if !fits {
        let format = if is_gguf { "GGUF" } else { "safetensors" };
        bail!("{} is no {format} file ({bytes} bytes); it may be cut short: fetch it again", path.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], wanted: Option<&str>, index: &str) -> Result<Choice> {
        let names = names.iter().map(|name| name.to_string()).collect();
        choose("here", &names, wanted, || Ok(index.as_bytes().to_vec()))
    }

    #[test]
    fn shards_come_in_order_and_nothing_else_is_taken() {
        let index = r#"{"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}"#;
        let names = ["config.json", "m-1.safetensors", "m-2.safetensors", INDEX, "pytorch_model.bin", "README.md"];
        let choice = chosen(&names, None, index).unwrap();
        assert_eq!(choice.names(), ["config.json", "m-1.safetensors", "m-2.safetensors"]);
    }

    #[test]
    fn a_missing_shard_is_named() {
        let index = r#"{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}"#;
        let error = chosen(&["config.json", "m-1.safetensors", INDEX], None, index).unwrap_err();
        assert!(error.to_string().contains("lacks m-2.safetensors"), "{error}");
    }

    #[test]
    fn a_shard_outside_the_model_is_refused() {
        let index = r#"{"weight_map": {"a": "../../etc/passwd"}}"#;
        let error = chosen(&["config.json", INDEX], None, index).unwrap_err();
        assert!(error.to_string().contains("outside the model"), "{error}");
    }

    #[test]
    fn several_gguf_files_have_to_be_told_apart() {
        let error = chosen(&["q4.gguf", "q8.gguf"], None, "").unwrap_err().to_string();
        assert!(error.contains("name one of them: q4.gguf, q8.gguf"), "{error}");
        assert_eq!(chosen(&["q4.gguf", "q8.gguf"], Some("q8.gguf"), "").unwrap(), Choice::Gguf("q8.gguf".into()));
        assert_eq!(chosen(&["q4.gguf"], None, "").unwrap(), Choice::Gguf("q4.gguf".into()));
    }

    #[test]
    fn a_pickle_alone_is_no_model() {
        let error = chosen(&["config.json", "pytorch_model.bin"], None, "").unwrap_err().to_string();
        assert!(error.contains("save them as model.safetensors"), "{error}");
    }

    #[test]
    fn a_git_lfs_pointer_is_recognised() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        fs::write(&path, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n").unwrap();
        assert!(looks_whole(&path).unwrap_err().to_string().contains("git lfs pull"));
    }
}
