//! Stores keys and values so that sequences share their prefixes without copying them.
//!
//! A sequence is a list of pieces of segments; the last segment is its own and grows, sixteen tokens (a chunk) at a
//! time. A fork refers to its parent's pieces up to the length it shares. Segments are only appended to while anyone
//! refers to their end, and chunks that no sequence refers to go back to a pool, so that a step allocates nothing but the
//! chunks that its tokens need.

use anyhow::{Result, ensure};

use super::backend::{SeqId, Sequences};
use crate::model::kernel::{AttentionShape, Block, CHUNK_TOKENS, Chunk, ChunkLayout, KvView, Query, attend};

pub struct KvStore {
    layout: ChunkLayout,
    chunks: Vec<Chunk>,
    /// Chunks that no segment has.
    unused: Vec<usize>,
    segments: Vec<Option<Segment>>,
    sequences: Vec<Option<Sequence>>,
    /// Of the last `attend`, kept for their memory.
    blocks: Vec<Block>,
    queries: Vec<Query>,
}

struct Segment {
    chunks: Vec<usize>,
    /// Tokens stored, in one layer at least.
    stored: usize,
}

struct Sequence {
    /// (segment, tokens of it), oldest first.
    prefix: Vec<(usize, usize)>,
    own: usize,
    own_tokens: usize,
}

impl Sequence {
    fn prefix_tokens(&self) -> usize {
        self.prefix.iter().map(|(_, tokens)| tokens).sum()
    }

    fn len(&self) -> usize {
        self.prefix_tokens() + self.own_tokens
    }
}

impl KvStore {
    pub fn new(layers: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self {
            layout: ChunkLayout { layers, kv_heads, head_dim },
            chunks: Vec::new(),
            unused: Vec::new(),
            segments: Vec::new(),
            sequences: Vec::new(),
            blocks: Vec::new(),
            queries: Vec::new(),
        }
    }

    /// Stores one layer's keys and values of new tokens, `(tokens, kv_heads · head_dim)` each, packed in the order of
    /// `rows` (a sequence and how many tokens it gets), behind what the sequences have.
    ///
    /// # Panics
    /// If sizes do not fit.
    pub fn store(&mut self, layer: usize, rows: &[(SeqId, usize)], k: &[f32], v: &[f32]) {
        let width = self.layout.kv_heads * self.layout.head_dim;
        let tokens: usize = rows.iter().map(|(_, tokens)| tokens).sum();
        assert!(k.len() == tokens * width && v.len() == k.len(), "keys and values: sizes do not fit");
        let mut packed = k.chunks_exact(width).zip(v.chunks_exact(width));
        for &(id, tokens) in rows {
            let sequence = self.sequence(id);
            let (own, start) = (sequence.own, sequence.own_tokens);
            let segment = self.segments[own].as_mut().expect("a sequence has its own segment");
            while segment.chunks.len() * CHUNK_TOKENS < start + tokens {
                segment.chunks.push(self.unused.pop().unwrap_or_else(|| {
                    self.chunks.push(self.layout.new_chunk());
                    self.chunks.len() - 1
                }));
            }
            for (token, (k, v)) in (start..start + tokens).zip(&mut packed) {
                let chunk = &mut self.chunks[segment.chunks[token / CHUNK_TOKENS]];
                self.layout.write(chunk, layer, token % CHUNK_TOKENS, k, v);
            }
            segment.stored = segment.stored.max(start + tokens);
        }
    }

    /// Attention of new tokens, whose keys and values are stored and not yet counted: `out` and `q` are
    /// `(tokens, heads · head_dim)`, packed in the order of `rows`.
    ///
    /// # Errors
    /// If a sequence refers to tokens that nobody computed.
    pub fn attend(
        &mut self,
        layer: usize,
        shape: &AttentionShape,
        rows: &[(SeqId, usize)],
        q: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        let (mut blocks, mut queries) = (std::mem::take(&mut self.blocks), std::mem::take(&mut self.queries));
        blocks.clear();
        queries.clear();
        for &(id, tokens) in rows {
            let sequence = self.sequence(id);
            let (first, start) = (blocks.len(), sequence.len());
            for &(segment, length) in sequence.prefix.iter().chain(&[(sequence.own, sequence.own_tokens + tokens)]) {
                let segment = self.segment(segment);
                ensure!(segment.stored >= length, "a sequence refers to tokens that nobody computed");
                let lengths = (0..length).step_by(CHUNK_TOKENS).map(|from| CHUNK_TOKENS.min(length - from));
                blocks.extend(segment.chunks.iter().zip(lengths).map(|(&chunk, tokens)| Block { chunk, tokens }));
            }
            queries.extend((1..=tokens).map(|new| Query { blocks: first..blocks.len(), visible: start + new }));
        }
        let view = KvView { layout: self.layout, layer, chunks: &self.chunks, blocks: &blocks };
        attend(shape, view, &queries, q, out);
        (self.blocks, self.queries) = (blocks, queries);
        Ok(())
    }

