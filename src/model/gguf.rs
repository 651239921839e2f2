//! Reads GGUF files: metadata by key, tensors by name.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use half::f16;

/// Weights of a block of GGUF's simple quantisations.
pub const BLOCK: usize = 32;
/// Values that are dequantised at a time; a multiple of every block size.
const DEQUANTISED: usize = 1 << 15;

/// An open GGUF file.
pub struct Gguf {
    content: Content,
    path: PathBuf,
    metadata: Metadata,
}

/// The key-value part of a GGUF file.
#[derive(Clone)]
pub struct Metadata {
    values: Arc<HashMap<String, Value>>,
    file: String,
}

impl Gguf {
    /// Opens and checks that the tensors lie inside the file, so that a truncated download is seen here.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let handle = File::open(path).with_context(|| format!("{file}: cannot be opened"))?;
        let length = handle.metadata()?.len();
        let mut reader = BufReader::new(handle);
        let mut content = Content::read(&mut reader).map_err(|error| match undecodable(&error.to_string()) {
            Some(kind) => anyhow::anyhow!(
                "{file}: has weights of the type {kind}, which cannot be decoded; choose a file of F32, F16, BF16, Q4_0, \
                 Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K or Q6_K weights"
            ),
            None => anyhow::anyhow!("{file}: cannot be read as GGUF ({error}); the file is damaged or of another version"),
        })?;
        for (name, info) in &content.tensor_infos {
            let end = content.tensor_data_offset + info.offset + bytes_of(info) as u64;
            ensure!(
                end <= length,
                "{file}: tensor {name} ends at byte {end}, but the file has {length}: it is truncated; fetch it again"
            );
        }
        let metadata = Metadata { values: Arc::new(std::mem::take(&mut content.metadata)), file };
        Ok(Self { content, path: path.to_owned(), metadata })
    }

    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub fn has(&self, tensor: &str) -> bool {
        self.content.tensor_infos.contains_key(tensor)
    }

    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.content.tensor_infos.keys().map(String::as_str)
    }

    /// Shape as the model means it: (out, in).
    pub fn shape(&self, tensor: &str) -> Option<Vec<usize>> {
        self.content.tensor_infos.get(tensor).map(|info| info.shape.dims().to_vec())
    }

    /// (type as llama.cpp writes it, number of elements) of each tensor.
    pub fn tensor_sizes(&self) -> impl Iterator<Item = (String, u64)> {
        self.content.tensor_infos.values().map(|info| {
            let dtype = format!("{:?}", info.ggml_dtype);
            let name = match dtype.split_at(2) {
                (bits, "K") => format!("{bits}_K"),
                _ => dtype,
            };
            (name, info.shape.elem_count() as u64)
        })
    }

    /// A tensor's entry and its bytes. Each call reads through a handle of its own, so that threads read side by side.
    fn stored(&self, name: &str) -> Result<(&TensorInfo, Vec<u8>)> {
        let what = || format!("{}: tensor {name} cannot be read", self.metadata.file);
        let info = self.content.tensor_infos.get(name).context("there is none").with_context(what)?;
        let mut bytes = vec![0; bytes_of(info)];
        let mut read = || -> std::io::Result<()> {
            let mut handle = File::open(&self.path)?;
            handle.seek(SeekFrom::Start(self.content.tensor_data_offset + info.offset))?;
            handle.read_exact(&mut bytes)
        };
        read().with_context(what)?;
        Ok((info, bytes))
    }

    /// A tensor's values dequantised to f32, row-major, with its shape.
    pub fn tensor(&self, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
        let (info, bytes) = self.stored(name)?;
        let dtype = info.ggml_dtype;
        let mut values = Vec::with_capacity(info.shape.elem_count());
        // A few blocks at a time: what that takes in between stays in cache, and out of the memory that a model needs.
        for bytes in bytes.chunks(DEQUANTISED / dtype.block_size() * dtype.type_size()) {
            let part = dequantised(bytes, dtype);
            values.extend(
                part.map_err(|error| anyhow::anyhow!("{}: tensor {name} cannot be read: {error}", self.metadata.file))?,
            );
        }
        Ok((values, info.shape.dims().to_vec()))
    }

    /// A matrix (out, in) to be dequantised a few rows at a time; None where blocks reach over the ends of rows.
    pub fn rows(&self, name: &str) -> Result<Option<StoredRows>> {
        let (info, bytes) = self.stored(name)?;
        Ok(match info.shape.dims() {
            [_, inp] if inp % info.ggml_dtype.block_size() == 0 => {
                let what = format!("{}: tensor {name}", self.metadata.file);
                Some(StoredRows { bytes, dtype: info.ggml_dtype, inp: *inp, what })
            }
            _ => None,
        })
    }

    /// A tensor of 8-bit or symmetric 4-bit blocks as it is stored. None for other types, and where blocks reach over the
    /// ends of rows.
    pub fn blocks(&self, name: &str) -> Result<Option<StoredBlocks>> {
        let info = self.content.tensor_infos.get(name);
        let Some((dtype, inp)) = info.and_then(|info| Some((info.ggml_dtype, *info.shape.dims().last()?))) else {
            return Ok(None);
        };
        if !matches!(dtype, GgmlDType::Q8_0 | GgmlDType::Q4_0) || inp % BLOCK != 0 {
            return Ok(None);
        }
        let (_, bytes) = self.stored(name)?;
        let blocks = StoredBlocks { bytes, dtype, per_row: inp / BLOCK };
        for (at, block) in blocks.bytes.chunks_exact(dtype.type_size()).enumerate() {
            let scale = scale_of(block);
            ensure!(
                scale.is_finite(),
                "{}: tensor {name} has the scale {scale} at block {at}; the file is damaged",
                self.metadata.file
            );
        }
        Ok(Some(blocks))
    }
}

