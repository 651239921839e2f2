//! Gives every random number an address: (key of what is computed, replicate), never the order or thread of a run.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

/// Names one source of randomness; replicate `i` of it is ChaCha8 stream `i` under the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// What a contrast's randomness hangs on. The pair is unordered, so that swapping group and reference changes
/// nothing but the sign of a gap.
#[derive(Debug, Clone, Copy)]
pub struct Address<'a> {
    pub seed: u64,
    pub suite: &'a str,
    pub axis: &'a str,
    pub pair: [&'a str; 2],
    pub scorer: &'a str,
}

impl Address<'_> {
    /// SHA-256 over seed (8 bytes, little endian), suite, axis, the pair in sorted order, scorer and purpose; each text
    /// is preceded by its length (8 bytes, little endian), so that no two addresses run together.
    pub fn key(&self, purpose: &str) -> Key {
        let mut pair = self.pair;
        pair.sort_unstable();
        let mut hash = Sha256::new();
        hash.update(self.seed.to_le_bytes());
        for text in [self.suite, self.axis, pair[0], pair[1], self.scorer, purpose] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        Key(hash.finalize().into())
    }
}

impl Key {
    /// The generator of replicate `index`: the same numbers whoever asks, whenever.
    pub fn stream(&self, index: u64) -> ChaCha8Rng {
        let mut generator = ChaCha8Rng::from_seed(self.0);
        generator.set_stream(index);
        generator
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;

    fn address<'a>(group: &'a str, reference: &'a str) -> Address<'a> {
        Address { seed: 7, suite: "letters", axis: "gender", pair: [group, reference], scorer: "sentiment" }
    }

    #[test]
    fn swapping_the_pair_keeps_the_key_and_another_purpose_changes_it() {
        assert_eq!(address("woman", "man").key("sign flip"), address("man", "woman").key("sign flip"));
        assert_ne!(address("woman", "man").key("sign flip"), address("woman", "man").key("bootstrap-t"));
        assert_ne!(address("woma", "nman").key("x"), address("woman", "man").key("x"));
    }

    #[test]
    fn a_replicate_does_not_depend_on_the_ones_before() {
        let key = address("woman", "man").key("sign flip");
        let mut early = key.stream(3);
        let first = early.next_u64();
        let mut other = key.stream(2);
        other.next_u64();
        assert_eq!(key.stream(3).next_u64(), first);
        assert_ne!(other.next_u64(), first);
    }
}