    fn insert(&mut self, prefix: Vec<(usize, usize)>) -> SeqId {
        let own = place(&mut self.segments, Segment { chunks: Vec::new(), stored: 0 });
        SeqId(place(&mut self.sequences, Sequence { prefix, own, own_tokens: 0 }))
    }

    /// Tokens of a segment that prefixes refer to.
    fn shared_tokens(&self, segment: usize) -> usize {
        let prefixes = self.sequences.iter().flatten().flat_map(|sequence| &sequence.prefix);
        prefixes.filter(|piece| piece.0 == segment).map(|piece| piece.1).max().unwrap_or(0)
    }

    /// Gives back the chunks of a segment that no sequence refers to, and the segment if that is all.
    fn release(&mut self, segment: usize) {
        let owned = self.sequences.iter().flatten().any(|sequence| sequence.own == segment);
        let shared = self.shared_tokens(segment);
        let stored = self.segment_mut(segment);
        if !owned {
            // A prefix may count on tokens that this step stores yet, but only where their owner does.
            stored.stored = stored.stored.min(shared);
        }
        let kept = stored.stored.div_ceil(CHUNK_TOKENS).min(stored.chunks.len());
        let gone = stored.chunks.split_off(kept);
        self.unused.extend(gone);
        if !owned && shared == 0 {
            self.segments[segment] = None;
        }
    }

    fn sequence(&self, id: SeqId) -> &Sequence {
        self.sequences[id.0].as_ref().expect("a sequence is used before it is freed")
    }

    fn sequence_mut(&mut self, id: SeqId) -> &mut Sequence {
        self.sequences[id.0].as_mut().expect("a sequence is used before it is freed")
    }

    fn segment(&self, index: usize) -> &Segment {
        self.segments[index].as_ref().expect("a segment that is referred to exists")
    }

    fn segment_mut(&mut self, index: usize) -> &mut Segment {
        self.segments[index].as_mut().expect("a segment that is referred to exists")
    }
}

impl Sequences for KvStore {
    /// Bytes of the chunks that sequences hold. What they gave back is kept to be used again, until the store is dropped.
    fn bytes(&self) -> usize {
        (self.chunks.len() - self.unused.len()) * self.layout.bytes()
    }

    /// Tokens of a sequence.
    fn len(&self, id: SeqId) -> usize {
        self.sequence(id).len()
    }

    /// An empty sequence.
    fn root(&mut self) -> SeqId {
        self.insert(Vec::new())
    }

    /// A sequence that shares the first `tokens` tokens of `parent`.
    ///
    /// They may lie in the parent's future as far as the same step computes them: keys of all rows are stored before any
    /// row attends.
    fn fork(&mut self, parent: SeqId, tokens: usize) -> SeqId {
        let source = self.sequence(parent);
        let mut left = tokens;
        let mut prefix = Vec::new();
        for &(segment, length) in source.prefix.iter().chain(&[(source.own, usize::MAX)]) {
            let taken = left.min(length);
            if taken > 0 {
                prefix.push((segment, taken));
            }
            left -= taken;
        }
        self.insert(prefix)
    }

