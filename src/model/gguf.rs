//! Reads GGUF files: metadata by key, tensors by name.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use half::f16;

/// Weights of a block of GGUF's simple quantisations.
const BLOCK: usize = 32;

/// An open GGUF file.
pub struct Gguf {
    content: Content,
    reader: BufReader<File>,
    metadata: Metadata,
}

/// The key-value part of a GGUF file.
#[derive(Clone)]
pub struct Metadata {
    values: HashMap<String, Value>,
    file: String,
}

impl Gguf {
    /// Opens and checks that the tensors lie inside the file, so that a truncated download is seen here.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let handle = File::open(path).with_context(|| format!("{file}: cannot be opened"))?;
        let length = handle.metadata()?.len();
        let mut reader = BufReader::new(handle);
        let content = Content::read(&mut reader).map_err(|error| {
            anyhow::anyhow!("{file}: cannot be read as GGUF ({error}); the file is damaged or of a kind that this version does not know")
        })?;
        for (name, info) in &content.tensor_infos {
            let elements = info.shape.elem_count();
            let bytes = elements / info.ggml_dtype.block_size() * info.ggml_dtype.type_size();
            let end = content.tensor_data_offset + info.offset + bytes as u64;
            ensure!(
                end <= length,
                "{file}: tensor {name} ends at byte {end}, but the file has {length}: it is truncated; fetch it again"
            );
        }
        let metadata = Metadata { values: content.metadata.clone(), file };
        Ok(Self { content, reader, metadata })
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

    /// A tensor's values dequantised to f32, row-major, with its shape.
    pub fn tensor(&mut self, name: &str) -> Result<(Vec<f32>, Vec<usize>)> {
        let file = self.metadata.file.clone();
        let mut read = || -> candle_core::Result<(Vec<f32>, Vec<usize>)> {
            let tensor = self.content.tensor(&mut self.reader, name, &Device::Cpu)?.dequantize(&Device::Cpu)?;
            let shape = tensor.dims().to_vec();
            Ok((tensor.flatten_all()?.to_vec1()?, shape))
        };
        read().map_err(|error| anyhow::anyhow!("{file}: tensor {name} cannot be read: {error}"))
    }

    /// A tensor of 8-bit or symmetric 4-bit blocks as it is stored, row-major: the quants, and a scale for every 32. None
    /// for other types, and where blocks reach over the ends of rows.
    pub fn blocks(&mut self, name: &str) -> Result<Option<(Vec<i8>, Vec<f32>)>> {
        let info = self.content.tensor_infos.get(name);
        let Some((dtype, inp)) = info.and_then(|info| Some((info.ggml_dtype, *info.shape.dims().last()?))) else {
            return Ok(None);
        };
        if !matches!(dtype, GgmlDType::Q8_0 | GgmlDType::Q4_0) || inp % BLOCK != 0 {
            return Ok(None);
        }
        let file = &self.metadata.file;
        let cannot = |error| anyhow::anyhow!("{file}: tensor {name} cannot be read: {error}");
        let tensor = self.content.tensor(&mut self.reader, name, &Device::Cpu).map_err(cannot)?;
        let bytes = tensor.data().map_err(cannot)?;
        let (mut quants, mut scales) = (Vec::new(), Vec::new());
        for block in bytes.chunks_exact(dtype.type_size()) {
            let (scale, block) = block.split_at(2);
            scales.push(f16::from_le_bytes([scale[0], scale[1]]).to_f32());
            match dtype {
                GgmlDType::Q8_0 => quants.extend(block.iter().map(|&byte| byte as i8)),
                // The lower halves of the bytes are the first 16 weights, the upper halves the others.
                _ => {
                    quants.extend(block.iter().map(|&byte| (byte & 15) as i8 - 8));
                    quants.extend(block.iter().map(|&byte| (byte >> 4) as i8 - 8));
                }
            }
        }
        Ok(Some((quants, scales)))
    }
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
