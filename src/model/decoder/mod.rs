//! Runs a decoder over packed rows of any lengths.
//!
//! One `step` serves prefill, decoding and likelihood: each row continues its sequence at that sequence's own length,
//! nothing is padded, and on the CPU a row's numbers do not depend on the other rows. Families differ by the flags of
//! [`config::Config`], machines by the [`backend::Backend`].

pub mod backend;
pub mod config;
pub mod device;
pub mod families;
pub mod gguf_config;
pub mod host;
pub mod kv;
pub mod names;
pub mod rope;
pub mod weights;

use anyhow::{Result, ensure};

use backend::{AttentionShape, Backend, Norm, SeqId, Sequences};
use config::{Config, NormKind, Placement, QueryKeyNorm};
use names::Part;
use rayon::prelude::*;
use weights::Weights;

use crate::model::precision::Precision;

pub struct Decoder<B: Backend> {
    backend: B,
    config: Config,
    precision: Precision,
    /// None when the output matrix serves as the embedding.
    embedding: Option<B::Matrix>,
    positions: Option<B::Matrix>,
    project_in: Option<B::Matrix>,
    project_out: Option<B::Matrix>,
    layers: Vec<Layer<B>>,
    final_norm: Option<Norm<B::Vector>>,
    head: B::Matrix,
}

struct Layer<B: Backend> {
    attention_norm: Option<Norm<B::Vector>>,
    /// q, k and v in one matrix.
    qkv: B::Matrix,
    query_key_norm: Option<[Norm<B::Vector>; 2]>,
    output: B::Matrix,
    post_attention_norm: Option<Norm<B::Vector>>,
    mlp_norm: Option<Norm<B::Vector>>,
    /// Gate and up in one matrix where there is a gate.
    up: B::Matrix,
    down: B::Matrix,
    post_mlp_norm: Option<Norm<B::Vector>>,
}

/// New tokens of one sequence.
pub struct Row<'a> {
    pub seq: SeqId,
    pub tokens: &'a [u32],
    /// Hidden states are wanted of the tokens from this index on; `tokens.len()` for none.
    pub want_from: usize,
    /// Rotated by the long frequencies, like all tokens before ([`Config::is_long`]).
    pub long: bool,
}

/// Takes weights from a checkpoint onto a machine.
struct Loader<'a, B: Backend> {
    backend: &'a B,
    config: &'a Config,
    weights: Weights,
    precision: Precision,
}