    /// Forgets a sequence's tokens from `tokens` on; those that are shared stay for their other sequences.
    ///
    /// # Panics
    /// If the sequence has fewer.
    fn truncate(&mut self, id: SeqId, tokens: usize) {
        let sequence = self.sequence(id);
        assert!(tokens <= sequence.len(), "a sequence of {} tokens has no first {tokens}", sequence.len());
        let (prefix, own) = (sequence.prefix_tokens(), sequence.own);
        let kept = tokens.saturating_sub(prefix);
        if tokens >= prefix && self.shared_tokens(own) <= kept {
            self.sequence_mut(id).own_tokens = kept;
            self.segment_mut(own).stored = kept;
            self.release(own);
            return;
        }
        // The own segment goes on for others, or not at all: this sequence begins another.
        let fork = self.fork(id, tokens);
        self.sequences.swap(id.0, fork.0);
        self.free(fork);
    }

    /// Drops a sequence and all memory that only it used.
    fn free(&mut self, id: SeqId) {
        let sequence = self.sequences[id.0].take().expect("a sequence is freed once, by its owner");
        for segment in sequence.prefix.iter().map(|&(segment, _)| segment).chain([sequence.own]) {
            self.release(segment);
        }
    }

    /// Counts tokens that were stored in every layer.
    fn advance(&mut self, id: SeqId, tokens: usize) {
        self.sequence_mut(id).own_tokens += tokens;
    }
}