/// Bytes that a tensor takes in the file.
fn bytes_of(info: &TensorInfo) -> usize {
    info.shape.elem_count() / info.ggml_dtype.block_size() * info.ggml_dtype.type_size()
}

/// A matrix of int8 weights and a scale for every 32, as stored.
pub struct StoredBlocks {
    bytes: Vec<u8>,
    dtype: GgmlDType,
    per_row: usize,
}

impl StoredBlocks {
    pub fn rows(&self) -> usize {
        self.bytes.len() / self.dtype.type_size() / self.per_row
    }

    /// Writes the weights of a block of a row; returns their scale.
    pub fn read(&self, row: usize, block: usize, quants: &mut [i8; BLOCK]) -> f32 {
        let size = self.dtype.type_size();
        let block = &self.bytes[(row * self.per_row + block) * size..][..size];
        match self.dtype {
            GgmlDType::Q8_0 => quants.iter_mut().zip(&block[2..]).for_each(|(quant, &byte)| *quant = byte as i8),
            // The lower halves of the bytes are the first 16 weights, the upper halves the others.
            _ => {
                for (i, &byte) in block[2..].iter().enumerate() {
                    quants[i] = (byte & 15) as i8 - 8;
                    quants[i + BLOCK / 2] = (byte >> 4) as i8 - 8;
                }
            }
        }
        scale_of(block)
    }
}

/// The f16 in front of a block.
fn scale_of(block: &[u8]) -> f32 {
    f16::from_le_bytes([block[0], block[1]]).to_f32()
}

/// A stored matrix (out, in).
pub struct StoredRows {
    bytes: Vec<u8>,
    dtype: GgmlDType,
    inp: usize,
    /// File and name, for messages.
    what: String,
}

impl StoredRows {
    /// Calls `f(first row, values)` with some rows at a time, in f32, row-major; errs on values that are not finite.
    pub fn for_each(&self, f: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        let dtype = self.dtype;
        let rows = (DEQUANTISED / self.inp).max(1);
        let row_bytes = self.inp / dtype.block_size() * dtype.type_size();
        for (bytes, first) in self.bytes.chunks(rows * row_bytes).zip((0..).step_by(rows)) {
            let values =
                dequantised(bytes, dtype).map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", self.what))?;
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                let at = first * self.inp + at;
                anyhow::bail!("{} is not a number at element {at}; the file is damaged", self.what);
            }
            f(first, &values);
        }
        Ok(())
    }
}

