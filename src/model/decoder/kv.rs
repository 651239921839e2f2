//! Stores keys and values so that sequences share their prefixes without copying them.
//!
//! A sequence is a list of pieces of segments; the last segment is its own and grows. A fork refers to its parent's
//! pieces up to the length it shares. Segments are only appended to, so a reference to their first tokens stays valid,
//! and they go when nothing refers to them.

use anyhow::{Result, ensure};

use crate::model::kernel::KvPiece;

/// Names a sequence of a [`KvStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqId(usize);

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

impl KvStore {
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
