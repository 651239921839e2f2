//! Turns text into token ids and back: tokenizer.json, or what a GGUF file says of its tokenizer.
//!
//! GGUF names its pre-tokenizer in one word. Each known word stands for an exact rule; an unknown one is refused, since a
//! guess gives ids that look right and are not.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use crate::model::gguf::Metadata;

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Put before a text by `encode` with special tokens; tokenizer.json has its own post-processor for that.
    begin: Option<u32>,
}

impl Tokenizer {
    /// Reads tokenizer.json; its padding and truncation are switched off.
    pub fn from_file(path: &Path) -> Result<Self> {
        let mut inner = tokenizers::Tokenizer::from_file(path)
            .map_err(|error| anyhow!("{}: cannot be read as a tokenizer: {error}", path.display()))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        Ok(Self { inner, begin: None })
    }

    /// Rebuilds a byte-level BPE tokenizer from GGUF metadata and checks it id by id.
    pub fn from_gguf(metadata: &Metadata) -> Result<Self> {
        let file = metadata.file();
        let model = metadata.string("tokenizer.ggml.model")?;
        ensure!(
            model == "gpt2",
            "{file}: its tokenizer is of the kind \"{model}\"; this version rebuilds byte-level BPE (\"gpt2\") from GGUF: \
             use the model's folder with tokenizer.json instead"
        );
        let pre = metadata.string("tokenizer.ggml.pre").unwrap_or("(none)");
        let tokens = metadata.strings("tokenizer.ggml.tokens")?;
        let merges = metadata
            .strings("tokenizer.ggml.merges")?
            .into_iter()
            .map(|merge| {
                let (left, right) = merge
                    .split_once(' ')
                    .with_context(|| format!("{file}: \"{merge}\" is not a merge of two tokens"))?;
                Ok((left.to_owned(), right.to_owned()))
            })
            .collect::<Result<Vec<_>>>()?;
        let rule = PRE_TOKENIZERS.iter().find(|rule| rule.names.contains(&pre)).with_context(|| {
            let known: Vec<&str> = PRE_TOKENIZERS.iter().flat_map(|rule| rule.names).copied().collect();
            format!(
                "{file}: its pre-tokenizer \"{pre}\" is not known to this version (known: {}); a guess would give wrong \
                 tokens: use the model's folder with tokenizer.json instead",
                known.join(", ")
            )
        })?;
        let vocab: Vocab = tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), id as u32)).collect();
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(rule.ignore_merges)
            .build()
            .map_err(|error| anyhow!("{file}: its tokenizer cannot be rebuilt: {error}"))?;
        let mut inner = tokenizers::Tokenizer::new(bpe);
        inner.with_pre_tokenizer(Some((rule.build)()?));
        inner.with_decoder(Some(ByteLevel::default()));
        let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap_or_default();
        for (token, kind) in tokens.iter().zip(kinds) {
            let added = AddedToken::from((*token).to_owned(), kind == CONTROL).normalized(false);
            let result = match kind {
                CONTROL => inner.add_special_tokens([added]),
                USER_DEFINED => inner.add_tokens([added]),
                _ => continue,
            };
            result.map_err(|error| anyhow!("{file}: token {token:?} cannot be added: {error}"))?;
        }
        for (id, token) in tokens.iter().enumerate() {
            let rebuilt = inner.id_to_token(id as u32);
            if rebuilt.as_deref() != Some(token) {
                bail!(
                    "{file}: token {id} is {token:?}, but the rebuilt tokenizer has {rebuilt:?} there; the file is damaged"
                );
            }
        }
        let begin = match metadata.flag("tokenizer.ggml.add_bos_token").unwrap_or(rule.begins) {
            true => Some(metadata.number("tokenizer.ggml.bos_token_id")? as u32),
            false => None,
        };
        Ok(Self { inner, begin })
    }

    /// Token ids of `text`. Special tokens that stand in the text count as such; with `add_special` those that the
    /// tokenizer puts around every text are added.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let encoding =
            self.inner.encode_fast(text, add_special).map_err(|error| anyhow!("cannot be tokenized: {error}"))?;
        let begin = self.begin.filter(|_| add_special);
        Ok(begin.into_iter().chain(encoding.get_ids().iter().copied()).collect())
    }

    /// Text of the ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, true).map_err(|error| anyhow!("tokens cannot be turned into text: {error}"))
    }

    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of tokens, added ones included.
    pub fn size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }
}

/// Values of `tokenizer.ggml.token_type`.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

/// What one word of `tokenizer.ggml.pre` stands for.
struct PreTokenizer {
    names: &'static [&'static str],
    build: fn() -> Result<PreTokenizerWrapper>,
    /// Whole words that are tokens are taken as they are, before any merge.
    ignore_merges: bool,
    /// Whether a beginning token is added where the file does not say.
    begins: bool,
}

const PRE_TOKENIZERS: &[PreTokenizer] = &[
    PreTokenizer { names: &["smollm"], build: smollm, ignore_merges: false, begins: false },
    PreTokenizer { names: &["llama-bpe", "llama3", "llama-v3"], build: llama3, ignore_merges: true, begins: true },
];

/// Digits one by one, then GPT-2's words (SmolLM's tokenizer.json).
fn smollm() -> Result<PreTokenizerWrapper> {
    Ok(Sequence::new(vec![Digits::new(true).into(), ByteLevel::new(false, true, true).into()]).into())
}

/// Llama 3's words: digits in threes, contractions whatever their case (its tokenizer.json).
fn llama3() -> Result<PreTokenizerWrapper> {
    let words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let split = Split::new(SplitPattern::Regex(words.into()), SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| anyhow!("the pattern of Llama 3's words cannot be compiled: {error}"))?;
    Ok(Sequence::new(vec![split.into(), ByteLevel::new(false, true, false).into()]).into())
}
