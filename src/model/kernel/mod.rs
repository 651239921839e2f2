//! Computes the CPU's inner loops: matrix products, attention, norms, rotations, activations.
//!
//! Every output element is one fixed chain of operations on its own inputs, so that a row's bits do not
//! depend on its neighbours, on the number of rows or threads, or on the instruction set chosen at run time.
//! Unsafe code stays in this folder (and in one memory map of weights).

mod activation;
mod attention;
mod bidirectional;
mod chunk;
mod gemm;
mod int8;
mod lanes;
mod level;
mod math;
mod norm;
mod relative;
mod rope;
mod tasks;

pub use activation::{
    add, add_bias, bias_gelu, bias_gelu_tanh, bias_relu, bias_silu, bias_tanh, gelu, gelu_mul, gelu_tanh,
    gelu_tanh_mul, relu, relu_mul, scale, silu, silu_mul, softcap,
};
pub use attention::{AttentionShape, Block, KvView, Query, attend};
pub use bidirectional::{TextAttention, attend_texts};
pub use chunk::{CHUNK_TOKENS, Chunk, ChunkLayout};
pub use gemm::PackedMatrix;
pub use int8::{Packer, QuantMatrix};
pub use math::exp;
pub use norm::{add_layer_norm, layer_norm, rms_norm};
pub use relative::{DistanceTable, RelativeAttention, attend_relative};
pub use rope::rope;
pub use tasks::on_one_thread;
use tasks::{Output, for_each_task, is_shared, tiles};

/// Values in (-1, 1) from a small multiplicative generator; no structure that could hide an index error.
#[cfg(test)]
fn noise(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
        })
        .collect()
}
