//! Lays out the keys and values of sixteen tokens for attention.

use super::lanes::Line;

/// Tokens of a chunk.
pub const CHUNK_TOKENS: usize = 16;

/// Keys and values of up to sixteen consecutive tokens, in all layers.
pub type Chunk = Box<[Line]>;

/// Where things lie in a [`Chunk`]: layer after layer, head after head, and there first the keys, `head_dim` lines of
/// sixteen tokens, so that sixteen scores are one chain of broadcasts, then sixteen values of `head_dim` numbers, filled
/// up to whole lines.
#[derive(Debug, Clone, Copy)]
pub struct ChunkLayout {
    pub layers: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
}

impl ChunkLayout {
    /// Lines of one token's value.
    pub(super) fn value_lines(&self) -> usize {
        self.head_dim.div_ceil(16)
    }

    fn head_lines(&self) -> usize {
        self.head_dim + CHUNK_TOKENS * self.value_lines()
    }

    fn lines(&self) -> usize {
        self.layers * self.kv_heads * self.head_lines()
    }

    pub fn bytes(&self) -> usize {
        self.lines() * size_of::<Line>()
    }

    pub fn new_chunk(&self) -> Chunk {
        vec![Line::ZERO; self.lines()].into_boxed_slice()
    }

    /// Keys and values of one head in one layer.
    pub(super) fn head<'a>(&self, chunk: &'a Chunk, layer: usize, head: usize) -> (&'a [Line], &'a [Line]) {
        let lines = self.head_lines();
        chunk[(layer * self.kv_heads + head) * lines..][..lines].split_at(self.head_dim)
    }

    /// Writes one token, `(kv_heads · head_dim)` each, into one of the sixteen slots.
    pub fn write(&self, chunk: &mut Chunk, layer: usize, slot: usize, keys: &[f32], values: &[f32]) {
        let (lines, d) = (self.head_lines(), self.head_dim);
        assert!(slot < CHUNK_TOKENS && keys.len() == self.kv_heads * d && values.len() == keys.len());
        for head in 0..self.kv_heads {
            let (to_keys, to_values) =
                chunk[(layer * self.kv_heads + head) * lines..][..lines].split_at_mut(self.head_dim);
            for (line, &key) in to_keys.iter_mut().zip(&keys[head * d..][..d]) {
                line.0[slot] = key;
            }
            let to_values = &mut to_values[slot * self.value_lines()..][..self.value_lines()];
            for (line, values) in to_values.iter_mut().zip(values[head * d..][..d].chunks(16)) {
                line.0[..values.len()].copy_from_slice(values);
            }
        }
    }
}
