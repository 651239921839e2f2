//! Counts the tokens of texts as a model would, without its weights.

use anyhow::Result;

use super::decoder::{families, gguf_config};
use super::fallback::FallbackModel;
use super::files::{self, Access, ModelFiles, Places};
use super::gguf::Gguf;
use super::local::{Interface, read_json};
use super::{OpenOptions, Prompt, catalog};

pub struct TokenCounter {
    name: String,
    interface: Interface,
    context_length: usize,
}

impl TokenCounter {
    /// Finds the files of `spec`, fetching what is missing, and reads its tokenizer.
    ///
    /// # Errors
    /// As opening the model does, but for its weights.
    pub fn open(spec: &str, access: &Access) -> Result<Self> {
        let places = Places { hash: false, ..Places::from_env()? };
        let files = files::resolve_in(spec, Some(catalog::Kind::Model), &places, access)?;
        let options = OpenOptions::default();
        let (interface, context_length) = match &files {
            ModelFiles::Gguf { weights, .. } => {
                let gguf = Gguf::open(weights)?;
                (Interface::from_gguf(gguf.metadata(), &options)?, gguf_config::from_gguf(&gguf)?.context_length)
            }
            ModelFiles::Folder { config, .. } => {
                let json = read_json(config)?;
                let file = config.display().to_string();
                let context_length = if FallbackModel::is_for(&json) {
                    FallbackModel::limits(&json, &file)?.0
                } else {
                    families::from_json(&json, &file)?.context_length
                };
                (Interface::from_folder(&files, &json, &options)?, context_length)
            }
        };
        Ok(Self { name: files.label().to_owned(), interface, context_length })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn context_length(&self) -> usize {
        self.context_length
    }

    pub fn has_chat_template(&self) -> bool {
        self.interface.template.is_some()
    }

    /// Tokens of a prompt as the model would get it.
    pub fn prompt_tokens(&self, prompt: &Prompt) -> Result<usize> {
        Ok(self.interface.encode(prompt)?.len())
    }

    pub fn tokens(&self, text: &str) -> Result<usize> {
        Ok(self.interface.encode(&Prompt::Text(text.to_owned()))?.len())
    }
}