impl<B: Backend> Loader<'_, B> {
    fn norm(&self, part: Part, layer: usize, length: usize) -> Result<Norm<B::Vector>> {
        let kind = self.config.norm;
        let mut weight = self.weights.vector(self.config, part, layer, "weight", length)?;
        if kind == NormKind::RmsOffset {
            weight.iter_mut().for_each(|w| *w += 1.0);
        }
        let bias = match kind {
            NormKind::Layer => Some(self.weights.vector(self.config, part, layer, "bias", length)?),
            _ => None,
        };
        Ok(Norm {
            kind,
            eps: self.config.norm_eps as f32,
            weight: self.backend.vector(weight)?,
            bias: bias.map(|bias| self.backend.vector(bias)).transpose()?,
        })
    }

    fn matrix(&self, part: Part, layer: usize, rows: &[usize], inp: usize, biased: bool) -> Result<B::Matrix> {
        let blocks = self.precision == Precision::Int8;
        let weights = self.weights.matrix(self.config, part, layer, rows, inp, biased, blocks)?;
        self.backend.matrix(weights, self.precision)
    }

    fn layer(&self, index: usize) -> Result<Layer<B>> {
        let config = self.config;
        let (hidden, q, kv) = (config.hidden, config.q_width(), config.kv_width());
        let placement = config.placement;
        let norm = |part: Part, present: bool| present.then(|| self.norm(part, index, hidden)).transpose();
        let branch = matches!(placement, Placement::Sandwich | Placement::PostBranch);
        let attention_norm = norm(Part::AttentionNorm, placement != Placement::PostBranch)?;
        let post_attention_norm = norm(Part::PostAttentionNorm, branch)?;
        let mlp_norm = norm(Part::MlpNorm, placement != Placement::PostBranch)?;
        let post_mlp_norm = norm(Part::PostMlpNorm, branch)?;
        let widths = match config.query_key_norm {
            QueryKeyNorm::None => None,
            QueryKeyNorm::Head => Some((config.head_dim, config.head_dim)),
            QueryKeyNorm::Width => Some((q, kv)),
        };
        let query_key_norm = match widths {
            Some((q, k)) => Some([self.norm(Part::QueryNorm, index, q)?, self.norm(Part::KeyNorm, index, k)?]),
            None => None,
        };
        let up_rows = vec![config.intermediate; if config.gated { 2 } else { 1 }];
        Ok(Layer {
            attention_norm,
            qkv: self.matrix(Part::Qkv, index, &[q, kv, kv], hidden, config.biases.qkv)?,
            query_key_norm,
            output: self.matrix(Part::Output, index, &[hidden], q, config.biases.output)?,
            post_attention_norm,
            mlp_norm,
            up: self.matrix(Part::Up, index, &up_rows, hidden, config.biases.mlp)?,
            down: self.matrix(Part::Down, index, &[hidden], config.intermediate, config.biases.mlp)?,
            post_mlp_norm,
        })
    }
}

impl<B: Backend> Decoder<B> {
    pub fn load(backend: B, config: Config, weights: Weights, precision: Precision) -> Result<Self> {
        let precision = precision.resolve(config.parameters());
        let loader = Loader { backend: &backend, config: &config, weights, precision };
        let (hidden, width, vocab) = (config.hidden, config.embedding_width, config.vocab);
        let final_norm = config.final_norm.then(|| loader.norm(Part::FinalNorm, 0, hidden)).transpose()?;
        let positions = match config.learned_positions {
            // A table that is read, never multiplied.
            Some(learned) => {
                let rows = [learned.rows];
                let table = loader.weights.matrix(&config, Part::Positions, 0, &rows, hidden, false, false)?;
                Some(backend.matrix(table, Precision::F32)?)
            }
            None => None,
        };
        let projected = width != hidden;
        let project_in = projected.then(|| loader.matrix(Part::ProjectIn, 0, &[hidden], width, false)).transpose()?;
        let project_out = projected.then(|| loader.matrix(Part::ProjectOut, 0, &[width], hidden, false)).transpose()?;
        let embedding = loader.matrix(Part::Embedding, 0, &[vocab], width, false)?;
        let (embedding, head) = match config.tied {
            true => (None, embedding),
            false => (Some(embedding), loader.matrix(Part::Head, 0, &[vocab], width, false)?),
        };
        // After the largest tensors, so that what these need in between is gone when most of the weights are there.
        let layers: Vec<Result<Layer<B>>> =
            (0..config.layers.len()).into_par_iter().map(|index| loader.layer(index)).collect();
        let layers = layers.into_iter().collect::<Result<_>>()?;
        loader.weights.finish()?;
        Ok(Self { backend, config, precision, embedding, positions, project_in, project_out, layers, final_norm, head })
    }

