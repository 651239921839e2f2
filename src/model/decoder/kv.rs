//! Stores keys and values so that sequences share their prefixes without copying them.
//!
//! A sequence is a list of pieces of segments; the last segment is its own and grows. A fork refers to its parent's
//! pieces up to the length it shares. Segments are only appended to, so a reference to their first tokens stays valid,
//! and they go when nothing refers to them.

use anyhow::{Result, ensure};

use super::backend::{AttentionShape, SeqId, Sequences};
use crate::model::kernel::KvPiece;

pub struct KvStore {
    layers: usize,
    /// kv_heads · head_dim
    width: usize,
    segments: Vec<Option<Segment>>,
    sequences: Vec<Option<Sequence>>,
}

struct Segment {
    /// One buffer a layer, (tokens, width).
    keys: Vec<Vec<f32>>,
    values: Vec<Vec<f32>>,
    references: usize,
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
}

impl Sequences for KvStore {
    fn root(&mut self) -> SeqId {
        self.root()
    }
    fn fork(&mut self, parent: SeqId, tokens: usize) -> SeqId {
        self.fork(parent, tokens)
    }
    fn truncate(&mut self, _: SeqId, _: usize) {
        unimplemented!()
    }
    fn free(&mut self, id: SeqId) {
        self.free(id)
    }
    fn len(&self, id: SeqId) -> usize {
        self.len(id)
    }
    fn advance(&mut self, id: SeqId, tokens: usize) {
        self.advance(id, tokens)
    }
    fn bytes(&self) -> usize {
        self.bytes()
    }
}

impl KvStore {
    pub fn store(&mut self, layer: usize, rows: &[(SeqId, usize)], k: &[f32], v: &[f32]) {
        let mut first = 0;
        for &(seq, tokens) in rows {
            let range = first * self.width..(first + tokens) * self.width;
            self.append(seq, layer, &k[range.clone()], &v[range]);
            first += tokens;
        }
    }

