//! Reads everything of a model but its weights: how text becomes tokens, how chats are put, what ends an answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use crate::model::chat::{ChatTemplate, SpecialTokens};
use crate::model::files::ModelFiles;
use crate::model::gguf::Metadata;
use crate::model::tokenizer::Tokenizer;
use crate::model::{OpenOptions, Prompt};

pub struct Interface {
    pub tokenizer: Tokenizer,
    pub template: Option<ChatTemplate>,
    /// For people: where the template stands.
    pub template_source: Option<String>,
    /// End any answer.
    pub ends: BTreeSet<u32>,
    /// End an answer to a chat: the above, and the tokens that end a turn in the template.
    pub chat_ends: BTreeSet<u32>,
    /// Stands before a text that has nothing before it: the token of a text's beginning, else of its end.
    pub beginning: Option<u32>,
}

impl Interface {
    /// From GGUF metadata.
    pub fn from_gguf(metadata: &Metadata, options: &OpenOptions) -> Result<Self> {
        let tokenizer = match &options.tokenizer {
            Some(path) => Tokenizer::from_file_for(path, metadata)?,
            None => Tokenizer::from_gguf(metadata)?,
        };
        let id = |name: &str| metadata.number(&format!("tokenizer.ggml.{name}_token_id")).ok().map(|id| id as u32);
        let text = |name: &str| id(name).and_then(|id| tokenizer.token(id));
        let tokens = SpecialTokens::default()
            .with("bos_token", text("bos"))
            .with("eos_token", text("eos"))
            .with("unk_token", text("unknown"))
            .with("pad_token", text("padding"));
        let source = match metadata.get("tokenizer.chat_template") {
            Some(_) => Some((metadata.string("tokenizer.chat_template")?.to_owned(), metadata.file().to_owned())),
            None => None,
        };
        // The end of a text, of a turn and of a message to a tool: what generation_config.json lists in such models.
        let ends = ["eos", "eot", "eom"].into_iter().filter_map(id).collect();
        Self::new(tokenizer, source, tokens, ends, options)
    }

    /// From the files of a folder; `config` is its config.json.
    pub fn from_folder(files: &ModelFiles, config: &Json, options: &OpenOptions) -> Result<Self> {
        let ModelFiles::Folder { label, tokenizer, tokenizer_config, generation_config, chat_template, extra, .. } =
            files
        else {
            unreachable!("only folders come here")
        };
        let path = options.tokenizer.as_deref().or(tokenizer.as_deref()).with_context(|| {
            format!("{label}: there is no tokenizer.json beside the weights; put the model's own there, or give it with --tokenizer FILE")
        })?;
        let json = |path: Option<&Path>| path.map(read_json).transpose().map(Option::unwrap_or_default);
        let tokenizer_json = json(tokenizer_config.as_deref())?;
        let map = json(extra.get("special_tokens_map.json").map(|path| path.as_path()))?;
        let generation = json(generation_config.as_deref())?;
        let source = match (chat_template, tokenizer_config) {
            (Some(path), _) => {
                let source = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
                Some((source, path.display().to_string()))
            }
            (None, Some(path)) => ChatTemplate::source_in(&tokenizer_json)
                .with_context(|| path.display().to_string())?
                .map(|source| (source, path.display().to_string())),
            (None, None) => None,
        };
        let mut ends = ending_tokens(&generation);
        if ends.is_empty() {
            ends = ending_tokens(config);
        }
        let tokens = SpecialTokens::from_json(&[&tokenizer_json, &map]);
        Self::new(Tokenizer::from_file(path)?, source, tokens, ends, options)
    }

    fn new(
        tokenizer: Tokenizer,
        source: Option<(String, String)>,
        tokens: SpecialTokens,
        ends: BTreeSet<u32>,
        options: &OpenOptions,
    ) -> Result<Self> {
        let beginning = ["bos_token", "eos_token"].into_iter().find_map(|name| tokenizer.id(tokens.get(name)?));
        let (template, template_source) = match source {
            Some((source, file)) => {
                let template = ChatTemplate::new(&source, tokens, options.template_date);
                (Some(template.with_context(|| file.clone())?), Some(file))
            }
            None => (None, None),
        };
        let turn_ends = template.iter().flat_map(ChatTemplate::turn_ends).filter_map(|end| tokenizer.id(end));
        let chat_ends = turn_ends.chain(ends.iter().copied()).collect();
        Ok(Self { tokenizer, template, template_source, ends, chat_ends, beginning })
    }

    /// The prompt as the model sees it.
    pub fn render(&self, prompt: &Prompt) -> Result<String> {
        match (prompt, &self.template) {
            (Prompt::Text(text), _) => Ok(text.clone()),
            (Prompt::Chat(messages), Some(template)) => template.render(messages, true),
            (Prompt::Chat(_), None) => bail!(
                "the model has no chat template, so it cannot be asked messages; ask it a plain prompt (`as: text` in a \
                 suite), or take a model that was tuned for chat"
            ),
        }
    }

    /// Token ids of a prompt: rendered chats get no tokens but their own.
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        self.tokenizer.encode(&self.render(prompt)?, matches!(prompt, Prompt::Text(_)))
    }

    /// The tokens that end an answer to this prompt.
    pub fn ends_of(&self, prompt: &Prompt) -> &BTreeSet<u32> {
        match prompt {
            Prompt::Chat(_) => &self.chat_ends,
            Prompt::Text(_) => &self.ends,
        }
    }
}

/// `eos_token_id`: a number or a list.
fn ending_tokens(json: &Json) -> BTreeSet<u32> {
    let id = |value: &Json| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match json.get("eos_token_id") {
        Some(Json::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => BTreeSet::new(),
    }
}

/// A JSON file; errs with its name.
pub fn read_json(path: &Path) -> Result<Json> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: is not JSON", path.display()))
}
