//! Reads what a user wrote where a model is named: a catalog name, a path or a hub id.

use std::path::{Path, PathBuf};

use crate::model::catalog::{self, Entry};

/// What a model spec means.
#[derive(Debug)]
pub(super) enum Spec {
    Catalog(&'static Entry),
    Path(PathBuf),
    Hub(HubId),
    /// None of these.
    Unknown,
}

/// `org/name[@revision][:file.gguf]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubId {
    pub(super) repo: String,
    /// A branch, a tag or a full commit.
    pub(super) revision: String,
    pub(super) file: Option<String>,
}

impl HubId {
    /// As the user would write it.
    pub(super) fn spec(&self) -> String {
        let file = self.file.as_ref().map_or(String::new(), |file| format!(":{file}"));
        format!("{}@{}{file}", self.repo, self.revision)
    }

    pub(super) fn is_commit(&self) -> bool {
        is_commit(&self.revision)
    }
}

/// Whether `revision` is a full commit, which never moves.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

/// A catalog name is the catalog's, whatever lies in the working folder (write `./name` for a folder of that
/// name), so that a command means the same everywhere. Then an existing path, then a hub id.
pub(super) fn parse(text: &str) -> Spec {
    if let Some(entry) = catalog::find(text) {
        return Spec::Catalog(entry);
    }
    if !text.is_empty() && Path::new(text).exists() {
        return Spec::Path(PathBuf::from(text));
    }
    hub_id(text).map_or(Spec::Unknown, Spec::Hub)
}

fn hub_id(text: &str) -> Option<HubId> {
    let (rest, file) = match text.split_once(':') {
        Some((rest, file)) => (rest, Some(file)),
        None => (text, None),
    };
    let (repo, revision) = match rest.split_once('@') {
        Some((repo, revision)) => (repo, revision),
        None => (rest, "main"),
    };
    let (org, name) = repo.split_once('/')?;
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let fits = word(org)
        && word(name)
        && !name.ends_with(".gguf")
        && is_relative(revision)
        && file.is_none_or(|file| file.ends_with(".gguf") && is_relative(file));
    fits.then(|| HubId { repo: repo.to_string(), revision: revision.to_string(), file: file.map(str::to_string) })
}

/// Whether `path` stays below the folder that it is joined to, on every platform.
pub(super) fn is_relative(path: &str) -> bool {
    !path.contains(['\\', ':', '\0']) && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(String, String, Option<String>)> {
        hub_id(text).map(|id| (id.repo, id.revision, id.file))
    }

    #[test]
    fn a_hub_id_has_an_optional_revision_and_file() {
        let id = |repo: &str, revision: &str, file: Option<&str>| {
            Some((repo.to_string(), revision.to_string(), file.map(str::to_string)))
        };
        assert_eq!(parts("org/name"), id("org/name", "main", None));
        assert_eq!(parts("org/name@v1.0"), id("org/name", "v1.0", None));
        assert_eq!(parts("org/name@refs/pr/3"), id("org/name", "refs/pr/3", None));
        assert_eq!(parts("org/name:q4.gguf"), id("org/name", "main", Some("q4.gguf")));
        assert_eq!(parts("org/n@abc:sub/q4.gguf"), id("org/n", "abc", Some("sub/q4.gguf")));
    }

    #[test]
    fn what_would_leave_the_cache_is_no_hub_id() {
        for text in [
            "",
            "name",
            "a/b/c",
            "../name",
            "org/..",
            "org/name@../x",
            "org/name:../x.gguf",
            "/org/name",
            "org/name:weights.bin",
            "~/name",
            "./name",
            "org/name@",
            "models/x.gguf",
            "C:\\models\\x.gguf",
        ] {
            assert_eq!(parts(text), None, "{text}");
        }
    }

    #[test]
    fn a_catalog_name_comes_before_a_folder_of_that_name() {
        assert!(matches!(parse("minilm-l6"), Spec::Catalog(_)));
    }
}
