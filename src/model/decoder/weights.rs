//! Hands out a checkpoint's tensors by the part of the decoder that they are, from safetensors or GGUF.
//!
//! Every tensor must be asked for once and have the expected shape; what is missing or left over is an error that lists
//! the names, since a model that runs without a part of itself is silently wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device};

use super::config::Config;
use super::gguf_config::ARCHITECTURES;
use super::names::{Naming, Part};
use crate::model::gguf::{BLOCK, Gguf, StoredBlocks, StoredRows};

pub struct Weights {
    source: Source,
    naming: Naming,
    /// Before all names but the head's.
    prefix: &'static str,
    /// Nobody has asked for these yet; threads ask side by side.
    left: Mutex<BTreeSet<String>>,
    missing: Mutex<BTreeSet<String>>,
    file: String,
    /// GGUF in llama.cpp's order of q and k rows.
    permuted: bool,
}

/// A weight matrix as it comes from the checkpoint.
pub struct Stacked {
    pub out: usize,
    pub inp: usize,
    /// Their rows lie one below the other.
    pub parts: Vec<Stored>,
    pub bias: Option<Vec<f32>>,
}

/// The values of one stored tensor, rows in the decoder's order.
pub enum Stored {
    F32(Vec<f32>),
    /// To be dequantised a few rows at a time.
    Rows(StoredRows),
    /// Int8 weights and a scale for every 32, exactly as stored.
    Blocks {
        blocks: StoredBlocks,
        order: RowOrder,
    },
}

impl Stacked {
    /// All values in f32, row-major (out, in).
    pub fn into_f32(self) -> Result<Vec<f32>> {
        let mut all = Vec::new();
        for part in self.parts {
            match part {
                Stored::F32(values) if all.is_empty() => all = values,
                Stored::F32(values) => all.extend(values),
                Stored::Rows(rows) => rows.for_each(&mut |_, values| all.extend_from_slice(values))?,
                Stored::Blocks { blocks, order } => {
                    for (row, block) in (0..blocks.rows()).flat_map(|row| (0..self.inp / BLOCK).map(move |b| (row, b)))
                    {
                        let mut quants = [0; BLOCK];
                        let scale = blocks.read(order.stored(row), block, &mut quants);
                        all.extend(quants.iter().map(|&quant| f32::from(quant) * scale));
                    }
                }
            }
        }
        Ok(all)
    }
}

enum Source {
    Safetensors(MmapedSafetensors),
    Gguf(Box<Gguf>),
}

/// Where row r of a matrix lies in the stored tensor.
#[derive(Clone, Copy)]
pub enum RowOrder {
    Same,
    /// llama.cpp's q and k: dimensions i and i + d/2 of a head lie side by side.
    Paired {
        head_dim: usize,
    },
    /// GPT-NeoX: q, k and v of a head lie together.
    ByHead {
        heads: usize,
        head_dim: usize,
    },
}

impl RowOrder {
    /// The stored row that is the decoder's row `row`.
    pub fn stored(self, row: usize) -> usize {
        match self {
            RowOrder::Same => row,
            RowOrder::Paired { head_dim } => {
                let (head, within) = (row / head_dim, row % head_dim);
                let (half, i) = (within / (head_dim / 2), within % (head_dim / 2));
                head * head_dim + i * 2 + half
            }
            RowOrder::ByHead { heads, head_dim } => {
                let (which, within) = (row / (heads * head_dim), row % (heads * head_dim));
                let (head, i) = (within / head_dim, within % head_dim);
                (head * 3 + which) * head_dim + i
            }
        }
    }
}

impl Weights {
    #[allow(unsafe_code)]
    pub fn safetensors(files: &[PathBuf], config: &Config) -> Result<Self> {
        let file = files.first().map(|f| f.display().to_string()).unwrap_or_default();
        // SAFETY: the files are read-only input; like every memory-mapped reader this assumes that nobody truncates them
        // while they are being loaded.
        let tensors = unsafe { MmapedSafetensors::multi(files) }.map_err(|error| {
            anyhow::anyhow!("{file}: cannot be read as safetensors ({error}); fetch the model again")
        })?;
        let names = tensors.tensors().into_iter().map(|(name, _)| name).collect();
        Ok(Self::new(Source::Safetensors(tensors), Naming::of(&config.architecture), names, file, false, config))
    }

