use candle_core::{DType, Var};

use super::*;
use crate::scorer::encoder::adapting::LayerTensors;

const DIM: usize = 16;
const WIDE: usize = 24;

fn noise(n: usize, seed: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| (((i + seed * 977) * 7919 % 1009) as f32 / 504.5 - 1.0) * scale).collect()
}

/// Two blocks with weights that are anything but neutral.
fn layers() -> Vec<LayerTensors> {
    let block = |index: usize| {
        let linear = |n: usize, out: usize, inp: usize| (noise(out * inp, n, 0.4), noise(out, n + 50, 0.2));
        let norm = |n: usize| {
            let weight = noise(DIM, n, 0.3).into_iter().map(|v| 1.0 + v).collect();
            (weight, noise(DIM, n + 9, 0.3))
        };
        let mut parts: Vec<_> = (0..4).map(|n| linear(index * 10 + n, DIM, DIM)).collect();
        parts.extend([linear(index * 10 + 4, WIDE, DIM), linear(index * 10 + 5, DIM, WIDE)]);
        LayerTensors { index, linear: parts, attention_norm: norm(index + 70), norm: norm(index + 80), eps: 1e-12 }
    };
    vec![block(0), block(1)]
}

fn network(outputs: usize) -> Network {
    let shape = Shape { dim: DIM, attention_heads: 2, rank: 3, outputs, hidden: Some(5) };
    Network::new(shape, layers(), None, &mut ChaCha8Rng::seed_from_u64(3)).unwrap()
}

/// Three texts of 2 to 5 tokens.
fn input() -> Input {
    let tokens: Vec<Vec<u32>> = [3, 5, 2].into_iter().map(|n| vec![0; n]).collect();
    let ids: Vec<&[u32]> = tokens.iter().map(Vec::as_slice).collect();
    padded(&noise(10 * DIM, 5, 1.0), &ids, DIM).unwrap()
}

fn loss_of(network: &Network, outputs: usize) -> Tensor {
    let targets = match outputs {
        1 => Tensor::new(&[[0.2_f32], [1.0], [0.7]], &Device::Cpu).unwrap(),
        _ => Tensor::new(&[[1.0_f32, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]], &Device::Cpu).unwrap(),
    };
    let weights = Tensor::new(&[1.0_f32, 0.5, 2.0], &Device::Cpu).unwrap();
    descent::loss(&network.logits(&input()).unwrap(), &targets, &weights).unwrap()
}

fn set(var: &Var, values: Vec<f32>) {
    var.set(&Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap()).unwrap();
}

#[test]
fn gradients_of_every_trained_tensor_are_what_finite_differences_say() {
    for outputs in [1, 3] {
        let network = network(outputs);
        let (adapters, last) = network.variables();
        for (n, var) in adapters.iter().enumerate() {
            set(var, noise(var.elem_count(), n, 0.3)); // B begins at zero, where A has no gradient
        }
        let gradients = loss_of(&network, outputs).backward().unwrap();
        for (n, var) in adapters.iter().chain(&last).enumerate() {
            let gradient: Vec<f32> =
                gradients.get(var).expect("every variable has one").flatten_all().unwrap().to_vec1().unwrap();
            let values: Vec<f32> = var.flatten_all().unwrap().to_vec1().unwrap();
            // Along a direction in which all entries move, so that none of them can be wrong unseen.
            let direction = noise(values.len(), n + 11, 1.0);
            let at = |step: f32| {
                set(var, values.iter().zip(&direction).map(|(v, d)| v + step * d).collect());
                f64::from(loss_of(&network, outputs).to_dtype(DType::F32).unwrap().to_scalar::<f32>().unwrap())
            };
            let difference = (at(2e-3) - at(-2e-3)) / 4e-3;
            set(var, values.clone());
            let slope: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(g * d)).sum();
            let scale = slope.abs().max(difference.abs()).max(0.02);
            assert!((slope - difference).abs() / scale < 0.02, "tensor {n}: {slope} against {difference}");
        }
    }
}

#[test]
fn a_text_has_the_same_logits_beside_longer_ones_as_alone() {
    let network = network(3);
    let together: Vec<Vec<f32>> = network.logits(&input()).unwrap().to_vec2().unwrap();
    let packed = noise(10 * DIM, 5, 1.0);
    let alone = padded(&packed[..3 * DIM], &[&[0; 3]], DIM).unwrap();
    let alone: Vec<Vec<f32>> = network.logits(&alone).unwrap().to_vec2().unwrap();
    for (a, b) in alone[0].iter().zip(&together[0]) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn training_lowers_the_loss_and_gives_the_same_bits_on_any_number_of_threads() {
    let vectors = noise(400 * DIM, 1, 1.0);
    let targets: Vec<f32> = (0..400).map(|i| f32::from(vectors[i * DIM] * vectors[i * DIM + 1] > 0.0)).collect();
    let rows = Rows { x: &vectors, dim: DIM, targets: &targets, outputs: 1, weights: &[1.0; 400] };
    let options = Options {
        kind: Kind::Mlp,
        seed: 4,
        l2: 1.0,
        class_weights: false,
        layers: 0,
        rank: 0,
        hidden: 16,
        epochs: 60,
        learning_rate: 0.02,
        command: String::new(),
    };
    let run = || {
        let mut losses = Vec::new();
        let tensors = mlp(rows, &options, &mut |progress| {
            if let Progress::Trained(_, _, loss) = progress {
                losses.push(loss);
            }
        })
        .unwrap();
        (tensors, losses)
    };
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(run);
    let many = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap().install(run);
    assert_eq!(alone, many);
    let (first, last) = (alone.1[1], alone.1[alone.1.len() - 1]);
    assert!(last < 0.5 * first, "{first} {last}");
}