/// Puts a value into the first free slot.
fn place<T>(slots: &mut Vec<Option<T>>, value: T) -> usize {
    match slots.iter().position(Option::is_none) {
        Some(free) => {
            slots[free] = Some(value);
            free
        }
        None => {
            slots.push(Some(value));
            slots.len() - 1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LAYERS: usize = 2;
    const SHAPE: AttentionShape =
        AttentionShape { heads: 6, kv_heads: 2, head_dim: 10, scale: 0.4, softcap: None, window: None };

    /// What a layer has of a token: `count` numbers in (-1, 1) that depend on all arguments.
    fn numbers(kind: usize, layer: usize, position: usize, token: u32, count: usize) -> Vec<f32> {
        let seed = (kind * 31 + layer) * 7919 + position * 104_729 + token as usize * 15_485_863;
        (0..count).map(|i| ((seed as f64 + 1.0) * (i as f64 + 0.618)).sin() as f32).collect()
    }

    /// Appends tokens to sequences in one step; the attention of every layer and token.
    fn step(kv: &mut KvStore, shape: &AttentionShape, rows: &[(SeqId, &[u32])]) -> Result<Vec<f32>> {
        let lengths: Vec<(SeqId, usize)> = rows.iter().map(|(id, tokens)| (*id, tokens.len())).collect();
        let mut all = Vec::new();
        for layer in 0..LAYERS {
            let packed = |kind: usize, heads: usize| -> Vec<f32> {
                let tokens = rows.iter().flat_map(|(id, tokens)| tokens.iter().zip(kv.len(*id)..));
                tokens.flat_map(|(&t, position)| numbers(kind, layer, position, t, heads * shape.head_dim)).collect()
            };
            let (q, k, v) = (packed(0, shape.heads), packed(1, shape.kv_heads), packed(2, shape.kv_heads));
            let mut out = vec![f32::NAN; q.len()];
            kv.store(layer, &lengths, &k, &v);
            kv.attend(layer, shape, &lengths, &q, &mut out)?;
            all.extend(out);
        }
        lengths.iter().for_each(|&(id, tokens)| kv.advance(id, tokens));
        Ok(all)
    }

    fn new_store() -> KvStore {
        KvStore::new(LAYERS, SHAPE.kv_heads, SHAPE.head_dim)
    }

    /// The attention of a sequence's last `new` tokens, in a store of its own and one step.
    fn fresh(shape: &AttentionShape, tokens: &[u32], new: usize) -> Vec<f32> {
        let mut kv = new_store();
        let root = kv.root();
        let width = shape.heads * shape.head_dim;
        let all = step(&mut kv, shape, &[(root, tokens)]).unwrap();
        all.chunks(tokens.len() * width).flat_map(|layer| layer[(tokens.len() - new) * width..].to_vec()).collect()
    }

    #[derive(Debug, Clone)]
    enum Act {
        Append(usize, usize),
        Fork(usize, usize),
        Truncate(usize, usize),
        Free(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            3 => (0..8usize, 1..40usize).prop_map(|(seq, tokens)| Act::Append(seq, tokens)),
            2 => (0..8usize, 0..100usize).prop_map(|(seq, percent)| Act::Fork(seq, percent)),
            1 => (0..8usize, 0..100usize).prop_map(|(seq, percent)| Act::Truncate(seq, percent)),
            1 => (0..8usize).prop_map(Act::Free),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn whatever_was_forked_truncated_and_freed_attention_has_the_bits_of_a_fresh_sequence(
            acts in proptest::collection::vec(act(), 1..24),
            window in proptest::option::of(1..40usize),
        ) {
            let shape = AttentionShape { window, ..SHAPE };
            let mut kv = new_store();
            let mut sequences = vec![(kv.root(), Vec::new())];
            let mut next = 0;
            for act in acts {
                let count = sequences.len();
                match act {
                    Act::Append(seq, tokens) => {
                        let (id, history) = &mut sequences[seq % count];
                        let new: Vec<u32> = (next..next + tokens as u32).collect();
                        next += tokens as u32;
                        history.extend(&new);
                        let got = step(&mut kv, &shape, &[(*id, &new)]).unwrap();
                        prop_assert_eq!(got, fresh(&shape, history, tokens));
                    }
                    Act::Fork(seq, percent) => {
                        let (id, history) = &sequences[seq % count];
                        let tokens = history.len() * percent / 99;
                        let fork = (kv.fork(*id, tokens), history[..tokens].to_vec());
                        sequences.push(fork);
                    }
                    Act::Truncate(seq, percent) => {
                        let (id, history) = &mut sequences[seq % count];
                        history.truncate(history.len() * percent / 99);
                        kv.truncate(*id, history.len());
                    }
                    Act::Free(seq) if count > 1 => kv.free(sequences.swap_remove(seq % count).0),
                    Act::Free(_) => {}
                }
                for (id, history) in &sequences {
                    prop_assert_eq!(kv.len(*id), history.len());
                }
            }
            for (id, _) in sequences {
                kv.free(id);
            }
            prop_assert_eq!(kv.bytes(), 0);
            prop_assert!(kv.segments.iter().all(Option::is_none));
        }
    }

    #[test]
    fn a_fork_may_share_tokens_that_the_same_step_computes() {
        let tokens: Vec<u32> = (0..30).collect();
        let mut kv = new_store();
        let parent = kv.root();
        let child = kv.fork(parent, 21);
        let out = step(&mut kv, &SHAPE, &[(parent, &tokens), (child, &[77, 78])]).unwrap();
        let width = SHAPE.heads * SHAPE.head_dim;
        let mut history = tokens[..21].to_vec();
        history.extend([77, 78]);
        let expected = fresh(&SHAPE, &history, 2);
        for layer in 0..LAYERS {
            let got = &out[(layer * 32 + 30) * width..][..2 * width];
            assert_eq!(got, &expected[layer * 2 * width..][..2 * width]);
        }
    }

    #[test]
    fn a_fork_of_tokens_that_nobody_computes_is_an_error() {
        let mut kv = new_store();
        let parent = kv.root();
        let child = kv.fork(parent, 5);
        let error = step(&mut kv, &SHAPE, &[(child, &[1])]).unwrap_err();
        assert!(error.to_string().contains("nobody computed"));
    }

    #[test]
    fn memory_is_counted_by_chunks_and_comes_back_as_soon_as_no_sequence_refers_to_it() {
        let mut kv = new_store();
        let chunk = kv.layout.bytes();
        let root = kv.root();
        step(&mut kv, &SHAPE, &[(root, &[1; 40])]).unwrap();
        assert_eq!(kv.bytes(), 3 * chunk);
        let fork = kv.fork(root, 17);
        assert_eq!(kv.bytes(), 3 * chunk, "a fork copies nothing");
        kv.truncate(root, 20);
        assert_eq!(kv.bytes(), 2 * chunk);
        step(&mut kv, &SHAPE, &[(root, &[2; 20])]).unwrap();
        assert_eq!(kv.bytes(), 3 * chunk);
        kv.free(root);
        assert_eq!(kv.bytes(), 2 * chunk, "the fork holds 17 tokens");
        let held = kv.chunks.len();
        step(&mut kv, &SHAPE, &[(fork, &[3; 16])]).unwrap();
        assert_eq!((kv.bytes(), kv.chunks.len()), (3 * chunk, held), "what came back is used again");
        kv.free(fork);
        assert_eq!(kv.bytes(), 0);
    }
}