    pub fn gguf(gguf: Gguf, config: &Config) -> Result<Self> {
        let names = gguf.tensor_names().map(str::to_owned).collect();
        let file = gguf.metadata().file().to_owned();
        let name = gguf.metadata().string("general.architecture")?;
        let permuted = ARCHITECTURES.iter().any(|known| known.name == name && known.permuted);
        Ok(Self::new(Source::Gguf(Box::new(gguf)), Naming::Gguf, names, file, permuted, config))
    }

    fn new(source: Source, naming: Naming, names: Vec<String>, file: String, permuted: bool, config: &Config) -> Self {
        let left: BTreeSet<String> = names.into_iter().filter(|name| !naming.is_derived(name, config)).collect();
        let embedding = naming.modules(Part::Embedding, config)[0][0];
        let prefixes = naming.prefixes();
        let prefix = prefixes.iter().find(|prefix| left.contains(&format!("{prefix}{embedding}.weight")));
        let prefix = prefix.unwrap_or(&prefixes[0]);
        Self { source, naming, prefix, left: Mutex::new(left), missing: Mutex::default(), file, permuted }
    }

    /// A vector of `length` values, e.g. a norm's weight.
    pub fn vector(&self, config: &Config, part: Part, layer: usize, ending: &str, length: usize) -> Result<Vec<f32>> {
        let module = self.choose(config, part, layer)?.remove(0);
        self.read(&format!("{module}.{ending}"), &[length], RowOrder::Same, false)
    }

    /// A matrix (Σ `rows`, `inp`) and its bias where `biased`. `rows` are those of the tensors that it may be stored in; one
    /// tensor may also hold them all. With `blocks`, 8-bit and 4-bit blocks come as they are stored.
    pub fn matrix(
        &self,
        config: &Config,
        part: Part,
        layer: usize,
        rows: &[usize],
        inp: usize,
        biased: bool,
        blocks: bool,
    ) -> Result<Stacked> {
        let modules = self.choose(config, part, layer)?;
        let whole = [rows.iter().sum::<usize>()];
        let rows = if modules.len() == 1 { &whole[..] } else { rows };
        let is_linear = !matches!(part, Part::Embedding | Part::Positions | Part::Head);
        let transposed = self.naming == Naming::Gpt2 && is_linear;
        let (mut parts, mut bias) = (Vec::new(), Vec::new());
        for (index, (module, &rows)) in modules.iter().zip(rows).enumerate() {
            let order = match (self.naming, part) {
                (Naming::GptNeox, Part::Qkv) => RowOrder::ByHead { heads: config.heads, head_dim: config.head_dim },
                (Naming::Gguf, Part::Qkv) if self.permuted && index < 2 => {
                    ensure!(
                        modules.len() == 3,
                        "{}: q, k and v in one tensor are not known for this architecture",
                        self.file
                    );
                    RowOrder::Paired { head_dim: config.head_dim }
                }
                _ => RowOrder::Same,
            };
            let shape = if transposed { [inp, rows] } else { [rows, inp] };
            let name = format!("{module}.weight");
            parts.push(match if blocks { self.read_blocks(&name, shape, order)? } else { None } {
                Some(stored) => stored,
                None => Stored::F32(self.read(&name, &shape, order, transposed)?),
            });
            if biased {
                bias.extend(self.read(&format!("{module}.bias"), &[rows], order, false)?);
            }
        }
        Ok(Stacked { out: whole[0], inp, parts, bias: biased.then_some(bias) })
    }

    /// The full names of the modules that hold a part.
    fn choose(&self, config: &Config, part: Part, layer: usize) -> Result<Vec<String>> {
        let lists = self.naming.modules(part, config);
        let full = |module: &&str| {
            let module = module.replace("{}", &layer.to_string());
            match module.strip_prefix('/') {
                Some(module) => module.to_owned(),
                None => format!("{}{module}", self.prefix),
            }
        };
        let full = |list: &&[&str]| list.iter().map(full).collect::<Vec<_>>();
        let stored = lists.iter().map(full).find(|list| lock(&self.left).contains(&format!("{}.weight", list[0])));
        match stored.or_else(|| lists.first().map(full)) {
            Some(modules) => Ok(modules),
            None => bail!("{}: {} has no place for its {part:?}", self.file, config.architecture),
        }
    }