    pub fn backend(&self) -> &B {
        &self.backend
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `F32` or `Int8`.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn new_store(&self) -> B::Store {
        self.backend.store(self.config.layers.len(), self.config.kv_heads, self.config.head_dim)
    }

    /// Runs the rows' tokens and returns the normed hidden states that are wanted, (wanted, hidden), in the order of the
    /// rows; `None` when none is. A sequence may stand in one row only.
    pub fn step(&self, store: &mut B::Store, rows: &[Row<'_>]) -> Result<Option<B::Rows>> {
        let backend = &self.backend;
        let tokens: Vec<u32> = rows.iter().flat_map(|row| row.tokens).copied().collect();
        ensure!(!tokens.is_empty(), "a step needs at least one token");
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= self.config.vocab) {
            anyhow::bail!("token {token} is outside the model's vocabulary of {}", self.config.vocab);
        }
        let starts: Vec<usize> = rows.iter().map(|row| store.len(row.seq)).collect();
        let positions: Vec<usize> =
            rows.iter().zip(&starts).flat_map(|(row, &start)| start..start + row.tokens.len()).collect();
        let lengths: Vec<(SeqId, usize)> = rows.iter().map(|row| (row.seq, row.tokens.len())).collect();
        let rotations = self.rotations(rows, &positions)?;
        let mut x = self.embed(&tokens, &positions)?;
        for (index, layer) in self.layers.iter().enumerate() {
            self.block(store, index, layer, &lengths, &rotations, &mut x)?;
        }
        for row in rows {
            store.advance(row.seq, row.tokens.len());
        }
        let mut wanted = Vec::new();
        let mut first = 0;
        for row in rows {
            wanted.extend((row.want_from..row.tokens.len()).map(|i| (first + i) as u32));
            first += row.tokens.len();
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let mut x = backend.pick(&x, &wanted)?;
        if let Some(norm) = &self.final_norm {
            x = backend.norm(&x, norm)?;
        }
        if let Some(project) = &self.project_out {
            x = backend.linear(&x, project)?;
        }
        Ok(Some(x))
    }

    /// Logits of the hidden states `from..to` of a step: `f(values of (to − from, vocab), f32)`.
    pub fn logits<R>(&self, hidden: &B::Rows, from: usize, to: usize, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        let indices: Vec<u32> = (from as u32..to as u32).collect();
        let mut logits = self.backend.linear(&self.backend.pick(hidden, &indices)?, &self.head)?;
        if self.config.logit_scale != 1.0 {
            self.backend.scale(&mut logits, self.config.logit_scale)?;
        }
        if let Some(cap) = self.config.logit_softcap {
            self.backend.softcap(&mut logits, cap)?;
        }
        self.backend.with_values(&logits, f)
    }

    fn embed(&self, tokens: &[u32], positions: &[usize]) -> Result<B::Rows> {
        let mut x = self.backend.embed(self.embedding.as_ref().unwrap_or(&self.head), tokens)?;
        if let Some(project) = &self.project_in {
            x = self.backend.linear(&x, project)?;
        }
        if self.config.embedding_scale != 1.0 {
            self.backend.scale(&mut x, self.config.embedding_scale)?;
        }
        if let (Some(table), Some(learned)) = (&self.positions, &self.config.learned_positions) {
            let indices: Vec<u32> = positions.iter().map(|&p| (p + learned.offset) as u32).collect();
            self.backend.add(&mut x, &self.backend.embed(table, &indices)?, 1.0)?;
        }
        Ok(x)
    }

    /// cos and sin of each rotary embedding that layers name. Rows of sequences that are long take the one behind.
    fn rotations(&self, rows: &[Row<'_>], positions: &[usize]) -> Result<Vec<B::Rotation>> {
        let rotaries = &self.config.rotaries;
        let (short, long) = match self.config.long_from {
            Some(_) => (&rotaries[..1], rotaries.get(1)),
            None => (&rotaries[..], None),
        };
        let rotation = |rotary: &rope::Rotary| {
            let (mut cos, mut sin) = rotary.tables(positions);
            let half = rotary.inverse_frequencies.len();
            if let Some(long) = long {
                let mut first = 0;
                for row in rows {
                    let range = first..first + row.tokens.len();
                    if row.long {
                        let (long_cos, long_sin) = long.tables(&positions[range.clone()]);
                        cos[range.start * half..range.end * half].copy_from_slice(&long_cos);
                        sin[range.start * half..range.end * half].copy_from_slice(&long_sin);
                    }
                    first = range.end;
                }
            }
            self.backend.rotation(cos, sin, half)
        };
        short.iter().map(rotation).collect()
    }

    /// One layer, in place.
    fn block(
        &self,
        store: &mut B::Store,
        index: usize,
        layer: &Layer<B>,
        rows: &[(SeqId, usize)],
        rotations: &[B::Rotation],
        x: &mut B::Rows,
    ) -> Result<()> {
        let backend = &self.backend;
        let (placement, scale) = (self.config.placement, self.config.residual_scale);
        let before = !matches!(placement, Placement::PostBranch | Placement::PostResidual);
        let after = placement == Placement::PostResidual;
        let input = match &layer.attention_norm {
            Some(norm) if before => &backend.norm(x, norm)?,
            _ => &*x,
        };
        let mut branch = self.attention(store, index, layer, rows, rotations, input)?;
        if let Some(norm) = &layer.post_attention_norm {
            branch = backend.norm(&branch, norm)?;
        }
        // The parallel form reads x before attention is added.
        let parallel = match placement {
            Placement::Parallel => Some(self.mlp(layer, x)?),
            _ => None,
        };
        backend.add(x, &branch, scale)?;
        if let (true, Some(norm)) = (after, &layer.attention_norm) {
            *x = backend.norm(x, norm)?;
        }
        let mut branch = match parallel {
            Some(branch) => branch,
            None => self.mlp(layer, x)?,
        };
        if let Some(norm) = &layer.post_mlp_norm {
            branch = backend.norm(&branch, norm)?;
        }
        backend.add(x, &branch, scale)?;
        if let (true, Some(norm)) = (after, &layer.mlp_norm) {
            *x = backend.norm(x, norm)?;
        }
        Ok(())
    }

    fn attention(
        &self,
        store: &mut B::Store,
        index: usize,
        layer: &Layer<B>,
        rows: &[(SeqId, usize)],
        rotations: &[B::Rotation],
        input: &B::Rows,
    ) -> Result<B::Rows> {
        let (backend, config) = (&self.backend, &self.config);
        let (heads, kv_heads, head_dim, q_width) = (config.heads, config.kv_heads, config.head_dim, config.q_width());
        let mut qkv = backend.linear(input, &layer.qkv)?;
        if let Some([query, key]) = &layer.query_key_norm {
            let (q_groups, k_groups) = match config.query_key_norm {
                QueryKeyNorm::Width => (1, 1),
                _ => (heads, kv_heads),
            };
            backend.norm_groups(&mut qkv, query, 0, q_groups, q_width / q_groups)?;
            backend.norm_groups(&mut qkv, key, q_width, k_groups, config.kv_width() / k_groups)?;
        }
        let own = &config.layers[index];
        if let Some(rotary) = own.rotary {
            // Queries and keys lie side by side, so they turn in one go.
            backend.rotate(&mut qkv, &rotations[rotary], heads + kv_heads, head_dim)?;
        }
        let softcap = config.attention_softcap;
        let shape = AttentionShape { heads, kv_heads, head_dim, scale: own.scale, softcap, window: own.window };
        let attended = backend.attend(store, index, rows, &shape, &qkv)?;
        backend.linear(&attended, &layer.output)
    }

    /// The second half of a block, its own norm included.
    fn mlp(&self, layer: &Layer<B>, x: &B::Rows) -> Result<B::Rows> {
        let before = !matches!(self.config.placement, Placement::PostBranch | Placement::PostResidual);
        let up = match &layer.mlp_norm {
            Some(norm) if before => self.backend.linear(&self.backend.norm(x, norm)?, &layer.up)?,
            _ => self.backend.linear(x, &layer.up)?,
        };
        let activated = self.backend.activate(up, self.config.activation, self.config.gated)?;
        self.backend.linear(&activated, &layer.down)
    }
}