    pub fn attend(
        &self,
        layer: usize,
        shape: &AttentionShape,
        rows: &[(SeqId, usize)],
        q: &[f32],
        out: &mut [f32],
    ) -> Result<()> {
        let (d, group) = (shape.head_dim, shape.heads / shape.kv_heads);
        let width = shape.heads * d;
        let mut row = 0;
        for &(seq, tokens) in rows {
            let pieces = self.pieces(seq, layer)?;
            let keys: Vec<f32> = pieces.iter().flat_map(|p| p.keys).copied().collect();
            let values: Vec<f32> = pieces.iter().flat_map(|p| p.values).copied().collect();
            for t in 0..tokens {
                let visible = self.len(seq) + t + 1;
                let first = shape.window.map_or(0, |w| visible.saturating_sub(w));
                for h in 0..shape.heads {
                    let q = &q[row * width + h * d..][..d];
                    let at = |t: usize| t * self.width + h / group * d;
                    let mut scores: Vec<f32> = (first..visible)
                        .map(|t| {
                            let s = q.iter().zip(&keys[at(t)..][..d]).map(|(a, b)| a * b).sum::<f32>() * shape.scale;
                            shape.softcap.map_or(s, |cap| super::interim::softcap(s, cap))
                        })
                        .collect();
                    let max = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
                    scores.iter_mut().for_each(|s| *s = crate::model::kernel::exp(*s - max));
                    let sum: f32 = scores.iter().sum();
                    let out = &mut out[row * width + h * d..][..d];
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = scores.iter().zip(first..).map(|(s, t)| s * values[at(t) + i]).sum::<f32>() / sum;
                    }
                }
                row += 1;
            }
        }
        Ok(())
    }

    pub fn new(layers: usize, width: usize) -> Self {
        Self { layers, width, segments: Vec::new(), sequences: Vec::new() }
    }

    /// An empty sequence.
    pub fn root(&mut self) -> SeqId {
        self.insert(Vec::new())
    }

    /// A sequence that shares the first `tokens` tokens of `parent`.
    ///
    /// They may lie in the parent's future as far as the same step computes them: keys of all rows are stored before any
    /// row attends.
    pub fn fork(&mut self, parent: SeqId, tokens: usize) -> SeqId {
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
        for &(segment, _) in &prefix {
            self.segment_mut(segment).references += 1;
        }
        self.insert(prefix)
    }

    /// Drops a sequence and the segments that only it used.
    pub fn free(&mut self, id: SeqId) {
        let sequence = self.sequences[id.0].take().expect("a sequence is freed once, by its owner");
        for segment in sequence.prefix.iter().map(|&(segment, _)| segment).chain([sequence.own]) {
            let stored = self.segment_mut(segment);
            stored.references -= 1;
            if stored.references == 0 {
                self.segments[segment] = None;
            }
        }
    }

    /// Tokens stored.
    pub fn len(&self, id: SeqId) -> usize {
        let sequence = self.sequence(id);
        sequence.prefix_tokens() + sequence.own_tokens
    }

    /// Bytes of all keys and values held.
    pub fn bytes(&self) -> usize {
        let floats = |buffers: &[Vec<f32>]| buffers.iter().map(Vec::capacity).sum::<usize>();
        self.segments.iter().flatten().map(|s| (floats(&s.keys) + floats(&s.values)) * size_of::<f32>()).sum()
    }

    /// Stores one layer's keys and values, (tokens, width) each, behind what the sequence has of that layer.
    pub(super) fn append(&mut self, id: SeqId, layer: usize, keys: &[f32], values: &[f32]) {
        let own = self.sequence(id).own;
        let segment = self.segment_mut(own);
        segment.keys[layer].extend_from_slice(keys);
        segment.values[layer].extend_from_slice(values);
    }

    /// Counts tokens that were stored in every layer.
    pub(super) fn advance(&mut self, id: SeqId, tokens: usize) {
        let sequence = self.sequences[id.0].as_mut().expect("a row's sequence exists");
        sequence.own_tokens += tokens;
    }

    /// The keys and values of one layer in the order of positions.
    pub(super) fn pieces(&self, id: SeqId, layer: usize) -> Result<Vec<KvPiece<'_>>> {
        let sequence = self.sequence(id);
        let mut pieces = Vec::with_capacity(sequence.prefix.len() + 1);
        for &(segment, tokens) in &sequence.prefix {
            let segment = self.segment(segment);
            let length = tokens * self.width;
            ensure!(segment.keys[layer].len() >= length, "a forked sequence refers to tokens that nobody computed");
            pieces.push(KvPiece { keys: &segment.keys[layer][..length], values: &segment.values[layer][..length] });
        }
        let own = self.segment(sequence.own);
        pieces.push(KvPiece { keys: &own.keys[layer], values: &own.values[layer] });
        Ok(pieces)
    }

    fn insert(&mut self, prefix: Vec<(usize, usize)>) -> SeqId {
        let buffers = || vec![Vec::new(); self.layers];
        let own = place(&mut self.segments, Segment { keys: buffers(), values: buffers(), references: 1 });
        SeqId(place(&mut self.sequences, Sequence { prefix, own, own_tokens: 0 }))
    }

    fn sequence(&self, id: SeqId) -> &Sequence {
        self.sequences[id.0].as_ref().expect("a sequence is used before it is freed")
    }

    fn segment(&self, index: usize) -> &Segment {
        self.segments[index].as_ref().expect("a referenced segment exists")
    }

    fn segment_mut(&mut self, index: usize) -> &mut Segment {
        self.segments[index].as_mut().expect("a referenced segment exists")
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

    #[test]
    fn freeing_every_sequence_returns_all_memory() {
        let mut kv = KvStore::new(1, 2);
        let root = kv.root();
        kv.append(root, 0, &[1.0, 2.0, 3.0, 4.0], &[0.0; 4]);
        kv.advance(root, 2);
        let child = kv.fork(root, 1);
        kv.append(child, 0, &[5.0, 6.0], &[0.0; 2]);
        kv.advance(child, 1);
        assert_eq!((kv.len(root), kv.len(child)), (2, 2));
        kv.free(root);
        let keys: Vec<f32> = kv.pieces(child, 0).unwrap().iter().flat_map(|p| p.keys.to_vec()).collect();
        assert_eq!(keys, [1.0, 2.0, 5.0, 6.0]);
        kv.free(child);
        assert_eq!(kv.bytes(), 0);
    }
}
