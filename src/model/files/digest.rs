//! Computes SHA-256 digests of files, and remembers those of large files that have not changed.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Files up to this size are hashed in full once a process (measured: 0.09 s for 98 MB with SHA instructions, about
/// three times that without); the digest of larger ones is kept beside path, size and modification time.
const ALWAYS_HASHED: u64 = 512 * 1024 * 1024;

/// Lower-case hex of a finished digest.
pub(super) fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a file's bytes, read now.
pub(super) fn read(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(hasher.finalize())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

/// SHA-256 of a file, as remembered while path, size and modification time stay the same: within this process, and in
/// `cache` for files above 512 MiB. A cache that cannot be written costs time, never the result.
pub(super) fn of_file(path: &Path, cache: &Path) -> Result<String> {
    static KNOWN: Mutex<Vec<Memo>> = Mutex::new(Vec::new());
    let meta = fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    let Some(mut memo) = Memo::of(path, &meta) else { return read(path) };
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(same) = known().iter().find(|known| known.is_of_the_file_of(&memo)) {
        return Ok(same.sha256.clone());
    }
    memo.sha256 = if meta.len() <= ALWAYS_HASHED { read(path)? } else { remembered(path, &meta, cache)? };
    known().push(memo.clone());
    Ok(memo.sha256)
}

#[derive(Serialize, Deserialize, Clone)]
struct Memo {
    path: String,
    bytes: u64,
    modified_ns: u128,
    sha256: String,
}

impl Memo {
    /// Without the digest; `None` where the system does not tell when a file was modified.
    fn of(path: &Path, meta: &fs::Metadata) -> Option<Self> {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let modified = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self {
            path: real.to_string_lossy().into_owned(),
            bytes: meta.len(),
            modified_ns: modified.as_nanos(),
            sha256: String::new(),
        })
    }

    fn is_of_the_file_of(&self, other: &Self) -> bool {
        (&self.path, self.bytes, self.modified_ns) == (&other.path, other.bytes, other.modified_ns)
    }
}

fn remembered(path: &Path, meta: &fs::Metadata, cache: &Path) -> Result<String> {
    let Some(mut memo) = Memo::of(path, meta) else { return read(path) };
    let memo_path = cache.join("digests").join(format!("{}.json", hex(Sha256::digest(memo.path.as_bytes()))));
    let kept = fs::read(&memo_path).ok().and_then(|bytes| serde_json::from_slice::<Memo>(&bytes).ok());
    if let Some(kept) = kept
        && kept.is_of_the_file_of(&memo)
    {
        return Ok(kept.sha256);
    }
    memo.sha256 = read(path)?;
    let _ = super::cache::write_atomically(&memo_path, &serde_json::to_vec_pretty(&memo)?);
    Ok(memo.sha256)
}

/// One digest for the weights: the file's own, or for several shards SHA-256 over their hex digests, each
/// followed by a line feed, in shard order.
pub(super) fn combine(shards: &[String]) -> String {
    match shards {
        [one] => one.clone(),
        many => {
            let lines: String = many.iter().map(|digest| format!("{digest}\n")).collect();
            hex(Sha256::digest(lines.as_bytes()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_sha256_of_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-2, B.1
        assert_eq!(of_file(&path, folder.path()).unwrap(), known);
    }

    #[test]
    fn a_remembered_digest_is_dropped_when_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, "one").unwrap();
        let first = remembered(&path, &fs::metadata(&path).unwrap(), folder.path()).unwrap();
        assert_eq!(first, remembered(&path, &fs::metadata(&path).unwrap(), folder.path()).unwrap());
        fs::write(&path, "three").unwrap();
        let second = remembered(&path, &fs::metadata(&path).unwrap(), folder.path()).unwrap();
        assert_eq!(second, read(&path).unwrap());
        assert_ne!(first, second);
    }

    #[test]
    fn the_order_of_shards_is_part_of_their_digest() {
        let (a, b) = ("a".to_string(), "b".to_string());
        assert_ne!(combine(&[a.clone(), b.clone()]), combine(&[b, a.clone()]));
        assert_eq!(combine(std::slice::from_ref(&a)), a);
    }
}