/// The values of some blocks.
fn dequantised(bytes: &[u8], dtype: GgmlDType) -> candle_core::Result<Vec<f32>> {
    let elements = bytes.len() / dtype.type_size() * dtype.block_size();
    let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
    QTensor::new(storage, elements)?.dequantize(&Device::Cpu)?.to_vec1()
}

impl Metadata {
    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    fn expect(&self, key: &str) -> Result<&Value> {
        self.get(key).with_context(|| format!("{}: metadata \"{key}\" is missing", self.file))
    }

    pub fn string(&self, key: &str) -> Result<&str> {
        match self.expect(key)? {
            Value::String(text) => Ok(text),
            _ => anyhow::bail!("{}: metadata \"{key}\" is not a text", self.file),
        }
    }

    pub fn strings(&self, key: &str) -> Result<Vec<&str>> {
        let Value::Array(values) = self.expect(key)? else {
            anyhow::bail!("{}: metadata \"{key}\" is not a list", self.file)
        };
        values
            .iter()
            .map(|value| match value {
                Value::String(text) => Ok(text.as_str()),
                _ => anyhow::bail!("{}: metadata \"{key}\" holds something that is not a text", self.file),
            })
            .collect()
    }

    pub fn integers(&self, key: &str) -> Result<Vec<i64>> {
        let Value::Array(values) = self.expect(key)? else {
            anyhow::bail!("{}: metadata \"{key}\" is not a list", self.file)
        };
        values
            .iter()
            .map(|value| integer(value).with_context(|| format!("{}: metadata \"{key}\" holds a {value:?}", self.file)))
            .collect()
    }

    pub fn reals(&self, key: &str) -> Result<Vec<f64>> {
        let Value::Array(values) = self.expect(key)? else {
            anyhow::bail!("{}: metadata \"{key}\" is not a list", self.file)
        };
        values
            .iter()
            .map(|value| real(value).with_context(|| format!("{}: metadata \"{key}\" holds a {value:?}", self.file)))
            .collect()
    }

    pub fn number(&self, key: &str) -> Result<usize> {
        let value = self.expect(key)?;
        integer(value)
            .and_then(|n| usize::try_from(n).ok())
            .with_context(|| format!("{}: metadata \"{key}\" is not a whole number", self.file))
    }

    pub fn real(&self, key: &str) -> Result<f64> {
        real(self.expect(key)?).with_context(|| format!("{}: metadata \"{key}\" is not a real number", self.file))
    }

    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.get(key) {
            Some(Value::Bool(value)) => Some(*value),
            _ => None,
        }
    }
}

fn real(value: &Value) -> Option<f64> {
    match *value {
        Value::F32(value) => Some(value.into()),
        Value::F64(value) => Some(value),
        _ => None,
    }
}

/// llama.cpp's name of a block type that the reader gave up on.
fn undecodable(error: &str) -> Option<String> {
    const NAMES: [(u32, &str); 17] = [
        (16, "IQ2_XXS"),
        (17, "IQ2_XS"),
        (18, "IQ3_XXS"),
        (19, "IQ1_S"),
        (20, "IQ4_NL"),
        (21, "IQ3_S"),
        (22, "IQ2_S"),
        (23, "IQ4_XS"),
        (24, "I8"),
        (25, "I16"),
        (26, "I32"),
        (27, "I64"),
        (28, "F64"),
        (29, "IQ1_M"),
        (34, "TQ1_0"),
        (35, "TQ2_0"),
        (39, "MXFP4"),
    ];
    let (_, rest) = error.split_once("unknown dtype for tensor ")?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
    let number: u32 = digits.parse().ok()?;
    let name = NAMES.iter().find(|(id, _)| *id == number).map_or("unknown", |(_, name)| name);
    Some(format!("{name} ({number})"))
}

fn integer(value: &Value) -> Option<i64> {
    Some(match *value {
        Value::U8(n) => n.into(),
        Value::I8(n) => n.into(),
        Value::U16(n) => n.into(),
        Value::I16(n) => n.into(),
        Value::U32(n) => n.into(),
        Value::I32(n) => n.into(),
        Value::U64(n) => i64::try_from(n).ok()?,
        Value::I64(n) => n,
        _ => return None,
    })
}
