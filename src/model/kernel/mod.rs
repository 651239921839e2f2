//! Computes the CPU's inner loops: matrix product, attention, activations.
//!
//! Every output element is one fixed chain of operations on its own inputs, so that a row's bits do not
//! depend on its neighbours, on the number of rows or threads, or on the instruction set chosen at run time.
//! Unsafe code stays in this folder (and in one memory map of weights).

mod attention;
mod gemm;
mod math;

pub use attention::{AttentionShape, KvPiece, QueryRow, attend};
pub use gemm::PackedMatrix;
pub use math::{exp, silu_mul};
