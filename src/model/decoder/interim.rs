//! Stands in for kernels that are on their way.
use crate::model::kernel::exp;

pub fn add(x: &mut [f32], y: &[f32], factor: f32) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += factor * y;
    }
}
pub fn rotate(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let half = cos.len();
    let (a, rest) = head.split_at_mut(half);
    for (i, a) in a.iter_mut().enumerate() {
        let (x, y) = (*a, rest[i]);
        *a = x * cos[i] - y * sin[i];
        rest[i] = y * cos[i] + x * sin[i];
    }
}
pub fn rms_norm(row: &mut [f32], weight: &[f32], eps: f32) {
    let mean = row.iter().map(|v| v * v).sum::<f32>() / row.len() as f32;
    let factor = 1.0 / (mean + eps).sqrt();
    for (x, w) in row.iter_mut().zip(weight) {
        *x = *x * factor * w;
    }
}
pub fn layer_norm(row: &mut [f32], weight: &[f32], bias: Option<&[f32]>, eps: f32) {
    let n = row.len() as f32;
    let mean = row.iter().sum::<f32>() / n;
    let var = row.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n;
    let factor = 1.0 / (var + eps).sqrt();
    for (i, (x, w)) in row.iter_mut().zip(weight).enumerate() {
        *x = (*x - mean) * factor * w + bias.map_or(0.0, |b| b[i]);
    }
}
fn tanh(x: f32) -> f32 {
    (f64::from(x)).tanh() as f32
}
pub fn silu(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v /= 1.0 + exp(-*v));
}
pub fn gelu(x: &mut [f32]) {
    x.iter_mut()
        .for_each(|v| *v = 0.5 * *v * (1.0 + candle_core::cpu::erf::erf_f32(*v * std::f32::consts::FRAC_1_SQRT_2)));
}
pub fn gelu_tanh(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v = 0.5 * *v * (1.0 + tanh(0.797_884_6 * (*v + 0.044_715 * *v * *v * *v))));
}
pub fn relu(x: &mut [f32]) {
    x.iter_mut().for_each(|v| *v = v.max(0.0));
}
pub fn softcap(x: f32, cap: f32) -> f32 {
    cap * tanh(x / cap)
}
