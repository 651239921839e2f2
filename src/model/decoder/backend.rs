//! States what a decoder needs of the machine that computes it: a handful of operations on packed rows.
//!
//! The forward pass is written once over this trait. [`host`](super::host) computes on the CPU with the kernels of this
//! crate, each output one fixed chain of operations; [`device`](super::device) computes with candle's operations on an
//! accelerator.

use anyhow::Result;

use super::config::{Activation, NormKind};
use super::weights::Stacked;
pub use crate::model::kernel::AttentionShape;
use crate::model::precision::Precision;

/// Names a sequence of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeqId(pub(super) usize);

/// A norm's weights on the machine. Weight and bias may be absent.
pub struct Norm<V> {
    pub kind: NormKind,
    pub eps: f32,
    pub weight: V,
    pub bias: Option<V>,
}

/// Keys and values of sequences.
pub trait Sequences {
    /// An empty sequence.
    fn root(&mut self) -> SeqId;
    /// A sequence that shares the first `tokens` tokens of `parent`; these may lie in the parent's future as far as the
    /// same step computes them.
    fn fork(&mut self, parent: SeqId, tokens: usize) -> SeqId;
    /// Forgets all but the first `tokens` tokens.
    fn truncate(&mut self, id: SeqId, tokens: usize);
    /// Forgets the sequence.
    fn free(&mut self, id: SeqId);
    /// Tokens stored.
    fn len(&self, id: SeqId) -> usize;
    /// Counts tokens that were stored in every layer.
    fn advance(&mut self, id: SeqId, tokens: usize);
    /// Bytes held.
    fn bytes(&self) -> usize;
}

/// Computes on rows: f32 matrices (tokens, width) on the machine's own memory.
pub trait Backend: Sized + Sync {
    type Rows;
    type Vector;
    /// A weight matrix (out, in) with its bias.
    type Matrix;
    type Store: Sequences;
    /// cos and sin of a step's positions.
    type Rotation;

    fn store(&self, layers: usize, kv_heads: usize, head_dim: usize) -> Self::Store;
    fn vector(&self, values: Vec<f32>) -> Result<Self::Vector>;
    fn matrix(&self, weights: Stacked, precision: Precision) -> Result<Self::Matrix>;
    /// cos and sin, (tokens, half) each.
    fn rotation(&self, cos: Vec<f32>, sin: Vec<f32>, half: usize) -> Result<Self::Rotation>;

    /// The matrix's rows at `indices`.
    fn embed(&self, matrix: &Self::Matrix, indices: &[u32]) -> Result<Self::Rows>;
    /// `x · Wᵀ + b`
    fn linear(&self, x: &Self::Rows, matrix: &Self::Matrix) -> Result<Self::Rows>;
    fn norm(&self, x: &Self::Rows, norm: &Norm<Self::Vector>) -> Result<Self::Rows>;
    /// Norms `groups` slices of `size` columns of each row, from column `from` on, each by itself.
    fn norm_groups(
        &self,
        x: &mut Self::Rows,
        norm: &Norm<Self::Vector>,
        from: usize,
        groups: usize,
        size: usize,
    ) -> Result<()>;
    /// Turns the first `heads` heads of each row: dimension i with i + half.
    fn rotate(&self, x: &mut Self::Rows, rotation: &Self::Rotation, heads: usize, head_dim: usize) -> Result<()>;
    /// Stores the keys and values of `qkv` (q, k and v side by side) and attends: (tokens, heads · head_dim). Each of
    /// `rows` is a sequence and its new tokens.
    fn attend(
        &self,
        store: &mut Self::Store,
        layer: usize,
        rows: &[(SeqId, usize)],
        shape: &AttentionShape,
        qkv: &Self::Rows,
    ) -> Result<Self::Rows>;
    /// `act(x)`, or for gated rows of [gate, up] `act(gate) · up`.
    fn activate(&self, x: Self::Rows, activation: Activation, gated: bool) -> Result<Self::Rows>;
    /// `x += factor · y`
    fn add(&self, x: &mut Self::Rows, y: &Self::Rows, factor: f32) -> Result<()>;
    fn scale(&self, x: &mut Self::Rows, factor: f32) -> Result<()>;
    /// `cap · tanh(x / cap)`
    fn softcap(&self, x: &mut Self::Rows, cap: f32) -> Result<()>;
    /// The rows at `indices`.
    fn pick(&self, x: &Self::Rows, indices: &[u32]) -> Result<Self::Rows>;
    /// Calls `f` with the values, row-major.
    fn with_values<R>(&self, x: &Self::Rows, f: impl FnOnce(&[f32]) -> R) -> Result<R>;
}
