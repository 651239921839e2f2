//! Turns texts into the token ids that an encoder reads, cut at its length.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use rayon::prelude::*;
use tokenizers::{Tokenizer, TruncationDirection, TruncationParams};

/// A tokenizer with a length of our own: padding and truncation that the file carries belong to whoever published it.
pub struct Words {
    tokenizer: Tokenizer,
    max_tokens: usize,
    /// Rows of the encoder's embeddings.
    vocabulary: usize,
    file: String,
}

/// One text's token ids, special ones included.
pub struct Tokens {
    pub ids: Vec<u32>,
    /// The text had more tokens than are read, and lost an end.
    pub truncated: bool,
}

/// A tokenizer.json as it stands.
pub fn read(path: &Path) -> Result<Tokenizer> {
    Tokenizer::from_file(path).map_err(|error| anyhow!("cannot read {} as a tokenizer: {error}", path.display()))
}

impl Words {
    /// From tokenizer.json; the rest as [`Words::new`].
    pub fn read(path: &Path, max_tokens: usize, vocabulary: usize) -> Result<Self> {
        Self::new(read(path)?, path, max_tokens, vocabulary, false)
    }

    /// `max_tokens` counts the special tokens; `cut_left` drops the beginning of a long text instead of its end. `path` is
    /// where the tokenizer is from.
    pub fn new(
        mut tokenizer: Tokenizer,
        path: &Path,
        max_tokens: usize,
        vocabulary: usize,
        cut_left: bool,
    ) -> Result<Self> {
        let file = path.display().to_string();
        tokenizer.with_padding(None);
        let direction = if cut_left { TruncationDirection::Left } else { TruncationDirection::Right };
        let truncation = TruncationParams { max_length: max_tokens, direction, ..TruncationParams::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| anyhow!("{file}: cannot cut texts at {max_tokens} tokens: {error}"))?;
        Ok(Self { tokenizer, max_tokens, vocabulary, file })
    }

    /// Tokens of a text that are read, special ones included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Number of tokens, added ones included.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// # Errors
    /// A text that the tokenizer refuses, or a token that the encoder has no embedding for.
    pub fn tokens(&self, text: &str) -> Result<Tokens> {
        let encoding =
            self.tokenizer.encode_fast(text, true).map_err(|error| anyhow!("cannot tokenize a text: {error}"))?;
        let ids = encoding.get_ids().to_vec();
        for &id in &ids {
            ensure!(
                (id as usize) < self.vocabulary,
                "{} gives token {id} ({:?}), but the weights have embeddings for {} tokens; the two do not belong together",
                self.file,
                self.tokenizer.id_to_token(id).unwrap_or_default(),
                self.vocabulary
            );
        }
        ensure!(!ids.is_empty(), "{} gives no token for a text, not even special ones", self.file);
        Ok(Tokens { ids, truncated: !encoding.get_overflowing().is_empty() })
    }

    /// The tokens of many texts, in their order.
    pub fn all_tokens(&self, texts: &[&str]) -> Result<Vec<Tokens>> {
        texts.par_iter().map(|text| self.tokens(text)).collect()
    }
}
