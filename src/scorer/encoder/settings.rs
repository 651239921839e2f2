//! Reads config.json: a field under any of its names, with the default of transformers' configuration classes where
//! it is left out, as published files often do.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::layers::Activation;

/// A config.json, and where it lies.
pub struct Settings {
    json: Value,
    file: String,
}

impl Settings {
    pub fn read(path: &Path) -> Result<Self> {
        let json = read_json(path)?;
        let file = path.display().to_string();
        if !json.is_object() {
            bail!("{file} holds no JSON object; is it a model's config.json?");
        }
        Ok(Self { json, file })
    }

    /// For messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// `model_type`, or an error that says what it is for.
    pub fn model_type(&self) -> Result<&str> {
        match self.json["model_type"].as_str() {
            Some(kind) => Ok(kind),
            None => bail!("{}: model_type is missing; it says which architecture the weights are of", self.file),
        }
    }

    /// The first of `names` that is there and not null, with its name.
    pub fn value<'a>(&self, names: &[&'a str]) -> Option<(&'a str, &Value)> {
        names.iter().map(|name| (*name, &self.json[*name])).find(|(_, value)| !value.is_null())
    }

    /// A whole number above 0.
    pub fn size(&self, names: &[&str], default: usize) -> Result<usize> {
        match self.value(names) {
            None => Ok(default),
            Some((name, value)) => match value.as_u64().filter(|n| (1..=u64::from(u32::MAX)).contains(n)) {
                Some(n) => Ok(n as usize),
                None => bail!("{}: {name} must be a whole number above 0, but is {value}", self.file),
            },
        }
    }

    pub fn number(&self, name: &str, default: f64) -> Result<f64> {
        match self.value(&[name]) {
            None => Ok(default),
            Some((_, value)) => {
                value.as_f64().with_context(|| format!("{}: {name} must be a number, but is {value}", self.file))
            }
        }
    }

    /// A whole number that may be below 0.
    pub fn integer(&self, name: &str, default: i64) -> Result<i64> {
        match self.value(&[name]) {
            None => Ok(default),
            Some((_, value)) => {
                value.as_i64().with_context(|| format!("{}: {name} must be a whole number, but is {value}", self.file))
            }
        }
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.value(&[name]) {
            None => Ok(default),
            Some((_, value)) => {
                value.as_bool().with_context(|| format!("{}: {name} must be true or false, but is {value}", self.file))
            }
        }
    }

    pub fn text(&self, name: &str, default: &str) -> Result<String> {
        match self.value(&[name]) {
            None => Ok(default.to_owned()),
            Some((_, value)) => match value.as_str() {
                Some(text) => Ok(text.to_owned()),
                None => bail!("{}: {name} must be a string, but is {value}", self.file),
            },
        }
    }

    pub fn activation(&self, names: &[&str], default: &str) -> Result<Activation> {
        let (name, text) = match self.value(names) {
            None => (names[0], default.to_owned()),
            Some((name, _)) => (name, self.text(name, default)?),
        };
        Activation::named(&text).with_context(|| {
            format!("{}: {name} is {text:?}; the activations that are computed are {}", self.file, Activation::NAMES)
        })
    }

    /// Errs unless a field that is there has the one value that is computed.
    pub fn require(&self, name: &str, only: &str) -> Result<()> {
        let found = self.text(name, only)?;
        if found != only {
            bail!("{}: {name} is {found:?}; only {only:?} is computed", self.file);
        }
        Ok(())
    }

    /// Hidden size and heads, which must divide it.
    pub fn heads(&self, hidden: &[&str], heads: &[&str], defaults: (usize, usize)) -> Result<(usize, usize)> {
        let (size, count) = (self.size(hidden, defaults.0)?, self.size(heads, defaults.1)?);
        if !size.is_multiple_of(count) {
            bail!("{}: {} {size} is not a multiple of {} {count}", self.file, hidden[0], heads[0]);
        }
        Ok((size, count))
    }
}

/// A JSON file's content.
pub fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}