    /// A stored tensor as int8 is made from it: its own blocks where the kernels take them as they are, else a few rows at
    /// a time.
    fn read_blocks(&self, name: &str, shape: [usize; 2], order: RowOrder) -> Result<Option<Stored>> {
        let Source::Gguf(gguf) = &self.source else { return Ok(None) };
        // A wrong shape is `read`'s to report.
        if gguf.shape(name).as_deref() != Some(&shape) || !lock(&self.left).contains(name) {
            return Ok(None);
        }
        let stored = match gguf.blocks(name)? {
            Some(blocks) => Stored::Blocks { blocks, order },
            None if !matches!(order, RowOrder::Same) => return Ok(None),
            None => match gguf.rows(name)? {
                Some(rows) => Stored::Rows(rows),
                None => return Ok(None),
            },
        };
        lock(&self.left).remove(name);
        Ok(Some(stored))
    }

    /// The values of a stored tensor in f32. A missing one is noted and stands in as zeros, so that `finish` can name all.
    fn read(&self, name: &str, shape: &[usize], order: RowOrder, transposed: bool) -> Result<Vec<f32>> {
        if !lock(&self.left).remove(name) {
            lock(&self.missing).insert(name.to_owned());
            return Ok(vec![0.0; shape.iter().product()]);
        }
        let (values, found) = match &self.source {
            Source::Safetensors(tensors) => {
                let tensor = tensors
                    .load(name, &Device::Cpu)
                    .and_then(|t| t.to_dtype(DType::F32))
                    .with_context(|| format!("{}: tensor {name} cannot be read", self.file))?;
                let found = tensor.dims().to_vec();
                (tensor.flatten_all()?.to_vec1()?, found)
            }
            Source::Gguf(gguf) => gguf.tensor(name)?,
        };
        ensure!(
            found == shape,
            "{}: tensor {name} has the shape {found:?}, but the model's configuration asks for {shape:?}",
            self.file
        );
        if let Some(at) = values.iter().position(|v: &f32| !v.is_finite()) {
            bail!("{}: tensor {name} holds {} at element {at}; the file is damaged", self.file, values[at]);
        }
        if transposed {
            let (inp, out) = (shape[0], shape[1]);
            return Ok((0..out)
                .flat_map(|o| (0..inp).map(move |i| (o, i)))
                .map(|(o, i)| values[i * out + o])
                .collect());
        }
        Ok(in_order(values, order, shape[0]))
    }

    /// Errs with the names of tensors that are missing, or that nobody asked for.
    pub fn finish(self) -> Result<()> {
        let list = |names: &[&str]| {
            format!("{}{}", names[..names.len().min(8)].join(", "), if names.len() > 8 { ", …" } else { "" })
        };
        let (missing, left) = (lock(&self.missing), lock(&self.left));
        let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        ensure!(
            missing.is_empty(),
            "{}: {} tensors are missing: {}; the file is incomplete or of another architecture{}",
            self.file,
            missing.len(),
            list(&missing),
            if left.is_empty() {
                String::new()
            } else {
                format!(" (it holds {} others, e.g. {})", left.len(), list(&left[..1]))
            }
        );
        ensure!(
            left.is_empty(),
            "{}: {} tensors of the file are not part of the architecture that its configuration names: {}",
            self.file,
            left.len(),
            list(&left)
        );
        Ok(())
    }
}

/// A thread that panicked leaves the sets as they are.
fn lock(names: &Mutex<BTreeSet<String>>) -> MutexGuard<'_, BTreeSet<String>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The rows of a tensor in the decoder's order.
fn in_order<T: Copy>(values: Vec<T>, order: RowOrder, rows: usize) -> Vec<T> {
    if matches!(order, RowOrder::Same) {
        return values;
    }
    let width = values.len() / rows;
    (0..rows).flat_map(|row| &values[order.stored(row) * width..][..width]).copied().collect()
}
